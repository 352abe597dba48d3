/* An IKE SA goes its way in every weather: the right calls to tred in the right order, and no more
 * trust than is due. */
#include "ikeclient/ike_sa_internal.h"

#include "base/log.h"
#include "ikeclient/liveness.h"
#include "ikeclient/proposals.h"
#include "stage.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

typedef struct Fixture {
    Stage stage;
    Config config;
    IkeSa *sa;
    bool established, child_deleted, closed, due;
    IkeSaDue why;
    Redirect redirect;
    bool redirected_too_often, renewed;
    unsigned another, authentic;
    int other_fd, true_fd, true_nat_fd;
    IkeSaEnd end;
    char reason[1024];
} Fixture;

static Fixture f;

static void on_established(void *userdata, IkeSa *sa)
{
    (void)userdata;
    (void)sa;
    f.established = true;
}

static void on_child_deleted(void *userdata, IkeSa *sa)
{
    (void)userdata;
    (void)sa;
    f.child_deleted = true;
}

static void on_closed(void *userdata, IkeSa *sa, IkeSaEnd end, const char *reason)
{
    (void)userdata;
    (void)sa;
    assert_false(f.closed);
    f.closed = true;
    f.end = end;
    (void)snprintf(f.reason, sizeof(f.reason), "%s", reason);
}

static void on_another(void *userdata, IkeSa *sa)
{
    (void)userdata;
    (void)sa;
    f.another++;
}

static void on_authentic(void *userdata, IkeSa *sa)
{
    (void)userdata;
    (void)sa;
    f.authentic++;
}

static void on_due(void *userdata, IkeSa *sa, IkeSaDue why)
{
    (void)userdata;
    (void)sa;
    f.due = true;
    f.why = why;
}

static void on_renew(void *userdata, IkeSa *sa, const char *reason)
{
    (void)userdata;
    (void)sa;
    assert_int_not_equal(strlen(reason), 0);
    f.renewed = true;
}

static void on_changed(void *userdata, IkeSa *sa)
{
    (void)userdata;
    (void)sa;
}

static void on_agreed(void *userdata, IkeSa *sa)
{
    (void)userdata;
    (void)sa;
}

static bool on_redirected(void *userdata, IkeSa *sa, const Redirect *to)
{
    (void)userdata;
    (void)sa;
    f.redirect = *to;
    return !f.redirected_too_often;
}

static const IkeSaHandlers handlers = {.redirected = on_redirected,
                                       .another = on_another,
                                       .agreed = on_agreed,
                                       .authentic = on_authentic,
                                       .established = on_established,
                                       .child_deleted = on_child_deleted,
                                       .renew = on_renew,
                                       .changed = on_changed,
                                       .closed = on_closed,
                                       .due = on_due};

static int setup(void **state)
{
    char problem[PROPOSALS_PROBLEM_SIZE];
    (void)state;

    memset(&f, 0, sizeof(f));
    log_set_level(LOG_CRIT);
    assert_int_equal(stage_setup(&f.stage), 0);
    assert_int_equal(config_init(&f.config), 0);
    assert_int_equal(proposals_parse("aes128gcm16-prfsha256-ecp256-ecp384", IKE_PROTOCOL_IKE,
                                     &f.config.ike_offer, problem),
                     0);
    f.config.retransmit_timeout = 50;
    f.config.retransmit_tries = 3;
    f.config.nat_t_port = f.stage.nat_port;
    f.stage.ike_offer = &f.config.ike_offer;
    f.stage.esp_offer = &f.config.esp_offer;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    if (f.sa)
        ike_sa_free(f.sa);
    config_deinit(&f.config);
    stage_teardown(&f.stage);
    return 0;
}

static void start(void)
{
    Endpoint segw = endpoint_of("127.0.0.1", f.stage.port);

    assert_int_equal(
        ike_sa_new(f.stage.event, &f.stage.tre, &f.config, &segw, true, &handlers, NULL, &f.sa), 0);
    ike_sa_start(f.sa);
}

static void establish(void)
{
    start();
    stage_run_until(&f.stage, &f.established);
}

static void assert_failed_with(const char *text)
{
    stage_run_until(&f.stage, &f.closed);
    assert_int_equal(f.end, IKE_SA_FAILED);
    assert_non_null(strstr(f.reason, text));
    assert_false(f.established);
}

static bool is_out(const TaskKind *kind)
{
    const Task *task = task_find(f.sa, kind);

    return task && task->phase == TASK_SENT;
}

/* ---- coming to be ---- */

static void the_calls_to_tred_have_the_order_of_the_call_flow(void **state)
{
    static const TreMethod expected[] = {TRE_DESCRIBE,  TRE_BEGIN,        TRE_AGREE,
                                         TRE_SIGN_AUTH, TRE_ALLOCATE_SPI, TRE_PROTECT,
                                         TRE_UNPROTECT, TRE_VERIFY_PEER,  TRE_ADD_CHILD};
    IkeSaInfo info;
    (void)state;

    establish();
    assert_int_equal(f.stage.n_calls, sizeof(expected) / sizeof(expected[0]));
    for (size_t i = 0; i < f.stage.n_calls; i++)
        assert_int_equal(f.stage.calls[i], expected[i]);
    ike_sa_info(f.sa, &info);
    assert_true(info.established);
    assert_non_null(info.children);
    assert_string_equal(info.segw_identity, "segw.example");
    assert_string_equal(info.suite, f.stage.suite);
}

static void segw_with_nat_detection(Stage *stage, Bytes datagram)
{
    Endpoint segw = endpoint_of("127.0.0.1", stage->port);
    IkeHeader header;
    Draft draft;

    assert_int_equal(ike_header_decode(datagram, &header), 0);
    if (header.exchange_type == IKE_SA_INIT) {
        stage_send(stage, draft_init_response(&draft, stage->ike_offer, header.spi_i,
                                              IKE_GROUP_ECP_256, &segw, &stage->henb));
    } else {
        stage_segw(stage, datagram);
    }
}

static void segw_behind_a_nat(Stage *stage, Bytes datagram)
{
    Endpoint elsewhere = endpoint_of("127.0.0.2", stage->port);
    IkeHeader header;
    Draft draft;

    assert_int_equal(ike_header_decode(datagram, &header), 0);
    if (header.exchange_type == IKE_SA_INIT) {
        stage_send(stage, draft_init_response(&draft, stage->ike_offer, header.spi_i,
                                              IKE_GROUP_ECP_256, &elsewhere, &stage->henb));
    } else {
        stage_segw(stage, datagram);
    }
}

/* tred answers SignAuth when the TPM has signed, and what came after it at once. */
static void established_with_a_late_answer(TreMethod method)
{
    f.stage.segw = segw_with_nat_detection;
    f.stage.late[method] = true;
    establish();
    assert_int_equal(f.stage.done[TRE_PROTECT], 1);
    assert_true(f.stage.henb_floated);
}

static void ike_auth_waits_for_the_signature(void **state)
{
    (void)state;
    established_with_a_late_answer(TRE_SIGN_AUTH);
}

static void ike_auth_waits_for_the_transport(void **state)
{
    (void)state;
    established_with_a_late_answer(TRE_OPEN_TRANSPORT);
}

static void ike_auth_waits_for_the_spi(void **state)
{
    (void)state;
    established_with_a_late_answer(TRE_ALLOCATE_SPI);
}

static void tred_is_told_of_a_nat_where_there_is_one(void **state)
{
    (void)state;
    f.stage.segw = segw_behind_a_nat;
    establish();
    assert_int_equal(f.stage.done[TRE_OPEN_TRANSPORT], 1);
    assert_true(f.stage.nat);
    assert_true(f.stage.asked_nat);
}

static void tred_is_told_of_no_nat_where_there_is_none(void **state)
{
    (void)state;
    f.stage.segw = segw_with_nat_detection;
    establish();
    assert_int_equal(f.stage.done[TRE_OPEN_TRANSPORT], 1);
    assert_false(f.stage.nat);
    assert_false(f.stage.asked_nat);
}

/* ---- at once ---- */

/* Turns the loop until tred was asked for `method`, which it does not answer. */
static void run_until_asked(TreMethod method)
{
    f.stage.mute[method] = true;
    start();
    while (stage_count(&f.stage, method) == 0)
        stage_turn(&f.stage);
}

static void what_ike_auth_needs_is_asked_for_along_with_agree(void **state)
{
    (void)state;
    f.stage.segw = segw_with_nat_detection;
    run_until_asked(TRE_AGREE);
    assert_int_equal(stage_count(&f.stage, TRE_OPEN_TRANSPORT), 1);
    assert_int_equal(stage_count(&f.stage, TRE_ALLOCATE_SPI), 1);
    assert_int_equal(stage_count(&f.stage, TRE_SIGN_AUTH), 1);
}

static void peer_and_child_are_asked_for_along_with_the_response(void **state)
{
    (void)state;
    run_until_asked(TRE_UNPROTECT);
    assert_int_equal(stage_count(&f.stage, TRE_VERIFY_PEER), 1);
    assert_int_equal(stage_count(&f.stage, TRE_ADD_CHILD), 1);
}

static void nothing_goes_along_with_the_response_to_another_request(void **state)
{
    (void)state;
    establish();
    f.stage.mute[TRE_UNPROTECT] = true;
    ike_sa_check_liveness(f.sa);
    stage_settle(&f.stage);
    assert_true(stage_count(&f.stage, TRE_UNPROTECT) > 1);
    assert_int_equal(stage_count(&f.stage, TRE_VERIFY_PEER), 1);
    assert_int_equal(stage_count(&f.stage, TRE_ADD_CHILD), 1);
}

