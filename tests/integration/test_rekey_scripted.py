"""Every collision of RFC 7296 2.8 and 2.25, forced: a SeGW by hand (tests/gateway) holds its messages back until ours
have come, or ours until its own have crossed."""

import re

from lab.bus import Connection
from lab.case import LabTest
from lab.process import wait_until
from lab.programs import EXCHANGE, TRED, Operator
from lab.responder import ScriptedSegw

USER = {"data-plane": {"mode": "user"}}
CREATE, INFORMATIONAL = 36, 37
INVALID_KE_PAYLOAD, NO_ADDITIONAL_SAS, TEMPORARY_FAILURE, CHILD_SA_NOT_FOUND = 17, 35, 43, 44
REKEY_SA = 16393
LOW, HIGH = "00", "ff"  # all octets of a nonce that is below, or above, whatever tred draws


class ScriptedTest(LabTest):
    def tunnel(self, **client):
        """An established tunnel to a SeGW that does what it is told; its first IKE SA is number 1."""
        self.segw = self.starting(ScriptedSegw(self.world.segw_credential()))
        self.tred = self.start_tred(**USER)
        self.client = self.start_client(**client)
        self.client.wait_for_state("established", seconds=30.0)
        self.old, = self.segw.left()[1]
        self.operator = self.starting(Operator())

    def old_spi(self):
        return f"{self.old[0]:08x}"

    def begin(self, method):
        """Our request is at the SeGW, and waits there; its nonce."""
        self.segw.tell("hold")
        self.operator.call(method)
        return self.segw.expect(rf"request \d+ \d+ {CREATE} .*nonce=(\w+)")[1]

    def segw_asks(self, *words):
        """The SeGW asks, and has our answer."""
        self.segw.tell(*words)
        return self.segw.expect(r"response .*")[0]

    def refused(self, answer):
        """The notify in our answer."""
        return int(re.search(r"notify=(\d+)", answer)[1])

    def exchange_spis(self):
        """(SPIi, SPIr) of the one IKE SA that tred has; None while there are more."""
        numbers = self.tred.exchanges()
        if len(numbers) != 1:
            return None
        connection = Connection("nobody")
        try:
            return tuple(connection.get(TRED, f"{self.client.get('Exchange')}", EXCHANGE, name)
                         for name in ("SpiI", "SpiR"))
        finally:
            connection.close()

    def assert_one_left(self, ike=None, child=None):
        """One IKE SA and one pair of Child SAs, the same at both sides, and packets cross both ways by it. `ike` is the
        number of that IKE SA, `child` the SPI that the SeGW receives by."""

        def look():
            ours = [each[:2] for each in self.client.get("ChildSas")]
            spis = self.exchange_spis()
            if len(ours) != 1 or spis is None:
                return None
            ikes, children = self.segw.left()
            same = list(ikes.values()) == [spis] and children == {(ours[0][1], ours[0][0])}
            return (ikes, children) if same else None

        ikes, children = wait_until(look, "one IKE SA and one Child SA at both sides", 30.0)
        (number,), ((spi_in, _),) = ikes, children
        if ike is not None:
            self.assertEqual(number, ike)
        if child is not None:
            self.assertEqual(f"{spi_in:08x}", child)
        self.ping(f"{spi_in:08x}")
        self.assertEqual(self.client.get("State"), "established")
        self.assert_window_of_one()
        return number, f"{spi_in:08x}"

    def ping(self, spi, count=5):
        """Each echo request that the SeGW sends by a Child SA comes back, and by the same."""
        self.segw.tell("ping", spi, count)
        for number in range(1, count + 1):
            self.segw.expect(rf"pong {spi} {number}$")

    def assert_window_of_one(self):
        """RFC 7296 2.3: we never ask before our last request is answered."""
        self.assertNotRegex(self.segw.output(), r"(?m)^beyond ")


class DataPlaneTest(ScriptedTest):
    def test_a_segw_that_rekeys_and_is_deaf_on_the_old_child_at_once_loses_no_packet(self):
        self.tunnel()
        self.ping(self.old_spi())
        self.segw_asks("rekey-child", 1, self.old_spi())
        new = self.segw.expect(r"child (\w+) ")[1]
        self.segw.tell("forget", self.old_spi())
        self.ping(new, 20)
        self.assertNotIn("stray", self.segw.output())
        self.segw_asks("delete-child", 1, self.old_spi())
        self.assert_one_left(1, new)


