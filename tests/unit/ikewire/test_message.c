/* Are whole messages judged as RFC 7296 asks, and malformed ones refused each for its own fault? */
#include "ikewire/message.h"
#include "tests/unit/ikewire/octets.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define SPIS "0102030405060708 1112131415161718 "
#define NONCE "000102030405060708090a0b0c0d0e0f"
#define HEADER(next, length) SPIS next " 20 22 20 00000000 000000" length
#define NONCE_PAYLOAD(next) next "000014" NONCE
#define NOTIFY(next) next "000008 00004000"

static IkeMessage message;
static IkeFault fault;

static int decode(Bytes datagram)
{
    fault = (IkeFault){0};
    int r = ike_message_decode(datagram, &message, &fault);
    assert_int_equal(fault.code, r);
    return r;
}

static int decode_header(Bytes datagram)
{
    return ike_header_decode(datagram, &message.header);
}

static int decode_hex(const char *hex)
{
    _cleanup_(octets_free) Bytes datagram = octets_new(hex);

    return decode(datagram);
}

/* Malformed chains begin with an octet for the first payload's type. */
static int decode_chain(Bytes octets)
{
    _cleanup_(octets_free) Bytes chain = octets_copy(bytes_slice(octets, 1, octets.size));

    return ike_payloads_decode(octets.data[0], chain, &message.payloads, &fault);
}

static void the_header_is_read_field_by_field(void **state)
{
    (void)state;
    _cleanup_(octets_free) Bytes datagram =
        octets_new(SPIS "00 21 25 28 00000007 0000001c"); /* minor version 1 is fine: 2.5 */
    IkeHeader header;

    assert_int_equal(ike_header_decode(datagram, &header), 0);
    assert_true(header.spi_i == 0x0102030405060708);
    assert_true(header.spi_r == 0x1112131415161718);
    assert_int_equal(header.next_payload, IKE_PAYLOAD_NONE);
    assert_int_equal(header.minor_version, 1);
    assert_int_equal(header.exchange_type, IKE_INFORMATIONAL);
    assert_int_equal(header.flags, IKE_FLAG_INITIATOR | IKE_FLAG_RESPONSE);
    assert_int_equal(header.message_id, 7);
    assert_int_equal(header.length, 28);
}

static void malformed_headers_are_refused(void **state)
{
    (void)state;
    static const Malformed cases[] = {
        {"empty", "", IKEWIRE_E_TRUNCATED},
        {"27 octets", SPIS "00 20 22 20 00000000 000000", IKEWIRE_E_TRUNCATED},
        {"major version 1", SPIS "00 10 22 20 00000000 0000001c", IKEWIRE_E_VERSION},
        {"major version 0", SPIS "00 00 22 20 00000000 0000001c", IKEWIRE_E_VERSION},
        {"major version 3", SPIS "00 30 22 20 00000000 0000001c", IKEWIRE_E_MAJOR_VERSION},
        {"major version 3, other length", SPIS "00 30 22 20 00000000 00000000",
         IKEWIRE_E_MAJOR_VERSION},
        {"SPI of the initiator 0",
         "0000000000000000 1112131415161718 00 20 22 20 00000000 0000001c", IKEWIRE_E_VALUE},
        {"length 0", HEADER("00", "00"), IKEWIRE_E_LENGTH},
        {"length 27", HEADER("00", "1b"), IKEWIRE_E_LENGTH},
        {"length beyond the datagram", HEADER("00", "1d"), IKEWIRE_E_LENGTH},
        {"length 4294967295", SPIS "00 20 22 20 00000000 ffffffff", IKEWIRE_E_LENGTH},
        {"an octet after the message", HEADER("00", "1c") "00", IKEWIRE_E_TRAILING},
    };

    malformed_check(cases, ELEMENTS(cases), decode);
    malformed_check(cases, ELEMENTS(cases), decode_header);
}

