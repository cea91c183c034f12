"""The memory of a guest that is not there: files of this machine's, with the mix of pages that an idle guest has."""

import os
import random

PAGE = 4096
#: Pages that are made once; the guest has them again and again, each with a number of its own.
_POOL = 2048
#: Pages of one kind that stand together.
_RUN = 16
#: Of 20 runs so many are zero, of text, and random.
_ZERO, _TEXT, _RANDOM = 14, 4, 2
_SEED = 14


def text(size: int, seed: int = _SEED) -> bytes:
    """Return words with the frequencies of a language's, which zstd's level 1 makes a third of."""
    chance = random.Random(seed)
    words = ["".join(chance.choices("etaoinshrdlucmfwypvbgk", range(22, 0, -1), k=chance.randint(2, 9))) for _ in range(4000)]
    weights = [1 / rank for rank in range(1, len(words) + 1)]
    return " ".join(chance.choices(words, weights, k=size // 4)).encode()[:size]


def filled(mib: int) -> int:
    """Return a file in memory of so many MiB that holds an idle guest's memory, always the same."""
    chance = random.Random(_SEED)
    memory = os.memfd_create("guest")
    os.posix_fallocate(memory, 0, mib << 20)  # zero pages are pages, too
    pools = (text(_POOL * PAGE), chance.randbytes(_POOL * PAGE))
    kinds = [None] * _ZERO + [pools[0]] * _TEXT + [pools[1]] * _RANDOM
    for at in range(0, mib << 20, _RUN * PAGE):
        if pool := chance.choice(kinds):
            start = chance.randrange(_POOL - _RUN) * PAGE
            run = bytearray(pool[start : start + _RUN * PAGE])
            for page in range(0, len(run), PAGE):
                run[page : page + 8] = (at + page).to_bytes(8, "little")
            os.pwrite(memory, run, at)
    return memory
