/* Are traffic selectors read as ranges, malformed ones refused, and is narrowing judged rightly? */
#include "ikewire/payload.h"
#include "tests/unit/ikewire/octets.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define ONE "01000000 "
#define V4(ports, start, end) "07000010 " ports start end
#define V6(ports, start, end) "08000028 " ports start end
#define ALL_PORTS "0000ffff "
#define V6_ZERO "00000000000000000000000000000000 "
#define V6_MAX "ffffffffffffffffffffffffffffffff "

static IkeTs ts;

static int decode(Bytes body)
{
    return ike_ts_decode(body, &ts);
}

static IkeTs decode_hex(const char *hex)
{
    _cleanup_(octets_free) Bytes body = octets_new(hex);
    IkeTs decoded;

    assert_int_equal(ike_ts_decode(body, &decoded), 0);
    return decoded;
}

static void ranges_of_both_families_are_read(void **state)
{
    (void)state;
    const char *hex = "02000000 07110010 003500350ac80001 0ac800ff"
                      "08000028 0000ffff" V6_ZERO V6_MAX;
    IkeTs decoded = decode_hex(hex);

    assert_int_equal(decoded.n_selectors, 2);
    const IkeSelector *v4 = &decoded.selectors[0], *v6 = &decoded.selectors[1];
    assert_int_equal(v4->type, IKE_TS_IPV4_ADDR_RANGE);
    assert_int_equal(v4->protocol, 17);
    assert_int_equal(v4->start_port, 53);
    assert_int_equal(v4->end_port, 53);
    assert_memory_equal(v4->start, ((uint8_t[]){10, 200, 0, 1}), 4);
    assert_memory_equal(v4->end, ((uint8_t[]){10, 200, 0, 255}), 4);
    assert_int_equal(v6->type, IKE_TS_IPV6_ADDR_RANGE);
    assert_int_equal(v6->start[15], 0);
    assert_int_equal(v6->end[15], 255);

    uint8_t buffer[128];
    Writer writer;
    writer_init(&writer, buffer, sizeof(buffer));
    ike_ts_encode(&writer, &decoded);
    written_check(&writer, hex);
}

static void opaque_ports_are_read(void **state)
{
    (void)state;
    IkeTs decoded = decode_hex(ONE V4("ffff0000", "0a000000", "0a0000ff"));

    assert_int_equal(decoded.selectors[0].start_port, 65535);
    assert_int_equal(decoded.selectors[0].end_port, 0);
}

static void malformed_selectors_are_refused(void **state)
{
    (void)state;
    static const Malformed cases[] = {
        {"empty", "", IKEWIRE_E_TRUNCATED},
        {"half a header", "0100", IKEWIRE_E_TRUNCATED},
        {"no selectors", "00000000", IKEWIRE_E_SELECTOR},
        {"a selector that count omits", "00000000 " V4(ALL_PORTS, "0a000000", "0a0000ff"),
         IKEWIRE_E_SELECTOR},
        {"a selector that count invents", "02000000 " V4(ALL_PORTS, "0a000000", "0a0000ff"),
         IKEWIRE_E_TRUNCATED},
        {"an octet left over", ONE V4(ALL_PORTS, "0a000000", "0a0000ff") "00", IKEWIRE_E_TRAILING},
        {"33 selectors that are not there", "21000000", IKEWIRE_E_TRUNCATED},
        {"type 9 with length 3", ONE "09000003 0000ffff 0a000000 0a0000ff", IKEWIRE_E_SELECTOR},
        {"type 9 cut off", ONE "09000011 0000ffff 0a000000 0a0000ff", IKEWIRE_E_TRUNCATED},
        {"type 9 with an octet left over", ONE "0900000f 0000ffff 0a000000 0a0000ff",
         IKEWIRE_E_TRAILING},
        {"length 0", ONE "07000000 0000ffff 0a000000 0a0000ff", IKEWIRE_E_SELECTOR},
        {"length 15", ONE "0700000f 0000ffff 0a000000 0a0000", IKEWIRE_E_SELECTOR},
        {"IPv4 with IPv6's length", ONE "07000028 0000ffff" V6_ZERO V6_MAX, IKEWIRE_E_SELECTOR},
        {"IPv6 with IPv4's length", ONE "08000010 0000ffff 0a000000 0a0000ff", IKEWIRE_E_SELECTOR},
        {"addresses the wrong way round", ONE V4(ALL_PORTS, "0a0000ff", "0a000000"),
         IKEWIRE_E_SELECTOR},
        {"IPv6 the wrong way round", ONE V6(ALL_PORTS, V6_MAX, V6_ZERO), IKEWIRE_E_SELECTOR},
        {"ports the wrong way round", ONE V4("00020001", "0a000000", "0a0000ff"),
         IKEWIRE_E_SELECTOR},
        {"ports that end at 0 but are not OPAQUE", ONE V4("00050000", "0a000000", "0a0000ff"),
         IKEWIRE_E_SELECTOR},
        {"ports that start at 65535 but are not OPAQUE", ONE V4("ffff0001", "0a000000", "0a0000ff"),
         IKEWIRE_E_SELECTOR},
        {"address cut off", ONE "07000010 0000ffff 0a000000 0a0000", IKEWIRE_E_TRUNCATED},
    };

    malformed_check(cases, ELEMENTS(cases), decode);
}

