/* ESP keys are made once, for a verified peer, and for the Child SA that both IKE_AUTH messages
 * negotiated. */
#include "exchange_fixture.h"

#include "tred/exchange_internal.h"

#include <errno.h>
#include <netinet/in.h>
#include <openssl/crypto.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static int play_of(void **state, ExchangeState in)
{
    static Play play;

    play_to(&play, in);
    *state = &play;
    return 0;
}

static int verified(void **state)
{
    return play_of(state, EXCHANGE_VERIFIED);
}

/* What the messages will say of the Child SA may still be changed. */
static int offering(void **state)
{
    (void)play_of(state, EXCHANGE_SIGNED);
    play_offer_child(*state);
    return 0;
}

static int end(void **state)
{
    play_deinit(*state);
    return 0;
}

/* What chance yields next in the place of SPIs (ld --wrap); all else that is asked for is by
 * chance. */
static const uint32_t *drawn;
static size_t n_drawn;

int __real_RAND_bytes(unsigned char *buffer, int size);
int __wrap_RAND_bytes(unsigned char *buffer, int size);

int __wrap_RAND_bytes(unsigned char *buffer, int size)
{
    if (n_drawn == 0 || size != sizeof(*drawn))
        return __real_RAND_bytes(buffer, size);
    memcpy(buffer, drawn++, sizeof(*drawn));
    n_drawn--;
    return 1;
}

static uint32_t spi_new(Play *play)
{
    uint32_t spi = 0;

    assert_int_equal(exchange_allocate_spi(play->exchange, &spi, &play->reason), 0);
    return spi;
}

/* IKE_AUTH with the terms as they are, a SeGW that is verified, and AddChild. */
static int negotiate(Play *play)
{
    play_verify(play);
    return play_add_child(play, play->spi_in);
}

static void assert_refused(Play *play, ExchangeError error)
{
    assert_int_equal(negotiate(play), error);
    assert_true(strlen(play->reason.text) > 20);
    assert_false(play->exchange->children[0].used);
    assert_int_equal(exchange_state(play->exchange), EXCHANGE_VERIFIED);
}

static void spis_are_not_reserved_and_all_different(void **state)
{
    Play *play = *state;
    uint32_t spis[EXCHANGE_CHILDREN_MAX] = {play->spi_in};

    for (size_t i = 1; i < ELEMENTS(spis); i++) {
        spis[i] = spi_new(play);
        assert_true(spis[i] >= 256);
        for (size_t j = 0; j < i; j++)
            assert_int_not_equal(spis[i], spis[j]);
    }
}

/* Also where their last bits are the same. */
static void an_spi_is_given_out_once_until_it_is_given_back(void **state)
{
    Play *play = *state;
    const uint32_t first = spi_new(play), near = first ^ (1U << 31), nearer = first ^ (1U << 30);
    const uint32_t draws[] = {first, near,  near, first, nearer, nearer,
                              near,  first, 255,  near,  256};

    drawn = draws;
    n_drawn = ELEMENTS(draws);
    assert_int_equal(spi_new(play), near);
    assert_int_equal(spi_new(play), nearer);
    assert_int_equal(exchange_remove_child(play->exchange, near, &play->reason), 0);
    assert_int_equal(exchange_remove_child(play->exchange, first, &play->reason), 0);
    assert_int_equal(spi_new(play), near);
    assert_int_equal(spi_new(play), first);
    assert_int_equal(exchange_remove_child(play->exchange, near, &play->reason), 0);
    assert_int_equal(spi_new(play), near); /* 255 is reserved */
    assert_int_equal(spi_new(play), 256);
    assert_int_equal(n_drawn, 0);
}

static void an_exchange_that_is_over_leaves_nothing_in_the_secure_heap(void **state)
{
    (void)state;
    for (int round = 0; round < 2; round++) { /* the first lets OpenSSL take what it keeps */
        const size_t used = CRYPTO_secure_used();
        Play other;

        play_to(&other, EXCHANGE_SIGNED);
        play_offer_child(&other);
        assert_int_equal(negotiate(&other), 0);
        assert_true(CRYPTO_secure_used() > used);
        play_deinit(&other);
        if (round > 0)
            assert_int_equal(CRYPTO_secure_used(), used);
    }
}

static void a_child_sa_without_one_of_its_payloads_is_none(void **state)
{
    static const uint8_t parts[] = {IKE_PAYLOAD_SA, IKE_PAYLOAD_TSI, IKE_PAYLOAD_TSR};

    (void)state;
    for (size_t i = 0; i < 2 * ELEMENTS(parts); i++) {
        const bool asked = i < ELEMENTS(parts);
        Play play;

        play_to(&play, EXCHANGE_SIGNED);
        play_offer_child(&play);
        (asked ? &play.child_asked : &play.child_granted)->omit = parts[i % ELEMENTS(parts)];
        assert_refused(&play, EXCHANGE_E_CHILD_NOT_GRANTED);
        assert_non_null(strstr(play.reason.text, "SA, TSi and TSr belong to one"));
        assert_non_null(strstr(play.reason.text, asked ? "request" : "response"));
        play_deinit(&play);
    }
}

static void an_spi_beyond_the_most_is_refused_until_one_is_given_back(void **state)
{
    Play *play = *state;
    uint32_t spi = 0;

    for (int i = 1; i < EXCHANGE_CHILDREN_MAX; i++)
        (void)spi_new(play);
    assert_int_equal(exchange_allocate_spi(play->exchange, &spi, &play->reason),
                     EXCHANGE_E_TOO_MANY_CHILDREN);
    assert_int_equal(exchange_remove_child(play->exchange, play->spi_in, &play->reason), 0);
    (void)spi_new(play);
}

