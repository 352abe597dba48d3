"""The first law: no secret crosses the bus or ikeclient's channel, and ikeclient never holds one.

The SeGW derives the same keys as tred and writes them into its log, which says what to look for."""

from lab import memory
from lab.bus import Recording
from lab.case import LabTest
from lab.overheard import Overheard

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
        return (tred, client, self.keys_of_a_run(gateway, words), recording.stop(),
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


def with_words(keys):
    """Each key as it is, and as hexadecimal digits of either case."""
    forms = {}
    for name, octets in keys.items():
        forms[name] = octets
        forms[f"{name} in hexadecimal"] = octets.hex().encode()
        forms[f"{name} in capital hexadecimal"] = octets.hex().upper().encode()
    return forms
