/* Does an SA let pass what it should, for as long as it should, and count the rest? */
#include "esp/sa.h"

#include "dataplane/dataplane.h"
#include "esp/esp.h"
#include "inner_fixture.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

enum { BUFFER_SIZE = 4096, SENT_MAX = 64 };

/* In the place of esp.c's (ld --wrap): OpenSSL fails, or a dummy packet is sealed. */
static int esp_fails;
static uint8_t next_header_sent;

int __wrap_esp_seal(Esp *esp, uint64_t sequence, uint8_t next_header, uint8_t *buffer, size_t size);
int __real_esp_seal(Esp *esp, uint64_t sequence, uint8_t next_header, uint8_t *buffer, size_t size);
int __wrap_esp_open(Esp *esp, uint64_t sequence, uint8_t *buffer, size_t size, Bytes *ret_inner,
                    uint8_t *ret_next_header);
int __real_esp_open(Esp *esp, uint64_t sequence, uint8_t *buffer, size_t size, Bytes *ret_inner,
                    uint8_t *ret_next_header);

int __wrap_esp_seal(Esp *esp, uint64_t sequence, uint8_t next_header, uint8_t *buffer, size_t size)
{
    const uint8_t sent = next_header_sent ? next_header_sent : next_header;
    return esp_fails ? esp_fails : __real_esp_seal(esp, sequence, sent, buffer, size);
}

int __wrap_esp_open(Esp *esp, uint64_t sequence, uint8_t *buffer, size_t size, Bytes *ret_inner,
                    uint8_t *ret_next_header)
{
    const int r = __real_esp_open(esp, sequence, buffer, size, ret_inner, ret_next_header);
    return esp_fails ? esp_fails : r;
}

/* A pair of SAs whose two directions are each other's: what it seals, it opens. */
static Sa *sa_with(const Lifetime *soft, const Lifetime *hard, bool esn)
{
    _cleanup_(sa_order_freep) SaOrder *order =
        sa_order_new(IKE_ENCR_AES_GCM_16, 128, IKE_INTEG_NONE, esn);
    if (soft)
        order->soft = *soft;
    if (hard)
        order->hard = *hard;
    Sa *sa = NULL;
    assert_int_equal(sa_new(order, -1, 1000, &sa), 0);
    return sa;
}

typedef struct Sealed {
    size_t size;
    uint8_t data[BUFFER_SIZE];
} Sealed;

static int seal_as(Sa *sa, const TcpPacket *tcp, uint8_t version, uint64_t now_ms, Sealed *ret)
{
    static uint8_t inner[INNER_SIZE_MAX];
    size_t size = tcp_packet_write(tcp, inner);
    memcpy(ret->data + sa_front_size(sa), inner, size);
    ret->size = sa_sealed_size(sa, size);
    return sa_seal(sa, version, ret->data, size, now_ms);
}

static int seal(Sa *sa, uint64_t now_ms, Sealed *ret)
{
    TcpPacket tcp = {.version = 4, .flags = TCP_ACK, .payload_size = 100};
    return seal_as(sa, &tcp, 4, now_ms, ret);
}

static int open_copy(Sa *sa, const Sealed *sealed, uint64_t now_ms)
{
    static Sealed copy;
    copy = *sealed;
    uint32_t spi = 0, low = 0;
    Packet packet;
    assert_int_equal(esp_peek((Bytes){copy.data, copy.size}, &spi, &low), 0);
    assert_int_equal(spi, sa_spi_in(sa));
    return sa_open(sa, low, 0, copy.data, copy.size, now_ms, &packet);
}

static SaCounters counters_of(const Sa *sa, uint64_t now_ms)
{
    SaCounters counters;
    sa_counters(sa, now_ms, &counters);
    return counters;
}

static void each_packet_passes_once_in_any_order(void **state)
{
    (void)state;
    _cleanup_(sa_freep) Sa *sa = sa_with(NULL, NULL, true);
    static Sealed sealed[SENT_MAX];
    for (size_t i = 0; i < SENT_MAX; i++)
        assert_int_equal(seal(sa, 1000, &sealed[i]), 0);
    for (size_t i = SENT_MAX; i > 0; i--)
        assert_int_equal(open_copy(sa, &sealed[i - 1], 1000), 0);
    for (size_t i = 0; i < SENT_MAX; i++)
        assert_int_equal(open_copy(sa, &sealed[i], 1000), SA_E_DROPPED);
    SaCounters counters = counters_of(sa, 1000);
    assert_int_equal(counters.packets_in, SENT_MAX);
    assert_int_equal(counters.packets_out, SENT_MAX);
    assert_int_equal(counters.bytes_in, SENT_MAX * 152);
    assert_int_equal(counters.bytes_out, SENT_MAX * 152);
    assert_int_equal(counters.replays, SENT_MAX);
}

