"""For every rule, what breaks just that rule, and its good twin."""

import ipaddress

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID, ObjectIdentifier

from authority import (CA, DAY, END_ENTITY, HOUR, MINUTE, NOCHECK, SEGW, SHA1, SHA1_OID, answer, answers,
                       basic_constraints, ca, changed_in, crl, general_names, identified_by, issue, key_usage, names,
                       misdated, segw, signed_with_pss, unknown_extension, version_1)

IPSEC_IKE = ObjectIdentifier("1.3.6.1.5.5.7.3.17")
POLICY = ObjectIdentifier("1.3.6.1.4.1.55555.2")
FRESHEST = (x509.FreshestCRL([x509.DistributionPoint(
    [x509.UniformResourceIdentifier("http://crl.example/d")], None, None, None)]), False)
USERS_ONLY = (x509.IssuingDistributionPoint(
    full_name=None, relative_name=None, only_contains_user_certs=True, only_contains_ca_certs=False,
    only_some_reasons=None, indirect_crl=False, only_contains_attribute_certs=False), True)

CAS_ONLY = (x509.IssuingDistributionPoint(
    full_name=None, relative_name=None, only_contains_user_certs=False, only_contains_ca_certs=True,
    only_some_reasons=None, indirect_crl=False, only_contains_attribute_certs=False), True)


class Shown:
    """What a SeGW shows, and what it is judged by."""

    def __init__(self, certificate, *chain, crls=(), ocsp=(), profile="", name=SEGW, anchors=None,
                 revocation="off"):
        self.certificate, self.chain, self.crls, self.ocsp = certificate, chain, crls, ocsp
        self.profile, self.name, self.revocation = profile, name, revocation
        self.anchors = anchors or [WORLD.root]


class Case:
    """`rule` is the check that must refuse `bad`, and no other may; its sentence has `says`."""

    def __init__(self, title, rule, bad, good, *says):
        self.title, self.rule, self.bad, self.good, self.says = title, rule, bad, good, says


class World:
    """Made once: a root, a CA under it, and a sound SeGW."""

    def __init__(self):
        self.root = ca("Root")
        self.intermediate = ca("Intermediate", self.root)
        self.segw = segw(self.intermediate)
        self.stranger = ca("Stranger")


WORLD = World()


def sound(**named):
    return Shown(WORLD.segw, WORLD.intermediate, **named)


def leaf(*more, **named):
    """A SeGW's certificate right under the root."""
    return Shown(segw(WORLD.root, *more, **named))


def under(intermediate, *more, **named):
    return Shown(segw(intermediate, *more, **named), intermediate)


def with_profile(shown, profile):
    shown.profile = profile
    return shown


def big(size, count=1):
    """Certificates of about `size` octets."""
    filler = unknown_extension(False, b"\x04\x82" + size.to_bytes(2, "big") + bytes(size))
    return [segw(WORLD.root, filler) for _ in range(count)]


def dns_subtrees(count, suffix):
    return [x509.DNSName(f"host{i}.{suffix}") for i in range(count)]


def permitted(*trees):
    return x509.NameConstraints(permitted_subtrees=list(trees), excluded_subtrees=None), True


def excluded(*trees):
    return x509.NameConstraints(permitted_subtrees=None, excluded_subtrees=list(trees)), True


def policies(*oids):
    return x509.CertificatePolicies([x509.PolicyInformation(oid, None) for oid in oids]), False


def extended_usage(*oids):
    return x509.ExtendedKeyUsage(list(oids)), False


def spoilt(holder):
    """The same certificate with the last octet of its signature changed."""
    der = bytearray(holder.certificate.public_bytes(Encoding.DER))
    der[-1] ^= 1
    return type(holder)(x509.load_der_x509_certificate(bytes(der)), holder.key, holder.issuer)


def rsa_number(bits):
    """A public key of so many bits that nobody has the private part of."""
    return rsa.RSAPublicNumbers(65537, (1 << (bits - 1)) | 0xf123456789 | 1).public_key()


def form_cases():
    yield Case("a ninth certificate", "certificate-count",
               Shown(WORLD.segw, *[WORLD.intermediate] * 8),
               Shown(WORLD.segw, *[WORLD.intermediate] * 7))
    yield Case("a certificate of more than 16 KiB", "certificate-size",
               Shown(*big(16400)), Shown(*big(15000)))
    yield Case("more than 64 KiB altogether", "certificate-size",
               Shown(*big(14000, 5)), Shown(*big(14000, 4)))
    yield Case("a version 1 certificate", "certificate-encoding",
               Shown(version_1(WORLD.root)), leaf())
    yield Case("an extension that does not parse", "extensions",
               Shown(issue("SeGW", WORLD.root,
                           (key_usage("digital_signature"), names(SEGW),
                            (x509.UnrecognizedExtension(ExtensionOID.BASIC_CONSTRAINTS, b"\xff"),
                             True)))), leaf())
    extensions = [(x509.UnrecognizedExtension(ObjectIdentifier(f"1.3.6.1.4.1.55555.9.{i}"),
                                              b"\x05\x00"), False) for i in range(28)]
    yield Case("33 extensions", "extensions", leaf(*extensions), leaf(*extensions[:27]))
    yield Case("an RSA exponent of 3", "key-cost",
               leaf(key=rsa.generate_private_key(3, 2048)),
               leaf(key=rsa.generate_private_key(65537, 2048)))
    yield Case("an RSA key of 16384 bits", "key-cost",
               leaf(public_key=rsa_number(16384)), leaf(public_key=rsa_number(4096)))
    yield Case("a DSA key", "key-cost", leaf(key=dsa.generate_private_key(2048)), leaf())
    curve, sound_key = bytes.fromhex("06082a8648ce3d030107"), segw(WORLD.root)
    yield Case("a key on a curve that nobody knows", "key-cost",
               Shown(changed_in(sound_key, curve, curve[:-1] + b"\x77")), Shown(sound_key),
               "of an unknown type, or does not parse")
    yield Case("65 names", "name-cost", leaf(dns=[SEGW] + [f"n{i}.example" for i in range(64)]),
               leaf(dns=[SEGW] + [f"n{i}.example" for i in range(63)]))
    yield Case("65 name constraints", "name-cost",
               under(ca("Constrained", WORLD.root, (*CA, excluded(*dns_subtrees(65, "example"))))),
               under(ca("Constrained", WORLD.root, (*CA, excluded(*dns_subtrees(64, "example"))))))
    oids = [ObjectIdentifier(f"1.3.6.1.4.1.55555.8.{i}") for i in range(33)]
    yield Case("33 policies", "name-cost", leaf(policies(*oids)), leaf(policies(*oids[:32])))


