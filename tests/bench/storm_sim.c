/* All HeNBs of an operator come back to one SeGW at once: how long until they are up, and what does
 * the SeGW see meanwhile? A simulation, with the product's own waits linked in.
 *
 *     storm POLICY SCENARIO HENBS PER_SECOND RETRY_MAX_MS SEED
 *
 * The SeGW takes up PER_SECOND requests a second, has room for a tenth of a second of them, and
 * drops the rest in silence. A HeNB whose request it takes up is up. SCENARIO is "at-once" (all
 * begin within two seconds, as after a power cut) or "outage" (the SeGW was away for an hour, and
 * the HeNBs have tried since). POLICY is "product" (retransmissions and waits of ikeclient, the
 * longest wait being RETRY_MAX_MS), "fixed" (its retransmissions, and ten seconds after each failed
 * attempt) or "strongswan" (its documented retransmission, 4 s * 1.8^n, 5 tries, and no wait before
 * the next attempt).
 *
 * Prints lines: "t99 SECONDS", "peak REQUESTS", "packets REQUESTS", "mean-wait SECONDS" (of one
 * HeNB, until it is up), and "curve SECOND UP REQUESTS" every ten seconds. */
#include "ikeclient/pacing.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    FIXED_MS = 10000,
    START_MS = 2000,
    OUTAGE_MS = 3600 * 1000,
    END_MS = 4 * 3600 * 1000,
    MS = 1000,
    CURVE_S = 10,
    CURVE_MS = CURVE_S * MS,
    STRONGSWAN_TRIES = 5, /* retransmissions: six packets */
    ROOM_OF_A_SECOND = 10,
};

typedef enum Policy { PRODUCT, FIXED, STRONGSWAN } Policy;

typedef struct Henb {
    unsigned next; /* in its slot of time; 0: the last one */
    unsigned failures;
    unsigned sent; /* packets of this attempt */
} Henb;

typedef struct Storm {
    Policy policy;
    uint64_t retry_max;
    unsigned count;
    Henb *henbs;     /* from 1 */
    unsigned *slots; /* the first HeNB that sends in that millisecond */
    uint64_t random;
} Storm;

static uint32_t draw(Storm *storm) /* splitmix64 */
{
    uint64_t z = storm->random += 0x9e3779b97f4a7c15U;

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9U;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebU;
    return (uint32_t)((z ^ (z >> 31)) >> 32);
}

static void schedule(Storm *storm, unsigned henb, uint64_t when)
{
    if (when >= END_MS)
        return;
    storm->henbs[henb].next = storm->slots[when];
    storm->slots[when] = henb;
}

/* How long until the next packet, after one that was dropped. */
static uint64_t wait_of(Storm *storm, Henb *henb)
{
    static const RetransmitSchedule product = {.timeout_ms = 1000, .tries = 5};
    const bool theirs = storm->policy == STRONGSWAN;
    const unsigned attempt = henb->sent - 1, tries = theirs ? STRONGSWAN_TRIES + 1 : product.tries;
    uint64_t wait =
        theirs ? (uint64_t)(4000 * pow(1.8, attempt)) : retransmit_wait_ms(&product, attempt);

    if (henb->sent < tries)
        return wait;
    henb->sent = 0;
    if (storm->policy == PRODUCT)
        wait += backoff_ms(henb->failures++, storm->retry_max, draw(storm));
    return storm->policy == FIXED ? wait + FIXED_MS : wait;
}

typedef struct Result {
    uint64_t t99, peak, packets;
    double waited;
} Result;

static Result run(Storm *storm, uint64_t start, unsigned per_second)
{
    Result result = {0};
    unsigned up = 0;
    uint64_t in_second = 0, in_curve = 0;
    double room = 0;

    for (uint64_t now = 0; now < END_MS && up < storm->count; now++) {
        room = now < start ? 0
                           : fmin(room + (double)per_second / (double)MS,
                                  fmax(1, (double)per_second / (double)ROOM_OF_A_SECOND));
        for (unsigned henb = storm->slots[now], next; henb != 0; henb = next) {
            next = storm->henbs[henb].next;
            storm->henbs[henb].sent++;
            in_second += now >= start;
            in_curve += now >= start;
            result.packets += now >= start;
            if (room < 1) {
                schedule(storm, henb, now + wait_of(storm, &storm->henbs[henb]));
                continue;
            }
            room--;
            result.waited += (double)(now - start) / (double)MS;
            if (++up == (unsigned)ceil(0.99 * storm->count))
                result.t99 = (now - start) / MS;
        }
        if (now % MS == MS - 1) {
            result.peak = in_second > result.peak ? in_second : result.peak;
            in_second = 0;
        }
        if (now >= start && (now - start) % CURVE_MS == CURVE_MS - 1) {
            printf("curve %llu %u %llu\n", (unsigned long long)(now - start + 1) / MS, up,
                   (unsigned long long)in_curve / CURVE_S);
            in_curve = 0;
        }
    }
    result.waited /= storm->count;
    return result;
}

static bool policy_read(const char *name, Policy *ret)
{
    static const char *const names[] = {"product", "fixed", "strongswan"};

    for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (strcmp(name, names[i]) == 0) {
            *ret = (Policy)i;
            return true;
        }
    }
    return false;
}

int main(int argc, char **argv)
{
    Storm storm = {0};

    if (argc != 7 || !policy_read(argv[1], &storm.policy))
        return 2;
    const bool outage = strcmp(argv[2], "outage") == 0;
    const unsigned per_second = (unsigned)strtoul(argv[4], NULL, 10);
    storm.count = (unsigned)strtoul(argv[3], NULL, 10);
    storm.retry_max = strtoull(argv[5], NULL, 10);
    storm.random = strtoull(argv[6], NULL, 10);
    storm.henbs = calloc(storm.count + 1, sizeof(storm.henbs[0]));
    storm.slots = calloc(END_MS, sizeof(storm.slots[0]));
    if (!storm.henbs || !storm.slots)
        return 1;
    /* They notice an outage within the 30 s of [connection] liveness. */
    for (unsigned henb = 1; henb <= storm.count; henb++)
        schedule(&storm, henb, draw(&storm) % (outage ? 30 * MS : START_MS));
    const Result result = run(&storm, outage ? OUTAGE_MS : 0, per_second);
    printf("t99 %llu\npeak %llu\npackets %llu\nmean-wait %.0f\n", (unsigned long long)result.t99,
           (unsigned long long)result.peak, (unsigned long long)result.packets, result.waited);
    free(storm.henbs);
    free(storm.slots);
    return 0;
}
