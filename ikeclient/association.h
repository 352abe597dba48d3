/* One IKE SA, from nothing to its end: RFC 7296 1.2 and 1.4 as one table of states and events, with
 * tred doing all that takes a key. */
#pragma once

#include "base/cleanup.h"
#include "ikeclient/child.h"
#include "ikeclient/config.h"
#include "ikeclient/endpoint.h"
#include "ikeclient/tre.h"

#include <systemd/sd-event.h>

typedef struct Association Association;

typedef enum AssociationEnd {
    ASSOCIATION_FAILED,          /* it never came to be */
    ASSOCIATION_STOPPED,         /* by us */
    ASSOCIATION_DELETED_BY_PEER, /* step 7 */
    ASSOCIATION_LOST,            /* tred is gone or closed it, or the SeGW is silent */
} AssociationEnd;

/* Handlers must not free the association before they return to the event loop. */
typedef struct AssociationHandlers {
    void (*established)(void *userdata, Association *association);
    void (*child_deleted)(void *userdata, Association *association);
    void (*closed)(void *userdata, Association *association, AssociationEnd end,
                   const char *reason);
} AssociationHandlers;

/* What is known of an SA; strings are "" where not known yet. */
typedef struct AssociationInfo {
    const char *identity;
    const char *segw_identity; /* as verified by tred */
    const char *suite;
    bool established;
    bool nat;
    bool has_child;
    const ChildAnswer *child; /* meaningful with has_child */
    const Endpoint *segw;
    double milliseconds; /* from start to established */
} AssociationInfo;

/* `segw` is where IKE_SA_INIT goes; `initial_contact` says that no other SA of ours is left there.
 * Everything but `segw` is borrowed and must outlive it. 0, -ENOMEM, or the errno of a socket call.
 */
int association_new(sd_event *event, Tre *tre, const Config *config, const Endpoint *segw,
                    bool initial_contact, const AssociationHandlers *handlers, void *userdata,
                    Association **ret);
void association_free(Association *association);
DEFINE_POINTER_CLEANUP(Association, association_free);

/* Begins. What becomes of it is told to the handlers. */
void association_start(Association *association);

/* Ends it: with a Delete where there is something to delete. `closed` follows, at the latest when
 * the Delete has been retransmitted in vain. */
void association_stop(Association *association);

/* With `hold`, a Delete of the SeGW's is not answered yet: until it is, both ends carry packets
 * through this IKE SA's child, which gives its replacement the time to come up. Without, it is
 * answered now, and `closed` may follow before this returns. */
void association_hold_delete(Association *association, bool hold);

/* tred has gone (`exchange` NULL) or closed that exchange; ends the association if it concerns it.
 */
void association_lose(Association *association, const char *exchange, const char *reason);

/* True if it stands on that exchange of tred's. */
bool association_is(const Association *association, const char *exchange);

void association_info(const Association *association, AssociationInfo *ret);
