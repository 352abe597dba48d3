/* D-Bus values to JSON. */
#include "trectl/busjson.h"

#include "base/cleanup.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

/* What anybody on the bus can make us go down into; tred's own values go four deep. */
enum { DEPTH_MAX = 16 };

/* Both services answer within milliseconds; one that hangs is not waited for like one that works.
 */
enum { PATIENCE_USEC = 5 * 1000 * 1000 };

static int value_read(sd_bus_message *message, unsigned depth, json_object **ret);

static int number_read(sd_bus_message *message, char type, json_object **ret)
{
    union {
        uint8_t y;
        int b;
        int16_t n;
        uint16_t q;
        int32_t i;
        uint32_t u;
        int64_t x;
        uint64_t t;
        double d;
    } value = {0};
    int r = sd_bus_message_read_basic(message, type, &value);

    if (r < 0)
        return r;
    switch (type) {
    case 'y':
        *ret = json_object_new_int(value.y);
        break;
    case 'b':
        *ret = json_object_new_boolean(value.b);
        break;
    case 'n':
        *ret = json_object_new_int(value.n);
        break;
    case 'q':
        *ret = json_object_new_int(value.q);
        break;
    case 'i':
        *ret = json_object_new_int(value.i);
        break;
    case 'u':
        *ret = json_object_new_uint64(value.u);
        break;
    case 'x':
        *ret = json_object_new_int64(value.x);
        break;
    case 't':
        *ret = json_object_new_uint64(value.t);
        break;
    case 'd':
        *ret = json_object_new_double(value.d);
        break;
    default:
        return -EOPNOTSUPP;
    }
    return *ret ? 0 : -ENOMEM;
}

static int text_read(sd_bus_message *message, char type, json_object **ret)
{
    const char *text = NULL;
    int r = sd_bus_message_read_basic(message, type, &text);

    if (r < 0)
        return r;
    *ret = json_object_new_string(text);
    return *ret ? 0 : -ENOMEM;
}

static int octets_read(sd_bus_message *message, json_object **ret)
{
    static const char digits[] = "0123456789abcdef";
    const void *data = NULL;
    size_t size = 0;
    int r = sd_bus_message_read_array(message, 'y', &data, &size);

    if (r < 0)
        return r;
    _cleanup_(free_charp) char *text = malloc(2 * size + 1);
    if (!text)
        return -ENOMEM;
    for (size_t i = 0; i < size; i++) {
        const uint8_t octet = ((const uint8_t *)data)[i];

        text[2 * i] = digits[octet >> 4];
        text[2 * i + 1] = digits[octet & 15];
    }
    text[2 * size] = '\0';
    *ret = json_object_new_string(text);
    return *ret ? 0 : -ENOMEM;
}

static int entry_read(sd_bus_message *message, unsigned depth, json_object *object)
{
    _cleanup_(json_object_putp) json_object *key = NULL, *value = NULL;
    int r = sd_bus_message_enter_container(message, 'e', NULL);

    if (r <= 0)
        return r;
    r = value_read(message, depth, &key);
    if (r >= 0)
        r = value_read(message, depth, &value);
    if (r >= 0 && json_object_object_add(object, json_object_get_string(key), value) < 0)
        r = -ENOMEM;
    if (r < 0)
        return r;
    value = NULL; /* the object's now */
    r = sd_bus_message_exit_container(message);
    return r < 0 ? r : 1;
}

/* What is in an array or a structure, one after the other; a dictionary's entries. */
static int container_read(sd_bus_message *message, char type, const char *contents, unsigned depth,
                          json_object **ret)
{
    const bool dictionary = type == 'a' && contents[0] == '{';
    _cleanup_(json_object_putp) json_object *made =
        dictionary ? json_object_new_object() : json_object_new_array();
    int r = made ? sd_bus_message_enter_container(message, type, contents) : -ENOMEM;

    while (r >= 0 && sd_bus_message_at_end(message, false) == 0) {
        json_object *item = NULL;

        if (dictionary) {
            r = entry_read(message, depth, made);
            continue;
        }
        r = value_read(message, depth, &item);
        if (r >= 0 && json_object_array_add(made, item) < 0) {
            json_object_put(item);
            r = -ENOMEM;
        }
    }
    if (r >= 0)
        r = sd_bus_message_exit_container(message);
    if (r < 0)
        return r;
    *ret = steal_pointer(made);
    return 0;
}

