/* The upkeep of an IKE SA, over all combinations of facts: what is due is done, or is under way, or
 * waits for something that comes; and nothing is done at a bad time (RFC 7296 2.25). */
#include "ikeclient/upkeep.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

enum { FACTS = 11, COMBINATIONS = 1 << FACTS };

static UpkeepFacts combination(unsigned bits)
{
    UpkeepFacts facts = {0};
    bool *const places[FACTS] = {&facts.up,        &facts.renewal,   &facts.busy,
                                 &facts.answering, &facts.ready,     &facts.overdue,
                                 &facts.unwanted,  &facts.replacing, &facts.child_due,
                                 &facts.ike_due,   &facts.child_owed};

    for (unsigned i = 0; i < FACTS; i++)
        *places[i] = bits & (1U << i);
    return facts;
}

static void for_all(void (*check)(const UpkeepFacts *facts, UpkeepStep step))
{
    for (unsigned bits = 0; bits < COMBINATIONS; bits++) {
        const UpkeepFacts facts = combination(bits);
        check(&facts, upkeep_plan(&facts));
    }
}

/* What a wait ends by: a request of ours or the peer's that is over, the peer's Delete or its being
 * overdue, the time until which the peer has put us off, another authentication. */
static void check_due(const UpkeepFacts *facts, UpkeepStep step)
{
    bool waits =
        facts->busy || facts->answering || facts->replacing || !facts->ready || facts->renewal;

    if (facts->up && (facts->overdue || facts->unwanted || facts->child_due || facts->child_owed ||
                      facts->ike_due))
        assert_true(step != UPKEEP_NOTHING || waits);
}

static void what_is_due_is_done_or_waits_for_what_comes(void **state)
{
    (void)state;
    for_all(check_due);
}

static void check_reason(const UpkeepFacts *facts, UpkeepStep step)
{
    switch (step) {
    case UPKEEP_NOTHING:
        return;
    case UPKEEP_TAKE_OVER:
        assert_true(facts->overdue);
        break;
    case UPKEEP_DELETE_CHILD:
        assert_true(facts->unwanted && !facts->busy && !facts->answering);
        break;
    case UPKEEP_REKEY_CHILD:
        assert_true(facts->child_due && !facts->busy && facts->ready && !facts->renewal);
        break;
    case UPKEEP_CREATE_CHILD:
        assert_true(facts->child_owed && !facts->busy && facts->ready && !facts->renewal);
        assert_false(facts->answering || facts->child_due);
        break;
    case UPKEEP_REKEY_IKE:
        assert_true(facts->ike_due && !facts->busy && facts->ready && !facts->renewal);
        assert_false(facts->answering || facts->replacing || facts->child_due);
        break;
    }
    assert_true(facts->up);
}

static void nothing_is_done_without_reason_or_at_a_bad_time(void **state)
{
    (void)state;
    for_all(check_reason);
}

static void check_order(const UpkeepFacts *facts, UpkeepStep step)
{
    if (facts->unwanted && !facts->answering && !facts->overdue)
        assert_true(step != UPKEEP_REKEY_CHILD && step != UPKEEP_REKEY_IKE);
}

static void what_was_replaced_is_deleted_before_more_is_begun(void **state)
{
    (void)state;
    for_all(check_order);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_due_is_done_or_waits_for_what_comes),
        cmocka_unit_test(nothing_is_done_without_reason_or_at_a_bad_time),
        cmocka_unit_test(what_was_replaced_is_deleted_before_more_is_begun),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
