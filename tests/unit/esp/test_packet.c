/* Is the inner packet read within its bounds, and matched against the selectors as RFC 4301 says?
 * Do DSCP and ECN cross between inner and outer header as RFC 6040 has it? */
#include "esp/packet.h"

#include "esp/offload.h"
#include "tests/unit/tred/octets_fixture.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

/* UDP, 10.0.0.1 port 4096 to 10.0.0.2 port 53. */
static const char udp_packet[] = "4500001c 00000000 40110000 0a000001 0a000002 10000035 00080000";
static const char first_fragment[] =
    "4500001c 00002000 40110000 0a000001 0a000002 10000035 00080000";
static const char later_fragment[] =
    "4500001c 00000003 40110000 0a000001 0a000002 10000035 00080000";
/* ICMP echo request */
static const char icmp_packet[] = "4500001c 00000000 40010000 0a000001 0a000002 08000000 00000000";
/* IPv6 with Hop-by-Hop Options and Destination Options before TCP */
static const char extended_packet[] = "60000000 00240040"
                                      "fd000000000000000000000000000001"
                                      "fd000000000000000000000000000002"
                                      "3c00000000000000 0600000000000000"
                                      "13880050 00000001 00000000 50100000 00000000";
static const char ipv6_fragment[] = "60000000 00102c40"
                                    "fd000000000000000000000000000001"
                                    "fd000000000000000000000000000002"
                                    "1100000900000001 1000003500080000";

/* Its Identification reads like other ports. */
static const char ipv6_first_fragment[] = "60000000 00102c40"
                                          "fd000000000000000000000000000001"
                                          "fd000000000000000000000000000002"
                                          "1100000100160017 1000003500080000";

static Packet parsed(const Octets *octets)
{
    Packet packet;
    assert_int_equal(packet_parse(octets_bytes(octets), &packet), 0);
    return packet;
}

static IkeTs one_selector(const char *start, const char *end, uint8_t protocol, uint16_t start_port,
                          uint16_t end_port)
{
    Octets first = octets_from_hex(start), last = octets_from_hex(end);
    IkeTs ts = {.n_selectors = 1};
    ts.selectors[0] = (IkeSelector){
        .type = first.size == 4 ? IKE_TS_IPV4_ADDR_RANGE : IKE_TS_IPV6_ADDR_RANGE,
        .protocol = protocol,
        .start_port = start_port,
        .end_port = end_port,
    };
    memcpy(ts.selectors[0].start, first.data, first.size);
    memcpy(ts.selectors[0].end, last.data, last.size);
    return ts;
}

static IkeTs all_of_10(void)
{
    return one_selector("0a000000", "0affffff", 0, 0, UINT16_MAX);
}

static void udp_over_ipv4_is_read(void **state)
{
    (void)state;
    Octets octets = octets_from_hex(udp_packet);
    Packet packet = parsed(&octets);
    assert_int_equal(packet.version, 4);
    assert_int_equal(packet.protocol, 17);
    assert_int_equal(packet.header_size, 20);
    assert_false(packet.fragment);
    assert_int_equal(packet.source_port, 4096);
    assert_int_equal(packet.destination_port, 53);
    assert_octets(packet.source, "0a000001");
    assert_octets(packet.destination, "0a000002");
}

static void ipv6_extension_headers_are_walked(void **state)
{
    (void)state;
    Octets octets = octets_from_hex(extended_packet);
    Packet packet = parsed(&octets);
    assert_int_equal(packet.protocol, 6);
    assert_int_equal(packet.header_size, 56);
    assert_int_equal(packet.source_port, 5000);
    assert_int_equal(packet.destination_port, 80);
}

/* A bound to the work that a packet makes: more of them nobody sends. */
static void so_many_extension_headers_are_walked_and_none_more(void **state)
{
    enum { WALKED = 7, HEADER = 8 };
    static const uint8_t udp[HEADER] = {0x10, 0, 0, 53, 0, HEADER};
    (void)state;
    for (size_t n = 0; n <= WALKED + 1; n++) {
        uint8_t octets[40 + (WALKED + 2) * HEADER] = {0x60, [4] = 0};
        const size_t size = 40 + (n + 1) * HEADER;
        Packet packet;
        octets[5] = (uint8_t)(size - 40);
        octets[6] = n > 0 ? 60 : 17; /* Destination Options, or UDP */
        for (size_t i = 0; i < n; i++)
            octets[40 + i * HEADER] = i + 1 < n ? 60 : 17;
        memcpy(octets + size - HEADER, udp, sizeof(udp));
        const int r = packet_parse((Bytes){octets, size}, &packet);
        assert_int_equal(r, n <= WALKED ? 0 : -EBADMSG);
        if (r == 0)
            assert_int_equal(packet.destination_port, 53);
    }
}

