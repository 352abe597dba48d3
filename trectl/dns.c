/* trectl dns: one SeGW's DNS servers in systemd-resolved for as long as there is a tunnel. What is
 * to be there follows from what ikeclient says now, and is compared with what was told last: at
 * each signal, and now and then. An interface that is gone has taken its servers along. Of one
 * connection, as resolved has one list of servers for an interface: it asks any of them for any of
 * the interface's domains, and takes "there is no such name" from any for an answer. Which domains,
 * the command line says, and no SeGW (INTERNAL_DNS_DOMAIN, RFC 8598, is not asked for): one that
 * could would have other networks' names asked of itself. Nor is ikeclient's word taken for the
 * interface: what root tells resolved holds for any link of the host, so one that tred.conf does
 * not name is refused. */
#include "base/cleanup.h"
#include "base/log.h"
#include "base/program.h"
#include "base/reason.h"
#include "trectl/busjson.h"
#include "trectl/commands.h"
#include "trectl/snapshot.h"
#include "tred/bus_connection.h"
#include "tred/config.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <systemd/sd-daemon.h>
#include <systemd/sd-event.h>

/* ---- what systemd-resolved is told of an interface (org.freedesktop.resolve1(5)) ---- */

#define RESOLVED "org.freedesktop.resolve1"
#define RESOLVED_PATH "/org/freedesktop/resolve1"
#define RESOLVED_MANAGER RESOLVED ".Manager"

enum { PATIENCE_USEC = 5 * 1000 * 1000 };

enum { RESOLVED_DOMAINS_MAX = 16 };

typedef struct ResolvedDomains {
    size_t count;
    const char *names[RESOLVED_DOMAINS_MAX]; /* "." stands for all */
} ResolvedDomains;

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

/* `servers`: an array of addresses as text. 0, or -errno with `reason`. */
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

/* Has names below `domains`, and no others, be asked over the interface with that index. 0, or
 * -errno with `reason`. */
static int names_set(sd_bus *bus, int interface, const ResolvedDomains *domains, Reason *reason)
{
    int r = default_route_clear(bus, interface, reason);

    return r == 0 ? domains_set(bus, interface, domains, reason) : r;
}

/* Takes all of it back. 0 or -errno. */
static int resolved_revert(sd_bus *bus, int interface)
{
    _cleanup_(sd_bus_message_unrefp) sd_bus_message *call = NULL;
    int r = call_new(bus, "RevertLink", interface, &call);

    return r < 0 ? r : call_make(bus, call, NULL);
}

/* ---- following ikeclient ---- */

enum { LOOK_USEC = 10 * 1000 * 1000, ACCURACY_USEC = 1000 * 1000, DOMAIN = 'd', CONNECTION = 256 };

typedef struct DnsOptions {
    const char *config;
    const char *connection; /* NULL: the first one */
    ResolvedDomains domains;
} DnsOptions;

typedef struct Dns {
    sd_bus *bus;
    sd_event *event;
    sd_event_source *look; /* once, when all signals that there are have been read */
    const DnsOptions *options;
    const InterfaceNames *interfaces; /* of tred's tunnels */
    int told;                         /* an interface's index; 0: resolved knows of nothing */
    char interface[IFNAMSIZ];         /* and its name */
    char *told_servers;               /* as JSON; of `told` */
    bool complained;                  /* that resolved does not take it */
    bool missed;                      /* said that ikeclient has no such connection */
    bool refused;                     /* said that ikeclient names another interface */
} Dns;

static const CommandOption options[] = {
    {"connection", "NAME", CONNECTION, "the one of this name, not the first one"},
    {"domain", "NAME", DOMAIN,
     "names below it are asked of the SeGW's servers; may be repeated; . for all"},
    {"config", "FILE", 'c', "tred's configuration (default /etc/tred/tred.conf)"},
    {NULL, NULL, 0, NULL},
};

static const CommandLine line = {
    .program = "trectl dns",
    .usage = "Usage: trectl dns [--connection NAME] --domain NAME…\n"
             "Has systemd-resolved ask the SeGW's DNS servers for names below these domains while "
             "there is a\ntunnel. Stays; trectl-dns.service runs it.\n",
    .options = options,
    .more = "Exit status: 0 ended by a signal, 69 the bus can't be reached, 78 the configuration "
            "can't be used.\n",
};

