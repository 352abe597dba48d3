/* What is asked of tred-tpm, who is told of its answers, and what becomes of all who wait when it
 * is lost? Its end of the channel is the test's; the event loop is played (ld --wrap). */
#include "tred/device.h"

#include "base/cleanup.h"
#include "base/file.h"
#include "base/helper.h"
#include "base/local.h"
#include "base/log.h"
#include "pki_fixture.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

enum { SECOND = 1000000, ALIVE = 8 * SECOND, AGAIN = SECOND, TOLD_MAX = 8 };

typedef struct Bench {
    Device *device;
    SigningKey *key;
    int end; /* tred-tpm's; -1: there is none */
    int connect_result;
    bool has_io, timer_is_on;
    uint64_t timer_usec;
    sd_event_io_handler_t on_io;
    sd_event_time_handler_t on_timer;
    int set_result, shutdown_result;
    unsigned n_shut, n_drained; /* how often the TPM's slots were waited for */
    unsigned n_logged;          /* errors */
    unsigned failures, revivals;
    int failure;
    char why[512];
    /* jobs */
    unsigned n_done;
    DeviceAnswer answer;
    char certificates[32], anchors[32];
    /* signatures, by their userdata */
    unsigned n_signed;
    int signed_result[TOLD_MAX];
    char signature[TOLD_MAX][16];
} Bench;

static Bench bench;
static char io_source, timer_source;

int __wrap_local_connect(const char *path, int *ret);
sd_event *__wrap_sd_event_ref(sd_event *event);
sd_event *__wrap_sd_event_unref(sd_event *event);
int __wrap_sd_event_add_time_relative(sd_event *event, sd_event_source **ret, clockid_t clock,
                                      uint64_t usec, uint64_t accuracy,
                                      sd_event_time_handler_t handler, void *userdata);
int __wrap_sd_event_add_io(sd_event *event, sd_event_source **ret, int fd, uint32_t events,
                           sd_event_io_handler_t handler, void *userdata);
int __wrap_sd_event_source_set_time_relative(sd_event_source *source, uint64_t usec);
int __wrap_sd_event_source_set_enabled(sd_event_source *source, int enabled);
int __wrap_sd_event_source_get_enabled(sd_event_source *source, int *ret);
sd_event_source *__wrap_sd_event_source_disable_unref(sd_event_source *source);

int __real_shutdown(int fd, int how);
int __wrap_shutdown(int fd, int how);
int __wrap_helper_drain(int channel, int milliseconds);
void __wrap_log_line(int level, const char *format, ...);

int __wrap_shutdown(int fd, int how)
{
    bench.n_shut++;
    return bench.shutdown_result < 0 ? bench.shutdown_result : __real_shutdown(fd, how);
}

int __wrap_helper_drain(int channel, int milliseconds)
{
    uint8_t octet;

    (void)channel;
    bench.n_drained++;
    assert_true(milliseconds > 5000); /* it gives itself as much */
    /* It knows, and what it was asked before is there still. */
    while (recv(bench.end, &octet, 1, MSG_DONTWAIT) > 0)
        ;
    assert_int_equal(recv(bench.end, &octet, 1, MSG_DONTWAIT), 0);
    return 0;
}

void __wrap_log_line(int level, const char *format, ...)
{
    (void)format;
    bench.n_logged += level == LOG_ERR;
}

int __wrap_local_connect(const char *path, int *ret)
{
    int ends[2];

    assert_string_equal(path, "/tpm");
    if (bench.connect_result < 0)
        return bench.connect_result;
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends),
                     0);
    bench.end = ends[1];
    *ret = ends[0];
    return 0;
}

sd_event *__wrap_sd_event_ref(sd_event *event)
{
    return event;
}

sd_event *__wrap_sd_event_unref(sd_event *event)
{
    (void)event;
    return NULL;
}

int __wrap_sd_event_add_time_relative(sd_event *event, sd_event_source **ret, clockid_t clock,
                                      uint64_t usec, uint64_t accuracy,
                                      sd_event_time_handler_t handler, void *userdata)
{
    (void)event, (void)clock, (void)usec, (void)accuracy, (void)userdata;
    bench.on_timer = handler;
    bench.timer_is_on = true; /* as sd_event(3) has it */
    *ret = (sd_event_source *)(void *)&timer_source;
    return 0;
}

