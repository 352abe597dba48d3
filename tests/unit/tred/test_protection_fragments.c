/* Are messages cut to fit the path, and put together again, whatever comes in between? */
#include "sa_fixture.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

/* Allocations of ours from now on until one fails; 0: none is to. */
static size_t allocations_left;

void *__wrap_malloc(size_t size);
void *__real_malloc(size_t size);

void *__wrap_malloc(size_t size)
{
    return allocations_left > 0 && --allocations_left == 0 ? NULL : __real_malloc(size);
}

/* Our large request, as the SeGW would put it together again. */
static void assert_fragments(Sa *sa, const SealedMessage *sealed, size_t max_datagram)
{
    uint8_t whole[LARGE + 64];
    size_t size = 0;

    for (size_t i = 0; i < sealed->count; i++) {
        uint8_t plain[2048];
        IkeMessage message;
        IkeFragment fragment;
        size_t piece = sa_peer_opens(sa, sealed, i, &message, plain);

        assert_in_range(sealed->datagrams[i].size, 1, max_datagram);
        assert_int_equal(message.header.message_id, sealed->message_id);
        assert_int_equal(message.payloads.items[0].type, IKE_PAYLOAD_SKF);
        assert_int_equal(ike_fragment_decode(message.payloads.items[0].body, &fragment), 0);
        assert_int_equal(fragment.number, i + 1);
        assert_int_equal(fragment.total, sealed->count);
        assert_int_equal(message.payloads.inner, i == 0 ? IKE_PAYLOAD_VENDOR_ID : 0);
        assert_in_range(size + piece, 1, sizeof(whole));
        memcpy(whole + size, plain, piece);
        size += piece;
    }
    assert_int_equal(size, LARGE);
    assert_memory_equal(whole, sa->large, LARGE);
}

static void a_large_message_is_cut_to_fit_the_datagrams(void **state)
{
    (void)state;
    static const size_t sizes[] = {SAFE_DATAGRAM, SAFE_DATAGRAM + 1, 600, 1232, 1280, 1400};
    static const uint16_t ciphers[][2] = {
        {IKE_ENCR_AES_GCM_16, 256}, {IKE_ENCR_AES_CBC, 128}, {IKE_ENCR_CHACHA20_POLY1305, 0}};

    for (size_t i = 0; i < ELEMENTS(ciphers); i++) {
        for (size_t j = 0; j < ELEMENTS(sizes); j++) {
            _cleanup_(sa_freep) Sa *sa = sa_new(ciphers[i][0], ciphers[i][1], true);
            _cleanup_(sealed_message_deinit) SealedMessage sealed = {0};

            assert_int_equal(protection_seal(sa->ours, IKE_AUTH, false, IKE_PAYLOAD_VENDOR_ID,
                                             BYTES_OF(sa->large), sizes[j], &sealed),
                             0);
            assert_true(sealed.count > 1);
            assert_fragments(sa, &sealed, sizes[j]);
        }
    }
}

static void a_message_that_fits_is_not_cut(void **state)
{
    (void)state;
    _cleanup_(sa_freep) Sa *sa = sa_new_gcm();
    _cleanup_(sealed_message_deinit) SealedMessage whole = {0}, cut = {0};
    const PeerMessage answer = sa_auth_response(sa);
    size_t size = IKE_HEADER_SIZE + IKE_PAYLOAD_HEADER_SIZE + seal_size(sa->peer_in, LARGE);

    assert_int_equal(protection_seal(sa->ours, IKE_AUTH, false, IKE_PAYLOAD_VENDOR_ID,
                                     BYTES_OF(sa->large), size, &whole),
                     0);
    assert_int_equal(whole.count, 1);
    assert_int_equal(whole.datagrams[0].size, size);
    assert_int_equal(sa_peer_says_notify(sa, &answer), 0);
    assert_int_equal(protection_seal(sa->ours, IKE_AUTH, false, IKE_PAYLOAD_VENDOR_ID,
                                     BYTES_OF(sa->large), size - 1, &cut),
                     0);
    assert_int_equal(cut.count, 2);
}

