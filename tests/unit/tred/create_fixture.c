#include "create_fixture.h"

#include "tred/child_policy.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { SPI_I = 0x1122334455667788, SPI_R = 0x0102030405060708 };

static const IkeTs any_ipv4 = {
    .n_selectors = 1,
    .selectors = {
        {.type = IKE_TS_IPV4_ADDR_RANGE, .end_port = UINT16_MAX, .end = {255, 255, 255, 255}}}};

int ends_group_init(void **state)
{
    (void)state;
    return secrets_init();
}

/* SK_* that both have: prf+ of a SKEYSEED that is known. */
static Exchange *end_new(Ends *ends, bool initiator)
{
    static const uint8_t nonce[] = "sixteen octets..";
    Exchange *exchange = calloc(1, sizeof(*exchange));
    Secret *skeyseed = NULL;

    assert_non_null(exchange);
    exchange->suite = (IkeSuite){
        .cipher = cipher_find(IKE_ENCR_AES_GCM_16, 128),
        .prf = prf_find(IKE_PRF_HMAC_SHA2_256),
        .group = IKE_GROUP_ECP_256,
    };
    assert_int_equal(secret_new(exchange->suite.prf->size, &skeyseed), 0);
    memset(skeyseed->data, 0x5e, skeyseed->size);
    assert_int_equal(ike_keys_derive(&exchange->suite, skeyseed, BYTES_OF(nonce), BYTES_OF(nonce),
                                     SPI_I, SPI_R, &exchange->keys),
                     0);
    secret_free(skeyseed);
    assert_int_equal(protection_new(&exchange->suite, &exchange->keys,
                                    &(ProtectionTerms){
                                        .spi_i = SPI_I,
                                        .spi_r = SPI_R,
                                        .initiator = initiator,
                                        .fragmentation = true,
                                    },
                                    &exchange->protection),
                     0);
    exchange->spi_i = SPI_I;
    exchange->spi_r = SPI_R;
    (void)snprintf(exchange->peer_identity, sizeof(exchange->peer_identity), "%s",
                   initiator ? "segw.example.org" : "henb.example.org");
    exchange->peer_expires = 12345;
    exchange->peer_path = (VerifyPath){.digest = {67}};
    exchange_enlist(exchange, &ends->context, &ends->with, EXCHANGE_VERIFIED);
    return exchange;
}

void ends_init(Ends *ends)
{
    static const DataPlaneOptions no_traffic = {.mode = DATAPLANE_NONE,
                                                .interfaces = {1, {"none0"}}};

    *ends = (Ends){0};
    assert_int_equal(dataplane_open(&no_traffic, &ends->context.dataplane, &ends->reason), 0);
    selector_policy_any(&ends->with.allowed_local);
    ends->with.allowed_remote = ends->with.allowed_local;
    ends->henb = end_new(ends, true);
    ends->segw = end_new(ends, false);
}

void ends_deinit(Ends *ends)
{
    exchange_free(ends->henb);
    exchange_free(ends->segw);
    exchange_forget_prepared(&ends->context);
    assert_null(ends->context.exchanges);
    dataplane_close(ends->context.dataplane);
}

int ends_test_init(void **state)
{
    ends_init(*state);
    return 0;
}

int ends_test_deinit(void **state)
{
    ends_deinit(*state);
    return 0;
}

static CreateSpec prepared_spec(Ends *ends, Exchange *exchange, uint16_t group, uint64_t *ret_spi)
{
    CreateSpec spec = {.group = group};
    CreateOffer offer;

    assert_int_equal(exchange_prepare_create(exchange, group, &offer, &ends->reason), 0);
    assert_int_equal(offer.nonce.size, sizeof(spec.nonce));
    memcpy(spec.nonce, offer.nonce.data, offer.nonce.size);
    spec.nonce_size = offer.nonce.size;
    if (offer.ke.size > 0)
        memcpy(spec.ke, offer.ke.data, offer.ke.size);
    spec.ke_size = offer.ke.size;
    *ret_spi = offer.spi;
    return spec;
}

