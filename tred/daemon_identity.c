/* Who this device is: its identity, and loading that as work on the TPM. */
#include "tred/daemon_identity.h"

#include "base/log.h"
#include "base/reason.h"
#include "base/rest.h"
#include "tred/callers.h"
#include "tred/clock.h"
#include "tred/daemon_state.h"
#include "tred/device.h"
#include "tred/key_care.h"
#include "tred/rejudge.h"

#include <errno.h>
#include <string.h>

enum { PAUSE_MAX_MS = 5000 };

void daemon_drop_identity(Daemon *daemon)
{
    daemon->exchange_context.signing_key = NULL;
    daemon->exchange_context.identity = NULL;
    daemon->exchange_context.verifier = NULL;
    exchange_forget_prepared(&daemon->exchange_context);
    if (daemon->identity) {
        verifier_unref(daemon->last_verifier);
        daemon->last_verifier = verifier_ref(daemon->identity->verifier);
    }
    identity_free(steal_pointer(daemon->identity));
}

static void identity_take(Daemon *daemon, Identity *identity)
{
    daemon->identity = identity;
    verifier_unref(steal_pointer(daemon->last_verifier));
    daemon->exchange_context.signing_key = identity->key;
    daemon->exchange_context.identity = identity->fqdn;
    daemon->exchange_context.verifier = identity->verifier;
    clock_take(daemon, identity->last_known, identity->correction_days);
}

/* What is for development does all that others do, and is marked wherever State is shown. */
static void identity_loaded(Daemon *daemon, Identity *identity)
{
    const char *development = identity->facts.development.text;

    identity_take(daemon, identity);
    daemon_state_set(daemon, development[0] != '\0' ? IDENTITY_DEVELOPMENT : IDENTITY_READY,
                     development);
    rejudge_all(daemon);
}

/* One load: what it is to become, and how it ended. */
typedef struct Load {
    Identity *identity;
    unsigned pause_ms; /* before it begins */
    IdentityReading reading;
    uint8_t *octets[IDENTITY_READINGS]; /* that are read; NULL: there are none */
    size_t sizes[IDENTITY_READINGS];
    int result;
    Reason reason;
} Load;

static void load_free(void *data)
{
    Load *load = data;

    for (size_t i = 0; i < IDENTITY_READINGS; i++)
        free(load->octets[i]);
    identity_free(load->identity);
    free(load);
}

/* Whoever has the TPM may have gone while the verifier read. */
static int identity_complete(const Daemon *daemon, Identity *identity, Reason *reason)
{
    const char *problem = device_problem(daemon->device);

    if (problem[0] != '\0')
        return reason_set(reason, IDENTITY_TPM_UNAVAILABLE, "%s", problem);
    if (identity->n_certificates == 0 || !identity->verifier)
        return -EPROTO;
    identity_time_take(&daemon->config, identity);
    return device_key_new(daemon->device, &identity->facts, &identity->key);
}

static Bytes load_octets(const Load *load)
{
    return (Bytes){load->octets[load->reading], load->sizes[load->reading]};
}

/* A verifier is for the rest alone, and there may be one that has read its profile. */
static bool is_to_be_read(const Load *load)
{
    if (load->reading == IDENTITY_READS_PROFILE) {
        return !load->identity->verifier &&
               (load->octets[IDENTITY_READS_CHAIN] || load->octets[IDENTITY_READS_ANCHORS]);
    }
    return load->octets[load->reading] != NULL;
}

/* What is wrong with certificates or anchors goes first: they come before the TPM. */
static void load_end_with(Work *work, int r, const Reason *reason)
{
    Load *load = work_data(work);

    if (r != 0) {
        load->result = r;
        load->reason = *reason;
    }
    work_ended(work);
}

static void on_read(void *userdata);

/* Has the next be read, for which the loop waits; or ends the work. */
static void load_go_on(Work *work)
{
    const Daemon *daemon = work_daemon(work);
    Load *load = work_data(work);
    Reason reason = {0};
    int r = 0;

    while (load->reading < IDENTITY_READINGS && !is_to_be_read(load))
        load->reading++;
    if (load->reading < IDENTITY_READINGS) {
        r = identity_read_begin(&daemon->config, load->identity, load->reading, load_octets(load),
                                &reason);
        if (r == 0)
            r = verifier_when_ready(load->identity->verifier, daemon->event, on_read, work);
        if (r == 0)
            return;
    } else if (load->result == 0) {
        r = identity_complete(daemon, load->identity, &reason);
    }
    load_end_with(work, r, &reason);
}

static void on_read(void *userdata)
{
    Work *work = userdata;
    Load *load = work_data(work);
    Reason reason = {0};
    int r = identity_read_end(&work_daemon(work)->config, load->identity, load->reading,
                              load_octets(load), &reason);

    if (r != 0) {
        load_end_with(work, r, &reason);
    } else {
        load->reading++;
        load_go_on(work);
    }
}

static int octets_keep(Load *load, IdentityReading what, Bytes octets)
{
    if (!octets.data)
        return 0;
    load->octets[what] = malloc(octets.size + 1);
    if (!load->octets[what])
        return -ENOMEM;
    memcpy(load->octets[what], octets.data, octets.size);
    load->sizes[what] = octets.size;
    return 0;
}

static void on_loaded(const DeviceAnswer *answer, Bytes certificates, Bytes anchors, void *userdata)
{
    Work *work = userdata;
    Load *load = work_data(work);

    load->result = answer->result;
    if (answer->result == -ECANCELED) {
        work_ended(work);
        return;
    }
    load->reason = answer->reason;
    load->identity->facts = answer->facts;
    int r = octets_keep(load, IDENTITY_READS_CHAIN, certificates);
    if (r == 0)
        r = octets_keep(load, IDENTITY_READS_ANCHORS, anchors);
    if (r == 0) {
        load_go_on(work);
    } else {
        load_end_with(work, r, &(Reason){0});
    }
}

