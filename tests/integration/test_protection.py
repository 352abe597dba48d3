"""Traffic stays in the tunnel: what belongs into it leaves by it or not at all, and nothing reaches an inner address past it."""

import json
import os
import re
import signal
import socket
import struct
import sys

from lab.case import LabTest
from lab.network import (HENB, HENB_IPV6, INNER_IPV4, INNER_IPV6, NAT, SEGW, SEGW_BEYOND_NAT, SEGW_IPV4, SEGW_IPV6, inside)
from lab.process import BIN, LAB, Process, run, wait_until
from lab.programs import TredNet
from lab.responder import ScriptedSegw
from lab.traffic import INTERFACE, Pings, has_interface, ping

HENB_INNER_IPV4, HENB_INNER_IPV6 = "10.210.0.1", "fd00:210::1"
CORE = {"allowed-remote": "10.200.0.0/16, fd00:200::/32"}
BEYOND_IPV4, BEYOND_IPV6 = "203.0.113.7", "2001:db8:f::7"  # the internet, behind the SeGW's network
GTP_U, DNS, NTP = 2152, 53, 123

# Sends a datagram from an address, as whoever runs it.
SEND = """
import socket, sys
source, target, port = sys.argv[1:]
s = socket.socket(socket.AF_INET6 if ":" in target else socket.AF_INET, socket.SOCK_DGRAM)
s.bind((source, 0))
try:
    s.sendto(b"in clear", (target, int(port)))
except OSError as error:
    print(error)
"""


def user_plane(**changes):
    return {"data-plane": {"mode": "user", **changes}}


def rules():
    """The table's rules as nft shows them, without their counters; empty where there are none."""
    said = run(["nft", "-s", "list", "table", "inet", "tred"], namespace=HENB, check=False)
    return said.stdout if said.returncode == 0 else ""


class Wire:
    """Every packet in clear on the HeNB's WAN, from or to an address that is to be in the tunnel."""

    def __init__(self, *addresses):
        expression = " or ".join(f"host {address}" for address in addresses)
        self.process = Process("wire", ["tcpdump", "-i", "wan", "-n", "-l", "--immediate-mode", "-Z", "root",
                                        expression], namespace=HENB)
        self.process.wait_for("listening on")

    def packets(self):
        return re.findall(r"^.* (?:IP6?) (?!.*(?:neighbor|router) (?:solicit|advert)).*$", self.process.output(), re.M)

    def stop(self):
        self.process.stop()


class ProtectionTest(LabTest):
    def setUp(self):
        super().setUp()
        for family, gateway in (("-4", SEGW_IPV4), ("-6", SEGW_IPV6)):
            self.ip(HENB, family, "route", "replace", "default", "via", gateway)
            self.addCleanup(self.ip, HENB, family, "route", "del", "default")
        for address in (f"{BEYOND_IPV4}/32", f"{BEYOND_IPV6}/128"):
            self.ip(SEGW, "addr", "add", address, "dev", "lo")
            self.addCleanup(self.ip, SEGW, "addr", "del", address, "dev", "lo")
        self.addCleanup(run, ["nft", "delete", "table", "inet", "tred"], namespace=HENB, check=False)
        self.wire = self.starting(Wire(INNER_IPV4, INNER_IPV6, HENB_INNER_IPV4, HENB_INNER_IPV6, BEYOND_IPV4,
                                       BEYOND_IPV6))

    @staticmethod
    def ip(namespace, *words):
        run(["ip", "-n", namespace, *words])

    def tunnel(self, data_plane=None, **options):
        options = {"child": {"request-address": "both"}, "connection": {"reconnect": "yes"}, **options}
        self.gateway, self.tred, self.client = self.establish(
            tred=user_plane(**(CORE if data_plane is None else data_plane)), **options)

    def send(self, target, port=GTP_U, source="", user="tred-net"):
        """What sending a datagram came to; empty if it left."""
        return run([sys.executable, "-I", "-c", SEND, source, target, port], namespace=HENB, user=user).stdout.strip()

    def start_sending(self):
        """Packets for the core, 50 a second of each family, from here to the end of the test."""
        for address in (INNER_IPV4, INNER_IPV6):
            self.addCleanup(Pings(address).stop)

    def drops_out_go_on(self):
        """More than the wire could carry by chance are dropped from here on."""
        # Asked of the kernel, as tred may not be there.
        before = counter("dropped_out")
        wait_until(lambda: counter("dropped_out") > before + 20, "packets to be dropped", 10)

    def assert_nothing_in_clear(self):
        self.assertEqual(self.wire.packets(), [])


