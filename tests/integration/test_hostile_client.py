"""The second law: tred is no oracle, whoever speaks to it in ikeclient's place."""

import struct

from lab import ike
from lab.bus import BusError, Connection
from lab.case import LabTest
from lab.handclient import HandClient, random_nonce
from lab.programs import EXCHANGE, TRED

CREATE_CHILD_SA = 36
ACCESS_DENIED = "org.freedesktop.DBus.Error.AccessDenied"


class HostileTest(LabTest):
    def setUp(self):
        super().setUp()
        self.gateway = self.start_segw()

    def hand(self, **named):
        return self.starting(HandClient(**named))

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
        hand.spi_in, = hand.call("AllocateSpi")
        self.assert_refused("KeysUsed", hand.add_child)

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
        for exchange_type in (ike.INFORMATIONAL, CREATE_CHILD_SA):
            self.assert_refused("Unexpected", hand.protect, exchange_type, [])


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
