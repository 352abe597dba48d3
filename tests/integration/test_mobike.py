"""The HeNB's address changes: the tunnel moves (RFC 4555), or another takes its place."""

import re

from lab.case import LabTest
from lab.network import HENB, HENB_IPV4, HENB_IPV6, INNER_IPV4, NAT, SEGW, SEGW_BEYOND_NAT, SEGW_IPV4, SEGW_IPV6
from lab.process import run, wait_until
from lab.scripted import INFORMATIONAL, ScriptedTest
from lab.traffic import ping

USER = {"data-plane": {"mode": "user"}}
OTHER_IPV4, OTHER_IPV6 = "192.0.2.3", "2001:db8::3"
_DEAD = """
table inet dead {
  chain in {
    type filter hook input priority filter
    iifname "wan" drop
  }
}
"""


class AddressesTest(LabTest):
    def address(self, new, device="wan"):
        """The one IPv4 address of that interface, on the way to the SeGW."""
        run(["ip", "-4", "addr", "flush", "dev", device], namespace=HENB)
        run(["ip", "addr", "add", f"{new}/24", "dev", device], namespace=HENB)
        if device == "home":
            run(["ip", "route", "replace", "198.51.100.0/24", "via", "172.16.0.1"], namespace=HENB)

    def change(self, new=OTHER_IPV4):
        self.addCleanup(self.address, HENB_IPV4)
        self.address(new)


class MovableTest(AddressesTest):
    def tunnel(self, mobike="yes", **options):
        return self.establish(segw={"mobike": mobike}, tred=USER,
                              connection={"liveness": "0", "reconnect": "yes"}, **options)


class MobikeTest(MovableTest):
    def test_the_tunnel_moves_to_another_address_without_a_new_authentication(self):
        gateway, _, client = self.tunnel()
        self.assertIn("N(MOBIKE_SUP)", gateway.log())
        self.assertEqual(ping(HENB, INNER_IPV4), 1)
        self.change()
        client.wait_for(r"moved .* from 192\.0\.2\.3:\d+ to .* now")
        gateway.wait_for(r"parsed INFORMATIONAL request \d+ \[ N\(UPD_SA_ADDR\) N\(NATD_S_IP\) N\(NATD_D_IP\) \]")
        self.assertEqual(ping(HENB, INNER_IPV4, count=3), 3)
        self.assertEqual(client.output().count("established  "), 1)
        self.assertEqual(gateway.sa_count(), 1)
        self.assertIn(OTHER_IPV4, gateway.sas())

    def test_the_tunnel_moves_and_moves_back(self):
        gateway, _, client = self.tunnel()
        self.change()
        client.wait_for(r"moved .* from 192\.0\.2\.3:\d+ to .* now")
        self.change(HENB_IPV4)
        client.wait_for(r"moved .* from 192\.0\.2\.2:\d+ to .* now")
        # charon rekeys the Child SA after a move; if the second one interrupts that, it sends nothing before it has
        # asked again.
        wait_until(lambda: ping(HENB, INNER_IPV4) == 1, "a packet through the tunnel", 30.0)
        self.assertEqual(ping(HENB, INNER_IPV4, count=3), 3)
        self.assertEqual(gateway.sa_count(), 1)

    def test_the_tunnel_moves_behind_a_nat(self):
        gateway, _, client = self.tunnel(segw_section={"address": SEGW_BEYOND_NAT})
        self.assertTrue(client.get("NatDetected"))
        self.addCleanup(self.address, "172.16.0.2", "home")
        self.address("172.16.0.3", "home")
        client.wait_for(r"moved .* from 172\.16\.0\.3:\d+ to .* now")
        self.assertEqual(ping(HENB, INNER_IPV4, count=3), 3)
        self.assertEqual(gateway.sa_count(), 1)
        self.assertTrue(client.get("NatDetected"))

    def test_a_move_while_there_is_no_way_at_all_waits_for_one(self):
        gateway, _, client = self.tunnel()
        run(["ip", "link", "set", "wan", "down"], namespace=HENB)
        self.addCleanup(run, ["ip", "addr", "replace", f"{HENB_IPV6}/64", "dev", "wan", "nodad"], namespace=HENB)
        self.addCleanup(self.address, HENB_IPV4)
        run(["ip", "-4", "addr", "flush", "dev", "wan"], namespace=HENB)
        self.assertEqual(client.get("State"), "established")
        self.address(OTHER_IPV4)
        run(["ip", "link", "set", "wan", "up"], namespace=HENB)
        client.wait_for(r"moved .* from 192\.0\.2\.3:\d+ to .* now")
        wait_until(lambda: ping(HENB, INNER_IPV4) == 1, "a packet through the tunnel")
        self.assertEqual(gateway.sa_count(), 1)

    def test_without_mobike_another_connection_takes_the_place_of_the_first(self):
        gateway, _, client = self.tunnel(mobike="no")
        self.assertNotRegex(gateway.log(), r"generating IKE_AUTH response 1 .*N\(MOBIKE_SUP\)")
        self.change()
        client.wait_for("from another address now; connecting anew")
        wait_until(lambda: client.output().count("established  ") == 2, "another IKE SA")
        wait_until(lambda: ping(HENB, INNER_IPV4) == 1, "a packet through the tunnel")
        wait_until(lambda: gateway.sa_count() == 1, "one IKE SA", 20.0)
        self.assertNotIn("the connection has ended", client.output())


