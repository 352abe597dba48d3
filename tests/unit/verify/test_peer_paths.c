/* Which paths lead from the SeGW's certificate to an anchor? Those whose every signature verifies,
 * as many as there is room for, and none that is not one. */
#include "crypto/openssl.h"
#include "peer_fixture.h"
#include "verify/peer_internal.h"

#include <errno.h>
#include <openssl/x509v3.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

/* In the place of OpenSSL's (--wrap): the push that fails, from 1; 0: none. */
static unsigned failing, pushes;
int __real_OPENSSL_sk_push(OPENSSL_STACK *stack, const void *item); /* NOLINT */
int __wrap_OPENSSL_sk_push(OPENSSL_STACK *stack, const void *item);

int __wrap_OPENSSL_sk_push(OPENSSL_STACK *stack, const void *item)
{
    return ++pushes == failing ? 0 : __real_OPENSSL_sk_push(stack, item);
}

/* Likewise: how often a path was followed. */
static unsigned walks;
int __real_X509_verify_cert(X509_STORE_CTX *ctx); /* NOLINT(bugprone-reserved-identifier) */
int __wrap_X509_verify_cert(X509_STORE_CTX *ctx);

int __wrap_X509_verify_cert(X509_STORE_CTX *ctx)
{
    walks++;
    return __real_X509_verify_cert(ctx);
}

static PeerPaths paths;

/* Of these certificates, of which the first is the SeGW's, by these anchors. */
static int find(const Pki *const *sent, size_t n_sent, const Pki *const *trusted, size_t n_trusted)
{
    AnchorStore store = {.certificates = sk_X509_new_null()};
    const PeerPolicy policy = {.anchors = &store};
    PeerCase peer = {.policy = &policy, .sent = sk_X509_new_null()};

    failing = 0;
    for (size_t i = 0; i < n_trusted; i++)
        assert_true(sk_X509_push(store.certificates, trusted[i]->certificate) > 0);
    for (size_t i = 0; i < n_sent; i++)
        assert_true(sk_X509_push(peer.sent, sent[i]->certificate) > 0);
    peer_paths_deinit(&paths);
    pushes = 0;
    const int r = peer_paths_find(&peer, &paths);
    sk_X509_free(peer.sent);
    sk_X509_free(store.certificates);
    return r;
}

#define FIND(sent, trusted) find(sent, ELEMENTS(sent), trusted, ELEMENTS(trusted))

static void assert_path(size_t nth, const Pki *const *certificates, int count)
{
    assert_true(nth < paths.count);
    assert_int_equal(sk_X509_num(paths.paths[nth]), count);
    for (int i = 0; i < count; i++)
        assert_ptr_equal(sk_X509_value(paths.paths[nth], i), certificates[i]->certificate);
}

static void whoever_has_not_issued_it_is_on_no_path(void **state)
{
    const PkiSpec spec = pki_segw_spec(SEGW);
    Pki leaf = pki_issue(&spec, &root), namesake = pki_root("Root");
    const Pki *const sent[] = {&leaf, &intermediate, &other_root};
    const Pki *const trusted[] = {&other_root, &namesake, &root, &intermediate};
    const Pki *const expected[] = {&leaf, &root};

    (void)state;
    assert_int_equal(FIND(sent, trusted), 0);
    assert_int_equal(paths.count, 1);
    assert_path(0, expected, 2);
    pki_deinit(&leaf);
    pki_deinit(&namesake);
}

/* Name and identifiers are right, and yet somebody else has signed it. */
static void a_signature_that_does_not_verify_is_no_step_of_a_path(void **state)
{
    const PkiSpec spec = pki_segw_spec(SEGW);
    Pki leaf = pki_issue(&spec, &root), forged = {0};
    const Pki *const sent[] = {&forged}, *const trusted[] = {&root};
    unsigned char *der = NULL;
    const unsigned char *place;

    (void)state;
    const int size = i2d_X509(leaf.certificate, &der);
    assert_true(size > 0);
    for (int bit = 0; bit < 2; bit++) {
        der[size - 1] ^= (unsigned char)bit; /* of s */
        place = der;
        forged.certificate = d2i_X509(NULL, &place, size);
        assert_non_null(forged.certificate);
        assert_int_equal(X509_check_issued(root.certificate, forged.certificate), X509_V_OK);
        assert_int_equal(FIND(sent, trusted), 0);
        assert_int_equal(paths.count, bit == 0);
        peer_paths_deinit(&paths);
        X509_free(forged.certificate);
    }
    OPENSSL_free(der);
    pki_deinit(&leaf);
}

