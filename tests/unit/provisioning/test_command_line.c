/* Does tre-provision refuse what it can't mean, and say so? The program's path is the first
 * argument. */
#include "base/cleanup.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include <cmocka.h>

static const char *program;

/* Runs it with `arguments`; all that it prints goes to `ret_output`. Returns its exit status. */
static int run(const char *arguments, char *ret_output, size_t size)
{
    char command[512];
    size_t length;
    FILE *output;

    (void)snprintf(command, sizeof(command), "'%s' %s 2>&1", program, arguments);
    output = popen(command, "r");
    assert_non_null(output);
    length = fread(ret_output, 1, size - 1, output);
    ret_output[length] = '\0';
    return WEXITSTATUS(pclose(output));
}

static void assert_prints(const char *arguments, int status, const char *text)
{
    char output[4096];

    assert_int_equal(run(arguments, output, sizeof(output)), status);
    if (!strstr(output, text))
        fail_msg("'%s' prints '%s' without '%s'", arguments, output, text);
}

static void help_and_version_are_there(void **state)
{
    (void)state;
    assert_prints("--help", 0, "  install-anchors  store");
    assert_prints("--version", 0, "tre-provision " TRED_VERSION);
    assert_prints("init --help", 0, "Usage: tre-provision init [OPTION…] --fqdn NAME\n");
    assert_prints("init --help", 0, "--key-algorithm NAME");
    assert_prints("--tcti none issue --help", 0, "Usage: tre-provision issue ");
}

static void the_help_of_a_command_has_its_own_options_alone(void **state)
{
    char output[4096];
    (void)state;

    assert_int_equal(run("verify --help", output, sizeof(output)), 0);
    assert_non_null(strstr(output, "--json"));
    assert_non_null(strstr(output, "--state-dir"));
    assert_null(strstr(output, "--force"));
    assert_null(strstr(output, "install-anchors"));
}

static void what_does_not_fit_is_refused_by_name(void **state)
{
    (void)state;
    assert_prints("", 64, "tre-provision: a command is missing; see tre-provision --help\n");
    assert_prints("explode", 64, "explode is no command; see tre-provision --help\n");
    assert_prints("--explode init", 64,
                  "tre-provision init: --explode is no option; see tre-provision init --help\n");
    assert_prints("init --fqdn", 64, "--fqdn needs a value; see");
    assert_prints("init", 64, "--fqdn is missing");
    assert_prints("init --fqdn a.example extra", 64, "unexpected argument \"extra\"");
    assert_prints("install-cert", 64, "install-cert: it takes one file; see");
    assert_prints("install-anchors a b", 64, "it takes one file");
    assert_prints("sign-policy --key k", 64, "it takes one file or more");
    assert_prints("install-cert --force file", 64, "--force is no option");
    assert_prints("init --fqdn a.example --key-algorithm dsa", 64, "'dsa'");
    assert_prints("init --fqdn a.example --owner no-such-user", 64, "'no-such-user'");
    assert_prints("init --fqdn a.example --owner 12x", 64, "'12x'");
    assert_prints("run --profile p --serial -x", 64, "'-x'");
    assert_prints("line --profile p --jobs 257", 64, "'257'");
    assert_prints("issue --days 0", 64, "'0'");
    assert_prints("init --fqdn 'not a name'", 64, "'not a name'");
    assert_prints("init --fqdn a_b.example", 64, "'a_b.example'");
    assert_prints("step csr --fqdn 192.0.2.1", 64, "'192.0.2.1'");
    assert_prints("step explode", 64, "there is no step 'explode'; the steps are: check-tpm");
    assert_prints("export --format csv /dev/null", 64, "'csv'");
    assert_prints("read-pcrs --pcrs 24", 64, "'24'");
    assert_prints("read-pcrs --bank sha1", 64, "'sha1'");
    assert_prints("sign-anchors --anchors-version 1 file", 64, "--key is missing");
    assert_prints("sign-anchors --key file file", 64, "--anchors-version is missing");
    assert_prints("sign-anchors --key file --anchors-version 0 file", 64, "'0'");
    assert_prints("sign-anchors --key file --anchors-version -1 file", 64, "'-1'");
    assert_prints("sign-anchors --key file --anchors-version 9223372036854775808 file", 64,
                  "'9223");
    assert_prints("install-anchors --first file", 64, "--first is no option");
}

static void a_failure_names_its_cause_and_ends_with_1(void **state)
{
    (void)state;
    assert_prints("install-anchors /nowhere/anchors.pem", 1, "/nowhere/anchors.pem");
}

/* An empty list would shut every HeNB out of the SeGW that takes it. */
static void a_list_of_devices_that_can_not_be_read_is_no_empty_one(void **state)
{
    (void)state;
    assert_prints("export --format swanctl /", 1, "/ can't be read: Is a directory");
    assert_prints("export --format swanctl /nonexistent", 1, "can't be read");
    assert_prints("export --format swanctl /dev/null", 0, "connections {");
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(help_and_version_are_there),
        cmocka_unit_test(the_help_of_a_command_has_its_own_options_alone),
        cmocka_unit_test(what_does_not_fit_is_refused_by_name),
        cmocka_unit_test(a_list_of_devices_that_can_not_be_read_is_no_empty_one),
        cmocka_unit_test(a_failure_names_its_cause_and_ends_with_1),
    };

    if (argc != 2)
        return 1;
    program = argv[1];
    return cmocka_run_group_tests(tests, NULL, NULL);
}
