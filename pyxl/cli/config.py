"""`pyxl config`: check, show and compare the configs of guests."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pyxl.cli import wiring
from pyxl.cli.diff_text import member
from pyxl.cli.words import printable, printable_lines
from pyxl.errors import PyxlError, UsageError
from pyxl.formats.guest_config import GuestConfig
from pyxl.formats.xlcfg.cpus import MAX_CPUS
from pyxl.repository.reference import reference

if TYPE_CHECKING:
    from pyxl.formats.xlcfg.report import Report

CLEAN, WARNINGS, ERRORS = 0, 1, 2
STATUS = {CLEAN: "clean", WARNINGS: "warnings", ERRORS: "errors"}
DIFFERENT = 1
#: Xen's own limit.
MAX_NODES = 64
#: In place of the uuid that each parse makes up.
NO_UUID = "00000000-0000-0000-0000-000000000000"

cpus_option = click.option(
    "--cpus", type=click.IntRange(1, MAX_CPUS), help='How many CPUs the host has, for cpus="all".'
)
nodes_option = click.option("--nodes", type=click.IntRange(1, MAX_NODES), help="How many NUMA nodes share them (1).")


@click.group("config", short_help="Check, show and compare guests' configs.")
def config_command() -> None:
    """Check, show and compare guests' configs; files need neither root nor Xen.

    \b
    Example:
        pyxl config show /etc/xen/web1.cfg
    """


@config_command.command("check")
@click.argument("files", nargs=-1, required=True, metavar="FILE…", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="For programs; pyxl/cli/README.md has its members.")
@cpus_option
@nodes_option
def check(files: tuple[Path, ...], as_json: bool, cpus: int | None, nodes: int | None) -> int:
    """Say all that is wrong with xl.cfg files.

    It asks no host: without --cpus, every CPU and node that a file names is taken to be there.

    Exit status: 0 they are clean, 1 there are warnings, 2 there are errors.

    \b
    Example:
        pyxl config check /etc/xen/web1.cfg
    """
    host = _host(cpus or MAX_CPUS, nodes or (1 if cpus else MAX_NODES))
    found = [_checked(file, host) for file in files]
    if as_json:
        click.echo(json.dumps(found, indent=2))
    else:
        for each in found:
            for kind in ("errors", "warnings"):
                for message in each[kind]:
                    click.echo(printable_lines(f"{kind[:-1]}: {message['text']}"))
                    if message["hint"]:
                        click.echo(printable_lines(f"hint: {message['hint']}"))
            if each["status"] == STATUS[CLEAN]:
                click.echo(printable(f"{each['file']}: clean"))
    worst = {each["status"] for each in found}
    return max(status for status, word in STATUS.items() if word in worst)


@config_command.command("show")
@click.argument("what", metavar="FILE|DOMAIN|CHECKPOINT")
@click.option("--json", "as_json", is_flag=True, help="As libxl is given it, not as an xl.cfg.")
@cpus_option
@nodes_option
@click.pass_obj
def show(verbose: bool, what: str, as_json: bool, cpus: int | None, nodes: int | None) -> None:
    """Show a config as an xl.cfg that makes the same guest, or as libxl's JSON.

    A domain is a domid or a name; what is also the name of a file is the file.

    \b
    Example:
        pyxl config show web1
    """
    config = _config(what, _host(cpus, nodes), verbose)
    if as_json:
        click.echo(config.to_json(), nl=False)
    else:
        from pyxl.formats.xlcfg.writer import text

        click.echo(text(config.document), nl=False)


@config_command.command("diff")
@click.argument("a", metavar="A")
@click.argument("b", metavar="B")
@cpus_option
@nodes_option
@click.pass_obj
def diff(verbose: bool, a: str, b: str, cpus: int | None, nodes: int | None) -> int:
    """Show which members differ between the configs A and B, each an xl.cfg file, a domain, or a checkpoint.

    Exit status: 0 nothing differs, 1 something does, 2 trouble.

    \b
    Example:
        pyxl config diff /etc/xen/web1.cfg web1
    """
    from pyxl.formats.members import members

    try:
        one, other = (_config(what, _host(cpus, nodes), verbose, NO_UUID) for what in (a, b))
    except (PyxlError, OSError) as error:
        raise UsageError(str(error), getattr(error, "hint", "")) from error
    found = list(members(one.document, other.document))
    if NO_UUID in (one.uuid, other.uuid):
        found = [each for each in found if each.name != "c_info.uuid"]
    for each in found:
        click.echo(printable(member(each)))
    return DIFFERENT if found else 0


def _host(cpus: int | None, nodes: int | None) -> dict[str, Any]:
    """Return what parse is told of a host with so many CPUs, as many on each node."""
    if cpus is None:
        return wiring.release()
    return wiring.release() | {"host_cpus": cpus, "host_nodes": [cpu * (nodes or 1) // cpus for cpu in range(cpus)]}


def _checked(file: Path, host: dict[str, Any]) -> dict[str, Any]:
    from pyxl.formats.xlcfg.parse import examine

    told: dict[str, list[dict[str, Any]]] = {"errors": [], "warnings": []}
    try:
        _, report = examine([(str(file), wiring.config_text(file))], host)
    except UsageError as error:  # it cannot be read
        told["errors"].append({"line": None, "column": None, "text": str(error), "hint": error.hint or None})
    else:
        for kind, messages in (("errors", report.errors), ("warnings", report.warnings)):
            told[kind] = [_message(report, message) for message in messages]
    status = ERRORS if told["errors"] else WARNINGS if told["warnings"] else CLEAN
    return {"file": str(file), "status": STATUS[status], **told}


def _message(report: "Report", message: str) -> dict[str, Any]:
    place = report.place(message)
    _, line, column = place.rsplit(":", 2) if place else ("", None, None)
    return {
        "line": line and int(line), "column": column and int(column), "text": report.shown(message),
        "hint": report.hint(message) or None,
    }  # fmt: skip


def _config(what: str, host: dict[str, Any], verbose: bool, uuid: str | None = None) -> GuestConfig:
    """Return the config of an xl.cfg file, a checkpoint or a domain; ``uuid`` is that of a file without one."""
    file = Path(what)
    is_kept = reference(file) is not None
    if not is_kept and not file.exists():
        from pyxl.ops.lookup import find_guest

        with wiring.on_host("config", verbose) as opened:
            return GuestConfig(opened.xen.config_json(find_guest(opened.xen, opened.store, what).domid), what)
    if is_kept or _is_checkpoint(file):
        from pyxl.files.inspect import guest_config

        return guest_config(file)
    from pyxl.formats.xlcfg.parse import parse

    document = parse([(what, wiring.config_text(file))], host, new_uuid=(lambda: uuid) if uuid else None)
    return GuestConfig(json.dumps(document), what)


def _is_checkpoint(file: Path) -> bool:
    from pyxl.formats import seekable
    from pyxl.formats.stream.xl_header import MAGIC

    with open(file, "rb") as source:
        return source.read(len(MAGIC)).startswith((MAGIC, seekable.MAGIC))
