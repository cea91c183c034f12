"""`pyxl convert` against Xen's convert-legacy-stream, natively, in pairs, on a stream of 2 GiB.

`python -m tests.bench.convert SCRIPTS` does it alone: a directory with the script, and Xen's library in `python/`.
Both write to a file, once more until it is on the disk, and to nowhere; what is new in a file has to be written either way.
"""

import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from tests.formats import legacy_streams as made
from tests.xen.conftest import Dom0

RUNS = int(os.environ.get("PYXL_BENCH_RUNS", "5"))
MIB = int(os.environ.get("PYXL_BENCH_MIB", "2048"))
SCRIPT = "convert-legacy-stream"
IN_DOM0 = "cd /usr/lib/xen-4.17; tar -c bin/convert-legacy-stream lib/python/xen | base64"


class Taken(NamedTuple):
    """Seconds by the clock and of the processor, and the most memory that was resident, in MiB."""

    wall: float
    cpu: float
    memory: float


def fetch(dom0: Dom0, directory: Path) -> None:
    """Put the script and its library into ``directory``, out of the lab."""
    import base64
    import io
    import tarfile

    data = base64.b64decode(dom0.run(IN_DOM0).stdout)
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        archive.extractall(directory, filter="data")
    (directory / "bin" / SCRIPT).rename(directory / SCRIPT)
    (directory / "lib" / "python").rename(directory / "python")


def taken(command: str, **environment: str) -> Taken:
    """Run a shell's command and return what it took."""
    started = time.monotonic()
    pid = os.spawnvpe(os.P_NOWAIT, "sh", ["sh", "-c", f"{command} >/dev/null 2>&1"], {**os.environ, **environment})
    _, status, usage = os.wait4(pid, 0)
    assert status == 0, f"{command}: status {os.waitstatus_to_exitcode(status)}"
    return Taken(time.monotonic() - started, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


def write_stream(path: Path, config: bytes) -> None:
    """Write a legacy file, or a stream alone where there is no config: full of pages that are all different."""
    pages = os.urandom(made.PAGE << 10)
    whole = made.Hvm(pfns=MIB << 8, batches=()).encode()
    head = 8 + 24  # pages, TSC
    with path.open("wb") as file:
        file.write(made.file(b"", config) if config else b"")
        file.write(whole[:head])
        for start in range(0, MIB << 8, 1024):
            file.write(made.Batch(range(start, start + 1024), pages).encode(8))
        file.write(whole[head:])


def bench(scripts: Path) -> None:
    """Convert by turns and print the medians and their ratios."""
    environment = {"PYTHONPATH": f"{scripts / 'python'}:{Path.cwd()}"}
    with tempfile.TemporaryDirectory(dir=os.environ.get("PYXL_BENCH_PLACE")) as place:
        stream, old, new = (Path(place) / name for name in ("stream", "old", "new"))
        write_stream(stream, b"")
        write_stream(old, b'name = "big"\nbuilder = "hvm"\n')
        xen = f"{sys.executable} {scripts / SCRIPT} -w 64 -g hvm -f libxl -i {stream} -o "
        ours = f"{sys.executable} -m pyxl convert --progress=none {old} "
        print(f"convert, {MIB} MiB, medians of {RUNS} pairs, warm")
        for what, script, pyxl in (
            ("to a synced file", f"{xen} {new} && sync {new}", f"{ours} {new}"),
            ("to nowhere", f"{xen} /dev/null", f"{ours} /dev/null"),
        ):
            pairs = []
            for run in range(RUNS + 1):  # the first one warms
                times = {}
                for command in (script, pyxl) if run % 2 else (pyxl, script):
                    times[command] = taken(command, **environment)
                    new.unlink(missing_ok=True)  # so that both fill the same pages of this machine's memory
                pairs += [(times[pyxl], times[script])] if run else []
            _print(what, pairs)


def _print(what: str, pairs: list[tuple[Taken, Taken]]) -> None:
    for name in ("wall", "cpu"):
        mine, other = ([getattr(pair[side], name) for pair in pairs] for side in (0, 1))
        ratio = statistics.median(second / first for first, second in zip(mine, other, strict=True))
        print(f"{what:17} {name:5} pyxl {statistics.median(mine):6.2f} s   script {statistics.median(other):6.2f} s"
              f"   {ratio:.2f} times as fast")  # fmt: skip
    print(f"{what:17} peak  pyxl {max(pair[0].memory for pair in pairs):6.1f} MiB script {max(pair[1].memory for pair in pairs):6.1f} MiB")


if __name__ == "__main__":
    bench(Path(sys.argv[1]).absolute())
