"""Certificates, CRLs and OCSP responses with one flaw on demand."""

import base64
import datetime
import hashlib

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, utils
from cryptography.x509 import ocsp
from cryptography.x509.oid import NameOID, ObjectIdentifier

NOW = datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0, tzinfo=None)
MINUTE, HOUR, DAY = (datetime.timedelta(**{unit: 1}) for unit in ("minutes", "hours", "days"))
SEGW = "segw.operator.example"
NOCHECK = x509.OCSPNoCheck()
SHA1 = "SHA-1"  # as a digest for signatures
ECDSA_WITH_SHA1 = bytes.fromhex("300906072a8648ce3d0401")
ECDSA_WITH_SHA256 = bytes.fromhex("300a06082a8648ce3d040302")
UNKNOWN_OID = ObjectIdentifier("1.3.6.1.4.1.55555.1")

USAGES = ["digital_signature", "content_commitment", "key_encipherment", "data_encipherment",
          "key_agreement", "key_cert_sign", "crl_sign", "encipher_only", "decipher_only"]


def key_usage(*names):
    return x509.KeyUsage(**{usage: usage in names for usage in USAGES}), True


def basic_constraints(ca, path_length=None, critical=True):
    return x509.BasicConstraints(ca=ca, path_length=path_length), critical


def unknown_extension(critical, value=b"\x05\x00"):
    return x509.UnrecognizedExtension(UNKNOWN_OID, value), critical


def names(*dns):
    return x509.SubjectAlternativeName([x509.DNSName(name) for name in dns]), False


def name(common_name):
    return x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Matrix"),
                      x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


class Holder:
    """A certificate, its key, and its issuer."""

    def __init__(self, certificate, key, issuer):
        self.certificate, self.key, self.issuer = certificate, key, issuer or self

    @property
    def subject(self):
        return self.certificate.subject

    @property
    def serial(self):
        return self.certificate.serial_number

    def pem(self):
        return self.certificate.public_bytes(serialization.Encoding.PEM)


CA = (basic_constraints(True), key_usage("key_cert_sign", "crl_sign"))
END_ENTITY = (basic_constraints(False), key_usage("digital_signature"))


def issue(common_name, issuer=None, extensions=(), *, key=None, public_key=None, starts=-DAY,
          ends=30 * DAY, digest=hashes.SHA256(), serial=None, identifiers=True, first=()):
    """A certificate of `issuer`'s, or one that signs itself; `first` are the extensions that stand
    before all others."""
    key = key or ec.generate_private_key(ec.SECP256R1())
    public_key = public_key or key.public_key()
    signer = issuer.key if issuer else key
    builder = (x509.CertificateBuilder()
               .subject_name(name(common_name))
               .issuer_name(issuer.subject if issuer else name(common_name))
               .public_key(public_key).serial_number(serial or x509.random_serial_number())
               .not_valid_before(NOW + starts).not_valid_after(NOW + ends))
    for extension, critical in first:
        builder = builder.add_extension(extension, critical)
    if identifiers:
        builder = builder.add_extension(
            x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
        builder = builder.add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical)
    if digest == SHA1:
        made = builder.sign(signer, hashes.SHA256()).public_bytes(serialization.Encoding.DER)
        return Holder(x509.load_der_x509_certificate(sha1_signed(made, signer)), key, issuer)
    return Holder(builder.sign(signer, digest), key, issuer)


def ca(common_name="Intermediate", issuer=None, extensions=CA, **named):
    return issue(common_name, issuer, extensions, **named)


def segw(issuer, *more, base=END_ENTITY, dns=(SEGW,), **named):
    """A SeGW's certificate; `more` are further extensions."""
    san = (names(*dns),) if dns else ()
    return issue("SeGW", issuer, (*base, *san, *more), **named)