def path_cases():
    root, intermediate = WORLD.root, WORLD.intermediate
    yield Case("another root", "chain", Shown(segw(WORLD.stranger)), leaf())
    yield Case("another root of the same name", "chain", Shown(segw(ca("Root"))), leaf())
    yield Case("an intermediate that is not sent", "chain", Shown(WORLD.segw), sound())
    yield Case("an intermediate that is the anchor needs no root", "chain",
               Shown(WORLD.segw, anchors=[WORLD.stranger]),
               Shown(WORLD.segw, anchors=[intermediate]))
    yield Case("a forged signature", "chain", Shown(spoilt(segw(root))), leaf())
    yield Case("a certificate that signs itself", "chain", Shown(segw(None)), leaf())
    yield Case("an expired certificate", "validity", leaf(starts=-9 * DAY, ends=-DAY), leaf())
    yield Case("a certificate of the future", "validity", leaf(starts=DAY, ends=9 * DAY), leaf())
    yield Case("an expired intermediate", "validity",
               under(ca("Old", root, starts=-9 * DAY, ends=-DAY)), sound())
    yield Case("an issuer that is no CA", "issuers",
               under(ca("No CA", root, (basic_constraints(False), key_usage("digital_signature")))),
               sound(), "basicConstraints is wrong")
    yield Case("an issuer without keyCertSign", "issuers",
               under(ca("No signer", root, (basic_constraints(True), key_usage("crl_sign")))),
               sound(), "keyUsage is without keyCertSign", "That is a CA's")
    old = ca("Old root", starts=-9 * DAY, ends=-DAY)
    yield Case("an expired anchor", "validity", Shown(segw(old), anchors=[old]), leaf(),
               "CN=Old root", "That is an anchor", "install-anchors")
    short = ca("Short", root, (basic_constraints(True, 0), CA[1]))
    below = ca("Below", short)
    long = ca("Long", root, (basic_constraints(True, 1), CA[1]))
    below_long = ca("Below", long)
    yield Case("one CA more than pathLenConstraint allows", "path-length",
               Shown(segw(below), below, short), Shown(segw(below_long), below_long, long))
    yield Case("one CA more than the profile allows", "path-length",
               sound(profile="[path]\nintermediates-max = 0\n"),
               sound(profile="[path]\nintermediates-max = 1\n"))
    yield Case("an unknown critical extension", "critical-extensions",
               leaf(unknown_extension(True)), leaf(unknown_extension(False)))
    yield Case("an unknown critical extension that stands first", "critical-extensions",
               leaf(first=[unknown_extension(True)]), leaf(first=[unknown_extension(False)]),
               "OID 1.3.6.1.4.1.55555.1")
    yield Case("an unknown critical extension of a CA", "critical-extensions",
               under(ca("Strange", root, (*CA, unknown_extension(True)))),
               under(ca("Strange", root, (*CA, unknown_extension(False)))),
               "CN=Strange", "OID 1.3.6.1.4.1.55555.1", "That is a CA's")
    elsewhere, here = x509.DNSName("elsewhere.example"), x509.DNSName("operator.example")
    yield Case("a name outside the permitted subtrees", "name-constraints",
               under(ca("Constrained", root, (*CA, permitted(elsewhere)))),
               under(ca("Constrained", root, (*CA, permitted(here)))))
    yield Case("a name inside an excluded subtree", "name-constraints",
               under(ca("Constrained", root, (*CA, excluded(here)))),
               under(ca("Constrained", root, (*CA, excluded(elsewhere)))))
    explicit = ca("Explicit", root, (*CA, policies(POLICY),
                                     (x509.PolicyConstraints(0, None), True)))
    yield Case("a policy that a CA requires is missing", "policies",
               under(explicit), under(explicit, policies(POLICY)))
    yield Case("a CA whose basicConstraints is not critical", "conforming",
               under(ca("Lax", root, (basic_constraints(True, None, False), CA[1]))), sound())
    lax = ca("Lax", None, (CA[0],), identifiers=False)
    yield Case("a CA without keyUsage, which an anchor may be", "conforming",
               under(ca("Lax", root, (CA[0],))), Shown(segw(lax), anchors=[lax]))
    yield from conforming_cases()
    yield from cross_cases()
    cross = ca("Stranger", root, key=WORLD.stranger.key)
    yield Case("a cross-certificate", "cross-certificates",
               Shown(segw(WORLD.stranger), cross, WORLD.stranger),
               Shown(segw(WORLD.stranger), cross))


def conforming_cases():
    root = WORLD.root
    serial = bytes.fromhex("02080123456789abcdef")
    numbered = segw(root, serial=0x0123456789abcdef)
    sixteen = x509.UnrecognizedExtension(ExtensionOID.SUBJECT_ALTERNATIVE_NAME, general_names(
        (0x82, SEGW.encode()), (0x87, bytes(16)), (0x86, b"ike:segw"), (0x81, b"a@b")))
    lax = "[path]\nconforming = no\n"
    for what, changed in (("negative", "02088123456789abcdef"), ("zero", "020100")):
        bad = Shown(changed_in(numbered, serial, bytes.fromhex(changed)))
        yield Case(f"a serial number that is {what}", "conforming", bad, Shown(numbered),
                   f"serialNumber is {what}")
        yield Case(f"a serial number that is {what}, where that is let pass", "conforming", bad,
                   with_profile(Shown(bad.certificate), lax))
    trees = permitted(x509.DNSName("operator.example"))
    yield Case("nameConstraints of an end entity", "conforming", leaf(trees),
               under(ca("Constrained", root, (*CA, trees))), "nameConstraints")
    yield Case("nameConstraints of an end entity that stand first", "conforming",
               leaf(first=[trees]), leaf(), "nameConstraints")
    good = Shown(issue("SeGW", root, (*END_ENTITY, (sixteen, False))))
    for what, name in (("an iPAddress of 5 octets", (0x87, bytes(5))),
                       ("an empty dNSName", (0x82, b"")), ("a dNSName with a blank", (0x82, b"a b")),
                       ("a dNSName that is not ASCII", (0x82, b"\xe4.example")),
                       ("a relative URI", (0x86, b"segw")), ("a mailbox without a host", (0x81, b"a"))):
        san = x509.UnrecognizedExtension(ExtensionOID.SUBJECT_ALTERNATIVE_NAME,
                                         general_names((0x82, SEGW.encode()), name))
        yield Case(f"{what} among the names", "conforming",
                   Shown(issue("SeGW", root, (*END_ENTITY, (san, False)))), good, "subjectAltName")


