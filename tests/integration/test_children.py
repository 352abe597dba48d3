"""Several Child SAs of our own with a real SeGW (RFC 7296 1.3.1): each with the traffic that it is for."""

import re

from lab.case import LabTest
from lab.network import HENB, INNER_IPV4, SEGW
from lab.process import run, wait_until
from lab.programs import BIN, IkeClient, Operator
from lab.traffic import ping

USER = {"data-plane": {"mode": "user"}}
CORE_IPV4, OAM_IPV4 = "10.201.0.1", "10.202.0.1"
# Further children of the SeGW's one connection, after the end of the one that is there.
_CHILD = """}}
      {name} {{
        local_ts = {network}
        esp_proposals = aes128gcm16
        mode = tunnel
"""


def children_at(gateway):
    """What the SeGW's Child SAs carried, those that are installed alone: {name: [(packets in, packets out)]}."""
    found = {}
    pattern = (r"^ +(\w+): #\d+, reqid \d+, INSTALLED,.*\n(?:.*\n)*?"
               r" +in +[0-9a-f]{8}.*?, +\d+ bytes, +(\d+) packets.*\n"
               r" +out +[0-9a-f]{8}.*?, +\d+ bytes, +(\d+) packets")
    for name, inward, outward in re.findall(pattern, gateway.sas(), re.MULTILINE):
        found.setdefault(name, []).append((int(inward), int(outward)))
    return found


def received_at(gateway):
    """How many packets came in by each of the SeGW's Child SAs: {SPI that they come in by: packets}."""
    found = re.findall(r"^ +in +([0-9a-f]{8}).*?, +\d+ bytes, +(\d+) packets", gateway.sas(), re.MULTILINE)
    return {int(spi, 16): int(packets) for spi, packets in found}


