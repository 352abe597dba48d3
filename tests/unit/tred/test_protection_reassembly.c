/* Are fragments put together in any order, and is what can't belong refused? */
#include "tred/protection.h"

#include "base/cleanup.h"
#include "ikewire/message.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static Bytes text(const char *string)
{
    return (Bytes){(const uint8_t *)string, strlen(string)};
}

static void assert_joined(const Reassembly *reassembly, const char *expected)
{
    _cleanup_(free_bytesp) uint8_t *plain = NULL;
    size_t size = 0;

    assert_int_equal(reassembly_join(reassembly, &plain, &size), 0);
    assert_int_equal(size, strlen(expected));
    assert_memory_equal(plain, expected, size);
}

static void fragments_in_any_order_make_the_message(void **state)
{
    (void)state;
    _cleanup_(reassembly_deinit) Reassembly reassembly = {0};

    assert_int_equal(reassembly_check(&reassembly, 3, 3), 0);
    assert_int_equal(reassembly_add(&reassembly, 3, 3, 0, text("c")), REASSEMBLY_E_MORE);
    assert_int_equal(reassembly_add(&reassembly, 1, 3, 41, text("aaa")), REASSEMBLY_E_MORE);
    assert_int_equal(reassembly_check(&reassembly, 2, 3), 0);
    assert_int_equal(reassembly_add(&reassembly, 2, 3, 0, text("bb")), 0);
    assert_int_equal(reassembly.first, 41);
    assert_joined(&reassembly, "aaabbc");
}

static void a_single_fragment_can_be_the_message(void **state)
{
    (void)state;
    _cleanup_(reassembly_deinit) Reassembly reassembly = {0};

    assert_int_equal(reassembly_check(&reassembly, 1, 1), 0);
    assert_int_equal(reassembly_add(&reassembly, 1, 1, 33, text("")), 0);
    assert_joined(&reassembly, "");
}

static void a_fragment_that_is_there_is_unwanted(void **state)
{
    (void)state;
    _cleanup_(reassembly_deinit) Reassembly reassembly = {0};

    assert_int_equal(reassembly_add(&reassembly, 1, 2, 41, text("a")), REASSEMBLY_E_MORE);
    assert_int_equal(reassembly_check(&reassembly, 1, 2), REASSEMBLY_E_UNWANTED);
    assert_int_equal(reassembly_check(&reassembly, 2, 2), 0);
}

static void a_larger_total_starts_over(void **state)
{
    (void)state;
    _cleanup_(reassembly_deinit) Reassembly reassembly = {0};

    assert_int_equal(reassembly_add(&reassembly, 1, 2, 41, text("old")), REASSEMBLY_E_MORE);
    assert_int_equal(reassembly_check(&reassembly, 2, 3), 0);
    assert_int_equal(reassembly_add(&reassembly, 2, 3, 0, text("b")), REASSEMBLY_E_MORE);
    assert_int_equal(reassembly_add(&reassembly, 3, 3, 0, text("c")), REASSEMBLY_E_MORE);
    assert_int_equal(reassembly_add(&reassembly, 1, 3, 41, text("a")), 0);
    assert_joined(&reassembly, "abc");
}

static void a_smaller_total_is_unwanted(void **state)
{
    (void)state;
    _cleanup_(reassembly_deinit) Reassembly reassembly = {0};

    assert_int_equal(reassembly_add(&reassembly, 1, 3, 41, text("a")), REASSEMBLY_E_MORE);
    assert_int_equal(reassembly_check(&reassembly, 2, 2), REASSEMBLY_E_UNWANTED);
}

static void numbers_outside_the_total_are_unwanted(void **state)
{
    (void)state;
    const Reassembly reassembly = {0};

    assert_int_equal(reassembly_check(&reassembly, 0, 2), REASSEMBLY_E_UNWANTED);
    assert_int_equal(reassembly_check(&reassembly, 3, 2), REASSEMBLY_E_UNWANTED);
    assert_int_equal(reassembly_check(&reassembly, 0, 0), REASSEMBLY_E_UNWANTED);
}

static void too_many_fragments_are_refused(void **state)
{
    (void)state;
    const Reassembly reassembly = {0};

    assert_int_equal(reassembly_check(&reassembly, 1, REASSEMBLY_FRAGMENTS_MAX), 0);
    assert_int_equal(reassembly_check(&reassembly, 1, REASSEMBLY_FRAGMENTS_MAX + 1),
                     REASSEMBLY_E_TOO_LARGE);
    assert_int_equal(reassembly_check(&reassembly, 1, UINT16_MAX), REASSEMBLY_E_TOO_LARGE);
}

static void too_many_octets_are_refused_and_dropped(void **state)
{
    (void)state;
    enum { HALF = IKE_MESSAGE_MAX / 2 + 1 };
    _cleanup_(reassembly_deinit) Reassembly reassembly = {0};
    static const uint8_t octets[HALF];

    assert_int_equal(reassembly_add(&reassembly, 1, 3, 41, BYTES_OF(octets)), REASSEMBLY_E_MORE);
    assert_int_equal(reassembly_add(&reassembly, 2, 3, 0, BYTES_OF(octets)),
                     REASSEMBLY_E_TOO_LARGE);
    assert_int_equal(reassembly.total, 0);
    assert_int_equal(reassembly.size, 0);
    assert_int_equal(reassembly_add(&reassembly, 1, 2, 41, BYTES_OF(octets)), REASSEMBLY_E_MORE);
    assert_int_equal(reassembly_add(&reassembly, 2, 2, 0, (Bytes){octets, HALF - 1}), 0);
    assert_int_equal(reassembly.size, IKE_MESSAGE_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fragments_in_any_order_make_the_message),
        cmocka_unit_test(a_single_fragment_can_be_the_message),
        cmocka_unit_test(a_fragment_that_is_there_is_unwanted),
        cmocka_unit_test(a_larger_total_starts_over),
        cmocka_unit_test(a_smaller_total_is_unwanted),
        cmocka_unit_test(numbers_outside_the_total_are_unwanted),
        cmocka_unit_test(too_many_fragments_are_refused),
        cmocka_unit_test(too_many_octets_are_refused_and_dropped),
    };

    return cmocka_run_group_tests_name("reassembly", tests, NULL, NULL);
}