def counter(name):
    listing = run(["nft", "-j", "list", "counter", "inet", "tred", name], namespace=HENB).stdout
    return next(entry["counter"]["packets"] for entry in json.loads(listing)["nftables"] if "counter" in entry)


class LeavingTest(ProtectionTest):
    def test_with_protect_no_packets_for_the_core_leave_in_clear_once_the_tunnel_is_down(self):
        """What the others in here are spared; and the wire sees it."""
        self.tunnel({**CORE, "protect": "no"}, connection={"reconnect": "no"})
        self.assertEqual(rules(), "")
        self.gateway.control("--terminate", "--ike", "henb")
        wait_until(lambda: not has_interface(), f"the end of {INTERFACE}")
        for address in (INNER_IPV4, INNER_IPV6):
            ping(HENB, address)
            wait_until(lambda: any(address in packet for packet in self.wire.packets()), "a packet in clear")
        self.assertEqual(self.tred.get("CleartextDropsOut"), 0)
        self.assertEqual(self.tred.get("Protection"), "no")

    def test_not_one_packet_leaves_in_clear_while_the_tunnel_is_down(self):
        self.tunnel(connection={"reconnect": "no"})
        self.start_sending()
        before = self.tred.get("CleartextDropsOut")
        self.gateway.control("--terminate", "--ike", "henb")
        wait_until(lambda: not has_interface(), f"the end of {INTERFACE}")
        self.drops_out_go_on()
        self.assertGreater(self.tred.get("CleartextDropsOut"), before)
        self.assertEqual(self.tred.get("Protection"), "yes")
        self.assert_nothing_in_clear()

    def test_not_one_packet_leaves_in_clear_before_the_first_tunnel(self):
        self.start_tred(**user_plane(**CORE))
        self.start_sending()
        self.drops_out_go_on()
        self.assert_nothing_in_clear()

    def test_not_one_packet_leaves_in_clear_while_tred_is_killed_and_started_again(self):
        self.tunnel()
        self.start_sending()
        self.tred.kill()
        wait_until(lambda: not has_interface(), f"the end of {INTERFACE}")
        self.drops_out_go_on()
        self.start_tred_again()
        wait_until(lambda: ping(HENB, INNER_IPV4), "a packet through the new tunnel", 30)
        self.assert_nothing_in_clear()

    def test_not_one_packet_leaves_in_clear_while_tred_net_is_killed_and_started_again(self):
        self.tunnel()
        self.start_sending()
        self.tred_net.kill()
        wait_until(lambda: not has_interface(), f"the end of {INTERFACE}")
        self.drops_out_go_on()
        before = counter("dropped_out")
        self.start_tred_net()
        wait_until(lambda: ping(HENB, INNER_IPV4), "a packet through the new tunnel", 30)
        self.assertGreaterEqual(self.tred.get("CleartextDropsOut"), before)  # it goes on counting
        self.assert_nothing_in_clear()

    def test_not_one_packet_leaves_in_clear_while_tred_esp_is_killed_and_started_again(self):
        self.tunnel()
        self.start_sending()
        os.kill(self.tred.helper_pid(), signal.SIGKILL)
        self.client.wait_for(r"(?s)established .*established ", 20)
        wait_until(lambda: ping(HENB, INNER_IPV4), "a packet through the new tunnel", 30)
        self.assert_nothing_in_clear()

    def test_not_one_packet_leaves_in_clear_while_tred_is_stopped_and_started_again_at_once(self):
        self.tunnel()
        self.start_sending()
        before = counter("dropped_out")
        self.tred.stop()
        self.start_tred_again()
        wait_until(lambda: ping(HENB, INNER_IPV4), "a packet through the new tunnel", 30)
        self.assertGreater(counter("dropped_out"), before)
        self.assert_nothing_in_clear()

    def test_not_one_packet_leaves_in_clear_while_tred_and_tred_net_are_restarted_together(self):
        """As an upgrade does it: tred is stopped first, and tred-net ends by its unit's RestartKillSignal=."""
        unit = (LAB / "units" / "tred-net.service").read_text()
        name, = re.findall(r"^RestartKillSignal=(.+)$", unit, re.MULTILINE)
        self.tunnel()
        self.start_sending()
        self.tred.stop()
        self.tred_net.killed = True
        self.tred_net.popen.send_signal(signal.Signals[name])
        self.tred_net.wait()
        self.assertIn("chain out", rules())
        self.start_tred_again()
        wait_until(lambda: ping(HENB, INNER_IPV4), "a packet through the new tunnel", 30)
        self.assert_nothing_in_clear()

    def test_an_inner_address_does_not_leave_by_another_interface(self):
        self.tunnel()
        before = counter("dropped_out")
        self.assertIn("not permitted", self.send(SEGW_IPV4, source=HENB_INNER_IPV4))
        self.assertIn("not permitted", self.send(SEGW_IPV6, source=HENB_INNER_IPV6))
        self.assertEqual(counter("dropped_out"), before + 2)
        self.assert_nothing_in_clear()

    def start_tred_again(self):
        self.world.tpm.stop()
        self.tred = self.start_tred(**user_plane(**CORE))


