"""A software TPM inside the HeNB's network, on its loopback, where a capture sees its commands."""

import contextlib
import os
import socket
import struct
import threading
import time

from lab.network import HENB, inside
from lab.process import BIN, LabError, Process, run, scratch, wait_until

PORT = 2321
CMD_INIT = 2  # of swtpm's control channel
TCTI = f"swtpm:host=127.0.0.1,port={PORT}"


class Tpm:
    """One TPM chip: its state lasts, and each start() is a power-on that frees what was loaded."""

    def __init__(self, state=None, namespace=HENB):
        """A TPM that has never been used, or the one with this state, as its vendor made it.

        It is on the loopback of `namespace`."""
        self.state = state or scratch("tpm")
        self.namespace = namespace
        self.process = None

    def start(self):
        pid_file = self.state / "pid"
        pid_file.unlink(missing_ok=True)
        self.process = Process("swtpm", [
            BIN / "swtpm", "socket", "--tpm2", "--tpmstate", f"dir={self.state}",
            "--flags", "not-need-init,startup-clear",
            "--server", f"type=tcp,port={PORT},bindaddr=127.0.0.1",
            "--ctrl", f"type=tcp,port={PORT + 1},bindaddr=127.0.0.1",
            "--pid", f"file={pid_file}"], namespace=self.namespace)
        wait_until(lambda: pid_file.exists() and os.path.getsize(pid_file), "swtpm")
        return self

    def stop(self):
        if self.process:
            self.process.stop()
            self.process = None

    def tool(self, name, *arguments):
        """Runs one of tpm2-tools against this TPM."""
        return run([name, *arguments], namespace=self.namespace,
                   env={"TPM2TOOLS_TCTI": TCTI}).stdout


class SharedTpm:
    """The same TPM without a resource manager, for several programs that take turns by command.

    A program reaches it by TCTI; tool() is the other one."""

    PORT = PORT + 100
    TCTI = f"swtpm:host=127.0.0.1,port={PORT}"

    def __init__(self, namespace=HENB):
        with inside(namespace):
            self.listeners = [socket.create_server(("127.0.0.1", self.PORT + i)) for i in (0, 1)]
            self.far = [socket.create_connection(("127.0.0.1", PORT + i)) for i in (0, 1)]
        self.lock = threading.Lock()
        self.commands = []  # the code of each that went by
        for listener, far, handle in zip(self.listeners, self.far,
                                         (self._pass_commands, self._pass_control)):
            threading.Thread(target=self._accept, args=(listener, far, handle), daemon=True).start()

    def stop(self):
        for each in self.listeners + self.far:
            each.shutdown(socket.SHUT_RDWR)  # ends the accept() that waits
            each.close()

    def power_cycle(self):
        """Off and on, and started as firmware does it."""
        with self.lock:
            self.far[1].sendall(struct.pack("!II", CMD_INIT, 0))
            result, = struct.unpack("!I", self.far[1].recv(4))
        if result != 0:
            raise LabError(f"swtpm does not begin anew: {result}")
        self.tool("tpm2_startup", "-c")

    def tool(self, name, *arguments):
        """Runs one of tpm2-tools as another program that uses the TPM at the same time."""
        return run([name, *arguments], namespace=HENB, env={"TPM2TOOLS_TCTI": self.TCTI}).stdout

    @staticmethod
    def _accept(listener, far, handle):
        while True:
            try:
                near, _ = listener.accept()
            except OSError:  # stopped
                return
            threading.Thread(target=handle, args=(near, far), daemon=True).start()

    def _pass_control(self, near, far):
        with near:
            while request := near.recv(4096):
                with self.lock:
                    far.sendall(request)
                    near.sendall(far.recv(4096))

    def _pass_commands(self, near, far):
        with near, contextlib.suppress(OSError):  # the program may have gone
            while command := message(near):
                with self.lock:
                    self.commands.append(command_code(command))
                    response = self._execute(command, far)
                near.sendall(response)

    def _execute(self, command, far):
        far.sendall(command)
        return self._answer(command, message(far))

    def _answer(self, command, response):
        """What comes back for a command."""
        return response


class SlowTpm(SharedTpm):
    """The same TPM, each of whose responses comes `seconds` late."""

    def __init__(self, seconds, namespace=HENB):
        self.seconds = seconds
        super().__init__(namespace)

    def _answer(self, command, response):
        time.sleep(self.seconds)
        return response


class LesserTpm(SharedTpm):
    """The same TPM, reached by a connection on which one algorithm can't be seen."""

    _GET_CAPABILITY = 0x17A
    _ALGORITHMS = 0
    _FIRST = 19  # where a list's first item stands in the response (TPM 2.0 Part 3, 30.2)
    _ITEM = 6  # an algorithm and its attributes (TPM 2.0 Part 2, 10.7.3)
    _NO_ALGORITHM = 0x7FFF

    def __init__(self, algorithm):
        self.algorithm = algorithm
        super().__init__()

    def _answer(self, command, response):
        """Where the TPM lists the algorithm, it lists another that nobody looks for."""
        if command[6:14] != struct.pack("!II", self._GET_CAPABILITY, self._ALGORITHMS):
            return response
        items = range(self._FIRST, len(response), self._ITEM)
        listed = bytearray(response)
        for at in items:
            if listed[at:at + 2] == struct.pack("!H", self.algorithm):
                listed[at:at + 2] = struct.pack("!H", self._NO_ALGORITHM)
        return bytes(listed)


def message(connection):
    """One command or response: tag, size, and what the size says."""
    header = connection.recv(6, socket.MSG_WAITALL)
    if len(header) < 6:
        return b""
    size = struct.unpack_from("!I", header, 2)[0]
    return header + connection.recv(size - 6, socket.MSG_WAITALL)


def command_code(command):
    """TPM 2.0 Part 1, 18.1"""
    return struct.unpack_from("!I", command, 6)[0]
