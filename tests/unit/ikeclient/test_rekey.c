/* Rekeying goes right whoever begins it, whatever crosses what (RFC 7296 2.8, 2.25): there always
 * is a Child SA that sends, of two new ones the right one stays, and each side deletes what is its
 * to delete. The SeGW is played by hand, one message after the other. */
#include "ikeclient/connection.h"

#include "connection_stage.h"
#include "ikeclient/initial_exchanges.h"
#include "ikeclient/selectors.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

enum {
    SEGW_SPI = 0xb000,     /* of the SeGW's new Child SAs: it and those after it */
    SEGW_IKE_SPI = 0xb1b1, /* of its new IKE SAs */
    QUEUE_MAX = 8,
};

/* A message of ours that the SeGW has had. */
typedef struct Heard {
    IkeHeader header;
    IkePayloads payloads;
    uint8_t octets[4096];
} Heard;

typedef struct Fixture {
    Stage stage;
    Config config;
    Connection *connection;
    ConnectionTold told;
    /* what came, and no test has taken yet; INFORMATIONAL requests are answered at once */
    size_t n_heard;
    Heard heard[QUEUE_MAX];
    bool silent;      /* … or are not */
    uint32_t next_id; /* of the SeGW's next request on the first IKE SA */
    /* our Deletes */
    size_t n_deleted;
    uint32_t deleted[QUEUE_MAX];
    unsigned deleted_ike;
    uint64_t deleted_ike_spi; /* the initiator's SPI of the last one */
    uint64_t updated_spi;     /* that of the last UPDATE_SA_ADDRESSES; 0: there was none */
} Fixture;

static Fixture f;

/* ---- the SeGW ---- */

static void answer(const Heard *heard, const Draft *draft)
{
    stage_send_sealed_on(&f.stage, heard->header.spi_i, heard->header.spi_r,
                         !(heard->header.flags & IKE_FLAG_INITIATOR), heard->header.exchange_type,
                         true, heard->header.message_id, draft);
}

/* What ESP SPI our Delete names, we receive at; the SeGW answers with its own (1.4.1). */
static void take_delete(const Heard *heard, Draft *draft)
{
    const IkePayload *payload = ike_payloads_find(&heard->payloads, IKE_PAYLOAD_DELETE);
    IkeDelete delete_;

    if (!payload)
        return;
    assert_int_equal(ike_delete_decode(payload->body, &delete_), 0);
    if (delete_.protocol == IKE_PROTOCOL_IKE) {
        f.deleted_ike++;
        f.deleted_ike_spi = heard->header.spi_i;
        return;
    }
    for (size_t i = 0; i < delete_.n_spis; i++) {
        assert_true(f.n_deleted < QUEUE_MAX);
        f.deleted[f.n_deleted++] = delete_.spis[i];
    }
    delete_ = (IkeDelete){IKE_PROTOCOL_ESP, 1, {STAGE_SPI_OUT}};
    ike_chain_add_delete(&draft->chain, &delete_);
}

static void segw(Stage *stage, Bytes datagram)
{
    IkeNotify notify;
    IkeHeader header;
    Draft draft;

    assert_int_equal(ike_header_decode(datagram, &header), 0);
    if (header.exchange_type == IKE_SA_INIT || header.exchange_type == IKE_AUTH) {
        stage_segw(stage, datagram);
        return;
    }
    assert_true(f.n_heard < QUEUE_MAX);
    Heard *heard = &f.heard[f.n_heard];
    assert_true(datagram.size <= sizeof(heard->octets));
    memcpy(heard->octets, datagram.data, datagram.size);
    stage_unseal((Bytes){heard->octets, datagram.size}, &heard->header, &heard->payloads);
    if (header.exchange_type == IKE_INFORMATIONAL && !(header.flags & IKE_FLAG_RESPONSE)) {
        draft_begin(&draft);
        take_delete(heard, &draft);
        if (ike_payloads_notify(&heard->payloads, IKE_NOTIFY_UPDATE_SA_ADDRESSES, &notify))
            f.updated_spi = header.spi_i;
        if (!f.silent)
            answer(heard, &draft);
        return;
    }
    f.n_heard++;
}

/* Takes the oldest message that was not taken, once it is there. */
static void take(Heard *ret)
{
    while (f.n_heard == 0)
        stage_turn(&f.stage);
    *ret = f.heard[0];
    /* The views are into the octets, which have moved. */
    for (size_t i = 0; i < ret->payloads.count; i++) {
        IkePayload *payload = &ret->payloads.items[i];
        if (payload->body.size > 0)
            payload->body.data = ret->octets + (payload->body.data - f.heard[0].octets);
    }
    f.n_heard--;
    for (size_t i = 0; i < f.n_heard; i++) {
        f.heard[i] = f.heard[i + 1];
        stage_unseal((Bytes){f.heard[i].octets, f.heard[i].header.length}, &f.heard[i].header,
                     &f.heard[i].payloads);
    }
}

static void take_request(Heard *ret, uint8_t exchange_type)
{
    take(ret);
    assert_int_equal(ret->header.exchange_type, exchange_type);
    assert_false(ret->header.flags & IKE_FLAG_RESPONSE);
}

static void take_response(Heard *ret, uint8_t exchange_type)
{
    take(ret);
    assert_int_equal(ret->header.exchange_type, exchange_type);
    assert_true(ret->header.flags & IKE_FLAG_RESPONSE);
}

static uint16_t error_of(const Heard *heard)
{
    IkeNotify notify;

    return ike_payloads_error(&heard->payloads, &notify) ? notify.type : 0;
}

static void sa_of(const Heard *heard, IkeSaPayload *ret)
{
    const IkePayload *payload = ike_payloads_find(&heard->payloads, IKE_PAYLOAD_SA);

    assert_non_null(payload);
    assert_int_equal(ike_sa_decode(payload->body, ret), 0);
}

static uint64_t spi_of(const Heard *heard)
{
    IkeSaPayload sa;

    sa_of(heard, &sa);
    return sa.proposals[0].spi;
}

static uint16_t ke_group_of(const Heard *heard)
{
    const IkePayload *payload = ike_payloads_find(&heard->payloads, IKE_PAYLOAD_KE);
    IkeKe ke;

    if (!payload)
        return IKE_GROUP_NONE;
    assert_int_equal(ike_ke_decode(payload->body, &ke), 0);
    return ke.group;
}

static uint32_t rekeyed_of(const Heard *heard)
{
    IkeNotify notify;

    return ike_payloads_notify(&heard->payloads, IKE_NOTIFY_REKEY_SA, &notify)
               ? (uint32_t)notify.spi
               : 0;
}

static void add_nonce(Draft *draft, uint8_t octet)
{
    uint8_t nonce[STAGE_NONCE_SIZE];

    memset(nonce, octet, sizeof(nonce));
    ike_chain_add(&draft->chain, IKE_PAYLOAD_NONCE, BYTES_OF(nonce));
}

static void add_ke(Draft *draft, uint16_t group)
{
    static const uint8_t ke[64] = {9};

    if (group != IKE_GROUP_NONE)
        ike_chain_add_ke(&draft->chain, group, BYTES_OF(ke));
}

static IkeProposal esp_proposal(uint32_t spi, uint16_t group)
{
    IkeProposal proposal = {
        .number = 1,
        .protocol = IKE_PROTOCOL_ESP,
        .spi_size = 4,
        .spi = spi,
        .n_transforms = 2,
        .transforms = {{.type = IKE_TRANSFORM_ENCR, .id = IKE_ENCR_AES_GCM_16, .key_length = 128},
                       {.type = IKE_TRANSFORM_ESN, .id = IKE_ESN_NO}}};

    if (group != IKE_GROUP_NONE) {
        proposal.transforms[proposal.n_transforms++] =
            (IkeTransform){.type = IKE_TRANSFORM_KE, .id = group};
    }
    return proposal;
}

static IkeProposal ike_proposal(uint64_t spi, uint16_t group)
{
    return (IkeProposal){
        .number = 1,
        .protocol = IKE_PROTOCOL_IKE,
        .spi_size = 8,
        .spi = spi,
        .n_transforms = 3,
        .transforms = {{.type = IKE_TRANSFORM_ENCR, .id = IKE_ENCR_AES_GCM_16, .key_length = 128},
                       {.type = IKE_TRANSFORM_PRF, .id = IKE_PRF_HMAC_SHA2_256},
                       {.type = IKE_TRANSFORM_KE, .id = group}}};
}

static void add_sa(Draft *draft, const IkeProposal *proposal)
{
    const IkeSaPayload sa = {.n_proposals = 1, .proposals = {*proposal}};

    ike_chain_add_sa(&draft->chain, &sa);
}

/* What IKE_AUTH granted, both ways. */
static void add_selectors(Draft *draft)
{
    const IkeTs ts = {
        .n_selectors = 1,
        .selectors = {{IKE_TS_IPV4_ADDR_RANGE, 0, 0, 65535, {10, 0, 0, 1}, {10, 0, 0, 1}}}};

    ike_chain_add_ts(&draft->chain, IKE_PAYLOAD_TSI, &ts);
    ike_chain_add_ts(&draft->chain, IKE_PAYLOAD_TSR, &ts);
}

static void draft_child(Draft *draft, uint32_t spi, uint16_t group, uint8_t nonce)
{
    const IkeProposal proposal = esp_proposal(spi, group);

    add_selectors(draft); /* in another order than ours: any will do (RFC 7296 1.3) */
    ike_chain_add_notify(&draft->chain, 40000, (Bytes){0});
    add_ke(draft, group);
    add_nonce(draft, nonce);
    add_sa(draft, &proposal);
}

static void draft_ike(Draft *draft, uint64_t spi, uint16_t group, uint8_t nonce)
{
    const IkeProposal proposal = ike_proposal(spi, group);

    add_nonce(draft, nonce);
    add_sa(draft, &proposal);
    add_ke(draft, group);
}

static void add_rekey_sa(Draft *draft, uint32_t spi)
{
    const IkeNotify notify = {
        .protocol = IKE_PROTOCOL_ESP, .spi_size = 4, .spi = spi, .type = IKE_NOTIFY_REKEY_SA};

    ike_chain_open(&draft->chain, IKE_PAYLOAD_NOTIFY, false);
    ike_notify_encode(draft->chain.writer, &notify);
    ike_chain_close(&draft->chain);
}

/* A response to our request that grants it, as the one of a Child SA without PFS. */
static void grant_child(const Heard *request, uint32_t spi, uint8_t nonce)
{
    Draft draft;

    draft_begin(&draft);
    draft_child(&draft, spi, IKE_GROUP_NONE, nonce);
    answer(request, &draft);
}

static void grant_ike(const Heard *request, uint64_t spi, uint8_t nonce)
{
    Draft draft;

    draft_begin(&draft);
    draft_ike(&draft, spi, ke_group_of(request), nonce);
    answer(request, &draft);
}

static void refuse(const Heard *request, uint16_t type, Bytes data)
{
    Draft draft;

    draft_begin(&draft);
    ike_chain_add_notify(&draft.chain, type, data);
    answer(request, &draft);
}

static void request(uint8_t exchange_type, const Draft *draft)
{
    stage_send_sealed(&f.stage, exchange_type, false, f.next_id++, draft);
}

static void rekey_child(uint32_t old, uint32_t spi, uint16_t group, uint8_t nonce)
{
    Draft draft;

    draft_begin(&draft);
    add_rekey_sa(&draft, old);
    draft_child(&draft, spi, group, nonce);
    request(IKE_CREATE_CHILD_SA, &draft);
}

static void rekey_ike(uint64_t spi, uint8_t nonce)
{
    Draft draft;

    draft_begin(&draft);
    draft_ike(&draft, spi, IKE_GROUP_ECP_256, nonce);
    request(IKE_CREATE_CHILD_SA, &draft);
}

