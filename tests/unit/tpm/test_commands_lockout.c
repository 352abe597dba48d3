/* What a TPM in dictionary-attack lockout is asked, and what is said of it; and what comes of
 * commands that need no session. The TPM is one of this test's own, and the log is read (ld
 * --wrap). */
#include "tpm/commands.h"

#include "base/bytes.h"
#include "base/log.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { HEADER_SIZE = 10, INTERVAL_SECONDS = 600 };

/* A TCTI that answers questions for its properties, and the clock. */
static struct {
    TSS2_TCTI_CONTEXT_COMMON_V1 common; /* first */
    TPM2_CC last;
    TPM2_RC clock_rc, capability_rc;
    uint32_t count, property; /* of what it says of itself */
    unsigned asked;           /* for a capability */
} fake;

static char said[256];

void __wrap_log_line(int level, const char *format, ...) __attribute__((format(printf, 2, 3)));

void __wrap_log_line(int level, const char *format, ...)
{
    va_list arguments;

    (void)level;
    va_start(arguments, format);
    (void)vsnprintf(said, sizeof(said), format, arguments);
    va_end(arguments);
}

static TSS2_RC fake_transmit(TSS2_TCTI_CONTEXT *tcti, size_t size, const uint8_t *request)
{
    Reader reader;

    (void)tcti;
    reader_init(&reader, (Bytes){request, size});
    assert_int_equal(reader_skip(&reader, HEADER_SIZE - sizeof(fake.last)), 0);
    assert_int_equal(reader_u32(&reader, &fake.last), 0);
    fake.asked += fake.last == TPM2_CC_GetCapability;
    return TSS2_RC_SUCCESS;
}

static void capability_write(Writer *writer)
{
    writer_u8(writer, TPM2_NO); /* no more */
    writer_u32(writer, TPM2_CAP_TPM_PROPERTIES);
    writer_u32(writer, fake.count);
    for (uint32_t i = 0; i < fake.count; i++) {
        writer_u32(writer, fake.property + i);
        writer_u32(writer, INTERVAL_SECONDS);
    }
}

/* TPMS_TIME_INFO: the time, and TPMS_CLOCK_INFO. */
static void clock_write(Writer *writer)
{
    writer_u64(writer, 11);
    writer_u64(writer, 22);
    writer_u32(writer, 33);
    writer_u32(writer, 44);
    writer_u8(writer, TPM2_YES);
}

static TSS2_RC fake_receive(TSS2_TCTI_CONTEXT *tcti, size_t *size, uint8_t *response,
                            int32_t timeout)
{
    const TPM2_RC rc = fake.last == TPM2_CC_ReadClock ? fake.clock_rc : fake.capability_rc;
    Writer writer;

    (void)tcti, (void)timeout;
    writer_init(&writer, response, *size);
    writer_u16(&writer, TPM2_ST_NO_SESSIONS);
    writer_u32(&writer, 0);
    writer_u32(&writer, rc);
    if (rc == TPM2_RC_SUCCESS && fake.last == TPM2_CC_ReadClock) {
        clock_write(&writer);
    } else if (rc == TPM2_RC_SUCCESS) {
        capability_write(&writer);
    }
    writer_patch_u32(&writer, sizeof(uint16_t), (uint32_t)writer.size);
    *size = writer.size;
    return TSS2_RC_SUCCESS;
}

static Tpm tpm_new(TPM2_RC clock_rc)
{
    memset(&fake, 0, sizeof(fake));
    said[0] = '\0';
    fake.common = (TSS2_TCTI_CONTEXT_COMMON_V1){.magic = 0x7465737400000000,
                                                .version = 1,
                                                .transmit = fake_transmit,
                                                .receive = fake_receive};
    fake.clock_rc = clock_rc;
    fake.count = 1;
    fake.property = TPM2_PT_LOCKOUT_INTERVAL;
    return (Tpm){.tcti = (TSS2_TCTI_CONTEXT *)(void *)&fake, .exclusive = true};
}

static void how_long_a_lockout_takes_is_asked_and_said_once(void **state)
{
    Tpm tpm = tpm_new(TPM2_RC_LOCKOUT);
    TPMS_TIME_INFO time = {0};

    (void)state;
    assert_int_equal(tpm2_read_clock(&tpm, &time), TPM2_RC_LOCKOUT);
    assert_string_equal(said, "The TPM is in dictionary-attack lockout; it lets go of a failed try "
                              "every 600 s");
    said[0] = '\0';
    assert_int_equal(tpm2_read_clock(&tpm, &time), TPM2_RC_LOCKOUT);
    assert_int_equal(fake.asked, 1);
    assert_string_equal(said, "");
}

static void what_a_tpm_in_lockout_does_not_say_is_not_said(void **state)
{
    static const struct {
        TPM2_RC rc;
        uint32_t count, property;
    } cases[] = {
        {TPM2_RC_FAILURE, 1, TPM2_PT_LOCKOUT_INTERVAL},
        {TPM2_RC_LOCKOUT, 1, TPM2_PT_LOCKOUT_INTERVAL},
        {TPM2_RC_SUCCESS, 0, TPM2_PT_LOCKOUT_INTERVAL},
        {TPM2_RC_SUCCESS, 2, TPM2_PT_LOCKOUT_INTERVAL},
        {TPM2_RC_SUCCESS, 1, TPM2_PT_LOCKOUT_INTERVAL + 1},
    };

    (void)state;
    for (size_t i = 0; i < ELEMENTS(cases); i++) {
        Tpm tpm = tpm_new(TPM2_RC_LOCKOUT);
        TPMS_TIME_INFO time = {0};

        fake.capability_rc = cases[i].rc;
        fake.count = cases[i].count;
        fake.property = cases[i].property;
        assert_int_equal(tpm2_read_clock(&tpm, &time), TPM2_RC_LOCKOUT);
        assert_int_equal(fake.asked, 1);
        assert_string_equal(said, "");
    }
}

static void the_clock_is_read_or_it_is_not(void **state)
{
    Tpm tpm = tpm_new(TPM2_RC_SUCCESS);
    TPMS_TIME_INFO time = {0};

    (void)state;
    assert_int_equal(tpm2_read_clock(&tpm, &time), TSS2_RC_SUCCESS);
    assert_int_equal(time.time, 11);
    assert_int_equal(time.clockInfo.clock, 22);
    assert_int_equal(time.clockInfo.resetCount, 33);
    fake.clock_rc = TPM2_RC_FAILURE;
    assert_int_equal(tpm2_read_clock(&tpm, &time), TPM2_RC_FAILURE);
    assert_int_equal(fake.asked, 0);
}

static void a_tpm_that_does_not_say_what_is_in_its_slots_has_no_room_made(void **state)
{
    Tpm tpm = tpm_new(TPM2_RC_SUCCESS);

    (void)state;
    fake.capability_rc = TPM2_RC_FAILURE;
    assert_false(tpm_reclaim(&tpm, TPM2_RC_OBJECT_MEMORY));
    assert_false(tpm_reclaim(&tpm, TPM2_RC_SESSION_MEMORY));
    assert_false(tpm_reclaim(&tpm, TPM2_RC_CONTEXT_GAP));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(how_long_a_lockout_takes_is_asked_and_said_once),
        cmocka_unit_test(what_a_tpm_in_lockout_does_not_say_is_not_said),
        cmocka_unit_test(the_clock_is_read_or_it_is_not),
        cmocka_unit_test(a_tpm_that_does_not_say_what_is_in_its_slots_has_no_room_made),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
