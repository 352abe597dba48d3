/* The offer of a Child SA, and the judgement of its answer. */
#include "ikeclient/child.h"

#include "ikeclient/selectors.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    IPV4_SIZE = 4,
    IPV6_SIZE = 16,
};

static void add_family(const Config *config, IkeTs *ts, uint8_t ts_type)
{
    if (config_wants_family(config, ts_type))
        selectors_add_any(ts, ts_type);
}

void child_offer_init(ChildOffer *offer, const Config *config, uint32_t spi_in)
{
    *offer = (ChildOffer){
        .spi_in = spi_in,
        .sa = config->esp_offer,
        .ts_r = config->remote_ts,
        .request = (RequestAddress)config->request_address,
        .liveness = config->liveness > 0,
    };
    for (size_t i = 0; i < offer->sa.n_proposals; i++) {
        offer->sa.proposals[i].spi_size = sizeof(spi_in);
        offer->sa.proposals[i].spi = spi_in;
    }
    /* The address that is to be assigned is not known yet: the SeGW narrows to it (RFC 7296 2.19).
     */
    add_family(config, &offer->ts_i, IKE_TS_IPV4_ADDR_RANGE);
    add_family(config, &offer->ts_i, IKE_TS_IPV6_ADDR_RANGE);
    if (offer->ts_r.n_selectors == 0)
        offer->ts_r = offer->ts_i;
}

/* One of CREATE_CHILD_SA: no addresses are asked for, and it may have a key exchange of its own. */
static void init_create(ChildOffer *offer, const Config *config, uint16_t group, uint32_t spi_in)
{
    child_offer_init(offer, config, spi_in);
    offer->request = REQUEST_NONE;
    if (config->pfs != PFS_NO)
        proposals_add_groups(&offer->sa, &config->ike_offer, group, (Pfs)config->pfs);
}

void child_offer_init_rekey(ChildOffer *offer, const Config *config, const ChildAnswer *old,
                            uint16_t group, uint32_t spi_in)
{
    init_create(offer, config, group, spi_in);
    offer->ts_i = old->ts_i;
    offer->ts_r = old->ts_r;
}

void child_offer_init_another(ChildOffer *offer, const Config *config, const ChildConfig *child,
                              const ChildAnswer *first, uint16_t group, uint32_t spi_in)
{
    init_create(offer, config, group, spi_in);
    offer->ts_i = child && child->local_ts.n_selectors > 0 ? child->local_ts : first->ts_i;
    if (child)
        offer->ts_r = child->remote_ts.n_selectors > 0 ? child->remote_ts : first->ts_r;
}

static void add_attribute(IkeCp *cp, uint16_t type)
{
    cp->attributes[cp->n_attributes++] = (IkeAttribute){.type = type};
}

/* An IPv6 address is followed by its prefix length (RFC 7296 3.15.1). */
enum { IPV6_VALUE_SIZE = IPV6_SIZE + 1 };

/* The value of the address of `size` octets that is wanted again, written to `octets`
 * (IPV6_VALUE_SIZE of them); empty where none is. */
static Bytes wanted_value(const ChildOffer *offer, size_t size, uint8_t *octets)
{
    for (size_t i = 0; i < offer->n_wanted; i++) {
        if (offer->wanted[i].size != size)
            continue;
        memcpy(octets, offer->wanted[i].octets, size);
        octets[size] = offer->wanted[i].prefix_length;
        return (Bytes){octets, size == IPV6_SIZE ? IPV6_VALUE_SIZE : size};
    }
    return (Bytes){0};
}

static void add_attributes(IkeCp *cp, uint16_t address, Bytes wanted, uint16_t dns)
{
    add_attribute(cp, address);
    cp->attributes[cp->n_attributes - 1].value = wanted;
    add_attribute(cp, dns);
}

