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
int __real_memfd_create(const char *name, unsigned flags);
int __wrap_memfd_create(const char *name, unsigned flags);
static bool no_descriptor_is_left;

int __wrap_memfd_create(const char *name, unsigned flags)
{
    assert_true(flags & MFD_ALLOW_SEALING);
    if (!no_descriptor_is_left)
        return __real_memfd_create(name, flags);
    errno = EMFILE;
    return -1;
}

static int start_result; /* of the program */
static unsigned n_started, n_ended;
int __wrap_helper_process_start(const char *path, const char *argument, HelperProcess *ret);
void __wrap_helper_process_end(HelperProcess *process);

int __wrap_helper_process_start(const char *path, const char *argument, HelperProcess *ret)
{
    (void)ret;
    assert_string_equal(path, "/verifier");
    assert_null(argument);
    n_started++;
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
    no_descriptor_is_left = true;
    for (size_t i = 0; i < ELEMENTS(types); i++) {
        assert_int_equal(
            verifier_hand(NULL, types[i], BYTES_OF(octets), "file", BYTES_OF(octets), &reason),
            -EMFILE);
    }
    no_descriptor_is_left = false;
}

/* ---- a verifier whose process is the test's end of a channel ---- */

static int its_end;

static Verifier *verifier_with_process(LoadStep step, FrameType awaited)
{
    static Verifier verifier;
    VerifierProcess *process = calloc(1, sizeof(*process));
    int ends[2];

    assert_non_null(process);
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
    *process = (VerifierProcess){.helper = {.channel = ends[0]}, .step = step, .awaited = awaited};
    verifier = (Verifier){.options.program = "/verifier",
                          .next = process,
                          .anchors = {.fd = -1},
                          .profile = {.fd = -1}};
    its_end = ends[1];
    return &verifier;
}

static void verifier_end(Verifier *verifier, int channel)
{
    verifier_process_free(verifier->next);
    close_fdp(&verifier->anchors.fd);
    (void)close(channel);
    (void)close(its_end);
}

/* What it is asked, and whether there is a descriptor with it; nothing: 0. */
static FrameType heard(VerifyRequest *ret, bool *ret_with_descriptor)
{
    static uint8_t frame[FRAME_SIZE_MAX];
    _cleanup_(close_fdp) int fd = -1;
    uint8_t octet;

    if (recv(its_end, &octet, 1, MSG_PEEK | MSG_DONTWAIT) < 0)
        return 0;
    const int size = helper_receive(its_end, frame, sizeof(frame), &fd);
    assert_true(size > 0);
    assert_int_equal(verify_request_decode((Bytes){frame, (size_t)size}, ret), 0);
    *ret_with_descriptor = fd >= 0;
    return ret->type;
}

static void a_crl_that_can_not_be_handed_over_is_not_asked_about(void **state)
{
    static uint8_t octets[] = {1};
    CrlFile file = {.n_references = 1, .path = (char[]){"a"}, .data = octets, .size = 1};
    Verifier *verifier = verifier_with_process(LOAD_CRLS, 0);
    const int channel = verifier->next->helper.channel;
    VerifyRequest request;
    bool with_descriptor = false;

    (void)state;
    verifier->next->crls = (CrlFiles){1, {&file}};
    no_descriptor_is_left = true;
    assert_int_equal(verifier_load_step(verifier, verifier->next), -EMFILE);
    no_descriptor_is_left = false;
    assert_int_equal(heard(&request, &with_descriptor), 0);
    assert_null(verifier->next->reading);
    verifier->next->next_crl = 0;
    assert_int_equal(verifier_load_step(verifier, verifier->next), 0);
    assert_int_equal(heard(&request, &with_descriptor), FRAME_CRL);
    assert_true(with_descriptor);
    assert_ptr_equal(verifier->next->reading, &file);
    verifier->next->crls.count = 0;
    verifier_end(verifier, channel);
}

/* It stands in the journal's lines. */
static void a_name_has_nothing_that_could_forge_a_line(void **state)
{
    static const uint8_t octets[] = {1};
    Verifier *verifier = verifier_with_process(LOAD_ANCHORS, 0);
    const int channel = verifier->next->helper.channel;
    VerifyRequest request;
    Reason reason = {0};
    bool with_descriptor = false;

    (void)state;
    assert_int_equal(verifier_hand(verifier, FRAME_ANCHORS, BYTES_OF(octets),
                                   "a b\n\x1f\x7f~\xc3\xa4", (Bytes){0}, &reason),
                     0);
    assert_int_equal(heard(&request, &with_descriptor), FRAME_ANCHORS);
    assert_true(with_descriptor);
    assert_string_equal(request.name, "a b???~\xc3\xa4");
    verifier_end(verifier, channel);
}

