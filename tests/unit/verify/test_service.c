/* Is nobody judged before everything has been handed over, and each file told from what is none? */
#include "peer_fixture.h"

#include "ikewire/registry.h"
#include "verify/service.h"

#include <errno.h>
#include <openssl/pem.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

enum { PROFILE_SIZE_MAX = 64 * 1024 };

static Service service;
static VerifyAnswer answer;
static Pki leaf;

static int begin(void **state)
{
    const PkiSpec spec = pki_segw_spec(SEGW);

    (void)state;
    leaf = pki_issue(&spec, &root);
    return service_init(&service);
}

static int end(void **state)
{
    (void)state;
    service_deinit(&service);
    pki_deinit(&leaf);
    return 0;
}

static int descriptor_of(Bytes octets)
{
    const int fd = memfd_create("test", MFD_CLOEXEC);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, octets.data, octets.size), octets.size);
    return fd;
}

/* The answer's error to what is handed over. */
static int hand_over(FrameType type, Bytes octets, Bytes key)
{
    const VerifyRequest request = {.type = type, .name = "file", .public_key = key};
    const int fd = octets.data ? descriptor_of(octets) : -1;

    service_answer(&service, &request, fd, &answer);
    assert_int_equal(answer.type, type);
    if (fd >= 0)
        (void)close(fd);
    return answer.error;
}

/* DER of a certificate: the caller's to OPENSSL_free(). */
static Bytes der_of(const X509 *certificate)
{
    unsigned char *der = NULL;
    const int size = i2d_X509(certificate, &der);

    assert_true(size > 0);
    return (Bytes){der, (size_t)size};
}

static void der_free(Bytes der)
{
    OPENSSL_free((void *)(uintptr_t)der.data);
}

static int hand_over_anchor(void)
{
    const Bytes der = der_of(root.certificate);
    const int r = hand_over(FRAME_ANCHORS, der, (Bytes){0});

    der_free(der);
    return r;
}

static int hand_over_list(const Pki *issuer, long this_update)
{
    X509_CRL *crl = pki_crl(issuer, NULL, this_update, PKI_DAY);
    unsigned char *der = NULL;
    const int size = i2d_X509_CRL(crl, &der);
    const int r = hand_over(FRAME_CRL, (Bytes){der, (size_t)size}, (Bytes){0});

    OPENSSL_free(der);
    X509_CRL_free(crl);
    return r;
}

static int complete(void)
{
    return hand_over(FRAME_COMPLETE, (Bytes){0}, (Bytes){0});
}

static VerifyRequest question(void)
{
    return (VerifyRequest){
        .type = FRAME_PEER,
        .now = time(NULL),
        .segw_name = SEGW,
        .idr_type = IKE_ID_FQDN,
        .idr = {(const uint8_t *)SEGW, strlen(SEGW)},
        .n_certificates = 1,
    };
}

static int ask(const Pki *shown)
{
    const Bytes der = der_of(shown->certificate);
    VerifyRequest request = question();

    request.certificates[0] = der;

    service_answer(&service, &request, -1, &answer);
    der_free(der);
    return answer.error;
}

static void nobody_is_judged_before_all_is_handed_over_and_said_to_be(void **state)
{
    (void)state;
    assert_int_equal(ask(&leaf), -EPROTO);
    assert_int_equal(complete(), -EPROTO);
    assert_int_equal(hand_over_anchor(), 0);
    assert_int_equal(complete(), -EPROTO);
    assert_int_equal(ask(&leaf), -EPROTO);
    assert_int_equal(hand_over(FRAME_PROFILE, (Bytes){0}, (Bytes){0}), 0);
    assert_int_equal(ask(&leaf), -EPROTO);
    assert_int_equal(complete(), 0);
    assert_int_equal(ask(&leaf), 0);
    assert_true(answer.verdict.taken);
    assert_string_equal(answer.verdict.identity, SEGW);
}

static void a_profile_alone_does_not_do_either(void **state)
{
    (void)state;
    assert_int_equal(hand_over(FRAME_PROFILE, (Bytes){0}, (Bytes){0}), 0);
    assert_int_equal(complete(), -EPROTO);
}

static void a_frame_of_no_type_is_none(void **state)
{
    (void)state;
    assert_int_equal(hand_over(FRAME_TYPES, (Bytes){0}, (Bytes){0}), -EPROTO);
}

