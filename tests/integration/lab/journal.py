"""A journal that keeps what it is sent, where systemd has its own."""

import os
import socket
import struct
import threading
from pathlib import Path

SOCKET = Path("/run/systemd/journal/socket")
# Runs the command that follows with standard error being "the journal's".
UNDER = ("sh", "-c", 'JOURNAL_STREAM=$(stat -L -c %d:%i /proc/self/fd/2) exec "$@"', "sh")


def fields_of(datagram):
    """{name: value} of an entry: "NAME=value\\n", or "NAME\\n", a length and the value."""
    fields = {}
    while datagram:
        line, _, rest = datagram.partition(b"\n")
        name, equals, value = line.partition(b"=")
        if not equals:
            size, = struct.unpack_from("<Q", rest)
            value, rest = rest[8:8 + size], rest[8 + size + 1:]
        fields[name.decode()] = value.decode()
        datagram = rest
    return fields


class Journal:
    def __init__(self):
        SOCKET.parent.mkdir(parents=True, exist_ok=True)
        SOCKET.unlink(missing_ok=True)
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(SOCKET))
        os.chmod(SOCKET, 0o666)
        self.kept = []
        self.thread = threading.Thread(target=self.read, daemon=True)
        self.thread.start()

    def read(self):
        while datagram := self.socket.recv(1 << 20):
            self.kept.append(fields_of(datagram))

    def entries(self):
        """What has come so far."""
        return list(self.kept)

    def stop_reading(self):
        """It hangs: what is sent from now on stays in its queue."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as last:
            last.sendto(b"", str(SOCKET))
        self.thread.join()

    def stop(self):
        if self.thread.is_alive():
            self.stop_reading()
        self.socket.close()
        SOCKET.unlink(missing_ok=True)
