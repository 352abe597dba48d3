/* Which Child SAs does an exchange have: SPIs given out, ESP keys derived once (RFC 7296 2.17). */
#include "tred/exchange_internal.h"
#include "tred/selector_policy.h"

#include <errno.h>
#include <openssl/rand.h>
#include <string.h>

enum { ESP_SPI_MIN = 256 }; /* RFC 4303 2.1: 0 to 255 are reserved */

static Child *child_find(Exchange *exchange, uint32_t spi_in)
{
    for (size_t i = 0; i < ELEMENTS(exchange->children); i++) {
        if (exchange->children[i].spi_in == spi_in)
            return &exchange->children[i];
    }
    return NULL;
}

static bool spi_in_use(const ExchangeContext *context, uint32_t spi)
{
    for (Exchange *other = context->exchanges; other; other = other->next) {
        if (child_find(other, spi))
            return true;
    }
    return false;
}

int exchange_allocate_spi(Exchange *exchange, uint32_t *ret, char *reason)
{
    uint32_t spi = 0;
    Child *child;
    int r;

    r = exchange_allows(exchange, EXCHANGE_ALLOCATE_SPI, reason);
    if (r != 0)
        return r;
    child = child_find(exchange, 0);
    if (!child) {
        return exchange_refuse(
            reason, EXCHANGE_E_TOO_MANY_CHILDREN,
            "This exchange holds %d SPIs already. Give one back with RemoveChild.",
            EXCHANGE_CHILDREN_MAX);
    }
    do {
        if (RAND_bytes((unsigned char *)&spi, sizeof(spi)) != 1)
            return -EIO;
    } while (spi < ESP_SPI_MIN || spi_in_use(exchange->context, spi));

    child->spi_in = spi;
    exchange_step(exchange, EXCHANGE_ALLOCATE_SPI);
    *ret = spi;
    return 0;
}

static bool selector_is_well_formed(const IkeSelector *selector)
{
    size_t size;

    if (selector->type == IKE_TS_IPV4_ADDR_RANGE) {
        size = 4;
    } else if (selector->type == IKE_TS_IPV6_ADDR_RANGE) {
        size = 16;
    } else {
        return false;
    }
    if (memcmp(selector->start, selector->end, size) > 0)
        return false;
    /* RFC 7296 3.13.1: 65535 to 0 stands for OPAQUE. */
    return selector->start_port <= selector->end_port ||
           (selector->start_port == UINT16_MAX && selector->end_port == 0);
}

static bool selectors_are_well_formed(const IkeTs *ts)
{
    if (ts->n_selectors == 0 || ts->n_selectors > IKE_SELECTORS_MAX)
        return false;
    for (size_t i = 0; i < ts->n_selectors; i++) {
        if (!selector_is_well_formed(&ts->selectors[i]))
            return false;
    }
    return true;
}

static bool addresses_are_well_formed(const ChildRequest *request)
{
    if (request->n_addresses > EXCHANGE_ADDRESSES_MAX)
        return false;
    for (size_t i = 0; i < request->n_addresses; i++) {
        size_t size = request->addresses[i].address.size;

        if ((size != 4 && size != 16) || request->addresses[i].prefix_length > 8 * size)
            return false;
    }
    return true;
}

static int child_request_check(const ChildRequest *request, char *reason)
{
    if (request->spi_out < ESP_SPI_MIN) {
        return exchange_refuse(reason, EXCHANGE_E_MALFORMED,
                               "spi_out is %u; SPIs below 256 are reserved (RFC 4303 2.1).",
                               request->spi_out);
    }
    if (request->suite.group != IKE_GROUP_NONE) {
        return exchange_refuse(reason, EXCHANGE_E_SUITE_NOT_ALLOWED,
                               "The Child SA of IKE_AUTH has no KE of its own (RFC 7296 1.2).");
    }
    if (!selectors_are_well_formed(&request->ts_i) || !selectors_are_well_formed(&request->ts_r)) {
        return exchange_refuse(reason, EXCHANGE_E_MALFORMED,
                               "Each side needs 1 to %d traffic selectors of type 7 or 8 whose "
                               "start is not above their end.",
                               IKE_SELECTORS_MAX);
    }
    if (!addresses_are_well_formed(request)) {
        return exchange_refuse(
            reason, EXCHANGE_E_MALFORMED,
            "At most %d addresses of 4 or 16 octets, with a prefix that fits, can be assigned.",
            EXCHANGE_ADDRESSES_MAX);
    }
    return 0;
}

