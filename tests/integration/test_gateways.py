"""What gateways of other makers send that strongSwan does not: a SeGW by hand (tests/gateway) sends it."""

import re
import time

from lab.network import HENB, SEGW
from lab.process import run, wait_until
from lab.scripted import CREATE, INFORMATIONAL, NO_ADDITIONAL_SAS, ScriptedTest
from lab.traffic import INTERFACE

CERTREQ, NOTIFY, DELETE, VENDOR_ID, CONFIGURATION = 38, 41, 42, 43, 47  # payloads
UNKNOWN_PAYLOAD, UNKNOWN_EXCHANGE, INTERMEDIATE_EXCHANGE = 201, 240, 43
INVALID_SYNTAX, TS_UNACCEPTABLE = 7, 38
CFG_REQUEST, CFG_SET = "01000000", "03000000"
ID_IPV4_ADDR, ID_RFC822_ADDR, ID_IPV6_ADDR, ID_DER_ASN1_DN, ID_KEY_ID = 1, 3, 5, 9, 11
CHILDLESS, FRAGMENTATION, SET_WINDOW = 16418, 16430, 16385
NAT_DETECTION_SOURCE_IP, NAT_DETECTION_DESTINATION_IP = 16388, 16389
NON_3GPP_ACCESS_TO_EPC_NOT_ALLOWED, INTERNAL_IP6_ADDRESS = 9000, 8
INTERNAL_IP4_NETMASK, INTERNAL_ADDRESS_EXPIRY, INTERNAL_IP4_DHCP, INTERNAL_IP4_SUBNET = 2, 5, 6, 13
APPLICATION_VERSION, INTERNAL_IP6_LINK, INTERNAL_IP6_PREFIX, P_CSCF_IP4, P_CSCF_IP6, INTERNAL_DNS_DOMAIN = 7, 17, 18, 20, 21, 25

# Nothing gets to the port that the SeGW was asked at.
_GONE = """
table ip gone {
  chain in {
    type filter hook input priority filter
    udp dport 4500 drop
  }
}
"""


def notify(kind, data=""):
    return f"{NOTIFY}=0000{kind:04x}{data}"


class IdentityTest(ScriptedTest):
    """RFC 7296 3.5; TS 33.310 6.2.1: a SeGW is known by its FQDN."""

    def assert_refused(self, kind, octets, *says):
        self.parts(segw={"id_payload": (kind, octets)})
        self.client.wait_for(r"IDr")
        self.assertEqual(self.client.get("State") == "established", False)
        error = self.client.get("LastError")
        for each in says:
            self.assertIn(each, error)
        for part in (self.client, self.tred, self.world.tpm, self.segw):
            part.stop()

    def test_a_segw_that_names_itself_by_anything_but_its_fqdn_is_refused_by_that_name(self):
        for kind, octets, name in ((ID_IPV4_ADDR, bytes((192, 0, 2, 2)), "ID_IPV4_ADDR"),
                                   (ID_IPV6_ADDR, bytes(15) + b"\1", "ID_IPV6_ADDR"),
                                   (ID_RFC822_ADDR, b"segw@operator.example", "ID_RFC822_ADDR"),
                                   (ID_DER_ASN1_DN, bytes.fromhex("300d310b3009060355040613024154"), "ID_DER_ASN1_DN"),
                                   (ID_KEY_ID, b"whatever", "ID_KEY_ID")):
            with self.subTest(name):
                self.assert_refused(kind, octets, name, "FQDN")


class CertificateTest(ScriptedTest):
    """RFC 7296 3.6, 3.7"""

    def test_a_segw_that_sends_its_certificate_by_hash_and_url_is_refused_by_that_name(self):
        self.parts(segw={"urls": 1})
        self.client.wait_for(r"did not verify")
        self.assertRegex(self.client.get("LastError"), "PeerCertificateUnfit.*URL.*X.509")