int __wrap_sd_event_add_io(sd_event *event, sd_event_source **ret, int fd, uint32_t events,
                           sd_event_io_handler_t handler, void *userdata)
{
    (void)event, (void)fd, (void)events, (void)userdata;
    bench.on_io = handler;
    bench.has_io = true;
    *ret = (sd_event_source *)(void *)&io_source;
    return 0;
}

int __wrap_sd_event_source_set_time_relative(sd_event_source *source, uint64_t usec)
{
    assert_ptr_equal(source, &timer_source);
    bench.timer_usec = usec;
    return bench.set_result;
}

int __wrap_sd_event_source_set_enabled(sd_event_source *source, int enabled)
{
    assert_ptr_equal(source, &timer_source);
    bench.timer_is_on = enabled != SD_EVENT_OFF;
    return 0;
}

int __wrap_sd_event_source_get_enabled(sd_event_source *source, int *ret)
{
    assert_ptr_equal(source, &timer_source);
    *ret = bench.timer_is_on ? SD_EVENT_ONESHOT : SD_EVENT_OFF;
    return 0;
}

sd_event_source *__wrap_sd_event_source_disable_unref(sd_event_source *source)
{
    if ((char *)source == &io_source)
        bench.has_io = false;
    return NULL;
}

/* ---- the two ends ---- */

static void timer(void)
{
    assert_true(bench.timer_is_on);
    bench.timer_is_on = false;
    assert_int_equal(bench.on_timer(NULL, 0, bench.device), 0);
}

static void assert_timer(uint64_t usec)
{
    assert_true(bench.timer_is_on);
    assert_int_equal(bench.timer_usec, usec);
}

/* The next request, which must be of that type; -1 or its descriptor. */
static DeviceRequest heard(DeviceRequestType type, int *ret_fd)
{
    uint8_t frame[DEVICE_FRAME_SIZE_MAX];
    DeviceRequest request;
    int fd = -1;
    const int size = helper_receive(bench.end, frame, sizeof(frame), &fd);

    assert_true(size > 0);
    assert_int_equal(device_request_decode((Bytes){frame, (size_t)size}, &request), 0);
    assert_int_equal(request.type, type);
    if (ret_fd) {
        *ret_fd = fd;
    } else {
        assert_int_equal(fd, -1);
    }
    return request;
}

static void assert_nothing_heard(void)
{
    uint8_t octet;

    assert_int_equal(recv(bench.end, &octet, 1, MSG_DONTWAIT), -1);
    assert_int_equal(errno, EAGAIN);
}

static void say(const DeviceAnswer *answer, int fd)
{
    uint8_t frame[DEVICE_FRAME_SIZE_MAX];
    Writer writer;
    Bytes bytes;

    writer_init(&writer, frame, sizeof(frame));
    device_answer_encode(&writer, answer);
    assert_int_equal(writer_finish(&writer, &bytes), 0);
    assert_int_equal(helper_send(bench.end, bytes, fd), 0);
    assert_int_equal(bench.on_io(NULL, 0, 0, bench.device), 0);
}

static void hand_over(DeviceAnswerType type, uint32_t number, const char *text)
{
    _cleanup_(close_fdp) int fd = -1;

    assert_int_equal(file_seal((Bytes){(const uint8_t *)text, strlen(text)}, "test", &fd), 0);
    say(&(DeviceAnswer){.type = type, .number = number}, fd);
}

static void on_failed(int r, const char *reason, void *userdata)
{
    assert_ptr_equal(userdata, &bench);
    bench.failures++;
    bench.failure = r;
    (void)snprintf(bench.why, sizeof(bench.why), "%s", reason);
}

static void on_revived(void *userdata)
{
    assert_ptr_equal(userdata, &bench);
    bench.revivals++;
}

static void note(char *to, size_t size, Bytes octets)
{
    assert_true(octets.data || octets.size == 0);
    (void)snprintf(to, size, "%.*s", (int)octets.size,
                   octets.data ? (const char *)octets.data : "");
}

