/* Certificates that need not be read again: found by all of their octets, and judged all the same.
 */
#include "peer_fixture.h"

#include "base/cleanup.h"
#include "verify/certificates.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static Bytes der_of(const Pki *pki, unsigned char **ret)
{
    const int size = i2d_X509(pki->certificate, ret);

    assert_true(size > 0);
    return (Bytes){*ret, (size_t)size};
}

static void a_certificate_is_found_by_all_of_its_octets(void **state)
{
    PeerSeen seen = {0};
    unsigned char *octets = NULL;
    const Bytes der = der_of(&root, &octets);

    (void)state;
    assert_null(peer_seen_find(&seen, der));
    peer_seen_keep(&seen, der, root.certificate);
    X509 *found = peer_seen_find(&seen, der);
    assert_ptr_equal(found, root.certificate);
    X509_free(found);
    assert_null(peer_seen_find(&seen, bytes_slice(der, 0, der.size - 1)));
    octets[der.size - 1] ^= 1; /* in its signature */
    assert_null(peer_seen_find(&seen, der));
    OPENSSL_free(octets);
    peer_seen_deinit(&seen);
}

static void the_places_go_to_those_that_came_last(void **state)
{
    PeerSeen seen = {0};

    (void)state;
    for (uint8_t i = 0; i <= PEER_SEEN_MAX; i++)
        peer_seen_keep(&seen, (Bytes){&i, 1}, root.certificate);
    for (uint8_t i = 0; i <= PEER_SEEN_MAX; i++) {
        X509 *found = peer_seen_find(&seen, (Bytes){&i, 1});

        assert_true(!found == (i == 0));
        X509_free(found);
    }
    peer_seen_deinit(&seen);
}

static void what_is_kept_or_empty_takes_no_place(void **state)
{
    const uint8_t octets[] = {0, 1, 2, 3};
    const Bytes again[] = {{octets + 1, 1}, {octets, 0}};
    PeerSeen seen = {0};

    (void)state;
    assert_int_equal(sizeof(octets), PEER_SEEN_MAX);
    for (size_t i = 0; i < PEER_SEEN_MAX; i++)
        peer_seen_keep(&seen, (Bytes){octets + i, 1}, root.certificate);
    for (size_t i = 0; i < ELEMENTS(again); i++) {
        peer_seen_keep(&seen, again[i], root.certificate);
        X509 *found = peer_seen_find(&seen, (Bytes){octets, 1});
        assert_non_null(found);
        X509_free(found);
    }
    peer_seen_deinit(&seen);
}

static const X509 *judged; /* the certificate that was taken last */

static int judge_at(PeerSeen *seen, Bytes der, time_t now)
{
    const PeerProfile profile = peer_profile_3gpp();
    const PeerPolicy policy = {
        .anchors = &anchors, .profile = &profile, .seen = seen, .segw_name = SEGW};
    const PeerEvidence evidence = {.certificates = &der, .n_certificates = 1, .now = now};
    PeerReport report;

    assert_int_equal(peer_judge(&policy, &evidence, &report), 0);
    const int r = report.refusal ? report.refusal->error : 0;
    judged = report.certificate;
    peer_report_deinit(&report);
    return r;
}

static void a_peer_that_was_taken_is_judged_anew(void **state)
{
    const PkiSpec spec = pki_segw_spec(SEGW);
    const time_t now = time(NULL), later = now + (time_t)20 * 366 * 86400;
    Pki leaf = pki_issue(&spec, &root);
    unsigned char *octets = NULL;
    const Bytes der = der_of(&leaf, &octets);
    PeerSeen seen = {0};

    (void)state;
    assert_int_equal(judge_at(&seen, der, now), 0);
    X509 *kept = peer_seen_find(&seen, der);
    assert_non_null(kept);
    X509_free(kept);
    assert_int_equal(judge_at(&seen, der, now), 0);
    assert_ptr_equal(judged, kept); /* and was not read again */
    assert_int_equal(judge_at(&seen, der, later), PEER_E_EXPIRED);
    octets[der.size - 1] ^= 1; /* in its signature */
    assert_true(judge_at(&seen, der, now) > 0);
    assert_null(peer_seen_find(&seen, der));
    OPENSSL_free(octets);
    peer_seen_deinit(&seen);
    pki_deinit(&leaf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_certificate_is_found_by_all_of_its_octets),
        cmocka_unit_test(the_places_go_to_those_that_came_last),
        cmocka_unit_test(what_is_kept_or_empty_takes_no_place),
        cmocka_unit_test(a_peer_that_was_taken_is_judged_anew),
    };

    return cmocka_run_group_tests(tests, pki_init, pki_end);
}
