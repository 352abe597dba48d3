"""Rekeys of a tunnel with static keys while a stream goes through it, and what both ends count then."""

import re
from dataclasses import dataclass

from lab.network import HENB, SEGW
from lab.process import Process, run, wait_until
from lab.traffic import INTERFACE
from lab.tunnel import FAR, Tunnel

MEGABYTE = 1_000_000


@dataclass
class Result:
    henb: dict  # what each end counted, by name
    segw: dict
    overruns: int  # datagrams that the kernel had no room for, of both ends: no rekey loses them
    seconds: float

    def lost(self):
        """Packets that one end sent and the other did not get."""
        return (self.henb["out"] - self.segw["in"]) + (self.segw["out"] - self.henb["in"])

    def wrong(self):
        """What is counted at either end and should be nought, by name."""
        return {f"{name} at the {end}": number
                for end, counts in (("HeNB", self.henb), ("SeGW", self.segw))
                for name, number in counts.items() if name not in ("in", "out") and number}


def rekey(number, initiator, responder):
    """RFC 7296 2.8, 1.3.3: the responder receives by the new SAs before it answers, and sends by them when it knows that
    the initiator receives, too."""
    responder.command("standby", number)
    initiator.command("add", number)
    responder.command("use", number)
    initiator.command("remove", number - 1)
    responder.command("remove", number - 1)


def overruns():
    total = 0
    for namespace in (HENB, SEGW):
        lines = run(["cat", "/proc/net/snmp"], namespace=namespace).stdout.splitlines()
        names, values = (line.split() for line in lines if line.startswith("Udp:"))
        total += int(values[names.index("RcvbufErrors")])
    return total


def sent():
    """Octets that have gone into the HeNB's interface."""
    return int(run(["cat", f"/sys/class/net/{INTERFACE}/statistics/tx_bytes"], namespace=HENB).stdout)


def stream_through_rekeys(megabytes, rekeys, mbit=0, suite="aes128gcm16"):
    """One TCP stream from the HeNB to the SeGW, of no more than `mbit` Mbit/s unless that is 0, and so many rekeys on its
    way, begun by either side in turn."""
    tunnel, before = Tunnel(suite), overruns()
    listener = Process("iperf3", ["iperf3", "-s", "-1"], namespace=SEGW)
    try:
        wait_until(lambda: ":5201" in run(["ss", "-ltn"], namespace=SEGW).stdout, "iperf3")
        client = Process("iperf3", ["iperf3", "-c", FAR, "-n", f"{megabytes}M", "-b", f"{mbit}M"], namespace=HENB)
        for number in range(2, rekeys + 2):
            due = (number - 1) * megabytes * MEGABYTE // (rekeys + 1)
            wait_until(lambda due=due: sent() >= due, f"{due} octets", 300)
            ends = [tunnel.henb, tunnel.segw]
            rekey(number, *(ends if number % 2 else reversed(ends)))
        if not client.running():
            raise RuntimeError("the stream was over before the last rekey")
        client.wait(300)
        seconds = float(re.search(r"-([\d.]+) +sec .*receiver", client.output())[1])
    finally:
        listener.stop()
        tunnel.stop()
    return Result(tunnel.henb.counted(), tunnel.segw.counted(), overruns() - before, seconds)
