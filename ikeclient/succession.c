/* Which of the IKE SAs that were made takes the place of one. */
#include "ikeclient/succession.h"

#include "base/log.h"
#include "ikeclient/informational.h"
#include "ikeclient/rekey.h"

static bool is_there(const MadeIkeSa *made)
{
    return made->exchange[0] != 0;
}

void succession_add(IkeSa *sa, const MadeIkeSa *made)
{
    *(made->by_peer ? &sa->made_by_peer : &sa->made_by_us) = *made;
}

bool succession_has_made(const IkeSa *sa)
{
    return is_there(&sa->made_by_us) || is_there(&sa->made_by_peer);
}

static void log_rekeyed(const IkeSa *sa, const MadeIkeSa *made)
{
    const char *henb = sa->steps.henb, *segw = sa->steps.segw;

    log_notice("rekeyed  %s -> %s  IKE SA, %s", made->by_peer ? segw : henb,
               made->by_peer ? henb : segw, made->suite);
}

/* NULL: none is to be. */
static const MadeIkeSa *choose_heir(const IkeSa *sa)
{
    const MadeIkeSa *ours = &sa->made_by_us, *theirs = &sa->made_by_peer;

    if (sa->heir || sa->retired || ike_sa_is_closing(sa))
        return NULL;
    if (is_there(ours) && is_there(theirs))
        return nonce_is_lower(&ours->lowest, &theirs->lowest) ? theirs : ours;
    return is_there(ours) ? ours : theirs;
}

static bool is_asking(const IkeSa *sa)
{
    const Task *first = sa->tasks.first;

    return first && first->kind == &rekey_ike_task && first->phase > TASK_WAITING;
}

static bool is_answering(const IkeSa *sa)
{
    return sa->peer.create.pending && sa->peer.create.kind == CREATE_REKEYED_IKE;
}

bool succession_is_under_way(const IkeSa *sa)
{
    return is_asking(sa) || is_answering(sa) || succession_has_made(sa);
}

/* The heir comes first: what is redundant leads to a Delete, and the heir to none. */
void succession_decide(IkeSa *sa)
{
    const MadeIkeSa made[] = {sa->made_by_us, sa->made_by_peer};
    const MadeIkeSa *heir = choose_heir(sa);
    const bool peers = heir == &sa->made_by_peer;

    if (sa->closed || !succession_has_made(sa))
        return;
    sa->made_by_us = sa->made_by_peer = (MadeIkeSa){0};
    if (heir) {
        log_rekeyed(sa, &made[peers]);
        sa->handlers->rekeyed(sa->userdata, sa, &made[peers], true);
    }
    for (size_t i = 0; i < sizeof(made) / sizeof(made[0]); i++) {
        if (!is_there(&made[i]) || (heir && peers == (i == 1)))
            continue;
        log_info("the new IKE SA that %s made is redundant", i == 1 ? "the SeGW" : "we");
        sa->handlers->rekeyed(sa->userdata, sa, &made[i], false);
    }
}

void succession_settle(IkeSa *sa)
{
    if (!is_asking(sa) && !is_answering(sa))
        succession_decide(sa);
}

IkeSa *succession_holder(IkeSa *sa)
{
    while (sa->heir)
        sa = sa->heir;
    return sa;
}
