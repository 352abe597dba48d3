/* How many connections are started at a time, who is told what tred and the kernel say, and what do
 * the bus and systemd hear of it? The connections are the test's. */
#include "ikeclient/connections.h"

#include "base/cleanup.h"
#include "base/log.h"
#include "base/manager.h"
#include "base/rest.h"
#include "ikeclient/bus.h"
#include "ikeclient/trebus.h"

#include <errno.h>
#include <linux/netlink.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

enum { MEMBERS = 40, AT_ONCE = 4, NOW = 1700000000 };

/* In its place each connection has one of these. */
struct Connection {
    const ConnectionHandlers *handlers;
    void *userdata;
    ConnectionState state;
    bool has_object, freed, retries, inner, has_sa;
    unsigned started, closed, looked, lost, due;
    uint64_t expires_in;
    char folder[16], exchange[16], reason[32];
    uint32_t spi_in;
    bool hard;
    unsigned changes_told, established_told;
    const char *closed_told;
};

typedef struct Stage {
    sd_event *event;
    Config config;
    Config *list[MEMBERS];
    Configs configs;
    Connections *connections;
    /* what the owner was told */
    const Connection *established, *closed;
    const char *reason;
} Stage;

static Connection members[MEMBERS];
static size_t n_members;
static int new_fails_at, objects_fail_at, remember_fails_at;
static bool order_is_right; /* the face goes before its connections, and tred's way after them */
static bool face_freed, tre_freed;
static TreBusLost tell_lost;
static TreBusLifetime tell_lifetime;
static TreBusExpires tell_expires;
static void *tre_userdata;
static char status[1024];
static int notices[2] = {-1, -1}; /* the kernel's end, and the one that is watched */
static int socket_error;
static unsigned rests;

/* ---- in the place of the real ones ---- */

int __wrap_connection_new(sd_event *event, Tre *tre, const Config *config,
                          const ConnectionHandlers *handlers, void *userdata, Connection **ret);
int __wrap_connection_new(sd_event *event, Tre *tre, const Config *config,
                          const ConnectionHandlers *handlers, void *userdata, Connection **ret)
{
    (void)event, (void)tre, (void)config;
    if ((int)n_members == new_fails_at)
        return -ENOMEM;
    *ret = &members[n_members++];
    **ret = (Connection){.handlers = handlers, .userdata = userdata, .retries = true};
    return 0;
}

void __wrap_connection_free(Connection *connection);
void __wrap_connection_free(Connection *connection)
{
    order_is_right = order_is_right && face_freed && !tre_freed;
    connection->freed = true;
}

void __wrap_connection_info(const Connection *connection, ConnectionInfo *ret);
void __wrap_connection_info(const Connection *connection, ConnectionInfo *ret)
{
    *ret = (ConnectionInfo){
        .state = connection->state, .state_name = "a state", .last_error = connection->reason};
}

void __wrap_connection_start(Connection *connection);
void __wrap_connection_start(Connection *connection)
{
    connection->started++;
    connection->state = CONNECTION_CONNECTING;
    connection->handlers->changed(connection->userdata);
}

int __wrap_connection_remember(Connection *connection, const char *folder);
int __wrap_connection_remember(Connection *connection, const char *folder)
{
    if (connection - members == remember_fails_at)
        return -ENOMEM;
    (void)snprintf(connection->folder, sizeof(connection->folder), "%s", folder);
    return 0;
}

void __wrap_connection_close(Connection *connection);
void __wrap_connection_close(Connection *connection)
{
    connection->closed++;
}

void __wrap_connection_allow_retry(Connection *connection, bool allow);
void __wrap_connection_allow_retry(Connection *connection, bool allow)
{
    connection->retries = allow;
}