class ChildCollisionTest(ScriptedTest):
    """RFC 7296 2.8.1"""

    def cross(self, request, answer):
        """Both rekey the same Child SA; the nonces of the SeGW are as given. Returns (the SeGW's new one, ours,
        whether the SeGW's was made by the exchange with the lowest nonce, and whether by the request's)."""
        ours = [self.begin("RekeyChildSas")]
        self.segw.tell("nonce", request)
        said = self.segw_asks("rekey-child", 1, self.old_spi())
        ours.append(re.search(r"nonce=(\w+)", said)[1])
        theirs = self.segw.expect(r"child (\w+) ")[1]
        self.segw.tell("nonce", answer)
        self.segw.tell("release")
        mine = self.segw.expect(r"child (\w+) ")[1]
        exchanges = {"ours": (ours[0], answer * 32), "theirs": (request * 32, ours[1])}
        lowest = min(exchanges, key=lambda name: min(exchanges[name]))
        return theirs, mine, lowest, min(exchanges[lowest]) == exchanges[lowest][0]

    def finish(self, theirs, mine, lowest):
        """Who made the one that is redundant deletes it, and the other one the old one."""
        if lowest == "theirs":
            self.segw.expect(rf"request 1 \d+ {INFORMATIONAL} delete-child {self.old[1]:08x}")
            self.segw_asks("delete-child", 1, theirs)
            stays = mine
        else:
            self.segw.expect(rf"request 1 \d+ {INFORMATIONAL} delete-child")
            self.segw_asks("delete-child", 1, self.old_spi())
            stays = theirs
        self.assert_one_left(1, stays)
        self.old, = self.segw.left()[1]

    def test_the_segws_child_goes_where_its_request_has_the_lowest_nonce(self):
        self.tunnel()
        theirs, mine, lowest, by_request = self.cross(LOW, HIGH)
        self.assertEqual((lowest, by_request), ("theirs", True))
        self.finish(theirs, mine, lowest)

    def test_our_child_goes_where_the_segws_answer_to_it_has_the_lowest_nonce(self):
        self.tunnel()
        theirs, mine, lowest, by_request = self.cross(HIGH, LOW)
        self.assertEqual((lowest, by_request), ("ours", False))
        self.finish(theirs, mine, lowest)

    def test_where_one_of_our_nonces_is_the_lowest_its_childs_exchange_goes(self):
        self.tunnel()
        seen = set()
        while len(seen) < 2:  # chance decides which of ours
            theirs, mine, lowest, by_request = self.cross(HIGH, HIGH)
            seen.add((lowest, by_request))
            self.finish(theirs, mine, lowest)
        self.assertEqual(seen, {("ours", True), ("theirs", False)})

    def test_where_the_segw_sends_by_its_redundant_child_packets_cross_by_ours_after_it(self):
        self.tunnel()
        theirs, mine, _, _ = self.cross(LOW, HIGH)
        self.segw.expect(rf"request 1 \d+ {INFORMATIONAL} delete-child {self.old[1]:08x}")  # it has both
        self.ping(theirs)
        self.segw_asks("delete-child", 1, theirs)
        self.ping(mine, 20)
        self.assertNotIn("stray", self.segw.output())
        self.assert_one_left(1, mine)

    def ours_first(self):
        """The SeGW's request waits on the way while it answers ours, and our Delete of the old one comes; its new one."""
        self.begin("RekeyChildSas")
        self.segw.tell("keep")
        self.segw.tell("rekey-child", 1, self.old_spi())
        self.segw.tell("release\nhold")
        mine = self.segw.expect(r"child (\w+) ")[1]
        self.segw.expect(rf"request 1 \d+ {INFORMATIONAL} delete-child {self.old[1]:08x}")
        return mine

    def test_a_child_that_we_are_deleting_can_not_be_rekeyed_now(self):
        self.tunnel()
        mine = self.ours_first()
        self.assertEqual(self.refused(self.segw_asks("send", 1)), TEMPORARY_FAILURE)
        self.segw.tell("release")
        self.assert_one_left(1, mine)

    def test_a_child_that_we_have_deleted_is_not_found(self):
        self.tunnel()
        mine = self.ours_first()
        self.segw.tell("release")
        self.segw.expect(rf"answered 1 \d+ {INFORMATIONAL} delete-child {self.old_spi()}")
        answer = self.segw_asks("send", 1)
        self.assertEqual(self.refused(answer), CHILD_SA_NOT_FOUND)
        self.assertIn(f"of={self.old[0]:x}", answer)
        self.assert_one_left(1, mine)

    def test_both_delete_the_old_child_at_once_and_neither_says_so_in_its_answer(self):
        self.tunnel()
        mine = self.ours_first()
        self.segw.tell("send", 1)
        self.segw.expect(r"response ")
        self.assertNotIn("delete-child", self.segw_asks("delete-child", 1, self.old_spi()))
        self.segw.tell("release")
        self.assertNotIn("delete-child", self.segw.expect(rf"answered 1 \d+ {INFORMATIONAL}.*")[0])
        self.assert_one_left(1, mine)


