/* tred-net: configures the host's network for tred (tred-net(8)). It serves one connection at a
 * time, of one user, and reads nothing but orders (dataplane/order.h) and the kernel's answers. */
#include "base/helper.h"
#include "base/local_serve.h"
#include "base/log.h"
#include "base/manager.h"
#include "base/program.h"
#include "base/reason.h"
#include "base/rest_poll.h"
#include "base/sandbox.h"
#include "net/service.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <linux/capability.h>
#include <pwd.h>
#include <seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>

typedef struct Options {
    const char *socket; /* NULL: systemd hands one over */
    bool connected;     /* descriptor 3 is a connection */
    bool unprotect;
    unsigned unprotect_after; /* seconds */
    const char *user;
    const char *ike_user;
} Options;

typedef struct Server {
    uid_t user;       /* whom it serves */
    const char *path; /* of a socket that it made itself */
    int listener;     /* -1 where a connection was handed over */
    int connection;   /* -1 while nobody is connected */
    int signals;
    int watchdog_ms; /* -1: nobody waits for a sign of life */
    Secret *message; /* orders may bring keys */
    Service service;
    RestPoll rest;
} Server;

enum { SOCKET = 256, CONNECTED, USER, IKE_USER, UNPROTECT_AFTER, UNPROTECT };

static const CommandOption command_options[] = {
    {"socket", "PATH", SOCKET, "make this socket and listen there"},
    {"connected", NULL, CONNECTED,
     "serve the connection that is descriptor 3, of this user, and no other"},
    {"user", "NAME", USER, "whom to serve (default tred)"},
    {"ike-user", "NAME", IKE_USER,
     "whose packets may leave past the tunnel, too (default henb-ike)"},
    {"unprotect-after", "SECONDS", UNPROTECT_AFTER,
     "how long the tunnel's protection stays when tred was stopped (default 30)"},
    {"unprotect", NULL, UNPROTECT,
     "take away the rules by which nothing leaves past the tunnel, and exit"},
    {NULL, NULL, 0, NULL},
};

static const CommandLine command_line = {
    .program = "tred-net",
    .usage = "Usage: tred-net [--socket PATH | --connected] [--user NAME] [--ike-user NAME]\n"
             "                [--unprotect-after SECONDS]\n"
             "       tred-net --unprotect\n"
             "Sets up the tunnel's interface, addresses, routes and the kernel's ESP for tred.\n"
             "systemd starts it by its socket, tred-net.socket. See tred-net(8).\n",
    .options = command_options,
};

/* Every system call that stays, and why. */
/* clang-format off */
static const int ALLOWED_CALLS[] = {
    /* wait for orders, the kernel and signals */
    SCMP_SYS(poll), SCMP_SYS(ppoll), SCMP_SYS(restart_syscall),
    /* a connection, and whose it is */
    SCMP_SYS(accept4), SCMP_SYS(accept), SCMP_SYS(getsockopt),
    /* orders, reports, netlink, a sign of life */
    SCMP_SYS(recvmsg), SCMP_SYS(sendmsg), SCMP_SYS(sendto), SCMP_SYS(recvfrom),
    /* the netlink sockets of a plane; the ESP socket's buffers */
    SCMP_SYS(socket), SCMP_SYS(bind), SCMP_SYS(getsockname), SCMP_SYS(setsockopt), SCMP_SYS(capget),
    /* a TUN */
    SCMP_SYS(openat), SCMP_SYS(ioctl), SCMP_SYS(close),
    /* a signal */
    SCMP_SYS(read),
    /* a line on standard error, which may be the journal's */
    SCMP_SYS(write), SCMP_SYS(fstat), SCMP_SYS(newfstatat),
    /* the socket that it made goes with it */
    SCMP_SYS(unlink),
    /* idle times, where the vDSO can't tell the time */
    SCMP_SYS(clock_gettime),
    /* memory, locked where it holds keys (mlock2(3) without a flag is either call); the end */
    SCMP_SYS(brk), SCMP_SYS(munmap), SCMP_SYS(madvise), SCMP_SYS(mlock), SCMP_SYS(mlock2), SCMP_SYS(futex), SCMP_SYS(getpid),
    SCMP_SYS(gettid), SCMP_SYS(rt_sigreturn), SCMP_SYS(exit_group),
};
/* clang-format on */

enum { UNPROTECT_AFTER_DEFAULT = 30, UNPROTECT_AFTER_MAX = 3600, ORDERS_LAST_MAX = 256 };

static bool read_seconds(const char *text, unsigned *ret)
{
    char *end = NULL;
    unsigned long value = isdigit((unsigned char)text[0]) ? strtoul(text, &end, 10) : ULONG_MAX;
    if (value > UNPROTECT_AFTER_MAX || *end != '\0')
        return false;
    *ret = (unsigned)value;
    return true;
}

