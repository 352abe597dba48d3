/* The IKE SA that takes another's place: keys and directions by who began, and what it inherits. */
#include "create_fixture.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/hmac.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

enum { HASH_SIZE = 32 };

static Ends ends;

/* What CREATE_CHILD_SA makes of both ends. */
typedef struct Made {
    Exchange *henb, *segw;
    CreateSpec request, response;
} Made;

static Exchange *add_ike_sa(Exchange *exchange, const CreateSpec *spec)
{
    Exchange *made = NULL;

    if (exchange_add_ike_sa(exchange, spec_spi(spec), &made, &ends.reason) != 0)
        fail_msg("AddIkeSa: %s", ends.reason.text);
    return made;
}

static Made rekey(bool henb_begins)
{
    Exchange *from = henb_begins ? ends.henb : ends.segw;
    Exchange *to = henb_begins ? ends.segw : ends.henb;
    Made made = {.request = ike_spec(&ends, from, IKE_GROUP_ECP_256),
                 .response = ike_spec(&ends, to, IKE_GROUP_ECP_256)};

    create_both(&ends, from, &made.request, &made.response);
    made.henb = add_ike_sa(ends.henb, henb_begins ? &made.request : &made.response);
    made.segw = add_ike_sa(ends.segw, henb_begins ? &made.response : &made.request);
    return made;
}

/* The new ones in the place of the old ones, which are freed. */
static void replace(const Made *made)
{
    exchange_free(ends.henb);
    exchange_free(ends.segw);
    ends.henb = made->henb;
    ends.segw = made->segw;
}

static bool same(const Secret *a, const Secret *b)
{
    return bytes_equal(secret_bytes(a), secret_bytes(b));
}

static void both_ends_have_the_same_keys_whoever_began(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        const Made made = rekey(i == 0);
        const IkeKeys *ours = &made.henb->keys, *theirs = &made.segw->keys;

        assert_true(same(ours->sk_d, theirs->sk_d));
        assert_true(same(ours->sk_ei, theirs->sk_ei));
        assert_true(same(ours->sk_er, theirs->sk_er));
        assert_false(same(ours->sk_ei, ours->sk_er));
        assert_false(same(ours->sk_d, ends.henb->keys.sk_d));
        assert_true(exchange_spi_i(made.henb) == spec_spi(&made.request));
        assert_true(exchange_spi_r(made.henb) == spec_spi(&made.response));
        assert_true(exchange_spi_i(made.segw) == exchange_spi_i(made.henb));
        replace(&made);
    }
}

/* RFC 7296 2.18, computed again: SKEYSEED = prf(SK_d (old), g^ir (new) | Ni | Nr), and the first of
 * prf+(SKEYSEED, Ni | Nr | SPIi | SPIr). */
static void the_keys_are_those_of_the_rfc(void **state)
{
    const CreateSpec request = ike_spec(&ends, ends.segw, IKE_GROUP_ECP_256);
    const CreateSpec response = ike_spec(&ends, ends.henb, IKE_GROUP_ECP_256);
    uint8_t input[HASH_SIZE + 2 * EXCHANGE_NONCE_SIZE + 1], skeyseed[HASH_SIZE], first[HASH_SIZE];
    const Secret *old = ends.henb->keys.sk_d;
    unsigned size = 0;
    Writer writer;
    Made made;

    (void)state;
    create_both(&ends, ends.segw, &request, &response);
    memcpy(input, ends.henb->peer_create.dh_secret->data, HASH_SIZE);
    memcpy(input + HASH_SIZE, request.nonce, EXCHANGE_NONCE_SIZE);
    memcpy(input + HASH_SIZE + EXCHANGE_NONCE_SIZE, response.nonce, EXCHANGE_NONCE_SIZE);
    assert_non_null(
        HMAC(EVP_sha256(), old->data, (int)old->size, input, sizeof(input) - 1, skeyseed, &size));
    writer_init(&writer, input, sizeof(input));
    writer_bytes(&writer, BYTES_OF(request.nonce));
    writer_bytes(&writer, BYTES_OF(response.nonce));
    writer_u64(&writer, spec_spi(&request));
    writer_u64(&writer, spec_spi(&response));
    writer_u8(&writer, 1);
    assert_non_null(
        HMAC(EVP_sha256(), skeyseed, sizeof(skeyseed), input, writer.size, first, &size));
    made =
        (Made){.henb = add_ike_sa(ends.henb, &response), .segw = add_ike_sa(ends.segw, &request)};
    assert_memory_equal(made.henb->keys.sk_d->data, first, HASH_SIZE);
    replace(&made);
}