class ChildDeleteTest(ScriptedTest):
    """RFC 7296 2.25.1"""

    def test_a_segw_that_deletes_the_child_that_we_rekey_is_connected_to_anew(self):
        self.tunnel(connection={"reconnect": "yes"})
        self.begin("RekeyChildSas")
        answer = self.segw_asks("delete-child", 1, self.old_spi())
        self.assertIn(f"delete-child {self.old[1]:08x}", answer)
        self.segw.tell("refuse", CHILD_SA_NOT_FOUND)
        self.segw.tell("release")
        self.assert_one_left()

    def test_a_child_that_the_segw_has_lost_is_made_from_scratch(self):
        self.tunnel()
        self.segw.tell("forget", self.old_spi())
        self.segw.tell("refuse", CHILD_SA_NOT_FOUND)
        self.operator.call("RekeyChildSas")
        self.segw.expect(rf"answered 1 \d+ {CREATE} notify={CHILD_SA_NOT_FOUND} of={self.old[1]:x}")
        again = self.segw.expect(rf"request 1 \d+ {CREATE} .*")[0]
        self.assertNotIn(f"notify={REKEY_SA}", again)
        self.assert_one_left(1)

    def test_a_segw_without_room_for_another_child_is_authenticated_anew(self):
        self.tunnel()
        self.segw.tell("refuse", NO_ADDITIONAL_SAS)
        self.operator.call("RekeyChildSas")
        self.segw.expect(r"answered 1 .*notify=35")
        self.segw.expect(rf"request 1 \d+ {INFORMATIONAL} delete-ike")
        self.assert_one_left(2)

    def test_a_segw_that_is_busy_is_asked_again(self):
        self.tunnel()
        self.segw.tell("refuse", TEMPORARY_FAILURE)
        self.operator.call("RekeyChildSas")
        self.segw.expect(r"answered 1 .*notify=43")
        self.segw.expect(rf"request 1 \d+ {CREATE} .*notify={REKEY_SA} of={self.old[1]:x}")
        new = self.segw.expect(r"child (\w+) ")[1]
        self.assert_one_left(1, new)


