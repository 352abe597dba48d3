"""Builds what is out of date, runs meson's unit tests, and counts the tests in each program."""

import argparse
import json
import os
import re
import subprocess
import sys
from pathlib import Path

RESULT = re.compile(r"^\[\s*(OK|FAILED|SKIPPED)\s*\] (\w+)$", re.MULTILINE)
# clang looks for what points into a function that has returned only when told to, before its version 15.
ENVIRONMENT = {"ASAN_OPTIONS": "detect_stack_use_after_return=1", **os.environ, "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}


class Broken(Exception):
    """No test was run; the text says why."""


def in_name(text):
    """`text` as it stands in the name of a test."""
    return re.sub(r"\W+", "_", text)


def introspected(build, what):
    return json.loads((build / "meson-info" / f"intro-{what}.json").read_text())


def sources_by_program(build):
    return {target["filename"][0]: [Path(source) for group in target["target_sources"]
                                    for source in group.get("sources", [])]
            for target in introspected(build, "targets") if target["type"] == "executable"}


def sources_of(test, programs):
    """The files that name the tests of `test`: a program's, or those beside a Python file."""
    if test["cmd"][0] in programs:
        return programs[test["cmd"][0]]
    return [path for word in test["cmd"] if word.endswith(".py")
            for path in Path(word).parent.glob("*.py")]


def has_one_of(patterns, text):
    return any(pattern in in_name(text) for pattern in patterns)


def chosen_programs(build, patterns):
    """The programs in whose name or files a pattern stands, as meson calls them."""
    programs = sources_by_program(build)
    return [test["name"] for test in introspected(build, "tests")
            if has_one_of(patterns, test["name"])
            or any(has_one_of(patterns, path.read_text(errors="replace"))
                   for path in sources_of(test, programs))]


def run_meson(build, names):
    """Builds what the programs of these names (all if there is none) are made of, and runs them."""
    log = build / "meson-logs" / "testlog.json"
    log.unlink(missing_ok=True)
    done = subprocess.run(["meson", "test", "-C", str(build), "--suite", "unit", *names],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          env=ENVIRONMENT, check=False)
    if not log.exists():
        raise Broken(f"{done.stdout}\nmeson could not build and run the unit tests; "
                     "what it said stands above")
    programs = [json.loads(line) for line in log.read_text().splitlines()]
    # Where there are several suites, meson writes theirs before a name: "tred:unit / base bytes".
    return [{**program, "name": program["name"].split(" / ")[-1]} for program in programs]


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
        whole = not patterns or has_one_of(patterns, program["name"])
        chosen = {name: word for name, word in results.items()
                  if whole or has_one_of(patterns, name)}
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


def run(build, patterns):
    """The counts; Broken where no test has such a name."""
    names = chosen_programs(build, patterns) if patterns else []
    counts = count(run_meson(build, names), patterns) if names or not patterns else {}
    if not any(counts.values()):
        raise Broken("no unit test has " + " or ".join(map(repr, patterns)) + " in its name or its program's")
    return counts


def main():
    parser = argparse.ArgumentParser(description="The unit tests; see tests/README.md.")
    parser.add_argument("build", type=Path)
    parser.add_argument("-k", dest="patterns", action="append", metavar="PATTERN", default=[])
    arguments = parser.parse_args()
    try:
        counts = run(arguments.build, [in_name(pattern) for pattern in arguments.patterns])
    except Broken as reason:
        print(reason)
        counts = {"OK": 0, "FAILED": 0, "SKIPPED": 0}
    print(f"{counts['OK']} passed, {counts['FAILED']} failed, {counts['SKIPPED']} skipped")
    sys.exit(0 if counts["OK"] and not counts["FAILED"] else 1)


if __name__ == "__main__":
    main()
