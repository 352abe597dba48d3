"""Does bash complete what each program takes, and nothing else?

Arguments: the completion file, the root of the sources, and the programs."""

import re
import subprocess
import sys
from pathlib import Path

COMPLETION, ROOT, PROGRAMS = sys.argv[1], Path(sys.argv[2]), {Path(path).name: path for path in sys.argv[3:]}

SCRIPT = r"""
source "$1"; shift
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
_henb
printf '%s\n' "${COMPREPLY[@]}"
"""

# Where each command line's table of options is.
TABLES = {
    ("tred",): "tred/main.c", ("tred-net",): "net/tred_net.c",
    ("tred-tpm",): "device/tred_tpm.c", ("ikeclient",): "ikeclient/main.c",
    ("trectl", "flow"): "trectl/flow.c", ("trectl", "metrics"): "trectl/metrics.c",
    ("trectl", "doctor"): "trectl/doctor.c", ("trectl", "dns"): "trectl/dns.c", ("trectl", "up"): "trectl/updown.c",
    ("trectl", "down"): "trectl/updown.c", ("trectl", "check-peer"): "trectl/check_peer_options.c",
}
COMMON = {"--tcti", "--state-dir", "--owner"}  # of tre-provision's commands


def completed(*words):
    program, *rest = words
    done = subprocess.run(["bash", "-c", SCRIPT, "bash", COMPLETION, PROGRAMS[program], *rest], check=True,
                          capture_output=True, text=True, timeout=20)
    return set(done.stdout.split())


def table(source):
    return {f"--{name}" for name in re.findall(r'^    \{"([a-z-]+)", (?:NULL|"[A-Z|]+"),', (ROOT / source).read_text(),
                                               re.MULTILINE)}


def provision_commands():
    """Each with its options, by the letters that its line of the table has."""
    options = re.findall(r"^    \{\"([a-z-]+)\", (?:NULL|\"[A-Z|]+\"), LONG \| '(.)'",
                         (ROOT / "provisioning/options.c").read_text(), re.MULTILINE)
    for name, letters in re.findall(r'^    \{"([a-z-]+)".*?\.options = "(\w*)"', (ROOT / "provisioning/main.c").read_text(),
                                    re.MULTILINE | re.DOTALL):
        yield name, {f"--{option}" for option, letter in options if letter in letters}


def wrong_options():
    for words, source in TABLES.items():
        wanted = table(source) | {"--help"} | ({"--version"} if len(words) == 1 else set())
        found = completed(*words, "--")
        if len(wanted) < 2 or found != wanted:
            yield f"{' '.join(words)}: {sorted(found ^ wanted)}"


def wrong_options_of_commands():
    found = completed("tre-provision", "--")
    if found != COMMON | {"--help", "--version"}:
        yield f"tre-provision: {sorted(found)}"
    for name, options in provision_commands():
        found = completed("tre-provision", "--tcti", "x", name, "--")
        if found != COMMON | options | {"--help"}:
            yield f"tre-provision {name}: {sorted(found ^ (COMMON | options))}"


def wrong_commands():
    text = (ROOT / "trectl/main.c").read_text()
    wanted = set(re.findall(r'^    \{"([a-z-]+)", "', text, re.MULTILINE))
    if completed("trectl", "") != wanted:
        yield f"trectl: {sorted(completed('trectl', '') ^ wanted)}"
    if completed("trectl", "st") != {"status"}:
        yield "trectl st"
    text = (ROOT / "provisioning/main.c").read_text()
    wanted = set(re.findall(r'^    \{"([a-z-]+)"', text, re.MULTILINE))
    if completed("tre-provision", "") != wanted:
        yield f"tre-provision: {sorted(completed('tre-provision', '') ^ wanted)}"


def wrong_values():
    if not any(word.startswith("/etc") for word in completed("trectl", "flow", "--svg", "/et")):
        yield "a file after --svg"
    if completed("trectl", "watch", "--interval", ""):
        yield "a number after --interval"


def main():
    good = True
    for name, wrong in (("bash_completes_the_options_of_each_table", wrong_options),
                        ("bash_completes_each_command", wrong_commands),
                        ("bash_completes_the_options_of_each_command_of_tre_provision", wrong_options_of_commands),
                        ("bash_completes_files_where_an_option_takes_one", wrong_values)):
        found = list(wrong())
        good = good and not found
        # As cmocka says it, so that tests/unit/run counts it.
        print(f"[  {'     OK' if not found else ' FAILED'} ] {name}")
        if found:
            print(f"    {found}")
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
