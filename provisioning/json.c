/* JSON objects: reads those that come from outside, puts those together that are written, and has
 * octets in them as base64 text (RFC 4648). */
#include "provisioning/json.h"

#include "base/cleanup.h"

#include <errno.h>
#include <limits.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

static void tokener_freep(struct json_tokener **tokener)
{
    if (*tokener)
        json_tokener_free(*tokener);
}

static bool is_white(Bytes octets)
{
    for (size_t i = 0; i < octets.size; i++) {
        if (octets.data[i] == '\0' || !strchr(" \t\r\n", octets.data[i]))
            return false;
    }
    return true;
}

struct json_object *json_text_parse(Bytes text, size_t size_max, int depth)
{
    _cleanup_(tokener_freep) struct json_tokener *tokener = json_tokener_new_ex(depth);
    _cleanup_(json_freep) struct json_object *root = NULL;

    if (!tokener || text.size == 0 || text.size > size_max || size_max > INT_MAX)
        return NULL;
    /* The parser would stop at the object's end and let anything follow. */
    json_tokener_set_flags(tokener, JSON_TOKENER_STRICT | JSON_TOKENER_ALLOW_TRAILING_CHARS);
    root = json_tokener_parse_ex(tokener, (const char *)text.data, (int)text.size);
    if (!json_object_is_type(root, json_type_object) ||
        !is_white(bytes_slice(text, json_tokener_get_parse_end(tokener), text.size)))
        return NULL;
    return steal_pointer(root);
}

const char *json_member_string(struct json_object *object, const char *name)
{
    struct json_object *member = NULL;

    if (!json_object_object_get_ex(object, name, &member) ||
        !json_object_is_type(member, json_type_string))
        return NULL;
    return json_object_get_string(member);
}

bool json_add(struct json_object *object, const char *name, struct json_object *value)
{
    if (value && json_object_object_add(object, name, value) == 0)
        return true;
    (void)json_object_put(value);
    return false;
}

bool json_add_string(struct json_object *object, const char *name, const char *text)
{
    return json_add(object, name, json_object_new_string(text));
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
    unsigned char *buffer;
    size_t size;
    int r = 0;

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
        r = -EINVAL;
    if (r == 0) {
        memcpy(ret, buffer, size);
        *ret_size = size;
    }
    OPENSSL_cleanse(buffer, length + 1); /* a challenge's secret comes by here */
    free(buffer);
    return r;
}
