"""An HVM or PVH domain out of its libxc stream (xen-spec.md 3.4, 3.5).

Imports next to nothing: the save-helper starts through here.
"""

from pyxl.errors import BadRecord, PyxlError, UnsupportedStream
from pyxl.formats.stream import libxc_v2
from pyxl.memory.batches import WORD, gfns_from
from pyxl.memory.ordered import in_order
from pyxl.memory.physmap import Physmap
from pyxl.memory.save import PARAM, PARAMS, RECORD, TSC
from pyxl.xen import hvm
from pyxl.xen.foreign import PAGE_SIZE, WRITE

TYPE_CHECKING = False  # typing's own would have to be imported
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pyxl.memory.sources import Source
    from pyxl.xen.foreign import ForeignMemory
    from pyxl.xen.hvm import HvmDomain

#: What a record may have, as for libxc, and what the words of a PAGE_DATA record may take of it: 16 batches of libxc's.
_MAX_BODY = 128 << 20
_MAX_WORDS = 16 << 10
_TYPE_SHIFT = 60
_PFN_MASK = (1 << 52) - 1
_BROKEN, _ALLOCATED, _ABSENT = 0xD, 0xE, 0xF
_ILLEGAL = range(5, 9)
#: What static_data_done is told that a stream has not.
_NO_CPUID, _NO_MSR = 1, 2


class Ring:
    """A page that a domain shares with a daemon: of the event channel's ``port``, and in domain ``domid``."""

    def __init__(self, port: int, domid: int) -> None:
        self.port = port
        self.domid = domid
        self.gfn = 0


class Restore:
    """Fills a domain that libxl has just created; ``store`` and ``console`` learn their gfns.

    ``static_data_done`` is called once the stream's word of the processor was taken, with what it has not (1 CPUID,
    2 MSR), and returns 0.
    """

    def __init__(
        self, domain: "HvmDomain", memory: "ForeignMemory", source: "Source", store: Ring, console: Ring,
        static_data_done: "Callable[[int], int]",
    ) -> None:  # fmt: skip
        self._domain = domain
        self._memory = memory
        self._source = source
        self._store = store
        self._console = console
        self._static_data_done = static_data_done
        self._physmap = Physmap(domain)
        self._leaves = self._msrs = self._context = b""
        self._has_static_data = self._is_old = False

    def run(self, threads: int) -> None:
        """Read the stream to its end, and leave the source behind it.

        :raise StreamError: it is broken, or not of an HVM or PVH domain.
        :raise XenError: Xen refuses.
        """
        self._headers()
        workers = [_Worker(self._memory, self._source) for _ in range(threads)]
        while True:
            offset = self._source.offset
            kind, length = RECORD.unpack(self._source.take(RECORD.size))
            if length > _MAX_BODY:
                raise BadRecord(f"record {kind:#x} claims {length} bytes", offset)
            if kind == libxc_v2.PAGE_DATA:
                self._source.offset = offset
                in_order(self._pieces(), workers)
                continue
            body = self._source.take(length + -length % 8)[:length]
            if kind == libxc_v2.END:
                break
            self._record(kind, body, offset)
        self._complete()
        self._source.show(self._source.offset)

    def _headers(self) -> None:
        offset = self._source.offset
        marker, ident, version, options, *_ = libxc_v2.IMAGE.unpack(self._source.take(libxc_v2.IMAGE.size))
        if (marker, ident) != (libxc_v2.MARKER, libxc_v2.IDENT) or version not in libxc_v2.VERSIONS or options & 1:
            raise BadRecord("no libxc stream of version 2 or 3", offset)
        self._is_old = version == libxc_v2.VERSIONS[0]
        kind, page_shift, *_ = libxc_v2.DOMAIN.unpack(self._source.take(libxc_v2.DOMAIN.size))
        if (kind, page_shift) != (libxc_v2.TYPE_HVM, libxc_v2.PAGE_SHIFT):
            raise BadRecord(f"a stream of domain type {kind} for an HVM or PVH domain", offset)

    def _pieces(self) -> "Iterator[_Piece]":
        """Yield the pages of the PAGE_DATA records that follow, populated, until one may have a page a second time."""
        is_first = True
        while True:
            offset = self._source.offset
            kind, length = RECORD.unpack(self._source.take(RECORD.size))
            if kind != libxc_v2.PAGE_DATA:
                self._source.offset = offset
                return
            if not self._has_static_data:
                if not self._is_old:
                    raise BadRecord("pages before the end of the static data", offset)
                self._end_of_static_data()
            count, _ = PARAMS.unpack(self._source.take(PARAMS.size))
            if not 0 < count <= _MAX_WORDS:
                raise BadRecord(f"PAGE_DATA of {count} pages", offset)
            words = self._source.take(WORD * count)
            populated, gfns = _frames(words, offset)
            start = self._source.offset
            size = len(gfns) // WORD * PAGE_SIZE
            if length != PARAMS.size + len(words) + size:
                raise BadRecord(f"PAGE_DATA of {length} bytes for {count} pages", offset)
            # Else two threads might write the same page, the later copy first.
            if not is_first and not self._physmap.is_new(populated):
                self._source.offset = offset
                return
            is_first = False
            self._physmap.populate(populated)
            self._source.offset = start + size
            yield _Piece(gfns, start, start + size)

    def _record(self, kind: int, body: bytes, offset: int) -> None:
        if kind == libxc_v2.X86_CPUID_POLICY:
            self._leaves = body
        elif kind == libxc_v2.X86_MSR_POLICY:
            self._msrs = body
        elif kind == libxc_v2.STATIC_DATA_END and not self._has_static_data:
            self._end_of_static_data()
        elif kind == libxc_v2.X86_TSC_INFO and len(body) == TSC.size:
            mode, khz, nsec, incarnation, _ = TSC.unpack(body)
            self._domain.set_tsc(mode, khz, nsec, incarnation)
        elif kind == libxc_v2.HVM_CONTEXT:
            self._context = body
        elif kind == libxc_v2.HVM_PARAMS and len(body) >= PARAMS.size:
            count, _ = PARAMS.unpack_from(body)
            if len(body) != PARAMS.size + PARAM.size * count:
                raise BadRecord(f"{count} HVM params in {len(body)} bytes", offset)
            for index, value in PARAM.iter_unpack(body[PARAMS.size :]):
                self._param(index, value)
        elif not kind & libxc_v2.OPTIONAL:
            name = libxc_v2.NAMES.get(kind, f"{kind:#x}")
            raise UnsupportedStream(f"record {name} of {len(body)} bytes", offset)

    def _end_of_static_data(self) -> None:
        self._has_static_data = True
        if self._leaves or self._msrs:
            self._domain.set_policy(self._leaves, self._msrs)
        missing = (0 if self._leaves else _NO_CPUID) | (0 if self._msrs else _NO_MSR)
        if self._static_data_done(missing):
            raise PyxlError("the toolstack could not set what the stream does not say of the processor")

    def _param(self, index: int, value: int) -> None:
        if index == hvm.PAE_ENABLED:  # of old streams; Xen takes it no more
            return
        if index == hvm.CONSOLE_PFN:
            self._console.gfn = value
        elif index == hvm.STORE_PFN:
            self._store.gfn = value
        if index in hvm.RINGS:
            self._domain.clear(value)
        self._domain.set_param(index, value)

    def _complete(self) -> None:
        self._domain.set_param(hvm.STORE_EVTCHN, self._store.port)
        self._domain.set_param(hvm.CONSOLE_EVTCHN, self._console.port)
        self._domain.set_context(self._context)
        self._domain.seed_grants((self._console.gfn, self._console.domid), (self._store.gfn, self._store.domid))


