/* tre-provision verify: does what is there fit together, and if not, what is to be done? */
#include "base/reason.h"
#include "provisioning/certificateflaw.h"
#include "provisioning/csr.h"
#include "provisioning/devicepolicy.h"
#include "provisioning/srkfit.h"
#include "provisioning/tpmopen.h"
#include "provisioning/verification.h"

#include "crypto/openssl.h"
#include "policy/devicekey.h"
#include "tpm/storagekey.h"
#include "verify/profile.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { SUBJECT_SIZE = 160 };

static void verification_free(Verification *verification)
{
    tpm_close(verification->tpm);
    device_files_deinit(&verification->files);
    free(verification);
}
DEFINE_POINTER_CLEANUP(Verification, verification_free);

void verification_fits(Verification *verification, const char *name, const char *what)
{
    item_field(inventory_add(&verification->inventory, name, "fits"), "found", "%s", what);
}

void verification_misfits(Verification *verification, const char *name, const char *remedy,
                          const char *format, ...)
{
    Item *item = inventory_add(&verification->inventory, name, "WRONG");
    char found[FIELD_SIZE];
    va_list arguments;

    va_start(arguments, format);
    (void)vsnprintf(found, sizeof(found), format, arguments);
    va_end(arguments);
    item_field(item, "found", "%s", found);
    if (remedy)
        item_field(item, "remedy", "%s", remedy);
    verification->flawed = true;
}

static void tpm_verify(Verification *verification)
{
    Reason reason = {0};
    int r = provision_tpm_open(verification->options->tcti, NULL, &verification->tpm, &reason);

    if (r == 0)
        r = tpm_facts_read(verification->tpm, &verification->facts, &reason);
    if (r < 0) {
        verification_misfits(verification, "tpm", NULL, "%s", reason.text);
        return;
    }
    verification_fits(verification, "tpm", "it answers");
    r = srk_fits(verification->tpm, &reason);
    verification->srk_good = r == 0;
    if (r < 0) {
        verification_misfits(verification, "storage-root-key", NULL, "%s", reason.text);
    } else {
        verification_fits(verification, "storage-root-key",
                          "it is a storage key that only this TPM can use");
    }
}

static void key_verify(Verification *verification)
{
    const DeviceFiles *files = &verification->files;
    _cleanup_(key_policy_freep) KeyPolicy *policy = NULL;
    _cleanup_(device_key_freep) DeviceKey *key = NULL;
    Reason reason = {0};

    if (files->key_r < 0) {
        verification_misfits(verification, "device-key", NULL, "%s", files->key_reason.text);
    } else if (!verification->tpm || !verification->srk_good) {
        verification_misfits(verification, "device-key", "mend that first",
                             "without the TPM and its storage root key it can't be tried");
    } else if (device_policy_read(verification->options, &files->key, &policy, &reason) < 0 ||
               device_key_load(verification->tpm, &files->key, policy, &key, &reason) < 0) {
        verification_misfits(verification, "device-key", NULL, "%s", reason.text);
    } else {
        verification_fits(
            verification, "device-key",
            policy && policy->kind != KEY_POLICY_NONE
                ? "it loads in this TPM, and signs under its policy"
                : "it loads in this TPM, and signs; IT IS UNDER NO POLICY (development only)");
    }
}

static void csr_verify(Verification *verification)
{
    const DeviceFiles *files = &verification->files;
    const char *flaw;

    if (files->key_r < 0)
        return; /* told already */
    if (files->csr_r == -ENOENT && files->certificates_r == 0)
        return; /* it has done its service */
    if (files->csr_r < 0) {
        verification_misfits(verification, "csr", "make one with 'tre-provision step csr'", "%s",
                             files->csr_reason.text);
        return;
    }
    flaw = csr_flaw((Bytes){files->csr, files->csr_size}, files->public_key,
                    verification->options->fqdn);
    if (flaw) {
        verification_misfits(verification, "csr",
                             "make it anew with 'tre-provision step csr --fqdn NAME'", "the CSR %s",
                             flaw);
    } else {
        verification_fits(verification, "csr", "it is for the device key, and signed by it");
    }
}

/* Is each certificate signed by the one after it? */
static bool chain_holds(STACK_OF(X509) *chain)
{
    for (int i = 0; i + 1 < sk_X509_num(chain); i++) {
        X509 *issuer = sk_X509_value(chain, i + 1);

        if (X509_check_issued(issuer, sk_X509_value(chain, i)) != X509_V_OK ||
            X509_verify(sk_X509_value(chain, i), X509_get0_pubkey(issuer)) != 1)
            return false;
    }
    return true;
}

static void certificate_verify(Verification *verification)
{
    static const char remedy[] = "have the CSR signed, and run 'tre-provision install-cert FILE'";
    const DeviceFiles *files = &verification->files;
    char subject[SUBJECT_SIZE] = "";
    const char *flaw;

    if (files->certificates_r < 0) {
        verification_misfits(verification, "certificate", remedy, "%s",
                             files->certificates_reason.text);
        return;
    }
    certificate_subject(sk_X509_value(files->certificates, 0), subject, sizeof(subject));
    flaw = device_certificate_flaw(sk_X509_value(files->certificates, 0), files->public_key,
                                   verification->options->fqdn);
    if (!flaw && !chain_holds(files->certificates))
        flaw = "is followed by certificates that are not its issuers'";
    if (flaw) {
        verification_misfits(verification, "certificate", remedy, "the certificate of %s %s",
                             subject, flaw);
    } else {
        verification_fits(verification, "certificate",
                          "it is for the device key and name, and valid");
    }
}

static void owner_auth_verify(Verification *verification)
{
    const ProvisionProfile *profile = verification->options->profile;

    if (!profile || profile->owner_auth != OWNER_AUTH_DISCARD || !verification->tpm)
        return;
    if (verification->facts.owner_auth_set) {
        verification_fits(verification, "owner-auth",
                          "the owner hierarchy has an authorization value");
    } else {
        verification_misfits(verification, "owner-auth",
                             "run 'tre-provision step lock --profile FILE'",
                             "root can own the TPM: the owner hierarchy's authValue is empty");
    }
}

int provision_verify(const ProvisionOptions *options)
{
    _cleanup_(verification_freep) Verification *verification = calloc(1, sizeof(*verification));
    int r;

    if (!verification)
        return -ENOMEM;
    verification->options = options;
    r = device_files_read(options, &verification->files);
    if (r < 0)
        return r;
    tpm_verify(verification);
    key_verify(verification);
    csr_verify(verification);
    certificate_verify(verification);
    verification_anchors(verification);
    verification_time(verification);
    owner_auth_verify(verification);
    if (!options->json) {
        inventory_print(&verification->inventory, stdout);
    } else if (inventory_print_json(&verification->inventory, stdout) < 0) {
        return -ENOMEM;
    }
    return verification->flawed ? -EINVAL : 0;
}
