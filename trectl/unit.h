/* What systemd says of a unit. */
#pragma once

#include <stdbool.h>
#include <systemd/sd-bus.h>

enum { UNIT_WORD_SIZE = 32 };

typedef struct Unit {
    bool known;                   /* systemd answered, and has such a unit */
    char active[UNIT_WORD_SIZE];  /* "active", "inactive", "failed", "activating" … */
    char enabled[UNIT_WORD_SIZE]; /* "enabled", "disabled", "static", "masked" … */
    char result[UNIT_WORD_SIZE];  /* of a service that has failed: "exit-code", "watchdog" … */
    int status;                   /* with "exit-code", its exit status */
} Unit;

/* Asks for `name` ("tred.service"). Where there is no systemd to ask, nothing is known. */
void unit_look(sd_bus *bus, const char *name, Unit *ret);