static void unknown_flags_and_exchanges_are_no_fault(void **state)
{
    (void)state;
    assert_int_equal(decode_hex(SPIS "00 20 ff c7 00000000 0000001c"), 0);
    assert_int_equal(message.payloads.count, 0);
}

static void the_spi_of_the_responder_may_be_0(void **state)
{
    (void)state;
    assert_int_equal(decode_hex("0102030405060708 0000000000000000 00 20 22 08 00000000 0000001c"),
                     0);
}

static void payloads_are_found_in_their_order(void **state)
{
    (void)state;
    assert_int_equal(
        decode_hex(HEADER("28", "40") NONCE_PAYLOAD("29") NOTIFY("29") "00000008 0000000e"), 0);
    assert_int_equal(message.payloads.count, 3);

    size_t position = 0;
    const IkePayload *first = ike_payloads_next(&message.payloads, IKE_PAYLOAD_NOTIFY, &position);
    const IkePayload *second = ike_payloads_next(&message.payloads, IKE_PAYLOAD_NOTIFY, &position);
    assert_ptr_equal(first, &message.payloads.items[1]);
    assert_ptr_equal(second, &message.payloads.items[2]);
    assert_null(ike_payloads_next(&message.payloads, IKE_PAYLOAD_NOTIFY, &position));
    assert_ptr_equal(ike_payloads_find(&message.payloads, IKE_PAYLOAD_NONCE),
                     &message.payloads.items[0]);
    assert_null(ike_payloads_find(&message.payloads, IKE_PAYLOAD_SA));
}

static void notifies_are_found_by_type_and_errors_among_them(void **state)
{
    (void)state;
    _cleanup_(octets_free) Bytes datagram =
        octets_new(HEADER("29", "2c") NOTIFY("29") "00000008 0000000e");
    IkeNotify notify;

    assert_int_equal(decode(datagram), 0);
    assert_true(ike_payloads_notify(&message.payloads, IKE_NOTIFY_NO_PROPOSAL_CHOSEN, &notify));
    assert_int_equal(notify.type, IKE_NOTIFY_NO_PROPOSAL_CHOSEN);
    assert_false(ike_payloads_notify(&message.payloads, IKE_NOTIFY_COOKIE, &notify));
    assert_true(ike_payloads_error(&message.payloads, &notify));
    assert_int_equal(notify.type, IKE_NOTIFY_NO_PROPOSAL_CHOSEN);
}

static void a_status_notify_is_no_error(void **state)
{
    (void)state;
    _cleanup_(octets_free) Bytes datagram = octets_new(HEADER("29", "24") NOTIFY("00"));
    IkeNotify notify;

    assert_int_equal(decode(datagram), 0);
    assert_false(ike_payloads_error(&message.payloads, &notify));
}

static void unknown_payloads_are_kept_and_may_repeat(void **state)
{
    (void)state;
    assert_int_equal(decode_hex(HEADER("c8", "25") "c8000004 00000005 ff"), 0);
    assert_int_equal(message.payloads.count, 2);
    assert_int_equal(message.payloads.items[0].type, 200);
    assert_int_equal(message.payloads.items[1].type, 200);
    assert_int_equal(message.payloads.items[1].body.size, 1);
}

static void the_critical_bit_of_a_known_payload_is_ignored(void **state)
{
    (void)state;
    assert_int_equal(decode_hex(HEADER("28", "30") "00800014" NONCE), 0);
    assert_true(message.payloads.items[0].critical);
}

