"""extract returns the guest's own memory and registers, as Xen shows them."""

from tests.xen.conftest import PLACE, Dom0
from tests.xen.link import XEN

FILE, RAW, CORE = f"{PLACE}/checkpoint", f"{PLACE}/raw", f"{PLACE}/core"

#: Counts the pages below 128 MiB that are the same in the guest and in the file, and those that differ.
COMPARE = """
import ctypes, sys
domid, raw = int(sys.argv[1]), open(sys.argv[2], "rb")
lib = ctypes.CDLL("libxenforeignmemory.so.1")
lib.xenforeignmemory_open.restype = lib.xenforeignmemory_map.restype = ctypes.c_void_p
lib.xenforeignmemory_open.argtypes = [ctypes.c_void_p, ctypes.c_uint]
lib.xenforeignmemory_map.argtypes = [ctypes.c_void_p, ctypes.c_uint32, ctypes.c_int, ctypes.c_size_t] + [ctypes.c_void_p] * 2
lib.xenforeignmemory_unmap.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t]
handle = lib.xenforeignmemory_open(None, 0)
same = different = 0
for first in range(0, 1 << 15, 256):
    errors = (ctypes.c_int * 256)()
    at = lib.xenforeignmemory_map(handle, domid, 1, 256, (ctypes.c_uint64 * 256)(*range(first, first + 256)), errors)
    for number, error in enumerate(errors):
        if not error:
            raw.seek((first + number) * 4096)
            equal = ctypes.string_at(at + number * 4096, 4096) == raw.read(4096)
            same, different = same + equal, different + (not equal)
    lib.xenforeignmemory_unmap(handle, at, 256)
print(same, different)
"""

#: Prints the rip of each thread in a core, and compares the core's segments with raw memory.
READ_CORE = """
import struct, sys
core, raw = open(sys.argv[1], "rb"), open(sys.argv[2], "rb")
head = core.read(64)
note, *loads = struct.iter_unpack("<IIQQQQQQ", core.read(56 * struct.unpack_from("<H", head, 56)[0]))
for _, _, at, _, address, size, _, _ in loads:
    core.seek(at)
    raw.seek(address)
    for _ in range(size >> 12):
        assert core.read(4096) == raw.read(4096), hex(address)
core.seek(note[2])
notes = core.read(note[5])
print(*[hex(struct.unpack_from("<Q", notes, start + 20 + 112 + 128)[0]) for start in range(0, len(notes), 356)])
"""


def test_memory_and_registers_are_the_guest_s_own(dom0: Dom0) -> None:
    dom0.wake("tick")
    dom0.pyxl(f"save -p tick {FILE}")
    dom0.pyxl(f"extract --memory raw -o {RAW} {FILE}")
    same, different = map(int, dom0.run(f"python3 -c '{COMPARE}' {dom0.domid('tick')} {RAW}").stdout.split())
    # xenstored, the console and qemu still write, each to its own page.
    assert same > 32_000 and different <= 16
    dom0.pyxl(f"extract --memory elf -o {CORE} {FILE}")
    rip = dom0.run(f"python3 -c '{READ_CORE}' {CORE} {RAW}").stdout.strip()
    shown = dom0.run(f"{XEN}/bin/xenctx {dom0.domid('tick')} 0 2>&1").stdout
    assert int(rip, 16) and rip[2:] in shown
