/* What a daemon's command line may hold besides the program's own options. */
#include "base/program.h"

#include "base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <linux/capability.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/listen.h"

static const CommandLine line = {"program", "Usage: program\n", NULL, NULL};

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

static void an_argument_that_is_no_option_is_refused_by_name(void **state)
{
    (void)state;
    char *argv[] = {(char[]){"program"}, (char[]){"stray"}, NULL};
    char text[128];
    int status = -1;

    CAPTURE(stderr, text, status = commandline_read(&line, 2, argv, NULL, NULL));
    assert_int_equal(status, EX_USAGE);
    assert_string_equal(text, "program: unexpected argument \"stray\"; see program --help\n");
    assert_int_equal(commandline_read(&line, 1, argv, NULL, NULL), COMMANDLINE_GO_ON);
}

/* ---- by a table ---- */

static const CommandOption options[] = {
    {"config", "FILE", 'c', "the configuration"},
    {"json", NULL, 256, "print JSON"},
    {NULL, NULL, 0, NULL},
};
static const CommandLine of_program = {"program", "Usage: program\n", options, NULL};
static const CommandLine of_command = {"program go", "Usage: program go\n", options,
                                       "So it ends.\n"};

typedef struct Taken {
    const char *config;
    unsigned n_json;
    int end;
} Taken;

static int take(int value, const char *argument, void *userdata)
{
    Taken *taken = userdata;

    if (value == 'c')
        taken->config = argument;
    taken->n_json += value == 256;
    return taken->end;
}

enum { WORDS_MAX = 8, WORD_SIZE = 32 };

/* Reads the words of `text`, and what is written to `stream`. */
static int read_words(const CommandLine *line_of, const char *text, Taken *taken, char *out,
                      char *err)
{
    static char words[WORDS_MAX][WORD_SIZE];
    char *argv[WORDS_MAX + 1] = {0};
    int argc = 0, status = -2, length = 0;

    while (argc < WORDS_MAX && sscanf(text, "%31s%n", words[argc], &length) == 1) {
        argv[argc] = words[argc];
        argc++;
        text += length;
    }
    char both[2][1024];
    FILE *errors = tmpfile(), *kept_stderr = stderr;

    assert_non_null(errors);
    stderr = errors;
    CAPTURE(stdout, both[0], status = commandline_read(line_of, argc, argv, take, taken));
    stderr = kept_stderr;
    rewind(errors);
    both[1][fread(both[1], 1, sizeof(both[1]) - 1, errors)] = '\0';
    (void)fclose(errors);
    (void)snprintf(out, 1024, "%s", both[0]);
    (void)snprintf(err, 1024, "%s", both[1]);
    return status;
}

static void options_of_the_table_are_taken_in_either_form_and_any_order(void **state)
{
    (void)state;
    static const char *const lines[] = {"program -c f --json", "program --config=f --json",
                                        "program --json --config f"};
    char out[1024], err[1024];

    for (size_t i = 0; i < ELEMENTS(lines); i++) {
        Taken taken = {0};
        assert_int_equal(read_words(&of_program, lines[i], &taken, out, err), COMMANDLINE_GO_ON);
        assert_string_equal(taken.config, "f");
        assert_int_equal(taken.n_json, 1);
        assert_string_equal(out, "");
        assert_string_equal(err, "");
    }
    Taken taken = {0};
    assert_int_equal(read_words(&of_program, "program --json rest --config f", &taken, out, err),
                     EX_USAGE);
    assert_string_equal(err, "program: unexpected argument \"rest\"; see program --help\n");
}

static void help_is_made_of_the_table(void **state)
{
    (void)state;
    Taken taken = {0};
    char out[1024], err[1024];

    assert_int_equal(read_words(&of_command, "go --help", &taken, out, err), EX_OK);
    assert_string_equal(out, "Usage: program go\n\n"
                             "  -c, --config FILE  the configuration\n"
                             "      --json         print JSON\n"
                             "  -h, --help         print this and exit\n"
                             "\nSo it ends.\n");
    assert_int_equal(read_words(&of_program, "program -h", &taken, out, err), EX_OK);
    assert_non_null(strstr(out, "\n      --version      print the version and exit\n"));
}

