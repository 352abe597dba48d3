/* The task that deletes Child SAs (RFC 7296 1.4.1): those that we have replaced, and ours that
 * turned out to be redundant. */
#include "ikeclient/rekey.h"

#include "base/log.h"
#include "ikeclient/informational.h"

#include <limits.h>

static int delete_begin(Task *task)
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
        if (next != 0)
            rekey_use_child(sa, next);
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

/* Whatever the response holds: both sides have deleted them. */
static int delete_answered(Task *task, const TreReply *reply)
{
    IkeSa *sa = task->sa;
    ChildSa *next;
    (void)reply;

    for (ChildSa *child = sa->children; child; child = next) {
        next = child->next;
        if (!child->delete_sent || child->gone != 0)
            continue;
        log_info("deleted the Child SA %08x", child->spi_in);
        rekey_let_go(sa, child->spi_in);
    }
    sa->handlers->changed(sa->userdata, sa);
    return task_done(task);
}

const TaskKind delete_child_task = {
    .name = "Delete of a Child SA",
    .size = sizeof(Task),
    .tries_max = UINT_MAX,
    .begin = delete_begin,
    .response = delete_answered,
    .unanswered = task_found_silence,
};
