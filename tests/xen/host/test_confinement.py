"""The save-helper's rights, limits and descriptors in mid-stream, under pyxl and stock xl, and a hostile stream."""

import re

import pytest

from tests.xen.conftest import PLACE, Dom0

FILE = f"{PLACE}/tick"
HELPER = "LIBXL_SAVE_HELPER=/opt/pyxl/helper/pyxl-save-helper"
#: Prints the rights, limits and descriptors of the next helper, once it has confined itself.
WATCH = (
    "until p=$(pgrep -f '[p]yxl-save-helper --'); do sleep 0.1; done; "
    "until grep -q 'address space *[0-9]' /proc/$p/limits; do sleep 0.1; [ -d /proc/$p ] || exit; done; "
    "grep -E '^(NoNewPrivs|CapEff|CapPrm)' /proc/$p/status; cat /proc/$p/limits; "
    "ls -l /proc/$p/fd | sed -n 's/.* \\([0-9]* -> .*\\)/\\1/p'"
)
#: Moves the first page in a checkpoint far beyond any guest, for which libxc needs a 1 GiB bitmap.
FAR_PAGE = f"""
import struct
with open("{FILE}", "r+b") as file:
    head = file.read(1 << 20)
    at = head.index(struct.pack("<Q", (1 << 64) - 1)) + 24 + 16  # image header, domain header
    while struct.unpack_from("<I", head, at)[0] != 1:
        at += 8 + -(-struct.unpack_from("<I", head, at + 4)[0] // 8) * 8
    file.seek(at + 16)
    file.write(struct.pack("<Q", 1 << 32))
"""


def held(dom0: Dom0, command: str) -> tuple[str, list[str]]:
    """Run a save or restore and return (limits and rights, descriptors) of its helper."""
    result = dom0.run(f"({WATCH}) >/root/held & {command} </dev/null >/root/log 2>&1; s=$?; wait; cat /root/held; exit $s")
    lines = result.stdout.splitlines()
    return "\n".join(lines), [line for line in lines if " -> " in line]


@pytest.mark.parametrize("tool", ["pyxl", f"{HELPER} xl"])
def test_a_helper_holds_no_more_than_it_needs(dom0: Dom0, tool: str) -> None:
    before = dom0.wake("tick")
    for command in (f"{tool} save tick {FILE}", f"{tool} restore {FILE}"):
        # Descriptor 9 is one that a careless parent leaves open: dash passes it on.
        said, descriptors = held(dom0, f"9</etc/passwd {command}")
        assert re.search(r"NoNewPrivs:\s+1", said), said
        assert re.findall(r"Cap(?:Eff|Prm):\s+(\w+)", said) == ["0000000000004000"] * 2
        (space,) = re.findall(r"Max address space +(\d+)", said)
        assert 512 << 20 < int(space) < 1 << 30
        assert re.search(r"Max core file size +0 +0 ", said)
        assert re.search(r"Max file size +unlimited", said)
        talk = {line for line in descriptors if "pipe:" in line or "socket:" in line}
        files = {line.split(" -> ")[1] for line in descriptors if line not in talk}
        streams = {file for file in files if file.startswith(PLACE)}
        assert len(streams) == 1
        assert files - streams <= {"/dev/xen/privcmd", "/dev/xen/hypercall", "/dev/null", "/root/log"}
        # Two to the toolstack, and in a save the one that wakes it.
        assert len(talk) <= 4
    assert dom0.tick("tick").counter > before.counter


def test_a_stream_that_asks_for_too_much_memory_gets_none(dom0: Dom0) -> None:
    dom0.wake("tick")
    dom0.pyxl(f"save tick {FILE}")
    dom0.run(f"python3 -c '{FAR_PAGE}'")
    result = dom0.run(f"{HELPER} xl restore {FILE}", check=False)
    assert result.status != 0
    assert "Cannot allocate memory" in result.stderr
    assert "oom" not in dom0.run("dmesg | tail -5").stdout.lower()
    assert dom0.domid("tick") is None


def test_a_helper_of_a_toolstack_that_has_ended_ends(dom0: Dom0) -> None:
    helper = "PYXL_SAVE_HELPER_PARENT=1 /opt/pyxl/helper/pyxl-save-helper --save-domain 9 -1 99999 0 136 0 </dev/null"
    assert dom0.run(helper, check=False).status == 254


def test_a_helper_ends_with_its_toolstack_in_mid_stream(dom0: Dom0) -> None:
    dom0.wake("tick")
    size = f"$(stat -c %s {PLACE}/.tick.*.new 2>/dev/null || echo 0)"
    dom0.run(
        "sh -c 'export PYXL_SAVE_HELPER_PARENT=$$ PYTHONPATH=/opt/pyxl; "
        f"exec python3 -m pyxl save tick {FILE}' >/dev/null 2>&1 & p=$!; "
        f"until [ {size} -gt 1000000 ]; do sleep 0.1; done; kill -KILL $p; "
        "for i in $(seq 100); do pgrep -f '[p]yxl-save-helper --' >/dev/null || break; sleep 0.1; done; "
        f"[ {size} -lt {128 << 20} ]"
    )
    dom0.run("xl destroy tick")