static void a_program_has_a_version_and_its_commands_have_none(void **state)
{
    (void)state;
    Taken taken = {0};
    char out[1024], err[1024];

    assert_int_equal(read_words(&of_program, "program --version", &taken, out, err), EX_OK);
    assert_string_equal(out, "program " TRED_VERSION "\n");
    assert_int_equal(read_words(&of_command, "go --version", &taken, out, err), EX_USAGE);
    assert_string_equal(err, "program go: --version is no option; see program go --help\n");
}

static void what_is_wrong_with_an_option_is_said_in_one_form(void **state)
{
    (void)state;
    static const struct {
        const char *line, *said;
    } cases[] = {
        {"go --colour", "program go: --colour is no option; see program go --help\n"},
        {"go -x", "program go: -x is no option; see program go --help\n"},
        {"go --config", "program go: --config needs a value; see program go --help\n"},
        {"go -c", "program go: -c needs a value; see program go --help\n"},
        {"go --json=yes", "program go: --json=yes takes no value; see program go --help\n"},
    };
    char out[1024], err[1024];

    for (size_t i = 0; i < ELEMENTS(cases); i++) {
        Taken taken = {0};
        assert_int_equal(read_words(&of_command, cases[i].line, &taken, out, err), EX_USAGE);
        assert_string_equal(err, cases[i].said);
        assert_string_equal(out, "");
    }
}

static void a_command_is_found_behind_options_and_what_they_take(void **state)
{
    (void)state;
    static const struct {
        const char *words[6];
        int at;
    } cases[] = {
        {{"program", "go", "--json"}, 1},
        {{"program", "--config", "go", "go"}, 3},
        {{"program", "--config=f", "-cf", "--json", "go"}, 4},
        {{"program", "--unknown", "go"}, 2},
        {{"program", "--", "go"}, 2},
        {{"program", "--config"}, 2},
        {{"program"}, 1},
    };

    for (size_t i = 0; i < ELEMENTS(cases); i++) {
        char words[ELEMENTS(cases[i].words)][WORD_SIZE], *argv[ELEMENTS(cases[i].words) + 1] = {0};
        int argc = 0;

        for (; argc < (int)ELEMENTS(cases[i].words) && cases[i].words[argc]; argc++) {
            (void)snprintf(words[argc], WORD_SIZE, "%s", cases[i].words[argc]);
            argv[argc] = words[argc];
        }
        assert_int_equal(commandline_command(&of_program, argc, argv), cases[i].at);
    }
}

static void whoever_takes_an_option_can_end_it(void **state)
{
    (void)state;
    Taken taken = {.end = EX_DATAERR};
    char out[1024], err[1024];

    assert_int_equal(read_words(&of_command, "go --json --json", &taken, out, err), EX_DATAERR);
    assert_int_equal(taken.n_json, 1);
}

/* What limits locked memory, what rights there are, and what locking comes to. */
static struct {
    rlim_t limit;
    uint32_t effective;
    int limit_error, rights_error, lock_error;
    int locked; /* with these flags */
} memory;

int __wrap_getrlimit64(__rlimit_resource_t resource, struct rlimit *ret);
int __wrap_getrlimit64(__rlimit_resource_t resource, struct rlimit *ret)
{
    assert_int_equal(resource, RLIMIT_MEMLOCK);
    *ret = (struct rlimit){memory.limit, RLIM_INFINITY};
    return memory.limit_error;
}

long __wrap_syscall(long number, void *header, struct __user_cap_data_struct *ret);
long __wrap_syscall(long number, void *header, struct __user_cap_data_struct *ret)
{
    (void)header;
    assert_int_equal(number, SYS_capget);
    ret[0].effective = memory.effective;
    return memory.rights_error;
}

int __wrap_mlockall(int flags);
int __wrap_mlockall(int flags)
{
    memory.locked = flags;
    errno = ENOMEM;
    return memory.lock_error;
}

