/* What tre-provision's subcommands share: the options, the files of the state folder, and how they
 * speak. */
#pragma once

#include "base/bytes.h"
#include "provisioning/profile.h"
#include "tpm/tpm.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <systemd/sd-bus.h>

#define PROVISION_TCTI "device:/dev/tpmrm0"
#define PROVISION_STATE_DIR "/var/lib/tred"
#define PROVISION_OWNER "tred"

/* Options of request, challenge, activate and issue; NULL or 0 where they are not given. */
typedef struct ProofOptions {
    const char *ek_anchors;
    const char *policy_digest;
    const char *policy_key;
    const char *pending;
    const char *ca_certificate;
    const char *ca_key;
    unsigned days;
} ProofOptions;

typedef struct ProvisionOptions {
    const char *tcti;
    const char *state_dir;
    uid_t owner;        /* (uid_t)-1: files keep the caller as their owner */
    gid_t group;        /* likewise */
    const char *serial; /* the device's, or NULL */
    const char *fqdn;
    TpmKeyAlgorithm algorithm;
    bool algorithm_given;
    bool force;
    const ProvisionProfile *profile; /* NULL without --profile */
    const struct Roster *roster;     /* the other devices of a line; NULL elsewhere */
    bool json;
    unsigned jobs;            /* of line: devices at once */
    const char *output;       /* of line and export: a file, or NULL for standard output */
    const char *format;       /* of line and export: of the list for the SeGW, or NULL */
    const char *list;         /* of line: where that list goes, or NULL */
    const char *key;          /* of sign-policy and sign-anchors: the private policy key */
    uint64_t anchors_version; /* of sign-anchors */
    bool first;               /* of sign-anchors: approve of a first bundle as well */
    uint32_t pcrs;            /* of read-pcrs */
    TPM2_ALG_ID bank;         /* of read-pcrs */
    ProofOptions proof;
    const char *file;         /* the first argument of the command, or NULL */
    const char *const *files; /* all of them */
    unsigned n_files;
} ProvisionOptions;

/* Each does its whole work and has told the person about it. Returns 0, or -errno after a
 * complaint. */
int provision_init(const ProvisionOptions *options);
int provision_install_cert(const ProvisionOptions *options);
int provision_install_anchors(const ProvisionOptions *options);
int provision_sign_anchors(const ProvisionOptions *options);
int provision_run(const ProvisionOptions *options);
int provision_step(const ProvisionOptions *options);
int provision_status(const ProvisionOptions *options);
int provision_verify(const ProvisionOptions *options);
int provision_read_pcrs(const ProvisionOptions *options);
int provision_sign_policy(const ProvisionOptions *options);
int provision_install_policy(const ProvisionOptions *options);
int provision_request(const ProvisionOptions *options);
int provision_challenge(const ProvisionOptions *options);
int provision_activate(const ProvisionOptions *options);
int provision_issue(const ProvisionOptions *options);
int provision_line(const ProvisionOptions *options);
int provision_export(const ProvisionOptions *options);

/* The files of the state folder, as tred's configuration names them by default. */
#define STATE_KEY "device.pem"
#define STATE_CSR "device.csr"
#define STATE_CERTIFICATES "device.crt"
#define STATE_SRK_NAME "srk.name"
#define STATE_ANCHORS "segw-anchors.pem"
#define STATE_POLICY_KEY "policy-key.pem"
#define STATE_PCR_SIGNATURES "pcr-signatures"

/* The path of `name` in the state folder; *ret is the caller's to free(). 0 or -ENOMEM. */
int state_path(const ProvisionOptions *options, const char *name, char **ret);

/* Makes the state folder, if it is absent, with mode 0770; it is its owner's and on disk
 * afterwards. 0 or -errno after a complaint. */
int state_dir_make(const ProvisionOptions *options);

/* Keeps every other tre-provision out of the state folder, until *ret is closed (or this process
 * ends, however), and takes away the half-written files of one that was killed. 0, or -errno after
 * a complaint; -EBUSY if another is at work there. */
int state_lock(const ProvisionOptions *options, int *ret);

/* The name beside its own that a file has until it is whole. */
#define STATE_BESIDE ".new"

/* Puts a file into the state folder: whole, on disk, with its owner and mode, or not at all. 0 or
 * -errno after a complaint. */
int state_write(const ProvisionOptions *options, const char *name, Bytes bytes, mode_t mode);

/* Gives a file of the state folder to its owner: it may have been made before that user was. 0 or
 * -errno after a complaint. */
int state_give(const ProvisionOptions *options, const char *name);

/* tred, while it runs: it has the TPM, so that what it guards goes through it. */
/* Finds tred on the system bus without starting it. 1 with *ret, which is the caller's to
 * sd_bus_flush_close_unref(); 0 if it does not run, or there is no bus. */
int tred_find(sd_bus **ret);

/* The Manager's method InstallAnchors. 0 with the bundle's version, or -errno after a complaint. */
int tred_install_anchors(sd_bus *bus, Bytes bundle, Bytes approval, uint64_t *ret_version);

/* Has a tred that runs read its files again, and tells the person what it says then; one that does
 * not run is left alone. 0, or -errno after a complaint. */
int tred_reload(void);

/* "tre-provision: …" on standard error, one line without control characters. */
void complain(const char *format, ...) __attribute__((format(printf, 1, 2)));
