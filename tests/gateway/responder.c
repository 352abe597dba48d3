/* How does a SeGW answer IKE_SA_INIT and IKE_AUTH requests? In as few lines as will do: what the
 * initiator offers is taken for what was configured. */
#include "responder.h"

#include "crypto/openssl.h"
#include "tred/auth.h"

#include <errno.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <string.h>

enum {
    ID_BODY_MAX = 4 + 255,
    PAYLOAD_HEADER_SIZE = 4,
    AUTH_MAX = 128,
    HASH_SIZE = 20,
    HASH_AND_URL = 12, /* RFC 7296 3.6: of an X.509 certificate */
    KEY_LENGTH = 128,  /* of the cipher, in bits */
};

struct Responder {
    const ResponderOptions *options;

    /* From IKE_SA_INIT. */
    uint64_t spi_i;
    uint64_t spi_r;
    uint8_t nonce_i[IKE_NONCE_MAX];
    size_t nonce_i_size;
    uint8_t nonce_r[IKE_NONCE_MAX];
    size_t nonce_r_size;
    uint8_t response[GATEWAY_MESSAGE_MAX]; /* AUTH covers it */
    size_t response_size;

    size_t detoured; /* IKE_SA_INIT requests */
    Gateway gateway;
};

/* ---- IKE_SA_INIT ---- */

/* The number of the first proposal that has all of it; of none, 1. */
static void choose(const IkePayload *offered, const Style *style, IkeProposal *choice)
{
    const IkeProposal *found = NULL;
    IkeSaPayload offer;

    if (offered && ike_sa_decode(offered->body, &offer) == 0)
        found = create_find(&offer, choice);
    choice->number = found ? found->number : 1;
    style_proposal(style, choice);
}

static IkeSaPayload ike_choice(const IkePayload *offered, const Style *style)
{
    IkeSaPayload choice = {
        .n_proposals = 1,
        .proposals = {{
            .number = 1,
            .protocol = IKE_PROTOCOL_IKE,
            .n_transforms = 3,
            .transforms =
                {
                    {.type = IKE_TRANSFORM_ENCR,
                     .id = IKE_ENCR_AES_GCM_16,
                     .key_length = KEY_LENGTH},
                    {.type = IKE_TRANSFORM_PRF, .id = IKE_PRF_HMAC_SHA2_256},
                    {.type = IKE_TRANSFORM_KE, .id = IKE_GROUP_ECP_256},
                },
        }},
    };

    choose(offered, style, &choice.proposals[0]);
    return choice;
}

static int keys_derive(Responder *responder, const Dh *dh, Bytes peer_public)
{
    IkeKeys keys = {0};
    const IkeSuite suite = {.cipher = cipher_find(IKE_ENCR_AES_GCM_16, KEY_LENGTH),
                            .prf = prf_find(IKE_PRF_HMAC_SHA2_256),
                            .group = IKE_GROUP_ECP_256};
    const Bytes nonce_i = {responder->nonce_i, responder->nonce_i_size};
    const Bytes nonce_r = {responder->nonce_r, responder->nonce_r_size};
    _cleanup_(secret_freep) Secret *dh_secret = NULL, *skeyseed = NULL;
    int r;

    r = dh_derive(dh, peer_public, &dh_secret);
    if (r == 0)
        r = skeyseed_compute(suite.prf, nonce_i, nonce_r, dh_secret, &skeyseed);
    if (r == 0) {
        r = ike_keys_derive(&suite, skeyseed, nonce_i, nonce_r, responder->spi_i, responder->spi_r,
                            &keys);
    }
    if (r < 0)
        return r;
    return gateway_add_sa(&responder->gateway, false, responder->spi_i, responder->spi_r,
                          KEY_LENGTH, &keys, 1)
               ? 0
               : -EIO;
}

