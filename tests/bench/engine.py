"""The memory engine without Xen, beside what a machine does at best: copying memory, cat, its disk, zstd.

The save-helper's own program runs on stand-ins for Xen's libraries (tests/standin), whose guest is a file in memory.
"""

import ctypes
import fcntl
import mmap
import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from pyxl.checkpoint.framed import Framed
from pyxl.checkpoint.new_file import NewFile
from pyxl.checkpoint.summed import SummedFile, SummedPipe, summed
from pyxl.formats.stream.trailer import Identity
from pyxl.model.compression import Compression
from pyxl.model.engine import SPARSE
from tests import standin
from tests.bench.native import taken
from tests.bench.options import ENGINE_MIB, PAIRS
from tests.standin import Taken, guest

SIZE = ENGINE_MIB << 20
_STEP = 64 << 10
_COPIED = 256 << 20
_PIPE = 1 << 20


class Case(NamedTuple):
    """A thing that is done again and again; ``bound`` names that which it is compared with."""

    name: str
    run: Callable[[], Taken]
    bound: str = ""


class Bench:
    """A guest, and the files in ``place`` that are made of it."""

    def __init__(self, place: Path) -> None:
        self._place = place
        self._memory = guest.filled(ENGINE_MIB)
        self._new = os.memfd_create("new")
        # Xen has the memory, too, before the stream comes.
        os.posix_fallocate(self._new, 0, SIZE)
        names = ("saved", "compressed", "data", "other")
        self._saved, self._compressed, self._data, self._other = (place / name for name in names)
        self.save(SPARSE)
        self._other.rename(self._saved)
        self.save_as_pyxl(self._compressed, framed)
        self.data_bytes = self._write_data()

    def cases(self) -> list[Case]:
        plain, piped, back = "cat SAVED > OTHER", "cat SAVED | cat", "cat SAVED > memory"
        synced, zstd, unzstd = "dd DATA, fsync", "zstd -T2 -1 DATA, fsync", "zstd -dc > memory"
        memory = f"1<>/proc/{os.getpid()}/fd/{self._new}"
        return [
            Case("memcpy", copy),
            Case(plain, lambda: self._command(f"cat {self._saved} > {self._other}")),
            Case(piped, lambda: self._command(f"cat {self._saved} | cat > /dev/null")),
            Case(synced, lambda: self._command(f"dd if={self._data} of={self._other} bs=4M conv=fsync")),
            Case(back, lambda: self._command(f"cat {self._saved} {memory}")),
            Case(zstd, lambda: self._command(f"zstd -T2 -1 -c {self._data} > {self._other} && sync {self._other}")),
            Case(unzstd, lambda: self._command(f"zstd -dc {self._compressed} {memory}")),
            Case("save, with holes", lambda: self.save(SPARSE), plain),
            Case("save, all pages", lambda: self.save(""), plain),
            Case("save, to a pipe", self.save_to_pipe, piped),
            Case("save, with sums, fsync", lambda: self.save_as_pyxl(self._other, summed), synced),
            Case("save, compressed, fsync", lambda: self.save_as_pyxl(self._compressed, framed), zstd),
            Case("restore", lambda: self.restore(""), back),
            Case("restore, one thread", lambda: self.restore("threads=1"), back),
            Case("restore, compressed", lambda: self.restore_compressed(""), unzstd),
            Case("restore, compr., one thread", lambda: self.restore_compressed("threads=1"), unzstd),
        ]

    def save(self, words: str) -> Taken:
        self._other.unlink(missing_ok=True)
        fd = os.open(self._other, os.O_RDWR | os.O_CREAT)
        try:
            return standin.save(self._memory, words, fd)
        finally:
            os.close(fd)

    def save_to_pipe(self) -> Taken:
        reader, writer = os.pipe()
        fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, _PIPE)
        with subprocess.Popen(["cat"], stdin=reader, stdout=subprocess.DEVNULL):
            os.close(reader)
            try:
                return standin.save(self._memory, "", writer)
            finally:
                os.close(writer)

    def save_as_pyxl(self, target: Path, kind: Callable[[NewFile], SummedFile | SummedPipe | Framed]) -> Taken:
        """Save to a file that is on the disk at the end, with all that pyxl does to it meanwhile in this process."""
        target.unlink(missing_ok=True)
        cpu, started = sum(os.times()[:2]), time.monotonic()
        file = NewFile(target)
        stream = kind(file)
        helper = standin.save(self._memory, stream.words, *stream.fds)
        stream.end(Identity())
        file.sync()
        wall, cpu = time.monotonic() - started, sum(os.times()[:2]) - cpu
        stream.close()
        file.commit()
        return Taken(wall, helper.cpu + cpu, helper.memory)

    def restore(self, words: str) -> Taken:
        fd = os.open(self._saved, os.O_RDONLY)
        try:
            return standin.restore(self._new, words, fd)
        finally:
            os.close(fd)

    def restore_compressed(self, words: str) -> Taken:
        stand_in = os.memfd_create("stand-in")
        os.ftruncate(stand_in, SIZE)
        try:
            return standin.restore(self._new, f"frames={self._compressed} {words}", stand_in)
        finally:
            os.close(stand_in)

    def _command(self, command: str) -> Taken:
        self._other.unlink(missing_ok=True)
        return taken(self._place, command)

    def _write_data(self) -> int:
        """Write the guest's runs of pages that are not zero to a file, and return their size."""
        with self._data.open("wb") as file:
            for at in range(0, SIZE, _STEP):
                run = os.pread(self._memory, _STEP, at)
                if run.count(0) != _STEP:
                    file.write(run)
            return file.tell()


def copy() -> Taken:
    """Copy as many bytes as the guest has, between buffers that no cache holds."""
    source, target = mmap.mmap(-1, _COPIED), mmap.mmap(-1, _COPIED)
    addresses = [ctypes.addressof(ctypes.c_char.from_buffer(buffer)) for buffer in (source, target)]
    for address in addresses:
        ctypes.memset(address, 1, _COPIED)
    started = time.monotonic()
    for _ in range(SIZE // _COPIED):
        ctypes.memmove(addresses[1], addresses[0], _COPIED)
    wall = time.monotonic() - started
    return Taken(wall, wall, 0)


def framed(file: NewFile) -> Framed:
    return Framed(file, Compression(1))


def bench(place: Path) -> None:
    """Do all by turns, and print the best of each: what else the machine does only ever makes them slower."""
    bench_ = Bench(place)
    share = bench_.data_bytes / SIZE
    print(f"\nthe engine without Xen, best of {PAIRS}: a guest of {ENGINE_MIB} MiB, {share:.0%} of it not zero (DATA); GB/s of its memory")
    cases = bench_.cases()
    times: dict[str, list[Taken]] = {case.name: [] for case in cases}
    for run in range(PAIRS):
        for case in cases if run % 2 else reversed(cases):
            times[case.name].append(case.run())
    best = {name: min(found) for name, found in times.items()}
    print(f"{'':27} {'s':>6} {'GB/s':>6} {'cpu s':>6} {'MiB':>6}  share of")
    for name, _, bound in cases:
        wall, cpu, peak = best[name]
        shares = [f"{best[other].wall / wall:.0%} of {other}" for other in ("memcpy", bound) if bound]
        print(f"{name:27} {wall:6.2f} {SIZE / wall / 1e9:6.2f} {cpu:6.2f} {peak:6.0f}  {', '.join(shares)}")
    for file in place.iterdir():
        if file.is_file():
            file.unlink()
