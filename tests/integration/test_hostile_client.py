"""The second law: tred is no oracle, whoever speaks to it in ikeclient's place."""

import hashlib
import socket
import struct

from cryptography.hazmat.primitives.serialization import Encoding
from lab import ike
from lab.bus import BusError, Connection
from lab.case import LabTest
from lab.handclient import HandClient, random_nonce
from lab.network import INNER_IPV4, SEGW_IPV4
from lab.pki import SEGW_NAME
from lab.process import wait_until
from lab.programs import EXCHANGE, TRED

ACCESS_DENIED = "org.freedesktop.DBus.Error.AccessDenied"
INVALID_ARGS = "org.freedesktop.DBus.Error.InvalidArgs"


class HostileTest(LabTest):
    def setUp(self):
        super().setUp()
        self.gateway = self.start_segw()

    def hand(self, **named):
        return self.starting(HandClient(**named))

    def state(self, hand):
        return hand.bus.get(TRED, hand.exchange, EXCHANGE, "State")

    def children(self, hand):
        return hand.bus.get(TRED, hand.exchange, EXCHANGE, "Children")

    def assert_refused(self, error, call, *arguments, **named):
        with self.assertRaises(BusError) as caught:
            call(*arguments, **named)
        self.assertEqual(caught.exception.name, error, caught.exception)
        self.assertGreater(len(caught.exception.text), 10)


class SigningTest(HostileTest):
    def setUp(self):
        super().setUp()
        self.start_tred()

    def test_sign_auth_works_once(self):
        hand = self.hand().until("sign")
        self.assert_refused("WrongState", hand.sign)

    def test_nothing_is_signed_before_both_have_agreed(self):
        self.assert_refused("WrongState", self.hand().until("begin").sign)

    def test_agree_works_once(self):
        self.assert_refused("WrongState", self.hand().until("agree").agree)

    def assert_foreign(self, change):
        """A request that differs from the exchange's own in one thing is not signed over."""
        hand = self.hand().until("sa_init")
        message = ike.decode(hand.request)
        change(message)
        hand.request = ike.encode(message)
        self.assert_refused("ForeignRequest", hand.agree)
        self.assert_refused("WrongState", hand.sign)

    def test_a_request_with_another_nonce_is_foreign(self):
        self.assert_foreign(lambda message: replace(message, ike.NONCE, random_nonce()))

    def test_a_request_with_another_spi_is_foreign(self):
        def change(message):
            message.spi_i ^= 1

        self.assert_foreign(change)

    def test_a_request_with_another_key_exchange_is_foreign(self):
        other = self.hand().until("begin")
        self.assert_foreign(lambda message: replace(message, ike.KE,
                                                    struct.pack("!HH", other.group, 0) + other.ke))

    def test_the_request_of_another_exchange_is_foreign(self):
        other, hand = self.hand().until("sa_init"), self.hand().until("sa_init")
        hand.request, hand.response = other.request, other.response
        self.assert_refused("ForeignRequest", hand.agree)

    def test_a_response_to_another_request_is_foreign(self):
        other, hand = self.hand().until("sa_init"), self.hand().until("sa_init")
        hand.response = other.response
        self.assert_refused("ForeignResponse", hand.agree)

    def test_a_suite_that_was_not_offered_is_refused(self):
        hand = self.hand().until("sa_init")
        message = ike.decode(hand.response)
        sa = bytearray(message.find(ike.SA))
        position = sa.index(struct.pack("!HH", 0x800E, 128))
        sa[position + 2:position + 4] = struct.pack("!H", 256)
        replace(message, ike.SA, bytes(sa))
        hand.response = ike.encode(message)
        self.assert_refused("SuiteNotAllowed", hand.agree)

    def test_octets_that_are_no_message_are_malformed(self):
        hand = self.hand().until("sa_init")
        hand.request = hand.request[:-1]
        self.assert_refused("Malformed", hand.agree)

    def test_a_group_outside_the_profile_is_refused(self):
        self.assert_refused("GroupNotSupported", self.hand().begin, 2)


def replace(message, kind, body):
    for payload in message.payloads:
        if payload.kind == kind:
            payload.body = body