static void malformed_chains_are_refused(void **state)
{
    (void)state;
    static const Malformed cases[] = {
        {"a payload that is not there", HEADER("28", "1c"), IKEWIRE_E_NEXT_PAYLOAD},
        {"a second that is not there", HEADER("28", "30") NONCE_PAYLOAD("29"),
         IKEWIRE_E_NEXT_PAYLOAD},
        {"octets after an empty chain", HEADER("00", "20") "00000004", IKEWIRE_E_TRAILING},
        {"octets after the last payload", HEADER("28", "31") NONCE_PAYLOAD("00") "00",
         IKEWIRE_E_TRAILING},
        {"a payload after the last", HEADER("28", "38") NONCE_PAYLOAD("00") NOTIFY("00"),
         IKEWIRE_E_TRAILING},
        {"half a payload header", HEADER("28", "1f") "000000", IKEWIRE_E_TRUNCATED},
        {"payload length 0", HEADER("28", "30") "00000000" NONCE, IKEWIRE_E_LENGTH},
        {"payload length 3", HEADER("28", "30") "00000003" NONCE, IKEWIRE_E_LENGTH},
        {"payload beyond the message", HEADER("28", "30") "00000015" NONCE, IKEWIRE_E_LENGTH},
        {"payload length 65535", HEADER("28", "30") "0000ffff" NONCE, IKEWIRE_E_LENGTH},
        {"two nonces", HEADER("28", "44") NONCE_PAYLOAD("28") NONCE_PAYLOAD("00"),
         IKEWIRE_E_DUPLICATE},
        {"type 1, critical", HEADER("01", "20") "00800004", IKEWIRE_E_CRITICAL},
        {"type 32, critical", HEADER("20", "20") "00800004", IKEWIRE_E_CRITICAL},
        {"type 49, critical", HEADER("31", "20") "00800004", IKEWIRE_E_CRITICAL},
        {"type 255, critical", HEADER("ff", "20") "00800004", IKEWIRE_E_CRITICAL},
        {"a body that its type refuses",
         HEADER("28", "2f") "00000013 000102030405060708090a0b0c0d0e", IKEWIRE_E_VALUE},
        {"a payload after SK", HEADER("2e", "28") "29000004" NOTIFY("00"), IKEWIRE_E_NEXT_PAYLOAD},
        {"octets after SK", HEADER("2e", "21") "00000004 00", IKEWIRE_E_NEXT_PAYLOAD},
        {"SKF number 0", HEADER("35", "24") "00000008 00000001", IKEWIRE_E_FRAGMENT},
        {"SKF above its total", HEADER("35", "24") "00000008 00020001", IKEWIRE_E_FRAGMENT},
        {"SKF without numbers", HEADER("35", "22") "00000006 0001", IKEWIRE_E_TRUNCATED},
    };

    malformed_check(cases, ELEMENTS(cases), decode);
}

static void a_fault_says_where_it_is(void **state)
{
    (void)state;
    assert_int_equal(decode_hex(HEADER("28", "34") NONCE_PAYLOAD("c8") "00800004"),
                     IKEWIRE_E_CRITICAL);
    assert_int_equal(fault.payload_type, 200);
    assert_int_equal(fault.offset, 48);
    assert_int_equal(decode_hex(HEADER("28", "31") NONCE_PAYLOAD("00") "00"), IKEWIRE_E_TRAILING);
    assert_int_equal(fault.payload_type, IKE_PAYLOAD_NONE);
    assert_int_equal(fault.offset, 48);
    assert_int_equal(decode_hex(HEADER("00", "1d")), IKEWIRE_E_LENGTH);
    assert_int_equal(fault.payload_type, 0);
    assert_int_equal(fault.offset, 0);
}

static void every_payload_that_stands_once_is_refused_twice(void **state)
{
    (void)state;
    static const Malformed cases[] = {
        {"SA",
         "21 21000014 00000010 01010001 00000008 04000013"
         "00000014 00000010 01010001 00000008 04000013",
         IKEWIRE_E_DUPLICATE},
        {"KE", "22 22000009 0013000001 00000009 0013000001", IKEWIRE_E_DUPLICATE},
        {"IDi", "23 23000009 0200000061 00000009 0200000061", IKEWIRE_E_DUPLICATE},
        {"IDr", "24 24000009 0200000061 00000009 0200000061", IKEWIRE_E_DUPLICATE},
        {"AUTH", "27 27000009 0e00000001 00000009 0e00000001", IKEWIRE_E_DUPLICATE},
        {"TSi",
         "2c 2c000018 01000000 070000100000ffff 0a0000000a000001"
         "00000018 01000000 070000100000ffff 0a0000000a000001",
         IKEWIRE_E_DUPLICATE},
        {"TSr",
         "2d 2d000018 01000000 070000100000ffff 0a0000000a000001"
         "00000018 01000000 070000100000ffff 0a0000000a000001",
         IKEWIRE_E_DUPLICATE},
        {"CP", "2f 2f000008 01000000 00000008 01000000", IKEWIRE_E_DUPLICATE},
        {"EAP", "30 30000008 03010004 00000008 03010004", IKEWIRE_E_DUPLICATE},
    };

    malformed_check(cases, ELEMENTS(cases), decode_chain);
}

