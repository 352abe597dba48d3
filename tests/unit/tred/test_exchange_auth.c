/* Does an exchange sign once and only for itself, and does it believe nobody who can't prove who he
 * is? */
#include "exchange_fixture.h"

#include "tred/exchange_internal.h"

#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static int play_of(void **state, ExchangeState in)
{
    static Play play;

    play_to(&play, in);
    *state = &play;
    return 0;
}

static int agreed(void **state)
{
    return play_of(state, EXCHANGE_AGREED);
}

static int signed_(void **state)
{
    return play_of(state, EXCHANGE_SIGNED);
}

static int end(void **state)
{
    play_deinit(*state);
    return 0;
}

static void the_auth_verifies_over_request_nonce_and_id(void **state)
{
    static const uint8_t id_body[] = "\x02\0\0\0" HENB_FQDN;
    Play *play = *state;
    uint8_t *octets = NULL;
    size_t size = 0;

    play_sign(play);
    assert_int_equal(play->own.id_type, IKE_ID_FQDN);
    assert_memory_equal(play->own.id_data.data, HENB_FQDN, strlen(HENB_FQDN));
    assert_int_equal(play->own.id_data.size, strlen(HENB_FQDN));
    assert_int_equal(auth_signed_octets(play->suite.prf, play->keys.sk_pi, play->request,
                                        (Bytes){play->nonce_r, 32},
                                        (Bytes){id_body, sizeof(id_body) - 1}, &octets, &size),
                     0);
    assert_int_equal(auth_verify(bench.context.signing_key->public, play->own.method,
                                 play->own.data, (Bytes){octets, size}),
                     0);
    free(octets);
}

static void method_14_is_used_where_the_peer_announced_hashes(void **state)
{
    Play *play = *state;

    play_sign(play);
    assert_int_equal(play->own.method, IKE_AUTH_DIGITAL_SIGNATURE);
}

static void method_9_is_used_where_it_did_not(void **state)
{
    Play *play = *state;

    play->exchange->n_peer_hashes = 0;
    play_sign(play);
    assert_int_equal(play->own.method, IKE_AUTH_ECDSA_SHA256_P256);
    assert_int_equal(play->own.data.size, 64);
}

static void what_is_signed_does_not_follow_the_callers_buffer(void **state)
{
    Play *play = *state;
    uint8_t request[PLAY_MESSAGE_MAX];

    memcpy(request, play->request.data, play->request.size);
    memset(play->request_data, 0, sizeof(play->request_data));
    assert_memory_equal(play->exchange->request.data, request, play->request.size);
    memcpy(play->request_data, request, play->request.size);
    the_auth_verifies_over_request_nonce_and_id(state);
}

static void a_second_signature_is_refused(void **state)
{
    Play *play = *state;

    play_sign(play);
    play->own = (OwnAuth){0};
    assert_int_equal(play_try_to_sign(play), EXCHANGE_E_WRONG_STATE);
    assert_int_equal(play->own.data.size, 0);
}

static void without_a_key_it_fails_and_may_be_tried_again(void **state)
{
    Play *play = *state;
    SigningKey *key = bench.context.signing_key;

    bench.context.signing_key = NULL;
    assert_int_equal(play_try_to_sign(play), EXCHANGE_E_TPM_FAILED);
    assert_int_equal(exchange_state(play->exchange), EXCHANGE_AGREED);
    bench.context.signing_key = key;
    play_sign(play);
}

static void a_tpm_that_fails_is_quoted_and_may_be_tried_again(void **state)
{
    Play *play = *state;
    Swtpm swtpm;
    Tpm *tpm = NULL;
    SigningKey *key = bench.context.signing_key, *dead = NULL;

    assert_int_equal(swtpm_start(&swtpm), 0);
    assert_int_equal(tpm_key_new(swtpm.tcti, &tpm, &dead), 0);
    signing_key_prepare(dead);
    swtpm_stop(&swtpm);
    bench.context.signing_key = dead;
    assert_int_equal(play_try_to_sign(play), EXCHANGE_E_TPM_FAILED);
    assert_non_null(strstr(play->reason.text, "TPM2_Sign"));
    assert_int_equal(exchange_state(play->exchange), EXCHANGE_AGREED);
    bench.context.signing_key = key;
    signing_key_free(dead);
    tpm_close(tpm);
    play_sign(play);
}