static void both_sides_derive_the_same_esp_keys(void **state)
{
    Play *play = *state;
    const EspSuite suite = {.cipher = cipher_find(IKE_ENCR_AES_GCM_16, 128)};
    const EspKeys *ours = &play->exchange->children[0].keys;
    EspKeys segws = {0};

    assert_false(exchange_has_child(play->exchange, play->spi_in)); /* it is allocated, no more */
    assert_int_equal(play_add_child(play, play->spi_in), 0);
    assert_true(exchange_has_child(play->exchange, play->spi_in));
    assert_false(exchange_has_child(play->exchange, play->spi_in ^ 1));
    assert_int_equal(esp_keys_derive(play->suite.prf, &suite, play->keys.sk_d, NULL,
                                     exchange_nonce_i(play->exchange), (Bytes){play->nonce_r, 32},
                                     &segws),
                     0);
    assert_true(bytes_equal(secret_bytes(ours->encr_i), secret_bytes(segws.encr_i)));
    assert_true(bytes_equal(secret_bytes(ours->encr_r), secret_bytes(segws.encr_r)));
    esp_keys_deinit(&segws);
}

static void spis_and_suite_are_those_of_the_messages(void **state)
{
    ChildStatus children[EXCHANGE_CHILDREN_MAX];
    Play *play = *state;

    assert_int_equal(play_add_child(play, play->spi_in), 0);
    assert_int_equal(exchange_children(play->exchange, children), 1);
    assert_int_equal(children[0].spi_in, play->spi_in);
    assert_int_equal(children[0].spi_out, 0x12345678);
    assert_string_equal(children[0].suite, "AES_GCM_16_128/NO_ESN");
}

static void the_keys_are_not_handed_out_twice(void **state)
{
    Play *play = *state;
    const uint32_t other = spi_new(play);

    assert_int_equal(play_add_child(play, play->spi_in), 0);
    assert_int_equal(play_add_child(play, play->spi_in), EXCHANGE_E_KEYS_USED);
    assert_int_equal(play_add_child(play, other), EXCHANGE_E_NO_SUCH_CHILD);
    assert_int_equal(exchange_remove_child(play->exchange, play->spi_in, &play->reason), 0);
    assert_int_equal(play_add_child(play, other), EXCHANGE_E_NO_SUCH_CHILD);
}

/* What the data plane is, and is asked for. */
static bool is_kernel_plane, is_refusing;
static uint64_t added_dscps;
static const char *plane_says = "";

bool __real_dataplane_knows_dscps(const DataPlane *plane);
bool __wrap_dataplane_knows_dscps(const DataPlane *plane);
int __real_dataplane_add_sa(DataPlane *plane, const SaOrder *sa, const Transport *transport,
                            SaAdded added, void *userdata);
int __wrap_dataplane_add_sa(DataPlane *plane, const SaOrder *sa, const Transport *transport,
                            SaAdded added, void *userdata);

bool __wrap_dataplane_knows_dscps(const DataPlane *plane)
{
    return !is_kernel_plane && __real_dataplane_knows_dscps(plane);
}

int __wrap_dataplane_add_sa(DataPlane *plane, const SaOrder *sa, const Transport *transport,
                            SaAdded added, void *userdata)
{
    added_dscps = sa->dscps;
    if (is_refusing) {
        added(-EIO, plane_says, userdata);
        return 0;
    }
    return __real_dataplane_add_sa(plane, sa, transport, added, userdata);
}

enum { EF = 46 };
static const uint64_t some_dscps = UINT64_C(1) << EF | UINT64_C(1) << 63 | 1;

static void the_plane_is_told_for_which_dscps_a_child_is(void **state)
{
    ChildStatus children[EXCHANGE_CHILDREN_MAX];
    Play *play = *state;

    assert_int_equal(exchange_set_dscps(play->exchange, play->spi_in, 2, &play->reason), 0);
    assert_int_equal(exchange_set_dscps(play->exchange, play->spi_in, some_dscps, &play->reason),
                     0); /* the last one counts */
    assert_int_equal(play_add_child(play, play->spi_in), 0);
    assert_int_equal(added_dscps, some_dscps);
    assert_int_equal(exchange_children(play->exchange, children), 1);
    assert_int_equal(children[0].dscps, some_dscps);
}

static void a_child_that_nobody_says_it_of_is_for_no_dscp(void **state)
{
    Play *play = *state;
    const uint32_t other = spi_new(play);

    assert_int_equal(exchange_set_dscps(play->exchange, other, some_dscps, &play->reason), 0);
    assert_int_equal(exchange_remove_child(play->exchange, other, &play->reason), 0);
    added_dscps = 1;
    assert_int_equal(play_add_child(play, play->spi_in), 0);
    assert_int_equal(added_dscps, 0);
}

static void a_child_that_is_there_is_set_for_no_other_dscps(void **state)
{
    ChildStatus children[EXCHANGE_CHILDREN_MAX];
    Play *play = *state;

    assert_int_equal(play_add_child(play, play->spi_in), 0);
    assert_int_equal(exchange_set_dscps(play->exchange, play->spi_in, some_dscps, &play->reason),
                     EXCHANGE_E_WRONG_STATE);
    assert_non_null(strstr(play->reason.text, "SetDscps comes before"));
    assert_int_equal(exchange_children(play->exchange, children), 1);
    assert_int_equal(children[0].dscps, 0);
}

static void dscps_are_set_for_own_spis_alone(void **state)
{
    Play *play = *state, other;

    play_to(&other, EXCHANGE_SIGNED);
    play_offer_child(&other);
    assert_int_equal(exchange_set_dscps(play->exchange, other.spi_in, 1, &play->reason),
                     EXCHANGE_E_NO_SUCH_CHILD);
    assert_int_equal(exchange_set_dscps(play->exchange, 0, 1, &play->reason),
                     EXCHANGE_E_NO_SUCH_CHILD);
    play_deinit(&other);
}

