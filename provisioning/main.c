/* tre-provision: gives a device its key, its certificates and its anchors. The table of its
 * commands. */
#include "provisioning/command.h"
#include "provisioning/options.h"

#include "base/cleanup.h"
#include "base/program.h"

#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>

/* The letters are those of options.c's table: n --fqdn, a --key-algorithm, f --force, p --profile,
 * S --serial, j --json, J --jobs, O --output, F --format, x --export, k --key, P --pcrs, B --bank,
 * E --ek-anchors, D --policy-digest, K --policy-key, Q --pending, C --ca-certificate, c --ca-key,
 * y --days, R --anchors-version, 1 --first. */
static const Command commands[] = {
    {"run", .options = "pSnaf", .mandatory = "p", .run = provision_run},
    {"step", "the name of one step", .options = "pSnaf", .mandatory = "", .run = provision_step},
    {"status", .options = "pSnj", .mandatory = "", .run = provision_status},
    {"verify", .options = "pSnj", .mandatory = "", .run = provision_verify},
    {"line", "one file", .optional = true, .fleet = true, .options = "pJOFxaf", .mandatory = "p",
     .run = provision_line},
    {"export", "one file", .several = true, .options = "FO", .mandatory = "F",
     .run = provision_export},
    {"init", .options = "naf", .mandatory = "n", .run = provision_init},
    {"install-cert", "one file", .options = "", .mandatory = "", .run = provision_install_cert},
    {"install-anchors", "one file", .options = "", .mandatory = "",
     .run = provision_install_anchors},
    {"sign-anchors", "one file", .options = "kR1", .mandatory = "kR",
     .run = provision_sign_anchors},
    {"read-pcrs", .options = "PBO", .mandatory = "P", .run = provision_read_pcrs},
    {"sign-policy", "one file", .several = true, .options = "kO", .mandatory = "k",
     .run = provision_sign_policy},
    {"install-policy", "one file", .options = "", .mandatory = "", .run = provision_install_policy},
    {"request", .options = "pSn", .mandatory = "", .run = provision_request},
    {"challenge", "one request", .options = "EDKQ", .mandatory = "E", .run = provision_challenge},
    {"activate", "one challenge", .options = "pSn", .mandatory = "", .run = provision_activate},
    {"issue", "a request and its response", .exactly = 2, .options = "CcyQ", .mandatory = "Cc",
     .run = provision_issue},
};

static void usage_print(FILE *stream)
{
    (void)fputs(
        "Usage: tre-provision [OPTION...] COMMAND\n"
        "\n"
        "  run --profile FILE      All steps for one device; those whose result is there and right "
        "are\n"
        "                          skipped.\n"
        "  step NAME               One step: check-tpm, storage-root-key, device-key, csr, ...\n"
        "  status                  What is there.\n"
        "  verify                  Whether it all fits together; if not, what to do.\n"
        "\n"
        "  line --profile FILE [LIST]\n"
        "                          Devices as they come, one a line: serial number, FQDN, TCTI.\n"
        "  export --format FORMAT FILE...\n"
        "                          The list of devices for a SeGW: fqdn-list or swanctl.\n"
        "\n"
        "  init --fqdn NAME        Make the TPM's storage root key if it is absent, the device "
        "key,\n"
        "                          and a CSR for it. A good key that is there already is kept.\n"
        "  install-cert FILE       Store the device's certificate and its issuers.\n"
        "  install-anchors FILE    Store the SeGW's root certificates, in place of those before: "
        "by the\n"
        "                          operator's approval in FILE.sig where the TPM guards them.\n"
        "  sign-anchors --key KEY --anchors-version N FILE\n"
        "                          At the operator's: approve of them, in FILE.sig. Needs no TPM.\n"
        "\n"
        "  read-pcrs --pcrs LIST   The platform state that this device is in.\n"
        "  sign-policy --key KEY FILE...\n"
        "                          At the vendor's: approve of platform states. Needs no TPM.\n"
        "  install-policy FILE     Store states newly approved of, and have tred look at them.\n"
        "\n"
        "  request                 What the authority needs to know of this device.\n"
        "  challenge REQUEST       Judge it, and make what only that TPM can open. No TPM is "
        "needed.\n"
        "  activate CHALLENGE      Have this device's TPM open it.\n"
        "  issue REQUEST RESPONSE  The device's certificate, if it did. No TPM is needed.\n"
        "\n"
        "Options of read-pcrs and sign-policy:\n"
        "  --pcrs LIST             Which PCRs, such as 0-4,7.\n"
        "  --bank NAME             sha256 (default) or sha384.\n"
        "  --key FILE              The vendor's private policy key, PEM.\n"
        "  --output FILE           Where the states go; those that are there stay.\n"
        "\n"
        "Options of sign-anchors:\n"
        "  --key FILE              The operator's private policy key, PEM.\n"
        "  --anchors-version N     Each bundle needs a higher one than those before.\n"
        "  --first                 Approve of it for devices that have no anchors yet, too.\n"
        "\n"
        "Options of run, step and init:\n"
        "  --profile FILE          What every device gets; see tre-provision-profile(5).\n"
        "  --serial NUMBER         The device's serial number.\n"
        "  --fqdn NAME             The device's name, for the certificate's subjectAltName.\n"
        "  --key-algorithm NAME    ecdsa-p256 (default), ecdsa-p384 or rsa-2048.\n"
        "  --force                 Replace a device key that is there.\n"
        "\n"
        "Options of status and verify:\n"
        "  --json                  For programs.\n"
        "  --profile, --serial, --fqdn  What the device should be like.\n"
        "\n"
        "Options of challenge:\n"
        "  --ek-anchors FILE       Certificates of the TPM vendors to trust.\n"
        "  --policy-key PEM        The vendor's policy key that device keys must obey, or\n"
        "  --policy-digest HEX     the authPolicy that they must have.\n"
        "  --pending FILE          Where to keep what issue needs (default: REQUEST.pending).\n"
        "\n"
        "Options of issue:\n"
        "  --ca-certificate FILE, --ca-key FILE  The authority that signs.\n"
        "  --days NUMBER           How long the certificate lasts (default: 3650).\n"
        "  --pending FILE          As for challenge.\n"
        "\n"
        "Options of line and export:\n"
        "  --jobs NUMBER           Devices at once (default: 8).\n"
        "  --output FILE           Where the records, or the list, go (default: standard output).\n"
        "  --export FILE           Write the list of all good devices at the end of the line.\n"
        "  --format FORMAT         Of that list: fqdn-list (default) or swanctl.\n"
        "\n"
        "Options:\n"
        "  --tcti TCTI             How to reach the TPM (default: " PROVISION_TCTI ").\n"
        "  --state-dir DIR         Where the files go (default: " PROVISION_STATE_DIR ").\n"
        "  --owner USER|UID        Who gets the files, when run as root (default: " PROVISION_OWNER
        ").\n"
        "  --help, --version\n",
        stream);
}

static int command_run(int argc, char **argv)
{
    _cleanup_(command_line_deinit) ProvisionCommandLine line = {0};
    int r;

    (void)umask(027);
    if (command_line_read(argc, argv, commands, ELEMENTS(commands), usage_print, &line) < 0)
        return EX_USAGE;
    if (!line.command)
        return EX_OK;
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