static void a_segw_without_nat_detection_is_no_peer_for_a_user_space_data_plane(void **state)
{
    (void)state;
    f.stage.data_plane = "user";
    start();
    assert_failed_with("can't do ESP in UDP");
    assert_int_equal(stage_count(&f.stage, TRE_SIGN_AUTH), 0);
}

static void ike_auth_floats_to_the_second_port_with_nat_detection(void **state)
{
    (void)state;
    f.stage.segw = segw_with_nat_detection;
    establish();
    assert_true(f.stage.henb_floated);
}

static void ike_auth_stays_where_it_was_without_nat_detection(void **state)
{
    (void)state;
    establish();
    assert_false(f.stage.henb_floated);
}

static void segw_with_cookie_and_group(Stage *stage, Bytes datagram)
{
    static const uint8_t cookie[8] = {0xc0}, group[] = {0, IKE_GROUP_ECP_384};
    IkeMessage message;
    IkeNotify notify;
    IkeKe ke;
    Draft draft;

    if (datagram.data[18] != IKE_SA_INIT) {
        stage_segw(stage, datagram);
        return;
    }
    assert_int_equal(ike_message_decode(datagram, &message, NULL), 0);
    draft_begin_message(&draft, message.header.spi_i, 0, IKE_SA_INIT, IKE_FLAG_RESPONSE, 0);
    assert_int_equal(ike_ke_decode(ike_payloads_find(&message.payloads, IKE_PAYLOAD_KE)->body, &ke),
                     0);
    if (!ike_payloads_notify(&message.payloads, IKE_NOTIFY_COOKIE, &notify)) {
        ike_chain_add_notify(&draft.chain, IKE_NOTIFY_COOKIE, BYTES_OF(cookie));
    } else if (ke.group != IKE_GROUP_ECP_384) {
        ike_chain_add_notify(&draft.chain, IKE_NOTIFY_INVALID_KE_PAYLOAD, BYTES_OF(group));
    } else {
        stage_segw(stage, datagram);
        return;
    }
    stage_send(stage, draft_end_message(&draft));
}

static void a_cookie_and_another_group_lead_to_an_sa_over_the_last_request(void **state)
{
    IkeMessage message;
    IkeNotify notify;
    (void)state;

    f.stage.segw = segw_with_cookie_and_group;
    establish();
    assert_int_equal(stage_count(&f.stage, TRE_CHOOSE_GROUP), 1);
    assert_int_equal(stage_count(&f.stage, TRE_AGREE), 1);
    assert_int_equal(
        ike_message_decode((Bytes){f.stage.agreed_request, f.stage.agreed_request_size}, &message,
                           NULL),
        0);
    assert_true(ike_payloads_notify(&message.payloads, IKE_NOTIFY_COOKIE, &notify));
}

static void a_response_that_tred_refuses_is_passed_over(void **state)
{
    (void)state;
    f.stage.refuse[TRE_AGREE] = "ForeignResponse";
    f.stage.refusals[TRE_AGREE] = 2;
    establish();
    assert_int_equal(stage_count(&f.stage, TRE_AGREE), 3);
    assert_int_equal(f.stage.done[TRE_SIGN_AUTH], 1);
}

static void a_response_that_is_not_authentic_is_passed_over(void **state)
{
    (void)state;
    f.stage.refuse[TRE_UNPROTECT] = "NotAuthentic";
    f.stage.refusals[TRE_UNPROTECT] = 2;
    establish();
    assert_int_equal(stage_count(&f.stage, TRE_UNPROTECT), 3);
    assert_int_equal(f.stage.done[TRE_VERIFY_PEER], 1);
}

static uint8_t first_copy[4096];
static size_t first_copy_size;
static bool repeated_alike;

static void segw_that_compares(Stage *stage, Bytes datagram)
{
    if (first_copy_size == 0) {
        memcpy(first_copy, datagram.data, datagram.size);
        first_copy_size = datagram.size;
        return;
    }
    repeated_alike = bytes_equal(datagram, (Bytes){first_copy, first_copy_size});
    stage->segw = NULL;
    stage_segw(stage, datagram);
}

static void a_retransmission_is_the_same_octets(void **state)
{
    (void)state;
    first_copy_size = 0;
    f.stage.segw = segw_that_compares;
    establish();
    assert_true(repeated_alike);
}

/* ---- failing ---- */

static void silence_is_given_up_after_the_configured_tries(void **state)
{
    (void)state;
    f.stage.silent_init = true;
    start();
    assert_failed_with("no answer");
    assert_int_equal(f.stage.received, f.config.retransmit_tries);
    assert_int_equal(stage_count(&f.stage, TRE_CLOSE), 1);
}

static void segw_that_takes_nothing(Stage *stage, Bytes datagram)
{
    IkeHeader header;
    Draft draft;

    assert_int_equal(ike_header_decode(datagram, &header), 0);
    draft_begin_message(&draft, header.spi_i, 0, IKE_SA_INIT, IKE_FLAG_RESPONSE, 0);
    ike_chain_add_notify(&draft.chain, IKE_NOTIFY_NO_PROPOSAL_CHOSEN, (Bytes){0});
    stage_send(stage, draft_end_message(&draft));
}

static void an_unauthenticated_error_is_waited_out_then_reported(void **state)
{
    (void)state;
    f.stage.segw = segw_that_takes_nothing;
    start();
    assert_failed_with("NO_PROPOSAL_CHOSEN");
    assert_int_equal(f.stage.received, f.config.retransmit_tries);
}

static void silence_is_blamed_on_the_way(void **state)
{
    (void)state;
    f.stage.silent_init = true;
    start();
    assert_failed_with("that UDP port");
}

/* What came says more than that nothing else did. */
static void an_answer_that_tred_refuses_is_the_reason_and_not_the_way(void **state)
{
    (void)state;
    f.stage.refuse[TRE_AGREE] = "SuiteNotAllowed";
    start();
    assert_failed_with("tred refused (SuiteNotAllowed)");
    assert_null(strstr(f.reason, "UDP port"));
}

static void a_silent_ike_auth_after_an_answer_to_ike_sa_init_is_told_from_silence(void **state)
{
    (void)state;
    f.stage.silent_auth = true;
    start();
    assert_failed_with("the SeGW answered IKE_SA_INIT, but not IKE_AUTH");
}

/* It is kept for the last line; that it is said at once is for the integration tests to see. */
static void the_first_answer_that_is_no_good_is_told_once(void **state)
{
    (void)state;
    f.stage.segw = segw_that_takes_nothing;
    start();
    while (!f.sa->hinted)
        stage_turn(&f.stage);
    assert_false(f.closed);
    assert_non_null(strstr(f.sa->hint.text, "compare [ike] and [child] proposals"));
}

/* What it answers to IKE_SA_INIT: one payload. */
static void answer_init_with(Stage *stage, Bytes datagram, uint8_t type, bool critical, Bytes body)
{
    IkeHeader header;
    Draft draft;

    assert_int_equal(ike_header_decode(datagram, &header), 0);
    draft_begin_message(&draft, header.spi_i, TEST_SPI_R, IKE_SA_INIT, IKE_FLAG_RESPONSE, 0);
    ike_chain_open(&draft.chain, type, critical);
    writer_bytes(draft.chain.writer, body);
    ike_chain_close(&draft.chain);
    stage_send(stage, draft_end_message(&draft));
}

static void segw_that_wants_a_group_that_is_not_offered(Stage *stage, Bytes datagram)
{
    static const uint8_t notify[] = {0, 0, 0, IKE_NOTIFY_INVALID_KE_PAYLOAD, 0, 14};

    answer_init_with(stage, datagram, IKE_PAYLOAD_NOTIFY, false, BYTES_OF(notify));
}

static void segw_with_a_critical_payload_that_nobody_knows(Stage *stage, Bytes datagram)
{
    answer_init_with(stage, datagram, 201, true, (Bytes){0});
}

static void segw_without_a_key_exchange(Stage *stage, Bytes datagram)
{
    static const uint8_t nonce[IKE_NONCE_MIN];

    answer_init_with(stage, datagram, IKE_PAYLOAD_NONCE, false, BYTES_OF(nonce));
}

static void segw_that_speaks_ikev1(Stage *stage, Bytes datagram)
{
    enum { VERSION = 17 };
    IkeHeader header;
    Draft draft;

    assert_int_equal(ike_header_decode(datagram, &header), 0);
    draft_begin_message(&draft, header.spi_i, 0, IKE_SA_INIT, IKE_FLAG_RESPONSE, 0);
    const Bytes message = draft_end_message(&draft);
    draft.octets[VERSION] = 0x10;
    stage_send(stage, message);
}

/* Whoever looks for a firewall then looks in vain. */
static void what_came_instead_of_an_answer_is_named_and_not_the_way(void **state)
{
    const struct {
        void (*segw)(Stage *stage, Bytes datagram);
        const char *says;
    } cases[] = {
        {segw_that_wants_a_group_that_is_not_offered,
         "INVALID_KE_PAYLOAD, as it wants group 14 (MODP_2048), which [ike] proposals do not have"},
        {segw_with_a_critical_payload_that_nobody_knows, "payload type 201"},
        {segw_without_a_key_exchange, "without SA, KE or Nr"},
        {segw_that_speaks_ikev1, "does not speak IKEv2"},
    };

    for (size_t i = 0; i < ELEMENTS(cases); i++) {
        if (i > 0) {
            assert_int_equal(teardown(state), 0);
            assert_int_equal(setup(state), 0);
        }
        f.stage.segw = cases[i].segw;
        start();
        assert_failed_with(cases[i].says);
        assert_null(strstr(f.reason, "UDP port"));
    }
}

