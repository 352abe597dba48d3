"""Step 6 in full: what trectl check-peer says of a flawed SeGW, a real handshake says, too."""

import sys
from datetime import timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509 import ocsp
from cryptography.x509.oid import ExtendedKeyUsageOID

from lab.bus import BusError, Connection, Recording
from lab.case import LabTest
from lab.handclient import HandClient
from lab.pki import HENB_NAME, SEGW_NAME, Credential, Flaws, issue, issue_segw
from lab.process import scratch, wait_until
from lab.programs import MANAGER, TRED, TRED_PATH
from lab.responder import Responder

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "matrix"))
import matrix  # noqa: E402  (the folder is none of ours)
from authority import MINUTE, answer, crl  # noqa: E402

REVOKED = ocsp.OCSPCertStatus.REVOKED
X509_SIGNATURE, OCSP_CONTENT = 4, 14  # encodings of CERT and CERTREQ

# What strongSwan can be made to show: it needs the private key, and loads no certificate with an
# unknown critical extension and no CA that is none. The rest goes through check-peer alone.
IN_A_HANDSHAKE = (
    "an RSA exponent of 3",
    "65 names",
    "another root",
    "another root of the same name",
    "an expired certificate",
    "a certificate of the future",
    "an expired intermediate",
    "an issuer without keyCertSign",
    "a name outside the permitted subtrees",
    "a name inside an excluded subtree",
    "a policy that a CA requires is missing",
    "a CA whose basicConstraints is not critical",
    "a CA without keyUsage, which an anchor may be",
    "a hash that the profile lacks",
    "a CA in the place of the SeGW",
    "no keyUsage",
    "a keyUsage without digitalSignature",
    "an extKeyUsage that forbids IKE",
    "a wildcard that would match",
    "another name",
    "a revoked certificate",
    "no CRL where one is required",
    "a CRL past its nextUpdate",
    "a forged CRL",
)


def credential_of(shown):
    """As the lab's SeGW takes it. Its issuers are what it sends along; the last is the root."""
    chain = [Credential(holder.certificate, holder.key, (None,)) for holder in shown.chain]
    return Credential(shown.certificate.certificate, shown.certificate.key,
                      (*chain, Credential(matrix.WORLD.root.certificate)))


def trust_of(shown):
    """tred.conf's [segw] for what is shown, its files written."""
    folder = scratch("trust")
    crls = folder / "crls"
    crls.mkdir(mode=0o755)
    for number, pem in enumerate(shown.crls):
        (crls / f"{number}.pem").write_bytes(pem)
    (folder / "anchors.pem").write_bytes(b"".join(anchor.pem() for anchor in shown.anchors))
    (folder / "profile.conf").write_text(shown.profile)
    return {"anchors": folder / "anchors.pem", "profile": folder / "profile.conf",
            "crl-directory": crls, "revocation": shown.revocation}


class HandshakeMatrixTest(LabTest):
    """With strongSwan as the SeGW."""

    def refusal_of(self, shown):
        """The sentence that VerifyPeer gives; None if it takes the SeGW."""
        self.start_segw(credential_of(shown))
        self.start_tred(segw=trust_of(shown))
        hand = self.starting(HandClient()).until("authenticate")
        try:
            hand.verify()
        except BusError as error:
            return error.text
        return None

    def test_the_sound_segw_of_the_matrix_is_taken(self):
        self.assertIsNone(self.refusal_of(matrix.sound()))

    def test_the_sound_segw_with_its_crls_is_taken(self):
        shown = matrix.revocation([crl(matrix.WORLD.intermediate)])
        self.assertIsNone(self.refusal_of(shown))


def add_handshake_tests(case):
    def bad(self):
        self.assertIn(f"check {case.rule})", self.refusal_of(case.bad) or "taken")

    def good(self):
        self.assertIsNone(self.refusal_of(case.good))

    title = case.title.replace(" ", "_")
    setattr(HandshakeMatrixTest, f"test_{title}_is_refused", bad)
    setattr(HandshakeMatrixTest, f"test_the_good_twin_of_{title}_is_taken", good)


FOUND = [case for case in matrix.cases() if case.title in IN_A_HANDSHAKE]
assert len(FOUND) == len(IN_A_HANDSHAKE), "the matrix has no such cases"
for found in FOUND:
    add_handshake_tests(found)


