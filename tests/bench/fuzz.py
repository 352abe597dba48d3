"""Every fuzz target for two minutes, and those that find nothing in the second for an hour. See tests/bench/fuzz."""

import argparse
import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TARGETS = ROOT / "tests" / "fuzz"
MINUTE = 60
# What anybody can send comes first, then what only a SeGW can that has our keys, then what lies on the device.
FIRST = ("message", "ikeclient_init", "open", "esp", "spki", "certificates", "crls", "peer", "ocsp", "auth",
         "auth_algorithm", "redirect", "auth_response", "create", "ikeclient_create", "proof", "frames", "order")
ENDED, INTERRUPTED = 0, 72  # libFuzzer's exit statuses


class Hours:
    """What each target has had and reached: in FOLDER/state.json, beside the inputs that it found."""

    def __init__(self, build, folder):
        self.build, self.folder = build, folder
        self.file, self.lock, self.running, self.stopped = folder / "state.json", threading.Lock(), set(), False
        self.targets = json.loads(self.file.read_text()) if self.file.exists() else {}

    def save(self):
        fresh = self.file.with_suffix(".new")
        fresh.write_text(json.dumps(self.targets, indent=1, sort_keys=True))
        fresh.rename(self.file)

    def fuzz(self, what, until):
        """In pieces of a minute, until the target has had that many seconds of CPU time, or fails."""
        while not self.stopped and self.had(what).get("seconds", 0) < until and not self.had(what).get("failed"):
            self.piece(what, min(MINUTE, int(until - self.had(what).get("seconds", 0)) + 1))

    def had(self, what):
        return self.targets.get(what, {})

    def command(self, what, seconds):
        found = self.folder / "found" / what
        found.mkdir(parents=True, exist_ok=True)
        (self.folder / "crashes").mkdir(exist_ok=True)
        words = TARGETS / "dictionaries" / f"{what}.dict"
        return [self.build / "tests" / "fuzz" / f"fuzz_{what}", *([f"-dict={words}"] if words.exists() else []),
                f"-max_total_time={seconds}", "-timeout=60", "-rss_limit_mb=1024", "-print_final_stats=1",
                f"-artifact_prefix={self.folder / 'crashes' / what}-", found, TARGETS / "corpus" / what]

    def piece(self, what, seconds):
        log = self.folder / f"{what}.log"
        with log.open("w") as output:
            process = subprocess.Popen(self.command(what, seconds), stdout=output, stderr=output,
                                       start_new_session=True)
        self.running.add(process)
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        self.running.discard(process)
        with self.lock:
            self.count(what, used.ru_utime + used.ru_stime, log.read_text(errors="replace"), process.returncode)
            self.save()

    def count(self, what, seconds, said, status):
        edges = [int(number) for number in re.findall(r"cov: (\d+)", said)]
        inputs = re.search(r"stat::number_of_executed_units: *(\d+)", said)
        had = self.targets.setdefault(what, {"seconds": 0, "inputs": 0})
        had["seconds"] += seconds
        had["inputs"] += int(inputs[1]) if inputs else 0
        if edges:
            had.setdefault("before", edges[0])
            had["after"] = edges[-1]
        if status not in (ENDED, INTERRUPTED):
            had["failed"] = status
            print(f"FAIL {what}: exit status {status}; see {self.folder}/{what}.log", flush=True)

    def note_minute(self, names):
        """What the first minute has reached, which is what the next is held against."""
        for what in names:
            if self.had(what).get("seconds", 0) >= MINUTE:
                self.targets[what].setdefault("minute", self.targets[what]["after"])

    def found_nothing(self, names):
        return [what for what in names if "minute" in self.had(what)
                and self.targets[what].setdefault("second minute", self.targets[what]["after"])
                == self.targets[what]["minute"]]

    def stop(self):
        """A process that is told to says what it has done, and what it found is kept."""
        self.stopped = True
        for process in list(self.running):
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGINT)

    def table(self, names):
        yield f"{'target':<18}{'CPU s':>8}{'inputs':>14}{'edges before':>14}{'after':>8}"
        for what in names:
            had = self.had(what)
            yield (f"{what:<18}{had.get('seconds', 0):>8.0f}{had.get('inputs', 0):>14,}{had.get('before', 0):>14}"
                   f"{had.get('after', 0):>8}{'  FAIL' if had.get('failed') else ''}")


def in_parallel(hours, names, seconds, jobs):
    with ThreadPoolExecutor(jobs) as pool:
        try:
            for done in [pool.submit(hours.fuzz, what, seconds) for what in names]:
                done.result()
        except KeyboardInterrupt:
            hours.stop()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", type=Path, default=ROOT / "build-fuzz")
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("what", nargs="*")
    arguments = parser.parse_args()
    names = arguments.what or sorted(file.stem.removeprefix("fuzz_") for file in TARGETS.glob("fuzz_*.c"))
    missing = [what for what in names if not (arguments.build / "tests" / "fuzz" / f"fuzz_{what}").is_file()]
    if missing:
        parser.error(f"{arguments.build} has no target {', '.join(missing)}; see tests/fuzz/README.md")
    names.sort(key=lambda what: FIRST.index(what) if what in FIRST else len(FIRST))
    folder = arguments.folder or arguments.build / "fuzz-hours"
    folder.mkdir(parents=True, exist_ok=True)
    hours = Hours(arguments.build.resolve(), folder.resolve())
    signal.signal(signal.SIGTERM, signal.default_int_handler)

    in_parallel(hours, names, MINUTE, arguments.jobs)
    hours.note_minute(names)
    in_parallel(hours, names, 2 * MINUTE, arguments.jobs)
    nothing = hours.found_nothing(names)
    if not hours.stopped:
        print(f"nothing new in a minute: {' '.join(nothing) or 'none'}", flush=True)
        in_parallel(hours, nothing, arguments.minutes * 60, arguments.jobs)
    print("\n".join(hours.table(names)))
    sys.exit(1 if hours.stopped or any(hours.had(what).get("failed") for what in names) else 0)


if __name__ == "__main__":
    main()
