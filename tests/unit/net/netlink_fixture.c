/* In the place of net/netlink.c. */
#include "netlink_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

struct Netlink {
    PlayedMessage request;
};

static Netlink only;
Netlink *played_netlink = &only;
Played played;

int played_begin(void **state)
{
    (void)state;
    memset(&played, 0, sizeof(played));
    memset(&only, 0, sizeof(only));
    return 0;
}

struct nlmsghdr *netlink_begin(Netlink *netlink, uint16_t type, uint16_t flags, size_t extra_size,
                               void *ret_extra)
{
    struct nlmsghdr *header = mnl_nlmsg_put_header(netlink->request.octets);
    header->nlmsg_type = type;
    header->nlmsg_flags = flags;
    void *extra = mnl_nlmsg_put_extra_header(header, extra_size);
    memcpy(ret_extra, &extra, sizeof(extra));
    return header;
}

/* 0, or what it fails with where its turn has come. */
static int take(const Netlink *netlink)
{
    assert_true(played.n_requests < PLAYED_REQUESTS_MAX);
    played.requests[played.n_requests++] = netlink->request;
    if (played.fails_at == 0 || --played.fails_at > 0)
        return 0;
    return played.fails_with ? -played.fails_with : -PLAYED_ERROR;
}

int netlink_call(Netlink *netlink)
{
    int r = take(netlink);
    if (r == 0 && played.on_call)
        played.on_call((const struct nlmsghdr *)(const void *)netlink->request.octets);
    return r;
}

int netlink_dump(Netlink *netlink, mnl_cb_t callback, void *userdata)
{
    enum { NEW_BEFORE_GET = 2 }; /* NEW, DEL and GET of one thing have numbers in a row */
    const struct nlmsghdr *request = (const struct nlmsghdr *)(const void *)netlink->request.octets;
    int r = take(netlink);
    for (size_t i = 0; i < played.n_answers && r == 0; i++) {
        const struct nlmsghdr *answer =
            (const struct nlmsghdr *)(const void *)played.answers[i].octets;
        if (answer->nlmsg_type + NEW_BEFORE_GET == request->nlmsg_type &&
            callback(answer, userdata) != MNL_CB_OK)
            break;
    }
    return r;
}

const struct nlmsghdr *played_request(size_t number, uint16_t type)
{
    assert_true(number < played.n_requests);
    const struct nlmsghdr *header =
        (const struct nlmsghdr *)(const void *)played.requests[number].octets;
    assert_int_equal(header->nlmsg_type, type);
    return header;
}

struct nlmsghdr *played_answer(uint16_t type, size_t size, void *ret_extra)
{
    assert_true(played.n_answers < PLAYED_ANSWERS_MAX);
    struct nlmsghdr *header = mnl_nlmsg_put_header(played.answers[played.n_answers++].octets);
    header->nlmsg_type = type;
    void *extra = mnl_nlmsg_put_extra_header(header, size);
    memcpy(ret_extra, &extra, sizeof(extra));
    return header;
}

typedef struct AttributeSearch {
    uint16_t type;
    const struct nlattr *found;
} AttributeSearch;

static int look(const struct nlattr *attribute, void *userdata)
{
    AttributeSearch *search = userdata;
    if (mnl_attr_get_type(attribute) == search->type)
        search->found = attribute;
    return MNL_CB_OK;
}

const void *played_attribute(const struct nlmsghdr *header, size_t head, uint16_t type, size_t size)
{
    AttributeSearch search = {.type = type};
    assert_int_equal(mnl_attr_parse(header, (unsigned)head, look, &search), MNL_CB_OK);
    if (!search.found)
        return NULL;
    assert_int_equal(mnl_attr_get_payload_len(search.found), size);
    return mnl_attr_get_payload(search.found);
}
