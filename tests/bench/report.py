"""What was measured, held against the goals: a table, its data, and plots."""

import json
import re
import statistics
from dataclasses import dataclass

import plots
from lab.process import LabError

RATIOS = {"p256": 0.65, "rsa": 0.65, "start": 0.5, "cpu": 0.7, "pss": 0.65}
OVER_FLOOR = 1.05  # of what a connect with a slow TPM can't do without
WAITED = 1  # TPM commands
DATA = "bench.json"


@dataclass
class Line:
    """One line of the table. `reached` is None where there is no goal."""

    figure: str
    ours: str
    strongswan: str = ""
    compared: str = ""
    goal: str = ""
    reached: bool = None

    def verdict(self):
        return {None: "", True: "yes", False: "**no**"}[self.reached]

    def cells(self):
        return (self.figure, self.ours, self.strongswan, self.compared, self.goal, self.verdict())


HEADING = Line("figure", "ours", "strongSwan", "ours / strongSwan", "goal")


def spread(values, unit=""):
    """The median, and the range."""
    return (f"{statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f}){unit}"
            if values else "none")


def ratio_line(figure, ours, strongswan, goal, unit):
    """A line whose goal is a ratio of medians."""
    if not ours or not strongswan:
        return Line(figure, spread(ours, unit), spread(strongswan, unit), "", f"{goal}", False)
    ratio = statistics.median(ours) / statistics.median(strongswan)
    return Line(figure, spread(ours, unit), spread(strongswan, unit), f"{ratio:.2f}", f"{goal}",
                ratio <= goal)


def summed(by_name, leave_out=()):
    """Sums over processes, sample by sample."""
    return [sum(each) for each in zip(*(values for name, values in by_name.items()
                                        if name not in leave_out))]


def parts(by_name):
    """Medians by process, of those that are several."""
    return ", ".join(f"{name} {statistics.median(values):.2f}" for name, values in by_name.items())


def failures(found):
    total = {name: len(found[name]["ms"]) + found[name]["failed"] for name in found}
    return Line("…, of which failed", *(f"{found[name]['failed']} of {total[name]}"
                                        for name in ("Ours", "Strongswan")))


def connect_lines(found, figure, goal):
    ours, theirs = found["Ours"], found["Strongswan"]
    cpu = ours["cpu"]
    return [
        ratio_line(f"connect to tunnel up, {figure}", ours["ms"], theirs["ms"], goal, " ms"),
        failures(found),
        ratio_line(f"CPU a handshake and its Delete, {figure}", summed(cpu, ["dbus-daemon"]),
                   summed(theirs["cpu"]), RATIOS["cpu"], " ms"),
        Line("…, each process", parts(cpu) + " ms", parts(theirs["cpu"]) + " ms"),
    ]


def start_lines(found):
    return [ratio_line("start of the daemons to tunnel up", found["Ours"]["ms"],
                       found["Strongswan"]["ms"], RATIOS["start"], " ms"),
            failures(found)]


def memory_lines(found):
    sides = [found[side] for side in ("Ours", "Strongswan")]

    def megabytes(look):
        return [{name: [each / 1024 for each in values] for name, values in side[look].items()}
                for side in sides]

    alone, here = megabytes("alone"), megabytes("here")
    return [ratio_line("Pss, tunnel up for 5 s, nobody else on the machine", *map(summed, alone),
                       RATIOS["pss"], " MB"),
            Line("…, each process", *(f"{parts(side)} MB" for side in alone)),
            Line("…, Pss as the kernel has it, shared with whatever runs here",
                 *(spread(summed(side), " MB") for side in here))]


def floor_ms(connect, rtt_ms):
    """What a connect can't do without: two round trips, one TPM2_Sign, and the SeGW."""
    return 2 * rtt_ms + connect["sign_ms"] + connect["segw_ms"]


