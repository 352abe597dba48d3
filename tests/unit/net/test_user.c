/* The user plane's part in the host's network: is the TUN there as long as there are SAs, and is
 * nothing left of what fails? Network and TUN device are played. */
#include "net/user.h"

#include "net/plane.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cmocka.h>

static struct {
    int name_error, clear_error, attach_error, add_error, open_error;
    bool no_memory;
    unsigned long fails; /* the ioctl that does, with EBUSY */
    unsigned n_networks, n_cleared, n_added;
    unsigned n_added_of[DATAPLANE_INTERFACES_MAX];
    bool attached[DATAPLANE_INTERFACES_MAX];
    int offload;
    char name[IFNAMSIZ];
    uint32_t mtu;     /* that the interface was attached with */
    unsigned widened; /* buffers, in either direction, of descriptor ESP_FD */
} played;

enum { ESP_FD = 1000, PAIR_MTU = 1400 };

static const char places[DATAPLANE_INTERFACES_MAX];

static size_t place_of(const Network *network)
{
    return (size_t)((const char *)(const void *)network - places);
}

int network_new(Network **ret)
{
    *ret = (Network *)(uintptr_t)&places[played.n_networks++];
    return 0;
}

void network_free(Network *network)
{
    if (network)
        played.n_networks--;
}

int network_check_name(const char *name)
{
    return strcmp(name, "management0") == 0 ? played.name_error : 0;
}

int network_clear(Network *network, const char *name)
{
    (void)network, (void)name;
    played.n_cleared++;
    return played.clear_error;
}

int network_attach(Network *network, const char *name, uint32_t mtu)
{
    (void)name;
    played.mtu = mtu;
    played.attached[place_of(network)] = played.attach_error == 0;
    return played.attach_error;
}

void network_detach(Network *network)
{
    played.attached[place_of(network)] = false;
}

int network_add_sa(Network *network, const SaOrder *order, Reason *reason)
{
    (void)order;
    if (played.add_error < 0)
        return reason_set(reason, played.add_error, "the address is taken");
    played.n_added++;
    played.n_added_of[place_of(network)]++;
    return 0;
}

void network_remove_sa(Network *network, uint32_t spi_in)
{
    (void)spi_in;
    played.n_added--;
    played.n_added_of[place_of(network)]--;
}

bool network_is_idle(const Network *network)
{
    return played.n_added_of[place_of(network)] == 0;
}

int network_move_sa(Network *network, uint32_t spi_in, const SaPath *path, Reason *reason)
{
    (void)network, (void)spi_in, (void)path, (void)reason;
    return 0;
}

int network_set_mtu(Network *network, uint32_t spi_in, uint32_t mtu, Reason *reason)
{
    (void)network, (void)spi_in, (void)mtu, (void)reason;
    return 0;
}

int network_watched(const Network *network)
{
    (void)network;
    return -1;
}

bool network_has_changed(Network *network)
{
    (void)network;
    return false;
}

void network_look(Network *network, NetworkGone gone, void *userdata)
{
    (void)network, (void)gone, (void)userdata;
}

/* In the place of the C library's (--wrap). */
int __real_open64(const char *path, int flags, ...);
int __wrap_open64(const char *path, int flags, ...);
int __wrap_ioctl(int fd, unsigned long request, ...);

int __wrap_open64(const char *path, int flags, ...)
{
    assert_string_equal(path, "/dev/net/tun");
    const int fd = played.open_error ? -1 : __real_open64("/dev/null", flags);
    errno = played.open_error ? played.open_error : EDOM; /* which success leaves as it likes */
    return fd;
}

void *__real_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size);

void *__wrap_calloc(size_t n, size_t size)
{
    return played.no_memory ? NULL : __real_calloc(n, size);
}

int __wrap_ioctl(int fd, unsigned long request, ...)
{
    va_list arguments;
    va_start(arguments, request);
    assert_true(fd >= 0);
    if (request == TUNSETIFF) {
        const struct ifreq *asked = va_arg(arguments, const struct ifreq *);
        memcpy(played.name, asked->ifr_name, sizeof(played.name));
    } else {
        played.offload = va_arg(arguments, int);
    }
    va_end(arguments);
    errno = EBUSY;
    return request == played.fails ? -1 : 0;
}

int __wrap_setsockopt(int fd, int level, int name, const void *value, socklen_t size);

int __wrap_setsockopt(int fd, int level, int name, const void *value, socklen_t size)
{
    (void)value, (void)size;
    assert_int_equal(fd, ESP_FD);
    assert_int_equal(level, SOL_SOCKET);
    played.widened += name == SO_RCVBUFFORCE || name == SO_SNDBUFFORCE;
    return 0;
}

