"""Rekeying with a real SeGW (RFC 7296 2.8), by either side, while packets go through the tunnel."""

import re

from lab import ike
from lab.case import LabTest
from lab.network import INNER_IPV4
from lab.process import wait_until
from lab.programs import Operator
from lab.rekeys import datagrams_through_ike_rekeys
from lab.slowpath import SLOW_SEGW, GatePath
from lab.traffic import Pings

USER = {"data-plane": {"mode": "user"}}
PFS = "aes128gcm16-ecp256"


class RekeyTest(LabTest):
    def tunnel(self, **options):
        """An established tunnel, with pings through it that go on."""
        self.gateway, self.tred, self.client = self.establish(**{"tred": USER, **options})
        self.first = self.client.get("ChildSas")
        self.pings = Pings(INNER_IPV4)
        self.starting(self.pings.process)
        self.pings.process.wait_for("icmp_seq=5 ")

    def call(self, method):
        self.starting(Operator()).call(method)

    def assert_none_lost(self):
        sent, lost = self.pings.stop()
        self.assertGreater(sent, 5)
        self.assertEqual(lost, [])

    def one_child(self):
        """The Child SA, once there is one that is not the first, at both sides, and no other."""

        def look():
            children = self.client.get("ChildSas")
            return (children if len(children) == 1 and children != self.first
                    and len(self.gateway.traffic()) == 1 else None)

        return wait_until(look, "one new Child SA at both sides")[0]

    def assert_child_rekeyed(self, suite="AES_GCM_16_128"):
        child = self.one_child()
        self.assertEqual(child[2], suite)
        self.assertEqual(self.gateway.sa_count(), 1)
        count = len(self.pings.process.output().splitlines())
        self.pings.process.wait_for(rf"icmp_seq={count + 10} ")
        self.assert_none_lost()
        self.assertGreater(self.gateway.traffic()[0]["in"][1], 0)  # by the new one

    def assert_ike_rekeyed(self, number=2):
        self.client.wait_for(r"rekeyed  .*  IKE SA")
        self.gateway.wait_for(rf"IKE_SA henb\[{number}\] established|IKE_SA henb\[{number}\] rekeyed")
        wait_until(lambda: self.gateway.sa_count() == 1, "one IKE SA at the SeGW")
        self.client.wait_for("the IKE SA that was replaced is gone")
        self.assertEqual(self.client.get("ChildSas"), self.first)
        self.assertEqual(self.client.get("State"), "established")


class ChildTest(RekeyTest):
    def test_a_child_that_we_rekey_loses_no_packet(self):
        self.tunnel()
        self.call("RekeyChildSas")
        self.assert_child_rekeyed()

    def test_a_child_that_the_segw_rekeys_loses_no_packet(self):
        self.tunnel()
        self.gateway.control("--rekey", "--child", "net")
        self.assert_child_rekeyed()

    def test_a_child_that_we_rekey_with_a_new_key_exchange_loses_no_packet(self):
        self.tunnel(segw={"esp_proposals": PFS}, child={"pfs": "yes"})
        self.call("RekeyChildSas")
        self.assert_child_rekeyed("AES_GCM_16_128/ECP_256")

    def test_a_child_that_the_segw_rekeys_with_a_new_key_exchange_loses_no_packet(self):
        self.tunnel(segw={"esp_proposals": PFS})
        self.gateway.control("--rekey", "--child", "net")
        self.assert_child_rekeyed("AES_GCM_16_128/ECP_256")


    def test_a_segw_that_wants_another_group_is_given_it(self):
        self.tunnel(segw={"esp_proposals": "aes128gcm16-ecp384"})
        self.call("RekeyChildSas")
        self.client.wait_for(r"answered INVALID_KE_PAYLOAD \(17\)")
        self.assert_child_rekeyed("AES_GCM_16_128/ECP_384")

    def test_where_the_segw_does_not_rekey_another_connection_loses_no_packet(self):
        self.tunnel(child={"pfs": "yes"}, connection={"reconnect": "yes"})
        self.call("RekeyChildSas")
        self.client.wait_for(r"refused with NO_PROPOSAL_CHOSEN .*; connecting anew")
        self.client.wait_for(r"(?s)established .*established ")
        self.client.wait_for("the IKE SA that was replaced is gone")
        self.assert_none_lost()

    def test_a_child_that_the_segw_deletes_instead_is_made_anew(self):
        self.tunnel(connection={"reconnect": "yes"})
        self.gateway.control("--terminate", "--child", "net")
        self.one_child()
        self.assertEqual(self.client.get("State"), "established")

    def test_a_soft_lifetime_rekeys_the_child_and_loses_no_packet(self):
        octets = 84 * 40  # of pings
        self.tunnel(tred={"data-plane": {"mode": "user", "soft-lifetime-bytes": octets}})
        self.client.wait_for(r"(?s)rekeyed .* Child SA.*rekeyed .* Child SA", 30)
        self.assert_none_lost()
        self.assertEqual(self.gateway.sa_count(), 1)
        self.assertEqual(len(self.tred.exchanges()), 1)


