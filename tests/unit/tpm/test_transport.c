/* What the TPM puts off is sent again, for a while; what is no answer ends the connection. The TPM
 * is one of this test's own, and its time passes as it says. */
#include "tpm/transport.h"

#include "base/bytes.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

enum { HEADER_SIZE = 10, REQUEST_SIZE = 12, REQUESTS_MAX = 256 };

/* A TCTI that says what it was told to say. */
typedef struct FakeTcti {
    TSS2_TCTI_CONTEXT_COMMON_V1 common; /* first */
    TSS2_RC transmit_rc, receive_rc;
    TPM2_RC put_off; /* the code of the first `put_off_times` answers; then it is success */
    unsigned put_off_times;
    size_t size;        /* of the answer */
    uint32_t size_told; /* in its header */
    unsigned requests;
    uint8_t first[REQUEST_SIZE];
} FakeTcti;

static FakeTcti fake;
static Tpm tpm;
static TpmExchange exchange;

/* Each wait that was asked for, in milliseconds. The tests are linked with this in place of the
 * real one. */
static struct {
    unsigned count;
    unsigned each[REQUESTS_MAX];
    unsigned sum;
    unsigned canceled_at; /* the wait in which the task is cancelled; 0: none */
} waits;

int __wrap_tpm_loop_sleep(TpmLoop *loop, unsigned milliseconds);

int __wrap_tpm_loop_sleep(TpmLoop *loop, unsigned milliseconds)
{
    assert_null(loop);
    assert_true(waits.count < REQUESTS_MAX);
    waits.each[waits.count++] = milliseconds;
    waits.sum += milliseconds;
    return waits.count == waits.canceled_at ? -ECANCELED : 0;
}

static TSS2_RC fake_transmit(TSS2_TCTI_CONTEXT *tcti, size_t size, const uint8_t *request)
{
    assert_ptr_equal(tcti, &fake);
    assert_int_equal(size, REQUEST_SIZE);
    if (fake.requests++ == 0) {
        memcpy(fake.first, request, size);
    } else {
        assert_memory_equal(request, fake.first, size);
    }
    return fake.transmit_rc;
}

static TSS2_RC fake_receive(TSS2_TCTI_CONTEXT *tcti, size_t *size, uint8_t *response,
                            int32_t timeout)
{
    Writer writer;

    assert_ptr_equal(tcti, &fake);
    assert_int_equal(timeout, TSS2_TCTI_TIMEOUT_BLOCK);
    if (fake.receive_rc != TSS2_RC_SUCCESS)
        return fake.receive_rc;
    assert_true(fake.size <= *size);
    memset(response, 0, *size);
    writer_init(&writer, response, *size);
    writer_u16(&writer, TPM2_ST_NO_SESSIONS);
    writer_u32(&writer, fake.size_told);
    writer_u32(&writer, fake.requests <= fake.put_off_times ? fake.put_off : TPM2_RC_SUCCESS);
    *size = fake.size;
    return TSS2_RC_SUCCESS;
}

static int setup(void **state)
{
    static const uint8_t request[REQUEST_SIZE] = {
        0x80, 0x01, 0, 0, 0, REQUEST_SIZE, 0, 0, 0x01, 0x7b, 0, 16, /* TPM2_GetRandom */
    };

    (void)state;
    memset(&waits, 0, sizeof(waits));
    fake = (FakeTcti){
        .common = {.magic = 0x7465737400000000,
                   .version = 1,
                   .transmit = fake_transmit,
                   .receive = fake_receive},
        .size = HEADER_SIZE,
        .size_told = HEADER_SIZE,
    };
    tpm = (Tpm){.tcti = (TSS2_TCTI_CONTEXT *)(void *)&fake};
    exchange = (TpmExchange){.request_size = REQUEST_SIZE};
    memcpy(exchange.request, request, sizeof(request));
    return 0;
}

