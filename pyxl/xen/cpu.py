"""libxenguest's CPU policies: which features of this host's processor a guest may have.

Knows how to ask; pyxl.formats.stream.cpu_policy knows what a policy holds.
"""

import ctypes

from pyxl.xen import lib

#: XEN_SYSCTL_get_cpu_policy's index of the most that a PV or HVM guest may have.
_PV_MAX, _HVM_MAX = 2, 3
#: xen_cpuid_leaf_t and xen_msr_entry_t, as a stream's records hold them.
_LEAF_BYTES, _MSR_BYTES = 24, 16


def max_policy(handle: int, hvm: bool) -> tuple[bytes, bytes]:
    """Return CPUID leaves and MSRs, each laid out as in the record of a stream; ``handle`` is libxenctrl's.

    :raise XenError: Xen or its library refuses.
    """
    library = lib.load("xenguest")
    pointer, count = ctypes.c_void_p, ctypes.POINTER(ctypes.c_uint32)
    init = lib.declare(library, pointer, "xc_cpu_policy_init")
    destroy = lib.declare(library, None, "xc_cpu_policy_destroy", pointer)
    get_size = lib.declare(library, ctypes.c_int, "xc_cpu_policy_get_size", pointer, count, count)
    get_system = lib.declare(library, ctypes.c_int, "xc_cpu_policy_get_system", pointer, ctypes.c_uint, pointer)
    serialise = lib.declare(
        library, ctypes.c_int, "xc_cpu_policy_serialise", pointer, pointer, pointer, count, pointer, count
    )
    leaves, msrs = ctypes.c_uint32(), ctypes.c_uint32()
    lib.check(get_size(handle, ctypes.byref(leaves), ctypes.byref(msrs)), "xc_cpu_policy_get_size")
    leaf_buffer = ctypes.create_string_buffer(leaves.value * _LEAF_BYTES)
    msr_buffer = ctypes.create_string_buffer(msrs.value * _MSR_BYTES)
    policy = init()
    if not policy:
        raise lib.failed("xc_cpu_policy_init")
    try:
        lib.check(get_system(handle, _HVM_MAX if hvm else _PV_MAX, policy), "xc_cpu_policy_get_system")
        done = serialise(handle, policy, leaf_buffer, ctypes.byref(leaves), msr_buffer, ctypes.byref(msrs))
        lib.check(done, "xc_cpu_policy_serialise")
    finally:
        destroy(policy)
    return leaf_buffer.raw[: leaves.value * _LEAF_BYTES], msr_buffer.raw[: msrs.value * _MSR_BYTES]
