/* There is a tunnel whenever there is to be one, and none otherwise. */
#include "ikeclient/connection.h"

#include "connection_stage.h"
#include "ikeclient/retry.h"
#include "tests/unit/temporary.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

typedef struct Fixture {
    Stage stage;
    Config config;
    Connection *connection;
    ConnectionTold told;
} Fixture;

static Fixture f;

static int setup(void **state)
{
    (void)state;
    memset(&f, 0, sizeof(f));
    connection_stage_setup(&f.stage, &f.config);
    f.config.retransmit_timeout = 50;
    f.config.retransmit_tries = 2;
    assert_int_equal(connection_new(f.stage.event, &f.stage.tre, &f.config,
                                    &connection_told_handlers, &f.told, &f.connection),
                     0);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    connection_stage_teardown(&f.stage, &f.config, f.connection);
    return 0;
}

static ConnectionState now(void)
{
    ConnectionInfo info;

    connection_info(f.connection, &info);
    return info.state;
}

static void open_it(void)
{
    connection_open(f.connection);
    assert_int_equal(now(), CONNECTION_CONNECTING);
    stage_run_until(&f.stage, &f.told.established);
}

static void delete_from_segw(uint8_t protocol)
{
    IkeDelete delete_ = {protocol, protocol == IKE_PROTOCOL_IKE ? 0 : 1, {STAGE_SPI_OUT}};
    Draft draft;

    draft_begin(&draft);
    ike_chain_add_delete(&draft.chain, &delete_);
    stage_send_sealed(&f.stage, IKE_INFORMATIONAL, false, 0, &draft);
}

static void connecting_leads_to_established_and_closing_to_idle(void **state)
{
    (void)state;
    assert_int_equal(now(), CONNECTION_IDLE);
    open_it();
    assert_int_equal(now(), CONNECTION_ESTABLISHED);
    connection_close(f.connection);
    assert_int_equal(now(), CONNECTION_CLOSING);
    stage_run_until(&f.stage, &f.told.closed);
    assert_int_equal(now(), CONNECTION_IDLE);
    assert_true(f.stage.saw_delete);
}

static void a_host_name_is_looked_up(void **state)
{
    (void)state;
    free(f.config.segw_address);
    f.config.segw_address = strdup("localhost");
    connection_open(f.connection);
    stage_run_until(&f.stage, &f.told.established);
}

static void a_failure_is_waited_out_where_that_is_configured(void **state)
{
    ConnectionInfo info;
    (void)state;

    f.stage.silent_init = true;
    connection_open(f.connection);
    stage_run_until(&f.stage, &f.told.closed);
    assert_int_equal(now(), CONNECTION_WAITING);
    connection_info(f.connection, &info);
    assert_int_not_equal(strlen(info.last_error), 0);

    f.stage.silent_init = false;
    connection_open(f.connection); /* need not wait for the timer */
    stage_run_until(&f.stage, &f.told.established);
    connection_info(f.connection, &info);
    assert_string_equal(info.last_error, "");
}

static void a_failure_is_the_end_where_that_is_configured(void **state)
{
    (void)state;
    f.config.reconnect = false;
    f.stage.silent_init = true;
    connection_open(f.connection);
    stage_run_until(&f.stage, &f.told.closed);
    assert_int_equal(now(), CONNECTION_IDLE);
}

static void retries_can_be_forbidden_whatever_is_configured(void **state)
{
    (void)state;
    connection_allow_retry(f.connection, false);
    f.stage.silent_init = true;
    connection_open(f.connection);
    stage_run_until(&f.stage, &f.told.closed);
    assert_int_equal(now(), CONNECTION_IDLE);
}

static void a_delete_of_the_segw_is_followed_by_a_new_connection(void **state)
{
    (void)state;
    open_it();
    f.told.established = false;
    delete_from_segw(IKE_PROTOCOL_IKE);
    stage_run_until(&f.stage, &f.told.closed);
    assert_int_equal(now(), CONNECTION_WAITING);
    stage_run_until(&f.stage, &f.told.established);
    assert_int_equal(f.told.times_established, 2);
}

