/* Octets as hexadecimal text, and text as lines and words. */
#include "policy/encoding.h"

#include <errno.h>
#include <string.h>

void hex_encode(Bytes bytes, char *ret)
{
    static const char digits[] = "0123456789abcdef";

    for (size_t i = 0; i < bytes.size; i++) {
        ret[2 * i] = digits[bytes.data[i] >> 4];
        ret[2 * i + 1] = digits[bytes.data[i] & 0xf];
    }
    ret[2 * bytes.size] = '\0';
}

/* The value of a hexadecimal digit, or -1. */
static int digit_value(char digit)
{
    if (digit >= '0' && digit <= '9')
        return digit - '0';
    if (digit >= 'a' && digit <= 'f')
        return digit - 'a' + 10;
    if (digit >= 'A' && digit <= 'F')
        return digit - 'A' + 10;
    return -1;
}

int hex_decode_some(const char *text, uint8_t *ret, size_t capacity, size_t *ret_size)
{
    const size_t length = strlen(text);

    if (length % 2 != 0 || length / 2 > capacity)
        return -EINVAL;
    for (size_t i = 0; i < length / 2; i++) {
        const int high = digit_value(text[2 * i]);
        const int low = digit_value(text[2 * i + 1]);

        if (high < 0 || low < 0)
            return -EINVAL;
        ret[i] = (uint8_t)(high << 4 | low);
    }
    *ret_size = length / 2;
    return 0;
}

int hex_decode(const char *text, uint8_t *ret, size_t size)
{
    size_t got = 0;
    int r = hex_decode_some(text, ret, size, &got);

    return r == 0 && got != size ? -EINVAL : r;
}

int line_next(Bytes *rest, char *ret, size_t size)
{
    if (rest->size == 0)
        return 0;
    for (size_t i = 0; i < rest->size && i < size; i++) {
        const uint8_t octet = rest->data[i];

        if (octet == '\n') {
            ret[i] = '\0';
            *rest = bytes_slice(*rest, i + 1, rest->size);
            return 1;
        }
        if (octet < ' ' || octet > '~')
            return -EBADMSG;
        ret[i] = (char)octet;
    }
    return -EBADMSG;
}

char *word_next(char **rest)
{
    return strsep(rest, " ");
}
