/* How much CPU does tred-verify take for one verdict on a SeGW? Starts it as tred does, and prints
 * the median of many, in microseconds, its answer, and the median of the time that tred waits:
 *
 *     judge_cost TRED-VERIFY ANCHORS CERTIFICATES CRL|- [OCSP…] */
#include "base/cleanup.h"
#include "base/file.h"
#include "base/helper.h"
#include "base/reason.h"
#include "verify/certificates.h"
#include "verify/frames.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { RUNS = 21, NSEC_PER_USEC = 1000, USEC_PER_SEC = 1000000, DEADLINE_MS = 20000 };

static uint8_t frame[FRAME_SIZE_MAX];
static VerifyAnswer answer;

static long microseconds(clockid_t clock)
{
    struct timespec now;

    (void)clock_gettime(clock, &now);
    return now.tv_sec * USEC_PER_SEC + now.tv_nsec / NSEC_PER_USEC;
}

static int compare(const void *a, const void *b)
{
    const long x = *(const long *)a, y = *(const long *)b;

    return (x > y) - (x < y);
}

static int ask(int channel, const VerifyRequest *request, int fd)
{
    _cleanup_(close_fdp) int ignored = -1;
    Writer writer;
    Bytes bytes;

    writer_init(&writer, frame, sizeof(frame));
    verify_request_encode(&writer, request);
    int r = writer_finish(&writer, &bytes);
    if (r == 0)
        r = helper_send(channel, bytes, fd);
    if (r == 0)
        r = helper_wait(channel, DEADLINE_MS);
    if (r == 0)
        r = helper_receive(channel, frame, sizeof(frame), &ignored);
    if (r > 0)
        r = verify_answer_decode((Bytes){frame, (size_t)r}, &answer);
    else if (r == 0)
        r = -EPIPE;
    return r < 0 ? r : answer.error;
}

static int hand(int channel, FrameType type, const char *path)
{
    _cleanup_(close_fdp) int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    VerifyRequest request = {.type = type};

    (void)snprintf(request.name, sizeof(request.name), "%s", path ? path : "");
    return ask(channel, &request, fd);
}

static int measure(const HelperProcess *process, const VerifyRequest *request)
{
    long times[RUNS], waits[RUNS];
    clockid_t clock;

    if (clock_getcpuclockid(process->pid, &clock) != 0)
        return -errno;
    for (size_t i = 0; i < RUNS; i++) {
        const long cpu = microseconds(clock), wall = microseconds(CLOCK_MONOTONIC);
        int r = ask(process->channel, request, -1);

        if (r < 0)
            return r;
        waits[i] = microseconds(CLOCK_MONOTONIC) - wall;
        times[i] = microseconds(clock) - cpu;
    }
    qsort(times, RUNS, sizeof(times[0]), compare);
    qsort(waits, RUNS, sizeof(waits[0]), compare);
    (void)printf("%ld %s %ld\n", times[RUNS / 2],
                 answer.verdict.taken ? "accepted" : answer.verdict.refusal.name, waits[RUNS / 2]);
    return 0;
}

static int certificates_show(const char *path, VerifyRequest *ret)
{
    STACK_OF(X509) *certificates = NULL;
    Reason reason = {0};
    int r = certificates_read(path, &certificates, &reason);

    if (r == 0)
        (void)certificate_fqdn(sk_X509_value(certificates, 0), ret->segw_name);
    for (int i = 0; i < sk_X509_num(certificates) && i < FRAME_EVIDENCE_MAX; i++) {
        unsigned char *der = NULL;
        const int size = i2d_X509(sk_X509_value(certificates, i), &der);

        ret->certificates[ret->n_certificates++] = (Bytes){der, size > 0 ? (size_t)size : 0};
    }
    sk_X509_pop_free(certificates, X509_free);
    return r;
}

static int ocsp_show(char *const *paths, int count, VerifyRequest *ret)
{
    for (int i = 0; i < count && i < FRAME_EVIDENCE_MAX; i++) {
        uint8_t *der = NULL;
        size_t size = 0;
        int r = file_read(paths[i], PEER_EVIDENCE_SIZE_MAX, &der, &size);

        if (r < 0)
            return r;
        ret->ocsp[ret->n_ocsp++] = (Bytes){der, size};
    }
    return 0;
}

int main(int argc, char **argv)
{
    static VerifyRequest request = {.type = FRAME_PEER, .revocation = REVOCATION_IF_AVAILABLE};
    _cleanup_(helper_process_end) HelperProcess process = {0, -1};
    int r = argc < 5 ? -EINVAL : helper_process_start(argv[1], NULL, &process);

    if (r == 0)
        r = hand(process.channel, FRAME_PROFILE, NULL);
    if (r == 0)
        r = hand(process.channel, FRAME_ANCHORS, argv[2]);
    if (r == 0 && strcmp(argv[4], "-") != 0)
        r = hand(process.channel, FRAME_CRL, argv[4]);
    if (r == 0)
        r = hand(process.channel, FRAME_COMPLETE, NULL);
    if (r == 0)
        r = certificates_show(argv[3], &request);
    if (r == 0)
        r = ocsp_show(argv + 5, argc - 5, &request);
    request.now = time(NULL);
    request.idr_type = 2; /* ID_FQDN, RFC 7296 3.5 */
    request.idr = (Bytes){(const uint8_t *)request.segw_name, strlen(request.segw_name)};
    if (r == 0)
        r = measure(&process, &request);
    if (r < 0) {
        (void)fprintf(stderr,
                      "judge_cost TRED-VERIFY ANCHORS CERTIFICATES CRL|- [OCSP...]: %s %s\n",
                      strerror(-r), answer.reason.text);
    }
    return r < 0 ? 2 : 0;
}
