"""tred-net by itself, and helpers that do not do what they should: who is served, and what tred makes of nonsense."""

import os
import pwd
import socket
import struct
import subprocess
import sys
import time
import unittest
from pathlib import Path

from lab import memory
from lab.case import LabTest
from lab.process import BIN, Process, run, scratch, wait_until
from lab.traffic import INTERFACE, ROUTE_PROTOCOL, configuration

USER = {"data-plane": {"mode": "user"}}
OPEN, ADD_SA, MODE_USER = 1, 6, 2
DEADLINE = 5  # seconds, orderlink.h

# Connects as whoever runs it; says which octets come back for each order, or why none do.
ASK = """
import socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
s.settimeout(5)
try:
    s.connect(sys.argv[1])
    for order in sys.argv[2:]:
        s.send(bytes.fromhex(order))
        print(s.recv(4096).hex() or "closed")
except OSError as error:
    print(type(error).__name__)
"""

# A tred-esp that says that it is there, and then only what {then} makes of the next order.
FALSE_ESP = """#!{python}
import socket, struct, time
s = socket.socket(fileno=3)
order = s.recv(4096)
number = struct.unpack("!I", order[1:5])[0]
s.send(struct.pack("!BBII4Q", 1, order[0], number, 0, 0, 0, 0, 0))
order = s.recv(4096)
number = struct.unpack("!I", order[1:5])[0]
{then}
time.sleep(600)
"""


def nothing_left():
    return not any(INTERFACE in line or f"proto {ROUTE_PROTOCOL}" in line for line in configuration())


def open_order(mode=MODE_USER, name=b"segw0", number=1, names=()):
    names = names or (name,)
    return struct.pack("!BIBB", OPEN, number, mode, len(names)) + b"".join(
        bytes([len(name)]) + name for name in names)


def ask(path, *orders, user):
    return run([sys.executable, "-I", "-c", ASK, path, *(order.hex() for order in orders)],
               user=user).stdout.strip()


def error_of(answer):
    """0, or what the answer to an order says went wrong."""
    return struct.unpack("!I", bytes.fromhex(answer)[6:10])[0]


class SocketTest(LabTest):
    def setUp(self):
        super().setUp()
        self.path = self.start_tred_net().path

    def test_tred_is_answered(self):
        self.assertEqual(ask(self.path, open_order(), user="tred"),
                         struct.pack("!BBIIB", 1, OPEN, 1, 0, MODE_USER).hex())

    def test_another_user_is_refused_by_the_kernels_word_on_who_it_is(self):
        for user in ("henb-ike", "tred-net", "root"):
            self.assertIn(ask(self.path, open_order(), user=user), ("closed", "ConnectionResetError",
                                                               "BrokenPipeError"), user)
            self.tred_net.wait_for("connected and is refused")
        self.assertNotEqual(ask(self.path, open_order(), user="tred"), "closed")

    def test_octets_that_are_no_order_end_the_connection_and_nothing_else(self):
        good = open_order()
        for bad in (b"\0" * 5, b"\xff" * 4096, good[:-1], good + b"\0", open_order(mode=3),
                    open_order(name=b"a/b"), open_order(name=b"sixteen-octets-x"),
                    open_order(names=(b"segw0", b"segw0")), open_order(names=(b"a", b"b", b"c", b"d", b"e"))):
            self.assertIn(ask(self.path, bad, user="tred"), ("closed", "ConnectionResetError"), bad)
        self.assertNotEqual(ask(self.path, good, user="tred"), "closed")
        self.assertTrue(self.tred_net.running())

    def test_orders_before_the_first_are_refused(self):
        remove = struct.pack("!BII", 7, 5, 300)
        self.assertNotEqual(error_of(ask(self.path, remove, user="tred")), 0)

    def test_a_plane_is_opened_once(self):
        first, second = ask(self.path, open_order(), open_order(number=2), user="tred").split()
        self.assertEqual(error_of(first), 0)
        self.assertNotEqual(error_of(second), 0)
        self.assertEqual(bytes.fromhex(second)[2:6], struct.pack("!I", 2))

    def test_keys_that_an_order_brought_are_gone_when_it_is_answered(self):
        """Whatever becomes of it: here it is no order that anybody reads to its end."""
        keys = {"in": os.urandom(16), "out": os.urandom(16)}
        order = struct.pack("!BI", ADD_SA, 2) + b"".join(keys.values())
        opened, added = ask(self.path, open_order(), order, user="tred").split()
        self.assertEqual(error_of(opened), 0)
        self.assertIn(added, ("closed", "ConnectionResetError"))
        found, size = memory.search(self.tred_net.pid, keys)
        self.assertGreater(size, 1_000_000, "too little was read to mean anything")
        self.assertEqual(found, set())

    def test_one_connection_is_served_at_a_time(self):
        first = Process("first", [sys.executable, "-I", "-c", ASK.replace(
            's.recv(4096).hex() or "closed")', 's.recv(4096).hex(), flush=True); s.settimeout(600); s.recv(1)'),
            self.path, open_order().hex()], user="tred")
        self.addCleanup(first.kill)
        first.wait_for("^01")
        self.assertEqual(ask(self.path, open_order(), user="tred"), "TimeoutError")
        first.kill()
        wait_until(lambda: ask(self.path, open_order(), user="tred").startswith("01"), "its turn", 10)


