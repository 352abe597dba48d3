/* We ask for the tunnel that was configured, and take none that we did not ask for. */
#include "ikeclient/child_list.h"

#include "base/cleanup.h"
#include "octets.h"

#include "ikeclient/selectors.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

enum { SPI_IN = 0x11223344, SPI_OUT = 0x55667788 };

typedef struct Fixture {
    Config config;
    ChildOffer offer;
    Draft draft;
    IkePayloads payloads;
    ChildAnswer answer;
} Fixture;

static Fixture fixture;

static int setup(void **state)
{
    fixture = (Fixture){0};
    assert_int_equal(config_init(&fixture.config), 0);
    child_offer_init(&fixture.offer, &fixture.config, SPI_IN);
    *state = &fixture;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    config_deinit(&fixture.config);
    return 0;
}

static void request(RequestAddress kind)
{
    fixture.config.request_address = (unsigned)kind;
    child_offer_init(&fixture.offer, &fixture.config, SPI_IN);
}

static void encode(void)
{
    draft_begin(&fixture.draft);
    child_offer_encode(&fixture.offer, &fixture.draft.chain);
    draft_payloads(&fixture.draft, &fixture.payloads);
}

/* ---- the offer ---- */

static void assert_requested(const uint16_t *types, size_t count)
{
    const IkePayload *payload = ike_payloads_find(&fixture.payloads, IKE_PAYLOAD_CP);
    IkeCp cp;

    assert_non_null(payload);
    assert_int_equal(ike_cp_decode(payload->body, &cp), 0);
    assert_int_equal(cp.cfg_type, IKE_CFG_REQUEST);
    assert_int_equal(cp.n_attributes, count);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(cp.attributes[i].type, types[i]);
        assert_int_equal(cp.attributes[i].value.size, 0);
    }
}

static void both_kinds_of_address_are_asked_for_with_their_name_servers(void **state)
{
    static const uint16_t types[] = {IKE_CFG_INTERNAL_IP4_ADDRESS, IKE_CFG_INTERNAL_IP4_DNS,
                                     IKE_CFG_INTERNAL_IP6_ADDRESS, IKE_CFG_INTERNAL_IP6_DNS,
                                     IKE_CFG_TIMEOUT_PERIOD_FOR_LIVENESS_CHECK};
    (void)state;

    request(REQUEST_BOTH);
    encode();
    assert_requested(types, 5);
    request(REQUEST_IPV6);
    encode();
    assert_requested(types + 2, 3);
}

static void addresses_that_we_have_had_are_asked_for_again(void **state)
{
    static const InnerAddress had[] = {
        {{10, 210, 0, 7}, 4, 32}, {{10, 210, 0, 8}, 4, 32}, {{0xfd, [15] = 9}, 16, 64}};
    const IkePayload *payload;
    IkeCp cp;
    (void)state;

    request(REQUEST_BOTH);
    memcpy(fixture.offer.wanted, had, sizeof(had));
    fixture.offer.n_wanted = ELEMENTS(had);
    encode();
    payload = ike_payloads_find(&fixture.payloads, IKE_PAYLOAD_CP);
    assert_non_null(payload);
    assert_int_equal(ike_cp_decode(payload->body, &cp), 0);
    assert_int_equal(cp.attributes[0].type, IKE_CFG_INTERNAL_IP4_ADDRESS);
    assert_int_equal(cp.attributes[0].value.size, 4);
    assert_memory_equal(cp.attributes[0].value.data, had[0].octets, 4);
    assert_int_equal(cp.attributes[1].value.size, 0);
    assert_int_equal(cp.attributes[2].type, IKE_CFG_INTERNAL_IP6_ADDRESS);
    assert_int_equal(cp.attributes[2].value.size, 17);
    assert_memory_equal(cp.attributes[2].value.data, had[2].octets, 16);
    assert_int_equal(cp.attributes[2].value.data[16], 64);
}

