"""Several Child SAs of our own with a real SeGW (RFC 7296 1.3.1): each with the traffic that it is for."""

import re

from lab.case import LabTest
from lab.network import HENB, INNER_IPV4, SEGW
from lab.process import run, wait_until
from lab.programs import Operator
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