/* The kernel's policies can't: nothing is promised that would not be kept. */
static void a_plane_that_can_not_choose_by_dscp_is_not_asked_to(void **state)
{
    Play *play = *state;

    is_kernel_plane = true;
    assert_int_equal(exchange_set_dscps(play->exchange, play->spi_in, 1, &play->reason),
                     EXCHANGE_E_DATA_PLANE_FAILED);
    assert_non_null(strstr(play->reason.text, "dscp needs the user data plane"));
    assert_int_equal(exchange_set_dscps(play->exchange, play->spi_in, 0, &play->reason), 0);
    is_kernel_plane = false;
    assert_int_equal(play_add_child(play, play->spi_in), 0);
    assert_int_equal(added_dscps, 0);
}

/* A plane that was lost refuses at once; what it may have sent with the keys nobody knows. */
static void keys_that_the_data_plane_refused_are_not_handed_out_again(void **state)
{
    _cleanup_(dataplane_closep) DataPlane *lost = NULL;
    DataPlane *working = bench.context.dataplane;
    const DataPlaneOptions options = {
        .mode = DATAPLANE_KERNEL, .interfaces = {1, {"segw0"}}, .net_socket = "/nonexistent"};
    ChildStatus children[EXCHANGE_CHILDREN_MAX];
    Play *play = *state;

    assert_int_equal(dataplane_begin(&options, &lost, &play->reason), 0);
    bench.context.dataplane = lost;
    assert_int_equal(play_add_child(play, play->spi_in), EXCHANGE_E_DATA_PLANE_FAILED);
    bench.context.dataplane = working;
    assert_int_equal(exchange_children(play->exchange, children), 0);
    assert_null(play->exchange->children[0].keys.encr_i);
    assert_int_equal(play_add_child(play, play->spi_in), EXCHANGE_E_KEYS_USED);
}

static void note_refused(int error, const char *reason, void *userdata)
{
    Play *play = userdata;

    assert_int_equal(error, EXCHANGE_E_DATA_PLANE_FAILED);
    reason_set(&play->reason, 0, "%s", reason);
}

static void why_the_data_plane_refused_is_told_in_its_words_if_it_has_any(void **state)
{
    static const struct {
        const char *says, *told;
    } cases[] = {{"", "Input/output error"}, {"no such interface", "no such interface"}};

    for (size_t i = 0; i < ELEMENTS(cases); i++) {
        if (i > 0)
            (void)verified(state);
        Play *play = *state;

        is_refusing = true;
        plane_says = cases[i].says;
        assert_int_equal(
            exchange_add_child(play->exchange, play->spi_in, note_refused, play, &play->reason), 0);
        is_refusing = false;
        assert_non_null(strstr(play->reason.text, cases[i].told));
        assert_null(play->exchange->children[0].keys.encr_i);
        if (i == 0)
            (void)end(state);
    }
}

static void nobody_uses_it(int error, const char *reason, void *userdata)
{
    (void)error, (void)reason, (void)userdata;
    fail();
}

static void a_child_that_was_not_added_is_not_used(void **state)
{
    Play *play = *state;
    const uint32_t other = spi_new(play);

    assert_int_equal(exchange_use_child(play->exchange, other, nobody_uses_it, NULL, &play->reason),
                     EXCHANGE_E_NO_SUCH_CHILD);
    assert_non_null(strstr(play->reason.text, "did not allocate"));
}

static void removing_a_child_wipes_its_keys_and_forgets_its_spi(void **state)
{
    Play *play = *state;

    assert_int_equal(play_add_child(play, play->spi_in), 0);
    assert_int_equal(exchange_remove_child(play->exchange, play->spi_in, &play->reason), 0);
    assert_null(play->exchange->children[0].keys.encr_i);
    assert_int_equal(exchange_remove_child(play->exchange, play->spi_in, &play->reason),
                     EXCHANGE_E_NO_SUCH_CHILD);
}

static void the_auth_messages_are_let_go_once_the_child_is_added(void **state)
{
    Play *play = *state;

    assert_non_null(play->exchange->auth.request.payloads.data);
    assert_int_equal(play_add_child(play, play->spi_in), 0);
    assert_null(play->exchange->auth.request.payloads.data);
    assert_null(play->exchange->auth.response.payloads.data);
}

static void an_spi_that_was_not_allocated_is_no_child(void **state)
{
    Play *play = *state;

    assert_int_equal(play_add_child(play, play->spi_in ^ 1), EXCHANGE_E_NO_SUCH_CHILD);
    assert_int_equal(play_add_child(play, 0), EXCHANGE_E_NO_SUCH_CHILD);
    assert_int_equal(exchange_remove_child(play->exchange, 0, &play->reason),
                     EXCHANGE_E_NO_SUCH_CHILD);
}

static void an_spi_that_the_request_did_not_offer_is_no_child(void **state)
{
    Play *play = *state;

    assert_int_equal(play_add_child(play, spi_new(play)), EXCHANGE_E_NO_SUCH_CHILD);
    assert_false(play->exchange->children[1].used);
    assert_int_equal(play_add_child(play, play->spi_in), 0);
}

static void another_exchanges_spi_is_no_child(void **state)
{
    Play *play = *state, other;

    play_to(&other, EXCHANGE_VERIFIED);
    assert_int_equal(play_add_child(play, other.spi_in), EXCHANGE_E_NO_SUCH_CHILD);
    assert_int_equal(exchange_remove_child(play->exchange, other.spi_in, &play->reason),
                     EXCHANGE_E_NO_SUCH_CHILD);
    play_deinit(&other);
}

/* ---- no Child SA ---- */

