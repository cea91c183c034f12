"""As a program, the `pyxl restore … /dev/stdin FILE` of one guest: it notes the guest's config in the file UUID.json."""

import json
import os
import sys
from pathlib import Path

#: Names the directory; a guest whose name is in its file FAILS is not built.
VARIABLE = "FAKE_RESTORES"


def main(words: list[str]) -> int:
    config = json.load(sys.stdin)
    place = Path(os.environ[VARIABLE])
    created = config["c_info"]
    if (place / "FAILS").exists() and created["name"] in (place / "FAILS").read_text().split():
        print(f'pyxl: restore {words[-1]} "{created["name"]}": build: it burns', file=sys.stderr)
        return 1
    (place / f"{created['uuid']}.json").write_text(json.dumps(config))
    print(json.dumps({"domid": int(created["name"].rpartition("-")[2]) + 100, "size": 100, "seconds": 0.5, "away": None, "clock": ""}))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
