"""A SeGW sends the HeNB to another one (RFC 5685), which has to prove the same name."""

import ipaddress

from lab.case import LabTest
from lab.nameserver import NameServer
from lab.network import SEGW_BEYOND_NAT, SEGW_IPV4, SEGW_IPV6
from lab.pki import issue_segw
from lab.process import wait_until
from lab.responder import Responder, ScriptedSegw
from lab.scripted import AUTH, INFORMATIONAL, ScriptedTest

REDIRECT_SUPPORTED, REDIRECT, REDIRECTED_FROM = 16406, 16407, 16408


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


def gateway(address):
    """The identity of a new SeGW (RFC 5685 11)."""
    return bytes((1, 4)) + ipaddress.ip_address(address).packed


def named(name):
    """The same by its name."""
    return bytes((3, len(name))) + name.encode()


class ScriptedRedirectTest(ScriptedTest):
    """From one SeGW by hand to another one."""

    def both(self, there=None, connection=None, **segw):
        """The first SeGW, as `segw` has it, and another one, which shows the credential `there`."""
        self.there = self.starting(ScriptedSegw(there or self.world.segw_credential(), address=SEGW_BEYOND_NAT))
        self.parts(segw, connection=connection or {})

    def assert_there(self):
        """The tunnel is the other SeGW's, which was told by whom the HeNB was sent."""
        self.client.wait_for_state("established", seconds=30.0)
        wait_until(lambda: SEGW_BEYOND_NAT in self.client.get("SegwAddress"), "the other SeGW", 30.0)
        said = self.there.expect(r"init .*")[0]
        self.assertIn(f"notify={REDIRECTED_FROM} data={gateway(SEGW_IPV4).hex()}", said)
        self.assertNotIn(f"notify={REDIRECT_SUPPORTED}", said)
        child = self.there.expect(r"child (\w+) ")[1]
        self.there.tell("ping", child, 3)
        for number in (1, 2, 3):
            self.there.expect(rf"pong {child} {number}$")
        wait_until(lambda: len(self.tred.exchanges()) == 1, "one IKE SA", 30.0)

    def test_a_redirection_in_ike_sa_init_is_followed(self):
        self.both(detours=[f"redirect={SEGW_BEYOND_NAT}"])
        self.assertIn(f"notify={REDIRECT_SUPPORTED}", self.segw.expect(r"init .*")[0])
        self.assert_there()
        self.assertNotIn(" 35 ", self.segw.output())  # nobody was authenticated here

    def test_a_redirection_in_ike_sa_init_with_another_nonce_is_not_followed(self):
        self.both(detours=[f"stale={SEGW_BEYOND_NAT}"])
        self.client.wait_for_state("established", seconds=30.0)
        self.assertIn(SEGW_IPV4, self.client.get("SegwAddress"))
        self.assertNotIn("init", self.there.output())

    def test_a_redirection_in_ike_sa_init_to_somebody_else_ends_at_our_policy(self):
        self.both(there=issue_segw(self.world.vendor_root), detours=[f"redirect={SEGW_BEYOND_NAT}"])
        self.there.expect(rf"request 1 1 {AUTH} ")
        self.client.wait_for_state("idle", seconds=30.0)
        self.assertIn("the SeGW did not verify", self.client.get("LastError"))
        wait_until(lambda: self.tred.exchanges() == [], "tred without an IKE SA", 30.0)

    def test_five_redirections_are_followed_and_no_sixth(self):
        self.both(detours=[f"redirect={SEGW_IPV4}"] * 8)
        for _ in range(6):
            self.segw.expect(r"init ")
        self.client.wait_for_state("idle", seconds=30.0)
        self.assertIn("after 5 redirections within 300 s", self.client.get("LastError"))
        self.assertEqual(self.segw.output().count("init "), 6)

    def test_a_redirection_in_ike_auth_without_a_child_is_followed(self):
        self.both(childless=True, notifies={REDIRECT: gateway(SEGW_BEYOND_NAT)})
        self.segw.expect(rf"request 1 \d+ {INFORMATIONAL} delete-ike")
        self.assert_there()
        self.assertEqual(self.segw.left(), ({}, set()))

    def test_a_redirection_of_an_established_ike_sa_is_followed_and_the_first_goes_after_it(self):
        self.both()
        self.client.wait_for_state("established", seconds=30.0)
        self.segw.tell("hold")  # the Delete
        self.segw_asks("inform", 1, f"{REDIRECT}={gateway(SEGW_BEYOND_NAT).hex()}")
        child = self.there.expect(r"child (\w+) ")[1]
        self.segw.expect(rf"request 1 \d+ {INFORMATIONAL} delete-ike")
        self.segw.tell("release")
        self.assertEqual(self.segw.left(), ({}, set()))
        self.there.tell("ping", child, 1)
        self.there.expect(rf"pong {child} 1$")
        self.assertNotIn("the connection has ended", self.client.output())
        self.there.read = 0
        self.assert_there()

    def test_a_redirection_in_ike_auth_to_a_name_is_followed(self):
        self.starting(NameServer({"there.example": [SEGW_BEYOND_NAT]}))
        self.both(childless=True, notifies={REDIRECT: named("there.example")})
        self.assert_there()

    def test_a_redirection_of_an_established_ike_sa_to_a_name_is_followed(self):
        self.starting(NameServer({"there.example": [SEGW_BEYOND_NAT]}))
        self.both()
        self.client.wait_for_state("established", seconds=30.0)
        self.segw_asks("inform", 1, f"{REDIRECT}={named('there.example').hex()}")
        self.assert_there()

    def test_an_established_ike_sa_stays_where_nobody_is_at_the_address_or_name_that_it_is_sent_to(self):
        self.starting(NameServer({}))
        self.tunnel(connection={"retransmit-timeout": "200", "retransmit-tries": "2"})
        nowhere = bytes((2, 16)) + ipaddress.ip_address(SEGW_IPV6).packed, named("nobody.example")
        for count, there in enumerate(nowhere, 1):
            self.segw_asks("inform", 1, f"{REDIRECT}={there.hex()}")
            wait_until(lambda count=count: self.client.output().count("no second connection: ") == count, "its failure", 30.0)
            self.assert_one_left(1, self.old_spi())

    def test_an_established_ike_sa_stays_where_the_other_segw_is_somebody_else(self):
        self.both(there=issue_segw(self.world.vendor_root))
        self.client.wait_for_state("established", seconds=30.0)
        self.old, = self.segw.left()[1]
        self.segw_asks("inform", 1, f"{REDIRECT}={gateway(SEGW_BEYOND_NAT).hex()}")
        self.there.expect(rf"request 1 1 {AUTH} ")
        self.client.wait_for("no second connection: the SeGW did not verify")
        self.assert_one_left(1, self.old_spi())
