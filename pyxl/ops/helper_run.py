"""Start pyxl-save-helper for a save, serve its callbacks, join it, cancel it (xen-spec.md 5).

It starts while pyxl still looks whether the save can be done, and does not touch the domain before it has its stream.
Its first request comes before its first byte, so the header may still be written then: from the answer to that request
until `complete`, the stream's fd is the helper's.
"""

import os
import select
import signal
import socket
import time
from collections.abc import Callable, Mapping
from contextlib import suppress

from pyxl.errors import Bug, HelperError
from pyxl.formats import helper_messages as messages
from pyxl.model.engine import LIBXC
from pyxl.model.live import LIVE, Round
from pyxl.ops import programs

#: Answers one request; an exception is answered with ``REFUSED`` and ends the save.
Handler = Callable[..., int]
OK = {"suspend": 1, "switch_qemu_logdirty": 0, "postcopy": 1}
REFUSED = {"suspend": 0, "switch_qemu_logdirty": -1, "postcopy": 0}
#: Seconds that a helper which was told to stop may take for libxc's clean-up.
CANCEL_SECONDS = 10.0
#: Seconds that a killed one may take to end: it cannot while it waits for a disk.
KILL_SECONDS = 10.0
#: Seconds without a byte written after which a helper counts as stopped: the guest is suspended meanwhile.
STALL_SECONDS = 60.0
_WARNING = 7  # log level from which a line is shown when the helper fails
_POLL_SECONDS = 0.25
#: The descriptor whose place the stream takes in the helper.
_STREAM = 3


