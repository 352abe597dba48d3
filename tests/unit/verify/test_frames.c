/* Do requests and answers cross the socket pair unchanged, and is anything else refused? */
#include "verify/frames.h"

#include "base/cleanup.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/seeds.h"

static const char *seeds;
static uint8_t frame[FRAME_SIZE_MAX], again[FRAME_SIZE_MAX];

static Bytes request_encode(const VerifyRequest *request, uint8_t *buffer)
{
    Writer writer;
    Bytes bytes;

    writer_init(&writer, buffer, FRAME_SIZE_MAX);
    verify_request_encode(&writer, request);
    assert_int_equal(writer_finish(&writer, &bytes), 0);
    return bytes;
}

static Bytes answer_encode(const VerifyAnswer *answer, uint8_t *buffer)
{
    Writer writer;
    Bytes bytes;

    writer_init(&writer, buffer, FRAME_SIZE_MAX);
    verify_answer_encode(&writer, answer);
    assert_int_equal(writer_finish(&writer, &bytes), 0);
    return bytes;
}

/* Every part of a frame, and a frame with one octet more, is none. */
static void assert_whole_or_nothing(Bytes bytes, int (*decode)(Bytes bytes))
{
    assert_int_equal(decode(bytes), 0);
    for (size_t size = 0; size < bytes.size; size++)
        assert_int_equal(decode((Bytes){bytes.data, size}), -EBADMSG);
    frame[bytes.size] = 0;
    assert_int_equal(decode((Bytes){bytes.data, bytes.size + 1}), -EBADMSG);
}

static int request_decode(Bytes bytes)
{
    VerifyRequest request;

    return verify_request_decode(bytes, &request);
}

static int answer_decode(Bytes bytes)
{
    VerifyAnswer answer;

    return verify_answer_decode(bytes, &answer);
}

static VerifyRequest peer_request(void)
{
    static const uint8_t certificate[] = {0x30, 0x82, 1}, ocsp[] = {0x30, 0x03}, idr[] = "segw";
    VerifyRequest request = {
        .type = FRAME_PEER,
        .now = 1795480000,
        .revocation = REVOCATION_REQUIRE,
        .segw_name = "segw.example",
        .idr_type = 2,
        .idr = BYTES_OF(idr),
        .n_certificates = 2,
        .certificates = {BYTES_OF(certificate), {0}},
        .n_ocsp = 1,
        .ocsp = {BYTES_OF(ocsp)},
        .anchors = {.count = 1, .fingerprints = {{1, 2, 3}}},
        .path = {.digest = {4, [VERIFY_PATH_SIZE - 1] = 5}},
    };

    return request;
}

static void a_request_about_a_peer_crosses_unchanged(void **state)
{
    const VerifyRequest request = peer_request();
    VerifyRequest decoded;
    Bytes bytes = request_encode(&request, frame);

    (void)state;
    assert_int_equal(verify_request_decode(bytes, &decoded), 0);
    assert_int_equal(decoded.type, FRAME_PEER);
    assert_int_equal(decoded.now, request.now);
    assert_int_equal(decoded.revocation, REVOCATION_REQUIRE);
    assert_string_equal(decoded.segw_name, "segw.example");
    assert_true(bytes_equal(decoded.idr, request.idr));
    assert_int_equal(decoded.anchors.count, 1);
    assert_memory_equal(decoded.anchors.fingerprints, request.anchors.fingerprints,
                        sizeof(request.anchors.fingerprints));
    assert_true(verify_path_equal(&decoded.path, &request.path));
    assert_int_equal(decoded.n_certificates, 2);
    assert_true(bytes_equal(decoded.certificates[0], request.certificates[0]));
    assert_int_equal(decoded.certificates[1].size, 0);
    assert_true(bytes_equal(decoded.ocsp[0], request.ocsp[0]));
    assert_true(bytes_equal(request_encode(&decoded, again), bytes));
    assert_whole_or_nothing(bytes, request_decode);
}

static void the_largest_evidence_fits_a_request(void **state)
{
    static uint8_t evidence[PEER_EVIDENCE_SIZE_MAX];
    VerifyRequest request = peer_request();

    (void)state;
    memset(request.segw_name, 'a', sizeof(request.segw_name) - 1);
    request.n_certificates = request.n_ocsp = FRAME_EVIDENCE_MAX;
    for (size_t i = 0; i < FRAME_EVIDENCE_MAX; i++)
        request.certificates[i] = request.ocsp[i] = (Bytes){0};
    request.certificates[0] = BYTES_OF(evidence);
    request.anchors.count = VERIFY_ANCHORS_MAX;
    request.idr = (Bytes){evidence, FRAME_IDR_SIZE_MAX};
    assert_int_equal(request_decode(request_encode(&request, frame)), 0);
}