void child_offer_encode(const ChildOffer *offer, IkeChain *chain)
{
    IkeCp cp = {.cfg_type = IKE_CFG_REQUEST};
    uint8_t ipv4[IPV6_VALUE_SIZE], ipv6[IPV6_VALUE_SIZE];

    if (offer->request == REQUEST_IPV4 || offer->request == REQUEST_BOTH) {
        add_attributes(&cp, IKE_CFG_INTERNAL_IP4_ADDRESS, wanted_value(offer, IPV4_SIZE, ipv4),
                       IKE_CFG_INTERNAL_IP4_DNS);
    }
    if (offer->request == REQUEST_IPV6 || offer->request == REQUEST_BOTH) {
        add_attributes(&cp, IKE_CFG_INTERNAL_IP6_ADDRESS, wanted_value(offer, IPV6_SIZE, ipv6),
                       IKE_CFG_INTERNAL_IP6_DNS);
    }
    if (offer->nat)
        add_attribute(&cp, IKE_CFG_EXTERNAL_SOURCE_IP4_NAT_INFO);
    if (offer->liveness && cp.n_attributes > 0)
        add_attribute(&cp, IKE_CFG_TIMEOUT_PERIOD_FOR_LIVENESS_CHECK);
    if (cp.n_attributes > 0)
        ike_chain_add_cp(chain, &cp);
    ike_chain_add_notify(chain, IKE_NOTIFY_ESP_TFC_PADDING_NOT_SUPPORTED, (Bytes){0});
    ike_chain_add_sa(chain, &offer->sa);
    ike_chain_add_ts(chain, IKE_PAYLOAD_TSI, &offer->ts_i);
    ike_chain_add_ts(chain, IKE_PAYLOAD_TSR, &offer->ts_r);
}

const char *inner_address_text(const InnerAddress *address, bool prefix, char *text)
{
    char literal[INET6_ADDRSTRLEN] = "?";

    (void)inet_ntop(address->size == IPV6_SIZE ? AF_INET6 : AF_INET, address->octets, literal,
                    sizeof(literal));
    if (prefix) {
        (void)snprintf(text, CHILD_ADDRESS_TEXT_SIZE, "%s/%u", literal, address->prefix_length);
    } else {
        (void)snprintf(text, CHILD_ADDRESS_TEXT_SIZE, "%s", literal);
    }
    return text;
}

const char *inner_addresses_text(const InnerAddress *addresses, size_t count, bool prefix,
                                 char *text)
{
    const size_t size = CHILD_ADDRESSES_TEXT_SIZE;
    size_t n = 0;

    text[0] = 0;
    for (size_t i = 0; i < count && n < size; i++) {
        char address[CHILD_ADDRESS_TEXT_SIZE];
        n += (size_t)snprintf(text + n, size - n, "%s%s", i > 0 ? ", " : "",
                              inner_address_text(&addresses[i], prefix, address));
    }
    return text;
}

bool child_error_is(uint16_t notify_type)
{
    switch (notify_type) {
    case IKE_NOTIFY_NO_PROPOSAL_CHOSEN:
    case IKE_NOTIFY_SINGLE_PAIR_REQUIRED:
    case IKE_NOTIFY_NO_ADDITIONAL_SAS:
    case IKE_NOTIFY_INTERNAL_ADDRESS_FAILURE:
    case IKE_NOTIFY_FAILED_CP_REQUIRED:
    case IKE_NOTIFY_TS_UNACCEPTABLE:
        return true;
    default:
        return false;
    }
}

static bool asked_for(const ChildOffer *offer, size_t size)
{
    RequestAddress family = size == IPV4_SIZE ? REQUEST_IPV4 : REQUEST_IPV6;

    return offer->request == family || offer->request == REQUEST_BOTH;
}

static size_t count_family(const InnerAddress *list, size_t count, size_t size)
{
    size_t found = 0;

    for (size_t i = 0; i < count; i++)
        found += list[i].size == size;
    return found;
}

/* Reads an address of `size` octets, with the prefix length that may follow an IPv6 address. The
 * wire's decoder has seen to the lengths of those that a tunnel depends on. */
