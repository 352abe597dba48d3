/* tre-provision sign-anchors: the operator approves of a bundle. No TPM is needed. */
#include "provisioning/command.h"

#include "base/cleanup.h"
#include "base/file.h"
#include "base/reason.h"
#include "policy/anchorinstall.h"
#include "policy/encoding.h"
#include "policy/timecorrection.h"
#include "provisioning/anchorapproval.h"
#include "provisioning/certificatefile.h"
#include "verify/anchors.h"
#include "verify/certificates.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { FILE_MODE = 0644 };

static int bundle_read(const char *path, uint8_t **ret, size_t *ret_size)
{
    _cleanup_(certificates_freep) STACK_OF(X509) *certificates = NULL;
    Reason reason = {"out of memory"};
    unsigned corrections = 0;
    int r = file_read(path, ANCHOR_BUNDLE_SIZE_MAX, ret, ret_size);

    if (r < 0) {
        complain("%s can't be read: %s", path, strerror(-r));
        return r;
    }
    r = anchors_decode((Bytes){*ret, *ret_size}, path, &certificates, &reason);
    if (r < 0) {
        complain("%s; nothing was signed", reason.text);
        return r;
    }
    r = time_correction_read((Bytes){*ret, *ret_size}, NULL, &corrections, &reason);
    if (r < 0) {
        complain("%s: %s; nothing was signed", path, reason.text);
        return r;
    }
    if (corrections > 0)
        (void)printf("%-18s %u, of devices' last-known times\n", "corrections", corrections);
    for (int i = 0; i < sk_X509_num(certificates); i++) {
        certificate_print("anchor", sk_X509_value(certificates, i));
        validity_warn(sk_X509_value(certificates, i));
    }
    return 0;
}

static int approval_write(const char *bundle, const AnchorApproval *approval)
{
    _cleanup_(free_charp) char *text = NULL;
    _cleanup_(free_charp) char *path = NULL;
    int r = anchor_approval_encode(approval, &text);

    if (r == 0 && asprintf(&path, "%s" ANCHOR_APPROVAL_SUFFIX, bundle) < 0) {
        path = NULL;
        r = -ENOMEM;
    }
    if (r == 0)
        r = file_write_atomic(path, (Bytes){(const uint8_t *)text, strlen(text)}, FILE_MODE);
    if (r < 0) {
        complain("%s" ANCHOR_APPROVAL_SUFFIX " can't be written: %s", bundle, strerror(-r));
        return r;
    }
    (void)printf("%-18s %s\n", "approval", path);
    return 0;
}

static void approval_print(const AnchorApproval *approval)
{
    char text[2 * ANCHOR_DIGEST_SIZE + 1];

    (void)printf("%-18s %llu\n", "version", (unsigned long long)approval->record.version);
    hex_encode(BYTES_OF(approval->record.digest), text);
    (void)printf("%-18s %s\n", "SHA-256", text);
    hex_encode(BYTES_OF(approval->operator_key.fingerprint), text);
    (void)printf("%-18s %s\n", "signed by", text);
    (void)printf("%-18s %s\n", "good for",
                 approval->signatures[ANCHOR_WRITE_FIRST].size > 0
                     ? "devices with an older version, and those that have none yet"
                     : "devices with an older version");
}

int provision_sign_anchors(const ProvisionOptions *options)
{
    _cleanup_(anchor_approval_deinit) AnchorApproval approval = {0};
    _cleanup_(policy_key_deinit) PolicyKey operator_key = {0};
    _cleanup_(free_bytesp) uint8_t *bundle = NULL;
    Reason reason = {"out of memory"};
    size_t size = 0;
    int r;

    r = policy_key_read(options->key, true, &operator_key, &reason);
    if (r < 0) {
        complain("%s", reason.text);
        return r;
    }
    r = bundle_read(options->file, &bundle, &size);
    if (r < 0)
        return r;
    r = anchor_approval_make(&operator_key, (Bytes){bundle, size}, options->anchors_version,
                             options->first, &approval);
    if (r < 0) {
        complain("OpenSSL can't sign with the key in %s", options->key);
        return r;
    }
    r = approval_write(options->file, &approval);
    if (r == 0)
        approval_print(&approval);
    return r;
}
