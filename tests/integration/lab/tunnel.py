"""A tunnel with static keys between the HeNB's and the SeGW's network: the data plane without IKE."""

from pathlib import Path

from lab.network import HENB, HENB_IPV4, SEGW, SEGW_IPV4
from lab.process import BIN, Process, wait_until

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
        super().__init__("static_tunnel", [BIN / "static_tunnel", BIN / "tred-net", BIN / "tred-esp",
                                           "a" if namespace == HENB else "b", suite, *outer, PORT,
                                           *inner], namespace=namespace)

    def wait_until_ready(self):
        self.wait_for("^ready$")
        return self

    def helper_pid(self):
        return helper_of(self.pid)


class Tunnel:
    def __init__(self, suite="aes128gcm16"):
        self.henb, self.segw = TunnelEnd(HENB, suite), TunnelEnd(SEGW, suite)
        for end in (self.henb, self.segw):
            end.wait_until_ready()

    def stop(self):
        self.henb.stop()
        self.segw.stop()
