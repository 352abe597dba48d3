/* Who listens where, and is whoever connects asked for? */
#include "base/local.h"

#include "base/cleanup.h"
#include "base/local_serve.h"
#include "tests/unit/temporary.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

enum { PATH_MOST = sizeof(((struct sockaddr_un *)NULL)->sun_path) - 1 };

static char folder[TEMPORARY_PATH_SIZE];

/* The socket of each test, or a path of `size` octets, which ends with as many letters as it takes.
 */
static const char *path_of(size_t size)
{
    static char path[PATH_MOST + 2];
    const int used = snprintf(path, sizeof(path), "%s/s", folder);

    assert_in_range(size, used, sizeof(path) - 1);
    memset(path + used, 's', size - (size_t)used);
    path[size] = 0;
    return path;
}

static const char *socket_path(void)
{
    return path_of(strlen(folder) + 2);
}

static struct rlimit descriptors;

static int folder_make(void **state)
{
    (void)state;
    if (getrlimit(RLIMIT_NOFILE, &descriptors) < 0)
        return -1;
    temporary_path("local", folder);
    return mkdtemp(folder) ? 0 : -1;
}

static int folder_remove(void **state)
{
    (void)state;
    const int r = setrlimit(RLIMIT_NOFILE, &descriptors); /* which a test may have lowered */
    (void)unlink(socket_path());
    return rmdir(folder) < 0 ? -1 : r;
}

static void a_connection_of_the_user_is_accepted_and_neither_end_is_waited_for(void **state)
{
    _cleanup_(close_fdp) int listener = -1, theirs = -1, ours = -1;
    uint8_t octet = 7;

    (void)state;
    assert_int_equal(local_listen(socket_path(), &listener), 0);
    assert_int_equal(local_connect(socket_path(), &theirs), 0);
    assert_int_equal(local_accept(listener, getuid(), &ours), 0);
    assert_true(local_is_from(ours, getuid()));
    assert_int_equal(recv(ours, &octet, 1, 0), -1);
    assert_int_equal(errno, EAGAIN);
    assert_int_equal(recv(theirs, &octet, 1, 0), -1);
    assert_int_equal(errno, EAGAIN);
    assert_int_equal(send(theirs, &octet, 1, 0), 1);
    assert_int_equal(recv(ours, &octet, 1, 0), 1);
}

static void a_connection_of_another_user_is_closed(void **state)
{
    _cleanup_(close_fdp) int listener = -1, theirs = -1;
    int ours = -1;
    uint8_t octet;

    (void)state;
    assert_int_equal(local_listen(socket_path(), &listener), 0);
    assert_int_equal(local_connect(socket_path(), &theirs), 0);
    assert_int_equal(local_accept(listener, getuid() + 1, &ours), -EACCES);
    assert_int_equal(ours, -1);
    assert_int_equal(recv(theirs, &octet, 1, 0), 0);
}

static void without_a_descriptor_or_a_caller_there_is_no_connection(void **state)
{
    _cleanup_(close_fdp) int listener = -1;
    struct rlimit none;
    int fd = -1;

    (void)state;
    assert_int_equal(local_listen(socket_path(), &listener), 0);
    assert_int_equal(fcntl(listener, F_SETFL, O_NONBLOCK), 0);
    assert_int_equal(local_accept(listener, getuid(), &fd), -EAGAIN);
    none = descriptors;
    none.rlim_cur = 0;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    assert_int_equal(local_connect(socket_path(), &fd), -EMFILE);
    assert_int_equal(local_listen(socket_path(), &fd), -EMFILE);
    assert_int_equal(fd, -1);
}

static void what_is_no_connection_is_from_nobody(void **state)
{
    int ends[2];

    (void)state;
    assert_int_equal(pipe(ends), 0);
    assert_false(local_is_from(ends[0], getuid()));
    (void)close(ends[0]);
    (void)close(ends[1]);
}