static void without_its_child_the_connection_says_so(void **state)
{
    (void)state;
    f.config.reconnect = false;
    open_it();
    delete_from_segw(IKE_PROTOCOL_ESP);
    stage_settle(&f.stage);
    assert_int_equal(now(), CONNECTION_ESTABLISHED_NO_CHILD);
}

/* ---- no way to be without a child for ever ---- */

static void assert_child_comes_back(void)
{
    f.told.established = false;
    while (now() != CONNECTION_ESTABLISHED)
        stage_turn(&f.stage);
}

static void a_child_that_was_deleted_comes_back_though_the_first_reconnect_is_lost(void **state)
{
    (void)state;
    open_it();
    f.stage.silent_init = true;
    delete_from_segw(IKE_PROTOCOL_ESP);
    while (now() != CONNECTION_CONNECTING)
        stage_turn(&f.stage);
    while (now() != CONNECTION_ESTABLISHED_NO_CHILD)
        stage_turn(&f.stage);
    f.stage.silent_init = false;
    assert_child_comes_back();
}

static void a_child_that_was_refused_is_asked_for_again(void **state)
{
    static const uint16_t errors[] = {IKE_NOTIFY_INTERNAL_ADDRESS_FAILURE,
                                      IKE_NOTIFY_TS_UNACCEPTABLE};
    ConnectionInfo info;
    (void)state;

    for (size_t i = 0; i < ELEMENTS(errors); i++) {
        f.stage.child_error = errors[i];
        connection_open(f.connection);
        stage_run_until(&f.stage, &f.told.established);
        assert_int_equal(now(), CONNECTION_ESTABLISHED_NO_CHILD);
        connection_info(f.connection, &info);
        assert_non_null(strstr(info.last_error, ike_notify_name(errors[i])));
        f.stage.child_error = 0;
        assert_child_comes_back();
        f.told.established = f.told.closed = false;
        connection_close(f.connection);
        stage_run_until(&f.stage, &f.told.closed);
        f.told.established = false;
    }
}

static void a_new_child_deleted_while_the_old_ike_sa_lingers_comes_back(void **state)
{
    (void)state;
    open_it();
    f.told.established = false;
    open_it(); /* the stage's SeGW does not delete the first */
    delete_from_segw(IKE_PROTOCOL_ESP);
    while (now() != CONNECTION_ESTABLISHED_NO_CHILD)
        stage_turn(&f.stage);
    assert_child_comes_back();
}

static void a_new_ike_sa_deleted_while_the_old_one_lingers_comes_back(void **state)
{
    (void)state;
    open_it();
    f.told.established = false;
    open_it();
    delete_from_segw(IKE_PROTOCOL_IKE);
    stage_run_until(&f.stage, &f.told.closed);
    assert_int_equal(now(), CONNECTION_WAITING);
    assert_child_comes_back();
}

static void a_second_connection_without_a_child_does_not_replace_one_that_has_it(void **state)
{
    ConnectionInfo info;
    (void)state;

    open_it();
    f.stage.child_error = IKE_NOTIFY_TS_UNACCEPTABLE;
    connection_open(f.connection);
    while (now() == CONNECTION_CONNECTING)
        stage_turn(&f.stage);
    assert_int_equal(now(), CONNECTION_ESTABLISHED);
    assert_int_equal(f.told.times_established, 1);
    connection_info(f.connection, &info);
    assert_non_null(strstr(info.last_error, "TS_UNACCEPTABLE"));
}

static void a_connection_without_an_address_is_waited_out(void **state)
{
    ConnectionInfo info;
    (void)state;

    f.stage.no_configuration = true;
    connection_open(f.connection);
    stage_run_until(&f.stage, &f.told.closed);
    assert_int_equal(now(), CONNECTION_WAITING);
    connection_info(f.connection, &info);
    assert_non_null(strstr(info.last_error, "assigned no IPv4 address"));
    f.stage.no_configuration = false;
    stage_run_until(&f.stage, &f.told.established);
}

