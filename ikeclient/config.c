/* The table of ikeclient.conf's keys, and its defaults. */
#include "ikeclient/config.h"

#include "base/cleanup.h"
#include "base/log.h"
#include "ikeclient/proposals.h"
#include "ikeclient/selectors.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

/* The profile of TS 33.210 in its order of preference; group 14 is there for gateways of its time.
 */
static const char default_ike[] =
    "aes128gcm16-prfsha256-ecp256, aes256gcm16-prfsha384-ecp384, aes128-sha256-ecp256, "
    "aes256-sha256-ecp384, chacha20poly1305-prfsha256-curve25519, aes128-sha256-modp2048";
static const char default_esp[] = "aes128gcm16, aes256gcm16, aes128-sha256, chacha20poly1305";

static const char *const request_names[] = {"ipv4", "ipv6", "both", "none", NULL};
static const char *const level_names[] = {"error", "warning", "notice", "info", "debug", NULL};
enum { LEVEL_INFO = 3 };

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

#define PLACE(field) .offset = offsetof(Config, field)

static const ConfigItem items[] = {
    {"segw", "address", config_parse_string, PLACE(segw_address)},
    {"segw", "port", config_parse_number, PLACE(port), .minimum = 1, .maximum = UINT16_MAX},
    {"segw", "nat-t-port", config_parse_number, PLACE(nat_t_port), .minimum = 1,
     .maximum = UINT16_MAX},
    {"ike", "proposals", parse_ike, PLACE(ike_offer)},
    {"child", "proposals", parse_esp, PLACE(esp_offer)},
    {"child", "request-address", config_parse_choice, PLACE(request_address),
     .choices = request_names},
    {"child", "remote-ts", parse_selectors, PLACE(remote_ts)},
    {"connection", "reconnect", config_parse_boolean, PLACE(reconnect)},
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

int config_init(Config *config)
{
    char problem[PROPOSALS_PROBLEM_SIZE];

    *config = (Config){
        .port = 500,
        .nat_t_port = 4500,
        .request_address = REQUEST_IPV4,
        .reconnect = true,
        .initial_contact = true,
        .retransmit_timeout = 1000,
        .retransmit_tries = 5,
        .liveness = 60,
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
    *config = (Config){0};
}

int config_load(Config *config, const char *path, Reason *reason)
{
    int r = config_read(path, items, ELEMENTS(items), config, reason);
    if (r < 0)
        return r;
    if (!config->segw_address) {
        return reason_set(reason, -EINVAL,
                          "%s: [segw] has no \"address\"; write the security gateway's address or "
                          "host name there",
                          path);
    }
    return 0;
}

int config_log_level(const Config *config)
{
    return log_level_from_name(level_names[config->log_level]);
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