static void on_done(const DeviceAnswer *answer, Bytes certificates, Bytes anchors, void *userdata)
{
    assert_ptr_equal(userdata, &bench);
    bench.n_done++;
    bench.answer = *answer;
    note(bench.certificates, sizeof(bench.certificates), certificates);
    note(bench.anchors, sizeof(bench.anchors), anchors);
}

static void on_signed(int r, Bytes signature, const char *reason, void *userdata)
{
    const size_t nth = (size_t)((int *)userdata - bench.signed_result);

    (void)snprintf(bench.why, sizeof(bench.why), "%s", reason);
    assert_in_range(nth, 0, TOLD_MAX - 1);
    bench.n_signed++;
    bench.signed_result[nth] = r;
    note(bench.signature[nth], sizeof(bench.signature[nth]), signature);
}

static int setup(void **state)
{
    static const DeviceFiles files = {.tcti = "swtpm", .srk_name = "/srk"};
    const DeviceCallbacks callbacks = {on_failed, on_revived, &bench};
    DeviceFacts facts = {.algorithm = "ecdsa-p256"};
    Pki pki = pki_root("Device");
    unsigned char *der = NULL;

    (void)state;
    memset(&bench, 0, sizeof(bench));
    for (size_t i = 0; i < TOLD_MAX; i++)
        bench.signed_result[i] = 1;
    assert_int_equal(device_open("/tpm", &files, NULL, &callbacks, &bench.device), 0);
    const DeviceRequest first = heard(DEVICE_CONFIGURE, NULL);
    assert_string_equal(first.files.tcti, "swtpm");
    assert_string_equal(first.files.srk_name, "/srk");
    facts.key_size = (size_t)i2d_PUBKEY(pki.key, &der);
    assert_in_range(facts.key_size, 1, sizeof(facts.key));
    memcpy(facts.key, der, facts.key_size);
    OPENSSL_free(der);
    pki_deinit(&pki);
    return device_key_new(bench.device, &facts, &bench.key);
}

static void hang_up(void)
{
    if (bench.end >= 0)
        (void)close(bench.end);
    bench.end = -1;
}

static int teardown(void **state)
{
    (void)state;
    bench.key->class->free(bench.key);
    device_close(bench.device);
    hang_up();
    return 0;
}

static SigningRequest *sign(size_t nth)
{
    static const uint8_t digest[32] = {7};
    SigningRequest *request = NULL;

    assert_int_equal(bench.key->class->sign(bench.key, "SHA256", false, BYTES_OF(digest), on_signed,
                                            &bench.signed_result[nth], &request),
                     0);
    return request;
}

/* ---- the tests ---- */

static void one_job_at_a_time_is_answered_by_its_number(void **state)
{
    (void)state;
    assert_int_equal(device_load(bench.device, 55, on_done, &bench), 0);
    const DeviceRequest load = heard(DEVICE_LOAD, NULL);
    assert_int_equal(load.pause_ms, 55);
    assert_int_equal(device_advance(bench.device, 0, 0, on_done, &bench), -EBUSY);
    assert_nothing_heard();
    say(&(DeviceAnswer){.type = DEVICE_LOADED, .number = load.number + 1}, -1);
    assert_int_equal(bench.n_done, 0);
    say(&(DeviceAnswer){.type = DEVICE_LOADED, .number = load.number, .result = -EIO}, -1);
    assert_int_equal(bench.n_done, 1);
    assert_int_equal(bench.answer.result, -EIO);
    say(&(DeviceAnswer){.type = DEVICE_LOADED, .number = load.number}, -1); /* of nobody's */
    assert_int_equal(bench.n_done, 1);
    assert_int_equal(device_advance(bench.device, 99, 3, on_done, &bench), 0);
    const DeviceRequest advance = heard(DEVICE_ADVANCE, NULL);
    assert_int_not_equal(advance.number, load.number);
    assert_int_equal(advance.reached, 99);
    assert_int_equal(advance.correction_days, 3);
    say(&(DeviceAnswer){.type = DEVICE_ADVANCED, .number = advance.number}, -1);
    assert_int_equal(bench.n_done, 2);
    assert_true(bench.has_io);
}

