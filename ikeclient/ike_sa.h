/* One IKE SA with its Child SAs, from nothing to its end (RFC 7296 1.2, 1.4); tred does all that
 * takes a key. */
#pragma once

#include "base/cleanup.h"
#include "ikeclient/child_list.h"
#include "ikeclient/config.h"
#include "ikeclient/endpoint.h"
#include "ikeclient/ike_sa_end.h"
#include "ikeclient/tre.h"

#include <systemd/sd-event.h>

/* What is known of an SA; strings are "" where not known yet. */
typedef struct IkeSaInfo {
    const char *exchange; /* the path of tred's object */
    uint64_t spi_i;
    const char *identity;
    const char *segw_identity; /* as verified by tred */
    const char *suite;
    bool established;        /* and not being deleted */
    bool silent;             /* it ended, as the SeGW did not answer */
    bool nat;                /* a NAT was found on either side */
    const ChildSa *children; /* a list, NULL: there is none; the SA's own */
    const char *interface;   /* that its traffic goes by; "" where there is none of either */
    /* Why one that is configured is not there; "" where nothing is known, or it is. */
    const char *missing[CHILD_PLACES];
    uint64_t
        renew_at; /* when a new authentication is due, CLOCK_MONOTONIC, µs; UINT64_MAX: never */
    const char *refusal; /* why it was established without a Child SA; "" if it was not */
    const Endpoint *segw;
    const Endpoint *external; /* where the SeGW sees us behind a NAT; NULL: it does not say */
    double milliseconds;      /* from start to established */
} IkeSaInfo;

/* `segw` is where IKE_SA_INIT goes; `initial_contact` says that no other SA of ours is left there.
 * Everything but `segw` is borrowed and must outlive it. 0, -ENOMEM, or the errno of a socket call.
 */
int ike_sa_new(sd_event *event, Tre *tre, const Config *config, const Endpoint *segw,
               bool initial_contact, const IkeSaHandlers *handlers, void *userdata, IkeSa **ret);

/* One that follows up another answer to the IKE_SA_INIT request of `sa`, whose exchange of tred's
 * it forks (RFC 7296 2.4). 0, -ENOENT: there is none, -ENOMEM, or the errno of a socket call. */
int ike_sa_new_rival(IkeSa *sa, const IkeSaHandlers *handlers, void *userdata, IkeSa **ret);

/* Has it ask for the inner addresses that `answer` has, before it is started (RFC 7296 3.15.1). */
void ike_sa_ask_for(IkeSa *sa, const ChildAnswer *answer);

/* It was sent here by another SeGW, and says so. Before it is started. */
void ike_sa_sent_by(IkeSa *sa, const Endpoint *segw);

/* The network has changed: it sees to it that it can go on (RFC 4555), or has `renew` told. */
void ike_sa_look_around(IkeSa *sa);

/* A certificate that it rests on ends in `seconds`. */
void ike_sa_expires(IkeSa *sa, uint64_t seconds);

void ike_sa_free(IkeSa *sa);
DEFINE_POINTER_CLEANUP(IkeSa, ike_sa_free);

/* Begins. What becomes of it is told to the handlers. */
void ike_sa_start(IkeSa *sa);

/* Ends it: with a Delete where there is something to delete. `closed` follows, at the latest when
 * the Delete has been retransmitted in vain. */
void ike_sa_stop(IkeSa *sa);

/* With `hold`, a Delete of the SeGW's is not answered yet: until it is, both ends carry packets
 * through this IKE SA's children, which gives their replacement the time to come up. Without, it is
 * answered now, and `closed` may follow before this returns. */
void ike_sa_hold_delete(IkeSa *sa, bool hold);

/* tred has gone (`exchange` NULL) or closed that exchange; ends the SA if it concerns it. */
void ike_sa_lose(IkeSa *sa, const char *exchange, const char *reason);

/* True if the SeGW has assigned this address by it. */
bool ike_sa_has_inner(const IkeSa *sa, const Endpoint *address);

/* True if it stands on that exchange of tred's. */
bool ike_sa_is(const IkeSa *sa, const char *exchange);

void ike_sa_info(const IkeSa *sa, IkeSaInfo *ret);

/* ---- rekeying (RFC 7296 2.8) ---- */

/* Takes up a new IKE SA that the handler `rekeyed` of `sa` is told of; where it `inherits`, it has
 * the Child SAs from now on. 0 or a negative errno: tred has closed it then. */
int ike_sa_new_made(IkeSa *sa, const MadeIkeSa *made, bool inherits, const IkeSaHandlers *handlers,
                    void *userdata, IkeSa **ret);

/* True if the peer began the rekeying that it comes from: then it is the peer who deletes. */
bool ike_sa_is_by_peer(const IkeSa *sa);

/* Another authentication has replaced it: nothing of it is rekeyed any more. */
void ike_sa_retire(IkeSa *sa);

/* True if it has a Child SA that receives at `spi_in`, whose place no other has taken. */
bool ike_sa_has_current_child(const IkeSa *sa, uint32_t spi_in);

/* The Child SA that receives at `spi_in` (0: all of them) is to be replaced. */
void ike_sa_rekey_child(IkeSa *sa, uint32_t spi_in);

/* The IKE SA itself is. */
void ike_sa_rekey(IkeSa *sa);
