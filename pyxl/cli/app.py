"""The `pyxl` group and the one place where errors become lines and exit statuses."""

import importlib
import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from pyxl import __version__
from pyxl.cli.words import tell, tell_error
from pyxl.errors import PyxlError

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

# Command name -> (its module, its line in `pyxl --help`).  A module is imported only when its command runs: in a
# dom0 every import costs time.
COMMANDS = {
    "create": ("create", "Build a domain from an xl.cfg file and start it."),
    "save": ("save", "Save a domain's state to a checkpoint file."),
    "restore": ("restore", "Restore a domain from a checkpoint."),
    "clone": ("clone", "Start several guests from one checkpoint, each with its own disks."),
    "revert": ("clone", "Put a clone back to where it started."),
    "save-all": ("save_all", "Save all guests, as before this host goes down."),
    "restore-all": ("restore_all", "Bring back the guests that save-all saved."),
    "checkpoint": ("checkpoint", "Add a checkpoint of a running domain to a repository."),
    "convert": ("convert", "Convert a checkpoint of Xen 4.2 to 4.5."),
    "checkpoints": ("checkpoints", "List, thin out and remove checkpoints of a repository."),
    "import": ("import_", "Put a checkpoint file into a repository."),
    "export": ("export", "Write a checkpoint of a repository to a file."),
    "verify": ("verify", "Check checkpoints to their last bit."),
    "inspect": ("inspect", "Show what is in a checkpoint."),
    "diff": ("diff", "Show what differs between two checkpoints."),
    "extract": ("extract", "Take memory, a page or device state out of a checkpoint."),
    "config": ("config", "Check, show and compare guests' configs."),
    "recover": ("recover", "Put right what a toolstack that died has left."),
    "list": ("domains", "List the domains of this host."),
    "shutdown": ("lifecycle", "Ask domains to power off."),
    "reboot": ("lifecycle", "Ask domains to reboot."),
    "destroy": ("domains", "End a domain at once."),
    "pause": ("domains", "Stop scheduling a domain's vcpus."),
    "unpause": ("domains", "Schedule a paused domain's vcpus again."),
    "domid": ("domains", "Print the domid of a named domain."),
    "domname": ("domains", "Print the name of a domid."),
    "rename": ("lifecycle", "Give a domain another name."),
    "trigger": ("lifecycle", "Press a domain's power button, or send it another event."),
    "sysrq": ("lifecycle", "Send a domain a SysRq."),
    "console": ("attach", "Attach to a domain's console."),
    "vncviewer": ("attach", "Show a domain's display."),
    "vcpu-list": ("vcpus", "List the vcpus of domains."),
    "uptime": ("domains", "Print for how long domains have been up."),
    "info": ("host", "Print what this host is."),
    "dmesg": ("host", "Print the hypervisor's log."),
    "mem-set": ("memory", "Set how much memory a domain is to have."),
    "mem-max": ("memory", "Set the most memory that a domain may be told to have."),
    "block-list": ("block", "List the disks of domains."),
    "block-attach": ("block", "Give a running domain a disk."),
    "block-detach": ("block", "Take a disk away from a running domain."),
    "cd-insert": ("block", "Put a disc into a domain's CD-ROM drive."),
    "cd-eject": ("block", "Take the disc out of a domain's CD-ROM drive."),
    "network-list": ("network", "List the network cards of domains."),
    "network-attach": ("network", "Give a running domain a network card."),
    "network-detach": ("network", "Take a network card away from a running domain."),
    "config-update": ("config_update", "Keep another config for a domain's next reboot."),
    "dump-core": ("dump_core", "Write a domain's memory to a core for gdb."),
    "lab": ("lab", "A real Xen host in QEMU, for a machine without one."),
}


class LazyGroup(click.Group):
    """A group whose commands live in modules that are imported only when called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        entry = COMMANDS.get(name)
        if entry is None:
            return None
        command = getattr(importlib.import_module(f"pyxl.cli.{entry[0]}"), f"{name.replace('-', '_')}_command")
        assert isinstance(command, click.Command)
        if "_PYXL_COMPLETE" in os.environ:
            from pyxl.cli.completion import equipped

            return equipped(name, command)
        return command

    def shell_complete(self, ctx: click.Context, incomplete: str) -> "list[CompletionItem]":
        from click.shell_completion import CompletionItem

        found = [CompletionItem(name, help=text) for name, (_, text) in COMMANDS.items() if name.startswith(incomplete)]
        return found + click.Command.shell_complete(self, ctx, incomplete)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, message="pyxl %(version)s")
@click.option("-v", "--verbose", is_flag=True, help="Show libxl's own log as it happens.")
@click.pass_context
def pyxl(ctx: click.Context, verbose: bool) -> None:
    """Save, restore and create virtual machines on Xen; files are xl's.

    \b
    Example:
        pyxl list
    """
    ctx.obj = verbose


def run(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status; print an error as one line, with its hint below it."""
    if "_PYXL_COMPLETE" in os.environ:  # a shell's script asks what may follow
        from pyxl.cli.completion import answer

        return answer(pyxl, os.environ["_PYXL_COMPLETE"], sys.argv[1:])
    try:
        status = pyxl.main(args=None if argv is None else list(argv), prog_name="pyxl", standalone_mode=False)
        return status if isinstance(status, int) else 0
    except click.ClickException as error:
        context = error.ctx if isinstance(error, click.UsageError) else None
        name = context.command_path if context else "pyxl"
        said = error.format_message()
        # Since click 8.2 a group without a command is an error whose message is its help.
        tell(said if said.startswith("Usage:") else f"{name}: {said}")
        if context and not said.startswith("Usage:"):
            tell(f"      `{name} --help` says more.")
        return error.exit_code
    except click.Abort:
        tell("pyxl: interrupted")
        return 130
    except BrokenPipeError:  # the reader of our output has gone
        return 1
    except OSError as error:
        tell(f"pyxl: {error}")
        return 1
    except PyxlError as error:
        if error.traceback:
            raise
        tell_error(error)
        return error.exit_status
