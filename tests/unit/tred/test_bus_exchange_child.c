/* Is each call about Child SAs answered once, by what the exchange said to it? */
#include "bus_call_fixture.h"
#include "tred/bus_exchange_internal.h"
#include "tred/key_care.h"

#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

enum { SPI = 0xc0ffee01 };

typedef struct Bench {
    Daemon daemon;
    Caller caller;
    CallerExchange held;
    ExchangeState state;
    int allowed, result; /* what the exchange says */
    struct sockaddr_storage remote;
    bool nat;
    uint32_t spi;
    uint64_t dscps;
    ChildAdded done;
    TransportMoved moved;
    void *userdata;
    unsigned calls, prepared;
} Bench;

static Bench bench;

int __wrap_exchange_allows(const Exchange *exchange, ExchangeCall call, Reason *reason);
ExchangeState __wrap_exchange_state(const Exchange *exchange);
int __wrap_exchange_open_transport(Exchange *exchange, const struct sockaddr_storage *remote,
                                   bool nat, int *ret_fd, Reason *reason);
int __wrap_exchange_move_transport(Exchange *exchange, const struct sockaddr_storage *remote,
                                   bool nat, TransportMoved moved, void *userdata, Reason *reason);
int __wrap_exchange_allocate_spi(Exchange *exchange, uint32_t *ret, Reason *reason);
int __wrap_exchange_set_dscps(Exchange *exchange, uint32_t spi_in, uint64_t dscps, Reason *reason);
int __wrap_exchange_add_child(Exchange *exchange, uint32_t spi_in, ChildAdded added, void *userdata,
                              Reason *reason);
int __wrap_exchange_use_child(Exchange *exchange, uint32_t spi_in, ChildUsed used, void *userdata,
                              Reason *reason);
int __wrap_exchange_remove_child(Exchange *exchange, uint32_t spi_in, Reason *reason);
size_t __wrap_exchange_children(const Exchange *exchange, ChildStatus *ret);
void __wrap_daemon_prepare_exchange(Daemon *daemon);
const char *__wrap_dataplane_interface(const DataPlane *plane);

int __wrap_exchange_allows(const Exchange *exchange, ExchangeCall call, Reason *reason)
{
    (void)exchange, (void)call;
    return reason_set(reason, bench.allowed, "not now");
}

ExchangeState __wrap_exchange_state(const Exchange *exchange)
{
    (void)exchange;
    return bench.state;
}

static int called(Reason *reason)
{
    bench.calls++;
    return bench.result != 0 ? reason_set(reason, bench.result, "no") : 0;
}

int __wrap_exchange_open_transport(Exchange *exchange, const struct sockaddr_storage *remote,
                                   bool nat, int *ret_fd, Reason *reason)
{
    (void)exchange;
    bench.remote = *remote;
    bench.nat = nat;
    *ret_fd = 77;
    return called(reason);
}

int __wrap_exchange_move_transport(Exchange *exchange, const struct sockaddr_storage *remote,
                                   bool nat, TransportMoved moved, void *userdata, Reason *reason)
{
    (void)exchange;
    bench.remote = *remote;
    bench.nat = nat;
    bench.moved = moved;
    bench.userdata = userdata;
    return called(reason);
}

int __wrap_exchange_allocate_spi(Exchange *exchange, uint32_t *ret, Reason *reason)
{
    (void)exchange;
    *ret = SPI;
    return called(reason);
}

int __wrap_exchange_set_dscps(Exchange *exchange, uint32_t spi_in, uint64_t dscps, Reason *reason)
{
    (void)exchange;
    bench.spi = spi_in;
    bench.dscps = dscps;
    return called(reason);
}

int __wrap_exchange_add_child(Exchange *exchange, uint32_t spi_in, ChildAdded added, void *userdata,
                              Reason *reason)
{
    (void)exchange;
    bench.spi = spi_in;
    bench.done = added;
    bench.userdata = userdata;
    return called(reason);
}

int __wrap_exchange_use_child(Exchange *exchange, uint32_t spi_in, ChildUsed used, void *userdata,
                              Reason *reason)
{
    return __wrap_exchange_add_child(exchange, spi_in, used, userdata, reason);
}

int __wrap_exchange_remove_child(Exchange *exchange, uint32_t spi_in, Reason *reason)
{
    (void)exchange;
    bench.spi = spi_in;
    return called(reason);
}

size_t __wrap_exchange_children(const Exchange *exchange, ChildStatus *ret)
{
    (void)exchange, (void)ret;
    return 0;
}

void __wrap_daemon_prepare_exchange(Daemon *daemon)
{
    assert_ptr_equal(daemon, &bench.daemon);
    bench.prepared++;
}

const char *__wrap_dataplane_interface(const DataPlane *plane)
{
    (void)plane;
    return "tre0";
}

static int bench_init(void **state)
{
    (void)state;
    memset(&bench, 0, sizeof(bench));
    bus_calls_reset();
    bench.caller.daemon = &bench.daemon;
    bench.held.caller = &bench.caller;
    bench.state = EXCHANGE_VERIFIED;
    return 0;
}

