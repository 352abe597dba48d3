/* The kernel's ESP as tred-net drives it: what expires, what somebody else takes away, what is left
 * after a failure. The kernel is played: states and policies in lists, and messages that the test
 * makes it send. */
#include "net/plane.h"

#include "net/netlink.h"
#include "net/xfrm.h"

#include <errno.h>
#include <linux/rtnetlink.h>
#include <linux/udp.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

enum { STATES_MAX = 64, POLICIES_MAX = 64, MESSAGES_MAX = 8, ALLOWED_ALL = 1000 };

/* The kernel that is played. */
static struct {
    size_t n_states;
    uint8_t state_flags;         /* of the newest */
    uint32_t states[STATES_MAX]; /* SPIs */
    size_t n_policies;
    struct xfrm_userpolicy_info policies[POLICIES_MAX];
    unsigned allowed; /* states that it takes yet, before it fails */
    size_t n_messages;
    struct {
        _Alignas(struct nlmsghdr) uint8_t octets[512];
    } messages[MESSAGES_MAX];
    bool lost;
    int network_error;
    size_t n_networks; /* SA pairs that the network was set up for */
    bool attached;
} kernel;

struct Netlink {
    int family; /* message types are numbered anew in each */
    _Alignas(max_align_t) uint8_t request[NETLINK_MESSAGE_MAX]; /* XFRM has 64-bit fields */
};

struct NetlinkWatch {
    int unused;
};

int netlink_new(int family, Netlink **ret)
{
    *ret = calloc(1, sizeof(**ret));
    if (!*ret)
        return -ENOMEM;
    (*ret)->family = family;
    return 0;
}

void netlink_free(Netlink *netlink)
{
    free(netlink);
}

struct nlmsghdr *netlink_begin(Netlink *netlink, uint16_t type, uint16_t flags, size_t extra_size,
                               void *ret_extra)
{
    struct nlmsghdr *header = mnl_nlmsg_put_header(netlink->request);
    header->nlmsg_type = type;
    header->nlmsg_flags = flags;
    void *extra = mnl_nlmsg_put_extra_header(header, extra_size);
    memcpy(ret_extra, &extra, sizeof(extra));
    return header;
}

static size_t state_index(uint32_t spi)
{
    size_t i = 0;
    while (i < kernel.n_states && kernel.states[i] != spi)
        i++;
    return i;
}

static int state_add(uint32_t spi)
{
    if (state_index(spi) < kernel.n_states)
        return -EEXIST;
    if (kernel.allowed == 0)
        return -ENOBUFS;
    kernel.allowed--;
    kernel.states[kernel.n_states++] = spi;
    return 0;
}

static int state_remove(uint32_t spi)
{
    size_t i = state_index(spi);
    if (i == kernel.n_states)
        return -ESRCH;
    kernel.states[i] = kernel.states[--kernel.n_states];
    return 0;
}

static bool same_selector(const struct xfrm_selector *a, const struct xfrm_selector *b)
{
    return memcmp(a, b, sizeof(*a)) == 0;
}

static int policy_remove(const struct xfrm_userpolicy_id *id)
{
    for (size_t i = 0; i < kernel.n_policies; i++) {
        if (kernel.policies[i].dir != id->dir || !same_selector(&kernel.policies[i].sel, &id->sel))
            continue;
        kernel.policies[i] = kernel.policies[--kernel.n_policies];
        return 0;
    }
    return -ENOENT;
}

