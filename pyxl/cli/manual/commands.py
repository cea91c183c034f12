"""A command, as click knows it, to a page of the manual: the words are those of `--help`."""

import inspect
import re
from typing import NamedTuple

import click

from pyxl.cli.app import COMMANDS, pyxl
from pyxl.cli.manual import markdown, roff

#: The paragraph at the end of each command's help.
EXAMPLE = "Example:"
_STATUS = re.compile(r"^Exit status:?\s*")
#: Path -> what it is, and the commands that a page names it for; none is all of them.
FILES: dict[str, tuple[str, tuple[str, ...]]] = {
    "/etc/xen/pyxl.conf": ("this site's defaults, pyxl.conf(5)", ("save", "checkpoint", "save-all", "restore-all")),
    "/etc/xen/xl.conf": ("defaults of guests' configs, xl.conf(5)", ("create", "config")),
    "/var/log/xen/pyxl-NAME.log": (
        "what pyxl, its monitor and libxl did for the guest NAME",
        ("create", "save", "restore", "checkpoint", "recover", "destroy", "save-all", "restore-all"),
    ),
    "/var/lib/xen/pyxl": (
        "a note of each operation that is under way, by the guest's uuid",
        ("save", "restore", "checkpoint", "create", "recover"),
    ),
}
#: Commands whose pages point to what a checkpoint is.
FORMAT = (
    "save", "restore", "checkpoint", "checkpoints", "convert", "export", "import", "verify", "inspect", "extract",
    "diff",
)  # fmt: skip
#: Of a command whose help says no more.
STATUS = "0 done, 1 failed, 2 wrong arguments; pyxl(1) has all."


class Help(NamedTuple):
    """What a command's docstring says, by where it stands in a page."""

    text: list[str]
    status: str
    example: list[str]


def help_of(command: click.Command) -> Help:
    """Return the parts of a command's help."""
    text, status, example = [], "", []
    for block in inspect.cleandoc((command.help or "").partition("\f")[0]).split("\n\n"):
        lines = block.strip("\n").split("\n")
        is_kept = lines[0].strip() == "\b"
        lines = lines[is_kept:]
        if lines[0] == EXAMPLE:
            example = [line.strip() for line in lines[1:]]
        elif found := _STATUS.match(block):
            status = block[found.end() :]
        else:
            text.append(block)
    return Help(text, status, example)


def commands() -> dict[str, click.Command]:
    """Return every command of this pyxl, and those of its groups, by their names: "checkpoints prune"."""
    context = click.Context(pyxl, info_name="pyxl")
    found: dict[str, click.Command] = {}
    for name in COMMANDS:
        command = pyxl.get_command(context, name)
        assert command is not None
        found[name] = command
        if isinstance(command, click.Group):
            found |= {f"{name} {part}": each for part, each in command.commands.items()}
    return found


def page(name: str, date: str, version: str) -> str:
    """Return the page of a command."""
    command = commands()[name]
    said = help_of(command)
    parts = {part: each for part, each in commands().items() if part.startswith(f"{name} ")}
    lines = roff.title(f"pyxl-{name}", 1, date, f"pyxl {version}")
    lines += _name(f"pyxl-{name}", _short(name))
    lines += roff.heading("Synopsis")
    for each, it in parts.items() or [(name, command)]:
        lines += [*([".br"] if lines[-1] != '.SH "SYNOPSIS"' else []), _usage(each, it)]
    lines += roff.heading("Description") + _texts(said.text)
    if parts:
        lines += roff.heading("Commands")
        for each, it in parts.items():
            lines += roff.subheading(f"pyxl {each}") + _texts(help_of(it).text) + _options(each, it)
            if status := help_of(it).status:
                lines += roff.paragraph(f"Exit status: {status}")
    elif options := _options(name, command):
        lines += roff.heading("Options") + options
    lines += roff.heading("Exit status") + roff.paragraph(said.status or STATUS)
    if files := [(path, what) for path, (what, of) in FILES.items() if name in of]:
        lines += roff.heading("Files")
        for path, what in files:
            lines += roff.item(roff.bold(path), what)
    lines += roff.heading("Examples")
    for example in [said.example] + [help_of(it).example for it in parts.values()]:
        lines += roff.literal(example)
    return roff.page(lines + _see_also(name, [said, *map(help_of, parts.values())]))


