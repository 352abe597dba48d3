/* Puts new anchors in force without a restart. */
#include "tred/anchor_install.h"

#include "base/log.h"
#include "base/messages.h"
#include "base/reason.h"
#include "base/timecorrection.h"
#include "tred/bus.h"
#include "tred/bus_call.h"
#include "tred/callers.h"
#include "tred/daemon_identity.h"
#include "tred/daemon_state.h"
#include "tred/device.h"
#include "tred/rejudge.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

typedef struct Install {
    Bytes bundle, approval; /* borrowed from `call` */
    sd_bus_message *call;
    Verifier *verifier; /* of the new anchors */
    uint64_t version;
    unsigned correction_days; /* of this device's last-known time, by the bundle */
    bool unknown;             /* the TPM may have taken them before something failed */
    int result;
    Reason reason;
} Install;

static void install_free(void *data)
{
    Install *install = data;

    verifier_unref(install->verifier);
    sd_bus_message_unref(install->call);
    free(install);
}

static int error_of(int r)
{
    switch (r) {
    case DEVICE_E_OUTDATED:
        return BUS_E_ANCHORS_OUTDATED;
    case -EIO:
        return BUS_E_TPM_UNAVAILABLE;
    default:
        return r > 0 ? BUS_E_ANCHORS_REFUSED : r;
    }
}

static void on_installed(const DeviceAnswer *answer, Bytes certificates, Bytes anchors,
                         void *userdata)
{
    Install *install = work_data(userdata);

    (void)certificates, (void)anchors;
    install->unknown = answer->told && answer->result < 0;
    install->version = answer->version;
    install->result = error_of(answer->result);
    install->reason = answer->reason;
    work_ended(userdata);
}

static void install_failed(Work *work, int r)
{
    Install *install = work_data(work);

    install->result = r;
    work_ended(work);
}

static void device_ask_for(Work *work)
{
    Daemon *daemon = work_daemon(work);
    Install *install = work_data(work);
    const Identity *identity = daemon->identity;
    int r = BUS_E_ANCHORS_REFUSED;

    if (time_correction_read(install->bundle, identity ? identity->fqdn : NULL,
                             &install->correction_days, &install->reason) == 0)
        r = device_install(daemon->device, install->bundle, install->approval, on_installed, work);
    if (r != 0)
        install_failed(work, r);
}

static void verifier_failed(Work *work, int r)
{
    if (r > 0)
        r = EXCHANGE_E_VERIFIER_FAILED;
    install_failed(work, r == -EINVAL ? (int)BUS_E_ANCHORS_REFUSED : r);
}

/* `r`: whether it was asked. */
static void verifier_await(Work *work, int r, VerifierReady ready)
{
    const Install *install = work_data(work);

    if (r == 0)
        r = verifier_when_ready(install->verifier, work_daemon(work)->event, ready, work);
    if (r != 0)
        verifier_failed(work, r);
}

static void on_anchors_read(void *userdata)
{
    Install *install = work_data(userdata);
    int r = verifier_take(install->verifier, &install->reason);

    if (r == 0) {
        device_ask_for(userdata);
    } else {
        verifier_failed(userdata, r);
    }
}

static void on_profile_read(void *userdata)
{
    Install *install = work_data(userdata);
    int r = verifier_take(install->verifier, &install->reason);

    if (r == 0) {
        r = verifier_hand(install->verifier, FRAME_ANCHORS, install->bundle, "the anchor bundle",
                          (Bytes){0}, &install->reason);
    }
    verifier_await(userdata, r, on_anchors_read);
}

/* A verifier of the new anchors, which so are looked at before the TPM is told of them. What is
 * taken later is what was looked at, and not the file, which somebody may have replaced since. */
static int install_ask(Work *work)
{
    const VerifierOptions options = identity_verifier_options(&work_daemon(work)->config);
    Install *install = work_data(work);

    if (install->bundle.size > DEVICE_ANCHORS_SIZE_MAX) { /* for the device to refuse */
        device_ask_for(work);
    } else {
        verifier_await(work, verifier_begin(&options, &install->verifier, &install->reason),
                       on_profile_read);
    }
    return 0;
}