static void assert_peer_refused(Play *play, const PeerAuth *peer, time_t now, ExchangeError error)
{
    assert_int_equal(play_judge(play, peer, now), error);
    assert_true(strlen(play->reason.text) > 20);
    assert_int_equal(exchange_state(play->exchange), EXCHANGE_REFUSED);
    assert_string_equal(exchange_peer_identity(play->exchange), "");
}

static void the_true_segw_is_verified(void **state)
{
    Play *play = *state;

    play_verify(play);
    assert_int_equal(exchange_state(play->exchange), EXCHANGE_VERIFIED);
    assert_string_equal(exchange_peer_identity(play->exchange), SEGW_FQDN);
}

static void the_init_messages_are_let_go_once_the_peer_is_judged(void **state)
{
    Play *play = *state;

    play_verify(play);
    assert_null(play->exchange->request.data);
    assert_null(play->exchange->response.data);
}

/* By the same certificates, though the IKE_AUTH messages are gone, as they are from AddChild on. */
static void a_peer_that_was_taken_can_be_judged_again(void **state)
{
    Play *play = *state;
    VerifyRequest again;

    assert_false(exchange_verify_again(play->exchange, 7, &again));
    play_verify(play);
    exchange_forget_auth(play->exchange);
    assert_true(exchange_verify_again(play->exchange, 7, &again));
    assert_int_equal(again.type, FRAME_PEER);
    assert_int_equal(again.now, 7);
    assert_true(again.n_certificates > 0);
    assert_int_equal(again.n_certificates, play->n_certificates);
    assert_int_equal(again.idr_type, IKE_ID_FQDN);
    assert_string_equal(again.segw_name, exchange_segw(play->exchange)->name);
    play->exchange->state = EXCHANGE_REPLACED; /* its heir is judged */
    assert_false(exchange_verify_again(play->exchange, 7, &again));
    play->exchange->state = EXCHANGE_VERIFIED;
}

static void a_refusal_ends_an_sa_and_evidence_that_has_grown_old_does_not(void **state)
{
    Exchange *exchange = ((Play *)*state)->exchange;
    Verdict verdict = {.taken = true, .identity = SEGW_FQDN, .path = {.digest = {1}}};

    for (int error = PEER_E_NOT_TRUSTED; error <= PEER_E_REVOCATION_UNKNOWN; error++) {
        Reason reason = {0};

        verdict.refusal.error = error;
        verdict.taken = true;
        assert_false(exchange_verdict_ends(exchange, &verdict, &reason));
        verdict.taken = false;
        const bool ends = error != PEER_E_REVOCATION_UNKNOWN;
        assert_int_equal(exchange_verdict_ends(exchange, &verdict, &reason), ends);
        assert_int_equal(strstr(reason.text, "would not be taken any more") != NULL, ends);
    }
}

/* By which the SeGW was taken, at first or the last time that it was judged. */
static void evidence_that_has_grown_old_ends_no_sa_that_rests_on_its_path(void **state)
{
    Play *play = *state;
    const VerifyPath none = {0};
    VerifyRequest again;
    Reason reason = {0};

    play_verify(play);
    VerifyPath path = play->exchange->peer_path;
    assert_true(exchange_verify_again(play->exchange, 7, &again));
    assert_true(verify_path_equal(&again.path, &path));
    for (int bit = 0; bit < 2; bit++) {
        Verdict old = {.path = path, .refusal = {.error = PEER_E_REVOCATION_UNKNOWN}};
        const Verdict taken = {.taken = true, .identity = SEGW_FQDN, .path = path};

        assert_false(exchange_verdict_ends(play->exchange, &taken, &reason));
        assert_false(exchange_verdict_ends(play->exchange, &old, &reason));
        path.digest[VERIFY_PATH_SIZE - 1] ^= 1;
        old.path = path;
        assert_true(exchange_verdict_ends(play->exchange, &old, &reason));
        old.path = none;
        assert_true(exchange_verdict_ends(play->exchange, &old, &reason));
    }
}

