"""An authentication that ends is renewed in time, and there is a tunnel all the while."""

from lab.case import LabTest
from lab.network import HENB, INNER_IPV4
from lab.process import wait_until
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
