/* Which SeGW is tried: the preferred one, the next one where it fails, and the preferred one again
 * when it has had its time. Who sends us elsewhere is read within bounds, and can't do so for ever.
 */
#include "ikeclient/targets.h"

#include "octets.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define S UINT64_C(1000000)

enum { HOLD = 60 };

static Targets targets;
static Endpoint addresses[4];

static int setup(void **state)
{
    (void)state;
    assert_int_equal(targets_read(&targets, "one.example, 192.0.2.2 ,three.example", NULL), 0);
    targets.hold = HOLD;
    addresses[0] = endpoint_of("2001:db8::1", 500);
    addresses[1] = endpoint_of("192.0.2.1", 500);
    addresses[2] = endpoint_of("2001:db8::2", 500);
    addresses[3] = endpoint_of("192.0.2.2", 500);
    return 0;
}

static const char *chosen(uint64_t now)
{
    assert_true(targets_choose(&targets, now, false));
    return targets.list[targets.current].name;
}

/* ---- reading ---- */

static void a_list_is_read_in_its_order(void **state)
{
    (void)state;
    assert_int_equal(targets.count, 3);
    assert_string_equal(targets.list[0].name, "one.example");
    assert_string_equal(targets.list[1].name, "192.0.2.2");
    assert_string_equal(targets.list[2].name, "three.example");
}

static void what_is_no_list_is_refused(void **state)
{
    char text[TARGETS_NAME_SIZE + 2];
    (void)state;

    assert_int_equal(targets_read(&targets, "", NULL), -EINVAL);
    assert_int_equal(targets_read(&targets, "a,", NULL), -EINVAL);
    assert_int_equal(targets_read(&targets, ",a", NULL), -EINVAL);
    assert_int_equal(targets_read(&targets, "a,b,c,d,e,f,g,h", NULL), 0);
    assert_int_equal(targets_read(&targets, "a,b,c,d,e,f,g,h,i", NULL), -E2BIG);
    memset(text, 'x', sizeof(text));
    text[TARGETS_NAME_SIZE] = 0;
    assert_int_equal(targets_read(&targets, text, NULL), -ENAMETOOLONG);
    text[TARGETS_NAME_SIZE - 1] = 0;
    assert_int_equal(targets_read(&targets, text, NULL), 0);
}

static void a_name_of_the_plmn_is_composed(void **state)
{
    (void)state;
    assert_int_equal(targets_read(&targets, "plmn:segw.epc, 192.0.2.1", "262-01"), 0);
    assert_string_equal(targets.list[0].name, "segw.epc.mnc001.mcc262.pub.3gppnetwork.org");
    assert_int_equal(targets_read(&targets, "plmn:segw", "310-410"), 0);
    assert_string_equal(targets.list[0].name, "segw.mnc410.mcc310.pub.3gppnetwork.org");
    assert_int_equal(targets_read(&targets, "plmn:segw", NULL), -ENOENT);
    assert_int_equal(targets_read(&targets, "plmn:segw", "26201"), -EINVAL);
}

static void a_plmn_has_three_digits_and_two_or_three(void **state)
{
    static const char *const wrong[] = {"",       "26201",   "262-1",    "262-0001", "26-001",
                                        "262-0a", "262-01 ", "2621-001", "262_01"};
    (void)state;

    assert_true(plmn_is_valid("262-01"));
    assert_true(plmn_is_valid("310-410"));
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        assert_false(plmn_is_valid(wrong[i]));
}

/* ---- which one ---- */

static void the_first_is_preferred_and_the_next_tried_where_it_fails(void **state)
{
    (void)state;
    assert_string_equal(chosen(0), "one.example");
    assert_true(targets_failed(&targets, 0));
    assert_string_equal(chosen(0), "192.0.2.2");
    assert_true(targets_failed(&targets, 0));
    assert_string_equal(chosen(0), "three.example");
    assert_false(targets_failed(&targets, 0)); /* a wait is due, and then each may be tried */
    assert_string_equal(chosen(1), "one.example");
}

