"""verify's rules, each with a stream that breaks only that rule."""

import struct

import pytest

from pyxl.formats.stream import libxl_v2, record, verify, xl_header
from pyxl.formats.stream.finding import BROKEN, SUSPICIOUS, Finding, Severity
from tests.formats.stream import streams
from tests.formats.stream.streams import ABSENT_PAGE, CONTEXT, SMALLEST, STATIC_DATA_END, encoded
from tests.formats.stream.test_streams import Bytes

CONTEXT_RECORD = encoded("HVM_CONTEXT", CONTEXT)
BEFORE = STATIC_DATA_END + ABSENT_PAGE
END_ENTRY = bytes(8)
PV_INFO = encoded("X86_PV_INFO", struct.pack("<BBHI", 8, 4, 0, 0))
VCPU = struct.pack("<II", 0, 0)
BASIC = encoded("X86_PV_VCPU_BASIC", VCPU + bytes(5168))
PV = PV_INFO + STATIC_DATA_END + ABSENT_PAGE + BASIC
LEAF, ENTRY = encoded("X86_CPUID_POLICY", bytes(24)), encoded("X86_MSR_POLICY", bytes(16))
TSC = encoded("X86_TSC_INFO", bytes(24))


def findings(data: bytes) -> list[Finding]:
    source = Bytes(data)
    header = xl_header.parse(source.take)
    return list(verify.findings(header, source.take, source.skip))


def rules(data: bytes) -> list[tuple[str, Severity]]:
    return [(finding.rule, finding.severity) for finding in findings(data)]


def words(value: object) -> str:
    """Return a parameter as an id if it is text."""
    return value if isinstance(value, str) else ""


def pages(*words: int, reserved: int = 0, count: int | None = None, data: bytes = b"") -> bytes:
    head = struct.pack("<II", len(words) if count is None else count, reserved)
    return encoded("PAGE_DATA", head + struct.pack(f"<{len(words)}Q", *words) + data)


def params(*indices: int, reserved: int = 0, count: int | None = None) -> bytes:
    head = struct.pack("<II", len(indices) if count is None else count, reserved)
    return encoded("HVM_PARAMS", head + b"".join(struct.pack("<QQ", index, 1) for index in indices))


def context(*entries: bytes) -> bytes:
    return BEFORE + encoded("HVM_CONTEXT", CONTEXT[:-8] + b"".join(entries) + END_ENTRY)


@pytest.mark.parametrize("version", [2, 3])
def test_nothing_is_found_in_a_good_stream(version: int) -> None:
    assert findings(streams.checkpoint(streams.libxc_stream(version))) == []
    assert findings(streams.checkpoint(marked=True)) == []
    assert findings(streams.checkpoint(streams.libxc_stream(records=LEAF + ENTRY + SMALLEST + TSC + params(1, 38)))) == []


@pytest.mark.parametrize("kind", [0x0, 0x1, 0x4, 0x9, 0xC])
def test_nothing_is_found_in_a_good_stream_of_a_pv_guest(kind: int) -> None:
    records = (
        PV_INFO + STATIC_DATA_END + encoded("X86_PV_P2M_FRAMES", struct.pack("<IIQQ", 0, 1023, 7, 8))
        + pages(kind << 60 | 7, data=bytes(4096)) + encoded("SHARED_INFO", bytes(4096)) + BASIC
        + encoded("X86_PV_VCPU_EXTENDED", VCPU + bytes(128)) + encoded("X86_PV_VCPU_XSAVE", VCPU + bytes(16))
        + encoded("X86_PV_VCPU_MSRS", VCPU + bytes(32))
    )  # fmt: skip
    assert findings(streams.pv_checkpoint(records)) == []


