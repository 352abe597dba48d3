/* Moving an XFRM state. XFRM_MSG_MIGRATE, which is for that, copies a state while it may be
 * sending, so that both use the same numbers, which are IVs; it finds states by addresses alone, of
 * which two pairs have the same during a rekey; and it can't take encapsulation off. So a state is
 * read, deleted and put in again. Its keys pass through here once more, as they did when it was
 * made, and are kept no longer than that. */
#include "net/xfrm_internal.h"

#include <errno.h>
#include <string.h>

enum { STATE_SIZE_MAX = 2048 }; /* of what the kernel says of one: 700 octets today */

/* What the kernel says of a state: struct xfrm_usersa_info and attributes. */
typedef struct Dump {
    Secret *message;
    size_t size;
} Dump;

static int keep_message(const struct nlmsghdr *header, void *userdata)
{
    Dump *dump = userdata;
    if (header->nlmsg_len <= dump->message->size) {
        memcpy(dump->message->data, header, header->nlmsg_len);
        dump->size = header->nlmsg_len;
    }
    return MNL_CB_STOP;
}

static int read_state(Netlink *netlink, const struct sockaddr_storage *destination, uint32_t spi,
                      Dump *dump)
{
    (void)xfrm_begin_state(netlink, XFRM_MSG_GETSA, destination, spi);
    int r = netlink_dump(netlink, keep_message, dump);
    return r >= 0 && dump->size == 0 ? -EMSGSIZE : r;
}

static bool is_zero(const uint8_t *octets, size_t size)
{
    uint8_t any = 0;
    for (size_t i = 0; i < size; i++)
        any |= octets[i];
    return any == 0;
}

/* Locked down for confidentiality the kernel shows zeros in the place of keys. */
static bool is_redacted(const struct nlattr *attribute)
{
    size_t head;
    switch (mnl_attr_get_type(attribute)) {
    case XFRMA_ALG_AEAD:
        head = sizeof(struct xfrm_algo_aead);
        break;
    case XFRMA_ALG_CRYPT:
        head = sizeof(struct xfrm_algo);
        break;
    case XFRMA_ALG_AUTH_TRUNC:
        head = sizeof(struct xfrm_algo_auth);
        break;
    default:
        return false;
    }
    size_t size = mnl_attr_get_payload_len(attribute);
    const uint8_t *octets = mnl_attr_get_payload(attribute);
    return size <= head || is_zero(octets + head, size - head);
}

static int look_at_keys(const struct nlattr *attribute, void *userdata)
{
    bool *redacted = userdata;
    *redacted = *redacted || is_redacted(attribute);
    return MNL_CB_OK;
}

static void skip_numbers(struct xfrm_replay_state_esn *replay, bool esn)
{
    uint64_t last = (esn ? (uint64_t)replay->oseq_hi << 32 : 0) | replay->oseq;
    uint64_t most = esn ? UINT64_MAX : UINT32_MAX;
    last = last > most - XFRM_MOVE_SKIPS ? most : last + XFRM_MOVE_SKIPS;
    replay->oseq = (uint32_t)last;
    replay->oseq_hi = esn ? (uint32_t)(last >> 32) : 0;
}

typedef struct Copy {
    struct nlmsghdr *to;
    bool outbound;
    bool esn;
} Copy;

/* All but what the new path decides, and what is no part of a new state. */
static int copy_attribute(const struct nlattr *attribute, void *userdata)
{
    const Copy *copy = userdata;
    uint16_t type = mnl_attr_get_type(attribute);
    if (type == XFRMA_ENCAP || type == XFRMA_LASTUSED)
        return MNL_CB_OK;
    uint8_t *at = mnl_nlmsg_get_payload_tail(copy->to);
    mnl_attr_put(copy->to, type, mnl_attr_get_payload_len(attribute),
                 mnl_attr_get_payload(attribute));
    if (type == XFRMA_REPLAY_ESN_VAL && copy->outbound)
        skip_numbers(mnl_attr_get_payload((struct nlattr *)at), copy->esn);
    return MNL_CB_OK;
}

/* The numbers that are skipped are none that a limit in packets may count on. */
static void shorten(struct xfrm_lifetime_cfg *limits)
{
    __u64 *const packets[] = {&limits->soft_packet_limit, &limits->hard_packet_limit};
    for (size_t i = 0; i < ELEMENTS(packets); i++) {
        if (*packets[i] != XFRM_INF)
            *packets[i] -= *packets[i] > XFRM_MOVE_SKIPS ? XFRM_MOVE_SKIPS : *packets[i] - 1;
    }
}

static int add_moved(Netlink *netlink, XfrmDirection direction, const struct nlmsghdr *old,
                     const SaPath *path)
{
    bool inbound = direction == XFRM_INBOUND;
    const struct sockaddr_storage *source = inbound ? &path->remote : &path->local;
    const struct sockaddr_storage *destination = inbound ? &path->local : &path->remote;
    struct xfrm_usersa_info *info;
    struct nlmsghdr *header =
        netlink_begin(netlink, XFRM_MSG_NEWSA, NLM_F_CREATE | NLM_F_EXCL, sizeof(*info), &info);
    memcpy(info, mnl_nlmsg_get_payload(old), sizeof(*info));
    info->id.daddr = xfrm_address(destination);
    info->saddr = xfrm_address(source);
    info->family = source->ss_family;
    Copy copy = {.to = header, .outbound = !inbound, .esn = info->flags & XFRM_STATE_ESN};
    if (copy.outbound && !copy.esn)
        shorten(&info->lft);
    (void)mnl_attr_parse(old, sizeof(*info), copy_attribute, &copy);
    if (path->udp_encapsulated)
        xfrm_put_encapsulation(header, source, destination);
    xfrm_put_silence(header);
    return netlink_call(netlink);
}

/* What it has counted, and since when: the limits stand as they did. */
static int restore_counts(Netlink *netlink, const struct sockaddr_storage *destination,
                          uint32_t spi, const struct xfrm_lifetime_cur *counts)
{
    struct nlmsghdr *header = xfrm_begin_aevent(netlink, destination, spi);
    mnl_attr_put(header, XFRMA_LTIME_VAL, sizeof(*counts), counts);
    return netlink_call(netlink);
}

int xfrm_state_move(Netlink *netlink, XfrmDirection direction,
                    const struct sockaddr_storage *destination, uint32_t spi, const SaPath *path)
{
    bool inbound = direction == XFRM_INBOUND, redacted = false;
    _cleanup_(secret_freep) Secret *message = NULL;
    int r = secret_new(STATE_SIZE_MAX, &message);
    if (r < 0)
        return r;
    Dump dump = {.message = message};
    r = read_state(netlink, destination, spi, &dump);
    if (r < 0)
        return r;
    const struct nlmsghdr *old = (const struct nlmsghdr *)message->data;
    const struct xfrm_usersa_info *info = mnl_nlmsg_get_payload(old);
    (void)mnl_attr_parse(old, sizeof(*info), look_at_keys, &redacted);
    if (redacted)
        return -EACCES;
    r = xfrm_state_delete(netlink, destination, spi);
    if (r >= 0)
        r = add_moved(netlink, direction, old, path);
    if (r < 0)
        return r;
    const struct sockaddr_storage *moved_to = inbound ? &path->local : &path->remote;
    r = restore_counts(netlink, moved_to, spi, &info->curlft);
    if (r < 0)
        (void)xfrm_state_delete(netlink, moved_to, spi);
    return r;
}
