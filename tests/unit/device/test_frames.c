/* Do frames say what was said, all of it, and nothing that was not? */
#include "device/frames.h"

#include "base/cleanup.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/seeds.h"

static const char *seeds;

static uint8_t buffer[DEVICE_FRAME_SIZE_MAX], again[DEVICE_FRAME_SIZE_MAX];

static Bytes request_write(const DeviceRequest *request, uint8_t *to)
{
    Writer writer;
    Bytes frame = {0};

    writer_init(&writer, to, DEVICE_FRAME_SIZE_MAX);
    device_request_encode(&writer, request);
    assert_int_equal(writer_finish(&writer, &frame), 0);
    return frame;
}

static Bytes answer_write(const DeviceAnswer *answer, uint8_t *to)
{
    Writer writer;
    Bytes frame = {0};

    writer_init(&writer, to, DEVICE_FRAME_SIZE_MAX);
    device_answer_encode(&writer, answer);
    assert_int_equal(writer_finish(&writer, &frame), 0);
    return frame;
}

static const uint8_t digest[DEVICE_DIGEST_SIZE_MAX] = {1, 2, 3};
static const uint8_t signature[DEVICE_SIGNATURE_SIZE_MAX] = {4, 5, 6};

/* Everything in it differs from everything else. */
static void request_fill(DeviceRequestType type, DeviceRequest *ret)
{
    *ret = (DeviceRequest){
        .type = type,
        .number = 0x01020304,
        .pause_ms = 5,
        .bundle_size = 6,
        .reached = 7,
        .correction_days = 8,
        .digest_name = "SHA256",
        .pss = true,
        .digest = {digest, 32},
        .files = {"swtpm:path=/t", "/srk", "/key", "/policy", "/pcrs", "/crt", "/anchors"},
    };
}

static void answer_fill(DeviceAnswerType type, DeviceAnswer *ret)
{
    *ret = (DeviceAnswer){
        .type = type,
        .number = 0x01020304,
        .result = -EIO,
        .broken = true,
        .mismatch = {"sha256", 2, {{3, "aa", "bb"}, {23, "cc", "dd"}}},
        .facts = {3, {7, 8, 9}, "ecdsa-p256", "signed", 32, 600, {"why"}, true, 12, 13},
        .told = true,
        .version = 14,
        .moved = true,
        .last_known = 15,
        .signature = {signature, 72},
    };
    reason_set(&ret->reason, 0, "why not");
}

static void every_request_is_read_as_it_was_written(void **state)
{
    static DeviceRequest request, read;

    (void)state;
    for (int type = 1; type < DEVICE_REQUEST_TYPES; type++) {
        request_fill((DeviceRequestType)type, &request);
        const Bytes frame = request_write(&request, buffer);
        assert_int_equal(device_request_decode(frame, &read), 0);
        assert_int_equal(read.type, type);
        assert_int_equal(read.number, request.number);
        assert_true(bytes_equal(request_write(&read, again), frame));
    }
}

static void every_answer_is_read_as_it_was_written(void **state)
{
    static DeviceAnswer answer, read;

    (void)state;
    for (int type = 1; type < DEVICE_ANSWER_TYPES; type++) {
        answer_fill((DeviceAnswerType)type, &answer);
        const Bytes frame = answer_write(&answer, buffer);
        assert_int_equal(device_answer_decode(frame, &read), 0);
        assert_int_equal(read.type, type);
        assert_int_equal(read.result, -EIO);
        assert_string_equal(read.reason.text, "why not");
        assert_true(bytes_equal(answer_write(&read, again), frame));
    }
}

static void what_a_request_says_is_what_was_said(void **state)
{
    static DeviceRequest request, read;

    (void)state;
    request_fill(DEVICE_SIGN, &request);
    assert_int_equal(device_request_decode(request_write(&request, buffer), &read), 0);
    assert_string_equal(read.digest_name, "SHA256");
    assert_true(read.pss);
    assert_true(bytes_equal(read.digest, request.digest));
    request_fill(DEVICE_ADVANCE, &request);
    assert_int_equal(device_request_decode(request_write(&request, buffer), &read), 0);
    assert_int_equal(read.reached, 7);
    assert_int_equal(read.correction_days, 8);
    request_fill(DEVICE_CONFIGURE, &request);
    assert_int_equal(device_request_decode(request_write(&request, buffer), &read), 0);
    assert_memory_equal(&read.files, &request.files, sizeof(read.files));
}

