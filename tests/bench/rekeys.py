"""Streams through rekeys, counted at both ends. See tests/bench/rekeys."""

import argparse
import sys

from lab.bus import Bus
from lab.case import World
from lab.programs import IkeClient, Operator, Tred, TredNet
from lab.rekeys import datagrams_through_ike_rekeys, stream_through_rekeys
from lab.segw import Segw, SegwOptions

STATIC_MBIT = 800  # so that the rekeys are over before the stream is
MBIT = 25  # each way; strongSwan's data plane has to keep up


def static_keys(arguments):
    result = stream_through_rekeys(arguments.megabytes, arguments.rekeys, STATIC_MBIT)
    print(f"static keys, TCP: {arguments.megabytes} MB and {arguments.rekeys} rekeys in {result.seconds:.1f} s: "
          f"{result.henb['out']} packets out, {result.segw['in']} in; back {result.segw['out']} out, "
          f"{result.henb['in']} in; {result.overruns} without room", flush=True)
    for name, number in result.wrong().items():
        print(f"{name}: {number}")
    return not result.wrong() and result.lost() == result.overruns


def whole_product(arguments, world):
    parts = []

    def started(part):
        parts.insert(0, part)
        return part

    try:
        started(Bus())
        gateway = started(Segw(world.segw_credential(), world.vendor_root, SegwOptions()))
        started(world.tpm.start())
        started(TredNet()).wait_for_socket()
        started(Tred(world.device("ecdsa-p256"), **{"data-plane": {"mode": "user"}})).wait_for_name()
        client = started(IkeClient())
        client.wait_for_state("established")
        counted = datagrams_through_ike_rekeys((gateway, client, started(Operator())), arguments.megabytes,
                                               arguments.rekeys, arguments.ike_rekeys, MBIT)
    finally:
        for part in parts:
            part.stop()
    print(f"with strongSwan, UDP: {arguments.megabytes} MB, {arguments.rekeys} rekeys of the Child SA and "
          f"{arguments.ike_rekeys} of the IKE SA: {counted.up} datagrams up, {counted.down} down, {counted.lost} lost; "
          f"{counted.no_room} without room")
    return counted.lost <= counted.no_room


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=int, default=1000, metavar="M")
    parser.add_argument("--rekeys", type=int, default=20, metavar="N")
    parser.add_argument("--ike-rekeys", type=int, default=3, metavar="N")
    arguments = parser.parse_args()
    world = World()
    return 0 if all([static_keys(arguments), whole_product(arguments, world)]) else 1


sys.exit(main())
