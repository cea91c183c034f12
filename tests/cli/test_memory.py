"""Amounts of memory on the command line, as xl understands them."""

import click
import pytest

from pyxl.cli.memory import Size


@pytest.mark.parametrize(
    ("text", "kb"), [("512", 512 << 10), ("512m", 512 << 10), ("1G", 1 << 20), ("2t", 2 << 30), ("4096k", 4096), ("8192b", 8)]
)
def test_an_amount(text: str, kb: int) -> None:
    assert Size().convert(text, None, None) == kb


@pytest.mark.parametrize("text", ["", "m", "0", "100b", "-1", "1.5g", "12mb", "0x10", "9" * 15 + "t"])
def test_no_amount(text: str) -> None:
    with pytest.raises(click.BadParameter, match="is no amount of memory"):
        Size().convert(text, None, None)
