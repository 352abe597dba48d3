"""tred-verify: what it may do and hold, and that no SeGW is taken when it fails, however it does."""

import concurrent.futures
import os
import re
import signal
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

from cryptography.hazmat.primitives.asymmetric import ec

from lab import ike, memory
from lab.bus import BusError, Connection
from lab.case import LabTest
from lab.handclient import HandClient
from lab.pki import SEGW_NAME
from lab.process import BIN, run, scratch, wait_until
from lab.programs import EXCHANGE, MANAGER, TRED, TRED_PATH, Operator, Tred, of_each_exchange
from lab.verifier import FailingVerifier

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "matrix"))
from authority import MINUTE, crl  # noqa: E402  (the folder is none of ours)

ANSWER_DEADLINE_SECONDS = 5  # after which tred gives a verifier up that hangs


class VerifierTest(LabTest):
    def hand(self):
        return self.starting(HandClient()).until("authenticate")

    def assert_refused(self, error, hand=None):
        with self.assertRaises(BusError) as caught:
            (hand or self.hand()).verify()
        self.assertEqual(caught.exception.name, error, caught.exception)
        return caught.exception.text

    def assert_taken(self):
        self.assertEqual(self.hand().verify(), SEGW_NAME)


class RightsTest(VerifierTest):
    def start(self):
        self.start_segw()
        self.tred = self.start_tred()
        self.assert_taken()
        return self.tred.verifier_pid()

    def test_the_verifier_has_no_right_left(self):
        pid = self.start()
        status = memory.status(pid)
        for kind in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
            self.assertEqual(int(status[kind], 16), 0, kind)
        self.assertEqual(status["NoNewPrivs"], "1")
        self.assertEqual(Path(f"/proc/{pid}/mem").stat().st_uid, 0)
        if "__asan_init" in run(["nm", "-D", BIN / "tred-verify"]).stdout:
            self.skipTest("the sanitizers' run-time needs more system calls than the filter allows")
        self.assertEqual(status["Seccomp"], "2")

    def test_the_verifier_holds_its_channel_and_nothing_else(self):
        pid = self.start()
        held = [os.readlink(entry).split(":")[0] for entry in Path(f"/proc/{pid}/fd").iterdir()]
        held = sorted(name for name in held if not name.endswith("output.log"))  # standard error
        self.assertEqual(held, ["/dev/null", "/dev/null", "socket"])
        self.assertEqual(Path(f"/proc/{pid}/environ").read_bytes(), b"")

    def test_the_verifier_has_a_limit_on_memory_and_writes_no_file_and_no_core(self):
        pid = self.start()
        limits = Path(f"/proc/{pid}/limits").read_text()
        self.assertRegex(limits, r"Max core file size\s+0\s+0")
        self.assertRegex(limits, r"Max file size\s+0\s+0")
        if "__asan_init" in run(["nm", "-D", BIN / "tred-verify"]).stdout:
            self.skipTest("the sanitizers' run-time takes more memory than the limit")
        octets, = re.findall(r"Max data size\s+(\d+)\s+\1", limits)
        self.assertLess(int(octets), 80 << 20)

    def test_the_verifier_holds_no_key_and_nothing_that_is_signed(self):
        gateway = self.start_segw(log_keys=True)
        tred = self.start_tred()
        hand = self.starting(HandClient()).until("verify")
        words = ("Sk_d secret", "Sk_ei secret", "Sk_er secret", "Sk_pi secret", "Sk_pr secret",
                 "shared Diffie Hellman secret", "SKEYSEED")
        logged = gateway.secrets()
        needles = {word: logged[word][-1][:16] for word in words}
        needles.update({"request": hand.request[-64:], "response": hand.response[-64:],
                        "nonce": hand.nonce, "our AUTH": hand.auth[-32:]})
        found, size = memory.search(tred.verifier_pid(), {**needles, "chain": hand.certificates[0]})
        # The chain that it has judged is there, so that the search would have found the rest.
        self.assertEqual(found, {"chain"})
        self.assertGreater(size, 1_000_000)
        found, _ = memory.search(tred.pid, needles)
        self.assertGreater(len(found), 4)

    def test_a_verifier_that_is_killed_while_it_is_idle_is_replaced(self):
        pid = self.start()
        os.kill(pid, signal.SIGKILL)
        self.assert_taken()
        self.assertNotEqual(self.tred.verifier_pid(), pid)


