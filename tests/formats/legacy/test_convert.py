"""Legacy to v2: like Xen's own converter; device states that no qemu can load; the config that stays."""

import hashlib
import io
import json
import struct

import pytest

from pyxl.errors import UnsupportedStream
from pyxl.formats.legacy.convert import POWER_ON, convert
from pyxl.formats.legacy.old_config import OldConfig
from pyxl.formats.stream import libxl_v2, walk, xl_header
from tests.formats.legacy import streams as made
from tests.formats.legacy.streams import GUESTS, Hvm, Pv, batch
from tests.formats.legacy.test_v1 import Memory
from tests.formats.stream import streams
from tests.formats.stream.test_streams import Bytes

#: MD5 of what Xen 4.17's convert-legacy-stream makes of these guests with `-f libxl`, their width and type.
BY_XEN = {
    "hvm 64": "8ea3fd8efdcfbefcf3ba450f29947cdb",
    "hvm 32": "8258c5e85f1b663125ab73eb9780b545",
    "hvm bare": "ea4dbcf952ac21502b329f2b5e0dd51f",
    "hvm verified": "6edb00ac703fff096c83e21335d1701a",
    "hvm every parameter": "c661b5999ceea7ed19b842d3a7c04dca",
    "pv 64": "1b291db1e9171649988143e21eaf7b0a",
    "pv 64 of 32 bits": "1390891d44616cfa75aa59f974c17909",
    "pv 32": "73f502fe6e7c2653bc5a3aaa89cd7c97",
}


def converted(stream: bytes, skip_device_state: bool = False) -> bytes:
    return b"".join(bytes(piece) for piece in convert(Memory(stream), skip_device_state))


@pytest.mark.parametrize("name", GUESTS)
def test_what_comes_out_is_what_xen_s_converter_makes(name: str) -> None:
    assert hashlib.md5(converted(GUESTS[name].encode())).hexdigest() == BY_XEN[name]


@pytest.mark.parametrize("name", GUESTS)
def test_what_comes_out_can_be_walked_to_its_end(name: str) -> None:
    data = converted(GUESTS[name].encode())
    source = Bytes(data)
    assert walk.end_of_stream(source.take, source.skip, 0) == len(data)


@pytest.mark.parametrize("signature", [made.REMUS, made.XEND])
def test_other_signatures_hold_the_same_state(signature: bytes) -> None:
    """Xen's converter refuses them; libxc 4.5 read them the same way."""
    assert converted(Hvm(signature=signature).encode()) == converted(Hvm().encode())


def test_a_batch_of_unmapped_pages_alone_leaves_no_record() -> None:
    """libxc refuses a PAGE_DATA without pages; Xen's converter writes one."""
    unmapped = Hvm(batches=[batch(made.UNMAPPED, made.UNMAPPED)])
    assert converted(unmapped.encode()) == converted(Hvm(batches=[]).encode())


def test_a_physmap_without_a_name_is_kept() -> None:
    """libxl 4.2 to 4.5 wrote such an entry for a region without a name; Xen's converter refuses it."""
    data = converted(Hvm(physmap=[made.Physmap(0xABC, 0xF000_0000, 0x1000)]).encode())
    assert b"physmap/abc/start_addr\0f0000000\0physmap/abc/size\x001000\0" in data


@pytest.mark.parametrize("word", [4, 8])
def test_a_state_of_qemu_traditional_is_refused_with_what_to_do(word: int) -> None:
    stream = Hvm(word=word, state=made.TRADITIONAL_STATE).encode()
    with pytest.raises(UnsupportedStream, match=r"^the device state is qemu-traditional's, which no current qemu can load") as caught:
        converted(stream)
    assert caught.value.offset == stream.index(made.XL)
    assert caught.value.hint.startswith("`--skip-device-state` ")