static const uint8_t octets[16] = {192, 0, 2, 1};

static void an_address_has_four_or_sixteen_octets_and_a_port(void **state)
{
    static const struct {
        size_t size;
        uint16_t port;
        sa_family_t family; /* AF_UNSPEC: it is refused */
    } cases[] = {{4, 500, AF_INET},   {16, 4500, AF_INET6}, {4, 0, AF_UNSPEC},
                 {16, 0, AF_UNSPEC},  {0, 500, AF_UNSPEC},  {3, 500, AF_UNSPEC},
                 {5, 500, AF_UNSPEC}, {15, 500, AF_UNSPEC}};

    for (size_t i = 0; i < ELEMENTS(cases); i++) {
        (void)bench_init(state);
        Reason reason = {0};
        bus_calls.octets[0] = (Bytes){octets, cases[i].size};
        bus_calls.numbers[0] = cases[i].port;
        bus_calls.numbers[1] = i == 1;
        int r = bus_exchange_open_transport(&bench.held, bus_message_number(1), &reason);
        assert_int_equal(r, cases[i].family == AF_UNSPEC ? EXCHANGE_E_MALFORMED : 0);
        assert_int_equal(bench.calls, cases[i].family != AF_UNSPEC);
        assert_int_equal(bus_calls.replies, cases[i].family != AF_UNSPEC);
        assert_int_equal(bench.remote.ss_family, cases[i].family);
        assert_int_equal(bench.nat, i == 1);
    }
    struct sockaddr_in v4;
    (void)bench_init(state);
    Reason reason = {0};
    bus_calls.octets[0] = (Bytes){octets, 4};
    bus_calls.numbers[0] = 500;
    assert_int_equal(bus_exchange_open_transport(&bench.held, bus_message_number(1), &reason), 0);
    memcpy(&v4, &bench.remote, sizeof(v4));
    assert_int_equal(ntohs(v4.sin_port), 500);
    assert_memory_equal(&v4.sin_addr, octets, 4);
}

typedef int (*Method)(CallerExchange *held, sd_bus_message *call, Reason *reason);

static const struct {
    Method run;
    bool later, state_first;
} methods[] = {
    {bus_exchange_open_transport, false, true}, {bus_exchange_move_transport, true, true},
    {bus_exchange_allocate_spi, false, false},  {bus_exchange_set_dscps, false, false},
    {bus_exchange_add_child, true, false},      {bus_exchange_use_child, true, false},
    {bus_exchange_remove_child, false, false},
};

static void what_the_exchange_refuses_is_not_answered_as_done(void **state)
{
    for (size_t i = 0; i < ELEMENTS(methods); i++) {
        for (int fault = 0; fault < 3; fault++) {
            (void)bench_init(state);
            Reason reason = {0};
            bus_calls.octets[0] = (Bytes){octets, 4};
            bus_calls.numbers[0] = 500;
            if (fault == 0)
                bench.result = EXCHANGE_E_UNEXPECTED;
            if (fault == 1)
                bus_calls.read_result = -EBADMSG;
            if (fault == 2)
                bench.allowed = EXCHANGE_E_WRONG_STATE;
            int r = methods[i].run(&bench.held, bus_message_number(1), &reason);
            const bool reads = methods[i].run != bus_exchange_allocate_spi;
            const bool refused =
                fault == 0 || (fault == 1 && reads) || (fault == 2 && methods[i].state_first);
            const int errors[] = {EXCHANGE_E_UNEXPECTED, -EBADMSG, EXCHANGE_E_WRONG_STATE};
            assert_int_equal(r, refused ? errors[fault] : 0);
            assert_int_equal(bus_calls.replies, !refused && !methods[i].later);
            assert_int_equal(bus_calls.answers, 0);
            assert_int_equal(bus_messages.references, !refused && methods[i].later);
            if (bus_messages.references > 0) { /* answered in the end */
                if (bench.moved) {
                    bench.moved(0, 5, "", bench.userdata);
                } else {
                    bench.done(0, "", bench.userdata);
                }
                assert_int_equal(bus_calls.answers, 1);
                assert_int_equal(bus_calls.error, 0);
                assert_int_equal(bus_messages.references, 0);
            }
        }
    }
}

static void what_the_data_plane_refuses_later_is_answered_with_its_reason(void **state)
{
    static const Method later[] = {bus_exchange_add_child, bus_exchange_use_child,
                                   bus_exchange_move_transport};

    for (size_t i = 0; i < ELEMENTS(later); i++) {
        (void)bench_init(state);
        Reason reason = {0};
        bus_calls.octets[0] = (Bytes){octets, 4};
        bus_calls.numbers[0] = 500;
        assert_int_equal(later[i](&bench.held, bus_message_number(1), &reason), 0);
        if (bench.moved) {
            bench.moved(EXCHANGE_E_DATA_PLANE_FAILED, -1, "no room", bench.userdata);
        } else {
            bench.done(EXCHANGE_E_DATA_PLANE_FAILED, "no room", bench.userdata);
        }
        assert_int_equal(bus_calls.error, EXCHANGE_E_DATA_PLANE_FAILED);
        assert_string_equal(bus_calls.reason, "no room");
        assert_int_equal(bench.prepared, 0);
    }
}