static void a_peer_that_is_taken_again_has_the_end_that_its_chain_has_now(void **state)
{
    Exchange *exchange = ((Play *)*state)->exchange;
    Verdict verdict = {
        .taken = true, .identity = SEGW_FQDN, .expires = 77, .path = {.digest = {1}}};
    Reason reason = {0};

    play_verify(*state);
    assert_false(exchange_verdict_ends(exchange, &verdict, &reason));
    assert_int_equal(exchange_peer_expires(exchange), 77);
    verdict = (Verdict){
        .expires = 88, .path = verdict.path, .refusal = {.error = PEER_E_REVOCATION_UNKNOWN}};
    assert_false(exchange_verdict_ends(exchange, &verdict, &reason));
    assert_int_equal(exchange_peer_expires(exchange), 77);
    verdict = (Verdict){.taken = true, .identity = "other.example.org", .expires = 99};
    assert_true(exchange_verdict_ends(exchange, &verdict, &reason));
    assert_non_null(strstr(reason.text, "about nobody"));
    assert_int_equal(exchange_peer_expires(exchange), 77);
}

static void an_auth_with_any_bit_changed_is_refused(void **state)
{
    Play *play = *state;
    PeerAuth peer = play_peer(play);

    play->auth_data[peer.data.size - 1] ^= 1;
    assert_peer_refused(play, &peer, time(NULL), EXCHANGE_E_PEER_AUTH_FAILED);
}

static void an_auth_with_something_after_it_is_refused(void **state)
{
    Play *play = *state;
    PeerAuth peer = play_peer(play);

    play->auth_data[peer.data.size++] = 0;
    assert_peer_refused(play, &peer, time(NULL), EXCHANGE_E_PEER_AUTH_FAILED);
}

static void a_refused_peer_has_no_second_try(void **state)
{
    Play *play = *state;
    PeerAuth peer = play_peer(play);

    play->auth_data[peer.data.size - 1] ^= 1;
    assert_peer_refused(play, &peer, time(NULL), EXCHANGE_E_PEER_AUTH_FAILED);
    play->auth_data[peer.data.size - 1] ^= 1;
    assert_int_equal(play_judge(play, &peer, time(NULL)), EXCHANGE_E_WRONG_STATE);
}

static void an_auth_over_another_response_is_refused(void **state)
{
    Play *play = *state;
    PeerAuth peer;

    play->response_data[play->response.size - 1] ^= 1;
    peer = play_peer(play);
    assert_peer_refused(play, &peer, time(NULL), EXCHANGE_E_PEER_AUTH_FAILED);
}

static void an_auth_over_another_nonce_is_refused(void **state)
{
    Play *play = *state;
    PeerAuth peer;

    play->nonce_i[0] ^= 1;
    peer = play_peer(play);
    assert_peer_refused(play, &peer, time(NULL), EXCHANGE_E_PEER_AUTH_FAILED);
}

static void our_own_auth_reflected_is_refused(void **state)
{
    Play *play = *state;
    PeerAuth peer = play_peer(play);

    peer.method = play->own.method;
    peer.data = play->own.data;
    assert_peer_refused(play, &peer, time(NULL), EXCHANGE_E_PEER_AUTH_FAILED);
}

static void a_shared_key_method_is_refused(void **state)
{
    Play *play = *state;
    PeerAuth peer = play_peer(play);

    peer.method = IKE_AUTH_SHARED_KEY_MIC;
    assert_peer_refused(play, &peer, time(NULL), EXCHANGE_E_METHOD_NOT_ALLOWED);
}

/* What is wrong is not that there is no certificate. */
static void a_shared_key_method_without_a_certificate_is_refused_as_such(void **state)
{
    Play *play = *state;
    PeerAuth peer = play_peer(play);

    peer.method = IKE_AUTH_SHARED_KEY_MIC;
    peer.n_certificates = 0;
    assert_peer_refused(play, &peer, time(NULL), EXCHANGE_E_METHOD_NOT_ALLOWED);
}

