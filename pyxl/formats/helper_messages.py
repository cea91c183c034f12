"""The messages between a toolstack and its save-helper, as one table that both programs use.

Spec: xen-spec.md 5.2 and 5.3 (libxl_save_msgs_gen.pl), unchanged from Xen 4.14 to 4.22.
Imports struct alone: every save and restore waits for the helper's start-up.
"""

import struct

# number, name, arguments (I u32, i i32, Q u64, s string), waits for a reply
TABLE = (
    (1, "log", "Iiss", False),  # level, errno or -1, context, text
    (2, "progress", "ssQQ", False),  # context, doing what, done, total
    (3, "suspend", "", True),
    (4, "postcopy", "", True),
    (5, "checkpoint", "", True),
    (6, "wait_checkpoint", "", True),
    (7, "switch_qemu_logdirty", "II", True),  # domid, enable
    (8, "static_data_done", "I", True),  # missing: 1 CPUID, 2 MSR
    (9, "restore_results", "QQ", False),  # store gfn, console gfn
    (10, "complete", "ii", True),  # return value, errno
)
NUMBER = {name: number for number, name, _, _ in TABLE}
WAITS = frozenset(name for _, name, _, waits in TABLE if waits)
_BY_NUMBER = {number: (name, arguments) for number, name, arguments, _ in TABLE}
_ARGUMENTS = {name: arguments for _, name, arguments, _ in TABLE}

LENGTH = struct.Struct("<H")
REPLY = struct.Struct("<i")

Value = int | str


def callback_flags(*names: str) -> int:
    """Return the CBFLAGS word that announces these callbacks on the helper's command line."""
    return sum(1 << NUMBER[name] for name in names)


def encode(name: str, *values: Value) -> bytes:
    """Return one message with its length in front; a string that is too long is cut."""
    parts = [LENGTH.pack(NUMBER[name])]
    for code, value in zip(_ARGUMENTS[name], values, strict=True):
        if code == "s":
            text = str(value).encode("utf-8", "replace")[:16384] + b"\0"
            parts.append(struct.pack("<I", len(text)) + text)
        else:
            parts.append(struct.pack("<" + code, value))
    body = b"".join(parts)
    return LENGTH.pack(len(body)) + body


def decode(body: bytes) -> tuple[str, list[Value]]:
    """Return the name and the values of a message without its length.

    :raise ValueError: it is not in the table, or its arguments do not fill it.
    """
    try:
        (number,) = LENGTH.unpack_from(body)
        name, arguments = _BY_NUMBER[number]
        offset = LENGTH.size
        values: list[Value] = []
        for code in arguments:
            if code == "s":
                (size,) = struct.unpack_from("<I", body, offset)
                offset += 4
                if size > len(body) - offset:
                    raise ValueError("string beyond the end")
                values.append(body[offset : offset + size].rstrip(b"\0").decode("utf-8", "replace"))
                offset += size
            else:
                values.append(struct.unpack_from("<" + code, body, offset)[0])
                offset += struct.calcsize("<" + code)
    except (struct.error, KeyError) as error:
        raise ValueError(f"not a helper message: {body[:16].hex()}") from error
    if offset != len(body):
        raise ValueError(f"message {name} has {len(body) - offset} bytes too many")
    return name, values
