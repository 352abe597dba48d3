/* tred-tpm: has the TPM for tred (tred-tpm(8)), which connects to it, tells it where everything is,
 * and asks it over that connection alone. It serves one connection and ends with it, so that
 * nothing of one tred is left for the next. It holds no key of an IKE SA and no connection to the
 * bus or the network, and sees of what it signs the digest. */
#include "base/cleanup.h"
#include "base/helper.h"
#include "base/local_serve.h"
#include "base/log.h"
#include "base/manager.h"
#include "base/program.h"
#include "base/rest.h"
#include "base/sandbox.h"
#include "crypto/secret.h"
#include "device/service.h"
#include "tpm/open.h"

#include <errno.h>
#include <fcntl.h>
#include <seccomp.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <time.h>

enum {
    LEAVE_MS = 5000, /* for the TPM's slots, which are to be given back */
    FIRST_MS = 5000, /* for a connection, and for what is said there first */
    READ_BATCH = 8,  /* frames, before the rest of the loop has its turn */
    N_NETWORK = 11,  /* calls at the end of ALLOWED_CALLS */
};

/* Every system call that stays, beside mmap() and mprotect() without PROT_EXEC, and why. */
static const int ALLOWED_CALLS[] = {
    SCMP_SYS(recvmsg), /* requests */
    SCMP_SYS(sendmsg), /* answers */
    SCMP_SYS(socket),
    SCMP_SYS(sendto), /* a sign of life; to a simulator */
    SCMP_SYS(memfd_create),
    SCMP_SYS(fcntl),
    SCMP_SYS(dup), /* files that go along with them */
    SCMP_SYS(openat),
    SCMP_SYS(open),
    SCMP_SYS(close),
    SCMP_SYS(read),
    SCMP_SYS(pread64),
    SCMP_SYS(write),
    SCMP_SYS(writev),
    SCMP_SYS(lseek),
    SCMP_SYS(fstat),
    SCMP_SYS(newfstatat),
    SCMP_SYS(stat),
    SCMP_SYS(lstat),
    SCMP_SYS(statx),
    SCMP_SYS(access),
    SCMP_SYS(faccessat),
    SCMP_SYS(faccessat2),
    SCMP_SYS(readlink),
    SCMP_SYS(readlinkat),
    SCMP_SYS(getdents64),
    SCMP_SYS(getcwd),
    SCMP_SYS(ioctl), /* the TPM's device, the configured files, */
    SCMP_SYS(rename),
    SCMP_SYS(renameat),
    SCMP_SYS(renameat2),
    SCMP_SYS(unlink),
    SCMP_SYS(unlinkat),
    SCMP_SYS(fsync),
    SCMP_SYS(fdatasync),
    SCMP_SYS(fchmod),
    SCMP_SYS(fchown),
    SCMP_SYS(ftruncate),
    SCMP_SYS(umask), /* and the anchors' new ones */
    SCMP_SYS(poll),
    SCMP_SYS(ppoll),
    SCMP_SYS(epoll_wait),
    SCMP_SYS(epoll_pwait),
    SCMP_SYS(epoll_pwait2),
    SCMP_SYS(epoll_ctl),
    SCMP_SYS(epoll_create1),
    SCMP_SYS(eventfd2),
    SCMP_SYS(timerfd_create),
    SCMP_SYS(timerfd_settime), /* the event loop */
    SCMP_SYS(clone),
    SCMP_SYS(clone3),
    SCMP_SYS(set_robust_list),
    SCMP_SYS(rseq),
    SCMP_SYS(futex),
    SCMP_SYS(exit),
    SCMP_SYS(sched_yield),
    SCMP_SYS(sigaltstack),
    SCMP_SYS(gettid),
    SCMP_SYS(sched_getaffinity), /* the thread that waits for the TPM */
    SCMP_SYS(rt_sigprocmask),
    SCMP_SYS(rt_sigaction),
    SCMP_SYS(rt_sigreturn),
    SCMP_SYS(brk),
    SCMP_SYS(munmap),
    SCMP_SYS(mremap),
    SCMP_SYS(madvise),
    SCMP_SYS(mlock),
    SCMP_SYS(mlock2),
    SCMP_SYS(munlock),
    SCMP_SYS(getrandom),
    SCMP_SYS(getpid),
    SCMP_SYS(getuid),
    SCMP_SYS(geteuid),
    SCMP_SYS(getgid),
    SCMP_SYS(getegid),
    SCMP_SYS(prlimit64),
    SCMP_SYS(sysinfo),
    SCMP_SYS(uname),
    SCMP_SYS(clock_gettime),
    SCMP_SYS(clock_nanosleep),
    SCMP_SYS(nanosleep),
    SCMP_SYS(restart_syscall),
    SCMP_SYS(exit_group),
    /* N_NETWORK, for a TPM that is reached by a socket: a simulator's. */
    SCMP_SYS(connect),
    SCMP_SYS(getsockopt),
    SCMP_SYS(setsockopt),
    SCMP_SYS(getsockname),
    SCMP_SYS(getpeername),
    SCMP_SYS(recvfrom),
    SCMP_SYS(sendmmsg),
    SCMP_SYS(recvmmsg),
    SCMP_SYS(bind),
    SCMP_SYS(shutdown),
    SCMP_SYS(pipe2),
};

