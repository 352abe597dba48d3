"""The operator, who approves of SeGW anchors: off-line, with a key that no device has."""

from lab.process import BIN, run, scratch


class AnchorSigner:
    """A policy key, and the bundles that were approved of with it."""

    def __init__(self):
        self.directory = scratch("operator")
        self.private = self.directory / "operator.key"
        self.public = self.directory / "operator.pem"
        run(["openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256",
             "-out", self.private])
        run(["openssl", "pkey", "-in", self.private, "-pubout", "-out", self.public])

    def sign(self, version, anchors, *options, text=""):
        """The file of a new bundle, with the approval beside it; `text` stands before the certificates."""
        path = self.directory / f"anchors-{version}.pem"
        path.write_bytes(text.encode() + b"".join(anchor.pem() for anchor in anchors))
        run([BIN / "tre-provision", "sign-anchors", "--key", self.private, "--anchors-version",
             version, *options, path])
        return path


def approval_of(path):
    """The file of the approval of a bundle."""
    return path.with_name(path.name + ".sig")
