/* The list of SeGWs, and what each of them has done to be tried again, or not yet; REDIRECT read,
 * REDIRECTED_FROM written, and the limit on both. */
#include "ikeclient/targets.h"

#include "base/cleanup.h"
#include "base/fqdn.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define USEC_PER_SEC UINT64_C(1000000)

enum { MCC_SIZE = 3, MNC_SIZE = 3 };

/* ---- reading ---- */

static size_t digits(const char *text)
{
    return strspn(text, "0123456789");
}

bool plmn_is_valid(const char *plmn)
{
    size_t mnc = 0;

    if (digits(plmn) != MCC_SIZE || plmn[MCC_SIZE] != '-')
        return false;
    mnc = digits(plmn + MCC_SIZE + 1);
    return (mnc == MNC_SIZE || mnc == MNC_SIZE - 1) && plmn[MCC_SIZE + 1 + mnc] == 0;
}

/* An MNC of two digits gets a zero in front (TS 23.003 19.2). */
static int compose(const char *labels, size_t size, const char *plmn, char *ret)
{
    if (!plmn)
        return -ENOENT;
    if (!plmn_is_valid(plmn) || size == 0)
        return -EINVAL;
    const char *mnc = plmn + MCC_SIZE + 1;
    int n = snprintf(ret, TARGETS_NAME_SIZE, "%.*s.mnc%s%s.mcc%.3s.pub.3gppnetwork.org", (int)size,
                     labels, strlen(mnc) < MNC_SIZE ? "0" : "", mnc, plmn);
    return n < TARGETS_NAME_SIZE ? 0 : -ENAMETOOLONG;
}

static int read_one(const char *text, size_t size, const char *plmn, char *ret)
{
    static const char prefix[] = "plmn:";
    const size_t prefix_size = sizeof(prefix) - 1;

    if (size > prefix_size && strncmp(text, prefix, prefix_size) == 0)
        return compose(text + prefix_size, size - prefix_size, plmn, ret);
    if (size == 0)
        return -EINVAL;
    if (size >= TARGETS_NAME_SIZE)
        return -ENAMETOOLONG;
    memcpy(ret, text, size);
    ret[size] = 0;
    return 0;
}

int targets_read(Targets *targets, const char *text, const char *plmn)
{
    *targets = (Targets){0};
    for (;;) {
        text += strspn(text, " \t");
        size_t size = strcspn(text, ","), bare = size;
        while (bare > 0 && strchr(" \t", text[bare - 1]))
            bare--;
        if (targets->count == TARGETS_MAX)
            return -E2BIG;
        int r = read_one(text, bare, plmn, targets->list[targets->count].name);
        if (r < 0)
            return r;
        targets->count++;
        if (text[size] == 0)
            return 0;
        text += size + 1;
    }
}

/* ---- which one ---- */

bool targets_choose(Targets *targets, uint64_t now, bool better)
{
    const size_t count = better ? targets->used : targets->count;

    for (size_t i = 0; i < count; i++) {
        if (!targets->list[i].tried && now >= targets->list[i].held_until) {
            targets->current = i;
            return true;
        }
    }
    for (size_t i = 0; i < count && !better; i++) {
        if (!targets->list[i].tried) {
            targets->current = i;
            return true;
        }
    }
    return false;
}

const Endpoint *targets_address(Targets *targets, const Endpoint *addresses, size_t count,
                                const Endpoint **ret_other)
{
    Target *target = &targets->list[targets->current];
    size_t first = 0;

    for (size_t i = 0; i < count && target->last.any.sa_family != 0; i++) {
        if (endpoint_same_address(&addresses[i], &target->last))
            first = (i + target->advance) % count;
    }
    target->last = addresses[first];
    target->advance = false;
    *ret_other = NULL;
    for (size_t i = 1; i < count && !*ret_other; i++) {
        const Endpoint *other = &addresses[(first + i) % count];
        if (other->any.sa_family != addresses[first].any.sa_family)
            *ret_other = other;
    }
    return &addresses[first];
}

/* ---- what became of it ---- */

static uint64_t hold_of(const Targets *targets, unsigned failures)
{
    const uint64_t most = targets->hold > TARGETS_HOLD_MAX_S ? targets->hold : TARGETS_HOLD_MAX_S;
    uint64_t seconds = targets->hold;

    for (unsigned i = 1; i < failures && seconds < most; i++)
        seconds *= 2;
    return (seconds < most ? seconds : most) * USEC_PER_SEC;
}

