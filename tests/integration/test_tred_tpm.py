"""tred goes on, whatever becomes of tred-tpm: who waits is refused with a name for it, and the next one is served."""

import concurrent.futures
import os
import signal
import socket
import struct
import threading

from lab import faultytpm
from lab.bus import BusError, Connection
from lab.case import LabTest
from lab.faultytpm import FaultyTpm
from lab.handclient import HandClient
from lab.network import HENB, inside
from lab.process import BIN, Process, listens, scratch, wait_until
from lab.programs import MANAGER, TRED, TRED_PATH, Tred, TredTpm
from lab.responder import Responder
from lab.tpmlife import TpmLife

COMMAND = 0.5  # what a command of the slow TPM takes
SECONDS = 30.0
SERVING = ("ready", "development")


class TpmServiceTest(LabTest):
    def setUp(self):
        super().setUp()
        self.pool = concurrent.futures.ThreadPoolExecutor()
        self.addCleanup(self.pool.shutdown)
        self.starting(self.world.tpm.start())
        self.files = self.world.device("ecdsa-p256")

    def start_with(self, **tpm):
        return self.starting(Tred(self.files, tpm=tpm)).wait_for_name()

    def assert_connects(self):
        self.start_segw()
        self.start_client().wait_for_state("established", seconds=SECONDS)

    def reloading(self):
        connection = Connection("root")
        self.addCleanup(connection.close)
        return self.pool.submit(connection.call, TRED, TRED_PATH, MANAGER, "Reload")


class DeathTest(TpmServiceTest):
    """kill -9, at each thing that it does."""

    def setUp(self):
        super().setUp()
        self.tpm = self.starting(FaultyTpm())
        self.tred = self.start_with(tcti=FaultyTpm.TCTI)
        self.assertIn(self.tred.get("State"), SERVING)
        self.tpm.wait_idle()

    def hang(self):
        """The TPM, at its next command."""
        self.tpm.spoil_every(faultytpm.delayed(COMMAND))

    def wait_for_command(self, name):
        wait_until(lambda: name in faultytpm.names(self.tpm.commands[self.count:]), name, SECONDS)

    def begin(self):
        self.count = len(self.tpm.commands)
        self.hang()

    def die(self):
        os.kill(self.tred.tpm_pid(), signal.SIGKILL)

    def assert_recovers(self):
        pid = self.tred.pid
        self.tred.wait_for("tred-tpm, which has the TPM, failed: it ended", SECONDS)
        self.tpm.spoil_every(None)
        self.tred.wait_for_state(*SERVING, seconds=SECONDS)
        self.assertEqual(self.tred.pid, pid)
        self.assert_connects()

    def test_killed_while_it_is_idle(self):
        self.die()
        self.assert_recovers()

    def test_killed_while_it_loads_the_identity(self):
        self.begin()
        reloading = self.reloading()
        self.wait_for_command("ReadPublic")
        self.die()
        self.assertEqual(reloading.result(SECONDS)[0], "tpm-unavailable")
        self.assert_recovers()

    def test_killed_while_it_signs(self):
        self.starting(Responder(self.world.segw_credential()))
        hand = self.starting(HandClient()).until("agree")
        self.tpm.wait_idle()
        self.begin()
        signing = self.pool.submit(hand.sign)
        self.wait_for_command("Sign")
        self.die()
        with self.assertRaises(BusError) as caught:
            signing.result(SECONDS)
        self.assertIn("tred-tpm", str(caught.exception))
        self.assert_recovers()

    def test_stopped_it_is_given_up_and_who_waits_is_told(self):
        self.starting(Responder(self.world.segw_credential()))
        hand = self.starting(HandClient()).until("agree")
        hung = self.tred.tpm_pid()
        os.kill(hung, signal.SIGSTOP)
        try:
            with self.assertRaises(BusError) as caught:
                hand.sign()
        finally:
            os.kill(hung, signal.SIGKILL)  # as its watchdog does
        self.assertIn("it does not answer", str(caught.exception))
        self.tred.wait_for_state(*SERVING, seconds=SECONDS)
        self.assert_connects()


