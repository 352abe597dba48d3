/* One tred after another: what goes with a connection, and when do the rules that outlast it go?
 * Plane, rules and clock are played. */
#include "net/service.h"

#include "base/local_serve.h"
#include "tests/unit/temporary.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

enum { AFTER_MS = 10000, NOW_MS = 1000000, PLANE_POLLED = 2, PROTECTION_POLLED = 1 };

static struct {
    int open_error, name_error, protect_error, before_error, carry_out_error, remove_error;
    uint64_t now_ms;
    DataPlaneMode mode; /* that it was opened in */
    bool plane, protection;
    bool touched;                /* the kernel has not taken the rules */
    unsigned n_retries;          /* of which the third succeeds */
    unsigned n_protected;        /* how often rules were to be put in force */
    unsigned n_removed;          /* how often they were taken away */
    OrderType carried_out;       /* ORDER_OPEN: none */
    uint32_t added, ended, gone; /* SPIs that the rules were told */
    bool moved, undone;
    size_t plane_watched, protection_watched;
} played;

struct Protection {
    int unused;
};

static NetPlane plane = {.backend = &NET_BACKEND_USER};
static Protection protection;
static Service service;

/* In the place of the C library's (--wrap). */
int __wrap_clock_gettime(clockid_t clock, struct timespec *ret);

int __wrap_clock_gettime(clockid_t clock, struct timespec *ret)
{
    assert_int_equal(clock, CLOCK_MONOTONIC);
    ret->tv_sec = (time_t)(played.now_ms / 1000);
    ret->tv_nsec = (long)(played.now_ms % 1000 * 1000000);
    return 0;
}

/* In the place of plane.c and user.c. */
const NetBackend NET_BACKEND_USER = {.mode = DATAPLANE_USER};

int net_plane_fail_network(Reason *reason, int r, const char *interface)
{
    (void)interface;
    return reason_set(reason, r, "CAP_NET_ADMIN is missing");
}

int net_plane_check_interfaces(const InterfaceNames *interfaces, Reason *reason)
{
    assert_string_equal(interfaces->names[0], "segw0");
    return played.name_error < 0 ? reason_set(reason, played.name_error, "not ours") : 0;
}

int net_plane_open(DataPlaneMode mode, const InterfaceNames *interfaces, NetPlane **ret,
                   Reason *reason)
{
    played.mode = mode;
    assert_string_equal(interfaces->names[0], "segw0");
    if (played.open_error < 0)
        return reason_set(reason, played.open_error, "no plane");
    played.plane = true;
    *ret = &plane;
    return 0;
}

void net_plane_close(NetPlane *closed)
{
    assert_ptr_equal(closed, &plane);
    played.plane = false;
}

void net_plane_carry_out(NetPlane *asked, const Order *order, int esp_fd, Answer *ret, int *ret_tun)
{
    assert_ptr_equal(asked, &plane);
    assert_int_equal(esp_fd, 5);
    played.carried_out = order->type;
    *ret_tun = -1;
    ret->error = played.carry_out_error;
}

size_t net_plane_poll(const NetPlane *asked, struct pollfd polled[NET_PLANE_POLL_MAX])
{
    assert_ptr_equal(asked, &plane);
    memset(polled, 0, PLANE_POLLED * sizeof(polled[0]));
    return PLANE_POLLED;
}

void net_plane_watch(NetPlane *asked, const struct pollfd *polled, size_t n_polled)
{
    (void)polled;
    assert_ptr_equal(asked, &plane);
    played.plane_watched = n_polled;
}

/* In the place of protect.c. */
int protection_open(const ProtectOrder *order, const uid_t users[2], Protection **ret,
                    Reason *reason)
{
    (void)order;
    assert_int_equal(users[1], 7);
    played.n_protected++;
    if (played.protect_error < 0)
        return reason_set(reason, played.protect_error, "no rules");
    played.protection = true;
    *ret = &protection;
    return 0;
}

void protection_free(Protection *freed)
{
    if (freed)
        played.protection = false;
}

int protection_remove(void)
{
    played.n_removed++;
    return played.remove_error;
}

