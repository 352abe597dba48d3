/* The SeGWs that this device may be connected to: [segw] and [segw NAME] of tred.conf. Whom an
 * exchange is with, and what may pass, is said here, whatever its caller says. */
#pragma once

#include "base/config.h"
#include "ikewire/payload.h"
#include "verify/frames.h"

#define SEGW_DEFAULT "default" /* the label of [segw] */

typedef struct Segw {
    char label[CONFIG_NAME_SIZE]; /* NAME */
    char *name;                   /* the FQDN that it must prove */
    VerifyAnchors anchors;        /* those of the anchors that count for it; none: all */
    IkeTs allowed_local;          /* no Child SA's selectors go beyond these */
    IkeTs allowed_remote;         /* of no two SeGWs do these overlap */
} Segw;

typedef struct Segws {
    size_t count;
    Segw **list; /* the first one is [segw] */
} Segws;

enum { SEGW_ITEMS = 4 };

/* The keys of a section, [segw NAME]. */
extern const ConfigItem segw_items[SEGW_ITEMS];

/* The ConfigParser of only-anchors, into VerifyAnchors. */
int segw_anchors_parse(const ConfigItem *item, const char *value, void *target, Reason *allowed);

/* Adds one to `segws`, whose selectors may be those of `local` for the present. 0, -ENOMEM,
 * -EEXIST, or -EINVAL with `reason`. */
int segws_add(Segws *segws, const char *label, const IkeTs *local, Segw **ret, Reason *reason);
void segws_deinit(Segws *segws);

/* NULL: there is none of that label. */
const Segw *segws_find(const Segws *segws, const char *label);

/* Whether each has what it needs, within `local` and `remote`, which are those of [data-plane], and
 * no two of them may carry the same packet. 0, or -EINVAL with `reason`, which begins with `path`.
 */
int segws_check(const Segws *segws, const char *path, const IkeTs *local, const IkeTs *remote,
                Reason *reason);
