/* What does tred-verify itself do: whom does it serve, within which limits, and how does it end? */
#include "base/cleanup.h"
#include "base/helper.h"
#include "pki_fixture.h"
#include "verify/frames.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sysexits.h>

#include <cmocka.h>

#include "tests/unit/program.h"

static const char *command[] = {NULL, NULL};

/* `sent` goes along, unless it is -1. */
static void ask(const Running *running, const VerifyRequest *request, int sent, VerifyAnswer *ret)
{
    static uint8_t frame[FRAME_SIZE_MAX];
    Writer writer;
    Bytes message;
    int fd = -1;

    writer_init(&writer, frame, sizeof(frame));
    verify_request_encode(&writer, request);
    assert_int_equal(writer_finish(&writer, &message), 0);
    assert_int_equal(helper_send(running->channel, message, sent), 0);
    const int size = helper_receive(running->channel, frame, sizeof(frame), &fd);
    assert_true(size > 0);
    assert_int_equal(fd, -1);
    assert_int_equal(verify_answer_decode((Bytes){frame, (size_t)size}, ret), 0);
    assert_int_equal(ret->type, request->type);
}

/* The error that a request is answered with. */
static int error_of(const Running *running, FrameType type, int sent)
{
    const VerifyRequest request = {.type = type, .name = "a file"};
    static VerifyAnswer answer;

    ask(running, &request, sent, &answer);
    return answer.error;
}

static int error_of_anchors(const Running *running)
{
    Pki root = pki_root("Root");
    unsigned char *der = NULL;
    const int size = i2d_X509(root.certificate, &der);
    const int fd = memfd_create("anchors", MFD_CLOEXEC);

    assert_true(size > 0 && fd >= 0);
    assert_int_equal(write(fd, der, (size_t)size), size);
    const int error = error_of(running, FRAME_ANCHORS, fd);
    (void)close(fd);
    OPENSSL_free(der);
    pki_deinit(&root);
    return error;
}

static rlim_t memory_limit(const Running *running)
{
    struct rlimit limit;

    assert_int_equal(prlimit(running->pid, RLIMIT_DATA, NULL, &limit), 0);
    assert_int_equal(limit.rlim_cur, limit.rlim_max);
    return limit.rlim_cur;
}

static void it_takes_no_argument_and_nothing_but_a_socket(void **state)
{
    (void)state;
    assert_takes_a_socket_alone(command[0]);
}

static void it_ends_well_when_tred_has_closed_its_end(void **state)
{
    (void)state;
    const Running idle = running_begin(command);
    assert_int_equal(running_end(&idle), EX_OK);

    const Running asked = running_begin(command);
    assert_int_equal(error_of(&asked, FRAME_PROFILE, -1), 0);
    assert_int_equal(running_end(&asked), EX_OK);
}

static void it_answers_one_request_after_the_other_those_that_fail_among_them(void **state)
{
    (void)state;
    const Running running = running_begin(command);

    assert_int_equal(error_of(&running, FRAME_PROFILE, -1), 0);
    assert_true(error_of(&running, FRAME_ANCHORS, -1) < 0); /* without a descriptor */
    assert_true(error_of(&running, FRAME_CRL, -1) < 0);
    assert_int_equal(error_of(&running, FRAME_PROFILE, -1), 0);
    assert_int_equal(running_end(&running), EX_OK);
}

static void what_is_no_request_ends_it(void **state)
{
    static const uint8_t type_0[] = {0}, type_after_the_last[] = {FRAME_TYPES};
    static const uint8_t too_large[FRAME_SIZE_MAX + 1] = {FRAME_COMPLETE};

    (void)state;
    assert_int_equal(status_after(command, type_0, sizeof(type_0)), EX_PROTOCOL);
    assert_int_equal(status_after(command, type_after_the_last, sizeof(type_after_the_last)),
                     EX_PROTOCOL);
    assert_int_equal(status_after(command, "no request", strlen("no request")), EX_PROTOCOL);
    assert_int_equal(status_after(command, too_large, sizeof(too_large)), EX_PROTOCOL);
}

static void nothing_is_answered_after_what_is_no_request(void **state)
{
    const uint8_t octet = FRAME_TYPES;

    (void)state;
    const Running running = running_begin(command);
    assert_int_equal(error_of(&running, FRAME_PROFILE, -1), 0);
    assert_int_equal(send(running.channel, &octet, sizeof(octet), 0), sizeof(octet));
    assert_ends_unanswered(&running, EX_PROTOCOL);
}

static void it_writes_no_file(void **state)
{
    struct rlimit limit;

    (void)state;
    const Running running = running_begin(command);
    assert_int_equal(error_of(&running, FRAME_PROFILE, -1), 0);
    assert_int_equal(prlimit(running.pid, RLIMIT_FSIZE, NULL, &limit), 0);
    assert_int_equal(limit.rlim_max, 0);
    assert_int_equal(running_end(&running), EX_OK);
}

/* What is loaded may be large; a verdict has 64 MiB beside it, from FRAME_COMPLETE on and not
 * before. */
static void a_verdict_has_less_memory_than_what_is_loaded(void **state)
{
    enum { MIB = 1024 * 1024, LOADING = 1024, VERDICT = 64, LOADED_HERE_MOST = 16 };

    (void)state;
    if (program_has_sanitizer())
        skip(); /* with a sanitizer no limit is set */
    const Running running = running_begin(command);
    assert_int_equal(error_of(&running, FRAME_PROFILE, -1), 0);
    assert_int_equal(memory_limit(&running), (rlim_t)LOADING * MIB);
    assert_true(error_of(&running, FRAME_COMPLETE, -1) < 0); /* without anchors */
    assert_int_equal(memory_limit(&running), (rlim_t)LOADING * MIB);
    assert_int_equal(error_of_anchors(&running), 0);
    assert_int_equal(memory_limit(&running), (rlim_t)LOADING * MIB);
    assert_int_equal(error_of(&running, FRAME_COMPLETE, -1), 0);
    assert_in_range(memory_limit(&running), (rlim_t)VERDICT * MIB,
                    (rlim_t)(VERDICT + LOADED_HERE_MOST) * MIB);
    assert_int_equal(running_end(&running), EX_OK);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_takes_no_argument_and_nothing_but_a_socket),
        cmocka_unit_test(it_ends_well_when_tred_has_closed_its_end),
        cmocka_unit_test(it_answers_one_request_after_the_other_those_that_fail_among_them),
        cmocka_unit_test(what_is_no_request_ends_it),
        cmocka_unit_test(nothing_is_answered_after_what_is_no_request),
        cmocka_unit_test(it_writes_no_file),
        cmocka_unit_test(a_verdict_has_less_memory_than_what_is_loaded),
    };

    if (argc != 2)
        return 1;
    command[0] = argv[1];
    return cmocka_run_group_tests_name("tred-verify", tests, NULL, NULL);
}