static void segw_that_knows_nothing_at_ike_auth(Stage *stage, Bytes datagram)
{
    IkeHeader header;
    Draft draft;

    assert_int_equal(ike_header_decode(datagram, &header), 0);
    if (header.exchange_type == IKE_SA_INIT) {
        stage_send(stage, draft_init_response(&draft, stage->ike_offer, header.spi_i,
                                              IKE_GROUP_ECP_256, NULL, NULL));
        return;
    }
    draft_begin_message(&draft, header.spi_i, header.spi_r, IKE_AUTH, IKE_FLAG_RESPONSE, 1);
    ike_chain_add_notify(&draft.chain, IKE_NOTIFY_INVALID_IKE_SPI, (Bytes){0});
    stage_send(stage, draft_end_message(&draft));
}

/* RFC 7296 2.21.4: as one that was restarted in between, or another one of a cluster. */
static void an_error_in_clear_that_answers_ike_auth_is_waited_out_then_reported(void **state)
{
    (void)state;
    f.stage.segw = segw_that_knows_nothing_at_ike_auth;
    start();
    assert_failed_with("somebody there answered IKE_AUTH with INVALID_IKE_SPI (4) in clear");
    assert_null(strstr(f.reason, "UDP port"));
    assert_true(f.stage.received > f.config.retransmit_tries);
}

static void segw_that_knows_nothing_any_more(Stage *stage, Bytes datagram)
{
    IkeHeader header;
    Draft draft;

    assert_int_equal(ike_header_decode(datagram, &header), 0);
    if (header.exchange_type != IKE_INFORMATIONAL) {
        stage_segw(stage, datagram);
        return;
    }
    stage->refuse[TRE_UNPROTECT] = "NotAuthentic";
    draft_begin_message(&draft, header.spi_i, header.spi_r, IKE_INFORMATIONAL, IKE_FLAG_RESPONSE,
                        header.message_id);
    ike_chain_add_notify(&draft.chain, IKE_NOTIFY_INVALID_IKE_SPI, (Bytes){0});
    stage_send(stage, draft_end_message(&draft));
}

/* It has answered IKE_AUTH, and is told that it did not verify. */
static void an_error_in_clear_that_answers_our_refusal_is_none_that_answers_ike_auth(void **state)
{
    (void)state;
    f.stage.segw = segw_that_knows_nothing_any_more;
    f.stage.refuse[TRE_VERIFY_PEER] = "PeerNotTrusted";
    start();
    assert_failed_with("PeerNotTrusted");
    assert_false(f.sa->hinted);
}

static void refuse_us(uint8_t auth_method)
{
    f.stage.auth_method = auth_method;
    f.stage.auth_error = IKE_NOTIFY_AUTHENTICATION_FAILED;
    start();
    assert_failed_with("AUTHENTICATION_FAILED");
}

static void no_common_hash_is_named_where_the_segw_refuses_our_auth(void **state)
{
    (void)state;
    refuse_us(IKE_AUTH_ECDSA_SHA256_P256);
    assert_non_null(strstr(f.reason, "announced no hashes (RFC 7427 4)"));
    assert_non_null(strstr(f.reason, "method 9"));
}

static void with_a_common_hash_none_is_named(void **state)
{
    (void)state;
    refuse_us(IKE_AUTH_DIGITAL_SIGNATURE);
    assert_null(strstr(f.reason, "RFC 7427"));
}

static void a_segw_that_wants_eap_is_told_so_and_its_certificate_is_not_blamed(void **state)
{
    (void)state;
    f.stage.more_payload = IKE_PAYLOAD_EAP;
    start();
    assert_failed_with("it wants EAP");
    assert_true(f.stage.saw_delete);
}

static void assert_unreadable_response_is_told(uint16_t notify)
{
    f.stage.refuse[TRE_VERIFY_PEER] = "Malformed";
    start();
    assert_failed_with("does not parse");
    assert_int_equal(f.stage.told, notify);
}

/* RFC 7296 2.21.2: it takes us for established. */
static void a_segw_whose_ike_auth_response_does_not_parse_is_told(void **state)
{
    (void)state;
    f.stage.more_payload = IKE_PAYLOAD_KE; /* an empty one is none */
    assert_unreadable_response_is_told(IKE_NOTIFY_INVALID_SYNTAX);
}

static void so_is_one_that_sends_a_critical_payload_that_we_do_not_know(void **state)
{
    (void)state;
    f.stage.more_payload = 200;
    f.stage.more_critical = true;
    assert_unreadable_response_is_told(IKE_NOTIFY_UNSUPPORTED_CRITICAL_PAYLOAD);
}

static void a_segw_that_refuses_us_is_reported(void **state)
{
    (void)state;
    f.stage.auth_error = IKE_NOTIFY_AUTHENTICATION_FAILED;
    start();
    f.stage.refuse[TRE_VERIFY_PEER] = "PeerAuthFailed";
    assert_failed_with("AUTHENTICATION_FAILED");
    assert_int_equal(f.stage.done[TRE_ADD_CHILD], 0);
}

static void a_segw_that_does_not_verify_is_told_and_nothing_is_installed(void **state)
{
    (void)state;
    f.stage.refuse[TRE_VERIFY_PEER] = "PeerNotTrusted";
    start();
    assert_failed_with("PeerNotTrusted");
    assert_true(f.stage.saw_auth_failed);
    assert_int_equal(f.stage.done[TRE_ADD_CHILD], 0);
    assert_int_equal(stage_count(&f.stage, TRE_CLOSE), 1);
}

static void selectors_that_we_did_not_offer_end_in_a_delete(void **state)
{
    (void)state;
    f.stage.wide_selectors = true;
    f.stage.refuse[TRE_ADD_CHILD] = "SelectorsNotAllowed";
    start();
    assert_failed_with("traffic selectors that are no part of those we offered");
    assert_true(f.stage.saw_delete);
}

static void assert_no_address_ends_in_a_delete(void)
{
    f.stage.refuse[TRE_ADD_CHILD] = "AddressNotAllowed";
    start();
    assert_failed_with("assigned no IPv4 address");
    assert_true(f.stage.saw_delete);
    assert_int_equal(f.stage.done[TRE_VERIFY_PEER], 1);
}

static void a_child_without_a_cfg_reply_ends_in_a_delete(void **state)
{
    (void)state;
    f.stage.no_configuration = true;
    assert_no_address_ends_in_a_delete();
}

static void a_child_with_the_address_0_0_0_0_ends_in_a_delete(void **state)
{
    (void)state;
    memset(f.stage.address, 0, sizeof(f.stage.address));
    assert_no_address_ends_in_a_delete();
}

static void a_child_without_an_address_is_one_where_none_was_asked_for(void **state)
{
    (void)state;
    f.config.request_address = REQUEST_NONE;
    f.stage.no_configuration = true;
    establish();
    assert_non_null(f.sa->children);
}

static void a_child_that_tred_refuses_ends_in_a_delete(void **state)
{
    (void)state;
    f.stage.refuse[TRE_ADD_CHILD] = "SelectorsNotAllowed";
    start();
    assert_failed_with("SelectorsNotAllowed");
    assert_true(f.stage.saw_delete);
}

static void a_refusal_of_tred_to_begin_is_reported(void **state)
{
    (void)state;
    f.stage.refuse[TRE_BEGIN] = "IntegrityFailed";
    start();
    assert_failed_with("IntegrityFailed");
    assert_int_equal(f.stage.received, 0);
}

static void a_tred_that_is_gone_is_a_loss(void **state)
{
    (void)state;
    f.stage.gone = true;
    start();
    stage_run_until(&f.stage, &f.closed);
    assert_int_equal(f.end, IKE_SA_LOST);
}

static void a_child_that_the_segw_refuses_leaves_the_ike_sa(void **state)
{
    IkeSaInfo info;
    (void)state;

    f.stage.child_error = IKE_NOTIFY_NO_PROPOSAL_CHOSEN;
    f.stage.refuse[TRE_ADD_CHILD] = "ChildNotGranted";
    establish();
    stage_settle(&f.stage);
    ike_sa_info(f.sa, &info);
    assert_true(info.established);
    assert_null(info.children);
    assert_false(f.closed);
}

/* ---- what strangers send ---- */

static void datagrams_with_other_spis_do_not_reach_tred(void **state)
{
    IkeHeader header = {.spi_i = 1, .spi_r = 2, .exchange_type = IKE_INFORMATIONAL};
    uint8_t octets[64];
    IkeChain chain;
    Writer writer;
    (void)state;

    establish();
    size_t before = f.stage.n_calls;
    writer_init(&writer, octets, sizeof(octets));
    ike_message_begin(&writer, &header, &chain);
    ike_message_end(&chain);
    stage_send(&f.stage, (Bytes){octets, writer.size});
    stage_send(&f.stage, (Bytes){octets, 11});
    stage_send(&f.stage, (Bytes){octets, 0});
    stage_settle(&f.stage);
    assert_int_equal(f.stage.n_calls, before);
    assert_false(f.closed);
}

static void a_response_to_no_request_does_not_reach_tred(void **state)
{
    Draft draft;
    (void)state;

    establish();
    size_t before = f.stage.n_calls;
    draft_begin(&draft);
    stage_send_sealed(&f.stage, IKE_INFORMATIONAL, true, 7, &draft);
    stage_settle(&f.stage);
    assert_int_equal(f.stage.n_calls, before);
}

static void a_flood_keeps_tred_busy_with_sixteen_datagrams_at_most(void **state)
{
    Draft draft;
    (void)state;

    establish();
    f.stage.mute[TRE_UNPROTECT] = true;
    size_t before = stage_count(&f.stage, TRE_UNPROTECT);
    draft_begin(&draft);
    for (uint32_t i = 0; i < 100; i++)
        stage_send_sealed(&f.stage, IKE_INFORMATIONAL, false, i, &draft);
    stage_settle(&f.stage);
    assert_int_equal(stage_count(&f.stage, TRE_UNPROTECT) - before, FLIGHTS_MAX);
}

