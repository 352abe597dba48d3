/* In which order does tred start, what is left where a step fails, and what does it do as its data
 * plane fails and its loop ends? All that it consists of is played: the linker puts these functions
 * in the place of the real ones (ld --wrap). */
#include "tred/daemon.h"

#include "base/log.h"
#include "tred/bus.h"
#include "tred/bus_connection.h"
#include "tred/callers.h"
#include "tred/channel.h"
#include "tred/clock.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/resource.h>
#include <syslog.h>
#include <systemd/sd-daemon.h>

#include <cmocka.h>

enum { SPI = 0xc0ffee01 };

typedef struct Bench {
    Daemon daemon;
    char steps[512];
    const char *failing; /* the step that fails; NULL: none */
    int error;           /* with what */
    DataPlaneOptions options;
    sd_event_handler_t on_exit;
    sd_event_signal_handler_t on_reload;
    int64_t priority; /* of the first */
    bool floating;
    int loop_result;
    CallerExchange held;
    bool is_there;             /* the exchange with the Child SA */
    struct rlimit descriptors; /* as they are limited */
    bool is_fixed;             /* they stay so */
    unsigned descriptor_warnings;
    unsigned reached, hard, closed, freed, closed_all, counted, unprotected, loads, ready;
    char reason[256];
} Bench;

static Bench bench;

/* What is done, in order. */
static int step(const char *name)
{
    const size_t size = strlen(bench.steps);

    (void)snprintf(bench.steps + size, sizeof(bench.steps) - size, "%s ", name);
    return bench.failing && strcmp(bench.failing, name) == 0 ? bench.error : 0;
}

int __wrap_verifier_begin(const VerifierOptions *options, Verifier **ret, Reason *reason);
int __wrap_verifier_take(Verifier *verifier, Reason *reason);
int __wrap_sd_event_new(sd_event **ret);
int __wrap_sd_event_add_signal(sd_event *event, sd_event_source **ret, int number,
                               sd_event_signal_handler_t handler, void *userdata);
int __wrap_sd_event_add_exit(sd_event *event, sd_event_source **ret, sd_event_handler_t handler,
                             void *userdata);
int __wrap_sd_event_source_set_priority(sd_event_source *source, int64_t priority);
int __wrap_sd_event_source_set_floating(sd_event_source *source, int floating);
sd_event_source *__wrap_sd_event_source_unref(sd_event_source *source);
int __wrap_sd_event_set_watchdog(sd_event *event, int watchdog);
int __wrap_rest_new(sd_event *event, sd_event_source **ret);
int __wrap_sd_event_loop(sd_event *event);
int __wrap_identity_files(const TredConfig *config, DeviceFiles *ret, Reason *reason);
int __wrap_device_open(const char *path, const DeviceFiles *files, sd_event *event,
                       const DeviceCallbacks *callbacks, Device **ret);
int __wrap_bus_connection_open(sd_bus **ret, Reason *reason);
int __wrap_bus_connection_take_name(sd_bus *bus, Reason *reason);
int __wrap_callers_watch(Daemon *daemon);
int __wrap_bus_manager_register(Daemon *daemon);
int __wrap_bus_exchange_register(Daemon *daemon);
int __wrap_clock_start(Daemon *daemon);
int __wrap_rejudge_start(Daemon *daemon);
int __wrap_dataplane_begin(const DataPlaneOptions *options, DataPlane **ret, Reason *reason);
int __wrap_dataplane_await(DataPlane *plane, Reason *reason);
void __wrap_dataplane_unprotect(DataPlane *plane);
const char *__wrap_dataplane_name(const DataPlane *plane);
int __wrap_sd_bus_attach_event(sd_bus *bus, sd_event *event, int priority);
int __wrap_sd_bus_set_exit_on_disconnect(sd_bus *bus, int exits);
void __wrap_daemon_load_identity(Daemon *daemon);
void __wrap_daemon_ready_tell(Daemon *daemon);
CallerExchange *__wrap_caller_exchange_find_child(Daemon *daemon, uint32_t spi_in);
void __wrap_bus_exchange_lifetime_reached(const CallerExchange *held, uint32_t spi_in, bool hard);
void __wrap_bus_exchange_closed(const CallerExchange *held, const char *reason);
void __wrap_caller_exchange_free(CallerExchange *held);
void __wrap_callers_close_all(Daemon *daemon, const char *reason);
void __wrap_bus_exchange_children_counted(Daemon *daemon);
int __wrap_getrlimit64(int resource, struct rlimit *ret);
int __wrap_setrlimit64(int resource, const struct rlimit *limit);
void __wrap_log_line(int level, const char *format, ...);