static uint32_t answered(void)
{
    uint32_t code = 0;
    Reader reader;

    reader_init(&reader, (Bytes){exchange.response, exchange.response_size});
    assert_int_equal(reader_skip(&reader, HEADER_SIZE - sizeof(code)), 0);
    assert_int_equal(reader_u32(&reader, &code), 0);
    return code;
}

static const struct {
    TPM2_RC rc;
    unsigned first_ms;
    unsigned limit_ms;
} put_off[] = {
    {TPM2_RC_RETRY, 1, 20000},
    {TPM2_RC_YIELDED, 1, 20000},
    {TPM2_RC_TESTING, 10, 60000},
    {TPM2_RC_NV_RATE, 50, 60000},
    /* As the kernel's resource manager says it. */
    {TSS2_RESMGR_TPM_RC_LAYER | TPM2_RC_RETRY, 1, 20000},
};

static void what_the_tpm_puts_off_is_sent_again_as_it_was(void **state)
{
    for (size_t i = 0; i < ELEMENTS(put_off); i++) {
        (void)setup(state);
        fake.put_off = put_off[i].rc;
        fake.put_off_times = 3;
        assert_int_equal(tpm_transport(&tpm, &exchange), TSS2_RC_SUCCESS);
        assert_int_equal(answered(), TPM2_RC_SUCCESS);
        assert_int_equal(fake.requests, 4);
        assert_int_equal(waits.count, 3);
        for (unsigned j = 0; j < waits.count; j++)
            assert_int_equal(waits.each[j], put_off[i].first_ms << j);
    }
}

static void it_is_sent_again_for_so_long_and_not_longer(void **state)
{
    for (size_t i = 0; i < ELEMENTS(put_off); i++) {
        (void)setup(state);
        fake.put_off = put_off[i].rc;
        fake.put_off_times = REQUESTS_MAX;
        assert_int_equal(tpm_transport(&tpm, &exchange), TSS2_RC_SUCCESS);
        assert_int_equal(answered(), put_off[i].rc);
        assert_int_equal(fake.requests, waits.count + 1);
        assert_in_range(waits.sum, put_off[i].limit_ms, put_off[i].limit_ms + 1000);
        for (unsigned j = 0; j < waits.count; j++)
            assert_in_range(waits.each[j], put_off[i].first_ms, 1000);
        assert_false(tpm.broken);
    }
}

static void every_other_answer_is_the_answer(void **state)
{
    static const TPM2_RC codes[] = {
        TPM2_RC_SUCCESS,
        TPM2_RC_CANCELED,
        TPM2_RC_LOCKOUT,
        TPM2_RC_NV_UNAVAILABLE,
        TPM2_RC_FAILURE,
        TPM2_RC_INITIALIZE,
        TPM2_RC_BAD_AUTH | TPM2_RC_S | TPM2_RC_1,
        TPM2_RC_SESSION_MEMORY,
    };

    for (size_t i = 0; i < ELEMENTS(codes); i++) {
        (void)setup(state);
        fake.put_off = codes[i];
        fake.put_off_times = REQUESTS_MAX;
        assert_int_equal(tpm_transport(&tpm, &exchange), TSS2_RC_SUCCESS);
        assert_int_equal(answered(), codes[i]);
        assert_int_equal(fake.requests, 1);
        assert_int_equal(waits.count, 0);
        assert_false(tpm.broken);
    }
}

static void a_task_cancelled_while_it_waits_sends_nothing_more(void **state)
{
    (void)state;
    fake.put_off = TPM2_RC_NV_RATE;
    fake.put_off_times = REQUESTS_MAX;
    waits.canceled_at = 2;
    assert_int_equal(tpm_transport(&tpm, &exchange), TPM2_RC_CANCELED);
    assert_int_equal(fake.requests, 2);
    assert_false(tpm.broken);
}

