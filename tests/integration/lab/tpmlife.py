"""A device's life with its TPM in four parts, each of which can be had again with one command of it
spoiled: what is said then, and does the device get over it?"""

import re
from dataclasses import dataclass, field

from lab import faultytpm
from lab.anchors import AnchorSigner, approval_of
from lab.bus import BusError, Connection
from lab.faultytpm import FaultyTpm
from lab.handclient import HandClient
from lab.programs import MANAGER, TRED, TRED_PATH, Tred, provision
from lab.vendor import Vendor

KINDS = {
    "fails": faultytpm.failing(faultytpm.RC_FAILURE),
    "cut short": faultytpm.cut_short,
    "bit flipped": faultytpm.bit_flipped,
    "closed": faultytpm.closed,
    "answer lost": faultytpm.answer_lost,
    "delayed": faultytpm.delayed(0.3),
}
# The connection ends with what stood in the TPM for it, which nobody can free by it any more.
CONNECTION_ENDS = {"cut short", "closed", "answer lost"}

# What went wrong, at which command or with what of the TPM's, and what to do.
NAMED = re.compile(r"TPM2_\w+.*\(0x[0-9a-f]{8}\); .|"
                   r"(the Name of the NV index|this TPM (lacks|has no)|the storage root key|"
                   r"the platform is in none) .*(: |; ).")


@dataclass
class Outcome:
    """What came of one spoiled command."""

    part: str
    number: int
    kind: str
    command: str
    said: str = ""  # the error that a caller saw, or StateReason; empty: nobody saw one
    problems: list = field(default_factory=list)

    def __str__(self):
        return (f"{self.part}, command {self.number} ({self.command}) {self.kind}: "
                f"{self.said or 'no error'}" + "".join(f"\n    {each}" for each in self.problems))


class TpmLife:
    """A device under a policy, with guarded anchors; its SeGW is a Responder that must be there."""

    PARTS = ("start", "handshake", "reload", "install")

    def __init__(self, world, part):
        """part(p) has p stopped at the end of the test; the TPM must be on."""
        self.world, self.part = world, part
        self.tpm = part(FaultyTpm())
        vendor, self.signer = Vendor(), AnchorSigner()
        vendor.approve(self.tpm.TCTI)
        self.files = provision("ecdsa-p256", world.vendor_root, [world.operator_root], vendor,
                               self.tpm.TCTI, self.signer)
        self.version = 1
        self.tred = None

    # What happens in a life.

    def start(self, **sections):
        self.tred = self.part(Tred(self.files, tpm={"tcti": self.tpm.TCTI}, **sections))
        return self.tred.wait_for_name()

    def handshake(self):
        hand = HandClient()
        try:
            hand.until("verify").call("Close")
        finally:
            hand.stop()

    def reload(self):
        return self.call("Reload")

    def install(self):
        """The operator's next bundle; the one that was not taken before, if so."""
        bundle = self.signer.directory / f"anchors-{self.version + 1}.pem"
        if not bundle.exists():
            bundle = self.signer.sign(self.version + 1, [self.world.operator_root])
        taken, = self.call("InstallAnchors", "ayay", bundle.read_bytes(),
                           approval_of(bundle).read_bytes())
        self.version = taken

    def call(self, method, *arguments):
        root = Connection("root")
        try:
            return root.call(TRED, TRED_PATH, MANAGER, method, *arguments)
        finally:
            root.close()

    # The same, with something spoiled in it.

    def spoiled(self, part, number, kind):
        """The Outcome, or None if there is no such command in this part of a life."""
        if part == "start":
            self.end()
        elif not self.tred or not self.tred.running():
            self.start()
        self.tpm.wait_idle()
        self.tpm.spoil_nth(number, KINDS[kind])
        said = ""
        try:
            getattr(self, part)()
        except BusError as error:
            said = str(error)
        self.tpm.wait_idle()
        if not self.tpm.spoiled:
            self.tpm.spoil_nth(None, None)
            return None
        outcome = Outcome(part, number, kind, faultytpm.name(self.tpm.spoiled),
                          said or self.tred.get("StateReason"))
        self.judge(outcome)
        return outcome

    def end(self):
        """tred's exit status, where one runs."""
        status = self.tred.stop() if self.tred else 0
        self.tred = None
        return status

    def judge(self, outcome):
        def problem(text):
            outcome.problems.append(text)

        if outcome.kind == "delayed" and outcome.said:
            problem("a TPM that takes its time is no error")
        if outcome.said and not NAMED.search(outcome.said):
            problem("neither the command nor what to do is named")
        if "AnchorsRefused" in outcome.said:
            problem("the bundle is not at fault")
        if not self.tred.running():
            problem(f"tred ended with {self.tred.popen.returncode}")
            return
        try:
            self.handshake()
            if outcome.part == "install":
                self.install()
        except (BusError, OSError) as error:
            problem(f"not got over: {error}")
        self.tpm.wait_idle()
        state, reason = self.tred.get("State"), self.tred.get("StateReason")
        if state != "ready":
            problem(f"State is {state}: {reason}")
