/* What tred-verify is to read goes to it in sealed memory: is nothing asked where there is none? Is
 * an answer taken only to what was asked, and how many may wait? */
#include "tred/verifier_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

/* In the place of the C library's (--wrap). */
int __wrap_memfd_create(const char *name, unsigned flags);

int __wrap_memfd_create(const char *name, unsigned flags)
{
    (void)name;
    assert_true(flags & MFD_ALLOW_SEALING);
    errno = EMFILE;
    return -1;
}

static int start_result; /* of the program */
static unsigned n_ended;
int __wrap_helper_process_start(const char *path, const char *argument, HelperProcess *ret);
void __wrap_helper_process_end(HelperProcess *process);

int __wrap_helper_process_start(const char *path, const char *argument, HelperProcess *ret)
{
    (void)ret;
    assert_string_equal(path, "/verifier");
    assert_null(argument);
    return start_result;
}

void __wrap_helper_process_end(HelperProcess *process)
{
    (void)process;
    n_ended++;
}

/* The verifier is not looked at: there is none. */
static void without_a_descriptor_left_it_is_asked_nothing(void **state)
{
    static const FrameType types[] = {FRAME_ANCHORS, FRAME_CHAIN, FRAME_CRL};
    static const uint8_t octets[] = {1};
    Reason reason = {0};

    (void)state;
    for (size_t i = 0; i < ELEMENTS(types); i++) {
        assert_int_equal(
            verifier_hand(NULL, types[i], BYTES_OF(octets), "file", BYTES_OF(octets), &reason),
            -EMFILE);
    }
}

/* An answer of that type (0: octets that are none; FRAME_TYPES: the other end is closed), with a
 * descriptor or without, to one that `awaited` is due from. */
static int receive(FrameType awaited, FrameType type, bool with_descriptor)
{
    static Verifier verifier;
    static uint8_t frame[FRAME_SIZE_MAX];
    VerifyAnswer answer = {.type = type, .error = -EINVAL};
    VerifierProcess process = {.awaited = awaited};
    Bytes message = {(const uint8_t *)"nonsense", 8};
    int ends[2];
    Writer writer;

    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
    process.helper.channel = ends[0];
    if (type != 0 && type != FRAME_TYPES) {
        writer_init(&writer, frame, sizeof(frame));
        verify_answer_encode(&writer, &answer);
        assert_int_equal(writer_finish(&writer, &message), 0);
    }
    if (type != FRAME_TYPES)
        assert_int_equal(helper_send(ends[1], message, with_descriptor ? STDOUT_FILENO : -1), 0);
    (void)close(ends[1]);
    const int r = verifier_answer_receive(&verifier, &process);
    (void)close(ends[0]);
    assert_int_equal(process.awaited, r == -EPIPE ? awaited : 0);
    return r;
}

static void an_answer_is_taken_to_what_was_asked_and_to_nothing_else(void **state)
{
    (void)state;
    for (FrameType asked = 0; asked < FRAME_TYPES; asked++) {
        for (FrameType type = 0; type < FRAME_TYPES; type++) {
            const bool is_due = asked != 0 && asked == type;

            assert_int_equal(receive(asked, type, false), is_due ? 0 : -EBADMSG);
            assert_int_equal(receive(asked, type, true), -EBADMSG);
        }
        assert_int_equal(receive(asked, FRAME_TYPES, false), -EPIPE);
    }
}

static int never(sd_event_source *source, void *userdata)
{
    (void)source, (void)userdata;
    return 0;
}

static void told(const Verdict *verdict, const char *reason, void *userdata)
{
    (void)verdict, (void)reason;
    ++*(unsigned *)userdata;
}

static void what_an_error_says_is_passed_on_and_without_one_nothing_is_said(void **state)
{
    static Verifier verifier;
    Reason reason = {0};

    (void)state;
    for (int error = -1; error <= 0; error++) {
        verifier.answer = (VerifyAnswer){.error = error, .reason = {"the verifier's"}};
        (void)reason_set(&reason, 0, "said before");
        assert_int_equal(verifier_answer_error(&verifier, &reason), error);
        assert_string_equal(reason.text, error ? "the verifier's" : "said before");
    }
}

static void so_many_peers_wait_and_none_more(void **state)
{
    static Verifier verifier;
    static uint8_t certificate[1];
    VerifyRequest request = {.type = FRAME_PEER, .segw_name = "segw.example"};
    Verification *verification = NULL;
    unsigned n_told = 0;

    (void)state;
    request.n_certificates = 1;
    request.certificates[0] = BYTES_OF(certificate);
    assert_int_equal(verifier_ask(&verifier, &request, told, &n_told, &verification), -EPROTO);
    assert_int_equal(sd_event_new(&verifier.event), 0);
    assert_true(sd_event_add_defer(verifier.event, &verifier.soon, never, NULL) >= 0);
    for (size_t i = 0; i < VERIFIER_WAITING_MAX; i++) {
        assert_int_equal(verifier_ask(&verifier, &request, told, &n_told, &verification), 0);
        assert_non_null(verification);
    }
    verification = NULL;
    assert_int_equal(verifier_ask(&verifier, &request, told, &n_told, &verification), -EBUSY);
    assert_null(verification);
    assert_int_equal(verifier.n_waiting, VERIFIER_WAITING_MAX);
    verification_cancel(verifier.waiting); /* it is told to nobody, and keeps its place */
    assert_int_equal(verifier.n_waiting, VERIFIER_WAITING_MAX);
    verifier_waiting_fail(&verifier, "so");
    assert_int_equal(n_told, VERIFIER_WAITING_MAX - 1);
    assert_int_equal(verifier.n_waiting, 0);
    assert_null(verifier.waiting);
    sd_event_source_unref(verifier.soon);
    sd_event_unref(verifier.event);
}

static void a_program_that_can_not_be_executed_is_told_from_one_that_fails(void **state)
{
    static const int never[] = {-ENOENT, -EACCES, -ENOEXEC}, now[] = {-EAGAIN, -ENOMEM, -EMFILE};
    static Verifier verifier = {.options.program = "/verifier"};
    VerifierProcess *process = NULL;
    Reason reason = {0};

    (void)state;
    for (size_t i = 0; i < ELEMENTS(never); i++) {
        start_result = never[i];
        assert_int_equal(verifier_process_start(&verifier, &process, &reason),
                         VERIFIER_E_NO_PROGRAM);
        start_result = now[i];
        assert_int_equal(verifier_process_start(&verifier, &process, &reason), VERIFIER_E_FAILED);
        assert_non_null(strstr(reason.text, strerror(-now[i])));
        assert_null(process);
    }
    start_result = 0;
    assert_int_equal(verifier_process_start(&verifier, &process, &reason), 0);
    assert_non_null(process);
    n_ended = 0;
    verifier_process_free(process);
    assert_int_equal(n_ended, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_a_descriptor_left_it_is_asked_nothing),
        cmocka_unit_test(an_answer_is_taken_to_what_was_asked_and_to_nothing_else),
        cmocka_unit_test(what_an_error_says_is_passed_on_and_without_one_nothing_is_said),
        cmocka_unit_test(so_many_peers_wait_and_none_more),
        cmocka_unit_test(a_program_that_can_not_be_executed_is_told_from_one_that_fails),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