def version_1(issuer):
    """Without extensions, and without the field that says it is of version 3 (RFC 5280 4.1.2.1)."""
    return changed_in(issue("SeGW", issuer, identifiers=False), bytes.fromhex("a003020102"), b"")


def crl(issuer, *revoked, number=1, delta=None, this=-HOUR, until=DAY, extensions=(), key=None,
        issuer_name=None, revoked_of=None, reason=None, digest=hashes.SHA256(), of_entries=(), first=()):
    """PEM of a CRL; `delta` is the base's number; `revoked_of` the CA of an indirect list;
    `of_entries` are extensions of each entry, `first` the list's own that stand before all others."""
    builder = (x509.CertificateRevocationListBuilder()
               .issuer_name(issuer_name or issuer.subject)
               .last_update(NOW + this).next_update(NOW + until))
    for extension, critical in first:
        builder = builder.add_extension(extension, critical)
    builder = (builder
               .add_extension(x509.CRLNumber(number), critical=False)
               .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(
                   issuer.key.public_key()), critical=False))
    if delta is not None:
        builder = builder.add_extension(x509.DeltaCRLIndicator(delta), critical=True)
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical)
    for serial in revoked:
        entry = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(NOW - HOUR)
        if reason:
            entry = entry.add_extension(x509.CRLReason(reason), critical=False)
        if revoked_of:
            entry = entry.add_extension(
                x509.CertificateIssuer([x509.DirectoryName(revoked_of.subject)]), critical=True)
        for extension, critical in of_entries:
            entry = entry.add_extension(extension, critical)
        builder = builder.add_revoked_certificate(entry.build())
    key = key or issuer.key
    if digest == SHA1:
        made = builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)
        return x509.load_der_x509_crl(sha1_signed(made, key)).public_bytes(
            serialization.Encoding.PEM)
    made = builder.sign(key, digest)
    return made.public_bytes(serialization.Encoding.PEM)


def misdated(pem, key):
    """The same CRL, on P-256, with a thisUpdate that is no date, signed anew."""
    der = x509.load_pem_x509_crl(pem).public_bytes(serialization.Encoding.DER)
    tbs = _content_of(_content_of(der))
    at = tbs.index(b"\x17\x0d")  # the first UTCTime
    tbs = _der(0x30, tbs[:at + 2] + b"991332250000Z" + tbs[at + 15:])
    signature = key.sign(tbs, ec.ECDSA(hashes.SHA256()))
    body = base64.encodebytes(_der(0x30, tbs, ECDSA_WITH_SHA256, _der(0x03, b"\0", signature)))
    return b"-----BEGIN X509 CRL-----\n" + body + b"-----END X509 CRL-----\n"


def answer(holder, *, status=ocsp.OCSPCertStatus.GOOD, responder=None, forged=False, this=-HOUR,
           until=HOUR, id_hash=hashes.SHA1(), digest=hashes.SHA256(), extensions=(), sent=True,
           produced=None, why=None, before=()):
    """DER of an OCSP response about `holder`, by its issuer or a delegated `responder`, whose certificate
    is sent behind those of the holders `before`."""
    issuer = holder.issuer
    signer = responder or issuer
    revoked = status == ocsp.OCSPCertStatus.REVOKED
    builder = (ocsp.OCSPResponseBuilder()
               .add_response(cert=holder.certificate, issuer=issuer.certificate,
                             algorithm=id_hash, cert_status=status, this_update=NOW + this,
                             next_update=NOW + until if until is not None else None,
                             revocation_time=NOW - HOUR if revoked else None,
                             revocation_reason=why)
               .responder_id(ocsp.OCSPResponderEncoding.HASH, signer.certificate))
    if responder and sent:
        builder = builder.certificates([each.certificate for each in (*before, responder)])
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical)
    made = builder.sign(signer.key, hashes.SHA256() if digest == SHA1 else digest)
    if digest == SHA1:
        return ocsp_response(made.tbs_response_bytes, ECDSA_WITH_SHA1,
                             ecdsa_sha1(made.tbs_response_bytes, signer.key))
    if produced is not None:
        return produced_at(made, NOW + produced, signer.key)
    der = bytearray(made.public_bytes(serialization.Encoding.DER))
    der[der.index(made.signature) + len(made.signature) - 1] ^= forged
    return bytes(der)