static void an_answer_of_another_kind_is_not_tred_tpms(void **state)
{
    (void)state;
    assert_int_equal(device_load(bench.device, 0, on_done, &bench), 0);
    const uint32_t number = heard(DEVICE_LOAD, NULL).number;
    say(&(DeviceAnswer){.type = DEVICE_INSTALLED, .number = number, .told = true}, -1);
    assert_int_equal(bench.n_done, 0); /* not from within */
    assert_false(bench.has_io);
    assert_timer(0);
    timer();
    assert_int_equal(bench.n_done, 1);
    assert_int_equal(bench.answer.result, IDENTITY_TPM_UNAVAILABLE);
    assert_int_equal(bench.failures, 1);
    assert_non_null(strstr(bench.why, "what is no answer"));
}

static void what_is_handed_over_goes_to_the_job_that_it_is_for(void **state)
{
    (void)state;
    hand_over(DEVICE_CERTIFICATES, 1, "nobody's");
    assert_int_equal(device_load(bench.device, 0, on_done, &bench), 0);
    const uint32_t number = heard(DEVICE_LOAD, NULL).number;
    hand_over(DEVICE_ANCHORS, number, "first anchors");
    hand_over(DEVICE_CERTIFICATES, number, "certificates");
    hand_over(DEVICE_ANCHORS, number, "anchors");
    hand_over(DEVICE_ANCHORS, number + 1, "another's");
    hand_over(DEVICE_CERTIFICATES, number + 1, "another's");
    say(&(DeviceAnswer){.type = DEVICE_ANCHORS, .number = number}, -1); /* of nothing */
    say(&(DeviceAnswer){.type = DEVICE_LOADED, .number = number}, -1);
    assert_string_equal(bench.certificates, "certificates");
    assert_string_equal(bench.anchors, "anchors"); /* the later of two */
    assert_int_equal(device_load(bench.device, 0, on_done, &bench), 0);
    say(&(DeviceAnswer){.type = DEVICE_LOADED, .number = heard(DEVICE_LOAD, NULL).number}, -1);
    assert_int_equal(bench.n_done, 2);
    assert_string_equal(bench.certificates, "");
    assert_string_equal(bench.anchors, "");
}

static void each_signature_goes_to_whom_it_is_for(void **state)
{
    static const uint8_t octets[] = "one";
    (void)state;
    (void)sign(0);
    SigningRequest *second = sign(1);
    (void)sign(2);
    const DeviceRequest first = heard(DEVICE_SIGN, NULL);
    assert_string_equal(first.digest_name, "SHA256");
    assert_int_equal(first.digest.size, 32);
    const uint32_t numbers[] = {first.number, heard(DEVICE_SIGN, NULL).number,
                                heard(DEVICE_SIGN, NULL).number};
    bench.key->class->cancel(second);
    assert_int_equal(heard(DEVICE_CANCEL, NULL).number, numbers[1]);
    say(&(DeviceAnswer){.type = DEVICE_SIGNED, .number = numbers[2], .result = -EIO}, -1);
    assert_int_equal(bench.signed_result[2], -EIO);
    assert_int_equal(bench.signed_result[0], 1);
    say(&(DeviceAnswer){.type = DEVICE_SIGNED, .number = numbers[1]}, -1); /* nobody waits */
    say(&(DeviceAnswer){.type = DEVICE_SIGNED, .number = numbers[2]}, -1);
    assert_int_equal(bench.n_signed, 1);
    say(&(DeviceAnswer){.type = DEVICE_SIGNED, .number = numbers[0], .signature = {octets, 3}}, -1);
    assert_int_equal(bench.n_signed, 2);
    assert_int_equal(bench.signed_result[0], 0);
    assert_string_equal(bench.signature[0], "one");
}

