/* Reads from both IKE_AUTH messages, as tred sealed and opened them, which Child SA was asked for
 * and granted, and holds that against what this device allows. */
#include "base/reason.h"
#include "ikewire/message.h"
#include "tred/exchange_internal.h"
#include "tred/selector_policy.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

enum {
    ESP_SPI_MIN = 256, /* RFC 4303 2.1: 0 to 255 are reserved */
    ESP_SPI_SIZE = 4,
    IPV4_SIZE = 4,
    IPV6_SIZE = 16,
};

/* What one of the messages says of the Child SA. */
typedef struct ChildPart {
    IkeSaPayload sa;
    IkeTs ts_i;
    IkeTs ts_r;
    IkeCp cp; /* without attributes where there is none of the type that counts */
} ChildPart;

/* ---- reading ---- */

static int malformed(const char *which, const char *payload, Reason *reason)
{
    return reason_set(reason, EXCHANGE_E_MALFORMED, "The %s's %s payload does not parse", which,
                      payload);
}

static int cp_read(const IkePayloads *payloads, uint8_t cfg_type, IkeCp *ret)
{
    const IkePayload *cp = ike_payloads_find(payloads, IKE_PAYLOAD_CP);

    ret->n_attributes = 0;
    if (!cp)
        return 0;
    if (ike_cp_decode(cp->body, ret) != 0)
        return -1;
    if (ret->cfg_type != cfg_type) /* RFC 7296 3.15: other types are ignored */
        ret->n_attributes = 0;
    return 0;
}

/* CHILD_NOT_GRANTED where one of SA, TSi and TSr is not there. */
static int part_read(const IkePayloads *payloads, const char *which, uint8_t cfg_type,
                     ChildPart *ret, Reason *reason)
{
    const IkePayload *sa = ike_payloads_find(payloads, IKE_PAYLOAD_SA);
    const IkePayload *ts_i = ike_payloads_find(payloads, IKE_PAYLOAD_TSI);
    const IkePayload *ts_r = ike_payloads_find(payloads, IKE_PAYLOAD_TSR);
    IkeNotify notify;

    if (!sa || !ts_i || !ts_r) {
        return reason_set(reason, EXCHANGE_E_CHILD_NOT_GRANTED,
                          "The %s has no Child SA: SA, TSi and TSr belong to one", which);
    }
    if (ike_payloads_notify(payloads, IKE_NOTIFY_USE_TRANSPORT_MODE, &notify)) {
        return reason_set(reason, EXCHANGE_E_CHILD_NOT_GRANTED,
                          "The %s is about transport mode; a HeNB's Child SA is a tunnel", which);
    }
    if (ike_sa_decode(sa->body, &ret->sa) != 0)
        return malformed(which, "SA", reason);
    if (ike_ts_decode(ts_i->body, &ret->ts_i) != 0 || ret->ts_i.n_selectors == 0)
        return malformed(which, "TSi", reason);
    if (ike_ts_decode(ts_r->body, &ret->ts_r) != 0 || ret->ts_r.n_selectors == 0)
        return malformed(which, "TSr", reason);
    return cp_read(payloads, cfg_type, &ret->cp) < 0 ? malformed(which, "CP", reason) : 0;
}

/* Both chains were found to parse before: the request when it was sealed, the response when the
 * peer was judged. */
static int request_read(const KeptMessage *message, ChildPart *ret, Reason *reason)
{
    const char *which = "IKE_AUTH request";
    IkePayloads payloads;

    if (ike_payloads_decode(message->first, kept_payloads(message), &payloads, NULL) != 0)
        return malformed(which, "outermost", reason);
    return part_read(&payloads, which, IKE_CFG_REQUEST, ret, reason);
}

static int response_read(const KeptMessage *message, ChildPart *ret, Reason *reason)
{
    const char *which = "IKE_AUTH response";
    IkePayloads payloads;
    IkeNotify notify;

    if (ike_payloads_decode(message->first, kept_payloads(message), &payloads, NULL) != 0)
        return malformed(which, "outermost", reason);
    if (ike_payloads_error(&payloads, &notify)) {
        return reason_set(reason, EXCHANGE_E_CHILD_NOT_GRANTED,
                          "The SeGW refused the Child SA with %s (%u). See its log",
                          ike_notify_name(notify.type), notify.type);
    }
    return part_read(&payloads, which, IKE_CFG_REPLY, ret, reason);
}

/* ---- suite and SPIs (RFC 7296 2.7, 3.3) ---- */

