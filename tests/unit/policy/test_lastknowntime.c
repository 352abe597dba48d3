/* Does the last-known time go on with the days, and never back? */
#include "probe.h"
#include "tpm_bench.h"

#include "base/reason.h"
#include "policy/lastknowntime.h"
#include "provisioning/devicetpm.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

enum { DAY = LAST_KNOWN_DAY };

/* Noon of some day. */
static const time_t noon = 1790000000 / DAY * DAY + DAY / 2;

static Reason reason;

static int indices_remove(void **state)
{
    (void)state;
    (void)nv_undefine(bench.tpm, LAST_KNOWN_COUNTER_INDEX, &reason);
    (void)nv_undefine(bench.tpm, LAST_KNOWN_BASE_INDEX, &reason);
    return 0;
}

static time_t read_it(void)
{
    time_t time = 0;

    if (last_known_time_read(bench.tpm, &time, &reason) < 0)
        fail_msg("%s", reason.text);
    return time;
}

static void define_at(time_t now)
{
    if (last_known_time_define(bench.tpm, now, &reason) < 0)
        fail_msg("%s", reason.text);
}

static time_t advance_to(time_t now)
{
    time_t time = 0;

    if (last_known_time_advance(bench.tpm, now, 100, &time, &reason) < 0)
        fail_msg("%s", reason.text);
    assert_int_equal(time, read_it());
    return time;
}

static void it_begins_with_the_day_at_the_factory(void **state)
{
    time_t time;

    (void)state;
    assert_int_equal(last_known_time_read(bench.tpm, &time, &reason), -ENOENT);
    define_at(noon);
    assert_int_equal(read_it(), noon - DAY / 2);
    define_at(noon + 5L * DAY); /* nothing is done a second time */
    assert_int_equal(read_it(), noon - DAY / 2);
}

static void it_follows_the_days_and_does_not_go_back(void **state)
{
    (void)state;
    define_at(noon);
    assert_int_equal(advance_to(noon + DAY / 4), noon - DAY / 2);
    assert_int_equal(advance_to(noon + DAY), noon + DAY / 2);
    assert_int_equal(advance_to(noon + 30L * DAY), noon + 30L * DAY - DAY / 2);
    assert_int_equal(advance_to(noon), noon + 30L * DAY - DAY / 2);
    assert_int_equal(advance_to(0), noon + 30L * DAY - DAY / 2);
}

static void a_long_way_is_gone_in_steps(void **state)
{
    time_t time = 0;

    (void)state;
    define_at(noon);
    assert_int_equal(last_known_time_advance(bench.tpm, noon + 7L * DAY, 3, &time, &reason), 0);
    assert_int_equal(time, noon + 3L * DAY - DAY / 2);
    assert_int_equal(last_known_time_advance(bench.tpm, noon + 7L * DAY, 100, &time, &reason), 0);
    assert_int_equal(time, noon + 7L * DAY - DAY / 2);
}

static void a_clock_gone_wrong_is_not_believed(void **state)
{
    time_t time = 0;

    (void)state;
    define_at(noon);
    assert_int_equal(last_known_time_advance(bench.tpm,
                                             noon + (LAST_KNOWN_JUMP_DAYS_MAX + 1L) * DAY, 1, &time,
                                             &reason),
                     -ERANGE);
    assert_int_equal(read_it(), noon - DAY / 2);
    assert_int_equal(last_known_time_advance(bench.tpm,
                                             noon + (time_t)LAST_KNOWN_JUMP_DAYS_MAX * DAY, 1,
                                             &time, &reason),
                     0);
    assert_int_equal(read_it(), noon + DAY / 2);
}

static void a_factory_without_a_clock_is_told_so(void **state)
{
    (void)state;
    assert_int_equal(last_known_time_define(bench.tpm, 1000, &reason), -EINVAL);
    assert_non_null(strstr(reason.text, "clock"));
}