static void whoever_waits_when_it_is_lost_is_told_once(void **state)
{
    (void)state;
    assert_int_equal(device_advance(bench.device, 0, 0, on_done, &bench), 0);
    (void)sign(0);
    SigningRequest *other = sign(1);
    assert_non_null(other);
    hang_up();
    assert_int_equal(bench.on_io(NULL, 0, 0, bench.device), 0);
    assert_int_equal(bench.n_done + bench.n_signed + bench.failures, 0);
    assert_timer(0);
    timer();
    assert_int_equal(bench.n_done, 1);
    assert_int_equal(bench.answer.type, DEVICE_ADVANCED);
    assert_int_equal(bench.answer.result, -EIO);
    assert_true(bench.answer.told); /* it may have done it */
    assert_int_equal(bench.n_signed, 2);
    assert_int_equal(bench.signed_result[0], -EIO);
    assert_int_equal(bench.signed_result[1], -EIO);
    assert_int_equal(bench.failures, 1);
    assert_int_equal(bench.failure, -EPIPE);
    assert_non_null(strstr(device_problem(bench.device), "it ended, or was stopped"));
    /* What is asked until it is there again is refused at once. */
    assert_int_equal(device_load(bench.device, 0, on_done, &bench), -EPIPE);
    assert_null(sign(2));
    assert_int_equal(bench.signed_result[2], -EIO);
    assert_int_equal(bench.n_done, 1);
    assert_timer(AGAIN);
    bench.connect_result = -ECONNREFUSED;
    timer();
    assert_int_equal(bench.revivals, 0);
    assert_timer(AGAIN);
    assert_non_null(strstr(device_problem(bench.device), "at /tpm"));
    bench.connect_result = 0;
    timer();
    assert_int_equal(bench.revivals, 1);
    assert_string_equal(device_problem(bench.device), "");
    (void)heard(DEVICE_CONFIGURE, NULL);
    assert_int_equal(device_load(bench.device, 0, on_done, &bench), 0);
    (void)heard(DEVICE_LOAD, NULL);
}

/* Though nothing is unread that it was asked. */
static void one_that_hangs_up_has_ended_and_answered_no_nonsense(void **state)
{
    (void)state;
    hang_up();
    assert_int_equal(bench.on_io(NULL, 0, 0, bench.device), 0);
    timer();
    assert_int_equal(bench.failures, 1);
    assert_non_null(strstr(bench.why, "it ended, or was stopped"));
}

static void why_there_is_no_connection_is_logged_once(void **state)
{
    (void)state;
    hang_up();
    assert_int_equal(bench.on_io(NULL, 0, 0, bench.device), 0);
    assert_int_equal(bench.n_logged, 0);
    timer();
    assert_int_equal(bench.n_logged, 1);
    bench.connect_result = -ECONNREFUSED;
    for (int i = 0; i < 3; i++)
        timer();
    assert_int_equal(bench.n_logged, 2);
    bench.connect_result = -EACCES;
    timer();
    assert_int_equal(bench.n_logged, 3);
}

static void a_timer_that_can_not_be_set_is_logged(void **state)
{
    (void)state;
    (void)sign(0);
    assert_timer(ALIVE);
    assert_int_equal(bench.n_logged, 0);
    timer();
    assert_int_equal(bench.n_logged, 0);
    bench.set_result = -ENOMEM;
    timer();
    assert_int_equal(bench.n_logged, 1);
}

/* Its session and its key would be left in the TPM. */
static void one_that_is_closed_is_waited_for_as_it_gives_the_slots_back(void **state)
{
    (void)state;
    device_close(bench.device);
    assert_int_equal(bench.n_shut, 1);
    assert_int_equal(bench.n_drained, 1);
    bench.device = NULL; /* of none there is nothing to close, as teardown() does */
}

static void nobody_waits_for_one_that_is_not_there(void **state)
{
    (void)state;
    hang_up();
    assert_int_equal(bench.on_io(NULL, 0, 0, bench.device), 0);
    timer();
    device_close(bench.device);
    assert_int_equal(bench.n_shut, 0);
    assert_int_equal(bench.n_drained, 0);
    bench.device = NULL;
}

static void nobody_waits_for_one_that_can_not_be_told(void **state)
{
    (void)state;
    bench.shutdown_result = -1;
    device_close(bench.device);
    assert_int_equal(bench.n_shut, 1);
    assert_int_equal(bench.n_drained, 0);
    bench.device = NULL;
}

