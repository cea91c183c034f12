"""A repository: a directory of packs and manifests, and which of its checkpoints is meant.

Spec: README.md of this folder.
"""

import json
import re
import secrets
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from pyxl.checkpoint.new_file import NewFile
from pyxl.errors import PyxlError, StreamError, TruncatedStream, UnsupportedStream, UsageError
from pyxl.memory.places import SECRET_BYTES
from pyxl.repository.locks import Locks
from pyxl.repository.manifest import Facts, Manifest, PackRef, parse, parse_facts
from pyxl.repository.pack import Pack
from pyxl.repository.reference import MARKER, is_repository

VERSION = 1
LATEST = "latest"
_NUMBER = re.compile(r"(\d{8,})\.(manifest|pack)")
_TIMES = ("%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M", "%Y-%m-%d")


class Listed(NamedTuple):
    """A checkpoint of a repository; ``size`` is its manifest's, in bytes, ``problem`` why it is not whole, or empty.

    A manifest that cannot be read has no facts but its number.
    """

    facts: Facts
    packs: tuple[PackRef, ...]
    size: int
    problem: str = ""


class Repository:
    """The repository at ``path``.

    :raise PyxlError: there is none, or one of a later pyxl.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.manifests, self.packs = path / "manifests", path / "packs"
        self.locks = Locks(path / "locks")
        try:
            said = json.loads((path / MARKER).read_text())
            version, self.secret = said["version"], bytes.fromhex(said["secret"])
        except FileNotFoundError as error:
            raise PyxlError(f"{path} is no repository", f"`pyxl checkpoint --init {path}` makes it one.") from error
        except (ValueError, KeyError, TypeError) as error:
            raise PyxlError(f"{path / MARKER} is damaged: {error}") from error
        if version != VERSION or len(self.secret) != SECRET_BYTES:
            raise UnsupportedStream(f"{path} is a repository of version {version}", 0)

    @classmethod
    def made(cls, path: Path) -> "Repository":
        """Return the repository at ``path``, which becomes one if it is empty or missing.

        :raise PyxlError: something else is there.
        """
        if is_repository(path):
            return cls(path)
        if path.is_dir() and any(name.name != "locks" for name in path.iterdir()):
            raise PyxlError(f"{path} is no repository, and not empty", "Name a new or an empty directory.")
        for each in (path, path / "locks", path / "manifests", path / "packs"):
            each.mkdir(mode=0o700, exist_ok=True)
        with Locks(path / "locks").alone():
            if not is_repository(path):
                said = {"version": VERSION, "secret": secrets.token_hex(SECRET_BYTES)}
                with NewFile(path / MARKER) as file:
                    file.write(json.dumps(said).encode() + b"\n")
                    file.sync()
                    file.commit()
        return cls(path)

    def new_number(self) -> int:
        """Return a number that no checkpoint or pack has, or had."""
        last = max([*_numbers(self.manifests), *_numbers(self.packs)], default=0)
        return self.locks.next_number(last + 1)

    def manifest_path(self, number: int) -> Path:
        return self.manifests / f"{number:08}.manifest"

    def pack_path(self, number: int) -> Path:
        return self.packs / f"{number:08}.pack"

    def numbers(self) -> list[int]:
        """Return the numbers of its checkpoints, the oldest first."""
        return sorted(_numbers(self.manifests))

    def pack_names(self) -> list[str]:
        """Return the names of its packs."""
        return [self.pack_path(number).name for number in sorted(_numbers(self.packs))]

    def read_manifest(self, number: int) -> bytes:
        """Return the bytes of a manifest.

        :raise PyxlError: there is none of this number.
        """
        try:
            return self.manifest_path(number).read_bytes()
        except FileNotFoundError as error:
            hint = f"`pyxl checkpoints {self.path}` lists them."
            raise PyxlError(f"{self.path} has no checkpoint {number}", hint) from error

    def parsed(self, number: int, data: bytes) -> Manifest:
        """Return a manifest out of its bytes.

        :raise StreamError: it is damaged.
        """
        try:
            return parse(data)
        except StreamError as error:
            raise type(error)(f"checkpoint {number}: {error.what}", error.offset) from error

    def open_pack(self, name: str, size: int) -> Pack:
        """Open a pack that a manifest names.

        :raise StreamError: it is missing, damaged, or of another size.
        """
        try:
            return Pack(self.packs / name, size)
        except FileNotFoundError as error:
            raise TruncatedStream(f"pack {name} is missing", 0) from error

    def listed(self, number: int) -> Listed:
        """Return what a manifest says, and whether all that it needs is there; reads no pack.

        :raise PyxlError: there is none of this number.
        """
        data = self.read_manifest(number)
        try:
            facts, packs = parse_facts(data)
        except StreamError as error:
            nobody = Facts(number, "", "", "", "", "", "", 0, 0, 0, 0, "", 0)
            return Listed(nobody, (), len(data), error.what)
        return Listed(facts, packs, len(data), next(self._missing(packs), ""))

    def all(self) -> list[Listed]:
        """Return its checkpoints, the oldest first."""
        found = []
        for number in self.numbers():
            try:
                found.append(self.listed(number))
            except PyxlError:  # it was removed just now
                continue
        return found

    def newest(self, uuid: str) -> int | None:
        """Return the number of a guest's newest checkpoint that is whole."""
        for number in reversed(self.numbers()):
            try:
                each = self.listed(number)
            except PyxlError:  # it was removed just now
                continue
            if each.facts.uuid == uuid and not each.problem:
                return number
        return None

    def resolve(self, which: str) -> int:
        """Return the number of the checkpoint that is meant by N, TIME, `latest` or NAME, or by NAME@ and one of these.

        A time means the last checkpoint until then; a name the newest of the guest.

        :raise PyxlError: none is, or it could be one of several guests'.
        """
        if which.isdigit():
            self.read_manifest(int(which))
            return int(which)
        guest, _, when = which.rpartition("@")
        until = "" if when in ("", LATEST) else _utc(when)
        if until is None:
            guest, until = when, ""
        found = [each.facts for each in self.all() if not each.problem]
        if guest:
            found = [facts for facts in found if guest in (facts.name, facts.uuid)]
        if until:
            found = [facts for facts in found if facts.saved <= until]
        listing = f"`pyxl checkpoints {self.path}` lists them."
        if not found:
            raise PyxlError(f"{self.path} has no whole checkpoint{f' for {which}' if which else ''}", listing)
        guests = sorted({facts.name for facts in found})  # one that was created anew has another uuid
        if len(guests) > 1:
            said = f"{self.path} has checkpoints of {', '.join(guests[:5])}{' and others' if len(guests) > 5 else ''}"
            raise UsageError(f"{said}: which is meant?", f"Name the guest, as in {self.path}@{guests[0]}, or a number.")
        return max(found, key=lambda facts: facts.number).number

    def _missing(self, packs: tuple[PackRef, ...]) -> Iterator[str]:
        for name, size in packs:
            try:
                found = (self.packs / name).stat().st_size
            except OSError as error:
                yield f"pack {name}: {error.strerror}"
            else:
                if found != size:
                    yield f"pack {name} has {found} bytes, not {size}"


def _numbers(directory: Path) -> list[int]:
    return [int(found[1]) for each in directory.iterdir() if (found := _NUMBER.fullmatch(each.name))]


def _utc(text: str) -> str | None:
    """Return a local time, or with a Z one in UTC, as manifests have it; None where it is none."""
    is_utc = text.endswith("Z")
    for form in _TIMES:
        try:
            parsed = time.strptime(text.removesuffix("Z"), form)
        except ValueError:
            continue
        if is_utc:
            return time.strftime("%Y-%m-%dT%H:%M:%SZ", parsed)
        return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.mktime(parsed)))
    return None