class ChildrenTest(LabTest):
    def network(self, address):
        """An address behind the SeGW."""
        run(["ip", "addr", "add", f"{address}/32", "dev", "lo"], namespace=SEGW)
        self.addCleanup(run, ["ip", "addr", "del", f"{address}/32", "dev", "lo"], namespace=SEGW)

    def tunnel(self, segw_children, first=f"{INNER_IPV4}/32", wide=f"{INNER_IPV4}/32", **children):
        """A tunnel with a Child SA for `first`, and those that are named; `segw_children` are those of the SeGW."""
        self.network(CORE_IPV4)
        self.network(OAM_IPV4)
        lines = "".join(_CHILD.format(name=name, network=network) for name, network in segw_children.items())
        self.gateway, self.tred, self.client = self.establish(
            tred=USER, segw={"local_ts": wide, "child": lines}, child={"remote-ts": first},
            **{f"child {name}": {"remote-ts": network} for name, network in children.items()})

    def named(self):
        return {name: (spi, reason) for name, spi, reason in self.client.get("NamedChildSas")}

    def wait_for_children(self, *names):
        wait_until(lambda: all(self.named()[name][0] != 0 for name in names), "the Child SAs that are configured", 30.0)

    def assert_goes_by(self, address, name):
        """Three packets there and back, by the Child SA of that name at the SeGW and by no other."""
        before = children_at(self.gateway)
        self.assertEqual(ping(HENB, address, count=3), 3)
        after = children_at(self.gateway)
        for child, counted in after.items():
            came = sum(inward for inward, _ in counted) - sum(inward for inward, _ in before[child])
            left = sum(outward for _, outward in counted) - sum(outward for _, outward in before[child])
            self.assertEqual((came, left), (3, 3) if child == name else (0, 0), f"by {child}: {before} {after}")

    def both(self):
        self.tunnel({"core": f"{CORE_IPV4}/32", "oam": f"{OAM_IPV4}/32"}, core=f"{CORE_IPV4}/32", oam=f"{OAM_IPV4}/32")
        self.wait_for_children("core", "oam")

    def assert_all_carry(self):
        for address, name in ((INNER_IPV4, "net"), (CORE_IPV4, "core"), (OAM_IPV4, "oam")):
            self.assert_goes_by(address, name)

    def test_each_child_carries_what_it_is_for(self):
        self.both()
        self.assert_all_carry()
        self.assertEqual(self.client.output().count("established  "), 1)
        self.assertEqual(self.gateway.sa_count(), 1)

    def test_each_child_is_rekeyed_and_goes_on_carrying_what_it_is_for(self):
        self.both()
        before = {row[0] for row in self.client.get("ChildSas")}
        self.starting(Operator()).call("RekeyChildSas")
        wait_until(lambda: len(self.client.get("ChildSas")) == 3
                   and not before & {row[0] for row in self.client.get("ChildSas")}, "three new Child SAs", 30.0)
        wait_until(lambda: sorted(map(len, children_at(self.gateway).values())) == [1, 1, 1], "as many at the SeGW", 30.0)
        self.wait_for_children("core", "oam")
        self.assert_all_carry()

    def test_a_child_that_the_segw_rekeys_keeps_its_name(self):
        self.both()
        spi = self.named()["core"][0]
        self.gateway.control("--rekey", "--child", "core")
        wait_until(lambda: self.named()["core"][0] not in (0, spi) and len(self.client.get("ChildSas")) == 3,
                   "a new Child SA of that name", 30.0)
        self.assert_all_carry()

    def test_the_children_go_over_to_a_new_ike_sa(self):
        self.both()
        named = self.named()
        self.starting(Operator()).call("RekeyIkeSa")
        self.client.wait_for("the IKE SA that was replaced is gone", 30.0)
        self.assertEqual(self.named(), named)
        self.assert_all_carry()

    def test_a_child_that_the_segw_deletes_comes_back(self):
        self.both()
        spi = self.named()["core"][0]
        self.gateway.control("--terminate", "--child", "core")
        wait_until(lambda: self.named()["core"][0] not in (0, spi), "another Child SA of that name", 30.0)
        wait_until(lambda: len(children_at(self.gateway).get("core", [])) == 1, "one at the SeGW", 30.0)
        self.assert_all_carry()
        self.assertEqual(self.client.output().count("established  "), 1)

    def test_the_first_child_comes_back_while_others_are_left(self):
        self.both()
        self.gateway.control("--terminate", "--child", "net")
        wait_until(lambda: len(children_at(self.gateway).get("net", [])) == 1
                   and len(self.client.get("ChildSas")) == 3, "another first Child SA", 30.0)
        self.assert_all_carry()
        self.assertEqual(self.client.output().count("established  "), 1)
        self.assertEqual(self.client.get("State"), "established")

    def test_a_child_that_the_segw_refuses_is_said_and_does_not_harm_the_others(self):
        self.tunnel({"core": f"{CORE_IPV4}/32"}, core=f"{CORE_IPV4}/32", oam=f"{OAM_IPV4}/32")
        self.wait_for_children("core")
        wait_until(lambda: "TS_UNACCEPTABLE" in self.named()["oam"][1], "what became of the other one", 30.0)
        self.client.wait_for(r"\[child oam\] can't be had.*TS_UNACCEPTABLE")
        self.assertEqual(self.named()["oam"][0], 0)
        self.assertEqual(self.client.get("State"), "established")
        self.assert_goes_by(INNER_IPV4, "net")
        self.assert_goes_by(CORE_IPV4, "core")

    def test_the_narrower_child_carries_what_a_wider_one_could_even_when_that_is_newer(self):
        self.tunnel({"core": f"{CORE_IPV4}/32"}, first="10.200.0.0/15", wide="10.200.0.0/15", core=f"{CORE_IPV4}/32")
        self.wait_for_children("core")
        self.assert_goes_by(CORE_IPV4, "core")
        self.gateway.control("--rekey", "--child", "net")
        wait_until(lambda: len(self.client.get("ChildSas")) == 2
                   and len(re.findall("rekeyed", self.client.output())) == 1, "a newer wide Child SA", 30.0)
        self.assert_goes_by(CORE_IPV4, "core")
        self.assert_goes_by(INNER_IPV4, "net")

    def test_the_device_does_not_take_a_child_that_its_policy_forbids(self):
        self.network(CORE_IPV4)
        lines = _CHILD.format(name="core", network=f"{CORE_IPV4}/32")
        self.gateway, self.tred, self.client = self.establish(
            tred={"data-plane": {"mode": "user", "allowed-remote": "10.200.0.0/16"}},
            segw={"local_ts": f"{INNER_IPV4}/32", "child": lines}, child={"remote-ts": f"{INNER_IPV4}/32"},
            **{"child core": {"remote-ts": f"{CORE_IPV4}/32"}})
        wait_until(lambda: "SelectorsNotAllowed" in self.named()["core"][1], "what became of the other one", 30.0)
        wait_until(lambda: "core" not in children_at(self.gateway), "a Delete at the SeGW", 30.0)
        self.assertEqual(self.client.get("State"), "established")
        self.assert_goes_by(INNER_IPV4, "net")


BEST_EFFORT, AF41, EF = 0, 34, 46