class AllTrafficTest(MovableTest):
    """The selectors cover the SeGW itself: the way to it is a route of tred's, which outlives what is beneath it."""

    def tunnel(self, remote=SEGW_IPV4):
        gateway, tred, client = self.establish(segw={"mobike": "yes", "local_ts": "0.0.0.0/0, ::/0"}, tred=USER,
                                               segw_section={"address": remote},
                                               connection={"liveness": "0", "reconnect": "yes"})
        self.assertEqual(ping(HENB, INNER_IPV4), 1)
        return gateway, tred, client

    def assert_moved(self, gateway, client, address):
        client.wait_for(rf"moved .* from {re.escape(address)}:\d+ to .* now", 30.0)
        wait_until(lambda: ping(HENB, INNER_IPV4) == 1, "a packet through the tunnel", 30.0)
        self.assertEqual(ping(HENB, INNER_IPV4, count=3), 3)
        self.assertEqual(client.output().count("established  "), 1)
        self.assertNotIn("was removed", client.output())
        self.assertEqual(gateway.sa_count(), 1)

    def way(self, remote):
        """By which interface the HeNB's packets for that address leave; None: by none."""
        said = run(["ip", "route", "get", remote], namespace=HENB, check=False)
        found = re.search(r" dev (\S+)", said.stdout) if said.returncode == 0 else None
        return found[1] if found else None

    def test_the_tunnel_moves_to_another_address_and_back(self):
        gateway, _, client = self.tunnel()
        self.change()
        self.assert_moved(gateway, client, OTHER_IPV4)
        self.change(HENB_IPV4)
        self.assert_moved(gateway, client, HENB_IPV4)

    def test_over_ipv6_the_tunnel_moves_to_another_address(self):
        gateway, _, client = self.tunnel(SEGW_IPV6)
        self.addCleanup(self.ipv6_address, HENB_IPV6)
        self.ipv6_address(OTHER_IPV6)
        self.assert_moved(gateway, client, f"[{OTHER_IPV6}]")
        self.assertEqual(self.way(SEGW_IPV6), "wan")

    def ipv6_address(self, new):
        run(["ip", "-6", "addr", "flush", "dev", "wan", "scope", "global"], namespace=HENB)
        run(["ip", "addr", "add", f"{new}/64", "dev", "wan", "nodad"], namespace=HENB)

    def test_while_there_is_no_way_nothing_for_the_segw_enters_the_tunnel_and_then_it_moves(self):
        gateway, _, client = self.tunnel()
        self.addCleanup(self.address, HENB_IPV4)
        run(["ip", "-4", "addr", "flush", "dev", "wan"], namespace=HENB)
        self.assertIsNone(self.way(SEGW_IPV4))
        self.assertEqual(client.get("State"), "established")
        self.address(OTHER_IPV4)
        self.assert_moved(gateway, client, OTHER_IPV4)
        self.assertEqual(self.way(SEGW_IPV4), "wan")

    def test_where_the_host_has_no_address_but_the_inner_one_the_tunnel_waits_for_another(self):
        gateway, tred, client = self.tunnel()
        self.addCleanup(self.address, HENB_IPV4)
        self.addCleanup(self.address, "172.16.0.2", "home")
        for device in "home", "wan":
            run(["ip", "-4", "addr", "flush", "dev", device], namespace=HENB)
        run(["ip", "route", "add", "192.0.2.0/24", "dev", "wan"], namespace=HENB)
        wait_until(lambda: self.way(SEGW_IPV4) == "wan", "a pin", 30.0)
        self.assertIn(" src 10.210.0.", run(["ip", "route", "get", SEGW_IPV4], namespace=HENB).stdout)
        client.wait_for("this host has no address but a tunnel's own", 30.0)
        self.address(OTHER_IPV4)
        self.assert_moved(gateway, client, OTHER_IPV4)
        self.assertEqual(tred.output().count("moves to another transport"), 1)

    def test_a_gateway_that_no_route_leads_to_is_kept_as_the_way_to_the_segw(self):
        # As some networks assign it: "via 10.77.0.1 onlink", and the host has no address beside the gateway's.
        run(["ip", "addr", "add", "10.77.0.1/32", "dev", "inside"], namespace=NAT)
        self.addCleanup(run, ["ip", "addr", "del", "10.77.0.1/32", "dev", "inside"], namespace=NAT)
        self.addCleanup(run, ["ip", "route", "replace", "198.51.100.0/24", "via", "172.16.0.1"], namespace=HENB)
        run(["ip", "route", "replace", "198.51.100.0/24", "via", "10.77.0.1", "dev", "home", "onlink"], namespace=HENB)
        self.tunnel(SEGW_BEYOND_NAT)
        self.assertEqual(self.way(SEGW_BEYOND_NAT), "home")
        self.assertEqual(ping(HENB, INNER_IPV4, count=3), 3)

    def test_the_segw_is_told_of_our_other_addresses_and_of_no_inner_one(self):
        gateway, _, client = self.tunnel()
        told = len(re.findall(r"ADD_[46]_ADDR", gateway.wait_for(r"parsed IKE_AUTH request 1 .*")[0]))
        self.addCleanup(run, ["ip", "addr", "del", "172.16.0.77/24", "dev", "home"], namespace=HENB, check=False)
        run(["ip", "addr", "add", "172.16.0.77/24", "dev", "home"], namespace=HENB)
        line = gateway.wait_for(r"parsed INFORMATIONAL request \d+ \[ (?:N\(ADD_[46]_ADDR\) )+\]", 30.0)[0]
        self.assertEqual(len(re.findall(r"ADD_[46]_ADDR", line)), told + 1)
        self.assertEqual(ping(HENB, INNER_IPV4), 1)
        self.assertEqual(client.output().count("established  "), 1)

    def test_the_tunnel_follows_the_route_to_the_segw_to_another_interface(self):
        network = ["198.51.100.0/24"]
        gateway, _, client = self.tunnel(SEGW_BEYOND_NAT)
        self.assertEqual(self.way(SEGW_BEYOND_NAT), "home")
        self.addCleanup(run, ["ip", "route", "replace", *network, "via", "172.16.0.1"], namespace=HENB)
        run(["ip", "route", "replace", *network, "via", SEGW_IPV4], namespace=HENB)
        self.assert_moved(gateway, client, HENB_IPV4)
        self.assertEqual(self.way(SEGW_BEYOND_NAT), "wan")

    def test_the_tunnel_follows_when_its_interface_goes_down_and_another_leads_to_the_segw(self):
        other = ["198.51.100.0/24", "via", SEGW_IPV4, "metric", "500"]
        gateway, _, client = self.tunnel(SEGW_BEYOND_NAT)
        self.addCleanup(run, ["ip", "route", "replace", "198.51.100.0/24", "via", "172.16.0.1"], namespace=HENB)
        self.addCleanup(run, ["ip", "link", "set", "home", "up"], namespace=HENB)
        self.addCleanup(run, ["ip", "route", "del", *other], namespace=HENB)
        run(["ip", "route", "add", *other], namespace=HENB)
        self.assertEqual(self.way(SEGW_BEYOND_NAT), "home")
        run(["ip", "link", "set", "home", "down"], namespace=HENB)
        self.assert_moved(gateway, client, HENB_IPV4)
        self.assertEqual(self.way(SEGW_BEYOND_NAT), "wan")