static void no_silence_is_asked_for_where_the_peer_is_never_asked(void **state)
{
    static const uint16_t types[] = {IKE_CFG_INTERNAL_IP4_ADDRESS, IKE_CFG_INTERNAL_IP4_DNS};
    (void)state;

    fixture.config.liveness = 0;
    request(REQUEST_IPV4);
    encode();
    assert_requested(types, 2);
}

static void the_configuration_payload_comes_before_the_sa(void **state)
{
    static const uint8_t types[] = {IKE_PAYLOAD_CP, IKE_PAYLOAD_NOTIFY, IKE_PAYLOAD_SA,
                                    IKE_PAYLOAD_TSI, IKE_PAYLOAD_TSR};
    (void)state;

    encode();
    assert_int_equal(fixture.payloads.count, sizeof(types));
    for (size_t i = 0; i < sizeof(types); i++)
        assert_int_equal(fixture.payloads.items[i].type, types[i]);
}

static void without_an_address_there_is_no_configuration_payload(void **state)
{
    (void)state;
    request(REQUEST_NONE);
    encode();
    assert_null(ike_payloads_find(&fixture.payloads, IKE_PAYLOAD_CP));
}

static void each_proposal_carries_our_spi(void **state)
{
    IkeSaPayload sa;
    (void)state;

    encode();
    assert_int_equal(ike_sa_decode(ike_payloads_find(&fixture.payloads, IKE_PAYLOAD_SA)->body, &sa),
                     0);
    for (size_t i = 0; i < sa.n_proposals; i++) {
        assert_int_equal(sa.proposals[i].spi_size, 4);
        assert_int_equal(sa.proposals[i].spi, SPI_IN);
    }
}

static void selectors_are_of_the_families_that_are_asked_for(void **state)
{
    char text[SELECTORS_TEXT_SIZE];
    (void)state;

    assert_string_equal(selectors_text(&fixture.offer.ts_i, text), "0.0.0.0/0");
    assert_string_equal(selectors_text(&fixture.offer.ts_r, text), "0.0.0.0/0");
    request(REQUEST_BOTH);
    assert_string_equal(selectors_text(&fixture.offer.ts_i, text), "0.0.0.0/0, ::/0");
    assert_int_equal(selectors_parse("10.200.0.0/16", &fixture.config.remote_ts), 0);
    request(REQUEST_IPV6);
    assert_string_equal(selectors_text(&fixture.offer.ts_i, text), "::/0");
    assert_string_equal(selectors_text(&fixture.offer.ts_r, text), "10.200.0.0/16");
}

/* ---- the answer ---- */

typedef struct Grant {
    const char *ts_i;
    const char *ts_r;
    uint8_t proposal; /* 0: no SA at all */
    IkeCp cp;         /* cfg_type 0: none */
    uint16_t notify;  /* 0: none */
} Grant;

static const Grant ordinary = {.ts_i = "10.210.0.1", .ts_r = "10.200.0.0/16", .proposal = 1};

static ChildVerdict judge(const Grant *grant)
{
    IkeChain *chain = &fixture.draft.chain;
    IkeTs ts;

    draft_begin(&fixture.draft);
    if (grant->cp.cfg_type != 0)
        ike_chain_add_cp(chain, &grant->cp);
    if (grant->proposal != 0) {
        IkeSaPayload sa = {.n_proposals = 1,
                           .proposals = {fixture.offer.sa.proposals[grant->proposal - 1]}};
        sa.proposals[0].spi = SPI_OUT;
        ike_chain_add_sa(chain, &sa);
    }
    if (grant->ts_i) {
        assert_int_equal(selectors_parse(grant->ts_i, &ts), 0);
        ike_chain_add_ts(chain, IKE_PAYLOAD_TSI, &ts);
    }
    if (grant->ts_r) {
        assert_int_equal(selectors_parse(grant->ts_r, &ts), 0);
        ike_chain_add_ts(chain, IKE_PAYLOAD_TSR, &ts);
    }
    if (grant->notify != 0)
        ike_chain_add_notify(chain, grant->notify, (Bytes){0});
    draft_payloads(&fixture.draft, &fixture.payloads);
    child_answer_judge(&fixture.offer, &fixture.payloads, &fixture.answer);
    return fixture.answer.verdict;
}