static void a_profile_that_does_not_parse_is_none_whatever_came_before(void **state)
{
    static const char wrong[] = "[revocation]\nno-such-key = 1\n";

    (void)state;
    assert_int_equal(hand_over_anchor(), 0);
    assert_int_equal(hand_over(FRAME_PROFILE, (Bytes){0}, (Bytes){0}), 0);
    assert_int_not_equal(
        hand_over(FRAME_PROFILE, (Bytes){(const uint8_t *)wrong, strlen(wrong)}, (Bytes){0}), 0);
    assert_int_not_equal(strlen(answer.reason.text), 0);
    assert_int_equal(complete(), -EPROTO);
}

static void a_profile_is_read_up_to_its_largest_size(void **state)
{
    static uint8_t blank[PROFILE_SIZE_MAX + 1];

    (void)state;
    memset(blank, '\n', sizeof(blank));
    assert_int_equal(hand_over(FRAME_PROFILE, (Bytes){blank, PROFILE_SIZE_MAX}, (Bytes){0}), 0);
    assert_int_equal(hand_over(FRAME_PROFILE, BYTES_OF(blank), (Bytes){0}), -EFBIG);
    assert_string_equal(answer.reason.text, "file is larger than 65536 octets");
}

/* What is blank is no certificate and no list, and is told so where it is not too large. */
static void what_is_handed_over_is_read_up_to_its_largest_size(void **state)
{
    static const struct {
        FrameType type;
        size_t largest;
        const char *why;
    } cases[] = {
        {FRAME_ANCHORS, ANCHORS_FILE_SIZE_MAX, "file is larger than 1048576 octets"},
        {FRAME_CHAIN, ANCHORS_FILE_SIZE_MAX, "file is larger than 1048576 octets"},
        {FRAME_CRL, CRL_FILE_SIZE_MAX, "file is larger than 8388608 octets"},
    };
    static uint8_t blank[CRL_FILE_SIZE_MAX + 1];

    (void)state;
    memset(blank, '\n', sizeof(blank));
    for (size_t i = 0; i < ELEMENTS(cases); i++) {
        const int r = hand_over(cases[i].type, (Bytes){blank, cases[i].largest}, (Bytes){0});
        assert_true(r < 0 && r != -EFBIG);
        assert_null(strstr(answer.reason.text, "larger"));
        assert_int_equal(hand_over(cases[i].type, (Bytes){blank, cases[i].largest + 1}, (Bytes){0}),
                         -EFBIG);
        assert_string_equal(answer.reason.text, cases[i].why);
    }
}

static void what_is_not_handed_over_is_told_by_its_name(void **state)
{
    static const FrameType types[] = {FRAME_ANCHORS, FRAME_CRL, FRAME_CHAIN};

    (void)state;
    for (size_t i = 0; i < ELEMENTS(types); i++) {
        assert_int_equal(hand_over(types[i], (Bytes){0}, (Bytes){0}), -EBADF);
        assert_non_null(strstr(answer.reason.text, "file can't be read"));
    }
}

static void anchors_that_are_none_leave_those_of_before(void **state)
{
    static const uint8_t none[] = "no anchors";
    uint8_t fingerprint[VERIFY_FINGERPRINT_SIZE];

    (void)state;
    assert_int_equal(hand_over_anchor(), 0);
    assert_int_equal(answer.anchors.n_certificates, 1);
    assert_int_equal(answer.anchors.n_hashes, 1);
    assert_int_equal(answer.anchors.certificates[0].hash, 0);
    assert_int_equal(X509_digest(root.certificate, EVP_sha256(), fingerprint, NULL), 1);
    assert_memory_equal(answer.anchors.certificates[0].fingerprint, fingerprint,
                        sizeof(fingerprint));
    assert_int_not_equal(hand_over(FRAME_ANCHORS, BYTES_OF(none), (Bytes){0}), 0);
    assert_int_equal(hand_over(FRAME_PROFILE, (Bytes){0}, (Bytes){0}), 0);
    assert_int_equal(complete(), 0);
}

static void there_is_room_for_so_many_files_of_lists(void **state)
{
    static const uint8_t none[] = "no list";

    (void)state;
    for (size_t i = 0; i < FRAME_CRL_FILES_MAX; i++)
        assert_int_equal(hand_over(FRAME_CRL, BYTES_OF(none), (Bytes){0}), -EINVAL);
    assert_int_equal(hand_over_list(&root, -PKI_HOUR), -E2BIG);
}

