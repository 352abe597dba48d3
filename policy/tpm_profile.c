/* Does this TPM have every algorithm that we need of it? */
#include "policy/tpm_profile.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>

/* One algorithm or curve, and the keys that need it. */
typedef struct Need {
    TPM2_CAP capability;
    uint32_t id;
    const char *name;
    bool keys[TPM_KEY_ALGORITHMS];
} Need;

#define EVERY_KEY                                                                                  \
    {                                                                                              \
        true, true, true                                                                           \
    }

static const Need needs[] = {
    {TPM2_CAP_ALGS, TPM2_ALG_SHA256, "SHA-256", EVERY_KEY},
    /* Of the storage root key. */
    {TPM2_CAP_ALGS, TPM2_ALG_ECC, "elliptic curves", EVERY_KEY},
    {TPM2_CAP_ECC_CURVES, TPM2_ECC_NIST_P256, "the curve NIST P-256", EVERY_KEY},
    {TPM2_CAP_ALGS, TPM2_ALG_AES, "AES", EVERY_KEY},
    {TPM2_CAP_ALGS, TPM2_ALG_CFB, "the mode CFB of AES", EVERY_KEY},
    /* Of the device key and its signatures. */
    {TPM2_CAP_ALGS, TPM2_ALG_ECDSA, "ECDSA",
     .keys = {[TPM_KEY_ECDSA_P256] = true, [TPM_KEY_ECDSA_P384] = true}},
    {TPM2_CAP_ALGS, TPM2_ALG_SHA384, "SHA-384", .keys = {[TPM_KEY_ECDSA_P384] = true}},
    {TPM2_CAP_ECC_CURVES, TPM2_ECC_NIST_P384, "the curve NIST P-384",
     .keys = {[TPM_KEY_ECDSA_P384] = true}},
    {TPM2_CAP_ALGS, TPM2_ALG_RSA, "RSA", .keys = {[TPM_KEY_RSA_2048] = true}},
    {TPM2_CAP_ALGS, TPM2_ALG_RSASSA, "RSASSA-PKCS1-v1_5", .keys = {[TPM_KEY_RSA_2048] = true}},
    {TPM2_CAP_ALGS, TPM2_ALG_RSAPSS, "RSASSA-PSS", .keys = {[TPM_KEY_RSA_2048] = true}},
};

/* A TPM lists what it has from the property asked for on, so the first one is that or another
 * (TPM 2.0 Part 3, 30.2). */
static bool lists_first(const TPMS_CAPABILITY_DATA *data, const Need *need)
{
    const TPMU_CAPABILITIES *lists = &data->data;

    if (data->capability != need->capability)
        return false;
    if (need->capability == TPM2_CAP_ECC_CURVES)
        return lists->eccCurves.count > 0 && lists->eccCurves.eccCurves[0] == need->id;
    return lists->algorithms.count > 0 && lists->algorithms.algProperties[0].alg == need->id;
}

static int need_check(Tpm *tpm, const Need *need, TpmKeyAlgorithm algorithm, char *error)
{
    TPMS_CAPABILITY_DATA *data = NULL;
    TPMI_YES_NO more;
    TSS2_RC rc;
    bool found;

    rc = Esys_GetCapability(tpm->esys, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, need->capability,
                            need->id, 1, &more, &data);
    if (rc != TSS2_RC_SUCCESS) {
        tpm_error(error, "TPM2_GetCapability", rc);
        return -EIO;
    }
    found = lists_first(data, need);
    Esys_Free(data);
    if (found)
        return 0;
    (void)snprintf(error, TPM_ERROR_SIZE,
                   "this TPM lacks %s, which a device key %s needs; update the TPM's firmware, or "
                   "choose another algorithm with 'tre-provision init --key-algorithm', or use "
                   "another TPM",
                   need->name, tpm_key_algorithm_name(algorithm));
    return -EOPNOTSUPP;
}

int tpm_profile_check(Tpm *tpm, TpmKeyAlgorithm algorithm, char *error)
{
    for (size_t i = 0; i < ELEMENTS(needs); i++) {
        int r = needs[i].keys[algorithm] ? need_check(tpm, &needs[i], algorithm, error) : 0;

        if (r < 0)
            return r;
    }
    return 0;
}