static void payloads_that_may_repeat_do(void **state)
{
    (void)state;
    static const char *const chains[] = {
        "25 25000006 0430 00000006 0430",
        "26 26000005 04 00000005 04",
        "29 29000008 00004000 00000008 00004000",
        "2a 2a000008 01000000 00000008 01000000",
        "2b 2b000004 00000004",
    };

    for (size_t i = 0; i < ELEMENTS(chains); i++) {
        _cleanup_(octets_free) Bytes octets = octets_new(chains[i]);
        assert_int_equal(decode_chain(octets), 0);
        assert_int_equal(message.payloads.count, 2);
    }
}

static void a_sealed_payload_tells_what_is_inside(void **state)
{
    (void)state;
    assert_int_equal(decode_hex(HEADER("2e", "22") "23000006 0000"), 0);
    assert_int_equal(message.payloads.inner, IKE_PAYLOAD_IDI);
    assert_int_equal(decode_hex(HEADER("2e", "22") "00000006 0000"), 0);
    assert_int_equal(message.payloads.inner, IKE_PAYLOAD_NONE);
}

static void only_the_first_fragment_tells_what_is_inside(void **state)
{
    (void)state;
    assert_int_equal(decode_hex(HEADER("35", "24") "23000008 00010002"), 0);
    assert_int_equal(message.payloads.inner, IKE_PAYLOAD_IDI);
    assert_int_equal(decode_hex(HEADER("35", "24") "23000008 00020002"), 0);
    assert_int_equal(message.payloads.inner, IKE_PAYLOAD_NONE);
}

static void a_clear_payload_may_stand_before_a_sealed_one(void **state)
{
    (void)state;
    assert_int_equal(decode_hex(HEADER("29", "28") NOTIFY("2e") "23000004"), 0);
    assert_int_equal(message.payloads.count, 2);
    assert_int_equal(message.payloads.inner, IKE_PAYLOAD_IDI);
}

static void nothing_sealed_is_taken_from_inside(void **state)
{
    (void)state;
    static const Malformed cases[] = {
        {"SK inside", "2e 00000004", IKEWIRE_E_NEXT_PAYLOAD},
        {"SKF inside", "35 00000008 00010001", IKEWIRE_E_NEXT_PAYLOAD},
        {"SK after another", "29 2e000008 00004000 00000004", IKEWIRE_E_NEXT_PAYLOAD},
    };

    malformed_check(cases, ELEMENTS(cases), decode_chain);
}

static void an_empty_chain_is_a_chain(void **state)
{
    (void)state;
    assert_int_equal(
        ike_payloads_decode(IKE_PAYLOAD_NONE, (Bytes){NULL, 0}, &message.payloads, NULL), 0);
    assert_int_equal(message.payloads.count, 0);
}

/* A chain of `count` empty payloads of `type`, and then a nonce. */
static int decode_crowd(uint8_t type, size_t count, Bytes body)
{
    static uint8_t octets[65536];
    static const uint8_t nonce[IKE_NONCE_MIN] = {0};
    Writer writer;
    IkeChain chain;
    Bytes written;

    writer_init(&writer, octets, sizeof(octets));
    ike_chain_init(&chain, &writer);
    for (size_t i = 0; i < count; i++)
        ike_chain_add(&chain, type, body);
    ike_chain_add(&chain, IKE_PAYLOAD_NONCE, BYTES_OF(nonce));
    assert_int_equal(writer_finish(&writer, &written), 0);
    return ike_payloads_decode(chain.first, written, &message.payloads, &fault);
}