CreateSpec child_spec(Ends *ends, Exchange *exchange, uint16_t group)
{
    uint64_t unused;
    CreateSpec spec = prepared_spec(ends, exchange, group, &unused);
    IkeProposal *proposal = &spec.sa.proposals[0];
    uint32_t spi_in = 0;

    assert_int_equal(exchange_allocate_spi(exchange, &spi_in, &ends->reason), 0);
    spec.sa.n_proposals = 1;
    *proposal = (IkeProposal){
        .number = 1,
        .protocol = IKE_PROTOCOL_ESP,
        .spi_size = sizeof(spi_in),
        .spi = spi_in,
        .n_transforms = 2,
        .transforms = {{.type = IKE_TRANSFORM_ENCR, .id = IKE_ENCR_AES_GCM_16, .key_length = 128},
                       {.type = IKE_TRANSFORM_ESN, .id = IKE_ESN_NO}},
    };
    if (group != IKE_GROUP_NONE) {
        proposal->transforms[proposal->n_transforms++] =
            (IkeTransform){.type = IKE_TRANSFORM_KE, .id = group};
    }
    spec.selectors = true;
    spec.ts_i = spec.ts_r = any_ipv4;
    return spec;
}

CreateSpec ike_spec(Ends *ends, Exchange *exchange, uint16_t group)
{
    uint64_t spi = 0;
    CreateSpec spec = prepared_spec(ends, exchange, group, &spi);

    spec.sa.n_proposals = 1;
    spec.sa.proposals[0] = (IkeProposal){
        .number = 1,
        .protocol = IKE_PROTOCOL_IKE,
        .spi_size = sizeof(spi),
        .spi = spi,
        .n_transforms = 3,
        .transforms = {{.type = IKE_TRANSFORM_ENCR, .id = IKE_ENCR_AES_GCM_16, .key_length = 128},
                       {.type = IKE_TRANSFORM_PRF, .id = IKE_PRF_HMAC_SHA2_256},
                       {.type = IKE_TRANSFORM_KE, .id = group}},
    };
    return spec;
}

uint64_t spec_spi(const CreateSpec *spec)
{
    return spec->sa.proposals[0].spi;
}

static void rekey_notify_write(const CreateSpec *spec, IkeChain *chain)
{
    const IkeNotify notify = {.protocol = spec->rekeyed_protocol != 0 ? spec->rekeyed_protocol
                                                                      : IKE_PROTOCOL_ESP,
                              .spi_size = sizeof(spec->rekeyed),
                              .spi = spec->rekeyed,
                              .type = IKE_NOTIFY_REKEY_SA};

    ike_chain_open(chain, IKE_PAYLOAD_NOTIFY, false);
    ike_notify_encode(chain->writer, &notify);
    ike_chain_close(chain);
}

static Bytes spec_write(const CreateSpec *spec, uint8_t *buffer, uint8_t *ret_first)
{
    IkeChain chain;
    Writer writer;
    Bytes bytes;

    writer_init(&writer, buffer, ENDS_MESSAGE_MAX);
    ike_chain_init(&chain, &writer);
    if (spec->rekeyed != 0)
        rekey_notify_write(spec, &chain);
    if (spec->notify != 0)
        ike_chain_add_notify(&chain, spec->notify, (Bytes){0});
    if (spec->sa_body.size > 0)
        ike_chain_add(&chain, IKE_PAYLOAD_SA, spec->sa_body);
    else if (spec->omit != IKE_PAYLOAD_SA && spec->sa.n_proposals > 0)
        ike_chain_add_sa(&chain, &spec->sa);
    if (spec->omit != IKE_PAYLOAD_NONCE && spec->nonce_size > 0)
        ike_chain_add(&chain, IKE_PAYLOAD_NONCE, (Bytes){spec->nonce, spec->nonce_size});
    if (spec->omit != IKE_PAYLOAD_KE && spec->group != IKE_GROUP_NONE)
        ike_chain_add_ke(&chain, spec->group, (Bytes){spec->ke, spec->ke_size});
    if (spec->omit != IKE_PAYLOAD_TSI && spec->selectors)
        ike_chain_add_ts(&chain, IKE_PAYLOAD_TSI, &spec->ts_i);
    if (spec->omit != IKE_PAYLOAD_TSR && spec->selectors)
        ike_chain_add_ts(&chain, IKE_PAYLOAD_TSR, &spec->ts_r);
    assert_int_equal(writer_finish(&writer, &bytes), 0);
    *ret_first = chain.any ? chain.first : IKE_PAYLOAD_NONE;
    return bytes;
}

