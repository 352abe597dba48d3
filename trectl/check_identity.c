/* Would tred find its key, certificates, anchors and TPM? Asked with tred's own code, as its user.
 */
#include "trectl/check.h"

#include "base/cleanup.h"
#include "base/reason.h"
#include "crypto/secret.h"
#include "trectl/as_user.h"
#include "tred/identity.h"

#include <errno.h>
#include <string.h>

typedef struct IdentityCheck {
    Findings findings;
    const TredConfig *config;
    IdentityPart end; /* the first part that is left out */
} IdentityCheck;

static void part_check(IdentityCheck *check, IdentityPart part, Identity *identity)
{
    Reason reason = {0};
    const char *name = identity_part_name(part);
    int r = identity_load_part(check->config, part, identity, &reason);

    if (r < 0) {
        findings_add(&check->findings, FINDING_PROBLEM, name, "%s", strerror(-r));
    } else if (r > 0) {
        findings_add(&check->findings, FINDING_PROBLEM, name, "%s", reason.text);
    } else {
        findings_add(&check->findings, FINDING_OK, name, "%s",
                     part == IDENTITY_CERTIFICATES ? identity->fqdn : "found and fit");
    }
}

/* As tred reads them: each file by itself, so that all that are wrong are named. */
static void crls_try(IdentityCheck *check, Verifier *verifier, const CrlFiles *files)
{
    size_t n_good = 0;

    for (size_t i = 0; i < files->count; i++) {
        Reason reason = {0};
        int r = verifier_try_crl(verifier, files->files[i], &reason);

        n_good += r == 0;
        if (r != 0) {
            findings_add(&check->findings, FINDING_PROBLEM, "CRLs", "%s",
                         reason.text[0] != '\0' ? reason.text : strerror(-r));
        }
    }
    if (n_good == files->count)
        findings_add(&check->findings, FINDING_OK, "CRLs", "%zu file(s) can be read", n_good);
}

static void crls_check(IdentityCheck *check, Verifier *verifier)
{
    const CrlFiles none = {0};
    Reason problem = {0};
    CrlFiles files;

    if (check->config->revocation == REVOCATION_OFF || !verifier)
        return;
    if (crl_files_read(check->config->crl_directory, &none, true, 0, &files, &problem) < 0)
        (void)reason_set(&problem, 0, "%s", strerror(ENOMEM));
    if (problem.text[0] != '\0')
        findings_add(&check->findings, FINDING_PROBLEM, "CRLs", "%s", problem.text);
    else
        crls_try(check, verifier, &files);
    crl_files_deinit(&files);
}

static int identity_try(void *userdata)
{
    _cleanup_(identity_freep) Identity *identity = calloc(1, sizeof(*identity));
    IdentityCheck *check = userdata;

    if (!identity)
        return 1;
    if (check->end > IDENTITY_TPM && secrets_init() < 0) {
        findings_add(&check->findings, FINDING_PROBLEM, "memory",
                     "No memory can be locked for keys. Raise the limit (ulimit -l), and have "
                     "LimitMEMLOCK=infinity in tred's unit");
    }
    for (int part = 0; part < (int)check->end; part++)
        part_check(check, (IdentityPart)part, identity);
    if (time(NULL) < identity->last_known) {
        findings_add(&check->findings, FINDING_WARNING, "clock",
                     "Behind the TPM's last-known time, by which certificates are judged then. Set "
                     "the clock; if it is right, have the operator correct the last-known time "
                     "(tred-nv(7))");
    }
    if (check->end == IDENTITY_PARTS && identity->key && identity_development(identity)) {
        findings_add(&check->findings, FINDING_WARNING, "development", "%s",
                     identity_development(identity));
    }
    if (identity->validity_problem.text[0] != '\0') {
        findings_add(&check->findings, FINDING_PROBLEM, "clock", "%s",
                     identity->validity_problem.text);
    } else if (identity->n_certificates > 0) {
        findings_add(&check->findings, FINDING_OK, "clock",
                     "within the device certificate's validity");
    }
    crls_check(check, identity->verifier);
    return (int)check->findings.n_problems;
}

void check_identity(Findings *findings, const TredConfig *config, bool tpm_too)
{
    IdentityCheck check = {.config = config, .end = tpm_too ? IDENTITY_PARTS : IDENTITY_TPM};
    int r = as_user_run("tred", identity_try, &check);

    if (r < 0) {
        findings_add(findings, FINDING_PROBLEM, "identity",
                     "Can't be read as user tred: %s. Run trectl doctor as root",
                     r == -ENOENT ? "there is no such user" : "that takes root's rights");
    } else {
        findings->n_problems += (unsigned)r;
    }
}
