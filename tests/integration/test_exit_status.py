"""With which status does each program end, in every way that it can end? And is that what its man page says?"""

import re
import socket
import subprocess
from pathlib import Path

from lab.case import LabTest
from lab.network import HENB
from lab.process import BIN, as_user, in_namespace, run, scratch
from lab.programs import IkeClient, Tred, TredNet, tred_sections, write_ini
from lab.tpm import TCTI

DOCS = Path(__file__).resolve().parents[2] / "docs"
NO_BUS = {"DBUS_SYSTEM_BUS_ADDRESS": "unix:path=/nonexistent"}
HELPER_FD = 3
CONFIGURE = b"\x0a" + bytes(4) + 7 * bytes(2)  # device/frames.h: where everything is, nowhere
SECONDS = 30


def documented(page):
    """The statuses that a man page lists."""
    section = re.search(r"^# EXIT STATUS\n(.*?)^# ", (DOCS / f"{page}.scd").read_text(),
                        re.MULTILINE | re.DOTALL)
    return {int(each) for each in re.findall(r"^\*(\d+)\*$", section[1], re.MULTILINE)}


class ExitStatusTest(LabTest):
    """Each test is one program; `ways` have been seen when it ends."""

    def setUp(self):
        super().setUp()
        self.ways = set()
        # The sanitizers' run-time does not get by with less memory.
        self.sanitized = "__asan_init" in run(["nm", "-D", BIN / "tred"]).stdout

    def assert_status(self, status, found, way, output=""):
        self.ways.add(status)
        with self.subTest(way=way):
            self.assertEqual(found, status, output)

    def assert_ends(self, status, *argv, user=None, env=None, stdout=subprocess.PIPE, limits=(),
                    stdin=None, namespace=HENB):
        """It ends by itself."""
        if limits and self.sanitized:
            self.ways.add(status)
            return
        words = [str(word) for word in in_namespace(namespace, as_user(user, [
            *(["prlimit", *limits] if limits else []), *argv]))]
        done = subprocess.run(words, stdin=stdin or subprocess.DEVNULL, stdout=stdout,
                              stderr=subprocess.PIPE, text=True, check=False, timeout=SECONDS,
                              env={**dict(PATH="/run/lab/bin:/usr/sbin:/usr/bin:/sbin:/bin"),
                                   **(env or {})})
        self.assert_status(status, done.returncode, " ".join(map(str, argv)),
                           f"{done.stdout}{done.stderr}")
        if status != 0:
            self.assertTrue(done.stderr or done.stdout, f"{argv} said nothing")

    def assert_listed(self, page):
        """The man page lists what was seen, and nothing else."""
        self.assertEqual(self.ways, documented(page))


class TredTest(ExitStatusTest):
    def configuration(self, **changes):
        return write_ini(scratch("tred.conf") / "tred.conf",
                         tred_sections(self.world.device("ecdsa-p256"), **changes))

    def end(self, status, *arguments, user="tred", **named):
        self.assert_ends(status, BIN / "tred", *arguments, user=user, **named)

    def test_tred_ends_in_every_way_with_the_status_that_its_page_lists(self):
        self.starting(self.world.tpm.start())
        good = ("--config", self.configuration())
        self.end(0, "--version")
        self.end(0, "--help")
        self.end(64, "--no-such-option")
        self.end(64, "more")
        self.end(69, *good, env=NO_BUS)
        self.end(69, "--config", self.configuration(**{"data-plane": {"mode": "user"}}))
        self.end(71, *good, limits=["--memlock=0"])
        self.end(77, *good, user="henb-ike")
        self.end(78, "--config", "/nonexistent")
        self.end(78, "--config", self.configuration(segw={"profile": "/dev/null/none"}))
        self.end(78, "--config", self.configuration(segw={"verifier": "/usr/libexec/none"}))
        self.end(69, "--config", self.configuration(segw={"verifier": "/bin/true"}))
        self.end(78, "--config", self.configuration(**{"data-plane": {"mode": "user",
                                                                       "interface": "i" * 16}}))
        tred = self.starting(Tred(self.world.device("ecdsa-p256"))).wait_for_name()
        self.end(69, *good)  # the name is taken
        self.assert_status(0, tred.stop(), "SIGTERM")
        tred = self.starting(Tred(self.world.device("ecdsa-p256"))).wait_for_name()
        tred.killed = True
        self.bus.process.kill()
        self.assert_status(69, tred.wait(), "the bus is gone", tred.output())
        self.assert_listed("tred.8")


