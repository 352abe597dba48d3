"""Every TPM command of a life spoiled in turn, and a TPM that is slow. See tests/bench/tpm_faults."""

import argparse
import contextlib
import sys
import time

from lab import faultytpm
from lab.bus import Bus, Connection
from lab.capture import Capture
from lab.case import World
from lab.faultytpm import FaultyTpm
from lab.network import HENB
from lab.programs import MANAGER, TRED, TRED_PATH, BusProgram, IkeClient, Tred
from lab.responder import Responder
from lab.segw import Segw, SegwOptions
from lab.tpmlife import CONNECTION_ENDS, KINDS, TpmLife
from lab.tpmtimes import Getting, Notified, liveness_seconds

GET_MAX, LIVENESS_MAX = 0.05, 0.1  # seconds
WATCHDOG = 60  # seconds, as in tred's unit
COMMANDS_MAX = 100  # of a start, or of a Reload
CALL_MAX = 15  # seconds that ikeclient waits for tred; a first SignAuth waits for two commands


class Parts(contextlib.ExitStack):
    """What was started, stopped in reverse order."""

    def starting(self, part):
        self.callback(part.stop)
        return part


def spoil_all(world, kind):
    """How many commands were met, and how many were not got over."""
    met = failed = 0
    with Parts() as parts:
        parts.starting(world.field_tpm.start())
        parts.starting(Responder(world.segw_credential()))
        life = TpmLife(world, parts.starting)
        for part in life.PARTS:
            number = 1
            while outcome := life.spoiled(part, number, kind):
                met, number = met + 1, number + 1
                if outcome.problems:
                    failed += 1
                    print(f"FAIL {outcome}", flush=True)
        status = life.end()
        left = life.tpm.handles()
    if status != 0 or (left != (0, 0) and kind not in CONNECTION_ENDS):
        failed += 1
        print(f"FAIL tred ended with {status}; objects and sessions left: {left}")
    print(f"{kind}: {met} commands, {failed} not got over", flush=True)
    return failed


def reload(seconds):
    root = Connection("root", seconds)
    try:
        root.call(TRED, TRED_PATH, MANAGER, "Reload")
    finally:
        root.close()


def slow(world, delay):
    """The worst waits of a reader, the watchdog and the SeGW: start, connect and Reload."""
    limit = COMMANDS_MAX * delay
    with Parts() as parts:
        parts.starting(world.tpm.start())
        files = world.device("ecdsa-p256")
        tpm = parts.starting(FaultyTpm())
        tpm.spoil_every(faultytpm.delayed(delay))
        parts.starting(Segw(world.segw_credential(), world.vendor_root,
                            SegwOptions(connection="dpd_delay = 1s")))
        notified = parts.starting(Notified())
        tred = parts.starting(Tred(files, notified.under(WATCHDOG), tpm={"tcti": tpm.TCTI}))
        BusProgram.wait_for_name(tred)
        getting = parts.starting(Getting("nobody"))
        begun = time.monotonic()
        tred.wait_for_state("development", seconds=limit)
        loaded = time.monotonic() - begun
        if 2 * delay > CALL_MAX:
            tpm.spoil_every(None)
            tpm.wait_idle(delay)
        client = parts.starting(IkeClient(connection={"reconnect": "yes"}))
        client.wait_for_state("established", seconds=limit)
        tpm.spoil_every(faultytpm.delayed(delay))
        capture = parts.starting(Capture(HENB, "udp"))
        begun = time.monotonic()
        reload(limit)
        reloaded = time.monotonic() - begun
        liveness = liveness_seconds(capture.stop())
        client.wait_for_state("established", seconds=limit)
        getting.stop()
        silence = notified.longest_silence()
    worst = max(liveness, default=float("inf"))
    good = getting.worst <= GET_MAX + getting.worst_bus and worst <= LIVENESS_MAX and silence < WATCHDOG
    print(f"{delay:g} s a command: loaded in {loaded:.1f} s, Reload {reloaded:.1f} s; "
          f"worst of {getting.count} Gets {1000 * getting.worst:.1f} ms "
          f"(of the bus itself {1000 * getting.worst_bus:.1f} ms), "
          f"of {len(liveness)} liveness checks {1000 * worst:.1f} ms; "
          f"longest silence {silence:.1f} of {WATCHDOG} s: {'ok' if good else 'FAIL'}", flush=True)
    return not good


def main():
    parser = argparse.ArgumentParser(description="Every TPM command spoiled in turn; a slow TPM.")
    parser.add_argument("--kinds", default=",".join(KINDS), help="of faults, by comma; may be empty")
    parser.add_argument("--delays", default="2,20", help="seconds, by comma; may be empty")
    options = parser.parse_args()
    world, bus = World(), Bus()
    failed = sum(spoil_all(world, kind) for kind in filter(None, options.kinds.split(",")))
    failed += sum(slow(world, float(each)) for each in filter(None, options.delays.split(",")))
    bus.stop()
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
