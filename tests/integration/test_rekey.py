"""Rekeying with a real SeGW (RFC 7296 2.8), by either side, while packets go through the tunnel."""

from lab.case import LabTest
from lab.network import INNER_IPV4
from lab.process import wait_until
from lab.programs import Operator
from lab.rekeys import datagrams_through_ike_rekeys
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


class StreamTest(RekeyTest):
    def test_a_stream_through_rekeys_of_all_kinds_loses_no_packet(self):
        parts = self.establish(tred=USER)
        # tests/bench/rekeys has more
        up, down = datagrams_through_ike_rekeys((parts[0], parts[2], self.starting(Operator())), megabytes=10,
                                                children=4, ikes=2, mbit=5)
        self.assertEqual((up.lost, down.lost), (0, 0), f"of {up.sent} and {down.sent}")
