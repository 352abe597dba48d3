"""One connect as a capture of the HeNB's network shows it: IKE messages and TPM commands, in time."""

import struct
from dataclasses import dataclass

from lab import ike

# TPM 2.0 Part 2, 6.5.2: those that occur; others are shown by number.
COMMANDS = {
    0x131: "CreatePrimary", 0x14E: "NV_Read", 0x153: "Create", 0x157: "Load", 0x15D: "Sign",
    0x161: "ContextLoad", 0x162: "ContextSave", 0x165: "FlushContext", 0x169: "NV_ReadPublic",
    0x16A: "PolicyAuthorize", 0x16C: "PolicyCommandCode", 0x173: "ReadPublic",
    0x176: "StartAuthSession", 0x177: "VerifySignature", 0x17A: "GetCapability",
    0x17B: "GetRandom", 0x17D: "Hash", 0x17E: "PCR_Read", 0x17F: "PolicyPCR", 0x181: "ReadClock",
}
SIGN = 0x15D


@dataclass
class Command:
    """A TPM command, from when it was sent until its response came."""

    sent: float
    answered: float
    code: int
    subject: bytes  # what it is about: its first handle, or what stands in its place

    @property
    def name(self):
        return COMMANDS.get(self.code, f"{self.code:#x}")


def commands_of(packets, port):
    """The commands that went to `port`, whose answers came. One is under way at a time."""
    found, pending = [], None
    for packet in packets:
        if packet.protocol != "tcp" or not packet.payload:
            continue
        if packet.destination_port == port and len(packet.payload) >= 10:
            code, = struct.unpack_from("!I", packet.payload, 6)
            pending = (packet.time, code, packet.payload[10:14])
        elif packet.source_port == port and pending:
            found.append(Command(pending[0], packet.time, *pending[1:]))
            pending = None
    return found


@dataclass
class Connect:
    """When a connect was asked for, its four messages as the HeNB saw them, and when it was up."""

    asked: float
    init_request: float
    init_response: float
    auth_request: float  # its first datagram
    auth_response: float  # its last
    up: float
    commands: list  # in flight at any time from asked to up

    def stalled(self):
        """Seconds in which it waited for neither the network nor the SeGW."""
        return (self.init_request - self.asked + self.auth_request - self.init_response
                + self.up - self.auth_response)

    def waited_for(self, command_seconds):
        """How many TPM commands it waited for, by the time that they take."""
        return round(self.stalled() / command_seconds)

    def overlap(self):
        """Seconds of IKE_SA_INIT's round trip in which the TPM was at work."""
        return sum(max(0, min(each.answered, self.init_response) - max(each.sent, self.init_request))
                   for each in self.commands)

    def twice(self):
        """Names of commands that were sent twice for the same thing."""
        seen, again = set(), []
        for each in self.commands:
            key = each.code, each.subject
            if key in seen:
                again.append(each.name)
            seen.add(key)
        return again


def _ike(packets, start, end):
    return [(packet.time, message) for packet in packets
            if start <= packet.time <= end and (message := packet.ike())]


def _times(messages, exchange, is_response):
    return [when for when, message in messages
            if message[18] == exchange and bool(message[19] & ike.RESPONSE) == is_response]


def connect_of(packets, commands, asked, up):
    messages = _ike(packets, asked, up)
    return Connect(asked, _times(messages, ike.IKE_SA_INIT, False)[-1],
                   _times(messages, ike.IKE_SA_INIT, True)[-1],
                   _times(messages, ike.IKE_AUTH, False)[0],
                   _times(messages, ike.IKE_AUTH, True)[-1], up,
                   [each for each in commands if each.answered >= asked and each.sent <= up])


def segw_seconds(packets, asked, up):
    """How long the SeGW thought, by a capture at its end: from a request's last datagram to the answer."""
    messages = _ike(packets, asked, up)
    return sum(_times(messages, exchange, True)[0] - _times(messages, exchange, False)[-1]
               for exchange in (ike.IKE_SA_INIT, ike.IKE_AUTH))
