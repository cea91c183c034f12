"""Guests of a stock host that systemd saves at its shutdown and brings back at its boot, whatever happens between."""

import shlex
from collections.abc import Callable, Iterator

import pytest

from tests.xen.conftest import POWEROFF, Tick, parse_tick
from tests.xen.link import ROOT
from tests.xen.stock import StockHost, stock_lab, undisturbed

GUESTS = ("web1", "web2", "web3")
PLACE = "/var/lib/xen/guests"
UNITS = "/etc/systemd/system"
#: Ends the first save-helper that comes: its save fails in the middle.  Systemd lets it live through a shutdown.
STRIKE = "systemd-run -p DefaultDependencies=no sh -c 'until pkill -o -9 -f pyxl-save-helpe[r]; do sleep 0.05; done'"
DOWN_SECONDS = 180


class Host(StockHost):
    """dom0 of a host that goes down and comes up."""

    def reboot(self) -> str:
        """Shut down and boot; return what the unit has said of this boot."""
        self.run("systemctl reboot", check=False)
        self.lab.wait_end(DOWN_SECONDS)
        return self.boot()

    def boot(self) -> str:
        self.lab.boot(keep=True)
        return self.said("-b 0")

    def said(self, which: str = "") -> str:
        return self.run(f"journalctl --no-pager -o cat -u pyxl-guests {which}").stdout

    def ticks(self) -> "Ticks":
        """Have all guests tick, and return what each said."""
        return {name: parse_tick(self.run(f"guestctl tick {name} --timeout 200").stdout) for name in GUESTS}

    def files(self) -> list[str]:
        return self.run(f"ls -A {PLACE}").stdout.split()


Ticks = dict[str, Tick]
#: Lets a host sleep, in which the guests have ticked so, and returns how they tick then.
Way = Callable[[Host, Ticks], Ticks]


def all_are_saved(host: Host, before: Ticks) -> Ticks:
    """xendomains is enabled, too, and does nothing."""
    host.reboot()
    after = host.ticks()
    assert gone_on(before, after) == set(GUESTS)
    assert host.run("systemctl is-active pyxl-guests xendomains", check=False).stdout.split() == ["active", "inactive"]
    return after


def one_save_fails(host: Host, before: Ticks) -> Ticks:
    """Its guest is shut down and started again.  xendomains acts, too, and nothing is done twice."""
    host.run(f"rm -r {UNITS}/xendomains.service.d; systemctl daemon-reload; systemctl start xendomains; {STRIKE}")
    said = host.reboot()
    after = host.ticks()
    assert (len(gone_on(before, after)), said.count("it was shut down instead of saved")) == (2, 1)
    assert len(host.run("xl list | tail -n +3").stdout.splitlines()) == 3
    assert host.run("ls -A /var/lib/xen/save", check=False).stdout == ""
    return after


def power_is_lost(host: Host, before: Ticks) -> Ticks:
    """It is lost in the middle of the saves: the first guest is back, the others are started."""
    host.run(
        "echo SAVE_OPTIONS=--jobs=1 > /etc/default/pyxl-guests; sync; systemctl stop --no-block pyxl-guests; "
        f"until ls {PLACE}/*.checkpoint; do sleep 0.05; done; until ls {PLACE}/.*.checkpoint.*.new; do sleep 0.05; done"
    )
    host.lab.cut_power()
    said = host.boot()
    after = host.ticks()
    assert (len(gone_on(before, after)), said.count("the host went down before it was saved")) == (1, 2)
    return after


WAYS: tuple[Way, ...] = (all_are_saved, one_save_fails, power_is_lost)


@pytest.fixture
def host() -> Iterator[Host]:
    with stock_lab() as lab:
        yield Host(lab)


@pytest.mark.soak  # a guest takes most of a minute to boot; package/ has the unit without a boot
def test_guests_are_back(host: Host) -> None:
    undisturbed(host, lambda: sleep(host), "xl list; journalctl --no-pager -u pyxl-guests -u xendomains")


def sleep(host: Host) -> None:
    """Have the host sleep in each way."""
    start_guests(host)
    ticks = host.ticks()
    for way in WAYS:
        ticks = way(host, ticks)
        assert host.files() == []


def start_guests(host: Host) -> None:
    """Have three guests that tick, and systemd look after them."""
    host.lab.push(ROOT)
    host.run(f"cp -r /opt/pyxl/conf-examples/systemd/* {UNITS}; systemctl daemon-reload; systemctl enable --now pyxl-guests")
    for number, name in enumerate(GUESTS, 1):
        uuid = f"00000000-0000-4000-8000-00000000000{number}"
        host.run(
            f"sed 's/^name = .*/name = \"{name}\"/' /etc/xen/lab/tick.cfg > /etc/xen/{name}.cfg; "
            f"echo 'uuid = \"{uuid}\"' >> /etc/xen/{name}.cfg"
        )
    # One boots; the others are restored from it, which takes less than their boots.
    host.run("pyxl create /etc/xen/web1.cfg && guestctl tick web1 --timeout 200")
    # It may miss what is said to it while its console changes hands.
    ask = f"guestctl ask web1 '^sh /sbin/poweroff' {shlex.quote(f'sh {POWEROFF}')} --timeout 20"
    host.run(f"until {ask}; do :; done; pyxl save web1 /srv/checkpoint")
    # One of them is a login session's, which systemd ends in its own time.
    for name, front in zip(GUESTS, ("", "systemd-run --quiet --scope --unit=session-99", ""), strict=True):
        host.run(f"{front} pyxl restore --progress none /etc/xen/{name}.cfg /srv/checkpoint")


def gone_on(before: Ticks, after: Ticks) -> set[str]:
    """Return the guests that went on where they were; each that has begun anew has other random data."""
    went = {name for name in before if after[name].hash == before[name].hash}
    for name in went:
        assert after[name].counter > before[name].counter, name
    return went
