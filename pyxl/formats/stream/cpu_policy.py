"""CPU policies: the processor that a guest has seen, and which of its features another host lacks.

Spec: xen-spec.md 3.3, records X86_CPUID_POLICY and X86_MSR_POLICY.  Knows bytes, and which CPUID words hold features.
"""

import struct
from typing import NamedTuple

from pyxl.errors import BadRecord
from pyxl.formats.stream import libxc_v2, libxl_v2, record
from pyxl.formats.stream.record import Take

CPUID, MSR = libxc_v2.X86_CPUID_POLICY, libxc_v2.X86_MSR_POLICY
LEAF = struct.Struct("<6I")  # leaf, subleaf, eax, ebx, ecx, edx
ENTRY = struct.Struct("<IIQ")  # index, flags, value
#: Xen 4.22 has some 120 leaves and 10 MSRs; this is what pyxl takes from a file.
MAX_BODY = 64 << 10
NO_SUBLEAF = 0xFFFF_FFFF
REGISTERS = ("eax", "ebx", "ecx", "edx")
PLATFORM_INFO = 0xCE

_1D = (
    "fpu vme de pse tsc msr pae mce cx8 apic - sep mtrr pge mca cmov pat pse36 - clflush - ds acpi mmx fxsr sse sse2 "
    "ss htt tm - pbe"
)
_1C = (
    "sse3 pclmulqdq dtes64 monitor dscpl vmx smx est tm2 ssse3 - sdbg fma cx16 xtpr pdcm - pcid dca sse4.1 sse4.2 "
    "x2apic movbe popcnt tsc-deadline aesni xsave - avx f16c rdrand hypervisor"
)
_E1D = "- - - - - - - - - - - syscall - - - - - - - - nx - mmxext - - ffxsr page1gb rdtscp - lm 3dnowext 3dnow"
_E1C = (
    "lahf-lm cmp-legacy svm extapic cr8-legacy abm sse4a misalignsse 3dnowprefetch osvw ibs xop skinit wdt - lwp "
    "fma4 - - nodeid - tbm topoext - - - dbext - - monitorx"
)
_7B = (
    "fsgsbase tsc-adjust sgx bmi1 hle avx2 - smep bmi2 erms invpcid rtm pqm - mpx pqe avx512f avx512dq rdseed adx smap "
    "avx512-ifma - clflushopt clwb proc-trace avx512pf avx512er avx512cd sha avx512bw avx512vl"
)
_7C = (
    "prefetchwt1 avx512-vbmi umip pku - waitpkg avx512-vbmi2 cet-ss gfni vaes vpclmulqdq avx512-vnni avx512-bitalg - "
    "avx512-vpopcntdq - la57 - - - - - rdpid - - cldemote - movdiri movdir64b enqcmd"
)
_7D = (
    "- - avx512-4vnniw avx512-4fmaps fsrm - - - avx512-vp2intersect srbds-ctrl md-clear - - - serialize - tsxldtrk - "
    "pconfig - cet-ibt - amx-bf16 avx512-fp16 amx-tile amx-int8 ibrsb stibp l1d-flush arch-caps core-caps ssbd"
)
#: Bits of leaf 1 edx that AMD's processors repeat; Xen repeats them for a guest, but not for a host.
_REPEATED = 0x0183_F3FF
#: The words that hold features, as (leaf, subleaf, register): names of their bits, and bits that a host may lack:
#: they describe topology or something missing, follow the guest's kernel, are emulated or repeated.
FEATURES: dict[tuple[int, int, int], tuple[str, int]] = {
    (1, NO_SUBLEAF, 3): (_1D, 1 << 28),
    (1, NO_SUBLEAF, 2): (_1C, 1 << 21 | 1 << 27),
    (7, 0, 1): (_7B, 1 << 6 | 1 << 13),
    (7, 0, 2): (_7C, 1 << 4),
    (7, 0, 3): (_7D, 1 << 11),
    (7, 1, 0): ("sha512 sm3 sm4 - avx-vnni avx512-bf16", 0),
    (7, 1, 3): ("", 0),
    (0xD, 1, 0): ("xsaveopt xsavec xgetbv1 xsaves", 0),
    (0x8000_0001, NO_SUBLEAF, 3): (_E1D, _REPEATED),
    (0x8000_0001, NO_SUBLEAF, 2): (_E1C, 1 << 1),
    (0x8000_0007, NO_SUBLEAF, 3): ("- - - - - - - - itsc", 0),
    (0x8000_0008, NO_SUBLEAF, 1): ("clzero - rstr-fp-err-ptrs - - - - - - wbnoinvd - - ibpb - ibrs amd-stibp", 0),
    (0x8000_0021, NO_SUBLEAF, 0): ("", 0),
}
#: Words that hold the highest leaves: Xen takes no guest that has seen more leaves than its host has.
LIMITS = ((0, NO_SUBLEAF), (7, 0), (0x8000_0000, NO_SUBLEAF))


