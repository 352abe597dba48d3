"""What a person at a terminal is told: status, watch, up, down and flow."""

import contextlib
import json
import os
import pty
import re
import time

from lab.case import LabTest
from lab.network import HENB, INNER_IPV4, SEGW_IPV4
from lab.pki import HENB_NAME, SEGW_NAME
from lab.process import BIN, LabError, Process, run, scratch, wait_until
from lab.programs import EXCHANGE, TRED, ClientConnection
from lab.standin import StandinClient
from lab.bus import Connection
from lab.traffic import ping

USER_PLANE = {"data-plane": {"mode": "user"}}
UP, NOT_UP, UNAVAILABLE, NO_PERMISSION, CAN_NOT_CREATE = 0, 1, 69, 77, 73


class TrectlTest(LabTest):
    def trectl(self, *arguments, **named):
        return run([BIN / "trectl", *arguments], check=False, **named)

    def assert_ends(self, status, *arguments, saying=".|^$", **named):
        done = self.trectl(*arguments, **named)
        self.assertEqual(done.returncode, status, done.stdout)
        self.assertRegex(done.stdout, saying)
        return done.stdout


class StatusTest(TrectlTest):
    def test_a_tunnel_is_shown_to_any_user_on_one_screen(self):
        _, tred, _ = self.establish(tred=USER_PLANE, child={"request-address": "ipv4"})
        self.assertEqual(ping(HENB, INNER_IPV4, count=3), 3)
        said = self.assert_ends(UP, "status", user="tred-net")
        (child,) = tred.children()
        for line in (rf"Connection   established for \d+ s, since \d{{4}}-",
                     rf"SeGW         {SEGW_NAME} at \S+:4500",
                     r"IKE SA       AES_GCM_16_128/PRF_HMAC_SHA2_256/ECP_256",
                     r"Addresses    10\.210\.0\.1/32",
                     rf"Child SA     {child['SpiIn']:08x} in, {child['SpiOut']:08x} out",
                     r"             in 3 packets, 252 B; out 3 packets, 252 B",
                     r"TrE          development, key ecdsa-p256",
                     rf"Identity     {HENB_NAME}",
                     r"Certificate  \d+ days left",
                     rf"             \d+ days left, until .* \({SEGW_NAME}\)",
                     r"Anchors      not guarded by the TPM",
                     r"CRLs         none"):
            self.assertRegex(said, rf"(?m)^{line}")
        self.assertLess(len(said.splitlines()), 24)
        self.assertNotIn("\033", said)

    def test_json_has_the_properties_by_their_names_on_the_bus(self):
        _, tred, client = self.establish(tred=USER_PLANE, child={"request-address": "ipv4"})
        found = json.loads(self.assert_ends(UP, "status", "--json"))
        for name in ("State", "SegwIdentity", "Suite", "EspSuite", "EstablishedSince", "Addresses"):
            self.assertEqual(found["IkeClient"][name], client.get(name))
        for name in ("State", "Identity", "CertificateExpires", "AnchorsVersion", "DataPlane"):
            self.assertEqual(found["TrE"][name], tred.get(name))
        bus = Connection("nobody")
        self.addCleanup(bus.close)
        spi = bus.get(TRED, client.get("Exchange"), EXCHANGE, "SpiI")
        self.assertEqual(found["Exchange"]["SpiI"], f"{spi:016x}")

    def test_without_a_connection_it_says_why_and_what_to_do(self):
        self.start_tred()
        self.start_client(connection={"reconnect": "yes", "retransmit-timeout": "50",
                                      "retransmit-tries": "2"}).wait_for_state("waiting")
        said = self.assert_ends(NOT_UP, "status")
        self.assertRegex(said, r"(?m)^Last error   no answer to IKE_SA_INIT")

    def test_services_that_do_not_run_are_named_and_none_is_started(self):
        said = self.assert_ends(NOT_UP, "status", saying="systemctl start ikeclient")
        self.assertIn("tred does not run", said)

    def test_a_bus_that_is_not_there_is_told_by_the_exit_status(self):
        self.bus.stop()
        self.assert_ends(UNAVAILABLE, "status", saying="The system bus can't be reached")