class OrderTest(HostileTest):
    def setUp(self):
        super().setUp()
        self.start_tred()

    def test_no_child_is_added_before_the_segw_is_verified(self):
        hand = self.hand().until("authenticate")
        self.assert_refused("WrongState", hand.add_child)

    def test_the_childs_keys_are_handed_out_once(self):
        hand = self.hand().until("add_child")
        self.assert_refused("KeysUsed", hand.add_child)
        hand.spi_in, = hand.call("AllocateSpi")
        self.assert_refused("NoSuchChild", hand.add_child)

    def test_a_child_that_is_asked_for_while_the_peer_is_judged_is_added_after_the_verdict(self):
        hand = self.hand().until("authenticate")
        hand.bus.send(TRED, hand.exchange, EXCHANGE, "VerifyPeer", "")
        self.assertEqual(hand.add_child(), "")
        self.assertEqual(self.state(hand), "verified")
        self.assertEqual(len(self.children(hand)), 1)

    def test_spi_and_transport_may_be_asked_for_while_the_tpm_signs(self):
        hand = self.hand().until("agree")
        hand.bus.send(TRED, hand.exchange, EXCHANGE, "SignAuth", "")
        hand.call("AllocateSpi")
        self.assert_refused("WrongState", hand.sign)
        wait_until(lambda: self.state(hand) == "signed", "the signature")

    def changed_request(self, change):
        """An exchange whose IKE_AUTH request has other payloads; how far it came, and no further."""
        hand = self.hand().until("sign")
        payloads = change(hand.auth_payloads())
        hand.auth_payloads = lambda: payloads
        for step in (hand.authenticate, hand.verify, hand.add_child):
            try:
                step()
            except BusError as error:
                return error.name
            except TimeoutError:
                return "unanswered"
        return "added"

    def assert_goes_on(self):
        self.hand().until("add_child")

    def test_more_certificates_than_anybody_looks_at_harm_nothing(self):
        """Each bound of a list of certificates, and one more: 16 of a chain, 32 of a message."""
        for count in (16, 17, 32, 33):
            with self.subTest(certificates=count):
                # The second payload is the device's certificate. The SeGW may have enough of it.
                outcome = self.changed_request(lambda payloads, count=count: (
                    payloads[:1] + count * payloads[1:2] + payloads[2:]))
                self.assertIn(outcome, ("added", "PeerAuthFailed", "unanswered"))
                self.assert_goes_on()

    def test_more_addresses_than_a_tunnel_has_harm_nothing(self):
        for count in (2, 3, 15, 16, 17, 80, 81, 500):
            with self.subTest(addresses=count):
                outcome = self.changed_request(lambda payloads, count=count: [
                    ike.configuration_request(count) if each.kind == ike.CP else each for each in payloads])
                self.assertEqual(outcome, "added")
                self.assert_goes_on()

    def test_nobody_is_judged_before_a_response_was_opened(self):
        hand = self.hand().until("sign")
        hand.auth_request()
        self.assert_refused("WrongState", hand.verify)
        self.assertEqual(self.state(hand), "signed")

    def test_a_replayed_message_is_refused(self):
        hand = self.hand().until("authenticate")
        for datagram in hand.datagrams:
            self.assert_refused("Replayed", hand.unprotect, datagram)

    def test_our_own_message_sent_back_is_refused(self):
        hand = self.hand().until("sign")
        datagram = hand.auth_request()[0]
        with self.assertRaises(BusError) as caught:
            hand.unprotect(datagram)
        self.assertIn(caught.exception.name, ("Unexpected", "NotAuthentic", "Malformed"))

    def test_a_changed_message_is_not_authentic(self):
        hand = self.hand().until("sign")
        datagram = bytearray(hand.send_and_receive(hand.auth_request()))
        datagram[-1] ^= 1
        self.assert_refused("NotAuthentic", hand.unprotect, bytes(datagram))
        datagram[-1] ^= 1
        self.assertIsNotNone(hand.unprotect(bytes(datagram)))

    def test_a_second_request_waits_for_the_answer_to_the_first(self):
        hand = self.hand().until("sign")
        hand.auth_request()
        self.assert_refused("RequestPending", hand.auth_request)

    def test_nothing_but_ike_auth_is_sealed_before_the_segw_is_verified(self):
        hand = self.hand().until("authenticate")
        for exchange_type in (ike.INFORMATIONAL, ike.CREATE_CHILD_SA):
            self.assert_refused("Unexpected", hand.protect, exchange_type, [])


