"""The device's vendor, who approves of platform states: off-line, with a key that no device has."""

from lab.pki import HENB_NAME
from lab.process import BIN, run, scratch
from lab.programs import provisioning_tool, write_ini
from lab.tpm import TCTI

PCRS = "4,7,11"


class Vendor:
    """A policy key, and the states that were approved of with it, in one file."""

    def __init__(self, kind="P-256"):
        self.directory = scratch("vendor")
        self.private = self.directory / "policy.key"
        self.public = self.directory / "policy.pem"
        self.states = self.directory / "tpm2-pcr-signature.json"
        algorithm = ["RSA", "-pkeyopt", "rsa_keygen_bits:2048"] if kind == "RSA" else [
            "EC", "-pkeyopt", f"ec_paramgen_curve:{kind}"]
        run(["openssl", "genpkey", "-algorithm", *algorithm, "-out", self.private])
        run(["openssl", "pkey", "-in", self.private, "-pubout", "-out", self.public])

    def approve(self, tcti=TCTI, pcrs=PCRS):
        """Approves of the state that the platform is in now, beside those before."""
        reading = self.directory / "reading.json"
        reading.unlink(missing_ok=True)
        provisioning_tool("/nonexistent", "read-pcrs", "--pcrs", pcrs, "--output", reading,
                          tcti=tcti)
        run([BIN / "tre-provision", "sign-policy", "--key", self.private, "--output", self.states,
             reading])
        return self.states

    def profile(self, directory, algorithm, anchors):
        """A profile of provisioning for devices under this vendor's policy; `anchors` is its
        section of that name."""
        sections = {"device": {"fqdn": HENB_NAME, "key-algorithm": algorithm},
                    "policy": {"kind": "signed", "key": self.public, "states": self.states},
                    "anchors": anchors}
        return write_ini(directory / "profile", sections)