bool targets_failed(Targets *targets, uint64_t now)
{
    Target *target = &targets->list[targets->current];

    if (target->failures < UINT8_MAX)
        target->failures++;
    target->held_until = now + hold_of(targets, target->failures);
    target->advance = target->tried = true;
    for (size_t i = 0; i < targets->count; i++) {
        if (!targets->list[i].tried)
            return true;
    }
    targets_rest(targets);
    return false;
}

/* Who has worked for long has not failed before. */
void targets_lost(Targets *targets, uint64_t now)
{
    const size_t tried = targets->current; /* another one may be, at this moment */

    targets->current = targets->used;
    if (targets->since != 0 && now - targets->since >= TARGETS_PROVEN_S * USEC_PER_SEC)
        targets->list[targets->current].failures = 0;
    targets->since = 0;
    (void)targets_failed(targets, now);
    targets->current = tried;
}

void targets_rest(Targets *targets)
{
    for (size_t i = 0; i < targets->count; i++)
        targets->list[i].tried = false;
}

void targets_worked(Targets *targets, const Endpoint *address, uint64_t now)
{
    targets->used = targets->current;
    targets->list[targets->used].last = *address;
    targets->since = now;
    targets_rest(targets);
}

uint64_t targets_return_at(const Targets *targets)
{
    uint64_t when = TARGETS_NEVER;

    for (size_t i = 0; targets->hold > 0 && i < targets->used; i++) {
        if (!targets->list[i].tried && targets->list[i].held_until < when)
            when = targets->list[i].held_until;
    }
    return when;
}

/* ---- REDIRECT ---- */

/* RFC 5685 11: Gateway Identity Types. */
enum { GATEWAY_IPV4 = 1, GATEWAY_IPV6 = 2, GATEWAY_FQDN = 3 };

#define PERIOD_USEC (REDIRECT_PERIOD_S * UINT64_C(1000000))

static bool read_name(uint8_t type, Bytes identity, Redirect *ret)
{
    switch (type) {
    case GATEWAY_IPV4:
        return identity.size == sizeof(struct in_addr) &&
               inet_ntop(AF_INET, identity.data, ret->name, sizeof(ret->name));
    case GATEWAY_IPV6:
        return identity.size == sizeof(struct in6_addr) &&
               inet_ntop(AF_INET6, identity.data, ret->name, sizeof(ret->name));
    case GATEWAY_FQDN:
        if (identity.size == 0 || identity.size >= sizeof(ret->name) ||
            !fqdn_is_valid((const char *)identity.data, identity.size))
            return false;
        memcpy(ret->name, identity.data, identity.size);
        ret->name[identity.size] = 0;
        return true;
    default:
        return false;
    }
}

int redirect_read(Bytes data, Bytes nonce, Redirect *ret)
{
    uint8_t type = 0, size = 0;
    Redirect redirect = {0};
    Reader reader;
    Bytes identity;

    *ret = (Redirect){0};
    reader_init(&reader, data);
    if (reader_u8(&reader, &type) < 0 || reader_u8(&reader, &size) < 0 ||
        reader_take(&reader, size, &identity) < 0 || !read_name(type, identity, &redirect) ||
        !bytes_equal(reader_rest(&reader), nonce))
        return -EBADMSG;
    *ret = redirect;
    return 0;
}

size_t redirected_from_write(const Endpoint *segw, uint8_t *octets)
{
    const Bytes address = endpoint_address(segw);
    Writer writer;

    writer_init(&writer, octets, REDIRECTED_FROM_MAX);
    writer_u8(&writer, segw->any.sa_family == AF_INET6 ? GATEWAY_IPV6 : GATEWAY_IPV4);
    writer_u8(&writer, (uint8_t)address.size);
    writer_bytes(&writer, address);
    return writer.size;
}

bool redirect_allows(RedirectGuard *guard, uint64_t now)
{
    if (guard->times[0] != 0 && now - guard->times[0] < PERIOD_USEC)
        return false;
    memmove(&guard->times[0], &guard->times[1], sizeof(guard->times) - sizeof(guard->times[0]));
    guard->times[REDIRECTS_MAX - 1] = now > 0 ? now : 1;
    return true;
}
