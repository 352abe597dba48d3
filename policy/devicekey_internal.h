/* What a loaded device key is made of, for the files that hold it and use it. */
#pragma once

#include "policy/devicekey.h"
#include "tpm/session.h"

/* fixedTPM and fixedParent: it can't be duplicated to elsewhere. sensitiveDataOrigin: it was never
 * elsewhere either (TPM 2.0 Part 2, 8.3). */
#define DEVICE_KEY_BOUND                                                                           \
    (TPMA_OBJECT_FIXEDTPM | TPMA_OBJECT_FIXEDPARENT | TPMA_OBJECT_SENSITIVEDATAORIGIN)

struct DeviceKey {
    Tpm *tpm;
    KeyPolicy *policy;   /* borrowed; NULL: none */
    TpmObject object;    /* the one transient slot that this key takes */
    TpmSession *session; /* for one signature after the other; NULL: there is none */
    bool ready;          /* the session authorizes the next signature as it is */
    TpmKeyAlgorithm algorithm;
    TPMT_PUBLIC public;
    EVP_PKEY *pkey;
    int pss_salt;
};