class WatchTest(TrectlTest):
    def test_a_change_is_shown_when_it_comes(self):
        self.establish()
        watch = self.starting(Process("watch", [BIN / "trectl", "watch", "--interval", "3600"]))
        watch.wait_for("Connection   established")
        self.assert_ends(0, "down", "--wait")
        watch.wait_for("Connection   idle")

    def test_what_ended_it_is_said_and_not_what_was_missing_before(self):
        watch = self.starting(Process("watch", [BIN / "trectl", "watch", "--connection", "default"]))
        watch.wait_for("ikeclient does not run")
        self.bus.stop()
        self.assertEqual(watch.wait(30.0), UNAVAILABLE)
        self.assertRegex(watch.output(), r"(?m)^trectl watch: ")
        self.assertNotIn("trectl watch: ikeclient does not run", watch.output())

    def test_on_a_terminal_it_writes_over_what_was_there_and_in_colours_unless_told_otherwise(self):
        self.establish()
        for no_colour, colours in (("", True), ("1", False)):
            screen = self.on_a_terminal("watch", "--interval", "1", env={"NO_COLOR": no_colour})
            self.assertIn("\033[H", screen)
            self.assertEqual("\033[32mestablished" in screen, colours)

    def on_a_terminal(self, *arguments, env):
        """What is written within two seconds."""
        pid, terminal = pty.fork()
        if pid == 0:
            os.environ.update(env, TERM="xterm")
            os.execv(BIN / "trectl", ["trectl", *arguments])
        os.set_blocking(terminal, False)
        text, end = b"", time.monotonic() + 10
        while text.count(b"\033[J") < 2 and time.monotonic() < end:
            try:
                text += os.read(terminal, 65536)
            except BlockingIOError:
                time.sleep(0.05)
        os.kill(pid, 15)
        os.waitpid(pid, 0)
        os.close(terminal)
        return text.decode()


class UpDownTest(TrectlTest):
    def test_up_and_down_wait_for_what_they_were_told_to_bring_about(self):
        gateway, _, client = self.establish()
        self.assert_ends(0, "down", "--wait", saying="The tunnel is down")
        self.assertEqual(client.get("State"), "idle")
        gateway.wait_for(r"IKE_SA deleted")
        self.assert_ends(0, "down", "--wait", saying="The tunnel is down")
        self.assert_ends(0, "up", "--wait", saying=f"The tunnel is up: {SEGW_NAME}")
        self.assertEqual(client.get("State"), "established")

    def test_up_leaves_a_tunnel_that_is_up_as_it_is(self):
        _, _, client = self.establish()
        self.assert_ends(0, "up", saying="The tunnel is up")
        self.assertEqual(client.get("Totals")["Attempts"], 1)

    def test_down_of_a_connection_whose_turn_comes_in_that_moment_is_done(self):
        standin = self.starting(StandinClient("idle", "closing"))
        self.assertEqual(self.assert_ends(0, "down"), "")
        self.assertIn("Disconnect", standin.output())
        standin.stop()
        self.starting(StandinClient("idle", "closing", "closing", "idle"))
        self.assert_ends(0, "down", "--wait", saying="The tunnel is down")

    def test_up_of_a_connection_that_is_being_deleted_waits_until_it_is_made_anew(self):
        standin = self.starting(StandinClient("closing", "closing", "connecting", "established"))
        self.assert_ends(0, "up", "--wait", saying="The tunnel is up")
        self.assertIn("Connect", standin.output())

    def test_up_of_a_connection_that_somebody_deletes_ends_with_1(self):
        self.starting(StandinClient("idle", "connecting", "closing", "idle"))
        self.assert_ends(NOT_UP, "up", "--wait", saying="trectl up: idle: somebody else has told it otherwise")

    def test_up_ends_with_1_and_says_why_where_no_segw_answers(self):
        self.start_tred()
        client = self.start_client(connection={"reconnect": "no", "retransmit-timeout": "50",
                                               "retransmit-tries": "2"})
        client.wait_for_state("idle")
        self.assert_ends(NOT_UP, "up", "--wait", saying="trectl up: idle: .+:")

    def test_only_root_may_and_a_client_that_does_not_run_is_named(self):
        self.assert_ends(UNAVAILABLE, "up", "--wait", saying="ikeclient does not run")
        self.establish()
        for command in ("up", "down"):
            if command == "up":
                self.assert_ends(0, "down", "--wait")
            self.assert_ends(NO_PERMISSION, command, user="tred-net", saying="Root alone may do this")
            self.assert_ends(0, "up", "--wait")


class FlowTest(TrectlTest):
    def test_the_ladder_says_what_the_log_says(self):
        _, _, client = self.establish(child={"request-address": "ipv4"})
        said = self.assert_ends(0, "flow", user="tred-net")
        rungs = re.findall(r"(?m)^  \|(..) +(\d)  (.*?) *(?:\((?:HeNB|SeGW)\))? *-*>? *\|  \+([\d.]+) ms$", said)
        log = re.findall(r"(?m)^step (\d) (.*?)  .*\(\+([\d.]+) ms, ", client.output())
        self.assertEqual([(number, name) for _, number, name, _ in rungs], [line[:2] for line in log])
        self.assertEqual([rung[0] for rung in rungs], ["--", "<-", "--", "  ", "<-", "  "])
        for rung, line in zip(rungs, log):
            self.assertLess(abs(float(rung[3]) - float(line[2])), 0.11)
        steps = json.loads(self.assert_ends(0, "flow", "--json", user="tred-net"))
        self.assertEqual([(str(step["Step"]), step["Name"]) for step in steps], [line[:2] for line in log])

    def test_the_diagram_is_well_formed_and_has_each_step(self):
        self.establish()
        path = scratch("flow") / "flow.svg"
        self.assert_ends(0, "flow", "--svg", path)
        text = path.read_text()
        self.assertEqual(re.findall(r'class="number"[^>]*>(\d)<', text), list("123456"))
        run(["/usr/bin/python3", "-c", "import sys, xml.dom.minidom as d; d.parse(sys.argv[1])", path])
        self.assertEqual(self.trectl("flow", "--svg", "-").stdout, text)

    def test_a_file_that_can_not_be_written_and_an_exchange_that_there_was_not(self):
        self.assert_ends(UNAVAILABLE, "flow", saying="ikeclient does not run")
        self.establish()
        self.assert_ends(CAN_NOT_CREATE, "flow", "--svg", "/nowhere/flow.svg", saying="/nowhere/flow.svg")