static void one_that_has_failed_lately_is_not_preferred(void **state)
{
    (void)state;
    assert_string_equal(chosen(0), "one.example");
    assert_true(targets_failed(&targets, 0));
    assert_string_equal(chosen(0), "192.0.2.2");
    targets_worked(&targets, &addresses[3], 1 * S);
    assert_string_equal(chosen(HOLD * S - 1), "192.0.2.2");
    assert_string_equal(chosen(HOLD * S), "one.example");
}

static void a_preferred_one_is_tried_again_after_its_time(void **state)
{
    (void)state;
    (void)chosen(0);
    assert_int_equal(targets_return_at(&targets), TARGETS_NEVER);
    assert_true(targets_failed(&targets, 0));
    (void)chosen(0);
    targets_worked(&targets, &addresses[3], 1 * S);
    assert_int_equal(targets_return_at(&targets), HOLD * S);
    assert_false(targets_choose(&targets, HOLD * S - 1, true));
    assert_true(targets_choose(&targets, HOLD * S, true));
    assert_int_equal(targets.current, 0);
    targets_worked(&targets, &addresses[0], 70 * S);
    assert_int_equal(targets_return_at(&targets), TARGETS_NEVER);
}

/* Else who waits for that time would find nobody to try, and look again at once. */
static void it_is_time_to_return_exactly_when_there_is_somebody_to_return_to(void **state)
{
    enum { COMBINATIONS = 1 << 6, NOW = 100 };
    (void)state;

    for (unsigned bits = 0; bits < COMBINATIONS; bits++) {
        for (size_t used = 0; used < targets.count; used++) {
            for (size_t i = 0; i < targets.count; i++) {
                targets.list[i].tried = bits >> 2 * i & 1;
                targets.list[i].held_until = (bits >> (2 * i + 1) & 1) != 0 ? NOW + 1 : 0;
            }
            targets.used = used;
            const bool time = targets_return_at(&targets) <= NOW;
            assert_int_equal(time, targets_choose(&targets, NOW, true));
        }
    }
}

/* The preferred one is being tried when the one in use falls silent. */
static void a_loss_is_not_laid_to_the_one_that_is_being_tried(void **state)
{
    (void)state;
    (void)targets_failed(&targets, 0);
    (void)chosen(0);
    targets_worked(&targets, &addresses[3], 0);
    assert_int_equal(targets.used, 1);
    assert_true(targets_choose(&targets, HOLD * S, true));
    targets_lost(&targets, HOLD * S);
    targets_worked(&targets, &addresses[0], HOLD * S);
    assert_int_equal(targets.used, 0);
    assert_int_equal(targets_return_at(&targets), TARGETS_NEVER);
}

static void there_is_no_way_back_where_that_is_configured(void **state)
{
    (void)state;
    targets.hold = 0;
    (void)chosen(0);
    assert_true(targets_failed(&targets, 0));
    (void)chosen(0);
    targets_worked(&targets, &addresses[3], 1 * S);
    assert_int_equal(targets_return_at(&targets), TARGETS_NEVER);
}

static void each_return_in_vain_makes_the_time_longer(void **state)
{
    uint64_t now = 0, hold = HOLD * S;
    (void)state;

    (void)chosen(0);
    assert_true(targets_failed(&targets, now));
    (void)chosen(0);
    targets_worked(&targets, &addresses[3], now);
    for (int i = 0; i < 20; i++) {
        assert_int_equal(targets_return_at(&targets), now + hold);
        now = targets_return_at(&targets);
        assert_true(targets_choose(&targets, now, true));
        (void)targets_failed(&targets, now);
        targets_rest(&targets);
        hold = 2 * hold < TARGETS_HOLD_MAX_S * S ? 2 * hold : TARGETS_HOLD_MAX_S * S;
    }
    assert_int_equal(hold, TARGETS_HOLD_MAX_S * S);
}

