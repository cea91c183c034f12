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

from pyxl.checkpoint.compressing import Compressing
from pyxl.checkpoint.new_file import NewFile
from pyxl.checkpoint.summed import summed
from pyxl.formats.stream.trailer import Identity
from pyxl.model.compression import Compression
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
        self._saved, self._data, self._other = (place / name for name in ("saved", "data", "other"))
        self.save(sparse=True)
        self._other.rename(self._saved)
        self.data_bytes = self._write_data()

    def cases(self) -> list[Case]:
        zstd, plain = "zstd -T2 -1 DATA > OTHER", "cat SAVED > OTHER"
        synced, piped, back = "dd DATA, fsync", "cat SAVED | cat", "cat SAVED > memory"
        return [
            Case("memcpy", copy),
            Case(plain, lambda: self._command(f"cat {self._saved} > {self._other}")),
            Case(piped, lambda: self._command(f"cat {self._saved} | cat > /dev/null")),
            Case(synced, lambda: self._command(f"dd if={self._data} of={self._other} bs=4M conv=fsync")),
            Case(back, lambda: self._command(f"cat {self._saved} 1<>/proc/{os.getpid()}/fd/{self._new}")),
            Case(zstd, lambda: self._command(f"zstd -T2 -1 -c {self._data} > {self._other}")),
            Case("save, with holes", lambda: self.save(sparse=True), plain),
            Case("save, with holes, fsync", lambda: self.save(sparse=True, sync=True), synced),
            Case("save, as pyxl does, fsync", self.save_summed, synced),
            Case("save, all pages", lambda: self.save(sparse=False), plain),
            Case("save, to a pipe", self.save_to_pipe, piped),
            Case("save, compressed", self.save_compressed, zstd),
            Case("restore", self.restore, back),
        ]

    def save(self, *, sparse: bool, sync: bool = False) -> Taken:
        self._other.unlink(missing_ok=True)
        fd = os.open(self._other, os.O_RDWR | os.O_CREAT)
        started = time.monotonic()
        helper = standin.save(self._memory, fd, sparse=sparse)
        if sync:
            os.fsync(fd)
        os.close(fd)
        return helper._replace(wall=time.monotonic() - started)

    def save_to_pipe(self) -> Taken:
        reader, writer = os.pipe()
        fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, _PIPE)
        with subprocess.Popen(["cat"], stdin=reader, stdout=subprocess.DEVNULL):
            os.close(reader)
            try:
                return standin.save(self._memory, writer, sparse=False)
            finally:
                os.close(writer)

    def save_summed(self) -> Taken:
        """Save to a file that a thread of pyxl's, in this process, sums and gives to the disk meanwhile."""
        cpu, started = sum(os.times()[:2]), time.monotonic()
        file = NewFile(self._other)
        stream = summed(file)
        helper = standin.save(self._memory, stream.fd, sparse=True)
        stream.finish()
        file.sync()
        wall = time.monotonic() - started
        stream.close()
        file.close()
        return helper._replace(wall=wall, cpu=helper.cpu + sum(os.times()[:2]) - cpu)

    def save_compressed(self) -> Taken:
        """Save into the threads of pyxl that compress, which are in this process."""
        Path("/proc/self/clear_refs").write_text("5")  # a new peak
        before, cpu, started = _peak(), sum(os.times()[:2]), time.monotonic()
        file = NewFile(self._place / "compressed")
        stream = Compressing(file, Compression(1))
        helper = standin.save(self._memory, stream.fd, sparse=False)
        stream.end(Identity())
        wall = time.monotonic() - started
        stream.close()
        file.close()
        return Taken(wall, helper.cpu + sum(os.times()[:2]) - cpu, helper.memory + _peak() - before)

    def restore(self) -> Taken:
        fd = os.open(self._saved, os.O_RDONLY)
        try:
            return standin.restore(self._new, fd)
        finally:
            os.close(fd)

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


def _peak() -> float:
    """Return the most memory that this process has had, in MiB."""
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(status["VmHWM"].split()[0]) / 1024


def bench(place: Path) -> None:
    """Do all by turns, and print the best of each: what else the machine does only ever makes them slower."""
    bench_ = Bench(place)
    share = bench_.data_bytes / SIZE
    print(f"\nthe engine without Xen, best of {PAIRS}: a guest of {ENGINE_MIB} MiB, {share:.0%} of it not zero (DATA)")
    cases = bench_.cases()
    times: dict[str, list[Taken]] = {case.name: [] for case in cases}
    for run in range(PAIRS):
        for case in cases if run % 2 else reversed(cases):
            times[case.name].append(case.run())
    best = {name: min(found) for name, found in times.items()}
    print(f"{'':26} {'s':>6} {'GB/s':>6} {'cpu s':>6} {'MiB':>6}  share of")
    for name, _, bound in cases:
        wall, cpu, peak = best[name]
        shares = [f"{best[other].wall / wall:.0%} of {other}" for other in ("memcpy", bound) if bound]
        print(f"{name:26} {wall:6.2f} {SIZE / wall / 1e9:6.2f} {cpu:6.2f} {peak:6.0f}  {', '.join(shares)}")
    for file in place.iterdir():
        if file.is_file():
            file.unlink()
