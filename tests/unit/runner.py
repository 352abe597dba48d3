"""Runs meson's unit tests and counts the single tests inside of each cmocka program."""

import argparse
import json
import os
import re
import subprocess
import sys
from pathlib import Path

RESULT = re.compile(r"^\[\s*(OK|FAILED|SKIPPED)\s*\] (\w+)$", re.MULTILINE)


def run_meson(build):
    environment = {**os.environ, "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
    subprocess.run(["meson", "test", "-C", str(build), "--suite", "unit", "--no-rebuild"],
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment,
                   check=False)
    log = build / "meson-logs" / "testlog.json"
    return [json.loads(line) for line in log.read_text().splitlines()]


def count(programs, patterns):
    """Prints a line for each test and what a broken program said; returns the counts."""
    counts = {"OK": 0, "FAILED": 0, "SKIPPED": 0}
    for program in programs:
        said = program.get("stdout", "") + program.get("stderr", "")
        if program["result"] == "SKIP" and not patterns:
            counts["SKIPPED"] += 1
            print(f"skip {program['name']}: {said.strip()}")
            continue
        # cmocka names a failed test once more in its summary; here each counts once.
        results = {name: word for word, name in RESULT.findall(said)}
        chosen = {name: word for name, word in results.items()
                  if not patterns or any(p.replace(" ", "_") in name for p in patterns)}
        for name, word in chosen.items():
            counts[word] += 1
            if word != "OK" or patterns:
                print(f"{'FAIL' if word == 'FAILED' else word.lower():4} {name.replace('_', ' ')}")
        broken = program["result"] not in ("OK", "SKIP")
        if broken:
            print(said)
            if "FAILED" not in results.values():
                counts["FAILED"] += 1
        if not patterns or chosen:
            print(f"{'FAIL' if broken else 'ok':4} {program['name']}: {len(chosen)} tests")
    return counts


def main():
    parser = argparse.ArgumentParser(description="The unit tests; see tests/README.md.")
    parser.add_argument("build", type=Path)
    parser.add_argument("-k", dest="patterns", action="append", metavar="PATTERN")
    arguments = parser.parse_args()
    counts = count(run_meson(arguments.build), arguments.patterns)
    print(f"{counts['OK']} passed, {counts['FAILED']} failed, {counts['SKIPPED']} skipped")
    sys.exit(1 if counts["FAILED"] else 0)


if __name__ == "__main__":
    main()
