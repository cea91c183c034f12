"""The Debian package on a stock host: installed, upgraded, removed and purged beside a guest that lives on.

One life, as each start of a guest and each compilation of all modules takes seconds there.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import pyxl
from tests.deb import built, later, version
from tests.xen.conftest import Tick, parse_tick
from tests.xen.link import SUITE
from tests.xen.stock import StockHost, stock_lab, undisturbed

#: Where pyxl-guests.service has checkpoints.
GUESTS = "/var/lib/xen/guests"
MONITOR = "pgrep -f '[/]usr/libexec/pyxl/pyxl-monitor [0-9]'"


class Stock(StockHost):
    """dom0 of a host that has never had pyxl."""

    def tick(self) -> Tick:
        return parse_tick(self.run("guestctl tick tick --timeout 150").stdout)

    def wait(self, condition: str, seconds: int = 60) -> str:
        """Wait until a command succeeds, and return what it said."""
        return self.run(f"for i in $(seq {seconds * 4}); do {condition} && exit 0; sleep 0.25; done; exit 1").stdout


@pytest.fixture
def stock() -> Iterator[Stock]:
    with stock_lab() as lab:
        yield Stock(lab)


@pytest.mark.parametrize("steps", [("purged",), pytest.param(("removed", "purged"), marks=pytest.mark.soak)], ids="-".join)
def test_its_life(stock: Stock, tmp_path: Path, steps: tuple[str, ...]) -> None:
    old = built(SUITE)
    packages = old, later(old, tmp_path)
    undisturbed(
        stock, lambda: live(stock, packages, steps), "xl list; tail -30 /var/log/xen/pyxl-tick.log; cat /srv/*.log"
    )


def live(host: Stock, packages: tuple[Path, Path], steps: tuple[str, ...]) -> None:
    """Have a guest live from its creation by one version to the purge of another; a removal before it takes a minute."""
    old, new = packages
    for package in packages:
        host.lab.put(package, f"/srv/{package.name}")

    # Installed: the program is there, nothing runs, and a guest gets its monitor from it.
    host.run(f"dpkg -i /srv/{old.name}")
    said = host.run("pyxl --version; systemctl is-enabled pyxl-checkpoint-all.timer; stat -c %a /etc/xen/pyxl.conf", check=False)
    assert said.stdout.split("\n")[:3] == [f"pyxl {pyxl.__version__}", "disabled", "644"]
    assert host.run("systemctl list-units --plain --no-legend 'pyxl*'").stdout == ""
    assert host.run("ls /usr/lib/python3/dist-packages/pyxl/cli/__pycache__/app.*.pyc").stdout
    host.run("pyxl create /etc/xen/lab/tick.cfg")
    before = host.tick()
    domid, monitor = host.run("xl domid tick").stdout, host.run(MONITOR).stdout

    # Upgraded: it waits for a save that is under way, and its monitor goes on.
    host.run("pyxl save -c tick /srv/of-old > /srv/save.log 2>&1 & echo $! > /srv/pid")
    host.wait("[ -s /var/lib/xen/pyxl/* ] && kill -STOP $(cat /srv/pid)")
    host.run(f"dpkg -i /srv/{new.name} > /srv/dpkg.log 2>&1 &")
    host.wait("""grep -q 'waiting for the end of the save of "tick"' /srv/dpkg.log""")
    host.run("kill -CONT $(cat /srv/pid)")
    host.wait(f"dpkg-query -W -f '${{Status}} ${{Version}}' pyxl | grep -qxF 'install ok installed {version(new)}'", 120)
    assert f'saved {domid.strip()} "tick" to /srv/of-old' in host.run("cat /srv/save.log").stdout
    assert host.run("pyxl --version").stdout == f"pyxl {pyxl.__version__}.1\n"
    assert (host.run("xl domid tick").stdout, host.run(MONITOR).stdout) == (domid, monitor)
    after = host.tick()
    assert after.counter > before.counter and after.hash == before.hash

    # The old monitor builds the guest again, with what the new version has brought.
    host.run("guestctl send tick reboot")
    host.wait("grep -q 'takes the place of' /var/log/xen/pyxl-tick.log")
    assert host.run(MONITOR).stdout == monitor

    # Files go in both directions.
    host.run("pyxl destroy tick; pyxl restore /srv/of-old")
    assert host.tick().hash == before.hash

    # Its unit brings back what save-all has put there, and saves it again when it is stopped.
    host.run(f"pyxl save-all {GUESTS}; systemctl start pyxl-guests")
    assert host.tick().hash == before.hash
    host.run("systemctl stop pyxl-guests")
    assert host.run(f"xl list | tail -n +3; cd {GUESTS}; ls *.checkpoint").stdout.count("tick") == 1
    host.run(f"pyxl restore-all {GUESTS}")
    assert host.tick().hash == before.hash

    host.run("pyxl save tick /srv/of-new")
    host.run(f"dpkg -i /srv/{old.name}")
    assert host.run("dpkg-query -W -f '${Version}' pyxl").stdout == version(old)
    host.run("systemctl enable --now pyxl-checkpoint@tick.timer; pyxl restore /srv/of-new")
    alive = host.tick()
    assert alive.hash == before.hash

    if "removed" in steps:
        remove_and_install(host, new, alive)
    else:
        host.run("xl destroy tick")

    # Purged: its own files go, and nothing of the guests'.
    host.run("dpkg -P pyxl")
    left = host.run("find / -xdev -iname '*pyxl*' -not -path '/proc/*' -not -path '/srv/*' -not -path '/var/lib/pyxl-lab*'")
    assert left.stdout == ""
    assert host.run("ls /srv/of-old /srv/of-new").stdout.split() == ["/srv/of-new", "/srv/of-old"]


def remove_and_install(host: Stock, new: Path, alive: Tick) -> None:
    """Remove the package: it says whom nobody looks after any more; they live on, and so do their monitors."""
    removed = host.run("dpkg -r pyxl")
    assert 'nobody acts when they reboot, power off or crash: "tick"' in removed.stderr
    assert host.run("systemctl is-active pyxl-checkpoint@tick.timer", check=False).stdout == "inactive\n"
    assert host.tick().counter > alive.counter
    assert host.run(f"{MONITOR} | wc -l; ls /etc/xen/pyxl.conf").stdout == "1\n/etc/xen/pyxl.conf\n"
    host.run("guestctl send tick poweroff")
    host.wait("grep -q 'pyxl-monitor is gone: nobody acts for domain' /var/log/xen/pyxl-tick.log")
    assert re.search(r"tick .* ---s", host.run("xl list tick").stdout)

    # Installed again, its monitor acts within a minute.
    host.run(f"dpkg -i /srv/{new.name}")
    host.wait("! xl domid tick 2> /dev/null", 90)
