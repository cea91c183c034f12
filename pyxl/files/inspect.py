"""Which guest and which records a checkpoint holds, by the records' heads: reads no page, needs no Xen."""

from pathlib import Path
from typing import Any, NamedTuple

from pyxl.checkpoint.source import Source
from pyxl.errors import BadRecord, StreamError, TruncatedStream, UsageError
from pyxl.files.opened import LegacyView, opened
from pyxl.formats.guest_config import GuestConfig
from pyxl.formats.stream import libxc_v2, trailer, walk, xl_header
from pyxl.formats.stream.trailer import Identity
from pyxl.formats.stream.walk import NO_RECORD, Element

#: More records than these are counted, not kept; a guest of 128 vcpus has some hundred without its pages.
MAX_RECORDS = 10_000
#: Bytes of bodies that are decoded, in all.
MAX_CONTENT = 2 << 20
#: After so many bad bodies no more are decoded.
MAX_ERRORS = 100


class Record(NamedTuple):
    """One element of the file, or ``records`` consecutive ones that hold pages.

    ``type`` is its number in the stream, None where it has none; ``content`` is what its body says, None where nobody
    asked or it says nothing.  ``offset`` and ``size`` are in bytes of the file, ``body`` and ``length`` those of the
    first record's body.
    """

    layer: str
    name: str
    type: int | None
    offset: int
    size: int
    body: int
    length: int
    records: int
    content: Any


class Guest(NamedTuple):
    """What the config says about the guest; None where there is no config, or it does not say."""

    name: str | None = None
    uuid: str | None = None
    type: str | None = None
    memory_kib: int | None = None
    max_memory_kib: int | None = None
    vcpus: int | None = None


class Inspection(NamedTuple):
    """A checkpoint, as far as it could be read.

    ``size`` is the file's and ``end`` is where the part that is right ends, in bytes; ``errors`` say what is wrong, and
    are empty where the framing is whole.  ``saved`` is the trailer's identity; xl's file has only Xen's version.
    ``checksums`` says that there are some, not that they are right.  ``left_out`` counts records that are not listed.
    ``stored`` is what a compressed one takes, 0 of any other; all else, the ``size`` too, is of what it holds.
    ``legacy`` is empty unless the file is of Xen 4.2 to 4.5; it says that offsets are in what it is converted to.
    """

    file: str
    size: int
    end: int
    errors: list[str]
    checksums: bool
    guest: Guest
    saved: trailer.Identity
    pages: int
    pages_without_data: int
    config: dict[str, Any] | None
    records: list[Record]
    left_out: int
    legacy: str = ""
    stored: int = 0


def inspect(path: Path, contents: bool = False) -> Inspection:
    """Return what is in a checkpoint, as far as it can be read; with ``contents`` also what the records say.

    :raise OSError: the file cannot be read.
    :raise PyxlError: it is a pipe.
    """
    with opened(path) as source:
        return _Inspector(source, MAX_CONTENT if contents else 0).inspection(str(path))


def guest_config(path: Path) -> GuestConfig:
    """Return the guest's config out of a checkpoint, whatever follows its header.

    :raise StreamError: the header is bad.
    :raise UsageError: there is no config, or it is not one that libxl or xl writes.
    """
    with opened(path) as source:
        config = config_of(xl_header.parse(source.take), str(path))
    if config is None:
        raise UsageError(f"{path} has no config")
    return config


def config_of(header: xl_header.XlHeader, origin: str) -> GuestConfig | None:
    """Return the guest's config, None where none was saved.

    :raise UsageError: it is not one that libxl or xl writes.
    """
    text = header.config.decode("utf-8", "replace")
    if not text:
        return None
    if not header.is_json:
        import json

        from pyxl.formats.xlcfg.parse import parse

        text = json.dumps(parse([(origin, text)], new_uuid=str))
    return GuestConfig(text, origin)