static void without_fragmentation_agreed_a_large_message_goes_whole(void **state)
{
    (void)state;
    _cleanup_(sa_freep) Sa *sa = sa_new(IKE_ENCR_AES_GCM_16, 128, false);
    _cleanup_(sealed_message_deinit) SealedMessage sealed = {0};
    const PeerMessage piece = sa_large_piece(sa, sa_auth_response(sa), 1, 2);

    assert_int_equal(protection_seal(sa->ours, IKE_AUTH, false, IKE_PAYLOAD_VENDOR_ID,
                                     BYTES_OF(sa->large), SAFE_DATAGRAM, &sealed),
                     0);
    assert_int_equal(sealed.count, 1);
    assert_int_equal(sa_peer_says_notify(sa, &piece), PROTECTION_E_MALFORMED);
}

static void datagrams_too_small_to_cut_for_are_refused_and_the_id_kept(void **state)
{
    (void)state;
    _cleanup_(sa_freep) Sa *sa = sa_new_gcm();
    static const size_t sizes[] = {0, 28, 36, 60, 61, 90};
    SealedMessage sealed;

    for (size_t i = 0; i < ELEMENTS(sizes); i++) {
        assert_int_equal(protection_seal(sa->ours, IKE_AUTH, false, IKE_PAYLOAD_VENDOR_ID,
                                         BYTES_OF(sa->large), sizes[i], &sealed),
                         PROTECTION_E_TOO_LARGE);
    }
    sa_request(sa, IKE_AUTH, 1);
}

static void a_message_beyond_the_limit_is_refused(void **state)
{
    (void)state;
    _cleanup_(sa_freep) Sa *sa = sa_new_gcm();
    /* IKE header, SK header, IV, Pad Length, ICV. */
    const size_t most = IKE_MESSAGE_MAX - (28 + 4 + 8 + 1 + 16);
    SealedMessage sealed;

    assert_int_equal(protection_seal(sa->ours, IKE_AUTH, false, IKE_PAYLOAD_VENDOR_ID,
                                     (Bytes){sa->datagram, most + 1}, 1400, &sealed),
                     PROTECTION_E_TOO_LARGE);
    assert_int_equal(protection_seal(sa->ours, IKE_AUTH, false, IKE_PAYLOAD_VENDOR_ID,
                                     (Bytes){sa->datagram, most}, 1400, &sealed),
                     0);
    sealed_message_deinit(&sealed);
}

static void fragments_are_put_together_in_any_order(void **state)
{
    (void)state;
    static const uint16_t orders[][4] = {{1, 2, 3, 4}, {4, 3, 2, 1}, {3, 1, 4, 2}};

    for (size_t i = 0; i < ELEMENTS(orders); i++) {
        _cleanup_(sa_freep) Sa *sa = sa_new_gcm();

        sa_request(sa, IKE_AUTH, 1);
        for (size_t j = 0; j < 4; j++) {
            const PeerMessage piece = sa_large_piece(sa, sa_auth_response(sa), orders[i][j], 4);

            assert_int_equal(sa_peer_says(sa, &piece, BYTES_OF(sa->large)),
                             j < 3 ? PROTECTION_E_FRAGMENT : 0);
        }
    }
}

static void the_whole_says_what_the_first_fragment_said(void **state)
{
    (void)state;
    _cleanup_(sa_freep) Sa *sa = sa_new_gcm();
    _cleanup_(opened_message_deinit) OpenedMessage opened = {0};
    const PeerMessage two = sa_large_piece(sa, sa_peer_request(sa, 0), 2, 2);
    const PeerMessage one = sa_large_piece(sa, sa_peer_request(sa, 0), 1, 2);

    assert_int_equal(sa_peer_says_notify(sa, &two), PROTECTION_E_FRAGMENT);
    assert_int_equal(protection_open(sa->ours, sa_peer_seal(sa, &one), &opened), 0);
    assert_int_equal(opened.first, IKE_PAYLOAD_VENDOR_ID);
    assert_int_equal(opened.plain_size, LARGE);
    assert_false(opened.response);
}

