"""A SeGW that is gone is noticed in the time that was configured, and so is ESP that does not come."""

import re

from lab.case import LabTest
from lab.network import HENB, INNER_IPV4, NAT, SEGW_BEYOND_NAT
from lab.process import run, wait_until
from lab.programs import Operator
from lab.scripted import AUTH, INFORMATIONAL, INITIAL_CONTACT, ScriptedTest
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

    def test_the_segws_time_counts_where_it_says_one(self):
        # What has four octets there is an address: 0.0.0.4 is 4 s.
        gateway, _, _ = self.establish(segw={"more_plugins": "attr", "charon": "plugins { attr { 24 = 0.0.0.4 } }"},
                                       connection={"liveness": "3000"})
        gateway.wait_for(r"generating IKE_AUTH response 1 \[ .*CPRP\([^)]*\bDPD\b")
        gateway.wait_for(r"parsed INFORMATIONAL request \d+ \[ \]", 30.0)


class ScriptedLivenessTest(ScriptedTest):
    LIVENESS = 24  # TIMEOUT_PERIOD_FOR_LIVENESS_CHECK

    def test_the_segws_time_counts_where_it_says_one(self):
        self.tunnel(segw={"attributes": {self.LIVENESS: bytes((0, 0, 0, 4))}}, connection={"liveness": "3000"})
        self.assertIn(self.LIVENESS, self.segw.attributes())
        self.segw.expect(rf"request 1 \d+ {INFORMATIONAL}$")
        self.segw.expect(rf"request 1 \d+ {INFORMATIONAL}$")

    def test_a_segw_that_has_forgotten_us_is_lost(self):
        self.tunnel(connection={"liveness": "4"})
        self.segw.tell("forget-ike", 1)
        self.client.wait_for("the SeGW does not answer any more", 30.0)
        self.client.wait_for_state("idle", seconds=30.0)

    def test_a_segw_that_rekeys_is_asked_as_often_afterwards(self):
        self.tunnel(segw={"attributes": {self.LIVENESS: bytes((0, 0, 0, 4))}}, connection={"liveness": "3000"})
        self.segw_asks("rekey-ike", 1, 19)
        self.segw_asks("delete-ike", 1)
        self.segw.expect(rf"request 2 \d+ {INFORMATIONAL}$")


class ScriptedDeafTest(ScriptedTest):
    """A SeGW by hand that answers IKE and no packet."""

    MOBIKE_SUPPORTED, UPDATE_SA_ADDRESSES, NATD_SOURCE = 16396, 16400, 16388

    def deaf(self, **segw):
        self.tunnel(segw=segw, connection={"liveness": "4", "reconnect": "yes"})
        self.ping(self.old_spi())
        pings = self.starting(Pings(INNER_IPV4).process)
        self.segw.expect(rf"request 1 \d+ {INFORMATIONAL}(?: notify={self.NATD_SOURCE} .*)?$")  # the question comes first
        return pings

    def test_traffic_that_only_ever_goes_out_ends_and_replaces_nothing(self):
        self.tunnel(connection={"liveness": "4", "reconnect": "yes"})
        pings = self.starting(Pings(INNER_IPV4).process)
        for _ in range(6):  # which are answered, and nothing else comes
            self.segw.expect(rf"request 1 \d+ {INFORMATIONAL}$")
        self.assertGreater(self.tred.children()[0]["PacketsOut"], 0)
        pings.stop()
        self.assertNotIn("may have forgotten this host", self.client.output())
        self.assertEqual(self.client.output().count("established  "), 1)
        self.assert_one_left(1, self.old_spi())

    def test_esp_that_stays_away_leads_to_another_ike_sa(self):
        pings = self.deaf()
        self.client.wait_for("may have forgotten this host; connecting anew", 30.0)
        pings.stop()
        self.segw.expect(rf"request 1 \d+ {INFORMATIONAL} delete-ike")
        self.assert_one_left(2)

    def test_esp_that_stays_away_leads_to_another_port_with_mobike(self):
        pings = self.deaf(notifies={self.MOBIKE_SUPPORTED: b""})
        self.client.wait_for("may have forgotten this host; moving to another port", 30.0)
        pings.stop()
        self.segw.expect(rf"request 1 \d+ {INFORMATIONAL} notify={self.UPDATE_SA_ADDRESSES} ")
        self.assert_one_left(1, self.old_spi())


class ScriptedInitialContactTest(ScriptedTest):
    def said(self):
        """Of each IKE_AUTH request, whether INITIAL_CONTACT was in it."""
        return [f"notify={INITIAL_CONTACT}" in each
                for each in re.findall(rf"(?m)^request \d+ 1 {AUTH} .*", self.segw.output())]

    def test_it_is_said_by_who_has_no_other_ike_sa_and_by_nobody_else(self):
        self.tunnel()
        self.operator.call("Connect")
        self.segw.expect(rf"request 1 \d+ {INFORMATIONAL} delete-ike")
        wait_until(lambda: len(self.tred.exchanges()) == 1, "one IKE SA", 30.0)
        self.client.kill()
        self.start_client().wait_for_state("established", seconds=30.0)
        self.assertEqual(self.said(), [True, False, True])


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
