/* Which TPM is this, and what is in the way in it? */
#include "provisioning/tpmfacts.h"

#include "tpm/commands.h"

#include <errno.h>
#include <string.h>

enum { BATCH = 64 }; /* properties or handles asked for at once; a TPM holds fewer */

static int capability_get(Tpm *tpm, TPM2_CAP capability, uint32_t first, TPMS_CAPABILITY_DATA *ret,
                          Reason *reason)
{
    TSS2_RC rc = tpm2_get_capability(tpm, capability, first, BATCH, ret);

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
