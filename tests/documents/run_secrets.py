"""Are secrets, and what proves that somebody has one, compared in constant time and wiped by calls
that no compiler leaves out?

Argument: the root of the sources."""

import re
import sys
from pathlib import Path

from run_documents import say
from run_includes import table
from run_reasons import found, without_comments

# How a comparison stops early, and a wipe is left out as nobody reads what was wiped.
COMPARES = r"\b(?:memcmp|bcmp|strcmp|strncmp|bytes_equal)\s*\((?:[^;{]*)"
CLEARS = r"\b(?:memset|bzero)\s*\([^;]*"
# What holds a secret, or an ICV, HMAC or tag that one was made of, by its name here.
SECRET = re.compile(r"secret|\bicv\b|hmac|\bmac\b|\btag\b|\bsk_|skeyseed|\bsalt\b|password|authvalue|"
                    r"keymat|->integ\b|->encr\b|\bplain\b", re.IGNORECASE)
# Where somebody shows what only who has a secret can know; whoever adds one adds it here.
PROOFS = {"esp/esp.c": "the ICV of an ESP packet", "tred/seal.c": "the ICV of an IKE message",
          "tpm/command.c": "the HMAC of a TPM's answer",
          "provisioning/proof.c": "the secret of a challenge, by its digest"}


def calls(sources, pattern):
    """(how many there are, those of secrets)."""
    every = found(sources, pattern)
    return len(every), [call for call in every if SECRET.search(call)]


def comparisons(sources):
    """Those of secrets by their names, and the proofs that are not compared in constant time."""
    seen, wrong = calls(sources, COMPARES)
    constant = {call.split(":")[0] for call in found(sources, r"\bCRYPTO_memcmp\(")}
    return seen, wrong + [f"{name}: {PROOFS[name]}" for name in sorted(PROOFS.keys() - constant)] + [
        f"{name}: is not in PROOFS" for name in sorted(constant - PROOFS.keys())]


def main():
    root = Path(sys.argv[1])
    folders = table((root / "docs/architecture.md").read_text())
    sources = {str(file.relative_to(root)): without_comments(file.read_text())
               for folder in folders for file in sorted((root / folder).glob("*.[ch]"))}
    good = [say("no secret is compared by a function that stops at the first difference",
                *comparisons(sources)),
            say("no secret is wiped by a function that a compiler may leave out",
                *calls(sources, CLEARS))]
    sys.exit(0 if all(good) else 1)


if __name__ == "__main__":
    main()