int protection_add_sa(Protection *asked, const SaOrder *order, Reason *reason)
{
    (void)asked;
    played.added = order->spi_in;
    return played.before_error < 0 ? reason_set(reason, played.before_error, "no rule") : 0;
}

int protection_add_way(Protection *asked, uint32_t spi_in, const SaPath *path, Reason *reason)
{
    (void)asked, (void)path;
    played.added = spi_in;
    return played.before_error < 0 ? reason_set(reason, played.before_error, "no rule") : 0;
}

void protection_end_move(Protection *asked, uint32_t spi_in, bool moved)
{
    (void)asked;
    played.ended = spi_in;
    played.moved = moved;
}

bool protection_is_touched(const Protection *asked)
{
    assert_ptr_equal(asked, &protection);
    return played.touched;
}

void protection_try_again(Protection *asked)
{
    assert_ptr_equal(asked, &protection);
    played.touched = ++played.n_retries % 3 != 0;
}

void protection_remove_sa(Protection *asked, uint32_t spi_in)
{
    (void)asked;
    played.gone = spi_in;
}

void protection_undo_sa(Protection *asked)
{
    assert_ptr_equal(asked, &protection);
    played.undone = true;
}

int protection_counters(Protection *asked, ProtectionCounters *ret)
{
    assert_ptr_equal(asked, &protection);
    ret->dropped_out = 3;
    return -EIO;
}

size_t protection_poll(const Protection *asked, struct pollfd polled[PROTECTION_POLL_MAX])
{
    assert_ptr_equal(asked, &protection);
    memset(polled, 0, PROTECTION_POLLED * sizeof(polled[0]));
    return PROTECTION_POLLED;
}

void protection_watch(Protection *asked, const struct pollfd *polled, size_t n_polled)
{
    (void)polled;
    assert_ptr_equal(asked, &protection);
    played.protection_watched = n_polled;
}

static int begin(void **state)
{
    (void)state;
    memset(&played, 0, sizeof(played));
    played.now_ms = NOW_MS;
    service = (Service){.users = {6, 7}, .unprotect_after_ms = AFTER_MS};
    return 0;
}

static Answer carry_out(OrderType type)
{
    static const ProtectOrder protect = {.interfaces = {1, {"segw0"}}};
    SaOrder sa = {.spi_in = 300};
    Order order = {.type = type, .number = 9};
    Answer answer;
    int tun = -1;
    switch (type) {
    case ORDER_OPEN:
        order.mode = DATAPLANE_AUTO;
        order.interfaces = (InterfaceNames){1, {"segw0"}};
        break;
    case ORDER_PROTECT:
        order.protect = (ProtectOrder *)(uintptr_t)&protect;
        break;
    case ORDER_ADD_SA:
        order.sa = &sa;
        break;
    default:
        order.id = 300;
        break;
    }
    played.carried_out = ORDER_OPEN;
    played.added = played.ended = played.gone = 0;
    played.undone = false;
    service_carry_out(&service, &order, 5, &answer, &tun);
    assert_int_equal(answer.type, type);
    assert_int_equal(answer.number, 9);
    return answer;
}

static int error_of(OrderType type)
{
    return carry_out(type).error;
}

static int begin_open_and_protected(void **state)
{
    (void)begin(state);
    return error_of(ORDER_OPEN) == 0 && error_of(ORDER_PROTECT) == 0 ? 0 : -1;
}

static const OrderType of_the_plane[] = {ORDER_ADD_SA,  ORDER_REMOVE_SA, ORDER_USE_SA,
                                         ORDER_MOVE_SA, ORDER_PATH_MTU,  ORDER_SA_COUNTERS};

static void before_a_plane_is_open_nothing_is_asked_of_it(void **state)
{
    (void)state;
    for (size_t i = 0; i < ELEMENTS(of_the_plane); i++)
        assert_int_equal(error_of(of_the_plane[i]), -ENOTCONN);
    assert_int_equal(error_of(ORDER_PROTECT), 0);
    assert_int_equal(error_of(ORDER_ADD_SA), -ENOTCONN);
    assert_int_equal(played.added, 0);
}

