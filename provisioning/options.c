/* Reads the command line of tre-provision, and refuses what makes no sense together. */
#include "provisioning/options.h"

#include "base/cleanup.h"
#include "base/fqdn.h"
#include "base/program.h"
#include "base/reason.h"
#include "policy/anchorguard.h"
#include "provisioning/authority.h"
#include "provisioning/devicelist.h"
#include "tpm/pcr.h"

#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>

enum { JOBS_DEFAULT = 8, JOBS_MAX = 256 };

/* No option has a short form. A letter is an option's name in the table of commands. */
enum { LONG = 0x100, LETTER = 0xff };

static const CommandOption all_options[] = {
    {"profile", "FILE", LONG | 'p', "what every device gets; see tre-provision-profile(5)"},
    {"serial", "NUMBER", LONG | 'S', "the device's serial number"},
    {"fqdn", "NAME", LONG | 'n', "the device's name, for the certificate's subjectAltName"},
    {"key-algorithm", "NAME", LONG | 'a', "ecdsa-p256 (default), ecdsa-p384 or rsa-2048"},
    {"force", NULL, LONG | 'f', "replace a device key that is there"},
    {"json", NULL, LONG | 'j', "for programs"},
    {"key", "FILE", LONG | 'k', "the private policy key, PEM: the vendor's or the operator's"},
    {"pcrs", "LIST", LONG | 'P', "which PCRs, such as 0-4,7"},
    {"bank", "NAME", LONG | 'B', "sha256 (default) or sha384"},
    {"anchors-version", "N", LONG | 'R', "each bundle needs a higher one than those before"},
    {"first", NULL, LONG | '1', "approve of it for devices that have no anchors yet, too"},
    {"ek-anchors", "FILE", LONG | 'E', "certificates of the TPM vendors to trust"},
    {"policy-key", "PEM", LONG | 'K', "the vendor's policy key that device keys must obey"},
    {"policy-digest", "HEX", LONG | 'D', "or the authPolicy that they must have"},
    {"pending", "FILE", LONG | 'Q', "what issue needs of challenge (default REQUEST.pending)"},
    {"ca-certificate", "FILE", LONG | 'C', "of the authority that signs"},
    {"ca-key", "FILE", LONG | 'c', "its key"},
    {"days", "NUMBER", LONG | 'y', "how long the certificate lasts (default 3650)"},
    {"jobs", "NUMBER", LONG | 'J', "devices at once (default 8)"},
    {"output", "FILE", LONG | 'O', "where the result goes (default standard output)"},
    {"export", "FILE", LONG | 'x', "write the list of all good devices at the end of the line"},
    {"format", "FORMAT", LONG | 'F', "of that list: fqdn-list or swanctl"},
    {"tcti", "TCTI", LONG | 't', "how to reach the TPM (default " PROVISION_TCTI ")"},
    {"state-dir", "DIR", LONG | 's', "where the files go (default " PROVISION_STATE_DIR ")"},
    {"owner", "USER|UID", LONG | 'o', "who gets the files of root's (default " PROVISION_OWNER ")"},
    {NULL, NULL, 0, NULL},
};

/* Every command takes these. */
static const char common_options[] = "tso";

enum { USAGE_SIZE = 4096 };

/* The command line of one command, or, without one, of the program. */
typedef struct Table {
    CommandLine line;
    CommandOption options[ELEMENTS(all_options)];
    char program[32];
    char usage[USAGE_SIZE];
} Table;

static char letter_of(const CommandOption *option)
{
    return (char)(option->value & LETTER);
}

static void table_fill(Table *table, const char *letters)
{
    size_t n = 0;

    for (const CommandOption *option = all_options; option->name; option++) {
        if (strchr(letters, letter_of(option)) || strchr(common_options, letter_of(option)))
            table->options[n++] = *option;
    }
    table->options[n] = (CommandOption){0};
    table->line = (CommandLine){table->program, table->usage, table->options, NULL, true};
}

static void table_of_program(Table *table, const Command *commands, size_t count)
{
    int length = snprintf(table->usage, sizeof(table->usage),
                          "Usage: tre-provision [OPTION…] COMMAND   (tre-provision COMMAND --help "
                          "says more)\n\n");

    for (size_t i = 0; i < count && length >= 0 && length < USAGE_SIZE; i++) {
        length += snprintf(table->usage + length, USAGE_SIZE - (size_t)length, "  %-16s %s\n",
                           commands[i].name, commands[i].summary);
    }
    (void)snprintf(table->program, sizeof(table->program), "tre-provision");
    table_fill(table, "");
}

