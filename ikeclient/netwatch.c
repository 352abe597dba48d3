/* A netlink socket that is told of changes, and reads none of them. */
#include "ikeclient/netwatch.h"

#include <errno.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>

enum {
    SETTLE_USEC = 200000, /* an address that changes goes and comes, and its routes after it */
    ACCURACY_USEC = 10000,
    MESSAGE_MAX = 8192,
};

struct Netwatch {
    sd_event *event;
    sd_event_source *source;
    sd_event_source *timer;
    NetwatchHandler handler;
    void *userdata;
    int fd;
};

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
    Netwatch *watch = userdata;
    (void)source, (void)usec;

    watch->timer = sd_event_source_disable_unref(watch->timer);
    watch->handler(watch->userdata);
    return 0;
}

/* ENOBUFS is as good as any message. */
static int on_change(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
    static char message[MESSAGE_MAX];
    Netwatch *watch = userdata;
    ssize_t size;
    (void)source, (void)events;

    do {
        size = recv(fd, message, sizeof(message), MSG_DONTWAIT);
    } while (size >= 0 || errno == ENOBUFS || errno == EINTR);
    if (watch->timer)
        return 0;
    return sd_event_add_time_relative(watch->event, &watch->timer, CLOCK_MONOTONIC, SETTLE_USEC,
                                      ACCURACY_USEC, on_timer, watch);
}

int netwatch_new(sd_event *event, NetwatchHandler handler, void *userdata, Netwatch **ret)
{
    const struct sockaddr_nl name = {.nl_family = AF_NETLINK,
                                     .nl_groups = RTMGRP_LINK | RTMGRP_IPV4_IFADDR |
                                                  RTMGRP_IPV6_IFADDR | RTMGRP_IPV4_ROUTE |
                                                  RTMGRP_IPV6_ROUTE};
    _cleanup_(netwatch_freep) Netwatch *watch = calloc(1, sizeof(*watch));

    if (!watch)
        return -ENOMEM;
    watch->event = event;
    watch->handler = handler;
    watch->userdata = userdata;
    watch->fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);
    if (watch->fd < 0 || bind(watch->fd, (const struct sockaddr *)&name, sizeof(name)) < 0)
        return -errno;
    int r = sd_event_add_io(event, &watch->source, watch->fd, EPOLLIN, on_change, watch);
    if (r < 0)
        return r;
    *ret = steal_pointer(watch);
    return 0;
}

void netwatch_free(Netwatch *watch)
{
    sd_event_source_disable_unref(watch->source);
    sd_event_source_disable_unref(watch->timer);
    if (watch->fd >= 0)
        close_fdp(&watch->fd);
    free(watch);
}
