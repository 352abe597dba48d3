/* The task that leads from keys to an established SA (steps 3 to 6 of the call flow): IKE_AUTH. */
#include "ikeclient/initial_exchanges.h"

#include "base/cleanup.h"
#include "base/log.h"
#include "base/messages.h"
#include "base/reason.h"
#include "ikeclient/ike_sa_internal.h"
#include "ikeclient/liveness.h"
#include "ikeclient/mobike.h"
#include "ikeclient/selectors.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

enum { SKIPPED_SIZE = 512 };

/* Far above what tred's AUTH has: an RSA-4096 signature and its AlgorithmIdentifier. */
enum { AUTH_DATA_MAX = 1024, AUTH_ID_MAX = 256 };

typedef struct AuthTask {
    Task task;      /* first */
    size_t awaited; /* of the calls that the request needs */
    uint8_t id_type, auth_method;
    size_t id_size, auth_size;
    uint8_t id[AUTH_ID_MAX], auth[AUTH_DATA_MAX];
    ChildOffer offer;
    ChildAnswer answer;
    bool redirects; /* the SeGW sends us to another one, once it is verified */
    Redirect redirect;
    bool has_lifetime;  /* the SeGW says when this authentication ends: in … */
    uint32_t lifetime;  /* … seconds */
    const char *scheme; /* static, for the log */
    bool unfit;         /* the response can't be used; why is in the SA's reason */
} AuthTask;

/* RFC 7296 2.23 allows port 4500 without a NAT, too; so it goes one way always. tred opens it, as
 * ESP comes in on the same port and is none of our business. SignAuth is first: what the others
 * take passes while the TPM signs. */
size_t auth_first_calls(const IkeSa *sa, const NatFinding *nat, TreCall *calls)
{
    const Endpoint *remote = transport_remote(sa->transport);
    size_t n = 0;

    calls[n++] = (TreCall){.method = TRE_SIGN_AUTH};
    if (nat->supported) {
        calls[n++] =
            (TreCall){.method = TRE_OPEN_TRANSPORT,
                      .remote = {endpoint_address(remote), (uint16_t)sa->config->nat_t_port,
                                 nat->here || nat->there}};
    }
    calls[n++] = (TreCall){.method = TRE_ALLOCATE_SPI};
    return n;
}

/* What it needs first went out along with Agree. */
static int auth_begin(Task *task)
{
    TreCall calls[AUTH_CALLS_MAX];

    ((AuthTask *)task)->awaited = auth_first_calls(task->sa, &task->sa->nat, calls);
    return 0;
}

/* Whoever the response turns out to be from: tred answers with WrongState where it opened none, or
 * does not verify the peer. */
static size_t auth_along(const Task *task, TreCall *calls)
{
    calls[0] = (TreCall){.method = TRE_VERIFY_PEER};
    calls[1] = (TreCall){.method = TRE_ADD_CHILD, .spi_in = ((const AuthTask *)task)->offer.spi_in};
    return 2;
}

/* Those that count for this SeGW. */
static Bytes anchor_hashes(const IkeSa *sa)
{
    return sa->segw_anchors ? (Bytes){sa->segw_anchors, sa->n_segw_anchors * TRE_HASH_SIZE}
                            : sa->identity.anchor_hashes;
}

/* One answer more. The request is made once all are there, in whichever order they came. */
static int auth_go_on(AuthTask *auth)
{
    IkeSa *sa = auth->task.sa;
    const AuthRequest request = {
        .id_type = auth->id_type,
        .id_data = {auth->id, auth->id_size},
        .auth_method = auth->auth_method,
        .auth_data = {auth->auth, auth->auth_size},
        .certificates = sa->identity.certificates,
        .n_certificates = sa->identity.n_certificates,
        .anchor_hashes = anchor_hashes(sa),
        .ocsp_wanted = sa->identity.ocsp_wanted,
        .segw_identity = sa->identity.segw_identity,
        .initial_contact = sa->initial_contact,
        .mobike = sa->config->mobike && sa->nat.supported, /* it needs the second port */
        .addresses = &sa->own,
        .child = &auth->offer,
    };
    uint8_t first = 0;
    Bytes payloads;
    Writer writer;

    if (--auth->awaited > 0)
        return 0;
    auth->scheme = auth_scheme_name(request.auth_method, request.auth_data);
    writer_init(&writer, sa->scratch, IKE_MESSAGE_MAX);
    auth_request_encode(&request, &writer, &first);
    int r = writer_finish(&writer, &payloads);
    return r < 0 ? r : task_seal(&auth->task, IKE_AUTH, first, payloads);
}

