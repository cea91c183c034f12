"""pyxl lab: a real Xen host in QEMU."""

import json
from pathlib import Path

import click

from pyxl.lab.demo import run_demo
from pyxl.lab.instance import DEFAULT_NAME, Lab
from pyxl.lab.steps import Steps

STDIN = 0
TREE = Path(__file__).resolve().parents[2]
name_option = click.option("--name", default=DEFAULT_NAME, metavar="NAME", help="Which lab; several may run at once.")
tree_option = click.option(
    "--tree", type=click.Path(path_type=Path), default=TREE, help="Working tree; that of this pyxl if not given."
)
RAW = {"ignore_unknown_options": True, "allow_interspersed_args": False}


def lab_named(name: str, suite: str | None = None) -> Lab:
    return Lab(name, suite=suite, steps=Steps())


@click.group(name="lab")
def lab_command() -> None:
    """A real Xen host in QEMU, for a machine without one.

    \b
    Example:
        pyxl lab up
    """


@lab_command.command()
@name_option
@click.option("--suite", metavar="SUITE", help="Debian release of dom0: bookworm (Xen 4.17) or trixie (Xen 4.20).")
def up(name: str, suite: str | None) -> None:
    """Have the lab running; the first time it is built, which takes minutes.

    \b
    Example:
        pyxl lab up --suite bookworm
    """
    lab_named(name, suite).up()


@lab_command.command()
@name_option
@click.option("--suite", metavar="SUITE", help="Debian release of dom0: bookworm (Xen 4.17) or trixie (Xen 4.20).")
@click.option("--keep", is_flag=True, help="With the disk that the last boot has left.")
def boot(name: str, suite: str | None, keep: bool) -> None:
    """Boot a stock host, with systemd, no pyxl and no guests.

    \b
    Example:
        pyxl lab boot --keep
    """
    lab_named(name, suite).boot(keep=keep)


@lab_command.command()
@name_option
def reset(name: str) -> None:
    """Put dom0 and its guests back to the snapshot.

    \b
    Example:
        pyxl lab reset
    """
    lab_named(name).reset()


@lab_command.command()
@name_option
def down(name: str) -> None:
    """Stop the lab; its snapshot stays.

    \b
    Example:
        pyxl lab down
    """
    lab_named(name).down()


@lab_command.command()
@name_option
@click.option("--images", is_flag=True, help="Remove the images that no lab uses any more, too.")
def destroy(name: str, images: bool) -> None:
    """Stop the lab and remove its snapshot and disk.

    \b
    Example:
        pyxl lab destroy --images
    """
    lab = lab_named(name)
    lab.destroy()
    for image in lab.prune() if images else []:
        lab.steps.say(f"removed image {image}")


@lab_command.command("exec", context_settings=RAW)
@name_option
@click.argument("words", nargs=-1, required=True, type=click.UNPROCESSED, metavar="CMD...")
def exec_(name: str, words: tuple[str, ...]) -> int:
    """Run a command in dom0; its exit status is ours.

    One argument is a line for dom0's shell, several are the words of one command.

    \b
    Example:
        pyxl lab exec xl list
    """
    lab = lab_named(name)
    return lab.host.run(words, input=STDIN, stdout=None, stderr=None).returncode


@lab_command.command()
@name_option
@tree_option
def push(name: str, tree: Path) -> None:
    """Put the working tree's pyxl and helper into dom0.

    \b
    Example:
        pyxl lab push
    """
    steps = Steps()
    with steps.step(f"push {tree}"):
        Lab(name, steps=steps).push(tree)


@lab_command.command()
@name_option
def shell(name: str) -> int:
    """Open a shell in dom0.

    \b
    Example:
        pyxl lab shell
    """
    return lab_named(name).host.run("exec bash -l", input=STDIN, stdout=None, stderr=None,
                                    terminal=True).returncode  # fmt: skip


@lab_command.command()
@name_option
@click.argument("guest")
def console(name: str, guest: str) -> int:
    """Attach to a guest's serial console; Ctrl-] leaves it.

    \b
    Example:
        pyxl lab console tick
    """
    return lab_named(name).host.run(["xl", "console", "-t", "serial", guest], input=STDIN, stdout=None,
                                    stderr=None, terminal=True).returncode  # fmt: skip


@lab_command.command()
@name_option
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def status(name: str, as_json: bool) -> None:
    """Show whether the lab runs, where, and what is in it.

    \b
    Example:
        pyxl lab status --json
    """
    data = lab_named(name).status()
    if as_json:
        print(json.dumps(data, indent=2))
        return
    for key, value in data.items():
        print(f"{key:10} {' '.join(value) if isinstance(value, list) else value}")


@lab_command.command()
@name_option
@tree_option
def demo(name: str, tree: Path) -> None:
    """Create, save and restore a guest with pyxl, and check that it went on.

    \b
    Example:
        pyxl lab demo
    """
    steps = Steps()
    run_demo(Lab(name, steps=steps), tree, steps)
