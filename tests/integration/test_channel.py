"""A channel takes its caller where the bus takes it, and no further."""

import fcntl
import socket
import struct
import termios
import time

from jeepney import DBusAddress, new_method_call

from lab import ike
from lab.bus import BusError, Connection
from lab.case import LabTest
from lab.channel import Channel
from lab.handclient import HandClient
from lab.programs import EXCHANGE, MANAGER, TRED, TRED_PATH

ACCESS_DENIED = "org.freedesktop.DBus.Error.AccessDenied"
UNKNOWN_OBJECT = "org.freedesktop.DBus.Error.UnknownObject"
INVALID_ARGS = "org.freedesktop.DBus.Error.InvalidArgs"
UNKNOWN_METHOD = "org.freedesktop.DBus.Error.UnknownMethod"
CHANNELS_MAX = 16
UNREAD_MAX = 64
MESSAGE_MAX = 256 * 1024
HEADER = struct.Struct("=BBBBIII")  # of a call with a body, its serial and its fields' size
CALLS_UNREAD = 20_000  # with their answers more than two sockets hold


class ChannelTest(LabTest):
    def setUp(self):
        super().setUp()
        self.tred = self.start_tred()

    def connection(self, user="henb-ike"):
        connection = Connection(user)
        self.addCleanup(connection.close)
        return connection

    def channel(self, connection=None, **named):
        return self.starting(Channel(connection or self.connection(), **named))

    def begin(self, channel, **named):
        exchange, *_ = channel.call(TRED_PATH, MANAGER, "BeginExchange", "q", ike.ECP_256, **named)
        return exchange

    def assert_refused(self, error, call, *arguments, **named):
        with self.assertRaises(BusError) as caught:
            call(*arguments, **named)
        self.assertEqual(caught.exception.name, error, caught.exception)

    def state(self, exchange):
        return self.connection().get(TRED, exchange, EXCHANGE, "State")


class RightsTest(ChannelTest):
    def test_nobody_but_the_clients_user_gets_a_channel(self):
        for user in ("root", "tred", "nobody"):
            self.assert_refused(ACCESS_DENIED, Channel, self.connection(user))

    def test_what_the_bus_policy_keeps_for_root_is_not_on_a_channel(self):
        channel = self.channel()
        self.assert_refused(UNKNOWN_METHOD, channel.call, TRED_PATH, MANAGER, "Reload")
        self.assert_refused(UNKNOWN_METHOD, channel.call, TRED_PATH, MANAGER, "InstallAnchors",
                            "ayay", b"", b"")
        self.assert_refused(UNKNOWN_METHOD, channel.call, TRED_PATH, MANAGER, "OpenChannel")

    def test_an_exchange_of_anothers_is_not_the_channels_whoever_it_says_it_is(self):
        owner = self.starting(HandClient()).until("begin")
        channel = self.channel()
        for sender in (None, owner.bus.unique_name):
            self.assert_refused("NotOwner", channel.call, owner.exchange, EXCHANGE, "Close",
                                sender=sender)
        self.assertEqual(self.state(owner.exchange), "begun")

    def test_what_begins_over_a_channel_belongs_to_who_asked_for_it_whatever_the_message_says(self):
        owner, other = self.connection(), self.connection()
        exchange = self.begin(self.channel(owner), sender=other.unique_name)
        self.assert_refused("NotOwner", other.call, TRED, exchange, EXCHANGE, "Close")
        owner.call(TRED, exchange, EXCHANGE, "Close")

    def test_the_quota_counts_bus_and_channel_together(self):
        owner = self.connection()
        channel = self.channel(owner)
        with self.assertRaises(BusError) as caught:
            for _ in range(1000):
                owner.call(TRED, TRED_PATH, MANAGER, "BeginExchange", "q", ike.ECP_256)
        self.assertEqual(caught.exception.name, "TooManyExchanges")
        self.assert_refused("TooManyExchanges", self.begin, channel)