/* ---- what the SeGW asks ---- */

static void send_delete(uint8_t protocol, uint32_t spi, uint32_t message_id)
{
    IkeDelete delete_ = {protocol, protocol == IKE_PROTOCOL_IKE ? 0 : 1, {spi}};
    Draft draft;

    draft_begin(&draft);
    ike_chain_add_delete(&draft.chain, &delete_);
    stage_send_sealed(&f.stage, IKE_INFORMATIONAL, false, message_id, &draft);
}

static void a_delete_of_the_ike_sa_is_answered_and_ends_it(void **state)
{
    (void)state;
    establish();
    unsigned before = f.stage.received;
    send_delete(IKE_PROTOCOL_IKE, 0, 0);
    stage_run_until(&f.stage, &f.closed);
    stage_settle(&f.stage);
    assert_int_equal(f.end, IKE_SA_DELETED_BY_PEER);
    assert_int_equal(f.stage.received, before + 1);
    assert_int_equal(stage_count(&f.stage, TRE_CLOSE), 1);
}

static void a_delete_that_is_held_is_answered_when_it_is_let_go(void **state)
{
    (void)state;
    establish();
    unsigned before = f.stage.received;
    ike_sa_hold_delete(f.sa, true);
    send_delete(IKE_PROTOCOL_IKE, 0, 0);
    stage_settle(&f.stage);
    send_delete(IKE_PROTOCOL_IKE, 0, 0); /* the SeGW's retransmission */
    stage_settle(&f.stage);
    assert_int_equal(f.stage.received, before);
    assert_int_equal(stage_count(&f.stage, TRE_CLOSE), 0);
    assert_false(f.closed);

    ike_sa_hold_delete(f.sa, false);
    stage_settle(&f.stage);
    assert_true(f.closed);
    assert_int_equal(f.end, IKE_SA_DELETED_BY_PEER);
    assert_int_equal(f.stage.received, before + 1);
}

static void a_delete_of_the_child_removes_it_and_keeps_the_ike_sa(void **state)
{
    IkeSaInfo info;
    (void)state;

    establish();
    send_delete(IKE_PROTOCOL_ESP, STAGE_SPI_OUT, 0);
    stage_run_until(&f.stage, &f.child_deleted);
    assert_int_equal(stage_count(&f.stage, TRE_REMOVE_CHILD), 1);
    ike_sa_info(f.sa, &info);
    assert_true(info.established);
    assert_null(info.children);
    assert_false(f.closed);
}

static void a_repeated_request_gets_the_same_answer_without_tred(void **state)
{
    Draft draft;
    uint8_t answer[sizeof(f.stage.last)];
    (void)state;

    establish();
    draft_begin(&draft);
    stage_send_sealed(&f.stage, IKE_INFORMATIONAL, false, 0, &draft);
    stage_settle(&f.stage);
    size_t calls = f.stage.n_calls, size = f.stage.last_size;
    unsigned received = f.stage.received;
    memcpy(answer, f.stage.last, size);

    stage_send_sealed(&f.stage, IKE_INFORMATIONAL, false, 0, &draft);
    stage_settle(&f.stage);
    assert_int_equal(f.stage.received, received + 1);
    assert_int_equal(f.stage.last_size, size);
    assert_memory_equal(f.stage.last, answer, size);
    assert_int_equal(f.stage.n_calls, calls);
}

/* What a fragment of that request says in clear. */
static void emit_fragment(uint32_t message_id, uint16_t number)
{
    const IkeHeader header = {.spi_i = f.sa->spi_i,
                              .spi_r = f.sa->spi_r,
                              .exchange_type = IKE_INFORMATIONAL,
                              .message_id = message_id};
    uint8_t octets[128] = {0};
    Writer writer;
    IkeChain chain;
    Bytes message;

    writer_init(&writer, octets, sizeof(octets));
    ike_message_begin(&writer, &header, &chain);
    ike_chain_open(&chain, IKE_PAYLOAD_SKF, false);
    writer_u16(&writer, number);
    writer_u16(&writer, 3);
    writer_zeros(&writer, 32);
    ike_chain_close(&chain);
    ike_message_end(&chain);
    assert_int_equal(writer_finish(&writer, &message), 0);
    stage_send(&f.stage, message);
}

static void send_fragment(uint32_t message_id, uint16_t number)
{
    emit_fragment(message_id, number);
    stage_settle(&f.stage);
}

/* RFC 7383 2.6.1 */
static void a_request_that_comes_again_in_other_fragments_gets_the_same_answer_once(void **state)
{
    Draft draft;
    (void)state;

    establish();
    draft_begin(&draft);
    stage_send_sealed(&f.stage, IKE_INFORMATIONAL, false, 0, &draft);
    stage_settle(&f.stage);
    const size_t opened = stage_count(&f.stage, TRE_UNPROTECT);
    const unsigned received = f.stage.received;

    send_fragment(0, 1);
    assert_int_equal(f.stage.received, received + 1);
    assert_int_equal(stage_count(&f.stage, TRE_UNPROTECT), opened);
    send_fragment(0, 2); /* these are tred's to look at, and so is one of the next request */
    assert_int_equal(stage_count(&f.stage, TRE_UNPROTECT), opened + 1);
    send_fragment(1, 1);
    assert_int_equal(stage_count(&f.stage, TRE_UNPROTECT), opened + 2);
}

enum { STRANGE_TIMES = 20, STRANGE_ANSWERS_MAX = 8 };

/* The SeGW has sent an INFORMATIONAL request with `ret` in it. Returns how much it has received. */
static unsigned ask_once(Draft *ret)
{
    establish();
    draft_begin(ret);
    stage_send_sealed(&f.stage, IKE_INFORMATIONAL, false, 0, ret);
    stage_settle(&f.stage);
    return f.stage.received;
}

static int socket_elsewhere(void)
{
    const Endpoint here = endpoint_of("127.0.0.7", 0);
    const int fd = socket(AF_INET, SOCK_DGRAM, 0);

    assert_int_equal(bind(fd, &here.any, endpoint_size(&here)), 0);
    return fd;
}

/* That request again, by `another` socket; without it, the first fragment of one. */
static void repeat_from(int another, const Draft *draft)
{
    const int fd = f.stage.fd, nat_fd = f.stage.nat_fd;

    f.stage.nat_fd = f.stage.fd = another;
    if (draft) {
        stage_send_sealed(&f.stage, IKE_INFORMATIONAL, false, 0, draft);
    } else {
        emit_fragment(0, 1);
    }
    f.stage.nat_fd = nat_fd;
    f.stage.fd = fd;
    stage_settle(&f.stage);
}

/* Nobody vouches for such a fragment: it makes nobody else get the answer, and the SeGW not for
 * ever. */
static void a_first_fragment_from_elsewhere_has_the_answer_go_to_the_segw_a_few_times(void **state)
{
    uint8_t octet;
    Draft draft;
    (void)state;

    const unsigned received = ask_once(&draft);
    const int another = socket_elsewhere();

    for (int i = 0; i < STRANGE_TIMES; i++)
        repeat_from(another, NULL);
    assert_int_equal(f.stage.received, received + STRANGE_ANSWERS_MAX);
    assert_int_equal(recv(another, &octet, 1, MSG_DONTWAIT), -1);
    (void)close(another);
}

/* RFC 7296 2.11; and whoever has seen the request can send it, from where he likes. */
static void a_repeated_request_from_elsewhere_is_answered_there_a_few_times(void **state)
{
    unsigned answers = 0;
    uint8_t octet;
    Draft draft;
    (void)state;

    const unsigned received = ask_once(&draft);
    const int another = socket_elsewhere();

    for (int i = 0; i < STRANGE_TIMES; i++) {
        repeat_from(another, &draft);
        while (recv(another, &octet, 1, MSG_DONTWAIT) >= 0)
            answers++;
    }
    assert_int_equal(answers, STRANGE_ANSWERS_MAX);
    assert_int_equal(f.stage.received, received);
    stage_send_sealed(&f.stage, IKE_INFORMATIONAL, false, 0, &draft);
    stage_settle(&f.stage);
    assert_int_equal(f.stage.received, received + 1);
    (void)close(another);
}

/* ---- what the SeGW leaves undone (the time that it has is not waited for) ---- */

enum { NEW_SPI_IN = STAGE_SPI_IN + 1 };

/* The SeGW has rekeyed the Child SA long ago. */
static ChildSa *replaced_long_ago(void)
{
    ChildSa *new;

    establish();
    const TreCall call = {
        .method = TRE_ADD_CHILD, .exchange = f.sa->exchange, .spi_in = NEW_SPI_IN};
    assert_int_equal(tre_call(&f.stage.tre, &call, NULL, NULL), 0);
    f.stage.children[f.stage.n_children++] = (StageChild){.spi_in = NEW_SPI_IN};
    new = child_sas_add(&f.sa->children, NEW_SPI_IN, &f.sa->children->answer);
    assert_non_null(new);
    new->by_peer = true;
    new->replaces = STAGE_SPI_IN;
    new->since = 1;
    return new;
}

static void a_child_that_the_segw_does_not_delete_in_time_we_delete(void **state)
{
    (void)state;
    (void)replaced_long_ago();
    upkeep_tend(f.sa);
    assert_int_equal(f.stage.sending, NEW_SPI_IN);
    while (f.sa->children->spi_in == STAGE_SPI_IN)
        stage_turn(&f.stage);
    assert_true(f.stage.saw_delete);
    assert_int_equal(stage_children(&f.stage), 1);
    assert_false(f.stage.was_mute);
}

