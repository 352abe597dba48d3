/* The Child SAs of an exchange: SPIs given out, ESP keys derived once (RFC 7296 2.17). */
#include "tred/exchange_internal.h"

#include <errno.h>
#include <openssl/rand.h>
#include <string.h>

enum { ESP_SPI_MIN = 256 }; /* RFC 4303 2.1: 0 to 255 are reserved */

Child *exchange_child_find(Exchange *exchange, uint32_t spi_in)
{
    for (size_t i = 0; i < ELEMENTS(exchange->children); i++) {
        if (exchange->children[i].spi_in == spi_in)
            return &exchange->children[i];
    }
    return NULL;
}

/* Where the pointer to the Child SA of that SPI is, or would be. */
static Child **child_link(ExchangeContext *context, uint32_t spi_in)
{
    Child **link = &context->children[spi_in % SPI_BUCKETS];

    while (*link && (*link)->spi_in != spi_in)
        link = &(*link)->next;
    return link;
}

static void child_enlist(Child *child, ExchangeContext *context, uint32_t spi_in)
{
    child->spi_in = spi_in;
    *child_link(context, spi_in) = child;
}

static void child_unlist(Child *child, ExchangeContext *context)
{
    if (child->spi_in != 0)
        *child_link(context, child->spi_in) = child->next;
}

void exchange_child_move(Child *child, Exchange *to)
{
    Child *place = exchange_child_find(to, 0);

    *child_link(to->context, child->spi_in) = place;
    *place = *child;
    place->exchange = to;
    *child = (Child){0};
}

int exchange_allocate_spi(Exchange *exchange, uint32_t *ret, Reason *reason)
{
    uint32_t spi = 0;
    Child *child;
    int r;

    r = exchange_allows(exchange, EXCHANGE_ALLOCATE_SPI, reason);
    if (r != 0)
        return r;
    child = exchange_child_find(exchange, 0);
    if (!child) {
        return reason_set(reason, EXCHANGE_E_TOO_MANY_CHILDREN,
                          "This exchange holds %d SPIs already. Give one back with RemoveChild",
                          EXCHANGE_CHILDREN_MAX);
    }
    do {
        if (RAND_bytes((unsigned char *)&spi, sizeof(spi)) != 1)
            return -EIO;
    } while (spi < ESP_SPI_MIN || *child_link(exchange->context, spi));

    child_enlist(child, exchange->context, spi);
    exchange_step(exchange, EXCHANGE_ALLOCATE_SPI);
    *ret = spi;
    return 0;
}

static int no_such_child(uint32_t spi_in, Reason *reason)
{
    return reason_set(reason, EXCHANGE_E_NO_SUCH_CHILD,
                      "This exchange did not allocate the SPI 0x%08x, or gave it back", spi_in);
}

/* The Child SA that a call is about; NULL, with why in *ret_error, where there is none or the state
 * does not take the call. */
static Child *child_of_call(Exchange *exchange, ExchangeCall call, uint32_t spi_in, int *ret_error,
                            Reason *reason)
{
    Child *child = spi_in != 0 ? exchange_child_find(exchange, spi_in) : NULL;

    *ret_error = exchange_allows(exchange, call, reason);
    if (*ret_error == 0 && !child)
        *ret_error = no_such_child(spi_in, reason);
    return *ret_error == 0 ? child : NULL;
}

int exchange_set_dscps(Exchange *exchange, uint32_t spi_in, uint64_t dscps, Reason *reason)
{
    const DataPlane *plane = exchange->context->dataplane;
    int r = 0;
    Child *child = child_of_call(exchange, EXCHANGE_SET_DSCPS, spi_in, &r, reason);

    if (!child)
        return r;
    if (child->used) {
        return reason_set(reason, EXCHANGE_E_WRONG_STATE,
                          "There was an AddChild of the SPI 0x%08x already. SetDscps comes before",
                          spi_in);
    }
    if (dscps != 0 && !dataplane_knows_dscps(plane)) {
        return reason_set(reason, EXCHANGE_E_DATA_PLANE_FAILED,
                          "The data plane \"%s\" can't choose a Child SA by DSCP; dscp needs the "
                          "user data plane. Write \"mode = user\" into [data-plane] of tred.conf",
                          dataplane_name(plane));
    }
    child->dscps = dscps;
    exchange_step(exchange, EXCHANGE_SET_DSCPS);
    return 0;
}

