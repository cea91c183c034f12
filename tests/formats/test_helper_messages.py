"""The helper's messages, compared with bytes captured from Debian's helper (xen-spec.md 5.3)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyxl.formats import helper_messages as messages

CAPTURED = [
    ("switch_qemu_logdirty", [7, 1], "0a00 0700 07000000 01000000"),
    ("suspend", [], "0200 0300"),
    ("complete", [0, 0], "0a00 0a00 00000000 00000000"),
    ("complete", [-1, 5], "0a00 0a00 ffffffff 05000000"),
    ("static_data_done", [3], "0600 0800 03000000"),
    ("restore_results", [0xFEFFC, 0xFEFFF], "1200 0900 fcef0f0000000000 ffef0f0000000000"),
]


@pytest.mark.parametrize(("name", "values", "wire"), CAPTURED)
def test_captured_messages(name: str, values: list[int], wire: str) -> None:
    data = bytes.fromhex(wire)
    assert messages.encode(name, *values) == data
    assert messages.decode(data[2:]) == (name, values)


def test_callback_flags_are_libxl_s() -> None:
    assert messages.callback_flags("suspend", "switch_qemu_logdirty") == 136
    assert messages.callback_flags("static_data_done", "restore_results") == 768


@given(st.integers(0, 9), st.integers(-1, 2**31 - 1), st.text(max_size=60), st.text(max_size=300))
def test_log_round_trip(level: int, errnum: int, context: str, text: str) -> None:
    context, text = (value.replace("\0", "").encode("utf-8", "replace").decode() for value in (context, text))
    encoded = messages.encode("log", level, errnum, context, text)
    assert messages.decode(encoded[2:]) == ("log", [level, errnum, context, text])


def test_a_long_line_is_cut_to_fit_a_message() -> None:
    assert len(messages.encode("log", 5, -1, "xc", "x" * 100_000)) < 1 << 16


@given(st.binary(max_size=40))
def test_junk_is_an_error_and_nothing_else(junk: bytes) -> None:
    try:
        name, values = messages.decode(junk)
    except ValueError:
        return
    assert messages.encode(name, *values)[2:4] == junk[:2]
