/* Names become the transforms they stand for, and no answer is taken that was not offered. */
#include "ikeclient/proposals.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static char problem[PROPOSALS_PROBLEM_SIZE];

static IkeSaPayload offer_of(const char *text, uint8_t protocol)
{
    IkeSaPayload sa;

    assert_int_equal(proposals_parse(text, protocol, &sa, problem), 0);
    return sa;
}

static void assert_transform(const IkeProposal *proposal, size_t index, uint8_t type, uint16_t id,
                             uint16_t key_length)
{
    assert_true(index < proposal->n_transforms);
    assert_int_equal(proposal->transforms[index].type, type);
    assert_int_equal(proposal->transforms[index].id, id);
    assert_int_equal(proposal->transforms[index].key_length, key_length);
}

static void an_ike_proposal_is_its_transforms_in_order(void **state)
{
    IkeSaPayload sa = offer_of("aes128gcm16-prfsha256-ecp256", IKE_PROTOCOL_IKE);
    (void)state;

    assert_int_equal(sa.n_proposals, 1);
    assert_int_equal(sa.proposals[0].number, 1);
    assert_int_equal(sa.proposals[0].protocol, IKE_PROTOCOL_IKE);
    assert_int_equal(sa.proposals[0].spi_size, 0);
    assert_int_equal(sa.proposals[0].n_transforms, 3);
    assert_transform(&sa.proposals[0], 0, IKE_TRANSFORM_ENCR, IKE_ENCR_AES_GCM_16, 128);
    assert_transform(&sa.proposals[0], 1, IKE_TRANSFORM_PRF, IKE_PRF_HMAC_SHA2_256, 0);
    assert_transform(&sa.proposals[0], 2, IKE_TRANSFORM_KE, IKE_GROUP_ECP_256, 0);
}

static void proposals_are_numbered_from_one(void **state)
{
    IkeSaPayload sa =
        offer_of("aes256gcm16-prfsha384-ecp384 , aes128-sha256-modp2048", IKE_PROTOCOL_IKE);
    (void)state;

    assert_int_equal(sa.n_proposals, 2);
    assert_int_equal(sa.proposals[0].number, 1);
    assert_int_equal(sa.proposals[1].number, 2);
    assert_int_equal(proposals_first_group(&sa), IKE_GROUP_ECP_384);
    assert_true(proposals_have_group(&sa, IKE_GROUP_MODP_2048));
    assert_false(proposals_have_group(&sa, IKE_GROUP_ECP_256));
}

static void a_missing_prf_is_that_of_the_integrity_algorithm(void **state)
{
    IkeSaPayload sa = offer_of("aes256-sha256-ecp384", IKE_PROTOCOL_IKE);
    (void)state;

    assert_int_equal(sa.proposals[0].n_transforms, 4);
    assert_transform(&sa.proposals[0], 1, IKE_TRANSFORM_INTEG, IKE_INTEG_HMAC_SHA2_256_128, 0);
    assert_transform(&sa.proposals[0], 3, IKE_TRANSFORM_PRF, IKE_PRF_HMAC_SHA2_256, 0);
}

static void chacha_has_no_key_length(void **state)
{
    IkeSaPayload sa = offer_of("chacha20poly1305", IKE_PROTOCOL_ESP);
    (void)state;

    assert_transform(&sa.proposals[0], 0, IKE_TRANSFORM_ENCR, IKE_ENCR_CHACHA20_POLY1305, 0);
}

static void esp_is_without_esn_unless_told(void **state)
{
    IkeSaPayload sa =
        offer_of("aes128gcm16, aes128-sha256-esn, aes256gcm16-noesn-esn", IKE_PROTOCOL_ESP);
    (void)state;

    assert_transform(&sa.proposals[0], 1, IKE_TRANSFORM_ESN, IKE_ESN_NO, 0);
    assert_transform(&sa.proposals[1], 2, IKE_TRANSFORM_ESN, IKE_ESN_YES, 0);
    assert_int_equal(sa.proposals[2].n_transforms, 3);
}

