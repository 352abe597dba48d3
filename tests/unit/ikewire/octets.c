/* How do tests write octets, and go through tables of malformed ones? */
#include "tests/unit/ikewire/octets.h"

#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static uint8_t digit(char c)
{
    const char *digits = "0123456789abcdef";
    const char *found = c ? strchr(digits, c) : NULL;

    if (!found) {
        fail_msg("'%c' is not a hex digit", c);
        abort();
    }
    return (uint8_t)(found - digits);
}

Bytes octets_copy(Bytes bytes)
{
    uint8_t *copy = malloc(bytes.size ? bytes.size : 1);

    if (!copy)
        abort();
    if (bytes.size)
        memcpy(copy, bytes.data, bytes.size);
    return (Bytes){copy, bytes.size};
}

Bytes octets_new(const char *hex)
{
    uint8_t buffer[4096];
    size_t size = 0;

    while (*hex) {
        if (isspace((unsigned char)*hex)) {
            hex++;
            continue;
        }
        assert_true(size < sizeof(buffer));
        buffer[size++] = (uint8_t)(digit(hex[0]) << 4 | digit(hex[1]));
        hex += 2;
    }
    return octets_copy((Bytes){buffer, size});
}

void octets_free(const Bytes *octets)
{
    /* A view is const; the test that made the octets owns them all the same. */
    union {
        const uint8_t *view;
        void *owned;
    } pointer = {octets->data};

    free(pointer.owned);
}

void malformed_check(const Malformed *cases, size_t count, OctetsDecoder decode)
{
    for (size_t i = 0; i < count; i++) {
        _cleanup_(octets_free) Bytes octets = octets_new(cases[i].hex);
        int r = decode(octets);
        if (r != cases[i].fault)
            fail_msg("%s: %d, expected %d", cases[i].what, r, cases[i].fault);
    }
}

void truncations_check(const char *hex, OctetsDecoder decode)
{
    _cleanup_(octets_free) Bytes whole = octets_new(hex);

    assert_int_equal(decode(whole), 0);
    for (size_t size = 0; size < whole.size; size++) {
        _cleanup_(octets_free) Bytes front = octets_copy(bytes_slice(whole, 0, size));
        if (decode(front) == 0)
            fail_msg("the first %zu octets alone were taken for the whole", size);
    }
}

void written_check(const Writer *writer, const char *hex)
{
    _cleanup_(octets_free) Bytes expected = octets_new(hex);
    Bytes written = {0};

    assert_int_equal(writer_finish(writer, &written), 0);
    assert_int_equal(written.size, expected.size);
    assert_memory_equal(written.data, expected.data, expected.size);
}
