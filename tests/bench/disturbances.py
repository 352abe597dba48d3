"""What happens to a tunnel in its life, again and again. See tests/bench/disturbances."""

import argparse
import collections
import os
import random
import signal
import statistics
import sys
import time

from lab.badpath import BadPath
from lab.bus import Bus, BusError
from lab.case import World
from lab.network import HENB, INNER_IPV4, INNER_IPV6, SEGW
from lab.process import LabError, run, scratch, wait_until
from lab.programs import IkeClient, Operator, Tred, TredNet
from lab.segw import Segw, SegwOptions
from lab.slowpath import SLOW_SEGW
from lab.traffic import Pings

BOUND = 150.0  # seconds to be back in
CORE = "10.200.0.0/16, fd00:200::/32"
INNER = "10.200.0.0/16", "10.210.0.0/24", "fd00:200::/32", "fd00:210::/32"
# What their units say of Restart= and RestartSec=: after how many seconds a program that failed is started again.
RESTART_SECONDS = {"tred-net": 1, "tred": 3, "ikeclient": 5}
NOT_RESTARTED = {0, 64, 78}


class Henb:
    """The programs of a HeNB, with somebody who starts them again as systemd does; its one way to the SeGW; and the SeGW."""

    def __init__(self, protect):
        self.world, self.path = World(), None
        for namespace, devices in ((HENB, ("wan", "home")), (SEGW, ("wan", "natted"))):
            for device in devices:
                run(["ip", "-n", namespace, "link", "set", device, "down"])
        self.path = BadPath(INNER)
        self.bus = Bus()
        self.segw = self.new_segw()
        self.world.tpm.start()
        self.protect = protect
        self.state = scratch("ikeclient-state")
        os.chown(self.state, *self.owner("henb-ike"))
        self.makers = {"tred-net": self.new_tred_net, "tred": self.new_tred, "ikeclient": self.new_ikeclient}
        self.programs = {}
        self.ended = {}  # when a program was seen to have ended
        self.faults = []
        for name, make in self.makers.items():
            self.programs[name] = make()

    @staticmethod
    def owner(user):
        return int(run(["id", "-u", user]).stdout), int(run(["id", "-g", user]).stdout)

    def new_segw(self):
        return Segw(self.world.segw_credential(), self.world.vendor_root, SegwOptions(mobike="yes"))

    @staticmethod
    def new_tred_net():
        return TredNet().wait_for_socket()

    def new_tred(self):
        return Tred(self.world.device("ecdsa-p256"),
                    **{"data-plane": {"mode": "user", "allowed-remote": CORE, "protect": self.protect}})

    def new_ikeclient(self):
        return IkeClient(state=self.state, segw={"address": SLOW_SEGW}, child={"request-address": "both"},
                         connection={"reconnect": "yes"})

    def tend(self):
        """Starts again what has failed, when it is time; notes what ended as it should not."""
        for name, program in self.programs.items():
            if program.running():
                continue
            status = program.popen.returncode
            if name not in self.ended:
                self.ended[name] = time.monotonic()
                if status < 0 and not program.killed:
                    self.faults.append(f"{name} was ended by signal {-status}:\n{program.output()[-3000:]}")
                elif status in NOT_RESTARTED:
                    self.faults.append(f"{name} ended with {status}, and systemd would leave it so:\n"
                                       f"{program.output()[-3000:]}")
            if time.monotonic() >= self.ended[name] + RESTART_SECONDS[name]:
                del self.ended[name]
                self.forget(program)
                self.programs[name] = self.makers[name]()

    @staticmethod
    def forget(program):
        if isinstance(program, Tred):
            program.tpm_service.stop()

    def wait(self, seconds):
        """While systemd goes on."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self.tend()
            time.sleep(0.05)

    def wait_until(self, condition, what, seconds=60.0):
        def look():
            self.tend()
            try:
                return condition()
            except BusError:  # nobody there
                return None
            except (OSError, EOFError):  # no bus
                return None

        return wait_until(look, what, seconds)

    def kill(self, name):
        self.programs[name].kill()

    def kill_child(self, pids, name):
        """One that tred or a socket has started."""
        os.kill(self.wait_until(pids, name)[-1], signal.SIGKILL)

    def works(self):
        self.programs["ikeclient"].assert_running()
        return self.programs["ikeclient"].get("State") == "established" and all(
            run(["ping", "-q", "-c", "1", "-W", "1", address], namespace=HENB, check=False).returncode == 0
            for address in (INNER_IPV4, INNER_IPV6))

    def is_back(self):
        return not self.ended and all(each.running() for each in self.programs.values()) and self.works()

    def stop(self):
        for program in reversed(self.programs.values()):
            status = program.stop()
            if status != 0 and not program.killed:
                self.faults.append(f"{program.name} ended with {status} when it was stopped:\n{program.output()[-3000:]}")
        for part in (self.world.tpm, self.segw, self.bus, self.path):
            part.stop()

    def said(self):
        """The last words of all."""
        parts = [f"--- {name}\n{program.output()[-4000:]}" for name, program in self.programs.items()]
        return "\n".join([*parts, "--- the SeGW", self.segw.log()[-4000:]])


def address_changes(henb):
    henb.path.change_address()


def link_goes(henb):
    henb.path.down()
    henb.wait(2)
    henb.path.up()


def segw_restarts(henb):
    henb.segw.stop()
    henb.segw = henb.new_segw()


def segw_is_killed(henb):
    henb.segw.process.kill()
    henb.segw = henb.new_segw()


def tred_is_killed(henb):
    henb.kill("tred")


def tred_net_is_killed(henb):
    henb.kill("tred-net")


def ikeclient_is_killed(henb):
    henb.kill("ikeclient")


def tred_esp_is_killed(henb):
    henb.kill_child(lambda: henb.programs["tred"].child_pids("tred-esp"), "tred-esp")


def tred_tpm_is_killed(henb):
    henb.kill_child(lambda: henb.programs["tred"].tpm_service.pids(), "tred-tpm")


def tred_verify_is_killed(henb):
    """There is one while somebody connects."""
    henb.kill("ikeclient")
    henb.kill_child(lambda: henb.programs["tred"].child_pids("tred-verify"), "tred-verify")


def bus_restarts(henb):
    henb.bus.stop()
    henb.bus = Bus()


def line_is_bad(henb):
    henb.path.spoil(loss=0.3, twice=0.1, delay=(0.01, 0.03))
    henb.wait(4)
    try:
        operator = Operator()
        try:
            operator.call("RekeyIkeSa")
        finally:
            operator.stop()
    except BusError:  # no tunnel, or it did not come about
        pass
    henb.wait(8)
    henb.path.mend()


EVENTS = [address_changes, link_goes, segw_restarts, segw_is_killed, tred_is_killed, tred_net_is_killed, ikeclient_is_killed,
          tred_esp_is_killed, tred_tpm_is_killed, tred_verify_is_killed, bus_restarts, line_is_bad]


def events(cycles, seed, only):
    """Each once, then by chance."""
    chosen = [event for event in EVENTS if only in (None, event.__name__)]
    chance = random.Random(seed)
    for cycle in range(cycles):
        yield chosen[cycle] if cycle < len(chosen) else chance.choice(chosen)


def disturb(henb, event):
    """Seconds from the event's end to packets through the tunnel; None if that takes too long."""
    event(henb)
    over = time.monotonic()
    # What was killed is seen to have gone before anybody asks whether all is well.
    henb.wait(0.2)
    try:
        henb.wait_until(henb.is_back, "the tunnel", BOUND)
    except LabError as error:
        henb.faults.append(f"{error}\n{henb.said()}")
        return None
    return time.monotonic() - over