class PortTest(ScriptedTest):
    """RFC 7296 2.11, 2.23"""

    def test_a_segw_may_answer_from_another_port(self):
        self.tunnel(segw={"port": 4600})
        self.ping(self.old_spi())
        self.operator.call("RekeyChildSas")
        self.assert_one_left(1, self.segw.expect(r"child (\w+) ")[1])

    def test_a_segw_may_change_its_port(self):
        self.tunnel()
        self.ping(self.old_spi())
        self.segw.tell("from", 4600)
        self.ping(self.old_spi())
        self.segw_asks("inform", 1)
        self.segw_asks("rekey-child", 1, self.old_spi())
        new = self.segw.expect(r"child (\w+) ")[1]
        self.segw_asks("delete-child", 1, self.old_spi())
        self.assert_one_left(1, new)
        self.operator.call("RekeyIkeSa")
        self.segw.expect(rf"request 1 \d+ {INFORMATIONAL} .*delete-ike")
        self.assert_one_left(2, new)

    def test_a_keepalive_of_the_segws_is_passed_over(self):
        """RFC 3948 2.3"""
        self.tunnel()
        self.segw.tell("keepalive", 1)
        self.segw_asks("inform", 1)
        self.ping(self.old_spi())

    def test_a_segw_that_asks_from_another_port_is_asked_once_whether_it_is_where_it_was(self):
        self.tunnel(connection={"liveness": "3000"})
        for port in (4600, 4600, 4500):
            self.segw.tell("from", port)
            self.segw_asks("inform", 1)
            self.ping(self.old_spi())
        self.segw_asks("inform", 1)
        self.assert_one_left(1, self.old_spi())
        self.assertEqual(len(re.findall(rf"(?m)^request 1 \d+ {INFORMATIONAL}$", self.segw.output())), 1)

    def test_a_segw_that_is_gone_from_where_it_was_is_lost_though_its_packets_come(self):
        """A NAT at its end that has forgotten it: what it sends comes from another port, and nothing gets to the old one."""
        self.tunnel(connection={"liveness": "10"})
        self.addCleanup(run, ["nft", "delete", "table", "ip", "gone"], namespace=SEGW)
        run(["nft", "-f", "-"], namespace=SEGW, stdin=_GONE)
        self.segw.tell("from", 4600)
        self.segw_asks("inform", 1)

        def lost():
            self.segw.tell("ping", self.old_spi(), 5)
            time.sleep(0.2)
            return "the SeGW does not answer any more" in self.client.output()

        wait_until(lost, "the loss of the SeGW", 60.0)

    def test_nat_detection_is_answered_with_the_way_that_it_came(self):
        """RFC 4555 3.8"""
        self.tunnel()
        both = NAT_DETECTION_SOURCE_IP, NAT_DETECTION_DESTINATION_IP
        answer = self.segw_asks("inform", 1, *(f"{each}={'00' * 20}" for each in both))
        self.assertRegex(answer, r"notify={}\b.*notify={}\b".format(*both))


