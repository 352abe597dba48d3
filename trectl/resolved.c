/* Tells systemd-resolved. */
#include "trectl/resolved.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>

#define RESOLVED "org.freedesktop.resolve1"
#define RESOLVED_PATH "/org/freedesktop/resolve1"
#define RESOLVED_MANAGER RESOLVED ".Manager"

enum { PATIENCE_USEC = 5 * 1000 * 1000 };

static int call_new(sd_bus *bus, const char *method, int interface, sd_bus_message **ret)
{
    int r =
        sd_bus_message_new_method_call(bus, ret, RESOLVED, RESOLVED_PATH, RESOLVED_MANAGER, method);

    return r < 0 ? r : sd_bus_message_append(*ret, "i", interface);
}

static int call_make(sd_bus *bus, sd_bus_message *call, Reason *reason)
{
    _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
    int r = sd_bus_call(bus, call, PATIENCE_USEC, &error, NULL);

    if (r < 0) {
        reason_set(reason, r, "systemd-resolved refuses %s: %s", sd_bus_message_get_member(call),
                   error.message ? error.message : strerror(-r));
    }
    return r < 0 ? r : 0;
}

/* One server: family and octets. What is no address is passed over: nobody could be asked there. */
static int server_append(sd_bus_message *call, const char *text)
{
    uint8_t octets[sizeof(struct in6_addr)];
    const bool ipv6 = strchr(text, ':') != NULL;
    int r;

    if (inet_pton(ipv6 ? AF_INET6 : AF_INET, text, octets) != 1)
        return 0;
    r = sd_bus_message_open_container(call, 'r', "iay");
    if (r >= 0)
        r = sd_bus_message_append(call, "i", ipv6 ? AF_INET6 : AF_INET);
    if (r >= 0) {
        r = sd_bus_message_append_array(call, 'y', octets,
                                        ipv6 ? sizeof(struct in6_addr) : sizeof(struct in_addr));
    }
    return r < 0 ? r : sd_bus_message_close_container(call);
}

static int servers_set(sd_bus *bus, int interface, json_object *servers, Reason *reason)
{
    _cleanup_(sd_bus_message_unrefp) sd_bus_message *call = NULL;
    int r = call_new(bus, "SetLinkDNS", interface, &call);

    if (r >= 0)
        r = sd_bus_message_open_container(call, 'a', "(iay)");
    for (size_t i = 0; r >= 0 && i < json_count(servers); i++)
        r = server_append(call, json_object_get_string(json_item(servers, i)));
    if (r >= 0)
        r = sd_bus_message_close_container(call);
    return r < 0 ? reason_set(reason, r, "%s", strerror(-r)) : call_make(bus, call, reason);
}

/* For routing alone, not for search: no name is completed by them. */
static int domains_set(sd_bus *bus, int interface, const ResolvedDomains *domains, Reason *reason)
{
    _cleanup_(sd_bus_message_unrefp) sd_bus_message *call = NULL;
    int r = call_new(bus, "SetLinkDomains", interface, &call);

    if (r >= 0)
        r = sd_bus_message_open_container(call, 'a', "(sb)");
    for (size_t i = 0; r >= 0 && i < domains->count; i++)
        r = sd_bus_message_append(call, "(sb)", domains->names[i], (int)true);
    if (r >= 0)
        r = sd_bus_message_close_container(call);
    return r < 0 ? reason_set(reason, r, "%s", strerror(-r)) : call_make(bus, call, reason);
}

/* Without this, whatever has no better server is asked of an interface that has some. */
static int default_route_clear(sd_bus *bus, int interface, Reason *reason)
{
    _cleanup_(sd_bus_message_unrefp) sd_bus_message *call = NULL;
    int r = call_new(bus, "SetLinkDefaultRoute", interface, &call);

    if (r >= 0)
        r = sd_bus_message_append(call, "b", (int)false);
    return r < 0 ? reason_set(reason, r, "%s", strerror(-r)) : call_make(bus, call, reason);
}

/* The servers last: no name is asked of them before it is said which. */
int resolved_set(sd_bus *bus, int interface, json_object *servers, const ResolvedDomains *domains,
                 Reason *reason)
{
    int r = default_route_clear(bus, interface, reason);

    if (r == 0)
        r = domains_set(bus, interface, domains, reason);
    return r == 0 ? servers_set(bus, interface, servers, reason) : r;
}

int resolved_revert(sd_bus *bus, int interface)
{
    _cleanup_(sd_bus_message_unrefp) sd_bus_message *call = NULL;
    int r = call_new(bus, "RevertLink", interface, &call);

    return r < 0 ? r : call_make(bus, call, NULL);
}
