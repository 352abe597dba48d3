/* Answering the peer's CREATE_CHILD_SA requests, with what tred makes for that. */
#include "ikeclient/create_answer.h"

#include "base/reason.h"
#include "ikeclient/create_child.h"
#include "ikeclient/informational.h"
#include "ikeclient/rekey.h"
#include "ikeclient/rekey_ike.h"
#include "ikeclient/selectors.h"
#include "ikeclient/task.h"
#include "ikeclient/upkeep.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { CHILDREN_MAX = 3 }; /* that a SeGW can have made beside those that are being replaced */

/* An answer that refuses. */
typedef struct Refusal {
    uint16_t type;  /* of the notify; 0: none */
    uint16_t group; /* INVALID_KE_PAYLOAD: the one that is wanted */
    uint32_t spi;   /* CHILD_SA_NOT_FOUND: as in REKEY_SA */
} Refusal;

static const char *const whats[] = {
    [CREATE_CHILD] = "another Child SA",
    [CREATE_REKEYED_CHILD] = "to rekey a Child SA",
    [CREATE_REKEYED_IKE] = "to rekey the IKE SA",
};

/* ---- what can't be now (RFC 7296 2.25) ---- */

static bool is_under_way(const IkeSa *sa, const TaskKind *kind)
{
    const Task *first = sa->tasks.first;

    return first && first->kind == kind && first->phase > TASK_WAITING;
}

/* True if the IKE SA is about to be deleted, whoever does that. */
static bool is_leaving(const IkeSa *sa)
{
    return sa->heir || sa->retired || ike_sa_is_closing(sa);
}

static bool is_bad_time(const IkeSa *sa, CreateKind kind)
{
    if (is_leaving(sa))
        return true;
    if (kind != CREATE_REKEYED_IKE)
        return succession_is_under_way(sa);
    return sa->made_by_peer.exchange[0] != 0 || is_under_way(sa, &rekey_child_task) ||
           is_under_way(sa, &create_child_task) || is_under_way(sa, &delete_child_task);
}

/* ---- judging a request ---- */

/* What the IKE SA's suite allows of [child] proposals, with the groups that a rekeying may have. */
static IkeSaPayload esp_policy(const IkeSa *sa)
{
    const Config *config = sa->config;
    IkeSaPayload esp = config->esp_offer;

    if (!sa->identity.stronger_child)
        (void)proposals_limit_key(&esp, proposals_suite_key(sa->suite));
    proposals_add_groups(&esp, &config->ike_offer, proposals_suite_group(sa->suite),
                         (Pfs)config->pfs);
    return esp;
}

static Refusal choose(const IkeSaPayload *ours, const CreateRequest *request, PeerCreate *create)
{
    const size_t spi_size =
        request->kind == CREATE_REKEYED_IKE ? sizeof(uint64_t) : sizeof(uint32_t);

    if (proposals_choose(ours, &request->sa, request->group, &create->chosen) < 0 ||
        create->chosen.spi_size != spi_size || create->chosen.spi == 0)
        return (Refusal){.type = IKE_NOTIFY_NO_PROPOSAL_CHOSEN};
    create->material.group = proposal_group(&create->chosen);
    if (create->material.group != IKE_GROUP_NONE && create->material.group != request->group)
        return (Refusal){.type = IKE_NOTIFY_INVALID_KE_PAYLOAD, .group = create->material.group};
    return (Refusal){0};
}

/* RFC 7296 2.9.2: the new one takes in what the old one did. */
static Refusal judge_rekeying(IkeSa *sa, const CreateRequest *request, PeerCreate *create)
{
    const ChildSa *old = child_sas_find_out(sa->children, request->rekeyed);

    if (!old || old->gone != 0)
        return (Refusal){.type = IKE_NOTIFY_CHILD_SA_NOT_FOUND, .spi = request->rekeyed};
    if (old->unwanted || old->redundant || child_sas_replacement(sa->children, old->spi_in, true))
        return (Refusal){.type = IKE_NOTIFY_TEMPORARY_FAILURE};
    if (!ike_ts_is_subset(&old->answer.ts_r, &request->ts_i) ||
        !ike_ts_is_subset(&old->answer.ts_i, &request->ts_r))
        return (Refusal){.type = IKE_NOTIFY_TS_UNACCEPTABLE};
    create->rekeyed = old->spi_in;
    create->child = old->answer;
    return (Refusal){0};
}

