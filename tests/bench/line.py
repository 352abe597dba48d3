"""Provisions many simulated devices in one run of tre-provision line, and prints what it cost."""

import argparse
import json
import os
import statistics
import sys
import time
from concurrent.futures import ThreadPoolExecutor

from lab.case import world
from lab.process import BIN, run, scratch
from lab.station import EccTpmVendor, Station, TpmVendor, UnixTpm
from lab.vendor import Vendor


def make_tpms(vendor, count):
    """TPMs that have never been used, each with its own EK certificate, switched on."""
    # The first one makes the vendor's CA, which the others then share.
    states = [vendor.make(scratch("tpm") / "state")]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        states += pool.map(lambda _: vendor.make(scratch("tpm") / "state"), range(count - 1))
    return [UnixTpm(state).start() for state in states]


def signed_policy(tpm):
    """The device keys' policy, signed for the state that a TPM starts in."""
    world()  # the networks that the policy vendor's tools run in
    vendor = Vendor()
    vendor.approve(tpm.tcti)
    return {"kind": "signed", "key": vendor.public, "states": vendor.states}


def main():
    parser = argparse.ArgumentParser(description="What a device costs on a manufacturing line.")
    parser.add_argument("--count", type=int, default=100, help="devices (100)")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="devices at once (CPUs)")
    parser.add_argument("--ek", choices=["rsa", "ecc"], default="rsa",
                        help="what the endorsement keys are: RSA-2048 by swtpm-localca, or P-256")
    arguments = parser.parse_args()
    vendor = TpmVendor() if arguments.ek == "rsa" else EccTpmVendor()
    begun = time.monotonic()
    tpms = make_tpms(vendor, arguments.count)
    print(f"{arguments.count} TPMs with EK certificates ({arguments.ek}) made in {time.monotonic() - begun:.0f} s; "
          f"{arguments.jobs} devices at once on {os.cpu_count()} CPUs", flush=True)
    station = Station(vendor, guarded=True, policy=signed_policy(tpms[0]))
    records = station.folder / "records.json"
    lines = "".join(f"{n:04} henb-{n:04}.vendor.example {tpm.tcti}\n"
                    for n, tpm in enumerate(tpms))
    done = run([BIN / "tre-provision", "line", "--profile", station.profile, "--jobs",
                arguments.jobs, "--output", records], check=False, stdin=lines)
    devices = [json.loads(line) for line in records.read_text().splitlines()]
    for device in devices:
        if device["result"] != "good":
            print(f"FAILED {device['serial']}: {device['error']}")
    print("\n".join(line for line in done.stdout.splitlines() if not line.startswith("good ")))
    times = sorted(device["milliseconds"] for device in devices)
    print(f"a device: median {statistics.median(times):.1f} ms, longest {times[-1]:.1f} ms")
    for name in [step["name"] for step in devices[0]["steps"]]:
        each = [step["milliseconds"] for device in devices for step in device["steps"]
                if step["name"] == name]
        print(f"  step {name:20} {statistics.mean(each):9.2f} ms on average")
    for tpm in tpms:
        tpm.stop()
    keys = {device["key_name"] for device in devices}
    endorsements = {device["ek_certificate_sha256"] for device in devices}
    whole = len(keys) == len(endorsements) == arguments.count
    if not whole:
        print("two devices share a key or an EK certificate, or there are too few of them")
    sys.exit(0 if done.returncode == 0 and whole else 1)


if __name__ == "__main__":
    main()
