/* Orders to a process and their answers, over one socket in the event loop. */
#include "dataplane/helper.h"

#include "base/log.h"
#include "dataplane/channel.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>

enum {
    /* Orders under way: each of the SAs can be added, removed and counted at the same time, in
     * three orders each at the most. */
    PENDING_MAX = 10 * DATAPLANE_SAS_MAX,
    WORD_SIZE = 16,
    READ_BATCH = 32, /* messages, before the rest of the loop has its turn */
};

typedef struct Pending {
    OrderType type;
    uint32_t number;
    uint64_t deadline; /* CLOCK_MONOTONIC, in microseconds */
    HelperAnswered answered;
    uint64_t cookie;
    void *userdata;
} Pending;

struct Helper {
    const char *name;
    sd_event *event;
    int channel;
    pid_t pid;
    Secret *message; /* orders bring keys */
    HelperCallbacks callbacks;
    sd_event_source *io;
    sd_event_source *timer;
    char failure[ORDER_TEXT_SIZE]; /* not empty: lost, which the timer is about to tell */
    uint32_t last_number;
    size_t n_pending;
    Pending pending[PENDING_MAX]; /* oldest first: they are answered in turn */
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

static int spawn(const char *called, const char *path, const char *argument, int channel,
                 pid_t *ret)
{
    char name[WORD_SIZE], option[WORD_SIZE];
    (void)snprintf(name, sizeof(name), "%s", called);
    (void)snprintf(option, sizeof(option), "%s", argument ? argument : "");
    char *const arguments[] = {name, argument ? option : NULL, NULL}, *const environment[] = {NULL};
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

static void timer_set(Helper *helper, uint64_t usec)
{
    (void)sd_event_source_set_time(helper->timer, usec);
    (void)sd_event_source_set_enabled(helper->timer, SD_EVENT_ONESHOT);
}

/* Told from the event loop, for whoever gave the order is not ready to be told within its own call.
 */
void helper_give_up(Helper *helper, const char *reason)
{
    if (helper->failure[0] != '\0')
        return;
    (void)snprintf(helper->failure, sizeof(helper->failure), "%s", reason);
    (void)sd_event_source_set_enabled(helper->io, SD_EVENT_OFF);
    timer_set(helper, 0);
}

static void fail(Helper *helper, const char *what)
{
    char reason[WORD_SIZE + ORDER_TEXT_SIZE / 2];
    (void)snprintf(reason, sizeof(reason), "%s %s", helper->name, what);
    helper_give_up(helper, reason);
}

/* The timer follows from what is pending, whenever that has changed. */
static void update_timer(Helper *helper)
{
    uint64_t first = UINT64_MAX;
    if (helper->failure[0] != '\0')
        return;
    for (size_t i = 0; i < helper->n_pending; i++) {
        if (helper->pending[i].deadline < first)
            first = helper->pending[i].deadline;
    }
    if (first == UINT64_MAX) {
        (void)sd_event_source_set_enabled(helper->timer, SD_EVENT_OFF);
    } else {
        timer_set(helper, first);
    }
}

static uint64_t now_us(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static int handle_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
    (void)source;
    (void)usec;
    Helper *helper = userdata;
    if (helper->failure[0] == '\0') {
        (void)snprintf(helper->failure, sizeof(helper->failure), "%s did not answer in time",
                       helper->name);
    }
    (void)sd_event_source_set_enabled(helper->io, SD_EVENT_OFF);
    helper->callbacks.lost(helper->failure, helper->callbacks.userdata);
    return 0;
}

static void handle_answer(Helper *helper, const Answer *answer, int *fd)
{
    Pending first = helper->pending[0];
    if (helper->n_pending == 0 || answer->type != first.type || answer->number != first.number) {
        fail(helper, "answered what it was not asked");
        return;
    }
    helper->n_pending--;
    memmove(helper->pending, helper->pending + 1, helper->n_pending * sizeof(first));
    update_timer(helper);
    if (first.answered)
        first.answered(answer, fd, first.cookie, first.userdata);
}

/* One message of the helper's. Returns 1, or 0 where none is left or the helper is lost. */
static int handle_message(Helper *helper)
{
    uint8_t buffer[ORDER_SIZE_MAX];
    _cleanup_(close_fdp) int fd = -1;
    Report report;
    int size = channel_receive(helper->channel, buffer, sizeof(buffer), &fd);
    if (size == -EAGAIN || size == -EINTR)
        return 0;
    if (size == -EMSGSIZE ||
        (size > 0 && report_decode((Bytes){buffer, (size_t)size}, &report) < 0)) {
        fail(helper, "said what is no answer");
        return 0;
    }
    if (size <= 0) {
        fail(helper, "has ended");
        return 0;
    }
    if (report.answer.type != 0) {
        handle_answer(helper, &report.answer, &fd);
    } else {
        helper->callbacks.event(&report.event, helper->callbacks.userdata);
    }
    return helper->failure[0] == '\0';
}

/* What an answer or event leads to never frees the helper; only `lost` may. */
static int handle_io(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
    (void)source;
    (void)fd;
    (void)revents;
    Helper *helper = userdata;
    for (unsigned i = 0; i < READ_BATCH && handle_message(helper) > 0; i++)
        continue;
    return 0;
}

uint64_t helper_deadline(void)
{
    return now_us() + HELPER_DEADLINE_US;
}

static int send_order(Helper *helper, const Order *order, int fd)
{
    Writer writer;
    Bytes message;
    writer_init(&writer, helper->message->data, helper->message->size);
    order_encode(&writer, order);
    int r = writer_finish(&writer, &message);
    if (r >= 0)
        r = channel_send(helper->channel, message, fd);
    explicit_bzero(helper->message->data, helper->message->size);
    return r;
}

void helper_order(Helper *helper, const Order *order, int fd, uint64_t deadline,
                  HelperAnswered answered, uint64_t cookie, void *userdata)
{
    if (helper->failure[0] != '\0')
        return;
    if (helper->n_pending == PENDING_MAX) {
        fail(helper, "leaves too many orders unanswered");
        return;
    }
    Order numbered = *order;
    numbered.number = ++helper->last_number;
    int r = send_order(helper, &numbered, fd);
    if (r < 0) {
        fail(helper, r == -EAGAIN ? "does not read its orders" : "has ended");
        return;
    }
    helper->pending[helper->n_pending++] = (Pending){
        .type = order->type,
        .number = numbered.number,
        .deadline = deadline,
        .answered = answered,
        .cookie = cookie,
        .userdata = userdata,
    };
    update_timer(helper);
}

static int watch(Helper *helper)
{
    int r =
        sd_event_add_io(helper->event, &helper->io, helper->channel, EPOLLIN, handle_io, helper);
    if (r >= 0) {
        r = sd_event_add_time(helper->event, &helper->timer, CLOCK_MONOTONIC, 0, 1000, handle_timer,
                              helper);
    }
    return r < 0 ? r : sd_event_source_set_enabled(helper->timer, SD_EVENT_OFF);
}

static int helper_new(const char *name, sd_event *event, const HelperCallbacks *callbacks,
                      Helper **ret)
{
    _cleanup_(helper_freep) Helper *helper = calloc(1, sizeof(*helper));
    if (!helper)
        return -ENOMEM;
    helper->name = name;
    helper->event = event;
    helper->callbacks = *callbacks;
    helper->channel = -1;
    int r = secret_new(ORDER_SIZE_MAX, &helper->message);
    if (r >= 0)
        *ret = steal_pointer(helper);
    return r;
}

/* Makes the socket pair and starts the helper at its other end. */
static int start(Helper *helper, const char *path, const char *argument)
{
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
        return -errno;
    helper->channel = ends[0];
    _cleanup_(close_fdp) int theirs = ends[1];
    if (fcntl(helper->channel, F_SETFL, O_NONBLOCK) < 0)
        return -errno;
    return spawn(helper->name, path, argument, theirs, &helper->pid);
}

int helper_start(const char *name, const char *path, const char *argument, sd_event *event,
                 const HelperCallbacks *callbacks, Helper **ret)
{
    _cleanup_(helper_freep) Helper *helper = NULL;
    int r = helper_new(name, event, callbacks, &helper);
    if (r >= 0)
        r = start(helper, path, argument);
    if (r >= 0)
        r = watch(helper);
    if (r >= 0)
        *ret = steal_pointer(helper);
    return r;
}

/* A local socket's connect() does not wait: it succeeds once there is room in the listener's queue,
 * and else is refused at once. */
static int connect_to(const char *path, int *ret)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof(address.sun_path))
        return -ENAMETOOLONG;
    (void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
    _cleanup_(close_fdp) int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -errno;
    if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
        return -errno;
    *ret = steal_fd(&fd);
    return 0;
}

int helper_connect(const char *name, const char *path, sd_event *event,
                   const HelperCallbacks *callbacks, Helper **ret)
{
    _cleanup_(helper_freep) Helper *helper = NULL;
    int r = helper_new(name, event, callbacks, &helper);
    if (r < 0)
        return r;
    r = connect_to(path, &helper->channel);
    if (r >= 0)
        r = watch(helper);
    if (r >= 0)
        *ret = steal_pointer(helper);
    return r;
}

void helper_free(Helper *helper)
{
    if (!helper)
        return;
    sd_event_source_disable_unref(helper->io);
    sd_event_source_disable_unref(helper->timer);
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
