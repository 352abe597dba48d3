"""A factory loses power at any moment; the next run goes on from there."""

import itertools
import os
import re
import subprocess
import unittest
from concurrent.futures import ThreadPoolExecutor

from lab.case import world
from lab.process import BIN, scratch
from lab.station import (LOADED_SESSION, NV_INDEX, PERSISTENT, SAVED_SESSION, TRANSIENT,
                         EccTpmVendor, Station, copy_tpm)
from lab.vendor import Vendor

# All that change a file, a folder, or what is beyond a socket; openat makes files as well.
WRITING = ["write", "writev", "pwrite64", "pwritev", "sendto", "sendmsg", "sendmmsg", "rename",
           "renameat", "renameat2", "link", "linkat", "symlink", "symlinkat", "unlink", "unlinkat",
           "mkdir", "mkdirat", "rmdir", "fsync", "fdatasync", "sync_file_range", "ftruncate",
           "truncate", "fallocate", "chown", "fchown", "lchown", "fchownat", "chmod", "fchmod",
           "fchmodat", "openat", "creat"]
SERIAL = "0001"
# scripts/test has a third of the calls by each name, another one each day; by themselves these tests have all.
FIRST, STRIDE = (int(os.environ["TRED_THIRD"]), 3) if "TRED_THIRD" in os.environ else (1, 1)


class Point:
    """One device, and one run of it that is killed before the `number`th call of `syscall`."""

    def __init__(self, station, tpm_state, syscall, number):
        self.station, self.syscall, self.number = station, syscall, number
        self.folder = scratch("killed")
        self.state = self.folder / "state"
        self.tpm = copy_tpm(tpm_state, self.folder / "tpm")

    def __str__(self):
        return f"{self.syscall} number {self.number}"

    def arguments(self):
        return [BIN / "tre-provision", "run", "--profile", self.station.profile,
                "--serial", SERIAL, "--tcti", self.tpm.tcti, "--state-dir", self.state,
                "--owner", "tred"]

    def run_killed(self, signal="SIGKILL", status=-9):
        """True if it was killed; False if it came to its end, there being no such call."""
        inject = f"inject={self.syscall}:signal={signal}:when={self.number}"
        # What a shell starts in the background ignores SIGINT.
        done = subprocess.run(["env", "--default-signal=INT", "strace", "-f", "-o", "/dev/null", "-e", f"trace={self.syscall}",
                               "-e", inject, *self.arguments()],
                              stdin=subprocess.DEVNULL, capture_output=True, check=False)
        if done.returncode == 0:
            return False
        if done.returncode != status:
            raise AssertionError(f"{self}: the run ended with {done.returncode}:\n"
                                 f"{done.stdout.decode()}{done.stderr.decode()}")
        return True

    def run_again(self):
        done = subprocess.run(self.arguments(), stdin=subprocess.DEVNULL, capture_output=True,
                              text=True, check=False)
        if done.returncode != 0:
            raise AssertionError(f"{self}: the next run ended with {done.returncode}:\n"
                                 f"{done.stdout}{done.stderr}")
        return done.stdout

    def picture(self):
        """All of the good state but the key itself: files, their modes and owners, TPM handles."""
        files = {path.name: (path.stat().st_mode, path.stat().st_uid, path.stat().st_gid)
                 for path in [self.state, *self.state.iterdir()]}
        handles = {first: self.tpm.handles(first) for first in
                   (TRANSIENT, LOADED_SESSION, SAVED_SESSION, PERSISTENT, NV_INDEX)}
        return files, handles

    def left_behind(self):
        """What a run that is over has no use for: files not in their place, and the TPM's slots."""
        files = {path.name for path in self.state.iterdir() if path.name.endswith(".new")}
        return files | {handle for first in (TRANSIENT, LOADED_SESSION, SAVED_SESSION)
                        for handle in self.tpm.handles(first)}

    def key(self):
        path = self.state / "device.pem"
        return path.read_bytes() if path.exists() else None


def expect(condition, point, what):
    if not condition:
        raise AssertionError(f"killed before {point}: {what}")


def outcomes(output):
    return dict(re.findall(r"^([a-z-]+) +(done|skipped) ", output, re.MULTILINE))


class ProvisionKilledTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        vendor = EccTpmVendor()
        cls.tpm_state = vendor.make(scratch("new-tpm") / "state")
        cls.station = Station(vendor, guarded=True, policy=cls.policy())
        cls.good = cls.good_state()

    @classmethod
    def policy(cls):
        """The device key's policy is signed for the state that a TPM starts in."""
        world()  # the networks that the vendor's tools run in
        vendor = Vendor()
        tpm = copy_tpm(cls.tpm_state, scratch("golden-tpm") / "state").start()
        vendor.approve(tpm.tcti)
        tpm.stop()
        return {"kind": "signed", "key": vendor.public, "states": vendor.states}

    @classmethod
    def good_state(cls):
        point = Point(cls.station, cls.tpm_state, "none", 0)
        point.tpm.start()
        try:
            point.run_again()
            return point.picture()
        finally:
            point.tpm.stop()

    def assert_recovers(self, syscall, number):
        """True if there was such a call to be killed at."""
        point = Point(self.station, self.tpm_state, syscall, number)
        point.tpm.start()
        try:
            killed = point.run_killed()
            key = point.key()
            point.run_again()
            expect(key is None or point.key() == key, point, "the key that was stored is another")
            expect(point.picture() == self.good, point,
                   f"this is not the good state: {point.picture()}, but {self.good} is")
            steps = outcomes(point.run_again())
            steps.pop("check-tpm")
            expect(set(steps.values()) == {"skipped"}, point, f"steps were left undone: {steps}")
            return killed
        finally:
            point.tpm.stop()
            subprocess.run(["rm", "-rf", point.folder], check=True)

    def assert_recovers_from_each(self, syscall):
        """Returns at how many of them a run was killed."""
        for points, number in enumerate(itertools.count(FIRST, STRIDE)):
            if not self.assert_recovers(syscall, number):
                return points
        return 0

    def test_a_run_killed_before_any_call_that_writes_is_finished_by_the_next(self):
        with ThreadPoolExecutor(2 * os.cpu_count()) as pool:
            counts = dict(zip(WRITING, pool.map(self.assert_recovers_from_each, WRITING)))
        points = sum(counts.values())
        print(f"     {points} points{f' (number {FIRST} of each, and every third after it)' if STRIDE > 1 else ''}: " +
              ", ".join(f"{count} {name}" for name, count in counts.items() if count), flush=True)
        self.assertGreater(points, 0)

    def assert_leaves_nothing_behind(self, syscall, number):
        """True if there was such a call to be interrupted at."""
        point = Point(self.station, self.tpm_state, syscall, number)
        point.tpm.start()
        try:
            if not point.run_killed("SIGINT", -2):
                return False
            expect(point.left_behind() == set(), point, f"it left {point.left_behind()}")
            point.run_again()
            expect(point.picture() == self.good, point, "the next run did not finish it")
            return True
        finally:
            point.tpm.stop()
            subprocess.run(["rm", "-rf", point.folder], check=True)

    def test_a_run_that_is_interrupted_leaves_nothing_behind(self):
        """It ends by that signal: before a file is in its place, and while the TPM is at work."""
        points = [("fsync", number) for number in (1, 3)]
        points += [("write", number) for number in range(5, 120, 19)]
        with ThreadPoolExecutor(2 * os.cpu_count()) as pool:
            there = list(pool.map(lambda point: self.assert_leaves_nothing_behind(*point), points))
        self.assertGreater(sum(there), 4)

    def test_a_file_that_is_interrupted_leaves_nothing_beside_it(self):
        """SIGINT comes after the file is written and before it is renamed to its place."""
        folder = scratch("interrupted")
        (folder / "anchors.pem").write_bytes(self.station.operator_root.pem())
        done = subprocess.run(["env", "--default-signal=INT", "strace", "-f", "-o", "/dev/null",
                               "-e", "inject=fsync:signal=SIGINT:when=1", BIN / "tre-provision",
                               "sign-anchors", "--key", self.station.folder / "operator.key",
                               "--anchors-version", "2", folder / "anchors.pem"],
                              check=False, capture_output=True)
        self.assertEqual(done.returncode, -2, done.stderr)
        self.assertEqual({path.name for path in folder.iterdir()},
                         {"anchors.pem", "anchors.pem.sig"})
