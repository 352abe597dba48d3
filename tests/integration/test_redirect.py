"""A SeGW sends the HeNB to another one (RFC 5685), which has to prove the same name."""

import ipaddress

from lab.case import LabTest
from lab.network import SEGW_BEYOND_NAT
from lab.pki import issue_segw
from lab.process import wait_until
from lab.responder import Responder

REDIRECT = 16407


class RedirectTest(LabTest):
    def test_a_redirection_of_an_established_ike_sa_is_followed_without_a_gap(self):
        gateway, _, client = self.establish(connection={"reconnect": "yes"})
        self.assertIn("N(REDIR_SUP)", gateway.log())
        gateway.control("--redirect", "--ike", "henb", "--gateway", SEGW_BEYOND_NAT)
        wait_until(lambda: SEGW_BEYOND_NAT in client.get("SegwAddress"), "the other SeGW")
        client.wait_for_state("established")
        self.assertIn("N(REDIR_FROM)", gateway.log())
        wait_until(lambda: gateway.sa_count() == 1, "one IKE SA", 20.0)
        self.assertNotIn("the connection has ended", client.output())

    def test_a_redirection_in_ike_auth_is_followed_once_the_segw_is_verified(self):
        there = bytes((1, 4)) + ipaddress.ip_address(SEGW_BEYOND_NAT).packed
        self.starting(Responder(self.world.segw_credential(), notifies={REDIRECT: there}))
        self.start_tred()
        client = self.start_client(connection={"retransmit-timeout": "200", "retransmit-tries": "2"})
        client.wait_for("step 6 TrE's check of the SeGW .* verified")
        client.wait_for(f"step 1 IKE_SA_INIT request .* to {SEGW_BEYOND_NAT}:500")
        client.wait_for_state("idle")
        self.assertEqual(client.output().count("step 1 "), 2)  # nobody is there, and that is all

    def test_a_redirection_of_somebody_else_is_not_followed(self):
        there = bytes((1, 4)) + ipaddress.ip_address(SEGW_BEYOND_NAT).packed
        stranger = issue_segw(self.world.vendor_root)
        self.starting(Responder(stranger, notifies={REDIRECT: there}))
        self.start_tred()
        client = self.start_client()
        client.wait_for_state("idle")
        self.assertNotIn(f"to {SEGW_BEYOND_NAT}", client.output())
