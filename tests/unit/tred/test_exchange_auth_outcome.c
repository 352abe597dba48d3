/* However the device's signature or the check of the SeGW's ends: is it told as what it is, and is
 * nothing signed twice or taken for good? The key is played; the linker puts the functions that
 * fail before the real ones (ld --wrap). */
#include "exchange_fixture.h"

#include "tred/exchange_internal.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct {
    int octets_result, encode_result, verify_result, sign_result; /* 0: as the real one */
    bool is_good;                                                 /* AUTH, whatever it is */
    unsigned n_asked, n_cancelled, n_done;
    SigningDone done;
    void *userdata;
    /* as SignAuth was answered */
    int r;
    size_t auth_size;
    char reason[256];
} outcome;

int __real_auth_signed_octets(const Prf *prf, const Secret *sk_p, Bytes message, Bytes nonce,
                              Bytes id_body, uint8_t **ret, size_t *ret_size);
int __wrap_auth_signed_octets(const Prf *prf, const Secret *sk_p, Bytes message, Bytes nonce,
                              Bytes id_body, uint8_t **ret, size_t *ret_size);
int __real_auth_data_encode(const AuthScheme *scheme, const EVP_PKEY *public, Bytes octets,
                            int pss_salt, uint8_t *ret, size_t *ret_size);
int __wrap_auth_data_encode(const AuthScheme *scheme, const EVP_PKEY *public, Bytes octets,
                            int pss_salt, uint8_t *ret, size_t *ret_size);
int __real_auth_verify(EVP_PKEY *peer_key, uint8_t method, Bytes auth_data, Bytes octets);
int __wrap_auth_verify(EVP_PKEY *peer_key, uint8_t method, Bytes auth_data, Bytes octets);

int __wrap_auth_signed_octets(const Prf *prf, const Secret *sk_p, Bytes message, Bytes nonce,
                              Bytes id_body, uint8_t **ret, size_t *ret_size)
{
    return outcome.octets_result != 0
               ? outcome.octets_result
               : __real_auth_signed_octets(prf, sk_p, message, nonce, id_body, ret, ret_size);
}

int __wrap_auth_data_encode(const AuthScheme *scheme, const EVP_PKEY *public, Bytes octets,
                            int pss_salt, uint8_t *ret, size_t *ret_size)
{
    return outcome.encode_result != 0
               ? outcome.encode_result
               : __real_auth_data_encode(scheme, public, octets, pss_salt, ret, ret_size);
}

int __wrap_auth_verify(EVP_PKEY *peer_key, uint8_t method, Bytes auth_data, Bytes octets)
{
    if (outcome.is_good)
        return 0;
    return outcome.verify_result != 0 ? outcome.verify_result
                                      : __real_auth_verify(peer_key, method, auth_data, octets);
}

/* ---- a key that answers when the test has it answer ---- */

static int key_sign(SigningKey *key, const char *digest_name, bool pss, Bytes digest,
                    SigningDone done, void *userdata, SigningRequest **ret)
{
    (void)key, (void)pss;
    assert_string_equal(digest_name, "SHA256");
    assert_int_equal(digest.size, 32);
    outcome.n_asked++;
    outcome.done = done;
    outcome.userdata = userdata;
    if (outcome.sign_result == 0)
        *ret = (SigningRequest *)(void *)&outcome.n_asked;
    return outcome.sign_result;
}

static void key_cancel(SigningRequest *request)
{
    assert_ptr_equal(request, &outcome.n_asked);
    outcome.n_cancelled++;
}

static const SigningKeyClass key_class = {.sign = key_sign, .cancel = key_cancel};
static SigningKey played_key = {.class = &key_class, .algorithm = "ecdsa-p256"};

static void on_signed(Exchange *exchange, int r, const OwnAuth *auth, const char *reason,
                      void *userdata)
{
    (void)exchange;
    assert_ptr_equal(userdata, &outcome);
    outcome.n_done++;
    outcome.r = r;
    outcome.auth_size = auth ? auth->data.size : 0;
    (void)snprintf(outcome.reason, sizeof(outcome.reason), "%s", reason);
}

static int sign(Play *play)
{
    return exchange_sign_auth(play->exchange, on_signed, &outcome, &play->reason);
}

/* r | s */
static const uint8_t signature[64] = {1, [32] = 1};

static void answer(int r, const char *reason)
{
    outcome.done(r, r == 0 ? BYTES_OF(signature) : (Bytes){0}, reason, outcome.userdata);
}

static SigningKey *key_of_the_tpm;

static int agreed(void **state)
{
    static Play play;

    play_to(&play, EXCHANGE_AGREED);
    memset(&outcome, 0, sizeof(outcome));
    key_of_the_tpm = bench.context.signing_key;
    played_key.public = key_of_the_tpm->public;
    bench.context.signing_key = &played_key;
    *state = &play;
    return 0;
}

