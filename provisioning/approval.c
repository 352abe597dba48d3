/* Approves of policies and anchor bundles with private keys that no device has, the vendor's or the
 * operator's; and tre-provision sign-anchors. */
#include "provisioning/approval.h"

#include "base/cleanup.h"
#include "base/file.h"
#include "base/file_write.h"
#include "base/reason.h"
#include "base/timecorrection.h"
#include "crypto/openssl.h"
#include "policy/anchorbundle.h"
#include "policy/encoding.h"
#include "provisioning/certificatefile.h"
#include "provisioning/command.h"
#include "verify/anchors.h"
#include "verify/certificates.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <string.h>

int policy_key_approve(const PolicyKey *key, const PolicyDigest *approved, Bytes policy_ref,
                       uint8_t *ret, size_t *ret_size)
{
    _cleanup_(EVP_MD_CTX_freep) EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    uint8_t buffer[POLICY_APPROVAL_MESSAGE_MAX];
    Bytes message;

    *ret_size = POLICY_SIGNATURE_MAX;
    if (policy_approval_message(approved, policy_ref, buffer, &message) < 0)
        return -EINVAL;
    if (!ctx || EVP_DigestSignInit_ex(ctx, NULL, "SHA256", NULL, NULL, key->pkey, NULL) != 1 ||
        EVP_DigestSign(ctx, ret, ret_size, message.data, message.size) != 1) {
        ERR_clear_error();
        return -EIO;
    }
    return 0;
}

/* Approves of a write with the operator's private key. 0, -EINVAL or -EIO. */
static int anchor_guard_approve(const PolicyKey *operator_key, AnchorWrite write,
                                const AnchorRecord *record, AnchorSignature *ret)
{
    PolicyDigest policy;
    int r = anchor_guard_policy(operator_key, write, record, &policy);

    return r < 0 ? r
                 : policy_key_approve(
                       operator_key, &policy,
                       (Bytes){(const uint8_t *)ANCHOR_POLICY_REF, strlen(ANCHOR_POLICY_REF)},
                       ret->octets, &ret->size);
}

enum { KEY_PEM_MAX = 1024 };

/* What a file holds of the operator's key: the public half, whatever `key` has. */
static int key_encode(const PolicyKey *key, char *ret)
{
    _cleanup_(BIO_free_allp) BIO *bio = BIO_new(BIO_s_mem());
    char *text = NULL;
    long size;

    if (!bio || PEM_write_bio_PUBKEY(bio, key->pkey) != 1) {
        ERR_clear_error();
        return -EIO;
    }
    size = BIO_get_mem_data(bio, &text);
    if (size <= 0 || size >= KEY_PEM_MAX)
        return -EIO;
    memcpy(ret, text, (size_t)size);
    ret[size] = '\0';
    return 0;
}

static int key_copy_public(const PolicyKey *key, PolicyKey *ret)
{
    Reason reason = {0};
    char pem[KEY_PEM_MAX];

    if (key_encode(key, pem) < 0)
        return -EIO;
    return policy_key_decode((Bytes){(const uint8_t *)pem, strlen(pem)}, "the operator's key",
                             false, ret, &reason);
}

int anchor_approval_make(const PolicyKey *operator_key, Bytes bundle, uint64_t version, bool first,
                         AnchorApproval *ret)
{
    _cleanup_(anchor_approval_deinit) AnchorApproval approval = {0};
    int r;

    if (version == 0 || version > ANCHOR_VERSION_MAX)
        return -EINVAL;
    r = anchor_record_make(bundle, version, &approval.record);
    if (r == 0)
        r = key_copy_public(operator_key, &approval.operator_key);
    for (int write = 0; r == 0 && write < ANCHOR_WRITES; write++) {
        if (write != ANCHOR_WRITE_FIRST || first) {
            r = anchor_guard_approve(operator_key, (AnchorWrite)write, &approval.record,
                                     &approval.signatures[write]);
        }
    }
    if (r < 0)
        return r;
    *ret = approval;
    approval.operator_key.pkey = NULL; /* now the caller's */
    return 0;
}

static void signature_put(FILE *file, const char *name, const AnchorSignature *signature)
{
    char text[2 * POLICY_SIGNATURE_MAX + 1];

    if (signature->size == 0)
        return;
    hex_encode((Bytes){signature->octets, signature->size}, text);
    (void)fprintf(file, "%s %s\n", name, text);
}

int anchor_approval_encode(const AnchorApproval *approval, char **ret)
{
    char key[KEY_PEM_MAX], digest[2 * ANCHOR_DIGEST_SIZE + 1];
    char *text = NULL;
    size_t size = 0;
    FILE *file;

    if (key_encode(&approval->operator_key, key) < 0)
        return -EIO;
    file = open_memstream(&text, &size);
    if (!file)
        return -ENOMEM;
    hex_encode(BYTES_OF(approval->record.digest), digest);
    (void)fprintf(file, "version %llu\nsha256 %s\n", (unsigned long long)approval->record.version,
                  digest);
    signature_put(file, "first", &approval->signatures[ANCHOR_WRITE_FIRST]);
    signature_put(file, "update", &approval->signatures[ANCHOR_WRITE_UPDATE]);
    (void)fputs(key, file);
    if (ferror(file) != 0 || fclose(file) != 0) {
        free(text);
        return -ENOMEM;
    }
    *ret = text;
    return 0;
}

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
