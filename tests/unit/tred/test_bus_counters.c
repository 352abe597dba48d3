/* Is whoever asks for counters answered with those of now, and how often is the data plane asked?
 * Bus, data plane and event loop are played (ld --wrap). */
#include "bus_message_fixture.h"
#include "event_fixture.h"
#include "tred/bus_exchange_internal.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

enum { PERIOD_USEC = 100 * 1000 };

typedef struct Bench {
    Daemon daemon;
    CallerExchange held;
    bool there; /* the exchange */
    const char *method, *interface, *property, *path;
    int count_result;
    unsigned counted, errors, gets;
    void (*done)(void *userdata);
    size_t n_children;
} Bench;

static Bench bench;

int __wrap_sd_bus_message_is_method_call(sd_bus_message *call, const char *interface,
                                         const char *member);
int __wrap_sd_bus_message_rewind(sd_bus_message *call, int complete);
const char *__wrap_sd_bus_message_get_path(sd_bus_message *call);
int __wrap_sd_bus_reply_method_errorf(sd_bus_message *call, const char *name, const char *format,
                                      ...);
int __wrap_bus_read(sd_bus_message *call, const char *types, ...);
int __wrap_bus_manager_get(sd_bus *bus, const char *path, const char *interface,
                           const char *property, sd_bus_message *reply, void *userdata,
                           sd_bus_error *error);
int __wrap_bus_exchange_get(sd_bus *bus, const char *path, const char *interface,
                            const char *property, sd_bus_message *reply, void *userdata,
                            sd_bus_error *error);
CallerExchange *__wrap_bus_exchange_of_path(const Daemon *daemon, const char *path);
size_t __wrap_exchange_children(const Exchange *exchange, ChildStatus *ret);
int __wrap_dataplane_count(DataPlane *plane, void (*done)(void *userdata), void *userdata);

int __wrap_sd_bus_message_is_method_call(sd_bus_message *call, const char *interface,
                                         const char *member)
{
    (void)call, (void)interface;
    return strcmp(member, bench.method) == 0;
}

int __wrap_sd_bus_message_rewind(sd_bus_message *call, int complete)
{
    (void)call, (void)complete;
    return 0;
}

const char *__wrap_sd_bus_message_get_path(sd_bus_message *call)
{
    (void)call;
    return bench.path;
}

int __wrap_sd_bus_reply_method_errorf(sd_bus_message *call, const char *name, const char *format,
                                      ...)
{
    (void)call, (void)name, (void)format;
    bench.errors++;
    return 1;
}

int __wrap_bus_read(sd_bus_message *call, const char *types, ...)
{
    va_list values;

    (void)call;
    assert_string_equal(types, "ss");
    if (!bench.interface)
        return -EBADMSG;
    va_start(values, types);
    *va_arg(values, const char **) = bench.interface;
    *va_arg(values, const char **) = bench.property;
    va_end(values);
    return 0;
}

int __wrap_bus_manager_get(sd_bus *bus, const char *path, const char *interface,
                           const char *property, sd_bus_message *reply, void *userdata,
                           sd_bus_error *error)
{
    (void)bus, (void)path, (void)interface, (void)reply, (void)error;
    assert_ptr_equal(userdata, &bench.daemon);
    bench.gets++;
    bus_message_write("=%s ", property);
    return bus_message_step();
}

int __wrap_bus_exchange_get(sd_bus *bus, const char *path, const char *interface,
                            const char *property, sd_bus_message *reply, void *userdata,
                            sd_bus_error *error)
{
    (void)bus, (void)path, (void)interface, (void)reply, (void)error;
    assert_ptr_equal(userdata, &bench.held);
    bench.gets++;
    bus_message_write("=%s ", property);
    return bus_message_step();
}

CallerExchange *__wrap_bus_exchange_of_path(const Daemon *daemon, const char *path)
{
    (void)daemon;
    return bench.there && strcmp(path, "/exchange") == 0 ? &bench.held : NULL;
}

size_t __wrap_exchange_children(const Exchange *exchange, ChildStatus *ret)
{
    (void)exchange;
    for (size_t i = 0; i < bench.n_children; i++) {
        ret[i] = (ChildStatus){.spi_in = (uint32_t)(i + 1), .suite = "s"};
        ret[i].counters.packets_in = 42;
        ret[i].counters.idle_in_ms = 43;
    }
    return bench.n_children;
}

int __wrap_dataplane_count(DataPlane *plane, void (*done)(void *userdata), void *userdata)
{
    (void)plane;
    assert_ptr_equal(userdata, &bench.daemon);
    bench.counted++;
    bench.done = done;
    return bench.count_result;
}