/* Without that the next attempt would be half a minute away, which no test waits for. */
static void the_wait_begins_anew_after_a_connection(void **state)
{
    enum { FAILURES = 8 };
    (void)state;

    f.config.retransmit_tries = 1;
    f.stage.silent_init = true;
    for (int i = 0; i < FAILURES; i++) {
        f.told.closed = false;
        connection_open(f.connection);
        stage_run_until(&f.stage, &f.told.closed);
    }
    f.stage.silent_init = false;
    connection_open(f.connection);
    stage_run_until(&f.stage, &f.told.established);
    delete_from_segw(IKE_PROTOCOL_IKE);
    f.told.closed = false;
    stage_run_until(&f.stage, &f.told.closed);
    assert_int_equal(now(), CONNECTION_WAITING);
    assert_child_comes_back();
}

static void opening_again_makes_the_second_sa_before_the_first_is_gone(void **state)
{
    (void)state;
    open_it();
    f.told.established = false;
    open_it();
    assert_int_equal(f.told.times_established, 2);
    assert_int_equal(now(), CONNECTION_ESTABLISHED);
    assert_false(f.told.closed);
    assert_int_equal(stage_count(&f.stage, TRE_CLOSE), 0);
}

static void initial_contact_is_said_of_the_first_ike_sa_alone(void **state)
{
    (void)state;
    open_it();
    assert_true(f.stage.saw_initial_contact);
    f.told.established = false;
    open_it();
    assert_false(f.stage.saw_initial_contact);
    delete_from_segw(IKE_PROTOCOL_IKE); /* the first one lingers */
    stage_run_until(&f.stage, &f.told.closed);
    assert_child_comes_back();
    assert_false(f.stage.saw_initial_contact);
}

/* The SeGW deletes the first IKE SA while the second is being made. */
static void open_and_lose_the_first(void)
{
    Endpoint first = f.stage.henb;

    f.config.retransmit_timeout = 500;
    f.stage.silent_init = true;
    connection_open(f.connection);
    stage_settle(&f.stage);
    f.stage.silent_init = f.told.established = false;
    f.stage.henb = first;
    delete_from_segw(IKE_PROTOCOL_IKE);
    stage_settle(&f.stage);
}

static void a_first_ike_sa_that_is_deleted_carries_until_the_second_is_up(void **state)
{
    ConnectionInfo info;
    (void)state;

    open_it();
    open_and_lose_the_first();
    connection_info(f.connection, &info);
    assert_true(info.sa.established);
    stage_run_until(&f.stage, &f.told.established);
    assert_int_equal(stage_count(&f.stage, TRE_CLOSE), 0); /* packets may be on their way */
    while (stage_count(&f.stage, TRE_CLOSE) == 0)
        stage_turn(&f.stage);
    assert_int_equal(now(), CONNECTION_ESTABLISHED);
    assert_false(f.told.closed);
}

static void an_ike_sa_without_a_child_carries_nothing_and_goes_at_once(void **state)
{
    (void)state;
    f.stage.child_error = IKE_NOTIFY_TS_UNACCEPTABLE;
    connection_open(f.connection);
    stage_run_until(&f.stage, &f.told.established);
    open_and_lose_the_first();
    stage_run_until(&f.stage, &f.told.established);
    assert_int_equal(stage_count(&f.stage, TRE_CLOSE), 1);
}

static void a_second_connection_that_fails_leaves_the_first(void **state)
{
    (void)state;
    open_it();
    f.stage.silent_init = true;
    connection_open(f.connection);
    assert_int_equal(now(), CONNECTION_CONNECTING);
    for (int i = 0; i < 100 && now() == CONNECTION_CONNECTING; i++)
        assert_true(sd_event_run(f.stage.event, 100000) >= 0);
    assert_int_equal(now(), CONNECTION_ESTABLISHED);
    assert_false(f.told.closed);
}

static void a_renewal_that_fails_is_tried_again(void **state)
{
    (void)state;
    open_it();
    f.stage.silent_init = true;
    connection_child_due(f.connection, STAGE_SPI_IN, true);
    assert_int_equal(now(), CONNECTION_CONNECTING);
    for (int i = 0; i < 100 && now() == CONNECTION_CONNECTING; i++)
        assert_true(sd_event_run(f.stage.event, 100000) >= 0);
    assert_int_equal(now(), CONNECTION_ESTABLISHED);

    f.told.established = f.stage.silent_init = false;
    stage_run_until(&f.stage, &f.told.established);
    assert_int_equal(f.told.times_established, 2);
}