static void a_hash_that_we_did_not_announce_is_refused(void **state)
{
    Play *play = *state;
    PeerAuth peer = play_peer(play);

    play->exchange->own_hashes[0] = IKE_HASH_SHA2_512;
    assert_peer_refused(play, &peer, time(NULL), EXCHANGE_E_METHOD_NOT_ALLOWED);
}

static void method_14_is_refused_where_we_announced_no_hash(void **state)
{
    Play *play = *state;
    PeerAuth peer = play_peer(play);

    play->exchange->n_own_hashes = 0;
    assert_peer_refused(play, &peer, time(NULL), EXCHANGE_E_METHOD_NOT_ALLOWED);
}

static void no_certificate_is_not_trusted(void **state)
{
    Play *play = *state;
    PeerAuth peer = play_peer(play);

    peer.n_certificates = 0;
    assert_peer_refused(play, &peer, time(NULL), EXCHANGE_E_PEER_NOT_TRUSTED);
}

/* RFC 4806: it stands beside a certificate. */
static void an_ocsp_response_alone_is_no_certificate_and_of_no_other_encoding(void **state)
{
    static const uint8_t octets[] = {1, 2, 3};
    Play *play = *state;
    PeerAuth peer = play_peer(play);

    peer.n_certificates = 1;
    peer.certificates[0] = (IkeCert){IKE_CERT_OCSP_CONTENT, BYTES_OF(octets)};
    assert_peer_refused(play, &peer, time(NULL), EXCHANGE_E_PEER_NOT_TRUSTED);
}

/* RFC 4945 3.3.10 */
static void a_certificate_of_another_encoding_beside_a_good_one_is_passed_over(void **state)
{
    static const uint8_t octets[] = {1, 2, 3};
    Play *play = *state;
    PeerAuth peer = play_peer(play);
    const size_t n = peer.n_certificates;

    for (size_t i = n; i-- > 0;)
        peer.certificates[i + 1] = peer.certificates[i];
    peer.certificates[0] = (IkeCert){12, BYTES_OF(octets)};
    peer.certificates[n + 1] = (IkeCert){1, BYTES_OF(octets)};
    peer.certificates[n + 2] = (IkeCert){IKE_CERT_X509_SIGNATURE, {0}}; /* does not decode */
    peer.n_certificates = n + 3;
    assert_int_equal(play_judge(play, &peer, time(NULL)), 0);
}

static void of_many_certificates_the_first_eight_are_judged(void **state)
{
    Play *play = *state;
    PeerAuth peer = play_peer(play);

    for (; peer.n_certificates < ELEMENTS(peer.certificates); peer.n_certificates++)
        peer.certificates[peer.n_certificates] = peer.certificates[0];
    assert_true(peer.n_certificates > PEER_CERTIFICATES_MAX);
    assert_int_equal(play_judge(play, &peer, time(NULL)), 0);
}

static void of_many_ocsp_responses_the_first_eight_are_judged(void **state)
{
    static const uint8_t octets[] = {1, 2, 3};
    Play *play = *state;
    PeerAuth peer = play_peer(play);

    for (size_t i = 0; i <= PEER_OCSP_MAX; i++)
        peer.certificates[peer.n_certificates++] =
            (IkeCert){IKE_CERT_OCSP_CONTENT, BYTES_OF(octets)};
    (void)play_judge(play, &peer, time(NULL));
    assert_int_equal(play->n_ocsp, PEER_OCSP_MAX);
    assert_int_equal(play->n_certificates, peer.n_certificates - PEER_OCSP_MAX - 1);
}