class FailureTest(VerifierTest):
    """The verifier fails at a frame, and is mended then."""

    def failing(self, failure, frame):
        failing = FailingVerifier(failure, frame)
        folder = scratch("crls")
        root = self.world.operator_root
        (folder / "empty.crl").write_bytes(
            crl(SimpleNamespace(subject=root.certificate.subject, key=root.key)))
        self.start_segw()
        return failing, {"segw": {"verifier": failing.program, "crl-directory": folder}}

    def assert_no_peer_is_taken(self, failure, frame, error="VerifierFailed"):
        failing, sections = self.failing(failure, frame)
        tred = self.start_tred(**sections)
        hand = self.hand()
        self.assert_refused(error, hand)
        self.assert_refused("WrongState", hand)
        failing.mend()
        self.assert_taken()
        self.assertEqual(tred.get("State"), "development")

    def assert_no_identity_is_loaded(self, failure, frame):
        failing, sections = self.failing(failure, frame)
        tred = self.start_tred(**sections)
        self.assertEqual(tred.get("State"), "unprovisioned")
        self.assertIn("failing-verify failed: ", tred.get("StateReason"))
        failing.mend()
        self.assert_taken()

    def assert_tred_does_not_start(self, failure):
        _, sections = self.failing(failure, "profile")
        self.starting(self.world.tpm.start())
        tred = self.starting(Tred(self.world.device("ecdsa-p256"), **sections))
        tred.killed = True
        self.assertEqual(tred.wait(40), 69, "systemd would not start it anew")
        self.assertIn("failing-verify failed: ", tred.output())

    def assert_want_of_memory_is_told_as_such(self, frame):
        failing, sections = self.failing("runs out of memory", frame)
        tred = self.start_tred(**sections)
        self.assertNotEqual(tred.get("State"), "unprovisioned")
        self.assertIn("Cannot allocate memory", tred.get("StateReason"))
        failing.mend()
        self.assert_taken()

    def assert_others_are_answered_while_a_reload_waits_for(self, frame):
        failing, sections = self.failing("hangs", frame)
        failing.mend()
        self.start_tred(**sections)
        root, nobody = Connection("root", seconds=60), Connection("nobody")
        self.addCleanup(root.close)
        self.addCleanup(nobody.close)
        failing.fail()
        begun = time.monotonic()
        with concurrent.futures.ThreadPoolExecutor() as pool:
            reloading = pool.submit(root.call, TRED, TRED_PATH, MANAGER, "Reload")
            wait_until(failing.has_failed, f"the verifier to hang at {frame}", 30.0)
            self.assertEqual(nobody.get(TRED, TRED_PATH, MANAGER, "State"), "development")
            is_done = reloading.done()
            if time.monotonic() < begun + ANSWER_DEADLINE_SECONDS:  # later it is rightly over
                self.assertFalse(is_done, "it does not wait for the verifier")
            self.assertEqual(reloading.result()[0], "unprovisioned")

    def test_others_are_answered_while_a_verifier_hangs_at_its_profile(self):
        self.assert_others_are_answered_while_a_reload_waits_for("profile")

    def test_others_are_answered_while_a_verifier_hangs_at_the_devices_chain(self):
        self.assert_others_are_answered_while_a_reload_waits_for("chain")

    def test_others_are_answered_while_a_verifier_hangs_at_the_anchors(self):
        self.assert_others_are_answered_while_a_reload_waits_for("anchors")

    def test_want_of_memory_at_anchors_is_no_missing_file(self):
        self.assert_want_of_memory_is_told_as_such("anchors")

    def test_want_of_memory_at_the_devices_chain_is_no_missing_file(self):
        self.assert_want_of_memory_is_told_as_such("chain")

    def test_without_certificate_and_verifier_a_reload_says_so_and_nothing_dies(self):
        failing, sections = self.failing("dies", "profile")
        failing.mend()
        tred = self.start_tred(**sections)
        root = Connection("root")
        self.addCleanup(root.close)
        certificate = self.world.device("ecdsa-p256") / "device.crt"
        hidden = certificate.rename(certificate.with_suffix(".hidden"))
        try:
            failing.fail()
            self.assertEqual(root.call(TRED, TRED_PATH, MANAGER, "Reload")[0], "unprovisioned")
        finally:
            hidden.rename(certificate)
        failing.mend()
        self.assertEqual(root.call(TRED, TRED_PATH, MANAGER, "Reload")[0], "development")
        self.assert_taken()
        tred.assert_running()

    def test_a_verifier_that_takes_a_peer_by_another_key_finds_its_auth_wrong(self):
        self.assert_no_peer_is_taken("takes a peer by another key", "peer", "PeerAuthFailed")

    def test_a_second_answer_to_one_question_judges_nobody(self):
        failing, sections = self.failing("answers twice", "peer")
        tred = self.start_tred(**sections)
        self.assert_taken()
        tred.wait_for("failing-verify failed: it answered what is no answer")
        failing.mend()
        self.assert_taken()

    def test_the_loop_goes_on_while_a_verifier_hangs(self):
        failing, sections = self.failing("hangs", "peer")
        tred = self.start_tred(**sections)
        first, second = self.hand(), self.starting(HandClient())
        waiting = threading.Thread(target=self.assert_refused, args=["VerifierFailed", first])
        begun = time.monotonic()
        waiting.start()
        while waiting.is_alive() and time.monotonic() < begun + 3:
            before = time.monotonic()
            tred.get("State")
            self.assertLess(time.monotonic() - before, 1.0)
            if second.exchange is None:
                second.until("agree")
        self.assertTrue(waiting.is_alive(), "the verifier did not hang")
        waiting.join()
        failing.mend()
        self.assert_taken()

    def verify_without_waiting(self, hand):
        hand.bus.send(TRED, hand.exchange, EXCHANGE, "VerifyPeer", "")

    def test_while_its_peer_is_judged_an_exchange_takes_no_call_but_add_child_and_close(self):
        failing, sections = self.failing("hangs", "peer")
        tred = self.start_tred(**sections)
        hand = self.hand()
        self.verify_without_waiting(hand)
        for call in (lambda: hand.protect(ike.INFORMATIONAL, []), lambda: hand.call("AllocateSpi"),
                     lambda: hand.unprotect(hand.datagrams[-1]), hand.verify,
                     lambda: hand.call("RemoveChild", "u", hand.spi_in)):
            with self.assertRaises(BusError) as caught:
                call()
            self.assertEqual(caught.exception.name, "WrongState")
        self.assertEqual(of_each_exchange("State"), ["verifying"])
        hand.call("Close")
        self.assertEqual(of_each_exchange("State"), [])
        failing.mend()
        self.assert_taken()
        self.assertTrue(tred.running())

    def test_one_child_waits_for_the_verdict_and_goes_with_the_exchange(self):
        failing, sections = self.failing("hangs", "peer")
        tred = self.start_tred(**sections)
        hand = self.hand()
        self.verify_without_waiting(hand)
        hand.bus.send(TRED, hand.exchange, EXCHANGE, "AddChild", "u", hand.spi_in)
        with self.assertRaises(BusError) as caught:
            hand.add_child()
        self.assertEqual(caught.exception.name, "WrongState")
        self.assertIn("waits for the verdict", caught.exception.text)
        self.assertEqual(of_each_exchange("State"), ["verifying"])
        hand.call("Close")
        failing.mend()
        self.assert_taken()
        self.assertFalse(tred.find("Child SA"))

    def test_an_owner_that_vanishes_while_its_peer_is_judged_takes_its_exchange_along(self):
        failing, sections = self.failing("hangs", "peer")
        tred = self.start_tred(**sections)
        hand = HandClient().until("authenticate")
        self.verify_without_waiting(hand)
        hand.bus.send(TRED, hand.exchange, EXCHANGE, "AddChild", "u", hand.spi_in)
        wait_until(lambda: "verifying" in of_each_exchange("State"), "the judgement")
        hand.stop()
        wait_until(lambda: not of_each_exchange("State"), "the end of the exchange")
        failing.mend()
        self.assert_taken()
        self.assertTrue(tred.running())