/* It comes up each time, and goes at once. */
static void one_that_flaps_is_held_down_longer_each_time(void **state)
{
    uint64_t now = 1 * S;
    (void)state;

    for (unsigned i = 0; i < 3; i++) {
        targets.current = 0;
        targets_worked(&targets, &addresses[0], now);
        targets_lost(&targets, now + 30 * S);
        assert_int_equal(targets.list[0].held_until, now + (30 + ((uint64_t)HOLD << i)) * S);
        now = targets.list[0].held_until;
    }
    targets.current = 0;
    targets_worked(&targets, &addresses[0], now);
    targets_lost(&targets, now + TARGETS_PROVEN_S * S); /* it has worked for long */
    assert_int_equal(targets.list[0].held_until, now + (TARGETS_PROVEN_S + HOLD) * S);
}

/* ---- its addresses ---- */

static void the_first_address_and_one_of_the_other_family_are_tried(void **state)
{
    const Endpoint *other;
    (void)state;

    assert_ptr_equal(targets_address(&targets, addresses, 4, &other), &addresses[0]);
    assert_ptr_equal(other, &addresses[1]);
    assert_ptr_equal(targets_address(&targets, addresses, 1, &other), &addresses[0]);
    assert_null(other);
}

static void an_address_that_worked_is_tried_again(void **state)
{
    const Endpoint *other;
    (void)state;

    targets_worked(&targets, &addresses[1], 1 * S);
    assert_ptr_equal(targets_address(&targets, addresses, 4, &other), &addresses[1]);
    assert_ptr_equal(other, &addresses[2]);
}

static void the_address_after_one_that_failed_is_tried_next(void **state)
{
    const Endpoint *other;
    (void)state;

    for (size_t i = 0; i < 5; i++) {
        assert_ptr_equal(targets_address(&targets, addresses, 4, &other), &addresses[i % 4]);
        (void)targets_failed(&targets, 0);
        targets_rest(&targets);
    }
}

static void an_address_that_is_no_longer_one_of_the_name_is_left(void **state)
{
    const Endpoint gone = endpoint_of("192.0.2.77", 500);
    const Endpoint *other;
    (void)state;

    targets_worked(&targets, &gone, 1 * S);
    assert_ptr_equal(targets_address(&targets, addresses, 4, &other), &addresses[0]);
}

/* ---- REDIRECT ---- */

static const uint8_t nonce_octets[32] = {7};
static const Bytes nonce = {nonce_octets, sizeof(nonce_octets)}, none;
static Redirect redirect;

static int read_text(const char *octets, size_t size)
{
    return redirect_read((Bytes){(const uint8_t *)octets, size}, none, &redirect);
}

#define READ(literal) read_text(literal, sizeof(literal) - 1)

static void each_kind_of_gateway_is_read(void **state)
{
    (void)state;
    assert_int_equal(READ("\1\4\xc0\0\2\1"), 0);
    assert_string_equal(redirect.name, "192.0.2.1");
    assert_int_equal(READ("\2\20\x20\1\xd\xb8\0\0\0\0\0\0\0\0\0\0\0\1"), 0);
    assert_string_equal(redirect.name, "2001:db8::1");
    assert_int_equal(READ("\3\14segw.example"), 0);
    assert_string_equal(redirect.name, "segw.example");
}

static void what_is_malformed_is_refused(void **state)
{
    (void)state;
    assert_int_equal(READ(""), -EBADMSG);
    assert_int_equal(READ("\1"), -EBADMSG);
    assert_int_equal(READ("\1\4\1\2\3"), -EBADMSG);
    assert_int_equal(READ("\1\3\1\2\3"), -EBADMSG);
    assert_int_equal(READ("\1\4\1\2\3\4\5"), -EBADMSG);
    assert_int_equal(READ("\2\4\1\2\3\4"), -EBADMSG);
    assert_int_equal(READ("\3\0"), -EBADMSG);
    assert_int_equal(READ("\3\4a\0bc"), -EBADMSG);
    assert_int_equal(READ("\3\10a name b"), -EBADMSG);
    assert_int_equal(READ("\4\4\1\2\3\4"), -EBADMSG);
    assert_string_equal(redirect.name, "");
}

