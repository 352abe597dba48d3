/* Addresses of both families are read and written as people write them. */
#include "octets.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void an_ipv4_literal_keeps_its_address_and_port(void **state)
{
    char text[ENDPOINT_TEXT_SIZE];
    Endpoint endpoint = endpoint_of("192.0.2.1", 4500);
    (void)state;

    assert_string_equal(endpoint_text(&endpoint, text), "192.0.2.1:4500");
    assert_int_equal(endpoint_address(&endpoint).size, 4);
    assert_int_equal(endpoint_address(&endpoint).data[0], 192);
    assert_int_equal(endpoint_size(&endpoint), sizeof(struct sockaddr_in));
}

static void an_ipv6_literal_stands_in_brackets(void **state)
{
    char text[ENDPOINT_TEXT_SIZE];
    Endpoint endpoint = endpoint_of("2001:db8::1", 500);
    (void)state;

    endpoint_set_port(&endpoint, 501);
    assert_string_equal(endpoint_text(&endpoint, text), "[2001:db8::1]:501");
    assert_int_equal(endpoint_address(&endpoint).size, 16);
    assert_int_equal(endpoint_port(&endpoint), 501);
    assert_int_equal(endpoint_size(&endpoint), sizeof(struct sockaddr_in6));
}

static void a_host_name_is_no_literal(void **state)
{
    Endpoint endpoint;
    (void)state;

    assert_int_equal(endpoint_from_literal("segw.operator.example", 500, &endpoint), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_ipv4_literal_keeps_its_address_and_port),
        cmocka_unit_test(an_ipv6_literal_stands_in_brackets),
        cmocka_unit_test(a_host_name_is_no_literal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
