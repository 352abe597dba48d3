/* Does a tred run that has to know? */
#include "provisioning/reload.h"

#include "base/cleanup.h"
#include "provisioning/command.h"
#include "provisioning/tredbus.h"

#include <stdio.h>
#include <string.h>

int tred_reload(void)
{
    _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
    _cleanup_(sd_bus_flush_close_unrefp) sd_bus *bus = NULL;
    _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
    const char *state = "", *reason = "";
    int r;

    /* Without a bus, or without tred on it, nobody holds the old files. */
    if (tred_find(&bus) == 0) {
        (void)puts("tred does not run; it reads the files when it starts");
        return 0;
    }
    r = sd_bus_call_method(bus, TRED_NAME, TRED_PATH, TRED_MANAGER, "Reload", &error, &reply, "");
    if (r >= 0)
        r = sd_bus_message_read(reply, "ss", &state, &reason);
    if (r < 0) {
        complain("tred runs and did not read its files again: %s; run 'systemctl reload tred'",
                 error.message ? error.message : strerror(-r));
        return r;
    }
    (void)printf("tred has read its files again and is %s%s%s\n", state,
                 reason[0] != '\0' ? ": " : "", reason);
    return 0;
}
