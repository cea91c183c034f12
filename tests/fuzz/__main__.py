"""`python -m tests.fuzz`: read thousands of damaged checkpoints, and whole ones cut short.

A file that finds a fault is kept, and its seed is printed to make it again.
"""

import argparse
import collections
import os
import random
import shutil
import sys
import tempfile
import traceback
from collections.abc import Iterator
from pathlib import Path

from tests.fuzz import damage
from tests.fuzz.trial import TARGETS, Hang, bounded, tried

#: A file is cut at each of its first bytes, and at this many other places.
EVERY_CUT = 64 << 10
RANDOM_CUTS = 500


def main() -> int:
    arguments = _arguments()
    seed = arguments.seed if arguments.seed is not None else int.from_bytes(os.urandom(4), "little")
    print(f"seed {seed}", flush=True)
    draw = random.Random(seed)
    seeds = damage.seeds()
    small = [*seeds.values(), *(damage.trimmed(path) for path in arguments.files)]
    answers: collections.Counter[tuple[str, str]] = collections.Counter()
    with tempfile.TemporaryDirectory() as directory, bounded():
        path = Path(directory) / "damaged"
        for number in range(arguments.count):
            damage.damaged(draw, draw.choice(small)).write_to(path)
            if not _try_all(path, answers, f"file {number} of seed {seed}"):
                return 1
        for whole in _whole(seeds, arguments.files, path):
            for size in _cuts(draw, path.stat().st_size):
                os.truncate(path, size)
                if not _try_all(path, answers, f"{whole} cut at {size}"):
                    return 1
    for (target, answer), count in sorted(answers.items()):
        print(f"{target:10} {answer:20} {count:8}")
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("files", nargs="*", type=Path, metavar="FILE", help="real checkpoints to damage, too")
    parser.add_argument("--count", type=int, default=10_000, help="how many damaged files")
    parser.add_argument("--seed", type=int, help="the seed of an earlier run")
    return parser.parse_args()


def _whole(seeds: dict[str, bytes], files: list[Path], path: Path) -> Iterator[str]:
    """Write one whole file after another to ``path``, and yield its name."""
    for name, data in seeds.items():
        path.write_bytes(data)
        yield name
    for file in files:
        shutil.copyfile(file, path)
        yield str(file)


def _cuts(draw: random.Random, size: int) -> list[int]:
    """Return where to cut, the longest first, so that each cut shortens the file of the one before."""
    cuts = set(range(min(size, EVERY_CUT))) | {draw.randrange(size) for _ in range(RANDOM_CUTS)}
    return sorted(cuts, reverse=True)


def _try_all(path: Path, answers: "collections.Counter[tuple[str, str]]", what: str) -> bool:
    for name, target in TARGETS.items():
        try:
            answers[name, tried(target, path)] += 1
        except (Exception, Hang):
            kept = Path(tempfile.gettempdir()) / f"pyxl-fuzz-{os.getpid()}"
            path.rename(kept)
            print(f"{name}: {what}, kept as {kept}:\n{traceback.format_exc()}", file=sys.stderr)
            return False
    return True


if __name__ == "__main__":
    sys.exit(main())
