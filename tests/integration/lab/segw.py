"""strongSwan as the SeGW: started with a test's wishes, asked what it saw and which keys it has."""

import re
import socket
from dataclasses import dataclass
from pathlib import Path
from string import Template

from lab.network import INNER_IPV4, INNER_IPV6, SEGW
from lab.pki import SEGW_NAME
from lab.process import BIN, LabError, Process, run, scratch, wait_until

TEMPLATES = Path(__file__).resolve().parents[2] / "peers" / "strongswan"
IKE_PROPOSALS = ("aes128gcm16-prfsha256-ecp256,aes256gcm16-prfsha384-ecp384,"
                 "aes128-sha256-prfsha256-ecp256,aes128gcm16-prfsha256-modp2048")
# What strongSwan 6 calls otherwise than 5.9: that of an IKE SA and of a Child SA alike, told apart by who logs it.
RENAMED = {("IKE", "key exchange secret"): "shared Diffie Hellman secret", ("CHD", "key exchange secret"): "DH secret"}
ESP_PROPOSALS = "aes128gcm16,aes256gcm16,aes128-sha256"


def log_levels(quiet, ike=1):
    """strongswan.conf's log levels; -1 is silence."""
    return {name: -1 if quiet else level for name, level in
            (("level", 1), ("least", 0), ("log", ike))}


@dataclass
class SegwOptions:
    """How a test's SeGW differs from the ordinary one."""

    proposals: str = IKE_PROPOSALS
    esp_proposals: str = ESP_PROPOSALS
    identity: str = SEGW_NAME  # what it puts into IDr
    pools: str = "ipv4, ipv6"
    pool_ipv4: str = "10.210.0.0/24"
    dns_ipv4: str = "10.200.0.53"
    local_ts: str = f"{INNER_IPV4}/32, {INNER_IPV6}/128"  # what can be reached through it
    charon: str = ""  # more lines of strongswan.conf's section charon
    more_plugins: str = ""
    connection: str = ""  # more lines of the connection
    child: str = ""
    mobike: str = "no"
    unique: str = "replace"  # what becomes of an older IKE SA of the same HeNB
    namespace: str = SEGW  # where it is
    esp: bool = True  # False: no ESP back end
    log_keys: bool = False
    quiet: bool = False  # True: no log, for measurements of time


class Segw:
    """A running charon with `credential` as its own, trusting `vendor_root` for HeNBs."""

    def __init__(self, credential, vendor_root, options=SegwOptions()):
        self.directory = scratch("segw")
        self.options = options
        self._write_configuration(credential, vendor_root)
        Path("/run/charon.pid").unlink(missing_ok=True)  # there may be another, elsewhere
        self.process = Process("charon", [BIN / "charon"], namespace=options.namespace,
                               env=self._environment())
        wait_until(self._answers, "charon")
        self.control("--load-all")

    def _answers(self):
        if not self.process.running():
            raise LabError(f"charon ended with {self.process.popen.returncode}:\n"
                           f"{self.process.output()}")
        with socket.socket(socket.AF_UNIX) as sock:
            return sock.connect_ex(str(self.directory / "vici")) == 0

    def _environment(self):
        return {"STRONGSWAN_CONF": str(self.directory / "strongswan.conf"),
                "SWANCTL_DIR": str(self.directory / "swanctl")}

    def _write_configuration(self, credential, vendor_root):
        store = self.directory / "swanctl"
        for folder in ["x509", "x509ca", "private"]:
            (store / folder).mkdir(parents=True)
        self._write_credential(credential)
        (store / "x509ca" / "vendor-ca.crt").write_bytes(vendor_root.pem())
        for number, issuer in enumerate(credential.issuers):
            (store / "x509ca" / f"issuer{number}.crt").write_bytes(issuer.pem())
        wishes = dict(vars(self.options), directory=self.directory,
                      **log_levels(self.options.quiet, 4 if self.options.log_keys else 2),
                      plugins=f"{'kernel-libipsec' if self.options.esp else ''} {self.options.more_plugins}")
        for name, target in [("strongswan.conf", self.directory), ("swanctl.conf", store)]:
            template = Template((TEMPLATES / f"{name}.in").read_text())
            (target / name).write_text(template.substitute(wishes))

    def _write_credential(self, credential):
        store = self.directory / "swanctl"
        (store / "x509" / "segw.crt").write_bytes(credential.pem())
        (store / "private" / "segw.key").write_bytes(credential.key_pem())

    def replace_credential(self, credential):
        """A new certificate and key of the same issuers, for the IKE SAs to come."""
        self._write_credential(credential)
        self.control("--load-all", "--clear")

    def change_pools(self, pools):
        """Other pools than the options said, for the IKE SAs to come."""
        self._change("pools", pools)

    def change_dns(self, servers):
        """Other DNS servers than the options said, for the IKE SAs to come."""
        self._change("dns", servers)

    def _change(self, key, value):
        file = self.directory / "swanctl" / "swanctl.conf"
        file.write_text(re.sub(rf"(?m)^( *{key} = ).*$", rf"\g<1>{value}", file.read_text()))
        self.control("--load-all")

    def control(self, *arguments, check=True):
        """swanctl; its output is returned."""
        return run([BIN / "swanctl", *arguments, "--uri", f"unix://{self.directory}/vici"],
                   env=self._environment(), check=check).stdout

    def log(self):
        return (self.directory / "charon.log").read_text(errors="replace")

    def version(self):
        """Its major version: 5 in Debian 12, 6 in Debian 13."""
        return int(self.wait_for(r"\(strongSwan (\d+)\.")[1])

    def wait_for(self, pattern, seconds=10.0):
        return wait_until(lambda: re.search(pattern, self.log(), re.MULTILINE),
                          f"/{pattern}/ in the SeGW's log", seconds)

    def sas(self):
        return self.control("--list-sas")

    def sa_count(self):
        return len(re.findall(r"^henb: #\d+, ESTABLISHED", self.sas(), re.MULTILINE))

    def leaving(self):
        """Whether it has an IKE SA that is to be deleted."""
        return re.search(r"^henb: #\d+, (?:DELETING|REKEYED|REKEYING)", self.sas(), re.MULTILINE) is not None

    def traffic(self):
        """What its Child SAs carried, the oldest first: {"in": (bytes, packets), "out": ...}."""
        found = re.findall(r"^ +(in|out) +[0-9a-f]{8}[^,\n]*, +(\d+) bytes, +(\d+) packets",
                           self.sas(), re.MULTILINE)
        numbers = [(way, (int(octets), int(packets))) for way, octets, packets in found]
        return [dict(pair) for pair in zip(numbers[::2], numbers[1::2])]

    def secrets(self):
        """What it logged of keys: {"Sk_d": [bytes, ...], ...}, in the words of 5.9's log."""
        found = {}
        pattern = (r"\[(?P<group>[A-Z]+)\] (?P<name>[^\n]*?) => (?P<size>\d+) bytes @ 0x[0-9a-f]+\n"
                   r"(?P<dump>(?:.*\]\s+\d+: (?:[0-9A-F]{2} )+ .*\n)+)")
        for match in re.finditer(pattern, self.log()):
            octets = "".join(re.findall(r"\]\s+\d+: ((?:[0-9A-F]{2} )+)", match["dump"]))
            octets = bytes.fromhex(octets)[:int(match["size"])]
            name = RENAMED.get((match["group"], match["name"]), match["name"])
            found.setdefault(name, []).append(octets)
        return found

    def stop(self):
        self.process.stop()