class ArgumentTest(HostileTest):
    """Each argument that a method still takes, with what a liar would say: docs/architecture.md lists them."""

    def setUp(self):
        super().setUp()
        self.start_tred()

    def test_the_group_of_a_new_ke_is_one_of_the_profile(self):
        hand = self.hand().until("begin")
        for group in (0, 2, 5, 15, 65535):
            self.assert_refused("GroupNotSupported", hand.call, "ChooseGroup", "q", group)
        self.assertEqual(self.state(hand), "begun")

    def test_ike_auth_is_sealed_as_a_request_alone(self):
        hand = self.hand().until("sign")
        self.assert_refused("Unexpected", hand.protect, ike.IKE_AUTH, hand.auth_payloads(),
                            response=True)

    def test_a_chain_under_another_first_type_is_not_sealed(self):
        hand = self.hand().until("sign")
        _, octets = ike.encode_payloads(hand.auth_payloads())
        for first in (0, ike.AUTH, ike.SA, ike.SK, 255):
            with self.assertRaises(BusError) as caught:
                hand.call("Protect", "ybyayu", ike.IKE_AUTH, False, first, octets, 1200)
            self.assertIn(caught.exception.name, ("Malformed", "Unexpected"))
        self.assertEqual(self.state(hand), "signed")

    def assert_not_sealed(self, change, error):
        hand = self.hand().until("sign")
        payloads = hand.auth_payloads()
        change(payloads)
        self.assert_refused(error, hand.protect, ike.IKE_AUTH, payloads)

    def test_an_ike_auth_request_without_idi_or_auth_is_not_sealed(self):
        for kind in (ike.IDI, ike.AUTH):
            self.assert_not_sealed(lambda payloads, kind=kind: payloads.remove(
                next(each for each in payloads if each.kind == kind)), "Unexpected")

    def test_an_ike_auth_request_with_two_idi_or_two_auth_is_not_sealed(self):
        for kind in (ike.IDI, ike.AUTH):
            self.assert_not_sealed(lambda payloads, kind=kind: payloads.append(
                next(each for each in payloads if each.kind == kind)), "Malformed")

    def test_an_ike_auth_request_under_another_name_is_not_sealed(self):
        def change(payloads):
            payloads[0].body = payloads[0].body[:4] + b"other.vendor.example"

        self.assert_not_sealed(change, "Unexpected")

    def test_reserved_octets_of_our_idi_that_sign_auth_did_not_cover_are_not_sealed(self):
        def change(payloads):
            payloads[0].body = payloads[0].body[:1] + b"\1\1\1" + payloads[0].body[4:]

        self.assert_not_sealed(change, "Unexpected")

    def test_a_datagram_size_of_any_number_seals_whole_or_not_at_all(self):
        for size in (0, 1, 2**32 - 1):
            hand = self.hand().until("sign")
            first, octets = ike.encode_payloads(hand.auth_payloads())
            try:
                _, datagrams = hand.call("Protect", "ybyayu", ike.IKE_AUTH, False, first, octets, size)
            except BusError as error:
                self.assertEqual(error.name, "TooLarge")
            else:
                self.assertGreaterEqual(sum(map(len, datagrams)), len(octets))

    def test_a_datagram_of_any_octets_opens_nothing(self):
        hand = self.hand().until("sign")
        hand.auth_request()
        for octets in (b"", b"\0", bytes(28), bytes(2000), b"\xff" * 65535):
            with self.assertRaises(BusError) as caught:
                hand.unprotect(octets)
            self.assertIn(caught.exception.name, ("Malformed", "Unexpected", "NotAuthentic"))
        self.assertEqual(self.state(hand), "signed")

    def test_verify_peer_and_add_child_take_nothing_of_the_peers(self):
        hand = self.hand().until("authenticate")
        self.assert_refused(INVALID_ARGS, hand.call, "VerifyPeer", "yayyaya(yay)", 2, b"x", 14, b"x", [])
        hand.verify()
        self.assert_refused(INVALID_ARGS, hand.call, "AddChild", "uu", hand.spi_in, 0x1000)
        hand.add_child()

    def test_a_transport_has_an_address_and_a_port(self):
        hand = self.hand().until("agree")
        for address in (b"", b"\0", bytes(3), bytes(5), bytes(17)):
            self.assert_refused("Malformed", hand.open_transport, address)
        self.assert_refused("Malformed", hand.open_transport, port=0)
        hand.open_transport()
        self.assert_refused("WrongState", hand.open_transport)

    def test_a_child_has_the_spi_that_this_exchange_allocated_and_ike_auth_asked_for(self):
        other, hand = self.hand().until("agree"), self.hand().until("verify")
        asked = hand.spi_in
        foreign, = other.call("AllocateSpi")
        unasked, = hand.call("AllocateSpi")
        for spi in (0, 1, 255, foreign, unasked, asked ^ 1, 2**32 - 1):
            hand.spi_in = spi
            self.assert_refused("NoSuchChild", hand.add_child)
        self.assertEqual(self.children(hand), [])
        hand.spi_in = asked
        hand.add_child()

    def test_the_child_is_what_the_messages_say(self):
        hand = self.hand().until("add_child")
        child, = self.children(hand)
        self.assertEqual(child["SpiOut"][1], struct.unpack("!I", hand.answer[ike.SA][8:12])[0])
        self.assertEqual(child["SpiIn"][1], hand.spi_in)
        self.assertEqual(child["Suite"][1], "AES_GCM_16_128/NO_ESN")

    def test_dscps_are_set_for_an_own_spi_that_no_child_has_yet(self):
        begun, other, hand = self.hand().until("begin"), self.hand().until("add_child"), self.hand().until("verify")
        self.assert_refused("WrongState", begun.call, "SetDscps", "ut", hand.spi_in, 1)
        for spi in (0, 255, hand.spi_in ^ 1, other.spi_in, 2**32 - 1):
            self.assert_refused("NoSuchChild", hand.call, "SetDscps", "ut", spi, 1)
        for dscps in (0, 2**64 - 1, 1 << 46):  # there is no wrong one: each bit is a DSCP
            hand.call("SetDscps", "ut", hand.spi_in, dscps)
        hand.add_child()
        self.assertEqual(self.children(hand)[0]["Dscps"][1], 1 << 46)
        self.assert_refused("WrongState", hand.call, "SetDscps", "ut", hand.spi_in, 1)
        self.assert_refused("NotOwner", self.stealing(hand).call, "SetDscps", "ut", hand.spi_in, 1)
        self.assertEqual(self.children(hand)[0]["Dscps"][1], 1 << 46)
        self.assertEqual(self.children(other)[0]["Dscps"][1], 0)

    def stealing(self, hand):
        thief = self.hand()
        thief.exchange = hand.exchange
        return thief

    def test_the_child_of_another_exchange_is_not_removed(self):
        other, hand = self.hand().until("add_child"), self.hand().until("verify")
        for spi in (0, other.spi_in):
            self.assert_refused("NoSuchChild", hand.call, "RemoveChild", "u", spi)
        self.assertEqual(len(self.children(other)), 1)


