"""Legacy checkpoints: compare with Xen's own converter, and restore a guest from one.

tests/formats/legacy/streams.py makes the streams, one of them from a real guest, as there is no Xen of that time.
"""

import shlex

import pytest

from tests.formats.legacy.streams import GUESTS, REMUS, Hvm, Pv, file
from tests.xen.conftest import PLACE, Dom0
from tests.xen.guests.test_journey import went_on
from tests.xen.link import ROOT, XEN

HOME = f"{PLACE}/legacy"
XEN_S = f"{XEN}/bin/convert-legacy-stream"
LIBRARY = f"PYTHONPATH={XEN}/lib/python"
OURS = "/opt/pyxl/helper/pyxl-convert-legacy"
REWRITE = (
    "from tests.formats.legacy.streams import rewrite; import sys; "
    "rewrite(open(sys.argv[1], 'rb'), open(sys.argv[2], 'wb'))"
)


def put(dom0: Dom0, files: dict[str, bytes]) -> None:
    """Put files into HOME in dom0."""
    for name, content in files.items():
        dom0.put(f"{HOME}/{name}", content)


def legacy_tick(dom0: Dom0) -> None:
    """Save the guest tick, and rewrite the file as a legacy one, ``HOME/old``."""
    packages = ("tests", "tests/formats", "tests/formats/legacy")
    sources = (*(f"{package}/__init__.py" for package in packages), "tests/formats/legacy/streams.py")
    put(dom0, {name: (ROOT / name).read_bytes() for name in sources})
    dom0.pyxl(f"save tick {HOME}/new")
    dom0.run(f"cd {HOME}; PYTHONPATH=/opt/pyxl:{HOME} python3 -c {shlex.quote(REWRITE)} new old; rm new")


def test_xen_s_converter_makes_the_same_of_every_kind_of_guest(dom0: Dom0) -> None:
    put(dom0, {name.replace(" ", "-"): guest.encode() for name, guest in GUESTS.items()})
    for name, guest in GUESTS.items():
        path, kind = f"{HOME}/{name.replace(' ', '-')}", "pv" if isinstance(guest, Pv) else "hvm"
        dom0.run(f"{LIBRARY} {XEN_S} -i {path} -o {path}.xen -w {8 * guest.word} -g {kind} -f libxl")
        dom0.run(f"{OURS} 0 < {path} | cmp - {path}.xen")


def test_faults_of_xen_s_converter_that_pyxl_s_has_not(dom0: Dom0) -> None:
    """Debian 12's does not find its own library, reads no xl header, and knows one of three signatures."""
    put(dom0, {"file": file(Hvm().encode(), b'name = "web1"\n'), "remus": Hvm(signature=REMUS).encode()})
    how = f"-o {HOME}/out -w 64 -g hvm -f libxl"
    lost = dom0.run(f"env -u PYTHONPATH {XEN_S} -i {HOME}/remus {how}", check=False)
    assert (lost.status, "No module named 'xen" in lost.stderr) == (1, True)
    header = dom0.run(f"{LIBRARY} {XEN_S} -x -i {HOME}/file {how}", check=False)
    assert (header.status, "No xl header" in header.stderr) == (1, True)
    remus = dom0.run(f"{LIBRARY} {XEN_S} -i {HOME}/remus {how}", check=False)
    assert (remus.status, "Unrecognised Qemu sig" in remus.stderr) == (2, True)
    dom0.run(f"{OURS} 0 < {HOME}/remus > {HOME}/out")
    assert "converted" in dom0.pyxl(f"convert {HOME}/file {HOME}/new").stdout


@pytest.mark.soak
def test_a_guest_comes_back_from_a_legacy_checkpoint_with_its_memory(dom0: Dom0) -> None:
    """Restored by pyxl, with a converter that has no rights and only its stream, and by stock xl after a convert.

    With --skip-device-state the PV drivers connect again, and Linux restores every device's settings.
    """
    before = dom0.wake("tick")
    legacy_tick(dom0)
    watch = (
        "until p=$(pgrep -f '[p]yxl-convert-legacy'); do sleep 0.05; done; "
        "until grep -q '^Uid:.65534' /proc/$p/status; do sleep 0.05; [ -d /proc/$p ] || exit; done; "
        "grep -E '^(Uid|Groups|CapEff|CapPrm|NoNewPrivs)' /proc/$p/status; ls /proc/$p/fd | tr '\\n' ' '"
    )
    said = dom0.run(f"({watch}) > /root/held & pyxl restore {HOME}/old > /root/log 2>&1; s=$?; wait; cat /root/held; exit $s")
    lines = [line.split() for line in said.stdout.splitlines()]
    assert lines == [
        ["Uid:", *["65534"] * 4], ["Groups:"], ["CapPrm:", "0000000000000000"], ["CapEff:", "0000000000000000"],
        ["NoNewPrivs:", "1"], ["0", "1", "2"],
    ]  # fmt: skip
    went_on(before, dom0.tick("tick"))
    dom0.pyxl("destroy tick")
    assert dom0.left_behind() == []

    dom0.pyxl(f"convert {HOME}/old {HOME}/new")
    assert dom0.pyxl(f"verify {HOME}/new").status == 0
    dom0.run(f"xl restore {HOME}/new")
    went_on(before, dom0.tick("tick"))
    dom0.pyxl("destroy tick")

    dom0.run(f"cat {HOME}/old | pyxl restore --skip-device-state -")
    went_on(before, dom0.tick("tick"))
