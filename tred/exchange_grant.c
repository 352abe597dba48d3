/* Reads from a request and its response, as tred sealed and opened them, which Child SA was asked
 * for and granted. */
#include "base/reason.h"
#include "ikewire/message.h"
#include "tred/child_policy.h"
#include "tred/exchange_internal.h"

#include <string.h>

enum {
    ESP_SPI_MIN = 256, /* RFC 4303 2.1: 0 to 255 are reserved */
    ESP_SPI_SIZE = 4,
    IPV4_SIZE = 4,
    IPV6_SIZE = 16,
};

/* What one of the messages says of the Child SA. */
typedef struct ChildPart {
    const char *name; /* of the message */
    bool is_ours;
    bool may_ask;     /* for transport mode, which our answer then declines (RFC 7296 1.3.1) */
    uint32_t rekeyed; /* the sender's inbound SPI that REKEY_SA names (RFC 7296 1.3.3); 0: none */
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

/* What is beyond those that are kept nobody holds against the policy. A peer may well ask for more
 * than we grant, and grant more than is used; this device sends none such. */
static int selectors_read(const IkePayload *payload, const char *which, const ChildPart *part,
                          IkeTs *ret, Reason *reason)
{
    if (ike_ts_decode(payload->body, ret) != 0 || ret->n_selectors == 0)
        return malformed(part->name, which, reason);
    if (!part->is_ours || ret->n_skipped == 0)
        return 0;
    return reason_set(
        reason, EXCHANGE_E_SELECTORS_NOT_ALLOWED,
        "The %s is this device's, and has %d selectors in %s at the most, of IPv4 and "
        "IPv6 addresses alone",
        part->name, IKE_SELECTORS_MAX, which);
}

/* CHILD_NOT_GRANTED where one of SA, TSi and TSr is not there. */
static int part_read(const IkePayloads *payloads, uint8_t cfg_type, ChildPart *ret, Reason *reason)
{
    const IkePayload *sa = ike_payloads_find(payloads, IKE_PAYLOAD_SA);
    const IkePayload *ts_i = ike_payloads_find(payloads, IKE_PAYLOAD_TSI);
    const IkePayload *ts_r = ike_payloads_find(payloads, IKE_PAYLOAD_TSR);
    IkeNotify notify;

    if (!sa || !ts_i || !ts_r) {
        return reason_set(reason, EXCHANGE_E_CHILD_NOT_GRANTED,
                          "The %s has no Child SA: SA, TSi and TSr belong to one", ret->name);
    }
    if (!ret->may_ask && ike_payloads_notify(payloads, IKE_NOTIFY_USE_TRANSPORT_MODE, &notify)) {
        return reason_set(reason, EXCHANGE_E_CHILD_NOT_GRANTED,
                          "The %s is about transport mode; a HeNB's Child SA is a tunnel",
                          ret->name);
    }
    if (ike_payloads_notify(payloads, IKE_NOTIFY_REKEY_SA, &notify) &&
        notify.protocol == IKE_PROTOCOL_ESP)
        ret->rekeyed = (uint32_t)notify.spi;
    if (ike_sa_decode(sa->body, &ret->sa) != 0)
        return malformed(ret->name, "SA", reason);
    int r = selectors_read(ts_i, "TSi", ret, &ret->ts_i, reason);
    if (r == 0)
        r = selectors_read(ts_r, "TSr", ret, &ret->ts_r, reason);
    if (r != 0)
        return r;
    return cp_read(payloads, cfg_type, &ret->cp) < 0 ? malformed(ret->name, "CP", reason) : 0;
}

/* An own request was found to parse when it was sealed, and the IKE_AUTH response when the peer was
 * judged. */
static int request_read(const KeptMessage *message, ChildPart *ret, Reason *reason)
{
    IkePayloads payloads;

    if (ike_payloads_decode(message->first, kept_payloads(message), &payloads, NULL) != 0)
        return malformed(ret->name, "outermost", reason);
    return part_read(&payloads, IKE_CFG_REQUEST, ret, reason);
}

static int response_read(const KeptMessage *message, ChildPart *ret, Reason *reason)
{
    IkePayloads payloads;
    IkeNotify notify;

    if (ike_payloads_decode(message->first, kept_payloads(message), &payloads, NULL) != 0)
        return malformed(ret->name, "outermost", reason);
    if (ike_payloads_error(&payloads, &notify)) {
        return reason_set(reason, EXCHANGE_E_CHILD_NOT_GRANTED,
                          "The %s refuses the Child SA with %s (%u). See the SeGW's log", ret->name,
                          ike_notify_name(notify.type), notify.type);
    }
    return part_read(&payloads, IKE_CFG_REPLY, ret, reason);
}

/* ---- suite and SPIs (RFC 7296 2.7, 3.3) ---- */

static int choice_read(const ChildPart *asked, const ChildPart *granted, ChildGrant *ret,
                       uint32_t *ret_asked, uint32_t *ret_granted, Reason *reason)
{
    const IkeProposal *chosen = &granted->sa.proposals[0];
    const IkeProposal *offer = suite_offer_find(&asked->sa, chosen);

    if (!offer || esp_suite_select(&asked->sa, &granted->sa, &ret->suite) != 0) {
        return reason_set(reason, EXCHANGE_E_SUITE_NOT_ALLOWED,
                          "The %s did not choose one ESP suite that the request offered and the "
                          "profile has; see tred(8) for those allowed",
                          granted->name);
    }
    _Static_assert(ESP_SPI_SIZE == sizeof(ret->spi_out), "ikewire has ESP SPIs of 4 octets alone");
    *ret_asked = (uint32_t)offer->spi;
    *ret_granted = (uint32_t)chosen->spi;
    return 0;
}

/* Each message has its sender's inbound SPI (RFC 7296 3.3.1). */
static int spis_read(bool peers, const ChildPart *asked, const ChildPart *granted, uint32_t spi_in,
                     ChildGrant *ret, Reason *reason)
{
    uint32_t of_request = 0, of_response = 0, ours;
    int r = choice_read(asked, granted, ret, &of_request, &of_response, reason);

    if (r != 0)
        return r;
    ours = peers ? of_response : of_request;
    ret->spi_out = peers ? of_request : of_response;
    if (ours != spi_in) {
        return reason_set(reason, EXCHANGE_E_NO_SUCH_CHILD, "The %s has the SPI 0x%08x, not 0x%08x",
                          peers ? granted->name : asked->name, ours, spi_in);
    }
    if (ret->spi_out < ESP_SPI_MIN) {
        return reason_set(reason, EXCHANGE_E_MALFORMED,
                          "The SeGW's ESP SPI is %u; SPIs below 256 are reserved (RFC 4303 "
                          "2.1)",
                          ret->spi_out);
    }
    return 0;
}

/* By whose SPI the peer says which of ours it replaces: its own inbound one (RFC 7296 1.3.3). */
static bool has_outbound(const Exchange *exchange, uint32_t spi_out)
{
    for (size_t i = 0; i < ELEMENTS(exchange->children); i++) {
        if (exchange->children[i].installed && exchange->children[i].spi_out == spi_out)
            return true;
    }
    return false;
}

/* ---- selectors (RFC 7296 2.9) ---- */

static int narrowing_check(const char *which, const char *response, const IkeTs *asked,
                           const IkeTs *granted, Reason *reason)
{
    const IkeSelector *breach = selector_policy_breach(asked, granted);
    char text[SELECTOR_TEXT_SIZE];

    if (!breach)
        return 0;
    selector_text(breach, text);
    return reason_set(reason, EXCHANGE_E_SELECTORS_NOT_ALLOWED,
                      "The %s grants the selector %s in %s, which is no part of what the request "
                      "asked for",
                      response, text, which);
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

static int addresses_read(const ChildPart *asked, const ChildPart *granted, ChildGrant *ret,
                          Reason *reason)
{
    int r =
        family_read(&asked->cp, &granted->cp, IKE_CFG_INTERNAL_IP4_ADDRESS, IPV4_SIZE, ret, reason);

    if (r != 0)
        return r;
    return family_read(&asked->cp, &granted->cp, IKE_CFG_INTERNAL_IP6_ADDRESS, IPV6_SIZE, ret,
                       reason);
}

int exchange_grant_read(const Exchange *exchange, const Negotiation *negotiation, uint32_t spi_in,
                        ChildGrant *ret, Reason *reason)
{
    const bool peers = negotiation->peers, is_auth = negotiation == &exchange->auth;
    ChildPart asked = {.name = exchange_message_name(exchange, negotiation, false),
                       .is_ours = !peers,
                       .may_ask = peers};
    ChildPart granted = {.name = exchange_message_name(exchange, negotiation, true),
                         .is_ours = peers};
    int r;

    *ret = (ChildGrant){0};
    r = request_read(&negotiation->request, &asked, reason);
    if (r == 0)
        r = response_read(&negotiation->response, &granted, reason);
    if (r == 0)
        r = spis_read(peers, &asked, &granted, spi_in, ret, reason);
    if (r == 0 && is_auth && ret->suite.group != IKE_GROUP_NONE) {
        r = reason_set(reason, EXCHANGE_E_SUITE_NOT_ALLOWED,
                       "The IKE_AUTH response chose group %u for the Child SA, whose keys come of "
                       "the IKE SA's (RFC 7296 1.2)",
                       ret->suite.group);
    }
    if (r == 0)
        r = narrowing_check("TSi", granted.name, &asked.ts_i, &granted.ts_i, reason);
    if (r == 0)
        r = narrowing_check("TSr", granted.name, &asked.ts_r, &granted.ts_r, reason);
    if (r != 0)
        return r;
    ret->ts_local = peers ? granted.ts_r : granted.ts_i;
    ret->ts_remote = peers ? granted.ts_i : granted.ts_r;
    ret->standby = peers && asked.rekeyed != 0 && has_outbound(exchange, asked.rekeyed);
    if (is_auth)
        return addresses_read(&asked, &granted, ret, reason);
    ret->n_addresses = exchange->n_addresses;
    memcpy(ret->addresses, exchange->addresses, sizeof(ret->addresses));
    return 0;
}
