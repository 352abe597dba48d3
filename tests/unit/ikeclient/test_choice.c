/* From a peer's proposals one is chosen by the RFC, with all that a peer may put into them. */
#include "ikeclient/proposals.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static char problem[PROPOSALS_PROBLEM_SIZE];

static IkeSaPayload offer_of(const char *text, uint8_t protocol)
{
    IkeSaPayload sa;

    assert_int_equal(proposals_parse(text, protocol, &sa, problem), 0);
    for (size_t i = 0; i < sa.n_proposals; i++) {
        sa.proposals[i].spi_size = protocol == IKE_PROTOCOL_ESP ? 4 : 8;
        sa.proposals[i].spi = 0x1234;
    }
    return sa;
}

static IkeSaPayload ike(const char *text)
{
    return offer_of(text, IKE_PROTOCOL_IKE);
}

static IkeSaPayload esp(const char *text)
{
    return offer_of(text, IKE_PROTOCOL_ESP);
}

static void add(IkeSaPayload *sa, uint8_t type, uint16_t id)
{
    IkeProposal *proposal = &sa->proposals[0];

    proposal->transforms[proposal->n_transforms++] = (IkeTransform){.type = type, .id = id};
}

static IkeSaPayload esp_with(const char *text, Pfs pfs)
{
    const IkeSaPayload groups = ike("aes128gcm16-prfsha256-ecp256-ecp384");
    IkeSaPayload sa = esp(text);

    proposals_add_groups(&sa, &groups, IKE_GROUP_ECP_256, pfs);
    return sa;
}

static bool has(const IkeProposal *proposal, uint8_t type, uint16_t id)
{
    for (size_t i = 0; i < proposal->n_transforms; i++) {
        if (proposal->transforms[i].type == type && proposal->transforms[i].id == id)
            return true;
    }
    return false;
}

static void our_order_counts_and_the_number_is_the_peers(void **state)
{
    const IkeSaPayload ours = ike("aes256gcm16-prfsha384-ecp384, aes128gcm16-prfsha256-ecp256");
    const IkeSaPayload theirs = ike("aes128gcm16-prfsha256-ecp256, aes256gcm16-prfsha384-ecp384");
    IkeProposal chosen;
    char name[IKE_SUITE_NAME_SIZE];
    (void)state;

    assert_int_equal(proposals_choose(&ours, &theirs, IKE_GROUP_ECP_384, &chosen), 0);
    assert_int_equal(chosen.number, 2);
    assert_int_equal(chosen.spi, 0x1234);
    assert_int_equal(chosen.n_transforms, 3);
    ike_choice_name(&chosen, name);
    assert_string_equal(name, "AES_GCM_16_256/PRF_HMAC_SHA2_384/ECP_384");
}

static void what_fits_the_ke_is_better_than_what_is_first(void **state)
{
    const IkeSaPayload ours = ike("aes256gcm16-prfsha384-ecp384, aes128gcm16-prfsha256-ecp256");
    IkeProposal chosen;
    (void)state;

    assert_int_equal(proposals_choose(&ours, &ours, IKE_GROUP_ECP_256, &chosen), 0);
    assert_int_equal(proposal_group(&chosen), IKE_GROUP_ECP_256);
}

static void a_ke_that_nobody_wants_leaves_the_group_to_us(void **state)
{
    const IkeSaPayload ours = ike("aes128gcm16-prfsha256-ecp384-ecp256");
    IkeProposal chosen;
    (void)state;

    assert_int_equal(proposals_choose(&ours, &ours, IKE_GROUP_MODP_2048, &chosen), 0);
    assert_int_equal(proposal_group(&chosen), IKE_GROUP_ECP_384);
}

static void integrity_of_aes_cbc_is_part_of_the_choice(void **state)
{
    const IkeSaPayload ours = ike("aes128-sha256-ecp256");
    IkeProposal chosen;
    char name[IKE_SUITE_NAME_SIZE];
    (void)state;

    assert_int_equal(proposals_choose(&ours, &ours, IKE_GROUP_ECP_256, &chosen), 0);
    ike_choice_name(&chosen, name);
    assert_string_equal(name, "AES_CBC_128/HMAC_SHA2_256_128/PRF_HMAC_SHA2_256/ECP_256");
}

