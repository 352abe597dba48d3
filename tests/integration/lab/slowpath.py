"""A slow way from the HeNB to the SeGW: a TUN device at each end, and what comes out of one goes
into the other after a while. It asks nothing of the kernel but TUN (netem is often missing)."""

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
from lab.process import run

SLOW_SEGW, SLOW_HENB = "203.0.113.1", "203.0.113.2"
_DEVICE = "slow"
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
