"""What RFC 7296 allows and few gateways do: a SeGW by hand (tests/gateway) does it, and the tunnel works."""

import re

from lab.network import HENB
from lab.process import run
from lab.scripted import CREATE, INFORMATIONAL, INITIAL_CONTACT, ScriptedTest, TEMPORARY_FAILURE
from lab.traffic import INTERFACE

INIT_COOKIE, INVALID_KE_PAYLOAD = 16390, 17
SET_WINDOW_SIZE, UNKNOWN_STATUS, INVALID_SELECTORS, UNKNOWN_ERROR = 16385, 40962, 39, 8191
UNSUPPORTED_CRITICAL_PAYLOAD, NO_ADDITIONAL_SAS, TS_UNACCEPTABLE = 1, 35, 38
ADDITIONAL_TS_POSSIBLE, IPCOMP_SUPPORTED, USE_TRANSPORT_MODE, HTTP_CERT_LOOKUP_SUPPORTED = 16386, 16387, 16391, 16392
ESP_TFC_PADDING_NOT_SUPPORTED, NON_FIRST_FRAGMENTS_ALSO, NO_ADDITIONAL_ADDRESSES, UPDATE_SA_ADDRESSES = 16394, 16395, 16399, 16400
UNACCEPTABLE_ADDRESSES, UNEXPECTED_NAT_DETECTED, NO_NATS_ALLOWED, MULTIPLE_AUTH_SUPPORTED = 40, 41, 16402, 16404
LINK_ID, CHILDLESS_IKEV2_SUPPORTED, QUICK_CRASH_DETECTION, INTERMEDIATE_EXCHANGE_SUPPORTED = 16414, 16418, 16419, 16438
INTERNAL_IP4_ADDRESS, INTERNAL_IP4_NETMASK, INTERNAL_IP4_DNS, SUPPORTED_ATTRIBUTES, INTERNAL_IP4_SUBNET = 1, 2, 3, 14, 13
UNKNOWN_ATTRIBUTE = 30001


