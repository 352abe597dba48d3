/* The storage root key and other parents: found, made, and trusted with a salt. */
#include "tpm/storagekey.h"

#include "base/bytes.h"
#include "tpm/commands.h"
#include "tpm/publickey.h"

#include <errno.h>

/* The attributes that make a key fit to be a parent (TPM 2.0 Part 1, 27.2): it decrypts, and only
 * what is its own. */
static const TPMA_OBJECT storage_attributes =
    TPMA_OBJECT_FIXEDTPM | TPMA_OBJECT_FIXEDPARENT | TPMA_OBJECT_SENSITIVEDATAORIGIN |
    TPMA_OBJECT_USERWITHAUTH | TPMA_OBJECT_RESTRICTED | TPMA_OBJECT_DECRYPT;

/* The TCG's ECC P-256 storage key (Provisioning Guidance 7.5.1). tpm2-openssl makes its transient
 * primary key with the same values, `unique` empty: another value there would be another key. */
static const TPM2B_PUBLIC storage_template = {
    .publicArea =
        {
            .type = TPM2_ALG_ECC,
            .nameAlg = TPM2_ALG_SHA256,
            .objectAttributes = storage_attributes | TPMA_OBJECT_NODA,
            .parameters.eccDetail =
                {
                    .symmetric =
                        {
                            .algorithm = TPM2_ALG_AES,
                            .keyBits.aes = 128,
                            .mode.aes = TPM2_ALG_CFB,
                        },
                    .scheme.scheme = TPM2_ALG_NULL,
                    .curveID = TPM2_ECC_NIST_P256,
                    .kdf.scheme = TPM2_ALG_NULL,
                },
        },
};

void tpm_object_release(Tpm *tpm, const TpmObject *object)
{
    if (object->handle >> TPM2_HR_SHIFT != TPM2_HT_TRANSIENT)
        return;
    tpm_unhold(tpm, object->handle);
    (void)tpm2_flush_context(tpm, object->handle);
}

/* A primary key from the template, in a transient slot. */
static int primary_create(Tpm *tpm, TpmObject *ret, Reason *reason)
{
    TPM2B_PUBLIC public = {0};
    TSS2_RC rc = tpm2_create_primary(tpm, TPM2_RH_OWNER, NULL, &storage_template, &public, ret);

    if (tpm_reclaim(tpm, rc)) {
        public = (TPM2B_PUBLIC){0};
        rc = tpm2_create_primary(tpm, TPM2_RH_OWNER, NULL, &storage_template, &public, ret);
    }
    if (rc != TSS2_RC_SUCCESS) {
        tpm_error(reason, "TPM2_CreatePrimary (storage root key)", rc);
        return -EIO;
    }
    tpm_hold(tpm, ret->handle);
    return 0;
}

/* A parent that a key file names may be anybody's: it is not for us to have it removed. */
static int parent_is_unfit(TPM2_HANDLE handle, const char *what, Reason *reason)
{
    return reason_set(reason, -EIO,
                      "the object at 0x%08x, which the key file names as the device key's parent, "
                      "%s; it was left as it is: make a new key with 'tre-provision init --force', "
                      "whose parent is the storage root key",
                      handle, what);
}

static int parent_check(TPM2_HANDLE handle, const TPM2B_PUBLIC *public, Reason *reason)
{
    const TPMA_OBJECT attributes = public->publicArea.objectAttributes;

    if ((attributes & (storage_attributes | TPMA_OBJECT_SIGN_ENCRYPT)) == storage_attributes)
        return 0;
    if (handle != TPM_SRK_HANDLE)
        return parent_is_unfit(handle, "is not a storage key that only this TPM can use", reason);
    return reason_set(
        reason, -EIO,
        "the object at 0x%08x is not a storage key that only this TPM can use (attributes "
        "0x%08x), so it can't be the device key's parent; it was left as it is: if it is "
        "not needed, remove it with 'tpm2_evictcontrol -c 0x%08x' and provision again",
        handle, attributes, handle);
}

/* Sessions are salted with the storage root key, by ECDH on P-256 or RSA; Names are by SHA-256. */
static int kind_check(TPM2_HANDLE handle, const TPMT_PUBLIC *area, Reason *reason)
{
    const bool has_curve =
        area->type == TPM2_ALG_ECC && area->parameters.eccDetail.curveID == TPM2_ECC_NIST_P256;

    if (area->nameAlg == TPM2_ALG_SHA256 &&
        (handle != TPM_SRK_HANDLE || has_curve || area->type == TPM2_ALG_RSA))
        return 0;
    if (handle != TPM_SRK_HANDLE)
        return parent_is_unfit(handle, "has another nameAlg than SHA-256", reason);
    return reason_set(
        reason, -EIO,
        "the object at 0x%08x is neither ECC P-256 nor RSA with SHA-256 as its nameAlg, "
        "so it can't be the storage root key; if nothing needs it, remove it with "
        "'tpm2_evictcontrol -C o -c 0x%08x' and provision again",
        handle, handle);
}

static int absent(TPM2_HANDLE handle, Reason *reason)
{
    if (handle != TPM_SRK_HANDLE) {
        return reason_set(reason, -ENOENT,
                          "there is no key at 0x%08x, which the key file names as the device key's "
                          "parent; make a new one with 'tre-provision init --force'",
                          handle);
    }
    return reason_set(
        reason, -ENOENT,
        "there is no storage root key at 0x%08x; run 'tre-provision init' (if a device "
        "key was made before, the TPM has been cleared or exchanged)",
        handle);
}