static void no_more_fingerprints_of_anchors_are_taken_than_there_is_room_for(void **state)
{
    VerifyRequest request = peer_request();

    (void)state;
    request.anchors.count = 0;
    const size_t without = request_encode(&request, again).size;
    request.anchors.count = 1;
    Bytes bytes = request_encode(&request, frame);
    /* Where the two begin to differ is the count. */
    size_t at = 0;
    while (frame[at] == again[at])
        at++;
    assert_int_equal(frame[at], 1);
    assert_int_equal(bytes.size, without + VERIFY_FINGERPRINT_SIZE);
    for (unsigned n = 1; n <= VERIFY_ANCHORS_MAX + 1; n++) {
        frame[at] = (uint8_t)n;
        assert_int_equal(request_decode(bytes), n > VERIFY_ANCHORS_MAX ? -EBADMSG : 0);
        memmove(frame + at + 1 + VERIFY_FINGERPRINT_SIZE, frame + at + 1, bytes.size - at - 1);
        bytes.size += VERIFY_FINGERPRINT_SIZE;
    }
}

static void what_is_handed_over_crosses_with_its_name(void **state)
{
    static const FrameType types[] = {FRAME_PROFILE, FRAME_ANCHORS, FRAME_CRL, FRAME_CHAIN,
                                      FRAME_COMPLETE};
    static const uint8_t key[] = {1, 2, 3};

    (void)state;
    for (size_t i = 0; i < ELEMENTS(types); i++) {
        VerifyRequest request = {.type = types[i]}, decoded;

        if (types[i] != FRAME_COMPLETE)
            (void)snprintf(request.name, sizeof(request.name), "/var/lib/tred/file");
        if (types[i] == FRAME_CHAIN)
            request.public_key = BYTES_OF(key);
        const Bytes bytes = request_encode(&request, frame);
        assert_int_equal(verify_request_decode(bytes, &decoded), 0);
        assert_string_equal(decoded.name, request.name);
        assert_true(bytes_equal(decoded.public_key, request.public_key));
        assert_whole_or_nothing(bytes, request_decode);
    }
}

static void a_text_with_a_line_end_is_refused(void **state)
{
    VerifyRequest request = {.type = FRAME_CRL, .name = "a\nb"};
    VerifyAnswer answer = {.type = FRAME_CRL, .error = -EINVAL, .reason = {"\033[2J"}};

    (void)state;
    assert_int_equal(request_decode(request_encode(&request, frame)), -EBADMSG);
    assert_int_equal(answer_decode(answer_encode(&answer, frame)), -EBADMSG);
}

static VerifyAnswer refusal_answer(void)
{
    return (VerifyAnswer){
        .type = FRAME_PEER,
        .verdict = {.refusal = {.name = "key-usage",
                                .clause = "TS 33.310 6.1.3",
                                .remedy = "Give the SeGW a new certificate",
                                .error = PEER_E_UNFIT,
                                .subject = "CN=segw",
                                .field = "keyUsage",
                                .found = "not there",
                                .expected = "critical"}},
    };
}

static void a_refusal_crosses_with_all_that_a_person_is_told(void **state)
{
    const VerifyAnswer answer = refusal_answer();
    Reason sentence, expected;
    VerifyAnswer decoded;
    Bytes bytes = answer_encode(&answer, frame);

    (void)state;
    assert_int_equal(verify_answer_decode(bytes, &decoded), 0);
    assert_false(decoded.verdict.taken);
    assert_int_equal(decoded.verdict.refusal.error, PEER_E_UNFIT);
    peer_check_sentence(&answer.verdict.refusal, &expected);
    peer_check_sentence(&decoded.verdict.refusal, &sentence);
    assert_string_equal(sentence.text, expected.text);
    assert_true(bytes_equal(answer_encode(&decoded, again), bytes));
    assert_whole_or_nothing(bytes, answer_decode);
}

static void a_refusal_for_no_reason_or_an_unknown_one_is_none(void **state)
{
    VerifyAnswer answer = refusal_answer();

    (void)state;
    answer.verdict.refusal.error = 0;
    assert_int_equal(answer_decode(answer_encode(&answer, frame)), -EBADMSG);
    answer.verdict.refusal.error = PEER_ERRORS;
    assert_int_equal(answer_decode(answer_encode(&answer, frame)), -EBADMSG);
}