/* With the first verdict, and once more with the first SeGW that is taken. */
static void a_file_that_a_later_one_has_replaced_is_told_twice(void **state)
{
    (void)state;
    const PkiSpec spec = pki_segw_spec(SEGW);
    Pki stranger = pki_issue(&spec, &other_root);

    assert_int_equal(hand_over_anchor(), 0);
    assert_int_equal(hand_over(FRAME_PROFILE, (Bytes){0}, (Bytes){0}), 0);
    assert_int_equal(hand_over_list(&root, -PKI_HOUR), 0);
    assert_int_equal(hand_over_list(&root, -2L * PKI_HOUR), 0);
    assert_int_equal(complete(), 0);
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(ask(i < 2 ? &stranger : &leaf), 0);
        assert_int_equal(answer.verdict.taken, i >= 2);
        assert_int_equal(answer.obsolete.count, i % 2 == 0);
        if (i % 2 == 0)
            assert_int_equal(answer.obsolete.numbers[0], 1);
    }
    pki_deinit(&stranger);
}

/* Of two paths that both lack a word, the one that is asked about. */
static void who_was_taken_by_a_path_is_told_of_that(void **state)
{
    const PkiSpec spec = pki_segw_spec(SEGW);
    Pki old_root = pki_root("Root"), shown = {0};
    BIO *pem = BIO_new(BIO_s_mem());
    const PkiSpec renewed = {.common_name = "Root",
                             .basic_constraints = "critical,CA:TRUE",
                             .key_usage = "critical,keyCertSign,cRLSign",
                             .public_key = old_root.key};
    Pki new_root = pki_issue(&renewed, &old_root);
    VerifyRequest request = question();
    VerifyPath paths[2];
    char *text = NULL;

    (void)state;
    shown = pki_issue(&spec, &old_root);
    assert_int_equal(PEM_write_bio_X509(pem, old_root.certificate), 1);
    assert_int_equal(PEM_write_bio_X509(pem, new_root.certificate), 1);
    const long size = BIO_get_mem_data(pem, &text);
    assert_int_equal(
        hand_over(FRAME_ANCHORS, (Bytes){(const uint8_t *)text, (size_t)size}, (Bytes){0}), 0);
    assert_int_equal(hand_over(FRAME_PROFILE, (Bytes){0}, (Bytes){0}), 0);
    assert_int_equal(complete(), 0);
    request.certificates[0] = der_of(shown.certificate);
    request.revocation = REVOCATION_REQUIRE;
    request.anchors.count = 1;
    for (size_t i = 0; i < ELEMENTS(paths); i++) {
        assert_int_equal(X509_digest(i == 0 ? old_root.certificate : new_root.certificate,
                                     EVP_sha256(), request.anchors.fingerprints[0], NULL),
                         1);
        service_answer(&service, &request, -1, &answer);
        assert_int_equal(answer.verdict.refusal.error, PEER_E_REVOCATION_UNKNOWN);
        paths[i] = answer.verdict.path;
    }
    request.anchors.count = 0;
    for (size_t i = 0; i < ELEMENTS(paths); i++) {
        request.path = paths[i];
        service_answer(&service, &request, -1, &answer);
        assert_true(verify_path_equal(&answer.verdict.path, &paths[i]));
        assert_false(verify_path_equal(&answer.verdict.path, &paths[1 - i]));
    }
    der_free(request.certificates[0]);
    BIO_free(pem);
    pki_deinit(&shown);
    pki_deinit(&new_root);
    pki_deinit(&old_root);
}

/* A chain of so many certificates below a root, the device's the last; PEM of all and of the root,
 * which is told to nobody. */
static BIO *chain_of(size_t n_certificates, Bytes *ret_key)
{
    BIO *pem = BIO_new(BIO_s_mem());
    Pki pkis[FRAME_CHAIN_MAX + 2];
    unsigned char *key = NULL;

    for (size_t i = 0; i <= n_certificates; i++) {
        const PkiSpec device = {.common_name = "Device", .subject_alt_name = "DNS:" SEGW};

        pkis[i] = i == 0               ? pki_root("Top")
                  : i < n_certificates ? pki_intermediate("Link", &pkis[i - 1])
                                       : pki_issue(&device, &pkis[i - 1]);
        assert_int_equal(PEM_write_bio_X509(pem, pkis[i].certificate), 1);
    }
    const int size = i2d_PUBKEY(pkis[n_certificates].key, &key);
    *ret_key = (Bytes){key, (size_t)size};
    for (size_t i = 0; i <= n_certificates; i++)
        pki_deinit(&pkis[i]);
    return pem;
}

