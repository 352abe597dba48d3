"""The first law: no secret crosses the bus or ikeclient's channel, and ikeclient never holds one.

The SeGW derives the same keys as tred and writes them into its log, which says what to look for."""

import base64
import json
import subprocess
import unittest

from cryptography.hazmat.primitives import serialization

from lab import memory
from lab.bus import Recording
from lab.case import LabTest, world
from lab.overheard import Overheard
from lab.process import BIN, scratch, wait_until
from lab.programs import Operator, Tred
from lab.secretwatch import DERIVED, DRAWN, SALT, SecretWatch
from lab.station import EccTpmVendor, Station, copy_tpm

# By the words of strongSwan's log; what each is in RFC 7296.
IKE_KEYS = {
    "SK_d": r"Sk_d secret", "SK_ei": r"Sk_ei secret", "SK_er": r"Sk_er secret",
    "SK_pi": r"Sk_pi secret", "SK_pr": r"Sk_pr secret",
}
INTEGRITY_KEYS = {"SK_ai": "Sk_ai secret", "SK_ar": "Sk_ar secret"}
ESP_KEYS = {"ESP key, initiator": "encryption initiator key",
            "ESP key, responder": "encryption responder key"}
ESP_INTEGRITY_KEYS = {"ESP integrity key, initiator": "integrity initiator key",
                      "ESP integrity key, responder": "integrity responder key"}
PASSING = {"DH secret": "shared Diffie Hellman secret", "SKEYSEED": "SKEYSEED"}


def expanded(keys):
    """What AES makes of each key: the first and the last round key, in either direction of use."""
    return {f"{name}, round key {number}": memory.round_keys(octets)[number - 1]
            for name, octets in keys.items() for number in (1, 10)}


