"""A guide of docs/, followed: its commands are run as they stand there, from the first line to the
last, and what they print is held against what it shows."""

import re
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from lab.network import HENB
from lab.process import LabError, in_namespace, scratch

DOCS = Path(__file__).resolve().parents[3] / "docs"
BENCH = Path(__file__).resolve().parent / "bench" / "enter"
VARIES = "…"
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass
class Step:
    """A block of commands, and the lines that the guide says they print."""

    line: int  # of the guide, where the commands begin
    commands: str
    shown: list = field(default_factory=list)
    printed: str = None  # None until it was run


def read_steps(text):
    """Its blocks marked sh, each with the one marked text that follows."""
    steps = []
    for fence in _FENCE.finditer(text):
        kind, content = fence.groups()
        if kind not in ("sh", "text"):
            raise LabError(f"a block is marked '{kind}', and not sh or text")
        if kind == "sh":
            steps.append(Step(text.count("\n", 0, fence.start()) + 2, content))
        else:
            steps[-1].shown += content.splitlines()
    return steps


def _words(line):
    """The width of a column is of no account."""
    return " ".join(line.split())


def is_printed(shown, printed):
    """Whether a line as the guide shows it, with what varies left out, is among those printed."""
    pattern = ".*".join(re.escape(_words(part)) for part in shown.split(VARIES))
    return any(re.fullmatch(pattern, _words(line)) for line in printed.splitlines())


class Guide:
    def __init__(self, name):
        self.name = name
        self.steps = read_steps((DOCS / name).read_text())

    def follow(self, seconds=120):
        """Runs all commands in one shell. The exit status; `steps` have what was printed."""
        folder = scratch("bench")
        mark = f"--- step {folder.name} "
        script = folder / "script"
        script.write_text("set -e\n" + "".join(
            f"echo '{mark}{number}'\n{step.commands}" for number, step in enumerate(self.steps)))
        # To a file: what the guide leaves running keeps it open.
        log = folder / "log"
        with log.open("wb") as output:
            try:
                status = subprocess.run(
                    in_namespace(HENB, [BENCH, folder, "bash", script]), stdin=subprocess.DEVNULL,
                    stdout=output, stderr=subprocess.STDOUT, timeout=seconds, check=False).returncode
            except subprocess.TimeoutExpired:
                status = f"nothing after {seconds} s"
        for part in log.read_text(errors="replace").split(mark)[1:]:
            number, _, printed = part.partition("\n")
            self.steps[int(number)].printed = printed
        return status

    def differences(self):
        """What it shows and was not printed, by the line of the guide."""
        return [f"{self.name}:{step.line}: does not print: {line}"
                for step in self.steps for line in step.shown
                if line.strip() not in ("", VARIES) and not is_printed(line, step.printed or "")]

    def report(self):
        """All that was run, with what it printed."""
        return "\n".join(f"{self.name}:{step.line}:\n{step.commands}-> {step.printed}"
                         for step in self.steps if step.printed is not None)
