"""What a benchmark is to do, as words in the environment: `make bench BENCH=save,restore SIZES=128,512 PAIRS=3`."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

PARTS = ("save", "restore", "freeze", "series", "start", "read", "convert", "engine", "pages")
FILLS = ("idle", "text", "random")


def numbers(name: str, default: str) -> list[int]:
    """Return the numbers of a list."""
    words = os.environ.get(name, default).split(",")
    if not all(word.isdecimal() and int(word) for word in words):
        sys.exit(f"{name}={','.join(words)}: not a list of numbers, as {default}")
    return [int(word) for word in words]


def chosen(name: str, among: Sequence[str]) -> list[str]:
    """Return those of ``among`` that are in a list, all by default."""
    words = os.environ.get(name, ",".join(among)).split(",")
    if unknown := set(words) - set(among):
        sys.exit(f"{name}: no {', '.join(sorted(unknown))} among {', '.join(among)}")
    return [word for word in among if word in words]


#: What is measured.
BENCH = chosen("BENCH", PARTS)
#: Pairs of runs, of which the medians count.
(PAIRS,) = numbers("PAIRS", "5")
#: MiB of the idle guests, and what the guests of ``FILLED_MIB`` are full of besides.
SIZES = numbers("SIZES", "128,512,1536")
FILLED = chosen("FILLS", FILLS)
FILLED_MIB = 512
#: MiB of the guest of ``engine``, and of the files of ``read`` and ``convert``.
(ENGINE_MIB,) = numbers("ENGINE_MIB", "4096")
(FILE_MIB,) = numbers("FILE_MIB", "2048")
#: Where those files are made.
PLACE = os.environ.get("PLACE")
#: What saves and restores took; runs for other guests are added to it.
RESULTS = Path(os.environ.get("RESULTS", ".venv/bench.json"))
