"""Each thing that can stand between a machine and a working TrE: broken in turn, and the remedy read.

trectl doctor must say it, and tred's own log in the same words."""

import contextlib
import fcntl
import json
import os
import pty
import pwd
import re
import shutil
import termios
from pathlib import Path

from lab.bus import Bus
from lab.case import LabTest
from lab.network import HENB
from lab.pki import DAY, Flaws, HENB_NAME, issue, make_ca
from lab.process import BIN, Process, run, scratch
from lab.systemd import Systemd
from lab.programs import Tred, TredNet, TredTpm, tred_sections, write_ini
from lab.tpm import LesserTpm
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

# tred-net in a kernel that knows no NETLINK_NETFILTER, the 12th of AF_NETLINK, the 16th; by libseccomp's numbers.
NO_NF_TABLES = """#!/usr/bin/python3
import ctypes, errno, os, sys
class Compare(ctypes.Structure):
    _fields_ = [("arg", ctypes.c_uint), ("op", ctypes.c_int), ("a", ctypes.c_uint64), ("b", ctypes.c_uint64)]
ALLOW, ERRNO, EQUAL = 0x7fff0000, 0x00050000, 4
seccomp = ctypes.CDLL("libseccomp.so.2")
seccomp.seccomp_init.restype = ctypes.c_void_p
context = ctypes.c_void_p(seccomp.seccomp_init(ALLOW))
wanted = (Compare * 2)(Compare(0, EQUAL, 16, 0), Compare(2, EQUAL, 12, 0))
if (seccomp.seccomp_rule_add_array(context, ERRNO | errno.EPROTONOSUPPORT, seccomp.seccomp_syscall_resolve_name(b"socket"),
                                   2, wanted) < 0 or seccomp.seccomp_load(context) < 0):
    sys.exit("the filter can't be set")
os.execv("{0}", ["{0}", *sys.argv[1:]])
"""
POLICY = Path("/etc/dbus-1/system.d/org.tred.TrE1.conf")
ALG_ECDSA = 0x18


@contextlib.contextmanager
def edited(path, edit):
    """The file's text is what edit(text) returns meanwhile; it stays the same file."""
    before = Path(path).read_text()
    Path(path).write_text(edit(before))
    try:
        yield
    finally:
        Path(path).write_text(before)


@contextlib.contextmanager
def covered(target, source):
    """Another file or folder stands at `target` meanwhile."""
    run(["mount", "--bind", source, target])
    try:
        yield
    finally:
        run(["umount", target])


def without(name):
    """Edits /etc/passwd or /etc/group: `name` is not there."""
    return lambda text: re.sub(rf"^{name}:.*\n", "", text, flags=re.MULTILINE)


def tss(members):
    return lambda text: without("tss")(text) + f"tss:x:64999:{members}\n"


class DoctorTest(LabTest):
    def setUp(self):
        super().setUp()
        self.starting(self.world.tpm.start())
        # A copy, to be broken.
        self.files = scratch("doctor") / "state"
        shutil.copytree(self.world.device("ecdsa-p256"), self.files)
        user = pwd.getpwnam("tred")
        for path in (self.files, *self.files.iterdir()):
            os.chown(path, user.pw_uid, user.pw_gid)
        self.enterContext(edited("/etc/group", tss("tred-tpm")))

    def configure(self, **sections):
        return write_ini(scratch("tred.conf") / "tred.conf", tred_sections(self.files, **sections))

    def configure_client(self, **sections):
        return write_ini(scratch("ikeclient.conf") / "ikeclient.conf", {"segw": {"address": "192.0.2.1"}, **sections})

    def doctor(self, *arguments):
        client = () if "--client-config" in arguments else ("--client-config", self.configure_client())
        return run([BIN / "trectl", "doctor", "--tred-net", BIN / "tred-net", *client, *arguments],
                   namespace=HENB, check=False)

    def assert_doctor_says(self, name, words, **sections):
        done = self.doctor("--config", self.configure(**sections))
        problems = re.findall(r"^problem  (.*)$", done.stdout, re.MULTILINE)
        self.assertTrue([line for line in problems
                         if line.startswith(f"{name}: ") and words in line], done.stdout)
        self.assertEqual(done.returncode, 1)

    def assert_both_say(self, name, words, **sections):
        self.assert_doctor_says(name, words, **sections)
        net = self.starting(TredNet()).wait_for_socket()
        service = TredTpm()
        self.addCleanup(service.stop)
        sections.setdefault("tpm", {})["socket"] = service.path
        tred = Process("tred", [BIN / "tred", "--config", self.configure(**sections)],
                       namespace=HENB, user="tred")
        self.addCleanup(tred.stop)
        tred.wait_for(re.escape(words))
        tred.stop()
        service.stop()
        net.stop()


