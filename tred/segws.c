/* Reads which SeGWs there are, and sees that they don't come into each other's way. */
#include "tred/segws.h"

#include "base/cleanup.h"
#include "tred/child_policy.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

int segw_anchors_parse(const ConfigItem *item, const char *value, void *target, Reason *allowed)
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

const ConfigItem segw_items[SEGW_ITEMS] = {
    {"segw", "name", config_parse_fqdn, offsetof(Segw, name)},
    {"segw", "only-anchors", segw_anchors_parse, offsetof(Segw, anchors)},
    {"segw", "allowed-local", selector_policy_parse, offsetof(Segw, allowed_local)},
    {"segw", "allowed-remote", selector_policy_parse, offsetof(Segw, allowed_remote)},
};

static bool is_chosen(const VerifyAnchors *only, const uint8_t *fingerprint)
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
        if (is_chosen(&segw->anchors, facts->certificates[i].fingerprint))
            chosen[facts->certificates[i].hash] = true;
    }
    for (size_t i = 0; i < facts->n_hashes; i++) {
        if (chosen[i])
            ret[count++] = BYTES_OF(facts->hashes[i]);
    }
    return count;
}

const Segw *segws_find(const Segws *segws, const char *label)
{
    for (size_t i = 0; i < segws->count; i++) {
        if (strcmp(segws->list[i]->label, label) == 0)
            return segws->list[i];
    }
    return NULL;
}

int segws_add(Segws *segws, const char *label, const IkeTs *local, Segw **ret, Reason *reason)
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

void segws_deinit(Segws *segws)
{
    for (size_t i = 0; i < segws->count; i++) {
        free(segws->list[i]->name);
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

int segws_check(const Segws *segws, const char *path, const IkeTs *local, const IkeTs *remote,
                Reason *reason)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < segws->count; i++) {
        r = one_check(segws->list[i], path, local, remote, reason);
        for (size_t j = 0; r == 0 && j < i; j++)
            r = pair_check(segws->list[j], segws->list[i], path, reason);
    }
    return r;
}
