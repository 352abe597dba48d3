/* The steps "nv-index", "last-known-time" and "anchors": what the TPM guards for the operator, and
 * the SeGW's root certificates that the profile names. */
#include "policy/anchorguard.h"
#include "policy/encoding.h"
#include "policy/lastknowntime.h"
#include "provisioning/anchors.h"
#include "provisioning/devicetpm.h"
#include "provisioning/step.h"

#include <errno.h>
#include <stdio.h>
#include <time.h>

static int operator_key_read(const Provision *provision, PolicyKey *ret)
{
    Reason reason = {"out of memory"};
    int r = policy_key_read(provision->options->profile->operator_key, false, ret, &reason);

    if (r < 0)
        complain("%s", reason.text);
    return r;
}

int step_nv_index_check(Provision *provision, char *note)
{
    _cleanup_(policy_key_deinit) PolicyKey operator_key = {0};
    Reason reason = {0};
    AnchorGuard guard;
    int r;

    r = operator_key_read(provision, &operator_key);
    if (r < 0)
        return r;
    (void)snprintf(note, STEP_NOTE_SIZE, "0x%08x, for the operator's key in %.200s",
                   ANCHOR_GUARD_INDEX, provision->options->profile->operator_key);
    r = anchor_guard_read(provision->tpm, &guard, &reason);
    if (r == 0 && anchor_guard_obeys(&guard, &operator_key))
        return 1;
    if (r == -ENOENT)
        return 0;
    if (r == 0) {
        reason_set(&reason, 0,
                   "the NV index 0x%08x guards the anchors of another operator than the one of "
                   "the key in %.200s; use that operator's, or clear the TPM and provision anew",
                   ANCHOR_GUARD_INDEX, provision->options->profile->operator_key);
        r = -EEXIST;
    }
    complain("%s", reason.text);
    return r;
}

int step_nv_index_make(Provision *provision, char *note)
{
    _cleanup_(policy_key_deinit) PolicyKey operator_key = {0};
    Reason reason = {0};
    int r;

    (void)note;
    r = operator_key_read(provision, &operator_key);
    if (r < 0)
        return r;
    r = anchor_guard_define(provision->tpm, &operator_key, &reason);
    if (r < 0)
        complain("%s", reason.text);
    return r;
}

static void time_note(time_t time, char *note)
{
    struct tm tm;

    if (!gmtime_r(&time, &tm) || strftime(note, STEP_NOTE_SIZE, "since %Y-%m-%d", &tm) == 0)
        note[0] = '\0';
}

int step_last_known_time_check(Provision *provision, char *note)
{
    Reason reason = {0};
    time_t time = 0;
    int r = last_known_time_read(provision->tpm, &time, &reason);

    if (r == 0) {
        time_note(time, note);
        return 1;
    }
    /* What was begun and not finished is taken up, and what is not ours refused, by the making. */
    if (r == -ENOENT || r == -EBADMSG)
        return 0;
    complain("%s", reason.text);
    return r;
}

int step_last_known_time_make(Provision *provision, char *note)
{
    const time_t now = time(NULL);
    Reason reason = {0};
    int r = last_known_time_define(provision->tpm, now, &reason);

    if (r < 0) {
        complain("%s", reason.text);
    } else {
        time_note(now, note);
    }
    return r;
}

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