static void a_child_that_was_not_asked_for_is_not_granted(void **state)
{
    Play *play = *state;

    play->child_asked = (ChildTerms){0};
    assert_refused(play, EXCHANGE_E_CHILD_NOT_GRANTED);
}

static void a_child_that_the_segw_leaves_out_is_not_granted(void **state)
{
    Play *play = *state;

    play->child_granted = (ChildTerms){0};
    assert_refused(play, EXCHANGE_E_CHILD_NOT_GRANTED);
}

static void a_child_that_the_segw_refuses_is_not_granted(void **state)
{
    Play *play = *state;

    play->child_granted = (ChildTerms){.notify = IKE_NOTIFY_TS_UNACCEPTABLE};
    assert_refused(play, EXCHANGE_E_CHILD_NOT_GRANTED);
    assert_non_null(strstr(play->reason.text, "TS_UNACCEPTABLE"));
}

static void transport_mode_is_no_tunnel(void **state)
{
    Play *play = *state;

    play->child_asked.notify = play->child_granted.notify = IKE_NOTIFY_USE_TRANSPORT_MODE;
    assert_refused(play, EXCHANGE_E_CHILD_NOT_GRANTED);
}

/* ---- MOBIKE (RFC 4555 3.3) ---- */

static void mobike_is_what_the_segw_says(void **state)
{
    Play *play = *state;

    play->child_granted.notify = IKE_NOTIFY_MOBIKE_SUPPORTED;
    play_verify(play);
    assert_true(play->exchange->mobike);
}

static void without_its_word_there_is_no_mobike(void **state)
{
    Play *play = *state;

    play->child_asked.notify = IKE_NOTIFY_MOBIKE_SUPPORTED;
    play_verify(play);
    assert_false(play->exchange->mobike);
}

/* ---- SA ---- */

static void a_reserved_outbound_spi_is_malformed(void **state)
{
    Play *play = *state;

    play->child_granted.sa.proposals[0].spi = 255;
    assert_refused(play, EXCHANGE_E_MALFORMED);
}

static void the_first_outbound_spi_that_is_not_reserved_is_taken(void **state)
{
    Play *play = *state;

    play->child_granted.sa.proposals[0].spi = 256;
    assert_int_equal(negotiate(play), 0);
}

static void add_transform(ChildTerms *terms, IkeTransform transform)
{
    IkeProposal *proposal = &terms->sa.proposals[0];

    proposal->transforms[proposal->n_transforms++] = transform;
}

static void a_suite_with_a_ke_of_its_own_is_refused(void **state)
{
    const IkeTransform ke = {.type = IKE_TRANSFORM_KE, .id = IKE_GROUP_ECP_256};
    Play *play = *state;

    add_transform(&play->child_asked, ke);
    add_transform(&play->child_granted, ke);
    assert_refused(play, EXCHANGE_E_SUITE_NOT_ALLOWED);
}

static void a_suite_that_was_not_offered_is_refused(void **state)
{
    Play *play = *state;

    play->child_granted.sa.proposals[0].transforms[0].key_length = 256;
    assert_refused(play, EXCHANGE_E_SUITE_NOT_ALLOWED);
}

static void esn_that_was_not_offered_is_refused(void **state)
{
    Play *play = *state;

    play->child_granted.sa.proposals[0].transforms[1].id = IKE_ESN_YES;
    assert_refused(play, EXCHANGE_E_SUITE_NOT_ALLOWED);
}

static void a_suite_outside_the_profile_is_refused_even_if_it_was_offered(void **state)
{
    Play *play = *state;

    play->child_asked.sa.proposals[0].transforms[0].key_length = 192;
    play->child_granted.sa.proposals[0].transforms[0].key_length = 192;
    assert_refused(play, EXCHANGE_E_SUITE_NOT_ALLOWED);
}

static void two_transforms_of_one_type_are_no_choice(void **state)
{
    const IkeTransform other = {
        .type = IKE_TRANSFORM_ENCR, .id = IKE_ENCR_AES_GCM_16, .key_length = 256};
    Play *play = *state;

    add_transform(&play->child_asked, other);
    add_transform(&play->child_granted, other);
    assert_refused(play, EXCHANGE_E_SUITE_NOT_ALLOWED);
}

static void a_choice_without_esn_is_none(void **state)
{
    Play *play = *state;

    play->child_granted.sa.proposals[0].n_transforms = 1;
    assert_refused(play, EXCHANGE_E_SUITE_NOT_ALLOWED);
}

static void two_proposals_are_no_choice(void **state)
{
    Play *play = *state;
    IkeSaPayload *sa = &play->child_granted.sa;

    sa->proposals[1] = sa->proposals[0];
    sa->proposals[1].number = 2;
    sa->n_proposals = 2;
    assert_refused(play, EXCHANGE_E_SUITE_NOT_ALLOWED);
}

static void a_proposal_of_another_number_was_not_offered(void **state)
{
    Play *play = *state;

    play->child_granted.sa.proposals[0].number = 2;
    assert_refused(play, EXCHANGE_E_SUITE_NOT_ALLOWED);
}

static void ah_is_no_esp(void **state)
{
    Play *play = *state;

    play->child_asked.sa.proposals[0].protocol = IKE_PROTOCOL_AH;
    play->child_granted.sa.proposals[0].protocol = IKE_PROTOCOL_AH;
    assert_refused(play, EXCHANGE_E_SUITE_NOT_ALLOWED);
}

static void an_offer_of_ah_grants_no_esp(void **state)
{
    Play *play = *state;

    play->child_asked.sa.proposals[0].protocol = IKE_PROTOCOL_AH;
    assert_refused(play, EXCHANGE_E_SUITE_NOT_ALLOWED);
}

/* ---- TS ---- */

