/* The other side of an exchange: a SeGW in as few lines as a handshake needs. */
#include "exchange_fixture.h"

#include "crypto/memory.h"
#include "policy/tpmsigningkey.h"
#include "tpm/open.h"
#include "tpm/storagekey.h"

#include "crypto/secret.h"
#include "tred/child_policy.h"
#include "tred/exchange_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

Bench bench;

static void anchors_write(const char *path, X509 *certificate)
{
    FILE *file = fopen(path, "w");

    assert_non_null(file);
    assert_int_equal(PEM_write_X509(file, certificate), 1);
    (void)fclose(file);
}

int tpm_key_new(const char *tcti, Tpm **ret_tpm, SigningKey **ret_key)
{
    DeviceKey *device = NULL;
    Reason reason = {0};
    TpmObject srk = {0};
    Tss2Key file;

    if (tpm_open(tcti, ret_tpm, &reason) < 0 || tpm_srk_open(*ret_tpm, true, &srk, &reason) < 0) {
        print_error("%s\n", reason.text);
        return -1;
    }
    tpm_object_release(*ret_tpm, &srk);
    if (device_key_create(*ret_tpm, TPM_KEY_ECDSA_P256, NULL, &file, &reason) < 0 ||
        device_key_load(*ret_tpm, &file, NULL, &device, &reason) < 0 ||
        tpm_signing_key_new(device, NULL, ret_key, &reason) < 0) {
        print_error("%s\n", reason.text);
        return -1;
    }
    return 0;
}

/* What tred-verify would be handed. */
static int verifier_fill(const char *anchors)
{
    static const FrameType handed[] = {FRAME_PROFILE, FRAME_ANCHORS, FRAME_COMPLETE};
    int r = service_init(&bench.verifier);

    for (size_t i = 0; r == 0 && i < ELEMENTS(handed); i++) {
        const VerifyRequest request = {.type = handed[i]};
        _cleanup_(close_fdp) int fd = handed[i] == FRAME_ANCHORS ? open(anchors, O_RDONLY) : -1;
        VerifyAnswer answer;

        service_answer(&bench.verifier, &request, fd, &answer);
        r = answer.error;
        if (r < 0)
            print_error("%s\n", answer.reason.text);
    }
    return r;
}

int bench_init(void **state)
{
    static const DataPlaneOptions no_traffic = {.mode = DATAPLANE_NONE,
                                                .interfaces = {1, {"none0"}}};
    const PkiSpec spec = pki_segw_spec(SEGW_FQDN);
    Reason reason = {0};
    char path[128];

    (void)state;
    if (memory_watch() < 0 || secrets_init() < 0 || swtpm_start(&bench.swtpm) < 0 ||
        tpm_key_new(bench.swtpm.tcti, &bench.tpm, &bench.context.signing_key) < 0)
        return -1;
    bench.root = pki_root("Root");
    bench.segw = pki_issue(&spec, &bench.root);
    (void)snprintf(path, sizeof(path), "%s/anchors.pem", bench.swtpm.folder);
    anchors_write(path, bench.root.certificate);
    if (verifier_fill(path) < 0)
        return -1;
    if (dataplane_open(&no_traffic, &bench.context.dataplane, &reason) < 0)
        return -1;
    selector_policy_any(&bench.with.allowed_local);
    bench.with.allowed_remote = bench.with.allowed_local;
    (void)snprintf(bench.name, sizeof(bench.name), "%s", SEGW_FQDN);
    bench.with.name = bench.name;
    bench.context.identity = HENB_FQDN;
    bench.context.revocation = REVOCATION_OFF;
    return 0;
}

int bench_deinit(void **state)
{
    (void)state;
    assert_null(bench.context.exchanges);
    dataplane_close(bench.context.dataplane);
    service_deinit(&bench.verifier);
    peer_key_deinit(&bench.context.peer_key);
    signing_key_free(bench.context.signing_key);
    tpm_close(bench.tpm);
    pki_deinit(&bench.segw);
    pki_deinit(&bench.root);
    swtpm_stop(&bench.swtpm);
    return 0;
}

