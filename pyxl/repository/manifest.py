"""A manifest: which guest a checkpoint is of, and where each of its pages lies.

Spec: README.md of this folder.  Knows bytes; does not know files, nor what is in a pack.
"""

import json
import re
import struct
from array import array
from typing import Any, NamedTuple

import xxhash

from pyxl.checkpoint.buffers import buffer
from pyxl.checkpoint.zstd import Compressor, Decompressor, ZstdError
from pyxl.errors import BadHeader, BadRecord, TruncatedStream, UnsupportedStream
from pyxl.memory import places

MAGIC = b"pyxl manifest\n"
VERSION = 1
_DIGEST = struct.Struct("<Q")
_LENGTHS = struct.Struct("<QQQ")  # of the head, the tail and the columns of the runs
_COUNTS, _SECONDS = {"number", "size", "pages", "zero", "new"}, {"seconds", "freeze"}
_PACK = re.compile(r"\d{8,}\.pack")
_LEVEL = 3
#: What a manifest may unpack to: a guest of 4 TiB whose every second page lies alone.
_MOST = 16 << 30


class PackRef(NamedTuple):
    """A pack that a checkpoint needs, and its size in bytes."""

    name: str
    size: int


class Facts(NamedTuple):
    """What a manifest says of its checkpoint to people; ``saved`` is in UTC, as 2026-11-24T15:20:11Z.

    ``size`` is that of xl's file, in bytes; ``pages``, ``zero`` and ``new`` are counts of pages: all, those that are
    zero, those that its own pack holds.  ``own`` is that pack.  ``freeze`` is in seconds, None where it is not known.
    """

    number: int
    uuid: str
    name: str
    saved: str
    host: str
    xen: str
    pyxl: str
    size: int
    pages: int
    zero: int
    new: int
    own: str
    seconds: float
    freeze: float | None = None


class Manifest(NamedTuple):
    """``runs`` are places.RUN, in the order of the guest, none beyond a chunk or a frame; packs are counted from 1.

    ``head`` and ``tail`` are what xl's file has in front of the pages and behind them.
    """

    facts: Facts
    packs: tuple[PackRef, ...]
    head: bytes
    tail: bytes
    runs: bytes


def encode(manifest: Manifest) -> bytes:
    """Return the bytes of a manifest."""
    columns = _columns(manifest.runs)
    body = b"".join((
        _LENGTHS.pack(len(manifest.head), len(manifest.tail), len(columns)), manifest.head, manifest.tail, columns,
    ))  # fmt: skip
    said = {"version": VERSION, **manifest.facts._asdict(), "packs": manifest.packs, "body": len(body)}
    text = json.dumps(said, ensure_ascii=False).encode("utf-8", "replace")
    data = MAGIC + text + b"\n" + Compressor(_LEVEL, len(body)).frame(body)
    return data + _DIGEST.pack(xxhash.xxh64_intdigest(data))


def parse(data: bytes) -> Manifest:
    """Return what :func:`encode` was given.

    :raise StreamError: it is not whole, or no manifest.
    """
    said, at = _said(data)
    body = buffer(said["body"])
    try:
        Decompressor().frame(data[at : -_DIGEST.size], body)
    except ZstdError as error:
        raise BadRecord(f"the manifest is damaged: {error}", at) from error
    head, tail, columns = _LENGTHS.unpack_from(body)
    if _LENGTHS.size + head + tail + columns != len(body) or columns % places.RUN.size:
        raise BadRecord(f"the manifest has parts of {head}, {tail} and {columns} bytes", at)
    parts = []
    at = _LENGTHS.size
    for length in (head, tail, columns):
        parts.append(bytes(body[at : at + length]))
        at += length
    return Manifest(_facts(said), _packs(said), parts[0], parts[1], _runs(parts[2]))


def parse_facts(data: bytes) -> tuple[Facts, tuple[PackRef, ...]]:
    """Return what a manifest says to people, and which packs it needs.

    :raise StreamError: it is not whole, or no manifest.
    """
    said, _ = _said(data)
    return _facts(said), _packs(said)


def _said(data: bytes) -> tuple[dict[str, Any], int]:
    """Return the JSON object of a manifest whose digest is right, and where its body begins."""
    if not data.startswith(MAGIC[: len(data)]) or not data:
        raise BadHeader("no manifest: its magic is missing", 0)
    end = data.find(b"\n", len(MAGIC))
    if end < 0 or len(data) < end + _DIGEST.size:
        raise TruncatedStream("the manifest is cut short", len(data))
    if _DIGEST.pack(xxhash.xxh64_intdigest(data[: -_DIGEST.size])) != data[-_DIGEST.size :]:
        raise BadRecord("the manifest is cut short or damaged: its sum differs", 0)
    try:
        said = json.loads(data[len(MAGIC) : end])
        version, body = said["version"], said["body"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise BadRecord("the manifest says nothing of itself", len(MAGIC)) from error
    if version != VERSION:
        raise UnsupportedStream(f"a manifest of version {version}", len(MAGIC))
    if not isinstance(body, int) or not _LENGTHS.size <= body <= _MOST:
        raise UnsupportedStream(f"a manifest of {body} bytes", len(MAGIC))
    return said, end + 1


def _facts(said: dict[str, Any]) -> Facts:
    for name in Facts._fields:
        kind = (int,) if name in _COUNTS else (int, float, type(None)) if name in _SECONDS else (str,)
        if not isinstance(said.get(name), kind):
            raise BadRecord(f"the manifest says of {name}: {said.get(name)!r}", len(MAGIC))
    return Facts(**{name: said[name] for name in Facts._fields})


def _packs(said: dict[str, Any]) -> tuple[PackRef, ...]:
    packs: Any = said.get("packs")
    for pack in packs if isinstance(packs, list) else [packs]:
        if [*map(type, pack if isinstance(pack, list) else [])] != [str, int] or not _PACK.fullmatch(pack[0]):
            raise BadRecord(f"the manifest names a pack {pack!r}", len(MAGIC))
    return tuple(PackRef(*pack) for pack in packs)


def _columns(runs: bytes) -> bytes:
    """Return the three columns of runs one behind the other: zstd finds more in them than in rows."""
    return b"".join(memoryview(runs).cast("Q")[column::3].tobytes() for column in range(3))


def _runs(columns: bytes) -> bytes:
    count = len(columns) // places.RUN.size
    numbers = array("Q", columns)
    rows = array("Q", bytes(len(columns)))
    for column in range(3):
        rows[column::3] = numbers[column * count : (column + 1) * count]
    return rows.tobytes()
