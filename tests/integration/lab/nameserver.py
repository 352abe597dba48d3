"""A name server in the HeNB's network, and the world's /etc/hosts and /etc/resolv.conf."""

import ipaddress
import socket
import threading
from pathlib import Path

from lab.network import HENB, inside

A, AAAA = 1, 28
HOSTS, RESOLV_CONF = Path("/etc/hosts"), Path("/etc/resolv.conf")
ADDRESS = "127.0.0.1"


class EtcFile:
    """A file of /etc with other text than the machine's, until it is stopped; the world's /etc alone."""

    def __init__(self, path, text):
        self.path, self.before = path, path.read_text() if path.exists() else None
        path.unlink(missing_ok=True)
        path.write_text(text)

    def stop(self):
        self.path.unlink(missing_ok=True)
        if self.before is not None:
            self.path.write_text(self.before)


class NameServer:
    """Answers for `names`, {name: [address, ...]}; of all others it says that there is no such name."""

    def __init__(self, names):
        self.names, self.asked = names, []
        with inside(HENB):
            self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((ADDRESS, 53))
        self.socket.settimeout(0.1)
        self.ends = False
        self.resolv_conf = EtcFile(RESOLV_CONF, f"nameserver {ADDRESS}\n")
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def _serve(self):
        while not self.ends:
            try:
                query, sender = self.socket.recvfrom(4096)
            except TimeoutError:
                continue
            self.socket.sendto(self._answer(query), sender)

    def _answer(self, query):
        labels, place = [], 12
        while query[place]:
            labels.append(query[place + 1:place + 1 + query[place]].decode())
            place += 1 + query[place]
        kind = int.from_bytes(query[place + 1:place + 3], "big")
        name = ".".join(labels)
        self.asked.append(name)
        version = {A: 4, AAAA: 6}.get(kind)
        found = [address.packed for address in map(ipaddress.ip_address, self.names.get(name, ()))
                 if address.version == version]
        flags = b"\x81\x80" if name in self.names else b"\x81\x83"
        records = b"".join(b"\xc0\x0c" + kind.to_bytes(2, "big") + b"\0\x01\0\0\0\x3c" +
                           len(octets).to_bytes(2, "big") + octets for octets in found)
        return (query[:2] + flags + b"\0\x01" + len(found).to_bytes(2, "big") + bytes(4) +
                query[12:place + 5] + records)

    def stop(self):
        self.ends = True
        self.thread.join()
        self.socket.close()
        self.resolv_conf.stop()
