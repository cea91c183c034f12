"""Save and restore one guest many times: its hash must not change, and dom0 must not grow."""

from dataclasses import dataclass

from tests.xen.faults.runner import GUEST, HOME, Faults

#: The first cycles fill caches, logs and heaps.
WARM_UP = 2
#: MemAvailable is an estimate that varies; a leak of 256 KiB a cycle shows in a hundred.
MEMORY_MIB = 24
FIGURES = """
sync; echo 3 > /proc/sys/vm/drop_caches; sleep 1
awk '/^MemAvailable/ { print int($2 / 1024) }' /proc/meminfo
for p in $(pgrep -f 'xenstored|xenconsoled|qemu-system-i386 -xen-domid|(xl|pyxl) (restore|create) |/pyxl-monitor '); do
    ls /proc/$p/fd; done 2>/dev/null | wc -l
xenstore-ls | wc -l
ls -A /var/lib/xen | wc -l
pgrep -f 'qemu-system|(xl|pyxl) |save-helper|/pyxl-monitor ' | wc -l
"""


@dataclass(frozen=True, slots=True)
class Figures:
    """Figures of dom0 that must not grow; available memory must not shrink."""

    memory_mib: int
    descriptors: int
    xenstore_nodes: int
    files: int
    processes: int

    def grown(self, before: "Figures") -> list[str]:
        """Return what has grown."""
        found = [
            f"{what}: {was} to {now}"
            for what, was, now in (
                ("descriptors", before.descriptors, self.descriptors),
                ("xenstore nodes", before.xenstore_nodes, self.xenstore_nodes),
                ("files in /var/lib/xen", before.files, self.files),
                ("processes", before.processes, self.processes),
            )
            if now > was
        ]
        if before.memory_mib - self.memory_mib > MEMORY_MIB:
            found.append(f"dom0's free memory: {before.memory_mib} to {self.memory_mib} MiB")
        return found


def figures(faults: Faults) -> Figures:
    """Measure dom0."""
    return Figures(*map(int, faults.dom0.run(FIGURES).stdout.split()))


def run(faults: Faults, count: int) -> list[str]:
    """Run ``count`` cycles, and return what is wrong afterwards."""
    bad: list[str] = []
    faults.have_guest("pyxl")
    before = None
    for number in range(count + WARM_UP):
        if number == WARM_UP:
            before = figures(faults)
        faults.dom0.run(f"pyxl save {GUEST} {HOME}/cycle && pyxl restore {HOME}/cycle")
        if faults.dom0.tick(GUEST).hash != faults.hash:
            bad.append(f"cycle {number}: the guest runs on changed memory")
            break
        if number % 10 == 9:
            print(f"cycles: {number + 1} of {count + WARM_UP}", flush=True)
    assert before is not None
    after = figures(faults)
    print(f"before: {before}\nafter:  {after}")
    return bad + after.grown(before)


def table(faults: Faults, count: int) -> int:
    """Print how ``count`` cycles changed dom0, and return how many things are wrong."""
    bad = run(faults, count)
    print(f"{count} cycles: {'; '.join(bad) or 'ok'}")
    return len(bad)
