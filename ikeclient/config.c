/* The table of ikeclient.conf's keys, and its defaults. */
#include "ikeclient/config.h"

#include "base/cleanup.h"
#include "base/dscp.h"
#include "base/fqdn.h"
#include "base/log.h"
#include "ikeclient/endpoint.h"
#include "ikeclient/proposals.h"
#include "ikeclient/selectors.h"
#include "ikeclient/targets.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

/* The profile of TS 33.210 in its order of preference; group 14 is there for gateways of its time.
 */
static const char default_ike[] =
    "aes128gcm16-prfsha256-ecp256, aes256gcm16-prfsha384-ecp384, aes128-sha256-ecp256, "
    "aes256-sha256-ecp384, chacha20poly1305-prfsha256-curve25519, aes128-sha256-modp2048";
static const char default_esp[] = "aes128gcm16, aes256gcm16, aes128-sha256, chacha20poly1305";

static const char *const request_names[] = {"ipv4", "ipv6", "both", "none", NULL};
static const char *const pfs_names[] = {"optional", "yes", "no", NULL};
static const char *const level_names[] = {"error", "warning", "notice", "info", "debug", NULL};
enum { LEVEL_INFO = 3, IKE_LIFETIME = 4 * 3600, IKE_LIFETIME_MAX = 7 * 86400 };

static int parse_offer(const char *value, uint8_t protocol, void *target, Reason *allowed)
{
    char problem[PROPOSALS_PROBLEM_SIZE];

    int r = proposals_parse(value, protocol, target, problem);
    if (r < 0)
        reason_set(allowed, 0, "%s", problem);
    return r;
}

static int parse_ike(const ConfigItem *item, const char *value, void *target, Reason *allowed)
{
    (void)item;
    return parse_offer(value, IKE_PROTOCOL_IKE, target, allowed);
}

static int parse_esp(const ConfigItem *item, const char *value, void *target, Reason *allowed)
{
    (void)item;
    return parse_offer(value, IKE_PROTOCOL_ESP, target, allowed);
}

static int parse_selectors(const ConfigItem *item, const char *value, void *target, Reason *allowed)
{
    (void)item;
    int r = selectors_parse(value, target);
    if (r < 0) {
        reason_set(allowed, 0,
                   "at most %d address prefixes, separated by commas, such as 10.200.0.0/16",
                   IKE_SELECTORS_MAX);
    }
    return r;
}

static int parse_dscps(const ConfigItem *item, const char *value, void *target, Reason *allowed)
{
    (void)item;
    int r = dscps_parse(value, target);
    if (r < 0) {
        reason_set(allowed, 0,
                   "names such as ef, af41 and cs6, and numbers from 0 to 63, with commas between");
    }
    return r;
}

/* ---- [segw] address ---- */

enum { ADDRESS_SIZE = 256 };

static bool is_literal(const char *text)
{
    Endpoint endpoint;

    return endpoint_from_literal(text, 0, &endpoint) == 0;
}

/* A host name as resolvers take it: an underscore may stand in it, and a dot at its end. Or an IPv6
 * address with its interface ("fe80::1%eth0"), which is for the resolver, too. */
static bool is_name(const char *text)
{
    char name[ADDRESS_SIZE];
    size_t size = strlen(text);
    char *scope;

    if (size >= sizeof(name))
        return false;
    memcpy(name, text, size + 1);
    scope = strchr(name, '%');
    if (scope) {
        *scope = 0;
        return is_literal(name) && strchr(name, ':') != NULL && scope[1] != 0;
    }
    for (size_t i = 0; i < size; i++) {
        if (name[i] == '_')
            name[i] = 'x';
    }
    return fqdn_is_valid(name, size > 1 && name[size - 1] == '.' ? size - 1 : size);
}

/* The text between the first octet and the last `end`; NULL if that is no address or name. */
static const char *inner_of(const char *value, char end, char *text)
{
    const char *last = strrchr(value, end);

    if (!last || last <= value || (size_t)(last - value) > ADDRESS_SIZE)
        return NULL;
    memcpy(text, value + 1, (size_t)(last - value) - 1);
    text[last - value - 1] = 0;
    return is_literal(text) || is_name(text) ? text : NULL;
}