static void narrowed_selectors_are_taken(void **state)
{
    char text[SELECTORS_TEXT_SIZE];
    (void)state;

    assert_int_equal(judge(&ordinary), CHILD_GRANTED);
    assert_int_equal(fixture.answer.esp.spi_out, SPI_OUT);
    assert_int_equal(fixture.answer.esp.encr, IKE_ENCR_AES_GCM_16);
    assert_string_equal(selectors_text(&fixture.answer.ts_i, text), "10.210.0.1/32");
    assert_string_equal(selectors_text(&fixture.answer.ts_r, text), "10.200.0.0/16");
}

static void selectors_beyond_the_offer_are_invalid(void **state)
{
    Grant grant = ordinary;
    (void)state;

    assert_int_equal(selectors_parse("10.200.0.0/16", &fixture.config.remote_ts), 0);
    request(REQUEST_IPV4);
    assert_int_equal(judge(&grant), CHILD_GRANTED);
    grant.ts_r = "10.200.0.0/15";
    assert_int_equal(judge(&grant), CHILD_INVALID);
    grant.ts_r = "10.200.0.1, 10.201.0.1";
    assert_int_equal(judge(&grant), CHILD_INVALID);
    grant.ts_r = NULL;
    assert_int_equal(judge(&grant), CHILD_INVALID);
    grant = ordinary;
    grant.ts_i = "2001:db8::1";
    assert_int_equal(judge(&grant), CHILD_INVALID);
}

static void an_answer_without_an_sa_is_invalid(void **state)
{
    Grant grant = {0};
    (void)state;

    assert_int_equal(judge(&grant), CHILD_INVALID);
    assert_non_null(fixture.answer.why);
}

static void the_six_child_errors_are_refusals(void **state)
{
    static const uint16_t errors[] = {14, 34, 35, 36, 37, 38};
    (void)state;

    for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
        Grant grant = {.notify = errors[i]};
        assert_true(child_error_is(errors[i]));
        assert_int_equal(judge(&grant), CHILD_REFUSED);
        assert_int_equal(fixture.answer.error, errors[i]);
    }
    assert_false(child_error_is(IKE_NOTIFY_AUTHENTICATION_FAILED));
    assert_false(child_error_is(39));
    assert_false(child_error_is(33));
}

static void status_notifies_beside_a_child_are_ignored(void **state)
{
    Grant grant = ordinary;
    (void)state;

    grant.notify = 40000;
    assert_int_equal(judge(&grant), CHILD_GRANTED);
}

static ChildVerdict judge_attribute(uint16_t type, Bytes value)
{
    Grant grant = ordinary;

    grant.cp = (IkeCp){IKE_CFG_REPLY, 1, {{type, value}}};
    return judge(&grant);
}

static void addresses_and_name_servers_are_read(void **state)
{
    static const uint8_t v4[] = {10, 210, 0, 1}, dns[] = {10, 200, 0, 53};
    static const uint8_t v6[] = {0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 5, 64};
    char text[CHILD_ADDRESS_TEXT_SIZE];
    Grant grant = ordinary;
    (void)state;

    grant.cp = (IkeCp){IKE_CFG_REPLY,
                       4,
                       {{IKE_CFG_INTERNAL_IP4_ADDRESS, BYTES_OF(v4)},
                        {IKE_CFG_INTERNAL_IP4_DNS, BYTES_OF(dns)},
                        {IKE_CFG_INTERNAL_IP6_ADDRESS, BYTES_OF(v6)},
                        {25, BYTES_OF(v4)}}};
    request(REQUEST_BOTH);
    assert_int_equal(judge(&grant), CHILD_GRANTED);
    assert_int_equal(fixture.answer.n_addresses, 2);
    assert_string_equal(inner_address_text(&fixture.answer.addresses[0], true, text),
                        "10.210.0.1/32");
    assert_string_equal(inner_address_text(&fixture.answer.addresses[1], true, text),
                        "2001:db8::5/64");
    assert_int_equal(fixture.answer.n_dns, 1);
    assert_string_equal(inner_address_text(&fixture.answer.dns[0], false, text), "10.200.0.53");
}

