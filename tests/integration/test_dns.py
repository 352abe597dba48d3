"""The SeGW's DNS servers in systemd-resolved: while there is a tunnel, for the domains named, and not longer."""

from lab.bus import Bus
from lab.case import LabTest
from lab.network import (HENB, INNER_IPV4, MANAGEMENT, MANAGEMENT_INNER, MANAGEMENT_IPV4, SEGW_IPV4,
                         Management)
from lab.pki import issue_segw
from lab.process import BIN, Process, run, scratch, wait_until
from lab.programs import ClientConnection, Operator, tred_sections, write_ini
from lab.resolved import Resolved, allow_on_the_bus
from lab.standin import StandinClient

DNS = "0ac80035"  # 10.200.0.53, as the SeGW has it
SERVERS = f"[(2, '{DNS}')]"


class DnsCase(LabTest):
    def setUp(self):
        super().setUp()
        self.bus.stop()
        allow_on_the_bus()
        self.starting(Bus())
        self.resolved = self.starting(Resolved())

    def follow(self, *more, **sections):
        directory = scratch("dns")
        configuration = write_ini(directory / "tred.conf", tred_sections(directory, **sections))
        return self.starting(Process("dns", [BIN / "trectl", "dns", "--config", configuration, "--domain",
                                             "operator.example", "--domain", "3gppnetwork.org", *more],
                                     namespace=HENB))

    def calls_named(self):
        return [name for name, _ in self.resolved.calls()]

    def wait_for_calls(self, count):
        wait_until(lambda: len(self.resolved.calls()) >= count, f"{count} calls")
        return self.resolved.calls()


class DnsTest(DnsCase):
    def tunnel(self):
        self.segw, _, client = self.establish(tred={"data-plane": {"mode": "user"}}, child={"request-address": "ipv4"})
        return client

    def test_servers_are_handed_over_with_the_tunnel_and_taken_back_with_it(self):
        self.tunnel()
        self.follow()
        index = run(["cat", "/sys/class/net/segw0/ifindex"], namespace=HENB, check=False).stdout.strip()
        calls = self.wait_for_calls(3)
        self.assertEqual([name for name, _ in calls], ["SetLinkDefaultRoute", "SetLinkDomains", "SetLinkDNS"])
        self.assertTrue(calls[0][1].endswith(" False"))
        self.assertTrue(calls[1][1].endswith("[('operator.example', True), ('3gppnetwork.org', True)]"))
        self.assertTrue(calls[2][1].endswith(SERVERS), calls)
        self.assertEqual(len({told.split()[0] for _, told in calls}), 1)
        if index.isdigit():
            self.assertEqual(calls[2][1].split()[0], index)
        run([BIN / "trectl", "down", "--wait"])
        run([BIN / "trectl", "up", "--wait"])
        # The interface went with the tunnel, and took the servers along; the next one is told anew.
        wait_until(lambda: [name for name, _ in self.resolved.calls()].count("SetLinkDNS") == 2, "the servers again")

    def test_what_has_not_changed_is_not_told_again(self):
        client = self.tunnel()
        self.follow()
        self.wait_for_calls(3)
        operator = self.starting(Operator())
        operator.call("Connect")  # anew, over the same interface with the same servers
        wait_until(lambda: client.get("Totals")["Established"] == 2, "the second IKE SA")
        run([BIN / "trectl", "status"])
        self.assertEqual(len(self.resolved.calls()), 3)

    def test_of_servers_that_change_nothing_is_taken_back_first(self):
        self.tunnel()
        self.follow()
        self.wait_for_calls(3)
        self.segw.change_dns("10.200.0.54, 10.200.0.53")
        self.starting(Operator()).call("Connect")  # anew, over the same interface
        wait_until(lambda: self.calls_named().count("SetLinkDNS") == 2, "the other servers", 30.0)
        self.assertEqual(self.calls_named(), ["SetLinkDefaultRoute", "SetLinkDomains", "SetLinkDNS", "SetLinkDNS"])
        self.assertTrue(self.resolved.calls()[-1][1].endswith(f"[(2, '0ac80036'), (2, '{DNS}')]"))

    def test_a_follower_that_is_stopped_takes_the_servers_back(self):
        self.tunnel()
        follower = self.follow()
        self.wait_for_calls(3)
        follower.stop()
        self.assertEqual(follower.popen.returncode, 0)
        self.assertEqual(self.resolved.calls()[-1][0], "RevertLink")

    def test_another_resolved_is_told_what_the_one_before_was(self):
        self.tunnel()
        self.follow()
        self.wait_for_calls(3)
        self.resolved.stop()
        self.resolved = self.starting(Resolved())
        self.assertEqual(self.wait_for_calls(3)[2][0], "SetLinkDNS")

    def test_without_a_tunnel_nothing_is_told(self):
        client = self.tunnel()
        self.starting(Operator()).call("Disconnect")
        client.wait_for_state("idle")
        follower = self.follow()
        run([BIN / "trectl", "status"], check=False)
        self.assertTrue(follower.running())
        self.assertEqual(self.resolved.calls(), [])

    def test_a_domain_must_be_named(self):
        done = run([BIN / "trectl", "dns"], check=False)
        self.assertEqual(done.returncode, 64)
        self.assertIn("--domain is missing", done.stdout)

    def test_a_configuration_that_can_not_be_read_is_named(self):
        done = run([BIN / "trectl", "dns", "--domain", "operator.example", "--config", "/nowhere/tred.conf"],
                   check=False)
        self.assertEqual(done.returncode, 78)
        self.assertIn("/nowhere/tred.conf", done.stdout)


