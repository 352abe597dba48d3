/* What a daemon's command line may hold besides the program's own options. */
#include "base/commandline.h"

#include "base/cleanup.h"

#include <getopt.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sysexits.h>

#include <cmocka.h>

static const CommandLine line = {"program", "Usage: program\n"};

/* What `call` writes to `stream`, at most `size - 1` octets. */
#define CAPTURE(stream, text, call)                                                                \
    do {                                                                                           \
        FILE *file = tmpfile();                                                                    \
        assert_non_null(file);                                                                     \
        FILE *kept = stream;                                                                       \
        stream = file;                                                                             \
        call;                                                                                      \
        stream = kept;                                                                             \
        rewind(file);                                                                              \
        (text)[fread(text, 1, sizeof(text) - 1, file)] = '\0';                                     \
        (void)fclose(file);                                                                        \
    } while (0)

static void version_and_help_are_printed_and_end_well(void **state)
{
    (void)state;
    char text[64];
    int status = -1;

    CAPTURE(stdout, text, status = commandline_other(&line, 'v'));
    assert_int_equal(status, EX_OK);
    assert_string_equal(text, "program " TRED_VERSION "\n");
    CAPTURE(stdout, text, status = commandline_other(&line, 'h'));
    assert_int_equal(status, EX_OK);
    assert_string_equal(text, line.usage);
    assert_int_equal(commandline_other(&line, '?'), EX_USAGE);
}

static void an_argument_that_is_no_option_is_refused_by_name(void **state)
{
    (void)state;
    char *argv[] = {(char[]){"program"}, (char[]){"stray"}, NULL};
    char text[128];
    int status = -1;

    optind = 1;
    CAPTURE(stderr, text, status = commandline_end(&line, 2, argv));
    assert_int_equal(status, EX_USAGE);
    assert_string_equal(text, "program: unexpected argument \"stray\"; see program --help\n");
    optind = 2;
    assert_int_equal(commandline_end(&line, 2, argv), COMMANDLINE_GO_ON);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(version_and_help_are_printed_and_end_well),
        cmocka_unit_test(an_argument_that_is_no_option_is_refused_by_name),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
