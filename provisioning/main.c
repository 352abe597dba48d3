/* tre-provision: gives a device its key, its certificates and its anchors. The table of its
 * commands. */
#include "provisioning/command.h"
#include "provisioning/options.h"
#include "provisioning/step.h"

#include "base/cleanup.h"
#include "base/program.h"
#include "base/signals.h"

#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>

/* The letters are those of options.c's table: n --fqdn, a --key-algorithm, f --force, p --profile,
 * S --serial, j --json, J --jobs, O --output, F --format, x --export, k --key, P --pcrs, B --bank,
 * E --ek-anchors, D --policy-digest, K --policy-key, Q --pending, C --ca-certificate, c --ca-key,
 * y --days, R --anchors-version, 1 --first. */
static const Command commands[] = {
    {"run", "--profile FILE", "all steps for one device",
     "Those whose result is there and right are skipped.\n", .options = "pSnaf", .mandatory = "p",
     .run = provision_run},
    {"step", "NAME", "one of run's steps: check-tpm, storage-root-key, device-key, csr and so on",
     NULL, "the name of one step", .options = "pSnaf", .mandatory = "", .check = step_check,
     .run = provision_step},
    {"status", NULL, "what is there", NULL, .options = "pSnj", .mandatory = "",
     .run = provision_status},
    {"verify", NULL, "whether it all fits together; if not, what to do", NULL, .options = "pSnj",
     .mandatory = "", .run = provision_verify},
    {"line", "--profile FILE [LIST]", "devices as they come on a manufacturing line",
     "LIST, or standard input, has one a line: serial number, FQDN, TCTI.\n", "one file",
     .optional = true, .fleet = true, .options = "pJOFxaf", .mandatory = "p",
     .run = provision_line},
    {"export", "--format FORMAT FILE…", "the list of devices for a SeGW", NULL, "one file",
     .several = true, .options = "FO", .mandatory = "F", .run = provision_export},
    {"init", "--fqdn NAME", "make the device key, and a CSR for it",
     "Makes the TPM's storage root key, too, if it is absent. A good key that is there already is "
     "kept.\n",
     .options = "naf", .mandatory = "n", .run = provision_init},
    {"install-cert", "FILE", "store the device's certificate and its issuers", NULL, "one file",
     .options = "", .mandatory = "", .run = provision_install_cert},
    {"install-anchors", "FILE", "store the SeGW's root certificates",
     "They take the place of those before: by the operator's approval in FILE.sig where the TPM "
     "guards them.\n",
     "one file", .options = "", .mandatory = "", .run = provision_install_anchors},
    {"sign-anchors", "--key KEY --anchors-version N FILE",
     "at the operator's: approve of root certificates", "In FILE.sig. Needs no TPM.\n", "one file",
     .options = "kR1", .mandatory = "kR", .run = provision_sign_anchors},
    {"read-pcrs", "--pcrs LIST", "the platform state that this device is in", NULL,
     .options = "PBO", .mandatory = "P", .run = provision_read_pcrs},
    {"sign-policy", "--key KEY FILE…", "at the vendor's: approve of platform states",
     "States that --output has already stay there. Needs no TPM.\n", "one file", .several = true,
     .options = "kO", .mandatory = "k", .run = provision_sign_policy},
    {"install-policy", "FILE", "store states newly approved of, and have tred look at them", NULL,
     "one file", .options = "", .mandatory = "", .run = provision_install_policy},
    {"request", NULL, "what the authority needs to know of this device", NULL, .options = "pSn",
     .mandatory = "", .run = provision_request},
    {"challenge", "--ek-anchors FILE REQUEST",
     "at the authority's: judge a request, and make what only that TPM can open", "Needs no TPM.\n",
     "one request", .options = "EDKQ", .mandatory = "E", .run = provision_challenge},
    {"activate", "CHALLENGE", "have this device's TPM open it", NULL, "one challenge",
     .options = "pSn", .mandatory = "", .run = provision_activate},
    {"issue", "--ca-certificate FILE --ca-key FILE REQUEST RESPONSE",
     "at the authority's: the device's certificate, if it did", "Needs no TPM.\n",
     "a request and its response", .exactly = 2, .options = "CcyQ", .mandatory = "Cc",
     .run = provision_issue},
};

static int command_run(int argc, char **argv)
{
    _cleanup_(command_line_deinit) ProvisionCommandLine line = {0};
    int r;

    (void)umask(027);
    r = command_line_read(argc, argv, commands, ELEMENTS(commands), &line);
    if (r != COMMANDLINE_GO_ON)
        return r;
    r = command_line_complete(&line);
    if (r < 0)
        return exit_status(r, EX_CONFIG);
    r = line.command->run(&line.options);
    return exit_status(r, EXIT_FAILURE);
}

int main(int argc, char **argv)
{
    sigset_t before;
    int status;

    standard_open();
    signals_current(&before);
    status = standard_finish("tre-provision", command_run(argc, argv));
    signals_release(&before);
    return status;
}