class ExceptionTest(ProtectionTest):
    """What passes although it goes past the tunnel, and what does not."""

    def start(self, **data_plane):
        self.tred = self.start_tred(**user_plane(**data_plane))

    def assert_leaves(self, *arguments, **options):
        self.assertEqual(self.send(*arguments, **options), "", arguments)

    def assert_is_dropped(self, *arguments, **options):
        before = counter("dropped_out")
        self.assertIn("not permitted", self.send(*arguments, **options), arguments)
        self.assertEqual(counter("dropped_out"), before + 1)

    def test_where_everything_is_allowed_local_networks_dns_and_ntp_pass_and_nothing_else(self):
        self.start()
        for target in (SEGW_IPV4, SEGW_IPV6, "172.16.0.1"):
            self.assert_leaves(target)
        for target in (BEYOND_IPV4, BEYOND_IPV6):
            self.assert_is_dropped(target)
            self.assert_leaves(target, DNS)
            self.assert_leaves(target, NTP)
            for user in ("tred", "henb-ike"):
                self.assert_leaves(target, 4500, user=user)

    def test_strict_lets_local_networks_dns_and_ntp_through_for_the_ike_client_alone(self):
        self.start(protect="strict")
        for target in (SEGW_IPV4, SEGW_IPV6, BEYOND_IPV4, BEYOND_IPV6):
            for port in (GTP_U, DNS, NTP):
                self.assert_is_dropped(target, port)
            self.assert_leaves(target, DNS, user="henb-ike")

    def test_a_network_that_is_named_has_no_local_exception(self):
        self.start(**{"allowed-remote": "192.0.2.0/24, 2001:db8::/64"})
        for target in (SEGW_IPV4, SEGW_IPV6):
            self.assert_is_dropped(target)
            for port in (DNS, NTP):
                self.assert_leaves(target, port)  # of the home network's router, whatever its address
        for target in ("172.16.0.1", BEYOND_IPV4, BEYOND_IPV6):
            self.assert_leaves(target)

    def test_names_of_the_core_are_not_asked_for_in_clear_where_it_is_named(self):
        self.start(**CORE)
        for target in (INNER_IPV4, INNER_IPV6):
            for port in (GTP_U, DNS, NTP):
                self.assert_is_dropped(target, port)
        self.assert_leaves(BEYOND_IPV4, DNS)

    def test_a_segw_in_a_network_that_is_named_is_reached(self):
        self.tunnel({"allowed-remote": f"192.0.2.0/24, {CORE['allowed-remote']}", "protect": "strict"})
        self.assertEqual(ping(HENB, INNER_IPV4), 1)
        self.assert_is_dropped(SEGW_IPV4)

    def test_a_network_of_protect_except_passes_and_its_neighbour_does_not(self):
        self.start(**{"protect-except": "203.0.113.6/31, 2001:db8:f::/127"})
        self.assert_leaves(BEYOND_IPV4)
        self.assert_leaves("2001:db8:f::1")
        self.assert_is_dropped("203.0.113.8")
        self.assert_is_dropped("203.0.113.5")
        self.assert_is_dropped("2001:db8:f::2")

    def test_a_network_that_the_host_joins_and_leaves_is_followed(self):
        self.start()
        self.ip(SEGW, "addr", "add", "198.18.7.1/24", "dev", "wan")
        self.addCleanup(self.ip, SEGW, "addr", "del", "198.18.7.1/24", "dev", "wan")
        self.assert_is_dropped("198.18.7.1")
        self.ip(HENB, "addr", "add", "198.18.7.2/24", "dev", "wan")
        wait_until(lambda: self.send("198.18.7.1") == "", "a new local network to pass")
        self.ip(HENB, "addr", "del", "198.18.7.2/24", "dev", "wan")
        wait_until(lambda: self.send("198.18.7.1"), "an old local network not to pass")

    def test_a_segw_beyond_a_router_is_reached_though_everything_is_protected(self):
        for protect in ("yes", "strict"):
            self.tunnel({"protect": protect}, segw_section={"address": SEGW_BEYOND_NAT})
            self.assertEqual(ping(HENB, INNER_IPV4), 1)
            for part in (self.client, self.tred, self.world.tpm, self.gateway):
                part.stop()

    def test_in_a_protected_network_neighbour_discovery_passes(self):
        """Or a SeGW on the link would not find the HeNB: answers go to its own address."""
        self.start(**{"allowed-remote": "::/0", "protect": "strict"})
        self.assert_is_dropped(SEGW_IPV6)
        run(["ip", "-n", SEGW, "-6", "neigh", "flush", "dev", "wan"])
        ping(SEGW, HENB_IPV6)
        shown = run(["ip", "-n", SEGW, "-6", "neigh", "show", HENB_IPV6, "dev", "wan"]).stdout
        self.assertIn("lladdr", shown)