class SegwKeyTest(LabTest):
    """What the SeGW's AUTH may be signed with; strongSwan takes PKCS#1 v1.5 unless told."""

    PSS = "rsa_pss = yes"

    def verify(self, algorithm, charon="", profile=""):
        self.start_segw(issue_segw(self.world.operator_root, algorithm), charon=charon)
        file = scratch("profile") / "profile.conf"
        file.write_text(profile)
        self.start_tred(segw={"profile": file})
        return self.starting(HandClient()).until("authenticate").verify()

    def test_an_rsa_key_of_4096_bits_verifies_with_pss(self):
        self.assertEqual(self.verify("rsa-4096", self.PSS), SEGW_NAME)

    def test_an_rsa_key_of_3072_bits_verifies_with_pkcs1_v1_5(self):
        self.assertEqual(self.verify("rsa-3072"), SEGW_NAME)

    def test_pkcs1_v1_5_is_refused_where_the_profile_forbids_it(self):
        with self.assertRaises(BusError) as caught:
            self.verify("rsa-2048", profile="[auth]\nrsa-pkcs1 = no\n")
        self.assertEqual(caught.exception.name, "MethodNotAllowed")

    def test_pss_is_taken_where_the_profile_forbids_pkcs1_v1_5(self):
        self.assertEqual(self.verify("rsa-2048", self.PSS, "[auth]\nrsa-pkcs1 = no\n"), SEGW_NAME)


class ResponderTest(LabTest):
    """With a SeGW by hand, for what strongSwan does not send: OCSP in IKE (RFC 4806), and too much."""

    def answer_with(self, shown, *responses, **options):
        """A responder with the key of the matrix' sound SeGW, and the client."""
        responder = self.starting(Responder(credential_of(shown), ocsp=responses, **options))
        self.trust = trust_of(shown)
        self.tred = self.start_tred(segw=self.trust)
        client = self.start_client(
            ike={"proposals": "aes128gcm16-prfsha256-ecp256"},
            child={"proposals": "aes128gcm16", "request-address": "ipv4"})
        return responder, client

    def assert_refused(self, error, *responses, shown=None):
        responder, client = self.answer_with(shown or matrix.revocation(), *responses)
        wait_until(responder.told, "word from the client")
        client.wait_for_state("idle", "waiting")
        self.assertIn(error, client.get("LastError"))

    def test_a_good_ocsp_response_in_ike_is_asked_for_and_taken(self):
        responder, client = self.answer_with(matrix.revocation(), answer(matrix.WORLD.segw))
        client.wait_for_state("established")
        self.assertEqual(responder.asked_for(), [X509_SIGNATURE, OCSP_CONTENT])

    def test_where_no_dns_server_is_given_none_is_named(self):
        _, client = self.answer_with(matrix.sound())
        client.wait_for(r"ESP \S+, address [0-9.]+/32, to ")

    def test_an_ocsp_response_in_ike_by_a_delegated_responder_is_taken(self):
        delegate = matrix.issue("Responder", matrix.WORLD.intermediate, (
            matrix.key_usage("digital_signature"), (matrix.NOCHECK, False),
            matrix.extended_usage(ExtendedKeyUsageOID.OCSP_SIGNING)))
        _, client = self.answer_with(matrix.revocation(),
                                     answer(matrix.WORLD.segw, responder=delegate))
        client.wait_for_state("established")

    def test_a_ninth_certificate_in_ike_is_passed_over(self):
        ninth, = (case for case in matrix.form_cases() if case.title == "a ninth certificate")
        _, client = self.answer_with(ninth.bad)
        client.wait_for_state("established")

    def test_a_ninth_ocsp_response_in_ike_is_passed_over(self):
        _, client = self.answer_with(matrix.revocation(), *[answer(matrix.WORLD.segw)] * 9)
        client.wait_for_state("established")

    def test_a_forged_answer_to_ike_sa_init_costs_no_wait(self):
        """RFC 7296 2.4: both are followed up; waiting for the forger alone would take a minute."""
        self.starting(Responder(credential_of(matrix.sound()), forge=True))
        tred = self.start_tred(segw=trust_of(matrix.sound()))
        client = self.start_client(ike={"proposals": "aes128gcm16-prfsha256-ecp256"},
                                   child={"proposals": "aes128gcm16", "request-address": "ipv4"},
                                   connection={"retransmit-timeout": "60000"})
        client.wait_for_state("established")
        self.assertIn("a fork of exchange 1", tred.output())
        wait_until(lambda: "Exchange 1 is closed by its owner" in tred.output(), "the forger's end")
        self.assertNotIn("not connected", client.output())

    def test_much_that_is_not_needed_is_passed_over_and_said_once(self):
        """In IKE_SA_INIT and IKE_AUTH: Vendor IDs, notifies, CERTs of another encoding, a CERTREQ of no whole
        hash, selectors, addresses, DNS servers, attributes."""
        _, client = self.answer_with(matrix.sound(), crowd=True)
        client.wait_for_state("established")
        said = [line for line in client.output().splitlines() if "passed over" in line]
        self.assertEqual(len(said), 1, said)
        for what in ("CERT payloads that are neither", "payloads", "traffic selectors", "addresses",
                     "DNS servers", "configuration attributes"):
            self.assertRegex(said[0], rf"[1-9]\d* {what}")
        self.assertEqual(len(client.get("Addresses")), 2)
        self.assertEqual(len(client.get("DnsServers")), 8)

    def test_an_ocsp_response_in_ike_that_revokes_is_heeded(self):
        self.assert_refused("PeerRevoked", answer(matrix.WORLD.segw, status=REVOKED))

    def test_an_sa_goes_whose_path_was_revoked_though_another_lacks_no_more_than_a_word(self):
        """It was taken by the CA's certificate of one root, and the other root says nothing."""
        key = ec.generate_private_key(ec.SECP256R1())
        root, other = matrix.WORLD.root, matrix.WORLD.stranger
        by_root, by_other = (matrix.ca("Shared", issuer, key=key) for issuer in (root, other))
        _, client = self.answer_with(matrix.Shown(
            matrix.segw(by_root), by_root, by_other, anchors=[root, other],
            profile="[path]\ncross-certificates = yes\n", revocation="require",
            crls=[crl(root), crl(by_root)]))
        client.wait_for_state("established")
        (self.trust["crl-directory"] / "0.pem").write_bytes(crl(root, by_root.serial, this=-MINUTE))
        connection = Connection("root")
        self.addCleanup(connection.close)
        connection.call(TRED, TRED_PATH, MANAGER, "Reload")
        self.tred.wait_for("is closed: The SeGW would not be taken any more. .*CN=Shared.*revoked on ", 30.0)

    def test_no_ocsp_response_in_ike_is_refused_where_one_is_required(self):
        self.assert_refused("PeerRevocationUnknown")

    def test_a_forged_ocsp_response_in_ike_is_refused(self):
        self.assert_refused("PeerRevocationUnknown", answer(matrix.WORLD.segw, forged=True))