static void selectors_beyond_those_asked_for_are_refused(void **state)
{
    Play *play = *state;

    play->child_asked.ts_i.selectors[0].end[0] = 10;
    assert_refused(play, EXCHANGE_E_SELECTORS_NOT_ALLOWED);
}

static void remote_selectors_beyond_those_asked_for_are_refused(void **state)
{
    Play *play = *state;

    play->child_asked.ts_r.selectors[0].end[0] = 10;
    assert_refused(play, EXCHANGE_E_SELECTORS_NOT_ALLOWED);
}

/* Law 2: tred's own policy on selectors, whatever the SeGW grants and the caller asks for. */
static void selectors_outside_the_policy_are_refused(void **state)
{
    Play *play = *state;
    const IkeTs any = bench.with.allowed_local;
    IkeTs narrow = any;

    narrow.selectors[0].end[0] = 10;
    play_verify(play);
    bench.with.allowed_local = narrow;
    assert_int_equal(play_add_child(play, play->spi_in), EXCHANGE_E_SELECTORS_NOT_ALLOWED);
    bench.with.allowed_local = any;
    bench.with.allowed_remote = narrow;
    assert_int_equal(play_add_child(play, play->spi_in), EXCHANGE_E_SELECTORS_NOT_ALLOWED);
    bench.with.allowed_remote = any;
    assert_int_equal(play_add_child(play, play->spi_in), 0);
}

/* ---- CP ---- */

static void assign(Play *play, uint16_t type, const uint8_t *octets, size_t size)
{
    play->child_granted.cp.attributes[0] = (IkeAttribute){type, {octets, size}};
}

static void addresses_that_no_tunnel_may_have_are_refused(void **state)
{
    static const uint8_t addresses[][4] = {
        {0, 0, 0, 0},         {0, 1, 2, 3},     {127, 0, 0, 1},
        {127, 0, 0, 53},      {169, 254, 1, 1}, {224, 0, 0, 1},
        {239, 255, 255, 255}, {240, 0, 0, 1},   {255, 255, 255, 255},
    };

    (void)end(state);
    for (size_t i = 0; i < ELEMENTS(addresses); i++) {
        (void)offering(state);
        assign(*state, IKE_CFG_INTERNAL_IP4_ADDRESS, addresses[i], 4);
        assert_refused(*state, EXCHANGE_E_ADDRESS_NOT_ALLOWED);
        if (i + 1 < ELEMENTS(addresses))
            (void)end(state);
    }
}

static void ask_for_ipv6(Play *play)
{
    static const IkeSelector any = {
        .type = IKE_TS_IPV6_ADDR_RANGE,
        .end_port = UINT16_MAX,
        .end = {255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255}};

    play->child_asked.cp.attributes[0].type = IKE_CFG_INTERNAL_IP6_ADDRESS;
    play->child_asked.ts_i.selectors[0] = play->child_asked.ts_r.selectors[0] = any;
    play->child_granted.ts_i = play->child_granted.ts_r = play->child_asked.ts_i;
}

static void ipv6_addresses_that_no_tunnel_may_have_are_refused(void **state)
{
    static const uint8_t addresses[][17] = {
        {[16] = 128},
        {[15] = 1, [16] = 128},
        {[10] = 0xff, [11] = 0xff, [12] = 10, [15] = 1, [16] = 128},
        {0xfe, 0x80, [15] = 1, [16] = 64},
        {0xfe, 0xbf, [15] = 1, [16] = 64},
        {0xff, 0x02, [15] = 1, [16] = 128},
    };

    (void)end(state);
    for (size_t i = 0; i < ELEMENTS(addresses); i++) {
        (void)offering(state);
        ask_for_ipv6(*state);
        assign(*state, IKE_CFG_INTERNAL_IP6_ADDRESS, addresses[i], 17);
        assert_refused(*state, EXCHANGE_E_ADDRESS_NOT_ALLOWED);
        if (i + 1 < ELEMENTS(addresses))
            (void)end(state);
    }
}

static void an_address_stands_for_itself_whatever_prefix_it_is_said_to_be_in(void **state)
{
    static const uint8_t address[17] = {0xfd, 0x00, [15] = 7, [16] = 1};
    Play *play = *state;
    ChildGrant grant;

    ask_for_ipv6(play);
    assign(play, IKE_CFG_INTERNAL_IP6_ADDRESS, address, sizeof(address));
    play_verify(play);
    assert_int_equal(exchange_grant_read(play->exchange, &play->exchange->auth, play->spi_in,
                                         &grant, &play->reason),
                     0);
    assert_int_equal(grant.n_addresses, 1);
    assert_int_equal(grant.addresses[0].size, 16);
    assert_int_equal(grant.addresses[0].prefix_length, 128);
    assert_memory_equal(grant.addresses[0].octets, address, 16);
}

static void an_address_outside_of_allowed_local_is_refused(void **state)
{
    Play *play = *state;
    const IkeTs any = bench.with.allowed_local;
    IkeTs narrow = any;

    play->child_granted.ts_i.selectors[0].start[0] = play->child_granted.ts_i.selectors[0].end[0] =
        11;
    narrow.selectors[0].start[0] = narrow.selectors[0].end[0] = 11;
    play_verify(play);
    bench.with.allowed_local = narrow;
    assert_int_equal(play_add_child(play, play->spi_in), EXCHANGE_E_ADDRESS_NOT_ALLOWED);
    bench.with.allowed_local = any;
    assert_int_equal(play_add_child(play, play->spi_in), 0);
}

