/* How do octets look in JSON and to people? */
#include "policy/encoding.h"

#include "base/cleanup.h"

#include <errno.h>
#include <limits.h>
#include <openssl/evp.h>
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

int base64_encode(Bytes bytes, char **ret)
{
    char *text;

    if (bytes.size > INT_MAX / 2)
        return -ENOMEM;
    text = malloc((bytes.size + 2) / 3 * 4 + 1);
    if (!text)
        return -ENOMEM;
    text[0] = '\0';
    if (bytes.size > 0)
        (void)EVP_EncodeBlock((unsigned char *)text, bytes.data, (int)bytes.size);
    *ret = text;
    return 0;
}

/* Padding at the end of a text whose length is a multiple of four. */
static size_t padding(const char *text, size_t length)
{
    if (length == 0 || text[length - 1] != '=')
        return 0;
    return text[length - 2] == '=' ? 2 : 1;
}

int base64_decode(const char *text, uint8_t *ret, size_t capacity, size_t *ret_size)
{
    const size_t length = strlen(text);
    _cleanup_(free_bytesp) unsigned char *buffer = NULL;
    size_t size;

    /* EVP_DecodeBlock() skips white space at both ends, and takes padding anywhere. */
    if (length % 4 != 0 || length > INT_MAX ||
        strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/") +
                padding(text, length) !=
            length)
        return -EINVAL;
    size = length / 4 * 3 - padding(text, length);
    if (size > capacity)
        return -EINVAL;
    buffer = malloc(length + 1);
    if (!buffer)
        return -EINVAL;
    if (length > 0 && EVP_DecodeBlock(buffer, (const unsigned char *)text, (int)length) < 0)
        return -EINVAL;
    memcpy(ret, buffer, size);
    *ret_size = size;
    return 0;
}
