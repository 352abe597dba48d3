#include "octets_fixture.h"

#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static uint8_t nibble(char digit)
{
    static const char DIGITS[] = "0123456789abcdef";
    const char *found = strchr(DIGITS, tolower((unsigned char)digit));

    assert_true(digit != '\0' && found);
    return (uint8_t)(found - DIGITS);
}

Octets octets_from_hex(const char *hex)
{
    Octets octets = {0};

    while (*hex) {
        if (*hex == ' ') {
            hex++;
            continue;
        }
        assert_in_range(octets.size, 0, OCTETS_MAX - 1);
        octets.data[octets.size++] = (uint8_t)(nibble(hex[0]) << 4 | nibble(hex[1]));
        hex += 2;
    }
    return octets;
}

Secret *secret_from_hex(const char *hex)
{
    Octets octets = octets_from_hex(hex);
    Secret *secret = NULL;

    assert_int_equal(secret_new(octets.size, &secret), 0);
    memcpy(secret->data, octets.data, octets.size);
    return secret;
}

Bytes octets_bytes(const Octets *octets)
{
    return (Bytes){octets->data, octets->size};
}

void assert_octets(Bytes found, const char *hex)
{
    Octets expected = octets_from_hex(hex);

    assert_int_equal(found.size, expected.size);
    assert_memory_equal(found.data, expected.data, expected.size);
}
