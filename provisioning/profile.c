/* Reads what a manufacturing line gives to each of its devices (tre-provision-profile(5)). */
#include "provisioning/profile.h"

#include "base/cleanup.h"
#include "base/fqdn.h"
#include "provisioning/authority.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { SERIAL_SIZE_MAX = 63 };

/* In the order of TpmKeyAlgorithm, after the one for none. */
static const char *const key_algorithms[] = {"any", "ecdsa-p256", "ecdsa-p384", "rsa-2048", NULL};
/* In the order of KeyPolicyKind. */
static const char *const key_policies[] = {"none", "pcr", "signed", NULL};
static const char *const owner_auths[] = {"keep", "discard", NULL};

/* A name in which PROFILE_SERIAL may stand. */
static int parse_fqdn_pattern(const ConfigItem *item, const char *value, void *target,
                              Reason *allowed)
{
    _cleanup_(free_charp) char *example = NULL;

    if (provision_profile_expand(value, "0", &example) < 0)
        return -ENOMEM;
    if (!fqdn_is_valid(example, strlen(example))) {
        return reason_set(allowed, -EINVAL,
                          "a domain name, with " PROFILE_SERIAL
                          " for the serial number, such as henb-" PROFILE_SERIAL
                          ".operator.example");
    }
    return config_parse_string(item, value, target, allowed);
}

static const ConfigItem items[] = {
    {"tpm", "tcti", config_parse_string, offsetof(ProvisionProfile, tcti)},
    {"tpm", "owner-auth", config_parse_choice, offsetof(ProvisionProfile, owner_auth),
     .choices = owner_auths},
    {"device", "fqdn", parse_fqdn_pattern, offsetof(ProvisionProfile, fqdn)},
    {"device", "state-dir", config_parse_path, offsetof(ProvisionProfile, state_dir)},
    {"device", "owner", config_parse_string, offsetof(ProvisionProfile, owner)},
    {"device", "key-algorithm", config_parse_choice, offsetof(ProvisionProfile, key_algorithm),
     .choices = key_algorithms},
    {"policy", "kind", config_parse_choice, offsetof(ProvisionProfile, key_policy),
     .choices = key_policies},
    {"policy", "key", config_parse_path, offsetof(ProvisionProfile, policy_key)},
    {"policy", "states", config_parse_path, offsetof(ProvisionProfile, pcr_signature)},
    {"anchors", "operator-key", config_parse_path, offsetof(ProvisionProfile, operator_key)},
    {"anchors", "file", config_parse_path, offsetof(ProvisionProfile, anchors)},
    {"certificate", "ca-certificate", config_parse_path,
     offsetof(ProvisionProfile, ca_certificate)},
    {"certificate", "ca-key", config_parse_path, offsetof(ProvisionProfile, ca_key)},
    {"certificate", "ek-anchors", config_parse_path, offsetof(ProvisionProfile, ek_anchors)},
    {"certificate", "days", config_parse_number, offsetof(ProvisionProfile, days), 1,
     AUTHORITY_DAYS_MAX},
};

static void defaults(ProvisionProfile *profile)
{
    *profile = (ProvisionProfile){
        .owner_auth = OWNER_AUTH_DISCARD,
        .days = AUTHORITY_DAYS_DEFAULT,
    };
}

static int refuse_part(const char *name, const char *section, const char *lacking, Reason *reason)
{
    return reason_set(reason, -EINVAL,
                      "%.200s: section [%s] needs \"%s\" too; add it, or leave the section out",
                      name, section, lacking);
}

static int refuse_unguarded(const char *name, Reason *reason)
{
    return reason_set(
        reason, -EINVAL,
        "%.200s: section [policy] puts the device key under a policy, and tred takes such "
        "a device for unprovisioned unless the TPM guards its anchors; give the "
        "operator's public policy key as \"operator-key\" in [anchors]",
        name);
}

/* Keys that make sense only together. */
static int whole_check(const char *name, const ProvisionProfile *profile, Reason *reason)
{
    const struct {
        const char *key;
        const char *value;
    } certificate[] = {
        {"ca-certificate", profile->ca_certificate},
        {"ca-key", profile->ca_key},
        {"ek-anchors", profile->ek_anchors},
    };
    const bool any = profile->ca_certificate || profile->ca_key || profile->ek_anchors;

    if (profile->key_policy == KEY_POLICY_SIGNED && !profile->policy_key)
        return refuse_part(name, "policy", "key", reason);
    if (profile->key_policy != KEY_POLICY_NONE && !profile->pcr_signature)
        return refuse_part(name, "policy", "states", reason);
    if (profile->key_policy != KEY_POLICY_NONE && !profile->operator_key)
        return refuse_unguarded(name, reason);
    for (size_t i = 0; any && i < ELEMENTS(certificate); i++) {
        if (!certificate[i].value)
            return refuse_part(name, "certificate", certificate[i].key, reason);
    }
    return 0;
}

int provision_profile_read(const char *path, ProvisionProfile *ret, Reason *reason)
{
    int r;

    defaults(ret);
    r = config_read(path, items, ELEMENTS(items), ret, reason);
    return r < 0 ? r : whole_check(path, ret, reason);
}

void provision_profile_deinit(ProvisionProfile *profile)
{
    free(profile->tcti);
    free(profile->fqdn);
    free(profile->state_dir);
    free(profile->owner);
    free(profile->policy_key);
    free(profile->pcr_signature);
    free(profile->anchors);
    free(profile->operator_key);
    free(profile->ca_certificate);
    free(profile->ca_key);
    free(profile->ek_anchors);
    *profile = (ProvisionProfile){0};
}

bool provision_profile_has_serial(const char *text)
{
    return text && strstr(text, PROFILE_SERIAL);
}

int provision_profile_expand(const char *text, const char *serial, char **ret)
{
    _cleanup_(free_charp) char *expanded = NULL;
    size_t size = 0;
    FILE *stream = open_memstream(&expanded, &size);
    const char *place;

    if (!stream)
        return -ENOMEM;
    for (place = strstr(text, PROFILE_SERIAL); place; place = strstr(text, PROFILE_SERIAL)) {
        (void)fprintf(stream, "%.*s%s", (int)(place - text), text, serial);
        text = place + strlen(PROFILE_SERIAL);
    }
    (void)fputs(text, stream);
    if (fclose(stream) != 0)
        return -ENOMEM;
    *ret = steal_pointer(expanded);
    return 0;
}

bool serial_is_valid(const char *serial)
{
    const size_t size = strlen(serial);

    if (size == 0 || size > SERIAL_SIZE_MAX || !isalnum((unsigned char)serial[0]))
        return false;
    for (size_t i = 0; i < size; i++) {
        const unsigned char octet = (unsigned char)serial[i];

        if (!isascii(octet) || (!isalnum(octet) && !strchr(".-_", octet)))
            return false;
    }
    return true;
}