static void memory_is_locked_where_nothing_limits_that_and_else_it_is_said(void **state)
{
    static const struct {
        rlim_t limit;
        uint32_t effective;
        int limit_error, rights_error, lock_error;
        bool locks;
        const char *says;
    } cases[] = {
        {RLIM_INFINITY, 0, 0, 0, 0, true, ""},
        {65536, CAP_TO_MASK(CAP_IPC_LOCK), 0, 0, 0, true, ""},
        {65536, CAP_TO_MASK(CAP_NET_ADMIN), 0, 0, 0, false, "set LimitMEMLOCK=infinity"},
        {65536, CAP_TO_MASK(CAP_IPC_LOCK), 0, -1, 0, false, "set LimitMEMLOCK=infinity"},
        {RLIM_INFINITY, 0, -1, 0, 0, false, "set LimitMEMLOCK=infinity"},
        {RLIM_INFINITY, 0, 0, 0, -1, true, "mlockall: Cannot allocate memory. "},
    };

    (void)state;
    for (size_t i = 0; i < ELEMENTS(cases); i++) {
        char said[LISTEN_SIZE];

        memory.limit = cases[i].limit;
        memory.effective = cases[i].effective;
        memory.limit_error = cases[i].limit_error;
        memory.rights_error = cases[i].rights_error;
        memory.lock_error = cases[i].lock_error;
        memory.locked = 0;
        listen_to(memory_lock_all, said);
        assert_int_equal(memory.locked,
                         cases[i].locks ? MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT : 0);
        if (cases[i].says[0] == '\0') {
            assert_string_equal(said, "");
        } else {
            assert_non_null(strstr(said, cases[i].says));
        }
    }
}

/* In a child of this test's own; its status. */
static int child_status(int (*deed)(void))
{
    int status = 0;
    const pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0)
        _exit(deed());
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static int open_without_any(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        (void)close(fd);
    standard_open();
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        if (fcntl(fd, F_GETFD) < 0)
            return 1;
    }
    /* Neither is one that something could be read from or written to. */
    return write(STDOUT_FILENO, "x", 1) < 0 && read(STDIN_FILENO, &(char){0}, 1) < 0 ? 0 : 2;
}

static void what_is_not_open_of_the_three_is_nothing(void **state)
{
    (void)state;
    assert_int_equal(child_status(open_without_any), 0);
}

static int full_disk(int mode)
{
    if (dup2(open("/dev/full", O_WRONLY | O_CLOEXEC), STDOUT_FILENO) < 0 ||
        setvbuf(stdout, NULL, mode, 0) != 0)
        return 1;
    (void)fputs("x", stdout);
    return standard_finish("program", EX_OK);
}

static int full_disk_at_once(void)
{
    return full_disk(_IONBF);
}

static int full_disk_in_the_end(void)
{
    return full_disk(_IOFBF);
}

static void what_standard_output_did_not_take_is_an_error_whenever_that_was(void **state)
{
    (void)state;
    assert_int_equal(child_status(full_disk_at_once), EX_IOERR);
    assert_int_equal(child_status(full_disk_in_the_end), EX_IOERR);
}

/* systemd starts whoever ended so anew, but for the latter. */
static void a_configuration_that_nothing_was_left_to_read_with_is_no_wrong_one(void **state)
{
    static const int passing[] = {-ENOMEM, -EMFILE, -ENFILE};
    static const int lasting[] = {-EINVAL, -ENOENT, -EACCES, -EISDIR, -EFBIG, -EIO};

    (void)state;
    for (size_t i = 0; i < ELEMENTS(passing); i++)
        assert_int_equal(config_status(passing[i]), EX_OSERR);
    for (size_t i = 0; i < ELEMENTS(lasting); i++)
        assert_int_equal(config_status(lasting[i]), EX_CONFIG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(memory_is_locked_where_nothing_limits_that_and_else_it_is_said),
        cmocka_unit_test(what_is_not_open_of_the_three_is_nothing),
        cmocka_unit_test(what_standard_output_did_not_take_is_an_error_whenever_that_was),
        cmocka_unit_test(options_of_the_table_are_taken_in_either_form_and_any_order),
        cmocka_unit_test(help_is_made_of_the_table),
        cmocka_unit_test(a_program_has_a_version_and_its_commands_have_none),
        cmocka_unit_test(what_is_wrong_with_an_option_is_said_in_one_form),
        cmocka_unit_test(a_command_is_found_behind_options_and_what_they_take),
        cmocka_unit_test(whoever_takes_an_option_can_end_it),
        cmocka_unit_test(an_argument_that_is_no_option_is_refused_by_name),
        cmocka_unit_test(a_configuration_that_nothing_was_left_to_read_with_is_no_wrong_one),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
