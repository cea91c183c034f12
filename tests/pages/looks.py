"""The colors of the pages, as the style has them, and how far apart two of them look."""

import re
from pathlib import Path

STYLE = Path(__file__).parents[2] / "pyxl" / "cli" / "page" / "page.css"
#: What each is the color of.
MEMORY = {"data": "k0", "zero": "k1", "ballooned": "k2", "changed": "k0", "same": "k1", "only in one": "k2", "absent": "absent"}
LAYERS = ("xl", "libxl", "libxc", "pyxl")
#: What linear red, green and blue become for eyes without one kind of cone (Machado, Oliveira and Fernandes 2009).
EYES = {
    "all cones": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    "protanopia": ((0.152286, 1.052583, -0.204868), (0.114503, 0.786281, 0.099216), (-0.003882, -0.048116, 1.051998)),
    "deuteranopia": ((0.367322, 0.860646, -0.227968), (0.280085, 0.672501, 0.047413), (-0.011820, 0.042940, 0.968881)),
    "tritanopia": ((1.255528, -0.076749, -0.178779), (-0.078411, 0.930809, 0.147602), (0.004733, 0.691367, 0.303900)),
}


def _variables() -> dict[str, dict[str, str]]:
    """Return the variables of each theme."""
    style = STYLE.read_text()
    blocks = re.findall(r":root[^{]*\{([^}]*--k0[^}]*)\}", style)
    return {
        theme: dict(re.findall(r"--(\w+): (#\w+);", block)) for theme, block in zip(("light", "dark"), blocks, strict=True)
    }


VARIABLES = _variables()
COLORS = {theme: {what: found[name] for what, name in MEMORY.items()} for theme, found in VARIABLES.items()}


def rgb(color: str) -> tuple[int, int, int]:
    """Return #rgb or #rrggbb as numbers."""
    digits = color[1:] if len(color) == 7 else "".join(2 * digit for digit in color[1:])
    red, green, blue = bytes.fromhex(digits)
    return red, green, blue


def distance(one: str, other: str, eyes: str) -> float:
    """Return how far two colors are apart for such eyes, in CIE76; 2 can just be seen."""
    a, b = (_lab(_seen(color, eyes)) for color in (one, other))
    return float(sum((x - y) ** 2 for x, y in zip(a, b, strict=True)) ** 0.5)


def _seen(color: str, eyes: str) -> list[float]:
    shares = [part / 255 for part in rgb(color)]
    linear = [share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4 for share in shares]
    return [min(1, max(0, sum(a * b for a, b in zip(row, linear, strict=True)))) for row in EYES[eyes]]


def _lab(linear: list[float]) -> tuple[float, float, float]:
    red, green, blue = linear
    x, y, z = (
        share ** (1 / 3) if share > 0.008856 else 7.787 * share + 16 / 116
        for share in (
            (0.4124 * red + 0.3576 * green + 0.1805 * blue) / 0.9505,
            0.2126 * red + 0.7152 * green + 0.0722 * blue,
            (0.0193 * red + 0.1192 * green + 0.9505 * blue) / 1.089,
        )
    )
    return 116 * y - 16, 500 * (x - y), 200 * (y - z)
