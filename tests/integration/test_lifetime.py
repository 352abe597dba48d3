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

    AUTH_LIFETIME, INTERNAL_IP4_ADDRESS = 16403, 1
    SECONDS = (12).to_bytes(4, "big")

    def assert_renewed(self, old, new):
        """IKE SA `new` is there before `old` is deleted, with the address that is there already; packets cross by the
        Child SA of each while it is."""
        self.segw.expect(rf"request {new} 1 {AUTH} ")
        child = self.segw.expect(r"child (\w+) ")[1]
        self.ping(child)
        self.segw.expect(rf"request {old} \d+ {INFORMATIONAL} delete-ike")
        self.assert_one_left(new, child)
        self.assertNotIn("stray", self.segw.output())
        requests = re.findall(rf"(?m)^request \d+ 1 {AUTH} .*", self.segw.output())
        self.assertEqual([f"notify={INITIAL_CONTACT}" in each for each in requests],
                         [number == 0 for number in range(len(requests))])
        wanted = re.findall(rf"(?m)^ATTRIBUTE {self.INTERNAL_IP4_ADDRESS} value=(\w*)$", self.segw.output())
        self.assertEqual(wanted, [""] + ["0ad20001"] * (len(requests) - 1))
        self.assertNotIn("the connection has ended", self.client.output())

    def test_a_limit_in_ike_auth_leads_to_a_new_authentication_in_time_and_then_again(self):
        self.tunnel(segw={"notifies": {self.AUTH_LIFETIME: self.SECONDS}})
        self.assert_renewed(1, 2)
        self.assert_renewed(2, 3)

    def test_a_limit_on_an_established_ike_sa_leads_to_a_new_authentication_in_time(self):
        self.tunnel()
        self.segw_asks("inform", 1, f"{self.AUTH_LIFETIME}={self.SECONDS.hex()}")
        self.assert_renewed(1, 2)

    def test_a_limit_is_that_of_an_ike_sa_that_was_rekeyed_too(self):
        self.tunnel(segw={"notifies": {self.AUTH_LIFETIME: self.SECONDS}})
        self.segw_asks("rekey-ike", 1, 19)
        self.segw_asks("delete-ike", 1)
        self.assert_renewed(2, 3)
