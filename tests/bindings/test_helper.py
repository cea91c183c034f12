"""pyxl-save-helper waits for its stream, and ends where none comes."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
#: Takes the stream in the place of descriptor 9, and a table if there is one, and writes to both.
CODE = """
import os
from pyxl_save_helper.__main__ import take_stream
os.dup2(1, 9)
numbers = [9, -1, 7]
words = take_stream(numbers)
assert numbers[0] == 9 and numbers[2:] == [7]
os.write(9, words.encode())
if numbers[1] != -1:
    os.write(numbers[1], words.encode())
"""


@pytest.mark.parametrize(("comes", "tables"), [(True, 0), (True, 1), (False, 0)])
def test_the_stream_comes_later(comes: bool, tables: int) -> None:
    toolstack, its = socket.socketpair()
    read, write = os.pipe()
    helper = subprocess.Popen([sys.executable, "-c", CODE], stdin=its.fileno(), stdout=subprocess.DEVNULL, cwd=ROOT)
    its.close()
    if comes:
        socket.send_fds(toolstack, [b"page\n"], [write] * (1 + tables))
    os.close(write)
    toolstack.close()
    assert helper.wait() == (0 if comes else 254)
    assert os.read(read, 10) == (b"page" * (1 + tables) if comes else b"")
    os.close(read)