class IkeClientTest(ExitStatusTest):
    def end(self, status, *arguments, user="henb-ike", **named):
        self.assert_ends(status, BIN / "ikeclient", *arguments, user=user, **named)

    def test_ikeclient_ends_in_every_way_with_the_status_that_its_page_lists(self):
        good = ("--config", write_ini(scratch("ikeclient.conf") / "ikeclient.conf",
                                      {"segw": {"address": "192.0.2.1"}}))
        self.end(0, "--version")
        self.end(0, "--help")
        self.end(64, "--no-such-option")
        self.end(64, "--count", "none")
        self.end(1, *good, "--once")  # there is no tred
        self.end(1, *good, "--count", "1")
        self.end(69, *good, env=NO_BUS)
        self.end(71, *good, limits=["--nofile=4"])
        for mode in ((), ("--once",), ("--count", "1")):
            self.end(77, *good, *mode, user="tred")
        self.end(78, "--config", "/nonexistent")
        client = self.starting(IkeClient())
        client.wait_for_name()
        for mode in ((), ("--once",), ("--count", "1")):  # the name is taken
            self.end(69, *good, *mode)
        self.assert_status(0, client.stop(), "SIGTERM")
        client = self.starting(IkeClient())
        client.wait_for_name()
        client.killed = True
        self.bus.process.kill()
        self.assert_status(69, client.wait(), "the bus is gone", client.output())
        self.assert_listed("ikeclient.8")


class ProvisionTest(ExitStatusTest):
    def end(self, status, *arguments, state=None, **named):
        self.assert_ends(status, BIN / "tre-provision", "--tcti", named.pop("tcti", TCTI), "--state-dir",
                         state or self.state, *arguments, **named)

    def test_tre_provision_ends_in_every_way_with_the_status_that_its_page_lists(self):
        self.starting(self.world.tpm.start())
        self.state = scratch("state")
        self.end(0, "--version")
        self.end(0, "--help")
        self.end(64, "--no-such-option")
        self.end(64, "no-such-command")
        self.end(0, "status")
        self.end(0, "init", "--fqdn", "henb.vendor.example")
        self.end(1, "verify")  # there is no certificate
        self.end(69, "init", "--fqdn", "henb.vendor.example", "--force",
                 tcti="swtpm:host=127.0.0.1,port=1")
        self.end(71, "init", "--fqdn", "henb.vendor.example", "--force", limits=["--memlock=0"],
                 user="henb-ike", state=scratch_for_all())
        self.end(77, "init", "--fqdn", "henb.vendor.example", user="henb-ike", state="/usr/none")
        self.end(78, "status", "--profile", "/nonexistent")
        with open("/dev/full", "w", encoding="utf-8") as full:
            self.end(74, "status", stdout=full)
        self.assert_listed("tre-provision.8")

    def test_status_ends_with_1_where_it_shows_an_error(self):
        self.starting(self.world.tpm.start())
        self.state = scratch("state")
        self.end(0, "status")
        self.end(1, "status", tcti="swtpm:host=127.0.0.1,port=1")
        for name in ("device.pem", "device.crt", "segw-anchors.pem"):
            with self.subTest(file=name):
                path = self.state / name
                path.write_text("nothing of the kind\n")
                self.end(1, "status")
                self.end(1, "status", "--json")
                path.unlink()


def scratch_for_all():
    path = scratch("state")
    path.chmod(0o777)
    return path