def cross_cases():
    """Where cross-certificates are allowed, whether there is a fit path counts, and not the order."""
    root, other = WORLD.root, WORLD.stranger
    allowed = "[path]\ncross-certificates = yes\n"
    key = ec.generate_private_key(ec.SECP256R1())
    by_root, by_other = ca("Shared", root, key=key), ca("Shared", other, key=key)
    expired = ca("Shared", root, key=key, starts=-9 * DAY, ends=-DAY)
    no_signer = ca("Shared", root, (CA[0], key_usage("crl_sign")), key=key)
    made = segw(by_root)

    def shown(*chain, **named):
        return Shown(made, *chain, profile=allowed, **named)
    renewed = ca("Renewed root")
    old_signs_new = ca("Renewed root", root, key=renewed.key)
    below = segw(renewed)
    for order in (1, -1):
        word = "first" if order == 1 else "last"
        yield Case(f"a CA by two roots, of which the anchor comes {word}", "chain",
                   shown(by_other, expired.issuer), shown(*[by_root, by_other][::order]))
        yield Case(f"a CA's expired certificate comes {word}", "validity",
                   shown(expired), shown(*[expired, by_other][::order], anchors=[root, other]))
        yield Case(f"a CA's certificate without keyCertSign comes {word}", "issuers",
                   shown(no_signer), shown(*[no_signer, by_other][::order], anchors=[root, other]))
        yield Case(f"a renewed root comes {word}, and the old one is the anchor", "chain",
                   Shown(below, renewed, profile=allowed),
                   Shown(below, *[renewed, old_signs_new][::order], profile=allowed))
        yield Case(f"a CA's forged certificate comes {word}", "chain",
                   shown(spoilt(by_root)),
                   shown(*[spoilt(by_root), by_other][::order], anchors=[root, other]))
        revoked = shown(*[by_root, by_other][::order], anchors=[root], crls=[
            crl(root, by_root.serial), crl(other), crl(by_root)], revocation="if-available")
        both = shown(*[by_root, by_other][::order], anchors=[root, other], crls=[
            crl(root, by_root.serial), crl(other), crl(by_root)], revocation="require")
        yield Case(f"a CA's revoked certificate comes {word}", "revocation", revoked, both)


def profile_cases():
    root = WORLD.root
    sha384 = "[end-entity]\nhashes = sha384, sha512\n"
    yield Case("a hash that the profile lacks", "signature-hash",
               with_profile(leaf(), sha384), with_profile(leaf(digest=hashes.SHA384()), sha384))
    yield Case("SHA-224", "signature-hash", leaf(digest=hashes.SHA224()), leaf(),
               "signature's hash is SHA224")
    yield Case("SHA-1", "signature-hash", leaf(digest=SHA1), leaf())
    old = ca("Old root", digest=SHA1)
    yield Case("an issuer with SHA-1, which an anchor may have", "signature-hash",
               under(ca("Old", root, digest=SHA1)), Shown(segw(old), anchors=[old]),
               "CN=Old", "That is a CA's")
    rsa_root = ca("RSA root", key=rsa.generate_private_key(65537, 2048))

    def pss(**parameters):
        return Shown(signed_with_pss(segw(rsa_root), **parameters), anchors=[rsa_root])
    yield Case("PSS with MGF1 over SHA-1", "signature-hash", pss(mgf=hashes.SHA1()), pss(),
               "RSASSA-PSS")
    yield Case("PSS without salt", "signature-hash", pss(salt=0), pss(salt=32))
    yield Case("a PSS salt other than named", "chain", pss(salt=32, used=40), pss(salt=40))
    yield Case("a hash that the profile lacks for issuers", "signature-hash",
               sound(profile="[issuers]\nhashes = sha384\n"), sound())
    yield Case("a curve that the profile lacks", "key",
               leaf(key=ec.generate_private_key(ec.SECP521R1())),
               leaf(key=ec.generate_private_key(ec.SECP384R1())))
    rsa_3072 = "[end-entity]\nrsa-bits-min = 3072\n"
    yield Case("an RSA key shorter than the profile's", "key",
               with_profile(leaf(public_key=rsa_number(2048)), rsa_3072),
               with_profile(leaf(public_key=rsa_number(3072)), rsa_3072))
    yield Case("an RSA key of 1024 bits", "key", leaf(public_key=rsa_number(1024)),
               leaf(public_key=rsa_number(2048)))
    yield Case("an RSA key longer than the profile's", "key",
               with_profile(leaf(public_key=rsa_number(4096)), "[end-entity]\nrsa-bits-max = 3072\n"),
               leaf(public_key=rsa_number(4096)))
    yield Case("a CA's key that the profile lacks", "key",
               under(ca("P-521", root, key=ec.generate_private_key(ec.SECP521R1()))), sound())
    longer = "[issuers]\nrsa-bits-min = 3072\n"
    yield Case("a CA's RSA key shorter than the profile's", "key",
               with_profile(under(ca("2048", root, key=rsa.generate_private_key(65537, 2048))), longer),
               with_profile(under(ca("3072", root, key=rsa.generate_private_key(65537, 3072))), longer))
    eight = "[path]\nserial-octets-max = 8\n"
    yield Case("a serial number longer than the profile's", "serial",
               with_profile(leaf(serial=1 << 64), eight), with_profile(leaf(serial=1 << 60), eight))
    yield Case("a CA in the place of the SeGW", "end-entity",
               leaf(base=(basic_constraints(True),
                          key_usage("digital_signature", "key_cert_sign"))), leaf(),
               "cA FALSE")
    between = ca("Between", root, (*CA[:1], key_usage("digital_signature", "key_cert_sign"),
                                   names(SEGW)))
    yield Case("certificates in the wrong order", "end-entity",
               Shown(between, segw(between)), Shown(segw(between), between),
               "RFC 7296 3.6", "its own certificate first")
    yield Case("no keyUsage", "key-usage", leaf(base=END_ENTITY[:1]), leaf())
    yield Case("a keyUsage without digitalSignature", "key-usage",
               leaf(base=(END_ENTITY[0], key_usage("key_agreement"))), leaf())
    yield Case("a keyUsage that is not critical", "key-usage",
               leaf(base=(END_ENTITY[0], (END_ENTITY[1][0], False))), leaf())
    yield Case("a keyUsage that is not critical, and stands first", "key-usage",
               leaf(base=END_ENTITY[:1], first=[(END_ENTITY[1][0], False)]),
               leaf(base=END_ENTITY[:1], first=END_ENTITY[1:]))
    yield Case("an extKeyUsage that forbids IKE", "extended-key-usage",
               leaf(extended_usage(ExtendedKeyUsageOID.CODE_SIGNING)),
               leaf(extended_usage(ExtendedKeyUsageOID.CODE_SIGNING, IPSEC_IKE)))
    yield Case("an extKeyUsage that names nothing", "extended-key-usage",
               leaf((x509.UnrecognizedExtension(ExtensionOID.EXTENDED_KEY_USAGE, b"\x30\x00"), False)),
               leaf(), "empty: it names no purpose")
    demanded = "[end-entity]\nextended-key-usage = ike\n"
    yield Case("no extKeyUsage where the profile wants IKE's", "extended-key-usage",
               with_profile(leaf(), demanded), with_profile(leaf(extended_usage(IPSEC_IKE)), demanded))
    point = x509.CRLDistributionPoints([x509.DistributionPoint(
        [x509.UniformResourceIdentifier("http://crl.example/1")], None, None, None)]), False
    wanted = "[end-entity]\ncrl-distribution-point-required = yes\n"
    yield Case("no CRL distribution point where the profile wants one", "crl-distribution-point",
               with_profile(leaf(), wanted), with_profile(leaf(point), wanted))
    yield Case("no CRL distribution point where the profile wants one, which may stand first",
               "crl-distribution-point", with_profile(leaf(), wanted), with_profile(leaf(first=[point]), wanted))


