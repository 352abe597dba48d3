/* What tred orders of both helpers to use and to move pairs of SAs, and what it is told then. The
 * helpers are played: they keep each order until the test has them answer. */
#include "dataplane/dataplane.h"

#include "dataplane/orderlink.h"
#include "inner_fixture.h"
#include "no_random.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum { ORDERS_MAX = 128 };

typedef struct Given {
    OrderType type;
    uint32_t id;
    SaPath path;
    Lifetime soft;
    uint64_t dscps;
    uint8_t interface;
    int fd;
    uint64_t deadline;
    OrderAnswered answered;
    uint64_t cookie;
    void *userdata;
} Given;

struct OrderLink {
    bool there;
    OrderLinkCallbacks callbacks;
    size_t n_given;
    size_t n_answered;
    Given given[ORDERS_MAX];
};

static OrderLink net, esp;
static uint64_t now_us;

/* How tred-net answers, and what is asked beside orders. */
static struct {
    DataPlaneMode mode;   /* that it opens */
    bool keeps_tun;       /* as for the second pair of an interface */
    bool refuses;         /* to be connected to */
    uint64_t more;        /* packets that a pair has counted */
    bool may_be_given_up; /* and was: */
    char given_up[64];
    const char *started_with; /* an argument */
    unsigned n_left;          /* orders to one that is not there */
    unsigned n_turns;         /* of the loop */
    int turn_error;           /* of its second turn */
    int open_error;           /* what tred-net answers then */
    bool no_memory;
} played;

/* In the place of sd-event's and transport.c's (--wrap): what looks at the path MTU, and what there
 * is to see. */
static sd_event_time_handler_t on_look;
static uint64_t timer_us;
static int n_timers;
static int payload_max;
int __wrap_sd_event_add_time_relative(sd_event *event, sd_event_source **ret, clockid_t clock,
                                      uint64_t usec, uint64_t accuracy,
                                      sd_event_time_handler_t handler, void *userdata);
int __wrap_transport_payload_max(const struct sockaddr_storage *remote);

int __wrap_sd_event_add_time_relative(sd_event *event, sd_event_source **ret, clockid_t clock,
                                      uint64_t usec, uint64_t accuracy,
                                      sd_event_time_handler_t handler, void *userdata)
{
    (void)event, (void)clock, (void)accuracy, (void)userdata;
    *ret = (sd_event_source *)(void *)&timer_us;
    on_look = handler;
    timer_us = usec;
    n_timers++;
    return 0;
}

sd_event_source *__wrap_sd_event_source_disable_unref(sd_event_source *source);

sd_event_source *__wrap_sd_event_source_disable_unref(sd_event_source *source)
{
    n_timers -= source != NULL;
    return NULL;
}

int __wrap_transport_payload_max(const struct sockaddr_storage *remote)
{
    (void)remote;
    return payload_max;
}

static int link_open(OrderLink *link, const OrderLinkCallbacks *callbacks, OrderLink **ret)
{
    *link = (OrderLink){.there = true, .callbacks = *callbacks};
    *ret = link;
    return 0;
}

int order_link_connect(const char *name, const char *path, sd_event *event,
                       const OrderLinkCallbacks *callbacks, OrderLink **ret)
{
    (void)name, (void)path, (void)event;
    return played.refuses ? -ECONNREFUSED : link_open(&net, callbacks, ret);
}

int order_link_start(const char *name, const char *path, const char *argument, sd_event *event,
                     const OrderLinkCallbacks *callbacks, OrderLink **ret)
{
    (void)path, (void)event;
    played.started_with = argument;
    return link_open(strcmp(name, "tred-net") == 0 ? &net : &esp, callbacks, ret);
}

int order_link_leave(const char *path, const Order *order)
{
    assert_string_equal(path, "/nowhere");
    assert_int_equal(order->type, ORDER_UNPROTECT);
    played.n_left++;
    return -ECONNREFUSED;
}

void order_link_free(OrderLink *link)
{
    if (link)
        link->there = false;
}

void order_link_give_up(OrderLink *link, const char *reason)
{
    (void)link;
    if (!played.may_be_given_up)
        fail_msg("given up: %s", reason);
    (void)snprintf(played.given_up, sizeof(played.given_up), "%s", reason);
}

uint64_t order_link_deadline(void)
{
    return now_us + ORDER_DEADLINE_US;
}

void order_link_give(OrderLink *link, const Order *order, int fd, uint64_t deadline,
                     OrderAnswered answered, uint64_t cookie, void *userdata)
{
    assert_true(link->there && link->n_given < ORDERS_MAX);
    link->given[link->n_given++] = (Given){
        .type = order->type,
        .id = order->sa ? order->sa->spi_in : order->id,
        .path = order->sa ? (SaPath){.local = order->sa->local, .remote = order->sa->remote}
                          : order->path,
        .soft = order->sa ? order->sa->soft : (Lifetime){0},
        .dscps = order->sa ? order->sa->dscps : 0,
        .interface = order->sa ? order->sa->interface : 0,
        .fd = fd,
        .deadline = deadline,
        .answered = answered,
        .cookie = cookie,
        .userdata = userdata,
    };
}

/* In the place of the C library's (--wrap). */
void *__real_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);

void *__wrap_calloc(size_t n, size_t size)
{
    return played.no_memory ? NULL : __real_calloc(n, size);
}

void *__wrap_malloc(size_t size)
{
    return played.no_memory ? NULL : __real_malloc(size);
}

/* A helper answers its next order, which must be this one. */
static void answer(OrderLink *link, OrderType type, uint32_t id, int error)
{
    assert_true(link->n_answered < link->n_given);
    const Given *given = &link->given[link->n_answered++];
    assert_int_equal(given->type, type);
    assert_int_equal(given->id, id);
    Answer said = {.type = type, .error = error, .mode = played.mode};
    int fd = -1;
    if (type == ORDER_ADD_SA && link == &net && !played.keeps_tun)
        fd = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3); /* the first one makes a TUN */
    if (error < 0)
        (void)snprintf(said.reason.text, sizeof(said.reason.text), "no");
    if (type == ORDER_SA_COUNTERS)
        said.sa = (SaCounters){.packets_in = id + played.more};
    if (type == ORDER_PLANE_COUNTERS)
        said.plane = (DataPlaneCounters){5 + played.more, 8, 9, 10};
    if (type == ORDER_PROTECTION_COUNTERS)
        said.protection =
            (ProtectionCounters){.dropped_in = 6 + played.more, .dropped_out = 7 + played.more};
    if (given->answered)
        given->answered(&said, &fd, given->cookie, given->userdata);
    close_fdp(&fd);
}

static void answer_all(OrderLink *link)
{
    while (link->n_answered < link->n_given)
        answer(link, link->given[link->n_answered].type, link->given[link->n_answered].id, 0);
}

/* In the place of sd-event's (--wrap): in the second turn tred-net has answered. */
int __wrap_sd_event_run(sd_event *event, uint64_t timeout);

