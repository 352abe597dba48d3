/* MoveTransport: another port in the place of the one before, or nothing has changed. */
#include "create_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

static Ends ends;

/* In the place of transport.c's and dataplane.c's (ld --wrap): what finding the route comes to, and
 * the plane's answer, for which a test may wait. */
static int source_result;
static bool is_held;
static SasMoved plane_moved;
static void *plane_userdata;

int __real_transport_source(struct sockaddr_storage *local, const struct sockaddr_storage *remote);
int __wrap_transport_source(struct sockaddr_storage *local, const struct sockaddr_storage *remote);
int __real_dataplane_move_sas(DataPlane *plane, const Transport *from, const Transport *to,
                              const struct sockaddr_storage *remote, bool udp_encapsulated,
                              SasMoved moved, void *userdata);
int __wrap_dataplane_move_sas(DataPlane *plane, const Transport *from, const Transport *to,
                              const struct sockaddr_storage *remote, bool udp_encapsulated,
                              SasMoved moved, void *userdata);

int __wrap_transport_source(struct sockaddr_storage *local, const struct sockaddr_storage *remote)
{
    return source_result < 0 ? source_result : __real_transport_source(local, remote);
}

int __wrap_dataplane_move_sas(DataPlane *plane, const Transport *from, const Transport *to,
                              const struct sockaddr_storage *remote, bool udp_encapsulated,
                              SasMoved moved, void *userdata)
{
    if (!is_held) {
        return __real_dataplane_move_sas(plane, from, to, remote, udp_encapsulated, moved,
                                         userdata);
    }
    plane_moved = moved;
    plane_userdata = userdata;
    return 0;
}

/* How a move ended. */
typedef struct Moved {
    unsigned n_calls;
    int error;
    int fd;
} Moved;

static void note_moved(int error, int fd, const char *reason, void *userdata)
{
    Moved *moved = userdata;

    assert_true(error == 0 || strlen(reason) > 20);
    moved->n_calls++;
    moved->error = error;
    moved->fd = fd;
}

static struct sockaddr_storage loopback(in_addr_t address)
{
    const struct sockaddr_in segw = {
        .sin_family = AF_INET,
        .sin_port = htons(4500),
        .sin_addr = {htonl(address)},
    };
    struct sockaddr_storage storage = {0};

    memcpy(&storage, &segw, sizeof(segw));
    return storage;
}

/* As OpenTransport leaves it before IKE_AUTH, whose response has MOBIKE_SUPPORTED. */
static int begin(void **state)
{
    const struct sockaddr_storage remote = loopback(INADDR_LOOPBACK);
    int fd = -1;

    (void)state;
    ends_init(&ends);
    ends.henb->state = EXCHANGE_AGREED;
    assert_int_equal(exchange_open_transport(ends.henb, &remote, true, &fd, &ends.reason), 0);
    ends.henb->state = EXCHANGE_VERIFIED;
    ends.henb->mobike = true;
    return 0;
}

static int end(void **state)
{
    (void)state;
    ends_deinit(&ends);
    return 0;
}

static int move(Moved *moved)
{
    const struct sockaddr_storage remote = loopback(INADDR_LOOPBACK + 1);

    *moved = (Moved){.fd = -1};
    ends.reason.text[0] = '\0';
    return exchange_move_transport(ends.henb, &remote, false, note_moved, moved, &ends.reason);
}

static void assert_not_moved(ExchangeError error)
{
    const Transport *before = ends.henb->transport;
    const struct sockaddr_storage remote = ends.henb->remote;
    Moved moved;

    assert_int_equal(move(&moved), error);
    assert_true(strlen(ends.reason.text) > 20);
    assert_int_equal(moved.n_calls, 0);
    assert_ptr_equal(ends.henb->transport, before);
    assert_memory_equal(&ends.henb->remote, &remote, sizeof(remote));
    assert_true(ends.henb->nat);
    assert_null(ends.henb->transport_before);
}

static void a_move_gives_another_socket_and_closes_the_one_before(void **state)
{
    const int before = ends.henb->transport->ike_fd;
    const struct sockaddr_storage remote = loopback(INADDR_LOOPBACK + 1);
    Moved moved;

    (void)state;
    assert_int_equal(move(&moved), 0);
    assert_int_equal(moved.n_calls, 1);
    assert_int_equal(moved.error, 0);
    assert_int_equal(moved.fd, ends.henb->transport->ike_fd);
    assert_int_not_equal(moved.fd, before);
    assert_int_equal(fcntl(before, F_GETFD), -1);
    assert_memory_equal(&ends.henb->remote, &remote, sizeof(remote));
    assert_false(ends.henb->nat);
    assert_null(ends.henb->transport_before);
    assert_int_equal(move(&moved), 0); /* as often as the address changes */
}

static void nothing_moves_where_the_segw_did_not_say_mobike(void **state)
{
    (void)state;
    ends.henb->mobike = false;
    assert_not_moved(EXCHANGE_E_MOBIKE_NOT_SUPPORTED);
}

static void nothing_moves_where_there_was_no_transport(void **state)
{
    (void)state;
    exchange_transport_free(steal_pointer(ends.henb->transport));
    assert_not_moved(EXCHANGE_E_WRONG_STATE);
}

