"""What one client may hold and spend of tred's, and what is left for others meanwhile."""

import os
import re
import time
from pathlib import Path

from jeepney import DBusAddress, HeaderFields, MessageType, Properties, new_method_call

from lab.bus import BusError, Connection
from lab.case import LabTest
from lab.flood import Flood, Reader, begin_exchange, close, get_all
from lab.handclient import HandClient
from lab.network import HENB, SEGW, SEGW_IPV4, udp_socket
from lab.process import BIN, run, wait_until
from lab.programs import EXCHANGE, TRED, TRED_PATH, Tred

# More users who may open exchanges; the project's own policy names one.
OTHER_USERS = ("games", "man", "lp", "mail", "news")
OTHER_USER = OTHER_USERS[0]
OTHER_POLICY = Path("/etc/dbus-1/system.d/other-client.conf")
POLICY = f"""<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-BUS Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
{"".join(f'<policy user="{user}"><allow send_destination="{TRED}"/></policy>' for user in OTHER_USERS)}
</busconfig>
"""

CALLS, CONNECTIONS = 20000, 8  # of a flood; tests/bench/flood has more
IDLE_QUEUE_MAX = 128 * 1024  # octets, as the kernel counts them


class LimitsTest(LabTest):
    def setUp(self):
        OTHER_POLICY.write_text(POLICY)
        self.addCleanup(OTHER_POLICY.unlink)
        super().setUp()

    def hand(self, **named):
        return self.starting(HandClient(**named))

    def assert_refused(self, error, call, *arguments):
        with self.assertRaises(BusError) as caught:
            call(*arguments)
        self.assertEqual(caught.exception.name, error, caught.exception)

    def is_there(self, hand):
        try:
            hand.bus.get(TRED, hand.exchange, EXCHANGE, "State")
        except BusError:
            return False
        return True


class UserTest(LimitsTest):
    def test_the_exchanges_of_all_connections_of_a_user_are_counted_together(self):
        self.start_tred(exchanges={"max-exchanges": "2"})
        first, second, third = self.hand(), self.hand(), self.hand()
        first.begin()
        second.begin()
        self.assert_refused("TooManyExchanges", third.begin)
        second.call("Close")
        third.begin()
        self.assert_refused("TooManyExchanges", first.begin)

    def test_a_user_who_may_hold_no_more_leaves_room_for_another(self):
        self.start_tred(exchanges={"max-exchanges": "1"})
        self.hand().begin()
        self.assert_refused("TooManyExchanges", self.hand().begin)
        self.hand(user=OTHER_USER).begin()

    def test_a_connection_that_leaves_gives_back_what_it_held(self):
        self.start_tred(exchanges={"max-exchanges": "1"})
        HandClient().begin().stop()
        hand = self.hand()
        wait_until(lambda: self.begins(hand), "the room of the connection that left")

    def begins(self, hand):
        try:
            hand.begin()
        except BusError:
            return False
        return True

    def test_an_exchange_is_closed_when_its_peer_is_not_verified_in_time(self):
        self.start_segw()
        self.start_tred(exchanges={"verify-seconds": "1"})
        verified, begun = self.hand().until("verify"), self.hand().until("begin")
        agreed, signed = self.hand().until("agree"), self.hand().until("sign")
        fork = agreed.fork()
        for late in (begun, agreed, signed, fork):
            wait_until(lambda late=late: not self.is_there(late), "the exchange to be closed")
        self.assertTrue(self.is_there(verified))

    def test_a_fork_is_an_exchange_more(self):
        self.start_segw()
        self.start_tred(exchanges={"max-exchanges": "1"})
        self.assert_refused("TooManyExchanges", self.hand().until("agree").fork)

    def test_calls_that_come_before_the_bus_has_said_whose_they_are_are_all_answered(self):
        self.start_tred(exchanges={"max-exchanges": "100"})
        connection = Connection("henb-ike")
        self.addCleanup(connection.close)
        messages = [begin_exchange(19) for _ in range(20)]
        connection.connection.sock.sendall(b"".join(
            message.serialise(100 + number) for number, message in enumerate(messages)))
        answers = []
        while len(answers) < len(messages):
            answer = connection.connection.receive(timeout=10)
            if answer.header.message_type in (MessageType.method_return, MessageType.error):
                answers.append(answer.header.fields.get(HeaderFields.error_name, ""))
        self.assertGreaterEqual(answers.count(""), 4)  # so many wait
        self.assertLessEqual(set(answers), {"", "org.tred.TrE1.Error.Busy"})