int __wrap_sd_event_run(sd_event *event, uint64_t timeout)
{
    (void)event, (void)timeout;
    if (++played.n_turns < 2)
        return 1;
    if (played.turn_error < 0)
        return played.turn_error;
    if (played.given_up[0] != '\0') { /* in the third it is lost */
        net.callbacks.lost(played.given_up, net.callbacks.userdata);
        return 1;
    }
    answer(&net, ORDER_OPEN, 0, played.open_error);
    answer_all(&net);
    answer_all(&esp);
    return 1;
}

static const Given *newest(const OrderLink *link)
{
    assert_true(link->n_given > 0);
    return &link->given[link->n_given - 1];
}

typedef struct Told {
    unsigned n;
    int error;
    char why[8];
} Told;

static void note(int error, const char *why, void *userdata)
{
    Told *told = userdata;
    told->n++;
    told->error = error;
    (void)snprintf(told->why, sizeof(told->why), "%s", why);
}

typedef struct Lab {
    DataPlaneOptions options;
    DataPlane *plane;
    Transport first, second;
    DataPlaneEvent event;
    unsigned n_events, n_lost, n_opened;
} Lab;

static void note_event(const DataPlaneEvent *event, void *userdata)
{
    Lab *lab = userdata;
    lab->event = *event;
    lab->n_events++;
}

static void note_lost(const char *reason, void *userdata)
{
    (void)reason;
    ((Lab *)userdata)->n_lost++;
}

static void note_opened(void *userdata)
{
    ((Lab *)userdata)->n_opened++;
}

static struct sockaddr_storage loopback(uint16_t port)
{
    struct sockaddr_storage storage = {0};
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(port)};
    in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    memcpy(&storage, &in, sizeof(in));
    return storage;
}

static int setup(void **state)
{
    Lab *lab = calloc(1, sizeof(*lab));
    Reason reason = {0};
    const struct sockaddr_storage any = loopback(0);
    assert_non_null(lab);
    payload_max = 1472;
    now_us = 0;
    n_timers = 0;
    memset(&played, 0, sizeof(played));
    played.mode = DATAPLANE_USER;
    lab->options = (DataPlaneOptions){
        .mode = DATAPLANE_USER,
        .interfaces = {2, {"segw0", "management0"}},
        .net_socket = "/nowhere",
        .esp_program = "/nowhere",
        .callbacks = {.event = note_event,
                      .lost = note_lost,
                      .opened = note_opened,
                      .userdata = lab},
    };
    assert_int_equal(sd_event_new(&lab->options.event), 0);
    assert_int_equal(transport_init(&lab->first, &any), 0);
    assert_int_equal(transport_init(&lab->second, &any), 0);
    assert_int_equal(dataplane_begin(&lab->options, &lab->plane, &reason), 0);
    answer_all(&net);
    answer_all(&esp);
    *state = lab;
    return 0;
}

static int teardown(void **state)
{
    Lab *lab = *state;
    dataplane_close(lab->plane);
    sd_event_unref(lab->options.event);
    transport_deinit(&lab->first);
    transport_deinit(&lab->second);
    free(lab);
    return 0;
}

/* Its limits are `soft` before it is added. */
static void give_sa(Lab *lab, uint32_t spi, const Lifetime *soft, Told *told)
{
    _cleanup_(sa_order_freep) SaOrder *sa =
        sa_order_new(IKE_ENCR_AES_GCM_16, 128, IKE_INTEG_NONE, true);
    sa->spi_in = spi;
    sa->soft = *soft;
    assert_int_equal(dataplane_add_sa(lab->plane, sa, &lab->first, note, told), 0);
}

/* What adding a pair of SAs takes: tred-esp, tred-net, tred-esp with the TUN. */
static void answer_pair(void)
{
    for (unsigned i = 0; i < 3; i++) {
        answer_all(&esp);
        answer_all(&net);
    }
}

static void add_sa(Lab *lab, uint32_t spi)
{
    Told told = {0};
    give_sa(lab, spi, &(Lifetime){0}, &told);
    answer_pair();
    assert_int_equal(told.n, 1);
    assert_int_equal(told.error, 0);
}

/* tred-esp chooses by them, and what it is told stands as it was asked for. */
static void tred_esp_is_told_for_which_dscps_a_pair_is(void **state)
{
    Lab *lab = *state;
    Told told = {0};
    _cleanup_(sa_order_freep) SaOrder *sa =
        sa_order_new(IKE_ENCR_AES_GCM_16, 128, IKE_INTEG_NONE, true);
    sa->spi_in = 300;
    sa->dscps = UINT64_C(1) << 46;
    assert_true(dataplane_knows_dscps(lab->plane));
    assert_int_equal(dataplane_add_sa(lab->plane, sa, &lab->first, note, &told), 0);
    const Given *added = newest(&esp);
    assert_int_equal(added->type, ORDER_ADD_SA);
    assert_int_equal(added->dscps, UINT64_C(1) << 46);
    answer_pair();
    assert_int_equal(told.n, 1);
}

static int give_by(Lab *lab, uint8_t interface, uint32_t spi, Told *told)
{
    _cleanup_(sa_order_freep) SaOrder *sa =
        sa_order_new(IKE_ENCR_AES_GCM_16, 128, IKE_INTEG_NONE, true);
    sa->spi_in = spi;
    sa->interface = interface;
    return dataplane_add_sa(lab->plane, sa, &lab->first, note, told);
}

/* Else all HeNBs would rekey at the same times. */
static void without_random_numbers_no_pair_is_added(void **state)
{
    Lab *lab = *state;
    for (int says = 0; says >= -1; says--) {
        Told told = {0};
        no_random_begin(1, says);
        assert_int_equal(give_by(lab, 0, 300, &told), -EIO);
        assert_true(no_random_end());
        assert_int_equal(told.n, 0);
    }
}

static void each_interface_has_its_own_tun_from_its_first_pair_to_its_last(void **state)
{
    Lab *lab = *state;
    for (uint8_t i = 0; i < 2; i++) {
        Told told = {0};
        assert_int_equal(give_by(lab, i, 300 + i, &told), 0);
        assert_int_equal(newest(&net)->interface, i); /* which is told at once, as it makes one */
        answer_pair();
        assert_int_equal(told.n, 1);
        assert_int_equal(newest(&esp)->type, ORDER_OPEN_TUN);
        assert_int_equal(newest(&esp)->id, i);
    }
    assert_string_equal(dataplane_interface(lab->plane, 1), "management0");
    for (uint8_t i = 0; i < 2; i++) {
        assert_int_equal(dataplane_remove_sa(lab->plane, 300 + i), 0);
        assert_int_equal(newest(&esp)->type, ORDER_CLOSE_TUN);
        assert_int_equal(newest(&esp)->id, i);
        answer_all(&esp);
        answer_all(&net);
    }
}

