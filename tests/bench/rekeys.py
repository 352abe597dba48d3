"""A stream through rekeys, counted at both ends. See tests/bench/rekeys."""

import argparse
import sys

from lab.network import make_network
from lab.rekeys import stream_through_rekeys


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=int, default=1000, metavar="M")
    parser.add_argument("--rekeys", type=int, default=20, metavar="N")
    arguments = parser.parse_args()
    make_network()
    result = stream_through_rekeys(arguments.megabytes, arguments.rekeys)
    print(f"{arguments.megabytes} MB and {arguments.rekeys} rekeys in {result.seconds:.1f} s: "
          f"{result.henb['out']} packets out, {result.segw['in']} in; back {result.segw['out']} out, "
          f"{result.henb['in']} in; {result.overruns} without room in a socket's buffer")
    for name, number in result.wrong().items():
        print(f"{name}: {number}")
    return 1 if result.wrong() or result.lost() != result.overruns else 0


sys.exit(main())
