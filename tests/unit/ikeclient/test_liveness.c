/* Silence leads to a question in time; ESP is a sign of life; who is deaf is told from who only
 * ever sends. */
#include "ikeclient/liveness.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define S UINT64_C(1000000)

enum { SILENCE = 15 };

static LivenessFacts quiet_since(uint64_t last_ike, uint64_t now)
{
    return (LivenessFacts){.now = now * S, .silence = SILENCE * S, .last_ike = last_ike * S};
}

/* Nothing has come since `in`, and something was sent last at `out`. */
static LivenessFacts traffic(uint64_t last_ike, uint64_t now, uint64_t in, uint64_t out)
{
    LivenessFacts facts = quiet_since(last_ike, now);

    facts.child = facts.received = true;
    facts.last_in = in * S;
    facts.last_out = out * S;
    return facts;
}

static void assert_waits_until(const LivenessFacts *facts, uint64_t when)
{
    LivenessPlan plan = liveness_plan(facts);

    assert_false(plan.ask || plan.mend);
    assert_int_equal(plan.next, when * S);
}

static void assert_asks(const LivenessFacts *facts)
{
    LivenessPlan plan = liveness_plan(facts);

    assert_true(plan.ask);
    assert_false(plan.mend);
    assert_true(plan.next > facts->now);
}

static void the_peer_is_asked_when_it_was_silent_for_that_long(void **state)
{
    LivenessFacts early = quiet_since(100, 114), due = quiet_since(100, 115);
    (void)state;

    assert_waits_until(&early, 115);
    assert_asks(&due);
}

static void esp_is_a_sign_of_life(void **state)
{
    LivenessFacts facts = traffic(100, 130, 128, 129);
    (void)state;

    assert_waits_until(&facts, 143);
    facts.now = 143 * S;
    facts.last_out = 128 * S;
    assert_asks(&facts);
}

static void an_idle_tunnel_is_silent_and_not_deaf(void **state)
{
    LivenessFacts facts = traffic(100, 500, 100, 100);
    (void)state;

    assert_asks(&facts);
}

static void who_is_deaf_asks_first(void **state)
{
    LivenessFacts facts = traffic(100, 115, 100, 115);
    (void)state;

    assert_asks(&facts);
}

static void esp_has_its_time_to_come_after_the_answer(void **state)
{
    LivenessFacts facts = traffic(115, 116, 100, 116);
    (void)state;

    assert_waits_until(&facts, 120);
}

static void who_stays_deaf_though_the_peer_answers_is_to_be_mended(void **state)
{
    LivenessFacts facts = traffic(115, 120, 100, 120);
    LivenessPlan plan;
    (void)state;

    plan = liveness_plan(&facts);
    assert_true(plan.mend);
    assert_false(plan.ask);
}

static void who_never_received_anything_is_asked_for_and_not_mended(void **state)
{
    LivenessFacts facts = traffic(115, 120, 100, 120);
    LivenessPlan plan;
    (void)state;

    facts.received = false;
    plan = liveness_plan(&facts);
    assert_false(plan.mend || plan.ask);
    facts.now = facts.last_out = 130 * S;
    assert_asks(&facts);
}

static void who_has_sent_nothing_since_the_answer_is_not_mended(void **state)
{
    LivenessFacts facts = traffic(115, 120, 100, 114);
    (void)state;

    assert_false(liveness_plan(&facts).mend);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_peer_is_asked_when_it_was_silent_for_that_long),
        cmocka_unit_test(esp_is_a_sign_of_life),
        cmocka_unit_test(an_idle_tunnel_is_silent_and_not_deaf),
        cmocka_unit_test(who_is_deaf_asks_first),
        cmocka_unit_test(esp_has_its_time_to_come_after_the_answer),
        cmocka_unit_test(who_stays_deaf_though_the_peer_answers_is_to_be_mended),
        cmocka_unit_test(who_never_received_anything_is_asked_for_and_not_mended),
        cmocka_unit_test(who_has_sent_nothing_since_the_answer_is_not_mended),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
