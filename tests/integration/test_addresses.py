"""The inner addresses that a SeGW may assign: none that would change where the host's own packets go."""

from lab.bus import BusError
from lab.case import LabTest
from lab.handclient import HandClient
from lab.network import HENB, HENB_IPV4, SEGW_IPV4
from lab.process import run, wait_until
from lab.responder import Responder
from lab.traffic import INTERFACE, configuration, has_interface

USER = {"data-plane": {"mode": "user"}}
NARROW = {"data-plane": {"mode": "user", "allowed-local": "10.0.0.0/8",
                         "allowed-remote": "10.200.0.0/16"}}
HENB_OTHER_IPV4 = "172.16.0.2"  # another interface's
ELSEWHERE = ("8.8.8.8", "1.1.1.1", "172.16.9.9", "203.0.113.77", SEGW_IPV4)


def routes():
    """Which way the host's packets go."""
    return [run(["ip", "route", "get", address], namespace=HENB, check=False).stdout
            for address in ELSEWHERE]


class AddressTest(LabTest):
    def hand(self, assign, nat=False):
        """A client whose SeGW is verified and assigns that address; it asks for 10.200.0.1."""
        responder = Responder(self.world.segw_credential(), assign=assign)
        self.addCleanup(responder.stop)
        hand = self.starting(HandClient())
        hand.ts_i = hand.ts_r = bytes((10, 200, 0, 1)), bytes((10, 200, 0, 1))
        hand.begin().sa_init()
        hand.agree()
        hand.open_transport(nat=nat).sign().authenticate().verify()
        responder.stop()
        return hand

    def assert_refused(self, address):
        before, ways = configuration(), routes()
        hand = self.hand(address)
        with self.assertRaises(BusError) as caught:
            hand.add_child()
        self.assertEqual(caught.exception.name, "AddressNotAllowed", caught.exception)
        wait_until(lambda: configuration() == before, "the network as it was")
        self.assertEqual(routes(), ways)
        hand.call("Close")
        return caught.exception.text

    def test_addresses_of_the_host_and_the_segw_are_refused(self):
        self.start_tred(**USER)
        self.assertIn("the SeGW's own", self.assert_refused(SEGW_IPV4))
        self.assertIn("this host's own", self.assert_refused(HENB_IPV4))
        self.assertIn("another interface", self.assert_refused(HENB_OTHER_IPV4))

    def test_addresses_with_a_meaning_of_their_own_are_refused(self):
        self.start_tred(**USER)
        for address in ("127.0.0.1", "127.0.0.53", "224.0.0.1", "255.255.255.255", "169.254.1.1",
                        "0.0.0.0"):
            self.assertIn(address, self.assert_refused(address))

    def test_addresses_outside_of_allowed_local_are_refused(self):
        self.start_tred(**NARROW)
        for address in ("8.8.8.8", "203.0.113.9", "192.168.0.1"):
            self.assertIn("allowed-local", self.assert_refused(address))

    def test_an_allowed_address_is_taken_alone_and_its_routes_go_where_allowed_remote_does(self):
        self.start_tred(**NARROW)
        ways = routes()
        hand = self.hand("10.210.0.1")
        self.assertEqual(hand.add_child(), INTERFACE)
        self.assertEqual(routes(), ways)
        said = run(["ip", "-4", "-o", "address", "show", "dev", INTERFACE], namespace=HENB).stdout
        self.assertRegex(said, r"inet 10\.210\.0\.1(/32)? ")
        said = run(["ip", "-4", "route", "show", "dev", INTERFACE], namespace=HENB).stdout
        self.assertEqual([line.split()[0] for line in said.splitlines()], ["10.200.0.1"])

    def test_a_client_that_says_that_there_is_no_nat_changes_nothing_in_user_mode(self):
        self.start_tred(**USER)
        for nat in (False, True):
            hand = self.hand("10.210.0.1", nat)
            self.assertEqual(hand.add_child(), INTERFACE)
            hand.call("Close")
            wait_until(lambda: not has_interface(), "a network without a tunnel")

    def test_the_same_address_may_come_again_in_the_next_ike_sa(self):
        self.start_tred(**USER)
        first = self.hand("10.210.0.1")
        self.assertEqual(first.add_child(), INTERFACE)
        self.assertEqual(self.hand("10.210.0.1").add_child(), INTERFACE)
        first.call("Close")
        self.assertTrue(has_interface())
