/* Child SAs on the bus: how do selectors and addresses come in? OpenTransport, AllocateSpi,
 * AddChild, RemoveChild. */
#include "base/cleanup.h"
#include "base/log.h"
#include "tred/bus_error.h"
#include "tred/bus_exchange.h"

#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

/* An address as the bus has it, with a port, as the socket calls have it. */
static int read_remote(sd_bus_message *call, struct sockaddr_storage *ret)
{
    struct sockaddr_in *v4 = (struct sockaddr_in *)ret;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)ret;
    Bytes address = {0};
    uint16_t port = 0;
    int r;

    r = bus_read_bytes(call, &address);
    if (r >= 0)
        r = sd_bus_message_read(call, "q", &port);
    if (r < 0)
        return r;
    if (address.size == sizeof(v4->sin_addr)) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons(port);
        memcpy(&v4->sin_addr, address.data, address.size);
    } else if (address.size == sizeof(v6->sin6_addr)) {
        v6->sin6_family = AF_INET6;
        v6->sin6_port = htons(port);
        memcpy(&v6->sin6_addr, address.data, address.size);
    } else {
        return -EINVAL;
    }
    return port == 0 ? -EINVAL : 0;
}

int bus_exchange_open_transport(sd_bus_message *call, void *userdata, sd_bus_error *error)
{
    CallerExchange *held = userdata;
    char reason[EXCHANGE_REASON_SIZE] = "";
    struct sockaddr_storage remote = {0};
    int fd = -1;
    int r;

    r = bus_exchange_check_owner(held, call, error);
    if (r < 0)
        return r;
    r = exchange_allows(held->exchange, EXCHANGE_OPEN_TRANSPORT, reason);
    if (r != 0)
        return bus_error_set(error, r, reason);
    r = read_remote(call, &remote);
    if (r == -EINVAL) {
        return bus_error_set(error, EXCHANGE_E_MALFORMED,
                             "The SeGW's address has 4 or 16 octets, and its port is not 0.");
    }
    if (r < 0)
        return r;
    r = exchange_open_transport(held->exchange, &remote, &fd, reason);
    if (r != 0)
        return bus_error_set(error, r, reason);
    return sd_bus_reply_method_return(call, "h", fd);
}

int bus_exchange_allocate_spi(sd_bus_message *call, void *userdata, sd_bus_error *error)
{
    CallerExchange *held = userdata;
    char reason[EXCHANGE_REASON_SIZE] = "";
    uint32_t spi = 0;
    int r;

    r = bus_exchange_check_owner(held, call, error);
    if (r < 0)
        return r;
    r = exchange_allocate_spi(held->exchange, &spi, reason);
    if (r != 0)
        return bus_error_set(error, r, reason);
    return sd_bus_reply_method_return(call, "u", spi);
}

/* An address of 4 or 16 octets into a selector's field. */
static int address_copy(Bytes address, uint8_t *ret)
{
    if (address.size != 4 && address.size != 16)
        return -EINVAL;
    memcpy(ret, address.data, address.size);
    return 0;
}

static int read_selector(sd_bus_message *call, IkeSelector *ret)
{
    Bytes start, end;
    int r;

    r = sd_bus_message_read(call, "yyqq", &ret->type, &ret->protocol, &ret->start_port,
                            &ret->end_port);
    if (r >= 0)
        r = bus_read_bytes(call, &start);
    if (r >= 0)
        r = bus_read_bytes(call, &end);
    if (r < 0)
        return r;
    if (start.size != end.size || start.size != (ret->type == IKE_TS_IPV4_ADDR_RANGE ? 4U : 16U))
        return -EINVAL;
    r = address_copy(start, ret->start);
    return r < 0 ? r : address_copy(end, ret->end);
}

static int read_selectors(sd_bus_message *call, IkeTs *ret)
{
    int r = sd_bus_message_enter_container(call, 'a', "(yyqqayay)");

    while (r >= 0 && (r = sd_bus_message_enter_container(call, 'r', "yyqqayay")) > 0) {
        if (ret->n_selectors == IKE_SELECTORS_MAX)
            return -EINVAL;
        r = read_selector(call, &ret->selectors[ret->n_selectors++]);
        if (r >= 0)
            r = sd_bus_message_exit_container(call);
    }
    return r < 0 ? r : sd_bus_message_exit_container(call);
}

static int read_addresses(sd_bus_message *call, ChildRequest *request)
{
    int r = sd_bus_message_enter_container(call, 'a', "(ayy)");

    while (r >= 0 && (r = sd_bus_message_enter_container(call, 'r', "ayy")) > 0) {
        ChildAddress *address = &request->addresses[request->n_addresses];

        if (request->n_addresses++ == EXCHANGE_ADDRESSES_MAX)
            return -EINVAL;
        r = bus_read_bytes(call, &address->address);
        if (r >= 0)
            r = sd_bus_message_read(call, "y", &address->prefix_length);
        if (r >= 0)
            r = sd_bus_message_exit_container(call);
    }
    return r < 0 ? r : sd_bus_message_exit_container(call);
}