def produced_at(response, when, key):
    """The same response with another producedAt, signed anew; the library always takes the present.
    For responses by the issuer itself, which carry no certificate (RFC 6960 4.2.1)."""
    tbs = response.tbs_response_bytes
    # Python's cryptography 43 has it in UTC, and warns of the name that is all that 38 knows.
    was = _time(response.produced_at_utc if hasattr(response, "produced_at_utc") else response.produced_at)
    assert tbs.count(was) == 1
    tbs = tbs.replace(was, _time(when))
    return ocsp_response(tbs, ECDSA_WITH_SHA256, key.sign(tbs, ec.ECDSA(hashes.SHA256())))


SHA1_OID = bytes.fromhex("06052b0e03021a")


def identified_by(der, oid, key):
    """The same response by the issuer itself, its CertID made with the hash of that number, signed anew."""
    tbs = ocsp.load_der_ocsp_response(der).tbs_response_bytes
    assert tbs.count(SHA1_OID) == 1
    tbs = tbs.replace(SHA1_OID, oid)
    return ocsp_response(tbs, ECDSA_WITH_SHA256, key.sign(tbs, ec.ECDSA(hashes.SHA256())))


def ocsp_response(tbs, algorithm, signature):
    """A response that is signed and carries no certificate."""
    basic = _der(0x30, tbs, algorithm, _der(0x03, b"\0", signature))
    pkix_ocsp_basic = bytes.fromhex("06092b0601050507300101")
    successful = b"\x0a\x01\x00"
    return _der(0x30, successful,
                _der(0xa0, _der(0x30, pkix_ocsp_basic, _der(0x04, basic))))


def answers(holders, revoked=(), critical=None):
    """DER of one OCSP response by their issuer, about each of them; those of these places are
    revoked, and each has an unknown extension, unless `critical` is None. The library makes responses
    about one alone, and without."""
    issuer = holders[0].issuer
    one = [ocsp.load_der_ocsp_response(answer(holder, status=(
        ocsp.OCSPCertStatus.REVOKED if place in revoked else ocsp.OCSPCertStatus.GOOD)))
        for place, holder in enumerate(holders)]
    singles = [_sequence_at(response.tbs_response_bytes) for response in one]
    front = _content_of(one[0].tbs_response_bytes)
    front = front[:front.index(singles[0])]
    more = b"" if critical is None else _der(0xa1, _der(0x30, extension_der(critical)))
    tbs = _der(0x30, front, _der(0x30, *[
        _der(0x30, _content_of(_content_of(single)), more) for single in singles]))
    return ocsp_response(tbs, ECDSA_WITH_SHA256, issuer.key.sign(tbs, ec.ECDSA(hashes.SHA256())))


def extension_der(critical):
    """unknown_extension() in octets."""
    oid = bytes.fromhex("06092b0601040183b20301")
    return _der(0x30, oid, _der(0x01, b"\xff") if critical else b"", _der(0x04, b"\x05\x00"))


def _sequence_at(tbs):
    """The SEQUENCE OF SingleResponse, which comes last: there are no extensions."""
    content = _content_of(tbs)
    while content[0] != 0x30:
        content = content[len(_first(content)):]
    return _first(content)


def _first(der):
    """The first element of some."""
    return der[:len(der) - len(_content(der)[1])]


def _content_of(der):
    return _content(der)[0]


