"""The demonstration: create, save and restore a guest, which goes on where it was."""

import re
import time
from dataclasses import dataclass, replace
from pathlib import Path

from pyxl.errors import LabError, LabLost
from pyxl.lab import recipe
from pyxl.lab.instance import Lab
from pyxl.lab.steps import Steps

NAME = "demo"
CONFIG = f"/root/{NAME}.cfg"
CHECKPOINT = f"/root/{NAME}.xl"
TICK = re.compile(r"^tick (\d+) hash ([0-9a-f]{32}) up ([0-9.]+) dirty \d+$")


@dataclass(frozen=True, slots=True)
class Tick:
    """One line of a test guest: its counter, and the hash of the random data in its memory."""

    counter: int
    hash: str


def parse_tick(line: str) -> Tick:
    """Parse a guest's tick line.

    :raise LabError: it is none.
    """
    found = TICK.match(line.strip())
    if found is None:
        raise LabError(f"not a tick of a test guest: {line.strip()!r}")
    return Tick(int(found[1]), found[2])


def verdict(before: Tick, after: Tick) -> str:
    """Return what is wrong with the restored guest; "" if it went on where it was."""
    if after.hash != before.hash:
        return f"the guest's memory is not what it was: hash {before.hash} before, {after.hash} after"
    if after.counter <= before.counter:
        return f"the guest did not go on: counter {before.counter} before, {after.counter} after"
    return ""


class Demo:
    """Runs commands in dom0 as a user would type them, and shows them."""

    def __init__(self, lab: Lab, steps: Steps) -> None:
        self.lab = lab
        self.steps = steps

    def type(self, line: str, timeout: float = 300) -> str:
        """Show and run one command; return its standard output.

        :raise LabError: it failed.
        """
        self.steps.say(f"\ndom0# {line}")
        began = time.monotonic()
        done = self.lab.exec(f"{{ {line}\n}} 2>&1", timeout=timeout)
        text = done.stdout.decode("utf-8", "replace")
        for each in text.splitlines():
            self.steps.say(f"  {each}")
        self.steps.say(f"  [{time.monotonic() - began:.1f} s]")
        if done.returncode:
            raise LabError(f"the demo failed: status {done.returncode} from: {line}")
        return text

    def tick(self) -> Tick:
        return parse_tick(self.type(f"guestctl tick {NAME}").splitlines()[-1])

    def run(self, tree: Path) -> None:
        """Run the demonstration from the snapshot.

        :raise LabError: pyxl failed, or the guest did not come back as it was.
        :raise LabLost: the emulator or the new guest was lost before the guest could be judged.
        """
        self.lab.reset()
        with self.steps.step(f"push {tree}"):
            self.lab.push(tree)
            config = replace(recipe.GUESTS[0], name=NAME).config()
            self.lab.exec(f"cat > {CONFIG}", input=config, check=True)
        self.type(f"cat {CONFIG}")
        self.type(f"pyxl create {CONFIG}")
        with self.steps.step("wait until the guest has booted"):
            if self.lab.exec(f"guestctl tick {NAME} --timeout 600", timeout=700).returncode:
                raise LabLost("the demo's guest never came up")
        self.type("pyxl list")
        before = self.tick()
        self.type(f"pyxl save {NAME} {CHECKPOINT}")
        self.type(f"ls -l {CHECKPOINT}")
        if listed(self.type("pyxl list")):
            raise LabError(f"the demo failed: {NAME} is still there after its save")
        self.type(f"pyxl restore {CHECKPOINT}")
        if not listed(self.type("pyxl list")):
            raise LabError(f"the demo failed: {NAME} is not there after its restore")
        after = self.tick()
        wrong = verdict(before, after)
        if wrong:
            raise LabError(f"the demo failed: {wrong}")
        self.steps.say(f"\nThe guest went on: counter {before.counter} before, {after.counter} after; "
                       f"its memory's hash is still {after.hash}.")  # fmt: skip


def listed(output: str) -> bool:
    """Tell whether the demo's guest is in the output of ``pyxl list``."""
    return any(line.split()[:1] == [NAME] for line in output.splitlines())


def run_demo(lab: Lab, tree: Path, steps: Steps) -> None:
    """Bring the lab up and run the demo in it; try once more if the lab is lost meanwhile."""
    with lab.session("pyxl lab demo"):
        lab.up()
        try:
            Demo(lab, steps).run(tree)
        except LabLost as error:
            steps.say(f"the lab was lost ({error}); trying once more")
            lab.down()
            lab.up()
            Demo(lab, steps).run(tree)
