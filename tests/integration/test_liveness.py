"""A SeGW that is gone is noticed in the time that was configured, and so is ESP that does not come."""

import re

from lab.case import LabTest
from lab.network import HENB, INNER_IPV4, NAT, SEGW_BEYOND_NAT
from lab.process import run, wait_until
from lab.programs import Operator
from lab.traffic import Pings, ping

USER = {"data-plane": {"mode": "user"}}
NAT_INSIDE_HENB = "172.16.0.2"

# The mapping of that port has been forgotten for ESP; IKE finds its way.
_DEAF = """
table ip deaf {{
  chain forward {{
    type filter hook forward priority filter
    udp sport 4500 udp dport {port} @th,64,32 != 0 drop
  }}
}}
"""


class LivenessTest(LabTest):
    def test_a_segw_that_vanished_is_lost_long_before_all_tries_are_made(self):
        gateway, _, client = self.establish(connection={"liveness": "2", "retransmit-tries": "12"})
        gateway.process.kill()
        client.wait_for("the SeGW does not answer any more")
        client.wait_for_state("idle")

    def deaf(self, mobike):
        """A tunnel through a NAT that has forgotten it, for ESP."""
        parts = self.establish(tred=USER, segw={"mobike": mobike}, segw_section={"address": SEGW_BEYOND_NAT},
                               connection={"liveness": "4", "reconnect": "yes"})
        self.assertEqual(ping(HENB, INNER_IPV4), 1)
        sockets = run(["ss", "-Huan"], namespace=HENB).stdout
        port = re.search(rf"{re.escape(NAT_INSIDE_HENB)}:(\d+)", sockets)[1]
        self.addCleanup(run, ["nft", "delete", "table", "ip", "deaf"], namespace=NAT)
        run(["nft", "-f", "-"], namespace=NAT, stdin=_DEAF.format(port=port))
        return *parts, self.starting(Pings(INNER_IPV4))

    def test_esp_that_stays_away_behind_a_nat_leads_to_another_ike_sa(self):
        gateway, tred, client, pings = self.deaf("no")
        client.wait_for("may have forgotten this host; connecting anew", 30.0)
        wait_until(lambda: client.output().count("established  ") == 2, "another IKE SA")
        pings.stop()
        self.assertEqual(ping(HENB, INNER_IPV4, count=3), 3)
        gateway.wait_for(r"parsed INFORMATIONAL request \d+ \[ \]")  # the question came first
        wait_until(lambda: len(tred.children()) == 1, "one Child SA")

    def test_esp_that_stays_away_behind_a_nat_leads_to_another_port_with_mobike(self):
        gateway, _, client, pings = self.deaf("yes")
        client.wait_for("may have forgotten this host; moving to another port", 30.0)
        client.wait_for("moved ")
        wait_until(lambda: ping(HENB, INNER_IPV4) == 1, "a packet through the tunnel")
        pings.stop()
        self.assertEqual(client.output().count("established  "), 1)
        self.assertEqual(gateway.sa_count(), 1)


class InitialContactTest(LabTest):
    def test_what_a_crash_has_left_at_the_segw_goes_with_the_next_connection(self):
        gateway, _, client = self.establish()
        client.kill()
        self.start_client().wait_for_state("established")
        gateway.wait_for(r"parsed IKE_AUTH request \d+ \[ .*N\(INIT_CONTACT\)")
        wait_until(lambda: gateway.sa_count() == 1, "one IKE SA at the SeGW")
        self.assertNotIn("sending DELETE", gateway.log())

    def test_a_second_connection_beside_the_first_does_not_deny_it(self):
        gateway, _, client = self.establish()
        operator = self.starting(Operator())
        operator.call("Connect")
        gateway.wait_for(r"sending DELETE for IKE_SA henb\[1\]")
        said = re.findall(r"parsed IKE_AUTH request \d+ \[ .*\]", gateway.log())
        self.assertEqual(["INIT_CONTACT" in each for each in said], [True, False])
        client.wait_for_state("established")
