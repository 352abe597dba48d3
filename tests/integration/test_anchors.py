"""The third law, its second half: the SeGW anchors are the operator's, and the TPM sees to that;
and the time by which certificates are judged never steps back."""

import hashlib
import threading
import time
from datetime import timedelta

from cryptography.hazmat.primitives.serialization import Encoding
from lab.anchors import AnchorSigner, approval_of
from lab.bus import BusError, Connection
from lab.case import LabTest
from lab.handclient import HandClient
from lab.network import HENB
from lab.pki import DAY, HENB_NAME, Flaws, issue_from_csr, issue_segw, make_ca
from lab.process import BIN, LabError, Process, run, scratch, wait_until
from lab.programs import (EXCHANGE, GUARD_INDICES, MANAGER, OWNER_AUTH, TRED, TRED_PATH, Tred, lock_owner, provision,
                          provision_step, provisioning_tool, tred_sections, unlock_owner, write_ini)
from lab.tpm import SharedTpm
from lab.vendor import Vendor

GUARD, COUNTER, BASE = GUARD_INDICES
SECONDS_OF_DAY = 24 * 3600

class GuardedDeviceTest(LabTest):
    """A device whose anchors, version 1, are guarded; the TPM is shared, for tpm2-tools."""

    def setUp(self):
        super().setUp()
        self.vendor, self.signer = Vendor(), AnchorSigner()
        self.starting(self.world.field_tpm.start())
        self.shared = self.starting(SharedTpm())
        self.vendor.approve(self.shared.TCTI)
        self.files = provision("ecdsa-p256", self.world.vendor_root, [self.world.operator_root],
                               self.vendor, self.shared.TCTI, self.signer)
        self.anchors = self.files / "segw-anchors.pem"

    def start_tred(self, **sections):
        sections.setdefault("tpm", {})["tcti"] = self.shared.TCTI
        return self.starting(Tred(self.files, **sections)).wait_for_name()

    def hand(self):
        return self.starting(HandClient())

    def as_user(self, user):
        connection = Connection(user)
        self.addCleanup(connection.close)
        return connection

    def install(self, bundle, user="root"):
        """By the bus, as tre-provision does it."""
        version, = self.as_user(user).call(TRED, TRED_PATH, MANAGER, "InstallAnchors", "ayay",
                                           bundle.read_bytes(), approval_of(bundle).read_bytes())
        return version

    def reload(self):
        return self.as_user("root").call(TRED, TRED_PATH, MANAGER, "Reload")

    def assert_refused(self, error, call, *arguments):
        with self.assertRaises(BusError) as caught:
            call(*arguments)
        self.assertEqual(caught.exception.name, error, caught.exception)
        return caught.exception.text

    def assert_in_force(self, tred, bundle, version):
        self.assertEqual(tred.get("State"), "ready", tred.get("StateReason"))
        self.assertEqual(tred.get("AnchorsVersion"), version)
        self.assert_files(bundle)

    def assert_files(self, bundle):
        """The bundle is there with its approval, and nothing is left over."""
        self.assertEqual(self.anchors.read_bytes(), bundle.read_bytes())
        self.assertEqual(approval_of(self.anchors).read_bytes(), approval_of(bundle).read_bytes())
        self.assertEqual(sorted(path.name for path in self.files.glob("segw-anchors.pem*")),
                         ["segw-anchors.pem", "segw-anchors.pem.sig"])

    def guarded_version(self):
        octets = self.shared.tool("tpm2_nvread", "-C", GUARD, "-s", "8", GUARD)
        return int.from_bytes(octets.encode("latin-1"), "big")

