"""A verifier that fails when it is told to: tred-verify, and before it one who passes frames on."""

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from lab.pki import SEGW_NAME, make_key
from lab.process import BIN, scratch

# verify/frames.h
PROFILE, ANCHORS, CRL, COMPLETE, CHAIN, PEER = range(1, 7)
FRAMES = {"profile": PROFILE, "anchors": ANCHORS, "crl": CRL, "complete": COMPLETE, "chain": CHAIN,
          "peer": PEER}

PROGRAM = """#!/usr/bin/python3 -IS
import os, socket, struct, time

FLAG, MET, KEY, SEGW_NAME = {flag!r}, {met!r}, {key!r}, {segw_name!r}
FRAME_SIZE_MAX = 1 << 18


def die(request):
    os._exit(1)


def hang(request):
    time.sleep(3600)


def answer(octets):
    def it(request):
        upper.send(octets(request))
    return it


def taking(key, name, expires=1 << 32):
    return answer(lambda request: request[:1] + struct.pack("!HIB32xI", 0, 0, 1, len(key)) + key
                  + struct.pack("!I", len(name)) + name + struct.pack("!QQIBH", expires, 0, 0, 0, 0))


def passed_on(request):
    lower.send(request)
    return lower.recv(FRAME_SIZE_MAX)


def answer_twice(request):
    verdict = passed_on(request)
    upper.send(verdict)
    upper.send(verdict)


def wait(request):
    while os.path.exists(FLAG):
        time.sleep(0.01)
    upper.send(passed_on(request))


# What each failure does in place of passing the request on; frames.h has the answers' form.
FAILURES = {{
    "dies": die,
    "hangs": hang,
    "answers garbage": answer(lambda request: os.urandom(64)),
    "answers nothing": answer(lambda request: b"\\0"),
    "answers another request": answer(lambda request: bytes([request[0] % 6 + 1]) + bytes(6)),
    "answers too much": answer(lambda request: bytes(FRAME_SIZE_MAX - 64 * 1024)),
    "answers and sends a descriptor along":
        lambda request: socket.send_fds(upper, [passed_on(request)], [0]),
    "answers twice": answer_twice,
    "waits until it is mended": wait,
    "runs out of memory": answer(lambda request: request[:1] + bytes([0, 12]) + bytes(4)),
    "takes a peer without a key": taking(b"", SEGW_NAME),
    "takes a peer whose key is none": taking(b"x", SEGW_NAME),
    "takes a peer of another name": taking(KEY, b"x" + SEGW_NAME),
    "takes a peer by another key": taking(KEY, SEGW_NAME),
    "takes a peer for ever": taking(KEY, SEGW_NAME, 0),
}}


def start():
    \"\"\"The real one, with its end of another pair as descriptor 3.\"\"\"
    pid = os.fork()
    if pid == 0:
        os.dup2(end.fileno(), 3)
        os.set_inheritable(3, True)
        os.closerange(4, 64)
        os.execve({program!r}, ["tred-verify"], {{}})
    end.close()


upper = socket.socket(fileno=os.dup(3))
lower, end = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
start()
while True:
    request, fds, _, _ = socket.recv_fds(upper, FRAME_SIZE_MAX, 1)
    if not request:
        os._exit(0)
    if request[0] == {frame} and os.path.exists(FLAG):
        with open(MET, "w") as met:
            met.write("x")
        FAILURES[{failure!r}](request)
    else:
        socket.send_fds(lower, [request], fds)
        upper.send(lower.recv(FRAME_SIZE_MAX))
    for fd in fds:
        os.close(fd)
"""


class FailingVerifier:
    """`failure` (see above) where a `frame` comes, while it is told to fail: from the start on."""

    def __init__(self, failure, frame):
        folder = scratch("verifier")
        self.program, self.flag, self.met = folder / "failing-verify", folder / "fails", folder / "met"
        self.met.touch()
        self.met.chmod(0o666)
        key = make_key("ecdsa-p256").public_key().public_bytes(Encoding.DER,
                                                               PublicFormat.SubjectPublicKeyInfo)
        self.program.write_text(PROGRAM.format(
            flag=str(self.flag), met=str(self.met), program=str(BIN / "tred-verify"), frame=FRAMES[frame],
            failure=failure, key=key, segw_name=SEGW_NAME.encode()))
        self.program.chmod(0o755)
        self.fail()

    def fail(self):
        self.flag.write_bytes(b"")

    def mend(self):
        self.flag.unlink()

    def has_failed(self):
        """It has come to that frame."""
        return self.met.read_text() != ""
