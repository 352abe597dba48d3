/* Is anybody judged by what was found for want of memory? Each allocation of a judgement fails
 * once, and again together with all that follow it. */
#include "peer_fixture.h"
#include "temporary.h"

#include "base/reason.h"
#include "crypto/memory.h"
#include "ikewire/registry.h"
#include "verify/service.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

/* The linker puts these in the place of the C library's (--wrap). */
void *__real_malloc(size_t size);               /* NOLINT(bugprone-reserved-identifier) */
void *__real_realloc(void *old, size_t size);   /* NOLINT(bugprone-reserved-identifier) */
void *__real_calloc(size_t count, size_t size); /* NOLINT(bugprone-reserved-identifier) */
void *__wrap_malloc(size_t size);               /* NOLINT(bugprone-reserved-identifier) */
void *__wrap_realloc(void *old, size_t size);   /* NOLINT(bugprone-reserved-identifier) */
void *__wrap_calloc(size_t count, size_t size); /* NOLINT(bugprone-reserved-identifier) */

enum { FEWEST = 100, STRIDE = 17 }; /* allocations of a judgement, and which of them fail */

static size_t stride = STRIDE;

static struct {
    size_t nth;  /* the allocation that is to fail */
    size_t left; /* until it comes; 0: none is to fail */
    bool stays;  /* and all after it fail, too */
    bool failed;
} plan;

static bool is_to_fail(void)
{
    if (plan.left == 0 || --plan.left > 0)
        return false;
    plan.failed = true;
    plan.left = plan.stays;
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

void *__wrap_calloc(size_t count, size_t size)
{
    return is_to_fail() ? NULL : __real_calloc(count, size);
}

static void plan_begin(void)
{
    plan.left = plan.nth;
    plan.failed = false;
}

/* A SeGW, what it shows, and what comes of it where there is memory. */
typedef struct Example {
    Presentation presentation;
    CrlStore crls;
    int expected;
} Example;

static int example_judge(const Example *example)
{
    Reason reason = {0};
    EVP_PKEY *key = NULL;
    const int r = judge(&example->presentation, &key, &reason);

    EVP_PKEY_free(key);
    return r;
}

/* What the judgement comes to when its nth allocation fails; false when it has not so many. */
static bool example_judge_without(const Example *example, size_t nth, bool stays, int *ret)
{
    plan.nth = nth;
    plan.stays = stays;
    *ret = example_judge(example);
    plan.left = 0;
    return plan.failed;
}

static void assert_never_judged_without_memory(const Example *example)
{
    plan.nth = 0;
    assert_int_equal(example_judge(example), example->expected);
    for (int stays = 0; stays <= 1; stays++) {
        size_t nth = 1;
        int r;

        for (; example_judge_without(example, nth, stays, &r); nth += stride) {
            if (r != -ENOMEM)
                fail_msg("without allocation %zu%s it comes to %d in place of %d", nth,
                         stays ? " and all after it" : "", r, -ENOMEM);
        }
        assert_int_equal(r, example->expected);
        assert_true(nth > FEWEST);
    }
}

static X509_CRL *crl_add(CrlStore *store, X509_CRL *crl)
{
    assert_true(sk_X509_CRL_push(store->crls, crl) > 0);
    return crl;
}

/* The SeGW under an intermediate; `revoked` by its CRL or not. */
static void with_crls(Example *example, Pki *leaf, const Pki *issuer, bool revoked)
{
    assert_int_equal(crl_store_init(&example->crls), 0);
    (void)crl_add(&example->crls, pki_crl(&root, NULL, -PKI_HOUR, PKI_DAY));
    (void)crl_add(&example->crls,
                  pki_crl(issuer, revoked ? leaf->certificate : NULL, -PKI_HOUR, PKI_DAY));
    example->presentation = (Presentation){
        .sent = {leaf, issuer},
        .count = 2,
        .crls = &example->crls,
        .revocation = REVOCATION_IF_AVAILABLE,
        .begin = plan_begin,
    };
}

static void without_memory_a_revoked_segw_is_not_taken(void **state)
{
    const PkiSpec spec = pki_segw_spec(SEGW);
    Example example = {.expected = PEER_E_REVOKED};
    Pki leaf = pki_issue(&spec, &intermediate);

    (void)state;
    with_crls(&example, &leaf, &intermediate, true);
    assert_never_judged_without_memory(&example);
    crl_store_deinit(&example.crls);
    pki_deinit(&leaf);
}

static void without_memory_a_segw_revoked_by_ocsp_is_not_taken(void **state)
{
    const PkiSpec spec = pki_segw_spec(SEGW);
    Example example = {.expected = PEER_E_REVOKED};
    Pki leaf = pki_issue(&spec, &intermediate);
    size_t size = 0;
    unsigned char *der = pki_ocsp(&intermediate, leaf.certificate, true, &size);

    (void)state;
    with_crls(&example, &leaf, &intermediate, false);
    example.presentation.ocsp = (Bytes){der, size};
    assert_never_judged_without_memory(&example);
    OPENSSL_free(der);
    crl_store_deinit(&example.crls);
    pki_deinit(&leaf);
}

static void without_memory_a_fit_segw_is_not_called_unfit(void **state)
{
    const PkiSpec spec = pki_segw_spec(SEGW);
    Example example = {.expected = 0};
    Pki leaf = pki_issue(&spec, &intermediate);
    size_t size = 0;
    unsigned char *der = pki_ocsp(&intermediate, leaf.certificate, false, &size);

    (void)state;
    with_crls(&example, &leaf, &intermediate, false);
    example.presentation.revocation = REVOCATION_REQUIRE;
    example.presentation.ocsp = (Bytes){der, size};
    assert_never_judged_without_memory(&example);
    OPENSSL_free(der);
    crl_store_deinit(&example.crls);
    pki_deinit(&leaf);
}

static void without_memory_a_stranger_is_not_taken(void **state)
{
    const PkiSpec spec = pki_segw_spec(SEGW);
    Example example = {.expected = PEER_E_NOT_TRUSTED};
    Pki leaf = pki_issue(&spec, &other_root);

    (void)state;
    with_crls(&example, &leaf, &other_root, false);
    assert_never_judged_without_memory(&example);
    crl_store_deinit(&example.crls);
    pki_deinit(&leaf);
}

/* What the verifier is handed, and asked about, as a descriptor. */
static int descriptor_of(const unsigned char *octets, int size)
{
    const int fd = memfd_create("test", MFD_CLOEXEC);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, octets, (size_t)size), size);
    return fd;
}

