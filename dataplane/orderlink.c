/* Orders to a process and their answers, over one socket in the event loop. */
#include "dataplane/orderlink.h"

#include "base/helper.h"
#include "base/local.h"
#include "base/reason.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
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
    OrderAnswered answered;
    uint64_t cookie;
    void *userdata;
} Pending;

struct OrderLink {
    const char *name;
    sd_event *event;
    HelperProcess process; /* pid 0: one that was connected to */
    Secret *message;       /* orders bring keys */
    OrderLinkCallbacks callbacks;
    sd_event_source *io;
    sd_event_source *timer;
    Reason failure; /* not empty: lost, which the timer is about to tell */
    uint32_t last_number;
    size_t n_pending;
    Pending pending[PENDING_MAX]; /* oldest first: they are answered in turn */
};

static void timer_set(OrderLink *link, uint64_t usec)
{
    (void)sd_event_source_set_time(link->timer, usec);
    (void)sd_event_source_set_enabled(link->timer, SD_EVENT_ONESHOT);
}

/* Told from the event loop, for whoever gave the order is not ready to be told within its own call.
 */
void order_link_give_up(OrderLink *link, const char *reason)
{
    if (link->failure.text[0] != '\0')
        return;
    reason_set(&link->failure, 0, "%s", reason);
    (void)sd_event_source_set_enabled(link->io, SD_EVENT_OFF);
    timer_set(link, 0);
}

static void fail(OrderLink *link, const char *what)
{
    Reason reason;
    reason_set(&reason, 0, "%s %s", link->name, what);
    order_link_give_up(link, reason.text);
}

