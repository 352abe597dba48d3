/* Reads the command line of tre-provision, and refuses what makes no sense together. */
#include "provisioning/options.h"

#include "base/reason.h"
#include "policy/anchorguard.h"

#include "provisioning/authority.h"
#include "tpm/pcr.h"

#include <errno.h>
#include <getopt.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>

enum { JOBS_DEFAULT = 8, JOBS_MAX = 256 };

/* An option's letter is its name in the command table. */
static const struct option long_options[] = {
    {"tcti", required_argument, NULL, 't'},
    {"state-dir", required_argument, NULL, 's'},
    {"owner", required_argument, NULL, 'o'},
    {"help", no_argument, NULL, 'h'},
    {"version", no_argument, NULL, 'V'},
    {"fqdn", required_argument, NULL, 'n'},
    {"key-algorithm", required_argument, NULL, 'a'},
    {"force", no_argument, NULL, 'f'},
    {"anchors-version", required_argument, NULL, 'R'},
    {"first", no_argument, NULL, '1'},
    {"profile", required_argument, NULL, 'p'},
    {"serial", required_argument, NULL, 'S'},
    {"json", no_argument, NULL, 'j'},
    {"jobs", required_argument, NULL, 'J'},
    {"output", required_argument, NULL, 'O'},
    {"format", required_argument, NULL, 'F'},
    {"export", required_argument, NULL, 'x'},
    {"key", required_argument, NULL, 'k'},
    {"pcrs", required_argument, NULL, 'P'},
    {"bank", required_argument, NULL, 'B'},
    {"ek-anchors", required_argument, NULL, 'E'},
    {"policy-digest", required_argument, NULL, 'D'},
    {"policy-key", required_argument, NULL, 'K'},
    {"pending", required_argument, NULL, 'Q'},
    {"ca-certificate", required_argument, NULL, 'C'},
    {"ca-key", required_argument, NULL, 'c'},
    {"days", required_argument, NULL, 'y'},
    {0},
};

/* Every command takes these. */
static const char common_options[] = "tsohV";

static int usage_error(const char *format, const char *what)
{
    (void)fprintf(stderr, "tre-provision: %s '%s'; see tre-provision --help\n", format, what);
    return -EINVAL;
}

int owner_parse(const char *text, uid_t *ret_user, gid_t *ret_group)
{
    const struct passwd *user = getpwnam(text);
    char *end = NULL;
    unsigned long id;

    if (!user) {
        errno = 0;
        id = strtoul(text, &end, 10);
        if (text[0] < '0' || text[0] > '9' || *end != '\0' || errno != 0 || id >= (uid_t)-1)
            return usage_error("there is no user", text);
        *ret_user = (uid_t)id;
        user = getpwuid(*ret_user);
    }
    if (user) {
        *ret_user = user->pw_uid;
        *ret_group = user->pw_gid;
    }
    return 0;
}

static void owner_default(ProvisionOptions *options)
{
    const struct passwd *user = geteuid() == 0 ? getpwnam(PROVISION_OWNER) : NULL;

    options->owner = user ? user->pw_uid : (uid_t)-1;
    options->group = user ? user->pw_gid : (gid_t)-1;
}

/* A number from 1 to `max`. 0, or -EINVAL. */
static int number_parse(const char *text, unsigned max, unsigned *ret)
{
    char *end = NULL;
    unsigned long number;

    errno = 0;
    number = strtoul(text, &end, 10);
    if (text[0] < '0' || text[0] > '9' || *end != '\0' || errno != 0 || number < 1 || number > max)
        return -EINVAL;
    *ret = (unsigned)number;
    return 0;
}