static void delete_from_segw(uint8_t protocol, uint32_t spi)
{
    IkeDelete delete_ = {protocol, protocol == IKE_PROTOCOL_IKE ? 0 : 1, {spi}};
    Draft draft;

    draft_begin(&draft);
    ike_chain_add_delete(&draft.chain, &delete_);
    request(IKE_INFORMATIONAL, &draft);
}

/* ---- what is there ---- */

static void info(ConnectionInfo *ret)
{
    connection_info(f.connection, ret);
}

static size_t count(bool gone)
{
    ConnectionInfo now;
    size_t count = 0;

    info(&now);
    for (const ChildSa *child = now.sa.children; child; child = child->next)
        count += (child->gone != 0) == gone;
    return count;
}

static size_t children(void)
{
    return count(false);
}

/* Those that were deleted and receive for a while yet. */
static size_t lingering(void)
{
    return count(true);
}

static bool has_child(uint32_t spi_in)
{
    ConnectionInfo now;

    info(&now);
    const ChildSa *child = now.sa.children;
    while (child && (child->spi_in != spi_in || child->gone != 0))
        child = child->next;
    return child;
}

/* One Child SA, which sends, on both sides of the bus. */
static void assert_left(uint32_t spi_in)
{
    stage_settle(&f.stage);
    while (children() > 1)
        stage_turn(&f.stage);
    stage_settle(&f.stage);
    assert_int_equal(children(), 1);
    assert_true(has_child(spi_in));
    assert_int_equal(stage_children(&f.stage), 1 + lingering());
    assert_int_equal(f.stage.sending, spi_in);
    assert_false(f.stage.was_mute);
    assert_false(f.told.closed);
    assert_int_equal(f.told.times_established, 1);
}

static void assert_deleted(uint32_t spi_in)
{
    assert_int_equal(f.n_deleted, 1);
    assert_int_equal(f.deleted[0], spi_in);
}

/* So it is given where it sends from itself, without a NAT. */
static void segw_without_nat(Stage *stage, Bytes datagram)
{
    const Endpoint here = endpoint_of("127.0.0.1", stage->port);
    IkeHeader header;
    Draft draft;

    assert_int_equal(ike_header_decode(datagram, &header), 0);
    if (header.exchange_type != IKE_SA_INIT) {
        segw(stage, datagram);
        return;
    }
    stage_send(stage, draft_init_response(&draft, stage->ike_offer, header.spi_i, IKE_GROUP_ECP_256,
                                          &here, &stage->henb));
}

static void begin(size_t n_children, uint64_t dscps, const char *refusal)
{
    char problem[PROPOSALS_PROBLEM_SIZE];

    memset(&f, 0, sizeof(f));
    connection_stage_setup(&f.stage, &f.config);
    f.config.n_children = n_children;
    for (size_t i = 0; i < n_children; i++) {
        (void)snprintf(f.config.children[i].name, CONFIG_NAME_SIZE, "other%zu", i);
        assert_int_equal(selectors_parse("10.0.0.1", &f.config.children[i].remote_ts), 0);
    }
    if (dscps != 0)
        f.config.children[0] = (ChildConfig){.name = "voice", .dscps = dscps};
    f.config.pfs = PFS_NO;
    assert_int_equal(proposals_parse("aes128gcm16-prfsha256-ecp256-ecp384", IKE_PROTOCOL_IKE,
                                     &f.config.ike_offer, problem),
                     0);
    f.stage.suite = "AES_GCM_16_128/PRF_HMAC_SHA2_256/ECP_256";
    f.stage.segw = segw;
    f.stage.nonce = 0x80;
    f.stage.refuse[TRE_SET_DSCPS] = refusal;
}

static void open_connection(void)
{
    assert_int_equal(connection_new(f.stage.event, &f.stage.tre, &f.config,
                                    &connection_told_handlers, &f.told, &f.connection),
                     0);
    connection_open(f.connection);
    stage_run_until(&f.stage, &f.told.established);
}

static int setup_with(size_t n_children, uint64_t dscps, const char *refusal)
{
    begin(n_children, dscps, refusal);
    open_connection();
    return 0;
}

static int setup(void **state)
{
    (void)state;
    return setup_with(0, 0, NULL);
}

static int setup_with_another(void **state)
{
    (void)state;
    return setup_with(1, 0, NULL);
}

/* tred's socket has an address that is not the one by which the SeGW is reached now. */
static int setup_elsewhere(void **state)
{
    (void)state;
    begin(0, 0, NULL);
    f.stage.mobike = true;
    f.stage.segw = segw_without_nat;
    f.stage.shared_address = "127.0.0.5";
    open_connection();
    return 0;
}

static const uint64_t voice = UINT64_C(1) << 46;

static int setup_with_voice(void **state)
{
    (void)state;
    return setup_with(1, voice, NULL);
}

static int setup_with_kernel_plane(void **state)
{
    (void)state;
    return setup_with(1, voice, "DataPlaneFailed");
}

static int teardown(void **state)
{
    (void)state;
    connection_stage_teardown(&f.stage, &f.config, f.connection);
    return 0;
}

static const uint32_t first = STAGE_SPI_IN, second = STAGE_SPI_IN + 1;

/* ---- a Child SA, by us ---- */

static void begin_child(Heard *ret)
{
    connection_child_due(f.connection, first, false);
    take_request(ret, IKE_CREATE_CHILD_SA);
    assert_int_equal(rekeyed_of(ret), first);
}

static void a_child_that_is_due_is_replaced_and_then_deleted(void **state)
{
    Heard heard;
    (void)state;

    begin_child(&heard);
    assert_int_equal(spi_of(&heard), second);
    assert_int_equal(f.n_deleted, 0);
    grant_child(&heard, SEGW_SPI, 0x90);
    assert_left(second);
    assert_deleted(first);
}

static void a_child_that_was_deleted_receives_for_a_while_yet(void **state)
{
    Heard heard;
    (void)state;

    begin_child(&heard);
    grant_child(&heard, SEGW_SPI, 0x90);
    while (f.n_deleted == 0)
        stage_turn(&f.stage);
    stage_settle(&f.stage);
    assert_int_equal(stage_children(&f.stage), 2);
    assert_int_equal(f.stage.sending, second);
    /* For the SeGW it is gone. */
    rekey_child(STAGE_SPI_OUT, SEGW_SPI + 1, IKE_GROUP_NONE, 0x10);
    take_response(&heard, IKE_CREATE_CHILD_SA);
    assert_int_equal(error_of(&heard), IKE_NOTIFY_CHILD_SA_NOT_FOUND);
    assert_left(second);
    assert_int_equal(lingering(), 1);
    while (lingering() > 0)
        stage_turn(&f.stage);
    assert_left(second);
}

static void of_many_that_were_deleted_the_oldest_receives_no_more(void **state)
{
    Heard heard;
    (void)state;

    for (uint32_t i = 0; i < 6; i++) {
        connection_child_due(f.connection, first + i, false);
        take_request(&heard, IKE_CREATE_CHILD_SA);
        assert_int_equal(rekeyed_of(&heard), first + i);
        f.n_deleted = 0;
        grant_child(&heard, SEGW_SPI + i, 0x90);
        assert_left(first + i + 1);
        assert_deleted(first + i);
        assert_int_equal(lingering(), i < 4 ? i + 1 : 4);
    }
}

static void the_new_child_has_the_addresses_of_the_old_one(void **state)
{
    ConnectionInfo now;
    Heard heard;
    (void)state;

    begin_child(&heard);
    grant_child(&heard, SEGW_SPI, 0x90);
    assert_left(second);
    info(&now);
    assert_int_equal(now.sa.children->answer.n_addresses, 1);
    assert_memory_equal(now.sa.children->answer.addresses[0].octets, f.stage.address, 4);
}

static void a_child_that_is_due_twice_is_rekeyed_once(void **state)
{
    Heard heard;
    (void)state;

    begin_child(&heard);
    connection_child_due(f.connection, first, false);
    grant_child(&heard, SEGW_SPI, 0x90);
    connection_child_due(f.connection, first, false);
    assert_left(second);
    assert_int_equal(f.n_heard, 0);
}

static void a_new_child_is_rekeyed_in_its_turn(void **state)
{
    Heard heard;
    (void)state;

    begin_child(&heard);
    grant_child(&heard, SEGW_SPI, 0x90);
    assert_left(second);
    connection_child_due(f.connection, second, false);
    take_request(&heard, IKE_CREATE_CHILD_SA);
    assert_int_equal(rekeyed_of(&heard), second);
    grant_child(&heard, SEGW_SPI + 1, 0x90);
    assert_left(second + 1);
    assert_int_equal(f.n_deleted, 2);
    assert_int_equal(f.deleted[1], second);
}

static void without_pfs_no_group_is_offered(void **state)
{
    IkeSaPayload sa;
    Heard heard;
    (void)state;

    begin_child(&heard);
    sa_of(&heard, &sa);
    assert_int_equal(ke_group_of(&heard), IKE_GROUP_NONE);
    assert_false(proposals_have_group(&sa, IKE_GROUP_ECP_256));
    assert_int_equal(f.stage.prepared, IKE_GROUP_NONE);
}

static void with_pfs_the_group_of_the_ike_sa_is_offered_and_none_where_it_may_be(void **state)
{
    IkeSaPayload sa;
    Heard heard;
    (void)state;

    f.config.pfs = PFS_OPTIONAL;
    begin_child(&heard);
    sa_of(&heard, &sa);
    assert_int_equal(ke_group_of(&heard), IKE_GROUP_ECP_256);
    assert_true(proposals_have_group(&sa, IKE_GROUP_ECP_256));
    assert_true(proposals_have_group(&sa, IKE_GROUP_NONE));
    grant_child(&heard, SEGW_SPI, 0x90); /* which does without */
    assert_left(second);
}

static void with_pfs_alone_a_child_without_a_key_exchange_is_not_taken(void **state)
{
    IkeSaPayload sa;
    Heard heard;
    (void)state;

    f.config.pfs = PFS_YES;
    begin_child(&heard);
    sa_of(&heard, &sa);
    assert_false(proposals_have_group(&sa, IKE_GROUP_NONE));
    f.told.established = false;
    grant_child(&heard, SEGW_SPI, 0x90);
    stage_run_until(&f.stage, &f.told.established); /* by another authentication */
    assert_int_equal(stage_count(&f.stage, TRE_BEGIN), 2);
}

static void a_group_that_the_segw_asks_for_is_taken_the_next_time(void **state)
{
    static const uint8_t group[] = {0, IKE_GROUP_ECP_384};
    Heard heard;
    Draft draft;
    (void)state;

    f.config.pfs = PFS_OPTIONAL;
    begin_child(&heard);
    refuse(&heard, IKE_NOTIFY_INVALID_KE_PAYLOAD, BYTES_OF(group));
    take_request(&heard, IKE_CREATE_CHILD_SA);
    assert_int_equal(ke_group_of(&heard), IKE_GROUP_ECP_384);
    assert_int_equal(f.stage.prepared, IKE_GROUP_ECP_384);
    draft_begin(&draft);
    draft_child(&draft, SEGW_SPI, IKE_GROUP_ECP_384, 0x90);
    answer(&heard, &draft);
    assert_left(second + 1);
    assert_deleted(first);
}

