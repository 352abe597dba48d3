/* The step "device-key": a key that was stored is kept for as long as it is good; there is no
 * second one like it. */
#include "provisioning/step.h"

#include "policy/tpm_profile.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static int key_refuse_algorithm(const ProvisionOptions *options, const char *path,
                                TpmKeyAlgorithm found)
{
    complain("%s holds an %s key, not %s; '--force' replaces it, and the certificates made for it "
             "are then of no use",
             path, tpm_key_algorithm_name(found), tpm_key_algorithm_name(options->algorithm));
    return -EEXIST;
}

int provision_key(Provision *provision)
{
    const ProvisionOptions *options = provision->options;
    _cleanup_(device_key_freep) DeviceKey *key = NULL;
    _cleanup_(free_charp) char *path = NULL;
    char error[TPM_ERROR_SIZE] = "";
    Tss2Key file;
    int r;

    if (provision->key)
        return 1;
    r = state_path(options, STATE_KEY, &path);
    if (r < 0)
        return r;
    r = tss2key_read(path, &file, error);
    if (r == -ENOENT)
        return 0;
    if (r == 0)
        r = device_key_load(provision->tpm, &file, NULL, &key, error);
    if (r < 0) {
        complain("%s: %s", path, error);
        complain("the key was left as it is; '--force' replaces it, and the certificates made for "
                 "it are then of no use");
        return r;
    }
    if (options->algorithm_given && options->algorithm != device_key_algorithm(key))
        return key_refuse_algorithm(options, path, device_key_algorithm(key));
    provision->key = steal_pointer(key);
    return 1;
}

static void key_note(const Provision *provision, char *note)
{
    (void)snprintf(note, STEP_NOTE_SIZE, "%.150s/" STATE_KEY ", %s", provision->options->state_dir,
                   tpm_key_algorithm_name(device_key_algorithm(provision->key)));
}

int step_key_check(Provision *provision, char *note)
{
    int r;

    if (provision->options->force)
        return 0;
    r = provision_key(provision);
    if (r <= 0)
        return r;
    key_note(provision, note);
    r = state_give(provision->options, STATE_KEY);
    return r < 0 ? r : 1;
}

static int key_store(Provision *provision, const Tss2Key *file)
{
    _cleanup_(free_charp) char *pem = NULL;
    int r = tss2key_encode(file, &pem);

    if (r < 0) {
        complain("the device key can't be written as PEM: %s", strerror(-r));
        return r;
    }
    return state_write(provision->options, STATE_KEY, (Bytes){(const uint8_t *)pem, strlen(pem)},
                       0640);
}

int step_key_make(Provision *provision, char *note)
{
    const TpmKeyAlgorithm algorithm = provision->options->algorithm;
    _cleanup_(device_key_freep) DeviceKey *key = NULL;
    char error[TPM_ERROR_SIZE] = "";
    Tss2Key file;
    int r = 0;

    if (!provision->tpm_checked)
        r = tpm_profile_check(provision->tpm, algorithm, error);
    if (r == 0)
        r = device_key_create(provision->tpm, algorithm, NULL, &file, error);
    /* Loading tries it out: only a key that signs gets into the state folder. */
    if (r == 0)
        r = device_key_load(provision->tpm, &file, NULL, &key, error);
    if (r < 0) {
        complain("%s", error);
        return r;
    }
    r = key_store(provision, &file);
    if (r < 0)
        return r;
    device_key_free(provision->key); /* the one that --force has replaced */
    provision->key = steal_pointer(key);
    key_note(provision, note);
    return 0;
}