@pytest.mark.parametrize(
    ("records", "rule", "severity"),
    [
        (SMALLEST + encoded("VERIFY", bytes(8)), "empty", SUSPICIOUS),
        (encoded("STATIC_DATA_END", b"x") + ABSENT_PAGE + CONTEXT_RECORD, "empty", SUSPICIOUS),
        (SMALLEST + pages(reserved=1, count=1), "record", BROKEN),
        (SMALLEST + encoded("PAGE_DATA", b"x"), "record", BROKEN),
        (SMALLEST + pages(count=0), "record", BROKEN),
        (SMALLEST + pages(count=0xFFFF_FFFF), "record", BROKEN),
        (SMALLEST + pages(1, data=bytes(4095)), "record", BROKEN),
        (SMALLEST + pages(1, data=bytes(8192)), "record", BROKEN),
        (SMALLEST + pages(0xF << 60, reserved=1), "reserved", SUSPICIOUS),
        (SMALLEST + pages(0xF << 60 | 1 << 52), "reserved", SUSPICIOUS),
        (SMALLEST + pages(0xF << 60, 0xF << 60 | 1 << 59), "reserved", SUSPICIOUS),
        (SMALLEST + pages(0xF << 60 | 1 << 40), "pfn", SUSPICIOUS),
        (SMALLEST + pages(0xF << 60 | 1 << 51), "pfn", SUSPICIOUS),
        *((SMALLEST + pages(kind << 60), "page-type", BROKEN) for kind in (5, 6, 7, 8)),
        (ABSENT_PAGE + STATIC_DATA_END + CONTEXT_RECORD, "order", BROKEN),
        (BEFORE + LEAF + CONTEXT_RECORD, "order", SUSPICIOUS),
        (SMALLEST + STATIC_DATA_END, "repeated", BROKEN),
        (SMALLEST + CONTEXT_RECORD, "repeated", SUSPICIOUS),
        (SMALLEST + TSC + TSC, "repeated", SUSPICIOUS),
        (SMALLEST + encoded("X86_TSC_INFO", bytes(23)), "record", BROKEN),
        (SMALLEST + encoded("X86_TSC_INFO", bytes(23) + b"\1"), "reserved", SUSPICIOUS),
        (encoded("X86_CPUID_POLICY", bytes(25)) + SMALLEST, "record", BROKEN),
        (encoded("X86_CPUID_POLICY") + SMALLEST, "record", BROKEN),
        (encoded("X86_MSR_POLICY", bytes(24)) + SMALLEST, "record", BROKEN),
        (SMALLEST + params(1, count=2), "record", BROKEN),
        (SMALLEST + params(1, count=0xFFFF_FFFF), "record", BROKEN),
        (SMALLEST + params(), "empty", SUSPICIOUS),
        (SMALLEST + params(1, reserved=1), "reserved", SUSPICIOUS),
        (SMALLEST + params(1, 39), "value", SUSPICIOUS),
        (SMALLEST + PV_INFO, "foreign", BROKEN),
        (SMALLEST + BASIC, "foreign", BROKEN),
        (SMALLEST + record.encode(0x8000_0001), "unknown", SUSPICIOUS),
        (BEFORE, "missing", BROKEN),
        (STATIC_DATA_END + CONTEXT_RECORD, "missing", SUSPICIOUS),
        (BEFORE + encoded("HVM_CONTEXT"), "record", BROKEN),
        (BEFORE + encoded("HVM_CONTEXT", CONTEXT[:-1]), "record", BROKEN),
        (BEFORE + encoded("HVM_CONTEXT", CONTEXT[:-8] + struct.pack("<HHI", 2, 0, 0xFFFF_FFFF)), "record", BROKEN),
        (BEFORE + encoded("HVM_CONTEXT", END_ENTRY), "context", BROKEN),
        (BEFORE + encoded("HVM_CONTEXT", CONTEXT[:8] + b"\0" + CONTEXT[9:]), "context", BROKEN),
        (BEFORE + encoded("HVM_CONTEXT", CONTEXT + bytes(8)), "context", SUSPICIOUS),
        (context(struct.pack("<HHI", 21, 0, 0)), "context", SUSPICIOUS),
        (context(struct.pack("<HHI", 19, 0, 9) + bytes(9)), "context", SUSPICIOUS),
        (BEFORE + encoded("HVM_CONTEXT", bytes((4 << 20) + 1)), "length", SUSPICIOUS),
    ],
    ids=words,
)  # fmt: skip
def test_what_is_wrong_with_a_record_of_an_hvm_guest(records: bytes, rule: str, severity: Severity) -> None:
    assert rules(streams.checkpoint(streams.libxc_stream(records=records))) == [(rule, severity)]


