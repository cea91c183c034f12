"""The parser against Debian's own xl: what both accept is equal member by member, what xl refuses pyxl refuses.

What differs on purpose is in the table of pyxl/formats/xlcfg/README.md.  `python -m tests.oracle` compares more.
"""

import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from pyxl.cli import wiring
from pyxl.errors import UsageError
from pyxl.formats.xlcfg import disk, parse, writer, xl_conf
from tests.formats.xlcfg.guests import HVM
from tests.formats.xlcfg.test_disk import GOOD as DISKS
from tests.formats.xlcfg.test_options import BOOLEANS, HVM_OPTIONS, PV_OPTIONS
from tests.formats.xlcfg.test_report import BAD
from tests.oracle import attached, normalise, xl
from tests.oracle.compare import HOST, difference, pyxl, unexplained
from tests.oracle.install import installed
from tests.oracle.on_purpose import ROWS, reason
from tests.oracle.suites import CONFIGS, EXAMPLES, SUITES, files, pairs

README = Path(parse.__file__).parent / "README.md"
GUEST = 'name="x"\ntype="hvm"\nuuid="6b1d9b2e-0000-4000-8000-000000000001"\n'
#: Of the configs, those that pyxl reads otherwise, and the row of the table that says why.
ON_PURPOSE = {
    "slip-in-vcpus": "a slip in a name", "windows-gpu": "`usbdev` without `type=`",
    "libvirt-export-usb-channel": "`usbdev` without `type=`", "placeholder-mac": "a MAC that is not six octets",
    "comment-at-the-end": "a comment that ends the file",
}  # fmt: skip


def test_the_oracle_tells_right_from_wrong() -> None:
    good = xl(GUEST + "memory=64")
    assert isinstance(good, dict)
    assert good["b_info"]["target_memkb"] == 65536
    assert normalise(good | {"unknown": 1}) == good
    assert "f:4: config parsing error" in str(xl(GUEST + "memory="))
    with pytest.raises(ValueError, match="libxl"):
        normalise({"c_info": {"type": "none"}})


def test_the_comparison_sees_what_differs() -> None:
    assert difference(GUEST + "memory=64") is None
    assert difference(GUEST + "memory=") is None
    slip = difference(GUEST + "vcpus=2; vcpuz=4")
    assert str(slip).startswith("pyxl refuses: f:4:10: ")
    assert reason("", str(slip)) == "a slip in a name"
    assert reason("", "/b_info/max_vcpus: pyxl 1, xl 2") is None


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.stem)
def test_example_is_equal(file: Path) -> None:
    assert isinstance(pyxl(file.read_bytes()), dict)
    assert difference(file.read_bytes()) is None


def test_xen_s_own_examples_are_equal() -> None:
    files = sorted((installed() / "etc/xen").glob("xlexample.*"))
    assert [file.suffix for file in files] == [".hvm", ".pvhlinux", ".pvlinux"]
    for file in files:
        assert isinstance(pyxl(file.read_bytes()), dict)
        assert difference(file.read_bytes()) is None


def test_xen_s_own_xl_conf_is_heeded_as_it_is_proposed() -> None:
    conf = re.sub(r"^#(?=[a-z])", "", (installed() / "etc/xen/xl.conf").read_text(), flags=re.MULTILINE)
    assert conf.count("\nvif.default.") == 4
    assert difference(GUEST + "vcpus=1; vif=['']", conf) is None
    xl_conf.parse(conf, warn=pytest.fail)


@pytest.mark.parametrize("file", CONFIGS, ids=lambda file: file.stem)
def test_config_as_people_publish_them(file: Path) -> None:
    what = difference(file.read_bytes())
    assert (reason(file.read_bytes(), what) if what else None) == ON_PURPOSE.get(file.stem), what


def test_what_is_written_again_makes_the_same_guest() -> None:
    written = 0
    for text in files():
        try:
            document = parse.parse([("f", text.decode(errors="surrogateescape"))], HOST)
        except UsageError:
            continue
        again = parse.parse([("again", writer.text(document))], HOST)
        assert same(again) == same(document)
        written += 1
    assert written >= 50


def same(document: dict[str, Any]) -> dict[str, Any]:
    """Return a config as libxl understands it, without what is new each time."""
    document["b_info"].get("type.hvm", {}).pop("ms_vm_genid", None)
    return normalise(document)


def test_there_are_sixty_and_xl_takes_most() -> None:
    assert len(CONFIGS) >= 60
    assert sum(isinstance(xl(file.read_bytes()), dict) for file in CONFIGS) >= 60


@pytest.mark.parametrize("name", [name for name in SUITES if name != "files"])
def test_suite_is_equal(name: str) -> None:
    seen: Counter[str] = Counter()
    wrong = [(text, conf, what) for text, conf in pairs(name) if (what := unexplained(text, seen, conf))]
    assert wrong == []
    assert seen["equal"] > seen.total() * 0.9


def test_what_the_other_tests_expect_is_what_xl_does() -> None:
    expected = [HVM + text for text, _ in HVM_OPTIONS] + [base + text for base, text, _ in PV_OPTIONS]
    expected += [HVM + "".join(f"{name} = {value}\n" for name in BOOLEANS) for value in (0, 1, 2)]
    expected += [text for text, _ in BAD] + [f"{HVM}disk=['{spec}']" for spec, _ in DISKS]
    wrong = [(text, what) for text in expected if (what := unexplained(f"{text}\n", Counter()))]
    assert wrong == []


@pytest.mark.parametrize("row", ROWS)
def test_what_differs_on_purpose_is_in_the_readme(row: str) -> None:
    assert f"\n| {row} |" in README.read_text()


@pytest.mark.parametrize(
    "words",
    [
        ("target=/srv/a.raw", "vdev=xvdf", "access=rw"),
        ("/srv/a.raw", "raw", "xvdf", "w"),
        ("/srv/a.qcow2,qcow2", "xvdf,w"),
        ("vdev=xvdf,access=ro", "target=/srv/a.raw,b"),
    ],
    ids=",".join,
)
def test_words_of_block_attach_are_one_disk(words: tuple[str, ...]) -> None:
    found = disk.parse(words[0], "command line", words[1:])
    assert {key: value for key, value in found.items() if value} == attached("block-attach", words)


@pytest.mark.parametrize("words", [(), ("bridge=xenbr1", "mac=00:16:3e:00:00:01", "type=vif"), ("devid=3", "rate=1MB/s")], ids=",".join)
def test_words_of_network_attach_are_one_nic(words: tuple[str, ...]) -> None:
    assert wiring.nic(",".join(words)) == attached("network-attach", words)
