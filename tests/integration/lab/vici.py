"""VICI, by which charon is told what to do and says what happened (strongSwan's vici protocol)."""

import socket
import struct
import time

from lab.process import LabError

# Packet types
REQUEST, RESPONSE, EVENT_REGISTER, EVENT_CONFIRM, EVENT = 0, 1, 3, 5, 7
KEY_VALUE = 3  # the one element that our requests have


class Vici:
    """One connection to the socket of a charon, which may only be starting."""

    def __init__(self, path, seconds=10.0):
        self.socket = socket.socket(socket.AF_UNIX)
        # Finer than wait_until(), since start-up is measured.
        deadline = time.monotonic() + seconds
        while self.socket.connect_ex(str(path)) != 0:
            if time.monotonic() > deadline:
                raise LabError(f"waited {seconds:g} s in vain for charon's {path}")
            time.sleep(0.0002)
        self.socket.settimeout(seconds)

    def close(self):
        self.socket.close()

    def _send(self, kind, name, body=b""):
        packet = bytes([kind, len(name)]) + name.encode() + body
        self.socket.sendall(struct.pack("!I", len(packet)) + packet)

    def _receive(self, wanted):
        """The next packet of type `wanted`; others that come before it are dropped."""
        while True:
            header = self.socket.recv(4, socket.MSG_WAITALL)
            if len(header) < 4:
                raise LabError("charon has closed its VICI connection")
            packet = self.socket.recv(struct.unpack("!I", header)[0], socket.MSG_WAITALL)
            if packet[0] == wanted:
                return packet[1:]

    def call(self, command, **values):
        """None if charon says that the command has succeeded, else what it says."""
        body = b"".join(bytes([KEY_VALUE, len(key)]) + key.encode() +
                        struct.pack("!H", len(value)) + value.encode()
                        for key, value in values.items())
        self._send(REQUEST, command, body)
        response = self._receive(RESPONSE)
        return None if b"\x07success\x00\x03yes" in response else repr(response)

    def listen(self, event):
        self._send(EVENT_REGISTER, event)
        self._receive(EVENT_CONFIRM)

    def wait_for_event(self):
        return self._receive(EVENT)
