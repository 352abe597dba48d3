/* Does each message go out and come in once, in its turn, and only if it is authentic? */
#include "sa_fixture.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void our_request_carries_our_header(void **state)
{
    (void)state;
    _cleanup_(sa_freep) Sa *sa = sa_new_gcm();
    _cleanup_(sealed_message_deinit) SealedMessage sealed = {0};
    uint8_t plain[256];
    IkeMessage message;

    assert_int_equal(sa_seal_notify(sa, IKE_AUTH, false, &sealed), 0);
    assert_int_equal(sealed.count, 1);
    assert_int_equal(sa_peer_opens(sa, &sealed, 0, &message, plain), sizeof(sa->notify));
    assert_memory_equal(plain, sa->notify, sizeof(sa->notify));
    assert_true(message.header.spi_i == SA_SPI_I && message.header.spi_r == SA_SPI_R);
    assert_int_equal(message.header.exchange_type, IKE_AUTH);
    assert_int_equal(message.header.flags, IKE_FLAG_INITIATOR);
    assert_int_equal(message.header.message_id, 1);
    assert_int_equal(message.payloads.inner, IKE_PAYLOAD_NOTIFY);
}

static void requests_count_up_from_one_as_they_are_answered(void **state)
{
    (void)state;
    _cleanup_(sa_freep) Sa *sa = sa_new_gcm();
    PeerMessage answer = sa_auth_response(sa);

    sa_request(sa, IKE_AUTH, 1);
    assert_int_equal(sa_peer_says_notify(sa, &answer), 0);
    for (uint32_t id = 2; id < 10; id++) {
        sa_request(sa, IKE_INFORMATIONAL, id);
        answer.exchange_type = IKE_INFORMATIONAL;
        answer.message_id = id;
        assert_int_equal(sa_peer_says_notify(sa, &answer), 0);
    }
}

static void a_second_request_waits_for_the_first_ones_answer(void **state)
{
    (void)state;
    _cleanup_(sa_freep) Sa *sa = sa_new_gcm();
    SealedMessage sealed;

    sa_request(sa, IKE_AUTH, 1);
    assert_int_equal(sa_seal_notify(sa, IKE_INFORMATIONAL, false, &sealed), PROTECTION_E_BUSY);
}

static void an_answer_is_taken_once(void **state)
{
    (void)state;
    _cleanup_(sa_freep) Sa *sa = sa_new_gcm();
    const PeerMessage answer = sa_auth_response(sa);

    assert_int_equal(sa_peer_says_notify(sa, &answer), PROTECTION_E_REPLAY); /* nothing was asked */
    sa_request(sa, IKE_AUTH, 1);
    assert_int_equal(sa_peer_says_notify(sa, &answer), 0);
    assert_int_equal(sa_peer_says_notify(sa, &answer), PROTECTION_E_REPLAY);
    sa_request(sa, IKE_INFORMATIONAL, 2);
    assert_int_equal(sa_peer_says_notify(sa, &answer), PROTECTION_E_REPLAY);
}

static void an_answer_of_another_exchange_is_foreign(void **state)
{
    (void)state;
    _cleanup_(sa_freep) Sa *sa = sa_new_gcm();
    PeerMessage answer = sa_auth_response(sa);

    sa_request(sa, IKE_AUTH, 1);
    answer.exchange_type = IKE_INFORMATIONAL;
    assert_int_equal(sa_peer_says_notify(sa, &answer), PROTECTION_E_FOREIGN);
    answer.exchange_type = IKE_AUTH;
    assert_int_equal(sa_peer_says_notify(sa, &answer), 0);
}

