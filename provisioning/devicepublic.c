/* What must a public area say of a key, so that it is good for a device and can't leave its TPM? */
#include "provisioning/devicepublic.h"

#include "base/bytes.h"
#include "policy/devicekey.h"

/* A scheme written into the key is the only one that it signs with, and IKE needs the natural hash
 * of the curve, and both paddings of RSA (TS 33.310 6.2). */
static bool scheme_fits(const TPMT_PUBLIC *area, TpmKeyAlgorithm algorithm)
{
    const TPMT_ECC_SCHEME *ecc = &area->parameters.eccDetail.scheme;
    const TPM2_ALG_ID hash = algorithm == TPM_KEY_ECDSA_P384 ? TPM2_ALG_SHA384 : TPM2_ALG_SHA256;

    if (algorithm == TPM_KEY_RSA_2048)
        return area->parameters.rsaDetail.scheme.scheme == TPM2_ALG_NULL;
    return ecc->scheme == TPM2_ALG_NULL ||
           (ecc->scheme == TPM2_ALG_ECDSA && ecc->details.ecdsa.hashAlg == hash);
}

static const char *type_flaw(const TPMT_PUBLIC *area)
{
    TpmKeyAlgorithm algorithm;

    if (device_key_algorithm_of(area, &algorithm) < 0)
        return "is not ECDSA P-256, ECDSA P-384 or RSA-2048";
    if (area->nameAlg != TPM2_ALG_SHA256)
        return "does not have SHA-256 as its nameAlg";
    if (!scheme_fits(area, algorithm))
        return "is tied to a signature scheme that is not used here";
    return NULL;
}

/* TPM 2.0 Part 2, 8.3. */
static const char *attribute_flaw(TPMA_OBJECT attributes)
{
    if (!(attributes & TPMA_OBJECT_FIXEDTPM))
        return "may be copied to another TPM (fixedTPM is clear)";
    if (!(attributes & TPMA_OBJECT_FIXEDPARENT))
        return "may be copied out of its TPM (fixedParent is clear)";
    if (!(attributes & TPMA_OBJECT_SENSITIVEDATAORIGIN))
        return "was not made in the TPM (sensitiveDataOrigin is clear), and may be elsewhere too";
    if (!(attributes & TPMA_OBJECT_SIGN_ENCRYPT))
        return "is not a signing key";
    if (attributes & TPMA_OBJECT_DECRYPT)
        return "is a key that decrypts, and a device key only signs";
    if (attributes & TPMA_OBJECT_RESTRICTED)
        return "is restricted: it signs only what the TPM itself has hashed";
    return NULL;
}

static const char *policy_flaw(const TPMT_PUBLIC *area, const PolicyDigest *policy)
{
    if (area->objectAttributes & TPMA_OBJECT_USERWITHAUTH)
        return "can be used without its policy (userWithAuth is set)";
    if (area->authPolicy.size == 0)
        return "has no policy";
    if (!bytes_equal((Bytes){area->authPolicy.buffer, area->authPolicy.size},
                     BYTES_OF(policy->octets)))
        return "has another policy than the one that is asked for";
    return NULL;
}

const char *device_public_flaw(const TPM2B_PUBLIC *public, const PolicyDigest *policy)
{
    const TPMT_PUBLIC *area = &public->publicArea;
    const char *flaw = type_flaw(area);

    if (!flaw)
        flaw = attribute_flaw(area->objectAttributes);
    if (!flaw && policy)
        flaw = policy_flaw(area, policy);
    return flaw;
}
