/* Our INFORMATIONAL requests that end something (RFC 7296 1.4) as tasks: the Delete of the IKE SA,
 * the word to a peer that did not verify, and the Delete of Child SAs. */
#include "ikeclient/informational.h"

#include "base/reason.h"
#include "ikeclient/rekey.h"

#include <limits.h>

/* ---- silence ---- */

void task_found_silence(Task *task)
{
    IkeSa *sa = task->sa;
    bool stopping = ike_sa_is_closing(sa);

    reason_set(&sa->reason, 0,
               stopping ? "stopped; the SeGW is silent"
                        : "the SeGW does not answer any more: it was restarted, or the "
                          "network between is down");
    ike_sa_end(sa, stopping ? IKE_SA_STOPPED : IKE_SA_LOST);
}

/* ---- our last words ---- */

static int delete_begin(Task *task)
{
    IkeSa *sa = task->sa;
    IkeDelete delete_ = {.protocol = IKE_PROTOCOL_IKE};
    IkeChain chain;
    Writer writer;
    Bytes payloads;

    writer_init(&writer, sa->scratch, IKE_MESSAGE_MAX);
    ike_chain_init(&chain, &writer);
    ike_chain_add_delete(&chain, &delete_);
    int r = writer_finish(&writer, &payloads);
    return r < 0 ? r : task_seal(task, IKE_INFORMATIONAL, chain.first, payloads);
}

static int refuse_begin(Task *task)
{
    IkeSa *sa = task->sa;
    IkeChain chain;
    Writer writer;
    Bytes payloads;

    writer_init(&writer, sa->scratch, IKE_MESSAGE_MAX);
    ike_chain_init(&chain, &writer);
    ike_chain_add_notify(/* 2.21.2 */
                         &chain,
                         sa->refuse_with != 0 ? sa->refuse_with : IKE_NOTIFY_AUTHENTICATION_FAILED,
                         (Bytes){&sa->refuse_type,
                                 sa->refuse_with == IKE_NOTIFY_UNSUPPORTED_CRITICAL_PAYLOAD ? 1
                                                                                            : 0});
    int r = writer_finish(&writer, &payloads);
    return r < 0 ? r : task_seal(task, IKE_INFORMATIONAL, chain.first, payloads);
}

static int closing_answered(Task *task, const TreReply *reply)
{
    (void)reply;
    ike_sa_end(task->sa, task->sa->end);
    return 0;
}

static void closing_unanswered(Task *task)
{
    ike_sa_end(task->sa, task->sa->end);
}

const TaskKind delete_task = {
    .name = "Delete of the IKE SA",
    .size = sizeof(Task),
    .tries_max = CLOSING_TRIES_MAX,
    .begin = delete_begin,
    .response = closing_answered,
    .unanswered = closing_unanswered,
};

const TaskKind refuse_task = {
    .name = "refusal of the SeGW",
    .size = sizeof(Task),
    .tries_max = CLOSING_TRIES_MAX,
    .begin = refuse_begin,
    .response = closing_answered,
    .unanswered = closing_unanswered,
};

int ike_sa_delete(IkeSa *sa, IkeSaEnd end)
{
    sa->end = end;
    if (ike_sa_is_closing(sa))
        return 0;
    tasks_drop_waiting(sa);
    return task_add(sa, &delete_task);
}

bool ike_sa_is_closing(const IkeSa *sa)
{
    return task_find(sa, &delete_task) || task_find(sa, &refuse_task);
}

/* ---- Delete of Child SAs (RFC 7296 1.4.1): those that we have replaced, and ours that turned out
 * to be redundant ---- */

static int delete_child_begin(Task *task)
{
    IkeSa *sa = task->sa;
    IkeDelete delete_ = {.protocol = IKE_PROTOCOL_ESP};
    IkeChain chain;
    Writer writer;
    Bytes payloads;

    for (ChildSa *child = sa->children; child; child = child->next) {
        if (!child->unwanted || child->delete_sent || delete_.n_spis == IKE_SPIS_MAX)
            continue;
        const uint32_t next = rekey_next_child(sa, child->spi_in);
        if (next != 0) {
            rekey_end_standby(sa, child->spi_in);
            rekey_use_child(sa, next);
        }
        child->delete_sent = true;
        delete_.spis[delete_.n_spis++] = child->spi_in;
    }
    if (delete_.n_spis == 0) /* the peer was earlier */
        return task_done(task);
    writer_init(&writer, sa->scratch, IKE_MESSAGE_MAX);
    ike_chain_init(&chain, &writer);
    ike_chain_add_delete(&chain, &delete_);
    int r = writer_finish(&writer, &payloads);
    return r < 0 ? r : task_seal(task, IKE_INFORMATIONAL, chain.first, payloads);
}

static ChildSa *find_deleted(const IkeSa *sa)
{
    ChildSa *child = sa->children;

    while (child && (!child->delete_sent || child->gone != 0))
        child = child->next;
    return child;
}

/* Whatever the response holds: both sides have deleted them. With the last one those go that
 * linger, wherever they are in the list. */
static int delete_child_answered(Task *task, const TreReply *reply)
{
    IkeSa *sa = task->sa;
    const ChildSa *child;
    (void)reply;

    while ((child = find_deleted(sa))) {
        report_line(sa->config, LOG_INFO, "deleted the Child SA %08x", child->spi_in);
        rekey_let_go(sa, child->spi_in);
    }
    sa->handlers->changed(sa->userdata, sa);
    return task_done(task);
}

const TaskKind delete_child_task = {
    .name = "Delete of a Child SA",
    .size = sizeof(Task),
    .tries_max = UINT_MAX,
    .begin = delete_child_begin,
    .response = delete_child_answered,
    .unanswered = task_found_silence,
};
