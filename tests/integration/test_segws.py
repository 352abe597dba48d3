"""Several SeGWs, by name and by address: which one is used, and which one next."""

from lab.case import LabTest
from lab.nameserver import HOSTS, EtcFile, NameServer
from lab.network import SEGW, SEGW_BEYOND_NAT, SEGW_IPV4, SEGW_IPV6
from lab.process import run, wait_until

NOBODY = "192.0.2.99"
BRIEF = {"retransmit-timeout": "200", "retransmit-tries": "3", "reconnect": "yes"}
_NO_IPV6 = """
table ip6 deaf {
  chain input {
    type filter hook input priority filter
    udp dport 500 drop
  }
}
"""
_NOT_THERE = f"""
table ip deaf {{
  chain input {{
    type filter hook input priority filter
    ip daddr {SEGW_IPV4} udp dport 500 drop
  }}
}}
"""


class SegwsTest(LabTest):
    def client(self, address, connection=None, **segw):
        return self.start_client(segw={"address": address, **segw}, connection=connection or BRIEF)

    def refuse_ipv6(self):
        self.addCleanup(run, ["nft", "delete", "table", "ip6", "deaf"], namespace=SEGW)
        run(["nft", "-f", "-"], namespace=SEGW, stdin=_NO_IPV6)

    def test_the_next_segw_of_the_list_is_tried_where_one_does_not_answer(self):
        self.start_segw()
        self.start_tred()
        client = self.client(f"{NOBODY}, {SEGW_IPV4}")
        client.wait_for_state("established")
        self.assertIn(SEGW_IPV4, client.get("SegwAddress"))
        self.assertIn("trying the next SeGW", client.output())
        self.assertNotIn("trying again in", client.output())

    def test_the_preferred_segw_is_gone_back_to_without_a_gap(self):
        gateway = self.start_segw()
        self.start_tred()
        run(["nft", "-f", "-"], namespace=SEGW, stdin=_NOT_THERE)
        try:
            client = self.client(f"{SEGW_IPV4}, {SEGW_BEYOND_NAT}", **{"return-after": "1"})
            client.wait_for_state("established")
            self.assertIn(SEGW_BEYOND_NAT, client.get("SegwAddress"))
        finally:
            run(["nft", "delete", "table", "ip", "deaf"], namespace=SEGW)
        wait_until(lambda: SEGW_IPV4 in client.get("SegwAddress"), "the preferred SeGW", 20.0)
        wait_until(lambda: gateway.sa_count() == 1, "one IKE SA", 20.0)
        self.assertNotIn("the connection has ended", client.output())

    def test_a_name_of_the_hosts_file_is_found(self):
        self.starting(EtcFile(HOSTS, f"127.0.0.1 localhost\n{SEGW_IPV4} segw.lab.example\n"))
        self.start_segw()
        self.start_tred()
        client = self.client("segw.lab.example")
        client.wait_for_state("established")

    def test_a_name_of_the_plmn_is_asked_of_the_name_server(self):
        name = "segw.epc.mnc001.mcc262.pub.3gppnetwork.org"
        server = self.starting(NameServer({name: [SEGW_IPV4]}))
        self.start_segw()
        self.start_tred()
        client = self.client("plmn:segw.epc", plmn="262-01")
        client.wait_for_state("established")
        self.assertIn(name, server.asked)

    def test_a_name_that_is_not_there_is_named(self):
        self.starting(NameServer({}))
        self.start_tred()
        client = self.client("nowhere.example", connection={"reconnect": "no"})
        client.wait_for_state("idle")
        self.assertRegex(client.get("LastError"), 'the SeGW "nowhere.example" has no address: .+')

    def test_ipv6_is_preferred_where_both_answer(self):
        self.starting(NameServer({"segw.lab.example": [SEGW_IPV4, SEGW_IPV6]}))
        gateway = self.start_segw()
        self.start_tred()
        client = self.client("segw.lab.example", connection={"reconnect": "yes"})
        client.wait_for_state("established")
        self.assertIn(SEGW_IPV6, client.get("SegwAddress"))
        self.assertEqual(gateway.sa_count(), 1)

    def test_ipv4_is_taken_before_silent_ipv6_is_given_up(self):
        self.refuse_ipv6()
        self.starting(NameServer({"segw.lab.example": [SEGW_IPV4, SEGW_IPV6]}))
        gateway = self.start_segw()
        self.start_tred()
        client = self.client("segw.lab.example", connection={"reconnect": "yes"})
        client.wait_for_state("established")
        self.assertIn(SEGW_IPV4, client.get("SegwAddress"))
        self.assertNotIn("led nowhere", client.output())
        self.assertEqual(gateway.log().count("parsed IKE_AUTH request"), 1)
