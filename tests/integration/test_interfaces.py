"""An interface for each SeGW's tunnel: what is on it, what goes by it, and what becomes of it."""

import os
import re

from lab.case import LabTest
from lab.network import (HENB, INNER_IPV4, MANAGEMENT, MANAGEMENT_INNER, MANAGEMENT_IPV4, SEGW_IPV4,
                         Management)
from lab.pki import issue_segw
from lab.process import BIN, Process, run, wait_until
from lab.programs import ClientConnection, Operator, Tred
from lab.traffic import Pings, ping
from lab.tunnel import helper_of

MANAGEMENT_NAME = "segw.management.example"
CORE, OTHER = f"{INNER_IPV4}/32", f"{MANAGEMENT_INNER}/32"
CORE_POOL, OTHER_POOL = "10.210.0.0/24", "10.211.0.0/24"
BOTH = {"default": "core0", "management": "management0"}


def there(name):
    return run(["ip", "link", "show", name], namespace=HENB, check=False).returncode == 0


def addresses(name):
    """The IPv4 addresses of an interface of the HeNB's."""
    said = run(["ip", "-4", "-o", "address", "show", "dev", name], namespace=HENB).stdout
    return re.findall(r"inet ([0-9.]+)/32", said)


def routes(name):
    """Where the IPv4 routes of an interface of the HeNB's lead."""
    said = run(["ip", "-4", "route", "show", "dev", name], namespace=HENB).stdout
    return sorted(line.split()[0] for line in said.splitlines())


def packets(name):
    """How many packets have left by an interface, and come in."""
    return tuple(int(run(["cat", f"/sys/class/net/{name}/statistics/{way}_packets"], namespace=HENB).stdout)
                 for way in ("tx", "rx"))


