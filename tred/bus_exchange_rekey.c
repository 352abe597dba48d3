/* New keys for an IKE SA and its Child SAs on the bus: PrepareCreateChildSa, AddIkeSa,
 * InheritChildren. */
#include "base/log.h"
#include "base/reason.h"
#include "tred/bus_error.h"
#include "tred/bus_exchange.h"
#include "tred/callers.h"
#include "tred/expiry.h"
#include "tred/key_care.h"

#include <assert.h>
#include <inttypes.h>

static int prepare_reply(sd_bus_message *call, const CreateOffer *offer)
{
    _cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
    int r = sd_bus_message_new_method_return(call, &reply);

    if (r >= 0)
        r = sd_bus_message_append(reply, "t", offer->spi);
    if (r >= 0)
        r = bus_append_bytes(reply, offer->nonce);
    if (r >= 0)
        r = bus_append_bytes(reply, offer->ke);
    return r < 0 ? r : sd_bus_message_send(reply);
}

/* A KE costs as much as that of a new exchange, and is counted likewise. */
int bus_exchange_prepare_create(sd_bus_message *call, void *userdata, sd_bus_error *error)
{
    CallerExchange *held = userdata;
    Reason reason = {0};
    CreateOffer offer;
    uint16_t group = 0;
    int r;

    r = bus_exchange_check_owner(held, call, error);
    if (r < 0)
        return r;
    r = sd_bus_message_read(call, "q", &group);
    if (r < 0)
        return r;
    if (!user_has_time(held->caller->user))
        return bus_error_set(error, BUS_E_BUSY, NULL);
    const uint64_t begun = user_time_begin();
    r = exchange_prepare_create(held->exchange, group, &offer, &reason);
    user_time_end(held->caller->user, begun);
    if (r != 0)
        return bus_error_set(error, r, reason.text);
    return prepare_reply(call, &offer);
}

static int add_ike_sa(CallerExchange *held, uint64_t spi, CallerExchange **ret, sd_bus_error *error)
{
    Exchange *made = NULL;
    Reason reason = {0};
    int r;

    r = bus_check_room(held->caller, error);
    if (r != 0)
        return r;
    r = exchange_add_ike_sa(held->exchange, spi, &made, &reason);
    if (r > 0 && r != EXCHANGE_E_WRONG_STATE)
        log_warning("Exchange %" PRIu64 ": AddIkeSa is refused. %s", held->number, reason.text);
    if (r != 0)
        return bus_error_set(error, r, reason.text);
    r = caller_add_exchange(held->caller, made, ret);
    if (r < 0) {
        exchange_free(made);
        return r;
    }
    r = expiry_inherit(*ret, held);
    if (r < 0)
        caller_exchange_free(*ret);
    return r;
}

int bus_exchange_add_ike_sa(sd_bus_message *call, void *userdata, sd_bus_error *error)
{
    CallerExchange *held = userdata, *made = NULL;
    char path[BUS_PATH_SIZE];
    uint64_t spi = 0;
    int r;

    r = bus_exchange_check_owner(held, call, error);
    if (r < 0)
        return r;
    r = sd_bus_message_read(call, "t", &spi);
    if (r < 0)
        return r;
    r = add_ike_sa(held, spi, &made, error);
    if (r < 0)
        return r;
    assert(made);
    log_info("Exchange %" PRIu64 ": new keys for exchange %" PRIu64 ", %s, SPI_i %016" PRIx64
             ", SPI_r %016" PRIx64,
             made->number, held->number, exchange_suite_name(made->exchange),
             exchange_spi_i(made->exchange), exchange_spi_r(made->exchange));
    daemon_prepare_exchange(held->caller->daemon);
    bus_exchange_path(made, path);
    return sd_bus_reply_method_return(call, "o", path);
}

int bus_exchange_inherit_children(sd_bus_message *call, void *userdata, sd_bus_error *error)
{
    CallerExchange *held = userdata, *before;
    Exchange *from = NULL;
    Reason reason = {0};
    int r;

    r = bus_exchange_check_owner(held, call, error);
    if (r < 0)
        return r;
    r = exchange_inherit_children(held->exchange, &from, &reason);
    if (r != 0)
        return bus_error_set(error, r, reason.text);
    r = sd_bus_reply_method_return(call, NULL);
    before = caller_exchange_of(held->caller, from);
    if (before) {
        log_info("Exchange %" PRIu64 " has the Child SAs of exchange %" PRIu64, held->number,
                 before->number);
        bus_exchange_changed(before, EXCHANGE_PROPERTY_STATE);
    }
    return r;
}