static void the_peers_requests_count_up_from_zero(void **state)
{
    (void)state;
    _cleanup_(sa_freep) Sa *sa = sa_new_gcm();

    for (uint32_t id = 0; id < 5; id++) {
        const PeerMessage request = sa_peer_request(sa, id), early = sa_peer_request(sa, id + 1);

        assert_int_equal(sa_peer_says_notify(sa, &early), PROTECTION_E_REPLAY);
        assert_int_equal(sa_peer_says_notify(sa, &request), 0);
        assert_int_equal(sa_peer_says_notify(sa, &request), PROTECTION_E_REPLAY);
        assert_int_equal(sa_peer_says_notify(sa, &early),
                         PROTECTION_E_REPLAY); /* not answered yet */
        sa_respond(sa, id);
    }
}

static void a_request_gets_exactly_one_response(void **state)
{
    (void)state;
    _cleanup_(sa_freep) Sa *sa = sa_new_gcm();
    const PeerMessage request = sa_peer_request(sa, 0);
    SealedMessage sealed;

    assert_int_equal(sa_seal_notify(sa, IKE_INFORMATIONAL, true, &sealed), PROTECTION_E_NO_REQUEST);
    assert_int_equal(sa_peer_says_notify(sa, &request), 0);
    assert_int_equal(sa_seal_notify(sa, IKE_CREATE_CHILD_SA, true, &sealed),
                     PROTECTION_E_NO_REQUEST);
    sa_respond(sa, 0);
    assert_int_equal(sa_seal_notify(sa, IKE_INFORMATIONAL, true, &sealed), PROTECTION_E_NO_REQUEST);
}

static void requests_of_both_sides_can_cross(void **state)
{
    (void)state;
    _cleanup_(sa_freep) Sa *sa = sa_new_gcm();
    const PeerMessage request = sa_peer_request(sa, 0), answer = sa_auth_response(sa);

    sa_request(sa, IKE_AUTH, 1);
    assert_int_equal(sa_peer_says_notify(sa, &request), 0);
    sa_respond(sa, 0);
    assert_int_equal(sa_peer_says_notify(sa, &answer), 0);
}

static void a_message_of_another_sa_or_direction_is_foreign(void **state)
{
    (void)state;
    _cleanup_(sa_freep) Sa *sa = sa_new_gcm();
    PeerMessage answer = sa_auth_response(sa);

    sa_request(sa, IKE_AUTH, 1);
    assert_int_equal(sa_open_altered(sa, &answer, 7), PROTECTION_E_FOREIGN);
    assert_int_equal(sa_open_altered(sa, &answer, 15), PROTECTION_E_FOREIGN);
    answer.flags |= IKE_FLAG_INITIATOR;
    assert_int_equal(sa_peer_says_notify(sa, &answer), PROTECTION_E_FOREIGN);
}

static void our_own_message_sent_back_is_foreign(void **state)
{
    (void)state;
    _cleanup_(sa_freep) Sa *sa = sa_new_gcm();
    _cleanup_(sealed_message_deinit) SealedMessage sealed = {0};
    OpenedMessage opened;

    assert_int_equal(sa_seal_notify(sa, IKE_AUTH, false, &sealed), 0);
    assert_int_equal(protection_open(sa->ours,
                                     (Bytes){sealed.datagrams[0].data, sealed.datagrams[0].size},
                                     &opened),
                     PROTECTION_E_FOREIGN);
}

static void a_forged_message_changes_nothing(void **state)
{
    (void)state;
    static const uint16_t ciphers[][2] = {
        {IKE_ENCR_AES_GCM_16, 128}, {IKE_ENCR_AES_CBC, 256}, {IKE_ENCR_CHACHA20_POLY1305, 0}};

    for (size_t i = 0; i < ELEMENTS(ciphers); i++) {
        _cleanup_(sa_freep) Sa *sa = sa_new(ciphers[i][0], ciphers[i][1], true);
        const PeerMessage request = sa_peer_request(sa, 0), answer = sa_auth_response(sa);
        const PeerMessage piece = sa_large_piece(sa, answer, 1, 2);

        sa_request(sa, IKE_AUTH, 1);
        assert_int_equal(sa_open_altered(sa, &request, 40), PROTECTION_E_NOT_AUTHENTIC);
        assert_int_equal(sa_open_altered(sa, &answer, 40), PROTECTION_E_NOT_AUTHENTIC);
        assert_int_equal(sa_open_altered(sa, &piece, 60), PROTECTION_E_NOT_AUTHENTIC);
        assert_int_equal(sa_peer_says_notify(sa, &request), 0);
        assert_int_equal(sa_peer_says_notify(sa, &answer), 0);
    }
}

