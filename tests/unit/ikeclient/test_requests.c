/* Every request of the SeGW's gets the answer that RFC 7296 asks for. */
#include "ikeclient/requests.h"

#include "octets.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

enum { SPI_IN = 0x11223344, SPI_OUT = 0x55667788 };

static ChildSa child = {.spi_in = SPI_IN, .answer = {.esp = {.spi_out = SPI_OUT}}};
static Draft draft;
static uint8_t answer_octets[1024];
static const MobikePath *path;
static IkePayloads answer;
static PeerRequest request;

static void answer_draft(uint8_t exchange_type, const ChildSa *children)
{
    Writer writer;
    Bytes octets;
    uint8_t first = 0xff;

    writer_init(&writer, answer_octets, sizeof(answer_octets));
    peer_request_answer(exchange_type, draft.chain.first, draft_octets(&draft), children, path,
                        &writer, &first, &request);
    assert_int_equal(writer_finish(&writer, &octets), 0);
    assert_int_equal(ike_payloads_decode(first, octets, &answer, NULL), 0);
    assert_non_null(request.what);
}

static void answer_delete(const IkeDelete *delete_)
{
    draft_begin(&draft);
    ike_chain_add_delete(&draft.chain, delete_);
    answer_draft(IKE_INFORMATIONAL, &child);
}

static void a_liveness_check_gets_an_empty_answer(void **state)
{
    (void)state;
    draft_begin(&draft);
    answer_draft(IKE_INFORMATIONAL, &child);
    assert_int_equal(answer.count, 0);
    assert_false(request.deletes_ike);
    assert_false(request.deletes_child);
}

static void a_delete_of_the_ike_sa_gets_an_empty_answer(void **state)
{
    IkeDelete delete_ = {.protocol = IKE_PROTOCOL_IKE};
    (void)state;

    answer_delete(&delete_);
    assert_int_equal(answer.count, 0);
    assert_true(request.deletes_ike);
}

static void a_delete_of_the_child_gets_the_other_directions_spi(void **state)
{
    IkeDelete delete_ = {IKE_PROTOCOL_ESP, 1, {SPI_OUT}}, back;
    (void)state;

    answer_delete(&delete_);
    assert_true(request.deletes_child);
    assert_false(request.deletes_ike);
    assert_int_equal(answer.count, 1);
    assert_int_equal(ike_delete_decode(answer.items[0].body, &back), 0);
    assert_int_equal(back.protocol, IKE_PROTOCOL_ESP);
    assert_int_equal(back.n_spis, 1);
    assert_int_equal(back.spis[0], SPI_IN);
}

static void a_delete_of_somebody_elses_child_changes_nothing(void **state)
{
    IkeDelete ours = {
        IKE_PROTOCOL_ESP, 1, {SPI_IN}}; /* names its own inbound SPI, so this is none */
    IkeDelete ah = {IKE_PROTOCOL_AH, 1, {SPI_OUT}};
    (void)state;

    answer_delete(&ours);
    assert_false(request.deletes_child);
    assert_int_equal(answer.count, 0);
    answer_delete(&ah);
    assert_false(request.deletes_child);
}

static void a_delete_of_a_child_that_is_gone_is_answered_empty(void **state)
{
    IkeDelete delete_ = {IKE_PROTOCOL_ESP, 1, {SPI_OUT}};
    (void)state;

    draft_begin(&draft);
    ike_chain_add_delete(&draft.chain, &delete_);
    answer_draft(IKE_INFORMATIONAL, NULL);
    assert_false(request.deletes_child);
    assert_int_equal(answer.count, 0);
}