static void the_outer_addresses_are_no_inner_ones(void **state)
{
    static const uint8_t segw[] = {192, 0, 2, 1}, henb[] = {192, 0, 2, 2};
    const uint8_t *const outer[] = {segw, henb};

    (void)end(state);
    for (size_t i = 0; i < ELEMENTS(outer); i++) {
        struct sockaddr_in remote = {.sin_family = AF_INET}, local = {.sin_family = AF_INET};
        Play *play;

        (void)offering(state);
        play = *state;
        memcpy(&remote.sin_addr, segw, sizeof(segw));
        memcpy(&local.sin_addr, henb, sizeof(henb));
        memcpy(&play->exchange->remote, &remote, sizeof(remote));
        play->exchange->transport = malloc(sizeof(*play->exchange->transport));
        assert_non_null(play->exchange->transport);
        *play->exchange->transport = (Transport){.ike_fd = -1, .esp_fd = -1};
        memcpy(&play->exchange->transport->local, &local, sizeof(local));
        assign(play, IKE_CFG_INTERNAL_IP4_ADDRESS, outer[i], 4);
        assert_refused(play, EXCHANGE_E_ADDRESS_NOT_ALLOWED);
        if (i + 1 < ELEMENTS(outer))
            (void)end(state);
    }
}

static struct sockaddr_storage ipv6_of(const uint8_t octets[16])
{
    struct sockaddr_in6 address = {.sin6_family = AF_INET6};
    struct sockaddr_storage ret = {0};

    memcpy(&address.sin6_addr, octets, sizeof(address.sin6_addr));
    memcpy(&ret, &address, sizeof(address));
    return ret;
}

static void give_transport_to(Play *play, struct sockaddr_storage remote,
                              struct sockaddr_storage local)
{
    play->exchange->remote = remote;
    play->exchange->transport = malloc(sizeof(*play->exchange->transport));
    assert_non_null(play->exchange->transport);
    *play->exchange->transport = (Transport){.ike_fd = -1, .esp_fd = -1, .local = local};
}

static void the_outer_ipv6_addresses_are_no_inner_ones(void **state)
{
    static const uint8_t segw[17] = {0xfd, 1, [15] = 1, [16] = 64};
    static const uint8_t henb[17] = {0xfd, 1, [15] = 2, [16] = 64};
    const uint8_t *const outer[] = {segw, henb};

    (void)end(state);
    for (size_t i = 0; i < ELEMENTS(outer); i++) {
        (void)offering(state);
        give_transport_to(*state, ipv6_of(segw), ipv6_of(henb));
        ask_for_ipv6(*state);
        assign(*state, IKE_CFG_INTERNAL_IP6_ADDRESS, outer[i], sizeof(segw));
        assert_refused(*state, EXCHANGE_E_ADDRESS_NOT_ALLOWED);
        assert_non_null(strstr(((Play *)*state)->reason.text, "'s own"));
        if (i + 1 < ELEMENTS(outer))
            (void)end(state);
    }
}

/* Which one begins like the SeGW's is another, of its own family or of the other. */
static void an_address_that_only_begins_like_an_outer_one_may_be_assigned(void **state)
{
    static const uint8_t other[17] = {0xfd, 1, 2, 3, [15] = 3, [16] = 64};
    static const uint8_t begins[17] = {0xfd, 1, 2, 3, [15] = 1, [16] = 64};
    struct sockaddr_in v4 = {.sin_family = AF_INET};
    struct sockaddr_storage remotes[] = {ipv6_of(begins), {0}};

    memcpy(&v4.sin_addr, begins, sizeof(v4.sin_addr));
    memcpy(&remotes[1], &v4, sizeof(v4));
    (void)end(state);
    for (size_t i = 0; i < ELEMENTS(remotes); i++) {
        (void)offering(state);
        Play *play = *state;
        give_transport_to(play, remotes[i], (struct sockaddr_storage){0});
        ask_for_ipv6(play);
        assign(play, IKE_CFG_INTERNAL_IP6_ADDRESS, other, sizeof(other));
        play_verify(play);
        assert_int_equal(play_add_child(play, play->spi_in), 0);
        if (i + 1 < ELEMENTS(remotes))
            (void)end(state);
    }
}

static void give_transport(Exchange *exchange, const uint8_t remote[4])
{
    struct sockaddr_in address = {.sin_family = AF_INET};

    memcpy(&address.sin_addr, remote, sizeof(address.sin_addr));
    memcpy(&exchange->remote, &address, sizeof(address));
    exchange->transport = malloc(sizeof(*exchange->transport));
    assert_non_null(exchange->transport);
    *exchange->transport = (Transport){.ike_fd = -1, .esp_fd = -1};
}

/* RFC 7296 2.23; a plane that knows no other ESP says so by its name. */
static void esp_goes_in_udp_where_there_is_a_port_for_it_and_a_nat(void **state)
{
    static const uint8_t segw[] = {198, 51, 100, 1};
    Play *play = *state;
    Exchange *exchange = play->exchange;

    for (int nat = 0; nat < 2; nat++) {
        exchange->nat = nat;
        assert_false(exchange_is_udp_encapsulated(exchange));
    }
    give_transport(exchange, segw);
    for (int nat = 0; nat < 2; nat++) {
        exchange->nat = nat;
        assert_int_equal(exchange_is_udp_encapsulated(exchange), nat);
    }
}

static void the_outer_address_of_another_segw_is_not_assigned(void **state)
{
    static const uint8_t segw[] = {198, 51, 100, 1}, another[] = {198, 51, 100, 2};
    Play *play = *state;
    const Segw management = {.label = "management", .number = 1, .name = bench.name};
    Exchange *other = NULL;

    give_transport(play->exchange, segw);
    assert_int_equal(
        exchange_new(&bench.context, &management, IKE_GROUP_ECP_256, &other, &play->reason), 0);
    give_transport(other, another);
    assign(play, IKE_CFG_INTERNAL_IP4_ADDRESS, another, sizeof(another));
    assert_refused(play, EXCHANGE_E_ADDRESS_NOT_ALLOWED);
    assert_non_null(strstr(play->reason.text, "another SeGW's own"));
    exchange_free(other);
}