static int persistent_open(Tpm *tpm, TPM2_HANDLE handle, TPM2B_PUBLIC *ret_public, TpmObject *ret,
                           Reason *reason)
{
    TSS2_RC rc;
    int r = 0;

    *ret_public = (TPM2B_PUBLIC){0};
    rc = tpm2_read_public(tpm, handle, ret_public, ret);
    if (tpm_reclaim(tpm, rc)) { /* a TPM needs a free slot to look at a persistent object, too */
        *ret_public = (TPM2B_PUBLIC){0};
        rc = tpm2_read_public(tpm, handle, ret_public, ret);
    }
    if (rc == (TPM2_RC_HANDLE | TPM2_RC_1))
        return absent(handle, reason);
    if (ret_public->publicArea.type != 0) /* it was read, whether its Name is known or not */
        r = kind_check(handle, &ret_public->publicArea, reason);
    if (r == 0 && rc != TSS2_RC_SUCCESS) {
        tpm_error(reason,
                  handle == TPM_SRK_HANDLE ? "TPM2_ReadPublic (storage root key)"
                                           : "TPM2_ReadPublic (the device key's parent)",
                  rc);
        return -EIO;
    }
    if (r == 0)
        r = parent_check(handle, ret_public, reason);
    if (r < 0)
        *ret = (TpmObject){0};
    return r;
}

static int srk_create(Tpm *tpm, TPM2B_PUBLIC *ret_public, TpmObject *ret, Reason *reason)
{
    TpmObject primary = {0};
    TSS2_RC rc;
    int r;

    r = primary_create(tpm, &primary, reason);
    if (r < 0)
        return r;
    rc = tpm2_evict_control(tpm, &primary, NULL, TPM_SRK_HANDLE);
    tpm_object_release(tpm, &primary);
    if (rc != TSS2_RC_SUCCESS) {
        tpm_error(reason, "TPM2_EvictControl (storage root key)", rc);
        return -EIO;
    }
    return persistent_open(tpm, TPM_SRK_HANDLE, ret_public, ret, reason);
}

static int srk_open(Tpm *tpm, bool create, TPM2B_PUBLIC *ret_public, TpmObject *ret, Reason *reason)
{
    int r = persistent_open(tpm, TPM_SRK_HANDLE, ret_public, ret, reason);

    return r == -ENOENT && create ? srk_create(tpm, ret_public, ret, reason) : r;
}

int tpm_srk_open(Tpm *tpm, bool create, TpmObject *ret, Reason *reason)
{
    TPM2B_PUBLIC public;

    if (tpm->salt_pkey) { /* it was read before, and its Name is what commands are bound to */
        *ret = tpm->salt_key;
        return 0;
    }
    return srk_open(tpm, create, &public, ret, reason);
}

void tpm_trust_srk(Tpm *tpm, const TPM2B_NAME *name)
{
    EVP_PKEY_free(steal_pointer(tpm->salt_pkey));
    tpm->salt_key = (TpmObject){0};
    tpm->srk_name = *name;
}

int tpm_srk_name(Tpm *tpm, TPM2B_NAME *ret, Reason *reason)
{
    TpmObject srk = {0};
    int r = tpm_srk_open(tpm, false, &srk, reason);

    if (r == 0)
        *ret = srk.name;
    return r;
}

static int srk_check(const Tpm *tpm, const TpmObject *srk, Reason *reason)
{
    if (tpm->srk_name.size == 0 || bytes_equal((Bytes){srk->name.name, srk->name.size},
                                               (Bytes){tpm->srk_name.name, tpm->srk_name.size}))
        return 0;
    return reason_set(
        reason, -EIO,
        "the storage root key at 0x%08x is not the one that this device was provisioned "
        "with: the TPM was cleared or exchanged, or something stands between it and us; "
        "have the device looked at, and provision it again",
        TPM_SRK_HANDLE);
}

/* What is salted with is the public area that was read and judged; its Name is computed from that.
 */
int tpm_salt_key_open(Tpm *tpm, Reason *reason)
{
    TPM2B_PUBLIC public;
    TpmObject srk = {0};
    int r;

    if (tpm->salt_pkey)
        return 0;
    r = srk_open(tpm, false, &public, &srk, reason);
    if (r == -ENOENT && tpm->srk_name.size == 0)
        return 0;
    if (r == 0)
        r = srk_check(tpm, &srk, reason);
    if (r < 0)
        return r == -ENOENT ? -ESTALE : -EIO;
    if (tpm->salt_pkey) /* another task was faster */
        return 0;
    if (tpm_public_to_pkey(&public, &tpm->salt_pkey) < 0) {
        return reason_set(
            reason, -EIO,
            "OpenSSL does not take the storage root key at 0x%08x, so that no session "
            "can be salted with it",
            TPM_SRK_HANDLE);
    }
    tpm->salt_key = srk;
    return 0;
}

int tpm_parent_open(Tpm *tpm, TPM2_HANDLE handle, TpmObject *ret, Reason *reason)
{
    TPM2B_PUBLIC public;

    if (handle == TPM2_RH_OWNER)
        return primary_create(tpm, ret, reason);
    if (handle == TPM_SRK_HANDLE)
        return tpm_srk_open(tpm, false, ret, reason);
    return persistent_open(tpm, handle, &public, ret, reason);
}
