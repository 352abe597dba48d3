"""Several Child SAs with a SeGW by hand: what holds of one in RFC 7296 2.8 and 2.25 holds of each, and each keeps the
DSCPs that it is for."""

import re

from lab.network import HENB, INNER_IPV4
from lab.process import run, wait_until
from lab.scripted import CREATE, HIGH, INFORMATIONAL, LOW, REKEY_SA, TEMPORARY_FAILURE, ScriptedTest

BEST_EFFORT, EF = 0, 46


class TwoChildrenTest(ScriptedTest):
    def two(self, *before):
        """A tunnel of two Child SAs, the second one for EF. `before` are commands to the SeGW, before all."""
        self.segw_and_tred()
        for command in before:
            self.segw.tell(command)
        self.client_of_segw(**{"child voice": {"dscp": "ef"}})
        self.client.wait_for_state("established", seconds=30.0)
        wait_until(lambda: self.voice() is not None and len(self.segw.left()[1]) == 2, "two Child SAs", 30.0)

    def pairs(self):
        """Of ikeclient's Child SAs: {SPI that it receives by: SPI that the SeGW receives by}."""
        return {row[0]: row[1] for row in self.client.get("ChildSas")}

    def voice(self):
        """The SPI that the SeGW receives EF by, or None."""
        named = {name: spi for name, spi, _ in self.client.get("NamedChildSas")}
        return self.pairs().get(named.get("voice"))

    def first(self):
        """The SPI that the SeGW receives all else by."""
        spi, = set(self.pairs().values()) - {self.voice()}
        return spi

    def assert_goes_by(self, spi, dscp):
        run(["ping", "-c", "1", "-W", "0.1", "-Q", dscp << 2, INNER_IPV4], namespace=HENB, check=False)
        self.assertEqual(self.segw.expect(r"(?:packet|stray) (\w+)")[0], f"packet {spi:08x}")

    def assert_two_left(self, ike, without=()):
        """One IKE SA with that number and two Child SAs, the same at both sides, none of them among `without`; and each
        has its packets."""

        def same():
            pairs, spis, voice = self.pairs(), self.exchange_spis(), self.voice()
            if len(pairs) != 2 or spis is None or voice is None or set(pairs.values()) & set(without):
                return False
            return self.segw.left() == ({ike: spis}, {(theirs, ours) for ours, theirs in pairs.items()})

        wait_until(same, "one IKE SA and two Child SAs at both sides", 30.0)
        self.segw.read = len(self.segw.output().split("\n")) - 1  # packets from here on
        self.assert_goes_by(self.voice(), EF)
        self.assert_goes_by(self.first(), BEST_EFFORT)
        self.assertEqual(self.client.get("State"), "established")
        self.assert_window_of_one()

    def begin_with(self, spi):
        """Our request to rekey that Child SA is at the SeGW and waits there, those before it being answered; its nonce."""
        ours, = [each for each, theirs in self.pairs().items() if theirs == spi]
        self.segw.tell("hold")
        self.operator.call("RekeyChildSas")
        while True:
            said = self.segw.expect(rf"request \d+ \d+ (?:{CREATE}|{INFORMATIONAL}) .*")[0]
            if f"notify={REKEY_SA} of={ours:x}" in said:
                return re.search(r"nonce=(\w+)", said)[1]
            self.segw.tell("release\nhold")