class GuardedAnchorsTest(GuardedDeviceTest):
    def test_a_guarded_device_is_ready_and_says_which_anchors_it_has(self):
        tred = self.start_tred()
        self.assertEqual(tred.wait_for_state("ready"), "ready")
        self.assertTrue(tred.get("AnchorsGuarded"))
        self.assert_in_force(tred, self.signer.directory / "anchors-1.pem", 1)

    def test_anchors_replaced_by_root_on_disk_stop_every_exchange(self):
        tred = self.start_tred()
        mine = self.anchors.read_bytes()
        self.anchors.write_bytes(make_ca("Root's own root").pem())
        self.assertEqual(self.reload()[0], "integrity-failed")
        said = self.assert_refused("IntegrityFailed", self.hand().begin)
        self.assertRegex(said, r"segw-anchors\.pem has the SHA-256 [0-9a-f]{64}, expected is "
                               r"[0-9a-f]{64} \(version 1\)")
        self.anchors.write_bytes(mine)
        self.hand().begin()
        self.assertEqual(tred.get("State"), "ready")

    def test_the_bundle_in_force_installed_again_puts_the_file_right(self):
        tred = self.start_tred()
        self.anchors.write_bytes(make_ca("Root's own root").pem())
        self.reload()
        bundle = self.signer.directory / "anchors-1.pem"
        self.assertEqual(self.install(bundle), 1)
        self.assert_in_force(tred, bundle, 1)

    def test_a_new_bundle_is_accepted_without_a_restart(self):
        tred = self.start_tred()
        pid = tred.pid
        bundle = self.signer.sign(2, [self.world.operator_root, make_ca("Another root")])
        said = run([BIN / "tre-provision", "install-anchors", bundle], namespace=HENB).stdout
        self.assertIn("Another root", said)
        self.assertRegex(said, "anchors version +2, guarded by the TPM")
        self.assert_in_force(tred, bundle, 2)
        self.assertEqual(len(tred.get("AnchorHashes")), 2)
        self.assertEqual(tred.pid, pid)
        self.start_segw()
        self.start_client().wait_for_state("established")

    def test_a_bundle_without_the_anchor_that_only_anchors_names_is_warned_of(self):
        counts = hashlib.sha256(self.world.operator_root.certificate.public_bytes(Encoding.DER)).hexdigest()
        tred = self.start_tred(segw={"only-anchors": counts})
        warning = "None of the anchors in .*segw-anchors.pem is one that only-anchors of .segw. names"
        self.assertIsNone(tred.find(warning))
        self.install(self.signer.sign(2, [make_ca("Another root")]))
        tred.wait_for(warning, 30.0)

    def is_there(self, hand):
        try:
            return bool(hand.bus.get(TRED, hand.exchange, EXCHANGE, "State"))
        except BusError:
            return False

    def test_who_was_trusted_by_an_anchor_that_is_removed_loses_its_sa(self):
        self.start_segw()
        tred = self.start_tred()
        verified = self.hand().until("verify")
        self.install(self.signer.sign(2, [self.world.operator_root, make_ca("Another root")]))
        self.hand().until("verify").stop()
        self.assertTrue(self.is_there(verified))
        self.install(self.signer.sign(3, [make_ca("Another root")]))
        wait_until(lambda: not self.is_there(verified), "the end of the SA")
        tred.wait_for("is closed: The SeGW would not be taken any more. ")
        after = self.hand().until("authenticate")
        self.assert_refused("PeerNotTrusted", after.verify)

    def test_an_anchor_is_removed_for_who_is_verified_even_while_there_is_no_identity(self):
        self.start_segw()
        tred = self.start_tred()
        verified = self.hand().until("verify")
        certificate = self.files / "device.crt"
        certificate.unlink()
        self.assertEqual(self.reload()[0], "unprovisioned")
        self.assertTrue(self.is_there(verified))
        self.install(self.signer.sign(2, [make_ca("Another root")]))
        wait_until(lambda: not self.is_there(verified), "the end of the SA")
        tred.wait_for("is closed: The SeGW would not be taken any more. ")

    def test_who_is_not_verified_when_anchors_change_begins_anew(self):
        self.start_segw()
        tred = self.start_tred()
        before = [self.hand().until(step) for step in ("begin", "agree", "sign", "authenticate")]
        self.install(self.signer.sign(2, [self.world.operator_root]))
        for hand in before:
            self.assertFalse(self.is_there(hand))
        tred.wait_for("is closed: The operator's anchors have changed")
        self.hand().until("verify")

    def test_an_older_bundle_is_refused(self):
        tred = self.start_tred()
        newer = self.signer.sign(3, [self.world.operator_root])
        self.install(newer)
        for version in (1, 2):
            older = self.signer.sign(version, [make_ca("An old root")], "--first")
            said = self.assert_refused("AnchorsOutdated", self.install, older)
            self.assertRegex(said, f"version {version}, but the TPM holds version 3")
        self.assert_in_force(tred, newer, 3)
        self.assertEqual(self.guarded_version(), 3)

    def test_another_operators_bundle_is_refused(self):
        tred = self.start_tred()
        bundle = AnchorSigner().sign(2, [make_ca("Somebody's root")], "--first")
        self.assert_refused("AnchorsRefused", self.install, bundle)
        self.assert_in_force(tred, self.signer.directory / "anchors-1.pem", 1)

    def test_another_operators_approval_of_the_bundle_in_force_is_refused(self):
        tred = self.start_tred()
        bundle = AnchorSigner().sign(1, [self.world.operator_root], "--first")
        self.assertEqual(bundle.read_bytes(), self.anchors.read_bytes())
        self.assert_refused("AnchorsRefused", self.install, bundle)
        self.assert_in_force(tred, self.signer.directory / "anchors-1.pem", 1)

    def test_anchors_replaced_by_root_while_they_are_installed_are_not_taken(self):
        tred = self.start_tred()
        bundle = self.signer.sign(2, [self.world.operator_root, make_ca("Another root")])
        tracer = self.starting(Process("strace", [  # the last fsync() comes after the renaming
            "strace", "-p", tred.tpm_pid(), "-e", "trace=fsync",
            "-e", "inject=fsync:delay_exit=3000000:when=4"]))
        tracer.wait_for("attached")
        installing = threading.Thread(target=self.install, args=[bundle])
        installing.start()
        wait_until(lambda: self.anchors.read_bytes() == bundle.read_bytes(), "the renaming")
        self.anchors.write_bytes(make_ca("Root's own root").pem())
        installing.join()
        self.assertEqual(tred.get("AnchorsVersion"), 2)
        self.assertEqual(len(tred.get("AnchorHashes")), 2)

    def test_anchors_that_the_tpm_took_and_the_disk_did_not_are_not_said_to_be_in_force(self):
        tred = self.start_tred()
        bundle = self.signer.sign(2, [self.world.operator_root, make_ca("Another root")])
        tracer = self.starting(Process("strace", [
            "strace", "-p", tred.tpm_pid(), "-e", "trace=rename",
            "-e", "inject=rename:error=EROFS"]))
        tracer.wait_for("attached")
        with self.assertRaises(BusError):
            self.install(bundle)
        self.assertEqual(self.guarded_version(), 2)
        self.assertEqual(tred.get("State"), "integrity-failed")
        tracer.stop()
        self.hand().begin()
        self.assert_in_force(tred, bundle, 2)

    def test_a_changed_bundle_and_a_changed_approval_are_refused(self):
        tred = self.start_tred()
        bundle = self.signer.sign(2, [self.world.operator_root])
        approval = approval_of(bundle).read_text()
        bundle.write_bytes(make_ca("Somebody's root").pem())
        self.assert_refused("AnchorsRefused", self.install, bundle)
        bundle.write_bytes(self.world.operator_root.pem())
        approval_of(bundle).write_text(approval.replace("version 2", "version 9"))
        self.assert_refused("AnchorsRefused", self.install, bundle)
        self.assert_in_force(tred, self.signer.directory / "anchors-1.pem", 1)

    def test_only_root_installs_anchors(self):
        tred = self.start_tred()
        bundle = self.signer.sign(2, [self.world.operator_root])
        for user in ("nobody", "henb-ike"):
            self.assert_refused("org.freedesktop.DBus.Error.AccessDenied", self.install, bundle, user)
        self.assertEqual(tred.get("AnchorsVersion"), 1)

    def test_a_device_under_a_policy_whose_guard_is_gone_is_not_provisioned(self):
        self.shared.tool("tpm2_nvundefine", "-C", "o", "-P", OWNER_AUTH, GUARD)
        tred = self.start_tred()
        self.assertEqual(tred.get("State"), "unprovisioned")
        self.assertIn("does not guard the anchors", tred.get("StateReason"))
        self.assert_refused("Unprovisioned", self.hand().begin)

    def test_a_device_whose_guard_was_never_written_is_not_provisioned(self):
        unlock_owner(self.shared.TCTI)
        self.shared.tool("tpm2_nvundefine", "-C", "o", GUARD)
        profile = self.vendor.profile(scratch("inbox"), "ecdsa-p256",
                                      {"file": self.anchors, "operator-key": self.signer.public})
        provision_step(self.files, profile, "nv-index", self.shared.TCTI)
        lock_owner(self.shared.TCTI)
        tred = self.start_tred()
        self.assertEqual(tred.get("State"), "unprovisioned")
        self.assertIn("was never written", tred.get("StateReason"))

    def test_a_device_whose_guard_root_can_take_away_is_for_development_and_says_so(self):
        unlock_owner(self.shared.TCTI)
        tred = self.start_tred()
        self.assertEqual(tred.get("State"), "development")
        self.assertRegex(tred.get("StateReason"), "whoever is root can take the guard .* away.*step lock")
        self.assertIn(f"DEVELOPMENT: {tred.get('StateReason')}", tred.output())
        self.assertRegex(self.doctor(), r"warning +tred: runs, for development: .*step lock")
        self.hand().begin()
        lock_owner(self.shared.TCTI)
        self.assertEqual(self.reload(), ("ready", ""))
        self.assertRegex(self.doctor(), r"ok +tred: runs, and is ready")
        tred.stop()
        self.assertNotIn("development", self.doctor())
        unlock_owner(self.shared.TCTI)
        self.assertRegex(self.doctor(), r"warning +development: .*step lock")

    def test_a_key_under_no_policy_is_for_development_though_the_anchors_are_guarded(self):
        state = scratch("factory") / "state"
        provisioning_tool(state, "init", "--fqdn", HENB_NAME, "--key-algorithm", "ecdsa-p256",
                          tcti=self.shared.TCTI)
        chain = state / "chain.pem"
        chain.write_bytes(issue_from_csr(self.world.vendor_root,
                                         (state / "device.csr").read_bytes()).pem())
        provisioning_tool(state, "install-cert", chain)
        tred = self.start_tred(identity={"key": state / "device.pem",
                                         "certificates": state / "device.crt"})
        self.assertEqual(tred.get("State"), "development")
        self.assertIn("under no TPM policy", tred.get("StateReason"))
        self.assertTrue(tred.get("AnchorsGuarded"))

    def doctor(self):
        sections = tred_sections(self.files, tpm={"tcti": self.shared.TCTI})
        configuration = write_ini(scratch("tred.conf") / "tred.conf", sections)
        return run([BIN / "trectl", "doctor", "--config", configuration, "--tred-net", BIN / "tred-net"],
                   namespace=HENB, check=False).stdout

    def test_a_guard_that_root_has_made_anew_is_no_reason_to_say_ready(self):
        """The whole way: root takes the guard away, defines another operator's, and installs anchors."""
        unlock_owner(self.shared.TCTI)
        self.shared.tool("tpm2_nvundefine", "-C", "o", GUARD)
        impostor, own_root = AnchorSigner(), make_ca("Root's own root")
        bundle = impostor.sign(1, [own_root], "--first")
        profile = self.vendor.profile(scratch("inbox"), "ecdsa-p256",
                                      {"file": bundle, "operator-key": impostor.public})
        for path in self.files.glob("segw-anchors.pem*"):
            path.unlink()
        for step in ("nv-index", "anchors"):
            provision_step(self.files, profile, step, self.shared.TCTI)
        self.assertEqual(self.start_tred().get("State"), "development")

    def test_a_tpm_that_was_cleared_makes_the_device_unprovisioned(self):
        tred = self.start_tred()
        self.assertEqual(tred.get("State"), "ready")
        self.shared.tool("tpm2_clear", "-c", "p")
        state, reason = self.reload()
        self.assertEqual(state, "unprovisioned", reason)
        self.assertRegex(reason, "cleared.*[Pp]rovision")
        self.assert_refused("Unprovisioned", self.hand().begin)
        tred.stop()
        self.assertEqual(self.start_tred().get("State"), "unprovisioned")

    def test_a_device_under_a_policy_trusts_no_storage_root_key_but_its_own(self):
        name = self.files / "srk.name"
        mine = name.read_bytes()
        name.unlink()
        tred = self.start_tred()
        self.assertEqual(tred.get("State"), "unprovisioned")
        self.assertIn("any storage root key would be trusted", tred.get("StateReason"))
        name.write_bytes(mine[:10] + b"0000" + mine[14:])
        self.assertEqual(self.reload()[0], "tpm-unavailable")
        self.assertIn("is not the one that this device was provisioned", tred.get("StateReason"))
        name.write_bytes(mine)
        self.assertEqual(self.reload()[0], "ready")

