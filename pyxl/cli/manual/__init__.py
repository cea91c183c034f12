"""The manual's pages and the shells' completion, made of the commands' own help and of the READMEs."""