class SoundTest(DoctorTest):
    def test_nothing_stands_in_the_way_of_a_sound_machine(self):
        done = self.doctor("--config", self.configure())
        self.assertEqual(done.returncode, 0, done.stdout)
        self.assertIn("Nothing stands in the way", done.stdout)
        self.assertNotIn("problem", done.stdout)

    def test_doctor_leaves_no_trace_and_tells_which_data_plane_it_would_be(self):
        before = run(["ip", "address"], namespace=HENB).stdout
        done = self.doctor("--config", self.configure(**{"data-plane": {"mode": "user"}}))
        self.assertEqual(done.returncode, 0, done.stdout)
        self.assertIn("data plane: user", done.stdout)
        self.assertEqual(run(["ip", "address"], namespace=HENB).stdout, before)

    def test_doctor_asks_a_tred_that_runs_and_leaves_the_tpm_to_it(self):
        self.starting(Tred(self.files)).wait_for_state("development")
        done = self.doctor("--config", self.configure())
        self.assertEqual(done.returncode, 0, done.stdout)
        self.assertIn("tred: runs, for development", done.stdout)
        self.assertNotIn("TPM:", done.stdout)

    def test_wrong_usage_is_neither_sound_nor_ill(self):
        self.assertEqual(self.doctor("--no-such-option").returncode, 64)


class UsersTest(DoctorTest):
    def test_a_missing_user_is_named_with_what_makes_it(self):
        for user in ("tred", "henb-ike"):
            with edited("/etc/passwd", without(user)):
                self.assert_doctor_says("user", f"There is no user {user}, ")
                self.assert_doctor_says("user", "Run systemd-sysusers")

    def test_a_missing_group_is_named_with_what_makes_it(self):
        with edited("/etc/group", without("tss")):
            self.assert_doctor_says("group", "There is no group tss")

    def test_a_user_outside_of_the_group_is_told_how_to_get_in(self):
        with edited("/etc/group", tss("")):
            self.assert_doctor_says("group", "usermod -aG tss tred-tpm")


class BusTest(DoctorTest):
    def test_a_bus_without_the_policy_refuses_the_name(self):
        self.bus.stop()
        with edited(POLICY, lambda text: "<busconfig/>\n"):
            self.starting(Bus())
            self.assert_both_say("bus", "org.tred.TrE1.conf")

    def test_a_bus_that_is_not_there(self):
        self.bus.stop()
        self.assert_both_say("bus", "The system bus can't be reached")


