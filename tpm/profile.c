/* What a TPM must be able to do, asked one by one. */
#include "tpm/profile.h"

#include "tpm/commands.h"

#include <errno.h>
#include <stdbool.h>

enum { LIST_MAX = 256 };

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

/* All that the TPM has of one capability: it lists from the property asked for on, and says how
 * many at once (TPM 2.0 Part 3, 30.2). */
typedef struct Lists {
    uint32_t algorithms[LIST_MAX], curves[LIST_MAX];
    size_t n_algorithms, n_curves;
} Lists;

static size_t answer_take(const TPMS_CAPABILITY_DATA *data, uint32_t *ret, size_t room)
{
    const TPMU_CAPABILITIES *lists = &data->data;
    size_t count = 0;

    if (data->capability == TPM2_CAP_ECC_CURVES) {
        for (; count < lists->eccCurves.count && count < room; count++)
            ret[count] = lists->eccCurves.eccCurves[count];
    } else if (data->capability == TPM2_CAP_ALGS) {
        for (; count < lists->algorithms.count && count < room; count++)
            ret[count] = lists->algorithms.algProperties[count].alg;
    }
    return count;
}

static int list_read(Tpm *tpm, TPM2_CAP capability, uint32_t *ret, size_t *ret_count,
                     Reason *reason)
{
    uint32_t next = 0;
    size_t got;

    *ret_count = 0;
    do {
        TPMS_CAPABILITY_DATA data = {0};
        TSS2_RC rc = tpm2_get_capability(tpm, capability, next, LIST_MAX, &data);

        if (rc != TSS2_RC_SUCCESS) {
            tpm_error(reason, "TPM2_GetCapability", rc);
            return -EIO;
        }
        if (data.capability != capability)
            break;
        got = answer_take(&data, ret + *ret_count, LIST_MAX - *ret_count);
        *ret_count += got;
        next = got > 0 ? ret[*ret_count - 1] + 1 : 0;
    } while (got > 0 && *ret_count < LIST_MAX);
    return 0;
}

static bool is_listed(const Lists *lists, const Need *need)
{
    const bool curve = need->capability == TPM2_CAP_ECC_CURVES;
    const uint32_t *ids = curve ? lists->curves : lists->algorithms;
    const size_t count = curve ? lists->n_curves : lists->n_algorithms;

    for (size_t i = 0; i < count; i++) {
        if (ids[i] == need->id)
            return true;
    }
    return false;
}

int tpm_profile_check(Tpm *tpm, TpmKeyAlgorithm algorithm, Reason *reason)
{
    Lists lists;
    int r;

    r = list_read(tpm, TPM2_CAP_ALGS, lists.algorithms, &lists.n_algorithms, reason);
    if (r == 0)
        r = list_read(tpm, TPM2_CAP_ECC_CURVES, lists.curves, &lists.n_curves, reason);
    if (r < 0)
        return r;
    for (size_t i = 0; i < ELEMENTS(needs); i++) {
        if (!needs[i].keys[algorithm] || is_listed(&lists, &needs[i]))
            continue;
        return reason_set(
            reason, -EOPNOTSUPP,
            "this TPM lacks %s, which a device key %s needs; update the TPM's firmware, "
            "or choose another algorithm with 'tre-provision init --key-algorithm', or "
            "use another TPM",
            needs[i].name, tpm_key_algorithm_name(algorithm));
    }
    return 0;
}