static void say(const VerifyAnswer *answer)
{
    static uint8_t frame[FRAME_SIZE_MAX];
    Bytes message = {(const uint8_t *)"nonsense", 8};
    Writer writer;

    if (answer) {
        writer_init(&writer, frame, sizeof(frame));
        verify_answer_encode(&writer, answer);
        assert_int_equal(writer_finish(&writer, &message), 0);
    }
    assert_int_equal(helper_send(its_end, message, -1), 0);
}

static void what_comes_next_follows_from_what_was_answered_well(void **state)
{
    static const struct {
        FrameType awaited;
        int error;
        LoadStep step;
    } cases[] = {
        {FRAME_PROFILE, 0, LOAD_ANCHORS},       {FRAME_ANCHORS, 0, LOAD_CRLS},
        {FRAME_CRL, 0, LOAD_PROFILE},           {FRAME_PROFILE, -EINVAL, LOAD_PROFILE},
        {FRAME_ANCHORS, -EINVAL, LOAD_PROFILE},
    };

    (void)state;
    for (size_t i = 0; i < ELEMENTS(cases); i++) {
        static VerifyAnswer answer;
        Verifier *verifier = verifier_with_process(LOAD_PROFILE, cases[i].awaited);
        const int channel = verifier->next->helper.channel;
        Reason reason = {0};

        verifier->facts.n_certificates = 7;
        answer = (VerifyAnswer){.type = cases[i].awaited, .error = cases[i].error};
        if (cases[i].awaited == FRAME_ANCHORS)
            answer.anchors = (AnchorFacts){.n_certificates = 1, .n_hashes = 1};
        say(&answer);
        assert_int_equal(verifier_take(verifier, &reason), cases[i].error);
        assert_int_equal(verifier->next->step, cases[i].step);
        assert_int_equal(verifier->facts.n_certificates, cases[i].step == LOAD_CRLS ? 1 : 7);
        verifier_end(verifier, channel);
    }
}

static void one_that_answers_nonsense_is_ended_and_nothing_of_it_is_taken(void **state)
{
    Verifier *verifier = verifier_with_process(LOAD_PROFILE, FRAME_ANCHORS);
    const int channel = verifier->next->helper.channel;
    Reason reason = {0};

    (void)state;
    n_ended = 0;
    verifier->facts.n_certificates = 7;
    say(NULL);
    assert_int_equal(verifier_take(verifier, &reason), VERIFIER_E_FAILED);
    assert_null(verifier->next);
    assert_int_equal(n_ended, 1);
    assert_int_equal(verifier->facts.n_certificates, 7);
    verifier_end(verifier, channel);
}

static void without_its_profile_or_its_program_there_is_no_verifier(void **state)
{
    VerifierOptions options = {.program = "/verifier", .profile = "/nonexistent/profile"};
    Verifier *verifier = NULL;
    Reason reason = {0};

    (void)state;
    n_started = 0;
    assert_int_equal(verifier_begin(&options, &verifier, &reason), -ENOENT);
    assert_non_null(strstr(reason.text, "/nonexistent/profile: can't be read"));
    assert_int_equal(n_started, 0);
    options.profile = SEGW_PROFILE_3GPP;
    start_result = -ENOENT;
    assert_int_equal(verifier_begin(&options, &verifier, &reason), VERIFIER_E_NO_PROGRAM);
    assert_int_equal(n_started, 1);
    assert_null(verifier);
    start_result = 0;
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
        cmocka_unit_test(a_crl_that_can_not_be_handed_over_is_not_asked_about),
        cmocka_unit_test(a_name_has_nothing_that_could_forge_a_line),
        cmocka_unit_test(what_comes_next_follows_from_what_was_answered_well),
        cmocka_unit_test(one_that_answers_nonsense_is_ended_and_nothing_of_it_is_taken),
        cmocka_unit_test(without_its_profile_or_its_program_there_is_no_verifier),
        cmocka_unit_test(an_answer_is_taken_to_what_was_asked_and_to_nothing_else),
        cmocka_unit_test(what_an_error_says_is_passed_on_and_without_one_nothing_is_said),
        cmocka_unit_test(so_many_peers_wait_and_none_more),
        cmocka_unit_test(a_program_that_can_not_be_executed_is_told_from_one_that_fails),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