static void no_crowd_of_payloads_hides_the_one_that_matters(void **state)
{
    (void)state;
    static const uint8_t octets[4] = {0, 0, 0x40, 0}, delete_[] = {1, 0, 0, 0};
    static const struct {
        uint8_t type;
        Bytes body;
        size_t kept;
    } crowds[] = {
        {IKE_PAYLOAD_CERT, BYTES_OF(octets), IKE_CERTS_MAX},
        {IKE_PAYLOAD_CERTREQ, BYTES_OF(octets), IKE_CERTREQS_MAX},
        {IKE_PAYLOAD_NOTIFY, BYTES_OF(octets), IKE_NOTIFIES_OF_TYPE},
        {IKE_PAYLOAD_DELETE, BYTES_OF(delete_), IKE_DELETES_MAX},
        {IKE_PAYLOAD_VENDOR_ID, BYTES_OF(octets), IKE_VENDOR_IDS_MAX},
        {200, BYTES_OF(octets), IKE_UNKNOWNS_MAX},
    };

    for (size_t i = 0; i < ELEMENTS(crowds); i++) {
        const size_t counts[] = {crowds[i].kept, crowds[i].kept + 1, 1000};
        for (size_t j = 0; j < ELEMENTS(counts); j++) {
            assert_int_equal(decode_crowd(crowds[i].type, counts[j], crowds[i].body), 0);
            assert_int_equal(message.payloads.count, crowds[i].kept + 1);
            assert_int_equal(message.payloads.n_skipped, counts[j] - crowds[i].kept);
            assert_non_null(ike_payloads_find(&message.payloads, IKE_PAYLOAD_NONCE));
        }
    }
}

/* Types that nobody knows, and each of those that somebody does, eight times. */
static void no_crowd_of_notifies_hides_one_of_another_type(void **state)
{
    static uint8_t octets[65536];
    static const uint8_t hash[20] = {1};
    IkeNotify notify;
    Writer writer;
    IkeChain chain;
    Bytes written;
    (void)state;

    writer_init(&writer, octets, sizeof(octets));
    ike_chain_init(&chain, &writer);
    for (uint16_t i = 0; i < 1000; i++)
        ike_chain_add_notify(&chain, (uint16_t)(40000 + i), (Bytes){0});
    for (size_t i = 0; i < 40; i++)
        ike_chain_add_notify(&chain, IKE_NOTIFY_ADDITIONAL_IP4_ADDRESS, BYTES_OF(hash));
    ike_chain_add_notify(&chain, IKE_NOTIFY_NAT_DETECTION_SOURCE_IP, BYTES_OF(hash));
    ike_chain_add_notify(&chain, 9000, (Bytes){0}); /* an error */
    assert_int_equal(writer_finish(&writer, &written), 0);
    assert_int_equal(ike_payloads_decode(chain.first, written, &message.payloads, NULL), 0);
    assert_int_equal(message.payloads.count, 2 * IKE_NOTIFIES_OF_TYPE + 2);
    assert_int_equal(message.payloads.n_skipped, 1000 + 40 - 2 * IKE_NOTIFIES_OF_TYPE);
    assert_true(
        ike_payloads_notify(&message.payloads, IKE_NOTIFY_NAT_DETECTION_SOURCE_IP, &notify));
    assert_true(ike_payloads_error(&message.payloads, &notify));
    assert_int_equal(notify.type, 9000);
    /* What nobody knows is of the sort of all such statuses, or of all such errors. */
    assert_int_equal(message.payloads.items[0].sort, UINT16_MAX);
    assert_int_equal(message.payloads.items[message.payloads.count - 1].sort, 0);
}

