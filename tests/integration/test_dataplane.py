"""Packets through the user-space data plane: what crosses, what its helper may do, what is left behind."""

import os
import unittest
from pathlib import Path

from lab import memory
from lab.capture import Capture
from lab.case import LabTest
from lab.network import HENB, HENB_IPV4, SEGW, SEGW_IPV4
from lab.process import BIN, Process, run, wait_until
from lab.rekeys import rekey, stream_through_rekeys
from lab.traffic import Pings
from lab.tunnel import FAR, NEAR, PORT, Tunnel, TunnelEnd


def has_interface(namespace):
    return run(["ip", "link", "show", "segw0"], namespace=namespace, check=False).returncode == 0


def ping(namespace, address, size):
    # One probe: behind several ping would wait for the last one but twice as long as for those before.
    said = run(["ping", "-q", "-c", "1", "-W", "5", "-s", size, address], namespace=namespace,
               check=False).stdout
    return " 1 received" in said


class TrafficTest(LabTest):
    def test_packets_of_every_size_cross_both_ways_in_every_suite(self):
        for suite in ("aes128gcm16", "aes256gcm16", "chacha20poly1305", "aes128-sha256",
                      "aes256-sha256"):
            tunnel = self.starting(Tunnel(suite))
            for size in (0, 1, 56, 1300, 5000, 60000):
                self.assertTrue(ping(HENB, FAR, size), f"{suite}, {size} octets")
                self.assertTrue(ping(SEGW, NEAR, size), f"{suite}, {size} octets back")
            tunnel.stop()
            for end in (tunnel.henb, tunnel.segw):
                self.assertIn("replays 0, not authentic 0, malformed 0", end.output())

    def test_a_tcp_stream_through_rekeys_loses_nothing(self):
        result = stream_through_rekeys(megabytes=100, rekeys=5, mbit=200)  # tests/bench/rekeys has more
        self.assertEqual(result.wrong(), {})
        self.assertEqual(result.lost(), result.overruns)

    def test_a_tcp_stream_crosses_and_loses_nothing(self):
        self.starting(Tunnel())
        listener = Process("iperf3", ["iperf3", "-s", "-1"], namespace=SEGW)
        self.addCleanup(listener.stop)
        wait_until(lambda: ":5201" in run(["ss", "-ltn"], namespace=SEGW).stdout, "iperf3")
        said = run(["iperf3", "-c", FAR, "-n", "50M"], namespace=HENB).stdout
        self.assertIn("receiver", said)

    def test_the_interface_has_address_route_and_an_mtu_that_fits(self):
        self.starting(Tunnel())
        shown = run(["ip", "address", "show", "segw0"], namespace=HENB).stdout
        self.assertIn(f"inet {NEAR}/32", shown)
        # 1500 less IPv4 20, UDP 8, ESP header and IV 16, Pad Length and Next Header 2, ICV 16.
        self.assertIn("mtu 1438", shown)
        self.assertIn(f"{FAR} dev segw0", run(["ip", "route"], namespace=HENB).stdout)

    def test_no_packet_on_the_way_is_an_ip_fragment(self):
        self.starting(Tunnel())
        before = self.fragments()
        self.assertTrue(ping(HENB, FAR, 1438 - 28))
        self.assertEqual(self.fragments(), before)

    def fragments(self):
        lines = run(["cat", "/proc/net/snmp"], namespace=HENB).stdout.splitlines()
        names, values = (line.split() for line in lines if line.startswith("Ip:"))
        return values[names.index("FragCreates")]


class ChangeTest(LabTest):
    """Rekeys and MOBIKE, as far as they are the data plane's: while packets go both ways, none is lost or sent twice."""

    def setUp(self):
        super().setUp()
        self.made = self.starting(Tunnel())

    def start_pings(self):
        pings = Pings(FAR)
        self.addCleanup(pings.stop)
        self.wait_for_answers(pings)
        return pings

    @staticmethod
    def wait_for_answers(pings, more=3):
        """Until some more packets have gone both ways."""
        def answers():
            return pings.process.output().count("bytes from")

        before = answers()
        wait_until(lambda: answers() >= before + more, "answers")

    def assert_nothing_lost(self, pings):
        self.wait_for_answers(pings)
        sent, lost = pings.stop()
        self.assertEqual(lost, [], f"of {sent}")
        self.made.stop()
        henb, segw = self.made.henb.counted(), self.made.segw.counted()
        for end in (henb, segw):
            self.assertEqual({name: number for name, number in end.items() if name not in ("in", "out") and number},
                             {}, end)
        self.assertEqual(henb["out"], segw["in"])
        self.assertEqual(henb["in"], segw["out"])

    def test_ten_rekeys_from_either_side_lose_no_packet(self):
        henb, segw = self.made.henb, self.made.segw
        pings = self.start_pings()
        for number in range(2, 12, 2):
            rekey(number, henb, segw)
            rekey(number + 1, segw, henb)
        self.assert_nothing_lost(pings)

    def test_a_pair_in_standby_sends_once_the_one_before_is_removed(self):
        henb, segw = self.made.henb, self.made.segw
        pings = self.start_pings()
        segw.command("standby", 2)
        henb.command("add", 2)
        self.wait_for_answers(pings)
        segw.command("drop", 1)  # as when Delete comes; its answer goes out after that
        self.wait_for_answers(pings)
        henb.command("drop", 1)
        self.wait_for_answers(pings)
        sent, lost = pings.stop()
        self.assertEqual(lost, [], f"of {sent}")

    def test_a_tunnel_that_moves_to_another_port_loses_no_packet(self):
        henb, segw = self.made.henb, self.made.segw
        pings = self.start_pings()
        for port in (4600, 4700, 4800):
            # What leaves the HeNB from its new port the SeGW takes in at once; its own goes to the old one until it knows.
            henb.command("move", HENB_IPV4, port, SEGW_IPV4, PORT)
            segw.command("move", SEGW_IPV4, PORT, HENB_IPV4, port)
        self.assert_nothing_lost(pings)

    def test_a_tunnel_that_moves_during_a_rekey_takes_both_pairs_along(self):
        henb, segw = self.made.henb, self.made.segw
        pings = self.start_pings()
        segw.command("standby", 2)
        henb.command("add", 2)
        henb.command("move", HENB_IPV4, 4600, SEGW_IPV4, PORT)
        segw.command("move", SEGW_IPV4, PORT, HENB_IPV4, 4600)
        segw.command("use", 2)
        henb.command("remove", 1)
        segw.command("remove", 1)
        self.assert_nothing_lost(pings)

    def test_a_tunnel_that_moves_to_another_address_leaves_from_there(self):
        henb, segw = self.made.henb, self.made.segw
        moved = "192.0.2.77"
        run(["ip", "address", "add", f"{moved}/24", "dev", "wan"], namespace=HENB)
        self.addCleanup(run, ["ip", "address", "delete", f"{moved}/24", "dev", "wan"], HENB)
        henb.command("move", moved, PORT, SEGW_IPV4, PORT)
        segw.command("move", SEGW_IPV4, PORT, moved, PORT)
        capture = Capture(SEGW, f"udp and host {moved}")
        self.addCleanup(capture.stop)
        self.assertTrue(ping(HENB, FAR, 56))
        self.assertTrue(ping(SEGW, NEAR, 56))
        self.assertGreaterEqual(len(capture.stop()), 4)


