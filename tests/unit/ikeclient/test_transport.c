/* Datagrams come and go by both sockets, from wherever they are, and errors of the network are
 * told. */
#include "ikeclient/transport.h"

#include "octets.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum { TURN_USEC = 1000000, MARKER_SIZE = 4 };

typedef struct Fixture {
    sd_event *event;
    Transport *transport;
    int segw, segw_nat, other; /* the SeGW's ports, and a third one of it */
    int shared;                /* what tred opens for IKE_AUTH */
    uint8_t received[64];
    size_t n_received; /* octets of the last datagram */
    unsigned datagrams;
    Endpoint sender;
    int hint;
} Fixture;

static Fixture f;

static int open_port(void)
{
    Endpoint endpoint = endpoint_of("127.0.0.1", 0);
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    assert_int_equal(bind(fd, &endpoint.any, endpoint_size(&endpoint)), 0);
    return fd;
}

static Endpoint name_of(int fd)
{
    Endpoint name = {0};
    socklen_t size = sizeof(name);

    assert_int_equal(getsockname(fd, &name.any, &size), 0);
    return name;
}

static bool on_receive(void *userdata, Bytes datagram, const Endpoint *sender)
{
    (void)userdata;
    assert_true(datagram.size <= sizeof(f.received));
    memcpy(f.received, datagram.data, datagram.size);
    f.n_received = datagram.size;
    f.datagrams++;
    f.sender = *sender;
    return true;
}

static void on_hint(void *userdata, int error)
{
    (void)userdata;
    f.hint = error;
}

static int setup(void **state)
{
    (void)state;
    f = (Fixture){0};
    f.segw = open_port();
    f.segw_nat = open_port();
    f.other = open_port();
    f.shared = open_port();
    const Endpoint segw = name_of(f.segw);
    assert_true(sd_event_new(&f.event) >= 0);
    assert_int_equal(transport_new(f.event, &segw, on_receive, on_hint, NULL, &f.transport), 0);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    transport_free(f.transport);
    sd_event_unref(f.event);
    (void)close(f.segw);
    (void)close(f.segw_nat);
    (void)close(f.other);
    (void)close(f.shared);
    return 0;
}

static void turn(void)
{
    assert_true(sd_event_run(f.event, TURN_USEC) > 0);
}

static void assert_idle(void)
{
    assert_int_equal(sd_event_run(f.event, 0), 0);
}

static void float_it(void)
{
    const Endpoint nat = name_of(f.segw_nat);

    assert_int_equal(transport_float(f.transport, f.shared, &nat), 0);
}

static void send_from(int fd, int to, const char *text, bool marker)
{
    uint8_t octets[64] = {0};
    const Endpoint name = name_of(to);
    const size_t offset = marker ? MARKER_SIZE : 0, size = strlen(text);

    memcpy(octets + offset, text, size);
    assert_int_equal(sendto(fd, octets, offset + size, 0, &name.any, endpoint_size(&name)),
                     offset + size);
}

static void send_text(const char *text)
{
    const Bytes view = {(const uint8_t *)text, strlen(text)};
    Datagrams message = {0};

    assert_int_equal(datagrams_set(&message, &view, 1), 0);
    transport_send_all(f.transport, &message);
    datagrams_deinit(&message);
}

/* Where the first socket is known to be by what it sends. */
static Endpoint first_name(void)
{
    uint8_t octets[64];
    Endpoint name = {0};
    socklen_t size = sizeof(name);

    send_text("init");
    assert_int_equal(recvfrom(f.segw, octets, sizeof(octets), 0, &name.any, &size), 4);
    return name;
}

static void send_to_first(const Endpoint *first, int from, const char *text)
{
    assert_int_equal(sendto(from, text, strlen(text), 0, &first->any, endpoint_size(first)),
                     strlen(text));
}

static void assert_received(const char *text, int from)
{
    const Endpoint name = name_of(from);

    turn();
    assert_int_equal(f.n_received, strlen(text));
    assert_memory_equal(f.received, text, strlen(text));
    assert_int_equal(endpoint_port(&f.sender), endpoint_port(&name));
}