static void a_segw_that_changes_its_group_for_ever_is_left_for_another_authentication(void **state)
{
    static const uint8_t groups[2][2] = {{0, IKE_GROUP_ECP_384}, {0, IKE_GROUP_ECP_256}};
    Heard heard;
    (void)state;

    f.config.pfs = PFS_OPTIONAL;
    f.told.established = false;
    begin_child(&heard);
    for (unsigned i = 0; i <= INIT_GROUP_CHANGES_MAX; i++) {
        refuse(&heard, IKE_NOTIFY_INVALID_KE_PAYLOAD, BYTES_OF(groups[i % 2]));
        if (i < INIT_GROUP_CHANGES_MAX)
            take_request(&heard, IKE_CREATE_CHILD_SA);
    }
    stage_run_until(&f.stage, &f.told.established);
    assert_int_equal(stage_count(&f.stage, TRE_BEGIN), 2);
}

static void refused_for_good(uint16_t type)
{
    Heard heard;

    f.told.established = false;
    begin_child(&heard);
    refuse(&heard, type, (Bytes){0});
    stage_run_until(&f.stage, &f.told.established);
    assert_int_equal(stage_count(&f.stage, TRE_BEGIN), 2);
    assert_false(f.stage.was_mute);
    assert_int_equal(f.n_heard, 0); /* and it is not asked again */
}

static void a_segw_that_does_not_rekey_is_authenticated_anew(void **state)
{
    (void)state;
    refused_for_good(IKE_NOTIFY_NO_ADDITIONAL_SAS);
}

static void a_segw_that_takes_no_proposal_is_authenticated_anew(void **state)
{
    (void)state;
    refused_for_good(IKE_NOTIFY_NO_PROPOSAL_CHOSEN);
}

static void an_error_that_nobody_knows_is_an_error(void **state)
{
    (void)state;
    refused_for_good(9999);
}

/* The time that passes is not looked at: that there is a wait is. */
static void a_segw_that_is_busy_is_asked_again_later(void **state)
{
    Heard heard;
    (void)state;

    begin_child(&heard);
    refuse(&heard, IKE_NOTIFY_TEMPORARY_FAILURE, (Bytes){0});
    stage_settle(&f.stage);
    assert_int_equal(f.n_heard, 0);
    take_request(&heard, IKE_CREATE_CHILD_SA);
    assert_int_equal(rekeyed_of(&heard), first);
    grant_child(&heard, SEGW_SPI, 0x90);
    assert_left(second + 1);
    assert_deleted(first);
}

static void a_child_that_the_segw_has_lost_is_made_from_scratch(void **state)
{
    Heard heard;
    (void)state;

    begin_child(&heard);
    refuse(&heard, IKE_NOTIFY_CHILD_SA_NOT_FOUND, (Bytes){0});
    take_request(&heard, IKE_CREATE_CHILD_SA);
    assert_int_equal(rekeyed_of(&heard), 0);
    grant_child(&heard, SEGW_SPI, 0x90);
    assert_left(second + 1);
    assert_int_equal(f.n_deleted, 0); /* silently (RFC 7296 2.25) */
}

static void a_child_with_narrower_selectors_is_not_taken(void **state)
{
    IkeTs wide = {
        .n_selectors = 1,
        .selectors = {{IKE_TS_IPV4_ADDR_RANGE, 6, 0, 65535, {10, 0, 0, 1}, {10, 0, 0, 1}}}};
    const IkeProposal proposal = esp_proposal(SEGW_SPI, IKE_GROUP_NONE);
    Heard heard;
    Draft draft;
    (void)state;

    f.told.established = false;
    begin_child(&heard);
    draft_begin(&draft);
    add_sa(&draft, &proposal);
    add_nonce(&draft, 0x90);
    ike_chain_add_ts(&draft.chain, IKE_PAYLOAD_TSI, &wide);
    ike_chain_add_ts(&draft.chain, IKE_PAYLOAD_TSR, &wide);
    answer(&heard, &draft);
    stage_settle(&f.stage);
    assert_false(has_child(second));
    stage_run_until(&f.stage, &f.told.established);
    assert_false(f.stage.was_mute);
}

static void a_child_that_tred_does_not_take_leads_to_another_authentication(void **state)
{
    Heard heard;
    (void)state;

    f.told.established = false;
    begin_child(&heard);
    f.stage.refuse[TRE_ADD_CHILD] = "DataPlaneFailed";
    f.stage.refusals[TRE_ADD_CHILD] = 1;
    grant_child(&heard, SEGW_SPI, 0x90);
    stage_run_until(&f.stage, &f.told.established);
    assert_false(f.stage.was_mute);
}

/* ---- a Child SA, by the SeGW ---- */

static void the_segw_rekeys(uint8_t nonce, Heard *ret)
{
    rekey_child(STAGE_SPI_OUT, SEGW_SPI, IKE_GROUP_NONE, nonce);
    take_response(ret, IKE_CREATE_CHILD_SA);
}

static void the_old_child_sends_until_the_segw_deletes_it(void **state)
{
    Heard heard;
    (void)state;

    the_segw_rekeys(0x10, &heard);
    assert_int_equal(error_of(&heard), 0);
    assert_int_equal(spi_of(&heard), second);
    stage_settle(&f.stage);
    assert_int_equal(stage_children(&f.stage), 2);
    assert_int_equal(f.stage.sending, first);
    delete_from_segw(IKE_PROTOCOL_ESP, STAGE_SPI_OUT);
    take_response(&heard, IKE_INFORMATIONAL);
    assert_left(second);
    assert_int_equal(f.n_deleted, 0);
}

/* What leaves by the old one after the answer is lost. */
static void the_new_child_sends_before_the_segws_delete_of_the_old_one_is_answered(void **state)
{
    Heard heard;
    (void)state;

    the_segw_rekeys(0x10, &heard);
    f.stage.held[TRE_USE_CHILD] = true;
    delete_from_segw(IKE_PROTOCOL_ESP, STAGE_SPI_OUT);
    stage_settle(&f.stage);
    assert_int_equal(stage_count(&f.stage, TRE_USE_CHILD), 1);
    assert_int_equal(f.n_heard, 0);
    f.next_id--;
    delete_from_segw(IKE_PROTOCOL_ESP, STAGE_SPI_OUT); /* again */
    stage_settle(&f.stage);
    assert_int_equal(f.n_heard, 0);
    stage_release(&f.stage, TRE_USE_CHILD);
    take_response(&heard, IKE_INFORMATIONAL);
    assert_int_equal(stage_count(&f.stage, TRE_USE_CHILD), 1);
    assert_left(second);
}

static void the_new_child_is_there_before_it_is_promised(void **state)
{
    (void)state;
    f.stage.mute[TRE_ADD_CHILD] = true;
    rekey_child(STAGE_SPI_OUT, SEGW_SPI, IKE_GROUP_NONE, 0x10);
    stage_settle(&f.stage);
    assert_int_equal(stage_count(&f.stage, TRE_ADD_CHILD), 2);
    assert_int_equal(f.n_heard, 0);
}

static void a_rekeying_that_comes_twice_is_answered_from_memory(void **state)
{
    Heard once, again;
    (void)state;

    the_segw_rekeys(0x10, &once);
    size_t calls = f.stage.n_calls;
    f.next_id--;
    the_segw_rekeys(0x10, &again);
    assert_int_equal(f.stage.n_calls, calls);
    assert_int_equal(once.header.length, again.header.length);
    assert_memory_equal(once.octets, again.octets, once.header.length);
}

static void a_rekeying_that_comes_again_before_it_is_answered_is_not_begun_again(void **state)
{
    (void)state;
    f.stage.mute[TRE_PREPARE_CREATE_CHILD] = true;
    rekey_child(STAGE_SPI_OUT, SEGW_SPI, IKE_GROUP_NONE, 0x10);
    stage_settle(&f.stage);
    size_t calls = f.stage.n_calls;
    f.next_id--;
    rekey_child(STAGE_SPI_OUT, SEGW_SPI, IKE_GROUP_NONE, 0x10);
    stage_settle(&f.stage);
    assert_int_equal(f.stage.n_calls, calls);
}

static void a_child_that_there_is_not_is_not_found(void **state)
{
    IkeNotify notify;
    Heard heard;
    (void)state;

    rekey_child(0x99, SEGW_SPI, IKE_GROUP_NONE, 0x10);
    take_response(&heard, IKE_CREATE_CHILD_SA);
    assert_true(ike_payloads_notify(&heard.payloads, IKE_NOTIFY_CHILD_SA_NOT_FOUND, &notify));
    assert_int_equal(notify.protocol, IKE_PROTOCOL_ESP);
    assert_int_equal(notify.spi, 0x99);
    assert_left(first);
}

static void a_group_without_its_ke_is_asked_for(void **state)
{
    const IkeProposal proposal = esp_proposal(SEGW_SPI, IKE_GROUP_ECP_384);
    IkeNotify notify;
    Heard heard;
    Draft draft;
    (void)state;

    draft_begin(&draft);
    add_rekey_sa(&draft, STAGE_SPI_OUT);
    add_sa(&draft, &proposal);
    add_nonce(&draft, 0x10);
    add_ke(&draft, IKE_GROUP_ECP_256);
    add_selectors(&draft);
    request(IKE_CREATE_CHILD_SA, &draft);
    take_response(&heard, IKE_CREATE_CHILD_SA);
    assert_true(ike_payloads_notify(&heard.payloads, IKE_NOTIFY_INVALID_KE_PAYLOAD, &notify));
    assert_int_equal(notify.data.size, 2);
    assert_int_equal(notify.data.data[1], IKE_GROUP_ECP_384);
    rekey_child(STAGE_SPI_OUT, SEGW_SPI, IKE_GROUP_ECP_384, 0x10);
    take_response(&heard, IKE_CREATE_CHILD_SA);
    assert_int_equal(error_of(&heard), 0);
    assert_int_equal(ke_group_of(&heard), IKE_GROUP_ECP_384);
}

static void the_best_of_several_proposals_is_chosen_by_its_number(void **state)
{
    IkeSaPayload sa = {.n_proposals = 2};
    IkeSaPayload chosen;
    Heard heard;
    Draft draft;
    (void)state;

    sa.proposals[0] = esp_proposal(SEGW_SPI, IKE_GROUP_NONE);
    sa.proposals[0].transforms[0].key_length = 192; /* which nobody here has */
    sa.proposals[1] = esp_proposal(SEGW_SPI, IKE_GROUP_NONE);
    sa.proposals[1].number = 2;
    sa.proposals[1].n_transforms = 4;
    sa.proposals[1].transforms[2] = (IkeTransform){.type = IKE_TRANSFORM_ESN, .id = IKE_ESN_YES};
    sa.proposals[1].transforms[3] = (IkeTransform){.type = IKE_TRANSFORM_KE};
    draft_begin(&draft);
    add_rekey_sa(&draft, STAGE_SPI_OUT);
    ike_chain_add_sa(&draft.chain, &sa);
    add_nonce(&draft, 0x10);
    add_selectors(&draft);
    request(IKE_CREATE_CHILD_SA, &draft);
    take_response(&heard, IKE_CREATE_CHILD_SA);
    sa_of(&heard, &chosen);
    assert_int_equal(chosen.n_proposals, 1);
    assert_int_equal(chosen.proposals[0].number, 2);
    assert_int_equal(chosen.proposals[0].n_transforms, 3);
}

static void a_proposal_that_nobody_has_is_refused(void **state)
{
    IkeProposal proposal = esp_proposal(SEGW_SPI, IKE_GROUP_NONE);
    Heard heard;
    Draft draft;
    (void)state;

    proposal.transforms[0].key_length = 192;
    draft_begin(&draft);
    add_rekey_sa(&draft, STAGE_SPI_OUT);
    add_sa(&draft, &proposal);
    add_nonce(&draft, 0x10);
    add_selectors(&draft);
    request(IKE_CREATE_CHILD_SA, &draft);
    take_response(&heard, IKE_CREATE_CHILD_SA);
    assert_int_equal(error_of(&heard), IKE_NOTIFY_NO_PROPOSAL_CHOSEN);
    assert_left(first);
}

