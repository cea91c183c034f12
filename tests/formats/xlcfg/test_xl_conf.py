"""xl.conf: which of its options matter here, and what they change in a guest."""

from __future__ import annotations

from typing import Any

import pytest

from pyxl.errors import UsageError
from pyxl.formats.xlcfg import xl_conf
from pyxl.formats.xlcfg.parse import parse
from tests.formats.xlcfg.guests import HVM, PV, PVH, B, changes

XL_CONF = """
# comments and keys for other commands are left alone
output_format = "json"; unheard.of = ["x"]
autoballoon = "off"
lockfile = "/var/lock/xl"
run_hotplug_scripts = 0
claim_mode = 0
blkdev_start = "xvdx"
vif.default.script = "vif-route"
vif.default.bridge = "br7"
vif.default.gatewaydev = "eth7"
vif.default.backend = "net"
max_grant_frames = 64
max_maptrack_frames = 65
max_grant_version = 1
"""


def test_xl_conf_in_full() -> None:
    assert xl_conf.parse(XL_CONF) == {
        "autoballoon": "off", "lockfile": "/var/lock/xl", "run_hotplug_scripts": False, "claim_mode": False,
        "blkdev_start": "xvdx", "vif.default.script": "vif-route", "vif.default.bridge": "br7",
        "vif.default.gatewaydev": "eth7", "vif.default.backend": "net", "max_grant_frames": 64,
        "max_maptrack_frames": 65, "max_grant_version": 1,
    }  # fmt: skip
    assert xl_conf.parse("") == {}


def test_xl_conf_old_names_yield_to_the_new() -> None:
    assert xl_conf.parse("vifscript='a'\ndefaultbridge='b'") == {"vif.default.script": "a", "vif.default.bridge": "b"}
    assert xl_conf.parse("vif.default.script='a'\nvifscript='b'") == {"vif.default.script": "a"}


WRONG = [
    ("claim_mode='no'", '1:12: "claim_mode" wants a number, not "no": ignored, as xl does'),
    ("autoballoon='yes'", '1:13: "autoballoon" wants one of off, 0, on, 1, auto, not "yes": ignored, as xl does'),
    ("blkdev_start=['xvda']", '1:1: "blkdev_start" wants a string, not a list: ignored, as xl does'),
    ("domid_policy='random'", '1:1: "domid_policy" is ignored: Xen chooses the domid of each new domain'),
    ("domid_policy='any'", '1:14: "domid_policy" wants one of xen, random, not "any": ignored, as xl does'),
    ("vifscript='a'", '1:1: "vifscript" is deprecated: say vif.default.script'),
]


@pytest.mark.parametrize(("text", "what"), WRONG)
def test_what_is_ignored_is_a_warning_with_its_line(text: str, what: str) -> None:
    said: list[str] = []
    xl_conf.parse(text, warn=said.append)
    assert [message.partition("\n")[0] for message in said] == [f"/etc/xen/xl.conf:{what}"]


def test_errors_are_told_at_once_with_their_lines() -> None:
    with pytest.raises(UsageError) as caught:
        xl_conf.parse("a=no\nmax_grant_frames='x'", "x")
    assert [line for line in str(caught.value).split("\n") if line.startswith("x:")] == [
        "x:1:3: expected a value: strings stand in quotes, not no",
        'x:2:18: "max_grant_frames" wants a number, not "x"',
    ]


def test_xl_conf_becomes_the_guest_s_defaults() -> None:
    defaults = xl_conf.parse(XL_CONF)
    nic = {"devid": 0, "script": "vif-route", "bridge": "br7", "gatewaydev": "eth7", "backend_domname": "net"}
    assert changes(HVM, "vif=['', 'bridge=b,script=s,backend=d,gatewaydev=g']\nmax_grant_frames=7", **defaults) == {
        "/c_info/run_hotplug_scripts": "False",
        f"{B}/claim_mode": "False",
        f"{B}/blkdev_start": "xvdx",
        f"{B}/max_grant_frames": 7,
        f"{B}/max_maptrack_frames": 65,
        f"{B}/max_grant_version": 1,
        "/nics": [nic, {"devid": 1, "script": "s", "bridge": "b", "gatewaydev": "g", "backend_domname": "d"}],
    }


HARD = f"{B}/vcpu_hard_affinity"
MASKS: list[tuple[str, str, str, Any]] = [
    ("", "vm.cpumask='0-2'", HVM, [[0, 1, 2]]),
    ("", "vm.cpumask='0-2'\nvm.hvm.cpumask='2-3'", HVM, [[2]]),
    ("", "vm.cpumask='0-2'\nvm.hvm.cpumask='2-3'", PV, [[0, 1, 2]]),
    ("", "vm.pv.cpumask='1'", PV, [[1]]),
    ("", "vm.pv.cpumask='1'", HVM, None),
    ("", "vm.hvm.cpumask='1'", PVH, [[1]]),
    ("maxvcpus=1;cpus='1-5'", "vm.cpumask='0-2'", HVM, [[1, 2]]),
    ("", "vm.cpumask='all'", HVM, None),
    ("maxvcpus=1;cpus='1-5'", "vm.cpumask='all'", HVM, [[1, 2, 3, 4, 5]]),
    ("maxvcpus=1;cpus='all,^0'", "", HVM, [[1, 2, 3, 4, 5, 6, 7]]),
    ("maxvcpus=1;cpus='5-20'", "", HVM, [[5, 6, 7]]),
]


@pytest.mark.parametrize(("text", "conf", "base", "expected"), MASKS)
def test_cpu_masks_of_xl_conf(text: str, conf: str, base: str, expected: list[list[int]] | None) -> None:
    assert changes(base, text, host_cpus=6, **xl_conf.parse(conf)).get(HARD) == expected


def test_cpu_mask_that_leaves_nothing_is_refused() -> None:
    with pytest.raises(UsageError, match=r"^the CPU masks of xl.conf leave no CPU for a vcpu$"):
        parse([("f", HVM + "vcpus=1;cpus='3'")], xl_conf.parse("vm.cpumask='0-2'"))
