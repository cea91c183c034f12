"""What another release of Xen has saved, and whether this host's loads it."""

import os
from pathlib import Path

import pytest

from pyxl.checkpoint.source import Source
from pyxl.errors import PyxlError
from pyxl.formats.hvm import context
from pyxl.formats.hvm.context import END, LAPIC, Entry
from pyxl.model import releases
from pyxl.ops.force import unless_forced
from pyxl.ops.preflight_release import loads_here
from tests.formats.stream import streams

#: The LAPIC's entry of each release, in bytes, as xen/include/public/arch-x86/hvm/save.h of its tag has it.
LAPIC_BYTES = {
    "4.17.7": 24, "4.18.0": 24, "4.18.4": 24, "4.18.5": 32, "4.18.6": 32, "4.19.0": 24, "4.19.1": 24, "4.19.2": 32,
    "4.19.6": 32, "4.20.0": 24, "4.20.1": 32, "4.20.4": 32, "4.21.0": 32, "4.22.0": 32, "4.23-unstable": 32,
}  # fmt: skip


def saved(path: Path, saver: tuple[int, int], *entries: Entry) -> Source:
    header = streams.context_entry(context.HEADER, 0, magic=context.MAGIC, version=1)
    body = context.encode([header, *entries, streams.context_entry(END, 0)])
    records = streams.STATIC_DATA_END + streams.page_data([0, 1]) + streams.encoded("HVM_CONTEXT", body)
    return opened(path, streams.checkpoint(streams.libxc_stream(records=records, saver=saver)))


def opened(path: Path, data: bytes) -> Source:
    path.write_bytes(data)
    return Source(os.open(path, os.O_RDONLY))


@pytest.mark.parametrize(("release", "most"), LAPIC_BYTES.items())
def test_each_release_is_known_to_take_what_its_header_has(release: str, most: int) -> None:
    assert releases.entry_limit(LAPIC, 32, releases.parsed(release)) == most


@pytest.mark.parametrize(
    ("release", "saver", "size", "is_refused"),
    [
        ("4.17.7", (4, 17), 24, False),
        ("4.17.7", (4, 20), 24, False),  # 4.20.0
        ("4.17.7", (4, 20), 32, True),
        ("4.20.0", (4, 20), 32, True),
        ("4.20.4", (4, 17), 24, False),
        ("4.20.4", (4, 20), 32, False),
        ("4.20.4", (4, 23), 40, True),
        ("4.23.0", (4, 23), 40, False),
        ("4.23.0", (4, 24), 40, False),
    ],
)
def test_an_older_xen_refuses_a_longer_entry(
    tmp_path: Path, release: str, saver: tuple[int, int], size: int, is_refused: bool
) -> None:
    source = saved(tmp_path / "file", saver, Entry(0, LAPIC, 0, bytes(size)), Entry(0, LAPIC, 1, bytes(size)))
    if not is_refused:
        return loads_here(release, source)
    with pytest.raises(PyxlError) as caught:
        loads_here(release, source)
    assert str(caught.value) == (
        f"this host's Xen {release} does not load what Xen {saver[0]}.{saver[1]} has saved of the guest: "
        f"LAPIC of {size} bytes, where it takes {LAPIC_BYTES[release]}"
    )
    assert unless_forced(lambda: loads_here(release, source), True) == [f"passed over by --force: {caught.value}"]


def test_an_entry_that_only_a_later_xen_knows_is_named(tmp_path: Path) -> None:
    with pytest.raises(PyxlError, match="an entry of type 21, which it does not know"):
        loads_here("4.20.4", saved(tmp_path / "file", (4, 23), Entry(0, 21, 0, bytes(8))))


def test_nothing_is_said_of_a_pipe_or_a_pv_guest(tmp_path: Path) -> None:
    loads_here("4.17.7", None)
    loads_here("4.17.7", opened(tmp_path / "pv", streams.pv_checkpoint(streams.STATIC_DATA_END)))


def test_a_release_without_a_number_of_its_own_is_the_first_of_its_series() -> None:
    assert releases.parsed("4.21-unstable") == (4, 21, 0)
    assert releases.parsed("4.17.7") == (4, 17, 7)
    assert releases.parsed("?") == (0, 0, 0)