class OtherAddressesTest(MovableTest):
    """Both ends' addresses beside those in use (RFC 4555 3.4 to 3.6, 3.10)."""

    def silence_first_path(self):
        """From now on nothing that comes to the SeGW by that interface arrives."""
        self.addCleanup(run, ["nft", "delete", "table", "inet", "dead"], namespace=SEGW)
        run(["nft", "-f", "-"], namespace=SEGW,
            stdin=_DEAD)

    def restless(self, **options):
        """A tunnel that asks for the SeGW soon."""
        return self.establish(segw={"mobike": "yes"}, tred=USER, connection={"liveness": "8", "reconnect": "yes"}, **options)

    def test_the_tunnel_moves_to_the_segws_second_address_when_its_first_is_dead(self):
        gateway, _, client = self.restless()
        gateway.wait_for(r"generating IKE_AUTH response 1 \[ .*N\(MOBIKE_SUP\) .*N\(ADD_4_ADDR\)")
        self.assertEqual(ping(HENB, INNER_IPV4), 1)
        self.silence_first_path()
        client.wait_for(rf"moved .* to {SEGW_BEYOND_NAT}:4500 now", 30.0)
        wait_until(lambda: ping(HENB, INNER_IPV4) == 1, "a packet through the tunnel")
        self.assertEqual(ping(HENB, INNER_IPV4, count=3), 3)
        self.assertEqual(client.output().count("established  "), 1)
        self.assertEqual(gateway.sa_count(), 1)
        self.assertIn(SEGW_BEYOND_NAT, gateway.sas())
        self.assertTrue(client.get("NatDetected"))

    def test_an_address_that_was_left_is_gone_back_to_when_the_other_is_dead(self):
        gateway, _, client = self.restless(segw_section={"address": SEGW_BEYOND_NAT})
        self.addCleanup(run, ["ip", "link", "set", "outside", "up"], namespace="nat")
        run(["ip", "link", "set", "outside", "down"], namespace="nat")
        client.wait_for(rf"moved .* from {HENB_IPV4}:\d+ to {SEGW_IPV4}:4500 now|moved .* to \[2001:db8::1\]:4500 now", 30.0)
        wait_until(lambda: ping(HENB, INNER_IPV4) == 1, "a packet through the tunnel")
        self.assertEqual(gateway.sa_count(), 1)

    def test_the_segw_is_told_of_our_other_addresses_and_when_they_change(self):
        gateway, _, client = self.tunnel()
        gateway.wait_for(r"parsed IKE_AUTH request 1 \[ .*N\(MOBIKE_SUP\) N\(ADD_[46]_ADDR\)")
        told = len(re.findall(r"ADD_[46]_ADDR", re.search(r"parsed IKE_AUTH request 1 .*", gateway.log())[0]))
        self.addCleanup(run, ["ip", "addr", "del", "172.16.0.77/24", "dev", "home"], namespace=HENB, check=False)
        run(["ip", "addr", "add", "172.16.0.77/24", "dev", "home"], namespace=HENB)
        line = gateway.wait_for(r"parsed INFORMATIONAL request \d+ \[ (?:N\(ADD_[46]_ADDR\) )+\]", 30.0)[0]
        self.assertEqual(len(re.findall(r"ADD_[46]_ADDR", line)), told + 1)
        run(["ip", "addr", "flush", "dev", "home"], namespace=HENB)
        self.addCleanup(self.address, "172.16.0.2", "home")
        self.assertEqual(ping(HENB, INNER_IPV4), 1)
        self.assertEqual(client.output().count("established  "), 1)


