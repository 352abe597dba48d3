/* Is a SeGW's AUTH ever judged by what was found for want of memory? Each allocation of OpenSSL's
 * fails once while it is. */
#include "exchange_fixture.h"

#include "crypto/memory.h"
#include "tred/exchange_internal.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

/* The linker puts these in the place of the real ones (--wrap). */
void *__real_malloc(size_t size);             /* NOLINT(bugprone-reserved-identifier) */
void *__real_realloc(void *old, size_t size); /* NOLINT(bugprone-reserved-identifier) */
void __real_memory_watch_begin(void);         /* NOLINT(bugprone-reserved-identifier) */
void *__wrap_malloc(size_t size);             /* NOLINT(bugprone-reserved-identifier) */
void *__wrap_realloc(void *old, size_t size); /* NOLINT(bugprone-reserved-identifier) */
void __wrap_memory_watch_begin(void);         /* NOLINT(bugprone-reserved-identifier) */

enum { FEWEST = 10 }; /* allocations of a judgement */

/* RFC 7427 A.1.1: sha256WithRSAEncryption, and its size before it. */
static const uint8_t PKCS1[] = {15,   0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48,
                                0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0b, 0x05, 0x00};

static struct {
    size_t nth, left; /* until the allocation that is to fail; 0: none is */
    bool failed;
} plan;

static bool is_to_fail(void)
{
    if (plan.left == 0 || --plan.left > 0)
        return false;
    plan.failed = true;
    return true;
}

void *__wrap_malloc(size_t size)
{
    return is_to_fail() ? NULL : __real_malloc(size);
}

void *__wrap_realloc(void *old, size_t size)
{
    return is_to_fail() ? NULL : __real_realloc(old, size);
}

/* The judgement begins. */
void __wrap_memory_watch_begin(void)
{
    __real_memory_watch_begin();
    if (plan.nth > 0)
        plan.left = plan.nth;
}

/* By the rules of a profile that has no PKCS#1 v1.5. */
static Verdict verdict_on(const Pki *segw)
{
    Verdict verdict = {.taken = true, .expires = time(NULL) + PKI_DAY};
    unsigned char *end = verdict.public_key;

    verdict.public_key_size = (size_t)i2d_PUBKEY(segw->key, &end);
    (void)snprintf(verdict.identity, sizeof(verdict.identity), "%s", SEGW_FQDN);
    return verdict;
}

/* What AUTH comes to when the nth allocation fails, and when none does (0). */
static int judged_without(size_t nth, const Verdict *verdict, bool spoilt)
{
    static uint8_t pkcs1[AUTH_DATA_MAX];
    Play play;

    play_to(&play, EXCHANGE_SIGNED);
    PeerAuth peer = play_peer(&play);
    if (EVP_PKEY_is_a(bench.segw.key, "RSA")) {
        const size_t size = (size_t)EVP_PKEY_get_size(bench.segw.key);

        memcpy(pkcs1, PKCS1, sizeof(PKCS1));
        memcpy(pkcs1 + sizeof(PKCS1), peer.data.data + peer.data.size - size, size);
        peer.data = (Bytes){pkcs1, sizeof(PKCS1) + size};
    }
    if (spoilt)
        play.auth_data[peer.data.size - 1] ^= 1;
    play.verdict = verdict;
    plan.nth = nth;
    plan.failed = false;
    const int r = play_judge(&play, &peer, time(NULL));
    plan.left = plan.nth = 0;
    assert_int_equal(exchange_state(play.exchange) == EXCHANGE_VERIFIED, r == 0);
    if (r == -ENOMEM)
        assert_string_equal(play.reason.text, "");
    play_deinit(&play);
    return r;
}

static void assert_judged_or_without_memory(const Pki *segw, bool spoilt, int expected)
{
    const Verdict verdict = verdict_on(segw);
    const Pki before = bench.segw;
    size_t nth = 0;

    bench.segw = *segw;
    do {
        const int r = judged_without(nth, &verdict, spoilt);

        if (r != (plan.failed ? -ENOMEM : expected))
            fail_msg("without allocation %zu it comes to %d in place of %d", nth, r, expected);
    } while (nth++ == 0 || plan.failed);
    bench.segw = before;
    assert_true(nth > FEWEST);
}

static void without_memory_no_auth_is_called_good_or_wrong(void **state)
{
    (void)state;
    assert_judged_or_without_memory(&bench.segw, false, 0);
    assert_judged_or_without_memory(&bench.segw, true, EXCHANGE_E_PEER_AUTH_FAILED);
}

/* Not even as one that can't be told from one that is allowed. */
static void without_memory_no_signature_outside_the_profile_is_taken(void **state)
{
    PkiSpec spec = pki_segw_spec(SEGW_FQDN);

    (void)state;
    spec.key = "RSA-2048";
    Pki segw = pki_issue(&spec, &bench.root);
    assert_judged_or_without_memory(&segw, false, EXCHANGE_E_METHOD_NOT_ALLOWED);
    pki_deinit(&segw);
}

/* Of both messages, the keys and what seals with them: all, or the exchange is where it was. */
static void without_memory_an_exchange_agrees_on_nothing(void **state)
{
    size_t nth = 0, refused = 0;

    (void)state;
    do {
        Play play;

        play_init(&play);
        const InitSpec request = play_request_spec(&play), response = play_response_spec(&play);
        play_request_build(&play, &request);
        play_response_build(&play, &response);
        plan.failed = false;
        plan.left = ++nth;
        const int r = exchange_agree(play.exchange, play.request, play.response, &play.reason);
        plan.left = 0;
        assert_int_equal(exchange_state(play.exchange), r == 0 ? EXCHANGE_AGREED : EXCHANGE_BEGUN);
        assert_true(r == 0 || plan.failed);
        assert_int_not_equal(r, EXCHANGE_E_BAD_KEY_EXCHANGE); /* which the response did not have */
        assert_int_equal(play.exchange->protection != NULL, r == 0);
        assert_int_equal(play.exchange->request.size, r == 0 ? play.request.size : 0);
        assert_int_equal(play.exchange->response.size, r == 0 ? play.response.size : 0);
        refused += r == -ENOMEM;
        play_deinit(&play);
    } while (plan.failed);
    assert_true(refused > FEWEST);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_memory_no_auth_is_called_good_or_wrong),
        cmocka_unit_test(without_memory_an_exchange_agrees_on_nothing),
        cmocka_unit_test(without_memory_no_signature_outside_the_profile_is_taken),
    };

    return cmocka_run_group_tests_name("exchange auth memory", tests, bench_init, bench_deinit);
}