def test_devices_afresh_are_a_state_of_none_and_no_physmap() -> None:
    data = converted(Hvm(state=made.TRADITIONAL_STATE, physmap=[made.Physmap(1, 2, 3, "vga")]).encode(), skip_device_state=True)
    at = data.index(struct.pack("<II", libxl_v2.EMULATOR_CONTEXT, 8 + len(POWER_ON)) + bytes(8) + POWER_ON)
    assert data[at:].endswith(libxl_v2.end())
    assert b"physmap" not in data
    assert data[: at - 8] == converted(Hvm().encode())[: at - 8]


def test_a_pv_guest_has_no_devices_to_refuse() -> None:
    stream = Pv().encode()
    assert converted(stream) == converted(stream, skip_device_state=True)
    traditional = b"device_model_version = 'qemu-xen-traditional'\n"
    assert not OldConfig(header(traditional, is_json=False)).is_traditional


@pytest.mark.parametrize("signature", [made.XL, made.XEND])
def test_a_checkpoint_of_today_that_is_written_as_a_legacy_one_converts_to_itself(signature: bytes) -> None:
    stream = converted(Hvm(params={12: 1, 15: 2, 17: 3, 34: 4}, online=(0,)).encode())
    written = io.BytesIO()
    made.rewrite(io.BytesIO(streams.xl_s_header() + stream), written, signature)
    old = xl_header.parse(Bytes(written.getvalue()).take)
    assert (old.config, old.is_json, old.is_v2) == (streams.CONFIG, True, False)
    assert converted(written.getvalue()[old.size :]) == stream


def header(config: bytes, is_json: bool) -> xl_header.XlHeader:
    return xl_header.parse(Bytes(made.file(b"", config, is_json)).take)


JSON = json.dumps({"c_info": {"type": "hvm", "name": "web1", "uuid": "6b1d"}, "b_info": {"device_model_version": "qemu_xen_traditional",
                   "type.hvm": {"bios": "rombios", "boot": "c"}}}).encode()  # fmt: skip
TEXT = b"name = 'web1'\nuuid = '6b1d'\nbuilder = 'hvm'\ndevice_model_version = 'qemu-xen-traditional'\nbios = 'rombios'\n"


@pytest.mark.parametrize(("config", "is_json"), [(JSON, True), (TEXT, False)])
def test_a_config_that_names_qemu_traditional_names_upstream_s_once_devices_are_skipped(config: bytes, is_json: bool) -> None:
    old = OldConfig(header(config, is_json))
    assert (old.name, old.uuid, old.is_traditional) == ("web1", "6b1d", True)
    new = OldConfig(header(old.for_upstream(), is_json))
    assert (new.name, new.uuid, new.is_traditional) == ("web1", "6b1d", False)
    assert new.for_upstream() == old.for_upstream()
    if is_json:
        assert json.loads(new.for_upstream())["b_info"] == {"type.hvm": {"boot": "c"}}
    else:
        assert new.for_upstream() == TEXT + b'\ndevice_model_version = "qemu-xen"\nbios = "seabios"\n'


@pytest.mark.parametrize("is_json", [True, False])
@pytest.mark.parametrize("config", [b"", b"{", b"[]", b"[" * 5000, b'{"b_info": []}', b"name = ", b"\xff\0"])
def test_of_a_config_that_says_nothing_nothing_is_known(config: bytes, is_json: bool) -> None:
    old = OldConfig(header(config, is_json))
    assert (old.name, old.uuid, old.is_traditional) == ("", "", False)
    assert old.for_upstream() == config.rstrip(b"\0")


@pytest.mark.parametrize(("config", "is_json", "kept"), [(b"{}\n", True, b"{}\n\0"), (b"a=1\n", False, b"a=1\n"), (b"", True, b"\0"), (b"", False, b"")])
def test_the_new_header_keeps_config_and_kind(config: bytes, is_json: bool, kept: bytes) -> None:
    old = header(config, is_json)
    data = xl_header.encode(old.config, old.is_json)
    new = xl_header.parse(Bytes(data).take)
    assert (new.config, new.is_json, new.is_v2, new.has_trailer) == (old.config, is_json, True, True)
    assert data[52 : 52 + new.config_length] == kept