/* -ENOENT for a letter that is not of the proof. */
static int proof_option_take(int letter, ProofOptions *proof)
{
    const struct {
        int letter;
        const char **ret;
    } texts[] = {
        {'E', &proof->ek_anchors}, {'D', &proof->policy_digest},  {'K', &proof->policy_key},
        {'Q', &proof->pending},    {'C', &proof->ca_certificate}, {'c', &proof->ca_key},
    };

    for (size_t i = 0; i < ELEMENTS(texts); i++) {
        if (texts[i].letter == letter) {
            *texts[i].ret = optarg;
            return 0;
        }
    }
    if (letter != 'y')
        return -ENOENT;
    return number_parse(optarg, AUTHORITY_DAYS_MAX, &proof->days) == 0
               ? 0
               : usage_error("--days is a number from 1 to 36500, not", optarg);
}

static int anchors_version_parse(const char *text, uint64_t *ret)
{
    char *end = NULL;

    errno = 0;
    *ret = strtoull(text, &end, 10);
    if (text[0] < '0' || text[0] > '9' || *end != '\0' || errno != 0 || *ret == 0 ||
        *ret > ANCHOR_VERSION_MAX)
        return usage_error("--anchors-version is a whole number from 1 on, not", text);
    return 0;
}

static int option_take(int letter, ProvisionCommandLine *line)
{
    ProvisionOptions *options = &line->options;
    int r = proof_option_take(letter, &options->proof);

    if (r != -ENOENT)
        return r;
    switch (letter) {
    case 't':
        options->tcti = optarg;
        return 0;
    case 's':
        options->state_dir = optarg;
        return 0;
    case 'o':
        line->owner_given = true;
        return owner_parse(optarg, &options->owner, &options->group);
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
    case 'R':
        return anchors_version_parse(optarg, &options->anchors_version);
    case '1':
        options->first = true;
        return 0;
    case 'p':
        line->profile_path = optarg;
        return 0;
    case 'S':
        options->serial = optarg;
        return serial_is_valid(optarg)
                   ? 0
                   : usage_error("a serial number is 1 to 63 letters, digits, '.', '-' and '_', a "
                                 "letter or digit first, not",
                                 optarg);
    case 'j':
        options->json = true;
        return 0;
    case 'J':
        return number_parse(optarg, JOBS_MAX, &options->jobs) == 0
                   ? 0
                   : usage_error("--jobs is a number from 1 to 256, not", optarg);
    case 'O':
        options->output = optarg;
        return 0;
    case 'F':
        options->format = optarg;
        return 0;
    case 'x':
        options->list = optarg;
        return 0;
    case 'k':
        options->key = optarg;
        return 0;
    case 'P':
        return pcr_mask_parse(optarg, &options->pcrs) < 0
                   ? usage_error("--pcrs is a list of PCRs from 0 to 23, such as 0-4,7, not",
                                 optarg)
                   : 0;
    case 'B':
        return pcr_bank_from_name(optarg, &options->bank) < 0
                   ? usage_error("--bank is sha256 or sha384, not", optarg)
                   : 0;
    default:
        return -EINVAL; /* the table has no other */
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

static const Command *command_find(const char *name, const Command *commands, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(commands[i].name, name) == 0)
            return &commands[i];
    }
    return NULL;
}

/* Do the options and arguments fit the command? */
static int command_check(const Command *command, const char *given, unsigned n_arguments)
{
    const bool fits = command->exactly
                          ? n_arguments == command->exactly
                          : n_arguments == 1 || (n_arguments > 1 && command->several) ||
                                (n_arguments == 0 && command->optional);
    char follows[80];

    for (const char *letter = given; *letter; letter++) {
        if (!strchr(common_options, *letter) && !strchr(command->options, *letter))
            return usage_error("there is no such option for this command:", option_name(*letter));
    }
    for (const char *letter = command->mandatory; *letter; letter++) {
        if (!strchr(given, *letter))
            return usage_error("an option is missing:", option_name(*letter));
    }
    if (!command->argument && n_arguments != 0)
        return usage_error("nothing is to follow", command->name);
    if (command->argument && !fits) {
        (void)snprintf(follows, sizeof(follows), "%s%s is to follow", command->argument,
                       command->several ? " or more" : "");
        return usage_error(follows, command->name);
    }
    return 0;
}

