/* Does the window know every number that it has seen, and infer the half of a number that is not
 * sent? */
#include "esp/sa.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { MODEL_SIZE = 20000, ROUNDS = 200 };

/* RFC 4303 3.4.3 in its plainest form: every number has a mark of its own. */
typedef struct Model {
    uint64_t highest;
    bool seen[MODEL_SIZE];
} Model;

static bool model_is_fresh(const Model *model, uint64_t sequence)
{
    if (sequence == 0 || model->seen[sequence])
        return false;
    return sequence + REPLAY_WINDOW > model->highest;
}

static void model_mark(Model *model, uint64_t sequence)
{
    model->seen[sequence] = true;
    if (sequence > model->highest)
        model->highest = sequence;
}

/* A repeatable stream of numbers; no quality is asked of it. */
static uint32_t next_number(uint32_t *state)
{
    *state = *state * 1664525 + 1013904223;
    return *state >> 8;
}

/* Mostly within or just beyond the window, now and then a jump ahead. */
static uint64_t next_sequence(uint32_t *number, uint64_t highest)
{
    uint32_t random = next_number(number);
    if (random % 64 == 0)
        return highest + random / 64 % 3000;
    uint64_t ahead = highest + 4, back = random / 64 % (REPLAY_WINDOW + 100);
    return ahead > back ? ahead - back : 0;
}

static void the_window_agrees_with_a_naive_model_at_every_step(void **state)
{
    (void)state;
    static Model model;
    uint32_t number = 1;
    for (unsigned round = 0; round < ROUNDS; round++) {
        ReplayWindow window = {0};
        model = (Model){0};
        for (;;) {
            uint64_t sequence = next_sequence(&number, model.highest);
            if (sequence >= MODEL_SIZE)
                break;
            bool expected = model_is_fresh(&model, sequence);
            assert_int_equal(replay_window_is_fresh(&window, sequence), expected);
            /* Some of the fresh ones turn out not to be authentic. */
            if (expected && next_number(&number) % 4 != 0) {
                model_mark(&model, sequence);
                replay_window_mark(&window, sequence);
            }
        }
    }
}

static void every_distance_of_a_jump_forgets_exactly_what_it_leaves_behind(void **state)
{
    (void)state;
    for (uint64_t jump = 1; jump <= 2 * REPLAY_WINDOW; jump++) {
        ReplayWindow window = {0};
        for (uint64_t sequence = 1; sequence <= REPLAY_WINDOW; sequence += 3)
            replay_window_mark(&window, sequence);
        uint64_t before = window.highest;
        replay_window_mark(&window, before + jump);
        for (uint64_t sequence = 1; sequence < before + jump; sequence++) {
            bool left = sequence + REPLAY_WINDOW <= before + jump;
            bool seen = sequence <= before && sequence % 3 == 1;
            assert_int_equal(replay_window_is_fresh(&window, sequence), !left && !seen);
        }
    }
}

static void number_0_is_never_fresh(void **state)
{
    (void)state;
    ReplayWindow window = {0};
    assert_false(replay_window_is_fresh(&window, 0));
    assert_true(replay_window_is_fresh(&window, 1));
}

static void a_window_of_1024_takes_the_1024th_back_and_not_the_one_before(void **state)
{
    (void)state;
    ReplayWindow window = {0};
    replay_window_mark(&window, 5000);
    assert_true(replay_window_is_fresh(&window, 5000 - 1023));
    assert_false(replay_window_is_fresh(&window, 5000 - 1024));
}

static void without_esn_the_low_half_is_all(void **state)
{
    (void)state;
    ReplayWindow window = {.highest = UINT32_MAX};
    assert_int_equal(replay_window_infer(&window, 3, false), 3);
    assert_false(replay_window_is_fresh(&window, 3));
}

/* RFC 4303 A2.2, both cases, at their edges. */
static void with_esn_a_low_half_left_of_the_window_belongs_to_the_next_4_billion(void **state)
{
    (void)state;
    const uint64_t wrap = UINT64_C(1) << 32;
    ReplayWindow window = {.highest = 2 * wrap + 5000};
    assert_int_equal(replay_window_infer(&window, 5001, true), 2 * wrap + 5001);
    assert_int_equal(replay_window_infer(&window, 5000 - 1023, true), 2 * wrap + 5000 - 1023);
    assert_int_equal(replay_window_infer(&window, 5000 - 1024, true), 3 * wrap + 5000 - 1024);
    assert_int_equal(replay_window_infer(&window, 0, true), 3 * wrap);
    assert_int_equal(replay_window_infer(&window, UINT32_MAX, true), 2 * wrap + UINT32_MAX);
}

static void with_esn_a_window_across_the_wrap_reaches_back_over_it(void **state)
{
    (void)state;
    const uint64_t wrap = UINT64_C(1) << 32;
    ReplayWindow window = {.highest = 2 * wrap + 10};
    assert_int_equal(replay_window_infer(&window, 11, true), 2 * wrap + 11);
    assert_int_equal(replay_window_infer(&window, 0, true), 2 * wrap);
    assert_int_equal(replay_window_infer(&window, UINT32_MAX, true), 2 * wrap - 1);
    assert_int_equal(replay_window_infer(&window, (uint32_t)(wrap + 10 - 1023), true),
                     2 * wrap + 10 - 1023);
    assert_int_equal(replay_window_infer(&window, (uint32_t)(wrap + 10 - 1024), true),
                     3 * wrap + 10 - 1024);
}

static void with_esn_the_first_wrap_is_followed(void **state)
{
    (void)state;
    const uint64_t wrap = UINT64_C(1) << 32;
    ReplayWindow window = {.highest = wrap - 1};
    assert_int_equal(replay_window_infer(&window, 0, true), wrap);
    assert_true(replay_window_is_fresh(&window, wrap));
    replay_window_mark(&window, wrap);
    assert_int_equal(replay_window_infer(&window, 0, true), wrap);
    assert_false(replay_window_is_fresh(&window, wrap));
    assert_int_equal(replay_window_infer(&window, UINT32_MAX, true), wrap - 1);
}

static void a_young_window_reaches_back_to_no_number_below_1(void **state)
{
    (void)state;
    ReplayWindow window = {.highest = 5};
    assert_int_equal(replay_window_infer(&window, UINT32_MAX, true), UINT32_MAX);
    assert_int_equal(replay_window_infer(&window, 1, true), 1);
}

static void the_last_number_of_all_does_not_wrap_to_a_small_one(void **state)
{
    (void)state;
    ReplayWindow window = {.highest = UINT64_MAX};
    uint64_t inferred = replay_window_infer(&window, 5, true);
    assert_false(replay_window_is_fresh(&window, inferred));
    assert_false(replay_window_is_fresh(&window, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_window_agrees_with_a_naive_model_at_every_step),
        cmocka_unit_test(every_distance_of_a_jump_forgets_exactly_what_it_leaves_behind),
        cmocka_unit_test(number_0_is_never_fresh),
        cmocka_unit_test(a_window_of_1024_takes_the_1024th_back_and_not_the_one_before),
        cmocka_unit_test(without_esn_the_low_half_is_all),
        cmocka_unit_test(with_esn_a_low_half_left_of_the_window_belongs_to_the_next_4_billion),
        cmocka_unit_test(with_esn_a_window_across_the_wrap_reaches_back_over_it),
        cmocka_unit_test(with_esn_the_first_wrap_is_followed),
        cmocka_unit_test(a_young_window_reaches_back_to_no_number_below_1),
        cmocka_unit_test(the_last_number_of_all_does_not_wrap_to_a_small_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
