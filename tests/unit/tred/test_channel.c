/* Is each connection past the bus daemon one caller's, and gone with all that it held when it
 * ends? sd-bus is the real one; the linker puts functions before its own that count and fail (ld
 * --wrap). */
#include "tred/channel.h"

#include "tred/bus.h"
#include "tred/bus_call.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

enum { STEPS = 15 };

typedef struct Bench {
    Daemon daemon;
    unsigned failing; /* the step that fails, from 1; 0: none */
    unsigned step;
    sd_bus_message_handler_t filters[2];
    unsigned n_filters;
    bool anonymous, server, descriptors;
    uint64_t unread;
    int unread_result;
    unsigned closed;
} Bench;

static Bench bench;

int __real_sd_bus_new(sd_bus **ret);
int __real_socketpair(int domain, int type, int protocol, int *ret);
int __wrap_sd_bus_new(sd_bus **ret);
int __wrap_socketpair(int domain, int type, int protocol, int *ret);
int __real_fcntl64(int fd, int command, ...);
int __wrap_fcntl64(int fd, int command, ...);
int __real_sd_bus_set_description(sd_bus *bus, const char *name);
int __real_sd_bus_set_fd(sd_bus *bus, int input, int output);
int __real_sd_bus_set_server(sd_bus *bus, int server, sd_id128_t id);
int __real_sd_bus_set_anonymous(sd_bus *bus, int anonymous);
int __real_sd_bus_negotiate_fds(sd_bus *bus, int descriptors);
int __real_sd_bus_start(sd_bus *bus);
int __real_sd_bus_attach_event(sd_bus *bus, sd_event *event, int priority);
int __wrap_sd_bus_set_description(sd_bus *bus, const char *name);
int __wrap_sd_bus_set_fd(sd_bus *bus, int input, int output);
int __wrap_sd_bus_set_server(sd_bus *bus, int server, sd_id128_t id);
int __wrap_sd_bus_set_anonymous(sd_bus *bus, int anonymous);
int __wrap_sd_bus_negotiate_fds(sd_bus *bus, int descriptors);
int __wrap_sd_bus_start(sd_bus *bus);
int __wrap_sd_bus_attach_event(sd_bus *bus, sd_event *event, int priority);
int __wrap_sd_bus_add_filter(sd_bus *bus, sd_bus_slot **ret, sd_bus_message_handler_t callback,
                             void *userdata);
int __wrap_bus_manager_register_channel(Daemon *daemon, sd_bus *channel);
int __wrap_bus_exchange_register_channel(Daemon *daemon, sd_bus *channel);
int __wrap_sd_bus_get_n_queued_write(sd_bus *bus, uint64_t *ret);
sd_bus *__wrap_sd_bus_message_get_bus(sd_bus_message *message);
void __wrap_sd_bus_close(sd_bus *bus);
const char *__wrap_call_sender(sd_bus_message *call);

static int step(void)
{
    return ++bench.step == bench.failing ? -EIO : 0;
}

int __wrap_sd_bus_new(sd_bus **ret)
{
    int r = step();

    return r < 0 ? r : __real_sd_bus_new(ret);
}

int __wrap_socketpair(int domain, int type, int protocol, int *ret)
{
    if (step() == 0)
        return __real_socketpair(domain, type, protocol, ret);
    errno = EIO;
    return -1;
}

int __wrap_fcntl64(int fd, int command, ...)
{
    va_list arguments;

    va_start(arguments, command);
    int argument = va_arg(arguments, int);
    va_end(arguments);
    if (command != F_DUPFD_CLOEXEC || step() == 0)
        return __real_fcntl64(fd, command, argument);
    errno = EIO;
    return -1;
}

int __wrap_sd_bus_set_description(sd_bus *bus, const char *name)
{
    int r = step();

    if (r >= 0)
        r = __real_sd_bus_set_description(bus, name);
    return r < 0 ? r : 0;
}

int __wrap_sd_bus_set_fd(sd_bus *bus, int input, int output)
{
    int r = step();

    return r < 0 ? r : __real_sd_bus_set_fd(bus, input, output);
}

int __wrap_sd_bus_set_server(sd_bus *bus, int server, sd_id128_t id)
{
    int r = step();

    bench.server = server;
    return r < 0 ? r : __real_sd_bus_set_server(bus, server, id);
}

int __wrap_sd_bus_set_anonymous(sd_bus *bus, int anonymous)
{
    int r = step();

    bench.anonymous = anonymous;
    return r < 0 ? r : __real_sd_bus_set_anonymous(bus, anonymous);
}

int __wrap_sd_bus_negotiate_fds(sd_bus *bus, int descriptors)
{
    int r = step();

    bench.descriptors = descriptors;
    return r < 0 ? r : __real_sd_bus_negotiate_fds(bus, descriptors);
}

int __wrap_sd_bus_start(sd_bus *bus)
{
    int r = step();

    return r < 0 ? r : __real_sd_bus_start(bus);
}

int __wrap_sd_bus_attach_event(sd_bus *bus, sd_event *event, int priority)
{
    int r = step();

    return r < 0 ? r : __real_sd_bus_attach_event(bus, event, priority);
}

int __wrap_sd_bus_add_filter(sd_bus *bus, sd_bus_slot **ret, sd_bus_message_handler_t callback,
                             void *userdata)
{
    (void)bus, (void)ret;
    assert_ptr_equal(userdata, &bench.daemon);
    bench.filters[bench.n_filters++ % 2] = callback;
    return step();
}

