/* Sets of addresses are what the notifies of MOBIKE say, within a bound. */
#include "ikeclient/addresses.h"

#include "octets.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

static Draft draft;
static IkePayloads payloads;
static Addresses set;

static void add(const char *literal)
{
    const Endpoint address = endpoint_of(literal, 4500);

    addresses_add(&set, &address);
}

static bool have(const Addresses *in, const char *literal)
{
    const Endpoint address = endpoint_of(literal, 500);

    return addresses_have(in, &address);
}

static int setup(void **state)
{
    (void)state;
    set = (Addresses){0};
    draft_begin(&draft);
    return 0;
}

static void an_address_is_in_a_set_once_whatever_its_port(void **state)
{
    const Endpoint again = endpoint_of("192.0.2.1", 7);
    (void)state;

    add("192.0.2.1");
    addresses_add(&set, &again);
    assert_int_equal(set.count, 1);
    assert_true(have(&set, "192.0.2.1"));
    assert_false(have(&set, "192.0.2.2"));
    assert_int_equal(endpoint_port(&set.list[0]), 0);
}

static void sets_are_equal_in_any_order(void **state)
{
    Addresses other;
    (void)state;

    add("192.0.2.1");
    add("2001:db8::1");
    other = set;
    set = (Addresses){0};
    add("2001:db8::1");
    assert_false(addresses_equal(&set, &other));
    assert_false(addresses_equal(&other, &set));
    add("192.0.2.1");
    assert_true(addresses_equal(&set, &other));
}

static void what_is_beyond_the_bound_is_passed_over(void **state)
{
    char literal[32];
    (void)state;

    for (int i = 1; i <= ADDRESSES_MAX + 1; i++) {
        (void)snprintf(literal, sizeof(literal), "192.0.2.%d", i);
        add(literal);
    }
    assert_int_equal(set.count, ADDRESSES_MAX);
    assert_false(have(&set, literal));
}

static void what_is_written_is_read_again(void **state)
{
    Addresses read;
    (void)state;

    add("192.0.2.1");
    add("2001:db8::1");
    addresses_write(&set, &draft.chain);
    draft_payloads(&draft, &payloads);
    assert_true(addresses_read(&payloads, &read));
    assert_true(addresses_equal(&set, &read));
}

static void a_message_without_such_notifies_says_nothing(void **state)
{
    (void)state;
    ike_chain_add_notify(&draft.chain, IKE_NOTIFY_MOBIKE_SUPPORTED, (Bytes){0});
    draft_payloads(&draft, &payloads);
    assert_false(addresses_read(&payloads, &set));
}

static void no_additional_addresses_says_that_there_are_none(void **state)
{
    (void)state;
    add("192.0.2.1");
    ike_chain_add_notify(&draft.chain, IKE_NOTIFY_NO_ADDITIONAL_ADDRESSES, (Bytes){0});
    draft_payloads(&draft, &payloads);
    assert_true(addresses_read(&payloads, &set));
    assert_int_equal(set.count, 0);
}

static void addresses_of_another_size_and_of_nobody_are_passed_over(void **state)
{
    static const uint8_t any[16] = {0}, group[] = {224, 0, 0, 1}, all[] = {255, 255, 255, 255},
                         group6[16] = {0xff, 2}, good[] = {198, 51, 100, 1};
    (void)state;

    ike_chain_add_notify(&draft.chain, IKE_NOTIFY_ADDITIONAL_IP4_ADDRESS, (Bytes){good, 3});
    ike_chain_add_notify(&draft.chain, IKE_NOTIFY_ADDITIONAL_IP6_ADDRESS, (Bytes){good, 4});
    ike_chain_add_notify(&draft.chain, IKE_NOTIFY_ADDITIONAL_IP4_ADDRESS, (Bytes){any, 4});
    ike_chain_add_notify(&draft.chain, IKE_NOTIFY_ADDITIONAL_IP6_ADDRESS, BYTES_OF(any));
    ike_chain_add_notify(&draft.chain, IKE_NOTIFY_ADDITIONAL_IP4_ADDRESS, BYTES_OF(group));
    ike_chain_add_notify(&draft.chain, IKE_NOTIFY_ADDITIONAL_IP4_ADDRESS, BYTES_OF(all));
    ike_chain_add_notify(&draft.chain, IKE_NOTIFY_ADDITIONAL_IP6_ADDRESS, BYTES_OF(group6));
    ike_chain_add_notify(&draft.chain, IKE_NOTIFY_ADDITIONAL_IP4_ADDRESS, BYTES_OF(good));
    draft_payloads(&draft, &payloads);
    assert_true(addresses_read(&payloads, &set));
    assert_int_equal(set.count, 1);
    assert_true(have(&set, "198.51.100.1"));
}

static void loopback_is_no_address_of_this_host(void **state)
{
    (void)state;
    assert_int_equal(addresses_of_host(&set), 0);
    assert_false(have(&set, "127.0.0.1"));
    assert_false(have(&set, "::1"));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup(name, setup)
    const struct CMUnitTest tests[] = {
        TEST(an_address_is_in_a_set_once_whatever_its_port),
        TEST(sets_are_equal_in_any_order),
        TEST(what_is_beyond_the_bound_is_passed_over),
        TEST(what_is_written_is_read_again),
        TEST(a_message_without_such_notifies_says_nothing),
        TEST(no_additional_addresses_says_that_there_are_none),
        TEST(addresses_of_another_size_and_of_nobody_are_passed_over),
        TEST(loopback_is_no_address_of_this_host),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