/* RFC 7296 2.23: one for each address that the sender may have, of which one need fit. */
static bool has_source(const uint8_t *hash)
{
    const IkePayload *payload;
    size_t position = 0;
    IkeNotify notify;

    while ((payload = ike_payloads_next(&message.payloads, IKE_PAYLOAD_NOTIFY, &position))) {
        if (ike_notify_decode(payload->body, &notify) == 0 &&
            notify.type == IKE_NOTIFY_NAT_DETECTION_SOURCE_IP && notify.data.data[0] == *hash)
            return true;
    }
    return false;
}

/* Octets of data that a Notify of `type` may have. */
static size_t data_size(uint16_t type)
{
    static const size_t sizes[] = {0, 1, 2, 4, 20};
    const uint8_t octets[4 + 20] = {0, 0, (uint8_t)(type >> 8), (uint8_t)type};
    IkeNotify notify;

    for (size_t i = 0; i < ELEMENTS(sizes); i++) {
        if (ike_notify_decode((Bytes){octets, 4 + sizes[i]}, &notify) == 0)
            return sizes[i];
    }
    return 0;
}

/* Behind as many of every other type as are kept, and more. */
static void of_the_hashes_of_a_segw_with_many_addresses_the_last_counts_too(void **state)
{
    enum { FIRST_UNKNOWN = 40000, UNKNOWN_ERROR = 9000, ADDRESSES = 32 };
    static uint8_t octets[65536];
    size_t types = 0;
    (void)state;

    for (size_t sources = 10; sources <= ADDRESSES + 1; sources++) {
        uint8_t hash[20] = {0};
        Writer writer;
        IkeChain chain;
        Bytes written;

        types = 0;
        writer_init(&writer, octets, sizeof(octets));
        ike_chain_init(&chain, &writer);
        for (unsigned n = 0; n <= FIRST_UNKNOWN; n++) {
            const uint16_t type = (uint16_t)n;

            if ((!ike_notify_is_known(type) && type != UNKNOWN_ERROR && type != FIRST_UNKNOWN) ||
                type == IKE_NOTIFY_NAT_DETECTION_SOURCE_IP)
                continue;
            types++;
            for (size_t i = 0; i <= IKE_NOTIFIES_OF_TYPE; i++)
                ike_chain_add_notify(&chain, type, (Bytes){hash, data_size(type)});
        }
        for (hash[0] = 1; hash[0] <= sources; hash[0]++)
            ike_chain_add_notify(&chain, IKE_NOTIFY_NAT_DETECTION_SOURCE_IP, BYTES_OF(hash));
        assert_int_equal(writer_finish(&writer, &written), 0);
        assert_int_equal(ike_payloads_decode(chain.first, written, &message.payloads, NULL), 0);
        hash[0] = (uint8_t)sources;
        assert_int_equal(has_source(hash), sources <= ADDRESSES);
        assert_int_equal(message.payloads.count, types * IKE_NOTIFIES_OF_TYPE +
                                                     (sources < ADDRESSES ? sources : ADDRESSES));
    }
    assert_int_equal(types, IKE_NOTIFY_TYPES - 1 + 2);
}

/* As many of one type as are kept, for eight errors that nobody knows; and for eight that are
 * known. */
static void no_crowd_of_errors_hides_a_status(void **state)
{
    static const uint16_t firsts[] = {9000, IKE_NOTIFY_SINGLE_PAIR_REQUIRED};
    static const uint8_t hash[20] = {1};
    static uint8_t octets[65536];
    (void)state;

    for (size_t i = 0; i < ELEMENTS(firsts); i++) {
        Writer writer;
        IkeChain chain;
        Bytes written;
        IkeNotify notify;

        writer_init(&writer, octets, sizeof(octets));
        ike_chain_init(&chain, &writer);
        for (unsigned n = 0; n < 8 * IKE_NOTIFIES_OF_TYPE; n++)
            ike_chain_add_notify(&chain, (uint16_t)(firsts[i] + n % 8), (Bytes){0});
        ike_chain_add_notify(&chain, IKE_NOTIFY_NAT_DETECTION_SOURCE_IP, BYTES_OF(hash));
        assert_int_equal(writer_finish(&writer, &written), 0);
        assert_int_equal(ike_payloads_decode(chain.first, written, &message.payloads, NULL), 0);
        assert_true(has_source(hash));
        assert_true(ike_payloads_error(&message.payloads, &notify));
        assert_int_equal(notify.type, firsts[i]);
    }
}