class TpmTest(DoctorTest):
    def test_no_tpm_device(self):
        self.assert_both_say("TPM", "there is no TPM at /dev/no-such-tpm: No such file or directory; "
                             "is it enabled in the firmware, and its driver loaded?",
                             tpm={"tcti": "device:/dev/no-such-tpm"})

    def test_no_permission_on_the_tpm_device(self):
        device = scratch("device") / "tpm"
        try:
            os.mknod(device, 0o020600, os.makedev(1, 3))
        except PermissionError:
            self.skipTest("device nodes can't be made here")
        self.assert_both_say("TPM", f"no permission to use {device}; run as a member of its group "
                             "(usually tss)", tpm={"tcti": f"device:{device}"})

    def test_another_process_that_holds_the_tpm_device(self):
        # A terminal in exclusive mode is busy for others just as /dev/tpm0 is.
        master, slave = pty.openpty()
        self.addCleanup(os.close, master)
        self.addCleanup(os.close, slave)
        fcntl.ioctl(slave, termios.TIOCEXCL)
        device = os.ttyname(slave)
        os.chown(device, pwd.getpwnam("tred-tpm").pw_uid, -1)
        self.assert_both_say("TPM", f"{device} is in use by another program; use the kernel's "
                             "resource manager, /dev/tpmrm0, or end that program",
                             tpm={"tcti": f"device:{device}"})

    def test_a_tpm_that_lacks_an_algorithm(self):
        self.starting(LesserTpm(ALG_ECDSA))
        self.assert_both_say("TPM", "this TPM lacks ECDSA, which a device key ecdsa-p256 needs; "
                             "update the TPM's firmware, or choose another algorithm with "
                             "'tre-provision init --key-algorithm', or use another TPM",
                             tpm={"tcti": LesserTpm.TCTI})

    def test_a_tpm_that_does_not_answer(self):
        self.world.tpm.stop()
        self.assert_both_say("TPM", "no TPM answers at the TCTI")


class FilesTest(DoctorTest):
    def test_missing_files_are_named_with_the_step_that_makes_them(self):
        for name, part, remedy in (
                ("device.pem", "device key file", "Run tre-provision init"),
                ("device.crt", "device certificate",
                 "Have the CSR signed and run tre-provision install-cert"),
                ("segw-anchors.pem", "SeGW anchors",
                 "Get the operator's root certificates and run tre-provision install-anchors")):
            path = self.files / name
            path.rename(path.with_suffix(".away"))
            self.assert_both_say(part, f"{path} does not exist. {remedy}")
            path.with_suffix(".away").rename(path)

    def test_files_that_tred_may_not_read(self):
        path = self.files / "device.crt"
        os.chown(path, 0, 0)
        path.chmod(0o600)
        self.assert_both_say("device certificate", f"{path}: no permission to read it. Let group tred "
                             f"read it: chgrp tred {path} && chmod g+r {path}")

    def test_files_that_do_not_fit_are_named_with_what_to_do(self):
        # Each stands for another, as after a slip in copying.
        for name, content, part, remedy in (
                ("device.pem", "device.crt", "device key file", "tre-provision init"),
                ("device.crt", "device.pem", "device certificate", "take it out"),
                ("segw-anchors.pem", "device.pem", "SeGW anchors", "take it out")):
            path = self.files / name
            with edited(path, lambda _, content=content: (self.files / content).read_text()):
                self.assert_both_say(part, str(path))
                self.assert_both_say(part, remedy)

    def test_a_certificate_for_another_key(self):
        other = self.device_certificate(make_ca("Other").key.public_key())
        (self.files / "device.crt").write_bytes(other.pem())
        self.assert_both_say("device certificate", "is for the key in")

    def test_a_key_of_another_tpm(self):
        self.world.tpm.tool("tpm2_clear", "-c", "p")
        self.addCleanup(self.world.device.cache_clear)
        self.assert_both_say("device key in the TPM", "tre-provision init")

    def test_a_clock_before_the_certificate(self):
        present = x509.load_pem_x509_certificate((self.files / "device.crt").read_bytes())
        future = self.device_certificate(present.public_key(), Flaws(starts=DAY))
        (self.files / "device.crt").write_bytes(future.pem())
        self.assert_both_say("clock", f"{self.files / 'device.crt'} is not valid yet by this machine's "
                             "clock. Set the clock (timedatectl)")

    def device_certificate(self, public_key, flaws=Flaws()):
        return issue(self.world.vendor_root, HENB_NAME, public_key, ExtendedKeyUsageOID.CLIENT_AUTH,
                     flaws)

    def test_a_verifier_that_is_not_installed(self):
        self.assert_both_say("device certificate", "The verifier /nowhere/tred-verify can't be started: "
                             "No such file or directory", segw={"verifier": "/nowhere/tred-verify"})

    def test_each_crl_that_can_not_be_read_is_named(self):
        folder = scratch("crls")
        (folder / "a.crl").write_bytes(b"no CRL")
        (folder / "b.crl").write_bytes(b"")
        crls = {"segw": {"crl-directory": folder}}
        self.assert_doctor_says("CRLs", "a.crl: it is no CRL", **crls)
        self.assert_doctor_says("CRLs", "b.crl: it is empty", **crls)
        (folder / "b.crl").chmod(0)
        self.assert_doctor_says("CRLs", "b.crl: Permission denied", **crls)

    def test_what_a_tred_that_runs_can_not_read_of_the_crls_is_told_as_its_own(self):
        folder = scratch("crls")
        (folder / "a.crl").write_bytes(b"no CRL")
        crls = {"segw": {"crl-directory": folder}}
        tred = self.starting(Tred(self.files, **crls))
        tred.wait_for_state("development")
        tred.wait_for("a.crl: .* No SeGW is taken until that is mended")
        self.assert_doctor_says("tred's CRLs", "a.crl", **crls)

    def test_a_profile_with_a_key_that_there_is_not(self):
        profile = scratch("profile") / "profile.conf"
        profile.write_text("[path]\ncolour = blue\n")
        self.assert_both_say("device certificate", f"{profile}:2: ", segw={"profile": profile})

    def test_a_configuration_without_a_segw(self):
        path = self.configure()
        path.write_text("[log]\nlevel = info\n")
        done = self.doctor("--config", path)
        self.assertEqual(done.returncode, 1)
        self.assertIn(f"{path}: [segw] name is missing.", done.stdout)