void play_init(Play *play)
{
    *play = (Play){.group = IKE_GROUP_ECP_256, .spi_r = 0x5e60000000000001};
    assert_int_equal(
        exchange_new(&bench.context, &bench.with, play->group, &play->exchange, &play->reason), 0);
    assert_int_equal(RAND_bytes(play->nonce_r, sizeof(play->nonce_r)), 1);
    memcpy(play->nonce_i, exchange_nonce_i(play->exchange).data,
           exchange_nonce_i(play->exchange).size);
}

void play_deinit(Play *play)
{
    exchange_free(play->exchange);
    dh_free(play->dh);
    seal_free(play->seal_in);
    seal_free(play->seal_out);
    ike_keys_deinit(&play->keys);
}

IkeSaPayload play_sa(uint16_t group)
{
    return (IkeSaPayload){
        .n_proposals = 1,
        .proposals = {{
            .number = 1,
            .protocol = IKE_PROTOCOL_IKE,
            .n_transforms = 3,
            .transforms =
                {
                    {.type = IKE_TRANSFORM_ENCR, .id = IKE_ENCR_AES_GCM_16, .key_length = 128},
                    {.type = IKE_TRANSFORM_PRF, .id = IKE_PRF_HMAC_SHA2_256},
                    {.type = IKE_TRANSFORM_KE, .id = group},
                },
        }},
    };
}

InitSpec play_request_spec(const Play *play)
{
    static const uint8_t hashes[] = {0, IKE_HASH_SHA2_256, 0, IKE_HASH_SHA2_384};

    return (InitSpec){
        .header = {.spi_i = exchange_spi_i(play->exchange),
                   .exchange_type = IKE_SA_INIT,
                   .flags = IKE_FLAG_INITIATOR},
        .sa = play_sa(play->group),
        .ke = {.group = play->group, .data = exchange_ke_i(play->exchange)},
        .nonce = exchange_nonce_i(play->exchange),
        .hashes = BYTES_OF(hashes),
    };
}

static void segw_key_make(Play *play)
{
    if (play->dh && dh_group(play->dh) == play->group)
        return;
    dh_free(play->dh);
    assert_int_equal(dh_new(play->group, &play->dh), 0);
}

InitSpec play_response_spec(Play *play)
{
    static const uint8_t hashes[] = {0, IKE_HASH_SHA2_256, 0, IKE_HASH_SHA2_384};

    segw_key_make(play);
    return (InitSpec){
        .header = {.spi_i = exchange_spi_i(play->exchange),
                   .spi_r = play->spi_r,
                   .exchange_type = IKE_SA_INIT,
                   .flags = IKE_FLAG_RESPONSE},
        .sa = play_sa(play->group),
        .ke = {.group = play->group, .data = dh_public(play->dh)},
        .nonce = {play->nonce_r, 32},
        .hashes = BYTES_OF(hashes),
    };
}

Bytes init_build(const InitSpec *spec, uint8_t *buffer)
{
    IkeChain chain;
    Writer writer;
    Bytes bytes;

    writer_init(&writer, buffer, PLAY_MESSAGE_MAX);
    ike_message_begin(&writer, &spec->header, &chain);
    if (spec->omit != IKE_PAYLOAD_SA)
        ike_chain_add_sa(&chain, &spec->sa);
    if (spec->omit != IKE_PAYLOAD_KE)
        ike_chain_add_ke(&chain, spec->ke.group, spec->ke.data);
    if (spec->omit != IKE_PAYLOAD_NONCE)
        ike_chain_add(&chain, IKE_PAYLOAD_NONCE, spec->nonce);
    if (spec->fragmentation)
        ike_chain_add_notify(&chain, IKE_NOTIFY_FRAGMENTATION_SUPPORTED, (Bytes){0});
    if (spec->hashes.size > 0)
        ike_chain_add_notify(&chain, IKE_NOTIFY_SIGNATURE_HASH_ALGORITHMS, spec->hashes);
    ike_message_end(&chain);
    assert_int_equal(writer_finish(&writer, &bytes), 0);
    return bytes;
}

