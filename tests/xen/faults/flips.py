"""Bit flips and cuts of a real checkpoint: a guest must never run from one."""

import json
import shlex
from dataclasses import dataclass

from tests.xen.faults.runner import GUEST, HOME, Faults
from tests.xen.link import PYTHON

FILE = f"{HOME}/flipped"
#: Attempts in one command: a lost lab costs no more than these.
CHUNK = 20
SAMPLE = 20


@dataclass(frozen=True, slots=True)
class Attempt:
    """A restore of a damaged file: ``how`` it was damaged, and what was ``bad`` about the result, if anything."""

    how: str
    bad: str
    seconds: float


def prepare(faults: Faults, options: str = "") -> None:
    """Save a guest with pyxl, given ``options``, so that only its file is left."""
    dom0 = faults.dom0
    faults.have_guest("pyxl")
    dom0.run(f"pyxl save {options} {GUEST} {FILE}")


def attempts(faults: Faults, tool: str, kind: str, count: int, seed: int) -> list[Attempt]:
    """Restore ``count`` files, each with different damage; ``kind`` is "flip" or "cut"."""
    found: list[Attempt] = []
    while len(found) < count:
        spec = {
            "tool": tool, "kind": kind, "file": FILE, "guest": GUEST, "seed": seed, "of": count,
            "first": len(found), "last": min(len(found) + CHUNK, count),
        }  # fmt: skip
        done = faults.dom0.run(f"cd {HOME}; {PYTHON} -m tests.xen.faults.dom0.flips {shlex.quote(json.dumps(spec))}", timeout=3600)
        found += [Attempt(**json.loads(line)) for line in done.stdout.splitlines() if line.startswith("{")]
    return found


def table(faults: Faults, flips: int, cuts: int, seed: int) -> int:
    """Print how many damaged files ended badly, with pyxl and for a sample with stock xl; return pyxl's number."""
    failed = 0
    for options, tool, kind, count in (
        ("", "pyxl", "flip", flips), ("", "xl", "flip", min(SAMPLE, flips)), ("", "pyxl", "cut", cuts),
        ("--compress", "pyxl", "flip", flips), ("--compress", "pyxl", "cut", cuts),
    ):  # fmt: skip
        prepare(faults, options)
        bad: list[Attempt] = []
        done = 0
        # In pieces, each with its own seed, to show progress.
        while done < count:
            piece = attempts(faults, tool, kind, min(100, count - done), seed + done)
            done += len(piece)
            bad += [attempt for attempt in piece if attempt.bad]
            print(f"{tool:4} {options} {kind}s: {done} of {count}, {len(bad)} bad", flush=True)
        for attempt in bad[:5]:
            print(f"    {attempt.how}: {attempt.bad}")
        failed += len(bad) if tool == "pyxl" else 0
    return failed