static void a_path_leads_over_what_was_sent_and_short_ones_come_first(void **state)
{
    const PkiSpec spec = pki_segw_spec(SEGW);
    Pki leaf = pki_issue(&spec, &intermediate);
    const Pki *const sent[] = {&leaf, &intermediate}, *const alone[] = {&leaf};
    const Pki *const trusted[] = {&root}, *const both[] = {&root, &intermediate};
    const Pki *const path[] = {&leaf, &intermediate, &root};

    (void)state;
    assert_int_equal(FIND(alone, trusted), 0);
    assert_int_equal(paths.count, 0);
    assert_int_equal(FIND(sent, trusted), 0);
    assert_int_equal(paths.count, 1);
    assert_path(0, path, 3);
    /* An anchor ends a path, whoever has issued it. */
    assert_int_equal(FIND(sent, both), 0);
    assert_int_equal(paths.count, 1);
    assert_path(0, path, 2);
    pki_deinit(&leaf);
}

/* The same key under the same name many times: each is another anchor. */
static void so_many_paths_are_found_and_none_more(void **state)
{
    const PkiSpec spec = pki_segw_spec(SEGW);
    Pki leaf = pki_issue(&spec, &root), roots[PEER_PATHS_MAX + 1];
    const Pki *const sent[] = {&leaf};
    const Pki *trusted[PEER_PATHS_MAX + 1];

    (void)state;
    for (size_t i = 0; i < ELEMENTS(roots); i++) {
        const PkiSpec again = {.common_name = "Root",
                               .basic_constraints = "critical,CA:TRUE",
                               .key_usage = "critical,keyCertSign,cRLSign",
                               .valid_until = PKI_DAY + (long)i,
                               .public_key = root.key};
        roots[i] = pki_issue(&again, &root);
        trusted[i] = &roots[i];
    }
    for (size_t n = 1; n <= ELEMENTS(roots); n++) {
        assert_int_equal(find(sent, 1, trusted, n), 0);
        assert_int_equal(paths.count, n < PEER_PATHS_MAX ? n : PEER_PATHS_MAX);
    }
    for (size_t i = 0; i < ELEMENTS(roots); i++)
        X509_free(roots[i].certificate), EVP_PKEY_free(roots[i].key);
    pki_deinit(&leaf);
}

/* Of 16 one is for the path to the anchor that has issued it, and two for each by way of another
 * certificate of that CA's. */
static void so_many_signatures_are_checked_and_none_more(void **state)
{
    enum { LONG_PATHS = 7 };
    const PkiSpec spec = pki_segw_spec(SEGW);
    Pki leaf = pki_issue(&spec, &intermediate), again[LONG_PATHS + 1];
    const Pki *const trusted[] = {&intermediate, &root};
    const Pki *sent[1 + ELEMENTS(again)] = {&leaf};

    (void)state;
    for (size_t i = 0; i < ELEMENTS(again); i++) {
        const PkiSpec same = {.common_name = "Intermediate",
                              .basic_constraints = "critical,CA:TRUE",
                              .key_usage = "critical,keyCertSign,cRLSign",
                              .valid_until = PKI_DAY + (long)i,
                              .public_key = intermediate.key};
        again[i] = pki_issue(&same, &root);
        sent[1 + i] = &again[i];
    }
    for (size_t n = 0; n <= ELEMENTS(again); n++) {
        assert_int_equal(find(sent, 1 + n, trusted, ELEMENTS(trusted)), 0);
        assert_int_equal(paths.count, 1 + (n < LONG_PATHS ? n : LONG_PATHS));
    }
    for (size_t i = 0; i < ELEMENTS(again); i++)
        pki_deinit(&again[i]);
    pki_deinit(&leaf);
}

static Pki twin_of(const Pki *ca, const char *name, const Pki *issuer)
{
    const PkiSpec spec = {.common_name = name,
                          .basic_constraints = "critical,CA:TRUE",
                          .key_usage = "critical,keyCertSign,cRLSign",
                          .public_key = ca ? ca->key : NULL};

    return pki_issue(&spec, issuer);
}

