/* Makes the NV indices of the anchors' guard and of the last-known time (tred-nv(7)), which the
 * factory does once. */
#include "provisioning/nvdefine.h"

#include "policy/anchorguard_internal.h"
#include "policy/lastknowntime_internal.h"

#include <errno.h>

/* 2024-01-01, when there was no tred: a clock before that was never set. */
static const time_t earliest = 1704067200;

int anchor_guard_define(Tpm *tpm, const PolicyKey *operator_key, Reason *reason)
{
    TPMS_NV_PUBLIC public;
    AnchorGuard guard;
    NvIndex index;
    int r;

    r = anchor_guard_open(tpm, &index, &guard, reason);
    if (r == 0)
        return anchor_guard_obeys(&guard, operator_key) ? 0 : anchor_guard_not_ours(reason);
    if (r != -ENOENT)
        return r == -EBADMSG ? -EEXIST : r;
    if (anchor_guard_public(operator_key, false, &public) < 0)
        return reason_set(reason, -EIO, "OpenSSL can't compute SHA-256");
    return nv_define(tpm, &public, reason);
}

/* Opens the index, and makes it if there is none. */
static int index_define(Tpm *tpm, const TPMS_NV_PUBLIC *public, NvIndex *ret, Reason *reason)
{
    int r = last_known_open(tpm, public, ret, reason);

    if (r == -ENOENT) {
        r = nv_define(tpm, public, reason);
        if (r == 0)
            r = last_known_open(tpm, public, ret, reason);
    }
    return r == -EBADMSG ? -EEXIST : r;
}

/* The counter, which begins to count here if it never did. */
static int counter_begin(Tpm *tpm, uint64_t *ret, Reason *reason)
{
    NvIndex index;
    int r = index_define(tpm, &last_known_counter, &index, reason);

    if (r < 0)
        return r;
    if (!(index.public.attributes & TPMA_NV_WRITTEN))
        r = nv_increment(tpm, &index, reason);
    if (r == 0)
        r = last_known_number(tpm, &index, ret, reason);
    return r;
}

static int base_write(Tpm *tpm, NvIndex *index, uint64_t base, Reason *reason)
{
    uint8_t octets[NV_NUMBER_SIZE];
    Writer writer;

    writer_init(&writer, octets, sizeof(octets));
    writer_u64(&writer, base);
    return nv_write(tpm, index, NULL, BYTES_OF(octets), reason);
}

int last_known_time_define(Tpm *tpm, time_t now, Reason *reason)
{
    uint64_t counter = 0;
    NvIndex index = {0};
    int r;

    if (now < earliest) {
        return reason_set(reason, -EINVAL,
                          "this machine's clock stands before 2024, and the last-known time would "
                          "begin there; set the clock (timedatectl)");
    }
    r = counter_begin(tpm, &counter, reason);
    if (r == 0)
        r = index_define(tpm, &last_known_base, &index, reason);
    if (r < 0)
        return r;
    /* The difference may be below zero; two's complement carries that. */
    if (!(index.public.attributes & TPMA_NV_WRITTEN))
        r = base_write(tpm, &index, (uint64_t)(now / LAST_KNOWN_DAY) - counter, reason);
    if (r == 0 && !(index.public.attributes & TPMA_NV_WRITELOCKED))
        r = nv_lock(tpm, &index, reason);
    return r;
}
