/* Is exactly the profile negotiable, and is the answer held to the offer? */
#include "crypto/suite.h"

#include "base/cleanup.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

/* Everything that the tables yield for any number at all, as text. */
static void profile_print(FILE *out)
{
    for (uint32_t id = 0; id <= UINT16_MAX; id++) {
        for (uint16_t bits = 0; bits <= 1024; bits++) {
            const Cipher *c = cipher_find((uint16_t)id, bits);

            if (c) {
                fprintf(out, "ENCR %u/%u %s: %s%s, key %zu, salt %zu, IV %zu, ICV %zu, block %zu\n",
                        id, bits, c->name, c->openssl, c->aead ? " (AEAD)" : "", c->key_size,
                        c->salt_size, c->iv_size, c->icv_size, c->block_size);
            }
        }
    }
    for (uint32_t id = 0; id <= UINT16_MAX; id++) {
        const Prf *p = prf_find((uint16_t)id);

        if (p)
            fprintf(out, "PRF %u %s: %s, size %zu\n", id, p->name, p->digest, p->size);
    }
    for (uint32_t id = 0; id <= UINT16_MAX; id++) {
        const Integ *i = integ_find((uint16_t)id);

        if (i) {
            fprintf(out, "INTEG %u %s: %s, key %zu, ICV %zu\n", id, i->name, i->digest, i->key_size,
                    i->icv_size);
        }
    }
    for (uint32_t id = 0; id <= UINT16_MAX; id++) {
        const Group *g = group_find((uint16_t)id);

        if (g) {
            fprintf(out, "KE %u %s: %s%s%s, public %zu, secret %zu\n", id, g->name, g->key_type,
                    g->openssl ? " " : "", g->openssl ? g->openssl : "", g->public_size,
                    g->secret_size);
        }
    }
}

static void the_profile_is_the_committed_one(void **state)
{
    enum { TEXT_MAX = 8192 };
    char expected[TEXT_MAX] = "", found[TEXT_MAX] = "";
    _cleanup_(close_filep) FILE *snapshot = fopen(*state, "re");
    FILE *out = fmemopen(found, sizeof(found), "w");

    assert_non_null(snapshot);
    assert_non_null(out);
    assert_true(fread(expected, 1, sizeof(expected) - 1, snapshot) > 0);
    profile_print(out);
    assert_int_equal(fclose(out), 0);
    assert_string_equal(found, expected);
}

static IkeProposal gcm_offer(void)
{
    return (IkeProposal){
        .number = 1,
        .protocol = IKE_PROTOCOL_IKE,
        .n_transforms = 6,
        .transforms =
            {
                {.type = IKE_TRANSFORM_ENCR, .id = IKE_ENCR_AES_GCM_16, .key_length = 128},
                {.type = IKE_TRANSFORM_ENCR, .id = IKE_ENCR_AES_GCM_16, .key_length = 256},
                {.type = IKE_TRANSFORM_PRF, .id = IKE_PRF_HMAC_SHA2_256},
                {.type = IKE_TRANSFORM_PRF, .id = IKE_PRF_HMAC_SHA2_384},
                {.type = IKE_TRANSFORM_KE, .id = IKE_GROUP_ECP_256},
                {.type = IKE_TRANSFORM_KE, .id = IKE_GROUP_CURVE25519},
            },
    };
}

static IkeProposal cbc_offer(void)
{
    return (IkeProposal){
        .number = 2,
        .protocol = IKE_PROTOCOL_IKE,
        .n_transforms = 6,
        .transforms =
            {
                {.type = IKE_TRANSFORM_ENCR, .id = IKE_ENCR_AES_CBC, .key_length = 256},
                {.type = IKE_TRANSFORM_INTEG, .id = IKE_INTEG_HMAC_SHA2_256_128},
                {.type = IKE_TRANSFORM_INTEG, .id = IKE_INTEG_HMAC_SHA2_512_256},
                {.type = IKE_TRANSFORM_PRF, .id = IKE_PRF_HMAC_SHA2_512},
                {.type = IKE_TRANSFORM_KE, .id = IKE_GROUP_MODP_2048},
                {.type = IKE_TRANSFORM_KE, .id = IKE_GROUP_ECP_256},
            },
    };
}

