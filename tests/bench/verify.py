"""Prints the CPU that tred-verify takes for one verdict, and how long its asker waits, for each of the
worst known shapes within the limits.

Fails if one takes more than 20 ms."""

import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "matrix"))
from cryptography import x509  # noqa: E402
from cryptography.hazmat.primitives import serialization  # noqa: E402
from cryptography.hazmat.primitives.asymmetric import ec  # noqa: E402
from cryptography.x509.oid import ObjectIdentifier  # noqa: E402
from matrix import CA, DAY, dns_subtrees, excluded, extended_usage, policies  # noqa: E402
from matrix import NOCHECK, ExtendedKeyUsageOID, answer, ca, crl, issue, key_usage  # noqa: E402
from matrix import segw, unknown_extension  # noqa: E402

LIMIT_MS = 20
DEPTH = 7  # intermediates; with the SeGW's, as many certificates as are looked at


def rsa_4096(exponent):
    """OpenSSL makes keys with any exponent."""
    made = subprocess.run(["openssl", "genpkey", "-algorithm", "RSA",
                           "-pkeyopt", "rsa_keygen_bits:4096",
                           "-pkeyopt", f"rsa_keygen_pubexp:{exponent}"],
                          check=True, capture_output=True).stdout
    return serialization.load_pem_private_key(made, None)


def chain(key=None, extensions=(), leaf=(), **named):
    """(root, the SeGW's, its issuers), all with that key."""
    def make():
        return key if not isinstance(key, ec.EllipticCurve) else ec.generate_private_key(key)
    root = ca("Root", key=make())
    issuers = [root]
    for number in range(DEPTH):
        issuers.insert(0, ca(f"CA {number}", issuers[0], (*CA, *extensions), key=make()))
    return root, segw(issuers[0], *leaf, key=make(), **named), issuers[:-1]


def namesakes():
    """Issuers that differ in nothing but their keys, and no identifiers to tell them apart."""
    root = ca("Root")
    same = [ca("CA", root, identifiers=False) for _ in range(DEPTH)]
    return root, segw(same[-1], identifiers=False), same


def crossed(key):
    """Each CA has issued to each other: one name and one key, so that every order of them is a path,
    and the anchor has expired, so that none is fit."""
    root = ca("CA", key=key, ends=-DAY, starts=-9 * DAY)
    same = [ca("CA", root, key=key) for _ in range(DEPTH)]
    return root, segw(same[0]), same


def mapped():
    """Each policy of each depth mapped to each of the next."""
    oids = [ObjectIdentifier(f"1.3.6.1.4.1.55555.7.{i}") for i in range(5)]
    pairs = [(a, b) for a in oids for b in oids]
    body = b"".join(_sequence(_oid(a) + _oid(b)) for a, b in pairs)
    mappings = x509.UnrecognizedExtension(ObjectIdentifier("2.5.29.33"), _sequence(body))
    return chain(None, (policies(*oids), (mappings, True)), (policies(*oids),))


def _sequence(body):
    size = len(body)
    length = bytes([size]) if size < 128 else b"\x82" + size.to_bytes(2, "big")
    return b"\x30" + length + body


def _oid(oid):
    arcs = [int(arc) for arc in oid.dotted_string.split(".")]
    octets = bytes([arcs[0] * 40 + arcs[1]])
    for arc in arcs[2:]:
        groups = [arc & 0x7f]
        while arc := arc >> 7:
            groups.insert(0, arc & 0x7f | 0x80)
        octets += bytes(groups)
    return b"\x06" + bytes([len(octets)]) + octets


def shapes():
    p384, p521 = ec.SECP384R1(), ec.SECP521R1()
    yield "an ordinary chain: P-256, one intermediate", (*_ordinary(),), (), None
    yield "8 certificates, P-256", chain(), (), None
    yield "8 certificates, P-384", chain(p384), (), None
    yield "8 certificates, P-521", chain(p521), (), None
    yield "8 certificates, RSA-4096", chain(rsa_4096(65537)), (), None
    yield "8 certificates, RSA-4096, exponent 2^32 - 5", chain(rsa_4096(2**32 - 5)), (), None
    yield "7 issuers of one name without identifiers", namesakes(), (), None
    names = [f"{'a' * 30}{i}.{'b' * 40}.example" for i in range(64)]
    yield "7 cross-certificates that are each other's, P-384", \
        crossed(ec.generate_private_key(p384)), (), None
    yield "7 cross-certificates that are each other's, RSA-4096", crossed(rsa_4096(65537)), (), None
    yield "64 names under 7 times 64 constraints", \
        chain(None, [excluded(*dns_subtrees(64, "c.example"))], dns=names), (), None
    yield "5 policies mapped to 5, at 7 depths", mapped(), (), None
    yield "64 KiB of certificates", \
        chain(None, [unknown_extension(False, b"\x04\x82\x1c\x00" + bytes(7168))]), (), None
    root, leaf, issuers = chain(p384)
    delegate = issue("Responder", issuers[0],
                     (key_usage("digital_signature"), (NOCHECK, False),
                      extended_usage(ExtendedKeyUsageOID.OCSP_SIGNING)),
                     key=ec.generate_private_key(p384))
    forged = answer(leaf, responder=delegate)
    yield "8 certificates and 8 OCSP responses, P-384", (root, leaf, issuers), [forged] * 8, None
    lists = b"".join(crl(issuer) for issuer in [*issuers, root])
    yield "8 certificates, 8 CRLs and 8 OCSP responses, P-384", \
        (root, leaf, issuers), [forged] * 8, lists
    yield "8 certificates and a CRL of 20,000 entries", \
        (root, leaf, issuers), (), crl(issuers[0], *range(1, 20001))


def _ordinary():
    root = ca("Root")
    intermediate = ca("CA", root)
    return root, segw(intermediate), [intermediate]


def measure(build, folder, shape, responses, revoked):
    root, leaf, issuers = shape
    anchors, shown = folder / "anchors.pem", folder / "shown.pem"
    anchors.write_bytes(root.pem())
    shown.write_bytes(leaf.pem() + b"".join(issuer.pem() for issuer in issuers))
    crls = "-"
    if revoked:
        crls = folder / "crl.pem"
        crls.write_bytes(revoked)
    files = []
    for number, response in enumerate(responses):
        files.append(folder / f"{number}.ocsp")
        files[-1].write_bytes(response)
    done = subprocess.run([build / "tests/bench/judge_cost", build / "verify/tred-verify", anchors, shown, crls, *files], capture_output=True,
                          text=True, check=True, timeout=60)
    microseconds, verdict, waited = done.stdout.split()
    return int(microseconds) / 1000, int(waited) / 1000, verdict


def main():
    slow = 0
    with tempfile.TemporaryDirectory() as folder:
        for title, shape, responses, revoked in shapes():
            milliseconds, waited, verdict = measure(Path(sys.argv[1]), Path(folder), shape, responses, revoked)
            slow += milliseconds > LIMIT_MS
            print(f"{milliseconds:8.2f} ms {waited:8.2f} ms  {verdict:20} {title}", flush=True)
    print(f"{slow} above {LIMIT_MS} ms")
    sys.exit(1 if slow else 0)


if __name__ == "__main__":
    main()