int netlink_call(Netlink *netlink)
{
    struct nlmsghdr *header = (struct nlmsghdr *)netlink->request;
    const void *payload = mnl_nlmsg_get_payload(header);
    if (netlink->family != NETLINK_XFRM)
        return 0; /* links */
    switch (header->nlmsg_type) {
    case XFRM_MSG_NEWSA:
        kernel.state_flags = ((const struct xfrm_usersa_info *)payload)->flags;
        return state_add(ntohl(((const struct xfrm_usersa_info *)payload)->id.spi));
    case XFRM_MSG_DELSA:
        return state_remove(ntohl(((const struct xfrm_usersa_id *)payload)->spi));
    case XFRM_MSG_UPDPOLICY:
        assert_true(kernel.n_policies < POLICIES_MAX);
        memcpy(&kernel.policies[kernel.n_policies++], payload, sizeof(kernel.policies[0]));
        return 0;
    case XFRM_MSG_DELPOLICY:
        return policy_remove(payload);
    default:
        return -EOPNOTSUPP;
    }
}

static void tell_policies(mnl_cb_t callback, void *userdata)
{
    for (size_t i = 0; i < kernel.n_policies; i++) {
        _Alignas(struct nlmsghdr) uint8_t buffer[512];
        struct nlmsghdr *header = mnl_nlmsg_put_header(buffer);
        memcpy(mnl_nlmsg_put_extra_header(header, sizeof(kernel.policies[i])), &kernel.policies[i],
               sizeof(kernel.policies[i]));
        mnl_attr_put_u32(header, XFRMA_IF_ID, XFRM_IF_ID);
        (void)callback(header, userdata);
    }
}

int netlink_dump(Netlink *netlink, mnl_cb_t callback, void *userdata)
{
    struct nlmsghdr *header = (struct nlmsghdr *)netlink->request;
    if (header->nlmsg_type == XFRM_MSG_GETPOLICY)
        tell_policies(callback, userdata);
    if (header->nlmsg_type != XFRM_MSG_GETSA || header->nlmsg_flags & NLM_F_DUMP)
        return 0;
    const struct xfrm_usersa_id *id = mnl_nlmsg_get_payload(header);
    if (state_index(ntohl(id->spi)) == kernel.n_states)
        return -ESRCH;
    _Alignas(struct nlmsghdr) uint8_t buffer[512];
    struct nlmsghdr *state = mnl_nlmsg_put_header(buffer);
    (void)mnl_nlmsg_put_extra_header(state, sizeof(struct xfrm_usersa_info));
    (void)callback(state, userdata);
    return 0;
}

int netlink_watch_new(int family, const int *groups, size_t n_groups, NetlinkWatch **ret)
{
    (void)family, (void)groups, (void)n_groups;
    *ret = calloc(1, sizeof(**ret));
    return *ret ? 0 : -ENOMEM;
}

void netlink_watch_free(NetlinkWatch *watch)
{
    free(watch);
}

int netlink_watch_fd(const NetlinkWatch *watch)
{
    (void)watch;
    return -1;
}

bool netlink_watch_read(NetlinkWatch *watch, mnl_cb_t callback, void *userdata)
{
    (void)watch;
    bool lost = kernel.lost;
    for (size_t i = 0; i < kernel.n_messages; i++)
        (void)callback((const struct nlmsghdr *)kernel.messages[i].octets, userdata);
    kernel.n_messages = 0;
    kernel.lost = false;
    return lost;
}

/* The rest of the network has tests of its own. */

int network_new(Network **ret)
{
    *ret = NULL;
    return 0;
}

void network_free(Network *network)
{
    (void)network;
}

int network_clear(Network *network, const char *name)
{
    (void)network, (void)name;
    return 0;
}

int network_attach(Network *network, const char *name)
{
    (void)network, (void)name;
    kernel.attached = true;
    return 0;
}

int network_add_sa(Network *network, const SaOrder *order, Reason *reason)
{
    (void)network, (void)order, (void)reason;
    if (kernel.network_error == 0)
        kernel.n_networks++;
    return kernel.network_error;
}

void network_remove_sa(Network *network, uint32_t spi_in)
{
    (void)network, (void)spi_in;
    if (kernel.network_error == 0)
        kernel.n_networks--;
}

void network_detach(Network *network)
{
    (void)network;
    kernel.attached = false;
}

