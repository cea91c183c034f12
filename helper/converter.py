"""pyxl-convert-legacy: a filter from a legacy stream to a v2 stream, for a restore.

It reads a file that anybody may have made, so it keeps nothing: no descriptors but the standard ones, no rights, little
memory.  A fault goes to standard error: a line that says what is wrong, and a second one that says what to do.
"""

import os
import sys

from pyxl.checkpoint.inflow import Inflow
from pyxl.errors import StreamError
from pyxl.formats.legacy.convert import convert
from pyxl_save_helper import callbacks, confine

#: Address space: 22 MiB measured, and 47 where a stream has the largest blobs that it may.
MEMORY_BYTES = 128 << 20
IN, OUT, ERR = 0, 1, 2
SKIP = "skip-device-state"
USAGE = f"""usage: pyxl-convert-legacy OFFSET [{SKIP}]
Turns the legacy stream on standard input, at byte OFFSET of its file, into a v2 stream on standard output.
Started by pyxl; see helper/README.md."""


def main() -> None:
    """Convert, and exit with status 0 when the stream was whole and nothing followed it."""
    words = sys.argv[1:]
    if not words or not words[0].isdecimal() or words[1:] not in ([], [SKIP]):
        print(USAGE, file=sys.stderr)
        sys.exit(2)
    confine.keep_only()
    confine.become_nobody(MEMORY_BYTES)
    if not confine.end_with_parent():
        sys.exit(callbacks.TOOLSTACK_GONE)
    source = Inflow(IN, int(words[0]))
    try:
        for piece in convert(source, skip_device_state=SKIP in words):
            left = memoryview(piece)
            while left:
                left = left[os.write(OUT, left) :]
        source.end()
    except BrokenPipeError:
        sys.exit(1)  # the reader has given up, and says why
    except StreamError as error:
        os.write(ERR, f"{error}\n{error.hint}".encode())
        sys.exit(1)


if __name__ == "__main__":
    main()