class SegwTest(HostileTest):
    """Whom an exchange is with: the client names a section of tred.conf, and no more."""

    def start_with(self, remote="10.201.0.0/16", **other):
        self.start_tred(**{"segw": {"allowed-remote": f"{INNER_IPV4}/32"},
                           "segw other": {"name": "other.operator.example",
                                          "allowed-remote": remote, **other}})

    def test_a_segw_that_is_not_configured_is_refused(self):
        self.start_with()
        hand = self.hand()
        for name in ("", "core", "Other", "other ", "segw other", "other\n", "o" * 33, "o" * 5000,
                     "*", "other.operator.example", "\u00f6"):
            self.assert_refused("NoSuchSegw", hand.begin_with, name)
        self.assert_refused("GroupNotSupported", hand.begin_with, "other", 2)
        self.assert_refused(INVALID_ARGS, hand.manager, "BeginExchangeWith", "q", ike.ECP_256)
        self.assert_refused(INVALID_ARGS, hand.manager, "BeginExchange", "sq", "other", ike.ECP_256)
        self.assertEqual(hand.begin_with("other"), "other.operator.example")
        self.assertEqual(hand.begin_with("default"), SEGW_NAME)

    def test_the_segw_of_a_section_has_to_prove_the_name_that_stands_there(self):
        self.start_with()
        self.assert_refused("PeerIdentityMismatch", self.hand().until, "verify", "other")
        self.assertEqual(self.hand().until("authenticate", "default").verify(), SEGW_NAME)

    def test_what_is_forked_is_with_the_same_segw(self):
        self.start_with()
        hand = self.hand().until("sa_init", "other")
        real, message = hand.response, ike.decode(hand.response)
        replace(message, ike.NONCE, random_nonce())
        hand.response = ike.encode(message)
        hand.agree()
        fork = hand.fork()
        fork.response = real
        fork.agree()
        self.assert_refused("PeerIdentityMismatch", fork.sign().authenticate().verify)

    def test_only_the_traffic_of_a_section_passes_to_its_segw(self):
        self.start_with(name=SEGW_NAME)
        self.assert_refused("SelectorsNotAllowed", self.hand().until, "add_child", "other")
        self.hand().until("add_child", "default")

    def test_only_the_anchors_of_a_section_count_for_its_segw(self):
        root = self.world.operator_root.certificate.public_bytes(Encoding.DER)
        right = hashlib.sha256(root).hexdigest()
        self.start_with(**{"name": SEGW_NAME, "only-anchors": right})
        self.assertEqual(self.hand().until("authenticate", "other").verify(), SEGW_NAME)

    def test_an_anchor_that_a_section_does_not_have_counts_for_nothing(self):
        self.start_with(**{"name": SEGW_NAME, "only-anchors": "00" * 32})
        self.assert_refused("PeerNotTrusted", self.hand().until, "verify", "other")
        self.assertEqual(self.hand().until("authenticate").verify(), SEGW_NAME)


