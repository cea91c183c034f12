"""What moves a guest's memory: libxc, or pyxl's own engine (pyxl/memory/), in words that the save-helper takes.

libxc does it where pyxl's own engine has not been proven.
"""

from pyxl.model import releases

LIBXC = ""
DIRECT = "direct"
ENGINES = {"direct": DIRECT, "libxc": LIBXC}
#: Behind DIRECT: the target has nothing where it is not written to, so zero pages can be left out.
SPARSE = "sparse"


def proven(engine: str, release: str, hvm: bool) -> str:
    """Return ``engine``, or libxc in its place for a kind of domain or a release of Xen on which it was not proven."""
    return engine if hvm and releases.parsed(release)[:2] in releases.ENGINE_PROVEN else LIBXC
