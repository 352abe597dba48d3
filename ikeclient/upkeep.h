/* What an established IKE SA needs done for itself and its Child SAs, as a function of what there
 * is. So nothing is forgotten with a timer: the one timer is set for whatever comes first. */
#pragma once

#include "ikeclient/sa.h"

/* All that decides what is done next. */
typedef struct UpkeepFacts {
    bool up;         /* established, and nothing has taken its place or is about to */
    bool renewal;    /* the peer does not rekey */
    bool busy;       /* a request of ours is under way or waits */
    bool answering;  /* a CREATE_CHILD_SA of the peer's */
    bool ready;      /* the peer has not put us off */
    bool overdue;    /* the peer has not deleted a Child SA that it was to delete */
    bool unwanted;   /* a Child SA is to be deleted by us */
    bool replacing;  /* the peer is to delete a Child SA that it has replaced */
    bool child_due;  /* a Child SA is to be replaced */
    bool child_owed; /* one that is configured is not there, and may be asked for now */
    bool ike_due;    /* the IKE SA is */
} UpkeepFacts;

typedef enum UpkeepStep {
    UPKEEP_NOTHING,
    UPKEEP_TAKE_OVER, /* what the peer was to delete, we delete */
    UPKEEP_DELETE_CHILD,
    UPKEEP_REKEY_CHILD,
    UPKEEP_CREATE_CHILD,
    UPKEEP_REKEY_IKE,
} UpkeepStep;

/* The step to take now. Where there is none, what is due is under way, or leads on when a request
 * is over, or by the timer. */
UpkeepStep upkeep_plan(const UpkeepFacts *facts);

/* ---- on an IKE SA ---- */

/* From now on there is upkeep. 0 or a negative errno. */
int upkeep_start(IkeSa *sa);

/* Something has changed: takes the step that follows, and sets the timer. */
void upkeep_tend(IkeSa *sa);