int network_watched(const Network *network)
{
    (void)network;
    return -1;
}

bool network_has_changed(Network *network)
{
    (void)network;
    return false;
}

void network_look(Network *network, NetworkGone gone, void *userdata)
{
    (void)network, (void)gone, (void)userdata;
}

/* What the kernel says unasked. */
static void *message(uint16_t type, size_t size)
{
    assert_true(kernel.n_messages < MESSAGES_MAX);
    struct nlmsghdr *header = mnl_nlmsg_put_header(kernel.messages[kernel.n_messages++].octets);
    header->nlmsg_type = type;
    return mnl_nlmsg_put_extra_header(header, size);
}

static void expire(uint32_t spi, bool hard)
{
    struct xfrm_user_expire *expiry = message(XFRM_MSG_EXPIRE, sizeof(*expiry));
    expiry->state.id.spi = htonl(spi);
    expiry->hard = hard;
    if (hard)
        assert_int_equal(state_remove(spi), 0);
}

static struct sockaddr_storage address(uint8_t last)
{
    struct sockaddr_in ipv4 = {.sin_family = AF_INET, .sin_port = htons(4500)};
    struct sockaddr_storage storage = {0};
    ipv4.sin_addr.s_addr = htonl(0xc0000200U + last);
    memcpy(&storage, &ipv4, sizeof(ipv4));
    return storage;
}

static int add_of_family(NetPlane *plane, uint32_t spi_in, uint32_t spi_out, uint8_t ts_type)
{
    SaOrder sa = {
        .spi_in = spi_in,
        .spi_out = spi_out,
        .local = address(2),
        .remote = address(1),
        .mtu = 1400,
        .ts_local = {.n_selectors = 1, .selectors = {{.type = ts_type, .end_port = UINT16_MAX}}},
    };
    Answer answer;
    int tun = -1;
    sa.ts_remote = sa.ts_local;
    sa.ts_remote.selectors[0].start[0] = sa.ts_remote.selectors[0].end[0] = 10;
    assert_int_equal(esp_suite_from_ids(IKE_ENCR_AES_GCM_16, 128, IKE_INTEG_NONE, IKE_GROUP_NONE,
                                        true, &sa.suite),
                     0);
    assert_int_equal(secret_new(20, &sa.encr_in), 0);
    assert_int_equal(secret_new(20, &sa.encr_out), 0);
    net_plane_carry_out(plane, &(Order){.type = ORDER_ADD_SA, .sa = &sa}, -1, &answer, &tun);
    assert_int_equal(tun, -1);
    secret_free(sa.encr_in);
    secret_free(sa.encr_out);
    return answer.error;
}

static int add(NetPlane *plane, uint32_t spi_in, uint32_t spi_out)
{
    return add_of_family(plane, spi_in, spi_out, IKE_TS_IPV4_ADDR_RANGE);
}

static int drop(NetPlane *plane, uint32_t spi_in)
{
    Answer answer;
    int tun = -1;
    net_plane_carry_out(plane, &(Order){.type = ORDER_REMOVE_SA, .id = spi_in}, -1, &answer, &tun);
    return answer.error;
}

/* Has the plane read what the kernel says, and expects just this event of the SA (or none: spi 0).
 */
static void hear(NetPlane *plane, uint32_t spi, DataPlaneEventType type)
{
    struct pollfd polled[NET_PLANE_POLL_MAX];
    DataPlaneEvent event;
    size_t n = net_plane_poll(plane, polled);
    polled[0].revents = 0;
    polled[1].revents = POLLIN;
    net_plane_watch(plane, polled, n);
    if (spi != 0) {
        assert_true(net_plane_event(plane, &event));
        assert_int_equal(event.spi_in, spi);
        assert_int_equal(event.type, type);
    }
    assert_false(net_plane_event(plane, &event));
}