static int n_descriptors(void)
{
    int n = 0;
    for (int fd = 0; fd < 64; fd++)
        n += fcntl(fd, F_GETFD) >= 0;
    return n;
}

static NetPlane *plane;
static int descriptors_before;

static int open_plane(Reason *reason)
{
    static const InterfaceNames interfaces = {2, {"segw0", "management0"}};
    return net_plane_open(DATAPLANE_USER, &interfaces, &plane, reason);
}

static int begin(void **state)
{
    (void)state;
    memset(&played, 0, sizeof(played));
    plane = NULL;
    descriptors_before = n_descriptors();
    return 0;
}

static int begin_with_plane(void **state)
{
    Reason reason = {0};
    (void)begin(state);
    return open_plane(&reason);
}

static int end(void **state)
{
    (void)state;
    net_plane_close(plane);
    return n_descriptors() == descriptors_before && played.n_networks == 0 ? 0 : -1;
}

/* The answer's error; the TUN, if it made one, into *ret_tun. */
static int add_to(uint8_t interface, uint32_t spi_in, int *ret_tun, Reason *ret_reason)
{
    const SaOrder sa = {.spi_in = spi_in, .interface = interface, .mtu = PAIR_MTU};
    Answer answer;
    net_plane_carry_out(plane, &(Order){.type = ORDER_ADD_SA, .sa = (SaOrder *)(uintptr_t)&sa}, -1,
                        &answer, ret_tun);
    *ret_reason = answer.reason;
    return answer.error;
}

static int add(uint32_t spi_in, int *ret_tun, Reason *ret_reason)
{
    return add_to(0, spi_in, ret_tun, ret_reason);
}

static int carry_out(OrderType type, uint32_t spi_in)
{
    Answer answer;
    int tun = -1;
    net_plane_carry_out(plane, &(Order){.type = type, .id = spi_in}, -1, &answer, &tun);
    assert_int_equal(tun, -1);
    return answer.error;
}

static void opening_clears_what_an_earlier_run_left(void **state)
{
    (void)state;
    assert_int_equal(played.n_cleared, 2);
    assert_false(played.attached[0]);
    assert_int_equal(n_descriptors(), descriptors_before);
}

static void a_network_that_can_not_be_cleared_is_told(void **state)
{
    static const struct {
        int error;
        const char *why;
    } examples[] = {{-EEXIST, "an interface segw0 that tred did not make"},
                    {-EPERM, "CAP_NET_ADMIN is missing"},
                    {-ENOBUFS, "can't be configured: No buffer space"}};
    (void)state;
    for (size_t i = 0; i < ELEMENTS(examples); i++) {
        Reason reason = {0};
        played.clear_error = examples[i].error;
        assert_int_equal(open_plane(&reason), examples[i].error);
        assert_non_null(strstr(reason.text, examples[i].why));
        assert_null(plane);
    }
}

static void a_name_that_is_not_ours_is_told(void **state)
{
    static const InterfaceNames interfaces = {2, {"segw0", "management0"}};
    Reason reason = {0};
    (void)state;
    assert_int_equal(net_plane_check_interfaces(&interfaces, &reason), 0);
    played.name_error = -EEXIST;
    assert_int_equal(net_plane_check_interfaces(&interfaces, &reason), -EEXIST);
    assert_non_null(strstr(reason.text, "an interface management0 that tred did not make"));
    assert_int_equal(played.n_networks + played.n_cleared, 0);
}

static void a_tun_device_that_is_not_to_be_had_is_told_before_there_is_an_sa(void **state)
{
    static const struct {
        int error;
        const char *why;
    } examples[] = {{EACCES, "No permission"},
                    {EPERM, "No permission"},
                    {ENOENT, "Load the module tun"},
                    {ENODEV, "Load the module tun"}};
    (void)state;
    for (size_t i = 0; i < ELEMENTS(examples); i++) {
        Reason reason = {0};
        played.open_error = examples[i].error;
        assert_int_equal(open_plane(&reason), -examples[i].error);
        assert_non_null(strstr(reason.text, examples[i].why));
        assert_null(plane);
    }
    Reason reason = {0};
    played.no_memory = true;
    assert_int_equal(open_plane(&reason), -ENOMEM);
    assert_string_equal(reason.text, "Out of memory");
    played.no_memory = false;
}

static void the_first_sa_brings_the_tun_and_the_last_takes_the_interface_along(void **state)
{
    int tun = -1, none = -1;
    Reason reason;
    (void)state;
    assert_int_equal(add(300, &tun, &reason), 0);
    assert_true(tun >= 0);
    assert_string_equal(played.name, "segw0");
    assert_int_equal(played.offload, TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6);
    assert_true(played.attached[0]);
    assert_int_equal(played.mtu, PAIR_MTU);
    assert_int_equal(add(301, &none, &reason), 0);
    assert_int_equal(none, -1);
    assert_int_equal(carry_out(ORDER_REMOVE_SA, 300), 0);
    assert_true(played.attached[0]);
    assert_int_equal(carry_out(ORDER_REMOVE_SA, 301), 0);
    assert_false(played.attached[0]);
    assert_int_equal(carry_out(ORDER_REMOVE_SA, 301), -ENOENT);
    assert_int_equal(played.n_added, 0);
    assert_int_equal(close(tun), 0);
}

