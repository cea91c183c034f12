"""What the message of a failed operation says of a file."""

import pytest

from pyxl.checkpoint.undo import Undo
from pyxl.errors import OperationError


@pytest.mark.parametrize(
    ("failed", "says"),
    [
        (OSError(2, "No such file or directory", "/etc/xen/web1.rom"), "/etc/xen/web1.rom: No such file or directory"),
        (OSError(28, "No space left on device", "/srv/web1"), "No space left on device"),
        (OSError(28, "No space left on device"), "No space left on device"),
    ],
    ids=["another file", "the target", "a descriptor"],
)
def test_a_file_is_named_unless_the_subject_does(failed: OSError, says: str) -> None:
    with pytest.raises(OperationError) as raised, Undo('save 7 "web1" to /srv/web1'):
        raise failed
    assert str(raised.value) == f'save 7 "web1" to /srv/web1: preflight: {says}'
