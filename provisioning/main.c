/* tre-provision: gives a device its key, its certificates and its anchors. Which subcommand, with
 * which options? */
#include "provisioning/command.h"

#include "base/cleanup.h"

#include <errno.h>
#include <getopt.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

enum { EXIT_USAGE = 2 };

typedef struct Command {
    const char *name;
    const char *argument; /* what follows the name; NULL for nothing */
    const char *options;  /* letters of the options that are this command's own */
    const char *mandatory;
    int (*run)(const ProvisionOptions *options);
} Command;

static const Command commands[] = {
    {"init", NULL, "naf", "n", provision_init},
    {"install-cert", "FILE", "", "", provision_install_cert},
    {"install-anchors", "FILE", "", "", provision_install_anchors},
};

static const struct option long_options[] = {
    {"tcti", required_argument, NULL, 't'},
    {"state-dir", required_argument, NULL, 's'},
    {"owner", required_argument, NULL, 'o'},
    {"help", no_argument, NULL, 'h'},
    {"version", no_argument, NULL, 'V'},
    {"fqdn", required_argument, NULL, 'n'},
    {"key-algorithm", required_argument, NULL, 'a'},
    {"force", no_argument, NULL, 'f'},
    {0},
};

static void usage_print(FILE *stream)
{
    (void)fputs(
        "Usage: tre-provision [OPTION...] COMMAND\n"
        "\n"
        "  init --fqdn NAME        Make the TPM's storage root key if it is absent, the device "
        "key,\n"
        "                          and a CSR for it. A good key that is there already is kept.\n"
        "  install-cert FILE       Store the device's certificate and its issuers.\n"
        "  install-anchors FILE    Store the SeGW's root certificates, in place of those before.\n"
        "\n"
        "Options of init:\n"
        "  --fqdn NAME             The device's name, for the certificate's subjectAltName.\n"
        "  --key-algorithm NAME    ecdsa-p256 (default), ecdsa-p384 or rsa-2048.\n"
        "  --force                 Replace a device key that is there.\n"
        "\n"
        "Options:\n"
        "  --tcti TCTI             How to reach the TPM (default: " PROVISION_TCTI ").\n"
        "  --state-dir DIR         Where the files go (default: " PROVISION_STATE_DIR ").\n"
        "  --owner USER|UID        Who gets the files, when run as root (default: " PROVISION_OWNER
        ").\n"
        "  --help, --version\n",
        stream);
}

static int usage_error(const char *format, const char *what)
{
    (void)fputs("tre-provision: ", stderr);
    (void)fprintf(stderr, "%s '%s'; see 'tre-provision --help'\n", format, what);
    return -EINVAL;
}

/* A user by name, or by number if the system does not know it. */
static int owner_parse(const char *text, ProvisionOptions *options)
{
    const struct passwd *user = getpwnam(text);
    char *end = NULL;
    unsigned long id;

    if (!user) {
        errno = 0;
        id = strtoul(text, &end, 10);
        if (text[0] < '0' || text[0] > '9' || *end != '\0' || errno != 0 || id >= (uid_t)-1)
            return usage_error("there is no user", text);
        options->owner = (uid_t)id;
        user = getpwuid(options->owner);
    }
    if (user) {
        options->owner = user->pw_uid;
        options->group = user->pw_gid;
    }
    return 0;
}

static void owner_default(ProvisionOptions *options)
{
    const struct passwd *user = geteuid() == 0 ? getpwnam(PROVISION_OWNER) : NULL;

    options->owner = user ? user->pw_uid : (uid_t)-1;
    options->group = user ? user->pw_gid : (gid_t)-1;
}

static int option_take(int letter, ProvisionOptions *options)
{
    switch (letter) {
    case 't':
        options->tcti = optarg;
        return 0;
    case 's':
        options->state_dir = optarg;
        return 0;
    case 'o':
        return owner_parse(optarg, options);
    case 'n':
        options->fqdn = optarg;
        return 0;
    case 'a':
        options->algorithm_given = true;
        if (tpm_key_algorithm_from_name(optarg, &options->algorithm) < 0)
            return usage_error("there is no key algorithm", optarg);
        return 0;
    case 'f':
        options->force = true;
        return 0;
    default:
        (void)fputs("See 'tre-provision --help'.\n", stderr);
        return -EINVAL;
    }
}

static const char *option_name(char letter)
{
    for (const struct option *option = long_options; option->name; option++) {
        if (option->val == letter)
            return option->name;
    }
    return "?";
}

static const Command *command_find(const char *name)
{
    for (size_t i = 0; i < ELEMENTS(commands); i++) {
        if (strcmp(commands[i].name, name) == 0)
            return &commands[i];
    }
    return NULL;
}

/* Do the options and arguments fit the command? `given` has the letters of the options. */
static int command_check(const Command *command, const char *given, int n_arguments)
{
    for (const char *letter = "naf"; *letter; letter++) {
        if (strchr(given, *letter) && !strchr(command->options, *letter))
            return usage_error("there is no such option for this command:", option_name(*letter));
    }
    for (const char *letter = command->mandatory; *letter; letter++) {
        if (!strchr(given, *letter))
            return usage_error("an option is missing:", option_name(*letter));
    }
    if (n_arguments != (command->argument ? 1 : 0)) {
        return usage_error(command->argument ? "one file is to follow" : "nothing is to follow",
                           command->name);
    }
    return 0;
}

int main(int argc, char **argv)
{
    ProvisionOptions options = {.tcti = PROVISION_TCTI, .state_dir = PROVISION_STATE_DIR};
    char given[64] = "";
    const Command *command;
    int letter;

    (void)umask(027);
    owner_default(&options);
    while ((letter = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
        if (letter == 'h') {
            usage_print(stdout);
            return EXIT_SUCCESS;
        }
        if (letter == 'V') {
            (void)puts("tre-provision " TRED_VERSION);
            return EXIT_SUCCESS;
        }
        if (option_take(letter, &options) < 0)
            return EXIT_USAGE;
        if (!strchr(given, letter))
            given[strlen(given)] = (char)letter;
    }
    if (optind == argc) {
        usage_print(stderr);
        return EXIT_USAGE;
    }
    command = command_find(argv[optind]);
    if (!command) {
        (void)usage_error("there is no command", argv[optind]);
        return EXIT_USAGE;
    }
    if (command_check(command, given, argc - optind - 1) < 0)
        return EXIT_USAGE;
    options.file = command->argument ? argv[optind + 1] : NULL;
    return command->run(&options) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
