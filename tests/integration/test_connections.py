"""Several connections at once: each with its SeGW, and what becomes of one is nothing to the others."""

import hashlib
import json
import os
import signal
import socket
import subprocess

from cryptography.hazmat.primitives.serialization import Encoding
from lab.bus import Connection
from lab.case import LabTest
from lab.network import (HENB, HENB_IPV4, INNER_IPV4, MANAGEMENT, MANAGEMENT_INNER, MANAGEMENT_IPV4, SEGW_IPV4,
                         Management, inside)
from lab.pki import SEGW_NAME, issue_segw
from lab.process import BIN, Process, run, scratch, wait_until
from lab.programs import CLIENT, CLIENT_PATH, ClientConnection, Operator, tred_sections, write_ini
from lab.traffic import Pings, ping

MANAGEMENT_NAME = "segw.management.example"
CORE, OTHER = f"{INNER_IPV4}/32", f"{MANAGEMENT_INNER}/32"


class Silence:
    """Takes what comes for IKE_SA_INIT in a namespace, and answers nothing."""

    def __init__(self, namespace):
        with inside(namespace):
            self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("0.0.0.0", 500))

    def stop(self):
        self.socket.close()


class ConnectionsTest(LabTest):
    def setUp(self):
        super().setUp()
        self.starting(Management())
        self.credential = issue_segw(self.world.operator_root, name=MANAGEMENT_NAME)

    def start_management(self, **options):
        return self.start_segw(self.credential, namespace=MANAGEMENT, identity=MANAGEMENT_NAME,
                               local_ts=OTHER, **options)

    def start_both(self, state=None, allowed=OTHER, **management):
        """tred for two SeGWs, and an ikeclient with a connection to each."""
        self.start_tred(**{"segw": {"allowed-remote": CORE},
                           "segw management": {"name": MANAGEMENT_NAME, "allowed-remote": allowed},
                           "data-plane": {"mode": "user"}})
        if state:
            state.chmod(0o777)
        client = self.start_client(state=state, **{
            "connection": {"reconnect": "yes", "retry-max": "1"},
            "connection default": {"address": SEGW_IPV4, "remote-ts": CORE},
            "connection management": {"address": MANAGEMENT_IPV4, "remote-ts": OTHER, **management}})
        return ClientConnection(client, "default"), ClientConnection(client, "management")

    def test_two_tunnels_are_up_each_to_its_own_segw(self):
        gateway, second = self.start_segw(), self.start_management()
        core, management = self.start_both()
        for connection, name in (core, SEGW_NAME), (management, MANAGEMENT_NAME):
            connection.wait_for_state("established", seconds=30.0)
            self.assertEqual(connection.get("SegwIdentity"), name)
        self.assertEqual(ping(HENB, INNER_IPV4, count=3), 3)
        self.assertEqual(ping(HENB, MANAGEMENT_INNER, count=3), 3)
        self.assertEqual((gateway.sa_count(), second.sa_count()), (1, 1))

    def test_each_log_line_about_a_connection_names_it(self):
        self.start_segw(), self.start_management()
        core, management = self.start_both()
        for connection in core, management:
            connection.wait_for_state("established", seconds=30.0)
        lines = core.output().splitlines()
        for name, segw in ("default", SEGW_NAME), ("management", MANAGEMENT_NAME):
            about = [line for line in lines if segw in line]
            self.assertGreater(len(about), 5)
            self.assertEqual([line for line in about if not line.startswith(f"{name}: ")], [])
            for what in "step 6 ", "established ", "traffic goes through ":
                self.assertEqual(len([line for line in lines if line.startswith(f"{name}: {what}")]), 1)

    def test_the_bus_has_an_object_for_each_and_the_first_is_the_clients(self):
        self.start_segw(), self.start_management()
        core, management = self.start_both()
        core.wait_for_state("established", seconds=30.0)
        management.wait_for_state("established", seconds=30.0)
        self.assertEqual(core.client.get("Name"), "default")
        self.assertEqual(core.client.get("Exchange"), core.get("Exchange"))
        self.assertNotEqual(core.get("Exchange"), management.get("Exchange"))
        self.assertEqual(core.client.get("Connections"),
                         [("default", core.path), ("management", management.path)])
        bus = Connection("nobody")
        try:
            objects, = bus.call(CLIENT, "/org/tred", "org.freedesktop.DBus.ObjectManager",
                                "GetManagedObjects")
        finally:
            bus.close()
        shown = {path for path, interfaces in objects.items() if CLIENT in interfaces}
        self.assertEqual(shown, {CLIENT_PATH, core.path, management.path})
        # What describes one grows with nothing else: the bus closes a connection that sends 32 MiB.
        for path in shown:
            self.assertNotIn("Connections", objects[path][CLIENT])

    def test_a_tunnel_whose_way_is_gone_does_not_move_into_the_other(self):
        gateway, second = self.start_segw(mobike="yes"), self.start_management(pool_ipv4="10.211.0.0/24")
        core, management = self.start_both()
        for connection in core, management:
            connection.wait_for_state("established", seconds=30.0)
        inside_other = ["192.0.2.0/24", "dev", "wan", "src", "10.211.0.1"]
        self.addCleanup(run, ["ip", "addr", "replace", f"{HENB_IPV4}/24", "dev", "wan"], namespace=HENB)
        run(["ip", "-4", "addr", "flush", "dev", "wan"], namespace=HENB)
        run(["ip", "route", "add", *inside_other], namespace=HENB)
        core.client.wait_for("default: this host has no address but a tunnel's own", 30.0)
        run(["ip", "route", "del", *inside_other], namespace=HENB)
        self.addCleanup(run, ["ip", "addr", "del", "192.0.2.3/24", "dev", "wan"], namespace=HENB)
        run(["ip", "addr", "add", "192.0.2.3/24", "dev", "wan"], namespace=HENB)
        core.client.wait_for(r"default: moved .* from 192\.0\.2\.3:\d+ to .* now", 30.0)
        wait_until(lambda: ping(HENB, INNER_IPV4) == 1, "a packet through the tunnel", 30.0)
        self.assertEqual(core.output().count("default: established  "), 1)
        self.assertEqual(core.output().count("default: moved "), 1)
        self.assertEqual(core.output().count("waiting for one"), 1)
        self.assertEqual((gateway.sa_count(), second.sa_count()), (1, 1))

    def test_a_segw_that_restarts_costs_the_other_connection_no_packet(self):
        self.start_segw()
        second = self.start_management()
        core, management = self.start_both()
        core.wait_for_state("established", seconds=30.0)
        management.wait_for_state("established", seconds=30.0)
        exchange = core.get("Exchange")
        pings = self.starting(Pings(INNER_IPV4))
        pings.process.wait_for("icmp_seq=6 ")
        second.stop()
        management.wait_for_state("waiting", "connecting", seconds=30.0)
        second = self.start_management()
        management.wait_for_state("established", seconds=60.0)
        self.assertEqual(ping(HENB, MANAGEMENT_INNER, count=3), 3)
        sent, lost = pings.stop()
        self.assertGreater(sent, 5)
        self.assertEqual(lost, [])
        self.assertEqual((core.get("State"), core.get("Exchange")), ("established", exchange))
        self.assertEqual(core.get("Totals")["Losses"], 0)

    def test_disconnect_of_one_leaves_the_other(self):
        gateway, second = self.start_segw(), self.start_management()
        core, management = self.start_both()
        core.wait_for_state("established", seconds=30.0)
        management.wait_for_state("established", seconds=30.0)
        operator = self.starting(Operator())
        operator.call("Disconnect", management.path)
        management.wait_for_state("idle", seconds=30.0)
        wait_until(lambda: second.sa_count() == 0, "the Delete", 30.0)
        self.assertEqual(core.get("State"), "established")
        self.assertEqual(ping(HENB, INNER_IPV4, count=3), 3)
        operator.call("Connect", management.path)
        management.wait_for_state("established", seconds=30.0)
        self.assertEqual(gateway.sa_count(), 1)

    def trectl(self, status, *arguments):
        done = subprocess.run([BIN / "trectl", *arguments], capture_output=True, text=True, timeout=60,
                              check=False)
        self.assertEqual(done.returncode, status, done.stdout + done.stderr)
        return done.stdout + done.stderr

    def test_trectl_shows_all_and_tells_the_one_that_is_named(self):
        self.start_segw(), self.start_management()
        core, management = self.start_both()
        core.wait_for_state("established", seconds=30.0)
        management.wait_for_state("established", seconds=30.0)
        self.assertIn("is down", self.trectl(0, "down", "--connection", "management", "--wait"))
        self.assertEqual(core.get("State"), "established")
        said = self.trectl(0, "status")
        self.assertRegex(said, rf"default established, {SEGW_NAME}")
        self.assertRegex(said, r"management idle")
        self.trectl(1, "status", "--connection", "management")
        found = json.loads(self.trectl(0, "status", "--json"))
        self.assertEqual([(each["Name"], each["State"]) for each in found["Connections"]],
                         [("default", "established"), ("management", "idle")])
        self.assertIn(MANAGEMENT_NAME, self.trectl(0, "up", "--connection", "management", "--wait"))
        self.assertIn("no connection other", self.trectl(69, "down", "--connection", "other"))

    def metrics(self):
        """{name with labels: value}"""
        said = self.trectl(0, "metrics")
        return dict(line.rsplit(" ", 1) for line in said.splitlines() if not line.startswith("#"))

    def test_metrics_and_json_have_each_connection_by_its_name(self):
        self.start_segw(), self.start_management()
        core, management = self.start_both()
        core.wait_for_state("established", seconds=30.0)
        management.wait_for_state("established", seconds=30.0)
        self.trectl(0, "down", "--connection", "management", "--wait")
        found = self.metrics()
        self.assertEqual(found['henb_connection_state{connection="default",state="established"}'], "1")
        self.assertEqual(found['henb_connection_state{connection="management",state="idle"}'], "1")
        self.assertEqual(found['henb_ike_established_total{connection="management"}'], "1")
        self.assertEqual(found['henb_connection_established_timestamp_seconds{connection="management"}'], "0")
        self.assertNotIn("henb_ike_established_total", found)
        expiry = 'henb_certificate_expiry_timestamp_seconds{connection="%s",chain="segw"}'
        self.assertIn(expiry % "default", found)
        self.assertNotIn(expiry % "management", found)
        self.trectl(0, "up", "--connection", "management", "--wait")
        self.assertIn(expiry % "management", self.metrics())
        found = json.loads(self.trectl(0, "status", "--json"))
        self.assertEqual({name: exchange["PeerIdentity"] for name, exchange in found["Exchanges"].items()},
                         {"default": SEGW_NAME, "management": MANAGEMENT_NAME})
        self.assertEqual(found["Exchange"]["SpiI"], found["Exchanges"]["default"]["SpiI"])

    def findings(self, *names):
        """What trectl doctor has found: (verdict, connection, text) of each finding of these names."""
        client = write_ini(scratch("doctor") / "ikeclient.conf", {
            f"connection {name}": {"address": SEGW_IPV4} for name in names})
        tred = write_ini(scratch("doctor") / "tred.conf", tred_sections(scratch("doctor"), **{
            "segw": {"allowed-remote": CORE},
            "segw management": {"name": MANAGEMENT_NAME, "allowed-remote": OTHER}}))
        done = subprocess.run([BIN / "trectl", "doctor", "--json", "--config", tred, "--client-config", client,
                               "--tred-net", BIN / "tred-net"],
                              capture_output=True, text=True, timeout=60, check=False)
        found = {}
        for each in json.loads(done.stdout)["findings"]:
            found.setdefault(each["name"], []).append((each["verdict"], each.get("connection"), each["text"]))
        return found

    def test_doctor_has_a_finding_for_each_and_names_it(self):
        self.start_segw(), self.start_management()
        core, management = self.start_both()
        core.wait_for_state("established", seconds=30.0)
        management.wait_for_state("established", seconds=30.0)
        found = self.findings("default", "management", "other")
        self.assertEqual(found["ikeclient"], [
            ("ok", "default", f"runs, and has a tunnel to {SEGW_NAME}"),
            ("ok", "management", f"runs, and has a tunnel to {MANAGEMENT_NAME}")])
        self.assertTrue(found["configuration"][0][2].endswith(f"; the SeGW is {SEGW_NAME}"))
        self.assertTrue(found["configuration"][1][2].endswith(f"; the SeGW of connection management is {MANAGEMENT_NAME}"))
        self.assertEqual([(verdict, name) for verdict, name, _ in found["ikeclient's configuration"]],
                         [("ok", "default"), ("ok", "management"), ("ok", "other"), ("problem", "other")])
        self.assertIn("does not have the section [segw other]", found["ikeclient's configuration"][3][2])
        self.assertTrue(found["ikeclient's configuration"][1][2].endswith(f"; the SeGW is at {SEGW_IPV4}"))
        self.trectl(0, "down", "--connection", "management", "--wait")
        self.assertEqual(self.findings("default")["ikeclient"][1], (
            "warning", "management",
            "runs, and was told to have no tunnel. To have one: trectl up --connection management"))
        self.assertIn("ikeclient, connection management: runs, and was told",
                      run([BIN / "trectl", "doctor"], check=False).stdout)

    def test_watch_shows_the_one_that_is_named(self):
        self.start_segw(), self.start_management()
        core, management = self.start_both()
        core.wait_for_state("established", seconds=30.0)
        management.wait_for_state("established", seconds=30.0)
        watch = self.starting(Process("watch", [BIN / "trectl", "watch", "--interval", "3600",
                                                "--connection", "management"]))
        watch.wait_for(f"SeGW         {MANAGEMENT_NAME}")
        self.trectl(0, "down", "--connection", "management", "--wait")
        watch.wait_for("Connection   idle")
        self.assertIn("no connection other", self.trectl(69, "watch", "--connection", "other"))

    def test_who_is_granted_traffic_of_no_section_of_its_own_is_refused_and_the_other_stays(self):
        self.start_segw(), self.start_management()
        core, management = self.start_both(allowed="10.202.0.0/16")
        core.wait_for_state("established", seconds=30.0)
        wait_until(lambda: "allowed-remote" in management.get("LastError"), "tred's refusal", 30.0)
        self.assertEqual(ping(HENB, INNER_IPV4, count=3), 3)

    def test_failures_are_remembered_for_each_by_its_name(self):
        self.start_segw()
        state = scratch("ikeclient.state")
        core, management = self.start_both(state, **{"retransmit-tries": "1",
                                                     "retransmit-timeout": "200"})
        core.wait_for_state("established", seconds=30.0)
        wait_until(lambda: management.get("LastError"), "a failure", 30.0)
        wait_until((state / "failures-management").exists, "a file of failures", 30.0)
        self.assertIn("failures", (state / "failures-management").read_text())
        self.assertFalse((state / "failures").exists())


