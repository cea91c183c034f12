"""What a process still has once it has confined itself as the save-helper does; needs no Xen."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from pyxl_save_helper import confine

ROOT = Path(__file__).parents[2]
HELD = "for name in ('status', 'limits'): print(open('/proc/self/' + name).read())"
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root has capabilities to drop")


def confined(code: str, *fds: int, before: str = "", **environment: str) -> str:
    """Run ``code`` in a bare Python that inherits these descriptors, and return its output."""
    lines = f"import os, sys; sys.path.insert(0, {str(ROOT)!r}); from pyxl_save_helper import confine; {before}\n{code}"
    done = subprocess.run(
        [sys.executable, "-ISc", lines], capture_output=True, text=True, pass_fds=fds, env={**os.environ, **environment},
        check=True,
    )  # fmt: skip
    return done.stdout


def test_of_what_it_inherits_it_keeps_what_it_was_told() -> None:
    pipes = os.pipe() + os.pipe()
    listed = "print([fd for fd in range(64) if os.path.exists(f'/proc/self/fd/{fd}')])"
    for kept in ((pipes[1], -1), (pipes[3], pipes[0])):
        said = confined(f"confine.keep_only({kept[0]}, {kept[1]}); {listed}", *pipes)
        assert said == f"{sorted({0, 1, 2, *kept} - {-1})}\n"
    for fd in pipes:
        os.close(fd)


@needs_root
def test_rights_and_limits() -> None:
    said = confined(f"confine.keep_only(1, -1); confine.limit(1 << 20)\n{HELD}")
    assert re.search(r"NoNewPrivs:\s+1", said)
    assert re.findall(r"Cap(?:Prm|Eff|Inh):\s+(\w+)", said) == ["0000000000000000", "0000000000004000", "0000000000004000"]
    assert f" {confine.BASE_BYTES + (confine.BYTES_PER_PAGE << 20)} " in said
    assert re.search(r"Max core file size +0 +0 ", said)


@needs_root
def test_memory_beyond_the_limit_is_not_had_and_a_lower_limit_stays() -> None:
    code = "confine.limit(0)\ntry: bytearray({size})\nexcept MemoryError: print('none')"
    assert confined(code.format(size=600 << 20)) == "none\n"
    assert confined(code.format(size=100 << 20)) == ""
    lower = "import resource; resource.setrlimit(resource.RLIMIT_AS, (64 << 20, 128 << 20))"
    assert confined(code.format(size=100 << 20), before=lower) == "none\n"


@needs_root
def test_who_becomes_nobody_has_no_rights_and_little_memory() -> None:
    code = f"confine.keep_only(); confine.become_nobody(64 << 20)\n{HELD}\nprint(os.getgroups())"
    said = confined(code + "\ntry: bytearray(64 << 20)\nexcept MemoryError: print('none')")
    assert re.findall(r"[UG]id:\s+(\d+)\s+(\d+)\s+(\d+)\s+(\d+)", said) == [("65534",) * 4] * 2
    assert re.findall(r"Cap(?:Prm|Eff|Amb):\s+(\w+)", said) == ["0000000000000000"] * 3
    assert re.search(r"NoNewPrivs:\s+1", said)
    assert said.endswith("[]\nnone\n")


def test_it_ends_with_its_toolstack_only_where_that_asked() -> None:
    code = "print(confine.end_with_parent())"
    assert confined(code) == "True\n"
    assert confined(code, PYXL_SAVE_HELPER_PARENT=str(os.getpid())) == "True\n"
    assert confined(code, PYXL_SAVE_HELPER_PARENT="1") == "False\n"
