"""Pack the working tree for dom0, with modules that are compiled already."""

import hashlib
import importlib.util
import io
import marshal
import os
import struct
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

from pyxl.errors import LabError

LINKS = {"pyxl_save_helper": "helper"}  # the name that the helper is imported by


def tree_files(tree: Path) -> Iterator[tuple[str, Path]]:
    """Yield the files of a working tree, or of an installed pyxl, that dom0 needs, with their names there.

    :raise LabError: ``tree`` is neither.
    """
    if not (tree / "pyxl/__main__.py").exists():
        raise LabError(f"{tree} is not pyxl's working tree", "name it with --tree")
    for part, directory in parts(tree):
        for path in sorted(directory.rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                yield f"{part}/{path.relative_to(directory)}", path


def parts(tree: Path) -> Iterator[tuple[str, Path]]:
    """Yield the directories whose files dom0 needs, with their names there."""
    yield "pyxl", tree / "pyxl"
    if (tree / "helper").exists():
        yield "helper", tree / "helper"
        yield "conf-examples", tree / "conf-examples"
    else:  # installed: PREFIX/lib/python3.x/site-packages
        yield "helper", tree / "pyxl_save_helper"
        yield "helper", Path(os.path.normpath(tree / "../../../libexec/pyxl"))


def archive(tree: Path, place: str, python: tuple[int, int], cache: Path) -> tuple[bytes, int]:
    """Return a tar of the tree, under the name of the directory ``place``, and its number of files.

    Modules are compiled here if ``python``, dom0's, is also ours: in dom0 that takes seconds after every reset.
    """
    data = io.BytesIO()
    top = Path(place).name
    count = 0
    # GNU format: times in whole seconds, as in a compiled module.
    with tarfile.open(fileobj=data, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for name, path in tree_files(tree):
            content = path.read_bytes()
            stat = path.stat()
            member = tarfile.TarInfo(f"{top}/{name}")
            member.size, member.mtime, member.mode = len(content), int(stat.st_mtime), stat.st_mode & 0o777
            tar.addfile(member, io.BytesIO(content))
            count += 1
            if path.suffix == ".py" and python == sys.version_info[:2]:
                code = compiled(content, f"{place.removesuffix('.new')}/{name}", int(stat.st_mtime), cache)
                if code:
                    inner = Path(name)
                    tag = f"{inner.stem}.{sys.implementation.cache_tag}.pyc"
                    member = tarfile.TarInfo(f"{top}/{inner.parent}/__pycache__/{tag}")
                    member.size, member.mtime = len(code), int(stat.st_mtime)
                    tar.addfile(member, io.BytesIO(code))
        for name, target in LINKS.items():
            member = tarfile.TarInfo(f"{top}/{name}")
            member.type, member.linkname = tarfile.SYMTYPE, target
            tar.addfile(member)
    return data.getvalue(), count


def compiled(source: bytes, filename: str, mtime: int, cache: Path) -> bytes:
    """Return a .pyc of ``source``, valid for a file of that ``mtime``; empty if it does not compile."""
    key = hashlib.sha256(importlib.util.MAGIC_NUMBER + filename.encode() + b"\0" + source).hexdigest()[:32]
    kept = cache / key
    try:
        code = kept.read_bytes()
    except OSError:
        try:
            code = marshal.dumps(compile(source, filename, "exec", dont_inherit=True))
        except (SyntaxError, ValueError):
            return b""  # dom0's Python will say what is wrong with it
        cache.mkdir(parents=True, exist_ok=True)
        unfinished = kept.with_name(f"{key}.{os.getpid()}")
        unfinished.write_bytes(code)
        unfinished.rename(kept)
    return importlib.util.MAGIC_NUMBER + struct.pack("<III", 0, mtime & 0xFFFFFFFF, len(source) & 0xFFFFFFFF) + code