class IkeTest(RekeyTest):
    def test_an_ike_sa_that_we_rekey_loses_no_packet(self):
        self.tunnel()
        self.call("RekeyIkeSa")
        self.assert_ike_rekeyed()
        self.assert_none_lost()

    def test_an_ike_sa_that_the_segw_rekeys_loses_no_packet(self):
        self.tunnel()
        self.gateway.control("--rekey", "--ike", "henb")
        self.assert_ike_rekeyed()
        self.assert_none_lost()


    def test_a_lifetime_rekeys_the_ike_sa_and_loses_no_packet(self):
        self.tunnel(ike={"lifetime": 2})
        self.client.wait_for(r"(?s)rekeyed .* IKE SA.*rekeyed .* IKE SA", 30)
        self.assert_none_lost()
        self.assertEqual(self.client.get("ChildSas"), self.first)

    def test_a_child_is_rekeyed_in_an_ike_sa_of_either_side(self):
        self.tunnel()
        for by_us in (True, False):
            if by_us:
                self.call("RekeyIkeSa")
            else:
                self.gateway.control("--rekey", "--ike", "henb")
            wait_until(lambda: len(self.tred.exchanges()) == 1 and not self.gateway.leaving(),
                       "one IKE SA")
            for method in ("us", "segw"):
                self.first = self.client.get("ChildSas")
                if method == "us":
                    self.call("RekeyChildSas")
                else:
                    self.gateway.control("--rekey", "--child", "net")
                self.one_child()
        self.assert_none_lost()


