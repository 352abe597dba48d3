/* The steps of the last connection, as they are kept; lines of one of several connections. */
#include "ikeclient/report.h"

#include "base/cleanup.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/listen.h"

static Step step_at(unsigned number, uint64_t at)
{
    return (Step){.start = 1000,
                  .at = at,
                  .number = number,
                  .what = "IKE_AUTH request",
                  .from = "henb.example",
                  .to = "segw.example",
                  .details = "1 datagram"};
}

static void steps_are_kept_in_order_with_the_time_since_the_connection_was_begun(void **state)
{
    Flow flow = {0};
    Step first = step_at(1, 1500), second = step_at(2, 4000);
    (void)state;

    flow_add(&flow, &first);
    flow_add(&flow, &second);
    assert_int_equal(flow.n_steps, 2);
    assert_int_equal(flow.steps[0].elapsed, 500);
    assert_int_equal(flow.steps[1].elapsed, 3000);
    assert_int_equal(flow.steps[1].number, 2);
    assert_string_equal(flow.steps[1].what, "IKE_AUTH request");
    assert_string_equal(flow.steps[1].from, "henb.example");
    assert_string_equal(flow.steps[1].to, "segw.example");
    assert_string_equal(flow.steps[1].details, "1 datagram");
    assert_true(flow.steps[0].realtime > 0);
    assert_true(flow.steps[1].realtime >= flow.steps[0].realtime);
    flow_deinit(&flow);
}

static void a_step_of_the_ike_sa_before_counts_from_the_present_connection(void **state)
{
    Flow flow = {0};
    Step first = step_at(1, 9500), seventh = step_at(7, 12000);
    (void)state;

    first.start = 9000;
    flow_add(&flow, &first);
    flow_add(&flow, &seventh); /* of the one that was begun at 1000 */
    assert_int_equal(flow.steps[1].elapsed, 3000);
    flow_deinit(&flow);
}

static void another_connection_begins_with_none(void **state)
{
    Flow flow = {0};
    Step step = step_at(1, 1500);
    (void)state;

    flow_add(&flow, &step);
    flow_begin(&flow);
    assert_int_equal(flow.n_steps, 0);
    step.start = 7000;
    step.at = 7001;
    flow_add(&flow, &step);
    assert_int_equal(flow.steps[0].elapsed, 1);
    flow_deinit(&flow);
}

static void no_more_than_the_most_are_kept(void **state)
{
    Flow flow = {0};
    (void)state;

    for (unsigned i = 0; i < FLOW_STEPS_MAX + 1; i++) {
        Step step = step_at(i, 1000 + i);
        flow_add(&flow, &step);
    }
    assert_int_equal(flow.n_steps, FLOW_STEPS_MAX);
    assert_int_equal(flow.steps[FLOW_STEPS_MAX - 1].number, FLOW_STEPS_MAX - 1);
    flow_deinit(&flow);
}

/* A string on the bus is UTF-8, and a terminal obeys escapes. */
static void what_a_segw_said_is_kept_as_printable_ascii(void **state)
{
    Flow flow = {0};
    Step step = step_at(6, 1500);
    (void)state;

    step.details = "refused: \x1b[2J\xff\n~ ok";
    step.to = "seg\x7fw";
    flow_add(&flow, &step);
    assert_string_equal(flow.steps[0].details, "refused: ?[2J??~ ok");
    assert_string_equal(flow.steps[0].to, "seg?w");
    flow_deinit(&flow);
}

/* ---- lines ---- */

static char lines[LISTEN_SIZE];
static Config config;

static int outside_of_journal(void **state)
{
    (void)state;
    return unsetenv("JOURNAL_STREAM");
}

static void say_of_both_kinds(void)
{
    const LogFields fields = {.peer = "segw.example"};
    Steps steps = {.config = &config};

    report_line(&config, LOG_WARNING, "%u%%", 7U);
    report_line(&config, LOG_DEBUG, "too much to know");
    report_fields(&config, LOG_NOTICE, &fields, "%s", "%s");
    steps_start(&steps);
    steps_name(&steps, "henb", "segw");
    steps_log(&steps, 1, "IKE_SA_INIT request", STEP_HENB_TO_SEGW, "-");
}

static void each_line_has_the_label_of_its_connection_in_front(void **state)
{
    static const char step[] = "step 1 IKE_SA_INIT request  henb -> segw  -  (+";
    (void)state;

    config = (Config){.label = "core: "};
    listen_to(say_of_both_kinds, lines);
    assert_memory_equal(lines, "core: 7%\ncore: %s\ncore: ", strlen("core: 7%\ncore: %s\ncore: "));
    assert_non_null(strstr(lines, step));
    config = (Config){0};
    listen_to(say_of_both_kinds, lines);
    assert_memory_equal(lines, "7%\n%s\nstep", strlen("7%\n%s\nstep"));
    assert_non_null(strstr(lines, step));
}

static void say_much(void)
{
    char much[4000];

    memset(much, 'x', sizeof(much));
    report_line(&config, LOG_INFO, "%.*s", (int)sizeof(much), much);
}

static void a_line_that_is_too_long_says_so_at_its_end(void **state)
{
    (void)state;

    config = (Config){0};
    listen_to(say_much, lines);
    assert_string_equal(lines + strlen(lines) - 5, "x...\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(steps_are_kept_in_order_with_the_time_since_the_connection_was_begun),
        cmocka_unit_test(a_step_of_the_ike_sa_before_counts_from_the_present_connection),
        cmocka_unit_test(another_connection_begins_with_none),
        cmocka_unit_test(no_more_than_the_most_are_kept),
        cmocka_unit_test(what_a_segw_said_is_kept_as_printable_ascii),
        cmocka_unit_test(each_line_has_the_label_of_its_connection_in_front),
        cmocka_unit_test(a_line_that_is_too_long_says_so_at_its_end),
    };

    return cmocka_run_group_tests(tests, outside_of_journal, NULL);
}