/* ---- what it is ---- */

static void the_new_ike_sa_is_verified_with_the_peer_of_before(void **state)
{
    const KeptMessage shown = {.there = true, .first = IKE_PAYLOAD_IDR};
    (void)state;
    assert_int_equal(evidence_new(&shown, &ends.henb->evidence), 0);
    ends.henb->peer_rsa_pkcs1 = true;
    const Made made = rekey(true);

    assert_ptr_equal(made.henb->evidence, ends.henb->evidence); /* to be judged again by */
    assert_int_equal(made.henb->evidence->n_references, 2);
    assert_int_equal(exchange_state(made.henb), EXCHANGE_VERIFIED);
    assert_string_equal(exchange_peer_identity(made.henb), "segw.example.org");
    assert_int_equal(exchange_peer_expires(made.henb), 12345);
    assert_true(verify_path_equal(&made.henb->peer_path, &ends.henb->peer_path));
    assert_true(made.henb->peer_rsa_pkcs1);
    assert_string_equal(exchange_suite_name(made.henb), "AES_GCM_16_128/PRF_HMAC_SHA2_256/ECP_256");
    assert_int_equal(exchange_state(ends.henb), EXCHANGE_VERIFIED);
    replace(&made);
}

static IkeHeader say(Exchange *from, Exchange *to, bool response, int expected)
{
    const PlainMessage message = {.exchange_type = IKE_INFORMATIONAL, .response = response};
    SealedMessage sealed = {0};
    OpenedMessage opened = {0};
    IkeHeader header;
    bool complete = false;
    Bytes datagram;

    assert_int_equal(exchange_protect(from, &message, 1280, &sealed, &ends.reason), 0);
    datagram = (Bytes){sealed.datagrams[0].data, sealed.datagrams[0].size};
    assert_int_equal(ike_header_decode(datagram, &header), 0);
    assert_int_equal(exchange_unprotect(to, datagram, &complete, &opened, &ends.reason), expected);
    opened_message_deinit(&opened);
    sealed_message_deinit(&sealed);
    return header;
}

/* RFC 7296 2.2, 3.1: the flag I is the IKE SA's initiator's, who began the CREATE_CHILD_SA. */
static void directions_and_message_ids_are_those_of_a_new_ike_sa(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        const bool henb_began = i == 0;
        const Made made = rekey(henb_began);
        Exchange *const from[] = {made.henb, made.segw};

        for (uint32_t id = 0; id < 2; id++) {
            for (size_t j = 0; j < ELEMENTS(from); j++) {
                const bool initiator = (j == 0) == henb_began;
                const IkeHeader request = say(from[j], from[1 - j], false, 0);
                const IkeHeader response = say(from[1 - j], from[j], true, 0);

                assert_int_equal(request.message_id, id);
                assert_int_equal(request.flags, initiator ? IKE_FLAG_INITIATOR : 0);
                assert_int_equal(response.message_id, id);
                assert_int_equal(response.flags,
                                 IKE_FLAG_RESPONSE | (initiator ? 0 : IKE_FLAG_INITIATOR));
                assert_true(request.spi_i == spec_spi(&made.request));
            }
        }
        replace(&made);
    }
}

static void messages_of_the_old_ike_sa_are_foreign_to_the_new_one(void **state)
{
    const Made made = rekey(true);

    (void)state;
    (void)say(ends.segw, made.henb, false, EXCHANGE_E_UNEXPECTED);
    (void)say(made.segw, ends.henb, false, EXCHANGE_E_UNEXPECTED);
    replace(&made);
}

static void the_new_ike_sa_fragments_where_the_old_one_did(void **state)
{
    const Made made = rekey(true);

    (void)state;
    assert_true(protection_fragments(made.henb->protection));
    replace(&made);
}

static void the_new_ike_sa_may_be_replaced_in_its_turn(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++) {
        const Made made = rekey(i % 2 == 0);

        replace(&made);
    }
}

