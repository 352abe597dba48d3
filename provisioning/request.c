/* tre-provision request: the device says which TPM and which key it has. */
#include "provisioning/command.h"

#include "base/file.h"
#include "base/reason.h"
#include "provisioning/csr.h"
#include "provisioning/proofcommand.h"
#include "provisioning/proofjson.h"
#include "provisioning/tpmopen.h"

#include <errno.h>
#include <string.h>

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