/* Of the first one tred-net is told at once, as it takes longest to make an interface. */
static void of_a_second_pair_tred_net_is_told_when_tred_esp_has_it(void **state)
{
    Lab *lab = *state;
    Told first = {0}, second = {0};
    give_sa(lab, 300, &(Lifetime){0}, &first);
    assert_int_equal(newest(&net)->id, 300);
    give_sa(lab, 301, &(Lifetime){0}, &second);
    assert_int_equal(newest(&net)->id, 300);
    answer_all(&esp);
    assert_int_equal(newest(&net)->id, 301);
    answer_pair();
    assert_int_equal(first.n + second.n, 2);
}

static void a_pair_for_an_interface_that_was_not_named_is_refused(void **state)
{
    Told told = {0};
    assert_int_equal(give_by(*state, 2, 300, &told), -EINVAL);
    assert_int_equal(told.n, 0);
}

static int move(Lab *lab, const Transport *to, Told *told)
{
    const struct sockaddr_storage remote = loopback(4600);
    return dataplane_move_sas(lab->plane, &lab->first, to, &remote, true, note, told);
}

static void a_pair_is_used_when_tred_esp_says_so(void **state)
{
    Lab *lab = *state;
    Told told = {0};
    add_sa(lab, 300);
    assert_int_equal(dataplane_use_sa(lab->plane, 300, note, &told), 0);
    assert_int_equal(dataplane_use_sa(lab->plane, 300, note, &told), -EBUSY);
    assert_int_equal(told.n, 0);
    answer(&esp, ORDER_USE_SA, 300, 0);
    assert_int_equal(told.n, 1);
    assert_int_equal(told.error, 0);
    assert_int_equal(dataplane_use_sa(lab->plane, 300, NULL, NULL), 0);
    answer(&esp, ORDER_USE_SA, 300, 0);
    assert_int_equal(dataplane_use_sa(lab->plane, 301, note, &told), -ENOENT);
    assert_int_equal(lab->n_events, 0);
}

static void a_pair_that_can_not_be_used_is_told_as_one_that_lacks_something(void **state)
{
    Lab *lab = *state;
    Told told = {0};
    add_sa(lab, 300);
    assert_int_equal(dataplane_use_sa(lab->plane, 300, note, &told), 0);
    answer(&esp, ORDER_USE_SA, 300, -ENOMEM);
    assert_int_equal(told.error, -ENOMEM);
    assert_int_equal(lab->n_events, 1);
    assert_int_equal(lab->event.type, DATAPLANE_POLICY_GONE);
    assert_int_equal(lab->event.spi_in, 300);
}

static void whoever_waits_is_told_when_the_pair_goes(void **state)
{
    Lab *lab = *state;
    Told used = {0}, moved = {0};
    add_sa(lab, 300);
    assert_int_equal(dataplane_use_sa(lab->plane, 300, note, &used), 0);
    assert_int_equal(move(lab, &lab->second, &moved), 0);
    assert_int_equal(dataplane_remove_sa(lab->plane, 300), 0);
    assert_int_equal(used.n, 1);
    assert_int_equal(used.error, -ECANCELED);
    assert_int_equal(moved.n, 1);
    assert_int_equal(moved.error, -ECANCELED);
    answer_all(&esp); /* what was under way is nobody's any more */
    answer_all(&net);
    assert_int_equal(used.n + moved.n, 2);
}

static void counted_never(void *userdata)
{
    (void)userdata;
    fail_msg("nobody is left to count");
}

static void whoever_waits_is_told_when_the_plane_is_lost(void **state)
{
    Lab *lab = *state;
    Told used = {0}, moved = {0};
    add_sa(lab, 300);
    add_sa(lab, 301);
    assert_int_equal(dataplane_use_sa(lab->plane, 300, note, &used), 0);
    assert_int_equal(move(lab, &lab->second, &moved), 0);
    esp.callbacks.lost("gone", esp.callbacks.userdata);
    assert_int_equal(lab->n_lost, 1);
    assert_int_equal(used.n, 1);
    assert_int_equal(used.error, -ECONNRESET);
    assert_int_equal(moved.n, 1);
    assert_int_equal(moved.error, -ECONNRESET);
    assert_int_equal(move(lab, &lab->second, &moved), -ENOTCONN);
    assert_int_equal(dataplane_use_sa(lab->plane, 300, note, &used), -ENOTCONN);
    assert_int_equal(dataplane_count(lab->plane, counted_never, NULL), -ENOTCONN);
}

static void the_first_opening_may_take_as_long_as_a_slow_boot_and_no_later_one(void **state)
{
    Lab *lab = *state;
    enum { BOOT_US = 60 * 1000 * 1000, HANGS_US = 30 * 1000 * 1000 };
    assert_int_equal(net.given[0].type, ORDER_OPEN);
    assert_true(net.given[0].deadline > BOOT_US);
    assert_int_equal(esp.given[0].type, ORDER_PLANE_COUNTERS);
    assert_true(esp.given[0].deadline > BOOT_US);
    esp.callbacks.lost("gone", esp.callbacks.userdata);
    assert_int_equal(on_look(NULL, 0, lab->plane), 0);
    assert_int_equal(net.given[0].type, ORDER_OPEN);
    assert_true(net.given[0].deadline < HANGS_US);
    assert_int_equal(esp.given[0].type, ORDER_PLANE_COUNTERS);
    assert_true(esp.given[0].deadline < HANGS_US);
}

/* tred-esp is started as late as tred-net says that it takes one. */
static void what_opening_takes_has_one_deadline_whoever_is_asked_when(void **state)
{
    Lab *lab = *state;
    enum { LOADS_US = 70 * 1000 * 1000 };
    const ProtectOrder protect = {.mode = PROTECT_YES};
    Reason reason = {0};
    dataplane_close(lab->plane);
    lab->options.mode = DATAPLANE_AUTO;
    lab->options.protect = &protect;
    assert_int_equal(dataplane_begin(&lab->options, &lab->plane, &reason), 0);
    assert_int_equal(net.n_given, 2);
    now_us = LOADS_US;
    answer(&net, ORDER_PROTECT, 0, 0);
    answer(&net, ORDER_OPEN, 0, 0);
    assert_true(esp.there);
    assert_int_equal(newest(&esp)->type, ORDER_PLANE_COUNTERS);
    assert_int_equal(newest(&esp)->deadline, net.given[0].deadline);
    assert_int_equal(newest(&esp)->deadline, net.given[1].deadline);
}

