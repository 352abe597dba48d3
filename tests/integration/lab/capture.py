"""What crossed the network, and when: tcpdump beside the test, read back here."""

import ipaddress
import socket
import struct
from dataclasses import dataclass

from lab.network import inside
from lab.process import LabError, Process, scratch, wait_until

_LOOPBACK_DEVICE = 772  # ARPHRD_LOOPBACK
_OUTGOING = 4
_UDP, _TCP = 17, 6
_LAST, _DISCARD = b"the last packet of this capture", 9  # sent to this port of loopback by stop()


@dataclass
class Packet:
    time: float
    protocol: str  # "udp" or "tcp"
    source: str
    source_port: int
    destination: str
    destination_port: int
    payload: bytes

    def ike(self):
        """The IKE message in it, or None. On port 4500 four zero octets stand before it."""
        if self.protocol != "udp":
            return None
        if 4500 in (self.source_port, self.destination_port):
            return self.payload[4:] if self.payload[:4] == bytes(4) else None
        return self.payload


class Capture:
    """Captures from construction to stop() in one network namespace, loopback included."""

    def __init__(self, namespace, expression="udp or tcp"):
        self.path = scratch("capture") / "lab.pcap"
        # In immediate mode each place in the buffer is as long as the longest packet (-s).
        self.process = Process("tcpdump", ["tcpdump", "-i", "any", "-y", "LINUX_SLL2", "-n",
                                           "--immediate-mode", "-U", "-s", "8192", "-B", "32768",
                                           "-Z", "root", "-w", self.path,
                                           f"({expression}) or (udp and dst host 127.0.0.1 and dst port {_DISCARD})"],
                               namespace=namespace)
        self.namespace = namespace
        self.process.wait_for("listening on")

    def packets(self):
        """What has been captured so far."""
        return [packet for packet in _read(self.path.read_bytes()) if packet.payload != _LAST]

    def stop(self):
        """The packets. tcpdump has those of before once it has written one that is sent here."""
        with inside(self.namespace), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as last:
            last.sendto(_LAST, ("127.0.0.1", _DISCARD))
        wait_until(lambda: not self.process.running() or _LAST in self.path.read_bytes(), "the end of the capture")
        self.process.stop()
        if not self.process.find(r"^0 packets dropped by kernel"):
            raise LabError(f"the capture is not whole:\n{self.process.output()}")
        return self.packets()


def _read(data):
    magic, _, _, _, _, _, link_type = struct.unpack_from("<IHHiIII", data)
    assert magic == 0xA1B2C3D4 and link_type == 276, (hex(magic), link_type)
    position = 24
    while position + 16 <= len(data):
        seconds, microseconds, size, _ = struct.unpack_from("<IIII", data, position)
        frame = data[position + 16:position + 16 + size]
        position += 16 + size
        packet = _packet(seconds + microseconds / 1e6, frame)
        if packet:
            yield packet


def _packet(time, frame):
    _, _, _, device, kind = struct.unpack_from("!HHIHB", frame)
    if device == _LOOPBACK_DEVICE and kind == _OUTGOING:
        return None  # seen again as it comes in
    ip = frame[20:]
    if ip[0] >> 4 == 4:
        header, protocol, addresses = (ip[0] & 15) * 4, ip[9], (ip[12:16], ip[16:20])
        whole = struct.unpack_from("!H", ip, 2)[0]
    else:
        header, protocol, addresses = 40, ip[6], (ip[8:24], ip[24:40])
        whole = 40 + struct.unpack_from("!H", ip, 4)[0]
    segment = ip[header:whole]
    if protocol == _UDP:
        payload = segment[8:]
    elif protocol == _TCP:
        payload = segment[(segment[12] >> 4) * 4:]
    else:
        return None
    source_port, destination_port = struct.unpack_from("!HH", segment)
    source, destination = (str(ipaddress.ip_address(octets)) for octets in addresses)
    return Packet(time, "udp" if protocol == _UDP else "tcp", source, source_port, destination,
                  destination_port, payload)