static void a_request_that_lacks_a_payload_is_invalid_syntax(void **state)
{
    const IkeProposal proposal = esp_proposal(SEGW_SPI, IKE_GROUP_NONE);
    Heard heard;
    Draft draft;
    (void)state;

    draft_begin(&draft);
    add_rekey_sa(&draft, STAGE_SPI_OUT);
    add_sa(&draft, &proposal);
    add_selectors(&draft);
    request(IKE_CREATE_CHILD_SA, &draft);
    take_response(&heard, IKE_CREATE_CHILD_SA);
    assert_int_equal(error_of(&heard), IKE_NOTIFY_INVALID_SYNTAX);
    assert_left(first);
}

/* The error for a request for a Child SA with these octets as TSi. */
static uint16_t error_for_ts(Bytes body)
{
    const IkeProposal proposal = esp_proposal(SEGW_SPI, IKE_GROUP_NONE);
    const IkeTs ts = {
        .n_selectors = 1,
        .selectors = {{IKE_TS_IPV4_ADDR_RANGE, 0, 0, 65535, {10, 0, 0, 1}, {10, 0, 0, 1}}}};
    Heard heard;
    Draft draft;

    draft_begin(&draft);
    add_sa(&draft, &proposal);
    add_nonce(&draft, 0x10);
    ike_chain_open(&draft.chain, IKE_PAYLOAD_TSI, false);
    writer_bytes(draft.chain.writer, body);
    ike_chain_close(&draft.chain);
    ike_chain_add_ts(&draft.chain, IKE_PAYLOAD_TSR, &ts);
    request(IKE_CREATE_CHILD_SA, &draft);
    take_response(&heard, IKE_CREATE_CHILD_SA);
    return error_of(&heard);
}

/* RFC 7296 2.21.3, 2.9 */
static void
selectors_that_do_not_parse_are_invalid_syntax_and_unknown_ones_unacceptable(void **state)
{
    static const uint8_t unknown[] = {1, 0, 0, 0, 200, 0, 0, 8, 1, 2, 3, 4};
    static const uint8_t backwards[] = {
        1, 0, 0, 0, IKE_TS_IPV4_ADDR_RANGE, 0, 0, 16, 0, 0, 0xff, 0xff, 10, 0, 0, 2, 10, 0, 0, 1};
    static const uint8_t none[] = {0, 0, 0, 0};
    (void)state;

    assert_int_equal(error_for_ts(BYTES_OF(unknown)), IKE_NOTIFY_TS_UNACCEPTABLE);
    assert_int_equal(error_for_ts(BYTES_OF(backwards)), IKE_NOTIFY_INVALID_SYNTAX);
    assert_int_equal(error_for_ts(BYTES_OF(none)), IKE_NOTIFY_INVALID_SYNTAX);
    assert_int_equal(error_for_ts((Bytes){unknown, sizeof(unknown) - 1}),
                     IKE_NOTIFY_INVALID_SYNTAX);
    assert_left(first);
}

static void what_tred_does_not_promise_is_refused(void **state)
{
    Heard heard;
    (void)state;

    f.stage.refuse[TRE_PROTECT] = "SuiteNotAllowed";
    f.stage.refusals[TRE_PROTECT] = 1;
    the_segw_rekeys(0x10, &heard);
    assert_int_equal(error_of(&heard), IKE_NOTIFY_NO_PROPOSAL_CHOSEN);
    assert_left(first);
}

static void another_child_is_made_within_what_there_is(void **state)
{
    Heard heard;
    Draft draft;
    (void)state;

    draft_begin(&draft);
    draft_child(&draft, SEGW_SPI, IKE_GROUP_NONE, 0x10);
    request(IKE_CREATE_CHILD_SA, &draft);
    take_response(&heard, IKE_CREATE_CHILD_SA);
    assert_int_equal(error_of(&heard), 0);
    stage_settle(&f.stage);
    assert_int_equal(children(), 2);
    assert_int_equal(f.n_deleted, 0);
}

static void another_child_for_other_traffic_is_refused(void **state)
{
    const IkeTs ts = {
        .n_selectors = 1,
        .selectors = {{IKE_TS_IPV4_ADDR_RANGE, 0, 0, 65535, {10, 9, 9, 9}, {10, 9, 9, 9}}}};
    const IkeProposal proposal = esp_proposal(SEGW_SPI, IKE_GROUP_NONE);
    Heard heard;
    Draft draft;
    (void)state;

    draft_begin(&draft);
    add_sa(&draft, &proposal);
    add_nonce(&draft, 0x10);
    ike_chain_add_ts(&draft.chain, IKE_PAYLOAD_TSI, &ts);
    ike_chain_add_ts(&draft.chain, IKE_PAYLOAD_TSR, &ts);
    request(IKE_CREATE_CHILD_SA, &draft);
    take_response(&heard, IKE_CREATE_CHILD_SA);
    assert_int_equal(error_of(&heard), IKE_NOTIFY_TS_UNACCEPTABLE);
    assert_left(first);
}

static void no_more_than_four_children_are_made(void **state)
{
    Heard heard;
    Draft draft;
    (void)state;

    for (uint32_t i = 0; i < 4; i++) {
        draft_begin(&draft);
        draft_child(&draft, SEGW_SPI + i, IKE_GROUP_NONE, 0x10);
        request(IKE_CREATE_CHILD_SA, &draft);
        take_response(&heard, IKE_CREATE_CHILD_SA);
        assert_int_equal(error_of(&heard), i < 3 ? 0 : IKE_NOTIFY_NO_ADDITIONAL_SAS);
    }
    assert_int_equal(children(), 4);
}

/* ---- another Child SA, by us, as configured ---- */

static uint32_t spi_at(unsigned place)
{
    ConnectionInfo now;

    info(&now);
    const ChildSa *child = now.sa.children;
    while (child && (child->place != place || child->unwanted || child->gone != 0))
        child = child->next;
    return child ? child->spi_in : 0;
}

static const char *missing(unsigned place)
{
    ConnectionInfo now;

    info(&now);
    return now.sa.missing[place];
}

static void take_selectors(const Heard *heard, uint8_t type, IkeTs *ret)
{
    const IkePayload *payload = ike_payloads_find(&heard->payloads, type);

    assert_non_null(payload);
    assert_int_equal(ike_ts_decode(payload->body, ret), 0);
}

/* There are both, as granted by the SeGW under SEGW_SPI. */
static void have_another(void)
{
    Heard heard;

    take_request(&heard, IKE_CREATE_CHILD_SA);
    grant_child(&heard, SEGW_SPI, 0x10);
    stage_settle(&f.stage);
    assert_int_equal(spi_at(CHILD_FIRST), first);
    assert_int_equal(spi_at(CHILD_NAMED), second);
}

static void assert_first_goes_on(void)
{
    stage_settle(&f.stage);
    assert_int_equal(spi_at(CHILD_FIRST), first);
    assert_int_equal(f.n_heard, 0);
    assert_false(f.told.closed);
    assert_int_equal(f.told.times_established, 1);
}

static void another_child_that_is_configured_is_asked_for_once_the_first_is_there(void **state)
{
    char text[SELECTORS_TEXT_SIZE];
    IkePayloads payloads;
    Heard heard;
    IkeTs ts;
    (void)state;

    take_request(&heard, IKE_CREATE_CHILD_SA);
    payloads = heard.payloads;
    assert_int_equal(rekeyed_of(&heard), 0);
    assert_null(ike_payloads_find(&payloads, IKE_PAYLOAD_CP));
    take_selectors(&heard, IKE_PAYLOAD_TSI, &ts);
    assert_string_equal(selectors_text(&ts, text), "10.0.0.1/32");
    take_selectors(&heard, IKE_PAYLOAD_TSR, &ts);
    assert_string_equal(selectors_text(&ts, text), "10.0.0.1/32");
    grant_child(&heard, SEGW_SPI, 0x10);
    assert_first_goes_on();
    assert_int_equal(children(), 2);
    assert_int_equal(spi_at(CHILD_NAMED), second);
    assert_string_equal(missing(CHILD_NAMED), "");
}

static void another_child_that_is_refused_is_said_and_harms_nothing(void **state)
{
    Heard heard;
    (void)state;

    take_request(&heard, IKE_CREATE_CHILD_SA);
    refuse(&heard, IKE_NOTIFY_NO_ADDITIONAL_SAS, (Bytes){0});
    assert_first_goes_on();
    assert_int_equal(children(), 1);
    assert_non_null(strstr(missing(CHILD_NAMED), "NO_ADDITIONAL_SAS"));
    assert_int_equal(stage_children(&f.stage), 1);
}

static void another_child_that_a_busy_segw_puts_off_is_asked_for_again_soon(void **state)
{
    Heard heard;
    (void)state;

    take_request(&heard, IKE_CREATE_CHILD_SA);
    refuse(&heard, IKE_NOTIFY_TEMPORARY_FAILURE, (Bytes){0});
    take_request(&heard, IKE_CREATE_CHILD_SA);
    grant_child(&heard, SEGW_SPI, 0x10);
    assert_first_goes_on();
    assert_int_equal(children(), 2);
}

static void another_child_that_the_segw_deletes_is_asked_for_again(void **state)
{
    Heard heard;
    (void)state;

    have_another();
    delete_from_segw(IKE_PROTOCOL_ESP, SEGW_SPI);
    take_response(&heard, IKE_INFORMATIONAL);
    take_request(&heard, IKE_CREATE_CHILD_SA);
    assert_int_equal(rekeyed_of(&heard), 0);
    grant_child(&heard, SEGW_SPI + 1, 0x10);
    assert_first_goes_on();
    assert_int_equal(spi_at(CHILD_NAMED), second + 1);
}

/* It is not all made anew for that. */
static void the_first_child_that_the_segw_deletes_is_asked_for_where_another_is_left(void **state)
{
    Heard heard;
    (void)state;

    have_another();
    delete_from_segw(IKE_PROTOCOL_ESP, STAGE_SPI_OUT);
    take_response(&heard, IKE_INFORMATIONAL);
    take_request(&heard, IKE_CREATE_CHILD_SA);
    assert_int_equal(lingering(), 0); /* it would go on sending */
    grant_child(&heard, SEGW_SPI + 1, 0x10);
    stage_settle(&f.stage);
    assert_int_equal(spi_at(CHILD_FIRST), second + 1);
    assert_int_equal(spi_at(CHILD_NAMED), second);
    assert_int_equal(f.told.times_established, 1);
}

/* The first one is rekeyed by us, and lingers in tred beside the new one. */
static void rekey_first(uint32_t spi)
{
    const size_t before = f.n_deleted;
    Heard heard;

    connection_child_due(f.connection, spi_at(CHILD_FIRST), false);
    take_request(&heard, IKE_CREATE_CHILD_SA);
    grant_child(&heard, spi, 0x90);
    while (f.n_deleted == before)
        stage_turn(&f.stage);
    stage_settle(&f.stage);
    assert_int_equal(lingering(), before + 1);
}

/* Each of them in its turn; tred would go on sending by them beside the other. */
static void what_lingers_goes_with_what_took_its_place(void **state)
{
    Heard heard, answer;
    (void)state;

    have_another();
    rekey_first(SEGW_SPI + 1);
    rekey_first(SEGW_SPI + 2);
    connection_child_due(f.connection, second, false);
    take_request(&heard, IKE_CREATE_CHILD_SA);
    delete_from_segw(IKE_PROTOCOL_ESP, SEGW_SPI + 2);
    take_response(&answer, IKE_INFORMATIONAL);
    assert_int_equal(lingering(), 0);
    assert_int_equal(children(), 1);
    assert_int_equal(stage_children(&f.stage), 1);
    refuse(&heard, IKE_NOTIFY_NO_ADDITIONAL_SAS, (Bytes){0});
    while (f.n_deleted < 3)
        stage_turn(&f.stage);
    stage_settle(&f.stage);
    assert_int_equal(f.deleted[2], second);
}