static int no_such_child(uint32_t spi_in, char *reason)
{
    return exchange_refuse(reason, EXCHANGE_E_NO_SUCH_CHILD,
                           "This exchange did not allocate the SPI 0x%08x, or gave it back.",
                           spi_in);
}

/* Law 2: what this device allows to pass, whatever was negotiated. */
static int selectors_check(const char *which, const IkeTs *allowed, const IkeTs *ts, char *reason)
{
    const IkeSelector *breach = selector_policy_breach(allowed, ts);
    char text[SELECTOR_TEXT_SIZE];

    if (!breach)
        return 0;
    selector_text(breach, text);
    return exchange_refuse(reason, EXCHANGE_E_SELECTORS_NOT_ALLOWED,
                           "The %s selector %s is not within allowed-%s of tred.conf. Have the "
                           "SeGW narrow it, or allow it there.",
                           which, text, which);
}

static int data_plane_refuse(const Exchange *exchange, int error, char *reason)
{
    const char *name = dataplane_name(exchange->context->dataplane);

    switch (error) {
    case -EOPNOTSUPP:
        return exchange_refuse(reason, EXCHANGE_E_DATA_PLANE_FAILED,
                               "The data plane \"%s\" can't carry this Child SA: it needs ESP in "
                               "UDP, and OpenTransport before.",
                               name);
    case -ENOTCONN:
    case -ECONNRESET:
        return exchange_refuse(reason, EXCHANGE_E_DATA_PLANE_FAILED,
                               "The data plane has failed and is being opened again. See tred's "
                               "log, and connect again.");
    case -ECANCELED:
        return exchange_refuse(reason, EXCHANGE_E_NO_SUCH_CHILD,
                               "The SPI was given back before the Child SA was there.");
    default:
        return exchange_refuse(reason, EXCHANGE_E_DATA_PLANE_FAILED,
                               "The data plane \"%s\" did not take the Child SA: %s. See the logs "
                               "of tred and tred-net.",
                               name, strerror(-error));
    }
}

/* The data plane has answered. */
static void child_answered(int error, void *userdata)
{
    Child *child = userdata;
    ChildAdded added = child->added;
    char reason[EXCHANGE_REASON_SIZE] = "";
    int r = 0;

    child->added = NULL;
    if (error < 0) {
        child->installed = false;
        esp_keys_deinit(&child->keys);
        r = data_plane_refuse(child->exchange, error, reason);
    }
    added(r, reason, child->userdata);
}

/* We are the initiator: our outbound keys are those from initiator to responder (RFC 7296 2.17). */
static int child_install(const Exchange *exchange, const ChildRequest *request, const EspKeys *keys,
                         Child *child)
{
    SaOrder order = {
        .spi_in = request->spi_in,
        .spi_out = request->spi_out,
        .suite = request->suite,
        .encr_in = keys->encr_r,
        .integ_in = keys->integ_r,
        .encr_out = keys->encr_i,
        .integ_out = keys->integ_i,
        .ts_local = request->ts_i,
        .ts_remote = request->ts_r,
        .local = exchange->transport.local,
        .remote = exchange->remote,
        .udp_encapsulated = request->udp_encapsulated,
        .soft = exchange->context->soft,
        .hard = exchange->context->hard,
        .n_addresses = request->n_addresses,
    };

    if (request->n_addresses > ELEMENTS(order.addresses))
        return -ENOSPC;
    for (size_t i = 0; i < request->n_addresses; i++) {
        const ChildAddress *from = &request->addresses[i];

        order.addresses[i] = (InnerAddress){.size = (uint8_t)from->address.size,
                                            .prefix_length = from->prefix_length};
        memcpy(order.addresses[i].octets, from->address.data, from->address.size);
    }
    return dataplane_add_sa(exchange->context->dataplane, &order,
                            exchange->has_transport ? &exchange->transport : NULL, child_answered,
                            child);
}