def name_cases():
    optional = "[end-entity]\nsubject-alt-name-required = no\n"
    without = issue(SEGW, WORLD.root, END_ENTITY)
    yield Case("a CN in the place of the subjectAltName", "subject-alt-name",
               Shown(without, name=None), Shown(without, name=None, profile=optional))
    wildcard = segw(WORLD.root, dns=("*.operator.example",))
    yield Case("a wildcard", "subject-alt-name", Shown(wildcard, name=None),
               Shown(segw(WORLD.root, dns=("*.operator.example", SEGW))),
               "DNS:*.operator.example (a wildcard)")
    for what, name, says in (
            ("an IP address", x509.IPAddress(ipaddress.ip_address("192.0.2.1")), "IP Address:192.0.2.1"),
            ("an underscore", x509.DNSName("se_gw.example"), "DNS:se_gw.example (an underscore)"),
            ("a mailbox", x509.RFC822Name("a@b.example"), "email:a@b.example")):
        yield Case(f"{what} in the place of the FQDN", "subject-alt-name",
                   Shown(segw(WORLD.root, (x509.SubjectAlternativeName([name]), False), dns=()),
                         name=None), leaf(), says)
    yield Case("a wildcard that would match", "name",
               leaf(dns=("*.operator.example", "other.operator.example")),
               leaf(dns=("other.operator.example", SEGW)), "DNS:*.operator.example (a wildcard)",
               "DNS:other.operator.example")
    yield Case("another name", "name", leaf(dns=("other.operator.example",)),
               leaf(dns=(SEGW.upper(),)))
    yield Case("a name below the configured one", "name", leaf(dns=("a." + SEGW,)), leaf())
    yield Case("a name with a dot at its end", "subject-alt-name",
               Shown(segw(WORLD.root, dns=(SEGW + ".",)), name=None), leaf(), "(a dot at its end)")


def revocation(crls=(), responses=(), shown=None, mode="require", profile=""):
    """The sound SeGW, or `shown`, with the intermediate known to be good."""
    shown = shown or sound()
    shown.crls = [crl(WORLD.root), *crls]
    shown.ocsp, shown.revocation, shown.profile = responses, mode, profile
    return shown


def delta_of(number):
    return x509.DeltaCRLIndicator(number), True