static void a_plane_is_opened_once_and_says_its_mode(void **state)
{
    (void)state;
    played.open_error = -EOPNOTSUPP;
    assert_int_equal(error_of(ORDER_OPEN), -EOPNOTSUPP);
    assert_null(service.plane);
    played.open_error = 0;
    const Answer answer = carry_out(ORDER_OPEN);
    assert_int_equal(answer.error, 0);
    assert_int_equal(answer.mode, DATAPLANE_USER);
    assert_int_equal(error_of(ORDER_OPEN), -EEXIST);
    for (size_t i = 0; i < ELEMENTS(of_the_plane); i++) {
        assert_int_equal(error_of(of_the_plane[i]), 0);
        assert_int_equal(played.carried_out, of_the_plane[i]);
    }
    assert_int_equal(played.added, 0); /* there are no rules */
}

static void rules_are_put_in_force_once(void **state)
{
    (void)state;
    played.protect_error = -ENOENT;
    assert_string_equal(carry_out(ORDER_PROTECT).reason.text, "no rules");
    assert_null(service.protection);
    played.protect_error = -EPERM;
    const Answer answer = carry_out(ORDER_PROTECT);
    assert_int_equal(answer.error, -EPERM);
    assert_string_equal(answer.reason.text, "CAP_NET_ADMIN is missing");
    played.protect_error = 0;
    assert_int_equal(error_of(ORDER_PROTECT), 0);
    assert_int_equal(error_of(ORDER_PROTECT), -EEXIST);
}

static void no_rules_are_put_in_force_for_an_interface_that_is_not_ours(void **state)
{
    (void)state;
    played.name_error = -EEXIST;
    const Answer answer = carry_out(ORDER_PROTECT);
    assert_int_equal(answer.error, -EEXIST);
    assert_string_equal(answer.reason.text, "not ours");
    assert_null(service.protection);
    assert_int_equal(played.n_protected + played.n_removed, 0);
    played.name_error = 0;
    assert_int_equal(error_of(ORDER_PROTECT), 0);
    assert_int_equal(played.n_protected, 1);
}

/* An SA's ESP may pass before there is any, and no longer than it is there. */
static void the_rules_know_an_sa_before_the_plane_and_forget_one_that_it_refuses(void **state)
{
    (void)state;
    assert_int_equal(error_of(ORDER_ADD_SA), 0);
    assert_int_equal(played.added, 300);
    assert_int_equal(played.gone, 0);
    assert_false(played.undone);
    played.carry_out_error = -ENOSPC;
    assert_int_equal(error_of(ORDER_ADD_SA), -ENOSPC);
    assert_int_equal(played.gone, 0); /* it never was the last one */
    assert_true(played.undone);
    assert_int_equal(error_of(ORDER_REMOVE_SA), -ENOSPC);
    assert_int_equal(played.gone, 300);
    assert_int_equal(error_of(ORDER_USE_SA), -ENOSPC);
    assert_int_equal(played.added + played.gone + played.ended, 0);
}

static void the_rules_know_both_ways_of_an_sa_while_it_moves(void **state)
{
    (void)state;
    for (int error = 0; error >= -1; error--) {
        played.carry_out_error = error;
        assert_int_equal(error_of(ORDER_MOVE_SA), error);
        assert_int_equal(played.added, 300);
        assert_int_equal(played.ended, 300);
        assert_int_equal(played.moved, error == 0);
    }
}

static void what_the_rules_can_not_let_pass_is_not_asked_of_the_plane(void **state)
{
    static const OrderType types[] = {ORDER_ADD_SA, ORDER_MOVE_SA};
    (void)state;
    played.before_error = -EMSGSIZE;
    for (size_t i = 0; i < ELEMENTS(types); i++) {
        const Answer answer = carry_out(types[i]);
        assert_int_equal(answer.error, -EMSGSIZE);
        assert_string_equal(answer.reason.text, "no rule");
        assert_int_equal(played.carried_out, ORDER_OPEN);
        assert_int_equal(played.gone + played.ended, 0);
        assert_false(played.undone);
    }
}