static void a_redundant_child_that_the_segw_does_not_delete_in_time_we_delete(void **state)
{
    (void)state;
    replaced_long_ago()->redundant = true;
    upkeep_tend(f.sa);
    while (f.sa->children->next)
        stage_turn(&f.stage);
    assert_true(f.stage.saw_delete);
    assert_int_equal(f.sa->children->spi_in, STAGE_SPI_IN);
    assert_int_equal(f.stage.sending, STAGE_SPI_IN);
}

/* It is in standby, and its first packet would have it send. */
static void a_redundant_child_that_we_delete_is_used_before_ours(void **state)
{
    enum { OURS = NEW_SPI_IN + 1 };
    (void)state;

    replaced_long_ago()->redundant = true;
    f.stage.children[f.stage.n_children++] = (StageChild){.spi_in = OURS};
    ChildSa *ours = child_sas_add(&f.sa->children, OURS, &f.sa->children->answer);
    assert_non_null(ours);
    ours->replaces = STAGE_SPI_IN;
    upkeep_tend(f.sa);
    assert_int_equal(stage_count(&f.stage, TRE_USE_CHILD), 2);
    assert_int_equal(f.stage.sending, OURS);
}

static void before_that_time_the_old_child_is_the_segws_to_delete(void **state)
{
    (void)state;
    (void)sd_event_now(f.stage.event, CLOCK_MONOTONIC, &replaced_long_ago()->since);
    upkeep_tend(f.sa);
    stage_settle(&f.stage);
    assert_false(f.stage.saw_delete);
    assert_int_equal(f.stage.sending, STAGE_SPI_IN);
}

/* ---- silence ---- */

static void fall_silent(void)
{
    ike_sa_check_liveness(f.sa);
}

static void a_silent_segw_that_answers_the_check_is_kept(void **state)
{
    (void)state;
    establish();
    unsigned before = f.stage.received;
    fall_silent();
    stage_settle(&f.stage);
    assert_int_equal(f.stage.received, before + 1);
    assert_null(task_find(f.sa, &liveness_task));
    assert_false(f.closed);
    fall_silent(); /* and again */
    stage_settle(&f.stage);
    assert_int_equal(f.stage.received, before + 2);
}

static void segw_that_is_dead(Stage *stage, Bytes datagram)
{
    (void)stage;
    (void)datagram;
}

static void a_segw_that_does_not_answer_the_check_is_lost(void **state)
{
    (void)state;
    establish();
    f.stage.segw = segw_that_is_dead;
    fall_silent();
    stage_run_until(&f.stage, &f.closed);
    assert_int_equal(f.end, IKE_SA_LOST);
}

/* ---- another address ---- */

/* tred's socket has an address that is not the one by which the SeGW is reached now. */
static void establish_elsewhere(bool mobike)
{
    f.stage.mobike = mobike;
    f.stage.segw = segw_with_nat_detection;
    f.stage.shared_address = "127.0.0.5";
    establish();
    f.stage.shared_address = "127.0.0.1";
}

static void an_sa_moves_to_the_address_that_there_is_now(void **state)
{
    (void)state;
    establish_elsewhere(true);
    ike_sa_look_around(f.sa);
    stage_settle(&f.stage);
    assert_int_equal(f.stage.done[TRE_MOVE_TRANSPORT], 1);
    assert_int_equal(f.stage.updates, 1);
    assert_true(f.stage.update_fits);
    assert_false(f.renewed || f.closed);
    ike_sa_look_around(f.sa);
    stage_settle(&f.stage);
    assert_int_equal(f.stage.updates, 1);
}

static void without_mobike_another_sa_is_wanted(void **state)
{
    (void)state;
    establish_elsewhere(false);
    ike_sa_look_around(f.sa);
    stage_settle(&f.stage);
    assert_int_equal(stage_count(&f.stage, TRE_MOVE_TRANSPORT), 0);
    assert_true(f.renewed);
    assert_false(f.closed);
}

static void mobike_that_is_switched_off_is_not_used(void **state)
{
    (void)state;
    f.config.mobike = false;
    establish_elsewhere(true);
    ike_sa_look_around(f.sa);
    assert_true(f.renewed);
}

static void an_address_that_the_segw_refuses_leads_to_another_sa(void **state)
{
    (void)state;
    establish_elsewhere(true);
    f.stage.update_error = IKE_NOTIFY_UNACCEPTABLE_ADDRESSES;
    ike_sa_look_around(f.sa);
    stage_settle(&f.stage);
    assert_true(f.renewed);
    assert_false(f.closed);
}

static void a_move_that_tred_refuses_leads_to_another_sa(void **state)
{
    (void)state;
    establish_elsewhere(true);
    f.stage.refuse[TRE_MOVE_TRANSPORT] = "DataPlaneFailed";
    ike_sa_look_around(f.sa);
    stage_settle(&f.stage);
    assert_int_equal(f.stage.updates, 0);
    assert_true(f.renewed);
}

/* tred moves eight at a time, and a host's connections move all at once. */
static void a_move_that_waits_for_others_is_made_when_they_are_through(void **state)
{
    (void)state;
    establish_elsewhere(true);
    f.stage.refuse[TRE_MOVE_TRANSPORT] = "OutOfResources";
    ike_sa_look_around(f.sa);
    stage_settle(&f.stage);
    assert_false(f.renewed);
    assert_true(f.sa->move.under_way);
    assert_int_equal(f.sa->move.waits, 1);
    f.stage.refuse[TRE_MOVE_TRANSPORT] = NULL;
    while (f.stage.updates == 0)
        assert_true(sd_event_run(f.stage.event, UINT64_MAX) >= 0);
    stage_settle(&f.stage);
    assert_int_equal(f.stage.done[TRE_MOVE_TRANSPORT], 1);
    assert_int_equal(f.sa->move.waits, 0);
    assert_false(f.renewed || f.closed);
}

static void a_move_that_waits_too_long_leads_to_another_sa(void **state)
{
    (void)state;
    establish_elsewhere(true);
    f.stage.refuse[TRE_MOVE_TRANSPORT] = "OutOfResources";
    ike_sa_look_around(f.sa);
    stage_settle(&f.stage);
    f.sa->move.waits = 40; /* that have passed */
    while (!f.renewed)
        assert_true(sd_event_run(f.stage.event, UINT64_MAX) >= 0);
    assert_false(f.sa->move.under_way || f.closed);
}

/* From now on the SA's address is not the one by which the SeGW is reached. */
static void be_elsewhere(void)
{
    Endpoint endpoint = endpoint_of("127.0.0.6", 0);
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    assert_int_equal(bind(fd, &endpoint.any, endpoint_size(&endpoint)), 0);
    assert_int_equal(transport_float(f.sa->transport, fd, transport_remote(f.sa->transport)), 0);
    (void)close(fd);
}

/* ESP was not in UDP, and is to be from now on. */
static void a_nat_that_appears_is_told_to_tred(void **state)
{
    IkeSaInfo info;
    (void)state;

    establish_elsewhere(true);
    assert_false(f.stage.nat);
    f.stage.nat_appears = true;
    ike_sa_look_around(f.sa);
    stage_settle(&f.stage);
    assert_int_equal(f.stage.done[TRE_MOVE_TRANSPORT], 2);
    assert_int_equal(f.stage.updates, 2);
    assert_true(f.stage.nat);
    ike_sa_info(f.sa, &info);
    assert_true(info.nat);

    f.stage.nat_appears = false; /* and goes */
    be_elsewhere();
    ike_sa_look_around(f.sa);
    stage_settle(&f.stage);
    assert_false(f.stage.nat);
    ike_sa_info(f.sa, &info);
    assert_false(info.nat);
}

/* ---- redirection ---- */

static const uint8_t elsewhere[] = {1, 4, 127, 0, 0, 2};

static void segw_that_redirects_with(Stage *stage, Bytes datagram, uint8_t spoil)
{
    uint8_t octets[sizeof(elsewhere) + 32] = {0}; /* tred's nonce here is all zeros */
    IkeMessage message;
    Draft draft;

    assert_int_equal(ike_message_decode(datagram, &message, NULL), 0);
    memcpy(octets, elsewhere, sizeof(elsewhere));
    octets[sizeof(octets) - 1] = spoil;
    draft_begin_message(&draft, message.header.spi_i, 0, IKE_SA_INIT, IKE_FLAG_RESPONSE, 0);
    ike_chain_add_notify(&draft.chain, IKE_NOTIFY_REDIRECT, BYTES_OF(octets));
    stage_send(stage, draft_end_message(&draft));
}

static void segw_that_redirects(Stage *stage, Bytes datagram)
{
    segw_that_redirects_with(stage, datagram, 0);
}

static void somebody_who_does_not_know_the_nonce(Stage *stage, Bytes datagram)
{
    segw_that_redirects_with(stage, datagram, 1);
    stage_segw(stage, datagram);
}

static void a_redirect_in_ike_sa_init_ends_the_attempt(void **state)
{
    (void)state;
    f.stage.segw = segw_that_redirects;
    start();
    stage_run_until(&f.stage, &f.closed);
    assert_int_equal(f.end, IKE_SA_STOPPED);
    assert_string_equal(f.redirect.name, "127.0.0.2");
    assert_int_equal(stage_count(&f.stage, TRE_AGREE), 0);
}

static void a_redirect_without_our_nonce_is_passed_over(void **state)
{
    (void)state;
    f.stage.segw = somebody_who_does_not_know_the_nonce;
    establish();
    assert_string_equal(f.redirect.name, "");
}