def changed_in(holder, old, new):
    """The same certificate with other octets in it, signed anew; its issuer's key is P-256."""
    content = _content_of(holder.certificate.tbs_certificate_bytes)
    assert content.count(old) == 1
    tbs = _der(0x30, content.replace(old, new))
    signature = _der(0x03, b"\0", holder.issuer.key.sign(tbs, ec.ECDSA(hashes.SHA256())))
    return Raw(holder, _der(0x30, tbs, ECDSA_WITH_SHA256, signature))


SHA1_ID, SHA256_ID = bytes.fromhex("300906052b0e03021a0500"), bytes.fromhex(
    "300d06096086480165030402010500")


def signed_with_pss(holder, mgf=hashes.SHA256(), salt=32, used=None):
    """The same certificate signed with RSASSA-PSS and SHA-256: parameters as named, but for the salt
    if another is used (RFC 4055 3.1)."""
    mgf_id = SHA1_ID if mgf.name == "sha1" else SHA256_ID
    mgf1 = _der(0x30, bytes.fromhex("06092a864886f70d010108"), mgf_id)
    algorithm = _der(0x30, bytes.fromhex("06092a864886f70d01010a"), _der(
        0x30, _der(0xa0, SHA256_ID), _der(0xa1, mgf1), _der(0xa2, _der(0x02, bytes([salt])))))
    pkcs1 = bytes.fromhex("300d06092a864886f70d01010b0500")
    content = _content_of(holder.certificate.tbs_certificate_bytes)
    tbs = _der(0x30, content.replace(pkcs1, algorithm, 1))
    signature = holder.issuer.key.sign(
        tbs, padding.PSS(padding.MGF1(mgf), salt if used is None else used), hashes.SHA256())
    return Raw(holder, _der(0x30, tbs, algorithm, _der(0x03, b"\0", signature)))


class Raw:
    """A holder's certificate in other octets, which the library need not be able to read."""

    def __init__(self, holder, der):
        self.key, self.issuer, self.der = holder.key, holder.issuer, der

    def pem(self):
        body = base64.encodebytes(self.der).decode()
        return f"-----BEGIN CERTIFICATE-----\n{body}-----END CERTIFICATE-----\n".encode()


def general_names(*names_of_tag):
    """DER of a subjectAltName of (tag, content)."""
    return _der(0x30, *[_der(tag, content) for tag, content in names_of_tag])


def ecdsa_sha1(octets, key):
    """A signature on P-256 over SHA-1, which newer releases of the library refuse to make: over a
    digest of 32 octets that is the same number (FIPS 186-5 6.4.1)."""
    digest = hashlib.sha1(octets).digest().rjust(32, b"\0")
    return key.sign(digest, ec.ECDSA(utils.Prehashed(hashes.SHA256())))


def sha1_signed(der, key):
    """The same certificate or CRL under ecdsa-with-SHA1, which it names inside and outside of what
    is signed (RFC 5280 4.1.1.2, 5.1.1.2)."""
    content, _ = _content(der)
    tbs, _ = _content(content)
    assert tbs.count(ECDSA_WITH_SHA256) == 1, "signed with another algorithm"
    tbs = _der(0x30, tbs.replace(ECDSA_WITH_SHA256, ECDSA_WITH_SHA1))
    return _der(0x30, tbs, ECDSA_WITH_SHA1, _der(0x03, b"\0", ecdsa_sha1(tbs, key)))


def _content(der):
    """(content, what follows) of the element that `der` begins with."""
    size, start = der[1], 2
    if size >= 128:
        start += size - 128
        size = int.from_bytes(der[2:start], "big")
    return der[start:start + size], der[start + size:]


def _time(when):
    return _der(0x18, when.strftime("%Y%m%d%H%M%SZ").encode())


def _der(tag, *pieces):
    body = b"".join(pieces)
    size = len(body)
    octets = size.to_bytes((size.bit_length() + 7) // 8, "big")
    length = bytes([size]) if size < 128 else bytes([0x80 + len(octets)]) + octets
    return bytes([tag]) + length + body
