/* Asks systemd (org.freedesktop.systemd1(5)). */
#include "trectl/unit.h"

#include "base/cleanup.h"

#include <stdio.h>
#include <string.h>

#define SYSTEMD "org.freedesktop.systemd1"
#define SYSTEMD_PATH "/org/freedesktop/systemd1"
#define SYSTEMD_MANAGER SYSTEMD ".Manager"
#define SYSTEMD_SERVICE SYSTEMD ".Service"

static void word_copy(char *ret, const char *word)
{
    (void)snprintf(ret, UNIT_WORD_SIZE, "%s", word);
}

/* Why it failed. */
static void result_look(sd_bus *bus, const char *path, Unit *unit)
{
    _cleanup_(free_charp) char *result = NULL;
    int status = 0;

    if (sd_bus_get_property_string(bus, SYSTEMD, path, SYSTEMD_SERVICE, "Result", NULL, &result) >=
        0)
        word_copy(unit->result, result);
    if (sd_bus_get_property_trivial(bus, SYSTEMD, path, SYSTEMD_SERVICE, "ExecMainStatus", NULL,
                                    'i', &status) >= 0)
        unit->status = status;
}

static int active_look(sd_bus *bus, const char *name, Unit *unit)
{
    _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
    const char *load = NULL, *active = NULL, *path = NULL;
    int r = sd_bus_call_method(bus, SYSTEMD, SYSTEMD_PATH, SYSTEMD_MANAGER, "ListUnitsByNames",
                               NULL, &reply, "as", 1, name);

    if (r >= 0)
        r = sd_bus_message_enter_container(reply, 'a', "(ssssssouso)");
    if (r > 0) {
        r = sd_bus_message_read(reply, "(ssssssouso)", NULL, NULL, &load, &active, NULL, NULL,
                                &path, NULL, NULL, NULL);
    }
    if (r <= 0)
        return r;
    unit->known = strcmp(load, "loaded") == 0 || strcmp(load, "masked") == 0;
    word_copy(unit->active, active);
    if (strcmp(active, "failed") == 0)
        result_look(bus, path, unit);
    return r;
}

void unit_look(sd_bus *bus, const char *name, Unit *ret)
{
    _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
    const char *state = NULL;

    *ret = (Unit){0};
    if (active_look(bus, name, ret) <= 0 || !ret->known)
        return;
    if (sd_bus_call_method(bus, SYSTEMD, SYSTEMD_PATH, SYSTEMD_MANAGER, "GetUnitFileState", NULL,
                           &reply, "s", name) >= 0 &&
        sd_bus_message_read(reply, "s", &state) > 0)
        word_copy(ret->enabled, state);
}