static int option_take(int value, const char *argument, void *userdata)
{
    DnsOptions *given = userdata;

    if (value == 'c') {
        given->config = argument;
        return 0;
    }
    if (value == CONNECTION) {
        given->connection = argument;
        return 0;
    }
    if (given->domains.count == RESOLVED_DOMAINS_MAX)
        return commandline_error(&line, "there are more than %d domains", RESOLVED_DOMAINS_MAX);
    given->domains.names[given->domains.count++] = argument;
    return 0;
}

static void take_back(Dns *dns)
{
    if (dns->told != 0 && (int)if_nametoindex(dns->interface) == dns->told &&
        resolved_revert(dns->bus, dns->told) == 0)
        log_info("The SeGW's DNS servers are no longer asked");
    dns->told = 0;
    free(dns->told_servers);
    dns->told_servers = NULL;
}

/* Names go on resolving while it changes: what is there stays there until it is replaced. The
 * servers of a new interface last: no name is asked of them before it is said which. */
static void tell(Dns *dns, int interface, const char *name, json_object *servers)
{
    const char *text = json_object_to_json_string(servers);
    Reason reason = {0};
    int r = 0;

    if (dns->told == interface && dns->told_servers && strcmp(dns->told_servers, text) == 0)
        return;
    if (dns->told != interface) {
        take_back(dns);
        (void)snprintf(dns->interface, sizeof(dns->interface), "%s", name);
        r = names_set(dns->bus, interface, &dns->options->domains, &reason);
    }
    if (r == 0)
        r = servers_set(dns->bus, interface, servers, &reason);
    if (r < 0) {
        if (!dns->complained)
            log_warning("%s. It is told again and again", reason.text);
        dns->complained = true;
        return;
    }
    dns->complained = false;
    dns->told = interface;
    free(dns->told_servers);
    dns->told_servers = strdup(text); /* NULL: told once more the next time */
    log_info("The SeGW's DNS servers %s are asked over %s", text, dns->interface);
}

/* What ikeclient says of the connection; NULL: there is no such one, or no ikeclient. */
static json_object *client_take(Dns *dns)
{
    _cleanup_(free_charp) char *path = NULL;
    json_object *client = NULL;
    Reason reason = {0};
    int r = client_path_find(dns->bus, dns->options->connection, &path, &reason);

    if (r == -ENOENT && !dns->missed)
        log_warning("%s", reason.text);
    dns->missed = r == -ENOENT;
    if (r == 0)
        (void)bus_json_properties(dns->bus, CLIENT_NAME, path, CLIENT_INTERFACE, &client);
    return client;
}

/* The index of the interface that ikeclient names; 0: none, or none that is a tunnel's. */
static int interface_take(Dns *dns, const char *name)
{
    const bool is_ours = interface_find(dns->interfaces, name) < dns->interfaces->n;
    const bool refused = name[0] != '\0' && !is_ours;
    if (refused && !dns->refused) {
        log_warning("ikeclient says that its traffic goes by the interface '%s', and %s names no "
                    "such one: it is left alone, and no DNS server is asked over it. If the file "
                    "has changed, restart trectl-dns; if not, find out what has become of "
                    "ikeclient",
                    name, dns->options->config);
    }
    dns->refused = refused;
    return is_ours ? (int)if_nametoindex(name) : 0;
}

static void look(Dns *dns)
{
    _cleanup_(json_object_putp) json_object *client = client_take(dns);
    json_object *servers = json_member(client, "DnsServers");
    const char *name = json_text(client, "Interface");
    const int interface = interface_take(dns, name);

    /* While another IKE SA is being made, that in use stays in use, and has its servers. */
    if (interface != 0 && json_count(servers) > 0) {
        tell(dns, interface, name, servers);
    } else {
        take_back(dns);
    }
}

static int on_look(sd_event_source *source, void *userdata)
{
    (void)source;
    look(userdata);
    return 0;
}

static int on_change(sd_bus_message *signal, void *userdata, sd_bus_error *error)
{
    const Dns *dns = userdata;

    (void)signal, (void)error;
    return sd_event_source_set_enabled(dns->look, SD_EVENT_ONESHOT);
}

