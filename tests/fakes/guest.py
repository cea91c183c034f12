"""A guest whose memory is a dict of pages: HvmDomain and ForeignMemory without a hypervisor."""

import ctypes
import struct

from pyxl.errors import XenError
from pyxl.xen.hvm import HvmDomain

PAGE = 4096
ABSENT, BROKEN = 0xF << 28, 0xD << 28


class FakeGuest:
    """Stands for both HvmDomain and ForeignMemory of one domain; ``calls`` has what was set and populated, in order.

    A gfn in ``broken`` has a page that cannot be used.
    """

    def __init__(self, pages: dict[int, bytes] | None = None, last_gfn: int = 0x3000, room: int = 1 << 20) -> None:
        self.pages = {gfn: bytearray(page) for gfn, page in (pages or {}).items()}
        self.broken: set[int] = set()
        self.calls: list[tuple[object, ...]] = []
        self.superpages = True
        self.room = room
        self._last = last_gfn
        self._mapped: dict[int, tuple[ctypes.Array[ctypes.c_char], list[int], bool]] = {}

    # HvmDomain
    def last_gfn(self) -> int:
        return self._last

    def pages_in_all(self) -> int:
        return len(self.pages)

    def page_types(self, gfns: "ctypes.Array[ctypes.c_char]", count: int) -> None:
        found = [
            BROKEN if gfn in self.broken else 0 if gfn in self.pages else ABSENT
            for gfn in struct.unpack(f"<{count}Q", gfns.raw)
        ]
        gfns.raw = struct.pack(f"<{count}Q", *found)

    def populate(self, gfns: bytes, order: int) -> bool:
        if order and not self.superpages:
            return False
        wanted = [gfn + more for gfn in _numbers(gfns) for more in range(1 << order)]
        assert not self.pages.keys() & set(wanted), "populated twice"
        if len(self.pages) + len(wanted) > self.room:
            return False
        self.calls.append(("populate", wanted[0], len(wanted), order))
        self.pages |= {gfn: bytearray(PAGE) for gfn in wanted}
        return True

    def clear(self, gfn: int) -> None:
        self.calls.append(("clear", gfn))
        self.pages[gfn] = bytearray(PAGE)

    def policy(self) -> tuple[bytes, bytes]:
        return b"leaf" * 12, b"msr entry 16 b.."

    def tsc(self) -> tuple[int, int, int, int]:
        return 1, 2_000_000, 3 << 33, 4

    def context(self) -> bytes:
        return b"context"

    def params(self) -> list[tuple[int, int]]:
        return [(1, 0x2FFC), (17, 0x2FFF), (9, 3)]

    def set_policy(self, leaves: bytes, msrs: bytes) -> None:
        self.calls.append(("policy", leaves, msrs))

    def set_tsc(self, *values: int) -> None:
        self.calls.append(("tsc", *values))

    def set_context(self, context: bytes) -> None:
        self.calls.append(("context", context))

    def set_param(self, index: int, value: int) -> None:
        self.calls.append(("param", index, value))

    def seed_grants(self, console: tuple[int, int], store: tuple[int, int]) -> None:
        self.calls.append(("grants", console, store))

    # ForeignMemory
    def map(self, gfns: bytes, access: int) -> int:
        numbers = _numbers(gfns)
        if missing := [gfn for gfn in numbers if gfn not in self.pages]:
            raise XenError("xenforeignmemory_map", 22, 7, f"gfn {missing[0]:#x}")
        buffer = ctypes.create_string_buffer(b"".join(bytes(self.pages[gfn]) for gfn in numbers), len(numbers) * PAGE)
        address = ctypes.addressof(buffer)
        self._mapped[address] = buffer, numbers, bool(access & 2)
        return address

    def unmap(self, address: int, count: int) -> None:
        buffer, numbers, writes = self._mapped.pop(address)
        assert len(numbers) == count
        if writes:
            data = buffer.raw
            for at, gfn in enumerate(numbers):
                self.pages[gfn][:] = data[at * PAGE : (at + 1) * PAGE]

    @property
    def mapped(self) -> int:
        """How many mappings are left."""
        return len(self._mapped)


def _numbers(gfns: bytes) -> list[int]:
    return list(struct.unpack(f"<{len(gfns) // 8}Q", gfns))


# The engine calls nothing that a fake has not.
assert {name for name in vars(HvmDomain) if not name.startswith("_")} <= set(dir(FakeGuest))
