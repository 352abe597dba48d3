"""A SeGW by hand (tests/gateway): it shows any certificate, signs with any key, sends OCSP in IKE.

strongSwan can't be made to do that. It speaks one suite: AES-GCM-16-128, HMAC-SHA2-256, ECP-256."""

import os
import re

from lab.network import SEGW, SEGW_IPV4
from lab.pki import SEGW_NAME
from lab.process import BIN, LabError, Process, scratch, wait_until


class Responder(Process):
    """`credential` is what it shows, with its intermediates; `key` what it signs with, `assign` the address
    that it assigns; with `crowd`, it sends more of everything than anybody needs;
    with `forge`, somebody else answers IKE_SA_INIT before it does; `notifies` and `attributes` are what its IKE_AUTH
    response has, too: {type: octets}; `script` is a FIFO that says what it is to do. With `childless` that response has
    no Child SA. `style` are words of how its messages are written (style.c), `detours` what it answers to the first
    IKE_SA_INIT requests (detour.c), `remote` ranges that it narrows TSr to.
    `id_payload` is an IDr in the FQDN's place, (type, octets); so many of its certificates as `urls` says, the last ones,
    are sent by hash and URL; `init` are payloads that its IKE_SA_INIT response has, too, as in "43=0102"; `port` is what
    it sends all from, whichever it was asked at."""

    def __init__(self, credential, key=None, identity=SEGW_NAME, ocsp=(), spoil_auth=False,  # pylint: disable=R0914
                 assign=None, crowd=False, forge=False, notifies=None, attributes=None, script=None, childless=False,
                 style=(), detours=(), remote=(), address=SEGW_IPV4, id_payload=None, urls=0, init=(), port=None):
        folder = scratch("responder")
        shown, signing = folder / "certificates.pem", folder / "key.pem"
        shown.write_bytes(b"".join(each.pem() for each in [credential, *credential.intermediates()]))
        signing.write_bytes(key.key_pem() if key else credential.key_pem())
        options = ["--address", address, "--identity", identity, "--certificates", shown,
                   "--key", signing]
        for number, response in enumerate(ocsp):
            (folder / f"{number}.ocsp").write_bytes(response)
            options += ["--ocsp", folder / f"{number}.ocsp"]
        if spoil_auth:
            options.append("--spoil-auth")
        if crowd:
            options.append("--crowd")
        if forge:
            options.append("--forge")
        for option, extras in (("--notify", notifies), ("--attribute", attributes)):
            for kind, octets in (extras or {}).items():
                options += [option, f"{kind}={octets.hex()}"]
        if childless:
            options.append("--childless")
        for option, words in (("--style", style), ("--detour", detours), ("--remote", remote)):
            for word in words:
                options += [option, word]
        if id_payload:
            options += ["--id", f"{id_payload[0]}={id_payload[1].hex()}"]
        if urls:
            options += ["--urls", str(urls)]
        for payload in init:
            options += ["--init", payload]
        if port:
            options += ["--from", str(port)]
        if assign:
            options += ["--assign", assign]
        if script:
            options += ["--script", script]
        super().__init__("responder", [BIN / "responder", *options], namespace=SEGW)
        self.wait_for("^ready$")

    def asked_for(self):
        """The encodings of the initiator's CERTREQs."""
        return [int(number) for number in re.findall(r"^CERTREQ (\d+)$", self.output(), re.MULTILINE)]

    def attributes(self):
        """The types of the attributes in its CFG_REQUESTs."""
        return [int(number) for number in re.findall(r"^ATTRIBUTE (\d+)", self.output(), re.MULTILINE)]

    def told(self):
        """The notifies of its INFORMATIONAL requests."""
        return [int(number) for number in re.findall(r"^NOTIFY (\d+)$", self.output(), re.MULTILINE)]


class ScriptedSegw(Responder):
    """One that is told what to do (tests/gateway/script.c), and whose words are read in their order."""

    def __init__(self, credential, **options):
        self.script = scratch("script") / "fifo"
        os.mkfifo(self.script)
        self.read = 0  # lines of its output
        self.told_lines = 0
        super().__init__(credential, script=self.script, **options)

    def tell(self, *words):
        """One command, which is carried out when this returns; a word with a line feed in it ends that, and begins
        another, which follows at once."""
        command = " ".join(map(str, words)) + "\n"
        self.told_lines += command.count("\n")
        with self.script.open("wb", buffering=0) as script:
            script.write(command.encode())
        wait_until(lambda: len(re.findall(r"(?m)^done$", self.output())) >= self.told_lines, f"the SeGW to {command}", 30.0)

    def expect(self, pattern, seconds=30.0):
        """The match of `pattern` at the beginning of a line that was not read yet; those before it are passed over."""

        def look():
            for number, line in enumerate(self.output().split("\n")[self.read:-1], self.read + 1):
                found = re.match(pattern, line)
                if found:
                    self.read = number
                    return found
            if not self.running():
                raise LabError(f"the SeGW has ended; it said:\n{self.output()}")
            return None

        return wait_until(look, f"/{pattern}/ from the SeGW", seconds)

    def left(self):
        """What it has: {number: (SPIi, SPIr)} of IKE SAs, and {(SPI that it receives by, SPI that it sends by)}."""
        self.tell("show")
        said = self.expect(r"left(.*)")[1]
        return ({int(number): (int(i, 16), int(r, 16))
                 for number, i, r in re.findall(r"ike=(\d+):(\w+):(\w+)", said)},
                {(int(i, 16), int(o, 16)) for i, o in re.findall(r"child=(\w+):(\w+)", said)})
