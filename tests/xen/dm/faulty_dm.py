"""A device model front that misbehaves, run in dom0 in the place of one that was killed.

Usage: faulty_dm.py DOMID MODE.  Answers every `save` as MODE says, and everything else properly.
"""

import sys
import time
from pathlib import Path

import pyxs

DOMID, MODE = sys.argv[1:]
ROOT = f"/local/domain/0/device-model/{DOMID}"
FILE = Path(f"/var/lib/xen/qemu-save.{DOMID}")
WHOLE = b"QEVM\0\0\0\3" + bytes(1000)


def main() -> None:
    with pyxs.Client() as store, store.monitor() as monitor:
        monitor.watch(f"{ROOT}".encode(), b"faulty")
        print("ready", flush=True)
        for _ in monitor.wait():
            log_dirty = store.read(f"{ROOT}/logdirty/cmd".encode(), b"")
            if log_dirty and store.read(f"{ROOT}/logdirty/ret".encode(), b"") != log_dirty:
                write(store, "logdirty/ret", log_dirty.decode())
            word = store.read(f"{ROOT}/command".encode(), b"")
            if not word:
                continue
            store.delete(f"{ROOT}/command".encode())
            if word == b"continue":
                FILE.unlink(missing_ok=True)
                write(store, "state", "running")
            else:
                answer(store)


def answer(store: "pyxs.Client") -> None:
    if MODE == "refuses":
        write(store, "error", "State blocked by device 0000:00:04.0")
        return
    if MODE == "late":
        time.sleep(5)  # being late is what this mode is for
    if MODE != "missing":
        FILE.write_bytes({"empty": b"", "half": WHOLE[:500]}.get(MODE, WHOLE))
        write(store, "size", str(len(WHOLE)))
    write(store, "state", "confused" if MODE == "confused" else "paused")
    if MODE == "twice":
        time.sleep(0.5)  # the second answer comes when the first was seen
        write(store, "state", "paused")


def write(store: "pyxs.Client", key: str, value: str) -> None:
    store.write(f"{ROOT}/{key}".encode(), value.encode())


main()