static void a_redirect_too_many_is_a_failure(void **state)
{
    (void)state;
    f.stage.segw = segw_that_redirects;
    f.redirected_too_often = true;
    start();
    assert_failed_with("RFC 5685");
}

static void a_redirect_in_ike_auth_counts_once_the_segw_is_verified(void **state)
{
    (void)state;
    f.stage.redirect = (Bytes){elsewhere, sizeof(elsewhere)};
    f.stage.refuse[TRE_ADD_CHILD] = "ChildNotGranted";
    start();
    stage_run_until(&f.stage, &f.closed);
    assert_int_equal(f.end, IKE_SA_STOPPED);
    assert_string_equal(f.redirect.name, "127.0.0.2");
    assert_true(f.stage.saw_delete);
    assert_false(f.established);
}

static void a_redirect_of_who_is_not_verified_is_not_followed(void **state)
{
    (void)state;
    f.stage.redirect = (Bytes){elsewhere, sizeof(elsewhere)};
    f.stage.refuse[TRE_VERIFY_PEER] = "PeerNotTrusted";
    start();
    assert_failed_with("PeerNotTrusted");
    assert_string_equal(f.redirect.name, "");
}

static void a_redirect_of_an_established_sa_is_answered_and_handed_on(void **state)
{
    Draft draft;
    (void)state;

    establish();
    unsigned before = f.stage.received;
    draft_begin(&draft);
    ike_chain_add_notify(&draft.chain, IKE_NOTIFY_REDIRECT, BYTES_OF(elsewhere));
    stage_send_sealed(&f.stage, IKE_INFORMATIONAL, false, 0, &draft);
    stage_settle(&f.stage);
    assert_int_equal(f.stage.received, before + 1);
    assert_string_equal(f.redirect.name, "127.0.0.2");
    assert_false(f.closed);
}

/* ---- the end of an authentication ---- */

#define SEC UINT64_C(1000000)

static uint64_t renewed_in(void)
{
    IkeSaInfo info;
    uint64_t now;

    assert_true(sd_event_now(f.stage.event, CLOCK_MONOTONIC, &now) >= 0);
    ike_sa_info(f.sa, &info);
    return info.renew_at - now;
}

static void the_segw_limits_an_authentication_in_ike_auth(void **state)
{
    (void)state;
    f.stage.lifetime = 100;
    establish();
    assert_in_range(renewed_in(), 75 * SEC, 90 * SEC);
}

/* Or all that were authenticated at once would come back at once. */
static void the_moment_of_a_new_authentication_is_by_chance(void **state)
{
    enum { DRAWS = 16 };
    uint64_t first = UINT64_MAX, last = 0;
    (void)state;

    establish();
    for (int i = 0; i < DRAWS; i++) {
        ike_sa_expires(f.sa, 36000);
        const uint64_t left = renewed_in();
        first = left < first ? left : first;
        last = left > last ? left : last;
    }
    assert_true(last - first > 60 * SEC); /* of ten minutes: less happens once in 10^13 times */
}

static bool has_no_random;
ssize_t __real_getrandom(void *ret, size_t size, unsigned flags);
ssize_t __wrap_getrandom(void *ret, size_t size, unsigned flags);

ssize_t __wrap_getrandom(void *ret, size_t size, unsigned flags)
{
    if (!has_no_random)
        return __real_getrandom(ret, size, flags);
    memset(ret, UINT8_MAX, size); /* nobody has said that it is left as it was */
    return -1;
}

static void without_a_random_number_the_new_authentication_is_at_the_later_moment(void **state)
{
    IkeSaInfo info;
    uint64_t before, after;
    (void)state;

    establish();
    assert_true(sd_event_now(f.stage.event, CLOCK_MONOTONIC, &before) >= 0);
    has_no_random = true;
    ike_sa_expires(f.sa, 1000);
    has_no_random = false;
    assert_true(sd_event_now(f.stage.event, CLOCK_MONOTONIC, &after) >= 0);
    ike_sa_info(f.sa, &info);
    assert_in_range(info.renew_at, lifetime_renew_at(before, before + 1000 * SEC, 0),
                    lifetime_renew_at(after, after + 1000 * SEC, 0));
}

static void without_a_limit_an_authentication_has_no_end(void **state)
{
    IkeSaInfo info;
    (void)state;

    establish();
    ike_sa_info(f.sa, &info);
    assert_int_equal(info.renew_at, UINT64_MAX);
}

static void tell_lifetime(uint8_t seconds, size_t size)
{
    static uint32_t message_id;
    const uint8_t octets[8] = {0, 0, 0, seconds};
    Draft draft;

    draft_begin(&draft);
    ike_chain_add_notify(&draft.chain, IKE_NOTIFY_AUTH_LIFETIME, (Bytes){octets, size});
    stage_send_sealed(&f.stage, IKE_INFORMATIONAL, false, message_id++, &draft);
    stage_settle(&f.stage);
}

static void the_last_limit_that_the_segw_names_counts(void **state)
{
    (void)state;
    f.stage.lifetime = 100;
    establish();
    tell_lifetime(200, 4);
    assert_true(f.due);
    assert_int_equal(f.why, IKE_SA_DUE_LIFETIME);
    assert_in_range(renewed_in(), 155 * SEC, 180 * SEC);
    tell_lifetime(50, 4);
    assert_in_range(renewed_in(), 25 * SEC, 40 * SEC);
}

static void a_limit_of_another_size_says_nothing(void **state)
{
    (void)state;
    f.stage.lifetime = 100;
    establish();
    tell_lifetime(10, 3);
    tell_lifetime(10, 5);
    tell_lifetime(10, 0);
    assert_false(f.due);
    assert_in_range(renewed_in(), 75 * SEC, 90 * SEC);
}

static void the_sooner_end_of_two_counts(void **state)
{
    (void)state;
    f.stage.lifetime = 100;
    establish();
    ike_sa_expires(f.sa, 1000);
    assert_in_range(renewed_in(), 75 * SEC, 90 * SEC);
    ike_sa_expires(f.sa, 50);
    assert_in_range(renewed_in(), 25 * SEC, 40 * SEC);
}

/* A config that only a SeGW of 1 s of silence, a quarter of a second of patience, suits. */
static void be_brief(void)
{
    f.config.liveness = 1;
    f.config.retransmit_timeout = 400;
    f.config.retransmit_tries = 12;
}

static void a_silent_segw_is_asked_by_itself_and_lost_before_all_tries_are_made(void **state)
{
    (void)state;
    be_brief();
    establish();
    f.stage.segw = segw_that_is_dead;
    unsigned before = f.stage.received;
    stage_run_until(&f.stage, &f.closed);
    assert_int_equal(f.end, IKE_SA_LOST);
    assert_int_equal(f.stage.received - before, 2); /* after 0.5 and 0.9 s; 1.7 s is too late */
}

static void esp_that_comes_spares_the_question(void **state)
{
    (void)state;
    be_brief();
    f.stage.counting = true;
    f.stage.idle_in_ms = f.stage.idle_out_ms = 1;
    establish();
    unsigned before = f.stage.received;
    while (stage_count(&f.stage, TRE_TRAFFIC) < 3)
        stage_turn(&f.stage);
    assert_int_equal(f.stage.received, before);
}

static void counters_that_stand_still_are_no_sign_of_life(void **state)
{
    (void)state;
    be_brief();
    f.stage.packets_in = 0;
    f.stage.idle_in_ms = f.stage.idle_out_ms = 0;
    establish();
    f.stage.segw = segw_that_is_dead;
    stage_run_until(&f.stage, &f.closed);
    assert_int_equal(f.end, IKE_SA_LOST);
}

static void without_liveness_checks_tred_is_not_asked_for_counters(void **state)
{
    (void)state;
    f.config.liveness = 0;
    establish();
    assert_null(f.sa->watch.timer);
    assert_int_equal(ike_sa_request_limit_ms(f.sa), 0);
}

static void the_segw_says_after_which_silence_it_is_asked(void **state)
{
    (void)state;
    f.stage.liveness = 77;
    establish();
    assert_int_equal(f.sa->watch.silence, 77 * UINT64_C(1000000));
}

/* What we have configured is no limit to it: TS 24.302 8.2.4.2 has seconds in 4 octets. */
static void the_segw_may_ask_for_silences_of_up_to_a_day(void **state)
{
    static const struct {
        uint32_t said, taken;
    } cases[] = {{1, 1},         {59, 59},          {60, 60},           {61, 61},
                 {3600, 3600},   {65536, 65536},    {86399, 86399},     {86400, 86400},
                 {86401, 86400}, {1U << 31, 86400}, {UINT32_MAX, 86400}};
    (void)state;
    for (size_t i = 0; i < ELEMENTS(cases); i++) {
        if (i > 0) {
            assert_int_equal(teardown(NULL), 0);
            assert_int_equal(setup(NULL), 0);
        }
        f.stage.liveness = cases[i].said;
        establish();
        assert_int_equal(f.sa->watch.silence, cases[i].taken * UINT64_C(1000000));
    }
}

static void what_the_segw_says_of_liveness_is_not_taken_where_it_is_switched_off(void **state)
{
    (void)state;
    f.stage.liveness = 77;
    f.config.liveness = 0;
    establish();
    assert_null(f.sa->watch.timer);
}

/* We send and nothing comes since the peer has answered last, which is a while ago. */
static void be_deaf(bool received)
{
    be_brief();
    f.stage.idle_in_ms = f.stage.idle_out_ms = 0;
    establish();
    f.sa->last_heard -= LIVENESS_GRACE_USEC + 1000000;
    f.sa->watch.in.last = f.sa->last_heard - 10000000;
    f.sa->watch.since = received ? f.sa->watch.in.last - 1 : f.sa->watch.in.last;
}