static const IkeProposal *offer_find(const IkeSaPayload *offered, const IkeProposal *chosen)
{
    for (size_t i = 0; i < offered->n_proposals; i++) {
        const IkeProposal *offer = &offered->proposals[i];

        if (offer->number == chosen->number && offer->protocol == IKE_PROTOCOL_ESP &&
            chosen->protocol == IKE_PROTOCOL_ESP)
            return offer;
    }
    return NULL;
}

static bool offer_has(const IkeProposal *offer, const IkeTransform *transform)
{
    for (size_t i = 0; i < offer->n_transforms; i++) {
        const IkeTransform *candidate = &offer->transforms[i];

        if (candidate->type == transform->type && candidate->id == transform->id &&
            candidate->key_length == transform->key_length && !transform->unknown_attribute)
            return true;
    }
    return false;
}

/* The place of a transform of that type; NULL for a type that changes an SA in ways that we don't
 * know. */
static const IkeTransform **slot_of(uint8_t type, const IkeTransform **encr,
                                    const IkeTransform **integ, const IkeTransform **esn)
{
    switch (type) {
    case IKE_TRANSFORM_ENCR:
        return encr;
    case IKE_TRANSFORM_INTEG:
        return integ;
    case IKE_TRANSFORM_ESN:
        return esn;
    default: /* KE among them: the Child SA of IKE_AUTH has none of its own (1.2) */
        return NULL;
    }
}

/* One transform of each type, and each one that was offered. */
static bool suite_choose(const IkeProposal *offer, const IkeProposal *chosen, EspSuite *ret)
{
    const IkeTransform *encr = NULL, *integ = NULL, *esn = NULL;

    for (size_t i = 0; i < chosen->n_transforms; i++) {
        const IkeTransform *transform = &chosen->transforms[i];
        const IkeTransform **slot = slot_of(transform->type, &encr, &integ, &esn);

        if (!slot || *slot || !offer_has(offer, transform))
            return false;
        *slot = transform;
    }
    return encr && esn && esn->id <= IKE_ESN_YES &&
           esp_suite_from_ids(encr->id, encr->key_length, integ ? integ->id : IKE_INTEG_NONE,
                              IKE_GROUP_NONE, esn->id == IKE_ESN_YES, ret) == 0;
}

static int choice_read(const IkeSaPayload *offered, const IkeSaPayload *answer, uint32_t spi_in,
                       ChildGrant *ret, Reason *reason)
{
    const IkeProposal *chosen = &answer->proposals[0];
    const IkeProposal *offer = offer_find(offered, chosen);

    if (answer->n_proposals != 1 || !offer || !suite_choose(offer, chosen, &ret->suite)) {
        return reason_set(reason, EXCHANGE_E_SUITE_NOT_ALLOWED,
                          "The IKE_AUTH response did not choose one ESP suite that the request "
                          "offered and the profile has; see tred(8) for those allowed");
    }
    if (offer->spi != spi_in) {
        return reason_set(reason, EXCHANGE_E_NO_SUCH_CHILD,
                          "The IKE_AUTH request offered the SPI 0x%08x, not 0x%08x",
                          (uint32_t)offer->spi, spi_in);
    }
    if (chosen->spi < ESP_SPI_MIN) {
        return reason_set(reason, EXCHANGE_E_MALFORMED,
                          "The SeGW's ESP SPI is %u; SPIs below 256 are reserved (RFC 4303 "
                          "2.1)",
                          (uint32_t)chosen->spi);
    }
    _Static_assert(ESP_SPI_SIZE == sizeof(ret->spi_out), "ikewire has ESP SPIs of 4 octets alone");
    ret->spi_out = (uint32_t)chosen->spi;
    return 0;
}

/* ---- selectors (RFC 7296 2.9) ---- */

static int narrowing_check(const char *which, const IkeTs *asked, const IkeTs *granted,
                           Reason *reason)
{
    const IkeSelector *breach = selector_policy_breach(asked, granted);
    char text[SELECTOR_TEXT_SIZE];

    if (!breach)
        return 0;
    selector_text(breach, text);
    return reason_set(reason, EXCHANGE_E_SELECTORS_NOT_ALLOWED,
                      "The SeGW granted the %s selector %s, which is no part of what the "
                      "IKE_AUTH request asked for",
                      which, text);
}

/* ---- addresses (RFC 7296 2.19, 3.15) ---- */

