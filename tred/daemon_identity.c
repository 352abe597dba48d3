/* Who are we now, and is the TPM ready to sign for us? */
#include "base/log.h"
#include "tred/bus.h"
#include "tred/callers.h"
#include "tred/clock.h"
#include "tred/daemon.h"

#include "policy/encoding.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <systemd/sd-daemon.h>

enum { VALUE_TEXT_SIZE = 2 * PCR_VALUE_MAX + 1 };

void daemon_drop_identity(Daemon *daemon)
{
    daemon->exchange_context.device_key = NULL;
    daemon->exchange_context.identity = NULL;
    daemon->exchange_context.verifier = NULL;
    identity_free(steal_pointer(daemon->identity));
}

static void identity_take(Daemon *daemon, Identity *identity)
{
    daemon->identity = identity;
    daemon->exchange_context.device_key = identity->key;
    daemon->exchange_context.identity = identity->fqdn;
    daemon->exchange_context.verifier = identity->verifier;
    clock_take(daemon, identity->last_known);
}

static void mismatch_log(const PcrMismatch *mismatch)
{
    const size_t size = pcr_value_size(mismatch->found.bank);

    for (unsigned i = 0; i < PCR_COUNT; i++) {
        char expected[VALUE_TEXT_SIZE], found[VALUE_TEXT_SIZE];

        if (!(mismatch->mask >> i & 1))
            continue;
        hex_encode((Bytes){mismatch->expected.values[i], size}, expected);
        hex_encode((Bytes){mismatch->found.values[i], size}, found);
        log_error("PCR %u (%s): expected %s, found %s.", i, pcr_bank_name(mismatch->found.bank),
                  expected, found);
    }
}

/* With an identity, and in a state in which exchanges can be begun. */
static bool is_serving(const Daemon *daemon)
{
    return daemon->identity && identity_state_serves(daemon->state);
}

static void ready_log(const Daemon *daemon)
{
    const Identity *identity = daemon->identity;

    log_info("Ready: this device is %s (%s key in the TPM, policy %s), and trusts %s by %zu "
             "anchor(s).",
             identity->fqdn, tpm_key_algorithm_name(device_key_algorithm(identity->key)),
             key_policy_kind_name(identity->policy->kind), daemon->config.segw_name,
             verifier_anchors(identity->verifier)->n_hashes);
    if (identity->anchors_guarded) {
        log_info("The TPM guards the anchors, version %" PRIu64 ".", identity->anchors_version);
    } else {
        log_warning("DEVELOPMENT: the TPM does not guard the anchors: whoever is root can exchange "
                    "them.");
    }
    if (identity->anchors_guarded && !identity->guard_locked) {
        log_warning("DEVELOPMENT: the TPM's owner hierarchy has no authorization value: whoever is "
                    "root can take the anchors' guard away and make another. Provision the step "
                    "lock (tre-provision(8)).");
    }
    if (daemon->state == IDENTITY_DEVELOPMENT)
        log_warning("DEVELOPMENT: %s", daemon->state_reason);
}

static void state_announce(Daemon *daemon)
{
    const char *name = identity_state_name(daemon->state);

    if (daemon->identity && daemon->identity->validity_problem[0] != '\0')
        log_warning("%s", daemon->identity->validity_problem);
    if (is_serving(daemon)) {
        ready_log(daemon);
    } else {
        log_error("Not ready (%s): %s", name, daemon->state_reason);
        mismatch_log(&daemon->mismatch);
    }
    (void)sd_notifyf(0, "STATUS=%s%s%s", name, daemon->state_reason[0] != '\0' ? ": " : "",
                     daemon->state_reason);
    bus_manager_changed(daemon);
}

/* Said once: a client that tries again and again is no reason to repeat it. */
static void state_set(Daemon *daemon, IdentityState state, const char *reason)
{
    if (!identity_state_serves(state) && state == daemon->state &&
        strcmp(reason, daemon->state_reason) == 0)
        return;
    daemon->state = state;
    (void)snprintf(daemon->state_reason, sizeof(daemon->state_reason), "%s", reason);
    state_announce(daemon);
}

