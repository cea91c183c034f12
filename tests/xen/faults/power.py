"""A repository on a disk that loses power (dom0/power.py)."""

import json

from tests.xen.conftest import Dom0
from tests.xen.link import PYTHON


def lose(dom0: Dom0, count: int, seed: int) -> list[str]:
    """Let it lose power so many times, and return what was lost of it."""
    dom0.run("mkdir -p /root/faults")
    said = dom0.run(f"cd /root; {PYTHON} -m tests.xen.faults.dom0.power {count} {seed}", timeout=60 + 30 * count).stdout
    times = json.loads(said)
    assert len(times) == count
    assert {each["step"] for each in times if each["died"]} == {"import", "checkpoints"}, "nothing was cut short"
    return [str(each) for each in times if each["lost"] or each["damaged"]]


def table(dom0: Dom0, count: int, seed: int) -> int:
    """Print what was lost, and return how often something was."""
    lost = lose(dom0, count, seed)
    print("\n".join([*lost, f"losses of power: {len(lost)} of {count} lost a checkpoint"]), flush=True)
    return len(lost)