/* Another resolved knows nothing of what the one before was told. */
static int on_resolved(sd_bus_message *signal, void *userdata, sd_bus_error *error)
{
    Dns *dns = userdata;

    (void)signal, (void)error;
    dns->told = 0;
    return sd_event_source_set_enabled(dns->look, SD_EVENT_ONESHOT);
}

static int on_time(sd_event_source *source, uint64_t usec, void *userdata)
{
    look(userdata);
    int r = sd_event_source_set_time(source, usec + LOOK_USEC);
    return r < 0 ? r : sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

/* Before the loop ends, which closes the bus. */
static int on_stop(sd_event_source *source, const struct signalfd_siginfo *info, void *userdata)
{
    Dns *dns = userdata;

    (void)source, (void)info;
    take_back(dns);
    return sd_event_exit(dns->event, 0);
}

static int signal_add(Dns *dns, int number)
{
    sigset_t set;

    (void)sigemptyset(&set);
    (void)sigaddset(&set, number);
    if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
        return -errno;
    return sd_event_add_signal(dns->event, NULL, number, on_stop, dns);
}

static int set_up(Dns *dns)
{
    int r = sd_event_default(&dns->event);

    if (r >= 0)
        r = signal_add(dns, SIGTERM);
    if (r >= 0)
        r = signal_add(dns, SIGINT);
    if (r >= 0)
        r = sd_event_add_defer(dns->event, &dns->look, on_look, dns);
    if (r >= 0)
        r = sd_event_source_set_priority(dns->look, SD_EVENT_PRIORITY_IDLE);
    if (r >= 0)
        r = sd_bus_attach_event(dns->bus, dns->event, SD_EVENT_PRIORITY_NORMAL);
    if (r >= 0)
        r = sd_bus_set_exit_on_disconnect(dns->bus, true);
    if (r >= 0) {
        r = sd_bus_add_match(dns->bus, NULL, "type='signal',sender='" CLIENT_NAME "'", on_change,
                             dns);
    }
    if (r >= 0) {
        r = sd_bus_add_match(dns->bus, NULL,
                             "type='signal',sender='org.freedesktop.DBus',"
                             "member='NameOwnerChanged',arg0='" CLIENT_NAME "'",
                             on_change, dns);
    }
    if (r >= 0) {
        r = sd_bus_add_match(dns->bus, NULL,
                             "type='signal',sender='org.freedesktop.DBus',"
                             "member='NameOwnerChanged',arg0='org.freedesktop.resolve1'",
                             on_resolved, dns);
    }
    if (r >= 0) {
        r = sd_event_add_time_relative(dns->event, NULL, CLOCK_MONOTONIC, LOOK_USEC, ACCURACY_USEC,
                                       on_time, dns);
    }
    return r;
}

static void dns_deinit(Dns *dns)
{
    free(dns->told_servers);
    sd_event_source_disable_unref(dns->look);
    sd_bus_flush_close_unref(dns->bus);
    sd_event_unref(dns->event);
}

static int follow(const DnsOptions *given, const InterfaceNames *interfaces)
{
    _cleanup_(dns_deinit) Dns dns = {.options = given, .interfaces = interfaces};
    Reason reason = {0};
    int r = bus_connection_open(&dns.bus, &reason);

    if (r < 0) {
        log_error("%s", reason.text);
        return exit_status(r, EX_UNAVAILABLE);
    }
    r = set_up(&dns);
    if (r >= 0) {
        look(&dns);
        (void)sd_notify(0, "READY=1");
        r = sd_event_loop(dns.event);
    }
    if (r != 0)
        log_error("trectl dns ends: %s", r < 0 ? strerror(-r) : "the system bus is gone");
    return r == 0 ? EX_OK : EX_UNAVAILABLE;
}

int dns_main(int argc, char **argv)
{
    DnsOptions given = {.config = "/etc/tred/tred.conf"};
    _cleanup_(tred_config_deinit) TredConfig config = {0};
    Reason reason = {0};
    int r = commandline_read(&line, argc, argv, option_take, &given);

    if (r != COMMANDLINE_GO_ON)
        return r;
    if (given.domains.count == 0)
        return commandline_error(&line, "--domain is missing");
    r = tred_config_read(given.config, &config, &reason);
    if (r < 0) {
        log_error("%s", reason.text[0] != '\0' ? reason.text : strerror(-r));
        return config_status(r);
    }
    return follow(&given, &config.interfaces);
}