class InjectingTest(ProtectionTest):
    """A packet in clear from the LAN to an inner address."""

    def setUp(self):
        super().setUp()
        for namespace, device, address in ((NAT, "inside", "fd77::1/64"), (HENB, "home", "fd77::2/64")):
            self.ip(namespace, "addr", "add", address, "dev", device, "nodad")
            self.addCleanup(self.ip, namespace, "addr", "del", address, "dev", device)
        self.ip(NAT, "route", "add", HENB_INNER_IPV4, "via", "172.16.0.2")
        self.ip(NAT, "route", "add", HENB_INNER_IPV6, "via", "fd77::2")
        self.addCleanup(self.ip, NAT, "route", "del", HENB_INNER_IPV4)
        self.addCleanup(self.ip, NAT, "route", "del", HENB_INNER_IPV6)
        for name in ("all", "home", "default"):
            run(["sysctl", "-qw", f"net.ipv4.conf.{name}.rp_filter=0"], namespace=HENB)

    def inject(self, family, local, source):
        """True if a datagram with that source reaches a socket on the inner address."""
        with inside(HENB):
            server = socket.socket(family, socket.SOCK_DGRAM)
        with inside(NAT):
            raw = socket.socket(family, socket.SOCK_RAW, socket.IPPROTO_RAW)
        with server, raw:
            server.bind((local, GTP_U))
            server.settimeout(0.5)
            raw.sendto(datagram(family, source, local), (local, 0))
            try:
                server.recv(100)
            except TimeoutError:
                return False
        return True