def serves(owner):
    """How tred-net, run by nobody, ends with a connection that `owner` has made, and what it said."""
    before = os.geteuid()
    os.seteuid(pwd.getpwnam(owner).pw_uid)
    try:
        ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    finally:
        os.seteuid(before)
    with ours, its:
        # Not bash, which takes a socket for a remote user's and reads ~/.bashrc.
        handed = subprocess.Popen(["sh", "-c", 'exec "$0" --connected 3<&0 </dev/null', BIN / "tred-net"], stdin=its,
                                  stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, user="nobody")
        its.close()
        if owner == "nobody":
            ours.close()  # it ends when we leave
        try:
            said = handed.communicate(timeout=60)[1]
        finally:
            handed.kill()
    return handed.returncode, said


class HandedOverTest(unittest.TestCase):
    def test_a_connection_of_its_own_user_is_served_to_its_end(self):
        self.assertEqual(serves("nobody"), (0, ""))

    def test_a_connection_of_another_user_is_not_served(self):
        status, said = serves("henb-ike")
        self.assertNotEqual(status, 0)
        self.assertIn("connected and is refused", said)


class ProcessTest(LabTest):
    def test_it_has_one_capability_no_file_and_few_system_calls(self):
        self.establish(tred=USER)
        pid = self.tred_net.pid
        status = memory.status(pid)
        for kind in ("CapPrm", "CapEff"):
            self.assertEqual(int(status[kind], 16), 1 << 12, kind)
        for kind in ("CapAmb", "NoNewPrivs"):
            self.assertEqual(int(status[kind], 16), int(kind == "NoNewPrivs"), kind)
        self.assertRegex(Path(f"/proc/{pid}/limits").read_text(), r"Max core file size\s+0\s+0")
        self.assertEqual(Path(f"/proc/{pid}/mem").stat().st_uid, 0)
        held = {os.readlink(entry).split(":")[0] for entry in Path(f"/proc/{pid}/fd").iterdir()}
        held = {name for name in held if not name.endswith("output.log")}  # standard error
        self.assertEqual(held, {"/dev/null", "socket", "anon_inode"})  # the last: signals
        if "__asan_init" not in run(["nm", "-D", BIN / "tred-net"]).stdout:
            self.assertEqual(status["Seccomp"], "2")

    def test_only_tred_net_links_to_netlink(self):
        for program, linked in (("tred-net", True), ("tred", False), ("tred-esp", False)):
            needed = run(["readelf", "--dynamic", BIN / program]).stdout
            (self.assertIn if linked else self.assertNotIn)("libmnl", needed, program)
        for library in ("libtss2", "libjson", "libinih"):
            self.assertNotIn(library, run(["readelf", "--dynamic", BIN / "tred-net"]).stdout)


class FalseEspTest(LabTest):
    """tred with a tred-esp that is none."""

    def start(self, then):
        program = scratch("false-esp") / "tred-esp"
        program.write_text(FALSE_ESP.format(python=sys.executable, then=then))
        program.chmod(0o755)
        self.start_segw()
        self.tred = self.start_tred(**{"data-plane": {"mode": "user", "esp-helper": program}})
        return self.start_client()

    def assert_given_up(self, client, reason):
        """AddChild fails for that reason; tred serves on, and nothing is left in the network."""
        if client:
            client.wait_for("DataPlaneFailed|The data plane", DEADLINE + 10)
        self.tred.wait_for(f"The data plane failed: {reason}. It is opened again", DEADLINE + 10)
        self.assertEqual(self.tred.get("State"), "development")
        self.assertEqual(self.tred.children(), [])
        wait_until(nothing_left, "a network without a tunnel")

    def test_one_that_talks_on_without_answering_freezes_nobody_and_has_no_more_than_its_deadline(self):
        client = self.start("for i in range(1000):\n"
                            "    s.send(struct.pack('!BBI', 2, 0, 77)); time.sleep(0.5)")
        client.wait_for("step 6")
        answered, patience = 0, time.monotonic() + 3 * DEADLINE
        while not self.tred.find("The data plane failed") and time.monotonic() < patience:
            self.tred.get("State")
            answered += 1
        self.assertGreater(answered, 10)  # before it was given up
        self.assert_given_up(client, "tred-esp did not answer in time")

    def test_one_that_answers_what_it_was_not_asked_is_given_up(self):
        client = self.start("s.send(struct.pack('!BBII', 1, order[0], number + 1, 0))")
        self.assert_given_up(client, "tred-esp answered what it was not asked")

    def test_one_that_says_what_is_no_answer_is_given_up(self):
        client = self.start("s.send(b'nonsense')")
        self.assert_given_up(client, "tred-esp said what is no answer")

    def test_a_client_that_goes_while_its_sa_is_being_added_takes_nothing_with_it(self):
        client = self.start("")
        client.wait_for("step 6")
        self.tred.wait_for("verified")
        client.kill()
        self.tred.wait_for("left the bus")
        self.tred.wait_for("The SPI was given back")
        self.assert_given_up(None, "tred-esp did not answer in time")
        self.assertTrue(self.tred.running())

    def test_one_that_refuses_the_sa_is_believed_and_kept(self):
        client = self.start("s.send(struct.pack('!BBII', 1, order[0], number, 0))\n"
                            "while True:\n"
                            "    order = s.recv(4096)\n"
                            "    number = struct.unpack('!I', order[1:5])[0]\n"
                            "    s.send(struct.pack('!BBIIH', 1, order[0], number, 12, 0))")
        client.wait_for("DataPlaneFailed")
        self.assertFalse(self.tred.find("The data plane failed"))
        self.assertEqual(self.tred.children(), [])
        self.assertTrue(nothing_left())
