"""A slow way from the HeNB to the SeGW: a TUN device at each end, and what comes out of one goes
into the other after a while, or when it is let go. It asks nothing of the kernel but TUN (netem is
often missing)."""

import collections
import contextlib
import fcntl
import os
import re
import select
import struct
import threading
import time

from lab.network import HENB, SEGW, inside
from lab.process import run, wait_until

SLOW_SEGW, SLOW_HENB = "203.0.113.1", "203.0.113.2"
_DEVICE = "slow"
_IPV4_AND_UDP, _MARKER, _IKE_HEADER = 28, bytes(4), 28
_TUNSETIFF, _IFF_TUN, _IFF_NO_PI = 0x400454CA, 0x0001, 0x1000
_PACKET_MAX = 65536


def _tun(namespace, address, peer):
    with inside(namespace):
        descriptor = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
        fcntl.ioctl(descriptor, _TUNSETIFF,
                    struct.pack("16sH22x", _DEVICE.encode(), _IFF_TUN | _IFF_NO_PI))
    run(["ip", "-n", namespace, "address", "add", address, "peer", peer, "dev", _DEVICE])
    run(["ip", "-n", namespace, "link", "set", _DEVICE, "up"])
    return descriptor


class SlowPath:
    """Every packet takes `seconds` each way, and none is lost."""

    def __init__(self, seconds, namespace=HENB):
        self.seconds = seconds
        self.namespace = namespace
        self.ends = (_tun(namespace, SLOW_HENB, SLOW_SEGW), _tun(SEGW, SLOW_SEGW, SLOW_HENB))
        self.wake, self.bell = os.pipe()
        self.thread = threading.Thread(target=self._carry, daemon=True)
        self.thread.start()

    def _carry(self):
        other = dict(zip(self.ends, reversed(self.ends)))
        waiting = collections.deque()  # (when it is due, where it goes, the packet), in this order
        while True:
            pause = max(0, waiting[0][0] - time.monotonic()) if waiting else None
            readable, _, _ = select.select([*self.ends, self.wake], [], [], pause)
            if self.wake in readable:
                return
            for end in readable:
                packet = os.read(end, _PACKET_MAX)
                waiting.append((time.monotonic() + self.seconds, other[end], packet))
            while waiting and waiting[0][0] <= time.monotonic():
                _, end, packet = waiting.popleft()
                with contextlib.suppress(OSError):  # a device that has just gone down
                    os.write(end, packet)

    def round_trip(self):
        """Seconds, the mean of ten probes."""
        said = run(["ping", "-q", "-c", "10", "-i", "0.05", SLOW_SEGW],
                   namespace=self.namespace).stdout
        return float(re.search(r"= [\d.]+/([\d.]+)/", said)[1]) / 1000

    def stop(self):
        os.write(self.bell, b"x")
        self.thread.join()
        for descriptor in (*self.ends, self.wake, self.bell):
            os.close(descriptor)


def ike_of(packet):
    """(exchange type, whether it is a response) of an IKE message on port 4500; None for all else."""
    payload = packet[_IPV4_AND_UDP:]
    if payload[:4] != _MARKER or len(payload) < 4 + _IKE_HEADER:
        return None
    return payload[4 + 18], bool(payload[4 + 19] & 0x20)


class Held:
    """IKE messages of one direction that wait for being let go."""

    def __init__(self, end):
        self.end = end
        self.closed = False
        self.packets = []

    def kinds(self):
        return [ike_of(packet) for packet in self.packets]


class GatePath(SlowPath):
    """A way on which IKE messages can be made to wait, each direction by itself, and ESP never does."""

    def __init__(self):
        self.lock = threading.Lock()
        self.from_henb, self.from_segw = Held(None), Held(None)
        super().__init__(0)

    def _carry(self):
        ways = {self.ends[0]: self.from_henb, self.ends[1]: self.from_segw}
        self.from_henb.end, self.from_segw.end = self.ends[1], self.ends[0]
        while True:
            readable, _, _ = select.select([*self.ends, self.wake], [], [])
            if self.wake in readable:
                return
            for end in readable:
                packet = os.read(end, _PACKET_MAX)
                with self.lock:
                    way = ways[end]
                    if way.closed and ike_of(packet):
                        if packet not in way.packets:  # sent again
                            way.packets.append(packet)
                    else:
                        self._write(way.end, packet)

    @staticmethod
    def _write(end, packet):
        with contextlib.suppress(OSError):
            os.write(end, packet)

    def close(self, *ways):
        for way in ways or (self.from_henb, self.from_segw):
            way.closed = True

    def open(self, *ways):
        """What waits goes on, and nothing waits from now on."""
        with self.lock:
            for way in ways or (self.from_henb, self.from_segw):
                way.closed = False
                for packet in way.packets:
                    self._write(way.end, packet)
                way.packets.clear()

    def wait_for(self, way, exchange_type, response=False):
        """Until such a message waits."""
        wait_until(lambda: (exchange_type, response) in way.kinds(),
                   f"an IKE message of type {exchange_type} to wait")

    def lose(self, way, exchange_type, response=False):
        """Such a message is lost, once it waits; nothing waits from then on."""
        self.wait_for(way, exchange_type, response)
        with self.lock:
            del way.packets[way.kinds().index((exchange_type, response))]
        self.open(way)

    def let(self, way, exchange_type, response=False):
        """Such a message goes on, once it waits."""
        self.wait_for(way, exchange_type, response)
        with self.lock:
            self._write(way.end, way.packets.pop(way.kinds().index((exchange_type, response))))
