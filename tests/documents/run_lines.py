"""Is it said as it is how many lines of tred and of tred-tpm must be trusted?

Arguments: the root of the sources, tred, tred-tpm. What is linked into a program is known by its debug information."""

import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

from run_documents import ROOT, say
from run_reasons import without_comments


def code_lines(path):
    return sum(1 for line in without_comments(path.read_text()).split("\n") if line.strip())


def linked(program):
    """{file: lines of code, with its header's}"""
    said = subprocess.run(["readelf", "--debug-dump=info", "--dwarf-depth=1", program], check=True, capture_output=True,
                          text=True).stdout
    names = set(re.findall(r"DW_AT_name .*\b(\w+/\w+)\.c\s*$", said, re.MULTILINE))
    return {name: sum(code_lines(path) for path in (ROOT / f"{name}.c", ROOT / f"{name}.h") if path.exists())
            for name in names if (ROOT / f"{name}.c").exists()}


def number(text):
    return int(text.replace(",", ""))


def is_about(said, count):
    return abs(count - number(said)) <= count / 20


def patterns(cell):
    """Of a row: `folder/`: `file`, `file*`; the frames of `folder/`; or folders alone."""
    files, *frames = cell.split("; the frames of ")
    folder, names = re.match(r"(?:`(\w+/)`: )?(.+)", files).groups()
    found = [f"{folder}{name}" if folder else f"{name}*" for name in re.findall(r"`([\w*/]+)`", names)]
    return found + [f"{name}frames" for text in frames for name in re.findall(r"`(\w+/)`", text)]


def wrong_rows(section, files):
    """Rows that are not within a twentieth of what is linked, a sum that is none, files that are in no row or in two."""
    *rows, (_, together) = re.findall(r"^\| (.+?) \| ([\d,]+) \|", section, re.MULTILINE)
    wrong, seen = [], Counter()
    for cell, said in rows:
        mine = [file for file in files for pattern in patterns(cell) if Path(file).match(pattern)]
        seen.update(mine)
        count = sum(files[file] for file in mine)
        if not is_about(said, count):
            wrong.append(f"{cell}: {count}, not {said}")
    total = sum(number(said) for _, said in rows)
    if total != number(together):
        wrong.append(f"together: {total}, not {together}")
    return len(files), wrong + [f"{file}: in {seen[file]} rows" for file in sorted(files) if seen[file] != 1]


def wrong_folders(section, files):
    """The same of tred-tpm, which is told by folders, and of what is left in one."""
    together, list_, rest = re.search(r"^`tred-tpm` has ([\d,]+),[^:]*: (.+), and of .+ what it needs \(([\d,]+)\)", section,
                                      re.MULTILINE).groups()
    folders = re.findall(r"`(\w+)/` \(([\d,]+)\)", list_)
    counts = Counter()
    for file, lines in files.items():
        counts[file.split("/")[0]] += lines
    wrong = [f"{folder}: {counts[folder]}, not {said}" for folder, said in folders if not is_about(said, counts[folder])]
    left = sum(counts.values()) - sum(counts[folder] for folder, _ in folders)
    if not is_about(rest, left):
        wrong.append(f"the rest: {left}, not {rest}")
    total = sum(number(said) for _, said in folders) + number(rest)
    if total != number(together):
        wrong.append(f"together: {total}, not {together}")
    return len(files), wrong


def main():
    section = (ROOT / "docs/architecture.md").read_text().split("\n## How much must be trusted\n")[1].split("\n## ")[0]
    tred, tred_tpm = (linked(program) for program in sys.argv[2:4])
    if not tred and not tred_tpm:
        print("[  SKIPPED ] how_much_must_be_trusted_is_said_as_it_is\n  The programs have no debug information")
        sys.exit(77)
    good = [say("how much of tred must be trusted is said as it is and of each file", *wrong_rows(section, tred)),
            say("how much of tred-tpm must be trusted is said as it is", *wrong_folders(section, tred_tpm))]
    sys.exit(0 if all(good) else 1)


if __name__ == "__main__":
    main()