static void each_interface_comes_with_its_first_sa_and_goes_with_its_last(void **state)
{
    int tun = -1, second = -1, none = -1;
    Reason reason;
    (void)state;
    assert_int_equal(add_to(0, 300, &tun, &reason), 0);
    assert_string_equal(played.name, "segw0");
    assert_false(played.attached[1]);
    assert_int_equal(add_to(1, 301, &second, &reason), 0);
    assert_string_equal(played.name, "management0");
    assert_true(tun >= 0 && second >= 0);
    assert_true(played.attached[0] && played.attached[1]);
    assert_int_equal(carry_out(ORDER_REMOVE_SA, 300), 0);
    assert_false(played.attached[0]);
    assert_true(played.attached[1]);
    assert_int_equal(add_to(2, 302, &none, &reason), -EINVAL);
    assert_int_equal(none, -1);
    assert_int_equal(carry_out(ORDER_REMOVE_SA, 301), 0);
    assert_false(played.attached[1]);
    assert_int_equal(close(tun) + close(second), 0);
}

static void an_interface_that_can_not_be_made_leaves_nothing(void **state)
{
    static const unsigned long requests[] = {TUNSETIFF, TUNSETOFFLOAD};
    int tun = -1;
    Reason reason;
    (void)state;
    for (size_t i = 0; i < ELEMENTS(requests); i++) {
        played.fails = requests[i];
        assert_int_equal(add(300, &tun, &reason), -EBUSY);
        assert_non_null(strstr(reason.text, "the interface segw0 can't be made"));
        assert_int_equal(tun, -1);
        assert_false(played.attached[0]);
    }
    played.fails = 0;
    played.open_error = EMFILE;
    assert_int_equal(add(300, &tun, &reason), -EMFILE);
    assert_non_null(strstr(reason.text, "Too many open files"));
    assert_int_equal(tun, -1);
    played.open_error = 0;
    played.attach_error = -ENODEV;
    assert_int_equal(add(300, &tun, &reason), -ENODEV);
    assert_int_equal(tun, -1);
    assert_int_equal(n_descriptors(), descriptors_before);
    assert_int_equal(played.n_added, 0);
}

static void
an_sa_that_the_network_refuses_takes_the_interface_along_if_it_was_the_first(void **state)
{
    int tun = -1, none = -1;
    Reason reason;
    (void)state;
    played.add_error = -EADDRINUSE;
    assert_int_equal(add(300, &tun, &reason), -EADDRINUSE);
    assert_string_equal(reason.text, "the address is taken");
    assert_int_equal(tun, -1);
    assert_false(played.attached[0]);
    assert_int_equal(n_descriptors(), descriptors_before);
    played.add_error = 0;
    assert_int_equal(add(300, &tun, &reason), 0);
    played.add_error = -EADDRINUSE;
    assert_int_equal(add(301, &none, &reason), -EADDRINUSE);
    assert_int_equal(none, -1);
    assert_true(played.attached[0]);
    assert_int_equal(close(tun), 0);
}

/* tred-esp has the keys, and whatever is done with them. */
static void what_is_tred_esps_is_not_done_here(void **state)
{
    int tun = -1, none = -1;
    Reason reason;
    Answer answer;
    Secret key = {0};
    SaOrder with_key = {.spi_in = 301, .encr_in = &key};
    (void)state;
    assert_int_equal(add(300, &tun, &reason), 0);
    assert_int_equal(add(300, &none, &reason), -EEXIST);
    assert_int_equal(carry_out(ORDER_USE_SA, 300), -EBADMSG);
    assert_int_equal(carry_out(ORDER_SA_COUNTERS, 300), -EOPNOTSUPP);
    assert_int_equal(carry_out(ORDER_MOVE_SA, 301), -ENOENT);
    assert_int_equal(carry_out(ORDER_MOVE_SA, 300), 0);
    net_plane_carry_out(plane, &(Order){.type = ORDER_ADD_SA, .sa = &with_key}, -1, &answer, &none);
    assert_int_equal(answer.error, -EINVAL);
    assert_int_equal(none, -1);
    assert_int_equal(close(tun), 0);
}

