"""A tunnel with static keys between the HeNB's and the SeGW's network: the data plane without IKE."""

import os
import re
from pathlib import Path

from lab.network import HENB, HENB_IPV4, SEGW, SEGW_IPV4
from lab.process import BIN, LabError, Process, scratch, wait_until

NEAR, FAR = "10.211.0.1", "10.211.0.2"  # inner addresses of the HeNB and the SeGW
PORT = 4500


def helper_of(pid):
    """The process id of the tred-esp that process `pid` (tred or static_tunnel) has started."""
    children = Path(f"/proc/{pid}/task/{pid}/children")

    def look():
        return [child for child in children.read_text().split()
                if Path(f"/proc/{child}/comm").read_text() == "tred-esp\n"]

    return int(wait_until(look, "tred-esp")[0])


class TunnelEnd(Process):
    """One end: static_tunnel, and the tred-net and tred-esp that it starts."""

    def __init__(self, namespace, suite="aes128gcm16"):
        outer, inner = [HENB_IPV4, SEGW_IPV4], [NEAR, FAR]
        if namespace == SEGW:
            outer.reverse()
            inner.reverse()
        self.commands = scratch("commands") / "fifo"
        os.mkfifo(self.commands)
        super().__init__("static_tunnel", [BIN / "static_tunnel", BIN / "tred-net", BIN / "tred-esp",
                                           "a" if namespace == HENB else "b", suite, *outer, PORT,
                                           *inner, self.commands], namespace=namespace)

    def wait_until_ready(self):
        self.wait_for("^ready$")
        return self

    def helper_pid(self):
        return helper_of(self.pid)

    def command(self, *words):
        """Has it carry out a command of static_tunnel's, and waits until that is done."""
        line = " ".join(map(str, words))
        before = self.output().count(f"{line}: ")
        with self.commands.open("w") as fifo:
            fifo.write(f"{line}\n")
        wait_until(lambda: self.output().count(f"{line}: ") > before, f"an answer to {line}")
        answer = re.findall(f"^{re.escape(line)}: (.*)$", self.output(), re.MULTILINE)[-1]
        if answer != "done":
            raise LabError(f"{line}: {answer}")

    def counted(self):
        """What it says at its end, by name."""
        numbers = re.search(r"packets in (\d+) out (\d+), .*replays (\d+), not authentic (\d+), "
                            r"malformed (\d+), outside of selectors in (\d+) out (\d+), "
                            r"unknown SPI (\d+), not sent (\d+), not delivered (\d+)",
                            self.output())
        names = ("in", "out", "replays", "not authentic", "malformed", "outside in", "outside out",
                 "unknown SPI", "not sent", "not delivered")
        return dict(zip(names, map(int, numbers.groups())))


class Tunnel:
    def __init__(self, suite="aes128gcm16"):
        self.henb, self.segw = TunnelEnd(HENB, suite), TunnelEnd(SEGW, suite)
        for end in (self.henb, self.segw):
            end.wait_until_ready()

    def stop(self):
        self.henb.stop()
        self.segw.stop()
