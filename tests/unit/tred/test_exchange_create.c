/* CREATE_CHILD_SA for Child SAs: what is sealed and kept of it, and that both ends, each of which
 * may have begun it, come to the same keys. */
#include "create_fixture.h"

#include "dataplane/dataplane.h"

#include <openssl/crypto.h>
#include <openssl/hmac.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

enum { HASH_SIZE = 32 };

static Ends ends;

/* A Child SA that `from` asks for, on both ends; our SPIs in *ret_from and *ret_to. */
static void add_both(Exchange *from, Exchange *to, uint16_t group, uint64_t *ret_from,
                     uint64_t *ret_to)
{
    const CreateSpec request = child_spec(&ends, from, group);
    const CreateSpec response = child_spec(&ends, to, group);

    create_both(&ends, from, &request, &response);
    assert_int_equal(child_add(&ends, to, spec_spi(&response)), 0);
    assert_int_equal(child_add(&ends, from, spec_spi(&request)), 0);
    *ret_from = spec_spi(&request);
    *ret_to = spec_spi(&response);
}

static bool same(const Secret *a, const Secret *b)
{
    return bytes_equal(secret_bytes(a), secret_bytes(b));
}

static void assert_same_keys(const Child *a, const Child *b)
{
    assert_true(same(a->keys.encr_i, b->keys.encr_i));
    assert_true(same(a->keys.encr_r, b->keys.encr_r));
    assert_false(same(a->keys.encr_i, a->keys.encr_r));
    assert_int_equal(a->spi_out, b->spi_in);
    assert_int_equal(b->spi_out, a->spi_in);
}

/* ---- keys ---- */

static void both_ends_have_the_same_keys_whoever_began_and_with_and_without_a_new_dh(void **state)
{
    static const uint16_t groups[] = {IKE_GROUP_NONE, IKE_GROUP_ECP_256, IKE_GROUP_MODP_2048};

    (void)state;
    for (size_t i = 0; i < ELEMENTS(groups); i++) {
        uint64_t henbs, segws;

        add_both(ends.henb, ends.segw, groups[i], &henbs, &segws);
        assert_same_keys(child_of(ends.henb, henbs), child_of(ends.segw, segws));
        add_both(ends.segw, ends.henb, groups[i], &segws, &henbs);
        assert_same_keys(child_of(ends.henb, henbs), child_of(ends.segw, segws));
    }
}

/* RFC 7296 2.13, written again. */
static void prf_plus(const Secret *key, Bytes seed, uint8_t *ret, size_t blocks)
{
    uint8_t input[HASH_SIZE + 1024];
    size_t before = 0;

    for (size_t i = 0; i < blocks; i++) {
        unsigned size = 0;

        if (i > 0)
            memcpy(input, ret + (i - 1) * HASH_SIZE, HASH_SIZE);
        before = i > 0 ? HASH_SIZE : 0;
        memcpy(input + before, seed.data, seed.size);
        input[before + seed.size] = (uint8_t)(i + 1);
        assert_non_null(HMAC(EVP_sha256(), key->data, (int)key->size, input, before + seed.size + 1,
                             ret + i * HASH_SIZE, &size));
    }
}

/* KEYMAT = prf+(SK_d, g^ir (new) | Ni | Nr): initiator to responder first. */
static void the_keys_are_those_of_the_rfc(void **state)
{
    enum { KEY_SIZE = 16 + 4 };
    const CreateSpec request = child_spec(&ends, ends.segw, IKE_GROUP_ECP_256);
    const CreateSpec response = child_spec(&ends, ends.henb, IKE_GROUP_ECP_256);
    uint8_t seed[HASH_SIZE + 2 * EXCHANGE_NONCE_SIZE], keymat[2 * HASH_SIZE];
    const EspKeys *keys;

    (void)state;
    create_both(&ends, ends.segw, &request, &response);
    assert_non_null(ends.henb->peer_create.dh_secret);
    assert_int_equal(ends.henb->peer_create.dh_secret->size, HASH_SIZE);
    memcpy(seed, ends.henb->peer_create.dh_secret->data, HASH_SIZE);
    memcpy(seed + HASH_SIZE, request.nonce, EXCHANGE_NONCE_SIZE);
    memcpy(seed + HASH_SIZE + EXCHANGE_NONCE_SIZE, response.nonce, EXCHANGE_NONCE_SIZE);
    prf_plus(ends.henb->keys.sk_d, BYTES_OF(seed), keymat, 2);
    assert_int_equal(child_add(&ends, ends.henb, spec_spi(&response)), 0);
    keys = &child_of(ends.henb, spec_spi(&response))->keys;
    assert_memory_equal(keys->encr_i->data, keymat, KEY_SIZE);
    assert_memory_equal(keys->encr_r->data, keymat + KEY_SIZE, KEY_SIZE);
}

static void a_second_child_has_other_keys(void **state)
{
    uint64_t henbs[2], segws[2];

    (void)state;
    for (int i = 0; i < 2; i++)
        add_both(ends.henb, ends.segw, IKE_GROUP_NONE, &henbs[i], &segws[i]);
    assert_false(same(child_of(ends.henb, henbs[0])->keys.encr_i,
                      child_of(ends.henb, henbs[1])->keys.encr_i));
}

static void the_keys_of_one_create_are_handed_out_once(void **state)
{
    uint64_t henbs, segws;

    (void)state;
    add_both(ends.henb, ends.segw, IKE_GROUP_ECP_256, &henbs, &segws);
    assert_int_equal(child_add(&ends, ends.henb, henbs), EXCHANGE_E_KEYS_USED);
    assert_int_equal(exchange_remove_child(ends.henb, (uint32_t)henbs, &ends.reason), 0);
    assert_int_equal(child_add(&ends, ends.henb, henbs), EXCHANGE_E_NO_SUCH_CHILD);
    assert_int_equal(child_add(&ends, ends.segw, segws), EXCHANGE_E_KEYS_USED);
}

