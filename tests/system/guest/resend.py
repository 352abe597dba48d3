"""Sends an Ethernet frame with IPv4 and ESP again: resend.py INTERFACE FILE [AHEAD].

FILE is a pcap file of this one frame; its ESP sequence number goes up by AHEAD."""

import socket
import struct
import sys

FILE_HEADER, RECORD_HEADER = 24, 16
SEQUENCE_AT = 14 + 20 + 4  # Ethernet, IPv4 without options, SPI

interface, path, *ahead = sys.argv[1:]
with open(path, "rb") as file:
    frame = bytearray(file.read()[FILE_HEADER + RECORD_HEADER:])
number, = struct.unpack_from("!I", frame, SEQUENCE_AT)
struct.pack_into("!I", frame, SEQUENCE_AT, number + sum(map(int, ahead)))
with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as wire:
    wire.bind((interface, 0))
    wire.send(frame)
