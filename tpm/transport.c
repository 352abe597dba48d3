/* Moving a command's octets to the TPM and back, and trying again what it puts off. */
#include "tpm/transport.h"

#include "base/bytes.h"
#include "tpm/meter.h"

#include <errno.h>

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