static int data_plane_refuse(const Exchange *exchange, int error, const char *why, Reason *reason)
{
    const char *name = dataplane_name(exchange->context->dataplane);

    switch (error) {
    case -EOPNOTSUPP:
        return reason_set(reason, EXCHANGE_E_DATA_PLANE_FAILED,
                          "The data plane \"%s\" can't carry this Child SA: it needs ESP in "
                          "UDP, and OpenTransport before",
                          name);
    case -ENOTCONN:
    case -ECONNRESET:
        return reason_set(reason, EXCHANGE_E_DATA_PLANE_FAILED,
                          "The data plane has failed and is being opened again. See tred's "
                          "log, and connect again");
    case -EADDRINUSE:
        return reason_set(reason, EXCHANGE_E_ADDRESS_NOT_ALLOWED,
                          "The SeGW assigned an address that another interface of this host "
                          "has. Check its address pool");
    case -ECANCELED:
        return reason_set(reason, EXCHANGE_E_NO_SUCH_CHILD,
                          "The SPI was given back before the data plane had answered");
    default:
        return reason_set(reason, EXCHANGE_E_DATA_PLANE_FAILED,
                          "The data plane \"%s\" did not take the Child SA: %s", name,
                          why[0] != '\0' ? why : strerror(-error));
    }
}

/* The data plane has answered. */
static void child_answered(int error, const char *why, void *userdata)
{
    Child *child = userdata;
    ChildAdded added = child->added;
    Reason reason = {0};
    int r = 0;

    child->added = NULL;
    if (error < 0) {
        child->installed = false;
        esp_keys_deinit(&child->keys);
        r = data_plane_refuse(child->exchange, error, why, &reason);
    }
    added(r, reason.text, child->userdata);
}

/* Over the transport ESP goes in UDP where a NAT asks for it, and always from a plane that can do
 * nothing else; without one there is no port to do so from. */
bool exchange_is_udp_encapsulated(const Exchange *exchange)
{
    return exchange->transport &&
           (exchange->nat || strcmp(dataplane_name(exchange->context->dataplane), "user") == 0);
}

/* RFC 7296 2.17: the first keys are those from who began the exchange to who answered. */
static int child_install(const Exchange *exchange, const ChildGrant *grant, bool peers,
                         const EspKeys *keys, Child *child)
{
    SaOrder order = {
        .spi_in = child->spi_in,
        .spi_out = grant->spi_out,
        .segw = exchange->segw->number,
        .interface = exchange->segw->interface_place,
        .suite = grant->suite,
        .encr_in = peers ? keys->encr_i : keys->encr_r,
        .integ_in = peers ? keys->integ_i : keys->integ_r,
        .encr_out = peers ? keys->encr_r : keys->encr_i,
        .integ_out = peers ? keys->integ_r : keys->integ_i,
        .ts_local = grant->ts_local,
        .ts_remote = grant->ts_remote,
        .remote = exchange->remote,
        .udp_encapsulated = exchange_is_udp_encapsulated(exchange),
        .soft = exchange->context->soft,
        .hard = exchange->context->hard,
        .standby = grant->standby,
        .dscps = child->dscps,
        .n_addresses = grant->n_addresses,
    };

    _Static_assert(sizeof(order.addresses) == sizeof(grant->addresses), "as many as an SA has");
    memcpy(order.addresses, grant->addresses, sizeof(order.addresses));
    if (exchange->transport)
        order.local = exchange->transport->local;
    return dataplane_add_sa(exchange->context->dataplane, &order, exchange->transport,
                            child_answered, child);
}

