"""Throw-away certificates, sound ones and ones with a flaw on demand."""

import datetime
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

SEGW_NAME = "segw.operator.example"
HENB_NAME = "henb-0001.vendor.example"

DAY = datetime.timedelta(days=1)
CURVES = {"ecdsa-p256": ec.SECP256R1(), "ecdsa-p384": ec.SECP384R1()}


def make_key(algorithm):
    if algorithm.startswith("rsa-"):
        size = int(algorithm.removeprefix("rsa-"))
        return rsa.generate_private_key(public_exponent=65537, key_size=size)
    return ec.generate_private_key(CURVES[algorithm])


@dataclass
class Credential:
    """A certificate, its private key where there is one, and those who issued it, nearest first."""

    certificate: x509.Certificate
    key: object = None
    issuers: tuple = ()

    def pem(self):
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    def der(self):
        return self.certificate.public_bytes(serialization.Encoding.DER)

    def key_pem(self):
        return self.key.private_bytes(serialization.Encoding.PEM,
                                      serialization.PrivateFormat.PKCS8,
                                      serialization.NoEncryption())

    def intermediates(self):
        """The issuers that are sent along: all but the root."""
        return [issuer for issuer in self.issuers if issuer.issuers]

    def root(self):
        return self.issuers[-1]


def _key_usage(*names):
    every = ["digital_signature", "content_commitment", "key_encipherment", "data_encipherment",
             "key_agreement", "key_cert_sign", "crl_sign", "encipher_only", "decipher_only"]
    return x509.KeyUsage(**{name: name in names for name in every})


def _hash_for(key):
    curve = getattr(key, "curve", None)
    return hashes.SHA384() if isinstance(curve, ec.SECP384R1) else hashes.SHA256()


def _sign(subject, public_key, issuer, signing_key, not_before, not_after, extensions):
    builder = (x509.CertificateBuilder()
               .subject_name(subject).issuer_name(issuer).public_key(public_key)
               .serial_number(x509.random_serial_number())
               .not_valid_before(not_before).not_valid_after(not_after)
               .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
               .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(
                   signing_key.public_key()), critical=False))
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical)
    return builder.sign(signing_key, _hash_for(signing_key))


def _name(common_name):
    return x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Lab"),
                      x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def make_ca(name, algorithm="ecdsa-p256", issuer=None):
    """A root, or with `issuer` an intermediate CA under it."""
    key = make_key(algorithm)
    now = datetime.datetime.utcnow()
    extensions = [(x509.BasicConstraints(ca=True, path_length=None), True),
                  (_key_usage("key_cert_sign", "crl_sign"), True)]
    certificate = _sign(_name(name), key.public_key(),
                        issuer.certificate.subject if issuer else _name(name),
                        issuer.key if issuer else key, now - DAY, now + 3650 * DAY, extensions)
    return Credential(certificate, key, (issuer, *issuer.issuers) if issuer else ())


@dataclass
class Flaws:
    """What is wrong with an end entity's certificate; by default nothing."""

    starts: datetime.timedelta = -DAY  # from now
    ends: datetime.timedelta = 825 * DAY
    usages: tuple = ("digital_signature",)
    is_ca: bool = False


def issue(issuer, name, public_key, purpose, flaws=Flaws()):
    """A certificate of `issuer` for a key that is not ours, such as one from a CSR."""
    now = datetime.datetime.utcnow()
    extensions = [(x509.BasicConstraints(ca=flaws.is_ca, path_length=None), True),
                  (_key_usage(*flaws.usages), True),
                  (x509.ExtendedKeyUsage([purpose]), False),
                  (x509.SubjectAlternativeName([x509.DNSName(name)]), False)]
    certificate = _sign(_name(name), public_key, issuer.certificate.subject, issuer.key,
                        now + flaws.starts, now + flaws.ends, extensions)
    return Credential(certificate, None, (issuer, *issuer.issuers))


def issue_segw(issuer, algorithm="ecdsa-p256", name=SEGW_NAME, flaws=Flaws()):
    key = make_key(algorithm)
    credential = issue(issuer, name, key.public_key(), ExtendedKeyUsageOID.SERVER_AUTH, flaws)
    credential.key = key
    return credential


def issue_from_csr(issuer, pem):
    """The device certificate for a CSR, whose signature and name are checked as a CA does."""
    request = x509.load_pem_x509_csr(pem)
    if not request.is_signature_valid:
        raise ValueError("the CSR's signature is wrong")
    names = request.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    name, = names.get_values_for_type(x509.DNSName)
    return issue(issuer, name, request.public_key(), ExtendedKeyUsageOID.CLIENT_AUTH)