static void one_that_hangs_is_found_by_asking_whether_it_lives(void **state)
{
    (void)state;
    assert_false(bench.timer_is_on);
    (void)sign(0);
    (void)heard(DEVICE_SIGN, NULL);
    assert_timer(ALIVE);
    bench.timer_usec = 1;
    (void)sign(1); /* the watch that there is goes on */
    (void)heard(DEVICE_SIGN, NULL);
    assert_timer(1);
    timer();
    (void)heard(DEVICE_PING, NULL);
    assert_timer(ALIVE);
    say(&(DeviceAnswer){.type = DEVICE_ALIVE}, -1);
    timer();
    (void)heard(DEVICE_PING, NULL);
    assert_int_equal(bench.failures, 0);
    timer(); /* not a word since */
    assert_timer(0);
    timer();
    assert_int_equal(bench.failures, 1);
    assert_non_null(strstr(bench.why, "it does not answer"));
    assert_int_equal(bench.n_signed, 2);
}

static void nobody_is_asked_whether_it_lives_while_nobody_waits(void **state)
{
    (void)state;
    (void)sign(0);
    const uint32_t number = heard(DEVICE_SIGN, NULL).number;
    timer();
    (void)heard(DEVICE_PING, NULL);
    say(&(DeviceAnswer){.type = DEVICE_SIGNED, .number = number, .result = -EIO}, -1);
    timer();
    assert_nothing_heard();
    assert_false(bench.timer_is_on);
    assert_int_equal(bench.failures, 0);
}

/* A job that takes long is watched as a signature is. */
static void a_job_that_hangs_is_found_likewise(void **state)
{
    (void)state;
    assert_int_equal(device_load(bench.device, 0, on_done, &bench), 0);
    assert_timer(ALIVE);
    timer();
    timer();
    timer();
    assert_int_equal(bench.n_done, 1);
    assert_int_equal(bench.answer.result, IDENTITY_TPM_UNAVAILABLE);
}

/* What it does not take is told as that, whatever comes after. */
static void one_that_reads_nothing_is_lost_for_the_reason_that_came_first(void **state)
{
    (void)state;
    for (unsigned i = 0; bench.has_io; i++) {
        assert_true(i < 10000);
        device_forget(bench.device);
    }
    assert_timer(0);
    assert_int_equal(device_load(bench.device, 0, on_done, &bench), 0); /* answered with the loss */
    timer();
    assert_int_equal(bench.n_done, 1);
    assert_int_equal(bench.failures, 1);
    assert_non_null(strstr(bench.why, "it does not read what it is asked"));
}

static void octets_that_are_no_answer_lose_it(void **state)
{
    static const uint8_t nonsense[] = {255, 255};
    (void)state;
    assert_int_equal(helper_send(bench.end, BYTES_OF(nonsense), -1), 0);
    assert_int_equal(bench.on_io(NULL, 0, 0, bench.device), 0);
    assert_false(bench.has_io);
    timer();
    assert_int_equal(bench.failures, 1);
}

/* As of the last time that the platform's state was looked at. */
static void what_is_wrong_with_the_platform_is_remembered_until_it_is_right(void **state)
{
    const DeviceMismatch mismatch = {"sha256", 1, {{3, "aa", "bb"}}};
    (void)state;
    say(
        &(DeviceAnswer){
            .type = DEVICE_FAILED, .result = -EKEYREJECTED, .mismatch = mismatch, .broken = true},
        -1);
    assert_int_equal(bench.failures, 1);
    assert_int_equal(bench.failure, -EKEYREJECTED);
    assert_true(device_is_broken(bench.device));
    assert_string_equal(device_mismatch(bench.device)->bank, "sha256");
    say(&(DeviceAnswer){.type = DEVICE_ALIVE}, -1); /* it says that it lives, and nothing else */
    assert_true(device_is_broken(bench.device));
    say(&(DeviceAnswer){.type = DEVICE_FAILED, .result = -EIO}, -1);
    assert_false(device_is_broken(bench.device));
    assert_int_equal(device_mismatch(bench.device)->count, 1);
    say(&(DeviceAnswer){.type = DEVICE_LOADED, .result = -ECANCELED}, -1);
    assert_int_equal(device_mismatch(bench.device)->count, 1);
    say(&(DeviceAnswer){.type = DEVICE_LOADED}, -1);
    assert_int_equal(device_mismatch(bench.device)->count, 0);
}

