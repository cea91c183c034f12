"""`python -m tests.fuzz.guided DIRECTORY [libFuzzer's options]`: damage guided by code coverage.

Needs atheris (`pip install -e '.[dev,fuzz]'`).  DIRECTORY starts with the files of damage.seeds() and keeps those that
reach new code; `-max_total_time=600` ends it after ten minutes.
"""

import os
import sys
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["pyxl"]):
    from tests.fuzz import damage
    from tests.fuzz.trial import TARGETS, tried


def main() -> None:
    directory = Path(sys.argv[1])
    directory.mkdir(exist_ok=True)
    for name, data in damage.seeds().items():
        (directory / name).write_bytes(data)
    fd = os.memfd_create("damaged")
    path = Path(f"/proc/self/fd/{fd}")

    def one(data: bytes) -> None:
        os.ftruncate(fd, 0)
        os.pwrite(fd, data, 0)
        for target in TARGETS.values():
            tried(target, path)

    atheris.Setup(sys.argv, one)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