int __wrap_verifier_begin(const VerifierOptions *options, Verifier **ret, Reason *reason)
{
    (void)options, (void)ret;
    return reason_set(reason, step("verifier"), "of the verifier");
}

int __wrap_verifier_take(Verifier *verifier, Reason *reason)
{
    (void)verifier;
    return reason_set(reason, step("profile"), "of the profile");
}

int __wrap_sd_event_new(sd_event **ret)
{
    (void)ret;
    return step("loop");
}

int __wrap_sd_event_add_signal(sd_event *event, sd_event_source **ret, int number,
                               sd_event_signal_handler_t handler, void *userdata)
{
    (void)event, (void)ret, (void)userdata;
    assert_true(number & SD_EVENT_SIGNAL_PROCMASK);
    switch (number & ~SD_EVENT_SIGNAL_PROCMASK) {
    case SIGTERM:
        assert_null(handler);
        return step("term");
    case SIGINT:
        assert_null(handler);
        return step("int");
    default:
        bench.on_reload = handler;
        return step("hup");
    }
}

int __wrap_sd_event_add_exit(sd_event *event, sd_event_source **ret, sd_event_handler_t handler,
                             void *userdata)
{
    (void)event, (void)ret, (void)userdata;
    bench.on_exit = handler;
    return step("exit");
}

int __wrap_sd_event_source_set_priority(sd_event_source *source, int64_t priority)
{
    (void)source;
    bench.priority = priority;
    return step("priority");
}

int __wrap_sd_event_source_set_floating(sd_event_source *source, int floating)
{
    (void)source;
    bench.floating = floating;
    return step("floating");
}

sd_event_source *__wrap_sd_event_source_unref(sd_event_source *source)
{
    (void)source;
    return NULL;
}

int __wrap_sd_event_set_watchdog(sd_event *event, int watchdog)
{
    (void)event;
    assert_true(watchdog);
    return step("watchdog");
}

int __wrap_rest_new(sd_event *event, sd_event_source **ret)
{
    (void)event, (void)ret;
    return step("rest");
}

int __wrap_sd_event_loop(sd_event *event)
{
    (void)event;
    return bench.loop_result;
}

int __wrap_identity_files(const TredConfig *config, DeviceFiles *ret, Reason *reason)
{
    (void)config, (void)ret;
    return reason_set(reason, step("files"), "of the files");
}

int __wrap_device_open(const char *path, const DeviceFiles *files, sd_event *event,
                       const DeviceCallbacks *callbacks, Device **ret)
{
    (void)path, (void)files, (void)event, (void)ret;
    assert_ptr_equal(callbacks->userdata, &bench.daemon);
    return step("device");
}

int __wrap_bus_connection_open(sd_bus **ret, Reason *reason)
{
    (void)ret;
    return reason_set(reason, step("bus"), "of the bus");
}

int __wrap_bus_connection_take_name(sd_bus *bus, Reason *reason)
{
    (void)bus;
    return reason_set(reason, step("name"), "of the name");
}

int __wrap_callers_watch(Daemon *daemon)
{
    (void)daemon;
    return step("callers");
}

int __wrap_bus_manager_register(Daemon *daemon)
{
    (void)daemon;
    return step("manager");
}

int __wrap_bus_exchange_register(Daemon *daemon)
{
    (void)daemon;
    return step("exchanges");
}

int __wrap_clock_start(Daemon *daemon)
{
    (void)daemon;
    return step("clock");
}

int __wrap_rejudge_start(Daemon *daemon)
{
    (void)daemon;
    return step("rejudge");
}

int __wrap_dataplane_begin(const DataPlaneOptions *options, DataPlane **ret, Reason *reason)
{
    *ret = (DataPlane *)(void *)&bench;
    bench.options = *options;
    return reason_set(reason, step("plane"), "of the plane");
}

int __wrap_dataplane_await(DataPlane *plane, Reason *reason)
{
    (void)plane;
    return reason_set(reason, step("opened"), "of the plane");
}

void __wrap_dataplane_unprotect(DataPlane *plane)
{
    (void)plane;
    bench.unprotected++;
}

const char *__wrap_dataplane_name(const DataPlane *plane)
{
    (void)plane;
    return "kernel";
}

int __wrap_sd_bus_attach_event(sd_bus *bus, sd_event *event, int priority)
{
    (void)bus, (void)event, (void)priority;
    return step("serve");
}

int __wrap_sd_bus_set_exit_on_disconnect(sd_bus *bus, int exits)
{
    (void)bus;
    assert_true(exits);
    return step("disconnect");
}