static bool is_asked_for(const IkeCp *request, uint16_t type)
{
    for (size_t i = 0; i < request->n_attributes; i++) {
        if (request->attributes[i].type == type)
            return true;
    }
    return false;
}

static size_t count_family(const ChildGrant *grant, size_t size)
{
    size_t count = 0;

    for (size_t i = 0; i < grant->n_addresses; i++)
        count += grant->addresses[i].size == size;
    return count;
}

/* An address stands for itself alone, whatever prefix it is said to be in: what else there is
 * behind the tunnel is for TSr to say. Of each family the first ones are kept. */
static void address_take(const IkeAttribute *attribute, size_t size, ChildGrant *ret)
{
    InnerAddress *address = &ret->addresses[ret->n_addresses];

    if (attribute->value.size < size) /* none: the decoder has seen to all other sizes */
        return;
    if (count_family(ret, size) == DATAPLANE_ADDRESSES_OF_FAMILY)
        return;
    *address = (InnerAddress){.size = (uint8_t)size, .prefix_length = (uint8_t)(8 * size)};
    memcpy(address->octets, attribute->value.data, size);
    ret->n_addresses++;
}

/* The addresses of one family: one at least where they were asked for. Without an inner address
 * traffic would leave with the outer one. What nobody asked for is passed over. */
static int family_read(const IkeCp *request, const IkeCp *reply, uint16_t type, size_t size,
                       ChildGrant *ret, Reason *reason)
{
    if (!is_asked_for(request, type))
        return 0;
    for (size_t i = 0; i < reply->n_attributes; i++) {
        if (reply->attributes[i].type == type)
            address_take(&reply->attributes[i], size, ret);
    }
    if (count_family(ret, size) > 0)
        return 0;
    return reason_set(reason, EXCHANGE_E_ADDRESS_NOT_ALLOWED,
                      "The SeGW assigned no %s address, though one was asked for. Check its "
                      "address pool",
                      size == IPV4_SIZE ? "IPv4" : "IPv6");
}

int exchange_grant_read(const Exchange *exchange, uint32_t spi_in, ChildGrant *ret, Reason *reason)
{
    ChildPart asked = {0}, granted = {0};
    int r;

    *ret = (ChildGrant){0};
    r = request_read(&exchange->auth_request, &asked, reason);
    if (r == 0)
        r = response_read(&exchange->auth_response, &granted, reason);
    if (r == 0)
        r = choice_read(&asked.sa, &granted.sa, spi_in, ret, reason);
    if (r == 0)
        r = narrowing_check("local", &asked.ts_i, &granted.ts_i, reason);
    if (r == 0)
        r = narrowing_check("remote", &asked.ts_r, &granted.ts_r, reason);
    if (r == 0) {
        r = family_read(&asked.cp, &granted.cp, IKE_CFG_INTERNAL_IP4_ADDRESS, IPV4_SIZE, ret,
                        reason);
    }
    if (r == 0) {
        r = family_read(&asked.cp, &granted.cp, IKE_CFG_INTERNAL_IP6_ADDRESS, IPV6_SIZE, ret,
                        reason);
    }
    ret->ts_i = granted.ts_i;
    ret->ts_r = granted.ts_r;
    return r;
}

/* ---- what this device allows ---- */

/* What no host's address lies in, or what has a meaning of its own on every host (RFC 6890, RFC
 * 4291 2.4): an address in it would change where the host's own packets go. */
static const struct {
    size_t size;
    uint8_t length; /* of the prefix, in bits */
    uint8_t octets[IPV6_SIZE];
    const char *what;
} no_addresses[] = {
    {IPV4_SIZE, 8, {0}, "unspecified"},
    {IPV4_SIZE, 8, {127}, "loopback"},
    {IPV4_SIZE, 16, {169, 254}, "link-local"},
    {IPV4_SIZE, 4, {224}, "multicast"},
    {IPV4_SIZE, 4, {240}, "reserved or broadcast"},
    {IPV6_SIZE, 96, {0}, "unspecified, loopback or IPv4-compatible"},
    {IPV6_SIZE, 96, {[10] = 0xff, [11] = 0xff}, "IPv4-mapped"},
    {IPV6_SIZE, 10, {0xfe, 0x80}, "link-local"},
    {IPV6_SIZE, 8, {0xff}, "multicast"},
};

static bool shares_prefix(const uint8_t *a, const uint8_t *b, uint8_t length)
{
    size_t octets = length / 8;
    uint8_t mask = (uint8_t)(0xff00U >> (length % 8));

    return memcmp(a, b, octets) == 0 && (length % 8 == 0 || ((a[octets] ^ b[octets]) & mask) == 0);
}

