"""The third law, its first half: the TPM lets the device key sign in platform states that were
approved of, and in no other."""

import hashlib

from lab.bus import BusError, Connection
from lab.case import LabTest
from lab.handclient import HandClient
from lab.network import HENB
from lab.pki import issue_from_csr
from lab.process import run
from lab.programs import EXCHANGE, MANAGER, TRED, TRED_PATH, Tred, provision, provisioning_tool
from lab.tpm import TCTI, SharedTpm
from lab.vendor import Vendor

EXTENSION = hashlib.sha256(b"another firmware").hexdigest()


class PolicyTest(LabTest):
    """A device under its vendor's policy; the TPM is shared, so that PCRs can change meanwhile."""

    def setUp(self):
        super().setUp()
        self.vendor = Vendor()
        self.starting(self.world.field_tpm.start())
        self.shared = self.starting(SharedTpm())
        self.vendor.approve(self.shared.TCTI)
        self.files = provision("ecdsa-p256", self.world.vendor_root, [self.world.operator_root],
                               self.vendor, self.shared.TCTI)

    def start_tred(self):
        return self.starting(Tred(self.files, tpm={"tcti": self.shared.TCTI})).wait_for_name()

    def extend(self, pcr):
        self.shared.tool("tpm2_pcrextend", f"{pcr}:sha256={EXTENSION}")

    def hand(self):
        return self.starting(HandClient())

    def assert_refused(self, error, call, *arguments):
        with self.assertRaises(BusError) as caught:
            call(*arguments)
        self.assertEqual(caught.exception.name, error, caught.exception)
        return caught.exception.text

    def assert_integrity_failed(self, tred, pcr):
        self.assertEqual(tred.get("State"), "integrity-failed")
        (number, expected, found), = tred.get("PcrMismatch")
        self.assertEqual(number, pcr)
        self.assertEqual(found, self.value_of(pcr))
        self.assertEqual(expected, "00" * 32)
        self.assertRegex(tred.output(), f"PCR {pcr} .*expected {expected}, found {found}")

    def value_of(self, pcr):
        return self.shared.tool("tpm2_pcrread", f"sha256:{pcr}").split("0x")[1].strip().lower()

    def test_a_device_in_a_state_that_was_signed_for_connects(self):
        gateway, tred = self.start_segw(), self.start_tred()
        self.assertEqual(tred.wait_for_state("ready"), "ready")
        self.assertEqual(tred.get("KeyPolicy"), "signed")
        self.start_client().wait_for_state("established")
        gateway.wait_for(r"CHILD_SA net\{\d+\} established")

    def test_a_device_in_another_state_begins_no_exchange_and_says_which_pcr_differs(self):
        self.extend(7)
        tred = self.start_tred()
        tred.wait_for_state("integrity-failed")
        self.assert_integrity_failed(tred, 7)
        text = self.assert_refused("IntegrityFailed", self.hand().begin)
        self.assertIn("PCR 7", text)

    def test_a_bank_of_pcrs_that_firmware_switched_off_is_no_state_approved_of(self):
        self.shared.tool("tpm2_pcrallocate", "sha1:all+sha256:none+sha384:all+sha512:all")
        self.addCleanup(self.shared.tool, "tpm2_pcrallocate", "sha1:all+sha256:all+sha384:all+sha512:all")
        self.shared.power_cycle()
        tred = self.start_tred()
        self.assertEqual(tred.get("State"), "integrity-failed", tred.get("StateReason"))
        self.assertRegex(tred.get("StateReason"), "PCR 4,7,11 in its sha256 bank.*switched off")
        self.assert_refused("IntegrityFailed", self.hand().begin)

    def test_a_pcr_extended_while_tred_runs_stops_the_next_exchange(self):
        tred = self.start_tred()
        self.start_segw()
        self.hand().until("begin")
        self.extend(4)
        self.assert_refused("IntegrityFailed", self.hand().until("agree").sign)
        self.assert_integrity_failed(tred, 4)
        self.assert_refused("IntegrityFailed", self.hand().begin)

    def test_a_pcr_extended_while_tred_runs_ends_what_has_signed_once_it_is_seen(self):
        self.start_segw()
        tred = self.start_tred()
        signed = [self.hand().until("verify"), self.hand().until("sign")]
        self.extend(4)
        self.assert_refused("IntegrityFailed", self.hand().until("agree").sign)
        tred.wait_for("is closed: This device is not what was approved of any more: ")
        for hand in signed:
            with self.assertRaises(BusError):
                hand.bus.get(TRED, hand.exchange, EXCHANGE, "State")

    def test_a_pcr_extended_in_the_middle_of_an_exchange_stops_its_signature(self):
        self.start_segw()
        tred = self.start_tred()
        hand = self.hand().until("agree")
        self.extend(11)
        self.assert_refused("IntegrityFailed", hand.sign)
        self.assert_integrity_failed(tred, 11)

    def test_a_pcr_that_the_policy_does_not_look_at_may_be_extended_at_any_time(self):
        self.start_segw()
        tred = self.start_tred()
        hand = self.hand().until("agree")
        self.extend(3)
        hand.sign()
        self.assertEqual(tred.get("State"), "ready")

    def test_a_client_is_told_why_it_can_not_connect(self):
        self.start_segw()
        self.extend(7)
        self.start_tred()
        client = self.start_client()
        client.wait_for("PCR 7")

    def test_a_state_signed_for_later_is_taken_up_without_a_restart_or_a_new_key(self):
        gateway, tred = self.start_segw(), self.start_tred()
        key = (self.files / "device.pem").read_bytes()
        self.extend(7)
        self.assert_refused("IntegrityFailed", self.hand().until("agree").sign)
        self.assert_refused("IntegrityFailed", self.hand().begin)
        said = provisioning_tool(self.files, "install-policy",
                                 self.vendor.approve(self.shared.TCTI)).stdout
        self.assertIn("2 platform state(s)", said)
        self.assertIn("is ready", said)
        self.assertEqual(tred.get("State"), "ready")
        self.assertEqual(tred.get("PcrMismatch"), [])
        self.assertEqual((self.files / "device.pem").read_bytes(), key)
        self.start_client().wait_for_state("established")
        gateway.wait_for(r"CHILD_SA net\{\d+\} established")

    def test_states_that_somebody_else_signed_for_are_not_installed(self):
        before = (self.files / "pcr-signatures").read_bytes()
        impostor = Vendor("RSA")
        failed = provisioning_tool(self.files, "install-policy", impostor.approve(self.shared.TCTI),
                                   check=False)
        self.assertNotEqual(failed.returncode, 0)
        self.assertIn("policy key", failed.stdout)
        self.assertEqual((self.files / "pcr-signatures").read_bytes(), before)

    def test_a_new_certificate_is_used_without_a_restart(self):
        tred = self.start_tred()
        before = tred.get("CertificateChain")
        chain = issue_from_csr(self.world.vendor_root, (self.files / "device.csr").read_bytes())
        (self.files / "renewed.pem").write_bytes(chain.pem())
        said = provisioning_tool(self.files, "install-cert", self.files / "renewed.pem").stdout
        self.assertIn("is ready", said)
        self.assertNotEqual(tred.get("CertificateChain"), before)
        self.assertEqual(bytes(tred.get("CertificateChain")[0]), chain.der())

    def test_only_root_has_tred_look_again(self):
        self.start_tred()
        for user, allowed in (("root", True), ("henb-ike", False), ("nobody", False)):
            bus = Connection(user)
            self.addCleanup(bus.close)
            if allowed:
                state, reason = bus.call(TRED, TRED_PATH, MANAGER, "Reload")
                self.assertEqual((state, reason), ("ready", ""))
            else:
                self.assert_refused("org.freedesktop.DBus.Error.AccessDenied", bus.call, TRED,
                                    TRED_PATH, MANAGER, "Reload")

    def test_another_program_that_fills_the_tpm_meanwhile_is_got_over(self):
        """Out of transient slots (TPM_RC_OBJECT_MEMORY) while tred has its key loaded."""
        tred = self.start_tred()
        self.start_segw()
        for _ in range(3):
            try:
                self.shared.tool("tpm2_createprimary", "-c", self.files / "other.ctx")
            except Exception:  # that is when it is full
                break
        hand = self.hand().until("sign")
        self.assertEqual(hand.method, 14)
        self.assertEqual(tred.get("State"), "ready")