static void a_forged_packet_is_counted_and_moves_no_window(void **state)
{
    (void)state;
    _cleanup_(sa_freep) Sa *sa = sa_with(NULL, NULL, true);
    static Sealed sealed, forged;
    assert_int_equal(seal(sa, 1000, &sealed), 0);
    forged = sealed;
    forged.data[4] = 0x7f; /* a number far ahead */
    assert_int_equal(open_copy(sa, &forged, 1000), SA_E_DROPPED);
    forged = sealed;
    forged.data[20] ^= 1;
    assert_int_equal(open_copy(sa, &forged, 1000), SA_E_DROPPED);
    assert_int_equal(counters_of(sa, 1000).authentication_failures, 2);
    assert_int_equal(open_copy(sa, &sealed, 1000), 0);
}

static void next_header_must_say_what_the_inner_packet_is(void **state)
{
    (void)state;
    _cleanup_(sa_freep) Sa *sa = sa_with(NULL, NULL, true);
    static Sealed sealed;
    TcpPacket tcp = {.version = 6, .flags = TCP_ACK, .payload_size = 10};
    assert_int_equal(seal_as(sa, &tcp, 4, 1000, &sealed), 0);
    assert_int_equal(open_copy(sa, &sealed, 1000), SA_E_DROPPED);
    assert_int_equal(counters_of(sa, 1000).malformed, 1);
    assert_int_equal(seal_as(sa, &tcp, 6, 1000, &sealed), 0);
    assert_int_equal(open_copy(sa, &sealed, 1000), 0);
}

static void an_authentic_packet_outside_of_the_selectors_is_dropped_and_counted(void **state)
{
    (void)state;
    _cleanup_(sa_order_freep) SaOrder *order =
        sa_order_new(IKE_ENCR_AES_GCM_16, 128, IKE_INTEG_NONE, true);
    order->ts_remote.n_selectors = 1; /* IPv4 only */
    order->ts_remote.selectors[0].end_port = 80;
    _cleanup_(sa_freep) Sa *sa = NULL;
    assert_int_equal(sa_new(order, -1, 1000, &sa), 0);
    static Sealed sealed;
    TcpPacket tcp = {.version = 4, .flags = TCP_ACK, .source_port = 81};
    assert_int_equal(seal_as(sa, &tcp, 4, 1000, &sealed), 0);
    assert_int_equal(open_copy(sa, &sealed, 1000), SA_E_DROPPED);
    assert_int_equal(counters_of(sa, 1000).selector_drops_in, 1);
    tcp.source_port = 80;
    assert_int_equal(seal_as(sa, &tcp, 4, 1000, &sealed), 0);
    assert_int_equal(open_copy(sa, &sealed, 1000), 0);
}

static void lifetime_in_packets_is_kept_to_the_packet(void **state)
{
    (void)state;
    _cleanup_(sa_freep) Sa *sa =
        sa_with(&(Lifetime){.packets = 3}, &(Lifetime){.packets = 5}, true);
    static Sealed sealed[6];
    DataPlaneEvent event;
    for (size_t i = 0; i < 5; i++) {
        assert_int_equal(sa_event(sa, 1000, &event), i == 3);
        if (i == 3)
            assert_int_equal(event.type, DATAPLANE_SOFT_LIFETIME);
        assert_int_equal(seal(sa, 1000, &sealed[i]), 0);
    }
    assert_int_equal(seal(sa, 1000, &sealed[5]), SA_E_EXPIRED);
    assert_int_equal(open_copy(sa, &sealed[0], 1000), SA_E_EXPIRED);
    assert_true(sa_event(sa, 1000, &event));
    assert_int_equal(event.type, DATAPLANE_HARD_LIFETIME);
    assert_int_equal(event.spi_in, 0x1234abcd);
    assert_false(sa_event(sa, 1000, &event));
}

