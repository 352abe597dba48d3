"""The ways to a SeGW: addresses inside and outside, cookies, another group, and a NAT between."""

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from lab import ike
from lab.capture import Capture
from lab.case import LabTest
from lab.handclient import random_nonce
from lab.network import HENB, SEGW_BEYOND_NAT, SEGW_IPV4, SEGW_IPV6, udp_socket
from lab.process import wait_until
from lab.responder import Responder

WRONG_GROUP_FIRST = {"proposals": "aes128gcm16-prfsha256-ecp384-ecp256"}
ONLY_ECP_256 = "aes128gcm16-prfsha256-ecp256"
COOKIES = "cookie_threshold = 1"


class AddressTest(LabTest):
    def assigned(self, wish):
        gateway, _, client = self.establish(child={"request-address": wish})
        return client.get("Addresses"), client.get("DnsServers"), gateway.sas()

    def test_an_ipv4_address_is_assigned(self):
        addresses, dns, sas = self.assigned("ipv4")
        self.assertEqual(addresses, ["10.210.0.1/32"])
        self.assertEqual(dns, ["10.200.0.53"])
        self.assertIn("remote 10.210.0.1/32", sas)

    def test_an_ipv6_address_is_assigned(self):
        addresses, dns, sas = self.assigned("ipv6")
        self.assertRegex(addresses[0], r"^fd00:210::1/\d+$")
        self.assertEqual(dns, ["fd00:200::53"])
        self.assertIn("remote fd00:210::1/128", sas)

    def test_both_kinds_of_address_are_assigned(self):
        addresses, _, sas = self.assigned("both")
        self.assertEqual(len(addresses), 2)
        self.assertIn("10.210.0.1/32 fd00:210::1/128", sas)


class DetourTest(LabTest):
    def captured(self, **client):
        capture = self.starting(Capture(HENB, f"udp and host {SEGW_IPV4}"))
        self.start_client(**client).wait_for_state("established")
        messages = [ike.decode(packet.ike()) for packet in capture.stop() if packet.ike()]
        return [message for message in messages if message.exchange_type == ike.IKE_SA_INIT
                and message.spi_i != self.foreign_spi]

    foreign_spi = 0x0102030405060708

    def half_open(self):
        """Leaves an IKE SA half open at the SeGW, which then asks the next one for a cookie."""
        public = ec.generate_private_key(ec.SECP256R1()).public_key().public_bytes(
            Encoding.X962, PublicFormat.UncompressedPoint)
        with udp_socket(HENB, SEGW_IPV4, 500) as sock:
            sock.send(ike.sa_init_request(self.foreign_spi, random_nonce(), ike.ECP_256,
                                          public[1:]))
            sock.recv(65536)

    def test_a_cookie_is_sent_back(self):
        self.start_segw(charon=COOKIES)
        self.start_tred()
        self.half_open()
        first, demand, second, _ = self.captured()
        cookie = demand.notifies()[ike.COOKIE]
        self.assertEqual(second.payloads[0].kind, ike.NOTIFY)
        self.assertEqual(second.notifies()[ike.COOKIE], cookie)
        # RFC 7296 2.6: all but the cookie stays as it was.
        self.assertEqual(second.payloads[1:], first.payloads)

    def test_another_group_is_taken_when_the_segw_asks_for_it(self):
        self.start_segw(proposals=ONLY_ECP_256)
        self.start_tred()
        first, refusal, second, _ = self.captured(ike=WRONG_GROUP_FIRST)
        self.assertEqual(refusal.notifies()[ike.INVALID_KE_PAYLOAD], b"\x00\x13")
        self.assertEqual(first.find(ike.KE)[:2], b"\x00\x14")
        self.assertEqual(second.find(ike.KE)[:2], b"\x00\x13")
        # RFC 7296 1.2: the whole offer again, so that a forged refusal can't weaken it.
        self.assertEqual(second.find(ike.SA), first.find(ike.SA))

    def test_a_cookie_and_another_group_can_be_asked_for_in_one_handshake(self):
        self.start_segw(charon=COOKIES, proposals=ONLY_ECP_256)
        self.start_tred()
        self.half_open()
        messages = self.captured(ike=WRONG_GROUP_FIRST)
        asked = [message.notifies() for message in messages if message.flags & ike.RESPONSE]
        self.assertTrue(any(ike.COOKIE in notifies for notifies in asked))
        self.assertTrue(any(ike.INVALID_KE_PAYLOAD in notifies for notifies in asked))


