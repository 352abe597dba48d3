/* Drops calls that nobody waits for. */
#include "tred/bus_admit.h"

#include "base/cleanup.h"
#include "tred/bus.h"

#include <stdbool.h>

static bool gives_back(sd_bus_message *call)
{
    static const char *const members[] = {"Close", "RemoveChild"};

    for (size_t i = 0; i < ELEMENTS(members); i++) {
        if (sd_bus_message_is_method_call(call, BUS_EXCHANGE_INTERFACE, members[i]) > 0)
            return true;
    }
    return false;
}

int bus_admit_filter(sd_bus_message *call, void *userdata, sd_bus_error *error)
{
    (void)userdata, (void)error;
    return sd_bus_message_is_method_call(call, NULL, NULL) > 0 &&
           sd_bus_message_get_expect_reply(call) == 0 && !gives_back(call);
}
