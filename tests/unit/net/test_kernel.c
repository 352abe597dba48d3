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
#include <sys/eventfd.h>
#include <time.h>

#include <cmocka.h>

#include "tests/unit/wipe_watch.h"

enum {
    STATES_MAX = 64,
    POLICIES_MAX = 800,
    MESSAGES_MAX = 8,
    ORDERS_MAX = 8,
    WINDOW_PACKETS = 1024,
    ALLOWED_ALL = 1000
};

typedef struct State {
    uint32_t spi;
    bool tells; /* of each packet that it lets in */
    struct xfrm_lifetime_cur counts;
    union {
        struct nlmsghdr header; /* the message that made it; its replay state goes on */
        uint8_t octets[4096];
    };
} State;

/* The kernel that is played. */
static struct {
    size_t n_states;
    uint8_t state_flags; /* of the newest */
    State states[STATES_MAX];
    uint64_t
        used[STATES_MAX]; /* the last number that an outbound SPI, 400 and above, was used with */
    bool used_twice;
    bool redacts; /* locked down for confidentiality */
    size_t n_policies;
    struct xfrm_userpolicy_info policies[POLICIES_MAX];
    uint32_t policy_spis[POLICIES_MAX]; /* that their templates name */
    uint32_t policy_if_ids[POLICIES_MAX];
    struct xfrm_user_tmpl templates[POLICIES_MAX];
    int counts_error;
    int look_error;        /* where a state is looked at */
    size_t shown_size;     /* how long it is told, if it is not 0 */
    unsigned late;         /* packets that have chosen SPI 400 before its policy went */
    bool held_back;        /* no packet goes out */
    unsigned policy_error; /* at which change of one from now on, once; 1: the next */
    bool gap;              /* a packet that went out met no state, or two */
    size_t n_orders;       /* the last messages that make a state or a policy, whole */
    struct {
        _Alignas(max_align_t) uint8_t octets[4096];
    } orders[ORDERS_MAX];
    unsigned allowed; /* states that it takes yet, before it fails */
    int add_error;    /* of each state that it is to take; 0: none */
    size_t n_messages;
    struct {
        _Alignas(struct nlmsghdr) uint8_t octets[512];
    } messages[MESSAGES_MAX];
    bool lost;
    int network_error, open_error;
    int attach_errors[DATAPLANE_INTERFACES_MAX];
    int link_error;        /* as an interface is to be made */
    bool no_locked_memory; /* for keys */
    bool no_memory;
    unsigned network_mtu;
    size_t n_networks;
    uint32_t networks[STATES_MAX];     /* SPIs of the SA pairs that a network was set up for */
    const Network *of_spi[STATES_MAX]; /* and that network */
    size_t n_opened;
    bool attached[DATAPLANE_INTERFACES_MAX];
    unsigned attached_mtu;
    bool hides_marks; /* no DSCP and no ECN outside */
    bool listened_to; /* what states tell of packets */
    bool tells_nothing;
    int tun_error;  /* as /dev/net/tun is opened */
    size_t changed; /* the place of the network that has, and one more */
    unsigned n_looks[DATAPLANE_INTERFACES_MAX];
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

/* What the kernel says unasked. */
static void *message(uint16_t type, size_t size)
{
    assert_true(kernel.n_messages < MESSAGES_MAX);
    struct nlmsghdr *header = mnl_nlmsg_put_header(kernel.messages[kernel.n_messages++].octets);
    header->nlmsg_type = type;
    return mnl_nlmsg_put_extra_header(header, size);
}

typedef struct AttributeSearch {
    uint16_t type;
    const struct nlattr *found;
} AttributeSearch;

static int attribute_look(const struct nlattr *attribute, void *userdata)
{
    AttributeSearch *search = userdata;
    if (mnl_attr_get_type(attribute) == search->type)
        search->found = attribute;
    return MNL_CB_OK;
}

static bool has_attribute(const struct nlmsghdr *header, size_t head, uint16_t type)
{
    AttributeSearch search = {.type = type};
    (void)mnl_attr_parse(header, (unsigned)head, attribute_look, &search);
    return search.found != NULL;
}

/* The payload of an attribute of a message that the kernel was sent; the test fails if it has none,
 * or one of another size. */
static const void *attribute_of(const struct nlmsghdr *header, size_t head, uint16_t type,
                                size_t size)
{
    AttributeSearch search = {.type = type};
    assert_int_equal(mnl_attr_parse(header, (unsigned)head, attribute_look, &search), MNL_CB_OK);
    assert_non_null(search.found);
    assert_int_equal(mnl_attr_get_payload_len(search.found), size);
    return mnl_attr_get_payload(search.found);
}

static size_t state_index(uint32_t spi)
{
    size_t i = 0;
    while (i < kernel.n_states && kernel.states[i].spi != spi)
        i++;
    return i;
}

static int state_add(const struct nlmsghdr *header)
{
    const struct xfrm_usersa_info *info = mnl_nlmsg_get_payload(header);
    const uint32_t spi = ntohl(info->id.spi);
    if (state_index(spi) < kernel.n_states)
        return -EEXIST;
    if (kernel.add_error < 0)
        return kernel.add_error;
    if (kernel.allowed == 0)
        return -ENOBUFS;
    kernel.allowed--;
    State *state = &kernel.states[kernel.n_states++];
    *state = (State){.spi = spi};
    for (uint16_t type = XFRMA_REPLAY_THRESH; type <= XFRMA_ETIMER_THRESH; type++) {
        const void *threshold = attribute_of(header, sizeof(*info), type, sizeof(uint32_t));
        assert_memory_equal(threshold, &(uint32_t){0}, sizeof(uint32_t));
    }
    assert_true(header->nlmsg_len <= sizeof(state->octets));
    memcpy(state->octets, header, header->nlmsg_len);
    return 0;
}

/* A state is known by its destination, too. */
static bool is_there(const struct xfrm_usersa_id *id)
{
    const size_t i = state_index(ntohl(id->spi));
    if (i == kernel.n_states)
        return false;
    const struct xfrm_usersa_info *info = mnl_nlmsg_get_payload(&kernel.states[i].header);
    return memcmp(&info->id.daddr, &id->daddr, sizeof(id->daddr)) == 0;
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

static struct xfrm_replay_state_esn *replay_of(State *state)
{
    const struct xfrm_replay_state_esn *replay =
        attribute_of(&state->header, sizeof(struct xfrm_usersa_info), XFRMA_REPLAY_ESN_VAL,
                     sizeof(*replay) + WINDOW_PACKETS / 8);
    return (struct xfrm_replay_state_esn *)(uintptr_t)replay;
}

/* What its counts are, or whether it tells of packets; whoever listens is told of the change. */
static int state_change(const struct nlmsghdr *header)
{
    struct xfrm_aevent_id id;
    memcpy(&id, mnl_nlmsg_get_payload(header), sizeof(id));
    const size_t i = state_index(ntohl(id.sa_id.spi));
    if (i == kernel.n_states)
        return -ESRCH;
    assert_true(header->nlmsg_flags & NLM_F_REPLACE);
    if (has_attribute(header, sizeof(id), XFRMA_REPLAY_THRESH)) {
        if (kernel.tells_nothing)
            return -EINVAL;
        memcpy(&kernel.states[i].tells,
               attribute_of(header, sizeof(id), XFRMA_REPLAY_THRESH, sizeof(uint32_t)), 1);
    } else {
        if (kernel.counts_error)
            return kernel.counts_error;
        memcpy(&kernel.states[i].counts,
               attribute_of(header, sizeof(id), XFRMA_LTIME_VAL, sizeof(kernel.states[i].counts)),
               sizeof(kernel.states[i].counts));
    }
    id.flags = XFRM_AE_CU;
    if (kernel.listened_to)
        memcpy(message(XFRM_MSG_NEWAE, sizeof(id)), &id, sizeof(id));
    return 0;
}

static State *state_of(uint32_t spi)
{
    const size_t i = state_index(spi);
    assert_true(i < kernel.n_states);
    return &kernel.states[i];
}

/* Somebody sends by a state: its next number must be a new one. */
static void send_by(uint32_t spi)
{
    enum { SPI_OUT = 400 };
    State *state = state_of(spi);
    struct xfrm_replay_state_esn *replay = replay_of(state);
    const uint64_t next = ((uint64_t)replay->oseq_hi << 32 | replay->oseq) + 1;
    replay->oseq = (uint32_t)next;
    replay->oseq_hi = (uint32_t)(next >> 32);
    state->counts.packets++;
    assert_in_range(spi, SPI_OUT, SPI_OUT + STATES_MAX - 1);
    kernel.used_twice = kernel.used_twice || next <= kernel.used[spi - SPI_OUT];
    kernel.used[spi - SPI_OUT] = next;
}

static void send_late(uint32_t spi)
{
    for (; spi == 400 && kernel.late > 0; kernel.late--)
        send_by(spi);
}

static size_t policy_index(uint8_t direction, uint32_t if_id, const struct xfrm_selector *selector)
{
    size_t i = 0;
    while (i < kernel.n_policies &&
           (kernel.policies[i].dir != direction || kernel.policy_if_ids[i] != if_id ||
            !same_selector(&kernel.policies[i].sel, selector)))
        i++;
    return i;
}

static int policy_set(const struct nlmsghdr *header)
{
    const struct xfrm_userpolicy_info *info = mnl_nlmsg_get_payload(header);
    const struct xfrm_user_tmpl *template =
        attribute_of(header, sizeof(*info), XFRMA_TMPL, sizeof(*template));
    if (kernel.policy_error > 0 && --kernel.policy_error == 0)
        return -ENOMEM;
    const uint32_t if_id =
        *(const uint32_t *)attribute_of(header, sizeof(*info), XFRMA_IF_ID, sizeof(if_id));
    const size_t i = policy_index(info->dir, if_id, &info->sel);
    assert_true(i < POLICIES_MAX);
    kernel.policies[i] = *info;
    kernel.policy_if_ids[i] = if_id;
    kernel.policy_spis[i] = ntohl(template->id.spi);
    kernel.templates[i] = *template;
    kernel.n_policies += i == kernel.n_policies;
    return 0;
}

static int policy_remove(const struct nlmsghdr *header)
{
    const struct xfrm_userpolicy_id *id = mnl_nlmsg_get_payload(header);
    const uint32_t if_id =
        *(const uint32_t *)attribute_of(header, sizeof(*id), XFRMA_IF_ID, sizeof(if_id));
    const size_t i = policy_index(id->dir, if_id, &id->sel);
    if (i == kernel.n_policies)
        return -ENOENT;
    kernel.n_policies--;
    kernel.policies[i] = kernel.policies[kernel.n_policies];
    kernel.policy_spis[i] = kernel.policy_spis[kernel.n_policies];
    kernel.policy_if_ids[i] = kernel.policy_if_ids[kernel.n_policies];
    kernel.templates[i] = kernel.templates[kernel.n_policies];
    return 0;
}

/* What goes out by a policy must meet its state at any time, and some always does. */
static void look_for_gap(void)
{
    for (size_t i = 0; i < kernel.n_policies; i++) {
        const uint32_t spi = kernel.policy_spis[i];
        const bool out = kernel.policies[i].dir == XFRM_POLICY_OUT;
        if (out ? state_index(spi) == kernel.n_states : spi != 0) {
            kernel.gap = true;
        } else if (out && !kernel.held_back) {
            send_by(spi);
        }
    }
}

static void order_keep(const struct nlmsghdr *header)
{
    assert_true(header->nlmsg_len <= sizeof(kernel.orders[0].octets));
    memcpy(kernel.orders[kernel.n_orders++ % ORDERS_MAX].octets, header, header->nlmsg_len);
}

static int carry_out(const struct nlmsghdr *header);

int netlink_call(Netlink *netlink)
{
    if (netlink->family != NETLINK_XFRM)
        return kernel.link_error;
    const struct nlmsghdr *request = (const struct nlmsghdr *)netlink->request;
    if (request->nlmsg_type == XFRM_MSG_DELSA)
        send_late(ntohl(((const struct xfrm_usersa_id *)mnl_nlmsg_get_payload(request))->spi));
    const int r = carry_out(request);
    look_for_gap();
    return r;
}

static int carry_out(const struct nlmsghdr *header)
{
    const void *payload = mnl_nlmsg_get_payload(header);
    if (header->nlmsg_type == XFRM_MSG_NEWSA || header->nlmsg_type == XFRM_MSG_UPDPOLICY)
        order_keep(header);
    switch (header->nlmsg_type) {
    case XFRM_MSG_NEWSA:
        kernel.state_flags = ((const struct xfrm_usersa_info *)payload)->flags;
        return state_add(header);
    case XFRM_MSG_NEWAE:
        return state_change(header);
    case XFRM_MSG_DELSA:
        return is_there(payload)
                   ? state_remove(ntohl(((const struct xfrm_usersa_id *)payload)->spi))
                   : -ESRCH;
    case XFRM_MSG_UPDPOLICY:
        return policy_set(header);
    case XFRM_MSG_DELPOLICY:
        return policy_remove(header);
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
        mnl_attr_put_u32(header, XFRMA_IF_ID, kernel.policy_if_ids[i]);
        (void)callback(header, userdata);
    }
}

static void tell_states(mnl_cb_t callback, void *userdata)
{
    for (size_t i = 0; i < kernel.n_states; i++)
        (void)callback(&kernel.states[i].header, userdata);
}

int netlink_dump(Netlink *netlink, mnl_cb_t callback, void *userdata)
{
    struct nlmsghdr *header = (struct nlmsghdr *)netlink->request;
    const bool of_all = header->nlmsg_flags & NLM_F_DUMP;
    if (header->nlmsg_type == XFRM_MSG_GETPOLICY)
        tell_policies(callback, userdata);
    if (header->nlmsg_type == XFRM_MSG_GETSA && of_all)
        tell_states(callback, userdata);
    if (header->nlmsg_type != XFRM_MSG_GETSA || of_all)
        return 0;
    const struct xfrm_usersa_id *id = mnl_nlmsg_get_payload(header);
    if (kernel.look_error)
        return kernel.look_error;
    if (!is_there(id))
        return -ESRCH;
    State *state = state_of(ntohl(id->spi));
    State shown = *state;
    ((struct xfrm_usersa_info *)mnl_nlmsg_get_payload(&shown.header))->curlft = state->counts;
    mnl_attr_put_u64(&shown.header, XFRMA_LASTUSED, 1);
    if (kernel.shown_size > 0) {
        const uint8_t zeros[4096] = {0};
        const size_t size = kernel.shown_size - shown.header.nlmsg_len - sizeof(struct nlattr);
        mnl_attr_put(&shown.header, XFRMA_PAD, size, zeros);
        assert_int_equal(shown.header.nlmsg_len, kernel.shown_size);
    }
    if (kernel.redacts) {
        const struct xfrm_algo_aead *aead = attribute_of(
            &shown.header, sizeof(struct xfrm_usersa_info), XFRMA_ALG_AEAD, sizeof(*aead) + 20);
        memset((void *)(uintptr_t)aead->alg_key, 0, 20);
    }
    (void)callback(&shown.header, userdata);
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

int netlink_watch_join(NetlinkWatch *watch, int group, bool join)
{
    (void)watch;
    assert_int_equal(group, XFRMNLGRP_AEVENTS);
    assert_int_not_equal(join, kernel.listened_to);
    kernel.listened_to = join;
    return 0;
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

static const char places[DATAPLANE_INTERFACES_MAX];

static size_t place_of(const Network *network)
{
    return (size_t)((const char *)(const void *)network - places);
}

int network_new(Network **ret)
{
    if (kernel.open_error)
        return kernel.open_error;
    *ret = (Network *)(uintptr_t)&places[kernel.n_opened++];
    return 0;
}

void network_free(Network *network)
{
    if (!network)
        return;
    kernel.attached[place_of(network)] = false;
    kernel.n_opened--;
}

int network_check_name(const char *name)
{
    (void)name;
    return 0;
}

int network_clear(Network *network, const char *name)
{
    (void)network, (void)name;
    return 0;
}

int network_attach(Network *network, const char *name, uint32_t mtu)
{
    (void)name;
    kernel.attached_mtu = mtu;
    kernel.attached[place_of(network)] = true;
    return kernel.attach_errors[place_of(network)];
}

int network_add_sa(Network *network, const SaOrder *order, Reason *reason)
{
    (void)reason;
    if (kernel.network_error == 0) {
        kernel.of_spi[kernel.n_networks] = network;
        kernel.networks[kernel.n_networks++] = order->spi_in;
    }
    return kernel.network_error;
}

int network_set_mtu(Network *network, uint32_t spi_in, uint32_t mtu, Reason *reason)
{
    (void)network, (void)spi_in, (void)mtu, (void)reason;
    return 0;
}

int network_move_sa(Network *network, uint32_t spi_in, const SaPath *path, Reason *reason)
{
    (void)network, (void)spi_in, (void)reason;
    kernel.network_mtu = path->mtu;
    return kernel.network_error;
}

void network_remove_sa(Network *network, uint32_t spi_in)
{
    for (size_t i = 0; i < kernel.n_networks; i++) {
        if (kernel.networks[i] != spi_in || kernel.of_spi[i] != network)
            continue;
        kernel.networks[i] = kernel.networks[--kernel.n_networks];
        kernel.of_spi[i] = kernel.of_spi[kernel.n_networks];
    }
}

bool network_is_idle(const Network *network)
{
    for (size_t i = 0; i < kernel.n_networks; i++) {
        if (kernel.of_spi[i] == network)
            return false;
    }
    return true;
}

void network_detach(Network *network)
{
    kernel.attached[place_of(network)] = false;
}

int network_watched(const Network *network)
{
    (void)network;
    return -1;
}

bool network_has_changed(Network *network)
{
    return place_of(network) + 1 == kernel.changed;
}

void network_look(Network *network, NetworkGone gone, void *userdata)
{
    kernel.n_looks[place_of(network)]++;
    for (size_t i = 0; i < kernel.n_networks; i++) {
        if (kernel.of_spi[i] == network)
            gone(kernel.networks[i], DATAPLANE_ROUTE_GONE, userdata);
    }
}

/* In the place of the C library's, and of crypto/secret.c's (--wrap). */
int __wrap_open64(const char *path, int flags, ...);
void *__real_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size);
int __real_secret_new(size_t size, Secret **ret);
int __wrap_secret_new(size_t size, Secret **ret);

void *__wrap_calloc(size_t n, size_t size)
{
    return kernel.no_memory ? NULL : __real_calloc(n, size);
}

int __wrap_secret_new(size_t size, Secret **ret)
{
    return kernel.no_locked_memory ? -ENOMEM : __real_secret_new(size, ret);
}

int __wrap_open64(const char *path, int flags, ...)
{
    (void)flags;
    assert_string_equal(path, "/dev/net/tun");
    const int fd = kernel.tun_error ? -1 : eventfd(0, EFD_CLOEXEC);
    errno = kernel.tun_error ? kernel.tun_error : EDOM; /* which success leaves as it likes */
    return fd;
}

static void expire(uint32_t spi, bool hard)
{
    struct xfrm_user_expire *expiry = message(XFRM_MSG_EXPIRE, sizeof(*expiry));
    const size_t i = state_index(spi);
    expiry->state.id.spi = htonl(spi);
    if (i < kernel.n_states)
        memcpy(&expiry->state, mnl_nlmsg_get_payload(&kernel.states[i].header),
               sizeof(expiry->state));
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

enum { KEY_IN = 0x11, KEY_OUT = 0x22 };

static int add_order(NetPlane *plane, SaOrder *order);

static int add_with(NetPlane *plane, const EspSuite *suite, uint32_t spi_in, uint32_t spi_out,
                    uint8_t ts_type)
{
    SaOrder sa = {
        .suite = *suite,
        .spi_in = spi_in,
        .spi_out = spi_out,
        .local = address(2),
        .remote = address(1),
        .mtu = 1400,
        .copy_dscp = !kernel.hides_marks,
        .ecn = !kernel.hides_marks,
        .ts_local = {.n_selectors = 1, .selectors = {{.type = ts_type, .end_port = UINT16_MAX}}},
    };
    return add_order(plane, &sa);
}

/* With keys, and with selectors of the remote side where the order has none. */
static int add_order(NetPlane *plane, SaOrder *order)
{
    const EspSuite *suite = &order->suite;
    SaOrder sa = *order;
    Answer answer;
    int tun = -1;
    if (sa.ts_remote.n_selectors == 0) {
        sa.ts_remote = sa.ts_local;
        sa.ts_remote.selectors[0].start[0] = sa.ts_remote.selectors[0].end[0] = 10;
    }
    const size_t size = suite->cipher->key_size + suite->cipher->salt_size;
    assert_int_equal(secret_new(size, &sa.encr_in), 0);
    assert_int_equal(secret_new(size, &sa.encr_out), 0);
    if (suite->integ) {
        assert_int_equal(secret_new(suite->integ->key_size, &sa.integ_in), 0);
        assert_int_equal(secret_new(suite->integ->key_size, &sa.integ_out), 0);
    }
    memset(sa.encr_in->data, KEY_IN, sa.encr_in->size);
    memset(sa.encr_out->data, KEY_OUT, sa.encr_out->size);
    if (suite->integ) {
        memset(sa.integ_in->data, KEY_IN, sa.integ_in->size);
        memset(sa.integ_out->data, KEY_OUT, sa.integ_out->size);
    }
    net_plane_carry_out(plane, &(Order){.type = ORDER_ADD_SA, .sa = &sa}, -1, &answer, &tun);
    assert_int_equal(tun, -1);
    secret_free(sa.encr_in);
    secret_free(sa.encr_out);
    secret_free(sa.integ_in);
    secret_free(sa.integ_out);
    return answer.error;
}

static int add_of_family(NetPlane *plane, uint32_t spi_in, uint32_t spi_out, uint8_t ts_type)
{
    EspSuite suite;
    assert_int_equal(
        esp_suite_from_ids(IKE_ENCR_AES_GCM_16, 128, IKE_INTEG_NONE, IKE_GROUP_NONE, true, &suite),
        0);
    return add_with(plane, &suite, spi_in, spi_out, ts_type);
}

static int add(NetPlane *plane, uint32_t spi_in, uint32_t spi_out)
{
    return add_of_family(plane, spi_in, spi_out, IKE_TS_IPV4_ADDR_RANGE);
}

static SaOrder order_of(uint32_t spi_in, uint32_t spi_out)
{
    SaOrder sa = {
        .spi_in = spi_in,
        .spi_out = spi_out,
        .local = address(2),
        .remote = address(1),
        .mtu = 1400,
        .ts_local = {.n_selectors = 1,
                     .selectors = {{.type = IKE_TS_IPV4_ADDR_RANGE, .end_port = UINT16_MAX}}},
    };
    assert_int_equal(esp_suite_from_ids(IKE_ENCR_AES_GCM_16, 128, IKE_INTEG_NONE, IKE_GROUP_NONE,
                                        true, &sa.suite),
                     0);
    return sa;
}

static int add_standby(NetPlane *plane, uint32_t spi_in, uint32_t spi_out)
{
    SaOrder sa = order_of(spi_in, spi_out);
    sa.standby = true;
    return add_order(plane, &sa);
}

static int use(NetPlane *plane, uint32_t spi_in)
{
    Answer answer;
    int tun = -1;
    net_plane_carry_out(plane, &(Order){.type = ORDER_USE_SA, .id = spi_in}, -1, &answer, &tun);
    return answer.error;
}

static int move(NetPlane *plane, uint32_t spi_in, const SaPath *path)
{
    Answer answer;
    int tun = -1;
    net_plane_carry_out(plane, &(Order){.type = ORDER_MOVE_SA, .id = spi_in, .path = *path}, -1,
                        &answer, &tun);
    return answer.error;
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
    for (size_t i = 0; i < n; i++)
        polled[i].revents = i == n - 1 ? POLLIN : 0;
    net_plane_watch(plane, polled, n);
    if (spi != 0) {
        assert_true(net_plane_event(plane, &event));
        assert_int_equal(event.spi_in, spi);
        assert_int_equal(event.type, type);
    }
    assert_false(net_plane_event(plane, &event));
}

static const InterfaceNames two_interfaces = {2, {"segw0", "management0"}};

static int setup(void **state)
{
    NetPlane *plane = NULL;
    Reason reason = {0};
    memset(&kernel, 0, sizeof(kernel));
    kernel.allowed = ALLOWED_ALL;
    assert_int_equal(net_plane_open(DATAPLANE_AUTO, &two_interfaces, &plane, &reason), 0);
    assert_int_equal(plane->backend->mode, DATAPLANE_KERNEL);
    kernel.n_orders = 0; /* it has tried whether there is ESP */
    *state = plane;
    return 0;
}

static int teardown(void **state)
{
    net_plane_close(*state);
    assert_int_equal(kernel.n_states, 0);
    assert_int_equal(kernel.n_policies, 0);
    assert_int_equal(kernel.n_networks, 0);
    assert_int_equal(kernel.n_opened, 0);
    assert_false(kernel.attached[0] || kernel.attached[1]);
    return 0;
}

static int add_between(NetPlane *plane, uint32_t spi_in, uint32_t spi_out, const IkeSelector *local,
                       const IkeSelector *remote)
{
    SaOrder sa = order_of(spi_in, spi_out);
    sa.ts_remote.n_selectors = 1;
    sa.ts_local.selectors[0] = *local;
    sa.ts_remote.selectors[0] = *remote;
    return add_order(plane, &sa);
}

/* Ports 1 to 65535 are 16 masks, and on both sides 256 selectors: in three directions as many
 * policies as there is room for. */
static void policies_beyond_what_there_is_room_for_are_refused_and_the_others_stay(void **state)
{
    const IkeSelector ports = {
        .type = IKE_TS_IPV4_ADDR_RANGE, .start_port = 1, .end_port = UINT16_MAX};
    assert_int_equal(add_between(*state, 300, 400, &ports, &ports), 0);
    assert_int_equal(kernel.n_policies, 3 * 256);
    assert_int_equal(add(*state, 301, 401), -ENOSPC);
    assert_int_equal(kernel.n_policies, 3 * 256);
    assert_int_equal(kernel.n_states, 2);
    assert_int_equal(drop(*state, 300), 0);
    assert_int_equal(add(*state, 301, 401), 0);
    assert_int_equal(drop(*state, 301), 0);
}

/* The kernel's policies look at no DSCP: all packets would leave by the newest pair. */
static void a_pair_for_some_dscps_is_refused_and_leaves_nothing_behind(void **state)
{
    SaOrder sa = order_of(301, 401);

    assert_int_equal(add(*state, 300, 400), 0);
    sa.dscps = UINT64_C(1) << 46;
    assert_int_equal(add_order(*state, &sa), -EINVAL);
    assert_int_equal(kernel.n_states, 2);
    assert_int_equal(kernel.n_policies, 3);
    assert_int_equal(drop(*state, 301), -ENOENT);
    sa.dscps = 0;
    assert_int_equal(add_order(*state, &sa), 0);
    assert_int_equal(kernel.n_states, 4);
    assert_int_equal(drop(*state, 301), 0);
    assert_int_equal(drop(*state, 300), 0);
}

static void policies_are_shared_by_sas_unless_their_selectors_differ_in_anything(void **state)
{
    const IkeSelector any = {
        .type = IKE_TS_IPV4_ADDR_RANGE,
        .end_port = UINT16_MAX,
        .start = {10, 0, 0, 0},
        .end = {10, 0, 0, 1},
    };
    IkeSelector udp = any, port = any, odd_port = any, address = any, host = any, ipv6 = any;
    udp.protocol = IPPROTO_UDP;
    port.start_port = port.end_port = 500;
    odd_port.start_port = odd_port.end_port = 501;
    address.start[2] = address.end[2] = 1;
    host.end[3] = 0;
    ipv6.type = IKE_TS_IPV6_ADDR_RANGE;
    memset(ipv6.end, 0, sizeof(ipv6.end));
    ipv6.start[0] = ipv6.end[0] = 10;
    ipv6.end[15] = 0;
    const struct {
        const IkeSelector *local, *remote, *other_local, *other_remote;
        size_t n;
    } pairs[] = {
        {&any, &any, &any, &any, 3},       {&any, &any, &udp, &any, 6},
        {&any, &any, &port, &any, 6},      {&any, &any, &any, &port, 6},
        {&port, &any, &odd_port, &any, 6}, {&any, &port, &any, &odd_port, 6},
        {&any, &any, &address, &any, 6},   {&any, &any, &any, &address, 6},
        {&any, &any, &host, &any, 6},      {&any, &any, &any, &host, 6},
        {&host, &host, &ipv6, &ipv6, 6},
    };
    for (size_t i = 0; i < ELEMENTS(pairs); i++) {
        assert_int_equal(add_between(*state, 300, 400, pairs[i].local, pairs[i].remote), 0);
        assert_int_equal(add_between(*state, 301, 401, pairs[i].other_local, pairs[i].other_remote),
                         0);
        if (kernel.n_policies != pairs[i].n)
            fail_msg("pair %zu: %zu policies", i, kernel.n_policies);
        assert_int_equal(drop(*state, 300), 0);
        assert_int_equal(kernel.n_policies, 3);
        assert_int_equal(drop(*state, 301), 0);
        assert_int_equal(kernel.n_policies, 0);
    }
}

static void assert_tunnels(uint8_t local, uint8_t remote)
{
    assert_int_equal(kernel.n_policies, 3);
    for (size_t i = 0; i < kernel.n_policies; i++) {
        const bool out = kernel.policies[i].dir == XFRM_POLICY_OUT;
        const struct xfrm_user_tmpl *template = &kernel.templates[i];
        assert_int_equal(ntohl(template->saddr.a4) & 0xff, out ? local : remote);
        assert_int_equal(ntohl(template->id.daddr.a4) & 0xff, out ? remote : local);
    }
}

static void the_newest_pairs_tunnel_counts_if_either_end_is_another(void **state)
{
    static const uint8_t ends[][2] = {{2, 1}, {2, 3}, {4, 1}};
    for (size_t i = 0; i < ELEMENTS(ends); i++) {
        SaOrder newer = order_of(301, 401);
        newer.local = address(ends[i][0]);
        newer.remote = address(ends[i][1]);
        assert_int_equal(add(*state, 300, 400), 0);
        assert_tunnels(2, 1);
        assert_int_equal(add_order(*state, &newer), 0);
        assert_tunnels(ends[i][0], ends[i][1]);
        assert_int_equal(drop(*state, 301), 0);
        assert_tunnels(2, 1);
        assert_int_equal(drop(*state, 300), 0);
    }
}

static unsigned wiped; /* how often a key was */

static void note_wiped(const void *at, size_t size)
{
    uint8_t in[16], out[16];
    memset(in, KEY_IN, sizeof(in));
    memset(out, KEY_OUT, sizeof(out));
    wiped += memmem(at, size, in, sizeof(in)) || memmem(at, size, out, sizeof(out));
}

/* What netlink's messages are made of is netlink.c's to wipe, which is played here. */
static void keys_are_wiped_from_the_attributes_that_they_were_copied_to(void **state)
{
    EspSuite cbc;
    assert_int_equal(esp_suite_from_ids(IKE_ENCR_AES_CBC, 128, IKE_INTEG_HMAC_SHA2_256_128,
                                        IKE_GROUP_NONE, true, &cbc),
                     0);
    wiped = 0;
    assert_int_equal(add(*state, 300, 400), 0);
    assert_int_equal(wiped, 2); /* of either direction */
    wiped = 0;
    assert_int_equal(add_with(*state, &cbc, 301, 401, IKE_TS_IPV4_ADDR_RANGE), 0);
    assert_int_equal(wiped, 4);
}

static void an_sa_pair_is_two_states_and_three_policies_and_goes_without_a_trace(void **state)
{
    assert_int_equal(add(*state, 300, 400), 0);
    assert_int_equal(kernel.n_states, 2);
    assert_int_equal(kernel.n_policies, 3);
    assert_true(kernel.attached[0]);
    assert_int_equal(kernel.attached_mtu, 1400);
    hear(*state, 0, 0);
    assert_int_equal(drop(*state, 300), 0);
    assert_int_equal(kernel.n_states, 0);
    assert_int_equal(kernel.n_policies, 0);
    assert_false(kernel.attached[0]);
    hear(*state, 0, 0);
}

enum { REMOTE = 1, LOCAL = 2 }; /* as add() has them */

static void assert_address(const xfrm_address_t *found, uint8_t number)
{
    struct sockaddr_storage expected = address(number);
    struct sockaddr_in in;
    memcpy(&in, &expected, sizeof(in));
    assert_int_equal(found->a4, in.sin_addr.s_addr);
}

static void assert_state(const struct nlmsghdr *header, bool inbound)
{
    const struct xfrm_usersa_info *info = mnl_nlmsg_get_payload(header);
    const struct xfrm_replay_state_esn *replay;
    const struct xfrm_algo_aead *aead;
    const size_t window_size = WINDOW_PACKETS / 8;
    assert_int_equal(header->nlmsg_type, XFRM_MSG_NEWSA);
    assert_int_equal(ntohl(info->id.spi), inbound ? 300 : 400);
    assert_int_equal(info->id.proto, IPPROTO_ESP);
    assert_address(&info->id.daddr, inbound ? LOCAL : REMOTE);
    assert_address(&info->saddr, inbound ? REMOTE : LOCAL);
    assert_int_equal(info->mode, XFRM_MODE_TUNNEL);
    assert_int_equal(info->flags & (XFRM_STATE_ESN | XFRM_STATE_NOECN | XFRM_STATE_DECAP_DSCP),
                     XFRM_STATE_ESN);
    /* RFC 4303 3.4.3 asks for 32 at least; the attribute is one for more than that. */
    replay =
        attribute_of(header, sizeof(*info), XFRMA_REPLAY_ESN_VAL, sizeof(*replay) + window_size);
    assert_int_equal(replay->replay_window, WINDOW_PACKETS);
    assert_int_equal(replay->bmp_len * sizeof(replay->bmp[0]), window_size);
    assert_int_equal(replay->seq, 0);
    assert_int_equal(replay->oseq, 0);
    aead = attribute_of(header, sizeof(*info), XFRMA_ALG_AEAD, sizeof(*aead) + 20);
    assert_string_equal(aead->alg_name, "rfc4106(gcm(aes))");
    assert_int_equal(aead->alg_icv_len, 128);
    assert_int_equal(aead->alg_key[0], inbound ? KEY_IN : KEY_OUT);
    assert_int_equal(*(const uint32_t *)attribute_of(header, sizeof(*info), XFRMA_IF_ID, 4),
                     XFRM_IF_ID);
}

static void each_direction_has_its_own_key_and_a_replay_window(void **state)
{
    bool seen[2] = {false, false};
    assert_int_equal(add(*state, 300, 400), 0);
    for (size_t i = 0; i < kernel.n_orders; i++) {
        const struct nlmsghdr *header = (const struct nlmsghdr *)kernel.orders[i].octets;
        const struct xfrm_usersa_info *info = mnl_nlmsg_get_payload(header);
        if (header->nlmsg_type != XFRM_MSG_NEWSA)
            continue;
        bool inbound = ntohl(info->id.spi) == 300;
        assert_state(header, inbound);
        assert_false(seen[inbound]);
        seen[inbound] = true;
    }
    assert_true(seen[0] && seen[1]);
}

static const struct xfrm_usersa_info *newest_state(void)
{
    for (size_t back = 1; back <= ORDERS_MAX && back <= kernel.n_orders; back++) {
        const size_t place = (kernel.n_orders - back) % ORDERS_MAX;
        const struct nlmsghdr *header = (const struct nlmsghdr *)kernel.orders[place].octets;
        if (header->nlmsg_type == XFRM_MSG_NEWSA)
            return mnl_nlmsg_get_payload(header);
    }
    fail();
    return NULL;
}

static void the_kernel_is_given_each_limit_of_the_order(void **state)
{
    SaOrder sa = order_of(300, 400);
    sa.soft = (Lifetime){.bytes = 1, .packets = 2, .seconds = 3};
    sa.hard = (Lifetime){.bytes = 4, .packets = 5, .seconds = 6};
    assert_int_equal(add_order(*state, &sa), 0);
    const struct xfrm_lifetime_cfg *limits = &newest_state()->lft;
    assert_int_equal(limits->soft_byte_limit, 1);
    assert_int_equal(limits->soft_packet_limit, 2);
    assert_int_equal(limits->soft_add_expires_seconds, 3);
    assert_int_equal(limits->soft_use_expires_seconds, 0);
    assert_int_equal(limits->hard_byte_limit, 4);
    assert_int_equal(limits->hard_packet_limit, 5);
    assert_int_equal(limits->hard_add_expires_seconds, 6);
    assert_int_equal(limits->hard_use_expires_seconds, 0);
    assert_int_equal(drop(*state, 300), 0);
    assert_int_equal(add(*state, 300, 400), 0);
    limits = &newest_state()->lft;
    assert_true(limits->soft_byte_limit == XFRM_INF && limits->hard_packet_limit == XFRM_INF);
    assert_int_equal(limits->hard_add_expires_seconds, 0);
}

/* As net/xfrm/xfrm_algo.c of the kernel has the algorithms. */
static void each_algorithm_has_the_kernels_name(void **state)
{
    static const struct {
        uint16_t encr, bits, integ;
        const char *cipher, *hmac;
    } suites[] = {
        {IKE_ENCR_AES_GCM_16, 256, IKE_INTEG_NONE, "rfc4106(gcm(aes))", NULL},
        {IKE_ENCR_CHACHA20_POLY1305, 0, IKE_INTEG_NONE, "rfc7539esp(chacha20,poly1305)", NULL},
        {IKE_ENCR_AES_CBC, 128, IKE_INTEG_HMAC_SHA2_256_128, "cbc(aes)", "hmac(sha256)"},
    };
    for (size_t i = 0; i < ELEMENTS(suites); i++) {
        const struct nlmsghdr *header = (const struct nlmsghdr *)kernel.orders[0].octets;
        const size_t head = sizeof(struct xfrm_usersa_info);
        EspSuite suite;
        assert_int_equal(esp_suite_from_ids(suites[i].encr, suites[i].bits, suites[i].integ,
                                            IKE_GROUP_NONE, false, &suite),
                         0);
        kernel.n_orders = 0;
        assert_int_equal(add_with(*state, &suite, 300, 400, IKE_TS_IPV4_ADDR_RANGE), 0);
        const size_t size = suite.cipher->key_size + suite.cipher->salt_size;
        if (suites[i].hmac) {
            const struct xfrm_algo *cipher =
                attribute_of(header, head, XFRMA_ALG_CRYPT, sizeof(*cipher) + size);
            const struct xfrm_algo_auth *integ = attribute_of(
                header, head, XFRMA_ALG_AUTH_TRUNC, sizeof(*integ) + suite.integ->key_size);
            assert_string_equal(cipher->alg_name, suites[i].cipher);
            assert_string_equal(integ->alg_name, suites[i].hmac);
            assert_int_equal(integ->alg_trunc_len, 128); /* RFC 4868 2.6 */
        } else {
            const struct xfrm_algo_aead *aead =
                attribute_of(header, head, XFRMA_ALG_AEAD, sizeof(*aead) + size);
            assert_string_equal(aead->alg_name, suites[i].cipher);
        }
        assert_int_equal(drop(*state, 300), 0);
    }
}

/* RFC 4301 5.2: what did not come out of this SA's tunnel is not let in, nor passed on. */
static void assert_policy(const struct nlmsghdr *header)
{
    const struct xfrm_userpolicy_info *info = mnl_nlmsg_get_payload(header);
    const bool out = info->dir == XFRM_POLICY_OUT;
    const struct xfrm_user_tmpl *template =
        attribute_of(header, sizeof(*info), XFRMA_TMPL, sizeof(*template));
    assert_int_equal(info->action, XFRM_POLICY_ALLOW);
    /* The lower, the earlier: what is narrower by one bit comes before. */
    assert_int_equal(info->priority, 1000 - info->sel.prefixlen_s - info->sel.prefixlen_d);
    assert_int_equal(template->id.proto, IPPROTO_ESP);
    assert_int_equal(template->mode, XFRM_MODE_TUNNEL);
    assert_int_equal(template->optional, 0);
    assert_address(&template->saddr, out ? LOCAL : REMOTE);
    assert_address(&template->id.daddr, out ? REMOTE : LOCAL);
    assert_int_equal(*(const uint32_t *)attribute_of(header, sizeof(*info), XFRMA_IF_ID, 4),
                     XFRM_IF_ID);
    /* The far end is 10.0.0.0 alone, as add() has it. */
    assert_int_equal(out ? info->sel.prefixlen_d : info->sel.prefixlen_s, 32);
    assert_int_equal((out ? &info->sel.daddr : &info->sel.saddr)->a4, htonl(10U << 24));
    assert_int_equal(out ? info->sel.prefixlen_s : info->sel.prefixlen_d, 32);
}

static void what_comes_in_or_is_passed_on_must_have_come_through_the_tunnel(void **state)
{
    unsigned directions = 0;
    assert_int_equal(add(*state, 300, 400), 0);
    for (size_t i = 0; i < kernel.n_orders; i++) {
        const struct nlmsghdr *header = (const struct nlmsghdr *)kernel.orders[i].octets;
        const struct xfrm_userpolicy_info *info = mnl_nlmsg_get_payload(header);
        if (header->nlmsg_type != XFRM_MSG_UPDPOLICY)
            continue;
        assert_policy(header);
        directions |= 1U << info->dir;
    }
    assert_int_equal(directions,
                     1U << XFRM_POLICY_IN | 1U << XFRM_POLICY_FWD | 1U << XFRM_POLICY_OUT);
}

/* The reqid of the policies, each of which must have the same, and be that of the states. */
static uint32_t common_reqid(void)
{
    uint32_t common = 0;
    for (size_t i = 0; i < kernel.n_orders; i++) {
        const struct nlmsghdr *header = (const struct nlmsghdr *)kernel.orders[i].octets;
        const struct xfrm_usersa_info *state = mnl_nlmsg_get_payload(header);
        uint32_t reqid = 0;
        if (header->nlmsg_type == XFRM_MSG_NEWSA) {
            reqid = state->reqid;
        } else if (header->nlmsg_type == XFRM_MSG_UPDPOLICY) {
            const struct xfrm_user_tmpl *template = attribute_of(
                header, sizeof(struct xfrm_userpolicy_info), XFRMA_TMPL, sizeof(*template));
            reqid = template->reqid;
        } else {
            continue;
        }
        assert_true(common == 0 || reqid == common);
        common = reqid;
    }
    assert_int_not_equal(common, 0);
    return common;
}

static void what_another_segw_sent_is_let_in_by_no_policy_of_the_first_one(void **state)
{
    SaOrder order = order_of(300, 400);
    assert_int_equal(add_order(*state, &order), 0);
    const uint32_t first = common_reqid();
    order = order_of(301, 401);
    order.segw = 1;
    order.ts_remote = order.ts_local;
    order.ts_remote.selectors[0].start[0] = order.ts_remote.selectors[0].end[0] = 11;
    kernel.n_orders = 0;
    assert_int_equal(add_order(*state, &order), 0);
    assert_int_not_equal(common_reqid(), first);
}

static SaOrder order_by(size_t interface, uint32_t spi_in, uint32_t spi_out)
{
    SaOrder order = order_of(spi_in, spi_out);
    order.segw = (uint32_t)interface;
    order.interface = (uint8_t)interface;
    return order;
}

/* Selectors may be the same: what tells the interfaces' packets apart is the id. */
static void
each_interface_has_states_and_policies_of_its_own_and_goes_with_its_last_pair(void **state)
{
    static const uint8_t directions[] = {XFRM_POLICY_IN, XFRM_POLICY_FWD, XFRM_POLICY_OUT};
    unsigned seen[2] = {0};
    for (size_t i = 0; i < 2; i++) {
        SaOrder order = order_by(i, 300 + (uint32_t)i, 400 + (uint32_t)i);
        kernel.n_orders = 0;
        assert_int_equal(add_order(*state, &order), 0);
        for (size_t k = 0; k < kernel.n_orders; k++) {
            const struct nlmsghdr *header = (const struct nlmsghdr *)kernel.orders[k].octets;
            const size_t head = header->nlmsg_type == XFRM_MSG_NEWSA
                                    ? sizeof(struct xfrm_usersa_info)
                                    : sizeof(struct xfrm_userpolicy_info);
            assert_int_equal(*(const uint32_t *)attribute_of(header, head, XFRMA_IF_ID, 4),
                             XFRM_IF_ID + i);
        }
    }
    assert_int_equal(kernel.n_policies, 2 * ELEMENTS(directions));
    for (size_t i = 0; i < kernel.n_policies; i++)
        seen[kernel.policy_if_ids[i] - XFRM_IF_ID] |= 1U << kernel.policies[i].dir;
    assert_int_equal(seen[0], seen[1]);
    assert_true(kernel.attached[0] && kernel.attached[1]);
    assert_int_equal(drop(*state, 300), 0);
    assert_false(kernel.attached[0]);
    assert_true(kernel.attached[1]);
    assert_int_equal(kernel.n_policies, ELEMENTS(directions));
    assert_int_equal(kernel.policy_if_ids[0], XFRM_IF_ID + 1);
}

static void a_policy_that_somebody_deletes_is_told_to_the_pairs_of_its_interface_alone(void **state)
{
    for (size_t i = 0; i < 2; i++) {
        SaOrder order = order_by(i, 300 + (uint32_t)i, 400 + (uint32_t)i);
        assert_int_equal(add_order(*state, &order), 0);
    }
    for (size_t i = 0; i < kernel.n_policies; i++) {
        if (kernel.policy_if_ids[i] != XFRM_IF_ID + 1)
            continue;
        kernel.n_policies--;
        kernel.policies[i] = kernel.policies[kernel.n_policies];
        kernel.policy_spis[i] = kernel.policy_spis[kernel.n_policies];
        kernel.policy_if_ids[i] = kernel.policy_if_ids[kernel.n_policies];
        break;
    }
    (void)message(XFRM_MSG_DELPOLICY, sizeof(struct xfrm_userpolicy_id));
    hear(*state, 301, DATAPLANE_POLICY_GONE);
}

static void an_sa_for_an_interface_that_was_not_named_is_refused(void **state)
{
    SaOrder order = order_by(2, 300, 400);
    assert_int_equal(add_order(*state, &order), -EINVAL);
    assert_int_equal(kernel.n_states, 0);
}

/* The SPI by which everything goes out; the three policies must be there. */
static uint32_t sending_spi(void)
{
    uint32_t ret = 0;
    assert_int_equal(kernel.n_policies, 3);
    for (size_t i = 0; i < kernel.n_policies; i++) {
        if (kernel.policies[i].dir == XFRM_POLICY_OUT)
            ret = kernel.policy_spis[i];
    }
    return ret;
}

/* By their templates, and not by the kernel's choice, which falls on a newer state, and at a soft
 * lifetime on another one. */
static void what_goes_out_takes_the_newest_pair_that_is_not_in_standby(void **state)
{
    assert_int_equal(add(*state, 300, 400), 0);
    assert_int_equal(sending_spi(), 400);
    assert_int_equal(add_standby(*state, 301, 401), 0);
    assert_int_equal(sending_spi(), 400);
    assert_int_equal(use(*state, 301), 0);
    assert_int_equal(sending_spi(), 401);
    assert_int_equal(use(*state, 301), 0);
    assert_int_equal(add(*state, 302, 402), 0);
    assert_int_equal(sending_spi(), 402);
    assert_int_equal(use(*state, 300), 0);
    assert_int_equal(sending_spi(), 400);
    assert_int_equal(use(*state, 309), -ENOENT);
    assert_false(kernel.gap);
}

static void a_pair_in_standby_takes_over_before_the_one_that_sent_is_gone(void **state)
{
    assert_int_equal(add(*state, 300, 400), 0);
    assert_int_equal(add_standby(*state, 301, 401), 0);
    assert_int_equal(add_standby(*state, 302, 402), 0);
    assert_int_equal(drop(*state, 300), 0);
    assert_int_equal(sending_spi(), 401);
    assert_int_equal(drop(*state, 301), 0);
    assert_int_equal(sending_spi(), 402);
    assert_false(kernel.gap);
}

/* The peer rekeys twice, and each time lets the pair before go: nobody need say that the first new
 * one sends. */
static void a_pair_in_standby_that_sends_goes_on_when_another_one_comes(void **state)
{
    assert_int_equal(add(*state, 300, 400), 0);
    for (uint32_t i = 1; i < 5; i++) {
        assert_int_equal(add_standby(*state, 300 + i, 400 + i), 0);
        assert_int_equal(sending_spi(), 400 + i - 1);
        assert_int_equal(drop(*state, 300 + i - 1), 0);
        assert_int_equal(sending_spi(), 400 + i);
    }
    assert_false(kernel.gap);
}

static void tell_of_packet(uint32_t spi)
{
    struct xfrm_aevent_id *id = message(XFRM_MSG_NEWAE, sizeof(*id));
    const size_t i = state_index(spi);
    id->sa_id.spi = htonl(spi);
    id->flags = XFRM_AE_CR;
    if (i == kernel.n_states)
        return;
    const struct xfrm_usersa_info *info = mnl_nlmsg_get_payload(&kernel.states[i].header);
    id->sa_id.daddr = info->id.daddr;
    id->sa_id.family = (uint8_t)info->family;
}

/* A packet comes in by a state: the kernel tells of it where that was asked for. */
static void receive_by(uint32_t spi)
{
    State *state = state_of(spi);
    state->counts.packets++;
    if (state->tells && kernel.listened_to)
        tell_of_packet(spi);
}

/* RFC 7296 2.8: it may send once it has received. A peer that has rekeyed may have forgotten the
 * old pair already. */
static void a_pair_in_standby_sends_once_its_peer_has_sent_by_it(void **state)
{
    NetPlane *plane = *state;
    assert_int_equal(add(plane, 300, 400), 0);
    assert_int_equal(add_standby(plane, 301, 401), 0);
    receive_by(300);
    hear(plane, 0, 0);
    assert_int_equal(sending_spi(), 400);
    receive_by(301);
    receive_by(301);
    hear(plane, 0, 0);
    assert_int_equal(sending_spi(), 401);
    assert_int_equal(use(plane, 300), 0);
    receive_by(301); /* that is no news */
    tell_of_packet(301);
    hear(plane, 0, 0);
    assert_int_equal(sending_spi(), 400);
    assert_false(kernel.gap);
}

static void a_pair_that_could_not_be_used_is_again_as_the_peer_sends_once_more(void **state)
{
    NetPlane *plane = *state;
    assert_int_equal(add(plane, 300, 400), 0);
    assert_int_equal(add_standby(plane, 301, 401), 0);
    kernel.policy_error = 1;
    receive_by(301);
    hear(plane, 0, 0);
    assert_int_equal(sending_spi(), 400);
    assert_true(kernel.listened_to && state_of(301)->tells);
    receive_by(301);
    hear(plane, 0, 0);
    assert_int_equal(sending_spi(), 401);
}

/* Each packet is a message. */
static void the_kernel_tells_of_packets_while_a_pair_is_in_standby_alone(void **state)
{
    NetPlane *plane = *state;
    assert_int_equal(add(plane, 300, 400), 0);
    assert_false(kernel.listened_to);
    assert_int_equal(add_standby(plane, 301, 401), 0);
    assert_true(kernel.listened_to && state_of(301)->tells);
    assert_false(state_of(300)->tells || state_of(400)->tells || state_of(401)->tells);
    receive_by(301);
    hear(plane, 0, 0);
    assert_false(kernel.listened_to || state_of(301)->tells);

    assert_int_equal(add_standby(plane, 302, 402), 0);
    assert_int_equal(add_standby(plane, 303, 403), 0);
    assert_int_equal(use(plane, 302), 0);
    assert_true(kernel.listened_to && state_of(303)->tells);
    assert_false(state_of(302)->tells);
    assert_int_equal(drop(plane, 303), 0);
    assert_false(kernel.listened_to);
}

static void a_pair_in_standby_waits_for_its_peer_also_after_a_move(void **state)
{
    NetPlane *plane = *state;
    const SaPath path = {.local = address(4), .remote = address(3), .mtu = 1300};
    assert_int_equal(add(plane, 300, 400), 0);
    assert_int_equal(add_standby(plane, 301, 401), 0);
    assert_int_equal(move(plane, 301, &path), 0);
    assert_int_equal(sending_spi(), 400);
    receive_by(301);
    hear(plane, 0, 0);
    assert_int_equal(sending_spi(), 401);
}

static void a_kernel_that_does_not_tell_of_packets_has_the_pair_wait_until_it_is_used(void **state)
{
    NetPlane *plane = *state;
    kernel.tells_nothing = true;
    assert_int_equal(add(plane, 300, 400), 0);
    assert_int_equal(add_standby(plane, 301, 401), 0);
    receive_by(301);
    hear(plane, 0, 0);
    assert_int_equal(sending_spi(), 400);
    assert_int_equal(use(plane, 301), 0);
    assert_int_equal(sending_spi(), 401);
}

static void where_the_one_that_sent_reaches_its_hard_lifetime_another_one_sends(void **state)
{
    assert_int_equal(add_standby(*state, 300, 400), 0);
    assert_int_equal(add(*state, 301, 401), 0);
    expire(401, true);
    hear(*state, 301, DATAPLANE_HARD_LIFETIME);
    assert_int_equal(sending_spi(), 400);
    expire(400, true);
    hear(*state, 300, DATAPLANE_HARD_LIFETIME);
}

static void a_pair_that_the_kernel_does_not_let_send_is_said_to_fail(void **state)
{
    assert_int_equal(add(*state, 300, 400), 0);
    assert_int_equal(add_standby(*state, 301, 401), 0);
    kernel.policy_error = 1;
    assert_int_equal(use(*state, 301), -ENOMEM);
    assert_int_equal(sending_spi(), 400);
    assert_int_equal(use(*state, 301), 0);
    assert_int_equal(sending_spi(), 401);
}

enum { NEW_REMOTE = 3, NEW_LOCAL = 4, SENT = 5000, RECEIVED = 70, SKIPPED = 1 << 16 };

static SaPath path_of(bool udp_encapsulated)
{
    return (SaPath){
        .local = address(NEW_LOCAL),
        .remote = address(NEW_REMOTE),
        .udp_encapsulated = udp_encapsulated,
        .mtu = 1300,
    };
}

/* A pair that has been in use. */
static void add_used(NetPlane *plane, const SaOrder *order)
{
    SaOrder sa = *order;
    assert_int_equal(add_order(plane, &sa), 0);
    State *in = state_of(sa.spi_in), *out = state_of(sa.spi_out);
    struct xfrm_replay_state_esn *window = replay_of(in);
    window->seq = RECEIVED;
    window->bmp[2] = 0x2aaaaaaa;
    in->counts = (struct xfrm_lifetime_cur){.bytes = 1, .packets = 2, .add_time = 3, .use_time = 4};
    out->counts =
        (struct xfrm_lifetime_cur){.bytes = 5, .packets = 6, .add_time = 7, .use_time = 8};
    replay_of(out)->oseq = SENT;
    kernel.used[sa.spi_out - 400] = SENT;
}

static const struct xfrm_usersa_info *info_of(uint32_t spi)
{
    return mnl_nlmsg_get_payload(&state_of(spi)->header);
}

static void assert_key(uint32_t spi, uint8_t octet)
{
    const struct xfrm_algo_aead *aead =
        attribute_of(&state_of(spi)->header, sizeof(struct xfrm_usersa_info), XFRMA_ALG_AEAD,
                     sizeof(*aead) + 20);
    for (size_t i = 0; i < 20; i++)
        assert_int_equal((uint8_t)aead->alg_key[i], octet);
}

static int count(NetPlane *plane, uint32_t spi_in, SaCounters *ret)
{
    memset(ret, 0xff, sizeof(*ret));
    return NET_BACKEND_KERNEL.sa_counters(plane, spi_in, ret);
}

static void a_pair_has_counted_what_its_states_have_each_in_its_direction(void **state)
{
    enum { SECOND = 1000, LAST_USED = 1 /* as the kernel that is played says */ };
    const SaOrder sa = order_of(300, 400);
    SaCounters counters;

    add_used(*state, &sa);
    struct xfrm_usersa_info *info = mnl_nlmsg_get_payload(&state_of(300)->header);
    info->stats = (struct xfrm_stats){.replay_window = 10, .replay = 20, .integrity_failed = 30};
    const uint64_t packets_out = state_of(400)->counts.packets;
    const time_t before = time(NULL);
    assert_int_equal(count(*state, 300, &counters), 0);
    const time_t after = time(NULL);
    assert_int_equal(counters.packets_in, 2);
    assert_int_equal(counters.bytes_in, 1);
    assert_int_equal(counters.packets_out, packets_out);
    assert_int_equal(counters.bytes_out, 5);
    assert_int_equal(counters.replays, 30);
    assert_int_equal(counters.authentication_failures, 30);
    assert_in_range(counters.idle_in_ms, (uint64_t)(before - LAST_USED) * SECOND,
                    (uint64_t)(after - LAST_USED) * SECOND);
    assert_in_range(counters.idle_out_ms, (uint64_t)(before - LAST_USED) * SECOND,
                    (uint64_t)(after - LAST_USED) * SECOND);
    assert_int_equal(counters.malformed, 0);
    assert_int_equal(counters.selector_drops_in, 0);
}

static void of_what_the_kernel_does_not_have_or_tell_nothing_is_said_to_be_counted(void **state)
{
    static const uint32_t spis[] = {300, 400};
    SaCounters counters;

    assert_int_equal(count(*state, 300, &counters), -ENOENT);
    for (size_t i = 0; i < ELEMENTS(spis); i++) {
        assert_int_equal(add(*state, 300, 400), 0);
        assert_int_equal(count(*state, 301, &counters), -ENOENT);
        assert_int_equal(state_remove(spis[i]), 0);
        assert_int_equal(count(*state, 300, &counters), -ENOENT);
        (void)drop(*state, 300);
    }
    assert_int_equal(add(*state, 300, 400), 0);
    kernel.look_error = -ENOBUFS;
    assert_int_equal(count(*state, 300, &counters), -ENOBUFS);
}

/* RFC 4555 3.5: where it goes, and nothing else, is another. */
static void a_moved_pair_has_its_keys_its_window_its_limits_and_what_it_has_counted(void **state)
{
    SaOrder sa = order_of(300, 400);
    const SaPath path = path_of(false);
    sa.hard.packets = 123456;
    add_used(*state, &sa);
    assert_int_equal(move(*state, 300, &path), 0);
    assert_address(&info_of(300)->saddr, NEW_REMOTE);
    assert_address(&info_of(300)->id.daddr, NEW_LOCAL);
    assert_address(&info_of(400)->saddr, NEW_LOCAL);
    assert_address(&info_of(400)->id.daddr, NEW_REMOTE);
    assert_key(300, KEY_IN);
    assert_key(400, KEY_OUT);
    assert_int_equal(replay_of(state_of(300))->seq, RECEIVED);
    assert_int_equal(replay_of(state_of(300))->bmp[2], 0x2aaaaaaa);
    assert_int_equal(replay_of(state_of(300))->oseq, 0);
    assert_int_equal(info_of(400)->lft.hard_packet_limit, 123456);
    const struct xfrm_lifetime_cur in = state_of(300)->counts, out = state_of(400)->counts;
    assert_true(in.bytes == 1 && in.packets == 2 && in.add_time == 3 && in.use_time == 4);
    assert_true(out.bytes == 5 && out.packets > 6 && out.add_time == 7 && out.use_time == 8);
    assert_int_equal(kernel.network_mtu, 1300);
    for (size_t i = 0; i < kernel.n_policies; i++) {
        const bool outbound = kernel.policies[i].dir == XFRM_POLICY_OUT;
        assert_address(&kernel.templates[i].saddr, outbound ? NEW_LOCAL : NEW_REMOTE);
        assert_address(&kernel.templates[i].id.daddr, outbound ? NEW_REMOTE : NEW_LOCAL);
    }
    assert_int_equal(sending_spi(), 400);
    (void)message(XFRM_MSG_DELSA, sizeof(struct xfrm_usersa_id)); /* its own doing */
    hear(*state, 0, 0);
}

/* They are IVs. Packets go out all the time, by what the policies say. */
static void no_number_is_used_twice_while_a_pair_moves(void **state)
{
    for (unsigned esn = 0; esn < 2; esn++) {
        SaOrder sa = order_of(300 + esn, 400 + esn);
        const SaPath path = path_of(true);
        sa.suite.esn = esn;
        add_used(*state, &sa);
        assert_int_equal(move(*state, sa.spi_in, &path), 0);
        assert_false(kernel.used_twice);
        assert_false(kernel.gap); /* what goes out meanwhile is dropped, and asks for no state */
        assert_in_range(replay_of(state_of(sa.spi_out))->oseq, SENT + SKIPPED,
                        SENT + SKIPPED + 100);
    }
}

/* What had chosen the state before nothing could any more still takes a number or two. */
static void nor_is_one_that_was_under_way(void **state)
{
    const SaPath path = path_of(true);
    const SaOrder sa = order_of(300, 400);
    add_used(*state, &sa);
    kernel.late = 1000;
    assert_int_equal(move(*state, 300, &path), 0);
    assert_int_equal(kernel.late, 0);
    assert_false(kernel.used_twice);
}

static void numbers_that_are_nearly_used_up_do_not_begin_anew(void **state)
{
    const SaPath path = path_of(true);
    SaOrder sa = order_of(300, 400);
    sa.suite.esn = false;
    sa.soft.packets = 10;
    sa.hard.packets = UINT64_C(0xfff00000);
    add_used(*state, &sa);
    replay_of(state_of(400))->oseq = UINT32_MAX - 10;
    kernel.used[0] = UINT32_MAX - 10;
    kernel.held_back = true;
    assert_int_equal(move(*state, 300, &path), 0);
    assert_int_equal(replay_of(state_of(400))->oseq, UINT32_MAX);
    assert_int_equal(replay_of(state_of(400))->oseq_hi, 0);
    /* What was skipped counts: the limit comes before the numbers' end all the same. */
    assert_int_equal(info_of(400)->lft.hard_packet_limit, UINT64_C(0xfff00000) - SKIPPED);
    assert_int_equal(info_of(400)->lft.soft_packet_limit, 1);
    assert_int_equal(info_of(300)->lft.hard_packet_limit, UINT64_C(0xfff00000));
}

static void encapsulation_comes_and_goes_with_the_path(void **state)
{
    const SaOrder sa = order_of(300, 400);
    const size_t head = sizeof(struct xfrm_usersa_info);
    add_used(*state, &sa);
    SaPath path = path_of(true);
    ((struct sockaddr_in *)&path.local)->sin_port = htons(4600);
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(move(*state, 300, &path), 0);
        const struct xfrm_encap_tmpl *in =
            attribute_of(&state_of(300)->header, head, XFRMA_ENCAP, sizeof(*in));
        const struct xfrm_encap_tmpl *out =
            attribute_of(&state_of(400)->header, head, XFRMA_ENCAP, sizeof(*out));
        const uint16_t port = (uint16_t)(4600 + i);
        assert_int_equal(in->encap_type, UDP_ENCAP_ESPINUDP);
        assert_int_equal(ntohs(in->encap_sport), 4500);
        assert_int_equal(ntohs(in->encap_dport), port);
        assert_int_equal(ntohs(out->encap_sport), port);
        assert_int_equal(ntohs(out->encap_dport), 4500);
        ((struct sockaddr_in *)&path.local)->sin_port = htons((uint16_t)(port + 1));
    }
    path.udp_encapsulated = false;
    assert_int_equal(move(*state, 300, &path), 0);
    AttributeSearch search = {.type = XFRMA_ENCAP};
    (void)mnl_attr_parse(&state_of(400)->header, (unsigned)head, attribute_look, &search);
    assert_null(search.found);
}

static void during_a_rekey_each_pair_moves_and_both_receive(void **state)
{
    const SaPath path = path_of(true);
    const SaOrder old = order_of(300, 400);
    add_used(*state, &old);
    assert_int_equal(add_standby(*state, 301, 401), 0);
    assert_int_equal(move(*state, 300, &path), 0);
    assert_int_equal(sending_spi(), 400);
    assert_int_equal(move(*state, 301, &path), 0);
    assert_int_equal(sending_spi(), 400);
    assert_address(&info_of(301)->id.daddr, NEW_LOCAL);
    assert_int_equal(move(*state, 302, &path), -ENOENT);
    assert_int_equal(drop(*state, 300), 0);
    assert_int_equal(sending_spi(), 401);
    assert_false(kernel.gap || kernel.used_twice);
}

/* With zeros for a key everybody could read it. */
static void keys_that_the_kernel_does_not_show_are_not_made_up(void **state)
{
    const SaPath path = path_of(true);
    const SaOrder sa = order_of(300, 400);
    add_used(*state, &sa);
    kernel.redacts = true;
    assert_int_equal(move(*state, 300, &path), -EACCES);
    kernel.redacts = false;
    assert_key(300, KEY_IN);
    assert_key(400, KEY_OUT);
    hear(*state, 300, DATAPLANE_STATE_GONE);
}

static void a_pair_that_could_not_be_moved_is_said_to_be_gone(void **state)
{
    const SaPath path = path_of(true);
    const SaOrder sa = order_of(300, 400);
    for (unsigned allowed = 0; allowed < 2; allowed++) {
        kernel.allowed = ALLOWED_ALL;
        add_used(*state, &sa);
        kernel.allowed = allowed;
        assert_int_equal(move(*state, 300, &path), -ENOBUFS);
        hear(*state, 300, DATAPLANE_STATE_GONE);
        assert_false(kernel.used_twice);
        assert_int_equal(drop(*state, 300), 0);
        assert_int_equal(kernel.n_states, 0);
        kernel.used[0] = 0;
    }
    kernel.allowed = ALLOWED_ALL;
    add_used(*state, &sa);
    kernel.counts_error = -EINVAL;
    assert_int_equal(move(*state, 300, &path), -EINVAL);
    hear(*state, 300, DATAPLANE_STATE_GONE);
}

/* Before anything of it has changed: tred closes its exchange all the same. */
static void a_pair_that_could_not_be_read_is_left_where_it_is_and_said_to_be_gone(void **state)
{
    enum { STATE_SIZE_MAX = 2048 };
    const SaPath path = path_of(true);
    assert_int_equal(add(*state, 300, 400), 0);
    kernel.no_locked_memory = true;
    assert_int_equal(move(*state, 300, &path), -ENOMEM);
    kernel.no_locked_memory = false;
    hear(*state, 300, DATAPLANE_STATE_GONE);
    kernel.look_error = -ENOBUFS;
    assert_int_equal(move(*state, 300, &path), -ENOBUFS);
    kernel.look_error = 0;
    kernel.shown_size = STATE_SIZE_MAX + 4;
    assert_int_equal(move(*state, 300, &path), -EMSGSIZE);
    assert_int_equal(kernel.n_states, 2);
    assert_address(&info_of(300)->id.daddr, LOCAL);
    kernel.shown_size = STATE_SIZE_MAX;
    assert_int_equal(move(*state, 300, &path), 0);
    assert_address(&info_of(300)->id.daddr, NEW_LOCAL);
}

static void a_pair_whose_own_address_is_not_known_is_refused_and_stays_where_it_is(void **state)
{
    SaOrder sa = order_of(300, 400);
    SaPath path = path_of(true);
    sa.local = (struct sockaddr_storage){0};
    assert_int_equal(add_order(*state, &sa), -EINVAL);
    assert_int_equal(kernel.n_states, 0);
    assert_int_equal(add(*state, 300, 400), 0);
    path.local = sa.local;
    assert_int_equal(move(*state, 300, &path), -EINVAL);
    hear(*state, 0, 0);
    assert_int_equal(kernel.n_states, 2);
}

static void what_is_ordered_of_a_pair_that_is_not_there_is_refused(void **state)
{
    static const OrderType types[] = {ORDER_REMOVE_SA, ORDER_USE_SA, ORDER_MOVE_SA,
                                      ORDER_SA_COUNTERS, ORDER_PATH_MTU};
    const SaPath path = path_of(true);
    Answer answer;
    int tun = -1;
    assert_int_equal(add(*state, 300, 400), 0);
    for (size_t i = 0; i < ELEMENTS(types); i++) {
        const Order order = {.type = types[i], .id = 301, .path = path};
        net_plane_carry_out(*state, &order, -1, &answer, &tun);
        assert_int_equal(answer.error, -ENOENT);
    }
    /* Nor is the back end, were it asked. */
    assert_int_equal(NET_BACKEND_KERNEL.remove_sa(*state, &(NetSa){.spi_in = 301}), -ENOENT);
    assert_int_equal(NET_BACKEND_KERNEL.move_sa(*state, 301, &path, &answer.reason), -ENOENT);
    assert_int_equal(kernel.n_states, 2);
}

static void a_state_that_the_kernel_refuses_leaves_nothing_of_its_pair(void **state)
{
    kernel.allowed = 1;
    assert_int_equal(add(*state, 300, 400), -ENOBUFS);
    assert_int_equal(kernel.n_states, 0);
    assert_int_equal(drop(*state, 300), -ENOENT);
}

/* Its own is left, and no half of a pair made beside it. */
static void an_spi_that_a_state_of_somebody_else_has_is_refused(void **state)
{
    kernel.states[kernel.n_states++] = (State){.spi = 300};
    assert_int_equal(add(*state, 300, 400), -EEXIST);
    assert_int_equal(kernel.n_states, 1);
    assert_int_equal(kernel.states[0].spi, 300);
    assert_false(kernel.attached[0]);
    kernel.n_states = 0;
}

static void a_policy_that_the_kernel_refuses_leaves_nothing_of_its_pair(void **state)
{
    for (unsigned n = 1; n <= 3; n++) {
        kernel.policy_error = n;
        assert_int_equal(add(*state, 300, 400), -ENOMEM);
        assert_int_equal(kernel.n_states, 0);
        assert_int_equal(kernel.n_policies, 0);
    }
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

/* Everybody's states are told of. */
static void what_expires_or_lets_in_a_packet_of_others_is_no_event(void **state)
{
    assert_int_equal(add(*state, 300, 400), 0);
    assert_int_equal(add_standby(*state, 301, 401), 0);
    expire(500, false);
    struct xfrm_user_expire *hard = message(XFRM_MSG_EXPIRE, sizeof(*hard));
    hard->state.id.spi = htonl(500);
    hard->hard = true;
    tell_of_packet(500);
    hear(*state, 0, 0);
    assert_int_equal(sending_spi(), 400);
}

/* An SPI is its receiver's to choose: a SeGW may have that of another one's pair for its own end.
 */
static void a_state_of_the_same_spi_at_another_address_is_another(void **state)
{
    const struct sockaddr_storage others[] = {address(1), address(3)};
    assert_int_equal(add(*state, 300, 400), 0);
    assert_int_equal(add_standby(*state, 301, 401), 0);
    for (size_t i = 0; i < ELEMENTS(others); i++) {
        struct xfrm_user_expire *hard = message(XFRM_MSG_EXPIRE, sizeof(*hard));
        hard->state.id.spi = htonl(300);
        hard->state.family = AF_INET;
        memcpy(&hard->state.id.daddr, &((const struct sockaddr_in *)&others[i])->sin_addr, 4);
        hard->hard = true;
        struct xfrm_aevent_id *packet = message(XFRM_MSG_NEWAE, sizeof(*packet));
        packet->sa_id = (struct xfrm_usersa_id){
            .daddr = hard->state.id.daddr, .spi = htonl(301), .family = AF_INET};
        packet->flags = XFRM_AE_CR;
        hear(*state, 0, 0);
        assert_int_equal(sending_spi(), 400);
    }
    expire(300, false);
    hear(*state, 300, DATAPLANE_SOFT_LIFETIME);
}

static void a_kernel_without_esp_is_told_from_one_that_may_not_be_configured(void **state)
{
    static const int lacking[] = {-EPROTONOSUPPORT, -ENOSYS, -EOPNOTSUPP, -ENOENT};
    NetPlane *plane = NULL;
    Reason reason = {0};
    (void)state;
    for (size_t i = 0; i < ELEMENTS(lacking); i++) {
        kernel.add_error = lacking[i];
        assert_int_equal(net_plane_open(DATAPLANE_KERNEL, &two_interfaces, &plane, &reason),
                         -EOPNOTSUPP);
        assert_non_null(strstr(reason.text, "xfrm_interface"));
    }
    kernel.add_error = -EPERM;
    assert_int_equal(net_plane_open(DATAPLANE_KERNEL, &two_interfaces, &plane, &reason), -EPERM);
    assert_non_null(strstr(reason.text, "CAP_NET_ADMIN"));
    reason = (Reason){0}; /* user space is no way out of that */
    assert_int_equal(net_plane_open(DATAPLANE_AUTO, &two_interfaces, &plane, &reason), -EPERM);
    assert_non_null(strstr(reason.text, "CAP_NET_ADMIN"));
    kernel.add_error = 0;
    assert_null(plane);
}

/* Of an earlier tred-net, which was killed. */
static void what_was_left_of_states_and_policies_goes_as_it_begins(void **state)
{
    NetPlane *plane = *state, *next = NULL;
    Reason reason = {0};
    assert_int_equal(add(plane, 300, 400), 0);
    kernel.n_opened = 0;
    assert_int_equal(net_plane_open(DATAPLANE_KERNEL, &two_interfaces, &next, &reason), 0);
    assert_int_equal(kernel.n_states, 0);
    assert_int_equal(kernel.n_policies, 0);
    net_plane_close(next);
    kernel.n_opened = 2;
}

static void assert_does_not_open(int error, const char *why)
{
    NetPlane *plane = NULL;
    Reason reason = {0};
    const size_t before = kernel.n_opened;
    assert_int_equal(net_plane_open(DATAPLANE_KERNEL, &two_interfaces, &plane, &reason), error);
    assert_non_null(strstr(reason.text, why));
    assert_null(plane);
    assert_int_equal(kernel.n_opened, before);
}

static void what_stands_in_the_way_is_told_as_it_begins(void **state)
{
    (void)state;
    kernel.open_error = -EPERM;
    assert_does_not_open(-EPERM, "CAP_NET_ADMIN");
    kernel.open_error = 0;
    kernel.link_error = -EEXIST; /* the first of all that are tried */
    assert_does_not_open(-EEXIST, "an interface segw0 that tred did not make");
    kernel.link_error = 0;
    kernel.no_memory = true;
    assert_does_not_open(-ENOMEM, "Out of memory");
    kernel.no_memory = false;
    kernel.no_locked_memory = true;
    assert_does_not_open(-ENOMEM, "can't be configured");
    kernel.no_locked_memory = false;
}

/* Where mode = auto. */
static void
a_kernel_without_esp_leaves_it_to_user_space_and_both_are_told_where_neither_can(void **state)
{
    NetPlane *plane = NULL;
    Reason reason = {0};
    (void)state;
    memset(&kernel, 0, sizeof(kernel));
    kernel.add_error = -ENOENT;
    assert_int_equal(net_plane_open(DATAPLANE_AUTO, &two_interfaces, &plane, &reason), 0);
    assert_int_equal(plane->backend->mode, DATAPLANE_USER);
    assert_string_equal(reason.text, "");
    net_plane_close(steal_pointer(plane));
    kernel.tun_error = ENODEV;
    assert_int_equal(net_plane_open(DATAPLANE_AUTO, &two_interfaces, &plane, &reason), -ENODEV);
    assert_non_null(strstr(reason.text, "xfrm_interface"));
    assert_non_null(strstr(reason.text, "Load the module tun"));
    assert_null(plane);
    assert_int_equal(kernel.n_opened, 0);
}

/* What poll() found says which, and the network itself whether it is worth a look. */
static void the_network_that_has_changed_is_looked_at_and_no_other(void **state)
{
    NetPlane *plane = *state;
    struct pollfd polled[NET_PLANE_POLL_MAX];
    DataPlaneEvent event;
    for (size_t i = 0; i < 2; i++) {
        SaOrder order = order_by(i, 300 + (uint32_t)i, 400 + (uint32_t)i);
        assert_int_equal(add_order(plane, &order), 0);
    }
    const size_t n = net_plane_poll(plane, polled);
    assert_int_equal(n, 3);
    kernel.changed = 2;
    polled[0].revents = POLLIN; /* not of what has changed */
    polled[1].revents = polled[2].revents = 0;
    net_plane_watch(plane, polled, n);
    assert_int_equal(kernel.n_looks[0] + kernel.n_looks[1], 0);
    polled[1].revents = POLLIN;
    net_plane_watch(plane, polled, n);
    assert_int_equal(kernel.n_looks[0], 0);
    assert_int_equal(kernel.n_looks[1], 1);
    assert_true(net_plane_event(plane, &event));
    assert_int_equal(event.spi_in, 301);
    assert_int_equal(event.type, DATAPLANE_ROUTE_GONE);
    assert_false(net_plane_event(plane, &event));
}

/* All are tried, and none stays. */
static void the_interface_that_can_not_be_made_is_named_as_it_begins(void **state)
{
    NetPlane *plane = NULL;
    Reason reason = {0};
    (void)state;
    memset(&kernel, 0, sizeof(kernel));
    kernel.allowed = ALLOWED_ALL;
    for (size_t i = 0; i < two_interfaces.n; i++) {
        kernel.attach_errors[i] = -EEXIST;
        assert_does_not_open(-EEXIST, two_interfaces.names[i]);
        kernel.attach_errors[i] = 0;
        assert_false(kernel.attached[0] || kernel.attached[1]);
    }
    assert_int_equal(net_plane_open(DATAPLANE_KERNEL, &two_interfaces, &plane, &reason), 0);
    assert_false(kernel.attached[0] || kernel.attached[1]);
    net_plane_close(plane);
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

static bool has_extra_flags(const struct nlmsghdr *header)
{
    AttributeSearch search = {.type = XFRMA_SA_EXTRA_FLAGS};
    (void)mnl_attr_parse(header, sizeof(struct xfrm_usersa_info), attribute_look, &search);
    return search.found && mnl_attr_get_u32(search.found) == XFRM_SA_XFLAG_DONT_ENCAP_DSCP;
}

static void the_kernel_copies_dscp_and_ecn_unless_it_is_told_not_to(void **state)
{
    assert_int_equal(add(*state, 300, 400), 0);
    assert_false(kernel.state_flags & XFRM_STATE_NOECN);
    assert_false(has_extra_flags((const struct nlmsghdr *)kernel.orders[0].octets));
    kernel.n_orders = 0;
    kernel.hides_marks = true;
    assert_int_equal(add(*state, 301, 401), 0);
    assert_true(kernel.state_flags & XFRM_STATE_NOECN);
    assert_true(has_extra_flags((const struct nlmsghdr *)kernel.orders[0].octets));
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
        PLANE(each_direction_has_its_own_key_and_a_replay_window),
        PLANE(the_kernel_is_given_each_limit_of_the_order),
        PLANE(each_algorithm_has_the_kernels_name),
        PLANE(what_comes_in_or_is_passed_on_must_have_come_through_the_tunnel),
        PLANE(each_interface_has_states_and_policies_of_its_own_and_goes_with_its_last_pair),
        PLANE(a_policy_that_somebody_deletes_is_told_to_the_pairs_of_its_interface_alone),
        PLANE(an_sa_for_an_interface_that_was_not_named_is_refused),
        PLANE(what_another_segw_sent_is_let_in_by_no_policy_of_the_first_one),
        PLANE(an_sa_pair_is_two_states_and_three_policies_and_goes_without_a_trace),
        PLANE(keys_are_wiped_from_the_attributes_that_they_were_copied_to),
        PLANE(the_newest_pairs_tunnel_counts_if_either_end_is_another),
        PLANE(policies_beyond_what_there_is_room_for_are_refused_and_the_others_stay),
        PLANE(a_pair_for_some_dscps_is_refused_and_leaves_nothing_behind),
        PLANE(policies_are_shared_by_sas_unless_their_selectors_differ_in_anything),
        PLANE(what_goes_out_takes_the_newest_pair_that_is_not_in_standby),
        PLANE(a_pair_in_standby_takes_over_before_the_one_that_sent_is_gone),
        PLANE(a_pair_in_standby_that_sends_goes_on_when_another_one_comes),
        PLANE(a_pair_in_standby_sends_once_its_peer_has_sent_by_it),
        PLANE(a_pair_that_could_not_be_used_is_again_as_the_peer_sends_once_more),
        PLANE(the_kernel_tells_of_packets_while_a_pair_is_in_standby_alone),
        PLANE(a_pair_in_standby_waits_for_its_peer_also_after_a_move),
        PLANE(a_kernel_that_does_not_tell_of_packets_has_the_pair_wait_until_it_is_used),
        PLANE(where_the_one_that_sent_reaches_its_hard_lifetime_another_one_sends),
        PLANE(a_pair_that_the_kernel_does_not_let_send_is_said_to_fail),
        PLANE(a_pair_has_counted_what_its_states_have_each_in_its_direction),
        PLANE(of_what_the_kernel_does_not_have_or_tell_nothing_is_said_to_be_counted),
        PLANE(a_moved_pair_has_its_keys_its_window_its_limits_and_what_it_has_counted),
        PLANE(no_number_is_used_twice_while_a_pair_moves),
        PLANE(nor_is_one_that_was_under_way),
        PLANE(numbers_that_are_nearly_used_up_do_not_begin_anew),
        PLANE(encapsulation_comes_and_goes_with_the_path),
        PLANE(during_a_rekey_each_pair_moves_and_both_receive),
        PLANE(keys_that_the_kernel_does_not_show_are_not_made_up),
        PLANE(a_pair_that_could_not_be_moved_is_said_to_be_gone),
        PLANE(a_pair_that_could_not_be_read_is_left_where_it_is_and_said_to_be_gone),
        PLANE(a_state_that_the_kernel_refuses_leaves_nothing_of_its_pair),
        PLANE(an_spi_that_a_state_of_somebody_else_has_is_refused),
        PLANE(a_policy_that_the_kernel_refuses_leaves_nothing_of_its_pair),
        PLANE(a_network_that_is_refused_leaves_nothing_of_its_pair),
        PLANE(a_flush_of_states_by_somebody_else_is_told_of_each_sa_once),
        PLANE(one_state_that_somebody_else_deletes_is_told_of_its_own_sa_alone),
        PLANE(a_flush_of_policies_by_somebody_else_is_told),
        PLANE(what_a_lost_message_would_have_told_is_found_by_looking),
        PLANE(an_sa_that_expires_is_told_as_such_and_not_as_taken_away),
        PLANE(what_others_delete_of_their_own_is_no_event),
        PLANE(a_kernel_without_esp_is_told_from_one_that_may_not_be_configured),
        PLANE(what_expires_or_lets_in_a_packet_of_others_is_no_event),
        PLANE(a_state_of_the_same_spi_at_another_address_is_another),
        PLANE(what_was_left_of_states_and_policies_goes_as_it_begins),
        PLANE(what_stands_in_the_way_is_told_as_it_begins),
        cmocka_unit_test(the_interface_that_can_not_be_made_is_named_as_it_begins),
        cmocka_unit_test(
            a_kernel_without_esp_leaves_it_to_user_space_and_both_are_told_where_neither_can),
        PLANE(the_network_that_has_changed_is_looked_at_and_no_other),
        PLANE(without_keys_nothing_is_installed),
        PLANE(keys_are_refused_where_the_kernel_is_not_to_have_them),
        PLANE(a_pair_whose_own_address_is_not_known_is_refused_and_stays_where_it_is),
        PLANE(what_is_ordered_of_a_pair_that_is_not_there_is_refused),
        PLANE(an_spi_is_in_use_once),
        PLANE(no_more_sas_are_taken_than_there_is_room_for),
        PLANE(the_kernel_copies_dscp_and_ecn_unless_it_is_told_not_to),
        PLANE(esp_packets_may_be_cut_up_on_the_way_where_ipv6_is_inside),
    };
    return cmocka_run_group_tests(tests, group_setup, NULL);
}
