"""The commands for devices, memory, config and core of a running guest, on a fake host: what they do and print."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pyxl.cli import app, wiring
from pyxl.model import paths
from tests.fakes.host import FakeStore, FakeXen, running, web1
from tests.ops.test_attached import NODES

DISKS = """\
Vdev  BE  handle state evt-ch ring-ref BE-path                       \n\
5632  0   7      -1    -1     -1       /local/domain/0/backend/qdisk/7/5632
51792 0   7      4     9      -1       /local/domain/0/backend/vbd/7/51792
"""
NICS = """\
Idx BE Mac Addr.         handle state evt-ch   tx-/rx-ring-ref BE-path                       \n\
0   0  00:16:3e:00:00:01     0    -1     -1   768/-1          /local/domain/0/backend/vif/7/0
"""


class Host(FakeXen):
    def log_to(self, path: str) -> None:
        pass

    def cpu_nodes(self) -> list[int]:
        return [0]


@pytest.fixture
def xen(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Host:
    xen, store = Host([], running()), FakeStore(web1() | NODES)
    for name in ("JOURNAL_DIRECTORY", "LOG_DIRECTORY"):
        monkeypatch.setattr(paths, name, str(tmp_path / name))
    (tmp_path / "LOG_DIRECTORY").mkdir()

    @contextmanager
    def on_host(_command: str, _verbose: bool) -> Iterator[wiring.Host]:
        yield wiring.Host(xen, store)  # type: ignore[arg-type]

    monkeypatch.setattr(wiring, "on_host", on_host)
    monkeypatch.setattr(wiring, "open_dm", lambda *_: None)
    return xen


@pytest.mark.parametrize(("command", "said"), [("block-list", DISKS), ("network-list", NICS)])
def test_lists_are_laid_out_as_xl_s(xen: Host, capsys: pytest.CaptureFixture[str], command: str, said: str) -> None:
    assert app.run([command, "web1"]) == 0
    assert capsys.readouterr().out == said


@pytest.mark.parametrize(
    ("command", "first", "empty"),
    [("block-list", {"vdev": "hdc", "cdrom": True}, "[]"), ("network-list", {"mac": "00:16:3e:00:00:01"}, "[]")],
)
def test_lists_for_programs(
    xen: Host, capsys: pytest.CaptureFixture[str], command: str, first: dict[str, object], empty: str
) -> None:
    assert app.run([command, "--json", "web1"]) == 0
    assert json.loads(capsys.readouterr().out)[0].items() >= first.items()
    xen.all[8] = running(8)
    assert app.run([command, "--json", "8"]) == 0
    assert capsys.readouterr().out.strip() == empty
    assert app.run([command, "nobody"]) == 1


def test_each_command_does_one_thing(xen: Host, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    image = tmp_path / "image"
    image.touch()
    for arguments, call in (
        (["block-attach", "web1", f"target={image}", "vdev=xvdg"], "attach 7 disk "),
        (["block-detach", "-f", "web1", "51792"], "detach_disk 7 xvdf True"),
        (["cd-insert", "web1", "hdc", str(image)], "change_disc 7 "),
        (["cd-eject", "web1", "hdc"], "change_disc 7 "),
        (["network-attach", "web1", "script=vif-route", "mac=00:16:3e:00:00:02"], "attach 7 nic "),
        (["network-detach", "web1", "00:16:3E:00:00:01"], "detach_nic 7 0"),
        (["mem-set", "web1", "100m"], "set_memory 7 102400"),
        (["mem-max", "web1", "1g"], "set_most_memory 7 1048576"),
    ):
        assert app.run(arguments) == 0, capsys.readouterr().err
        assert xen.calls.pop().startswith(call) and xen.calls == []
    assert capsys.readouterr().out == '7 "web1" is to have 100 MiB; it has 1 MiB\n7 "web1" may have up to 1024 MiB\n'


@pytest.mark.parametrize(
    "arguments",
    [["mem-set", "web1", "much"], ["block-attach", "web1", "vdev=xvdg"], ["network-attach", "web1", "mac=1"], ["config-update", "web1"]],
    ids=" ".join,
)
def test_wrong_words_are_refused_before_the_host_is_asked(xen: Host, arguments: list[str]) -> None:
    assert app.run(arguments) == 2
    assert xen.calls == []


def test_config_update_says_what_the_reboot_will_change(
    xen: Host, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file = tmp_path / "web1.cfg"
    file.write_text('name = "web1"\ntype = "hvm"\nmemory = 128\n')
    xen.config = json.dumps(json.loads(xen.config) | {"disks": [{"vdev": "xvdf"}]})
    assert app.run(["config-update", "web1", str(file), "vcpus=2"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0] == f'7 "web1" takes {file} at its next reboot'
    assert "    b_info.max_vcpus: now 1, then 2" in said and "    disks: now [{\"vdev\": \"xvdf\"}], then nothing" in said
    assert not any("memkb" in line or "uuid" in line for line in said)
    assert "vcpus=2\n" in xen.calls[-1]
    file.write_text("memory = [")
    xen.calls.clear()
    assert app.run(["config-update", "web1", str(file)]) == 2
    assert xen.calls == []


def test_a_core_is_said_with_its_size(xen: Host, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    target = tmp_path / "core"
    assert app.run(["dump-core", "--progress=none", "web1", str(target)]) == 0
    assert capsys.readouterr().out == f'dumped 7 "web1" to {target}: 0 B\n'
    assert xen.calls == ["pause 7", "core_dump 7", "unpause 7"]