static int setup(void **state)
{
    NetPlane *plane = NULL;
    Reason reason = {0};
    memset(&kernel, 0, sizeof(kernel));
    kernel.allowed = ALLOWED_ALL;
    assert_int_equal(net_plane_open(DATAPLANE_AUTO, "segw0", &plane, &reason), 0);
    assert_int_equal(plane->backend->mode, DATAPLANE_KERNEL);
    *state = plane;
    return 0;
}

static int teardown(void **state)
{
    net_plane_close(*state);
    assert_int_equal(kernel.n_states, 0);
    assert_int_equal(kernel.n_policies, 0);
    assert_int_equal(kernel.n_networks, 0);
    assert_false(kernel.attached);
    return 0;
}

static void an_sa_pair_is_two_states_and_three_policies_and_goes_without_a_trace(void **state)
{
    assert_int_equal(add(*state, 300, 400), 0);
    assert_int_equal(kernel.n_states, 2);
    assert_int_equal(kernel.n_policies, 3);
    assert_true(kernel.attached);
    hear(*state, 0, 0);
    assert_int_equal(drop(*state, 300), 0);
    assert_int_equal(kernel.n_states, 0);
    assert_int_equal(kernel.n_policies, 0);
    assert_false(kernel.attached);
    hear(*state, 0, 0);
}

static void a_state_that_the_kernel_refuses_leaves_nothing_of_its_pair(void **state)
{
    kernel.allowed = 1;
    assert_int_equal(add(*state, 300, 400), -ENOBUFS);
    assert_int_equal(kernel.n_states, 0);
    assert_int_equal(drop(*state, 300), -ENOENT);
}

static void a_network_that_is_refused_leaves_nothing_of_its_pair(void **state)
{
    kernel.network_error = -EEXIST;
    assert_int_equal(add(*state, 300, 400), -EEXIST);
    assert_int_equal(kernel.n_states, 0);
    assert_int_equal(kernel.n_policies, 0);
    kernel.network_error = 0;
}

static void a_flush_of_states_by_somebody_else_is_told_of_each_sa_once(void **state)
{
    assert_int_equal(add(*state, 300, 400), 0);
    kernel.n_states = 0;
    (void)message(XFRM_MSG_FLUSHSA, sizeof(struct xfrm_usersa_flush));
    hear(*state, 300, DATAPLANE_STATE_GONE);
    (void)message(XFRM_MSG_FLUSHSA, sizeof(struct xfrm_usersa_flush));
    hear(*state, 0, 0);
}

static void one_state_that_somebody_else_deletes_is_told_of_its_own_sa_alone(void **state)
{
    assert_int_equal(add(*state, 300, 400), 0);
    assert_int_equal(add(*state, 301, 401), 0);
    assert_int_equal(state_remove(401), 0);
    (void)message(XFRM_MSG_DELSA, sizeof(struct xfrm_usersa_id));
    hear(*state, 301, DATAPLANE_STATE_GONE);
}

static void a_flush_of_policies_by_somebody_else_is_told(void **state)
{
    assert_int_equal(add(*state, 300, 400), 0);
    kernel.n_policies = 0;
    (void)message(XFRM_MSG_FLUSHPOLICY, 0);
    hear(*state, 300, DATAPLANE_POLICY_GONE);
}

/* The kernel says nothing of it, but that there was more to say. */
static void what_a_lost_message_would_have_told_is_found_by_looking(void **state)
{
    assert_int_equal(add(*state, 300, 400), 0);
    kernel.n_states = 0;
    kernel.lost = true;
    hear(*state, 300, DATAPLANE_STATE_GONE);
}

static void an_sa_that_expires_is_told_as_such_and_not_as_taken_away(void **state)
{
    assert_int_equal(add(*state, 300, 400), 0);
    expire(400, false);
    hear(*state, 300, DATAPLANE_SOFT_LIFETIME);
    expire(300, false);
    hear(*state, 0, 0); /* each of a pair's states has its own lifetime; it is said once */
    expire(400, true);
    (void)message(XFRM_MSG_DELSA, sizeof(struct xfrm_usersa_id));
    hear(*state, 300, DATAPLANE_HARD_LIFETIME);
}

