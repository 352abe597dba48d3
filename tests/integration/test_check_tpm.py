"""A TPM that a device could not be left alone with is refused before anything is made in it."""

import re
import unittest

from lab.case import world
from lab.process import BIN, run, scratch
from lab.station import LOADED_SESSION, NV_INDEX, PERSISTENT, TRANSIENT, Station, UnixTpm

SRK = "0x81000001"
RIGHT = "fixedtpm|fixedparent|sensitivedataorigin|userwithauth|restricted|decrypt|noda"
PASSWORD = "known"


class CheckTpmTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        world()  # the networks
        cls.station = Station(guarded=True)

    def setUp(self):
        state = scratch("tpm") / "state"
        state.mkdir()
        self.tpm = UnixTpm(state).start()
        self.addCleanup(self.tpm.stop)
        self.folder = scratch("check-tpm")

    def tool(self, *words, check=True):
        return run(words, env={"TPM2TOOLS_TCTI": self.tpm.tcti}, check=check)

    def make_srk(self, attributes=RIGHT, *more, kind="ecc256:aes128cfb", name="sha256"):
        context = self.folder / "primary"
        self.tool("tpm2_createprimary", "-C", "o", "-G", kind, "-g", name, "-a", attributes,
                  "-c", context, *more)
        self.tool("tpm2_evictcontrol", "-C", "o", "-c", context, SRK)
        self.tool("tpm2_flushcontext", "-t")

    def provision(self, *words):
        return run([BIN / "tre-provision", *words, "--tcti", self.tpm.tcti, "--state-dir",
                    self.folder / "state"], check=False)

    def step(self, name="check-tpm"):
        return self.provision("step", name, "--profile", self.station.profile, "--serial", "1")

    def failed_tries(self):
        said = self.tool("tpm2_getcap", "properties-variable").stdout
        return int(re.search(r"TPM2_PT_LOCKOUT_COUNTER: (0x[0-9A-Fa-f]+)", said).group(1), 16)

    def handles(self):
        return [self.tpm.handles(first)
                for first in (TRANSIENT, LOADED_SESSION, PERSISTENT, NV_INDEX)]

    def assert_refused(self, done, *words):
        self.assertNotIn(done.returncode, (0, 64), done.stdout)  # sysexits.h
        for word in words:
            self.assertIn(word, done.stdout)

    def assert_all_refuse(self, *words):
        """Whoever makes a device, or says whether one fits; and nothing has changed."""
        before = self.handles()
        for _ in range(2):
            self.assert_refused(self.step(), *words)
            self.assert_refused(self.step("storage-root-key"), *words)
            self.assert_refused(self.provision("init", "--fqdn", "henb.example"), *words)
            self.assert_refused(self.provision("verify"), "storage-root-key", *words)
        self.assertEqual(self.handles(), before)
        self.assertEqual(self.failed_tries(), 0)

    def test_a_tpm_with_a_storage_root_key_as_we_make_it_is_taken(self):
        self.make_srk()
        self.assertEqual(self.step().returncode, 0)
        self.assertEqual(self.step("storage-root-key").returncode, 0)
        self.assertEqual(self.failed_tries(), 0)

    def test_a_storage_root_key_without_noda_is_refused(self):
        self.make_srk(RIGHT.removesuffix("|noda"))
        self.assert_all_refuse("lacks the attribute noDA", f"tpm2_evictcontrol -C o -c {SRK}")
        self.tool("tpm2_evictcontrol", "-C", "o", "-c", SRK)
        self.assertEqual(self.step("storage-root-key").returncode, 0)

    def test_a_storage_root_key_with_a_password_is_refused(self):
        self.make_srk(RIGHT, "-p", PASSWORD)
        self.assert_all_refuse("has a password", f"tpm2_evictcontrol -C o -c {SRK}")

    def test_a_storage_root_key_that_no_session_can_be_salted_with_is_refused(self):
        self.make_srk(kind="ecc384:aes128cfb")
        self.assert_all_refuse("neither ECC P-256 nor RSA", f"tpm2_evictcontrol -C o -c {SRK}")

    def test_a_storage_root_key_whose_name_is_by_another_hash_is_refused(self):
        self.make_srk(name="sha384")
        self.assert_all_refuse("with SHA-256 as its nameAlg", f"tpm2_evictcontrol -C o -c {SRK}")

    def test_a_storage_root_key_of_rsa_is_taken(self):
        self.make_srk(kind="rsa2048:aes128cfb")
        for name in ("check-tpm", "storage-root-key", "nv-index", "last-known-time"):
            self.assertEqual(self.step(name).returncode, 0, name)

    def test_a_password_of_the_owner_is_refused_before_the_storage_root_key(self):
        self.tool("tpm2_changeauth", "-c", "o", PASSWORD)
        self.assert_refused(self.step(), "no storage root key", "tpm2_changeauth -c o -p PASSWORD")
        self.tool("tpm2_changeauth", "-c", "o", "-p", PASSWORD)
        self.assertEqual(self.step().returncode, 0)

    def test_a_password_of_the_owner_is_refused_before_the_nv_indices(self):
        self.make_srk()
        self.tool("tpm2_changeauth", "-c", "o", PASSWORD)
        before = self.handles()
        self.assert_refused(self.step(), "no NV indices", "tpm2_changeauth -c o -p PASSWORD")
        self.assertEqual(self.handles(), before)
        self.tool("tpm2_changeauth", "-c", "o", "-p", PASSWORD)
        self.assertEqual(self.step().returncode, 0)
        self.assertEqual(self.step("nv-index").returncode, 0)
        self.assertEqual(self.step("last-known-time").returncode, 0)
        self.tool("tpm2_changeauth", "-c", "o", PASSWORD)
        self.assertEqual(self.step().returncode, 0, "nothing is left for the owner to do")

    def fill_nv(self):
        """Until not one more octet fits."""
        number = 0x01500000
        for size in (2048, 256, 32, 1):
            while self.tool("tpm2_nvdefine", "-C", "o", "-s", str(size), hex(number),
                            check=False).returncode == 0:
                number += 1
        return hex(number - 1)

    def test_an_nv_memory_that_is_full_is_refused(self):
        self.make_srk()
        self.fill_nv()
        before = self.handles()
        self.assert_refused(self.step(), "NV memory is full", "tpm2_nvundefine INDEX")
        self.assertEqual(self.handles(), before)

    def test_an_nv_memory_with_room_for_two_of_three_indices_is_refused(self):
        """A TPM tells of counters only; the indices are tried, and taken away again."""
        self.make_srk()
        self.assertEqual(self.step().returncode, 0)
        before = self.handles()
        last = self.fill_nv()
        for index in sorted(self.tpm.handles(NV_INDEX), reverse=True):
            done = self.step()
            if done.returncode == 0:
                break
            self.assert_refused(done, "tpm2_nvundefine INDEX")
            self.tool("tpm2_nvundefine", "-C", "o", hex(index))
        self.assertEqual(done.returncode, 0)
        self.assertLess(index, int(last, 16), "there was room from the start")
        self.assertEqual(self.handles()[:3], before[:3])
        # What was tried is what is made.
        self.assertEqual(self.step("nv-index").returncode, 0)
        self.assertEqual(self.step("last-known-time").returncode, 0)

    def define(self, attributes):
        """An index where the one of the last-known time's base is tried."""
        self.tool("tpm2_nvdefine", "-C", "o", "-s", "8", "-a", attributes, "0x018011f3")

    def test_what_a_power_cut_leaves_of_a_try_is_taken_away(self):
        self.define("authwrite|writedefine|authread|ownerread|no_da")
        self.assertEqual(self.step().returncode, 0)
        self.assertEqual(self.tpm.handles(NV_INDEX), set())

    def test_what_somebody_else_has_where_indices_are_tried_is_left(self):
        self.define("ownerwrite|ownerread|no_da")
        self.assert_refused(self.step(), "is not ours", "tpm2_nvundefine 0x018011f3")
        self.assertEqual(self.tpm.handles(NV_INDEX), {0x018011f3})