class OuterNetworkTest(LabTest):
    def test_a_segw_is_reached_over_ipv6(self):
        gateway, _, client = self.establish(segw_section={"address": SEGW_IPV6})
        self.assertIn(SEGW_IPV6, client.get("SegwAddress"))
        self.assertEqual(gateway.sa_count(), 1)

    def test_a_segw_is_reached_through_a_nat(self):
        gateway, _, client = self.establish(segw_section={"address": SEGW_BEYOND_NAT})
        self.assertTrue(client.get("NatDetected"))
        self.assertTrue(client.get("SegwAddress").endswith(":4500"))
        self.assertIn("remote host is behind NAT", gateway.log())

    def test_a_nat_mapping_is_kept_alive(self):
        capture = self.starting(Capture(HENB, "udp port 4500"))
        self.establish(segw_section={"address": SEGW_BEYOND_NAT}, connection={"keepalive": "1"})
        wait_until(lambda: any(packet.payload == b"\xff" for packet in capture.packets()),
                   "a keepalive", 5)


class ExternalAddressTest(LabTest):
    NAT_INFO, LIVENESS = 23, 24

    def connect(self, **answers):
        gateway = self.starting(Responder(self.world.segw_credential(), **answers))
        self.start_tred()
        client = self.start_client()
        client.wait_for_state("established")
        return gateway, client

    def test_what_the_segw_sees_of_a_nat_is_asked_for_and_shown(self):
        gateway, client = self.connect(
            attributes={self.NAT_INFO: bytes((198, 51, 100, 2, 0x30, 0x39))})
        self.assertTrue(client.get("NatDetected"))
        self.assertIn(self.NAT_INFO, gateway.attributes())
        self.assertEqual(client.get("ExternalAddress"), "198.51.100.2:12345")

    def test_a_segw_that_does_not_say_is_none_the_worse(self):
        for octets in (None, b"", b"\xc6\x33"):
            gateway, client = self.connect(
                attributes=None if octets is None else {self.NAT_INFO: octets, self.LIVENESS: octets})
            self.assertEqual(client.get("ExternalAddress"), "")
            for part in (client, self.started[-2], self.world.tpm, gateway):
                part.stop()


class ChildTest(LabTest):
    def test_without_an_esp_back_end_at_the_segw_the_ike_sa_stays_up_without_a_child(self):
        gateway = self.start_segw(esp=False)
        if gateway.version() >= 6:
            self.skipTest("strongSwan 6 refuses all of IKE_AUTH without an ESP back end")
        self.start_tred()
        client = self.start_client()
        client.wait_for_state("established-no-child")
        self.assertEqual(gateway.sa_count(), 1)

    def test_esp_proposals_that_the_segw_does_not_take_leave_the_ike_sa_without_a_child(self):
        gateway = self.start_segw(esp_proposals="aes256gcm16")
        self.start_tred()
        client = self.start_client(child={"proposals": "aes128gcm16"})
        client.wait_for_state("established-no-child")
        self.assertEqual(gateway.sa_count(), 1)
        self.assertNotIn("INSTALLED", gateway.sas())

    def test_a_child_that_was_refused_for_want_of_an_address_is_asked_for_again(self):
        gateway = self.start_segw(pools="ipv6")
        self.start_tred()
        client = self.start_client(connection={"reconnect": "yes"},
                                   child={"request-address": "ipv4"})
        client.wait_for_state("established-no-child")
        self.assertIn("INTERNAL_ADDRESS_FAILURE", client.get("LastError"))
        gateway.change_pools("ipv4")
        client.wait_for_state("established", seconds=20)
        self.assertEqual(client.get("Addresses"), ["10.210.0.1/32"])

    def test_one_address_of_two_that_were_asked_for_is_a_failure_with_its_own_text(self):
        self.start_segw(pools="ipv4")
        self.start_tred()
        client = self.start_client(connection={"reconnect": "no"},
                                   child={"request-address": "both"})
        client.wait_for_state("idle")
        self.assertIn("assigned no IPv6 address", client.get("LastError"))