int __wrap_bus_manager_register_channel(Daemon *daemon, sd_bus *channel)
{
    (void)daemon, (void)channel;
    return step();
}

int __wrap_bus_exchange_register_channel(Daemon *daemon, sd_bus *channel)
{
    (void)daemon, (void)channel;
    return step();
}

int __wrap_sd_bus_get_n_queued_write(sd_bus *bus, uint64_t *ret)
{
    (void)bus;
    *ret = bench.unread;
    return bench.unread_result;
}

sd_bus *__wrap_sd_bus_message_get_bus(sd_bus_message *message)
{
    (void)message;
    return NULL;
}

void __wrap_sd_bus_close(sd_bus *bus)
{
    (void)bus;
    bench.closed++;
}

const char *__wrap_call_sender(sd_bus_message *call)
{
    (void)call;
    return ":1.1";
}

static size_t descriptors_open(void)
{
    DIR *folder = opendir("/proc/self/fd");
    size_t count = 0;

    assert_non_null(folder);
    while (readdir(folder))
        count++;
    (void)closedir(folder);
    return count;
}

static int bench_init(void **state)
{
    (void)state;
    memset(&bench, 0, sizeof(bench));
    return sd_event_new(&bench.daemon.event);
}

static int bench_deinit(void **state)
{
    (void)state;
    channels_close_all(&bench.daemon);
    sd_event_unref(bench.daemon.event);
    return 0;
}

static int open_for(const char *name)
{
    int fd = -1;

    assert_int_equal(channel_open(&bench.daemon, name, &fd), 0);
    assert_true(fd >= 0);
    return fd;
}

static bool is_over(int fd)
{
    char octet;

    return recv(fd, &octet, 1, MSG_DONTWAIT) == 0;
}

static void a_channel_is_served_without_asking_who_is_there(void **state)
{
    int fd = open_for(":1.1");

    (void)state;
    assert_int_equal(bench.step, STEPS);
    assert_true(bench.server && bench.anonymous && bench.descriptors);
    assert_int_equal(bench.n_filters, 2);
    assert_ptr_equal(bench.filters[1], bus_admit_filter);
    assert_false(is_over(fd));
    close(fd);
}

static void each_name_has_one_and_it_ends_with_the_name(void **state)
{
    int first = open_for(":1.1"), second = open_for(":1.2"), third = open_for(":1.3");

    (void)state;
    /* Another one of the same name's takes the first one's place. */
    int again = open_for(":1.2");
    assert_true(is_over(second));
    channel_close(&bench.daemon, ":1.4");
    channel_close(&bench.daemon, ":1.1");
    assert_true(is_over(first));
    assert_false(is_over(third));
    assert_false(is_over(again));
    channels_close_all(&bench.daemon);
    assert_true(is_over(third));
    assert_true(is_over(again));
    close(first);
    close(second);
    close(third);
    close(again);
}

static void there_are_so_many_and_no_more(void **state)
{
    int fds[CHANNELS_MAX], more = -1;
    char name[16];

    (void)state;
    for (unsigned i = 0; i < CHANNELS_MAX; i++) {
        (void)snprintf(name, sizeof(name), ":1.%u", i);
        fds[i] = open_for(name);
    }
    assert_int_equal(channel_open(&bench.daemon, ":1.999", &more), -EBUSY);
    assert_int_equal(more, -1);
    /* Who has one may have another in its place. */
    close(fds[0]);
    fds[0] = open_for(":1.0");
    channel_close(&bench.daemon, ":1.1");
    close(fds[1]);
    fds[1] = open_for(":1.999");
    for (unsigned i = 0; i < CHANNELS_MAX; i++)
        close(fds[i]);
}

static void whatever_fails_leaves_neither_channel_nor_descriptor(void **state)
{
    const size_t before = descriptors_open();

    (void)state;
    for (unsigned failing = 1; failing <= STEPS; failing++) {
        int fd = -1;

        bench.step = 0;
        bench.failing = failing;
        assert_int_equal(channel_open(&bench.daemon, ":1.1", &fd), -EIO);
        assert_int_equal(bench.step, failing);
        assert_int_equal(fd, -1);
        assert_null(bench.daemon.channels);
        assert_int_equal(descriptors_open(), before);
    }
}

static void whoever_reads_no_answers_is_cut_off(void **state)
{
    int fd = open_for(":1.1");

    (void)state;
    bench.unread = CHANNEL_UNREAD_MAX;
    assert_int_equal(bench.filters[0](NULL, &bench.daemon, NULL), 0);
    assert_int_equal(bench.closed, 0);
    bench.unread++;
    assert_int_equal(bench.filters[0](NULL, &bench.daemon, NULL), 1);
    assert_int_equal(bench.closed, 1);
    /* Of a connection that is over nothing is known. */
    bench.unread_result = -ENOTCONN;
    assert_int_equal(bench.filters[0](NULL, &bench.daemon, NULL), 0);
    assert_int_equal(bench.closed, 1);
    close(fd);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, bench_init, bench_deinit)
    const struct CMUnitTest tests[] = {
        TEST(a_channel_is_served_without_asking_who_is_there),
        TEST(each_name_has_one_and_it_ends_with_the_name),
        TEST(there_are_so_many_and_no_more),
        TEST(whatever_fails_leaves_neither_channel_nor_descriptor),
        TEST(whoever_reads_no_answers_is_cut_off),
    };

    return cmocka_run_group_tests_name("channel", tests, NULL, NULL);
}