static IkeSaPayload both_offers(void)
{
    return (IkeSaPayload){.n_proposals = 2, .proposals = {gcm_offer(), cbc_offer()}};
}

static IkeSaPayload gcm_answer(void)
{
    return (IkeSaPayload){
        .n_proposals = 1,
        .proposals = {{
            .number = 1,
            .protocol = IKE_PROTOCOL_IKE,
            .n_transforms = 3,
            .transforms =
                {
                    {.type = IKE_TRANSFORM_ENCR, .id = IKE_ENCR_AES_GCM_16, .key_length = 256},
                    {.type = IKE_TRANSFORM_PRF, .id = IKE_PRF_HMAC_SHA2_384},
                    {.type = IKE_TRANSFORM_KE, .id = IKE_GROUP_ECP_256},
                },
        }},
    };
}

static IkeSaPayload cbc_answer(void)
{
    return (IkeSaPayload){
        .n_proposals = 1,
        .proposals = {{
            .number = 2,
            .protocol = IKE_PROTOCOL_IKE,
            .n_transforms = 4,
            .transforms =
                {
                    {.type = IKE_TRANSFORM_ENCR, .id = IKE_ENCR_AES_CBC, .key_length = 256},
                    {.type = IKE_TRANSFORM_PRF, .id = IKE_PRF_HMAC_SHA2_512},
                    {.type = IKE_TRANSFORM_INTEG, .id = IKE_INTEG_HMAC_SHA2_256_128},
                    {.type = IKE_TRANSFORM_KE, .id = IKE_GROUP_MODP_2048},
                },
        }},
    };
}

static void assert_selection(const IkeSaPayload *chosen, int expected)
{
    const IkeSaPayload offered = both_offers();
    IkeSuite suite = {0};

    assert_int_equal(ike_suite_select(&offered, chosen, &suite), expected);
    if (expected != 0)
        assert_null(suite.cipher);
}

static void an_aead_answer_is_taken(void **state)
{
    (void)state;
    const IkeSaPayload offered = both_offers(), chosen = gcm_answer();
    IkeSuite suite;
    char name[SUITE_NAME_SIZE];

    assert_int_equal(ike_suite_select(&offered, &chosen, &suite), 0);
    assert_null(suite.integ);
    ike_suite_name(&suite, name);
    assert_string_equal(name, "AES_GCM_16_256/PRF_HMAC_SHA2_384/ECP_256");
    assert_int_equal(ike_suite_keymat_size(&suite), 3 * 48 + 2 * 36);
}

static void a_cbc_answer_with_integ_is_taken(void **state)
{
    (void)state;
    const IkeSaPayload offered = both_offers(), chosen = cbc_answer();
    IkeSuite suite;
    char name[SUITE_NAME_SIZE];

    assert_int_equal(ike_suite_select(&offered, &chosen, &suite), 0);
    ike_suite_name(&suite, name);
    assert_string_equal(name, "AES_CBC_256/HMAC_SHA2_256_128/PRF_HMAC_SHA2_512/MODP_2048");
    assert_int_equal(ike_suite_keymat_size(&suite), 3 * 64 + 2 * 32 + 2 * 32);
}

static void an_answer_of_two_proposals_or_none_is_ambiguous(void **state)
{
    (void)state;
    IkeSaPayload chosen = gcm_answer();

    chosen.n_proposals = 0;
    assert_selection(&chosen, SUITE_E_AMBIGUOUS);
    chosen.n_proposals = 2;
    chosen.proposals[1] = chosen.proposals[0];
    assert_selection(&chosen, SUITE_E_AMBIGUOUS);
}

