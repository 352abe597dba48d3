/* Base64 comes back as it went in, and only whole base64 is read. */
#include "provisioning/json.h"

#include "base/cleanup.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void base64_comes_back_as_it_went_in(void **state)
{
    static const char *const expected[] = {"",         "Zg==",     "Zm8=",    "Zm9v",
                                           "Zm9vYg==", "Zm9vYmE=", "Zm9vYmFy"}; /* RFC 4648 10 */

    (void)state;
    for (size_t size = 0; size <= 6; size++) {
        const Bytes bytes = {(const uint8_t *)"foobar", size};
        uint8_t again[6];
        size_t again_size = 99;
        char *text = NULL;

        assert_int_equal(base64_encode(bytes, &text), 0);
        assert_string_equal(text, expected[size]);
        assert_int_equal(base64_decode(text, again, sizeof(again), &again_size), 0);
        assert_int_equal(again_size, size);
        assert_memory_equal(again, "foobar", size);
        free(text);
    }
}

static void base64_that_is_not_whole_or_too_long_is_refused(void **state)
{
    static const char *const bad[] = {"Zg",    "Zg=",    "=Zg=",     "Z===",     "====",
                                      " Zg==", "Zg==\n", "Zm9v!m9v", "Zg==Zg==", "Zm9vYmFyZm9v"};
    uint8_t octets[6];
    size_t size;

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_not_equal(base64_decode(bad[i], octets, sizeof(octets), &size), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(base64_comes_back_as_it_went_in),
        cmocka_unit_test(base64_that_is_not_whole_or_too_long_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
