"""pyxl reads xl.cfg as stock xl does: in dom0, `create -n` of both prints the same JSON."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import pytest

from pyxl.lab.host import PYXL
from tests.formats.xlcfg.test_disk import GOOD as DISKS
from tests.formats.xlcfg.test_parse import BAD, BOOLEANS, HVM, HVM_OPTIONS, PV_OPTIONS
from tests.xen.conftest import Dom0
from tests.xen.link import ROOT

EXAMPLES = ROOT / "conf-examples"
PLACE = "/var/tmp/oracle"

#: One Python for all configs: it takes longer to start than to read one.
DRIVER = """
import contextlib, io, json, subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from pyxl.cli import app
place = Path(__file__).parent
answers = {}
configs = json.loads((place / "configs.json").read_text())
files = {name: place / f"{number}.cfg" for number, name in enumerate(configs)}
for name, text in configs.items():
    files[name].write_text(text)
with ThreadPoolExecutor(1) as pool:  # xl has a processor of its own
    by_xl = [pool.submit(subprocess.run, ["xl", "create", "-n", file], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
             for file in files.values()]
    for (name, file), future in zip(files.items(), by_xl):
        out = io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(io.StringIO()):
            status = app.run(["create", "-n", str(file)])
        xl = future.result()
        answers[name] = [[xl.returncode, xl.stdout], [status, out.getvalue()]]
(place / "answers.json").write_text(json.dumps(answers))
"""

#: The manual of xl 4.17 describes these words, but its built parser does not know them.
UNKNOWN_TO_XL = ("trusted", "untrusted")


def together(disks: list[tuple[str, dict[str, Any]]]) -> str:
    specs = [spec for spec, _ in disks if not any(word in spec for word in UNKNOWN_TO_XL)]
    return HVM + "disk = [" + ",\n".join(f'"{spec}"' for spec in specs) + "]\n"


CONFIGS = {
    **{f"example-{file.stem}": file.read_text() for file in sorted(EXAMPLES.glob("*.cfg"))},
    **{f"hvm-{number}": HVM + text + "\n" for number, (text, _) in enumerate(HVM_OPTIONS)},
    **{f"pv-{number}": base + text + "\n" for number, (base, text, _) in enumerate(PV_OPTIONS)},
    **{f"booleans-{value}": HVM + "".join(f"{name} = {value}\n" for name in BOOLEANS) for value in (0, 1, 2)},
    "disks": together(DISKS),
}
REFUSED = {f"refused-{number}": text + "\n" for number, (text, _) in enumerate(BAD)}


@pytest.fixture(scope="module")
def answers(shared_dom0: Dom0) -> dict[str, list[list[Any]]]:
    """The answers of xl and pyxl to each config: [[status, stdout], [status, stdout]]."""
    shared_dom0.run(f"mkdir -p {PLACE}")
    with tempfile.TemporaryDirectory() as here:
        for name, text in (("configs.json", json.dumps(CONFIGS | REFUSED)), ("driver.py", DRIVER)):
            path = Path(here) / name
            path.write_text(text)
            shared_dom0.lab.put(path, f"{PLACE}/{name}")
        shared_dom0.run(f"PYTHONPATH={PYXL} python3 {PLACE}/driver.py", timeout=900)
        result = Path(here) / "answers.json"
        shared_dom0.lab.get(f"{PLACE}/answers.json", result)
        return dict(json.loads(result.read_text()))


def without_new(config: dict[str, Any], text: str) -> dict[str, Any]:
    """Drop the uuid if it is random."""
    if "uuid" not in text:
        config["c_info"].pop("uuid")
    return config


@pytest.mark.parametrize("name", CONFIGS)
def test_xl_and_pyxl_read_the_same(name: str, answers: dict[str, list[list[Any]]]) -> None:
    (xl_status, xl_out), (pyxl_status, pyxl_out) = answers[name]
    assert (xl_status, pyxl_status) == (0, 0), CONFIGS[name]
    xl, pyxl = (without_new(json.loads(out), CONFIGS[name]) for out in (xl_out, pyxl_out))
    assert pyxl == xl


def test_pyxl_refuses_at_least_what_xl_refuses(answers: dict[str, list[list[Any]]]) -> None:
    by_xl = {name for name in REFUSED if answers[name][0][0]}
    by_pyxl = {name: answers[name][1][0] for name in REFUSED}
    assert len(by_xl) >= 15
    assert set(by_pyxl.values()) == {2}