/* One octet more than what is too large: so it is seen to be. */
static void anchors_are_handed_over_with_their_approval_up_to_a_limit(void **state)
{
    static uint8_t large[DEVICE_ANCHORS_SIZE_MAX + 5];
    char octets[16] = {0};
    struct stat status;
    int fd = -1;
    (void)state;
    assert_int_equal(device_install(bench.device, (Bytes){(const uint8_t *)"bundle", 6},
                                    (Bytes){(const uint8_t *)"approval", 8}, on_done, &bench),
                     0);
    DeviceRequest request = heard(DEVICE_INSTALL, &fd);
    assert_int_equal(request.bundle_size, 6);
    assert_int_equal(pread(fd, octets, sizeof(octets), 0), 14);
    assert_string_equal(octets, "bundleapproval");
    (void)close(fd);
    say(&(DeviceAnswer){.type = DEVICE_INSTALLED, .number = request.number, .told = true}, -1);
    assert_int_equal(bench.n_done, 1);
    assert_int_equal(
        device_install(bench.device, BYTES_OF(large), BYTES_OF(large), on_done, &bench), 0);
    request = heard(DEVICE_INSTALL, &fd);
    assert_int_equal(request.bundle_size, DEVICE_ANCHORS_SIZE_MAX + 1);
    assert_int_equal(fstat(fd, &status), 0);
    assert_int_equal(status.st_size, DEVICE_ANCHORS_SIZE_MAX + 1 + DEVICE_APPROVAL_SIZE_MAX + 1);
    (void)close(fd);
}

static void what_is_not_answered_is_said_once(void **state)
{
    (void)state;
    device_give_up(bench.device);
    (void)heard(DEVICE_GIVE_UP, NULL);
    device_forget(bench.device);
    (void)heard(DEVICE_FORGET, NULL);
    bench.key->class->prepare(bench.key);
    (void)heard(DEVICE_PREPARE, NULL);
    bench.key->class->rest(bench.key);
    (void)heard(DEVICE_REST, NULL);
    assert_nothing_heard();
    assert_false(bench.timer_is_on); /* nobody waits */
}

#define DEVICE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        DEVICE(one_job_at_a_time_is_answered_by_its_number),
        DEVICE(an_answer_of_another_kind_is_not_tred_tpms),
        DEVICE(what_is_handed_over_goes_to_the_job_that_it_is_for),
        DEVICE(each_signature_goes_to_whom_it_is_for),
        DEVICE(whoever_waits_when_it_is_lost_is_told_once),
        DEVICE(one_that_hangs_up_has_ended_and_answered_no_nonsense),
        DEVICE(why_there_is_no_connection_is_logged_once),
        DEVICE(a_timer_that_can_not_be_set_is_logged),
        DEVICE(one_that_is_closed_is_waited_for_as_it_gives_the_slots_back),
        DEVICE(nobody_waits_for_one_that_is_not_there),
        DEVICE(nobody_waits_for_one_that_can_not_be_told),
        DEVICE(one_that_hangs_is_found_by_asking_whether_it_lives),
        DEVICE(nobody_is_asked_whether_it_lives_while_nobody_waits),
        DEVICE(a_job_that_hangs_is_found_likewise),
        DEVICE(one_that_reads_nothing_is_lost_for_the_reason_that_came_first),
        DEVICE(octets_that_are_no_answer_lose_it),
        DEVICE(what_is_wrong_with_the_platform_is_remembered_until_it_is_right),
        DEVICE(anchors_are_handed_over_with_their_approval_up_to_a_limit),
        DEVICE(what_is_not_answered_is_said_once),
    };

    return cmocka_run_group_tests_name("device", tests, NULL, NULL);
}
