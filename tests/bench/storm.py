"""A town of HeNBs that come back to one SeGW: a table and curves from storm_sim's lines."""

import argparse
import subprocess
from pathlib import Path

from plots import GREY, LEFT, OURS, RIGHT, THEIRS, WIDTH, Drawing

ROOT = Path(__file__).resolve().parents[2]
SEEDS = range(1, 6)
POLICIES = (("ikeclient, retry-max = 300", "product", 300_000, OURS, ""),
            ("ikeclient, retry-max = 60", "product", 60_000, OURS, "2 3"),
            ("ikeclient, retry-max = 600", "product", 600_000, OURS, "8 3"),
            ("10 s after each failed attempt", "fixed", 0, GREY, ""),
            ("strongSwan's retransmission", "strongswan", 0, THEIRS, ""))
SCENARIOS = (("at-once", "All begin within two seconds, as after a power cut"),
             ("outage", "The SeGW was away for an hour, and all have tried since"))
HEIGHT, TOP, BOTTOM = 380, 40, 100  # the legend is below


def simulate(build, policy, scenario, options, seed):
    """({"t99": …}, [(second, up, requests a second), …])"""
    _, name, retry_max, _, _ = policy
    said = subprocess.run([build / "tests" / "bench" / "storm_sim", name, scenario,
                           str(options.henbs), str(options.per_second), str(retry_max), str(seed)],
                          check=True, capture_output=True, text=True).stdout.splitlines()
    curve = [tuple(map(int, line.split()[1:])) for line in said if line.startswith("curve")]
    return {line.split()[0]: int(line.split()[1]) for line in said if not line.startswith("curve")}, curve


def median(values):
    return sorted(values)[len(values) // 2]


def spread(values, unit=""):
    return f"{median(values):,} ({min(values):,} to {max(values):,}){unit}"


def table(results, options):
    yield "# A SeGW whose HeNBs all come back\n"
    yield (f"Written by `tests/bench/storm`: a simulation of {options.henbs:,} HeNBs and a SeGW that takes up "
           f"{options.per_second} IKE_SA_INIT requests a second and drops the rest\nin silence, with ikeclient's own "
           "waits linked in (`ikeclient/pacing.c`). Nobody can be faster than "
           f"{0.99 * options.henbs / options.per_second:.0f} s. Medians of {len(SEEDS)} runs,\nwith the range.\n")
    for scenario, title in SCENARIOS:
        yield f"{title}:\n"
        yield "| waits | 99% up after | most requests in a second | requests in all | one HeNB is up after, in the mean |"
        yield "|---|---|---|---|---|"
        for policy in POLICIES:
            runs = [numbers for numbers, _ in results[scenario, policy[0]]]
            columns = [spread([run[key] for run in runs], unit) for key, unit in
                       (("t99", " s"), ("peak", ""), ("packets", ""), ("mean-wait", " s"))]
            yield f"| {policy[0]} | " + " | ".join(columns) + " |"
        yield ""
    yield ("ikeclient sends a request five times in 31 s, and then waits by chance for up to 1 s, 2 s, 4 s and so on, up to "
           "*retry-max*. strongSwan's\nline is its documentation's formula (4 s * 1.8^n, 5 tries), an attempt after the "
           "other. After an outage the HeNBs are spread over\n*retry-max*: a larger one spares the SeGW, and "
           "lets each HeNB find out later that it is back. At once there is no spreading\nthe first requests; what follows is.\n")
    yield "![HeNBs that are up](storm-up.svg)\n![Requests a second](storm-load.svg)"


def curves(results, scenario, title, column, most):
    """One line a policy, over the first half hour."""
    seconds = 1800
    drawing = Drawing(HEIGHT)
    left = LEFT - 150
    place = lambda second: left + second / seconds * (WIDTH - RIGHT - left)
    height = lambda value: HEIGHT - BOTTOM - min(value, most) / most * (HEIGHT - BOTTOM - TOP)
    drawing.text(left, 18, title)
    for part in range(0, 5):
        drawing.line([(left, height(most * part / 4)), (WIDTH - RIGHT, height(most * part / 4))], GREY, 0.5)
        drawing.text(left - 6, height(most * part / 4) + 4, f"{most * part / 4:,.0f}", "end", size=10)
    for minute in range(0, seconds // 60 + 1, 5):
        drawing.text(place(minute * 60), HEIGHT - BOTTOM + 16, f"{minute} min", "middle", size=10)
    for number, (name, _, _, colour, dash) in enumerate(POLICIES):
        points = [(place(row[0]), height(row[column])) for row in results[scenario, name][0][1]
                  if row[0] <= seconds]
        drawing.line([(place(0), height(0)), *points], colour, 2, dash)
        x, y = left + 240 * (number // 3), HEIGHT - BOTTOM + 46 + 16 * (number % 3)
        drawing.line([(x, y - 4), (x + 25, y - 4)], colour, 2, dash)
        drawing.text(x + 30, y, name, size=10)
    return drawing


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", type=Path, default=ROOT / "build")
    parser.add_argument("--henbs", type=int, default=100_000)
    parser.add_argument("--per-second", type=int, default=200)
    parser.add_argument("--figures", type=Path, default=ROOT / "docs" / "figures")
    options = parser.parse_args()
    results = {(scenario, policy[0]): [simulate(options.build, policy, scenario, options, seed) for seed in SEEDS]
               for scenario, _ in SCENARIOS for policy in POLICIES}
    text = "\n".join(table(results, options)) + "\n"
    print(text)
    (options.figures / "storm.md").write_text(text)
    curves(results, "at-once", "HeNBs that are up, all having begun at once", 1,
           options.henbs).write(options.figures / "storm-up.svg")
    curves(results, "outage", "requests a second at a SeGW that was away for an hour", 2,
           8 * options.per_second).write(options.figures / "storm-load.svg")


if __name__ == "__main__":
    main()
