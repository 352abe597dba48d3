/* How does tred run tred-esp and talk to it? */
#include "dataplane/helper.h"

#include "base/log.h"
#include "dataplane/channel.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>

enum {
    ANSWER_TIMEOUT_MS = 10000, /* it answers between two batches of packets: far below this */
    EVENTS_MAX = 64,
};

struct Helper {
    int channel;
    pid_t pid;
    Secret *message; /* orders bring keys */
    DataPlaneCallback callback;
    void *userdata;
    sd_event_source *io;
    sd_event_source *deferred;
    size_t n_events; /* came while an answer was waited for */
    DataPlaneEvent events[EVENTS_MAX];
};

static void spawn_actions_destroyp(posix_spawn_file_actions_t **actions)
{
    (void)posix_spawn_file_actions_destroy(*actions);
}

static void spawn_attributes_destroyp(posix_spawnattr_t **attributes)
{
    (void)posix_spawnattr_destroy(*attributes);
}

/* tred blocks the signals that its event loop waits for; the helper is to die of them. */
static int unblock_signals(posix_spawnattr_t *attributes)
{
    sigset_t none;
    (void)sigemptyset(&none);
    int r = posix_spawnattr_setsigmask(attributes, &none);
    return r != 0 ? r : posix_spawnattr_setflags(attributes, POSIX_SPAWN_SETSIGMASK);
}