/* Whatever the verifier's word is, but that the peer is taken. */
static void a_peer_that_is_not_taken_is_refused_for_whatever_reason(void **state)
{
    static const struct {
        int error;
        ExchangeError refusal;
    } cases[] = {{PEER_E_NOT_TRUSTED, EXCHANGE_E_PEER_NOT_TRUSTED},
                 {PEER_E_MALFORMED, EXCHANGE_E_PEER_CERTIFICATE_UNFIT},
                 {PEER_E_EXPIRED, EXCHANGE_E_PEER_CERTIFICATE_EXPIRED},
                 {PEER_E_NOT_YET_VALID, EXCHANGE_E_PEER_CERTIFICATE_NOT_YET_VALID},
                 {PEER_E_UNFIT, EXCHANGE_E_PEER_CERTIFICATE_UNFIT},
                 {PEER_E_IDENTITY, EXCHANGE_E_PEER_IDENTITY_MISMATCH},
                 {PEER_E_REVOKED, EXCHANGE_E_PEER_REVOKED},
                 {PEER_E_REVOCATION_UNKNOWN, EXCHANGE_E_PEER_REVOCATION_UNKNOWN},
                 {PEER_E_REVOCATION_UNKNOWN + 1, EXCHANGE_E_PEER_NOT_TRUSTED},
                 {0, EXCHANGE_E_PEER_NOT_TRUSTED},
                 {-1, EXCHANGE_E_PEER_NOT_TRUSTED},
                 {INT_MIN, EXCHANGE_E_PEER_NOT_TRUSTED},
                 {INT_MAX, EXCHANGE_E_PEER_NOT_TRUSTED}};
    Play *play = *state;

    for (size_t i = 0; i < ELEMENTS(cases); i++) {
        const Verdict verdict = {.refusal = {.error = cases[i].error}};
        const PeerAuth peer = play_peer(play);

        play->verdict = &verdict;
        assert_peer_refused(play, &peer, time(NULL), cases[i].refusal);
        play_deinit(play);
        play_to(play, EXCHANGE_SIGNED);
    }
}

static void a_certificate_by_hash_and_url_is_unfit(void **state)
{
    Play *play = *state;
    PeerAuth peer = play_peer(play);

    for (size_t i = 0; i < peer.n_certificates; i++)
        peer.certificates[i].encoding = 12;
    assert_peer_refused(play, &peer, time(NULL), EXCHANGE_E_PEER_CERTIFICATE_UNFIT);
    assert_non_null(strstr(play->reason.text, "encoding 12"));
}

static void octets_that_are_no_certificate_are_unfit(void **state)
{
    Play *play = *state;
    PeerAuth peer = play_peer(play);

    peer.certificates[0].data.size--;
    assert_peer_refused(play, &peer, time(NULL), EXCHANGE_E_PEER_CERTIFICATE_UNFIT);
}

static void an_expired_certificate_is_refused_as_such(void **state)
{
    Play *play = *state;
    PeerAuth peer = play_peer(play);

    assert_peer_refused(play, &peer, time(NULL) + (time_t)2 * PKI_DAY,
                        EXCHANGE_E_PEER_CERTIFICATE_EXPIRED);
}

static void a_certificate_of_tomorrow_is_refused_as_such(void **state)
{
    Play *play = *state;
    PeerAuth peer = play_peer(play);

    assert_peer_refused(play, &peer, time(NULL) - (time_t)2 * PKI_DAY,
                        EXCHANGE_E_PEER_CERTIFICATE_NOT_YET_VALID);
}

static void another_idr_is_an_identity_mismatch(void **state)
{
    Play *play = *state;
    PeerAuth peer = play_peer(play);

    peer.id_data = (Bytes){(const uint8_t *)"other.example.org", 17};
    assert_peer_refused(play, &peer, time(NULL), EXCHANGE_E_PEER_IDENTITY_MISMATCH);
}

static void an_idr_that_only_begins_like_the_name_is_an_identity_mismatch(void **state)
{
    static const uint8_t name[] = SEGW_FQDN "\0.evil";
    Play *play = *state;
    PeerAuth peer = play_peer(play);

    peer.id_data = (Bytes){name, sizeof(name) - 1};
    assert_peer_refused(play, &peer, time(NULL), EXCHANGE_E_PEER_IDENTITY_MISMATCH);
}

static void an_auth_of_another_exchange_is_refused(void **state)
{
    Play *play = *state, other;
    PeerAuth peer = play_peer(play), others;

    play_to(&other, EXCHANGE_SIGNED);
    others = play_peer(&other);
    peer.data = others.data;
    assert_peer_refused(play, &peer, time(NULL), EXCHANGE_E_PEER_AUTH_FAILED);
    play_deinit(&other);
}

