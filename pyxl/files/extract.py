"""Take parts out of a checkpoint: the guest's memory, a page of it, its device state, its HVM context."""

import os
from collections.abc import Iterator
from pathlib import Path

from pyxl.checkpoint.new_file import NewFile
from pyxl.checkpoint.pages import PageIndex, Run, fill
from pyxl.checkpoint.source import Source
from pyxl.errors import PyxlError, TruncatedStream, UnsupportedStream
from pyxl.files.guest_memory import pieces, zero_groups
from pyxl.files.opened import opened
from pyxl.files.output import output
from pyxl.files.vcpus import of_context
from pyxl.formats import elf_core
from pyxl.formats.hvm import context as hvm_context
from pyxl.formats.stream import libxc_v2, libxl_v2, walk
from pyxl.formats.stream.libxc_records import PAGE_SIZE
from pyxl.formats.stream.walk import Element

#: Bytes that are copied at once.
_CHUNK = 1 << 20
#: More than Xen gives a guest: a page that claims a higher address would make the file that long.
_MOST_PAGES = 1 << 32
#: An HVM context is some kilobytes a vcpu.
_MOST_CONTEXT = 4 << 20


def memory(path: Path, target: Path | None, elf: bool) -> None:
    """Write the guest's memory, raw or as an ELF core with its vcpus; zero pages become holes where that is possible.

    :raise StreamError: the checkpoint is broken, or has more memory than Xen gives a guest.
    """
    index = PageIndex()
    with opened(path) as source:
        fill(index, source)
        last = 0
        for run in index.runs():
            last = run.gfn + run.pages
        if last > _MOST_PAGES:
            raise UnsupportedStream(f"memory up to {last * PAGE_SIZE:#x}, more than Xen gives a guest", 0)
        notes = _notes(source) if elf else b""
        with output(target, path) as file:
            sparse = _Sparse(file)
            if elf:
                count = sum(1 for _ in _ranges(index))
                for part in elf_core.head(count, _ranges(index), notes):
                    sparse.write(part)
            gfn = 0
            for start, data in pieces(source, index.runs()):
                if not elf:
                    sparse.skip((start - gfn) * PAGE_SIZE)
                for is_zero, at, pages in zero_groups(data):
                    if is_zero:
                        sparse.skip(pages * PAGE_SIZE)
                    else:
                        sparse.write(data[at : at + pages * PAGE_SIZE])
                gfn = start + len(data) // PAGE_SIZE
            sparse.end()


def page(path: Path, target: Path | None, gfn: int) -> None:
    """Write the last copy of one page of the guest's memory.

    :raise StreamError: the checkpoint is broken.
    :raise PyxlError: it has no such page.
    """
    index = PageIndex()
    with opened(path) as source:
        fill(index, source)
        offset = index.offset(gfn)
        if offset is None:
            raise PyxlError(f"{path} has no page for gfn {gfn:#x}")
        with output(target, path) as file:
            file.write(source.read(offset, PAGE_SIZE))


def device_state(path: Path, target: Path | None) -> None:
    """Write the state that the guest's device model saved.

    :raise PyxlError: the checkpoint has none, or it is cut.
    """
    _body(path, target, "libxl", libxl_v2.EMULATOR_CONTEXT, libxl_v2.EMULATOR.size)


def context(path: Path, target: Path | None) -> None:
    """Write the HVM context, as Xen saved it.

    :raise PyxlError: the checkpoint has none, or it is cut.
    """
    _body(path, target, "libxc", libxc_v2.HVM_CONTEXT, 0)


def _body(path: Path, target: Path | None, layer: str, kind: int, head: int) -> None:
    with opened(path, as_it_is=True) as source:
        element = _find(source, layer, kind)
        if element is None or element.length < head:
            raise PyxlError(f"{path} has no {(libxl_v2 if layer == 'libxl' else libxc_v2).NAMES[kind]}")
        end = element.body + element.length
        with output(target, path) as file:
            for at in range(element.body + head, end, _CHUNK):
                file.write(source.read(at, min(_CHUNK, end - at)))


def _find(source: Source, layer: str, kind: int) -> Element | None:
    """Return the first record of that kind, None where there is none; it is whole."""
    source.offset = 0
    for element in walk.elements(source.take, source.skip):
        if element.layer == layer and element.kind == kind:
            if element.end > source.size:
                raise TruncatedStream(f"file ends within {element.name}", source.size)
            return element
    return None


def _notes(source: Source) -> bytes:
    """Return the notes of the vcpus; only an HVM guest has some."""
    element = _find(source, "libxc", libxc_v2.HVM_CONTEXT)
    if element is None or element.length > _MOST_CONTEXT:
        return b""
    entries = hvm_context.decode(source.read(element.body, element.length), element.body)
    return b"".join(elf_core.note(vcpu.number, vcpu.registers) for vcpu in of_context(entries))


def _ranges(index: PageIndex) -> Iterator[tuple[int, int]]:
    """Yield (gfn, pages) of the pages that are together in the guest, wherever they are in the file."""
    last = Run(0, 0, 0)
    for run in index.runs():
        if run.gfn == last.gfn + last.pages:
            last = last._replace(pages=last.pages + run.pages)
        else:
            if last.pages:
                yield last.gfn, last.pages
            last = run
    if last.pages:
        yield last.gfn, last.pages


class _Sparse:
    """Writes a file with holes, or zeros where the output cannot have holes."""

    def __init__(self, file: NewFile) -> None:
        self._file = file
        self._can_skip = file.temporary is not None

    def write(self, data: bytes) -> None:
        self._file.write(data)

    def skip(self, length: int) -> None:
        if self._can_skip:
            os.lseek(self._file.fd, length, os.SEEK_CUR)
            return
        for at in range(0, length, _CHUNK):
            self._file.write(bytes(min(_CHUNK, length - at)))

    def end(self) -> None:
        """Make a hole at the end part of the file."""
        if self._can_skip:
            os.ftruncate(self._file.fd, os.lseek(self._file.fd, 0, os.SEEK_CUR))