/* Somebody gets an exchange's Children, for the first time. */
static int bench_init(void **state)
{
    (void)state;
    memset(&bench, 0, sizeof(bench));
    events = (EventFixture){0};
    bus_messages_reset(0);
    bench.there = true;
    bench.method = "Get";
    bench.interface = BUS_EXCHANGE_INTERFACE;
    bench.property = "Children";
    bench.path = "/exchange";
    events.now = 10 * PERIOD_USEC;
    return 0;
}

static int filter(void)
{
    return bus_counters_filter(bus_message_number(1), &bench.daemon, NULL);
}

static void who_gets_a_counted_property_is_answered_once_it_is_counted(void **state)
{
    static const struct {
        const char *interface, *property, *path, *text;
    } cases[] = {
        {BUS_EXCHANGE_INTERFACE, "Children", "/exchange", "vaa{sv}[=Children ]"},
        {BUS_MANAGER_INTERFACE, "Totals", BUS_MANAGER_PATH, "va{st}[=Totals ]"},
        {BUS_MANAGER_INTERFACE, "CleartextDropsIn", BUS_MANAGER_PATH, "vt[=CleartextDropsIn ]"},
        {BUS_MANAGER_INTERFACE, "CleartextDropsOut", BUS_MANAGER_PATH, "vt[=CleartextDropsOut ]"},
    };

    for (size_t i = 0; i < ELEMENTS(cases); i++) {
        (void)bench_init(state);
        bench.interface = cases[i].interface;
        bench.property = cases[i].property;
        bench.path = cases[i].path;
        assert_int_equal(filter(), 1);
        assert_int_equal(bench.counted, 1);
        assert_int_equal(bus_messages.sent, 0);
        bench.done(&bench.daemon);
        assert_string_equal(bus_messages.text, cases[i].text);
        assert_int_equal(bus_messages.sent, 1);
        assert_int_equal(bus_messages.depth, 0);
        assert_int_equal(bus_messages.references, 0);
        assert_int_equal(bench.daemon.n_counting, 0);
    }
}

static void any_other_call_is_none_of_its(void **state)
{
    for (int i = 0; i < 6; i++) {
        (void)bench_init(state);
        if (i == 0)
            bench.method = "GetAll";
        if (i == 1)
            bench.interface = NULL; /* its arguments are others */
        if (i == 2)
            bench.property = "State";
        if (i == 3)
            bench.interface = BUS_MANAGER_INTERFACE; /* which has no Children */
        if (i == 4)
            bench.there = false;
        if (i == 5) {
            bench.interface = BUS_MANAGER_INTERFACE;
            bench.property = "Totals"; /* of what is no Manager */
        }
        assert_int_equal(filter(), 0);
        assert_int_equal(bench.counted, 0);
        assert_int_equal(bench.daemon.n_counting, 0);
    }
}

static void so_many_wait_and_the_next_has_what_came_last(void **state)
{
    (void)state;
    for (int i = 0; i < DAEMON_COUNTING_MAX; i++)
        assert_int_equal(filter(), 1);
    assert_int_equal(filter(), 0);
    assert_int_equal(bench.daemon.n_counting, DAEMON_COUNTING_MAX);
    bench.done(&bench.daemon);
    assert_int_equal(bus_messages.sent, DAEMON_COUNTING_MAX);
    assert_int_equal(bus_messages.references, 0);
}

static void the_data_plane_is_asked_ten_times_a_second_at_most(void **state)
{
    (void)state;
    assert_int_equal(filter(), 1);
    assert_int_equal(bench.counted, 1);
    events.now += PERIOD_USEC - 1;
    assert_int_equal(filter(), 1);
    assert_int_equal(bench.counted, 1);
    assert_int_equal(events.added + events.enabled, 1);
    assert_int_equal(events.usec, 11 * PERIOD_USEC);
    assert_int_equal(filter(), 1); /* by the same timer */
    assert_int_equal(events.added + events.enabled, 2);
    events.now++;
    assert_int_equal(events.on_time(NULL, 0, &bench.daemon), 0);
    assert_int_equal(bench.counted, 2);
    bench.done(&bench.daemon);
    /* Nobody is left, for whom it would be asked. */
    events.now += PERIOD_USEC;
    assert_int_equal(events.on_time(NULL, 0, &bench.daemon), 0);
    assert_int_equal(bench.counted, 2);
    assert_int_equal(filter(), 1);
    assert_int_equal(bench.counted, 3);
    bench.done(&bench.daemon);
}