/* What was negotiated under that SPI; IKE_AUTH's where there is nothing else. */
static int negotiation_find(Exchange *exchange, uint32_t spi_in, Negotiation **ret, Reason *reason)
{
    Negotiation *const creates[] = {&exchange->own_create, &exchange->peer_create};

    for (size_t i = 0; i < ELEMENTS(creates); i++) {
        if (creates[i]->response.there && creates[i]->protocol == IKE_PROTOCOL_ESP &&
            creates[i]->spi == spi_in) {
            *ret = creates[i];
            return 0;
        }
    }
    *ret = &exchange->auth;
    if (exchange->auth.request.there)
        return 0;
    return reason_set(reason, EXCHANGE_E_NO_SUCH_CHILD,
                      "Nothing was negotiated under the SPI 0x%08x", spi_in);
}

/* IKE_AUTH's Child SA is made with the nonces of IKE_SA_INIT (RFC 7296 2.17). */
static int nonces_find(const Exchange *exchange, Negotiation *negotiation, uint16_t group,
                       Nonces *ret, Reason *reason)
{
    if (negotiation != &exchange->auth) {
        return exchange_create_agree(exchange, negotiation, group, exchange->suite.prf->size, ret,
                                     reason);
    }
    *ret = (Nonces){exchange_nonce_i(exchange), exchange_nonce_r(exchange)};
    return 0;
}

/* A Child SA as it was negotiated, with its keys. */
typedef struct ChildTerms {
    bool peers;
    ChildGrant grant;
    EspKeys keys;
} ChildTerms;

static void child_terms_deinit(ChildTerms *terms)
{
    esp_keys_deinit(&terms->keys);
}

/* All that can be refused comes before anything of the negotiation is used. */
static int terms_find(Exchange *exchange, uint32_t spi_in, ChildTerms *ret, Negotiation **ret_from,
                      Reason *reason)
{
    Negotiation *from = NULL;
    Nonces nonces;
    int r = negotiation_find(exchange, spi_in, &from, reason);

    if (r == 0)
        r = exchange_grant_read(exchange, from, spi_in, &ret->grant, reason);
    if (r == 0)
        r = exchange_grant_judge(exchange, &ret->grant, reason);
    if (r == 0)
        r = nonces_find(exchange, from, ret->grant.suite.group, &nonces, reason);
    if (r == 0) {
        r = esp_keys_derive(exchange->suite.prf, &ret->grant.suite, exchange->keys.sk_d,
                            from->dh_secret, nonces.i, nonces.r, &ret->keys);
    }
    ret->peers = from && from->peers;
    *ret_from = from;
    return r;
}

/* The keys count as used even if the plane fails: it may have sent with them. So what they were
 * made of goes. */
static void negotiation_use(Exchange *exchange, Negotiation *negotiation, const ChildGrant *grant)
{
    if (negotiation != &exchange->auth) {
        negotiation_forget(negotiation);
        return;
    }
    exchange_forget_auth(exchange);
    exchange->n_addresses = grant->n_addresses;
    memcpy(exchange->addresses, grant->addresses, sizeof(exchange->addresses));
}

/* Before the plane is asked: one that carries nothing answers at once. */
static void child_fill(Exchange *exchange, ChildTerms *terms, ChildAdded added, void *userdata,
                       Child *child)
{
    child->exchange = exchange;
    child->added = added;
    child->userdata = userdata;
    child->installed = child->used = true;
    child->since = time(NULL);
    child->spi_out = terms->grant.spi_out;
    child->suite = terms->grant.suite;
    if (!dataplane_keeps_keys(exchange->context->dataplane)) {
        child->keys = terms->keys;
        terms->keys = (EspKeys){0};
    }
    exchange_step(exchange, EXCHANGE_ADD_CHILD);
}

