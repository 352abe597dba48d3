/* The last-known time: a day that the TPM keeps, and that only counts up; and what has passed under
 * the TPM's clock since a time that was reached for certain. */
#include "policy/lastknowntime.h"

#include <errno.h>
#include <inttypes.h>

enum { DAY_NUMBER_MAX = 1000 * 1000 }; /* in the year 4707 */

/* Readable and countable by whoever reaches the TPM: counting ahead without reason would harm this
 * device alone, and root has shorter ways to do that. */
const TPMS_NV_PUBLIC last_known_counter = {
    .nvIndex = LAST_KNOWN_COUNTER_INDEX,
    .nameAlg = TPM2_ALG_SHA256,
    .attributes = TPM2_NT_COUNTER << TPMA_NV_TPM2_NT_SHIFT | TPMA_NV_AUTHWRITE | TPMA_NV_AUTHREAD |
                  TPMA_NV_OWNERREAD | TPMA_NV_NO_DA,
    .dataSize = NV_NUMBER_SIZE,
};

const TPMS_NV_PUBLIC last_known_base = {
    .nvIndex = LAST_KNOWN_BASE_INDEX,
    .nameAlg = TPM2_ALG_SHA256,
    .attributes = TPMA_NV_AUTHWRITE | TPMA_NV_WRITEDEFINE | TPMA_NV_AUTHREAD | TPMA_NV_OWNERREAD |
                  TPMA_NV_NO_DA,
    .dataSize = NV_NUMBER_SIZE,
};

/* What becomes of an index with time; all else of its public area stays as it was defined. */
static const TPMA_NV progress = TPMA_NV_WRITTEN | TPMA_NV_WRITELOCKED;

int last_known_open(Tpm *tpm, const TPMS_NV_PUBLIC *public, NvIndex *ret, Reason *reason)
{
    int r = nv_open(tpm, public->nvIndex, ret, reason);

    if (r < 0)
        return r;
    if (ret->public.nameAlg == public->nameAlg &&
        (ret->public.attributes & ~progress) == public->attributes &&
        ret->public.authPolicy.size == 0 && ret->public.dataSize == public->dataSize)
        return 0;
    return reason_set(
        reason, -EBADMSG,
        "the NV index 0x%08x is not the one that keeps the last-known time; it was left "
        "as it is: look at it with 'tpm2_nvreadpublic 0x%08x' and, if nothing needs it, "
        "remove it with 'tpm2_nvundefine 0x%08x'",
        public->nvIndex, public->nvIndex, public->nvIndex);
}

int last_known_number(Tpm *tpm, const NvIndex *index, uint64_t *ret, Reason *reason)
{
    uint8_t octets[NV_NUMBER_SIZE];
    Reader reader;
    int r = nv_read(tpm, index, octets, sizeof(octets), reason);

    if (r < 0)
        return r;
    reader_init(&reader, BYTES_OF(octets));
    return reader_u64(&reader, ret);
}

static int not_finished(TPM2_HANDLE handle, Reason *reason)
{
    return reason_set(
        reason, -EBADMSG,
        "the NV index 0x%08x was never written and locked, so that the last-known time is "
        "not known; run the step last-known-time of tre-provision again",
        handle);
}

/* The number in an index that is as it should be at the end. */
static int settled_read(Tpm *tpm, const TPMS_NV_PUBLIC *public, TPMA_NV settled, NvIndex *ret_index,
                        uint64_t *ret, Reason *reason)
{
    int r = last_known_open(tpm, public, ret_index, reason);

    if (r < 0)
        return r;
    return (ret_index->public.attributes & progress) == settled
               ? last_known_number(tpm, ret_index, ret, reason)
               : not_finished(public->nvIndex, reason);
}

/* The day, and the counter to move it with. */
static int day_read(Tpm *tpm, NvIndex *ret_counter, int64_t *ret, Reason *reason)
{
    uint64_t base = 0, counter = 0;
    NvIndex index;
    int r;

    r = settled_read(tpm, &last_known_base, progress, &index, &base, reason);
    if (r < 0)
        return r;
    r = settled_read(tpm, &last_known_counter, TPMA_NV_WRITTEN, ret_counter, &counter, reason);
    if (r < 0)
        return r;
    *ret = (int64_t)(base + counter);
    if (*ret >= 0 && *ret <= DAY_NUMBER_MAX)
        return 0;
    return reason_set(reason, -EBADMSG,
                      "the NV indices 0x%08x and 0x%08x make day %" PRId64
                      " after 1970, which is no "
                      "last-known time; provision the device again",
                      LAST_KNOWN_COUNTER_INDEX, LAST_KNOWN_BASE_INDEX, *ret);
}

int last_known_time_read(Tpm *tpm, time_t *ret, Reason *reason)
{
    NvIndex counter;
    int64_t day = 0;
    int r = day_read(tpm, &counter, &day, reason);

    if (r < 0)
        return r;
    *ret = (time_t)day * LAST_KNOWN_DAY;
    return 0;
}

static int jump_refuse(int64_t day, int64_t today, Reason *reason)
{
    return reason_set(reason, -ERANGE,
                      "the clock is %" PRId64 " days ahead of the last-known time; at most %d are "
                      "believed at once, as that can't be undone; set the clock right",
                      today - day, LAST_KNOWN_JUMP_DAYS_MAX);
}

int last_known_time_advance(Tpm *tpm, time_t now, unsigned days_max, time_t *ret, Reason *reason)
{
    const int64_t today = now / LAST_KNOWN_DAY;
    NvIndex counter;
    int64_t day = 0;
    int r = day_read(tpm, &counter, &day, reason);

    if (r < 0)
        return r;
    if (today - day > LAST_KNOWN_JUMP_DAYS_MAX)
        r = jump_refuse(day, today, reason);
    for (unsigned i = 0; r == 0 && i < days_max && day < today; i++) {
        r = nv_increment(tpm, &counter, reason);
        day += r == 0;
    }
    *ret = (time_t)day * LAST_KNOWN_DAY;
    return r;
}

/* ---- what has passed since, under the TPM's clock ---- */

enum { MSEC_PER_SEC = 1000 };

void time_base_reach(TimeBase *base, time_t at)
{
    if (at <= base->at)
        return;
    base->at = at;
    base->counting = false;
}

time_t time_base_pass(TimeBase *base, uint64_t milliseconds, uint32_t resets)
{
    if (base->counting && resets == base->resets && milliseconds >= base->milliseconds) {
        const uint64_t seconds = (milliseconds - base->milliseconds) / MSEC_PER_SEC;

        base->at += (time_t)seconds;
        base->milliseconds += seconds * MSEC_PER_SEC;
    } else {
        base->milliseconds = milliseconds;
    }
    base->counting = true;
    base->resets = resets;
    return base->at;
}
