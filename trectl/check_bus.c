/* Would the bus let tred be org.tred.TrE1? */
#include "trectl/check.h"

#include "base/cleanup.h"
#include "base/reason.h"
#include "trectl/as_user.h"
#include "tred/bus.h"
#include "tred/bus_connection.h"

#include <errno.h>
#include <stdbool.h>

static bool name_has_owner(sd_bus *bus)
{
    sd_bus_creds *creds = NULL;
    int r = sd_bus_get_name_creds(bus, BUS_NAME, 0, &creds);

    sd_bus_creds_unref(creds);
    return r >= 0;
}

/* Takes the name for a moment, as user tred; what is refused here is refused to the daemon. */
static int bus_try(void *userdata)
{
    _cleanup_(sd_bus_flush_close_unrefp) sd_bus *bus = NULL;
    Findings *findings = userdata;
    Reason reason = {0};
    int r;

    r = bus_connection_open(&bus, &reason);
    if (r == 0 && name_has_owner(bus)) {
        findings_add(findings, FINDING_OK, "bus", BUS_NAME " is there");
        return 0;
    }
    if (r == 0)
        r = bus_connection_take_name(bus, &reason);
    if (r < 0) {
        findings_add(findings, FINDING_PROBLEM, "bus", "%s", reason.text);
        return 1;
    }
    findings_add(findings, FINDING_OK, "bus", "user tred may have the name " BUS_NAME);
    return 0;
}

void check_bus(Findings *findings)
{
    Findings own = {0};
    int r = as_user_run("tred", bus_try, &own);

    if (r < 0) {
        findings_add(findings, FINDING_PROBLEM, "bus",
                     "Can't be tried as user tred: %s. Run trectl doctor as root",
                     r == -ENOENT ? "there is no such user" : "that takes root's rights");
    } else {
        findings->n_problems += (unsigned)r;
    }
}