static int auth_float(Task *task, const TreReply *reply)
{
    IkeSa *sa = task->sa;

    Endpoint remote = *transport_remote(sa->transport);

    endpoint_set_port(&remote, (uint16_t)sa->config->nat_t_port);
    int r = transport_float(sa->transport, reply->socket, &remote);
    /* Here, as the kernel's list passes while the TPM signs, and MOBIKE needs this socket. */
    if (r == 0 && sa->config->mobike)
        mobike_own_addresses(sa, &sa->own);
    /* Where encapsulation was feigned there may be a NAT that we do not know of. */
    if (r == 0 && (sa->nat.here || sa->identity.needs_udp))
        r = transport_keep_alive(sa->transport, sa->config->keepalive);
    return r < 0 ? r : auth_go_on((AuthTask *)task);
}

static int auth_take_spi(Task *task, const TreReply *reply)
{
    AuthTask *auth = (AuthTask *)task;
    IkeSa *sa = task->sa;

    if (reply->spi_in == 0)
        return -EPROTO;
    child_offer_init(&auth->offer, sa->config, reply->spi_in);
    memcpy(auth->offer.wanted, sa->wanted, sizeof(auth->offer.wanted));
    auth->offer.n_wanted = sa->n_wanted;
    /* Where encapsulation was feigned there may be a NAT that we do not know of. */
    auth->offer.nat = transport_remote(sa->transport)->any.sa_family == AF_INET &&
                      (sa->nat.here || sa->nat.there || sa->identity.needs_udp);
    if (!sa->identity.stronger_child &&
        !proposals_limit_key(&auth->offer.sa, proposals_suite_key(sa->suite))) {
        reason_set(
            &sa->reason, 0,
            "each of [child] proposals has a cipher that is stronger than the IKE SA's (%s): "
            "propose a stronger one in [ike] and have the SeGW take it, or set stronger-child "
            "= yes in [data-plane] of tred.conf",
            sa->suite);
        ike_sa_end(sa, IKE_SA_FAILED);
        return 0;
    }
    return auth_go_on(auth);
}

static int auth_signed(Task *task, const TreReply *reply)
{
    AuthTask *auth = (AuthTask *)task;
    const Bytes id = reply->signed_.id_data, data = reply->signed_.auth_data;

    if (id.size == 0 || id.size > sizeof(auth->id) || data.size == 0 ||
        data.size > sizeof(auth->auth))
        return -EMSGSIZE;
    auth->id_type = reply->signed_.id_type;
    auth->auth_method = reply->signed_.auth_method;
    auth->id_size = id.size;
    auth->auth_size = data.size;
    memcpy(auth->id, id.data, id.size);
    memcpy(auth->auth, data.data, data.size);
    return auth_go_on(auth);
}

static void auth_sent(Task *task)
{
    static const char *const requests[] = {[REQUEST_IPV4] = ", CFG_REQUEST IPv4",
                                           [REQUEST_IPV6] = ", CFG_REQUEST IPv6",
                                           [REQUEST_BOTH] = ", CFG_REQUEST IPv4 and IPv6",
                                           [REQUEST_NONE] = ""};
    IkeSa *sa = task->sa;
    size_t count = sa->tasks.request.count;

    steps_log(&sa->steps, 3, "IKE_AUTH request", STEP_HENB_TO_SEGW,
              "%s, CERT x%zu, CERTREQ x%zu%s%s, %zu datagram%s", ((AuthTask *)task)->scheme,
              sa->identity.n_certificates, anchor_hashes(sa).size / TRE_HASH_SIZE,
              requests[sa->config->request_address], sa->initial_contact ? ", INITIAL_CONTACT" : "",
              count, count == 1 ? "" : "s");
}