class CpuPolicy(NamedTuple):
    """CPUID as (leaf, subleaf): (eax, ebx, ecx, edx), and MSRs by their index."""

    leaves: dict[tuple[int, int], tuple[int, ...]]
    msrs: dict[int, int]

    def word(self, leaf: int, subleaf: int, register: int) -> int:
        return self.leaves.get((leaf, subleaf), (0, 0, 0, 0))[register]


def decode(leaves: bytes, msrs: bytes) -> CpuPolicy:
    """Return the policy in the bodies of the two records; like Xen, ignore a rest at their ends."""
    whole = leaves[: len(leaves) // LEAF.size * LEAF.size]
    entries = msrs[: len(msrs) // ENTRY.size * ENTRY.size]
    return CpuPolicy(
        {(leaf, subleaf): tuple(words) for leaf, subleaf, *words in LEAF.iter_unpack(whole)},
        {index: value for index, _, value in ENTRY.iter_unpack(entries)},
    )


def of_stream(take: Take, offset: int) -> tuple[bool, CpuPolicy] | None:
    """Return whether the guest is HVM, and its policy, from the head of a libxl stream; None where it has none.

    ``offset`` is where the stream starts in the file.  A stream of Xen before 4.14 has none.

    :raise StreamError: the stream ends early, or a policy is longer than any can be.
    """
    take(libxl_v2.HEADER.size + record.HEADER.size)
    _, _, version, _, _, _ = libxc_v2.IMAGE.unpack(take(libxc_v2.IMAGE.size))
    kind, *_ = libxc_v2.DOMAIN.unpack(take(libxc_v2.DOMAIN.size))
    offset += libxl_v2.HEADER.size + record.HEADER.size + libxc_v2.IMAGE.size + libxc_v2.DOMAIN.size
    if version < libxc_v2.VERSIONS[-1]:
        return None
    bodies: dict[int, bytes] = {}
    while True:
        number, length = record.read_header(take, offset)
        if number not in (CPUID, MSR):
            break
        if length > MAX_BODY:
            raise BadRecord(f"CPU policy of {length} bytes", offset)
        bodies[number] = take(length + record.padding(length))[:length]
        offset += record.HEADER.size + length + record.padding(length)
    if CPUID not in bodies:
        return None
    return kind == libxc_v2.TYPE_HVM, decode(bodies[CPUID], bodies.get(MSR, b""))


def lacking(guest: CpuPolicy, host: CpuPolicy) -> list[str]:
    """Return the features that ``guest`` has seen and ``host`` lacks, by name: "avx2", or "CPUID 0x7.0 ebx bit 23"."""
    missing = []
    for (leaf, subleaf, register), (names, ignored) in FEATURES.items():
        word = guest.word(leaf, subleaf, register) & ~host.word(leaf, subleaf, register) & ~ignored
        known = names.split()
        for bit in (bit for bit in range(32) if word >> bit & 1):
            named = bit < len(known) and known[bit] != "-"
            missing.append(known[bit] if named else f"CPUID {_place(leaf, subleaf)} {REGISTERS[register]} bit {bit}")
    for leaf, subleaf in LIMITS:
        if (top := guest.word(leaf, subleaf, 0)) > host.word(leaf, subleaf, 0):
            missing.append(f"CPUID up to {top:#x} in {_place(leaf, subleaf)} eax")
    if guest.msrs.get(PLATFORM_INFO, 0) & ~host.msrs.get(PLATFORM_INFO, 0):
        missing.append("cpuid-faulting")
    return missing


def _place(leaf: int, subleaf: int) -> str:
    return f"{leaf:#x}" if subleaf == NO_SUBLEAF else f"{leaf:#x}.{subleaf}"
