/* Moving a command's octets to the TPM and back, trying again what it puts off, and counting how
 * long it takes. */
#include "tpm/transport.h"

#include "base/bytes.h"
#include "base/cleanup.h"

#include <errno.h>
#include <stdio.h>
#include <time.h>

/* A tag of 2 octets, the size of all, the command's or response's code (TPM 2.0 Part 1, 18.1). */
enum { SIZE_OFFSET = 2, CODE_OFFSET = 6, HEADER_SIZE = 10 };

/* What the TPM did not begin with and wants to see again, how long is waited at first (each wait is
 * twice the one before, a second at the most), and how long in all (TPM 2.0 Part 2, 6.6.3). */
static const struct {
    TPM2_RC rc;
    unsigned first_ms;
    unsigned limit_ms;
} retries[] = {
    {TPM2_RC_RETRY, 1, 20000},
    {TPM2_RC_YIELDED, 1, 20000},
    {TPM2_RC_TESTING, 10, 60000},
    {TPM2_RC_NV_RATE, 50, 60000},
};

enum { WAIT_MAX_MS = 1000 };

typedef struct Job {
    Tpm *tpm;
    TpmExchange *exchange;
    TSS2_RC rc;
} Job;

/* In the thread that waits for the TPM, if there is one. */
static void octets_move(void *userdata)
{
    Job *job = userdata;
    TSS2_TCTI_CONTEXT *tcti = job->tpm->tcti;
    TpmExchange *exchange = job->exchange;

    if (!tcti) { /* it broke while this stood in the queue */
        job->rc = TSS2_TCTI_RC_IO_ERROR;
        return;
    }
    exchange->response_size = sizeof(exchange->response);
    job->rc = Tss2_Tcti_Transmit(tcti, exchange->request_size, exchange->request);
    if (job->rc == TSS2_RC_SUCCESS) {
        job->rc = Tss2_Tcti_Receive(tcti, &exchange->response_size, exchange->response,
                                    TSS2_TCTI_TIMEOUT_BLOCK);
    }
}

static uint32_t header_number(const uint8_t *message, size_t size, size_t offset)
{
    uint32_t number = 0;
    Reader reader;

    reader_init(&reader, (Bytes){message, size});
    if (reader_skip(&reader, offset) == 0)
        (void)reader_u32(&reader, &number);
    return number;
}

static TPM2_CC command_code(const TpmExchange *exchange)
{
    return header_number(exchange->request, exchange->request_size, CODE_OFFSET);
}

static TSS2_RC response_check(const TpmExchange *exchange)
{
    return exchange->response_size >= HEADER_SIZE &&
                   header_number(exchange->response, exchange->response_size, SIZE_OFFSET) ==
                       exchange->response_size
               ? TSS2_RC_SUCCESS
               : TSS2_TCTI_RC_MALFORMED_RESPONSE;
}

static TSS2_RC exchange_once(Tpm *tpm, TpmExchange *exchange)
{
    const TPM2_CC code = command_code(exchange);
    Job job = {.tpm = tpm, .exchange = exchange};
    int r;

    if (tpm->broken)
        return TSS2_TCTI_RC_IO_ERROR;
    if (tpm->meter)
        tpm_meter_begin(tpm->meter);
    r = tpm_loop_run(tpm->loop, octets_move, &job, code == TPM2_CC_FlushContext);
    if (r < 0)
        return r == -ECANCELED ? TPM2_RC_CANCELED : TSS2_TCTI_RC_TRY_AGAIN;
    if (tpm->meter)
        tpm_meter_end(tpm->meter, code);
    if (job.rc == TSS2_RC_SUCCESS)
        job.rc = response_check(exchange);
    tpm->broken = job.rc != TSS2_RC_SUCCESS;
    return job.rc;
}

/* How long the TPM may put this off, and *ret_first for the first wait; 0: it does not. */
static unsigned retry_limit(const TpmExchange *exchange, unsigned *ret_first)
{
    const TSS2_RC rc = header_number(exchange->response, exchange->response_size, CODE_OFFSET);

    for (size_t i = 0; i < ELEMENTS(retries); i++) {
        if (retries[i].rc == tpm_rc_base(rc)) {
            *ret_first = retries[i].first_ms;
            return retries[i].limit_ms;
        }
    }
    return 0;
}

/* In the thread that waits for the TPM. */
static void wait_there(void *userdata)
{
    const unsigned *milliseconds = userdata;

    (void)tpm_loop_sleep(NULL, *milliseconds);
}

/* What a cancelled task gives back to the TPM is given back though it is put off. Such a task waits
 * for no timer, and so the thread waits in its place. */
static int retry_wait(const Tpm *tpm, TPM2_CC code, unsigned milliseconds)
{
    int r = tpm_loop_sleep(tpm->loop, milliseconds);

    return r < 0 && code == TPM2_CC_FlushContext
               ? tpm_loop_run(tpm->loop, wait_there, &milliseconds, true)
               : r;
}

TSS2_RC tpm_transport(Tpm *tpm, TpmExchange *exchange)
{
    const TPM2_CC code = command_code(exchange);
    unsigned waited = 0, wait = 0;

    for (;;) {
        TSS2_RC rc = exchange_once(tpm, exchange);
        unsigned first = 0;
        unsigned limit;

        if (rc != TSS2_RC_SUCCESS)
            return rc;
        limit = retry_limit(exchange, &first);
        if (waited >= limit)
            return TSS2_RC_SUCCESS; /* tss2-sys reads the code */
        wait = wait == 0 ? first : 2 * wait < WAIT_MAX_MS ? 2 * wait : WAIT_MAX_MS;
        if (retry_wait(tpm, code, wait) < 0)
            return TPM2_RC_CANCELED;
        waited += wait;
    }
}

/* ---- the TPM's own time, by command code ---- */

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
