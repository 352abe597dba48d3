/* Names are looked up in the hosts file and by name servers, and their addresses take turns. */
#include "ikeclient/resolver.h"

#include "octets.h"

#include <arpa/inet.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <cmocka.h>

enum { PORT = 500, TURNS = 2000 };

typedef struct Fixture {
    sd_event *event;
    Resolver resolver;
    unsigned answers;
    size_t count;
    Endpoint found[RESOLVER_ADDRESSES_MAX];
    char problem[128];
} Fixture;

static Fixture f;

static void on_answer(void *userdata, const Endpoint *addresses, size_t count, const char *problem)
{
    (void)userdata;
    f.answers++;
    f.count = count;
    memcpy(f.found, addresses, count * sizeof(addresses[0]));
    (void)snprintf(f.problem, sizeof(f.problem), "%s", problem);
}

static int setup(void **state)
{
    (void)state;
    memset(&f, 0, sizeof(f));
    assert_true(sd_event_new(&f.event) >= 0);
    resolver_init(&f.resolver, f.event, on_answer, NULL);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    resolver_deinit(&f.resolver);
    sd_event_unref(f.event);
    return 0;
}

static void look_up(const char *name)
{
    f.answers = 0;
    assert_int_equal(resolver_start(&f.resolver, name, PORT), 0);
    assert_int_equal(f.answers, 0); /* never before it returns */
    for (int turn = 0; turn < TURNS && f.answers == 0; turn++)
        assert_true(sd_event_run(f.event, 10000) >= 0);
    assert_int_equal(f.answers, 1);
}

static void assert_found(size_t index, const char *literal)
{
    char text[ENDPOINT_TEXT_SIZE], expected[ENDPOINT_TEXT_SIZE];
    const Endpoint endpoint = endpoint_of(literal, PORT);

    assert_true(index < f.count);
    assert_string_equal(endpoint_text(&f.found[index], text), endpoint_text(&endpoint, expected));
}

static void a_literal_needs_no_name_server(void **state)
{
    (void)state;
    look_up("192.0.2.1");
    assert_int_equal(f.count, 1);
    assert_found(0, "192.0.2.1");
    look_up("2001:db8::1");
    assert_found(0, "2001:db8::1");
}

static void a_neighbours_address_has_its_interface(void **state)
{
    (void)state;
    look_up("fe80::1%lo");
    assert_int_equal(f.count, 1);
    assert_int_not_equal(f.found[0].v6.sin6_scope_id, 0);
    look_up("fe80::1%nowhere");
    assert_int_equal(f.count, 0);
    assert_string_equal(f.problem, "there is no such interface");
}

static void the_hosts_file_is_read(void **state)
{
    (void)state;
    look_up("localhost");
    assert_true(f.count > 0);
    assert_true(f.found[0].any.sa_family == AF_INET || f.found[0].any.sa_family == AF_INET6);
    assert_int_equal(endpoint_port(&f.found[0]), PORT);
}

static void a_name_that_is_none_has_a_reason(void **state)
{
    (void)state;
    look_up("no name at all");
    assert_int_equal(f.count, 0);
    assert_int_not_equal(strlen(f.problem), 0);
}

static void the_families_take_turns(void **state)
{
    static const char *const found[] = {"2001:db8::1", "2001:db8::2", "2001:db8::3", "192.0.2.1",
                                        "192.0.2.2"};
    static const char *const turns[] = {"2001:db8::1", "192.0.2.1", "2001:db8::2", "192.0.2.2",
                                        "2001:db8::3"};
    (void)state;

    f.count = 5;
    for (size_t i = 0; i < f.count; i++)
        f.found[i] = endpoint_of(found[i], PORT);
    resolver_take_turns(f.found, f.count);
    for (size_t i = 0; i < f.count; i++)
        assert_found(i, turns[i]);
    resolver_take_turns(f.found, 0);
}

static void what_was_cancelled_is_not_answered(void **state)
{
    (void)state;
    assert_int_equal(resolver_start(&f.resolver, "localhost", PORT), 0);
    resolver_cancel(&f.resolver);
    for (int turn = 0; turn < 5; turn++)
        assert_true(sd_event_run(f.event, 10000) >= 0);
    assert_int_equal(f.answers, 0);
    assert_int_equal(resolver_start(&f.resolver, "192.0.2.1", PORT), 0);
    look_up("192.0.2.2"); /* in place of that */
    assert_found(0, "192.0.2.2");
}

/* ---- a name server that knows one name ---- */

/* It has one IPv4 address, and an IPv6 address or none, and says so; or leaves some questions for
 * IPv6 unanswered. */
typedef struct NameServer {
    int fd;
    bool has_ipv6;
    unsigned silent_of_ipv6; /* so many times, and then no more */
    unsigned asked_for_ipv6;
} NameServer;

static NameServer server;

int __real_ares_init_options(ares_channel *channel, struct ares_options *options, int mask);
int __wrap_ares_init_options(ares_channel *channel, struct ares_options *options, int mask);

