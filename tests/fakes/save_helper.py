#!/usr/bin/env python3
"""A save-helper that speaks the protocol and fails at the step that `FAIL` in the environment names."""

import os
import signal
import socket
import struct
import sys
import time

# Image header, domain header, one optional record, END.
LIBXC = struct.pack(">QIIHHI", (1 << 64) - 1, 0x58454E46, 3, 0, 0, 0) + struct.pack("<IHHII", 2, 12, 0, 4, 17)
LIBXC += struct.pack("<II", 0x8000_0001, 4096) + bytes(range(256)) * 16 + struct.pack("<II", 0, 0)


def send(number: int, body: bytes = b"", reply: bool = True) -> int:
    message = struct.pack("<H", number) + body
    os.write(1, struct.pack("<H", len(message)) + message)
    if not reply:
        return 0
    got = os.read(0, 4)
    if len(got) < 4:
        os._exit(254)
    return int(struct.unpack("<i", got)[0])


def log(level: int, text: str) -> None:
    raw = text.encode() + b"\0"
    send(1, struct.pack("<IiI", level, -1, 3) + b"xc\0" + struct.pack("<I", len(raw)) + raw, reply=False)


def told(pages: int, why: bytes) -> None:
    text = b"".join(struct.pack("<I", len(each) + 1) + each + b"\0" for each in (b"live", why))
    send(2, text + struct.pack("<QQ", pages, 1_500_000), reply=False)


def complete(result: int, errnum: int) -> None:
    send(10, struct.pack("<ii", result, errnum))


def main() -> None:
    fail = os.environ.get("FAKE_HELPER_FAIL", "")
    fd, domid = int(sys.argv[2]), int(sys.argv[4])
    if fail == "start":
        sys.exit(255)
    if fail == "junk":
        os.write(1, b"\x04\0\x63\0ab")
        time.sleep(60)  # until the test sees it killed
    words, (stream, *_), _, _ = socket.recv_fds(socket.socket(fileno=os.dup(0)), 256, 1)
    os.dup2(stream, fd)
    log(5, "starting save")
    ok = send(7, struct.pack("<II", domid, 1)) == 0
    if fail == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if ok and b"live" in words.split():
        told(32, b"")
    ok = ok and send(3) == 1
    if ok:
        if b"goes-on" in words.split():
            told(2, b"short")
            ok = send(4) == 1
        os.write(fd, LIBXC)
        if fail == "memory":
            log(8, "Failed to write page data")
            ok = False
    send(7, struct.pack("<II", domid, 0))
    complete(0 if ok else -1, 0 if ok else 28)
    sys.exit(1 if fail == "status" else 0)


if __name__ == "__main__":
    main()