static void nothing_fits_another_cipher_protocol_or_key_length(void **state)
{
    const IkeSaPayload ours = esp("aes128gcm16"), other = esp("aes256gcm16");
    IkeSaPayload odd = ours;
    IkeProposal chosen;
    (void)state;

    assert_int_equal(proposals_choose(&ours, &other, 0, &chosen), -ENOENT);
    odd.proposals[0].protocol = IKE_PROTOCOL_AH;
    assert_int_equal(proposals_choose(&ours, &odd, 0, &chosen), -ENOENT);
    odd = ours;
    odd.proposals[0].transforms[0].unknown_attribute = true;
    assert_int_equal(proposals_choose(&ours, &odd, 0, &chosen), -ENOENT);
    odd = ours;
    odd.proposals[0].n_transforms = 1; /* without ESN, which must be there */
    assert_int_equal(proposals_choose(&ours, &odd, 0, &chosen), -ENOENT);
}

static void none_is_chosen_of_what_we_do_not_have(void **state)
{
    enum { ADDITIONAL_KE = 6 }; /* RFC 9370 */
    const IkeSaPayload ours = esp("aes128gcm16");
    IkeSaPayload theirs = ours;
    IkeProposal chosen;
    (void)state;

    add(&theirs, IKE_TRANSFORM_INTEG, IKE_INTEG_NONE);
    add(&theirs, ADDITIONAL_KE, 36);
    assert_int_equal(proposals_choose(&ours, &theirs, 0, &chosen), -ENOENT);
    add(&theirs, ADDITIONAL_KE, 0);
    assert_int_equal(proposals_choose(&ours, &theirs, 0, &chosen), 0);
    assert_true(has(&chosen, IKE_TRANSFORM_INTEG, IKE_INTEG_NONE));
    assert_true(has(&chosen, ADDITIONAL_KE, 0));
    assert_int_equal(chosen.n_transforms, 4);
}

static void extended_sequence_numbers_are_chosen_as_we_prefer(void **state)
{
    const IkeSaPayload ours = esp("aes128gcm16-esn-noesn"), theirs = esp("aes128gcm16-noesn-esn");
    IkeProposal chosen;
    (void)state;

    assert_int_equal(proposals_choose(&ours, &theirs, 0, &chosen), 0);
    assert_true(esp_choice_of(&chosen).esn);
}

/* What the peer offers of groups, and has a KE of; what is chosen by each of our wishes: a group,
 * IKE_GROUP_NONE, or nothing (-1). */
static void a_child_has_a_key_exchange_as_both_sides_wish(void **state)
{
    enum { N = IKE_GROUP_NONE, A = IKE_GROUP_ECP_256, B = IKE_GROUP_ECP_384, X = 5 };
    static const struct {
        size_t n_groups;
        uint16_t groups[3], ke;
        int chosen[3]; /* by PFS_OPTIONAL, PFS_YES, PFS_NO */
    } rows[] = {
        {0, {0}, N, {N, -1, N}},    {1, {A}, A, {A, A, A}},    {2, {A, N}, A, {A, A, A}},
        {2, {A, N}, N, {N, A, N}}, /* by A it is asked for a KE */
        {2, {B, A}, B, {B, B, B}},  {2, {A, B}, X, {A, A, A}}, {1, {X}, X, {-1, -1, -1}},
        {2, {X, N}, X, {N, -1, N}}, {1, {N}, N, {N, -1, N}},
    };
    (void)state;

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        for (Pfs pfs = PFS_OPTIONAL; pfs <= PFS_NO; pfs++) {
            const IkeSaPayload ours = esp_with("aes128gcm16", pfs);
            IkeSaPayload theirs = esp("aes128gcm16");
            IkeProposal chosen;

            for (size_t j = 0; j < rows[i].n_groups; j++)
                add(&theirs, IKE_TRANSFORM_KE, rows[i].groups[j]);
            int r = proposals_choose(&ours, &theirs, rows[i].ke, &chosen);
            assert_int_equal(r < 0 ? -1 : proposal_group(&chosen), rows[i].chosen[pfs]);
        }
    }
}

