/* Does every refusal have a name of its own and a sentence that says what to do? */
#include "tred/bus_call.h"

#include "base/cleanup.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define PREFIX "org.tred.TrE1.Error."

static void every_refusal_has_a_name_of_its_own(void **state)
{
    (void)state;
    for (int error = 1; error < BUS_ERRORS; error++) {
        assert_non_null(bus_error_name(error));
        assert_memory_equal(bus_error_name(error), PREFIX, strlen(PREFIX));
        for (int other = 1; other < error; other++)
            assert_string_not_equal(bus_error_name(error), bus_error_name(other));
    }
}

static void every_refusal_has_a_sentence_of_its_own(void **state)
{
    (void)state;
    for (int error = 1; error < BUS_ERRORS; error++) {
        _cleanup_(sd_bus_error_free) sd_bus_error found = SD_BUS_ERROR_NULL;

        assert_true(bus_error_set(&found, error, "") < 0);
        assert_string_equal(found.name, bus_error_name(error));
        assert_true(strlen(found.message) > 20);
        assert_int_not_equal(found.message[strlen(found.message) - 1], '.');
    }
}

static void the_reason_goes_before_the_sentence(void **state)
{
    _cleanup_(sd_bus_error_free) sd_bus_error found = SD_BUS_ERROR_NULL;

    (void)state;
    (void)bus_error_set(&found, EXCHANGE_E_MALFORMED, "Found this. Do that");
    assert_string_equal(found.message, "Found this. Do that");
}

static void what_has_no_name_is_a_plain_failure(void **state)
{
    static const int errors[] = {0, BUS_ERRORS, BUS_ERRORS + 1, -ENOMEM, -EIO};

    (void)state;
    for (size_t i = 0; i < ELEMENTS(errors); i++) {
        _cleanup_(sd_bus_error_free) sd_bus_error found = SD_BUS_ERROR_NULL;

        assert_true(bus_error_set(&found, errors[i], NULL) < 0);
        assert_null(strstr(found.name, PREFIX));
    }
}

static void each_state_but_ready_refuses_by_its_own_name(void **state)
{
    (void)state;
    assert_string_equal(bus_error_name(bus_error_of_identity(IDENTITY_UNPROVISIONED)),
                        PREFIX "Unprovisioned");
    assert_string_equal(bus_error_name(bus_error_of_identity(IDENTITY_INTEGRITY_FAILED)),
                        PREFIX "IntegrityFailed");
    assert_string_equal(bus_error_name(bus_error_of_identity(IDENTITY_TPM_UNAVAILABLE)),
                        PREFIX "TpmUnavailable");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_refusal_has_a_name_of_its_own),
        cmocka_unit_test(every_refusal_has_a_sentence_of_its_own),
        cmocka_unit_test(the_reason_goes_before_the_sentence),
        cmocka_unit_test(what_has_no_name_is_a_plain_failure),
        cmocka_unit_test(each_state_but_ready_refuses_by_its_own_name),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
