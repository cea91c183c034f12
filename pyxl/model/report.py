"""What an operation reports while it runs; this class reports it to nobody."""


class Report:
    """Drops everything; the command line's reports are in pyxl.cli.progress.

    ``interval`` is how often ``progress`` wants to be called, in seconds; None when it does not.
    """

    interval: float | None = None

    def step(self, text: str) -> None:
        """A phase begins, in a few words: "suspending the guest"."""

    def progress(self, done: int, total: int) -> None:
        """``done`` of about ``total`` bytes of the stream have passed."""

    def stored(self, count: int) -> None:
        """``count`` bytes have been stored of a stream that is compressed, 0 of any other; told before its progress."""

    def remark(self, text: str) -> None:
        """Something that a person should read, but that does not stop the operation."""

    def log(self, text: str) -> None:
        """A line for the domain's log."""