static void where_nothing_can_be_counted_or_awaited_what_came_last_is_the_answer(void **state)
{
    (void)state;
    bench.count_result = -ENOTCONN;
    assert_int_equal(filter(), 1);
    assert_int_equal(bus_messages.sent, 1);
    for (int i = 0; i < 2; i++) {
        (void)bench_init(state);
        assert_int_equal(filter(), 1);
        if (i == 1) {
            assert_int_equal(filter(), 1); /* the timer is there */
            bench.daemon.count_timer = event_timer();
        }
        events.add_result = events.set_result = -ENOMEM;
        assert_int_equal(filter(), 1);
        assert_int_equal(bus_messages.sent, i == 1 ? 3 : 2);
        assert_int_equal(bench.daemon.n_counting, 0);
    }
    (void)bench_init(state);
    bench.count_result = -EBUSY; /* those on their way are for this one, too */
    assert_int_equal(filter(), 1);
    assert_int_equal(bus_messages.sent, 0);
    assert_int_equal(bench.daemon.n_counting, 1);
    bench.done(&bench.daemon);
}

static void an_exchange_that_has_gone_meanwhile_is_no_object(void **state)
{
    (void)state;
    assert_int_equal(filter(), 1);
    bench.there = false;
    bench.done(&bench.daemon);
    assert_int_equal(bench.errors, 1);
    assert_int_equal(bus_messages.sent, 0);
    assert_int_equal(bench.gets, 0);
}

static void whatever_step_of_an_answer_fails_none_is_sent(void **state)
{
    for (unsigned failing = 1; failing <= 4; failing++) {
        (void)bench_init(state);
        assert_int_equal(filter(), 1);
        bus_messages.failing = failing;
        bench.done(&bench.daemon);
        assert_int_equal(bus_messages.step, failing);
        assert_int_equal(bus_messages.sent, 0);
        assert_int_equal(bus_messages.references, 0);
    }
}

static void each_child_is_there_with_all_counters_or_nothing_is(void **state)
{
    (void)state;
    bench.n_children = 2;
    assert_true(bus_append_children(NULL, &bench.held) >= 0);
    assert_int_equal(bus_messages.depth, 0);
    assert_non_null(strstr(bus_messages.text, "aa{sv}[a{sv}[SpiIn 1 SpiOut 0 Suite s "));
    assert_non_null(strstr(bus_messages.text, "]a{sv}[SpiIn 2 "));
    assert_non_null(strstr(bus_messages.text, "PacketsIn 42 "));
    assert_non_null(strstr(bus_messages.text, "IdleInMilliseconds 43 "));
    const unsigned steps = bus_messages.step;
    for (unsigned failing = 1; failing <= steps; failing++) {
        bus_messages_reset(failing);
        assert_int_equal(bus_append_children(NULL, &bench.held), -EIO);
        assert_int_equal(bus_messages.step, failing);
    }
}

static void no_sum_is_made_of_how_long_an_sa_is_idle(void **state)
{
    const SaCounters counters = {
        .packets_in = 1, .bytes_out = 2, .idle_in_ms = 3, .idle_out_ms = 4};

    (void)state;
    assert_true(bus_append_counters(NULL, &counters, false, false) >= 0);
    assert_non_null(strstr(bus_messages.text, "PacketsIn 1 "));
    assert_non_null(strstr(bus_messages.text, "BytesOut 2 "));
    assert_null(strstr(bus_messages.text, "Idle"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(who_gets_a_counted_property_is_answered_once_it_is_counted,
                               bench_init),
        cmocka_unit_test_setup(any_other_call_is_none_of_its, bench_init),
        cmocka_unit_test_setup(so_many_wait_and_the_next_has_what_came_last, bench_init),
        cmocka_unit_test_setup(the_data_plane_is_asked_ten_times_a_second_at_most, bench_init),
        cmocka_unit_test_setup(where_nothing_can_be_counted_or_awaited_what_came_last_is_the_answer,
                               bench_init),
        cmocka_unit_test_setup(an_exchange_that_has_gone_meanwhile_is_no_object, bench_init),
        cmocka_unit_test_setup(whatever_step_of_an_answer_fails_none_is_sent, bench_init),
        cmocka_unit_test_setup(each_child_is_there_with_all_counters_or_nothing_is, bench_init),
        cmocka_unit_test_setup(no_sum_is_made_of_how_long_an_sa_is_idle, bench_init),
    };

    return cmocka_run_group_tests_name("bus counters", tests, NULL, NULL);
}
