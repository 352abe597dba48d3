"""Every collision of RFC 7296 2.8 and 2.25, forced: a SeGW by hand (tests/gateway) holds its messages back until ours
have come, or ours until its own have crossed."""

import re

from lab.network import SEGW
from lab.process import run, wait_until
from lab.scripted import (CHILD_SA_NOT_FOUND, CREATE, HIGH, INFORMATIONAL, INVALID_KE_PAYLOAD, LOW, NO_ADDITIONAL_SAS,
                          NO_PROPOSAL_CHOSEN, REKEY_SA, TEMPORARY_FAILURE, ScriptedTest)


# IKE messages from the HeNB don't come; ESP does.
_UNHEARD = """
table ip unheard {
  chain in {
    type filter hook input priority filter
    udp dport 4500 @th,64,32 0 drop
  }
}
"""


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

    def test_nothing_is_sent_by_our_redundant_child_any_more_while_it_is_deleted(self):
        self.tunnel()
        theirs, mine, _, _ = self.cross(HIGH, LOW)
        self.tred.wait_for(rf"Child SA {self.old[1]:08x} sends from now on")
        self.segw.expect(rf"request 1 \d+ {INFORMATIONAL} delete-child")
        self.ping(self.old_spi(), 20)
        self.assertNotIn(f"pong {mine}", self.segw.output())
        self.assertNotIn("stray", self.segw.output())
        self.segw_asks("delete-child", 1, self.old_spi())
        self.assert_one_left(1, theirs)

    def test_what_the_segw_sends_by_its_redundant_child_before_it_has_our_answer_is_taken_in(self):
        self.tunnel()
        theirs, mine, _, _ = self.cross(LOW, HIGH)
        self.segw.expect(rf"request 1 \d+ {INFORMATIONAL} delete-child {self.old[1]:08x}")
        self.addCleanup(run, ["nft", "delete", "table", "ip", "unheard"], namespace=SEGW, check=False)
        run(["nft", "-f", "-"], namespace=SEGW, stdin=_UNHEARD)
        self.segw.tell("delete-child", 1, theirs)
        self.client.wait_for("Delete of the Child SA, answered")
        self.segw.tell("ping", theirs, 5)
        for number in range(1, 6):
            self.segw.expect(rf"pong {mine} {number}$")
        run(["nft", "delete", "table", "ip", "unheard"], namespace=SEGW)
        self.segw_asks("send", 1)
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

    def test_the_segws_ike_sa_goes_where_its_request_has_the_lowest_nonce(self):
        self.tunnel()
        theirs, mine, lowest, by_request = self.cross_ike(LOW, HIGH)
        self.assertEqual((lowest, by_request), ("theirs", True))
        self.assert_one_left(self.finish_ike(theirs, mine, lowest), self.old_spi())

    def test_our_ike_sa_goes_where_the_segws_answer_to_it_has_the_lowest_nonce(self):
        self.tunnel()
        theirs, mine, lowest, by_request = self.cross_ike(HIGH, LOW)
        self.assertEqual((lowest, by_request), ("ours", False))
        self.assert_one_left(self.finish_ike(theirs, mine, lowest), self.old_spi())

    def test_where_one_of_our_nonces_is_the_lowest_its_ike_sas_exchange_goes(self):
        self.tunnel()
        seen = set()
        while len(seen) < 2:  # chance decides which of ours
            theirs, mine, lowest, by_request = self.cross_ike(HIGH, HIGH)
            seen.add((lowest, by_request))
            self.assert_one_left(self.finish_ike(theirs, mine, lowest), self.old_spi())
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

    def refuse_ike(self, error, **client):
        self.tunnel(**client)
        self.segw.tell("refuse", error)
        self.operator.call("RekeyIkeSa")
        self.segw.expect(rf"answered 1 \d+ {CREATE} notify={error}$")

    def test_a_busy_segw_is_asked_for_another_ike_sa_again(self):
        self.refuse_ike(TEMPORARY_FAILURE)
        self.segw.expect(rf"request 1 \d+ {CREATE} .*ke=19")
        self.assert_ike_rekeyed()

    def test_a_segw_that_makes_no_other_ike_sa_is_authenticated_anew(self):
        for error in (NO_ADDITIONAL_SAS, NO_PROPOSAL_CHOSEN):
            self.refuse_ike(error)
            self.segw.expect(rf"request 1 \d+ {INFORMATIONAL} delete-ike")
            self.assert_one_left(2)
            for part in (self.client, self.tred, self.world.tpm, self.segw):
                part.stop()

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

    def test_the_segw_rekeys_a_child_with_a_new_key_exchange(self):
        self.tunnel(child={"pfs": "yes"})
        self.assertIn("ke=19", self.segw_asks("rekey-child", 1, self.old_spi(), 19))
        new = self.segw.expect(r"child (\w+) ")[1]
        self.segw_asks("delete-child", 1, self.old_spi())
        self.assert_one_left(1, new)

    def test_the_segw_is_asked_for_the_group_that_it_did_not_send_for_a_child(self):
        self.tunnel(ike={"proposals": "aes128gcm16-prfsha256-ecp256"}, child={"pfs": "yes"})
        answer = self.segw_asks("rekey-child", 1, self.old_spi(), 14, 19)
        self.assertEqual(self.refused(answer), INVALID_KE_PAYLOAD)
        self.assertIn("data=0013", answer)

    def test_a_segw_with_the_wrong_group_is_asked_for_another(self):
        self.tunnel()
        answer = self.segw_asks("rekey-ike", 1, 14, 19)
        self.assertEqual(self.refused(answer), INVALID_KE_PAYLOAD)
        self.assertIn("data=0013", answer)
        self.segw_asks("rekey-ike", 1, 19)
        self.segw_asks("delete-ike", 1)
        self.assert_one_left(2, self.old_spi())


class LifetimeTest(ScriptedTest):
    def test_a_child_is_rekeyed_after_its_packets_and_the_ike_sa_after_its_time(self):
        self.tunnel(tred={"soft-lifetime-packets": 20}, ike={"lifetime": "10"})
        before = self.segw.read
        self.ping(self.old_spi(), 30)
        self.segw.read = before  # the request may have come while they crossed
        self.segw.expect(rf"request 1 \d+ {CREATE} .*notify={REKEY_SA} of={self.old[1]:x}")
        new = self.segw.expect(r"child (\w+) ")[1]
        self.segw.expect(rf"request 1 \d+ {INFORMATIONAL} delete-ike")
        self.assert_one_left(2, new)


class MessageTest(ScriptedTest):
    """RFC 7296 2.1, 2.3"""

    def test_a_request_that_comes_again_is_answered_as_before_and_makes_no_other_child(self):
        self.tunnel()
        self.assert_answered_as_before()

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