static void a_move_is_over_when_both_helpers_have_moved_every_pair(void **state)
{
    Lab *lab = *state;
    Told told = {0};
    add_sa(lab, 300);
    add_sa(lab, 301);
    assert_int_equal(move(lab, &lab->second, &told), 0);
    answer(&esp, ORDER_OPEN_TRANSPORT, 2, 0);
    const SaPath *path = &esp.given[esp.n_answered].path;
    assert_int_equal(path->transport, 2);
    assert_memory_equal(&path->local, &lab->second.local, sizeof(struct sockaddr_in));
    const struct sockaddr_storage remote = loopback(4600);
    assert_memory_equal(&path->remote, &remote, sizeof(struct sockaddr_in));
    assert_true(path->udp_encapsulated && path->mtu > 1000);
    answer(&esp, ORDER_MOVE_SA, 300, 0);
    answer(&esp, ORDER_MOVE_SA, 301, 0);
    assert_int_equal(newest(&esp)->type, ORDER_CLOSE_TRANSPORT);
    answer(&esp, ORDER_CLOSE_TRANSPORT, 1, 0);
    answer(&net, ORDER_MOVE_SA, 300, 0);
    assert_int_equal(told.n, 0);
    assert_int_equal(move(lab, &lab->second, &told), 0); /* nothing is there any more to move */
    assert_int_equal(told.n, 1);
    answer(&net, ORDER_MOVE_SA, 301, 0);
    assert_int_equal(told.n, 2);
    assert_int_equal(told.error, 0);
}

static void a_peer_that_moves_leaves_the_transport_as_it_is(void **state)
{
    Lab *lab = *state;
    Told told = {0};
    add_sa(lab, 300);
    assert_int_equal(move(lab, &lab->first, &told), 0);
    assert_int_equal(move(lab, &lab->first, &told), -EBUSY);
    answer(&esp, ORDER_MOVE_SA, 300, 0);
    assert_int_equal(esp.n_answered, esp.n_given);
    answer(&net, ORDER_MOVE_SA, 300, 0);
    assert_int_equal(told.n, 1);
}

static void the_first_error_of_a_move_is_told_once(void **state)
{
    Lab *lab = *state;
    Told told = {0};
    add_sa(lab, 300);
    add_sa(lab, 301);
    assert_int_equal(move(lab, &lab->first, &told), 0);
    answer(&esp, ORDER_MOVE_SA, 300, -ENOENT);
    answer(&esp, ORDER_MOVE_SA, 301, 0);
    answer(&net, ORDER_MOVE_SA, 300, 0);
    assert_int_equal(told.n, 0);
    answer(&net, ORDER_MOVE_SA, 301, -EIO);
    assert_int_equal(told.n, 1);
    assert_int_equal(told.error, -ENOENT);
    assert_string_equal(told.why, "no");
}

/* tred-esp has it already; tred-net is told once, where it is then. */
static void a_pair_that_is_just_being_added_moves_along(void **state)
{
    Lab *lab = *state;
    Told added = {0}, moved = {0};
    add_sa(lab, 300); /* for the TUN */
    give_sa(lab, 301, &(Lifetime){0}, &added);
    assert_int_equal(move(lab, &lab->second, &moved), 0);
    answer(&net, ORDER_MOVE_SA, 300, 0);
    assert_int_equal(net.n_answered, net.n_given);
    answer_all(&esp);
    assert_int_equal(moved.n, 1);
    assert_int_equal(moved.error, 0);
    const struct sockaddr_storage remote = loopback(4600);
    const SaPath *path = &net.given[net.n_answered].path;
    assert_memory_equal(&path->local, &lab->second.local, sizeof(struct sockaddr_in));
    assert_memory_equal(&path->remote, &remote, sizeof(struct sockaddr_in));
    answer(&net, ORDER_ADD_SA, 301, 0);
    answer_all(&esp);
    assert_int_equal(added.n, 1);
}

static void the_user_plane_moves_to_no_place_without_encapsulation(void **state)
{
    Lab *lab = *state;
    Told told = {0};
    const struct sockaddr_storage remote = loopback(4600);
    add_sa(lab, 300);
    assert_int_equal(
        dataplane_move_sas(lab->plane, &lab->first, &lab->second, &remote, false, note, &told),
        -EOPNOTSUPP);
    assert_int_equal(esp.n_answered, esp.n_given);
    assert_int_equal(told.n, 0);
}

static void a_move_that_there_is_no_memory_for_leaves_the_pair_and_no_transport(void **state)
{
    Lab *lab = *state;
    Told told = {0};
    add_sa(lab, 300);
    played.no_memory = true;
    assert_int_equal(move(lab, &lab->second, &told), -ENOMEM);
    played.no_memory = false;
    assert_int_equal(told.n, 0);
    assert_int_equal(esp.given[esp.n_given - 2].type, ORDER_OPEN_TRANSPORT);
    assert_int_equal(newest(&esp)->type, ORDER_CLOSE_TRANSPORT);
    assert_int_equal(newest(&esp)->id, esp.given[esp.n_given - 2].id);
    answer_all(&esp);
    assert_int_equal(move(lab, &lab->second, &told), 0);
    answer_pair();
    assert_int_equal(told.n, 1);
    assert_int_equal(told.error, 0);
}

/* RFC 6040: else nothing is known of what a router has marked. */
static void the_socket_of_a_pair_in_user_space_shows_what_its_packets_are_marked_with(void **state)
{
    Lab *lab = *state;
    int shown = 0;
    socklen_t size = sizeof(shown);
    assert_int_equal(getsockopt(lab->first.esp_fd, IPPROTO_IP, IP_RECVTOS, &shown, &size), 0);
    assert_int_equal(shown, 0);
    add_sa(lab, 300);
    assert_int_equal(getsockopt(lab->first.esp_fd, IPPROTO_IP, IP_RECVTOS, &shown, &size), 0);
    assert_int_equal(shown, 1);
}

static void a_plane_that_is_waited_for_is_open_then_or_says_why_not(void **state)
{
    static const struct {
        int turn_error, open_error, expected;
        unsigned n_turns;
        const char *why;
    } cases[] = {
        {0, 0, 0, 2, ""},
        {-EIO, 0, -EIO, 2, "Input/output error"},
        {0, -EPERM, -ENOTCONN, 3, "no"},
    };
    Lab *lab = *state;
    for (size_t i = 0; i < ELEMENTS(cases); i++) {
        Reason reason = {0};
        dataplane_close(steal_pointer(lab->plane));
        played.n_turns = 0;
        played.turn_error = cases[i].turn_error;
        played.open_error = cases[i].open_error;
        played.may_be_given_up = cases[i].open_error < 0;
        assert_int_equal(dataplane_open(&lab->options, &lab->plane, &reason), cases[i].expected);
        assert_int_equal(played.n_turns, cases[i].n_turns);
        assert_string_equal(reason.text, cases[i].why);
        assert_int_equal(lab->plane != NULL, cases[i].expected == 0);
    }
    Reason reason = {0};
    played.no_memory = true;
    assert_int_equal(dataplane_open(&lab->options, &lab->plane, &reason), -ENOMEM);
    assert_string_equal(reason.text, "Out of memory");
    played.no_memory = false;
}

static void look(Lab *lab)
{
    on_look(NULL, 0, lab->plane);
}