static bool address_is(const struct sockaddr_storage *endpoint, const InnerAddress *address)
{
    const struct sockaddr_in *v4 = (const struct sockaddr_in *)endpoint;
    const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)endpoint;

    if (endpoint->ss_family == AF_INET && address->size == IPV4_SIZE)
        return memcmp(&v4->sin_addr, address->octets, IPV4_SIZE) == 0;
    return endpoint->ss_family == AF_INET6 && address->size == IPV6_SIZE &&
           memcmp(&v6->sin6_addr, address->octets, IPV6_SIZE) == 0;
}

/* Why no tunnel may have that address; NULL: it may. */
static const char *address_flaw(const Exchange *exchange, const InnerAddress *address)
{
    IkeTs alone = {.n_selectors = 1, .selectors = {{.end_port = UINT16_MAX}}};
    IkeSelector *selector = &alone.selectors[0];

    for (size_t i = 0; i < ELEMENTS(no_addresses); i++) {
        if (no_addresses[i].size == address->size &&
            shares_prefix(no_addresses[i].octets, address->octets, no_addresses[i].length))
            return no_addresses[i].what;
    }
    if (exchange->has_transport && address_is(&exchange->remote, address))
        return "the SeGW's own";
    if (exchange->has_transport && address_is(&exchange->transport.local, address))
        return "this host's own";
    selector->type = address->size == IPV4_SIZE ? IKE_TS_IPV4_ADDR_RANGE : IKE_TS_IPV6_ADDR_RANGE;
    memcpy(selector->start, address->octets, address->size);
    memcpy(selector->end, address->octets, address->size);
    return ike_ts_is_subset(&alone, exchange->context->allowed_local)
               ? NULL
               : "not within allowed-local of tred.conf";
}

static int addresses_check(const Exchange *exchange, const ChildGrant *grant, Reason *reason)
{
    for (size_t i = 0; i < grant->n_addresses; i++) {
        const InnerAddress *address = &grant->addresses[i];
        const char *flaw = address_flaw(exchange, address);
        char text[INET6_ADDRSTRLEN] = "";

        if (!flaw)
            continue;
        (void)inet_ntop(address->size == IPV4_SIZE ? AF_INET : AF_INET6, address->octets, text,
                        sizeof(text));
        return reason_set(reason, EXCHANGE_E_ADDRESS_NOT_ALLOWED,
                          "The SeGW assigned the address %s, which is %s. Check its address "
                          "pool",
                          text, flaw);
    }
    return 0;
}

static int selectors_check(const char *which, const IkeTs *allowed, const IkeTs *ts, Reason *reason)
{
    const IkeSelector *breach = selector_policy_breach(allowed, ts);
    char text[SELECTOR_TEXT_SIZE];

    if (!breach)
        return 0;
    selector_text(breach, text);
    return reason_set(reason, EXCHANGE_E_SELECTORS_NOT_ALLOWED,
                      "The %s selector %s is not within allowed-%s of tred.conf. Have the "
                      "SeGW narrow it, or allow it there",
                      which, text, which);
}

/* The keys of a Child SA are no better kept than those of the IKE SA that they come from. */
static int strength_check(const Exchange *exchange, const ChildGrant *grant, Reason *reason)
{
    const Cipher *ike = exchange->suite.cipher, *esp = grant->suite.cipher;

    if (exchange->context->stronger_child || esp->key_size <= ike->key_size)
        return 0;
    return reason_set(
        reason, EXCHANGE_E_SUITE_NOT_ALLOWED,
        "The Child SA's cipher, %s, is stronger than the IKE SA's, %s, by which its "
        "keys are made. Propose a stronger one for IKE, or set stronger-child = yes in "
        "[data-plane] of tred.conf",
        esp->name, ike->name);
}

/* Routes go where ts_r does, so what is checked of it holds for them. */
int exchange_grant_judge(const Exchange *exchange, const ChildGrant *grant, Reason *reason)
{
    const ExchangeContext *context = exchange->context;
    int r;

    r = strength_check(exchange, grant, reason);
    if (r == 0)
        r = selectors_check("local", context->allowed_local, &grant->ts_i, reason);
    if (r == 0)
        r = selectors_check("remote", context->allowed_remote, &grant->ts_r, reason);
    return r != 0 ? r : addresses_check(exchange, grant, reason);
}
