"""tred answers everybody at once, however long its TPM takes; and what nobody waits for any more
costs the TPM nothing."""

import concurrent.futures
import os
import signal
import time

from lab import faultytpm, ike
from lab.bus import BusError, Connection
from lab.capture import Capture
from lab.case import LabTest
from lab.faultytpm import FaultyTpm
from lab.flood import Reader, begin_exchange
from lab.handclient import HandClient
from lab.network import HENB
from lab.process import wait_until
from lab.programs import EXCHANGE, MANAGER, TRED, TRED_PATH, Tred
from lab.responder import Responder
from lab.tpmlife import TpmLife
from lab.tpmtimes import Getting, Notified, liveness_seconds

WATCHDOG = 2.0  # seconds
EXCEEDING = 3000
STOPPED_WITHIN = 10.0


class FaultyTpmTest(LabTest):
    """A device for development, with its few commands."""

    def setUp(self):
        super().setUp()
        self.pool = concurrent.futures.ThreadPoolExecutor()
        self.addCleanup(self.pool.shutdown)
        self.tpm = self.start_tpm()

    def start_tpm(self):
        self.starting(self.world.tpm.start())
        self.files = self.world.device("ecdsa-p256")
        return self.starting(FaultyTpm())

    def start_tred(self, under=(), tcti=FaultyTpm.TCTI, **sections):
        return self.starting(Tred(self.files, under, tpm={"tcti": tcti}, **sections))

    def hand(self):
        return self.starting(HandClient())

    def as_user(self, user):
        connection = Connection(user)
        self.addCleanup(connection.close)
        return connection

    def reloading(self, connection):
        """A Reload under way, whose answer is the future's."""
        return self.pool.submit(connection.call, TRED, TRED_PATH, MANAGER, "Reload")

    def heard(self):
        """tred has served what came before, and goes on."""
        return self.as_user("nobody").get(TRED, TRED_PATH, MANAGER, "State")

    def leave(self, connection):
        """The connection ends, and tred has been told."""
        name = connection.unique_name
        connection.close()
        nobody = self.as_user("nobody")
        wait_until(lambda: not nobody.has_owner(name), f"the end of {name}")
        self.heard()

    def commands_since(self, count):
        self.tpm.wait_idle()
        return faultytpm.names(self.tpm.commands[count:])

    def wait_for_ready_session(self):
        wait_until(lambda: self.tpm.handles()[1] == 1, "a session ready for the next signature")
        self.tpm.wait_idle()

    def wait_for_hanging(self):
        self.assertTrue(self.tpm.hangs.wait(10), "no command came")


class SlowTpmTest(FaultyTpmTest):
    """Whoever asks is answered before the TPM is."""

    def assert_others_are_served(self, notified):
        """While a command hangs; readers of the bus and the watchdog are."""
        self.wait_for_hanging()
        signs = len(notified.signs)
        for _ in range(10):
            self.heard()
        wait_until(lambda: len(notified.signs) >= signs + 2, "two signs of life", 30.0)
        self.assertFalse(self.tpm.goes_on.is_set())
        self.tpm.go_on()

    def test_everybody_is_answered_while_the_identity_is_loaded_a_handshake_waits_and_a_reload_goes_on(self):
        self.starting(Responder(self.world.segw_credential()))
        notified = self.starting(Notified())
        self.tpm.hang()
        tred = self.start_tred(notified.under(WATCHDOG))
        super(Tred, tred).wait_for_name()
        self.assert_others_are_served(notified)
        tred.wait_for_state("development")

        hand = self.hand().until("agree")
        self.tpm.wait_idle()
        self.tpm.hang()
        signing = self.pool.submit(hand.sign)
        self.assert_others_are_served(notified)
        signing.result(30)

        self.tpm.hang()
        reload = self.reloading(self.as_user("root"))
        self.assert_others_are_served(notified)
        self.assertEqual(reload.result(30)[0], "development")

    def test_a_liveness_check_is_answered_while_a_reload_goes_on(self):
        self.start_segw(connection="dpd_delay = 1s")
        self.start_tred().wait_for_name()
        self.start_client().wait_for_state("established")
        self.tpm.wait_idle()
        self.tpm.hang()
        reload = self.reloading(self.as_user("root"))
        self.wait_for_hanging()
        capture = self.starting(Capture(HENB, "udp"))
        wait_until(lambda: len(liveness_seconds(capture.packets())) >= 2, "two answers to the SeGW", 30.0)
        self.assertFalse(reload.done())
        self.tpm.go_on()
        self.assertEqual(reload.result(30)[0], "development")


