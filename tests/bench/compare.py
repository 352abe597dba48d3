"""Our HeNB beside strongSwan's, in alternating runs. See scripts/bench."""

import argparse
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import report
from callgrind import instructions
from henbs import Lab, Ours, Strongswan, Wish
from lab.bus import Bus
from lab.capture import Capture
from lab.network import SEGW
from lab.process import LabError
from lab.slowpath import SLOW_SEGW, SlowPath
from lab.tpm import SlowTpm, Tpm
from processes import CpuMeter, pss_alone, pss_here
from timeline import SIGN, commands_of, connect_of, segw_seconds

SETTLE = 0.02  # seconds after which nothing of a connect, or in preparation of the next, is left
IDLE = 1.2  # seconds; "an idle second", and what a slow TPM has begun by then
SLOW_TPM_SECONDS = 0.1  # a command
SLOW_PATH_SECONDS = 0.01  # each way
SLOW_COUNT_MAX = 20  # connects at that pace; they vary little
SLOW_STARTS = 3
MEMORY_COUNT_MAX = 5  # looks; they vary little
STEADY = 5  # seconds after which a tunnel that is up has what it has for days
HENBS = (Ours, Strongswan)


def progress(text):
    print(f"# {text}", file=sys.stderr, flush=True)


@contextmanager
def running(*makers):
    """Makes parts one after the other, and stops them in reverse, whatever happens."""
    parts = []
    try:
        for make in makers:
            parts.append(make())
        yield parts
    finally:
        for part in reversed(parts):
            part.stop()


def kept(lab, algorithm):
    """The parts of the lab that outlive a HeNB: bus, both TPMs with both keys, SeGW."""
    def devices():
        lab.prepare(algorithm)
        return lab.start_segw(algorithm)
    return Bus, lab.world.tpm.start, lab.strongswan_tpm.start, devices


def connects(lab, algorithm, count):
    """Both HeNBs up, a connect of the one, a connect of the other; with their CPU time.

    CPU time is of the whole cycle with its Delete, since work done in idle time counts as well."""
    found = {henb.__name__: {"ms": [], "failed": 0, "cpu": {}} for henb in HENBS}
    wish = Wish(algorithm)
    with running(*kept(lab, algorithm)) as (bus, *_), \
            running(lambda: Ours(lab, wish), lambda: Strongswan(lab, wish)) as both:
        meters = []
        for henb in both:
            henb.disconnect()
            beside = {bus.process.pid: "dbus-daemon"} if isinstance(henb, Ours) else {}
            meters.append(CpuMeter(lambda henb=henb, beside=beside: henb.processes() | beside))
        for number in range(count + 1):
            for henb, meter in zip(both, meters):
                meter.lap()
                times = None
                try:
                    times = henb.connect()
                    henb.disconnect()
                except LabError as error:
                    progress(f"{henb.name}: {error}")
                time.sleep(SETTLE)
                spent = meter.lap()
                if number == 0:  # the first fills caches
                    continue
                mine = found[type(henb).__name__]
                if not times:
                    mine["failed"] += 1
                    continue
                mine["ms"].append(1000 * (times[1] - times[0]))
                for name, seconds in spent.items():
                    mine["cpu"].setdefault(name, []).append(1000 * seconds)
    return found


def starts(lab, count):
    """Each HeNB in turn, alone: from exec() to its tunnel."""
    found = {henb.__name__: {"ms": [], "failed": 0} for henb in HENBS}
    with running(*kept(lab, "ecdsa-p256")):
        for _ in range(count):
            for kind in HENBS:
                mine = found[kind.__name__]
                try:
                    with running(lambda: kind(lab)) as (henb,):
                        mine["ms"].append(1000 * henb.start_seconds())
                        time.sleep(SETTLE)
                except (LabError, TimeoutError) as error:
                    progress(f"{kind.name}: {error}")
                    mine["failed"] += 1
    return found


def memory(lab, count):
    """Each HeNB in turn: what its processes hold once the tunnel has been up for STEADY seconds.

    The SeGW is killed before the look: it would share strongSwan's libraries with one of the two."""
    looks = {"alone": pss_alone, "here": pss_here}
    found = {henb.__name__: {name: {} for name in looks} for henb in HENBS}
    *devices, segw = kept(lab, "ecdsa-p256")
    with running(*devices):
        for _ in range(min(count, MEMORY_COUNT_MAX)):
            for kind in HENBS:
                with running(segw) as (gateway,), running(lambda: kind(lab)) as (henb,):
                    time.sleep(STEADY)
                    gateway.process.kill()
                    for look, take in looks.items():
                        for name, kilobytes in take(henb.processes()).items():
                            found[kind.__name__][look].setdefault(name, []).append(kilobytes)
    return found


