"""The two HeNBs of the comparison behind one face: start, connect, disconnect, stop.

Times are seconds of time.time(), the clock of the captures, too."""

import os
import socket
import time
from dataclasses import dataclass

from jeepney import DBusAddress, MatchRule, message_bus, new_method_call

from lab.bus import Connection
from lab.case import World
from lab.network import HENB, OTHER_HENB, SEGW_FOR_OTHER, SEGW_IPV4, make_other_henb
from lab.process import LabError, scratch
from lab.programs import CLIENT, CLIENT_PATH, IkeClient, Tred, TredNet
from lab.segw import Segw, SegwOptions
from lab.strongswan_henb import HenbOptions, StrongswanHenb, make_tpm_key, show_swtpm_as_mssim
from lab.tpm import PORT, Tpm
from lab.vici import Vici
from processes import own_processes

ESP = "aes128gcm16"
SUITES = {"ecdsa-p256": "aes128gcm16-prfsha256-ecp256",
          "rsa-2048": "aes128gcm16-prfsha256-modp2048"}
PATIENCE = 60.0  # seconds; far above what anything here takes, with a slow TPM too


class Lab:
    """The world, and for each algorithm a device of ours and one of strongSwan's, as alike as can be:
    a network and a TPM simulator each, the same issuer, suite and SeGW. Logs are off everywhere."""

    def __init__(self, data_plane):
        self.world = World()
        self.data_plane = data_plane
        make_other_henb()
        self.strongswan_tpm = Tpm(namespace=OTHER_HENB)
        self.keys = {}
        show_swtpm_as_mssim()

    def prepare(self, algorithm):
        """Makes both device keys, once; both TPMs must be on."""
        if algorithm not in self.keys:
            self.world.device(algorithm)
            self.keys[algorithm] = make_tpm_key(self.strongswan_tpm, algorithm)

    def issuer(self, algorithm):
        return self.world.device_issuer(algorithm)

    def start_segw(self, algorithm):
        options = SegwOptions(proposals=SUITES[algorithm], esp_proposals=ESP, quiet=True)
        return Segw(self.world.segw_credential(algorithm), self.world.vendor_root, options)


@dataclass
class Wish:
    """How a HeNB is started."""

    algorithm: str = "ecdsa-p256"
    tpm_port: int = PORT
    segw: str = ""  # other than by its own way

    def tcti(self):
        return f"swtpm:host=127.0.0.1,port={self.tpm_port}"


class Gate:
    """A command line prefix that holds a program back, one exec() away, until it is let go."""

    def __init__(self):
        self.path = scratch("gate") / "fifo"
        os.mkfifo(self.path)
        self.path.chmod(0o666)
        self.fifo = None
        self.under = ("/bin/sh", "-c", f'read -r go < {self.path}; exec "$@"', "sh")

    def arm(self):
        """To be called once the program has been started."""
        self.fifo = self.path.open("w")
        time.sleep(0.05)  # the shell then waits in read
        return self

    def open(self):
        """Lets it go; returns when."""
        with self.fifo:
            begun = time.time()
            self.fifo.write("go\n")
        return begun


class Readiness:
    """What sd_notify(3) tells, as a service manager hears it.

    After stop() nobody hears it: a socket that were left unread would stop those who tell."""

    def __init__(self):
        path = scratch("notify") / "socket"
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(path))
        path.chmod(0o777)
        self.socket.settimeout(PATIENCE)
        os.environ["NOTIFY_SOCKET"] = str(path)

    def wait(self):
        while b"READY=1" not in self.socket.recv(4096).split(b"\n"):
            pass

    def stop(self):
        del os.environ["NOTIFY_SOCKET"]
        self.socket.close()


class ClientOnBus:
    """Tells ikeclient to connect, and hears what came of it, with as little of Python as can be."""

    def __init__(self):
        self.bus = Connection("root")
        rule = MatchRule(type="signal", interface=CLIENT, path=CLIENT_PATH)
        self.bus.request(message_bus.AddMatch(rule))
        self.connection = self.bus.connection
        self.connection.sock.settimeout(PATIENCE)

    def ask(self, method):
        """Returns when it asked."""
        message = new_method_call(DBusAddress(CLIENT_PATH, CLIENT, CLIENT), method)
        data = message.serialise(serial=next(self.connection.outgoing_serial))
        now = time.time()
        self.connection.sock.sendall(data)
        return now

    def wait_for(self, *signals):
        """(name of the first of `signals` that came, when)"""
        while True:
            message = self.connection.parser.get_next_message()
            if message is None:
                data = self.connection.sock.recv(65536)
                now = time.time()
                self.connection.parser.add_data(data, fds=[])
                continue
            name = message.header.fields.get(3)  # its member
            if name in signals:
                return name, now

    def stop(self):
        self.bus.close()