static void table_of_command(Table *table, const Command *command)
{
    (void)snprintf(table->program, sizeof(table->program), "tre-provision %s", command->name);
    (void)snprintf(table->usage, sizeof(table->usage), "Usage: %s [OPTION…]%s%s\n%c%s.\n%s",
                   table->program, command->synopsis ? " " : "",
                   command->synopsis ? command->synopsis : "", toupper(command->summary[0]),
                   command->summary + 1, command->more ? command->more : "");
    table_fill(table, command->options);
}

/* What is known while the options are taken. */
typedef struct Reading {
    ProvisionCommandLine *ret;
    const CommandLine *line;
    char given[ELEMENTS(all_options)]; /* their letters */
} Reading;

/* A user by name, or by number if the system does not know it. 0 or -EINVAL. */
static int owner_parse(const char *text, uid_t *ret_user, gid_t *ret_group)
{
    const struct passwd *user = getpwnam(text);
    char *end = NULL;
    unsigned long id;

    if (!user) {
        errno = 0;
        id = strtoul(text, &end, 10);
        if (text[0] < '0' || text[0] > '9' || *end != '\0' || errno != 0 || id >= (uid_t)-1)
            return -EINVAL;
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

/* Those of the proof that are texts. */
static bool proof_text_take(int letter, const char *value, ProofOptions *proof)
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
            *texts[i].ret = value;
            return true;
        }
    }
    return false;
}

static int anchors_version_parse(const char *text, uint64_t *ret)
{
    char *end = NULL;

    errno = 0;
    *ret = strtoull(text, &end, 10);
    return text[0] < '0' || text[0] > '9' || *end != '\0' || errno != 0 || *ret == 0 ||
                   *ret > ANCHOR_VERSION_MAX
               ? -EINVAL
               : 0;
}

/* 0, or -EINVAL: `*ret_wanted` says then what it should have been. */
static int value_take(int letter, const char *value, ProvisionCommandLine *line,
                      const char **ret_wanted)
{
    ProvisionOptions *options = &line->options;

    switch (letter) {
    case 't':
        options->tcti = value;
        return 0;
    case 's':
        options->state_dir = value;
        return 0;
    case 'o':
        line->owner_given = true;
        *ret_wanted = "--owner is a user of this system or a number, and not";
        return owner_parse(value, &options->owner, &options->group);
    case 'n':
        options->fqdn = value;
        *ret_wanted = "--fqdn is labels of letters, digits and hyphens, with dots between (an "
                      "internationalized name in its xn-- form), and not";
        return fqdn_is_valid(value, strlen(value)) ? 0 : -EINVAL;
    case 'a':
        options->algorithm_given = true;
        *ret_wanted = "--key-algorithm is ecdsa-p256, ecdsa-p384 or rsa-2048, and not";
        return tpm_key_algorithm_from_name(value, &options->algorithm);
    case 'f':
        options->force = true;
        return 0;
    case 'R':
        *ret_wanted = "--anchors-version is a whole number from 1 on, and not";
        return anchors_version_parse(value, &options->anchors_version);
    case '1':
        options->first = true;
        return 0;
    case 'p':
        line->profile_path = value;
        return 0;
    case 'S':
        options->serial = value;
        *ret_wanted = "--serial is 1 to 63 letters, digits, '.', '-' and '_', a letter or digit "
                      "first, and not";
        return serial_is_valid(value) ? 0 : -EINVAL;
    case 'j':
        options->json = true;
        return 0;
    case 'J':
        *ret_wanted = "--jobs is a number from 1 to 256, and not";
        return number_parse(value, JOBS_MAX, &options->jobs);
    case 'O':
        options->output = value;
        return 0;
    case 'F':
        options->format = value;
        *ret_wanted = "--format is fqdn-list or swanctl, and not";
        return device_list_format_from_name(value, &(DeviceListFormat){0});
    case 'x':
        options->list = value;
        return 0;
    case 'k':
        options->key = value;
        return 0;
    case 'P':
        *ret_wanted = "--pcrs is a list of PCRs from 0 to 23, such as 0-4,7, and not";
        return pcr_mask_parse(value, &options->pcrs);
    case 'B':
        *ret_wanted = "--bank is sha256 or sha384, and not";
        return pcr_bank_from_name(value, &options->bank);
    default: /* 'y', as the table has no other */
        *ret_wanted = "--days is a number from 1 to 36500, and not";
        return number_parse(value, AUTHORITY_DAYS_MAX, &options->proof.days);
    }
}

