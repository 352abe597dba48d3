/* A NAT is found exactly where one is. */
#include "ikeclient/endpoint.h"

#include "octets.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

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
static NatFinding find(const Endpoint *source, const Endpoint *destination, const Endpoint *local,
                       const Endpoint *remote, bool decoy)
{
    uint8_t hash[NAT_HASH_SIZE];
    IkeMessage message;
    Draft draft;

    draft_begin_message(&draft, SPI_I, SPI_R, IKE_SA_INIT, IKE_FLAG_RESPONSE, 0);
    if (decoy) {
        memset(hash, 0xee, sizeof(hash));
        ike_chain_add_notify(&draft.chain, IKE_NOTIFY_NAT_DETECTION_SOURCE_IP, BYTES_OF(hash));
    }
    if (source) {
        nat_hash(SPI_I, SPI_R, source, hash);
        ike_chain_add_notify(&draft.chain, IKE_NOTIFY_NAT_DETECTION_SOURCE_IP, BYTES_OF(hash));
    }
    if (destination) {
        nat_hash(SPI_I, SPI_R, destination, hash);
        ike_chain_add_notify(&draft.chain, IKE_NOTIFY_NAT_DETECTION_DESTINATION_IP, BYTES_OF(hash));
    }
    assert_int_equal(ike_message_decode(draft_end_message(&draft), &message, NULL), 0);
    return nat_find(&message, local, remote);
}

static void no_nat_is_found_where_addresses_arrive_as_sent(void **state)
{
    Endpoint henb = endpoint_of("198.51.100.7", 40000), segw = endpoint_of("192.0.2.1", 500);
    NatFinding finding = find(&segw, &henb, &henb, &segw, false);
    (void)state;

    assert_true(finding.supported);
    assert_false(finding.here);
    assert_false(finding.there);
}

static void another_destination_means_a_nat_on_our_side(void **state)
{
    Endpoint henb = endpoint_of("10.0.0.7", 40000), segw = endpoint_of("192.0.2.1", 500);
    Endpoint outside = endpoint_of("198.51.100.7", 40000);
    NatFinding finding = find(&segw, &outside, &henb, &segw, false);
    (void)state;

    assert_true(finding.here);
    assert_false(finding.there);
}

static void another_port_alone_means_a_nat_too(void **state)
{
    Endpoint henb = endpoint_of("198.51.100.7", 40000), segw = endpoint_of("192.0.2.1", 500);
    Endpoint outside = endpoint_of("198.51.100.7", 1024);
    (void)state;

    assert_true(find(&segw, &outside, &henb, &segw, false).here);
}

static void one_fitting_source_of_several_is_enough(void **state)
{
    Endpoint henb = endpoint_of("198.51.100.7", 40000), segw = endpoint_of("192.0.2.1", 500);
    Endpoint inside = endpoint_of("10.9.9.9", 500);
    (void)state;

    assert_false(find(&segw, &henb, &henb, &segw, true).there);
    assert_true(find(&inside, &henb, &henb, &segw, true).there);
}

static void a_peer_without_both_notifies_does_no_nat_traversal(void **state)
{
    Endpoint henb = endpoint_of("198.51.100.7", 40000), segw = endpoint_of("192.0.2.1", 500);
    (void)state;

    assert_false(find(NULL, &henb, &henb, &segw, false).supported);
    assert_false(find(&segw, NULL, &henb, &segw, false).supported);
    assert_false(find(NULL, NULL, &henb, &segw, false).here);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
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
