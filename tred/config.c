/* The keys of tred.conf, and what holds where it says nothing. */
#include "tred/config.h"

#include "base/cleanup.h"
#include "base/log.h"
#include "dataplane/dataplane.h"
#include "tred/child_policy.h"
#include "tred/users.h"
#include "tred/verifier.h"

#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- the SeGWs ---- */

enum { HEX_DIGITS = 2 * VERIFY_FINGERPRINT_SIZE };

static bool fingerprint_parse(const char *text, uint8_t *ret)
{
    if (strlen(text) != HEX_DIGITS || strspn(text, "0123456789abcdefABCDEF") != HEX_DIGITS)
        return false;
    for (size_t i = 0; i < VERIFY_FINGERPRINT_SIZE; i++) {
        const char octet[] = {text[2 * i], text[2 * i + 1], 0};

        ret[i] = (uint8_t)strtoul(octet, NULL, 16);
    }
    return true;
}

/* The ConfigParser of only-anchors, into VerifyAnchors. */
static int segw_anchors_parse(const ConfigItem *item, const char *value, void *target,
                              Reason *allowed)
{
    _cleanup_(free_charp) char *copy = strdup(value);
    VerifyAnchors anchors = {0};
    char *rest = NULL;

    (void)item;
    if (!copy)
        return -ENOMEM;
    for (char *word = strtok_r(copy, ", \t", &rest); word; word = strtok_r(NULL, ", \t", &rest)) {
        if (anchors.count == VERIFY_ANCHORS_MAX ||
            !fingerprint_parse(word, anchors.fingerprints[anchors.count++]))
            goto refuse;
    }
    if (anchors.count == 0)
        goto refuse;
    *(VerifyAnchors *)target = anchors;
    return 0;

refuse:
    return reason_set(allowed, -EINVAL,
                      "the SHA-256 of one of the anchors in DER, in %d hexadecimal digits, or of "
                      "%d of them, with commas between",
                      HEX_DIGITS, VERIFY_ANCHORS_MAX);
}

/* The keys of a section, [segw NAME]. */
static const ConfigItem segw_items[] = {
    {"segw", "name", config_parse_fqdn, offsetof(Segw, name)},
    {"segw", "only-anchors", segw_anchors_parse, offsetof(Segw, anchors)},
    {"segw", "allowed-local", selector_policy_parse, offsetof(Segw, allowed_local)},
    {"segw", "allowed-remote", selector_policy_parse, offsetof(Segw, allowed_remote)},
    {"segw", "interface", config_parse_string, offsetof(Segw, interface)},
};

/* ---- the other keys ---- */

enum {
    MAX_EXCHANGES_DEFAULT = 16,
    VERIFY_SECONDS_DEFAULT = 60,
    VERIFY_SECONDS_MAX = 3600,
    SOFT_LIFETIME_SECONDS = 3600,
    HARD_LIFETIME_SECONDS = 3960,
};

static const char *const data_planes[] = {[DATAPLANE_AUTO] = "auto",
                                          [DATAPLANE_KERNEL] = "kernel",
                                          [DATAPLANE_USER] = "user",
                                          [DATAPLANE_NONE] = "none",
                                          NULL};

const char *const protect_modes[] = {
    [PROTECT_NO] = "no", [PROTECT_YES] = "yes", [PROTECT_STRICT] = "strict", NULL};

/* The names in the order of their numbers in syslog.h, from LOG_ERR on. */
static const char *const log_levels[] = {"error", "warning", "notice", "info", "debug", NULL};

static const char *const clock_records[] = {
    [CLOCK_RECORD_VOUCHED] = "vouched", [CLOCK_RECORD_OFF] = "off", NULL};

