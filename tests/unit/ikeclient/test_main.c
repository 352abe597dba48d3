/* What does ikeclient itself do: which arguments and files does it take, what does it want of the
 * bus, and how does it end? The bus is the test's, and nobody else is on it. */
#include "base/cleanup.h"
#include "base/local.h"
#include "tests/unit/temporary.h"

#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/un.h>
#include <sysexits.h>
#include <systemd/sd-bus.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/program.h"

enum { PATH_SIZE = TEMPORARY_PATH_SIZE + sizeof("/notices"), TURN_MS = 5, WORDS_MAX = 8 };

#define ONE "[segw]\naddress = 127.0.0.1\n[connection]\nreconnect = no\n"
#define TWO "[segw]\naddress = 127.0.0.1\n[connection one]\n[connection two]\n"

/* The answers of org.freedesktop.DBus to RequestName. */
enum { NAME_OWNED = 1, NAME_TAKEN = 3, NAME_FORBIDDEN = 100 };

/* A bus, and who is on it. */
typedef struct Stage {
    char folder[TEMPORARY_PATH_SIZE];
    char socket[PATH_SIZE], notices[PATH_SIZE], config[PATH_SIZE];
    int listener, notice_fd;
    uint32_t name_answer;
    sd_bus *client;
    pid_t pid;
    bool claimed;        /* it has asked for its name … */
    unsigned exchanges;  /* … and tred for so many exchanges */
    bool claimed_before; /* of both, the name first */
} Stage;

static const char *program;