static void what_can_not_be_negotiated_is_refused(void **state)
{
    static const struct {
        uint8_t protocol;
        const char *text;
    } wrong[] = {
        {IKE_PROTOCOL_IKE, ""},
        {IKE_PROTOCOL_IKE, "des-md5-modp768"},
        {IKE_PROTOCOL_IKE, "aes128gcm16-ecp256"},                  /* no PRF */
        {IKE_PROTOCOL_IKE, "aes128gcm16-prfsha256"},               /* no group */
        {IKE_PROTOCOL_IKE, "aes128-prfsha256-ecp256"},             /* no integrity */
        {IKE_PROTOCOL_IKE, "aes128gcm16-sha256-prfsha256-ecp256"}, /* one too many */
        {IKE_PROTOCOL_IKE, "aes128gcm16-aes128-prfsha256-ecp256"}, /* 3.3 */
        {IKE_PROTOCOL_IKE, "aes128gcm16-prfsha256-ecp256-esn"},
        {IKE_PROTOCOL_IKE, "aes128gcm16-prfsha256-ecp256,"},
        {IKE_PROTOCOL_IKE, "aes128gcm16-prfsha256-ecp256 aes128-sha256-ecp256"},
        {IKE_PROTOCOL_ESP, "aes128"},
        {IKE_PROTOCOL_ESP, "sha256"},
        {IKE_PROTOCOL_ESP, "aes128gcm16-ecp256"},
        {IKE_PROTOCOL_ESP, "aes128gcm16-"},
    };
    IkeSaPayload sa;
    (void)state;

    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        problem[0] = 0;
        assert_int_equal(proposals_parse(wrong[i].text, wrong[i].protocol, &sa, problem), -EINVAL);
        assert_int_not_equal(strlen(problem), 0);
    }
}

static void what_tred_would_refuse_is_refused_with_what_is_possible(void **state)
{
    static const struct {
        uint8_t protocol;
        const char *text, *problem;
    } wrong[] = {
        {IKE_PROTOCOL_ESP, "aes128-sha384",
         "names that are possible here (\"sha384\" is not in tred's profile): aes128gcm16 "
         "aes256gcm16 "
         "aes128 aes256 chacha20poly1305 sha256 noesn esn"},
        {IKE_PROTOCOL_ESP, "aes128gcm16-ecp256",
         "names that are possible here (\"ecp256\" is not for ESP): aes128gcm16 aes256gcm16 aes128 "
         "aes256 chacha20poly1305 sha256 noesn esn"},
    };
    IkeSaPayload sa;
    (void)state;

    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        assert_int_equal(proposals_parse(wrong[i].text, wrong[i].protocol, &sa, problem), -EINVAL);
        assert_string_equal(problem, wrong[i].problem);
    }
}

static void every_word_of_the_profile_can_be_offered_in_its_role(void **state)
{
    const Algorithm *row;
    (void)state;

    for (size_t i = 0; (row = algorithm_at(i)) != NULL; i++) {
        for (uint8_t protocol = IKE_PROTOCOL_IKE; protocol <= IKE_PROTOCOL_ESP; protocol++) {
            const uint8_t role = protocol == IKE_PROTOCOL_ESP ? IKE_ROLE_ESP : IKE_ROLE_IKE;
            const bool plain =
                row->type == IKE_TRANSFORM_INTEG || (row->type == IKE_TRANSFORM_ENCR && !row->aead);
            char text[128];
            IkeSaPayload sa;

            if (protocol == IKE_PROTOCOL_AH)
                continue;
            (void)snprintf(text, sizeof(text), "%s%s-%s", plain ? "aes128-sha256" : "aes128gcm16",
                           protocol == IKE_PROTOCOL_IKE ? "-prfsha256-ecp256" : "", row->word);
            assert_int_equal(proposals_parse(text, protocol, &sa, problem),
                             row->in_profile && row->roles & role ? 0 : -EINVAL);
        }
    }
}

static void a_seventeenth_proposal_is_refused(void **state)
{
#define FOUR "aes128gcm16, aes128gcm16, aes128gcm16, aes128gcm16"
    IkeSaPayload sa;
    (void)state;

    assert_int_equal(
        proposals_parse(FOUR ", " FOUR ", " FOUR ", " FOUR, IKE_PROTOCOL_ESP, &sa, problem), 0);
    assert_int_equal(sa.n_proposals, IKE_PROPOSALS_MAX);
    assert_int_equal(proposals_parse(FOUR ", " FOUR ", " FOUR ", " FOUR ", aes128gcm16",
                                     IKE_PROTOCOL_ESP, &sa, problem),
                     -EINVAL);
#undef FOUR
}