def add_failure_tests():
    for failure in ("dies", "hangs", "answers garbage", "answers nothing", "answers another request",
                    "answers too much", "answers and sends a descriptor along", "runs out of memory",
                    "takes a peer without a key",
                    "takes a peer whose key is none", "takes a peer of another name",
                    "takes a peer for ever"):
        def at_peer(self, failure=failure):
            self.assert_no_peer_is_taken(failure, "peer")

        name = failure.replace(" ", "_")
        setattr(FailureTest, f"test_no_peer_is_taken_when_its_verifier_{name}", at_peer)
    for failure in ("dies", "hangs", "answers garbage", "runs out of memory"):
        name = failure.replace(" ", "_")
        for frame in ("crl", "complete"):
            def at_loading(self, failure=failure, frame=frame):
                self.assert_no_peer_is_taken(failure, frame)

            setattr(FailureTest, f"test_no_peer_is_taken_when_a_verifier_{name}_at_{frame}", at_loading)
    for failure in ("dies", "hangs", "answers garbage"):
        name = failure.replace(" ", "_")
        for frame in ("anchors", "chain"):
            def at_identity(self, failure=failure, frame=frame):
                self.assert_no_identity_is_loaded(failure, frame)

            setattr(FailureTest, f"test_no_identity_is_loaded_when_a_verifier_{name}_at_{frame}",
                    at_identity)

        def at_profile(self, failure=failure):
            self.assert_tred_does_not_start(failure)

        setattr(FailureTest, f"test_tred_does_not_start_when_a_verifier_{name}_at_profile", at_profile)


