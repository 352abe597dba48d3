/* The device's TPM in the factory: opens it, says which one it is, what is in its way and whether
 * its storage root key can stay, and defines the NV indices of the anchors' guard and of the
 * last-known time (tred-nv(7)). */
#include "provisioning/devicetpm.h"

#include "base/signals.h"
#include "crypto/secret.h"
#include "policy/anchorguard.h"
#include "policy/lastknowntime.h"
#include "tpm/commands.h"
#include "tpm/open.h"
#include "tpm/storagekey.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <string.h>

enum { KIB = 1024 };

int secrets_prepare(Reason *reason)
{
    int r = CRYPTO_secure_malloc_initialized() ? 0 : secrets_init();

    if (r < 0) {
        reason_set(reason, 0,
                   "there is no locked memory for secrets: %s; raise RLIMIT_MEMLOCK to %d MiB "
                   "('ulimit -l %d')",
                   strerror(-r), SECRETS_SIZE / (KIB * KIB), SECRETS_SIZE / KIB);
    }
    return r < 0 ? -ENOMEM : 0; /* -EPERM is no missing right of the person's */
}

int provision_tpm_open(const char *tcti, TpmMeter *meter, Tpm **ret, Reason *reason)
{
    sigset_t before;
    int r = secrets_prepare(reason);

    signals_hold(&before);
    return r < 0 ? r : tpm_open_metered(tcti, meter, ret, reason);
}

enum { BATCH = 64 }; /* properties or handles asked for at once; a TPM holds fewer */

static int capability_get(Tpm *tpm, TPM2_CAP capability, uint32_t first, TPMS_CAPABILITY_DATA *ret,
                          Reason *reason)
{
    TSS2_RC rc = tpm2_get_capability(tpm, NULL, capability, first, BATCH, ret);

    if (rc == TSS2_RC_SUCCESS)
        return 0;
    tpm_error(reason, "TPM2_GetCapability", rc);
    return -EIO;
}

static void manufacturer_copy(uint32_t value, char *ret)
{
    for (unsigned i = 0; i < 4; i++) {
        const uint32_t letter = value >> (24 - 8 * i) & 0xff;

        ret[i] = '\0';
        if (letter > ' ' && letter <= '~')
            ret[i] = (char)letter;
    }
    ret[4] = '\0';
}

static void property_take(const TPMS_TAGGED_PROPERTY *property, TpmFacts *facts)
{
    switch (property->property) {
    case TPM2_PT_MANUFACTURER:
        manufacturer_copy(property->value, facts->manufacturer);
        break;
    case TPM2_PT_FIRMWARE_VERSION_1:
        facts->firmware_major = property->value;
        break;
    case TPM2_PT_FIRMWARE_VERSION_2:
        facts->firmware_minor = property->value;
        break;
    case TPM2_PT_NV_COUNTERS_AVAIL:
        facts->counters_known = true;
        facts->counters_free = property->value;
        break;
    case TPM2_PT_HR_PERSISTENT_AVAIL:
        facts->persistent_free = property->value;
        break;
    case TPM2_PT_PERMANENT:
        facts->owner_auth_set = property->value & TPMA_PERMANENT_OWNERAUTHSET;
        break;
    default:
        break;
    }
}

int tpm_facts_read(Tpm *tpm, TpmFacts *ret, Reason *reason)
{
    static const uint32_t groups[] = {TPM2_PT_FIXED, TPM2_PT_VAR};

    *ret = (TpmFacts){0};
    for (size_t i = 0; i < ELEMENTS(groups); i++) {
        TPMS_CAPABILITY_DATA data = {0};
        int r = capability_get(tpm, TPM2_CAP_TPM_PROPERTIES, groups[i], &data, reason);

        if (r < 0)
            return r;
        for (uint32_t j = 0; j < data.data.tpmProperties.count; j++)
            property_take(&data.data.tpmProperties.tpmProperty[j], ret);
    }
    return 0;
}

static int handle_flush(Tpm *tpm, TPM2_HANDLE handle, Reason *reason)
{
    TSS2_RC rc = tpm2_flush_context(tpm, handle);

    if (rc == TSS2_RC_SUCCESS)
        return 0;
    tpm_error(reason, "TPM2_FlushContext (left over from a process that was killed)", rc);
    return -EIO;
}

