"""The ctypes structures have the sizes and offsets of Xen's headers (xen-spec.md 6.1, appendix B); needs no Xen."""

import ctypes

import pytest

from pyxl.errors import XenError
from pyxl.xen import ctrl, guest, lib
from pyxl.xen.info import RawInfo
from pyxl.xen.topology import PoolInfo


@pytest.mark.parametrize(
    ("structure", "size"),
    [(RawInfo, 112), (guest.SaveCallbacks, 56), (guest.RestoreCallbacks, 56), (guest.Logger, 24), (PoolInfo, 24)],
)
def test_sizes(structure: type[ctypes.Structure], size: int) -> None:
    assert ctypes.sizeof(structure) == size


@pytest.mark.parametrize(
    ("structure", "field", "offset"),
    [
        (RawInfo, "flags", 4), (RawInfo, "tot_pages", 8), (RawInfo, "max_pages", 16),
        (RawInfo, "cpu_time", 56), (RawInfo, "nr_online_vcpus", 64), (RawInfo, "handle", 76),
        (guest.SaveCallbacks, "suspend", 0), (guest.SaveCallbacks, "switch_qemu_logdirty", 40),
        (guest.RestoreCallbacks, "static_data_done", 0), (guest.RestoreCallbacks, "data", 48),
        (PoolInfo, "cpus", 16),
    ],
)  # fmt: skip
def test_offsets(structure: type[ctypes.Structure], field: str, offset: int) -> None:
    assert getattr(structure, field).offset == offset


def test_a_domain_s_flags_are_decoded() -> None:
    raw = RawInfo(domid=5, flags=2 | 4 | 8 | 2 << 16, tot_pages=256, max_pages=512, nr_online_vcpus=2)
    raw.handle[:] = bytes.fromhex("6b1d9b2e000040008000000000000001")
    info = ctrl._decode(raw)
    assert (info.domid, info.hvm, info.paused, info.suspended, info.running) == (5, True, True, True, False)
    assert (info.memory_kb, info.max_memory_kb, info.vcpus) == (1024, 2048, 2)
    assert info.uuid == "6b1d9b2e-0000-4000-8000-000000000001"


def test_without_xen_it_says_so_and_names_the_lab(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lib, "_VERSION", "/nonexistent/")
    with pytest.raises(lib.NotOnXen, match="not a Xen host") as caught:
        lib.load("xenctrl")
    assert "pyxl lab" in caught.value.hint


def test_errno_becomes_an_error_that_names_call_and_domid() -> None:
    ctypes.set_errno(3)
    error = lib.failed("xc_domain_save", 7)
    assert (str(error), error.errnum, error.domid) == ("xc_domain_save for domain 7: No such process", 3, 7)
    with pytest.raises(XenError, match="xc_no_such_call: not in"):
        lib.declare(ctypes.CDLL(None), ctypes.c_int, "xc_no_such_call")
