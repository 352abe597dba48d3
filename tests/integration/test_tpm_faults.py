"""Whatever the TPM answers, or does not: an error that says what to do, and the next connect works."""

from lab import faultytpm
from lab.case import LabTest
from lab.responder import Responder
from lab.tpmlife import CONNECTION_ENDS, KINDS, TpmLife

# Of a life's hundred commands each kind of fault meets every 12th here, each kind others than the
# kind before; tests/bench/tpm_faults has each meet all, and delays them, too.
STRIDE = 12


class TpmFaultsTest(LabTest):
    def setUp(self):
        super().setUp()
        self.starting(self.world.field_tpm.start())
        self.starting(Responder(self.world.segw_credential()))
        self.life = TpmLife(self.world, self.starting)

    def assert_got_over(self, kind):
        """Every command that is tried: what is wrong is named, and the next connect works."""
        first = 1 + 2 * list(KINDS).index(kind)
        for part in self.life.PARTS:
            number, outcome = first, True
            while outcome:
                with self.subTest(part=part, command=number):
                    outcome = self.life.spoiled(part, number, kind)
                    self.assertFalse(outcome and outcome.problems, outcome)
                number += STRIDE
        self.assertEqual(self.life.end(), 0)
        if kind not in CONNECTION_ENDS:
            self.assertEqual(self.life.tpm.handles(), (0, 0))

    def test_a_command_that_fails_is_named_and_got_over(self):
        self.assert_got_over("fails")

    def test_an_answer_that_is_cut_short_is_named_and_got_over(self):
        self.assert_got_over("cut short")

    def test_a_flipped_bit_is_named_and_got_over(self):
        self.assert_got_over("bit flipped")

    def test_a_connection_that_ends_before_a_command_is_named_and_made_again(self):
        self.assert_got_over("closed")

    def test_a_connection_that_ends_in_an_answer_is_named_and_made_again(self):
        self.assert_got_over("answer lost")

    def test_a_bundle_is_not_blamed_for_a_session_that_was_spoiled(self):
        self.life.start()
        self.life.tpm.wait_idle()
        count = len(self.life.tpm.commands)
        self.life.install()
        commands = faultytpm.names(self.life.tpm.commands[count:])
        # The policy session is the one after that in which the approval is verified.
        number = 1 + commands.index("StartAuthSession", commands.index("VerifySignature"))
        outcome = self.life.spoiled("install", number, "bit flipped")
        self.assertFalse(outcome.problems, outcome)
        self.assertIn("TpmUnavailable", outcome.said)

    def test_nobody_sees_what_the_tpm_puts_off(self):
        for text, code in faultytpm.PUT_OFF.items():
            with self.subTest(text):
                self.life.tpm.put_off_every(code)
                tred = self.life.start()
                self.assertEqual(tred.get("State"), "ready", tred.get("StateReason"))
                self.life.handshake()
                self.assertEqual(self.life.reload(), ("ready", ""))
                self.life.install()
                self.life.handshake()
                self.assertEqual(self.life.end(), 0)
                self.life.tpm.spoil_every(None)
                self.assertEqual(self.life.tpm.handles(), (0, 0))
