"""`python -m tests.golden.make_repository`: make the golden repository again; a later version gets another name."""

import gzip
import json
import shutil
import tempfile
from pathlib import Path

import xxhash

from pyxl.checkpoint.pages import PageIndex, fill
from pyxl.files.importing import import_file
from pyxl.files.in_order import in_order
from pyxl.files.opened import opened
from pyxl.formats.stream import trailer, xl_header
from pyxl.formats.stream.libxc_records import PAGE_SIZE
from pyxl.model.report import Report
from pyxl.repository.repository import Repository
from tests.fakes.guest import FakeGuest
from tests.formats.stream import streams
from tests.repository.guests import checkpoint

HERE = Path(__file__).parent
PLACE, SAID = HERE / "repository", HERE / "repository.json"


def main() -> None:
    shutil.rmtree(PLACE, ignore_errors=True)
    with tempfile.TemporaryDirectory() as place:
        file = Path(place) / "file"
        for name in ("pyxl-hvm", "pyxl-hvm-2vcpus-disks"):
            file.write_bytes(gzip.decompress((HERE / f"{name}.ckpt.gz").read_bytes()))
            import_file(file, PLACE, Report())
        file.write_bytes(changed(HERE / "pyxl-hvm.ckpt.gz", file))
        import_file(file, PLACE, Report())
    source = Guest({gfn: content(gfn) for gfn in (*range(600), *range(1000, 1300)) if gfn % 50})
    source.broken = {0x90}
    checkpoint(Repository(PLACE), source)
    for gfn in (1, 401, 402, 1299):
        source.pages[gfn][:] = content(gfn + 1)
    checkpoint(Repository(PLACE), source, saved=1.8e9 + 3600)
    sums = {number: content_sum(Path(f"{PLACE}@{number}")) for number in Repository(PLACE).numbers()}
    SAID.write_text(json.dumps(sums, indent=4) + "\n")


class Guest(FakeGuest):
    """A guest with a part of its memory in several frames, and a context that is one."""

    def context(self) -> bytes:
        return streams.context()


def content(gfn: int) -> bytes:
    """Return a page of text; of each ten one is zero."""
    return f"{gfn:<15}\n".encode() * (PAGE_SIZE // 16) if gfn % 10 else bytes(PAGE_SIZE)


def changed(path: Path, file: Path) -> bytes:
    """Return a golden file an hour later: one page has other content, and one is zero."""
    file.write_bytes(gzip.decompress(path.read_bytes()))
    index = PageIndex()
    with opened(file) as source:
        fill(index, source)
        source.offset = end = source.size - len(trailer_of(file))
        found = trailer.parse(source.take, end)
    first, *_, last = (run.offset + at * PAGE_SIZE for run in index.runs() for at in range(run.pages))
    data = bytearray(file.read_bytes()[:end])
    data[first : first + PAGE_SIZE] = bytes(PAGE_SIZE)
    data[last : last + PAGE_SIZE] = b"changed " * (PAGE_SIZE // 8)
    return streams.summed(bytes(data), found.identity._replace(saved=found.identity.saved.replace("T16", "T17")),
                          found.algorithm)  # fmt: skip


def trailer_of(file: Path) -> bytes:
    data = file.read_bytes()
    size, _ = trailer.FOOT.unpack(data[-trailer.FOOT.size :])
    return data[-size:]


def content_sum(checkpoint: Path) -> str:
    """Return the sum of a guest's config, records and pages: what must stay, whatever a later pyxl writes around it."""
    with opened(checkpoint) as source:
        sum_ = xxhash.xxh3_128(xl_header.parse(source.take).config)
        for part in in_order(source):
            sum_.update(part)
    return sum_.hexdigest()


if __name__ == "__main__":
    main()