static void an_address_that_was_asked_for_must_be_assigned(void **state)
{
    Play *play = *state;

    play->child_granted.cp.n_attributes = 0;
    assert_refused(play, EXCHANGE_E_ADDRESS_NOT_ALLOWED);
    assert_non_null(strstr(play->reason.text, "assigned no IPv4 address"));
}

static void an_ipv6_address_that_was_asked_for_must_be_assigned(void **state)
{
    Play *play = *state;

    ask_for_ipv6(play);
    play->child_granted.cp.n_attributes = 0;
    assert_refused(play, EXCHANGE_E_ADDRESS_NOT_ALLOWED);
    assert_non_null(strstr(play->reason.text, "assigned no IPv6 address"));
}

static void an_empty_attribute_assigns_nothing(void **state)
{
    Play *play = *state;

    assign(play, IKE_CFG_INTERNAL_IP4_ADDRESS, NULL, 0);
    assert_refused(play, EXCHANGE_E_ADDRESS_NOT_ALLOWED);
}

static void a_cp_that_is_no_reply_assigns_nothing(void **state)
{
    Play *play = *state;

    play->child_granted.cp.cfg_type = IKE_CFG_SET;
    assert_refused(play, EXCHANGE_E_ADDRESS_NOT_ALLOWED);
}

static ChildGrant grant_of(Play *play)
{
    ChildGrant grant;

    play_verify(play);
    assert_int_equal(exchange_grant_read(play->exchange, &play->exchange->auth, play->spi_in,
                                         &grant, &play->reason),
                     0);
    return grant;
}

static void an_address_that_nobody_asked_for_is_passed_over(void **state)
{
    static const uint8_t ipv6[17] = {0x20, 0x01, [16] = 128};
    Play *play = *state;
    IkeCp *cp = &play->child_granted.cp;

    cp->attributes[1] = cp->attributes[0];
    cp->attributes[0] = (IkeAttribute){IKE_CFG_INTERNAL_IP6_ADDRESS, BYTES_OF(ipv6)};
    cp->n_attributes = 2;
    const ChildGrant grant = grant_of(play);
    assert_int_equal(grant.n_addresses, 1);
    assert_int_equal(grant.addresses[0].size, 4);
    assert_int_equal(play_add_child(play, play->spi_in), 0);
}

static void no_address_is_taken_where_none_was_asked_for(void **state)
{
    Play *play = *state;

    play->child_asked.cp.n_attributes = 0;
    assert_int_equal(grant_of(play).n_addresses, 0);
}

static void without_a_request_for_an_address_there_need_be_none(void **state)
{
    Play *play = *state;

    play->child_asked.cp.n_attributes = play->child_granted.cp.n_attributes = 0;
    assert_int_equal(negotiate(play), 0);
}

static void of_many_addresses_the_first_two_are_taken(void **state)
{
    static const uint8_t octets[][4] = {
        {10, 1, 0, 1}, {10, 1, 0, 2}, {10, 1, 0, 3}, {127, 0, 0, 1}, {10, 1, 0, 5}};
    Play *play = *state;
    IkeCp *cp = &play->child_granted.cp;

    for (cp->n_attributes = 0; cp->n_attributes < ELEMENTS(octets); cp->n_attributes++) {
        cp->attributes[cp->n_attributes] = (IkeAttribute){
            IKE_CFG_INTERNAL_IP4_ADDRESS, {octets[cp->n_attributes], sizeof(octets[0])}};
    }
    const ChildGrant grant = grant_of(play);
    assert_int_equal(grant.n_addresses, DATAPLANE_ADDRESSES_OF_FAMILY);
    assert_memory_equal(grant.addresses[0].octets, octets[0], sizeof(octets[0]));
    assert_memory_equal(grant.addresses[1].octets, octets[1], sizeof(octets[0]));
    assert_int_equal(play_add_child(play, play->spi_in), 0);
}

/* Each of them within what was asked for; those that are kept are the SA's, and no others. */
static void of_many_selectors_the_first_ones_are_taken(void **state)
{
    enum { GRANTED = 100 };
    Play *play = *state;

    play->child_granted.repeat = GRANTED;
    const ChildGrant grant = grant_of(play);
    assert_int_equal(grant.ts_remote.n_selectors, IKE_SELECTORS_MAX);
    assert_int_equal(grant.ts_remote.n_skipped, GRANTED - IKE_SELECTORS_MAX);
    assert_int_equal(play_add_child(play, play->spi_in), 0);
}

/* Nobody would hold those that are not kept against the policy. */
static void more_selectors_of_ours_than_are_kept_are_refused(void **state)
{
    Play *play = *state;

    play->child_asked.repeat = IKE_SELECTORS_MAX + 1;
    assert_refused(play, EXCHANGE_E_SELECTORS_NOT_ALLOWED);
}

static void as_many_selectors_of_ours_as_are_kept_are_taken(void **state)
{
    Play *play = *state;

    play->child_asked.repeat = IKE_SELECTORS_MAX;
    assert_int_equal(negotiate(play), 0);
}

/* The IKE SA has AES-128. */
static void offer_cipher(Play *play, uint16_t id, uint16_t key_length)
{
    IkeTransform *const ciphers[] = {&play->child_asked.sa.proposals[0].transforms[0],
                                     &play->child_granted.sa.proposals[0].transforms[0]};

    for (size_t i = 0; i < ELEMENTS(ciphers); i++) {
        assert_int_equal(ciphers[i]->type, IKE_TRANSFORM_ENCR);
        ciphers[i]->id = id;
        ciphers[i]->key_length = key_length;
    }
}