static void a_prefix_of_129_bits_is_invalid(void **state)
{
    uint8_t octets[17] = {0x20, 1};
    (void)state;

    request(REQUEST_BOTH);
    octets[16] = 128;
    assert_int_equal(judge_attribute(IKE_CFG_INTERNAL_IP6_ADDRESS, BYTES_OF(octets)),
                     CHILD_GRANTED);
    octets[16] = 129;
    assert_int_equal(judge_attribute(IKE_CFG_INTERNAL_IP6_ADDRESS, BYTES_OF(octets)),
                     CHILD_INVALID);
    request(REQUEST_IPV4); /* nobody asked for it */
    assert_int_equal(judge_attribute(IKE_CFG_INTERNAL_IP6_ADDRESS, BYTES_OF(octets)),
                     CHILD_GRANTED);
    assert_int_equal(fixture.answer.skipped.addresses, 1);
}

static void assign_many(Grant *grant, uint16_t type, Bytes value, size_t count)
{
    grant->cp.cfg_type = IKE_CFG_REPLY;
    for (size_t i = 0; i < count; i++)
        grant->cp.attributes[grant->cp.n_attributes++] = (IkeAttribute){type, value};
}

static void of_many_addresses_the_first_two_of_each_family_are_kept(void **state)
{
    static const uint8_t v4[] = {10, 210, 0, 1}, v6[17] = {0x20, 1, [16] = 128};
    const ChildAnswer *answer = &fixture.answer;
    Grant grant = ordinary;
    (void)state;

    request(REQUEST_BOTH);
    assign_many(&grant, IKE_CFG_INTERNAL_IP4_ADDRESS, BYTES_OF(v4), 5);
    assign_many(&grant, IKE_CFG_INTERNAL_IP6_ADDRESS, BYTES_OF(v6), 5);
    assert_int_equal(judge(&grant), CHILD_GRANTED);
    assert_int_equal(answer->n_addresses, CHILD_ADDRESSES_MAX);
    assert_int_equal(answer->addresses[1].size, 4);
    assert_int_equal(answer->addresses[2].size, 16);
    assert_int_equal(answer->skipped.addresses, 6);
    assert_null(child_answer_lacks(&fixture.offer, answer));
}

static void an_address_that_nobody_asked_for_is_passed_over(void **state)
{
    static const uint8_t v4[] = {10, 210, 0, 1}, v6[17] = {0x20, 1, [16] = 128};
    Grant grant = ordinary;
    (void)state;

    request(REQUEST_IPV4);
    assign_many(&grant, IKE_CFG_INTERNAL_IP6_ADDRESS, BYTES_OF(v6), 1);
    assign_many(&grant, IKE_CFG_INTERNAL_IP4_ADDRESS, BYTES_OF(v4), 1);
    assert_int_equal(judge(&grant), CHILD_GRANTED);
    assert_int_equal(fixture.answer.n_addresses, 1);
    assert_int_equal(fixture.answer.addresses[0].size, 4);
    assert_int_equal(fixture.answer.skipped.addresses, 1);
}

static void of_many_name_servers_the_first_eight_are_kept(void **state)
{
    static const uint8_t v4[] = {10, 200, 0, 53}, v6[16] = {0x20, 1};
    Grant grant = ordinary;
    (void)state;

    assign_many(&grant, IKE_CFG_INTERNAL_IP4_DNS, BYTES_OF(v4), IKE_ATTRIBUTES_OF_TYPE);
    assign_many(&grant, IKE_CFG_INTERNAL_IP6_DNS, BYTES_OF(v6), IKE_ATTRIBUTES_OF_TYPE);
    assert_int_equal(judge(&grant), CHILD_GRANTED);
    assert_int_equal(fixture.answer.n_dns, CHILD_DNS_MAX);
    assert_int_equal(fixture.answer.skipped.dns, 2 * IKE_ATTRIBUTES_OF_TYPE - CHILD_DNS_MAX);
}