class CreateTest(HostileTest):
    """CREATE_CHILD_SA: what a liar would have sealed, added, taken over or moved."""

    def setUp(self):
        super().setUp()
        self.start_tred()

    def refused(self, error, hand, payloads):
        self.assert_refused(error, hand.protect, ike.CREATE_CHILD_SA, payloads)

    def with_body(self, payloads, kind, body):
        return [ike.Payload(kind, body) if each.kind == kind else each for each in payloads]

    def body(self, payloads, kind):
        return next(each.body for each in payloads if each.kind == kind)

    def test_the_group_of_a_new_ke_is_one_of_the_profile(self):
        hand = self.hand().until("verify")
        for group in (1, 2, 5, 15, 65535):
            self.assert_refused("GroupNotSupported", hand.call, "PrepareCreateChildSa", "q", group)

    def test_nothing_is_prepared_added_or_taken_over_before_the_segw_is_verified(self):
        hand = self.hand().until("authenticate")
        for call in (("PrepareCreateChildSa", "q", 0), ("UseChild", "u", hand.spi_in), ("AddIkeSa", "t", 1),
                     ("InheritChildren",), ("MoveTransport", "ayqb", bytes(4), 4500, False)):
            self.assert_refused("WrongState", hand.call, *call)

    def test_each_nonce_is_another_and_goes_into_one_message(self):
        hand = self.hand().until("add_child")
        nonces = {self.body(hand.prepared(), ike.NONCE) for _ in range(8)}
        self.assertEqual(len(nonces), 8)
        payloads = hand.child_payloads()
        hand.ask(payloads)
        hand.add_child()
        spi = struct.pack("!I", hand.call("AllocateSpi")[0])
        again = self.with_body(payloads, ike.SA, ike.aes_gcm_128_proposal(3, spi).body)
        self.refused("Unexpected", hand, again)

    def test_a_nonce_of_the_clients_own_or_of_another_exchange_is_not_sealed(self):
        other, hand = self.hand().until("verify"), self.hand().until("verify")
        payloads = hand.child_payloads()
        for nonce in (bytes(32), random_nonce(), self.body(payloads, ike.NONCE)[:16],
                      self.body(other.prepared(), ike.NONCE)):
            self.refused("Unexpected", hand, self.with_body(payloads, ike.NONCE, nonce))
        self.refused("Unexpected", hand, [each for each in payloads if each.kind != ike.NONCE])
        self.assertIsNotNone(hand.ask(payloads))

    def test_a_ke_of_the_clients_own_is_not_sealed(self):
        hand = self.hand().until("verify")
        payloads = hand.child_payloads(group=ike.ECP_256)
        other = self.body(hand.prepared(ike.ECP_256), ike.KE)
        for ke in (other, struct.pack("!HH", ike.ECP_384, 0) + other[4:], other[:4] + bytes(64)):
            self.refused("Unexpected", hand, self.with_body(payloads, ike.KE, ke))
        self.refused("Unexpected", hand, [each for each in payloads if each.kind != ike.KE])
        self.refused("Unexpected", hand, hand.child_payloads() + [ike.Payload(ike.KE, other)])

    def test_an_spi_of_the_clients_own_is_not_sealed(self):
        other, hand = self.hand().until("verify"), self.hand().until("add_child")
        child, foreign = hand.spi_in, other.call("AllocateSpi")[0]
        payloads = hand.child_payloads()
        for spi in (0, 1, 255, foreign, child, hand.spi_in ^ 1):
            sa = ike.aes_gcm_128_proposal(3, struct.pack("!I", spi)).body
            self.refused("NoSuchChild", hand, self.with_body(payloads, ike.SA, sa))
        payloads = hand.ike_payloads()
        for spi in (0, 1, hand.spi_i, hand.new_spi ^ 1):
            sa = ike.aes_gcm_128_proposal(1, struct.pack("!Q", spi), ike.ECP_256).body
            self.refused("Unexpected", hand, self.with_body(payloads, ike.SA, sa))

    def test_a_suite_outside_the_profile_is_not_sealed(self):
        hand = self.hand().until("verify")
        for payloads in (hand.child_payloads(), hand.ike_payloads()):
            sa = bytearray(self.body(payloads, ike.SA))
            position = sa.index(struct.pack("!HH", 0x800E, 128))
            sa[position + 2:position + 4] = struct.pack("!H", 192)
            self.refused("SuiteNotAllowed", hand, self.with_body(payloads, ike.SA, bytes(sa)))
        payloads = hand.ike_payloads()
        sa = ike.aes_gcm_128_proposal(1, struct.pack("!Q", hand.new_spi), 2).body
        self.refused("SuiteNotAllowed", hand, self.with_body(payloads, ike.SA, sa))

    def test_a_message_that_is_about_nothing_is_not_sealed(self):
        hand = self.hand().until("verify")
        for payloads in ([], [ike.notify(ike.TEMPORARY_FAILURE)],
                         [each for each in hand.child_payloads() if each.kind != ike.SA]):
            self.refused("Unexpected", hand, payloads)

    def test_an_answer_that_nobody_asked_for_is_not_sealed(self):
        hand = self.hand().until("verify")
        for payloads in (hand.child_payloads(), [ike.notify(ike.TEMPORARY_FAILURE)]):
            self.assert_refused("Unexpected", hand.protect, ike.CREATE_CHILD_SA, payloads, response=True)

    def asked(self, *rekey):
        """A client that has the SeGW's request, and that request."""
        hand = self.hand().until("add_child")
        self.gateway.control("--rekey", *rekey)
        return hand, hand.asked()

    def test_an_answer_beyond_the_segws_request_is_not_sealed_and_an_error_is(self):
        hand, request = self.asked("--child", "net")
        wide = hand.child_payloads()
        other = [each for each in request if each.kind in (ike.TSI, ike.TSR)]
        good = hand.child_payloads(selectors=other)

        def refused(error, payloads):
            self.assert_refused(error, hand.protect, ike.CREATE_CHILD_SA, payloads, response=True)

        refused("SelectorsNotAllowed", wide)
        refused("ChildNotGranted", [each for each in good if each.kind != ike.TSI])
        refused("SuiteNotAllowed", self.with_body(good, ike.SA, ike.aes_gcm_128_proposal(
            3, struct.pack("!I", hand.spi_in), ike.ECP_256).body))
        refused("SuiteNotAllowed", hand.ike_payloads())  # an IKE SA, where a Child SA was asked for
        hand.answer_with([ike.notify(ike.TEMPORARY_FAILURE)])
        self.assert_refused("NoSuchChild", hand.add_child)
        self.assertEqual(len(self.children(hand)), 1)

    def test_keys_are_handed_out_once_and_under_the_spi_that_was_negotiated(self):
        hand = self.hand().until("add_child")
        first = hand.spi_in
        hand.ask(hand.child_payloads(rekeyed=first))
        negotiated, unasked = hand.spi_in, hand.call("AllocateSpi")[0]
        for spi, error in ((0, "NoSuchChild"), (negotiated ^ 1, "NoSuchChild"), (first, "KeysUsed"),
                           (unasked, "NoSuchChild")):
            hand.spi_in = spi
            self.assert_refused(error, hand.add_child)
        hand.spi_in = negotiated
        hand.add_child()
        self.assert_refused("KeysUsed", hand.add_child)
        hand.call("RemoveChild", "u", negotiated)
        self.assert_refused("NoSuchChild", hand.add_child)

    def test_a_child_of_somebody_elses_is_not_used(self):
        other, hand = self.hand().until("add_child"), self.hand().until("add_child")
        unadded, = hand.call("AllocateSpi")
        for spi in (0, other.spi_in, unadded, hand.spi_in ^ 1):
            self.assert_refused("NoSuchChild", hand.call, "UseChild", "u", spi)
        for _ in range(2):
            hand.call("UseChild", "u", hand.spi_in)

    def test_an_ike_sa_is_made_once_of_what_was_negotiated(self):
        hand = self.hand().until("add_child")
        hand.ask(hand.child_payloads())
        for spi in (0, hand.new_spi, hand.spi_i):  # that of a Child SA's message is about no IKE SA
            self.assert_refused("NoSuchIkeSa", hand.call, "AddIkeSa", "t", spi)
        hand.ask(hand.ike_payloads())
        self.assert_refused("NoSuchIkeSa", hand.call, "AddIkeSa", "t", hand.new_spi ^ 1)
        heir = hand.add_ike_sa()
        self.assert_refused("NoSuchIkeSa", hand.add_ike_sa)
        self.assertEqual(self.state(heir), "verified")

    def test_children_are_inherited_once_from_the_exchange_that_it_was_made_from(self):
        # The SeGW lets the newest IKE SA of one identity be the only one.
        other, hand = self.hand().until("add_child"), self.hand().until("add_child")
        self.assert_refused("WrongState", hand.call, "InheritChildren")
        hand.ask(hand.ike_payloads())
        heir = hand.add_ike_sa()
        heir.call("InheritChildren")
        self.assert_refused("WrongState", heir.call, "InheritChildren")
        self.assertEqual((len(self.children(heir)), len(self.children(hand))), (1, 0))
        self.assertEqual(len(self.children(other)), 1)
        for call in (("AllocateSpi",), ("AddChild", "u", hand.spi_in), ("PrepareCreateChildSa", "q", 0),
                     ("RemoveChild", "u", hand.spi_in), ("AddIkeSa", "t", 1), ("InheritChildren",)):
            self.assert_refused("WrongState", hand.call, *call)

    def test_nothing_is_inherited_from_what_was_closed(self):
        hand = self.hand().until("add_child")
        hand.ask(hand.ike_payloads())
        heir = hand.add_ike_sa()
        hand.call("Close")
        self.assert_refused("WrongState", heir.call, "InheritChildren")

    def test_the_new_ike_sa_is_its_callers_alone(self):
        hand, thief = self.hand().until("add_child"), self.hand()
        thief.exchange = hand.exchange
        for call in (("PrepareCreateChildSa", "q", 0), ("UseChild", "u", hand.spi_in), ("AddIkeSa", "t", 1),
                     ("InheritChildren",), ("MoveTransport", "ayqb", bytes(4), 4500, False)):
            self.assert_refused("NotOwner", thief.call, *call)
        hand.ask(hand.ike_payloads())
        thief.exchange = hand.add_ike_sa().exchange
        self.assert_refused("NotOwner", thief.call, "InheritChildren")

    def test_new_ike_sas_are_bounded_as_exchanges_are(self):
        hand = self.hand().until("add_child")
        for _ in range(64):
            hand.ask(hand.ike_payloads())
            try:
                hand = hand.add_ike_sa()
            except BusError as error:
                self.assertEqual(error.name, "TooManyExchanges")
                return
        self.fail("64 IKE SAs were made of one")


