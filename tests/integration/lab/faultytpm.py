"""A TPM behind a proxy that spoils the commands that a test points at, and counts all of them."""

import struct
import threading
import time

from lab.tpm import SharedTpm, command_code, message

# TPM 2.0 Part 2, 6.5.2: those that tred gives.
NAMES = {
    0x120: "NV_UndefineSpace", 0x121: "HierarchyControl", 0x12A: "NV_DefineSpace",
    0x131: "CreatePrimary", 0x134: "NV_Increment", 0x137: "NV_Write", 0x138: "NV_WriteLock",
    0x149: "PolicyNV", 0x14E: "NV_Read", 0x151: "PolicySecret", 0x157: "Load", 0x15D: "Sign",
    0x165: "FlushContext", 0x167: "LoadExternal", 0x169: "NV_ReadPublic",
    0x16E: "PolicyCpHash", 0x16A: "PolicyAuthorize", 0x173: "ReadPublic", 0x176: "StartAuthSession",
    0x177: "VerifySignature", 0x17A: "GetCapability", 0x17E: "PCR_Read", 0x17F: "PolicyPCR",
    0x189: "PolicyGetDigest", 0x18F: "PolicyNvWritten",
}
SIGN, FLUSH_CONTEXT, GET_CAPABILITY = 0x15D, 0x165, 0x17A

# TPM 2.0 Part 2, 6.6.3
RC_FAILURE = 0x101
PUT_OFF = {"TPM_RC_YIELDED": 0x908, "TPM_RC_TESTING": 0x90A, "TPM_RC_NV_RATE": 0x920,
           "TPM_RC_RETRY": 0x922}

_HEADER = struct.Struct("!HII")  # tag, size, code
_NO_SESSIONS, _CAP_HANDLES = 0x8001, 1
_TRANSIENT, _LOADED_SESSION, _SAVED_SESSION = 0x80000000, 0x02000000, 0x03000000
_COUNT_AT = 15  # in a list of capabilities (TPM 2.0 Part 3, 30.2)


def name(code):
    return NAMES.get(code, f"{code:#x}")


def names(codes):
    return [name(code) for code in codes]


def failing(code):
    """The TPM answers with an error, and has done nothing."""
    return lambda command, pass_on: _HEADER.pack(_NO_SESSIONS, _HEADER.size, code)


def cut_short(command, pass_on):
    """Half of the answer arrives as a whole one."""
    answer = pass_on()
    size = max(_HEADER.size, len(answer) // 2)
    return answer[:2] + struct.pack("!I", size) + answer[6:size]


def bit_flipped(command, pass_on):
    """The last bit of the answer is another; an answer of no more than a code has it in that."""
    answer = pass_on()
    return answer[:-1] + bytes([answer[-1] ^ 1])


def closed(command, pass_on):
    """The connection ends, and the TPM has seen nothing."""
    raise ConnectionAbortedError


def answer_lost(command, pass_on):
    """The connection ends in an answer; the TPM has done what it was asked for."""
    pass_on()
    raise ConnectionAbortedError


def delayed(seconds):
    def spoil(command, pass_on):
        answer = pass_on()
        time.sleep(seconds)
        return answer
    return spoil


class FaultyTpm(SharedTpm):
    """The TPM, whose next command, or nth from now on, or every one, a function spoils.

    The function is given the command, and another function, which passes it on and returns the
    answer."""

    def __init__(self, **named):
        self.countdown = self.spoil = self.every = None
        self.spoiled = None  # the code of the command that was spoiled
        self.hangs, self.goes_on = threading.Event(), threading.Event()
        super().__init__(**named)

    def spoil_nth(self, number, spoil):
        """`spoil` meets the nth command from now on (1: the next one), and no other."""
        with self.lock:
            self.spoiled, self.countdown, self.spoil = None, number, spoil

    def spoil_every(self, spoil):
        """`spoil` meets every command; None: none any more."""
        self.every = spoil

    def put_off_every(self, code):
        """Every command is answered with `code` once, and executed when it comes again."""
        put_off = set()

        def spoil(command, pass_on):
            if command in put_off:
                put_off.remove(command)
                return pass_on()
            put_off.add(command)
            return failing(code)(command, pass_on)
        self.spoil_every(spoil)

    def hang(self, number=1):
        """The nth command from now on is not executed until go_on(); `hangs` is set then."""
        def spoil(command, pass_on):
            self.hangs.set()
            self.goes_on.wait()
            return pass_on()
        self.hangs.clear()
        self.goes_on.clear()
        self.spoil_nth(number, spoil)

    def go_on(self):
        self.goes_on.set()

    def wait_idle(self, seconds=0.12):
        """Waits until no command has come for so long."""
        seen = -1
        while seen != len(self.commands):
            seen = len(self.commands)
            time.sleep(seconds)

    def stop(self):
        self.spoil_every(None)
        self.go_on()
        super().stop()

    def _execute(self, command, far):
        def pass_on():
            far.sendall(command)
            return message(far)

        if self.countdown:
            self.countdown -= 1
            if self.countdown == 0:
                self.spoiled = command_code(command)
                return self.spoil(command, pass_on)
        if self.every:
            return self.every(command, pass_on)
        return pass_on()

    def handles(self):
        """How many (objects, sessions) are in the TPM, asked beside the proxy."""
        counts = [self._count(first) for first in (_TRANSIENT, _LOADED_SESSION, _SAVED_SESSION)]
        return counts[0], counts[1] + counts[2]

    def _count(self, first):
        question = struct.pack("!HIIIII", _NO_SESSIONS, 22, GET_CAPABILITY, _CAP_HANDLES, first, 254)
        with self.lock:
            self.far[0].sendall(question)
            return struct.unpack_from("!I", message(self.far[0]), _COUNT_AT)[0]
