/* A tred and a SeGW that do as they are told. */
#include "stage.h"

#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum { SPI_I = STAGE_SPI_I, TURNS_MAX = 2000, TURN_USEC = 10000, SETTLED_TURNS = 5 };

struct StageReply {
    StageReply *next;
    TreReply reply;
    TreHandler handler;
    void *userdata;
    char path[32];
    uint8_t octets[2][4096]; /* what the views in `reply` point to */
};

/* ---- tred ---- */

/* "Sealed": the header, an SK payload's header, the type of the first payload, and the payloads in
 * clear. */
static Bytes seal(uint8_t *octets, size_t size, const IkeHeader *header, uint8_t first,
                  Bytes payloads)
{
    IkeChain chain;
    Writer writer;
    Bytes sealed;

    writer_init(&writer, octets, size);
    ike_message_begin(&writer, header, &chain);
    ike_chain_open(&chain, IKE_PAYLOAD_SK, false);
    writer_u8(&writer, first);
    writer_bytes(&writer, payloads);
    ike_chain_close(&chain);
    ike_message_end(&chain);
    assert_int_equal(writer_finish(&writer, &sealed), 0);
    return sealed;
}

static void unseal(Bytes datagram, IkeHeader *header, uint8_t *first, Bytes *payloads)
{
    Reader reader;

    assert_int_equal(ike_header_decode(datagram, header), 0);
    reader_init(&reader, datagram);
    assert_int_equal(reader_skip(&reader, IKE_HEADER_SIZE + IKE_PAYLOAD_HEADER_SIZE), 0);
    assert_int_equal(reader_u8(&reader, first), 0);
    *payloads = reader_rest(&reader);
}

static void fill_describe(const Stage *stage, TreReply *reply)
{
    static const uint8_t certificate[] = {0x30, 0}, hash[TRE_HASH_SIZE] = {1};

    reply->description = (TreDescription){.state = "ready",
                                          .reason = "",
                                          .identity = "henb.example",
                                          .segw_identity = "segw.example",
                                          .data_plane = stage->data_plane,
                                          .stronger_child = stage->stronger_child,
                                          .n_certificates = 1,
                                          .certificates = {BYTES_OF(certificate)},
                                          .n_anchors = 1,
                                          .anchors = {BYTES_OF(hash)}};
}

/* Of a SeGW with a section of its own. */
static void fill_segw(const Stage *stage, TreReply *reply)
{
    if (stage->segw_anchors.size == 0)
        return;
    reply->begun.segw_identity = "segw.example";
    for (size_t at = 0; at < stage->segw_anchors.size; at += TRE_HASH_SIZE) {
        reply->begun.anchors[reply->begun.n_anchors++] =
            bytes_slice(stage->segw_anchors, at, at + TRE_HASH_SIZE);
    }
}

/* NULL for a call that is not for one. */
static StageExchange *exchange_of(Stage *stage, const TreCall *call)
{
    unsigned number = 0;

    if (!call->exchange)
        return NULL;
    assert_int_equal(sscanf(call->exchange, "/exchange/%u", &number), 1);
    assert_true(number >= 1 && number <= stage->n_exchanges);
    return &stage->exchanges[number - 1];
}

static const char *exchange_new(Stage *stage, StageReply *entry)
{
    assert_true(stage->n_exchanges < STAGE_EXCHANGES_MAX);
    stage->exchanges[stage->n_exchanges++] = (StageExchange){.spi_i = SPI_I, .next_request_id = 1};
    (void)snprintf(entry->path, sizeof(entry->path), "/exchange/%zu", stage->n_exchanges);
    return entry->path;
}

/* What an answer of ours to the peer's CREATE_CHILD_SA makes of it, in standby. */
static void note_promise(StageExchange *exchange, const TreCall *call)
{
    const IkePayload *payload;
    IkePayloads payloads;
    IkeSaPayload sa;

    if (!call->protect.response || call->protect.exchange_type != IKE_CREATE_CHILD_SA)
        return;
    assert_int_equal(
        ike_payloads_decode(call->protect.first, call->protect.payloads, &payloads, NULL), 0);
    payload = ike_payloads_find(&payloads, IKE_PAYLOAD_SA);
    exchange->peer_child = 0;
    if (!payload)
        return;
    assert_int_equal(ike_sa_decode(payload->body, &sa), 0);
    assert_int_equal(sa.n_proposals, 1);
    exchange->peer_child = (uint32_t)sa.proposals[0].spi;
}

