"""Step 7 and its kin: IKE SAs and their children end from either side, and both sides know."""

from lab.case import LabTest
from lab.handclient import HandClient
from lab.process import wait_until
from lab.programs import Operator

ESTABLISHED = r"IKE_SA henb\[\d+\] established between"


class DeletedBySegwTest(LabTest):
    def second_connection(self):
        """The same HeNB connects anew, without INITIAL_CONTACT, as if it forgot the old IKE SA."""
        self.starting(HandClient()).until("verify")

    def test_the_segw_deletes_the_old_ike_sa_when_the_henb_connects_anew(self):
        gateway, _, client = self.establish(connection={"reconnect": "no"})
        self.second_connection()
        client.wait_for_state("idle")
        gateway.wait_for(r"sending DELETE for IKE_SA henb\[1\]")
        gateway.wait_for(r"parsed INFORMATIONAL response \d+ \[ \]")
        wait_until(lambda: gateway.sa_count() == 1, "one IKE SA at the SeGW")

    def test_the_old_ike_sa_is_deleted_once_connect_has_brought_a_new_one(self):
        gateway, _, client = self.establish()
        self.starting(Operator()).call("Connect")
        gateway.wait_for(r"sending DELETE for IKE_SA henb\[1\]")
        client.wait_for(r"step 7 INFORMATIONAL request .*answered")
        wait_until(lambda: gateway.sa_count() == 1, "one IKE SA at the SeGW")
        self.assertEqual(client.get("State"), "established")

    def test_a_new_connection_follows_a_delete_where_the_configuration_says_so(self):
        gateway, _, client = self.establish(connection={"reconnect": "yes"})
        gateway.control("--terminate", "--ike", "henb")
        gateway.wait_for(rf"(?s){ESTABLISHED}.*{ESTABLISHED}", 15)
        client.wait_for_state("established")
        self.assertEqual(gateway.sa_count(), 1)

    def test_the_delete_of_a_child_is_answered(self):
        gateway, _, client = self.establish(connection={"reconnect": "no"})
        gateway.control("--terminate", "--child", "net")
        client.wait_for_state("established-no-child", "idle")
        # RFC 7296 1.4.1: the answer deletes the other direction's SPI.
        gateway.wait_for(r"parsed INFORMATIONAL response \d+ \[ D \]")

    def test_a_new_connection_follows_the_delete_of_a_child_where_the_configuration_says_so(self):
        gateway, _, client = self.establish(connection={"reconnect": "yes"})
        gateway.control("--terminate", "--child", "net")
        gateway.wait_for(rf"(?s){ESTABLISHED}.*{ESTABLISHED}", 15)
        client.wait_for("the SeGW deleted the Child SA")
        client.wait_for_state("established")
        self.assertIn("INSTALLED, TUNNEL", gateway.sas())

    def test_a_liveness_check_of_the_segw_is_answered(self):
        gateway = self.start_segw(connection="dpd_delay = 1s")
        self.start_tred()
        self.start_client().wait_for_state("established")
        gateway.wait_for(r"sending DPD request")
        gateway.wait_for(r"parsed INFORMATIONAL response \d+ \[ \]")


class DeletedByHenbTest(LabTest):
    def assert_segw_was_told(self, gateway):
        gateway.wait_for(r"received DELETE for IKE_SA henb\[1\]")
        wait_until(lambda: gateway.sa_count() == 0, "no IKE SA at the SeGW")

    def test_the_segw_is_told_when_the_client_stops(self):
        gateway, _, client = self.establish()
        self.assertEqual(client.stop(), 0, client.output())
        self.assert_segw_was_told(gateway)

    def test_the_segw_is_told_when_disconnect_is_called(self):
        gateway, _, client = self.establish()
        operator = self.starting(Operator())
        operator.call("Disconnect")
        client.wait_for_state("idle")
        self.assert_segw_was_told(gateway)

    def test_the_client_stops_soon_even_where_the_segw_is_silent(self):
        gateway, _, client = self.establish()
        gateway.process.kill()
        self.assertEqual(client.stop(seconds=8), 0, client.output())

    def test_connect_brings_a_new_ike_sa_after_disconnect(self):
        gateway, _, client = self.establish()
        operator = self.starting(Operator())
        operator.call("Disconnect")
        client.wait_for_state("idle")
        operator.call("Connect")
        client.wait_for_state("established")
        gateway.wait_for(rf"(?s){ESTABLISHED}.*{ESTABLISHED}")