int exchange_add_child(Exchange *exchange, uint32_t spi_in, ChildAdded added, void *userdata,
                       Reason *reason)
{
    _cleanup_(child_terms_deinit) ChildTerms terms = {0};
    Negotiation *from;
    int r = 0;
    Child *child = child_of_call(exchange, EXCHANGE_ADD_CHILD, spi_in, &r, reason);

    if (!child)
        return r;
    if (child->used) {
        return reason_set(reason, EXCHANGE_E_KEYS_USED,
                          "The keys of the Child SA 0x%08x were used already. Negotiate another",
                          spi_in);
    }
    r = terms_find(exchange, spi_in, &terms, &from, reason);
    if (r != 0)
        return r;
    negotiation_use(exchange, from, &terms.grant);
    child_fill(exchange, &terms, added, userdata, child);
    r = child_install(exchange, &terms.grant, terms.peers,
                      terms.keys.encr_i ? &terms.keys : &child->keys, child);
    if (r < 0) {
        child->added = NULL;
        child->installed = false;
        esp_keys_deinit(&child->keys);
        return data_plane_refuse(exchange, r, "", reason);
    }
    return 0;
}

void exchange_child_deinit(Exchange *exchange, Child *child)
{
    /* One that is still being added is told to be cancelled. */
    if (child->installed)
        (void)dataplane_remove_sa(exchange->context->dataplane, child->spi_in);
    esp_keys_deinit(&child->keys);
    child_unlist(child, exchange->context);
    *child = (Child){0};
}

int exchange_remove_child(Exchange *exchange, uint32_t spi_in, Reason *reason)
{
    int r = 0;
    Child *child = child_of_call(exchange, EXCHANGE_REMOVE_CHILD, spi_in, &r, reason);

    if (!child)
        return r;
    exchange_child_deinit(exchange, child);
    exchange_step(exchange, EXCHANGE_REMOVE_CHILD);
    return 0;
}

static void child_sends(int error, const char *why, void *userdata)
{
    Child *child = userdata;
    ChildUsed using = child->using;
    Reason reason = {0};
    int r = error < 0 ? data_plane_refuse(child->exchange, error, why, &reason) : 0;

    child->using = NULL;
    using(r, reason.text, child->using_userdata);
}

int exchange_use_child(Exchange *exchange, uint32_t spi_in, ChildUsed used, void *userdata,
                       Reason *reason)
{
    int r = 0;
    Child *child = child_of_call(exchange, EXCHANGE_USE_CHILD, spi_in, &r, reason);

    if (!child)
        return r;
    if (!child->installed)
        return no_such_child(spi_in, reason);
    if (child->using) {
        return reason_set(reason, EXCHANGE_E_WRONG_STATE,
                          "The Child SA 0x%08x is about to be used. Wait for the answer to the "
                          "UseChild before",
                          spi_in);
    }
    child->using = used;
    child->using_userdata = userdata;
    exchange_step(exchange, EXCHANGE_USE_CHILD);
    r = dataplane_use_sa(exchange->context->dataplane, spi_in, child_sends, child);
    if (r == 0)
        return 0;
    child->using = NULL;
    return data_plane_refuse(exchange, r, "", reason);
}

size_t exchange_children(const Exchange *exchange, ChildStatus *ret)
{
    size_t count = 0;

    for (size_t i = 0; i < ELEMENTS(exchange->children); i++) {
        const Child *child = &exchange->children[i];
        ChildStatus *status = &ret[count];

        if (!child->installed)
            continue;
        *status = (ChildStatus){
            .spi_in = child->spi_in,
            .spi_out = child->spi_out,
            .since = child->since,
            .dscps = child->dscps,
            .soft_seconds = dataplane_sa_soft_seconds(exchange->context->dataplane, child->spi_in)};
        esp_suite_name(&child->suite, status->suite);
        /* A plane that fails shows zeros here, and says so by DATAPLANE_LOST. */
        (void)dataplane_sa_counters(exchange->context->dataplane, child->spi_in, &status->counters);
        count++;
    }
    return count;
}

bool exchange_has_child(const Exchange *exchange, uint32_t spi_in)
{
    for (size_t i = 0; i < ELEMENTS(exchange->children); i++) {
        if (exchange->children[i].installed && exchange->children[i].spi_in == spi_in)
            return true;
    }
    return false;
}
