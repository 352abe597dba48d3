"""DSCP and ECN between a packet and the ESP packet around it (RFC 6040), in user space."""

import re

from lab.case import LabTest
from lab.network import HENB, INNER_IPV4, INNER_IPV6, SEGW, SEGW_IPV4, SEGW_IPV6
from lab.process import Process, run, wait_until
from lab.traffic import INTERFACE, ping

HENB_INNER_IPV4, HENB_INNER_IPV6 = "10.210.0.1", "fd00:210::1"
EF, ECT_0, CE = 0xb8, 0x02, 0x03


class MarksTest(LabTest):
    def tunnel(self, data_plane=None, **options):
        return self.establish(tred={"data-plane": {"mode": "user", **(data_plane or {})}},
                              child={"request-address": "both"}, **options)

    def watch(self, interface, expression):
        """tcpdump in the HeNB, which shows each packet's octet of DSCP and ECN."""
        process = self.starting(Process("tcpdump", ["tcpdump", "-i", interface, "-n", "-v", "-l", "--immediate-mode",
                                                    "-Z", "root", expression], namespace=HENB))
        process.wait_for("listening on")
        return process

    @staticmethod
    def octets(process):
        said = process.output()
        return {int(octet, 16) for octet in re.findall(r"tos (0x[0-9a-f]+)", said)} | {
            int(octet, 16) for octet in re.findall(r"class (0x[0-9a-f]+)", said)}

    def mark(self, family):
        """From here on a router marks every ESP packet that comes to the HeNB."""
        rule = f"add rule inet marks in udp sport 4500 {family} ecn set ce"
        run(["nft", f"add table inet marks; add chain inet marks in {{ type filter hook prerouting priority -400; }}; {rule}"],
            namespace=HENB)
        self.addCleanup(run, ["nft", "delete", "table", "inet", "marks"], namespace=HENB)

    @staticmethod
    def ping(namespace, address, octet):
        return run(["ping", "-q", "-c", "3", "-i", "0.05", "-W", "5", "-Q", hex(octet), address], namespace=namespace,
                   check=False).returncode == 0

    def assert_outside(self, expected, data_plane=None, segw=SEGW_IPV4):
        self.tunnel(data_plane, segw_section={"address": segw})
        outside = self.watch("wan", f"udp port 4500 and dst host {segw}")
        for address in (INNER_IPV4, INNER_IPV6):
            self.assertTrue(self.ping(HENB, address, EF | ECT_0))
        wait_until(lambda: self.octets(outside), "an ESP packet")
        # tcpdump leaves a class of zero out where it is IPv6.
        self.assertEqual(self.octets(outside) - {0}, {expected} - {0})

    def test_esp_packets_show_dscp_and_ecn_of_what_is_inside(self):
        self.assert_outside(EF | ECT_0)

    def test_esp_packets_show_dscp_and_ecn_of_what_is_inside_over_ipv6(self):
        self.assert_outside(EF | ECT_0, segw=SEGW_IPV6)

    def test_without_copy_dscp_esp_packets_show_ecn_alone(self):
        self.assert_outside(ECT_0, {"copy-dscp": "no"})

    def test_without_ecn_esp_packets_show_dscp_alone(self):
        self.assert_outside(EF, {"ecn": "no"})

    def test_what_a_router_marks_outside_is_marked_inside(self):
        self.tunnel()
        self.mark("ip")
        inside = self.watch(INTERFACE, f"(icmp and src host {INNER_IPV4}) or (icmp6 and src host {INNER_IPV6})")
        for address in (INNER_IPV4, INNER_IPV6):
            self.assertTrue(self.ping(HENB, address, ECT_0))  # the answer has it from the request
        wait_until(lambda: inside.output().count("echo reply") == 6, "the answers")
        self.assertEqual(self.octets(inside), {CE})

    def test_what_must_not_be_marked_and_was_is_dropped_and_counted(self):
        _, tred, _ = self.tunnel()
        self.mark("ip")
        self.assertEqual(ping(HENB, INNER_IPV4), 0)
        child, = tred.children()
        self.assertEqual((child["EcnDropsIn"], child["PacketsIn"]), (1, 0))

    def test_what_must_not_be_marked_and_was_is_dropped_and_counted_over_ipv6(self):
        _, tred, _ = self.tunnel(segw_section={"address": SEGW_IPV6})
        self.mark("ip6")
        self.assertEqual(ping(HENB, INNER_IPV4), 0)
        child, = tred.children()
        self.assertEqual((child["EcnDropsIn"], child["PacketsIn"]), (1, 0))

    def test_without_ecn_a_mark_outside_says_nothing(self):
        _, tred, _ = self.tunnel({"ecn": "no"})
        self.mark("ip")
        self.assertEqual(ping(HENB, INNER_IPV4), 1)
