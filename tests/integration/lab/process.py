"""Processes of the lab: who runs, in which network, as whom, and what it has said."""

import os
import re
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

LAB = Path("/run/lab")
BIN = LAB / "bin"
LISTENING = "00010000"  # __SO_ACCEPTCON, among the flags of /proc/net/unix


class LabError(Exception):
    """Something in the lab, not in the project, went another way than expected."""


def scratch(name):
    """A fresh directory that every user of the world may enter."""
    path = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=LAB))
    path.chmod(0o755)
    return path


def wait_until(condition, what, seconds=10.0):
    """Polls `condition` until it yields something true, which is returned."""
    deadline = time.monotonic() + seconds
    while True:
        found = condition()
        if found:
            return found
        if time.monotonic() > deadline:
            raise LabError(f"waited {seconds:g} s in vain for {what}")
        time.sleep(0.005)


def listens(path, within="self"):
    """True if a process listens at this Unix socket of the network namespace of process `within`. Its file is there from
    bind() on, and a connection before listen() is refused."""
    sockets = Path(f"/proc/{within}/net/unix").read_text(errors="replace").splitlines()
    return any(fields[3] == LISTENING and fields[-1] == str(path) for fields in map(str.split, sockets))


def in_namespace(namespace, argv):
    return ["ip", "netns", "exec", namespace, *argv] if namespace else list(argv)


def as_user(user, argv, groups=(), capabilities=()):
    """`argv` as another user: with these capabilities and groups, and no other to be had."""
    if user is None:
        return list(argv)
    membership = ["--groups", ",".join(groups)] if groups else ["--clear-groups"]
    rights = ",".join(["-all", *(f"+{name}" for name in capabilities)])
    return ["setpriv", "--reuid", user, "--regid", user, *membership, f"--bounding-set={rights}",
            f"--inh-caps={rights}", f"--ambient-caps={rights}", "--no-new-privs", *map(str, argv)]


class Process:
    """A program that runs beside the test, its output in a file."""

    def __init__(self, name, argv, namespace=None, user=None, groups=(), capabilities=(),
                 env=None):
        self.name = name
        self.killed = False
        self.log = scratch(name) / "output.log"
        command = in_namespace(namespace, as_user(user, argv, groups, capabilities))
        with self.log.open("wb") as output:
            self.popen = subprocess.Popen([str(word) for word in command], stdin=subprocess.DEVNULL,
                                          stdout=output, stderr=subprocess.STDOUT,
                                          env={**os.environ, **(env or {})})

    @property
    def pid(self):
        return self.popen.pid

    def output(self):
        return self.log.read_text(errors="replace")

    def running(self):
        return self.popen.poll() is None

    def find(self, pattern):
        return re.search(pattern, self.output(), re.MULTILINE)

    def wait_for(self, pattern, seconds=10.0):
        """The match of `pattern` in the output; fails at once if the process has ended."""

        def look():
            ended = not self.running()
            found = self.find(pattern)
            if found is None and ended:
                raise LabError(f"{self.name} ended with {self.popen.returncode} before it said "
                               f"/{pattern}/:\n{self.output()}")
            return found

        try:
            return wait_until(look, f"/{pattern}/ from {self.name}", seconds)
        except LabError as error:
            raise LabError(f"{error}; it said:\n{self.output()}") from None

    def wait(self, seconds=10.0):
        """The exit status."""
        try:
            return self.popen.wait(seconds)
        except subprocess.TimeoutExpired:
            raise LabError(f"{self.name} still runs after {seconds:g} s; it said:\n"
                           f"{self.output()}") from None

    def kill(self):
        """As a power cut or a crash would end it."""
        self.killed = True
        self.popen.kill()
        self.popen.wait()

    def stop(self, seconds=8.0):
        if self.running():
            self.popen.send_signal(signal.SIGTERM)
            try:
                self.popen.wait(seconds)
            except subprocess.TimeoutExpired:
                self.popen.kill()
                self.popen.wait()
        return self.popen.returncode


def run(argv, namespace=None, user=None, groups=(), env=None, check=True, stdin=None):
    """Runs a command to its end; its output is returned, and shown if it fails."""
    command = [str(word) for word in in_namespace(namespace, as_user(user, argv, groups))]
    done = subprocess.run(command, input=stdin, stdin=None if stdin else subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60,
                          env={**os.environ, **(env or {})}, check=False)
    if check and done.returncode != 0:
        raise LabError(f"{' '.join(command)}: exit status {done.returncode}\n{done.stdout}")
    return done
