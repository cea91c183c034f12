"""Ten checkpoints of an idle guest in a repository, beside one compressed file."""

import json
import statistics
from typing import Any

from tests.bench import fills
from tests.bench.fills import NAME, Spec
from tests.bench.options import FILLED_MIB, PAIRS
from tests.xen.conftest import PLACE, Dom0

FILE, REPOSITORY = f"{PLACE}/file", f"{PLACE}/repository"
COUNT = 10


def bench(dom0: Dom0) -> None:
    """Print seconds and bytes of checkpoints, and the seconds of restores by pairs."""
    dom0.start_over()
    fills.boot(dom0, Spec(FILLED_MIB, "idle"))
    print(f"\n{COUNT} checkpoints of an idle guest of {FILLED_MIB} MiB")
    _checkpoint(dom0)
    dom0.run(f"rm -rf {REPOSITORY}")  # that one warmed the caches
    made = [_checkpoint(dom0) for _ in range(COUNT)]
    compressed = json.loads(dom0.run(f"pyxl save --live -c --compress --json --progress none {NAME} {FILE}").stdout)
    first, *later = made
    _print("seconds of a later one", statistics.median(each["seconds"] for each in later), first["seconds"])
    _print("MiB of a later one", statistics.median(_mib(each) for each in later), _mib(first))
    all_of_them = int(dom0.run(f"du -sB1 {REPOSITORY} | cut -f1").stdout) / 2**20
    _print("MiB of all, and of a compressed file", all_of_them, _mib(compressed))
    ours, file = [], []
    for _ in range(PAIRS + 1):
        ours.append(_restore(dom0, f"{REPOSITORY}@{made[-1]['number']}"))
        file.append(_restore(dom0, FILE))
    ratio = statistics.median(one / other for one, other in list(zip(ours, file, strict=True))[1:])
    print(f"seconds of a restore {statistics.median(ours[1:]):17.2f} of {statistics.median(file[1:]):6.2f}  x {ratio:4.2f}")


def _checkpoint(dom0: Dom0) -> dict[str, Any]:
    dom0.tick(NAME)
    said = dom0.run(f"pyxl checkpoint --json --progress none {NAME} {REPOSITORY}").stdout
    return dict(json.loads(said))


def _restore(dom0: Dom0, what: str) -> float:
    dom0.run(f"xl destroy {NAME}")
    found = json.loads(dom0.run(f"pyxl restore --json --progress none {what}").stdout)
    dom0.tick(NAME)
    return float(found["seconds"])


def _mib(document: dict[str, Any]) -> float:
    return float(document["stored"]) / 2**20


def _print(what: str, one: float, other: float) -> None:
    print(f"{what:38} {one:8.2f} of {other:6.2f}  x {one / other:4.2f}", flush=True)