class _Inspector:
    """Builds the inspection of one checkpoint."""

    def __init__(self, source: Source, room: int) -> None:
        self._source = source
        self._errors: list[str] = []
        self._records: list[Record] = []
        self._left_out = 0
        self._room = room
        self._end = 0
        self._in_a_row = 0
        self._pages = 0
        self._without = 0
        self._type: str | None = None
        self._xen = ""
        self._trailer: trailer.Trailer | None = None

    def inspection(self, file: str) -> Inspection:
        config = None
        try:
            config = config_of(xl_header.parse(self._source.take), "config")
        except UsageError as error:
            self._errors.append(str(error))
        except StreamError:  # the walk below meets it again, in its place
            pass
        self._source.offset = 0
        try:
            for element in walk.elements(self._source.take, self._source.skip):
                self._add(element)
                self._end = element.end
            self._source.expect_end(self._trailer is not None)
        except StreamError as error:
            self._errors.append(f"{error}: {error.hint}" if error.hint else str(error))
        self._end_row()
        return Inspection(
            file=file,
            size=self._source.size,
            end=self._end,
            errors=self._errors,
            checksums=self._trailer is not None and (bool(self._trailer.sums) or self._source.is_summed),
            guest=self._guest(config),
            saved=self._trailer.identity if self._trailer else Identity(xen=self._xen),
            pages=self._pages,
            pages_without_data=self._without,
            config=config.document if config else None,
            records=self._records,
            left_out=self._left_out,
            legacy=self._legacy(),
            stored=self._source.stored,
        )

    def _legacy(self) -> str:
        if not isinstance(self._source, LegacyView):
            return ""
        said = "of Xen 4.2 to 4.5; shown as `pyxl convert` makes it, with the offsets in that"
        return said + ("; only --skip-device-state restores it" if self._source.left_out else "")

    def _add(self, element: Element) -> None:
        if (missing := element.end - self._source.size) > 0:
            what = f"{element.name} of byte {element.offset}"
            raise TruncatedStream(f"file ends {missing} bytes too early, within {what}", self._source.size)
        if element.layer == "libxc" and element.kind == libxc_v2.PAGE_DATA:
            self._add_pages(element)
            return
        self._end_row()
        if element.name == "TRAILER":
            self._source.offset = element.offset
            self._trailer = trailer.parse(self._source.take, element.offset)
            self._keep(element, {"covered": self._trailer.covered, "sums": len(self._trailer.sums)})
        else:
            if element.name == "DOMAIN_HEADER":
                domain = libxc_v2.DOMAIN.unpack(self._source.read(element.body, element.length))
                self._type, self._xen = "hvm" if domain[0] == libxc_v2.TYPE_HVM else "pv", f"{domain[3]}.{domain[4]}"
            self._keep(element, self._content(element))

    def _add_pages(self, element: Element) -> None:
        named = int.from_bytes(self._source.read(element.body, min(4, element.length)), "little")
        pages, rest = divmod(element.length - 8 - 8 * named, 1 << libxc_v2.PAGE_SHIFT)
        if rest or not 0 <= pages <= named:
            raise BadRecord(f"PAGE_DATA of {element.length} bytes for {named} pages", element.offset)
        self._pages += pages
        self._without += named - pages
        if not self._in_a_row:
            self._keep(element, {"pages": 0, "without_data": 0})
        if not self._left_out:
            self._in_a_row += 1
            said = self._records[-1].content
            said["pages"] += pages
            said["without_data"] += named - pages

    def _end_row(self) -> None:
        """Join consecutive PAGE_DATA records to one."""
        if self._in_a_row:
            first = self._records[-1]
            self._records[-1] = first._replace(size=self._end - first.offset, records=self._in_a_row)
            self._in_a_row = 0

    def _keep(self, element: Element, said: Any) -> None:
        if len(self._records) >= MAX_RECORDS:
            self._left_out += 1
            return
        layer, kind, name, offset, size, body, length = element
        number = None if kind == NO_RECORD else kind
        self._records.append(Record(layer, name, number, offset, size, body, length, 1, said))

    def _content(self, element: Element) -> Any:
        """Return what a body says; note what is wrong with it, and go on."""
        if not self._room:
            return None
        from pyxl.formats.stream import content

        size = content.wanted(element)
        if size > self._room:
            return None
        self._room -= size
        try:
            return content.content(element, self._source.read(element.body, size))
        except StreamError as error:
            self._errors.append(str(error))
            if len(self._errors) >= MAX_ERRORS:
                self._room = 0
            return None

    def _guest(self, config: GuestConfig | None) -> Guest:
        if config is None:
            return Guest(type=self._type)
        # With 0 the config leaves a number open.
        return Guest(
            config.name, config.uuid or None, config.type, config.target_kb or None, config.most_kb or None,
            config.vcpus or None,
        )  # fmt: skip