def overview(date: str, version: str) -> str:
    """Return the page of pyxl itself."""
    said = help_of(pyxl)
    lines = roff.title("pyxl", 1, date, f"pyxl {version}")
    lines += _name("pyxl", "save, restore and create virtual machines on Xen")
    lines += [*roff.heading("Synopsis"), _usage("", pyxl)]
    lines += roff.heading("Description") + _texts(said.text) + markdown.converted(_text("pyxl"))
    lines += roff.heading("Options") + _options("", pyxl)
    lines += roff.heading("Commands")
    for name, (_, short) in COMMANDS.items():
        lines += roff.item(f"{roff.bold(f'pyxl-{name}')}(1)", short)
    lines += roff.heading("Exit status") + markdown.converted(markdown.chapter("README.md", "Exit statuses"))
    lines += roff.heading("Files")
    for path, (what, _) in FILES.items():
        lines += roff.item(roff.bold(path), what)
    lines += roff.heading("Examples") + markdown.converted(_text("examples"))
    lines += roff.heading("See also")
    return roff.page([*lines, _pages(["pyxl.conf(5)", "pyxl-checkpoint(7)", "xl(1)", "xl.cfg(5)"])])


def written(name: str, section: int, what: str, date: str, version: str) -> str:
    """Return a page that is written as Markdown."""
    lines = roff.title(name, section, date, f"pyxl {version}")
    lines += _name(name, what)
    return roff.page(lines + markdown.converted(_text(name)))


def _name(name: str, what: str) -> list[str]:
    return [*roff.heading("Name"), f"{roff.escape(name, literal=True)} \\- {roff.escape(what)}"]


def _short(name: str) -> str:
    """Return what a command does, as whatis(1) prints it."""
    text = COMMANDS[name][1].rstrip(".")
    return text[:1].lower() + text[1:]


def _text(name: str) -> str:
    return (markdown.ROOT / f"pyxl/cli/manual/texts/{name}.md").read_text()


def _usage(name: str, command: click.Command) -> str:
    pieces = command.collect_usage_pieces(_context(name, command))
    return f"{roff.bold(f'pyxl {name}'.strip())} " + " ".join(roff.escape(piece, literal=True) for piece in pieces)


def _context(name: str, command: click.Command) -> click.Context:
    parent = click.Context(pyxl, info_name="pyxl", **pyxl.context_settings)
    return click.Context(command, parent, info_name=name) if name else parent


def _texts(blocks: list[str]) -> list[str]:
    lines: list[str] = []
    for block in blocks:
        kept = block.split("\n")
        lines += roff.literal(kept[1:]) if kept[0].strip() == "\b" else roff.paragraph(block)
    return lines


def _options(name: str, command: click.Command) -> list[str]:
    context = _context(name, command)
    options = [each for each in command.get_params(context) if isinstance(each, click.Option)]
    records = [option.get_help_record(context) for option in options]
    return [line for record in records if record for line in roff.item(roff.bold(record[0]), record[1])]


def _see_also(name: str, said: list[Help]) -> list[str]:
    """Name the pages that the text speaks of, and those of the same family, which share a module."""
    words = " ".join(" ".join(each.text) for each in said)
    spoken = [other for other in COMMANDS if re.search(rf"\bpyxl {other}\b", words)]
    family = [other for other, (module, _) in COMMANDS.items() if module == COMMANDS[name][0]]
    pages = [f"pyxl-{other}(1)" for other in dict.fromkeys(spoken + family) if other != name]
    pages += ["pyxl.conf(5)"] * (name in FILES["/etc/xen/pyxl.conf"][1]) + ["pyxl-checkpoint(7)"] * (name in FORMAT)
    return [*roff.heading("See also"), _pages(["pyxl(1)", *pages, "xl(1)"])]


def _pages(names: list[str]) -> str:
    return ",\n".join(roff.bold(name.partition("(")[0]) + name[name.index("(") :] for name in names)
