/* Which storage key of the TPM's stands above the device key, and where does it come from? */
#include "policy/storagekey.h"

#include "base/bytes.h"
#include "policy/session.h"

#include <errno.h>
#include <stdio.h>

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

void tpm_object_release(Tpm *tpm, ESYS_TR object)
{
    TPM2_HANDLE handle;

    if (object == ESYS_TR_NONE || object == tpm->salt_key)
        return;
    tpm_unhold(tpm, object);
    if (Esys_TR_GetTpmHandle(tpm->esys, object, &handle) == TSS2_RC_SUCCESS &&
        handle >> TPM2_HR_SHIFT == TPM2_HT_TRANSIENT) {
        (void)Esys_FlushContext(tpm->esys, object);
    } else {
        (void)Esys_TR_Close(tpm->esys, &object);
    }
}

static TSS2_RC primary_new(Tpm *tpm, ESYS_TR *ret)
{
    static const TPM2B_SENSITIVE_CREATE sensitive = {0};
    static const TPM2B_DATA outside_info = {0};
    static const TPML_PCR_SELECTION creation_pcr = {0};

    return Esys_CreatePrimary(tpm->esys, ESYS_TR_RH_OWNER, ESYS_TR_PASSWORD, ESYS_TR_NONE,
                              ESYS_TR_NONE, &sensitive, &storage_template, &outside_info,
                              &creation_pcr, ret, NULL, NULL, NULL, NULL);
}

/* A primary key from the template, in a transient slot. */
static int primary_create(Tpm *tpm, ESYS_TR *ret, char *error)
{
    TSS2_RC rc = primary_new(tpm, ret);

    if (tpm_reclaim(tpm, rc))
        rc = primary_new(tpm, ret);
    if (rc != TSS2_RC_SUCCESS) {
        tpm_error(error, "TPM2_CreatePrimary (storage root key)", rc);
        return -EIO;
    }
    tpm_hold(tpm, *ret);
    return 0;
}

static int parent_check(Tpm *tpm, TPM2_HANDLE handle, ESYS_TR object, char *error)
{
    TPM2B_PUBLIC *public = NULL;
    TPMA_OBJECT attributes;
    TSS2_RC rc;

    rc = Esys_ReadPublic(tpm->esys, object, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, &public, NULL,
                         NULL);
    if (rc != TSS2_RC_SUCCESS) {
        tpm_error(error, "TPM2_ReadPublic (storage root key)", rc);
        return -EIO;
    }
    attributes = public->publicArea.objectAttributes;
    Esys_Free(public);
    if ((attributes & (storage_attributes | TPMA_OBJECT_SIGN_ENCRYPT)) == storage_attributes)
        return 0;
    (void)snprintf(
        error, TPM_ERROR_SIZE,
        "the object at 0x%08x is not a storage key that only this TPM can use (attributes "
        "0x%08x), so it can't be the device key's parent; it was left as it is: if it is "
        "not needed, remove it with 'tpm2_evictcontrol -c 0x%08x' and provision again",
        handle, attributes, handle);
    return -EIO;
}

static TSS2_RC persistent_read(Tpm *tpm, TPM2_HANDLE handle, ESYS_TR *ret)
{
    return Esys_TR_FromTPMPublic(tpm->esys, handle, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, ret);
}

static int persistent_open(Tpm *tpm, TPM2_HANDLE handle, ESYS_TR *ret, char *error)
{
    ESYS_TR object = ESYS_TR_NONE;
    TSS2_RC rc;
    int r;

    /* ESYS has one object for a handle, and drops it when it fails to read that again. */
    if (handle == TPM_SRK_HANDLE && tpm->salt_key != ESYS_TR_NONE) {
        *ret = tpm->salt_key;
        return 0;
    }
    rc = persistent_read(tpm, handle, &object);
    if (tpm_reclaim(tpm, rc)) /* a TPM needs a free slot to look at a persistent object, too */
        rc = persistent_read(tpm, handle, &object);
    if (rc == (TPM2_RC_HANDLE | TPM2_RC_1)) {
        (void)snprintf(
            error, TPM_ERROR_SIZE,
            "there is no storage root key at 0x%08x; run 'tre-provision init' (if a device "
            "key was made before, the TPM has been cleared or exchanged)",
            handle);
        return -ENOENT;
    }
    if (rc != TSS2_RC_SUCCESS) {
        tpm_error(error, "TPM2_ReadPublic (storage root key)", rc);
        return -EIO;
    }
    r = parent_check(tpm, handle, object, error);
    if (r < 0) {
        tpm_object_release(tpm, object);
        return r;
    }
    *ret = object;
    return 0;
}