static void a_counter_that_counts_already_is_no_harm(void **state)
{
    NvIndex counter;

    (void)state;
    define_at(noon);
    assert_int_equal(nv_undefine(bench.tpm, LAST_KNOWN_BASE_INDEX, &reason), 0);
    assert_int_equal(nv_open(bench.tpm, LAST_KNOWN_COUNTER_INDEX, &counter, &reason), 0);
    for (int i = 0; i < 7; i++)
        assert_int_equal(nv_increment(bench.tpm, &counter, &reason), 0);
    define_at(noon);
    assert_int_equal(read_it(), noon - DAY / 2);
}

static void what_the_factory_wrote_is_locked(void **state)
{
    static const uint8_t zeros[NV_NUMBER_SIZE] = {0};
    NvIndex base;

    (void)state;
    define_at(noon);
    assert_int_equal(nv_open(bench.tpm, LAST_KNOWN_BASE_INDEX, &base, &reason), 0);
    assert_true(nv_write(bench.tpm, &base, NULL, BYTES_OF(zeros), &reason) < 0);
    assert_int_equal(read_it(), noon - DAY / 2);
}

static void a_factory_cut_off_anywhere_is_taken_up_again(void **state)
{
    TPMS_NV_PUBLIC counter = {0}, base = {0};
    NvIndex index;
    time_t time;

    define_at(noon);
    assert_int_equal(nv_open(bench.tpm, LAST_KNOWN_COUNTER_INDEX, &index, &reason), 0);
    counter = index.public;
    assert_int_equal(nv_open(bench.tpm, LAST_KNOWN_BASE_INDEX, &index, &reason), 0);
    base = index.public;
    counter.attributes &= ~TPMA_NV_WRITTEN;
    base.attributes &= ~(TPMA_NV_WRITTEN | TPMA_NV_WRITELOCKED);

    for (int done = 1; done <= 4; done++) {
        static const uint8_t written[NV_NUMBER_SIZE] = {0, 0, 0, 0, 0, 0, 0x40, 0};

        (void)indices_remove(state);
        assert_int_equal(nv_define(bench.tpm, &counter, &reason), 0);
        if (done >= 2) {
            assert_int_equal(nv_open(bench.tpm, LAST_KNOWN_COUNTER_INDEX, &index, &reason), 0);
            assert_int_equal(nv_increment(bench.tpm, &index, &reason), 0);
        }
        if (done >= 3)
            assert_int_equal(nv_define(bench.tpm, &base, &reason), 0);
        if (done >= 4) {
            assert_int_equal(nv_open(bench.tpm, LAST_KNOWN_BASE_INDEX, &index, &reason), 0);
            assert_int_equal(nv_write(bench.tpm, &index, NULL, BYTES_OF(written), &reason), 0);
        }
        assert_true(last_known_time_read(bench.tpm, &time, &reason) < 0);
        define_at(noon);
        assert_true(read_it() == noon - DAY / 2 || done == 4);
    }
}

/* What either index can be wrong in, one thing at a time. */
static const struct {
    const char *what;
    TPMA_NV added, missing;
    UINT16 policy_size;
} impostors[] = {
    {"the owner writes it", .added = TPMA_NV_OWNERWRITE},
    {"the platform writes it", .added = TPMA_NV_PPWRITE},
    {"a policy writes it", .added = TPMA_NV_POLICYWRITE},
    {"it is kept in RAM", .added = TPMA_NV_ORDERLY},
    {"its reading can be locked", .added = TPMA_NV_READ_STCLEAR},
    {"a policy reads it", .added = TPMA_NV_POLICYREAD},
    {"the platform reads it", .added = TPMA_NV_PPREAD},
    {"it can be locked until a restart", .added = TPMA_NV_WRITE_STCLEAR},
    {"it can be locked with all others", .added = TPMA_NV_GLOBALLOCK},
    {"it counts in the dictionary-attack protection", .missing = TPMA_NV_NO_DA},
    {"the owner does not read it", .missing = TPMA_NV_OWNERREAD},
    {"its authValue does not read it", .missing = TPMA_NV_AUTHREAD},
    {"it has a policy", .policy_size = 32},
};