static const ConfigItem items[] = {
    {"tpm", "tcti", config_parse_string, offsetof(TredConfig, tcti)},
    {"tpm", "srk-name", config_parse_path, offsetof(TredConfig, srk_name)},
    {"tpm", "socket", config_parse_path, offsetof(TredConfig, tpm_socket)},
    {"identity", "key", config_parse_path, offsetof(TredConfig, key)},
    {"identity", "policy-key", config_parse_path, offsetof(TredConfig, policy_key)},
    {"identity", "pcr-signatures", config_parse_path, offsetof(TredConfig, pcr_signatures)},
    {"identity", "certificates", config_parse_path, offsetof(TredConfig, certificates)},
    {"segw", "name", config_parse_fqdn, offsetof(TredConfig, segw_name)},
    {"segw", "only-anchors", segw_anchors_parse, offsetof(TredConfig, segw_anchors)},
    {"segw", "allowed-local", selector_policy_parse, offsetof(TredConfig, segw_local)},
    {"segw", "allowed-remote", selector_policy_parse, offsetof(TredConfig, segw_remote)},
    {"segw", "interface", config_parse_string, offsetof(TredConfig, segw_interface)},
    {"segw", "anchors", config_parse_path, offsetof(TredConfig, anchors)},
    {"segw", "profile", config_parse_string, offsetof(TredConfig, segw_profile)},
    {"segw", "revocation", config_parse_choice, offsetof(TredConfig, revocation),
     .choices = revocation_modes},
    {"segw", "verifier", config_parse_path, offsetof(TredConfig, verifier)},
    {"segw", "crl-directory", config_parse_path, offsetof(TredConfig, crl_directory)},
    {"exchanges", "max-exchanges", config_parse_number, offsetof(TredConfig, max_exchanges),
     .minimum = 1, .maximum = EXCHANGES_USER_MAX},
    {"exchanges", "verify-seconds", config_parse_number, offsetof(TredConfig, verify_seconds),
     .minimum = 1, .maximum = VERIFY_SECONDS_MAX},
    {"data-plane", "mode", config_parse_choice, offsetof(TredConfig, data_plane),
     .choices = data_planes},
    {"data-plane", "interface", config_parse_string, offsetof(TredConfig, interface)},
    {"data-plane", "net-socket", config_parse_path, offsetof(TredConfig, net_socket)},
    {"data-plane", "esp-helper", config_parse_path, offsetof(TredConfig, esp_helper)},
    {"data-plane", "allowed-local", selector_policy_parse, offsetof(TredConfig, allowed_local)},
    {"data-plane", "allowed-remote", selector_policy_parse, offsetof(TredConfig, allowed_remote)},
    {"data-plane", "protect", config_parse_choice, offsetof(TredConfig, protect),
     .choices = protect_modes},
    {"data-plane", "protect-except", selector_policy_parse, offsetof(TredConfig, protect_except)},
    {"data-plane", "copy-dscp", config_parse_boolean, offsetof(TredConfig, copy_dscp)},
    {"data-plane", "ecn", config_parse_boolean, offsetof(TredConfig, ecn)},
    {"data-plane", "stronger-child", config_parse_boolean, offsetof(TredConfig, stronger_child)},
    {"data-plane", "soft-lifetime-seconds", config_parse_number, offsetof(TredConfig, soft.seconds),
     .maximum = UINT32_MAX},
    {"data-plane", "soft-lifetime-bytes", config_parse_number, offsetof(TredConfig, soft.bytes),
     .maximum = INT64_MAX},
    {"data-plane", "soft-lifetime-packets", config_parse_number, offsetof(TredConfig, soft.packets),
     .maximum = INT64_MAX},
    {"data-plane", "hard-lifetime-seconds", config_parse_number, offsetof(TredConfig, hard.seconds),
     .maximum = UINT32_MAX},
    {"data-plane", "hard-lifetime-bytes", config_parse_number, offsetof(TredConfig, hard.bytes),
     .maximum = INT64_MAX},
    {"data-plane", "hard-lifetime-packets", config_parse_number, offsetof(TredConfig, hard.packets),
     .maximum = INT64_MAX},
    {"clock", "record", config_parse_choice, offsetof(TredConfig, clock_record),
     .choices = clock_records},
    {"log", "level", config_parse_choice, offsetof(TredConfig, log_level), .choices = log_levels},
};

void tred_config_deinit(TredConfig *config)
{
    free(config->tcti);
    free(config->srk_name);
    free(config->key);
    free(config->policy_key);
    free(config->pcr_signatures);
    free(config->certificates);
    free(config->segw_name);
    free(config->segw_interface);
    free(config->anchors);
    free(config->segw_profile);
    free(config->crl_directory);
    segws_deinit(&config->segws);
    free(config->verifier);
    free(config->interface);
    free(config->net_socket);
    free(config->esp_helper);
    free(config->tpm_socket);
    *config = (TredConfig){0};
}

