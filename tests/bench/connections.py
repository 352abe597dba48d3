"""Many connections at once, held. See tests/bench/connections."""

import argparse
import collections
import contextlib
import re
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from lab.bus import Bus, Connection
from lab.case import World
from lab.network import INNER_IPV4, SEGW, SEGW_IPV4
from lab.pki import SEGW_NAME
from lab.process import LabError, run, wait_until
from lab.programs import CLIENT, IkeClient, Tred, TredNet
from lab.segw import Segw, SegwOptions
from processes import cpu_seconds, own_processes

MARKS = "10,100,300,1000"
SECONDS_EACH = 2.0  # far above what one takes, so that only a stalled run is given up
PAUSE = 0.05  # between two looks, which cost the SeGW time
SPARE = 24  # exchanges of the 1,024 that a user may have
UNITS = Path(__file__).resolve().parents[2] / "dbus" / "units"
PROGRAMS = ["ikeclient", "tred", "tred-tpm", "tred-net", "tred-esp", "tred-verify"]


def resident(pid):
    """Octets of a process's own memory (USS)."""
    with open(f"/proc/{pid}/smaps_rollup") as file:
        return sum(int(size) for size in re.findall(r"^Private_\w+: +(\d+) kB", file.read(), re.M)) * 1024


def as_its_unit(name):
    """The command that runs a program with the descriptors that its unit lets it have."""
    limit = re.search(r"(?m)^LimitNOFILE=(\d+)$", (UNITS / f"{name}.service.in").read_text())[1]
    return ["prlimit", f"--nofile={limit}"]


@dataclass
class Look:
    """What there is at one moment: how many connections, when, and by program's name octets and CPU seconds."""

    up: int
    time: float
    memory: dict
    cpu: dict


def look(up, segw):
    """`segw` is charon's process, of which the CPU is looked at, too."""
    memory, cpu = collections.Counter(), collections.Counter({"SeGW": cpu_seconds(segw.pid)})
    for pid, name in own_processes().items():
        with contextlib.suppress(OSError):  # tred-verify ends when nobody wants it
            memory[name] += resident(pid)
            cpu[name] += cpu_seconds(pid)
    return Look(up, time.monotonic(), memory, cpu)


def network_of(number):
    """What the tunnel of that number may carry; no two have an address in common."""
    return f"10.{220 + number // 250}.{number % 250}.0/24"


def give_addresses(count):
    """strongSwan has a selector of its own only where it has an address in it."""
    run(["ip", "-n", SEGW, "-batch", "-"],
        stdin="".join(f"addr add {network_of(number)[:-4]}1/32 dev lo\n" for number in range(count)))


class Many:
    """A SeGW, tred and ikeclient with `count` connections, and no traffic."""

    def __init__(self, count, data_plane):
        world, self.bus = World(), Bus()
        networks = ", ".join([f"{INNER_IPV4}/32", "10.220.0.0/14"])
        give_addresses(count)
        # All have one identity: the SeGW is not to take one for a successor of another.
        self.segw = Segw(world.segw_credential(), world.vendor_root,
                         SegwOptions(local_ts=networks, unique="never", pool_ipv4="10.210.0.0/16",
                                     quiet=True,
                                     # Or it looks through all of its IKE SAs for each message.
                                     charon="ikesa_table_size = 1024"))
        self.tpm = world.tpm
        self.tpm.start()
        names = [f"c{number}" for number in range(count)]
        self.net = TredNet().wait_for_socket() if data_plane != "none" else None
        self.tred = Tred(world.device("ecdsa-p256"), under=as_its_unit("tred"), **{
            "data-plane": {"mode": data_plane},
            "segw": {"allowed-remote": f"{INNER_IPV4}/32"},
            "exchanges": {"max-exchanges": str(count + SPARE), "verify-seconds": "600"},
            **{f"segw {name}": {"name": SEGW_NAME, "allowed-remote": network_of(number)}
               for number, name in enumerate(names)}}).wait_for_name()
        self.client = IkeClient(under=as_its_unit("ikeclient"), **{
            "segw": {"address": SEGW_IPV4},
            "connection": {"reconnect": "yes", "initial-contact": "no", "liveness": "0",
                           "keepalive": "0"},
            "log": {"level": "warning"},
            **{f"connection {name}": {"remote-ts": network_of(number)}
               for number, name in enumerate(names)}})
        self.first = look(0, self.segw.process)

    def tunnels(self):
        """How many IKE SAs the SeGW has established. To ask it costs our processes nothing, and itself little."""
        self.client.assert_running()
        time.sleep(PAUSE)
        total, half_open = map(int, re.search(r"IKE_SAs: (\d+) total, (\d+) half-open",
                                              self.segw.control("--stats")).groups())
        return total - half_open

    def up(self):
        """How many ikeclient says are established."""
        self.client.assert_running()
        bus = Connection("nobody", seconds=60)
        try:
            objects, = bus.call(CLIENT, "/org/tred", "org.freedesktop.DBus.ObjectManager",
                                "GetManagedObjects")
        finally:
            bus.close()
        return sum(interfaces[CLIENT]["State"][1] == "established"
                   for path, interfaces in objects.items() if "/connection/" in path)

    def said(self):
        """The last words of ours."""
        return "\n".join(part.output()[-3000:] for part in (self.client, self.tred, self.net) if part)

    def stop(self):
        for part in (self.client, self.tred, self.net, self.tpm, self.segw, self.bus):
            if part:
                part.stop()


def looks(many, marks):
    """One when so many connections are up, for each of `marks`."""
    begun, last = time.monotonic(), 0
    for wanted in marks:
        wait_until(lambda wanted=wanted: many.tunnels() >= wanted, f"{wanted} connections",
                   30 + (wanted - last) * SECONDS_EACH)
        last = wanted
        yield look(many.tunnels(), many.segw.process)
    print(f"all up after {time.monotonic() - begun:.1f} s")


def show_row(new, last):
    """What each connection since the last look cost."""
    more = new.up - last.up
    if not more:
        return
    print(f"{new.up:5} {(new.time - last.time) * 1000 / more:8.1f}", end="")
    for name in PROGRAMS:
        milliseconds = (new.cpu[name] - last.cpu[name]) * 1000 / more
        print(f" {milliseconds:7.2f} {(new.memory[name] - last.memory[name]) / 1024 / more:7.1f}", end="")
    print(f" {(new.cpu['SeGW'] - last.cpu['SeGW']) * 1000 / more:7.2f}", flush=True)


def main():
    parser = argparse.ArgumentParser(description="Many connections of one ikeclient, held.")
    parser.add_argument("--at", default=MARKS, metavar="N,N")
    parser.add_argument("--data-plane", choices=["user", "none"], default="none")
    arguments = parser.parse_args()
    marks = sorted(map(int, arguments.at.split(",")))
    many = Many(marks[-1], arguments.data_plane)
    last = many.first
    print("for each connection since the row above: ms, and ms of CPU and KiB of each process")
    print(f"{'up':>5} {'ms':>8}" + "".join(f" {name:>15}" for name in PROGRAMS) + f" {'SeGW':>7}")
    try:
        for row in looks(many, marks):
            show_row(row, last)
            last = row
    except LabError as error:
        sys.exit(f"{error}\n{many.said()}")
    held = many.up()
    print(f"held: {held}; " + ", ".join(f"{name} {last.memory[name] / 2**20:.1f} MiB" for name in PROGRAMS))
    many.stop()
    sys.exit(0 if held == marks[-1] else 1)


if __name__ == "__main__":
    main()