/* Of which tred-net has been told, and is not just being told. */
static void the_path_mtu_is_told_of_pairs_that_are_settled_and_of_no_others(void **state)
{
    Lab *lab = *state;
    Told added = {0}, moved = {0};
    add_sa(lab, 300);
    look(lab);
    size_t before = net.n_given; /* of what it was told with the pair, nothing */
    payload_max = 1400;
    look(lab);
    assert_int_equal(net.n_given, before + 1);
    assert_int_equal(newest(&net)->type, ORDER_PATH_MTU);
    assert_int_equal(newest(&net)->id, 300);
    assert_in_range(newest(&net)->path.mtu, 1300, 1399);
    look(lab);
    assert_int_equal(net.n_given, before + 1); /* once */
    answer_all(&net);
    payload_max = -ENETUNREACH;
    look(lab);
    assert_int_equal(net.n_given, before + 1);
    /* At each stage of another one's being added, the settled one alone. */
    payload_max = 1400;
    give_sa(lab, 301, &(Lifetime){0}, &added);
    for (unsigned stage = 0; added.n == 0; stage++) {
        assert_true(stage < 8);
        payload_max = 1390 - (int)stage * 16;
        before = net.n_given;
        look(lab);
        assert_int_equal(net.n_given, before + 1);
        assert_int_equal(newest(&net)->type, ORDER_PATH_MTU);
        assert_int_equal(newest(&net)->id, 300);
        if (esp.n_answered < esp.n_given)
            answer(&esp, esp.given[esp.n_answered].type, esp.given[esp.n_answered].id, 0);
        else
            answer_all(&net);
    }
    /* And none while they move. */
    assert_int_equal(move(lab, &lab->second, &moved), 0);
    payload_max = 1200;
    before = net.n_given;
    look(lab);
    assert_int_equal(net.n_given, before);
    answer_pair();
    assert_int_equal(moved.n, 1);
    before = net.n_given;
    payload_max = 1190;
    look(lab);
    assert_int_equal(net.n_given, before + 2);
}

static void note_counted(void *userdata)
{
    ++*(unsigned *)userdata;
}

/* Each where it belongs; one that failed leaves what was counted before. */
static void what_is_counted_is_told_when_all_have_answered(void **state)
{
    Lab *lab = *state;
    ProtectOrder protect = {.mode = PROTECT_YES};
    ProtectionCounters dropped;
    DataPlaneCounters counters;
    SaCounters sa;
    unsigned counted = 0;
    add_sa(lab, 300);
    add_sa(lab, 301);
    lab->options.protect = &protect;
    for (int round = 0; round < 2; round++) {
        const int error = round == 0 ? 0 : -EIO;
        played.more = error ? 1000 : 0; /* of what has failed nothing counts */
        assert_int_equal(dataplane_count(lab->plane, note_counted, &counted), 0);
        assert_int_equal(dataplane_count(lab->plane, note_counted, &counted), -EBUSY);
        answer(&esp, ORDER_SA_COUNTERS, 300, error);
        answer(&esp, ORDER_SA_COUNTERS, 301, error);
        answer(&esp, ORDER_PLANE_COUNTERS, 0, error);
        assert_int_equal(counted, round);
        answer(&net, ORDER_PROTECTION_COUNTERS, 0, error);
        assert_int_equal(counted, round + 1);
        for (uint32_t spi = 300; spi <= 301; spi++) {
            assert_int_equal(dataplane_sa_counters(lab->plane, spi, &sa), 0);
            assert_int_equal(sa.packets_in, spi);
        }
        assert_int_equal(dataplane_sa_counters(lab->plane, 302, &sa), -ENOENT);
        assert_int_equal(dataplane_counters(lab->plane, &counters), 0);
        assert_memory_equal(&counters, &((DataPlaneCounters){5, 8, 9, 10}), sizeof(counters));
        dataplane_protection_counters(lab->plane, &dropped);
        assert_int_equal(dropped.dropped_in, 6);
        assert_int_equal(dropped.dropped_out, 7);
        dataplane_totals(lab->plane, &sa);
        assert_int_equal(sa.packets_in, 601);
    }
    /* What a pair has counted stays in the sum when it goes, and is asked for once more. */
    played.more = 0;
    assert_int_equal(dataplane_remove_sa(lab->plane, 300), 0);
    answer_all(&esp);
    answer_all(&net);
    dataplane_totals(lab->plane, &sa);
    assert_int_equal(sa.packets_in, 601);
    lab->options.protect = NULL;
}

/* As no counter of tred's steps back before tred does. */
static void what_a_tred_esp_has_counted_stays_in_the_sum_when_another_follows(void **state)
{
    Lab *lab = *state;
    DataPlaneCounters counters;
    unsigned counted = 0;
    assert_int_equal(dataplane_count(lab->plane, note_counted, &counted), 0);
    answer_all(&esp);
    esp.callbacks.lost("gone", esp.callbacks.userdata);
    assert_int_equal(dataplane_counters(lab->plane, &counters), 0);
    assert_memory_equal(&counters, &((DataPlaneCounters){5, 8, 9, 10}), sizeof(counters));
    assert_int_equal(on_look(NULL, 0, lab->plane), 0);
    answer_all(&net);
    answer_all(&esp);
    assert_int_equal(dataplane_count(lab->plane, note_counted, &counted), 0);
    answer_all(&esp);
    assert_int_equal(counted, 2);
    assert_int_equal(dataplane_counters(lab->plane, &counters), 0);
    assert_memory_equal(&counters, &((DataPlaneCounters){10, 16, 18, 20}), sizeof(counters));
}

static void without_a_user_plane_nothing_is_said_of_what_no_sa_counts(void **state)
{
    Lab *lab = *state;
    DataPlaneCounters counters;
    Reason reason = {0};
    dataplane_close(lab->plane);
    lab->options.mode = DATAPLANE_NONE;
    assert_int_equal(dataplane_begin(&lab->options, &lab->plane, &reason), 0);
    assert_int_equal(dataplane_counters(lab->plane, &counters), -ENODATA);
}

/* RFC 7296 2.8 */
static void no_two_pairs_are_due_at_the_same_time(void **state)
{
    Lab *lab = *state;
    const Lifetime soft = {.bytes = UINT64_C(1) << 60};
    uint64_t limits[4];
    for (uint32_t i = 0; i < ELEMENTS(limits); i++) {
        Told told = {0};
        give_sa(lab, 300 + i, &soft, &told);
        while (esp.given[esp.n_answered].type != ORDER_ADD_SA)
            answer(&esp, esp.given[esp.n_answered].type, esp.given[esp.n_answered].id, 0);
        limits[i] = esp.given[esp.n_answered].soft.bytes;
        answer_all(&esp);
        answer_all(&net);
        answer_all(&esp);
        assert_in_range(limits[i], soft.bytes / 10 * 9, soft.bytes);
        for (uint32_t j = 0; j < i; j++)
            assert_true(limits[i] != limits[j]);
    }
}

