/* A list of things, each with a word for its state and some particulars: what "status" and "verify"
 * show, to people as lines and to programs as JSON. */
#pragma once

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

/* The state of what is there and can't be read. */
#define INVENTORY_ERROR "error"

enum { INVENTORY_ITEMS = 24, ITEM_FIELDS = 8, FIELD_SIZE = 640 };

typedef struct ItemField {
    const char *key; /* a literal */
    char value[FIELD_SIZE];
} ItemField;

typedef struct Item {
    const char *name;  /* a literal */
    const char *state; /* likewise */
    ItemField fields[ITEM_FIELDS];
    unsigned count;
} Item;

typedef struct Inventory {
    Item items[INVENTORY_ITEMS];
    unsigned count;
} Inventory;

static inline void inventory_freep(Inventory **inventory)
{
    free(*inventory);
}

/* A new item at the end; it belongs to the inventory. */
Item *inventory_add(Inventory *inventory, const char *name, const char *state);

/* One more particular of an item; what is longer than FIELD_SIZE is cut. */
void item_field(Item *item, const char *key, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* One line for each: name, state, "key: value" with commas between. */
void inventory_print(const Inventory *inventory, FILE *stream);

/* One JSON object, a member for each item: {"csr": {"state": "there", "fqdn": "…"}}. 0 or
 * -ENOMEM. */
int inventory_print_json(const Inventory *inventory, FILE *stream);