/* Of four seconds the last but one or two are left for that. */
static void an_authentication_that_ends_is_renewed_before_and_keeps_the_address(void **state)
{
    (void)state;
    f.config.reconnect = false; /* it is no failure */
    f.stage.lifetime = 4;
    open_it();
    assert_int_equal(f.stage.asked[0], 0);
    f.told.established = false;
    stage_run_until(&f.stage, &f.told.established);
    assert_int_equal(now(), CONNECTION_ESTABLISHED);
    assert_false(f.told.closed);
    assert_false(f.stage.saw_initial_contact);
    assert_memory_equal(f.stage.asked, f.stage.address, 4);
}

static void a_certificate_that_ends_leads_to_a_new_authentication(void **state)
{
    ConnectionInfo info;
    (void)state;
    f.config.reconnect = false;
    open_it();
    f.told.established = false;
    connection_expires(f.connection, "/exchange/7", 4);
    connection_info(f.connection, &info);
    assert_int_equal(info.sa.renew_at, UINT64_MAX);
    connection_expires(f.connection, "/exchange/1", 4);
    stage_run_until(&f.stage, &f.told.established);
    assert_int_equal(f.told.times_established, 2);
    assert_false(f.told.closed);
}

/* A client that was there before has failed nine times, and waits. */
static void restart_while_waiting(void)
{
    const BackoffRecord record = {9, (uint64_t)time(NULL), (uint64_t)time(NULL) + 200};
    char folder[TEMPORARY_PATH_SIZE], file[TEMPORARY_PATH_SIZE + 16];

    temporary_path("connection", folder);
    assert_non_null(mkdtemp(folder));
    (void)snprintf(file, sizeof(file), "%s/failures", folder);
    assert_int_equal(backoff_save(file, &record), 0);
    assert_int_equal(connection_remember(f.connection, folder), 0);
    connection_start(f.connection);
    assert_int_equal(now(), CONNECTION_WAITING);
    stage_settle(&f.stage);
    assert_int_equal(f.stage.n_calls, 0);
    assert_int_equal(unlink(file), 0);
    assert_int_equal(rmdir(folder), 0);
}

static void a_restarted_client_waits_on_and_connects_at_once_when_it_is_told_to(void **state)
{
    (void)state;
    restart_while_waiting();
    open_it();
}

/* Else the authentication would end before the wait. */
static void a_wait_is_over_once_there_is_a_connection(void **state)
{
    (void)state;
    restart_while_waiting();
    f.stage.lifetime = 4;
    open_it();
    f.told.established = f.told.closed = false;
    stage_run_until(&f.stage, &f.told.established);
    assert_int_equal(f.told.times_established, 2);
    assert_false(f.told.closed);
}

static void a_start_without_failures_waits_for_nothing(void **state)
{
    (void)state;
    connection_start(f.connection);
    assert_int_equal(now(), CONNECTION_CONNECTING);
    stage_run_until(&f.stage, &f.told.established);
}

static void what_the_operator_closed_before_its_turn_stays_down_until_he_opens_it(void **state)
{
    (void)state;
    connection_close(f.connection);
    connection_start(f.connection);
    assert_int_equal(now(), CONNECTION_IDLE);
    stage_settle(&f.stage);
    assert_int_equal(f.stage.n_calls, 0);
    open_it();
}

static void what_the_operator_opened_before_its_turn_is_opened_once(void **state)
{
    (void)state;
    f.config.reconnect = false;
    open_it();
    connection_start(f.connection);
    stage_settle(&f.stage);
    assert_int_equal(stage_count(&f.stage, TRE_BEGIN), 1);
    assert_int_equal(now(), CONNECTION_ESTABLISHED);
}