static void what_one_delete_names_with_what_took_its_place_does_not_linger(void **state)
{
    const IkeDelete both = {IKE_PROTOCOL_ESP, 2, {STAGE_SPI_OUT, SEGW_SPI + 1}};
    Heard heard;
    Draft draft;
    (void)state;

    have_another();
    rekey_child(STAGE_SPI_OUT, SEGW_SPI + 1, IKE_GROUP_NONE, 0x90);
    take_response(&heard, IKE_CREATE_CHILD_SA);
    assert_int_equal(children(), 3);
    draft_begin(&draft);
    ike_chain_add_delete(&draft.chain, &both);
    request(IKE_INFORMATIONAL, &draft);
    take_response(&heard, IKE_INFORMATIONAL);
    take_request(&heard, IKE_CREATE_CHILD_SA);
    assert_int_equal(lingering(), 0);
    assert_int_equal(children(), 1);
}

static void another_child_keeps_its_place_when_it_is_rekeyed_by_either_side(void **state)
{
    Heard heard;
    (void)state;

    have_another();
    connection_child_due(f.connection, second, false);
    take_request(&heard, IKE_CREATE_CHILD_SA);
    assert_int_equal(rekeyed_of(&heard), second);
    grant_child(&heard, SEGW_SPI + 1, 0x10);
    stage_settle(&f.stage);
    assert_int_equal(spi_at(CHILD_NAMED), second + 1);
    rekey_child(SEGW_SPI + 1, SEGW_SPI + 2, IKE_GROUP_NONE, 0x10);
    take_response(&heard, IKE_CREATE_CHILD_SA);
    assert_int_equal(error_of(&heard), 0);
    delete_from_segw(IKE_PROTOCOL_ESP, SEGW_SPI + 1);
    take_response(&heard, IKE_INFORMATIONAL);
    assert_first_goes_on();
    assert_int_equal(spi_at(CHILD_NAMED), second + 2);
}

static void another_child_whose_rekeying_is_refused_is_deleted_and_the_first_goes_on(void **state)
{
    Heard heard;
    (void)state;

    have_another();
    connection_child_due(f.connection, second, false);
    take_request(&heard, IKE_CREATE_CHILD_SA);
    refuse(&heard, IKE_NOTIFY_NO_ADDITIONAL_SAS, (Bytes){0});
    assert_first_goes_on();
    assert_deleted(second);
    assert_non_null(strstr(missing(CHILD_NAMED), "rekeying"));
}

static void another_child_that_tred_does_not_take_is_deleted_at_the_segw(void **state)
{
    Heard heard;
    (void)state;

    f.stage.refuse[TRE_ADD_CHILD] = "SelectorsNotAllowed";
    f.stage.refusals[TRE_ADD_CHILD] = 1;
    take_request(&heard, IKE_CREATE_CHILD_SA);
    grant_child(&heard, SEGW_SPI, 0x10);
    assert_first_goes_on();
    assert_deleted(second);
    assert_non_null(strstr(missing(CHILD_NAMED), "SelectorsNotAllowed"));
}

/* RFC 4301 4.1: the same selectors, and the DSCPs that it is to send told to tred before. */
static void a_child_for_dscps_has_the_selectors_of_the_first_and_tred_is_told_before(void **state)
{
    char text[SELECTORS_TEXT_SIZE], expected[SELECTORS_TEXT_SIZE];
    ConnectionInfo now;
    Heard heard;
    IkeTs ts;
    (void)state;

    assert_int_equal(stage_dscps(&f.stage, first), 0);
    take_request(&heard, IKE_CREATE_CHILD_SA);
    assert_int_equal(f.stage.dscps[1], voice);
    info(&now);
    take_selectors(&heard, IKE_PAYLOAD_TSI, &ts);
    assert_string_equal(selectors_text(&ts, text),
                        selectors_text(&now.sa.children->answer.ts_i, expected));
    take_selectors(&heard, IKE_PAYLOAD_TSR, &ts);
    assert_string_equal(selectors_text(&ts, text),
                        selectors_text(&now.sa.children->answer.ts_r, expected));
    grant_child(&heard, SEGW_SPI, 0x10);
    assert_first_goes_on();
    assert_int_equal(stage_dscps(&f.stage, second), voice);
}

static void a_child_for_dscps_keeps_them_when_it_is_rekeyed_by_either_side(void **state)
{
    Heard heard;
    (void)state;

    have_another();
    connection_child_due(f.connection, second, false);
    take_request(&heard, IKE_CREATE_CHILD_SA);
    grant_child(&heard, SEGW_SPI + 1, 0x10);
    stage_settle(&f.stage);
    assert_int_equal(stage_dscps(&f.stage, second + 1), voice);
    rekey_child(SEGW_SPI + 1, SEGW_SPI + 2, IKE_GROUP_NONE, 0x10);
    take_response(&heard, IKE_CREATE_CHILD_SA);
    assert_int_equal(stage_dscps(&f.stage, second + 2), voice);
    delete_from_segw(IKE_PROTOCOL_ESP, SEGW_SPI + 1);
    take_response(&heard, IKE_INFORMATIONAL);
    assert_first_goes_on();
    rekey_child(STAGE_SPI_OUT, SEGW_SPI + 3, IKE_GROUP_NONE, 0x10);
    take_response(&heard, IKE_CREATE_CHILD_SA);
    assert_int_equal(stage_dscps(&f.stage, second + 3), 0); /* the first one has none to keep */
}

/* The SeGW's Delete of the old one comes while we ask for the new one. */
static void a_child_for_dscps_keeps_them_when_the_old_one_goes_meanwhile(void **state)
{
    Heard heard, other;
    (void)state;

    have_another();
    connection_child_due(f.connection, second, false);
    take_request(&heard, IKE_CREATE_CHILD_SA);
    delete_from_segw(IKE_PROTOCOL_ESP, SEGW_SPI);
    take_response(&other, IKE_INFORMATIONAL);
    grant_child(&heard, SEGW_SPI + 1, 0x10);
    assert_first_goes_on();
    assert_int_equal(spi_at(CHILD_NAMED), second + 1);
    assert_int_equal(stage_dscps(&f.stage, second + 1), voice);
}

static void a_child_for_dscps_that_the_segw_has_lost_keeps_them(void **state)
{
    Heard heard;
    (void)state;

    have_another();
    connection_child_due(f.connection, second, false);
    take_request(&heard, IKE_CREATE_CHILD_SA);
    refuse(&heard, IKE_NOTIFY_CHILD_SA_NOT_FOUND, (Bytes){0});
    take_request(&heard, IKE_CREATE_CHILD_SA);
    assert_int_equal(rekeyed_of(&heard), 0);
    grant_child(&heard, SEGW_SPI + 1, 0x10);
    assert_first_goes_on();
    assert_int_equal(stage_dscps(&f.stage, spi_at(CHILD_NAMED)), voice);
}

/* Nothing is promised to the SeGW before tred knows what the new one is to send. */
static void a_child_for_dscps_is_not_replaced_by_one_that_does_not_have_them(void **state)
{
    Heard heard;
    (void)state;

    have_another();
    f.stage.refuse[TRE_SET_DSCPS] = "DataPlaneFailed";
    rekey_child(SEGW_SPI, SEGW_SPI + 1, IKE_GROUP_NONE, 0x10);
    take_response(&heard, IKE_CREATE_CHILD_SA);
    assert_int_equal(error_of(&heard), IKE_NOTIFY_NO_ADDITIONAL_SAS);
    assert_first_goes_on();
    assert_int_equal(spi_at(CHILD_NAMED), second);
}

/* The SeGW is not asked for what nobody could use. */
static void a_child_for_dscps_that_the_data_plane_can_not_choose_is_not_asked_for(void **state)
{
    (void)state;
    assert_first_goes_on();
    assert_int_equal(children(), 1);
    assert_non_null(strstr(missing(CHILD_NAMED), "DataPlaneFailed"));
    assert_int_equal(stage_count(&f.stage, TRE_REMOVE_CHILD), 1); /* the SPI is given back */
}

static void another_child_goes_over_to_a_new_ike_sa(void **state)
{
    Heard heard;
    (void)state;

    have_another();
    connection_rekey(f.connection, true);
    take_request(&heard, IKE_CREATE_CHILD_SA);
    grant_ike(&heard, SEGW_IKE_SPI, 0x10);
    assert_first_goes_on();
    assert_int_equal(spi_at(CHILD_NAMED), second);
    assert_int_equal(children(), 2);
}

/* ---- both at once (RFC 7296 2.8.1) ---- */

/* The lowest of the four nonces: of our request, of our answer, of the SeGW's request, or of its
 * answer. The SA of the exchange that has it goes. */
typedef enum Nonces { NI_OURS, NR_OURS, NI_SEGW, NR_SEGW, NONCES } Nonces;

static bool ours_goes(Nonces lowest)
{
    return lowest == NI_OURS || lowest == NR_SEGW;
}

/* The other nonce of that exchange is the highest: whoever leaves one of the two out of account
 * sees the other exchange's as the lowest. */
static uint8_t nonce(Nonces which, Nonces lowest)
{
    if (which == lowest)
        return 0x01;
    return (uint8_t)((ours_goes(which) == ours_goes(lowest) ? 0xf0 : 0x80) + which);
}

/* Our request is out, the SeGW's comes, and is answered; then its answer to ours. */
static void cross_children(Nonces lowest, Heard *ret_ours)
{
    Heard heard;

    f.stage.nonce = nonce(NI_OURS, lowest);
    begin_child(ret_ours);
    f.stage.nonce = nonce(NR_OURS, lowest);
    the_segw_rekeys(nonce(NI_SEGW, lowest), &heard);
    assert_int_equal(error_of(&heard), 0);
}

static void finish_children(Nonces lowest)
{
    const uint32_t ours = second, theirs = second + 1;
    Heard heard;

    if (ours_goes(lowest)) {
        /* We delete ours, and the SeGW the old one. */
        assert_deleted(ours);
        assert_int_equal(f.stage.sending, first);
        delete_from_segw(IKE_PROTOCOL_ESP, STAGE_SPI_OUT);
        assert_left(theirs);
    } else {
        assert_deleted(first);
        assert_int_equal(f.stage.sending, ours);
        f.stage.sending = theirs; /* it has sent by that one, and so does tred */
        delete_from_segw(IKE_PROTOCOL_ESP, SEGW_SPI);
        take_response(&heard, IKE_INFORMATIONAL);
        assert_int_equal(f.stage.sending, ours);
        assert_left(ours);
    }
}

static void of_two_new_children_that_with_the_lowest_nonce_goes(Nonces lowest)
{
    Heard ours;

    cross_children(lowest, &ours);
    grant_child(&ours, SEGW_SPI + 1, nonce(NR_SEGW, lowest));
    stage_settle(&f.stage);
    finish_children(lowest);
}

static void our_childs_request_has_the_lowest_nonce(void **state)
{
    (void)state;
    of_two_new_children_that_with_the_lowest_nonce_goes(NI_OURS);
}

static void our_childs_answer_has_the_lowest_nonce(void **state)
{
    (void)state;
    of_two_new_children_that_with_the_lowest_nonce_goes(NR_OURS);
}

static void the_segws_request_for_a_child_has_the_lowest_nonce(void **state)
{
    (void)state;
    of_two_new_children_that_with_the_lowest_nonce_goes(NI_SEGW);
}

static void the_segws_answer_for_a_child_has_the_lowest_nonce(void **state)
{
    (void)state;
    of_two_new_children_that_with_the_lowest_nonce_goes(NR_SEGW);
}

