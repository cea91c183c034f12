"""This host's processors, as guests have them: which features (libxenguest's CPU policies), and which of them (pins).

Knows how to ask; pyxl.formats.stream.cpu_policy knows what a policy holds.
"""

import ctypes

from pyxl.xen import lib

#: XEN_SYSCTL_get_cpu_policy's index of the most that a PV or HVM guest may have.
_PV_MAX, _HVM_MAX = 2, 3
#: xen_cpuid_leaf_t and xen_msr_entry_t, as a stream's records hold them.
LEAF_BYTES, MSR_BYTES = 24, 16
_HARD_AFFINITY = 1


def max_policy(handle: int, hvm: bool) -> tuple[bytes, bytes]:
    """Return the most that a guest may have of this host's processor, as ``policy_of`` does."""
    return _policy(handle, "xc_cpu_policy_get_system", _HVM_MAX if hvm else _PV_MAX)


def policy_of(handle: int, domid: int) -> tuple[bytes, bytes]:
    """Return a domain's CPUID leaves and MSRs, each laid out as in the record of a stream.

    ``handle`` is libxenctrl's.

    :raise XenError: Xen or its library refuses.
    """
    return _policy(handle, "xc_cpu_policy_get_domain", domid)


def _policy(handle: int, getter: str, whose: int) -> tuple[bytes, bytes]:
    library = lib.load("xenguest")
    pointer, count = ctypes.c_void_p, ctypes.POINTER(ctypes.c_uint32)
    init = lib.declare(library, pointer, "xc_cpu_policy_init")
    destroy = lib.declare(library, None, "xc_cpu_policy_destroy", pointer)
    get_size = lib.declare(library, ctypes.c_int, "xc_cpu_policy_get_size", pointer, count, count)
    get = lib.declare(library, ctypes.c_int, getter, pointer, ctypes.c_uint32, pointer)
    serialise = lib.declare(
        library, ctypes.c_int, "xc_cpu_policy_serialise", pointer, pointer, pointer, count, pointer, count
    )
    leaves, msrs = ctypes.c_uint32(), ctypes.c_uint32()
    lib.check(get_size(handle, ctypes.byref(leaves), ctypes.byref(msrs)), "xc_cpu_policy_get_size")
    leaf_buffer = ctypes.create_string_buffer(leaves.value * LEAF_BYTES)
    msr_buffer = ctypes.create_string_buffer(msrs.value * MSR_BYTES)
    policy = init()
    if not policy:
        raise lib.failed("xc_cpu_policy_init")
    try:
        lib.check(get(handle, whose, policy), getter)
        done = serialise(handle, policy, leaf_buffer, ctypes.byref(leaves), msr_buffer, ctypes.byref(msrs))
        lib.check(done, "xc_cpu_policy_serialise")
    finally:
        destroy(policy)
    return leaf_buffer.raw[: leaves.value * LEAF_BYTES], msr_buffer.raw[: msrs.value * MSR_BYTES]


def pins(handle: int, domid: int, vcpus: int) -> list[list[int]]:
    """Return the CPUs that each vcpu may run on; nothing where all may run on all.  ``handle`` is libxenctrl's.

    :raise XenError: Xen refuses.
    """
    library = lib.load("xenctrl")
    h = ctypes.c_void_p
    count = lib.check(lib.declare(library, ctypes.c_int, "xc_get_max_cpus", h)(handle), "xc_get_max_cpus")
    size = lib.check(lib.declare(library, ctypes.c_int, "xc_get_cpumap_size", h)(handle), "xc_get_cpumap_size")
    ask = lib.declare(
        library, ctypes.c_int, "xc_vcpu_getaffinity", h, ctypes.c_uint32, ctypes.c_int, h, h, ctypes.c_uint32
    )
    found = []
    for vcpu in range(vcpus):
        bits = ctypes.create_string_buffer(size)
        lib.check(ask(handle, domid, vcpu, bits, None, _HARD_AFFINITY), "xc_vcpu_getaffinity", domid)
        found.append([cpu for cpu in range(count) if bits.raw[cpu // 8] >> cpu % 8 & 1])
    return found if any(len(cpus) < count for cpus in found) else []
