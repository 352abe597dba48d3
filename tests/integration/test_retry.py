"""A HeNB whose attempts fail waits ever longer, and a restart is no way around that."""

import re
import shutil

from lab.case import LabTest
from lab.process import scratch, wait_until
from lab.programs import Operator

AWAY = {"reconnect": "yes", "retransmit-timeout": "50", "retransmit-tries": "1"}


class RetryTest(LabTest):
    def setUp(self):
        super().setUp()
        self.state = scratch("state")
        shutil.chown(self.state, "henb-ike", "henb-ike")
        self.start_tred()

    def failures(self):
        file = self.state / "failures"
        found = re.match(r"failures (\d+)\nsaved \d+\nuntil \d+\n$", file.read_text() if file.exists() else "")
        return int(found[1]) if found else None

    def test_failures_are_counted_on_after_a_restart_and_forgotten_with_success(self):
        client = self.start_client(state=self.state, connection=AWAY)
        wait_until(lambda: (self.failures() or 0) >= 3, "three failures", 20.0)
        client.kill()
        before = self.failures()
        client = self.start_client(state=self.state, connection=AWAY)
        wait_until(lambda: self.failures() > before, "another failure", 40.0)
        self.start_segw()
        self.starting(Operator()).call("Connect")
        client.wait_for_state("established")
        wait_until(lambda: self.failures() == 0, "no failures")

    def test_a_restarted_client_waits_for_what_is_left(self):
        (self.state / "failures").write_text("failures 9\nsaved 99999999990\nuntil 99999999999\n")
        self.start_segw()
        client = self.start_client(state=self.state, connection={"reconnect": "yes", "retry-max": "3600"})
        client.wait_for(r"trying again in (9|8)\.\d s")
        self.assertEqual(client.get("State"), "waiting")

    def test_a_damaged_file_stops_nobody(self):
        self.start_segw()
        (self.state / "failures").write_bytes(bytes(range(256)) * 100)
        client = self.start_client(state=self.state, connection={"reconnect": "yes"})
        client.wait_for_state("established")
        self.assertIn("failed attempts can't be used", client.output())
        wait_until(lambda: self.failures() == 0, "a file that is whole")