/* ---- once, and under its SPI ---- */

static void one_negotiation_makes_one_ike_sa(void **state)
{
    const Made made = rekey(true);
    Exchange *again = NULL;

    (void)state;
    assert_int_equal(exchange_add_ike_sa(ends.henb, spec_spi(&made.request), &again, &ends.reason),
                     EXCHANGE_E_NO_SUCH_IKE_SA);
    assert_int_equal(exchange_add_ike_sa(ends.segw, spec_spi(&made.response), &again, &ends.reason),
                     EXCHANGE_E_NO_SUCH_IKE_SA);
    replace(&made);
}

static void an_spi_that_nothing_was_negotiated_under_is_no_ike_sa(void **state)
{
    const CreateSpec request = ike_spec(&ends, ends.henb, IKE_GROUP_ECP_256);
    const CreateSpec response = ike_spec(&ends, ends.segw, IKE_GROUP_ECP_256);
    const uint64_t wrong[] = {0, spec_spi(&request) ^ 1, spec_spi(&response),
                              exchange_spi_i(ends.henb)};
    Exchange *made = NULL;

    (void)state;
    assert_int_equal(create_send(&ends, ends.henb, &request, false), 0);
    assert_int_equal(exchange_add_ike_sa(ends.henb, spec_spi(&request), &made, &ends.reason),
                     EXCHANGE_E_NO_SUCH_IKE_SA); /* it is not answered */
    assert_int_equal(create_send(&ends, ends.segw, &response, true), 0);
    for (size_t i = 0; i < ELEMENTS(wrong); i++) {
        assert_int_equal(exchange_add_ike_sa(ends.henb, wrong[i], &made, &ends.reason),
                         EXCHANGE_E_NO_SUCH_IKE_SA);
    }
    assert_null(made);
}

static void a_child_sa_is_no_ike_sa_nor_the_other_way(void **state)
{
    const CreateSpec child = child_spec(&ends, ends.henb, IKE_GROUP_ECP_256);
    const CreateSpec to_child = child_spec(&ends, ends.segw, IKE_GROUP_ECP_256);
    const CreateSpec ike = ike_spec(&ends, ends.henb, IKE_GROUP_ECP_256);
    const CreateSpec to_ike = ike_spec(&ends, ends.segw, IKE_GROUP_ECP_256);
    Exchange *made = NULL;

    (void)state;
    create_both(&ends, ends.henb, &child, &to_child);
    assert_int_equal(
        exchange_add_ike_sa(ends.henb, ends.henb->own_create.own.spi, &made, &ends.reason),
        EXCHANGE_E_NO_SUCH_IKE_SA);
    create_both(&ends, ends.henb, &ike, &to_ike);
    assert_int_equal(child_add(&ends, ends.henb, spec_spi(&child)), EXCHANGE_E_NO_SUCH_CHILD);
}

/* ---- what is refused ---- */

static int answer_with(const CreateSpec *request, const CreateSpec *response)
{
    Exchange *made = NULL;
    int r;

    assert_int_equal(create_send(&ends, ends.henb, request, false), 0);
    create_say(&ends, ends.henb, response, true);
    ends.reason.text[0] = '\0';
    r = exchange_add_ike_sa(ends.henb, spec_spi(request), &made, &ends.reason);
    assert_true(r == 0 || strlen(ends.reason.text) > 20);
    assert_true(r == 0 || !made);
    return r;
}

static void add_group(CreateSpec *spec, uint16_t group)
{
    IkeProposal *proposal = &spec->sa.proposals[0];

    proposal->transforms[proposal->n_transforms++] =
        (IkeTransform){.type = IKE_TRANSFORM_KE, .id = group};
}

