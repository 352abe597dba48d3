"""Packets through the tunnel, and what stands of it in the HeNB's network configuration."""

import hashlib
import os
import re
import signal
import socket
import struct
import threading

from lab.network import HENB, inside
from lab.process import Process, run

INTERFACE = "segw0"
ROUTE_PROTOCOL = "84"  # marks tred's routes, see net/route.h
PIECE = 65536
AT_ONCE = struct.pack("ii", 1, 0)  # struct linger


def ping(namespace, address, size=56, count=1, dscp=0):
    """How many of `count` probes with that DSCP were answered, each within 3 s.

    One process each: of several probes, ping waits for the last one no longer than twice the time that the others took."""
    return sum(is_answered(namespace, address, size, dscp) for _ in range(count))


def is_answered(namespace, address, size, dscp=0):
    said = run(["ping", "-q", "-c", "1", "-W", "3", "-s", size, "-Q", dscp << 2, address], namespace=namespace,
               check=False).stdout
    return int(re.search(r" (\d+) received", said)[1])


class Pings:
    """Probes that go on, 50 a second, while something else happens."""

    def __init__(self, address):
        self.process = Process("ping", ["ping", "-i", "0.02", "-W", "1", address], namespace=HENB)

    def stop(self):
        """(how many were sent, the numbers of those that were not answered)"""
        if self.process.running():
            self.process.popen.send_signal(signal.SIGINT)  # it then counts
            self.process.wait()
        output = self.process.output()
        sent = int(re.search(r"(\d+) packets transmitted", output)[1])
        answered = set(map(int, re.findall(r"bytes from .* icmp_seq=(\d+) ", output)))
        # The last one may still have been on its way.
        return sent, [number for number in range(1, sent) if number not in answered]


def transfer(sender, receiver, address, size):
    """Sends `size` octets by TCP from one network to `address` in another; True if they came whole."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    octets = os.urandom(size)
    with inside(receiver):
        listener = socket.create_server((address, 0), family=family)
    with inside(sender):
        out = socket.socket(family, socket.SOCK_STREAM)
    with listener, out:
        out.settimeout(30)
        out.connect((address, listener.getsockname()[1]))
        come, _ = listener.accept()
        come.settimeout(30)

        def send():
            out.sendall(octets)
            out.shutdown(socket.SHUT_WR)

        thread = threading.Thread(target=send)
        thread.start()
        digest = hashlib.sha256()
        with come:
            while piece := come.recv(PIECE):
                digest.update(piece)
            # Nothing is sent any more: a FIN without its answer would be repeated through the next test's tunnel.
            for end in come, out:
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, AT_ONCE)
        thread.join()
    return digest.digest() == hashlib.sha256(octets).digest()


def has_interface():
    return run(["ip", "link", "show", INTERFACE], namespace=HENB, check=False).returncode == 0


def configuration():
    """All addresses and routes of the HeNB, in an order that does not depend on time."""
    lines = run(["ip", "-o", "address"], namespace=HENB).stdout.splitlines()
    for family in ("-4", "-6"):
        # In numbers: Debian 13's iproute2 has a name for ours, that of OVN.
        lines += run(["ip", "-N", family, "route", "show", "table", "all"],
                     namespace=HENB).stdout.splitlines()
    return sorted(re.sub(r"^\d+: ", "", line) for line in lines)


def kernel_has_esp():
    """Whether the kernel under the lab takes an ESP state."""
    state = ["src", "127.0.0.1", "dst", "127.0.0.1", "proto", "esp", "spi", "0x1000"]
    keys = ["mode", "tunnel", "aead", "rfc4106(gcm(aes))", f"0x{'00' * 20}", "128"]
    taken = run(["ip", "xfrm", "state", "add", *state, *keys], namespace=HENB, check=False)
    if taken.returncode == 0:
        run(["ip", "xfrm", "state", "delete", *state], namespace=HENB)
    return taken.returncode == 0