/* ---- the peer's choice ---- */

static void accepted(const IkeSaPayload *offer, const IkeProposal *answer, bool good)
{
    const IkeSaPayload sa = {.n_proposals = 1, .proposals = {*answer}};
    EspChoice choice;

    assert_int_equal(proposals_accept_esp(offer, &sa, &choice), good ? 0 : -EBADMSG);
    if (good)
        assert_int_equal(choice.group, proposal_group(answer));
}

static void a_choice_without_a_group_is_taken_where_we_can_do_without(void **state)
{
    IkeSaPayload plain = esp("aes128gcm16"), with = plain, none = plain;
    const IkeSaPayload optional = esp_with("aes128gcm16", PFS_OPTIONAL);
    const IkeSaPayload must = esp_with("aes128gcm16", PFS_YES);
    (void)state;

    add(&with, IKE_TRANSFORM_KE, IKE_GROUP_ECP_384);
    add(&none, IKE_TRANSFORM_KE, IKE_GROUP_NONE);
    accepted(&optional, &plain.proposals[0], true);
    accepted(&optional, &none.proposals[0], true);
    accepted(&optional, &with.proposals[0], true);
    accepted(&must, &plain.proposals[0], false);
    accepted(&must, &none.proposals[0], false);
    accepted(&must, &with.proposals[0], true);
    accepted(&plain, &with.proposals[0], false);
}

static void a_new_ike_sa_has_an_spi_of_eight_octets(void **state)
{
    const IkeSaPayload offer = ike("aes128gcm16-prfsha256-ecp256");
    IkeSaPayload answer = offer;
    IkeProposal chosen;
    (void)state;

    assert_int_equal(proposals_accept_ike(&offer, &answer, &chosen), 0);
    assert_int_equal(chosen.spi, 0x1234);
    answer.proposals[0].spi = 0;
    assert_int_equal(proposals_accept_ike(&offer, &answer, &chosen), -EBADMSG);
    answer.proposals[0].spi = 1;
    answer.proposals[0].spi_size = 4;
    assert_int_equal(proposals_accept_ike(&offer, &answer, &chosen), -EBADMSG);
}

static void the_group_of_a_suite_is_its_last_word(void **state)
{
    (void)state;
    assert_int_equal(proposals_suite_group("AES_GCM_16_128/PRF_HMAC_SHA2_256/ECP_256"),
                     IKE_GROUP_ECP_256);
    assert_int_equal(proposals_suite_group("AES_GCM_16_128"), IKE_GROUP_NONE);
    assert_int_equal(proposals_suite_group("x/y"), IKE_GROUP_NONE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(our_order_counts_and_the_number_is_the_peers),
        cmocka_unit_test(what_fits_the_ke_is_better_than_what_is_first),
        cmocka_unit_test(a_ke_that_nobody_wants_leaves_the_group_to_us),
        cmocka_unit_test(integrity_of_aes_cbc_is_part_of_the_choice),
        cmocka_unit_test(nothing_fits_another_cipher_protocol_or_key_length),
        cmocka_unit_test(none_is_chosen_of_what_we_do_not_have),
        cmocka_unit_test(extended_sequence_numbers_are_chosen_as_we_prefer),
        cmocka_unit_test(a_child_has_a_key_exchange_as_both_sides_wish),
        cmocka_unit_test(a_choice_without_a_group_is_taken_where_we_can_do_without),
        cmocka_unit_test(a_new_ike_sa_has_an_spi_of_eight_octets),
        cmocka_unit_test(the_group_of_a_suite_is_its_last_word),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