typedef struct Options {
    bool connected; /* descriptor 3 is a connection */
    const char *user;
} Options;

typedef struct Helper {
    sd_event *event;
    DeviceService *service;
    sd_event_source *rest; /* base/rest.h */
    int result;            /* -errno that ended it */
} Helper;

enum { CONNECTED = 256, USER };

static const CommandOption command_options[] = {
    {"connected", NULL, CONNECTED, "serve the connection that is descriptor 3, and no other"},
    {"user", "NAME", USER, "whom to serve (default tred)"},
    {NULL, NULL, 0, NULL},
};

static const CommandLine command_line = {
    .program = "tred-tpm",
    .usage = "Usage: tred-tpm [--connected] [--user NAME]\n"
             "Has the TPM, and signs with the device key in it, for tred.\n"
             "systemd starts it by its socket, tred-tpm.socket. See tred-tpm(8).\n",
    .options = command_options,
};

static int take_option(int value, const char *argument, void *userdata)
{
    Options *options = userdata;

    if (value == CONNECTED) {
        options->connected = true;
    } else {
        options->user = argument;
    }
    return 0;
}

/* What tred does not take ends this process, and so everything: it has gone, or is out of its mind.
 */
static void tell(Helper *helper, const DeviceAnswer *answer, int fd)
{
    uint8_t frame[DEVICE_FRAME_SIZE_MAX];
    Writer writer;
    Bytes message;

    writer_init(&writer, frame, sizeof(frame));
    device_answer_encode(&writer, answer);
    int r = writer_finish(&writer, &message);
    if (r == 0)
        r = helper_send(HELPER_FD, message, fd);
    if (r < 0) {
        helper->result = r == -EPIPE || r == -ECONNRESET ? 0 : r;
        (void)sd_event_exit(helper->event, 0);
    }
}

static void on_tell(const DeviceAnswer *answer, int fd, void *userdata)
{
    Helper *helper = userdata;

    rest_after(helper->rest);
    tell(helper, answer, fd);
}

/* Returns 1, 0 when tred has closed its end, or -errno. The request's views lie in one buffer. */
static int request_receive(DeviceRequest *ret, int *ret_fd)
{
    static uint8_t frame[DEVICE_FRAME_SIZE_MAX];
    int r = helper_receive(HELPER_FD, frame, sizeof(frame), ret_fd);

    if (r <= 0)
        return r == -ECONNRESET ? 0 : r;
    r = device_request_decode((Bytes){frame, (size_t)r}, ret);
    return r < 0 ? r : 1;
}

/* The first request of all, and the only one of its kind. */
static int files_receive(DeviceFiles *ret)
{
    _cleanup_(close_fdp) int fd = -1;
    static DeviceRequest request;
    int r = helper_wait(HELPER_FD, FIRST_MS);

    if (r == 0)
        r = request_receive(&request, &fd);
    if (r > 0 && request.type != DEVICE_CONFIGURE)
        r = -EBADMSG;
    if (r > 0)
        *ret = request.files;
    return r;
}

static int request_take(Helper *helper, const DeviceRequest *request, int fd)
{
    const DeviceAnswer alive = {.type = DEVICE_ALIVE, .number = request->number};

    if (request->type == DEVICE_PING) {
        tell(helper, &alive, -1);
        return 0;
    }
    rest_after(helper->rest);
    return device_service_take(helper->service, request, fd);
}

static int on_request(sd_event_source *source, int channel, uint32_t events, void *userdata)
{
    Helper *helper = userdata;

    (void)source, (void)channel, (void)events;
    for (int i = 0; i < READ_BATCH; i++) {
        _cleanup_(close_fdp) int fd = -1;
        static DeviceRequest request;
        int r = request_receive(&request, &fd);

        if (r == -EAGAIN || r == -EINTR)
            return 0;
        const bool ended = r == 0;
        if (r > 0)
            r = request_take(helper, &request, fd);
        if (r < 0)
            helper->result = r;
        if (r < 0 || ended)
            return sd_event_exit(helper->event, 0);
    }
    return 0;
}

/* ---- a connection ---- */

/* Nobody is waited for any longer: the socket, which stays systemd's, starts this program again.
 * Returns 1, 0 if nobody came, or -errno. */