class IkeCollisionTest(ScriptedTest):
    """RFC 7296 2.8.2"""

    def cross(self, request, answer):
        """Both rekey IKE SA 1: (the number of the SeGW's, of ours, whose has the lowest nonce, and whether that is its
        request's)."""
        self.number = getattr(self, "number", 1)
        ours = [self.begin("RekeyIkeSa")]
        self.segw.tell("nonce", request)
        said = self.segw_asks("rekey-ike", self.number, 19)
        ours.append(re.search(r"nonce=(\w+)", said)[1])
        self.segw.tell("nonce", answer)
        theirs = int(self.segw.expect(r"ike (\d+)")[1])
        self.segw.tell("release")
        mine = int(self.segw.expect(r"ike (\d+)")[1])
        exchanges = {"ours": (ours[0], answer * 32), "theirs": (request * 32, ours[1])}
        lowest = min(exchanges, key=lambda name: min(exchanges[name]))
        return theirs, mine, lowest, min(exchanges[lowest]) == exchanges[lowest][0]

    def finish(self, theirs, mine, lowest):
        """Who made the one that is redundant deletes it, and the other one the old one."""
        if lowest == "theirs":
            self.segw.expect(rf"request {self.number} \d+ {INFORMATIONAL} delete-ike")
            self.segw_asks("delete-ike", theirs)
            self.number = mine
        else:
            self.segw.expect(rf"request {mine} 0 {INFORMATIONAL} delete-ike")
            self.segw_asks("delete-ike", self.number)
            self.number = theirs
        self.assert_one_left(self.number, self.old_spi())

    def test_the_segws_ike_sa_goes_where_its_request_has_the_lowest_nonce(self):
        self.tunnel()
        theirs, mine, lowest, by_request = self.cross(LOW, HIGH)
        self.assertEqual((lowest, by_request), ("theirs", True))
        self.finish(theirs, mine, lowest)

    def test_our_ike_sa_goes_where_the_segws_answer_to_it_has_the_lowest_nonce(self):
        self.tunnel()
        theirs, mine, lowest, by_request = self.cross(HIGH, LOW)
        self.assertEqual((lowest, by_request), ("ours", False))
        self.finish(theirs, mine, lowest)

    def test_where_one_of_our_nonces_is_the_lowest_its_ike_sas_exchange_goes(self):
        self.tunnel()
        seen = set()
        while len(seen) < 2:  # chance decides which of ours
            theirs, mine, lowest, by_request = self.cross(HIGH, HIGH)
            seen.add((lowest, by_request))
            self.finish(theirs, mine, lowest)
        self.assertEqual(seen, {("ours", True), ("theirs", False)})


class IkeTest(ScriptedTest):
    """RFC 7296 2.25.2"""

    def assert_ike_rekeyed(self):
        self.segw.expect(r"request 1 \d+ 37 delete-ike")
        return self.assert_one_left(2, self.old_spi())

    def test_a_child_can_not_be_rekeyed_while_we_rekey_the_ike_sa(self):
        self.tunnel()
        self.begin("RekeyIkeSa")
        self.assertEqual(self.refused(self.segw_asks("rekey-child", 1, self.old_spi())), TEMPORARY_FAILURE)
        self.segw.tell("release")
        self.assert_ike_rekeyed()
        self.segw_asks("rekey-child", 2, self.old_spi())
        new = self.segw.expect(r"child (\w+) ")[1]
        self.segw_asks("delete-child", 2, self.old_spi())
        self.assert_one_left(2, new)

    def test_the_ike_sa_can_not_be_rekeyed_while_we_rekey_a_child(self):
        self.tunnel()
        self.begin("RekeyChildSas")
        self.assertEqual(self.refused(self.segw_asks("rekey-ike", 1, 19)), TEMPORARY_FAILURE)
        self.segw.tell("release")
        new = self.segw.expect(r"child (\w+) ")[1]
        self.assert_one_left(1, new)

    def test_an_ike_sa_that_the_segw_deletes_while_we_rekey_it_is_gone_at_both_sides(self):
        self.tunnel()
        self.begin("RekeyIkeSa")
        self.segw_asks("delete-ike", 1)
        self.segw.tell("release")
        self.client.wait_for_state("idle", seconds=30.0)
        wait_until(lambda: self.tred.exchanges() == [], "tred without an IKE SA", 30.0)
        self.assertEqual(self.segw.left(), ({}, set()))

    def test_an_ike_sa_that_we_delete_can_not_be_rekeyed_and_is_gone_at_both_sides(self):
        self.tunnel()
        self.segw.tell("hold")
        self.operator.call("Disconnect")
        self.segw.expect(rf"request 1 \d+ {INFORMATIONAL} delete-ike")
        self.assertEqual(self.refused(self.segw_asks("rekey-ike", 1, 19)), TEMPORARY_FAILURE)
        self.segw.tell("release")
        self.client.wait_for_state("idle", seconds=30.0)
        wait_until(lambda: self.tred.exchanges() == [], "tred without an IKE SA", 30.0)
        self.assertEqual(self.segw.left(), ({}, set()))

    def test_both_delete_the_ike_sa_at_once_and_it_is_gone_at_both_sides(self):
        self.tunnel()
        self.segw.tell("hold")
        self.operator.call("Disconnect")
        self.segw.expect(rf"request 1 \d+ {INFORMATIONAL} delete-ike")
        self.segw_asks("delete-ike", 1)
        self.client.wait_for_state("idle", seconds=30.0)
        wait_until(lambda: self.tred.exchanges() == [], "tred without an IKE SA", 30.0)
        self.assertEqual(self.segw.left(), ({}, set()))

    def test_the_segw_rekeys_the_ike_sa_and_either_side_a_child_in_it(self):
        self.tunnel()
        self.segw_asks("rekey-ike", 1, 19)
        self.segw_asks("delete-ike", 1)
        self.assert_one_left(2, self.old_spi())
        self.operator.call("RekeyChildSas")
        new = self.segw.expect(r"child (\w+) ")[1]
        self.assert_one_left(2, new)
        self.segw_asks("rekey-child", 2, new)
        newer = self.segw.expect(r"child (\w+) ")[1]
        self.segw_asks("delete-child", 2, new)
        self.assert_one_left(2, newer)