static int load_ask(Work *work)
{
    Load *load = work_data(work);
    Daemon *daemon = work_daemon(work);

    daemon->load_begun = daemon_now(daemon) + (uint64_t)load->pause_ms * 1000;
    if (device_load(daemon->device, load->pause_ms, on_loaded, work) < 0) {
        load->result = reason_set(&load->reason, IDENTITY_TPM_UNAVAILABLE, "%s",
                                  device_problem(daemon->device));
        work_ended(work);
    }
    return 0;
}

static void load_failed(Daemon *daemon, Load *load)
{
    daemon_drop_identity(daemon);
    device_forget(daemon->device);
    if (load->result < 0) {
        reason_set(&load->reason, 0, "The identity can't be loaded: %s", strerror(-load->result));
        load->result = IDENTITY_TPM_UNAVAILABLE;
    }
    daemon_state_set(daemon, (IdentityState)load->result, load->reason.text);
}

static void load_end(Work *work)
{
    Daemon *daemon = work_daemon(work);
    Load *load = work_data(work);

    daemon->load_ended = daemon_now(daemon);
    if (daemon->load_begun > daemon->load_ended) /* given up while it paused: it cost nothing */
        daemon->load_begun = daemon->load_ended;
    if (load->result == -ECANCELED)
        return;
    if (load->result == 0)
        load->result = verifier_attach(load->identity->verifier, daemon->event, &daemon->crls);
    callers_close_unsigned(daemon, "The device's identity is read again. Begin another exchange");
    if (load->result == 0) {
        daemon_drop_identity(daemon);
        identity_loaded(daemon, steal_pointer(load->identity));
        load->identity = NULL;
        daemon_key_wanted(daemon); /* at once: nobody is using the TPM */
        daemon_key_released(daemon);
    } else {
        load_failed(daemon, load);
    }
    daemon_ready_tell(daemon);
    rest_after(daemon->rest);
}

static const WorkClass load_class = {
    .begin = load_ask, .end = load_end, .free = load_free, .can_be_given_up = true};

static int load_add(Daemon *daemon, Work **ret)
{
    Load *load = calloc(1, sizeof(*load));

    if (load)
        load->identity = calloc(1, sizeof(*load->identity));
    if (!load || !load->identity) {
        free(load);
        return -ENOMEM;
    }
    load->result = -ECANCELED;
    load->identity->verifier = steal_pointer(daemon->verifier);
    return work_add(daemon, &load_class, load, ret);
}

/* A load that is yet to begin sees all that there is now; one that has begun may not. */
static int load_get(Daemon *daemon, Work **ret)
{
    *ret = work_waiting(daemon, &load_class);
    return *ret ? 0 : load_add(daemon, ret);
}

/* What is left of a connection that broke is in the way of a new one, and is dropped by whoever has
 * the TPM. */
static void broken_drop(Daemon *daemon)
{
    if (!device_is_broken(daemon->device))
        return;
    callers_close_unsigned(daemon, "The connection to the TPM broke. Begin another exchange");
    daemon_drop_identity(daemon);
    if (identity_state_serves(daemon->state))
        daemon_tpm_failed(daemon, "The connection to the TPM broke, and is made anew");
}

static void load_begin(Daemon *daemon)
{
    broken_drop(daemon);
    work_begin(daemon);
}

void daemon_load_identity(Daemon *daemon)
{
    daemon_load_identity_after(daemon, NULL);
}

void daemon_load_identity_after(Daemon *daemon, Work *done)
{
    Work *work = NULL;

    if (load_get(daemon, &work) < 0) {
        log_error("The identity can't be read: %s", strerror(ENOMEM));
        return;
    }
    work_want(work);
    if (!done) {
        load_begin(daemon);
        return;
    }
    /* A load that fails at once frees those that are answered after it: it begins when `done` has
     * ended, as the queue goes on. */
    work_answer_after(done, work);
    broken_drop(daemon);
}

int daemon_load_identity_for(Daemon *daemon, sd_bus_message *call, WorkAnswer answer)
{
    Work *work = NULL;
    int r = load_get(daemon, &work);

    if (r == 0)
        r = work_wait(work, call, answer);
    load_begin(daemon);
    return r;
}

/* How long the TPM is left alone before a load that a caller who can't be served brings about: as
 * long as the load before took, so that such callers cost it half of its time at the most. */
static unsigned pause_ms(const Daemon *daemon)
{
    const uint64_t took = daemon->load_ended - daemon->load_begun;
    const uint64_t since = daemon_now(daemon) - daemon->load_ended;
    const uint64_t pause = took > since ? (took - since) / 1000 : 0;

    return pause < PAUSE_MAX_MS ? (unsigned)pause : PAUSE_MAX_MS;
}

int daemon_await_identity(Daemon *daemon, sd_bus_message *call, WorkAnswer answer)
{
    Work *work = daemon->works;
    int r;

    if (work && daemon->state == IDENTITY_LOADING)
        return work_wait(work, call, answer);
    r = load_get(daemon, &work);
    if (r == 0)
        r = work_wait(work, call, answer);
    if (r == 0)
        ((Load *)work_data(work))->pause_ms = pause_ms(daemon);
    load_begin(daemon);
    return r;
}

void daemon_device_revived(void *userdata)
{
    daemon_load_identity(userdata);
}

void daemon_device_failed(int r, const char *reason, void *userdata)
{
    if (r == -EKEYREJECTED) {
        daemon_integrity_failed(userdata, reason);
    } else {
        daemon_tpm_failed(userdata, reason);
    }
}