class ArrivingTest(InjectingTest):
    CASES = ((socket.AF_INET, HENB_INNER_IPV4, (INNER_IPV4, "172.16.0.1")),
             (socket.AF_INET6, HENB_INNER_IPV6, (INNER_IPV6, "fd77::1")))

    def test_it_is_dropped_and_counted_whatever_its_source(self):
        self.tunnel()
        for family, local, sources in self.CASES:
            for source in sources:
                before = self.tred.get("CleartextDropsIn")
                self.assertFalse(self.inject(family, local, source), source)
                self.assertEqual(self.tred.get("CleartextDropsIn"), before + 1)
        # The host itself reaches it, and so does the tunnel's other end.
        self.assertEqual(ping(HENB, HENB_INNER_IPV4), 1)
        self.assertEqual(ping(SEGW, HENB_INNER_IPV4), 1)
        self.assertEqual(ping(SEGW, HENB_INNER_IPV6), 1)

    def test_it_is_dropped_where_everything_is_allowed(self):
        self.tunnel({})
        for family, local, sources in self.CASES:
            self.assertFalse(self.inject(family, local, sources[0]))

    def test_with_protect_no_it_arrives(self):
        self.tunnel({"protect": "no"})
        for family, local, sources in self.CASES:
            wait_until(lambda family=family, local=local, source=sources[0]: self.inject(family, local, source),
                       f"a packet from {sources[0]}", 10)


def datagram(family, source, destination):
    data = b"GTP-U from the kitchen"
    addresses = socket.inet_pton(family, source) + socket.inet_pton(family, destination)
    head = struct.pack("!HHHH", GTP_U, GTP_U, 8 + len(data), 0)
    if family == socket.AF_INET:
        return struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(head + data), 1, 0, 64, 17, 0) + addresses + head + data
    pseudo = addresses + struct.pack("!IHBB", len(head + data), 0, 0, 17) + head + data
    words = struct.unpack(f"!{len(pseudo) // 2}H", pseudo)
    total = sum(words)
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    head = head[:6] + struct.pack("!H", ~total & 0xffff)
    return struct.pack("!IHBB", 6 << 28, len(head + data), 17, 64) + addresses + head + data