class PrecedenceTest(FaultyTpmTest):
    """Of a device under a policy, with guarded anchors."""

    def start_tpm(self):
        self.starting(self.world.field_tpm.start())
        self.starting(Responder(self.world.segw_credential()))
        self.life = TpmLife(self.world, self.starting)
        return self.life.tpm

    def assert_signed_next(self, work):
        """Once the TPM has done what it is at, it signs, and then goes on with the work."""
        self.life.start()
        hand = self.hand().until("agree")
        self.wait_for_ready_session()
        self.tpm.hang()
        working = self.pool.submit(work)
        self.wait_for_hanging()
        count = len(self.tpm.commands)
        signing = self.pool.submit(hand.sign)
        self.heard()
        self.tpm.go_on()
        signing.result()
        working.result()
        commands = self.commands_since(count)
        self.assertEqual(commands[0], "Sign")
        self.assertGreater(len(commands), 10)

    def test_a_signature_goes_ahead_of_a_reload(self):
        self.assert_signed_next(self.life.reload)

    def test_a_signature_goes_ahead_of_an_installation_of_anchors(self):
        self.assert_signed_next(self.life.install)
        self.assertEqual(self.life.tred.get("AnchorsVersion"), 2)


class VanishedCallerTest(FaultyTpmTest):
    def setUp(self):
        super().setUp()
        self.starting(Responder(self.world.segw_credential()))
        self.tred = self.start_tred().wait_for_name()
        self.hand().until("verify").stop()
        self.wait_for_ready_session()
        self.held = self.tpm.handles()

    def assert_only_flushed(self, count):
        self.tpm.go_on()
        self.assertEqual(set(self.commands_since(count)) - {"FlushContext"}, set())

    def tearDown(self):
        wait_until(lambda: self.tpm.handles() == self.held, "the TPM to hold what it held before")
        super().tearDown()

    def test_takes_its_queued_reload_with_it(self):
        count = len(self.tpm.commands)
        self.tpm.hang()
        first = self.reloading(self.as_user("root"))
        self.wait_for_hanging()
        gone = Connection("root")
        gone.send(TRED, TRED_PATH, MANAGER, "Reload")
        self.leave(gone)
        self.tpm.go_on()
        first.result()
        self.assertEqual(self.commands_since(count).count("Load"), 1)

    def test_takes_the_reload_that_goes_on_with_it(self):
        gone = Connection("root")
        self.tpm.hang(8)
        gone.send(TRED, TRED_PATH, MANAGER, "Reload")
        self.wait_for_hanging()
        count = len(self.tpm.commands)
        self.leave(gone)
        self.assert_only_flushed(count)
        self.assertEqual(self.tred.get("State"), "development")

    def test_costs_nothing_if_it_left_before_its_call_was_read(self):
        count = len(self.tpm.commands)
        gone, nobody = Connection("root"), self.as_user("nobody")
        os.kill(self.tred.pid, signal.SIGSTOP)
        gone.send(TRED, TRED_PATH, MANAGER, "Reload")
        gone.close()
        wait_until(lambda: not nobody.has_owner(gone.unique_name), "its end")
        os.kill(self.tred.pid, signal.SIGCONT)
        self.heard()
        self.assertEqual(self.commands_since(count), [])

    def test_takes_its_begin_exchange_with_it(self):
        self.tpm.spoil_nth(1, faultytpm.failing(faultytpm.RC_FAILURE))
        self.reloading(self.as_user("root")).result()
        self.assertEqual(self.tred.get("State"), "tpm-unavailable")
        gone = HandClient()
        self.tpm.hang()
        gone.bus.send(TRED, TRED_PATH, MANAGER, "BeginExchange", "q", ike.ECP_256)
        self.wait_for_hanging()
        count = len(self.tpm.commands)
        gone.socket.close()
        self.leave(gone.bus)
        self.assert_only_flushed(count)
        self.hand().until("verify").stop()

    def test_takes_its_signature_with_it(self):
        count = len(self.tpm.commands)
        root = self.as_user("root")
        self.reloading(root).result()
        signs = self.commands_since(count).count("Sign")
        gone = HandClient().until("agree")
        self.tpm.wait_idle()
        count = len(self.tpm.commands)
        self.tpm.hang()
        reload = self.reloading(root)
        self.wait_for_hanging()
        gone.bus.send(TRED, gone.exchange, EXCHANGE, "SignAuth")
        self.heard()
        gone.socket.close()
        self.leave(gone.bus)
        self.tpm.go_on()
        reload.result()
        self.assertEqual(self.commands_since(count).count("Sign"), signs)