static bool read_address(Bytes value, size_t size, InnerAddress *ret)
{
    Reader reader;
    Bytes octets;

    *ret = (InnerAddress){.size = size, .prefix_length = (uint8_t)(size * 8)};
    reader_init(&reader, value);
    if (reader_take(&reader, size, &octets) < 0)
        return false;
    memcpy(ret->octets, octets.data, size);
    return reader_left(&reader) == 0 ||
           (reader_u8(&reader, &ret->prefix_length) == 0 && ret->prefix_length <= IPV6_SIZE * 8);
}

/* An attribute without a value asks, or says that there is none. */
static bool take_address(const ChildOffer *offer, Bytes value, size_t size, ChildAnswer *answer)
{
    InnerAddress address;

    if (value.size == 0)
        return true;
    if (!asked_for(offer, size) ||
        count_family(answer->addresses, answer->n_addresses, size) == CHILD_ADDRESSES_OF_FAMILY) {
        answer->skipped.addresses++;
        return true;
    }
    if (!read_address(value, size, &address))
        return false;
    answer->addresses[answer->n_addresses++] = address;
    return true;
}

/* One of another size is no reason to be without a tunnel, either. */
static bool take_dns(Bytes value, size_t size, ChildAnswer *answer)
{
    InnerAddress address;

    if (value.size == 0)
        return true;
    if (answer->n_dns < CHILD_DNS_MAX && value.size == size &&
        read_address(value, size, &address)) {
        answer->dns[answer->n_dns++] = address;
    } else {
        answer->skipped.dns++;
    }
    return true;
}

/* A value of another size says nothing, and is no reason to be without a tunnel. */
static bool take_liveness(Bytes value, ChildAnswer *answer)
{
    Reader reader;
    uint32_t seconds = 0;

    reader_init(&reader, value);
    if (reader_u32(&reader, &seconds) == 0 && reader_left(&reader) == 0)
        answer->liveness = seconds;
    return true;
}

/* TS 29.139 6.2.1.3: an IPv4 address and a UDP port. */
static bool take_external(Bytes value, ChildAnswer *answer)
{
    Endpoint external = {.v4 = {.sin_family = AF_INET}};
    uint16_t port = 0;
    Reader reader;
    Bytes octets;

    reader_init(&reader, value);
    if (reader_take(&reader, IPV4_SIZE, &octets) < 0 || reader_u16(&reader, &port) < 0 ||
        reader_left(&reader) > 0)
        return true;
    memcpy(&external.v4.sin_addr, octets.data, IPV4_SIZE);
    endpoint_set_port(&external, port);
    answer->external = external;
    return true;
}

static bool take_attribute(const ChildOffer *offer, const IkeAttribute *attribute,
                           ChildAnswer *answer)
{
    switch (attribute->type) {
    case IKE_CFG_INTERNAL_IP4_ADDRESS:
        return take_address(offer, attribute->value, IPV4_SIZE, answer);
    case IKE_CFG_INTERNAL_IP6_ADDRESS:
        return take_address(offer, attribute->value, IPV6_SIZE, answer);
    case IKE_CFG_INTERNAL_IP4_DNS:
        return take_dns(attribute->value, IPV4_SIZE, answer);
    case IKE_CFG_INTERNAL_IP6_DNS:
        return take_dns(attribute->value, IPV6_SIZE, answer);
    case IKE_CFG_EXTERNAL_SOURCE_IP4_NAT_INFO:
        return take_external(attribute->value, answer);
    case IKE_CFG_TIMEOUT_PERIOD_FOR_LIVENESS_CHECK:
        return take_liveness(attribute->value, answer);
    default: /* RFC 7296 3.15.1: unknown ones are ignored */
        return true;
    }
}