static void an_answer_with_two_transforms_of_a_type_or_none_is_ambiguous(void **state)
{
    (void)state;
    IkeSaPayload chosen;

    for (size_t i = 0; i < 3; i++) {
        chosen = gcm_answer();
        chosen.proposals[0].transforms[i] = chosen.proposals[0].transforms[2];
        chosen.proposals[0].n_transforms = 2;
        assert_selection(&chosen, SUITE_E_AMBIGUOUS);
        chosen = gcm_answer();
        chosen.proposals[0].transforms[3] = chosen.proposals[0].transforms[i];
        chosen.proposals[0].n_transforms = 4;
        assert_selection(&chosen, SUITE_E_AMBIGUOUS);
    }
}

static void an_answer_that_was_not_offered_is_refused(void **state)
{
    (void)state;
    IkeSaPayload chosen = gcm_answer();

    chosen.proposals[0].number = 2; /* the other proposal has no GCM */
    assert_selection(&chosen, SUITE_E_NOT_OFFERED);
    chosen = gcm_answer();
    chosen.proposals[0].transforms[0].key_length = 192;
    assert_selection(&chosen, SUITE_E_NOT_OFFERED);
    chosen = gcm_answer();
    chosen.proposals[0].transforms[2].id = IKE_GROUP_ECP_384;
    assert_selection(&chosen, SUITE_E_NOT_OFFERED);
    chosen = gcm_answer();
    chosen.proposals[0].protocol = IKE_PROTOCOL_ESP;
    assert_selection(&chosen, SUITE_E_NOT_OFFERED);
    chosen = gcm_answer();
    chosen.proposals[0].spi_size = 8;
    assert_selection(&chosen, SUITE_E_NOT_OFFERED);
    chosen = gcm_answer();
    chosen.proposals[0].transforms[1].unknown_attribute = true;
    assert_selection(&chosen, SUITE_E_NOT_OFFERED);
}

static void an_offer_outside_the_profile_is_refused_even_if_chosen(void **state)
{
    (void)state;
    IkeSaPayload chosen = cbc_answer();

    chosen.proposals[0].transforms[2].id = IKE_INTEG_HMAC_SHA2_512_256; /* it was offered */
    assert_selection(&chosen, SUITE_E_NOT_ALLOWED);
}

static void cbc_without_integ_is_refused(void **state)
{
    (void)state;
    IkeSaPayload chosen = cbc_answer();

    chosen.proposals[0].transforms[2] = chosen.proposals[0].transforms[3];
    chosen.proposals[0].n_transforms = 3;
    assert_selection(&chosen, SUITE_E_NOT_ALLOWED);
}

static void an_aead_with_integ_is_refused_unless_it_is_none(void **state)
{
    (void)state;
    const IkeTransform none = {.type = IKE_TRANSFORM_INTEG, .id = IKE_INTEG_NONE};
    const IkeTransform hmac = {.type = IKE_TRANSFORM_INTEG, .id = IKE_INTEG_HMAC_SHA2_256_128};
    IkeSaPayload offered = both_offers(), chosen = gcm_answer();
    IkeSuite suite;

    offered.proposals[0].transforms[6] = none;
    offered.proposals[0].transforms[7] = hmac;
    offered.proposals[0].n_transforms = 8;
    chosen.proposals[0].n_transforms = 4;
    chosen.proposals[0].transforms[3] = none;
    assert_int_equal(ike_suite_select(&offered, &chosen, &suite), 0);
    chosen.proposals[0].transforms[3] = hmac;
    assert_int_equal(ike_suite_select(&offered, &chosen, &suite), SUITE_E_NOT_ALLOWED);
}