class CollisionTest(RekeyTest):
    """Both sides begin at once, and messages wait at a gate until the others have crossed."""

    ROUNDS = 3  # in which either side can have the lowest nonce

    def crossing(self):
        self.path = self.starting(GatePath())
        self.tunnel(segw_section={"address": SLOW_SEGW})

    def begin(self, method, what):
        """Both requests wait."""
        self.first = self.client.get("ChildSas")
        self.path.close()
        self.gateway.control("--rekey", *what)
        self.call(method)
        for way in (self.path.from_henb, self.path.from_segw):
            self.path.wait_for(way, ike.CREATE_CHILD_SA)

    def begin_children(self):
        self.begin("RekeyChildSas", ("--child", "net"))

    def begin_ikes(self):
        self.begin("RekeyIkeSa", ("--ike", "henb"))

    def judged(self):
        return len(re.findall("rekey collision (?:won|lost)", self.gateway.log()))

    def cross(self):
        """Each side has both the other's request and its answer before anything is deleted."""
        path, before = self.path, self.judged()
        path.let(path.from_henb, ike.CREATE_CHILD_SA)
        path.wait_for(path.from_segw, ike.CREATE_CHILD_SA, True)
        path.let(path.from_segw, ike.CREATE_CHILD_SA)
        path.let(path.from_henb, ike.CREATE_CHILD_SA, True)
        wait_until(lambda: self.judged() > before, "the SeGW to know the nonces")
        path.open()

    def segw_first(self):
        """The SeGW is done, and has deleted the old one, before our request comes."""
        path = self.path
        path.open(path.from_segw)
        path.let(path.from_henb, ike.CREATE_CHILD_SA, True)
        path.let(path.from_henb, ike.INFORMATIONAL, True)
        path.open()

    def henb_first(self):
        """The same the other way round."""
        path = self.path
        path.open(path.from_henb)
        path.let(path.from_segw, ike.CREATE_CHILD_SA, True)
        path.let(path.from_segw, ike.INFORMATIONAL, True)
        path.open()

    def one_ike(self):
        """One IKE SA at both sides, and the same Child SA as before."""
        wait_until(lambda: self.gateway.sa_count() == 1 and not self.gateway.leaving(),
                   "one IKE SA at the SeGW")
        wait_until(lambda: len(self.tred.exchanges()) == 1, "one IKE SA at the HeNB")
        self.assertEqual(self.client.get("ChildSas"), self.first)
        self.assertEqual(self.client.get("State"), "established")

    def assert_crossed(self):
        """In each round there were two new ones, of which one went."""
        self.assertEqual(self.judged(), self.ROUNDS)
        self.assert_none_lost()

    def test_of_two_children_that_are_made_at_once_one_stays(self):
        self.crossing()
        for _ in range(self.ROUNDS):
            self.begin_children()
            self.cross()
            self.one_child()
        self.assert_crossed()

    def test_a_childs_request_that_comes_after_the_segws_delete_changes_nothing(self):
        self.crossing()
        self.begin_children()
        self.segw_first()
        self.one_child()
        self.assert_none_lost()

    def test_a_segws_request_that_comes_after_our_delete_changes_nothing(self):
        self.crossing()
        self.begin_children()
        self.henb_first()
        self.one_child()
        self.assert_none_lost()

    def test_of_two_ike_sas_that_are_made_at_once_one_stays(self):
        self.crossing()
        for _ in range(self.ROUNDS):
            self.begin_ikes()
            self.cross()
            self.one_ike()
        self.assert_crossed()

    def test_an_ike_request_that_comes_after_the_segws_delete_changes_nothing(self):
        self.crossing()
        self.begin_ikes()
        self.segw_first()
        self.one_ike()
        self.assert_none_lost()

    def test_a_segws_ike_request_that_comes_after_our_delete_changes_nothing(self):
        self.crossing()
        self.begin_ikes()
        self.henb_first()
        self.one_ike()
        self.assert_none_lost()


class LossTest(RekeyTest):
    """RFC 7296 2.1: who has no answer asks again, and is answered as before."""

    def losing(self, way):
        self.path = self.starting(GatePath())
        self.tunnel(segw_section={"address": SLOW_SEGW})
        self.path.close(getattr(self.path, way))

    def test_our_answer_that_was_lost_is_sent_again_and_there_is_one_new_child(self):
        self.losing("from_henb")
        self.gateway.control("--rekey", "--child", "net")
        self.path.lose(self.path.from_henb, ike.CREATE_CHILD_SA, True)
        self.gateway.wait_for(r"retransmit 1 of request", 30.0)
        self.one_child()
        self.assertEqual(self.gateway.log().count("parsed CREATE_CHILD_SA response"), 1)
        self.assert_none_lost()

    def test_our_request_is_sent_again_where_its_answer_was_lost_and_there_is_one_new_child(self):
        self.losing("from_segw")
        self.call("RekeyChildSas")
        self.path.lose(self.path.from_segw, ike.CREATE_CHILD_SA, True)
        self.gateway.wait_for(r"received retransmit of request", 30.0)
        self.one_child()
        self.assert_none_lost()

    def test_our_request_that_was_lost_is_sent_again_and_there_is_one_new_ike_sa(self):
        self.losing("from_henb")
        self.call("RekeyIkeSa")
        self.path.lose(self.path.from_henb, ike.CREATE_CHILD_SA)
        self.assert_ike_rekeyed()
        self.assert_none_lost()


class StreamTest(RekeyTest):
    def test_a_stream_through_rekeys_of_all_kinds_loses_no_packet(self):
        parts = self.establish(tred=USER)
        # tests/bench/rekeys has more
        counted = datagrams_through_ike_rekeys((parts[0], parts[2], self.starting(Operator())), megabytes=10,
                                               children=4, ikes=2, mbit=5)
        self.assertLessEqual(counted.lost, counted.no_room, counted)