static void an_sa_through_a_nat_that_turns_deaf_is_due(void **state)
{
    (void)state;
    f.stage.segw = segw_behind_a_nat;
    be_deaf(true);
    stage_run_until(&f.stage, &f.due);
    assert_int_equal(f.why, IKE_SA_DUE_DEAF);
    assert_false(f.closed);
}

static void a_deaf_sa_moves_to_another_port_first_where_it_can(void **state)
{
    (void)state;
    f.stage.mobike = f.stage.nat_appears = true;
    f.stage.segw = segw_behind_a_nat;
    be_deaf(true);
    while (f.stage.updates == 0)
        stage_turn(&f.stage);
    stage_settle(&f.stage);
    assert_false(f.due);
    f.sa->last_heard -= LIVENESS_GRACE_USEC + 1000000; /* and it has not helped */
    stage_run_until(&f.stage, &f.due);
    assert_int_equal(f.why, IKE_SA_DUE_DEAF);
    assert_int_equal(f.stage.updates, 1);
}

static void no_nat_can_have_forgotten_us_where_there_is_none(void **state)
{
    (void)state;
    be_deaf(true);
    while (stage_count(&f.stage, TRE_TRAFFIC) < 1)
        stage_turn(&f.stage);
    stage_settle(&f.stage);
    assert_false(f.due);
}

static void who_never_received_is_not_deaf(void **state)
{
    (void)state;
    f.stage.segw = segw_behind_a_nat;
    be_deaf(false);
    while (stage_count(&f.stage, TRE_TRAFFIC) < 1)
        stage_turn(&f.stage);
    stage_settle(&f.stage);
    assert_false(f.due);
}

static void hint_invalid_spi(uint64_t spi_r)
{
    Draft draft;

    draft_begin_message(&draft, f.sa->spi_i, spi_r, IKE_INFORMATIONAL, IKE_FLAG_RESPONSE, 0);
    ike_chain_add_notify(&draft.chain, IKE_NOTIFY_INVALID_IKE_SPI, (Bytes){0});
    stage_send(&f.stage, draft_end_message(&draft));
    stage_settle(&f.stage);
}

static void an_unprotected_invalid_ike_spi_causes_one_check(void **state)
{
    (void)state;
    establish();
    unsigned before = f.stage.received;
    for (int i = 0; i < 20; i++)
        hint_invalid_spi(TEST_SPI_R);
    assert_int_equal(f.stage.received, before + 1);
    assert_false(f.closed);
}

static void a_refused_port_causes_a_check_that_ends_a_dead_sa(void **state)
{
    (void)state;
    establish();
    f.stage.segw = segw_that_is_dead;
    ike_sa_hint(f.sa, "the network says: Connection refused");
    stage_run_until(&f.stage, &f.closed);
    assert_int_equal(f.end, IKE_SA_LOST);
}

/* ---- the queue ---- */

static void tasks_go_one_after_the_other(void **state)
{
    (void)state;
    establish();
    unsigned before = f.stage.received;
    for (int i = 0; i < 3; i++)
        assert_int_equal(task_add(f.sa, &liveness_task), 0);
    assert_int_equal(stage_count(&f.stage, TRE_PROTECT), 2); /* IKE_AUTH and the first check */
    stage_settle(&f.stage);
    assert_int_equal(f.stage.received, before + 3);
    assert_null(f.sa->tasks.first);
}

static void a_delete_goes_before_what_waits(void **state)
{
    (void)state;
    establish();
    unsigned before = f.stage.received;
    for (int i = 0; i < 5; i++)
        assert_int_equal(task_add(f.sa, &liveness_task), 0);
    ike_sa_stop(f.sa);
    stage_run_until(&f.stage, &f.closed);
    assert_true(f.stage.saw_delete);
    assert_int_equal(f.stage.received, before + 2);
}

static void a_response_that_comes_twice_ends_one_task(void **state)
{
    TreReply opened = {.method = TRE_UNPROTECT, .opened = {.complete = true, .response = true}};
    (void)state;

    establish();
    f.stage.segw = segw_that_is_dead;
    f.config.retransmit_timeout = 60000;
    assert_int_equal(task_add(f.sa, &liveness_task), 0);
    assert_int_equal(task_add(f.sa, &liveness_task), 0);
    while (!is_out(&liveness_task))
        assert_true(sd_event_run(f.stage.event, 100000) >= 0);
    opened.opened.message_id = f.sa->tasks.message_id;
    tasks_response(f.sa, &opened);
    while (!is_out(&liveness_task))
        assert_true(sd_event_run(f.stage.event, 100000) >= 0);
    tasks_response(f.sa, &opened);
    assert_true(is_out(&liveness_task)); /* the second check */
}

static void stopping_during_a_check_waits_for_its_answer(void **state)
{
    (void)state;
    establish();
    fall_silent();
    ike_sa_stop(f.sa);
    assert_int_equal(stage_count(&f.stage, TRE_PROTECT),
                     2); /* IKE_AUTH and the check: no Delete yet */
    stage_run_until(&f.stage, &f.closed);
    assert_int_equal(f.end, IKE_SA_STOPPED);
    assert_true(f.stage.saw_delete);
}

/* ---- ending ---- */

static void stopping_deletes_the_ike_sa(void **state)
{
    (void)state;
    establish();
    ike_sa_stop(f.sa);
    stage_run_until(&f.stage, &f.closed);
    assert_int_equal(f.end, IKE_SA_STOPPED);
    assert_true(f.stage.saw_delete);
    assert_int_equal(stage_count(&f.stage, TRE_CLOSE), 1);
}

static void stopping_before_anything_is_sent_sends_nothing(void **state)
{
    (void)state;
    start();
    ike_sa_stop(f.sa);
    assert_true(f.closed);
    stage_settle(&f.stage);
    assert_int_equal(f.stage.received, 0);
}

static void stopping_while_ike_auth_is_out_deletes_what_comes_of_it(void **state)
{
    (void)state;
    f.stage.mute[TRE_VERIFY_PEER] = false;
    start();
    while (!is_out(&auth_task))
        assert_true(sd_event_run(f.stage.event, 100000) >= 0);
    ike_sa_stop(f.sa);
    stage_run_until(&f.stage, &f.closed);
    assert_int_equal(f.end, IKE_SA_STOPPED);
    assert_true(f.stage.saw_delete);
}

static void segw_that_answers_no_delete(Stage *stage, Bytes datagram)
{
    if (datagram.data[18] != IKE_INFORMATIONAL)
        stage_segw(stage, datagram);
}

static void a_delete_without_an_answer_ends_nevertheless(void **state)
{
    (void)state;
    f.stage.segw = segw_that_answers_no_delete;
    establish();
    ike_sa_stop(f.sa);
    stage_run_until(&f.stage, &f.closed);
    assert_int_equal(f.end, IKE_SA_STOPPED);
}

/* Three times, however often what matters more is sent; or less, where that is. */
static void a_delete_is_not_sent_as_often_as_what_matters_more(void **state)
{
    static const struct {
        unsigned configured, sent;
    } cases[] = {{2, 2}, {3, 3}, {4, 3}, {5, 3}};
    (void)state;

    for (size_t i = 0; i < ELEMENTS(cases); i++) {
        if (i > 0) {
            assert_int_equal(teardown(NULL), 0);
            assert_int_equal(setup(NULL), 0);
        }
        f.stage.segw = segw_that_answers_no_delete;
        f.config.retransmit_timeout = 10;
        f.config.retransmit_tries = cases[i].configured;
        establish();
        const unsigned before = f.stage.received;
        ike_sa_stop(f.sa);
        stage_run_until(&f.stage, &f.closed);
        assert_int_equal(f.stage.received - before, cases[i].sent);
    }
}

static void a_vanished_tred_ends_the_sa_that_it_held(void **state)
{
    (void)state;
    establish();
    ike_sa_lose(f.sa, "/exchange/2", "another one");
    assert_false(f.closed);
    ike_sa_lose(f.sa, NULL, "tred has ended");
    assert_true(f.closed);
    assert_int_equal(f.end, IKE_SA_LOST);
}

/* ---- strength ---- */

static void a_child_stronger_than_the_ike_sa_is_not_proposed(void **state)
{
    (void)state;
    f.stage.suite = "AES_GCM_16_128/PRF_HMAC_SHA2_256/ECP_256";
    establish();
    assert_int_equal(f.stage.esp_proposed, 2); /* of four: AES-128 with GCM and with CBC */
}

static void it_is_where_that_is_configured(void **state)
{
    (void)state;
    f.stage.suite = "AES_GCM_16_128/PRF_HMAC_SHA2_256/ECP_256";
    f.stage.stronger_child = true;
    establish();
    assert_int_equal(f.stage.esp_proposed, f.config.esp_offer.n_proposals);
}

static void without_any_other_child_the_reason_is_said_and_nothing_sent(void **state)
{
    char problem[PROPOSALS_PROBLEM_SIZE];
    (void)state;

    f.stage.suite = "AES_GCM_16_128/PRF_HMAC_SHA2_256/ECP_256";
    assert_int_equal(proposals_parse("aes256gcm16, chacha20poly1305", IKE_PROTOCOL_ESP,
                                     &f.config.esp_offer, problem),
                     0);
    start();
    assert_failed_with("stronger-child");
    assert_int_equal(stage_count(&f.stage, TRE_PROTECT), 0);
}

/* ---- other ports of the SeGW's (RFC 7296 2.11, 2.23) ---- */

/* What the SeGW sends goes from a port of its own to where the last datagram came from. */
static void use_other_port(Stage *stage, int *fd)
{
    Endpoint any = endpoint_of("127.0.0.1", 0);

    *fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(*fd, &any.any, endpoint_size(&any)), 0);
    f.true_fd = stage->fd;
    f.true_nat_fd = stage->nat_fd;
}

