/* tre-provision request and activate, the device's part of the proof; and what they share with the
 * authority's part. */
#include "provisioning/proofcommand.h"

#include "base/file.h"
#include "base/reason.h"
#include "provisioning/command.h"
#include "provisioning/csr.h"
#include "provisioning/devicetpm.h"
#include "provisioning/proofjson.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

int message_read(const char *path, uint8_t **ret, size_t *ret_size)
{
    int r = file_read(path, PROOF_JSON_MAX, ret, ret_size);

    if (r == -EFBIG) {
        complain("%s is larger than %d octets; no message of the proof is", path, PROOF_JSON_MAX);
    } else if (r < 0) {
        complain("%s can't be read: %s", path, strerror(-r));
    }
    return r;
}

int message_print(const char *text)
{
    if (fputs(text, stdout) != EOF && fflush(stdout) == 0)
        return 0;
    complain("standard output can't be written: %s", strerror(errno));
    return -EIO;
}

int secrets_ready(void)
{
    Reason reason = {0};
    int r = secrets_prepare(&reason);

    if (r < 0)
        complain("%s", reason.text);
    return r;
}

int pending_path(const char *given, const char *request, char **ret)
{
    if (asprintf(ret, "%s%s", given ? given : request, given ? "" : ".pending") >= 0)
        return 0;
    *ret = NULL;
    complain("out of memory");
    return -ENOMEM;
}

/* The device's files. *ret_csr is the caller's to free(). */
static int files_read(const ProvisionOptions *options, Tss2Key *ret_key, uint8_t **ret_csr)
{
    _cleanup_(free_charp) char *key_path = NULL;
    _cleanup_(free_charp) char *csr_path = NULL;
    Reason reason = {0};
    size_t size = 0;
    int r;

    r = state_path(options, STATE_KEY, &key_path);
    if (r == 0)
        r = state_path(options, STATE_CSR, &csr_path);
    if (r < 0)
        return r;
    r = tss2key_read(key_path, ret_key, &reason);
    if (r < 0) {
        complain("%s: %s", key_path,
                 r == -ENOENT ? "there is no device key; run 'tre-provision "
                                "init'"
                              : reason.text);
        return r;
    }
    r = file_read(csr_path, CSR_SIZE_MAX, ret_csr, &size);
    if (r < 0)
        complain("%s can't be read: %s; run 'tre-provision init'", csr_path, strerror(-r));
    return r;
}

static int request_make(const ProvisionOptions *options, const Tss2Key *key, const char *csr,
                        ProofRequest **ret)
{
    _cleanup_(tpm_closep) Tpm *tpm = NULL;
    Reason reason = {0};
    int r;

    r = provision_tpm_open(options->tcti, NULL, &tpm, &reason);
    if (r == 0) {
        r = proof_request_new(tpm, key, csr, options->fqdn, options->serial ? options->serial : "",
                              ret, &reason);
    }
    if (r < 0)
        complain("%s", reason.text);
    return r;
}

int provision_request(const ProvisionOptions *options)
{
    _cleanup_(proof_request_freep) ProofRequest *request = NULL;
    _cleanup_(free_bytesp) uint8_t *csr = NULL;
    _cleanup_(free_charp) char *text = NULL;
    Tss2Key key;
    int r;

    r = files_read(options, &key, &csr);
    if (r == 0)
        r = request_make(options, &key, (const char *)csr, &request);
    if (r < 0)
        return r;
    r = proof_request_encode(request, &text);
    if (r < 0) {
        complain("the request can't be written as JSON: %s", strerror(-r));
        return r;
    }
    return message_print(text);
}

static int challenge_read(const char *path, ProofChallenge *ret)
{
    _cleanup_(free_bytesp) uint8_t *text = NULL;
    Reason reason = {"out of memory"};
    size_t size = 0;
    int r = message_read(path, &text, &size);

    if (r < 0)
        return r;
    r = proof_challenge_decode((Bytes){text, size}, ret, &reason);
    if (r < 0) {
        complain("%s: %s; have the authority make it again with 'tre-provision challenge'", path,
                 reason.text);
    }
    return r;
}

static int key_read(const ProvisionOptions *options, Tss2Key *ret)
{
    _cleanup_(free_charp) char *path = NULL;
    Reason reason = {0};
    int r = state_path(options, STATE_KEY, &path);

    if (r < 0)
        return r;
    r = tss2key_read(path, ret, &reason);
    if (r < 0)
        complain("%s: %s", path, reason.text);
    return r;
}

int provision_activate(const ProvisionOptions *options)
{
    _cleanup_(tpm_closep) Tpm *tpm = NULL;
    _cleanup_(proof_response_deinit) ProofResponse response = {0};
    _cleanup_(free_charp) char *text = NULL;
    Reason reason = {0};
    ProofChallenge challenge;
    Tss2Key key;
    int r;

    r = secrets_ready();
    if (r == 0)
        r = challenge_read(options->file, &challenge);
    if (r == 0)
        r = key_read(options, &key);
    if (r < 0)
        return r;
    r = provision_tpm_open(options->tcti, NULL, &tpm, &reason);
    if (r == 0)
        r = proof_activate(tpm, &key, &challenge, &response, &reason);
    if (r < 0) {
        complain("%s", reason.text);
        return r;
    }
    r = proof_response_encode(&response, &text);
    if (r < 0) {
        complain("the response can't be written as JSON: %s", strerror(-r));
        return r;
    }
    return message_print(text);
}