static void secrets_go_when_they_are_used(void **state)
{
    size_t used, kept;
    uint64_t henbs, segws;

    (void)state;
    for (int round = 0; round < 2; round++) { /* the first lets OpenSSL take what it keeps */
        used = CRYPTO_secure_used();
        add_both(ends.henb, ends.segw, IKE_GROUP_ECP_256, &henbs, &segws);
        kept = CRYPTO_secure_used();
        assert_int_equal(exchange_remove_child(ends.henb, (uint32_t)henbs, &ends.reason), 0);
        assert_int_equal(exchange_remove_child(ends.segw, (uint32_t)segws, &ends.reason), 0);
        assert_true(kept > used); /* the ESP keys, which no data plane has taken */
        if (round > 0)
            assert_int_equal(CRYPTO_secure_used(), used);
    }
    assert_null(ends.henb->own_create.own.dh);
    assert_null(ends.henb->own_create.request.payloads.data);
    assert_null(ends.segw->peer_create.own.dh);
    assert_null(ends.segw->peer_create.dh_secret);
}

/* ---- what is prepared ---- */

static void each_nonce_and_ke_is_made_anew(void **state)
{
    uint8_t nonces[2][EXCHANGE_NONCE_SIZE], kes[2][DH_PUBLIC_MAX];
    uint64_t spis[2];

    (void)state;
    for (int i = 0; i < 2; i++) {
        CreateOffer offer;

        assert_int_equal(
            exchange_prepare_create(ends.henb, IKE_GROUP_ECP_256, &offer, &ends.reason), 0);
        assert_int_equal(offer.nonce.size, 32);
        assert_int_equal(offer.ke.size, 64);
        memcpy(nonces[i], offer.nonce.data, offer.nonce.size);
        memcpy(kes[i], offer.ke.data, offer.ke.size);
        spis[i] = offer.spi;
        assert_true(offer.spi != 0);
    }
    assert_memory_not_equal(nonces[0], nonces[1], 32);
    assert_memory_not_equal(kes[0], kes[1], 64);
    assert_true(spis[0] != spis[1]);
}

static void a_group_outside_the_profile_is_not_prepared(void **state)
{
    CreateOffer offer;

    (void)state;
    assert_int_equal(exchange_prepare_create(ends.henb, 2, &offer, &ends.reason),
                     EXCHANGE_E_GROUP_NOT_SUPPORTED);
    assert_int_equal(ends.henb->n_prepared, 0);
}

static void of_five_that_are_prepared_the_oldest_is_wiped(void **state)
{
    CreateSpec specs[EXCHANGE_PREPARED_MAX + 1];

    (void)state;
    for (size_t i = 0; i < ELEMENTS(specs); i++)
        specs[i] = child_spec(&ends, ends.henb, IKE_GROUP_ECP_256);
    assert_int_equal(ends.henb->n_prepared, EXCHANGE_PREPARED_MAX);
    assert_int_equal(create_send(&ends, ends.henb, &specs[0], false), EXCHANGE_E_UNEXPECTED);
    assert_int_equal(create_send(&ends, ends.henb, &specs[1], false), 0);
    assert_int_equal(ends.henb->n_prepared, EXCHANGE_PREPARED_MAX - 1);
}

/* ---- what is sealed ---- */

static void assert_not_sealed(const CreateSpec *spec, bool response, ExchangeError error)
{
    const size_t prepared = ends.henb->n_prepared;

    ends.reason.text[0] = '\0';
    assert_int_equal(create_send(&ends, ends.henb, spec, response), error);
    assert_true(strlen(ends.reason.text) > 20);
    assert_int_equal(ends.henb->n_prepared, prepared);
}

static void a_request_is_made_of_what_was_prepared(void **state)
{
    const CreateSpec good = child_spec(&ends, ends.henb, IKE_GROUP_ECP_256);
    CreateSpec spec = good;

    (void)state;
    spec.nonce[0] ^= 1;
    assert_not_sealed(&spec, false, EXCHANGE_E_UNEXPECTED);
    spec = good;
    spec.nonce_size = 16;
    assert_not_sealed(&spec, false, EXCHANGE_E_UNEXPECTED);
    spec = good;
    spec.ke[0] ^= 1;
    assert_not_sealed(&spec, false, EXCHANGE_E_UNEXPECTED);
    spec = good;
    spec.group = IKE_GROUP_ECP_384;
    assert_not_sealed(&spec, false, EXCHANGE_E_UNEXPECTED);
    spec = good;
    spec.omit = IKE_PAYLOAD_KE;
    assert_not_sealed(&spec, false, EXCHANGE_E_UNEXPECTED);
    spec = good;
    spec.omit = IKE_PAYLOAD_NONCE;
    assert_not_sealed(&spec, false, EXCHANGE_E_UNEXPECTED);
    spec = good;
    spec.omit = IKE_PAYLOAD_SA;
    assert_not_sealed(&spec, false, EXCHANGE_E_UNEXPECTED);
    assert_int_equal(create_send(&ends, ends.henb, &good, false), 0);
}

static void a_ke_where_none_was_prepared_is_not_sealed(void **state)
{
    const CreateSpec with = child_spec(&ends, ends.henb, IKE_GROUP_ECP_256);
    CreateSpec without = child_spec(&ends, ends.henb, IKE_GROUP_NONE);

    (void)state;
    without.group = IKE_GROUP_ECP_256;
    memcpy(without.ke, with.ke, with.ke_size);
    without.ke_size = with.ke_size;
    assert_not_sealed(&without, false, EXCHANGE_E_UNEXPECTED);
}

static void a_nonce_is_used_in_one_message(void **state)
{
    const CreateSpec first = child_spec(&ends, ends.henb, IKE_GROUP_NONE);
    const CreateSpec response = child_spec(&ends, ends.segw, IKE_GROUP_NONE);
    CreateSpec second = child_spec(&ends, ends.henb, IKE_GROUP_NONE);

    (void)state;
    create_both(&ends, ends.henb, &first, &response);
    memcpy(second.nonce, first.nonce, sizeof(second.nonce));
    assert_not_sealed(&second, false, EXCHANGE_E_UNEXPECTED);
}

static void another_exchanges_nonce_is_not_sealed(void **state)
{
    const CreateSpec others = child_spec(&ends, ends.segw, IKE_GROUP_NONE);
    CreateSpec spec = child_spec(&ends, ends.henb, IKE_GROUP_NONE);

    (void)state;
    memcpy(spec.nonce, others.nonce, sizeof(spec.nonce));
    assert_not_sealed(&spec, false, EXCHANGE_E_UNEXPECTED);
}