def report(seconds, path):
    print(f"\n{'event':24} {'times':>5} {'median s':>9} {'longest s':>9}")
    for name, found in seconds.items():
        print(f"{name:24} {len(found):5} {statistics.median(found):9.1f} {max(found):9.1f}")
    longest = max((max(found) for found in seconds.values()), default=0)
    print(f"back within {longest:.1f} s each time it was; {path.carried} packets on the line, "
          f"{len(path.in_clear)} of them with an inner address")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cycles", type=int, default=200, metavar="N")
    parser.add_argument("--seed", type=int, default=1, metavar="N")
    parser.add_argument("--protect", choices=["yes", "no"], default="yes")
    parser.add_argument("--only", choices=[event.__name__ for event in EVENTS])
    arguments = parser.parse_args()
    henb = Henb(arguments.protect)
    henb.wait_until(henb.is_back, "the first tunnel", BOUND)
    traffic = [Pings(address) for address in (INNER_IPV4, INNER_IPV6)]
    seconds, missed = collections.defaultdict(list), 0
    for cycle, event in enumerate(events(arguments.cycles, arguments.seed, arguments.only), 1):
        faults, clear = len(henb.faults), len(henb.path.in_clear)
        taken = disturb(henb, event)
        missed += taken is None
        if taken is not None:
            seconds[event.__name__].append(taken)
        print(f"{time.strftime('%H:%M:%S')} cycle {cycle}: {event.__name__.replace('_', ' ')}: "
              f"{'not back' if taken is None else f'{taken:.1f} s'}; "
              f"{len(henb.path.in_clear) - clear} in clear", flush=True)
        for fault in henb.faults[faults:]:
            print(fault, flush=True)
    for each in traffic:
        each.process.stop()
    faults = len(henb.faults)
    henb.stop()
    for fault in henb.faults[faults:]:
        print(fault)
    report(seconds, henb.path)
    for packet in henb.path.in_clear[:10]:
        print(packet)
    print(f"{arguments.cycles} cycles, {missed} not back, {len(henb.faults)} faults")
    sys.exit(1 if missed or henb.faults or henb.path.in_clear else 0)


if __name__ == "__main__":
    main()