/* The timer follows from what is pending, whenever that has changed. */
static void update_timer(OrderLink *link)
{
    uint64_t first = UINT64_MAX;
    for (size_t i = 0; i < link->n_pending; i++) {
        const uint64_t deadline = link->pending[i].deadline;
        first = deadline < first ? deadline : first;
    }
    if (first == UINT64_MAX) {
        (void)sd_event_source_set_enabled(link->timer, SD_EVENT_OFF);
    } else {
        timer_set(link, first);
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
    OrderLink *link = userdata;
    if (link->failure.text[0] == '\0') {
        reason_set(&link->failure, 0, "%s did not answer in time", link->name);
    }
    (void)sd_event_source_set_enabled(link->io, SD_EVENT_OFF);
    link->callbacks.lost(link->failure.text, link->callbacks.userdata);
    return 0;
}

static void handle_answer(OrderLink *link, const Answer *answer, int *fd)
{
    Pending first = link->pending[0];
    if (link->n_pending == 0 || answer->type != first.type || answer->number != first.number) {
        fail(link, "answered what it was not asked");
        return;
    }
    link->n_pending--;
    memmove(link->pending, link->pending + 1, link->n_pending * sizeof(first));
    update_timer(link);
    if (first.answered)
        first.answered(answer, fd, first.cookie, first.userdata);
}

/* One message of the link's. Returns 1, or 0 where none is left or the link is lost. */
static int handle_message(OrderLink *link)
{
    uint8_t buffer[ORDER_SIZE_MAX];
    _cleanup_(close_fdp) int fd = -1;
    Report report;
    int size = helper_receive(link->process.channel, buffer, sizeof(buffer), &fd);
    if (size == -EAGAIN || size == -EINTR)
        return 0;
    if (size == -EMSGSIZE ||
        (size > 0 && report_decode((Bytes){buffer, (size_t)size}, &report) < 0)) {
        fail(link, "said what is no answer");
        return 0;
    }
    if (size <= 0) {
        fail(link, "has ended");
        return 0;
    }
    if (report.answer.type != 0) {
        handle_answer(link, &report.answer, &fd);
    } else {
        link->callbacks.event(&report.event, link->callbacks.userdata);
    }
    return link->failure.text[0] == '\0';
}

/* What an answer or event leads to never frees the link; only `lost` may. */
static int handle_io(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
    (void)source;
    (void)fd;
    (void)revents;
    OrderLink *link = userdata;
    for (unsigned i = 0; i < READ_BATCH && handle_message(link) > 0; i++)
        continue;
    return 0;
}

uint64_t order_link_deadline(void)
{
    return now_us() + ORDER_DEADLINE_US;
}

static int send_order(OrderLink *link, const Order *order, int fd)
{
    Writer writer;
    Bytes message;
    writer_init(&writer, link->message->data, link->message->size);
    order_encode(&writer, order);
    int r = writer_finish(&writer, &message);
    if (r >= 0)
        r = helper_send(link->process.channel, message, fd);
    explicit_bzero(link->message->data, link->message->size);
    return r;
}

void order_link_give(OrderLink *link, const Order *order, int fd, uint64_t deadline,
                     OrderAnswered answered, uint64_t cookie, void *userdata)
{
    if (link->failure.text[0] != '\0')
        return;
    if (link->n_pending == PENDING_MAX) {
        fail(link, "leaves too many orders unanswered");
        return;
    }
    Order numbered = *order;
    numbered.number = ++link->last_number;
    int r = send_order(link, &numbered, fd);
    if (r < 0) {
        fail(link, r == -EAGAIN ? "does not read its orders" : "has ended");
        return;
    }
    link->pending[link->n_pending++] = (Pending){
        .type = order->type,
        .number = numbered.number,
        .deadline = deadline,
        .answered = answered,
        .cookie = cookie,
        .userdata = userdata,
    };
    update_timer(link);
}

static int watch(OrderLink *link)
{
    int r =
        sd_event_add_io(link->event, &link->io, link->process.channel, EPOLLIN, handle_io, link);
    if (r >= 0) {
        r = sd_event_add_time(link->event, &link->timer, CLOCK_MONOTONIC, 0, 1000, handle_timer,
                              link);
    }
    return r < 0 ? r : sd_event_source_set_enabled(link->timer, SD_EVENT_OFF);
}

static int link_new(const char *name, sd_event *event, const OrderLinkCallbacks *callbacks,
                    OrderLink **ret)
{
    _cleanup_(order_link_freep) OrderLink *link = calloc(1, sizeof(*link));
    if (!link)
        return -ENOMEM;
    link->name = name;
    link->event = event;
    link->callbacks = *callbacks;
    link->process.channel = -1;
    int r = secret_new(ORDER_SIZE_MAX, &link->message);
    if (r >= 0)
        *ret = steal_pointer(link);
    return r;
}

static int start(OrderLink *link, const char *path, const char *argument)
{
    int r = helper_process_start(path, argument, &link->process);
    if (r >= 0 && fcntl(link->process.channel, F_SETFL, O_NONBLOCK) < 0)
        r = -errno;
    return r;
}

int order_link_start(const char *name, const char *path, const char *argument, sd_event *event,
                     const OrderLinkCallbacks *callbacks, OrderLink **ret)
{
    _cleanup_(order_link_freep) OrderLink *link = NULL;
    int r = link_new(name, event, callbacks, &link);
    if (r >= 0)
        r = start(link, path, argument);
    if (r >= 0)
        r = watch(link);
    if (r >= 0)
        *ret = steal_pointer(link);
    return r;
}

int order_link_connect(const char *name, const char *path, sd_event *event,
                       const OrderLinkCallbacks *callbacks, OrderLink **ret)
{
    _cleanup_(order_link_freep) OrderLink *link = NULL;
    int r = link_new(name, event, callbacks, &link);
    if (r >= 0)
        r = local_connect(path, &link->process.channel);
    if (r >= 0)
        r = watch(link);
    if (r >= 0)
        *ret = steal_pointer(link);
    return r;
}

int order_link_leave(const char *path, const Order *order)
{
    _cleanup_(close_fdp) int fd = -1;
    uint8_t buffer[ORDER_SIZE_MAX];
    Writer writer;
    Bytes message;
    writer_init(&writer, buffer, sizeof(buffer));
    order_encode(&writer, order);
    int r = writer_finish(&writer, &message);
    if (r >= 0)
        r = local_connect(path, &fd);
    return r < 0 ? r : helper_send(fd, message, -1);
}

void order_link_free(OrderLink *link)
{
    if (!link)
        return;
    sd_event_source_disable_unref(link->io);
    sd_event_source_disable_unref(link->timer);
    if (link->process.pid > 0) {
        helper_process_end(&link->process);
    } else {
        close_fdp(&link->process.channel);
    }
    secret_free(link->message);
    free(link);
}
