"""A host of several guests, in files, that real child processes act on; as a program it is the `pyxl` of one guest.

A guest's disk has a number that grows each time the guest runs.  Who lets a guest run on a memory that is older than
its disk has destroyed the disk: that is noted in the file DESTROYED.
"""

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from pyxl.errors import XenError
from pyxl.model.domain import DomainInfo
from tests.fakes.host import CONFIG, FakeXen

DESTROYED = "DESTROYED"
VARIABLE = "FAKE_HOST"


def uuid_of(name: str) -> str:
    return f"00000000-0000-4000-8000-{name.encode().hex()[-12:]:0>12}"


class Host:
    """The files: DOMID.domain, NAME.disk, and NAME.will with what its next operation is to do, if not its work."""

    def __init__(self, place: Path) -> None:
        self.place = place

    def names(self) -> dict[str, int]:
        """Return the domid of each guest."""
        return {each["name"]: domid for domid, each in self.guests().items()}

    def guests(self) -> dict[int, dict[str, Any]]:
        found = {}
        for file in sorted(self.place.glob("*.domain"), key=lambda each: int(each.stem)):
            try:
                found[int(file.stem)] = json.loads(file.read_text())
            except FileNotFoundError:  # it has just ended
                continue
        return found

    def put(self, domid: int, **guest: Any) -> None:
        new = self.place / f"{domid}.{os.getpid()}.new"
        new.write_text(json.dumps(guest))
        new.replace(self.place / f"{domid}.domain")

    def build(self, guest: dict[str, Any]) -> int:
        for domid in range(1, 1000):
            try:
                (self.place / f"{domid}.taken").touch(exist_ok=False)
            except FileExistsError:
                continue
            self.put(domid, **guest)
            return domid
        raise AssertionError

    def start(self, name: str, **more: Any) -> int:
        """Boot a guest."""
        guest = {"name": name, "uuid": uuid_of(name), "memory": 0, "disk": self.disk(name), "paused": True, **more}
        domid = self.build(guest)
        self.run(domid)
        return domid

    def run(self, domid: int) -> None:
        guest = self.guests()[domid]
        if guest["disk"] != self.disk(guest["name"]):
            (self.place / DESTROYED).write_text(guest["name"])
        guest = {**guest, "memory": guest["memory"] + 1, "disk": guest["disk"] + 1, "paused": False}
        self._disk(guest["name"]).write_text(str(guest["disk"]))
        self.put(domid, **guest)

    def end(self, domid: int) -> None:
        (self.place / f"{domid}.domain").unlink(missing_ok=True)

    def lose_power(self) -> None:
        for domid in self.guests():
            self.end(domid)

    def disk(self, name: str) -> int:
        return int(self._disk(name).read_text()) if self._disk(name).exists() else 0

    def _disk(self, name: str) -> Path:
        return self.place / f"{uuid_of(name)}.disk"

    def will(self, name: str, what: str = "") -> str:
        """Have the next operations on a guest do something else; return it."""
        file = self.place / f"{uuid_of(name)}.will"
        if what:
            file.write_text(what)
        return file.read_text() if file.exists() else ""


class HostXen(FakeXen):
    """The hypervisor of such a host."""

    def __init__(self, host: Host) -> None:
        super().__init__([])
        self.host = host

    def domains(self) -> list[DomainInfo]:
        dom0 = DomainInfo(0, "0" * 36, False, True, False, False, False, None, 1 << 20, 1 << 20, 2, 1)
        return [dom0, *(self._info(domid, guest) for domid, guest in self.host.guests().items())]

    def domain(self, domid: int) -> DomainInfo | None:
        return next((each for each in self.domains() if each.domid == domid), None)

    def _info(self, domid: int, guest: dict[str, Any]) -> DomainInfo:
        ran = int(not guest["paused"] or guest["memory"] > guest.get("restored", -1) >= 0)
        paused = bool(guest["paused"])
        return DomainInfo(domid, guest["uuid"], True, False, True, paused, False, None, 1 << 17, 1 << 17, 1, ran)

    def config_json(self, domid: int) -> str:
        guest = self.host.guests()[domid]
        config = json.loads(json.dumps(CONFIG))
        config["c_info"] |= {"name": guest["name"], "uuid": guest["uuid"]}
        if guest.get("passed"):
            config["pcidevs"] = [{"dev": 1}]
        return json.dumps(config)

    def unpause(self, domid: int) -> None:
        if "unpause" in self.fail:
            raise XenError("libxl_domain_unpause", 5, domid)
        self.host.run(domid)


def main(words: list[str]) -> int:
    """Do what `pyxl save`, `restore`, `create` or `shutdown` would."""
    host = Host(Path(os.environ[VARIABLE]))
    command, last = words[0], words[-1]
    with (host.place / "log").open("a") as log:
        log.write(f"{command} {words[words.index('--') + 1]}\n" if command != "create" else "create\n")
    if command == "save":
        domid, file = int(words[-2]), Path(last)
        guest = host.guests()[domid]
        if not _does(host, guest["name"], "save"):
            return 1
        file.write_text(json.dumps(guest))
        host.end(domid)
        print(json.dumps({"size": 100, "stored": 10, "seconds": 0.5}))
    elif command == "restore":
        guest = json.loads(Path(last).read_text())
        if not _does(host, guest["name"], "restore"):
            return 1
        domid = host.build({**guest, "paused": True, "restored": guest["memory"]})
        print(json.dumps({"domid": domid, "size": 100, "seconds": 0.5, "away": 7200, "clock": "own"}))
    elif command == "create":
        config = json.loads(Path(last).read_text())
        if not _does(host, config["c_info"]["name"], "create"):
            return 1
        host.start(config["c_info"]["name"])
    elif command == "shutdown":
        guest = host.guests()[int(last)]
        if not _does(host, guest["name"], "shutdown"):
            return 1
        host.end(int(last))
    return 0


def _does(host: Host, name: str, command: str) -> bool:
    """Tell whether a guest's operation is to do its work; one that hangs can be interrupted, one that is late not."""
    for word in host.will(name).split():
        if word == f"{command}-fails":
            print(f"pyxl: a remark\npyxl: {command} {name}: disk: it burns\n      Buy another.", file=sys.stderr)
            return False
        if word == f"{command}-dies":
            os.kill(os.getpid(), 9)
        if word == f"{command}-hangs":
            (host.place / "hangs").touch()
            time.sleep(60)
    return True


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
