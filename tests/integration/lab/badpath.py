"""The one way to the SeGW, on which packets are lost, doubled and overtake each other when that is wanted, and on which every
packet in clear is seen. It is made of TUN devices (lab/slowpath.py)."""

import contextlib
import heapq
import ipaddress
import itertools
import os
import random
import select
import time

from lab.network import HENB, SEGW
from lab.process import run
from lab.slowpath import SLOW_HENB, SLOW_SEGW, SlowPath

_DEVICE, _PACKET_MAX = "slow", 65536
OTHER_HENB_ADDRESS = "203.0.113.3"
HENB_IPV6, SEGW_IPV6 = "2001:db8:5::2", "2001:db8:5::1"


def addresses_of(packet):
    if packet[0] >> 4 == 4:
        return ipaddress.ip_address(packet[12:16]), ipaddress.ip_address(packet[16:20])
    return ipaddress.ip_address(packet[8:24]), ipaddress.ip_address(packet[24:40])


class BadPath(SlowPath):
    """A way of its own for each family; `inner` are the networks of which no packet is to be seen on it."""

    def __init__(self, inner):
        self.inner = [ipaddress.ip_network(network) for network in inner]
        self.in_clear, self.carried = [], 0
        self.address, self.other = SLOW_HENB, OTHER_HENB_ADDRESS
        self.mend()
        super().__init__(0)
        self._ip(SEGW, "addr", "add", f"{SEGW_IPV6}/64", "dev", _DEVICE, "nodad")
        self._ip(SEGW, "route", "replace", "203.0.113.0/24", "dev", _DEVICE)
        self._routes()

    @staticmethod
    def _ip(namespace, *words):
        run(["ip", "-n", namespace, *words])

    def _routes(self):
        """Whatever is not protected would leave by it."""
        self._ip(HENB, "addr", "replace", f"{HENB_IPV6}/64", "dev", _DEVICE, "nodad")
        for family in ("-4", "-6"):
            self._ip(HENB, family, "route", "replace", "default", "dev", _DEVICE)

    def change_address(self):
        """The HeNB's IPv4 address becomes another; for a moment there is none."""
        self._ip(HENB, "addr", "del", self.address, "peer", SLOW_SEGW, "dev", _DEVICE)
        self.address, self.other = self.other, self.address
        self._ip(HENB, "addr", "add", self.address, "peer", SLOW_SEGW, "dev", _DEVICE)
        self._routes()

    def down(self):
        self._ip(HENB, "link", "set", _DEVICE, "down")

    def up(self):
        self._ip(HENB, "link", "set", _DEVICE, "up")
        self._routes()

    def spoil(self, loss, twice, delay):
        """Of the packets that part is lost and that part doubled; each takes its own time between the two of `delay`."""
        self.loss, self.twice, self.delay = loss, twice, delay

    def mend(self):
        self.spoil(0, 0, (0, 0))

    def _look(self, packet):
        self.carried += 1
        source, destination = addresses_of(packet)
        if any(address in network for address in (source, destination) for network in self.inner
               if address.version == network.version):
            self.in_clear.append((time.strftime("%H:%M:%S"), str(source), str(destination), packet[:64].hex()))

    def _carry(self):
        other = dict(zip(self.ends, reversed(self.ends)))
        waiting, number = [], itertools.count()
        while True:
            pause = max(0, waiting[0][0] - time.monotonic()) if waiting else None
            readable, _, _ = select.select([*self.ends, self.wake], [], [], pause)
            if self.wake in readable:
                return
            for end in readable:
                with contextlib.suppress(OSError):
                    packet = os.read(end, _PACKET_MAX)
                    self._look(packet)
                    for _ in range((random.random() >= self.loss) * (1 + (random.random() < self.twice))):
                        due = time.monotonic() + random.uniform(*self.delay)
                        heapq.heappush(waiting, (due, next(number), other[end], packet))
            while waiting and waiting[0][0] <= time.monotonic():
                _, _, end, packet = heapq.heappop(waiting)
                with contextlib.suppress(OSError):  # a device that has just gone down
                    os.write(end, packet)
