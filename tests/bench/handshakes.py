"""Many handshakes in a row: connect, disconnect, again. See tests/bench/handshakes."""

import argparse
import re
import resource
import sys

from lab import memory
from lab.bus import Bus
from lab.case import World
from lab.programs import IkeClient, Tred
from lab.segw import Segw

SECONDS_EACH = 0.5  # far above what a handshake takes, so that only a stalled run is given up


def cpu_seconds(pid):
    with open(f"/proc/{pid}/schedstat") as file:
        return int(file.read().split()[0]) / 1e9


def measure(count, algorithm):
    """Runs the handshakes; returns ikeclient's summary and what they cost."""
    world, bus = World(), Bus()
    segw = Segw(world.segw_credential(algorithm), world.vendor_root)
    world.tpm.start()
    tred = Tred(world.device(algorithm)).wait_for_name()
    tred_before, tpm_before = cpu_seconds(tred.pid), cpu_seconds(world.tpm.process.pid)
    device_before = cpu_seconds(tred.tpm_pid())
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    client = IkeClient("--count", str(count))
    client.wait(30 + count * SECONDS_EACH)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    costs = {
        "ikeclient": after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
        "tred": cpu_seconds(tred.pid) - tred_before,
        "tred-tpm": cpu_seconds(tred.tpm_pid()) - device_before,
        "swtpm": cpu_seconds(world.tpm.process.pid) - tpm_before,
    }
    tred_memory = memory.status(tred.pid)["VmRSS"].strip()
    established = len(re.findall(r"IKE_SA henb\[\d+\] established between", segw.log()))
    for part in (tred, world.tpm, segw, bus):
        part.stop()
    return client, established, costs, tred_memory


def main():
    parser = argparse.ArgumentParser(description="Many handshakes in a row; fails if one fails.")
    parser.add_argument("--count", type=int, default=3000)
    parser.add_argument("--algorithm", default="ecdsa-p256",
                        choices=["ecdsa-p256", "ecdsa-p384", "rsa-2048"])
    arguments = parser.parse_args()
    client, established, costs, tred_memory = measure(arguments.count, arguments.algorithm)
    print(f"{arguments.count} handshakes with an {arguments.algorithm} key in a simulated TPM")
    print(f"ikeclient: {client.output().strip()}")
    print(f"SeGW: {established} IKE SAs established")
    each = ", ".join(f"{name} {1000 * cost / arguments.count:.2f}" for name, cost in costs.items())
    print(f"milliseconds of CPU for each connection and its Delete: {each}")
    print(f"tred's resident memory after them: {tred_memory}")
    sys.exit(0 if client.popen.returncode == 0 and established == arguments.count else 1)


if __name__ == "__main__":
    main()
