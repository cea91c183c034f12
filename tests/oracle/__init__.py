"""The judge of the parser: Debian's xl and its libxl, run natively, without Xen and without the lab.

Those of the Debian that PYXL_TEST_SUITE names.
"""

import json
import os
import subprocess
import sys
from functools import cache
from tempfile import NamedTemporaryFile
from typing import Any

from tests.oracle.install import ROOT, command, installed
from tests.xen.link import XEN

#: Seconds, some hundred times what it takes: some texts (`cpus="0--3"`) it reads for ever.
TIMEOUT = 2
#: What the stub says that this host has.
HOST_NODES = [0, 0, 1, 1, 2, 2, 3, 3]


def xl(text: bytes | str, conf: str = "") -> dict[str, Any] | str:
    """Return the JSON that `xl create -n` prints for a config, or its messages where it refuses; ``conf`` is xl.conf."""
    with NamedTemporaryFile(suffix=".cfg") as file, NamedTemporaryFile() as conf_file:
        file.write(text.encode() if isinstance(text, str) else text)
        file.flush()
        conf_file.write(conf.encode())
        conf_file.flush()
        argv = command(f"{installed()}{XEN}/bin/xl", "create", "-n", file.name)
        environment = os.environ | {"XL_CONF": conf_file.name}
        try:
            done = subprocess.run(argv, capture_output=True, env=environment, timeout=TIMEOUT)
        except subprocess.TimeoutExpired:
            return "xl does not end"
    said = done.stderr.decode(errors="replace").replace(file.name, "f")
    if done.returncode:
        return said or f"exit status {done.returncode}"
    document: dict[str, Any] = json.loads(done.stdout.decode(errors="replace"))
    return document


def attached(verb: str, words: tuple[str, ...]) -> dict[str, Any]:
    """Return the JSON that `xl -N block-attach` or `network-attach` prints for the words of a device."""
    argv = command(f"{installed()}{XEN}/bin/xl", "-N", verb, "7", *words)
    done = subprocess.run(argv, capture_output=True, timeout=TIMEOUT, check=True, text=True)
    found: dict[str, Any] = json.loads(done.stdout.partition(":")[2])
    return found


def normalise(document: dict[str, Any]) -> dict[str, Any]:
    """Return a config as libxl understands it: without members that are unknown, of a wrong type, or as by default.

    :raise ValueError: libxl does not take it.
    """
    process = _normaliser()
    assert process.stdin and process.stdout
    process.stdin.write(json.dumps(document) + "\n")
    process.stdin.flush()
    answer = json.loads(process.stdout.readline())
    if isinstance(answer, str):
        raise ValueError(answer)
    assert isinstance(answer, dict)
    return answer


@cache
def _normaliser() -> "subprocess.Popen[str]":
    return subprocess.Popen(
        command(sys.executable, "-m", "tests.oracle.normaliser"), cwd=ROOT, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    )  # fmt: skip