class ThousandTest(LimitsTest):
    """As many exchanges as there can be."""

    ONE, RESERVED, SMALL = 1024, 64, 16

    def setUp(self):
        super().setUp()
        self.start_segw()
        self.starting(self.world.tpm.start())
        self.tred = self.starting(Tred(self.world.device("ecdsa-p256"), under=("prlimit", "--nofile=4096"),
                                       exchanges={"max-exchanges": "1024", "verify-seconds": "300"}))
        self.tred.wait_for_name()

    def fill(self, hand):
        """Begins exchanges until no more is taken; how many."""
        count = 0
        with self.assertRaises(BusError) as caught:
            while True:
                hand.begin()
                count += 1
        self.assertEqual(caught.exception.name, "TooManyExchanges", caught.exception)
        return count

    def test_one_user_holds_as_many_exchanges_as_can_be_configured_and_leaves_room_for_four_who_hold_few(self):
        greedy = HandClient()
        self.assertEqual(self.fill(greedy), self.ONE)
        first = self.hand(user=OTHER_USERS[0]).until("verify")
        held = [1 + self.fill(first)]
        held += [self.fill(self.hand(user=user)) for user in OTHER_USERS[1:4]]
        self.assertEqual(held, [self.SMALL] * (self.RESERVED // self.SMALL))
        self.assertEqual(self.fill(self.hand(user=OTHER_USERS[4])), 0)
        greedy.stop()
        wait_until(lambda: self.fill(self.hand(user=OTHER_USERS[4])), "the room of who left")
        self.hand().until("verify")

    def test_a_thousand_exchanges_in_a_row_leave_nothing_behind(self):
        hand = self.hand()
        descriptors = len(os.listdir(f"/proc/{self.tred.pid}/fd"))
        for number in range(self.ONE + self.RESERVED + 1):
            hand.begin()
            if number == self.ONE // 4:
                memory = self.resident()
            hand.call("Close")
        self.assertEqual(len(os.listdir(f"/proc/{self.tred.pid}/fd")), descriptors)
        if "__asan_init" not in run(["nm", "-D", BIN / "tred"]).stdout:  # which keeps what was freed
            self.assertLess(self.resident(), memory + 512)  # KiB
        hand.until("verify")

    def resident(self):
        status = Path(f"/proc/{self.tred.pid}/status").read_text()
        return int(re.search(r"^VmRSS:\s+(\d+) kB", status, re.MULTILINE)[1])


class DescriptorTest(LimitsTest):
    def test_as_many_exchanges_are_admitted_as_there_are_descriptors_for(self):
        self.starting(self.world.tpm.start())
        tred = self.starting(Tred(self.world.device("ecdsa-p256"), under=("prlimit", "--nofile=204")))
        tred.wait_for_name()
        tred.wait_for("At most 204 descriptors can be open")
        hand = self.hand()
        for _ in range(6):  # two each, beside the 192 that are tred's own
            hand.begin()
        self.assert_refused("TooManyExchanges", hand.begin)

    def test_nobody_hands_tred_a_descriptor(self):
        self.start_tred()
        hand = self.hand().begin()
        address = DBusAddress(hand.exchange, bus_name=TRED, interface=EXCHANGE)
        with open("/dev/null", "rb") as null:
            for method in ("Close", "SignAuth"):
                message = new_method_call(address, method, "h", (null,))
                self.assert_refused("org.freedesktop.DBus.Error.AccessDenied", hand.bus.request, message)


class QueueTest(LimitsTest):
    """What strangers can have the kernel keep for the ESP socket that nobody reads yet."""

    def setUp(self):
        super().setUp()
        self.gateway = self.start_segw()
        self.start_tred(**{"data-plane": {"mode": "user"}})
        self.hand = self.hand().until("agree")
        descriptor, = self.hand.call("OpenTransport", "ayqb", bytes(map(int, SEGW_IPV4.split("."))),
                                     4500, False)
        self.ike = descriptor.to_socket()
        self.addCleanup(self.ike.close)
        self.port = self.ike.getsockname()

    def flood(self, namespace):
        sender = udp_socket(namespace, *self.port)
        try:
            for _ in range(2000):
                sender.send(b"\x12\x34\x56\x78" + bytes(1396))
        finally:
            sender.close()

    def queued(self):
        said = run(["ss", "--udp", "--all", "--numeric", "--memory", f"sport = :{self.port[1]}"],
                   namespace=HENB).stdout
        found = [int(each) for each in re.findall(r"skmem:\(r(\d+)", said)]
        self.assertEqual(len(found), 2, said)
        return sum(found)

    def test_what_comes_from_elsewhere_is_not_queued(self):
        self.flood(HENB)
        self.assertEqual(self.queued(), 0)

    def test_little_is_queued_before_there_is_a_child_sa(self):
        self.flood(SEGW)
        self.assertGreater(self.queued(), 0)
        self.assertLess(self.queued(), IDLE_QUEUE_MAX)


class CounterTest(LimitsTest):
    def wakes(self, pid):
        status = Path(f"/proc/{pid}/status").read_text()
        return int(re.search(r"^voluntary_ctxt_switches:\s+(\d+)", status, re.MULTILINE)[1])

    def test_readers_of_counters_do_not_keep_the_helper_busy(self):
        _, tred, _ = self.establish(tred={"data-plane": {"mode": "user"}})
        exchange = int(tred.find(r"Exchange (\d+): Child SA")[1])
        address = DBusAddress(f"{TRED_PATH}/exchange/{exchange}", bus_name=TRED, interface=EXCHANGE)
        before, begun = self.wakes(tred.helper_pid()), time.monotonic()
        reader = self.starting(Reader(Properties(address).get("Children")))
        wait_until(lambda: reader.answered > 1000, "a thousand answers")
        reader.stop()
        periods = 10 * (time.monotonic() - begun)
        # Two orders each time: for the SA, and for the plane.
        self.assertLess(self.wakes(tred.helper_pid()) - before, 4 * (periods + 2))
        self.assertEqual(len(tred.children()), 1)


class FloodTest(LimitsTest):
    """Another client is connected before the flood is over, and tred lives."""

    def setUp(self):
        super().setUp()
        self.start_segw()
        self.tred = self.start_tred()

    def assert_another_connects(self, flood):
        hand = self.hand()
        hand.socket.settimeout(30)
        hand.until("verify")
        self.assertTrue(flood.goes_on(), "it was connected when the flood was over")
        flood.stop()
        self.assertTrue(self.tred.running())
        self.hand().until("verify")

    def test_thousands_of_calls_that_want_no_reply_keep_nobody_waiting(self):
        flood = self.starting(Flood([begin_exchange()] * (CALLS // CONNECTIONS), OTHER_USER,
                                    CONNECTIONS))
        self.assert_another_connects(flood.start())
        self.assertNotIn("Exchange 3 ", self.tred.output())  # no call of the flood was carried out

    def test_thousands_of_exchanges_begun_and_closed_keep_nobody_waiting(self):
        pairs = [pair for i in range(1, CALLS // 2) for pair in (begin_exchange(), close(i))]
        flood = self.starting(Flood(pairs, OTHER_USER))
        self.assert_another_connects(flood.start())

    def test_readers_keep_nobody_waiting(self):
        flood = self.starting(Reader(get_all()))
        self.assert_another_connects(flood)
        self.assertGreater(flood.answered, 0)