/* Two CAs of which each has certified the other, and a root one of them. */
static void each_certificate_is_on_a_path_once(void **state)
{
    const PkiSpec spec = pki_segw_spec(SEGW);
    Pki a = twin_of(NULL, "A", &root), b = twin_of(NULL, "B", &a);
    Pki a_by_b = twin_of(&a, "A", &b), leaf = pki_issue(&spec, &a);
    const Pki *const sent[] = {&leaf, &a, &b, &a_by_b}, *const trusted[] = {&root};
    const Pki *const path[] = {&leaf, &a, &root}, *const round[] = {&leaf, &a_by_b, &b, &a, &root};

    (void)state;
    assert_int_equal(FIND(sent, trusted), 0);
    assert_int_equal(paths.count, 2);
    assert_path(0, path, 3);
    assert_path(1, round, 5);
    pki_deinit(&leaf);
    pki_deinit(&a_by_b);
    pki_deinit(&b);
    pki_deinit(&a);
}

/* Three layers of two CAs each, all of which both of the next have certified, and three roots: 24
 * paths by 16 signatures. */
static void where_few_signatures_make_many_paths_so_many_are_kept(void **state)
{
    enum { LAYERS = 3, ROOTS = 3 };
    static const char *const names[] = {"Low", "Middle", "High", "Root"};
    const PkiSpec spec = pki_segw_spec(SEGW);
    Pki roots[ROOTS], layers[LAYERS][2];
    const Pki *sent[1 + LAYERS * 2], *trusted[ROOTS];

    (void)state;
    for (int i = 0; i < ROOTS; i++) {
        roots[i] = twin_of(i > 0 ? &roots[0] : NULL, "Root", i > 0 ? &roots[0] : NULL);
        trusted[i] = &roots[i];
    }
    for (int layer = LAYERS; layer-- > 0;) {
        const Pki *issuer = layer + 1 < LAYERS ? &layers[layer + 1][0] : &roots[0];

        layers[layer][0] = twin_of(NULL, names[layer], issuer);
        layers[layer][1] = twin_of(&layers[layer][0], names[layer], issuer);
        sent[1 + 2 * layer] = &layers[layer][0];
        sent[2 + 2 * layer] = &layers[layer][1];
    }
    Pki leaf = pki_issue(&spec, &layers[0][0]);
    sent[0] = &leaf;
    assert_int_equal(FIND(sent, trusted), 0);
    assert_int_equal(paths.count, PEER_PATHS_MAX);
    for (size_t i = 0; i < paths.count; i++)
        assert_int_equal(sk_X509_num(paths.paths[i]), 1 + LAYERS + 1);
    pki_deinit(&leaf);
    for (int i = 0; i < LAYERS; i++) {
        pki_deinit(&layers[i][0]);
        pki_deinit(&layers[i][1]);
    }
    for (int i = ROOTS; i-- > 0;)
        pki_deinit(&roots[i]);
}

static void without_memory_for_a_path_there_is_no_answer(void **state)
{
    const PkiSpec spec = pki_segw_spec(SEGW);
    Pki leaf = pki_issue(&spec, &intermediate);
    AnchorStore store = {.certificates = sk_X509_new_null()};
    const PeerPolicy policy = {.anchors = &store};
    PeerCase peer = {.policy = &policy, .sent = sk_X509_new_null()};

    (void)state;
    failing = 0;
    assert_true(sk_X509_push(store.certificates, root.certificate) > 0);
    assert_true(sk_X509_push(peer.sent, leaf.certificate) > 0);
    assert_true(sk_X509_push(peer.sent, intermediate.certificate) > 0);
    for (unsigned nth = 1; nth <= 3; nth++) { /* the SeGW's, the intermediate's, the anchor's */
        peer_paths_deinit(&paths);
        pushes = 0;
        failing = nth;
        assert_int_equal(peer_paths_find(&peer, &paths), -ENOMEM);
        assert_int_equal(pushes, nth);
        assert_int_equal(paths.count, 0);
    }
    failing = 0;
    peer_paths_deinit(&paths);
    assert_int_equal(peer_paths_find(&peer, &paths), 0);
    assert_int_equal(paths.count, 1);
    sk_X509_free(peer.sent);
    sk_X509_free(store.certificates);
    pki_deinit(&leaf);
}

static unsigned walks_of(const Presentation *presentation, int expected)
{
    Reason reason = {0};
    EVP_PKEY *key = NULL;

    failing = 0;
    walks = 0;
    assert_int_equal(judge(presentation, &key, &reason), expected);
    EVP_PKEY_free(key);
    return walks;
}