/* A text that the profile has with PROFILE_SERIAL in it needs a serial number. */
static int pattern_fill(const char *pattern, const char *serial, char **ret, const char **option)
{
    int r;

    if (*option || !pattern)
        return 0; /* the command line comes first */
    if (!serial && provision_profile_has_serial(pattern)) {
        complain("the profile says '%s', so this device's serial number is needed: give --serial",
                 pattern);
        return -EINVAL;
    }
    r = provision_profile_expand(pattern, serial ? serial : "", ret);
    if (r < 0) {
        complain("out of memory");
    } else {
        *option = *ret;
    }
    return r;
}

static int profile_take(ProvisionCommandLine *line)
{
    ProvisionOptions *options = &line->options;
    Reason reason = {"out of memory"};
    int r = provision_profile_read(line->profile_path, &line->profile, &reason);

    if (r < 0) {
        complain("%s", reason.text);
        return r;
    }
    options->profile = &line->profile;
    if (!options->tcti)
        options->tcti = line->profile.tcti;
    if (!line->owner_given && line->profile.owner) {
        line->owner_given = true;
        if (owner_parse(line->profile.owner, &options->owner, &options->group) < 0)
            return -EINVAL;
    }
    if (!options->algorithm_given && line->profile.key_algorithm != PROFILE_KEY_ANY) {
        options->algorithm = (TpmKeyAlgorithm)(line->profile.key_algorithm - 1);
        options->algorithm_given = true;
    }
    if (line->command->fleet) {
        if (!options->state_dir)
            options->state_dir = line->profile.state_dir;
        return 0;
    }
    r = pattern_fill(line->profile.state_dir, options->serial, &line->state_dir,
                     &options->state_dir);
    if (r == 0)
        r = pattern_fill(line->profile.fqdn, options->serial, &line->fqdn, &options->fqdn);
    return r;
}

int command_line_complete(ProvisionCommandLine *line)
{
    ProvisionOptions *options = &line->options;
    int r = line->profile_path ? profile_take(line) : 0;

    if (r < 0)
        return r;
    if (!options->tcti)
        options->tcti = PROVISION_TCTI;
    if (!options->state_dir)
        options->state_dir = PROVISION_STATE_DIR;
    if (!line->owner_given)
        owner_default(options);
    return 0;
}

int command_line_read(int argc, char **argv, const Command *commands, size_t count,
                      void (*usage)(FILE *stream), ProvisionCommandLine *ret)
{
    ProvisionOptions *options = &ret->options;
    char given[ELEMENTS(long_options)] = "";
    int letter;

    *ret = (ProvisionCommandLine){
        .options = {.bank = TPM2_ALG_SHA256,
                    .jobs = JOBS_DEFAULT,
                    .owner = (uid_t)-1,
                    .group = (gid_t)-1},
    };
    opterr = 0;
    while ((letter = getopt_long(argc, argv, ":", long_options, NULL)) != -1) {
        if (letter == '?')
            return usage_error("there is no such option:", argv[optind - 1]);
        if (letter == ':')
            return usage_error("a value is missing after", argv[optind - 1]);
        if (letter == 'h') {
            usage(stdout);
            return 0;
        }
        if (letter == 'V') {
            (void)puts("tre-provision " TRED_VERSION);
            return 0;
        }
        if (option_take(letter, ret) < 0)
            return -EINVAL;
        if (!strchr(given, letter))
            given[strlen(given)] = (char)letter;
    }
    if (optind == argc) {
        (void)fputs("tre-provision: a command is missing; see tre-provision --help\n", stderr);
        return -EINVAL;
    }
    ret->command = command_find(argv[optind], commands, count);
    if (!ret->command)
        return usage_error("there is no command", argv[optind]);
    options->n_files = (unsigned)(argc - optind - 1);
    options->files = (const char *const *)&argv[optind + 1];
    options->file = options->n_files > 0 ? options->files[0] : NULL;
    return command_check(ret->command, given, options->n_files);
}

void command_line_deinit(ProvisionCommandLine *line)
{
    provision_profile_deinit(&line->profile);
    free(line->state_dir);
    free(line->fqdn);
    *line = (ProvisionCommandLine){0};
}