static int handed(FrameType type, int fd, Bytes key)
{
    static VerifyAnswer answer;
    const VerifyRequest request = {.type = type, .name = "file", .public_key = key};
    Service service;
    int r = service_init(&service);

    if (r == 0)
        service_answer(&service, &request, fd, &answer);
    service_deinit(&service);
    if (r == 0 && answer.error == -ENOMEM)
        assert_string_equal(answer.reason.text, ""); /* of the file there is nothing to say */
    return r < 0 ? r : answer.error;
}

static void assert_read_or_without_memory(FrameType type, int fd, Bytes key)
{
    assert_int_equal(handed(type, fd, key), 0);
    for (size_t nth = 1;;
         nth += nth < FEWEST ? 1 : stride) { /* the first are for the file itself */
        plan.nth = nth;
        plan.stays = false;
        plan_begin();
        const int r = handed(type, fd, key);

        plan.left = 0;
        if (!plan.failed)
            break;
        if (r != -ENOMEM)
            fail_msg("frame %d without allocation %zu: %d", type, nth, r);
    }
    (void)close(fd);
}

static void without_memory_no_file_is_called_wrong(void **state)
{
    unsigned char *anchor = NULL, *list = NULL, *key = NULL;
    X509_CRL *crl = pki_crl(&root, NULL, -PKI_HOUR, PKI_DAY);
    const PkiSpec spec = pki_segw_spec(SEGW);
    Pki leaf = pki_issue(&spec, &root);
    const int anchor_size = i2d_X509(root.certificate, &anchor);
    const int list_size = i2d_X509_CRL(crl, &list);
    const int key_size = i2d_PUBKEY(leaf.key, &key);
    unsigned char *own = NULL;
    const int own_size = i2d_X509(leaf.certificate, &own);

    (void)state;
    assert_read_or_without_memory(FRAME_ANCHORS, descriptor_of(anchor, anchor_size), (Bytes){0});
    assert_read_or_without_memory(FRAME_CRL, descriptor_of(list, list_size), (Bytes){0});
    assert_read_or_without_memory(FRAME_CHAIN, descriptor_of(own, own_size),
                                  (Bytes){key, (size_t)key_size});
    X509_CRL_free(crl);
    OPENSSL_free(anchor);
    OPENSSL_free(list);
    OPENSSL_free(own);
    OPENSSL_free(key);
    pki_deinit(&leaf);
}

static int anchors_hand(Service *service, const Pki *anchor)
{
    static VerifyAnswer answer;
    const VerifyRequest request = {.type = FRAME_ANCHORS, .name = "file"};
    unsigned char *der = NULL;
    const int fd = descriptor_of(der, 0);
    const int size = i2d_X509(anchor->certificate, &der);

    assert_int_equal(write(fd, der, (size_t)size), size);
    OPENSSL_free(der);
    plan_begin();
    service_answer(service, &request, fd, &answer);
    plan.left = 0;
    (void)close(fd);
    return answer.error;
}

