"""Many signatures of one tred, and the TPM's handles before and after. See tests/bench/signatures."""

import argparse
import sys
import time

from lab import memory
from lab.bus import Bus
from lab.case import World
from lab.network import HENB
from lab.process import BIN, Process
from lab.programs import Tred, provision
from lab.tpm import SharedTpm
from lab.vendor import Vendor

SECONDS_EACH = 0.1  # far above what a signature takes, so that only a stalled run is given up
MEMORY_KEPT_MAX = 1024  # kB: what an allocator keeps for next time, whatever the count
WARM_UP = 50
KINDS = ("handles-transient", "handles-loaded-session", "handles-saved-session",
         "handles-persistent")


def handles(shared):
    """What the TPM holds, as another program sees it."""
    return {kind: shared.tool("tpm2_getcap", kind).split() for kind in KINDS}


def resident(program):
    """kB"""
    return int(memory.status(program.pid)["VmRSS"].split()[0])


def sign(count):
    client = Process("sign_many", [BIN / "sign_many", count], namespace=HENB, user="henb-ike")
    return client.wait(30 + count * SECONDS_EACH), client


def main():
    parser = argparse.ArgumentParser(
        description="Many signatures; fails if the TPM loses a handle, or tred keeps memory.")
    parser.add_argument("--count", type=int, default=100000)
    count = parser.parse_args().count
    world, bus, vendor = World(), Bus(), Vendor()
    world.field_tpm.start()
    shared = SharedTpm()
    vendor.approve(shared.TCTI)
    files = provision("ecdsa-p256", world.vendor_root, [world.operator_root], vendor, shared.TCTI)
    tred = Tred(files, tpm={"tcti": shared.TCTI}, log={"level": "warning"}).wait_for_name()
    tred.wait_for_state("ready")
    before = handles(shared)
    # tred gives back what its start needed, and takes some of that again with the first signatures.
    warm, _ = sign(WARM_UP)
    memory_before = resident(tred)
    started = time.monotonic()
    status, client = sign(count)
    seconds = time.monotonic() - started
    after = handles(shared)
    print(client.output().strip())
    print(f"{seconds:.0f} s, {1000 * seconds / count:.2f} ms each, with their exchanges")
    for kind in KINDS:
        print(f"{kind}: {len(before[kind])} before, {len(after[kind])} after "
              f"({' '.join(after[kind]) or 'none'})")
    memory_after = resident(tred)
    print(f"tred's resident memory: {memory_before} kB before, {memory_after} kB after")
    for part in (tred, shared, world.field_tpm, bus):
        part.stop()
    kept = memory_after - memory_before
    sys.exit(0 if warm == status == 0 and before == after and kept <= MEMORY_KEPT_MAX else 1)


if __name__ == "__main__":
    main()