static int read_child(sd_bus_message *call, ChildRequest *ret, sd_bus_error *error)
{
    uint16_t encr = 0, key_bits = 0, integ = 0;
    int esn = 0, udp_encapsulated = 0;
    int r;

    r = sd_bus_message_read(call, "uu(qqqb)b", &ret->spi_in, &ret->spi_out, &encr, &key_bits,
                            &integ, &esn, &udp_encapsulated);
    ret->udp_encapsulated = udp_encapsulated != 0;
    if (r >= 0)
        r = read_selectors(call, &ret->ts_i);
    if (r >= 0)
        r = read_selectors(call, &ret->ts_r);
    if (r >= 0)
        r = read_addresses(call, ret);
    if (r == -EINVAL) {
        return bus_error_set(
            error, EXCHANGE_E_MALFORMED,
            "A traffic selector or address has octets that do not fit its type, or there are too "
            "many.");
    }
    if (r < 0)
        return r;
    if (esp_suite_from_ids(encr, key_bits, integ, IKE_GROUP_NONE, esn != 0, &ret->suite) != 0) {
        return bus_error_set(
            error, EXCHANGE_E_SUITE_NOT_ALLOWED,
            "The ESP suite is not in the profile. Offer suites that tred(8) lists.");
    }
    return 0;
}

/* An AddChild that the data plane has not answered yet. The exchange outlives it: whoever ends the
 * exchange has it answered before. */
typedef struct PendingChild {
    sd_bus_message *call;
    const CallerExchange *held;
    uint32_t spi_in, spi_out;
    char suite[SUITE_NAME_SIZE];
} PendingChild;

static void pending_child_free(PendingChild *pending)
{
    sd_bus_message_unref(pending->call);
    free(pending);
}

DEFINE_POINTER_CLEANUP(PendingChild, pending_child_free);

static int pending_child_new(sd_bus_message *call, const CallerExchange *held,
                             const ChildRequest *request, PendingChild **ret)
{
    PendingChild *pending = calloc(1, sizeof(*pending));

    if (!pending)
        return -ENOMEM;
    pending->call = sd_bus_message_ref(call);
    pending->held = held;
    pending->spi_in = request->spi_in;
    pending->spi_out = request->spi_out;
    esp_suite_name(&request->suite, pending->suite);
    *ret = pending;
    return 0;
}

static void refuse_child(const PendingChild *pending, int error, const char *reason)
{
    _cleanup_(sd_bus_error_free) sd_bus_error failure = SD_BUS_ERROR_NULL;
    int r;

    log_warning("Exchange %" PRIu64 ": AddChild is refused. %s", pending->held->number, reason);
    (void)bus_error_set(&failure, error, reason);
    r = sd_bus_reply_method_error(pending->call, &failure);
    if (r < 0)
        log_warning("Its owner could not be told: %s.", strerror(-r));
}

static void child_added(int error, const char *reason, void *userdata)
{
    _cleanup_(pending_child_freep) PendingChild *pending = userdata;
    const DataPlane *plane = pending->held->caller->daemon->dataplane;
    int r;

    if (error != 0) {
        refuse_child(pending, error, reason);
        return;
    }
    log_info("Exchange %" PRIu64 ": Child SA %08x in, %08x out, %s; data plane %s.",
             pending->held->number, pending->spi_in, pending->spi_out, pending->suite,
             dataplane_name(plane));
    r = sd_bus_reply_method_return(pending->call, "s", dataplane_interface(plane));
    if (r < 0)
        log_warning("Its owner could not be told: %s.", strerror(-r));
}

/* Answered by child_added() when the data plane has done its part. */
int bus_exchange_add_child(sd_bus_message *call, void *userdata, sd_bus_error *error)
{
    _cleanup_(pending_child_freep) PendingChild *pending = NULL;
    CallerExchange *held = userdata;
    char reason[EXCHANGE_REASON_SIZE] = "";
    ChildRequest request = {0};
    int r;

    r = bus_exchange_check_owner(held, call, error);
    if (r < 0)
        return r;
    r = exchange_allows(held->exchange, EXCHANGE_ADD_CHILD, reason);
    if (r != 0)
        return bus_error_set(error, r, reason);
    r = read_child(call, &request, error);
    if (r < 0)
        return r;
    r = pending_child_new(call, held, &request, &pending);
    if (r < 0)
        return r;
    r = exchange_add_child(held->exchange, &request, child_added, pending, reason);
    if (r > 0)
        log_warning("Exchange %" PRIu64 ": AddChild is refused. %s", held->number, reason);
    if (r != 0)
        return bus_error_set(error, r, reason);
    pending = NULL; /* child_added()'s */
    return 1;
}

int bus_exchange_remove_child(sd_bus_message *call, void *userdata, sd_bus_error *error)
{
    CallerExchange *held = userdata;
    char reason[EXCHANGE_REASON_SIZE] = "";
    uint32_t spi_in = 0;
    int r;

    r = bus_exchange_check_owner(held, call, error);
    if (r < 0)
        return r;
    r = sd_bus_message_read(call, "u", &spi_in);
    if (r < 0)
        return r;
    r = exchange_remove_child(held->exchange, spi_in, reason);
    if (r != 0)
        return bus_error_set(error, r, reason);
    log_info("Exchange %" PRIu64 ": Child SA %08x removed.", held->number, spi_in);
    return sd_bus_reply_method_return(call, NULL);
}
