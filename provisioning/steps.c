/* The steps that make a device, in their order, and the commands run, step and init, which do those
 * that are still to be done with a line for each. */
#include "base/fqdn.h"
#include "base/reason.h"
#include "base/signals.h"
#include "provisioning/devicetpm.h"
#include "provisioning/step.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static bool policy_wanted(const ProvisionOptions *options)
{
    return options->profile && options->profile->key_policy != KEY_POLICY_NONE;
}

static bool anchors_wanted(const ProvisionOptions *options)
{
    return options->profile && options->profile->anchors;
}

static bool guard_wanted(const ProvisionOptions *options)
{
    return options->profile && options->profile->operator_key;
}

static bool certificate_wanted(const ProvisionOptions *options)
{
    return options->profile && options->profile->ca_key;
}

static bool lock_wanted(const ProvisionOptions *options)
{
    return options->profile && options->profile->owner_auth == OWNER_AUTH_DISCARD;
}

/* The order is one of needs: each step finds what it uses, and "lock" takes away what all of the
 * others but "check-tpm" write with. */
static const Step all_steps[] = {
    {"check-tpm", "the TPM has what a device needs", step_tpm_check},
    {"storage-root-key", "the storage root key at 0x81000001", step_srk_check, step_srk_make},
    {"platform-policy", "the vendor's policy key, and the platform states it approved of",
     step_policy_check, step_policy_install, policy_wanted},
    {"device-key", "the device key, under its policy", step_key_check, step_key_make},
    {"csr", "the certificate signing request", step_csr_check, step_csr_make},
    {"nv-index", "the TPM's guard of the SeGW's root certificates", step_nv_index_check,
     step_nv_index_make, guard_wanted},
    {"last-known-time", "a time that never steps back, in the TPM", step_last_known_time_check,
     step_last_known_time_make, guard_wanted},
    {"anchors", "the SeGW's root certificates", step_anchors_check, step_anchors_install,
     anchors_wanted},
    {"certificate", "the device's certificate, from the station's authority",
     step_certificate_check, step_certificate_issue, certificate_wanted},
    {"lock", "nobody owns the TPM's owner hierarchy", step_lock_check, step_lock_do, lock_wanted},
};

_Static_assert(ELEMENTS(all_steps) <= STEPS_MAX, "STEPS_MAX is too small");

const char *step_outcome_name(StepOutcome outcome)
{
    static const char *const names[] = {
        [STEP_SKIPPED] = "skipped",
        [STEP_DONE] = "done",
        [STEP_FAILED] = "failed",
    };

    return names[outcome];
}

/* The step called `name`, or NULL. */
static const Step *step_find(const char *name)
{
    for (size_t i = 0; i < ELEMENTS(all_steps); i++) {
        if (strcmp(all_steps[i].name, name) == 0)
            return &all_steps[i];
    }
    return NULL;
}

/* The names of all, with blanks between, for messages. */
static const char *step_names(char *ret, size_t size)
{
    size_t length = 0;

    ret[0] = '\0';
    for (size_t i = 0; i < ELEMENTS(all_steps) && length < size; i++) {
        int n = snprintf(ret + length, size - length, "%s%s", i > 0 ? " " : "", all_steps[i].name);

        length += n > 0 ? (size_t)n : 0;
    }
    return ret;
}

int provision_open(Provision *provision, const ProvisionOptions *options, TpmMeter *meter)
{
    Reason reason = {0};
    int r;

    *provision = (Provision){.options = options, .lock = -1};
    r = state_dir_make(options);
    if (r == 0)
        r = state_lock(options, &provision->lock);
    if (r < 0)
        return r;
    r = provision_tpm_open(options->tcti, meter, &provision->tpm, &reason);
    if (r == 0)
        r = tpm_leftovers_flush(provision->tpm, &reason);
    if (r < 0)
        complain("%s", reason.text);
    return r;
}

void provision_close(Provision *provision)
{
    provision_key_release(provision); /* before the TPM that it is used with */
    X509_free(provision->ek_certificate);
    tpm_close(provision->tpm);
    close_fdp(&provision->lock);
    *provision = (Provision){.lock = -1};
}

static uint64_t now(void)
{
    struct timespec time;

    (void)clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec;
}