class MoveTest(HostileTest):
    """MOBIKE: what a liar would have moved."""

    def setUp(self):
        LabTest.setUp(self)
        self.start_tred()

    def moving_hand(self, mobike="yes", transport=True):
        """A client whose SeGW knows MOBIKE, or not, and which has a transport, or not."""
        self.gateway = self.start_segw(mobike=mobike)
        hand = self.hand().until("agree")
        if transport:
            hand.open_transport()
        ordinary = hand.auth_payloads
        hand.auth_payloads = lambda: ordinary() + [ike.notify(ike.MOBIKE_SUPPORTED)]
        for step in (hand.sign, hand.authenticate, hand.verify, hand.add_child):
            step()
        return hand

    def move(self, hand, address=socket.inet_aton(SEGW_IPV4), port=4500, nat=False):
        descriptor, = hand.call("MoveTransport", "ayqb", address, port, nat)
        descriptor.close()

    def test_nothing_is_moved_on_the_clients_word_that_the_segw_knows_mobike(self):
        self.assert_refused("MobikeNotSupported", self.move, self.moving_hand(mobike="no"))

    def test_a_transport_is_moved_to_an_address_and_a_port(self):
        hand = self.moving_hand()
        for address in (b"", b"\0", bytes(3), bytes(5), bytes(17)):
            self.assert_refused("Malformed", self.move, hand, address)
        self.assert_refused("Malformed", self.move, hand, port=0)
        for nat in (True, False):
            self.move(hand, nat=nat)
        self.assertEqual(len(self.children(hand)), 1)

    def test_an_heir_may_move_as_the_one_before_might(self):
        hand = self.moving_hand()
        hand.ask(hand.ike_payloads())
        heir = hand.add_ike_sa()
        self.assert_refused("WrongState", self.move, heir)
        heir.call("InheritChildren")
        self.move(heir)
        self.assert_refused("WrongState", self.move, hand)

    def test_what_was_no_transport_is_not_moved(self):
        self.assert_refused("WrongState", self.move, self.moving_hand(transport=False))