static void a_response_that_does_not_fit_our_request_makes_no_ike_sa(void **state)
{
    static const char of_both[] = "was chosen, and not both messages have a KE of it";
    static const struct {
        ExchangeError error;
        const char *told;
    } cases[] = {
        {EXCHANGE_E_SUITE_NOT_ALLOWED, ""},
        {EXCHANGE_E_SUITE_NOT_ALLOWED, ""},
        {EXCHANGE_E_MALFORMED, "have no SPIs"},
        {EXCHANGE_E_BAD_KEY_EXCHANGE, of_both},
        {EXCHANGE_E_BAD_KEY_EXCHANGE, of_both},
        {EXCHANGE_E_BAD_KEY_EXCHANGE, "not a valid public value"},
        {EXCHANGE_E_BAD_KEY_EXCHANGE, of_both},
        {EXCHANGE_E_BAD_KEY_EXCHANGE, of_both},
        {EXCHANGE_E_MALFORMED, "has no nonce"},
    };

    (void)state;
    for (size_t i = 0; i < ELEMENTS(cases); i++) {
        CreateSpec request =
            ike_spec(&ends, ends.henb, i == 7 ? IKE_GROUP_NONE : IKE_GROUP_ECP_256);
        CreateSpec response = ike_spec(&ends, ends.segw, IKE_GROUP_ECP_256);
        IkeProposal *proposal = &response.sa.proposals[0];

        switch (i) {
        case 0: /* a suite that was not offered */
            proposal->transforms[0].key_length = 256;
            break;
        case 1: /* without an SPI, as in IKE_SA_INIT */
            proposal->spi_size = 0;
            break;
        case 2:
            proposal->spi = 0;
            break;
        case 3:
            response.omit = IKE_PAYLOAD_KE;
            break;
        case 4:
            response.group = IKE_GROUP_ECP_384;
            break;
        case 5: /* no point of the curve */
            response.ke[5] ^= 1;
            break;
        case 6: /* of another group that we offered, and have no KE of */
            add_group(&request, IKE_GROUP_ECP_384);
            response = ike_spec(&ends, ends.segw, IKE_GROUP_ECP_384);
            break;
        case 7: /* of the one that we offered, without a KE */
            request.sa.proposals[0].transforms[2].id = IKE_GROUP_ECP_256;
            break;
        default:
            response.omit = IKE_PAYLOAD_NONCE;
            break;
        }
        assert_int_equal(answer_with(&request, &response), cases[i].error);
        assert_non_null(strstr(ends.reason.text, cases[i].told));
    }
}

/* What fails, of what AddIkeSa makes (ld --wrap). */
static int seed_result, keys_result, protection_result;

int __real_skeyseed_rekey(const Prf *old_prf, const Secret *sk_d, const Secret *dh_secret,
                          Bytes nonce_i, Bytes nonce_r, Secret **ret);
int __wrap_skeyseed_rekey(const Prf *old_prf, const Secret *sk_d, const Secret *dh_secret,
                          Bytes nonce_i, Bytes nonce_r, Secret **ret);
int __real_ike_keys_derive(const IkeSuite *suite, const Secret *skeyseed, Bytes nonce_i,
                           Bytes nonce_r, uint64_t spi_i, uint64_t spi_r, IkeKeys *ret);
int __wrap_ike_keys_derive(const IkeSuite *suite, const Secret *skeyseed, Bytes nonce_i,
                           Bytes nonce_r, uint64_t spi_i, uint64_t spi_r, IkeKeys *ret);
int __real_protection_new(const IkeSuite *suite, const IkeKeys *keys, const ProtectionTerms *terms,
                          Protection **ret);
int __wrap_protection_new(const IkeSuite *suite, const IkeKeys *keys, const ProtectionTerms *terms,
                          Protection **ret);

int __wrap_skeyseed_rekey(const Prf *old_prf, const Secret *sk_d, const Secret *dh_secret,
                          Bytes nonce_i, Bytes nonce_r, Secret **ret)
{
    return seed_result != 0
               ? seed_result
               : __real_skeyseed_rekey(old_prf, sk_d, dh_secret, nonce_i, nonce_r, ret);
}

int __wrap_ike_keys_derive(const IkeSuite *suite, const Secret *skeyseed, Bytes nonce_i,
                           Bytes nonce_r, uint64_t spi_i, uint64_t spi_r, IkeKeys *ret)
{
    return keys_result != 0
               ? keys_result
               : __real_ike_keys_derive(suite, skeyseed, nonce_i, nonce_r, spi_i, spi_r, ret);
}

int __wrap_protection_new(const IkeSuite *suite, const IkeKeys *keys, const ProtectionTerms *terms,
                          Protection **ret)
{
    return protection_result != 0 ? protection_result
                                  : __real_protection_new(suite, keys, terms, ret);
}

