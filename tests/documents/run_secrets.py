"""Are secrets, and what proves that somebody has one, compared in constant time and wiped by calls
that no compiler leaves out?

Argument: the root of the sources."""

import re
import sys
from collections import Counter
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
# Most secrets go by names as any octets do. So where there are secrets, each comparison of octets that may
# stop early is one of so many in its file, all of what is public: addresses, selectors, hashes, names and
# certificates, and nonces and public keys as they are on the wire; and each clearing that a compiler may
# leave out is of what is no secret. Whoever adds one says so by adding it here.
COMPARED = r"\b(?:memcmp|bcmp|timingsafe_\w+|memmem|bytes_equal)\s*\("
CLEARED = r"\b(?:memset|bzero)\s*\("
SECRET_FOLDERS = ("base", "crypto", "tpm", "policy", "device", "dataplane", "esp", "net", "tred", "provisioning")
PUBLIC = {
    "base/bytes.c": 2, "base/bytes.h": 1, "crypto/auth_algorithm.c": 1, "tpm/nv.c": 1, "tpm/pcr.c": 1,
    "tpm/storagekey.c": 1, "policy/anchorbundle.c": 2, "policy/anchorguard.c": 2, "policy/keypolicy.c": 1,
    "policy/policykey.c": 1, "policy/tss2key.c": 1, "device/identity_guard.c": 1, "esp/offload.c": 1,
    "esp/packet.c": 2, "net/beneath.c": 1, "net/network.c": 2, "net/protect.c": 4, "net/route.c": 3, "net/route.h": 1,
    "net/xfrm.c": 1, "net/xfrm_policies.c": 4, "tred/auth.c": 2, "tred/child_policy.c": 5, "tred/segws.c": 1, "tred/crl_files.c": 1,
    "tred/exchange_agree.c": 2, "tred/exchange_create.c": 2, "tred/exchange_message.c": 1,
    "provisioning/anchors.c": 1, "provisioning/devicefiles.c": 1, "provisioning/endorsement.c": 1,
    "provisioning/pcrsignature_file.c": 1, "provisioning/proof.c": 1, "provisioning/step_key.c": 2,
    "provisioning/step_tpm.c": 1,
}
NO_SECRETS = {"base/bytes.c": 1, "base/config.c": 1, "tpm/publickey.c": 1, "dataplane/dataplane.c": 1, "esp/sa.c": 1,
              "net/nft.c": 1, "net/route.c": 1, "provisioning/record.c": 2}
# Where somebody shows what only who has a secret can know; whoever adds one adds it here.
PROOFS = {"esp/esp.c": "the ICV of an ESP packet", "tred/seal.c": "the ICV of an IKE message",
          "tpm/command.c": "the HMAC of a TPM's answer", "tred/dh.c": "the digest of an SK_d",
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


def others(sources, pattern, known):
    """(how many there are, the files that have others than those that are known)."""
    there = Counter(call.split(":")[0] for call in found(sources, pattern) if call.split("/")[0] in SECRET_FOLDERS)
    return there.total(), [f"{name}: has {there[name]}, of which {known.get(name, 0)} are known"
                           for name in sorted(there.keys() | known.keys()) if there[name] != known.get(name, 0)]


def main():
    root = Path(sys.argv[1])
    folders = table((root / "docs/architecture.md").read_text())
    sources = {str(file.relative_to(root)): without_comments(file.read_text())
               for folder in folders for file in sorted((root / folder).glob("*.[ch]"))}
    good = [say("no secret is compared by a function that stops at the first difference",
                *comparisons(sources)),
            say("where there are secrets no octets are compared but those that are known as public",
                *others(sources, COMPARED, PUBLIC)),
            say("where there are secrets no octets are cleared but those that are known to be none",
                *others(sources, CLEARED, NO_SECRETS)),
            say("no secret is wiped by a function that a compiler may leave out",
                *calls(sources, CLEARS))]
    sys.exit(0 if all(good) else 1)


if __name__ == "__main__":
    main()