static void what_a_cancelled_task_gives_back_is_given_back_though_it_is_put_off(void **state)
{
    static const uint8_t flush[] = {0, 0, 0x01, 0x65};

    (void)state;
    memcpy(exchange.request + HEADER_SIZE - sizeof(flush), flush, sizeof(flush));
    fake.put_off = TPM2_RC_RETRY;
    fake.put_off_times = 1;
    waits.canceled_at = 1;
    assert_int_equal(tpm_transport(&tpm, &exchange), TSS2_RC_SUCCESS);
    assert_int_equal(answered(), TPM2_RC_SUCCESS);
    assert_int_equal(fake.requests, 2);
    assert_int_equal(waits.count, 2); /* the one that was refused, and the thread's */
}

/* What was asked before could be answered now: nothing more is heard. */
static void assert_broken(void)
{
    const unsigned requests = fake.requests;

    assert_true(tpm.broken);
    fake.transmit_rc = fake.receive_rc = TSS2_RC_SUCCESS;
    fake.size = fake.size_told = HEADER_SIZE;
    assert_int_equal(tpm_transport(&tpm, &exchange), TSS2_TCTI_RC_IO_ERROR);
    assert_int_equal(fake.requests, requests);
}

static void an_answer_that_is_none_ends_the_connection(void **state)
{
    static const struct {
        size_t size;
        uint32_t size_told;
    } answers[] = {
        {0, 0},
        {1, 1},
        {HEADER_SIZE - 1, HEADER_SIZE - 1},
        {HEADER_SIZE - 1, HEADER_SIZE},
        {HEADER_SIZE, HEADER_SIZE + 1},
        {HEADER_SIZE, HEADER_SIZE - 1},
        {HEADER_SIZE, 0},
        {HEADER_SIZE, UINT32_MAX},
        {TPM_MESSAGE_SIZE, TPM_MESSAGE_SIZE + 1},
        {TPM_MESSAGE_SIZE, HEADER_SIZE},
    };

    for (size_t i = 0; i < ELEMENTS(answers); i++) {
        (void)setup(state);
        fake.size = answers[i].size;
        fake.size_told = answers[i].size_told;
        assert_int_equal(tpm_transport(&tpm, &exchange), TSS2_TCTI_RC_MALFORMED_RESPONSE);
        assert_broken();
    }
}

static void the_largest_answer_is_one(void **state)
{
    (void)state;
    fake.size = fake.size_told = TPM_MESSAGE_SIZE;
    assert_int_equal(tpm_transport(&tpm, &exchange), TSS2_RC_SUCCESS);
    assert_int_equal(exchange.response_size, TPM_MESSAGE_SIZE);
    assert_false(tpm.broken);
}

static void octets_that_do_not_move_end_the_connection(void **state)
{
    (void)setup(state);
    fake.transmit_rc = TSS2_TCTI_RC_IO_ERROR;
    assert_int_equal(tpm_transport(&tpm, &exchange), TSS2_TCTI_RC_IO_ERROR);
    assert_broken();
    (void)setup(state);
    fake.receive_rc = TSS2_TCTI_RC_INSUFFICIENT_BUFFER; /* a larger one than there is */
    assert_int_equal(tpm_transport(&tpm, &exchange), TSS2_TCTI_RC_INSUFFICIENT_BUFFER);
    assert_broken();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(what_the_tpm_puts_off_is_sent_again_as_it_was, setup),
        cmocka_unit_test_setup(it_is_sent_again_for_so_long_and_not_longer, setup),
        cmocka_unit_test_setup(every_other_answer_is_the_answer, setup),
        cmocka_unit_test_setup(a_task_cancelled_while_it_waits_sends_nothing_more, setup),
        cmocka_unit_test_setup(what_a_cancelled_task_gives_back_is_given_back_though_it_is_put_off,
                               setup),
        cmocka_unit_test_setup(an_answer_that_is_none_ends_the_connection, setup),
        cmocka_unit_test_setup(the_largest_answer_is_one, setup),
        cmocka_unit_test_setup(octets_that_do_not_move_end_the_connection, setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