class UnguardedDeviceTest(LabTest):
    def test_a_key_for_development_works_without_a_guard_and_says_so(self):
        tred = self.start_tred()
        tred.wait_for_state("development")
        self.assertFalse(tred.get("AnchorsGuarded"))
        self.assertEqual(tred.get("AnchorsVersion"), 0)
        tred.wait_for("DEVELOPMENT: the TPM does not guard the anchors")
        self.starting(HandClient()).begin()

class PowerCutTest(GuardedDeviceTest):
    """tred-tpm is killed at a system call of its installation, and tred with it."""

    def install_and_die(self, bundle, call, number):
        tred = self.start_tred()
        pid = tred.tpm_pid()
        tracer = self.starting(Process("strace", [
            "strace", "-p", pid, "-e", f"trace={call}",
            "-e", f"inject={call}:signal=SIGKILL:when={number}"]))
        tracer.wait_for("attached")
        with self.assertRaises(BusError):
            self.install(bundle)
        tred.kill()
        wait_until(lambda: pid not in tred.tpm_service.pids(), "the end of tred-tpm")

    def assert_recovers(self, call, number, version):
        bundle = self.signer.sign(2, [self.world.operator_root, make_ca("Another root")])
        self.install_and_die(bundle, call, number)
        tred = self.start_tred()
        self.assert_in_force(tred, self.signer.directory / f"anchors-{version}.pem", version)
        self.assertEqual(self.install(bundle), 2)
        self.assert_in_force(tred, bundle, 2)

    def test_killed_before_the_tpm_was_written_the_old_anchors_stay(self):
        self.assert_recovers("fsync", 2, 1)

    def test_killed_between_the_tpm_and_the_files_the_new_anchors_are_in_force(self):
        self.assert_recovers("rename", 1, 2)

    def test_killed_between_both_files_the_new_anchors_are_in_force(self):
        self.assert_recovers("rename", 2, 2)