static void an_spi_is_in_use_once_and_by_so_many_pairs(void **state)
{
    int tun = -1, none = -1;
    Reason reason;
    (void)state;
    assert_int_equal(add(300, &tun, &reason), 0);
    assert_int_equal(add(300, &none, &reason), -EEXIST);
    assert_int_equal(add_to(1, 300, &none, &reason), -EEXIST);
    for (uint32_t i = 1; i < DATAPLANE_SAS_MAX; i++)
        assert_int_equal(add(300 + i, &none, &reason), 0);
    assert_int_equal(add(350, &none, &reason), -ENOSPC);
    assert_int_equal(played.n_added, DATAPLANE_SAS_MAX);
    for (uint32_t i = 0; i < DATAPLANE_SAS_MAX; i++)
        assert_int_equal(carry_out(ORDER_REMOVE_SA, 300 + i), 0);
    assert_int_equal(close(tun), 0);
}

/* Its ESP socket has room for bursts, where there is one. */
static void an_sa_that_comes_or_moves_with_a_socket_has_wide_buffers(void **state)
{
    static const int sockets[] = {-1, ESP_FD};
    const SaOrder sa = {.spi_in = 301};
    const Order orders[] = {{.type = ORDER_ADD_SA, .sa = (SaOrder *)(uintptr_t)&sa},
                            {.type = ORDER_MOVE_SA, .id = 300}};
    int tun = -1, none = -1;
    Reason reason;
    (void)state;
    assert_int_equal(add(300, &tun, &reason), 0);
    for (size_t i = 0; i < ELEMENTS(orders); i++) {
        for (size_t j = 0; j < ELEMENTS(sockets); j++) {
            Answer answer;
            played.widened = 0;
            net_plane_carry_out(plane, &orders[i], sockets[j], &answer, &none);
            assert_int_equal(answer.error, 0);
            assert_int_equal(played.widened, sockets[j] < 0 ? 0 : 2);
            assert_int_equal(carry_out(ORDER_REMOVE_SA, 301), i == 0 ? 0 : -ENOENT);
        }
    }
    assert_int_equal(close(tun), 0);
}

static void a_name_that_no_interface_can_have_is_refused(void **state)
{
    char name[IFNAMSIZ + 1];
    int tun = -1;
    (void)state;
    memset(name, 'a', sizeof(name));
    name[IFNAMSIZ] = '\0';
    assert_int_equal(tun_open(name, &tun), -EINVAL);
    name[IFNAMSIZ - 1] = '\0';
    assert_int_equal(tun_open(name, &tun), 0);
    assert_string_equal(played.name, name);
    assert_int_equal(close(tun), 0);
}

/* What follows in the array is another's. */
static void no_more_is_looked_at_than_was_asked_for(void **state)
{
    struct pollfd polled[NET_PLANE_POLL_MAX + 1] = {{.fd = -1}};

    (void)state;
    const size_t n = net_plane_poll(plane, polled);
    assert_int_equal(n, 2); /* two networks; this plane has nothing of its own to watch */
    polled[0].revents = polled[1].revents = 0;
    polled[n] = (struct pollfd){.fd = -1, .revents = POLLIN};
    net_plane_watch(plane, polled, n);
    net_plane_watch(plane, polled, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(no_more_is_looked_at_than_was_asked_for, begin_with_plane,
                                        end),
        cmocka_unit_test_setup_teardown(opening_clears_what_an_earlier_run_left, begin_with_plane,
                                        end),
        cmocka_unit_test_setup_teardown(a_network_that_can_not_be_cleared_is_told, begin, end),
        cmocka_unit_test_setup_teardown(a_name_that_is_not_ours_is_told, begin, end),
        cmocka_unit_test_setup_teardown(
            a_tun_device_that_is_not_to_be_had_is_told_before_there_is_an_sa, begin, end),
        cmocka_unit_test_setup_teardown(
            the_first_sa_brings_the_tun_and_the_last_takes_the_interface_along, begin_with_plane,
            end),
        cmocka_unit_test_setup_teardown(
            each_interface_comes_with_its_first_sa_and_goes_with_its_last, begin_with_plane, end),
        cmocka_unit_test_setup_teardown(an_interface_that_can_not_be_made_leaves_nothing,
                                        begin_with_plane, end),
        cmocka_unit_test_setup_teardown(
            an_sa_that_the_network_refuses_takes_the_interface_along_if_it_was_the_first,
            begin_with_plane, end),
        cmocka_unit_test_setup_teardown(what_is_tred_esps_is_not_done_here, begin_with_plane, end),
        cmocka_unit_test_setup_teardown(an_spi_is_in_use_once_and_by_so_many_pairs,
                                        begin_with_plane, end),
        cmocka_unit_test_setup_teardown(an_sa_that_comes_or_moves_with_a_socket_has_wide_buffers,
                                        begin_with_plane, end),
        cmocka_unit_test_setup_teardown(a_name_that_no_interface_can_have_is_refused, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