class InitTest(ScriptedTest):
    """IKE_SA_INIT (RFC 7296 1.2)"""

    def test_the_choice_among_our_proposals_has_its_number_and_its_transforms_any_order(self):
        self.tunnel(segw={"style": ["reversed"]},
                    ike={"proposals": "aes256gcm16-prfsha384-ecp256, aes128gcm16-prfsha256-ecp256"},
                    child={"proposals": "aes256gcm16, aes128gcm16"}, tred={"stronger-child": "yes"})
        self.ping(self.old_spi())
        self.operator.call("RekeyIkeSa")
        self.assert_one_left(2, self.old_spi())
        self.operator.call("RekeyChildSas")
        self.assert_one_left(2, self.segw.expect(r"child (\w+) ")[1])

    def test_an_answer_may_have_many_authorities_long_vendor_ids_and_several_nat_hashes(self):
        hashes = [notify(NAT_DETECTION_SOURCE_IP, f"{number:040x}") for number in range(1, 5)]
        self.tunnel(segw={"init": [f"{CERTREQ}=04{'5a' * 2000}", f"{VENDOR_ID}={'ab' * 512}", f"{VENDOR_ID}=00000000", *hashes]})
        self.ping(self.old_spi())

    def test_an_answer_may_have_no_certificate_request(self):
        self.tunnel(segw={"style": ["nocertreq"]})
        self.ping(self.old_spi())

    def test_a_segw_without_nat_detection_is_told_from_a_silent_one(self):
        """RFC 7296 2.23: it does not know ESP in UDP, which is all that a plane in user space can do."""
        self.assert_no_answer("can't do ESP in UDP", segw={"style": ["nonat"]})

    def test_cookies_may_have_1_to_64_octets(self):
        self.tunnel(segw={"detours": ["cookie=1", "cookie=64"]})
        self.assertEqual([len(cookie) // 2 for cookie in re.findall(r"(?m)^init .*notify=16390 data=(\w+)", self.segw.output())],
                         [1, 64])

    def assert_no_answer(self, *says, segw):
        self.parts(segw=segw, ike={"proposals": "aes128gcm16-prfsha256-ecp256"},
                   connection={"retransmit-timeout": "500", "retransmit-tries": "3"})
        self.client.wait_for(r"no answer to IKE_SA_INIT")
        for each in says:
            self.assertIn(each, self.client.get("LastError"))
        self.assertNotIn("UDP port 500 passes", self.client.get("LastError"))

    def test_a_group_that_we_do_not_offer_is_named(self):
        self.assert_no_answer("INVALID_KE_PAYLOAD", "group 14 (MODP_2048)", "in common", segw={"detours": ["group=14"] * 9})

    def test_a_critical_payload_that_nobody_knows_is_named(self):
        self.assert_no_answer("critical", "payload type 201", segw={"detours": ["critical"] * 9})

    def test_an_answer_may_say_what_else_the_segw_can_do_and_who_made_it(self):
        self.tunnel(segw={"init": [f"{VENDOR_ID}={'ab' * 16}", notify(CHILDLESS), notify(FRAGMENTATION),
                                   f"{VENDOR_ID}=", notify(SET_WINDOW, "00000010"), f"{CERTREQ}=0c", f"{CERTREQ}=04",
                                   f"{UNKNOWN_PAYLOAD}=0102"]})
        self.ping(self.old_spi())


class RequestTest(ScriptedTest):
    """Requests of an established SeGW's, and what answers of its have, too."""

    def test_two_requests_at_once_are_both_answered_in_the_end(self):
        """RFC 7296 2.3: as one with a larger window may, which we have not said. The second is dropped where the first is not
        answered yet, and comes again."""
        self.tunnel()
        self.segw.tell("inform 1\ninform", 1)
        self.segw.expect(r"response 1 0 ")
        self.segw.tell("send", 1)
        self.segw.expect(r"response 1 1 ")
        self.assert_one_left(1, self.old_spi())

    def test_a_configuration_that_is_asked_for_or_set_is_answered_with_none(self):
        """RFC 7296 2.20, 3.15.1"""
        self.tunnel()
        for configuration in (f"{CFG_REQUEST}{APPLICATION_VERSION:04x}0000", CFG_REQUEST, f"{CFG_SET}000100040ad20009"):
            answer = self.segw_asks("ask", 1, INFORMATIONAL, f"{CONFIGURATION}={configuration}")
            self.assertEqual(len(answer.split()), 4)
        self.assert_one_left(1, self.old_spi())
        self.assertEqual(self.client.get("Addresses"), ["10.210.0.1/32"])

    def test_vendor_ids_and_certificate_requests_may_stand_anywhere(self):
        self.tunnel()
        self.segw_asks("ask", 1, INFORMATIONAL, f"{VENDOR_ID}=0102", f"{CERTREQ}=04", f"{VENDOR_ID}=")
        self.segw.tell("add", f"{VENDOR_ID}=0102", f"{UNKNOWN_PAYLOAD}=", notify(40000), f"{VENDOR_ID}=03")
        self.operator.call("RekeyChildSas")
        new = self.segw.expect(r"child (\w+) ")[1]
        self.segw.expect(rf"request 1 \d+ {INFORMATIONAL} .*delete-child")
        self.assert_one_left(1, new)

    def test_what_answers_of_informational_have_changes_nothing(self):
        self.tunnel(connection={"liveness": "6"})
        self.segw.tell("add", f"{VENDOR_ID}=0102", notify(40000), notify(8000), f"{CONFIGURATION}=02000000")
        self.segw.expect(rf"request 1 \d+ {INFORMATIONAL}$")
        self.segw.expect(rf"request 1 \d+ {INFORMATIONAL}$")
        self.assert_one_left(1, self.old_spi())

    def test_an_exchange_that_nobody_knows_is_answered_and_nothing_else_ends(self):
        self.tunnel()
        for exchange in UNKNOWN_EXCHANGE, INTERMEDIATE_EXCHANGE:
            with self.subTest(exchange):
                answer = self.segw_asks("ask", 1, exchange, f"{VENDOR_ID}=0102")
                self.assertEqual(self.refused(answer), INVALID_SYNTAX)
        self.assert_one_left(1, self.old_spi())

    def test_what_does_not_parse_is_said_to_be_so_and_nothing_else_ends(self):
        self.tunnel()
        for payloads in ([f"{DELETE}=0308000100000000"], [f"{NOTIFY}=00"], [f"{DELETE}=09040001ffffffff"]):
            with self.subTest(payloads):
                self.assertEqual(self.refused(self.segw_asks("ask", 1, INFORMATIONAL, *payloads)), INVALID_SYNTAX)
        self.assert_one_left(1, self.old_spi())


class AuthTest(ScriptedTest):
    """RFC 7296 2.15, 2.16"""

    def test_a_segw_that_authenticates_by_a_shared_key_is_refused_by_that_name(self):
        self.parts(segw={"style": ["psk"]})
        self.client.wait_for(r"did not verify")
        self.assertIn("Shared Key", self.client.get("LastError"))

    def test_an_error_that_3gpp_has_named_is_said_by_its_name(self):
        """TS 24.302 8.1.2"""
        self.parts(segw={"notifies": {NON_3GPP_ACCESS_TO_EPC_NOT_ALLOWED: b""}})
        self.client.wait_for(r"refused IKE_AUTH")
        self.assertIn("NON_3GPP_ACCESS_TO_EPC_NOT_ALLOWED (9000)", self.client.get("LastError"))


class GrantTest(ScriptedTest):
    """The CFG_REPLY of IKE_AUTH (RFC 7296 3.15; 7651; 8598)"""

    def test_what_else_a_segw_configures_is_passed_over(self):
        self.tunnel(segw={"attributes": {
            INTERNAL_IP4_NETMASK: bytes((255, 255, 255, 0)), INTERNAL_ADDRESS_EXPIRY: bytes((0, 0, 0, 60)),
            INTERNAL_IP4_DHCP: bytes((10, 200, 0, 53)), INTERNAL_IP4_SUBNET: bytes((10, 0, 0, 0, 255, 0, 0, 0)),
            APPLICATION_VERSION: b"SeGW 1.0", INTERNAL_IP6_LINK: bytes(16), INTERNAL_IP6_PREFIX: bytes(17),
            P_CSCF_IP4: bytes((10, 200, 0, 5)), P_CSCF_IP6: bytes(16), INTERNAL_DNS_DOMAIN: b"operator.example",
            16384: b"", 16386: bytes(4)}})
        self.ping(self.old_spi())
        self.assertEqual(self.client.get("Addresses"), ["10.210.0.1/32"])


    def test_an_ipv6_address_may_have_a_prefix_of_64_bits(self):
        self.tunnel(segw={"attributes": {INTERNAL_IP6_ADDRESS: bytes.fromhex("fd00021000000000000000000000000140")}},
                    child={"request-address": "both"})
        self.ping(self.old_spi())
        self.assertEqual(self.client.get("Addresses"), ["10.210.0.1/32", "fd00:210::1/64"])


class AddressTest(ScriptedTest):
    """RFC 7296 3.15.1: an address is asked for again, and the SeGW may have another one."""

    def test_a_segw_may_assign_another_address_when_it_is_authenticated_anew(self):
        self.tunnel(connection={"reconnect": "yes"})
        self.segw.tell("assign", "10.210.0.9")
        self.segw.tell("refuse", NO_ADDITIONAL_SAS)
        self.operator.call("RekeyIkeSa")
        self.segw.expect(r"ATTRIBUTE 1 value=0ad20001")
        self.segw.expect(rf"request 1 \d+ {INFORMATIONAL} .*delete-ike")
        self.assert_one_left(2)
        self.assertEqual(self.client.get("Addresses"), ["10.210.0.9/32"])
        self.assertNotIn("10.210.0.1", run(["ip", "address"], namespace=HENB).stdout)


class GroupTest(ScriptedTest):
    """Key exchanges in CREATE_CHILD_SA (RFC 7296 1.3)"""

    def test_a_segw_may_rekey_without_a_key_exchange_what_was_made_with_one(self):
        self.tunnel()
        self.operator.call("RekeyChildSas")
        first = self.segw.expect(r"child (\w+) ")[1]
        self.assert_one_left(1, first)
        self.segw_asks("rekey-child", 1, first)
        new = self.segw.expect(r"child (\w+) ")[1]
        self.segw_asks("delete-child", 1, first)
        self.assert_one_left(1, new)

    def test_a_segw_may_rekey_with_a_key_exchange_where_we_propose_none(self):
        self.tunnel(child={"pfs": "no"})
        self.assertIn("ke=19", self.segw_asks("rekey-child", 1, self.old_spi(), 19))
        new = self.segw.expect(r"child (\w+) ")[1]
        self.segw_asks("delete-child", 1, self.old_spi())
        self.assert_one_left(1, new)


class SelectorTest(ScriptedTest):
    """RFC 7296 2.9, 2.9.2"""

    def test_a_segw_may_rekey_with_wider_selectors_than_it_granted_and_has_those_that_it_granted(self):
        self.tunnel(segw={"remote": ["10.200.0.1-10.200.0.6"]})
        self.segw.tell("remote", "0.0.0.0-255.255.255.255")
        self.segw_asks("rekey-child", 1, self.old_spi())
        new = self.segw.expect(r"child (\w+) ")[1]
        self.segw_asks("delete-child", 1, self.old_spi())
        self.assert_one_left(1, new)
        self.assertEqual(run(["ip", "route", "get", "10.200.0.7"], namespace=HENB, check=False).stdout.count(INTERFACE), 0)

    def test_a_segw_can_not_take_traffic_away_by_rekeying(self):
        self.tunnel(segw={"remote": ["10.200.0.1-10.200.0.6"]})
        self.segw.tell("remote", "10.200.0.1-10.200.0.5")
        self.assertEqual(self.refused(self.segw_asks("rekey-child", 1, self.old_spi())), TS_UNACCEPTABLE)
        self.assert_one_left(1, self.old_spi())


class DeleteTest(ScriptedTest):
    """RFC 7296 1.4.1"""

    def test_a_delete_of_no_spi_or_of_ah_is_answered_with_nothing(self):
        self.tunnel()
        for delete in "03040000", f"02040001{self.old_spi()}":
            self.assertNotIn("delete", self.segw_asks("ask", 1, INFORMATIONAL, f"{DELETE}={delete}"))
        self.assert_one_left(1, self.old_spi())

    def test_one_request_may_delete_the_children_and_the_ike_sa_in_either_order(self):
        for ike_first in (True, False):
            self.tunnel()
            deletes = [f"{DELETE}=01000000", f"{DELETE}=03040001{self.old_spi()}"]
            self.segw_asks("ask", 1, INFORMATIONAL, *(deletes if ike_first else reversed(deletes)))
            self.client.wait_for_state("idle", seconds=30.0)
            wait_until(lambda: self.tred.exchanges() == [], "tred without an IKE SA", 30.0)
            self.assertIn("Delete of the IKE SA", self.client.get("LastError"))
            for part in (self.client, self.tred, self.world.tpm, self.segw):
                part.stop()

    def test_a_segw_that_does_not_answer_a_delete_is_taken_for_gone(self):
        self.tunnel(connection={"liveness": "6", "reconnect": "yes"})
        self.segw.tell("hold")
        self.operator.call("RekeyChildSas")
        self.segw.expect(rf"request 1 \d+ {CREATE} ")
        self.segw.tell("release\nhold")
        self.segw.expect(rf"request 1 \d+ {INFORMATIONAL} .*delete-child")
        self.client.wait_for(r"the SeGW does not answer any more", seconds=30.0)
        self.segw.tell("release")
        self.client.wait_for_state("established", seconds=30.0)


class ReplacementTest(ScriptedTest):
    """A SeGW that makes another Child SA, and deletes the first, without REKEY_SA."""

    def assert_in_its_place(self, new):
        self.segw_asks("delete-child", 1, self.old_spi())
        run(["ping", "-c", "1", "-W", "1", "10.200.0.1"], namespace=HENB, check=False)
        self.segw.expect(rf"packet {new}$")
        self.assert_one_left(1, new)
        self.assertNotRegex(self.segw.output(), rf"(?m)^request 1 \d+ {CREATE} ")

    def test_another_child_of_the_segws_takes_the_place_of_the_one_that_it_deletes(self):
        self.tunnel()
        self.segw_asks("create-child", 1)
        self.assert_in_its_place(self.segw.expect(r"child (\w+) ")[1])

    def test_another_child_of_the_segws_with_a_key_exchange_does_likewise(self):
        self.tunnel()
        self.segw_asks("create-child", 1, 19)
        self.assert_in_its_place(self.segw.expect(r"child (\w+) ")[1])
