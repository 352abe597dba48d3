/* The keys of tred.conf, and what holds where it says nothing; and that the SeGWs which it has
 * don't come into each other's way. */
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

const Segw *segws_find(const Segws *segws, const char *label)
{
    for (size_t i = 0; i < segws->count; i++) {
        if (strcmp(segws->list[i]->label, label) == 0)
            return segws->list[i];
    }
    return NULL;
}

static bool anchor_is_chosen(const VerifyAnchors *only, const uint8_t *fingerprint)
{
    for (size_t i = 0; i < only->count; i++) {
        if (memcmp(only->fingerprints[i], fingerprint, VERIFY_FINGERPRINT_SIZE) == 0)
            return true;
    }
    return only->count == 0;
}

size_t segw_anchor_hashes(const Segw *segw, const AnchorFacts *facts, Bytes ret[FRAME_HASHES_MAX])
{
    bool chosen[FRAME_HASHES_MAX] = {false};
    size_t count = 0;
    for (size_t i = 0; i < facts->n_certificates; i++) {
        if (anchor_is_chosen(&segw->anchors, facts->certificates[i].fingerprint))
            chosen[facts->certificates[i].hash] = true;
    }
    for (size_t i = 0; i < facts->n_hashes; i++) {
        if (chosen[i])
            ret[count++] = BYTES_OF(facts->hashes[i]);
    }
    return count;
}

/* Adds one to `segws`, whose selectors may be those of `local` for the present. 0, -ENOMEM,
 * -EEXIST, or -EINVAL with `reason`. */
static int segws_add(Segws *segws, const char *label, const IkeTs *local, Segw **ret,
                     Reason *reason)
{
    if (segws->count > 0 && strcmp(label, SEGW_DEFAULT) == 0) {
        return reason_set(reason, -EINVAL,
                          "[segw] itself has that name; write what is here into [segw], or choose "
                          "another");
    }
    if (segws_find(segws, label))
        return -EEXIST;

    Segw **list = reallocarray(segws->list, segws->count + 1, sizeof(Segw *));
    if (!list)
        return -ENOMEM;
    segws->list = list;
    Segw *segw = calloc(1, sizeof(*segw));
    if (!segw)
        return -ENOMEM;
    (void)snprintf(segw->label, sizeof(segw->label), "%s", label);
    segw->number = (uint32_t)segws->count;
    segw->allowed_local = *local;
    list[segws->count++] = segw;
    *ret = segw;
    return 0;
}

static void segws_deinit(Segws *segws)
{
    for (size_t i = 0; i < segws->count; i++) {
        free(segws->list[i]->name);
        free(segws->list[i]->interface);
        free(segws->list[i]);
    }
    free(segws->list);
    *segws = (Segws){0};
}

/* "[segw core]", as it stands in the file. */
static const char *section_of(const Segw *segw, char *text, size_t size)
{
    const bool is_default = strcmp(segw->label, SEGW_DEFAULT) == 0;

    (void)snprintf(text, size, is_default ? "[segw]" : "[segw %s]", segw->label);
    return text;
}

enum { SECTION_SIZE = CONFIG_NAME_SIZE + 8 };

static int within_check(const Segw *segw, const char *path, const char *which, const IkeTs *ts,
                        const IkeTs *allowed, Reason *reason)
{
    const IkeSelector *breach = selector_policy_breach(allowed, ts);
    char section[SECTION_SIZE], text[SELECTOR_TEXT_SIZE];

    if (!breach)
        return 0;
    selector_text(breach, text);
    return reason_set(reason, -EINVAL,
                      "%s: %s allowed-%s has %s, which is not within allowed-%s of [data-plane]. "
                      "Allow it there, too, or not here",
                      path, section_of(segw, section, sizeof(section)), which, text, which);
}

static int one_check(const Segw *segw, const char *path, const IkeTs *local, const IkeTs *remote,
                     Reason *reason)
{
    char section[SECTION_SIZE];

    section_of(segw, section, sizeof(section));
    if (!segw->name) {
        return reason_set(reason, -EINVAL,
                          "%s: %s name is missing. Set it to the FQDN that this security gateway "
                          "must prove",
                          path, section);
    }
    if (segw->allowed_remote.n_selectors == 0) {
        return reason_set(reason, -EINVAL,
                          "%s: %s allowed-remote is missing. Set it to the networks behind this "
                          "security gateway, which no other one has",
                          path, section);
    }
    int r = within_check(segw, path, "local", &segw->allowed_local, local, reason);

    return r != 0 ? r : within_check(segw, path, "remote", &segw->allowed_remote, remote, reason);
}

