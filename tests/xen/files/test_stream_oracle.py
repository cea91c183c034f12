"""verify against Xen's verify-stream-v2 in dom0: pyxl refuses what the script refuses, except where the script errs."""

import io
import random
import tarfile
import tempfile
from pathlib import Path

import pytest

from pyxl.formats.stream import libxl_v2, record, xl_header
from tests.formats.stream import streams
from tests.formats.stream.streams import ABSENT_PAGE, CONTEXT, SMALLEST, STATIC_DATA_END, encoded
from tests.formats.stream.test_verify import BASIC, PV_INFO, STREAM, TSC, with_emulator
from tests.fuzz import damage
from tests.fuzz.trial import verdict
from tests.xen.conftest import Dom0
from tests.xen.link import XEN

SCRIPT = f"{XEN}/bin/verify-stream-v2"
PACKAGES = f"{XEN}/lib/python"
PLACE = "/var/tmp/oracle"
DAMAGED = 150
#: Good seeds, which the script accepts.
WHOLE = ("pyxl", "xl.cfg", "pv")

#: One Python for all files; calls the script's own function, and prints the status of each file.
DRIVER = f"""
import io, sys, tarfile
from importlib.machinery import SourceFileLoader
sys.dont_write_bytecode = True
script = SourceFileLoader("script", "{SCRIPT}").load_module()
script.quiet = True
with tarfile.open("{PLACE}/files.tar") as files:
    for member in files:
        script.fin = io.BytesIO(files.extractfile(member).read())
        print(script.read_stream("xl"), member.name)
"""


def hvm(records: bytes) -> bytes:
    return streams.checkpoint(streams.libxc_stream(records=records))


#: The script accepts these, but stock restore refuses them or nobody writes them: it checks only each record's length.
MISSED = {
    "memory before STATIC_DATA_END": hvm(ABSENT_PAGE + STATIC_DATA_END + encoded("HVM_CONTEXT", CONTEXT)),
    "STATIC_DATA_END twice": hvm(STATIC_DATA_END + SMALLEST),
    "no HVM context": hvm(STATIC_DATA_END + ABSENT_PAGE),
    "an HVM context that is none": hvm(STATIC_DATA_END + ABSENT_PAGE + encoded("HVM_CONTEXT", b"context")),
    "a record of a PV guest": hvm(SMALLEST + BASIC),
    "two TSC_INFO": hvm(SMALLEST + TSC + TSC),
    "a vcpu's state of any length": streams.pv_checkpoint(
        PV_INFO + STATIC_DATA_END + ABSENT_PAGE + encoded("X86_PV_VCPU_BASIC", bytes(16))
    ),
    "a checkpoint of many": hvm(SMALLEST + encoded("CHECKPOINT")),
    "no memory at all": streams.xl_s_header() + libxl_v2.HEADER.pack(libxl_v2.IDENT, 2, 0) + libxl_v2.end(),
    "the libxl header's upper reserved bits": streams.checkpoint().replace(
        libxl_v2.HEADER.pack(libxl_v2.IDENT, 2, 0), libxl_v2.HEADER.pack(libxl_v2.IDENT, 2, 1 << 16)
    ),
    "unknown mandatory flags of xl's": xl_header.XlHeader(2 | 1 << 8, b"").encode() + STREAM,
    "a config longer than its block": xl_header.XlHeader(3, b"\xff\0\0\0").encode() + STREAM,
    "bytes behind END": streams.checkpoint() + b"x",
}  # fmt: skip
#: The script refuses this, but stock restore accepts it.
REFUSED = {
    # Under Python 3 it compares bytes with str.
    "a device model's xenstore keys": with_emulator(libxl_v2.emulator_xenstore_data(2, [("physmap/0/size", "1000")])),
}
#: The script reports its own failure here, and stock restore refuses it too.
GIVEN_UP = {"a TOOLSTACK record": hvm(SMALLEST + encoded("TOOLSTACK"))}
#: Both refuse this, though readers should skip it.
OPTIONAL = {"an optional record": hvm(SMALLEST + record.encode(0x8000_0001))}


def files() -> dict[str, bytes]:
    draw = random.Random("oracle")
    seeds = damage.seeds()
    whole = {name: seeds[name] for name in WHOLE}
    damaged = {f"damaged {number}": damage.damaged(draw, draw.choice(list(whole.values()))).data for number in range(DAMAGED)}
    return whole | damaged | MISSED | REFUSED | GIVEN_UP | OPTIONAL


FILES = files()


def answered(output: str) -> dict[str, int]:
    """Return the driver's status for each file: 0 is good, 1 is bad, 2 is a failure of the script."""
    return {name: int(status) for status, name in (line.split(" ", 1) for line in output.splitlines())}


@pytest.fixture(scope="module")
def script(shared_dom0: Dom0) -> dict[str, int]:
    shared_dom0.run(f"mkdir -p {PLACE}")
    with tempfile.TemporaryDirectory() as here:
        with tarfile.open(Path(here) / "files.tar", "w") as archive:
            for name, data in FILES.items():
                member = tarfile.TarInfo(name)
                member.size = len(data)
                archive.addfile(member, io.BytesIO(data))
        (Path(here) / "driver.py").write_text(DRIVER)
        for name in ("files.tar", "driver.py"):
            shared_dom0.lab.put(Path(here) / name, f"{PLACE}/{name}")
    return answered(shared_dom0.run(f"PYTHONPATH={PACKAGES} python3 {PLACE}/driver.py").stdout)


@pytest.fixture(scope="module")
def pyxl(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    path = tmp_path_factory.mktemp("oracle") / "file"
    found = {}
    for name, data in FILES.items():
        path.write_bytes(data)
        found[name] = verdict(path)
    return found


def test_the_script_does_not_find_its_own_packages(shared_dom0: Dom0) -> None:
    result = shared_dom0.run(f"env -u PYTHONPATH {SCRIPT} -f xl -i /dev/null", check=False)
    assert (result.status, "No module named 'xen" in result.stderr) == (1, True)


def test_pyxl_finds_what_the_script_refuses(script: dict[str, int], pyxl: dict[str, str]) -> None:
    refused = {name for name, status in script.items() if status} - set(REFUSED)
    assert len(refused) > DAMAGED // 2
    assert {name for name in refused if pyxl[name] not in ("broken", "suspicious")} == set()


def test_both_take_what_is_whole(script: dict[str, int], pyxl: dict[str, str]) -> None:
    assert [script[name] for name in WHOLE] == [0] * len(WHOLE)
    assert {pyxl[name] for name in WHOLE} <= {"clean", "unknown"}


@pytest.mark.parametrize("name", MISSED)
def test_what_the_script_misses(name: str, script: dict[str, int], pyxl: dict[str, str]) -> None:
    assert (script[name], pyxl[name] in ("broken", "suspicious")) == (0, True)


@pytest.mark.parametrize("name", REFUSED)
def test_what_the_script_refuses_without_reason(name: str, script: dict[str, int], pyxl: dict[str, str]) -> None:
    assert (script[name], pyxl[name]) == (1, "unknown")


def test_what_the_script_calls_a_fault_of_its_own(script: dict[str, int], pyxl: dict[str, str]) -> None:
    assert {(script[name], pyxl[name]) for name in GIVEN_UP} == {(2, "broken")}


def test_optional_records_are_not_passed_over_in_silence(script: dict[str, int], pyxl: dict[str, str]) -> None:
    assert {(script[name], pyxl[name]) for name in OPTIONAL} == {(1, "suspicious")}
