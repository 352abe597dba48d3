"""A SeGW by hand (tests/gateway): it shows any certificate, signs with any key, sends OCSP in IKE.

strongSwan can't be made to do that. It speaks one suite: AES-GCM-16-128, HMAC-SHA2-256, ECP-256."""

import re

from lab.network import SEGW, SEGW_IPV4
from lab.pki import SEGW_NAME
from lab.process import BIN, Process, scratch


class Responder(Process):
    """`credential` is what it shows, with its intermediates; `key` what it signs with, `assign` the address
    that it assigns; with `crowd`, it sends more of everything than anybody needs;
    with `forge`, somebody else answers IKE_SA_INIT before it does; `notifies` and `attributes` are what its IKE_AUTH
    response has, too: {type: octets}."""

    def __init__(self, credential, key=None, identity=SEGW_NAME, ocsp=(), spoil_auth=False,
                 assign=None, crowd=False, forge=False, notifies=None, attributes=None):
        folder = scratch("responder")
        shown, signing = folder / "certificates.pem", folder / "key.pem"
        shown.write_bytes(b"".join(each.pem() for each in [credential, *credential.intermediates()]))
        signing.write_bytes(key.key_pem() if key else credential.key_pem())
        options = ["--address", SEGW_IPV4, "--identity", identity, "--certificates", shown,
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
        if assign:
            options += ["--assign", assign]
        super().__init__("responder", [BIN / "responder", *options], namespace=SEGW)
        self.wait_for("^ready$")

    def asked_for(self):
        """The encodings of the initiator's CERTREQs."""
        return [int(number) for number in re.findall(r"^CERTREQ (\d+)$", self.output(), re.MULTILINE)]

    def attributes(self):
        """The types of the attributes in its CFG_REQUESTs."""
        return [int(number) for number in re.findall(r"^ATTRIBUTE (\d+)$", self.output(), re.MULTILINE)]

    def told(self):
        """The notifies of its INFORMATIONAL requests."""
        return [int(number) for number in re.findall(r"^NOTIFY (\d+)$", self.output(), re.MULTILINE)]