static void a_repeated_fragment_is_a_replay(void **state)
{
    (void)state;
    _cleanup_(sa_freep) Sa *sa = sa_new_gcm();
    const PeerMessage one = sa_large_piece(sa, sa_auth_response(sa), 1, 2);
    const PeerMessage two = sa_large_piece(sa, sa_auth_response(sa), 2, 2);

    sa_request(sa, IKE_AUTH, 1);
    assert_int_equal(sa_peer_says_notify(sa, &one), PROTECTION_E_FRAGMENT);
    assert_int_equal(sa_peer_says_notify(sa, &one), PROTECTION_E_REPLAY);
    assert_int_equal(sa_peer_says(sa, &two, BYTES_OF(sa->large)), 0);
    assert_int_equal(sa_peer_says_notify(sa, &one), PROTECTION_E_REPLAY);
    assert_int_equal(sa_peer_says_notify(sa, &two), PROTECTION_E_REPLAY);
}

static void smaller_pieces_take_over_and_larger_are_refused(void **state)
{
    (void)state;
    _cleanup_(sa_freep) Sa *sa = sa_new_gcm();

    sa_request(sa, IKE_AUTH, 1);
    for (uint16_t number = 1; number <= 2; number++) {
        const PeerMessage piece = sa_large_piece(sa, sa_auth_response(sa), number, 3);

        assert_int_equal(sa_peer_says_notify(sa, &piece), PROTECTION_E_FRAGMENT);
    }
    for (uint16_t number = 5; number >= 1; number--) {
        const PeerMessage piece = sa_large_piece(sa, sa_auth_response(sa), number, 5);
        const PeerMessage late = sa_large_piece(sa, sa_auth_response(sa), 3, 3);

        assert_int_equal(sa_peer_says(sa, &piece, BYTES_OF(sa->large)),
                         number > 1 ? PROTECTION_E_FRAGMENT : 0);
        assert_int_equal(sa_peer_says_notify(sa, &late), PROTECTION_E_REPLAY);
    }
}

static void an_unauthentic_fragment_of_a_larger_total_restarts_nothing(void **state)
{
    (void)state;
    _cleanup_(sa_freep) Sa *sa = sa_new_gcm();
    const PeerMessage one = sa_large_piece(sa, sa_auth_response(sa), 1, 2);
    const PeerMessage forged = sa_large_piece(sa, sa_auth_response(sa), 1, 3);
    const PeerMessage two = sa_large_piece(sa, sa_auth_response(sa), 2, 2);

    sa_request(sa, IKE_AUTH, 1);
    assert_int_equal(sa_peer_says_notify(sa, &one), PROTECTION_E_FRAGMENT);
    assert_int_equal(sa_open_altered(sa, &forged, 100), PROTECTION_E_NOT_AUTHENTIC);
    assert_int_equal(sa_peer_says(sa, &two, BYTES_OF(sa->large)), 0);
}

static void an_unfragmented_message_is_taken_amid_fragments(void **state)
{
    (void)state;
    _cleanup_(sa_freep) Sa *sa = sa_new_gcm();
    const PeerMessage one = sa_large_piece(sa, sa_auth_response(sa), 1, 2);
    const PeerMessage two = sa_large_piece(sa, sa_auth_response(sa), 2, 2);
    const PeerMessage answer = sa_auth_response(sa);

    sa_request(sa, IKE_AUTH, 1);
    assert_int_equal(sa_peer_says_notify(sa, &one), PROTECTION_E_FRAGMENT);
    assert_int_equal(sa_peer_says_notify(sa, &answer), 0);
    assert_int_equal(sa_peer_says_notify(sa, &two), PROTECTION_E_REPLAY);
}

