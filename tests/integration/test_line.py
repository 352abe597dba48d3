"""A manufacturing line takes devices as they come, and a bad one never stops it."""

import hashlib
import json
import re
import signal
import subprocess
import unittest

from cryptography import x509

from lab.case import world
from lab.process import BIN, run, scratch, wait_until
from lab.segw import Segw, SegwOptions
from lab.station import TRANSIENT, Station, TpmVendor, UnixTpm

DEVICES = 3


def name_of(serial):
    return f"henb-{serial}.vendor.example"


class LineTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        vendor = TpmVendor()
        cls.states = [vendor.make(scratch("tpm") / "state") for _ in range(DEVICES)]
        cls.vendor = vendor

    def setUp(self):
        self.station = Station(self.vendor)
        self.records = self.station.folder / "records.json"

    def tpms_on(self):
        tpms = []
        for number, state in enumerate(self.states):
            copy = scratch("tpm") / "state"
            run(["cp", "-r", state, copy])
            tpms.append(UnixTpm(copy).start())
            self.addCleanup(tpms[number].stop)
        return tpms

    def line(self, lines, *arguments, status=0):
        """What it printed; the records are read by read_records()."""
        done = self.station.tool("line", "--output", self.records, *arguments, check=False,
                                 stdin="".join(f"{line}\n" for line in lines))
        self.assertEqual(done.returncode, status, done.stdout)
        return done.stdout

    def read_records(self):
        return [json.loads(line) for line in self.records.read_text().splitlines()]

    def test_a_device_that_fails_never_stops_the_line(self):
        good = [f"{n}, {name_of(n)}, {tpm.tcti}" for n, tpm in enumerate(self.tpms_on())]
        broken = "9 henb-9.vendor.example swtpm:path=/nowhere/tpm"
        output = self.line([good[0], broken, *good[1:]], "--jobs", "2", status=1)
        records = {record["serial"]: record for record in self.read_records()}
        self.assertEqual(sorted(records), ["0", "1", "2", "9"])
        self.assertEqual(records["9"]["result"], "failed")
        self.assertIn("no TPM answers at the TCTI 'swtpm:path=/nowhere/tpm'", records["9"]["error"])
        for serial in "012":
            self.assertEqual(records[serial]["result"], "good", records[serial]["error"])
        self.assertRegex(output, "FAILED 9 henb-9.vendor.example .*: no TPM answers")
        self.assertIn("4 devices: 3 good, 1 failed; 0 lines refused", output)

    def test_a_record_says_what_the_device_has(self):
        tpm, *_ = self.tpms_on()
        self.line([f"0017,{name_of('0017')},{tpm.tcti}"])
        record, = self.read_records()
        folder = self.station.device_folder("0017")
        certificate = x509.load_pem_x509_certificate((folder / "device.crt").read_bytes())
        self.assertEqual(int(record["certificate_serial"], 16), certificate.serial_number)
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        self.assertEqual(names.get_values_for_type(x509.DNSName), [name_of("0017")])
        ek = scratch("ek") / "ek.der"
        run(["tpm2_nvread", "0x01c00002", "-o", ek], env={"TPM2TOOLS_TCTI": tpm.tcti})
        self.assertEqual(record["ek_certificate_sha256"],
                         hashlib.sha256(ek.read_bytes()).hexdigest())
        status = json.loads(self.station.tool("status", "--json", "--serial", "0017",
                                              "--tcti", tpm.tcti).stdout)
        self.assertEqual(record["key_name"], status["device-key"]["name"])
        self.assertEqual([step["outcome"] for step in record["steps"]],
                         ["done"] * len(record["steps"]))
        self.assertEqual(record["tpm_commands"]["TPM2_ActivateCredential"]["count"], 1)
        self.assertLess(record["tpm_milliseconds"], record["milliseconds"])

    def test_what_a_line_has_made_fits_together(self):
        tpm, *_ = self.tpms_on()
        self.line([f"1 {name_of(1)} {tpm.tcti}"])
        found = json.loads(self.station.tool("verify", "--json", "--serial", "1",
                                             "--tcti", tpm.tcti).stdout)
        self.assertEqual({item["state"] for item in found.values()}, {"fits"}, found)
        self.assertEqual(set(found), {"tpm", "storage-root-key", "device-key", "csr", "certificate",
                                      "anchors", "owner-auth"})

    def test_a_bad_line_is_named_by_its_number_and_passed_over(self):
        tpm, *_ = self.tpms_on()
        output = self.line(["# list of today", "", "no device", f"1 {name_of(1)} {tpm.tcti}"],
                           status=1)
        self.assertIn("line 3: left out: there is no TCTI after the FQDN", output)
        self.assertEqual([record["result"] for record in self.read_records()], ["good"])

    def test_a_serial_number_or_fqdn_is_given_to_one_device_only(self):
        first, second, _ = self.tpms_on()
        output = self.line([f"1 {name_of(1)} {first.tcti}", f"1 {name_of(2)} {second.tcti}",
                            f"2 {name_of(1).upper()} {second.tcti}"], status=1)
        self.assertIn("line 2: left out: 1 henb-2.vendor.example: 1 is already the name", output)
        self.assertIn("line 3: left out: 2 HENB-1.VENDOR.EXAMPLE: HENB-1.VENDOR.EXAMPLE is", output)
        # So too on the next day.
        output = self.line([f"2 {name_of(1)} {second.tcti}"], status=1)
        self.assertIn("(1, henb-1.vendor.example, in an earlier run)", output)
        self.assertEqual(len(self.read_records()), 1)

    def test_a_device_that_comes_again_keeps_its_key_and_skips_its_steps(self):
        tpm, *_ = self.tpms_on()
        line = f"1 {name_of(1)} {tpm.tcti}"
        self.line([line])
        self.line([line])
        before, after = self.read_records()
        self.assertEqual(before["key_name"], after["key_name"])
        self.assertEqual(before["certificate_serial"], after["certificate_serial"])
        self.assertEqual({step["outcome"] for step in after["steps"][1:]}, {"skipped"})

    def test_a_tpm_that_another_device_has_is_refused(self):
        tpm, *_ = self.tpms_on()
        self.line([f"1 {name_of(1)} {tpm.tcti}", f"2 {name_of(2)} {tpm.tcti}"], status=1)
        records = {record["serial"]: record for record in self.read_records()}
        self.assertEqual(records["1"]["result"], "good")
        self.assertIn("this TPM is that of the device 1", records["2"]["error"])
        self.assertFalse((self.station.device_folder("2") / "device.pem").exists())

    def test_a_record_that_was_being_written_at_a_power_cut_is_cut_off(self):
        tpm, *_ = self.tpms_on()
        self.records.write_text('{"serial":"1","fq')
        self.line([f"1 {name_of(1)} {tpm.tcti}"])
        self.assertEqual([record["serial"] for record in self.read_records()], ["1"])

    def test_an_interrupt_ends_each_device_after_its_step_and_is_written_down(self):
        tpm, *_ = self.tpms_on()
        listed = self.station.folder / "list"
        listed.write_text(f"1 {name_of(1)} {tpm.tcti}\n2 {name_of(2)} {tpm.tcti}\n")
        line = subprocess.Popen([BIN / "tre-provision", "line", "--profile", self.station.profile, "--output",
                                 self.records, listed], stderr=subprocess.DEVNULL, start_new_session=True)
        key = self.station.device_folder("1") / "device.pem"
        wait_until(key.exists, "the device key")
        line.send_signal(signal.SIGTERM)
        self.assertEqual(line.wait(60), -signal.SIGTERM)
        record, = self.read_records()
        self.assertEqual((record["serial"], record["result"]), ("1", "failed"))
        self.assertEqual(record["error"], "it was ended by a signal; provision it again")
        self.assertEqual({step["outcome"] for step in record["steps"]}, {"done"})
        self.assertEqual(tpm.handles(TRANSIENT), set())
        self.line([f"1 {name_of(1)} {tpm.tcti}"])
        self.assertEqual(self.read_records()[-1]["result"], "good")

    def test_a_tpm_of_another_vendor_gets_no_certificate(self):
        foreign = UnixTpm(TpmVendor().make(scratch("tpm") / "state")).start()
        self.addCleanup(foreign.stop)
        self.line([f"1 {name_of(1)} {foreign.tcti}"], status=1)
        record, = self.read_records()
        self.assertEqual(record["steps"][-1], {**record["steps"][-1], "name": "certificate",
                                               "outcome": "failed"})
        self.assertIn("EK certificate", record["error"])
        self.assertIsNone(record["certificate_serial"])

    def test_strongswan_loads_the_exported_list(self):
        lines = [f"{n} {name_of(n)} {tpm.tcti}" for n, tpm in enumerate(self.tpms_on())]
        names = self.station.folder / "names"
        self.line(lines, "--export", names)
        self.assertEqual(sorted(names.read_text().split()), [name_of(n) for n in range(DEVICES)])
        exported = run([BIN / "tre-provision", "export", "--format", "swanctl",
                        self.records]).stdout
        segw = Segw(world().segw_credential(), world().vendor_root, SegwOptions())
        self.addCleanup(segw.stop)
        snippet = self.station.folder / "henbs.conf"
        snippet.write_text(exported)
        configuration = self.station.folder / "swanctl.conf"
        configuration.write_text(
            "henb {\n  version = 2\n  local {\n    auth = pubkey\n    id = segw.operator.example\n"
            "  }\n  remote {\n    auth = pubkey\n  }\n  children {\n    net {\n"
            "      local_ts = 10.200.0.0/24\n    }\n  }\n}\n"
            f"include {snippet}\n")
        segw.control("--load-conns", "--file", configuration)
        loaded = segw.control("--list-conns")
        for number in range(DEVICES):
            self.assertIn(f"id: {name_of(number)}", loaded)
        self.assertEqual(len(re.findall("^henb-[0-9]+-[0-9]+: IKEv2", loaded, re.MULTILINE)),
                         DEVICES)