def index_of(interface):
    return run(["ip", "-o", "link", "show", "dev", interface], namespace=HENB).stdout.partition(":")[0]


class LinkTest(DnsCase):
    """An ikeclient that was taken over names links of the host, which root's orders would hold for as well."""

    def assert_refuses_wan(self, follower):
        follower.wait_for("ikeclient says that its traffic goes by the interface 'wan', and .*/tred.conf names no such "
                          "one")

    def test_a_link_that_the_configuration_does_not_name_is_refused_by_its_name_and_left_alone(self):
        self.starting(StandinClient("established@wan"))
        follower = self.follow()
        self.assert_refuses_wan(follower)
        follower.stop()  # whatever it tells was told by then
        self.assertEqual(follower.popen.returncode, 0)
        self.assertEqual(self.resolved.calls(), [])

    def test_one_that_a_segws_section_names_is_not(self):
        self.starting(StandinClient("established@wan"))
        follower = self.follow(**{"segw management": {"name": "segw.management.example", "interface": "wan",
                                                      "allowed-remote": f"{MANAGEMENT_INNER}/32"},
                                  "segw": {"allowed-remote": f"{INNER_IPV4}/32"}})
        self.assertEqual(self.wait_for_calls(3)[2], ("SetLinkDNS", f"{index_of('wan')} {SERVERS}"))
        self.assertNotIn("ikeclient says", follower.output())

    def test_what_was_told_of_a_tunnel_is_taken_back_when_another_link_is_named(self):
        self.starting(StandinClient("established@home", "established@wan"))
        follower = self.follow(**{"data-plane": {"interface": "home"}})
        self.assert_refuses_wan(follower)
        calls = self.wait_for_calls(4)
        self.assertEqual([name for name, _ in calls],
                         ["SetLinkDefaultRoute", "SetLinkDomains", "SetLinkDNS", "RevertLink"])
        self.assertEqual({told.split()[0] for _, told in calls}, {index_of("home")})
        follower.stop()
        self.assertEqual(len(self.resolved.calls()), 4)


class SeveralTest(DnsCase):
    """Two connections, whose SeGWs each assign a server."""

    def both(self):
        self.starting(Management())
        name = "segw.management.example"
        self.start_segw()
        self.start_segw(issue_segw(self.world.operator_root, name=name), namespace=MANAGEMENT, identity=name,
                        local_ts=f"{MANAGEMENT_INNER}/32", dns_ipv4="10.201.0.53")
        self.start_tred(**{"segw": {"allowed-remote": f"{INNER_IPV4}/32"},
                           "segw management": {"name": name, "allowed-remote": f"{MANAGEMENT_INNER}/32"},
                           "data-plane": {"mode": "user"}})
        client = self.start_client(**{
            "connection default": {"address": SEGW_IPV4, "remote-ts": f"{INNER_IPV4}/32"},
            "connection management": {"address": MANAGEMENT_IPV4, "remote-ts": f"{MANAGEMENT_INNER}/32"}})
        both = [ClientConnection(client, each) for each in ("default", "management")]
        for connection in both:
            connection.wait_for_state("established", seconds=30.0)
        return both

    def wait_for_servers(self, *servers):
        text = "[" + ", ".join(f"(2, '{each}')" for each in servers) + "]"

        def look():
            told = [arguments for name, arguments in self.resolved.calls() if name == "SetLinkDNS"]
            return told and told[-1].endswith(text)

        wait_until(look, f"the servers {text}", 30.0)

    def test_the_servers_of_one_connection_are_told_and_no_others(self):
        self.both()
        self.follow()
        self.wait_for_servers("0ac80035")
        run([BIN / "trectl", "down", "--connection", "default", "--wait"])
        wait_until(lambda: "RevertLink" in self.calls_named(), "its servers to be taken back", 30.0)
        self.assertEqual(self.calls_named().count("SetLinkDNS"), 1)

    def test_the_connection_can_be_named(self):
        self.both()
        self.follow("--connection", "management")
        self.wait_for_servers("0ac90035")
        run([BIN / "trectl", "down", "--connection", "default", "--wait"])
        run([BIN / "trectl", "down", "--connection", "management", "--wait"])
        run([BIN / "trectl", "up", "--connection", "management", "--wait"])
        wait_until(lambda: self.calls_named().count("SetLinkDNS") == 2, "the servers again", 30.0)
        self.wait_for_servers("0ac90035")

    def test_a_connection_that_ikeclient_does_not_have_is_said_once_and_waited_for(self):
        self.both()
        follower = self.follow("--connection", "other")
        follower.wait_for("ikeclient has no connection other")
        run([BIN / "trectl", "down", "--connection", "default", "--wait"])
        run([BIN / "trectl", "up", "--connection", "default", "--wait"])
        self.assertTrue(follower.running())
        self.assertEqual(follower.output().count("has no connection other"), 1)
        self.assertEqual(self.resolved.calls(), [])