/* What CREATE_CHILD_SA of the peer's says of a new IKE SA, and of a Child SA that is rekeyed. */
static void note_create(StageExchange *exchange, const IkeHeader *header, uint8_t first,
                        Bytes octets)
{
    const IkePayload *payload;
    IkePayloads payloads;
    IkeSaPayload sa;
    IkeNotify notify;

    if (header->exchange_type != IKE_CREATE_CHILD_SA ||
        ike_payloads_decode(first, octets, &payloads, NULL) != 0)
        return;
    if (!(header->flags & IKE_FLAG_RESPONSE))
        exchange->peer_rekeys = ike_payloads_notify(&payloads, IKE_NOTIFY_REKEY_SA, &notify);
    payload = ike_payloads_find(&payloads, IKE_PAYLOAD_SA);
    exchange->refused_create = header->flags & IKE_FLAG_RESPONSE && !payload;
    exchange->peer_spi = 0;
    if (payload && ike_sa_decode(payload->body, &sa) == 0 && sa.proposals[0].spi_size == 8)
        exchange->peer_spi = sa.proposals[0].spi;
}

static void fill_protect(Stage *stage, const TreCall *call, StageReply *entry)
{
    StageExchange *exchange = exchange_of(stage, call);
    bool response = call->protect.response;
    IkeHeader header = {.spi_i = exchange->spi_i,
                        .spi_r = exchange->spi_r,
                        .exchange_type = call->protect.exchange_type,
                        .flags = (exchange->responder ? 0 : IKE_FLAG_INITIATOR) |
                                 (response ? IKE_FLAG_RESPONSE : 0)};

    assert_false(exchange->closed);
    note_promise(exchange, call);
    header.message_id = response ? exchange->peer_request_id : exchange->next_request_id++;
    entry->reply.sealed.message_id = header.message_id;
    entry->reply.sealed.count = 1;
    entry->reply.sealed.datagrams[0] = seal(entry->octets[0], sizeof(entry->octets[0]), &header,
                                            call->protect.first, call->protect.payloads);
}

static void fill_unprotect(Stage *stage, const TreCall *call, StageReply *entry)
{
    IkeHeader header;

    assert_true(call->datagram.size <= sizeof(entry->octets[0]));
    memcpy(entry->octets[0], call->datagram.data, call->datagram.size);
    unseal((Bytes){entry->octets[0], call->datagram.size}, &header, &entry->reply.opened.first,
           &entry->reply.opened.payloads);
    note_create(exchange_of(stage, call), &header, entry->reply.opened.first,
                entry->reply.opened.payloads);
    entry->reply.opened.complete = true;
    entry->reply.opened.exchange_type = header.exchange_type;
    entry->reply.opened.response = header.flags & IKE_FLAG_RESPONSE;
    entry->reply.opened.message_id = header.message_id;
    if (!entry->reply.opened.response)
        exchange_of(stage, call)->peer_request_id = header.message_id;
}

static StageChild *child_of(Stage *stage, uint32_t spi_in)
{
    for (size_t i = 0; i < stage->n_children; i++) {
        if (stage->children[i].spi_in == spi_in && !stage->children[i].removed)
            return &stage->children[i];
    }
    return NULL;
}

size_t stage_children(const Stage *stage)
{
    size_t count = 0;

    for (size_t i = 0; i < stage->n_children; i++)
        count += !stage->children[i].removed;
    return count;
}

uint64_t stage_dscps(const Stage *stage, uint32_t spi_in)
{
    for (size_t i = 0; i < stage->n_children; i++) {
        if (stage->children[i].spi_in == spi_in)
            return stage->children[i].dscps;
    }
    fail_msg("there is no Child SA %08x", spi_in);
    return 0;
}