/* RFC 7296 3.3.3: it says that there is none, as the offer did by having none. */
static void an_aead_answer_may_say_that_it_has_no_integ(void **state)
{
    (void)state;
    const IkeTransform none = {.type = IKE_TRANSFORM_INTEG, .id = IKE_INTEG_NONE};
    IkeSaPayload chosen = gcm_answer();

    chosen.proposals[0].transforms[3] = none;
    chosen.proposals[0].n_transforms = 4;
    assert_selection(&chosen, 0);
    chosen.proposals[0].transforms[3].key_length = 128;
    assert_selection(&chosen, SUITE_E_NOT_OFFERED);
    chosen.proposals[0].transforms[3] = none;
    chosen.proposals[0].transforms[3].unknown_attribute = true;
    assert_selection(&chosen, SUITE_E_NOT_OFFERED);
    chosen.proposals[0].transforms[3] = (IkeTransform){.type = IKE_TRANSFORM_ESN}; /* 0 is one */
    assert_selection(&chosen, SUITE_E_NOT_OFFERED);
}

static void integ_that_was_offered_is_not_left_out(void **state)
{
    (void)state;
    IkeSaPayload chosen = cbc_answer();

    chosen.proposals[0].transforms[2].id = IKE_INTEG_NONE;
    assert_selection(&chosen, SUITE_E_NOT_OFFERED);
}

static void a_transform_type_that_ike_has_no_use_for_is_refused(void **state)
{
    (void)state;
    const IkeTransform esn = {.type = IKE_TRANSFORM_ESN, .id = IKE_ESN_YES};
    IkeSaPayload offered = both_offers(), chosen = gcm_answer();
    IkeSuite suite;

    offered.proposals[0].transforms[6] = esn;
    offered.proposals[0].n_transforms = 7;
    chosen.proposals[0].transforms[3] = esn;
    chosen.proposals[0].n_transforms = 4;
    assert_int_equal(ike_suite_select(&offered, &chosen, &suite), SUITE_E_NOT_ALLOWED);
}

static void an_answer_for_another_protocol_is_refused_though_it_was_offered(void **state)
{
    (void)state;
    IkeSaPayload offered = both_offers(), chosen = gcm_answer();
    IkeSuite suite;

    chosen.proposals[0].protocol = offered.proposals[0].protocol = IKE_PROTOCOL_ESP;
    assert_int_equal(ike_suite_select(&offered, &chosen, &suite), SUITE_E_NOT_ALLOWED);
}

static void esp_suites_are_found_by_their_numbers(void **state)
{
    (void)state;
    EspSuite suite;
    char name[SUITE_NAME_SIZE];

    assert_int_equal(esp_suite_from_ids(IKE_ENCR_AES_GCM_16, 128, 0, 0, false, &suite), 0);
    esp_suite_name(&suite, name);
    assert_string_equal(name, "AES_GCM_16_128/NO_ESN");
    assert_int_equal(esp_suite_keymat_size(&suite), 2 * 20);

    assert_int_equal(esp_suite_from_ids(IKE_ENCR_AES_CBC, 128, IKE_INTEG_HMAC_SHA2_256_128,
                                        IKE_GROUP_ECP_384, true, &suite),
                     0);
    esp_suite_name(&suite, name);
    assert_string_equal(name, "AES_CBC_128/HMAC_SHA2_256_128/ECP_384/ESN");
    assert_int_equal(esp_suite_keymat_size(&suite), 2 * (16 + 32));
}

static void esp_suites_outside_the_profile_are_refused(void **state)
{
    (void)state;
    EspSuite suite;

    assert_int_equal(esp_suite_from_ids(IKE_ENCR_AES_GCM_16, 192, 0, 0, false, &suite),
                     SUITE_E_NOT_ALLOWED);
    assert_int_equal(esp_suite_from_ids(IKE_ENCR_AES_CBC, 128, 0, 0, false, &suite),
                     SUITE_E_NOT_ALLOWED);
    assert_int_equal(esp_suite_from_ids(IKE_ENCR_AES_CBC, 128, 2, 0, false, &suite),
                     SUITE_E_NOT_ALLOWED); /* HMAC-SHA1-96 */
    assert_int_equal(
        esp_suite_from_ids(IKE_ENCR_AES_GCM_16, 128, IKE_INTEG_HMAC_SHA2_256_128, 0, false, &suite),
        SUITE_E_NOT_ALLOWED);
    assert_int_equal(esp_suite_from_ids(IKE_ENCR_AES_GCM_16, 128, 0, 2, false, &suite),
                     SUITE_E_NOT_ALLOWED);
}

