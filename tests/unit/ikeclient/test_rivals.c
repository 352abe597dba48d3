/* Forged answers to IKE_SA_INIT cost no time: each is followed up until the SeGW is known (RFC 7296
 * 2.4). */
#include "ikeclient/connection.h"

#include "connection_stage.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { FOREVER_MS = 60000 }; /* longer than the stage turns: who waits for it fails */

typedef struct Fixture {
    Stage stage;
    Config config;
    Connection *connection;
    ConnectionTold told;
    unsigned forged;    /* answers that come before the true one */
    unsigned late;      /* … and after it */
    bool twice;         /* each comes twice */
    bool hold;          /* the true one comes once IKE_AUTH is under way with a forged one */
    Endpoint init_henb; /* where IKE_SA_INIT came from */
    uint64_t spi_i;
    unsigned asked; /* IKE_AUTH requests that ask for certificates of the SeGW's own anchors */
} Fixture;

static Fixture f;

/* An answer of the SeGW's, or one that differs in the responder's SPI. */
static void answer_init(unsigned forger)
{
    enum { SPI_R_END = 15 };
    uint8_t octets[4096];
    Draft draft;
    Bytes answer =
        draft_init_response(&draft, f.stage.ike_offer, f.spi_i, IKE_GROUP_ECP_256, NULL, NULL);

    memcpy(octets, answer.data, answer.size);
    octets[SPI_R_END] = (uint8_t)(octets[SPI_R_END] + forger);
    for (int i = 0; i <= f.twice; i++) {
        assert_int_equal(sendto(f.stage.fd, octets, answer.size, 0, &f.init_henb.any,
                                endpoint_size(&f.init_henb)),
                         answer.size);
    }
}

/* Two that tred names for this SeGW, where it describes itself with another one. */
static const uint8_t segw_anchors[2 * TRE_HASH_SIZE] = {[0] = 2, [TRE_HASH_SIZE] = 3};

static bool asks_for_its_anchors(Bytes datagram)
{
    const IkePayload *payload;
    IkePayloads payloads;
    IkeCert asked = {0};
    Reader reader;
    uint8_t first = 0;

    reader_init(&reader, datagram);
    assert_int_equal(reader_skip(&reader, IKE_HEADER_SIZE + IKE_PAYLOAD_HEADER_SIZE), 0);
    assert_int_equal(reader_u8(&reader, &first), 0);
    assert_int_equal(ike_payloads_decode(first, reader_rest(&reader), &payloads, NULL), 0);
    payload = ike_payloads_find(&payloads, IKE_PAYLOAD_CERTREQ);
    assert_non_null(payload);
    assert_int_equal(ike_cert_decode(payload->body, &asked), 0);
    return asked.data.size == sizeof(segw_anchors) &&
           memcmp(asked.data.data, segw_anchors, sizeof(segw_anchors)) == 0;
}

static void segw_among_forgers(Stage *stage, Bytes datagram)
{
    IkeHeader header;

    assert_int_equal(ike_header_decode(datagram, &header), 0);
    if (header.exchange_type == IKE_SA_INIT) {
        f.init_henb = stage->henb;
        f.spi_i = header.spi_i;
        for (unsigned i = 1; i <= f.forged; i++)
            answer_init(i);
        if (!f.hold)
            answer_init(0);
        for (unsigned i = 1; i <= f.late; i++)
            answer_init(f.forged + i);
        return;
    }
    if (header.exchange_type == IKE_AUTH)
        f.asked += asks_for_its_anchors(datagram);
    if (f.hold && header.spi_r != TEST_SPI_R) {
        f.hold = false;
        answer_init(0);
    }
    stage_segw(stage, datagram);
}

