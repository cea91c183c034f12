"""What the message of a failed operation says of a file."""

import pytest

from pyxl.checkpoint.undo import Undo
from pyxl.errors import OperationError


@pytest.mark.parametrize(
    ("failed", "says"),
    [
        (OSError(2, "No such file or directory", "/etc/xen/web1.rom"), "/etc/xen/web1.rom: No such file or directory"),
        (OSError(5, "Input/output error", "/srv/web1"), "Input/output error"),
        (OSError(28, "No space left on device"), "No space left on device"),
    ],
    ids=["another file", "the checkpoint", "a descriptor"],
)
def test_a_file_is_named_unless_the_subject_does(failed: OSError, says: str) -> None:
    with pytest.raises(OperationError) as raised, Undo('restore /srv/web1 "web1"'):
        raise failed
    assert str(raised.value) == f'restore /srv/web1 "web1": preflight: {says}'
