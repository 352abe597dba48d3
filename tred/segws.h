/* All SeGWs of tred.conf, [segw] and each [segw NAME]. */
#pragma once

#include "base/reason.h"
#include "dataplane/order.h"
#include "tred/segw.h"

typedef struct Segws {
    size_t count;
    Segw **list; /* the first one is [segw] */
} Segws;

/* Adds one, whose selectors may be those of `local` for the present. 0, -ENOMEM, -EEXIST, or
 * -EINVAL with `reason`. */
int segws_add(Segws *segws, const char *label, const IkeTs *local, Segw **ret, Reason *reason);
void segws_deinit(Segws *segws);

/* NULL: there is none of that label. */
const Segw *segws_find(const Segws *segws, const char *label);

/* For CERTREQ: the hashes of those of the anchors that count for `segw`, each once, in their order;
 * `ret` borrows from `facts`. Returns how many, which may be none. */
size_t segw_anchor_hashes(const Segw *segw, const AnchorFacts *facts, Bytes ret[FRAME_HASHES_MAX]);

/* Whether each has what it needs, within `local` and `remote`, which are those of [data-plane], and
 * no two of them may carry the same packet. 0, or -EINVAL with `reason`, which begins with `path`.
 */
int segws_check(const Segws *segws, const char *path, const IkeTs *local, const IkeTs *remote,
                Reason *reason);

/* Which interface each one's tunnel has: its own, or `usual`. `interfaces` has them all, then. 0,
 * -ENOMEM, or -EINVAL with `reason`. */
int segws_choose_interfaces(Segws *segws, const char *path, const char *usual,
                            InterfaceNames *interfaces, Reason *reason);