static void the_spi_is_one_that_was_given_out_and_has_no_child(void **state)
{
    uint64_t henbs, segws;
    CreateSpec spec = child_spec(&ends, ends.henb, IKE_GROUP_NONE);
    const uint64_t given = spec_spi(&spec);
    const CreateSpec others = child_spec(&ends, ends.segw, IKE_GROUP_NONE);

    (void)state;
    add_both(ends.henb, ends.segw, IKE_GROUP_NONE, &henbs, &segws);
    const uint64_t wrong[] = {0, 1, 255, given ^ 1, henbs, spec_spi(&others)};
    for (size_t i = 0; i < ELEMENTS(wrong); i++) {
        spec.sa.proposals[0].spi = wrong[i];
        assert_not_sealed(&spec, false, EXCHANGE_E_NO_SUCH_CHILD);
    }
    spec.sa.proposals[0].spi = given;
    assert_int_equal(create_send(&ends, ends.henb, &spec, false), 0);
}

static void all_proposals_have_one_protocol_and_one_spi(void **state)
{
    const CreateSpec other = child_spec(&ends, ends.henb, IKE_GROUP_NONE);
    CreateSpec spec = child_spec(&ends, ends.henb, IKE_GROUP_NONE);

    (void)state;
    spec.sa.n_proposals = 2;
    spec.sa.proposals[1] = other.sa.proposals[0];
    spec.sa.proposals[1].number = 2;
    assert_not_sealed(&spec, false, EXCHANGE_E_UNEXPECTED);
    spec.sa.proposals[1].spi = spec.sa.proposals[0].spi;
    spec.sa.proposals[1].protocol = IKE_PROTOCOL_AH;
    assert_not_sealed(&spec, false, EXCHANGE_E_UNEXPECTED);
    spec.sa.proposals[1].protocol = IKE_PROTOCOL_ESP;
    assert_int_equal(create_send(&ends, ends.henb, &spec, false), 0);
}

static void suites_outside_the_profile_are_not_offered(void **state)
{
    static const IkeTransform outside[] = {
        {.type = IKE_TRANSFORM_ENCR, .id = IKE_ENCR_AES_GCM_16, .key_length = 192},
        {.type = IKE_TRANSFORM_ENCR, .id = IKE_ENCR_AES_GCM_16}, /* no key length */
        {.type = IKE_TRANSFORM_ENCR, .id = 11},                  /* NULL */
        {.type = IKE_TRANSFORM_INTEG, .id = 2},                  /* HMAC_SHA1_96 */
        {.type = IKE_TRANSFORM_KE, .id = 2},                     /* MODP_1024 */
        {.type = IKE_TRANSFORM_ESN, .id = 2},
        {.type = IKE_TRANSFORM_PRF, .id = IKE_PRF_HMAC_SHA2_256}, /* none of ESP's */
        {.type = 6, .id = 35},                                    /* an additional key exchange */
    };
    CreateSpec spec = child_spec(&ends, ends.henb, IKE_GROUP_NONE);
    IkeProposal *proposal = &spec.sa.proposals[0];

    (void)state;
    proposal->n_transforms++;
    for (size_t i = 0; i < ELEMENTS(outside); i++) {
        proposal->transforms[proposal->n_transforms - 1] = outside[i];
        assert_not_sealed(&spec, false, EXCHANGE_E_SUITE_NOT_ALLOWED);
    }
    proposal->transforms[proposal->n_transforms - 1] = (IkeTransform){.type = IKE_TRANSFORM_KE};
    assert_int_equal(create_send(&ends, ends.henb, &spec, false), 0);
}

static void extended_sequence_numbers_may_be_offered(void **state)
{
    CreateSpec spec = child_spec(&ends, ends.henb, IKE_GROUP_NONE);
    IkeProposal *proposal = &spec.sa.proposals[0];

    (void)state;
    proposal->transforms[proposal->n_transforms++] =
        (IkeTransform){.type = IKE_TRANSFORM_ESN, .id = IKE_ESN_YES};
    assert_int_equal(create_send(&ends, ends.henb, &spec, false), 0);
}

/* With a cipher that IKE has, too. */
static void ah_is_not_offered(void **state)
{
    CreateSpec spec = child_spec(&ends, ends.henb, IKE_GROUP_NONE);

    (void)state;
    spec.sa.proposals[0].protocol = IKE_PROTOCOL_AH;
    assert_not_sealed(&spec, false, EXCHANGE_E_SUITE_NOT_ALLOWED);
    spec.sa.proposals[0].n_transforms = 1;
    assert_not_sealed(&spec, false, EXCHANGE_E_SUITE_NOT_ALLOWED);
    assert_non_null(strstr(ends.reason.text, "not about protocol 2"));
}

/* An SA payload of so many proposals of AES-GCM-16 128, each with that cipher so often, as no
 * IkeSaPayload has it. */
static Bytes sa_body(uint8_t *buffer, uint64_t spi, unsigned n_proposals, unsigned n_ciphers,
                     bool unknown_attribute)
{
    const size_t cipher = unknown_attribute ? 16 : 12, size = 12 + n_ciphers * cipher + 8;
    Writer writer;
    Bytes bytes;

    writer_init(&writer, buffer, ENDS_MESSAGE_MAX);
    for (unsigned i = 1; i <= n_proposals; i++) {
        writer_u16(&writer, i < n_proposals ? 0x0200 : 0);
        writer_u16(&writer, (uint16_t)size);
        writer_u8(&writer, (uint8_t)i);
        writer_u8(&writer, IKE_PROTOCOL_ESP);
        writer_u8(&writer, 4);
        writer_u8(&writer, (uint8_t)(n_ciphers + 1));
        writer_u32(&writer, (uint32_t)spi);
        for (unsigned j = 0; j < n_ciphers; j++) {
            writer_u16(&writer, 0x0300);
            writer_u16(&writer, (uint16_t)cipher);
            writer_u16(&writer, IKE_TRANSFORM_ENCR << 8);
            writer_u16(&writer, IKE_ENCR_AES_GCM_16);
            writer_u32(&writer, 0x800e0080); /* Key Length */
            if (unknown_attribute)
                writer_u32(&writer, 0x80130001);
        }
        writer_u32(&writer, 8);
        writer_u16(&writer, IKE_TRANSFORM_ESN << 8);
        writer_u16(&writer, IKE_ESN_NO);
    }
    assert_int_equal(writer_finish(&writer, &bytes), 0);
    return bytes;
}