class LifeTest(ScriptedTest):
    """Everything that an IKE SA has in its life."""

    def assert_rekeyed_by_us(self):
        self.operator.call("RekeyChildSas")
        child = self.segw.expect(r"child (\w+) ")[1]
        self.assert_one_left(1, child)
        self.operator.call("RekeyIkeSa")
        self.segw.expect(rf"request 1 \d+ {INFORMATIONAL} .*delete-ike")
        self.assert_one_left(2, child)
        return child

    def assert_rekeyed_by_the_segw(self, child):
        self.segw_asks("rekey-child", 2, child)
        new = self.segw.expect(r"child (\w+) ")[1]
        self.segw_asks("delete-child", 2, child)
        self.assert_one_left(2, new)
        self.segw_asks("rekey-ike", 2, 19)
        self.segw.expect(r"ike 3")
        self.segw_asks("delete-ike", 2)
        self.assert_one_left(3, new)

    def live(self, *style):
        self.tunnel(segw={"style": style})
        self.ping(self.old_spi())
        self.assert_rekeyed_by_the_segw(self.assert_rekeyed_by_us())
        self.segw_asks("inform", 3)
        self.segw_asks("inform", 3, UNKNOWN_STATUS, f"{UNKNOWN_STATUS}=0102", INVALID_SELECTORS, UNKNOWN_ERROR)
        self.operator.call("Disconnect")
        self.segw.expect(rf"request 3 \d+ {INFORMATIONAL} .*delete-ike")
        self.client.wait_for_state("idle", seconds=30.0)
        self.assertEqual(self.client.get("LastError"), "")
        self.assertEqual(self.segw.left(), ({}, set()))

    def test_payloads_may_come_in_any_order(self):
        self.live("reversed")

    def test_the_critical_bit_of_known_payloads_says_nothing(self):
        self.live("critical")

    def test_payloads_and_notifies_that_nobody_knows_are_passed_over(self):
        self.live("unknown")

    def test_reserved_bits_and_the_minor_version_say_nothing(self):
        self.live("reserved")

    def test_nonces_may_have_16_octets(self):
        self.live("nonce=16")

    def test_nonces_may_have_256_octets(self):
        self.live("nonce=256")

    def test_fragments_may_come_in_any_order_and_twice(self):
        self.live("pieces=5")

    def test_fragments_may_differ_in_size_and_have_no_octets(self):
        self.live("pieces=6", "uneven")

    def test_a_message_may_be_a_single_fragment(self):
        self.live("alone")

    def test_a_sealed_message_may_have_as_much_padding_as_there_can_be(self):
        """RFC 7296 3.14"""
        self.live("padding=255", "pieces=3")

    def test_packets_may_have_tfc_padding_and_dummies_among_them(self):
        """RFC 4303 2.6, 2.7"""
        self.live("tfc")

    def test_a_request_in_fragments_that_comes_again_is_answered_as_before(self):
        self.tunnel(segw={"style": ["pieces=4"]})
        self.assert_answered_as_before()

    def test_a_request_that_is_cut_anew_on_its_way_is_put_together_of_its_new_fragments(self):
        """RFC 7383 2.5.2"""
        self.tunnel(segw={"style": ["pieces=3"]})
        self.segw.tell("keep")
        self.segw.tell("rekey-child", 1, self.old_spi())
        self.segw.tell("cut", 1, 3, 2)  # the first one is lost
        self.segw.tell("cut", 1, 6, 6)
        self.segw.expect(r"response .*")
        new = self.segw.expect(r"child (\w+) ")[1]
        self.segw_asks("delete-child", 1, self.old_spi())
        self.assert_one_left(1, new)

    def assert_answered_when_cut_anew(self, before, after):
        """A request in `before` fragments, that comes again in `after` as our answer is lost (RFC 7383 2.6.1)."""
        self.tunnel(segw={"style": ["pieces=1"]})
        self.segw.tell("style", f"pieces={before}")
        once = self.segw_asks("rekey-child", 1, self.old_spi())
        new = self.segw.expect(r"child (\w+) ")[1]
        self.segw.tell("cut", 1, after)
        self.assertEqual(self.segw.expect(r"response .*")[0], once)
        self.segw_asks("delete-child", 1, self.old_spi())
        self.assert_one_left(1, new)

    def test_a_request_that_comes_again_in_smaller_fragments_is_answered_as_before(self):
        self.assert_answered_when_cut_anew(2, 5)

    def test_a_request_that_comes_again_in_fragments_for_the_first_time_is_answered_as_before(self):
        self.assert_answered_when_cut_anew(1, 4)

    def test_a_request_that_overtakes_the_answer_to_ike_auth_is_answered_when_it_comes_again(self):
        self.tunnel(segw={"style": ["eager"]})
        self.segw_asks("send", 1)
        self.assert_one_left(1, self.old_spi())

    def test_a_segw_with_a_larger_window_is_asked_one_thing_at_a_time(self):
        self.tunnel(segw={"notifies": {SET_WINDOW_SIZE: bytes((0, 0, 0, 8))}})
        self.begin("RekeyChildSas")
        self.operator.call("RekeyIkeSa")
        self.segw.expect(rf"again 1 2 {CREATE}")
        self.segw.tell("release")
        new = self.segw.expect(r"child (\w+) ")[1]
        self.segw.expect(rf"request 1 \d+ {INFORMATIONAL} delete-ike")
        self.assert_one_left(2, new)

    def test_answers_may_come_twice(self):
        self.live("twice")

    def test_proposals_may_say_that_an_aead_has_no_integrity_algorithm(self):
        """RFC 7296 3.3.2, 3.3.3"""
        self.live("spelt")

    def test_answers_to_deletes_may_be_empty(self):
        self.live("silent")

    def test_all_of_that_may_come_at_once(self):
        self.live("reversed", "critical", "unknown", "reserved", "nonce=256", "pieces=3", "uneven", "padding=255",
                  "twice", "spelt", "tfc", "silent")


class InitTest(ScriptedTest):
    """RFC 7296 1.2, 2.6, 2.6.1"""

    def asked(self):
        """The IKE_SA_INIT requests: (cookie or None, group of the KE, nonce)."""
        found = []
        for line in re.findall(r"(?m)^init (.*)$", self.segw.output()):
            cookie = re.search(rf"notify={INIT_COOKIE} data=(\w+)", line)
            found.append((cookie and cookie[1], int(re.search(r"ke=(\d+)", line)[1]), re.search(r"nonce=(\w+)", line)[1]))
        return found

    def assert_detours(self, *detours, groups):
        """With a request in each of those groups; returns the cookies."""
        self.tunnel(segw={"detours": detours}, ike={"proposals": "aes128gcm16-prfsha256-ecp384-ecp256"}
                    if 20 in groups else {"proposals": "aes128gcm16-prfsha256-ecp256"})
        self.ping(self.old_spi())
        asked = self.asked()
        self.assertEqual([group for _, group, _ in asked], groups)
        self.assertEqual(len({nonce for _, _, nonce in asked}), 1)
        return [cookie for cookie, _, _ in asked]

    def test_a_cookie_is_sent_back_and_so_is_the_next_one(self):
        none, first, second = self.assert_detours("cookie", "cookie", groups=[19, 19, 19])
        self.assertIsNone(none)
        self.assertIsNotNone(first)
        self.assertNotIn(second, (None, first))

    def test_a_cookie_another_group_and_another_cookie_lead_on(self):
        none, first, same, second = self.assert_detours("cookie", "group", "cookie", groups=[20, 20, 19, 19])
        self.assertIsNone(none)
        self.assertIsNotNone(first)
        self.assertEqual(same, first)
        self.assertNotIn(second, (None, first))

    def test_an_spi_in_such_an_answer_says_nothing(self):
        _, *cookies = self.assert_detours("cookie,spi", "group,spi", groups=[20, 20, 19])
        self.assertEqual(len(set(cookies)), 1)

    def test_a_cookie_and_another_group_in_one_answer_lead_on(self):
        none, *cookies = self.assert_detours("cookie,group", "group", groups=[20, 20, 19])
        self.assertIsNone(none)
        self.assertEqual(len(set(cookies)), 1)
        self.assertIsNotNone(cookies[0])