/* What was probably meant, in words; -EINVAL. */
static int refuse_address(const char *value, Reason *allowed)
{
    char text[ADDRESS_SIZE];
    const char *port = strrchr(value, ':');
    const size_t size = port ? (size_t)(port - value) : 0;

    if ((value[0] == '"' || value[0] == '\'') && inner_of(value, value[0], text))
        return reason_set(allowed, -EINVAL, "%s, without quotation marks", text);
    if (value[0] == '[' && inner_of(value, ']', text)) {
        return strchr(value, ']')[1] == 0
                   ? reason_set(allowed, -EINVAL, "%s, without brackets", text)
                   : reason_set(allowed, -EINVAL,
                                "%s, without brackets, and \"port = %s\" in a line of its own",
                                text, port + 1);
    }
    if (port && size < sizeof(text)) {
        memcpy(text, value, size);
        text[size] = 0;
        if (is_literal(text) || is_name(text)) {
            return reason_set(allowed, -EINVAL, "%s, and \"port = %s\" in a line of its own", text,
                              port + 1);
        }
    }
    return reason_set(allowed, -EINVAL,
                      "an IPv4 or IPv6 address, or a host name, such as segw.operator.example");
}

/* Whether the PLMN is there, which "plmn:" is for, is seen when the file was read. */
static int parse_address(const ConfigItem *item, const char *value, void *target, Reason *allowed)
{
    Targets targets;

    int r = targets_read(&targets, value, "001-01");
    if (r == -E2BIG)
        return reason_set(allowed, -EINVAL, "at most %d SeGWs, with commas between", TARGETS_MAX);
    for (size_t i = 0; r == 0 && i < targets.count; i++) {
        if (!is_literal(targets.list[i].name) && !is_name(targets.list[i].name))
            return refuse_address(targets.list[i].name, allowed);
    }
    return r < 0 ? refuse_address(value, allowed)
                 : config_parse_string(item, value, target, allowed);
}

static int parse_plmn(const ConfigItem *item, const char *value, void *target, Reason *allowed)
{
    if (!plmn_is_valid(value))
        return reason_set(allowed, -EINVAL, "MCC and MNC with a hyphen between, such as 001-01");
    return config_parse_string(item, value, target, allowed);
}

#define PLACE(field) .offset = offsetof(Config, field)

static const ConfigItem items[] = {
    {"segw", "address", parse_address, PLACE(segw_address)},
    {"segw", "plmn", parse_plmn, PLACE(plmn)},
    {"segw", "return-after", config_parse_number, PLACE(return_after), .minimum = 0,
     .maximum = 86400},
    {"segw", "port", config_parse_number, PLACE(port), .minimum = 1, .maximum = UINT16_MAX},
    {"segw", "nat-t-port", config_parse_number, PLACE(nat_t_port), .minimum = 1,
     .maximum = UINT16_MAX},
    {"ike", "proposals", parse_ike, PLACE(ike_offer)},
    {"ike", "lifetime", config_parse_number, PLACE(ike_lifetime), .minimum = 0,
     .maximum = IKE_LIFETIME_MAX},
    {"child", "proposals", parse_esp, PLACE(esp_offer)},
    {"child", "request-address", config_parse_choice, PLACE(request_address),
     .choices = request_names},
    {"child", "pfs", config_parse_choice, PLACE(pfs), .choices = pfs_names},
    {"child", "remote-ts", parse_selectors, PLACE(remote_ts)},
    {"connection", "reconnect", config_parse_boolean, PLACE(reconnect)},
    {"connection", "mobike", config_parse_boolean, PLACE(mobike)},
    {"connection", "retry-max", config_parse_number, PLACE(retry_max), .minimum = 1,
     .maximum = 86400},
    {"connection", "initial-contact", config_parse_boolean, PLACE(initial_contact)},
    {"connection", "retransmit-timeout", config_parse_number, PLACE(retransmit_timeout),
     .minimum = 50, .maximum = 60000},
    {"connection", "retransmit-tries", config_parse_number, PLACE(retransmit_tries), .minimum = 1,
     .maximum = 12},
    {"connection", "liveness", config_parse_number, PLACE(liveness), .minimum = 0,
     .maximum = 86400},
    {"connection", "keepalive", config_parse_number, PLACE(keepalive), .minimum = 0,
     .maximum = 3600},
    {"connection", "fragment-size", config_parse_number, PLACE(fragment_size), .minimum = 576,
     .maximum = 65535},
    {"log", "level", config_parse_choice, PLACE(log_level), .choices = level_names},
};

static const ConfigItem child_items[] = {
    {"child NAME", "remote-ts", parse_selectors, .offset = offsetof(ChildConfig, remote_ts)},
    {"child NAME", "local-ts", parse_selectors, .offset = offsetof(ChildConfig, local_ts)},
    {"child NAME", "dscp", parse_dscps, .offset = offsetof(ChildConfig, dscps)},
};