static void what_is_no_sealed_message_is_malformed(void **state)
{
    (void)state;
    _cleanup_(sa_freep) Sa *sa = sa_new_gcm();
    const IkeHeader header = {
        .spi_i = SA_SPI_I, .spi_r = SA_SPI_R, .exchange_type = IKE_INFORMATIONAL};
    OpenedMessage opened;
    IkeChain chain;
    Bytes clear;
    Writer writer;

    writer_init(&writer, sa->datagram, sizeof(sa->datagram));
    ike_message_begin(&writer, &header, &chain);
    ike_chain_add_notify(&chain, IKE_NOTIFY_AUTHENTICATION_FAILED, (Bytes){0});
    ike_message_end(&chain);
    assert_int_equal(writer_finish(&writer, &clear), 0);
    assert_int_equal(protection_open(sa->ours, clear, &opened), PROTECTION_E_MALFORMED);
    assert_int_equal(protection_open(sa->ours, bytes_slice(clear, 0, 20), &opened),
                     PROTECTION_E_MALFORMED);
    assert_int_equal(protection_open(sa->ours, (Bytes){0}, &opened), PROTECTION_E_MALFORMED);
}

static void an_empty_message_is_sealed_and_opened(void **state)
{
    (void)state;
    _cleanup_(sa_freep) Sa *sa = sa_new_gcm();
    _cleanup_(sealed_message_deinit) SealedMessage sealed = {0};
    PeerMessage request = sa_peer_request(sa, 0);
    uint8_t plain[256];
    IkeMessage message;

    request.first = IKE_PAYLOAD_NONE;
    request.plain = (Bytes){0};
    assert_int_equal(sa_peer_says(sa, &request, (Bytes){0}), 0);
    assert_int_equal(protection_seal(sa->ours, IKE_INFORMATIONAL, true, IKE_PAYLOAD_NONE,
                                     (Bytes){0}, SAFE_DATAGRAM, &sealed),
                     0);
    assert_int_equal(sa_peer_opens(sa, &sealed, 0, &message, plain), 0);
}

static void keys_that_fit_one_direction_alone_are_refused(void **state)
{
    (void)state;
    const ProtectionTerms terms[] = {{SA_SPI_I, SA_SPI_R, true, 1, false},
                                     {SA_SPI_I, SA_SPI_R, false, 0, false}};
    const IkeSuite suite = {
        .cipher = cipher_find(IKE_ENCR_AES_GCM_16, 128),
        .prf = prf_find(IKE_PRF_HMAC_SHA2_256),
        .group = IKE_GROUP_ECP_256,
    };
    _cleanup_(secret_freep) Secret *fit = NULL, *unfit = NULL;
    Protection *protection = NULL;

    assert_int_equal(secret_new(suite.cipher->key_size + suite.cipher->salt_size, &fit), 0);
    assert_int_equal(secret_new(suite.cipher->key_size, &unfit), 0);
    const IkeKeys keys[] = {{.sk_ei = unfit, .sk_er = fit}, {.sk_ei = fit, .sk_er = unfit}};
    for (size_t i = 0; i < ELEMENTS(keys); i++) {
        for (size_t j = 0; j < ELEMENTS(terms); j++)
            assert_int_equal(protection_new(&suite, &keys[i], &terms[j], &protection), -EINVAL);
    }
    assert_null(protection);
}

