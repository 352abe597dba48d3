"""What tests have that force a SeGW by hand (tests/gateway) and the HeNB into a corner."""

import re

from lab.bus import BusError, Connection
from lab.case import LabTest
from lab.process import wait_until
from lab.programs import EXCHANGE, TRED, Operator
from lab.responder import ScriptedSegw

AUTH, CREATE, INFORMATIONAL = 35, 36, 37
NO_PROPOSAL_CHOSEN, INVALID_KE_PAYLOAD, NO_ADDITIONAL_SAS, TEMPORARY_FAILURE, CHILD_SA_NOT_FOUND = 14, 17, 35, 43, 44
INITIAL_CONTACT, REKEY_SA = 16384, 16393
LOW, HIGH = "00", "ff"  # all octets of a nonce that is below, or above, whatever tred draws


class ScriptedTest(LabTest):
    def parts(self, segw=None, tred=None, **client):
        """A SeGW that does what it is told, tred, and ikeclient. `segw` has the SeGW's options, `tred` more of
        tred.conf's [data-plane]."""
        self.segw_and_tred(segw, tred)
        self.client_of_segw(**client)

    def segw_and_tred(self, segw=None, tred=None):
        self.segw = self.starting(ScriptedSegw(self.world.segw_credential(), **(segw or {})))
        self.tred = self.start_tred(**{"data-plane": {"mode": "user", **(tred or {})}})

    def client_of_segw(self, **client):
        self.client = self.start_client(**client)
        self.operator = self.starting(Operator())

    def tunnel(self, segw=None, tred=None, **client):
        """The same, and an established tunnel; the SeGW's first IKE SA is number 1."""
        self.parts(segw, tred, **client)
        self.client.wait_for_state("established", seconds=30.0)
        self.old, = self.segw.left()[1]

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
        """(SPIi, SPIr) of the one IKE SA that tred has; None while there are more, or it gives way to another."""
        numbers = self.tred.exchanges()
        if len(numbers) != 1:
            return None
        connection = Connection("nobody")
        try:
            return tuple(connection.get(TRED, f"{self.client.get('Exchange')}", EXCHANGE, name)
                         for name in ("SpiI", "SpiR"))
        except BusError:  # it was rekeyed between two questions
            return None
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

    def assert_answered_as_before(self):
        """The SeGW's request for a new Child SA, sent twice, gets one answer twice and makes one child (RFC 7296 2.1)."""
        once = self.segw_asks("rekey-child", 1, self.old_spi())
        new = self.segw.expect(r"child (\w+) ")[1]
        self.assertEqual(self.segw_asks("send", 1), once)
        self.segw_asks("delete-child", 1, self.old_spi())
        self.assert_one_left(1, new)

    def ping(self, spi, count=5):
        """Each echo request that the SeGW sends by a Child SA comes back, and by the same."""
        self.segw.tell("ping", spi, count)
        for number in range(1, count + 1):
            self.segw.expect(rf"pong {spi} {number}$")

    def assert_window_of_one(self):
        """RFC 7296 2.3: we never ask before our last request is answered."""
        self.assertNotRegex(self.segw.output(), r"(?m)^beyond ")

    def cross_ike(self, request, answer):
        """Both rekey the one IKE SA: (the number of the SeGW's, of ours, whose has the lowest nonce, and whether that is
        its request's). The nonces of the SeGW are as given."""
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

    def finish_ike(self, theirs, mine, lowest):
        """Who made the one that is redundant deletes it, and the other one the old one; which one stays."""
        if lowest == "theirs":
            self.segw.expect(rf"request {self.number} \d+ {INFORMATIONAL} delete-ike")
            self.segw_asks("delete-ike", theirs)
            self.number = mine
        else:
            self.segw.expect(rf"request {mine} 0 {INFORMATIONAL} delete-ike")
            self.segw_asks("delete-ike", self.number)
            self.number = theirs
        return self.number