class WaitingCallTest(FaultyTpmTest):
    def test_calls_that_wait_for_the_tpm_leave_room_for_root(self):
        """As many as may wait (half of 256), and many more."""
        self.tpm.hang()
        self.start_tred()
        self.wait_for_hanging()
        callers = [self.as_user("henb-ike") for _ in range(3)]
        for count in (1, 99):  # first one, as few may come before the bus has said whose a connection is
            for caller in callers:
                for _ in range(count):
                    caller.send(TRED, TRED_PATH, MANAGER, "BeginExchange", "q", ike.ECP_256)
            for caller in callers:
                for _ in range(2):  # tred has then heard the bus and all that was sent before
                    caller.get(TRED, TRED_PATH, MANAGER, "State")
        with self.assertRaises(BusError) as caught:
            self.hand().begin()
        self.assertEqual(caught.exception.name, "Busy")
        reload = self.reloading(self.as_user("root"))
        self.tpm.go_on()
        self.assertEqual(reload.result()[0], "development")


class RefusedCallTest(FaultyTpmTest):
    def assert_costs_nothing(self, group, error):
        self.start_tred(exchanges={"max-exchanges": "1"}).wait_for_name()
        hand = self.hand().begin()
        self.tpm.wait_idle()
        count = len(self.tpm.commands)
        getting = self.starting(Getting("nobody"))
        reader = self.starting(Reader(begin_exchange(group), "henb-ike"))
        wait_until(lambda: reader.answered >= EXCEEDING, "all of them to be refused", 30)
        reader.stop()
        with self.assertRaises(BusError) as caught:
            hand.begin(group)
        self.assertEqual(caught.exception.name, error)
        getting.stop()
        self.assertEqual(self.commands_since(count), [])
        self.assertGreater(getting.count, 0)  # before those thousands had their answers

    def test_thousands_of_exchanges_beyond_the_limit_cost_the_tpm_nothing(self):
        self.assert_costs_nothing(ike.ECP_256, "TooManyExchanges")

    def test_thousands_of_wrong_groups_cost_the_tpm_nothing(self):
        self.assert_costs_nothing(2, "GroupNotSupported")


class ReadySessionTest(FaultyTpmTest):
    # A library's name: whether a resource manager stands behind it can't be seen by it.
    OTHER_TCTI = FaultyTpm.TCTI.replace("swtpm:", "libtss2-tcti-swtpm.so.0:")

    def test_after_a_connect_the_next_signature_needs_one_command(self):
        self.starting(Responder(self.world.segw_credential()))
        self.start_tred().wait_for_name()
        self.hand().until("verify")
        self.wait_for_ready_session()
        count = len(self.tpm.commands)
        self.hand().until("sign")
        self.assertEqual(self.commands_since(count), ["Sign"])

    def test_behind_a_resource_manager_the_ready_session_is_renewed(self):
        self.starting(Responder(self.world.segw_credential()))
        self.start_tred(tcti=self.OTHER_TCTI).wait_for_name()
        self.hand().until("verify")
        self.wait_for_ready_session()
        count = len(self.tpm.commands)
        wait_until(lambda: len(self.tpm.commands) >= count + 2, "a renewal", 30)
        self.assertEqual(self.commands_since(count), ["FlushContext", "StartAuthSession"])
        self.assertEqual(self.tpm.handles()[1], 1)

    def test_without_one_it_is_kept(self):
        self.starting(Responder(self.world.segw_credential()))
        self.start_tred().wait_for_name()
        self.hand().until("verify")
        self.wait_for_ready_session()
        count = len(self.tpm.commands)
        time.sleep(3)
        self.assertEqual(self.tpm.commands[count:], [])


class StopTest(FaultyTpmTest):
    def assert_stops(self, tred):
        self.wait_for_hanging()
        tred.popen.send_signal(signal.SIGTERM)
        self.assertEqual(tred.wait(STOPPED_WITHIN), 0)

    def test_tred_ends_though_the_tpm_hangs_at_its_start(self):
        self.tpm.hang(3)
        self.assert_stops(self.start_tred())

    def test_tred_ends_though_the_tpm_hangs_in_a_reload(self):
        tred = self.start_tred().wait_for_name()
        self.tpm.hang(3)
        root = self.as_user("root")
        root.send(TRED, TRED_PATH, MANAGER, "Reload")
        self.assert_stops(tred)

    def test_tred_ends_though_the_tpm_hangs_in_a_signature(self):
        self.starting(Responder(self.world.segw_credential()))
        tred = self.start_tred().wait_for_name()
        hand = self.hand().until("agree")
        self.tpm.wait_idle()
        self.tpm.hang()
        hand.bus.send(TRED, hand.exchange, EXCHANGE, "SignAuth")
        self.assert_stops(tred)
