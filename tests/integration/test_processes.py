"""Who runs as what: each process's rights, what it links to, what it shows on the bus."""

import pwd
import unittest
import xml.etree.ElementTree as ElementTree
from pathlib import Path

from lab import memory
from lab.case import LabTest
from lab.handclient import HandClient
from lab.process import BIN, run
from lab.programs import CLIENT, CLIENT_PATH, TRED, TRED_PATH

DBUS = Path(__file__).resolve().parents[2] / "dbus"
FORBIDDEN = ("libcrypto", "libssl", "libtss2")


class RightsTest(LabTest):
    def assert_unprivileged(self, process, user):
        status = memory.status(process.pid)
        for kind in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
            self.assertEqual(int(status[kind], 16), 0, kind)
        self.assertEqual(set(status["Uid"].split()), {str(pwd.getpwnam(user).pw_uid)})
        self.assertEqual(status["NoNewPrivs"], "1")

    def test_two_users_without_capabilities_are_enough_for_the_call_flow(self):
        _, tred, client = self.establish()
        self.assert_unprivileged(client, "henb-ike")
        self.assert_unprivileged(tred, "tred")

    def test_ikeclient_links_to_no_cryptography_and_no_tpm(self):
        needed = run(["readelf", "--dynamic", BIN / "ikeclient"]).stdout
        self.assertIn("libsystemd", needed)
        for library in FORBIDDEN:
            self.assertNotIn(library, needed)

    def test_ikeclient_has_no_cryptography_and_no_tpm_in_its_memory(self):
        _, tred, client = self.establish()
        files = " ".join(memory.executable_maps(client.pid))
        self.assertIn("libsystemd", files)
        # libsystemd brings libgcrypt along for the journal's files; nothing of it is called here.
        for library in FORBIDDEN:
            self.assertNotIn(library, files)
            self.assertIn(library.replace("libssl", "libcrypto"),
                          " ".join(memory.executable_maps(tred.pid)))

    def test_tred_leaves_no_core_and_lets_no_one_of_its_user_look_in(self):
        _, tred, _ = self.establish()
        limits = Path(f"/proc/{tred.pid}/limits").read_text()
        self.assertRegex(limits, r"Max core file size\s+0\s+0")
        # A process that is not dumpable has its /proc files owned by root.
        self.assertEqual(Path(f"/proc/{tred.pid}/mem").stat().st_uid, 0)


class HardeningTest(unittest.TestCase):
    """How each program is built, so that a fault in it is harder to use."""

    PROGRAMS = ("tred", "tred-esp", "tred-verify", "ikeclient", "tre-provision", "trectl")

    def examine(self, *options):
        for program in self.PROGRAMS:
            with self.subTest(program=program):
                yield run(["readelf", "--wide", *options, BIN / program]).stdout

    def test_programs_lie_at_addresses_of_their_own_and_bind_at_once(self):
        for said in self.examine("--dynamic"):
            self.assertRegex(said, r"\(FLAGS_1\) +Flags: NOW PIE")

    def test_programs_have_read_only_relocations_and_no_executable_stack(self):
        for said in self.examine("--program-headers"):
            self.assertIn("GNU_RELRO", said)
            self.assertRegex(said, r"GNU_STACK( +0x0+){5} RW ")

    def test_programs_check_their_stack_and_what_they_copy(self):
        for said in self.examine("--dyn-syms"):
            self.assertIn("__stack_chk_fail", said)
            # _FORTIFY_SOURCE hides from the sanitizers what they look for.
            self.assertRegex(said, r"__memcpy_chk|__asan_init")


def interface(document, name):
    """What an introspection document says of an interface, whatever the order, less annotations."""
    node = ElementTree.fromstring(document).find(f"interface[@name='{name}']")
    members = set()
    for member in node:
        if member.tag == "annotation":
            continue
        arguments = tuple((argument.get("name"), argument.get("type"),
                           argument.get("direction", "in" if member.tag == "method" else None))
                          for argument in member.findall("arg"))
        if member.tag == "signal":
            arguments = tuple((name, kind, None) for name, kind, _ in arguments)
        members.add((member.tag, member.get("name"), member.get("type"), member.get("access"),
                     arguments))
    return members


class InterfaceTest(LabTest):
    def assert_as_described(self, name, document):
        described = (DBUS / f"{name}.xml").read_text()
        self.assertEqual(interface(document, name), interface(described, name))

    def test_the_live_interfaces_are_those_of_the_xml_files(self):
        self.establish()
        hand = self.starting(HandClient()).until("begin")
        self.assert_as_described("org.tred.TrE1.Manager", hand.bus.introspect(TRED, TRED_PATH))
        self.assert_as_described("org.tred.TrE1.Exchange", hand.bus.introspect(TRED, hand.exchange))
        self.assert_as_described("org.tred.IkeClient1", hand.bus.introspect(CLIENT, CLIENT_PATH))