/* What is beyond those that are read could be anything. */
static void what_is_not_all_read_is_not_offered(void **state)
{
    static const struct {
        unsigned n_proposals, n_ciphers;
        bool unknown_attribute;
        const char *told;
    } cases[] = {
        {IKE_PROPOSALS_MAX + 1, 1, false, "has 16 proposals at the most"},
        {1, IKE_TRANSFORMS_MAX, false, "more than 64 transforms"},
        {1, 1, true, "which is not in the profile"},
    };
    CreateSpec spec = child_spec(&ends, ends.henb, IKE_GROUP_NONE);
    uint8_t buffer[ENDS_MESSAGE_MAX];

    (void)state;
    for (size_t i = 0; i < ELEMENTS(cases); i++) {
        spec.sa_body = sa_body(buffer, spec_spi(&spec), cases[i].n_proposals, cases[i].n_ciphers,
                               cases[i].unknown_attribute);
        assert_not_sealed(&spec, false, EXCHANGE_E_SUITE_NOT_ALLOWED);
        assert_non_null(strstr(ends.reason.text, cases[i].told));
    }
    spec.sa_body =
        sa_body(buffer, spec_spi(&spec), IKE_PROPOSALS_MAX, IKE_TRANSFORMS_MAX - 1, false);
    assert_int_equal(create_send(&ends, ends.henb, &spec, false), 0);
}

static void each_message_has_its_name(void **state)
{
    const Exchange *henb = ends.henb;

    (void)state;
    for (int response = 0; response < 2; response++) {
        assert_string_equal(exchange_message_name(henb, &henb->auth, response),
                            response ? "IKE_AUTH response" : "IKE_AUTH request");
        assert_string_equal(exchange_message_name(henb, &henb->own_create, response),
                            response ? "CREATE_CHILD_SA response" : "CREATE_CHILD_SA request");
    }
}

/* The one that could be read is not taken for all of them, nor is none. */
static void selectors_that_can_not_all_be_read_are_refused(void **state)
{
    const CreateSpec response = child_spec(&ends, ends.henb, IKE_GROUP_NONE);

    (void)state;
    for (int i = 0; i < 2; i++) {
        CreateSpec request = child_spec(&ends, ends.segw, IKE_GROUP_NONE);

        if (i == 0) {
            request.ts_r.selectors[0].type = 10; /* of no type that is known */
        } else {
            request.ts_r.selectors[1] = request.ts_r.selectors[0];
            request.ts_r.selectors[1].start_port = 2; /* ends before it starts */
            request.ts_r.selectors[1].end_port = 1;
            request.ts_r.n_selectors = 2;
        }
        create_say(&ends, ends.henb, &request, false);
        assert_not_sealed(&response, true, EXCHANGE_E_MALFORMED);
        assert_int_equal(
            create_send(&ends, ends.henb, &(CreateSpec){.notify = IKE_NOTIFY_INVALID_SYNTAX}, true),
            0);
    }
}

static void a_second_request_waits_and_leaves_the_first_as_it_is(void **state)
{
    const CreateSpec first = child_spec(&ends, ends.henb, IKE_GROUP_ECP_256);
    const CreateSpec second = child_spec(&ends, ends.henb, IKE_GROUP_ECP_256);
    const CreateSpec response = child_spec(&ends, ends.segw, IKE_GROUP_ECP_256);

    (void)state;
    assert_int_equal(create_send(&ends, ends.henb, &first, false), 0);
    assert_not_sealed(&second, false, EXCHANGE_E_REQUEST_PENDING);
    assert_int_equal(create_send(&ends, ends.segw, &response, true), 0);
    assert_int_equal(child_add(&ends, ends.henb, spec_spi(&first)), 0);
    assert_int_equal(create_send(&ends, ends.henb, &second, false), 0);
}

/* ---- responses of ours ---- */

static void a_response_needs_a_request(void **state)
{
    const CreateSpec response = child_spec(&ends, ends.henb, IKE_GROUP_NONE);

    (void)state;
    assert_not_sealed(&response, true, EXCHANGE_E_UNEXPECTED);
}

static void a_response_without_sa_is_an_error_notify(void **state)
{
    const CreateSpec request = child_spec(&ends, ends.segw, IKE_GROUP_NONE);
    CreateSpec refusal = {0};

    (void)state;
    assert_int_equal(create_send(&ends, ends.segw, &request, false), 0);
    assert_not_sealed(&refusal, true, EXCHANGE_E_UNEXPECTED);
    refusal.notify = IKE_NOTIFY_INITIAL_CONTACT;
    assert_not_sealed(&refusal, true, EXCHANGE_E_UNEXPECTED);
    refusal.notify = IKE_NOTIFY_NO_ADDITIONAL_SAS;
    assert_not_sealed(&refusal, false, EXCHANGE_E_UNEXPECTED);
    assert_int_equal(create_send(&ends, ends.henb, &refusal, true), 0);
    assert_null(ends.henb->peer_create.request.payloads.data);
    assert_null(ends.segw->own_create.request.payloads.data);
    assert_int_equal(child_add(&ends, ends.segw, spec_spi(&request)), EXCHANGE_E_NO_SUCH_CHILD);
}

