"""Another name, a trigger, a SysRq: what is done, and what is refused."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from pyxl.checkpoint.journal import Busy, Journal
from pyxl.errors import GuestError, PyxlError, UsageError, XenError
from pyxl.model import paths
from pyxl.model.domain import Trigger
from pyxl.ops import attach, outside
from pyxl.ops.attach import Console
from tests.fakes.host import UUID, FakeStore, FakeXen, running, web1


class World:
    def __init__(self) -> None:
        self.calls: list[str] = []
        self.xen = FakeXen(self.calls, running(), running(9)._replace(uuid=UUID.replace("1", "9")))
        self.store = FakeStore(web1() | {paths.name(9): "db1"})

    def rename(self, new: str) -> None:
        outside.rename(self.xen, self.store, lambda *_: None, running(), new, self.calls.append)

    def trigger(self, event: Trigger = Trigger.NMI, vcpu: int = 0) -> None:
        outside.trigger(self.xen, self.store, lambda *_: None, running(), event, vcpu, self.calls.append)

    def sysrq(self, letter: str = "s") -> None:
        outside.sysrq(self.xen, self.store, lambda *_: None, running(), letter, self.calls.append)

    def console(self, kind: Console = Console.PRIMARY, number: int = 0, escape: str | None = None) -> None:
        attach.console(self.xen, self.store, running(), kind, number, escape)


@pytest.fixture
def world() -> World:
    return World()


def test_each_is_done(world: World, journals: Path) -> None:
    world.rename("web2")
    world.trigger(Trigger.S3RESUME, 1)
    world.sysrq("h")
    assert world.calls == ["rename 7 web1 web2", "trigger 7 S3RESUME 1"]
    assert world.store.nodes[paths.control_sysrq(7)] == "h"
    assert list(journals.iterdir()) == []


def test_a_guest_that_is_being_saved_is_left_alone(world: World) -> None:
    with Journal("save", UUID, "web1"):
        acts: list[Callable[[], None]] = [partial(world.rename, "web2"), world.trigger, world.sysrq]
        for act in acts:
            with pytest.raises(Busy, match="a save of"):
                act()
    assert world.calls == []
    assert paths.control_sysrq(7) not in world.store.nodes


def test_a_name_is_taken_once(world: World) -> None:
    with pytest.raises(PyxlError, match='domain 9 is called "db1" already'):
        world.rename("db1")
    world.rename("web1")
    assert world.calls == ["rename 7 web1 web1"]


@pytest.mark.parametrize("name", ["", "12", "a/b", "a\nb", "\x1b[2J"])
def test_a_name_by_which_nobody_finds_the_guest_is_refused(world: World, name: str) -> None:
    with pytest.raises(UsageError, match="cannot be the name"):
        world.rename(name)
    assert world.calls == []


def test_without_pv_drivers_nobody_sees_a_sysrq(world: World) -> None:
    world.xen.params[0] = 0
    with pytest.raises(GuestError, match="no PV drivers"):
        world.sysrq()


@pytest.mark.parametrize(
    ("kind", "number", "type_", "tty"),
    [
        (Console.PRIMARY, 4, "hvm", "serial/0/tty"), (Console.PRIMARY, 4, "pvh", "console/tty"),
        (Console.SERIAL, 1, "hvm", "serial/1/tty"), (Console.PV, 0, "hvm", "console/tty"),
        (Console.PV, 2, "hvm", "device/console/2/tty"),
    ],
)  # fmt: skip
def test_a_console_is_there_or_is_missed(world: World, kind: Console, number: int, type_: str, tty: str) -> None:
    world.store.nodes[paths.domain_type(7)] = type_
    with pytest.raises(GuestError, match="domain 7 has no "):
        world.console(kind, number)
    assert world.calls == []
    world.store.nodes[f"/local/domain/7/{tty}"] = "/dev/pts/3"
    with pytest.raises(XenError):  # the fake has none to become
        world.console(kind, number, "q")
    assert world.calls == [f"console 7 {kind} {0 if kind is Console.PRIMARY else number} q"]


def test_an_old_xenconsole_knows_no_escape(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(world.xen, "release", lambda: "4.17.7")
    with pytest.raises(UsageError, match=r"-e is of Xen 4\.18 and later, and this is 4\.17\.7"):
        world.console(escape="q")


def test_a_display_needs_a_viewer(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VNCVIEWER", "/nonexistent/viewer")
    with pytest.raises(GuestError, match="no display over VNC"):
        attach.vncviewer(world.xen, world.store, running(), autopass=False)
    world.store.nodes |= {paths.vnc_port(7): "5901", paths.vnc_listen(7): "127.0.0.1"}
    with pytest.raises(PyxlError, match="there is no /nonexistent/viewer here") as caught:
        attach.vncviewer(world.xen, world.store, running(), autopass=False)
    assert "127.0.0.1:5901" in caught.value.hint
    monkeypatch.setenv("VNCVIEWER", "true")
    with pytest.raises(XenError):
        attach.vncviewer(world.xen, world.store, running(), autopass=True)
    assert world.calls == ["vncviewer 7 True"]
