"""The manual: every command has an example that it takes, every page is right to groff and mandoc."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import click
import pytest

from pyxl.cli.app import COMMANDS, pyxl
from pyxl.cli.manual import markdown
from pyxl.cli.manual.__main__ import pages
from pyxl.cli.manual.commands import commands, help_of
from pyxl.ops.pyxl_conf import Defaults
from tests.xen.host.test_manual import STEPS, examples

ALL = {"": pyxl, **commands()}


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("man")
    for name, text in pages().items():
        (directory / name).write_text(text)
    return directory


def parsed(words: list[str]) -> list[str]:
    """Parse a command line as pyxl does, run nothing, and return the commands on its way."""
    context: click.Context = pyxl.make_context("pyxl", words)
    way = []
    while isinstance(context.command, click.Group):
        rest = [*vars(context).get("_protected_args", vars(context).get("protected_args", ())), *context.args]
        name, command, rest = context.command.resolve_command(context, rest)
        assert command is not None and name is not None
        way.append(name)
        context = command.make_context(name, rest, parent=context)
    return way


@pytest.mark.parametrize("name", ALL)
def test_each_command_has_an_example_that_it_takes(name: str) -> None:
    example = help_of(ALL[name]).example
    assert example, f"the help of pyxl {name} ends with no example"
    for line in example:
        program, *words = shlex.split(line)
        assert program == "pyxl"
        assert " ".join(parsed(words)).startswith(name), line


def test_each_example_is_run_on_the_lab() -> None:
    """In tests/xen/host/test_manual.py, whose table says what it needs."""
    assert examples() == {step.example for step in STEPS}


def test_an_option_that_does_not_exist_is_seen() -> None:
    with pytest.raises(click.NoSuchOption):
        parsed(["save", "--no-such", "web1", "/srv/web1.checkpoint"])


def test_help_shows_the_example_on_lines_of_its_own() -> None:
    said = help_of(ALL["save"]).example[0]
    context = click.Context(ALL["save"], info_name="save")
    assert f"\n  Example:\n      {said}\n" in ALL["save"].get_help(context)


def test_there_is_a_page_for_each_command(written: Path) -> None:
    names = {path.name for path in written.iterdir()}
    assert names == {"pyxl.1", "pyxl.conf.5", "pyxl-checkpoint.7", *(f"pyxl-{name}.1" for name in COMMANDS)}


def test_the_build_writes_pages_and_completion(written: Path, tmp_path: Path) -> None:
    environment = {"SOURCE_DATE_EPOCH": "86400", "PATH": "/usr/bin:/bin"}
    argv = [sys.executable, "-m", "pyxl.cli.manual", str(tmp_path / "new")]
    subprocess.run(argv, cwd=markdown.ROOT, env=environment, check=True)
    names = {path.name for path in (tmp_path / "new").iterdir()}
    assert names == {path.name for path in written.iterdir()} | {"pyxl.bash", "_pyxl", "pyxl.fish"}
    assert '"1970-01-02"' in (tmp_path / "new/pyxl-save.1").read_text()


@pytest.mark.parametrize("judge", ["mandoc -Tlint -Wwarning", "groff -man -Tutf8 -ww -z"])
def test_no_page_has_anything_to_warn_of(written: Path, judge: str) -> None:
    for page in sorted(written.iterdir()):
        done = subprocess.run([*judge.split(), page], capture_output=True, text=True, check=False)
        assert (done.stdout, done.stderr) == ("", "")


def shown(page: Path) -> str:
    """Return a page as a reader sees it."""
    argv = ["mandoc", "-Tutf8", "-Owidth=120", str(page)]
    return re.sub(".\x08", "", subprocess.run(argv, check=True, capture_output=True, text=True).stdout)


def test_a_page_says_what_help_says(written: Path) -> None:
    """Every option and every word of a command's help stands in its page."""
    for name, command in commands().items():
        text = " ".join(shown(written / f"pyxl-{name.split()[0]}.1").split())
        for option in command.params:
            assert not isinstance(option, click.Option) or option.hidden or max(option.opts, key=len) in text, name
        for block in help_of(command).text:
            for word in re.findall(r"[A-Za-z]{9,}", block):
                assert word in text.replace("\u2010 ", ""), (name, word)


def test_what_pages_are_made_of_is_there(written: Path) -> None:
    text = shown(written / "pyxl.conf.5")
    for key in Defaults._fields:
        assert re.search(rf"^ +{key}$", text, re.MULTILINE)
    text = shown(written / "pyxl-checkpoint.7")
    for said in ("trailer", "FILE is the old checkpoint or the whole new one, never a part", "zstd -dc", "cut or damaged"):
        assert said in " ".join(text.split())
    assert "wrong arguments" in shown(written / "pyxl.1")


def test_every_page_that_is_pointed_to_is_there(written: Path) -> None:
    for page in written.iterdir():
        for name, section in re.findall(r"\\fB(pyxl[\w\\.-]*)\\fP\((\d)\)", page.read_text()):
            assert (written / f"{name.replace(chr(92), '')}.{section}").exists(), (page.name, name)


def test_a_chapter_that_is_gone_is_said() -> None:
    with pytest.raises(KeyError, match="no chapter 'Nothing'"):
        markdown.chapter("README.md", "Nothing")


@pytest.mark.parametrize(
    ("text", "roff"),
    [
        ("a \\ b", [".PP", "a \\e b"]),
        (".start", [".PP", "\\&.start"]),
        ("`-p` and `x`", [".PP", "\\fB\\-p\\fP and \\fBx\\fP"]),
        ("| a | b |\n|---|---|\n| `x \\| y` | is |", [".TP", "\\fBx | y\\fP", "is"]),
        ("- one\n  more\n- two", [".IP \\(bu 2", "one more", ".IP \\(bu 2", "two"]),
        ("so:\n\n    a\n    - b", [".PP", "so:", ".PP", ".RS 4", ".nf", "a", "\\- b", ".fi", ".RE"]),
        ("[text](there.md#x)…", [".PP", "text\\[u2026]"]),
    ],
)
def test_markdown(text: str, roff: list[str]) -> None:
    assert markdown.converted(text) == roff