static bool take_configuration(const ChildOffer *offer, const IkePayloads *payloads,
                               ChildAnswer *answer)
{
    const IkePayload *payload = ike_payloads_find(payloads, IKE_PAYLOAD_CP);
    IkeCp cp;

    if (!payload)
        return true;
    if (ike_cp_decode(payload->body, &cp) != 0)
        return false;
    if (cp.cfg_type != IKE_CFG_REPLY) /* RFC 7296 3.15: other types are ignored */
        return true;
    answer->skipped.attributes = cp.n_skipped;
    for (size_t i = 0; i < cp.n_attributes; i++) {
        if (!take_attribute(offer, &cp.attributes[i], answer))
            return false;
    }
    return true;
}

uint16_t child_selectors_read(const IkePayloads *payloads, uint8_t type, IkeTs *ret)
{
    const IkePayload *payload = ike_payloads_find(payloads, type);

    if (!payload || ike_ts_decode(payload->body, ret) != 0)
        return IKE_NOTIFY_INVALID_SYNTAX;
    return ret->n_selectors > 0 ? 0 : IKE_NOTIFY_TS_UNACCEPTABLE;
}

bool child_answer_takes_in(const ChildAnswer *wide, const ChildAnswer *narrow)
{
    return ike_ts_is_subset(&narrow->ts_i, &wide->ts_i) &&
           ike_ts_is_subset(&narrow->ts_r, &wide->ts_r);
}

static bool take_selectors(const IkePayloads *payloads, uint8_t type, const IkeTs *offer,
                           IkeTs *ret)
{
    return child_selectors_read(payloads, type, ret) == 0 && ike_ts_is_subset(ret, offer);
}

static const char *problem(const ChildOffer *offer, const IkePayloads *payloads,
                           ChildAnswer *answer)
{
    const IkePayload *payload = ike_payloads_find(payloads, IKE_PAYLOAD_SA);
    IkeSaPayload sa;

    if (!payload)
        return "neither a Child SA nor a reason for its absence";
    if (ike_sa_decode(payload->body, &sa) != 0 ||
        proposals_accept_esp(&offer->sa, &sa, &answer->esp) < 0)
        return "an ESP proposal that we did not offer";
    if (!take_selectors(payloads, IKE_PAYLOAD_TSI, &offer->ts_i, &answer->ts_i) ||
        !take_selectors(payloads, IKE_PAYLOAD_TSR, &offer->ts_r, &answer->ts_r))
        return "traffic selectors that are no part of those we offered";
    answer->skipped.selectors = answer->ts_i.n_skipped + answer->ts_r.n_skipped;
    if (!take_configuration(offer, payloads, answer))
        return "a CFG_REPLY with a wrong prefix length";
    return NULL;
}

void child_answer_judge(const ChildOffer *offer, const IkePayloads *payloads, ChildAnswer *ret)
{
    IkeNotify notify;

    *ret = (ChildAnswer){.verdict = CHILD_GRANTED};
    if (ike_payloads_error(payloads, &notify)) {
        ret->verdict = CHILD_REFUSED;
        ret->error = notify.type;
        return;
    }
    ret->why = problem(offer, payloads, ret);
    if (ret->why)
        ret->verdict = CHILD_INVALID;
}

void child_answer_inherit(ChildAnswer *answer, const ChildAnswer *old)
{
    answer->n_addresses = old->n_addresses;
    memcpy(answer->addresses, old->addresses, sizeof(answer->addresses));
    answer->n_dns = old->n_dns;
    memcpy(answer->dns, old->dns, sizeof(answer->dns));
}

static bool has_address(const ChildAnswer *answer, size_t size)
{
    static const uint8_t unspecified[IPV6_SIZE];

    for (size_t i = 0; i < answer->n_addresses; i++) {
        if (answer->addresses[i].size == size &&
            memcmp(answer->addresses[i].octets, unspecified, size) != 0)
            return true;
    }
    return false;
}

const char *child_answer_lacks(const ChildOffer *offer, const ChildAnswer *answer)
{
    if (asked_for(offer, IPV4_SIZE) && !has_address(answer, IPV4_SIZE))
        return "IPv4 address";
    if (asked_for(offer, IPV6_SIZE) && !has_address(answer, IPV6_SIZE))
        return "IPv6 address";
    return NULL;
}