/* No tunnel depends on it. */
static void a_name_server_of_another_size_is_passed_over(void **state)
{
    static const uint8_t octets[17] = {10, 200, 0, 53};
    (void)state;

    for (size_t size = 0; size <= sizeof(octets); size++) {
        const Bytes value = {octets, size};

        assert_int_equal(judge_attribute(IKE_CFG_INTERNAL_IP4_DNS, value), CHILD_GRANTED);
        assert_int_equal(fixture.answer.n_dns, size == 4);
        assert_int_equal(fixture.answer.skipped.dns, size != 0 && size != 4);
        assert_int_equal(judge_attribute(IKE_CFG_INTERNAL_IP6_DNS, value), CHILD_GRANTED);
        assert_int_equal(fixture.answer.n_dns, size == 16);
        assert_int_equal(fixture.answer.skipped.dns, size != 0 && size != 16);
    }
}

static void a_configuration_that_is_no_reply_is_ignored(void **state)
{
    static const uint8_t v4[] = {10, 210, 0, 1};
    Grant grant = ordinary;
    (void)state;

    grant.cp = (IkeCp){IKE_CFG_SET, 1, {{IKE_CFG_INTERNAL_IP4_ADDRESS, BYTES_OF(v4)}}};
    assert_int_equal(judge(&grant), CHILD_GRANTED);
    assert_int_equal(fixture.answer.n_addresses, 0);
}

static void the_silence_that_the_segw_wants_is_taken_if_it_has_the_right_size(void **state)
{
    static const uint8_t seconds[] = {0, 0, 0x0e, 0x10, 0};
    const uint16_t type = IKE_CFG_TIMEOUT_PERIOD_FOR_LIVENESS_CHECK;
    (void)state;

    assert_int_equal(judge_attribute(type, (Bytes){seconds, 4}), CHILD_GRANTED);
    assert_int_equal(fixture.answer.liveness, 3600);
    for (size_t size = 0; size <= sizeof(seconds); size++) {
        if (size == 4)
            continue;
        assert_int_equal(judge_attribute(type, (Bytes){seconds, size}), CHILD_GRANTED);
        assert_int_equal(fixture.answer.liveness, 0);
    }
}

static void where_the_segw_sees_us_is_taken_if_it_has_the_right_size(void **state)
{
    static const uint8_t seen[] = {198, 51, 100, 2, 0x30, 0x39, 0};
    const uint16_t type = IKE_CFG_EXTERNAL_SOURCE_IP4_NAT_INFO;
    char text[ENDPOINT_TEXT_SIZE];
    (void)state;

    assert_int_equal(judge_attribute(type, (Bytes){seen, 6}), CHILD_GRANTED);
    assert_string_equal(endpoint_text(&fixture.answer.external, text), "198.51.100.2:12345");
    for (size_t size = 0; size <= sizeof(seen); size++) {
        if (size == 6)
            continue;
        assert_int_equal(judge_attribute(type, (Bytes){seen, size}), CHILD_GRANTED);
        assert_int_equal(fixture.answer.external.any.sa_family, 0);
    }
}

static void what_the_segw_sees_is_asked_for_where_there_is_a_nat(void **state)
{
    static const uint16_t types[] = {IKE_CFG_INTERNAL_IP4_ADDRESS, IKE_CFG_INTERNAL_IP4_DNS,
                                     IKE_CFG_EXTERNAL_SOURCE_IP4_NAT_INFO,
                                     IKE_CFG_TIMEOUT_PERIOD_FOR_LIVENESS_CHECK};
    (void)state;

    request(REQUEST_IPV4);
    fixture.offer.nat = true;
    encode();
    assert_requested(types, 4);
    request(REQUEST_NONE); /* the NAT is there all the same */
    fixture.offer.nat = true;
    encode();
    assert_requested(types + 2, 2);
}