static void set_dscps(Stage *stage, const TreCall *call)
{
    const uint32_t index = call->sends.spi_in - STAGE_SPI_IN;

    assert_true(index < stage->n_spis && index < STAGE_CHILDREN_MAX);
    stage->dscps[index] = call->sends.dscps;
}

static void add_child(Stage *stage, const TreCall *call)
{
    const StageExchange *exchange = exchange_of(stage, call);

    assert_true(stage->n_children < STAGE_CHILDREN_MAX);
    assert_null(child_of(stage, call->spi_in));
    stage->children[stage->n_children++] =
        (StageChild){.spi_in = call->spi_in,
                     .exchange = (size_t)(exchange - stage->exchanges),
                     .dscps = stage->dscps[call->spi_in - STAGE_SPI_IN]};
    if (exchange->peer_child != call->spi_in || !exchange->peer_rekeys)
        stage->sending = call->spi_in;
}

static void use_child(Stage *stage, const TreCall *call)
{
    const StageChild *child = child_of(stage, call->spi_in);

    assert_non_null(child);
    assert_ptr_equal(&stage->exchanges[child->exchange], exchange_of(stage, call));
    stage->sending = call->spi_in;
}

static void remove_child(Stage *stage, const TreCall *call)
{
    StageChild *child = child_of(stage, call->spi_in);

    if (!child) /* an SPI that was allocated for nothing */
        return;
    assert_ptr_equal(&stage->exchanges[child->exchange], exchange_of(stage, call));
    child->removed = true;
    if (stage->sending == call->spi_in)
        stage->sending = 0;
    stage->was_mute = stage->was_mute || (stage->sending == 0 && stage_children(stage) > 0);
}

static void inherit(Stage *stage, const TreCall *call)
{
    const StageExchange *heir = exchange_of(stage, call);

    for (size_t i = 0; i < stage->n_children; i++)
        stage->children[i].exchange = (size_t)(heir - stage->exchanges);
}

/* The new IKE SA of the last CREATE_CHILD_SA. */
static const char *ike_sa_new_of(Stage *stage, const TreCall *call, StageReply *entry)
{
    const StageExchange *from = exchange_of(stage, call);
    const char *path = exchange_new(stage, entry);
    StageExchange *made = &stage->exchanges[stage->n_exchanges - 1];

    made->verified = made->agreed = made->opened = true;
    made->next_request_id = 0;
    made->responder = from->peer_child == (uint32_t)call->spi && from->peer_child != 0;
    made->spi_i = made->responder ? from->peer_spi : call->spi;
    made->spi_r = made->responder ? call->spi : from->peer_spi;
    return path;
}

static int open_port_at(const char *address, uint16_t *ret_port)
{
    Endpoint endpoint = endpoint_of(address, 0);
    socklen_t size = sizeof(endpoint);
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    assert_int_equal(bind(fd, &endpoint.any, endpoint_size(&endpoint)), 0);
    assert_int_equal(getsockname(fd, &endpoint.any, &size), 0);
    *ret_port = endpoint_port(&endpoint);
    return fd;
}

static int open_port(uint16_t *ret_port)
{
    return open_port_at("127.0.0.1", ret_port);
}

static int open_shared_socket(Stage *stage)
{
    uint16_t port;

    if (stage->shared_socket >= 0)
        (void)close(stage->shared_socket);
    stage->shared_socket = open_port_at(stage->shared_address, &port);
    return stage->shared_socket;
}

/* NULL, or the error that tred has for a call. */
static const char *refusal(Stage *stage, const TreCall *call)
{
    const StageExchange *exchange = exchange_of(stage, call);
    const TreMethod method = call->method;

    switch (method) {
    case TRE_FORK:
    case TRE_OPEN_TRANSPORT:
    case TRE_ALLOCATE_SPI:
    case TRE_SIGN_AUTH:
        if (!exchange->agreed)
            return "WrongState";
        break;
    case TRE_VERIFY_PEER:
        if (!exchange->opened)
            return "WrongState";
        break;
    case TRE_ADD_CHILD:
        if (!exchange->verified)
            return "WrongState";
        if (exchange->refused_create)
            return "NoSuchChild";
        break;
    case TRE_ADD_IKE_SA:
        if (exchange->peer_spi == 0)
            return "NoSuchIkeSa";
        break;
    default:
        break;
    }
    const char *error = stage->refuse[method];
    if (error && stage->refusals[method] > 0 && --stage->refusals[method] == 0)
        stage->refuse[method] = NULL;
    return error;
}