class IkeTest(TwoChildrenTest):
    """RFC 7296 2.8.2, 2.25.2"""

    def test_both_children_go_over_to_ours_of_two_ike_sas_that_are_made_at_once(self):
        self.two()
        children = set(self.pairs().values())
        theirs, mine, lowest, _ = self.cross_ike(LOW, HIGH)
        self.assertEqual(lowest, "theirs")
        self.assert_two_left(self.finish_ike(theirs, mine, lowest))
        self.assertEqual(set(self.pairs().values()), children)

    def test_both_children_go_over_to_the_segws_of_two_ike_sas_that_are_made_at_once(self):
        self.two()
        children = set(self.pairs().values())
        theirs, mine, lowest, _ = self.cross_ike(HIGH, LOW)
        self.assertEqual(lowest, "ours")
        self.assert_two_left(self.finish_ike(theirs, mine, lowest))
        self.assertEqual(set(self.pairs().values()), children)

    def test_neither_child_can_be_rekeyed_while_we_rekey_the_ike_sa_and_both_can_afterwards(self):
        self.two()
        children = self.first(), self.voice()
        self.begin("RekeyIkeSa")
        for spi in children:
            self.assertEqual(self.refused(self.segw_asks("rekey-child", 1, f"{spi:08x}")), TEMPORARY_FAILURE)
        self.segw.tell("release")
        self.segw.expect(rf"request 1 \d+ {INFORMATIONAL} delete-ike")
        self.assert_two_left(2)
        for spi in children:
            self.segw_asks("rekey-child", 2, f"{spi:08x}")
            self.segw.expect(r"child ")
            self.segw_asks("delete-child", 2, f"{spi:08x}")
        self.assert_two_left(2, children)

    def test_the_ike_sa_can_not_be_rekeyed_while_we_rekey_either_child(self):
        self.two()
        children = self.first(), self.voice()
        self.segw.tell("hold")
        self.operator.call("RekeyChildSas")
        rekeyed = 0
        while rekeyed < 2:
            said = self.segw.expect(rf"request 1 \d+ (?:{CREATE}|{INFORMATIONAL}) .*")[0]
            self.assertEqual(self.refused(self.segw_asks("rekey-ike", 1, 19)), TEMPORARY_FAILURE)
            rekeyed += f"notify={REKEY_SA}" in said
            self.segw.tell("release" if rekeyed == 2 else "release\nhold")
        self.assert_two_left(1, children)

    def test_a_child_that_the_segw_deletes_while_we_rekey_the_ike_sa_comes_back_in_the_new_one(self):
        self.two()
        first, voice = self.first(), self.voice()
        self.begin("RekeyIkeSa")
        self.segw_asks("delete-child", 1, f"{voice:08x}")
        self.segw.tell("release")
        self.segw.expect(rf"request 2 \d+ {CREATE} ")
        self.assert_two_left(2, [voice])
        self.assertEqual(self.first(), first)


class ChildTest(TwoChildrenTest):
    """RFC 7296 2.8.1, 2.25.1"""

    def test_the_segw_rekeys_one_child_while_we_rekey_the_other(self):
        self.two()
        first, voice = self.first(), self.voice()
        self.begin_with(first)
        self.segw_asks("rekey-child", 1, f"{voice:08x}")
        self.segw.expect(r"child ")
        self.segw.tell("release")
        self.segw.expect(r"child ")
        self.segw_asks("delete-child", 1, f"{voice:08x}")
        self.assert_two_left(1, [first, voice])

    def cross(self, request, answer):
        """Both rekey the Child SA for EF; the nonces of the SeGW are as given. Returns its new one and ours."""
        voice = f"{self.voice():08x}"
        self.begin_with(int(voice, 16))
        self.segw.tell("nonce", request)
        self.segw_asks("rekey-child", 1, voice)
        theirs = self.segw.expect(r"child (\w+) ")[1]
        self.segw.tell("nonce", answer)
        self.segw.tell("release")
        return voice, theirs, self.segw.expect(r"child (\w+) ")[1]

    def test_of_two_that_are_made_at_once_ours_has_the_dscps_where_the_segws_goes(self):
        self.two()
        voice, theirs, mine = self.cross(LOW, HIGH)
        self.segw.expect(rf"request 1 \d+ {INFORMATIONAL} delete-child")
        self.segw_asks("delete-child", 1, theirs)
        self.assert_two_left(1, [int(voice, 16), int(theirs, 16)])
        self.assertEqual(f"{self.voice():08x}", mine)

    def test_of_two_that_are_made_at_once_the_segws_has_the_dscps_where_ours_goes(self):
        self.two()
        voice, theirs, mine = self.cross(HIGH, LOW)
        self.segw.expect(rf"request 1 \d+ {INFORMATIONAL} delete-child")
        self.segw_asks("delete-child", 1, voice)
        self.assert_two_left(1, [int(voice, 16), int(mine, 16)])
        self.assertEqual(f"{self.voice():08x}", theirs)

    def test_a_busy_segw_is_asked_for_the_other_child_again(self):
        self.two(f"refuse {TEMPORARY_FAILURE}")
        self.assertRegex(self.segw.output(), rf"(?m)^answered 1 \d+ {CREATE} notify={TEMPORARY_FAILURE}$")
        self.assert_two_left(1)