class TrectlTest(ExitStatusTest):
    def end(self, status, *arguments, **named):
        self.assert_ends(status, BIN / "trectl", *arguments, **named)

    def test_trectl_ends_in_every_way_with_the_status_that_its_page_lists(self):
        files = scratch("certificates")
        (files / "segw.pem").write_bytes(self.world.segw_credential().pem())
        (files / "anchor.pem").write_bytes(self.world.operator_root.pem())
        (files / "other.pem").write_bytes(self.world.vendor_root.pem())
        def judged(anchors):
            return ("check-peer", "--cert", files / "segw.pem", "--anchors", files / anchors, "--name",
                    "segw.operator.example")
        self.end(0, "--version")
        self.end(0, "--help")
        self.end(0, *judged("anchor.pem"))
        self.end(1, *judged("other.pem"))
        self.end(1, "doctor", "--config", "/nonexistent")
        self.end(64)
        self.end(64, "no-such-command")
        self.end(64, "doctor", "--no-such-option")
        self.end(64, "check-peer", "--no-such-option")
        self.end(65, "check-peer", "--cert", "/nonexistent", "--anchors", files / "anchor.pem")
        with open("/dev/full", "w", encoding="utf-8") as full:
            self.end(74, "doctor", "--config", "/nonexistent", stdout=full)
            self.end(74, "--version", stdout=full)
        for command in ("up", "down", "flow"):
            self.end(69, command)  # there is no ikeclient
        self.end(1, "status")
        self.end(73, "metrics", "--output", "/nonexistent/henb.prom")
        self.end(78, "dns", "--domain", "operator.example", "--config", "/nonexistent")
        self.establish()
        self.end(0, "status", user="tred-net")
        self.end(0, "down", "--wait")
        self.end(77, "up", user="tred-net")
        self.assert_listed("trectl.8")


class TredNetTest(ExitStatusTest):
    def end(self, status, *arguments, user="tred-net", **named):
        self.assert_ends(status, BIN / "tred-net", *arguments, user=user, **named)

    def test_tred_net_ends_in_every_way_with_the_status_that_its_page_lists(self):
        folder = scratch("net")
        folder.chmod(0o777)
        path = folder / "socket"
        self.end(0, "--version")
        self.end(0, "--help")
        self.end(64, "--no-such-option")
        self.end(64, "more")
        self.end(71, "--socket", path, limits=["--memlock=0"])
        self.end(77, "--socket", "/usr/socket")
        self.end(78, "--socket", path, "--user", "nobody-at-all")
        self.end(78)  # no socket
        net = self.starting(TredNet(path=path)).wait_for_socket()
        self.end(69, "--socket", path)  # it is served
        self.assertTrue(path.exists())
        self.assert_status(0, net.stop(), "SIGTERM")
        self.assert_listed("tred-net.8")


class HelperTest(ExitStatusTest):
    """What tred starts, on a socket pair."""

    def helper(self, status, program, message=None, limits=(), arguments=()):
        if limits and self.sanitized:
            self.ways.add(status)
            return
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with ours, theirs:
            command = as_user("tred", [*(["prlimit", *limits] if limits else []), BIN / program, *arguments])
            # What the shell is started with becomes descriptor 3.
            helper = subprocess.Popen(["sh", "-c", f"exec 3<&0; exec {' '.join(command)} 0</dev/null"],
                                      stdin=theirs, stderr=subprocess.PIPE, text=True)
            theirs.close()
            if message:
                ours.send(message)
            else:
                ours.close()
            _, said = helper.communicate(timeout=SECONDS)
        self.assert_status(status, helper.returncode, f"{program} {message} {limits}", said)
        self.assertEqual(bool(said), status != 0, f"{program} said {said!r}")

    def test_tred_verify_ends_in_every_way_with_the_status_that_its_page_lists(self):
        self.helper(0, "tred-verify")
        self.helper(71, "tred-verify", limits=["--data=2000000"])
        self.helper(76, "tred-verify", b"no request")
        self.assert_listed("tred-verify.8")

    def test_tred_tpm_ends_in_every_way_with_the_status_that_its_page_lists(self):
        connected = ("--connected", "--user", "root")
        self.helper(0, "tred-tpm", arguments=connected)
        self.helper(71, "tred-tpm", CONFIGURE, limits=["--memlock=0"], arguments=connected)
        self.helper(76, "tred-tpm", b"no request", arguments=connected)
        self.helper(77, "tred-tpm", b"anything", arguments=("--connected",))
        self.assert_ends(64, BIN / "tred-tpm", "--no-such-option")
        self.assert_ends(78, BIN / "tred-tpm")
        self.assert_listed("tred-tpm.8")

    def test_tred_esp_ends_in_every_way_with_the_status_that_treds_page_lists(self):
        self.helper(0, "tred-esp")
        self.helper(71, "tred-esp", limits=["--memlock=0"])
        self.helper(76, "tred-esp", b"no order")
        self.assertRegex((DOCS / "tred.8.scd").read_text(), r"_tred-esp_ ends with 0.*71.*\n.*76")
