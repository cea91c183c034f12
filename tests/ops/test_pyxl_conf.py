"""The site's own defaults, and how the command line passes over them."""

from pathlib import Path

import pytest

from pyxl.cli.save import save_command
from pyxl.errors import PyxlError, UsageError
from pyxl.model.compression import Compression, compression
from pyxl.ops import pyxl_conf
from pyxl.ops.preflight_target import has_an_end
from pyxl.ops.pyxl_conf import Defaults


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "pyxl.conf"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", Defaults()),
        ("# compress = auto\n\n", Defaults()),
        ("compress = auto\nthreads=2", Defaults("auto", 2)),
        ("  compress = '-3'  # fast\n", Defaults("-3")),
        ('compress="off"\nthreads = "8"\n', Defaults("off", 8)),
    ],
)
def test_settings(file: Path, text: str, found: Defaults) -> None:
    file.write_text(text)
    assert pyxl_conf.read(file) == found


def test_a_site_without_a_file_has_pyxl_s_defaults(file: Path) -> None:
    assert pyxl_conf.read(file) == Defaults()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("compress = auto\ncolour = blue", ":2: 'colour = blue' sets nothing: there are compress and threads"),
        ("compress", ":1: 'compress' sets nothing"),
        ("compress =", ":1: 'compress =' sets nothing"),
        ("= auto", ":1: '= auto' sets nothing"),
        ("compress = 0", ": compress is auto, off, or a level from -7 to 19, but not 0, and not '0'"),
        ("compress = best", "and not 'best'"),
        ("compress = 20", "and not '20'"),
        ("threads = 0", ": threads is a number from 1 to 64, and not '0'"),
        ("threads = many", "and not 'many'"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(file: Path, text: str, said: str) -> None:
    file.write_text(text)
    with pytest.raises(UsageError) as caught:
        pyxl_conf.read(file)
    assert str(caught.value).startswith(str(file))
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "found"), [("off", None), ("auto", Compression(None, 2)), ("-7", Compression(-7, 2)), ("19", Compression(19, 2))]
)
def test_a_compression(text: str, found: Compression | None) -> None:
    assert compression(text, 2) == found


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        ([], (None, None)), (["--compress"], ("auto", None)), (["--compress=3", "--threads=2"], ("3", 2)),
        (["--compress=-5"], ("-5", None)), (["--compress=off"], ("off", None)),
    ],
)  # fmt: skip
def test_the_option_may_stand_without_a_level(arguments: list[str], found: tuple[str | None, int | None]) -> None:
    for words in ([*arguments, "web1", "file"], ["web1", "file", *arguments]):
        said = save_command.make_context("save", list(words)).params
        assert (said["compress"], said["threads"]) == found
        assert (said["domain"], said["file"]) == ("web1", Path("file"))


def test_a_block_device_keeps_no_compressed_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    has_an_end(tmp_path / "new")
    has_an_end(1)
    monkeypatch.setattr(Path, "is_block_device", lambda _: True)
    with pytest.raises(PyxlError, match="a block device keeps no compressed checkpoint"):
        has_an_end(tmp_path / "disk")
