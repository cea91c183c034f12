"""A domain is destroyed: what of it goes when, and two destroys at once, which cannot be caused at will on the lab."""

import signal
import subprocess
import threading
from pathlib import Path

import pytest

from pyxl.checkpoint.journal import Busy, Journal
from pyxl.errors import XenError
from pyxl.model.domain import ShutdownReason
from pyxl.model.paths import device_model_pid
from pyxl.model.report import Report
from pyxl.ops.destroy import destroy
from tests.fakes.host import UUID, FakeStore, FakeXen, running


class Remarks(Report):
    def __init__(self) -> None:
        self.made: list[str] = []

    def remark(self, text: str) -> None:
        self.made.append(text)


def end(xen: FakeXen, *, force: bool = False) -> list[str]:
    remarks = Remarks()
    destroy(xen, FakeStore({}), lambda *_: None, running(), remarks, force=force)
    return remarks.made


def test_a_domain_that_another_ends_at_the_same_time_is_ended() -> None:
    xen = FakeXen([], running())
    xen.fail = {"destroy"}
    looks = iter((running(), running(), running(), running()._replace(dying=True)))
    xen.domain = lambda domid: next(looks)  # type: ignore[method-assign]
    assert end(xen) == ["domain 7 is gone; another toolstack was at it, or something of it is left: destroy: Input/output error"]


def test_a_domain_that_stays_is_a_failure(journals: Path) -> None:
    xen = FakeXen([], running())
    xen.fail = {"destroy"}
    with pytest.raises(XenError, match=r"^destroy: Input/output error"):
        end(xen)
    assert list(journals.iterdir()) == []


def test_only_force_ends_a_guest_that_is_being_saved() -> None:
    xen = FakeXen([], running())
    with Journal("save", UUID, "web1"):
        with pytest.raises(Busy, match="a save of"):
            end(xen)
        assert end(xen, force=True) == []
    assert xen.all == {}


def devices_of(domid: int, backend: str) -> dict[str, str]:
    return {
        f"/libxl/{domid}/device/vbd/832/backend": f"/local/domain/0/backend/qdisk/{domid}/832",
        f"/libxl/{domid}/device/vkbd/0/backend": backend,
        f"/libxl/{domid}/device/vbd/768/backend": f"/local/domain/0/backend/vbd/{domid}/768",
        f"{backend}/state": "4",
        f"/local/domain/0/backend/vbd/{domid}/768/state": "4",
        "/local/domain/0/backend/vkbd/8/0/state": "4",
    }


@pytest.mark.parametrize(
    ("reason", "backend", "forgotten"),
    [
        (ShutdownReason.SUSPEND, "/local/domain/0/backend/vkbd/7/0", {"/libxl/7/device/vkbd/0/backend", "/local/domain/0/backend/vkbd/7/0/state"}),
        (None, "/local/domain/0/backend/vkbd/7/0", set()),
        (ShutdownReason.SUSPEND, "/local/domain/5/backend/vkbd/7/0", set()),
    ],
    ids=["shut-down", "runs", "driver-domain"],
)  # fmt: skip
def test_libxl_does_not_see_qemu_s_devices_of_a_domain_that_has_shut_down(
    reason: ShutdownReason | None, backend: str, forgotten: set[str]
) -> None:
    domain = running()._replace(shutdown_reason=reason)
    xen, nodes = FakeXen([], domain), devices_of(7, backend)
    store = FakeStore(dict(nodes))
    destroy(xen, store, lambda *_: None, domain, Remarks())
    if reason is not None:
        forgotten = forgotten | {"/libxl/7/device/vbd/832/backend"}
    assert nodes.keys() - store.nodes.keys() == forgotten
    assert xen.all == {}


def test_a_domain_is_ended_once_its_device_model_is() -> None:
    qemu = subprocess.Popen(["sleep", "60"])
    xen = FakeXen([], running())
    libxl_destroy = xen.destroy

    def destroy_it(domid: int) -> None:
        libxl_destroy(domid)
        threading.Timer(0.1, qemu.kill).start()

    xen.destroy = destroy_it  # type: ignore[method-assign]
    destroy(xen, FakeStore({device_model_pid(7): str(qemu.pid)}), lambda *_: None, running(), Remarks())
    assert qemu.poll() == -signal.SIGKILL