void __wrap_daemon_load_identity(Daemon *daemon)
{
    (void)daemon;
    bench.loads++;
    (void)step("load");
}

void __wrap_daemon_ready_tell(Daemon *daemon)
{
    assert_true(daemon->serves);
    bench.ready++;
}

CallerExchange *__wrap_caller_exchange_find_child(Daemon *daemon, uint32_t spi_in)
{
    (void)daemon;
    assert_int_equal(spi_in, SPI);
    return bench.is_there ? &bench.held : NULL;
}

void __wrap_bus_exchange_lifetime_reached(const CallerExchange *held, uint32_t spi_in, bool hard)
{
    (void)held, (void)spi_in;
    bench.reached++;
    bench.hard += hard;
}

void __wrap_bus_exchange_closed(const CallerExchange *held, const char *reason)
{
    assert_ptr_equal(held, &bench.held);
    assert_int_equal(bench.freed, 0);
    bench.closed++;
    (void)snprintf(bench.reason, sizeof(bench.reason), "%s", reason);
}

void __wrap_caller_exchange_free(CallerExchange *held)
{
    assert_ptr_equal(held, &bench.held);
    bench.freed++;
}

void __wrap_callers_close_all(Daemon *daemon, const char *reason)
{
    (void)daemon;
    bench.closed_all++;
    (void)snprintf(bench.reason, sizeof(bench.reason), "%s", reason);
}

int __wrap_getrlimit64(int resource, struct rlimit *ret)
{
    assert_int_equal(resource, RLIMIT_NOFILE);
    *ret = bench.descriptors;
    return 0;
}

int __wrap_setrlimit64(int resource, const struct rlimit *limit)
{
    assert_int_equal(resource, RLIMIT_NOFILE);
    assert_int_equal(limit->rlim_max, bench.descriptors.rlim_max);
    if (!bench.is_fixed)
        bench.descriptors = *limit;
    return bench.is_fixed ? -1 : 0;
}

void __wrap_log_line(int level, const char *format, ...)
{
    bench.descriptor_warnings += level == LOG_WARNING && strstr(format, "descriptors");
}

void __wrap_bus_exchange_children_counted(Daemon *daemon)
{
    (void)daemon;
    bench.counted++;
}

static int bench_init(void **state)
{
    (void)state;
    memset(&bench, 0, sizeof(bench));
    return 0;
}

static int init(void)
{
    TredConfig config = {.max_exchanges = 3};

    return daemon_init(&bench.daemon, &config);
}

/* Nothing is changed outside before the name is taken, and no call is answered before all is there.
 */
static const char order[] =
    "verifier loop term int hup exit priority floating watchdog rest files "
    "device bus callers manager exchanges name clock rejudge plane profile load "
    "opened serve disconnect ";

static void it_starts_in_order_and_serves_at_the_end(void **state)
{
    (void)state;
    assert_int_equal(init(), 0);
    assert_string_equal(bench.steps, order);
    assert_true(bench.daemon.serves);
    assert_int_equal(bench.ready, 1);
    assert_int_equal(bench.loads, 1);
    assert_int_equal(bench.priority, SD_EVENT_PRIORITY_IMPORTANT); /* before sd-bus closes it */
    assert_true(bench.floating);
    assert_int_equal(bench.daemon.config.max_exchanges, 3);
}

/* The data plane and the exchanges are given what the configuration has, each thing by itself: two
 * that are mixed up differ. */
static void what_is_configured_goes_to_those_who_act_on_it(void **state)
{
    char net_socket[] = "/net", esp_helper[] = "/esp";
    TredConfig config = {
        .max_exchanges = 3,
        .net_socket = net_socket,
        .esp_helper = esp_helper,
        .interfaces = {2, {"segw7", "management0"}},
        .data_plane = DATAPLANE_USER,
        .protect = PROTECT_STRICT,
        .copy_dscp = true,
        .allowed_remote = {.n_selectors = 2},
        .protect_except = {.n_selectors = 1},
        .revocation = REVOCATION_REQUIRE,
        .stronger_child = true,
        .soft = {.seconds = 1, .bytes = 2, .packets = 3},
        .hard = {.seconds = 4, .bytes = 5, .packets = 6},
    };
    const ExchangeContext *context = &bench.daemon.exchange_context;
    const Lifetime soft = config.soft, hard = config.hard;

    (void)state;
    assert_int_equal(daemon_init(&bench.daemon, &config), 0);
    assert_int_equal(bench.options.mode, DATAPLANE_USER);
    assert_int_equal(bench.options.interfaces.n, 2);
    assert_string_equal(bench.options.interfaces.names[0], "segw7");
    assert_string_equal(bench.options.interfaces.names[1], "management0");
    assert_string_equal(bench.options.net_socket, net_socket);
    assert_string_equal(bench.options.esp_program, esp_helper);
    assert_true(bench.options.copy_dscp);
    assert_false(bench.options.ecn);
    assert_int_equal(bench.options.protect->mode, PROTECT_STRICT);
    assert_int_equal(bench.options.protect->networks.n_selectors, 2);
    assert_int_equal(bench.options.protect->except.n_selectors, 1);
    assert_int_equal(context->revocation, REVOCATION_REQUIRE);
    assert_true(context->stronger_child);
    assert_memory_equal(&context->soft, &soft, sizeof(soft));
    assert_memory_equal(&context->hard, &hard, sizeof(hard));
    assert_ptr_equal(context->dataplane, &bench);
    config = (TredConfig){.max_exchanges = 3, .ecn = true};
    assert_int_equal(daemon_init(&bench.daemon, &config), 0);
    assert_true(bench.options.ecn);
    assert_false(bench.options.copy_dscp);
    assert_false(context->stronger_child);
}

