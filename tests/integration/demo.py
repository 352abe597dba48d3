"""The call flow of certificate-based authentication, shown as a ladder while it happens.

What the HeNB saw comes from ikeclient's step lines, what the SeGW saw from strongSwan's log. Ends
with 0 only if every step was seen on both sides, and both counted the same packets."""

import os
import re
import sys
import time

from lab import network
from lab.bus import Bus
from lab.pki import HENB_NAME, SEGW_NAME, issue_segw, make_ca
from lab.process import LabError, wait_until
from lab.programs import IkeClient, Operator, Tred, provision, TredNet
from lab.segw import Segw
from lab.tpm import Tpm
from lab.traffic import Pings, has_interface, ping, transfer

WIDTH = 76  # between the two lifelines
# The stream fits into the buffer of charon's socket, where more could be lost, and sent again.
PINGS, TRANSFER = 5, 100_000
PINGS_ON = 100  # while all is rekeyed

# For each step: its way, and how strongSwan's log tells that it saw or did it.
STEPS = {
    1: ("->", r"(parsed IKE_SA_INIT request 0 \[.* KE .*\])"),
    2: ("<-", r"(generating IKE_SA_INIT response 0 \[.* CERTREQ .*\])"),
    3: ("->", r"(parsed IKE_AUTH request 1 \[ IDi CERT .* AUTH CPRQ.*\])"),
    4: ("", rf"(authentication of '{HENB_NAME}' with \S+ successful)"),
    5: ("<-", r"(generating IKE_AUTH response 1 \[ IDr CERT AUTH CPRP.*\])"),
    6: ("", r"(CHILD_SA net\{1\} established)"),
}


class Paper:
    """Where the ladder is drawn; bold only on a terminal that wants it."""

    def __init__(self):
        self.bold = sys.stdout.isatty() and "NO_COLOR" not in os.environ
        self.begun = time.monotonic()

    def line(self, text=""):
        print(text, flush=True)

    def strong(self, text):
        self.line(f"\033[1m{text}\033[0m" if self.bold else text)

    def done(self, text):
        self.line(f"  {time.monotonic() - self.begun:5.1f} s  {text}")

    def rung(self, way, label, right=""):
        """A message across (way -> or <-), or something that one side does by itself."""
        body = {"->": "--", "<-": "<-"}.get(way, "  ") + f" {label} "
        body = body.ljust(WIDTH, "-" if way in ("->", "<-") else " ")
        if way == "->":
            body = body[:-1] + ">"
        self.strong(f"  |{body}|  {right}".rstrip())

    def note(self, who, text):
        """What a side said of the rung above."""
        lines = wrap(text, WIDTH - 14)
        for prefix, piece in zip([f"{who}: "] + [""] * len(lines), lines):
            self.line(f"  |{prefix:>12}{piece}".ljust(WIDTH + 3) + "|")


def wrap(text, width):
    lines = [""]
    for word in text.split():
        if len(lines[-1]) + 1 + len(word) > width and lines[-1]:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return lines