class SlowRun:
    """One HeNB with a slow TPM and a slow path, and captures at both ends of the path."""

    def __init__(self, lab, kind):
        self.captures = Capture(kind.namespace), Capture(SEGW)
        self.henb = kind(lab, Wish(tpm_port=SlowTpm.PORT, segw=SLOW_SEGW))

    def stop(self):
        self.henb.stop()
        for capture in self.captures:
            if capture.process.running():
                capture.stop()

    def measure(self, spans):
        """A dict of figures for each (asked, up) in `spans`; ends the captures."""
        ours, theirs = (capture.stop() for capture in self.captures)
        commands = commands_of(ours, SlowTpm.PORT)
        signs = [each.answered - each.sent for each in commands if each.code == SIGN]
        sign = sorted(signs)[len(signs) // 2]
        return [figures(connect_of(ours, commands, *span), segw_seconds(theirs, *span), sign)
                for span in spans]


def figures(connect, segw, sign):
    base = connect.asked
    return {
        "ms": 1000 * (connect.up - base), "segw_ms": 1000 * segw, "sign_ms": 1000 * sign,
        "waited": connect.waited_for(sign), "overlap_ms": 1000 * connect.overlap(),
        "before_request_ms": 1000 * (connect.init_request - base), "twice": connect.twice(),
        "messages": [1000 * (each - base) for each in
                     (connect.init_request, connect.init_response, connect.auth_request,
                      connect.auth_response, connect.up)],
        "commands": [(each.name, 1000 * (each.sent - base), 1000 * (each.answered - base))
                     for each in connect.commands],
    }


def slow_connects(lab, kind, state, count):
    """({figures} of a connect straight after the start, [{figures} of connects after idle time])"""
    makers = (Tpm(state, kind.namespace).start,
              lambda: SlowTpm(SLOW_TPM_SECONDS, kind.namespace),
              lambda: SlowPath(SLOW_PATH_SECONDS, kind.namespace),
              lambda: SlowRun(lab, kind))
    with running(*makers) as (*_, path, run):
        spans = [(getattr(run.henb, "asked", run.henb.started), run.henb.up)]
        for _ in range(count):
            run.henb.disconnect()
            time.sleep(IDLE)
            spans.append(run.henb.connect())
        path_seconds = path.round_trip()
        first, *later = run.measure(spans)
    return first, later, path_seconds


def slow(lab, count):
    """With a slow TPM, and a slow path: alone, one after the other, as the proxy is the TPM's one port."""
    count = min(count, SLOW_COUNT_MAX)
    with running(*kept(lab, "ecdsa-p256")[:3]):
        lab.prepare("ecdsa-p256")
    found = {}
    with running(Bus, lambda: lab.start_segw("ecdsa-p256")):
        state = {Ours: lab.world.tpm.state, Strongswan: lab.strongswan_tpm.state}
        for kind in HENBS:
            first, later, path_seconds = slow_connects(lab, kind, state[kind], count)
            found[kind.__name__] = {"starts": [first], "idle": later, "rtt_ms": 1000 * path_seconds}
        for _ in range(min(count, SLOW_STARTS) - 1):
            first, _, _ = slow_connects(lab, Ours, state[Ours], 0)
            found["Ours"]["starts"].append(first)
    return found


def callgrind(lab, count):
    """Instructions a handshake, by process: what 2 N handshakes cost beyond N."""
    with running(Bus, lab.world.tpm.start, lab.strongswan_tpm.start):
        lab.prepare("ecdsa-p256")
        with running(lambda: lab.start_segw("ecdsa-p256")):
            return instructions(lab, count)


ROWS = {
    "p256": lambda lab, options: connects(lab, "ecdsa-p256", options.count),
    "rsa": lambda lab, options: connects(lab, "rsa-2048", options.count),
    "slow": lambda lab, options: slow(lab, options.count),
    "start": lambda lab, options: starts(lab, options.count),
    "memory": lambda lab, options: memory(lab, options.count),
    "callgrind": lambda lab, options: callgrind(lab, min(options.count, 25)),
}


def parse_arguments():
    parser = argparse.ArgumentParser(prog="scripts/bench")
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--rows", default=",".join(ROWS))
    parser.add_argument("--output", type=Path)
    parser.add_argument("--data-plane", choices=["user", "none"], default="user")
    parser.add_argument("--commit", default="")
    parser.add_argument("--handshakes", type=Path, help="what tests/bench/handshakes found")
    parser.add_argument("--strict", action="store_true")
    options = parser.parse_args()
    options.rows = options.rows.split(",") if options.rows else []
    unknown = set(options.rows) - set(ROWS)
    if unknown or options.count < 1:
        parser.error(f"--rows takes {', '.join(ROWS)}; --count a number from 1")
    return options


def main():
    options = parse_arguments()
    stamp = {"commit": options.commit, "date": time.strftime("%Y-%m-%d"), "count": options.count,
             "data-plane": options.data_plane}
    results = report.load(options.output)
    lab, broken = Lab(options.data_plane), []
    for row in options.rows:
        progress(f"{row} ({time.strftime('%H:%M:%S')})")
        try:
            results[row] = stamp | {"found": ROWS[row](lab, options)}
        except (LabError, TimeoutError) as error:  # the other rows are worth having
            broken.append(row)
            progress(f"{row} could not be measured: {error}")
    if options.handshakes:
        results["handshakes"] = stamp | {"found": report.read_handshakes(options.handshakes)}
    missed = report.publish(results, options.output)
    sys.exit(1 if broken or (missed and options.strict) else 0)


if __name__ == "__main__":
    main()
