"""The secrets that a program draws and derives, told by a library that is preloaded into it."""

from lab.process import BIN, scratch

DRAWN = "RAND"
SALT = "SSKDF"  # KDFe (TPM 2.0 Part 1, 11.4.10.3): a session's salt, a credential's seed
DERIVED = "KBKDF"  # KDFa: a session's key, and the keys and IVs of parameters


class SecretWatch:
    """Of the program of that name, whoever it runs as; its command begins with `words`."""

    def __init__(self, program):
        self.path = scratch("secrets") / "secrets"
        self.path.touch()
        self.path.chmod(0o666)
        self.environment = {"LD_PRELOAD": BIN / "secret_watch.so", "SECRET_WATCH": self.path,
                            "SECRET_WATCH_PROGRAM": program}
        self.words = ("env", *(f"{name}={value}" for name, value in self.environment.items()))

    def secrets(self, *kinds):
        """What is to be searched for: each from its first octet, and each by its second half."""
        found = {}
        for number, line in enumerate(self.path.read_text().splitlines()):
            kind, digits = line.split()
            octets = bytes.fromhex(digits)
            if kind in kinds:
                found[f"{kind} {number}"] = octets[:16]
                found[f"{kind} {number}, second half"] = octets[16:32]
        return {name: octets for name, octets in found.items() if len(octets) == 16}
