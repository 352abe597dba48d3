/* Announces on the bus that an object's properties have changed. */
#include "tred/bus_announce.h"

#include "base/cleanup.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/* A value of any type as sd-bus prints it. The message that it is written into is never sent. */
static int value_print(sd_bus *bus, const sd_bus_vtable *property, void *userdata, char **ret)
{
    _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
    const char *name = property->x.property.member;
    char *text = NULL;
    size_t size = 0;
    int r = sd_bus_message_new_signal(bus, &m, "/", "org.tred.Value", name);

    if (r >= 0)
        r = property->x.property.get(bus, "/", "org.tred.Value", name, m, userdata, NULL);
    if (r >= 0)
        r = sd_bus_message_seal(m, 1, 0);
    if (r < 0)
        return r;
    FILE *stream = open_memstream(&text, &size);
    if (!stream)
        return -ENOMEM;
    r = sd_bus_message_dump(m, stream, SD_BUS_MESSAGE_DUMP_SUBTREE_ONLY);
    if (fclose(stream) != 0)
        r = -ENOMEM;
    if (r < 0) {
        free(text);
        return r;
    }
    *ret = text;
    return 0;
}

/* True if it is another value than before. */
static bool value_note(char **value, char *now)
{
    if (*value && now && strcmp(*value, now) == 0) {
        free(now);
        return false;
    }
    free(*value);
    *value = now;
    return true;
}

size_t bus_announced_look(BusAnnounced *announced, sd_bus *bus, const sd_bus_vtable *vtable,
                          void *userdata, char **ret)
{
    size_t i = 0, n = 0;

    for (const sd_bus_vtable *entry = vtable; entry->type != _SD_BUS_VTABLE_END; entry++) {
        char *now = NULL;

        if (entry->type != _SD_BUS_VTABLE_PROPERTY || i == BUS_ANNOUNCED_MAX ||
            !(entry->flags & SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE))
            continue;
        (void)value_print(bus, entry, userdata, &now);
        if (value_note(&announced->values[i++], now)) {
            /* NOLINTNEXTLINE(performance-no-int-to-ptr): -Wcast-qual lets no const go otherwise */
            ret[n++] = (char *)(uintptr_t)entry->x.property.member;
        }
    }
    ret[n] = NULL;
    return n;
}

void bus_announced_deinit(BusAnnounced *announced)
{
    for (size_t i = 0; i < BUS_ANNOUNCED_MAX; i++)
        free(announced->values[i]);
    *announced = (BusAnnounced){0};
}