def crl_cases():
    root, issuer, serial = WORLD.root, WORLD.intermediate, WORLD.segw.serial
    good = lambda **named: revocation([crl(issuer)], **named)
    yield Case("a revoked certificate", "revocation", revocation([crl(issuer, serial)]), good())
    revoked_ca = revocation([crl(issuer)])
    revoked_ca.crls[0] = crl(root, issuer.serial)
    yield Case("a revoked intermediate", "revocation", revoked_ca, good())
    yield Case("a revoked certificate, where revocation counts", "revocation",
               revocation([crl(issuer, serial)]), revocation([crl(issuer, serial)], mode="off"))
    yield Case("no CRL where one is required", "revocation", revocation(),
               revocation(mode="if-available"))
    yield Case("a revoked certificate, where what is available counts", "revocation",
               revocation([crl(issuer, serial)], mode="if-available"), good(mode="if-available"))
    yield Case("a CRL past its nextUpdate", "revocation",
               revocation([crl(issuer, this=-2 * DAY, until=-DAY)]),
               revocation([crl(issuer, this=-2 * DAY, until=-DAY)],
                          profile="[revocation]\ncrl-grace-hours = 25\n"))
    yield Case("an old CRL that revokes", "revocation",
               revocation([crl(issuer, serial, this=-2 * DAY, until=-DAY)], mode="if-available"),
               revocation([crl(issuer, this=-2 * DAY, until=-DAY)], mode="if-available"))
    yield Case("a CRL of the future", "revocation",
               revocation([crl(issuer, this=HOUR)]), good(), "CRL is of the future (thisUpdate)")
    # Five minutes; far enough from that for a run of minutes.
    yield Case("a CRL ahead of the clock by more than it may be off", "revocation",
               revocation([crl(issuer, this=20 * MINUTE)]), revocation([crl(issuer, this=4 * MINUTE)]))
    yield Case("a CRL out of date by more than the clock may be off", "revocation",
               revocation([crl(issuer, until=-6 * MINUTE)]), revocation([crl(issuer, until=-MINUTE)]))
    yield Case("a CRL of the future that revokes", "revocation",
               revocation([crl(issuer, serial, this=300 * DAY, until=400 * DAY)], mode="if-available"),
               revocation([crl(issuer, this=300 * DAY, until=400 * DAY)], mode="if-available"))
    yield Case("a CRL of the future that revokes, beside one in force that does not", "revocation",
               revocation([crl(issuer), crl(issuer, serial, this=HOUR)]),
               revocation([crl(issuer), crl(issuer, this=HOUR)]))
    yield Case("a CRL of the future that revokes nothing does not take back", "revocation",
               revocation([crl(issuer, serial), crl(issuer, this=HOUR)]),
               revocation([crl(issuer, serial, this=-2 * HOUR), crl(issuer)]))
    for order in (1, -1):
        yield Case(f"a CRL of the same time takes nothing back that comes {'first' if order == 1 else 'last'}",
                   "revocation", revocation([crl(issuer), crl(issuer, serial)][::order]),
                   revocation([crl(issuer), crl(issuer, serial, this=-2 * HOUR)][::order]))
    aged = "[revocation]\ncrl-hours-max = 12\n"
    yield Case("a CRL older than the profile allows", "revocation",
               revocation([crl(issuer, this=-DAY)], profile=aged), good(profile=aged),
               "CRL is older than crl-hours-max")
    yield Case("a CRL older than the profile allows that revokes", "revocation",
               revocation([crl(issuer, serial, this=-DAY)], profile=aged, mode="if-available"),
               revocation([crl(issuer, serial, this=-DAY), crl(issuer, number=2)], profile=aged))
    yield Case("a CRL signed with SHA-1", "revocation",
               revocation([crl(issuer, digest=SHA1)]), good(), "signed with an algorithm outside")
    yield Case("a CRL signed with SHA-1 revokes nothing", "revocation",
               revocation([crl(issuer, serial, digest=SHA1)]),
               revocation([crl(issuer, serial, digest=SHA1)], mode="if-available"))
    yield Case("a forged CRL", "revocation",
               revocation([crl(issuer, key=WORLD.stranger.key)]), good())
    yield Case("a forged CRL revokes nothing", "revocation",
               revocation([crl(issuer, serial, key=WORLD.stranger.key)]),
               revocation([crl(issuer, serial, key=WORLD.stranger.key)], mode="if-available"))
    mute = ca("Mute", root, (CA[0], key_usage("key_cert_sign")))
    shown_by_mute = segw(mute)
    for age, dates in (("of the future", {"this": 300 * DAY, "until": 400 * DAY}),
                       ("out of date", {"this": -2 * DAY, "until": -DAY})):
        revoked = revocation([crl(issuer, serial, **dates)], mode="if-available")
        yield Case(f"a forged CRL {age} revokes nothing", "revocation", revoked,
                   revocation([crl(issuer, serial, key=WORLD.stranger.key, **dates)], mode="if-available"))
        yield Case(f"a CRL {age} with an unknown critical extension revokes nothing", "revocation", revoked,
                   revocation([crl(issuer, serial, extensions=[unknown_extension(True)], **dates)],
                              mode="if-available"))
        yield Case(f"a CRL {age} revokes nothing of a CA without cRLSign", "revocation", revoked,
                   revocation([crl(mute, shown_by_mute.serial, **dates)], shown=Shown(shown_by_mute, mute),
                              mode="if-available"))
    yield Case("another CA's CRL", "revocation", revocation([crl(WORLD.stranger)]), good())
    yield Case("a CRL of a CA without cRLSign", "revocation",
               revocation([crl(mute)], shown=under(mute)), good())
    yield Case("a CRL with an unknown critical extension", "revocation",
               revocation([crl(issuer, extensions=[unknown_extension(True)])]),
               revocation([crl(issuer, extensions=[unknown_extension(False)])]))
    next_root, no_signer = ca("Root"), ca("Root", extensions=(CA[0], key_usage("key_cert_sign")))
    below = segw(root)

    def later(signer, *anchors):
        """Of the time to come, so that OpenSSL does not look at it."""
        return revocation([crl(root, below.serial, key=signer.key, this=300 * DAY, until=400 * DAY)],
                          shown=Shown(below, anchors=[root, *anchors]), mode="if-available")
    for title, good_twin in (
            ("another root's of the same name that is no anchor", later(next_root)),
            ("an anchor's of the same name without cRLSign", later(no_signer, no_signer)),
            ("an anchor's of another name", later(WORLD.stranger, WORLD.stranger))):
        yield Case(f"a CRL by an anchor's next key revokes, and none by {title}", "revocation",
                   later(next_root, WORLD.stranger, next_root), good_twin)
    yield Case("a CRL of the same date takes nothing back", "revocation",
               revocation([crl(issuer, serial), crl(issuer)], mode="if-available"),
               revocation([crl(issuer, serial, this=-2 * HOUR), crl(issuer)], mode="if-available"))
    yield Case("a revoked certificate, with why and when", "revocation",
               revocation([crl(issuer, serial, reason=x509.ReasonFlags.key_compromise)]), good(),
               "revoked on 20", "reason keyCompromise", "the CRL of O=Matrix")
    yield Case("a revoked certificate, without why", "revocation",
               revocation([crl(issuer, serial)]), good(), "reason not given")
    yield Case("a CRL out of date is named as such", "revocation",
               revocation([crl(issuer, this=-2 * DAY, until=-DAY)]), good(), "CRL has expired")
    strange, harmless = unknown_extension(True), unknown_extension(False)
    yield Case("a CRL with an unknown critical extension revokes nothing", "revocation",
               revocation([crl(issuer, serial, extensions=[harmless])], mode="if-available"),
               revocation([crl(issuer, serial, extensions=[strange])], mode="if-available"))
    yield Case("a CRL with an unknown critical extension takes nothing back", "revocation",
               revocation([crl(issuer, serial, this=-2 * HOUR), crl(issuer, extensions=[strange])],
                          mode="if-available"),
               revocation([crl(issuer, serial, this=-2 * HOUR),
                           crl(issuer, extensions=[harmless])], mode="if-available"))
    yield Case("a CRL with an unknown critical extension that stands first revokes nothing", "revocation",
               revocation([crl(issuer, serial, first=[harmless])], mode="if-available"),
               revocation([crl(issuer, serial, first=[strange])], mode="if-available"))
    yield Case("a CRL's entry with an unknown critical extension revokes nothing", "revocation",
               revocation([crl(issuer, serial, of_entries=[harmless])], mode="if-available"),
               revocation([crl(issuer, serial, of_entries=[strange])], mode="if-available"))
    base = crl(issuer, number=1, extensions=[FRESHEST])
    yield Case("a delta CRL that revokes", "revocation",
               revocation([base, crl(issuer, serial, number=2, delta=1)]),
               revocation([base, crl(issuer, number=2, delta=1)]))
    plain = crl(issuer, number=1, this=-2 * HOUR)
    yield Case("a delta CRL that revokes and that no freshestCRL announces", "revocation",
               revocation([plain, crl(issuer, serial, number=2, delta=1)]),
               revocation([plain, crl(issuer, number=2, delta=1)]))
    yield Case("a delta CRL that revokes, signed by another key", "revocation",
               revocation([plain, crl(issuer, serial, number=2, delta=1)], mode="if-available"),
               revocation([plain, crl(issuer, serial, number=2, delta=1, key=WORLD.stranger.key)]))
    held = crl(issuer, serial, number=1, this=-2 * HOUR, extensions=[FRESHEST],
               reason=x509.ReasonFlags.certificate_hold)
    lifted = crl(issuer, serial, number=2, delta=1, reason=x509.ReasonFlags.remove_from_crl)
    yield Case("a delta CRL with removeFromCRL takes a revocation back", "revocation",
               revocation([held], mode="if-available"),
               revocation([held, lifted], mode="if-available"))
    yield Case("a later CRL takes a revocation back, but not for another scope", "revocation",
               revocation([crl(issuer, serial, this=-2 * HOUR), crl(issuer, extensions=[USERS_ONLY])],
                          mode="if-available"),
               revocation([crl(issuer, serial, this=-2 * HOUR), crl(issuer)], mode="if-available"))
    yield Case("a later CRL takes a revocation back, but not for another scope that stands first", "revocation",
               revocation([crl(issuer, serial, this=-2 * HOUR), crl(issuer, first=[USERS_ONLY])],
                          mode="if-available"),
               revocation([crl(issuer, serial, this=-2 * HOUR, first=[USERS_ONLY]),
                           crl(issuer, first=[USERS_ONLY])], mode="if-available"))
    of_users = [crl(issuer, serial, this=-2 * HOUR, extensions=[USERS_ONLY]),
                crl(issuer, extensions=[USERS_ONLY])]
    yield Case("a later CRL takes back what those of its scope say, and not what an older one of another does",
               "revocation", revocation([crl(issuer, serial, this=-3 * HOUR), *of_users]),
               revocation([crl(issuer, this=-3 * HOUR), *of_users]))
    yield Case("a forged CRL takes nothing back", "revocation",
               revocation([crl(issuer, serial, this=-2 * HOUR), crl(issuer, key=WORLD.stranger.key)],
                          mode="if-available"),
               revocation([crl(issuer, serial, this=-2 * HOUR), crl(issuer)], mode="if-available"))
    yield Case("a CRL without a date that revokes is taken back by none", "revocation",
               revocation([misdated(crl(issuer, serial), issuer.key), crl(issuer)],
                          mode="if-available"),
               revocation([misdated(crl(issuer), issuer.key), crl(issuer)], mode="if-available"))
    earlier = [crl(issuer, number=1, this=-3 * HOUR), crl(issuer, serial, number=2, delta=1, this=-2 * HOUR)]
    yield Case("a later delta CRL without the certificate takes nothing back, wherever it says what it is",
               "revocation", revocation([*earlier, crl(issuer, number=3, first=[delta_of(1)])]),
               revocation([*earlier, crl(issuer, number=3)]))
    yield Case("a CRL of which one entry is not understood takes nothing back", "revocation",
               *(revocation([*earlier, crl(issuer, serial + 1, number=3, of_entries=[unknown_extension(critical)])])
                 for critical in (True, False)))
    yield Case("a delta CRL without its base", "revocation",
               revocation([crl(issuer, number=2, delta=1)]), good())