static void what_an_answer_says_is_what_was_said(void **state)
{
    static DeviceAnswer answer, read;

    (void)state;
    answer_fill(DEVICE_LOADED, &answer);
    assert_int_equal(device_answer_decode(answer_write(&answer, buffer), &read), 0);
    assert_memory_equal(&read.mismatch, &answer.mismatch, sizeof(read.mismatch));
    assert_memory_equal(&read.facts, &answer.facts, sizeof(read.facts));
    answer_fill(DEVICE_SIGNED, &answer);
    assert_int_equal(device_answer_decode(answer_write(&answer, buffer), &read), 0);
    assert_true(bytes_equal(read.signature, answer.signature));
    answer_fill(DEVICE_ADVANCED, &answer);
    assert_int_equal(device_answer_decode(answer_write(&answer, buffer), &read), 0);
    assert_true(read.moved);
    assert_int_equal(read.last_known, 15);
}

static void no_more_pcrs_are_taken_than_there_is_room_for_and_none_that_is_no_pcr(void **state)
{
    static DeviceAnswer answer, read;
    size_t at = 0;

    (void)state;
    answer_fill(DEVICE_LOADED, &answer);
    answer.mismatch.count = 0;
    memset(answer.mismatch.pcrs, 0, sizeof(answer.mismatch.pcrs));
    (void)answer_write(&answer, again);
    answer.mismatch.count = DEVICE_PCRS_MAX;
    const Bytes frame = answer_write(&answer, buffer);
    assert_int_equal(device_answer_decode(frame, &read), 0);
    /* Where the two begin to differ is the count; a PCR without text is zeros. */
    while (buffer[at] == again[at])
        at++;
    assert_int_equal(buffer[at], DEVICE_PCRS_MAX);
    answer.mismatch.count = 1;
    const size_t one = answer_write(&answer, again).size;
    const size_t each = (frame.size - one) / (DEVICE_PCRS_MAX - 1);
    memmove(buffer + at + 1 + each, buffer + at + 1, frame.size - at - 1);
    buffer[at]++;
    assert_int_equal(device_answer_decode((Bytes){buffer, frame.size + each}, &read), -EBADMSG);

    answer.mismatch.pcrs[0].number = DEVICE_PCRS_MAX - 1;
    assert_int_equal(device_answer_decode(answer_write(&answer, buffer), &read), 0);
    answer.mismatch.pcrs[0].number++;
    assert_int_equal(device_answer_decode(answer_write(&answer, buffer), &read), -EBADMSG);
}

static void a_request_that_ends_early_or_late_is_refused(void **state)
{
    static DeviceRequest request, read;

    (void)state;
    for (int type = 1; type < DEVICE_REQUEST_TYPES; type++) {
        request_fill((DeviceRequestType)type, &request);
        const Bytes frame = request_write(&request, buffer);
        for (size_t size = 0; size < frame.size; size++)
            assert_int_equal(device_request_decode((Bytes){frame.data, size}, &read), -EBADMSG);
        buffer[frame.size] = 0;
        assert_int_equal(device_request_decode((Bytes){frame.data, frame.size + 1}, &read),
                         -EBADMSG);
    }
}

static void an_answer_that_ends_early_or_late_is_refused(void **state)
{
    static DeviceAnswer answer, read;

    (void)state;
    for (int type = 1; type < DEVICE_ANSWER_TYPES; type++) {
        answer_fill((DeviceAnswerType)type, &answer);
        const Bytes frame = answer_write(&answer, buffer);
        for (size_t size = 0; size < frame.size; size++)
            assert_int_equal(device_answer_decode((Bytes){frame.data, size}, &read), -EBADMSG);
        buffer[frame.size] = 0;
        assert_int_equal(device_answer_decode((Bytes){frame.data, frame.size + 1}, &read),
                         -EBADMSG);
    }
}

static void types_that_there_are_not_are_refused(void **state)
{
    static const unsigned types[] = {0, DEVICE_REQUEST_TYPES, DEVICE_ANSWER_TYPES, 31, 32, 255};
    static DeviceRequest request;
    static DeviceAnswer answer;

    (void)state;
    request_fill(DEVICE_FORGET, &request);
    answer_fill(DEVICE_ALIVE, &answer);
    const Bytes asked = request_write(&request, buffer), answered = answer_write(&answer, again);
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        buffer[0] = again[0] = (uint8_t)types[i];
        if (types[i] != DEVICE_ANSWER_TYPES)
            assert_int_equal(device_request_decode(asked, &request), -EBADMSG);
        if (types[i] != DEVICE_REQUEST_TYPES)
            assert_int_equal(device_answer_decode(answered, &answer), -EBADMSG);
    }
}

/* What tred does next is chosen by it: a state that serves, or none of the states, is no outcome.
 */