/* A packet goes by one way alone. */
static int pair_check(const Segw *one, const Segw *other, const char *path, Reason *reason)
{
    char first[SECTION_SIZE], second[SECTION_SIZE], text[SELECTOR_TEXT_SIZE];
    const IkeSelector *both = selector_policy_overlap(&one->allowed_remote, &other->allowed_remote);

    if (!both)
        return 0;
    selector_text(both, text);
    return reason_set(reason, -EINVAL,
                      "%s: allowed-remote of %s and of %s both have addresses of %s. Set each to "
                      "the networks behind its own security gateway",
                      path, section_of(one, first, sizeof(first)),
                      section_of(other, second, sizeof(second)), text);
}

/* Whether each has what it needs, within `local` and `remote`, which are those of [data-plane], and
 * no two of them may carry the same packet. 0, or -EINVAL with `reason`, which begins with `path`.
 */
static int segws_check(const Segws *segws, const char *path, const IkeTs *local,
                       const IkeTs *remote, Reason *reason)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < segws->count; i++) {
        r = one_check(segws->list[i], path, local, remote, reason);
        for (size_t j = 0; r == 0 && j < i; j++)
            r = pair_check(segws->list[j], segws->list[i], path, reason);
    }
    return r;
}

/* ---- their interfaces ---- */

/* The place of a name, which is DATAPLANE_INTERFACES_MAX where there is no room for it. */
static size_t interface_place(InterfaceNames *interfaces, const char *name)
{
    const size_t place = interface_find(interfaces, name);

    if (place == interfaces->n && place < DATAPLANE_INTERFACES_MAX)
        (void)snprintf(interfaces->names[interfaces->n++], IFNAMSIZ, "%s", name);
    return place;
}

static int interface_name_check(const char *name, const char *path, const char *section,
                                Reason *reason)
{
    if (interface_name_is_valid((Bytes){(const uint8_t *)name, strlen(name)}))
        return 0;
    return reason_set(reason, -EINVAL,
                      "%s: %s interface is '%s', which is no interface's name. Choose one of 1 to "
                      "%d characters of printable ASCII other than space, slash, colon and percent "
                      "sign, the first of them no dot",
                      path, section, name, IFNAMSIZ - 1);
}

/* Which interface each SeGW's tunnel has. 0, -ENOMEM, or -EINVAL with `reason`. */
static int interfaces_choose(TredConfig *config, const char *path, Reason *reason)
{
    int r = interface_name_check(config->interface, path, "[data-plane]", reason);

    for (size_t i = 0; r == 0 && i < config->segws.count; i++) {
        Segw *segw = config->segws.list[i];
        char section[SECTION_SIZE];

        section_of(segw, section, sizeof(section));
        if (!segw->interface)
            segw->interface = strdup(config->interface);
        if (!segw->interface)
            return -ENOMEM;
        r = interface_name_check(segw->interface, path, section, reason);
        const size_t place = r == 0 ? interface_place(&config->interfaces, segw->interface) : 0;
        segw->interface_place = (uint8_t)place;
        if (place == DATAPLANE_INTERFACES_MAX) {
            r = reason_set(reason, -EINVAL,
                           "%s: %s interface is %s, and %d other interfaces stand before it, which "
                           "is the most. Name one of these",
                           path, section, segw->interface, DATAPLANE_INTERFACES_MAX);
        }
    }
    return r;
}

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
    if (!config.segw_name) {
        return reason_set(
            reason, -EINVAL,
            "%s: [segw] name is missing. Set it to the FQDN that the security gateway must prove",
            path);
    }
    r = segws_check(&config.segws, path, &config.allowed_local, &config.allowed_remote, reason);
    if (r == 0)
        r = interfaces_choose(&config, path, reason);
    if (r == 0)
        r = lifetimes_check(path, &config, reason);
    if (r < 0)
        return r;
    config.log_level += LOG_ERR;
    *ret = config;
    config = (TredConfig){0};
    return 0;
}
