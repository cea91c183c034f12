"""What save-all and restore-all say: a line for each guest, totals at the end, or JSON."""

import json

import click

from pyxl.cli.words import printable, size, tell
from pyxl.ops.outcomes import GOOD, Outcome, Tally

INTERRUPTED = 130


def line(outcome: Outcome) -> None:
    """Print what became of a guest; on stderr where that is a failure."""
    named = printable(f'{outcome.domid} "{outcome.name}"' if outcome.domid else f'"{outcome.name}"')
    how = f": {size(outcome.size)} in {outcome.seconds:.1f} s" if outcome.size else ""
    why = f": {printable(outcome.why)}" if outcome.why else ""
    if outcome.outcome in GOOD:
        click.echo(f"{outcome.outcome} {named}{how}{why}")
    else:
        tell(f"pyxl: {named} is {outcome.outcome}{why}")


def nothing(outcome: Outcome) -> None:
    """Print nothing of a guest: JSON has it at the end."""


def end(tally: Tally, as_json: bool) -> int:
    """Print the totals, and return the exit status."""
    if as_json:
        guests = [each._asdict() for each in tally.outcomes]
        whole = {"directory": str(tally.directory), "seconds": round(tally.seconds, 3), "stopped": tally.stopped}
        click.echo(json.dumps({**whole, "guests": guests}))
    else:
        kinds = {each.outcome: 0 for each in tally.outcomes}
        for each in tally.outcomes:
            kinds[each.outcome] += 1
        counts = ", ".join(f"{count} {kind}" for kind, count in kinds.items()) or "no guests"
        bytes_ = size(sum(each.size for each in tally.outcomes))
        click.echo(f"{tally.directory}: {counts}; {bytes_} in {tally.seconds:.1f} s")
    if tally.stopped:
        tell(f"pyxl: {tally.stopped}")
    return INTERRUPTED if tally.interrupted else int(tally.failed or bool(tally.stopped))
