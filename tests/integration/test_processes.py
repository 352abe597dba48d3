"""Who runs as what: each process's rights, what it links to, what it shows on the bus."""

import math
import os
import pwd
import re
import unittest
import xml.etree.ElementTree as ElementTree
from pathlib import Path

from lab import memory
from lab.case import LabTest
from lab.handclient import HandClient
from lab.process import BIN, run, wait_until
from lab.programs import CLIENT, CLIENT_PATH, TRED, TRED_PATH, Operator

DBUS = Path(__file__).resolve().parents[2] / "dbus"
FORBIDDEN = ("libcrypto", "libssl", "libtss2")
TPM = "libtss2"


class RightsTest(LabTest):
    def assert_unprivileged(self, process, user):
        self.assert_unprivileged_pid(process.pid, user)

    def assert_unprivileged_pid(self, pid, user):
        status = memory.status(pid)
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
        self.assertIn("libcrypto", " ".join(memory.executable_maps(tred.pid)))

    def test_tred_has_no_code_for_a_tpm_in_its_memory(self):
        _, tred, _ = self.establish()
        self.assertNotIn(TPM, " ".join(memory.executable_maps(tred.pid)))
        self.assertIn(TPM, " ".join(memory.executable_maps(tred.tpm_pid())))
        self.assert_unprivileged_pid(tred.tpm_pid(), "tred-tpm")

    def test_tred_leaves_no_core_and_lets_no_one_of_its_user_look_in(self):
        _, tred, _ = self.establish()
        limits = Path(f"/proc/{tred.pid}/limits").read_text()
        self.assertRegex(limits, r"Max core file size\s+0\s+0")
        # A process that is not dumpable has its /proc files owned by root.
        self.assertEqual(Path(f"/proc/{tred.pid}/mem").stat().st_uid, 0)


CAPABILITIES = {"none": 0, "net_admin": 1 << 12}
DESCRIPTORS = {"event loop": "anon_inode:[eventpoll]", "event counter": "anon_inode:[eventfd]",
               "sealed memory": "/memfd:tred-verify (deleted)", "signals": "anon_inode:[signalfd]",
               "timer": "anon_inode:[timerfd]", "sockets": "socket", "TUN": "/dev/net/tun"}

THE_BUS = "anon_inode:[pidfd]"  # of which libsystemd 257 has one, and 252 none


def documented():
    """{process: (libraries, capabilities, filter, limits, descriptors)} as docs/architecture.md has it."""
    text = (DBUS.parent / "docs" / "architecture.md").read_text()
    rows = re.findall(r"^\| `(\S+)` \| ([^|]+) \| (\w+) \| (yes|no) \| ([^|]+) \| (.*) \|$", text, re.MULTILINE)
    return {name: rest for name, *rest in rows}


class DocumentTest(LabTest):
    """The table in docs/architecture.md, against what stands in /proc."""

    def test_each_process_has_what_the_architecture_says_and_no_more(self):
        _, tred, client = self.establish(tred={"data-plane": {"mode": "user"}})
        processes = {"ikeclient": client.pid, "tred": tred.pid, "tred-net": self.tred_net.pid,
                     "tred-esp": tred.helper_pid(), "tred-tpm": tred.tpm_pid(), "tred-verify": tred.verifier_pid()}
        table = documented()
        self.assertEqual(table.keys(), processes.keys())
        sanitized = "__asan_init" in run(["nm", "-D", BIN / "tred"]).stdout
        for name, pid in processes.items():
            with self.subTest(process=name):
                libraries, capabilities, seccomp, limits, descriptors = table[name]
                status = memory.status(pid)
                self.assertEqual(self.libraries(name), set(libraries.split()))
                self.assertEqual(int(status["CapPrm"], 16), CAPABILITIES[capabilities])
                if not sanitized:
                    self.assertEqual(status["Seccomp"], "2" if seccomp == "yes" else "0")
                self.assertEqual(status["NoNewPrivs"], "1")
                held = self.descriptors(pid)
                if "systemd" in libraries.split():
                    held.discard(THE_BUS)
                self.assertEqual(held, self.meant(descriptors))
                if "open files" in limits:
                    soft, hard = self.limits(pid)["open files"]
                    self.assertGreaterEqual(soft, min(hard, 2 * 1088 + 192))
                self.assert_limits(pid, set(limits.split(", ")) - ({"data size"} if sanitized else set()))

    def assert_limits(self, pid, meant):
        """Those that it has not from who started it, of open files apart, which are more in ikeclient and tred and what tred starts."""
        held, given = self.limits(pid), self.limits("self")
        self.assertLessEqual({name for name in held if held[name] != given[name]} - {"open files"}, meant)
        for name in meant - {"open files"}:
            self.assertLess(held[name][0], math.inf, name)
            self.assertEqual(held[name][0], held[name][1], name)
            self.assertTrue(name == "data size" or held[name] == (0, 0), f"{name}: {held[name]}")

    def libraries(self, program):
        needed = run(["readelf", "--dynamic", BIN / program]).stdout
        return set(re.findall(r"NEEDED.*\[lib(\S+)\.so", needed)) - {"c"}

    def limits(self, pid):
        """{what is limited: (soft, hard)}"""
        rows = re.findall(r"^Max (.*?)  +(\d+|unlimited) +(\d+|unlimited)", Path(f"/proc/{pid}/limits").read_text(), re.MULTILINE)
        number = lambda text: math.inf if text == "unlimited" else int(text)
        return {name: (number(soft), number(hard)) for name, soft, hard in rows}

    def descriptors(self, pid):
        """The kinds of what is open beyond standard input, output and error."""
        entries = [entry for entry in Path(f"/proc/{pid}/fd").iterdir() if int(entry.name) > 2]
        return {target.split(":")[0] if target.startswith("socket") else target
                for target in map(os.readlink, entries)}

    def meant(self, words):
        return {kind for word, kind in DESCRIPTORS.items() if word in words}


class RestTest(LabTest):
    """Memory while a tunnel is up and nobody does anything."""

    def test_each_process_gives_back_what_a_connect_alone_needed(self):
        gateway, tred, client = self.establish(tred={"data-plane": {"mode": "user"}})
        processes = {"ikeclient": client.pid, "tred": tred.pid, "tred-net": self.tred_net.pid,
                     "tred-esp": tred.helper_pid(), "tred-tpm": tred.tpm_pid()}
        operator = self.starting(Operator())
        # The rest after the start may be yet to come as the first is searched. All of that is over before the second.
        for connected in (2, 3):
            for pid in processes.values():
                memory.search(pid, {})  # which has all of it in memory
            whole = {name: memory.code_in_memory(pid) for name, pid in processes.items()}
            operator.call("Connect")
            gateway.wait_for(rf"IKE_SA henb\[{connected}\] established")
            for name, pid in processes.items():
                with self.subTest(process=name, connected=connected):
                    wait_until(lambda pid=pid, half=whole[name] / 2: memory.code_in_memory(pid) < half,
                               f"{name} to rest", 30)


class HardeningTest(unittest.TestCase):
    """How each program is built, so that a fault in it is harder to use."""

    PROGRAMS = ("tred", "tred-tpm", "tred-net", "tred-esp", "tred-verify", "ikeclient", "tre-provision", "trectl")

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
            self.assertRegex(said, r"__\w+_chk@|__asan_init")


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