static int signed_(void **state)
{
    static Play play;

    play_to(&play, EXCHANGE_SIGNED);
    memset(&outcome, 0, sizeof(outcome));
    key_of_the_tpm = bench.context.signing_key;
    *state = &play;
    return 0;
}

static int end(void **state)
{
    Play *play = *state;

    memset(&outcome, 0, sizeof(outcome));
    play_deinit(play);
    bench.context.signing_key = key_of_the_tpm;
    return 0;
}

/* ---- ours ---- */

/* The TPM would sign a digest of nothing. */
static void nothing_is_signed_where_what_is_to_be_can_not_be_made(void **state)
{
    Play *play = *state;

    outcome.octets_result = -ENOMEM;
    assert_int_equal(sign(play), -ENOMEM);
    assert_int_equal(outcome.n_asked, 0);
    assert_false(exchange_is_signing(play->exchange));
    outcome.octets_result = 0;
    assert_int_equal(sign(play), 0);
    answer(0, "");
    assert_int_equal(outcome.n_done, 1);
    assert_int_equal(outcome.r, 0);
    assert_int_not_equal(outcome.auth_size, 0);
}

static void a_signature_that_can_not_be_written_is_neither_handed_out_nor_made_again(void **state)
{
    Play *play = *state;

    outcome.encode_result = -EINVAL;
    assert_int_equal(sign(play), 0);
    answer(0, "");
    assert_int_equal(outcome.n_done, 1);
    assert_int_equal(outcome.r, -EINVAL);
    assert_int_equal(outcome.auth_size, 0);
    assert_int_equal(exchange_state(play->exchange), EXCHANGE_SIGNED);
    assert_int_equal(sign(play), EXCHANGE_E_WRONG_STATE);
    assert_int_equal(outcome.n_asked, 1);
}

static void a_platform_that_has_changed_is_told_from_a_tpm_that_fails(void **state)
{
    static const struct {
        int result, error;
        const char *reason, *told;
    } cases[] = {
        {-EKEYREJECTED, EXCHANGE_E_INTEGRITY_FAILED, "PCR 7", "The TPM refuses to sign: PCR 7"},
        {-EIO, EXCHANGE_E_TPM_FAILED, "it hangs", "The TPM did not sign: it hangs."},
        {-EINVAL, EXCHANGE_E_TPM_FAILED, "", "The TPM did not sign: it gave no reason."},
    };
    Play *play = *state;

    for (size_t i = 0; i < ELEMENTS(cases); i++) {
        assert_int_equal(sign(play), 0);
        answer(cases[i].result, cases[i].reason);
        assert_int_equal(outcome.r, cases[i].error);
        assert_int_equal(strncmp(outcome.reason, cases[i].told, strlen(cases[i].told)), 0);
        assert_int_equal(exchange_state(play->exchange), EXCHANGE_AGREED);
    }
}

static void a_key_that_no_method_fits_is_not_asked(void **state)
{
    Play *play = *state;

    played_key.public = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    assert_non_null(played_key.public);
    assert_int_equal(sign(play), EXCHANGE_E_METHOD_NOT_ALLOWED);
    assert_int_equal(outcome.n_asked, 0);
    EVP_PKEY_free(played_key.public);
}

static void while_it_is_signed_nothing_else_is(void **state)
{
    Play *play = *state;

    assert_false(exchange_is_signing(play->exchange));
    assert_int_equal(sign(play), 0);
    assert_true(exchange_is_signing(play->exchange));
    assert_int_equal(sign(play), EXCHANGE_E_WRONG_STATE);
    assert_non_null(strstr(play->reason.text, "it is being done"));
    assert_int_equal(outcome.n_asked, 1);
    answer(0, "");
    assert_int_equal(outcome.n_done, 1);
    assert_false(exchange_is_signing(play->exchange));
}

static void a_key_that_can_not_be_asked_leaves_nothing_to_take_back(void **state)
{
    Play *play = *state;

    outcome.sign_result = -ENOMEM;
    assert_int_equal(sign(play), -ENOMEM);
    assert_false(exchange_is_signing(play->exchange));
    exchange_sign_cancel(play->exchange);
    assert_int_equal(outcome.n_cancelled + outcome.n_done, 0);
    outcome.sign_result = 0;
    assert_int_equal(sign(play), 0); /* and it may be tried again */
    exchange_sign_cancel(play->exchange);
    assert_int_equal(outcome.n_cancelled, 1);
    assert_int_equal(outcome.n_done, 1);
    assert_int_equal(outcome.r, -ECANCELED);
}

/* ---- the SeGW's ---- */

