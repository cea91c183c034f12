"""Text that may come out of a file of others, for a terminal or a browser."""


def printable(text: str) -> str:
    """Return the text with a question mark for whatever a terminal would act on, or a reader would not see."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)