void __wrap_connection_lose(Connection *connection, const char *exchange, const char *reason);
void __wrap_connection_lose(Connection *connection, const char *exchange, const char *reason)
{
    connection->lost++;
    (void)snprintf(connection->exchange, sizeof(connection->exchange), "%s",
                   exchange ? exchange : "all");
    (void)snprintf(connection->reason, sizeof(connection->reason), "%s", reason);
}

void __wrap_connection_child_due(Connection *connection, uint32_t spi_in, bool hard);
void __wrap_connection_child_due(Connection *connection, uint32_t spi_in, bool hard)
{
    connection->due++;
    connection->spi_in = spi_in;
    connection->hard = hard;
}

void __wrap_connection_expires(Connection *connection, const char *exchange, uint64_t seconds);
void __wrap_connection_expires(Connection *connection, const char *exchange, uint64_t seconds)
{
    (void)snprintf(connection->exchange, sizeof(connection->exchange), "%s", exchange);
    connection->expires_in = seconds;
}

void __wrap_connection_look_around(Connection *connection);
void __wrap_connection_look_around(Connection *connection)
{
    connection->looked++;
}

bool __wrap_connection_has_inner(const Connection *connection, const Endpoint *address);
bool __wrap_connection_has_inner(const Connection *connection, const Endpoint *address)
{
    (void)address;
    return connection->inner;
}

bool __wrap_connection_has_sa_with(const Connection *connection, const Endpoint *segw);
bool __wrap_connection_has_sa_with(const Connection *connection, const Endpoint *segw)
{
    (void)segw;
    return connection->has_sa;
}

int __wrap_tre_bus_new(sd_bus *bus, TreBusLost lost, TreBusLifetime lifetime, TreBusExpires expires,
                       void *userdata, TreBus **ret);
int __wrap_tre_bus_new(sd_bus *bus, TreBusLost lost, TreBusLifetime lifetime, TreBusExpires expires,
                       void *userdata, TreBus **ret)
{
    (void)bus;
    tell_lost = lost;
    tell_lifetime = lifetime;
    tell_expires = expires;
    tre_userdata = userdata;
    *ret = (TreBus *)&tre_freed; /* which nobody looks into */
    return 0;
}

void __wrap_tre_bus_free(TreBus *tre);
void __wrap_tre_bus_free(TreBus *tre)
{
    (void)tre;
    tre_freed = true;
}

Tre *__wrap_tre_bus_tre(TreBus *tre);
Tre *__wrap_tre_bus_tre(TreBus *tre)
{
    (void)tre;
    return NULL;
}

int __wrap_bus_face_new(sd_bus *bus, BusFace **ret);
int __wrap_bus_face_new(sd_bus *bus, BusFace **ret)
{
    (void)bus;
    *ret = (BusFace *)&face_freed;
    return 0;
}

void __wrap_bus_face_free(BusFace *face);
void __wrap_bus_face_free(BusFace *face)
{
    (void)face;
    face_freed = true;
}

int __wrap_bus_face_add(BusFace *face, Connection *connection, BusObject **ret);
int __wrap_bus_face_add(BusFace *face, Connection *connection, BusObject **ret)
{
    (void)face;
    if (connection - members == objects_fail_at)
        return -EEXIST;
    connection->has_object = true;
    *ret = (BusObject *)connection;
    return 0;
}

void __wrap_bus_object_changed(BusObject *object);
void __wrap_bus_object_changed(BusObject *object)
{
    ((Connection *)object)->changes_told++;
}

void __wrap_bus_object_established(BusObject *object);
void __wrap_bus_object_established(BusObject *object)
{
    ((Connection *)object)->established_told++;
}

void __wrap_bus_object_closed(BusObject *object, const char *reason);
void __wrap_bus_object_closed(BusObject *object, const char *reason)
{
    ((Connection *)object)->closed_told = reason;
}

void __wrap_manager_notify(const char *state);
void __wrap_manager_notify(const char *state)
{
    (void)snprintf(status, sizeof(status), "%s", state);
}