class ExpiryTest(LabTest):
    BRIEF = Flaws(ends=timedelta(seconds=10))

    def setUp(self):
        super().setUp()
        self.recording = Recording()
        self.addCleanup(self.recording.stop)

    def assert_closed(self, tred):
        """Said ahead of time, and done."""
        tred.wait_for("has expired", 20.0)
        self.assertIn("expires soon", tred.output())
        for signal in (b"ExpiresSoon", b"A certificate that it rests on has expired"):
            wait_until(lambda: signal in self.recording.path.read_bytes(), signal)

    def test_the_client_authenticates_anew_before_the_segws_certificate_expires(self):
        # What is left of it when the SA is there must do for another, on a machine that has much to do.
        gateway, tred, client = self.establish(
            credential=issue_segw(self.world.operator_root, flaws=Flaws(ends=timedelta(seconds=20))),
            connection={"reconnect": "no"})
        gateway.replace_credential(issue_segw(self.world.operator_root))
        wait_until(lambda: tred.output().count(f"SeGW {SEGW_NAME} verified") == 2, "another SA", 60.0)
        client.wait_for("the IKE SA that was replaced is gone")
        self.assertEqual(client.get("State"), "established")
        self.assertIn("expires soon", tred.output())
        self.assertNotIn("the connection has ended", client.output())

    def test_an_exchange_is_closed_when_the_devices_own_certificate_expires(self):
        self.world.tpm.start()
        device = self.world.device("ecdsa-p256")
        self.world.tpm.stop()
        lasting = x509.load_pem_x509_certificate((device / "device.crt").read_bytes())
        brief = issue(self.world.vendor_root, HENB_NAME, lasting.public_key(),
                      ExtendedKeyUsageOID.CLIENT_AUTH, self.BRIEF)
        certificates = scratch("brief") / "device.crt"
        certificates.write_bytes(brief.pem())
        _, tred, client = self.establish(tred={"identity": {"certificates": certificates}})
        self.assert_closed(tred)
        client.wait_for_state("idle", "waiting")