add_failure_tests()


class CrlTest(VerifierTest):
    def start(self, **section):
        root = self.world.operator_root
        self.issuer = SimpleNamespace(subject=root.certificate.subject, key=root.key)
        self.serial = self.world.segw_credential().certificate.serial_number
        self.folder = scratch("crls")
        self.file = self.folder / "a.crl"
        self.start_segw()
        return lambda: self.start_tred(segw={"crl-directory": self.folder, **section})

    def list(self, *revoked, age=10, **named):
        """A CRL of the SeGW's issuer, so many minutes old."""
        return crl(self.issuer, *revoked, this=-age * MINUTE, **named)

    def lay_over(self, octets, path=None):
        """As cp, curl -o and wget -O do."""
        with (path or self.file).open("r+b") as file:
            file.truncate()
            file.write(octets)

    def lay_beside(self, octets):
        """As a careful tool does."""
        new = self.folder / ".new"
        new.write_bytes(octets)
        new.rename(self.file)


class ChangeTest(CrlTest):
    """CRLs that come, change and go while tred runs."""

    def test_a_crl_that_comes_counts_at_once_and_a_later_one_takes_back_what_it_says(self):
        self.start()()
        self.assert_taken()
        self.file.write_bytes(self.list(self.serial))
        self.assert_refused("PeerRevoked")
        self.lay_beside(self.list(age=8))
        self.assert_taken()
        (self.folder / "b.crl").write_bytes(self.list(self.serial, age=6))
        self.assert_refused("PeerRevoked")

    def test_a_crl_that_is_written_over_the_old_one_counts_at_once(self):
        start = self.start(revocation="require")
        self.file.write_bytes(self.list(self.serial ^ 2))
        before = self.file.stat()
        start()
        self.assert_taken()
        self.lay_over(self.list(self.serial, age=8))
        os.utime(self.file, ns=(before.st_atime_ns, before.st_mtime_ns))
        self.assertEqual(self.file.stat().st_mtime_ns, before.st_mtime_ns)
        self.assertEqual(self.file.stat().st_ino, before.st_ino)
        self.assert_refused("PeerRevoked")

    def test_a_crl_that_is_completed_after_a_first_look_counts(self):
        start = self.start()
        self.file.write_bytes(self.list())
        tred = start()
        self.assert_taken()
        octets = self.list(self.serial, age=8)
        newer = self.folder / "newer.crl"
        newer.write_bytes(octets[:200])
        self.assert_taken()
        self.assertIn("newer.crl", tred.get("CrlProblem"))
        newer.write_bytes(octets)
        self.assert_refused("PeerRevoked")
        self.assertEqual(tred.get("CrlProblem"), "")

    def test_the_last_good_list_stays_in_force_while_its_file_can_not_be_read(self):
        start = self.start()
        self.file.write_bytes(self.list(self.serial))
        tred = start()
        self.assert_refused("PeerRevoked")
        for spoil in (lambda: self.lay_over(self.list(age=8)[:100]),  # half written
                      lambda: self.lay_over(b""),
                      lambda: self.lay_beside(b"no CRL"),
                      lambda: self.file.chmod(0o600),  # root's
                      lambda: (self.file.unlink(), self.file.mkdir()),
                      lambda: (self.file.rmdir(), self.file.symlink_to("nothing"))):
            spoil()
            self.assert_refused("PeerRevoked")
            self.assertIn("a.crl", tred.get("CrlProblem"))
            self.assertIn("a.crl", tred.get("StateReason"))
            self.assertEqual(tred.get("State"), "development")
            os.kill(tred.verifier_pid(), signal.SIGKILL)
            self.assert_refused("PeerRevoked")
        self.assertRegex(tred.output(), "a.crl: .* SeGWs are judged by what was in force before")
        self.lay_beside(self.list(age=6))
        self.assert_taken()
        self.assertEqual(tred.get("CrlProblem"), "")
        self.assertNotIn("a.crl", tred.get("StateReason"))

    def test_the_last_good_list_stays_in_force_when_its_file_is_gone(self):
        start = self.start()
        self.file.write_bytes(self.list(self.serial))
        tred = start()
        self.assert_refused("PeerRevoked")
        self.file.unlink()
        self.assert_refused("PeerRevoked")
        self.folder.rename(self.folder.with_suffix(".away"))
        self.assert_refused("PeerRevoked")
        self.folder.with_suffix(".away").rename(self.folder)
        self.reload()
        self.assert_refused("PeerRevoked")
        self.file.write_bytes(self.list(age=6))
        self.assert_taken()
        self.assertTrue(tred.find("What .*a.crl held before is let go"))

    def test_a_verifier_that_dies_while_it_reads_crls_makes_tred_forget_none(self):
        failing = FailingVerifier("dies", "crl")
        failing.mend()
        start = self.start(verifier=failing.program)
        self.file.write_bytes(self.list(self.serial))
        tred = start()
        self.assert_refused("PeerRevoked")
        failing.fail()
        os.kill(next(iter(tred.child_pids("failing-verify"))), signal.SIGKILL)
        self.assert_refused("VerifierFailed")
        self.assert_refused("VerifierFailed")
        failing.mend()
        self.assert_refused("PeerRevoked")

    def test_a_crl_that_a_verifier_died_at_is_read_by_the_next(self):
        failing = FailingVerifier("dies", "crl")
        failing.mend()
        start = self.start(verifier=failing.program)
        self.file.write_bytes(self.list())
        start()
        self.assert_taken()
        failing.fail()
        self.lay_over(self.list(self.serial, age=8))
        self.assert_taken()  # by what was in force
        failing.mend()
        self.reload()
        self.assert_refused("PeerRevoked")

    def test_a_copy_that_a_later_list_has_replaced_is_let_go_though_no_segw_is_taken(self):
        start = self.start()
        self.file.write_bytes(self.list())
        tred = start()
        self.assert_taken()
        self.lay_beside(self.list(self.serial, age=8))
        self.assert_refused("PeerRevoked")
        self.assertTrue(tred.find("What .*a.crl held before is let go"))

    def test_a_forged_list_does_not_replace_the_last_good_one(self):
        start = self.start()
        self.file.write_bytes(self.list(self.serial))
        tred = start()
        self.assert_refused("PeerRevoked")
        (_, good, _), = tred.get("CrlIssuers")
        self.lay_beside(self.list(age=6, key=ec.generate_private_key(ec.SECP256R1())))
        self.assert_refused("PeerRevoked")
        os.kill(tred.verifier_pid(), signal.SIGKILL)  # the next has what tred still holds
        self.assert_refused("PeerRevoked")
        self.assertEqual([this for _, this, _ in tred.get("CrlIssuers")], [good])

    def test_reload_reads_all_crls_and_tells_of_each_issuer_when_its_last_good_list_is_of(self):
        start = self.start()
        self.file.write_bytes(self.list())
        tred = start()
        self.assert_taken()
        (issuer, this_update, next_update), = tred.get("CrlIssuers")
        self.assertIn("Operator root", issuer)
        self.lay_over(self.list(self.serial, age=8))
        self.reload()
        wait_until(lambda: tred.get("CrlIssuers")[0][1] == this_update + 120, "the later list")
        self.assertEqual(tred.get("CrlIssuers")[0][2], next_update)
        self.assert_refused("PeerRevoked")

    def is_there(self, hand):
        try:
            return bool(hand.bus.get(TRED, hand.exchange, EXCHANGE, "State"))
        except BusError:
            return False

    def verified(self):
        hand = self.hand()
        self.assertEqual(hand.verify(), SEGW_NAME)
        return hand

    def assert_closed_as_revoked(self, tred, hand, seconds):
        wait_until(lambda: not self.is_there(hand), "the end of the SA", seconds)
        tred.wait_for("is closed: The SeGW would not be taken any more. .*revoked on ")

    def test_an_sa_goes_with_a_reload_whose_segw_was_revoked_since_it_was_made(self):
        tred = self.start()()
        hand = self.verified()
        self.file.write_bytes(self.list(self.serial ^ 2))
        self.reload()
        self.assert_taken()
        self.assertTrue(self.is_there(hand))
        self.lay_over(self.list(self.serial, age=8))
        self.reload()
        self.assert_closed_as_revoked(tred, hand, 30.0)

    def test_an_sa_goes_when_another_is_judged_whose_segw_was_revoked_since_it_was_made(self):
        tred = self.start()()
        hand = self.verified()
        self.file.write_bytes(self.list(self.serial))
        self.assert_refused("PeerRevoked")
        self.assert_closed_as_revoked(tred, hand, 30.0)

    def test_an_sa_goes_by_itself_whose_segw_was_revoked_since_it_was_made(self):
        tred = self.start()()
        hand = self.verified()
        self.file.write_bytes(self.list(self.serial))
        self.assert_closed_as_revoked(tred, hand, 120.0)

    def test_an_sa_goes_whose_segw_was_revoked_though_its_verifier_was_killed(self):
        tred = self.start()()
        hand = self.verified()
        self.file.write_bytes(self.list(self.serial))
        os.kill(tred.verifier_pid(), signal.SIGKILL)
        self.assert_closed_as_revoked(tred, hand, 120.0)

    def test_an_ike_sa_that_is_rekeyed_while_its_segw_is_judged_again_goes_with_the_verdict(self):
        waiting = FailingVerifier("waits until it is mended", "peer")
        waiting.mend()
        tred = self.start(verifier=waiting.program)()
        client = self.start_client()
        client.wait_for_state("established")
        self.assertEqual(tred.exchanges(), [1])
        waiting.fail()
        self.file.write_bytes(self.list(self.serial))
        self.reload()
        wait_until(waiting.has_failed, "the question about the SeGW", 30.0)
        self.starting(Operator()).call("RekeyIkeSa")
        wait_until(lambda: tred.exchanges() == [2], "the new IKE SA alone", 30.0)
        waiting.mend()
        tred.wait_for(r"Exchange 2 is closed: The SeGW would not be taken any more. .*revoked on ", 30.0)
        client.wait_for_state("waiting", "connecting", "idle")
        self.assertNotIn("Exchange 1 is closed: ", tred.output())

    def reload(self):
        connection = Connection("root")
        self.addCleanup(connection.close)
        return connection.call(TRED, TRED_PATH, MANAGER, "Reload")

    def test_no_segw_is_taken_where_nothing_was_in_force_and_a_crl_can_not_be_read(self):
        start = self.start()
        self.file.write_bytes(b"no CRL")
        tred = start()
        self.assertIn("a.crl", self.assert_refused("VerifierFailed"))
        self.assertIn("a.crl", tred.get("StateReason"))
        (self.folder / "a.crl").unlink()
        (self.folder / "b.crl").mkdir()
        self.assertIn("b.crl", self.assert_refused("VerifierFailed"))
        (self.folder / "b.crl").rmdir()
        self.assert_taken()

    def test_the_verifier_before_is_gone_when_another_has_taken_over(self):
        tred = self.start()()
        self.assert_taken()
        before = tred.verifier_pid()
        self.file.write_bytes(self.list())
        self.assert_taken()
        wait_until(lambda: len(tred.child_pids("tred-verify")) == 1, "the end of the one before")
        self.assertNotEqual(tred.verifier_pid(), before)

    def test_each_exchange_is_judged_by_what_was_in_force_when_it_began_until_it_is_judged(self):
        profile = scratch("profile") / "profile.conf"
        profile.write_text("")
        tred = self.start(profile=profile)()
        before = self.hand()
        profile.write_text("[end-entity]\nkeys = p384\n")
        self.reload()
        self.assertEqual(before.verify(), SEGW_NAME)
        wait_until(lambda: len(tred.child_pids("tred-verify")) == 1, "the end of the first")
        self.assert_refused("PeerCertificateUnfit")