class GrantTest(ScriptedTest):
    """What IKE_AUTH grants (RFC 7296 2.9, 2.19, 3.15)."""

    def send(self, address, port):
        """A datagram to that address and port."""
        run(["bash", "-c", f"echo . > /dev/udp/{address}/{port}"], namespace=HENB)

    def test_selectors_may_have_protocols_and_ports_and_carry_nothing_else(self):
        self.tunnel(segw={"remote": ["10.200.0.1-10.200.0.1/1/0-65535", "10.200.0.2-10.200.0.6/17/2152-2153"]})
        self.ping(self.old_spi())
        for address, port in (("10.200.0.2", 2151), ("10.200.0.1", 2152), ("10.200.0.2", 2154), ("10.200.0.6", 2153)):
            self.send(address, port)
        self.segw.expect(rf"packet {self.old_spi()}$")
        self.ping(self.old_spi())
        self.assertEqual(self.segw.output().count("packet "), 1)

    def test_a_response_may_say_what_else_the_segw_can_do(self):
        self.tunnel(segw={"notifies": {
            INITIAL_CONTACT: b"", SET_WINDOW_SIZE: bytes((0, 0, 0, 1)), ADDITIONAL_TS_POSSIBLE: b"",
            HTTP_CERT_LOOKUP_SUPPORTED: b"", ESP_TFC_PADDING_NOT_SUPPORTED: b"", NON_FIRST_FRAGMENTS_ALSO: b"",
            MULTIPLE_AUTH_SUPPORTED: b"", QUICK_CRASH_DETECTION: bytes(range(32))}})
        self.ping(self.old_spi())

    def assert_reached(self, *addresses):
        """A packet to each of them comes to the SeGW, by the one Child SA; to those around them there is no way."""
        for address in addresses:
            run(["ping", "-c", "1", "-W", "1", address], namespace=HENB, check=False)
            self.segw.expect(rf"packet {self.old_spi()}$")

    def goes_by_the_tunnel(self, address):
        return INTERFACE in run(["ip", "route", "get", address], namespace=HENB, check=False).stdout

    def test_selectors_that_are_no_prefix_carry_what_they_say_and_nothing_else(self):
        self.tunnel(segw={"remote": ["10.200.0.1-10.200.0.6"]})
        self.ping(self.old_spi())
        self.assert_reached("10.200.0.2", "10.200.0.6")
        self.assertEqual([self.goes_by_the_tunnel(f"10.200.0.{last}") for last in (0, 1, 3, 6, 7)],
                         [False, True, True, True, False])

    def test_several_selectors_carry_what_they_say_and_nothing_else(self):
        self.tunnel(segw={"remote": ["10.200.0.1-10.200.0.2", "10.201.7.5-10.201.7.5"]})
        self.ping(self.old_spi())
        self.assert_reached("10.200.0.2", "10.201.7.5")
        self.assertFalse(self.goes_by_the_tunnel("10.200.0.3"))
        self.assertFalse(self.goes_by_the_tunnel("10.201.7.4"))

    def test_a_segw_may_rekey_with_the_same_traffic_in_more_selectors(self):
        self.tunnel(segw={"remote": ["10.200.0.1-10.200.0.6"]})
        self.segw.tell("remote", "10.200.0.1-10.200.0.3", "10.200.0.4-10.200.0.6")
        self.segw_asks("rekey-child", 1, self.old_spi())
        new = self.segw.expect(r"child (\w+) ")[1]
        self.ping(self.old_spi())  # the new one waits for its first packet
        self.ping(new)
        self.segw_asks("delete-child", 1, self.old_spi())
        self.assert_one_left(1, new)

    def test_a_segw_may_answer_a_rekeying_with_the_same_traffic_in_other_selectors(self):
        self.tunnel(segw={"remote": ["10.200.0.1-10.200.0.3", "10.200.0.4-10.200.0.6"], "style": ["split"]})
        self.segw.tell("remote", "10.200.0.1-10.200.0.6")
        self.operator.call("RekeyChildSas")
        new = self.segw.expect(r"child (\w+) ")[1]
        self.assert_one_left(1, new)
        self.segw.tell("remote", "10.200.0.1-10.200.0.1", "10.200.0.2-10.200.0.6")
        self.operator.call("RekeyChildSas")
        self.assert_one_left(1, self.segw.expect(r"child (\w+) ")[1])

    def test_a_reply_may_have_empty_and_unknown_attributes(self):
        self.tunnel(segw={"attributes": {INTERNAL_IP4_ADDRESS: b"", INTERNAL_IP4_NETMASK: b"", INTERNAL_IP4_DNS: b"",
                                         SUPPORTED_ATTRIBUTES: b"", INTERNAL_IP4_SUBNET: bytes((10, 0, 0, 0, 255, 0, 0, 0)),
                                         UNKNOWN_ATTRIBUTE: b"whatever"}})
        self.ping(self.old_spi())
        self.assertEqual(self.client.get("Addresses"), ["10.210.0.1/32"])