void __wrap_rest_after(sd_event_source *rest);
void __wrap_rest_after(sd_event_source *rest)
{
    assert_non_null(rest);
    rests++;
}

time_t __wrap_time(time_t *ret);
time_t __wrap_time(time_t *ret)
{
    if (ret)
        *ret = NOW;
    return NOW;
}

int __wrap_socket(int domain, int type, int protocol);
int __wrap_socket(int domain, int type, int protocol)
{
    assert_int_equal(domain, AF_NETLINK);
    assert_int_equal(protocol, NETLINK_ROUTE);
    (void)type;
    if (socket_error) {
        errno = socket_error;
        return -1;
    }
    assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, notices), 0);
    return notices[1];
}

int __wrap_bind(int fd, const struct sockaddr *address, socklen_t size);
int __wrap_bind(int fd, const struct sockaddr *address, socklen_t size)
{
    assert_int_equal(fd, notices[1]);
    assert_int_equal(address->sa_family, AF_NETLINK);
    assert_int_equal(size, sizeof(struct sockaddr_nl));
    return 0;
}

/* ---- the stage ---- */

static void on_established(void *userdata, Connection *connection)
{
    Stage *stage = userdata;

    stage->established = connection;
}

static void on_closed(void *userdata, Connection *connection, const char *reason)
{
    Stage *stage = userdata;

    stage->closed = connection;
    stage->reason = reason;
}

static const ConnectionsHandlers handlers = {on_established, on_closed};

static int begin(void **state)
{
    Stage *stage = test_calloc(1, sizeof(*stage));

    log_set_level(LOG_CRIT);
    assert_true(sd_event_new(&stage->event) >= 0);
    for (size_t i = 0; i < MEMBERS; i++)
        stage->list[i] = &stage->config;
    stage->configs = (Configs){.list = stage->list, .count = MEMBERS};
    n_members = 0;
    new_fails_at = objects_fail_at = remember_fails_at = -1;
    order_is_right = true;
    face_freed = tre_freed = false;
    status[0] = 0;
    socket_error = 0;
    rests = 0;
    *state = stage;
    return 0;
}

static int end(void **state)
{
    Stage *stage = *state;

    if (stage->connections)
        connections_free(stage->connections);
    for (size_t i = 0; i < n_members; i++)
        assert_true(members[i].freed);
    assert_true(order_is_right);
    if (notices[0] >= 0)
        (void)close(notices[0]);
    notices[0] = notices[1] = -1;
    sd_event_unref(stage->event);
    test_free(stage);
    return 0;
}

static void make(Stage *stage, size_t count)
{
    stage->configs.count = count;
    assert_int_equal(
        connections_new(stage->event, NULL, &stage->configs, &handlers, stage, &stage->connections),
        0);
    assert_int_equal(n_members, count);
}

/* It tells of a new state. */
static void becomes(Stage *stage, size_t i, ConnectionState state)
{
    members[i].state = state;
    members[i].handlers->changed(members[i].userdata);
    while (sd_event_run(stage->event, 0) > 0)
        ;
}

/* All are started, and there is nothing left to do. */
static void make_idle(Stage *stage, size_t count)
{
    make(stage, count);
    connections_start(stage->connections, NULL);
    connections_close(stage->connections);
    for (size_t i = 0; i < count; i++)
        becomes(stage, i, CONNECTION_IDLE);
}

static size_t n_started(void)
{
    size_t n = 0;

    for (size_t i = 0; i < n_members; i++) {
        assert_in_range(members[i].started, 0, 1);
        n += members[i].started;
    }
    return n;
}

/* ---- starts ---- */

