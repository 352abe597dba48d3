"""What every program says of itself, and what becomes of it where that can't be written."""

import os
import re
import subprocess
import sys
from pathlib import Path

VERSION, PROGRAMS = sys.argv[1], [Path(path) for path in sys.argv[2:]]
HELPERS = ("tred-esp", "tred-verify")  # started by tred alone
WITH_COMMANDS = ("tre-provision", "trectl")


def run(*command, stdout=subprocess.PIPE, closed=()):
    def close():
        for fd in closed:
            os.close(fd)

    return subprocess.run(command, stdin=subprocess.DEVNULL, stdout=stdout, stderr=subprocess.PIPE,
                          preexec_fn=close if closed else None, text=True, check=False, timeout=10)


def say_fails(done):
    return done.returncode > 0 and "standard output can't be written" in done.stderr


def prints_help(program):
    done = run(program, "--help")
    return (done.returncode, done.stderr) == (0, "") and done.stdout.startswith(f"Usage: {program.name}")


def prints_its_version(program):
    done = run(program, "--version")
    return (done.returncode, done.stdout, done.stderr) == (0, f"{program.name} {VERSION}\n", "")


def says_that_the_disk_is_full(program):
    with open("/dev/full", "w") as full:
        return all(say_fails(run(program, word, stdout=full)) for word in ("--help", "--version"))


def says_that_standard_output_is_closed(program):
    return all(say_fails(run(program, word, stdout=None, closed=[1])) for word in ("--help", "--version"))


def ends_by_itself_with_all_three_closed(program):
    return run(program, "--help", stdout=None, closed=[0, 1, 2]).returncode > 0


def is_refused(program, *words):
    """As wrong usage, with the word that is wrong, and with the help that knows better."""
    *command, wrong = words
    name = " ".join((program.name, *command))
    done = run(program, *words)
    return (done.returncode, done.stdout) == (64, "") and re.fullmatch(
        rf"{name}: .*{wrong.lstrip('-')}.*; see {name} --help\n", done.stderr)


def refuses_what_it_does_not_know(program):
    return is_refused(program, "--colour") and all(is_refused(program, word, "--colour") for word in commands(program))


def says_who_starts_it(program):
    done = run(program)
    return program.name not in HELPERS or (
        done.returncode == 64 and "tred starts this program" in done.stderr)


def commands(program):
    return re.findall(r"^  ([a-z]\S+)", run(program, "--help").stdout, re.MULTILINE)


def prints_help_for_each_command(program):
    helps = {word: run(program, word, "--help") for word in commands(program)}
    return bool(helps) == (program.name in WITH_COMMANDS) and all(
        (done.returncode, done.stderr) == (0, "") and done.stdout.startswith(f"Usage: {program.name} {word} ")
        and "\n  -h, --help " in done.stdout for word, done in helps.items())


TESTS = [prints_help, prints_its_version, says_that_the_disk_is_full,
         says_that_standard_output_is_closed, ends_by_itself_with_all_three_closed,
         refuses_what_it_does_not_know, says_who_starts_it, prints_help_for_each_command]


def main():
    good = True
    for test in TESTS:
        wrong = [program.name for program in PROGRAMS if not test(program)]
        good = good and not wrong
        # As cmocka says it, so that tests/unit/run counts it.
        print(f"[  {'     OK' if not wrong else ' FAILED'} ] every_program_{test.__name__}")
        if wrong:
            print("    but not " + ", ".join(wrong))
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