class MetricsTest(TrectlTest):
    def metrics(self, *arguments):
        """{name with labels: value}"""
        said = self.assert_ends(0, "metrics", *arguments, user="tred-net")
        self.assertTrue(said.endswith("\n# EOF\n"))
        return dict(line.rsplit(" ", 1) for line in said.splitlines() if not line.startswith("#"))

    def assert_open_metrics(self, text):
        """The text's grammar (OpenMetrics 1.0): families one after another, each described once and before its samples."""
        *lines, end = text.splitlines()
        self.assertEqual((end, text[-1]), ("# EOF", "\n"))
        described, series, family, kind = [], set(), None, None
        for line in lines:
            word, _, rest = line.partition(" ")
            if word == "#":
                what, name, said = rest.split(" ", 2)
                self.assertNotIn((what, name), described)
                described.append((what, name))
                family, kind = name, said if what == "TYPE" else None
                continue
            found = re.fullmatch(r'([a-z_]+)((?:\{[a-z_]+="[^"\\]*"(?:,[a-z_]+="[^"\\]*")*\})?) ([0-9]+)', line)
            self.assertTrue(found, line)
            self.assertEqual(found[1], family + {"counter": "_total", "gauge": ""}[kind], line)
            self.assertNotIn((found[1], found[2]), series)
            series.add((found[1], found[2]))
        for what, name in described:
            self.assertIn(("HELP" if what == "TYPE" else "TYPE", name), described)

    def test_each_line_is_as_open_metrics_has_it(self):
        self.start_tred()
        self.assert_open_metrics(self.trectl("metrics").stdout)
        self.start_segw()
        self.start_client().wait_for_state("established")
        self.assert_open_metrics(self.trectl("metrics").stdout)

    def test_each_line_of_several_connections_is_as_open_metrics_has_it(self):
        core, other = f"{INNER_IPV4}/32", "10.201.0.0/16"
        self.start_segw()
        self.start_tred(**{"segw": {"allowed-remote": core},
                           "segw management": {"name": "segw.management.example", "allowed-remote": other},
                           **USER_PLANE})
        client = self.start_client(**{"connection default": {"address": SEGW_IPV4, "remote-ts": core},
                                      "connection management": {"address": SEGW_IPV4, "remote-ts": other}})
        ClientConnection(client, "default").wait_for_state("established", seconds=30.0)
        text = self.trectl("metrics").stdout
        self.assertIn('connection="default"', text)
        self.assertIn('connection="management"', text)
        self.assert_open_metrics(text)

    def test_any_user_gets_them_and_counters_go_on_over_the_end_of_an_sa(self):
        self.establish(tred=USER_PLANE, child={"request-address": "ipv4"})
        self.assertEqual(ping(HENB, INNER_IPV4, count=4), 4)
        before = self.metrics()
        self.assertEqual(before['henb_connection_state{state="established"}'], "1")
        self.assertEqual(before['henb_esp_packets_total{direction="out"}'], "4")
        self.assert_ends(0, "down", "--wait")
        self.assert_ends(0, "up", "--wait")
        self.assertEqual(ping(HENB, INNER_IPV4, count=2), 2)
        with contextlib.suppress(LabError):
            wait_until(lambda: self.metrics()['henb_esp_packets_total{direction="out"}'] == "6", "the sum", 30)
        self.assertEqual(self.metrics()['henb_esp_packets_total{direction="out"}'], "6")
        self.assertEqual(self.metrics()["henb_ike_established_total"], "2")

    def test_the_file_is_replaced_in_one_step_and_readable_for_all(self):
        self.establish()
        folder = scratch("metrics")
        for _ in range(2):
            self.assert_ends(0, "metrics", "--output", folder / "henb.prom")
        self.assertEqual([path.name for path in folder.iterdir()], ["henb.prom"])
        self.assertEqual((folder / "henb.prom").stat().st_mode & 0o777, 0o644)
        self.assertIn("henb_tre_state", (folder / "henb.prom").read_text())
        self.assert_ends(CAN_NOT_CREATE, "metrics", "--output", "/nowhere/henb.prom", saying="/nowhere/henb.prom: No such")