static void four_are_started_at_once_and_each_that_leads_to_something_makes_room(void **state)
{
    static const ConnectionState next[] = {CONNECTION_ESTABLISHED, CONNECTION_WAITING,
                                           CONNECTION_IDLE};
    Stage *stage = *state;

    make(stage, MEMBERS);
    while (sd_event_run(stage->event, 0) > 0)
        ;
    assert_int_equal(n_started(), 0);
    connections_start(stage->connections, NULL);
    while (sd_event_run(stage->event, 0) > 0)
        ;
    assert_int_equal(n_started(), AT_ONCE);
    becomes(stage, 0, CONNECTION_CONNECTING);
    assert_int_equal(n_started(), AT_ONCE);
    for (size_t i = 0; i < ELEMENTS(next); i++) {
        becomes(stage, i, next[i]);
        assert_int_equal(n_started(), AT_ONCE + i + 1);
        assert_int_equal(members[AT_ONCE + i].started, 1);
    }
    for (size_t i = 0; i < MEMBERS; i++)
        becomes(stage, i, CONNECTION_ESTABLISHED);
    assert_int_equal(n_started(), MEMBERS);
}

static void none_is_started_after_all_were_closed(void **state)
{
    Stage *stage = *state;

    make(stage, MEMBERS);
    connections_start(stage->connections, NULL);
    connections_close(stage->connections);
    for (size_t i = 0; i < MEMBERS; i++)
        assert_int_equal(members[i].closed, 1);
    for (size_t i = 0; i < AT_ONCE; i++)
        becomes(stage, i, CONNECTION_IDLE);
    assert_int_equal(n_started(), AT_ONCE);
}

static void each_remembers_its_attempts_in_the_folder_before_any_is_started(void **state)
{
    Stage *stage = *state;

    make(stage, MEMBERS);
    connections_start(stage->connections, "/folder");
    for (size_t i = 0; i < MEMBERS; i++)
        assert_string_equal(members[i].folder, "/folder");
    assert_int_equal(n_started(), AT_ONCE);
}

static void without_memory_for_that_they_are_started_all_the_same(void **state)
{
    Stage *stage = *state;

    make(stage, MEMBERS);
    remember_fails_at = 2;
    connections_start(stage->connections, "/folder");
    assert_string_equal(members[1].folder, "/folder");
    assert_string_equal(members[3].folder, "");
    assert_int_equal(n_started(), AT_ONCE);
}

static void they_are_idle_when_none_is_there_or_on_its_way(void **state)
{
    Stage *stage = *state;

    make_idle(stage, 2);
    assert_ptr_equal(connections_first(stage->connections), &members[0]);
    assert_true(connections_are_idle(stage->connections));
    for (ConnectionState each = CONNECTION_CONNECTING; each < CONNECTION_STATES; each++) {
        becomes(stage, 1, each);
        assert_false(connections_are_idle(stage->connections));
    }
    becomes(stage, 1, CONNECTION_IDLE);
    assert_true(connections_are_idle(stage->connections));
}

static void whether_to_try_again_is_for_each(void **state)
{
    Stage *stage = *state;

    make(stage, 2);
    for (int allow = 0; allow <= 1; allow++) {
        connections_allow_retry(stage->connections, allow);
        assert_int_equal(members[0].retries, allow);
        assert_int_equal(members[1].retries, allow);
    }
}

/* ---- what each is told ---- */

static void what_tred_says_goes_to_each(void **state)
{
    Stage *stage = *state;

    make(stage, 3);
    tell_lost(tre_userdata, NULL, "ended");
    tell_lifetime(tre_userdata, "one", 7, true);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(members[i].lost, 1);
        assert_string_equal(members[i].exchange, "all");
        assert_string_equal(members[i].reason, "ended");
        assert_int_equal(members[i].due, 1);
        assert_int_equal(members[i].spi_in, 7);
        assert_true(members[i].hard);
    }
    tell_lost(tre_userdata, "one", "revoked");
    tell_lifetime(tre_userdata, "one", 8, false);
    for (size_t i = 0; i < 3; i++) {
        assert_string_equal(members[i].exchange, "one");
        assert_string_equal(members[i].reason, "revoked");
        assert_int_equal(members[i].spi_in, 8);
        assert_false(members[i].hard);
    }
}

