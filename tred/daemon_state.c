/* State: what it is, what is said of it to systemd, the log and the bus, and what follows for those
 * who rest on it. */
#include "tred/daemon_state.h"

#include "base/log.h"
#include "base/messages.h"
#include "tred/bus.h"
#include "tred/callers.h"
#include "tred/device.h"
#include "tred/key_care.h"
#include "tred/rejudge.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <syslog.h>
#include <systemd/sd-daemon.h>

enum { USEC_PER_SEC = 1000000, PATIENCE_USEC = 10 * USEC_PER_SEC };

static void mismatch_log(const DeviceMismatch *mismatch)
{
    for (size_t i = 0; i < mismatch->count; i++) {
        log_error("PCR %u (%s): expected %s, found %s", mismatch->pcrs[i].number, mismatch->bank,
                  mismatch->pcrs[i].expected, mismatch->pcrs[i].found);
    }
}

/* How many count for it. */
static size_t anchors_count(const Daemon *daemon, const Segw *segw)
{
    Bytes hashes[FRAME_HASHES_MAX];

    return segw_anchor_hashes(segw, verifier_anchors(daemon->identity->verifier), hashes);
}

void daemon_anchors_missing_log(const Daemon *daemon)
{
    const Segws *segws = &daemon->config.segws;

    for (size_t i = 0; i < segws->count; i++) {
        if (anchors_count(daemon, segws->list[i]) == 0) {
            log_warning(
                "None of the anchors in %s is one that only-anchors of [segw%s%s] names: %s "
                "can't be taken. Correct the key, or install that anchor",
                daemon->config.anchors, i > 0 ? " " : "", i > 0 ? segws->list[i]->label : "",
                segws->list[i]->name);
        }
    }
}

static void ready_log(const Daemon *daemon)
{
    const Identity *identity = daemon->identity;

    const LogFields ready = {.message_id = MESSAGE_READY, .peer = daemon->config.segw_name};

    daemon_anchors_missing_log(daemon);
    log_fields(LOG_INFO, &ready,
               "Ready: this device is %s (%s key in the TPM, policy %s), and trusts %s by %zu "
               "anchor(s)",
               identity->fqdn, identity->key->algorithm, identity->facts.policy,
               daemon->config.segw_name, anchors_count(daemon, daemon->config.segws.list[0]));
    if (identity->facts.anchors_guarded) {
        log_info("The TPM guards the anchors, version %" PRIu64, identity->facts.anchors_version);
    } else {
        const LogFields fields = {.message_id = MESSAGE_DEVELOPMENT,
                                  .error = "the TPM does not guard the anchors"};

        log_fields(LOG_WARNING, &fields,
                   "DEVELOPMENT: the TPM does not guard the anchors: whoever is root can exchange "
                   "them");
    }
    if (daemon->state == IDENTITY_DEVELOPMENT) {
        const LogFields fields = {.message_id = MESSAGE_DEVELOPMENT,
                                  .error = daemon->state_reason.text};

        log_fields(LOG_WARNING, &fields, "DEVELOPMENT: %s", daemon->state_reason.text);
    }
}

void daemon_state_reason(const Daemon *daemon, Reason *ret)
{
    const char *problem = daemon_is_serving(daemon) ? daemon->crls.problem.text : "";
    const char *own = daemon->state_reason.text;

    reason_set(ret, 0, "%s%s%s", own, own[0] != '\0' && problem[0] != '\0' ? ". " : "", problem);
}

/* To systemd and on the bus. */
static void state_show(Daemon *daemon)
{
    Reason reason;

    daemon_state_reason(daemon, &reason);
    (void)sd_notifyf(0, "STATUS=%s%s%s", identity_state_name(daemon->state),
                     reason.text[0] != '\0' ? ": " : "", reason.text);
    bus_manager_changed(daemon);
}

