/* JSON objects that come from outside or are written, and octets in them as base64 text (RFC 4648).
 */
#pragma once

#include "base/bytes.h"
#include "base/cleanup.h"

#include <json-c/json.h>
#include <stdbool.h>

/* Reads a whole text that is one JSON object of at most `depth` levels, and white space, and
 * nothing else. Returns NULL if it is not, or is larger than `size_max`. The caller's to
 * json_object_put(). */
struct json_object *json_text_parse(Bytes text, size_t size_max, int depth);

/* A member that is a string, or NULL. It lives as long as the object. */
const char *json_member_string(struct json_object *object, const char *name);

/* Adds a member. `value` is taken over in any case; NULL is one that there was no memory for. False
 * without memory. */
bool json_add(struct json_object *object, const char *name, struct json_object *value);
bool json_add_string(struct json_object *object, const char *name, const char *text);

static inline void json_freep(struct json_object **object)
{
    (void)json_object_put(*object);
}

/* Base64 with padding, on one line. *ret is the caller's to free(). 0 or -ENOMEM. */
int base64_encode(Bytes bytes, char **ret);

/* At most `capacity` octets from base64 with padding and without white space; *ret_size says how
 * many. 0 or -EINVAL. */
int base64_decode(const char *text, uint8_t *ret, size_t capacity, size_t *ret_size);