static void a_delete_of_several_children_names_each_of_them_in_the_answer(void **state)
{
    ChildSa second = {.spi_in = SPI_IN + 1, .answer = {.esp = {.spi_out = SPI_OUT + 1}}};
    ChildSa first = {.next = &second, .spi_in = SPI_IN, .answer = {.esp = {.spi_out = SPI_OUT}}};
    IkeDelete delete_ = {IKE_PROTOCOL_ESP, 3, {SPI_OUT + 1, SPI_OUT, SPI_OUT + 1}}, back;
    (void)state;

    draft_begin(&draft);
    ike_chain_add_delete(&draft.chain, &delete_);
    answer_draft(IKE_INFORMATIONAL, &first);
    assert_int_equal(request.n_deleted, 2);
    assert_int_equal(ike_delete_decode(answer.items[0].body, &back), 0);
    assert_int_equal(back.n_spis, 2);
    assert_int_equal(back.spis[0], SPI_IN + 1);
    assert_int_equal(back.spis[1], SPI_IN);
}

static void deleting_both_is_deleting_the_ike_sa(void **state)
{
    IkeDelete esp = {IKE_PROTOCOL_ESP, 1, {SPI_OUT}}, ike = {.protocol = IKE_PROTOCOL_IKE};
    (void)state;

    draft_begin(&draft);
    ike_chain_add_delete(&draft.chain, &esp);
    ike_chain_add_delete(&draft.chain, &ike);
    answer_draft(IKE_INFORMATIONAL, &child);
    assert_true(request.deletes_ike);
    assert_int_equal(answer.count, 0);
}

static void a_cookie2_comes_back_as_it_was(void **state)
{
    static const uint8_t cookie[] = {1, 2, 3, 4, 5, 6, 7, 8};
    IkeNotify notify;
    (void)state;

    draft_begin(&draft);
    ike_chain_add_notify(&draft.chain, IKE_NOTIFY_COOKIE2, BYTES_OF(cookie));
    answer_draft(IKE_INFORMATIONAL, &child);
    assert_int_equal(answer.count, 1);
    assert_true(ike_payloads_notify(&answer, IKE_NOTIFY_COOKIE2, &notify));
    assert_true(bytes_equal(notify.data, BYTES_OF(cookie)));
}

static void no_nats_allowed_is_held_against_the_way_that_it_came(void **state)
{
    static const uint8_t seen[] = {192, 0, 2, 1, 192, 0, 2, 2, 0x11, 0x94, 0x30, 0x39};
    const Endpoint sender = endpoint_of("192.0.2.1", 4500), local = endpoint_of("192.0.2.2", 12345);
    const Endpoint translated = endpoint_of("192.0.2.2", 12346);
    const MobikePath same = {&sender, &local}, natted = {&sender, &translated};
    IkeNotify notify;
    (void)state;

    draft_begin(&draft);
    ike_chain_add_notify(&draft.chain, IKE_NOTIFY_NO_NATS_ALLOWED, BYTES_OF(seen));
    path = &same;
    answer_draft(IKE_INFORMATIONAL, &child);
    assert_int_equal(answer.count, 0);
    path = &natted;
    answer_draft(IKE_INFORMATIONAL, &child);
    path = NULL;
    assert_int_equal(answer.count, 1);
    assert_true(ike_payloads_notify(&answer, IKE_NOTIFY_UNEXPECTED_NAT_DETECTED, &notify));
}

/* RFC 4555 3.8: the hashes are those of the way that the request came. */
static void nat_detection_is_answered_with_nat_detection(void **state)
{
    static const uint8_t hash[NAT_HASH_SIZE] = {0};
    const Endpoint peer = endpoint_of("192.0.2.1", 4600), local = endpoint_of("192.0.2.2", 12345);
    const MobikePath way = {&peer, &local, .spi_i = 1, .spi_r = 2};
    (void)state;

    draft_begin(&draft);
    ike_chain_add_notify(&draft.chain, IKE_NOTIFY_NAT_DETECTION_SOURCE_IP, BYTES_OF(hash));
    ike_chain_add_notify(&draft.chain, IKE_NOTIFY_NAT_DETECTION_DESTINATION_IP, BYTES_OF(hash));
    path = &way;
    answer_draft(IKE_INFORMATIONAL, &child);
    path = NULL;
    assert_int_equal(answer.count, 2);
    /* As the peer looks at them. */
    const NatFinding found = nat_find_in(1, 2, &answer, &peer, &local);
    assert_true(found.supported);
    assert_false(found.here);
    assert_false(found.there);
}

