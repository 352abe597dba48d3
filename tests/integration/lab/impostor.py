"""A SeGW that lies: a responder by hand, which shows any certificate and signs with any key.

strongSwan can't be made to do that. It speaks one suite: AES-GCM-16-128, HMAC-SHA2-256, ECP-256."""

import hashlib
import hmac
import os
import socket
import struct
import threading

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from lab import ike
from lab.network import SEGW, SEGW_IPV4, inside
from lab.pki import SEGW_NAME

ECDSA_WITH_SHA256 = bytes.fromhex("0c300a06082a8648ce3d040302")  # RFC 7427 3, with its length


def prf(key, data):
    return hmac.new(key, data, hashlib.sha256).digest()


def prf_plus(key, seed, size):
    """RFC 7296 2.13."""
    octets, last, count = b"", b"", 1
    while len(octets) < size:
        last = prf(key, last + seed + bytes([count]))
        octets, count = octets + last, count + 1
    return octets[:size]


class Impostor:
    """Answers one IKE_SA_INIT and one IKE_AUTH on ports 500 and 4500, then collects what comes.

    `certificate` is what it shows, `key` what it signs with, `identity` its IDr; `change_auth` may
    spoil the AUTH; `ocsp` are OCSP responses that it sends along (RFC 4806). `asked_for` has the
    client's CERTREQs."""

    def __init__(self, certificate, key, identity=SEGW_NAME, change_auth=lambda auth: auth,
                 ocsp=()):
        self.certificate, self.key, self.change_auth = certificate, key, change_auth
        self.ocsp, self.asked_for = ocsp, []
        self.identity = struct.pack("!BBH", 2, 0, 0) + identity.encode()
        self.notifies = []  # of the INFORMATIONAL requests that came after IKE_AUTH
        with inside(SEGW):
            self.sockets = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2)]
        for sock, port in zip(self.sockets, (500, 4500)):
            sock.bind((SEGW_IPV4, port))
        self.told = threading.Event()
        self.failure = None
        self.threads = [threading.Thread(target=self._serve, args=(sock, marker), daemon=True)
                        for sock, marker in zip(self.sockets, (b"", bytes(4)))]
        for thread in self.threads:
            thread.start()

    def stop(self):
        for sock in self.sockets:
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass  # not connected; the call still wakes the thread
            sock.close()

    def _serve(self, sock, marker):
        try:
            while True:
                datagram, peer = sock.recvfrom(65536)
                if marker and not datagram.startswith(marker):
                    continue
                answer = self._answer(datagram[len(marker):])
                if answer:
                    sock.sendto(marker + answer, peer)
        except OSError:
            pass  # stopped
        except Exception as error:  # shown by the test, which waits for what will not come
            self.failure = error

    def _answer(self, datagram):
        if datagram[18] == ike.IKE_SA_INIT:
            return self._sa_init(datagram)
        if datagram[18] == ike.IKE_AUTH:
            return self._auth(datagram)
        payloads = self._open(datagram)
        self.notifies += [struct.unpack("!H", payload.body[2:4])[0] for payload in payloads
                          if payload.kind == ike.NOTIFY]
        self.told.set()
        return self._seal(ike.INFORMATIONAL, ike.decode(datagram).message_id, [])

    def _sa_init(self, datagram):
        request = ike.decode(datagram)
        self.spi_i, self.spi_r = request.spi_i, int.from_bytes(os.urandom(8), "big") | 1
        self.nonce_i, self.nonce_r = request.find(ike.NONCE), os.urandom(32)
        private = ec.generate_private_key(ec.SECP256R1())
        public = private.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        self._derive(private, request.find(ike.KE)[4:])
        self.response = ike.encode(ike.Message(
            self.spi_i, self.spi_r, ike.IKE_SA_INIT, ike.RESPONSE, 0, 0, [
                ike.aes_gcm_128_proposal(1, group=ike.ECP_256),
                ike.key_exchange(ike.ECP_256, public[1:]), ike.Payload(ike.NONCE, self.nonce_r),
                ike.notify(ike.SIGNATURE_HASH_ALGORITHMS, struct.pack("!H", 2)),
                # Of no address at all: both sides go to ESP in UDP, which a user-space plane needs.
                ike.notify(ike.NAT_DETECTION_SOURCE_IP, os.urandom(20)),
                ike.notify(ike.NAT_DETECTION_DESTINATION_IP, os.urandom(20)),
                ike.Payload(ike.CERTREQ, b"\x04" + bytes(20))]))
        return self.response

    def _derive(self, private, peer):
        point = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), b"\x04" + peer)
        shared = private.exchange(ec.ECDH(), point)
        nonces = self.nonce_i + self.nonce_r
        seed = nonces + struct.pack("!QQ", self.spi_i, self.spi_r)
        keys = prf_plus(prf(nonces, shared), seed, 32 + 2 * 20 + 2 * 32)
        _, self.sk_ei, self.sk_er, _, self.sk_pr = (
            keys[:32], keys[32:52], keys[52:72], keys[72:104], keys[104:136])

    def _open(self, datagram):
        message = ike.decode(datagram)
        body = message.payloads[0].body
        aad = datagram[:len(datagram) - len(body)]
        iv, sealed = body[:8], body[8:]
        plain = AESGCM(self.sk_ei[:16]).decrypt(self.sk_ei[16:] + iv, sealed, aad)
        return ike.decode_payloads(datagram[len(aad) - 4], plain[:-1 - plain[-1]])

    def _seal(self, exchange_type, message_id, payloads):
        first, plain = ike.encode_payloads(payloads)
        plain, iv = plain + b"\0", os.urandom(8)
        size = 4 + 8 + len(plain) + 16
        aad = struct.pack("!QQBBBBII", self.spi_i, self.spi_r, ike.SK, 0x20, exchange_type,
                          ike.RESPONSE, message_id, 28 + size) + struct.pack("!BBH", first, 0, size)
        return aad + iv + AESGCM(self.sk_er[:16]).encrypt(self.sk_er[16:] + iv, plain, aad)

    def _auth(self, datagram):
        payloads = self._open(datagram)
        request = {payload.kind: payload.body for payload in payloads}
        self.asked_for = [each.body for each in payloads if each.kind == ike.CERTREQ]
        octets = self.response + self.nonce_i + prf(self.sk_pr, self.identity)
        signature = self.key.sign(octets, ec.ECDSA(hashes.SHA256()))
        auth = self.change_auth(ECDSA_WITH_SHA256 + signature)
        return self._seal(ike.IKE_AUTH, 1, [
            ike.Payload(ike.IDR, self.identity),
            *(ike.Payload(ike.CERT, b"\x04" + each.der())
              for each in [self.certificate, *self.certificate.intermediates()]),
            *(ike.Payload(ike.CERT, b"\x0e" + each) for each in self.ocsp),
            ike.Payload(ike.AUTH, struct.pack("!BBH", 14, 0, 0) + auth),
            ike.Payload(ike.CP, struct.pack("!BBBBHH4B", 2, 0, 0, 0, 1, 4, 10, 210, 0, 1)),
            ike.aes_gcm_128_proposal(3, os.urandom(4)),
            ike.Payload(ike.TSI, request[ike.TSI]), ike.Payload(ike.TSR, request[ike.TSR])])