/* Within what IKE_AUTH granted on our side, and what we would ask for on the other. */
static Refusal judge_another(IkeSa *sa, const CreateRequest *request, PeerCreate *create)
{
    ChildOffer offer;
    size_t current = 0;

    for (const ChildSa *child = sa->children; child; child = child->next)
        current += child->place == CHILD_OF_SEGW && child_sa_is_current(sa->children, child);
    if (current >= CHILDREN_MAX)
        return (Refusal){.type = IKE_NOTIFY_NO_ADDITIONAL_SAS};
    child_offer_init(&offer, sa->config, 0);
    create->child = sa->assigned;
    if (!selectors_intersect(&request->ts_r, &sa->assigned.ts_i, &create->child.ts_i) ||
        !selectors_intersect(&request->ts_i, &offer.ts_r, &create->child.ts_r))
        return (Refusal){.type = IKE_NOTIFY_TS_UNACCEPTABLE};
    return (Refusal){0};
}

static Refusal judge(IkeSa *sa, const CreateRequest *request, PeerCreate *create)
{
    if (is_bad_time(sa, request->kind))
        return (Refusal){.type = IKE_NOTIFY_TEMPORARY_FAILURE};
    if (request->kind == CREATE_REKEYED_IKE)
        return choose(&sa->config->ike_offer, request, create);
    const IkeSaPayload esp = esp_policy(sa);
    Refusal refusal = request->kind == CREATE_REKEYED_CHILD ? judge_rekeying(sa, request, create)
                                                            : judge_another(sa, request, create);
    if (refusal.type == 0)
        refusal = choose(&esp, request, create);
    create->child.esp = esp_choice_of(&create->chosen);
    return refusal;
}

/* ---- answers ---- */

/* The answer is out: what it has led to may lead on. */
static void follow(IkeSa *sa)
{
    PeerCreate *create = &sa->peer.create;

    create->pending = false;
    if (create->rekeyed != 0)
        child_sas_settle(sa->children, create->rekeyed);
    succession_settle(sa);
    if (!sa->closed)
        upkeep_tend(sa);
}

static void write_refusal(const Refusal *refusal, IkeChain *chain)
{
    uint8_t group[2];
    Writer data;
    IkeNotify notify = {.type = refusal->type};

    writer_init(&data, group, sizeof(group));
    writer_u16(&data, refusal->group);
    if (refusal->type == IKE_NOTIFY_INVALID_KE_PAYLOAD)
        notify.data = BYTES_OF(group);
    if (refusal->type == IKE_NOTIFY_CHILD_SA_NOT_FOUND) {
        notify.protocol = IKE_PROTOCOL_ESP;
        notify.spi_size = sizeof(refusal->spi);
        notify.spi = refusal->spi;
    }
    ike_chain_open(chain, IKE_PAYLOAD_NOTIFY, false);
    ike_notify_encode(chain->writer, &notify);
    ike_chain_close(chain);
}

static int refuse(IkeSa *sa, const Refusal *refusal)
{
    const PeerCreate *create = &sa->peer.create;
    const TreCall give_back = {
        .method = TRE_REMOVE_CHILD, .exchange = sa->exchange, .spi_in = create->spi_in};
    IkeChain chain;
    Writer writer;
    Bytes payloads;

    if (create->spi_in != 0)
        (void)tre_call(sa->tre, &give_back, NULL, NULL);
    report_line(sa->config, LOG_INFO, "the SeGW wants %s, and is answered %s", whats[create->kind],
                ike_notify_name(refusal->type));
    writer_init(&writer, sa->scratch, IKE_MESSAGE_MAX);
    ike_chain_init(&chain, &writer);
    write_refusal(refusal, &chain);
    int r = writer_finish(&writer, &payloads);
    return r < 0
               ? r
               : peer_queue_seal(sa, IKE_CREATE_CHILD_SA, chain.first, payloads, peer_queue_sealed);
}

static void refuse_with(IkeSa *sa, uint16_t type)
{
    const Refusal refusal = {.type = type};

    int r = refuse(sa, &refusal);
    if (r < 0)
        ike_sa_fail(sa, r);
}

