/* Does an SA stop before it would use a sequence number twice? */
#include "esp/sa.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void the_first_number_is_1(void **state)
{
    (void)state;
    SequenceCounter counter = {0};
    assert_int_equal(sequence_next(&counter), 1);
    assert_int_equal(sequence_next(&counter), 2);
}

static void without_esn_the_last_number_is_4294967295(void **state)
{
    (void)state;
    SequenceCounter counter = {.last = UINT32_MAX - 1};
    assert_false(sequence_is_used_up(&counter));
    assert_int_equal(sequence_next(&counter), UINT32_MAX);
    assert_true(sequence_is_used_up(&counter));
}

static void with_esn_counting_goes_on_beyond_32_bits_up_to_64(void **state)
{
    (void)state;
    SequenceCounter counter = {.esn = true, .last = UINT32_MAX};
    assert_false(sequence_is_used_up(&counter));
    assert_int_equal(sequence_next(&counter), UINT64_C(1) << 32);
    counter.last = UINT64_MAX - 1;
    assert_int_equal(sequence_next(&counter), UINT64_MAX);
    assert_true(sequence_is_used_up(&counter));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_number_is_1),
        cmocka_unit_test(without_esn_the_last_number_is_4294967295),
        cmocka_unit_test(with_esn_counting_goes_on_beyond_32_bits_up_to_64),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
