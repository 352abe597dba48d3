"""The matrix of flaws and their good twins through trectl check-peer. Argument: trectl."""

import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from matrix import WORLD, cases, sound

ACCEPTED, REFUSED, WRONG_USAGE, COULD_NOT_JUDGE = 0, 1, 64, 65


def arguments_of(shown, folder):
    """Writes what is shown into files; the command line that names them."""
    def write(name, *pieces):
        (folder / name).write_bytes(b"".join(pieces))
        return str(folder / name)
    arguments = ["--cert", write("segw.pem", shown.certificate.pem(),
                                 *(holder.pem() for holder in shown.chain)),
                 "--anchors", write("anchors.pem", *(anchor.pem() for anchor in shown.anchors)),
                 "--profile", write("profile.conf", shown.profile.encode()),
                 "--revocation", shown.revocation]
    if shown.name:
        arguments += ["--name", shown.name]
    if shown.crls:
        arguments += ["--crl", write("crls.pem", *shown.crls)]
    for number, response in enumerate(shown.ocsp):
        arguments += ["--ocsp", write(f"{number}.ocsp", response)]
    return arguments


def failed_checks(trectl, shown, says=()):
    """Which checks fail; the exit status must fit, and what is said."""
    with tempfile.TemporaryDirectory() as folder:
        arguments = arguments_of(shown, Path(folder))
        done = subprocess.run([trectl, "check-peer", "--json", *arguments], capture_output=True,
                              text=True, check=False, timeout=20)
    if done.returncode not in (ACCEPTED, REFUSED):
        return [f"could not judge: {done.stderr.strip()}"]
    failed = [c for c in json.loads(done.stdout)["checks"] if c["result"] == "failed"]
    for check in failed:
        missing = {"field", "found", "expected", "clause", "sentence"} - set(check)
        if missing:
            return [f"{check['name']} does not say its {missing}"]
    unsaid = [word for word in says if failed and word not in failed[0]["sentence"]]
    if unsaid:
        return [f"'{failed[0]['sentence']}' lacks {unsaid}"]
    if bool(failed) != (done.returncode == REFUSED):
        return [f"exit status {done.returncode} with {failed}"]
    return [check["name"] for check in failed]


def said(fine, title):
    """As cmocka says it, so that tests/unit/run counts it."""
    print(f"[  {'     OK' if fine else ' FAILED'} ] {re.sub(r'[^A-Za-z0-9]+', '_', title)}")
    return fine


def command_line_is_right(trectl):
    """What is no judgement has an exit status of its own; people read the words that programs get."""
    def run(*arguments):
        return subprocess.run([trectl, "check-peer", *arguments], capture_output=True, text=True,
                              check=False, timeout=20)
    with tempfile.TemporaryDirectory() as folder:
        shown = arguments_of(sound(), Path(folder))
        stranger = arguments_of(sound(anchors=[WORLD.stranger]), Path(folder))
        refused = run(*stranger)
        (Path(folder) / "list").mkdir()
        (Path(folder) / "list" / "bad.crl").write_bytes(b"no CRL")
        misused = [[], ["--frob"], [*shown, "--cert"], [*shown, "--name", ""], [*shown, "--name", "segw_1.example"],
                   [*shown, "more"], *([*shown, "--time", time] for time in (
                       "", "noon", "2026-02-31T00:00:00Z", "2026-01-01T24:00:00Z", "-1", "1x",
                       "999999999999", "99999999999999999999", "10000-01-01T00:00:00Z"))]
        wrongs = [["--cert", "/nonexistent"], [*shown, "--crl", folder + "/list"], [*shown, "--revocation", "maybe"],
                  [*shown, "--crl", shown[1] + ".none"], [*shown, "--crl", "/dev/null"], [*shown, "--profile", shown[1]]]
        silent = [wrong for wrong in misused if (done := run("--json", *wrong)).returncode != WRONG_USAGE or done.stdout
                  or not done.stderr.endswith("; see trectl check-peer --help\n")]
        silent += [wrong for wrong in wrongs if (done := run("--json", *wrong)).returncode != COULD_NOT_JUDGE
                   or json.loads(done.stdout)["error"] not in done.stderr]
        silent += [time for time in ("2024-02-29T23:59:59Z", "253402300799")
                   if run(*shown, "--time", time).returncode in (WRONG_USAGE, COULD_NOT_JUDGE)]
        with open("/dev/full", "wb") as full:
            for output in (full, "closed"):
                done = subprocess.run(
                    ["sh", "-c", 'exec "$@" >&-' if output == "closed" else 'exec "$@"', "sh",
                     trectl, "check-peer", *shown],
                    stdout=None if output == "closed" else output, stderr=subprocess.PIPE,
                    check=False, timeout=20)
                silent += [output] * (done.returncode in (ACCEPTED, REFUSED) or not done.stderr)
    good = not silent and refused.returncode == REFUSED and all(
        word in refused.stdout for word in ("FAIL", "found:", "expected:", "RFC 5280", "Refused."))
    if not good:
        print(f"not an error: {silent}; refused with {refused.returncode}: {refused.stdout}")
    return good


def main():
    trectl, wrong, count = sys.argv[1], 0, 0
    wrong += not said(command_line_is_right(trectl), "what cannot be judged is no verdict")
    for case in cases():
        bad, good = failed_checks(trectl, case.bad, case.says), failed_checks(trectl, case.good)
        fine = bad == [case.rule] and good == []
        count, wrong = count + 1, wrong + (not fine)
        if not said(fine, case.title):
            print(f"  expected {case.rule} to refuse it; failed: {bad}, of the good twin: {good}")
    print(f"{count} rules broken, each with its good twin; {wrong} wrong")
    sys.exit(1 if wrong or not count else 0)


if __name__ == "__main__":
    main()