static void closing_during_a_wait_ends_it_for_good(void **state)
{
    (void)state;
    f.stage.silent_init = true;
    f.config.retry_max = 1;
    connection_open(f.connection);
    stage_run_until(&f.stage, &f.told.closed);
    assert_int_equal(now(), CONNECTION_WAITING);
    f.told.closed = false;
    const size_t begun = stage_count(&f.stage, TRE_BEGIN);
    connection_close(f.connection);
    assert_true(f.told.closed);
    assert_int_equal(now(), CONNECTION_IDLE);
    stage_settle(&f.stage);
    assert_int_equal(stage_count(&f.stage, TRE_BEGIN), begun);
}

static void closing_while_the_name_is_looked_up_ends_it(void **state)
{
    (void)state;
    free(f.config.segw_address);
    f.config.segw_address = strdup("localhost");
    connection_open(f.connection);
    assert_int_equal(now(), CONNECTION_CONNECTING);
    connection_close(f.connection);
    assert_int_equal(now(), CONNECTION_IDLE);
    stage_settle(&f.stage);
    assert_int_equal(stage_count(&f.stage, TRE_BEGIN), 0);
}

/* Nobody is at the first one of two; the loopback has both. */
static void prefer_somebody_who_is_away(void)
{
    free(f.config.segw_address);
    f.config.segw_address = strdup("127.0.0.9, 127.0.0.1");
    f.config.retransmit_tries = 1;
}

static void the_next_segw_is_tried_at_once_where_one_fails(void **state)
{
    ConnectionInfo info;
    (void)state;

    prefer_somebody_who_is_away();
    f.config.reconnect = false; /* it is one attempt at all of them */
    connection_open(f.connection);
    stage_run_until(&f.stage, &f.told.established);
    assert_false(f.told.closed);
    connection_info(f.connection, &info);
    assert_int_equal(endpoint_address(info.sa.segw).data[3], 1);
}

static void where_all_segws_fail_the_attempt_has_failed(void **state)
{
    (void)state;
    prefer_somebody_who_is_away();
    f.config.reconnect = false;
    f.stage.silent_init = true;
    connection_open(f.connection);
    stage_run_until(&f.stage, &f.told.closed);
    assert_int_equal(now(), CONNECTION_IDLE);
    assert_int_equal(stage_count(&f.stage, TRE_BEGIN), 2);
}

/* One that was tried in vain before the wait is tried again after it. */
static void after_an_attempt_that_tred_ended_each_segw_is_tried_anew(void **state)
{
    ConnectionInfo info;
    (void)state;

    prefer_somebody_who_is_away();
    f.config.return_after = 0;
    connection_open(f.connection);
    do {
        stage_turn(&f.stage);
        connection_info(f.connection, &info);
    } while (strcmp(info.sa.exchange, "/exchange/2") != 0);
    connection_lose(f.connection, "/exchange/2", "tred has closed it");
    while (stage_count(&f.stage, TRE_BEGIN) < 3)
        stage_turn(&f.stage);
    connection_info(f.connection, &info);
    assert_int_equal(endpoint_address(info.sa.segw).data[3], 9);
}

static void a_preferred_segw_is_tried_again_and_its_absence_harms_nobody(void **state)
{
    ConnectionInfo info;
    (void)state;

    prefer_somebody_who_is_away();
    f.config.return_after = 1;
    connection_open(f.connection);
    stage_run_until(&f.stage, &f.told.established);
    while (stage_count(&f.stage, TRE_BEGIN) < 3) /* both, and the first one once more */
        stage_turn(&f.stage);
    while (now() == CONNECTION_CONNECTING)
        stage_turn(&f.stage);
    assert_int_equal(now(), CONNECTION_ESTABLISHED);
    assert_false(f.told.closed);
    assert_int_equal(f.told.times_established, 1);
    connection_info(f.connection, &info);
    assert_int_equal(endpoint_address(info.sa.segw).data[3], 1);
}

/* Whoever is asked at 127.0.0.9 is not there, and so the first SeGW is asked again after that. */
static void redirect_to(const char *name)
{
    static uint32_t message_id;
    uint8_t octets[2 + 4] = {1, 4};
    const Endpoint to = endpoint_of(name, 0);
    Draft draft;

    memcpy(octets + 2, endpoint_address(&to).data, 4);
    draft_begin(&draft);
    ike_chain_add_notify(&draft.chain, IKE_NOTIFY_REDIRECT, BYTES_OF(octets));
    stage_send_sealed(&f.stage, IKE_INFORMATIONAL, false, message_id++, &draft);
}