class AnchorsTest(LabTest):
    """A connection to a SeGW that some of the anchors alone count for."""

    def start_with(self, of_chain, counts):
        """Two anchors; the SeGW's chain ends in `of_chain`, and `counts` is the one that counts for it."""
        anchors = scratch("anchors") / "anchors.pem"
        anchors.write_bytes(b"".join(root.pem() for root in self.roots))
        self.gateway = self.start_segw(issue_segw(of_chain))
        fingerprint = hashlib.sha256(counts.certificate.public_bytes(Encoding.DER)).hexdigest()
        self.start_tred(**{"segw": {"allowed-remote": "10.199.0.0/16", "anchors": anchors},
                           "segw core": {"name": SEGW_NAME, "allowed-remote": CORE,
                                         "only-anchors": fingerprint}})
        self.client = self.start_client(**{"connection": {"reconnect": "no"}, "connection core": {},
                                           "child": {"remote-ts": CORE}})

    @property
    def roots(self):
        return self.world.operator_root, self.world.vendor_root

    def test_a_segw_is_asked_for_a_certificate_of_the_anchor_that_counts_for_it_alone(self):
        self.start_with(self.world.operator_root, counts=self.world.operator_root)
        self.client.wait_for_state("established", seconds=30.0)
        self.assertRegex(self.gateway.log(), r'received cert request for "?O=Lab, CN=Operator root')
        self.assertNotRegex(self.gateway.log(), r'received cert request for "?O=Lab, CN=Vendor root')
        self.assertIn("CERTREQ x1", self.client.output())

    def test_a_chain_that_leads_to_another_anchor_is_refused(self):
        self.start_with(self.world.operator_root, counts=self.world.vendor_root)
        self.client.wait_for_name()
        wait_until(lambda: self.client.get("LastError"), "a verdict", 30.0)
        self.assertIn("PeerNotTrusted", self.client.output())
        self.assertRegex(self.gateway.log(), r'received cert request for "?O=Lab, CN=Vendor root')
        self.assertNotRegex(self.gateway.log(), r'received cert request for "?O=Lab, CN=Operator root')
        self.assertEqual(self.client.get("State"), "idle")

    def test_both_anchors_are_asked_for_where_no_subset_is_named(self):
        anchors = scratch("anchors") / "anchors.pem"
        anchors.write_bytes(b"".join(root.pem() for root in self.roots))
        gateway, _, client = self.establish(tred={"segw": {"anchors": anchors}})
        self.assertIn("CERTREQ x2", client.output())
        for name in "Operator root", "Vendor root":
            self.assertRegex(gateway.log(), rf'received cert request for "?O=Lab, CN={name}')

    def test_an_anchor_that_is_not_there_is_named_in_the_log(self):
        tred = self.start_tred(segw={"only-anchors": "00" * 32})
        tred.wait_for(r"None of the anchors in .*/segw-anchors.pem is one that only-anchors of \[segw\] names")