int tpm_leftovers_flush(Tpm *tpm, Reason *reason)
{
    static const TPM2_HANDLE firsts[] = {TPM2_TRANSIENT_FIRST, TPM2_LOADED_SESSION_FIRST};

    for (size_t i = 0; tpm->exclusive && i < ELEMENTS(firsts); i++) {
        TPMS_CAPABILITY_DATA data = {0};
        int r = capability_get(tpm, TPM2_CAP_HANDLES, firsts[i], &data, reason);

        for (uint32_t j = 0; r == 0 && j < data.data.handles.count; j++)
            r = handle_flush(tpm, data.data.handles.handle[j], reason);
        if (r < 0)
            return r;
    }
    return 0;
}

/* 2024-01-01, when there was no tred: a clock before that was never set. */
static const time_t earliest = 1704067200;

int anchor_guard_define(Tpm *tpm, const PolicyKey *operator_key, Reason *reason)
{
    TPMS_NV_PUBLIC public;
    AnchorGuard guard;
    NvIndex index;
    int r;

    r = anchor_guard_open(tpm, &index, &guard, reason);
    if (r == 0)
        return anchor_guard_obeys(&guard, operator_key) ? 0 : anchor_guard_not_ours(reason);
    if (r != -ENOENT)
        return r == -EBADMSG ? -EEXIST : r;
    if (anchor_guard_public(operator_key, false, &public) < 0)
        return reason_set(reason, -EIO, "OpenSSL can't compute SHA-256");
    return nv_define(tpm, &public, reason);
}

/* Opens the index, and makes it if there is none. */
static int index_define(Tpm *tpm, const TPMS_NV_PUBLIC *public, NvIndex *ret, Reason *reason)
{
    int r = last_known_open(tpm, public, ret, reason);

    if (r == -ENOENT) {
        r = nv_define(tpm, public, reason);
        if (r == 0)
            r = last_known_open(tpm, public, ret, reason);
    }
    return r == -EBADMSG ? -EEXIST : r;
}

/* The counter, which begins to count here if it never did. */
static int counter_begin(Tpm *tpm, uint64_t *ret, Reason *reason)
{
    NvIndex index;
    int r = index_define(tpm, &last_known_counter, &index, reason);

    if (r < 0)
        return r;
    if (!(index.public.attributes & TPMA_NV_WRITTEN))
        r = nv_increment(tpm, &index, reason);
    if (r == 0)
        r = last_known_number(tpm, &index, ret, reason);
    return r;
}

static int base_write(Tpm *tpm, NvIndex *index, uint64_t base, Reason *reason)
{
    uint8_t octets[NV_NUMBER_SIZE];
    Writer writer;

    writer_init(&writer, octets, sizeof(octets));
    writer_u64(&writer, base);
    return nv_write(tpm, index, NULL, BYTES_OF(octets), reason);
}

int last_known_time_define(Tpm *tpm, time_t now, Reason *reason)
{
    uint64_t counter = 0;
    NvIndex index = {0};
    int r;

    if (now < earliest) {
        return reason_set(reason, -EINVAL,
                          "this machine's clock stands before 2024, and the last-known time would "
                          "begin there; set the clock (timedatectl)");
    }
    r = counter_begin(tpm, &counter, reason);
    if (r == 0)
        r = index_define(tpm, &last_known_base, &index, reason);
    if (r < 0)
        return r;
    /* The difference may be below zero; two's complement carries that. */
    if (!(index.public.attributes & TPMA_NV_WRITTEN))
        r = base_write(tpm, &index, (uint64_t)(now / LAST_KNOWN_DAY) - counter, reason);
    if (r == 0 && !(index.public.attributes & TPMA_NV_WRITELOCKED))
        r = nv_lock(tpm, &index, reason);
    return r;
}

enum { INDICES = 3 };

/* All three as they are defined. */
static int indices_public(const PolicyKey *operator_key, TPMS_NV_PUBLIC *ret, Reason *reason)
{
    if (anchor_guard_public(operator_key, false, &ret[0]) < 0)
        return reason_set(reason, -EIO, "OpenSSL can't compute SHA-256");
    ret[1] = last_known_counter;
    ret[2] = last_known_base;
    return 0;
}

int guard_indices_missing(Tpm *tpm, const PolicyKey *operator_key, Reason *reason)
{
    TPMS_NV_PUBLIC wanted[INDICES];
    NvIndex index;
    int missing = 0;
    int r = indices_public(operator_key, wanted, reason);

    for (size_t i = 0; r == 0 && i < INDICES; i++) {
        r = nv_open(tpm, wanted[i].nvIndex, &index, reason);
        if (r == -ENOENT) {
            missing++;
            r = 0;
        }
    }
    return r < 0 ? r : missing;
}