class Ours:
    """tred-net where there is a data plane, tred and ikeclient, and whatever else they start.

    tred-net's socket is there before, as the service manager has it; tred-net itself starts when tred
    connects."""

    name = "tred and ikeclient"
    namespace = HENB

    def __init__(self, lab, wish=Wish()):
        self.bus = ClientOnBus()
        readiness = Readiness()
        gates = Gate(), Gate()
        files = lab.world.device(wish.algorithm)
        self.net = TredNet(at_connection=True).wait_for_socket() if lab.data_plane != "none" else None
        self.tred = Tred(files, under=gates[0].under, tpm={"tcti": wish.tcti()},
                         log={"level": "error"}, **{"data-plane": {"mode": lab.data_plane}})
        self.client = IkeClient(under=gates[1].under, segw={"address": wish.segw or SEGW_IPV4},
                                ike={"proposals": SUITES[wish.algorithm]},
                                child={"proposals": ESP}, log={"level": "error"})
        for gate in gates:
            gate.arm()
        self.started = gates[0].open()
        readiness.wait()
        readiness.stop()
        # As a service manager does: the client once tred is ready.
        self.asked = gates[1].open()
        result, self.up = self.bus.wait_for("Established", "Closed")
        if result != "Established":
            raise LabError(f"no tunnel at the start:\n{self.client.output()}")

    def start_seconds(self):
        return self.up - self.started

    def processes(self):
        return own_processes()

    def connect(self):
        """(when it was asked for, when the tunnel was up); LabError if it failed, and nothing is left."""
        asked = self.bus.ask("Connect")
        result, when = self.bus.wait_for("Established", "Closed")
        if result != "Established":
            raise LabError(f"no tunnel: {self.client.get('LastError')}")
        return asked, when

    def disconnect(self):
        self.bus.ask("Disconnect")
        self.bus.wait_for("Closed")

    def stop(self):
        for part in (self.client, self.tred, self.net):
            if part:
                part.stop()
        self.bus.stop()


class Strongswan:
    """charon with its TPM plugin."""

    name = "strongSwan"
    namespace = OTHER_HENB

    def __init__(self, lab, wish=Wish()):
        gate = Gate()
        options = HenbOptions(ike_proposals=SUITES[wish.algorithm], esp_proposals=ESP, namespace=OTHER_HENB,
                              segw=wish.segw or SEGW_FOR_OTHER,
                              tpm_key=lab.keys[wish.algorithm], tpm_port=wish.tpm_port,
                              connect_at_start=True, quiet=True, under=gate.under)
        self.henb = StrongswanHenb(lab.issuer(wish.algorithm), lab.world.operator_root, options)
        self.started = gate.arm().open()
        self.vici = Vici(self.henb.vici_path, PATIENCE)
        listener = Vici(self.henb.vici_path, PATIENCE)
        listener.listen("child-updown")
        self.henb.load()
        listener.wait_for_event()
        self.up = time.time()
        listener.close()

    def start_seconds(self):
        return self.up - self.started

    def processes(self):
        return {self.henb.process.pid: "charon"}

    def connect(self):
        asked = time.time()
        refusal = self.vici.call("initiate", child="net", timeout=str(int(PATIENCE * 1000)),
                              loglevel="-1")
        up = time.time()
        if refusal:
            # What is left of it, such as an IKE SA without a child, would be in the way of the next.
            self.vici.call("terminate", ike="segw", force="yes", timeout="10000", loglevel="-1")
            raise LabError(f"no tunnel: {refusal}")
        return asked, up

    def disconnect(self):
        refusal = self.vici.call("terminate", ike="segw", timeout="10000", loglevel="-1")
        if refusal:
            raise LabError(f"charon can't delete its IKE SA: {refusal}")

    def stop(self):
        self.vici.close()
        self.henb.stop()
