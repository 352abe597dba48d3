/* What tre-provision's subcommands share: the options, the files of the state folder, and how they
 * speak. */
#pragma once

#include "base/bytes.h"
#include "policy/tpm.h"

#include <stdbool.h>
#include <sys/types.h>

#define PROVISION_TCTI "device:/dev/tpmrm0"
#define PROVISION_STATE_DIR "/var/lib/tred"
#define PROVISION_OWNER "tred"

typedef struct ProvisionOptions {
    const char *tcti;
    const char *state_dir;
    uid_t owner; /* (uid_t)-1: files keep the caller as their owner */
    gid_t group; /* likewise */
    const char *fqdn;
    TpmKeyAlgorithm algorithm;
    bool algorithm_given;
    bool force;
    const char *file; /* of install-cert and install-anchors */
} ProvisionOptions;

/* Each does its whole work and has told the person about it. Returns 0, or -errno after a
 * complaint. */
int provision_init(const ProvisionOptions *options);
int provision_install_cert(const ProvisionOptions *options);
int provision_install_anchors(const ProvisionOptions *options);

/* The files of the state folder, as tred's configuration names them by default. */
#define STATE_KEY "device.pem"
#define STATE_CSR "device.csr"
#define STATE_CERTIFICATES "device.crt"
#define STATE_ANCHORS "segw-anchors.pem"

/* The path of `name` in the state folder; *ret is the caller's to free(). 0 or -ENOMEM. */
int state_path(const ProvisionOptions *options, const char *name, char **ret);

/* Makes the state folder, if it is absent, with mode 0750. 0 or -errno after a complaint. */
int state_dir_make(const ProvisionOptions *options);

/* Puts a file into the state folder: whole, with its owner and mode, or not at all. 0 or -errno
 * after a complaint. */
int state_write(const ProvisionOptions *options, const char *name, Bytes bytes, mode_t mode);

/* Gives a file of the state folder to its owner: it may have been made before that user was. 0 or
 * -errno after a complaint. */
int state_give(const ProvisionOptions *options, const char *name);

/* "tre-provision: …" on standard error. */
void complain(const char *format, ...) __attribute__((format(printf, 1, 2)));