static void an_answer_from_another_port_is_handed_on_with_its_sender(void **state)
{
    (void)state;
    const Endpoint first = first_name();

    send_to_first(&first, f.segw, "one");
    assert_received("one", f.segw);
    send_to_first(&first, f.other, "two");
    assert_received("two", f.other);
}

static void another_answer_to_ike_sa_init_is_heard_after_the_move(void **state)
{
    (void)state;
    const Endpoint first = first_name();

    float_it();
    send_to_first(&first, f.segw, "late");
    assert_received("late", f.segw);
    send_from(f.segw_nat, f.shared, "sealed", true);
    assert_received("sealed", f.segw_nat);
}

static void nothing_is_heard_there_once_the_segw_is_known(void **state)
{
    (void)state;
    const Endpoint first = first_name();

    float_it();
    transport_settle(f.transport);
    send_to_first(&first, f.segw, "late");
    assert_idle();
    assert_int_equal(f.datagrams, 0);
}

static void without_a_move_settling_closes_nothing(void **state)
{
    (void)state;
    const Endpoint first = first_name();

    transport_settle(f.transport);
    send_to_first(&first, f.segw, "one");
    assert_received("one", f.segw);
}

static void what_has_no_marker_is_no_ike_after_the_move(void **state)
{
    (void)state;
    float_it();
    send_from(f.segw_nat, f.shared, "no marker", false);
    turn();
    assert_int_equal(f.datagrams, 0);
}

/* RFC 7296 2.11 */
static void an_answer_goes_where_the_request_came_from(void **state)
{
    (void)state;
    static const uint8_t message[] = {1, 2, 3};
    const Bytes view = BYTES_OF(message);
    const Endpoint other = name_of(f.other);
    uint8_t octets[64];
    Datagrams answer = {0};

    float_it();
    assert_int_equal(datagrams_set(&answer, &view, 1), 0);
    transport_send_all_to(f.transport, &answer, &other);
    assert_int_equal(recv(f.other, octets, sizeof(octets), MSG_DONTWAIT),
                     MARKER_SIZE + sizeof(message));
    assert_int_equal(recv(f.segw_nat, octets, sizeof(octets), MSG_DONTWAIT), -1);
    datagrams_deinit(&answer);
}

/* RFC 7296 2.4: a hint. It is told once, and the loop comes to rest. */
static void assert_refusal_is_told(int closed)
{
    (void)close(closed);
    send_text("x");
    turn();
    assert_int_equal(f.hint, ECONNREFUSED);
    f.hint = 0;
    assert_idle();
    assert_int_equal(f.hint, 0);
}

static void a_port_that_is_closed_is_told_by_icmp(void **state)
{
    (void)state;
    assert_refusal_is_told(f.segw);
    f.segw = open_port();
}

static void so_is_one_after_the_move(void **state)
{
    (void)state;
    float_it();
    assert_refusal_is_told(f.segw_nat);
    f.segw_nat = open_port();
}

static void a_datagram_after_an_error_is_sent_all_the_same(void **state)
{
    (void)state;
    uint8_t octets[64];

    float_it();
    (void)close(f.segw_nat);
    send_text("lost");
    const Endpoint remote = *transport_remote(f.transport);
    f.segw_nat = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(f.segw_nat, &remote.any, endpoint_size(&remote)), 0);
    send_text("sent");
    assert_int_equal(recv(f.segw_nat, octets, sizeof(octets), MSG_DONTWAIT), MARKER_SIZE + 4);
}

static void an_address_that_is_there_is_not_lost(void **state)
{
    Endpoint source;
    (void)state;
    assert_int_equal(transport_look(f.transport, &source), TRANSPORT_SAME);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_answer_from_another_port_is_handed_on_with_its_sender),
        TEST(another_answer_to_ike_sa_init_is_heard_after_the_move),
        TEST(nothing_is_heard_there_once_the_segw_is_known),
        TEST(without_a_move_settling_closes_nothing),
        TEST(what_has_no_marker_is_no_ike_after_the_move),
        TEST(an_answer_goes_where_the_request_came_from),
        TEST(a_port_that_is_closed_is_told_by_icmp),
        TEST(so_is_one_after_the_move),
        TEST(a_datagram_after_an_error_is_sent_all_the_same),
        TEST(an_address_that_is_there_is_not_lost),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