class LifeTest(ChannelTest):
    def test_a_channel_and_its_exchanges_end_when_its_owner_leaves_the_bus(self):
        owner = Connection("henb-ike")
        channel = self.channel(owner)
        exchange = self.begin(channel)
        owner.close()
        self.assertTrue(channel.is_closed())
        self.assert_refused(UNKNOWN_OBJECT, self.state, exchange)

    def test_an_exchange_outlives_the_channel_that_it_was_begun_over(self):
        owner = self.connection()
        channel = self.channel(owner)
        exchange = self.begin(channel)
        channel.close()
        self.assertEqual(self.state(exchange), "begun")
        owner.call(TRED, exchange, EXCHANGE, "Close")

    def test_another_channel_takes_the_place_of_the_one_before(self):
        owner = self.connection()
        first, second = self.channel(owner), self.channel(owner)
        self.assertTrue(first.is_closed())
        self.begin(second)

    def test_there_is_a_limit_to_channels(self):
        for _ in range(CHANNELS_MAX):
            self.channel()
        self.assert_refused("System.Error.EBUSY", Channel, self.connection())

    def test_who_does_not_read_what_it_is_answered_loses_the_channel_alone(self):
        owner = self.connection()
        channel = self.channel(owner)
        exchange = self.begin(channel)
        try:
            for _ in range(CALLS_UNREAD):
                channel.send(exchange, EXCHANGE, "SignAuth")
        except OSError:  # tred has closed it, or takes no more for now
            pass
        self.tred.wait_for("does not read what it is answered; its channel is closed")
        self.assertEqual(self.state(exchange), "begun")

    def test_octets_that_are_no_message_cost_the_channel_alone(self):
        owner = self.connection()
        channel = self.channel(owner)
        exchange = self.begin(channel)
        channel.socket.sendall(bytes(range(256)) * 4)
        self.assertTrue(channel.is_closed())
        self.assertEqual(self.state(exchange), "begun")

    def test_descriptors_that_come_along_are_not_kept(self):
        channel = self.channel()
        ours, theirs = socket.socketpair()
        self.addCleanup(ours.close)
        ours.settimeout(channel.socket.gettimeout())
        # No call is ever looked at: this message does not end.
        channel.socket.sendall(HEADER.pack(ord("l"), 1, 0, 1, 4096, 1, 4096))
        for _ in range(10):
            socket.send_fds(channel.socket, [b"\0"], [theirs.fileno()] * 250)
        theirs.close()
        self.assertEqual(ours.recv(1), b"")  # nobody has it any more

    def test_a_message_larger_than_any_call_costs_the_channel_alone(self):
        def octets(size):
            address = DBusAddress(TRED_PATH, bus_name=TRED, interface=MANAGER)
            return new_method_call(address, "BeginExchange", "ay", (bytes(size),)).serialise(serial=1)

        owner = self.connection()
        channel = self.channel(owner)
        exchange = self.begin(channel)
        most = MESSAGE_MAX - len(octets(0))
        self.assert_refused(INVALID_ARGS, channel.call, TRED_PATH, MANAGER, "BeginExchange", "ay", bytes(most))
        channel.socket.sendall(octets(most + 1)[:1000])
        self.assertTrue(channel.is_closed())
        self.tred.wait_for(f"{MESSAGE_MAX + 1} octets from {owner.unique_name} is no call; its channel is closed")
        self.assertEqual(self.state(exchange), "begun")

    def test_words_before_the_first_call_have_no_effect_on_what_is_a_call(self):
        """Not even those that are refused."""
        channel = self.channel(words=b"\0AUTH EXTERNAL 31\r\nBEGIN\r\n")
        channel.socket.sendall(HEADER.pack(ord("l"), 1, 0, 1, 100 << 20, 1, 4096))
        self.assertTrue(channel.is_closed())

    def test_the_client_gets_another_channel_from_another_tred(self):
        self.start_segw()
        client = self.start_client(connection={"reconnect": "yes"})
        client.wait_for_state("established")
        self.tred.stop()
        self.world.tpm.stop()
        self.start_tred()
        client.wait_for(r"(?s)established .*established ", 20)


class FloodTest(ChannelTest):
    def unread(self, channel):
        """How many octets of answers wait in the socket."""
        return struct.unpack("i", fcntl.ioctl(channel.socket, termios.FIONREAD, bytes(4)))[0]

    def call_unread(self, channel, count):
        """Makes calls that are refused, and waits until they are answered or the channel is closed."""
        try:
            for _ in range(count):
                channel.send(TRED_PATH, MANAGER, "BeginExchange", "q", 2)
        except BrokenPipeError:
            return
        before = -1
        while self.unread(channel) != before:
            before = self.unread(channel)
            time.sleep(0.2)

    def test_a_channel_that_is_full_keeps_nobody_waiting_when_its_owner_leaves(self):
        owner, other = self.connection(), self.connection()
        channel = self.channel(owner)
        self.call_unread(channel, 1)
        one = self.unread(channel)
        self.call_unread(channel, CALLS_UNREAD)  # more than it holds: it is closed
        fits = self.unread(channel) // one
        channel = self.channel(owner)
        self.call_unread(channel, fits + UNREAD_MAX // 2)
        self.assertLess(self.unread(channel), (fits + UNREAD_MAX // 2) * one)  # the rest is in tred
        owner.close()
        other.seconds = 5
        other.get(TRED, TRED_PATH, MANAGER, "State")

    def test_a_call_that_wants_no_reply_is_not_carried_out(self):
        channel = self.channel()
        channel.send(TRED_PATH, MANAGER, "BeginExchange", "q", ike.ECP_256, reply=False)
        exchange = self.begin(channel)
        self.assertTrue(exchange.endswith("/1"), exchange)
        channel.send(exchange, EXCHANGE, "Close", reply=False)
        self.assert_refused(UNKNOWN_OBJECT, channel.call, exchange, EXCHANGE, "SignAuth")