static void each_message_is_put_together_anew(void **state)
{
    (void)state;
    _cleanup_(sa_freep) Sa *sa = sa_new_gcm();

    for (uint32_t id = 1; id <= 3; id++) {
        PeerMessage answer = sa_auth_response(sa);

        sa_request(sa, IKE_AUTH, id);
        answer.message_id = id;
        for (uint16_t number = 1; number <= 2; number++) {
            const PeerMessage piece = sa_large_piece(sa, answer, number, 2);

            assert_int_equal(sa_peer_says(sa, &piece, BYTES_OF(sa->large)),
                             number < 2 ? PROTECTION_E_FRAGMENT : 0);
        }
    }
}

static void fragments_of_a_request_and_of_a_response_do_not_mix(void **state)
{
    (void)state;
    _cleanup_(sa_freep) Sa *sa = sa_new_gcm();
    const PeerMessage request_1 = sa_large_piece(sa, sa_peer_request(sa, 0), 1, 2);
    const PeerMessage request_2 = sa_large_piece(sa, sa_peer_request(sa, 0), 2, 2);
    const PeerMessage response_1 = sa_large_piece(sa, sa_auth_response(sa), 1, 2);
    const PeerMessage response_2 = sa_large_piece(sa, sa_auth_response(sa), 2, 2);

    sa_request(sa, IKE_AUTH, 1);
    assert_int_equal(sa_peer_says_notify(sa, &request_1), PROTECTION_E_FRAGMENT);
    assert_int_equal(sa_peer_says_notify(sa, &response_2), PROTECTION_E_FRAGMENT);
    assert_int_equal(sa_peer_says(sa, &request_2, BYTES_OF(sa->large)), 0);
    assert_int_equal(sa_peer_says(sa, &response_1, BYTES_OF(sa->large)), 0);
}

static void more_fragments_than_we_hold_are_too_large(void **state)
{
    (void)state;
    _cleanup_(sa_freep) Sa *sa = sa_new_gcm();
    const PeerMessage piece =
        sa_large_piece(sa, sa_auth_response(sa), 1, PROTECTION_DATAGRAMS_MAX + 1);

    sa_request(sa, IKE_AUTH, 1);
    assert_int_equal(sa_peer_says_notify(sa, &piece), PROTECTION_E_TOO_LARGE);
}

static void an_empty_message_is_not_cut_however_small_the_datagrams(void **state)
{
    (void)state;
    _cleanup_(sa_freep) Sa *sa = sa_new_gcm();
    _cleanup_(sealed_message_deinit) SealedMessage sealed = {0};

    assert_int_equal(
        protection_seal(sa->ours, IKE_AUTH, false, IKE_PAYLOAD_NONE, (Bytes){0}, 0, &sealed), 0);
    assert_int_equal(sealed.count, 1);
}

static void a_message_is_cut_into_as_many_fragments_as_we_hold_and_no_more(void **state)
{
    (void)state;
    _cleanup_(sa_freep) Sa *sa = sa_new_gcm();
    _cleanup_(sealed_message_deinit) SealedMessage sealed = {0}, most = {0};
    const PeerMessage answer = sa_auth_response(sa);
    uint8_t plain[2048];
    IkeMessage message;

    assert_int_equal(protection_seal(sa->ours, IKE_AUTH, false, IKE_PAYLOAD_VENDOR_ID,
                                     BYTES_OF(sa->large), SAFE_DATAGRAM, &sealed),
                     0);
    const size_t size = PROTECTION_DATAGRAMS_MAX * sa_peer_opens(sa, &sealed, 0, &message, plain);
    assert_int_equal(sa_peer_says_notify(sa, &answer), 0);
    assert_int_equal(protection_seal(sa->ours, IKE_AUTH, false, IKE_PAYLOAD_VENDOR_ID,
                                     (Bytes){sa->datagram, size + 1}, SAFE_DATAGRAM, &most),
                     PROTECTION_E_TOO_LARGE);
    assert_int_equal(protection_seal(sa->ours, IKE_AUTH, false, IKE_PAYLOAD_VENDOR_ID,
                                     (Bytes){sa->datagram, size}, SAFE_DATAGRAM, &most),
                     0);
    assert_int_equal(most.count, PROTECTION_DATAGRAMS_MAX);
}

