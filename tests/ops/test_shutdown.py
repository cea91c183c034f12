"""Guests are asked to power off or reboot: who is asked, who is not and why, and how each ends."""

from collections.abc import Callable
from pathlib import Path

import pytest

from pyxl.checkpoint.journal import Journal, holder
from pyxl.errors import PyxlError
from pyxl.model import paths
from pyxl.model.domain import DomainInfo, ShutdownReason
from pyxl.ops import shutdown
from pyxl.ops.shutdown import Order
from tests.fakes.host import UUID, FakeStore, FakeXen, running, web1

OTHER = UUID.replace("1", "2")


class Guests:
    """web1 (domid 7) and web2 (8), both with PV drivers, which acknowledge as soon as somebody waits for that."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.said: list[str] = []
        self.xen = FakeXen(self.calls, running(7), running(8)._replace(uuid=OTHER))
        nodes = {path.replace("/7/", "/8/"): value for path, value in web1().items() if "/7/" in path}
        self.store = FakeStore(web1() | nodes | {paths.name(8): "web2"})
        self.requests: list[str] = []
        self.store.on_wait = self.acknowledge

    def acknowledge(self) -> None:
        for domid in (7, 8):
            if self.store.nodes[paths.control_shutdown(domid)]:
                self.requests.append(f"{domid} {self.store.nodes[paths.control_shutdown(domid)]}")
                self.store.nodes[paths.control_shutdown(domid)] = ""

    def ask(self, order: Order = Order.SHUTDOWN, *, acpi: bool = False) -> dict[int, PyxlError]:
        return shutdown.ask(
            self.xen, self.store, lambda *_: None, order, list(self.xen.all.values()),
            lambda name, text: self.said.append(text), acpi=acpi,
        )  # fmt: skip

    def happen(self, events: list[Callable[[], object]]) -> None:
        """Have each event happen at the next wait."""

        def one() -> None:
            events.pop(0)()

        self.store.on_wait = one

    def wait(self, *, until_gone: bool = False) -> None:
        domains = list(self.xen.all.values())
        shutdown.wait(self.xen, self.store, domains, lambda name, text: self.said.append(text), until_gone=until_gone)


@pytest.fixture
def guests() -> Guests:
    return Guests()


@pytest.mark.parametrize(("order", "request_"), [(Order.SHUTDOWN, "poweroff"), (Order.REBOOT, "reboot")])
def test_all_are_asked_before_any_is_waited_for(guests: Guests, journals: Path, order: Order, request_: str) -> None:
    assert guests.ask(order) == {}
    assert guests.requests == [f"7 {request_}", f"8 {request_}"]
    assert guests.said == [f'asking domain {domid} "{name}" for a {order.command}' for domid, name in ((7, "web1"), (8, "web2"))]
    assert list(journals.iterdir()) == []


def test_each_is_let_go_as_soon_as_it_has_acknowledged(guests: Guests, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its monitor may have to act while the others are still waited for."""
    held: list[tuple[bool, bool]] = []

    def one_answers() -> None:
        held.append((holder(UUID) is not None, holder(OTHER) is not None))
        guests.store.nodes[paths.control_shutdown(7)] = ""
        if len(held) > 2:
            monkeypatch.setattr(shutdown, "ACKNOWLEDGE_SECONDS", 0.0)
            guests.store.nodes[paths.control_shutdown(8)] = ""

    guests.store.on_wait = one_answers
    assert guests.ask() == {}
    assert held == [(True, True), (False, True), (False, True)]


def test_a_guest_that_is_being_saved_is_not_asked_and_the_others_are(guests: Guests) -> None:
    with Journal("save", UUID, "web1"):
        errors = guests.ask()
    assert list(errors) == [7]
    assert str(errors[7]).startswith('shutdown 7 "web1": a save of "web1" (pid ')
    assert guests.requests == ["8 poweroff"]


def paused(guests: Guests) -> None:
    guests.xen.all[7] = guests.xen.all[7]._replace(paused=True)


def asked_by_xl(guests: Guests) -> None:
    guests.store.nodes[paths.control_shutdown(7)] = "suspend"


def without_drivers(guests: Guests) -> None:
    guests.xen.params[0] = 0


