"""libxc stream, version 2: a domain's memory and vcpus.

Spec: xen-spec.md 3.  Knows headers, types and lengths; does not look into pages or vcpus.
"""

import struct

IMAGE = struct.Struct(">QIIHHI")  # marker, id, version, options, reserved: big-endian whatever the host
DOMAIN = struct.Struct("<IHHII")  # type, page shift, reserved, Xen major, Xen minor
MARKER = 0xFFFF_FFFF_FFFF_FFFF
IDENT = 0x58454E46
VERSIONS = (2, 3)
OPTION_BIG_ENDIAN = 1
TYPE_PV = 1
TYPE_HVM = 2
PAGE_SHIFT = 12

END = 0x00
PAGE_DATA = 0x01
X86_PV_INFO = 0x02
X86_PV_P2M_FRAMES = 0x03
X86_PV_VCPU_BASIC = 0x04
X86_PV_VCPU_EXTENDED = 0x05
X86_PV_VCPU_XSAVE = 0x06
SHARED_INFO = 0x07
X86_TSC_INFO = 0x08
HVM_CONTEXT = 0x09
HVM_PARAMS = 0x0A
TOOLSTACK = 0x0B
X86_PV_VCPU_MSRS = 0x0C
VERIFY = 0x0D
CHECKPOINT = 0x0E
CHECKPOINT_DIRTY_PFN_LIST = 0x0F
STATIC_DATA_END = 0x10
X86_CPUID_POLICY = 0x11
X86_MSR_POLICY = 0x12
NAMES = dict(
    enumerate(
        "END PAGE_DATA X86_PV_INFO X86_PV_P2M_FRAMES X86_PV_VCPU_BASIC X86_PV_VCPU_EXTENDED X86_PV_VCPU_XSAVE "
        "SHARED_INFO X86_TSC_INFO HVM_CONTEXT HVM_PARAMS TOOLSTACK X86_PV_VCPU_MSRS VERIFY CHECKPOINT "
        "CHECKPOINT_DIRTY_PFN_LIST STATIC_DATA_END X86_CPUID_POLICY X86_MSR_POLICY".split()
    )
)
#: Types that no plain restore takes: retired ones, and those of checkpointed streams.
UNREADABLE = (TOOLSTACK, CHECKPOINT, CHECKPOINT_DIRTY_PFN_LIST)
#: Types with this bit are passed over by readers that do not know them.
OPTIONAL = 0x8000_0000
