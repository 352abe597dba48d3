"""NIST PKITS through trectl check-peer: every case that is in scope must agree.

In some cases the end entity is a CA, which PKITS has no objection to. tred's rule that a SeGW is
none stands apart: what counts here is what all other checks say, and the case is named.

Arguments: trectl, the folder of vectors, the profile. Exits with 77 where the vectors are absent.
"""

import base64
import json
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

# Until when PKITS' certificates are good, so that the cases don't expire with the calendar.
JUDGED_AT = "2020-01-01T00:00:00Z"

SKIPPED, ACCEPTED, REFUSED = 77, 0, 1  # exit statuses: of this program, and of check-peer


def out_of_scope(case):
    """Why a case is not for us; None if it is."""
    if any("DSA" in name for name in case["certs"]):
        return "DSA is no algorithm of IKE's profile (TS 33.310 6.1.1)"
    if case.get("initial_policy_set") or case.get("initial_explicit_policy") \
            or case.get("initial_policy_mapping_inhibit") or case.get("initial_inhibit_any_policy"):
        return "needs initial policy settings of the verifier, and tred has none to set"
    return None


def to_pem(path, label):
    body = base64.encodebytes(path.read_bytes()).decode()
    return f"-----BEGIN {label}-----\n{body}-----END {label}-----\n"


def write_pem(path, sources, label):
    path.write_text("".join(to_pem(source, label) for source in sources))
    return str(path)


def judge(trectl, pkits, profile, case, folder):
    """The checks that failed for a case."""
    certificates = [pkits / "certs" / f"{name}.crt" for name in case["certs"]]
    crls = [pkits / "crls" / f"{name}.crl" for name in case["crls"]]
    arguments = [
        "--anchors", write_pem(folder / "anchors.pem", certificates[:1], "CERTIFICATE"),
        "--cert", write_pem(folder / "end-entity.pem", certificates[-1:], "CERTIFICATE"),
        "--crl", write_pem(folder / "crls.pem", crls, "X509 CRL"),
        "--profile", profile, "--revocation", "require", "--time", JUDGED_AT,
    ]
    if len(certificates) > 2:
        chain = write_pem(folder / "chain.pem", reversed(certificates[1:-1]), "CERTIFICATE")
        arguments += ["--chain", chain]
    done = subprocess.run([trectl, "check-peer", "--json", *arguments], capture_output=True,
                          text=True, check=False, timeout=20)
    if done.returncode not in (ACCEPTED, REFUSED):
        raise RuntimeError(f"{case['title']}: check-peer could not judge: {done.stderr}")
    failed = [c for c in json.loads(done.stdout)["checks"] if c["result"] == "failed"]
    if (done.returncode == ACCEPTED) != (not failed):
        raise RuntimeError(f"{case['title']}: exit status {done.returncode} does not fit {failed}")
    return failed


def main():
    trectl, vectors, profile = sys.argv[1:4]
    pkits = Path(vectors) / "pkits"
    if not (pkits / "cases.json").exists():
        print(f"SKIP PKITS: there are no vectors in {pkits}")
        sys.exit(SKIPPED)
    cases = json.loads((pkits / "cases.json").read_text())
    reasons, wrong, agreed = Counter(), [], 0
    with tempfile.TemporaryDirectory() as folder:
        for case in cases:
            reason = out_of_scope(case)
            if reason:
                reasons[reason] += 1
                print(f"out of scope: {case['title']}: {reason}")
                continue
            failed = judge(trectl, pkits, profile, case, Path(folder))
            beside = [check for check in failed if check["name"] != "end-entity"]
            if failed and not beside:
                print(f"agrees but for its end entity, which is a CA: {case['title']}")
            if (not beside) == case["valid"]:
                agreed += 1
                continue
            wrong.append(case["title"])
            print(f"DISAGREES: {case['title']}: "
                  f"{'valid' if case['valid'] else 'invalid'} for PKITS, but for tred: {beside}")
    print(f"{len(cases)} cases: {agreed} agree, {len(wrong)} disagree, "
          f"{sum(reasons.values())} out of scope")
    for reason, count in reasons.items():
        print(f"  {count} {reason}")
    good = agreed > 0 and not wrong
    # As cmocka says it, so that tests/unit/run counts it.
    print(f"[  {'     OK' if good else ' FAILED'} ] every_pkits_case_in_scope_agrees")
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