static void an_index_that_is_wrong_in_one_thing_keeps_no_time(void **state)
{
    const TPMS_NV_PUBLIC *const right[] = {&last_known_counter, &last_known_base};

    (void)state;
    for (size_t i = 0; i < ELEMENTS(right); i++) {
        for (size_t j = 0; j < ELEMENTS(impostors); j++) {
            TPMS_NV_PUBLIC public = *right[i];
            time_t time = 0;

            public.attributes |= impostors[j].added;
            public.attributes &= ~impostors[j].missing;
            public.authPolicy.size = impostors[j].policy_size;
            if (nv_define(bench.tpm, &public, &reason) < 0)
                fail_msg("%s: %s", impostors[j].what, reason.text);
            if (last_known_time_define(bench.tpm, noon, &reason) != -EEXIST)
                fail_msg("index %zu, %s: it was taken", i, impostors[j].what);
            assert_true(last_known_time_read(bench.tpm, &time, &reason) < 0);
            (void)indices_remove(state);
        }
    }
}

/* As of the anchors' guard: SHA3-256 in the answer of TPM2_NV_ReadPublic. */
static void an_index_whose_name_is_by_another_hash_keeps_no_time(void **state)
{
    Probe probe = {.command = TPM2_CC_NV_ReadPublic,
                   .answer = {.at = 10 + 2 + 4 + 1, .mask = TPM2_ALG_SHA256 ^ TPM2_ALG_SHA3_256}};
    time_t time = 0;

    (void)state;
    define_at(noon);
    probe_attach(&probe);
    assert_int_equal(last_known_time_read(bench.tpm, &time, &reason), -EBADMSG);
    assert_int_equal(last_known_time_define(bench.tpm, noon, &reason), -EEXIST);
    probe_detach();
    assert_int_equal(last_known_time_read(bench.tpm, &time, &reason), 0);
}

static int probe_and_indices_remove(void **state)
{
    (void)probe_remove(state);
    return indices_remove(state);
}

static void a_base_that_is_wrong_in_one_thing_keeps_no_time(void **state)
{
    static const struct {
        TPMA_NV missing;
        int size;
    } wrong[] = {{.missing = TPMA_NV_WRITEDEFINE}, {.size = -1}, {.size = 1}};

    (void)state;
    for (size_t i = 0; i < ELEMENTS(wrong); i++) {
        TPMS_NV_PUBLIC public = last_known_base;

        public.attributes &= ~wrong[i].missing;
        public.dataSize = (UINT16)(public.dataSize + wrong[i].size);
        assert_int_equal(nv_define(bench.tpm, &public, &reason), 0);
        assert_int_equal(last_known_time_define(bench.tpm, noon, &reason), -EEXIST);
        (void)indices_remove(state);
    }
}

static void an_index_of_another_kind_is_left_alone(void **state)
{
    static const TPMS_NV_PUBLIC other = {
        .nvIndex = LAST_KNOWN_COUNTER_INDEX,
        .nameAlg = TPM2_ALG_SHA256,
        .attributes = TPMA_NV_AUTHWRITE | TPMA_NV_AUTHREAD,
        .dataSize = NV_NUMBER_SIZE,
    };

    (void)state;
    assert_int_equal(nv_define(bench.tpm, &other, &reason), 0);
    assert_int_equal(last_known_time_define(bench.tpm, noon, &reason), -EEXIST);
}

static void a_base_without_its_counter_is_no_day(void **state)
{
    time_t time = 7;

    (void)state;
    define_at(noon);
    assert_int_equal(nv_undefine(bench.tpm, LAST_KNOWN_COUNTER_INDEX, &reason), 0);
    assert_int_equal(last_known_time_read(bench.tpm, &time, &reason), -ENOENT);
    assert_int_equal(time, 7);
    assert_true(last_known_time_advance(bench.tpm, noon + DAY, 100, &time, &reason) < 0);
    assert_int_equal(time, 7);
}