/* Nor does the old one for either. */
static void of_two_new_children_that_go_neither_lingers_for_the_other(void **state)
{
    Heard ours, heard;
    (void)state;

    have_another();
    f.stage.nonce = nonce(NI_OURS, NI_OURS);
    begin_child(&ours);
    f.stage.nonce = nonce(NR_OURS, NI_OURS);
    rekey_child(STAGE_SPI_OUT, SEGW_SPI + 1, IKE_GROUP_NONE, nonce(NI_SEGW, NI_OURS));
    take_response(&heard, IKE_CREATE_CHILD_SA);
    grant_child(&ours, SEGW_SPI + 2, nonce(NR_SEGW, NI_OURS));
    while (f.n_deleted == 0)
        stage_turn(&f.stage);
    stage_settle(&f.stage);
    assert_int_equal(lingering(), 1); /* ours */
    delete_from_segw(IKE_PROTOCOL_ESP, STAGE_SPI_OUT);
    take_response(&heard, IKE_INFORMATIONAL);
    assert_int_equal(lingering(), 2);
    delete_from_segw(IKE_PROTOCOL_ESP, SEGW_SPI + 1);
    take_response(&heard, IKE_INFORMATIONAL);
    assert_int_equal(lingering(), 0);
}

/* It is in standby, as nothing has come by it, and its first packet would have it send. */
static void a_redundant_child_does_not_linger_where_ours_was_replaced_meanwhile(void **state)
{
    Heard heard;
    (void)state;

    cross_children(NI_SEGW, &heard);
    grant_child(&heard, SEGW_SPI + 1, nonce(NR_SEGW, NI_SEGW));
    stage_settle(&f.stage);
    assert_deleted(first);
    connection_child_due(f.connection, second, false); /* ours */
    take_request(&heard, IKE_CREATE_CHILD_SA);
    grant_child(&heard, SEGW_SPI + 2, 0x90);
    while (f.n_deleted < 2)
        stage_turn(&f.stage);
    stage_settle(&f.stage);
    assert_int_equal(lingering(), 2); /* the first one and ours */
    delete_from_segw(IKE_PROTOCOL_ESP, SEGW_SPI);
    take_response(&heard, IKE_INFORMATIONAL);
    stage_settle(&f.stage);
    assert_int_equal(lingering(), 2);
    assert_int_equal(stage_children(&f.stage), 3);
}

/* tred is at the answer to the SeGW's request when the answer to ours comes: only then is it known
 * which is to be deleted. */
static void the_answer_to_ours_overtakes(Nonces lowest)
{
    Heard ours, heard;

    f.stage.nonce = nonce(NI_OURS, lowest);
    begin_child(&ours);
    f.stage.nonce = nonce(NR_OURS, lowest);
    f.stage.held[TRE_ALLOCATE_SPI] = true;
    rekey_child(STAGE_SPI_OUT, SEGW_SPI, IKE_GROUP_NONE, nonce(NI_SEGW, lowest));
    stage_settle(&f.stage);
    grant_child(&ours, SEGW_SPI + 1, nonce(NR_SEGW, lowest));
    stage_settle(&f.stage);
    assert_true(has_child(second));
    assert_int_equal(f.n_deleted, 0);
    stage_release(&f.stage, TRE_ALLOCATE_SPI);
    take_response(&heard, IKE_CREATE_CHILD_SA);
    assert_int_equal(error_of(&heard), 0);
    stage_settle(&f.stage);
    finish_children(lowest);
}

static void our_child_is_there_first_and_goes(void **state)
{
    (void)state;
    the_answer_to_ours_overtakes(NI_OURS);
}

static void our_child_is_there_first_and_stays(void **state)
{
    (void)state;
    the_answer_to_ours_overtakes(NR_OURS);
}

/* The SeGW has not seen our request, rekeys and deletes; then it gets ours (2.8.1, second part). */
static void a_request_for_a_child_that_the_segw_has_replaced_is_forgotten(void **state)
{
    Heard ours, heard;
    (void)state;

    cross_children(NI_OURS, &ours);
    delete_from_segw(IKE_PROTOCOL_ESP, STAGE_SPI_OUT);
    take_response(&heard, IKE_INFORMATIONAL);
    assert_non_null(ike_payloads_find(&heard.payloads, IKE_PAYLOAD_DELETE));
    refuse(&ours, IKE_NOTIFY_CHILD_SA_NOT_FOUND, (Bytes){0});
    assert_left(second + 1);
    assert_int_equal(f.n_deleted, 0);
    assert_int_equal(f.n_heard, 0);
}

static void a_request_for_a_child_that_the_segw_is_closing_is_forgotten(void **state)
{
    Heard ours;
    (void)state;

    cross_children(NI_OURS, &ours);
    refuse(&ours, IKE_NOTIFY_TEMPORARY_FAILURE, (Bytes){0});
    stage_settle(&f.stage);
    delete_from_segw(IKE_PROTOCOL_ESP, STAGE_SPI_OUT);
    assert_left(second + 1);
    assert_int_equal(f.n_deleted, 0);
}

/* ---- rekeying against deleting (2.25.1) ---- */

static void a_child_that_we_delete_is_not_rekeyed(void **state)
{
    Heard heard;
    (void)state;

    f.silent = true; /* our Delete stays open */
    begin_child(&heard);
    grant_child(&heard, SEGW_SPI, 0x90);
    stage_settle(&f.stage);
    assert_deleted(first);
    rekey_child(STAGE_SPI_OUT, SEGW_SPI + 1, IKE_GROUP_NONE, 0x10);
    take_response(&heard, IKE_CREATE_CHILD_SA);
    assert_int_equal(error_of(&heard), IKE_NOTIFY_TEMPORARY_FAILURE);
}

static void a_delete_of_a_child_that_we_delete_is_answered_without_one(void **state)
{
    Heard heard;
    (void)state;

    f.silent = true;
    begin_child(&heard);
    grant_child(&heard, SEGW_SPI, 0x90);
    stage_settle(&f.stage);
    delete_from_segw(IKE_PROTOCOL_ESP, STAGE_SPI_OUT);
    take_response(&heard, IKE_INFORMATIONAL);
    assert_null(ike_payloads_find(&heard.payloads, IKE_PAYLOAD_DELETE));
}

static void a_delete_of_a_child_that_we_rekey_is_answered_with_one(void **state)
{
    Heard ours, heard;
    (void)state;

    begin_child(&ours);
    delete_from_segw(IKE_PROTOCOL_ESP, STAGE_SPI_OUT);
    take_response(&heard, IKE_INFORMATIONAL);
    assert_non_null(ike_payloads_find(&heard.payloads, IKE_PAYLOAD_DELETE));
    assert_int_equal(children(), 0);
    grant_child(&ours, SEGW_SPI, 0x90);
    stage_settle(&f.stage);
    assert_true(has_child(second));
    assert_int_equal(f.n_deleted, 0);
}

static void a_child_that_is_being_replaced_by_the_segw_is_not_rekeyed_twice(void **state)
{
    Heard heard;
    (void)state;

    the_segw_rekeys(0x10, &heard);
    rekey_child(STAGE_SPI_OUT, SEGW_SPI + 1, IKE_GROUP_NONE, 0x10);
    take_response(&heard, IKE_CREATE_CHILD_SA);
    assert_int_equal(error_of(&heard), IKE_NOTIFY_TEMPORARY_FAILURE);
    connection_child_due(f.connection, first, false);
    stage_settle(&f.stage);
    assert_int_equal(f.n_heard, 0);
}

/* ---- the IKE SA, by us ---- */

static void begin_ike(Heard *ret)
{
    connection_rekey(f.connection, true);
    take_request(ret, IKE_CREATE_CHILD_SA);
    assert_int_equal(rekeyed_of(ret), 0);
    assert_int_equal(ke_group_of(ret), IKE_GROUP_ECP_256);
}

static void assert_inherited(size_t exchange)
{
    stage_settle(&f.stage);
    assert_int_equal(f.stage.children[0].exchange, exchange);
    assert_int_equal(stage_count(&f.stage, TRE_INHERIT_CHILDREN), 1);
    assert_left(first);
}

/* tred moves so many at a time, and meanwhile the one that waits is replaced. */
static void a_move_that_waits_while_the_ike_sa_is_rekeyed_is_made_by_the_new_one(void **state)
{
    Heard heard;
    (void)state;

    f.stage.shared_address = "127.0.0.1";
    f.stage.refuse[TRE_MOVE_TRANSPORT] = "OutOfResources";
    connection_look_around(f.connection);
    stage_settle(&f.stage);
    assert_int_equal(stage_count(&f.stage, TRE_MOVE_TRANSPORT), 1);
    begin_ike(&heard);
    f.stage.refuse[TRE_MOVE_TRANSPORT] = NULL;
    grant_ike(&heard, SEGW_IKE_SPI, 0x90);
    while (f.stage.done[TRE_MOVE_TRANSPORT] == 0)
        stage_turn(&f.stage);
    assert_inherited(1);
    assert_int_equal(f.told.times_established, 1);
}

/* The SeGW was asked for a new IKE SA before the move, and tells of it after that. */
static void a_move_that_the_segw_was_not_told_of_is_told_by_the_new_ike_sa(void **state)
{
    Heard heard;
    (void)state;

    begin_ike(&heard);
    f.stage.shared_address = "127.0.0.1";
    connection_look_around(f.connection);
    stage_settle(&f.stage);
    assert_int_equal(f.stage.done[TRE_MOVE_TRANSPORT], 1);
    assert_int_equal(f.updated_spi, 0);
    take_request(&heard, IKE_CREATE_CHILD_SA); /* again, from there */
    grant_ike(&heard, SEGW_IKE_SPI, 0x90);
    assert_inherited(1);
    assert_int_equal(f.updated_spi, f.stage.exchanges[1].spi_i);
    assert_int_equal(f.stage.done[TRE_MOVE_TRANSPORT], 1);
}

static void an_ike_sa_that_we_rekey_leaves_its_children_to_the_new_one_and_is_deleted(void **state)
{
    Heard heard;
    (void)state;

    begin_ike(&heard);
    assert_int_equal(f.deleted_ike, 0);
    grant_ike(&heard, SEGW_IKE_SPI, 0x90);
    assert_inherited(1);
    assert_int_equal(f.deleted_ike, 1);
    assert_int_equal(f.deleted_ike_spi, STAGE_SPI_I);
    assert_true(f.stage.exchanges[0].closed);
    assert_false(f.stage.exchanges[1].closed);
}

static void what_was_deleted_goes_on_receiving_in_the_new_ike_sa_for_its_while(void **state)
{
    Heard heard;
    (void)state;

    begin_child(&heard);
    grant_child(&heard, SEGW_SPI, 0x90);
    while (f.n_deleted == 0)
        stage_turn(&f.stage);
    begin_ike(&heard);
    grant_ike(&heard, SEGW_IKE_SPI, 0x90);
    assert_left(second);
    assert_int_equal(f.stage.children[0].exchange, 1);
    assert_int_equal(lingering(), 1);
    while (lingering() > 0)
        stage_turn(&f.stage);
    assert_left(second);
    assert_int_equal(f.n_heard, 0);
}