/* Another response, or an error, can be sealed in its place. */
static void a_response_that_does_not_fit_the_request_is_not_sealed(void **state)
{
    const CreateSpec request = child_spec(&ends, ends.segw, IKE_GROUP_ECP_256);
    const CreateSpec good = child_spec(&ends, ends.henb, IKE_GROUP_ECP_256);
    const CreateSpec other_group = child_spec(&ends, ends.henb, IKE_GROUP_ECP_384);
    CreateSpec spec = good;

    (void)state;
    assert_int_equal(create_send(&ends, ends.segw, &request, false), 0);
    spec.sa.proposals[0].transforms[0].key_length = 256;
    assert_not_sealed(&spec, true, EXCHANGE_E_SUITE_NOT_ALLOWED);
    spec = good;
    spec.sa.proposals[0].number = 2;
    assert_not_sealed(&spec, true, EXCHANGE_E_SUITE_NOT_ALLOWED);
    spec = good;
    spec.sa.proposals[0].n_transforms--; /* no KE chosen, and yet there is one */
    assert_not_sealed(&spec, true, EXCHANGE_E_BAD_KEY_EXCHANGE);
    assert_not_sealed(&other_group, true, EXCHANGE_E_SUITE_NOT_ALLOWED);
    spec = good;
    spec.omit = IKE_PAYLOAD_TSR;
    assert_not_sealed(&spec, true, EXCHANGE_E_CHILD_NOT_GRANTED);
    spec = good;
    spec.notify = IKE_NOTIFY_TS_UNACCEPTABLE;
    assert_not_sealed(&spec, true, EXCHANGE_E_CHILD_NOT_GRANTED);
    assert_int_equal(create_send(&ends, ends.henb, &good, true), 0);
}

static void a_request_without_sa_or_nonce_gets_no_child(void **state)
{
    static const struct {
        uint8_t omit;
        ExchangeError error;
    } parts[] = {
        {IKE_PAYLOAD_SA, EXCHANGE_E_CHILD_NOT_GRANTED},
        {IKE_PAYLOAD_TSI, EXCHANGE_E_CHILD_NOT_GRANTED},
        {IKE_PAYLOAD_NONCE, EXCHANGE_E_MALFORMED},
        {IKE_PAYLOAD_KE, EXCHANGE_E_BAD_KEY_EXCHANGE},
    };
    const CreateSpec refusal = {.notify = IKE_NOTIFY_INVALID_SYNTAX};

    (void)state;
    for (size_t i = 0; i < ELEMENTS(parts); i++) {
        CreateSpec request = child_spec(&ends, ends.segw, IKE_GROUP_ECP_256);
        const CreateSpec response = child_spec(&ends, ends.henb, IKE_GROUP_ECP_256);

        request.omit = parts[i].omit;
        create_say(&ends, ends.henb, &request, false);
        assert_not_sealed(&response, true, parts[i].error);
        assert_int_equal(create_send(&ends, ends.henb, &refusal, true), 0);
        assert_int_equal(child_add(&ends, ends.henb, spec_spi(&response)),
                         EXCHANGE_E_NO_SUCH_CHILD);
    }
}

/* One DH for each key pair that was prepared, and paid for: not as many as there are sizes that a
 * message has no room in. */
static void what_g_ir_was_made_of_is_gone_if_nothing_is_sealed(void **state)
{
    const CreateSpec request = child_spec(&ends, ends.segw, IKE_GROUP_ECP_256);
    const CreateSpec response = child_spec(&ends, ends.henb, IKE_GROUP_ECP_256);
    CreateSpec again = child_spec(&ends, ends.henb, IKE_GROUP_ECP_256);

    (void)state;
    assert_int_equal(create_send(&ends, ends.segw, &request, false), 0);
    ends.max_datagram = 40;
    assert_int_equal(create_send(&ends, ends.henb, &response, true), EXCHANGE_E_TOO_LARGE);
    ends.max_datagram = 0;
    assert_int_equal(create_send(&ends, ends.henb, &response, true), EXCHANGE_E_UNEXPECTED);
    assert_int_equal(create_send(&ends, ends.henb, &again, true), 0);
}

/* RFC 7296 2.10: half of the prf's key size; 1.2: a public value must be one. */
static void a_peers_nonce_or_ke_that_is_too_weak_is_refused(void **state)
{
    const CreateSpec response = child_spec(&ends, ends.henb, IKE_GROUP_ECP_256);
    CreateSpec request = child_spec(&ends, ends.segw, IKE_GROUP_ECP_256);

    (void)state;
    ends.henb->suite.prf = prf_find(IKE_PRF_HMAC_SHA2_512);
    request.nonce_size = 31;
    create_say(&ends, ends.henb, &request, false);
    assert_not_sealed(&response, true, EXCHANGE_E_MALFORMED);
    ends.henb->suite.prf = prf_find(IKE_PRF_HMAC_SHA2_256);
    assert_int_equal(
        create_send(&ends, ends.henb, &(CreateSpec){.notify = IKE_NOTIFY_INVALID_SYNTAX}, true), 0);
    request.nonce_size = 32;
    request.ke[0] ^= 1; /* a point that is not on the curve */
    create_say(&ends, ends.henb, &request, false);
    assert_not_sealed(&response, true, EXCHANGE_E_BAD_KEY_EXCHANGE);
}

/* ---- responses of the peer's ---- */

static int answer_with(const CreateSpec *request, const CreateSpec *response)
{
    assert_int_equal(create_send(&ends, ends.henb, request, false), 0);
    create_say(&ends, ends.henb, response, true);
    return child_add(&ends, ends.henb, spec_spi(request));
}

static void a_response_that_does_not_fit_our_request_adds_nothing(void **state)
{
    static const ExchangeError errors[] = {
        EXCHANGE_E_SUITE_NOT_ALLOWED,     EXCHANGE_E_MALFORMED,        EXCHANGE_E_MALFORMED,
        EXCHANGE_E_BAD_KEY_EXCHANGE,      EXCHANGE_E_BAD_KEY_EXCHANGE, EXCHANGE_E_BAD_KEY_EXCHANGE,
        EXCHANGE_E_SELECTORS_NOT_ALLOWED,
    };

    (void)state;
    for (size_t i = 0; i < ELEMENTS(errors); i++) {
        CreateSpec request = child_spec(&ends, ends.henb, IKE_GROUP_ECP_256);
        CreateSpec response = child_spec(&ends, ends.segw, IKE_GROUP_ECP_256);

        switch (i) {
        case 0:
            response.sa.proposals[0].transforms[0].key_length = 256;
            break;
        case 1:
            response.sa.proposals[0].spi = 255;
            break;
        case 2:
            response.omit = IKE_PAYLOAD_NONCE;
            break;
        case 3:
            response.omit = IKE_PAYLOAD_KE;
            break;
        case 4:
            response.group = IKE_GROUP_ECP_384; /* of another group than was chosen */
            break;
        case 5:
            response.ke[5] ^= 1;
            break;
        default:
            request.ts_r.selectors[0].end[0] = 10;
            break;
        }
        ends.reason.text[0] = '\0';
        assert_int_equal(answer_with(&request, &response), errors[i]);
        assert_true(strlen(ends.reason.text) > 20);
        assert_int_equal(
            exchange_remove_child(ends.henb, (uint32_t)spec_spi(&request), &ends.reason), 0);
        assert_int_equal(
            exchange_remove_child(ends.segw, (uint32_t)spec_spi(&response), &ends.reason),
            response.sa.proposals[0].spi == 255 ? EXCHANGE_E_NO_SUCH_CHILD : 0);
    }
}

