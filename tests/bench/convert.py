"""`pyxl convert` against Xen's convert-legacy-stream, in pairs.

Both write to a file, until it is on the disk, and to /dev/null; both have to write all of a new file.
"""

import os
import sys
from pathlib import Path

from tests.bench.native import CONVERT, compare
from tests.bench.options import FILE_MIB
from tests.formats.legacy import streams as made


def write_stream(path: Path, config: bytes) -> None:
    """Write a legacy file, or only its stream if ``config`` is empty, of pages that all differ."""
    pages = os.urandom(made.PAGE << 10)
    whole = made.Hvm(pfns=FILE_MIB << 8, batches=()).encode()
    head = 8 + 24  # pages, TSC
    with path.open("wb") as file:
        file.write(made.file(b"", config) if config else b"")
        file.write(whole[:head])
        for start in range(0, FILE_MIB << 8, 1024):
            file.write(made.Batch(range(start, start + 1024), pages).encode(8))
        file.write(whole[head:])


def bench(place: Path) -> None:
    """Convert a legacy stream with both by turns in ``place``, where the scripts are."""
    stream, old, new = (place / name for name in ("stream", "old", "new"))
    write_stream(stream, b"")
    write_stream(old, b'name = "big"\nbuilder = "hvm"\n')
    xen = f"{sys.executable} {place / 'bin' / CONVERT} -w 64 -g hvm -f libxl -i {stream} -o "
    ours = f"{sys.executable} -m pyxl convert --progress=none {old} "
    for what, script, pyxl in (
        ("convert to a synced file", f"{xen} {new} && sync {new}", f"{ours} {new}"),
        ("convert to nowhere", f"{xen} /dev/null", f"{ours} /dev/null"),
    ):
        # Remove the last file, so that both fill the same pages of this machine's memory.
        compare(place, what, "script", pyxl, script, lambda: new.unlink(missing_ok=True))
    stream.unlink()
    old.unlink()