static int begin_child(void *target, const char *name, void **ret, Reason *reason)
{
    Config *config = target;

    for (size_t i = 0; i < config->n_children; i++) {
        if (strcmp(config->children[i].name, name) == 0)
            return -EEXIST;
    }
    if (config->n_children == CONFIG_CHILDREN_MAX) {
        return reason_set(reason, -EINVAL, "at most %d of them, beside [child]",
                          CONFIG_CHILDREN_MAX);
    }
    ChildConfig *child = &config->children[config->n_children++];
    *child = (ChildConfig){0};
    (void)snprintf(child->name, sizeof(child->name), "%s", name);
    *ret = child;
    return 0;
}

/* One DSCP leaves by one Child SA. */
static int check_dscps(const Config *config, size_t index, const char *path, Reason *reason)
{
    const ChildConfig *child = &config->children[index];
    char text[DSCPS_TEXT_SIZE];

    for (size_t i = 0; i < index; i++) {
        const uint64_t both = config->children[i].dscps & child->dscps;
        if (both == 0)
            continue;
        return reason_set(reason, -EINVAL,
                          "%s: [child %s] and [child %s] both have \"dscp\" %s; write each DSCP "
                          "into one of them",
                          path, config->children[i].name, child->name, dscps_text(both, text));
    }
    return 0;
}

/* The address of the tunnel is IKE_AUTH's, so that another Child SA is for another network, or for
 * some DSCPs. */
static int check_children(const Config *config, const char *path, Reason *reason)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < config->n_children; i++) {
        const ChildConfig *child = &config->children[i];
        if (child->remote_ts.n_selectors == 0 && child->dscps == 0) {
            return reason_set(reason, -EINVAL,
                              "%s: [child %s] has neither \"remote-ts\" nor \"dscp\"; write the "
                              "networks or the DSCPs there that it is for",
                              path, child->name);
        }
        r = check_dscps(config, i, path, reason);
    }
    return r;
}

int config_init(Config *config)
{
    char problem[PROPOSALS_PROBLEM_SIZE];

    *config = (Config){
        .name = CONNECTION_DEFAULT,
        .port = 500,
        .return_after = 60,
        .nat_t_port = 4500,
        .ike_lifetime = IKE_LIFETIME,
        .request_address = REQUEST_IPV4,
        .reconnect = true,
        .mobike = true,
        .retry_max = 300,
        .initial_contact = true,
        .retransmit_timeout = 1000,
        .retransmit_tries = 5,
        .liveness = 30,
        .keepalive = 20, /* TS 29.139 6 */
        .fragment_size = 1280,
        .log_level = LEVEL_INFO,
    };
    int r = proposals_parse(default_ike, IKE_PROTOCOL_IKE, &config->ike_offer, problem);
    if (r < 0)
        return r;
    return proposals_parse(default_esp, IKE_PROTOCOL_ESP, &config->esp_offer, problem);
}

void config_deinit(Config *config)
{
    free(config->segw_address);
    free(config->plmn);
    *config = (Config){0};
}

/* ---- several connections ---- */

/* Keys of two sections that have the same name, or say nothing without the section's. */
static const struct {
    const char *section, *key, *named;
} renamed[] = {
    {"ike", "proposals", "ike-proposals"},
    {"ike", "lifetime", "ike-lifetime"},
    {"child", "proposals", "child-proposals"},
};

/* What an item of the sections without a name is in [connection NAME]. */
static ConfigItem named_item(const ConfigItem *item)
{
    ConfigItem named = *item;

    for (size_t i = 0; i < ELEMENTS(renamed); i++) {
        if (strcmp(item->section, renamed[i].section) == 0 &&
            strcmp(item->key, renamed[i].key) == 0)
            named.key = renamed[i].named;
    }
    return named;
}

/* What is being read: the sections without a name, which all others begin with. */
typedef struct Reading {
    Config common; /* first: the items' offsets are its */
    Configs *configs;
} Reading;

static int config_copy(const Config *from, Config *ret)
{
    *ret = *from;
    ret->segw_address = from->segw_address ? strdup(from->segw_address) : NULL;
    ret->plmn = from->plmn ? strdup(from->plmn) : NULL;
    return (from->segw_address && !ret->segw_address) || (from->plmn && !ret->plmn) ? -ENOMEM : 0;
}