static int connection_accept(uid_t user)
{
    int connection = -1;
    int r = helper_wait(MANAGER_LISTEN_FIRST, FIRST_MS);

    if (r == 0)
        r = local_accept(MANAGER_LISTEN_FIRST, user, &connection);
    if (r == -ETIMEDOUT || r == -EACCES)
        return 0;
    if (r < 0)
        return r;
    r = dup3(connection, HELPER_FD, O_CLOEXEC) < 0 ? -errno : 1;
    close_fdp(&connection);
    return r;
}

static int connection_take(uid_t user)
{
    if (!local_is_from(HELPER_FD, user))
        return -EACCES;
    return fcntl(HELPER_FD, F_SETFL, O_NONBLOCK) < 0 ? -errno : 1;
}

/* Descriptor HELPER_FD is a connection of `user`'s from now on. Returns 1, 0 if there is none, or
 * -errno. */
static int connection_get(const Options *options)
{
    uid_t user = 0;
    int r = local_user_find(options->user, &user);

    if (r < 0)
        return r;
    if (options->connected)
        return connection_take(user);
    if (manager_listeners() != 1) {
        log_error("There is no socket to listen on. Start tred-tpm.socket");
        return -ENOTSOCK;
    }
    manager_notify("READY=1");
    return connection_accept(user);
}

/* ---- the process ---- */

/* By either name that tpm_tcti_warm() knows it by. */
static bool tcti_has_device(const char *tcti)
{
    static const char *const names[] = {"device", "libtss2-tcti-device.so.0"};
    const size_t size = strcspn(tcti, ":");

    for (size_t i = 0; i < ELEMENTS(names); i++) {
        if (strlen(names[i]) == size && strncmp(tcti, names[i], size) == 0)
            return true;
    }
    return false;
}

/* In this order: memory that CAP_IPC_LOCK alone let be locked would make allocations fail without
 * it, and no more code is loaded once the filter stands. */
static int sandbox(const DeviceFiles *files)
{
    const size_t count = ELEMENTS(ALLOWED_CALLS) - (tcti_has_device(files->tcti) ? N_NETWORK : 0);

    (void)umask(S_IRWXG | S_IRWXO);
    tpm_tcti_warm(files->tcti);
    tzset();
    int r = sandbox_leave_capabilities();
    if (r < 0)
        return r;
    memory_lock_all();
    r = secrets_init();
    return r < 0 ? r : sandbox_refuse_others(ALLOWED_CALLS, count);
}

/* SIGTERM ends the loop, and the TPM's slots are given back. */
static int event_init(Helper *helper)
{
    int r = sd_event_new(&helper->event);

    if (r >= 0) {
        r = sd_event_add_signal(helper->event, NULL, SIGTERM | SD_EVENT_SIGNAL_PROCMASK, NULL,
                                NULL);
    }
    if (r >= 0) {
        r = sd_event_add_signal(helper->event, NULL, SIGINT | SD_EVENT_SIGNAL_PROCMASK, NULL, NULL);
    }
    if (r >= 0)
        r = sd_event_set_watchdog(helper->event, true);
    if (r >= 0)
        r = sd_event_add_io(helper->event, NULL, HELPER_FD, EPOLLIN, on_request, helper);
    if (r >= 0)
        r = rest_new(helper->event, &helper->rest);
    return r;
}

static int helper_init(Helper *helper, const DeviceFiles *files)
{
    int r = sandbox_leave_files(HELPER_FD + 1);

    if (r >= 0)
        r = event_init(helper);
    if (r >= 0)
        r = sandbox(files);
    if (r >= 0)
        r = device_service_new(files, helper->event, on_tell, helper, &helper->service);
    if (r < 0)
        log_error("tred-tpm can't make itself safe: %s. Nothing is signed", strerror(-r));
    return r;
}

static int serve(Helper *helper)
{
    int r = sd_event_loop(helper->event);

    return helper->result < 0 ? helper->result : r;
}

int main(int argc, char **argv)
{
    static DeviceFiles files;
    Options options = {.user = "tred"};
    Helper helper = {0};

    standard_open();
    int r = commandline_read(&command_line, argc, argv, take_option, &options);
    if (r != COMMANDLINE_GO_ON)
        return standard_finish("tred-tpm", r);
    (void)signal(SIGPIPE, SIG_IGN);
    r = connection_get(&options);
    if (r == -EINVAL || r == -ENOTSOCK)
        return EX_CONFIG;
    if (r > 0)
        r = files_receive(&files);
    if (r > 0) {
        if (helper_init(&helper, &files) < 0)
            return EX_OSERR;
        r = serve(&helper);
    }
    device_service_free(helper.service, LEAVE_MS);
    sd_event_source_disable_unref(helper.rest);
    sd_event_unref(helper.event);
    if (r < 0)
        log_error("tred-tpm stops: %s", strerror(-r));
    return exit_status(r, EX_PROTOCOL);
}
