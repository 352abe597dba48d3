/* The SeGWs of tred.conf: that each has what it needs, and that no two come into each other's way.
 */
#include "tred/segws.h"

#include "tred/child_policy.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

int segws_choose_interfaces(Segws *segws, const char *path, const char *usual,
                            InterfaceNames *interfaces, Reason *reason)
{
    int r = interface_name_check(usual, path, "[data-plane]", reason);

    for (size_t i = 0; r == 0 && i < segws->count; i++) {
        Segw *segw = segws->list[i];
        char section[SECTION_SIZE];

        section_of(segw, section, sizeof(section));
        if (!segw->interface)
            segw->interface = strdup(usual);
        if (!segw->interface)
            return -ENOMEM;
        r = interface_name_check(segw->interface, path, section, reason);
        const size_t place = r == 0 ? interface_place(interfaces, segw->interface) : 0;
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
