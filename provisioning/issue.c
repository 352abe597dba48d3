/* tre-provision issue: the authority checks the device's answer, and certifies its key. */
#include "provisioning/command.h"

#include "base/reason.h"
#include "crypto/openssl.h"
#include "provisioning/proofcommand.h"
#include "provisioning/proofjson.h"

#include <errno.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <string.h>

/* All that a certificate is issued upon. */
typedef struct Evidence {
    ProofRequest *request;
    ProofPending pending;
    ProofResponse response;
} Evidence;

static void evidence_deinit(Evidence *evidence)
{
    proof_request_free(evidence->request);
    proof_response_deinit(&evidence->response);
}

static int message_decode(const char *path,
                          int (*decode)(Bytes text, Evidence *ret, Reason *reason), Evidence *ret)
{
    _cleanup_(free_bytesp) uint8_t *text = NULL;
    Reason reason = {"out of memory"};
    size_t size = 0;
    int r = message_read(path, &text, &size);

    if (r < 0)
        return r;
    r = decode((Bytes){text, size}, ret, &reason);
    OPENSSL_cleanse(text, size); /* a response has the secret */
    if (r < 0)
        complain("%s: %s", path, reason.text);
    return r;
}

static int request_take(Bytes text, Evidence *ret, Reason *reason)
{
    return proof_request_decode(text, &ret->request, reason);
}

static int pending_take(Bytes text, Evidence *ret, Reason *reason)
{
    return proof_pending_decode(text, &ret->pending, reason);
}

static int response_take(Bytes text, Evidence *ret, Reason *reason)
{
    return proof_response_decode(text, &ret->response, reason);
}

static int chain_print(const STACK_OF(X509) *chain)
{
    _cleanup_(BIO_free_allp) BIO *bio = BIO_new_fp(stdout, BIO_NOCLOSE);

    for (int i = 0; i < sk_X509_num(chain); i++) {
        if (!bio || PEM_write_bio_X509(bio, sk_X509_value(chain, i)) != 1) {
            complain("the certificate can't be written to standard output");
            return -EIO;
        }
    }
    return message_print("");
}

static int evidence_read(const ProvisionOptions *options, const char *pending, Evidence *ret)
{
    int r;

    r = message_decode(options->files[0], request_take, ret);
    if (r == 0)
        r = message_decode(pending, pending_take, ret);
    if (r == 0)
        r = message_decode(options->files[1], response_take, ret);
    return r;
}

static int certificate_issue(const ProvisionOptions *options, const Evidence *evidence,
                             STACK_OF(X509) **ret)
{
    const ProofOptions *proof = &options->proof;
    _cleanup_(authority_freep) Authority *authority = NULL;
    Reason reason = {0};
    int r;

    r = authority_read(proof->ca_certificate, proof->ca_key, &authority, &reason);
    if (r < 0) {
        complain("%s", reason.text);
        return r;
    }
    r = proof_issue(evidence->request, &evidence->pending, &evidence->response, authority,
                    proof->days ? proof->days : AUTHORITY_DAYS_DEFAULT, ret, &reason);
    if (r < 0)
        complain("%s: %s", options->file, reason.text);
    return r;
}

int provision_issue(const ProvisionOptions *options)
{
    _cleanup_(certificates_freep) STACK_OF(X509) *chain = NULL;
    _cleanup_(evidence_deinit) Evidence evidence = {0};
    _cleanup_(free_charp) char *pending = NULL;
    int r;

    r = secrets_ready();
    if (r == 0)
        r = pending_path(options->proof.pending, options->files[0], &pending);
    if (r == 0)
        r = evidence_read(options, pending, &evidence);
    if (r == 0)
        r = certificate_issue(options, &evidence, &chain);
    if (r == 0)
        r = chain_print(chain);
    /* A challenge is answered once. */
    if (r == 0 && unlink(pending) < 0)
        complain("warning: %s can't be removed: %s", pending, strerror(errno));
    return r;
}
