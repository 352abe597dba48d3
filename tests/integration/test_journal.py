"""What the journal gets beside the text, and what journalctl -x makes of it."""

import re
from pathlib import Path

from lab.case import LabTest
from lab.journal import UNDER, Journal
from lab.pki import HENB_NAME, SEGW_NAME
from lab.process import run, scratch, wait_until
from lab.programs import EXCHANGE, TRED, IkeClient, Operator, Tred
from lab.bus import Connection

ROOT = Path(__file__).resolve().parents[2]
IDS = dict(re.findall(r'#define MESSAGE_(\w+) "(\w+)"', (ROOT / "base" / "messages.h").read_text()))
BRIEF = {"reconnect": "no", "retransmit-timeout": "50", "retransmit-tries": "2"}


class JournalTest(LabTest):
    def setUp(self):
        super().setUp()
        self.journal = self.starting(Journal())

    def start_both(self, tred=None, **client):
        self.starting(self.world.tpm.start())
        self.tred = self.starting(Tred(self.world.device("ecdsa-p256"), under=UNDER, **(tred or {}))).wait_for_name()
        self.client = self.starting(IkeClient(under=UNDER, **client))

    def entries(self, message):
        return [entry for entry in self.journal.entries() if entry.get("MESSAGE_ID") == IDS[message]]

    def entry(self, message):
        return wait_until(lambda: self.entries(message), message)[-1]

    def test_each_step_has_its_number_the_segw_and_the_spi_by_which_both_services_name_the_sa(self):
        self.start_segw()
        self.start_both()
        self.client.wait_for_state("established")
        bus = Connection("nobody")
        self.addCleanup(bus.close)
        spi = f"{bus.get(TRED, self.client.get('Exchange'), EXCHANGE, 'SpiI'):016x}"
        steps = self.entries("STEP")
        self.assertEqual([entry["TRE_STEP"] for entry in steps], list("123456"))
        for entry in [*steps, self.entry("ESTABLISHED")]:
            self.assertEqual((entry["TRE_PEER"], entry["TRE_SPI"]), (SEGW_NAME, spi))
            self.assertEqual(entry["SYSLOG_IDENTIFIER"], "ikeclient")
        self.assertEqual({entry["PRIORITY"] for entry in steps}, {"6"})
        ready = self.entry("READY")
        self.assertIn(HENB_NAME, ready["MESSAGE"])
        self.assertEqual(ready["SYSLOG_IDENTIFIER"], "tred")

    def test_in_the_journal_every_line_is_an_entry_and_none_is_written_twice(self):
        self.start_segw()
        self.start_both()
        self.client.wait_for_state("established")
        lines = [entry["MESSAGE"] for entry in self.journal.entries()]
        self.assertTrue([line for line in lines if line.startswith("step 1 ")])
        self.assertTrue([line for line in lines if "SPI_i" in line])
        said = (self.client.output() + self.tred.output()).splitlines()
        # A sanitizer writes for itself.
        self.assertEqual([line for line in said if line and not line.startswith("==")], [])

    def test_without_a_journal_daemon_the_lines_stay_on_standard_error(self):
        self.journal.stop()
        self.journal.stop = lambda: None
        self.start_segw()
        self.start_both()
        self.client.wait_for_state("established")
        self.assertRegex(self.client.output(), r"(?m)^<6>step 1 ")

    def test_a_journal_that_hangs_keeps_nobody_waiting(self):
        self.start_segw()
        self.journal.stop_reading()
        self.start_both(log={"level": "debug"}, tred={"log": {"level": "debug"}})
        self.client.wait_for_state("established")
        for _ in range(20):
            for command, state in (("Disconnect", "idle"), ("Connect", "established")):
                self.starting(Operator()).call(command)
                self.client.wait_for_state(state)
        self.assertRegex(self.client.output(), r"(?m)^<6>step 6 ")

    def test_a_failure_has_its_reason(self):
        self.start_both(connection=BRIEF)
        entry = self.entry("NOT_CONNECTED")
        self.assertIn(entry["TRE_ERROR"], entry["MESSAGE"])
        self.assertEqual((entry["TRE_PEER"], entry["PRIORITY"]), (SEGW_NAME, "3"))
        self.assertRegex(entry["TRE_SPI"], "^[0-9a-f]{16}$")

    def test_a_refused_segw_is_told_by_the_errors_name(self):
        self.start_segw()
        self.start_both(tred={"segw": {"name": "other.operator.example"}}, connection=BRIEF)
        entry = self.entry("PEER_REFUSED")
        self.assertRegex(entry["TRE_ERROR"], r"^org\.tred\.TrE1\.Error\.Peer\w+$")
        self.assertEqual(entry["TRE_PEER"], "other.operator.example")
        self.assertEqual(entry["TRE_SPI"], self.entry("NOT_CONNECTED")["TRE_SPI"])

    def test_a_lost_connection_and_a_closed_exchange_are_told(self):
        gateway = self.start_segw()
        self.start_both(connection=BRIEF)
        self.client.wait_for_state("established")
        gateway.control("--terminate", "--ike", "henb")
        entry = self.entry("CONNECTION_LOST")
        self.assertEqual((entry["TRE_PEER"], entry["PRIORITY"]), (SEGW_NAME, "5"))

    def test_a_tre_that_is_not_ready_is_told_by_what_is_missing(self):
        directory = scratch("nothing")
        directory.chmod(0o755)
        self.starting(self.world.tpm.start())
        self.starting(Tred(directory, under=UNDER)).wait_for_name()
        entry = self.entry("UNPROVISIONED")
        self.assertIn("device.pem", entry["TRE_ERROR"])

    def test_journalctl_explains_each_message_with_what_to_do(self):
        root = scratch("catalogue")
        for folder in ("usr/lib/systemd/catalog", "var/lib/systemd/catalog"):
            (root / folder).mkdir(parents=True)
        (root / "usr/lib/systemd/catalog/tred.catalog").write_text((ROOT / "dbus/units/tred.catalog").read_text())
        run(["journalctl", f"--root={root}", "--update-catalog"])
        listed = run(["journalctl", f"--root={root}", "--list-catalog"]).stdout
        self.assertEqual(set(re.findall(r"^([0-9a-f]{32}) tred: ", listed, re.MULTILINE)), set(IDS.values()))