/* A power cut may have left it there. */
static int trial_remove(Tpm *tpm, const TPMS_NV_PUBLIC *trial, Reason *reason)
{
    NvIndex index;
    int r = nv_open(tpm, trial->nvIndex, &index, reason);

    if (r < 0)
        return r == -ENOENT ? 0 : r;
    if (index.public.dataSize != trial->dataSize || index.public.attributes != trial->attributes) {
        return reason_set(reason, -EEXIST,
                          "the NV index 0x%08x is there, and is not ours; remove it with "
                          "'tpm2_nvundefine 0x%08x'",
                          trial->nvIndex, trial->nvIndex);
    }
    return nv_undefine(tpm, trial->nvIndex, reason);
}

int guard_indices_try(Tpm *tpm, const PolicyKey *operator_key, Reason *reason)
{
    TPMS_NV_PUBLIC trials[INDICES];
    NvIndex index;
    size_t n = 0;
    int r = indices_public(operator_key, trials, reason);

    for (size_t i = 0; r == 0 && i < INDICES; i++) {
        r = nv_open(tpm, trials[i].nvIndex, &index, reason);
        if (r == 0)
            continue;
        if (r == -ENOENT) {
            trials[n] = trials[i];
            trials[n].nvIndex += GUARD_TRIAL_OFFSET;
            r = trial_remove(tpm, &trials[n++], reason);
        }
    }
    size_t made = 0;
    while (r == 0 && made < n) {
        r = nv_define(tpm, &trials[made], reason);
        if (r == 0)
            made++;
    }
    while (made > 0) {
        Reason ignored;

        (void)nv_undefine(tpm, trials[--made].nvIndex, r < 0 ? &ignored : reason);
    }
    return r;
}

static int srk_refuse(const char *what, Reason *reason)
{
    return reason_set(
        reason, -EPERM,
        "the storage root key at 0x%08x, which this TPM came with, %s; if nothing else "
        "uses it, remove it with 'tpm2_evictcontrol -C o -c 0x%08x', and a right one is "
        "made; if something does, clear the TPM ('tpm2_clear', which destroys all keys "
        "in it) or use another",
        TPM_SRK_HANDLE, what, TPM_SRK_HANDLE);
}

/* An authorization is judged before a command's parameters are (TPM 2.0 Part 3, 5.6, 5.8): there is
 * nothing to load here, and what is said tells whether it would have been allowed. */
static int password_check(Tpm *tpm, const TpmObject *srk, Reason *reason)
{
    static const TPM2B_PRIVATE nothing = {0};
    const TPM2B_PUBLIC public = {
        .publicArea = {.type = TPM2_ALG_KEYEDHASH,
                       .nameAlg = TPM2_ALG_SHA256,
                       .parameters.keyedHashDetail.scheme.scheme = TPM2_ALG_NULL}};
    TpmObject loaded = {0};
    TSS2_RC rc = tpm2_load(tpm, srk, NULL, &nothing, &public, &loaded);

    switch (tpm_rc_base(rc)) {
    case TPM2_RC_BAD_AUTH:
    case TPM2_RC_AUTH_FAIL:
        return srk_refuse("has a password", reason);
    case TPM2_RC_SIZE:
        return 0;
    case TSS2_RC_SUCCESS:
        tpm_object_release(tpm, &loaded);
        return 0;
    default:
        tpm_error(reason, "TPM2_Load (to try the storage root key)", rc);
        return -EIO;
    }
}

int srk_fits(Tpm *tpm, Reason *reason)
{
    TPM2B_PUBLIC public = {0};
    TpmObject srk = {0};
    int r = tpm_srk_open(tpm, false, &srk, reason);

    if (r < 0)
        return r;
    TSS2_RC rc = tpm2_read_public(tpm, TPM_SRK_HANDLE, &public, &srk);
    if (rc != TSS2_RC_SUCCESS) {
        tpm_error(reason, "TPM2_ReadPublic (storage root key)", rc);
        return -EIO;
    }
    if (!(public.publicArea.objectAttributes & TPMA_OBJECT_NODA)) {
        return srk_refuse("lacks the attribute noDA, so that a few power cuts lock the TPM",
                          reason);
    }
    return password_check(tpm, &srk, reason);
}