/* RSA and revocation cost the same again each time. */
static void the_only_path_is_followed_once_be_it_fit_or_not(void **state)
{
    PkiSpec spec = pki_segw_spec(SEGW);
    Pki leaf = pki_issue(&spec, &intermediate), stranger = pki_issue(&spec, &other_root);
    spec.valid_from = -10L * PKI_DAY;
    spec.valid_until = -5L * PKI_DAY;
    Pki old = pki_issue(&spec, &intermediate);
    const Presentation fit = {.sent = {&leaf, &intermediate}, .count = 2},
                       unfit = {.sent = {&old, &intermediate}, .count = 2},
                       without = {.sent = {&stranger}, .count = 1};

    (void)state;
    assert_int_equal(walks_of(&fit, 0), 1);
    assert_int_equal(walks_of(&unfit, PEER_E_EXPIRED), 1);
    assert_int_equal(walks_of(&without, PEER_E_NOT_TRUSTED), 1);
    pki_deinit(&leaf);
    pki_deinit(&stranger);
    pki_deinit(&old);
}

/* The first that was followed is among them; the second that is fit is enough. */
static void of_several_paths_each_is_followed_until_one_is_fit(void **state)
{
    const PkiSpec spec = pki_segw_spec(SEGW);
    const PkiSpec old = {.common_name = "Intermediate",
                         .basic_constraints = "critical,CA:TRUE",
                         .key_usage = "critical,keyCertSign",
                         .valid_from = -10L * PKI_DAY,
                         .valid_until = -5L * PKI_DAY,
                         .public_key = intermediate.key};
    Pki first = pki_issue(&old, &root), second = pki_issue(&old, &root);
    Pki leaf = pki_issue(&spec, &intermediate);
    PeerProfile profile = peer_profile_3gpp();
    const Presentation none_fit = {
        .sent = {&leaf, &first, &second}, .count = 3, .profile = &profile};

    (void)state;
    profile.cross_certificates = true;
    assert_int_equal(walks_of(&none_fit, PEER_E_EXPIRED), 3);
    /* One by a weak signature, which OpenSSL takes, and two that are fit. */
    PkiSpec weak = old;
    weak.valid_from = weak.valid_until = 0;
    Pki good = pki_issue(&weak, &root), as_good = pki_issue(&weak, &root);
    weak.digest = "SHA1";
    Pki bad = pki_issue(&weak, &root);
    const Presentation two_fit = {
        .sent = {&leaf, &bad, &good, &as_good}, .count = 4, .profile = &profile};
    assert_int_equal(walks_of(&two_fit, 0), 3);
    const Presentation both_fit = {
        .sent = {&leaf, &good, &as_good}, .count = 3, .profile = &profile};
    assert_int_equal(walks_of(&both_fit, 0), 1);
    pki_deinit(&good);
    pki_deinit(&as_good);
    pki_deinit(&bad);
    pki_deinit(&first);
    pki_deinit(&second);
    pki_deinit(&leaf);
}

/* Of one by a weak signature, as anybody may have made it, nothing is left. */
static void only_the_path_that_is_taken_tells_what_time_was_reached(void **state)
{
    const PkiSpec spec = pki_segw_spec(SEGW);
    PkiSpec ca = {.common_name = "Intermediate",
                  .basic_constraints = "critical,CA:TRUE",
                  .key_usage = "critical,keyCertSign",
                  .valid_from = -2L * PKI_DAY,
                  .public_key = intermediate.key};
    Pki leaf = pki_issue(&spec, &intermediate), good = pki_issue(&ca, &root);
    PeerProfile profile = peer_profile_3gpp();

    (void)state;
    ca.valid_from = -PKI_HOUR;
    ca.digest = "SHA1";
    Pki bad = pki_issue(&ca, &root);
    const Presentation presentation = {
        .sent = {&leaf, &bad, &good}, .count = 3, .profile = &profile};
    profile.cross_certificates = true;
    assert_int_equal(walks_of(&presentation, 0), 3);
    assert_in_range(judged_vouched, time(NULL) - PKI_DAY - PKI_HOUR, time(NULL) - PKI_DAY);
    pki_deinit(&bad);
    pki_deinit(&good);
    pki_deinit(&leaf);
}

