/* Has certificates and anchors read by tred-verify, and keeps what they say: here are only octets.
 */
#include "tred/identity.h"

#include "base/timecorrection.h"

#include <errno.h>
#include <string.h>

enum { SECONDS_PER_DAY = 24 * 3600 };

void identity_free(Identity *identity)
{
    if (!identity)
        return;
    for (size_t i = 0; i < identity->n_certificates; i++)
        free(identity->certificates[i].data);
    verifier_unref(identity->verifier);
    signing_key_free(identity->key);
    free(identity);
}

int identity_files(const TredConfig *config, DeviceFiles *ret, Reason *reason)
{
    const struct {
        const char *from;
        char *to;
    } names[] = {
        {config->tcti, ret->tcti},
        {config->srk_name, ret->srk_name},
        {config->key, ret->key},
        {config->policy_key, ret->policy_key},
        {config->pcr_signatures, ret->pcr_signatures},
        {config->certificates, ret->certificates},
        {config->anchors, ret->anchors},
    };

    for (size_t i = 0; i < ELEMENTS(names); i++) {
        if (strlen(names[i].from) >= DEVICE_PATH_SIZE) {
            return reason_set(reason, -ENAMETOOLONG,
                              "%.100s... is longer than %d octets. Give it a shorter name",
                              names[i].from, DEVICE_PATH_SIZE - 1);
        }
        (void)snprintf(names[i].to, DEVICE_PATH_SIZE, "%s", names[i].from);
    }
    return 0;
}

VerifierOptions identity_verifier_options(const TredConfig *config)
{
    return (VerifierOptions){
        .program = config->verifier,
        .profile = config->segw_profile,
        .crl_directory = config->revocation == REVOCATION_OFF ? NULL : config->crl_directory,
    };
}

/* `error` is the reader's own sentence, which it may have. */
static int file_unfit(Reason *reason, const char *path, int r, const char *error)
{
    if (r == -ENOMEM)
        return r;
    if (error[0] != '\0')
        return reason_set(reason, IDENTITY_UNPROVISIONED, "%s", error);
    return reason_set(reason, IDENTITY_UNPROVISIONED, "%s: %s", path, strerror(r < 0 ? -r : EIO));
}

static int chain_copy(const ChainFacts *facts, Identity *identity)
{
    for (size_t i = 0; i < facts->n_certificates; i++) {
        DerCertificate *der = &identity->certificates[i];

        der->size = facts->certificates[i].size;
        der->data = malloc(der->size + 1);
        if (!der->data)
            return -ENOMEM;
        memcpy(der->data, facts->certificates[i].data, der->size);
        identity->n_certificates++;
    }
    (void)snprintf(identity->fqdn, sizeof(identity->fqdn), "%s", facts->fqdn);
    identity->not_before = facts->not_before;
    identity->not_after = facts->not_after;
    identity->expires = facts->expires;
    return 0;
}

static int chain_unfit(Reason *reason, const TredConfig *config, int r, const char *error)
{
    const char *path = config->certificates;

    switch (r) {
    case -ENOKEY:
        return reason_set(
            reason, IDENTITY_UNPROVISIONED,
            "None of the certificates in %s is for the key in %s. Have that key's CSR "
            "signed and run "
            "tre-provision install-cert",
            path, config->key);
    case -ENOENT:
        return reason_set(
            reason, IDENTITY_UNPROVISIONED,
            "The device certificate in %s has no FQDN as dNSName in its subjectAltName. Have one "
            "issued that has (TS 33.310 6.1)",
            path);
    case -E2BIG:
        return reason_set(reason, IDENTITY_UNPROVISIONED,
                          "The device certificate's chain in %s is longer than %d certificates. "
                          "Have one issued nearer to its root",
                          path, FRAME_CHAIN_MAX);
    default:
        return file_unfit(reason, path, r, error);
    }
}

