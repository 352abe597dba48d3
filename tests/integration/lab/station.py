"""A manufacturing station: TPMs with EK certificates as their vendor makes them, and tre-provision
run on them. TPMs are reached by Unix sockets, so there may be many at once."""

import shutil
import socket
import struct
import subprocess
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import serialization

from lab.pki import Flaws, issue, make_ca
from lab.process import BIN, LabError, listens, run, scratch, wait_until
from lab.programs import write_ini

TRANSIENT, LOADED_SESSION, SAVED_SESSION = 0x80000000, 0x02000000, 0x03000000
PERSISTENT, NV_INDEX = 0x81000000, 0x01000000


class TpmVendor:
    """Makes TPMs: fresh states with an EK and a certificate for it, issued by a CA of its own."""

    def __init__(self):
        self.folder = scratch("tpm-vendor")
        ca = self.folder / "ca"
        ca.mkdir()
        (self.folder / "localca.conf").write_text(
            f"statedir = {ca}\nsigningkey = {ca}/signkey.pem\n"
            f"issuercert = {ca}/issuercert.pem\ncertserial = {ca}/certserial\n")
        (self.folder / "localca.options").write_text(
            "--platform-manufacturer Lab\n--platform-version 1\n--platform-model HeNB\n")
        (self.folder / "setup.conf").write_text(
            "create_certs_tool = /usr/bin/swtpm_localca\n"
            f"create_certs_tool_config = {self.folder}/localca.conf\n"
            f"create_certs_tool_options = {self.folder}/localca.options\n")

    def root_pem(self):
        """The certificates that an EK's chain ends in; there once a TPM was made."""
        return b"".join(path.read_bytes() for path in
                        sorted((self.folder / "ca").glob("*cert.pem")))

    def make(self, state):
        """A TPM's state in a new folder."""
        state.mkdir(parents=True)
        run(["swtpm_setup", "--tpm2", "--tpmstate", state, "--create-ek-cert",
             "--config", self.folder / "setup.conf", "--tcsd-system-ps-file", "/dev/null",
             "--pcr-banks", "sha256", "--lock-nvram"])
        (state / ".lock").unlink(missing_ok=True)
        return state


class EccTpmVendor:
    """The same with EKs on P-256, which TPMs make a hundred times as fast as RSA keys."""

    INDEX, EK_CERTIFICATE = "0x01c0000a", x509.ObjectIdentifier("2.23.133.8.1")

    def __init__(self):
        self.root = make_ca("TPM vendor")

    def root_pem(self):
        return self.root.pem()

    def make(self, state):
        state.mkdir(parents=True)
        folder = scratch("ek")
        tpm = UnixTpm(state).start()
        try:
            environment = {"TPM2TOOLS_TCTI": tpm.tcti}
            run(["tpm2_createek", "-G", "ecc", "-c", folder / "context", "-f", "pem",
                 "-u", folder / "ek.pem"], env=environment)
            certificate = self._certify((folder / "ek.pem").read_bytes())
            (folder / "ek.der").write_bytes(certificate)
            run(["tpm2_nvdefine", self.INDEX, "-C", "p", "-s", str(len(certificate)), "-a",
                 "ppwrite|ppread|authread|ownerread|no_da|platformcreate"], env=environment)
            run(["tpm2_nvwrite", self.INDEX, "-C", "p", "-i", folder / "ek.der"], env=environment)
        finally:
            tpm.stop()
        return state

    def _certify(self, ek_pem):
        return issue(self.root, "ek", serialization.load_pem_public_key(ek_pem),
                     self.EK_CERTIFICATE, Flaws(usages=("key_agreement",))).der()


class UnixTpm:
    """A TPM that is on from start() to stop(), reached by `tcti`; its state is `state`."""

    def __init__(self, state):
        self.state = state
        self.socket = state / "socket"
        self.tcti = f"swtpm:path={self.socket}"
        self.popen = None

    def start(self):
        self._unlink()
        self.popen = subprocess.Popen(
            [BIN / "swtpm", "socket", "--tpm2", "--tpmstate", f"dir={self.state}",
             "--flags", "not-need-init,startup-clear",
             "--server", f"type=unixio,path={self.socket}",
             "--ctrl", f"type=unixio,path={self.socket}.ctrl"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_until(lambda: listens(f"{self.socket}.ctrl") and listens(self.socket), "swtpm")
        return self

    def stop(self):
        self.popen.kill()
        self.popen.wait()
        self._unlink()

    def _unlink(self):
        for path in (self.socket, Path(f"{self.socket}.ctrl"), self.state / ".lock"):
            path.unlink(missing_ok=True)

    def handles(self, first):
        """The handles in the TPM of the kind that begins with `first` (TPM2_GetCapability)."""
        command = struct.pack("!HIIIII", 0x8001, 22, 0x17A, 1, first, 254)
        response = self._transmit(command)
        code, _, _, count = struct.unpack_from("!IBII", response, 6)
        if code != 0:
            raise LabError(f"TPM2_GetCapability: {code:#x}")
        return set(struct.unpack_from(f"!{count}I", response, 19))

    def _transmit(self, command):
        # Who was killed may have left a response in the socket that it never took; another
        # connection has none.
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(self.socket))
            connection.sendall(command)
            header = connection.recv(6, socket.MSG_WAITALL)
            size, = struct.unpack_from("!I", header, 2)
            return header + connection.recv(size - 6, socket.MSG_WAITALL)


class Station:
    """What all devices of a line share: the profile, and the files that it names.

    With a TPM vendor, the station certifies the devices whose TPMs are that vendor's. With
    `guarded`, the anchors have an operator's approval, and the TPMs guard them."""

    def __init__(self, vendor=None, guarded=False, **changes):
        self.folder = scratch("station")
        self.operator_root = make_ca("Operator root")
        (self.folder / "anchors.pem").write_bytes(self.operator_root.pem())
        sections = {
            "device": {"fqdn": "henb-{serial}.vendor.example",
                       "state-dir": self.folder / "{serial}"},
            "anchors": {"file": self.folder / "anchors.pem"},
        }
        if vendor:
            self.devices_ca = make_ca("Devices CA")
            for name, content in (("ca.pem", self.devices_ca.pem()),
                                  ("ca.key", self.devices_ca.key_pem()),
                                  ("ek-anchors.pem", vendor.root_pem())):
                (self.folder / name).write_bytes(content)
            sections["certificate"] = {"ca-certificate": self.folder / "ca.pem",
                                       "ca-key": self.folder / "ca.key",
                                       "ek-anchors": self.folder / "ek-anchors.pem"}
        if guarded:
            sections["anchors"]["operator-key"] = self._approve_anchors()
        for section, keys in changes.items():
            sections.setdefault(section, {}).update(keys)
        self.profile = write_ini(self.folder / "line.conf", sections)

    def _approve_anchors(self):
        """The operator's public key."""
        private, public = self.folder / "operator.key", self.folder / "operator.pem"
        run(["openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256",
             "-out", private])
        run(["openssl", "pkey", "-in", private, "-pubout", "-out", public])
        run([BIN / "tre-provision", "sign-anchors", "--key", private, "--anchors-version", "1",
             "--first", self.folder / "anchors.pem"])
        return public

    def device_folder(self, serial):
        return self.folder / serial

    def tool(self, command, *arguments, check=True, stdin=None):
        """Runs tre-provision with this station's profile."""
        return run([BIN / "tre-provision", command, "--profile", self.profile, *arguments],
                   check=check, stdin=stdin)


def copy_tpm(state, to):
    """A TPM in the same state as one that is off."""
    shutil.copytree(state, to)
    return UnixTpm(to)