void play_request_build(Play *play, const InitSpec *spec)
{
    play->request = init_build(spec, play->request_data);
}

/* The SeGW's keys, which exist as soon as it has the request. */
static void segw_keys_derive(Play *play, const InitSpec *spec)
{
    const Bytes nonce_i = exchange_nonce_i(play->exchange);
    Secret *dh_secret = NULL, *skeyseed = NULL;

    play->suite = (IkeSuite){
        .cipher = cipher_find(IKE_ENCR_AES_GCM_16, 128),
        .prf = prf_find(IKE_PRF_HMAC_SHA2_256),
        .group = play->group,
    };
    ike_keys_deinit(&play->keys);
    seal_free(play->seal_in);
    seal_free(play->seal_out);
    assert_int_equal(dh_derive(play->dh, exchange_ke_i(play->exchange), &dh_secret), 0);
    assert_int_equal(skeyseed_compute(play->suite.prf, nonce_i, spec->nonce, dh_secret, &skeyseed),
                     0);
    assert_int_equal(ike_keys_derive(&play->suite, skeyseed, nonce_i, spec->nonce,
                                     exchange_spi_i(play->exchange), play->spi_r, &play->keys),
                     0);
    secret_free(dh_secret);
    secret_free(skeyseed);
    assert_int_equal(seal_new(play->suite.cipher, NULL, play->keys.sk_ei, NULL, &play->seal_in), 0);
    assert_int_equal(seal_new(play->suite.cipher, NULL, play->keys.sk_er, NULL, &play->seal_out),
                     0);
}

void play_response_build(Play *play, const InitSpec *spec)
{
    play->response = init_build(spec, play->response_data);
    segw_keys_derive(play, spec);
}

void play_agree(Play *play)
{
    const InitSpec request = play_request_spec(play);
    const InitSpec response = play_response_spec(play);

    play_request_build(play, &request);
    play_response_build(play, &response);
    if (exchange_agree(play->exchange, play->request, play->response, &play->reason) != 0)
        fail_msg("Agree: %s", play->reason.text);
}

typedef struct SignEnd {
    Play *play;
    int result;
    unsigned n_calls;
} SignEnd;

static void on_signed(Exchange *exchange, int r, const OwnAuth *auth, const char *reason,
                      void *userdata)
{
    SignEnd *end = userdata;

    assert_ptr_equal(exchange, end->play->exchange);
    end->result = r;
    end->n_calls++;
    if (r == 0)
        end->play->own = *auth;
    else
        reason_set(&end->play->reason, 0, "%s", reason);
}

int play_try_to_sign(Play *play)
{
    SignEnd end = {.play = play};
    int r = exchange_sign_auth(play->exchange, on_signed, &end, &play->reason);

    assert_int_equal(end.n_calls, r == 0); /* the bench's TPM has no loop: it ends in the call */
    return r != 0 ? r : end.result;
}

void play_sign(Play *play)
{
    if (play_try_to_sign(play) != 0)
        fail_msg("SignAuth: %s", play->reason.text);
}

static IkeSaPayload esp_sa(uint32_t spi)
{
    return (IkeSaPayload){
        .n_proposals = 1,
        .proposals = {{
            .number = 1,
            .protocol = IKE_PROTOCOL_ESP,
            .spi_size = sizeof(spi),
            .spi = spi,
            .n_transforms = 2,
            .transforms =
                {
                    {.type = IKE_TRANSFORM_ENCR, .id = IKE_ENCR_AES_GCM_16, .key_length = 128},
                    {.type = IKE_TRANSFORM_ESN, .id = IKE_ESN_NO},
                },
        }},
    };
}

