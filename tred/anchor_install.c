/* Puts new anchors in force without a restart. */
#include "tred/anchor_install.h"

#include "base/log.h"
#include "policy/anchorinstall.h"
#include "policy/srkname.h"
#include "tred/bus.h"
#include "tred/bus_error.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

static const FileOwner own = {(uid_t)-1, (gid_t)-1};

/* The TPM where no identity could be loaded with it. */
static int tpm_get(const Daemon *daemon, Tpm **ret, char *reason)
{
    TPM2B_NAME srk_name = {0};
    int r = srk_name_read(daemon->config.srk_name, &srk_name, reason);

    if (r < 0 && r != -ENOENT)
        return BUS_E_TPM_UNAVAILABLE;
    if (tpm_open(daemon->config.tcti, ret, reason) < 0)
        return BUS_E_TPM_UNAVAILABLE;
    (*ret)->srk_name = srk_name;
    return 0;
}

/* A verifier of the new anchors, which so are looked at before the TPM is told of them. What is
 * taken later is what was looked at, and not the file, which somebody may have replaced since. */
static int verifier_make(const Daemon *daemon, Bytes bundle, Verifier **ret, char *reason)
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

/* Exchanges hold references on those they began with. */
static int anchors_exchange(Daemon *daemon, Verifier *verifier, const AnchorRecord *record)
{
    Identity *identity = daemon->identity;
    int r = verifier_attach(verifier, daemon->event);

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

static void installed(Daemon *daemon, Verifier *verifier, const AnchorRecord *record)
{
    log_notice("The operator's SeGW anchors, version %" PRIu64 ", are in force.", record->version);
    if (!daemon->identity || anchors_exchange(daemon, verifier, record) < 0)
        daemon_load_identity(daemon);
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

int anchor_install(Daemon *daemon, Bytes bundle, Bytes approval, uint64_t *ret_version,
                   char *reason)
{
    _cleanup_(verifier_unrefp) Verifier *verifier = NULL;
    _cleanup_(tpm_closep) Tpm *opened = NULL;
    AnchorRecord record;
    int r;

    _Static_assert((int)ANCHOR_INSTALL_REASON_SIZE >= (int)ANCHOR_INSTALL_ERROR_SIZE &&
                       (int)ANCHOR_INSTALL_REASON_SIZE >= (int)SRK_NAME_ERROR_SIZE &&
                       (int)ANCHOR_INSTALL_REASON_SIZE >= (int)TPM_ERROR_SIZE &&
                       (int)ANCHOR_INSTALL_REASON_SIZE >= (int)VERIFIER_ERROR_SIZE,
                   "every sentence fits");
    r = verifier_make(daemon, bundle, &verifier, reason);
    if (r != 0)
        return r;
    if (!daemon->identity) {
        r = tpm_get(daemon, &opened, reason);
        if (r != 0)
            return r;
    }
    r = anchors_install(opened ? opened : daemon->identity->tpm, daemon->config.anchors, bundle,
                        approval, own, &record, reason);
    if (opened) /* a TPM without resource manager takes one connection */
        tpm_close(steal_pointer(opened));
    /* The TPM may have taken them before something failed: what was known of it is known no more.
     */
    if (r < 0 && daemon->identity)
        daemon_load_identity(daemon);
    if (r != 0)
        return error_of(r);
    *ret_version = record.version;
    installed(daemon, verifier, &record);
    return 0;
}
