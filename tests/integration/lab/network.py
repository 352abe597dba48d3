"""The network: a HeNB's, a SeGW's, a direct way between them, and one that leads through a NAT.

    henb ── 192.0.2.0/24, 2001:db8::/64 ───────────── segw
    henb ── 172.16.0.0/24 ── nat ── 198.51.100.0/24 ── segw
"""

import contextlib
import ctypes
import os
import socket

from lab.process import LabError, run

HENB, SEGW, NAT = "henb", "segw", "nat"
SEGW_IPV4, SEGW_IPV6, SEGW_BEYOND_NAT = "192.0.2.1", "2001:db8::1", "198.51.100.1"
HENB_IPV4, HENB_IPV6 = "192.0.2.2", "2001:db8::2"
NAT_OUTSIDE = "198.51.100.2"
INNER_IPV4, INNER_IPV6 = "10.200.0.1", "fd00:200::1"

_IP_COMMANDS = f"""
netns add {HENB}
netns add {SEGW}
netns add {NAT}
-n {HENB} link set lo up
-n {SEGW} link set lo up
-n {NAT} link set lo up
link add wan netns {HENB} type veth peer name wan netns {SEGW}
link add home netns {HENB} type veth peer name inside netns {NAT}
link add outside netns {NAT} type veth peer name natted netns {SEGW}
-n {HENB} addr add {HENB_IPV4}/24 dev wan
-n {HENB} addr add {HENB_IPV6}/64 dev wan nodad
-n {SEGW} addr add {SEGW_IPV4}/24 dev wan
-n {SEGW} addr add {SEGW_IPV6}/64 dev wan nodad
-n {HENB} addr add 172.16.0.2/24 dev home
-n {NAT} addr add 172.16.0.1/24 dev inside
-n {NAT} addr add {NAT_OUTSIDE}/24 dev outside
-n {SEGW} addr add {SEGW_BEYOND_NAT}/24 dev natted
-n {SEGW} addr add {INNER_IPV4}/32 dev lo
-n {SEGW} addr add {INNER_IPV6}/128 dev lo
-n {HENB} link set wan up
-n {SEGW} link set wan up
-n {HENB} link set home up
-n {NAT} link set inside up
-n {NAT} link set outside up
-n {SEGW} link set natted up
-n {HENB} route add 198.51.100.0/24 via 172.16.0.1
"""

_NAT_RULES = """
table ip nat {
  chain postrouting {
    type nat hook postrouting priority srcnat
    oifname "outside" masquerade random
  }
}
"""


def make_network():
    if os.environ.get("TRED_WORLD") != "1":
        raise LabError("this is no world to make networks in: use tests/integration/world")
    for command in _IP_COMMANDS.strip().splitlines():
        run(["ip", *command.split()])
        if command.startswith("netns add"):
            # Link-local addresses that are there at once: no test sees the network change by itself.
            run(["sysctl", "-qw", "net.ipv6.conf.default.accept_dad=0"], namespace=command.split()[-1])
    run(["sysctl", "-qw", "net.ipv4.ip_forward=1"], namespace=NAT)
    run(["nft", "-f", "-"], namespace=NAT, stdin=_NAT_RULES)


OTHER_HENB, OTHER_HENB_IPV4, SEGW_FOR_OTHER = "other-henb", "192.0.3.2", "192.0.3.1"


def make_other_henb():
    """A second HeNB's network, with a way of its own to the SeGW: two HeNBs in one would get in each
    other's way, as the SeGW leases the same inner address to either."""
    for command in (f"netns add {OTHER_HENB}", f"-n {OTHER_HENB} link set lo up",
                    f"link add wan netns {OTHER_HENB} type veth peer name other netns {SEGW}",
                    f"-n {OTHER_HENB} addr add {OTHER_HENB_IPV4}/24 dev wan",
                    f"-n {SEGW} addr add {SEGW_FOR_OTHER}/24 dev other",
                    f"-n {OTHER_HENB} link set wan up", f"-n {SEGW} link set other up"):
        run(["ip", *command.split()])


MANAGEMENT, MANAGEMENT_IPV4, MANAGEMENT_INNER = "management", "192.0.4.1", "10.201.0.1"


class Management:
    """The network of a second SeGW, with a direct way to the HeNB."""

    def __init__(self):
        for command in (f"netns add {MANAGEMENT}", f"-n {MANAGEMENT} link set lo up",
                        f"link add second netns {HENB} type veth peer name wan netns {MANAGEMENT}",
                        f"-n {HENB} addr add 192.0.4.2/24 dev second",
                        f"-n {MANAGEMENT} addr add {MANAGEMENT_IPV4}/24 dev wan",
                        f"-n {MANAGEMENT} addr add {MANAGEMENT_INNER}/32 dev lo",
                        f"-n {HENB} link set second up", f"-n {MANAGEMENT} link set wan up"):
            run(["ip", *command.split()])

    def stop(self):
        run(["ip", "-n", HENB, "link", "del", "second"])
        run(["ip", "netns", "del", MANAGEMENT])


_CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


def _setns(descriptor):
    if _libc.setns(descriptor, _CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")


@contextlib.contextmanager
def inside(namespace):
    """Sockets that this thread makes meanwhile belong to `namespace`."""
    own = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    other = os.open(f"/run/netns/{namespace}", os.O_RDONLY)
    try:
        _setns(other)
        yield
    finally:
        _setns(own)
        os.close(other)
        os.close(own)


def udp_socket(namespace, peer, port, seconds=3.0):
    """A UDP socket in `namespace`, connected to `peer`."""
    family = socket.AF_INET6 if ":" in peer else socket.AF_INET
    with inside(namespace):
        sock = socket.socket(family, socket.SOCK_DGRAM)
    sock.settimeout(seconds)
    sock.connect((peer, port))
    return sock
