"""Just enough of IKEv2 (RFC 7296) to speak to a SeGW by hand, written apart from ikewire."""

import struct
from dataclasses import dataclass

IKE_SA_INIT, IKE_AUTH, CREATE_CHILD_SA, INFORMATIONAL = 34, 35, 36, 37
SA, KE, IDI, IDR, CERT, CERTREQ, AUTH, NONCE = 33, 34, 35, 36, 37, 38, 39, 40
NOTIFY, DELETE, TSI, TSR, SK, CP, SKF = 41, 42, 44, 45, 46, 47, 53
INITIATOR, RESPONSE = 0x08, 0x20
COOKIE, SIGNATURE_HASH_ALGORITHMS, FRAGMENTATION_SUPPORTED = 16390, 16431, 16430
NAT_DETECTION_SOURCE_IP, NAT_DETECTION_DESTINATION_IP = 16388, 16389
INVALID_KE_PAYLOAD, TEMPORARY_FAILURE, REKEY_SA, MOBIKE_SUPPORTED = 17, 43, 16393, 16396
ECP_256, ECP_384, CURVE25519, MODP_2048 = 19, 20, 31, 14


@dataclass
class Payload:
    kind: int
    body: bytes


@dataclass
class Message:
    spi_i: int
    spi_r: int
    exchange_type: int
    flags: int
    message_id: int
    first: int
    payloads: list

    def find(self, kind):
        return next((payload.body for payload in self.payloads if payload.kind == kind), None)

    def notifies(self):
        """{type: data} of its Notify payloads."""
        return {struct.unpack("!H", body[2:4])[0]: body[4 + body[1]:]
                for body in (p.body for p in self.payloads if p.kind == NOTIFY)}


def encode_payloads(payloads):
    """(type of the first, octets) of a payload chain."""
    following = [payload.kind for payload in payloads[1:]] + [0]
    octets = b"".join(struct.pack("!BBH", next_kind, 0, 4 + len(payload.body)) + payload.body
                      for payload, next_kind in zip(payloads, following))
    return (payloads[0].kind if payloads else 0), octets


def decode_payloads(first, octets):
    payloads, kind = [], first
    while kind:
        following, _, size = struct.unpack("!BBH", octets[:4])
        payloads.append(Payload(kind, octets[4:size]))
        # What follows an encrypted payload's header names the type of what is inside of it.
        kind = 0 if kind in (SK, SKF) else following
        octets = octets[size:]
    return payloads


def encode(message):
    first, octets = encode_payloads(message.payloads)
    return struct.pack("!QQBBBBII", message.spi_i, message.spi_r, first, 0x20,
                       message.exchange_type, message.flags, message.message_id,
                       28 + len(octets)) + octets


def decode(datagram):
    spi_i, spi_r, first, _, exchange_type, flags, message_id, size = struct.unpack(
        "!QQBBBBII", datagram[:28])
    return Message(spi_i, spi_r, exchange_type, flags, message_id, first,
                   decode_payloads(first, datagram[28:size]))


def _transform(last, kind, number, key_bits=None):
    attribute = struct.pack("!HH", 0x800E, key_bits) if key_bits else b""
    header = struct.pack("!BBHBBH", 0 if last else 3, 0, 8 + len(attribute), kind, 0, number)
    return header + attribute


def aes_gcm_128_proposal(protocol, spi=b"", group=None):
    """An SA payload that proposes AES-GCM-16-128, for IKE (protocol 1) with PRF, and with group if there is one."""
    transforms = [(1, 20, 128), (2, 5, None) if protocol == 1 else (5, 0, None)]
    if group:
        transforms.append((4, group, None))
    octets = b"".join(_transform(each is transforms[-1], *each) for each in transforms)
    proposal = struct.pack("!BBHBBBB", 0, 0, 8 + len(spi) + len(octets), 1, protocol, len(spi),
                           len(transforms)) + spi + octets
    return Payload(SA, proposal)


def key_exchange(group, value):
    return Payload(KE, struct.pack("!HH", group, 0) + value)


def notify(kind, data=b""):
    return Payload(NOTIFY, struct.pack("!BBH", 0, 0, kind) + data)


def rekey_notify(spi):
    """REKEY_SA: the Child SA that is to be replaced, by its sender's inbound SPI (RFC 7296 1.3.3)."""
    return Payload(NOTIFY, struct.pack("!BBHI", 3, 4, REKEY_SA, spi))


def delete_ike_sa():
    return Payload(DELETE, struct.pack("!BBH", 1, 0, 0))


def sa_init_request(spi_i, nonce, group, value, cookie=None):
    payloads = [notify(COOKIE, cookie)] if cookie else []
    payloads += [aes_gcm_128_proposal(1, group=group), key_exchange(group, value),
                 Payload(NONCE, nonce), notify(FRAGMENTATION_SUPPORTED),
                 # Hashes of no address at all: both sides take it that a NAT is between them.
                 notify(NAT_DETECTION_SOURCE_IP, bytes(20)),
                 notify(NAT_DETECTION_DESTINATION_IP, bytes(20)),
                 notify(SIGNATURE_HASH_ALGORITHMS, struct.pack("!HH", 2, 3))]
    return encode(Message(spi_i, 0, IKE_SA_INIT, INITIATOR, 0, 0, payloads))


def traffic_selectors(kind, start, end):
    """One IPv4 selector over all protocols and ports."""
    selector = struct.pack("!BBHHH", 7, 0, 16, 0, 65535) + start + end
    return Payload(kind, struct.pack("!BBBB", 1, 0, 0, 0) + selector)


def configuration_request(addresses=1):
    """CFG_REQUEST for an IPv4 address, or for several."""
    return Payload(CP, struct.pack("!BBBB", 1, 0, 0, 0) + addresses * struct.pack("!HH", 1, 0))
