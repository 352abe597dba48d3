/* tred-esp, the helper that moves packets: tred starts it with one end of a socket pair as
 * descriptor 3, and hands it the TUN, the ESP sockets and the SAs over that alone. */
#include "base/helper.h"
#include "base/log.h"
#include "base/program.h"
#include "base/rest_poll.h"
#include "base/sandbox.h"
#include "esp/plane.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <seccomp.h>
#include <string.h>

typedef struct Helper {
    int channel;
    Secret *message; /* orders bring keys */
    Plane *plane;
    RestPoll rest;
} Helper;

/* Every system call that stays, and why. */
static const int ALLOWED_CALLS[] = {
    SCMP_SYS(poll), /* wait for packets and orders */
    SCMP_SYS(ppoll),         SCMP_SYS(restart_syscall), SCMP_SYS(readv), /* a packet from the TUN */
    SCMP_SYS(writev),                                                    /* a packet to the TUN */
    SCMP_SYS(recvmmsg),                                                  /* ESP packets in */
    SCMP_SYS(sendmmsg),                                                  /* ESP packets out */
    SCMP_SYS(recvmsg),                                                   /* orders */
    SCMP_SYS(sendmsg),                          /* reports; an ESP packet sent singly */
    SCMP_SYS(close),                            /* the TUN or a socket that an order closes */
    SCMP_SYS(write),                            /* a last word on standard error */
    SCMP_SYS(clock_gettime),                    /* lifetimes, where the vDSO can't tell the time */
    SCMP_SYS(getrandom),                        /* IVs of CBC */
    SCMP_SYS(getpid),                           /* OpenSSL's random generator looks for a fork() */
    SCMP_SYS(brk),                              /* memory of an SA */
    SCMP_SYS(munmap),        SCMP_SYS(madvise), /* which goes back */
    SCMP_SYS(futex),                            /* OpenSSL's locks */
    SCMP_SYS(rt_sigreturn),  SCMP_SYS(exit_group),
};

static void helper_deinit(Helper *helper)
{
    plane_free(helper->plane);
    secret_free(helper->message);
}

/* Whatever OpenSSL loads lazily, it must load while files can still be opened. */
static int warm_openssl(void)
{
    uint8_t octet;
    if (RAND_bytes(&octet, 1) != 1)
        return -EIO;
    const char *const ciphers[] = {"AES-128-GCM", "AES-256-GCM", "AES-128-CBC", "AES-256-CBC",
                                   "ChaCha20-Poly1305"};
    for (size_t i = 0; i < ELEMENTS(ciphers); i++) {
        EVP_CIPHER *cipher = EVP_CIPHER_fetch(NULL, ciphers[i], NULL);
        if (!cipher)
            return -EOPNOTSUPP;
        EVP_CIPHER_free(cipher);
    }
    return 0;
}

static int report(const Helper *helper, const Writer *writer)
{
    Bytes message;
    int r = writer_finish(writer, &message);
    return r < 0 ? r : helper_send(helper->channel, message, -1);
}

/* Returns 1, 0 when tred has closed its end, or -errno. */
static int handle_order(Helper *helper)
{
    _cleanup_(order_deinit) Order order = {};
    Answer answer;
    int fd = -1; /* plane_carry_out()'s */
    int r = order_receive(helper->channel, helper->message, &order, &fd);
    if (r <= 0)
        return r; /* tred and its helper are one version: a message that does not parse is a bug */
    plane_carry_out(helper->plane, &order, fd, &answer);
    rest_poll_after(&helper->rest);

    uint8_t buffer[ORDER_SIZE_MAX];
    Writer writer;
    writer_init(&writer, buffer, sizeof(buffer));
    answer_encode(&writer, &answer);
    r = report(helper, &writer);
    return r < 0 ? r : 1;
}

static int report_events(const Helper *helper)
{
    DataPlaneEvent event;
    while (plane_event(helper->plane, &event)) {
        uint8_t buffer[ORDER_SIZE_MAX];
        Writer writer;
        writer_init(&writer, buffer, sizeof(buffer));
        event_encode(&writer, &event);
        int r = report(helper, &writer);
        if (r < 0)
            return r;
    }
    return 0;
}

static int run(Helper *helper)
{
    for (;;) {
        struct pollfd polled[1 + PLANE_POLL_MAX] = {{.fd = helper->channel, .events = POLLIN}};
        size_t n_polled = plane_poll(helper->plane, polled + 1);
        const int timeout_ms = rest_poll_timeout(&helper->rest, plane_timeout(helper->plane));
        if (poll(polled, n_polled + 1, timeout_ms) < 0 && errno != EINTR)
            return -errno;
        rest_poll_look(&helper->rest);
        int r = plane_forward(helper->plane, polled + 1, n_polled);
        if (r >= 0)
            r = report_events(helper);
        if (r < 0)
            return r;
        if (polled[0].revents != 0) {
            r = handle_order(helper);
            if (r <= 0)
                return r;
        }
    }
}

static int helper_init(Helper *helper)
{
    *helper = (Helper){.channel = ORDER_FD};
    int r = secrets_init();
    if (r >= 0)
        r = warm_openssl();
    if (r >= 0)
        r = secret_new(ORDER_SIZE_MAX, &helper->message);
    if (r >= 0)
        r = plane_new(&helper->plane);
    if (r >= 0)
        r = sandbox_enter(ORDER_FD, ALLOWED_CALLS, ELEMENTS(ALLOWED_CALLS));
    if (r >= 0)
        rest_poll_after(&helper->rest);
    return r;
}

static const char usage[] =
    "Usage: tred-esp\n"
    "ESP in user space (RFC 4303), for tred, which starts it. See tred(8).\n";

static const CommandLine command_line = {.program = "tred-esp", .usage = usage};

int main(int argc, char **argv)
{
    standard_open();

    int r = commandline_helper(&command_line, argc, argv, ORDER_FD);
    if (r != COMMANDLINE_GO_ON)
        return r;

    _cleanup_(helper_deinit) Helper helper;
    r = helper_init(&helper);
    if (r < 0) {
        log_error("tred-esp can't make itself safe: %s. It handles no packet", strerror(-r));
        return EX_OSERR;
    }
    r = run(&helper);
    if (r < 0)
        log_error("tred-esp stops: %s", strerror(-r));
    return exit_status(r, EX_PROTOCOL);
}
