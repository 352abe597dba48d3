/* What was replaced has its time to go, and does not pile up. */
#include "ikeclient/sa_list.h"

#include "base/log.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

enum { LEAVING_MAX = 8, NOW = 1000, LATER = 5000 };

static struct {
    sd_event *event;
    Config config;
    SaList list;
    size_t freed;
} f;

void __wrap_ike_sa_free(IkeSa *sa);

void __wrap_ike_sa_free(IkeSa *sa)
{
    assert_null(sa);
    f.freed++;
}

static int setup(void **state)
{
    (void)state;
    f.freed = 0;
    log_set_level(LOG_CRIT);
    assert_true(sd_event_new(&f.event) >= 0);
    assert_int_equal(sa_list_init(&f.list, f.event, &f.config), 0);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    sa_list_deinit(&f.list);
    sd_event_unref(f.event);
    return 0;
}

/* A member alone, as if the SA in it were that far. */
static SaMember *add(SaRole role, uint64_t deadline)
{
    SaMember *member = sa_member_new(&f);

    assert_non_null(member);
    assert_ptr_equal(member->owner, &f);
    member->role = role;
    member->deadline = deadline;
    sa_list_add(&f.list, member);
    return member;
}

static void bury(void)
{
    while (sd_event_run(f.event, 0) > 0)
        ;
}

static size_t left(void)
{
    size_t n = 0;

    for (const SaMember *member = f.list.first; member; member = member->next)
        n++;
    return n;
}

static void of_more_than_eight_that_leave_the_oldest_goes_without_a_word(void **state)
{
    static const SaRole roles[] = {SA_LINGERING, SA_YIELDING, SA_DELETING, SA_ENDED};
    (void)state;

    add(SA_UP, 0); /* the oldest of all, and it does not leave */
    const SaMember *oldest = add(SA_YIELDING, LATER);
    for (size_t i = 1; i < LEAVING_MAX; i++)
        add(roles[i % ELEMENTS(roles)], LATER);
    sa_list_tend(&f.list, NOW);
    bury();
    assert_int_equal(left(), 1 + LEAVING_MAX);
    assert_int_equal(oldest->role, SA_YIELDING);

    add(SA_COMING, 0);
    const SaMember *newest = add(SA_LINGERING, LATER);
    sa_list_tend(&f.list, NOW);
    assert_int_equal(oldest->role, SA_GONE);
    assert_int_equal(f.freed, 0); /* its handlers have not returned */
    bury();
    assert_int_equal(f.freed, 1);
    assert_int_equal(left(), 2 + LEAVING_MAX);
    assert_int_equal(newest->role, SA_LINGERING);
    assert_non_null(sa_list_find(&f.list, SA_UP));
    assert_non_null(sa_list_find(&f.list, SA_COMING));
}

static void what_has_ended_goes_when_its_echo_can_come_no_more(void **state)
{
    (void)state;
    const SaMember *member = add(SA_ENDED, LATER);
    sa_list_tend(&f.list, LATER - 1);
    assert_int_equal(member->role, SA_ENDED);
    assert_int_equal(sa_list_deadline(&f.list), LATER);
    sa_list_tend(&f.list, LATER);
    assert_int_equal(sa_list_deadline(&f.list), SA_LIST_NEVER);
    bury();
    assert_null(f.list.first);
}

static void the_first_that_is_due_is_the_deadline_of_all(void **state)
{
    (void)state;
    assert_int_equal(sa_list_deadline(&f.list), SA_LIST_NEVER);
    add(SA_UP, 1);
    add(SA_DELETING, 2); /* its end is its request's */
    assert_int_equal(sa_list_deadline(&f.list), SA_LIST_NEVER);
    add(SA_YIELDING, 7);
    add(SA_LINGERING, 5);
    add(SA_ENDED, 6);
    assert_int_equal(sa_list_deadline(&f.list), 5);
}

static void what_is_in_use_or_comes_or_has_ended_is_not_leaving(void **state)
{
    (void)state;
    add(SA_COMING, 0);
    add(SA_UP, 0);
    add(SA_ENDED, LATER);
    assert_false(sa_list_has_leaving(&f.list));
    add(SA_LINGERING, LATER);
    assert_true(sa_list_has_leaving(&f.list));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(of_more_than_eight_that_leave_the_oldest_goes_without_a_word),
        TEST(what_has_ended_goes_when_its_echo_can_come_no_more),
        TEST(the_first_that_is_due_is_the_deadline_of_all),
        TEST(what_is_in_use_or_comes_or_has_ended_is_not_leaving),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
