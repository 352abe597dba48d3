/* The key schedule of RFC 7296: prf, prf+, SKEYSEED (2.14), KEYMAT (2.17) and rekeying (2.18). */
#pragma once

#include "crypto/secret.h"
#include "crypto/suite.h"

enum { PRF_SIZE_MAX = IKE_PRF_SIZE_MAX };

/* prf(key, data) into `ret` (prf->size octets) for values that go on the wire or into AUTH.
 * Returns 0, or -EIO if the library failed. */
int prf_compute(const Prf *prf, const Secret *key, Bytes data, uint8_t *ret);

/* SKEYSEED = prf(Ni | Nr, g^ir). Returns 0, -ENOMEM or -EIO, or -ENOBUFS for nonces above
 * IKE_NONCE_MAX. */
int skeyseed_compute(const Prf *prf, Bytes nonce_i, Bytes nonce_r, const Secret *dh_secret,
                     Secret **ret);

/* SKEYSEED = prf(SK_d (old), g^ir (new) | Ni | Nr), with the old SA's prf. Returns 0, -ENOMEM or
 * -EIO; so do all below. */
int skeyseed_rekey(const Prf *old_prf, const Secret *sk_d, const Secret *dh_secret, Bytes nonce_i,
                   Bytes nonce_r, Secret **ret);

/* prf+(SKEYSEED, Ni | Nr | SPIi | SPIr): `size` octets; -EINVAL above 255 blocks of the prf (2.13).
 */
int ike_keymat(const Prf *prf, const Secret *skeyseed, Bytes nonce_i, Bytes nonce_r, uint64_t spi_i,
               uint64_t spi_r, size_t size, Secret **ret);

/* prf+(SK_d, [g^ir (new) |] Ni | Nr): `size` octets, as above. dh_secret may be NULL. */
int child_keymat(const Prf *prf, const Secret *sk_d, const Secret *dh_secret, Bytes nonce_i,
                 Bytes nonce_r, size_t size, Secret **ret);

/* SK_* of one IKE SA, in the order in which prf+ yields them. */
typedef struct IkeKeys {
    Secret *sk_d;
    Secret *sk_ai, *sk_ar; /* NULL with AEAD */
    Secret *sk_ei, *sk_er; /* with AEAD the salt stands at the end */
    Secret *sk_pi, *sk_pr;
} IkeKeys;

int ike_keys_derive(const IkeSuite *suite, const Secret *skeyseed, Bytes nonce_i, Bytes nonce_r,
                    uint64_t spi_i, uint64_t spi_r, IkeKeys *ret);
void ike_keys_deinit(IkeKeys *keys);

/* The keys of one pair of ESP SAs (2.17: initiator to responder first, encryption before
 * integrity). */
typedef struct EspKeys {
    Secret *encr_i, *integ_i; /* initiator to responder; integ NULL with AEAD */
    Secret *encr_r, *integ_r;
} EspKeys;

int esp_keys_derive(const Prf *prf, const EspSuite *suite, const Secret *sk_d,
                    const Secret *dh_secret, Bytes nonce_i, Bytes nonce_r, EspKeys *ret);
void esp_keys_deinit(EspKeys *keys);
