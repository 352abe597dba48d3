/* Shows a list of things to people, and the same to programs as JSON. */
#include "provisioning/inventory.h"

#include <assert.h>
#include <errno.h>
#include <json-c/json.h>
#include <stdarg.h>
#include <string.h>

Item *inventory_add(Inventory *inventory, const char *name, const char *state)
{
    assert(inventory->count < INVENTORY_ITEMS);
    Item *item = &inventory->items[inventory->count++];

    *item = (Item){.name = name, .state = state};
    return item;
}

void item_field(Item *item, const char *key, const char *format, ...)
{
    va_list arguments;

    assert(item->count < ITEM_FIELDS);
    item->fields[item->count].key = key;
    va_start(arguments, format);
    (void)vsnprintf(item->fields[item->count].value, FIELD_SIZE, format, arguments);
    va_end(arguments);
    item->count++;
}

static bool tells_of_error(const ItemField *field)
{
    const size_t size = strlen(field->key), end = strlen(INVENTORY_ERROR);

    return size >= end && strcmp(field->key + size - end, INVENTORY_ERROR) == 0;
}

bool inventory_has_error(const Inventory *inventory)
{
    for (unsigned i = 0; i < inventory->count; i++) {
        const Item *item = &inventory->items[i];

        if (strcmp(item->state, INVENTORY_ERROR) == 0)
            return true;
        for (unsigned j = 0; j < item->count; j++) {
            if (tells_of_error(&item->fields[j]))
                return true;
        }
    }
    return false;
}

void inventory_print(const Inventory *inventory, FILE *stream)
{
    for (unsigned i = 0; i < inventory->count; i++) {
        const Item *item = &inventory->items[i];

        (void)fprintf(stream, "%-18s %-8s", item->name, item->state);
        for (unsigned j = 0; j < item->count; j++) {
            (void)fprintf(stream, "%s%s: %s", j > 0 ? ", " : "  ", item->fields[j].key,
                          item->fields[j].value);
        }
        (void)fputc('\n', stream);
    }
}

static int text_add(struct json_object *object, const char *key, const char *text)
{
    struct json_object *string = json_object_new_string(text);

    if (!string || json_object_object_add(object, key, string) < 0) {
        json_object_put(string);
        return -ENOMEM;
    }
    return 0;
}

static int item_add(struct json_object *all, const Item *item)
{
    struct json_object *object = json_object_new_object();
    int r = object ? text_add(object, "state", item->state) : -ENOMEM;

    for (unsigned i = 0; r == 0 && i < item->count; i++)
        r = text_add(object, item->fields[i].key, item->fields[i].value);
    if (r == 0 && json_object_object_add(all, item->name, object) < 0)
        r = -ENOMEM;
    if (r < 0)
        json_object_put(object);
    return r;
}

int inventory_print_json(const Inventory *inventory, FILE *stream)
{
    struct json_object *all = json_object_new_object();
    int r = all ? 0 : -ENOMEM;

    for (unsigned i = 0; r == 0 && i < inventory->count; i++)
        r = item_add(all, &inventory->items[i]);
    if (r == 0) {
        (void)fprintf(stream, "%s\n",
                      json_object_to_json_string_ext(all, JSON_C_TO_STRING_PLAIN |
                                                              JSON_C_TO_STRING_NOSLASHESCAPE));
    }
    json_object_put(all);
    return r;
}
