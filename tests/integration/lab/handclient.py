"""An IKE client by hand: it calls tred in any order, with any octets, as a hostile one would."""

import copy
import os
import socket
import struct

from lab import ike
from lab.bus import Connection
from lab.network import HENB, SEGW_IPV4, udp_socket
from lab.programs import EXCHANGE, MANAGER, TRED, TRED_PATH

MAX_DATAGRAM = 1200


class HandClient:
    """One exchange with tred and the SeGW. Each step can be taken alone, again, or not at all."""

    def __init__(self, user="henb-ike", segw=SEGW_IPV4):
        self.bus = Connection(user)
        self.segw, self.marker = segw, b""
        self.socket = udp_socket(HENB, segw, 500)
        self.exchange = None
        # What it asks for at each end: first and last address.
        self.ts_i = self.ts_r = bytes(4), b"\xff" * 4

    def stop(self):
        self.bus.close()
        self.socket.close()

    def manager(self, method, signature="", *arguments):
        return self.bus.call(TRED, TRED_PATH, MANAGER, method, signature, *arguments)

    def call(self, method, signature="", *arguments):
        return self.bus.call(TRED, self.exchange, EXCHANGE, method, signature, *arguments)

    def property(self, name):
        return self.bus.get(TRED, TRED_PATH, MANAGER, name)

    def send_and_receive(self, datagrams):
        for datagram in datagrams:
            self.socket.send(self.marker + datagram)
        return self.receive()

    def receive(self):
        return self.socket.recv(65536)[len(self.marker):]

    def float(self):
        """To port 4500, where a non-ESP marker stands before each message (RFC 7296 2.23)."""
        self.socket.close()
        self.socket, self.marker = udp_socket(HENB, self.segw, 4500), bytes(4)

    # The steps of the call flow.

    def begin(self, group=ike.ECP_256):
        self.exchange, self.spi_i, self.nonce, self.ke = self.manager("BeginExchange", "q", group)
        self.group = group
        return self

    def begin_with(self, segw, group=ike.ECP_256):
        """With the SeGW of a section of tred.conf; the FQDN that it must prove."""
        self.exchange, self.spi_i, self.nonce, self.ke, identity, self.hashes = self.manager(
            "BeginExchangeWith", "sq", segw, group)
        self.group = group
        return identity

    def sa_init(self):
        self.request = ike.sa_init_request(self.spi_i, self.nonce, self.group, self.ke)
        self.response = self.send_and_receive([self.request])
        self.float()
        return self

    def agree(self):
        suite, = self.call("Agree", "ayay", self.request, self.response)
        return suite

    def fork(self):
        """The exchange for another response to the same request, which is this client's too."""
        fork = copy.copy(self)
        fork.exchange, = self.call("Fork")
        return fork

    def sign(self):
        self.id_type, self.id_data, self.method, self.auth = self.call("SignAuth")
        return self

    def protect(self, exchange_type, payloads, response=False):
        first, octets = ike.encode_payloads(payloads)
        _, datagrams = self.call("Protect", "ybyayu", exchange_type, response, first, octets,
                                 MAX_DATAGRAM)
        return datagrams

    def unprotect(self, datagram):
        """The payloads of a message, or None while fragments are missing."""
        complete, _, _, _, first, octets = self.call("Unprotect", "ay", datagram)
        return ike.decode_payloads(first, octets) if complete else None

    def auth_payloads(self):
        """The IKE_AUTH request's payloads; without INITIAL_CONTACT."""
        self.spi_in, = self.call("AllocateSpi")
        chain = self.property("CertificateChain")
        payloads = [ike.Payload(ike.IDI, struct.pack("!BBH", self.id_type, 0, 0) + self.id_data)]
        payloads += [ike.Payload(ike.CERT, b"\x04" + certificate) for certificate in chain]
        return payloads + [
            ike.Payload(ike.CERTREQ, b"\x04" + b"".join(self.property("AnchorHashes"))),
            ike.Payload(ike.AUTH, struct.pack("!BBH", self.method, 0, 0) + self.auth),
            ike.configuration_request(),
            ike.aes_gcm_128_proposal(3, struct.pack("!I", self.spi_in)),
            ike.traffic_selectors(ike.TSI, *self.ts_i),
            ike.traffic_selectors(ike.TSR, *self.ts_r),
        ]

    def auth_request(self):
        """The IKE_AUTH request, sealed."""
        return self.protect(ike.IKE_AUTH, self.auth_payloads())

    def authenticate(self):
        """Sends IKE_AUTH; keeps what came in self.datagrams, what was in it in self.answer."""
        self.datagrams = [self.send_and_receive(self.auth_request())]
        while (payloads := self.unprotect(self.datagrams[-1])) is None:
            self.datagrams.append(self.receive())
        self.answer = {payload.kind: payload.body for payload in reversed(payloads)}
        self.certificates = [payload.body[1:] for payload in payloads if payload.kind == ike.CERT]
        return self

    def verify(self):
        identity, = self.call("VerifyPeer")
        return identity

    def add_child(self):
        """Adds what IKE_AUTH negotiated; the name of the interface."""
        interface, = self.call("AddChild", "u", self.spi_in)
        return interface

    # CREATE_CHILD_SA (RFC 7296 1.3).

    def prepared(self, group=0):
        """The nonce and, with a group, the KE of a message to come."""
        self.new_spi, nonce, ke = self.call("PrepareCreateChildSa", "q", group)
        return [ike.Payload(ike.NONCE, nonce)] + ([ike.key_exchange(group, ke)] if group else [])

    def child_payloads(self, rekeyed=None, group=0, selectors=None):
        """A Child SA under a new SPI, in the place of `rekeyed` if that is given."""
        self.spi_in, = self.call("AllocateSpi")
        ts = selectors or [ike.traffic_selectors(ike.TSI, *self.ts_i),
                           ike.traffic_selectors(ike.TSR, *self.ts_r)]
        return ([ike.rekey_notify(rekeyed)] if rekeyed else []) + [
            ike.aes_gcm_128_proposal(3, struct.pack("!I", self.spi_in), group), *self.prepared(group), *ts]

    def ike_payloads(self, group=ike.ECP_256):
        """Another IKE SA."""
        prepared = self.prepared(group)
        return [ike.aes_gcm_128_proposal(1, struct.pack("!Q", self.new_spi), group), *prepared]

    def ask(self, payloads, exchange_type=ike.CREATE_CHILD_SA):
        """Sends a request; what is in the answer."""
        return self.unprotect(self.send_and_receive(self.protect(exchange_type, payloads)))

    def asked(self):
        """What is in the SeGW's next request."""
        return self.unprotect(self.receive())

    def answer_with(self, payloads, exchange_type=ike.CREATE_CHILD_SA):
        for datagram in self.protect(exchange_type, payloads, response=True):
            self.socket.send(self.marker + datagram)

    def add_ike_sa(self):
        """The IKE SA that was negotiated, as a client of its own on the same socket."""
        heir = copy.copy(self)
        heir.exchange, = self.call("AddIkeSa", "t", self.new_spi)
        return heir

    def open_transport(self, address=None, port=4500, nat=False):
        """OpenTransport, whose socket is not made use of."""
        address = socket.inet_aton(self.segw) if address is None else address
        descriptor, = self.call("OpenTransport", "ayqb", address, port, nat)
        descriptor.close()
        return self

    def until(self, step, segw=None):
        """All steps up to `step`, in order; with the SeGW of a section of tred.conf, or of [segw]."""
        for each in ["begin", "sa_init", "agree", "sign", "authenticate", "verify", "add_child"]:
            if each == "begin" and segw:
                self.begin_with(segw)
            else:
                getattr(self, each)()
            if each == step:
                return self
        raise ValueError(step)


def random_nonce():
    return os.urandom(32)