static int take_option(int value, const char *argument, void *userdata)
{
    Options *options = userdata;
    switch (value) {
    case SOCKET:
        options->socket = argument;
        return 0;
    case CONNECTED:
        options->connected = true;
        return 0;
    case USER:
        options->user = argument;
        return 0;
    case IKE_USER:
        options->ike_user = argument;
        return 0;
    case UNPROTECT_AFTER:
        return read_seconds(argument, &options->unprotect_after)
                   ? 0
                   : commandline_error(&command_line,
                                       "--unprotect-after takes a number from 0 to %d",
                                       UNPROTECT_AFTER_MAX);
    default:
        options->unprotect = true;
        return 0;
    }
}

/* The exit status, or COMMANDLINE_GO_ON. */
static int read_options(int argc, char **argv, Options *ret)
{
    return commandline_read(&command_line, argc, argv, take_option, ret);
}

static int open_socket(Server *server, const Options *options)
{
    int r = 0;
    if (options->connected) {
        server->connection = MANAGER_LISTEN_FIRST;
    } else if (options->socket) {
        r = local_listen(options->socket, &server->listener);
        if (r < 0) {
            log_error("The socket %s can't be made: %s", options->socket, strerror(-r));
        } else {
            server->path = options->socket;
        }
    } else if (manager_listeners() == 1) {
        server->listener = MANAGER_LISTEN_FIRST;
    } else {
        log_error(
            "There is no socket to listen on. Start tred-net.socket, or name one by --socket");
        r = -ENOTSOCK;
    }
    return r;
}

static int open_signals(Server *server)
{
    sigset_t signals;
    (void)sigemptyset(&signals);
    (void)sigaddset(&signals, SIGTERM);
    (void)sigaddset(&signals, SIGINT);
    if (sigprocmask(SIG_BLOCK, &signals, NULL) < 0)
        return -errno;
    server->signals = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
    return server->signals < 0 ? -errno : 0;
}

/* A host without an IKE client has none. */
static uid_t ike_user_of(const char *name)
{
    const struct passwd *user = name ? getpwnam(name) : NULL;
    if (!user) {
        log_warning("There is no user %s, so no IKE client's packets pass while there is no tunnel",
                    name);
    }
    return user ? user->pw_uid : (uid_t)-1;
}

static int server_init(Server *server, const Options *options)
{
    server->watchdog_ms = -1;
    const uint64_t watchdog_us = manager_watchdog_usec();
    int r = sandbox_leave_files(MANAGER_LISTEN_FIRST + (options->socket ? 0 : 1));
    /* Whoever starts it with a connection serves nobody but itself. */
    server->user = getuid();
    if (r >= 0 && !options->connected)
        r = local_user_find(options->user, &server->user);
    server->service.users[1] = options->connected ? (uid_t)-1 : ike_user_of(options->ike_user);
    server->service.users[0] = server->user;
    server->service.unprotect_after_ms = (uint64_t)options->unprotect_after * 1000;
    /* Signals wait before there is a socket that it would leave behind. */
    if (r >= 0)
        r = open_signals(server);
    if (r >= 0)
        r = open_socket(server, options);
    if (r >= 0 && secrets_init() < 0) {
        log_error("There is no locked memory for keys. Set LimitMEMLOCK=16M in the unit");
        r = -ENOMEM;
    }
    if (r >= 0)
        r = secret_new(ORDER_SIZE_MAX, &server->message);
    if (r >= 0 && watchdog_us > 0)
        server->watchdog_ms = (int)(watchdog_us / 2000);
    if (r >= 0) {
        r = sandbox_keep_rights(CAP_TO_MASK(CAP_NET_ADMIN), ALLOWED_CALLS, ELEMENTS(ALLOWED_CALLS));
        if (r < 0)
            log_error("Rights can't be given up: %s", strerror(-r));
    }
    if (r >= 0)
        rest_poll_after(&server->rest);
    return r;
}

static void disconnect(Server *server)
{
    service_disconnect(&server->service);
    close_fdp(&server->connection);
}

static void server_deinit(Server *server)
{
    disconnect(server);
    service_deinit(&server->service);
    close_fdp(&server->listener);
    close_fdp(&server->signals);
    if (server->path)
        (void)unlink(server->path);
    secret_free(server->message);
}

static void accept_connection(Server *server)
{
    (void)local_accept(server->listener, server->user, &server->connection);
}

/* Whoever has left may have left orders, such as its last one: they are read to the end. */
static int send_report(const Server *server, const Writer *writer, int fd)
{
    Bytes message;
    int r = writer_finish(writer, &message);
    if (r >= 0)
        r = helper_send(server->connection, message, fd);
    return r == -EPIPE || r == -ECONNRESET ? 0 : r;
}