static void init_write(const Responder *responder, const IkePayload *offered, const Dh *dh,
                       Writer *writer)
{
    static const uint8_t hashes[] = {0, IKE_HASH_SHA2_256};
    static const uint8_t authority[HASH_SIZE]; /* of a CA that nobody has */
    /* Of no address at all: both sides go to ESP in UDP, which a user-space plane needs. */
    static const uint8_t elsewhere[HASH_SIZE];
    const IkeHeader header = {.spi_i = responder->spi_i,
                              .spi_r = responder->spi_r,
                              .exchange_type = IKE_SA_INIT,
                              .flags = IKE_FLAG_RESPONSE};
    const Style *style = &responder->gateway.style;
    const IkeSaPayload sa = ike_choice(offered, style);
    IkeChain chain;

    ike_message_begin(writer, &header, &chain);
    if (responder->options->crowd)
        crowd_write(&chain);
    ike_chain_add_sa(&chain, &sa);
    ike_chain_add_ke(&chain, IKE_GROUP_ECP_256, dh_public(dh));
    ike_chain_add(&chain, IKE_PAYLOAD_NONCE, (Bytes){responder->nonce_r, responder->nonce_r_size});
    if (!style->nonat) {
        ike_chain_add_notify(&chain, IKE_NOTIFY_NAT_DETECTION_SOURCE_IP, BYTES_OF(elsewhere));
        ike_chain_add_notify(&chain, IKE_NOTIFY_NAT_DETECTION_DESTINATION_IP, BYTES_OF(elsewhere));
    }
    ike_chain_add_notify(&chain, IKE_NOTIFY_SIGNATURE_HASH_ALGORITHMS, BYTES_OF(hashes));
    if (!style->nocertreq) {
        ike_chain_add_cert(&chain, IKE_PAYLOAD_CERTREQ, IKE_CERT_X509_SIGNATURE,
                           BYTES_OF(authority));
    }
    if (style->pieces > 0 || style->alone)
        ike_chain_add_notify(&chain, IKE_NOTIFY_FRAGMENTATION_SUPPORTED, (Bytes){0});
    payloads_add(&responder->options->init, &chain);
    ike_message_end(&chain);
}

static int init_answer(void *userdata, const IkeMessage *request, Writer *writer)
{
    Responder *responder = userdata;
    const IkePayload *ke_payload = ike_payloads_find(&request->payloads, IKE_PAYLOAD_KE);
    const IkePayload *nonce = ike_payloads_find(&request->payloads, IKE_PAYLOAD_NONCE);
    _cleanup_(dh_freep) Dh *dh = NULL;
    Bytes response;
    IkeKe ke;
    int r;

    if (responder->detoured < responder->options->n_detours) {
        detour_write(responder->options->detours[responder->detoured++], request, writer);
        return 0;
    }
    if (!ke_payload || !nonce || ike_ke_decode(ke_payload->body, &ke) != 0)
        return -EBADMSG;
    responder->spi_i = request->header.spi_i;
    memcpy(responder->nonce_i, nonce->body.data, nonce->body.size);
    responder->nonce_i_size = nonce->body.size;
    responder->nonce_r_size = style_nonce_size(&responder->gateway.style);
    if (RAND_bytes((unsigned char *)&responder->spi_r, sizeof(responder->spi_r)) != 1 ||
        RAND_bytes(responder->nonce_r, (int)responder->nonce_r_size) != 1)
        return -EIO;
    r = dh_new(IKE_GROUP_ECP_256, &dh);
    if (r == 0)
        r = keys_derive(responder, dh, ke.data);
    if (r < 0)
        return r;
    init_write(responder, ike_payloads_find(&request->payloads, IKE_PAYLOAD_SA), dh, writer);
    style_message(&responder->gateway, writer);
    r = writer_finish(writer, &response);
    if (r < 0)
        return r;
    memcpy(responder->response, response.data, response.size);
    responder->response_size = response.size;
    return 0;
}

/* ---- IKE_AUTH ---- */

/* AUTH covers the three reserved octets of an ID payload as they are sent (RFC 7296 2.15). */
static void reserved_fill(const Responder *responder, uint8_t *id_body)
{
    if (responder->gateway.style.reserved)
        id_body[1] = id_body[2] = id_body[3] = UINT8_MAX;
}

/* Method 14, ecdsa-with-SHA256 (RFC 7427 A.3.2), over what a responder signs. */
static int auth_make(const Responder *responder, const GatewaySa *sa, const IkeId *id, uint8_t *ret,
                     size_t *ret_size)
{
    static const uint8_t algorithm[] = {12,   0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86,
                                        0x48, 0xce, 0x3d, 0x04, 0x03, 0x02};
    const ResponderOptions *options = responder->options;
    _cleanup_(EVP_MD_CTX_freep) EVP_MD_CTX *context = EVP_MD_CTX_new();
    _cleanup_(free_bytesp) uint8_t *octets = NULL;
    uint8_t id_body[ID_BODY_MAX];
    size_t octets_size = 0, size = AUTH_MAX - sizeof(algorithm);
    Writer writer;
    Bytes body;
    int r;

    writer_init(&writer, id_body, sizeof(id_body));
    ike_id_encode(&writer, id);
    reserved_fill(responder, id_body);
    r = writer_finish(&writer, &body);
    if (r == 0) {
        r = auth_signed_octets(prf_find(IKE_PRF_HMAC_SHA2_256), sa->keys.sk_pr,
                               (Bytes){responder->response, responder->response_size},
                               (Bytes){responder->nonce_i, responder->nonce_i_size}, body, &octets,
                               &octets_size);
    }
    if (r < 0)
        return r;
    memcpy(ret, algorithm, sizeof(algorithm));
    if (!context ||
        EVP_DigestSignInit_ex(context, NULL, "SHA256", NULL, NULL, options->key, NULL) != 1 ||
        EVP_DigestSign(context, ret + sizeof(algorithm), &size, octets, octets_size) != 1)
        return -EIO;
    *ret_size = sizeof(algorithm) + size;
    if (options->spoil_auth)
        ret[*ret_size - 1] ^= 1;
    return 0;
}