static void what_was_dropped_is_counted_where_there_are_rules(void **state)
{
    (void)state;
    assert_int_equal(error_of(ORDER_PROTECTION_COUNTERS), 0);
    assert_int_equal(error_of(ORDER_PROTECT), 0);
    const Answer answer = carry_out(ORDER_PROTECTION_COUNTERS);
    assert_int_equal(answer.error, -EIO);
    assert_int_equal(answer.protection.dropped_out, 3);
}

static void each_part_is_polled_and_looks_at_its_own(void **state)
{
    struct pollfd polled[SERVICE_POLL_MAX];
    (void)state;
    assert_int_equal(service_poll(&service, polled), 0);
    service_watch(&service, polled, 0);
    assert_int_equal(error_of(ORDER_PROTECT), 0);
    assert_int_equal(service_poll(&service, polled), PROTECTION_POLLED);
    service_watch(&service, polled, PROTECTION_POLLED);
    assert_int_equal(played.protection_watched, PROTECTION_POLLED);
    assert_int_equal(error_of(ORDER_OPEN), 0);
    assert_int_equal(service_poll(&service, polled), PLANE_POLLED + PROTECTION_POLLED);
    played.protection_watched = 0;
    service_watch(&service, polled, PLANE_POLLED + PROTECTION_POLLED);
    assert_int_equal(played.plane_watched, PLANE_POLLED);
    assert_int_equal(played.protection_watched, PROTECTION_POLLED);
}

/* Whoever has crashed comes back, and finds them. */
static void the_rules_outlast_a_connection(void **state)
{
    (void)state;
    service_disconnect(&service);
    assert_false(played.plane || played.protection);
    assert_null(service.plane);
    assert_null(service.protection);
    assert_int_equal(service_patience_ms(&service), -1);
    played.now_ms += 100 * AFTER_MS;
    service_unprotect_when_due(&service);
    service_deinit(&service);
    assert_int_equal(played.n_removed, 0);
}

static void they_go_some_time_after_nobody_wants_them_any_more(void **state)
{
    (void)state;
    assert_int_equal(error_of(ORDER_UNPROTECT), 0);
    assert_false(played.protection);
    assert_int_equal(service_patience_ms(&service), AFTER_MS);
    played.now_ms += AFTER_MS - 1;
    assert_int_equal(service_patience_ms(&service), 1);
    service_unprotect_when_due(&service);
    assert_int_equal(played.n_removed, 0);
    played.now_ms++;
    assert_int_equal(service_patience_ms(&service), 0);
    service_unprotect_when_due(&service);
    assert_int_equal(played.n_removed, 1);
    assert_int_equal(service_patience_ms(&service), -1);
    service_unprotect_when_due(&service);
    service_deinit(&service);
    assert_int_equal(played.n_removed, 1);
}

static void rules_that_the_kernel_did_not_take_are_tried_again_each_second(void **state)
{
    enum { RETRY_MS = 1000 };
    (void)state;
    service_retry_when_due(&service);
    assert_int_equal(service_patience_ms(&service), -1);
    played.touched = true;
    for (unsigned i = 0; i < 3; i++) {
        service_retry_when_due(&service);
        assert_int_equal(service_patience_ms(&service), RETRY_MS);
        played.now_ms += RETRY_MS - 1;
        service_retry_when_due(&service);
        assert_int_equal(played.n_retries, i);
        assert_int_equal(service_patience_ms(&service), 1);
        played.now_ms++;
        assert_int_equal(service_patience_ms(&service), 0);
        service_retry_when_due(&service);
        assert_int_equal(played.n_retries, i + 1);
    }
    assert_int_equal(service_patience_ms(&service), -1);
    played.touched = true;
    service_retry_when_due(&service);
    service_disconnect(&service);
    service_retry_when_due(&service);
    assert_int_equal(service_patience_ms(&service), -1);
}

static void they_stay_where_somebody_wants_them_again_in_time(void **state)
{
    (void)state;
    assert_int_equal(error_of(ORDER_UNPROTECT), 0);
    service_disconnect(&service);
    assert_int_equal(error_of(ORDER_PROTECT), 0);
    assert_int_equal(service_patience_ms(&service), -1);
    played.now_ms += AFTER_MS;
    service_unprotect_when_due(&service);
    assert_int_equal(played.n_removed, 0);
}

