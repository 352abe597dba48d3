"""Many connections at once, held. See tests/bench/connections."""

import argparse
import re
import sys
import time

from lab.bus import Bus, Connection
from lab.case import World
from lab.network import INNER_IPV4, SEGW, SEGW_IPV4
from lab.pki import SEGW_NAME
from lab.process import run, wait_until
from lab.programs import CLIENT, IkeClient, Tred
from lab.segw import Segw, SegwOptions

HUNDRED = 100
SECONDS_EACH = 2.0  # far above what one takes, so that only a stalled run is given up
SPARE = 24  # exchanges of the 1,024 that a user may have


def resident(pid):
    """Octets of a process's own memory (USS)."""
    with open(f"/proc/{pid}/smaps_rollup") as file:
        return sum(int(size) for size in re.findall(r"^Private_\w+: +(\d+) kB", file.read(), re.M)) * 1024


def network_of(number):
    """What the tunnel of that number may carry; no two have an address in common."""
    return f"10.{220 + number // 250}.{number % 250}.0/24"


def give_addresses(count):
    """strongSwan has a selector of its own only where it has an address in it."""
    run(["ip", "-n", SEGW, "-batch", "-"],
        stdin="".join(f"addr add {network_of(number)[:-4]}1/32 dev lo\n" for number in range(count)))


class Many:
    """A SeGW, tred and ikeclient with `count` connections; no traffic, as there is no data plane."""

    def __init__(self, count):
        self.count = count
        world, self.bus = World(), Bus()
        networks = ", ".join([f"{INNER_IPV4}/32", "10.220.0.0/14"])
        give_addresses(count)
        # All have one identity: the SeGW is not to take one for a successor of another.
        self.segw = Segw(world.segw_credential(), world.vendor_root,
                         SegwOptions(local_ts=networks, unique="never", pool_ipv4="10.210.0.0/16",
                                     quiet=True))
        self.tpm = world.tpm
        self.tpm.start()
        names = [f"c{number}" for number in range(count)]
        self.tred = Tred(world.device("ecdsa-p256"), **{
            "segw": {"allowed-remote": f"{INNER_IPV4}/32"},
            "exchanges": {"max-exchanges": str(count + SPARE), "verify-seconds": "600"},
            **{f"segw {name}": {"name": SEGW_NAME, "allowed-remote": network_of(number)}
               for number, name in enumerate(names)}}).wait_for_name()
        self.before = resident(self.tred.pid)
        self.begun = time.monotonic()
        self.client = IkeClient(**{
            "segw": {"address": SEGW_IPV4},
            "connection": {"reconnect": "yes", "initial-contact": "no", "liveness": "0",
                           "keepalive": "0"},
            "log": {"level": "warning"},
            **{f"connection {name}": {"remote-ts": network_of(number)}
               for number, name in enumerate(names)}}).wait_for_name()

    def tunnels(self):
        """How many Child SAs the SeGW has: to ask it costs nothing of what is measured."""
        self.client.assert_running()
        return len(re.findall(r"INSTALLED", self.segw.sas()))

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

    def stop(self):
        for part in (self.client, self.tred, self.tpm, self.segw, self.bus):
            part.stop()


def rows(many):
    """(how many are up, seconds since the start, octets of tred and of ikeclient), for each hundred."""
    for wanted in [*range(HUNDRED, many.count, HUNDRED), many.count]:
        wait_until(lambda wanted=wanted: many.tunnels() >= wanted, f"{wanted} connections",
                   30 + HUNDRED * SECONDS_EACH)
        yield (wanted, time.monotonic() - many.begun, resident(many.tred.pid),
               resident(many.client.pid))


def main():
    parser = argparse.ArgumentParser(description="Many connections of one ikeclient, held.")
    parser.add_argument("--count", type=int, default=300)
    count = parser.parse_args().count
    many = Many(count)
    last = 0, 0.0, many.before, resident(many.client.pid)
    print(f"{'up':>5} {'ms each':>8} {'tred KiB each':>14} {'ikeclient KiB each':>19}")
    for row in rows(many):
        new = row[0] - last[0]
        print(f"{row[0]:5} {(row[1] - last[1]) * 1000 / new:8.1f} {(row[2] - last[2]) / 1024 / new:14.1f}"
              f" {(row[3] - last[3]) / 1024 / new:19.1f}", flush=True)
        last = row
    held = many.up()
    print(f"held: {held}; tred {last[2] / 2**20:.1f} MiB, ikeclient {last[3] / 2**20:.1f} MiB")
    many.stop()
    sys.exit(0 if held == count else 1)


if __name__ == "__main__":
    main()
