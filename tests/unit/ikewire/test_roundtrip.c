/* Is every message that can be written read again as what it was? Messages are drawn at random, the
 * same ones in each run. */
#include "ikewire/message.h"
#include "tests/unit/ikewire/draw.h"
#include "tests/unit/ikewire/octets.h"
#include "tests/unit/ikewire/random.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

enum { MESSAGES = 20000 };

static void assert_same_bytes(Bytes a, Bytes b)
{
    assert_true(bytes_equal(a, b));
}

/* One payload's life: drawn and written, then read and compared. */
typedef struct Kind {
    uint8_t type;
    void (*add)(IkeChain *chain);
    void (*check)(Bytes body);
} Kind;

static IkeSaPayload sa;

static void add_sa(IkeChain *chain)
{
    draw_sa(&sa);
    ike_chain_add_sa(chain, &sa);
}

static void check_proposal(const IkeProposal *a, const IkeProposal *b)
{
    assert_int_equal(a->number, b->number);
    assert_int_equal(a->protocol, b->protocol);
    assert_int_equal(a->spi_size, b->spi_size);
    assert_true(a->spi == b->spi);
    assert_int_equal(a->n_transforms, b->n_transforms);
    for (size_t i = 0; i < a->n_transforms; i++) {
        assert_int_equal(a->transforms[i].type, b->transforms[i].type);
        assert_int_equal(a->transforms[i].id, b->transforms[i].id);
        assert_int_equal(a->transforms[i].key_length, b->transforms[i].key_length);
        assert_false(b->transforms[i].unknown_attribute);
    }
}

static void check_sa(Bytes body)
{
    IkeSaPayload decoded;

    assert_int_equal(ike_sa_decode(body, &decoded), 0);
    assert_int_equal(decoded.n_proposals, sa.n_proposals);
    for (size_t i = 0; i < sa.n_proposals; i++)
        check_proposal(&sa.proposals[i], &decoded.proposals[i]);
}

static IkeKe ke;

static void add_ke(IkeChain *chain)
{
    ke = (IkeKe){(uint16_t)random_from(1, UINT16_MAX), random_bytes(1, 512)};
    ike_chain_add_ke(chain, ke.group, ke.data);
}

static void check_ke(Bytes body)
{
    IkeKe decoded;

    assert_int_equal(ike_ke_decode(body, &decoded), 0);
    assert_int_equal(decoded.group, ke.group);
    assert_same_bytes(decoded.data, ke.data);
}

static IkeId id;

static void add_idi(IkeChain *chain)
{
    draw_id(&id);
    ike_chain_add_id(chain, IKE_PAYLOAD_IDI, &id);
}

static void check_id(Bytes body)
{
    IkeId decoded;

    assert_int_equal(ike_id_decode(body, &decoded), 0);
    assert_int_equal(decoded.type, id.type);
    assert_same_bytes(decoded.data, id.data);
}

static IkeCert cert, certreq;

static void add_cert(IkeChain *chain)
{
    cert = (IkeCert){(uint8_t)random_from(1, UINT8_MAX), random_bytes(1, 2000)};
    ike_chain_add_cert(chain, IKE_PAYLOAD_CERT, cert.encoding, cert.data);
}

static void check_cert(Bytes body)
{
    IkeCert decoded;

    assert_int_equal(ike_cert_decode(body, &decoded), 0);
    assert_int_equal(decoded.encoding, cert.encoding);
    assert_same_bytes(decoded.data, cert.data);
}

static void add_certreq(IkeChain *chain)
{
    size_t size = 20 * random_from(0, 20); /* whole SHA-1 hashes */

    certreq = (IkeCert){IKE_CERT_X509_SIGNATURE, random_bytes(size, size)};
    ike_chain_add_cert(chain, IKE_PAYLOAD_CERTREQ, certreq.encoding, certreq.data);
}

static void check_certreq(Bytes body)
{
    assert_int_equal(body.data[0], certreq.encoding);
    assert_same_bytes(bytes_slice(body, 1, body.size - 1), certreq.data);
}

static IkeAuth auth;

static void add_auth(IkeChain *chain)
{
    auth = (IkeAuth){(uint8_t)random_from(1, UINT8_MAX), random_bytes(1, 512)};
    ike_chain_add_auth(chain, auth.method, auth.data);
}

static void check_auth(Bytes body)
{
    IkeAuth decoded;

    assert_int_equal(ike_auth_decode(body, &decoded), 0);
    assert_int_equal(decoded.method, auth.method);
    assert_same_bytes(decoded.data, auth.data);
}

static Bytes nonce;

static void add_nonce(IkeChain *chain)
{
    nonce = random_bytes(IKE_NONCE_MIN, IKE_NONCE_MAX);
    ike_chain_add(chain, IKE_PAYLOAD_NONCE, nonce);
}

static void check_nonce(Bytes body)
{
    Bytes decoded;

    assert_int_equal(ike_nonce_decode(body, &decoded), 0);
    assert_same_bytes(decoded, nonce);
}

static IkeNotify notify;

static void add_notify(IkeChain *chain)
{
    draw_notify(&notify);
    ike_chain_open(chain, IKE_PAYLOAD_NOTIFY, false);
    ike_notify_encode(chain->writer, &notify);
    ike_chain_close(chain);
}

static void check_notify(Bytes body)
{
    IkeNotify decoded;

    assert_int_equal(ike_notify_decode(body, &decoded), 0);
    assert_int_equal(decoded.protocol, notify.protocol);
    assert_int_equal(decoded.spi_size, notify.spi_size);
    assert_true(decoded.spi == notify.spi);
    assert_int_equal(decoded.type, notify.type);
    assert_same_bytes(decoded.data, notify.data);
}