class LastKnownTimeTest(GuardedDeviceTest):
    def counter(self):
        octets = run(["tpm2_nvread", "-C", COUNTER, COUNTER, "-o", self.files / "counter"],
                     namespace=HENB, env={"TPM2TOOLS_TCTI": self.shared.TCTI})
        self.assertEqual(octets.returncode, 0)
        return int.from_bytes((self.files / "counter").read_bytes(), "big")

    def days_later(self, days):
        """The last-known time goes on, as by a clock that was right and is set back now."""
        for _ in range(days):
            self.shared.tool("tpm2_nvincrement", "-C", COUNTER, COUNTER)

    def days_earlier(self, days):
        """A device that was made some days ago."""
        value = (int(time.time()) // SECONDS_OF_DAY - days - self.counter()) % 2**64
        (self.files / "base").write_bytes(value.to_bytes(8, "big"))
        self.shared.tool("tpm2_nvundefine", "-C", "o", "-P", OWNER_AUTH, BASE)
        self.shared.tool("tpm2_nvdefine", "-C", "o", "-P", OWNER_AUTH, "-s", "8", "-a",
                         "authwrite|writedefine|authread|ownerread|no_da", BASE)
        self.shared.tool("tpm2_nvwrite", "-C", BASE, "-i", self.files / "base", BASE)
        self.shared.tool("tpm2_nvwritelock", "-C", BASE, BASE)

    def start_segw_for(self, days):
        self.start_segw(issue_segw(self.world.operator_root, flaws=Flaws(ends=days * DAY)))

    def today(self):
        return int(time.time()) // SECONDS_OF_DAY * SECONDS_OF_DAY

    def test_a_clock_set_back_makes_an_expired_certificate_no_less_expired(self):
        self.start_segw_for(2)
        self.start_tred()
        self.hand().until("verify")
        self.days_later(4)
        self.reload()
        hand = self.hand().until("authenticate")
        self.assert_refused("PeerCertificateExpired", hand.verify)

    def test_a_clock_that_is_behind_puts_off_no_end_of_an_exchange(self):
        """By the wall clock, the certificate has two days more."""
        self.days_later(2)
        ends = self.today() + 2 * SECONDS_OF_DAY + 5 - time.time()
        self.start_segw(issue_segw(self.world.operator_root,
                                   flaws=Flaws(ends=timedelta(seconds=ends))))
        tred = self.start_tred()
        self.hand().until("verify")
        tred.wait_for("has expired", 20.0)

    def test_the_device_certificate_is_judged_by_it_as_well(self):
        self.days_earlier(-826)
        tred = self.start_tred()
        tred.wait_for("has expired by the TPM's last-known time")
        tred.wait_for("The clock is behind the TPM's last-known time")

    def days_ago(self, tred):
        return (self.today() - tred.get("LastKnownTime")) // SECONDS_OF_DAY

    def test_it_follows_what_a_verified_segw_vouches_for_a_few_days_an_hour(self):
        self.days_earlier(20)
        self.start_segw()
        tred = self.start_tred()
        self.hand().until("verify")
        wait_until(lambda: self.days_ago(tred) == 12, "the first step")
        tred.wait_for("The TPM's last-known time is day .*vouches for it")
        self.hand().until("verify")
        time.sleep(2)
        self.assertEqual(self.days_ago(tred), 12)
        self.assertEqual(tred.stop(), 0)
        self.assertEqual(self.days_ago(self.start_tred(clock={"record": "off"})), 12)

    def test_no_clock_moves_it(self):
        """This machine's clock is 20 days ahead of it, as one that was set wrong would be."""
        self.days_earlier(20)
        tred = self.start_tred()
        time.sleep(2)
        self.assertEqual(self.days_ago(tred), 20)

    def test_a_segw_that_is_refused_vouches_for_nothing(self):
        self.days_earlier(20)
        self.start_segw()
        tred = self.start_tred(segw={"name": "other.operator.example"})
        self.assert_refused("PeerIdentityMismatch", self.hand().until("authenticate").verify)
        time.sleep(2)
        self.assertEqual(self.days_ago(tred), 20)

    def test_it_stays_where_it_is_if_it_is_told_to(self):
        self.days_earlier(20)
        self.start_segw()
        tred = self.start_tred(clock={"record": "off"})
        self.hand().until("verify")
        time.sleep(2)
        self.assertEqual(self.days_ago(tred), 20)

    def test_it_is_not_recorded_while_an_exchange_waits_for_its_signature(self):
        self.start_segw()
        self.days_earlier(20)
        tred = self.start_tred()
        self.hand().until("verify")
        hand = self.hand().until("agree")
        before = self.days_ago(tred)
        time.sleep(3)
        self.assertEqual(self.days_ago(tred), before)
        hand.sign()
        wait_until(lambda: self.days_ago(tred) == 12, "the step", 20)

    def test_the_operators_signature_takes_back_what_ran_ahead(self):
        self.days_earlier(-30)
        self.start_segw_for(10)
        tred = self.start_tred()
        self.assertEqual(self.days_ago(tred), -30)
        self.assert_refused("PeerCertificateExpired", self.hand().until("authenticate").verify)
        root = [self.world.operator_root]
        self.install(self.signer.sign(2, root, text=f"last-known-time {HENB_NAME} minus 30\n"))
        self.assertEqual(self.days_ago(tred), 0)
        self.hand().until("verify")
        # Without the line the file is another one than the TPM guards.
        corrected = self.anchors.read_bytes()
        self.anchors.write_bytes(corrected.split(b"\n", 1)[1])
        self.assertEqual(self.reload()[0], "integrity-failed")
        self.anchors.write_bytes(corrected)
        self.assertEqual(self.reload()[0], "ready")
        # A line for another device is none for this one.
        self.install(self.signer.sign(3, root, text="last-known-time other.vendor.example minus 30\n"))
        self.assertEqual(self.days_ago(tred), -30)

    def test_a_time_that_was_taken_back_goes_on_with_what_a_segw_vouches_for(self):
        """The TPM's own count is still ahead of this machine's clock."""
        self.days_earlier(-20)
        self.start_segw()
        tred = self.start_tred()
        self.install(self.signer.sign(2, [self.world.operator_root],
                                      text=f"last-known-time {HENB_NAME} minus 30\n"))
        self.assertEqual(self.days_ago(tred), 10)
        self.hand().until("verify")
        wait_until(lambda: self.days_ago(tred) == 2, "the step")
        self.assertEqual(tred.stop(), 0)
        self.assertEqual(self.days_ago(self.start_tred(clock={"record": "off"})), 2)

    def test_a_correction_in_anchors_that_nobody_guards_is_not_heeded(self):
        """Of a device for development, in a TPM that keeps the time: root writes that file."""
        self.shared.tool("tpm2_nvundefine", "-C", "o", "-P", OWNER_AUTH, GUARD)
        self.files = provision("ecdsa-p256", self.world.vendor_root, [self.world.operator_root],
                               tcti=self.shared.TCTI)
        anchors = self.files / "segw-anchors.pem"
        anchors.write_bytes(f"last-known-time {HENB_NAME} minus 30\n".encode() + anchors.read_bytes())
        tred = self.start_tred()
        self.assertEqual(tred.get("State"), "development")
        self.assertEqual(self.days_ago(tred), 0)

    def test_a_correction_that_is_none_is_not_signed(self):
        path = self.signer.directory / "anchors-2.pem"
        for line in ("last-known-time henb-0001.vendor.example", "last-known-time a minus -3",
                     f"last-known-time {HENB_NAME} minus 0", f"last-known-time {HENB_NAME} minus 3 days"):
            with self.subTest(line=line):
                with self.assertRaisesRegex(LabError, "is no correction like"):
                    self.signer.sign(2, [self.world.operator_root], text=f"{line}\n")
                self.assertFalse(approval_of(path).exists())

    def test_a_device_under_a_policy_that_keeps_no_time_is_not_provisioned(self):
        self.shared.tool("tpm2_nvundefine", "-C", "o", "-P", OWNER_AUTH, COUNTER)
        tred = self.start_tred()
        self.assertEqual(tred.get("State"), "unprovisioned")
        self.assertIn("last-known time", tred.get("StateReason"))