static int spawn(const char *path, int channel, pid_t *ret)
{
    char name[] = "tred-esp";
    char *const arguments[] = {name, NULL}, *const environment[] = {NULL};
    posix_spawn_file_actions_t actions_storage;
    posix_spawnattr_t attributes_storage;
    int r = posix_spawn_file_actions_init(&actions_storage);
    if (r != 0)
        return -r;
    _cleanup_(spawn_actions_destroyp) posix_spawn_file_actions_t *actions = &actions_storage;
    r = posix_spawnattr_init(&attributes_storage);
    if (r != 0)
        return -r;
    _cleanup_(spawn_attributes_destroyp) posix_spawnattr_t *attributes = &attributes_storage;

    r = unblock_signals(attributes);
    if (r == 0)
        r = posix_spawn_file_actions_adddup2(actions, channel, ORDER_FD);
    if (r == 0)
        r = posix_spawn_file_actions_addopen(actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    if (r == 0)
        r = posix_spawn_file_actions_addopen(actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
    if (r == 0)
        r = posix_spawn_file_actions_addclosefrom_np(actions, ORDER_FD + 1);
    if (r == 0)
        r = posix_spawn(ret, path, actions, attributes, arguments, environment);
    return -r;
}

static void helper_lost(Helper *helper)
{
    helper->io = sd_event_source_disable_unref(helper->io);
    close_fdp(&helper->channel);
    helper->channel = -1;
    helper->callback(&(DataPlaneEvent){.type = DATAPLANE_LOST}, helper->userdata);
}

/* One message of the helper's. Returns 0, -EPIPE at its end, or another -errno. */
static int receive_report(Helper *helper, Report *ret)
{
    uint8_t buffer[ORDER_SIZE_MAX];
    _cleanup_(close_fdp) int fd = -1; /* it has no business to send one */
    int size = channel_receive(helper->channel, buffer, sizeof(buffer), &fd);
    if (size < 0)
        return size;
    if (size == 0)
        return -EPIPE;
    return report_decode((Bytes){buffer, (size_t)size}, ret);
}

static int handle_report(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
    (void)source;
    (void)fd;
    (void)revents;
    Helper *helper = userdata;
    Report report;
    int r = receive_report(helper, &report);
    if (r < 0) {
        log_error("The data plane's helper tred-esp has ended. All tunnels are down.");
        helper_lost(helper);
    } else if (report.answer.type == 0) {
        helper->callback(&report.event, helper->userdata);
    }
    return 0;
}

static int handle_deferred(sd_event_source *source, void *userdata)
{
    (void)source;
    Helper *helper = userdata;
    while (helper->n_events > 0) {
        DataPlaneEvent event = helper->events[0];
        helper->n_events--;
        memmove(helper->events, helper->events + 1, helper->n_events * sizeof(event));
        helper->callback(&event, helper->userdata);
    }
    return 0;
}

/* Events wait for the event loop; more than EVENTS_MAX can't come, for each SA has two in its life.
 */
static void defer_event(Helper *helper, const DataPlaneEvent *event)
{
    if (helper->n_events == EVENTS_MAX)
        return;
    helper->events[helper->n_events++] = *event;
    (void)sd_event_source_set_enabled(helper->deferred, SD_EVENT_ONESHOT);
}

static int wait_for_answer(Helper *helper, OrderType type, Answer *ret)
{
    for (;;) {
        struct pollfd polled = {.fd = helper->channel, .events = POLLIN};
        int n = poll(&polled, 1, ANSWER_TIMEOUT_MS);
        if (n == 0)
            return -ETIMEDOUT;
        if (n < 0 && errno != EINTR)
            return -errno;
        if (n < 0)
            continue;
        Report report;
        int r = receive_report(helper, &report);
        if (r < 0)
            return r;
        if (report.answer.type == type) {
            *ret = report.answer;
            return report.answer.error;
        }
        if (report.answer.type == 0)
            defer_event(helper, &report.event);
    }
}

int helper_call(Helper *helper, const Order *order, int fd, Answer *ret)
{
    if (helper->channel < 0)
        return -EPIPE;
    Writer writer;
    writer_init(&writer, helper->message->data, helper->message->size);
    order_encode(&writer, order);
    Bytes message;
    int r = writer_finish(&writer, &message);
    if (r >= 0)
        r = channel_send(helper->channel, message, fd);
    explicit_bzero(helper->message->data, helper->message->size);
    Answer answer;
    if (r >= 0)
        r = wait_for_answer(helper, order->type, ret ? ret : &answer);
    if (r == -ETIMEDOUT) /* it is stuck; the event loop will see its end */
        (void)kill(helper->pid, SIGKILL);
    return r;
}

static int watch(Helper *helper, sd_event *event)
{
    int r = sd_event_add_io(event, &helper->io, helper->channel, EPOLLIN, handle_report, helper);
    if (r >= 0)
        r = sd_event_add_defer(event, &helper->deferred, handle_deferred, helper);
    if (r >= 0)
        r = sd_event_source_set_enabled(helper->deferred, SD_EVENT_OFF);
    return r;
}

/* Makes the socket pair and starts the helper at its other end. */
static int start(Helper *helper, const char *path)
{
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
        return -errno;
    helper->channel = ends[0];
    _cleanup_(close_fdp) int theirs = ends[1];
    return spawn(path, theirs, &helper->pid);
}

int helper_new(const char *path, sd_event *event, DataPlaneCallback callback, void *userdata,
               Helper **ret)
{
    _cleanup_(helper_freep) Helper *helper = calloc(1, sizeof(*helper));
    if (!helper)
        return -ENOMEM;
    helper->channel = -1;
    helper->callback = callback;
    helper->userdata = userdata;
    int r = secret_new(ORDER_SIZE_MAX, &helper->message);
    if (r >= 0)
        r = start(helper, path);
    /* Its first answer says that it has locked itself down. */
    if (r >= 0)
        r = helper_call(helper, &(Order){.type = ORDER_PLANE_COUNTERS}, -1, NULL);
    if (r >= 0)
        r = watch(helper, event);
    if (r >= 0)
        *ret = steal_pointer(helper);
    return r;
}

void helper_free(Helper *helper)
{
    if (!helper)
        return;
    sd_event_source_disable_unref(helper->io);
    sd_event_source_disable_unref(helper->deferred);
    close_fdp(&helper->channel);
    if (helper->pid > 0) {
        /* It would leave by itself at the channel's end; nothing that it has is worth waiting for.
         */
        (void)kill(helper->pid, SIGKILL);
        (void)waitpid(helper->pid, NULL, 0);
    }
    secret_free(helper->message);
    free(helper);
}
