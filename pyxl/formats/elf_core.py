"""An ELF core of a guest: its memory by physical address, and the registers of each vcpu as a thread.

Spec: the ELF and x86-64 psABI documents, core(5) of Linux.  Knows the layout; does not know where memory comes from.
"""

import struct
from collections.abc import Iterable, Iterator, Mapping

PAGE_SIZE = 4096
EHDR = struct.Struct("<16sHHIQQQIHHHHHH")
PHDR = struct.Struct("<IIQQQQQQ")
SHDR = struct.Struct("<IIQQQQIIQQ")
NOTE = struct.Struct("<III")
ET_CORE, EM_X86_64, PT_LOAD, PT_NOTE, NT_PRSTATUS = 4, 62, 1, 4, 1
#: The number of program headers where it is too large for its field: a section header then has it.
PN_XNUM = 0xFFFF
#: Bytes of program headers that are yielded at once.
_AT_ONCE = 1 << 16
#: struct elf_prstatus of x86-64: pid at byte 32, registers at 112, 336 bytes in all.
_PRSTATUS = struct.Struct("<32xI76x27Q8x")
#: The order of its registers.
REGISTERS = (
    "r15 r14 r13 r12 rbp rbx r11 r10 r9 r8 rax rcx rdx rsi rdi orig_rax rip cs_sel rflags rsp ss_sel fs_base gs_base "
    "ds_sel es_sel fs_sel gs_sel"
).split()


def note(number: int, registers: Mapping[str, int]) -> bytes:
    """Return the note of vcpu ``number``; its thread number is one more, since there is no thread 0."""
    status = _PRSTATUS.pack(number + 1, *(registers.get(name, 0) for name in REGISTERS))
    return NOTE.pack(len("CORE") + 1, len(status), NT_PRSTATUS) + b"CORE\0\0\0\0" + status


def head(count: int, ranges: Iterable[tuple[int, int]], notes: bytes) -> Iterator[bytes]:
    """Yield all that comes before memory, padded to a page; the memory of the ranges then follows in order.

    ``ranges`` yields (gfn, pages) ``count`` times.
    """
    segments = count + 1
    has_section = segments >= PN_XNUM
    notes_at = EHDR.size + PHDR.size * segments + (SHDR.size if has_section else 0)
    memory_at = -(-(notes_at + len(notes)) // PAGE_SIZE) * PAGE_SIZE
    ident = b"\x7fELF" + bytes((2, 1, 1)) + bytes(9)  # 64 bits, little-endian, version 1
    sections = (SHDR.size, 1, 0) if has_section else (0, 0, 0)
    yield EHDR.pack(
        ident, ET_CORE, EM_X86_64, 1, 0, EHDR.size, notes_at - SHDR.size if has_section else 0, 0,
        EHDR.size, PHDR.size, min(segments, PN_XNUM), *sections,
    )  # fmt: skip
    part = PHDR.pack(PT_NOTE, 0, notes_at, 0, 0, len(notes), 0, 0)
    at = memory_at
    for gfn, pages in ranges:
        size = pages * PAGE_SIZE
        part += PHDR.pack(PT_LOAD, 7, at, gfn * PAGE_SIZE, gfn * PAGE_SIZE, size, size, PAGE_SIZE)
        at += size
        if len(part) >= _AT_ONCE:
            yield part
            part = b""
    if has_section:
        part += SHDR.pack(0, 0, 0, 0, 0, 0, 0, segments, 0, 0)
    yield part + notes + bytes(memory_at - notes_at - len(notes))
