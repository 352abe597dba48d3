"""Every cipher, PRF and group of the profile is negotiated with a SeGW that takes no other."""

from lab.case import LabTest

CIPHERS = {  # strongSwan's keyword: (whether it brings its own integrity, the name in Suite)
    "aes128gcm16": "AES_GCM_16_128",
    "aes256gcm16": "AES_GCM_16_256",
    "aes128-sha256": "AES_CBC_128",
    "aes256-sha256": "AES_CBC_256",
    "chacha20poly1305": "CHACHA20_POLY1305",
}
PRFS = {"prfsha256": "HMAC_SHA2_256", "prfsha384": "HMAC_SHA2_384", "prfsha512": "HMAC_SHA2_512"}
GROUPS = {"ecp256": "ECP_256", "ecp384": "ECP_384", "curve25519": "CURVE25519",
          "modp2048": "MODP_2048"}


class IkeSuiteTest(LabTest):
    def negotiate(self, cipher, prf, group):
        proposal = f"{cipher}-{prf}-{group}"
        gateway, _, client = self.establish(segw={"proposals": proposal},
                                            ike={"proposals": proposal})
        suite = client.get("Suite").upper()
        for name in (CIPHERS[cipher], PRFS[prf], GROUPS[group]):
            self.assertIn(name, suite)
        self.assertEqual(gateway.sa_count(), 1)


class EspSuiteTest(LabTest):
    def negotiate(self, cipher):
        gateway, _, client = self.establish(segw={"esp_proposals": cipher},
                                            ike={"proposals": "aes256gcm16-prfsha384-ecp384"},
                                            child={"proposals": cipher})
        self.assertIn(CIPHERS[cipher], client.get("EspSuite").upper())
        self.assertIn("INSTALLED, TUNNEL", gateway.sas())

    STRONGER = {"ike": {"proposals": "aes128gcm16-prfsha256-ecp256"},
                "child": {"proposals": "aes256gcm16"}}

    def test_a_cipher_stronger_than_the_ike_sas_is_not_proposed(self):
        self.start_segw(esp_proposals="aes256gcm16")
        self.start_tred()
        client = self.start_client(**self.STRONGER)
        client.wait_for_state("idle", "waiting")
        self.assertIn("stronger-child", client.get("LastError"))

    def test_a_cipher_stronger_than_the_ike_sas_is_negotiated_where_that_is_configured(self):
        _, _, client = self.establish(segw={"esp_proposals": "aes256gcm16"}, **self.STRONGER,
                                      tred={"data-plane": {"mode": "none", "stronger-child": "yes"}})
        self.assertIn("AES_GCM_16_256", client.get("EspSuite").upper())


def add_ike_test(cipher, prf, group):
    name = f"test_{cipher}_with_{prf}_and_{group}_protects_the_ike_sa".replace("-", "_")
    setattr(IkeSuiteTest, name, lambda self: self.negotiate(cipher, prf, group))


def add_esp_test(cipher):
    name = f"test_{cipher}_is_negotiated_for_esp".replace("-", "_")
    setattr(EspSuiteTest, name, lambda self: self.negotiate(cipher))


# Every value of each column once, and every pair of cipher and PRF that differ in how keys are cut.
for each in CIPHERS:
    add_ike_test(each, "prfsha256", "ecp256")
    add_esp_test(each)
for each in ("prfsha384", "prfsha512"):
    add_ike_test("aes256gcm16", each, "ecp384")
    add_ike_test("aes128-sha256", each, "ecp256")
for each in GROUPS:
    if each != "ecp256":
        add_ike_test("aes128gcm16", "prfsha256", each)