static int read_chain(size_t n_certificates)
{
    Bytes key;
    char *text = NULL;
    BIO *pem = chain_of(n_certificates, &key);
    const long size = BIO_get_mem_data(pem, &text);
    const int r = hand_over(FRAME_CHAIN, (Bytes){(const uint8_t *)text, (size_t)size}, key);

    der_free(key);
    BIO_free(pem);
    return r;
}

static void a_chain_is_read_as_far_as_an_answer_holds_it(void **state)
{
    static const size_t sizes[] = {1, 2, FRAME_CHAIN_MAX};

    (void)state;
    for (size_t i = 0; i < ELEMENTS(sizes); i++) {
        assert_int_equal(read_chain(sizes[i]), 0);
        assert_int_equal(answer.chain.n_certificates, sizes[i]);
        assert_string_equal(answer.chain.fqdn, SEGW);
        assert_true(answer.chain.not_before < answer.chain.not_after);
        assert_true(answer.chain.expires <= answer.chain.not_after);
    }
    assert_int_equal(read_chain(FRAME_CHAIN_MAX + 1), -E2BIG);
}

/* The chain expires with the first of its certificates, whichever it is. */
static void a_chain_lasts_as_long_as_its_shortest(void **state)
{
    (void)state;
    for (size_t shorter = 0; shorter < 2; shorter++) {
        PkiSpec spec = pki_segw_spec(SEGW);
        BIO *pem = BIO_new(BIO_s_mem());
        unsigned char *key = NULL;
        char *text = NULL;

        spec.valid_until = shorter ? PKI_HOUR : 100L * PKI_DAY;
        Pki device = pki_issue(&spec, &intermediate);
        assert_int_equal(PEM_write_bio_X509(pem, device.certificate), 1);
        assert_int_equal(PEM_write_bio_X509(pem, intermediate.certificate), 1);
        const long size = BIO_get_mem_data(pem, &text);
        const int key_size = i2d_PUBKEY(device.key, &key);
        assert_int_equal(hand_over(FRAME_CHAIN, (Bytes){(const uint8_t *)text, (size_t)size},
                                   (Bytes){key, (size_t)key_size}),
                         0);
        assert_int_equal(answer.chain.expires == answer.chain.not_after, shorter);
        assert_true(answer.chain.expires <= answer.chain.not_after);
        OPENSSL_free(key);
        BIO_free(pem);
        pki_deinit(&device);
    }
}

/* The device's certificate, made that large, is handed over: the answer's error. */
static int read_chain_of_octets(size_t size)
{
    enum { FIRST_GUESS = 60000, GUESSES_MAX = 4 }; /* DER's lengths are as long at all of them */
    static const uint8_t filler[PEER_EVIDENCE_SIZE_MAX];
    const PkiSpec spec = {
        .common_name = "Device", .subject_alt_name = "DNS:" SEGW, .key = "RSA-2048"};
    Pki device = pki_issue(&spec, NULL); /* whose signature is always of 256 octets */
    ASN1_OBJECT *private = OBJ_txt2obj("1.3.6.1.4.1.55555.9", 1);
    ASN1_OCTET_STRING *octets = ASN1_OCTET_STRING_new();
    unsigned char *key = NULL;
    Bytes der = {0};
    unsigned guesses = 0;

    for (size_t padding = FIRST_GUESS; der.size != size; padding += size - der.size) {
        assert_true(guesses++ < GUESSES_MAX);
        der_free(der);
        X509_EXTENSION_free(X509_delete_ext(device.certificate,
                                            X509_get_ext_by_OBJ(device.certificate, private, -1)));
        assert_int_equal(ASN1_OCTET_STRING_set(octets, filler, (int)padding), 1);
        X509_EXTENSION *extension = X509_EXTENSION_create_by_OBJ(NULL, private, 0, octets);
        assert_int_equal(X509_add_ext(device.certificate, extension, -1), 1);
        X509_EXTENSION_free(extension);
        assert_true(X509_sign(device.certificate, device.key, EVP_sha256()) > 0);
        der = der_of(device.certificate);
    }
    const int key_size = i2d_PUBKEY(device.key, &key);
    const int r = hand_over(FRAME_CHAIN, der, (Bytes){key, (size_t)key_size});
    OPENSSL_free(key);
    der_free(der);
    ASN1_OBJECT_free(private);
    ASN1_OCTET_STRING_free(octets);
    pki_deinit(&device);
    return r;
}

