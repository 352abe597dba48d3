"""Searching all that a process has in memory, as a core dump taken by root would show it."""

import functools
import os
import re
import signal
import subprocess
from pathlib import Path

from lab.process import scratch, wait_until


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


def code_in_memory(pid):
    """kB of code and constants that a process has mapped and in memory: nobody may write to them."""
    found, counts = 0, False
    for line in Path(f"/proc/{pid}/smaps").read_text().splitlines():
        if mapping := re.match(r"[0-9a-f]+-[0-9a-f]+ (\S+) \S+ \S+ (\d+)", line):
            counts = "w" not in mapping[1] and mapping[2] != "0"
        elif counts and line.startswith(("Rss:", "Anonymous:")):  # the latter is what was relocated
            found += int(line.split()[1]) * (1 if line.startswith("Rss:") else -1)
    return found


def round_keys(key):
    """AES's key schedule (FIPS 197 5.2): the round keys of an AES-128 `key`, itself not among them."""
    words = [key[at:at + 4] for at in range(0, len(key), 4)]
    constant = 1
    while len(words) < 44:
        word = words[-1]
        if len(words) % 4 == 0:
            word = bytes(_s_box(octet) for octet in word[1:] + word[:1])
            word = bytes([word[0] ^ constant]) + word[1:]
            constant = _twice(constant)
        words.append(bytes(a ^ b for a, b in zip(words[-4], word)))
    return [b"".join(words[at:at + 4]) for at in range(4, 44, 4)]


def _twice(octet):
    return (octet << 1) ^ (0x11b if octet & 0x80 else 0)


def _product(a, b):
    product = 0
    while b:
        product ^= a if b & 1 else 0
        a, b = _twice(a), b >> 1
    return product


@functools.cache
def _s_box(octet):
    """The inverse in GF(2^8), and an affine map over its bits (FIPS 197 5.1.1)."""
    inverse = next((b for b in range(256) if _product(octet, b) == 1), 0)
    turned = [((inverse << n) | (inverse >> (8 - n))) & 0xff for n in range(5)]
    return functools.reduce(lambda a, b: a ^ b, turned) ^ 0x63


EXIT_GROUP = 231  # its number on x86_64


class AtExit:
    """A command that is held when all is done and it is about to exit: its memory can be searched."""

    def __init__(self, argv, environment=()):
        """`environment` is added to its own; see dict()."""
        self.name = Path(argv[0]).name
        self.log = scratch("at-exit") / "strace"
        self.tracer = subprocess.Popen(
            [str(word) for word in ("strace", "-f", "-o", self.log, "-e", "trace=exit_group",
                                    "-e", "inject=exit_group:delay_enter=600s",
                                    *(word for name, value in dict(environment).items()
                                      for word in ("-E", f"{name}={value}")), *argv)],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.pid = wait_until(self._exiting, "the command's end", 30)

    def _exiting(self):
        """The process that is held; strace has others as it starts."""
        children = Path(f"/proc/{self.tracer.pid}/task/{self.tracer.pid}/children")
        for pid in children.read_text().split():
            try:
                if Path(f"/proc/{pid}/syscall").read_text().startswith(f"{EXIT_GROUP} ") and \
                        Path(f"/proc/{pid}/comm").read_text().rstrip() == self.name:
                    return int(pid)
            except OSError:
                pass  # it has ended
        return None

    def stop(self):
        os.kill(self.pid, signal.SIGKILL)
        self.tracer.kill()  # it waits for the delay's end
        self.tracer.wait()
