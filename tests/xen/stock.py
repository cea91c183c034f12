"""dom0 of a stock host: Debian with systemd, spoken to by ssh, as it goes down and comes up."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from pyxl.errors import LabLost
from pyxl.lab.instance import Lab
from pyxl.lab.steps import Steps
from tests.xen.conftest import Result
from tests.xen.link import NAME, SUITE


class StockHost:
    """The dom0 of a lab that was booted as a stock host."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab

    def run(self, command: str, *, check: bool = True) -> Result:
        done = self.lab.exec(command, timeout=300)
        result = Result(done.returncode, done.stdout.decode(), done.stderr.decode())
        if check:
            assert result.status == 0, f"{command}: status {result.status}\n{result.stdout}\n{result.stderr}"
        return result


@contextmanager
def stock_lab() -> Iterator[Lab]:
    """A lab beside that of the other tests, of the same Debian, booted as a stock host."""
    lab = Lab(f"{NAME}-stock", suite=SUITE, steps=Steps())
    with lab.session("the tests"):
        lab.boot()
        yield lab
        lab.down()


def undisturbed(host: StockHost, work: Callable[[], None], look: str) -> None:
    """Do ``work``; once more, after a boot, if the emulator disturbed a guest: that says nothing about pyxl.

    ``look`` is a command that shows what went wrong.  See pyxl/lab/README.md.
    """
    try:
        work()
    except (AssertionError, LabLost) as failed:
        failed.add_note(host.run(look, check=False).stdout)
        if isinstance(failed, AssertionError) and "triple fault" not in host.run("xl dmesg", check=False).stdout:
            raise
        host.lab.boot()
        work()