static void a_later_fragment_has_no_ports_in_sight(void **state)
{
    (void)state;
    const char *const fragments[] = {later_fragment, ipv6_fragment};
    for (size_t i = 0; i < ELEMENTS(fragments); i++) {
        Octets octets = octets_from_hex(fragments[i]);
        Packet packet = parsed(&octets);
        assert_true(packet.fragment);
        assert_false(packet.has_ports);
        assert_int_equal(packet.protocol, 17);
    }
}

static void a_first_fragment_has_its_ports(void **state)
{
    (void)state;
    const char *const fragments[] = {first_fragment, ipv6_first_fragment};
    for (size_t i = 0; i < ELEMENTS(fragments); i++) {
        Octets octets = octets_from_hex(fragments[i]);
        Packet packet = parsed(&octets);
        assert_true(packet.fragment && packet.has_ports);
        assert_int_equal(packet.source_port, 4096);
        assert_int_equal(packet.destination_port, 53);
    }
}

/* RFC 4303 2.7: what follows the packet is padding that hides its size. */
static void octets_beyond_the_packets_own_length_are_cut_off(void **state)
{
    (void)state;
    Octets octets = octets_from_hex(udp_packet);
    octets.size += 100;
    assert_int_equal(parsed(&octets).bytes.size, 28);
    octets = octets_from_hex(extended_packet);
    octets.size += 100;
    assert_int_equal(parsed(&octets).bytes.size, 40 + 36);
}

static void a_packet_cut_short_anywhere_is_refused(void **state)
{
    Packet none;
    (void)state;
    assert_int_equal(packet_parse((Bytes){NULL, 0}, &none), -EBADMSG);
    const char *const packets[] = {udp_packet, icmp_packet, extended_packet, ipv6_fragment};
    for (size_t i = 0; i < ELEMENTS(packets); i++) {
        Octets octets = octets_from_hex(packets[i]);
        for (size_t size = 0; size < octets.size; size++) {
            uint8_t *exact = malloc(size + 1);
            assert_non_null(exact);
            memcpy(exact, octets.data, size);
            Packet packet;
            assert_int_equal(packet_parse((Bytes){exact, size}, &packet), -EBADMSG);
            free(exact);
        }
    }
}

/* Were it read on, what lacks would be zeros, and its last header no next one (RFC 8200 4.7). */
static void ipv6_headers_that_are_cut_short_are_refused_whatever_they_say(void **state)
{
    enum { HEADER = 40, EXTENSION = 8, NO_NEXT = 59 };
    static const uint8_t extensions[] = {0, 43, 44, 60};

    (void)state;
    for (size_t size = 1; size <= HEADER; size++) {
        uint8_t octets[HEADER] = {0x60, [6] = NO_NEXT};
        Packet packet;
        assert_int_equal(packet_parse((Bytes){octets, size}, &packet),
                         size < HEADER ? -EBADMSG : 0);
    }
    for (size_t i = 0; i < ELEMENTS(extensions); i++) {
        for (size_t size = 0; size <= EXTENSION; size++) {
            uint8_t octets[HEADER + EXTENSION] = {
                0x60, [5] = (uint8_t)size, [6] = extensions[i], [HEADER] = NO_NEXT, 0,
                1 /* in a fragment, of its offset */};
            Packet packet;
            assert_int_equal(packet_parse((Bytes){octets, HEADER + size}, &packet),
                             size < EXTENSION ? -EBADMSG : 0);
        }
    }
}

static void nonsense_in_the_ip_header_is_refused(void **state)
{
    (void)state;
    const char *const packets[] = {
        "5500001c 00000000 40110000 0a000001 0a000002 10000035 00080000", /* version 5 */
        "4400001c 00000000 40110000 0a000001 0a000002 10000035 00080000", /* header of 16 */
        "4f00001c 00000000 40110000 0a000001 0a000002 10000035 00080000", /* longer than all */
        "45000013 00000000 40110000 0a000001 0a000002 10000035 00080000", /* shorter than itself */
        "4500001a 00000000 40110000 0a000001 0a000002 10000035 00080000", /* half a UDP header is
                                                                             fine; half a port not
                                                                           */
    };
    for (size_t i = 0; i < ELEMENTS(packets); i++) {
        Octets octets = octets_from_hex(packets[i]);
        Packet packet;
        int expected = i == 4 ? 0 : -EBADMSG;
        assert_int_equal(packet_parse(octets_bytes(&octets), &packet), expected);
    }
}