/* ---- what the answer promises is made, and then it is sent ---- */

static const Nonce *lowest_of(const PeerCreate *create)
{
    return nonce_is_lower(&create->nonce, &create->material.nonce) ? &create->nonce
                                                                   : &create->material.nonce;
}

static int add_child(IkeSa *sa)
{
    const PeerCreate *create = &sa->peer.create;
    const NewChild new = {.spi_in = create->spi_in,
                          .replaces = create->rekeyed,
                          .place = CHILD_OF_SEGW,
                          .by_peer = true,
                          .answer = &create->child,
                          .lowest = lowest_of(create)};

    return rekey_add_child(sa, &new);
}

static void add_ike_sa(IkeSa *sa, const TreReply *reply)
{
    const PeerCreate *create = &sa->peer.create;
    MadeIkeSa made = {.by_peer = true,
                      .spi_i = create->chosen.spi,
                      .spi_r = create->material.spi,
                      .lowest = *lowest_of(create)};

    (void)snprintf(made.exchange, sizeof(made.exchange), "%s", reply->exchange);
    ike_choice_name(&create->chosen, made.suite);
    succession_add(sa, &made);
}

/* The answer is sealed, and promises what there is not: the peer is told by a Delete. */
static int take_back(IkeSa *sa, const TreReply *reply)
{
    PeerCreate *create = &sa->peer.create;
    ChildSa *child;

    report_line(sa->config, LOG_ERR, "tred did not take what it sealed the promise of (%s): %s",
                reply->error, reply->text);
    if (create->kind == CREATE_REKEYED_IKE)
        return -EPROTO;
    int r = add_child(sa);
    if (r == 0 && (child = child_sas_find(sa->children, create->spi_in)))
        child->unwanted = true;
    return r;
}

static void on_added(void *userdata, const TreReply *reply)
{
    PeerQueue *peer = userdata;
    IkeSa *sa = peer->sa;
    int r = 0;

    if (sa->closed)
        return;
    if (reply->outcome == TRE_GONE) {
        reason_set(&sa->reason, 0, "%s", reply->text);
        ike_sa_end(sa, IKE_SA_LOST);
        return;
    }
    if (reply->outcome == TRE_REFUSED) {
        r = take_back(sa, reply);
    } else if (peer->create.kind == CREATE_REKEYED_IKE) {
        add_ike_sa(sa, reply);
    } else {
        r = add_child(sa);
    }
    if (r < 0) {
        ike_sa_fail(sa, r);
    } else {
        peer_queue_send(sa);
    }
}

/* tred held the answer against the request, and its policy, before it sealed it. */
static uint16_t notify_for(const char *error)
{
    if (strcmp(error, "SuiteNotAllowed") == 0)
        return IKE_NOTIFY_NO_PROPOSAL_CHOSEN;
    if (strcmp(error, "SelectorsNotAllowed") == 0 || strcmp(error, "AddressNotAllowed") == 0)
        return IKE_NOTIFY_TS_UNACCEPTABLE;
    return IKE_NOTIFY_NO_ADDITIONAL_SAS;
}

static void on_promise_sealed(void *userdata, const TreReply *reply)
{
    PeerQueue *peer = userdata;
    IkeSa *sa = peer->sa;
    const PeerCreate *create = &peer->create;
    TreCall call = {.method = TRE_ADD_CHILD, .exchange = sa->exchange, .spi_in = create->spi_in};

    if (sa->closed)
        return;
    if (reply->outcome == TRE_GONE) {
        peer_queue_unsealed(sa, reply);
        return;
    }
    if (reply->outcome == TRE_REFUSED) {
        report_line(sa->config, LOG_NOTICE, "tred does not take what the SeGW asks for (%s): %s",
                    reply->error, reply->text);
        refuse_with(sa, notify_for(reply->error));
        return;
    }
    if (create->kind == CREATE_REKEYED_IKE) {
        call = (TreCall){
            .method = TRE_ADD_IKE_SA, .exchange = sa->exchange, .spi = create->material.spi};
    }
    int r = peer_queue_keep(sa, reply);
    if (r == 0)
        r = tre_call(sa->tre, &call, on_added, peer);
    if (r < 0)
        ike_sa_fail(sa, r);
}