static void another_certificate_of_the_same_root_does_not_fit_the_auth(void **state)
{
    static unsigned char der[2048];
    const PkiSpec spec = pki_segw_spec(SEGW_FQDN);
    Pki twin = pki_issue(&spec, &bench.root);
    unsigned char *end_ = der;
    Play *play = *state;
    PeerAuth peer = play_peer(play);

    (void)i2d_X509(twin.certificate, &end_);
    peer.certificates[0].data = (Bytes){der, (size_t)(end_ - der)};
    assert_peer_refused(play, &peer, time(NULL), EXCHANGE_E_PEER_AUTH_FAILED);
    pki_deinit(&twin);
}

static void an_idr_longer_than_any_fqdn_is_an_identity_mismatch(void **state)
{
    static uint8_t letters[3000];
    Play *play = *state;
    PeerAuth peer = play_peer(play);

    memset(letters, 'a', sizeof(letters));
    peer.id_data = BYTES_OF(letters);
    assert_peer_refused(play, &peer, time(NULL), EXCHANGE_E_PEER_IDENTITY_MISMATCH);
}

static void a_response_without_an_idr_is_an_identity_mismatch(void **state)
{
    Play *play = *state;
    PeerAuth peer = play_peer(play);

    peer.id_data = (Bytes){0};
    assert_peer_refused(play, &peer, time(NULL), EXCHANGE_E_PEER_IDENTITY_MISMATCH);
}

static void a_response_without_an_auth_is_refused_with_what_it_says_instead(void **state)
{
    Play *play = *state;
    PeerAuth peer = play_peer(play);

    peer.data = (Bytes){0};
    play_request_auth(play);
    play->child_granted = (ChildTerms){.notify = IKE_NOTIFY_AUTHENTICATION_FAILED};
    assert_peer_refused(play, &peer, time(NULL), EXCHANGE_E_PEER_AUTH_FAILED);
    assert_non_null(strstr(play->reason.text, "AUTHENTICATION_FAILED"));
}

/* SK with no payload in it: sealed by who has the keys, and says nothing. */
static void an_authentic_response_with_nothing_in_it_is_refused(void **state)
{
    uint8_t buffer[PLAY_MESSAGE_MAX];
    OpenedMessage opened = {0};
    VerifyRequest request;
    Play *play = *state;
    bool complete = false;

    play_request_auth(play);
    const Bytes empty = play_seal(play, IKE_AUTH, true, 1, IKE_PAYLOAD_NONE, (Bytes){0}, buffer);
    assert_int_equal(exchange_unprotect(play->exchange, empty, &complete, &opened, &play->reason),
                     0);
    assert_true(complete);
    assert_int_equal(opened.plain_size, 0);
    opened_message_deinit(&opened);
    assert_int_equal(exchange_verify_begin(play->exchange, time(NULL), &request, &play->reason),
                     EXCHANGE_E_PEER_AUTH_FAILED);
    assert_int_equal(exchange_state(play->exchange), EXCHANGE_REFUSED);
}

static void nobody_is_judged_before_a_response_was_opened(void **state)
{
    VerifyRequest request;
    Play *play = *state;

    play_request_auth(play);
    assert_int_equal(exchange_verify_begin(play->exchange, time(NULL), &request, &play->reason),
                     EXCHANGE_E_WRONG_STATE);
    assert_int_equal(exchange_state(play->exchange), EXCHANGE_SIGNED);
    play_verify(play); /* and it may still come */
}

/* RFC 7296 2.15: MACedIDForR is over all of IDr's body but its generic header. */
static void the_auth_covers_the_reserved_octets_of_idr(void **state)
{
    Play *play = *state;
    PeerAuth peer;

    play->id_reserved = 0xa5;
    peer = play_peer(play);
    assert_int_equal(play_judge(play, &peer, time(NULL)), 0);
}

static void reserved_octets_of_idr_that_were_changed_spoil_the_auth(void **state)
{
    Play *play = *state;
    PeerAuth peer = play_peer(play);

    peer.id_reserved = 1;
    assert_peer_refused(play, &peer, time(NULL), EXCHANGE_E_PEER_AUTH_FAILED);
}

