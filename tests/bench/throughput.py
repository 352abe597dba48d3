"""One TCP stream through the tunnel, by several pairs of ends. See tests/bench/throughput."""

import argparse
import json
import re
import statistics
import sys
from dataclasses import dataclass
from pathlib import Path

from lab.bus import Bus
from lab.case import World
from lab.network import HENB, INNER_IPV4, SEGW
from lab.process import Process, run, wait_until
from lab.programs import IkeClient, Tred, TredNet
from lab.segw import Segw, SegwOptions
from lab.strongswan_henb import HenbOptions, StrongswanHenb
from lab.tunnel import FAR, Tunnel, helper_of

GIGABYTE = 1e9
WANTED_RATIO = 3.0


@dataclass
class Result:
    """What one pair of ends did in one round."""

    mbit: float
    ping_ms: float
    ping_worst_ms: float
    esp_cpu: float  # seconds a gigabyte, of the processes that do ESP at both ends
    all_cpu: float  # and of the whole machine


def process_seconds(pid):
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / 100


def machine_seconds():
    """CPU time that was not idle."""
    fields = [int(word) for word in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]]
    return (sum(fields[:8]) - fields[3] - fields[4]) / 100


def ping(address, probes):
    said = run(["ping", "-q", "-c", probes, "-i", "0.002", address], namespace=HENB).stdout
    minimum, average, worst = re.search(r"= ([\d.]+)/([\d.]+)/([\d.]+)/", said).groups()
    del minimum
    if f" {probes} received" not in said:
        raise RuntimeError(f"ping lost packets:\n{said}")
    return float(average), float(worst)


def answers(address):
    probe = run(["ping", "-q", "-c", "1", "-W", "1", address], namespace=HENB, check=False)
    return probe.returncode == 0


def stream(address, seconds):
    """Octets that one TCP stream carried to the SeGW's side, and the time it took."""
    server = Process("iperf3", ["iperf3", "-s", "-1"], namespace=SEGW)
    wait_until(lambda: ":5201" in run(["ss", "-ltn"], namespace=SEGW).stdout, "iperf3")
    said = run(["iperf3", "-c", address, "-t", seconds, "-J"], namespace=HENB).stdout
    server.wait()
    received = json.loads(said)["end"]["sum_received"]
    return received["bytes"], received["seconds"]


def measure(esp_pids, address, seconds, probes):
    average, worst = ping(address, probes)
    esp = sum(process_seconds(pid) for pid in esp_pids)
    machine = machine_seconds()
    octets, took = stream(address, seconds)
    esp = sum(process_seconds(pid) for pid in esp_pids) - esp
    machine = machine_seconds() - machine
    return Result(octets * 8 / took / 1e6, average, worst, esp / octets * GIGABYTE,
                  machine / octets * GIGABYTE)


class Ours:
    """tred-esp at both ends, with static keys."""

    name = "ours - ours"

    def __init__(self, arguments, _world):
        self.tunnel = Tunnel(arguments.suite)
        self.address = FAR
        self.esp_pids = [helper_of(self.tunnel.henb.pid), helper_of(self.tunnel.segw.pid)]

    def stop(self):
        self.tunnel.stop()


class Mixed:
    """Our whole HeNB, by a real handshake, against charon with kernel-libipsec."""

    name = "ours - strongSwan"

    def __init__(self, arguments, world):
        self.bus = Bus()
        self.segw = Segw(world.segw_credential(), world.vendor_root,
                         SegwOptions(esp_proposals=arguments.suite))
        world.tpm.start()
        self.tpm = world.tpm
        self.net = TredNet().wait_for_socket()
        self.tred = Tred(world.device("ecdsa-p256"), **{"data-plane": {"mode": "user"}})
        self.tred.wait_for_name()
        self.client = IkeClient(ike={"proposals": "aes256gcm16-prfsha384-ecp384"},
                                child={"proposals": arguments.suite})
        self.client.wait_for_state("established")
        self.address = INNER_IPV4
        self.esp_pids = [helper_of(self.tred.pid), self.segw.process.pid]

    def stop(self):
        for part in (self.client, self.tred, self.net, self.tpm, self.segw, self.bus):
            part.stop()


class Strongswan:
    """charon with kernel-libipsec at both ends."""

    name = "strongSwan - strongSwan"

    def __init__(self, arguments, world):
        proposal = {"esp_proposals": arguments.suite}
        self.segw = Segw(world.segw_credential(), world.vendor_root, SegwOptions(**proposal))
        self.henb = StrongswanHenb(world.vendor_root, world.operator_root,
                                   HenbOptions(esp_proposals=arguments.suite)).wait_until_ready()
        self.henb.initiate()
        self.address = INNER_IPV4
        self.esp_pids = [self.segw.process.pid, self.henb.process.pid]

    def stop(self):
        self.henb.stop()
        self.segw.stop()


def run_rounds(arguments, world, pairs):
    results = {pair.name: [] for pair in pairs}
    for number in range(arguments.rounds):
        for pair in pairs:
            ends = pair(arguments, world)
            try:
                wait_until(lambda: answers(ends.address), f"a tunnel, {pair.name}")
                result = measure(ends.esp_pids, ends.address, arguments.seconds, arguments.probes)
            finally:
                ends.stop()
            results[pair.name].append(result)
            print(f"round {number + 1}, {pair.name}: {result.mbit:.0f} Mbit/s", file=sys.stderr)
    return results


def median(results, field):
    return statistics.median(getattr(result, field) for result in results)


def print_table(results):
    print(f"{'':26}{'Mbit/s':>8}{'ping ms':>9}{'worst':>8}{'ESP CPU s/GB':>14}{'all CPU s/GB':>14}")
    for name, rounds in results.items():
        print(f"{name:26}{median(rounds, 'mbit'):8.0f}{median(rounds, 'ping_ms'):9.3f}"
              f"{median(rounds, 'ping_worst_ms'):8.2f}{median(rounds, 'esp_cpu'):14.2f}"
              f"{median(rounds, 'all_cpu'):14.2f}")


def main():
    parser = argparse.ArgumentParser(description="One TCP stream through the tunnel.")
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--probes", type=int, default=1000)
    parser.add_argument("--suite", default="aes128gcm16")
    arguments = parser.parse_args()
    results = run_rounds(arguments, World(), [Ours, Mixed, Strongswan])
    print_table(results)
    reference = median(results[Strongswan.name], "mbit")
    ratios = {name: median(rounds, "mbit") / reference for name, rounds in results.items()}
    for name, ratio in ratios.items():
        if name != Strongswan.name:
            print(f"{name}: {ratio:.2f} times {Strongswan.name}")
    sys.exit(0 if ratios[Ours.name] >= WANTED_RATIO else 1)


if __name__ == "__main__":
    main()