static void take_step(Stage *stage, const TreCall *call)
{
    StageExchange *exchange = exchange_of(stage, call);
    IkeHeader header;

    stage->done[call->method]++;
    if (call->method == TRE_AGREE) {
        exchange->agreed = true;
        assert_int_equal(ike_header_decode(call->agree.response, &header), 0);
        exchange->spi_r = header.spi_r;
    }
    if (call->method == TRE_UNPROTECT)
        exchange->opened = true;
    if (call->method == TRE_VERIFY_PEER)
        exchange->verified = true;
    if (call->method == TRE_SET_DSCPS)
        set_dscps(stage, call);
    if (call->method == TRE_ADD_CHILD)
        add_child(stage, call);
}

static void fill(Stage *stage, const TreCall *call, StageReply *entry)
{
    TreReply *reply = &entry->reply;
    Bytes nonce = {entry->octets[0], 32}, ke = {entry->octets[1], 64};

    switch (call->method) {
    case TRE_DESCRIBE:
        fill_describe(stage, reply);
        break;
    case TRE_BEGIN:
        reply->begun.exchange = exchange_new(stage, entry);
        reply->begun.spi_i = SPI_I;
        reply->begun.nonce_i = nonce;
        reply->begun.ke_i = ke;
        fill_segw(stage, reply);
        break;
    case TRE_FORK:
        reply->begun.exchange = exchange_new(stage, entry);
        break;
    case TRE_CHOOSE_GROUP:
        reply->ke_i = ke;
        break;
    case TRE_AGREE:
        assert_true(call->agree.request.size <= sizeof(stage->agreed_request));
        memcpy(stage->agreed_request, call->agree.request.data, call->agree.request.size);
        stage->agreed_request_size = call->agree.request.size;
        reply->suite = stage->suite;
        break;
    case TRE_OPEN_TRANSPORT:
    case TRE_MOVE_TRANSPORT:
        stage->nat = call->remote.nat;
        reply->socket = open_shared_socket(stage);
        break;
    case TRE_ALLOCATE_SPI:
        reply->spi_in = STAGE_SPI_IN + stage->n_spis++;
        break;
    case TRE_PREPARE_CREATE_CHILD:
        memset(entry->octets[0], stage->nonce, STAGE_NONCE_SIZE);
        stage->prepared = call->group;
        reply->prepared.spi = 0xe0 + stage->n_ike_spis++;
        reply->prepared.nonce = (Bytes){entry->octets[0], STAGE_NONCE_SIZE};
        if (call->group != IKE_GROUP_NONE)
            reply->prepared.ke = ke;
        break;
    case TRE_ADD_IKE_SA:
        reply->exchange = ike_sa_new_of(stage, call, entry);
        break;
    case TRE_INHERIT_CHILDREN:
        inherit(stage, call);
        break;
    case TRE_SIGN_AUTH:
        reply->signed_.id_type = IKE_ID_FQDN;
        reply->signed_.id_data = (Bytes){(const uint8_t *)"henb.example", 12};
        reply->signed_.auth_method = stage->auth_method;
        reply->signed_.auth_data = ke;
        break;
    case TRE_PROTECT:
        fill_protect(stage, call, entry);
        break;
    case TRE_UNPROTECT:
        fill_unprotect(stage, call, entry);
        break;
    case TRE_VERIFY_PEER:
        reply->peer_identity = "segw.example";
        break;
    case TRE_ADD_CHILD:
        reply->interface = "";
        break;
    case TRE_TRAFFIC:
        reply->traffic.children = 1;
        reply->traffic.packets_in = stage->packets_in += stage->counting;
        reply->traffic.packets_out = ++stage->packets_out;
        reply->traffic.idle_in_ms = stage->idle_in_ms;
        reply->traffic.idle_out_ms = stage->idle_out_ms;
        break;
    case TRE_REMOVE_CHILD:
    case TRE_CLOSE:
    case TRE_METHODS:
    default:
        break;
    }
}