/* A SHA-1 hash of a certificate, and where it can be had. */
static void add_url(IkeChain *chain)
{
    static const uint8_t octets[HASH_SIZE + sizeof("http://segw.example/1") - 1] = {[HASH_SIZE] =
                                                                                        'h',
                                                                                    't',
                                                                                    't',
                                                                                    'p',
                                                                                    ':',
                                                                                    '/',
                                                                                    '/',
                                                                                    's',
                                                                                    'e',
                                                                                    'g',
                                                                                    'w',
                                                                                    '.',
                                                                                    'e',
                                                                                    'x',
                                                                                    'a',
                                                                                    'm',
                                                                                    'p',
                                                                                    'l',
                                                                                    'e',
                                                                                    '/',
                                                                                    '1'};

    ike_chain_add_cert(chain, IKE_PAYLOAD_CERT, HASH_AND_URL, BYTES_OF(octets));
}

static void identity_write(const Responder *responder, const IkeId *id, Bytes auth, IkeChain *chain)
{
    const ResponderOptions *options = responder->options;
    const bool psk = responder->gateway.style.psk;

    if (options->crowd) {
        crowd_write(chain);
        ike_chain_add_cert(chain, IKE_PAYLOAD_CERT, 1, BYTES_OF(options->address));
    }
    const size_t start = chain->writer->size;
    ike_chain_add_id(chain, IKE_PAYLOAD_IDR, id);
    reserved_fill(responder, chain->writer->data + start + PAYLOAD_HEADER_SIZE);
    for (size_t i = 0; i < options->n_certificates && !psk; i++) {
        if (i + options->n_urls >= options->n_certificates) {
            add_url(chain);
            continue;
        }
        ike_chain_add_cert(chain, IKE_PAYLOAD_CERT, IKE_CERT_X509_SIGNATURE,
                           options->certificates[i]);
    }
    for (size_t i = 0; i < options->n_ocsp; i++)
        ike_chain_add_cert(chain, IKE_PAYLOAD_CERT, IKE_CERT_OCSP_CONTENT, options->ocsp[i]);
    ike_chain_add_auth(chain, psk ? IKE_AUTH_SHARED_KEY_MIC : IKE_AUTH_DIGITAL_SIGNATURE, auth);
}

/* To the address that it assigns, and to what it has been told. */
static void narrow(const ResponderOptions *options, Gateway *gateway)
{
    IkeSelector *local = &gateway->ts_henb.selectors[0];

    if (options->remote.n_selectors == 0)
        return;
    *local = (IkeSelector){.type = IKE_TS_IPV4_ADDR_RANGE, .end_port = UINT16_MAX};
    memcpy(local->start, options->address, sizeof(options->address));
    memcpy(local->end, options->address, sizeof(options->address));
    gateway->ts_henb.n_selectors = 1;
    gateway->ts_segw = options->remote;
}

