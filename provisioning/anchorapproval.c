/* Approves of an anchor bundle with the operator's key, and writes the approval. */
#include "provisioning/anchorapproval.h"

#include "base/cleanup.h"
#include "base/reason.h"
#include "crypto/openssl.h"
#include "policy/encoding.h"
#include "provisioning/policyapproval.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <string.h>

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
