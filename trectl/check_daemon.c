/* Is tred running, and what does it say of itself? */
#include "trectl/check.h"

#include "base/cleanup.h"
#include "base/reason.h"
#include "tred/bus.h"
#include "tred/bus_connection.h"

#include <string.h>

static int state_read(sd_bus *bus, const char *property, char **ret)
{
    return sd_bus_get_property_string(bus, BUS_NAME, BUS_MANAGER_PATH, BUS_MANAGER_INTERFACE,
                                      property, NULL, ret);
}

/* Asked only if it runs: a question would start it by activation. */
static bool is_running(sd_bus *bus)
{
    sd_bus_creds *creds = NULL;
    int r = sd_bus_get_name_creds(bus, BUS_NAME, 0, &creds);

    sd_bus_creds_unref(creds);
    return r >= 0;
}

static void crls_check(Findings *findings, sd_bus *bus)
{
    _cleanup_(free_charp) char *problem = NULL;

    if (state_read(bus, "CrlProblem", &problem) >= 0 && problem[0] != '\0') {
        findings_add(findings, FINDING_PROBLEM, "tred's CRLs",
                     "%s. What was in force before stays so; where nothing was, no SeGW is taken",
                     problem);
    }
}

bool check_daemon(Findings *findings)
{
    _cleanup_(sd_bus_flush_close_unrefp) sd_bus *bus = NULL;
    _cleanup_(free_charp) char *state = NULL, *reason = NULL;
    Reason bus_reason = {0};

    if (bus_connection_open(&bus, &bus_reason) < 0 || !is_running(bus)) {
        findings_add(findings, FINDING_OK, "tred", "is not running; it starts when it is needed");
        return false;
    }
    if (state_read(bus, "State", &state) < 0 || state_read(bus, "StateReason", &reason) < 0) {
        findings_add(findings, FINDING_PROBLEM, "tred",
                     "runs and does not answer. Restart it: systemctl restart tred");
    } else if (strcmp(state, identity_state_name(IDENTITY_DEVELOPMENT)) == 0) {
        findings_add(findings, FINDING_WARNING, "tred", "runs, for development: %s", reason);
    } else if (strcmp(state, identity_state_name(IDENTITY_READY)) == 0) {
        findings_add(findings, FINDING_OK, "tred", "runs, and is ready");
    } else {
        findings_add(findings, FINDING_PROBLEM, "tred", "runs, but is %s: %s", state, reason);
    }
    crls_check(findings, bus);
    return true;
}
