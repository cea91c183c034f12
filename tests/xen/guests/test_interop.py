"""pyxl and xl read each other's files, also with pyxl's helper under xl, and Xen's verifier accepts them."""

import pytest

from tests.xen.conftest import PLACE, Dom0
from tests.xen.guests.test_journey import went_on
from tests.xen.link import XEN

FILE = f"{PLACE}/checkpoint"
HELPER = "LIBXL_SAVE_HELPER=/opt/pyxl/helper/pyxl-save-helper"
VERIFY = f"PYTHONPATH={XEN}/lib/python {XEN}/bin/verify-stream-v2 -f xl -i"


def complaints(said: str) -> list[str]:
    """Return the errors in what was said, without one that libxl 4.20 makes of a qemu that ended when it had to."""
    return [line for line in said.splitlines() if "rror" in line and "probe already exited" not in line]


@pytest.mark.parametrize(
    ("save", "restore"),
    [
        ("pyxl", "xl"),
        ("xl", "pyxl"),
        (f"{HELPER} xl", f"{HELPER} xl"),
    ],
    ids=["pyxl to xl", "xl to pyxl", "xl with our helper"],
)
def test_files_are_interchangeable(dom0: Dom0, save: str, restore: str) -> None:
    name = "disk" if "pyxl" in (save, restore) else "tick"
    before = dom0.wake(name)
    dom0.run(f"{save} save {name} {FILE}")
    assert dom0.domid(name) is None
    if save == "pyxl":
        assert "Traceback" not in dom0.run(f"{VERIFY} {FILE} 2>&1").stdout
    result = dom0.run(f"{restore} restore {FILE} 2>&1")
    assert complaints(result.stdout) == []
    went_on(before, dom0.tick(name))


def test_a_compressed_file_is_xl_s_behind_zstd(dom0: Dom0) -> None:
    before = dom0.wake("big")
    assert " compressed to " in dom0.pyxl(f"save --compress big {FILE}").stdout
    dom0.run(f"zstd -dcq {FILE} > {FILE}.plain")
    assert "Traceback" not in dom0.run(f"{VERIFY} {FILE}.plain 2>&1").stdout
    assert complaints(dom0.run(f"xl restore {FILE}.plain 2>&1").stdout) == []
    between = dom0.tick("big")
    went_on(before, between)
    dom0.run("xl destroy big")
    dom0.pyxl(f"restore {FILE}")
    went_on(before, dom0.tick("big"))
    assert dom0.ask("big", "^hash ", "hash")


def test_config_in_the_file_is_what_xl_would_write(dom0: Dom0) -> None:
    """Both save the same guest with -c: same JSON, header and libxl records; only pyxl's marker follows the JSON."""
    dom0.wake("disk")
    dom0.run(f"xl save -c disk {FILE}.xl")
    dom0.pyxl(f"save -c disk {FILE}.pyxl")
    config = (
        "import json,struct,sys; d=open(sys.argv[1],'rb').read(65536); n=struct.unpack_from('<I',d,44)[0]; "
        "print(json.dumps(json.loads(d[52:48+n].split(b'\\0')[0]),sort_keys=True)); print(d[32:44].hex(), d[48+n:72+n].hex())"
    )
    by_xl, by_pyxl = (dom0.run(f'python3 -c "{config}" {FILE}.{who}').stdout for who in ("xl", "pyxl"))
    assert by_pyxl == by_xl


def test_helper_is_a_module_too(dom0: Dom0) -> None:
    result = dom0.run("PYTHONPATH=/opt/pyxl python3 -m pyxl_save_helper", check=False)
    assert result.status == 2
    assert result.stderr.startswith("usage: pyxl-save-helper --save-domain")


def test_helper_stopped_by_sigterm_fails_in_order(dom0: Dom0) -> None:
    """libxl aborts its helper with SIGTERM; an interrupted stock xl resumes the guest by itself."""
    before = dom0.wake("big")
    dom0.run(
        f"({HELPER} xl save -c big {FILE} >/root/xl.log 2>&1; echo status $? >> /root/xl.log) & "
        "for i in $(seq 400); do p=$(pgrep -f '[s]ave-domain') && "
        f"[ $(stat -c %s {FILE} 2>/dev/null || echo 0) -gt 50000000 ] && break; sleep 0.05; done; kill -TERM $p; wait"
    )
    said = dom0.run("cat /root/xl.log").stdout
    assert "status 1" in said, said
    assert "resuming domain" in said
    went_on(before, dom0.tick("big"))