static void after_invalid_ke_payload_another_request_is_made(void **state)
{
    const CreateSpec first = child_spec(&ends, ends.henb, IKE_GROUP_ECP_256);
    const CreateSpec invalid_ke = {.notify = IKE_NOTIFY_INVALID_KE_PAYLOAD};
    CreateSpec second = child_spec(&ends, ends.henb, IKE_GROUP_ECP_384);
    CreateSpec response = child_spec(&ends, ends.segw, IKE_GROUP_ECP_384);

    (void)state;
    second.sa.proposals[0].spi = first.sa.proposals[0].spi;
    assert_int_equal(answer_with(&first, &invalid_ke), EXCHANGE_E_NO_SUCH_CHILD);
    assert_null(ends.henb->own_create.own.dh);
    assert_int_equal(create_send(&ends, ends.henb, &second, false), 0);
    assert_int_equal(create_send(&ends, ends.segw, &response, true), 0);
    assert_int_equal(child_add(&ends, ends.henb, spec_spi(&second)), 0);
}

/* ---- what both are about ---- */

static void the_peers_selectors_are_held_against_the_policy(void **state)
{
    const CreateSpec request = child_spec(&ends, ends.segw, IKE_GROUP_NONE);
    const CreateSpec response = child_spec(&ends, ends.henb, IKE_GROUP_NONE);
    const IkeTs any = ends.with.allowed_local;
    IkeTs narrow = any;

    (void)state;
    narrow.selectors[0].end[0] = 10;
    assert_int_equal(create_send(&ends, ends.segw, &request, false), 0);
    ends.with.allowed_local = narrow;
    assert_not_sealed(&response, true, EXCHANGE_E_SELECTORS_NOT_ALLOWED);
    assert_non_null(strstr(ends.reason.text, "local"));
    ends.with.allowed_local = any;
    ends.with.allowed_remote = narrow;
    assert_not_sealed(&response, true, EXCHANGE_E_SELECTORS_NOT_ALLOWED);
    assert_non_null(strstr(ends.reason.text, "remote"));
    ends.with.allowed_remote = any;
    assert_int_equal(create_send(&ends, ends.henb, &response, true), 0);
}

/* RFC 7296 2.9: TSi is of who asks, so the peer's is our remote end. */
/* RFC 7296 1.3.1: it is a wish, which our answer declines; what a peer grants is held against ours.
 */
static void
transport_mode_is_declined_where_the_peer_asks_and_refused_where_it_is_granted(void **state)
{
    (void)state;
    CreateSpec request = child_spec(&ends, ends.segw, IKE_GROUP_NONE);
    CreateSpec response = child_spec(&ends, ends.henb, IKE_GROUP_NONE);
    SealedMessage sealed = {0};

    request.notify = IKE_NOTIFY_USE_TRANSPORT_MODE;
    create_say(&ends, ends.henb, &request, false);
    response.notify = IKE_NOTIFY_USE_TRANSPORT_MODE;
    assert_int_equal(create_seal(&ends, ends.henb, &response, true, &sealed),
                     EXCHANGE_E_CHILD_NOT_GRANTED);
    response.notify = 0;
    assert_int_equal(create_seal(&ends, ends.henb, &response, true, &sealed), 0);
    sealed_message_deinit(&sealed);
}

static void the_ends_of_a_child_are_those_of_who_asked(void **state)
{
    CreateSpec request = child_spec(&ends, ends.segw, IKE_GROUP_NONE);
    CreateSpec response = child_spec(&ends, ends.henb, IKE_GROUP_NONE);
    ChildGrant grant;

    (void)state;
    response.ts_i.selectors[0].end[0] = 10;
    create_both(&ends, ends.segw, &request, &response);
    assert_int_equal(exchange_grant_read(ends.henb, &ends.henb->peer_create,
                                         (uint32_t)spec_spi(&response), &grant, &ends.reason),
                     0);
    assert_int_equal(grant.ts_remote.selectors[0].end[0], 10);
    assert_int_equal(grant.ts_local.selectors[0].end[0], 255);
    assert_int_equal(exchange_grant_read(ends.segw, &ends.segw->own_create,
                                         (uint32_t)spec_spi(&request), &grant, &ends.reason),
                     0);
    assert_int_equal(grant.ts_local.selectors[0].end[0], 10);
    assert_int_equal(grant.ts_remote.selectors[0].end[0], 255);
}

static void a_child_has_the_addresses_that_ike_auth_assigned(void **state)
{
    const CreateSpec request = child_spec(&ends, ends.segw, IKE_GROUP_NONE);
    const CreateSpec response = child_spec(&ends, ends.henb, IKE_GROUP_NONE);
    ChildGrant grant;

    (void)state;
    ends.henb->n_addresses = 1;
    ends.henb->addresses[0] = (InnerAddress){4, 32, {10, 0, 0, 2}};
    create_both(&ends, ends.segw, &request, &response);
    assert_int_equal(exchange_grant_read(ends.henb, &ends.henb->peer_create,
                                         (uint32_t)spec_spi(&response), &grant, &ends.reason),
                     0);
    assert_int_equal(grant.n_addresses, 1);
    assert_int_equal(grant.addresses[0].octets[3], 2);
}

