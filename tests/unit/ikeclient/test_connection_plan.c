/* The plan of a connection, over all combinations of facts: there is none in which nothing is up,
 * nothing is under way and no timer is set, though a connection is wanted. */
#include "ikeclient/connection_internal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

enum { FACTS = 9, COMBINATIONS = 1 << FACTS };

static ConnectionFacts combination(unsigned bits)
{
    ConnectionFacts facts = {0};
    bool *const places[FACTS] = {&facts.wanted,  &facts.repeat,  &facts.asked,
                                 &facts.ready,   &facts.up,      &facts.child,
                                 &facts.renewal, &facts.attempt, &facts.leaving};

    for (unsigned i = 0; i < FACTS; i++)
        *places[i] = bits & (1U << i);
    return facts;
}

/* Calls `check` for every combination. */
static void for_all(void (*check)(const ConnectionFacts *facts, const ConnectionPlan *plan))
{
    for (unsigned bits = 0; bits < COMBINATIONS; bits++) {
        ConnectionFacts facts = combination(bits);
        ConnectionPlan plan = connection_plan(&facts);
        check(&facts, &plan);
    }
}

static void check_recovery(const ConnectionFacts *facts, const ConnectionPlan *plan)
{
    bool tunnel = facts->up && facts->child && !facts->renewal;

    if (facts->wanted && facts->repeat)
        assert_true(tunnel || facts->attempt || plan->begin || plan->wait);
}

static void what_is_wanted_is_there_or_under_way_or_has_a_timer(void **state)
{
    (void)state;
    for_all(check_recovery);
}

static void check_renewal(const ConnectionFacts *facts, const ConnectionPlan *plan)
{
    if (facts->wanted && facts->up && facts->renewal)
        assert_true(facts->attempt || plan->begin || plan->wait);
}

static void what_is_due_to_be_replaced_is_though_failures_are_not_repeated(void **state)
{
    (void)state;
    for_all(check_renewal);
}

static void check_state(const ConnectionFacts *facts, const ConnectionPlan *plan)
{
    bool anything = facts->up || facts->attempt || facts->leaving;

    switch (plan->state) {
    case CONNECTION_IDLE:
        assert_false(anything || plan->begin || plan->wait || plan->close);
        break;
    case CONNECTION_CONNECTING:
        assert_true(facts->wanted && (facts->attempt || plan->begin));
        break;
    case CONNECTION_ESTABLISHED:
        assert_true(facts->wanted && facts->up && facts->child);
        break;
    case CONNECTION_ESTABLISHED_NO_CHILD:
        assert_true(facts->wanted && facts->up && !facts->child);
        break;
    case CONNECTION_WAITING:
        assert_true(facts->wanted && plan->wait && !facts->up);
        break;
    case CONNECTION_CLOSING:
        assert_true(anything && plan->close && !plan->begin && !plan->wait);
        break;
    case CONNECTION_STATES:
        fail();
    }
}

static void every_state_says_what_there_is(void **state)
{
    (void)state;
    for_all(check_state);
}

static void check_attempts(const ConnectionFacts *facts, const ConnectionPlan *plan)
{
    assert_false(plan->begin && plan->wait);
    if (plan->begin || plan->wait)
        assert_true(facts->wanted && !facts->attempt);
    if (plan->begin)
        assert_true(facts->asked || facts->ready);
    if (plan->wait) /* and so a timer that fires leads on */
        assert_false(facts->ready);
}

static void an_attempt_is_begun_beside_no_other_and_not_before_its_time(void **state)
{
    (void)state;
    for_all(check_attempts);
}

static void check_unwanted(const ConnectionFacts *facts, const ConnectionPlan *plan)
{
    if (facts->wanted)
        return;
    assert_false(plan->begin || plan->wait);
    assert_int_equal(plan->close, facts->up || facts->attempt || facts->leaving);
}

static void what_is_not_wanted_is_closed(void **state)
{
    (void)state;
    for_all(check_unwanted);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_wanted_is_there_or_under_way_or_has_a_timer),
        cmocka_unit_test(what_is_due_to_be_replaced_is_though_failures_are_not_repeated),
        cmocka_unit_test(every_state_says_what_there_is),
        cmocka_unit_test(an_attempt_is_begun_beside_no_other_and_not_before_its_time),
        cmocka_unit_test(what_is_not_wanted_is_closed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
