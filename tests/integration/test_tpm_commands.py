"""The fourth law: from the IKE_SA_INIT response to the IKE_AUTH request the TPM signs, no more."""

import struct

from lab import ike
from lab.capture import Capture
from lab.case import LabTest
from lab.network import HENB
from lab.programs import Tred, provision
from lab.tpm import PORT
from lab.vendor import Vendor

TPM2_SIGN = 0x15D


def tpm_commands(packets):
    """(time, command code) of each command that went to the TPM."""
    return [(packet.time, struct.unpack_from("!I", packet.payload, 6)[0]) for packet in packets
            if packet.protocol == "tcp" and packet.destination_port == PORT
            and len(packet.payload) >= 10]


class TpmCommandsTest(LabTest):
    def assert_one_signature(self, algorithm, vendor=None):
        self.start_segw(self.world.segw_credential(algorithm))
        tpm = self.starting((self.world.field_tpm if vendor else self.world.tpm).start())
        if vendor:
            vendor.approve()
            files = provision(algorithm, self.world.vendor_root, [self.world.operator_root], vendor)
        else:
            files = self.world.device(algorithm)
        tpm.stop()
        capture = self.starting(Capture(HENB))
        self.starting(tpm.start())
        self.starting(Tred(files)).wait_for_name()
        self.start_client().wait_for_state("established")
        packets = capture.stop()
        commands = tpm_commands(packets)
        self.assertGreater(len(commands), 3, "the capture missed tred's start")
        messages = [(packet.time, packet.ike()) for packet in packets if packet.ike()]
        response = next(time for time, message in messages
                        if message[18] == ike.IKE_SA_INIT and message[19] & ike.RESPONSE)
        request = next(time for time, message in messages if message[18] == ike.IKE_AUTH)
        between = [code for time, code in commands if response <= time <= request]
        self.assertEqual(between, [TPM2_SIGN])
        # What follows is the preparation of the next one, in idle time.
        self.assertNotIn(TPM2_SIGN, [code for time, code in commands if time > request])

    def test_an_ecdsa_handshake_costs_one_tpm2_sign(self):
        self.assert_one_signature("ecdsa-p256")

    def test_a_handshake_under_a_signed_policy_costs_one_tpm2_sign(self):
        self.assert_one_signature("ecdsa-p256", Vendor())

    def test_an_rsa_handshake_costs_one_tpm2_sign(self):
        self.assert_one_signature("rsa-2048")