static void an_ike_sa_whose_keys_can_not_be_made_is_none_and_may_be_tried_again(void **state)
{
    int *const results[] = {&seed_result, &keys_result, &protection_result};
    const CreateSpec request = ike_spec(&ends, ends.henb, IKE_GROUP_ECP_256);
    const CreateSpec response = ike_spec(&ends, ends.segw, IKE_GROUP_ECP_256);
    const Exchange *first = ends.context.exchanges;
    Exchange *made = NULL;

    (void)state;
    create_both(&ends, ends.henb, &request, &response);
    for (size_t i = 0; i < ELEMENTS(results); i++) {
        *results[i] = -ENOMEM;
        assert_int_equal(exchange_add_ike_sa(ends.henb, spec_spi(&request), &made, &ends.reason),
                         -ENOMEM);
        *results[i] = 0;
        assert_null(made);
        assert_ptr_equal(ends.context.exchanges, first);
    }
    exchange_free(add_ike_sa(ends.henb, &request));
}

/* RFC 7296 2.10: half of the key size of the prf that is negotiated, too. */
static void a_nonce_is_as_long_as_the_new_prf_needs(void **state)
{
    CreateSpec request = ike_spec(&ends, ends.henb, IKE_GROUP_ECP_256);
    CreateSpec response = ike_spec(&ends, ends.segw, IKE_GROUP_ECP_256);

    (void)state;
    request.sa.proposals[0].transforms[1].id = IKE_PRF_HMAC_SHA2_512;
    response.sa.proposals[0].transforms[1].id = IKE_PRF_HMAC_SHA2_512;
    response.nonce_size = 31;
    assert_int_equal(answer_with(&request, &response), EXCHANGE_E_MALFORMED);
    assert_non_null(strstr(ends.reason.text, "has 31 octets"));
    /* Half of the size is enough. */
    request = ike_spec(&ends, ends.henb, IKE_GROUP_ECP_256);
    response = ike_spec(&ends, ends.segw, IKE_GROUP_ECP_256);
    request.sa.proposals[0].transforms[1].id = IKE_PRF_HMAC_SHA2_512;
    response.sa.proposals[0].transforms[1].id = IKE_PRF_HMAC_SHA2_512;
    assert_int_equal(response.nonce_size, 32);
    assert_int_equal(answer_with(&request, &response), 0);
    exchange_free(ends.context.exchanges);
}

static void an_ike_spi_that_was_not_prepared_is_not_sealed(void **state)
{
    const CreateSpec other = ike_spec(&ends, ends.henb, IKE_GROUP_ECP_256);
    CreateSpec request = ike_spec(&ends, ends.henb, IKE_GROUP_ECP_256);
    const uint64_t prepared = spec_spi(&request);
    const uint64_t wrong[] = {0, prepared ^ 1, spec_spi(&other), exchange_spi_i(ends.henb)};

    (void)state;
    for (size_t i = 0; i < ELEMENTS(wrong); i++) {
        request.sa.proposals[0].spi = wrong[i];
        assert_int_equal(create_send(&ends, ends.henb, &request, false), EXCHANGE_E_UNEXPECTED);
    }
    request.sa.proposals[0].spi = prepared;
    request.sa.proposals[0].spi_size = 0;
    assert_int_equal(create_send(&ends, ends.henb, &request, false), EXCHANGE_E_UNEXPECTED);
}

static void an_ike_sa_without_a_group_or_outside_the_profile_is_not_offered(void **state)
{
    CreateSpec request = ike_spec(&ends, ends.henb, IKE_GROUP_ECP_256);
    IkeTransform *group = &request.sa.proposals[0].transforms[2];

    (void)state;
    group->id = IKE_GROUP_NONE;
    assert_int_equal(create_send(&ends, ends.henb, &request, false), EXCHANGE_E_SUITE_NOT_ALLOWED);
    group->id = 2;
    assert_int_equal(create_send(&ends, ends.henb, &request, false), EXCHANGE_E_SUITE_NOT_ALLOWED);
    group->id = IKE_GROUP_ECP_256;
    request.sa.proposals[0].transforms[1].id = 2; /* PRF_HMAC_SHA1 */
    assert_int_equal(create_send(&ends, ends.henb, &request, false), EXCHANGE_E_SUITE_NOT_ALLOWED);
}

