/* Does what each user may hold and spend leave something for the next one? */
#include "tred/users.h"

#include "base/cleanup.h"

#include <setjmp.h>
#include <stdarg.h>
#include <sys/resource.h>
#include <time.h>

#include <cmocka.h>

enum { MANY = 4000, SMALL_USERS = EXCHANGES_RESERVED / EXCHANGES_SMALL, SECOND = 1000000 };

/* The limit on open descriptors, in the place of the kernel's (ld --wrap). */
static rlim_t descriptors = RLIM_INFINITY;
static int limit_result;
/* Time, which stands still where a test has it do so. */
static struct timespec frozen;

int __wrap_getrlimit64(int resource, struct rlimit *ret);
int __wrap_clock_gettime(clockid_t clock, struct timespec *ret);
int __real_clock_gettime(clockid_t clock, struct timespec *ret);

int __wrap_clock_gettime(clockid_t clock, struct timespec *ret)
{
    if (frozen.tv_sec == 0)
        return __real_clock_gettime(clock, ret);
    *ret = frozen;
    return 0;
}

int __wrap_getrlimit64(int resource, struct rlimit *ret)
{
    assert_int_equal(resource, RLIMIT_NOFILE);
    *ret = (struct rlimit){.rlim_cur = descriptors, .rlim_max = RLIM_INFINITY};
    return limit_result;
}

/* Has `uid` hold as many exchanges as it may; how many these are. */
static size_t fill(Users *users, uid_t uid)
{
    User *user = NULL;
    size_t count = 0;

    assert_int_equal(user_take(users, uid, &user), 0);
    while (user_has_room(users, user)) {
        user_add_exchange(users, user);
        count++;
        assert_true(count <= MANY);
    }
    return count;
}

static void users_end(Users *users)
{
    for (User *user = users->first; user; user = user->next)
        user->n_callers = 0;
    users_deinit(users);
    assert_null(users->first);
}

static Users many(void)
{
    Users users;

    users_init(&users, MANY);
    users.total_max = EXCHANGES_TOTAL_MAX; /* whatever this machine's limit is */
    return users;
}

static void one_user_leaves_room_for_others_who_hold_few(void **state)
{
    Users users = many();

    (void)state;
    assert_int_equal(fill(&users, 1), EXCHANGES_USER_MAX);
    for (uid_t uid = 2; uid < 2 + SMALL_USERS; uid++)
        assert_int_equal(fill(&users, uid), EXCHANGES_SMALL);
    assert_int_equal(users.n_exchanges, EXCHANGES_TOTAL_MAX);
    assert_int_equal(fill(&users, 100), 0);
    users_end(&users);
}

static void a_user_holds_what_is_configured_over_all_of_its_callers(void **state)
{
    Users users;
    User *again = NULL;

    (void)state;
    users_init(&users, 3);
    assert_int_equal(fill(&users, 1), 3);
    assert_int_equal(fill(&users, 1), 0); /* another caller of its */
    assert_int_equal(user_take(&users, 1, &again), 0);
    user_remove_exchange(&users, again);
    assert_int_equal(fill(&users, 1), 1);
    users_end(&users);
}

static void descriptors_bound_the_exchanges_and_so_does_their_own_limit(void **state)
{
    static const struct {
        rlim_t limit;
        size_t total;
    } cases[] = {{0, 0},
                 {DESCRIPTORS_OWN - 1, 0},
                 {DESCRIPTORS_OWN, 0},
                 {DESCRIPTORS_OWN + DESCRIPTORS_EACH, 1},
                 {DESCRIPTORS_OWN + 2 * DESCRIPTORS_EACH + 1, 2},
                 {DESCRIPTORS_MAX - 1, EXCHANGES_TOTAL_MAX - 1},
                 {DESCRIPTORS_MAX, EXCHANGES_TOTAL_MAX},
                 {DESCRIPTORS_MAX + DESCRIPTORS_EACH, EXCHANGES_TOTAL_MAX},
                 {RLIM_INFINITY, EXCHANGES_TOTAL_MAX}};
    Users users;

    (void)state;
    for (size_t i = 0; i < ELEMENTS(cases); i++) {
        descriptors = cases[i].limit;
        users_init(&users, MANY);
        assert_int_equal(users.total_max, cases[i].total);
    }
    /* Where the limit is not known, opening one more says so. */
    descriptors = 0;
    limit_result = -1;
    users_init(&users, MANY);
    assert_int_equal(users.total_max, EXCHANGES_TOTAL_MAX);
    limit_result = 0;
    descriptors = RLIM_INFINITY;
}

static void a_user_who_has_spent_its_share_waits_and_another_does_not(void **state)
{
    Users users = many();
    User *spender = NULL, *other = NULL;

    (void)state;
    assert_int_equal(user_take(&users, 1, &spender), 0);
    assert_int_equal(user_take(&users, 2, &other), 0);
    assert_true(user_has_time(spender));
    user_time_end(spender, user_time_begin() - SECOND);
    assert_false(user_has_time(spender));
    assert_true(user_has_time(other));
    spender->spent_at -= SECOND; /* as if a second had passed: half of it is made up for */
    assert_false(user_has_time(spender));
    spender->spent_at -= SECOND;
    assert_true(user_has_time(spender));
    users_end(&users);
}

static void time_that_passes_without_work_for_a_user_is_not_spent(void **state)
{
    const struct timespec nap = {.tv_nsec = 400000000};
    Users users = many();
    User *user = NULL;

    (void)state;
    assert_int_equal(user_take(&users, 1, &user), 0);
    const uint64_t begun = user_time_begin();
    assert_int_equal(nanosleep(&nap, NULL), 0);
    user_time_end(user, begun);
    assert_true(user_has_time(user));
    users_end(&users);
}

static void leaving_the_bus_clears_no_debt(void **state)
{
    Users users = many();
    User *spender = NULL, *again = NULL;

    (void)state;
    assert_int_equal(user_take(&users, 1, &spender), 0);
    user_time_end(spender, user_time_begin() - SECOND);
    user_drop(&users, spender);
    assert_int_equal(user_take(&users, 1, &again), 0);
    assert_false(user_has_time(again));
    user_drop(&users, NULL); /* whose user was never known */
    again->spent = 0;
    user_drop(&users, again);
    assert_null(users.first);
}

static void a_quarter_of_a_second_is_too_much(void **state)
{
    Users users = many();
    User *user = NULL;

    (void)state;
    frozen.tv_sec = 1000;
    assert_int_equal(user_take(&users, 1, &user), 0);
    user_time_end(user, user_time_begin() - (SECOND / 4 - 1));
    assert_true(user_has_time(user));
    user_time_end(user, user_time_begin() - 1);
    assert_false(user_has_time(user));
    frozen.tv_sec = 0;
    users_end(&users);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_user_leaves_room_for_others_who_hold_few),
        cmocka_unit_test(a_user_holds_what_is_configured_over_all_of_its_callers),
        cmocka_unit_test(descriptors_bound_the_exchanges_and_so_does_their_own_limit),
        cmocka_unit_test(a_user_who_has_spent_its_share_waits_and_another_does_not),
        cmocka_unit_test(time_that_passes_without_work_for_a_user_is_not_spent),
        cmocka_unit_test(leaving_the_bus_clears_no_debt),
        cmocka_unit_test(a_quarter_of_a_second_is_too_much),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
