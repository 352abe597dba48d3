/* Is this text a JSON object, all of it? */
#include "provisioning/json.h"

#include <limits.h>
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