class ServicesTest(DoctorTest):
    """Of a service that does not run it is said whether that is right."""

    def findings(self, *arguments):
        """{name: (verdict, text)}"""
        done = self.doctor("--config", self.configure(), *arguments)
        return {name: (verdict, text) for verdict, name, text in
                re.findall(r"^(ok|warning|problem) +([^:]+): (.*)$", done.stdout, re.MULTILINE)}

    def assert_found(self, name, verdict, words, *arguments):
        found = self.findings(*arguments)
        self.assertEqual(found[name][0], verdict, found)
        self.assertIn(words, found[name][1])

    def units(self, client, tred=("inactive", "disabled", "success", 0)):
        self.starting(Systemd({"tred.service": tred, "ikeclient.service": client}))

    def test_a_client_that_is_enabled_and_was_stopped_is_a_problem(self):
        self.units(("inactive", "enabled", "success", 0))
        self.assert_found("ikeclient", "problem", "although it is enabled: somebody has stopped it")
        self.assert_found("tred", "ok", "it starts when it is needed")

    def test_a_client_that_is_not_enabled_is_as_systemd_was_told(self):
        self.units(("inactive", "disabled", "success", 0))
        self.assert_found("ikeclient", "warning", "systemctl enable --now ikeclient")

    def test_a_client_that_has_failed_is_told_with_its_status_in_words(self):
        self.units(("failed", "enabled", "exit-code", 78))
        self.assert_found("ikeclient", "problem", "exit status 78: its configuration is wrong")

    def test_a_tred_that_has_failed_otherwise_is_told_by_how(self):
        self.units(("inactive", "disabled", "success", 0), tred=("failed", "enabled", "watchdog", 0))
        self.assert_found("tred", "problem", "has failed (watchdog)")

    def test_a_masked_service_is_named_with_what_unmasks_it(self):
        self.units(("inactive", "masked", "success", 0))
        self.assert_found("ikeclient", "problem", "systemctl unmask ikeclient")

    def test_without_systemd_it_does_not_claim_to_know(self):
        self.assert_found("ikeclient", "warning", "There is no systemd to ask")

    def test_a_client_with_a_tunnel_and_one_that_was_told_to_have_none(self):
        self.start_segw()
        self.starting(Tred(self.files)).wait_for_state("development")
        self.start_client().wait_for_state("established")
        self.assert_found("ikeclient", "ok", "has a tunnel to segw.operator.example")
        run([BIN / "trectl", "down", "--wait"])
        self.assert_found("ikeclient", "warning", "was told to have no tunnel. To have one: trectl up")

    def test_a_client_without_a_tunnel_is_told_with_its_last_error(self):
        self.starting(Tred(self.files)).wait_for_state("development")
        self.start_client(connection={"reconnect": "no", "retransmit-timeout": "50",
                                      "retransmit-tries": "2"}).wait_for_state("idle")
        self.assert_found("ikeclient", "problem", "runs, and is idle: ")

    def test_the_clients_configuration_is_read_as_its_user(self):
        path = self.configure_client(connection={"keepalive": "often"})
        self.assert_found("ikeclient's configuration", "problem", "keepalive", "--client-config", path)
        path = self.configure_client()
        path.chmod(0o600)
        self.assert_found("ikeclient's configuration", "problem", "Permission denied", "--client-config", path)

    def test_json_has_the_same_findings(self):
        text = self.findings()
        done = self.doctor("--config", self.configure(), "--json")
        found = json.loads(done.stdout)
        self.assertEqual({each["name"]: each["verdict"] for each in found["findings"]},
                         {name: verdict for name, (verdict, _) in text.items()})
        self.assertEqual(found["problems"], 0)
        self.assertEqual(found["warnings"], sum(each["verdict"] == "warning" for each in found["findings"]))
        self.assertEqual(done.returncode, 0)


