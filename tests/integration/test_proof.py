"""A certificate says that a key is in a TPM, under its policy, only after that was shown."""

import hashlib

from lab.anchors import AnchorSigner
from lab.case import LabTest
from lab.pki import HENB_NAME, make_ca
from lab.process import BIN, run, scratch
from lab.programs import Tred, provision_step, provisioning_tool
from lab.station import TpmVendor
from lab.tpm import Tpm
from lab.vendor import Vendor

EXTENSION = hashlib.sha256(b"the factory's firmware").hexdigest()


class Factory:
    """The authority's side: the key that certifies devices, and what it asks of them. No TPM."""

    def __init__(self, ca, ek_anchors, vendor):
        self.directory = scratch("authority")
        self.ek_anchors, self.vendor = ek_anchors, vendor
        (self.directory / "ca.pem").write_bytes(ca.pem())
        (self.directory / "ca-key.pem").write_bytes(ca.key_pem())

    def run(self, *arguments, check=True):
        return run([BIN / "tre-provision", *arguments], check=check)

    def challenge(self, request, check=True):
        return self.run("challenge", request, "--ek-anchors", self.ek_anchors,
                        "--policy-key", self.vendor.public, check=check)

    def issue(self, request, response, check=True):
        return self.run("issue", request, response, "--ca-certificate", self.directory / "ca.pem",
                        "--ca-key", self.directory / "ca-key.pem", "--days", "30", check=check)


class ProofTest(LabTest):
    """A device with a certified TPM, its key under the vendor's policy, and no certificate yet."""

    def setUp(self):
        super().setUp()
        self.vendor = Vendor()
        self.tpm_vendor = TpmVendor()
        self.tpm = self.new_tpm()
        self.vendor.approve()
        self.inbox, self.state = scratch("inbox"), scratch("factory") / "state"
        self.signer = AnchorSigner()
        self.make_key(self.state, self.vendor)
        ek_anchors = self.message("tpm-vendor.pem", self.tpm_vendor.root_pem().decode())
        self.factory = Factory(self.world.vendor_root, ek_anchors, self.vendor)

    def new_tpm(self):
        return self.starting(Tpm(self.tpm_vendor.make(scratch("tpm") / "state")).start())

    def make_key(self, state, vendor):
        for step in ("storage-root-key", "platform-policy", "device-key", "csr"):
            provision_step(state, vendor.profile(self.inbox, "ecdsa-p256",
                                                 {"operator-key": self.signer.public}), step)

    def guard_anchors(self):
        bundle = self.signer.sign(1, [self.world.operator_root], "--first")
        profile = self.vendor.profile(self.inbox, "ecdsa-p256",
                                      {"file": bundle, "operator-key": self.signer.public})
        for step in ("nv-index", "last-known-time", "anchors"):
            provision_step(self.state, profile, step)

    def message(self, name, text):
        path = self.inbox / name
        path.write_text(text)
        return path

    def request(self, state=None):
        done = provisioning_tool(state or self.state, "--serial", "SN-1", "request")
        return self.message("request.json", done.stdout)

    def activate(self, challenge, check=True):
        return provisioning_tool(self.state, "activate", self.message("challenge.json", challenge),
                                 check=check)

    def assert_refused(self, done, words):
        self.assertEqual(done.returncode, 1)
        self.assertIn(words, done.stdout)
        self.assertNotIn("BEGIN CERTIFICATE", done.stdout)

    def test_a_device_that_has_proven_its_key_connects(self):
        request = self.request()
        response = self.activate(self.factory.challenge(request).stdout).stdout
        issued = self.factory.issue(request, self.message("response.json", response)).stdout
        provisioning_tool(self.state, "install-cert", self.message("device.pem", issued))
        self.guard_anchors()

        gateway = self.start_segw()
        tred = self.starting(Tred(self.state)).wait_for_name()
        self.assertEqual(tred.get("Identity"), HENB_NAME)
        self.start_client().wait_for_state("established")
        gateway.wait_for(r"CHILD_SA net\{\d+\} established")

    def test_the_proof_needs_no_platform_state_that_was_signed_for(self):
        request = self.request()
        self.tpm.tool("tpm2_pcrextend", f"7:sha256={EXTENSION}")
        response = self.activate(self.factory.challenge(request).stdout).stdout
        issued = self.factory.issue(request, self.message("response.json", response)).stdout
        self.assertIn("BEGIN CERTIFICATE", issued)

    def test_a_key_under_another_vendors_policy_gets_no_challenge(self):
        other, state = Vendor(), scratch("factory") / "state"
        other.approve()
        self.make_key(state, other)
        self.assert_refused(self.factory.challenge(self.request(state), check=False),
                            "the device key has another policy than the one that is asked for")

    def test_a_tpm_whose_vendor_is_not_trusted_gets_no_challenge(self):
        self.factory.ek_anchors = self.message("other.pem", make_ca("Other TPMs").pem().decode())
        self.assert_refused(self.factory.challenge(self.request(), check=False),
                            "the EK certificate has no chain to a root of the TPM vendors")

    def test_another_tpm_can_not_answer_and_its_guess_issues_nothing(self):
        request = self.request()
        challenge = self.factory.challenge(request).stdout
        answer = self.activate(challenge).stdout
        self.tpm.stop()
        self.new_tpm()
        provisioning_tool(self.state, "step", "storage-root-key")
        self.assert_refused(self.activate(challenge, check=False),
                            "not made under this TPM's storage root key")
        secret = answer.split('"secret":"')[1].split('"')[0]
        guess = self.message("response.json", answer.replace(secret, "A" * 43 + "="))
        self.assert_refused(self.factory.issue(request, guess, check=False),
                            "the secret in the response is not the challenge's")
