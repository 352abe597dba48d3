"""Rekeys while a stream goes through the tunnel, and what both ends count then: of a tunnel with static keys, and of one that
IKE made."""

import json
import re
import time
from dataclasses import dataclass

from lab.network import HENB, INNER_IPV4, SEGW
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


def stream_through_rekeys(megabytes, rekeys, mbit, suite="aes128gcm16"):
    """One TCP stream from the HeNB to the SeGW, of no more than `mbit` Mbit/s, and so many rekeys in its first half, begun by
    either side in turn. The other half is for a machine that has much else to do, on which they take longer."""
    tunnel, before = Tunnel(suite), overruns()
    listener = Process("iperf3", ["iperf3", "-s", "-1"], namespace=SEGW)
    try:
        wait_until(lambda: ":5201" in run(["ss", "-ltn"], namespace=SEGW).stdout, "iperf3")
        client = Process("iperf3", ["iperf3", "-c", FAR, "-n", f"{megabytes}M", "-b", f"{mbit}M"], namespace=HENB)
        for number in range(2, rekeys + 2):
            due = (number - 1) * megabytes * MEGABYTE // (2 * rekeys)
            wait_until(lambda due=due: sent() >= due, f"{due} octets", 300)
            ends = [tunnel.henb, tunnel.segw]
            rekey(number, *(ends if number % 2 else reversed(ends)))
        if not client.running():
            raise RuntimeError(f"the stream was over before the last rekey: {client.output()}")
        client.wait(300)
        seconds = float(re.search(r"-([\d.]+) +sec .*receiver", client.output())[1])
    finally:
        listener.stop()
        tunnel.stop()
    return Result(tunnel.henb.counted(), tunnel.segw.counted(), overruns() - before, seconds)


@dataclass
class Datagrams:
    """Both ways of a UDP stream, by its receivers' numbers."""

    up: int  # sent
    down: int
    lost: int
    no_room: int  # dropped by the kernel as a socket's buffer or a TUN's queue was full: no rekey does that


def _queue_drops():
    """Packets that found no room in the TUN of either side."""
    total = 0
    for namespace in (HENB, SEGW):
        for line in run(["cat", "/proc/net/dev"], namespace=namespace).stdout.splitlines():
            name, _, numbers = line.partition(":")
            if name.strip() in (INTERFACE, "ipsec0"):
                total += int(numbers.split()[11])
    return total


def _gone(client):
    """How many Child SAs and how many IKE SAs that were replaced are deleted. (A Child SA receives for three seconds more.)"""
    return {"child": len(re.findall(r"deleted the Child SA|Delete of the Child SA, answered", client.output())),
            "ike": len(re.findall(r"the IKE SA that was replaced is gone", client.output()))}


def _rekeyed(client, gateway, kind, by_us, operator, known):
    """Has one side begin a rekey, and waits until it is over. (strongSwan keeps a Child SA that was replaced for five
    seconds more, to receive by it.)"""
    if by_us:
        operator.call("RekeyChildSas" if kind == "child" else "RekeyIkeSa")
    else:
        gateway.control("--rekey", *(("--child", "net") if kind == "child" else ("--ike", "henb")))

    def over():
        gone = _gone(client)
        return gone if gone[kind] > known[kind] and gateway.sa_count() == 1 else None

    return wait_until(over, f"the end of the rekey of the {kind} SA", 30)


def datagrams_through_ike_rekeys(parts, megabytes, children, ikes, mbit):
    """UDP both ways at `mbit` Mbit/s each, `megabytes` in all, and so many rekeys of Child SA and IKE SA in the first half of
    it, begun by either side in turn. `parts` are the SeGW, ikeclient, and an Operator."""
    gateway, client, operator = parts
    before = overruns() + _queue_drops()
    seconds = megabytes * MEGABYTE * 8 / (2 * mbit * 1e6)
    server = Process("iperf3", ["iperf3", "-s", "-1"], namespace=SEGW)
    try:
        wait_until(lambda: ":5201" in run(["ss", "-ltn"], namespace=SEGW).stdout, "iperf3")
        stream = Process("iperf3", ["iperf3", "-c", INNER_IPV4, "-u", "--bidir", "-b", f"{mbit}M", "-l", "1200",
                                    "-t", f"{seconds:.0f}", "-J"], namespace=HENB)
        known, begun = _gone(client), time.monotonic()
        count = children + ikes
        for i in range(count):
            due = begun + seconds * (i + 1) / (2 * count)
            time.sleep(max(0, due - time.monotonic()))
            # The rekeys of the IKE SA are spread among the others.
            kind = "ike" if (i + 1) * ikes // count > i * ikes // count else "child"
            known = _rekeyed(client, gateway, kind, i % 2 == 0, operator, known)
        if not stream.running():
            raise RuntimeError("the stream was over before the last rekey")
        stream.wait(seconds + 60)
    finally:
        server.stop()
    end = json.loads(stream.output())["end"]
    up, down = end["sum"], end["sum_bidir_reverse"]
    return Datagrams(up["packets"], down["packets"], up["lost_packets"] + down["lost_packets"],
                     overruns() + _queue_drops() - before)
