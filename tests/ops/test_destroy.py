"""Two destroys at once: libxl's failure in that case cannot be caused at will on the lab."""

from pathlib import Path

import pytest

from pyxl.checkpoint.journal import Busy, Journal
from pyxl.errors import XenError
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
    looks = iter((running(), running(), running()._replace(dying=True)))
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