static void a_segw_of_another_root_is_not_trusted(void **state)
{
    static unsigned char der[2048];
    const PkiSpec spec = pki_segw_spec(SEGW_FQDN);
    Pki root = pki_root("Root"), segw = pki_issue(&spec, &root);
    unsigned char *end_ = der;
    Play *play = *state;
    PeerAuth peer = play_peer(play);

    (void)i2d_X509(segw.certificate, &end_);
    peer.certificates[0].data = (Bytes){der, (size_t)(end_ - der)};
    assert_peer_refused(play, &peer, time(NULL), EXCHANGE_E_PEER_NOT_TRUSTED);
    pki_deinit(&segw);
    pki_deinit(&root);
}

#define AGREED(test) cmocka_unit_test_setup_teardown(test, agreed, end)
#define SIGNED(test) cmocka_unit_test_setup_teardown(test, signed_, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        AGREED(the_auth_verifies_over_request_nonce_and_id),
        AGREED(method_14_is_used_where_the_peer_announced_hashes),
        AGREED(method_9_is_used_where_it_did_not),
        AGREED(what_is_signed_does_not_follow_the_callers_buffer),
        AGREED(a_second_signature_is_refused),
        AGREED(without_a_key_it_fails_and_may_be_tried_again),
        AGREED(a_tpm_that_fails_is_quoted_and_may_be_tried_again),
        SIGNED(the_true_segw_is_verified),
        SIGNED(a_peer_that_was_taken_can_be_judged_again),
        SIGNED(a_refusal_ends_an_sa_and_evidence_that_has_grown_old_does_not),
        SIGNED(evidence_that_has_grown_old_ends_no_sa_that_rests_on_its_path),
        SIGNED(a_peer_that_is_taken_again_has_the_end_that_its_chain_has_now),
        SIGNED(the_init_messages_are_let_go_once_the_peer_is_judged),
        SIGNED(an_auth_with_any_bit_changed_is_refused),
        SIGNED(a_refused_peer_has_no_second_try),
        SIGNED(an_auth_over_another_response_is_refused),
        SIGNED(an_auth_over_another_nonce_is_refused),
        SIGNED(our_own_auth_reflected_is_refused),
        SIGNED(a_shared_key_method_is_refused),
        SIGNED(a_shared_key_method_without_a_certificate_is_refused_as_such),
        SIGNED(a_hash_that_we_did_not_announce_is_refused),
        SIGNED(method_14_is_refused_where_we_announced_no_hash),
        SIGNED(an_ocsp_response_alone_is_no_certificate_and_of_no_other_encoding),
        SIGNED(no_certificate_is_not_trusted),
        SIGNED(a_certificate_of_another_encoding_beside_a_good_one_is_passed_over),
        SIGNED(of_many_certificates_the_first_eight_are_judged),
        SIGNED(of_many_ocsp_responses_the_first_eight_are_judged),
        SIGNED(a_peer_that_is_not_taken_is_refused_for_whatever_reason),
        SIGNED(a_certificate_by_hash_and_url_is_unfit),
        SIGNED(octets_that_are_no_certificate_are_unfit),
        SIGNED(an_expired_certificate_is_refused_as_such),
        SIGNED(a_certificate_of_tomorrow_is_refused_as_such),
        SIGNED(another_idr_is_an_identity_mismatch),
        SIGNED(an_idr_that_only_begins_like_the_name_is_an_identity_mismatch),
        SIGNED(an_auth_of_another_exchange_is_refused),
        SIGNED(an_auth_with_something_after_it_is_refused),
        SIGNED(another_certificate_of_the_same_root_does_not_fit_the_auth),
        SIGNED(an_idr_longer_than_any_fqdn_is_an_identity_mismatch),
        SIGNED(a_response_without_an_idr_is_an_identity_mismatch),
        SIGNED(a_response_without_an_auth_is_refused_with_what_it_says_instead),
        SIGNED(an_authentic_response_with_nothing_in_it_is_refused),
        SIGNED(nobody_is_judged_before_a_response_was_opened),
        SIGNED(the_auth_covers_the_reserved_octets_of_idr),
        SIGNED(reserved_octets_of_idr_that_were_changed_spoil_the_auth),
        SIGNED(a_segw_of_another_root_is_not_trusted),
    };

    return cmocka_run_group_tests(tests, bench_init, bench_deinit);
}