static int config_set_defaults(TredConfig *config)
{
    *config = (TredConfig){
        .tcti = strdup("device:/dev/tpmrm0"),
        .srk_name = strdup("/var/lib/tred/srk.name"),
        .key = strdup("/var/lib/tred/device.pem"),
        .policy_key = strdup("/var/lib/tred/policy-key.pem"),
        .pcr_signatures = strdup("/var/lib/tred/pcr-signatures"),
        .certificates = strdup("/var/lib/tred/device.crt"),
        .anchors = strdup("/var/lib/tred/segw-anchors.pem"),
        .segw_profile = strdup(SEGW_PROFILE_3GPP),
        .revocation = REVOCATION_IF_AVAILABLE,
        .crl_directory = strdup("/var/lib/tred/crls"),
        .verifier = strdup(TRED_VERIFY_PATH),
        .tpm_socket = strdup("/run/tred-tpm.socket"),
        .max_exchanges = MAX_EXCHANGES_DEFAULT,
        .verify_seconds = VERIFY_SECONDS_DEFAULT,
        .data_plane = DATAPLANE_AUTO,
        .interface = strdup("segw0"),
        .net_socket = strdup(TRED_NET_SOCKET),
        .esp_helper = strdup(TRED_ESP_PATH),
        .protect = PROTECT_YES,
        .copy_dscp = true,
        .ecn = true,
        .soft = {.seconds = SOFT_LIFETIME_SECONDS},
        .hard = {.seconds = HARD_LIFETIME_SECONDS},
        .log_level = LOG_INFO - LOG_ERR,
    };
    if (!config->tcti || !config->srk_name || !config->key || !config->policy_key ||
        !config->pcr_signatures || !config->certificates || !config->anchors ||
        !config->segw_profile || !config->crl_directory || !config->verifier ||
        !config->interface || !config->net_socket || !config->esp_helper || !config->tpm_socket)
        return -ENOMEM;
    selector_policy_any(&config->allowed_local);
    selector_policy_any(&config->allowed_remote);
    return 0;
}

/* A Child SA that ended before it is due to be replaced would end all traffic. */
static int lifetime_check(const char *path, const char *unit, uint64_t soft, uint64_t hard,
                          Reason *reason)
{
    if (soft == 0 || hard == 0 || soft < hard)
        return 0;
    return reason_set(reason, -EINVAL,
                      "%s: [data-plane] soft-lifetime-%s is %" PRIu64
                      ", and not below hard-lifetime-%s, which is %" PRIu64
                      ". Set both, or one of them to 0, which is no limit",
                      path, unit, soft, unit, hard);
}

static int lifetimes_check(const char *path, const TredConfig *config, Reason *reason)
{
    const Lifetime *soft = &config->soft, *hard = &config->hard;
    int r;

    r = lifetime_check(path, "seconds", soft->seconds, hard->seconds, reason);
    if (r == 0)
        r = lifetime_check(path, "bytes", soft->bytes, hard->bytes, reason);
    return r != 0 ? r : lifetime_check(path, "packets", soft->packets, hard->packets, reason);
}

/* [segw] is the first of all, once all that it can have is read. */
static int first_segw_add(TredConfig *config)
{
    const IkeTs *local =
        config->segw_local.n_selectors > 0 ? &config->segw_local : &config->allowed_local;
    const IkeTs *remote =
        config->segw_remote.n_selectors > 0 ? &config->segw_remote : &config->allowed_remote;
    Segw *segw = NULL;
    int r = 0;

    if (config->segws.count > 0)
        return 0;
    r = segws_add(&config->segws, SEGW_DEFAULT, local, &segw, NULL);
    if (r < 0)
        return r;
    segw->allowed_remote = *remote;
    segw->anchors = config->segw_anchors;
    segw->name = config->segw_name ? strdup(config->segw_name) : NULL;
    segw->interface = steal_pointer(config->segw_interface);
    return config->segw_name && !segw->name ? -ENOMEM : 0;
}

static int segw_begin(void *target, const char *name, void **ret, Reason *reason)
{
    TredConfig *config = target;
    Segw *segw = NULL;
    int r = first_segw_add(config);

    if (r >= 0)
        r = segws_add(&config->segws, name, &config->allowed_local, &segw, reason);
    *ret = segw;
    return r;
}

static const ConfigNamed named[] = {{"segw", segw_items, ELEMENTS(segw_items), segw_begin}};

int tred_config_read(const char *path, TredConfig *ret, Reason *reason)
{
    _cleanup_(tred_config_deinit) TredConfig config = {0};
    int r;

    r = config_set_defaults(&config);
    if (r < 0)
        return r;
    r = config_read_named(path, items, ELEMENTS(items), named, ELEMENTS(named), &config, reason);
    if (r < 0)
        return r;
    r = first_segw_add(&config);
    if (r < 0)
        return r;
    r = segws_check(&config.segws, path, &config.allowed_local, &config.allowed_remote, reason);
    if (r == 0) {
        r = segws_choose_interfaces(&config.segws, path, config.interface, &config.interfaces,
                                    reason);
    }
    if (r == 0)
        r = lifetimes_check(path, &config, reason);
    if (r < 0)
        return r;
    config.log_level += LOG_ERR;
    *ret = config;
    config = (TredConfig){0};
    return 0;
}