void play_offer_child(Play *play)
{
    static const uint8_t address[] = {10, 0, 0, 2};
    const IkeTs any = {
        .n_selectors = 1,
        .selectors = {
            {.type = IKE_TS_IPV4_ADDR_RANGE, .end_port = UINT16_MAX, .end = {255, 255, 255, 255}}}};

    assert_int_equal(exchange_allocate_spi(play->exchange, &play->spi_in, &play->reason), 0);
    play->child_asked = (ChildTerms){
        .sa = esp_sa(play->spi_in),
        .ts_i = any,
        .ts_r = any,
        .cp = {IKE_CFG_REQUEST, 1, {{.type = IKE_CFG_INTERNAL_IP4_ADDRESS}}},
    };
    play->child_granted = (ChildTerms){
        .sa = esp_sa(0x12345678),
        .ts_i = any,
        .ts_r = any,
        .cp = {IKE_CFG_REPLY, 1, {{IKE_CFG_INTERNAL_IP4_ADDRESS, BYTES_OF(address)}}},
    };
}

/* More selectors than IkeTs holds: the first one, over and over. */
static void repeated_write(const IkeTs *ts, uint8_t count, IkeChain *chain)
{
    enum { TS_HEADER_SIZE = 4 };
    uint8_t buffer[64];
    Writer writer;
    Bytes one;

    writer_init(&writer, buffer, sizeof(buffer));
    ike_ts_encode(&writer, ts);
    assert_int_equal(ts->n_selectors, 1);
    assert_int_equal(writer_finish(&writer, &one), 0);
    ike_chain_open(chain, IKE_PAYLOAD_TSR, false);
    writer_u8(chain->writer, count);
    writer_zeros(chain->writer, TS_HEADER_SIZE - 1);
    for (size_t i = 0; i < count; i++)
        writer_bytes(chain->writer, bytes_slice(one, TS_HEADER_SIZE, one.size - TS_HEADER_SIZE));
    ike_chain_close(chain);
}

static void child_write(const ChildTerms *child, IkeChain *chain)
{
    if (child->notify != 0)
        ike_chain_add_notify(chain, child->notify, (Bytes){0});
    if (child->cp.n_attributes > 0)
        ike_chain_add_cp(chain, &child->cp);
    if (child->sa.n_proposals == 0)
        return;
    if (child->omit != IKE_PAYLOAD_SA)
        ike_chain_add_sa(chain, &child->sa);
    if (child->omit != IKE_PAYLOAD_TSI)
        ike_chain_add_ts(chain, IKE_PAYLOAD_TSI, &child->ts_i);
    if (child->omit == IKE_PAYLOAD_TSR)
        return;
    if (child->repeat > 0) {
        repeated_write(&child->ts_r, child->repeat, chain);
    } else {
        ike_chain_add_ts(chain, IKE_PAYLOAD_TSR, &child->ts_r);
    }
}

PlainMessage play_auth_request(const Play *play, const OwnAuth *own, uint8_t *buffer)
{
    const IkeId id = {.type = own->id_type, .data = own->id_data};
    PlainMessage message = {.exchange_type = IKE_AUTH};
    IkeChain chain;
    Writer writer;

    writer_init(&writer, buffer, PLAY_MESSAGE_MAX);
    ike_chain_init(&chain, &writer);
    ike_chain_add_id(&chain, IKE_PAYLOAD_IDI, &id);
    ike_chain_add_auth(&chain, own->method, own->data);
    child_write(&play->child_asked, &chain);
    message.first = chain.first;
    assert_int_equal(writer_finish(&writer, &message.payloads), 0);
    return message;
}

void play_request_auth(Play *play)
{
    SealedMessage sealed = {0};
    uint8_t buffer[PLAY_MESSAGE_MAX];
    PlainMessage message;

    if (play->spi_in == 0)
        play_offer_child(play);
    message = play_auth_request(play, &play->own, buffer);
    if (exchange_protect(play->exchange, &message, 1280, &sealed, &play->reason) != 0)
        fail_msg("Protect: %s", play->reason.text);
    play->asked = true;
    sealed_message_deinit(&sealed);
}

