"""CREATE_CHILD_SA with a real SeGW, each side beginning it, by a client that does each step by hand."""

import struct
from datetime import timedelta

from lab import ike, memory
from lab.bus import BusError
from lab.case import LabTest
from lab.handclient import HandClient
from lab.pki import Flaws, issue_segw
from lab.process import wait_until
from lab.programs import EXCHANGE, TRED
from test_secrets import ESP_KEYS, IKE_KEYS, PASSING


def body(payloads, kind):
    return next(payload.body for payload in payloads if payload.kind == kind)


class CreateChildTest(LabTest):
    def established(self, **segw):
        """A client whose IKE SA is up, with its Child SA."""
        self.gateway = self.start_segw(**segw)
        self.tred = self.start_tred()
        return self.starting(HandClient()).until("add_child")

    def property(self, hand, name):
        return hand.bus.get(TRED, hand.exchange, EXCHANGE, name)

    def children(self, hand):
        return {child["SpiIn"][1]: child for child in self.property(hand, "Children")}

    def assert_child_of(self, hand, payloads):
        """The newest Child SA is what the SeGW's message says, and the SeGW has it, too."""
        child = self.children(hand)[hand.spi_in]
        spi, = struct.unpack("!I", body(payloads, ike.SA)[8:12])
        self.assertEqual(child["SpiOut"][1], spi)
        self.gateway.wait_for(rf"CHILD_SA net\{{\d+\}} established with SPIs {spi:08x}_i {hand.spi_in:08x}_o")

    def replace_child_by_ours(self, group, **segw):
        hand = self.established(**segw)
        old = hand.spi_in
        answer = hand.ask(hand.child_payloads(rekeyed=old, group=group))
        hand.add_child()
        self.assert_child_of(hand, answer)
        self.assertEqual(set(self.children(hand)), {old, hand.spi_in})
        hand.call("RemoveChild", "u", old)
        self.assertEqual(set(self.children(hand)), {hand.spi_in})

    def test_our_request_replaces_a_child(self):
        self.replace_child_by_ours(0)

    def test_our_request_replaces_a_child_with_a_new_key_exchange(self):
        self.replace_child_by_ours(ike.ECP_256, esp_proposals="aes128gcm16-ecp256")

    def test_a_group_that_the_segw_does_not_want_is_followed_by_another(self):
        hand = self.established(esp_proposals="aes128gcm16-ecp384")
        old = hand.spi_in
        payloads = hand.child_payloads(rekeyed=old, group=ike.ECP_256)
        # Both groups are offered, and the KE is of the one that the SeGW does not have.
        proposals = bytearray(body(payloads, ike.SA))
        proposals[7] += 1
        proposals[2:4] = struct.pack("!H", len(proposals) + 8)
        proposals[-8] = 3
        both = bytes(proposals) + struct.pack("!BBHBBH", 0, 0, 8, 4, 0, ike.ECP_384)
        for payload in payloads:
            payload.body = both if payload.kind == ike.SA else payload.body
        answer = hand.ask(payloads)
        self.assertEqual(struct.unpack("!H", body(answer, ike.NOTIFY)[2:4])[0], ike.INVALID_KE_PAYLOAD)
        answer = hand.ask(hand.child_payloads(rekeyed=old, group=ike.ECP_384))
        hand.add_child()
        self.assert_child_of(hand, answer)

    def replace_child_by_the_segws(self, group, **segw):
        hand = self.established(**segw)
        old = hand.spi_in
        self.gateway.control("--rekey", "--child", "net")
        request = hand.asked()
        hand.answer_with(hand.child_payloads(group=group, selectors=[
            payload for payload in request if payload.kind in (ike.TSI, ike.TSR)]))
        hand.add_child()
        spi, = struct.unpack("!I", body(request, ike.SA)[8:12])
        self.assertEqual(self.children(hand)[hand.spi_in]["SpiOut"][1], spi)
        self.gateway.wait_for(rf"CHILD_SA net\{{\d+\}} established with SPIs {spi:08x}_i {hand.spi_in:08x}_o")
        hand.call("UseChild", "u", hand.spi_in)
        deleted, = struct.unpack("!I", body(hand.asked(), ike.DELETE)[4:8])
        self.assertEqual(deleted, self.children(hand)[old]["SpiOut"][1])

    def test_the_segws_request_replaces_a_child(self):
        self.replace_child_by_the_segws(0)

    def test_the_segws_request_replaces_a_child_with_a_new_key_exchange(self):
        self.replace_child_by_the_segws(ike.ECP_256, esp_proposals="aes128gcm16-ecp256")

    def assert_heir_lives(self, hand, heir):
        """It has the children, can be spoken over both ways, and stays when the old one is closed."""
        child = hand.spi_in
        heir.call("InheritChildren")
        self.assertEqual(self.property(hand, "State"), "replaced")
        self.assertEqual(set(self.children(heir)), {child})
        self.assertEqual(self.children(hand), {})
        self.assertEqual(self.property(heir, "State"), "verified")
        self.assertEqual(self.property(heir, "PeerIdentity"), self.property(hand, "PeerIdentity"))

    def assert_lives_on(self, hand, heir):
        hand.call("Close")
        self.assertEqual(heir.ask([], ike.INFORMATIONAL), [])
        heir.spi_in, old = None, heir.spi_in
        answer = heir.ask(heir.child_payloads(rekeyed=old))
        heir.add_child()
        self.assert_child_of(heir, answer)

    def test_our_request_replaces_the_ike_sa(self):
        hand = self.established()
        answer = hand.ask(hand.ike_payloads())
        heir = hand.add_ike_sa()
        self.assertEqual(self.property(heir, "SpiI"), hand.new_spi)
        self.assertEqual(self.property(heir, "SpiR"), struct.unpack("!Q", body(answer, ike.SA)[8:16])[0])
        self.assert_heir_lives(hand, heir)
        self.assertEqual(hand.ask([ike.delete_ike_sa()], ike.INFORMATIONAL), [])
        self.assert_lives_on(hand, heir)

    def test_the_segws_request_replaces_the_ike_sa(self):
        hand = self.established()
        self.gateway.control("--rekey", "--ike", "henb")
        request = hand.asked()
        hand.answer_with(hand.ike_payloads())
        heir = hand.add_ike_sa()
        self.assertEqual(self.property(heir, "SpiR"), hand.new_spi)
        self.assertEqual(self.property(heir, "SpiI"), struct.unpack("!Q", body(request, ike.SA)[8:16])[0])
        self.assert_heir_lives(hand, heir)
        self.assertEqual([payload.kind for payload in hand.asked()], [ike.DELETE])
        hand.answer_with([], ike.INFORMATIONAL)
        self.assert_lives_on(hand, heir)

    def logged(self, words, which):
        logged = self.gateway.secrets()
        return {name: logged[word][which][:16] for name, word in words.items()}

    def test_the_keys_of_an_ike_sa_that_was_replaced_are_gone_when_it_is_closed(self):
        hand = self.established(log_keys=True)
        hand.ask(hand.ike_payloads())
        heir = hand.add_ike_sa()
        heir.call("InheritChildren")
        old, new = self.logged(IKE_KEYS, 0), self.logged(IKE_KEYS, -1)
        passing = self.logged(PASSING, -1)
        self.assertNotEqual(old["SK_d"], new["SK_d"])
        self.assertEqual(memory.search(self.tred.pid, old)[0], set(old))
        self.assertEqual(memory.search(self.tred.pid, passing)[0], set())
        hand.call("Close")
        wait_until(lambda: memory.search(self.tred.pid, old)[0] == set(), "the old keys to be gone")
        self.assertEqual(memory.search(self.tred.pid, new)[0], set(new))

    def test_the_keys_of_a_child_that_was_replaced_are_gone_when_it_is_removed(self):
        hand = self.established(log_keys=True, esp_proposals="aes128gcm16-ecp256")
        old_spi = hand.spi_in
        hand.ask(hand.child_payloads(rekeyed=old_spi, group=ike.ECP_256))
        hand.add_child()
        old, new = self.logged(ESP_KEYS, 0), self.logged(ESP_KEYS, -1)
        dh_secret = self.logged({"DH secret": PASSING["DH secret"]}, -1)
        self.assertNotEqual(old, new)
        self.assertEqual(memory.search(self.tred.pid, {**old, **dh_secret})[0], set(old))
        hand.call("RemoveChild", "u", old_spi)
        self.assertEqual(memory.search(self.tred.pid, old)[0], set())
        self.assertEqual(memory.search(self.tred.pid, new)[0], set(new))

    def test_a_new_ike_sa_ends_when_the_certificates_of_the_old_one_do(self):
        """Its peer was judged once, so no number of new IKE SAs outlives the certificates."""
        brief = issue_segw(self.world.operator_root, flaws=Flaws(ends=timedelta(seconds=10)))
        hand = self.established(credential=brief)
        for number in (2, 3):
            hand.ask(hand.ike_payloads())
            heir = hand.add_ike_sa()
            self.tred.wait_for(rf"Exchange {number}: a certificate that it rests on expires soon")
            heir.call("InheritChildren")
            hand.call("Close")
            hand = heir
        self.tred.wait_for("Exchange 3 is closed: A certificate that it rests on has expired", 20.0)

    def test_a_new_ike_sa_counts_as_an_exchange(self):
        self.gateway = self.start_segw()
        self.tred = self.start_tred(exchanges={"max-exchanges": "1"})
        hand = self.starting(HandClient()).until("add_child")
        hand.ask(hand.ike_payloads())
        with self.assertRaises(BusError) as caught:
            hand.add_ike_sa()
        self.assertEqual(caught.exception.name, "TooManyExchanges")