static void a_child_with_a_longer_key_than_the_ike_sa_is_refused(void **state)
{
    Play *play = *state;

    offer_cipher(play, IKE_ENCR_AES_GCM_16, 256);
    assert_refused(play, EXCHANGE_E_SUITE_NOT_ALLOWED);
    assert_non_null(strstr(play->reason.text, "stronger-child"));
    bench.context.stronger_child = true;
    assert_int_equal(play_add_child(play, play->spi_in), 0);
    bench.context.stronger_child = false;
}

static void so_is_one_whose_key_length_is_no_attribute(void **state)
{
    Play *play = *state;

    offer_cipher(play, IKE_ENCR_CHACHA20_POLY1305, 0);
    assert_refused(play, EXCHANGE_E_SUITE_NOT_ALLOWED);
}

#define VERIFIED(test) cmocka_unit_test_setup_teardown(test, verified, end)
#define OFFERING(test) cmocka_unit_test_setup_teardown(test, offering, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        VERIFIED(an_exchange_that_is_over_leaves_nothing_in_the_secure_heap),
        cmocka_unit_test(a_child_sa_without_one_of_its_payloads_is_none),
        VERIFIED(spis_are_not_reserved_and_all_different),
        VERIFIED(an_spi_is_given_out_once_until_it_is_given_back),
        VERIFIED(an_spi_beyond_the_most_is_refused_until_one_is_given_back),
        VERIFIED(both_sides_derive_the_same_esp_keys),
        VERIFIED(spis_and_suite_are_those_of_the_messages),
        VERIFIED(the_plane_is_told_for_which_dscps_a_child_is),
        VERIFIED(a_child_that_nobody_says_it_of_is_for_no_dscp),
        VERIFIED(a_child_that_is_there_is_set_for_no_other_dscps),
        VERIFIED(dscps_are_set_for_own_spis_alone),
        VERIFIED(a_plane_that_can_not_choose_by_dscp_is_not_asked_to),
        VERIFIED(the_keys_are_not_handed_out_twice),
        VERIFIED(keys_that_the_data_plane_refused_are_not_handed_out_again),
        VERIFIED(why_the_data_plane_refused_is_told_in_its_words_if_it_has_any),
        VERIFIED(a_child_that_was_not_added_is_not_used),
        VERIFIED(esp_goes_in_udp_where_there_is_a_port_for_it_and_a_nat),
        VERIFIED(removing_a_child_wipes_its_keys_and_forgets_its_spi),
        VERIFIED(the_auth_messages_are_let_go_once_the_child_is_added),
        VERIFIED(an_spi_that_was_not_allocated_is_no_child),
        VERIFIED(an_spi_that_the_request_did_not_offer_is_no_child),
        VERIFIED(another_exchanges_spi_is_no_child),
        OFFERING(a_child_that_was_not_asked_for_is_not_granted),
        OFFERING(a_child_that_the_segw_leaves_out_is_not_granted),
        OFFERING(a_child_that_the_segw_refuses_is_not_granted),
        OFFERING(transport_mode_is_no_tunnel),
        OFFERING(mobike_is_what_the_segw_says),
        OFFERING(without_its_word_there_is_no_mobike),
        OFFERING(a_reserved_outbound_spi_is_malformed),
        OFFERING(the_first_outbound_spi_that_is_not_reserved_is_taken),
        OFFERING(a_suite_with_a_ke_of_its_own_is_refused),
        OFFERING(a_suite_that_was_not_offered_is_refused),
        OFFERING(esn_that_was_not_offered_is_refused),
        OFFERING(a_suite_outside_the_profile_is_refused_even_if_it_was_offered),
        OFFERING(two_transforms_of_one_type_are_no_choice),
        OFFERING(a_choice_without_esn_is_none),
        OFFERING(two_proposals_are_no_choice),
        OFFERING(a_proposal_of_another_number_was_not_offered),
        OFFERING(ah_is_no_esp),
        OFFERING(an_offer_of_ah_grants_no_esp),
        OFFERING(selectors_beyond_those_asked_for_are_refused),
        OFFERING(remote_selectors_beyond_those_asked_for_are_refused),
        OFFERING(selectors_outside_the_policy_are_refused),
        OFFERING(addresses_that_no_tunnel_may_have_are_refused),
        OFFERING(ipv6_addresses_that_no_tunnel_may_have_are_refused),
        OFFERING(an_address_stands_for_itself_whatever_prefix_it_is_said_to_be_in),
        OFFERING(an_address_outside_of_allowed_local_is_refused),
        OFFERING(the_outer_addresses_are_no_inner_ones),
        OFFERING(the_outer_ipv6_addresses_are_no_inner_ones),
        OFFERING(an_address_that_only_begins_like_an_outer_one_may_be_assigned),
        OFFERING(the_outer_address_of_another_segw_is_not_assigned),
        OFFERING(an_address_that_was_asked_for_must_be_assigned),
        OFFERING(an_ipv6_address_that_was_asked_for_must_be_assigned),
        OFFERING(an_empty_attribute_assigns_nothing),
        OFFERING(a_cp_that_is_no_reply_assigns_nothing),
        OFFERING(an_address_that_nobody_asked_for_is_passed_over),
        OFFERING(no_address_is_taken_where_none_was_asked_for),
        OFFERING(without_a_request_for_an_address_there_need_be_none),
        OFFERING(a_child_with_a_longer_key_than_the_ike_sa_is_refused),
        OFFERING(so_is_one_whose_key_length_is_no_attribute),
        OFFERING(of_many_addresses_the_first_two_are_taken),
        OFFERING(of_many_selectors_the_first_ones_are_taken),
        OFFERING(more_selectors_of_ours_than_are_kept_are_refused),
        OFFERING(as_many_selectors_of_ours_as_are_kept_are_taken),
    };

    return cmocka_run_group_tests(tests, bench_init, bench_deinit);
}