static int option_take(int value, const char *argument, void *userdata)
{
    Reading *reading = userdata;
    const int letter = value & LETTER;
    const char *wanted = NULL;

    if (!strchr(reading->given, letter))
        reading->given[strlen(reading->given)] = (char)letter;
    if (proof_text_take(letter, argument, &reading->ret->options.proof))
        return 0;
    return value_take(letter, argument, reading->ret, &wanted) < 0
               ? commandline_error(reading->line, "%s '%s'", wanted, argument)
               : 0;
}

static const Command *command_find(const char *name, const Command *commands, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(commands[i].name, name) == 0)
            return &commands[i];
    }
    return NULL;
}

static const char *option_name(char letter)
{
    const CommandOption *option = all_options;

    while (option->name && letter_of(option) != letter)
        option++;
    return option->name;
}

/* Has it all that it can't do without? COMMANDLINE_GO_ON, or the exit status. */
static int command_check(const Command *command, const Reading *reading, unsigned n_arguments)
{
    const bool fits = command->exactly
                          ? n_arguments == command->exactly
                          : n_arguments == 1 || (n_arguments > 1 && command->several) ||
                                (n_arguments == 0 && command->optional);

    for (const char *letter = command->mandatory; *letter; letter++) {
        if (!strchr(reading->given, *letter))
            return commandline_error(reading->line, "--%s is missing", option_name(*letter));
    }
    if (!command->argument && n_arguments > 0) {
        return commandline_error(reading->line, "unexpected argument \"%s\"",
                                 reading->ret->options.file);
    }
    if (command->argument && !fits) {
        return commandline_error(reading->line, "it takes %s%s", command->argument,
                                 command->several ? " or more" : "");
    }
    return command->check && command->check(reading->ret->options.file) < 0 ? EX_USAGE
                                                                            : COMMANDLINE_GO_ON;
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
        if (owner_parse(line->profile.owner, &options->owner, &options->group) < 0) {
            complain("the profile's owner is no user of this system: '%s'", line->profile.owner);
            return -EINVAL;
        }
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

/* No command is named: all that is answered is --help and --version. */
static int program_read(int argc, char **argv, const Command *commands, size_t count)
{
    Table table;
    Reading reading = {.ret = &(ProvisionCommandLine){0}, .line = &table.line};

    table_of_program(&table, commands, count);
    int r = commandline_read(&table.line, argc, argv, option_take, &reading);
    if (r != COMMANDLINE_GO_ON)
        return r;
    return optind < argc ? commandline_error(&table.line, "%s is no command", argv[optind])
                         : commandline_error(&table.line, "a command is missing");
}

int command_line_read(int argc, char **argv, const Command *commands, size_t count,
                      ProvisionCommandLine *ret)
{
    const CommandLine all = {"tre-provision", "", all_options, NULL};
    const int at = commandline_command(&all, argc, argv);
    ProvisionOptions *options = &ret->options;
    Reading reading = {.ret = ret};
    Table table;

    *ret = (ProvisionCommandLine){
        .command = at < argc ? command_find(argv[at], commands, count) : NULL,
        .options = {.bank = TPM2_ALG_SHA256,
                    .jobs = JOBS_DEFAULT,
                    .owner = (uid_t)-1,
                    .group = (gid_t)-1},
    };
    if (!ret->command)
        return program_read(argc, argv, commands, count);
    table_of_command(&table, ret->command);
    reading.line = &table.line;
    int r = commandline_read(&table.line, argc, argv, option_take, &reading);
    if (r != COMMANDLINE_GO_ON)
        return r;
    optind++; /* the command's name */
    options->n_files = (unsigned)(argc - optind);
    options->files = (const char *const *)&argv[optind];
    options->file = options->n_files > 0 ? options->files[0] : NULL;
    return command_check(ret->command, &reading, options->n_files);
}

void command_line_deinit(ProvisionCommandLine *line)
{
    provision_profile_deinit(&line->profile);
    free(line->state_dir);
    free(line->fqdn);
    *line = (ProvisionCommandLine){0};
}