/* Beyond any clock that is right, and before any sum of days and seconds overflows. */
static void the_last_day_that_is_one_is_read_and_the_next_is_not(void **state)
{
    enum { LAST_DAY = 1000 * 1000 };
    time_t time = 0;

    define_at((time_t)LAST_DAY * DAY);
    assert_int_equal(read_it(), (time_t)LAST_DAY * DAY);
    (void)indices_remove(state);
    define_at((LAST_DAY + (time_t)1) * DAY);
    assert_int_equal(last_known_time_read(bench.tpm, &time, &reason), -EBADMSG);
    assert_non_null(strstr(reason.text, "day 1000001 after 1970"));
    assert_int_equal(time, 0);
}

/* Whatever the clock at the factory said. */
static void base_put_for_day(int64_t day)
{
    NvIndex counter, base;
    uint64_t counted = 0;
    uint8_t octets[NV_NUMBER_SIZE];
    Writer writer;

    assert_int_equal(nv_undefine(bench.tpm, LAST_KNOWN_BASE_INDEX, &reason), 0);
    assert_int_equal(nv_open(bench.tpm, LAST_KNOWN_COUNTER_INDEX, &counter, &reason), 0);
    assert_int_equal(last_known_number(bench.tpm, &counter, &counted, &reason), 0);
    writer_init(&writer, octets, sizeof(octets));
    writer_u64(&writer, (uint64_t)day - counted);
    assert_int_equal(nv_define(bench.tpm, &last_known_base, &reason), 0);
    assert_int_equal(nv_open(bench.tpm, LAST_KNOWN_BASE_INDEX, &base, &reason), 0);
    assert_int_equal(nv_write(bench.tpm, &base, NULL, BYTES_OF(octets), &reason), 0);
    assert_int_equal(nv_lock(bench.tpm, &base, &reason), 0);
}

static void the_first_day_that_is_one_is_read_and_the_day_before_is_not(void **state)
{
    time_t time = 7;

    (void)state;
    define_at(noon);
    base_put_for_day(0);
    assert_int_equal(read_it(), 0);
    assert_int_equal(advance_to(3L * DAY), 3L * DAY);
    base_put_for_day(-1);
    assert_int_equal(last_known_time_read(bench.tpm, &time, &reason), -EBADMSG);
    assert_non_null(strstr(reason.text, "day -1 after 1970"));
    assert_int_equal(time, 7);
}

#define TIME_TEST(name) cmocka_unit_test_teardown(name, indices_remove)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TIME_TEST(it_begins_with_the_day_at_the_factory),
        TIME_TEST(a_base_without_its_counter_is_no_day),
        TIME_TEST(it_follows_the_days_and_does_not_go_back),
        TIME_TEST(a_long_way_is_gone_in_steps),
        TIME_TEST(a_clock_gone_wrong_is_not_believed),
        TIME_TEST(a_factory_without_a_clock_is_told_so),
        TIME_TEST(a_counter_that_counts_already_is_no_harm),
        TIME_TEST(what_the_factory_wrote_is_locked),
        TIME_TEST(a_factory_cut_off_anywhere_is_taken_up_again),
        TIME_TEST(an_index_that_is_wrong_in_one_thing_keeps_no_time),
        cmocka_unit_test_teardown(an_index_whose_name_is_by_another_hash_keeps_no_time,
                                  probe_and_indices_remove),
        TIME_TEST(a_base_that_is_wrong_in_one_thing_keeps_no_time),
        TIME_TEST(an_index_of_another_kind_is_left_alone),
        TIME_TEST(the_last_day_that_is_one_is_read_and_the_next_is_not),
        TIME_TEST(the_first_day_that_is_one_is_read_and_the_day_before_is_not),
    };

    return cmocka_run_group_tests(tests, bench_init, bench_deinit);
}
