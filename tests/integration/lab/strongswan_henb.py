"""strongSwan as the HeNB, its key in software or in a TPM: what ours is compared with."""

from dataclasses import dataclass
from pathlib import Path
from string import Template

from cryptography.hazmat.primitives.serialization import load_pem_public_key
from cryptography.x509.oid import ExtendedKeyUsageOID

from lab.network import HENB, INNER_IPV4, SEGW_IPV4
from lab.pki import HENB_NAME, SEGW_NAME, issue, make_key
from lab.process import BIN, Process, listens, run, scratch, wait_until
from lab.segw import TEMPLATES, log_levels
from lab.tpm import PORT

TCTI_LIBRARIES = Path("/usr/lib/x86_64-linux-gnu")
# Both name their scheme: strongSwan 5.9.8 has no use for a key that leaves it open.
TPM_KEYS = {"ecdsa-p256": ("0x81010001", "ecc256:ecdsa-sha256"),
            "rsa-2048": ("0x81010002", "rsa2048:rsassa-sha256")}


@dataclass
class TpmKey:
    """A device key as strongSwan's TPM plugin uses it: persistent, by its handle."""

    handle: str
    public_key: object


def make_tpm_key(tpm, algorithm):
    """Makes a device key in a running TPM."""
    handle, kind = TPM_KEYS[algorithm]
    place = scratch("tpm-key")

    def step(name, *arguments):
        tpm.tool(name, "-Q", *arguments)
        tpm.tool("tpm2_flushcontext", "-t")  # nobody else frees the TPM's few slots

    step("tpm2_createprimary", "-C", "o", "-G", "ecc256", "-c", place / "parent")
    # noda: the power cuts of the lab lock no key, and strongSwan 5.9.8 gives up at the TPM_RC_RETRY
    # with which a TPM answers the first use of one that could be locked.
    step("tpm2_create", "-C", place / "parent", "-G", kind, "-u", place / "public", "-r",
         place / "private", "-a",
         "fixedtpm|fixedparent|sensitivedataorigin|userwithauth|noda|sign")
    step("tpm2_load", "-C", place / "parent", "-u", place / "public", "-r", place / "private",
         "-c", place / "key")
    step("tpm2_evictcontrol", "-C", "o", "-c", place / "key", handle)
    step("tpm2_readpublic", "-c", handle, "-f", "pem", "-o", place / "pem")
    return TpmKey(handle, load_pem_public_key((place / "pem").read_bytes()))


def show_swtpm_as_mssim():
    """libtpmtss 5.9.8 takes no TCTI but device, tabrmd and mssim: in this world mssim is swtpm's."""
    run(["mount", "--bind", TCTI_LIBRARIES / "libtss2-tcti-swtpm.so.0",
         TCTI_LIBRARIES / "libtss2-tcti-mssim.so.0"])


@dataclass
class HenbOptions:
    """How this HeNB differs from one with a software key that waits to be told to connect."""

    ike_proposals: str = "aes128gcm16-prfsha256-ecp256"
    esp_proposals: str = "aes128gcm16"
    namespace: str = HENB
    segw: str = SEGW_IPV4
    tpm_key: TpmKey = None
    tpm_port: int = PORT
    connect_at_start: bool = False
    quiet: bool = False
    under: tuple = ()  # the words of a command that runs charon


class StrongswanHenb:
    """A charon that trusts `operator_root` and has a certificate of `issuer`."""

    def __init__(self, issuer, operator_root, options=HenbOptions()):
        self.directory = scratch("strongswan-henb")
        self.vici_path = self.directory / "vici"
        self._write_credentials(issuer, operator_root, options)
        self._write_configuration(options)
        # One charon a machine is what it wants; a SeGW's runs already.
        Path("/run/charon.pid").unlink(missing_ok=True)
        self.process = Process("charon", [*options.under, BIN / "charon"], namespace=options.namespace,
                               env=self._environment())

    def wait_until_ready(self):
        wait_until(lambda: listens(self.vici_path, self.process.pid), "charon", 10)
        self.load()
        return self

    def load(self):
        """Gives charon its credentials and its connection, as a unit of systemd's would."""
        self._control("--load-all")

    def _environment(self):
        return {"STRONGSWAN_CONF": str(self.directory / "strongswan.conf"),
                "SWANCTL_DIR": str(self.directory / "swanctl")}

    def _write_configuration(self, options):
        wishes = dict(vars(options), **log_levels(options.quiet), directory=self.directory,
                      charon="", plugins="kernel-libipsec", secrets="", segw_name=SEGW_NAME,
                      henb_name=HENB_NAME, inner=INNER_IPV4,
                      start_action="start" if options.connect_at_start else "none")
        if options.tpm_key:
            wishes |= {"plugins": "kernel-libipsec tpm",
                       "charon": (TEMPLATES / "henb-tpm.conf.in").read_text(),
                       "secrets": f'token_tpm {{ handle = {options.tpm_key.handle[2:]}\n'
                                  '    pin = "" }'}
            wishes["charon"] = Template(wishes["charon"]).substitute(wishes)
        for name, target in [("strongswan.conf", "strongswan.conf"),
                             ("henb-swanctl.conf", "swanctl/swanctl.conf")]:
            template = Template((TEMPLATES / f"{name}.in").read_text())
            (self.directory / target).write_text(template.substitute(wishes))

    def _write_credentials(self, issuer, operator_root, options):
        store = self.directory / "swanctl"
        for folder in ["x509", "x509ca", "private"]:
            (store / folder).mkdir(parents=True)
        key = None if options.tpm_key else make_key("ecdsa-p256")
        public_key = key.public_key() if key else options.tpm_key.public_key
        credential = issue(issuer, HENB_NAME, public_key, ExtendedKeyUsageOID.CLIENT_AUTH)
        credential.key = key
        (store / "x509" / "henb.crt").write_bytes(credential.pem())
        if key:
            (store / "private" / "henb.key").write_bytes(credential.key_pem())
        for number, intermediate in enumerate(credential.intermediates()):
            (store / "x509ca" / f"issuer{number}.crt").write_bytes(intermediate.pem())
        (store / "x509ca" / "operator-ca.crt").write_bytes(operator_root.pem())

    def _control(self, *arguments):
        return run([BIN / "swanctl", *arguments, "--uri", f"unix://{self.vici_path}"],
                   env=self._environment()).stdout

    def initiate(self):
        self._control("--initiate", "--child", "net")

    def log(self):
        return (self.directory / "charon.log").read_text(errors="replace")

    def stop(self):
        self.process.stop()