class RulesTest(ProtectionTest):
    """How long the rules stay."""

    def start_tred_net(self):
        if not self.tred_net or not self.tred_net.running():
            self.tred_net = self.starting(TredNet(unprotect_after=2)).wait_for_socket()
        return self.tred_net

    def test_they_go_when_tred_is_stopped_and_not_when_it_is_killed(self):
        self.tunnel()
        self.tred.kill()
        wait_until(lambda: not has_interface(), f"the end of {INTERFACE}")
        self.assertIn("chain out", rules())
        self.world.tpm.stop()
        tred = self.start_tred(**user_plane(**CORE))
        self.assertIn("chain out", rules())
        tred.stop()
        wait_until(lambda: not rules(), "the end of the rules", 15)

    def test_they_go_when_tred_is_stopped_where_nobody_wants_a_sign_of_life(self):
        self.tred_net = self.starting(TredNet(unprotect_after=2, watched=False)).wait_for_socket()
        self.tunnel()
        self.tred.stop()
        wait_until(lambda: not rules(), "the end of the rules", 15)

    def test_they_stay_when_tred_net_is_stopped_without_tred(self):
        self.tunnel()
        self.tred_net.stop()
        wait_until(lambda: not has_interface(), f"the end of {INTERFACE}")
        self.assertIn("chain out", rules())

    def test_they_go_when_tred_is_stopped_while_there_is_no_tred_net(self):
        self.tunnel()
        self.tred_net.kill()
        self.tred.wait_for("The data plane failed: tred-net has ended")
        net = self.start_tred_net()  # as systemd does once it is connected to
        os.kill(net.pid, signal.SIGSTOP)
        self.tred.popen.send_signal(signal.SIGTERM)
        self.tred.wait()
        os.kill(net.pid, signal.SIGCONT)
        wait_until(lambda: not rules(), "the end of the rules", 15)

    def test_they_go_when_tred_and_tred_net_are_stopped_one_after_the_other(self):
        self.tunnel()
        self.tred.stop()
        self.tred_net.stop()
        self.assertEqual(rules(), "")

    def test_they_go_when_tred_net_is_stopped_before_it_has_read_that_tred_was(self):
        self.tunnel()
        os.kill(self.tred_net.pid, signal.SIGSTOP)
        self.tred.stop()
        self.tred_net.popen.send_signal(signal.SIGTERM)
        os.kill(self.tred_net.pid, signal.SIGCONT)
        self.tred_net.wait()
        self.assertEqual(rules(), "")

    def test_they_can_be_taken_away_by_hand(self):
        self.tunnel()
        self.tred_net.kill()
        self.tred.kill()
        self.assertIn("chain out", rules())
        run([BIN / "tred-net", "--unprotect"], namespace=HENB)
        self.assertEqual(rules(), "")
        run([BIN / "tred-net", "--unprotect"], namespace=HENB)  # and none are as good as some

    def test_protect_no_takes_away_what_an_earlier_tred_left(self):
        self.tunnel()
        self.tred.kill()
        wait_until(lambda: not has_interface(), f"the end of {INTERFACE}")
        self.world.tpm.stop()
        self.start_tred(**user_plane(protect="no"))
        self.assertEqual(rules(), "")

    def test_rules_that_somebody_deletes_are_put_back(self):
        self.tunnel()
        whole = rules()
        for what in (["flush", "ruleset"], ["delete", "table", "inet", "tred"], ["flush", "chain", "inet", "tred", "out"]):
            run(["nft", *what], namespace=HENB)
            wait_until(lambda: rules() == whole, f"the rules after {what}")
        self.tred_net.wait_for("Somebody else deleted rules of the table inet tred")

    def test_a_table_of_another_name_is_left_alone(self):
        run(["nft", "add", "table", "inet", "other"], namespace=HENB)
        self.addCleanup(run, ["nft", "delete", "table", "inet", "other"], namespace=HENB)
        self.tunnel()
        self.tred.stop()
        self.tred_net.stop()
        self.assertIn("table inet other", run(["nft", "list", "ruleset"], namespace=HENB).stdout)


class ScriptedTest(InjectingTest):
    """With a SeGW by hand, which knows IPv4 alone."""

    def tunnel(self, data_plane=None, **options):
        self.segw = self.starting(ScriptedSegw(self.world.segw_credential()))
        self.tred = self.start_tred(**user_plane(**CORE))
        self.client = self.start_client(child={"remote-ts": "10.200.0.0/16"}, **options)
        self.client.wait_for_state("established", seconds=30.0)

    def test_not_one_packet_leaves_in_clear_while_the_tunnel_is_down_and_none_arrives(self):
        self.tunnel()
        self.start_sending()
        for source in (INNER_IPV4, "172.16.0.1"):
            before = self.tred.get("CleartextDropsIn")
            self.assertFalse(self.inject(socket.AF_INET, HENB_INNER_IPV4, source))
            self.assertEqual(self.tred.get("CleartextDropsIn"), before + 1)
        self.segw.expect("packet ")  # it leaves by the tunnel
        self.segw.tell("delete-ike", 1)
        wait_until(lambda: not has_interface(), f"the end of {INTERFACE}")
        self.drops_out_go_on()
        self.assert_nothing_in_clear()