static void a_peer_that_is_taken_crosses_with_key_identity_and_expiry(void **state)
{
    VerifyAnswer decoded, answer = {
                              .type = FRAME_PEER,
                              .verdict = {.taken = true,
                                          .path = {.digest = {6, [VERIFY_PATH_SIZE - 1] = 7}},
                                          .public_key = {0x30, 1, 2},
                                          .public_key_size = 3,
                                          .identity = "segw.example",
                                          .expires = 1795480000,
                                          .vouched = 1764000000,
                                          .note = "CN=SeGW: good by the CRL of CN=Root",
                                          .rsa_pkcs1 = true},
                          };
    Bytes bytes = answer_encode(&answer, frame);

    (void)state;
    assert_int_equal(verify_answer_decode(bytes, &decoded), 0);
    assert_memory_equal(&decoded.verdict, &answer.verdict, sizeof(decoded.verdict));
    assert_whole_or_nothing(bytes, answer_decode);
    answer.verdict.expires = 0;
    assert_int_equal(answer_decode(answer_encode(&answer, frame)), -EBADMSG);
    answer.verdict.expires = 1795480000;
    answer.verdict.public_key_size = 0;
    assert_int_equal(answer_decode(answer_encode(&answer, frame)), -EBADMSG);
}

static void the_facts_of_anchors_and_chain_cross_unchanged(void **state)
{
    static const uint8_t der[] = {0x30, 0x82};
    VerifyAnswer decoded,
        anchors = {.type = FRAME_ANCHORS,
                   .anchors = {.n_certificates = 3,
                               .n_hashes = 2,
                               .hashes = {{1, 2, 3}, {4}},
                               .certificates = {{{5}, 0}, {{6, 7}, 1}, {{8}, 0}}}};
    VerifyAnswer chain = {.type = FRAME_CHAIN,
                          .chain = {.fqdn = "henb.example",
                                    .not_before = 1,
                                    .not_after = 2,
                                    .expires = 3,
                                    .n_certificates = 1,
                                    .certificates = {BYTES_OF(der)}}};
    Bytes bytes = answer_encode(&anchors, frame);

    (void)state;
    assert_int_equal(verify_answer_decode(bytes, &decoded), 0);
    assert_memory_equal(&decoded.anchors, &anchors.anchors, sizeof(decoded.anchors));
    assert_whole_or_nothing(bytes, answer_decode);
    bytes = answer_encode(&chain, frame);
    assert_int_equal(verify_answer_decode(bytes, &decoded), 0);
    assert_string_equal(decoded.chain.fqdn, "henb.example");
    assert_int_equal(decoded.chain.not_after, 2);
    assert_true(bytes_equal(decoded.chain.certificates[0], BYTES_OF(der)));
    assert_whole_or_nothing(bytes, answer_decode);
    (void)snprintf(chain.chain.fqdn, sizeof(chain.chain.fqdn), "*.example");
    assert_int_equal(answer_decode(answer_encode(&chain, frame)), -EBADMSG);
    anchors.anchors.certificates[2].hash = 2; /* of which there are two */
    assert_int_equal(answer_decode(answer_encode(&anchors, frame)), -EBADMSG);
    anchors.anchors.certificates[2].hash = 1;
    anchors.anchors.n_hashes = 4; /* more than there are certificates */
    assert_int_equal(answer_decode(answer_encode(&anchors, frame)), -EBADMSG);
}

static void no_more_hashes_of_anchors_are_taken_than_there_is_room_for(void **state)
{
    VerifyAnswer anchors = {.type = FRAME_ANCHORS, .anchors = {.n_certificates = 1, .n_hashes = 1}};
    const size_t each = FRAME_HASH_SIZE + VERIFY_FINGERPRINT_SIZE + 1;
    const size_t head = answer_encode(&anchors, frame).size - each - 2;

    (void)state;
    for (unsigned n = FRAME_HASHES_MAX; n <= FRAME_HASHES_MAX + 1; n++) {
        const size_t size = head + 2 + n * each;

        memset(frame + head, 0, size - head);
        frame[head] = frame[head + 1] = (uint8_t)n;
        assert_int_equal(answer_decode((Bytes){frame, size}), n > FRAME_HASHES_MAX ? -EBADMSG : 0);
    }
    frame[head] = 1;
    frame[head + 1] = 0;
    assert_int_equal(answer_decode((Bytes){frame, head + 2}), -EBADMSG);
}

static void the_last_lists_of_issuers_cross_unchanged(void **state)
{
    static VerifyAnswer decoded,
        answer = {
            .type = FRAME_COMPLETE,
            .crls = {.n_issuers = 2,
                     .issuers = {{.issuer = "CN=Root", .this_update = 1, .next_update = 2},
                                 {.issuer = "CN=Other", .this_update = 3, .next_update = 4}}},
        };
    Bytes bytes = answer_encode(&answer, frame);

    (void)state;
    assert_int_equal(verify_answer_decode(bytes, &decoded), 0);
    assert_memory_equal(&decoded.crls, &answer.crls, sizeof(decoded.crls));
    assert_whole_or_nothing(bytes, answer_decode);
}