static void an_answer_that_does_not_fit_the_peers_request_is_not_sealed(void **state)
{
    const CreateSpec request = ike_spec(&ends, ends.segw, IKE_GROUP_ECP_256);
    const CreateSpec good = ike_spec(&ends, ends.henb, IKE_GROUP_ECP_256);
    const CreateSpec other_group = ike_spec(&ends, ends.henb, IKE_GROUP_ECP_384);
    CreateSpec response = good;

    (void)state;
    assert_int_equal(create_send(&ends, ends.segw, &request, false), 0);
    response.sa.proposals[0].transforms[0].key_length = 256;
    assert_int_equal(create_send(&ends, ends.henb, &response, true), EXCHANGE_E_SUITE_NOT_ALLOWED);
    assert_int_equal(create_send(&ends, ends.henb, &other_group, true),
                     EXCHANGE_E_SUITE_NOT_ALLOWED);
    assert_int_equal(create_send(&ends, ends.henb, &good, true), 0);
}

/* ---- what it inherits ---- */

static uint64_t add_child(Exchange *from, Exchange *to)
{
    const CreateSpec request = child_spec(&ends, from, IKE_GROUP_NONE);
    const CreateSpec response = child_spec(&ends, to, IKE_GROUP_NONE);

    create_both(&ends, from, &request, &response);
    assert_int_equal(child_add(&ends, to, spec_spi(&response)), 0);
    assert_int_equal(child_add(&ends, from, spec_spi(&request)), 0);
    return spec_spi(&request);
}

static void inherit(Exchange *heir, Exchange *from)
{
    Exchange *before = NULL;

    if (exchange_inherit_children(heir, &before, &ends.reason) != 0)
        fail_msg("InheritChildren: %s", ends.reason.text);
    assert_ptr_equal(before, from);
}

/* So that its SPI is not given out again. */
static bool is_listed(const Child *child)
{
    const Child *one = child->exchange->context->children[child->spi_in % SPI_BUCKETS];

    while (one && one != child)
        one = one->next;
    return one;
}

static void all_children_go_over_with_their_keys(void **state)
{
    enum { DSCPS = 5 };
    ChildStatus children[EXCHANGE_CHILDREN_MAX];
    const uint64_t spis[] = {add_child(ends.henb, ends.segw), add_child(ends.henb, ends.segw)};
    const Secret *const key = child_of(ends.henb, spis[1])->keys.encr_i;
    const Made made = rekey(true);

    (void)state;
    exchange_child_find(ends.henb, (uint32_t)spis[1])->dscps = DSCPS;
    inherit(made.henb, ends.henb);
    assert_int_equal(exchange_children(ends.henb, children), 0);
    assert_int_equal(exchange_children(made.henb, children), 2);
    assert_int_equal(children[0].dscps, 0);
    assert_int_equal(children[1].dscps, DSCPS);
    for (size_t i = 0; i < ELEMENTS(spis); i++) {
        assert_true(exchange_has_child(made.henb, (uint32_t)spis[i]));
        assert_false(exchange_has_child(ends.henb, (uint32_t)spis[i]));
    }
    assert_true(is_listed(child_of(made.henb, spis[0])) && is_listed(child_of(made.henb, spis[1])));
    replace(&made); /* the old one goes without harm to them */
    assert_ptr_equal(child_of(ends.henb, spis[1])->keys.encr_i, key);
    assert_int_equal(exchange_children(ends.henb, children), 2);
    assert_int_equal(child_use(&ends, ends.henb, spis[0]), 0);
    assert_int_equal(exchange_remove_child(ends.henb, (uint32_t)spis[0], &ends.reason), 0);
}

static void transport_and_addresses_go_over(void **state)
{
    const Made made = rekey(false);
    Transport *transport = malloc(sizeof(*transport));

    (void)state;
    assert_non_null(transport);
    *transport = (Transport){.ike_fd = -1, .esp_fd = -1};
    ends.henb->transport = transport;
    ends.henb->nat = true;
    ends.henb->remote.ss_family = AF_INET6;
    ends.henb->n_addresses = 1;
    ends.henb->addresses[0] = (InnerAddress){4, 32, {10, 0, 0, 2}};
    inherit(made.henb, ends.henb);
    assert_null(ends.henb->transport);
    assert_ptr_equal(made.henb->transport, transport); /* the data plane knows it by its place */
    assert_true(made.henb->nat);
    assert_int_equal(made.henb->remote.ss_family, AF_INET6);
    assert_int_equal(made.henb->n_addresses, 1);
    assert_int_equal(made.henb->addresses[0].octets[3], 2);
    replace(&made);
}

