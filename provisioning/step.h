/* Provisioning is a list of steps. Each knows whether its result is there and right, and how to
 * bring it about; so each can be run again, and a run that was killed is taken up where it ended.
 */
#pragma once

#include "policy/devicekey.h"
#include "provisioning/command.h"
#include "tpm/transport.h"

#include <openssl/x509.h>
#include <stdint.h>

enum { STEP_NOTE_SIZE = 256, STEPS_MAX = 16 };

/* One device in the middle of being provisioned. */
typedef struct Provision {
    const ProvisionOptions *options;
    int lock; /* of the state folder */
    Tpm *tpm;
    Tss2Key key_file;     /* what `key` was loaded from */
    DeviceKey *key;       /* loaded, or NULL until a step needs it */
    KeyPolicy *policy;    /* of that key; NULL without one */
    X509 *ek_certificate; /* found by the step check-tpm; NULL: there is none */
    bool tpm_checked;     /* tpm_profile_check() has found nothing missing */
} Provision;

typedef struct Step {
    const char *name;
    const char *summary;
    /* 1 if the result is there and right, 0 if it is to be made, -errno after a complaint if what
     * is there must not be touched. */
    int (*check)(Provision *provision, char *note);
    /* Makes it. 0, or -errno after a complaint. NULL for a step that only looks. */
    int (*act)(Provision *provision, char *note);
    /* False if the options leave this step out; NULL: never. */
    bool (*wanted)(const ProvisionOptions *options);
} Step;

typedef enum StepOutcome { STEP_SKIPPED, STEP_DONE, STEP_FAILED } StepOutcome;

typedef struct StepReport {
    const char *name;
    StepOutcome outcome;
    uint64_t nanoseconds;
    char note[STEP_NOTE_SIZE]; /* what is there now, in a few words */
} StepReport;

/* "skipped", "done" or "failed". */
const char *step_outcome_name(StepOutcome outcome);

/* Is there a step called `name`? 0, or -EINVAL after a complaint. */
int step_check(const char *name);

/* Opens the TPM and takes the state folder, which is made if it is absent. 0, or -errno after a
 * complaint. `meter` (or NULL) must outlive it. In any case provision_close() it. */
int provision_open(Provision *provision, const ProvisionOptions *options, TpmMeter *meter);
void provision_close(Provision *provision);

/* All steps that the options want, in order, up to the first that fails. `told` is called after
 * each one. 0, or -errno after a complaint. */
int provision_do_all(Provision *provision, void (*told)(const StepReport *report, void *user),
                     void *user);

/* The device key, loaded if it was not; for the steps that need it. 1 if it is there and of the
 * algorithm asked for, 0 if there is none, -errno after a complaint. */
int provision_key(Provision *provision);

/* Takes the device key out of the TPM again. */
void provision_key_release(Provision *provision);

/* The steps; see steps.c for their order. */
int step_tpm_check(Provision *provision, char *note);
int step_srk_check(Provision *provision, char *note);
int step_srk_make(Provision *provision, char *note);
int step_policy_check(Provision *provision, char *note);
int step_policy_install(Provision *provision, char *note);
int step_key_check(Provision *provision, char *note);
int step_key_make(Provision *provision, char *note);
int step_csr_check(Provision *provision, char *note);
int step_csr_make(Provision *provision, char *note);
int step_nv_index_check(Provision *provision, char *note);
int step_nv_index_make(Provision *provision, char *note);
int step_last_known_time_check(Provision *provision, char *note);
int step_last_known_time_make(Provision *provision, char *note);
int step_anchors_check(Provision *provision, char *note);
int step_anchors_install(Provision *provision, char *note);
int step_certificate_check(Provision *provision, char *note);
int step_certificate_issue(Provision *provision, char *note);
int step_lock_check(Provision *provision, char *note);
int step_lock_do(Provision *provision, char *note);