static int tre_stage_call(Tre *tre, const TreCall *call, TreHandler handler, void *userdata)
{
    Stage *stage = (Stage *)tre;
    StageReply **place = &stage->replies;

    assert_true(stage->n_calls < STAGE_CALLS_MAX);
    stage->calls[stage->n_calls++] = call->method;
    if (call->method == TRE_USE_CHILD)
        use_child(stage, call);
    if (call->method == TRE_REMOVE_CHILD)
        remove_child(stage, call);
    if (call->method == TRE_CLOSE)
        exchange_of(stage, call)->closed = true;
    if (!handler || stage->mute[call->method])
        return 0;
    const char *error = refusal(stage, call);

    StageReply *entry = calloc(1, sizeof(*entry));
    assert_non_null(entry);
    entry->reply = (TreReply){.method = call->method, .error = "", .text = ""};
    entry->handler = handler;
    entry->userdata = userdata;
    if (stage->gone) {
        entry->reply.outcome = TRE_GONE;
        entry->reply.text = "tred is gone";
    } else if (error) {
        entry->reply.outcome = TRE_REFUSED;
        entry->reply.error = error;
        entry->reply.text = "refused by the stage";
    } else {
        take_step(stage, call);
        fill(stage, call, entry);
    }
    while (*place)
        place = &(*place)->next;
    *place = entry;
    return sd_event_source_set_enabled(stage->deliver, SD_EVENT_ON);
}

static void tre_stage_forget(Tre *tre, const void *userdata)
{
    Stage *stage = (Stage *)tre;

    for (StageReply *reply = stage->replies; reply; reply = reply->next) {
        if (reply->userdata == userdata)
            reply->handler = NULL;
    }
}

/* The oldest reply that is not to be late, or else the oldest, of those that are not held; NULL:
 * there is none. */
static StageReply **next_reply(Stage *stage)
{
    StageReply **late = NULL;

    for (StageReply **place = &stage->replies; *place; place = &(*place)->next) {
        const TreMethod method = (*place)->reply.method;
        if (stage->held[method])
            continue;
        if (!stage->late[method])
            return place;
        late = late ? late : place;
    }
    return late;
}

void stage_release(Stage *stage, TreMethod method)
{
    stage->held[method] = false;
    assert_true(sd_event_source_set_enabled(stage->deliver, SD_EVENT_ON) >= 0);
}

static int on_deliver(sd_event_source *source, void *userdata)
{
    Stage *stage = userdata;
    StageReply **place = next_reply(stage);

    if (!place)
        return sd_event_source_set_enabled(source, SD_EVENT_OFF);
    StageReply *reply = *place;
    *place = reply->next;
    if (reply->handler)
        reply->handler(reply->userdata, &reply->reply);
    free(reply);
    return 0;
}

/* ---- the SeGW ---- */

void stage_send(Stage *stage, Bytes datagram)
{
    uint8_t octets[4 + 8192] = {0};
    size_t marker = stage->henb_floated ? 4 : 0;

    assert_true(datagram.size + 4 <= sizeof(octets));
    memcpy(octets + marker, datagram.data, datagram.size);
    assert_int_equal(sendto(stage->henb_floated ? stage->nat_fd : stage->fd, octets,
                            marker + datagram.size, 0, &stage->henb.any,
                            endpoint_size(&stage->henb)),
                     marker + datagram.size);
}

void stage_unseal(Bytes datagram, IkeHeader *header, IkePayloads *ret)
{
    uint8_t first;
    Bytes octets;

    unseal(datagram, header, &first, &octets);
    assert_int_equal(ike_payloads_decode(first, octets, ret, NULL), 0);
}

void stage_send_sealed(Stage *stage, uint8_t exchange_type, bool response, uint32_t message_id,
                       const Draft *draft)
{
    stage_send_sealed_on(stage, SPI_I, TEST_SPI_R, false, exchange_type, response, message_id,
                         draft);
}