class PreparingTest(LabTest):
    """A device under a policy, which its TPM is shown before each signature."""

    def test_killed_while_it_gets_ready_to_sign(self):
        self.starting(self.world.field_tpm.start())
        self.starting(Responder(self.world.segw_credential()))
        life = TpmLife(self.world, self.starting)
        tred = life.start()
        life.handshake()
        hand = self.starting(HandClient()).until("agree")
        life.tpm.wait_idle()
        tpm, count = tred.tpm_pid(), len(life.tpm.commands)
        life.tpm.spoil_every(faultytpm.delayed(COMMAND))
        hand.sign().authenticate().verify()
        wait_until(lambda: len(life.tpm.commands) > count + 1, "a command that gets ready", SECONDS)
        os.kill(tpm, signal.SIGKILL)
        tred.wait_for("tred-tpm, which has the TPM, failed: it ended", SECONDS)
        life.tpm.spoil_every(None)
        tred.wait_for_state("ready", seconds=SECONDS)
        life.handshake()


class AbsenceTest(TpmServiceTest):
    def path(self):
        return scratch("tred-tpm") / "socket"

    def served_by(self, path, octets, after=1):
        """A socket there, and what whoever connects to it hears from it after so many frames."""
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        listener.bind(str(path))
        path.chmod(0o666)
        listener.listen()
        self.addCleanup(listener.close)

        def serve():
            try:
                while True:
                    connection, _ = listener.accept()
                    with connection:
                        for _ in range(after):
                            connection.recv(65536)
                        connection.send(octets)
                        connection.recv(65536)
            except OSError:
                return

        server = threading.Thread(target=serve, daemon=True)
        server.start()

        def stop():
            listener.shutdown(socket.SHUT_RDWR)
            server.join()
            listener.close()

        return stop

    def assert_comes_back(self, tred, path):
        service = TredTpm(path=path)
        self.addCleanup(service.stop)
        tred.wait_for_state(*SERVING, seconds=SECONDS)
        self.assert_connects()
        tred.stop()

    def test_one_that_is_not_there_is_named_and_waited_for(self):
        path = self.path()
        tred = self.start_with(socket=path)
        self.assertEqual(tred.get("State"), "tpm-unavailable")
        self.assertIn(f"There is no connection to tred-tpm, which has the TPM, at {path}", tred.get("StateReason"))
        self.assertIn("tred-tpm.socket", tred.get("StateReason"))
        self.assert_comes_back(tred, path)

    def test_one_that_answers_nonsense_is_named_and_given_up(self):
        path = self.path()
        stop = self.served_by(path, b"\xffnonsense")
        tred = self.start_with(socket=path)
        tred.wait_for("failed: it answered what is no answer", SECONDS)
        self.assertEqual(tred.get("State"), "tpm-unavailable")
        stop()
        self.assert_comes_back(tred, path)

    def test_one_that_answers_another_question_is_named_and_given_up(self):
        """The first that is asked is DEVICE_LOAD, after DEVICE_CONFIGURE; this answers a DEVICE_ADVANCE well."""
        path = self.path()
        advanced = struct.pack("!BIHHBBQ", 5, 1, 0, 0, False, False, 0)
        stop = self.served_by(path, advanced, after=2)
        tred = self.start_with(socket=path)
        tred.wait_for("failed: it answered what is no answer", SECONDS)
        self.assertEqual(tred.get("State"), "tpm-unavailable")
        stop()
        self.assert_comes_back(tred, path)


class PeerTest(TpmServiceTest):
    """Whom it serves."""

    def connect(self, path):
        with inside(HENB):
            connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.addCleanup(connection.close)
        connection.settimeout(SECONDS)
        connection.connect(str(path))
        return connection

    def test_nobody_but_its_user_is_served_not_even_root(self):
        service = TredTpm()
        self.addCleanup(service.stop)
        self.assertEqual(self.connect(service.path).recv(1), b"")
        service.wait_for("User 0 connected and is refused")

    def test_with_its_listening_socket_it_serves_one_connection_and_ends(self):
        """As systemd starts it."""
        path = self.path_of_socket()
        service = Process("tred-tpm", ["systemd-socket-activate", "--seqpacket", "--listen", path, BIN / "tred-tpm"],
                          namespace=HENB, user="tred-tpm", groups=("tred",))
        self.addCleanup(service.stop)
        wait_until(lambda: listens(path, service.pid), "the socket")
        path.chmod(0o666)
        tred = self.start_with(socket=path)
        self.assertIn(tred.get("State"), SERVING)
        self.assertEqual(tred.stop(), 0)
        self.assertEqual(service.wait(SECONDS), 0)

    def path_of_socket(self):
        folder = scratch("tred-tpm")
        os.chmod(folder, 0o777)
        return folder / "socket"