static void selectors_beyond_those_we_hold_are_checked_and_counted(void **state)
{
    (void)state;
    static const uint8_t one[] = {7, 0, 0, 16, 0, 0, 255, 255, 10, 0, 0, 1, 10, 0, 0, 1};
    uint8_t octets[4 + UINT8_MAX * sizeof(one)] = {UINT8_MAX};
    IkeTs many;

    for (size_t i = 0; i < UINT8_MAX; i++) {
        memcpy(octets + 4 + i * sizeof(one), one, sizeof(one));
        octets[4 + i * sizeof(one) + 15] = (uint8_t)(i + 1);
    }
    assert_int_equal(ike_ts_decode(BYTES_OF(octets), &many), 0);
    assert_int_equal(many.n_selectors, IKE_SELECTORS_MAX);
    assert_int_equal(many.n_skipped, UINT8_MAX - IKE_SELECTORS_MAX);
    assert_int_equal(many.selectors[IKE_SELECTORS_MAX - 1].end[3], IKE_SELECTORS_MAX);
    octets[sizeof(octets) - 1] = 0; /* the last one ends before it starts */
    assert_int_equal(ike_ts_decode(BYTES_OF(octets), &many), IKEWIRE_E_SELECTOR);
}

/* A security label (RFC 9478) and one without anything, around one that we know. */
static void selectors_of_other_types_are_passed_over(void **state)
{
    (void)state;
    IkeTs decoded =
        decode_hex("03000000 0a000007 6162 63" V4(ALL_PORTS, "0a000000", "0a0000ff") "09000004");

    assert_int_equal(decoded.n_selectors, 1);
    assert_int_equal(decoded.n_skipped, 2);
    assert_int_equal(decoded.selectors[0].type, IKE_TS_IPV4_ADDR_RANGE);
    assert_int_equal(decode_hex(ONE "09000004").n_selectors, 0);
}

static void no_front_of_selectors_passes_for_the_whole(void **state)
{
    (void)state;
    truncations_check(
        "02000000 " V4(ALL_PORTS, "0a000000", "0a0000ff") V6(ALL_PORTS, V6_ZERO, V6_MAX), decode);
}

