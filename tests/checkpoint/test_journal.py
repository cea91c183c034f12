"""The journal: a lock while its process lives, a record of what is owed after it has died."""

import fcntl
import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from pyxl.checkpoint import journal
from pyxl.checkpoint.journal import Busy, Entry, Journal, dead, holder

UUID = "6b1d9b2e-0000-4000-8000-000000000001"


def ended() -> int:
    """Return the pid of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def leave(directory: Path, **facts: object) -> Path:
    """Write the journal of a save whose process has died."""
    path = directory / UUID
    entry = {"operation": "save", "uuid": UUID, "name": "web1", "pid": ended(), "since": 1, **facts}
    path.write_text(json.dumps(entry) + "\n")
    return path


def test_it_is_there_while_the_operation_lasts(tmp_path: Path) -> None:
    with Journal("save", UUID, "web1", tmp_path / "pyxl") as held:
        held.note(domid=7, phase="SUSPEND")
        assert holder(UUID, tmp_path / "pyxl") == held.entry
        assert held.entry.domid == 7
        assert (tmp_path / "pyxl").stat().st_mode & 0o777 == 0o700
        assert (tmp_path / "pyxl" / UUID).stat().st_mode & 0o777 == 0o600
    assert holder(UUID, tmp_path / "pyxl") is None
    assert list((tmp_path / "pyxl").iterdir()) == []
    held.close()


def test_synced_the_file_and_its_name_are_on_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", lambda fd: synced.append(os.fstat(fd).st_ino))
    with Journal("save", UUID, "web1", tmp_path) as held:
        held.sync()
        assert synced == [(tmp_path / UUID).stat().st_ino, tmp_path.stat().st_ino]


def test_a_second_operation_is_told_who_is_at_it(tmp_path: Path) -> None:
    with Journal("save", UUID, "web1", tmp_path), pytest.raises(Busy) as refused:
        Journal("restore", UUID, "web1", tmp_path)
    assert f'a save of "web1" (pid {os.getpid()}, since ' in str(refused.value)


def test_what_a_dead_process_has_noted_is_found_and_later_facts_win(tmp_path: Path) -> None:
    path = leave(tmp_path, phase="OPEN_FILE", target="/x/c")
    with path.open("a") as file:
        file.write('{"phase": "MEMORY", "domid": 7}\n{"phase": "COMM')
    (entry,) = dead(tmp_path)
    assert (entry.phase, entry.domid, entry.target) == ("MEMORY", 7, "/x/c")
    assert holder(UUID, tmp_path) is None


def test_what_a_dead_process_owes_stays_noted_until_somebody_begins(tmp_path: Path) -> None:
    leave(tmp_path, phase="MEMORY")
    with Journal("save", UUID, "web1", tmp_path) as held:
        assert held.left is not None
        assert held.left.phase == "MEMORY"
    assert [entry.phase for entry in dead(tmp_path)] == ["MEMORY"]
    with Journal("recover", UUID, "web1", tmp_path) as held:
        held.begin()
        assert held.left is None
    assert list(tmp_path.iterdir()) == []


def test_a_living_operation_is_not_dead(tmp_path: Path) -> None:
    with Journal("save", UUID, "web1", tmp_path):
        assert list(dead(tmp_path)) == []
    assert list(dead(tmp_path / "nowhere")) == []


def test_a_journal_without_a_whole_line_owes_nothing_and_goes(tmp_path: Path) -> None:
    (tmp_path / UUID).write_text('{"operation": "sa')
    with Journal("save", UUID, "web1", tmp_path) as held:
        assert held.left is None
    (tmp_path / UUID).write_text("[1, 2]\n7\n")
    assert list(dead(tmp_path)) == []
    assert list(tmp_path.iterdir()) == []


def test_a_link_in_its_place_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / UUID).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="symbolic links"):
        Journal("save", UUID, "web1", tmp_path)
    assert list(dead(tmp_path)) == []


def test_a_lock_that_somebody_takes_for_a_look_is_waited_for(tmp_path: Path) -> None:
    path = leave(tmp_path, phase="MEMORY")
    with path.open() as looker:
        fcntl.flock(looker, fcntl.LOCK_EX)
        release = threading.Timer(0.2, lambda: fcntl.flock(looker, fcntl.LOCK_UN))
        release.start()
        with Journal("save", UUID, "web1", tmp_path) as held:
            assert held.left is not None
        release.join()


def test_a_lock_of_one_who_does_not_say_who_he_is_is_refused_in_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal, "_MOMENT", 0.1)
    with (tmp_path / UUID).open("w") as mute:
        fcntl.flock(mute, fcntl.LOCK_EX)
        with pytest.raises(Busy):
            Journal("save", UUID, "web1", tmp_path)


def test_of_two_who_wait_for_a_lock_one_wins(tmp_path: Path) -> None:
    won: list[Journal] = []
    lost: list[Entry] = []

    def try_it() -> None:
        try:
            won.append(Journal("save", UUID, "web1", tmp_path))
        except Busy as busy:
            lost.append(busy.entry)

    threads = [threading.Thread(target=try_it) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(won), len(lost)) == (1, 7)
    won[0].close()


def test_a_killed_process_leaves_its_lock_and_its_note(tmp_path: Path) -> None:
    line = "import sys, time, pathlib; from pyxl.checkpoint.journal import Journal; "
    line += f"Journal('save', '{UUID}', 'web1', pathlib.Path(sys.argv[1])).note(phase='MEMORY', domid=7); time.sleep(60)"
    process = subprocess.Popen([sys.executable, "-c", line, str(tmp_path)], cwd=Path(__file__).parents[2])
    try:
        end = time.monotonic() + 20
        while (found := holder(UUID, tmp_path)) is None or found.domid != 7:
            assert time.monotonic() < end
            time.sleep(0.05)
        assert list(dead(tmp_path)) == []
    finally:
        process.kill()
        process.wait()
    assert [(entry.pid, entry.phase) for entry in dead(tmp_path)] == [(process.pid, "MEMORY")]
