"""verify names what does not fit together, and nothing else."""

import json
import shutil
import unittest

from lab.pki import issue_segw, make_ca
from lab.process import run, scratch
from lab.station import EccTpmVendor, Station, copy_tpm

SERIAL, FQDN = "1", "henb-1.vendor.example"


class ProvisionVerifyTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        vendor = EccTpmVendor()
        cls.station = Station(vendor, guarded=True)
        cls.new_tpm = vendor.make(scratch("tpm") / "new")
        cls.tpm_state, cls.good = cls.provision(SERIAL)
        _, cls.other = cls.provision("2")

    @classmethod
    def provision(cls, serial):
        tpm = copy_tpm(cls.new_tpm, scratch("tpm") / "state").start()
        cls.station.tool("run", "--serial", serial, "--tcti", tpm.tcti)
        tpm.stop()
        return tpm.state, cls.station.device_folder(serial)

    def setUp(self):
        self.folder = scratch("device") / "state"
        shutil.copytree(self.good, self.folder)
        self.tpm = copy_tpm(self.tpm_state, scratch("tpm") / "state").start()
        self.addCleanup(self.tpm.stop)

    def verify(self, fqdn=FQDN, tcti=None):
        done = self.station.tool("verify", "--json", "--serial", SERIAL, "--fqdn", fqdn,
                                 "--state-dir", self.folder, "--tcti", tcti or self.tpm.tcti,
                                 check=False)
        return done.returncode, json.loads(done.stdout)

    def assert_wrong(self, expected, **how):
        """Just those items are wrong, for a reason with those words, and each says what to do."""
        status, found = self.verify(**how)
        wrong = {name: item for name, item in found.items() if item["state"] == "WRONG"}
        self.assertEqual(set(wrong), set(expected), found)
        self.assertEqual(status, 1)
        for name, words in expected.items():
            self.assertIn(words, wrong[name]["found"])
            self.assertTrue("remedy" in wrong[name] or ";" in wrong[name]["found"], wrong[name])

    def take(self, name):
        """A file of the other device in place of this one's."""
        shutil.copy(self.other / name, self.folder / name)

    def test_a_device_as_it_was_provisioned_fits(self):
        status, found = self.verify()
        self.assertEqual(status, 0, found)
        self.assertEqual({item["state"] for item in found.values()}, {"fits"})

    def test_another_devices_certificate_is_named(self):
        self.take("device.crt")
        self.assert_wrong({"certificate": "is not for the device key"})

    def test_another_devices_csr_is_named(self):
        self.take("device.csr")
        self.assert_wrong({"csr": "is for another key than the device key"})

    def test_another_name_is_named(self):
        self.assert_wrong({"csr": "asks for another name",
                           "certificate": "is for another name than this device's"},
                          fqdn="henb-3.vendor.example")

    def test_a_certificate_that_is_no_ca_is_no_anchor(self):
        (self.folder / "segw-anchors.pem").write_bytes(
            issue_segw(self.station.operator_root).pem())
        self.assert_wrong({"anchors": "is not a CA's"})

    def test_anchors_that_the_tpm_does_not_guard_are_named(self):
        (self.folder / "segw-anchors.pem").write_bytes(make_ca("Somebody's root").pem())
        self.assert_wrong({"anchors": "not the bundle that the TPM's guard holds"})

    def test_anchors_of_another_operator_are_named(self):
        public = self.station.folder / "other.pem"
        run(["openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256",
             "-out", f"{public}.key"])
        run(["openssl", "pkey", "-in", f"{public}.key", "-pubout", "-out", public])
        text = self.station.profile.read_text()
        self.addCleanup(self.station.profile.write_text, text)
        self.station.profile.write_text(text.replace("/operator.pem", "/other.pem"))
        self.assert_wrong({"anchors": "for another operator than the profile's"})

    def test_files_in_another_tpm_are_named(self):
        cleared = copy_tpm(self.new_tpm, scratch("tpm") / "state").start()
        self.addCleanup(cleared.stop)
        status, found = self.verify(tcti=cleared.tcti)
        self.assertEqual(status, 1)
        wrong = {name for name, item in found.items() if item["state"] == "WRONG"}
        self.assertEqual(wrong, {"storage-root-key", "device-key", "anchors", "last-known-time",
                                 "owner-auth"}, found)

    def test_a_tpm_that_does_not_answer_is_named(self):
        self.tpm.stop()
        self.assert_wrong({"tpm": "no TPM answers",
                           "device-key": "without the TPM and its storage root key"})

    def test_missing_files_are_named(self):
        for name in ("device.crt", "segw-anchors.pem"):
            (self.folder / name).unlink()
        self.assert_wrong({"certificate": "No such file", "anchors": "No such file"})

    def test_a_damaged_key_file_is_named(self):
        (self.folder / "device.pem").write_text("-----BEGIN TSS2 PRIVATE KEY-----\nAAAA\n")
        self.assert_wrong({"device-key": "no readable block TSS2 PRIVATE KEY"})

    def test_status_tells_what_is_there_and_judges_nothing(self):
        (self.folder / "device.csr").unlink()
        (self.folder / "device.pem").write_text("junk")
        done = self.station.tool("status", "--json", "--serial", SERIAL, "--state-dir", self.folder,
                                 "--tcti", self.tpm.tcti, check=False)
        self.assertEqual(done.returncode, 1)  # it shows an error
        found = {name: item["state"] for name, item in json.loads(done.stdout).items()}
        self.assertEqual(found["tpm"], "there")
        self.assertEqual(found["csr"], "absent")
        self.assertEqual(found["device-key"], "error")
        self.assertEqual(found["certificate"], "there")
        self.assertEqual(found["owner-auth"], "set")
        self.assertEqual(found["anchor-guard"], "there")
        self.assertEqual(found["last-known-time"], "there")