/* RFC 4303 3.3.3. The counter stands where billions of packets would have brought it. */
static void without_esn_an_sa_is_due_and_ends_before_its_sequence_numbers_do(void **state)
{
    (void)state;
    Lifetime soft = {0}, hard = {0};
    lifetime_settle(&soft, &hard, false, 0);
    _cleanup_(sa_freep) Sa *sa = sa_with(&soft, &hard, false);
    static Sealed sealed;
    DataPlaneEvent event;
    sa_sequence(sa)->last = UINT64_C(0xe0000000) - 2;
    assert_int_equal(seal(sa, 1000, &sealed), 0);
    assert_false(sa_event(sa, 1000, &event));
    assert_int_equal(seal(sa, 1000, &sealed), 0);
    assert_true(sa_event(sa, 1000, &event));
    assert_int_equal(event.type, DATAPLANE_SOFT_LIFETIME);
    sa_sequence(sa)->last = UINT64_C(0xfff00000) - 1;
    assert_int_equal(seal(sa, 1000, &sealed), 0);
    assert_int_equal(seal(sa, 1000, &sealed), SA_E_EXPIRED);
    assert_true(sa_event(sa, 1000, &event));
    assert_int_equal(event.type, DATAPLANE_HARD_LIFETIME);
}

/* Without any limit the numbers themselves are one. */
static void no_sequence_number_is_used_twice(void **state)
{
    (void)state;
    for (unsigned esn = 0; esn < 2; esn++) {
        _cleanup_(sa_freep) Sa *sa = sa_with(NULL, NULL, esn);
        static Sealed sealed;
        sa_sequence(sa)->last = (esn ? UINT64_MAX : UINT32_MAX) - 1;
        assert_int_equal(seal(sa, 1000, &sealed), 0);
        assert_int_equal(seal(sa, 1000, &sealed), SA_E_EXPIRED);
    }
}

static void lifetime_in_bytes_counts_inner_octets_of_either_direction(void **state)
{
    (void)state;
    _cleanup_(sa_freep) Sa *sa =
        sa_with(&(Lifetime){.bytes = 304}, &(Lifetime){.bytes = 305}, true);
    static Sealed sealed;
    DataPlaneEvent event;
    assert_int_equal(seal(sa, 1000, &sealed), 0); /* 152 octets */
    assert_false(sa_event(sa, 1000, &event));
    assert_int_equal(seal(sa, 1000, &sealed), 0);
    assert_true(sa_event(sa, 1000, &event));
    assert_int_equal(event.type, DATAPLANE_SOFT_LIFETIME);
    assert_int_equal(seal(sa, 1000, &sealed), 0);
    assert_int_equal(seal(sa, 1000, &sealed), SA_E_EXPIRED);
}

static void lifetime_in_seconds_ends_without_any_packet(void **state)
{
    (void)state;
    _cleanup_(sa_freep) Sa *sa =
        sa_with(&(Lifetime){.seconds = 10}, &(Lifetime){.seconds = 12}, true);
    DataPlaneEvent event;
    assert_int_equal(sa_next_event_ms(sa), 11000);
    assert_false(sa_event(sa, 10999, &event));
    assert_true(sa_event(sa, 11000, &event));
    assert_int_equal(event.type, DATAPLANE_SOFT_LIFETIME);
    assert_int_equal(sa_next_event_ms(sa), 13000);
    assert_false(sa_event(sa, 12999, &event));
    assert_true(sa_event(sa, 13000, &event));
    assert_int_equal(event.type, DATAPLANE_HARD_LIFETIME);
    assert_true(sa_next_event_ms(sa) == UINT64_MAX);
}

/* Milliseconds since the start have room for so many seconds, and for no more. */
static void a_lifetime_longer_than_any_clock_counts_is_none(void **state)
{
    (void)state;
    const uint64_t longest = UINT32_MAX;
    _cleanup_(sa_freep) Sa *sa = sa_with(&(Lifetime){.seconds = longest}, &(Lifetime){0}, true);
    _cleanup_(sa_freep) Sa *endless =
        sa_with(&(Lifetime){.seconds = longest + 1}, &(Lifetime){.seconds = UINT64_MAX}, true);
    assert_true(sa_next_event_ms(sa) == 1000 + longest * 1000);
    assert_true(sa_next_event_ms(endless) == UINT64_MAX);
}

static void idle_time_is_since_the_last_authentic_packet(void **state)
{
    (void)state;
    _cleanup_(sa_freep) Sa *sa = sa_with(NULL, NULL, true);
    static Sealed sealed, forged;
    assert_int_equal(seal(sa, 2000, &sealed), 0);
    forged = sealed;
    forged.data[30] ^= 1;
    assert_int_equal(open_copy(sa, &sealed, 3000), 0);
    assert_int_equal(open_copy(sa, &forged, 4000), SA_E_DROPPED);
    SaCounters counters = counters_of(sa, 5000);
    assert_int_equal(counters.idle_out_ms, 3000);
    assert_int_equal(counters.idle_in_ms, 2000);
}