def indirect_cases():
    """A CRL by another than the CA, whom the CA has named in the certificate."""
    issuer = WORLD.intermediate
    clerk = issue("CRL clerk", WORLD.root, (basic_constraints(False), key_usage("crl_sign")))
    named = (x509.CRLDistributionPoints([x509.DistributionPoint(
        [x509.DirectoryName(clerk.subject)], None, None,
        [x509.DirectoryName(clerk.subject)])]), False)
    indirect = (x509.IssuingDistributionPoint(
        full_name=[x509.DirectoryName(clerk.subject)], relative_name=None,
        only_contains_user_certs=False, only_contains_ca_certs=False, only_some_reasons=None,
        indirect_crl=True, only_contains_attribute_certs=False), True)
    direct = (x509.IssuingDistributionPoint(
        full_name=[x509.DirectoryName(clerk.subject)], relative_name=None,
        only_contains_user_certs=False, only_contains_ca_certs=False, only_some_reasons=None,
        indirect_crl=False, only_contains_attribute_certs=False), True)
    elsewhere = (x509.IssuingDistributionPoint(
        full_name=[x509.DirectoryName(issuer.subject)], relative_name=None,
        only_contains_user_certs=False, only_contains_ca_certs=False, only_some_reasons=None,
        indirect_crl=True, only_contains_attribute_certs=False), True)
    made = segw(issuer, named)

    def judged(*lists, **named):
        return revocation([*lists, clerk.pem()], shown=Shown(made, issuer), **named)
    good = judged(crl(clerk, extensions=[indirect]))
    yield Case("a certificate that an indirect CRL revokes", "revocation",
               judged(crl(clerk, made.serial, extensions=[indirect], revoked_of=issuer)), good)
    for word, this, until in (("of the future", HOUR, DAY), ("out of date", -2 * DAY, -DAY)):
        yield Case(f"a certificate that an indirect CRL {word} revokes", "revocation",
                   judged(crl(clerk, extensions=[indirect]),
                          crl(clerk, made.serial, extensions=[indirect], revoked_of=issuer, this=this,
                              until=until)) if this > -DAY else
                   judged(crl(clerk, made.serial, extensions=[indirect], revoked_of=issuer, this=this,
                              until=until)), good)
    yield Case("a CRL by another that does not say it is indirect", "revocation",
               judged(crl(clerk, extensions=[direct])), good)
    plain = crl(clerk, number=1, this=-3 * HOUR, extensions=[indirect])

    def delta(*serials, scope=indirect, **named):
        return crl(clerk, *serials, number=2, delta=1, extensions=[scope], revoked_of=issuer,
                   this=-2 * HOUR, **named)
    revoking = delta(made.serial)
    yield Case("an indirect delta CRL that revokes and that no freshestCRL announces", "revocation",
               judged(plain, revoking), judged(plain, delta()))
    past = crl(clerk, number=1, this=-3 * HOUR, until=-2 * HOUR, extensions=[indirect])
    yield Case("an indirect delta CRL that revokes, beside a list out of date", "revocation",
               judged(past, revoking, mode="if-available"),
               judged(past, delta(), mode="if-available"))
    hours = {"mode": "if-available", "profile": "[revocation]\ncrl-hours-max = 1\n"}
    yield Case("an indirect delta CRL that revokes, beside a list that is too old", "revocation",
               judged(plain, revoking, **hours), judged(plain, delta(), **hours))

    def beside_a_recent_one(shown):
        shown.crls[0] = crl(WORLD.root, this=-30 * MINUTE)
        return shown
    yield Case("an indirect CRL that is too old and revokes, its issuer's own in a recent one", "revocation",
               beside_a_recent_one(judged(crl(clerk, made.serial, extensions=[indirect], revoked_of=issuer,
                                              this=-3 * HOUR), **hours)),
               beside_a_recent_one(judged(plain, **hours)))
    yield Case("an indirect delta CRL that revokes, signed by another key", "revocation",
               judged(plain, revoking), judged(plain, delta(made.serial, key=WORLD.stranger.key)))
    yield Case("an indirect delta CRL that revokes another CA's certificate", "revocation",
               judged(plain, revoking),
               judged(plain, crl(clerk, made.serial, number=2, delta=1, extensions=[indirect],
                                 revoked_of=WORLD.root)))
    yield Case("an indirect delta CRL that revokes, of another scope", "revocation",
               judged(plain, revoking), judged(plain, delta(made.serial, scope=elsewhere)))
    yield Case("an indirect CRL takes back what a delta revokes, once it is later", "revocation",
               judged(plain, revoking, crl(clerk, made.serial, number=3, extensions=[indirect],
                                           revoked_of=issuer)),
               judged(plain, revoking, crl(clerk, number=3, extensions=[indirect])))