static void reopen(Lab *lab, DataPlaneMode mode)
{
    Reason reason = {0};
    dataplane_close(lab->plane);
    net.there = esp.there = false;
    played.mode = mode;
    lab->options.mode = mode;
    assert_int_equal(dataplane_begin(&lab->options, &lab->plane, &reason), 0);
    if (mode == DATAPLANE_NONE)
        return;
    answer_all(&net);
    if (mode == DATAPLANE_USER)
        answer_all(&esp);
}

static int give_over(Lab *lab, bool udp_encapsulated, const Transport *transport, Told *told)
{
    _cleanup_(sa_order_freep) SaOrder *sa =
        sa_order_new(IKE_ENCR_AES_GCM_16, 128, IKE_INTEG_NONE, true);
    sa->spi_in = 300;
    sa->udp_encapsulated = udp_encapsulated;
    return dataplane_add_sa(lab->plane, sa, transport, note, told);
}

static void the_kernels_pairs_are_tred_nets_alone(void **state)
{
    Lab *lab = *state;
    SaCounters sa;
    Told added = {0}, used = {0}, moved = {0};
    unsigned counted = 0;
    reopen(lab, DATAPLANE_KERNEL);
    assert_false(esp.there);
    assert_false(dataplane_knows_dscps(lab->plane));
    assert_string_equal(dataplane_name(lab->plane), "kernel");
    played.keeps_tun = true;
    give_sa(lab, 300, &(Lifetime){0}, &added);
    assert_int_equal(newest(&net)->fd, lab->first.esp_fd);
    answer(&net, ORDER_ADD_SA, 300, 0);
    assert_int_equal(added.n, 1);
    assert_int_equal(added.error, 0);
    assert_int_equal(dataplane_use_sa(lab->plane, 300, note, &used), 0);
    answer(&net, ORDER_USE_SA, 300, 0);
    assert_int_equal(used.n, 1);
    assert_int_equal(move(lab, &lab->second, &moved), 0);
    answer(&net, ORDER_MOVE_SA, 300, 0);
    assert_int_equal(moved.n, 1);
    assert_int_equal(dataplane_count(lab->plane, note_counted, &counted), 0);
    answer(&net, ORDER_SA_COUNTERS, 300, 0);
    assert_int_equal(counted, 1);
    assert_int_equal(dataplane_sa_counters(lab->plane, 300, &sa), 0);
    assert_int_equal(sa.packets_in, 300);
    net.callbacks.event(&(DataPlaneEvent){DATAPLANE_STATE_GONE, 300}, net.callbacks.userdata);
    assert_int_equal(lab->n_events, 1);
    assert_int_equal(dataplane_remove_sa(lab->plane, 300), 0);
    assert_int_equal(dataplane_remove_sa(lab->plane, 300), -ENOENT);
    answer(&net, ORDER_SA_COUNTERS, 300, 0);
    answer(&net, ORDER_REMOVE_SA, 300, 0);
}

static void a_pair_in_udp_wants_a_socket_and_the_user_plane_udp(void **state)
{
    Lab *lab = *state;
    Transport closed = {.ike_fd = -1, .esp_fd = -1};
    Told told = {0};
    assert_int_equal(give_over(lab, true, NULL, &told), -EOPNOTSUPP);
    assert_int_equal(give_over(lab, false, &lab->first, &told), -EOPNOTSUPP);
    assert_int_equal(give_over(lab, true, &closed, &told), -EBADF);
    assert_int_equal(esp.n_given, esp.n_answered);
    reopen(lab, DATAPLANE_KERNEL);
    assert_int_equal(give_over(lab, true, NULL, &told), -EINVAL);
    assert_int_equal(give_over(lab, true, &closed, &told), -EBADF);
    assert_int_equal(net.n_given, net.n_answered);
    assert_int_equal(told.n, 0);
    assert_int_equal(give_over(lab, false, NULL, &told), 0);
    assert_int_equal(newest(&net)->fd, -1);
    assert_int_equal(newest(&net)->type, ORDER_ADD_SA);
    dataplane_close(steal_pointer(lab->plane)); /* it tells what `told` is of */
}

static void where_nothing_carries_traffic_there_is_nothing_to_order(void **state)
{
    Lab *lab = *state;
    Told added = {0}, used = {0};
    unsigned counted = 0;
    reopen(lab, DATAPLANE_NONE);
    assert_false(net.there || esp.there);
    assert_string_equal(dataplane_interface(lab->plane, 0), "");
    assert_int_equal(give_over(lab, true, &lab->first, &added), 0);
    assert_int_equal(added.n, 1);
    assert_int_equal(dataplane_use_sa(lab->plane, 300, note, &used), 0);
    assert_int_equal(used.n, 1);
    assert_int_equal(dataplane_count(lab->plane, note_counted, &counted), 0);
    assert_int_equal(counted, 1);
    const ProtectOrder protect = {.mode = PROTECT_YES};
    lab->options.protect = &protect;
    dataplane_unprotect(lab->plane);
    assert_int_equal(played.n_left, 0);
}

static void no_more_pairs_and_transports_are_taken_than_there_is_room_for(void **state)
{
    Lab *lab = *state;
    Transport more[DATAPLANE_TRANSPORTS_MAX];
    const struct sockaddr_storage any = loopback(0);
    Told told = {0};
    played.keeps_tun = true;
    played.may_be_given_up = true; /* for want of the TUN, which is nothing to this */
    for (uint32_t i = 0; i < DATAPLANE_SAS_MAX; i++) {
        assert_int_equal(give_by(lab, 0, 300 + i, &told), 0);
        assert_int_equal(give_by(lab, 0, 300 + i, &told), -EEXIST);
    }
    assert_int_equal(give_by(lab, 0, 400, &told), -ENOSPC);
    reopen(lab, DATAPLANE_USER);
    for (uint32_t i = 0; i < DATAPLANE_TRANSPORTS_MAX; i++) {
        _cleanup_(sa_order_freep) SaOrder *sa =
            sa_order_new(IKE_ENCR_AES_GCM_16, 128, IKE_INTEG_NONE, true);
        assert_int_equal(transport_init(&more[i], &any), 0);
        sa->spi_in = 300 + i;
        assert_int_equal(dataplane_add_sa(lab->plane, sa, &more[i], note, &told), 0);
    }
    assert_int_equal(give_by(lab, 0, 400, &told), -ENOSPC);
    for (uint32_t i = 0; i < DATAPLANE_TRANSPORTS_MAX; i++) {
        (void)dataplane_remove_sa(lab->plane, 300 + i);
        transport_deinit(&more[i]);
    }
    assert_int_equal(give_by(lab, 0, 400, &told), 0);
    dataplane_close(steal_pointer(lab->plane)); /* it tells what `told` is of */
}

static void the_last_pair_of_an_interface_closes_its_tun_and_no_other_one(void **state)
{
    Lab *lab = *state;
    add_sa(lab, 300);
    played.keeps_tun = true;
    add_sa(lab, 301);
    assert_int_equal(dataplane_remove_sa(lab->plane, 300), 0);
    assert_int_equal(newest(&esp)->type, ORDER_REMOVE_SA);
    answer_pair();
    assert_int_equal(dataplane_remove_sa(lab->plane, 301), 0);
    assert_int_equal(newest(&esp)->type, ORDER_CLOSE_TUN);
}

