"""ikeclient in the hands of a script and of an operator: statuses, log lines, who may command it."""

from lab.bus import BusError, Connection, Recording
from lab.case import LabTest
from lab.pki import HENB_NAME, SEGW_NAME
from lab.programs import CLIENT, CLIENT_PATH, IkeClient, Operator

ACCESS_DENIED = "org.freedesktop.DBus.Error.AccessDenied"
BRIEF = {"retransmit-timeout": "50", "retransmit-tries": "2"}
CONNECTED, NOT_CONNECTED, BAD_CONFIGURATION = 0, 1, 78


class ScriptTest(LabTest):
    def ended(self, *arguments, **sections):
        """An ikeclient that ends by itself."""
        client = IkeClient(*arguments, **sections)
        self.addCleanup(client.stop)
        client.wait(15)
        return client

    def test_once_ends_with_1_where_no_segw_answers(self):
        self.start_tred()
        client = self.ended("--once", connection=BRIEF)
        self.assertEqual(client.popen.returncode, NOT_CONNECTED, client.output())
        self.assertRegex(client.output(), "not connected: .+: .+")

    def test_once_ends_with_1_where_the_segw_does_not_verify(self):
        self.start_segw()
        self.start_tred(segw={"name": "other.operator.example"})
        client = self.ended("--once")
        self.assertEqual(client.popen.returncode, NOT_CONNECTED, client.output())

    def test_once_stays_until_it_is_stopped(self):
        gateway = self.start_segw()
        self.start_tred()
        client = self.start_client("--once")
        client.wait_for_state("established")
        self.assertEqual(client.stop(), CONNECTED, client.output())
        gateway.wait_for(r"received DELETE for IKE_SA henb\[1\]")

    def test_once_ends_with_0_after_the_segws_delete(self):
        gateway, _, client = self.establish()
        client.stop()
        client = self.start_client("--once")
        client.wait_for_state("established")
        gateway.control("--terminate", "--ike", "henb")
        client.wait(15)
        self.assertEqual(client.popen.returncode, CONNECTED, client.output())

    def test_an_ike_sa_without_a_child_is_no_connection(self):
        self.start_segw(esp_proposals="aes256gcm16")
        self.start_tred()
        child = {"proposals": "aes128gcm16"}
        client = self.ended("--count", "2", child=child)
        self.assertEqual(client.popen.returncode, NOT_CONNECTED, client.output())
        self.assertIn("0 passed, 2 failed", client.output())
        client = IkeClient("--once", child=child)
        self.addCleanup(client.stop)
        client.wait_for_state("established-no-child")
        self.assertEqual(client.stop(), NOT_CONNECTED, client.output())

    def test_a_bad_configuration_is_named_by_file_line_and_key(self):
        client = self.ended(connection={"keepalive": "often"})
        self.assertEqual(client.popen.returncode, BAD_CONFIGURATION)
        self.assertRegex(client.output(), r"/ikeclient\.conf:\d+: .*keepalive")


class LogTest(LabTest):
    def test_each_step_of_the_call_flow_is_a_line_with_both_identities_and_its_time(self):
        _, _, client = self.establish(child={"request-address": "ipv4"})
        lines = [line for line in client.output().splitlines() if line.startswith("step ")]
        self.assertEqual([line.split()[1] for line in lines], list("123456"), client.output())
        for line in lines:
            self.assertIn(HENB_NAME, line)
            self.assertIn(SEGW_NAME, line)
            self.assertRegex(line, r"\(\+\d+\.\d ms, \d+\.\d ms\)$")
        self.assertIn("AES_GCM_16_128/PRF_HMAC_SHA2_256/ECP_256", lines[1])
        self.assertIn("10.210.0.1", lines[4])


class CommandTest(LabTest):
    def test_nobody_but_root_may_connect_and_disconnect(self):
        _, _, client = self.establish()
        for user in ("nobody", "tred", "henb-ike"):
            connection = Connection(user)
            self.addCleanup(connection.close)
            for method in ("Connect", "Disconnect"):
                with self.assertRaises(BusError) as caught:
                    connection.call(CLIENT, CLIENT_PATH, CLIENT, method)
                self.assertEqual(caught.exception.name, ACCESS_DENIED)
        self.assertEqual(client.get("State"), "established")

    def test_the_bus_is_told_of_properties_that_have_changed_alone(self):
        _, _, client = self.establish()
        recording = Recording()
        self.addCleanup(recording.stop)
        operator = self.starting(Operator())
        operator.call("Disconnect")
        client.wait_for_state("idle")
        messages = recording.octets()
        self.assertIn(b"PropertiesChanged", messages)
        self.assertIn(b"SegwIdentity", messages)
        self.assertNotIn(b"LastError", messages)