static void the_new_ike_sa_has_its_own_spis_and_numbers(void **state)
{
    Heard heard;
    Draft draft;
    (void)state;

    begin_ike(&heard);
    const uint64_t spi = spi_of(&heard);
    grant_ike(&heard, SEGW_IKE_SPI, 0x90);
    assert_inherited(1);
    connection_rekey(f.connection, false);
    take_request(&heard, IKE_CREATE_CHILD_SA);
    assert_int_equal(heard.header.spi_i, spi);
    assert_int_equal(heard.header.spi_r, SEGW_IKE_SPI);
    assert_int_equal(heard.header.message_id, 0);
    assert_true(heard.header.flags & IKE_FLAG_INITIATOR);
    grant_child(&heard, SEGW_SPI, 0x90);
    stage_settle(&f.stage);
    assert_deleted(first);
    /* The SeGW's first request on it. */
    draft_begin(&draft);
    stage_send_sealed_on(&f.stage, spi, SEGW_IKE_SPI, false, IKE_INFORMATIONAL, false, 0, &draft);
    take_response(&heard, IKE_INFORMATIONAL);
    assert_int_equal(heard.header.message_id, 0);
}

/* It answers by what IKE_AUTH granted on the one before: selectors, and the inner addresses. */
static void in_an_ike_sa_that_we_rekeyed_another_child_is_made_within_what_there_is(void **state)
{
    ConnectionInfo now;
    Heard heard;
    Draft draft;
    (void)state;

    begin_ike(&heard);
    const uint64_t spi = spi_of(&heard);
    grant_ike(&heard, SEGW_IKE_SPI, 0x90);
    assert_inherited(1);
    draft_begin(&draft);
    draft_child(&draft, SEGW_SPI, IKE_GROUP_NONE, 0x10);
    stage_send_sealed_on(&f.stage, spi, SEGW_IKE_SPI, false, IKE_CREATE_CHILD_SA, false, 0, &draft);
    take_response(&heard, IKE_CREATE_CHILD_SA);
    assert_int_equal(error_of(&heard), 0);
    stage_settle(&f.stage);
    assert_int_equal(children(), 2);
    info(&now);
    for (const ChildSa *child = now.sa.children; child; child = child->next) {
        assert_int_equal(child->answer.n_addresses, 1);
        assert_memory_equal(child->answer.addresses[0].octets, f.stage.address, 4);
    }
}

static void the_suite_of_the_new_ike_sa_is_shown(void **state)
{
    ConnectionInfo now;
    Heard heard;
    (void)state;

    f.stage.suite = "x";
    begin_ike(&heard);
    grant_ike(&heard, SEGW_IKE_SPI, 0x90);
    assert_inherited(1);
    info(&now);
    assert_string_equal(now.sa.suite, "AES_GCM_16_128/PRF_HMAC_SHA2_256/ECP_256");
    assert_string_equal(now.sa.segw_identity, "segw.example");
    assert_true(now.sa.established);
}

static void a_group_that_the_segw_asks_for_in_ike_is_taken_the_next_time(void **state)
{
    static const uint8_t group[] = {0, IKE_GROUP_ECP_384};
    Heard heard;
    (void)state;

    begin_ike(&heard);
    refuse(&heard, IKE_NOTIFY_INVALID_KE_PAYLOAD, BYTES_OF(group));
    take_request(&heard, IKE_CREATE_CHILD_SA);
    assert_int_equal(ke_group_of(&heard), IKE_GROUP_ECP_384);
    grant_ike(&heard, SEGW_IKE_SPI, 0x90);
    assert_inherited(1);
}

static void
an_ike_sa_that_the_segw_does_not_rekey_is_replaced_by_another_authentication(void **state)
{
    Heard heard;
    (void)state;

    f.told.established = false;
    begin_ike(&heard);
    refuse(&heard, IKE_NOTIFY_NO_ADDITIONAL_SAS, (Bytes){0});
    stage_run_until(&f.stage, &f.told.established);
    assert_int_equal(stage_count(&f.stage, TRE_BEGIN), 2);
}

static void a_child_that_is_due_meanwhile_is_rekeyed_in_the_new_ike_sa(void **state)
{
    Heard heard;
    (void)state;

    begin_ike(&heard);
    connection_child_due(f.connection, first, false);
    grant_ike(&heard, SEGW_IKE_SPI, 0x90);
    take_request(&heard, IKE_CREATE_CHILD_SA);
    assert_int_equal(heard.header.spi_r, SEGW_IKE_SPI);
    assert_int_equal(rekeyed_of(&heard), first);
}

/* ---- the IKE SA, by the SeGW ---- */

static void the_segw_rekeys_ike(uint8_t nonce_, Heard *ret)
{
    rekey_ike(SEGW_IKE_SPI, nonce_);
    take_response(ret, IKE_CREATE_CHILD_SA);
}

static void an_ike_sa_that_the_segw_rekeys_leaves_its_children_and_the_segw_deletes_it(void **state)
{
    Heard heard;
    (void)state;

    the_segw_rekeys_ike(0x10, &heard);
    assert_int_equal(error_of(&heard), 0);
    assert_int_equal(ke_group_of(&heard), IKE_GROUP_ECP_256);
    assert_inherited(1);
    assert_false(f.stage.exchanges[0].closed);
    assert_int_equal(f.deleted_ike, 0);
    delete_from_segw(IKE_PROTOCOL_IKE, 0);
    assert_left(first);
    assert_true(f.stage.exchanges[0].closed);
    assert_int_equal(f.deleted_ike, 0);
}

static void a_delete_whose_answer_was_lost_is_answered_again(void **state)
{
    Heard heard, again;
    (void)state;

    the_segw_rekeys_ike(0x10, &heard);
    stage_settle(&f.stage);
    delete_from_segw(IKE_PROTOCOL_IKE, 0);
    take_response(&heard, IKE_INFORMATIONAL);
    assert_true(f.stage.exchanges[0].closed);
    f.next_id--;
    delete_from_segw(IKE_PROTOCOL_IKE, 0);
    take_response(&again, IKE_INFORMATIONAL);
    assert_int_equal(heard.header.length, again.header.length);
    assert_memory_equal(heard.octets, again.octets, heard.header.length);
    assert_left(first);
}

static void in_an_ike_sa_that_the_segw_made_it_is_the_initiator(void **state)
{
    Heard heard;
    Draft draft;
    (void)state;

    the_segw_rekeys_ike(0x10, &heard);
    const uint64_t spi = spi_of(&heard);
    stage_settle(&f.stage);
    draft_begin(&draft);
    stage_send_sealed_on(&f.stage, SEGW_IKE_SPI, spi, true, IKE_INFORMATIONAL, false, 0, &draft);
    take_response(&heard, IKE_INFORMATIONAL);
    assert_false(heard.header.flags & IKE_FLAG_INITIATOR);
    assert_int_equal(heard.header.spi_i, SEGW_IKE_SPI);
    /* The flag of the other side is another's. */
    stage_send_sealed_on(&f.stage, SEGW_IKE_SPI, spi, false, IKE_INFORMATIONAL, false, 1, &draft);
    stage_settle(&f.stage);
    assert_int_equal(f.n_heard, 0);
}

static void what_comes_on_the_old_ike_sa_is_still_answered(void **state)
{
    Heard heard;
    Draft draft;
    (void)state;

    the_segw_rekeys_ike(0x10, &heard);
    stage_settle(&f.stage);
    draft_begin(&draft);
    request(IKE_INFORMATIONAL, &draft);
    take_response(&heard, IKE_INFORMATIONAL);
    rekey_child(STAGE_SPI_OUT, SEGW_SPI, IKE_GROUP_NONE, 0x10);
    take_response(&heard, IKE_CREATE_CHILD_SA);
    assert_int_equal(error_of(&heard), IKE_NOTIFY_TEMPORARY_FAILURE);
    rekey_ike(SEGW_IKE_SPI + 1, 0x10);
    take_response(&heard, IKE_CREATE_CHILD_SA);
    assert_int_equal(error_of(&heard), IKE_NOTIFY_TEMPORARY_FAILURE);
    /* Sent before the SeGW knew of the new IKE SA (2.25.2). */
    delete_from_segw(IKE_PROTOCOL_ESP, STAGE_SPI_OUT);
    take_response(&heard, IKE_INFORMATIONAL);
    assert_non_null(ike_payloads_find(&heard.payloads, IKE_PAYLOAD_DELETE));
    stage_settle(&f.stage);
    assert_int_equal(stage_children(&f.stage), 0);
}

static void an_ike_sa_is_not_rekeyed_while_we_rekey_a_child(void **state)
{
    Heard ours, heard;
    (void)state;

    begin_child(&ours);
    the_segw_rekeys_ike(0x10, &heard);
    assert_int_equal(error_of(&heard), IKE_NOTIFY_TEMPORARY_FAILURE);
    grant_child(&ours, SEGW_SPI, 0x90);
    assert_left(second);
}

static void a_child_is_not_rekeyed_while_we_rekey_the_ike_sa(void **state)
{
    Heard ours, heard;
    (void)state;

    begin_ike(&ours);
    the_segw_rekeys(0x10, &heard);
    assert_int_equal(error_of(&heard), IKE_NOTIFY_TEMPORARY_FAILURE);
    delete_from_segw(IKE_PROTOCOL_ESP, STAGE_SPI_OUT); /* this is done, though */
    take_response(&heard, IKE_INFORMATIONAL);
    assert_non_null(ike_payloads_find(&heard.payloads, IKE_PAYLOAD_DELETE));
}

static void an_ike_sa_that_is_being_closed_is_not_rekeyed(void **state)
{
    Heard heard;
    (void)state;

    f.silent = true;
    connection_close(f.connection);
    stage_settle(&f.stage);
    the_segw_rekeys_ike(0x10, &heard);
    assert_int_equal(error_of(&heard), IKE_NOTIFY_TEMPORARY_FAILURE);
}

/* ---- both at once (RFC 7296 2.8.2) ---- */

static void cross_ike(Nonces lowest, Heard *ret_ours)
{
    Heard heard;

    f.stage.nonce = nonce(NI_OURS, lowest);
    begin_ike(ret_ours);
    f.stage.nonce = nonce(NR_OURS, lowest);
    the_segw_rekeys_ike(nonce(NI_SEGW, lowest), &heard);
    assert_int_equal(error_of(&heard), 0);
    stage_settle(&f.stage);
    assert_int_equal(stage_count(&f.stage, TRE_INHERIT_CHILDREN), 0); /* nobody knows who, yet */
}

/* The SeGW's new IKE SA is the second exchange of tred's, and ours the third. */
static void of_two_new_ike_sas_that_with_the_lowest_nonce_goes(Nonces lowest)
{
    const size_t theirs = 1, ours = 2;
    Heard heard;

    cross_ike(lowest, &heard);
    const uint64_t spi = spi_of(&heard);
    grant_ike(&heard, SEGW_IKE_SPI + 1, nonce(NR_SEGW, lowest));
    assert_inherited(ours_goes(lowest) ? theirs : ours);
    /* Whoever made the one that stays deletes the old one, and the other that which goes. */
    assert_int_equal(f.deleted_ike, 1);
    assert_int_equal(f.deleted_ike_spi, ours_goes(lowest) ? spi : STAGE_SPI_I);
    assert_true(f.stage.exchanges[ours_goes(lowest) ? ours : 0].closed);
    assert_false(f.stage.exchanges[ours_goes(lowest) ? theirs : ours].closed);
    if (ours_goes(lowest))
        delete_from_segw(IKE_PROTOCOL_IKE, 0);
    assert_left(first);
}

static void our_ike_sas_request_has_the_lowest_nonce(void **state)
{
    (void)state;
    of_two_new_ike_sas_that_with_the_lowest_nonce_goes(NI_OURS);
}

static void our_ike_sas_answer_has_the_lowest_nonce(void **state)
{
    (void)state;
    of_two_new_ike_sas_that_with_the_lowest_nonce_goes(NR_OURS);
}

static void the_segws_request_for_an_ike_sa_has_the_lowest_nonce(void **state)
{
    (void)state;
    of_two_new_ike_sas_that_with_the_lowest_nonce_goes(NI_SEGW);
}

