/* Puts new anchors in force without a restart. */
#include "tred/anchor_install.h"

#include "base/log.h"
#include "base/messages.h"
#include "base/reason.h"
#include "policy/anchorinstall.h"
#include "policy/timecorrection.h"
#include "policy/tss2key.h"
#include "tpm/open.h"
#include "tpm/storagekey.h"
#include "tred/bus.h"
#include "tred/bus_call.h"
#include "tred/daemon_identity.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

static const FileOwner own = {(uid_t)-1, (gid_t)-1};

typedef struct Install {
    Bytes bundle, approval; /* borrowed from `call` */
    sd_bus_message *call;
    Verifier *verifier; /* of the new anchors */
    AnchorRecord record;
    unsigned correction_days; /* of this device's last-known time, by the bundle */
    bool begun;               /* the TPM may have been told */
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

/* The connection that there is, or one of its own where no identity could be loaded. */
static int tpm_get(const Daemon *daemon, Tpm **ret, Reason *reason)
{
    TPM2B_NAME srk_name = {0};
    int r;

    if (daemon->tpm && !daemon->tpm->broken) {
        *ret = tpm_ref(daemon->tpm);
        return 0;
    }
    r = srk_name_read(daemon->config.srk_name, &srk_name, reason);
    if (r < 0 && r != -ENOENT)
        return BUS_E_TPM_UNAVAILABLE;
    if (tpm_open_in_loop(daemon->config.tcti, daemon->tpm_loop, ret, reason) < 0)
        return BUS_E_TPM_UNAVAILABLE;
    tpm_trust_srk(*ret, &srk_name);
    return 0;
}

/* A verifier of the new anchors, which so are looked at before the TPM is told of them. What is
 * taken later is what was looked at, and not the file, which somebody may have replaced since. */
static int verifier_make(const Daemon *daemon, Bytes bundle, Verifier **ret, Reason *reason)
{
    const VerifierOptions options = identity_verifier_options(&daemon->config);
    int r;

    if (bundle.size > ANCHOR_BUNDLE_SIZE_MAX) /* for anchors_install() to refuse */
        return 0;
    r = verifier_new(&options, ret, reason);
    if (r == 0)
        r = verifier_read_anchors(*ret, bundle, "the anchor bundle", reason);
    if (r == VERIFIER_E_FAILED)
        return EXCHANGE_E_VERIFIER_FAILED;
    return r == -EINVAL ? BUS_E_ANCHORS_REFUSED : r;
}

static int error_of(int r)
{
    switch (r) {
    case ANCHOR_E_OUTDATED:
        return BUS_E_ANCHORS_OUTDATED;
    case -EIO:
        return BUS_E_TPM_UNAVAILABLE;
    default:
        return r > 0 ? BUS_E_ANCHORS_REFUSED : r;
    }
}

static int install(const Daemon *daemon, Install *install)
{
    _cleanup_(tpm_closep) Tpm *tpm = NULL;
    const Identity *identity = daemon->identity;
    int r;

    r = verifier_make(daemon, install->bundle, &install->verifier, &install->reason);
    if (r == 0 && time_correction_read(install->bundle, identity ? identity->fqdn : NULL,
                                       &install->correction_days, &install->reason) < 0)
        return BUS_E_ANCHORS_REFUSED;
    if (r == 0)
        r = tpm_get(daemon, &tpm, &install->reason);
    if (r != 0)
        return r;
    install->begun = true;
    return anchors_install(tpm, daemon->config.anchors, install->bundle, install->approval, own,
                           &install->record, &install->reason);
}

static void install_run(Work *work)
{
    Install *data = work_data(work);

    data->result = install(work_daemon(work), data);
}

/* Exchanges hold references on those they began with. */
static int anchors_exchange(Daemon *daemon, Verifier *verifier, const AnchorRecord *record)
{
    Identity *identity = daemon->identity;
    int r = verifier_attach(verifier, daemon->event, &daemon->crls);

    if (r < 0)
        return r;
    verifier_unref(identity->verifier);
    identity->verifier = verifier_ref(verifier);
    memcpy(identity->anchors_digest, record->digest, sizeof(identity->anchors_digest));
    identity->anchors_guarded = true;
    identity->anchors_version = record->version;
    daemon->exchange_context.verifier = verifier;
    bus_manager_changed(daemon);
    return 0;
}

/* The TPM may have taken them before something failed: what was known of it is known no more. */
static void install_end(Work *work)
{
    Daemon *daemon = work_daemon(work);
    Install *install = work_data(work);

    if (install->result != 0) {
        if (install->result < 0 && install->begun && daemon->identity)
            daemon_load_identity_after(daemon, work);
        return;
    }
    const LogFields fields = {.message_id = MESSAGE_ANCHORS_INSTALLED};
    log_fields(LOG_NOTICE, &fields,
               "The operator's SeGW anchors, version %" PRIu64 ", are in force",
               install->record.version);
    /* Another correction makes another last-known time, which is read anew. */
    if (!daemon->identity || daemon->identity->correction_days != install->correction_days ||
        anchors_exchange(daemon, install->verifier, &install->record) < 0)
        daemon_load_identity_after(daemon, work);
}

/* Anchors are not given up half-way: TPM and files would differ until the next start. */
static const WorkClass install_class = {
    .run = install_run, .end = install_end, .free = install_free};

static void install_answer(Work *work, sd_bus_message *call)
{
    _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
    const Install *install = work_data(work);
    const char *reason = install->reason.text;
    int r = install->begun ? error_of(install->result) : install->result;

    if (r == 0) {
        (void)sd_bus_reply_method_return(call, "t", install->record.version);
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
    *data = (Install){.bundle = bundle, .approval = approval, .call = sd_bus_message_ref(call)};
    r = work_add(daemon, &install_class, data, &work);
    if (r < 0)
        return r;
    r = work_wait(work, call, install_answer);
    work_begin(daemon);
    return r;
}
