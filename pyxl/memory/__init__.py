"""The memory engine: a domain's pages between its memory and a stream, in batches, by several threads."""