static const char *not_ready_message(IdentityState state)
{
    switch (state) {
    case IDENTITY_UNPROVISIONED:
        return MESSAGE_UNPROVISIONED;
    case IDENTITY_INTEGRITY_FAILED:
        return MESSAGE_INTEGRITY_FAILED;
    default:
        return MESSAGE_TPM_UNAVAILABLE;
    }
}

static void state_announce(Daemon *daemon)
{
    const char *name = identity_state_name(daemon->state);

    if (daemon->identity && daemon->identity->validity_problem.text[0] != '\0') {
        const LogFields fields = {.message_id = MESSAGE_CERTIFICATE_INVALID,
                                  .error = daemon->identity->validity_problem.text};

        log_fields(LOG_WARNING, &fields, "%s", daemon->identity->validity_problem.text);
    }
    if (daemon->identity && daemon_is_serving(daemon)) {
        ready_log(daemon);
    } else {
        const LogFields fields = {.message_id = not_ready_message(daemon->state),
                                  .error = daemon->state_reason.text};

        log_fields(LOG_ERR, &fields, "Not ready (%s): %s", name, daemon->state_reason.text);
        mismatch_log(device_mismatch(daemon->device));
    }
    state_show(daemon);
}

void daemon_crls_changed(void *userdata)
{
    Daemon *daemon = userdata;

    if (daemon->state != IDENTITY_LOADING)
        state_show(daemon);
    if (daemon->crls_judged != daemon->crls.version) {
        daemon->crls_judged = daemon->crls.version;
        rejudge_all(daemon);
    }
}

/* What has signed rests on the device's integrity, be it an SA in force or about to be one, as what
 * is to sign does, which gets no signature. */
static void integrity_lost(Daemon *daemon)
{
    Reason reason;

    reason_set(&reason, 0, "This device is not what was approved of any more: %s",
               daemon->state_reason.text);
    callers_close_signed(daemon, reason.text);
}

void daemon_state_set(Daemon *daemon, IdentityState state, const char *reason)
{
    const bool is_said = !identity_state_serves(state) && state == daemon->state &&
                         strcmp(reason, daemon->state_reason.text) == 0;

    if (!is_said) {
        daemon->state = state;
        reason_set(&daemon->state_reason, 0, "%s", reason);
        state_announce(daemon);
    }
    if (state == IDENTITY_INTEGRITY_FAILED)
        integrity_lost(daemon);
}

void daemon_tpm_failed(Daemon *daemon, const char *reason)
{
    daemon_state_set(daemon, IDENTITY_TPM_UNAVAILABLE, reason);
}

void daemon_integrity_failed(Daemon *daemon, const char *reason)
{
    daemon_state_set(daemon, IDENTITY_INTEGRITY_FAILED, reason);
}

static int on_patience(sd_event_source *source, uint64_t usec, void *userdata)
{
    Daemon *daemon = userdata;

    (void)source, (void)usec;
    daemon_ready_tell(daemon);
    return 0;
}

void daemon_ready_tell(Daemon *daemon)
{
    char text[64];
    int r = 0;

    if (daemon->serves && daemon->state != IDENTITY_LOADING) {
        daemon->patience = sd_event_source_disable_unref(daemon->patience);
        (void)sd_notify(0, "READY=1");
        return;
    }
    (void)snprintf(text, sizeof(text), "EXTEND_TIMEOUT_USEC=%d", 3 * PATIENCE_USEC);
    (void)sd_notify(0, text);
    if (daemon->patience) {
        r = sd_event_source_set_time_relative(daemon->patience, PATIENCE_USEC);
        if (r >= 0)
            r = sd_event_source_set_enabled(daemon->patience, SD_EVENT_ONESHOT);
    } else {
        r = sd_event_add_time_relative(daemon->event, &daemon->patience, CLOCK_MONOTONIC,
                                       PATIENCE_USEC, 0, on_patience, daemon);
    }
    if (r < 0)
        log_warning("systemd may lose patience with a slow TPM: %s", strerror(-r));
}
