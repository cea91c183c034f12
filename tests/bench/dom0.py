"""Runs in dom0: does a command, and prints as JSON what it took.

    python3 -IS dom0.py [--peak] COMMAND

"wall" and "cpu" are seconds: by the clock, and of all of dom0's processors, as a command does not wait for the device
model's work nor for the kernel's.  "peak" is the most memory in MiB that the command's processes have had together;
looking for it takes time, so it is asked for in a run of its own.
"""

import json
import os
import sys
import time

#: Seconds between two looks at how much memory a command takes.
LOOK_SECONDS = 0.2
#: user, nice, system, irq and softirq of the first line of /proc/stat.
CPU_COLUMNS = (1, 2, 3, 6, 7)


def cpu() -> float:
    """Return the seconds of CPU that dom0 has had since it began."""
    with open("/proc/stat") as stat:
        columns = stat.readline().split()
    return sum(int(columns[column]) for column in CPU_COLUMNS) / os.sysconf("SC_CLK_TCK")


def peak(session: int) -> float:
    """Return the sum of the peaks of those processes of a session that are there, in MiB."""
    total = 0
    for process in os.scandir("/proc"):
        if not process.name.isdigit():
            continue
        try:
            with open(f"{process.path}/stat") as stat:
                if int(stat.read().rpartition(")")[2].split()[3]) != session:
                    continue
            with open(f"{process.path}/status") as status:
                total += sum(int(line.split()[1]) for line in status if line.startswith("VmHWM:"))
        except OSError:
            pass  # it has just ended
    return total / 1024


def main(looks: bool, command: str) -> None:
    """Do the command, and print what it took."""
    said = os.open("/tmp/bench.said", os.O_RDWR | os.O_CREAT | os.O_TRUNC)
    before, started, most = cpu(), time.monotonic(), 0.0
    actions = [(os.POSIX_SPAWN_DUP2, said, 1), (os.POSIX_SPAWN_DUP2, said, 2)]
    pid = os.posix_spawn("/bin/bash", ["bash", "-c", command], os.environ, file_actions=actions, setsid=True)
    while looks and os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) is None:
        most = max(most, peak(pid))
        time.sleep(LOOK_SECONDS)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    wall = time.monotonic() - started
    if status:
        sys.exit(f"status {status}: {os.pread(said, 1 << 16, 0).decode(errors='replace')}")
    print(json.dumps({"wall": wall, "cpu": cpu() - before, "peak": most}))


if __name__ == "__main__":
    main("--peak" in sys.argv[1:-1], sys.argv[-1])
