"""An authentication that ends is renewed in time, and there is a tunnel all the while."""

import re

from lab.case import LabTest
from lab.network import HENB, INNER_IPV4
from lab.process import wait_until
from lab.scripted import AUTH, INFORMATIONAL, INITIAL_CONTACT, ScriptedTest
from lab.traffic import Pings, ping

USER = {"data-plane": {"mode": "user"}}
# The responder can't authenticate anew by itself, and says so with AUTH_LIFETIME.
LIMITED = "reauth_time = 12s\n    over_time = 8s\n    rand_time = 0s"


class LifetimeTest(LabTest):
    def test_the_segws_limit_leads_to_a_new_authentication_in_time(self):
        gateway, _, client = self.establish(
            segw={"connection": LIMITED}, tred=USER)
        self.assertIn("N(AUTH_LFT)", gateway.log())
        pings = self.starting(Pings(INNER_IPV4))
        client.wait_for("this authentication is about to end", 15.0)
        wait_until(lambda: client.output().count("established  ") == 2, "another IKE SA")
        wait_until(lambda: gateway.sa_count() == 1, "the first one to be gone", 20.0)
        sent, lost = pings.stop()
        # This SeGW has another one for who comes from another port.
        gateway.wait_for("peer requested virtual IP 10.210.0.1")
        self.assertNotIn("the connection has ended", client.output())
        self.assertEqual(ping(HENB, INNER_IPV4), 1)
        self.assertLessEqual(len(lost), 5, f"of {sent}: {lost}")


class ScriptedLifetimeTest(ScriptedTest):
    """RFC 4478 by a SeGW by hand, which can't say no more than that."""

    AUTH_LIFETIME, ADDITIONAL_IP4_ADDRESS, INTERNAL_IP4_ADDRESS = 16403, 16397, 1
    SECONDS = (12).to_bytes(4, "big")

    def expect_new(self, number):
        """The next IKE SA, and packets cross by its Child SA."""
        self.segw.expect(rf"request {number} 1 {AUTH} ")
        self.ping(self.segw.expect(r"child (\w+) ")[1])

    def expect_gone(self, number):
        """The first of them; and nobody was without a tunnel, or asked for another address."""
        self.segw.expect(rf"request {number} \d+ {INFORMATIONAL} delete-ike")
        self.assertNotIn("stray", self.segw.output())
        requests = re.findall(rf"(?m)^request \d+ 1 {AUTH} .*", self.segw.output())
        self.assertEqual([f"notify={INITIAL_CONTACT}" in each for each in requests],
                         [number == 0 for number in range(len(requests))])
        for request in requests:  # the address in the tunnel is none of the host's other ones
            self.assertIn(f"notify={self.ADDITIONAL_IP4_ADDRESS} ", request)
            self.assertNotIn("data=0ad20001", request)
        wanted = re.findall(rf"(?m)^ATTRIBUTE {self.INTERNAL_IP4_ADDRESS} value=(\w*)$", self.segw.output())
        self.assertEqual(wanted, [""] + ["0ad20001"] * (len(requests) - 1))
        self.assertNotIn("the connection has ended", self.client.output())

    def test_a_limit_in_ike_auth_leads_to_a_new_authentication_in_time_and_then_again(self):
        self.tunnel(segw={"notifies": {self.AUTH_LIFETIME: self.SECONDS}})
        self.expect_new(2)
        self.expect_new(3)
        self.expect_gone(1)

    def test_a_limit_on_an_established_ike_sa_leads_to_a_new_authentication_in_time(self):
        self.tunnel()
        self.segw_asks("inform", 1, f"{self.AUTH_LIFETIME}={self.SECONDS.hex()}")
        self.expect_new(2)
        self.expect_gone(1)
        self.assert_one_left(2)

    def test_a_limit_is_that_of_an_ike_sa_that_was_rekeyed_too(self):
        self.tunnel(segw={"notifies": {self.AUTH_LIFETIME: self.SECONDS}})
        self.segw_asks("rekey-ike", 1, 19)
        self.segw_asks("delete-ike", 1)
        self.expect_new(3)
        self.expect_gone(2)
