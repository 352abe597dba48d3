/* nf_tables over netlink, as much as tred-net's one table takes (linux/netfilter/nf_tables.h): a
 * batch of changes, which the kernel makes as a whole or not at all, and a counter's value. */
#pragma once

#include "net/netlink.h"

#include <netinet/in.h> /* before linux/netfilter.h, which has the same names else */

#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <stddef.h>
#include <stdint.h>

/* Changes of one table of family inet. A rule is begun, gets what it matches, and ends in what is
 * done; of two expressions that match, both have to. */
typedef struct NftBatch NftBatch;

/* `table` is borrowed. Returns 0 or -ENOMEM. */
int nft_batch_new(const char *table, NftBatch **ret);
void nft_batch_free(NftBatch *batch);
DEFINE_POINTER_CLEANUP(NftBatch, nft_batch_free);

/* The table and what is in it are made where they are not there, and else are left as they are. */
void nft_add_table(NftBatch *batch);
void nft_delete_table(NftBatch *batch);
void nft_add_counter(NftBatch *batch, const char *name);

/* A base chain of type filter that accepts what no rule of it drops, without the rules that it had.
 * `hook` is NF_INET_…. */
void nft_add_chain(NftBatch *batch, const char *name, uint32_t hook, int32_t priority);

void nft_rule_begin(NftBatch *batch, const char *chain);

/* Matches octets from `from` to `to` (the same pointer for one value), `size` of them, at most 16,
 * in the order in which they stand in the packet; of `key`, in the host's. */
void nft_match_payload(NftBatch *batch, enum nft_payload_bases base, uint32_t offset,
                       const void *from, const void *to, size_t size);
void nft_match_meta(NftBatch *batch, enum nft_meta_keys key, const void *value, size_t size);

/* Matches packets on a route that the kernel's IPsec takes. */
void nft_match_ipsec(NftBatch *batch);

/* Ends the rule. A packet that is dropped is counted by `counter`. */
void nft_accept(NftBatch *batch);
void nft_drop(NftBatch *batch, const char *counter);

/* Has the kernel make the changes; `netlink` is a NETLINK_NETFILTER one. Returns 0, -E2BIG if the
 * batch has no room for all, -EOPNOTSUPP or -ENOENT where the kernel lacks something, or another
 * -errno; nothing has changed then. */
int nft_batch_commit(NftBatch *batch, Netlink *netlink);

/* How many packets a counter of the table has counted. Returns 0 or -errno. */
int nft_counter_get(Netlink *netlink, const char *table, const char *name, uint64_t *ret);

/* For netlink_watch_read(): whether a message tells that something of `table` was deleted. */
bool nft_tells_deletion(const struct nlmsghdr *header, const char *table);
