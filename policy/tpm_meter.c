/* Where does the time go that the TPM takes? */
#include "policy/tpm_meter.h"

#include "base/bytes.h"
#include "base/cleanup.h"

#include <stdio.h>
#include <time.h>

#define METER_MAGIC UINT64_C(0x7470326d65746572)

enum { CODE_OFFSET = 6 }; /* after tag and size (TPM 2.0 Part 1, 18.2) */

static TpmMeter *meter_of(TSS2_TCTI_CONTEXT *tcti)
{
    return (TpmMeter *)(void *)tcti;
}

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

static TSS2_RC meter_transmit(TSS2_TCTI_CONTEXT *tcti, size_t size, const uint8_t *command)
{
    TpmMeter *meter = meter_of(tcti);
    Reader reader;
    uint32_t code = 0;

    reader_init(&reader, (Bytes){command, size});
    (void)reader_skip(&reader, CODE_OFFSET);
    (void)reader_u32(&reader, &code);
    meter->code = code;
    meter->begun = now();
    return Tss2_Tcti_Transmit(meter->inner, size, command);
}

/* Without a buffer, only the response's size is asked for; the response is still to come. */
static TSS2_RC meter_receive(TSS2_TCTI_CONTEXT *tcti, size_t *size, uint8_t *response,
                             int32_t timeout)
{
    TpmMeter *meter = meter_of(tcti);
    const TSS2_RC rc = Tss2_Tcti_Receive(meter->inner, size, response, timeout);

    if (rc == TSS2_RC_SUCCESS && response) {
        TpmMeterEntry *entry = entry_of(meter, meter->code);

        entry->count++;
        entry->nanoseconds += now() - meter->begun;
    }
    return rc;
}

/* The inner one is closed by who opened it. */
static void meter_finalize(TSS2_TCTI_CONTEXT *tcti)
{
    meter_of(tcti)->inner = NULL;
}

static TSS2_RC meter_cancel(TSS2_TCTI_CONTEXT *tcti)
{
    return Tss2_Tcti_Cancel(meter_of(tcti)->inner);
}

static TSS2_RC meter_poll_handles(TSS2_TCTI_CONTEXT *tcti, TSS2_TCTI_POLL_HANDLE *handles,
                                  size_t *count)
{
    return Tss2_Tcti_GetPollHandles(meter_of(tcti)->inner, handles, count);
}

static TSS2_RC meter_set_locality(TSS2_TCTI_CONTEXT *tcti, uint8_t locality)
{
    return Tss2_Tcti_SetLocality(meter_of(tcti)->inner, locality);
}

static TSS2_RC meter_make_sticky(TSS2_TCTI_CONTEXT *tcti, TPM2_HANDLE *handle, uint8_t sticky)
{
    return Tss2_Tcti_MakeSticky(meter_of(tcti)->inner, handle, sticky);
}

TSS2_TCTI_CONTEXT *tpm_meter_attach(TpmMeter *meter, TSS2_TCTI_CONTEXT *inner)
{
    meter->inner = inner;
    meter->tcti = (TSS2_TCTI_CONTEXT_COMMON_V2){
        .v1 =
            {
                .magic = METER_MAGIC,
                .version = 2,
                .transmit = meter_transmit,
                .receive = meter_receive,
                .finalize = meter_finalize,
                .cancel = meter_cancel,
                .getPollHandles = meter_poll_handles,
                .setLocality = meter_set_locality,
            },
        .makeSticky = meter_make_sticky,
    };
    return (TSS2_TCTI_CONTEXT *)(void *)meter;
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
