"""Where pyxl differs from xl on purpose: the rows of the table in pyxl/formats/xlcfg/README.md."""

import re

#: The row's first column -> what a config and the difference over it look like.
ROWS = {
    "a slip in a name": r"pyxl refuses: .*did you mean",
    "a number out of range": r"pyxl refuses: .*wants a number from",
    "a MAC that is not six octets": r"pyxl refuses: .*mac is six numbers",
    "the beginning of a name": r'pyxl refuses: .*"(type|builder)" wants one of|"firmware" wants a name or a file',
    "an empty `name`": r"name *\+?= *[\"']{2}\n[^\0]*pyxl refuses: .*the guest has no \"name\"",
    "`^-3` in a list of CPUs": r'pyxl refuses: .*"\^-[0-9]+" is no CPU number',
    "a list within a list": r"pyxl refuses: .*wants a list of strings, not of lists",
    "a string that is not UTF-8": r"pyxl refuses: .*is not UTF-8",
    "`\\101` in a string": r"pyxl refuses: .*a numeric escape",
    "lists 17 deep": r"pyxl refuses: .*lists are nested more than",
    "a comment that ends the file": r"#[^\n]*\nxl refuses: [^\0]*near `#[^\n]*': lexical error",
    "a stray character at the end": r'[^\n]\npyxl refuses: .*(unexpected|carriage return|does not end on its line)|=": (unknown parameter|bad syntax)',
    "`trusted` in a disk": r"disk[^\0]*trusted[^\0]*(xl refuses: .*|pyxl refuses: .*it names no vdev)",
    "`usbdev` without `type=`": r"/usbdevs/\d+[^\0]*type\.hostdev",
    "`pci` with an address that xl reads only in part": (
        r"[\"'=][0-9a-fA-F]+:([0-9a-fA-Fx:+ -]*[,\"'@]|[0-9a-fA-F]*(0x|[ +-])[^,\"']*[:.])[^\0]*pyxl refuses: .*pci "
    ),
    "`ioports` from a higher port to a lower one": r"pyxl refuses: .*ioports .*ports are hexadecimal",
    "`vdispl` with a connector whose size does not begin with a number": r"pyxl refuses: .*vdispl .*a connector is",
    "`vnuma`: `vcpus=` that is no number or range; more distances than nodes": r"pyxl refuses: .*vnuma .*(vcpus|distances)",
    "`firmware` of a PV or PVH guest that begins like `pvgrub32` or `pvgrub64`": (
        r'pyxl refuses: .*"firmware" wants one of pvgrub32, pvgrub64'
    ),
    "a mask of xl.conf (`vm.cpumask`) and a guest without `vcpus`": (
        r"^(?![^\0]*vcpus=)[^\0]*(pyxl refuses: .*(cpumask|CPU masks)|vcpu_hard_affinity/0/0: pyxl \d+, xl None)"
    ),
    "a `p9` without path, tag or security_model": r"pyxl refuses: .*p9 .*it needs",
    "words of COLO in a `vif` or `disk`": r"pyxl refuses: .* is for COLO,",
}


def reason(text: bytes | str, difference: str) -> str | None:
    """Return the row that a difference over a config belongs to; None where it is a mistake."""
    config = text if isinstance(text, str) else text.decode(errors="replace")
    return next((row for row, pattern in ROWS.items() if re.search(pattern, f"{config}\n{difference}")), None)
