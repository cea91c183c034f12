"""What may follow on a command line: the words before it go in, a line for each choice comes out.

A shell's script sets _PYXL_COMPLETE, and calls pyxl at every Tab: nothing here may fail, or say anything else.
"""

import contextlib
import copy
import os
import re
from collections.abc import Callable, Iterable
from pathlib import Path

import click
from click.shell_completion import CompletionItem, ShellComplete, split_arg_string

from pyxl.cli.completion import values

SCRIPTS = {"bash": "pyxl.bash", "zsh": "_pyxl", "fish": "pyxl.fish"}

#: Returns what may stand for an argument: the values so far, and what is there of it.
Values = Callable[[click.Context, str], Iterable[CompletionItem]]
#: What an argument can be, by the word that the help has for it.
WORDS: dict[str, Values] = {
    "DOMAIN": values.domains, "DOM": values.domains, "DOMID": values.domids, "FILE": values.checkpoints,
    "CHECKPOINT": values.checkpoints, "A": values.checkpoints, "B": values.checkpoints, "OLD": values.checkpoints,
    "NEW": values.files, "REPO": values.repositories, "REPO@N": values.checkpoints, "CONFIG": values.configs,
    "DIR": values.directories, "IMAGE": values.files,
}  # fmt: skip
#: Where a command means something else by it.
OF_COMMAND: dict[tuple[str, str], Values] = {
    ("save", "FILE"): values.files, ("export", "FILE"): values.files, ("create", "FILE"): values.configs,
    ("dump-core", "FILE"): values.files, ("cd-insert", "TARGET"): values.files,
    ("config-update", "FILE"): values.configs,
    ("config check", "FILE"): values.configs, ("config show", "FILE"): values.configs,
    ("config diff", "A"): values.any_config, ("config diff", "B"): values.any_config, ("domid", "NAME"): values.domains,
    ("clone", "SOURCE"): values.checkpoints_and_domains, ("clone", "NAME"): values.clones,
    ("revert", "NAME"): values.clones,
}  # fmt: skip
#: Commands whose arguments behind DOMAIN are its devices, of this kind.
DEVICES = {"block-detach": "vbd", "network-detach": "vif", "cd-insert": "vbd", "cd-eject": "vbd"}
#: What options take whose values click does not know.
OPTIONS = {"--compress": ("auto", "off", "1", "3", "9"), "--suite": ("bookworm", "trixie")}


def answer(group: click.Group, shell: str, words: list[str]) -> int:
    """Print the choices, or with SHELL_source the shell's script."""
    if shell.endswith("_source"):
        print((Path(__file__).parent / SCRIPTS[shell.removesuffix("_source")]).read_text(), end="")
        return 0
    with contextlib.suppress(Exception), contextlib.redirect_stderr(None):
        for line in (_of_bash if shell == "bash" else _of_words)(group, words):
            print(line)
    return 0


def choices(group: click.Group, before: list[str], last: str) -> list[CompletionItem]:
    """Return what may stand in the place of ``last`` behind the words ``before``."""
    named = next((word for word in before if not word.startswith("-")), None)
    if named is not None and named not in group.list_commands(click.Context(group)):
        return []
    if named == "save":  # its --compress takes no word that follows
        before = [f"{word}=" if word == "--compress" else word for word in before]
    found = _Choices(group, {}, "pyxl", "").get_completions(before, last)
    if not found and before == ["checkpoints"]:  # its `list` need not be said
        found = choices(group, [*before, "list"], last)
    option, is_set, _ = last.partition("=")
    if is_set and last.startswith("--"):
        for item in found:
            item.value = f"{option}={item.value}"
    return found


class _Choices(ShellComplete):
    """click finds out which option or argument comes next."""

    name = "pyxl"


def equipped(name: str, command: click.Command) -> click.Command:
    """Return the command with parameters for whose values click asks here, and its subcommands so, too."""
    command = copy.copy(command)
    if isinstance(command, click.Group):
        command.commands = {part: equipped(f"{name} {part}", each) for part, each in command.commands.items()}
    command.params = [copy.copy(param) for param in command.params]
    for param in command.params:
        if isinstance(param, click.Option):
            known = [value for option in param.opts for value in OPTIONS.get(option, ())]
            if known:
                param.type = _Kind([values.among(known)])
        elif not isinstance(param.type, click.Choice):
            param.type = _Kind(kinds(name, param))
    return command


def kinds(name: str, argument: click.Parameter) -> list[Values]:
    """Return what an argument can be; several words stand for one that may be left out, and the next."""
    found = [OF_COMMAND.get((name, word)) or WORDS.get(word) for word in words_of(argument)]
    if name in DEVICES and not any(found):
        found = [values.devices(DEVICES[name])]
    return [each for each in found if each]


def words_of(argument: click.Parameter) -> list[str]:
    """Return the words by which the help calls an argument."""
    return re.findall(r"[A-Z][A-Z@]*", argument.metavar or str(argument.name).upper())


class _Kind(click.ParamType):  # type: ignore[type-arg]
    """A value that can be several things."""

    name = "text"

    def __init__(self, of: list[Values]) -> None:
        self._of = of

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        found = {(item.type, item.value): item for each in self._of for item in each(ctx, incomplete)}
        shown = [item for item in found.values() if item.type != "file"]
        return shown or list(found.values())


def _of_words(group: click.Group, words: list[str]) -> Iterable[str]:
    *before, last = words or [""]
    return map(_line, choices(group, before, last))


def _of_bash(group: click.Group, _: list[str]) -> Iterable[str]:
    """bash cuts words at more characters than a shell does, and only replaces what is behind the last cut.

    It takes an @ for the beginning of a word, the others for ends.
    """
    line = os.environ["COMP_LINE"][: int(os.environ["COMP_POINT"])]
    words = split_arg_string(line)[1:]
    last = words.pop() if words and not line.endswith((" ", "\t")) else ""
    cuts = [at for at, letter in enumerate(last) if letter in os.environ["COMP_WORDBREAKS"] and letter in "@=:"]
    kept = last[: cuts[-1] + (last[cuts[-1]] != "@")] if cuts and "'" not in line and '"' not in line else ""
    for item in choices(group, words, last):
        item.value = item.value.removeprefix(kept)
        yield _line(item)


def _line(item: CompletionItem) -> str:
    """Return a choice as the scripts read it: its kind, a tab, its value, a tab, its help."""
    kind = {"plain": "word", "dir": "files", "file": "files"}.get(item.type, item.type)
    help = " ".join((item.help or "").split())
    return f"{kind}\t{item.value}\t{help}" if item.value.isprintable() else ""