void stage_send_sealed_on(Stage *stage, uint64_t spi_i, uint64_t spi_r, bool initiator,
                          uint8_t exchange_type, bool response, uint32_t message_id,
                          const Draft *draft)
{
    IkeHeader header = {.spi_i = spi_i,
                        .spi_r = spi_r,
                        .exchange_type = exchange_type,
                        .flags = (initiator ? IKE_FLAG_INITIATOR : 0) |
                                 (response ? IKE_FLAG_RESPONSE : 0),
                        .message_id = message_id};
    uint8_t octets[4096];

    stage_send(stage,
               seal(octets, sizeof(octets), &header, draft->chain.first, draft_octets(draft)));
}

static void grant_child(const Stage *stage, Draft *draft)
{
    IkeSaPayload sa = {.n_proposals = 1, .proposals = {stage->esp_offer->proposals[0]}};
    IkeTs ts = {.n_selectors = 1,
                .selectors = {{IKE_TS_IPV4_ADDR_RANGE, 0, 0, 65535, {10, 0, 0, 1}, {10, 0, 0, 1}}}};
    const uint32_t liveness = htonl(stage->liveness);
    uint8_t seconds[sizeof(liveness)];
    IkeCp cp = {IKE_CFG_REPLY,
                stage->liveness > 0 ? 2 : 1,
                {{IKE_CFG_INTERNAL_IP4_ADDRESS, {stage->address, 4}},
                 {IKE_CFG_TIMEOUT_PERIOD_FOR_LIVENESS_CHECK, BYTES_OF(seconds)}}};

    memcpy(seconds, &liveness, sizeof(seconds));
    if (stage->wide_selectors)
        ts.selectors[0].type = IKE_TS_IPV6_ADDR_RANGE;
    if (!stage->no_configuration)
        ike_chain_add_cp(&draft->chain, &cp);
    sa.proposals[0].spi_size = 4;
    sa.proposals[0].spi = STAGE_SPI_OUT;
    ike_chain_add_sa(&draft->chain, &sa);
    ike_chain_add_ts(&draft->chain, IKE_PAYLOAD_TSI, &ts);
    ike_chain_add_ts(&draft->chain, IKE_PAYLOAD_TSR, &ts);
}

static void note_asked(Stage *stage, const IkePayloads *payloads)
{
    const IkePayload *payload = ike_payloads_find(payloads, IKE_PAYLOAD_CP);
    IkeCp cp;

    memset(stage->asked, 0, sizeof(stage->asked));
    stage->asked_nat = false;
    if (!payload)
        return;
    assert_int_equal(ike_cp_decode(payload->body, &cp), 0);
    for (size_t i = 0; i < cp.n_attributes; i++) {
        if (cp.attributes[i].type == IKE_CFG_EXTERNAL_SOURCE_IP4_NAT_INFO)
            stage->asked_nat = true;
        if (cp.attributes[i].type == IKE_CFG_INTERNAL_IP4_ADDRESS &&
            cp.attributes[i].value.size == 4)
            memcpy(stage->asked, cp.attributes[i].value.data, 4);
    }
}

static void answer_auth(Stage *stage, const IkeHeader *header, Bytes datagram)
{
    const uint8_t seconds[] = {0, 0, 0, (uint8_t)stage->lifetime};
    static const uint8_t auth[] = {1, 2, 3};
    IkeId idr = {IKE_ID_FQDN, {(const uint8_t *)"segw.example", 12}};
    IkeHeader again;
    IkePayloads payloads;
    IkeNotify notify;
    Bytes octets;
    uint8_t first;
    Draft draft;

    unseal(datagram, &again, &first, &octets);
    assert_int_equal(ike_payloads_decode(first, octets, &payloads, NULL), 0);
    const IkePayload *sa = ike_payloads_find(&payloads, IKE_PAYLOAD_SA);
    IkeSaPayload proposed;
    assert_non_null(sa);
    assert_int_equal(ike_sa_decode(sa->body, &proposed), 0);
    stage->esp_proposed = proposed.n_proposals;
    stage->saw_initial_contact =
        ike_payloads_notify(&payloads, IKE_NOTIFY_INITIAL_CONTACT, &notify);
    note_asked(stage, &payloads);
    stage->told_addresses = addresses_read(&payloads, &stage->henbs);
    draft_begin(&draft);
    if (stage->auth_error != 0) {
        ike_chain_add_notify(&draft.chain, stage->auth_error, (Bytes){0});
    } else {
        if (stage->more_payload != 0) {
            ike_chain_open(&draft.chain, stage->more_payload, stage->more_critical);
            ike_chain_close(&draft.chain);
        }
        ike_chain_add_id(&draft.chain, IKE_PAYLOAD_IDR, &idr);
        ike_chain_add_auth(&draft.chain, IKE_AUTH_DIGITAL_SIGNATURE, BYTES_OF(auth));
        if (stage->lifetime > 0)
            ike_chain_add_notify(&draft.chain, IKE_NOTIFY_AUTH_LIFETIME, BYTES_OF(seconds));
        if (stage->mobike)
            ike_chain_add_notify(&draft.chain, IKE_NOTIFY_MOBIKE_SUPPORTED, (Bytes){0});
        addresses_write(&stage->others, &draft.chain);
        if (stage->redirect.size > 0) {
            ike_chain_add_notify(&draft.chain, IKE_NOTIFY_REDIRECT, stage->redirect);
        } else if (stage->child_error != 0) {
            ike_chain_add_notify(&draft.chain, stage->child_error, (Bytes){0});
        } else {
            grant_child(stage, &draft);
        }
    }
    stage_send_sealed(stage, IKE_AUTH, true, header->message_id, &draft);
}