/* An address, and all selectors as they were asked for, or as they are in the options. */
static int child_write(Responder *responder, const GatewaySa *ike_sa, const IkePayloads *request,
                       IkeChain *chain)
{
    Gateway *gateway = &responder->gateway;
    const uint32_t spi = ++gateway->last_spi;
    const IkePayload *offered = ike_payloads_find(request, IKE_PAYLOAD_SA);
    IkeSaPayload offer;
    const Bytes address = BYTES_OF(responder->options->address);
    const ResponderOptions *options = responder->options;
    IkeCp cp = {.cfg_type = IKE_CFG_REPLY,
                .n_attributes = 1,
                .attributes = {{IKE_CFG_INTERNAL_IP4_ADDRESS, address}}};
    IkeSaPayload sa = {
        .n_proposals = 1,
        .proposals = {{
            .number = 1,
            .protocol = IKE_PROTOCOL_ESP,
            .spi_size = 4,
            .spi = spi,
            .n_transforms = 2,
            .transforms =
                {
                    {.type = IKE_TRANSFORM_ENCR,
                     .id = IKE_ENCR_AES_GCM_16,
                     .key_length = KEY_LENGTH},
                    {.type = IKE_TRANSFORM_ESN, .id = IKE_ESN_NO},
                },
        }},
    };

    for (size_t i = 0; i < options->n_attributes; i++) {
        cp.attributes[cp.n_attributes++] =
            (IkeAttribute){options->attributes[i].type, options->attributes[i].data};
    }
    for (size_t i = 0; i < options->n_notifies; i++)
        ike_chain_add_notify(chain, options->notifies[i].type, options->notifies[i].data);
    if (options->childless)
        return 0;
    choose(offered, &gateway->style, &sa.proposals[0]);
    ike_chain_add_sa(chain, &sa);
    if (responder->options->crowd) {
        crowded_child_write(options->address, chain);
        return 0;
    }
    ike_chain_add_cp(chain, &cp);
    narrow(options, gateway);
    ike_chain_add_ts(chain, IKE_PAYLOAD_TSI, &gateway->ts_henb);
    ike_chain_add_ts(chain, IKE_PAYLOAD_TSR, &gateway->ts_segw);
    if (!offered || ike_sa_decode(offered->body, &offer) != 0)
        return -EBADMSG;
    child_add(gateway, ike_sa, false, NULL, (Bytes){responder->nonce_i, responder->nonce_i_size},
              (Bytes){responder->nonce_r, responder->nonce_r_size}, spi,
              (uint32_t)offer.proposals[0].spi);
    return 0;
}

static int selectors_read(const IkePayloads *request, uint8_t type, IkeTs *ret)
{
    const IkePayload *payload = ike_payloads_find(request, type);

    return payload && ike_ts_decode(payload->body, ret) == 0 ? 0 : -EBADMSG;
}

static void requests_print(const IkePayloads *request)
{
    const IkePayload *payload;
    size_t position = 0;
    IkeCp cp;

    while ((payload = ike_payloads_next(request, IKE_PAYLOAD_CERTREQ, &position))) {
        if (payload->body.size > 0)
            (void)printf("CERTREQ %u\n", payload->body.data[0]);
    }
    payload = ike_payloads_find(request, IKE_PAYLOAD_CP);
    if (!payload || ike_cp_decode(payload->body, &cp) != 0)
        return;
    for (size_t i = 0; i < cp.n_attributes; i++) {
        (void)printf("ATTRIBUTE %u", cp.attributes[i].type);
        say_hex("value", cp.attributes[i].value);
        (void)putchar('\n');
    }
}

static IkeId identity_of(const ResponderOptions *options)
{
    if (options->id.count > 0) {
        const RawPayload *id = &options->id.items[0];

        return (IkeId){id->type, {id->body, id->size}};
    }
    return (IkeId){.type = IKE_ID_FQDN,
                   .data = {(const uint8_t *)options->identity, strlen(options->identity)}};
}

static int auth_answer(void *userdata, GatewaySa *sa, const IkePayloads *request, IkeChain *chain)
{
    Responder *responder = userdata;
    Gateway *gateway = &responder->gateway;
    const IkeId id = identity_of(responder->options);
    uint8_t auth[AUTH_MAX];
    size_t auth_size = 0;
    int r;

    requests_print(request);
    r = selectors_read(request, IKE_PAYLOAD_TSI, &gateway->ts_henb);
    if (r == 0)
        r = selectors_read(request, IKE_PAYLOAD_TSR, &gateway->ts_segw);
    if (r == 0)
        r = auth_make(responder, sa, &id, auth, &auth_size);
    if (r < 0)
        return r;
    identity_write(responder, &id, (Bytes){auth, auth_size}, chain);
    r = child_write(responder, sa, request, chain);
    sa->authenticated = r == 0;
    return r;
}

Responder *responder_new(const ResponderOptions *options)
{
    Responder *responder = calloc(1, sizeof(*responder));

    if (!responder)
        return NULL;
    responder->options = options;
    responder->gateway.handshake = (GatewayHandshake){init_answer, auth_answer, responder};
    responder->gateway.nonce_octet = -1;
    responder->gateway.style = options->style;
    responder->gateway.key_length = KEY_LENGTH;
    responder->gateway.last_spi = 0x5e600000;
    return responder;
}

Gateway *responder_gateway(Responder *responder)
{
    return &responder->gateway;
}

void responder_free(Responder *responder)
{
    gateway_free(&responder->gateway);
    free(responder);
}