class SecretsTest(LabTest):
    def keys_of_a_run(self, gateway, words):
        logged = gateway.secrets()
        keys = {}
        for name, word in words.items():
            self.assertIn(word, logged, f"the SeGW logged no {name}; it logged {sorted(logged)}")
            # Part of a key is too much already; and a salt may be kept apart from its key.
            keys[name] = logged[word][-1][:16]
            self.assertEqual(len(keys[name]), 16)
        return keys

    def established_with(self, ike_proposal, esp_proposal, words):
        recording, overheard = Recording(), Overheard()
        self.addCleanup(recording.stop)
        gateway, tred, client = self.establish(
            segw={"log_keys": True, "proposals": ike_proposal, "esp_proposals": esp_proposal},
            under=overheard.under)
        return (tred, client, self.keys_of_a_run(gateway, words), recording.octets(),
                overheard.octets())

    def assert_the_law_is_kept(self, ike_proposal, esp_proposal, lasting):
        tred, client, keys, messages, overheard = self.established_with(
            ike_proposal, esp_proposal, {**lasting, **PASSING})
        found, size = memory.search(client.pid, with_words(keys))
        self.assertEqual(found, set())
        self.assertGreater(size, 1_000_000, "too little was read to mean anything")
        # The same search finds them where they belong, so it would have found them above.
        found, _ = memory.search(tred.pid, keys)
        self.assertEqual(found, set(lasting))

        # The search finds what does cross the bus or the channel, so it would find a key that did.
        self.assertIn(b"OpenChannel", messages)
        self.assertIn(b"VerifyPeer", overheard)
        self.assertIn(self.world.segw_credential().der(), overheard)
        for crossed in (messages, overheard):
            self.assertEqual({name for name, octets in with_words(keys).items() if octets in crossed},
                             set())

    def test_ikeclient_and_the_bus_hold_no_key_with_aead(self):
        self.assert_the_law_is_kept("aes128gcm16-prfsha256-ecp256", "aes128gcm16",
                                    {**IKE_KEYS, **ESP_KEYS})

    def test_ikeclient_and_the_bus_hold_no_key_with_cbc_and_hmac(self):
        self.assert_the_law_is_kept("aes128-sha256-prfsha256-ecp256", "aes128-sha256",
                                    {**IKE_KEYS, **INTEGRITY_KEYS, **ESP_KEYS,
                                     **ESP_INTEGRITY_KEYS})

    def test_ikeclient_and_the_bus_hold_no_key_of_what_replaces_another_and_tred_none_of_before(self):
        recording, overheard = Recording(), Overheard()
        self.addCleanup(recording.stop)
        gateway, tred, client = self.establish(
            segw={"log_keys": True, "proposals": "aes128gcm16-prfsha256-ecp256",
                  "esp_proposals": "aes128gcm16-ecp256"},
            child={"pfs": "yes"}, under=overheard.under)
        operator = self.starting(Operator())
        for method, said in (("RekeyIkeSa", "the IKE SA that was replaced is gone"),
                             ("RekeyChildSas", "Child SA .* was replaced|rekeyed .* Child SA")):
            operator.call(method)
            client.wait_for(said)
        wait_until(lambda: len(tred.children()) == 1, "one Child SA")
        lasting, passing = {**IKE_KEYS, **ESP_KEYS}, {**PASSING, "DH secret of a Child SA": "DH secret"}
        logged = gateway.secrets()
        keys = {f"{name} {number}": octets[:16] for name, word in {**lasting, **passing}.items()
                for number, octets in enumerate(logged[word])}
        newest = {f"{name} {len(logged[word]) - 1}" for name, word in lasting.items()}
        self.assertEqual({len(logged[word]) for word in {**lasting, **PASSING}.values()}, {2})
        found, _ = memory.search(client.pid, with_words(keys))
        self.assertEqual(found, set())
        found, _ = memory.search(tred.pid, keys)
        self.assertEqual(found, newest)
        for crossed in (recording.octets(), overheard.octets()):
            self.assertEqual({name for name, octets in with_words(keys).items() if octets in crossed},
                             set())

    def test_an_expanded_key_goes_with_its_message(self):
        """OpenSSL expands keys in ordinary memory: only tred-esp, which lives by them, has any."""
        ciphers = {"SK_ei": "Sk_ei secret", "SK_er": "Sk_er secret"}
        gateway, tred, client = self.establish(
            tred={"data-plane": {"mode": "user"}},
            segw={"log_keys": True, "proposals": "aes128gcm16-prfsha256-ecp256",
                  "esp_proposals": "aes128gcm16"})
        keys = self.keys_of_a_run(gateway, {**ciphers, **ESP_KEYS})
        self.assertEqual(len(memory.round_keys(bytes(16))), 10)
        found, _ = memory.search(tred.pid, expanded(keys))
        self.assertEqual(found, set())
        found, _ = memory.search(client.pid, expanded(keys))
        self.assertEqual(found, set())
        found, _ = memory.search(tred.helper_pid(), expanded(keys))
        self.assertEqual(found, set(expanded({name: keys[name] for name in ESP_KEYS})))

    def test_an_esp_key_goes_with_its_sa(self):
        """From tred, and from tred-esp, where the order that brought it is wiped as well."""
        gateway, tred, client = self.establish(
            tred={"data-plane": {"mode": "user"}}, connection={"reconnect": "no"},
            segw={"log_keys": True, "proposals": "aes128gcm16-prfsha256-ecp256",
                  "esp_proposals": "aes128gcm16"})
        keys = self.keys_of_a_run(gateway, ESP_KEYS)
        helper = tred.helper_pid()
        found, _ = memory.search(helper, {**keys, **expanded(keys)})
        self.assertEqual(found, {*keys, *expanded(keys)})
        gateway.control("--terminate", "--child", "net")
        wait_until(lambda: not tred.children(), "the Child SA to go")
        for pid in (helper, tred.pid):
            found, _ = memory.search(pid, {**keys, **expanded(keys)})
            self.assertEqual(found, set())

    def test_an_expanded_key_of_cbc_goes_with_its_message(self):
        gateway, tred, _ = self.establish(
            segw={"log_keys": True, "proposals": "aes128-sha256-prfsha256-ecp256",
                  "esp_proposals": "aes128-sha256"})
        keys = self.keys_of_a_run(gateway, {"SK_ei": "Sk_ei secret", "SK_er": "Sk_er secret"})
        found, _ = memory.search(tred.pid, expanded(keys))
        self.assertEqual(found, set())

    def test_a_session_with_the_tpm_leaves_no_salt_behind(self):
        """Its key stays where the session does, in tred-tpm, and is found by the same search."""
        watch = SecretWatch("tred-tpm")
        self.start_segw()
        self.starting(self.world.tpm.start())
        tred = self.starting(Tred(self.world.device("ecdsa-p256"), tpm_under=watch.words)).wait_for_name()
        self.start_client().wait_for_state("established")
        salts, keys = watch.secrets(SALT), watch.secrets(DERIVED)
        self.assertGreaterEqual(len(salts), 2)
        found, _ = memory.search(tred.tpm_pid(), {**salts, **keys})
        self.assertEqual(found & set(salts), set())
        self.assertNotEqual(found & set(keys), set())
        found, size = memory.search(tred.pid, {**salts, **keys})
        self.assertEqual(found, set())
        self.assertGreater(size, 1_000_000, "too little was read to mean anything")

    def test_tred_tpm_holds_no_key_of_an_ike_sa_or_of_esp(self):
        gateway, tred, _ = self.establish(
            segw={"log_keys": True, "proposals": "aes128gcm16-prfsha256-ecp256",
                  "esp_proposals": "aes128gcm16"})
        keys = self.keys_of_a_run(gateway, {**IKE_KEYS, **ESP_KEYS, **PASSING})
        found, size = memory.search(tred.tpm_pid(), with_words(keys))
        self.assertEqual(found, set())
        self.assertGreater(size, 1_000_000, "too little was read to mean anything")
        self.assertEqual(memory.search(tred.pid, keys)[0], {*IKE_KEYS, *ESP_KEYS})