class EveryPolicyTest(LabTest):
    """Other keys and signers than the most usual ones."""

    def connect(self, algorithm, signer):
        vendor = Vendor(signer)
        self.starting(self.world.field_tpm.start())
        vendor.approve()
        files = provision(algorithm, self.world.vendor_root, [self.world.operator_root], vendor)
        self.start_segw()
        tred = self.starting(Tred(files)).wait_for_name()
        tred.wait_for_state("ready")
        self.start_client().wait_for_state("established")

    def test_a_p384_key_under_an_rsa_signers_policy_connects(self):
        self.connect("ecdsa-p384", "RSA")

    def test_an_rsa_key_under_an_ecdsa_signers_policy_connects(self):
        self.connect("rsa-2048", "P-256")


class SystemdMeasureTest(LabTest):
    """A kernel image signed for by systemd-measure, and measured as systemd-stub would."""

    def test_a_state_that_systemd_measure_signed_for_is_one_that_tred_takes(self):
        vendor = Vendor("RSA")
        image = vendor.directory / "linux"
        image.write_bytes(b"a kernel")
        self.starting(self.world.field_tpm.start())
        vendor.states.write_text(run([
            "/usr/lib/systemd/systemd-measure", "sign", f"--linux={image}", "--bank=sha256",
            f"--private-key={vendor.private}", f"--public-key={vendor.public}",
            f"--tpm2-device={TCTI}"], namespace=HENB).stdout)
        for measured in (b".linux\0", b"a kernel", b"enter-initrd", b"leave-initrd"):
            digest = hashlib.sha256(measured).hexdigest()
            self.world.field_tpm.tool("tpm2_pcrextend", f"11:sha256={digest}")
        files = provision("ecdsa-p256", self.world.vendor_root, [self.world.operator_root], vendor)
        self.start_segw()
        tred = self.starting(Tred(files)).wait_for_name()
        tred.wait_for_state("ready")
        self.start_client().wait_for_state("established")
        tred.stop()
        self.world.field_tpm.tool("tpm2_pcrextend", f"11:sha256={EXTENSION}")
        tred = self.starting(Tred(files)).wait_for_name()
        self.assertIn("its policy looks at PCR 11", tred.get("StateReason"))
        self.assertEqual(tred.get("State"), "integrity-failed")