static int setup(void **state)
{
    (void)state;
    memset(&f, 0, sizeof(f));
    connection_stage_setup(&f.stage, &f.config);
    f.config.retransmit_timeout = FOREVER_MS;
    f.config.reconnect = false;
    f.stage.segw = segw_among_forgers;
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

static void assert_establishes_with_forks(unsigned forks)
{
    connection_open(f.connection);
    stage_run_until(&f.stage, &f.told.established);
    stage_settle(&f.stage);
    assert_int_equal(stage_count(&f.stage, TRE_FORK), forks);
    /* What the forgers' answers began is closed, and the SeGW's is not. */
    assert_int_equal(stage_count(&f.stage, TRE_CLOSE), forks);
    assert_false(f.told.closed);
}

static void a_forged_answer_before_the_segws_costs_no_wait(void **state)
{
    (void)state;
    f.forged = 1;
    assert_establishes_with_forks(1);
}

static void so_does_one_after_it(void **state)
{
    (void)state;
    f.late = 1;
    assert_establishes_with_forks(1);
}

static void the_segws_answer_may_come_when_ike_auth_is_out_with_a_forged_one(void **state)
{
    (void)state;
    f.forged = 1;
    f.hold = true;
    assert_establishes_with_forks(1);
}

static void each_of_two_asks_for_the_anchors_that_count_for_the_segw(void **state)
{
    (void)state;
    f.forged = 1;
    f.hold = true;
    f.stage.segw_anchors = BYTES_OF(segw_anchors);
    assert_establishes_with_forks(1);
    assert_int_equal(f.asked, 2);
}

static void three_forgers_are_kept_beside_the_segw(void **state)
{
    (void)state;
    f.forged = 2;
    f.late = 1;
    assert_establishes_with_forks(3);
}

static void of_many_answers_four_are_followed_up(void **state)
{
    (void)state;
    f.late = 20;
    assert_establishes_with_forks(3);
}

static void an_answer_that_comes_twice_is_one(void **state)
{
    (void)state;
    f.twice = true;
    assert_establishes_with_forks(0);
}

static void an_answer_that_tred_refuses_gives_its_place_to_the_next(void **state)
{
    (void)state;
    f.forged = 1;
    f.stage.refuse[TRE_AGREE] = "BadKeyExchange";
    f.stage.refusals[TRE_AGREE] = 1;
    assert_establishes_with_forks(0);
}

static void where_tred_can_not_fork_the_first_answer_is_gone_on_with(void **state)
{
    (void)state;
    f.late = 1;
    f.stage.refuse[TRE_FORK] = "TooManyExchanges";
    connection_open(f.connection);
    stage_run_until(&f.stage, &f.told.established);
    stage_settle(&f.stage);
    assert_false(f.told.closed);
}

static void when_nobody_authenticates_the_attempt_fails_once(void **state)
{
    ConnectionInfo info;
    (void)state;

    f.forged = 2;
    f.config.retransmit_timeout = 50;
    f.config.retransmit_tries = 2;
    f.stage.silent_auth = true;
    connection_open(f.connection);
    stage_run_until(&f.stage, &f.told.closed);
    connection_info(f.connection, &info);
    assert_int_equal(info.state, CONNECTION_IDLE);
    assert_non_null(strstr(info.last_error, "IKE_AUTH"));
    stage_settle(&f.stage);
    assert_int_equal(stage_count(&f.stage, TRE_CLOSE), 3);
}

static void closing_ends_all_of_them(void **state)
{
    (void)state;
    f.forged = 2;
    f.stage.silent_auth = true;
    f.config.retransmit_timeout = 50;
    connection_open(f.connection);
    while (stage_count(&f.stage, TRE_PROTECT) < 3)
        stage_turn(&f.stage);
    connection_close(f.connection);
    stage_run_until(&f.stage, &f.told.closed);
    stage_settle(&f.stage);
    assert_int_equal(stage_count(&f.stage, TRE_CLOSE), 3);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_forged_answer_before_the_segws_costs_no_wait),
        TEST(so_does_one_after_it),
        TEST(the_segws_answer_may_come_when_ike_auth_is_out_with_a_forged_one),
        TEST(each_of_two_asks_for_the_anchors_that_count_for_the_segw),
        TEST(three_forgers_are_kept_beside_the_segw),
        TEST(of_many_answers_four_are_followed_up),
        TEST(an_answer_that_comes_twice_is_one),
        TEST(an_answer_that_tred_refuses_gives_its_place_to_the_next),
        TEST(where_tred_can_not_fork_the_first_answer_is_gone_on_with),
        TEST(when_nobody_authenticates_the_attempt_fails_once),
        TEST(closing_ends_all_of_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