static void authentication_failed_throws_us_out(void **state)
{
    (void)state;
    draft_begin(&draft);
    ike_chain_add_notify(&draft.chain, IKE_NOTIFY_AUTHENTICATION_FAILED, (Bytes){0});
    answer_draft(IKE_INFORMATIONAL, &child);
    assert_true(request.auth_failed);
    assert_int_equal(answer.count, 0);
}

static void assert_answered(uint16_t notify_type)
{
    IkeNotify notify;

    assert_int_equal(answer.count, 1);
    assert_true(ike_payloads_notify(&answer, notify_type, &notify));
    assert_false(request.deletes_ike);
}

static void an_unknown_critical_payload_is_named(void **state)
{
    IkeNotify notify;
    (void)state;

    draft_begin(&draft);
    ike_chain_open(&draft.chain, 200, true);
    ike_chain_close(&draft.chain);
    answer_draft(IKE_INFORMATIONAL, &child);
    assert_answered(IKE_NOTIFY_UNSUPPORTED_CRITICAL_PAYLOAD);
    assert_true(ike_payloads_notify(&answer, IKE_NOTIFY_UNSUPPORTED_CRITICAL_PAYLOAD, &notify));
    assert_int_equal(notify.data.size, 1);
    assert_int_equal(notify.data.data[0], 200);
}

static void an_unknown_payload_that_is_not_critical_is_passed_over(void **state)
{
    (void)state;
    draft_begin(&draft);
    ike_chain_open(&draft.chain, 200, false);
    ike_chain_close(&draft.chain);
    answer_draft(IKE_INFORMATIONAL, &child);
    assert_int_equal(answer.count, 0);
}

static void a_request_that_does_not_parse_is_invalid_syntax(void **state)
{
    (void)state;
    draft_begin(&draft);
    ike_chain_add(&draft.chain, IKE_PAYLOAD_DELETE, (Bytes){(const uint8_t *)"\3\4\0", 3});
    answer_draft(IKE_INFORMATIONAL, &child);
    assert_answered(IKE_NOTIFY_INVALID_SYNTAX);
}

static void an_exchange_out_of_place_is_invalid_syntax(void **state)
{
    (void)state;
    draft_begin(&draft);
    answer_draft(IKE_AUTH, &child);
    assert_answered(IKE_NOTIFY_INVALID_SYNTAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_liveness_check_gets_an_empty_answer),
        cmocka_unit_test(a_delete_of_the_ike_sa_gets_an_empty_answer),
        cmocka_unit_test(a_delete_of_the_child_gets_the_other_directions_spi),
        cmocka_unit_test(a_delete_of_somebody_elses_child_changes_nothing),
        cmocka_unit_test(a_delete_of_a_child_that_is_gone_is_answered_empty),
        cmocka_unit_test(a_delete_of_several_children_names_each_of_them_in_the_answer),
        cmocka_unit_test(deleting_both_is_deleting_the_ike_sa),
        cmocka_unit_test(a_cookie2_comes_back_as_it_was),
        cmocka_unit_test(no_nats_allowed_is_held_against_the_way_that_it_came),
        cmocka_unit_test(nat_detection_is_answered_with_nat_detection),
        cmocka_unit_test(authentication_failed_throws_us_out),
        cmocka_unit_test(an_unknown_critical_payload_is_named),
        cmocka_unit_test(an_unknown_payload_that_is_not_critical_is_passed_over),
        cmocka_unit_test(a_request_that_does_not_parse_is_invalid_syntax),
        cmocka_unit_test(an_exchange_out_of_place_is_invalid_syntax),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
