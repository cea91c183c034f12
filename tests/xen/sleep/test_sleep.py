"""Guests of a stock host that systemd saves at its shutdown and brings back at its boot, whatever happens between."""

from collections.abc import Iterator

import pytest

from pyxl.errors import LabLost
from pyxl.lab.instance import Lab
from pyxl.lab.steps import Steps
from tests.xen.conftest import Result, Tick, parse_tick
from tests.xen.link import NAME, ROOT

GUESTS = ("web1", "web2", "web3")
PLACE = "/var/lib/xen/guests"
UNITS = "/etc/systemd/system"
#: Ends the first save-helper that comes: its save fails in the middle.  Systemd lets it live through a shutdown.
STRIKE = "systemd-run -p DefaultDependencies=no sh -c 'until pkill -o -9 -f pyxl-save-helper; do sleep 0.05; done'"
DOWN_SECONDS = 180


class Host:
    """dom0 of a host that goes down and comes up."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab

    def run(self, command: str, *, check: bool = True) -> Result:
        done = self.lab.exec(command, timeout=300)
        result = Result(done.returncode, done.stdout.decode(), done.stderr.decode())
        if check:
            assert result.status == 0, f"{command}: status {result.status}\n{result.stdout}\n{result.stderr}"
        return result

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

    def ticks(self) -> dict[str, Tick]:
        """Have all guests tick, and return what each said."""
        return {name: parse_tick(self.run(f"guestctl tick {name} --timeout 200").stdout) for name in GUESTS}

    def files(self) -> list[str]:
        return self.run(f"ls -A {PLACE}").stdout.split()


@pytest.fixture
def host() -> Iterator[Host]:
    lab = Lab(f"{NAME}-stock", steps=Steps())
    with lab.session("the tests"):
        lab.boot()
        yield Host(lab)
        lab.down()


def test_guests_are_back_after_reboots_and_a_loss_of_power(host: Host) -> None:
    try:
        sleep(host)
    except (AssertionError, LabLost) as failed:
        failed.add_note(host.run("xl list; journalctl --no-pager -u pyxl-guests -u xendomains", check=False).stdout)
        # A guest that the emulator disturbed says nothing about pyxl; see pyxl/lab/README.md.
        if isinstance(failed, AssertionError) and "triple fault" not in host.run("xl dmesg", check=False).stdout:
            raise
        host.lab.boot()
        sleep(host)


def sleep(host: Host) -> None:
    """Have the host sleep in each way."""
    start_guests(host)
    before = host.ticks()

    # All are saved; xendomains is enabled, too, and does nothing.
    host.reboot()
    after = host.ticks()
    assert gone_on(before, after) == set(GUESTS)
    assert host.files() == []
    assert host.run("systemctl is-active pyxl-guests xendomains", check=False).stdout.split() == ["active", "inactive"]

    # One save fails in its middle: its guest is shut down and started again.  Now both act, and do nothing twice.
    host.run(f"rm -r {UNITS}/xendomains.service.d; systemctl daemon-reload; systemctl start xendomains; {STRIKE}")
    said = host.reboot()
    before, after = after, host.ticks()
    assert (len(gone_on(before, after)), said.count("it was shut down instead of saved")) == (2, 1)
    assert len(host.run("xl list | tail -n +3").stdout.splitlines()) == 3
    assert host.run("ls -A /var/lib/xen/save", check=False).stdout == ""
    assert host.files() == []

    # Power is lost in the middle of the saves: the first is back, the others are started.
    host.run(
        "echo SAVE_OPTIONS=--jobs=1 > /etc/default/pyxl-guests; sync; systemctl stop --no-block pyxl-guests; "
        f"until ls {PLACE}/*.checkpoint; do sleep 0.05; done; until ls {PLACE}/.*.checkpoint.*.new; do sleep 0.05; done"
    )
    host.lab.cut_power()
    said = host.boot()
    before, after = after, host.ticks()
    assert (len(gone_on(before, after)), said.count("the host went down before it was saved")) == (1, 2)
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
    host.run("pyxl create /etc/xen/web1.cfg; guestctl tick web1 --timeout 200; pyxl save web1 /srv/checkpoint")
    # One of them is a login session's, which systemd ends in its own time.
    for name, front in zip(GUESTS, ("", "systemd-run --quiet --scope --unit=session-99", ""), strict=True):
        host.run(f"{front} pyxl restore --progress none /etc/xen/{name}.cfg /srv/checkpoint")


def gone_on(before: dict[str, Tick], after: dict[str, Tick]) -> set[str]:
    """Return the guests that went on where they were; any other has begun anew."""
    went = {name for name in before if after[name].counter == before[name].counter + 1}
    for name in before:
        assert (after[name].hash == before[name].hash) is (name in went), name
    return went