/* The peer's answer: proposal `number` of `offer` as it is, which has one transform of each type.
 */
static IkeSaPayload answer_of(const IkeSaPayload *offer, size_t number)
{
    IkeSaPayload answer = {.n_proposals = 1, .proposals = {offer->proposals[number - 1]}};

    answer.proposals[0].spi_size = 4;
    answer.proposals[0].spi = 0xc0ffee;
    return answer;
}

static void an_answer_from_the_offer_is_taken(void **state)
{
    IkeSaPayload offer = offer_of("aes128gcm16, aes256-sha256-esn", IKE_PROTOCOL_ESP);
    IkeSaPayload answer = answer_of(&offer, 2);
    char name[ESP_SUITE_NAME_SIZE];
    EspChoice choice;
    (void)state;

    assert_int_equal(proposals_accept_esp(&offer, &answer, &choice), 0);
    assert_int_equal(choice.spi_out, 0xc0ffee);
    assert_int_equal(choice.encr, IKE_ENCR_AES_CBC);
    assert_int_equal(choice.key_bits, 256);
    assert_int_equal(choice.integ, IKE_INTEG_HMAC_SHA2_256_128);
    assert_true(choice.esn);
    esp_choice_name(&choice, name);
    assert_string_equal(name, "AES_CBC_256/HMAC_SHA2_256_128/ESN");
}

/* RFC 7296 3.3.2 */
static void an_answer_may_say_none_of_what_was_not_offered(void **state)
{
    IkeSaPayload offer = offer_of("aes128gcm16, aes128-sha256", IKE_PROTOCOL_ESP);
    IkeSaPayload answer = answer_of(&offer, 1);
    IkeProposal *proposal = &answer.proposals[0];
    EspChoice choice;
    (void)state;

    proposal->transforms[proposal->n_transforms++] = (IkeTransform){.type = IKE_TRANSFORM_INTEG};
    proposal->transforms[proposal->n_transforms++] = (IkeTransform){.type = IKE_TRANSFORM_KE};
    assert_int_equal(proposals_accept_esp(&offer, &answer, &choice), 0);
    assert_int_equal(choice.integ, IKE_INTEG_NONE);
    assert_int_equal(choice.group, IKE_GROUP_NONE);
    proposal->transforms[proposal->n_transforms - 1].id = IKE_GROUP_ECP_256;
    assert_int_equal(proposals_accept_esp(&offer, &answer, &choice), -EBADMSG);
    answer = answer_of(&offer, 2);
    for (size_t i = 0; i < proposal->n_transforms; i++) {
        if (proposal->transforms[i].type == IKE_TRANSFORM_INTEG)
            proposal->transforms[i].id = IKE_INTEG_NONE;
    }
    assert_int_equal(proposals_accept_esp(&offer, &answer, &choice), -EBADMSG);
}

typedef void (*Spoiler)(IkeSaPayload *answer);

static void assert_spoiled(Spoiler spoil)
{
    IkeSaPayload offer = offer_of("aes128gcm16-aes256gcm16, aes128-sha256", IKE_PROTOCOL_ESP);
    IkeSaPayload answer = answer_of(&offer, 2);
    EspChoice choice;

    assert_int_equal(proposals_accept_esp(&offer, &answer, &choice), 0);
    spoil(&answer);
    assert_int_equal(proposals_accept_esp(&offer, &answer, &choice), -EBADMSG);
}

static void another_number(IkeSaPayload *answer)
{
    answer->proposals[0].number = 1;
}
static void another_key_length(IkeSaPayload *answer)
{
    answer->proposals[0].transforms[0].key_length = 256;
}
static void another_cipher(IkeSaPayload *answer)
{
    answer->proposals[0].transforms[0].id = 3;
}
static void fewer_transforms(IkeSaPayload *answer)
{
    answer->proposals[0].n_transforms--;
}
static void an_attribute(IkeSaPayload *answer)
{
    answer->proposals[0].transforms[0].unknown_attribute = true;
}
static void no_spi(IkeSaPayload *answer)
{
    answer->proposals[0].spi = 0;
}
static void a_long_spi(IkeSaPayload *answer)
{
    answer->proposals[0].spi_size = 8;
}
static void another_protocol(IkeSaPayload *answer)
{
    answer->proposals[0].protocol = IKE_PROTOCOL_AH;
}
static void nothing(IkeSaPayload *answer)
{
    answer->n_proposals = 0;
}