class TurnTest(LabTest):
    """Four are started at a time; the others wait for their turns."""

    def setUp(self):
        super().setUp()
        self.starting(Management())
        self.starting(Silence(MANAGEMENT))
        self.start_segw()
        names = ["first", "second", "third", "fourth", "late", "last"]
        self.start_tred(**{"segw": {"allowed-remote": "10.199.0.0/16"}} | {
            f"segw {name}": {"name": SEGW_NAME, "allowed-remote": CORE if name == "last" else f"10.210.{i}.0/24"}
            for i, name in enumerate(names)})
        client = self.start_client(**{"connection": {"reconnect": "yes", "retransmit-timeout": "60000"}} | {
            f"connection {name}": {"address": SEGW_IPV4 if name == "last" else MANAGEMENT_IPV4}
            for name in names})
        *self.under_way, self.late, self.last = (ClientConnection(client, name) for name in names)
        for connection in self.under_way:
            connection.wait_for_state("connecting", seconds=30.0)

    def let_the_turns_come(self):
        operator = self.starting(Operator())
        for connection in self.under_way:
            operator.call("Disconnect", connection.path)
        self.last.wait_for_state("established", "established-no-child", seconds=60.0)
        for connection in self.under_way:
            self.assertEqual(connection.wait_for_state("idle", seconds=30.0), "idle")

    def test_down_before_its_turn_keeps_a_connection_down_until_up(self):
        self.assertEqual((self.late.get("State"), self.last.get("State")), ("idle", "idle"))
        said = run([BIN / "trectl", "down", "--connection", "late", "--wait"]).stdout
        self.assertIn("is down", said)
        self.let_the_turns_come()
        self.assertEqual((self.late.get("State"), self.late.get("Totals")["Attempts"]), ("idle", 0))
        run([BIN / "trectl", "up", "--connection", "late"])
        self.late.wait_for_state("connecting", seconds=30.0)

    def test_doctor_does_not_claim_that_one_before_its_turn_was_told_to_have_no_tunnel(self):
        said = run([BIN / "trectl", "doctor"], check=False).stdout
        self.assertRegex(said, r"warning +ikeclient, connection late: runs, and has no tunnel yet: its turn to start "
                               r"has not come, or it was told to have none\. To have one now: trectl up --connection late")
        run([BIN / "trectl", "up", "--connection", "last", "--wait"])
        run([BIN / "trectl", "down", "--connection", "last", "--wait"])
        said = run([BIN / "trectl", "doctor"], check=False).stdout
        self.assertIn("ikeclient, connection last: runs, and was told to have no tunnel", said)

    def test_up_before_its_turn_begins_one_attempt_and_its_turn_no_other(self):
        run([BIN / "trectl", "up", "--connection", "last", "--wait"])
        self.assertEqual(self.last.get("Totals")["Attempts"], 1)
        self.let_the_turns_come()
        self.late.wait_for_state("connecting", seconds=30.0)
        self.assertEqual(self.last.get("Totals")["Attempts"], 1)


