/* The step "anchors": are the SeGW's root certificates that the profile names the ones that are
 * installed? */
#include "provisioning/step.h"

#include "provisioning/anchors.h"

#include <stdio.h>

static ProvisionOptions options_of(const Provision *provision)
{
    ProvisionOptions options = *provision->options;

    options.file = options.profile->anchors;
    return options;
}

int step_anchors_check(Provision *provision, char *note)
{
    const ProvisionOptions options = options_of(provision);
    int r;

    (void)snprintf(note, STEP_NOTE_SIZE, "%.200s", options.file);
    r = anchors_in_force(&options, provision->tpm);
    if (r <= 0)
        return r;
    r = state_give(&options, STATE_ANCHORS);
    return r < 0 ? r : 1;
}

int step_anchors_install(Provision *provision, char *note)
{
    const ProvisionOptions options = options_of(provision);

    (void)note;
    return anchors_install_direct(&options, provision->tpm);
}
