/* The rules that keep what belongs into the tunnel from leaving or arriving past it: one table
 * "tred" of nf_tables' family inet. architecture.md has them as a list. */
#pragma once

#include "dataplane/order.h"
#include "net/nft.h"

#include <sys/types.h>

#define PROTECT_TABLE "tred"
#define PROTECT_IN "dropped_in" /* counters */
#define PROTECT_OUT "dropped_out"

enum {
    PROTECT_WAYS_MAX = DATAPLANE_SAS_MAX + 1, /* one pair may be on its move */
    PROTECT_INNER_MAX = (DATAPLANE_SAS_MAX + DATAPLANE_INTERFACES_MAX) * DATAPLANE_ADDRESSES_MAX,
};

/* By what the kernel's ESP packets are known, in UDP or not: those of one SA pair, or of several.
 */
typedef struct ProtectWay {
    bool udp_encapsulated;
    struct sockaddr_storage local; /* the port alone */
    struct sockaddr_storage remote;
} ProtectWay;

typedef struct ProtectRules {
    const ProtectOrder *order; /* never PROTECT_NO */
    uid_t users[2];            /* whose packets pass: tred's and the IKE client's; -1: nobody's */
    const IkeTs *local;        /* the networks that the host is in */
    size_t n_inner;
    InnerAddress inner[PROTECT_INNER_MAX]; /* of the SAs, and of interfaces whose last has gone */
    size_t n_ways;
    ProtectWay ways[PROTECT_WAYS_MAX];
} ProtectRules;

/* True if exceptions are made by the networks that the host is in. */
bool protect_rules_heed_local(const ProtectOrder *order);

/* Puts the table with these rules into `batch`, in the place of those that there are; its counters
 * go on counting. */
void protect_rules_write(const ProtectRules *rules, NftBatch *batch);