/* Its TUN comes when nobody has a use for it, and tred-net was never told of the second one. */
static void a_pair_that_goes_while_it_is_added_goes_where_it_has_come(void **state)
{
    Lab *lab = *state;
    Told first = {0}, second = {0};
    give_sa(lab, 300, &(Lifetime){0}, &first);
    answer_all(&esp);
    assert_int_equal(dataplane_remove_sa(lab->plane, 300), 0);
    for (size_t i = 0; i < esp.n_given; i++) /* it has counted nothing */
        assert_int_not_equal(esp.given[i].type, ORDER_SA_COUNTERS);
    assert_int_equal(first.error, -ECANCELED);
    assert_int_equal(newest(&net)->type, ORDER_REMOVE_SA);
    const size_t given = esp.n_given;
    answer_all(&net);
    assert_int_equal(esp.n_given, given);
    answer_all(&esp);
    add_sa(lab, 301);
    const size_t net_given = net.n_given;
    give_sa(lab, 302, &(Lifetime){0}, &second);
    assert_int_equal(dataplane_remove_sa(lab->plane, 302), 0);
    assert_int_equal(net.n_given, net_given);
    assert_int_equal(second.n, 1);
    answer_pair();
}

static void an_interface_that_tred_net_keeps_is_no_interface(void **state)
{
    Lab *lab = *state;
    Told told = {0};
    played.keeps_tun = true;
    played.may_be_given_up = true;
    give_sa(lab, 300, &(Lifetime){0}, &told);
    answer_pair();
    assert_string_equal(played.given_up, "tred-net made an interface and kept it");
    assert_int_equal(told.n, 0);
    dataplane_close(steal_pointer(lab->plane)); /* it tells what `told` is of */
}

static void each_pair_that_goes_is_asked_what_it_alone_has_counted(void **state)
{
    Lab *lab = *state;
    SaCounters sum;
    unsigned counted = 0;
    for (uint32_t spi = 300; spi < 303; spi++)
        add_sa(lab, spi);
    assert_int_equal(dataplane_count(lab->plane, note_counted, &counted), 0);
    answer_all(&esp);
    for (uint32_t spi = 300; spi < 303; spi++)
        assert_int_equal(dataplane_remove_sa(lab->plane, spi), 0);
    played.more = 10;
    while (esp.n_answered < esp.n_given) {
        const Given *next = &esp.given[esp.n_answered];
        const bool fails = next->type == ORDER_SA_COUNTERS && next->id == 301;
        answer(&esp, next->type, next->id, fails ? -ENOENT : 0);
    }
    dataplane_totals(lab->plane, &sum);
    assert_int_equal(sum.packets_in, 300 + 10 + 301 + 302 + 10);
}

static void what_a_pair_lacks_is_told_when_tred_esp_lives(void **state)
{
    Lab *lab = *state;
    const DataPlaneEvent due = {DATAPLANE_SOFT_LIFETIME, 300},
                         over = {DATAPLANE_HARD_LIFETIME, 300},
                         gone = {DATAPLANE_INTERFACE_GONE, 300},
                         other = {DATAPLANE_ROUTE_GONE, 400};
    add_sa(lab, 300);
    net.callbacks.event(&due, net.callbacks.userdata);
    net.callbacks.event(&over, net.callbacks.userdata);
    assert_int_equal(lab->n_events, 2);
    assert_int_equal(esp.n_given, esp.n_answered);
    net.callbacks.event(&gone, net.callbacks.userdata);
    net.callbacks.event(&other, net.callbacks.userdata);
    assert_int_equal(lab->n_events, 2);
    answer(&esp, ORDER_PLANE_COUNTERS, 0, 0);
    assert_int_equal(lab->n_events, 3);
    assert_int_equal(lab->event.type, DATAPLANE_INTERFACE_GONE);
    assert_int_equal(lab->event.spi_in, 300);
    answer(&esp, ORDER_PLANE_COUNTERS, 0, 0);
    assert_int_equal(lab->n_events, 3);
}

static void a_plane_that_is_lost_is_tried_again_ever_later_and_told_when_it_is_open(void **state)
{
    Lab *lab = *state;
    enum { FIRST_US = 100 * 1000, MAX_US = 10 * 1000 * 1000 };
    uint64_t wait = FIRST_US;
    esp.callbacks.lost("gone", esp.callbacks.userdata);
    played.refuses = true;
    for (unsigned i = 0; i < 9; i++) {
        assert_int_equal(timer_us, wait);
        assert_int_equal(n_timers, 1);
        wait = 2 * wait < MAX_US ? 2 * wait : MAX_US;
        assert_int_equal(on_look(NULL, 0, lab->plane), 0);
    }
    assert_int_equal(timer_us, MAX_US);
    played.refuses = false;
    assert_int_equal(on_look(NULL, 0, lab->plane), 0);
    answer(&esp, ORDER_PLANE_COUNTERS, 0, 0); /* the first to be ready */
    assert_int_equal(lab->n_opened, 0);
    answer(&net, ORDER_OPEN, 0, 0);
    assert_int_equal(lab->n_opened, 1);
    assert_int_equal(lab->n_lost, 1);
    esp.callbacks.lost("gone", esp.callbacks.userdata);
    assert_int_equal(timer_us, FIRST_US);
    assert_int_equal(lab->n_lost, 2);
    assert_int_equal(on_look(NULL, 0, lab->plane), 0);
    answer(&net, ORDER_OPEN, 0, 0);
    assert_int_equal(lab->n_opened, 1); /* tred-esp is not ready */
    net.callbacks.lost("gone", net.callbacks.userdata);
    assert_int_equal(lab->n_lost, 2); /* as it was not open */
}

static void an_opening_is_waited_for_and_says_why_it_is_none(void **state)
{
    Lab *lab = *state;
    Reason reason = {0};
    assert_int_equal(lab->n_opened, 0);
    assert_int_equal(dataplane_await(lab->plane, &reason), 0);
    dataplane_close(lab->plane);
    lab->plane = NULL;
    lab->options.mode = DATAPLANE_KERNEL;
    played.refuses = true;
    assert_int_equal(dataplane_open(&lab->options, &lab->plane, &reason), -ENOTCONN);
    assert_null(lab->plane);
    assert_non_null(strstr(reason.text, "tred-net can't be reached at /nowhere"));
    lab->options.mode = DATAPLANE_NONE;
    assert_int_equal(dataplane_open(&lab->options, &lab->plane, &reason), 0);
    assert_non_null(lab->plane);
}