/* Keys go with the order, which is wiped when this returns. */
static int handle_order(Server *server)
{
    _cleanup_(order_deinit) Order order = {};
    _cleanup_(close_fdp) int esp_fd = -1;
    _cleanup_(close_fdp) int tun = -1;
    int r = order_receive(server->connection, server->message, &order, &esp_fd);
    if (r == -EAGAIN)
        return 0;
    if (r <= 0)
        return r == 0 ? -ENOTCONN : r;
    Answer answer;
    service_carry_out(&server->service, &order, esp_fd, &answer, &tun);
    rest_poll_after(&server->rest);

    uint8_t buffer[ORDER_SIZE_MAX];
    Writer writer;
    writer_init(&writer, buffer, sizeof(buffer));
    answer_encode(&writer, &answer);
    return send_report(server, &writer, tun);
}

static int report_events(const Server *server)
{
    NetPlane *plane = server->service.plane;
    DataPlaneEvent event;
    while (plane && net_plane_event(plane, &event)) {
        uint8_t buffer[ORDER_SIZE_MAX];
        Writer writer;
        writer_init(&writer, buffer, sizeof(buffer));
        event_encode(&writer, &event);
        int r = send_report(server, &writer, -1);
        if (r < 0)
            return r;
    }
    return 0;
}

/* `polled` is the connection, and behind it what the service watches. */
static void serve(Server *server, const struct pollfd *polled, size_t n_polled)
{
    service_watch(&server->service, polled + 1, n_polled - 1);
    int r = polled[0].revents != 0 ? handle_order(server) : 0;
    if (r >= 0)
        r = report_events(server);
    /* tred leaves as it likes, with answers on their way or not. */
    if (r < 0 && r != -ENOTCONN && r != -ECONNRESET)
        log_error("The connection is closed: %s", strerror(-r));
    if (r < 0)
        disconnect(server);
}

static bool has_come(int fd)
{
    struct pollfd polled = {.fd = fd, .events = POLLIN};
    return poll(&polled, 1, 0) > 0;
}

/* Whoever stops tred and then tred-net means both: what tred has left unread, its last order among
 * it, comes before the end. */
static void finish(Server *server)
{
    for (unsigned i = 0; i < ORDERS_LAST_MAX; i++) {
        if (server->connection < 0 && server->listener >= 0 && has_come(server->listener))
            accept_connection(server);
        if (server->connection < 0 || !has_come(server->connection))
            return;
        if (handle_order(server) < 0)
            disconnect(server);
    }
}

/* Until a sign of life, or the end of the rules, is due; -1: never. */
static int patience_ms(const Server *server)
{
    const int left = service_patience_ms(&server->service);
    return left < 0 || (server->watchdog_ms >= 0 && server->watchdog_ms < left)
               ? server->watchdog_ms
               : left;
}

/* Returns 1 to go on, 0 at the end, or -errno. */
static int run_once(Server *server)
{
    struct pollfd polled[2 + SERVICE_POLL_MAX] = {
        {.fd = server->signals, .events = POLLIN},
        {.fd = server->connection >= 0 ? server->connection : server->listener, .events = POLLIN},
    };
    bool connected = server->connection >= 0;
    const size_t n = 2 + service_poll(&server->service, polled + 2);
    int found = poll(polled, n, rest_poll_timeout(&server->rest, patience_ms(server)));
    if (found < 0)
        return errno == EINTR ? 1 : -errno;
    rest_poll_look(&server->rest);
    if (server->watchdog_ms >= 0)
        manager_notify("WATCHDOG=1");
    if (polled[0].revents != 0) {
        finish(server);
        return 0;
    }
    if (connected) {
        serve(server, polled + 1, n - 1);
    } else if (polled[1].revents != 0) {
        accept_connection(server);
    }
    service_unprotect_when_due(&server->service);
    service_retry_when_due(&server->service);
    /* A connection that was handed over is all there is to serve. */
    return server->connection >= 0 || server->listener >= 0;
}

static int run(Server *server)
{
    if (server->connection >= 0 && !local_is_from(server->connection, server->user))
        return -EACCES;
    manager_notify("READY=1");
    int r;
    do {
        r = run_once(server);
    } while (r > 0);
    manager_notify("STOPPING=1");
    return r;
}

int main(int argc, char **argv)
{
    _cleanup_(server_deinit) Server server = {.listener = -1, .connection = -1, .signals = -1};
    Options options = {
        .user = "tred", .ike_user = "henb-ike", .unprotect_after = UNPROTECT_AFTER_DEFAULT};
    standard_open();
    int r = read_options(argc, argv, &options);
    if (r != COMMANDLINE_GO_ON)
        return standard_finish("tred-net", r);
    if (options.unprotect)
        return exit_status(service_unprotect(), EX_OSERR);
    r = server_init(&server, &options);
    if (r < 0) /* -EINVAL, -ENOTSOCK: no such user, no socket */
        return r == -EINVAL || r == -ENOTSOCK ? EX_CONFIG : exit_status(r, EX_OSERR);
    r = run(&server);
    if (r < 0)
        log_error("tred-net stops: %s", strerror(-r));
    return exit_status(r, EX_OSERR);
}