static void log_response(const AuthTask *auth, const AuthResponse *response)
{
    const ChildAnswer *child = &auth->answer;
    Steps *steps = &auth->task.sa->steps;
    const char *scheme = auth_scheme_name(response->auth.method, response->auth.data);
    char esp[ESP_SUITE_NAME_SIZE], addresses[CHILD_ADDRESSES_TEXT_SIZE];

    if (!log_is_on(LOG_INFO))
        return;
    steps_log(steps, 4, "SeGW's check of us", STEP_AT_SEGW, "AUTH and CERT of %s accepted",
              steps->henb);
    if (child->verdict != CHILD_GRANTED) {
        steps_log(steps, 5, "IKE_AUTH response", STEP_SEGW_TO_HENB,
                  "%s, CERT x%zu, no Child SA: %s", scheme, response->n_certificates,
                  child->verdict == CHILD_REFUSED ? ike_notify_name(child->error) : child->why);
        return;
    }
    esp_choice_name(&child->esp, esp);
    steps_log(steps, 5, "IKE_AUTH response", STEP_SEGW_TO_HENB,
              "%s, CERT x%zu, ESP %s, CFG_REPLY %s", scheme, response->n_certificates, esp,
              child->n_addresses == 0
                  ? "none"
                  : inner_addresses_text(child->addresses, child->n_addresses, true, addresses));
}

/* One line for all of a response that is passed over, as what it says is then not what is done. */
static void log_skipped(const IkeSa *sa, const IkePayloads *payloads, const AuthResponse *response,
                        const ChildSkipped *child)
{
    const struct {
        size_t count;
        const char *what;
    } parts[] = {
        {response->n_other, "CERT payloads that are neither X.509 certificates nor OCSP responses"},
        {payloads->n_skipped, "payloads"},
        {child->selectors, "traffic selectors"},
        {child->addresses, "addresses"},
        {child->dns, "DNS servers"},
        {child->attributes, "configuration attributes"},
    };
    char list[SKIPPED_SIZE] = "";
    size_t n = 0;

    for (size_t i = 0; i < ELEMENTS(parts) && n < sizeof(list); i++) {
        if (parts[i].count > 0) {
            n += (size_t)snprintf(list + n, sizeof(list) - n, "%s%zu %s", n > 0 ? ", " : "",
                                  parts[i].count, parts[i].what);
        }
    }
    if (n > 0) {
        report_line(sa->config, LOG_NOTICE,
                    "passed over in the SeGW's IKE_AUTH response, as beyond what is needed: %s",
                    list);
    }
}

/* The SeGW has turned us down, so that it has no IKE SA that it would take a Delete for. */
static int auth_refused(const AuthTask *auth, uint16_t error)
{
    IkeSa *sa = auth->task.sa;
    bool classic = error == IKE_NOTIFY_AUTHENTICATION_FAILED &&
                   auth->auth_method != IKE_AUTH_DIGITAL_SIGNATURE;
    const char *hashes = sa->segw_hashes ? "no hash that our key signs with" : "no hashes";

    if (classic) {
        reason_set(
            &sa->reason, 0,
            "the SeGW refused IKE_AUTH with %s (%u): %s. Check its signature schemes, too: it "
            "announced %s (RFC 7427 4), so that our AUTH was made by method %u (%s)",
            ike_notify_name(error), error, advice_for(error), hashes, auth->auth_method,
            ike_auth_method_name(auth->auth_method));
    } else {
        reason_set(&sa->reason, 0, "the SeGW refused IKE_AUTH with %s (%u): %s",
                   ike_notify_name(error), error, advice_for(error));
    }
    ike_sa_end(sa, IKE_SA_FAILED);
    return 0;
}

/* It can't be used, and so tred refuses its sender, who takes us for established: it is told then
 * (RFC 7296 2.21.2). */
static int auth_unfit(AuthTask *auth, uint16_t refuse_with, uint8_t refuse_type)
{
    IkeSa *sa = auth->task.sa;

    auth->unfit = true;
    sa->refuse_with = refuse_with;
    sa->refuse_type = refuse_type;
    return 0;
}

static int auth_unreadable(AuthTask *auth, const IkeFault *fault)
{
    bool critical = fault->code == IKEWIRE_E_CRITICAL;

    reason_set(&auth->task.sa->reason, 0,
               "the SeGW's IKE_AUTH response does not parse (%s in %s): see its log",
               ike_fault_text(fault->code), ike_payload_name(fault->payload_type));
    return auth_unfit(
        auth, critical ? IKE_NOTIFY_UNSUPPORTED_CRITICAL_PAYLOAD : IKE_NOTIFY_INVALID_SYNTAX,
        fault->payload_type);
}

