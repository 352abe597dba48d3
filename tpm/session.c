/* Starting and ending sessions. */
#include "tpm/session.h"

#include "tpm/commands.h"
#include "tpm/crypto.h"
#include "tpm/storagekey.h"

#include <errno.h>
#include <openssl/rand.h>

static void session_free(TpmSession *session)
{
    secret_free(session->key);
    free(session);
}
DEFINE_POINTER_CLEANUP(TpmSession, session_free);

/* TPM2_StartAuthSession with a salt for the storage root key, and the sessionKey from it:
 * KDFa(salt, "ATH", nonceTPM, nonceCaller) (TPM 2.0 Part 1, 19.6.8; ours are bound to nothing). */
static TSS2_RC session_new(Tpm *tpm, TpmSession *session)
{
    _cleanup_(secret_freep) Secret *salt = NULL;
    TPM2B_ENCRYPTED_SECRET encrypted = {0};
    TPM2B_NONCE nonce = {.size = TPM_HASH_SIZE};
    TSS2_RC rc;

    if (RAND_bytes(nonce.buffer, nonce.size) != 1)
        return TPM_RC_NO_CRYPTO;
    if (tpm->salt_pkey) {
        int r = tpm_secret_share(tpm->crypto, tpm->salt_pkey, "SECRET", &salt, &encrypted);

        if (r < 0)
            return r == -ENOMEM ? TPM_RC_NO_MEMORY : TPM_RC_NO_CRYPTO;
    }
    rc = tpm2_start_auth_session(tpm, tpm->salt_pkey ? &tpm->salt_key : NULL, &nonce, &encrypted,
                                 session->type, &session->object.handle, &session->nonce_tpm);
    if (rc != TSS2_RC_SUCCESS)
        return rc;
    tpm_hold(tpm, session->object.handle);
    tpm_handle_name(session->object.handle, &session->object.name);
    if (salt && tpm_kdfa(tpm->crypto, secret_bytes(salt), "ATH",
                         (Bytes){session->nonce_tpm.buffer, session->nonce_tpm.size},
                         (Bytes){nonce.buffer, nonce.size}, TPM_HASH_SIZE, &session->key) < 0)
        return TPM_RC_NO_CRYPTO;
    return TSS2_RC_SUCCESS;
}

enum { SLOT_KINDS = 2 };

int tpm_session_start(Tpm *tpm, TPM2_SE type, TpmSession **ret, Reason *reason)
{
    _cleanup_(session_freep) TpmSession *session = calloc(1, sizeof(*session));
    TSS2_RC rc;
    int r;

    if (!session) {
        tpm_error(reason, "TPM2_StartAuthSession", TPM_RC_NO_MEMORY);
        return -EIO;
    }
    session->type = type;
    if (type == TPM2_SE_HMAC) {
        session->attributes =
            TPMA_SESSION_CONTINUESESSION | TPMA_SESSION_DECRYPT | TPMA_SESSION_ENCRYPT;
    }
    r = tpm_salt_key_open(tpm, reason);
    if (r < 0)
        return r;
    rc = session_new(tpm, session);
    /* It takes a slot of a session, and one of an object for the salt key: either may be full. */
    for (int slots = 0;
         slots < SLOT_KINDS && session->object.handle == TPM_NO_HANDLE && tpm_reclaim(tpm, rc);
         slots++)
        rc = session_new(tpm, session);
    if (rc != TSS2_RC_SUCCESS) {
        tpm_session_flush(tpm, steal_pointer(session));
        tpm_error(reason, "TPM2_StartAuthSession", rc);
        return -EIO;
    }
    /* Without a sessionKey there is nothing to encrypt with that a probe does not know. */
    if (!session->key) {
        session->attributes =
            (TPMA_SESSION)(session->attributes & ~(TPMA_SESSION_DECRYPT | TPMA_SESSION_ENCRYPT));
    }
    *ret = steal_pointer(session);
    return 0;
}

void tpm_session_authorize(TpmSession *session)
{
    session->attributes = TPMA_SESSION_CONTINUESESSION;
}

void tpm_session_flush(Tpm *tpm, TpmSession *session)
{
    if (!session)
        return;
    if (session->object.handle != TPM_NO_HANDLE) {
        tpm_unhold(tpm, session->object.handle);
        (void)tpm2_flush_context(tpm, session->object.handle);
    }
    session_free(session);
}
