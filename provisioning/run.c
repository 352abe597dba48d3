/* tre-provision run, step and init: the steps of one device, with a line for each. */
#include "provisioning/step.h"

#include "base/fqdn.h"
#include "base/signals.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static void report_print(const StepReport *report, void *user)
{
    (void)user;
    (void)printf("%-18s %-8s %8.1f ms  %s\n", report->name, step_outcome_name(report->outcome),
                 (double)report->nanoseconds / 1e6, report->note);
    (void)fflush(stdout);
}

int provision_fqdn_check(const char *fqdn)
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
    r = provision_fqdn_check(options->fqdn);
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
        r = provision_do(&provision, steps[i], &report);
        report_print(&report, NULL);
    }
    provision_close(&provision);
    return r;
}

int provision_step(const ProvisionOptions *options)
{
    const Step *step = step_find(options->file);
    char names[512];

    if (!step) {
        complain("there is no step '%s'; the steps are: %s", options->file,
                 step_names(names, sizeof(names)));
        return -EINVAL;
    }
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
        if (provision_fqdn_check(options->fqdn) < 0)
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

    r = provision_fqdn_check(options->fqdn);
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