def clerk_cases():
    """Whoever issues indirect CRLs has a certificate, too, which may be revoked; by its CA's list, or by its own
    where the CA has it say so."""
    root, issuer = WORLD.root, WORLD.intermediate
    usual = (basic_constraints(False), key_usage("crl_sign"))
    subject = issue("CRL clerk", root, usual).subject

    def point_and_scope(place):
        at = [x509.DirectoryName(place)]
        return ((x509.CRLDistributionPoints([x509.DistributionPoint(
            at, None, None, [x509.DirectoryName(subject)])]), False), (x509.IssuingDistributionPoint(
                full_name=at, relative_name=None, only_contains_user_certs=False,
                only_contains_ca_certs=False, only_some_reasons=None, indirect_crl=True,
                only_contains_attribute_certs=False), True))
    point, scope = point_and_scope(subject)
    point_of_clerks, scope_of_clerks = point_and_scope(root.subject)
    clerk, own_witness = issue("CRL clerk", root, usual), issue("CRL clerk", root, (*usual, point))
    made = segw(issuer, point)

    def judged(of_root, witness, *revoked):
        shown = revocation([*of_root, witness.pem(),
                            crl(witness, *revoked, extensions=[scope], revoked_of=root)],
                           shown=Shown(made, issuer))
        del shown.crls[0]
        return shown
    yield Case("an indirect CRL whose issuer its CA has revoked", "revocation",
               judged([crl(root, clerk.serial)], clerk), judged([crl(root)], clerk))
    nameless, namesake = issue("CRL clerk", root, usual, identifiers=False), ca("Root")
    yield Case("an indirect CRL whose issuer's serial number a CA of the same name has revoked", "revocation",
               judged([crl(root, nameless.serial)], nameless),
               judged([crl(root), crl(namesake, nameless.serial), namesake.pem()], nameless))
    of_cas = crl(root, extensions=[CAS_ONLY])
    yield Case("an indirect CRL whose issuer it revokes itself", "revocation",
               judged([of_cas], own_witness, own_witness.serial), judged([of_cas], own_witness))
    yield Case("an indirect CRL whose issuer it alone revokes", "revocation",
               judged([crl(root)], own_witness, own_witness.serial), judged([crl(root)], own_witness))
    yield Case("an indirect CRL whose issuer is revoked by a list of the future", "revocation",
               judged([crl(root), crl(root, clerk.serial, this=HOUR)], clerk),
               judged([crl(root), crl(root, this=HOUR)], clerk))
    yield Case("an indirect CRL whose issuer is revoked by a delta that no freshestCRL announces", "revocation",
               judged([crl(root, number=1, this=-2 * HOUR), crl(root, clerk.serial, number=2, delta=1)], clerk),
               judged([crl(root, number=1, this=-2 * HOUR), crl(root, number=2, delta=1)], clerk))
    apart = issue("CRL clerk", root, (*usual, point_of_clerks))
    yield Case("an indirect CRL whose issuer is in a list of its own that is out of date", "revocation",
               judged([of_cas, crl(apart, extensions=[scope_of_clerks], this=-2 * DAY, until=-DAY)], apart),
               judged([of_cas, crl(apart, extensions=[scope_of_clerks])], apart))
    office = ca("CRL office", root)
    deputy = issue("CRL clerk", office, usual)
    yield Case("an indirect CRL whose issuer's CA is revoked by a list of the future", "revocation",
               judged([crl(root), crl(office), crl(root, office.serial, this=HOUR), office.pem()], deputy),
               judged([crl(root), crl(office), crl(root, this=HOUR), office.pem()], deputy))

    def behind(false, *of_root, true=clerk):
        """The issuer's certificate comes from the SeGW, with `false` before it."""
        shown = revocation([*of_root, crl(true, extensions=[scope], revoked_of=root)],
                           shown=Shown(made, issuer, *false, true))
        del shown.crls[0]
        return shown

    def made_up(signer, public_key, identifier):
        return issue("CRL clerk", signer, (*usual, (x509.SubjectKeyIdentifier(identifier), False)),
                     public_key=public_key, identifiers=False)
    itself = x509.SubjectKeyIdentifier.from_public_key(clerk.key.public_key()).digest
    # OpenSSL passes this one over, as the list's authorityKeyIdentifier names another.
    other = made_up(WORLD.stranger, clerk.key.public_key(), b"another")
    unknown = made_up(WORLD.stranger, clerk.key.public_key(), itself)
    ahead = crl(root, clerk.serial, this=HOUR)
    for word, false in (("whose issuer nobody knows", (other,)),
                        ("whose issuer is sent, too", (other, WORLD.stranger))):
        yield Case(f"an indirect CRL whose issuer is revoked and stands behind a made-up one {word}",
                   "revocation", behind(false, crl(root), ahead),
                   behind(false, crl(root), crl(root, this=HOUR)))
    yield Case("an indirect CRL whose issuer stands behind one that OpenSSL can't follow", "revocation",
               behind((unknown,), crl(root)), behind((), crl(root)))
    twin = issue("CRL clerk", root, usual, key=clerk.key)
    yield Case("an indirect CRL whose issuer has a second certificate that is revoked", "revocation",
               behind((clerk,), crl(root), ahead, true=twin), behind((clerk,), crl(root), true=twin))