static void no_message_is_cut_short_where_memory_fails(void **state)
{
    (void)state;
    _cleanup_(sa_freep) Sa *sa = sa_new_gcm();
    _cleanup_(sealed_message_deinit) SealedMessage sealed = {0};
    size_t nth = 0;
    int r;

    do {
        allocations_left = ++nth;
        r = protection_seal(sa->ours, IKE_AUTH, false, IKE_PAYLOAD_VENDOR_ID, BYTES_OF(sa->large),
                            SAFE_DATAGRAM, &sealed);
        assert_true(r == 0 || (r == -ENOMEM && sealed.count == 0));
    } while (r != 0);
    allocations_left = 0;
    assert_int_equal(nth, sealed.count + 1); /* each has failed once */
    assert_fragments(sa, &sealed, SAFE_DATAGRAM);
}

static void no_message_is_put_together_where_memory_fails(void **state)
{
    (void)state;
    enum { ALLOCATIONS = 3 }; /* what is opened, what is kept, and the whole */

    for (size_t nth = 1; nth <= ALLOCATIONS + 1; nth++) {
        _cleanup_(sa_freep) Sa *sa = sa_new_gcm();
        _cleanup_(opened_message_deinit) OpenedMessage opened = {0};
        const PeerMessage one = sa_large_piece(sa, sa_auth_response(sa), 1, 2);
        const PeerMessage two = sa_large_piece(sa, sa_auth_response(sa), 2, 2);

        sa_request(sa, IKE_AUTH, 1);
        assert_int_equal(sa_peer_says_notify(sa, &one), PROTECTION_E_FRAGMENT);
        const Bytes datagram = sa_peer_seal(sa, &two);
        allocations_left = nth;
        assert_int_equal(protection_open(sa->ours, datagram, &opened),
                         nth <= ALLOCATIONS ? -ENOMEM : 0);
        allocations_left = 0;
        assert_int_equal(opened.plain_size, nth <= ALLOCATIONS ? 0 : LARGE);
        if (nth > ALLOCATIONS)
            continue;
        /* It can be when the peer sends all of it again, though one piece may be there. */
        const Bytes again = sa_peer_seal(sa, &one);
        int r = protection_open(sa->ours, again, &opened);
        assert_true(r == PROTECTION_E_FRAGMENT || r == PROTECTION_E_REPLAY);
        assert_int_equal(protection_open(sa->ours, sa_peer_seal(sa, &two), &opened), 0);
        assert_int_equal(opened.plain_size, LARGE);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_large_message_is_cut_to_fit_the_datagrams),
        cmocka_unit_test(a_message_that_fits_is_not_cut),
        cmocka_unit_test(without_fragmentation_agreed_a_large_message_goes_whole),
        cmocka_unit_test(datagrams_too_small_to_cut_for_are_refused_and_the_id_kept),
        cmocka_unit_test(a_message_beyond_the_limit_is_refused),
        cmocka_unit_test(fragments_are_put_together_in_any_order),
        cmocka_unit_test(the_whole_says_what_the_first_fragment_said),
        cmocka_unit_test(a_repeated_fragment_is_a_replay),
        cmocka_unit_test(smaller_pieces_take_over_and_larger_are_refused),
        cmocka_unit_test(an_unauthentic_fragment_of_a_larger_total_restarts_nothing),
        cmocka_unit_test(an_unfragmented_message_is_taken_amid_fragments),
        cmocka_unit_test(each_message_is_put_together_anew),
        cmocka_unit_test(fragments_of_a_request_and_of_a_response_do_not_mix),
        cmocka_unit_test(more_fragments_than_we_hold_are_too_large),
        cmocka_unit_test(an_empty_message_is_not_cut_however_small_the_datagrams),
        cmocka_unit_test(a_message_is_cut_into_as_many_fragments_as_we_hold_and_no_more),
        cmocka_unit_test(no_message_is_cut_short_where_memory_fails),
        cmocka_unit_test(no_message_is_put_together_where_memory_fails),
    };

    if (secrets_init() < 0)
        return 1;
    return cmocka_run_group_tests_name("protection fragments", tests, NULL, NULL);
}
