/* Does building a message fill in every link and length? */
#include "ikewire/message.h"
#include "tests/unit/ikewire/octets.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define NONCE "000102030405060708090a0b0c0d0e0f"

static uint8_t buffer[IKE_MESSAGE_MAX + 1];
static Writer writer;
static IkeChain chain;

static int start_chain(void **state)
{
    (void)state;
    writer_init(&writer, buffer, sizeof(buffer));
    ike_chain_init(&chain, &writer);
    return 0;
}

static void an_empty_chain_has_no_first_payload(void **state)
{
    (void)state;
    assert_int_equal(chain.first, IKE_PAYLOAD_NONE);
    written_check(&writer, "");
}

static void each_payload_is_announced_by_the_one_before(void **state)
{
    (void)state;
    ike_chain_add(&chain, IKE_PAYLOAD_VENDOR_ID, (Bytes){(const uint8_t *)"ab", 2});
    ike_chain_add_ke(&chain, IKE_GROUP_ECP_256, (Bytes){(const uint8_t *)"\1", 1});
    ike_chain_add_auth(&chain, IKE_AUTH_DIGITAL_SIGNATURE, (Bytes){(const uint8_t *)"\2", 1});
    assert_int_equal(chain.first, IKE_PAYLOAD_VENDOR_ID);
    written_check(&writer, "22000006 6162"
                           "27000009 0013000001"
                           "00000009 0e00000002");
}

static void every_kind_of_payload_can_be_added(void **state)
{
    (void)state;
    IkeSaPayload sa = {
        .n_proposals = 1,
        .proposals = {{.number = 1,
                       .protocol = IKE_PROTOCOL_IKE,
                       .n_transforms = 1,
                       .transforms = {{.type = IKE_TRANSFORM_KE, .id = IKE_GROUP_ECP_256}}}}};
    IkeId id = {IKE_ID_FQDN, {(const uint8_t *)"a", 1}};
    IkeDelete delete_ = {.protocol = IKE_PROTOCOL_ESP, .n_spis = 1, .spis = {0xc0000001}};
    IkeTs ts = {
        .n_selectors = 1,
        .selectors = {{.type = IKE_TS_IPV4_ADDR_RANGE, .end_port = 65535, .end = {10, 0, 0, 1}}}};
    IkeCp cp = {.cfg_type = IKE_CFG_REQUEST,
                .n_attributes = 1,
                .attributes = {{.type = IKE_CFG_INTERNAL_IP4_ADDRESS}}};

    ike_chain_add_sa(&chain, &sa);
    ike_chain_add_id(&chain, IKE_PAYLOAD_IDI, &id);
    ike_chain_add_cert(&chain, IKE_PAYLOAD_CERTREQ, IKE_CERT_X509_SIGNATURE, (Bytes){0});
    ike_chain_add_notify(&chain, IKE_NOTIFY_INITIAL_CONTACT, (Bytes){0});
    ike_chain_add_delete(&chain, &delete_);
    ike_chain_add_ts(&chain, IKE_PAYLOAD_TSR, &ts);
    ike_chain_add_cp(&chain, &cp);
    written_check(&writer, "23000014 00000010 01010001 00000008 04000013"
                           "26000009 02000000 61"
                           "29000005 04"
                           "2a000008 00004000"
                           "2d00000c 03040001 c0000001"
                           "2f000018 01000000 07000010 0000ffff 00000000 0a000001"
                           "0000000c 01000000 00010000");
}

static void a_critical_payload_carries_its_bit(void **state)
{
    (void)state;
    ike_chain_open(&chain, 200, true);
    ike_chain_close(&chain);
    written_check(&writer, "00800004");
}

static void a_message_is_its_header_and_its_chain(void **state)
{
    (void)state;
    _cleanup_(octets_free) Bytes nonce = octets_new(NONCE);
    IkeHeader header = {.spi_i = 0x0102030405060708,
                        .spi_r = 0x1112131415161718,
                        .exchange_type = IKE_SA_INIT,
                        .flags = IKE_FLAG_INITIATOR,
                        .message_id = 7};

    writer_u32(&writer, 0); /* a non-ESP marker in front does not shift anything */
    ike_message_begin(&writer, &header, &chain);
    ike_chain_add(&chain, IKE_PAYLOAD_NONCE, nonce);
    ike_message_end(&chain);
    written_check(&writer, "00000000 0102030405060708 1112131415161718 28202208 00000007 00000030"
                           "00000014" NONCE);
}

static void a_message_without_payloads_says_so(void **state)
{
    (void)state;
    IkeHeader header = {.spi_i = 1, .exchange_type = IKE_INFORMATIONAL};

    ike_message_begin(&writer, &header, &chain);
    ike_message_end(&chain);
    written_check(&writer, "0000000000000001 0000000000000000 00202500 00000000 0000001c");
}

static void a_payload_beyond_65535_octets_overflows(void **state)
{
    (void)state;
    Bytes written;

    ike_chain_open(&chain, IKE_PAYLOAD_VENDOR_ID, false);
    writer_zeros(&writer, UINT16_MAX - IKE_PAYLOAD_HEADER_SIZE);
    ike_chain_close(&chain);
    assert_int_equal(writer_finish(&writer, &written), 0);

    (void)start_chain(NULL);
    ike_chain_open(&chain, IKE_PAYLOAD_VENDOR_ID, false);
    writer_zeros(&writer, UINT16_MAX - IKE_PAYLOAD_HEADER_SIZE + 1);
    ike_chain_close(&chain);
    assert_int_equal(writer_finish(&writer, &written), -ENOBUFS);
}

static void a_buffer_too_small_shows_at_the_end(void **state)
{
    (void)state;
    Bytes written;

    writer_init(&writer, buffer, 30);
    ike_message_begin(&writer, &(IkeHeader){.spi_i = 1}, &chain);
    ike_chain_add_notify(&chain, IKE_NOTIFY_INITIAL_CONTACT, (Bytes){0});
    ike_message_end(&chain);
    assert_int_equal(writer_finish(&writer, &written), -ENOBUFS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(an_empty_chain_has_no_first_payload, start_chain),
        cmocka_unit_test_setup(each_payload_is_announced_by_the_one_before, start_chain),
        cmocka_unit_test_setup(every_kind_of_payload_can_be_added, start_chain),
        cmocka_unit_test_setup(a_critical_payload_carries_its_bit, start_chain),
        cmocka_unit_test_setup(a_message_is_its_header_and_its_chain, start_chain),
        cmocka_unit_test_setup(a_message_without_payloads_says_so, start_chain),
        cmocka_unit_test_setup(a_payload_beyond_65535_octets_overflows, start_chain),
        cmocka_unit_test_setup(a_buffer_too_small_shows_at_the_end, start_chain),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