static void what_is_skipped_is_checked_too(void **state)
{
    (void)state;
    static const uint8_t delete_[] = {1, 0, 0, 1};

    assert_int_equal(decode_crowd(IKE_PAYLOAD_DELETE, 1, BYTES_OF(delete_)), IKEWIRE_E_VALUE);
    _cleanup_(octets_free) Bytes critical = octets_new(
        "c8 c9000004 ca000004 cb000004 cc000004 cd000004 00800004"); /* the sixth unknown one */
    assert_int_equal(decode_chain(critical), IKEWIRE_E_CRITICAL);
}

/* RFC 4945 3.2.8, 3.3.10 */
static void a_certificate_or_request_that_does_not_decode_is_no_fault(void **state)
{
    (void)state;
    static const char *const chains[] = {
        "25 28000004 00000014" NONCE,             /* no encoding */
        "25 28000005 04 00000014" NONCE,          /* no certificate */
        "25 28000006 0030 00000014" NONCE,        /* encoding 0 */
        "26 28000004 00000014" NONCE,             /* no encoding */
        "26 28000009 04 01020304 00000014" NONCE, /* no whole hash */
        "26 28000009 c8 01020304 00000014" NONCE, /* an encoding that nobody knows */
    };

    for (size_t i = 0; i < ELEMENTS(chains); i++) {
        _cleanup_(octets_free) Bytes octets = octets_new(chains[i]);
        assert_int_equal(decode_chain(octets), 0);
        assert_int_equal(message.payloads.count, 2);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_header_is_read_field_by_field),
        cmocka_unit_test(malformed_headers_are_refused),
        cmocka_unit_test(unknown_flags_and_exchanges_are_no_fault),
        cmocka_unit_test(the_spi_of_the_responder_may_be_0),
        cmocka_unit_test(payloads_are_found_in_their_order),
        cmocka_unit_test(notifies_are_found_by_type_and_errors_among_them),
        cmocka_unit_test(a_status_notify_is_no_error),
        cmocka_unit_test(unknown_payloads_are_kept_and_may_repeat),
        cmocka_unit_test(the_critical_bit_of_a_known_payload_is_ignored),
        cmocka_unit_test(malformed_chains_are_refused),
        cmocka_unit_test(a_fault_says_where_it_is),
        cmocka_unit_test(every_payload_that_stands_once_is_refused_twice),
        cmocka_unit_test(payloads_that_may_repeat_do),
        cmocka_unit_test(a_sealed_payload_tells_what_is_inside),
        cmocka_unit_test(only_the_first_fragment_tells_what_is_inside),
        cmocka_unit_test(a_clear_payload_may_stand_before_a_sealed_one),
        cmocka_unit_test(nothing_sealed_is_taken_from_inside),
        cmocka_unit_test(an_empty_chain_is_a_chain),
        cmocka_unit_test(no_crowd_of_payloads_hides_the_one_that_matters),
        cmocka_unit_test(no_crowd_of_notifies_hides_one_of_another_type),
        cmocka_unit_test(of_the_hashes_of_a_segw_with_many_addresses_the_last_counts_too),
        cmocka_unit_test(no_crowd_of_errors_hides_a_status),
        cmocka_unit_test(what_is_skipped_is_checked_too),
        cmocka_unit_test(a_certificate_or_request_that_does_not_decode_is_no_fault),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