/* Method 14, ecdsa-with-SHA256 (RFC 7427 A.3.2), over what the SeGW signs. */
static void peer_sign(Play *play, Bytes octets)
{
    static const uint8_t algorithm[] = {12,   0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86,
                                        0x48, 0xce, 0x3d, 0x04, 0x03, 0x02};
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    size_t size = sizeof(play->auth_data) - sizeof(algorithm);

    memcpy(play->auth_data, algorithm, sizeof(algorithm));
    assert_int_equal(
        EVP_DigestSignInit_ex(context, NULL, "SHA256", NULL, NULL, bench.segw.key, NULL), 1);
    assert_int_equal(EVP_DigestSign(context, play->auth_data + sizeof(algorithm), &size,
                                    octets.data, octets.size),
                     1);
    EVP_MD_CTX_free(context);
    play->auth_data_made = (Bytes){play->auth_data, sizeof(algorithm) + size};
}

PeerAuth play_peer(Play *play)
{
    uint8_t id_body[] = "\x02\0\0\0" SEGW_FQDN;
    static unsigned char der[2048];
    unsigned char *end = der;
    uint8_t *octets = NULL;
    size_t size = 0;

    memset(id_body + 1, play->id_reserved, 3);
    assert_int_equal(
        auth_signed_octets(play->suite.prf, play->keys.sk_pr, play->response,
                           (Bytes){play->nonce_i, exchange_nonce_i(play->exchange).size},
                           (Bytes){id_body, sizeof(id_body) - 1}, &octets, &size),
        0);
    peer_sign(play, (Bytes){octets, size});
    free(octets);
    assert_in_range(i2d_X509(bench.segw.certificate, &end), 1, sizeof(der));
    return (PeerAuth){
        .id_type = IKE_ID_FQDN,
        .id_reserved = play->id_reserved,
        .id_data = {(const uint8_t *)SEGW_FQDN, strlen(SEGW_FQDN)},
        .method = IKE_AUTH_DIGITAL_SIGNATURE,
        .data = play->auth_data_made,
        .n_certificates = 1,
        .certificates = {{IKE_CERT_X509_SIGNATURE, {der, (size_t)(end - der)}}},
    };
}

Bytes play_seal(Play *play, uint8_t exchange_type, bool response, uint32_t message_id,
                uint8_t first, Bytes plain, uint8_t *buffer)
{
    const IkeHeader header = {
        .spi_i = exchange_spi_i(play->exchange),
        .spi_r = play->spi_r,
        .exchange_type = exchange_type,
        .flags = response ? IKE_FLAG_RESPONSE : 0,
        .message_id = message_id,
    };
    Writer writer;
    Bytes bytes;

    writer_init(&writer, buffer, PLAY_MESSAGE_MAX);
    assert_int_equal(seal_message(play->seal_out, &header, first, NULL, plain, &writer), 0);
    assert_int_equal(writer_finish(&writer, &bytes), 0);
    return bytes;
}

bool play_opens(Play *play, const SealedMessage *sealed, IkeHeader *ret)
{
    uint8_t plain[PLAY_MESSAGE_MAX];
    IkeMessage message;
    Bytes datagram;
    size_t size = 0;

    assert_int_equal(sealed->count, 1);
    datagram = (Bytes){sealed->datagrams[0].data, sealed->datagrams[0].size};
    assert_in_range(datagram.size, 1, sizeof(plain));
    assert_int_equal(ike_message_decode(datagram, &message, NULL), 0);
    *ret = message.header;
    return seal_open(play->seal_in, datagram, &message, plain, &size) == 0;
}

static void id_write(const PeerAuth *peer, IkeChain *chain)
{
    ike_chain_open(chain, IKE_PAYLOAD_IDR, false);
    writer_u8(chain->writer, peer->id_type);
    for (int i = 0; i < 3; i++)
        writer_u8(chain->writer, peer->id_reserved);
    writer_bytes(chain->writer, peer->id_data);
    ike_chain_close(chain);
}