class RekeyTest(ScriptedTest):
    """CREATE_CHILD_SA and Deletes (RFC 7296 1.3.2, 1.4.1)."""

    def test_a_rekeyed_ike_sa_may_have_another_suite_of_those_offered(self):
        self.tunnel(ike={"proposals": "aes128gcm16-prfsha256-ecp256, aes256gcm16-prfsha256-ecp256"})
        self.assertIn("AES_GCM_16_128", self.client.get("Suite"))
        self.segw.tell("key-length", 256)
        self.operator.call("RekeyIkeSa")
        self.segw.expect(rf"request 1 \d+ {INFORMATIONAL} delete-ike")
        self.assert_one_left(2, self.old_spi())
        self.assertIn("AES_GCM_16_256", self.client.get("Suite"))
        self.operator.call("RekeyChildSas")
        new = self.segw.expect(r"child (\w+) ")[1]
        self.assert_one_left(2, new)
        self.segw_asks("rekey-child", 2, new)
        newer = self.segw.expect(r"child (\w+) ")[1]
        self.segw_asks("delete-child", 2, new)
        self.assert_one_left(2, newer)

    def test_one_delete_may_name_several_children_and_some_that_nobody_has(self):
        self.tunnel(connection={"reconnect": "yes"})
        first = self.old
        self.segw_asks("create-child", 1)
        self.segw.expect(r"child (\w+) ")
        second, = self.segw.left()[1] - {first}
        answer = self.segw_asks("delete-child", 1, f"{second[0]:08x}", "0badbeef", f"{first[0]:08x}")
        said = re.search(r"delete-child((?: \w+)+)", answer)[1].split()
        self.assertEqual(sorted(said), sorted(f"{out:08x}" for _, out in (first, second)))
        self.segw.expect(rf"request 1 \d+ {INFORMATIONAL} delete-ike")
        self.assert_one_left(2)  # as without a child there is no tunnel

    def test_each_child_may_have_a_delete_of_its_own_however_many_there_are(self):
        self.tunnel(connection={"reconnect": "yes"})
        for _ in range(3):
            self.segw_asks("create-child", 1)
            self.segw.expect(r"child (\w+) ")
        children = self.segw.left()[1]
        self.assertEqual(len(children), 4)
        others = [f"0badbe{number:02x}" for number in range(6)]
        answer = self.segw_asks("delete-each", 1, *others, *(f"{spi:08x}" for spi, _ in children - {self.old}))
        said = re.search(r"delete-child((?: \w+)+)", answer)[1].split()
        self.assertEqual(sorted(said), sorted(f"{out:08x}" for _, out in children - {self.old}))
        self.assert_one_left(1, self.old_spi())

    def test_a_delete_of_nothing_that_we_have_is_answered_with_nothing(self):
        self.tunnel()
        self.assertNotIn("delete", self.segw_asks("delete-child", 1, "0badbeef"))
        self.assert_one_left(1, self.old_spi())

    def assert_both_rekey(self, **client):
        self.assertRegex(self.segw_asks("rekey-child", 1, self.old_spi()), "nonce=")
        new = self.segw.expect(r"child (\w+) ")[1]
        self.segw_asks("delete-child", 1, self.old_spi())
        self.assert_one_left(1, new)
        self.operator.call("RekeyChildSas")
        self.assert_one_left(1, self.segw.expect(r"child (\w+) ")[1])

    def test_what_else_a_segw_says_of_a_child_is_passed_over(self):
        self.tunnel()
        self.segw.tell("also", ESP_TFC_PADDING_NOT_SUPPORTED, NON_FIRST_FRAGMENTS_ALSO, ADDITIONAL_TS_POSSIBLE, UNKNOWN_STATUS)
        self.assert_both_rekey()

    def test_transport_mode_is_declined_by_a_tunnel(self):
        """RFC 7296 1.3.1: it is a wish, and whoever insists on it deletes what he got."""
        self.tunnel()
        self.segw.tell("also", USE_TRANSPORT_MODE)
        answer = self.segw_asks("rekey-child", 1, self.old_spi())
        self.assertRegex(answer, "nonce=")
        self.assertNotIn(f"notify={USE_TRANSPORT_MODE}", answer)
        new = self.segw.expect(r"child (\w+) ")[1]
        self.segw_asks("delete-child", 1, self.old_spi())
        self.assert_one_left(1, new)

    def assert_found_among(self, style):
        self.tunnel(segw={"style": [style]})
        self.assert_both_rekey()
        self.segw_asks("rekey-ike", 1, 19)
        self.segw.expect(r"ike 2")
        self.segw_asks("delete-ike", 1)
        self.assert_one_left(2)

    def test_what_we_can_use_is_found_among_proposals_of_any_kind_and_number(self):
        self.assert_found_among("offers")

    def test_what_we_can_use_is_found_among_any_number_of_transforms(self):
        self.assert_found_among("transforms")

    def test_selectors_of_a_type_that_we_do_not_know_are_passed_over(self):
        """RFC 9478 has one."""
        self.tunnel(segw={"style": ["label"]})
        self.assert_both_rekey()

    def test_a_child_for_nothing_but_those_is_refused_and_nothing_else_ends(self):
        self.tunnel(segw={"style": ["label"]})
        self.segw.tell("remote")
        self.assertEqual(self.refused(self.segw_asks("create-child", 1)), TS_UNACCEPTABLE)
        self.assert_one_left(1, self.old_spi())

    def test_of_a_key_exchange_for_a_child_a_segw_may_choose_none(self):
        for style in "none", "nogroup":
            self.tunnel(segw={"style": [style]})
            self.operator.call("RekeyChildSas")
            self.segw.expect(rf"request 1 \d+ {CREATE} .*ke=19")
            self.assert_one_left(1, self.segw.expect(r"child (\w+) ")[1])
            for part in (self.client, self.tred, self.world.tpm, self.segw):
                part.stop()