static void a_second_proposal(IkeSaPayload *answer)
{
    answer->proposals[answer->n_proposals++] = answer->proposals[0];
}

static void the_same_type_twice(IkeSaPayload *answer)
{
    answer->proposals[0].transforms[1] = answer->proposals[0].transforms[0];
}

static void an_answer_that_was_not_offered_is_refused(void **state)
{
    static const Spoiler spoilers[] = {another_number,    another_key_length, another_cipher,
                                       fewer_transforms,  an_attribute,       no_spi,
                                       a_long_spi,        another_protocol,   nothing,
                                       a_second_proposal, the_same_type_twice};
    (void)state;

    for (size_t i = 0; i < sizeof(spoilers) / sizeof(spoilers[0]); i++)
        assert_spoiled(spoilers[i]);
}

static void two_alternatives_are_no_answer(void **state)
{
    IkeSaPayload offer = offer_of("aes128gcm16-aes256gcm16", IKE_PROTOCOL_ESP);
    IkeSaPayload answer = answer_of(&offer, 1);
    EspChoice choice;
    (void)state;

    assert_int_equal(proposals_accept_esp(&offer, &answer, &choice), -EBADMSG);
}

static void a_suites_key_is_that_of_its_cipher(void **state)
{
    (void)state;
    assert_int_equal(proposals_suite_key("AES_GCM_16_128/PRF_HMAC_SHA2_256/ECP_256"), 16);
    assert_int_equal(proposals_suite_key("AES_CBC_256/HMAC_SHA2_256_128/PRF_HMAC_SHA2_256"), 32);
    assert_int_equal(proposals_suite_key("CHACHA20_POLY1305/PRF_HMAC_SHA2_256/CURVE25519"), 32);
    assert_int_equal(proposals_suite_key("AES_GCM_16/PRF_HMAC_SHA2_256"), 0);
    assert_int_equal(proposals_suite_key("ECP_256"), 0);
    assert_int_equal(proposals_suite_key(""), 0);
}

static void limit(const char *text, size_t most, size_t proposals, size_t first_transforms)
{
    IkeSaPayload offer;

    assert_int_equal(proposals_parse(text, IKE_PROTOCOL_ESP, &offer, problem), 0);
    assert_int_equal(proposals_limit_key(&offer, most), proposals > 0);
    assert_int_equal(offer.n_proposals, proposals);
    for (size_t i = 0; i < proposals; i++)
        assert_int_equal(offer.proposals[i].number, i + 1);
    if (proposals > 0)
        assert_int_equal(offer.proposals[0].n_transforms, first_transforms);
}

static void ciphers_with_a_longer_key_are_taken_out_of_an_offer(void **state)
{
    (void)state;
    limit("aes256gcm16, aes128gcm16, chacha20poly1305, aes128-sha256", 16, 2, 2);
    limit("aes256gcm16, aes128gcm16, chacha20poly1305, aes128-sha256", 32, 4, 2);
    limit("aes128gcm16-aes256gcm16", 16, 1, 2);
    limit("aes128-aes256-sha256", 16, 1, 3);
    limit("aes256gcm16, chacha20poly1305", 16, 0, 0);
    limit("aes128gcm16", 0, 0, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_suites_key_is_that_of_its_cipher),
        cmocka_unit_test(ciphers_with_a_longer_key_are_taken_out_of_an_offer),
        cmocka_unit_test(an_ike_proposal_is_its_transforms_in_order),
        cmocka_unit_test(proposals_are_numbered_from_one),
        cmocka_unit_test(a_missing_prf_is_that_of_the_integrity_algorithm),
        cmocka_unit_test(chacha_has_no_key_length),
        cmocka_unit_test(esp_is_without_esn_unless_told),
        cmocka_unit_test(what_can_not_be_negotiated_is_refused),
        cmocka_unit_test(what_tred_would_refuse_is_refused_with_what_is_possible),
        cmocka_unit_test(every_word_of_the_profile_can_be_offered_in_its_role),
        cmocka_unit_test(a_seventeenth_proposal_is_refused),
        cmocka_unit_test(an_answer_from_the_offer_is_taken),
        cmocka_unit_test(an_answer_may_say_none_of_what_was_not_offered),
        cmocka_unit_test(an_answer_that_was_not_offered_is_refused),
        cmocka_unit_test(two_alternatives_are_no_answer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