static void direction_decides_which_selector_the_source_must_match(void **state)
{
    (void)state;
    Octets octets = octets_from_hex(udp_packet);
    Packet packet = parsed(&octets);
    IkeTs local = one_selector("0a000001", "0a000001", 0, 0, UINT16_MAX);
    IkeTs remote = one_selector("0a000002", "0a000003", 0, 0, UINT16_MAX);
    assert_true(packet_matches(&packet, &local, &remote, true));
    assert_false(packet_matches(&packet, &local, &remote, false));
    assert_true(packet_matches(&packet, &remote, &local, false));
}

/* Bits that the selectors leave no choice of, at both ends; none of a packet that one end does not
 * have, however narrow the other is. */
static void a_packet_outside_of_either_end_is_in_no_selector(void **state)
{
    (void)state;
    Octets octets = octets_from_hex(udp_packet);
    Packet packet = parsed(&octets);
    IkeTs source = one_selector("0a000001", "0a000001", 0, 0, UINT16_MAX);
    IkeTs destination = one_selector("0a000002", "0a000002", 0, 0, UINT16_MAX);
    IkeTs any = all_of_10(), none = one_selector("0b000000", "0bffffff", 0, 0, UINT16_MAX);
    const int both = packet_narrowness(&packet, &source, &destination);
    assert_true(both > packet_narrowness(&packet, &source, &any));
    assert_true(both > packet_narrowness(&packet, &any, &destination));
    assert_true(packet_narrowness(&packet, &any, &any) >= 0);
    assert_int_equal(packet_narrowness(&packet, &source, &none), -1);
    assert_int_equal(packet_narrowness(&packet, &none, &destination), -1);
    assert_int_equal(packet_narrowness(&packet, &none, &none), -1);
    assert_int_equal(packet_narrowness(&packet, &destination, &source), -1);
}

static void addresses_match_from_the_first_to_the_last_of_the_range(void **state)
{
    (void)state;
    Octets octets = octets_from_hex(udp_packet);
    Packet packet = parsed(&octets);
    IkeTs any = all_of_10();
    IkeTs edge = one_selector("0a000001", "0a000002", 0, 0, UINT16_MAX);
    IkeTs below = one_selector("0a000000", "0a000000", 0, 0, UINT16_MAX);
    IkeTs above = one_selector("0a000003", "0affffff", 0, 0, UINT16_MAX);
    IkeTs other = one_selector("fd000000000000000000000000000000",
                               "fdffffffffffffffffffffffffffffff", 0, 0, UINT16_MAX);
    assert_true(packet_matches(&packet, &edge, &edge, true));
    assert_false(packet_matches(&packet, &below, &any, true));
    assert_false(packet_matches(&packet, &any, &above, true));
    assert_false(packet_matches(&packet, &any, &other, true));
}

static void protocol_and_ports_must_match_where_the_selector_names_them(void **state)
{
    (void)state;
    Octets octets = octets_from_hex(udp_packet);
    Packet packet = parsed(&octets);
    IkeTs any = all_of_10();
    IkeTs dns = one_selector("0a000002", "0a000002", 17, 53, 53);
    IkeTs dns_over_tcp = one_selector("0a000002", "0a000002", 6, 53, 53);
    IkeTs above = one_selector("0a000002", "0a000002", 17, 54, UINT16_MAX);
    assert_true(packet_matches(&packet, &any, &dns, true));
    assert_false(packet_matches(&packet, &any, &dns_over_tcp, true));
    assert_false(packet_matches(&packet, &any, &above, true));
}

static void icmp_type_and_code_stand_for_the_port(void **state)
{
    (void)state;
    Octets octets = octets_from_hex(icmp_packet);
    Packet packet = parsed(&octets);
    IkeTs echo = one_selector("0a000000", "0affffff", 1, 0x0800, 0x08ff);
    IkeTs reply = one_selector("0a000000", "0affffff", 1, 0x0000, 0x00ff);
    assert_true(packet_matches(&packet, &echo, &echo, true));
    assert_false(packet_matches(&packet, &reply, &reply, true));
}

