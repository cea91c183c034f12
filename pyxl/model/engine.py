"""What moves a guest's memory: libxc, or pyxl's own engine (pyxl/memory/), in words that the save-helper takes.

The helper leaves all to libxc where its own engine has not been proven.
"""

LIBXC = ""
DIRECT = "direct"
ENGINES = {"direct": DIRECT, "libxc": LIBXC}
#: Behind DIRECT: the target has nothing where it is not written to, so zero pages can be left out.
SPARSE = "sparse"
