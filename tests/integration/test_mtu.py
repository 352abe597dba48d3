"""Lines that have less room than IPv6 asks of an interface: 1280 octets inside, fragments outside (RFC 2473 7.1)."""

import re
import sys

from lab.case import LabTest
from lab.network import (HENB, INNER_IPV4, INNER_IPV6, NAT, SEGW, SEGW_BEYOND_NAT, SEGW_IPV4,
                         SEGW_IPV6)
from lab.process import run, wait_until
from lab.traffic import INTERFACE, kernel_has_esp, ping

HENB_INNER_IPV4, HENB_INNER_IPV6 = "10.210.0.1", "fd00:210::1"
IPV6_MTU_MIN = 1280
LARGEST_IPV6, LARGEST_IPV4 = IPV6_MTU_MIN - 48, IPV6_MTU_MIN - 28  # of a probe's octets

# A sender who does not want fragments, and what the kernel tells it: 10 is IP_MTU_DISCOVER, 2 IP_PMTUDISC_DO, 14 IP_MTU.
SENDER = """
import errno, socket, sys
sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sender.setsockopt(socket.IPPROTO_IP, 10, 2)
sender.connect((sys.argv[1], 9))
try:
    sender.send(bytes(int(sys.argv[2])))
except OSError as error:
    print(errno.errorcode[error.errno], sender.getsockopt(socket.IPPROTO_IP, 14))
"""


class Narrow(LabTest):
    MODE = "user"

    def setUp(self):
        super().setUp()
        if self.MODE == "kernel" and not kernel_has_esp():
            self.skipTest("this kernel has no ESP")

    def narrow(self, mtu, *ends):
        for namespace, device in ends:
            run(["ip", "link", "set", device, "mtu", mtu], namespace=namespace)
            self.addCleanup(run, ["ip", "link", "set", device, "mtu", "1500"], namespace)

    def tunnel(self, address, wish="both"):
        self.establish(tred={"data-plane": {"mode": self.MODE}}, segw_section={"address": address},
                       child={"request-address": wish})

    def mtu(self):
        return int(run(["ip", "link", "show", INTERFACE], namespace=HENB).stdout.split("mtu ")[1].split()[0])

    def assert_crosses(self, *sizes):
        for size in (*sizes, 56, 4000):
            self.assertEqual(ping(HENB, INNER_IPV6, min(size, 4000)), 1, f"{size} octets by IPv6")
            self.assertEqual(ping(HENB, INNER_IPV4, size), 1, f"{size} octets by IPv4")
        self.assertEqual(ping(SEGW, HENB_INNER_IPV6, LARGEST_IPV6), 1)