GROUPS = {"proposals": "aes128gcm16-prfsha256-ecp256-ecp384"}
ECP_384 = "0014"


class GroupTest(ScriptedTest):
    """RFC 7296 1.3: INVALID_KE_PAYLOAD"""

    def test_a_group_that_the_segw_asks_for_is_taken_for_an_ike_sa(self):
        self.tunnel(ike=GROUPS)
        self.segw.tell("refuse", INVALID_KE_PAYLOAD, ECP_384)
        self.operator.call("RekeyIkeSa")
        self.segw.expect(r"request 1 \d+ 36 .*ke=19")
        self.segw.expect(r"request 1 \d+ 36 .*ke=20")
        self.segw.expect(r"request 1 \d+ 37 delete-ike")
        self.assert_one_left(2, self.old_spi())

    def test_a_group_that_the_segw_asks_for_is_taken_for_a_child(self):
        self.tunnel(ike=GROUPS, child={"pfs": "yes"})
        self.segw.tell("refuse", INVALID_KE_PAYLOAD, ECP_384)
        self.operator.call("RekeyChildSas")
        self.segw.expect(r"request 1 \d+ 36 .*ke=19")
        self.segw.expect(r"request 1 \d+ 36 .*ke=20")
        new = self.segw.expect(r"child (\w+) ")[1]
        self.assert_one_left(1, new)

    def test_a_segw_with_the_wrong_group_is_asked_for_another(self):
        self.tunnel()
        answer = self.segw_asks("rekey-ike", 1, 14, 19)
        self.assertEqual(self.refused(answer), INVALID_KE_PAYLOAD)
        self.assertIn("data=0013", answer)
        self.segw_asks("rekey-ike", 1, 19)
        self.segw_asks("delete-ike", 1)
        self.assert_one_left(2, self.old_spi())


class MessageTest(ScriptedTest):
    """RFC 7296 2.1, 2.3"""

    def test_a_request_that_comes_again_is_answered_as_before_and_makes_no_other_child(self):
        self.tunnel()
        once = self.segw_asks("rekey-child", 1, self.old_spi())
        new = self.segw.expect(r"child (\w+) ")[1]
        self.assertEqual(self.segw_asks("send", 1), once)
        self.segw_asks("delete-child", 1, self.old_spi())
        self.assert_one_left(1, new)

    def test_a_request_of_ours_that_is_not_answered_is_sent_again_and_makes_one_child(self):
        self.tunnel()
        self.begin("RekeyChildSas")
        self.segw.expect(rf"again 1 2 {CREATE}")
        self.segw.tell("release")
        new = self.segw.expect(r"child (\w+) ")[1]
        self.assert_one_left(1, new)

    def test_we_do_not_ask_before_our_last_request_is_answered(self):
        self.tunnel()
        self.begin("RekeyChildSas")
        self.operator.call("RekeyIkeSa")
        self.segw.expect(rf"again 1 2 {CREATE}")  # it has had time enough to
        self.assert_window_of_one()
        self.segw.tell("release")
        new = self.segw.expect(r"child (\w+) ")[1]
        self.segw.expect(r"request 1 \d+ 37 delete-ike")
        self.assert_one_left(2, new)