class SaveHelper:
    """A running save-helper for ``domid``, which waits for its stream; ``close`` ends it, whatever it is doing.

    ``engine`` is pyxl.model.engine's; ``rounds`` has those of a live save so far.
    """

    def __init__(self, domid: int, log: Callable[[str], None], engine: str = LIBXC) -> None:
        self._log = log
        self._said: list[str] = []
        self.rounds: list[Round] = []
        self._replies, to_child = socket.socketpair()
        self._messages, from_child = os.pipe()
        flags = messages.callback_flags("suspend", "switch_qemu_logdirty")
        path = programs.find(programs.SAVE_HELPER)
        argv = [path, "--save-domain", str(_STREAM), "-1", str(domid), "0", str(flags), "0"]
        actions = [
            (os.POSIX_SPAWN_DUP2, to_child.fileno(), 0),
            (os.POSIX_SPAWN_DUP2, from_child, 1),
            (os.POSIX_SPAWN_OPEN, _STREAM, os.devnull, os.O_RDONLY, 0),  # keeps the number until the stream comes
        ]
        environment = {
            **os.environ, "PYXL_SAVE_HELPER_QUIET": "1", "PYXL_SAVE_HELPER_LATER": "1",
            "PYXL_SAVE_HELPER_PARENT": str(os.getpid()), "PYXL_SAVE_HELPER_ENGINE": engine,
        }  # fmt: skip
        # In a process group of its own a Ctrl-C does not reach it: only ``close`` cancels it.
        self.pid = os.posix_spawn(path, argv, environment, file_actions=actions, setpgroup=0)
        to_child.close()
        os.close(from_child)

    def stream_to(self, *fds: int, engine: str = LIBXC) -> None:
        """Hand over the stream, and a table of its frames if it has one, with words for the engine.

        That the helper has died shows when it is served.
        """
        with suppress(OSError):
            socket.send_fds(self._replies, [engine.encode() + b"\n"], fds)

    def serve(self, handlers: Mapping[str, Handler], tick: Callable[[], int], interval: float) -> None:
        """Answer the helper's requests until it has written the whole stream.

        ``tick`` is called about every ``interval`` seconds, and returns how many bytes are written.

        :raise HelperError: libxc failed, or the helper died, stalls, or broke the protocol.
        """
        while True:
            name, values = self._receive(tick, interval)
            if name == "complete":
                self._reply(0)
                self._join(*(int(value) for value in values))
                return
            if name not in handlers:
                raise HelperError(f"the save-helper asked for {name}, which it was not offered")
            try:
                answer = handlers[name](*values)
            except BaseException:
                self._reply(REFUSED[name])
                raise
            self._reply(answer)

    def close(self) -> None:
        """End a helper that is still running: SIGTERM first, so that libxc cleans up, then SIGKILL."""
        if self.pid:
            self._signal(signal.SIGTERM)
            end = time.monotonic() + CANCEL_SECONDS
            try:
                while time.monotonic() < end:
                    name, _ = self._receive(lambda: 0, _POLL_SECONDS, end)
                    # Its clean-up asks for log-dirty off, which was never on; everything else is refused.
                    self._reply(0 if name in ("complete", "switch_qemu_logdirty") else REFUSED.get(name, 0))
            except (HelperError, OSError):
                pass  # its end of the pipe is closed, or it does not answer: either way it is killed now
            self._signal(signal.SIGKILL)
            self._reap()
        self._replies.close()
        if self._messages >= 0:
            os.close(self._messages)
        self._messages = -1

    def _receive(
        self, tick: Callable[[], int], interval: float, end: float | None = None
    ) -> tuple[str, list[messages.Value]]:
        """Return the next message that is no log line."""
        poll = select.poll()
        poll.register(self._messages, select.POLLIN)
        written, since = -1, time.monotonic()
        while True:
            while not poll.poll(1000 * interval):
                now = time.monotonic()
                if (done := tick()) != written:
                    written, since = done, now
                elif now - since > STALL_SECONDS:
                    raise HelperError(self._blame(f"the save-helper has written nothing for {STALL_SECONDS:.0f} s"))
                if end is not None and now > end:
                    raise HelperError("the save-helper did not stop when it was told to")
            (length,) = messages.LENGTH.unpack(self._exactly(messages.LENGTH.size))
            try:
                name, values = messages.decode(self._exactly(length))
            except ValueError as error:
                raise HelperError(f"the save-helper broke its protocol: {error}") from error
            if name == "log":
                level, _, _, text = values
                self._log(f"save-helper: {text}")
                if int(level) >= _WARNING:
                    self._said.append(str(text))
            elif name != "progress":
                return name, values
            elif values[0] == LIVE:
                _, why, pages, microseconds = values
                self.rounds.append(Round(int(pages), int(microseconds) / 1_000_000, str(why)))

    def _exactly(self, length: int) -> bytes:
        data = b""
        while len(data) < length:
            part = os.read(self._messages, length - len(data))
            if not part:
                raise HelperError(self._blame("the save-helper died"))
            data += part
        return data

    def _reply(self, value: int) -> None:
        try:
            self._replies.sendall(messages.REPLY.pack(value))
        except (BrokenPipeError, ConnectionResetError) as error:
            raise HelperError(self._blame("the save-helper died")) from error

    def _join(self, result: int, errnum: int) -> None:
        """Wait for the exit of a helper that has reported its result."""
        _, status = os.waitpid(self.pid, 0)
        self.pid = 0
        if result:
            raise HelperError(self._blame(os.strerror(errnum) if errnum else "the save-helper failed"))
        if code := os.waitstatus_to_exitcode(status):
            raise HelperError(self._blame(f"the save-helper ended with status {code}"))

    def _reap(self) -> None:
        """Wait for a helper that was killed.

        :raise HelperError: it hangs in the kernel, for example while it waits for a dead disk.
        """
        end = time.monotonic() + KILL_SECONDS
        while os.waitpid(self.pid, os.WNOHANG) == (0, 0):
            if time.monotonic() > end:
                raise HelperError(f"the save-helper (pid {self.pid}) does not end: it waits for the disk")
            time.sleep(0.01)
        self.pid = 0

    def _blame(self, what: str) -> str:
        return f"{what}: {'; '.join(self._said[-3:])}" if self._said else what

    def _signal(self, number: signal.Signals) -> None:
        if not self.pid:
            raise Bug("signal to a save-helper that has ended")
        os.kill(self.pid, number)
