/* The way out of an IKE SA that was replaced: it lingers, yields to the SeGW's Delete, is deleted
 * by us, and is freed. */
#include "ikeclient/sa_list.h"

#include <stdlib.h>

enum {
    USEC_PER_MS = 1000,
    LINGER_USEC = 200 * USEC_PER_MS,     /* what was sent through the SA is still on its way */
    PATIENCE_USEC = 10000 * USEC_PER_MS, /* how long the SeGW may take to delete it (step 7) */
    ECHO_USEC = 30000 * USEC_PER_MS,     /* in which the SeGW may send its Delete again */
    LEAVING_MAX = 8,                     /* at once; beyond that the oldest goes without a word */
};

bool sa_member_is_leaving(const SaMember *member)
{
    return member->role > SA_UP && member->role < SA_ENDED;
}

bool sa_member_has_child(const SaMember *member)
{
    IkeSaInfo info;

    ike_sa_info(member->sa, &info);
    return info.children != NULL;
}

SaMember *sa_list_find(const SaList *list, SaRole role)
{
    for (SaMember *member = list->first; member; member = member->next) {
        if (member->role == role)
            return member;
    }
    return NULL;
}

bool sa_list_has_leaving(const SaList *list)
{
    for (const SaMember *member = list->first; member; member = member->next) {
        if (sa_member_is_leaving(member))
            return true;
    }
    return false;
}

void sa_member_replace(SaMember *member, uint64_t now)
{
    bool child = sa_member_has_child(member);

    ike_sa_retire(member->sa);
    member->role = child ? SA_LINGERING : SA_YIELDING;
    member->deadline = now + (child ? LINGER_USEC : PATIENCE_USEC);
    ike_sa_hold_delete(member->sa, child);
}

void sa_member_delete(SaMember *member)
{
    member->role = SA_DELETING;
    ike_sa_hold_delete(member->sa, false);
    ike_sa_stop(member->sa);
}

void sa_member_end(SaMember *member, uint64_t now)
{
    member->role = SA_ENDED;
    member->deadline = now + ECHO_USEC;
}

void sa_list_bury(SaList *list, SaMember *member)
{
    member->role = SA_GONE;
    (void)sd_event_source_set_enabled(list->bury, SD_EVENT_ONESHOT);
}

static void tend(const SaList *list, SaMember *member, uint64_t now)
{
    if (now < member->deadline)
        return;
    if (member->role == SA_LINGERING) {
        member->role = SA_YIELDING;
        member->deadline = now + PATIENCE_USEC;
        ike_sa_hold_delete(member->sa, false);
    } else if (member->role == SA_YIELDING) {
        report_line(list->config, LOG_INFO,
                    "the SeGW keeps the IKE SA that was replaced: deleting it");
        sa_member_delete(member);
    }
}

void sa_list_tend(SaList *list, uint64_t now)
{
    unsigned leaving = 0;

    for (SaMember *member = list->first; member; member = member->next) {
        const bool goes = sa_member_is_leaving(member) || member->role == SA_ENDED;
        if ((goes && ++leaving > LEAVING_MAX) ||
            (member->role == SA_ENDED && now >= member->deadline)) {
            sa_list_bury(list, member);
        } else {
            tend(list, member, now);
        }
    }
}

uint64_t sa_list_deadline(const SaList *list)
{
    uint64_t deadline = SA_LIST_NEVER;

    for (const SaMember *member = list->first; member; member = member->next) {
        const SaRole role = member->role;
        if ((role == SA_LINGERING || role == SA_YIELDING || role == SA_ENDED) &&
            member->deadline < deadline)
            deadline = member->deadline;
    }
    return deadline;
}

/* ---- beginning and end ---- */

SaMember *sa_member_new(void *owner)
{
    SaMember *member = calloc(1, sizeof(*member));

    if (member)
        member->owner = owner;
    return member;
}

void sa_list_add(SaList *list, SaMember *member)
{
    member->next = list->first;
    list->first = member;
}

static void free_members(SaList *list, bool all)
{
    SaMember **place = &list->first;

    while (*place) {
        SaMember *member = *place;
        if (!all && member->role != SA_GONE) {
            place = &member->next;
            continue;
        }
        *place = member->next;
        ike_sa_free(member->sa);
        free(member);
    }
}

static int on_bury(sd_event_source *source, void *userdata)
{
    (void)source;
    free_members(userdata, false);
    return 0;
}

int sa_list_init(SaList *list, sd_event *event, const Config *config)
{
    *list = (SaList){.config = config};
    int r = sd_event_add_defer(event, &list->bury, on_bury, list);
    return r < 0 ? r : sd_event_source_set_enabled(list->bury, SD_EVENT_OFF);
}

void sa_list_deinit(SaList *list)
{
    free_members(list, true);
    sd_event_source_disable_unref(list->bury);
}
