"""How many instructions a handshake costs each process, by valgrind's callgrind.

Those with a system call filter (tred-net, tred-verify, tred-esp) are left out: it lets no valgrind
live."""

import re
from pathlib import Path

from henbs import ESP, SUITES
from lab.process import BIN, LabError, scratch
from lab.programs import IkeClient, Tred, TredNet

SECONDS_EACH = 20.0  # far above what a handshake takes under callgrind


def _under(folder):
    return ("/usr/bin/env", f"TMPDIR={folder}", "/usr/bin/valgrind", "--tool=callgrind", "--quiet",
            f"--callgrind-out-file={folder}/%p.out")


def _totals(folder):
    """{program: instructions} of all that ended."""
    totals = {}
    for file in folder.glob("*.out"):
        text = file.read_text(errors="replace")
        command = re.search(r"^cmd: +(\S+)", text, re.MULTILINE)
        counted = re.search(r"^(?:totals|summary): (\d+)", text, re.MULTILINE)
        if not command or not counted:  # of a child that became another program
            continue
        program = Path(command[1])
        if program.parent == BIN:
            totals[program.name] = totals.get(program.name, 0) + int(counted[1])
    return totals


def _run(lab, count):
    """Starts both programs, connects `count` times, ends them."""
    folder = scratch("callgrind")
    folder.chmod(0o777)
    net = TredNet().wait_for_socket()
    tred = Tred(lab.world.device("ecdsa-p256"), under=_under(folder), log={"level": "error"},
                **{"data-plane": {"mode": lab.data_plane}}).wait_for_name()
    client = IkeClient("--count", str(count), under=_under(folder), log={"level": "error"},
                       ike={"proposals": SUITES["ecdsa-p256"]}, child={"proposals": ESP},
                       connection={"retransmit-timeout": "20000"})
    try:
        if client.wait(30 + SECONDS_EACH * count) != 0:
            raise LabError(f"under callgrind: {client.output()}")
    finally:
        client.stop()
        tred.stop(60)
        net.stop()
    return _totals(folder)


def instructions(lab, count):
    """{program: instructions a handshake}, of those whose instructions could be counted."""
    once, twice = _run(lab, count), _run(lab, 2 * count)
    return {name: (twice[name] - once[name]) / count for name in twice if name in once}