class InterfacesTest(LabTest):
    def setUp(self):
        super().setUp()
        self.starting(Management())
        self.credential = issue_segw(self.world.operator_root, name=MANAGEMENT_NAME)
        self.addCleanup(run, ["nft", "delete", "table", "inet", "tred"], namespace=HENB, check=False)

    @staticmethod
    def sections(names, **data_plane):
        """Of tred.conf."""
        def section(of, **keys):
            return {**keys, **({"interface": names[of]} if of in names else {})}

        return {"segw": section("default", **{"allowed-remote": CORE}),
                "segw management": section("management", name=MANAGEMENT_NAME, **{"allowed-remote": OTHER}),
                "data-plane": {"mode": "user", **data_plane}}

    def start_both(self, names=None, pool=OTHER_POOL, **data_plane):
        """Two tunnels, each with the interface that `names` has for it."""
        self.gateway = self.start_segw(pool_ipv4=CORE_POOL)
        self.second = self.start_segw(self.credential, namespace=MANAGEMENT, identity=MANAGEMENT_NAME,
                                      local_ts=OTHER, pool_ipv4=pool)
        self.tred = self.start_tred(**self.sections(BOTH if names is None else names, **data_plane))
        client = self.start_client(**{
            "connection": {"reconnect": "yes", "retry-max": "1"},
            "connection default": {"address": SEGW_IPV4, "remote-ts": CORE},
            "connection management": {"address": MANAGEMENT_IPV4, "remote-ts": OTHER}})
        self.core, self.management = (ClientConnection(client, name) for name in BOTH)

    def both_up(self, **options):
        self.start_both(**options)
        for connection in self.core, self.management:
            connection.wait_for_state("established", seconds=30.0)

    def assert_both_answer(self):
        self.assertEqual(ping(HENB, INNER_IPV4, count=3), 3)
        self.assertEqual(ping(HENB, MANAGEMENT_INNER, count=3), 3)

    def test_each_tunnel_has_its_address_and_routes_on_its_own_interface(self):
        self.both_up()
        for connection, name, far in ((self.core, "core0", INNER_IPV4),
                                      (self.management, "management0", MANAGEMENT_INNER)):
            self.assertEqual([f"{each}/32" for each in addresses(name)], connection.get("Addresses"))
            self.assertEqual(routes(name), [far])
            self.assertEqual(connection.get("Interface"), name)
        self.assertFalse(there("segw0"))
        said = run([BIN / "trectl", "status"]).stdout
        self.assertIn("Interface    core0\n", said)
        self.assertIn(f"management established, {MANAGEMENT_NAME} by management0\n", said)

    def test_what_is_sent_to_each_goes_by_its_own_interface_and_tunnel(self):
        self.both_up()
        for far, own, other in ((INNER_IPV4, "core0", "management0"), (MANAGEMENT_INNER, "management0", "core0")):
            before, others = packets(own), packets(other)
            self.assertEqual(ping(HENB, far, count=3), 3)
            self.assertEqual(packets(own), (before[0] + 3, before[1] + 3))
            self.assertEqual(packets(other), others)

    def test_no_tunnel_carries_what_is_sent_by_the_others_interface(self):
        """Not even with addresses that the other's selectors take in."""
        self.both_up()
        before = packets("management0")[0]
        run(["ping", "-q", "-c", "3", "-i", "0.2", "-W", "1", "-I", "management0", "-I", addresses("core0")[0],
             INNER_IPV4], namespace=HENB, check=False)
        self.assertEqual(packets("management0")[0], before + 3)
        self.assertEqual([child["PacketsOut"] for child in self.tred.children()], [0, 0])
        self.assert_both_answer()
        self.assertEqual([child["PacketsOut"] for child in self.tred.children()], [3, 3])

    def test_the_end_of_one_takes_its_interface_and_leaves_the_others(self):
        self.both_up()
        operator = self.starting(Operator())
        exchange = self.core.get("Exchange")
        operator.call("Disconnect", self.management.path)
        self.management.wait_for_state("idle", seconds=30.0)
        wait_until(lambda: not there("management0"), "the end of management0", 30.0)
        self.assertEqual((self.core.get("Interface"), self.management.get("Interface")), ("core0", ""))
        self.assertEqual(ping(HENB, INNER_IPV4, count=3), 3)
        operator.call("Connect", self.management.path)
        self.management.wait_for_state("established", seconds=30.0)
        self.assert_both_answer()
        self.assertEqual(self.core.get("Exchange"), exchange)
        operator.call("Disconnect", self.core.path)
        wait_until(lambda: not there("core0"), "the end of core0", 30.0)
        self.assertEqual(ping(HENB, MANAGEMENT_INNER, count=3), 3)

    def test_an_interface_that_is_deleted_ends_its_own_tunnel_alone(self):
        self.both_up()
        exchange, ended = self.core.get("Exchange"), self.management.get("Exchange")
        pings = self.starting(Pings(INNER_IPV4))
        pings.process.wait_for("icmp_seq=6 ")
        run(["ip", "link", "del", "management0"], namespace=HENB)
        wait_until(lambda: self.management.get("Exchange") not in ("", "/", ended) and
                   self.management.get("State") == "established", "another tunnel", 60.0)
        self.assertEqual(ping(HENB, MANAGEMENT_INNER, count=3), 3)
        sent, lost = pings.stop()
        self.assertGreater(sent, 5)
        self.assertEqual(lost, [])
        self.assertEqual((self.core.get("State"), self.core.get("Exchange")), ("established", exchange))
        self.assertEqual(self.core.get("Totals")["Losses"], 0)

    def test_segws_that_name_the_same_interface_share_it(self):
        self.both_up(names={"default": "tun7", "management": "tun7"})
        self.assertEqual(routes("tun7"), sorted([INNER_IPV4, MANAGEMENT_INNER]))
        self.assertEqual(len(addresses("tun7")), 2)
        self.assert_both_answer()

    def test_segws_that_name_none_have_the_one_of_the_data_plane(self):
        self.both_up(names={"management": "management0"})
        self.assertEqual(routes("segw0"), [INNER_IPV4])
        self.assertEqual(routes("management0"), [MANAGEMENT_INNER])

    def test_an_inner_address_that_the_other_interface_has_is_refused(self):
        self.start_both(pool=CORE_POOL)
        self.core.client.wait_for_name()
        wait_until(lambda: "established" in (self.core.get("State"), self.management.get("State")), "a tunnel", 30.0)
        refused, taken = ((self.core, "management0") if self.management.get("State") == "established"
                          else (self.management, "core0"))
        wait_until(lambda: "address that another interface of this host has" in refused.get("LastError"), "a refusal", 30.0)
        self.assertEqual(len(addresses(taken)), 1)

    def test_what_belongs_into_a_tunnel_that_is_down_is_dropped_though_the_other_is_up(self):
        run(["ip", "route", "add", "default", "via", MANAGEMENT_IPV4], namespace=HENB)
        self.addCleanup(run, ["ip", "route", "del", "default"], namespace=HENB)
        self.both_up()
        self.assert_both_answer()
        for name in BOTH.values():
            self.assertIn(("oifname", name), self.accepted())
            self.assertIn(("iifname", name), self.accepted())
        wire = self.starting(Process("wire", ["tcpdump", "-i", "second", "-n", "-l", "--immediate-mode", "-Z", "root",
                                              f"icmp and host {MANAGEMENT_INNER}"], namespace=HENB))
        wire.wait_for("listening on")
        operator = self.starting(Operator())
        operator.call("Disconnect", self.management.path)
        wait_until(lambda: not there("management0"), "the end of management0", 30.0)
        self.assertEqual(ping(HENB, MANAGEMENT_INNER, count=2), 0)
        self.assertGreaterEqual(self.tred.get("CleartextDropsOut"), 2)
        self.assertEqual(ping(HENB, INNER_IPV4, count=3), 3)
        self.assertNotIn("ICMP echo request", wire.output())

    def test_both_interfaces_come_back_when_tred_esp_ends(self):
        self.both_up()
        ended = self.core.get("Exchange"), self.management.get("Exchange")
        os.kill(helper_of(self.tred.pid), 9)
        for connection, exchange in zip((self.core, self.management), ended):
            wait_until(lambda c=connection, e=exchange: c.get("Exchange") not in ("", "/", e) and
                       c.get("State") == "established", "another tunnel", 60.0)
        self.assert_both_answer()

    def test_a_crash_of_all_leaves_no_interface_and_no_name_is_kept(self):
        self.both_up()
        self.tred.kill()
        for name in BOTH.values():
            wait_until(lambda n=name: not there(n), f"the end of {name}", 30.0)
        # What a kernel's plane would leave, under a name that the next configuration does not have.
        run(["ip", "link", "add", "old0", "type", "veth", "peer", "name", "old1"], namespace=HENB)
        run(["ip", "link", "set", "old0", "alias", "tred: ESP tunnel to the SeGW"], namespace=HENB)
        self.addCleanup(run, ["ip", "link", "del", "old0"], namespace=HENB, check=False)
        self.starting(Tred(self.world.device("ecdsa-p256"), **self.sections({}))).wait_for_name()
        self.assertFalse(there("old0"))

    @staticmethod
    def rules():
        """Those that protect the tunnels."""
        return run(["nft", "-s", "list", "table", "inet", "tred"], namespace=HENB, check=False).stdout

    def accepted(self):
        """The interfaces by which the rules let all pass, out and in."""
        return re.findall(r'(oifname|iifname) "([^"]*)" accept', self.rules())

    def refused(self, names, **data_plane):
        """What tred says to interfaces with which it does not start."""
        self.starting(self.world.tpm.start())
        self.start_tred_net()
        return self.said_by_refused(names, **data_plane)

    def said_by_refused(self, names, **data_plane):
        tred = Tred(self.world.device("ecdsa-p256"), **self.sections(names, **data_plane))
        self.addCleanup(tred.stop)
        self.assertNotEqual(tred.wait(), 0)
        return tred.output()

    def test_an_interface_of_somebody_elses_is_refused_by_its_name(self):
        self.assertIn("There is an interface wan that tred did not make. Remove it, or choose another name",
                      self.refused({"management": "wan"}))
        self.assertTrue(there("wan"))
        self.assertEqual(self.accepted(), [])

    def test_the_rules_of_before_stay_where_an_interface_is_refused(self):
        self.start_tred(**self.sections(BOTH)).kill()
        before = self.accepted()
        self.assertIn(("oifname", "core0"), before)
        self.assertIn("interface wan that tred did not make", self.said_by_refused({"management": "wan"}))
        self.assertEqual(self.accepted(), before)

    def test_a_name_that_no_interface_can_have_is_refused(self):
        self.assertIn("[segw management] interface is 'a/b', which is no interface's name",
                      self.refused({"management": "a/b"}))