class DataPlaneTest(DoctorTest):
    def test_a_kernel_without_tun(self):
        with covered("/dev/net", scratch("no-tun")):
            self.assert_both_say("data plane", "/dev/net/tun can't be opened: No such file or "
                                 "directory. Load the module tun, or have a kernel that has it",
                                 **{"data-plane": {"mode": "user"}})

    def test_a_kernel_without_esp_and_tun(self):
        automatic = {"data-plane": {"mode": "auto"}}
        with covered("/dev/net", scratch("no-tun")):
            if "data plane: kernel" in self.doctor("--config", self.configure(**automatic)).stdout:
                self.skipTest("this kernel has ESP")
            self.assert_both_say("data plane", "This kernel lacks ESP, AES-GCM or the XFRM interface",
                                 **automatic)
            self.assert_both_say("data plane", "/dev/net/tun can't be opened", **automatic)

    def test_tun_that_tred_may_not_open(self):
        folder = scratch("tun")
        try:
            os.mknod(folder / "tun", 0o020600, os.makedev(10, 200))
        except PermissionError:
            self.skipTest("device nodes can't be made here")
        with covered("/dev/net", folder):
            self.assert_both_say("data plane", "No permission to open /dev/net/tun.",
                                 **{"data-plane": {"mode": "user"}})

    def test_a_helper_that_is_not_installed(self):
        self.assert_both_say("data plane", "/nowhere/tred-esp can't be started: No such file or "
                             "directory", **{"data-plane": {"mode": "user",
                                                            "esp-helper": "/nowhere/tred-esp"}})

    def test_a_kernel_without_nf_tables_where_the_tunnel_is_to_be_protected(self):
        without_nf_tables = scratch("no-nf-tables") / "tred-net"
        without_nf_tables.write_text(NO_NF_TABLES.format(BIN / "tred-net"))
        without_nf_tables.chmod(0o755)
        words = "The kernel does not take the rules of nf_tables"
        for protect, refused in (("yes", True), ("strict", True), ("no", False)):
            path = self.configure(**{"data-plane": {"mode": "user", "protect": protect}})
            said = self.doctor("--config", path, "--tred-net", without_nf_tables).stdout
            self.assertEqual("problem  data plane: " in said and words in said, refused, said)
            self.assertEqual("data plane: user" in said, not refused, said)

    def test_doctor_leaves_no_rules_behind(self):
        run(["nft", "flush", "ruleset"], namespace=HENB)  # of tests before, whose tred was killed
        done = self.doctor("--config", self.configure(**{"data-plane": {"mode": "user", "protect": "strict"}}))
        self.assertIn("data plane: user", done.stdout)
        self.assertEqual(run(["nft", "list", "ruleset"], namespace=HENB).stdout, "")
