"""Steps 1 to 6 with each kind of key and each form of AUTH: HeNB and SeGW prove who they are."""

import hashlib
import hmac
import struct

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding

from lab import ike
from lab.bus import BusError
from lab.capture import Capture
from lab.case import LabTest
from lab.handclient import HandClient
from lab.network import HENB
from lab.pki import HENB_NAME, SEGW_NAME

RSA_SIGNATURE = 1
OLD_METHODS = "signature_authentication = no"


class AuthenticationTest(LabTest):
    def assert_authenticated(self, gateway, client, scheme):
        self.assertEqual(client.get("SegwIdentity"), SEGW_NAME)
        self.assertIn(f"authentication of '{HENB_NAME}' with {scheme} successful", gateway.log())
        self.assertEqual(gateway.sa_count(), 1)
        self.assertIn("INSTALLED, TUNNEL", gateway.sas())

    def test_an_ecdsa_p256_key_signs_as_rfc_7427_says(self):
        gateway, _, client = self.establish("ecdsa-p256")
        self.assert_authenticated(gateway, client, "ECDSA_WITH_SHA256_DER")

    def test_an_ecdsa_p384_key_signs_as_rfc_7427_says(self):
        gateway, _, client = self.establish("ecdsa-p384",
                                            self.world.segw_credential("ecdsa-p384"))
        self.assert_authenticated(gateway, client, "ECDSA_WITH_SHA384_DER")

    def test_an_rsa_key_signs_with_pss_as_rfc_7427_says(self):
        gateway, _, client = self.establish("rsa-2048", self.world.segw_credential("rsa-2048"))
        self.assert_authenticated(gateway, client, "RSA_EMSA_PSS_SHA2_256_SALT_32")

    def test_an_ecdsa_p256_key_signs_with_method_9_for_an_old_segw(self):
        gateway, _, client = self.establish("ecdsa-p256", segw={"charon": OLD_METHODS})
        self.assert_authenticated(gateway, client, "ECDSA-256 signature")

    def test_an_ecdsa_p384_key_signs_with_method_10_for_an_old_segw(self):
        gateway, _, client = self.establish("ecdsa-p384", self.world.segw_credential("ecdsa-p384"),
                                            segw={"charon": OLD_METHODS})
        self.assert_authenticated(gateway, client, "ECDSA-384 signature")

    def test_an_rsa_key_signs_with_method_1_and_sha_256_for_an_old_segw(self):
        # strongSwan takes method 1 with SHA-1 alone, which TS 33.310 forbids: it refuses us, and
        # what we sign is checked here, with the keys that it logs.
        gateway = self.start_segw(charon=OLD_METHODS, log_keys=True)
        self.start_tred("rsa-2048")
        hand = self.starting(HandClient()).until("sign")
        self.assertEqual(hand.method, RSA_SIGNATURE)
        hand.send_and_receive(hand.auth_request())  # only now does the SeGW derive its keys
        sk_pi, = gateway.secrets()["Sk_pi secret"]
        nonce_r = ike.decode(hand.response).find(ike.NONCE)
        identity = struct.pack("!BBH", hand.id_type, 0, 0) + hand.id_data
        # RFC 7296 2.15
        octets = hand.request + nonce_r + hmac.digest(sk_pi, identity, hashlib.sha256)
        certificate = x509.load_der_x509_certificate(hand.property("CertificateChain")[0])
        certificate.public_key().verify(hand.auth, octets, padding.PKCS1v15(), hashes.SHA256())

    def test_a_segws_method_1_with_sha_1_is_refused(self):
        self.start_segw(self.world.segw_credential("rsa-2048"), charon=OLD_METHODS)
        self.start_tred()
        hand = self.starting(HandClient()).until("authenticate")
        self.assertEqual(hand.answer[ike.AUTH][0], RSA_SIGNATURE)
        with self.assertRaises(BusError) as caught:
            hand.verify()
        self.assertEqual(caught.exception.name, "MethodNotAllowed")
        self.assertIn("SHA-1", caught.exception.text)

    def test_a_henb_and_a_segw_with_keys_of_different_kinds_authenticate(self):
        gateway, _, client = self.establish("ecdsa-p256", self.world.segw_credential("rsa-2048"))
        self.assert_authenticated(gateway, client, "ECDSA_WITH_SHA256_DER")

    def test_an_rsa_ike_auth_is_cut_into_fragments_both_ways(self):
        gateway = self.start_segw(self.world.segw_credential("rsa-2048"))
        self.start_tred("rsa-2048")
        capture = self.starting(Capture(HENB, "udp"))
        self.start_client().wait_for_state("established")
        messages = [(packet.destination_port, ike.decode(packet.ike())) for packet in capture.stop()
                    if packet.ike() and packet.ike()[18] == ike.IKE_AUTH]
        ways = {"to": [m for port, m in messages if port in (500, 4500)],
                "from": [m for port, m in messages if port not in (500, 4500)]}
        for fragments in ways.values():
            self.assertGreaterEqual(len(fragments), 2)
            self.assertEqual({message.first for message in fragments}, {ike.SKF})
        self.assertEqual(gateway.sa_count(), 1)