static void a_tred_net_of_ones_own_is_started_for_one_connection(void **state)
{
    Lab *lab = *state;
    const ProtectOrder protect = {.mode = PROTECT_YES};
    lab->options.net_program = "/own/tred-net";
    lab->options.protect = &protect;
    reopen(lab, DATAPLANE_KERNEL);
    assert_non_null(played.started_with);
    assert_string_equal(played.started_with, "--connected");
    played.may_be_given_up = true;
    net.callbacks.lost("gone", net.callbacks.userdata);
    dataplane_unprotect(lab->plane); /* nobody would be there to hear it */
    assert_int_equal(played.n_left, 0);
    lab->options.net_program = NULL;
    lab->options.protect = NULL;
    dataplane_unprotect(lab->plane);
    assert_int_equal(played.n_left, 0);
    lab->options.protect = &protect;
    dataplane_unprotect(lab->plane);
    assert_int_equal(played.n_left, 1);
    assert_int_equal(on_look(NULL, 0, lab->plane), 0);
    dataplane_unprotect(lab->plane);
    assert_int_equal(newest(&net)->type, ORDER_UNPROTECT);
    assert_int_equal(played.n_left, 1);
    lab->options.protect = NULL;
}

static void pairs_of_another_transport_stay_where_they_are(void **state)
{
    Lab *lab = *state;
    _cleanup_(sa_order_freep) SaOrder *sa =
        sa_order_new(IKE_ENCR_AES_GCM_16, 128, IKE_INTEG_NONE, true);
    Told added = {0}, moved = {0};
    add_sa(lab, 300);
    sa->spi_in = 301;
    assert_int_equal(dataplane_add_sa(lab->plane, sa, &lab->second, note, &added), 0);
    answer_pair();
    assert_int_equal(move(lab, &lab->first, &moved), 0);
    answer(&esp, ORDER_MOVE_SA, 300, 0);
    answer(&net, ORDER_MOVE_SA, 300, 0);
    assert_int_equal(moved.n, 1);
    assert_int_equal(esp.n_answered, esp.n_given);
    assert_int_equal(net.n_answered, net.n_given);
    payload_max = -ENETUNREACH;
    assert_int_equal(move(lab, &lab->second, &moved), -ENETUNREACH);
    assert_int_equal(esp.n_answered, esp.n_given);
    assert_int_equal(moved.n, 1);
}

static void our_address_is_what_the_route_says_where_it_is_not_known(void **state)
{
    Lab *lab = *state;
    _cleanup_(sa_order_freep) SaOrder *sa =
        sa_order_new(IKE_ENCR_AES_GCM_16, 128, IKE_INTEG_NONE, true);
    struct sockaddr_in found;
    Told told = {0};
    sa->spi_in = 300;
    sa->remote = loopback(4500);
    sa->local = (struct sockaddr_storage){0};
    assert_int_equal(dataplane_add_sa(lab->plane, sa, &lab->first, note, &told), 0);
    memcpy(&found, &newest(&esp)->path.local, sizeof(found));
    assert_int_equal(found.sin_family, AF_INET);
    assert_int_equal(ntohl(found.sin_addr.s_addr), INADDR_LOOPBACK);
    dataplane_close(steal_pointer(lab->plane)); /* it tells what `told` is of */
}

static void the_path_is_looked_at_by_one_timer_as_long_as_there_are_pairs(void **state)
{
    Lab *lab = *state;
    assert_int_equal(n_timers, 0);
    add_sa(lab, 300);
    played.keeps_tun = true;
    add_sa(lab, 301);
    assert_int_equal(n_timers, 1);
    look(lab);
    assert_int_equal(n_timers, 1);
    assert_int_equal(dataplane_remove_sa(lab->plane, 300), 0);
    assert_int_equal(dataplane_remove_sa(lab->plane, 301), 0);
    look(lab);
    assert_int_equal(n_timers, 0);
}

#define PLANE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

static int group_setup(void **state)
{
    (void)state;
    return secrets_init();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PLANE(tred_esp_is_told_for_which_dscps_a_pair_is),
        PLANE(without_random_numbers_no_pair_is_added),
        PLANE(each_interface_has_its_own_tun_from_its_first_pair_to_its_last),
        PLANE(of_a_second_pair_tred_net_is_told_when_tred_esp_has_it),
        PLANE(a_pair_for_an_interface_that_was_not_named_is_refused),
        PLANE(a_move_that_there_is_no_memory_for_leaves_the_pair_and_no_transport),
        PLANE(the_socket_of_a_pair_in_user_space_shows_what_its_packets_are_marked_with),
        PLANE(a_plane_that_is_waited_for_is_open_then_or_says_why_not),
        PLANE(a_pair_is_used_when_tred_esp_says_so),
        PLANE(a_pair_that_can_not_be_used_is_told_as_one_that_lacks_something),
        PLANE(whoever_waits_is_told_when_the_pair_goes),
        PLANE(whoever_waits_is_told_when_the_plane_is_lost),
        PLANE(the_first_opening_may_take_as_long_as_a_slow_boot_and_no_later_one),
        PLANE(what_opening_takes_has_one_deadline_whoever_is_asked_when),
        PLANE(a_move_is_over_when_both_helpers_have_moved_every_pair),
        PLANE(a_peer_that_moves_leaves_the_transport_as_it_is),
        PLANE(the_first_error_of_a_move_is_told_once),
        PLANE(a_pair_that_is_just_being_added_moves_along),
        PLANE(the_user_plane_moves_to_no_place_without_encapsulation),
        PLANE(the_path_mtu_is_told_of_pairs_that_are_settled_and_of_no_others),
        PLANE(what_is_counted_is_told_when_all_have_answered),
        PLANE(what_a_tred_esp_has_counted_stays_in_the_sum_when_another_follows),
        PLANE(without_a_user_plane_nothing_is_said_of_what_no_sa_counts),
        PLANE(no_two_pairs_are_due_at_the_same_time),
        PLANE(the_kernels_pairs_are_tred_nets_alone),
        PLANE(a_pair_in_udp_wants_a_socket_and_the_user_plane_udp),
        PLANE(where_nothing_carries_traffic_there_is_nothing_to_order),
        PLANE(no_more_pairs_and_transports_are_taken_than_there_is_room_for),
        PLANE(the_last_pair_of_an_interface_closes_its_tun_and_no_other_one),
        PLANE(a_pair_that_goes_while_it_is_added_goes_where_it_has_come),
        PLANE(an_interface_that_tred_net_keeps_is_no_interface),
        PLANE(each_pair_that_goes_is_asked_what_it_alone_has_counted),
        PLANE(what_a_pair_lacks_is_told_when_tred_esp_lives),
        PLANE(a_plane_that_is_lost_is_tried_again_ever_later_and_told_when_it_is_open),
        PLANE(an_opening_is_waited_for_and_says_why_it_is_none),
        PLANE(a_tred_net_of_ones_own_is_started_for_one_connection),
        PLANE(pairs_of_another_transport_stay_where_they_are),
        PLANE(our_address_is_what_the_route_says_where_it_is_not_known),
        PLANE(the_path_is_looked_at_by_one_timer_as_long_as_there_are_pairs),
    };
    return cmocka_run_group_tests(tests, group_setup, NULL);
}