static void an_sa_takes_what_its_selectors_take(void **state)
{
    (void)state;
    _cleanup_(sa_order_freep) SaOrder *order =
        sa_order_new(IKE_ENCR_AES_GCM_16, 128, IKE_INTEG_NONE, true);
    order->ts_remote.n_selectors = 1;
    _cleanup_(sa_freep) Sa *sa = NULL;
    assert_int_equal(sa_new(order, -1, 1000, &sa), 0);
    static uint8_t inner[INNER_SIZE_MAX];
    for (uint8_t version = 4; version <= 6; version += 2) {
        TcpPacket tcp = {.version = version, .flags = TCP_ACK};
        Packet packet;
        assert_int_equal(packet_parse((Bytes){inner, tcp_packet_write(&tcp, inner)}, &packet), 0);
        assert_int_equal(sa_narrowness(sa, &packet) >= 0, version == 4);
    }
}

/* RFC 4303 2.6 */
static void a_dummy_packet_is_dropped_and_is_nothing_wrong(void **state)
{
    (void)state;
    _cleanup_(sa_freep) Sa *sa = sa_with(NULL, NULL, true);
    static Sealed sealed;
    next_header_sent = 59;
    assert_int_equal(seal(sa, 1000, &sealed), 0);
    next_header_sent = 0;
    assert_int_equal(open_copy(sa, &sealed, 1000), SA_E_DUMMY);
    assert_int_equal(counters_of(sa, 1000).malformed, 0);
    assert_int_equal(counters_of(sa, 1000).packets_in, 0);
    assert_int_equal(open_copy(sa, &sealed, 1000), SA_E_DROPPED);
    assert_int_equal(counters_of(sa, 1000).replays, 1);
}

static void what_openssl_fails_with_counts_as_no_packet(void **state)
{
    (void)state;
    _cleanup_(sa_freep) Sa *sa = sa_with(NULL, NULL, true);
    static Sealed sealed, failed;
    assert_int_equal(seal(sa, 1000, &sealed), 0);
    esp_fails = -EIO;
    assert_int_equal(seal(sa, 2000, &failed), -EIO);
    assert_int_equal(open_copy(sa, &sealed, 2000), -EIO);
    esp_fails = 0;
    SaCounters counters = counters_of(sa, 3000);
    assert_int_equal(counters.packets_out, 1);
    assert_int_equal(counters.idle_out_ms, 2000);
    assert_int_equal(counters.idle_in_ms, 2000);
    assert_int_equal(counters.malformed + counters.authentication_failures, 0);
    assert_int_equal(open_copy(sa, &sealed, 3000), 0); /* it was not marked as seen */
}

static void a_key_that_does_not_fit_in_either_direction_makes_no_sa(void **state)
{
    (void)state;
    _cleanup_(sa_order_freep) SaOrder *order =
        sa_order_new(IKE_ENCR_AES_GCM_16, 128, IKE_INTEG_NONE, true);
    Secret *const in = order->encr_in, *const out = order->encr_out;
    _cleanup_(secret_freep) Secret *unfit = NULL;
    Sa *sa = NULL;
    assert_int_equal(secret_new(7, &unfit), 0);
    order->encr_in = unfit;
    assert_int_equal(sa_new(order, -1, 1000, &sa), -EINVAL);
    order->encr_in = in;
    order->encr_out = unfit;
    assert_int_equal(sa_new(order, -1, 1000, &sa), -EINVAL);
    order->encr_out = out;
    assert_null(sa);
    sa_free(sa);
}

static int setup(void **state)
{
    (void)state;
    return secrets_init();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_packet_passes_once_in_any_order),
        cmocka_unit_test(a_forged_packet_is_counted_and_moves_no_window),
        cmocka_unit_test(next_header_must_say_what_the_inner_packet_is),
        cmocka_unit_test(an_authentic_packet_outside_of_the_selectors_is_dropped_and_counted),
        cmocka_unit_test(lifetime_in_packets_is_kept_to_the_packet),
        cmocka_unit_test(without_esn_an_sa_is_due_and_ends_before_its_sequence_numbers_do),
        cmocka_unit_test(no_sequence_number_is_used_twice),
        cmocka_unit_test(lifetime_in_bytes_counts_inner_octets_of_either_direction),
        cmocka_unit_test(lifetime_in_seconds_ends_without_any_packet),
        cmocka_unit_test(a_lifetime_longer_than_any_clock_counts_is_none),
        cmocka_unit_test(idle_time_is_since_the_last_authentic_packet),
        cmocka_unit_test(an_sa_takes_what_its_selectors_take),
        cmocka_unit_test(a_dummy_packet_is_dropped_and_is_nothing_wrong),
        cmocka_unit_test(what_openssl_fails_with_counts_as_no_packet),
        cmocka_unit_test(a_key_that_does_not_fit_in_either_direction_makes_no_sa),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