@pytest.mark.parametrize(
    ("state", "order", "said", "hint"),
    [
        (paused, Order.SHUTDOWN, "the domain is paused, and cannot answer", "`pyxl unpause 7` first."),
        (asked_by_xl, Order.SHUTDOWN, "the guest is being asked to suspend", "Wait"),
        (lambda guests: guests.xen.change(7, ShutdownReason.SUSPEND), Order.SHUTDOWN, "the guest is suspended", "`pyxl recover`"),
        (lambda guests: guests.xen.change(7, ShutdownReason.CRASH), Order.REBOOT, "the guest has shut down already: crash", "`pyxl destroy 7`"),
        (without_drivers, Order.SHUTDOWN, "PV control interface not available: external graceful shutdown not possible",
         'Use "-F" to fallback to ACPI power event.'),
        (without_drivers, Order.REBOOT, "PV control interface not available: external graceful reboot not possible",
         'Use "-F" to fallback to ACPI reset event.'),
    ],
)  # fmt: skip
def test_who_is_not_asked(guests: Guests, journals: Path, state: Callable[[Guests], None], order: Order, said: str, hint: str) -> None:
    del guests.xen.all[8]
    state(guests)
    before = guests.store.nodes[paths.control_shutdown(7)]
    errors = guests.ask(order)
    assert str(errors[7]) == f'{order.command} 7 "web1": {said}'
    assert hint in errors[7].hint
    assert guests.store.nodes[paths.control_shutdown(7)] == before
    assert list(journals.iterdir()) == []


def test_without_drivers_an_acpi_button_is_pressed(guests: Guests) -> None:
    without_drivers(guests)
    assert guests.ask(Order.REBOOT, acpi=True) == {}
    assert [call for call in guests.calls if "trigger" in call] == ["trigger 7 RESET 0", "trigger 8 RESET 0"]
    assert guests.said[0] == 'domain 7 "web1": PV control interface not available: sending ACPI reset button event'


def test_what_has_shut_down_is_down(guests: Guests) -> None:
    guests.xen.change(7, ShutdownReason.POWEROFF)
    assert guests.ask() == {}
    assert guests.said[0] == 'domain 7 "web1" has shut down already: poweroff'
    assert guests.requests == ["8 poweroff"]


def test_a_request_that_is_not_taken_is_withdrawn(guests: Guests, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutdown, "ACKNOWLEDGE_SECONDS", 0.02)
    guests.store.on_wait = lambda: None
    errors = guests.ask()
    assert list(errors) == [7, 8]
    assert "did not acknowledge the request within 0 s; request withdrawn" in str(errors[8])
    assert guests.store.nodes[paths.control_shutdown(7)] == guests.store.nodes[paths.control_shutdown(8)] == ""


def test_an_interrupt_withdraws_what_is_not_taken(guests: Guests, journals: Path) -> None:
    def interrupt() -> None:
        guests.store.nodes[paths.control_shutdown(7)] = ""
        raise KeyboardInterrupt

    guests.store.on_wait = interrupt
    with pytest.raises(KeyboardInterrupt):
        guests.ask()
    assert guests.said[-1] == 'domain 8 "web2": request withdrawn'
    assert guests.store.nodes[paths.control_shutdown(8)] == ""
    assert list(journals.iterdir()) == []


def test_a_guest_that_ends_without_an_answer_is_waited_for_no_more(guests: Guests) -> None:
    guests.store.on_wait = lambda: guests.xen.all.clear()
    assert guests.ask() == {}


def test_waiting_says_for_whom_and_how_each_ended(guests: Guests) -> None:
    events: list[Callable[[], object]] = [
        lambda: guests.xen.change(7, ShutdownReason.SUSPEND),  # of a save: no end
        lambda: guests.xen.change(7, ShutdownReason.POWEROFF),
        lambda: guests.xen.all.pop(8),
    ]
    guests.happen(events)
    guests.wait()
    assert events == []
    assert guests.said == [
        'waiting for domain 7 "web1"', 'waiting for domain 8 "web2"',
        'domain 7 "web1" has shut down: poweroff', 'domain 8 "web2" is gone',
    ]  # fmt: skip


def test_waiting_twice_is_for_the_domain_to_go(guests: Guests) -> None:
    del guests.xen.all[8]
    events: list[Callable[[], object]] = [
        lambda: guests.xen.change(7, ShutdownReason.CRASH),
        lambda: None,
        lambda: guests.xen.all.update({7: running(7)._replace(uuid=OTHER)}),  # another one under its number
    ]
    guests.happen(events)
    guests.wait(until_gone=True)
    assert events == []
    assert guests.said[1:] == ['domain 7 "web1" has shut down: crash', 'domain 7 "web1" is gone']


def test_everyone_is_all_guests(guests: Guests) -> None:
    def of(domid: int, **more: bool) -> DomainInfo:
        return running(domid)._replace(**more)  # type: ignore[arg-type]

    guests.xen.all = {0: of(0), 1: of(1), 7: of(7), 9: of(9, dying=True)}
    guests.store.nodes[paths.XENSTORED_DOMID] = "1"
    assert [domain.domid for domain in shutdown.everyone(guests.xen, guests.store)] == [7]
