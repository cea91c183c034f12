"""The findings of a strict check of a checkpoint: where, by which rule, and how bad.

Spec: README.md of this folder has the rules.  Does not know how anything is found.
"""

from enum import Enum
from typing import NamedTuple


class Severity(Enum):
    """How bad a finding is.

    ``BROKEN``: stock restore refuses the file, or it is not what was saved.  ``SUSPICIOUS``: it violates the format
    and no known writer makes it, but stock restore does not look.  ``UNKNOWN``: nothing says whether it is right.
    """

    BROKEN = "broken"
    SUSPICIOUS = "suspicious"
    UNKNOWN = "unknown"


BROKEN, SUSPICIOUS, UNKNOWN = Severity


class Remark(NamedTuple):
    """A finding without its place, which the caller knows."""

    rule: str
    severity: Severity
    text: str


class Finding(NamedTuple):
    """A remark with its place: ``offset`` in bytes from the file's start, ``record`` as "libxc PAGE_DATA"."""

    offset: int
    record: str
    rule: str
    severity: Severity
    text: str

    def __str__(self) -> str:
        return f"{self.severity.value}: {self.record}: {self.text} (at byte {self.offset}, {self.rule})"
