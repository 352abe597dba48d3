"""How long others wait while the TPM is at work: readers of the bus, the watchdog, the SeGW."""

import socket
import threading
import time

from lab import ike
from lab.bus import Connection
from lab.process import scratch
from lab.programs import MANAGER, TRED, TRED_PATH


class Getting:
    """Reads State again and again, until stop(): `count` answers, the `worst` after so many seconds.

    `worst_bus` is the worst of as many answers of the bus itself: what a busy machine adds."""

    def __init__(self, user, pause=0.02):
        self.connection = Connection(user, seconds=600)
        self.pause, self.error = pause, None
        self.count, self.worst, self.worst_bus = 0, 0.0, 0.0
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        try:
            while not self.stopping.wait(self.pause):
                asked = time.monotonic()
                self.connection.get(TRED, TRED_PATH, MANAGER, "State")
                answered = time.monotonic()
                self.connection.has_owner(TRED)
                self.worst = max(self.worst, answered - asked)
                self.worst_bus = max(self.worst_bus, time.monotonic() - answered)
                self.count += 1
        except Exception as error:  # told by stop()
            self.error = error

    def stop(self):
        if not self.thread:
            return
        self.stopping.set()
        self.thread.join()
        self.thread = None
        self.connection.close()
        if self.error:
            raise self.error


class Notified:
    """The service manager's end of the notify socket, by which a service shows that it lives."""

    def __init__(self):
        path = scratch("notify") / "socket"
        self.path, self.signs = path, []
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(path))
        path.chmod(0o777)
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def under(self, seconds):
        """The words before a command that is to say every `seconds` at the least that it lives."""
        return ("env", f"NOTIFY_SOCKET={self.path}", f"WATCHDOG_USEC={int(seconds * 1e6)}")

    def _run(self):
        while said := self.socket.recv(4096):
            if b"WATCHDOG=1" in said or b"READY=1" in said:
                self.signs.append(time.monotonic())

    def longest_silence(self):
        """Seconds, from the first sign of life until now."""
        signs = [*self.signs, time.monotonic()]
        return max(after - before for before, after in zip(signs, signs[1:]))

    def stop(self):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as end:
            end.sendto(b"", str(self.path))
        self.thread.join()
        self.socket.close()


def liveness_seconds(packets):
    """How long each INFORMATIONAL request of the SeGW waited for its response.

    Of a HeNB that asks for nothing itself."""
    asked, waited = {}, []
    for packet in packets:
        message = packet.ike()
        if not message or message[18] != ike.INFORMATIONAL:
            continue
        number = message[20:24]
        if message[19] & ike.RESPONSE:
            if number in asked:
                waited.append(packet.time - asked.pop(number))
        else:
            asked.setdefault(number, packet.time)
    return waited