static void anchors_announce(Daemon *daemon, uint64_t version)
{
    daemon->identity->facts.anchors_guarded = true;
    daemon->identity->facts.anchors_version = version;
    daemon->exchange_context.verifier = daemon->identity->verifier;
    daemon_anchors_missing_log(daemon);
    bus_manager_changed(daemon);
}

/* Whoever was verified is judged by the new ones, even while there is no identity. */
static int anchors_exchange(Daemon *daemon, Verifier *verifier, uint64_t version)
{
    Verifier **judge = daemon->identity ? &daemon->identity->verifier : &daemon->last_verifier;

    if (!*judge) /* nobody was */
        return 0;
    int r = verifier_attach(verifier, daemon->event, &daemon->crls);
    if (r < 0)
        return r;
    verifier_unref(*judge);
    *judge = verifier_ref(verifier);
    if (daemon->identity)
        anchors_announce(daemon, version);
    rejudge_all(daemon);
    return 0;
}

/* All is read anew, also where there was no identity: whoever was verified is judged by the anchors
 * of the last one until there is another. The new ones do not judge: the TPM may have refused. */
static void unknown_read(Daemon *daemon, Work *done)
{
    log_warning("Whether the TPM has taken the operator's new SeGW anchors is not known: the "
                "identity is read anew, and until that succeeds verified SeGWs are judged by the "
                "anchors before. If State does not become ready, see to the TPM and install the "
                "anchors again");
    daemon_load_identity_after(daemon, done);
}

/* Whoever was not yet judged would be by anchors that may be removed by this, however they come
 * into force: it begins anew. */
static void install_end(Work *work)
{
    Daemon *daemon = work_daemon(work);
    Install *install = work_data(work);

    if (install->result != 0) {
        if (install->unknown)
            unknown_read(daemon, work);
        return;
    }
    const LogFields fields = {.message_id = MESSAGE_ANCHORS_INSTALLED};
    log_fields(LOG_NOTICE, &fields,
               "The operator's SeGW anchors, version %" PRIu64 ", are in force", install->version);
    callers_close_unverified(daemon, "The operator's anchors have changed. Begin another exchange");
    const int r = anchors_exchange(daemon, install->verifier, install->version);
    /* Another correction makes another last-known time, which is read anew. */
    if (r < 0 || !daemon->identity || daemon->identity->correction_days != install->correction_days)
        daemon_load_identity_after(daemon, work);
}

/* Anchors are not given up half-way: TPM and files would differ until the next start. */
static const WorkClass install_class = {
    .begin = install_ask, .end = install_end, .free = install_free};

static void install_answer(Work *work, sd_bus_message *call)
{
    _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
    const Install *install = work_data(work);
    const char *reason = install->reason.text;
    int r = install->result;

    if (r == 0) {
        (void)sd_bus_reply_method_return(call, "t", install->version);
        return;
    }
    const LogFields fields = {.message_id = MESSAGE_ANCHORS_REFUSED,
                              .error = reason[0] != '\0' ? reason : strerror(-r)};
    log_fields(LOG_WARNING, &fields, "The anchors handed in by %s are not in force: %s",
               call_sender(call), fields.error);
    if (r < 0 && reason[0] != '\0') {
        r = sd_bus_error_setf(&error, SD_BUS_ERROR_FAILED, "%s", reason);
    } else {
        r = bus_error_set(&error, r, reason);
    }
    bus_answer_error(call, r, &error);
}

int anchor_install(Daemon *daemon, Bytes bundle, Bytes approval, sd_bus_message *call)
{
    Install *data = calloc(1, sizeof(*data));
    Work *work = NULL;
    int r;

    if (!data)
        return -ENOMEM;
    *data = (Install){
        .result = -EIO, .bundle = bundle, .approval = approval, .call = sd_bus_message_ref(call)};
    r = work_add(daemon, &install_class, data, &work);
    if (r < 0)
        return r;
    r = work_wait(work, call, install_answer);
    work_begin(daemon);
    return r;
}