class InformationalTest(ScriptedTest):
    """RFC 7296 1.4, 2.5; 4555; 5685; 6290"""

    def test_a_critical_payload_that_nobody_knows_is_named_and_nothing_else_ends(self):
        self.tunnel()
        answer = self.segw_asks("critical", 1)
        self.assertEqual(self.refused(answer), UNSUPPORTED_CRITICAL_PAYLOAD)
        self.assertIn("data=c9", answer)
        self.assert_one_left(1, self.old_spi())

    def test_what_an_established_segw_says_beside_what_we_need_changes_nothing(self):
        self.tunnel()
        for words in ([INITIAL_CONTACT], [f"{SET_WINDOW_SIZE}=00000008"], [UPDATE_SA_ADDRESSES], [NO_ADDITIONAL_ADDRESSES],
                      [UNACCEPTABLE_ADDRESSES], [UNEXPECTED_NAT_DETECTED], [TEMPORARY_FAILURE], [NO_ADDITIONAL_SAS],
                      [f"{QUICK_CRASH_DETECTION}=000102030405060708090a0b0c0d0e0f"], [LINK_ID],
                      [CHILDLESS_IKEV2_SUPPORTED, MULTIPLE_AUTH_SUPPORTED, INTERMEDIATE_EXCHANGE_SUPPORTED],
                      [IPCOMP_SUPPORTED, USE_TRANSPORT_MODE]):
            with self.subTest(words):
                self.assertEqual(len(self.segw_asks("inform", 1, *words).split()), 4)
        self.assertEqual(self.refused(self.segw_asks("inform", 1, f"{NO_NATS_ALLOWED}={'00' * 12}")), UNEXPECTED_NAT_DETECTED)
        self.assert_one_left(1, self.old_spi())