static void they_go_at_once_where_this_process_ends_meanwhile(void **state)
{
    (void)state;
    assert_int_equal(error_of(ORDER_UNPROTECT), 0);
    service_deinit(&service);
    assert_int_equal(played.n_removed, 1);
    played.remove_error = -EPERM;
    assert_int_equal(service_unprotect(), -EPERM);
}

static int connect_to(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

    (void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
    assert_int_equal(connect(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
    return fd;
}

static void a_socket_is_taken_over_where_nobody_listens_any_more(void **state)
{
    char folder[TEMPORARY_PATH_SIZE], path[TEMPORARY_PATH_SIZE + sizeof("/socket")];
    struct stat status;
    int first = -1, second = -1;

    (void)state;
    temporary_path("test-listener", folder);
    assert_non_null(mkdtemp(folder));
    (void)snprintf(path, sizeof(path), "%s/socket", folder);
    assert_int_equal(local_listen(path, &first), 0);
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0666);
    assert_int_equal(local_listen(path, &second), -EADDRINUSE);
    assert_int_equal(second, -1);
    (void)close(first);
    assert_int_equal(local_listen(path, &second), 0);
    (void)close(connect_to(path));
    (void)close(second);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(rmdir(folder), 0);
}

static void a_socket_has_a_path_that_its_address_has_room_for(void **state)
{
    char path[sizeof(((struct sockaddr_un *)NULL)->sun_path) + 1];
    int fd = -1;

    (void)state;
    memset(path, 'a', sizeof(path));
    memcpy(path, "/nonexistent/", strlen("/nonexistent/"));
    path[sizeof(path) - 1] = '\0';
    assert_int_equal(local_listen(path, &fd), -ENAMETOOLONG);
    path[sizeof(path) - 2] = '\0';
    assert_int_equal(local_listen(path, &fd), -ENOENT);
    assert_int_equal(fd, -1);
}

static void a_connection_is_for_one_user_and_for_no_other(void **state)
{
    int pair[2];

    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
    assert_true(local_is_from(pair[0], getuid()));
    assert_false(local_is_from(pair[0], getuid() + 1));
    (void)close(pair[0]);
    (void)close(pair[1]);
    assert_false(local_is_from(-1, getuid()));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_socket_is_taken_over_where_nobody_listens_any_more),
        cmocka_unit_test(a_socket_has_a_path_that_its_address_has_room_for),
        cmocka_unit_test(a_connection_is_for_one_user_and_for_no_other),
        cmocka_unit_test_setup(before_a_plane_is_open_nothing_is_asked_of_it, begin),
        cmocka_unit_test_setup(a_plane_is_opened_once_and_says_its_mode, begin),
        cmocka_unit_test_setup(rules_are_put_in_force_once, begin),
        cmocka_unit_test_setup(no_rules_are_put_in_force_for_an_interface_that_is_not_ours, begin),
        cmocka_unit_test_setup(the_rules_know_an_sa_before_the_plane_and_forget_one_that_it_refuses,
                               begin_open_and_protected),
        cmocka_unit_test_setup(the_rules_know_both_ways_of_an_sa_while_it_moves,
                               begin_open_and_protected),
        cmocka_unit_test_setup(what_the_rules_can_not_let_pass_is_not_asked_of_the_plane,
                               begin_open_and_protected),
        cmocka_unit_test_setup(what_was_dropped_is_counted_where_there_are_rules, begin),
        cmocka_unit_test_setup(each_part_is_polled_and_looks_at_its_own, begin),
        cmocka_unit_test_setup(the_rules_outlast_a_connection, begin_open_and_protected),
        cmocka_unit_test_setup(they_go_some_time_after_nobody_wants_them_any_more,
                               begin_open_and_protected),
        cmocka_unit_test_setup(rules_that_the_kernel_did_not_take_are_tried_again_each_second,
                               begin_open_and_protected),
        cmocka_unit_test_setup(they_stay_where_somebody_wants_them_again_in_time,
                               begin_open_and_protected),
        cmocka_unit_test_setup(they_go_at_once_where_this_process_ends_meanwhile,
                               begin_open_and_protected),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