static int auth_answered(Task *task, const TreReply *reply)
{
    AuthTask *auth = (AuthTask *)task;
    IkeSa *sa = task->sa;
    AuthResponse response;
    IkePayloads payloads;
    IkeFault fault = {0};

    ike_sa_found_authentic(sa);
    if (ike_payloads_decode(reply->opened.first, reply->opened.payloads, &payloads, &fault) != 0)
        return auth_unreadable(auth, &fault);
    auth_response_judge(&payloads, &response);
    if (response.verdict == AUTH_REFUSED)
        return auth_refused(auth, response.error);
    if (response.verdict == AUTH_MALFORMED) {
        reason_set(&sa->reason, 0, "the SeGW's IKE_AUTH response has %s", response.why);
        return auth_unfit(auth, IKE_NOTIFY_AUTHENTICATION_FAILED, 0);
    }

    /* What it grants is read now, and believed once the peer is verified. */
    sa->mobike = sa->config->mobike && sa->nat.supported && response.mobike;
    addresses_fill(&sa->segws, transport_remote(sa->transport), &response.addresses);
    auth->redirects = response.redirects;
    auth->redirect = response.redirect;
    auth->has_lifetime = response.has_lifetime;
    auth->lifetime = response.lifetime;
    child_answer_judge(&auth->offer, &payloads, &auth->answer);
    log_response(auth, &response);
    log_skipped(sa, &payloads, &response, &auth->answer.skipped);
    return 0;
}

static int auth_peer_refused(Task *task, const TreReply *reply)
{
    IkeSa *sa = task->sa;

    if (!((AuthTask *)task)->unfit) /* else tred has refused it for what was said already */
        reason_set(&sa->reason, 0, "the SeGW did not verify (%s): %s", reply->error, reply->text);
    steps_log(&sa->steps, 6, "TrE's check of the SeGW", STEP_AT_HENB, "refused: %s", reply->error);
    sa->end = IKE_SA_FAILED;
    tasks_drop_waiting(sa);
    int r = task_add(sa, &refuse_task);
    return r < 0 ? r : task_done(task);
}

static void log_established(const IkeSa *sa)
{
    const char *henb = sa->steps.henb, *segw = sa->steps.segw;
    char esp[ESP_SUITE_NAME_SIZE], addresses[CHILD_ADDRESSES_TEXT_SIZE],
        dns[CHILD_ADDRESSES_TEXT_SIZE];
    char ts[SELECTORS_TEXT_SIZE];
    LogFields fields = {.message_id = MESSAGE_ESTABLISHED, .peer = segw, .spi = sa->spi_i};

    if (!sa->children) {
        report_line(sa->config, LOG_NOTICE,
                    "established  %s <-> %s  IKE %s, no Child SA  (%.1f ms)", henb, segw, sa->suite,
                    sa->established_ms);
        fields.message_id = MESSAGE_NO_CHILD;
        fields.error = sa->refusal.text;
        report_fields(sa->config, LOG_WARNING, &fields, "no traffic can pass: %s",
                      sa->refusal.text);
        return;
    }
    if (!log_is_on(LOG_NOTICE))
        return;
    const ChildAnswer *child = &sa->children->answer;
    esp_choice_name(&child->esp, esp);
    report_fields(sa->config, LOG_NOTICE, &fields,
                  "established  %s <-> %s  IKE %s, ESP %s%s%s%s%s, to %s  (%.1f ms)", henb, segw,
                  sa->suite, esp, child->n_addresses > 0 ? ", address " : "",
                  inner_addresses_text(child->addresses, child->n_addresses, true, addresses),
                  child->n_dns > 0 ? ", DNS " : "",
                  inner_addresses_text(child->dns, child->n_dns, false, dns),
                  selectors_text(&child->ts_r, ts), sa->established_ms);
}

static int auth_established(Task *task)
{
    IkeSa *sa = task->sa;

    if (((AuthTask *)task)->has_lifetime)
        ike_sa_limit(sa, IKE_SA_LIMIT_SEGW, ((AuthTask *)task)->lifetime);
    int r = ike_sa_establish(sa);
    if (r < 0)
        return r;
    log_established(sa);
    sa->handlers->established(sa->userdata, sa);
    return task_done(task);
}

