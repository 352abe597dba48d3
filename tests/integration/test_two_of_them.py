"""A second one of a program ends before it changes anything; and what the first one does when it is told to."""

from jeepney import MatchRule, message_bus

from lab.case import LabTest
from lab.handclient import HandClient
from lab.process import BIN, Process, run
from lab.network import HENB
from lab.programs import EXCHANGE, TRED, IkeClient, Tred, TredNet
from test_dataplane import has_interface

UNAVAILABLE = 69


class SecondTest(LabTest):
    def test_a_second_tred_leaves_the_tunnel_of_the_first_alone(self):
        _, tred, client = self.establish(tred={"data-plane": {"mode": "user"}})
        second = Tred(self.world.device("ecdsa-p256"), **{"data-plane": {"mode": "user"}})
        self.addCleanup(second.stop)
        self.assertEqual(second.wait(), UNAVAILABLE, second.output())
        self.assertIn("Another process has the bus name", second.output())
        self.assertTrue(has_interface(HENB))
        self.assertEqual(len(tred.children()), 1)
        self.assertEqual(client.get("State"), "established")

    def test_a_second_ikeclient_leaves_the_connection_of_the_first_alone(self):
        gateway, tred, client = self.establish()
        for arguments in ((), ("--once",), ("--count", "1")):
            second = IkeClient(*arguments)
            self.addCleanup(second.stop)
            self.assertEqual(second.wait(), UNAVAILABLE, second.output())
            self.assertIn("stop that one first", second.output())
        self.assertEqual(client.get("State"), "established")
        self.assertNotIn("Exchange 2 ", tred.output())
        self.assertEqual(gateway.log().count("is initiating an IKE_SA"), 1)

    def test_a_second_tred_net_leaves_the_socket_of_the_first_alone(self):
        self.establish(tred={"data-plane": {"mode": "user"}})
        second = Process("tred-net", [BIN / "tred-net", "--user", "tred", "--socket", self.tred_net.path],
                         namespace=HENB, user="tred-net", capabilities=("net_admin",))
        self.addCleanup(second.stop)
        self.assertEqual(second.wait(), UNAVAILABLE, second.output())
        self.assertTrue(has_interface(HENB))


class StopTest(LabTest):
    def test_tred_tells_the_owners_of_its_exchanges_that_it_stops(self):
        self.start_segw()
        tred = self.start_tred()
        hands = [self.starting(HandClient()).until(step) for step in ("verify", "begin")]
        for hand in hands:
            hand.bus.request(message_bus.AddMatch(MatchRule(type="signal", interface=EXCHANGE, member="Closed")))
        said = len(tred.output())
        self.assertEqual(tred.stop(), 0)
        for hand in hands:
            self.assertEqual(self.closed(hand), {each.exchange: "tred stops" for each in hands})
        self.assertNotIn("could not", tred.output()[said:])

    def closed(self, hand):
        """{path: reason} of what comes until tred has left the bus."""
        found = {}
        while len(found) < 2:
            message = hand.bus.connection.receive(timeout=5)
            if message.header.fields.get(3) == "Closed":
                found[message.header.fields[1]] = message.body[0]
        return found