static void narrower_selectors_are_a_subset(void **state)
{
    (void)state;
    static const struct {
        const char *narrow, *wide;
        bool subset;
    } cases[] = {
        {ONE V4(ALL_PORTS, "0a000001", "0a000001"), ONE V4(ALL_PORTS, "00000000", "ffffffff"),
         true},
        {ONE V4(ALL_PORTS, "0a000000", "0a0000ff"), ONE V4(ALL_PORTS, "0a000000", "0a0000ff"),
         true},
        {ONE V4(ALL_PORTS, "00000000", "ffffffff"), ONE V4(ALL_PORTS, "0a000000", "0a0000ff"),
         false},
        {ONE V4(ALL_PORTS, "0a000000", "0a000100"), ONE V4(ALL_PORTS, "0a000000", "0a0000ff"),
         false},
        {ONE V4(ALL_PORTS, "09ffffff", "0a0000ff"), ONE V4(ALL_PORTS, "0a000000", "0a0000ff"),
         false},
        /* families do not mix */
        {ONE V6(ALL_PORTS, V6_ZERO, V6_ZERO), ONE V4(ALL_PORTS, "00000000", "ffffffff"), false},
        {ONE V6(ALL_PORTS, V6_ZERO, V6_ZERO), ONE V6(ALL_PORTS, V6_ZERO, V6_MAX), true},
        /* protocol: 0 is any */
        {ONE "07110010 0000ffff 0a000000 0a000000", ONE V4(ALL_PORTS, "0a000000", "0a0000ff"),
         true},
        {ONE V4(ALL_PORTS, "0a000000", "0a000000"), ONE "07110010 0000ffff 0a000000 0a0000ff",
         false},
        {ONE "07060010 0000ffff 0a000000 0a000000", ONE "07110010 0000ffff 0a000000 0a0000ff",
         false},
        /* ports */
        {ONE V4("00350035", "0a000000", "0a000000"), ONE V4("00010400", "0a000000", "0a000000"),
         true},
        {ONE V4("00010400", "0a000000", "0a000000"), ONE V4("00020400", "0a000000", "0a000000"),
         false},
        {ONE V4("00020401", "0a000000", "0a000000"), ONE V4("00020400", "0a000000", "0a000000"),
         false},
        {ONE V4("00350035", "0a000000", "0a000000"), ONE V4("00350035", "0a000000", "0a000000"),
         true},
        /* OPAQUE lies within ANY and within itself only */
        {ONE V4("ffff0000", "0a000000", "0a000000"), ONE V4(ALL_PORTS, "0a000000", "0a000000"),
         true},
        {ONE V4("ffff0000", "0a000000", "0a000000"), ONE V4("ffff0000", "0a000000", "0a000000"),
         true},
        {ONE V4("ffff0000", "0a000000", "0a000000"), ONE V4("0001ffff", "0a000000", "0a000000"),
         false},
        {ONE V4("00350035", "0a000000", "0a000000"), ONE V4("ffff0000", "0a000000", "0a000000"),
         false},
        /* each needs a home, and any will do */
        {"02000000 " V4(ALL_PORTS, "0b000000", "0b000000") V4(ALL_PORTS, "0a000000", "0a000000"),
         "02000000 " V4(ALL_PORTS, "0a000000", "0a000000") V4(ALL_PORTS, "0b000000", "0b000000"),
         true},
        {"02000000 " V4(ALL_PORTS, "0a000000", "0a000000") V4(ALL_PORTS, "0c000000", "0c000000"),
         "02000000 " V4(ALL_PORTS, "0a000000", "0a000000") V4(ALL_PORTS, "0b000000", "0b000000"),
         false},
        /* several together have all addresses of one, in any order, and overlapping; or lack one */
        {ONE V4(ALL_PORTS, "0a000000", "0a0001ff"),
         "02000000 " V4(ALL_PORTS, "0a000100", "0a0001ff") V4(ALL_PORTS, "0a000000", "0a0000ff"),
         true},
        {ONE V4(ALL_PORTS, "0a000010", "0a000180"),
         "03000000 " V4(ALL_PORTS, "0a000000", "0a000020") V4(ALL_PORTS, "0a000000", "0a000100")
             V4(ALL_PORTS, "0a0000f0", "0a0001ff"),
         true},
        {ONE V4(ALL_PORTS, "0a000000", "0a0001ff"),
         "02000000 " V4(ALL_PORTS, "0a000000", "0a0000fe") V4(ALL_PORTS, "0a000100", "0a0001ff"),
         false},
        {ONE V4(ALL_PORTS, "0a000000", "0a0001ff"),
         "02000000 " V4(ALL_PORTS, "0a000000", "0a0000ff") V4(ALL_PORTS, "0a000100", "0a0001fe"),
         false},
        {ONE V4(ALL_PORTS, "00000000", "ffffffff"),
         "02000000 " V4(ALL_PORTS, "00000000", "7fffffff") V4(ALL_PORTS, "80000000", "ffffffff"),
         true},
        {ONE V6(ALL_PORTS, V6_ZERO, V6_MAX),
         "02000000 " V6(ALL_PORTS, V6_ZERO, "00ffffffffffffffffffffffffffffff")
             V6(ALL_PORTS, "01000000000000000000000000000000", V6_MAX),
         true},
        /* of another protocol, or for other ports, none of them counts */
        {ONE V4(ALL_PORTS, "0a000000", "0a0001ff"),
         "02000000 " V4(ALL_PORTS, "0a000000", "0a0000ff") "07110010 0000ffff 0a000100 0a0001ff ",
         false},
        {ONE V4("00350035", "0a000000", "0a0001ff"),
         "02000000 " V4("00350035", "0a000000", "0a0000ff") V4("00360036", "0a000100", "0a0001ff"),
         false},
        /* nor do ports of one and ports of another make all */
        {ONE V4("00000001", "0a000000", "0a000000"),
         "02000000 " V4("00000000", "0a000000", "0a000000") V4("00010001", "0a000000", "0a000000"),
         false},
    };

    for (size_t i = 0; i < ELEMENTS(cases); i++) {
        IkeTs narrow = decode_hex(cases[i].narrow), wide = decode_hex(cases[i].wide);
        if (ike_ts_is_subset(&narrow, &wide) != cases[i].subset)
            fail_msg("%s within %s: expected %d", cases[i].narrow, cases[i].wide, cases[i].subset);
    }
}

static void selectors_beyond_the_count_do_not_count(void **state)
{
    (void)state;
    IkeTs narrow = decode_hex(ONE V4(ALL_PORTS, "0a000000", "0a000000"));
    IkeTs wide = decode_hex("02000000 " V4(ALL_PORTS, "0b000000", "0b000000")
                                V4(ALL_PORTS, "0a000000", "0a000000"));

    assert_true(ike_ts_is_subset(&narrow, &wide));
    wide.n_selectors = 1;
    assert_false(ike_ts_is_subset(&narrow, &wide));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ranges_of_both_families_are_read),
        cmocka_unit_test(opaque_ports_are_read),
        cmocka_unit_test(malformed_selectors_are_refused),
        cmocka_unit_test(selectors_beyond_those_we_hold_are_checked_and_counted),
        cmocka_unit_test(selectors_of_other_types_are_passed_over),
        cmocka_unit_test(no_front_of_selectors_passes_for_the_whole),
        cmocka_unit_test(narrower_selectors_are_a_subset),
        cmocka_unit_test(selectors_beyond_the_count_do_not_count),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