class ForkTest(HostileTest):
    """A DH key pair that more than one exchange has never leads to the same keys twice."""

    def setUp(self):
        super().setUp()
        self.start_tred()

    def other_response(self, hand):
        message = ike.decode(hand.response)
        replace(message, ike.NONCE, random_nonce())
        return ike.encode(message)

    def test_one_response_is_not_taken_twice(self):
        hand = self.hand().until("agree")
        self.assert_refused("ForeignResponse", hand.fork().agree)
        self.assert_refused("ForeignResponse", hand.fork().agree)

    def test_nor_is_it_where_the_first_exchange_was_closed(self):
        hand = self.hand().until("agree")
        fork = hand.fork()
        hand.call("Close")
        self.assert_refused("ForeignResponse", fork.agree)

    def test_as_many_responses_are_taken_as_may_be(self):
        fork = hand = self.hand().until("agree")
        for _ in range(3):
            fork = fork.fork()
            fork.response = self.other_response(hand)
            fork.agree()
        fork = fork.fork()
        fork.response = self.other_response(hand)
        self.assert_refused("ForeignResponse", fork.agree)

    def test_a_fork_goes_the_whole_way_where_the_first_response_was_forged(self):
        hand = self.hand().until("sa_init")
        real, hand.response = hand.response, self.other_response(hand)
        hand.agree()
        fork = hand.fork()
        fork.response = real
        fork.agree()
        for step in ("sign", "authenticate", "verify", "add_child"):
            getattr(fork, step)()
        self.assert_refused("WrongState", fork.fork)

    def test_there_is_no_fork_before_agree_or_after_the_answer_to_ike_auth(self):
        self.assert_refused("WrongState", self.hand().until("sa_init").fork)
        self.assert_refused("WrongState", self.hand().until("authenticate").fork)

    def test_a_fork_has_the_group_that_was_offered(self):
        fork = self.hand().until("agree").fork()
        self.assert_refused("WrongState", fork.call, "ChooseGroup", "q", ike.ECP_256)

    def test_nobody_forks_the_exchange_of_another(self):
        victim, thief = self.hand().until("agree"), self.hand()
        thief.exchange = victim.exchange
        self.assert_refused("NotOwner", thief.fork)


