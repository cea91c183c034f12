"""Disk specifications: the forms of xl-disk-configuration(5), xm's old forms, and refusals."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyxl.errors import UsageError
from pyxl.formats.xlcfg import disk
from pyxl.formats.xlcfg.options import NO_COLO

VOLUME = {"pdev_path": "/dev/vg/v", "vdev": "hda", "format": "raw", "readwrite": 1}
ISO = {"pdev_path": "/i.iso", "vdev": "hdc", "format": "raw", "readwrite": 0, "removable": 1, "is_cdrom": 1}
EMPTY = {"vdev": "hdc", "format": "empty", "readwrite": 0, "removable": 1, "is_cdrom": 1}
A = {"pdev_path": "/a", "vdev": "xvda", "format": "raw", "readwrite": 1}

GOOD: list[tuple[str, dict[str, Any]]] = [
    ("/dev/vg/v,,hda", VOLUME),
    ("/dev/vg/v,raw,hda", VOLUME),
    ("/dev/vg/v,raw,hda,rw", VOLUME),
    ("/dev/vg/v,raw,hda,w,", VOLUME),
    ("/dev/vg/v,raw,hda,", VOLUME),
    ("/dev/vg/v,raw,hda,,", VOLUME),
    (" format=raw, vdev=hda, access=rw, target=/dev/vg/v", VOLUME),
    ("vdev=hda,/dev/vg/v", VOLUME),
    ("format=raw,format=raw,vdev=hda,target=/dev/vg/v,", VOLUME),
    ("raw:/dev/vg/v,hda,w", VOLUME),
    ("phy:/dev/vg/v,hda,w", VOLUME),
    ("/dev/vg/v,raw,hda:disk,w", VOLUME | {"is_cdrom": 0}),
    ("/i.iso,,hdc,cdrom", ISO),
    ("/i.iso,,hdc,,cdrom", ISO),
    ("/i.iso,raw,hdc,devtype=cdrom", ISO),
    ("format=raw, vdev=hdc, access=ro, devtype=cdrom, target=/i.iso", ISO),
    ("raw:/i.iso,hdc:cdrom,ro", ISO),
    ("cdrom,/i.iso,raw,hdc,rw", ISO),
    ("devtype=cdrom,,,hdc", EMPTY | {"pdev_path": ""}),
    (",,hdc:cdrom,r", EMPTY | {"pdev_path": ""}),
    (",hdc:cdrom,r", EMPTY | {"pdev_path": ""}),
    ("vdev=hdc,access=r,devtype=cdrom,target=", EMPTY | {"pdev_path": ""}),
    (",empty,hdc:cdrom,r", EMPTY | {"pdev_path": ""}),
    ("vdev=hdc,access=r,devtype=cdrom,format=empty", EMPTY),
    ("vdev=hdc,cdrom", EMPTY),
    ("/a,qcow2,xvda,r", A | {"format": "qcow2", "readwrite": 0}),
    ("/a,vhd,xvda,ro", A | {"format": "vhd", "readwrite": 0}),
    ("tap:qcow2:/a,xvda", A | {"format": "qcow2"}),
    ("tap2:aio:/a,xvda", A),
    ("tapdisk:/a,xvda", A),
    ("file:/a,xvda", A),
    ("ioemu:/a,xvda", A),
    ("iscsi:iqn.2001-05.com.e:0-8a,xvda", A | {"pdev_path": "iqn.2001-05.com.e:0-8a", "script": "block-iscsi"}),
    ("drbd:/a,xvda,w", A | {"script": "block-drbd"}),
    ("nbd:/a,xvda,w", A | {"script": "block-nbd"}),
    ("script=block-x,/a,raw,xvda", A | {"script": "block-x"}),
    ("backendtype=phy,vdev=xvda,access=w,target=/a", A | {"backend": "phy"}),
    ("backendtype=qdisk,vdev=xvda,target=/a", A | {"backend": "qdisk"}),
    ("backend=driver,vdev=xvda,target=/a", A | {"backend_domname": "driver"}),
    ("specification=xen,vdev=xvda,target=/a", A | {"specification": "xen"}),
    ("direct-io-safe,/a,raw,xvda", A | {"direct_io_safe": True}),
    ("discard,/a,raw,xvda", A | {"discard_enable": "True"}),
    ("no-colo,/a,raw,xvda", A | {"colo_enable": "False"}),
    ("discard,no-discard,/a,raw,xvda", A | {"discard_enable": "False"}),
    ("trusted,/a,raw,xvda", A | {"trusted": "True"}),
    ("/a,raw,xvda,untrusted", A | {"trusted": "False"}),
    # target= takes the rest of the text, commas too
    ("vdev=xvda,target=/a,b=c:d,raw", A | {"pdev_path": "/a,b=c:d,raw"}),
    ("vdev=xvda,target=phy:/a", A | {"pdev_path": "phy:/a"}),
    ("foo:bar,raw,xvda", A | {"pdev_path": "foo:bar"}),
    ("/a b,raw, xvda", A | {"pdev_path": "/a b"}),
    (",raw,xvda", A | {"pdev_path": ""}),
]


@pytest.mark.parametrize(("spec", "expected"), GOOD)
def test_specification_becomes_json(spec: str, expected: dict[str, Any]) -> None:
    assert disk.parse(spec) == expected


BAD = [
    ("", "it names no vdev"),
    ("/a", "it names no vdev"),
    ("/a,raw", "it names no vdev"),
    ("vdev=xvda", "it has no target and is not removable"),
    ("/a,weird,xvda", 'format is one of raw, qcow, qcow2, vhd, empty, qed, not "weird"'),
    ("/a,raw,xvda,x", 'access is one of r, ro, w, rw, not "x"'),
    ("/a,raw,xvda:floppy", 'devtype is "cdrom" or "disk", not "floppy"'),
    ("devtype=floppy,/a,raw,xvda", 'devtype is "cdrom" or "disk", not "floppy"'),
    ("/a,raw,xvda,w,more", 'too many positional parameters: "more"'),
    ("/a,raw,xvda,readonly=1", 'unknown parameter "readonly"'),
    ("/a,raw,xvda,readonly=", 'unknown parameter "readonly"'),
    ("backendtype=file,/a,raw,xvda", 'backendtype is one of phy, tap, qdisk, standalone, not "file"'),
    ("specification=scsi,/a,raw,xvda", 'specification is one of xen, virtio, not "scsi"'),
    ("format=qcow2,vdev=a,format=raw,target=/a", 'format is given twice: "qcow2" and "raw"'),
    ("vdev=a,vdev=b,target=/a", 'vdev is given twice: "a" and "b"'),
    ("/a,raw,xvda,target=/b", 'target is given twice: "/a" and "/b"'),
    ("/a=b,raw,xvda", 'bad syntax at "/a=b,raw,xvda"; a target with "=" needs target='),
    ("http://x,raw,xvda", 'unknown prefix "http:"'),
    ("hda:", 'unknown prefix "hda:"'),
    ("file:/a\nb,xvda,w", 'format is one of raw, qcow, qcow2, vhd, empty, qed, not "xvda"'),
    ("colo,/a,raw,xvda", f'"colo" {NO_COLO}'),
    ("colo-host=h,/a,raw,xvda", f'"colo-host" {NO_COLO}'),
]


@pytest.mark.parametrize(("spec", "what"), BAD)
def test_error_shows_the_specification(spec: str, what: str) -> None:
    with pytest.raises(UsageError) as caught:
        disk.parse(spec, "guest.cfg:7")
    assert str(caught.value) == f'guest.cfg:7: disk "{spec}": {what}'


KEYS = ["format=qcow2", "access=r", "backendtype=qdisk", "discard", "direct-io-safe", "trusted", "vdev=xvda"]


@given(st.permutations(KEYS), st.text(st.characters(exclude_characters="\0\n", codec="utf-8"), min_size=1))
def test_order_of_named_parameters_does_not_matter(keys: list[str], target: str) -> None:
    assert disk.parse(",".join([*keys, "target=" + target + ","])) == {
        "pdev_path": target, "vdev": "xvda", "format": "qcow2", "backend": "qdisk", "readwrite": 0,
        "discard_enable": "True", "direct_io_safe": True, "trusted": "True",
    }  # fmt: skip


@given(
    st.lists(st.sampled_from(["/a", "raw", "xvda", "w", "cdrom", ",", "=", ":", " ", "vdev=", "target=", "é", "tap:"]))
)
def test_any_text_is_a_disk_or_a_usage_error(parts: list[str]) -> None:
    try:
        found = disk.parse("".join(parts))
    except UsageError:
        return
    assert found["vdev"] is not None
    assert found["format"] in disk.FORMATS
