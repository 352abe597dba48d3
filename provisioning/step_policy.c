/* The step "platform-policy": the vendor's policy key, and the platform states that it approved of,
 * stand beside the device key that they are for. */
#include "provisioning/step.h"

#include "base/file.h"
#include "base/reason.h"
#include "provisioning/pcrsignature_file.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { POLICY_FILE_MAX = 1024 * 1024 };

/* A file of the profile's, and its place in the state folder. */
typedef struct PolicyFile {
    const char *from; /* NULL: the profile names none */
    const char *name;
    bool states; /* JSON, which becomes a flat file on the device */
} PolicyFile;

enum { POLICY_FILES = 2 };

static void policy_files(const ProvisionOptions *options, PolicyFile ret[POLICY_FILES])
{
    ret[0] = (PolicyFile){options->profile->policy_key, STATE_POLICY_KEY, false};
    ret[1] = (PolicyFile){options->profile->pcr_signature, STATE_PCR_SIGNATURES, true};
}

static int states_take(const char *path, uint8_t **ret, size_t *ret_size)
{
    PcrSignatures *states = NULL;
    Reason reason = {"out of memory"};
    char *text = NULL;
    int r = pcr_signatures_json_read(path, &states, &reason);

    if (r == 0)
        r = pcr_signatures_encode(states, &text);
    free(states);
    if (r < 0 || !text) {
        complain("%s; the profile names it", reason.text);
        return r;
    }
    *ret = (uint8_t *)text;
    *ret_size = strlen(text);
    return 0;
}

/* What is to stand in the state folder. */
static int file_take(const PolicyFile *file, uint8_t **ret, size_t *ret_size)
{
    int r;

    if (file->states)
        return states_take(file->from, ret, ret_size);
    r = file_read(file->from, POLICY_FILE_MAX, ret, ret_size);
    if (r < 0)
        complain("%s can't be read: %s; the profile names it", file->from, strerror(-r));
    return r;
}

/* 1 if the file in the state folder has these octets, 0 if not, -errno after a complaint. */
static int file_is_there(const ProvisionOptions *options, const char *name, Bytes wanted)
{
    _cleanup_(free_charp) char *path = NULL;
    _cleanup_(free_bytesp) uint8_t *there = NULL;
    size_t size = 0;
    int r = state_path(options, name, &path);

    if (r < 0)
        return r;
    if (file_read(path, POLICY_FILE_MAX, &there, &size) < 0 ||
        !bytes_equal(wanted, (Bytes){there, size}))
        return 0;
    r = state_give(options, name);
    return r < 0 ? r : 1;
}

int step_policy_check(Provision *provision, char *note)
{
    const ProvisionOptions *options = provision->options;
    PolicyFile files[POLICY_FILES];

    (void)snprintf(note, STEP_NOTE_SIZE, "%s",
                   key_policy_kind_name((KeyPolicyKind)options->profile->key_policy));
    policy_files(options, files);
    for (size_t i = 0; i < POLICY_FILES; i++) {
        _cleanup_(free_bytesp) uint8_t *wanted = NULL;
        size_t size = 0;
        int r;

        if (!files[i].from)
            continue;
        r = file_take(&files[i], &wanted, &size);
        if (r == 0)
            r = file_is_there(options, files[i].name, (Bytes){wanted, size});
        if (r <= 0)
            return r;
    }
    return 1;
}

int step_policy_install(Provision *provision, char *note)
{
    const ProvisionOptions *options = provision->options;
    PolicyFile files[POLICY_FILES];
    int r = 0;

    (void)note;
    policy_files(options, files);
    for (size_t i = 0; r == 0 && i < POLICY_FILES; i++) {
        _cleanup_(free_bytesp) uint8_t *wanted = NULL;
        size_t size = 0;

        if (!files[i].from)
            continue;
        r = file_take(&files[i], &wanted, &size);
        if (r == 0)
            r = state_write(options, files[i].name, (Bytes){wanted, size}, 0644);
    }
    return r;
}