class Demo:
    def __init__(self):
        self.paper = Paper()
        self.parts = []

    def starting(self, part):
        self.parts.append(part)
        return part

    def stop(self):
        for part in reversed(self.parts):
            part.stop()

    def prepare(self):
        done = self.paper.done
        self.paper.strong("Setting up")
        network.make_network()
        self.starting(Bus())
        done("two networks joined by a wire, and a system bus, all in namespaces of their own")
        operator, vendor = make_ca("Operator root"), make_ca("Vendor root")
        self.segw = self.starting(Segw(issue_segw(operator), vendor))
        version = re.search(r"strongSwan (\S+),", self.segw.log())[1]
        done(f"SeGW: strongSwan {version} as {SEGW_NAME}, at {network.SEGW_IPV4}")
        tpm = self.starting(Tpm().start())
        directory = provision("ecdsa-p256", vendor, [operator])
        tpm.stop()
        done(f"factory: tre-provision made a P-256 key in the TPM (swtpm) for {HENB_NAME};")
        done("         the vendor's CA signed its CSR; certificate and SeGW anchor installed")
        self.starting(tpm.start())
        net = self.starting(TredNet()).wait_for_socket()
        done(f"tred-net ready: pid {net.pid}, CAP_NET_ADMIN and no other capability; it has no key")
        self.tred = self.starting(Tred(directory, **{"data-plane": {"mode": "user"}}))
        self.tred.wait_for_name()
        done(f"tred ready: pid {self.tred.pid}, user tred, no capability;")
        done(f"         it alone speaks to the TPM; its helper tred-esp (pid {self.tred.helper_pid()},")
        done("         no capability, seccomp) alone will have the ESP keys")

    def connect(self):
        paper = self.paper
        self.client = self.starting(IkeClient())
        paper.line()
        paper.strong("Steps 1 to 6: ikeclient (user henb-ike, no capability, no key) connects")
        paper.line()
        paper.line(f"  HeNB{'SeGW'.rjust(WIDTH - 2)}")
        paper.line(f"  {HENB_NAME}{SEGW_NAME.rjust(WIDTH + 2 - len(HENB_NAME))}")
        for number, (way, pattern) in STEPS.items():
            self.show_step(number, way, pattern)
        if self.segw.sa_count() != 1:
            raise LabError("the SeGW lists no established IKE SA")

    def show_step(self, number, way, pattern):
        found = self.client.wait_for(
            rf"step {number} (?P<what>.*?)  (?P<who>.*?)  (?P<details>.*)  \(\+(?P<ms>[\d.]+) ms")
        seen = self.segw.wait_for(pattern)
        self.paper.rung(way, f"{number}  {found['what']}", f"+{found['ms']} ms")
        self.paper.note("HeNB", found["details"])
        self.paper.note("SeGW", seen[1])

    def show_segw_view(self):
        self.paper.line()
        self.paper.strong("The SeGW's own view (swanctl --list-sas)")
        self.paper.line()
        for line in self.segw.sas().rstrip().splitlines():
            self.paper.line(f"  {line}")

    def send_packets(self):
        paper = self.paper
        near, far = self.client.get("Addresses")[0].split("/")[0], network.INNER_IPV4
        paper.line()
        paper.strong(f"Traffic: {near} at the HeNB, {far} behind the SeGW, ESP in UDP between")
        paper.line()
        for way, sender, receiver, address in (("->", network.HENB, network.SEGW, far),
                                               ("<-", network.SEGW, network.HENB, near)):
            begun = time.monotonic()
            if ping(sender, address, count=PINGS) != PINGS:
                raise LabError(f"pings to {address} were lost")
            if not transfer(sender, receiver, address, TRANSFER):
                raise LabError(f"the stream to {address} did not come whole")
            paper.rung(way, f"ESP: {PINGS} pings, and {TRANSFER:,} octets by TCP",
                       f"{(time.monotonic() - begun) * 1000:.0f} ms")
        self.compare_counters()

    def compare_counters(self):
        """What one side sent the other received, in packets and in octets."""
        # The last acknowledgements of TCP may still be on their way.
        wait_until(lambda: self.counted()[0] == self.counted()[1], "equal counts on both sides")
        ours, _ = self.counted()
        self.paper.line()
        for side, ways in (("HeNB (tred's Children)", ("out", "in")),
                           ("SeGW (swanctl --list-sas)", ("in", "out"))):
            sent, received = ours["sent"], ours["received"]
            self.paper.line(f"  {side:26} {ways[0]:>3} {sent[1]:6,} packets {sent[0]:11,} octets"
                            f"   {ways[1]:>3} {received[1]:6,} packets {received[0]:11,} octets")
        if min(ours["sent"][0], ours["received"][0]) < TRANSFER:
            raise LabError("fewer octets were counted than crossed")

    def counted(self):
        """What crossed, from the HeNB's point of view: as tred counts it, as the SeGW does."""
        (child,), (sa,) = self.tred.children(), self.segw.traffic()
        return ({"sent": (child["BytesOut"], child["PacketsOut"]),
                 "received": (child["BytesIn"], child["PacketsIn"])},
                {"sent": sa["in"], "received": sa["out"]})

    def rekey(self):
        """Each SA by each side, while pings go on."""
        paper, pings = self.paper, self.starting(Pings(network.INNER_IPV4))
        operator = self.starting(Operator())
        paper.line()
        paper.strong("Rekeying, by either side, while pings go through the tunnel (50 a second)")
        paper.line()
        for way, what, begin in (
                ("->", "Child SA", lambda: operator.call("RekeyChildSas")),
                ("<-", "Child SA", lambda: self.segw.control("--rekey", "--child", "net")),
                ("->", "IKE SA", lambda: operator.call("RekeyIkeSa")),
                ("<-", "IKE SA", lambda: self.segw.control("--rekey", "--ike", "henb"))):
            self.show_rekey(way, what, begin)
        self.segw.wait_for(r"(?s)IKE_SA henb\[2\] rekeyed.*IKE_SA henb\[3\] rekeyed")
        wait_until(lambda: self.segw.sa_count() == 1, "one IKE SA at the SeGW")
        pings.process.wait_for(f"icmp_seq={PINGS_ON} ")
        sent, lost = pings.stop()
        if lost:
            raise LabError(f"{len(lost)} of {sent} pings were lost")
        paper.line()
        paper.line(f"  {sent} pings were sent meanwhile, and all were answered")

    def show_rekey(self, way, what, begin):
        sides = (HENB_NAME, SEGW_NAME) if way == "->" else (SEGW_NAME, HENB_NAME)
        pattern = rf"rekeyed  {' -> '.join(sides)}  {what}, (?P<details>.*)"
        answers = len(re.findall(r"CREATE_CHILD_SA response", self.segw.log()))
        begun = time.monotonic()
        begin()
        found = self.client.wait_for(pattern)
        ms = (time.monotonic() - begun) * 1000
        seen = wait_until(
            lambda: re.findall(r"((?:parsed|generating) CREATE_CHILD_SA response \d+ \[.*\])",
                               self.segw.log())[answers:], "CREATE_CHILD_SA at the SeGW")
        self.paper.rung(way, f"   CREATE_CHILD_SA request, for the {what}", f"{ms:.0f} ms")
        self.paper.note("HeNB", found["details"])
        self.paper.note("SeGW", seen[0])
        wait_until(lambda: len(self.client.get("ChildSas")) == 1 and len(self.tred.exchanges()) == 1,
                   "the end of what was replaced")

    def step_7(self):
        paper = self.paper
        paper.line()
        paper.strong("Step 7: the HeNB connects once more, and the SeGW deletes the old IKE SA")
        paper.line()
        operator = self.starting(Operator())
        operator.call("Connect")
        again = self.client.wait_for(r"(?s)established .*established .*\((?P<ms>[\d.]+) ms\)")
        again_at_segw = self.segw.wait_for(r"(IKE_SA henb\[4\] established) between")
        paper.rung("", "1-6  again, for another IKE SA", f"+{again['ms']} ms")
        paper.note("SeGW", again_at_segw[1])
        found = self.client.wait_for(r"(?s)established  .*established  .*?"
                                     r"step 7 (?P<what>.*?)  .*?  (?P<details>[^\n]*?)  \(\+")
        deleted = self.segw.wait_for(r"(sending DELETE for IKE_SA henb\[3\])")
        answer = self.segw.wait_for(r"(parsed INFORMATIONAL response \d+ \[ \])")
        paper.rung("<-", f"7  {found['what']}")
        paper.note("SeGW", deleted[1])
        paper.note("HeNB", found["details"])
        paper.rung("->", "   INFORMATIONAL response")
        wait_until(lambda: self.segw.sa_count() == 1, "one IKE SA at the SeGW")
        paper.note("SeGW", f"{answer[1]}: the old IKE SA is gone, the new one stays")

    def clean_up(self):
        self.paper.line()
        self.paper.strong("Cleaning up")
        self.client.stop()
        self.segw.wait_for(r"received DELETE for IKE_SA henb\[4\]")
        self.paper.done("ikeclient stopped, and told the SeGW so: it has no IKE SA left")
        wait_until(lambda: not has_interface(), "the end of the tunnel's interface")
        self.paper.done("segw0, its addresses and routes are gone")
        self.stop()
        self.paper.done("all stopped; the namespaces end with this process, and leave nothing")
        self.paper.line()
        self.paper.strong("Every step was seen on both sides, and both counted the same packets.")


def main():
    demo = Demo()
    try:
        demo.prepare()
        demo.connect()
        demo.send_packets()
        demo.show_segw_view()
        demo.rekey()
        demo.step_7()
        demo.clean_up()
    except LabError as error:
        print(f"\nThe demonstration failed: {error}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