static void no_more_last_lists_are_taken_than_there_is_room_for(void **state)
{
    enum { COUNT_AT = 5 + 2 }; /* after type, error and an empty reason */
    VerifyAnswer answer = {.type = FRAME_COMPLETE};
    const Bytes without = answer_encode(&answer, again);

    (void)state;
    answer.crls.n_issuers = 1;
    const size_t each = answer_encode(&answer, frame).size - without.size;
    for (unsigned n = FRAME_CRL_ISSUERS_MAX; n <= FRAME_CRL_ISSUERS_MAX + 1; n++) {
        const Bytes bytes = {frame, without.size + n * each};

        memset(frame + COUNT_AT, 0, bytes.size - COUNT_AT);
        frame[COUNT_AT] = (uint8_t)n;
        assert_int_equal(answer_decode(bytes), n > FRAME_CRL_ISSUERS_MAX ? -EBADMSG : 0);
    }
}

static void files_that_nobody_needs_cross_with_a_verdict(void **state)
{
    static VerifyAnswer decoded, answer;
    Bytes bytes;

    (void)state;
    answer = refusal_answer();
    answer.obsolete = (ObsoleteFiles){.count = 2, .numbers = {7, FRAME_CRL_FILES_MAX - 1}};
    bytes = answer_encode(&answer, frame);
    assert_int_equal(verify_answer_decode(bytes, &decoded), 0);
    assert_memory_equal(&decoded.obsolete, &answer.obsolete, sizeof(decoded.obsolete));
    assert_whole_or_nothing(bytes, answer_decode);
    answer.obsolete.count = FRAME_CRL_FILES_MAX;
    bytes = answer_encode(&answer, frame);
    assert_int_equal(answer_decode(bytes), 0);
}

static void an_answer_without_success_has_nothing_but_its_reason(void **state)
{
    VerifyAnswer decoded, answer = {.type = FRAME_PEER, .error = -ENOMEM, .reason = {"no memory"}};
    Bytes bytes = answer_encode(&answer, frame);

    (void)state;
    answer.verdict.taken = true;
    assert_int_equal(verify_answer_decode(bytes, &decoded), 0);
    assert_int_equal(decoded.error, -ENOMEM);
    assert_string_equal(decoded.reason.text, "no memory");
    assert_false(decoded.verdict.taken);
    assert_whole_or_nothing(bytes, answer_decode);
}

static void an_error_that_the_kernel_does_not_have_is_refused(void **state)
{
    enum { ERROR_AT = 1, MOST = 4095 };
    VerifyAnswer decoded, answer = {.type = FRAME_PEER, .error = -MOST};
    const Bytes bytes = answer_encode(&answer, frame);

    (void)state;
    assert_int_equal(verify_answer_decode(bytes, &decoded), 0);
    assert_int_equal(decoded.error, -MOST);
    frame[ERROR_AT] = (MOST + 1) >> 8;
    frame[ERROR_AT + 1] = 0;
    assert_int_equal(verify_answer_decode(bytes, &decoded), -EBADMSG);
}

/* Each is a request or an answer. */
static int either_decode(Bytes bytes)
{
    return request_decode(bytes) == 0 ? 0 : answer_decode(bytes);
}

static void the_fuzzers_seeds_are_what_is_read(void **state)
{
    (void)state;
    assert_seeds_decode(seeds, either_decode);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_about_a_peer_crosses_unchanged),
        cmocka_unit_test(the_largest_evidence_fits_a_request),
        cmocka_unit_test(no_more_fingerprints_of_anchors_are_taken_than_there_is_room_for),
        cmocka_unit_test(what_is_handed_over_crosses_with_its_name),
        cmocka_unit_test(a_text_with_a_line_end_is_refused),
        cmocka_unit_test(a_refusal_crosses_with_all_that_a_person_is_told),
        cmocka_unit_test(a_refusal_for_no_reason_or_an_unknown_one_is_none),
        cmocka_unit_test(a_peer_that_is_taken_crosses_with_key_identity_and_expiry),
        cmocka_unit_test(the_facts_of_anchors_and_chain_cross_unchanged),
        cmocka_unit_test(no_more_hashes_of_anchors_are_taken_than_there_is_room_for),
        cmocka_unit_test(the_last_lists_of_issuers_cross_unchanged),
        cmocka_unit_test(no_more_last_lists_are_taken_than_there_is_room_for),
        cmocka_unit_test(files_that_nobody_needs_cross_with_a_verdict),
        cmocka_unit_test(an_answer_without_success_has_nothing_but_its_reason),
        cmocka_unit_test(an_error_that_the_kernel_does_not_have_is_refused),
        cmocka_unit_test(the_fuzzers_seeds_are_what_is_read),
    };

    seeds = seeds_folder(argc, argv);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