class HelperTest(LabTest):
    def test_the_helper_has_no_right_left(self):
        pid = self.starting(Tunnel()).henb.helper_pid()
        status = memory.status(pid)
        for kind in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
            self.assertEqual(int(status[kind], 16), 0, kind)
        self.assertEqual(status["NoNewPrivs"], "1")
        self.assertEqual(Path(f"/proc/{pid}/mem").stat().st_uid, 0)
        if "__asan_init" in run(["nm", "-D", BIN / "tred-esp"]).stdout:
            self.skipTest("the sanitizers' run-time needs more system calls than the filter allows")
        self.assertEqual(status["Seccomp"], "2")

    def test_the_helper_holds_the_channel_the_tun_and_a_socket_and_nothing_else(self):
        pid = self.starting(Tunnel()).henb.helper_pid()
        held = {os.readlink(entry).split(":")[0] for entry in Path(f"/proc/{pid}/fd").iterdir()}
        held = {name for name in held if not name.endswith("output.log")}  # standard error
        self.assertEqual(held, {"/dev/null", "socket", "/dev/net/tun"})
        self.assertEqual(Path(f"/proc/{pid}/environ").read_bytes(), b"")

    def test_when_the_helper_ends_its_starter_learns_of_it(self):
        tunnel = self.starting(Tunnel())
        os.kill(tunnel.henb.helper_pid(), 9)
        self.assertNotEqual(tunnel.henb.wait(), 0)
        self.assertIn("tred-esp has ended", tunnel.henb.output())
        self.assertFalse(has_interface(HENB))


class LeftoverTest(LabTest):
    def test_nothing_is_left_after_an_orderly_end(self):
        before = run(["ip", "route"], namespace=HENB).stdout
        tunnel = Tunnel()
        tunnel.stop()
        self.assertFalse(has_interface(HENB))
        self.assertEqual(run(["ip", "route"], namespace=HENB).stdout, before)

    def test_nothing_is_left_after_a_crash(self):
        tunnel = self.starting(Tunnel())
        os.kill(tunnel.henb.pid, 9)
        wait_until(lambda: not has_interface(HENB), "the end of tred-esp and its interface")
        again = self.starting(TunnelEnd(HENB)).wait_until_ready()
        self.assertTrue(ping(HENB, FAR, 56))
        again.stop()

    def test_what_a_crash_left_is_cleared_and_only_that(self):
        def ip(*words, check=True):
            return run(["ip", *words], namespace=HENB, check=check)

        ip("link", "add", "segw0", "type", "veth", "peer", "name", "segw0-peer")
        ip("link", "set", "segw0", "alias", "tred: ESP tunnel to the SeGW")
        ip("route", "add", "192.0.2.200/32", "dev", "wan", "proto", "84")
        ip("route", "add", "192.0.2.201/32", "dev", "wan")
        self.addCleanup(ip, "route", "del", "192.0.2.201/32", "dev", "wan")
        self.starting(TunnelEnd(HENB)).wait_until_ready()
        routes = ip("route").stdout
        self.assertNotIn("192.0.2.200", routes)
        self.assertIn("192.0.2.201", routes)
        self.assertIn("tun", ip("-d", "link", "show", "segw0").stdout)

    def test_an_interface_of_someone_else_is_left_alone(self):
        run(["ip", "link", "add", "segw0", "type", "veth", "peer", "name", "segw0-peer"], namespace=HENB)
        self.addCleanup(run, ["ip", "link", "del", "segw0"], HENB)
        end = self.starting(TunnelEnd(HENB))
        self.assertNotEqual(end.wait(), 0)
        self.assertIn("There is an interface segw0 that tred did not make", end.output())
        self.assertTrue(has_interface(HENB))


if __name__ == "__main__":
    unittest.main()
