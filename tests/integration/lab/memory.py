"""Searching all that a process has in memory, as a core dump taken by root would show it."""

import re


def search(pid, needles):
    """Which `needles` ({name: octets}) stand in the memory of `pid`, and how much was read."""
    found, total = set(), 0
    with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
        for line in maps:
            start, end, rights = re.match(r"([0-9a-f]+)-([0-9a-f]+) (\S+)", line).groups()
            if not rights.startswith("r") or line.rstrip().endswith(("[vvar]", "[vsyscall]")):
                continue
            image = _read(memory, int(start, 16), int(end, 16))
            total += len(image)
            found.update(name for name, octets in needles.items() if octets in image)
    return found, total


def _read(memory, start, end):
    image = bytearray()
    memory.seek(start)
    while start + len(image) < end:
        try:
            piece = memory.read(end - start - len(image))
        except OSError:
            break  # a guard page, or beyond the end of a mapped file
        if not piece:
            break
        image += piece
    return bytes(image)


def executable_maps(pid):
    """The files mapped into `pid`."""
    with open(f"/proc/{pid}/maps") as maps:
        return {fields[5] for fields in (line.split() for line in maps) if len(fields) > 5}


def status(pid):
    """/proc/PID/status as a dictionary."""
    with open(f"/proc/{pid}/status") as lines:
        return dict(line.rstrip("\n").split(":\t", 1) for line in lines if ":\t" in line)
