/* Are ESP keys made once, for a verified peer, and for an SPI of the exchange's own? */
#include "exchange_fixture.h"

#include "tred/exchange_internal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static int verified(void **state)
{
    static Play play;

    play_to(&play, EXCHANGE_VERIFIED);
    *state = &play;
    return 0;
}

static int end(void **state)
{
    play_deinit(*state);
    return 0;
}

static uint32_t spi_new(Play *play)
{
    uint32_t spi = 0;

    assert_int_equal(exchange_allocate_spi(play->exchange, &spi, play->reason), 0);
    return spi;
}

static int add(Play *play, const ChildRequest *request)
{
    return play_add_child(play, request);
}

static void spis_are_not_reserved_and_all_different(void **state)
{
    Play *play = *state;
    uint32_t spis[EXCHANGE_CHILDREN_MAX];

    for (size_t i = 0; i < ELEMENTS(spis); i++) {
        spis[i] = spi_new(play);
        assert_true(spis[i] >= 256);
        for (size_t j = 0; j < i; j++)
            assert_int_not_equal(spis[i], spis[j]);
    }
}

static void the_ninth_spi_is_refused_until_one_is_given_back(void **state)
{
    Play *play = *state;
    uint32_t first = spi_new(play), spi = 0;

    for (int i = 1; i < EXCHANGE_CHILDREN_MAX; i++)
        (void)spi_new(play);
    assert_int_equal(exchange_allocate_spi(play->exchange, &spi, play->reason),
                     EXCHANGE_E_TOO_MANY_CHILDREN);
    assert_int_equal(exchange_remove_child(play->exchange, first, play->reason), 0);
    (void)spi_new(play);
}

static void both_sides_derive_the_same_esp_keys(void **state)
{
    Play *play = *state;
    const ChildRequest request = play_child(spi_new(play));
    const EspKeys *ours = &play->exchange->children[0].keys;
    EspKeys segws = {0};

    assert_int_equal(add(play, &request), 0);
    assert_int_equal(esp_keys_derive(play->suite.prf, &request.suite, play->keys.sk_d, NULL,
                                     exchange_nonce_i(play->exchange), (Bytes){play->nonce_r, 32},
                                     &segws),
                     0);
    assert_true(bytes_equal(secret_bytes(ours->encr_i), secret_bytes(segws.encr_i)));
    assert_true(bytes_equal(secret_bytes(ours->encr_r), secret_bytes(segws.encr_r)));
    esp_keys_deinit(&segws);
}

static void the_keys_are_not_handed_out_twice(void **state)
{
    Play *play = *state;
    const ChildRequest first = play_child(spi_new(play));
    const ChildRequest second = play_child(spi_new(play));

    assert_int_equal(add(play, &first), 0);
    assert_int_equal(add(play, &first), EXCHANGE_E_KEYS_USED);
    assert_int_equal(add(play, &second), EXCHANGE_E_KEYS_USED);
    assert_int_equal(exchange_remove_child(play->exchange, first.spi_in, play->reason), 0);
    assert_int_equal(add(play, &second), EXCHANGE_E_KEYS_USED);
}

static void removing_a_child_wipes_its_keys_and_forgets_its_spi(void **state)
{
    Play *play = *state;
    const ChildRequest request = play_child(spi_new(play));

    assert_int_equal(add(play, &request), 0);
    assert_int_equal(exchange_remove_child(play->exchange, request.spi_in, play->reason), 0);
    assert_null(play->exchange->children[0].keys.encr_i);
    assert_int_equal(exchange_remove_child(play->exchange, request.spi_in, play->reason),
                     EXCHANGE_E_NO_SUCH_CHILD);
}

static void an_spi_that_was_not_allocated_is_no_child(void **state)
{
    Play *play = *state;
    ChildRequest request = play_child(spi_new(play) ^ 1);

    assert_int_equal(add(play, &request), EXCHANGE_E_NO_SUCH_CHILD);
    request.spi_in = 0;
    assert_int_equal(add(play, &request), EXCHANGE_E_NO_SUCH_CHILD);
    assert_int_equal(exchange_remove_child(play->exchange, 0, play->reason),
                     EXCHANGE_E_NO_SUCH_CHILD);
}

static void another_exchanges_spi_is_no_child(void **state)
{
    Play *play = *state, other;
    ChildRequest request;

    play_to(&other, EXCHANGE_VERIFIED);
    request = play_child(spi_new(&other));
    assert_int_equal(add(play, &request), EXCHANGE_E_NO_SUCH_CHILD);
    assert_int_equal(exchange_remove_child(play->exchange, request.spi_in, play->reason),
                     EXCHANGE_E_NO_SUCH_CHILD);
    play_deinit(&other);
}