static int child_request_judge(const Exchange *exchange, const ChildRequest *request, char *reason)
{
    const ExchangeContext *context = exchange->context;
    int r;

    r = child_request_check(request, reason);
    if (r == 0)
        r = selectors_check("local", context->allowed_local, &request->ts_i, reason);
    if (r == 0)
        r = selectors_check("remote", context->allowed_remote, &request->ts_r, reason);
    return r;
}

int exchange_add_child(Exchange *exchange, const ChildRequest *request, ChildAdded added,
                       void *userdata, char *reason)
{
    _cleanup_(esp_keys_deinit) EspKeys keys = {0};
    Child *child;
    int r;

    r = exchange_allows(exchange, EXCHANGE_ADD_CHILD, reason);
    if (r != 0)
        return r;
    child = request->spi_in != 0 ? child_find(exchange, request->spi_in) : NULL;
    if (!child)
        return no_such_child(request->spi_in, reason);
    if (exchange->child_keys_used) {
        return exchange_refuse(reason, EXCHANGE_E_KEYS_USED,
                               "The keys of this exchange's first Child SA were used already. "
                               "Begin another exchange.");
    }
    r = child_request_judge(exchange, request, reason);
    if (r != 0)
        return r;
    r = esp_keys_derive(exchange->suite.prf, &request->suite, exchange->keys.sk_d, NULL,
                        exchange_nonce_i(exchange), exchange_nonce_r(exchange), &keys);
    if (r < 0)
        return r;

    exchange->child_keys_used = true; /* even if the plane fails: it may have sent with them */
    /* Before the plane is asked: one that carries nothing answers at once. */
    child->exchange = exchange;
    child->added = added;
    child->userdata = userdata;
    child->installed = true;
    child->spi_out = request->spi_out;
    child->suite = request->suite;
    if (!dataplane_keeps_keys(exchange->context->dataplane)) {
        child->keys = keys;
        keys = (EspKeys){0};
    }
    exchange_step(exchange, EXCHANGE_ADD_CHILD);
    r = child_install(exchange, request, keys.encr_i ? &keys : &child->keys, child);
    if (r < 0) {
        child->added = NULL;
        child->installed = false;
        esp_keys_deinit(&child->keys);
        return data_plane_refuse(exchange, r, reason);
    }
    return 0;
}

void exchange_child_deinit(Exchange *exchange, Child *child)
{
    /* One that is still being added is told to be cancelled. */
    if (child->installed)
        (void)dataplane_remove_sa(exchange->context->dataplane, child->spi_in);
    esp_keys_deinit(&child->keys);
    *child = (Child){0};
}

int exchange_remove_child(Exchange *exchange, uint32_t spi_in, char *reason)
{
    Child *child;
    int r;

    r = exchange_allows(exchange, EXCHANGE_REMOVE_CHILD, reason);
    if (r != 0)
        return r;
    child = spi_in != 0 ? child_find(exchange, spi_in) : NULL;
    if (!child)
        return no_such_child(spi_in, reason);
    exchange_child_deinit(exchange, child);
    exchange_step(exchange, EXCHANGE_REMOVE_CHILD);
    return 0;
}

size_t exchange_children(const Exchange *exchange, ChildStatus *ret)
{
    size_t count = 0;

    for (size_t i = 0; i < ELEMENTS(exchange->children); i++) {
        const Child *child = &exchange->children[i];
        ChildStatus *status = &ret[count];

        if (!child->installed)
            continue;
        *status = (ChildStatus){.spi_in = child->spi_in, .spi_out = child->spi_out};
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
