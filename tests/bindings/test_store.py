"""pyxl.xen.store with a daemon that speaks xenstored's protocol, and one that stops answering."""

import socket
import struct
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from pyxl.errors import StoreError, StoreTimeout
from pyxl.xen.store import Store

DIRECTORY, READ, WATCH, UNWATCH, START, END, WRITE, RM, EVENT, ERROR = 1, 2, 4, 5, 6, 7, 11, 13, 15, 16
DIRECTORY_PART = 22
MOST = 4096  # bytes of an answer


class Xenstored(threading.Thread):
    """Serves nodes in a dict to one client; if ``silent`` it does not answer; the first ``conflicts`` commits fail."""

    def __init__(self, path: Path) -> None:
        super().__init__(daemon=True)
        self.nodes = {"/a": "1", "/a/b": "2", "/a/c": ""}
        self.grows = 0  # how often a directory that is read in parts gets another name meanwhile
        self.silent = False
        self.conflicts = 0
        self.held: dict[str, str] | None = None  # what the open transaction has written
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(str(path))
        self._listener.listen()

    def run(self) -> None:
        client, _ = self._listener.accept()
        with client:
            while header := client.recv(16, socket.MSG_WAITALL):
                op, request, transaction, length = struct.unpack("IIII", header)
                body = client.recv(length, socket.MSG_WAITALL) if length else b""
                if self.silent:
                    continue
                answer_op, answer = self.answer(op, body)
                client.sendall(struct.pack("IIII", answer_op, request, transaction, len(answer)) + answer)
                if op == WATCH:
                    client.sendall(struct.pack("IIII", EVENT, 0, 0, len(body)) + body)

    def answer(self, op: int, body: bytes) -> tuple[int, bytes]:
        words = body.decode().split("\0")
        if op in (READ, DIRECTORY, RM) and words[0] not in self.nodes:
            return ERROR, b"EACCES\0" if words[0] == "/secret" else b"ENOENT\0"
        if op == READ:
            return op, self.nodes[words[0]].encode()
        below = [node.removeprefix(words[0] + "/") for node in self.nodes if node.startswith(words[0] + "/")]
        listed = "".join(name + "\0" for name in below).encode()
        if op == DIRECTORY:
            return (op, listed) if len(listed) <= MOST else (ERROR, b"E2BIG\0")
        if op == DIRECTORY_PART:
            generation, offset = b"%d\0" % len(below), int(words[1])
            if offset and self.grows:
                self.grows -= 1
                self.nodes[f"{words[0]}/grown{self.grows}"] = ""
            return op, generation + (listed + b"\0")[offset : offset + MOST - len(generation)]
        if op == WRITE:
            (self.nodes if self.held is None else self.held)[words[0]] = words[1]
        if op == START:
            self.held = {}
            return op, b"9\0"
        if op == END:
            held, self.held = self.held or {}, None
            if words[0] == "T" and self.conflicts:
                self.conflicts -= 1
                return ERROR, b"EAGAIN\0"
            self.nodes.update(held)
        return op, b"OK\0"


@pytest.fixture
def daemon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Xenstored:
    monkeypatch.setenv("XENSTORED_PATH", str(tmp_path / "socket"))
    thread = Xenstored(tmp_path / "socket")
    thread.start()
    return thread


@pytest.fixture
def store(daemon: Xenstored) -> Iterator[Store]:
    with Store() as opened:
        yield opened


def test_read_write_children(store: Store, daemon: Xenstored) -> None:
    assert store.read("/a") == "1"
    assert store.read("/a/c") == ""
    assert store.read("/none") is None
    assert store.children("/a") == ["b", "c"]
    assert store.children("/none") == []
    store.write("/a/new", "")
    assert daemon.nodes["/a/new"] == ""
    store.remove("/none")


@pytest.mark.parametrize("grows", [0, 2])
def test_a_directory_that_does_not_fit_into_one_answer(store: Store, daemon: Xenstored, grows: int) -> None:
    daemon.nodes["/big"] = ""
    daemon.nodes |= {f"/big/{number:040}": "" for number in range(500)}
    daemon.grows = grows
    found = store.children("/big")
    assert found == [node.removeprefix("/big/") for node in daemon.nodes if node.startswith("/big/")]
    assert len(found) == 500 + grows
    assert store.read("/a") == "1"


def test_a_refusal_names_the_path(store: Store) -> None:
    with pytest.raises(StoreError, match="xenstore /secret: Permission denied"):
        store.read("/secret")


def test_write_if_writes_once_and_only_over_what_was_expected(store: Store, daemon: Xenstored) -> None:
    daemon.conflicts = 2
    assert store.write_if("/a", "1", "")
    assert daemon.nodes["/a"] == ""
    assert not store.write_if("/a", "1", "2")
    assert daemon.nodes["/a"] == ""


def test_a_watch_fires_at_once_and_then_only_on_a_change(store: Store) -> None:
    with store.watch("@releaseDomain") as watch:
        assert watch.wait(5)
        assert not watch.wait(0.01)


def test_a_silent_daemon_meets_the_deadline(daemon: Xenstored) -> None:
    daemon.silent = True
    with Store(0.05) as store, pytest.raises(StoreTimeout, match="xenstore /a: xenstored did not answer"):
        store.read("/a")


def test_no_daemon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XENSTORED_PATH", str(tmp_path / "nothing"))
    with pytest.raises(StoreError, match="is xenstored running"):
        Store()


def test_a_signal_never_leaves_half_a_request(daemon: Xenstored, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A signal comes right after each send, and the connection still works."""
    transport = store._connection.router.connection.transport
    send = transport.send

    def interrupted(data: bytes) -> None:
        send(data)
        raise KeyboardInterrupt

    monkeypatch.setattr(transport, "send", interrupted)
    with pytest.raises(KeyboardInterrupt):
        store.write("/a", "5")
    monkeypatch.undo()
    assert store.read("/a") == "5"
