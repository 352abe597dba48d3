"""Step 6: who is not the configured SeGW is refused, for the right reason, installing nothing."""

import datetime

from lab.bus import BusError
from lab.case import LabTest
from lab.handclient import HandClient
from lab.pki import DAY, Flaws, issue_segw, make_ca
from lab.process import wait_until
from lab.responder import Responder
from lab.traffic import configuration, has_interface

OTHER_NAME = "other.operator.example"
AUTHENTICATION_FAILED = 24
# With a data plane, so that there is something that must not be installed.
USER_PLANE = {"data-plane": {"mode": "user"}}


class RefusalTest(LabTest):
    def refusal(self, call, *arguments, **named):
        """The BusError with which `call` is refused."""
        with self.assertRaises(BusError) as caught:
            call(*arguments, **named)
        self.assertGreater(len(caught.exception.text), 20, "the error has no sentence for a person")
        return caught.exception


class WrongCertificateTest(RefusalTest):
    def assert_refused(self, error, credential, **segw):
        """ikeclient gives up and tells the SeGW, and tred names the reason."""
        gateway = self.start_segw(credential, **segw)
        self.start_tred(**USER_PLANE)
        before = configuration()
        client = self.start_client()
        # RFC 7296 2.21.2: the responder learns it from an INFORMATIONAL of ours.
        gateway.wait_for(r"parsed INFORMATIONAL request \d+ \[ N\(AUTH_FAILED\) \]")
        client.wait_for_state("idle", "waiting")
        last_error = client.get("LastError")
        self.assertEqual(client.get("Addresses"), [])
        self.assertEqual(gateway.sa_count(), 0)
        self.assertEqual(configuration(), before)
        client.stop()

        self.assertIn(error, last_error)
        self.assert_refused_by_tred(error)

    def assert_refused_by_tred(self, error):
        hand = self.starting(HandClient()).until("authenticate")
        refusal = self.refusal(hand.verify)
        self.assertEqual(refusal.name, error, refusal)
        self.assertEqual(self.refusal(hand.add_child).name, "WrongState")

    def flawed(self, **flaws):
        return issue_segw(self.world.operator_root, flaws=Flaws(**flaws))

    def test_a_certificate_from_another_root_is_refused(self):
        self.assert_refused("PeerNotTrusted", issue_segw(make_ca("Another root")))

    def test_an_impostor_root_of_the_same_name_is_refused(self):
        self.assert_refused("PeerNotTrusted", issue_segw(make_ca("Operator root")))

    def test_an_expired_certificate_is_refused(self):
        self.assert_refused("PeerCertificateExpired",
                            self.flawed(starts=-30 * DAY, ends=-datetime.timedelta(hours=1)))

    def test_a_certificate_that_is_not_yet_valid_is_refused(self):
        self.assert_refused("PeerCertificateNotYetValid", self.flawed(starts=DAY, ends=30 * DAY))

    def test_a_certificate_for_another_fqdn_is_refused(self):
        # ikeclient asks for the name with an IDr of its own, and strongSwan itself then declines;
        # ImpostorTest has one that does not.
        self.start_segw(issue_segw(self.world.operator_root, name=OTHER_NAME), identity=OTHER_NAME)
        self.start_tred()
        self.assert_refused_by_tred("PeerIdentityMismatch")

    def test_a_certificate_without_digital_signature_is_refused(self):
        self.assert_refused("PeerCertificateUnfit", self.flawed(usages=("key_encipherment",)))

    def test_a_ca_certificate_in_the_place_of_the_segws_is_refused(self):
        self.assert_refused("PeerCertificateUnfit", self.flawed(
            is_ca=True, usages=("digital_signature", "key_cert_sign")))

    def test_an_idr_that_is_a_distinguished_name_is_refused(self):
        # strongSwan falls back to the subject when the certificate does not confirm its identity.
        self.start_segw(identity="unconfirmed.operator.example")
        self.start_tred()
        self.assert_refused_by_tred("PeerIdentityMismatch")


class ImpostorTest(LabTest):
    """One who has all that is public of the SeGW, and sits where it should be."""

    SUITE = {"ike": {"proposals": "aes128gcm16-prfsha256-ecp256"},
             "child": {"proposals": "aes128gcm16", "request-address": "ipv4"}}

    def answer_with(self, credential=None, **named):
        impostor = self.starting(Responder(credential or self.world.segw_credential(), **named))
        self.start_tred(**USER_PLANE)
        return impostor, self.start_client(**self.SUITE)

    def assert_refused(self, error, impostor, client):
        wait_until(impostor.told, "word from the client")
        self.assertEqual(impostor.told(), [AUTHENTICATION_FAILED])
        client.wait_for_state("idle", "waiting")
        self.assertIn(error, client.get("LastError"))
        self.assertEqual(client.get("Addresses"), [])
        self.assertFalse(has_interface())

    def test_an_impostor_with_the_segws_certificate_but_not_its_key_is_refused(self):
        self.assert_refused("PeerAuthFailed", *self.answer_with(
            key=issue_segw(self.world.operator_root)))

    def test_an_auth_spoilt_inside_its_sealed_message_is_refused(self):
        self.assert_refused("PeerAuthFailed", *self.answer_with(spoil_auth=True))

    def test_another_host_of_the_operator_under_its_own_name_is_refused(self):
        other = issue_segw(self.world.operator_root, name=OTHER_NAME)
        self.assert_refused("PeerIdentityMismatch", *self.answer_with(other, identity=OTHER_NAME))

    def test_another_host_of_the_operator_under_the_segws_name_is_refused(self):
        other = issue_segw(self.world.operator_root, name=OTHER_NAME)
        self.assert_refused("PeerIdentityMismatch", *self.answer_with(other))

    def test_the_impostor_would_be_taken_if_it_had_the_key(self):
        # So the others are refused for what they are said to be.
        _, client = self.answer_with()
        client.wait_for_state("established")
        self.assertTrue(has_interface())


class AtOnceTest(LabTest):
    """What comes in clear is said when it comes, and not when the patience for a better answer is over."""

    PATIENT = {"retransmit-timeout": "60000", "retransmit-tries": "1"}

    def test_no_proposal_chosen_is_said_at_once_with_the_time_that_a_better_answer_is_waited_for(self):
        self.start_segw(proposals="aes256gcm16-prfsha384-ecp384")
        self.start_tred()
        client = self.start_client(ike={"proposals": "aes128gcm16-prfsha256-ecp256"},
                                   connection=self.PATIENT)
        client.wait_for(r"NO_PROPOSAL_CHOSEN \(14\): .*compare \[ike\].*Nobody vouches .* 60\.0 s in all")
        self.assertEqual(client.get("State"), "connecting")

    def test_a_port_where_nobody_listens_is_said_at_once(self):
        self.start_tred()
        client = self.start_client(connection=self.PATIENT)
        client.wait_for(r"192\.0\.2\.1:500: Connection refused.*waited for")
        self.assertEqual(client.get("State"), "connecting")

    def test_a_rekey_that_is_refused_is_said(self):
        gateway, _, client = self.establish(child={"pfs": "yes"})
        gateway.control("--rekey", "--child", "net")  # without a key exchange of its own
        client.wait_for("wants to rekey a Child SA, and is answered NO_PROPOSAL_CHOSEN")