static void the_nonce_is_ours_to_its_last_octet(void **state)
{
    uint8_t octets[6 + 32] = {1, 4, 192, 0, 2, 1};
    (void)state;

    memcpy(octets + 6, nonce_octets, 32);
    assert_int_equal(redirect_read(BYTES_OF(octets), nonce, &redirect), 0);
    assert_int_equal(redirect_read(BYTES_OF(octets), none, &redirect), -EBADMSG);
    assert_int_equal(redirect_read((Bytes){octets, 6}, nonce, &redirect), -EBADMSG);
    assert_int_equal(redirect_read((Bytes){octets, 6 + 31}, nonce, &redirect), -EBADMSG);
    octets[sizeof(octets) - 1] ^= 1;
    assert_int_equal(redirect_read(BYTES_OF(octets), nonce, &redirect), -EBADMSG);
}

static void who_sent_us_is_named_by_address(void **state)
{
    const Endpoint v4 = endpoint_of("192.0.2.1", 4500), v6 = endpoint_of("2001:db8::1", 500);
    uint8_t octets[REDIRECTED_FROM_MAX];
    (void)state;

    assert_int_equal(redirected_from_write(&v4, octets), 6);
    assert_memory_equal(octets, "\1\4\xc0\0\2\1", 6);
    assert_int_equal(redirected_from_write(&v6, octets), 18);
    assert_int_equal(octets[0], 2);
    assert_int_equal(octets[1], 16);
}

static void five_are_followed_in_300_seconds_and_no_sixth(void **state)
{
    RedirectGuard guard = {0};
    (void)state;

    for (uint64_t i = 0; i < REDIRECTS_MAX; i++)
        assert_true(redirect_allows(&guard, i * S));
    assert_false(redirect_allows(&guard, 5 * S));
    assert_false(redirect_allows(&guard, REDIRECT_PERIOD_S * S - 1));
    assert_true(redirect_allows(&guard, (REDIRECT_PERIOD_S + 1) * S)); /* the first is forgotten */
    assert_true(redirect_allows(&guard, (REDIRECT_PERIOD_S + 1) * S)); /* … and the second */
    assert_false(redirect_allows(&guard, (REDIRECT_PERIOD_S + 1) * S));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_list_is_read_in_its_order, setup),
        cmocka_unit_test_setup(what_is_no_list_is_refused, setup),
        cmocka_unit_test_setup(a_name_of_the_plmn_is_composed, setup),
        cmocka_unit_test_setup(a_plmn_has_three_digits_and_two_or_three, setup),
        cmocka_unit_test_setup(the_first_is_preferred_and_the_next_tried_where_it_fails, setup),
        cmocka_unit_test_setup(one_that_has_failed_lately_is_not_preferred, setup),
        cmocka_unit_test_setup(a_preferred_one_is_tried_again_after_its_time, setup),
        cmocka_unit_test_setup(it_is_time_to_return_exactly_when_there_is_somebody_to_return_to,
                               setup),
        cmocka_unit_test_setup(a_loss_is_not_laid_to_the_one_that_is_being_tried, setup),
        cmocka_unit_test_setup(there_is_no_way_back_where_that_is_configured, setup),
        cmocka_unit_test_setup(each_return_in_vain_makes_the_time_longer, setup),
        cmocka_unit_test_setup(one_that_flaps_is_held_down_longer_each_time, setup),
        cmocka_unit_test_setup(the_first_address_and_one_of_the_other_family_are_tried, setup),
        cmocka_unit_test_setup(an_address_that_worked_is_tried_again, setup),
        cmocka_unit_test_setup(the_address_after_one_that_failed_is_tried_next, setup),
        cmocka_unit_test_setup(an_address_that_is_no_longer_one_of_the_name_is_left, setup),
        cmocka_unit_test(each_kind_of_gateway_is_read),
        cmocka_unit_test(what_is_malformed_is_refused),
        cmocka_unit_test(the_nonce_is_ours_to_its_last_octet),
        cmocka_unit_test(who_sent_us_is_named_by_address),
        cmocka_unit_test(five_are_followed_in_300_seconds_and_no_sixth),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
