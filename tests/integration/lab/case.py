"""What every integration test starts from: one network and PKI, all else fresh for each test."""

import functools
import unittest

from lab import network
from lab.bus import Bus
from lab.pki import issue_segw, make_ca
from lab.process import Process
from lab.programs import BusProgram, IkeClient, Tred, TredNet, provision
from lab.segw import Segw, SegwOptions
from lab.tpm import Tpm


class World:
    """What tests share: the network, the certification authorities, the HeNB's provisioned TPM."""

    def __init__(self):
        network.make_network()
        self.operator_root = make_ca("Operator root")
        self.vendor_root = make_ca("Vendor root")
        self.tpm = Tpm()
        self.field_tpm = Tpm()  # of devices under a policy

    @functools.cache
    def segw_credential(self, algorithm="ecdsa-p256"):
        if algorithm == "rsa-2048":
            return issue_segw(make_ca("Operator RSA CA", "rsa-2048", self.operator_root), algorithm)
        return issue_segw(self.operator_root, algorithm)

    @functools.cache
    def device_issuer(self, algorithm):
        if algorithm != "rsa-2048":
            return self.vendor_root
        # With a chain of RSA certificates IKE_AUTH outgrows a datagram.
        issuer = make_ca("Vendor RSA policy CA", "rsa-2048", self.vendor_root)
        return make_ca("Vendor RSA CA", "rsa-2048", issuer)

    @functools.cache
    def device(self, algorithm):
        """The HeNB's files with a key of `algorithm`; the TPM must be on."""
        return provision(algorithm, self.device_issuer(algorithm), [self.operator_root])


@functools.cache
def world():
    return World()


class LabTest(unittest.TestCase):
    """Parts are started by the test that wants them, and stopped after it in reverse order."""

    def setUp(self):
        self.world = world()
        self.started = []
        self.tred_net = None
        self.bus = self.starting(Bus())

    def starting(self, part):
        if isinstance(part, (BusProgram, TredNet)):
            self.addCleanup(self.assert_ended_well, part)
        self.addCleanup(part.stop)
        self.started.append(part)
        return part

    def assert_ended_well(self, program):
        """Ended by itself after SIGTERM, unless the test killed it; no sanitizer complained."""
        if not program.killed:
            self.assertEqual(program.popen.returncode, 0, program.name)
        self.assertNotRegex(program.output(), "AddressSanitizer|runtime error:")

    def start_segw(self, credential=None, **options):
        credential = credential or self.world.segw_credential()
        return self.starting(Segw(credential, self.world.vendor_root, SegwOptions(**options)))

    def start_tred(self, algorithm="ecdsa-p256", **sections):
        """A TPM switched on, and tred with its key in it; a tred-net before, where there is a data plane."""
        self.starting(self.world.tpm.start())
        if sections.get("data-plane", {}).get("mode", "none") != "none":
            self.start_tred_net()
        return self.starting(Tred(self.world.device(algorithm), **sections)).wait_for_name()

    def start_tred_net(self):
        """self.tred_net: one for all treds of a test."""
        if not self.tred_net or not self.tred_net.running():
            self.tred_net = self.starting(TredNet()).wait_for_socket()
        return self.tred_net

    def start_client(self, *arguments, **sections):
        return self.starting(IkeClient(*arguments, **sections))

    def establish(self, algorithm="ecdsa-p256", credential=None, segw=None, segw_section=None,
                  tred=None, **client):
        """The whole call flow: (SeGW, tred, ikeclient), the IKE SA with its child being up.

        `segw` has the SeGW's options, `tred` tred.conf's sections; `segw_section` and the rest are
        ikeclient.conf's."""
        gateway = self.start_segw(credential, **(segw or {}))
        tred = self.start_tred(algorithm, **(tred or {}))
        client = self.start_client(**client, segw=segw_section or {})
        client.wait_for_state("established")
        gateway.wait_for(r"CHILD_SA net\{\d+\} established")
        return gateway, tred, client

    def run(self, result=None):
        """Shows what every part said if the test fails."""
        before = len(result.errors) + len(result.failures)
        super().run(result)
        if len(result.errors) + len(result.failures) > before:
            for part in self.started:
                show(part)


def show(part):
    """Prints what a part of the lab said, where it is one that says something."""
    process = part if isinstance(part, Process) else getattr(part, "process", None)
    if process:
        print(f"--- {process.name}\n{process.output()[-6000:]}")
    if isinstance(part, Segw):
        print(part.log()[-8000:])
