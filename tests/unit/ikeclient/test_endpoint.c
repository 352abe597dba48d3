/* Addresses of both families are read and written as people write them; sets of them are what the
 * notifies of MOBIKE say, within a bound; and a NAT is found exactly where one is. */
#include "ikeclient/endpoint.h"

#include "octets.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

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

/* ---- sets of addresses ---- */

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

/* ---- NAT detection ---- */

enum { SPI_I = 0x1111, SPI_R = 0x2222 };

/* Expected values: sha1sum(1) over the octets written out by hand. */
static void the_hash_covers_spis_address_and_port(void **state)
{
    static const uint8_t expected[NAT_HASH_SIZE] = {0x94, 0x26, 0x42, 0x90, 0x34, 0x92, 0x42,
                                                    0x68, 0x45, 0x2f, 0x8e, 0x3f, 0xf7, 0x9f,
                                                    0xb6, 0x9e, 0x2a, 0x8d, 0x71, 0xeb};
    Endpoint endpoint = endpoint_of("192.0.2.1", 500);
    uint8_t hash[NAT_HASH_SIZE];
    (void)state;

    nat_hash(0x0123456789abcdef, 0, &endpoint, hash);
    assert_memory_equal(hash, expected, sizeof(hash));
}

static void an_ipv6_address_counts_with_all_its_octets(void **state)
{
    static const uint8_t expected[NAT_HASH_SIZE] = {0x9d, 0xe8, 0xbf, 0xef, 0xaa, 0xb4, 0x79,
                                                    0xf0, 0xd5, 0xa5, 0x60, 0x9a, 0x6d, 0xe2,
                                                    0x05, 0x95, 0xc6, 0x30, 0x75, 0x02};
    Endpoint endpoint = endpoint_of("2001:db8::1", 4500);
    uint8_t hash[NAT_HASH_SIZE];
    (void)state;

    nat_hash(0x0123456789abcdef, 0xfedcba9876543210, &endpoint, hash);
    assert_memory_equal(hash, expected, sizeof(hash));
}

/* A response that says it went from `source` (NULL: says nothing) to `destination`. */
static NatFinding find_nat(const Endpoint *source, const Endpoint *destination,
                           const Endpoint *local, const Endpoint *remote, bool decoy)
{
    uint8_t hash[NAT_HASH_SIZE];
    IkeMessage message;
    Draft response;

    draft_begin_message(&response, SPI_I, SPI_R, IKE_SA_INIT, IKE_FLAG_RESPONSE, 0);
    if (decoy) {
        memset(hash, 0xee, sizeof(hash));
        ike_chain_add_notify(&response.chain, IKE_NOTIFY_NAT_DETECTION_SOURCE_IP, BYTES_OF(hash));
    }
    if (source) {
        nat_hash(SPI_I, SPI_R, source, hash);
        ike_chain_add_notify(&response.chain, IKE_NOTIFY_NAT_DETECTION_SOURCE_IP, BYTES_OF(hash));
    }
    if (destination) {
        nat_hash(SPI_I, SPI_R, destination, hash);
        ike_chain_add_notify(&response.chain, IKE_NOTIFY_NAT_DETECTION_DESTINATION_IP,
                             BYTES_OF(hash));
    }
    assert_int_equal(ike_message_decode(draft_end_message(&response), &message, NULL), 0);
    return nat_find(&message, local, remote);
}

static void no_nat_is_found_where_addresses_arrive_as_sent(void **state)
{
    Endpoint henb = endpoint_of("198.51.100.7", 40000), segw = endpoint_of("192.0.2.1", 500);
    NatFinding finding = find_nat(&segw, &henb, &henb, &segw, false);
    (void)state;

    assert_true(finding.supported);
    assert_false(finding.here);
    assert_false(finding.there);
}

static void another_destination_means_a_nat_on_our_side(void **state)
{
    Endpoint henb = endpoint_of("10.0.0.7", 40000), segw = endpoint_of("192.0.2.1", 500);
    Endpoint outside = endpoint_of("198.51.100.7", 40000);
    NatFinding finding = find_nat(&segw, &outside, &henb, &segw, false);
    (void)state;

    assert_true(finding.here);
    assert_false(finding.there);
}

static void another_port_alone_means_a_nat_too(void **state)
{
    Endpoint henb = endpoint_of("198.51.100.7", 40000), segw = endpoint_of("192.0.2.1", 500);
    Endpoint outside = endpoint_of("198.51.100.7", 1024);
    (void)state;

    assert_true(find_nat(&segw, &outside, &henb, &segw, false).here);
}

static void one_fitting_source_of_several_is_enough(void **state)
{
    Endpoint henb = endpoint_of("198.51.100.7", 40000), segw = endpoint_of("192.0.2.1", 500);
    Endpoint inside = endpoint_of("10.9.9.9", 500);
    (void)state;

    assert_false(find_nat(&segw, &henb, &henb, &segw, true).there);
    assert_true(find_nat(&inside, &henb, &henb, &segw, true).there);
}

static void a_peer_without_both_notifies_does_no_nat_traversal(void **state)
{
    Endpoint henb = endpoint_of("198.51.100.7", 40000), segw = endpoint_of("192.0.2.1", 500);
    (void)state;

    assert_false(find_nat(NULL, &henb, &henb, &segw, false).supported);
    assert_false(find_nat(&segw, NULL, &henb, &segw, false).supported);
    assert_false(find_nat(NULL, NULL, &henb, &segw, false).here);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_ipv4_literal_keeps_its_address_and_port),
        cmocka_unit_test(an_ipv6_literal_stands_in_brackets),
        cmocka_unit_test(a_host_name_is_no_literal),
        cmocka_unit_test_setup(an_address_is_in_a_set_once_whatever_its_port, setup),
        cmocka_unit_test_setup(sets_are_equal_in_any_order, setup),
        cmocka_unit_test_setup(what_is_beyond_the_bound_is_passed_over, setup),
        cmocka_unit_test_setup(what_is_written_is_read_again, setup),
        cmocka_unit_test_setup(a_message_without_such_notifies_says_nothing, setup),
        cmocka_unit_test_setup(no_additional_addresses_says_that_there_are_none, setup),
        cmocka_unit_test_setup(addresses_of_another_size_and_of_nobody_are_passed_over, setup),
        cmocka_unit_test_setup(loopback_is_no_address_of_this_host, setup),
        cmocka_unit_test(the_hash_covers_spis_address_and_port),
        cmocka_unit_test(an_ipv6_address_counts_with_all_its_octets),
        cmocka_unit_test(no_nat_is_found_where_addresses_arrive_as_sent),
        cmocka_unit_test(another_destination_means_a_nat_on_our_side),
        cmocka_unit_test(another_port_alone_means_a_nat_too),
        cmocka_unit_test(one_fitting_source_of_several_is_enough),
        cmocka_unit_test(a_peer_without_both_notifies_does_no_nat_traversal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
