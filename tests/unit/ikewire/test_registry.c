/* Are the numbers named as the registry names them? */
#include "ikewire/registry.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static void known_numbers_have_their_registered_names(void **state)
{
    (void)state;
    assert_string_equal(ike_exchange_name(34), "IKE_SA_INIT");
    assert_string_equal(ike_exchange_name(37), "INFORMATIONAL");
    assert_string_equal(ike_payload_name(33), "SA");
    assert_string_equal(ike_payload_name(53), "SKF");
    assert_string_equal(ike_notify_name(17), "INVALID_KE_PAYLOAD");
    assert_string_equal(ike_notify_name(16390), "COOKIE");
    assert_string_equal(ike_notify_name(16431), "SIGNATURE_HASH_ALGORITHMS");
    assert_string_equal(ike_notify_name(9000), "NON_3GPP_ACCESS_TO_EPC_NOT_ALLOWED");
    assert_string_equal(ike_auth_method_name(14), "Digital Signature");
    assert_string_equal(ike_auth_method_name(13), "NULL Authentication");
}

/* A chain has room of its own for each that is. */
static void an_error_that_is_told_by_name_alone_is_not_one_of_ours(void **state)
{
    (void)state;
    assert_true(ike_notify_is_known(44));
    assert_false(ike_notify_is_known(9003));
    assert_string_equal(ike_notify_name(9003), "AUTHORIZATION_REJECTED");
}

static void other_numbers_are_unknown(void **state)
{
    (void)state;
    assert_string_equal(ike_exchange_name(0), "unknown");
    assert_string_equal(ike_payload_name(0), "unknown");
    assert_string_equal(ike_payload_name(255), "unknown");
    assert_string_equal(ike_notify_name(40000), "unknown");
    assert_string_equal(ike_auth_method_name(0), "unknown");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_numbers_have_their_registered_names),
        cmocka_unit_test(an_error_that_is_told_by_name_alone_is_not_one_of_ours),
        cmocka_unit_test(other_numbers_are_unknown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
