/* All SeGWs of tred.conf, and what has to hold between them. */
#pragma once

#include "base/config.h"
#include "base/reason.h"
#include "tred/segw.h"

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

/* For CERTREQ: the hashes of those of the anchors that count for `segw`, each once, in their order;
 * `ret` borrows from `facts`. Returns how many, which may be none. */
size_t segw_anchor_hashes(const Segw *segw, const AnchorFacts *facts, Bytes ret[FRAME_HASHES_MAX]);

/* NULL: there is none of that label. */
const Segw *segws_find(const Segws *segws, const char *label);

/* Whether each has what it needs, within `local` and `remote`, which are those of [data-plane], and
 * no two of them may carry the same packet. 0, or -EINVAL with `reason`, which begins with `path`.
 */
int segws_check(const Segws *segws, const char *path, const IkeTs *local, const IkeTs *remote,
                Reason *reason);
