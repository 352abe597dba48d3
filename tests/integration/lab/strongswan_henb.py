"""strongSwan as the HeNB, with a software key: what ours is compared with."""

from pathlib import Path
from string import Template

from cryptography.x509.oid import ExtendedKeyUsageOID

from lab.network import HENB, INNER_IPV4, SEGW_IPV4
from lab.pki import HENB_NAME, SEGW_NAME, issue, make_key
from lab.process import BIN, Process, run, scratch, wait_until
from lab.segw import TEMPLATES


class StrongswanHenb:
    """A running charon that trusts `operator_root` and has a certificate of `vendor_root`."""

    def __init__(self, vendor_root, operator_root, esp_proposals):
        self.directory = scratch("strongswan-henb")
        self._write_credentials(vendor_root, operator_root)
        wishes = {"directory": self.directory, "charon": "", "log": 1, "esp": "kernel-libipsec",
                  "segw": SEGW_IPV4, "segw_name": SEGW_NAME, "henb_name": HENB_NAME,
                  "inner": INNER_IPV4, "esp_proposals": esp_proposals}
        for name, target in [("strongswan.conf", "strongswan.conf"),
                             ("henb-swanctl.conf", "swanctl/swanctl.conf")]:
            template = Template((TEMPLATES / f"{name}.in").read_text())
            (self.directory / target).write_text(template.substitute(wishes))
        # One charon a machine is what it wants; a SeGW's runs already.
        Path("/run/charon.pid").unlink(missing_ok=True)
        self.process = Process("charon", [BIN / "charon"], namespace=HENB, env=self._environment())
        wait_until((self.directory / "vici").exists, "charon", 10)
        self._control("--load-all")

    def _environment(self):
        return {"STRONGSWAN_CONF": str(self.directory / "strongswan.conf"),
                "SWANCTL_DIR": str(self.directory / "swanctl")}

    def _write_credentials(self, vendor_root, operator_root):
        store = self.directory / "swanctl"
        for folder in ["x509", "x509ca", "private"]:
            (store / folder).mkdir(parents=True)
        key = make_key("ecdsa-p256")
        credential = issue(vendor_root, HENB_NAME, key.public_key(), ExtendedKeyUsageOID.CLIENT_AUTH)
        credential.key = key
        (store / "x509" / "henb.crt").write_bytes(credential.pem())
        (store / "private" / "henb.key").write_bytes(credential.key_pem())
        (store / "x509ca" / "operator-ca.crt").write_bytes(operator_root.pem())

    def _control(self, *arguments):
        return run([BIN / "swanctl", *arguments, "--uri", f"unix://{self.directory}/vici"],
                   env=self._environment()).stdout

    def initiate(self):
        self._control("--initiate", "--child", "net")

    def stop(self):
        self.process.stop()
