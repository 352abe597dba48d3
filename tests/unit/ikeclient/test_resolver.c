/* An address of the SeGW is left on failure alone. */
#include "ikeclient/resolver.h"

#include "octets.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static Endpoint addresses[3];

static int setup(void **state)
{
    (void)state;
    addresses[0] = endpoint_of("192.0.2.1", 500);
    addresses[1] = endpoint_of("2001:db8::1", 500);
    addresses[2] = endpoint_of("192.0.2.3", 500);
    return 0;
}

static void the_first_address_is_tried_first(void **state)
{
    Endpoint none = {0};
    (void)state;

    assert_ptr_equal(resolver_choose(addresses, 3, &none, false), &addresses[0]);
    assert_ptr_equal(resolver_choose(addresses, 3, &none, true), &addresses[0]);
}

static void an_address_that_worked_is_tried_again(void **state)
{
    Endpoint last = endpoint_of("2001:db8::1", 500);
    (void)state;

    assert_ptr_equal(resolver_choose(addresses, 3, &last, false), &addresses[1]);
}

static void the_address_after_one_that_failed_is_tried_next(void **state)
{
    Endpoint last = endpoint_of("2001:db8::1", 500);
    (void)state;

    assert_ptr_equal(resolver_choose(addresses, 3, &last, true), &addresses[2]);
    assert_ptr_equal(resolver_choose(addresses, 3, &addresses[2], true), &addresses[0]);
}

static void an_address_that_is_no_longer_one_of_the_name_is_left(void **state)
{
    Endpoint last = endpoint_of("192.0.2.77", 500);
    (void)state;

    assert_ptr_equal(resolver_choose(addresses, 3, &last, false), &addresses[0]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_address_is_tried_first),
        cmocka_unit_test(an_address_that_worked_is_tried_again),
        cmocka_unit_test(the_address_after_one_that_failed_is_tried_next),
        cmocka_unit_test(an_address_that_is_no_longer_one_of_the_name_is_left),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
