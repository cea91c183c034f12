"""From a config to xl.cfg text and back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pyxl.errors import UsageError
from pyxl.formats.xlcfg.parse import parse
from pyxl.formats.xlcfg.writer import text
from tests.formats.xlcfg.guests import HVM
from tests.formats.xlcfg.test_options import HVM_OPTIONS, PV_OPTIONS

EXAMPLES = sorted((Path(__file__).parents[3] / "conf-examples").glob("*.cfg"))
UUID = "6b1d9b2e-0000-4000-8000-000000000001"


def again(config: dict[str, Any]) -> dict[str, Any]:
    return parse([("again", text(config))])


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.stem)
def test_every_example_comes_back_as_it_was(file: Path) -> None:
    config = parse([(file.name, file.read_text())])
    assert again(config) == config
    assert "#" not in text(config)


@pytest.mark.parametrize(
    ("base", "more"), [(HVM, more) for more, _ in HVM_OPTIONS] + [(base, more) for base, more, _ in PV_OPTIONS]
)
def test_every_option_comes_back_as_it_was(base: str, more: str) -> None:
    config = parse([("f", base + more)])
    for vfb in config.get("vfbs", []):
        vfb.setdefault("sdl", {})  # libxl always writes it
    assert again(config) == config


def config(**b_info: Any) -> dict[str, Any]:
    found = parse([("f", HVM)])
    return {**found, "b_info": {**found["b_info"], **b_info}}


def test_what_xl_cfg_cannot_say_stands_in_a_comment() -> None:
    said = text(config(sched_params={"sched": "credit2", "weight": 256}, target_memkb=1025))
    assert "cpu_weight = 256\n" in said
    assert '# not in xl.cfg: b_info.sched_params.sched = "credit2"\n' in said
    assert "memory = 1\n" in said and "# not in xl.cfg: b_info.target_memkb = 1025\n" in said


@pytest.mark.parametrize("value", ["\x1b[2J", "a\0b", "\x9b", "x\u2028y"])
def test_no_value_commands_the_terminal(value: str) -> None:
    said = text(config(kernel=value, **{value: 1}))
    assert said.replace("\n", "").isprintable()
    assert f"# not in xl.cfg: b_info.kernel = {json.dumps(value)}\n" in said


def test_cpuid_is_said_by_names_where_that_says_all() -> None:
    assert 'cpuid = "host,htt=0"' in text(parse([("f", HVM + "cpuid='host,htt=0'")]))
    assert "cpuid = [\"0x1:eax=" in text(config(cpuid=[{"leaf": 1, "eax": "x" * 28 + "01xx"}]))


def test_a_string_keeps_its_quotes_and_line_ends() -> None:
    odd = config(cmdline="a 'b' \"c\" \\d\n\te")
    assert again(odd) == odd


@pytest.mark.parametrize(
    "wrong",
    [
        {}, {"c_info": [], "b_info": {}}, {"c_info": {"name": "x", "type": "hvm"}, "b_info": {"type.hvm": 5}},
        {"c_info": {"name": "x", "type": "warp"}, "b_info": {}}, config(max_vcpus=10**9), config(avail_vcpus=7),
        config(avail_vcpus=[0], vcpu_hard_affinity=[[10**9]]),
        config(avail_vcpus=[0], vcpu_hard_affinity=["a"]), {**config(), "disks": [{"vdev": "a,b=c"}]},
        {**config(), "disks": 5}, {**config(), "pcidevs": [{"domain": "x"}]}, {**config(), "usbctrls": 5},
        {**config(), "channels": [[]]}, config(cpuid={"cpuid": [{"leaf": "x"}], "msr": []}), config(cpuid=7),
        config(vnuma_nodes=[{"vcpus": 5}]), config(ioports=[{"first": "x"}]), {**config(), "nics": [{"rate_interval_usecs": 1}]},
    ],
)  # fmt: skip
def test_what_no_xl_cfg_can_say_is_told(wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="can say this config"):
        text(wrong)