int create_seal(Ends *ends, Exchange *exchange, const CreateSpec *spec, bool response,
                SealedMessage *ret)
{
    uint8_t buffer[ENDS_MESSAGE_MAX];
    PlainMessage message = {.exchange_type = IKE_CREATE_CHILD_SA, .response = response};

    message.payloads = spec_write(spec, buffer, &message.first);
    return exchange_protect(exchange, &message, ends->max_datagram > 0 ? ends->max_datagram : 65535,
                            ret, &ends->reason);
}

int create_open(Ends *ends, Exchange *exchange, const SealedMessage *sealed)
{
    OpenedMessage opened = {0};
    bool complete = false;
    int r;

    assert_int_equal(sealed->count, 1);
    r = exchange_unprotect(exchange, (Bytes){sealed->datagrams[0].data, sealed->datagrams[0].size},
                           &complete, &opened, &ends->reason);
    assert_true(r != 0 || complete);
    opened_message_deinit(&opened);
    return r;
}

static Exchange *other_end(const Ends *ends, const Exchange *exchange)
{
    return exchange == ends->henb ? ends->segw : ends->henb;
}

void create_say(Ends *ends, Exchange *to, const CreateSpec *spec, bool response)
{
    uint8_t buffer[ENDS_MESSAGE_MAX], first;
    const Bytes plain = spec_write(spec, buffer, &first);
    SealedMessage sealed = {0};

    assert_int_equal(protection_seal(other_end(ends, to)->protection, IKE_CREATE_CHILD_SA, response,
                                     first, plain, 65535, &sealed),
                     0);
    assert_int_equal(create_open(ends, to, &sealed), 0);
    sealed_message_deinit(&sealed);
}

int create_send(Ends *ends, Exchange *from, const CreateSpec *spec, bool response)
{
    SealedMessage sealed = {0};
    int r = create_seal(ends, from, spec, response, &sealed);

    if (r == 0)
        r = create_open(ends, other_end(ends, from), &sealed);
    sealed_message_deinit(&sealed);
    return r;
}

void create_both(Ends *ends, Exchange *from, const CreateSpec *request, const CreateSpec *response)
{
    if (create_send(ends, from, request, false) != 0)
        fail_msg("request: %s", ends->reason.text);
    if (create_send(ends, other_end(ends, from), response, true) != 0)
        fail_msg("response: %s", ends->reason.text);
}

static void note_done(int error, const char *reason, void *userdata)
{
    (void)reason;
    *(int *)userdata = error;
}

int child_add(Ends *ends, Exchange *exchange, uint64_t spi_in)
{
    int added = -EINPROGRESS;
    int r = exchange_add_child(exchange, (uint32_t)spi_in, note_done, &added, &ends->reason);

    return r != 0 ? r : added;
}

int child_use(Ends *ends, Exchange *exchange, uint64_t spi_in)
{
    int used = -EINPROGRESS;
    int r = exchange_use_child(exchange, (uint32_t)spi_in, note_done, &used, &ends->reason);

    return r != 0 ? r : used;
}

void wait_forever(int error, const char *reason, void *userdata)
{
    (void)error, (void)reason, (void)userdata;
    fail();
}

const Child *child_of(const Exchange *exchange, uint64_t spi_in)
{
    for (size_t i = 0; i < ELEMENTS(exchange->children); i++) {
        if (exchange->children[i].spi_in == (uint32_t)spi_in)
            return &exchange->children[i];
    }
    fail_msg("no child has the SPI 0x%08x", (unsigned)spi_in);
    return NULL;
}