class RestTest(CrlTest):
    """A verifier that nobody needs ends, and nothing that it was handed is forgotten."""

    def start(self):
        self.tred = super().start()()
        self.assert_taken()

    def rest(self, program="tred-verify"):
        wait_until(lambda: not self.tred.child_pids(program), "the verifier's end", 10.0)

    def test_another_is_there_when_an_exchange_begins(self):
        self.start()
        self.rest()
        self.starting(HandClient()).until("begin")
        wait_until(lambda: self.tred.child_pids("tred-verify"), "another verifier")
        self.assert_taken()

    def test_a_revocation_holds_though_its_verifier_and_its_file_are_gone(self):
        self.start()
        self.file.write_bytes(self.list(self.serial))
        self.assert_refused("PeerRevoked")
        self.rest()
        self.file.unlink()
        self.assert_refused("PeerRevoked")

    def test_a_crl_that_comes_meanwhile_counts(self):
        self.start()
        self.rest()
        self.file.write_bytes(self.list(self.serial))
        self.assert_refused("PeerRevoked")

    def test_a_crl_that_comes_meanwhile_and_can_not_be_read_is_named(self):
        self.start()
        self.rest()
        self.file.write_bytes(self.list(self.serial)[:-200])
        self.assert_taken()
        self.assertIn("a.crl", self.tred.get("CrlProblem"))

    def test_no_segw_is_taken_where_another_fails(self):
        failing = FailingVerifier("dies", "profile")
        failing.mend()
        self.start_segw()
        self.tred = self.start_tred(segw={"verifier": failing.program})
        self.assert_taken()
        self.rest("failing-verify")
        failing.fail()
        self.assert_refused("VerifierFailed")
        failing.mend()
        self.assert_taken()
