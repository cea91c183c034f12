"""A guest that looks at its own clock all the time, and knows for how long it could not."""

from tests.xen.conftest import Dom0

#: Looks 50 times a second, without a process of its own for each; the clock has hundredths of a second.
_WATCH = (
    "[ -p /run/wait ] || mkfifo /run/wait; ("
    "read -r up rest < /proc/uptime; last=${up%.*}${up#*.}; most=0; "
    "while :; do read -t 0.02 word <> /run/wait; [ -e /run/gap ] || most=0; "
    "read -r up rest < /proc/uptime; now=${up%.*}${up#*.}; "
    "[ $((now - last)) -le $most ] || { most=$((now - last)); echo $most > /run/gap; }; last=$now; done"
    ") > /dev/null 2>&1 &"
)


def watch(dom0: Dom0, name: str) -> None:
    """Have the guest begin to look."""
    dom0.ask(name, "^sh", f"sh {_WATCH}")


def forget(dom0: Dom0, name: str) -> None:
    """Have the guest forget what it has seen so far."""
    dom0.ask(name, "^sh", "sh rm -f /run/gap")


def longest_gap(dom0: Dom0, name: str) -> float:
    """Return the longest time for which it did not look, in seconds; a tick makes it work, and look late."""
    return int(dom0.ask(name, r"^sh \d+", "sh cat /run/gap").split()[1]) / 100