/* What the host's /etc/resolv.conf says is nothing to a test. */
int __wrap_ares_init_options(ares_channel *channel, struct ares_options *options, int mask)
{
    struct sockaddr_in name = {0};
    socklen_t size = sizeof(name);
    char text[32];

    int r = __real_ares_init_options(channel, options, mask);
    if (r != ARES_SUCCESS || server.fd < 0)
        return r;
    assert_int_equal(getsockname(server.fd, (struct sockaddr *)&name, &size), 0);
    (void)snprintf(text, sizeof(text), "127.0.0.1:%u", ntohs(name.sin_port));
    return ares_set_servers_ports_csv(*channel, text);
}

/* RFC 1035 4.1: the question comes back, with an answer or without. */
static int on_question(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
    enum { HEADER_SIZE = 12, FLAGS = 2, ANSWERS = 7, OTHERS = 8, TYPE_AAAA = 28 };
    static const uint8_t ipv4[] = {0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 7};
    static const uint8_t ipv6_record[28] = {0xc0, 12, 0,  TYPE_AAAA, 0,    1,    0,    0,       0,
                                            60,   0,  16, 0x20,      0x01, 0x0d, 0xb8, [27] = 7};
    struct sockaddr_in from;
    socklen_t from_size = sizeof(from);
    uint8_t octets[512 + sizeof(ipv6_record)];
    (void)source, (void)events, (void)userdata;

    ssize_t n = recvfrom(fd, octets, 512, 0, (struct sockaddr *)&from, &from_size);
    assert_true(n > HEADER_SIZE);
    size_t size = HEADER_SIZE + strlen((const char *)octets + HEADER_SIZE) + 1 + 4;
    assert_true(size <= (size_t)n);
    const bool ipv6 = octets[size - 3] == TYPE_AAAA;
    server.asked_for_ipv6 += ipv6;
    if (ipv6 && server.asked_for_ipv6 <= server.silent_of_ipv6)
        return 0;
    octets[FLAGS] = 0x81;
    octets[FLAGS + 1] = 0x80;
    octets[ANSWERS] = !ipv6 || server.has_ipv6;
    memset(octets + OTHERS, 0, HEADER_SIZE - OTHERS);
    if (!ipv6) {
        memcpy(octets + size, ipv4, sizeof(ipv4));
        size += sizeof(ipv4);
    } else if (server.has_ipv6) {
        memcpy(octets + size, ipv6_record, sizeof(ipv6_record));
        size += sizeof(ipv6_record);
    }
    assert_int_equal(sendto(fd, octets, size, 0, (struct sockaddr *)&from, from_size), size);
    return 0;
}

static int setup_with_server(void **state)
{
    const struct sockaddr_in name = {.sin_family = AF_INET,
                                     .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};

    (void)setup(state);
    server = (NameServer){.fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
    assert_int_equal(bind(server.fd, (const struct sockaddr *)&name, sizeof(name)), 0);
    assert_true(sd_event_add_io(f.event, NULL, server.fd, EPOLLIN, on_question, NULL) >= 0);
    return 0;
}

static int teardown_with_server(void **state)
{
    (void)teardown(state);
    (void)close(server.fd);
    server.fd = -1;
    return 0;
}

static void a_name_server_that_says_all_is_asked_once(void **state)
{
    (void)state;
    look_up("segw.operator.example");
    assert_int_equal(f.count, 1);
    assert_found(0, "192.0.2.7");
    assert_int_equal(server.asked_for_ipv6, 1);
}

/* Such are in home routers. */
static void a_name_server_that_is_silent_of_ipv6_is_no_reason_to_be_without_an_address(void **state)
{
    (void)state;
    server.silent_of_ipv6 = UINT_MAX;
    look_up("segw.operator.example");
    assert_int_equal(f.count, 1);
    assert_found(0, "192.0.2.7");
    assert_int_not_equal(server.asked_for_ipv6, 0);
}

/* After 4.5 s, when IPv4 has been there for more than two: a SeGW may be reached by IPv6
 * alone. */
static void an_ipv6_address_that_comes_late_counts(void **state)
{
    (void)state;
    server.has_ipv6 = true;
    server.silent_of_ipv6 = 2;
    look_up("segw.operator.example");
    /* A later c-ares asks for the other family once only, if it has one. */
    if (server.asked_for_ipv6 == 1)
        skip();
    assert_int_equal(server.asked_for_ipv6, 3);
    assert_int_equal(f.count, 2);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
#define TEST_WITH_SERVER(name)                                                                     \
    cmocka_unit_test_setup_teardown(name, setup_with_server, teardown_with_server)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_literal_needs_no_name_server),
        TEST(a_neighbours_address_has_its_interface),
        TEST(the_hosts_file_is_read),
        TEST(a_name_that_is_none_has_a_reason),
        TEST(the_families_take_turns),
        TEST(what_was_cancelled_is_not_answered),
        TEST_WITH_SERVER(a_name_server_that_says_all_is_asked_once),
        TEST_WITH_SERVER(
            a_name_server_that_is_silent_of_ipv6_is_no_reason_to_be_without_an_address),
        TEST_WITH_SERVER(an_ipv6_address_that_comes_late_counts),
    };

    server.fd = -1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