/* Each allocation: those that tell of what was read are few. */
static void without_memory_to_tell_of_anchors_those_of_before_stay(void **state)
{
    Service service;
    int r = -ENOMEM;

    (void)state;
    plan.nth = 0;
    assert_int_equal(service_init(&service), 0);
    assert_int_equal(anchors_hand(&service, &root), 0);
    const AnchorStore *before = service.anchors;
    for (plan.nth = 1; r < 0; plan.nth++) {
        r = anchors_hand(&service, &other_root);
        if (r < 0 && service.anchors != before)
            fail_msg("without allocation %zu others are in force", plan.nth);
    }
    assert_ptr_not_equal(service.anchors, before);
    assert_false(plan.failed);
    service_deinit(&service);
}

static int error_of(Service *service, const VerifyRequest *request)
{
    static VerifyAnswer answer;

    plan_begin();
    service_answer(service, request, -1, &answer);
    plan.left = 0;
    return answer.error != 0 ? answer.error : !answer.verdict.taken;
}

/* The anchors that count are chosen before the judgement, which watches memory anew. */
static void without_memory_no_anchor_is_passed_over_that_counts(void **state)
{
    const VerifyRequest profile = {.type = FRAME_PROFILE}, complete = {.type = FRAME_COMPLETE};
    const PkiSpec spec = pki_segw_spec(SEGW);
    Pki leaf = pki_issue(&spec, &root);
    unsigned char *der = NULL;
    const int size = i2d_X509(leaf.certificate, &der);
    VerifyRequest request = {.type = FRAME_PEER,
                             .now = time(NULL),
                             .segw_name = SEGW,
                             .idr_type = IKE_ID_FQDN,
                             .idr = {(const uint8_t *)SEGW, strlen(SEGW)},
                             .anchors.count = 1,
                             .certificates = {{der, (size_t)size}},
                             .n_certificates = 1};
    Service service;

    (void)state;
    assert_int_equal(
        X509_digest(root.certificate, EVP_sha256(), request.anchors.fingerprints[0], NULL), 1);
    plan.nth = 0;
    plan.stays = false;
    assert_int_equal(service_init(&service), 0);
    (void)error_of(&service, &profile);
    assert_int_equal(anchors_hand(&service, &root), 0);
    (void)error_of(&service, &complete);
    assert_int_equal(error_of(&service, &request), 0);
    for (plan.nth = 1, plan.failed = true; plan.failed;
         plan.nth += plan.nth < FEWEST ? 1 : stride) {
        const int r = error_of(&service, &request);

        if (r != 0 && (r != -ENOMEM || !plan.failed))
            fail_msg("without allocation %zu it comes to %d", plan.nth, r);
    }
    assert_true(plan.nth > FEWEST);
    service_deinit(&service);
    OPENSSL_free(der);
    pki_deinit(&leaf);
}

/* Where OpenSSL has none, whoever watches it knows. */
static void without_memory_no_directory_of_lists_is_read_in_part(void **state)
{
    X509_CRL *crl = pki_crl(&root, NULL, -PKI_HOUR, PKI_DAY);
    char folder[TEMPORARY_PATH_SIZE], path[2 * TEMPORARY_PATH_SIZE];
    bool is_whole = false;

    (void)state;
    temporary_path("test-lists", folder);
    assert_non_null(mkdtemp(folder));
    (void)snprintf(path, sizeof(path), "%s/list", folder);
    BIO *file = BIO_new_file(path, "w");
    assert_int_equal(i2d_X509_CRL_bio(file, crl), 1);
    BIO_free(file);
    for (plan.nth = 1; !is_whole; plan.nth++) {
        CrlStore store;
        Reason reason;

        assert_int_equal(crl_store_init(&store), 0);
        memory_watch_begin();
        plan_begin();
        const int r = crl_store_read(&store, folder, &reason);
        plan.left = 0;
        assert_true(r == -ENOMEM || memory_ran_out() || (r == 0 && !plan.failed));
        is_whole = !plan.failed;
        assert_true(!is_whole || sk_X509_CRL_num(store.crls) == 1);
        crl_store_deinit(&store);
    }
    assert_int_equal(unlink(path), 0);
    assert_int_equal(rmdir(folder), 0);
    X509_CRL_free(crl);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_memory_a_revoked_segw_is_not_taken),
        cmocka_unit_test(without_memory_a_segw_revoked_by_ocsp_is_not_taken),
        cmocka_unit_test(without_memory_a_fit_segw_is_not_called_unfit),
        cmocka_unit_test(without_memory_a_stranger_is_not_taken),
        cmocka_unit_test(without_memory_no_file_is_called_wrong),
        cmocka_unit_test(without_memory_to_tell_of_anchors_those_of_before_stay),
        cmocka_unit_test(without_memory_no_anchor_is_passed_over_that_counts),
        cmocka_unit_test(without_memory_no_directory_of_lists_is_read_in_part),
    };

    if (argc > 1 && strcmp(argv[1], "whole") == 0)
        stride = 1;
    return cmocka_run_group_tests(tests, pki_init, pki_end);
}
