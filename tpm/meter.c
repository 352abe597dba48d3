/* The TPM's own time, by command code. */
#include "tpm/meter.h"

#include "base/cleanup.h"

#include <stdio.h>
#include <time.h>

static uint64_t now(void)
{
    struct timespec time;

    (void)clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec;
}

static TpmMeterEntry *entry_of(TpmMeter *meter, TPM2_CC code)
{
    for (size_t i = 0; i < meter->used; i++) {
        if (meter->entries[i].code == code)
            return &meter->entries[i];
    }
    if (meter->used == TPM_METER_COMMANDS)
        return &meter->entries[TPM_METER_COMMANDS - 1];
    meter->entries[meter->used].code = code;
    return &meter->entries[meter->used++];
}

void tpm_meter_begin(TpmMeter *meter)
{
    meter->begun = now();
}

void tpm_meter_end(TpmMeter *meter, TPM2_CC code)
{
    TpmMeterEntry *entry = entry_of(meter, code);

    entry->count++;
    entry->nanoseconds += now() - meter->begun;
}

uint64_t tpm_meter_nanoseconds(const TpmMeter *meter)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < meter->used; i++)
        sum += meter->entries[i].nanoseconds;
    return sum;
}

const char *tpm_command_name(TPM2_CC code, char *ret)
{
    static const struct {
        TPM2_CC code;
        const char *name;
    } names[] = {
        {TPM2_CC_ActivateCredential, "ActivateCredential"},
        {TPM2_CC_Certify, "Certify"},
        {TPM2_CC_Create, "Create"},
        {TPM2_CC_CreatePrimary, "CreatePrimary"},
        {TPM2_CC_EvictControl, "EvictControl"},
        {TPM2_CC_FlushContext, "FlushContext"},
        {TPM2_CC_GetCapability, "GetCapability"},
        {TPM2_CC_GetRandom, "GetRandom"},
        {TPM2_CC_HierarchyChangeAuth, "HierarchyChangeAuth"},
        {TPM2_CC_Load, "Load"},
        {TPM2_CC_LoadExternal, "LoadExternal"},
        {TPM2_CC_NV_DefineSpace, "NV_DefineSpace"},
        {TPM2_CC_NV_Increment, "NV_Increment"},
        {TPM2_CC_NV_Read, "NV_Read"},
        {TPM2_CC_NV_ReadPublic, "NV_ReadPublic"},
        {TPM2_CC_NV_Write, "NV_Write"},
        {TPM2_CC_NV_WriteLock, "NV_WriteLock"},
        {TPM2_CC_PCR_Read, "PCR_Read"},
        {TPM2_CC_PolicyAuthorize, "PolicyAuthorize"},
        {TPM2_CC_PolicyCpHash, "PolicyCpHash"},
        {TPM2_CC_PolicyNV, "PolicyNV"},
        {TPM2_CC_PolicyNvWritten, "PolicyNvWritten"},
        {TPM2_CC_PolicyPCR, "PolicyPCR"},
        {TPM2_CC_PolicySecret, "PolicySecret"},
        {TPM2_CC_ReadPublic, "ReadPublic"},
        {TPM2_CC_Sign, "Sign"},
        {TPM2_CC_StartAuthSession, "StartAuthSession"},
        {TPM2_CC_VerifySignature, "VerifySignature"},
    };

    (void)snprintf(ret, TPM_COMMAND_NAME_SIZE, "TPM2_CC 0x%08x", code);
    for (size_t i = 0; i < ELEMENTS(names); i++) {
        if (names[i].code == code)
            (void)snprintf(ret, TPM_COMMAND_NAME_SIZE, "TPM2_%s", names[i].name);
    }
    return ret;
}