class MtuTest(Narrow):
    def assert_ipv6_crosses(self, mtu, address, wish="both"):
        self.narrow(mtu, (HENB, "wan"), (SEGW, "wan"))
        self.tunnel(address, wish)
        self.assertEqual(self.mtu(), IPV6_MTU_MIN)
        if wish == "both":
            self.assert_crosses(LARGEST_IPV6, LARGEST_IPV4)
        else:
            self.assertEqual(ping(HENB, INNER_IPV6, LARGEST_IPV6), 1)

    def test_ipv6_inside_crosses_a_line_of_1300_octets(self):
        self.assert_ipv6_crosses(1300, SEGW_IPV4)

    def test_ipv6_alone_crosses_a_line_of_1300_octets(self):
        self.assert_ipv6_crosses(1300, SEGW_IPV4, "ipv6")

    def test_ipv6_inside_crosses_the_narrowest_line_of_ipv6(self):
        self.assert_ipv6_crosses(IPV6_MTU_MIN, SEGW_IPV6)

    def test_a_line_of_one_octet_less_than_ipv6_inside_has_room_for_is_crossed(self):
        """1280 octets inside are 1342 outside: the padding goes by 4, so that 1341 leaves room for 1278."""
        self.assert_ipv6_crosses(1341, SEGW_IPV4)

    def test_without_ipv6_inside_the_mtu_is_what_fits(self):
        self.narrow(1300, (HENB, "wan"), (SEGW, "wan"))
        self.tunnel(SEGW_IPV4, "ipv4")
        self.assertLess(self.mtu(), 1300 - 36)
        self.assertEqual(ping(HENB, INNER_IPV4, LARGEST_IPV4), 1)

    def test_a_path_that_turns_out_to_be_narrow_is_crossed_too(self):
        """A router on the way says so by ICMP when the tunnel is up; the packet that it says it of is lost."""
        self.tunnel(SEGW_BEYOND_NAT)
        self.assertGreater(self.mtu(), 1400)
        self.narrow(1300, (NAT, "outside"), (SEGW, "natted"))
        for size, address in ((LARGEST_IPV6, INNER_IPV6), (1350, INNER_IPV6), (1350, INNER_IPV4)):
            wait_until(lambda size=size, address=address: ping(HENB, address, size) == 1,
                       f"{size} octets to {address}", 30)
        self.assert_crosses(LARGEST_IPV6, LARGEST_IPV4)


    def path_of(self, mtu):
        """The path through the NAT has so much room from now on, and its router tells whoever sends more."""
        for namespace, device in ((NAT, "outside"), (SEGW, "natted")):
            run(["ip", "link", "set", device, "mtu", mtu], namespace=namespace)

    def forget_paths(self):
        """What routers have said, which the kernel keeps for ten minutes."""
        run(["ip", "route", "flush", "cache"], namespace=HENB)

    def narrowed_tunnel(self):
        self.addCleanup(self.forget_paths)
        self.addCleanup(self.path_of, 1500)
        self.forget_paths()
        self.tunnel(SEGW_BEYOND_NAT, "ipv4")
        before = self.mtu()
        self.path_of(1300)
        ping(HENB, INNER_IPV4, before - 28)  # has the router say so
        wait_until(lambda: self.mtu() < 1300 - 36, "the interface to fit the path", 30)
        return before

    def test_the_interface_fits_a_path_that_turns_out_to_be_narrow_and_then_wide_again(self):
        before = self.narrowed_tunnel()
        self.assertGreater(self.mtu(), 1200)
        self.assertEqual(ping(HENB, INNER_IPV4, self.mtu() - 28), 1)
        self.path_of(1500)
        self.forget_paths()
        wait_until(lambda: self.mtu() == before, "the interface to fit the path", 30)

    def test_senders_on_the_host_are_told_of_a_path_that_turns_out_to_be_narrow(self):
        before = self.narrowed_tunnel()
        done = run([sys.executable, "-c", SENDER, INNER_IPV4, before - 28], namespace=HENB)
        self.assertEqual(done.stdout.split(), ["EMSGSIZE", str(self.mtu())])

    def told_by_a_router(self, namespace, size):
        """What a sender who does not want fragments hears of how large they may be."""
        said = run(["ping", "-c", "3", "-i", "0.2", "-W", "1", "-M", "do", "-s", size, INNER_IPV4], namespace=namespace,
                   check=False).stdout
        return {int(mtu) for mtu in re.findall(r"mtu ?[=:] ?(\d+)", said)}

    def test_senders_behind_the_host_are_told_of_a_path_that_turns_out_to_be_narrow(self):
        before = self.narrowed_tunnel()
        run(["sysctl", "-qw", "net.ipv4.ip_forward=1"], namespace=HENB)
        self.addCleanup(run, ["sysctl", "-qw", "net.ipv4.ip_forward=0"], HENB)
        run(["nft", "-f", "-"], namespace=HENB, stdin="table ip behind { chain out { type nat hook postrouting priority srcnat; "
            f'oifname "{INTERFACE}" masquerade; }}; }}')
        self.addCleanup(run, ["nft", "delete", "table", "ip", "behind"], HENB)
        run(["ip", "route", "add", INNER_IPV4, "via", "172.16.0.2"], namespace=NAT)
        self.addCleanup(run, ["ip", "route", "del", INNER_IPV4], NAT)
        self.addCleanup(run, ["ip", "route", "flush", "cache"], NAT)
        self.assertEqual(ping(NAT, INNER_IPV4), 1)
        self.assertEqual(self.told_by_a_router(NAT, before - 28), {self.mtu()})


class KernelMtuTest(MtuTest):
    MODE = "kernel"