/* A key without a policy does all that one with a policy does, and is marked wherever State is
 * shown. */
static void identity_loaded(Daemon *daemon, Identity *identity)
{
    identity_take(daemon, identity);
    if (identity->policy->kind != KEY_POLICY_NONE) {
        state_set(daemon, IDENTITY_READY, "");
        return;
    }
    state_set(daemon, IDENTITY_DEVELOPMENT,
              "The device key is under no TPM policy: whoever reaches the TPM can sign as this "
              "device. Not for use in the field; provision it with a policy (tre-provision(8)).");
}

void daemon_load_identity(Daemon *daemon)
{
    char reason[IDENTITY_REASON_SIZE] = "";
    _cleanup_(identity_freep) Identity *identity = NULL;
    int r;

    callers_close_unsigned(daemon, "The device's identity is read again. Begin another exchange.");
    /* First, as a TPM without resource manager has few slots and takes one connection. */
    daemon_drop_identity(daemon);
    daemon->mismatch = (PcrMismatch){0};
    r = identity_load(&daemon->config, steal_pointer(daemon->verifier), &identity,
                      &daemon->mismatch, reason);
    if (r == 0)
        r = verifier_attach(identity->verifier, daemon->event);
    if (r == 0) {
        identity_loaded(daemon, steal_pointer(identity));
        return;
    }
    if (r < 0) {
        (void)snprintf(reason, sizeof(reason), "The identity can't be loaded: %s.", strerror(-r));
        r = IDENTITY_TPM_UNAVAILABLE;
    }
    state_set(daemon, (IdentityState)r, reason);
}

void daemon_tpm_failed(Daemon *daemon, const char *reason)
{
    state_set(daemon, IDENTITY_TPM_UNAVAILABLE, reason);
}

void daemon_integrity_failed(Daemon *daemon, const char *reason)
{
    if (daemon->identity)
        daemon->mismatch = daemon->identity->policy->mismatch;
    state_set(daemon, IDENTITY_INTEGRITY_FAILED, reason);
}

static void key_prepare(Daemon *daemon)
{
    char error[TPM_ERROR_SIZE] = "";
    char reason[IDENTITY_REASON_SIZE];
    int r = device_key_prepare(daemon->identity->key, error);

    if (r == 0)
        return;
    (void)snprintf(reason, sizeof(reason), "%s.", error);
    if (r == -EKEYREJECTED) {
        daemon_integrity_failed(daemon, reason);
    } else {
        daemon_tpm_failed(daemon, reason);
    }
}

void daemon_get_ready(Daemon *daemon)
{
    if (is_serving(daemon)) {
        /* What was prepared before says nothing of the platform as it is now. */
        device_key_rest(daemon->identity->key);
        key_prepare(daemon);
    }
    if (is_serving(daemon))
        return;
    /* What was missing may have come, and a connection that broke is made again. */
    daemon_load_identity(daemon);
    if (is_serving(daemon))
        key_prepare(daemon);
}

static int on_key_care(sd_event_source *source, void *userdata)
{
    Daemon *daemon = userdata;

    (void)source;
    if (!is_serving(daemon))
        return 0;
    if (callers_have_unsigned(daemon)) {
        key_prepare(daemon);
    } else {
        device_key_rest(daemon->identity->key);
    }
    return 0;
}

void daemon_key_released(Daemon *daemon)
{
    int r = 0;

    if (!daemon->key_care) {
        r = sd_event_add_defer(daemon->event, &daemon->key_care, on_key_care, daemon);
        if (r >= 0)
            r = sd_event_source_set_priority(daemon->key_care, SD_EVENT_PRIORITY_IDLE);
    }
    if (r >= 0)
        r = sd_event_source_set_enabled(daemon->key_care, SD_EVENT_ONESHOT);
    if (r < 0)
        log_warning("The device key can't be looked after: %s.", strerror(-r));
}
