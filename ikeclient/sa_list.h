/* The IKE SAs of one connection, newest first, each with what it is to the connection. */
#pragma once

#include "base/cleanup.h"
#include "ikeclient/ike_sa.h"

/* An SA goes from one to a later one, and not back. */
typedef enum SaRole {
    SA_COMING,    /* not established yet; several are answers to one request */
    SA_UP,        /* in use; at most one */
    SA_LINGERING, /* replaced: it carries what is still on its way */
    SA_YIELDING,  /* replaced: the SeGW is to delete it */
    SA_DELETING,  /* we delete it */
    SA_ENDED,     /* the SeGW has deleted it: if our answer is lost, it is given again */
    SA_GONE,      /* freed when its own handlers have returned */
} SaRole;

typedef struct SaMember {
    struct SaMember *next;
    void *owner; /* of the list */
    IkeSa *sa;
    SaRole role;
    uint64_t deadline; /* of SA_LINGERING, _YIELDING and _ENDED, CLOCK_MONOTONIC, µs */
} SaMember;

typedef struct SaList {
    const Config *config; /* of the connection; borrowed */
    SaMember *first;
    sd_event_source *bury;
} SaList;

#define SA_LIST_NEVER UINT64_MAX

/* 0 or a negative errno; sa_list_deinit() is due in either case. */
int sa_list_init(SaList *list, sd_event *event, const Config *config);
void sa_list_deinit(SaList *list);

/* Takes an SA into the list as SA_COMING. Its handlers are to be given the member as userdata,
 * which is therefore made first: sa_member_new(), then the SA, then sa_list_add(). NULL: out of
 * memory. */
SaMember *sa_member_new(void *owner);
void sa_list_add(SaList *list, SaMember *member);

/* The SA of that role, or NULL. */
SaMember *sa_list_find(const SaList *list, SaRole role);

/* True if there are SAs on their way out. */
bool sa_list_has_leaving(const SaList *list);

bool sa_member_is_leaving(const SaMember *member);
bool sa_member_has_child(const SaMember *member);

/* Another SA has taken the place of this one at `now` (µs). */
void sa_member_replace(SaMember *member, uint64_t now);

/* Has it deleted by us. Its end may come before this returns. */
void sa_member_delete(SaMember *member);

/* It has ended at `now` (µs): nobody asks for it any more, and it is freed later; no handler is
 * called. */
void sa_member_end(SaMember *member, uint64_t now);

/* Frees it from the event loop, when its own handlers have returned; no handler is called. */
void sa_list_bury(SaList *list, SaMember *member);

/* Moves on what is on its way out, as the time is `now`; ends may come before this returns. */
void sa_list_tend(SaList *list, uint64_t now);

/* When sa_list_tend() is to be called again; SA_LIST_NEVER: not before something happens. */
uint64_t sa_list_deadline(const SaList *list);