class _Piece:
    """Pages that stand one behind the other, from ``offset`` on; ``end`` is where their record ends."""

    def __init__(self, gfns: bytes, offset: int, end: int) -> None:
        self.gfns = gfns
        self.offset = offset
        self.end = end


class _Worker:
    """What one thread has of a piece: its pages, mapped."""

    def __init__(self, memory: "ForeignMemory", source: "Source") -> None:
        self._memory = memory
        self._source = source
        self._pages = source.pages()
        self._mapped = (0, 0)
        self._end = 0

    def make(self, piece: _Piece) -> None:
        self._end = piece.end
        count = len(piece.gfns) // WORD
        if count:
            self._mapped = (self._memory.map(piece.gfns, WRITE), count)
            self._pages.fill(self._mapped[0], count * PAGE_SIZE, piece.offset)

    def put(self) -> None:
        self._source.show(self._end)

    def drop(self) -> None:
        address, count = self._mapped
        if count:
            self._mapped = (0, 0)
            self._memory.unmap(address, count)


def _frames(words: bytes, offset: int) -> tuple[bytes, bytes]:
    """Return the gfns that are to have memory, and those whose pages the record has, 8 bytes each.

    :raise BadRecord: a word has a type that cannot be.
    """
    if words == gfns_from(int.from_bytes(words[:WORD], "little") & _PFN_MASK)[: len(words)]:
        return words, words
    populated, with_page = [], []
    for word in memoryview(words).cast("Q"):
        kind, gfn = word >> _TYPE_SHIFT, word & ((1 << _TYPE_SHIFT) - 1)
        if kind in (_BROKEN, _ABSENT):
            continue
        if kind in _ILLEGAL or gfn > _PFN_MASK:
            raise BadRecord(f"page word {word:#x}", offset)
        populated.append(gfn.to_bytes(WORD, "little"))
        if kind != _ALLOCATED:
            with_page.append(populated[-1])
    return b"".join(populated), b"".join(with_page)