static void a_socket_that_is_served_is_left_alone(void **state)
{
    _cleanup_(close_fdp) int listener = -1, theirs = -1;
    int second = -1;

    (void)state;
    assert_int_equal(local_listen(socket_path(), &listener), 0);
    assert_int_equal(local_listen(socket_path(), &second), -EADDRINUSE);
    assert_int_equal(second, -1);
    assert_int_equal(local_connect(socket_path(), &theirs), 0);
}

static void a_socket_that_was_left_behind_is_replaced(void **state)
{
    _cleanup_(close_fdp) int listener = -1, theirs = -1;
    int before = -1, refused = -1;

    (void)state;
    assert_int_equal(local_listen(socket_path(), &before), 0);
    (void)close(before);
    assert_int_equal(local_connect(socket_path(), &refused), -ECONNREFUSED);
    assert_int_equal(refused, -1);
    assert_int_equal(local_listen(socket_path(), &listener), 0);
    assert_int_equal(local_connect(socket_path(), &theirs), 0);
}

static void where_there_is_no_socket_nobody_is_connected_to(void **state)
{
    int fd = -1;

    (void)state;
    assert_int_equal(local_connect(socket_path(), &fd), -ENOENT);
    assert_int_equal(local_connect("/dev/null/s", &fd), -ENOTDIR);
    assert_int_equal(local_listen("/dev/null/s", &fd), -ENOTDIR);
    assert_int_equal(fd, -1);
}

static void everybody_may_connect_and_other_files_are_made_as_before(void **state)
{
    _cleanup_(close_fdp) int listener = -1;
    const mode_t before = umask(S_IRWXO);
    struct stat status;

    (void)state;
    assert_int_equal(local_listen(socket_path(), &listener), 0);
    assert_int_equal(umask(before), S_IRWXO);
    assert_int_equal(stat(socket_path(), &status), 0);
    assert_int_equal(status.st_mode, S_IFSOCK | 0666);
}

static void a_path_is_taken_whole_or_refused(void **state)
{
    _cleanup_(close_fdp) int listener = -1, theirs = -1;
    int fd = -1;

    (void)state;
    assert_int_equal(local_listen(path_of(PATH_MOST + 1), &fd), -ENAMETOOLONG);
    assert_int_equal(local_connect(path_of(PATH_MOST + 1), &fd), -ENAMETOOLONG);
    assert_int_equal(fd, -1);
    assert_int_equal(local_listen(path_of(PATH_MOST), &listener), 0);
    assert_int_equal(local_connect(path_of(PATH_MOST), &theirs), 0);
    assert_int_equal(unlink(path_of(PATH_MOST)), 0);
}

static void a_user_is_found_by_name_and_nobody_stands_in_for_one_that_is_not_there(void **state)
{
    uid_t user = 4711;

    (void)state;
    assert_int_equal(local_user_find("there-is-none", &user), -EINVAL);
    assert_int_equal(local_user_find("", &user), -EINVAL);
    assert_int_equal(local_user_find(NULL, &user), -EINVAL);
    assert_int_equal(user, 4711);
    assert_int_equal(local_user_find("root", &user), 0);
    assert_int_equal(user, 0);
}

#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, folder_make, folder_remove)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_FOLDER(a_connection_of_the_user_is_accepted_and_neither_end_is_waited_for),
        IN_FOLDER(a_connection_of_another_user_is_closed),
        IN_FOLDER(without_a_descriptor_or_a_caller_there_is_no_connection),
        cmocka_unit_test(what_is_no_connection_is_from_nobody),
        IN_FOLDER(a_socket_that_is_served_is_left_alone),
        IN_FOLDER(a_socket_that_was_left_behind_is_replaced),
        IN_FOLDER(where_there_is_no_socket_nobody_is_connected_to),
        IN_FOLDER(everybody_may_connect_and_other_files_are_made_as_before),
        IN_FOLDER(a_path_is_taken_whole_or_refused),
        cmocka_unit_test(a_user_is_found_by_name_and_nobody_stands_in_for_one_that_is_not_there),
    };

    return cmocka_run_group_tests_name("base local", tests, NULL, NULL);
}
