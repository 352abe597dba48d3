"""What processes cost: CPU time and memory, from /proc."""

import re
from pathlib import Path

from lab.process import BIN

# The programs of others that the world has beside the project's own.
FOREIGN = {"charon", "swanctl", "swtpm"}


def cpu_seconds(pid):
    """What all threads of a process have run for (its schedstat, in nanoseconds)."""
    total = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        total += int((task / "schedstat").read_text().split()[0])
    return total / 1e9


def pss_kilobytes(pid):
    """Memory, pages that are shared counted in part (smaps_rollup)."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return int(re.search(r"^Pss:\s+(\d+) kB", text, re.MULTILINE)[1])


def own_processes():
    """{pid: name} of every process of this world that runs a program of the project."""
    found = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            program = (entry / "exe").readlink()
        except OSError:  # it has just ended
            continue
        if program.parent == BIN and program.name not in FOREIGN:
            found[int(entry.name)] = program.name
    return found


class CpuMeter:
    """CPU time by program name, between two looks at a set of processes."""

    def __init__(self, processes):
        self.processes = processes
        self.last = self._look()

    def _look(self):
        return {pid: cpu_seconds(pid) for pid in self.processes}

    def lap(self):
        """{name: seconds} since the last call."""
        now, spent = self._look(), {}
        for pid, name in self.processes.items():
            spent[name] = spent.get(name, 0) + now[pid] - self.last[pid]
        self.last = now
        return spent