static int promise(IkeSa *sa)
{
    PeerCreate *create = &sa->peer.create;
    const IkeSaPayload sa_payload = {.n_proposals = 1, .proposals = {create->chosen}};
    IkeProposal esp = create->chosen;
    IkeChain chain;
    Writer writer;
    Bytes payloads;

    esp.spi = create->spi_in;
    writer_init(&writer, sa->scratch, IKE_MESSAGE_MAX);
    ike_chain_init(&chain, &writer);
    if (create->kind == CREATE_REKEYED_IKE) {
        create_ike_encode(&create->material, &sa_payload, &chain);
    } else {
        create_child_encode_response(&create->material, &esp, &create->child.ts_r,
                                     &create->child.ts_i, &chain);
    }
    int r = writer_finish(&writer, &payloads);
    return r < 0
               ? r
               : peer_queue_seal(sa, IKE_CREATE_CHILD_SA, chain.first, payloads, on_promise_sealed);
}

static void on_prepared(void *userdata, const TreReply *reply);

/* One by which the peer replaces another sends what that one did. */
static int keep_dscps(IkeSa *sa)
{
    PeerCreate *create = &sa->peer.create;
    const ChildSa *old = child_sas_find(sa->children, create->rekeyed);
    const TreCall call = {
        .method = TRE_SET_DSCPS,
        .exchange = sa->exchange,
        .sends = {create->spi_in, old ? child_config_dscps(sa, old->place) : 0},
    };

    if (call.sends.dscps == 0)
        return 0;
    create->awaited++;
    return tre_call(sa->tre, &call, on_prepared, &sa->peer);
}

/* What the response needs: one answer of tred's more. */
static void on_prepared(void *userdata, const TreReply *reply)
{
    PeerQueue *peer = userdata;
    PeerCreate *create = &peer->create;
    IkeSa *sa = peer->sa;
    int r = 0;

    if (sa->closed)
        return;
    if (reply->outcome == TRE_GONE) {
        peer_queue_unsealed(sa, reply);
        return;
    }
    if (reply->outcome == TRE_REFUSED) {
        create->refused = true;
    } else if (reply->method == TRE_ALLOCATE_SPI) {
        create->spi_in = reply->spi_in;
        r = keep_dscps(sa);
    } else if (reply->method == TRE_PREPARE_CREATE_CHILD) {
        r = create_material_take(&create->material, create->material.group, reply);
    }
    if (r == 0 && --create->awaited == 0) {
        if (create->refused) {
            refuse_with(sa, IKE_NOTIFY_NO_ADDITIONAL_SAS);
        } else {
            r = promise(sa);
        }
    }
    if (r < 0)
        ike_sa_fail(sa, r);
}

static int prepare(IkeSa *sa)
{
    PeerCreate *create = &sa->peer.create;
    const TreCall material = {.method = TRE_PREPARE_CREATE_CHILD,
                              .exchange = sa->exchange,
                              .group = create->material.group};
    const TreCall spi = {.method = TRE_ALLOCATE_SPI, .exchange = sa->exchange};

    create->awaited = 1;
    int r = tre_call(sa->tre, &material, on_prepared, &sa->peer);
    if (r < 0 || create->kind == CREATE_REKEYED_IKE)
        return r;
    create->awaited++;
    return tre_call(sa->tre, &spi, on_prepared, &sa->peer);
}

bool create_answer_begin(IkeSa *sa, const TreReply *opened)
{
    PeerCreate *create = &sa->peer.create;
    CreateRequest request;
    IkePayloads payloads;
    Refusal refusal = {0};

    if (ike_payloads_decode(opened->opened.first, opened->opened.payloads, &payloads, NULL) != 0)
        return false;
    refusal.type = create_request_read(&payloads, &request);
    sa->peer.sent = follow;
    *create = (PeerCreate){.pending = true, .kind = request.kind, .nonce = request.nonce};
    if (refusal.type == 0)
        refusal = judge(sa, &request, create);
    int r = refusal.type != 0 ? refuse(sa, &refusal) : prepare(sa);
    if (r < 0)
        ike_sa_fail(sa, r);
    return true;
}