/* RFC 7296 2.8: only then it is known that the peer receives. */
static void a_child_by_which_the_peer_replaces_another_is_in_standby_and_no_other(void **state)
{
    uint64_t henbs, segws;
    ChildGrant grant;

    (void)state;
    add_both(ends.henb, ends.segw, IKE_GROUP_NONE, &henbs, &segws);
    for (int i = 0; i < 6; i++) {
        const bool peers = i != 1 && i != 4;
        CreateSpec request = child_spec(&ends, peers ? ends.segw : ends.henb, IKE_GROUP_NONE);
        const CreateSpec response =
            child_spec(&ends, peers ? ends.henb : ends.segw, IKE_GROUP_NONE);
        const Negotiation *pair = peers ? &ends.henb->peer_create : &ends.henb->own_create;

        /* replaced by the peer, by us, by nobody, none that is ours, by us under the peer's SPI,
         * and by the peer, which means AH's */
        const uint64_t rekeyed[] = {segws, henbs, 0, segws ^ 1, segws, segws};

        request.rekeyed = (uint32_t)rekeyed[i];
        request.rekeyed_protocol = i == 5 ? IKE_PROTOCOL_AH : 0;
        create_both(&ends, peers ? ends.segw : ends.henb, &request, &response);
        assert_int_equal(exchange_grant_read(ends.henb, pair,
                                             (uint32_t)spec_spi(peers ? &response : &request),
                                             &grant, &ends.reason),
                         0);
        assert_int_equal(grant.standby, i == 0);
        assert_int_equal(exchange_remove_child(ends.henb,
                                               (uint32_t)spec_spi(peers ? &response : &request),
                                               &ends.reason),
                         0);
    }
}

static void a_child_is_used_as_often_as_anybody_likes(void **state)
{
    uint64_t henbs, segws;

    (void)state;
    add_both(ends.segw, ends.henb, IKE_GROUP_NONE, &segws, &henbs);
    for (int i = 0; i < 2; i++)
        assert_int_equal(child_use(&ends, ends.henb, henbs), 0);
    assert_int_equal(child_use(&ends, ends.henb, 0), EXCHANGE_E_NO_SUCH_CHILD);
    assert_int_equal(child_use(&ends, ends.henb, segws), EXCHANGE_E_NO_SUCH_CHILD);
    assert_int_equal(exchange_remove_child(ends.henb, (uint32_t)henbs, &ends.reason), 0);
    assert_int_equal(child_use(&ends, ends.henb, henbs), EXCHANGE_E_NO_SUCH_CHILD);
}

static void a_child_that_is_about_to_be_used_is_not_used_again_meanwhile(void **state)
{
    uint64_t henbs, segws;
    Child *child;

    (void)state;
    add_both(ends.henb, ends.segw, IKE_GROUP_NONE, &henbs, &segws);
    child = exchange_child_find(ends.henb, (uint32_t)henbs);
    child->using = wait_forever; /* as before the data plane's answer */
    assert_int_equal(child_use(&ends, ends.henb, henbs), EXCHANGE_E_WRONG_STATE);
    child->using = NULL;
    assert_int_equal(child_use(&ends, ends.henb, henbs), 0);
}

static void a_stronger_child_than_the_ike_sa_is_refused(void **state)
{
    CreateSpec request = child_spec(&ends, ends.segw, IKE_GROUP_NONE);
    CreateSpec response = child_spec(&ends, ends.henb, IKE_GROUP_NONE);

    (void)state;
    request.sa.proposals[0].transforms[0].key_length = 256;
    response.sa.proposals[0].transforms[0].key_length = 256;
    assert_int_equal(create_send(&ends, ends.segw, &request, false), 0);
    assert_not_sealed(&response, true, EXCHANGE_E_SUITE_NOT_ALLOWED);
    ends.context.stronger_child = true;
    assert_int_equal(create_send(&ends, ends.henb, &response, true), 0);
}

/* Both ends may begin at once (RFC 7296 2.25): neither's messages are taken for the other's. */
static void creates_of_both_ends_at_once_are_kept_apart(void **state)
{
    const CreateSpec ours = child_spec(&ends, ends.henb, IKE_GROUP_ECP_256);
    const CreateSpec peers = child_spec(&ends, ends.segw, IKE_GROUP_NONE);
    const CreateSpec to_ours = child_spec(&ends, ends.segw, IKE_GROUP_ECP_256);
    const CreateSpec to_peers = child_spec(&ends, ends.henb, IKE_GROUP_NONE);

    (void)state;
    assert_int_equal(create_send(&ends, ends.henb, &ours, false), 0);
    assert_int_equal(create_send(&ends, ends.segw, &peers, false), 0);
    assert_int_equal(create_send(&ends, ends.henb, &to_peers, true), 0);
    assert_int_equal(create_send(&ends, ends.segw, &to_ours, true), 0);
    assert_int_equal(child_add(&ends, ends.henb, spec_spi(&ours)), 0);
    assert_int_equal(child_add(&ends, ends.henb, spec_spi(&to_peers)), 0);
    assert_int_equal(child_add(&ends, ends.segw, spec_spi(&to_ours)), 0);
    assert_int_equal(child_add(&ends, ends.segw, spec_spi(&peers)), 0);
    assert_same_keys(child_of(ends.henb, spec_spi(&ours)), child_of(ends.segw, spec_spi(&to_ours)));
    assert_same_keys(child_of(ends.henb, spec_spi(&to_peers)),
                     child_of(ends.segw, spec_spi(&peers)));
}

/* One SPI in two creates: the second finds the first one's Child SA in its place. */
static void one_spi_gets_one_child(void **state)
{
    const CreateSpec ours = child_spec(&ends, ends.henb, IKE_GROUP_NONE);
    const CreateSpec peers = child_spec(&ends, ends.segw, IKE_GROUP_NONE);
    const CreateSpec to_ours = child_spec(&ends, ends.segw, IKE_GROUP_NONE);
    CreateSpec to_peers = child_spec(&ends, ends.henb, IKE_GROUP_NONE);

    (void)state;
    to_peers.sa.proposals[0].spi = ours.sa.proposals[0].spi;
    create_both(&ends, ends.henb, &ours, &to_ours);
    create_both(&ends, ends.segw, &peers, &to_peers);
    assert_int_equal(child_add(&ends, ends.henb, spec_spi(&ours)), 0);
    assert_int_equal(child_add(&ends, ends.henb, spec_spi(&ours)), EXCHANGE_E_KEYS_USED);
}