static void a_child_that_was_added_ends_the_handshake(void **state)
{
    Reason reason = {0};

    (void)state;
    bus_calls.numbers[0] = SPI;
    assert_int_equal(bus_exchange_add_child(&bench.held, bus_message_number(1), &reason), 0);
    assert_int_equal(bench.spi, SPI);
    assert_int_equal(bench.prepared, 0);
    bench.done(0, "", bench.userdata);
    assert_int_equal(bench.prepared, 1);
}

/* Each argument by itself, and each value that is answered. */
static void what_is_asked_reaches_the_exchange_and_what_it_says_its_caller(void **state)
{
    static const char *const answers[] = {"77 ",   "78 ", "3237998081 ",
                                          "", /* SetDscps */
                                          "tre0 ", "",    ""};

    _Static_assert(ELEMENTS(answers) == ELEMENTS(methods), "one for each");
    for (size_t i = 0; i < ELEMENTS(methods); i++) {
        const bool is_of_transport = methods[i].state_first;
        Reason reason = {0};

        (void)bench_init(state);
        bus_calls.octets[0] = (Bytes){octets, 4};
        bus_calls.numbers[0] = is_of_transport ? 500 : 9;
        bus_calls.numbers[1] = is_of_transport ? 1 : UINT64_C(1) << 63;
        assert_int_equal(methods[i].run(&bench.held, bus_message_number(1), &reason), 0);
        if (bench.moved)
            bench.moved(0, 78, "", bench.userdata);
        if (bench.done)
            bench.done(0, "", bench.userdata);
        assert_string_equal(bus_calls.text, answers[i]);
        assert_int_equal(bench.nat, is_of_transport);
        assert_int_equal(bench.spi,
                         is_of_transport || methods[i].run == bus_exchange_allocate_spi ? 0 : 9);
        assert_true(bench.dscps ==
                    (methods[i].run == bus_exchange_set_dscps ? UINT64_C(1) << 63 : 0));
    }
}

static void add_child_waits_for_the_verdict_once(void **state)
{
    Reason reason = {0};

    (void)state;
    bench.state = EXCHANGE_VERIFYING;
    assert_int_equal(bus_exchange_add_child(&bench.held, bus_message_number(1), &reason), 0);
    assert_int_equal(bench.calls, 0);
    assert_int_equal(bus_exchange_add_child(&bench.held, bus_message_number(2), &reason),
                     EXCHANGE_E_WRONG_STATE);
    assert_int_equal(bus_messages.references, 1);
    bench.state = EXCHANGE_VERIFIED;
    bus_exchange_child_resume(&bench.held);
    assert_int_equal(bench.calls, 1);
    assert_int_equal(bus_calls.answers, 0);
    bench.done(0, "", bench.userdata);
    assert_int_equal(bus_calls.answers, 1);
    assert_int_equal(bus_messages.references, 0);
    /* Nothing waits any more. */
    bus_exchange_child_resume(&bench.held);
    bus_exchange_child_cancel(&bench.held);
    assert_int_equal(bench.calls, 1);
    assert_int_equal(bus_calls.answers, 1);
}

static void add_child_that_waited_is_answered_whatever_comes(void **state)
{
    for (int cancelled = 0; cancelled < 2; cancelled++) {
        (void)bench_init(state);
        Reason reason = {0};
        bench.state = EXCHANGE_VERIFYING;
        assert_int_equal(bus_exchange_add_child(&bench.held, bus_message_number(1), &reason), 0);
        bench.result = EXCHANGE_E_UNEXPECTED;
        if (cancelled) {
            bus_exchange_child_cancel(&bench.held);
        } else {
            bus_exchange_child_resume(&bench.held);
        }
        assert_int_equal(bus_calls.answers, 1);
        assert_int_equal(bus_calls.error,
                         cancelled ? EXCHANGE_E_WRONG_STATE : EXCHANGE_E_UNEXPECTED);
        assert_int_equal(bus_messages.references, 0);
        assert_null(bench.held.waiting_child);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(an_address_has_four_or_sixteen_octets_and_a_port, bench_init),
        cmocka_unit_test_setup(what_the_exchange_refuses_is_not_answered_as_done, bench_init),
        cmocka_unit_test_setup(what_the_data_plane_refuses_later_is_answered_with_its_reason,
                               bench_init),
        cmocka_unit_test_setup(a_child_that_was_added_ends_the_handshake, bench_init),
        cmocka_unit_test_setup(what_is_asked_reaches_the_exchange_and_what_it_says_its_caller,
                               bench_init),
        cmocka_unit_test_setup(add_child_waits_for_the_verdict_once, bench_init),
        cmocka_unit_test_setup(add_child_that_waited_is_answered_whatever_comes, bench_init),
    };

    return cmocka_run_group_tests_name("bus exchange child", tests, NULL, NULL);
}