static void what_follows_a_sealed_payload_is_malformed(void **state)
{
    (void)state;
    _cleanup_(sa_freep) Sa *sa = sa_new_gcm();
    const PeerMessage request = sa_peer_request(sa, 0);
    OpenedMessage opened;
    Bytes longer = sa_peer_seal(sa, &request);

    longer.size++;
    sa->datagram[27]++; /* RFC 7296 3.1: the last octet of Length */
    assert_int_equal(protection_open(sa->ours, longer, &opened), PROTECTION_E_MALFORMED);
    assert_int_equal(sa_peer_says_notify(sa, &request), 0);
}

/* RFC 7296 2.2 */
static void message_ids_run_out_before_they_wrap(void **state)
{
    (void)state;
    _cleanup_(sa_freep) Sa *sa = sa_new_gcm();
    const IkeSuite suite = {.cipher = cipher_find(IKE_ENCR_AES_GCM_16, 128),
                            .prf = prf_find(IKE_PRF_HMAC_SHA2_256),
                            .group = IKE_GROUP_ECP_256};
    const ProtectionTerms terms = {SA_SPI_I, SA_SPI_R, true, UINT32_MAX - 1, true};
    PeerMessage answer = sa_auth_response(sa);
    SealedMessage sealed = {0};

    protection_free(sa->ours);
    sa->ours = NULL;
    assert_int_equal(protection_new(&suite, &sa->keys, &terms, &sa->ours), 0);
    sa_request(sa, IKE_AUTH, UINT32_MAX - 1);
    answer.message_id = UINT32_MAX - 1;
    assert_int_equal(sa_peer_says_notify(sa, &answer), 0);
    assert_int_equal(sa_seal_notify(sa, IKE_INFORMATIONAL, false, &sealed), -EOVERFLOW);
    assert_int_equal(sealed.count, 0);
}

static void the_largest_message_is_taken_and_a_larger_one_is_not(void **state)
{
    (void)state;
    _cleanup_(sa_freep) Sa *sa = sa_new_gcm();
    static uint8_t octets[IKE_MESSAGE_MAX + 1];
    PeerMessage request = sa_peer_request(sa, 0);
    OpenedMessage opened;

    /* IKE header, SK header, IV, Pad Length, ICV. */
    request.plain = (Bytes){octets, IKE_MESSAGE_MAX - (28 + 4 + 8 + 1 + 16)};
    assert_int_equal(sa_peer_seal(sa, &request).size, IKE_MESSAGE_MAX);
    assert_int_equal(sa_peer_says(sa, &request, request.plain), 0);
    assert_int_equal(protection_open(sa->ours, BYTES_OF(octets), &opened), PROTECTION_E_TOO_LARGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(our_request_carries_our_header),
        cmocka_unit_test(requests_count_up_from_one_as_they_are_answered),
        cmocka_unit_test(a_second_request_waits_for_the_first_ones_answer),
        cmocka_unit_test(an_answer_is_taken_once),
        cmocka_unit_test(an_answer_of_another_exchange_is_foreign),
        cmocka_unit_test(the_peers_requests_count_up_from_zero),
        cmocka_unit_test(a_request_gets_exactly_one_response),
        cmocka_unit_test(requests_of_both_sides_can_cross),
        cmocka_unit_test(a_message_of_another_sa_or_direction_is_foreign),
        cmocka_unit_test(our_own_message_sent_back_is_foreign),
        cmocka_unit_test(a_forged_message_changes_nothing),
        cmocka_unit_test(what_is_no_sealed_message_is_malformed),
        cmocka_unit_test(an_empty_message_is_sealed_and_opened),
        cmocka_unit_test(keys_that_fit_one_direction_alone_are_refused),
        cmocka_unit_test(what_follows_a_sealed_payload_is_malformed),
        cmocka_unit_test(message_ids_run_out_before_they_wrap),
        cmocka_unit_test(the_largest_message_is_taken_and_a_larger_one_is_not),
    };

    if (secrets_init() < 0)
        return 1;
    return cmocka_run_group_tests_name("protection", tests, NULL, NULL);
}