static void nothing_moves_before_the_segw_is_verified(void **state)
{
    (void)state;
    ends.henb->state = EXCHANGE_SIGNED;
    assert_not_moved(EXCHANGE_E_WRONG_STATE);
    ends.henb->state = EXCHANGE_VERIFIED;
}

/* Want of descriptors or memory is over some time, want of a route is not. */
static void without_a_way_to_the_segw_it_is_told_whether_to_call_again(void **state)
{
    static const struct {
        int result;
        ExchangeError error;
    } cases[] = {{-EMFILE, EXCHANGE_E_OUT_OF_RESOURCES},
                 {-ENFILE, EXCHANGE_E_OUT_OF_RESOURCES},
                 {-ENOBUFS, EXCHANGE_E_OUT_OF_RESOURCES},
                 {-ENOMEM, EXCHANGE_E_OUT_OF_RESOURCES},
                 {-ENETUNREACH, EXCHANGE_E_DATA_PLANE_FAILED}};

    (void)state;
    for (size_t i = 0; i < ELEMENTS(cases); i++) {
        source_result = cases[i].result;
        assert_not_moved(cases[i].error);
        source_result = 0;
    }
}

/* One that was removed meanwhile is no failure of the others. */
static void what_the_data_plane_says_of_a_move_is_its_answer(void **state)
{
    static const struct {
        int result, error;
        const char *why;
    } cases[] = {{0, 0, ""},
                 {-ECANCELED, 0, ""},
                 {-EIO, EXCHANGE_E_DATA_PLANE_FAILED, ""},
                 {-EIO, EXCHANGE_E_DATA_PLANE_FAILED, "so"}};

    (void)state;
    for (size_t i = 0; i < ELEMENTS(cases); i++) {
        Moved moved;

        is_held = true;
        assert_int_equal(move(&moved), 0);
        is_held = false;
        assert_int_equal(moved.n_calls, 0);
        plane_moved(cases[i].result, cases[i].why, plane_userdata);
        assert_int_equal(moved.n_calls, 1);
        assert_int_equal(moved.error, cases[i].error);
        assert_null(ends.henb->transport_before);
    }
}

static void a_second_move_waits_for_the_first(void **state)
{
    (void)state;
    ends.henb->moved = note_moved; /* as before the data plane's answer */
    assert_not_moved(EXCHANGE_E_WRONG_STATE);
    ends.henb->moved = NULL;
}

static void as_many_moves_are_under_way_as_may_be(void **state)
{
    Exchange *others[EXCHANGE_MOVES_MAX];
    Moved moved;

    (void)state;
    for (size_t i = 0; i < ELEMENTS(others); i++) {
        others[i] = calloc(1, sizeof(*others[i]));
        assert_non_null(others[i]);
        others[i]->moved = note_moved;
        exchange_enlist(others[i], &ends.context, &ends.with, EXCHANGE_VERIFIED);
    }
    assert_not_moved(EXCHANGE_E_OUT_OF_RESOURCES);
    others[0]->moved = NULL;
    assert_int_equal(move(&moved), 0);
    for (size_t i = 0; i < ELEMENTS(others); i++)
        exchange_free(others[i]);
}

/* No descriptor is left: the kernel gives out the lowest one, so the limit stands below that. */
static void without_a_descriptor_nothing_moves_and_the_call_may_be_made_again(void **state)
{
    struct rlimit limit, none;
    int lowest = dup(STDIN_FILENO);
    Moved moved;

    (void)state;
    assert_true(lowest >= 0);
    assert_int_equal(close(lowest), 0);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    none = limit;
    none.rlim_cur = (rlim_t)lowest + 1;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    assert_not_moved(EXCHANGE_E_OUT_OF_RESOURCES);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    assert_int_equal(move(&moved), 0);
}

static void nothing_moves_where_the_data_plane_is_lost(void **state)
{
    _cleanup_(dataplane_closep) DataPlane *lost = NULL;
    DataPlane *working = ends.context.dataplane;
    const DataPlaneOptions options = {
        .mode = DATAPLANE_KERNEL, .interfaces = {1, {"segw0"}}, .net_socket = "/nonexistent"};

    (void)state;
    assert_int_equal(dataplane_begin(&options, &lost, &ends.reason), 0);
    ends.context.dataplane = lost;
    assert_not_moved(EXCHANGE_E_DATA_PLANE_FAILED);
    ends.context.dataplane = working;
}

#define ENDS(test) cmocka_unit_test_setup_teardown(test, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ENDS(a_move_gives_another_socket_and_closes_the_one_before),
        ENDS(nothing_moves_where_the_segw_did_not_say_mobike),
        ENDS(nothing_moves_where_there_was_no_transport),
        ENDS(nothing_moves_before_the_segw_is_verified),
        ENDS(without_a_way_to_the_segw_it_is_told_whether_to_call_again),
        ENDS(what_the_data_plane_says_of_a_move_is_its_answer),
        ENDS(a_second_move_waits_for_the_first),
        ENDS(as_many_moves_are_under_way_as_may_be),
        ENDS(without_a_descriptor_nothing_moves_and_the_call_may_be_made_again),
        ENDS(nothing_moves_where_the_data_plane_is_lost),
    };

    return cmocka_run_group_tests(tests, ends_group_init, NULL);
}