class ProvisioningSecretsTest(unittest.TestCase):
    """What tre-provision has in memory when it is done."""

    @classmethod
    def setUpClass(cls):
        world()  # the networks
        vendor = EccTpmVendor()
        cls.state = vendor.make(scratch("new-tpm") / "state")
        cls.station = Station(vendor, guarded=True)

    def private_key(self, path):
        """By how it can stand in memory: its number either way around, and parts of its file."""
        text = path.read_bytes()
        key = serialization.load_pem_private_key(text, None)
        number = key.private_numbers().private_value
        lines = text.split(b"\n")
        return {"number": number.to_bytes(32, "big"), "number in words": number.to_bytes(32, "little"),
                "first line of the file": lines[1][24:56], "second": lines[2][:32]}

    def assert_holds_none_at_its_end(self, path, *arguments):
        command = memory.AtExit([BIN / "tre-provision", *arguments])
        found, size = memory.search(command.pid, self.private_key(path))
        command.stop()
        self.assertGreater(size, 1_000_000, "too little was read to mean anything")
        self.assertEqual(found, set())

    def test_the_operators_private_key_is_gone_when_it_has_signed(self):
        key = self.station.folder / "operator.key"
        bundle = scratch("bundle") / "anchors.pem"  # its approval is for no first bundle
        bundle.write_bytes((self.station.folder / "anchors.pem").read_bytes())
        self.assert_holds_none_at_its_end(key, "sign-anchors", "--key", key, "--anchors-version",
                                          "7", bundle)

    def new_tpm(self):
        tpm = copy_tpm(self.state, scratch("tpm") / "state").start()
        self.addCleanup(tpm.stop)
        return tpm

    def test_what_a_run_draws_and_derives_for_the_tpm_is_gone_when_it_is_done(self):
        """The owner's authValue, the challenge's secret and its seed, the sessions' salts and keys."""
        watch = SecretWatch("tre-provision")
        command = memory.AtExit(
            [BIN / "tre-provision", "run", "--profile", self.station.profile, "--serial", "2",
             "--tcti", self.new_tpm().tcti, "--state-dir", scratch("device") / "state"],
            watch.environment)
        self.addCleanup(command.stop)
        drawn = watch.secrets(DRAWN)
        self.assertGreaterEqual(len(drawn), 4, "no authValue, or no challenge")
        self.assertGreaterEqual(len(watch.secrets(SALT)), 4)
        found, size = memory.search(command.pid, {**drawn, **watch.secrets(SALT, DERIVED)})
        self.assertGreater(size, 1_000_000, "too little was read to mean anything")
        self.assertEqual(found, set())

    def test_the_owners_authvalue_is_gone_when_the_step_that_sets_it_is_done(self):
        watch = SecretWatch("tre-provision")
        options = ("--tcti", self.new_tpm().tcti, "--state-dir", scratch("device") / "state")
        profile = ("--profile", self.station.profile, "--serial", "4")
        self.tool(*options, "step", "storage-root-key", *profile)
        command = memory.AtExit([BIN / "tre-provision", *options, "step", "lock", *profile],
                                watch.environment)
        self.addCleanup(command.stop)
        drawn = watch.secrets(DRAWN)
        self.assertEqual(len(drawn), 2)
        found, _ = memory.search(command.pid, {**drawn, **watch.secrets(SALT, DERIVED)})
        self.assertEqual(found, set())

    def proof_of(self, serial):
        """(state directory, TPM, request, challenge) of a device that is yet to be certified."""
        folder, tpm = scratch("device"), self.new_tpm()
        state, profile = folder / "state", self.station.profile
        for step in ("storage-root-key", "device-key", "csr"):
            self.tool("--tcti", tpm.tcti, "--state-dir", state, "step", step, "--profile", profile,
                      "--serial", serial)
        request, challenge = folder / "request.json", folder / "challenge.json"
        request.write_text(self.tool("--tcti", tpm.tcti, "--state-dir", state, "--serial", serial,
                                     "request"))
        challenge.write_text(self.tool("challenge", request, "--ek-anchors",
                                       self.station.folder / "ek-anchors.pem"))
        return state, tpm, request, challenge

    @staticmethod
    def tool(*arguments):
        """What it wrote to its standard output alone."""
        return subprocess.run([BIN / "tre-provision", *map(str, arguments)], check=True, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout

    def test_the_secret_of_a_challenge_is_gone_when_it_is_answered_and_judged(self):
        """As octets; the response has it in clear, in base64, for whoever carries it (proof.h)."""
        state, tpm, request, challenge = self.proof_of("3")
        activate = ("--tcti", tpm.tcti, "--state-dir", state, "activate", challenge)
        response = request.with_name("response.json")
        response.write_text(self.tool(*activate))
        octets = base64.b64decode(json.loads(response.read_text())["secret"])
        secret = {"first half": octets[:16], "second half": octets[16:]}
        for arguments in (activate,
                          ("issue", request, response, "--ca-certificate",
                           self.station.folder / "ca.pem", "--ca-key", self.station.folder / "ca.key")):
            command = memory.AtExit([BIN / "tre-provision", *arguments])
            found, size = memory.search(command.pid, secret)
            command.stop()
            self.assertGreater(size, 1_000_000, "too little was read to mean anything")
            self.assertEqual(found, set(), arguments)

    def test_the_authoritys_private_key_is_gone_when_it_has_certified(self):
        tpm = copy_tpm(self.state, scratch("tpm") / "state").start()
        self.addCleanup(tpm.stop)
        self.assert_holds_none_at_its_end(
            self.station.folder / "ca.key", "run", "--profile", self.station.profile, "--serial",
            "1", "--tcti", tpm.tcti, "--state-dir", scratch("device") / "state")


def with_words(keys):
    """Each key as it is, and as hexadecimal digits of either case."""
    forms = {}
    for name, octets in keys.items():
        forms[name] = octets
        forms[f"{name} in hexadecimal"] = octets.hex().encode()
        forms[f"{name} in capital hexadecimal"] = octets.hex().upper().encode()
    return forms