static void the_next_create_takes_the_place_of_the_last_and_its_secrets_go(void **state)
{
    const CreateSpec first = child_spec(&ends, ends.segw, IKE_GROUP_ECP_256);
    const CreateSpec to_first = child_spec(&ends, ends.henb, IKE_GROUP_ECP_256);
    const CreateSpec next = child_spec(&ends, ends.segw, IKE_GROUP_NONE);

    (void)state;
    create_both(&ends, ends.segw, &first, &to_first);
    assert_non_null(ends.henb->peer_create.dh_secret);
    assert_null(ends.henb->peer_create.own.dh); /* it has no more use */
    assert_int_equal(create_send(&ends, ends.segw, &next, false), 0);
    assert_null(ends.henb->peer_create.dh_secret);
    assert_int_equal(child_add(&ends, ends.henb, spec_spi(&to_first)), EXCHANGE_E_NO_SUCH_CHILD);
}

/* As the peer's before: what is not added is not kept. */
static void our_next_create_takes_the_place_of_the_last_and_its_secrets_go(void **state)
{
    size_t used = 0;

    (void)state;
    for (int round = 0; round < 3; round++) { /* the first lets OpenSSL take what it keeps */
        CreateSpec request = child_spec(&ends, ends.henb, IKE_GROUP_ECP_256);
        CreateSpec response = child_spec(&ends, ends.segw, IKE_GROUP_ECP_256);

        create_both(&ends, ends.henb, &request, &response);
        if (round > 1)
            assert_int_equal(CRYPTO_secure_used(), used);
        used = CRYPTO_secure_used();
    }
}

/* A plane that was lost refuses at once; what it may have sent with the keys nobody knows. */
static void keys_that_the_data_plane_refused_are_not_handed_out_again(void **state)
{
    _cleanup_(dataplane_closep) DataPlane *lost = NULL;
    DataPlane *working = ends.context.dataplane;
    const DataPlaneOptions options = {
        .mode = DATAPLANE_KERNEL, .interfaces = {1, {"segw0"}}, .net_socket = "/nonexistent"};
    const CreateSpec request = child_spec(&ends, ends.segw, IKE_GROUP_NONE);
    const CreateSpec response = child_spec(&ends, ends.henb, IKE_GROUP_NONE);

    (void)state;
    create_both(&ends, ends.segw, &request, &response);
    assert_int_equal(dataplane_begin(&options, &lost, &ends.reason), 0);
    ends.context.dataplane = lost;
    assert_int_equal(child_add(&ends, ends.henb, spec_spi(&response)),
                     EXCHANGE_E_DATA_PLANE_FAILED);
    ends.context.dataplane = working;
    assert_int_equal(child_add(&ends, ends.henb, spec_spi(&response)), EXCHANGE_E_KEYS_USED);
    assert_null(ends.henb->peer_create.request.payloads.data);
}

#define ENDS(test)                                                                                 \
    cmocka_unit_test_prestate_setup_teardown(test, ends_test_init, ends_test_deinit, &ends)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ENDS(both_ends_have_the_same_keys_whoever_began_and_with_and_without_a_new_dh),
        ENDS(the_keys_are_those_of_the_rfc),
        ENDS(a_second_child_has_other_keys),
        ENDS(the_keys_of_one_create_are_handed_out_once),
        ENDS(secrets_go_when_they_are_used),
        ENDS(each_nonce_and_ke_is_made_anew),
        ENDS(a_group_outside_the_profile_is_not_prepared),
        ENDS(of_five_that_are_prepared_the_oldest_is_wiped),
        ENDS(a_request_is_made_of_what_was_prepared),
        ENDS(a_ke_where_none_was_prepared_is_not_sealed),
        ENDS(a_nonce_is_used_in_one_message),
        ENDS(another_exchanges_nonce_is_not_sealed),
        ENDS(the_spi_is_one_that_was_given_out_and_has_no_child),
        ENDS(all_proposals_have_one_protocol_and_one_spi),
        ENDS(suites_outside_the_profile_are_not_offered),
        ENDS(extended_sequence_numbers_may_be_offered),
        ENDS(ah_is_not_offered),
        ENDS(what_is_not_all_read_is_not_offered),
        ENDS(each_message_has_its_name),
        ENDS(selectors_that_can_not_all_be_read_are_refused),
        ENDS(a_second_request_waits_and_leaves_the_first_as_it_is),
        ENDS(a_response_needs_a_request),
        ENDS(a_response_without_sa_is_an_error_notify),
        ENDS(a_response_that_does_not_fit_the_request_is_not_sealed),
        ENDS(a_request_without_sa_or_nonce_gets_no_child),
        ENDS(what_g_ir_was_made_of_is_gone_if_nothing_is_sealed),
        ENDS(a_peers_nonce_or_ke_that_is_too_weak_is_refused),
        ENDS(a_response_that_does_not_fit_our_request_adds_nothing),
        ENDS(after_invalid_ke_payload_another_request_is_made),
        ENDS(the_peers_selectors_are_held_against_the_policy),
        ENDS(transport_mode_is_declined_where_the_peer_asks_and_refused_where_it_is_granted),
        ENDS(the_ends_of_a_child_are_those_of_who_asked),
        ENDS(a_child_has_the_addresses_that_ike_auth_assigned),
        ENDS(a_child_by_which_the_peer_replaces_another_is_in_standby_and_no_other),
        ENDS(a_child_is_used_as_often_as_anybody_likes),
        ENDS(a_child_that_is_about_to_be_used_is_not_used_again_meanwhile),
        ENDS(a_stronger_child_than_the_ike_sa_is_refused),
        ENDS(creates_of_both_ends_at_once_are_kept_apart),
        ENDS(one_spi_gets_one_child),
        ENDS(the_next_create_takes_the_place_of_the_last_and_its_secrets_go),
        ENDS(our_next_create_takes_the_place_of_the_last_and_its_secrets_go),
        ENDS(keys_that_the_data_plane_refused_are_not_handed_out_again),
    };

    return cmocka_run_group_tests(tests, ends_group_init, NULL);
}