/* Says what it sees of a NAT, as told: of the sender's own address, or of none. */
static void answer_update(Stage *stage, const IkeHeader *header, const IkePayloads *request,
                          Draft *draft)
{
    Endpoint segw = {0};
    socklen_t size = sizeof(segw);
    uint8_t source[NAT_HASH_SIZE], destination[NAT_HASH_SIZE] = {0};
    IkeNotify notify;

    stage->updates++;
    assert_int_equal(getsockname(stage->nat_fd, &segw.any, &size), 0);
    nat_hash(header->spi_i, header->spi_r, &stage->henb, source);
    stage->update_fits =
        ike_payloads_notify(request, IKE_NOTIFY_NAT_DETECTION_SOURCE_IP, &notify) &&
        bytes_equal(notify.data, BYTES_OF(source));
    if (stage->update_error != 0) {
        ike_chain_add_notify(&draft->chain, stage->update_error, (Bytes){0});
        return;
    }
    if (!stage->nat_appears)
        memcpy(destination, source, sizeof(destination));
    nat_hash(header->spi_i, header->spi_r, &segw, source);
    ike_chain_add_notify(&draft->chain, IKE_NOTIFY_NAT_DETECTION_SOURCE_IP, BYTES_OF(source));
    ike_chain_add_notify(&draft->chain, IKE_NOTIFY_NAT_DETECTION_DESTINATION_IP,
                         BYTES_OF(destination));
}

static void answer_informational(Stage *stage, const IkeHeader *header, Bytes datagram)
{
    IkeHeader again;
    IkePayloads payloads;
    IkeNotify notify;
    Bytes octets;
    uint8_t first;
    Draft draft;

    unseal(datagram, &again, &first, &octets);
    assert_int_equal(ike_payloads_decode(first, octets, &payloads, NULL), 0);
    if (ike_payloads_find(&payloads, IKE_PAYLOAD_DELETE))
        stage->saw_delete = true;
    stage->told = ike_payloads_error(&payloads, &notify) ? notify.type : 0;
    stage->saw_auth_failed =
        stage->saw_auth_failed || stage->told == IKE_NOTIFY_AUTHENTICATION_FAILED;
    Addresses told;
    if (addresses_read(&payloads, &told)) {
        stage->henbs = told;
        stage->times_told++;
    }
    draft_begin(&draft);
    if (ike_payloads_notify(&payloads, IKE_NOTIFY_UPDATE_SA_ADDRESSES, &notify))
        answer_update(stage, header, &payloads, &draft);
    stage_send_sealed(stage, IKE_INFORMATIONAL, true, header->message_id, &draft);
}

