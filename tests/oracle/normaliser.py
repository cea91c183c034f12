"""A process of its own that reads a config a line and writes it as libxl understands it; runs below the stub."""

import json
import sys

from pyxl.errors import XenError
from pyxl.lab.recipe import suite
from pyxl.xen import lib
from pyxl.xen.light import Libxl
from tests.xen.link import SUITE


def main() -> None:
    major, minor = map(int, suite(SUITE).xen.split("."))
    lib.xen_version = lambda: (major, minor)
    with Libxl("/dev/null") as libxl:
        for line in sys.stdin:
            try:
                answer = json.loads(libxl.normalise(line))
            except (XenError, ValueError) as error:
                answer = str(error)
            print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
