"""One lab by its name: its lock, its status, and when its snapshot is out of date; starts nothing."""

import json
import os
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from pyxl.errors import LabError, LabLost
from pyxl.lab import lock, recipe
from pyxl.lab.host import Host
from pyxl.lab.instance import Lab
from pyxl.lab.snapshot import Meta

HOLD = """
import sys
from pathlib import Path
from pyxl.lab.instance import Lab
with Lab(sys.argv[1], cache=Path(sys.argv[2])).session("pyxl lab up"):
    print("held", flush=True)
    sys.stdin.read()
"""
DOWN = """
import sys
from pathlib import Path
from pyxl.lab.instance import Lab
Lab("one", cache=Path(sys.argv[1])).down()
"""
META = Meta("bookworm", "0123456789abcdef", "7.2.22 (Debian 1:7.2+dfsg-7)", kvm=False)


@pytest.fixture(autouse=True)
def no_lock_inherited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(lock.HELD, raising=False)


def instance(cache: Path, meta: Meta = META) -> Lab:
    lab = Lab("one", cache=cache)
    lab.directory.mkdir(parents=True)
    (lab.directory / "meta.json").write_text(json.dumps(asdict(meta)))
    (lab.directory / "port").write_text("2222\n")
    return lab


def test_a_second_user_is_told_who_the_first_is(tmp_path: Path) -> None:
    argv = [sys.executable, "-c", HOLD, "one", os.fspath(tmp_path)]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None and holder.stdin is not None
        assert holder.stdout.readline() == "held\n"
        message = rf'^lab "one" is in use by pid {holder.pid} \(pyxl lab up\)$'
        with pytest.raises(LabError, match=message) as caught:
            Lab("one", cache=tmp_path).down()
        assert "--name" in caught.value.hint
        with Lab("two", cache=tmp_path).session():
            pass  # another lab is free
        holder.stdin.close()
        assert holder.wait(30) == 0
    with Lab("one", cache=tmp_path).session():
        pass


def test_a_child_of_the_holder_may_change_the_lab(tmp_path: Path) -> None:
    lab = Lab("one", cache=tmp_path)
    with lab.session():
        lab.down()
        inside = subprocess.run([sys.executable, "-c", DOWN, tmp_path], capture_output=True, text=True)
        assert (inside.returncode, inside.stderr) == (0, "")
        stranger = {name: value for name, value in os.environ.items() if name != lock.HELD}
        outside = subprocess.run([sys.executable, "-c", DOWN, tmp_path], capture_output=True, text=True, env=stranger)
        assert "is in use by pid" in outside.stderr
    assert not os.environ.get(lock.HELD)


@pytest.mark.parametrize("name", ["", "../x", "a/b", "-a", ".."])
def test_a_name_that_would_leave_the_cache_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(LabError, match="a lab's name"):
        Lab(name, cache=tmp_path)


def test_a_lab_that_was_never_started_says_how_to_start_it(tmp_path: Path) -> None:
    with pytest.raises(LabError, match='there is no lab "one"') as caught:
        Lab("one", cache=tmp_path).exec("true")
    assert caught.value.hint == "start it: pyxl lab up --name one"
    with pytest.raises(LabError, match="has no snapshot") as caught:
        Lab("default", cache=tmp_path).reset()
    assert caught.value.hint == "make one: pyxl lab up"


def test_a_command_in_a_lab_whose_emulator_is_gone_is_a_lost_lab(tmp_path: Path) -> None:
    with pytest.raises(LabLost, match="not running"):
        instance(tmp_path).exec("true")


def test_status_of_a_lab_that_is_not_there_and_of_one_that_is_down(tmp_path: Path) -> None:
    nothing = Lab("none", cache=tmp_path).status()
    assert (nothing["running"], nothing["snapshot"], nothing["port"], nothing["guests"]) == (False, False, None, [])
    lab = instance(tmp_path, replace(META, image=recipe.image_hash(recipe.suite("bookworm")), snapshot="1-1"))
    (lab.directory / "overlay.qcow2").touch()
    (lab.directory / "guests").write_text("tick\nbig\n")
    status = lab.status()
    assert (status["running"], status["snapshot"], status["port"]) == (False, True, 2222)
    assert (status["suite"], status["current"], status["guests"]) == ("bookworm", True, ["tick", "big"])
    json.dumps(status)


def test_a_lab_of_another_recipe_is_not_current(tmp_path: Path) -> None:
    assert instance(tmp_path).status()["current"] is False


def test_a_lab_keeps_its_suite_until_told_otherwise(tmp_path: Path) -> None:
    instance(tmp_path, replace(META, suite="trixie"))
    assert Lab("one", cache=tmp_path).suite.name == "trixie"
    assert Lab("one", suite="bookworm", cache=tmp_path).suite.name == "bookworm"
    assert Lab("two", cache=tmp_path).suite.name == "bookworm"


def test_unreadable_meta_is_no_meta(tmp_path: Path) -> None:
    lab = instance(tmp_path)
    for text in ("", "[]", '{"suite": "bookworm"}', '{"unknown": 1}'):
        (lab.directory / "meta.json").write_text(text)
        assert lab.meta() is None


def test_the_snapshot_is_of_one_emulator_and_one_accelerator() -> None:
    names = {META.snapshot_name, replace(META, qemu="8.0").snapshot_name, replace(META, kvm=True).snapshot_name}
    assert len(names) == 3
    assert all("/" not in name and " " not in name for name in names)


def test_destroy_removes_the_instance_and_prune_the_image_that_nobody_uses(tmp_path: Path) -> None:
    lab = instance(tmp_path)
    for name in (META.image, "fedcba9876543210"):
        (tmp_path / "images" / name).mkdir(parents=True)
        (tmp_path / "images" / name / "disk.qcow2").touch()
    assert lab.prune() == ["fedcba9876543210"]
    lab.destroy()
    assert not lab.directory.exists()
    assert lab.image_directory(META).exists()
    assert lab.prune() == [META.image]
    assert not lab.image_directory(META).exists()


def test_ssh_asks_nobody_and_keeps_one_connection(tmp_path: Path) -> None:
    argv = Host(tmp_path, tmp_path / "key", 2222, lambda: True).ssh()
    assert argv[-1] == "root@127.0.0.1"
    assert {"BatchMode=yes", "StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null"} <= set(argv)
    assert "ControlPath=ssh" in argv
    assert argv[argv.index("-p") + 1] == "2222"


def test_what_a_caller_asks_of_ssh_stands_before_the_defaults(tmp_path: Path) -> None:
    # ssh takes the first value of a setting; with the default first there would be no shared connection.
    argv = Host(tmp_path, tmp_path / "key", 2222, lambda: True).ssh("-o", "ControlMaster=yes")
    assert argv.index("ControlMaster=yes") < argv.index("ControlMaster=no")