static void a_packet_without_ports_passes_any_and_opaque_but_no_range(void **state)
{
    (void)state;
    Octets octets = octets_from_hex(later_fragment);
    Packet packet = parsed(&octets);
    IkeTs any = all_of_10();
    IkeTs opaque = one_selector("0a000000", "0affffff", 0, UINT16_MAX, 0);
    IkeTs most = one_selector("0a000000", "0affffff", 0, 0, UINT16_MAX - 1);
    assert_true(packet_matches(&packet, &any, &any, true));
    assert_true(packet_matches(&packet, &opaque, &opaque, true));
    assert_false(packet_matches(&packet, &most, &most, true));
    octets = octets_from_hex(udp_packet);
    packet = parsed(&octets);
    assert_false(packet_matches(&packet, &opaque, &opaque, true));
}

static void any_selector_of_several_is_enough(void **state)
{
    (void)state;
    Octets octets = octets_from_hex(udp_packet);
    Packet packet = parsed(&octets);
    IkeTs any = all_of_10(), several = one_selector("0b000000", "0bffffff", 0, 0, UINT16_MAX);
    several.selectors[several.n_selectors++] = any.selectors[0];
    assert_true(packet_matches(&packet, &several, &several, true));
    several.n_selectors = 0;
    assert_false(packet_matches(&packet, &several, &several, true));
}

/* ---- DSCP and ECN ---- */

/* RFC 6040 4.2, figure 4, as it is printed there: Not-ECT, ECT(0), ECT(1), CE. */
static const uint8_t codepoints[] = {ECN_NOT_ECT, ECN_ECT_0, ECN_ECT_1, ECN_CE};
static const int figure_4[4][4] = {
    {ECN_NOT_ECT, ECN_NOT_ECT, ECN_NOT_ECT, ECN_DROP},
    {ECN_ECT_0, ECN_ECT_0, ECN_ECT_1, ECN_CE},
    {ECN_ECT_1, ECN_ECT_1, ECN_ECT_1, ECN_CE},
    {ECN_CE, ECN_CE, ECN_CE, ECN_CE},
};

static void each_of_the_16_combinations_comes_to_what_figure_4_says(void **state)
{
    (void)state;
    for (size_t inner = 0; inner < 4; inner++) {
        for (size_t outer = 0; outer < 4; outer++) {
            assert_int_equal(ecn_combine(codepoints[inner], codepoints[outer]),
                             figure_4[inner][outer]);
            /* A DSCP beside it changes nothing. */
            assert_int_equal(ecn_combine(0xb8 | codepoints[inner], 0x28 | codepoints[outer]),
                             figure_4[inner][outer]);
        }
    }
}

static void the_outer_octet_has_what_is_to_be_copied_and_zeros_else(void **state)
{
    (void)state;
    for (unsigned inner = 0; inner < 256; inner++) {
        assert_int_equal(traffic_class_outer((uint8_t)inner, true, true), inner);
        assert_int_equal(traffic_class_outer((uint8_t)inner, true, false), inner & 0xfc);
        assert_int_equal(traffic_class_outer((uint8_t)inner, false, true), inner & 0x03);
        assert_int_equal(traffic_class_outer((uint8_t)inner, false, false), 0);
    }
}

static void an_ipv4_header_has_a_right_checksum_whatever_is_set(void **state)
{
    (void)state;
    for (unsigned class = 0; class < 256; class ++) {
        for (uint8_t ecn = 0; ecn < 4; ecn++) {
            uint8_t header[IPV4_HEADER_SIZE] = {
                0x45, (uint8_t) class, 0, 84, 1, 2, 0x40, 0, 64, 17, 0, 0, 10};
            uint16_t checksum = (uint16_t)~checksum_fold(checksum_add(0, BYTES_OF(header)));
            header[IPV4_CHECKSUM] = (uint8_t)(checksum >> 8);
            header[IPV4_CHECKSUM + 1] = (uint8_t)checksum;
            ecn_write(header, 4, ecn);
            assert_int_equal(traffic_class_read(header, 4), (class & 0xfc) | ecn);
            assert_int_equal(checksum_fold(checksum_add(0, BYTES_OF(header))), UINT16_MAX);
        }
    }
}

static void an_ipv6_header_keeps_all_but_its_ecn(void **state)
{
    (void)state;
    for (unsigned class = 0; class < 256; class ++) {
        for (uint8_t ecn = 0; ecn < 4; ecn++) {
            uint8_t header[4] = {(uint8_t)(0x60 | class >> 4), (uint8_t)(class << 4 | 0xf), 0xab,
                                 0xcd};
            ecn_write(header, 6, ecn);
            assert_int_equal(traffic_class_read(header, 6), (class & 0xfc) | ecn);
            assert_int_equal(header[0] >> 4, 6);
            assert_int_equal(header[1] & 0xf, 0xf);
            assert_int_equal(header[2] << 8 | header[3], 0xabcd);
        }
    }
}

