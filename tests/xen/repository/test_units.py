"""The units for series of checkpoints, run as systemd runs them: the lab's dom0 has another init."""

import configparser
import json
import shlex

from tests.xen.conftest import PLACE, Dom0
from tests.xen.link import ROOT

REPOSITORY = f"{PLACE}/repository"
#: What /etc/default/pyxl-checkpoint would have.
SITE = {"REPOSITORY": REPOSITORY}


def command(unit: str, instance: str = "") -> str:
    """Return what a unit's ExecStart comes to."""
    file = configparser.ConfigParser(strict=False, interpolation=None)
    file.optionxform = str  # type: ignore[assignment, method-assign]
    text = (ROOT / "conf-examples/systemd" / unit).read_text()
    file.read_string(text)
    service = file["Service"]
    assert (service["Type"], service["KillMode"]) == ("oneshot", "process")
    environment = dict(
        line.partition("=")[2].partition("=")[::2] for line in text.splitlines() if line.startswith("Environment=")
    )
    words = shlex.split(service["ExecStart"])
    for name, value in {**environment, **SITE}.items():
        words = [word.replace("${" + name + "}", value) for word in words]
    assert "$" not in "".join(words)
    return shlex.join(word.replace("%I", instance) for word in words)


def test_units_make_checkpoints_and_fail_with_them(dom0: Dom0) -> None:
    dom0.wake("tick")
    for number, line in enumerate((command("pyxl-checkpoint@.service", "tick"), command("pyxl-checkpoint-all.service")), 1):
        assert f'checkpoint {number} of "tick" in {REPOSITORY}' in dom0.run(f"env -i PATH=$PATH {line}").stdout
    assert len(json.loads(dom0.pyxl(f"checkpoints --json {REPOSITORY} tick").stdout)) == 2
    failed = dom0.run(command("pyxl-checkpoint@.service", "nobody"), check=False)
    assert (failed.status, failed.stderr.splitlines()[0]) == (1, 'pyxl: there is no domain "nobody"')