static void the_segws_answer_for_an_ike_sa_has_the_lowest_nonce(void **state)
{
    (void)state;
    of_two_new_ike_sas_that_with_the_lowest_nonce_goes(NR_SEGW);
}

static void a_redundant_ike_sa_of_the_segws_is_left_to_its_delete(void **state)
{
    IkeDelete delete_ = {.protocol = IKE_PROTOCOL_IKE};
    Heard heard;
    Draft draft;
    (void)state;

    cross_ike(NI_SEGW, &heard);
    grant_ike(&heard, SEGW_IKE_SPI + 1, nonce(NR_SEGW, NI_SEGW));
    assert_inherited(2);
    draft_begin(&draft);
    ike_chain_add_delete(&draft.chain, &delete_);
    stage_send_sealed_on(&f.stage, SEGW_IKE_SPI, f.stage.exchanges[1].spi_r, true,
                         IKE_INFORMATIONAL, false, 0, &draft);
    take_response(&heard, IKE_INFORMATIONAL);
    assert_left(first);
    assert_true(f.stage.exchanges[1].closed);
}

/* The SeGW has rekeyed before it saw our request (2.8.2, the special case). */
static void a_request_for_an_ike_sa_that_the_segw_deletes_is_forgotten(void **state)
{
    Heard heard;
    (void)state;

    cross_ike(NI_OURS, &heard);
    delete_from_segw(IKE_PROTOCOL_IKE, 0);
    take_response(&heard, IKE_INFORMATIONAL);
    assert_inherited(1);
    assert_true(f.stage.exchanges[0].closed);
    assert_int_equal(f.deleted_ike, 0);
}

static void a_request_for_an_ike_sa_that_the_segw_is_closing_is_forgotten(void **state)
{
    Heard heard;
    (void)state;

    cross_ike(NI_OURS, &heard);
    refuse(&heard, IKE_NOTIFY_TEMPORARY_FAILURE, (Bytes){0});
    assert_inherited(1);
    delete_from_segw(IKE_PROTOCOL_IKE, 0);
    assert_left(first);
    assert_int_equal(f.deleted_ike, 0);
}

/* tred would count it against this client for ever. */
static void what_the_segw_made_ends_with_an_ike_sa_that_is_lost_meanwhile(void **state)
{
    Heard heard;
    (void)state;

    cross_ike(NI_OURS, &heard);
    connection_lose(f.connection, "/exchange/1", "tred has closed it");
    stage_settle(&f.stage);
    assert_true(f.stage.exchanges[1].closed);
}

/* Rekeying and a Delete cross: the SeGW ends it all. */
static void a_delete_of_the_ike_sa_that_we_rekey_ends_it(void **state)
{
    Heard heard;
    (void)state;

    begin_ike(&heard);
    f.config.reconnect = false;
    delete_from_segw(IKE_PROTOCOL_IKE, 0);
    stage_run_until(&f.stage, &f.told.closed);
    assert_int_equal(stage_count(&f.stage, TRE_INHERIT_CHILDREN), 0);
}

/* We stop while it is under way: nothing is left at the SeGW. */
static void a_new_ike_sa_that_nobody_wants_any_more_is_deleted_too(void **state)
{
    Heard heard;
    (void)state;

    begin_ike(&heard);
    connection_close(f.connection);
    grant_ike(&heard, SEGW_IKE_SPI, 0x90);
    stage_run_until(&f.stage, &f.told.closed);
    assert_int_equal(f.deleted_ike, 2);
    assert_true(f.stage.exchanges[0].closed);
    assert_true(f.stage.exchanges[1].closed);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
#define TEST_WITH_VOICE(name) cmocka_unit_test_setup_teardown(name, setup_with_voice, teardown)
#define TEST_WITH_ANOTHER(name) cmocka_unit_test_setup_teardown(name, setup_with_another, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_child_that_is_due_is_replaced_and_then_deleted),
        TEST(a_child_that_was_deleted_receives_for_a_while_yet),
        TEST(of_many_that_were_deleted_the_oldest_receives_no_more),
        TEST(the_new_child_has_the_addresses_of_the_old_one),
        TEST(a_child_that_is_due_twice_is_rekeyed_once),
        TEST(a_new_child_is_rekeyed_in_its_turn),
        TEST(without_pfs_no_group_is_offered),
        TEST(with_pfs_the_group_of_the_ike_sa_is_offered_and_none_where_it_may_be),
        TEST(with_pfs_alone_a_child_without_a_key_exchange_is_not_taken),
        TEST(a_group_that_the_segw_asks_for_is_taken_the_next_time),
        TEST(a_segw_that_changes_its_group_for_ever_is_left_for_another_authentication),
        TEST(a_segw_that_does_not_rekey_is_authenticated_anew),
        TEST(a_segw_that_takes_no_proposal_is_authenticated_anew),
        TEST(an_error_that_nobody_knows_is_an_error),
        TEST(a_segw_that_is_busy_is_asked_again_later),
        TEST(a_child_that_the_segw_has_lost_is_made_from_scratch),
        TEST(a_child_with_narrower_selectors_is_not_taken),
        TEST(a_child_that_tred_does_not_take_leads_to_another_authentication),
        TEST(the_old_child_sends_until_the_segw_deletes_it),
        TEST(the_new_child_sends_before_the_segws_delete_of_the_old_one_is_answered),
        TEST(the_new_child_is_there_before_it_is_promised),
        TEST(a_rekeying_that_comes_twice_is_answered_from_memory),
        TEST(a_rekeying_that_comes_again_before_it_is_answered_is_not_begun_again),
        TEST(a_child_that_there_is_not_is_not_found),
        TEST(a_group_without_its_ke_is_asked_for),
        TEST(the_best_of_several_proposals_is_chosen_by_its_number),
        TEST(a_proposal_that_nobody_has_is_refused),
        TEST(a_request_that_lacks_a_payload_is_invalid_syntax),
        TEST(selectors_that_do_not_parse_are_invalid_syntax_and_unknown_ones_unacceptable),
        TEST(what_tred_does_not_promise_is_refused),
        TEST(another_child_is_made_within_what_there_is),
        TEST(another_child_for_other_traffic_is_refused),
        TEST(no_more_than_four_children_are_made),
        TEST_WITH_ANOTHER(another_child_that_is_configured_is_asked_for_once_the_first_is_there),
        TEST_WITH_ANOTHER(another_child_that_is_refused_is_said_and_harms_nothing),
        TEST_WITH_ANOTHER(another_child_that_a_busy_segw_puts_off_is_asked_for_again_soon),
        TEST_WITH_ANOTHER(another_child_that_the_segw_deletes_is_asked_for_again),
        TEST_WITH_ANOTHER(the_first_child_that_the_segw_deletes_is_asked_for_where_another_is_left),
        TEST_WITH_ANOTHER(what_lingers_goes_with_what_took_its_place),
        TEST_WITH_ANOTHER(what_one_delete_names_with_what_took_its_place_does_not_linger),
        TEST_WITH_ANOTHER(of_two_new_children_that_go_neither_lingers_for_the_other),
        TEST_WITH_ANOTHER(another_child_keeps_its_place_when_it_is_rekeyed_by_either_side),
        TEST_WITH_ANOTHER(another_child_whose_rekeying_is_refused_is_deleted_and_the_first_goes_on),
        TEST_WITH_ANOTHER(another_child_that_tred_does_not_take_is_deleted_at_the_segw),
        TEST_WITH_ANOTHER(another_child_goes_over_to_a_new_ike_sa),
        TEST_WITH_VOICE(a_child_for_dscps_has_the_selectors_of_the_first_and_tred_is_told_before),
        TEST_WITH_VOICE(a_child_for_dscps_keeps_them_when_it_is_rekeyed_by_either_side),
        TEST_WITH_VOICE(a_child_for_dscps_keeps_them_when_the_old_one_goes_meanwhile),
        TEST_WITH_VOICE(a_child_for_dscps_that_the_segw_has_lost_keeps_them),
        TEST_WITH_VOICE(a_child_for_dscps_is_not_replaced_by_one_that_does_not_have_them),
        cmocka_unit_test_setup_teardown(
            a_child_for_dscps_that_the_data_plane_can_not_choose_is_not_asked_for,
            setup_with_kernel_plane, teardown),
        TEST(our_childs_request_has_the_lowest_nonce),
        TEST(our_childs_answer_has_the_lowest_nonce),
        TEST(the_segws_request_for_a_child_has_the_lowest_nonce),
        TEST(the_segws_answer_for_a_child_has_the_lowest_nonce),
        TEST(a_redundant_child_does_not_linger_where_ours_was_replaced_meanwhile),
        TEST(our_child_is_there_first_and_goes),
        TEST(our_child_is_there_first_and_stays),
        TEST(a_request_for_a_child_that_the_segw_has_replaced_is_forgotten),
        TEST(a_request_for_a_child_that_the_segw_is_closing_is_forgotten),
        TEST(a_child_that_we_delete_is_not_rekeyed),
        TEST(a_delete_of_a_child_that_we_delete_is_answered_without_one),
        TEST(a_delete_of_a_child_that_we_rekey_is_answered_with_one),
        TEST(a_child_that_is_being_replaced_by_the_segw_is_not_rekeyed_twice),
        cmocka_unit_test_setup_teardown(
            a_move_that_the_segw_was_not_told_of_is_told_by_the_new_ike_sa, setup_elsewhere,
            teardown),
        cmocka_unit_test_setup_teardown(
            a_move_that_waits_while_the_ike_sa_is_rekeyed_is_made_by_the_new_one, setup_elsewhere,
            teardown),
        TEST(an_ike_sa_that_we_rekey_leaves_its_children_to_the_new_one_and_is_deleted),
        TEST(what_was_deleted_goes_on_receiving_in_the_new_ike_sa_for_its_while),
        TEST(the_new_ike_sa_has_its_own_spis_and_numbers),
        TEST(in_an_ike_sa_that_we_rekeyed_another_child_is_made_within_what_there_is),
        TEST(the_suite_of_the_new_ike_sa_is_shown),
        TEST(a_group_that_the_segw_asks_for_in_ike_is_taken_the_next_time),
        TEST(an_ike_sa_that_the_segw_does_not_rekey_is_replaced_by_another_authentication),
        TEST(a_child_that_is_due_meanwhile_is_rekeyed_in_the_new_ike_sa),
        TEST(an_ike_sa_that_the_segw_rekeys_leaves_its_children_and_the_segw_deletes_it),
        TEST(a_delete_whose_answer_was_lost_is_answered_again),
        TEST(in_an_ike_sa_that_the_segw_made_it_is_the_initiator),
        TEST(what_comes_on_the_old_ike_sa_is_still_answered),
        TEST(an_ike_sa_is_not_rekeyed_while_we_rekey_a_child),
        TEST(a_child_is_not_rekeyed_while_we_rekey_the_ike_sa),
        TEST(an_ike_sa_that_is_being_closed_is_not_rekeyed),
        TEST(our_ike_sas_request_has_the_lowest_nonce),
        TEST(our_ike_sas_answer_has_the_lowest_nonce),
        TEST(the_segws_request_for_an_ike_sa_has_the_lowest_nonce),
        TEST(the_segws_answer_for_an_ike_sa_has_the_lowest_nonce),
        TEST(a_redundant_ike_sa_of_the_segws_is_left_to_its_delete),
        TEST(a_request_for_an_ike_sa_that_the_segw_deletes_is_forgotten),
        TEST(a_request_for_an_ike_sa_that_the_segw_is_closing_is_forgotten),
        TEST(what_the_segw_made_ends_with_an_ike_sa_that_is_lost_meanwhile),
        TEST(a_delete_of_the_ike_sa_that_we_rekey_ends_it),
        TEST(a_new_ike_sa_that_nobody_wants_any_more_is_deleted_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