static void a_reserved_outbound_spi_is_malformed(void **state)
{
    Play *play = *state;
    ChildRequest request = play_child(spi_new(play));

    request.spi_out = 255;
    assert_int_equal(add(play, &request), EXCHANGE_E_MALFORMED);
    request.spi_out = 256;
    assert_int_equal(add(play, &request), 0);
}

static void a_suite_with_a_ke_of_its_own_is_refused(void **state)
{
    Play *play = *state;
    ChildRequest request = play_child(spi_new(play));

    request.suite.group = IKE_GROUP_ECP_256;
    assert_int_equal(add(play, &request), EXCHANGE_E_SUITE_NOT_ALLOWED);
}

static void assert_selector_malformed(Play *play, const ChildRequest *request)
{
    assert_int_equal(add(play, request), EXCHANGE_E_MALFORMED);
    assert_false(play->exchange->child_keys_used);
}

static void selectors_must_be_well_formed(void **state)
{
    Play *play = *state;
    const ChildRequest good = play_child(spi_new(play));
    ChildRequest bad = good;

    bad.ts_i.n_selectors = 0;
    assert_selector_malformed(play, &bad);
    bad = good;
    bad.ts_r.n_selectors = IKE_SELECTORS_MAX + 1;
    assert_selector_malformed(play, &bad);
    bad = good;
    bad.ts_r.selectors[0].type = 9;
    assert_selector_malformed(play, &bad);
    bad = good;
    bad.ts_r.selectors[0].start[0] = 1;
    bad.ts_r.selectors[0].end[0] = 0;
    assert_selector_malformed(play, &bad);
    bad = good;
    bad.ts_i.selectors[0].start_port = 2;
    bad.ts_i.selectors[0].end_port = 1;
    assert_selector_malformed(play, &bad);
    assert_int_equal(add(play, &good), 0);
}

static void addresses_must_be_well_formed(void **state)
{
    Play *play = *state;
    const ChildRequest good = play_child(spi_new(play));
    ChildRequest bad = good;

    bad.addresses[0].address.size = 3;
    assert_selector_malformed(play, &bad);
    bad = good;
    bad.addresses[0].prefix_length = 33;
    assert_selector_malformed(play, &bad);
    bad = good;
    bad.n_addresses = EXCHANGE_ADDRESSES_MAX + 1;
    assert_selector_malformed(play, &bad);
}

/* Law 2: tred's own policy on selectors, whatever the SeGW grants and the caller says. */
static void selectors_outside_the_policy_are_refused(void **state)
{
    Play *play = *state;
    const ChildRequest request = play_child(spi_new(play));
    const IkeTs *const any = bench.context.allowed_local;
    IkeTs narrow = *any;

    narrow.selectors[0].end[0] = 10;
    bench.context.allowed_local = &narrow;
    assert_int_equal(add(play, &request), EXCHANGE_E_SELECTORS_NOT_ALLOWED);
    bench.context.allowed_local = any;
    bench.context.allowed_remote = &narrow;
    assert_int_equal(add(play, &request), EXCHANGE_E_SELECTORS_NOT_ALLOWED);
    bench.context.allowed_remote = any;
    assert_int_equal(add(play, &request), 0);
}

#define VERIFIED(test) cmocka_unit_test_setup_teardown(test, verified, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        VERIFIED(spis_are_not_reserved_and_all_different),
        VERIFIED(the_ninth_spi_is_refused_until_one_is_given_back),
        VERIFIED(both_sides_derive_the_same_esp_keys),
        VERIFIED(the_keys_are_not_handed_out_twice),
        VERIFIED(removing_a_child_wipes_its_keys_and_forgets_its_spi),
        VERIFIED(an_spi_that_was_not_allocated_is_no_child),
        VERIFIED(another_exchanges_spi_is_no_child),
        VERIFIED(a_reserved_outbound_spi_is_malformed),
        VERIFIED(a_suite_with_a_ke_of_its_own_is_refused),
        VERIFIED(selectors_must_be_well_formed),
        VERIFIED(addresses_must_be_well_formed),
        VERIFIED(selectors_outside_the_policy_are_refused),
    };

    return cmocka_run_group_tests(tests, bench_init, bench_deinit);
}
