"""What processes cost: CPU time and memory, from /proc."""

import collections
import re
import resource
import struct
from pathlib import Path

from lab.process import BIN

# The programs of others that the world has beside the project's own.
FOREIGN = {"charon", "swanctl", "swtpm"}

# An entry of /proc/PID/pagemap (the kernel's Documentation/admin-guide/mm/pagemap.rst)
_PRESENT, _FRAME = 1 << 63, (1 << 55) - 1
_PAGE = resource.getpagesize()


def cpu_seconds(pid):
    """What all threads of a process have run for (its schedstat, in nanoseconds)."""
    total = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        total += int((task / "schedstat").read_text().split()[0])
    return total / 1e9


def _frames(pid):
    """The page frames that a process has in memory, as often as it maps them."""
    frames = []
    with open(f"/proc/{pid}/pagemap", "rb") as pagemap:
        for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
            if line.endswith("[vsyscall]"):
                continue
            start, end = (int(word, 16) // _PAGE for word in line.split()[0].split("-"))
            pagemap.seek(8 * start)
            entries = struct.unpack(f"={end - start}Q", pagemap.read(8 * (end - start)))
            frames += [entry & _FRAME for entry in entries if entry & _PRESENT]
    return frames


def pss_here(processes):
    """{name: kB}: the kernel's Pss (smaps_rollup), which counts a page in part if anybody shares it."""
    found = {}
    for pid, name in processes.items():
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
        found[name] = found.get(name, 0) + int(re.search(r"^Pss:\s+(\d+)", text, re.MULTILINE)[1])
    return found


def pss_alone(processes):
    """{name: kB}: Pss as it is where no other program runs. A page counts in part if several of
    `processes` ({pid: name}) share it, and in full however many others on this machine do."""
    frames = {pid: _frames(pid) for pid in processes}
    sharers = collections.Counter(frame for each in frames.values() for frame in each)
    found = {}
    for pid, name in processes.items():
        share = sum(1 / sharers[frame] for frame in frames[pid])
        found[name] = found.get(name, 0) + share * _PAGE / 1024
    return found


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
    """CPU time by program name, between two looks at a set of processes. A process that has come since
    counts from its beginning; none may have ended."""

    def __init__(self, processes):
        """`processes` yields {pid: name} of those that there are."""
        self.processes = processes
        self.last = {}
        self.lap()

    def lap(self):
        """{name: seconds} since the last call."""
        names = self.processes()
        now, spent = {pid: cpu_seconds(pid) for pid in names}, {}
        for pid, name in names.items():
            spent[name] = spent.get(name, 0) + now[pid] - self.last.get(pid, 0)
        self.last = now
        return spent