static void the_children_are_inherited_once(void **state)
{
    const Made made = rekey(true);
    Exchange *before = NULL;

    (void)state;
    inherit(made.henb, ends.henb);
    assert_int_equal(exchange_state(ends.henb), EXCHANGE_REPLACED);
    assert_int_equal(exchange_inherit_children(made.henb, &before, &ends.reason),
                     EXCHANGE_E_WRONG_STATE);
    assert_int_equal(exchange_inherit_children(ends.henb, &before, &ends.reason),
                     EXCHANGE_E_WRONG_STATE);
    replace(&made);
}

/* Though the one that it was made from is there, with all that it holds. */
static void nobody_inherits_who_has_been_inherited_from(void **state)
{
    const Made made = rekey(true);
    Exchange *heir = made.henb, *before = NULL;
    Exchange *old = ends.henb;

    (void)state;
    heir->state = EXCHANGE_REPLACED;
    assert_int_equal(exchange_inherit_children(heir, &before, &ends.reason),
                     EXCHANGE_E_WRONG_STATE);
    assert_non_null(strstr(ends.reason.text, "another exchange has taken"));
    assert_null(before);
    assert_int_equal(exchange_state(old), EXCHANGE_VERIFIED);
    replace(&made);
}

/* RFC 7296 2.25.2: both may have begun; one of the new ones is closed. */
static void of_two_new_ike_sas_one_inherits(void **state)
{
    const Made first = rekey(true), second = rekey(false);
    Exchange *before = NULL;

    (void)state;
    (void)add_child(ends.henb, ends.segw);
    inherit(second.henb, ends.henb);
    assert_int_equal(exchange_inherit_children(first.henb, &before, &ends.reason),
                     EXCHANGE_E_WRONG_STATE);
    exchange_free(first.henb);
    exchange_free(first.segw);
    replace(&second);
    assert_int_equal(exchange_state(ends.henb), EXCHANGE_VERIFIED);
}

static void nobody_inherits_from_what_is_closed(void **state)
{
    const Made made = rekey(true);
    Exchange *before = NULL;

    (void)state;
    replace(&made);
    assert_int_equal(exchange_inherit_children(ends.henb, &before, &ends.reason),
                     EXCHANGE_E_WRONG_STATE);
    assert_non_null(strstr(ends.reason.text, "closed"));
}

static void an_exchange_of_ike_auth_inherits_nothing(void **state)
{
    Exchange *before = NULL;

    (void)state;
    assert_int_equal(exchange_inherit_children(ends.henb, &before, &ends.reason),
                     EXCHANGE_E_WRONG_STATE);
}

static void children_find_room_or_stay(void **state)
{
    const uint64_t child = add_child(ends.henb, ends.segw);
    const Made made = rekey(true);
    uint32_t spi = 0;
    Exchange *before = NULL;

    (void)state;
    for (int i = 0; i < EXCHANGE_CHILDREN_MAX; i++)
        assert_int_equal(exchange_allocate_spi(made.henb, &spi, &ends.reason), 0);
    assert_int_equal(exchange_inherit_children(made.henb, &before, &ends.reason),
                     EXCHANGE_E_TOO_MANY_CHILDREN);
    assert_true(exchange_has_child(ends.henb, (uint32_t)child));
    assert_int_equal(exchange_state(ends.henb), EXCHANGE_VERIFIED);
    assert_int_equal(exchange_remove_child(made.henb, spi, &ends.reason), 0);
    inherit(made.henb, ends.henb);
    replace(&made);
}

static void a_child_that_is_being_added_stays_where_it_is(void **state)
{
    const uint64_t child = add_child(ends.henb, ends.segw);
    const Made made = rekey(true);
    Child *adding = exchange_child_find(ends.henb, (uint32_t)child);
    Exchange *before = NULL;

    (void)state;
    adding->added = wait_forever; /* as before the data plane's answer */
    assert_int_equal(exchange_inherit_children(made.henb, &before, &ends.reason),
                     EXCHANGE_E_WRONG_STATE);
    assert_non_null(strstr(ends.reason.text, "AddChild"));
    adding->added = NULL;
    inherit(made.henb, ends.henb);
    replace(&made);
}