static void an_end_is_told_as_what_is_left_of_now_and_none_of_what_has_been(void **state)
{
    static const struct {
        uint64_t when, left;
    } cases[] = {{NOW + 100, 100}, {NOW + 1, 1}, {NOW, 0}, {NOW - 1, 0}, {0, 0}};
    Stage *stage = *state;

    make(stage, 2);
    for (size_t i = 0; i < ELEMENTS(cases); i++) {
        tell_expires(tre_userdata, "one", cases[i].when);
        for (size_t j = 0; j < 2; j++) {
            assert_string_equal(members[j].exchange, "one");
            assert_int_equal(members[j].expires_in, cases[i].left);
        }
    }
}

static void an_inner_address_of_any_is_one_for_each(void **state)
{
    const Endpoint address = {0};
    Stage *stage = *state;

    make(stage, 3);
    for (size_t i = 0; i < 3; i++)
        assert_false(members[i].handlers->is_inner(members[i].userdata, &address));
    members[2].inner = true;
    for (size_t i = 0; i < 3; i++)
        assert_true(members[i].handlers->is_inner(members[i].userdata, &address));
}

static void an_ike_sa_of_any_is_one_of_another_for_the_others(void **state)
{
    const Endpoint segw = {0};
    Stage *stage = *state;

    make(stage, 3);
    for (size_t has = 0; has < 3; has++) {
        members[has].has_sa = true;
        for (size_t i = 0; i < 3; i++) {
            assert_int_equal(members[i].handlers->others_have_sa_with(members[i].userdata, &segw),
                             i != has);
        }
        members[has].has_sa = false;
    }
}

/* ---- what others hear ---- */

static void the_bus_and_the_owner_hear_of_the_one_that_it_is_about(void **state)
{
    Stage *stage = *state;

    make_idle(stage, 3);
    const unsigned before = rests, told = members[1].changes_told;
    becomes(stage, 1, CONNECTION_ESTABLISHED);
    assert_int_equal(rests, before + 1);
    members[1].handlers->established(members[1].userdata);
    assert_ptr_equal(stage->established, &members[1]);
    members[2].handlers->closed(members[2].userdata, "why");
    assert_ptr_equal(stage->closed, &members[2]);
    assert_string_equal(stage->reason, "why");
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(members[i].changes_told, told + (i == 1));
        assert_int_equal(members[i].established_told, i == 1);
        assert_true((members[i].closed_told != NULL) == (i == 2));
    }
}

static void of_one_systemd_hears_what_it_has_become_and_why(void **state)
{
    Stage *stage = *state;

    make_idle(stage, 1);
    becomes(stage, 0, CONNECTION_WAITING);
    assert_string_equal(status, "STATUS=a state");
    (void)snprintf(members[0].reason, sizeof(members[0].reason), "no answer");
    becomes(stage, 0, CONNECTION_WAITING);
    assert_string_equal(status, "STATUS=a state: no answer");
}

static void of_several_systemd_hears_how_many_are_established(void **state)
{
    Stage *stage = *state;

    make_idle(stage, 2);
    becomes(stage, 1, CONNECTION_ESTABLISHED);
    assert_string_equal(status, "STATUS=1 of 2 connections are established");
    becomes(stage, 0, CONNECTION_ESTABLISHED_NO_CHILD);
    assert_string_equal(status, "STATUS=1 of 2 connections are established");
    becomes(stage, 0, CONNECTION_ESTABLISHED);
    assert_string_equal(status, "STATUS=2 of 2 connections are established");
}

/* ---- the kernel's word ---- */

