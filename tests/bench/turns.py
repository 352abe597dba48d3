"""The turns of tred's loop under disturbances. See tests/bench/turns."""

import argparse
import concurrent.futures
import contextlib
import os
import signal
import struct
import time

from lab import faultytpm, ike
from lab.bus import Bus, BusError, Connection
from lab.case import World
from lab.faultytpm import FaultyTpm
from lab.flood import Flood, Reader, begin_exchange, close, get_all
from lab.handclient import HandClient
from lab.process import BIN, LabError, scratch, wait_until
from lab.programs import MANAGER, TRED, TRED_PATH, IkeClient, Operator, Tred, TredNet
from lab.segw import Segw, SegwOptions

TURN = struct.Struct("IIII")  # wall and CPU in microseconds, waits, how often it was pushed aside
BOUND = 5000
GROUPS = (14, 15, 16, 19, 20, 21, 31)
TPM_COMMAND = 0.5


class TurnWatch:
    """The turns of the program of that name, told by a library that is preloaded into it; its command begins with `words`."""

    def __init__(self, program):
        self.path, self.seen = scratch("turns") / "turns", 0
        self.path.touch()
        self.path.chmod(0o666)
        self.words = ("env", f"LD_PRELOAD={BIN / 'turn_watch.so'}", f"TURN_WATCH={self.path}", f"TURN_WATCH_PROGRAM={program}")

    def take(self):
        """Those since it was asked before."""
        octets = self.path.read_bytes()[self.seen:]
        octets = octets[:len(octets) // TURN.size * TURN.size]
        self.seen += len(octets)
        return list(TURN.iter_unpack(octets))


def show(name, turns):
    by_wall = sorted(turns)
    waited = [turn for turn in turns if turn[2]]
    wall, cpu, _, pushed = by_wall[-1]

    def at(share):
        return by_wall[int(share * (len(by_wall) - 1))][0] / 1000

    print(f"| {name} | {len(turns)} | {at(.5):.2f} | {at(.99):.2f} | {at(.999):.2f} | {wall / 1000:.2f}"
          f" | {cpu / 1000:.2f}, {pushed} | {max(turn[1] for turn in turns) / 1000:.2f}"
          f" | {sum(turn[0] > BOUND for turn in turns)} | {len(waited)}"
          f" | {max(waited)[0] / 1000 if waited else 0:.2f} |", flush=True)


class Disturbances:
    """Each is a method, in the order of what is written here."""

    def __init__(self, stack, count):
        self.stack, self.count, self.watch = stack, count, TurnWatch("tred")
        self.world = World()
        self.starting(Bus())
        self.starting(self.world.tpm.start())
        files = self.world.device("ecdsa-p256")  # before somebody else has the TPM
        self.tpm = self.starting(FaultyTpm())
        self.net = self.starting(TredNet()).wait_for_socket()
        self.starting(Segw(self.world.segw_credential(), self.world.vendor_root,
                           SegwOptions(unique="never", pool_ipv4="10.210.0.0/16")))  # others leave theirs behind
        self.tred = self.starting(Tred(files, self.watch.words,
                                       **{"data-plane": {"mode": "user"}, "tpm": {"tcti": FaultyTpm.TCTI}})).wait_for_name()
        self.client = self.starting(IkeClient(**{"connection": {"reconnect": "yes", "retry-max": "1"}}))
        self.operator = self.starting(Operator())
        self.root = Connection("root", seconds=120)
        self.stack.callback(self.root.close)
        self.client.wait_for_state("established")

    def starting(self, part):
        self.stack.callback(part.stop)
        return part

    def connect(self):
        self.operator.call("Disconnect")
        self.client.wait_for_state("idle", seconds=60)
        self.operator.call("Connect")
        self.client.wait_for_state("established", seconds=120)

    def reload(self):
        return self.root.call(TRED, TRED_PATH, MANAGER, "Reload")

    def others_connect(self, seconds):
        """By hand, with a verdict or without one."""
        ends = time.monotonic() + seconds
        while time.monotonic() < ends:
            hand = HandClient()
            hand.socket.settimeout(30)
            with contextlib.suppress(BusError):
                hand.until("verify")
            hand.stop()

    def connects(self):
        for _ in range(self.count):
            self.connect()

    def key_pairs_of_each_group(self):
        for group in GROUPS:
            for _ in range(4):
                hand = HandClient()
                with contextlib.suppress(BusError):  # one outside of the profile
                    hand.begin(group)
                hand.stop()

    def reloads(self):
        for _ in range(self.count):
            self.reload()
            self.connect()

    def verifier_hangs(self):
        """It is ended after five seconds, and another started."""
        hand = HandClient()
        hand.socket.settimeout(30)
        hand.until("authenticate")
        os.kill(self.tred.verifier_pid(), signal.SIGSTOP)
        with concurrent.futures.ThreadPoolExecutor() as pool:
            verdict = pool.submit(hand.verify)
            self.others_connect(7)
            with contextlib.suppress(BusError):
                verdict.result()
        hand.stop()

    def tpm_takes_half_a_second(self):
        self.tpm.spoil_every(faultytpm.delayed(TPM_COMMAND))
        with concurrent.futures.ThreadPoolExecutor() as pool:
            reloading = pool.submit(self.reload)
            self.others_connect(5)
            reloading.result()
        self.tpm.spoil_every(None)
        self.tpm.wait_idle()

    def stopped(self, pid, seconds):
        os.kill(pid, signal.SIGSTOP)
        try:
            self.operator.call("Disconnect")
            self.operator.call("Connect")
            self.others_connect(seconds)
        finally:
            os.kill(pid, signal.SIGCONT)
        self.client.wait_for_state("established", seconds=120)

    def tred_net_stands_still_for_2_s(self):
        self.stopped(self.net.pid, 2)

    def tred_esp_stands_still_for_2_s(self):
        self.stopped(self.tred.helper_pid(), 2)

    def tred_net_stands_still_until_it_is_given_up(self):
        self.stopped(self.net.pid, 8)

    def killed(self, pid):
        os.kill(pid, signal.SIGKILL)
        time.sleep(2)
        self.client.wait_for_state("established", seconds=120)

    def tred_esp_is_killed(self):
        self.killed(self.tred.helper_pid())

    def tred_tpm_is_killed(self):
        self.killed(self.tred.tpm_pid())
        wait_until(lambda: self.tred.get("State") in ("ready", "development"), "tred's identity", 60)

    def client_floods(self):
        calls = [call for number in range(1, 10000) for call in (begin_exchange(ike.ECP_256), close(number), get_all())]
        flood = self.starting(Flood(calls, connections=4)).start()
        readers = [self.starting(Reader(get_all())) for _ in range(2)]
        while any(thread.is_alive() for thread in flood.threads):
            self.others_connect(1)
        for reader in readers:
            reader.stop()


def disturbances():
    """The names of the methods that are one."""
    first = "connects"
    names = list(vars(Disturbances))
    return [name for name in names[names.index(first):] if name not in ("stopped", "killed")]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--count", type=int, default=20, help="connects, and Reloads (default: 20)")
    parser.add_argument("--only", help="one disturbance")
    arguments = parser.parse_args()
    print("| disturbance | turns | median ms | 99% | 99.9% | longest | its CPU, times pushed aside | most CPU | over 5 ms | waited"
          " | longest of those |\n|---|---|---|---|---|---|---|---|---|---|---|")
    with contextlib.ExitStack() as stack:
        there = Disturbances(stack, arguments.count)
        show("start", there.watch.take())
        for name in disturbances():
            if arguments.only and name != arguments.only:
                continue
            try:
                getattr(there, name)()
            except LabError as error:
                print(f"{name}: {error}")
            show(name.replace("_", " "), there.watch.take())


main()
