"""CPU policies: read one from the head of a stream, and compare it with a host's."""

import struct

import pytest

from pyxl.errors import BadRecord, TruncatedStream
from pyxl.formats.stream import cpu_policy, libxl_v2, record
from pyxl.formats.stream.cpu_policy import CPUID, MSR, NO_SUBLEAF
from tests.formats.stream import streams
from tests.formats.stream.test_streams import Bytes


def leaf(number: int, subleaf: int = NO_SUBLEAF, *, eax: int = 0, ebx: int = 0, ecx: int = 0, edx: int = 0) -> bytes:
    return struct.pack("<6I", number, subleaf, eax, ebx, ecx, edx)


def msr(index: int, value: int) -> bytes:
    return struct.pack("<IIQ", index, 0, value)


LEAVES = leaf(1, ecx=0x201, edx=3) + leaf(7, 0, ebx=1 << 16)
POLICY = record.encode(CPUID, LEAVES) + record.encode(MSR, msr(0xCE, 1 << 31))


def stream(records: bytes, version: int = 3) -> bytes:
    return libxl_v2.start() + streams.libxc_stream(version, records + record.encode(0x10))


def test_the_policy_stands_at_the_head_of_a_stream() -> None:
    found = cpu_policy.of_stream(Bytes(stream(POLICY)).take, 0)
    assert found is not None
    hvm, policy = found
    assert (hvm, policy.msrs) == (True, {0xCE: 1 << 31})
    assert policy.leaves == {(1, NO_SUBLEAF): (0, 0, 0x201, 3), (7, 0): (0, 1 << 16, 0, 0)}


@pytest.mark.parametrize("version", [2, 3])
def test_a_stream_of_an_older_xen_has_none(version: int) -> None:
    assert cpu_policy.of_stream(Bytes(stream(b"", version)).take, 0) is None


def test_a_policy_that_is_cut_or_has_no_end() -> None:
    data = stream(POLICY)
    for length in range(data.index(LEAVES) + len(LEAVES)):
        with pytest.raises(TruncatedStream):
            cpu_policy.of_stream(Bytes(data[:length]).take, 0)
    with pytest.raises(BadRecord, match="CPU policy of 65560 bytes"):
        cpu_policy.of_stream(Bytes(stream(record.HEADER.pack(CPUID, 65560))).take, 0)


@pytest.mark.parametrize(
    ("guest", "missing"),
    [
        (leaf(7, 0, ebx=1 << 16), ["avx512f"]),
        (leaf(7, 0, ebx=1 << 22), ["CPUID 0x7.0 ebx bit 22"]),
        (leaf(1, edx=1 << 26, ecx=1 << 31), ["sse2", "hypervisor"]),
        (leaf(0x8000_0021, eax=1 << 8), ["CPUID 0x80000021 eax bit 8"]),
        (leaf(0, eax=0x16), ["CPUID up to 0x16 in 0x0 eax"]),
        (leaf(1, ecx=1 << 27, edx=1 << 28), []),  # OSXSAVE and HTT
        (leaf(0x8000_0001, edx=0x0183_F3FF), []),
        (leaf(1, eax=0x000206A7, ebx=0x0001_0800), []),  # a family and an APIC id are not features
        (leaf(0xB, 0, eax=1, ebx=2), []),
    ],
)
def test_what_a_host_without_anything_lacks(guest: bytes, missing: list[str]) -> None:
    nothing = cpu_policy.decode(b"", b"")
    assert cpu_policy.lacking(cpu_policy.decode(guest, b""), nothing) == missing
    assert cpu_policy.lacking(cpu_policy.decode(guest, b""), cpu_policy.decode(guest, b"")) == []


def test_a_guest_whose_cpuid_can_fault() -> None:
    guest, plain = cpu_policy.decode(b"", msr(0xCE, 1 << 31)), cpu_policy.decode(b"", b"")
    assert cpu_policy.lacking(guest, plain) == ["cpuid-faulting"]
    assert cpu_policy.lacking(plain, guest) == []
