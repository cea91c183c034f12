"""The serial consoles of guests, each kept open: a device model looks for a new reader only once a second."""

import errno
import os
import re
import select
import termios
import time
import tty

from tests.xen.agent.host import Store

TICK = r"^tick \d+ hash [0-9a-f]{32} up [0-9.]+ dirty \d+$"
#: Seconds after which a guest that does not answer is asked again: one that boots, or was only just resumed, drops what
#: is said to it.  Twice as long each time, up to the last: one that is slow must not be asked without end.
ASK_SECONDS, LAST_ASK_SECONDS = 1.0, 8.0
#: Seconds for a guest to answer a tick, before it is given another command.
HEAR_SECONDS = 30.0
#: Seconds between two looks for a domain or console that is not there yet: nothing tells when it comes.
_POLL_SECONDS = 0.1


class Nothing(Exception):
    """No such guest, no console, or nothing came in time."""


class Consoles:
    """The console of each guest that was asked for something; one that goes away is opened anew."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._open: dict[int, _Console] = {}

    def tick(self, name: str, seconds: float) -> str:
        """Ask until the guest answers, and return its tick; one that is being built or boots is waited for.

        :raise Nothing: it does not within ``seconds``.
        """
        return self._repeat(name, TICK, "tick", seconds, ASK_SECONDS)

    def ask(self, name: str, pattern: str, words: str, seconds: float) -> str:
        """Give a guest that hears a command line that may be done twice, and return the first line that matches.

        :raise Nothing: none comes within ``seconds``.
        """
        self.tick(name, HEAR_SECONDS)
        return self._repeat(name, pattern, words, seconds, LAST_ASK_SECONDS)

    def send(self, name: str, words: str) -> None:
        """Give the guest a command line that it may not live to answer, once it has answered to another.

        :raise Nothing: it does not answer.
        """
        self.tick(name, HEAR_SECONDS)
        self._console(name).say(words)

    def close(self) -> None:
        """Leave all consoles to others."""
        for console in self._open.values():
            os.close(console.fd)
        self._open = {}

    def _repeat(self, name: str, pattern: str, words: str, seconds: float, patience: float) -> str:
        end = time.monotonic() + seconds
        while True:
            asked = time.monotonic()
            try:
                return self._ask(name, pattern, words, min(patience, end - asked))
            except Nothing:
                if time.monotonic() >= end:
                    raise
                if time.monotonic() >= asked + patience:
                    patience = min(2 * patience, LAST_ASK_SECONDS)
                time.sleep(_POLL_SECONDS)

    def _ask(self, name: str, pattern: str, words: str, seconds: float) -> str:
        console = self._console(name)
        try:
            console.say(words)
            return console.matching(pattern, seconds)
        except (OSError, termios.error) as error:
            self.close()
            raise Nothing(f"guest {name}: its console went away ({error})") from None
        except Nothing as error:
            raise Nothing(f"guest {name}: {error}") from None

    def _console(self, name: str) -> "_Console":
        domid = self._store.domid(name)
        if not domid:
            raise Nothing(f"no guest named {name}")
        path = self._store.read(f"/local/domain/{domid}/serial/0/tty")
        if not path:
            raise Nothing(f"guest {name} has no console")
        for number in set(self._open) - set(map(int, self._store.children("/local/domain"))):
            os.close(self._open.pop(number).fd)
        if domid not in self._open:
            try:
                self._open[domid] = _Console(path)
            except (OSError, termios.error) as error:
                raise Nothing(f"guest {name}: its console cannot be opened ({error})") from None
        return self._open[domid]


class _Console:
    def __init__(self, path: str) -> None:
        self.fd = os.open(path, os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
        tty.setraw(self.fd, termios.TCSANOW)

    def say(self, words: str) -> None:
        """Say a line; what the guest said before is nobody's answer any more."""
        termios.tcflush(self.fd, termios.TCIFLUSH)
        # The lone newline ends whatever half a line the guest may have read before.
        os.write(self.fd, f"\n{words}\n".encode())

    def matching(self, pattern: str, seconds: float) -> str:
        """Return the first whole line that matches.

        :raise OSError: the console went away.
        """
        end = time.monotonic() + seconds
        said = b""
        last = ""
        while select.select([self.fd], [], [], max(0.0, end - time.monotonic()))[0]:
            part = os.read(self.fd, 1 << 16)
            if not part:
                raise OSError(errno.EIO, "its device model has ended")
            said += part
            *lines, said = said.split(b"\n")
            for line in lines:
                last = line.decode(errors="replace").rstrip("\r")
                if re.search(pattern, last):
                    return last
        raise Nothing(f"no line matches {pattern!r}; the last one was: {last or 'none'}")