/* A payload without data is left out. */
static Bytes response_write(const Play *play, const PeerAuth *peer, uint8_t *buffer,
                            uint8_t *ret_first)
{
    IkeChain chain;
    Writer writer;
    Bytes plain;

    writer_init(&writer, buffer, PLAY_MESSAGE_MAX);
    ike_chain_init(&chain, &writer);
    if (peer->id_data.size > 0)
        id_write(peer, &chain);
    for (size_t i = 0; i < peer->n_certificates; i++) {
        ike_chain_add_cert(&chain, IKE_PAYLOAD_CERT, peer->certificates[i].encoding,
                           peer->certificates[i].data);
    }
    if (peer->data.size > 0)
        ike_chain_add_auth(&chain, peer->method, peer->data);
    child_write(&play->child_granted, &chain);
    assert_int_equal(writer_finish(&writer, &plain), 0);
    *ret_first = chain.first;
    return plain;
}

static void response_take(Play *play, const PeerAuth *peer)
{
    OpenedMessage opened = {0};
    uint8_t buffer[PLAY_MESSAGE_MAX], sealed[PLAY_MESSAGE_MAX], first = 0;
    const Bytes plain = response_write(play, peer, buffer, &first);
    const Bytes datagram = play_seal(play, IKE_AUTH, true, 1, first, plain, sealed);
    bool complete = false;

    if (exchange_unprotect(play->exchange, datagram, &complete, &opened, &play->reason) != 0)
        fail_msg("Unprotect: %s", play->reason.text);
    assert_true(complete);
    opened_message_deinit(&opened);
}

static void auth_exchange(Play *play, const PeerAuth *peer)
{
    if (exchange_state(play->exchange) != EXCHANGE_SIGNED || play->answered)
        return;
    if (!play->asked)
        play_request_auth(play);
    response_take(play, peer);
    play->answered = true;
}

int play_judge(Play *play, const PeerAuth *peer, time_t now)
{
    static VerifyAnswer answer;
    VerifyRequest request;
    int r;

    auth_exchange(play, peer);
    r = exchange_verify_begin(play->exchange, now, &request, &play->reason);
    if (r != 0)
        return r;
    assert_int_equal(exchange_state(play->exchange), EXCHANGE_VERIFYING);
    play->n_certificates = request.n_certificates;
    play->n_ocsp = request.n_ocsp;
    if (play->verdict)
        return exchange_verify_end(play->exchange, play->verdict, &play->reason);
    service_answer(&bench.verifier, &request, -1, &answer);
    assert_int_equal(answer.error, 0);
    return exchange_verify_end(play->exchange, &answer.verdict, &play->reason);
}

void play_verify(Play *play)
{
    const PeerAuth peer = play_peer(play);

    if (play_judge(play, &peer, time(NULL)) != 0)
        fail_msg("VerifyPeer: %s", play->reason.text);
}

void play_refuse(Play *play)
{
    PeerAuth peer = play_peer(play);

    peer.n_certificates = 0;
    assert_int_equal(play_judge(play, &peer, time(NULL)), EXCHANGE_E_PEER_NOT_TRUSTED);
}

void play_to(Play *play, ExchangeState state)
{
    play_init(play);
    if (state == EXCHANGE_BEGUN)
        return;
    play_agree(play);
    if (state == EXCHANGE_AGREED)
        return;
    play_sign(play);
    if (state == EXCHANGE_SIGNED)
        return;
    if (state == EXCHANGE_VERIFYING) {
        const PeerAuth peer = play_peer(play);
        VerifyRequest request;

        auth_exchange(play, &peer);
        assert_int_equal(exchange_verify_begin(play->exchange, time(NULL), &request, &play->reason),
                         0);
    } else if (state == EXCHANGE_VERIFIED || state == EXCHANGE_REPLACED) {
        play_verify(play);
        play->exchange->state = state;
    } else {
        play_refuse(play);
    }
    assert_int_equal(exchange_state(play->exchange), state);
}

static void note_added(int error, const char *reason, void *userdata)
{
    (void)reason;
    *(int *)userdata = error;
}

int play_add_child(Play *play, uint32_t spi_in)
{
    int added = -EINPROGRESS;
    int r = exchange_add_child(play->exchange, spi_in, note_added, &added, &play->reason);

    return r != 0 ? r : added;
}