static void a_step_that_fails_is_the_last(void **state)
{
    /* Why a helper's start failed is its own text; what is left is whether it may be tried again.
     */
    static const struct {
        const char *name;
        bool is_helper;
    } steps[] = {
        {"verifier", true},  {"loop", false},    {"term", false},     {"int", false},
        {"hup", false},      {"exit", false},    {"priority", false}, {"floating", false},
        {"watchdog", false}, {"rest", false},    {"files", true},     {"device", true},
        {"bus", false},      {"callers", false}, {"manager", false},  {"exchanges", false},
        {"name", false},     {"clock", false},   {"rejudge", false},  {"plane", false},
        {"profile", true},   {"opened", false},  {"serve", false},    {"disconnect", false}};
    static const int errors[] = {-EIO, -ENOMEM, -EMFILE, -ENFILE};

    for (size_t i = 0; i < ELEMENTS(steps); i++) {
        for (size_t error = 0; error < ELEMENTS(errors); error++) {
            (void)bench_init(state);
            bench.failing = steps[i].name;
            bench.error = errors[error];
            assert_int_equal(init(), steps[i].is_helper && error == 0 ? -EBADMSG : errors[error]);
            const char *end = strstr(bench.steps, steps[i].name);
            assert_non_null(end);
            assert_int_equal(strlen(end), strlen(steps[i].name) + 1);
            assert_memory_equal(bench.steps, order, strlen(bench.steps));
            assert_false(bench.daemon.serves);
            assert_int_equal(bench.ready, 0);
        }
    }
}

/* And a warning says so where that is less, and only there. */
static void descriptors_are_raised_to_what_all_exchanges_need_or_as_far_as_may_be(void **state)
{
    enum { FEW = 1024, MOST = DESCRIPTORS_MAX };
    static const struct {
        rlim_t now, at_most, then;
        bool is_fixed;
        unsigned warnings;
    } cases[] = {
        {FEW, MOST + 1, MOST, false, 0},          {FEW, MOST, MOST, false, 0},
        {FEW, MOST - 1, MOST - 1, false, 1},      {MOST - 1, MOST - 1, MOST - 1, false, 1},
        {MOST - 1, MOST, MOST, false, 0},         {MOST, MOST + 1, MOST, false, 0},
        {MOST + 1, MOST + 1, MOST + 1, false, 0}, {FEW, MOST, FEW, true, 1},
    };

    for (size_t i = 0; i < ELEMENTS(cases); i++) {
        (void)bench_init(state);
        bench.descriptors = (struct rlimit){cases[i].now, cases[i].at_most};
        bench.is_fixed = cases[i].is_fixed;
        assert_int_equal(init(), 0);
        assert_int_equal(bench.descriptors.rlim_cur, cases[i].then);
        assert_int_equal(bench.descriptor_warnings, cases[i].warnings);
    }
}

/* systemd starts it anew but for a fault in the configuration, which is EX_CONFIG. */
static void a_verifier_that_fails_at_the_start_is_no_fault_in_the_configuration(void **state)
{
    static const char *const steps[] = {"verifier", "profile"};

    for (size_t i = 0; i < ELEMENTS(steps); i++) {
        (void)bench_init(state);
        bench.failing = steps[i];
        bench.error = VERIFIER_E_FAILED;
        assert_int_equal(init(), -EIO);
        assert_false(bench.daemon.serves);
    }
}