/* Their lengths say nothing of what is missing. */
static void a_header_cut_short_is_refused_whatever_length_it_says(void **state)
{
    (void)state;
    uint8_t ipv6[40 + 4] = {0x60, [6] = 59};
    Packet packet;
    for (size_t size = 1; size < 40; size++)
        assert_int_equal(packet_parse((Bytes){ipv6, size}, &packet), -EBADMSG);
    assert_int_equal(packet_parse((Bytes){ipv6, 40}, &packet), 0);
    ipv6[5] = 4; /* half of Destination Options, */
    ipv6[6] = 60;
    ipv6[40] = 17; /* before UDP */
    assert_int_equal(packet_parse(BYTES_OF(ipv6), &packet), -EBADMSG);
    ipv6[6] = 44; /* half of a Fragment header */
    assert_int_equal(packet_parse(BYTES_OF(ipv6), &packet), -EBADMSG);
}

static void a_header_with_nothing_behind_it_is_a_packet(void **state)
{
    (void)state;
    Octets octets = octets_from_hex("45000014 00000000 403b0000 0a000001 0a000002");
    assert_int_equal(parsed(&octets).protocol, 59);
}

/* RFC 7296 3.13.1: OPAQUE is from the last port to the first one. */
static void a_range_that_has_one_end_of_opaque_is_a_range(void **state)
{
    (void)state;
    Octets octets = octets_from_hex(udp_packet), later = octets_from_hex(later_fragment);
    IkeTs any = all_of_10();
    IkeTs last = one_selector("0a000000", "0affffff", 0, UINT16_MAX, UINT16_MAX);
    IkeTs first = one_selector("0a000000", "0affffff", 0, 0, 0);
    Packet packet = parsed(&later);
    assert_false(packet_matches(&packet, &any, &last, true));
    assert_false(packet_matches(&packet, &any, &first, true));
    octets.data[22] = octets.data[23] = 0xff; /* Destination Port */
    packet = parsed(&octets);
    assert_true(packet_matches(&packet, &any, &last, true));
    assert_false(packet_matches(&packet, &any, &first, true));
    octets.data[22] = octets.data[23] = 0;
    packet = parsed(&octets);
    assert_true(packet_matches(&packet, &any, &first, true));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_packet_outside_of_either_end_is_in_no_selector),
        cmocka_unit_test(udp_over_ipv4_is_read),
        cmocka_unit_test(ipv6_extension_headers_are_walked),
        cmocka_unit_test(so_many_extension_headers_are_walked_and_none_more),
        cmocka_unit_test(a_later_fragment_has_no_ports_in_sight),
        cmocka_unit_test(a_first_fragment_has_its_ports),
        cmocka_unit_test(octets_beyond_the_packets_own_length_are_cut_off),
        cmocka_unit_test(a_packet_cut_short_anywhere_is_refused),
        cmocka_unit_test(ipv6_headers_that_are_cut_short_are_refused_whatever_they_say),
        cmocka_unit_test(nonsense_in_the_ip_header_is_refused),
        cmocka_unit_test(direction_decides_which_selector_the_source_must_match),
        cmocka_unit_test(addresses_match_from_the_first_to_the_last_of_the_range),
        cmocka_unit_test(protocol_and_ports_must_match_where_the_selector_names_them),
        cmocka_unit_test(icmp_type_and_code_stand_for_the_port),
        cmocka_unit_test(a_packet_without_ports_passes_any_and_opaque_but_no_range),
        cmocka_unit_test(any_selector_of_several_is_enough),
        cmocka_unit_test(each_of_the_16_combinations_comes_to_what_figure_4_says),
        cmocka_unit_test(the_outer_octet_has_what_is_to_be_copied_and_zeros_else),
        cmocka_unit_test(an_ipv4_header_has_a_right_checksum_whatever_is_set),
        cmocka_unit_test(an_ipv6_header_keeps_all_but_its_ecn),
        cmocka_unit_test(a_header_cut_short_is_refused_whatever_length_it_says),
        cmocka_unit_test(a_header_with_nothing_behind_it_is_a_packet),
        cmocka_unit_test(a_range_that_has_one_end_of_opaque_is_a_range),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
