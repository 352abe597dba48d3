/* The step "lock": who has root on the device must not be able to take the TPM's NV indices away
 * and define them anew. So the owner hierarchy gets an authorization value that nobody knows. */
#include "provisioning/step.h"

#include "base/reason.h"
#include "crypto/openssl.h"
#include "provisioning/tpmfacts.h"
#include "tpm/commands.h"
#include "tpm/session.h"

#include <errno.h>
#include <openssl/rand.h>
#include <stdio.h>

enum { AUTH_SIZE = 32 };

int step_lock_check(Provision *provision, char *note)
{
    Reason reason = {0};
    TpmFacts facts;
    int r = tpm_facts_read(provision->tpm, &facts, &reason);

    (void)snprintf(note, STEP_NOTE_SIZE,
                   "the owner hierarchy has an authValue that is not known here");
    if (r < 0) {
        complain("%s", reason.text);
        return r;
    }
    return facts.owner_auth_set ? 1 : 0;
}

/* The session encrypts the new value: who listens on the TPM's bus does not learn it. */
static int auth_change(Tpm *tpm, const TPM2B_AUTH *auth, Reason *reason)
{
    TpmSession *session = NULL;
    TSS2_RC rc;
    int r;

    r = tpm_session_start(tpm, TPM2_SE_HMAC, &session, reason);
    if (r < 0)
        return r;
    rc = tpm2_hierarchy_change_auth(tpm, TPM2_RH_OWNER, session, auth);
    tpm_session_flush(tpm, session);
    if (rc == TSS2_RC_SUCCESS)
        return 0;
    tpm_error(reason, "TPM2_HierarchyChangeAuth (owner)", rc);
    return -EIO;
}

int step_lock_do(Provision *provision, char *note)
{
    Reason reason = {"OpenSSL has no random numbers"};
    TPM2B_AUTH auth = {.size = AUTH_SIZE};
    int r = -EIO;

    (void)note;
    if (RAND_priv_bytes(auth.buffer, AUTH_SIZE) == 1)
        r = auth_change(provision->tpm, &auth, &reason);
    OPENSSL_cleanse(&auth, sizeof(auth));
    if (r < 0)
        complain("%s", reason.text);
    return r;
}