static void only_its_operator_has_it_end_well_and_the_traffic_unprotected(void **state)
{
    static const struct {
        int loop, result;
        unsigned unprotected;
    } cases[] = {{0, 0, 1}, {1, -ENOTCONN, 0}, {-EIO, -EIO, 0}};

    for (size_t i = 0; i < ELEMENTS(cases); i++) {
        (void)bench_init(state);
        bench.loop_result = cases[i].loop;
        assert_int_equal(daemon_run(&bench.daemon), cases[i].result);
        assert_int_equal(bench.unprotected, cases[i].unprotected);
    }
}

static void at_the_end_all_are_told_and_whoever_waits_is_answered(void **state)
{
    (void)state;
    assert_int_equal(init(), 0);
    assert_int_equal(bench.on_exit(NULL, &bench.daemon), 0);
    assert_int_equal(bench.closed_all, 1);
    assert_int_equal(bench.counted, 1);
}

static void hangup_reloads(void **state)
{
    (void)state;
    assert_int_equal(init(), 0);
    assert_int_equal(bench.on_reload(NULL, NULL, &bench.daemon), 0);
    assert_int_equal(bench.loads, 2);
}

static void happens(DataPlaneEventType type)
{
    const DataPlaneEvent event = {.type = type, .spi_in = SPI};

    bench.options.callbacks.event(&event, bench.options.callbacks.userdata);
}

static void what_somebody_else_took_away_closes_its_exchange_and_says_what(void **state)
{
    static const struct {
        DataPlaneEventType type;
        const char *words;
    } cases[] = {{DATAPLANE_INTERFACE_GONE, "interface was deleted"},
                 {DATAPLANE_ADDRESS_GONE, "inner address"},
                 {DATAPLANE_ROUTE_GONE, "route of the tunnel"},
                 {DATAPLANE_STATE_GONE, "ESP state"},
                 {DATAPLANE_POLICY_GONE, "IPsec policy"}};

    for (size_t i = 0; i < ELEMENTS(cases); i++) {
        (void)bench_init(state);
        assert_int_equal(init(), 0);
        happens(cases[i].type); /* of an exchange that is gone already */
        assert_int_equal(bench.closed + bench.freed, 0);
        bench.is_there = true;
        happens(cases[i].type);
        assert_int_equal(bench.closed, 1);
        assert_int_equal(bench.freed, 1);
        assert_int_equal(bench.reached, 0);
        assert_non_null(strstr(bench.reason, cases[i].words));
    }
}

static void a_lifetime_that_is_reached_is_told_and_closes_nothing(void **state)
{
    (void)state;
    assert_int_equal(init(), 0);
    happens(DATAPLANE_SOFT_LIFETIME);
    assert_int_equal(bench.reached, 0);
    bench.is_there = true;
    happens(DATAPLANE_SOFT_LIFETIME);
    assert_int_equal(bench.reached, 1);
    assert_int_equal(bench.hard, 0);
    happens(DATAPLANE_HARD_LIFETIME);
    assert_int_equal(bench.reached, 2);
    assert_int_equal(bench.hard, 1);
    assert_int_equal(bench.closed + bench.freed, 0);
}

static void a_data_plane_that_is_lost_closes_all(void **state)
{
    (void)state;
    assert_int_equal(init(), 0);
    bench.options.callbacks.lost("it died", bench.options.callbacks.userdata);
    assert_int_equal(bench.closed_all, 1);
    assert_int_equal(bench.counted, 1);
    assert_non_null(strstr(bench.reason, "it died"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(it_starts_in_order_and_serves_at_the_end, bench_init),
        cmocka_unit_test_setup(what_is_configured_goes_to_those_who_act_on_it, bench_init),
        cmocka_unit_test_setup(a_step_that_fails_is_the_last, bench_init),
        cmocka_unit_test_setup(
            descriptors_are_raised_to_what_all_exchanges_need_or_as_far_as_may_be, bench_init),
        cmocka_unit_test_setup(a_verifier_that_fails_at_the_start_is_no_fault_in_the_configuration,
                               bench_init),
        cmocka_unit_test_setup(only_its_operator_has_it_end_well_and_the_traffic_unprotected,
                               bench_init),
        cmocka_unit_test_setup(at_the_end_all_are_told_and_whoever_waits_is_answered, bench_init),
        cmocka_unit_test_setup(hangup_reloads, bench_init),
        cmocka_unit_test_setup(what_somebody_else_took_away_closes_its_exchange_and_says_what,
                               bench_init),
        cmocka_unit_test_setup(a_lifetime_that_is_reached_is_told_and_closes_nothing, bench_init),
        cmocka_unit_test_setup(a_data_plane_that_is_lost_closes_all, bench_init),
    };

    return cmocka_run_group_tests_name("daemon", tests, NULL, NULL);
}