class OneOfThemTest(LabTest):
    def test_a_connection_that_tred_does_not_know_is_refused_by_name(self):
        self.start_segw()
        self.start_tred()
        client = self.start_client(**{"connection default": {}, "connection management": {}})
        core, management = (ClientConnection(client, name) for name in ("default", "management"))
        core.wait_for_state("established", seconds=30.0)
        wait_until(lambda: management.get("LastError"), "tred's refusal", 30.0)
        self.assertIn("tred.conf has no section [segw management]", management.get("LastError"))

    def test_disconnect_while_tred_begins_the_exchange_leaves_none_of_it(self):
        self.start_segw()
        tred = self.start_tred(exchanges={"verify-seconds": "3600"})
        operator = self.starting(Operator())
        client = self.start_client(connection={"reconnect": "yes"})
        client.wait_for_state("established")
        operator.call("Disconnect")
        client.wait_for_state("idle", seconds=30.0)
        wait_until(lambda: tred.exchanges() == [], "the end of the first exchange", 30.0)
        os.kill(tred.pid, signal.SIGSTOP)
        try:
            operator.call("Connect")
            client.wait_for_state("connecting", seconds=30.0)
            operator.call("Disconnect")
            client.wait_for_state("idle", seconds=30.0)
        finally:
            os.kill(tred.pid, signal.SIGCONT)
        tred.wait_for("Exchange 2 begun")
        wait_until(lambda: tred.exchanges() == [], "the end of the second exchange", 30.0)
        self.assertEqual(client.get("State"), "idle")

    def test_disconnect_as_soon_as_the_client_is_on_the_bus_ends_its_first_attempt(self):
        gateway = self.start_segw()
        tred = self.start_tred()
        operator = self.starting(Operator())
        client = self.start_client(connection={"reconnect": "yes", "retry-max": "1"}).wait_for_name()
        operator.call("Disconnect")
        client.wait_for_state("idle", seconds=30.0)
        self.assertLessEqual(client.get("Totals")["Attempts"], 1)
        wait_until(lambda: tred.exchanges() == [], "the end of the exchange", 30.0)
        wait_until(lambda: gateway.sa_count() == 0, "the Delete", 30.0)
        self.assertEqual(client.get("State"), "idle")

    def test_one_connection_alone_is_counted_or_tried_once(self):
        client = self.start_client("--once", **{"connection a": {}, "connection b": {}})
        self.assertEqual(client.wait(30), 78)
        self.assertIn("2 sections [connection NAME]", client.output())
        self.started.remove(client)
        client.killed = True