def ocsp_cases():
    issuer, holder = WORLD.intermediate, WORLD.segw
    status = ocsp.OCSPCertStatus

    def judged(*responses, **named):
        return revocation((), responses, **named)
    good = judged(answer(holder))
    yield Case("an OCSP response that revokes", "revocation",
               judged(answer(holder, status=status.REVOKED)), good)
    yield Case("an OCSP response that revokes, with why and when", "revocation",
               judged(answer(holder, status=status.REVOKED, why=x509.ReasonFlags.key_compromise)), good,
               "revoked on 20", "OCSP, reason keyCompromise")
    yield Case("an OCSP response that revokes, and says that why is not specified", "revocation",
               judged(answer(holder, status=status.REVOKED, why=x509.ReasonFlags.unspecified)), good,
               "OCSP, reason unspecified")
    yield Case("an OCSP response that revokes, without why", "revocation",
               judged(answer(holder, status=status.REVOKED)), good, "OCSP, reason not given")
    yield Case("an OCSP response that revokes, against a CRL that does not", "revocation",
               revocation([crl(issuer)], [answer(holder, status=status.REVOKED)]),
               revocation([crl(issuer)], [answer(holder)]))
    yield Case("an OCSP response that revokes, where what is available counts", "revocation",
               judged(answer(holder, status=status.REVOKED), mode="if-available"),
               judged(answer(holder, status=status.UNKNOWN), mode="if-available"))
    yield Case("an OCSP response that revokes among many", "revocation",
               judged(answers([*[segw(issuer) for _ in range(20)], holder], {20})),
               judged(answers([*[segw(issuer) for _ in range(20)], holder])))
    yield Case("an OCSP response that calls good and then revokes", "revocation",
               judged(answers([holder, holder], {1})), judged(answers([holder, holder])))
    yield Case("an OCSP response with more answers than are looked at", "revocation",
               judged(answers([holder] * 65)), judged(answers([holder] * 64)))
    forged = answer(holder, forged=True)
    yield Case("more signatures of OCSP responses than are checked", "revocation",
               judged(*[forged] * 7, answer(holder)), judged(*[forged] * 6, answer(holder)),
               "too many signatures")
    yield Case("an OCSP response that knows nothing", "revocation",
               judged(answer(holder, status=status.UNKNOWN)), good)
    yield Case("an OCSP response for another certificate", "revocation",
               judged(answer(segw(issuer))), judged(answer(segw(issuer)), answer(holder)))
    yield Case("a CertID with SHA-256 for another certificate", "revocation",
               judged(answer(segw(issuer), id_hash=hashes.SHA256())),
               judged(answer(holder, id_hash=hashes.SHA256())))
    yield Case("a CertID with a hash that nobody knows", "revocation",
               judged(identified_by(answer(holder), bytes.fromhex("06052b0e03027f"), issuer.key)),
               judged(identified_by(answer(holder), SHA1_OID, issuer.key)))
    yield Case("an OCSP response with an octet after it", "revocation",
               judged(answer(holder) + b"\0"), good, "does not parse")
    yield Case("a forged OCSP response", "revocation",
               judged(answer(holder, forged=True)), good)
    yield Case("an OCSP response of a stranger", "revocation",
               judged(answer(holder, responder=WORLD.stranger)), good)
    yield Case("an OCSP response that is none", "revocation", judged(b"\x30\x03\x0a\x01\x00"), good)
    yield Case("an OCSP responder that asks us to try later", "revocation",
               judged(b"\x30\x03\x0a\x01\x03"), good)
    yield Case("an OCSP response past its nextUpdate", "revocation",
               judged(answer(holder, this=-2 * HOUR, until=-HOUR)), good)
    yield Case("an OCSP response of the future", "revocation",
               judged(answer(holder, this=HOUR, until=2 * HOUR)), good)
    yield Case("an OCSP response older than the profile allows", "revocation",
               judged(answer(holder, this=-8 * DAY, until=None)),
               judged(answer(holder, this=-6 * DAY, until=None)))
    yield Case("an OCSP response produced in the future", "revocation",
               judged(answer(holder, produced=HOUR)), judged(answer(holder, produced=-HOUR)))
    yield Case("an OCSP response produced longer ago than the profile allows", "revocation",
               judged(answer(holder, produced=-8 * DAY)), judged(answer(holder, produced=-6 * DAY)))
    yield Case("an OCSP response with an unknown critical extension", "revocation",
               judged(answer(holder, extensions=[unknown_extension(True)])),
               judged(answer(holder, extensions=[unknown_extension(False)])))
    yield Case("an OCSP response with an unknown critical extension of one answer", "revocation",
               judged(answers([holder], critical=True)), judged(answers([holder], critical=False)))
    yield Case("an OCSP response signed with SHA-224", "revocation",
               judged(answer(holder, digest=hashes.SHA224())), good)
    yield Case("an OCSP response signed with SHA-1", "revocation",
               judged(answer(holder, digest=SHA1)), good)


def delegate_cases():
    """Somebody whom the CA lets answer for it (RFC 6960 4.2.2.2)."""
    issuer, holder = WORLD.intermediate, WORLD.segw
    purpose, nocheck = extended_usage(ExtendedKeyUsageOID.OCSP_SIGNING), (NOCHECK, False)
    usual = (key_usage("digital_signature"), purpose, nocheck)

    def by(responder, **named):
        return revocation((), [answer(holder, responder=responder, **named)])
    good = by(issue("Responder", issuer, usual))
    yield Case("a responder without OCSPSigning", "revocation",
               by(issue("Responder", issuer, (usual[0], nocheck))), good, "without OCSPSigning")
    yield Case("a responder for another purpose than OCSPSigning", "revocation",
               by(issue("Responder", issuer, (usual[0], extended_usage(IPSEC_IKE), nocheck))), good,
               "without OCSPSigning")
    responder = issue("Responder", issuer, usual)
    yield Case("a responder whose certificate is the fifth that is sent", "revocation",
               by(responder, before=[holder] * 4), by(responder, before=[holder] * 3), "somebody unknown")
    yield Case("a responder without digitalSignature", "revocation",
               by(issue("Responder", issuer, (key_usage("key_agreement"), *usual[1:]))), good,
               "without digitalSignature")
    yield Case("a responder with an unknown critical extension", "revocation",
               by(issue("Responder", issuer, (*usual, unknown_extension(True)))),
               by(issue("Responder", issuer, (*usual, unknown_extension(False)))))
    for size, exponent, why in ((1024, 65537, "a short key"), (2048, 3, "an unfit key")):
        weak = rsa.generate_private_key(exponent, size)
        yield Case(f"a responder with an RSA key of {size} bits and the exponent {exponent}", "revocation",
                   by(issue("Responder", issuer, usual, key=weak)),
                   by(issue("Responder", issuer, usual, key=rsa.generate_private_key(65537, 2048))), why)
    yield Case("a forged OCSP response in the name of a responder", "revocation",
               by(responder, forged=True), by(responder), "has a wrong signature")
    yield Case("a responder whose certificate is signed with SHA-1", "revocation",
               by(issue("Responder", issuer, usual, digest=SHA1)), good, "a weak signature")
    yield Case("a responder with a forged certificate", "revocation",
               by(spoilt(issue("Responder", issuer, usual))), good, "certificate is forged")
    itself = segw(issuer, extended_usage(ExtendedKeyUsageOID.OCSP_SIGNING, IPSEC_IKE), nocheck)
    yield Case("a SeGW that answers for itself", "revocation",
               revocation((), [answer(itself, responder=itself)], shown=Shown(itself, issuer)),
               revocation((), [answer(itself)], shown=Shown(itself, issuer)),
               "by the certificate that it is about")
    yield Case("a responder without id-pkix-ocsp-nocheck", "revocation",
               by(issue("Responder", issuer, usual[:2])), good, "without id-pkix-ocsp-nocheck")
    yield Case("a responder without id-pkix-ocsp-nocheck, which may stand first", "revocation",
               by(issue("Responder", issuer, usual[:2])),
               by(issue("Responder", issuer, usual[:2], first=[nocheck])))
    yield Case("a responder of another CA", "revocation",
               by(issue("Responder", WORLD.root, usual)), good, "that the CA did not issue")
    yield Case("a responder of a false CA of the same name", "revocation",
               by(issue("Responder", ca("Intermediate"), usual)), good, "that the CA did not issue")
    yield Case("a responder of a CA that has another name and the same key", "revocation",
               by(issue("Responder", ca("Namesake", key=issuer.key), usual)), good,
               "that the CA did not issue")
    yield Case("a responder that has expired", "revocation",
               by(issue("Responder", issuer, usual, starts=-9 * DAY, ends=-DAY)), good,
               "is not valid now")
    yield Case("a responder whose certificate is not sent", "revocation",
               by(issue("Responder", issuer, usual), sent=False), good)


def cases():
    for group in (form_cases, path_cases, profile_cases, name_cases, crl_cases, indirect_cases, clerk_cases,
                  ocsp_cases, delegate_cases):
        yield from group()