static void segw_that_answers_from_elsewhere(Stage *stage, Bytes datagram)
{
    stage->fd = stage->nat_fd = f.other_fd;
    stage_segw(stage, datagram);
    stage->fd = f.true_fd;
    stage->nat_fd = f.true_nat_fd;
}

static void the_segw_may_answer_from_another_port(void **state)
{
    (void)state;
    use_other_port(&f.stage, &f.other_fd);
    f.stage.segw = segw_that_answers_from_elsewhere;
    establish();
    (void)close(f.other_fd);
}

static void a_request_from_another_port_is_answered_there(void **state)
{
    uint8_t octets[256];
    Draft draft;
    (void)state;

    establish();
    use_other_port(&f.stage, &f.other_fd);
    f.stage.fd = f.stage.nat_fd = f.other_fd;
    draft_begin(&draft);
    stage_send_sealed(&f.stage, IKE_INFORMATIONAL, false, 0, &draft);
    f.stage.fd = f.true_fd;
    f.stage.nat_fd = f.true_nat_fd;
    stage_settle(&f.stage);
    assert_true(recv(f.other_fd, octets, sizeof(octets), MSG_DONTWAIT) > 0);
    (void)close(f.other_fd);
}

static void an_answer_to_ike_sa_init_from_another_address_is_none(void **state)
{
    Endpoint other = endpoint_of("127.0.0.2", 0);
    (void)state;

    f.other_fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(f.other_fd, &other.any, endpoint_size(&other)), 0);
    f.true_fd = f.stage.fd;
    f.true_nat_fd = f.stage.nat_fd;
    f.stage.segw = segw_that_answers_from_elsewhere;
    start();
    assert_failed_with("no answer to IKE_SA_INIT");
    assert_int_equal(stage_count(&f.stage, TRE_AGREE), 0);
    (void)close(f.other_fd);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_child_stronger_than_the_ike_sa_is_not_proposed),
        TEST(it_is_where_that_is_configured),
        TEST(without_any_other_child_the_reason_is_said_and_nothing_sent),
        TEST(the_segw_may_answer_from_another_port),
        TEST(a_request_from_another_port_is_answered_there),
        TEST(an_answer_to_ike_sa_init_from_another_address_is_none),
        TEST(tred_is_told_of_a_nat_where_there_is_one),
        TEST(tred_is_told_of_no_nat_where_there_is_none),
        TEST(what_ike_auth_needs_is_asked_for_along_with_agree),
        TEST(peer_and_child_are_asked_for_along_with_the_response),
        TEST(nothing_goes_along_with_the_response_to_another_request),
        TEST(a_segw_without_nat_detection_is_no_peer_for_a_user_space_data_plane),
        TEST(the_calls_to_tred_have_the_order_of_the_call_flow),
        TEST(ike_auth_waits_for_the_signature),
        TEST(ike_auth_waits_for_the_transport),
        TEST(ike_auth_waits_for_the_spi),
        TEST(ike_auth_floats_to_the_second_port_with_nat_detection),
        TEST(ike_auth_stays_where_it_was_without_nat_detection),
        TEST(a_cookie_and_another_group_lead_to_an_sa_over_the_last_request),
        TEST(a_response_that_tred_refuses_is_passed_over),
        TEST(a_response_that_is_not_authentic_is_passed_over),
        TEST(a_retransmission_is_the_same_octets),
        TEST(silence_is_given_up_after_the_configured_tries),
        TEST(an_unauthenticated_error_is_waited_out_then_reported),
        TEST(silence_is_blamed_on_the_way),
        TEST(an_answer_that_tred_refuses_is_the_reason_and_not_the_way),
        TEST(a_silent_ike_auth_after_an_answer_to_ike_sa_init_is_told_from_silence),
        TEST(the_first_answer_that_is_no_good_is_told_once),
        TEST(what_came_instead_of_an_answer_is_named_and_not_the_way),
        TEST(an_error_in_clear_that_answers_ike_auth_is_waited_out_then_reported),
        TEST(an_error_in_clear_that_answers_our_refusal_is_none_that_answers_ike_auth),
        TEST(no_common_hash_is_named_where_the_segw_refuses_our_auth),
        TEST(with_a_common_hash_none_is_named),
        TEST(a_segw_that_wants_eap_is_told_so_and_its_certificate_is_not_blamed),
        TEST(a_segw_whose_ike_auth_response_does_not_parse_is_told),
        TEST(so_is_one_that_sends_a_critical_payload_that_we_do_not_know),
        TEST(a_segw_that_refuses_us_is_reported),
        TEST(a_segw_that_does_not_verify_is_told_and_nothing_is_installed),
        TEST(selectors_that_we_did_not_offer_end_in_a_delete),
        TEST(a_child_without_a_cfg_reply_ends_in_a_delete),
        TEST(a_child_with_the_address_0_0_0_0_ends_in_a_delete),
        TEST(a_child_without_an_address_is_one_where_none_was_asked_for),
        TEST(a_child_that_tred_refuses_ends_in_a_delete),
        TEST(a_refusal_of_tred_to_begin_is_reported),
        TEST(a_tred_that_is_gone_is_a_loss),
        TEST(a_child_that_the_segw_refuses_leaves_the_ike_sa),
        TEST(datagrams_with_other_spis_do_not_reach_tred),
        TEST(a_response_to_no_request_does_not_reach_tred),
        TEST(a_flood_keeps_tred_busy_with_sixteen_datagrams_at_most),
        TEST(a_delete_of_the_ike_sa_is_answered_and_ends_it),
        TEST(a_delete_that_is_held_is_answered_when_it_is_let_go),
        TEST(a_delete_of_the_child_removes_it_and_keeps_the_ike_sa),
        TEST(a_repeated_request_gets_the_same_answer_without_tred),
        TEST(a_repeated_request_from_elsewhere_is_answered_there_a_few_times),
        TEST(a_request_that_comes_again_in_other_fragments_gets_the_same_answer_once),
        TEST(a_first_fragment_from_elsewhere_has_the_answer_go_to_the_segw_a_few_times),
        TEST(a_child_that_the_segw_does_not_delete_in_time_we_delete),
        TEST(a_redundant_child_that_the_segw_does_not_delete_in_time_we_delete),
        TEST(a_redundant_child_that_we_delete_is_used_before_ours),
        TEST(before_that_time_the_old_child_is_the_segws_to_delete),
        TEST(a_silent_segw_that_answers_the_check_is_kept),
        TEST(a_segw_that_does_not_answer_the_check_is_lost),
        TEST(an_sa_moves_to_the_address_that_there_is_now),
        TEST(without_mobike_another_sa_is_wanted),
        TEST(mobike_that_is_switched_off_is_not_used),
        TEST(an_address_that_the_segw_refuses_leads_to_another_sa),
        TEST(a_move_that_tred_refuses_leads_to_another_sa),
        TEST(a_move_that_waits_for_others_is_made_when_they_are_through),
        TEST(a_move_that_waits_too_long_leads_to_another_sa),
        TEST(a_nat_that_appears_is_told_to_tred),
        TEST(a_redirect_in_ike_sa_init_ends_the_attempt),
        TEST(a_redirect_without_our_nonce_is_passed_over),
        TEST(a_redirect_too_many_is_a_failure),
        TEST(a_redirect_in_ike_auth_counts_once_the_segw_is_verified),
        TEST(a_redirect_of_who_is_not_verified_is_not_followed),
        TEST(a_redirect_of_an_established_sa_is_answered_and_handed_on),
        TEST(the_segw_limits_an_authentication_in_ike_auth),
        TEST(the_moment_of_a_new_authentication_is_by_chance),
        TEST(without_a_random_number_the_new_authentication_is_at_the_later_moment),
        TEST(without_a_limit_an_authentication_has_no_end),
        TEST(the_last_limit_that_the_segw_names_counts),
        TEST(a_limit_of_another_size_says_nothing),
        TEST(the_sooner_end_of_two_counts),
        TEST(a_silent_segw_is_asked_by_itself_and_lost_before_all_tries_are_made),
        TEST(esp_that_comes_spares_the_question),
        TEST(counters_that_stand_still_are_no_sign_of_life),
        TEST(without_liveness_checks_tred_is_not_asked_for_counters),
        TEST(the_segw_says_after_which_silence_it_is_asked),
        TEST(the_segw_may_ask_for_silences_of_up_to_a_day),
        TEST(what_the_segw_says_of_liveness_is_not_taken_where_it_is_switched_off),
        TEST(an_sa_through_a_nat_that_turns_deaf_is_due),
        TEST(a_deaf_sa_moves_to_another_port_first_where_it_can),
        TEST(no_nat_can_have_forgotten_us_where_there_is_none),
        TEST(who_never_received_is_not_deaf),
        TEST(an_unprotected_invalid_ike_spi_causes_one_check),
        TEST(a_refused_port_causes_a_check_that_ends_a_dead_sa),
        TEST(tasks_go_one_after_the_other),
        TEST(a_delete_goes_before_what_waits),
        TEST(a_response_that_comes_twice_ends_one_task),
        TEST(stopping_during_a_check_waits_for_its_answer),
        TEST(stopping_deletes_the_ike_sa),
        TEST(stopping_before_anything_is_sent_sends_nothing),
        TEST(stopping_while_ike_auth_is_out_deletes_what_comes_of_it),
        TEST(a_delete_without_an_answer_ends_nevertheless),
        TEST(a_delete_is_not_sent_as_often_as_what_matters_more),
        TEST(a_vanished_tred_ends_the_sa_that_it_held),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