static void what_others_delete_of_their_own_is_no_event(void **state)
{
    assert_int_equal(add(*state, 300, 400), 0);
    (void)message(XFRM_MSG_DELSA, sizeof(struct xfrm_usersa_id));
    (void)message(XFRM_MSG_DELPOLICY, sizeof(struct xfrm_userpolicy_id));
    hear(*state, 0, 0);
}

static void without_keys_nothing_is_installed(void **state)
{
    SaOrder sa = {.spi_in = 300, .local = address(2), .remote = address(1)};
    Answer answer;
    int tun = -1;
    net_plane_carry_out(*state, &(Order){.type = ORDER_ADD_SA, .sa = &sa}, -1, &answer, &tun);
    assert_int_equal(answer.error, -EINVAL);
    assert_int_equal(kernel.n_states, 0);
}

static void keys_are_refused_where_the_kernel_is_not_to_have_them(void **state)
{
    NetPlane *plane = *state;
    const NetBackend *backend = plane->backend;
    NetBackend user = *backend;
    user.mode = DATAPLANE_USER;
    plane->backend = &user;
    assert_int_equal(add(plane, 300, 400), -EINVAL);
    plane->backend = backend;
    assert_int_equal(kernel.n_states, 0);
}

static void an_spi_is_in_use_once(void **state)
{
    assert_int_equal(add(*state, 300, 400), 0);
    assert_int_equal(add(*state, 300, 401), -EEXIST);
    assert_int_equal(kernel.n_states, 2);
}

static void no_more_sas_are_taken_than_there_is_room_for(void **state)
{
    for (uint32_t i = 0; i < DATAPLANE_SAS_MAX; i++)
        assert_int_equal(add(*state, 300 + i, 400 + i), 0);
    assert_int_equal(add(*state, 350, 450), -ENOSPC);
}

/* RFC 2473 7.1 */
static void esp_packets_may_be_cut_up_on_the_way_where_ipv6_is_inside(void **state)
{
    assert_int_equal(add_of_family(*state, 300, 400, IKE_TS_IPV6_ADDR_RANGE), 0);
    assert_true(kernel.state_flags & XFRM_STATE_NOPMTUDISC);
    assert_int_equal(add_of_family(*state, 301, 401, IKE_TS_IPV4_ADDR_RANGE), 0);
    assert_false(kernel.state_flags & XFRM_STATE_NOPMTUDISC);
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
        PLANE(an_sa_pair_is_two_states_and_three_policies_and_goes_without_a_trace),
        PLANE(a_state_that_the_kernel_refuses_leaves_nothing_of_its_pair),
        PLANE(a_network_that_is_refused_leaves_nothing_of_its_pair),
        PLANE(a_flush_of_states_by_somebody_else_is_told_of_each_sa_once),
        PLANE(one_state_that_somebody_else_deletes_is_told_of_its_own_sa_alone),
        PLANE(a_flush_of_policies_by_somebody_else_is_told),
        PLANE(what_a_lost_message_would_have_told_is_found_by_looking),
        PLANE(an_sa_that_expires_is_told_as_such_and_not_as_taken_away),
        PLANE(what_others_delete_of_their_own_is_no_event),
        PLANE(without_keys_nothing_is_installed),
        PLANE(keys_are_refused_where_the_kernel_is_not_to_have_them),
        PLANE(an_spi_is_in_use_once),
        PLANE(no_more_sas_are_taken_than_there_is_room_for),
        PLANE(esp_packets_may_be_cut_up_on_the_way_where_ipv6_is_inside),
    };
    return cmocka_run_group_tests(tests, group_setup, NULL);
}
