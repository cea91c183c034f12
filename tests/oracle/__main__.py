"""`python -m tests.oracle`: every comparison with xl, in full; minutes."""

import sys
from collections import Counter

from tests.oracle.compare import unexplained
from tests.oracle.suites import SUITES, pairs


def main() -> int:
    failed = 0
    for name in SUITES:
        seen: Counter[str] = Counter()
        for text, conf in pairs(name, whole=True):
            if what := unexplained(text, seen, conf):
                failed += 1
                print(f"{name}: {text!r} {conf!r}\n    {what}")
        print(f"{name}: " + ", ".join(f"{count} {what}" for what, count in seen.items()), flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