/* AES-GCM with either ESN, and AES-CBC with a group. */
static IkeSaPayload esp_offers(void)
{
    return (IkeSaPayload){
        .n_proposals = 2,
        .proposals =
            {{
                 .number = 1,
                 .protocol = IKE_PROTOCOL_ESP,
                 .spi_size = 4,
                 .spi = 0x1001,
                 .n_transforms = 4,
                 .transforms =
                     {
                         {.type = IKE_TRANSFORM_ENCR, .id = IKE_ENCR_AES_GCM_16, .key_length = 128},
                         {.type = IKE_TRANSFORM_ESN, .id = IKE_ESN_YES},
                         {.type = IKE_TRANSFORM_ESN, .id = 2},
                         {.type = IKE_TRANSFORM_PRF, .id = IKE_PRF_HMAC_SHA2_256},
                     },
             },
             {
                 .number = 2,
                 .protocol = IKE_PROTOCOL_ESP,
                 .spi_size = 4,
                 .spi = 0x1002,
                 .n_transforms = 4,
                 .transforms =
                     {
                         {.type = IKE_TRANSFORM_ENCR, .id = IKE_ENCR_AES_CBC, .key_length = 256},
                         {.type = IKE_TRANSFORM_INTEG, .id = IKE_INTEG_HMAC_SHA2_256_128},
                         {.type = IKE_TRANSFORM_KE, .id = IKE_GROUP_ECP_256},
                         {.type = IKE_TRANSFORM_ESN, .id = IKE_ESN_NO},
                     },
             }},
    };
}

/* The first offer's cipher and ESN. */
static IkeSaPayload esp_answer(void)
{
    IkeSaPayload answer = esp_offers();

    answer.n_proposals = 1;
    answer.proposals[0].n_transforms = 2;
    return answer;
}

static void assert_esp_selection(const IkeSaPayload *chosen, int expected)
{
    const IkeSaPayload offered = esp_offers();
    EspSuite suite = {0};

    assert_int_equal(esp_suite_select(&offered, chosen, &suite), expected);
    if (expected != 0)
        assert_null(suite.cipher);
}

static void an_esp_answer_is_taken_by_the_number_of_its_offer(void **state)
{
    (void)state;
    const IkeSaPayload offered = esp_offers();
    IkeSaPayload chosen = esp_answer();
    char name[SUITE_NAME_SIZE];
    EspSuite suite;

    assert_int_equal(esp_suite_select(&offered, &chosen, &suite), 0);
    esp_suite_name(&suite, name);
    assert_string_equal(name, "AES_GCM_16_128/ESN");
    assert_ptr_equal(suite_offer_find(&offered, &chosen.proposals[0]), &offered.proposals[0]);

    chosen.proposals[0] = offered.proposals[1];
    assert_int_equal(esp_suite_select(&offered, &chosen, &suite), 0);
    esp_suite_name(&suite, name);
    assert_string_equal(name, "AES_CBC_256/HMAC_SHA2_256_128/ECP_256/NO_ESN");
    assert_ptr_equal(suite_offer_find(&offered, &chosen.proposals[0]), &offered.proposals[1]);

    chosen.proposals[0].number = 3;
    assert_null(suite_offer_find(&offered, &chosen.proposals[0]));
}

static void an_esp_answer_of_no_one_choice_is_ambiguous(void **state)
{
    (void)state;
    IkeSaPayload chosen = esp_answer();

    chosen.proposals[0].n_transforms = 3; /* two ESN */
    assert_esp_selection(&chosen, SUITE_E_AMBIGUOUS);
    chosen.proposals[0].n_transforms = 1; /* none */
    assert_esp_selection(&chosen, SUITE_E_AMBIGUOUS);
    chosen = esp_answer();
    chosen.proposals[0].transforms[0] = chosen.proposals[0].transforms[3]; /* no ENCR */
    assert_esp_selection(&chosen, SUITE_E_AMBIGUOUS);
    chosen = esp_answer();
    chosen.n_proposals = 2;
    assert_esp_selection(&chosen, SUITE_E_AMBIGUOUS);
}