/* The operator has changed the root's key (RFC 4210 4.4): the new one goes by the old one's name.
 */
typedef struct Rollover {
    Pki old, new_by_old, expired, leaf; /* the third is the second at another time */
} Rollover;

static void extension_remove(Pki *pki, int nid, const Pki *issuer)
{
    const int place = X509_get_ext_by_NID(pki->certificate, nid, -1);

    X509_EXTENSION_free(X509_delete_ext(pki->certificate, place));
    assert_true(X509_sign(pki->certificate, issuer->key, EVP_sha256()) > 0);
}

static Rollover rollover_make(void)
{
    const PkiSpec spec = pki_segw_spec(SEGW);
    PkiSpec ca = {.common_name = "Root",
                  .basic_constraints = "critical,CA:TRUE",
                  .key_usage = "critical,keyCertSign,cRLSign"};
    Rollover made = {.old = pki_root("Root")};

    made.new_by_old = pki_issue(&ca, &made.old);
    ca.valid_from = -10L * PKI_DAY;
    ca.valid_until = -5L * PKI_DAY;
    ca.public_key = made.new_by_old.key;
    made.expired = pki_issue(&ca, &made.old);
    made.leaf = pki_issue(&spec, &made.new_by_old);
    assert_true(sk_X509_push(anchors.certificates, made.old.certificate) > 0);
    failing = 0;
    return made;
}

static void rollover_end(Rollover *rollover)
{
    (void)sk_X509_pop(anchors.certificates);
    pki_deinit(&rollover->leaf);
    pki_deinit(&rollover->expired);
    pki_deinit(&rollover->new_by_old);
    pki_deinit(&rollover->old);
}

/* Nothing tells one from the other: the anchor has no subjectKeyIdentifier. */
static void a_path_is_judged_with_what_stands_between_two_of_one_name(void **state)
{
    Rollover rollover = rollover_make();
    const Presentation fit = {.sent = {&rollover.leaf, &rollover.new_by_old}, .count = 2},
                       unfit = {.sent = {&rollover.leaf, &rollover.expired}, .count = 2};

    (void)state;
    extension_remove(&rollover.old, NID_subject_key_identifier, &rollover.old);
    assert_accepted(&fit, &rollover.leaf);
    assert_refused(&unfit, PEER_E_EXPIRED, "notAfter");
    rollover_end(&rollover);
}

/* A list that says whose key has signed it. */
static void list_add(CrlStore *crls, const Pki *issuer, const Pki *revoked)
{
    X509_CRL *crl = pki_crl(issuer, revoked ? revoked->certificate : NULL, -PKI_HOUR, PKI_DAY);
    X509V3_CTX context;

    X509V3_set_ctx(&context, issuer->certificate, NULL, NULL, crl, 0);
    X509_EXTENSION *key =
        X509V3_EXT_nconf_nid(NULL, &context, NID_authority_key_identifier, "keyid:always");
    assert_true(key && X509_CRL_add_ext(crl, key, -1) == 1);
    X509_EXTENSION_free(key);
    assert_true(X509_CRL_sign(crl, issuer->key, EVP_sha256()) > 0);
    /* OpenSSL looks at what it has read. */
    assert_true(sk_X509_CRL_push(crls->crls, X509_CRL_dup(crl)) > 0);
    X509_CRL_free(crl);
}

/* Nothing in the SeGW's certificate says which of both has issued it. */
static void lists_are_asked_about_what_stands_between_two_of_one_name(void **state)
{
    Rollover rollover = rollover_make();
    PeerProfile profile = peer_profile_3gpp();
    CrlStore crls;
    const Presentation presentation = {.sent = {&rollover.leaf, &rollover.new_by_old},
                                       .count = 2,
                                       .crls = &crls,
                                       .profile = &profile,
                                       .revocation = REVOCATION_REQUIRE};

    (void)state;
    profile.conforming = false;
    extension_remove(&rollover.leaf, NID_authority_key_identifier, &rollover.new_by_old);
    assert_int_equal(crl_store_init(&crls), 0);
    list_add(&crls, &rollover.new_by_old, NULL);
    list_add(&crls, &rollover.old, NULL);
    assert_accepted(&presentation, &rollover.leaf);
    X509_CRL_free(sk_X509_CRL_pop(crls.crls));
    list_add(&crls, &rollover.old, &rollover.new_by_old);
    assert_refused(&presentation, PEER_E_REVOKED, "revoked");
    crl_store_deinit(&crls);
    rollover_end(&rollover);
}