static void children_are_made_under_the_new_ike_sa(void **state)
{
    const Made made = rekey(false);

    (void)state;
    inherit(made.henb, ends.henb);
    inherit(made.segw, ends.segw);
    replace(&made);
    (void)add_child(ends.segw, ends.henb);
    (void)add_child(ends.henb, ends.segw);
}

static void a_replaced_exchange_negotiates_nothing_more(void **state)
{
    const Made made = rekey(true);
    const CreateSpec request = child_spec(&ends, ends.segw, IKE_GROUP_NONE);
    const CreateSpec response = child_spec(&ends, ends.henb, IKE_GROUP_NONE);
    const CreateSpec refusal = {.notify = IKE_NOTIFY_TEMPORARY_FAILURE};

    (void)state;
    inherit(made.henb, ends.henb);
    assert_int_equal(create_send(&ends, ends.segw, &request, false), 0);
    assert_int_equal(create_send(&ends, ends.henb, &response, true), EXCHANGE_E_UNEXPECTED);
    assert_int_equal(create_send(&ends, ends.henb, &refusal, true), 0);
    replace(&made);
}

static void what_is_over_leaves_nothing_in_the_secure_heap(void **state)
{
    (void)state;
    for (int round = 0; round < 2; round++) { /* the first lets OpenSSL take what it keeps */
        const size_t used = CRYPTO_secure_used();
        const Made made = rekey(true);

        assert_true(CRYPTO_secure_used() > used);
        exchange_free(made.henb);
        exchange_free(made.segw);
        if (round > 0)
            assert_int_equal(CRYPTO_secure_used(), used);
    }
}

#define ENDS(test)                                                                                 \
    cmocka_unit_test_prestate_setup_teardown(test, ends_test_init, ends_test_deinit, &ends)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ENDS(both_ends_have_the_same_keys_whoever_began),
        ENDS(the_keys_are_those_of_the_rfc),
        ENDS(the_new_ike_sa_is_verified_with_the_peer_of_before),
        ENDS(directions_and_message_ids_are_those_of_a_new_ike_sa),
        ENDS(messages_of_the_old_ike_sa_are_foreign_to_the_new_one),
        ENDS(the_new_ike_sa_fragments_where_the_old_one_did),
        ENDS(the_new_ike_sa_may_be_replaced_in_its_turn),
        ENDS(one_negotiation_makes_one_ike_sa),
        ENDS(an_spi_that_nothing_was_negotiated_under_is_no_ike_sa),
        ENDS(a_child_sa_is_no_ike_sa_nor_the_other_way),
        ENDS(a_response_that_does_not_fit_our_request_makes_no_ike_sa),
        ENDS(an_ike_sa_whose_keys_can_not_be_made_is_none_and_may_be_tried_again),
        ENDS(a_nonce_is_as_long_as_the_new_prf_needs),
        ENDS(an_ike_spi_that_was_not_prepared_is_not_sealed),
        ENDS(an_ike_sa_without_a_group_or_outside_the_profile_is_not_offered),
        ENDS(an_answer_that_does_not_fit_the_peers_request_is_not_sealed),
        ENDS(all_children_go_over_with_their_keys),
        ENDS(transport_and_addresses_go_over),
        ENDS(the_children_are_inherited_once),
        ENDS(nobody_inherits_who_has_been_inherited_from),
        ENDS(of_two_new_ike_sas_one_inherits),
        ENDS(nobody_inherits_from_what_is_closed),
        ENDS(an_exchange_of_ike_auth_inherits_nothing),
        ENDS(children_find_room_or_stay),
        ENDS(a_child_that_is_being_added_stays_where_it_is),
        ENDS(children_are_made_under_the_new_ike_sa),
        ENDS(a_replaced_exchange_negotiates_nothing_more),
        ENDS(what_is_over_leaves_nothing_in_the_secure_heap),
    };

    return cmocka_run_group_tests(tests, ends_group_init, NULL);
}