static void an_auth_is_refused_as_what_is_wrong_with_it(void **state)
{
    static const struct {
        int found, error;
        const char *told;
    } cases[] = {
        {AUTH_E_METHOD, EXCHANGE_E_METHOD_NOT_ALLOWED, "or a hash that is outside the profile"},
        {AUTH_E_SHA1, EXCHANGE_E_METHOD_NOT_ALLOWED, "and SHA-1, which the profile does not have"},
        {AUTH_E_ENCODING, EXCHANGE_E_PEER_AUTH_FAILED, "AUTH data does not parse"},
        {AUTH_E_SIGNATURE, EXCHANGE_E_PEER_AUTH_FAILED, "AUTH signature is wrong"},
        {-EIO, -EIO, ""},
    };

    for (size_t i = 0; i < ELEMENTS(cases); i++) {
        Play *play = *state;
        const PeerAuth peer = play_peer(play);

        outcome.verify_result = cases[i].found;
        assert_int_equal(play_judge(play, &peer, time(NULL)), cases[i].error);
        assert_non_null(strstr(play->reason.text, cases[i].told));
        assert_int_equal(exchange_state(play->exchange), EXCHANGE_REFUSED);
        (void)end(state);
        (void)signed_(state);
    }
}

static void without_what_the_segw_has_signed_it_is_not_taken(void **state)
{
    Play *play = *state;
    const PeerAuth peer = play_peer(play);

    outcome.octets_result = -ENOMEM;
    assert_int_equal(play_judge(play, &peer, time(NULL)), -ENOMEM);
    assert_int_equal(exchange_state(play->exchange), EXCHANGE_REFUSED);
}

/* With a key that is none, and about another one than was asked about. */
static void a_verdict_about_nobody_takes_nobody(void **state)
{
    for (int i = 0; i < 3; i++) {
        Play *play = *state;
        Verdict verdict = {.taken = true};
        const PeerAuth peer = play_peer(play);
        unsigned char *to = verdict.public_key;

        verdict.public_key_size = (size_t)i2d_PUBKEY(bench.segw.key, &to);
        (void)snprintf(verdict.identity, sizeof(verdict.identity), "%s",
                       i == 1 ? "other.example.org" : SEGW_FQDN);
        if (i == 0)
            verdict.public_key_size--;
        play->verdict = &verdict;
        assert_int_equal(play_judge(play, &peer, time(NULL)),
                         i < 2 ? (int)EXCHANGE_E_VERIFIER_FAILED : 0);
        (void)end(state);
        (void)signed_(state);
    }
}

/* Whatever else the profile has then: who is judged again is so by all of it. */
static void a_profile_that_no_longer_has_its_padding_ends_an_sa(void **state)
{
    static const struct {
        uint8_t method;
        bool then, ends;
    } cases[] = {{IKE_AUTH_RSA, true, false},
                 {IKE_AUTH_RSA, false, true},
                 {IKE_AUTH_ECDSA_SHA256_P256, false, false}};

    for (size_t i = 0; i < ELEMENTS(cases); i++) {
        Play *play = *state;
        Verdict verdict = {.taken = true, .rsa_pkcs1 = true, .identity = SEGW_FQDN};
        PeerAuth peer = play_peer(play);
        unsigned char *to = verdict.public_key;
        Reason reason = {0};

        verdict.public_key_size = (size_t)i2d_PUBKEY(bench.segw.key, &to);
        play->verdict = &verdict;
        outcome.is_good = true;
        peer.method = cases[i].method;
        assert_int_equal(play_judge(play, &peer, time(NULL)), 0);
        verdict.rsa_pkcs1 = cases[i].then;
        assert_int_equal(exchange_verdict_ends(play->exchange, &verdict, &reason), cases[i].ends);
        assert_int_equal(strstr(reason.text, "PKCS#1 v1.5") != NULL, cases[i].ends);
        (void)end(state);
        (void)signed_(state);
    }
}

#define AGREED(test) cmocka_unit_test_setup_teardown(test, agreed, end)
#define SIGNED(test) cmocka_unit_test_setup_teardown(test, signed_, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        AGREED(nothing_is_signed_where_what_is_to_be_can_not_be_made),
        AGREED(a_signature_that_can_not_be_written_is_neither_handed_out_nor_made_again),
        AGREED(a_platform_that_has_changed_is_told_from_a_tpm_that_fails),
        AGREED(a_key_that_no_method_fits_is_not_asked),
        AGREED(while_it_is_signed_nothing_else_is),
        AGREED(a_key_that_can_not_be_asked_leaves_nothing_to_take_back),
        SIGNED(an_auth_is_refused_as_what_is_wrong_with_it),
        SIGNED(without_what_the_segw_has_signed_it_is_not_taken),
        SIGNED(a_verdict_about_nobody_takes_nobody),
        SIGNED(a_profile_that_no_longer_has_its_padding_ends_an_sa),
    };

    return cmocka_run_group_tests_name("exchange auth outcome", tests, bench_init, bench_deinit);
}
