/* Is a TCP header found where there is one, whole, and nowhere else? */
#include "esp/offload.h"

#include "base/cleanup.h"

#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

enum { IP_SIZE = IPV4_HEADER_SIZE, ROOM = 128 };

/* `tcp_size` octets behind an IPv4 header, of a TCP header that says it has `words` 32-bit words.
 */
static int size_of(size_t tcp_size, uint8_t words, size_t *ret)
{
    uint8_t octets[ROOM] = {0};
    const Packet packet = {.version = 4,
                           .protocol = IPPROTO_TCP,
                           .header_size = IP_SIZE,
                           .bytes = {octets, IP_SIZE + tcp_size}};

    octets[IP_SIZE + TCP_DATA_OFFSET] = (uint8_t)(words << 4);
    *ret = 0;
    return tcp_header_size(&packet, ret);
}

static void a_header_has_20_to_60_octets_and_all_are_there(void **state)
{
    size_t size;

    (void)state;
    for (uint8_t words = 0; words <= 15; words++) {
        const size_t whole = (size_t)words * 4;

        if (words < 5) {
            assert_int_equal(size_of(60, words, &size), -EBADMSG);
            continue;
        }
        assert_int_equal(size_of(whole, words, &size), 0);
        assert_int_equal(size, whole);
        assert_int_equal(size_of(whole + 1, words, &size), 0);
        assert_int_equal(size_of(whole - 1, words, &size), -EBADMSG);
    }
    assert_int_equal(size_of(0, 5, &size), -EBADMSG);
}

static void another_protocol_or_a_fragment_has_none(void **state)
{
    uint8_t octets[ROOM] = {0};
    Packet packet = {.version = 4,
                     .protocol = IPPROTO_UDP,
                     .header_size = IP_SIZE,
                     .bytes = {octets, sizeof(octets)}};
    size_t size;

    (void)state;
    octets[IP_SIZE + TCP_DATA_OFFSET] = 5 << 4;
    assert_int_equal(tcp_header_size(&packet, &size), -EBADMSG);
    packet.protocol = IPPROTO_TCP;
    assert_int_equal(tcp_header_size(&packet, &size), 0);
    packet.fragment = true;
    assert_int_equal(tcp_header_size(&packet, &size), -EBADMSG);
}

static void what_is_beyond_the_end_is_zero(void **state)
{
    const uint8_t octets[] = {1, 2, 3, 4};
    const Bytes bytes = BYTES_OF(octets);

    (void)state;
    assert_int_equal(read_u16_at(bytes, 2), 0x0304);
    assert_int_equal(read_u16_at(bytes, 3), 0);
    assert_int_equal(read_u32_at(bytes, 0), 0x01020304);
    assert_int_equal(read_u32_at(bytes, 1), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_header_has_20_to_60_octets_and_all_are_there),
        cmocka_unit_test(another_protocol_or_a_fragment_has_none),
        cmocka_unit_test(what_is_beyond_the_end_is_zero),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