static void a_redirection_is_followed_beside_the_connection_that_there_is(void **state)
{
    (void)state;
    open_it();
    f.told.established = false;
    redirect_to("127.0.0.1");
    stage_run_until(&f.stage, &f.told.established);
    assert_int_equal(f.told.times_established, 2);
    assert_false(f.told.closed);
    assert_false(f.stage.saw_initial_contact);
}

static void a_redirection_to_nobody_leaves_what_there_is(void **state)
{
    (void)state;
    open_it();
    redirect_to("127.0.0.9");
    while (now() != CONNECTION_CONNECTING)
        stage_turn(&f.stage);
    while (now() == CONNECTION_CONNECTING)
        stage_turn(&f.stage);
    assert_int_equal(now(), CONNECTION_ESTABLISHED);
    assert_int_equal(f.told.times_established, 1);
    f.told.established = false;
    open_it(); /* at the configured one again */
}

static void redirections_without_end_are_not_followed(void **state)
{
    (void)state;
    open_it();
    for (unsigned i = 0; i < REDIRECTS_MAX; i++) {
        f.told.established = false;
        redirect_to("127.0.0.1");
        stage_run_until(&f.stage, &f.told.established);
    }
    size_t begun = stage_count(&f.stage, TRE_BEGIN);
    redirect_to("127.0.0.1");
    stage_settle(&f.stage);
    assert_int_equal(stage_count(&f.stage, TRE_BEGIN), begun);
    assert_int_equal(now(), CONNECTION_ESTABLISHED);
}

/* It comes while the IKE SA that it came with is being deleted, and would be followed after that.
 */
static void a_redirection_is_forgotten_when_the_operator_closes(void **state)
{
    static const uint8_t nobody[] = {1, 4, 127, 0, 0, 9};
    (void)state;
    f.stage.redirect = (Bytes){nobody, sizeof(nobody)};
    connection_open(f.connection);
    while (!f.stage.saw_delete)
        stage_turn(&f.stage);
    assert_int_equal(now(), CONNECTION_CONNECTING);
    connection_close(f.connection);
    stage_run_until(&f.stage, &f.told.closed);
    f.stage.redirect = (Bytes){0};
    open_it();
    assert_int_equal(stage_count(&f.stage, TRE_BEGIN), 2);
}

static void opening_while_closing_connects_when_that_has_ended(void **state)
{
    (void)state;
    open_it();
    f.told.established = false;
    connection_close(f.connection);
    connection_open(f.connection);
    assert_int_equal(now(), CONNECTION_CLOSING);
    assert_int_equal(stage_count(&f.stage, TRE_BEGIN), 1);
    stage_run_until(&f.stage, &f.told.established);
    assert_true(f.told.closed);
    assert_true(f.stage.saw_delete);
    assert_int_equal(stage_count(&f.stage, TRE_BEGIN), 2);
    assert_int_equal(now(), CONNECTION_ESTABLISHED);
}

static void opening_while_closing_tells_no_end_in_between(void **state)
{
    (void)state;
    f.told.connection = f.connection;
    open_it();
    f.told.established = false;
    f.told.states = 0;
    connection_close(f.connection);
    connection_open(f.connection);
    stage_run_until(&f.stage, &f.told.established);
    assert_true(f.told.closed);
    assert_int_equal(f.told.states, 1U << CONNECTION_CLOSING | 1U << CONNECTION_CONNECTING |
                                        1U << CONNECTION_ESTABLISHED);
    connection_close(f.connection);
    f.told.closed = false;
    stage_run_until(&f.stage, &f.told.closed);
    assert_true(f.told.states & 1U << CONNECTION_IDLE);
}

static void somebody_silent(Stage *stage, Bytes datagram)
{
    (void)stage, (void)datagram;
}