static void an_esp_answer_that_was_not_offered_is_refused(void **state)
{
    (void)state;
    IkeSaPayload chosen = esp_answer();

    chosen.proposals[0].transforms[0].key_length = 256;
    assert_esp_selection(&chosen, SUITE_E_NOT_OFFERED);
    chosen = esp_answer();
    chosen.proposals[0].transforms[1].unknown_attribute = true;
    assert_esp_selection(&chosen, SUITE_E_NOT_OFFERED);
    chosen = esp_answer();
    chosen.proposals[0].number = 2;
    assert_esp_selection(&chosen, SUITE_E_NOT_OFFERED);
    chosen = esp_answer();
    chosen.proposals[0].protocol = IKE_PROTOCOL_AH;
    assert_esp_selection(&chosen, SUITE_E_NOT_OFFERED);
}

static void what_an_esp_sa_has_no_use_for_is_refused_though_it_was_offered(void **state)
{
    (void)state;
    IkeSaPayload offered = esp_offers(), chosen = esp_answer();
    EspSuite suite = {0};

    chosen.proposals[0].transforms[1].id = 2; /* of ESN there are 0 and 1 */
    assert_esp_selection(&chosen, SUITE_E_NOT_ALLOWED);
    chosen = esp_answer();
    chosen.proposals[0].transforms[2] = chosen.proposals[0].transforms[3]; /* a PRF */
    chosen.proposals[0].n_transforms = 3;
    assert_esp_selection(&chosen, SUITE_E_NOT_ALLOWED);
    chosen = esp_answer();
    chosen.proposals[0].protocol = offered.proposals[0].protocol = IKE_PROTOCOL_AH;
    assert_int_equal(esp_suite_select(&offered, &chosen, &suite), SUITE_E_NOT_ALLOWED);
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "--print") == 0) {
        profile_print(stdout);
        return 0;
    }
    if (argc != 2) {
        fprintf(stderr, "Usage: %s PROFILE.txt, or --print to write a new one.\n", argv[0]);
        return 2;
    }

    const struct CMUnitTest tests[] = {
        cmocka_unit_test_prestate(the_profile_is_the_committed_one, argv[1]),
        cmocka_unit_test(an_aead_answer_is_taken),
        cmocka_unit_test(a_cbc_answer_with_integ_is_taken),
        cmocka_unit_test(an_answer_of_two_proposals_or_none_is_ambiguous),
        cmocka_unit_test(an_answer_with_two_transforms_of_a_type_or_none_is_ambiguous),
        cmocka_unit_test(an_answer_that_was_not_offered_is_refused),
        cmocka_unit_test(an_offer_outside_the_profile_is_refused_even_if_chosen),
        cmocka_unit_test(cbc_without_integ_is_refused),
        cmocka_unit_test(an_aead_with_integ_is_refused_unless_it_is_none),
        cmocka_unit_test(an_aead_answer_may_say_that_it_has_no_integ),
        cmocka_unit_test(integ_that_was_offered_is_not_left_out),
        cmocka_unit_test(a_transform_type_that_ike_has_no_use_for_is_refused),
        cmocka_unit_test(an_answer_for_another_protocol_is_refused_though_it_was_offered),
        cmocka_unit_test(esp_suites_are_found_by_their_numbers),
        cmocka_unit_test(esp_suites_outside_the_profile_are_refused),
        cmocka_unit_test(an_esp_answer_is_taken_by_the_number_of_its_offer),
        cmocka_unit_test(an_esp_answer_of_no_one_choice_is_ambiguous),
        cmocka_unit_test(an_esp_answer_that_was_not_offered_is_refused),
        cmocka_unit_test(what_an_esp_sa_has_no_use_for_is_refused_though_it_was_offered),
    };

    return cmocka_run_group_tests_name("suite", tests, NULL, NULL);
}