static const char *lacks(uint16_t type, Bytes value)
{
    assert_int_equal(judge_attribute(type, value), CHILD_GRANTED);
    return child_answer_lacks(&fixture.offer, &fixture.answer);
}

static void an_address_that_was_asked_for_and_not_given_is_missing(void **state)
{
    static const uint8_t v4[] = {10, 210, 0, 1}, any[4] = {0};
    (void)state;

    assert_null(lacks(IKE_CFG_INTERNAL_IP4_ADDRESS, BYTES_OF(v4)));
    assert_string_equal(lacks(IKE_CFG_INTERNAL_IP4_ADDRESS, BYTES_OF(any)), "IPv4 address");
    assert_string_equal(lacks(IKE_CFG_INTERNAL_IP4_ADDRESS, (Bytes){0}), "IPv4 address");
    assert_string_equal(lacks(IKE_CFG_INTERNAL_IP4_DNS, BYTES_OF(v4)), "IPv4 address");
    assert_int_equal(judge(&ordinary), CHILD_GRANTED); /* no CFG_REPLY at all */
    assert_string_equal(child_answer_lacks(&fixture.offer, &fixture.answer), "IPv4 address");
}

static void an_address_is_missing_in_the_family_that_was_asked_for(void **state)
{
    static const uint8_t v4[] = {10, 210, 0, 1};
    (void)state;

    request(REQUEST_BOTH);
    assert_string_equal(lacks(IKE_CFG_INTERNAL_IP4_ADDRESS, BYTES_OF(v4)), "IPv6 address");
    request(REQUEST_NONE);
    assert_null(lacks(IKE_CFG_INTERNAL_IP4_DNS, BYTES_OF(v4)));
}

static void a_list_of_children_loses_the_one_that_is_named(void **state)
{
    ChildSa *list = NULL;
    (void)state;

    for (uint32_t spi_in = 1; spi_in <= 3; spi_in++)
        assert_non_null(child_sas_add(&list, spi_in, &fixture.answer));
    child_sas_remove(&list, 2);
    child_sas_remove(&list, 7);
    assert_int_equal(list->spi_in, 1);
    assert_int_equal(list->next->spi_in, 3);
    assert_null(list->next->next);
    child_sas_free(list);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(both_kinds_of_address_are_asked_for_with_their_name_servers),
        TEST(addresses_that_we_have_had_are_asked_for_again),
        TEST(no_silence_is_asked_for_where_the_peer_is_never_asked),
        TEST(where_the_segw_sees_us_is_taken_if_it_has_the_right_size),
        TEST(what_the_segw_sees_is_asked_for_where_there_is_a_nat),
        TEST(the_silence_that_the_segw_wants_is_taken_if_it_has_the_right_size),
        TEST(the_configuration_payload_comes_before_the_sa),
        TEST(without_an_address_there_is_no_configuration_payload),
        TEST(each_proposal_carries_our_spi),
        TEST(selectors_are_of_the_families_that_are_asked_for),
        TEST(narrowed_selectors_are_taken),
        TEST(selectors_beyond_the_offer_are_invalid),
        TEST(an_answer_without_an_sa_is_invalid),
        TEST(the_six_child_errors_are_refusals),
        TEST(status_notifies_beside_a_child_are_ignored),
        TEST(addresses_and_name_servers_are_read),
        TEST(a_prefix_of_129_bits_is_invalid),
        TEST(of_many_addresses_the_first_two_of_each_family_are_kept),
        TEST(an_address_that_nobody_asked_for_is_passed_over),
        TEST(of_many_name_servers_the_first_eight_are_kept),
        TEST(a_name_server_of_another_size_is_passed_over),
        TEST(a_configuration_that_is_no_reply_is_ignored),
        TEST(an_address_that_was_asked_for_and_not_given_is_missing),
        TEST(an_address_is_missing_in_the_family_that_was_asked_for),
        TEST(a_list_of_children_loses_the_one_that_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
