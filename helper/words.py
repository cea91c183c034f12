"""The words by which a toolstack says how memory is to be moved (helper/README.md)."""


def facts(words: list[str]) -> dict[str, str]:
    """Return what stands behind the names of words such as ``level=1``."""
    return dict(word.split("=", 1) for word in words if "=" in word)