static void config_write(const Stage *stage, const char *text)
{
    FILE *file = fopen(stage->config, "we");

    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static int begin(void **state)
{
    Stage *stage = test_calloc(1, sizeof(*stage));
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    char variable[PATH_SIZE + sizeof("unix:path=")];

    temporary_path("ikeclient", stage->folder);
    assert_non_null(mkdtemp(stage->folder));
    (void)snprintf(stage->socket, sizeof(stage->socket), "%s/bus", stage->folder);
    (void)snprintf(stage->notices, sizeof(stage->notices), "%s/notices", stage->folder);
    (void)snprintf(stage->config, sizeof(stage->config), "%s/conf", stage->folder);
    stage->name_answer = NAME_OWNED;
    stage->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    (void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", stage->socket);
    assert_int_equal(bind(stage->listener, (const struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(stage->listener, 1), 0);
    stage->notice_fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    (void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", stage->notices);
    assert_int_equal(bind(stage->notice_fd, (const struct sockaddr *)&address, sizeof(address)), 0);
    (void)snprintf(variable, sizeof(variable), "unix:path=%s", stage->socket);
    assert_int_equal(setenv("DBUS_SYSTEM_BUS_ADDRESS", variable, 1), 0);
    assert_int_equal(setenv("NOTIFY_SOCKET", stage->notices, 1), 0);
    config_write(stage, ONE);
    *state = stage;
    return 0;
}

static int end(void **state)
{
    Stage *stage = *state;

    sd_bus_close_unref(stage->client);
    close_fdp(&stage->listener);
    close_fdp(&stage->notice_fd);
    (void)unlink(stage->socket);
    (void)unlink(stage->notices);
    (void)unlink(stage->config);
    assert_int_equal(rmdir(stage->folder), 0);
    test_free(stage);
    return 0;
}

/* ---- the bus ---- */

static int answer_name(Stage *stage, sd_bus_message *m)
{
    stage->claimed = true;
    if (stage->name_answer == NAME_FORBIDDEN)
        return sd_bus_reply_method_errorf(m, SD_BUS_ERROR_ACCESS_DENIED, "no");
    return sd_bus_reply_method_return(m, "u", stage->name_answer);
}

static int on_message(sd_bus_message *m, void *userdata, sd_bus_error *unused)
{
    static const char daemon[] = "org.freedesktop.DBus";
    Stage *stage = userdata;
    (void)unused;

    if (sd_bus_message_is_method_call(m, daemon, "Hello"))
        return sd_bus_reply_method_return(m, "s", ":1.1");
    if (sd_bus_message_is_method_call(m, daemon, "RequestName"))
        return answer_name(stage, m);
    if (sd_bus_message_is_method_call(m, daemon, NULL))
        return sd_bus_reply_method_return(m, "");
    if (!sd_bus_message_is_method_call(m, NULL, NULL))
        return 1;
    if (sd_bus_message_is_method_call(m, "org.freedesktop.DBus.Properties", "GetAll")) {
        stage->exchanges++;
        stage->claimed_before = stage->claimed;
    }
    return sd_bus_reply_method_errorf(m, SD_BUS_ERROR_NAME_HAS_NO_OWNER, "nobody");
}

static void client_take(Stage *stage)
{
    struct pollfd polled = {.fd = stage->listener, .events = POLLIN};
    sd_id128_t id;

    if (poll(&polled, 1, TURN_MS) <= 0)
        return;
    const int fd = accept4(stage->listener, NULL, NULL, SOCK_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(sd_id128_randomize(&id), 0);
    assert_true(sd_bus_new(&stage->client) >= 0);
    assert_true(sd_bus_set_fd(stage->client, fd, fd) >= 0);
    assert_true(sd_bus_set_server(stage->client, true, id) >= 0);
    assert_true(sd_bus_set_anonymous(stage->client, true) >= 0);
    assert_true(sd_bus_negotiate_fds(stage->client, true) >= 0);
    assert_true(sd_bus_add_filter(stage->client, NULL, on_message, stage) >= 0);
    assert_true(sd_bus_start(stage->client) >= 0);
}

static void turn(Stage *stage)
{
    if (!stage->client) {
        client_take(stage);
    } else if (sd_bus_process(stage->client, NULL) == 0) {
        (void)sd_bus_wait(stage->client, (uint64_t)TURN_MS * 1000);
    }
}

/* The status that it ends with; the test's own time limit ends the wait for one that does not. */
static int status_at_end(Stage *stage)
{
    siginfo_t ended = {0};

    while (waitid(P_PID, (id_t)stage->pid, &ended, WEXITED | WNOHANG | WNOWAIT) == 0 &&
           ended.si_pid == 0)
        turn(stage);
    return program_status(stage->pid);
}

/* Starts it with the file that config_write() wrote last, and these words. */
#define START(stage, ...)                                                                          \
    start(stage, (const char *const[WORDS_MAX]){program, "--config", (stage)->config, __VA_ARGS__})

static void start(Stage *stage, const char *const *words)
{
    stage->pid = program_start(words, -1);
}

/* Waits for this notice to systemd. */
static void await_notice(Stage *stage, const char *notice)
{
    char heard[256] = "";

    while (strcmp(heard, notice) != 0) {
        const ssize_t size = recv(stage->notice_fd, heard, sizeof(heard) - 1, 0);

        heard[size > 0 ? size : 0] = 0;
        turn(stage);
    }
}

/* ---- what is asked ---- */

static int status_of(const char *first, const char *second)
{
    const char *const words[] = {program, first, second, NULL};

    return program_status(program_start(words, -1));
}

static void what_is_no_argument_of_its_own_is_refused(void **state)
{
    (void)state;
    assert_int_equal(status_of("more", NULL), EX_USAGE);
    assert_int_equal(status_of("--colour", NULL), EX_USAGE);
    assert_int_equal(status_of("--config", NULL), EX_USAGE);
    assert_int_equal(status_of("--count", NULL), EX_USAGE);
    assert_int_equal(status_of("--once", "more"), EX_USAGE);
}

/* Where it is taken, the next is that there are two connections. */
static void a_count_is_a_number_from_1_to_a_million(void **state)
{
    static const char *const taken[] = {"1", "9", "1000000", "0001"};
    static const char *const refused[] = {"",
                                          "0",
                                          "-1",
                                          "+1",
                                          " 1",
                                          "1 ",
                                          "1s",
                                          "0x10",
                                          "1000001",
                                          "4294967297",
                                          "99999999999999999999"};
    Stage *stage = *state;

    config_write(stage, TWO);
    for (size_t i = 0; i < ELEMENTS(taken); i++) {
        START(stage, "--count", taken[i]);
        assert_int_equal(program_status(stage->pid), EX_CONFIG);
    }
    for (size_t i = 0; i < ELEMENTS(refused); i++) {
        START(stage, "--count", refused[i]);
        assert_int_equal(program_status(stage->pid), EX_USAGE);
    }
}

static void without_a_configuration_that_is_right_it_does_not_begin(void **state)
{
    Stage *stage = *state;

    assert_int_equal(status_of("--config", "/nonexistent"), EX_CONFIG);
    config_write(stage, "[segw]\n");
    START(stage);
    assert_int_equal(program_status(stage->pid), EX_CONFIG);
}

static void once_is_for_a_file_with_one_connection(void **state)
{
    Stage *stage = *state;

    config_write(stage, TWO);
    START(stage, "--once");
    assert_int_equal(program_status(stage->pid), EX_CONFIG);
    config_write(stage, ONE);
    START(stage, "--once");
    assert_int_equal(status_at_end(stage), 1);
}

static void without_a_bus_it_ends_and_says_that_none_is_there(void **state)
{
    Stage *stage = *state;

    close_fdp(&stage->listener);
    START(stage);
    assert_int_equal(program_status(stage->pid), EX_UNAVAILABLE);
}

static void beside_another_of_its_name_it_asks_tred_for_nothing(void **state)
{
    Stage *stage = *state;

    stage->name_answer = NAME_TAKEN;
    START(stage);
    assert_int_equal(status_at_end(stage), EX_UNAVAILABLE);
    assert_true(stage->claimed);
    assert_int_equal(stage->exchanges, 0);
}

static void where_the_bus_does_not_let_it_have_its_name_the_right_is_missing(void **state)
{
    Stage *stage = *state;

    stage->name_answer = NAME_FORBIDDEN;
    START(stage);
    assert_int_equal(status_at_end(stage), EX_NOPERM);
    assert_int_equal(stage->exchanges, 0);
}

static void it_has_its_name_before_it_asks_tred_for_anything(void **state)
{
    Stage *stage = *state;

    START(stage, "--once");
    assert_int_equal(status_at_end(stage), 1);
    assert_true(stage->exchanges > 0);
    assert_true(stage->claimed_before);
}

/* ---- how it ends ---- */

static void one_connection_that_fails_is_tried_once(void **state)
{
    Stage *stage = *state;

    START(stage, "--once");
    assert_int_equal(status_at_end(stage), 1);
    assert_int_equal(stage->exchanges, 1);
}

static void a_count_is_how_many_are_tried(void **state)
{
    Stage *stage = *state;

    START(stage, "--count", "3");
    assert_int_equal(status_at_end(stage), 1);
    assert_int_equal(stage->exchanges, 3);
}

static void a_service_that_is_stopped_ends_well_and_tells_systemd(void **state)
{
    static const int stopping[] = {SIGTERM, SIGINT};
    Stage *stage = *state;

    for (size_t i = 0; i < ELEMENTS(stopping); i++) {
        START(stage);
        await_notice(stage, "READY=1");
        assert_int_equal(kill(stage->pid, stopping[i]), 0);
        await_notice(stage, "STOPPING=1");
        assert_int_equal(status_at_end(stage), EX_OK);
        stage->client = sd_bus_close_unref(stage->client);
    }
}

static void a_service_whose_bus_has_gone_ends_with_what_makes_systemd_start_it_again(void **state)
{
    Stage *stage = *state;

    START(stage);
    await_notice(stage, "READY=1");
    stage->client = sd_bus_close_unref(stage->client);
    close_fdp(&stage->listener);
    assert_int_equal(program_status(stage->pid), EX_UNAVAILABLE);
}

/* ---- what it has ---- */

static void it_gives_up_every_capability_and_the_way_back_to_one(void **state)
{
    Stage *stage = *state;

    START(stage);
    await_notice(stage, "READY=1");
    assert_int_equal(program_field(stage->pid, "CapPrm:"), 0);
    assert_int_equal(program_field(stage->pid, "CapEff:"), 0);
    assert_int_equal(program_field(stage->pid, "CapInh:"), 0);
    assert_int_equal(program_field(stage->pid, "NoNewPrivs:"), 1);
    assert_int_equal(kill(stage->pid, SIGTERM), 0);
    assert_int_equal(status_at_end(stage), EX_OK);
}

static rlim_t descriptors_of(Stage *stage, const char *config)
{
    struct rlimit limit;

    config_write(stage, config);
    START(stage);
    await_notice(stage, "READY=1");
    assert_int_equal(prlimit(stage->pid, RLIMIT_NOFILE, NULL, &limit), 0);
    assert_int_equal(kill(stage->pid, SIGTERM), 0);
    assert_int_equal(status_at_end(stage), EX_OK);
    stage->client = sd_bus_close_unref(stage->client);
    return limit.rlim_cur;
}

static void
with_more_than_one_connection_it_may_have_as_many_descriptors_as_the_unit_allows(void **state)
{
    enum { FEW = 200 };
    struct rlimit before;

    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    const struct rlimit limit = {.rlim_cur = FEW, .rlim_max = before.rlim_max};
    assert_true(limit.rlim_max > FEW);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    assert_int_equal(descriptors_of(*state, ONE), FEW);
    assert_int_equal(descriptors_of(*state, TWO), limit.rlim_max);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
}

#define MAIN_TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_no_argument_of_its_own_is_refused),
        MAIN_TEST(a_count_is_a_number_from_1_to_a_million),
        MAIN_TEST(without_a_configuration_that_is_right_it_does_not_begin),
        MAIN_TEST(once_is_for_a_file_with_one_connection),
        MAIN_TEST(without_a_bus_it_ends_and_says_that_none_is_there),
        MAIN_TEST(beside_another_of_its_name_it_asks_tred_for_nothing),
        MAIN_TEST(where_the_bus_does_not_let_it_have_its_name_the_right_is_missing),
        MAIN_TEST(it_has_its_name_before_it_asks_tred_for_anything),
        MAIN_TEST(one_connection_that_fails_is_tried_once),
        MAIN_TEST(a_count_is_how_many_are_tried),
        MAIN_TEST(a_service_that_is_stopped_ends_well_and_tells_systemd),
        MAIN_TEST(a_service_whose_bus_has_gone_ends_with_what_makes_systemd_start_it_again),
        MAIN_TEST(it_gives_up_every_capability_and_the_way_back_to_one),
        MAIN_TEST(with_more_than_one_connection_it_may_have_as_many_descriptors_as_the_unit_allows),
    };

    if (argc != 2)
        return 1;
    program = argv[1];
    return cmocka_run_group_tests_name("ikeclient", tests, NULL, NULL);
}
