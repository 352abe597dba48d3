/* Does tred run, and would it do something for us? */
#include "provisioning/tredbus.h"

#include "base/cleanup.h"
#include "provisioning/command.h"

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

static int complain_bus(const char *what, const sd_bus_error *error, int r)
{
    complain("%s: %s", what, error->message ? error->message : strerror(-r));
    return r;
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
    return r < 0 ? complain_bus("tred refuses the anchors", &error, r) : 0;
}