@pytest.mark.parametrize(
    ("records", "rule", "severity"),
    [
        (PV + CONTEXT_RECORD, "foreign", BROKEN),
        (PV + params(1), "foreign", BROKEN),
        (PV_INFO + PV, "repeated", BROKEN),
        (STATIC_DATA_END + ABSENT_PAGE + BASIC, "missing", BROKEN),
        (PV_INFO + STATIC_DATA_END + ABSENT_PAGE, "missing", BROKEN),
        (encoded("X86_PV_INFO", struct.pack("<BBHI", 8, 3, 0, 0)) + PV[16:], "value", BROKEN),
        (encoded("X86_PV_INFO", struct.pack("<BBHI", 8, 4, 1, 0)) + PV[16:], "reserved", SUSPICIOUS),
        (encoded("X86_PV_INFO", struct.pack("<BBHIQ", 8, 4, 0, 0, 0)) + PV[16:], "length", SUSPICIOUS),
        (encoded("X86_PV_INFO", b"\x08\x04") + PV[16:], "record", BROKEN),
        (encoded("SHARED_INFO", bytes(4096)) + PV, "order", BROKEN),
        (PV + encoded("SHARED_INFO", bytes(4095)), "record", BROKEN),
        (PV + encoded("X86_PV_P2M_FRAMES", struct.pack("<II", 0, 0)), "record", BROKEN),
        (PV + encoded("X86_PV_P2M_FRAMES", struct.pack("<IIQ", 5, 4, 0)), "record", BROKEN),
        (PV + encoded("X86_PV_P2M_FRAMES", struct.pack("<IIQ", 0, 0xFFFF_FFFF, 0)), "record", BROKEN),
        (PV_INFO + encoded("X86_PV_P2M_FRAMES", struct.pack("<IIQ", 0, 0, 0)) + PV[16:], "order", BROKEN),
        (PV + encoded("X86_PV_VCPU_EXTENDED", VCPU + b"12345")[:-1] + b"\1", "padding", SUSPICIOUS),
        (PV + encoded("X86_PV_VCPU_BASIC", VCPU + bytes(5167)), "record", BROKEN),
        (PV + encoded("X86_PV_VCPU_EXTENDED", VCPU + bytes(129)), "record", BROKEN),
        (PV + encoded("X86_PV_VCPU_XSAVE", VCPU + bytes(15)), "record", BROKEN),
        (PV + encoded("X86_PV_VCPU_MSRS", VCPU + bytes(15)), "record", BROKEN),
        (PV + encoded("X86_PV_VCPU_MSRS", VCPU[:7]), "record", BROKEN),
        (PV + encoded("X86_PV_VCPU_MSRS", VCPU), "empty", SUSPICIOUS),
        (PV + encoded("X86_PV_VCPU_MSRS", VCPU[:4] + b"\1\0\0\0" + bytes(16)), "reserved", SUSPICIOUS),
    ],
    ids=words,
)  # fmt: skip
def test_what_is_wrong_with_a_record_of_a_pv_guest(records: bytes, rule: str, severity: Severity) -> None:
    assert rules(streams.pv_checkpoint(records)) == [(rule, severity)]


@pytest.mark.parametrize("records", [LEAF + ABSENT_PAGE, ENTRY + ABSENT_PAGE])
def test_static_data_do_not_belong_in_version_2(records: bytes) -> None:
    assert rules(streams.checkpoint(streams.libxc_stream(2, records + CONTEXT_RECORD))) == [("order", SUSPICIOUS)]


def with_emulator(records: bytes) -> bytes:
    return streams.xl_s_header() + libxl_v2.start() + streams.libxc_stream() + records + libxl_v2.end()


EMULATOR = libxl_v2.emulator_context(2, b"QEVM")


