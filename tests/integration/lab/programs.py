"""The project's own programs, each as it is shipped: its own user, and no capability that it can do
without."""

import re
import shutil
from pathlib import Path

from lab.anchors import AnchorSigner
from lab.bus import BusError, Connection
from lab.network import HENB, SEGW_IPV4
from lab.pki import HENB_NAME, SEGW_NAME, issue_from_csr
from lab.process import BIN, LAB, LabError, Process, listens, run, scratch, wait_until
from lab.tpm import TCTI

TRED, TRED_PATH = "org.tred.TrE1", "/org/tred/TrE1"
MANAGER, EXCHANGE = "org.tred.TrE1.Manager", "org.tred.TrE1.Exchange"
NET_SOCKET = LAB / "tred-net" / "socket"
CLIENT, CLIENT_PATH = "org.tred.IkeClient1", "/org/tred/IkeClient1"


def write_ini(path, sections):
    """{section: {key: value}} as an INI file."""
    lines = []
    for section, keys in sections.items():
        lines += [f"[{section}]", *(f"{key} = {value}" for key, value in keys.items())]
    path.write_text("\n".join(lines) + "\n")
    return path


def merge(sections, changes):
    for section, keys in changes.items():
        sections.setdefault(section, {}).update(keys)
    return sections


class BusProgram(Process):
    """A program that owns a name on the bus; anyone may read its properties: here, nobody does."""

    name_on_bus, path, interface = None, None, None

    def get(self, name):
        connection = Connection("nobody")
        try:
            return connection.get(self.name_on_bus, self.path, self.interface, name)
        finally:
            connection.close()

    def assert_running(self):
        if not self.running():
            raise LabError(f"{self.name} ended with {self.popen.returncode}:\n{self.output()}")

    def wait_for_name(self):
        connection = Connection("nobody")
        try:
            def look():
                self.assert_running()
                return connection.has_owner(self.name_on_bus)

            wait_until(look, f"{self.name_on_bus} on the bus")
        finally:
            connection.close()
        return self

    def wait_for_state(self, *states, seconds=10.0):
        """Waits until the property State is one of `states`, and returns it."""

        def look():
            self.assert_running()
            try:
                state = self.get("State")
            except BusError:  # not on the bus yet
                return None
            return state if state in states else None

        try:
            return wait_until(look, f"{self.name} to be {' or '.join(states)}", seconds)
        except LabError as error:
            raise LabError(f"{error}; it said:\n{self.output()}") from None


def tred_sections(directory, **changes):
    """tred.conf for the files of `directory`, as provision() left them."""
    return merge({
        "tpm": {"tcti": TCTI, "srk-name": directory / "srk.name"},
        "identity": {"key": directory / "device.pem", "certificates": directory / "device.crt",
                     "policy-key": directory / "policy-key.pem",
                     "pcr-signatures": directory / "pcr-signatures"},
        "segw": {"name": SEGW_NAME, "anchors": directory / "segw-anchors.pem",
                 "verifier": BIN / "tred-verify"},
        "data-plane": {"mode": "none", "net-socket": NET_SOCKET, "esp-helper": BIN / "tred-esp"},
    }, changes)


def program_of(pid):
    """What a process runs; empty once it has ended."""
    try:
        return Path(f"/proc/{pid}/comm").read_text().rstrip("\n")
    except (FileNotFoundError, ProcessLookupError):
        return ""