static IkeDelete delete_;

static void add_delete(IkeChain *chain)
{
    draw_delete(&delete_);
    ike_chain_add_delete(chain, &delete_);
}

static void check_delete(Bytes body)
{
    IkeDelete decoded;

    assert_int_equal(ike_delete_decode(body, &decoded), 0);
    assert_int_equal(decoded.protocol, delete_.protocol);
    assert_int_equal(decoded.n_spis, delete_.n_spis);
    assert_memory_equal(decoded.spis, delete_.spis, delete_.n_spis * sizeof(delete_.spis[0]));
}

static IkeTs ts;

static void add_tsi(IkeChain *chain)
{
    draw_ts(&ts);
    ike_chain_add_ts(chain, IKE_PAYLOAD_TSI, &ts);
}

static void check_ts(Bytes body)
{
    IkeTs decoded;

    assert_int_equal(ike_ts_decode(body, &decoded), 0);
    assert_int_equal(decoded.n_selectors, ts.n_selectors);
    for (size_t i = 0; i < ts.n_selectors; i++) {
        const IkeSelector *a = &ts.selectors[i], *b = &decoded.selectors[i];
        assert_int_equal(a->type, b->type);
        assert_int_equal(a->protocol, b->protocol);
        assert_int_equal(a->start_port, b->start_port);
        assert_int_equal(a->end_port, b->end_port);
        assert_memory_equal(a->start, b->start, sizeof(a->start));
        assert_memory_equal(a->end, b->end, sizeof(a->end));
    }
}

static IkeCp cp;

static void add_cp(IkeChain *chain)
{
    draw_cp(&cp);
    ike_chain_add_cp(chain, &cp);
}

static void check_cp(Bytes body)
{
    IkeCp decoded;

    assert_int_equal(ike_cp_decode(body, &decoded), 0);
    assert_int_equal(decoded.cfg_type, cp.cfg_type);
    assert_int_equal(decoded.n_attributes, cp.n_attributes);
    for (size_t i = 0; i < cp.n_attributes; i++) {
        assert_int_equal(decoded.attributes[i].type, cp.attributes[i].type);
        assert_same_bytes(decoded.attributes[i].value, cp.attributes[i].value);
    }
}

static const Kind kinds[] = {
    {IKE_PAYLOAD_SA, add_sa, check_sa},
    {IKE_PAYLOAD_KE, add_ke, check_ke},
    {IKE_PAYLOAD_IDI, add_idi, check_id},
    {IKE_PAYLOAD_CERT, add_cert, check_cert},
    {IKE_PAYLOAD_CERTREQ, add_certreq, check_certreq},
    {IKE_PAYLOAD_AUTH, add_auth, check_auth},
    {IKE_PAYLOAD_NONCE, add_nonce, check_nonce},
    {IKE_PAYLOAD_NOTIFY, add_notify, check_notify},
    {IKE_PAYLOAD_DELETE, add_delete, check_delete},
    {IKE_PAYLOAD_TSI, add_tsi, check_ts},
    {IKE_PAYLOAD_CP, add_cp, check_cp},
};

/* Some of the kinds, in any order. Returns how many. */
static size_t draw_kinds(const Kind *drawn[ELEMENTS(kinds)])
{
    for (size_t i = 0; i < ELEMENTS(kinds); i++) {
        size_t place = random_from(0, i);
        drawn[i] = drawn[place];
        drawn[place] = &kinds[i];
    }
    return random_from(0, ELEMENTS(kinds));
}

static void check_header(const IkeHeader *decoded, const IkeHeader *header, size_t size)
{
    assert_true(decoded->spi_i == header->spi_i);
    assert_true(decoded->spi_r == header->spi_r);
    assert_int_equal(decoded->exchange_type, header->exchange_type);
    assert_int_equal(decoded->flags, header->flags);
    assert_int_equal(decoded->message_id, header->message_id);
    assert_int_equal(decoded->minor_version, 0);
    assert_int_equal(decoded->length, size);
}

static void check_one_message(void)
{
    static uint8_t buffer[IKE_MESSAGE_MAX];
    const Kind *drawn[ELEMENTS(kinds)] = {0};
    size_t count = draw_kinds(drawn);
    IkeHeader header = {.spi_i = random_number() | 1,
                        .spi_r = random_number(),
                        .exchange_type = (uint8_t)random_number(),
                        .flags = (uint8_t)random_number(),
                        .message_id = (uint32_t)random_number()};
    Writer writer;
    IkeChain chain;
    Bytes written = {0};

    writer_init(&writer, buffer, sizeof(buffer));
    ike_message_begin(&writer, &header, &chain);
    for (size_t i = 0; i < count; i++)
        drawn[i]->add(&chain);
    ike_message_end(&chain);
    assert_int_equal(writer_finish(&writer, &written), 0);

    _cleanup_(octets_free) Bytes datagram = octets_copy(written);
    IkeMessage message;
    assert_int_equal(ike_message_decode(datagram, &message, NULL), 0);
    check_header(&message.header, &header, datagram.size);
    assert_int_equal(message.payloads.count, count);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(message.payloads.items[i].type, drawn[i]->type);
        drawn[i]->check(message.payloads.items[i].body);
    }
}

static void messages_drawn_at_random_are_read_as_what_they_were(void **state)
{
    (void)state;
    for (size_t i = 0; i < MESSAGES; i++)
        check_one_message();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_drawn_at_random_are_read_as_what_they_were),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
