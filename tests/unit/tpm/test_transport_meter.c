/* Each command is counted under its name, with the time that it took. */
#include "tpm/transport.h"

#include "base/reason.h"
#include "tpm/open.h"
#include "tpm_bench.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

enum { RANDOMS = 5 };

static const TpmMeterEntry *entry_of(const TpmMeter *meter, TPM2_CC code)
{
    for (size_t i = 0; i < meter->used; i++) {
        if (meter->entries[i].code == code)
            return &meter->entries[i];
    }
    return NULL;
}

static uint64_t now(void)
{
    struct timespec time;

    (void)clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec;
}

static void each_command_is_counted_with_its_time(void **state)
{
    const uint64_t begun = now();
    TpmMeter meter = {0};
    Reason reason = {0};
    Swtpm other;
    Tpm *tpm = NULL;
    const TpmMeterEntry *random;

    (void)state;
    assert_int_equal(swtpm_start(&other), 0);
    assert_int_equal(tpm_open_metered(other.tcti, &meter, &tpm, &reason), 0);
    for (int i = 0; i < RANDOMS; i++) {
        TPM2B_DIGEST octets = {0};

        assert_int_equal(tpm2_get_random(tpm, 16, &octets), TSS2_RC_SUCCESS);
        assert_int_equal(octets.size, 16);
    }
    tpm_close(tpm);
    swtpm_stop(&other);
    random = entry_of(&meter, TPM2_CC_GetRandom);
    assert_non_null(random);
    assert_int_equal(random->count, RANDOMS);
    assert_true(random->nanoseconds > 0);
    assert_int_equal(entry_of(&meter, TPM2_CC_GetCapability)->count, 1); /* tpm_open()'s question */
    assert_true(tpm_meter_nanoseconds(&meter) >= random->nanoseconds);
    assert_true(tpm_meter_nanoseconds(&meter) < now() - begun);
}

static void what_has_no_room_is_counted_with_the_last_one(void **state)
{
    enum { CODES = TPM_METER_COMMANDS + 3 };
    struct {
        TpmMeter meter;
        uint8_t behind[sizeof(TpmMeterEntry)];
    } held = {0};
    const uint8_t untouched[sizeof(held.behind)] = {0};

    (void)state;
    for (unsigned code = 1; code <= CODES; code++) {
        tpm_meter_begin(&held.meter);
        tpm_meter_end(&held.meter, code);
    }
    assert_int_equal(held.meter.used, TPM_METER_COMMANDS);
    assert_int_equal(entry_of(&held.meter, TPM_METER_COMMANDS - 1)->count, 1);
    assert_int_equal(entry_of(&held.meter, TPM_METER_COMMANDS)->count, 1 + 3);
    assert_null(entry_of(&held.meter, CODES));
    assert_memory_equal(held.behind, untouched, sizeof(untouched));
}

static void a_command_has_its_name_or_its_number(void **state)
{
    char name[TPM_COMMAND_NAME_SIZE];

    (void)state;
    assert_string_equal(tpm_command_name(TPM2_CC_Sign, name), "TPM2_Sign");
    assert_string_equal(tpm_command_name(0x20000001, name), "TPM2_CC 0x20000001");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_command_is_counted_with_its_time),
        cmocka_unit_test(what_has_no_room_is_counted_with_the_last_one),
        cmocka_unit_test(a_command_has_its_name_or_its_number),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