static void however_much_the_kernel_says_at_once_each_looks_around_once(void **state)
{
    Stage *stage = *state;
    char octet;

    make(stage, 2);
    for (unsigned look = 1; look <= 2; look++) {
        for (int i = 0; i < 5; i++)
            assert_int_equal(send(notices[0], "x", 1, 0), 1);
        while (sd_event_run(stage->event, 0) > 0)
            ;
        assert_int_equal(members[0].looked, look - 1); /* what follows is for it, too */
        while (members[0].looked < look)
            assert_true(sd_event_run(stage->event, UINT64_MAX) >= 0);
        while (sd_event_run(stage->event, 0) > 0)
            ;
        assert_int_equal(members[0].looked, look);
        assert_int_equal(members[1].looked, look);
        assert_int_equal(recv(notices[1], &octet, 1, MSG_DONTWAIT), -1);
    }
}

/* Each may have a call for tred, which can't be asked by a thousand at once. */
static void many_look_around_one_after_the_other(void **state)
{
    Stage *stage = *state;

    make(stage, MEMBERS);
    assert_int_equal(send(notices[0], "x", 1, 0), 1);
    while (members[0].looked == 0)
        assert_true(sd_event_run(stage->event, UINT64_MAX) >= 0);
    assert_int_equal(members[MEMBERS - 1].looked, 0);
    while (members[MEMBERS - 1].looked == 0)
        assert_true(sd_event_run(stage->event, UINT64_MAX) >= 0);
    for (size_t i = 0; i < MEMBERS; i++)
        assert_int_equal(members[i].looked, 1);
}

static void without_the_kernels_word_there_are_connections_all_the_same(void **state)
{
    Stage *stage = *state;

    socket_error = EAFNOSUPPORT;
    make(stage, 2);
    connections_start(stage->connections, NULL);
    assert_int_equal(n_started(), 2);
}

/* ---- failures ---- */

static void where_one_can_not_be_made_none_is_left(void **state)
{
    Stage *stage = *state;

    new_fails_at = 2;
    assert_int_equal(
        connections_new(stage->event, NULL, &stage->configs, &handlers, stage, &stage->connections),
        -ENOMEM);
    assert_null(stage->connections);
    assert_int_equal(n_members, 2);
    assert_true(face_freed && tre_freed);
}

static void where_one_can_not_be_shown_none_is_left(void **state)
{
    Stage *stage = *state;

    objects_fail_at = 1;
    assert_int_equal(
        connections_new(stage->event, NULL, &stage->configs, &handlers, stage, &stage->connections),
        -EEXIST);
    assert_null(stage->connections);
    assert_int_equal(n_members, 2);
    assert_true(face_freed && tre_freed);
}

#define LIST_TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        LIST_TEST(four_are_started_at_once_and_each_that_leads_to_something_makes_room),
        LIST_TEST(none_is_started_after_all_were_closed),
        LIST_TEST(each_remembers_its_attempts_in_the_folder_before_any_is_started),
        LIST_TEST(without_memory_for_that_they_are_started_all_the_same),
        LIST_TEST(they_are_idle_when_none_is_there_or_on_its_way),
        LIST_TEST(whether_to_try_again_is_for_each),
        LIST_TEST(what_tred_says_goes_to_each),
        LIST_TEST(an_end_is_told_as_what_is_left_of_now_and_none_of_what_has_been),
        LIST_TEST(an_inner_address_of_any_is_one_for_each),
        LIST_TEST(an_ike_sa_of_any_is_one_of_another_for_the_others),
        LIST_TEST(the_bus_and_the_owner_hear_of_the_one_that_it_is_about),
        LIST_TEST(of_one_systemd_hears_what_it_has_become_and_why),
        LIST_TEST(of_several_systemd_hears_how_many_are_established),
        LIST_TEST(however_much_the_kernel_says_at_once_each_looks_around_once),
        LIST_TEST(many_look_around_one_after_the_other),
        LIST_TEST(without_the_kernels_word_there_are_connections_all_the_same),
        LIST_TEST(where_one_can_not_be_made_none_is_left),
        LIST_TEST(where_one_can_not_be_shown_none_is_left),
    };

    return cmocka_run_group_tests_name("ikeclient connections", tests, NULL, NULL);
}