def children_of(pid, name):
    """The processes of that name that process `pid` has started and not ended."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(child) for child in children if program_of(child) == name]


class TredNet(Process):
    """tred-net, which tred's data plane is configured by, without a systemd to start it.

    `at_connection`: its socket is there, and the first connection starts it, as tred-net.socket has it.
    `watched`: it gives signs of life, and wakes up for that twice in its WatchdogSec."""

    def __init__(self, namespace=HENB, user="tred", capabilities=("net_admin",), path=NET_SOCKET,
                 at_connection=False, unprotect_after=30, watched=True):
        path.parent.mkdir(exist_ok=True)
        path.unlink(missing_ok=True)
        shutil.chown(path.parent, "tred-net")
        program = [BIN / "tred-net", "--user", user, "--unprotect-after", str(unprotect_after)]
        # As systemd starts it, whatever nohup(1) left to whoever started the tests: its unit ends it by SIGHUP. At the
        # front, so that a connection starts tred-net and nothing before it.
        argv = ["env", "--default-signal=HUP",
                *(["systemd-socket-activate", "--seqpacket", "--listen", path, *program]
                  if at_connection else [*program, "--socket", path])]
        super().__init__("tred-net", argv,
                         namespace=namespace, user="tred-net", capabilities=capabilities,
                         # As its unit has it told: signs of life, which nobody here waits for.
                         env={"NOTIFY_SOCKET": "@tred-net", "WATCHDOG_USEC": "1000000"} if watched else None)
        self.path = path

    def wait_for_socket(self):
        wait_until(lambda: not self.running() or listens(self.path, self.pid), "tred-net's socket")
        self.path.chmod(0o666)  # systemd-socket-activate gives it to nobody but its owner
        return self


class TredTpm(Process):
    """The service that has the TPM, without a systemd: its socket is there, each connection starts a tred-tpm, as
    tred-tpm.socket has it, and when that has ended, the next one does."""

    def __init__(self, namespace=HENB, user="tred", under=(), path=None):
        self.path = path or scratch("tred-tpm") / "socket"
        self.path.unlink(missing_ok=True)
        shutil.chown(self.path.parent, "tred-tpm")
        super().__init__("tred-tpm", ["systemd-socket-activate", "--accept", "--seqpacket", "--listen", self.path,
                                      *under, BIN / "tred-tpm", "--connected", "--user", user],
                         namespace=namespace, user="tred-tpm", groups=("tred",))
        wait_until(lambda: not self.running() or listens(self.path, self.pid), "tred-tpm's socket")
        self.path.chmod(0o666)  # systemd-socket-activate gives it to nobody but its owner

    def pids(self):
        """Of each tred-tpm that serves."""
        return children_of(self.pid, "tred-tpm")


def of_each_exchange(name):
    """That property of each exchange of tred's, the oldest first; of none that ended since it was listed."""
    connection = Connection("nobody")
    root = f"{TRED_PATH}/exchange"
    values = []
    try:
        numbers = re.findall(r'<node name="(\d+)"', connection.introspect(TRED, root))
        for number in sorted(map(int, numbers)):
            try:
                values.append(connection.get(TRED, f"{root}/{number}", EXCHANGE, name))
            except BusError as error:
                if error.name != "org.freedesktop.DBus.Error.UnknownObject":
                    raise
        return values
    finally:
        connection.close()


class Tred(BusProgram):
    name_on_bus, path, interface = TRED, TRED_PATH, MANAGER

    def __init__(self, directory, under=(), tpm_under=(), **sections):
        """With the files of `directory`, as provision() left them; `sections` change tred.conf.

        It has no capability, and a tred-tpm of its own beside it. `under` are the words of a command that runs it,
        such as a profiler; `tpm_under` those of one that runs tred-tpm."""
        self.tpm_service = TredTpm(under=tpm_under)
        sections = merge({"tpm": {"socket": self.tpm_service.path}}, sections)
        configuration = write_ini(scratch("tred.conf") / "tred.conf",
                                  tred_sections(directory, **sections))
        super().__init__("tred", [*under, BIN / "tred", "--config", configuration], namespace=HENB,
                         user="tred")

    def stop(self, seconds=8.0):
        status = super().stop(seconds)
        self.tpm_service.stop()
        return status

    def wait_for_name(self):
        """On the bus, and done with its TPM, whatever came of that."""
        super().wait_for_name()
        wait_until(lambda: self.get("State") != "loading", "tred to have loaded its identity")
        return self

    def exchanges(self):
        """The numbers of its exchanges, which are IKE SAs."""
        connection = Connection("nobody")
        try:
            names = re.findall(r'<node name="(\d+)"',
                               connection.introspect(TRED, f"{TRED_PATH}/exchange"))
            return sorted(map(int, names))
        finally:
            connection.close()

    def children(self):
        """Every Child SA as its exchange shows it on the bus, the oldest exchange first."""
        return [{name: value for name, (_, value) in child.items()}
                for children in of_each_exchange("Children") for child in children]

    def child_pids(self, name):
        """The processes of that name that tred has started and not ended."""
        return children_of(self.pid, name)

    def helper_pid(self):
        """tred-esp, which moves packets."""
        pid, = self.child_pids("tred-esp")
        return pid

    def tpm_pid(self):
        """tred-tpm, which has the TPM."""
        return wait_until(self.tpm_service.pids, "tred-tpm")[-1]

    def verifier_pid(self):
        """The tred-verify that judges, once it has read all that it was handed."""
        return wait_until(lambda: self.child_pids("tred-verify"), "tred-verify")[-1]


