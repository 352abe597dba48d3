/* Octets as base64 text (RFC 4648), for JSON. */
#include "provisioning/base64.h"

#include "base/cleanup.h"

#include <errno.h>
#include <limits.h>
#include <openssl/evp.h>
#include <string.h>

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