void stage_segw(Stage *stage, Bytes datagram)
{
    IkeHeader header;
    Draft draft;

    assert_int_equal(ike_header_decode(datagram, &header), 0);
    if (header.flags & IKE_FLAG_RESPONSE)
        return;
    if (header.exchange_type != IKE_SA_INIT && header.spi_r != TEST_SPI_R)
        return; /* an IKE SA that only a forger knows of */
    if (header.exchange_type == IKE_SA_INIT && !stage->silent_init) {
        stage_send(stage, draft_init_response(&draft, stage->ike_offer, header.spi_i,
                                              IKE_GROUP_ECP_256, NULL, NULL));
    } else if (header.exchange_type == IKE_AUTH && !stage->silent_auth) {
        answer_auth(stage, &header, datagram);
    } else if (header.exchange_type == IKE_INFORMATIONAL) {
        answer_informational(stage, &header, datagram);
    }
}

static int on_datagram(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
    Stage *stage = userdata;
    uint8_t octets[8192];
    socklen_t size = sizeof(stage->henb);
    size_t marker = fd == stage->nat_fd ? 4 : 0;
    (void)source;
    (void)events;

    ssize_t n = recvfrom(fd, octets, sizeof(octets), MSG_DONTWAIT, &stage->henb.any, &size);
    if (n <= (ssize_t)marker)
        return 0;
    stage->henb_floated = fd == stage->nat_fd;
    stage->received++;
    stage->last_size = (size_t)n - marker;
    assert_true(stage->last_size <= sizeof(stage->last));
    memcpy(stage->last, octets + marker, stage->last_size);
    Bytes datagram = {octets + marker, (size_t)n - marker};
    if (stage->segw) {
        stage->segw(stage, datagram);
    } else {
        stage_segw(stage, datagram);
    }
    return 0;
}

/* ---- the stage ---- */

int stage_setup(Stage *stage)
{
    *stage = (Stage){
        .tre = {tre_stage_call, tre_stage_forget},
        .data_plane = "none",
        .shared_address = "127.0.0.1",
        .suite = "AES_GCM_16_256/PRF_HMAC_SHA2_384/ECP_384",
        .auth_method = IKE_AUTH_DIGITAL_SIGNATURE,
        .shared_socket = -1,
        .address = {10, 0, 0, 1},
        .idle_in_ms = 1000000,
        .idle_out_ms = 1000000,
    };
    assert_true(sd_event_new(&stage->event) >= 0);
    assert_true(sd_event_add_defer(stage->event, &stage->deliver, on_deliver, stage) >= 0);
    stage->fd = open_port(&stage->port);
    stage->nat_fd = open_port(&stage->nat_port);
    assert_true(sd_event_add_io(stage->event, &stage->io, stage->fd, 1, on_datagram, stage) >= 0);
    assert_true(
        sd_event_add_io(stage->event, &stage->nat_io, stage->nat_fd, 1, on_datagram, stage) >= 0);
    return 0;
}

void stage_teardown(Stage *stage)
{
    while (stage->replies) {
        StageReply *reply = stage->replies;
        stage->replies = reply->next;
        free(reply);
    }
    sd_event_source_unref(stage->deliver);
    sd_event_source_unref(stage->io);
    sd_event_source_unref(stage->nat_io);
    sd_event_unref(stage->event);
    (void)close(stage->fd);
    (void)close(stage->nat_fd);
    if (stage->shared_socket >= 0)
        (void)close(stage->shared_socket);
}

void stage_run_until(Stage *stage, const bool *condition)
{
    for (int turn = 0; turn < TURNS_MAX && !*condition; turn++)
        assert_true(sd_event_run(stage->event, TURN_USEC) >= 0);
    assert_true(*condition);
}

void stage_turn(Stage *stage)
{
    assert_true(sd_event_run(stage->event, TURN_USEC) >= 0);
    assert_true(stage->turns++ < TURNS_MAX);
}

void stage_settle(Stage *stage)
{
    for (int idle = 0; idle < SETTLED_TURNS;) {
        int r = sd_event_run(stage->event, TURN_USEC);
        assert_true(r >= 0);
        idle = r == 0 ? idle + 1 : 0;
    }
}

size_t stage_count(const Stage *stage, TreMethod method)
{
    size_t count = 0;

    for (size_t i = 0; i < stage->n_calls; i++)
        count += stage->calls[i] == method;
    return count;
}
