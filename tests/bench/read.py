"""`pyxl verify` against Xen's verify-stream-v2, and `pyxl inspect` against the least that it must do, in pairs."""

import os
import shlex
import sys
from pathlib import Path

from pyxl.checkpoint.sums import RunningSums
from pyxl.formats.stream import libxc_records, trailer, xl_header
from tests.bench.native import VERIFY, compare
from tests.bench.options import FILE_MIB
from tests.formats.stream import streams

#: Starts pyxl for nothing, and reads the head of each record of a libxc stream.
LEAST = """
import os, struct, sys
fd = os.open(sys.argv[1], os.O_RDONLY)
at = int(sys.argv[2])
kind = 1
while kind:
    kind, length = struct.unpack("<II", os.pread(fd, 8, at))
    at += 8 + (length + 7 & -8)
sys.argv[1:] = ["--version"]
from pyxl.__main__ import main
main()
"""


def write_checkpoint(path: Path, *, summed: bool) -> int:
    """Write a checkpoint as xl does, or with pyxl's trailer, of different pages; return its first record's offset."""
    pages = os.urandom(streams.PAGE << 10)
    before, after = streams.guest(b"here").split(b"here")
    if summed:  # the marker of the trailer is in the header
        before = xl_header.encode(streams.CONFIG) + before[len(streams.xl_s_header()) :]
    sums = RunningSums(trailer.XXH64)
    with path.open("wb") as file:
        def write(data: bytes) -> None:
            file.write(data)
            sums.add(data)

        write(before)
        for start in range(0, FILE_MIB << 8, 1024):
            write(libxc_records.encode_page_head(libxc_records.PageData(tuple(range(start, start + 1024)))))
            write(pages)
        write(after)
        if summed:
            file.write(trailer.encode(trailer.Trailer(file.tell(), sums.all(trailer.XXH64), trailer.Identity(name="big"))))
    return len(before) - len(streams.STATIC_DATA_END)


def bench(place: Path) -> None:
    """Verify and inspect by turns in ``place``, where the scripts are."""
    file = place / "checkpoint"
    script = f"{sys.executable} {place / 'bin' / VERIFY} -f xl -i {file}"
    pyxl = f"{sys.executable} -m pyxl"
    for whose, summed, status in (("xl's", False, 3), ("pyxl's, sums", True, 0)):
        first = write_checkpoint(file, summed=summed)
        compare(place, f"verify {whose}", "script", f"{pyxl} verify {file} || [ $? = {status} ]", script)
    least = f"{sys.executable} -c {shlex.quote(LEAST)} {file} {first}"
    compare(place, "inspect pyxl's", "least ", f"{pyxl} inspect {file}", least)
    file.unlink()