static void opening_while_closing_does_not_wait_for_a_segw_that_is_silent(void **state)
{
    (void)state;
    open_it();
    f.told.established = false;
    connection_close(f.connection);
    f.stage.segw = somebody_silent;
    connection_open(f.connection);
    stage_run_until(&f.stage, &f.told.closed);
    assert_int_equal(now(), CONNECTION_CONNECTING);
}

static void the_operators_last_word_while_closing_counts(void **state)
{
    (void)state;
    open_it();
    connection_close(f.connection);
    connection_open(f.connection);
    connection_close(f.connection);
    stage_run_until(&f.stage, &f.told.closed);
    stage_settle(&f.stage);
    assert_int_equal(now(), CONNECTION_IDLE);
    assert_int_equal(stage_count(&f.stage, TRE_BEGIN), 1);
}

static void opening_twice_is_opening_once(void **state)
{
    (void)state;
    connection_open(f.connection);
    connection_open(f.connection);
    stage_run_until(&f.stage, &f.told.established);
    assert_int_equal(stage_count(&f.stage, TRE_BEGIN), 1);
}

static void closing_while_connecting_ends_it(void **state)
{
    (void)state;
    f.stage.silent_init = true;
    connection_open(f.connection);
    stage_settle(&f.stage);
    connection_close(f.connection);
    stage_run_until(&f.stage, &f.told.closed);
    assert_int_equal(now(), CONNECTION_IDLE);
    assert_int_equal(stage_count(&f.stage, TRE_CLOSE), 1);
}

