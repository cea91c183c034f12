"""pyxl-save-helper waits for its stream, and ends where none comes."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
#: Takes the stream in the place of descriptor 9, and writes to it.
CODE = "import os; from pyxl_save_helper.__main__ import take_stream; os.dup2(1, 9); os.write(9, take_stream(9).encode())"


@pytest.mark.parametrize("comes", [True, False])
def test_the_stream_comes_later(comes: bool) -> None:
    toolstack, its = socket.socketpair()
    read, write = os.pipe()
    helper = subprocess.Popen([sys.executable, "-c", CODE], stdin=its.fileno(), stdout=subprocess.DEVNULL, cwd=ROOT)
    its.close()
    if comes:
        socket.send_fds(toolstack, [b"page\n"], [write])
    os.close(write)
    toolstack.close()
    assert os.read(read, 4) == (b"page" if comes else b"")
    assert helper.wait() == (0 if comes else 254)
    os.close(read)