/* One step; `report` tells how it went. 0, or -errno after a complaint. */
static int do_step(Provision *provision, const Step *step, StepReport *report)
{
    const uint64_t begun = now();
    int r;

    *report = (StepReport){.name = step->name, .outcome = STEP_FAILED};
    r = step->check(provision, report->note);
    if (r > 0) {
        report->outcome = step->act ? STEP_SKIPPED : STEP_DONE;
        r = 0;
    } else if (r == 0) {
        r = step->act(provision, report->note);
        if (r == 0)
            report->outcome = STEP_DONE;
    }
    report->nanoseconds = now() - begun;
    return r;
}

int provision_do_all(Provision *provision, void (*told)(const StepReport *report, void *user),
                     void *user)
{
    for (size_t i = 0; i < ELEMENTS(all_steps); i++) {
        StepReport report;
        int r;

        if (all_steps[i].wanted && !all_steps[i].wanted(provision->options))
            continue;
        if (signals_waiting())
            return -EINTR;
        r = do_step(provision, &all_steps[i], &report);
        told(&report, user);
        if (r < 0)
            return r;
    }
    return 0;
}

static void report_print(const StepReport *report, void *user)
{
    (void)user;
    (void)printf("%-18s %-8s %8.1f ms  %s\n", report->name, step_outcome_name(report->outcome),
                 (double)report->nanoseconds / 1e6, report->note);
    (void)fflush(stdout);
}

/* 0, or -EINVAL after a complaint. */
static int fqdn_check(const char *fqdn)
{
    if (fqdn_is_valid(fqdn, strlen(fqdn)))
        return 0;
    complain("'%s' is not an FQDN: labels of letters, digits and hyphens, with dots between (an "
             "internationalized name in its xn-- form)",
             fqdn);
    return -EINVAL;
}

int provision_run(const ProvisionOptions *options)
{
    Provision provision;
    int r;

    if (!options->fqdn) {
        complain("the device has no name: give --fqdn, or fqdn in the profile's [device]");
        return -EINVAL;
    }
    r = fqdn_check(options->fqdn);
    if (r < 0)
        return r;
    r = provision_open(&provision, options, NULL);
    if (r == 0) {
        r = provision_do_all(&provision, report_print, NULL);
        if (r < 0)
            complain("what was done stays as it is; the next run goes on from there");
    }
    provision_close(&provision);
    return r;
}

/* One step after another by name, for those that do a part only. */
static int steps_do(const ProvisionOptions *options, const Step *const *steps, size_t count)
{
    Provision provision;
    int r = provision_open(&provision, options, NULL);

    for (size_t i = 0; r == 0 && i < count; i++) {
        StepReport report;

        if (signals_waiting()) {
            r = -EINTR;
            break;
        }
        r = do_step(&provision, steps[i], &report);
        report_print(&report, NULL);
    }
    provision_close(&provision);
    return r;
}

int step_check(const char *name)
{
    char names[512];

    if (step_find(name))
        return 0;
    complain("there is no step '%s'; the steps are: %s", name, step_names(names, sizeof(names)));
    return -EINVAL;
}

int provision_step(const ProvisionOptions *options)
{
    const Step *step = step_find(options->file); /* it is there: step_check() */

    if (step->wanted && !step->wanted(options)) {
        complain("the step '%s' needs what a profile says, and %s does not say it: see "
                 "tre-provision-profile(5)",
                 step->name, options->profile ? "this one" : "there is none (--profile)");
        return -EINVAL;
    }
    if (strcmp(step->name, "csr") == 0) {
        if (!options->fqdn) {
            complain("the CSR needs the device's name: give --fqdn");
            return -EINVAL;
        }
        if (fqdn_check(options->fqdn) < 0)
            return -EINVAL;
    }
    return steps_do(options, &step, 1);
}

int provision_init(const ProvisionOptions *options)
{
    const Step *const steps[] = {
        step_find("storage-root-key"),
        step_find("device-key"),
        step_find("csr"),
    };
    int r;

    r = fqdn_check(options->fqdn);
    if (r < 0)
        return r;
    r = steps_do(options, steps, ELEMENTS(steps));
    if (r == 0) {
        (void)printf("Next: have %s/" STATE_CSR
                     " signed, then run 'tre-provision install-cert FILE'.\n",
                     options->state_dir);
    }
    return r;
}
