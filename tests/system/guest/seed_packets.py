#!/usr/bin/env python3
"""Has an ESP state of the kernel's have counted so many packets: seed_packets.py DESTINATION SPI PACKETS (XFRM_MSG_NEWAE)."""

import ipaddress
import socket
import struct
import sys

NETLINK_XFRM, NLMSG_ERROR = 6, 2
NLM_F_REQUEST, NLM_F_ACK, NLM_F_REPLACE = 1, 4, 0x100
XFRM_MSG_NEWAE, XFRMA_LTIME_VAL = 30, 9


def attribute(kind, payload):
    return struct.pack("=HH", 4 + len(payload), kind) + payload


def main():
    destination, spi, packets = ipaddress.ip_address(sys.argv[1]), int(sys.argv[2], 0), int(sys.argv[3], 0)
    family = socket.AF_INET if destination.version == 4 else socket.AF_INET6
    # struct xfrm_usersa_id, the source, flags, reqid; then struct xfrm_lifetime_cur: bytes, packets, times.
    identity = struct.pack("=16s4sHBx", destination.packed, spi.to_bytes(4, "big"), family, socket.IPPROTO_ESP)
    body = identity + bytes(16) + struct.pack("=II", 0, 0)
    body += attribute(XFRMA_LTIME_VAL, struct.pack("=QQQQ", 0, packets, 0, 0))
    header = struct.pack("=IHHII", 16 + len(body), XFRM_MSG_NEWAE, NLM_F_REQUEST | NLM_F_ACK | NLM_F_REPLACE, 1, 0)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_XFRM) as kernel:
        kernel.send(header + body)
        answer = kernel.recv(4096)
    kind, = struct.unpack_from("=H", answer, 4)
    error, = struct.unpack_from("=i", answer, 16)
    if kind != NLMSG_ERROR or error != 0:
        sys.exit(f"the kernel says {error}")


main()