static int connection_add(const Reading *reading, const char *name, Config **ret)
{
    Configs *configs = reading->configs;
    Config **list = reallocarray(configs->list, configs->count + 1, sizeof(Config *));

    if (!list)
        return -ENOMEM;
    configs->list = list;
    Config *config = calloc(1, sizeof(*config));
    if (!config)
        return -ENOMEM;
    list[configs->count++] = config;
    int r = config_copy(&reading->common, config);
    (void)snprintf(config->name, sizeof(config->name), "%s", name);
    *ret = config;
    return r;
}

static int begin_connection(void *target, const char *name, void **ret, Reason *reason)
{
    const Reading *reading = target;
    Config *config = NULL;

    (void)reason;
    for (size_t i = 0; i < reading->configs->count; i++) {
        if (strcmp(reading->configs->list[i]->name, name) == 0)
            return -EEXIST;
    }
    int r = connection_add(reading, name, &config);
    *ret = config;
    return r;
}

static int connection_check(const Config *config, const char *path, bool named, Reason *reason)
{
    char section[CONFIG_NAME_SIZE + 16] = "[segw]";
    Targets targets;

    if (named)
        (void)snprintf(section, sizeof(section), "[connection %s]", config->name);
    if (!config->segw_address) {
        return reason_set(reason, -EINVAL,
                          "%s: %s has no \"address\"; write the security gateway's address or "
                          "host name there",
                          path, section);
    }
    if (targets_read(&targets, config->segw_address, config->plmn) == -ENOENT) {
        return reason_set(reason, -EINVAL,
                          "%s: %s address has a \"plmn:\" in it, and %s has no \"plmn\"; "
                          "write \"plmn = MCC-MNC\" there",
                          path, section, section);
    }
    return 0;
}

static int configs_read(const char *path, Reading *reading, Reason *reason)
{
    ConfigItem named_items[ELEMENTS(items)];
    size_t n = 0;

    for (size_t i = 0; i < ELEMENTS(items); i++) {
        if (strcmp(items[i].section, "log") != 0)
            named_items[n++] = named_item(&items[i]);
    }
    const ConfigNamed named[] = {{"child", child_items, ELEMENTS(child_items), begin_child},
                                 {"connection", named_items, n, begin_connection}};
    return config_read_named(path, items, ELEMENTS(items), named, ELEMENTS(named), reading, reason);
}

/* Networks of a Child SA are behind one SeGW, and no section says behind which. */
static int check_whose_children(const Reading *reading, const char *path, Reason *reason)
{
    if (reading->configs->count == 0 || reading->common.n_children == 0)
        return 0;
    return reason_set(
        reason, -EINVAL,
        "%s: there are [connection %s] and [child %s], and a [child NAME] is for a file "
        "with one connection; keep one of the two kinds",
        path, reading->configs->list[0]->name, reading->common.children[0].name);
}

int configs_load(const char *path, Configs *ret, Reason *reason)
{
    Reading reading = {.configs = ret};
    Config *only = NULL;

    *ret = (Configs){0};
    int r = config_init(&reading.common);
    if (r >= 0)
        r = configs_read(path, &reading, reason);
    if (r >= 0)
        r = check_children(&reading.common, path, reason);
    if (r >= 0)
        r = check_whose_children(&reading, path, reason);
    const bool named = ret->count > 0;
    if (r >= 0 && !named)
        r = connection_add(&reading, CONNECTION_DEFAULT, &only);
    for (size_t i = 0; r >= 0 && i < ret->count; i++) {
        Config *config = ret->list[i];
        if (ret->count > 1)
            (void)snprintf(config->label, sizeof(config->label), "%s: ", config->name);
        r = connection_check(config, path, named, reason);
    }
    ret->log_level = reading.common.log_level;
    config_deinit(&reading.common);
    if (r == -ENOMEM)
        reason_set(reason, 0, "out of memory");
    return r;
}

void configs_deinit(Configs *configs)
{
    for (size_t i = 0; i < configs->count; i++) {
        config_deinit(configs->list[i]);
        free(configs->list[i]);
    }
    free(configs->list);
    *configs = (Configs){0};
}

int configs_log_level(const Configs *configs)
{
    return log_level_from_name(level_names[configs->log_level]);
}

bool config_wants_family(const Config *config, uint8_t ts_type)
{
    switch (config->request_address) {
    case REQUEST_IPV4:
        return ts_type == IKE_TS_IPV4_ADDR_RANGE;
    case REQUEST_IPV6:
        return ts_type == IKE_TS_IPV6_ADDR_RANGE;
    default:
        return true;
    }
}