static void a_chain_is_of_as_many_octets_as_are_looked_at(void **state)
{
    (void)state;
    assert_int_equal(read_chain_of_octets(PEER_EVIDENCE_SIZE_MAX), 0);
    assert_int_equal(read_chain_of_octets(PEER_EVIDENCE_SIZE_MAX + 1), -E2BIG);
}

/* 0 says that there is no date. */
static void a_chain_whose_date_is_none_or_the_first_of_all_has_ended(void **state)
{
    (void)state;
    for (int is_date = 0; is_date <= 1; is_date++) {
        const PkiSpec spec = pki_segw_spec(SEGW);
        Pki device = pki_issue(&spec, &root);
        ASN1_TIME *end = X509_getm_notAfter(device.certificate);
        unsigned char *key = NULL;

        if (is_date)
            assert_non_null(ASN1_TIME_set(end, 0));
        else
            assert_int_equal(ASN1_STRING_set((ASN1_STRING *)end, "999999999999Z", -1), 1);
        assert_true(X509_sign(device.certificate, root.key, EVP_sha256()) > 0);
        const Bytes der = der_of(device.certificate);
        const int key_size = i2d_PUBKEY(device.key, &key);
        assert_int_equal(hand_over(FRAME_CHAIN, der, (Bytes){key, (size_t)key_size}), 0);
        assert_int_equal(answer.chain.not_after, 1);
        assert_int_equal(answer.chain.expires, 1);
        OPENSSL_free(key);
        der_free(der);
        pki_deinit(&device);
    }
}

static void a_chain_is_for_the_key_and_has_a_name(void **state)
{
    (void)state;
    const PkiSpec nameless = {.common_name = "Device"};
    Pki device = pki_issue(&nameless, &root);
    const Bytes der = der_of(device.certificate);
    unsigned char *own = NULL, *others = NULL;
    const int own_size = i2d_PUBKEY(device.key, &own);
    const int others_size = i2d_PUBKEY(leaf.key, &others);

    assert_int_equal(hand_over(FRAME_CHAIN, der, (Bytes){others, (size_t)others_size}), -ENOKEY);
    assert_int_equal(hand_over(FRAME_CHAIN, der, (Bytes){own, (size_t)own_size}), -ENOENT);
    assert_int_equal(hand_over(FRAME_CHAIN, der, (Bytes){own, 5}), -EBADMSG);
    OPENSSL_free(own);
    OPENSSL_free(others);
    der_free(der);
    pki_deinit(&device);
}

#define SERVICE_TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SERVICE_TEST(nobody_is_judged_before_all_is_handed_over_and_said_to_be),
        SERVICE_TEST(a_profile_alone_does_not_do_either),
        SERVICE_TEST(a_frame_of_no_type_is_none),
        SERVICE_TEST(a_profile_that_does_not_parse_is_none_whatever_came_before),
        SERVICE_TEST(a_profile_is_read_up_to_its_largest_size),
        SERVICE_TEST(what_is_handed_over_is_read_up_to_its_largest_size),
        SERVICE_TEST(what_is_not_handed_over_is_told_by_its_name),
        SERVICE_TEST(anchors_that_are_none_leave_those_of_before),
        SERVICE_TEST(there_is_room_for_so_many_files_of_lists),
        SERVICE_TEST(a_file_that_a_later_one_has_replaced_is_told_twice),
        SERVICE_TEST(who_was_taken_by_a_path_is_told_of_that),
        SERVICE_TEST(a_chain_is_read_as_far_as_an_answer_holds_it),
        SERVICE_TEST(a_chain_lasts_as_long_as_its_shortest),
        SERVICE_TEST(a_chain_is_of_as_many_octets_as_are_looked_at),
        SERVICE_TEST(a_chain_whose_date_is_none_or_the_first_of_all_has_ended),
        SERVICE_TEST(a_chain_is_for_the_key_and_has_a_name),
    };

    return cmocka_run_group_tests(tests, pki_init, pki_end);
}