static int variant_read(sd_bus_message *message, const char *contents, unsigned depth,
                        json_object **ret)
{
    int r = sd_bus_message_enter_container(message, 'v', contents);

    if (r >= 0)
        r = value_read(message, depth, ret);
    if (r >= 0)
        r = sd_bus_message_exit_container(message);
    return r;
}

static int value_read(sd_bus_message *message, unsigned depth, json_object **ret)
{
    const char *contents = NULL;
    char type = 0;
    int r = sd_bus_message_peek_type(message, &type, &contents);

    if (r <= 0)
        return r < 0 ? r : -ENODATA;
    if (depth == DEPTH_MAX)
        return -EMSGSIZE;
    switch (type) {
    case 's':
    case 'o':
    case 'g':
        return text_read(message, type, ret);
    case 'a':
        return strcmp(contents, "y") == 0 ? octets_read(message, ret)
                                          : container_read(message, type, contents, depth + 1, ret);
    case 'r':
        return container_read(message, type, contents, depth + 1, ret);
    case 'v':
        return variant_read(message, contents, depth + 1, ret);
    default:
        return number_read(message, type, ret);
    }
}

int bus_json_read(sd_bus_message *message, json_object **ret)
{
    *ret = NULL;
    int r = value_read(message, 0, ret);

    if (r < 0) {
        json_object_put(*ret);
        *ret = NULL;
    }
    return r;
}

static int properties_call(sd_bus *bus, const char *name, const char *path, const char *interface,
                           const char *property, json_object **ret)
{
    _cleanup_(sd_bus_message_unrefp) sd_bus_message *call = NULL, *reply = NULL;
    int r = sd_bus_message_new_method_call(
        bus, &call, name, path, "org.freedesktop.DBus.Properties", property ? "Get" : "GetAll");

    if (r >= 0)
        r = sd_bus_message_set_auto_start(call, false);
    if (r >= 0)
        r = sd_bus_message_append(call, "s", interface);
    if (r >= 0 && property)
        r = sd_bus_message_append(call, "s", property);
    if (r >= 0)
        r = sd_bus_call(bus, call, PATIENCE_USEC, NULL, &reply);
    return r < 0 ? r : bus_json_read(reply, ret);
}

int bus_json_properties(sd_bus *bus, const char *name, const char *path, const char *interface,
                        json_object **ret)
{
    int r = properties_call(bus, name, path, interface, NULL, ret);

    if (r == 0 && !json_object_is_type(*ret, json_type_object)) {
        json_object_put(*ret);
        *ret = NULL;
        r = -EBADMSG;
    }
    return r;
}

int bus_json_property(sd_bus *bus, const char *name, const char *path, const char *interface,
                      const char *property, json_object **ret)
{
    return properties_call(bus, name, path, interface, property, ret);
}

json_object *json_member(json_object *object, const char *member)
{
    json_object *found = NULL;

    (void)json_object_object_get_ex(object, member, &found);
    return found;
}

const char *json_text(json_object *object, const char *member)
{
    json_object *found = json_member(object, member);

    return json_object_is_type(found, json_type_string) ? json_object_get_string(found) : "";
}

uint64_t json_number(json_object *object, const char *member)
{
    return json_object_get_uint64(json_member(object, member));
}

size_t json_count(json_object *array)
{
    return json_object_is_type(array, json_type_array) ? json_object_array_length(array) : 0;
}

json_object *json_item(json_object *array, size_t i)
{
    return i < json_count(array) ? json_object_array_get_idx(array, i) : NULL;
}
