/* Asks a running tred to do something for us. */
#include "provisioning/tredbus.h"

#include "base/cleanup.h"
#include "provisioning/command.h"

#include <stdio.h>
#include <string.h>

enum { SLOW_TPM_USEC = 120 * 1000 * 1000 };

int tred_find(sd_bus **ret)
{
    _cleanup_(sd_bus_flush_close_unrefp) sd_bus *bus = NULL;

    if (sd_bus_open_system(&bus) < 0 || sd_bus_get_name_creds(bus, TRED_NAME, 0, NULL) < 0)
        return 0;
    *ret = steal_pointer(bus);
    return 1;
}

/* What tred, or the bus, says of a call that failed. */
static const char *bus_words(const sd_bus_error *error, int r)
{
    return error->message ? error->message : strerror(-r);
}

int tred_install_anchors(sd_bus *bus, Bytes bundle, Bytes approval, uint64_t *ret_version)
{
    _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
    _cleanup_(sd_bus_message_unrefp) sd_bus_message *call = NULL;
    _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
    int r = sd_bus_message_new_method_call(bus, &call, TRED_NAME, TRED_PATH, TRED_MANAGER,
                                           "InstallAnchors");

    if (r >= 0)
        r = sd_bus_message_append_array(call, 'y', bundle.data, bundle.size);
    if (r >= 0)
        r = sd_bus_message_append_array(call, 'y', approval.data, approval.size);
    if (r >= 0)
        r = sd_bus_message_set_auto_start(call, false);
    if (r >= 0)
        r = sd_bus_call(bus, call, SLOW_TPM_USEC, &error, &reply);
    if (r >= 0)
        r = sd_bus_message_read_basic(reply, 't', ret_version);
    if (r < 0) {
        complain("tred refuses the anchors: %s", bus_words(&error, r));
        return r;
    }
    return 0;
}

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
                 bus_words(&error, r));
        return r;
    }
    (void)printf("tred has read its files again and is %s%s%s\n", state,
                 reason[0] != '\0' ? ": " : "", reason);
    return 0;
}
