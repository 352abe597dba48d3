"""The device key lives in the TPM of a box in somebody's living room."""

from lab.case import LabTest
from lab.handclient import HandClient

POWER_CUTS = 12  # swtpm, as many chips, locks what is protected against guessing after three


class DeviceTest(LabTest):
    def test_power_cuts_do_not_lock_the_device_key(self):
        self.start_segw()
        for _ in range(POWER_CUTS):
            tred = self.start_tred()
            self.starting(HandClient()).until("verify")
            self.world.tpm.process.kill()
            tred.kill()
        self.start_tred()
        self.starting(HandClient()).until("verify")