static int srk_create(Tpm *tpm, ESYS_TR *ret, char *error)
{
    ESYS_TR primary = ESYS_TR_NONE;
    ESYS_TR persistent = ESYS_TR_NONE;
    TSS2_RC rc;
    int r;

    r = primary_create(tpm, &primary, error);
    if (r < 0)
        return r;
    rc = Esys_EvictControl(tpm->esys, ESYS_TR_RH_OWNER, primary, ESYS_TR_PASSWORD, ESYS_TR_NONE,
                           ESYS_TR_NONE, TPM_SRK_HANDLE, &persistent);
    tpm_object_release(tpm, primary);
    if (rc != TSS2_RC_SUCCESS) {
        tpm_error(error, "TPM2_EvictControl (storage root key)", rc);
        return -EIO;
    }
    *ret = persistent;
    return 0;
}

int tpm_srk_open(Tpm *tpm, bool create, ESYS_TR *ret, char *error)
{
    int r;

    r = persistent_open(tpm, TPM_SRK_HANDLE, ret, error);
    if (r == -ENOENT && create)
        return srk_create(tpm, ret, error);
    return r;
}

/* The Name of an object that ESYS has read the public area of. ESYS makes it from the public area
 * that it holds, which is what a salt is encrypted to; it does not repeat the Name that came with
 * that, which nothing authenticates. */
static int object_name(Tpm *tpm, ESYS_TR object, TPM2B_NAME *ret, char *error)
{
    TPM2B_NAME *name = NULL;
    TSS2_RC rc = Esys_TR_GetName(tpm->esys, object, &name);

    if (rc != TSS2_RC_SUCCESS) {
        tpm_error(error, "Esys_TR_GetName", rc);
        return -EIO;
    }
    *ret = *name;
    Esys_Free(name);
    return 0;
}

int tpm_srk_name(Tpm *tpm, TPM2B_NAME *ret, char *error)
{
    ESYS_TR srk = ESYS_TR_NONE;
    int r;

    r = tpm_srk_open(tpm, false, &srk, error);
    if (r < 0)
        return r;
    r = object_name(tpm, srk, ret, error);
    tpm_object_release(tpm, srk);
    return r;
}

static int srk_check(Tpm *tpm, ESYS_TR srk, char *error)
{
    TPM2B_NAME name;
    int r;

    if (tpm->srk_name.size == 0)
        return 0;
    r = object_name(tpm, srk, &name, error);
    if (r < 0)
        return r;
    if (bytes_equal((Bytes){name.name, name.size}, (Bytes){tpm->srk_name.name, tpm->srk_name.size}))
        return 0;
    (void)snprintf(error, TPM_ERROR_SIZE,
                   "the storage root key at 0x%08x is not the one that this device was provisioned "
                   "with: the TPM was cleared or exchanged, or something stands between it and us; "
                   "have the device looked at, and provision it again",
                   TPM_SRK_HANDLE);
    return -EIO;
}

int tpm_salt_key_open(Tpm *tpm, char *error)
{
    ESYS_TR srk = ESYS_TR_NONE;
    int r;

    if (tpm->salt_key != ESYS_TR_NONE)
        return 0;
    r = tpm_srk_open(tpm, false, &srk, error);
    if (r == -ENOENT && tpm->srk_name.size == 0)
        return 0;
    if (r == 0)
        r = srk_check(tpm, srk, error);
    if (r < 0) {
        tpm_object_release(tpm, srk);
        return -EIO;
    }
    tpm->salt_key = srk;
    return 0;
}

int tpm_parent_open(Tpm *tpm, TPM2_HANDLE handle, ESYS_TR *ret, char *error)
{
    if (handle == TPM2_RH_OWNER)
        return primary_create(tpm, ret, error);
    return persistent_open(tpm, handle, ret, error);
}