class ScriptedMobikeTest(ScriptedTest, AddressesTest):
    """With a SeGW by hand, which says MOBIKE_SUPPORTED and no address, and answers the rest with nothing."""

    MOBIKE_SUPPORTED, UPDATE_SA_ADDRESSES, COOKIE2, UNACCEPTABLE_ADDRESSES = 16396, 16400, 16401, 40
    NATD_SOURCE, NATD_DESTINATION = 16388, 16389

    def movable(self):
        self.tunnel(segw={"notifies": {self.MOBIKE_SUPPORTED: b""}, "remote": [f"{INNER_IPV4}-{INNER_IPV4}"]},
                    connection={"liveness": "0"})
        self.ping(self.old_spi())

    def assert_moved(self, address, number=1):
        self.segw.expect(rf"request {number} \d+ {INFORMATIONAL} notify={self.UPDATE_SA_ADDRESSES} ")
        self.client.wait_for(rf"moved .* from {re.escape(address)}:\d+ to .* now", 30.0)
        self.assert_one_left(number)

    def test_a_nat_that_gives_this_host_another_port_is_noticed_by_a_liveness_check(self):
        """RFC 4555 3.8"""
        self.tunnel(segw={"notifies": {self.MOBIKE_SUPPORTED: b""}, "remote": [f"{INNER_IPV4}-{INNER_IPV4}"]},
                    connection={"liveness": "4"})
        for seen in ("11", "11", "11", "22"):  # by the SeGW, each after a whole silence
            self.assertNotIn(f"notify={self.UPDATE_SA_ADDRESSES}", self.segw.output())
            self.segw.tell("add", f"41=0000{self.NATD_DESTINATION:04x}{seen * 20}")
            self.segw.expect(rf"request 1 \d+ {INFORMATIONAL} notify={self.NATD_SOURCE} ")
        self.client.wait_for("sees this host at another address or port than before", 30.0)
        self.segw.expect(rf"request 1 \d+ {INFORMATIONAL} notify={self.UPDATE_SA_ADDRESSES} ")
        self.client.wait_for("the SeGW sends to where it sees this host now", 30.0)
        self.assertNotIn("moved  ", self.client.output())
        self.assert_one_left(1)

    def test_the_tunnel_moves_to_another_address_and_back(self):
        self.movable()
        self.change()
        self.assert_moved(OTHER_IPV4)
        self.change(HENB_IPV4)
        self.assert_moved(HENB_IPV4)
        self.assertEqual(self.client.output().count("established  "), 1)

    def test_the_tunnel_moves_while_the_segw_owes_an_answer_to_a_rekeying_of_the_child(self):
        self.movable()
        self.begin("RekeyChildSas")
        self.change()
        self.segw.expect(r"again 1 ")  # from there
        self.segw.tell("release")
        self.segw.expect(r"child (\w+) ")
        self.assert_moved(OTHER_IPV4)

    def test_a_new_ike_sa_moves_too(self):
        self.movable()
        self.segw_asks("rekey-ike", 1, 19)
        self.segw_asks("delete-ike", 1)
        self.change()
        self.assert_moved(OTHER_IPV4, 2)

    def test_a_segw_that_refuses_the_new_address_is_connected_to_anew(self):
        self.movable()
        self.segw.tell("object", self.UNACCEPTABLE_ADDRESSES)
        self.change()
        self.client.wait_for(r"the SeGW refused UPDATE_SA_ADDRESSES with UNACCEPTABLE_ADDRESSES")
        self.segw.expect(rf"request 1 \d+ {INFORMATIONAL} delete-ike")
        self.assert_one_left(2)

    def test_who_asks_whether_we_are_there_gets_the_cookie_back(self):
        self.movable()
        answer = self.segw_asks("inform", 1, f"{self.COOKIE2}=0123456789abcdef")
        self.assertIn(f"notify={self.COOKIE2} data=0123456789abcdef", answer)