class IkeClient(BusProgram):
    name_on_bus, path, interface = CLIENT, CLIENT_PATH, CLIENT

    def __init__(self, *arguments, under=(), state=None, **sections):
        """`state` is the folder that its unit's StateDirectory would be."""
        configuration = write_ini(scratch("ikeclient.conf") / "ikeclient.conf", merge({
            "segw": {"address": SEGW_IPV4},
            "connection": {"reconnect": "no"},
        }, sections))
        super().__init__("ikeclient", [*under, BIN / "ikeclient", "--config", configuration,
                                       *arguments], namespace=HENB, user="henb-ike",
                         env={"STATE_DIRECTORY": str(state) if state else ""})


class ClientConnection(BusProgram):
    """One of the connections of an ikeclient."""

    def __init__(self, client, name):  # pylint: disable=super-init-not-called
        self.client, self.name = client, f"connection {name}"
        self.name_on_bus, self.interface = CLIENT, CLIENT
        self.path = f"{CLIENT_PATH}/connection/{name}"

    def assert_running(self):
        self.client.assert_running()

    def output(self):
        return self.client.output()


class Operator:
    """Root, who may tell ikeclient to connect and disconnect."""

    def __init__(self):
        self.bus = Connection("root")

    def call(self, method, path=CLIENT_PATH):
        self.bus.call(CLIENT, path, CLIENT, method)

    def stop(self):
        self.bus.close()


def provisioning_tool(state, *arguments, tcti=TCTI, check=True):
    """Runs tre-provision for the device whose files are in `state`."""
    return run([BIN / "tre-provision", "--tcti", tcti, "--state-dir", state, *arguments],
               namespace=HENB, check=check)


OWNER_AUTH = "known-here"  # in the place of the step lock's, which nobody knows
GUARD_INDICES = ("0x01801101", "0x01801102", "0x01801103")


def provision_step(state, profile, step, tcti=TCTI):
    provisioning_tool(state, "step", step, "--profile", profile, tcti=tcti)


def lock_owner(tcti):
    """What the step lock does, with a value that the lab knows."""
    run(["tpm2_changeauth", "-c", "o", OWNER_AUTH], namespace=HENB, env={"TPM2TOOLS_TCTI": tcti})


def unlock_owner(tcti):
    run(["tpm2_changeauth", "-c", "o", "-p", OWNER_AUTH], namespace=HENB,
        env={"TPM2TOOLS_TCTI": tcti}, check=False)


def provision(algorithm, vendor_ca, anchors, vendor=None, tcti=TCTI, signer=None):
    """Does what the factory does: a key in the (running) TPM, its certificate, the SeGW's anchors.

    With a policy Vendor, the key is under its policy, which approves of the platform as it is now,
    and the TPM guards the anchors, as version 1 of the AnchorSigner's, and the time: a TPM of
    their own, then, as it would not vouch for other devices' anchors.
    Returns the directory with what tred reads; all in it belongs to tred."""
    state, inbox = scratch("factory") / "state", scratch("inbox")
    if vendor:
        signer = signer or AnchorSigner()
        bundle = signer.sign(1, anchors, "--first")
        profile = vendor.profile(inbox, algorithm,
                                 {"file": bundle, "operator-key": signer.public})
        # Of the device that this TPM was in before:
        unlock_owner(tcti)
        for index in GUARD_INDICES:
            run(["tpm2_nvundefine", "-C", "o", index], namespace=HENB,
                env={"TPM2TOOLS_TCTI": tcti}, check=False)
        for step in ("storage-root-key", "platform-policy", "device-key", "csr", "nv-index",
                     "last-known-time", "anchors"):
            provision_step(state, profile, step, tcti)
        lock_owner(tcti)
    else:
        provisioning_tool(state, "init", "--fqdn", HENB_NAME, "--key-algorithm", algorithm,
                          tcti=tcti)
    credential = issue_from_csr(vendor_ca, (state / "device.csr").read_bytes())
    (inbox / "chain.pem").write_bytes(
        b"".join(each.pem() for each in [credential, *credential.intermediates()]))
    (inbox / "anchors.pem").write_bytes(b"".join(anchor.pem() for anchor in anchors))
    provisioning_tool(state, "install-cert", inbox / "chain.pem")
    if not vendor:
        provisioning_tool(state, "install-anchors", inbox / "anchors.pem", tcti=tcti)
    state.chmod(0o770)  # as tmpfiles.d has it: tred-tpm is in tred's group
    return state