class DscpTest(LabTest):
    """Several Child SAs of the same selectors, of which ours chooses by DSCP (RFC 4301 4.1)."""

    def tunnel(self, segw_child="", **children):
        self.gateway, self.tred, self.client = self.establish(
            tred=USER, segw={"child": segw_child}, **{f"child {name}": {"dscp": dscps} for name, dscps in children.items()})

    def spi_in(self, name):
        return next(spi for child, spi, _ in self.client.get("NamedChildSas") if child == name)

    def voice(self, segw_child=""):
        """A tunnel with a Child SA for EF beside the first; `segw_child` is another one of the SeGW's."""
        self.tunnel(segw_child, voice="ef, voice-admit")
        wait_until(lambda: self.spi_in("voice") != 0, "the Child SA for EF", 30.0)

    def child(self, spi_in):
        return next(child for child in self.tred.children() if child["SpiIn"] == spi_in)

    def first(self):
        return next(child["SpiIn"] for child in self.tred.children() if child["Dscps"] == 0)

    def assert_leaves_by(self, spi_in, dscp):
        """Three packets with that DSCP leave by that Child SA and by no other, as both ends have counted."""
        def sent():
            return {child["SpiOut"]: child["PacketsOut"] for child in self.tred.children()}

        before = sent(), received_at(self.gateway)
        self.assertEqual(ping(HENB, INNER_IPV4, count=3, dscp=dscp), 3)
        after = sent(), received_at(self.gateway)
        chosen = self.child(spi_in)["SpiOut"]
        for counted, was in zip(after, before):
            grown = {spi: packets - was.get(spi, 0) for spi, packets in counted.items()}
            self.assertEqual({spi: n for spi, n in grown.items() if n}, {chosen: 3}, f"{before} {after}")

    def assert_each_goes_its_way(self):
        voice = self.spi_in("voice")
        self.assertEqual(self.child(voice)["Dscps"], 1 << EF | 1 << 44)
        self.assert_leaves_by(voice, EF)
        self.assert_leaves_by(self.first(), AF41)
        self.assert_leaves_by(self.first(), BEST_EFFORT)
        self.assert_leaves_by(voice, 44)

    def test_ef_leaves_by_the_child_that_is_named_for_it_and_all_else_by_the_first(self):
        self.voice()
        self.assert_each_goes_its_way()
        self.assertEqual(self.gateway.sa_count(), 1)

    def test_the_status_says_which_child_sends_what(self):
        self.voice()
        said = run([BIN / "trectl", "status"], check=False).stdout
        self.assertIn(f"{self.spi_in('voice'):08x} in", said)
        self.assertIn(", sends DSCP VOICE-ADMIT, EF", said)

    def test_a_child_for_dscps_is_rekeyed_by_us_and_keeps_them(self):
        self.voice()
        before = {row[0] for row in self.client.get("ChildSas")}
        self.starting(Operator()).call("RekeyChildSas")
        wait_until(lambda: len(self.client.get("ChildSas")) == 2
                   and not before & {row[0] for row in self.client.get("ChildSas")}, "two new Child SAs", 30.0)
        wait_until(lambda: len(self.tred.children()) == 2 and len(received_at(self.gateway)) == 2, "no others", 30.0)
        self.assert_each_goes_its_way()

    def test_a_child_for_dscps_is_rekeyed_by_the_segw_and_keeps_them(self):
        self.voice()
        before = {row[0] for row in self.client.get("ChildSas")}
        self.gateway.control("--rekey", "--child", "net")  # both have that name there
        wait_until(lambda: len(self.client.get("ChildSas")) == 2
                   and not before & {row[0] for row in self.client.get("ChildSas")}, "two new Child SAs", 30.0)
        wait_until(lambda: len(self.tred.children()) == 2 and len(received_at(self.gateway)) == 2, "no others", 30.0)
        self.assert_each_goes_its_way()

    def test_a_child_for_dscps_goes_over_to_a_new_ike_sa_with_them(self):
        self.voice()
        voice = self.spi_in("voice")
        self.starting(Operator()).call("RekeyIkeSa")
        self.client.wait_for("the IKE SA that was replaced is gone", 30.0)
        self.assertEqual(self.spi_in("voice"), voice)
        self.assert_each_goes_its_way()
        self.starting(Operator()).call("RekeyChildSas")
        wait_until(lambda: self.spi_in("voice") not in (0, voice) and len(self.tred.children()) == 2
                   and len(received_at(self.gateway)) == 2, "a Child SA in its place", 30.0)
        self.assert_each_goes_its_way()

    def test_the_newest_of_two_children_that_the_segw_makes_sends_what_no_child_is_named_for(self):
        self.voice(_CHILD.format(name="other", network=f"{INNER_IPV4}/32"))
        first = self.first()
        self.gateway.control("--initiate", "--child", "other")
        wait_until(lambda: len(self.tred.children()) == 3, "another Child SA of the SeGW's", 30.0)
        newest, = (child["SpiIn"] for child in self.tred.children() if child["SpiIn"] not in (first, self.spi_in("voice")))
        self.assert_leaves_by(newest, AF41)
        self.assert_leaves_by(self.spi_in("voice"), EF)

    def test_a_dscp_of_two_children_is_refused_with_both_names(self):
        self.start_segw()
        self.start_tred()
        client = IkeClient(**{"child voice": {"dscp": "ef"}, "child video": {"dscp": "af41, 46"}})
        self.assertNotEqual(client.wait(), 0)
        self.assertRegex(client.output(), r"\[child voice\] and \[child video\] both have \"dscp\" EF")