/* The SeGW takes us for established, and is told that we are not (RFC 7296 2.7, 2.9). */
static int auth_take_leave(Task *task)
{
    int r = ike_sa_delete(task->sa, IKE_SA_FAILED);
    return r < 0 ? r : task_done(task);
}

/* Who sends us elsewhere is the SeGW: it is verified (RFC 5685 6). */
static int auth_redirected(Task *task)
{
    IkeSa *sa = task->sa;
    const bool follows = ike_sa_follow(sa, &((AuthTask *)task)->redirect);
    int r = ike_sa_delete(sa, follows ? IKE_SA_STOPPED : IKE_SA_FAILED);

    return r < 0 ? r : task_done(task);
}

/* tred is at it already, or has refused it. */
static int auth_await_child(Task *task)
{
    AuthTask *auth = (AuthTask *)task;
    const char *lacking = child_answer_lacks(&auth->offer, &auth->answer);

    if (!lacking)
        return 0;
    reason_set(&task->sa->reason, 0,
               "the SeGW assigned no %s, though its IKE_AUTH response grants a Child SA: check "
               "its address pool and [child] request-address",
               lacking);
    return auth_take_leave(task);
}

static int auth_verified(Task *task, const TreReply *reply)
{
    const ChildAnswer *answer = &((AuthTask *)task)->answer;
    IkeSa *sa = task->sa;

    (void)snprintf(sa->peer_identity, sizeof(sa->peer_identity), "%s", reply->peer_identity);
    steps_log(&sa->steps, 6, "TrE's check of the SeGW", STEP_AT_HENB,
              "CERT and AUTH of %s verified with the stored root", sa->peer_identity);
    if (((AuthTask *)task)->unfit)
        return auth_take_leave(task);
    if (((AuthTask *)task)->redirects)
        return auth_redirected(task);
    switch (answer->verdict) {
    case CHILD_REFUSED: /* the IKE SA stays up without a child (RFC 7296 1.2) */
        reason_set(&sa->refusal, 0, "the SeGW refused the Child SA with %s (%u): %s",
                   ike_notify_name(answer->error), answer->error, advice_for(answer->error));
        return auth_established(task);
    case CHILD_INVALID:
        reason_set(&sa->reason, 0, "the SeGW's IKE_AUTH response has %s: see its configuration",
                   answer->why);
        return auth_take_leave(task);
    case CHILD_GRANTED:
    default:
        return auth_await_child(task);
    }
}

static int auth_child_added(Task *task, const TreReply *reply)
{
    AuthTask *auth = (AuthTask *)task;

    if (!child_sas_add(&task->sa->children, auth->offer.spi_in, &auth->answer))
        return -ENOMEM;
    task->sa->assigned = auth->answer;
    (void)snprintf(task->sa->interface, sizeof(task->sa->interface), "%s", reply->interface);
    if (auth->answer.liveness > 0)
        liveness_set_silence(task->sa, auth->answer.liveness);
    if (reply->interface[0] != 0)
        report_line(task->sa->config, LOG_INFO, "traffic goes through %s", reply->interface);
    return auth_established(task);
}

static int auth_child_refused(Task *task, const TreReply *reply)
{
    reason_set(&task->sa->reason, 0, "tred did not take the Child SA (%s): %s", reply->error,
               reply->text);
    return auth_take_leave(task);
}

static void auth_unanswered(Task *task)
{
    ike_sa_explain_silence_to_auth(task->sa);
    ike_sa_end(task->sa, IKE_SA_FAILED);
}

const TaskKind auth_task = {
    .name = "IKE_AUTH request",
    .size = sizeof(AuthTask),
    .tries_max = UINT_MAX,
    .begin = auth_begin,
    .done = {[TRE_OPEN_TRANSPORT] = auth_float,
             [TRE_ALLOCATE_SPI] = auth_take_spi,
             [TRE_SIGN_AUTH] = auth_signed,
             [TRE_VERIFY_PEER] = auth_verified,
             [TRE_ADD_CHILD] = auth_child_added},
    .refused = {[TRE_VERIFY_PEER] = auth_peer_refused, [TRE_ADD_CHILD] = auth_child_refused},
    .sent = auth_sent,
    .along = auth_along,
    .response = auth_answered,
    .unanswered = auth_unanswered,
};
