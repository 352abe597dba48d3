/* tred-verify, the helper that judges certificates: tred starts it with one end of a socket pair,
 * and hands it what peers are judged by over that alone. It holds no key and reaches nothing. */
#include "base/helper.h"
#include "base/log.h"
#include "base/program.h"
#include "base/sandbox.h"
#include "crypto/memory.h"
#include "verify/service.h"

#include <errno.h>
#include <malloc.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <seccomp.h>
#include <string.h>

#include <sys/time.h>
#include <time.h>

enum {
    MIB = 1024 * 1024,
    LOADING_MEMORY_MAX =
        1024 * MIB,                /* 256 CRLs of 8 MiB are let down here, and few are like that */
    VERDICT_MEMORY_MAX = 64 * MIB, /* beside what is loaded; the worst shapes take less than 8 */
    LOADING_CPU_SECONDS = 10,      /* for one file */
    VERDICT_CPU_SECONDS = 1,       /* the worst shapes take 20 ms on a PC */
    SORTED_MAX = 4096,
};

/* Every system call that stays, beside mmap() and mprotect() without PROT_EXEC, and why. */
static const int ALLOWED_CALLS[] = {
    SCMP_SYS(recvmsg), /* requests */
    SCMP_SYS(sendmsg), /* answers */
    SCMP_SYS(pread64), /* what is handed over */
    SCMP_SYS(close),   /* it, when it is read */
    SCMP_SYS(write),   /* a last word on standard error, */
    SCMP_SYS(newfstatat),
    SCMP_SYS(fstat),     /* which may be the journal's */
    SCMP_SYS(setitimer), /* the CPU limit of each request */
    SCMP_SYS(prlimit64), /* the memory limit, once all is loaded */
    SCMP_SYS(brk),       /* memory, */
    SCMP_SYS(munmap),    /* which goes back, */
    SCMP_SYS(mremap),    /* and grows */
    SCMP_SYS(madvise),
    SCMP_SYS(futex),         /* OpenSSL's locks */
    SCMP_SYS(getrandom),     /* and its random generator, */
    SCMP_SYS(getpid),        /* which looks for a fork() */
    SCMP_SYS(clock_gettime), /* where the vDSO can't tell the time */
    SCMP_SYS(restart_syscall),
    SCMP_SYS(rt_sigreturn),
    SCMP_SYS(exit_group),
};

static int numbers_compare(const void *a, const void *b)
{
    return *(const int *)a - *(const int *)b;
}

/* Whatever libraries read at first use, they must read while files can be opened: OpenSSL its
 * algorithms, and no configuration, libc the time zone, and for qsort() the size of memory. */
static int libraries_warm(void)
{
    static const char *const digests[] = {"SHA1", "SHA256", "SHA384", "SHA512"};
    const time_t now = time(NULL);
    static int numbers[SORTED_MAX];
    char text[64];
    struct tm tm;
    uint8_t octet;

    tzset();
    if (!gmtime_r(&now, &tm) || strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S %Z", &tm) == 0)
        return -EIO;
    qsort(numbers, SORTED_MAX, sizeof(numbers[0]), numbers_compare);
    if (OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG | OPENSSL_INIT_NO_LOAD_CRYPTO_STRINGS |
                                OPENSSL_INIT_NO_ADD_ALL_CIPHERS | OPENSSL_INIT_ADD_ALL_DIGESTS,
                            NULL) != 1 ||
        RAND_bytes(&octet, 1) != 1)
        return -EIO;
    for (size_t i = 0; i < ELEMENTS(digests); i++) {
        EVP_MD *digest = EVP_MD_fetch(NULL, digests[i], NULL);

        if (!digest)
            return -EOPNOTSUPP;
        EVP_MD_free(digest);
    }
    return 0;
}

/* From now on a verdict has its own share beside what is loaded. */
static int memory_limit_verdicts(void)
{
    const struct mallinfo2 heap = mallinfo2();

    return sandbox_limit_memory(heap.arena + heap.hblkhd + VERDICT_MEMORY_MAX);
}

/* SIGPROF, which ends the process, after so much CPU; 0: no limit. */
static int cpu_limit(int seconds)
{
    const struct itimerval timer = {.it_value = {.tv_sec = seconds}};

    return setitimer(ITIMER_PROF, &timer, NULL) < 0 ? -errno : 0;
}

/* Within the limits; what goes beyond ends the process or is -ENOMEM. */
static int request_answer(Service *service, const VerifyRequest *request, int fd,
                          VerifyAnswer *answer)
{
    int r = cpu_limit(request->type == FRAME_PEER ? VERDICT_CPU_SECONDS : LOADING_CPU_SECONDS);

    if (r < 0)
        return r;
    service_answer(service, request, fd, answer);
    r = cpu_limit(0);
    if (r == 0 && request->type == FRAME_COMPLETE && answer->error == 0)
        r = memory_limit_verdicts();
    return r;
}

/* Returns 1, 0 when tred has closed its end, or -errno. */
static int frame_handle(Service *service)
{
    static uint8_t frame[FRAME_SIZE_MAX], reply[FRAME_SIZE_MAX];
    static VerifyRequest request;
    static VerifyAnswer answer;
    _cleanup_(close_fdp) int fd = -1;
    Writer writer;
    Bytes message;
    int r = helper_receive(HELPER_FD, frame, sizeof(frame), &fd);

    if (r <= 0)
        return r;
    r = verify_request_decode((Bytes){frame, (size_t)r}, &request);
    if (r == 0)
        r = request_answer(service, &request, fd, &answer);
    if (r < 0)
        return r;
    writer_init(&writer, reply, sizeof(reply));
    verify_answer_encode(&writer, &answer);
    r = writer_finish(&writer, &message);
    if (r == 0)
        r = helper_send(HELPER_FD, message, -1);
    return r < 0 ? r : 1;
}

static int helper_init(Service *service)
{
    int r = memory_watch();

    if (r == 0)
        r = service_init(service);
    if (r == 0)
        r = libraries_warm();
    if (r == 0)
        r = sandbox_limit_memory(LOADING_MEMORY_MAX);
    return r == 0 ? sandbox_enter(HELPER_FD, ALLOWED_CALLS, ELEMENTS(ALLOWED_CALLS)) : r;
}

static const char usage[] = "Usage: tred-verify\n"
                            "Judges the SeGW's certificates (RFC 5280, TS 33.310) for tred, which "
                            "starts it. See tred(8).\n";

static const CommandLine command_line = {.program = "tred-verify", .usage = usage};

int main(int argc, char **argv)
{
    standard_open();

    int r = commandline_helper(&command_line, argc, argv, HELPER_FD);
    if (r != COMMANDLINE_GO_ON)
        return r;

    _cleanup_(service_deinit) Service service = {0};
    r = helper_init(&service);
    if (r < 0) {
        log_error("tred-verify can't make itself safe: %s. It judges nobody", strerror(-r));
        return EX_OSERR;
    }
    do {
        r = frame_handle(&service);
    } while (r > 0);
    if (r < 0)
        log_error("tred-verify stops: %s", strerror(-r));
    return exit_status(r, EX_PROTOCOL);
}