@pytest.mark.parametrize(
    ("records", "rule", "severity"),
    [
        (record.encode(3, b"x"), "record", BROKEN),
        (EMULATOR[:-1] + b"\1", "padding", SUSPICIOUS),
        (EMULATOR + EMULATOR, "repeated", SUSPICIOUS),
        (libxl_v2.emulator_context(3, b"?"), "value", SUSPICIOUS),
        (libxl_v2.emulator_xenstore_data(3, [("a", "b")]), "value", SUSPICIOUS),
        (libxl_v2.emulator_xenstore_data(2, [("/a", "b")]), "record", BROKEN),
        (record.encode(2, bytes(7)), "record", BROKEN),
        (record.encode(2, bytes((1 << 20) + 1)), "length", SUSPICIOUS),
        (EMULATOR + record.encode(0, b"x")[:-8] + bytes(8), "empty", SUSPICIOUS),
    ],
    ids=words,
)
def test_what_is_wrong_with_a_record_of_libxl_s(records: bytes, rule: str, severity: Severity) -> None:
    assert rules(with_emulator(records)) == [(rule, severity)]


def test_a_pv_guest_has_no_device_model() -> None:
    data = streams.pv_checkpoint(PV)
    assert rules(data[:-8] + EMULATOR + data[-8:]) == [("foreign", BROKEN)]


STREAM = streams.checkpoint()[len(streams.xl_s_header()) :]


@pytest.mark.parametrize("at", [14, 15, 24 + 17, 24 + 18, 24 + 23, 48 + 6])
def test_reserved_bits_of_headers(at: int) -> None:
    data = bytearray(STREAM)
    data[at] |= 4
    assert rules(streams.xl_s_header() + bytes(data)) == [("reserved", SUSPICIOUS)]


def header(flags: int, config: bytes, rest: bytes = b"", optional: int = 0) -> bytes:
    return xl_header.XlHeader(flags, struct.pack("<I", len(config)) + config + rest, optional_flags=optional).encode()


@pytest.mark.parametrize(
    ("head", "rule"),
    [
        (header(3, streams.CONFIG), "config"), (header(3, b"name='web1'\n\0"), "config"), (header(3, b"[]\0"), "config"),
        (header(3, b"[" * 90000 + b"\0"), "config"), (header(2, b""), "config"), (header(3, b"\0"), "config"),
        (xl_header.XlHeader(3, b"").encode(), "config"), (header(2, b"name='web1'", b"rest"), "unknown"),
        (header(2, b"name='web1'", optional=1), "reserved"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_the_header(head: bytes, rule: str) -> None:
    assert rules(head + STREAM) == [(rule, SUSPICIOUS)]


def test_an_xl_cfg_config_is_fine() -> None:
    assert rules(header(2, b"name='web1'\n") + STREAM) == []


def test_a_finding_says_where_and_in_which_record() -> None:
    data = streams.checkpoint(streams.libxc_stream(records=SMALLEST + params(1, 39)))
    (found,) = findings(data)
    assert (found.record, data[found.offset]) == ("libxc HVM_PARAMS", 0x0A)
    assert str(found) == f"suspicious: libxc HVM_PARAMS: HVM param 39, which does not exist (at byte {found.offset}, value)"


@pytest.mark.parametrize(
    ("records", "rule", "record_"),
    [
        (SMALLEST + record.encode(0x13), "unsupported", "behind libxc HVM_CONTEXT"),
        (SMALLEST + record.HEADER.pack(1, (128 << 20) + 1), "record", "behind libxc HVM_CONTEXT"),
        (SMALLEST + record.HEADER.pack(1, 128 << 20), "record", "libxc PAGE_DATA"),
    ],
)
def test_where_the_framing_breaks_the_look_ends(records: bytes, rule: str, record_: str) -> None:
    found = findings(streams.checkpoint(streams.libxc_stream(records=records)))[0]
    assert (found.rule, found.record, found.severity) == (rule, record_, BROKEN)


def test_every_cut_is_the_last_thing_found() -> None:
    data = streams.checkpoint()
    for length in range(xl_header.parse(Bytes(data).take).size, len(data)):
        found = findings(data[:length])
        assert [finding.rule for finding in found] == ["cut"]
        assert found[0].offset == length