def slow_lines(found):
    sides = [found[name] for name in ("Ours", "Strongswan")]
    over = [[each["ms"] / floor_ms(each, side["rtt_ms"]) for each in side["idle"]]
            for side in sides]
    waited = [[each["waited"] for each in side["idle"]] for side in sides]
    starts = sides[0]["starts"]
    twice = sorted({name for each in starts + sides[0]["idle"] for name in each["twice"]})
    # No command was waited for before IKE_SA_INIT went out, and the TPM worked while it was away, or
    # had nothing to prepare: the session of the self-test's signature serves a key without a policy.
    early = all(each["before_request_ms"] < each["sign_ms"] for each in starts)
    overlap = [each["overlap_ms"] for each in starts]
    prepared = all(each["waited"] <= WAITED for each in starts)
    return [
        Line("100 ms a TPM command, 20 ms path, after an idle second",
             spread([each["ms"] for each in sides[0]["idle"]], " ms"),
             spread([each["ms"] for each in sides[1]["idle"]], " ms")),
        Line("…, over 2 RTT + one command + the SeGW's time", spread(over[0]), spread(over[1]), "",
             f"{OVER_FLOOR}", statistics.median(over[0]) <= OVER_FLOOR),
        Line("…, TPM commands waited for", spread(waited[0]), spread(waited[1]), "", f"{WAITED}",
             max(waited[0]) <= WAITED),
        Line("the same straight after start", spread([each["ms"] for each in starts], " ms"),
             f"{sides[1]['starts'][0]['ms']:.2f} ms"),
        Line("…, TPM at work during IKE_SA_INIT", spread(overlap, " ms"), "", "",
             "what there is to prepare overlaps", early and (prepared or min(overlap) > 0)),
        Line("…, until the IKE_SA_INIT request", spread([each["before_request_ms"]
                                                         for each in starts], " ms")),
        Line("…, TPM commands waited for", spread([each["waited"] for each in starts]),
             f"{sides[1]['starts'][0]['waited']}"),
        Line("a TPM command sent twice in a connect", ", ".join(twice) or "none", "", "", "none",
             not twice),
    ]


def callgrind_lines(found):
    return [Line(f"callgrind instructions a handshake, {name}", f"{value / 1e6:.2f} million")
            for name, value in sorted(found.items())]


def handshake_lines(found):
    total = found["passed"] + found["failed"]
    lost = total - min(found["passed"], found["established"])
    return [Line(f"failed of {total} handshakes", f"{lost}", "", "", "0", lost == 0)]


LINES = {
    "p256": lambda found: connect_lines(found, "P-256", RATIOS["p256"]),
    "rsa": lambda found: connect_lines(found, "RSA-2048, group 14", RATIOS["rsa"]),
    "slow": slow_lines,
    "start": start_lines,
    "memory": memory_lines,
    "callgrind": callgrind_lines,
    "handshakes": handshake_lines,
}


def read_handshakes(path):
    """What tests/bench/handshakes printed."""
    text = path.read_text()
    counts = re.search(r"ikeclient: (\d+) passed, (\d+) failed", text)
    established = re.search(r"SeGW: (\d+) IKE SAs", text)
    if not counts or not established:
        raise LabError(f"tests/bench/handshakes said:\n{text}")
    return {"passed": int(counts[1]), "failed": int(counts[2]), "established": int(established[1])}


def load(folder):
    """What was measured before: rows that are not measured now stay."""
    path = folder / DATA if folder else None
    return json.loads(path.read_text()) if path and path.exists() else {}


def _machine():
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        text = file.read()
    models = re.findall(r"^model name\s*: (.*)", text, re.MULTILINE)
    return f"{len(models)} CPUs, {models[0]}" if models else "an unknown CPU"


def _markdown(results, lines, drawn):
    out = ["# Our HeNB beside strongSwan's", "",
           "Written by `scripts/bench`: strongSwan 5.9.8 with its TPM plugin is the other HeNB; SeGW, suite, and",
           "TPM simulator are the same; logs are off. Medians, with the range. CPU is of all our processes but",
           "dbus-daemon, which is listed beside them.", "",
           f"On {_machine()}.", "",
           "| " + " | ".join([*HEADING.cells()[:-1], "reached"]) + " |", "|---" * 6 + "|"]
    out += ["| " + " | ".join(line.cells()) + " |" for line in lines]
    out += ["", "| row | commit | date | count | data plane |", "|---" * 5 + "|"]
    for row, each in results.items():
        stamp = (row, *(str(each[key]) for key in ("commit", "date", "count", "data-plane")))
        out.append("| " + " | ".join(stamp) + " |")
    out += [""] + [f"![{title}]({name})\n" for name, title in drawn.items()]
    return "\n".join(out)


def _print(lines):
    rows = [[*HEADING.cells()[:-1], "reached"]] + [list(line.cells()) for line in lines]
    widths = [min(60, max(len(row[column]) for row in rows)) for column in range(6)]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip())


def publish(results, folder):
    """Prints everything; writes it to `folder` if there is one. Returns the lines that miss a goal."""
    results = {row: results[row] for row in LINES if row in results}
    lines = [line for row, each in results.items() for line in LINES[row](each["found"])]
    _print(lines)
    if folder:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / DATA).write_text(json.dumps(results, separators=(",", ":")) + "\n")
        drawn = plots.write(results, lines, folder)
        (folder / "bench.md").write_text(_markdown(results, lines, drawn))
    missed = [line for line in lines if line.reached is False]
    for line in missed:
        print(f"goal missed: {line.figure}: {line.compared or line.ours}, goal {line.goal}")
    return missed
