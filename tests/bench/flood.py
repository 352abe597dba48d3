"""tred under floods of calls. See tests/bench/flood."""

import argparse
import contextlib
import sys
import time

from lab.bus import Bus
from lab.case import World
from lab.flood import Flood, begin_exchange, close, get_all
from lab.handclient import HandClient
from lab.programs import Tred
from lab.segw import Segw, SegwOptions

CONNECT_MAX = 1.0  # seconds


def connect():
    """How long IKE_SA_INIT and IKE_AUTH took."""
    hand = HandClient()
    hand.socket.settimeout(30)
    begun = time.monotonic()
    try:
        hand.until("verify")
        return time.monotonic() - begun
    finally:
        hand.stop()


def measure(name, tred, flood):
    begun, times = time.monotonic(), []
    flood.start()
    while any(thread.is_alive() for thread in flood.threads) or len(times) < 3:
        times.append(connect())
    sent = time.monotonic() - begun
    flood.stop()
    times.append(connect())
    good = tred.running() and max(times) < CONNECT_MAX
    print(f"{'ok  ' if good else 'FAIL'} {name}: sent in {sent:.1f} s; {len(times)} connects meanwhile, "
          f"the slowest {max(times) * 1000:.0f} ms; tred {'runs' if tred.running() else 'has ended'}",
          flush=True)
    return good


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--count", type=int, default=127000)
    parser.add_argument("--connections", type=int, default=6)
    arguments = parser.parse_args()
    each = arguments.count // arguments.connections
    world = World()
    with contextlib.ExitStack() as parts:
        def starting(part):
            parts.callback(part.stop)
            return part

        starting(Bus())
        starting(world.tpm.start())
        starting(Segw(world.segw_credential(), world.vendor_root, SegwOptions()))
        tred = starting(Tred(world.device("ecdsa-p256"))).wait_for_name()
        pairs = [pair for i in range(1, each // 2) for pair in (begin_exchange(), close(i))]
        good = [measure("BeginExchange, no reply wanted", tred,
                        Flood([begin_exchange()] * each, connections=arguments.connections)),
                measure("begun and closed, no reply wanted", tred,
                        Flood(pairs, connections=arguments.connections)),
                measure("GetAll, no reply wanted", tred,
                        Flood([get_all()] * each, "nobody", arguments.connections))]
    sys.exit(0 if all(good) else 1)


main()
