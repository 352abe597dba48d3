/* Keeps the rules of protect_rules.h in force: from ORDER_PROTECT to ORDER_UNPROTECT, whatever
 * becomes of tred, of tred-net and of the tunnel meanwhile. They are the kernel's, and outlast
 * this process; the next ORDER_PROTECT puts its own in their place in one step. */
#pragma once

#include "base/reason.h"
#include "dataplane/order.h"

#include <poll.h>
#include <sys/types.h>

typedef struct Protection Protection;

/* Puts the rules for `order` in force, with no SA yet; for PROTECT_NO it takes all rules away, and
 * *ret is NULL. Packets of the users (-1: nobody) pass. Returns 0, or -errno with `reason` saying
 * what was found and what to do; the rules that there were are in force then. */
int protection_open(const ProtectOrder *order, const uid_t users[2], Protection **ret,
                    Reason *reason);

/* Releases what is here. The rules stay. */
void protection_free(Protection *protection);
DEFINE_POINTER_CLEANUP(Protection, protection_free);

/* Takes the rules away, whoever made them. Returns 0 or -errno. */
int protection_remove(void);

/* Lets an SA pair's ESP pass, and keeps its inner addresses within the tunnel; before it carries
 * anything. Returns 0, or -errno with `reason`, or -ENOSPC: more pairs or addresses than
 * dataplane/order.h allows, or an interface that is none. Nothing has changed then. The inner
 * addresses of an interface's last pair are kept within it until the interface has another:
 * of connections that share one, those of one that is down are not while another is up. */
int protection_add_sa(Protection *protection, const SaOrder *order, Reason *reason);

/* The same for the way that a pair is about to move to, beside the one that it has; and the end of
 * the latter, once it has moved or could not. */
int protection_add_way(Protection *protection, uint32_t spi_in, const SaPath *path, Reason *reason);
void protection_end_move(Protection *protection, uint32_t spi_in, bool moved);

void protection_remove_sa(Protection *protection, uint32_t spi_in);

/* Right after protection_add_sa() has succeeded, where the pair could not be made after all: it
 * leaves nothing, nor is it the interface's last. */
void protection_undo_sa(Protection *protection);

/* True while the kernel may have other rules than these, or none: it did not take them when they
 * had changed, or somebody had deleted some. They are tried again with the next change, or here. */
bool protection_is_touched(const Protection *protection);
void protection_try_again(Protection *protection);

/* What the rules have dropped since they were first put in force. Returns 0 or -errno. */
int protection_counters(Protection *protection, ProtectionCounters *ret);

/* What to poll for, and what is done then: rules that somebody deletes are put back, and the
 * networks that the host is in are followed. */
enum { PROTECTION_POLL_MAX = 2 };
size_t protection_poll(const Protection *protection, struct pollfd polled[PROTECTION_POLL_MAX]);
void protection_watch(Protection *protection, const struct pollfd *polled, size_t n_polled);