static void begin_failing(void)
{
    pushes = 0;
    failing = 1;
}

/* Of the certificate, which could not be kept, there is nothing to say. */
static void without_room_for_a_certificate_nobody_is_refused_for_it(void **state)
{
    const PkiSpec spec = pki_segw_spec(SEGW);
    Pki leaf = pki_issue(&spec, &root);
    const Presentation presentation = {.sent = {&leaf}, .count = 1, .begin = begin_failing};
    Reason reason = {0};
    EVP_PKEY *key = NULL;

    (void)state;
    assert_int_equal(judge(&presentation, &key, &reason), -ENOMEM);
    assert_string_equal(reason.text, "");
    failing = 0;
    pki_deinit(&leaf);
}

static unsigned failing_next;

static void begin_failing_next(void)
{
    pushes = 0;
    failing = failing_next;
}

/* Two certificates that are kept, the same two and two lists for OpenSSL; and then whoever signed
 * each list. What lists of other times would need is not missed, as there are none. */
static void
without_room_for_a_list_nobody_is_judged_and_without_its_signer_it_is_no_word(void **state)
{
    enum { KEPT = 2 + 2 + 2, SIGNERS = 2 };
    const PkiSpec spec = pki_segw_spec(SEGW);
    Pki leaf = pki_issue(&spec, &intermediate);
    CrlStore crls;
    const Presentation presentation = {.sent = {&leaf, &intermediate},
                                       .count = 2,
                                       .crls = &crls,
                                       .revocation = REVOCATION_REQUIRE,
                                       .begin = begin_failing_next};
    unsigned n_unjudged = 0, n_unknown = 0;

    (void)state;
    failing = 0;
    assert_int_equal(crl_store_init(&crls), 0);
    assert_true(sk_X509_CRL_push(crls.crls, pki_crl(&root, NULL, -PKI_HOUR, PKI_DAY)) > 0);
    assert_true(sk_X509_CRL_push(crls.crls, pki_crl(&intermediate, NULL, -PKI_HOUR, PKI_DAY)) > 0);
    pushes = 1;
    for (failing_next = 1; pushes >= failing_next - 1; failing_next++) {
        _cleanup_(EVP_PKEY_freep) EVP_PKEY *key = NULL;
        Reason reason = {0};
        const int r = judge(&presentation, &key, &reason);

        assert_int_equal(r == -ENOMEM, failing_next <= KEPT);
        n_unjudged += r == -ENOMEM;
        n_unknown += r == PEER_E_REVOCATION_UNKNOWN;
    }
    failing = 0;
    assert_int_equal(n_unjudged, KEPT);
    assert_int_equal(n_unknown, SIGNERS);
    crl_store_deinit(&crls);
    pki_deinit(&leaf);
}

static int end(void **state)
{
    peer_paths_deinit(&paths);
    return pki_end(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whoever_has_not_issued_it_is_on_no_path),
        cmocka_unit_test(a_signature_that_does_not_verify_is_no_step_of_a_path),
        cmocka_unit_test(a_path_leads_over_what_was_sent_and_short_ones_come_first),
        cmocka_unit_test(so_many_paths_are_found_and_none_more),
        cmocka_unit_test(so_many_signatures_are_checked_and_none_more),
        cmocka_unit_test(each_certificate_is_on_a_path_once),
        cmocka_unit_test(where_few_signatures_make_many_paths_so_many_are_kept),
        cmocka_unit_test(without_memory_for_a_path_there_is_no_answer),
        cmocka_unit_test(the_only_path_is_followed_once_be_it_fit_or_not),
        cmocka_unit_test(of_several_paths_each_is_followed_until_one_is_fit),
        cmocka_unit_test(only_the_path_that_is_taken_tells_what_time_was_reached),
        cmocka_unit_test(a_path_is_judged_with_what_stands_between_two_of_one_name),
        cmocka_unit_test(lists_are_asked_about_what_stands_between_two_of_one_name),
        cmocka_unit_test(
            without_room_for_a_list_nobody_is_judged_and_without_its_signer_it_is_no_word),
        cmocka_unit_test(without_room_for_a_certificate_nobody_is_refused_for_it),
    };

    return cmocka_run_group_tests_name("peer paths", tests, pki_init, end);
}