/* A clock that is wrong is commoner than a certificate that is: said, not judged. The SeGW decides.
 */
static void validity_check(const TredConfig *config, Identity *identity)
{
    const char *path = config->certificates;
    time_t now = time(NULL);

    if (identity->last_known > now)
        now = identity->last_known;
    identity->validity_problem.text[0] = '\0';
    if (identity->not_before > now) {
        reason_set(&identity->validity_problem, 0,
                   "%s is not valid yet by this machine's clock. Set the clock (timedatectl)",
                   path);
    } else if (identity->not_after < now) {
        reason_set(&identity->validity_problem, 0,
                   "%s has expired%s. Have a new certificate issued for the key%s", path,
                   now == identity->last_known ? " by the TPM's last-known time" : "",
                   now == identity->last_known ? "" : ", or set the clock");
    }
}

/* Why what was to be read, or read, was not. */
static int reading_unfit(const TredConfig *config, IdentityReading what, int r, const Reason *cause,
                         Reason *reason)
{
    switch (what) {
    case IDENTITY_READS_CHAIN:
        return chain_unfit(reason, config, r, cause->text);
    case IDENTITY_READS_ANCHORS:
        return file_unfit(reason, config->anchors, r, cause->text);
    default:
        return file_unfit(reason, config->verifier, r, cause->text);
    }
}

int identity_read_begin(const TredConfig *config, Identity *identity, IdentityReading what,
                        Bytes octets, Reason *reason)
{
    const VerifierOptions options = identity_verifier_options(config);
    const Bytes key = {identity->facts.key, identity->facts.key_size};
    Reason cause = {0};
    int r = 0;

    switch (what) {
    case IDENTITY_READS_PROFILE:
        r = verifier_begin(&options, &identity->verifier, &cause);
        break;
    case IDENTITY_READS_CHAIN:
        r = verifier_hand(identity->verifier, FRAME_CHAIN, octets, config->certificates, key,
                          &cause);
        break;
    case IDENTITY_READS_ANCHORS:
        r = verifier_hand(identity->verifier, FRAME_ANCHORS, octets, config->anchors, (Bytes){0},
                          &cause);
        break;
    case IDENTITY_READINGS:
        break;
    }
    return r == 0 ? 0 : reading_unfit(config, what, r, &cause, reason);
}

static int correction_read(const TredConfig *config, Identity *identity, Bytes bundle,
                           Reason *reason)
{
    Reason cause = {0};
    int r = time_correction_read(bundle, identity->fqdn, &identity->correction_days, &cause);

    return r < 0 ? reason_set(reason, IDENTITY_UNPROVISIONED, "%s: %s", config->anchors, cause.text)
                 : 0;
}

int identity_read_end(const TredConfig *config, Identity *identity, IdentityReading what,
                      Bytes octets, Reason *reason)
{
    Reason cause = {0};
    int r = verifier_take(identity->verifier, &cause);

    if (r != 0 && what == IDENTITY_READS_PROFILE)
        verifier_unref(steal_pointer(identity->verifier));
    if (r != 0)
        return reading_unfit(config, what, r, &cause, reason);
    if (what == IDENTITY_READS_CHAIN) {
        r = chain_copy(verifier_chain(identity->verifier), identity);
        if (r == 0)
            validity_check(config, identity);
    }
    if (what == IDENTITY_READS_ANCHORS)
        r = correction_read(config, identity, octets, reason);
    return r;
}

void identity_time_take(const TredConfig *config, Identity *identity)
{
    const DeviceFacts *facts = &identity->facts;

    /* Of anchors that the TPM does not guard the line is anybody's. */
    if (!facts->anchors_guarded)
        identity->correction_days = 0;
    identity->last_known =
        facts->last_known != 0
            ? facts->last_known - (time_t)identity->correction_days * SECONDS_PER_DAY
            : 0;
    if (identity->n_certificates > 0)
        validity_check(config, identity);
}
