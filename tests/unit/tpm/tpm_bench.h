/* A TPM with a storage root key, and a signing key made and used on it. */
#pragma once

#include "swtpm_fixture.h"
#include "tpm/storagekey.h"
#include "tpm_commands.h"

typedef struct TpmBench {
    Swtpm swtpm;
    Tpm *tpm;
} TpmBench;

/* The one of this test program; cmocka's group setup and teardown make and end it. */
extern TpmBench bench;
int bench_init(void **state);
int bench_deinit(void **state);

/* Ends the connection to the TPM, if there is one, and makes another. */
void bench_reconnect(void);

/* tpm_handle_count() of the bench. */
unsigned handle_count(TPM2_HANDLE first);

/* A new P-256 signing key under the storage root key, loaded and held, and its public area. The
 * caller's to tpm_object_release(). The test fails if it can't be had. */
TpmObject signing_key_new(TPM2B_PUBLIC *ret_public);

/* TPM2_Sign of 32 octets, ECDSA with SHA-256. */
TSS2_RC signing_key_sign(const TpmObject *key, TpmSession *session, const TPM2B_DIGEST *digest,
                         TPMT_SIGNATURE *ret);

/* A session of `type`; the test fails if it can't be had. The caller's to tpm_session_flush(). */
TpmSession *session_new(TPM2_SE type);

/* Takes a slot, which nobody holds then: an HMAC session's, whose handle is *ret; an object's, by a
 * public key. The TPM's answer. */
TSS2_RC session_take(TPM2_HANDLE *ret);
TSS2_RC slot_take(const TPM2B_PUBLIC *public);

/* Takes such slots until there is no more, and yields the TPM's answer to the last: of sessions,
 * and of objects, each a public key like that one. */
TSS2_RC sessions_take_all(void);
TSS2_RC slots_take_all(const TPM2B_PUBLIC *public);

/* Starts an HMAC session, signs with `key` in it, and ends it. */
void assert_signs_in_a_session(const TpmObject *key);