static void an_outcome_that_an_answer_can_not_have_is_refused(void **state)
{
    const struct {
        DeviceAnswerType type;
        int result;
    } possible[] = {
        {DEVICE_LOADED, IDENTITY_UNPROVISIONED},   {DEVICE_LOADED, IDENTITY_INTEGRITY_FAILED},
        {DEVICE_LOADED, IDENTITY_TPM_UNAVAILABLE}, {DEVICE_INSTALLED, DEVICE_E_REFUSED},
        {DEVICE_INSTALLED, DEVICE_E_OUTDATED},
    };
    const DeviceAnswerType types[] = {DEVICE_LOADED, DEVICE_INSTALLED, DEVICE_ADVANCED,
                                      DEVICE_SIGNED, DEVICE_FAILED};

    (void)state;
    for (size_t i = 0; i < ELEMENTS(types); i++) {
        for (int result = -2; result <= 255; result++) {
            DeviceAnswer answer, read;
            bool expected = result <= 0;

            answer_fill(types[i], &answer);
            answer.result = result;
            for (size_t j = 0; j < ELEMENTS(possible); j++) {
                expected |= possible[j].type == types[i] && possible[j].result == result;
            }
            assert_int_equal(device_answer_decode(answer_write(&answer, buffer), &read),
                             expected ? 0 : -EBADMSG);
        }
    }
}

static void a_time_after_the_year_9999_is_refused(void **state)
{
    const time_t last = 253402300799;
    DeviceRequest request, read;

    (void)state;
    request_fill(DEVICE_ADVANCE, &request);
    request.reached = last;
    assert_int_equal(device_request_decode(request_write(&request, buffer), &read), 0);
    assert_int_equal(read.reached, last);
    request.reached = last + 1;
    assert_int_equal(device_request_decode(request_write(&request, buffer), &read), -EBADMSG);
}

static void a_text_that_can_not_be_printed_is_refused(void **state)
{
    static DeviceRequest request, read;

    (void)state;
    request_fill(DEVICE_SIGN, &request);
    const Bytes frame = request_write(&request, buffer);
    uint8_t *letter = memchr(buffer, 'S', frame.size);
    assert_non_null(letter);
    *letter = '\n';
    assert_int_equal(device_request_decode(frame, &read), -EBADMSG);
    *letter = 0x7f;
    assert_int_equal(device_request_decode(frame, &read), -EBADMSG);
    *letter = 'T';
    assert_int_equal(device_request_decode(frame, &read), 0);
}

static void the_longest_digest_and_signature_fit_and_longer_ones_are_refused(void **state)
{
    static uint8_t longer[DEVICE_SIGNATURE_SIZE_MAX + 1];
    static DeviceRequest request, asked;
    static DeviceAnswer answer, answered;

    (void)state;
    request_fill(DEVICE_SIGN, &request);
    request.digest = (Bytes){digest, DEVICE_DIGEST_SIZE_MAX};
    assert_int_equal(device_request_decode(request_write(&request, buffer), &asked), 0);
    request.digest = (Bytes){longer, DEVICE_DIGEST_SIZE_MAX + 1};
    assert_int_equal(device_request_decode(request_write(&request, buffer), &asked), -EBADMSG);
    answer_fill(DEVICE_SIGNED, &answer);
    answer.signature = (Bytes){signature, DEVICE_SIGNATURE_SIZE_MAX};
    assert_int_equal(device_answer_decode(answer_write(&answer, buffer), &answered), 0);
    answer.signature = (Bytes){longer, DEVICE_SIGNATURE_SIZE_MAX + 1};
    assert_int_equal(device_answer_decode(answer_write(&answer, buffer), &answered), -EBADMSG);
}

/* Each is a request or an answer. */
static int either_decode(Bytes octets)
{
    DeviceRequest request;
    DeviceAnswer answer;

    return device_request_decode(octets, &request) == 0 ? 0 : device_answer_decode(octets, &answer);
}

static void the_fuzzers_seeds_are_what_is_read(void **state)
{
    (void)state;
    assert_seeds_decode(seeds, either_decode);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_request_is_read_as_it_was_written),
        cmocka_unit_test(every_answer_is_read_as_it_was_written),
        cmocka_unit_test(what_a_request_says_is_what_was_said),
        cmocka_unit_test(what_an_answer_says_is_what_was_said),
        cmocka_unit_test(no_more_pcrs_are_taken_than_there_is_room_for_and_none_that_is_no_pcr),
        cmocka_unit_test(a_request_that_ends_early_or_late_is_refused),
        cmocka_unit_test(an_answer_that_ends_early_or_late_is_refused),
        cmocka_unit_test(types_that_there_are_not_are_refused),
        cmocka_unit_test(an_outcome_that_an_answer_can_not_have_is_refused),
        cmocka_unit_test(a_time_after_the_year_9999_is_refused),
        cmocka_unit_test(a_text_that_can_not_be_printed_is_refused),
        cmocka_unit_test(the_longest_digest_and_signature_fit_and_longer_ones_are_refused),
        cmocka_unit_test(the_fuzzers_seeds_are_what_is_read),
    };

    seeds = seeds_folder(argc, argv);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