static void a_vanished_tred_is_followed_by_a_new_connection(void **state)
{
    (void)state;
    open_it();
    f.told.established = false;
    connection_lose(f.connection, NULL, "tred has ended");
    assert_int_equal(now(), CONNECTION_WAITING);
    stage_run_until(&f.stage, &f.told.established);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

/* ---- two of them ---- */

static Connection *other;

static bool first_has_sa_with(void *userdata, const Endpoint *segw)
{
    (void)userdata;
    return connection_has_sa_with(f.connection, segw);
}

static bool either_has_inner(void *userdata, const Endpoint *address)
{
    (void)userdata;
    return connection_has_inner(f.connection, address) || connection_has_inner(other, address);
}

/* Its answers let IKE move to the socket that tred has opened. */
static void segw_with_nat_detection(Stage *stage, Bytes datagram)
{
    const Endpoint segw = endpoint_of("127.0.0.1", stage->port);
    IkeHeader header;
    Draft draft;

    assert_int_equal(ike_header_decode(datagram, &header), 0);
    if (header.exchange_type != IKE_SA_INIT) {
        stage_segw(stage, datagram);
        return;
    }
    stage_send(stage, draft_init_response(&draft, stage->ike_offer, header.spi_i, IKE_GROUP_ECP_256,
                                          &segw, &stage->henb));
}

/* It is at an address that is gone, and what is left is the inner one of the first. */
static void a_connection_does_not_move_into_the_tunnel_of_another(void **state)
{
    ConnectionHandlers handlers = connection_told_handlers;
    const Endpoint inner = endpoint_of("127.0.0.1", 0);
    (void)state;

    memcpy(f.stage.address, endpoint_address(&inner).data, sizeof(f.stage.address));
    open_it();
    assert_true(connection_has_inner(f.connection, &inner));
    handlers.is_inner = either_has_inner;
    assert_int_equal(
        connection_new(f.stage.event, &f.stage.tre, &f.config, &handlers, &f.told, &other), 0);
    f.told.established = false;
    f.stage.address[3] = 9;
    f.stage.mobike = true;
    f.stage.segw = segw_with_nat_detection;
    f.stage.shared_address = "127.0.0.5";
    connection_open(other);
    stage_run_until(&f.stage, &f.told.established);
    assert_false(connection_has_inner(other, &inner));
    f.stage.shared_address = "127.0.0.1";
    connection_look_around(other);
    stage_settle(&f.stage);
    assert_int_equal(stage_count(&f.stage, TRE_MOVE_TRANSPORT), 0);
    connection_free(other);
}

/* The SeGW would drop the first one's, and that one, when it comes back, the second one's. */
static void initial_contact_is_not_said_to_a_segw_that_another_connection_is_with(void **state)
{
    ConnectionHandlers handlers = connection_told_handlers;
    const Endpoint here = endpoint_of("127.0.0.1", 1), elsewhere = endpoint_of("127.0.0.9", 1);
    (void)state;

    open_it();
    assert_true(f.stage.saw_initial_contact);
    assert_true(connection_has_sa_with(f.connection, &here));
    assert_false(connection_has_sa_with(f.connection, &elsewhere));
    handlers.others_have_sa_with = first_has_sa_with;
    assert_int_equal(
        connection_new(f.stage.event, &f.stage.tre, &f.config, &handlers, &f.told, &other), 0);
    f.told.established = false;
    connection_open(other);
    stage_run_until(&f.stage, &f.told.established);
    assert_false(f.stage.saw_initial_contact);
    connection_free(other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(connecting_leads_to_established_and_closing_to_idle),
        TEST(a_host_name_is_looked_up),
        TEST(a_failure_is_waited_out_where_that_is_configured),
        TEST(a_failure_is_the_end_where_that_is_configured),
        TEST(retries_can_be_forbidden_whatever_is_configured),
        TEST(a_delete_of_the_segw_is_followed_by_a_new_connection),
        TEST(without_its_child_the_connection_says_so),
        TEST(a_child_that_was_deleted_comes_back_though_the_first_reconnect_is_lost),
        TEST(a_child_that_was_refused_is_asked_for_again),
        TEST(a_new_child_deleted_while_the_old_ike_sa_lingers_comes_back),
        TEST(a_new_ike_sa_deleted_while_the_old_one_lingers_comes_back),
        TEST(a_second_connection_without_a_child_does_not_replace_one_that_has_it),
        TEST(a_connection_without_an_address_is_waited_out),
        TEST(the_wait_begins_anew_after_a_connection),
        TEST(opening_again_makes_the_second_sa_before_the_first_is_gone),
        TEST(initial_contact_is_said_of_the_first_ike_sa_alone),
        TEST(initial_contact_is_not_said_to_a_segw_that_another_connection_is_with),
        TEST(a_first_ike_sa_that_is_deleted_carries_until_the_second_is_up),
        TEST(an_ike_sa_without_a_child_carries_nothing_and_goes_at_once),
        TEST(a_second_connection_that_fails_leaves_the_first),
        TEST(a_renewal_that_fails_is_tried_again),
        TEST(an_authentication_that_ends_is_renewed_before_and_keeps_the_address),
        TEST(a_certificate_that_ends_leads_to_a_new_authentication),
        TEST(a_restarted_client_waits_on_and_connects_at_once_when_it_is_told_to),
        TEST(a_wait_is_over_once_there_is_a_connection),
        TEST(a_start_without_failures_waits_for_nothing),
        TEST(what_the_operator_closed_before_its_turn_stays_down_until_he_opens_it),
        TEST(what_the_operator_opened_before_its_turn_is_opened_once),
        TEST(closing_during_a_wait_ends_it_for_good),
        TEST(closing_while_the_name_is_looked_up_ends_it),
        TEST(the_next_segw_is_tried_at_once_where_one_fails),
        TEST(where_all_segws_fail_the_attempt_has_failed),
        TEST(after_an_attempt_that_tred_ended_each_segw_is_tried_anew),
        TEST(a_preferred_segw_is_tried_again_and_its_absence_harms_nobody),
        TEST(a_redirection_is_followed_beside_the_connection_that_there_is),
        TEST(a_redirection_to_nobody_leaves_what_there_is),
        TEST(redirections_without_end_are_not_followed),
        TEST(a_redirection_is_forgotten_when_the_operator_closes),
        TEST(opening_while_closing_connects_when_that_has_ended),
        TEST(opening_while_closing_tells_no_end_in_between),
        TEST(opening_while_closing_does_not_wait_for_a_segw_that_is_silent),
        TEST(the_operators_last_word_while_closing_counts),
        TEST(opening_twice_is_opening_once),
        TEST(closing_while_connecting_ends_it),
        TEST(a_vanished_tred_is_followed_by_a_new_connection),
        TEST(a_connection_does_not_move_into_the_tunnel_of_another),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
