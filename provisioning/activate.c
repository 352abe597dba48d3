/* tre-provision activate: the device has its TPM open the challenge. */
#include "provisioning/command.h"

#include "base/reason.h"
#include "provisioning/proofcommand.h"
#include "provisioning/proofjson.h"
#include "provisioning/tpmopen.h"

#include <errno.h>
#include <string.h>

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