class CallerTest(HostileTest):
    def test_an_exchange_answers_nobody_but_its_caller(self):
        self.start_tred()
        victim, thief = self.hand().until("agree"), self.hand()
        thief.exchange = victim.exchange
        self.assert_refused("NotOwner", thief.sign)
        victim.sign()

    def test_a_foreign_user_may_read_the_manager_but_not_begin_an_exchange(self):
        self.start_tred()
        for user in ("nobody", "root"):
            foreigner = self.hand(user=user)
            self.assertEqual(foreigner.property("State"), "development")
            self.assert_refused(ACCESS_DENIED, foreigner.begin)

    def test_a_foreign_user_may_not_call_an_exchange(self):
        self.start_tred()
        victim, foreigner = self.hand().until("agree"), self.hand(user="nobody")
        foreigner.exchange = victim.exchange
        self.assert_refused(ACCESS_DENIED, foreigner.sign)

    def test_a_foreign_user_may_not_take_treds_name(self):
        for user in ("nobody", "henb-ike"):
            connection = Connection(user)
            self.addCleanup(connection.close)
            self.assert_refused(ACCESS_DENIED, connection.call, "org.freedesktop.DBus",
                                "/org/freedesktop/DBus", "org.freedesktop.DBus", "RequestName",
                                "su", TRED, 0)

    def test_one_exchange_more_than_the_limit_is_refused(self):
        self.start_tred(exchanges={"max-exchanges": "2"})
        hand = self.hand()
        hand.begin()
        first = hand.exchange
        hand.begin()
        self.assert_refused("TooManyExchanges", hand.begin)
        hand.bus.call(TRED, first, EXCHANGE, "Close")
        hand.begin()

    def test_an_exchange_dies_with_its_caller(self):
        self.start_tred(exchanges={"max-exchanges": "1"})
        gone = HandClient().until("agree")
        path = gone.exchange
        gone.stop()
        hand = self.hand()
        hand.begin()
        self.assertNotEqual(hand.exchange, path)
        hand.exchange = path
        self.assert_refused("org.freedesktop.DBus.Error.UnknownObject", hand.sign)
