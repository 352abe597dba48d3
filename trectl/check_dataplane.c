/* Would tred's data plane come up? Opened by tred's own code, as user tred, in a network that
 * nobody else is in. */
#include "trectl/check.h"

#include "base/reason.h"
#include "crypto/secret.h"
#include "dataplane/dataplane.h"
#include "trectl/as_user.h"

#include <errno.h>
#include <string.h>

typedef struct DataPlaneCheck {
    Findings findings;
    const TredConfig *config;
    const char *net_program;
} DataPlaneCheck;

static int event_open(sd_event **ret, Reason *reason)
{
    int r = secrets_init();

    if (r >= 0)
        r = sd_event_new(ret);
    if (r < 0)
        reason_set(reason, 0, "It can't be tried: %s", strerror(-r));
    return r;
}

/* With a tred-net of its own: the one that serves tred is another network's. */
static int dataplane_try(void *userdata)
{
    _cleanup_(sd_event_unrefp) sd_event *event = NULL;
    _cleanup_(dataplane_closep) DataPlane *plane = NULL;
    DataPlaneCheck *check = userdata;
    DataPlaneOptions options = {
        .mode = (DataPlaneMode)check->config->data_plane,
        .interface = check->config->interface,
        .net_program = check->net_program,
        .esp_program = check->config->esp_helper,
    };
    Reason reason = {0};
    int r = event_open(&event, &reason);

    options.event = event;
    if (r >= 0)
        r = dataplane_open(&options, &plane, &reason);
    if (r < 0) {
        findings_add(&check->findings, FINDING_PROBLEM, "data plane", "%s", reason.text);
    } else {
        findings_add(&check->findings, FINDING_OK, "data plane", "%s", dataplane_name(plane));
    }
    return (int)check->findings.n_problems;
}

void check_dataplane(Findings *findings, const TredConfig *config, const char *net_program)
{
    DataPlaneCheck check = {.config = config, .net_program = net_program};
    int r = as_service_run("tred", dataplane_try, &check);

    if (r < 0) {
        findings_add(findings, FINDING_PROBLEM, "data plane",
                     "Can't be tried as user tred: %s. Run trectl doctor as root",
                     r == -ENOENT ? "there is no such user" : "that takes root's rights");
    } else {
        findings->n_problems += (unsigned)r;
    }
}
