/* Are Security Associations read as offered, and malformed ones refused each for its own fault? */
#include "ikewire/algorithm.h"
#include "ikewire/payload.h"
#include "tests/unit/ikewire/octets.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

/* AES-GCM-16 with 256 bits, PRF-HMAC-SHA2-256, group 19. */
#define ENCR_256 "0300000c 01000014 800e0100"
#define PRF "03000008 02000005"
#define KE_LAST "00000008 04000013"
#define IKE_PROPOSAL(last, number) last "000024 " number "010003" ENCR_256 PRF KE_LAST

static IkeSaPayload sa;

static int decode(Bytes body)
{
    return ike_sa_decode(body, &sa);
}

static void decode_hex(const char *hex)
{
    _cleanup_(octets_free) Bytes body = octets_new(hex);

    assert_int_equal(decode(body), 0);
}

static void assert_encodes_to(const char *hex)
{
    uint8_t buffer[1024];
    Writer writer;

    writer_init(&writer, buffer, sizeof(buffer));
    ike_sa_encode(&writer, &sa);
    written_check(&writer, hex);
}

static void an_offer_is_read_transform_by_transform(void **state)
{
    (void)state;
    const char *hex = IKE_PROPOSAL("00", "01");

    decode_hex(hex);
    assert_int_equal(sa.n_proposals, 1);
    const IkeProposal *proposal = &sa.proposals[0];
    assert_int_equal(proposal->number, 1);
    assert_int_equal(proposal->protocol, IKE_PROTOCOL_IKE);
    assert_int_equal(proposal->spi_size, 0);
    assert_int_equal(proposal->spi, 0);
    assert_int_equal(proposal->n_transforms, 3);
    assert_int_equal(proposal->transforms[0].type, IKE_TRANSFORM_ENCR);
    assert_int_equal(proposal->transforms[0].id, IKE_ENCR_AES_GCM_16);
    assert_int_equal(proposal->transforms[0].key_length, 256);
    assert_int_equal(proposal->transforms[1].type, IKE_TRANSFORM_PRF);
    assert_int_equal(proposal->transforms[1].id, IKE_PRF_HMAC_SHA2_256);
    assert_int_equal(proposal->transforms[1].key_length, 0);
    assert_int_equal(proposal->transforms[2].id, IKE_GROUP_ECP_256);
    assert_false(proposal->transforms[0].unknown_attribute);
    assert_encodes_to(hex);
}

static void offers_are_numbered_from_1_without_gaps(void **state)
{
    (void)state;
    const char *hex = IKE_PROPOSAL("02", "01") IKE_PROPOSAL("02", "02") IKE_PROPOSAL("00", "03");

    decode_hex(hex);
    assert_int_equal(sa.n_proposals, 3);
    assert_encodes_to(hex);
}

static void an_answer_may_carry_any_number_but_0(void **state)
{
    (void)state;
    decode_hex(IKE_PROPOSAL("00", "05"));
    assert_int_equal(sa.proposals[0].number, 5);
}

static void an_esp_spi_has_4_octets_and_a_new_ike_spi_8(void **state)
{
    (void)state;
    const char *esp = "00000014 01030401 c0000001 00000008 05000000";
    const char *ike = "00000018 01010801 c000000000000001 00000008 04000013";

    decode_hex(esp);
    assert_int_equal(sa.proposals[0].spi, 0xc0000001);
    assert_encodes_to(esp);
    decode_hex(ike);
    assert_true(sa.proposals[0].spi == 0xc000000000000001);
    assert_encodes_to(ike);
}

static void an_unknown_attribute_marks_its_transform(void **state)
{
    (void)state;
    decode_hex("00000014 01010001 0000000c 01000014 80110001"); /* TV */
    assert_true(sa.proposals[0].transforms[0].unknown_attribute);
    decode_hex("00000015 01010001 0000000d 01000014 00110001 ff"); /* TLV */
    assert_true(sa.proposals[0].transforms[0].unknown_attribute);
    decode_hex("00000018 01010001 00000010 01000014 80110001 800e0080");
    assert_true(sa.proposals[0].transforms[0].unknown_attribute);
    assert_int_equal(sa.proposals[0].transforms[0].key_length, 128);
}

static void reserved_octets_are_ignored(void **state)
{
    (void)state;
    decode_hex("00ff0010 01010001 00ff0008 04ff0013");
    assert_encodes_to("00000010 01010001 00000008 04000013");
}

static void proposals_of_unknown_protocols_are_read(void **state)
{
    (void)state;
    decode_hex("00000014 01090401 c0000001 00000008 05000000");
    assert_int_equal(sa.proposals[0].protocol, 9);
    decode_hex("00000010 01090001 00000008 05000000");
    decode_hex("00000018 01090801 c000000000000001 00000008 05000000");
}

static void malformed_offers_are_refused(void **state)
{
    (void)state;
    static const Malformed cases[] = {
        {"no proposal", "", IKEWIRE_E_TRUNCATED},
        {"half a proposal header", "0000", IKEWIRE_E_TRUNCATED},
        {"proposal length 0", "00000000 01010001 00000008 04000013", IKEWIRE_E_LENGTH},
        {"proposal length 7", "00000007 01010001 00000008 04000013", IKEWIRE_E_LENGTH},
        {"proposal length 1 too much", "00000011 01010001 00000008 04000013", IKEWIRE_E_LENGTH},
        {"proposal length 65535", "0000ffff 01010001 00000008 04000013", IKEWIRE_E_LENGTH},
        {"number 0", IKE_PROPOSAL("00", "00"), IKEWIRE_E_PROPOSAL},
        {"numbers from 2", IKE_PROPOSAL("02", "02") IKE_PROPOSAL("00", "03"), IKEWIRE_E_PROPOSAL},
        {"a gap", IKE_PROPOSAL("02", "01") IKE_PROPOSAL("00", "03"), IKEWIRE_E_PROPOSAL},
        {"a number twice", IKE_PROPOSAL("02", "01") IKE_PROPOSAL("00", "01"), IKEWIRE_E_PROPOSAL},
        {"marker 1", IKE_PROPOSAL("01", "01"), IKEWIRE_E_PROPOSAL},
        {"marker of a transform", IKE_PROPOSAL("03", "01") IKE_PROPOSAL("00", "02"),
         IKEWIRE_E_PROPOSAL},
        {"more announced", IKE_PROPOSAL("02", "01"), IKEWIRE_E_PROPOSAL},
        {"more than announced", IKE_PROPOSAL("00", "01") IKE_PROPOSAL("00", "02"),
         IKEWIRE_E_TRAILING},
        {"an octet left over", IKE_PROPOSAL("00", "01") "00", IKEWIRE_E_TRAILING},
        {"protocol 0", "00000010 01000001 00000008 04000013", IKEWIRE_E_PROPOSAL},
        {"IKE with SPI size 4", "00000014 01010401 00000001 00000008 04000013", IKEWIRE_E_PROPOSAL},
        {"ESP without SPI", "00000010 01030001 00000008 05000000", IKEWIRE_E_PROPOSAL},
        {"ESP with SPI size 8", "00000018 01030801 0000000000000001 00000008 05000000",
         IKEWIRE_E_PROPOSAL},
        {"SPI size 255", "00000010 0103ff01 00000008 05000000", IKEWIRE_E_PROPOSAL},
        {"unknown protocol with SPI size 3", "00000013 01090301 c00000 00000008 05000000",
         IKEWIRE_E_PROPOSAL},
        {"SPI beyond the proposal", "0000000a 01030400 0000", IKEWIRE_E_LENGTH},
        {"no transforms", "00000008 01010000", IKEWIRE_E_PROPOSAL},
        {"a transform that count omits", "00000010 01010000 00000008 04000013", IKEWIRE_E_PROPOSAL},
        {"a transform that count invents", "00000010 01010002 03000008 04000013",
         IKEWIRE_E_PROPOSAL},
        {"255 transforms", "00000010 010100ff 03000008 04000013", IKEWIRE_E_PROPOSAL},
        {"octets after the transforms", "00000011 01010001 00000008 04000013 00",
         IKEWIRE_E_PROPOSAL},
        {"transform of zero length", "00000010 01010001 00000000 04000013",
         IKEWIRE_E_TRANSFORM_LENGTH},
        {"transform length 7", "00000010 01010001 00000007 04000013", IKEWIRE_E_TRANSFORM_LENGTH},
        {"transform beyond its proposal", "00000010 01010001 00000009 04000013", IKEWIRE_E_LENGTH},
        {"transform length 65535", "00000010 01010001 0000ffff 04000013", IKEWIRE_E_LENGTH},
        {"half a transform header", "0000000a 01010001 0000", IKEWIRE_E_TRUNCATED},
        {"last transform marked 3", "00000010 01010001 03000008 04000013", IKEWIRE_E_TRANSFORM},
        {"first transform marked 0", "00000018 01010002 00000008 02000005 00000008 04000013",
         IKEWIRE_E_TRANSFORM},
        {"transform marked 2", "00000010 01010001 02000008 04000013", IKEWIRE_E_TRANSFORM},
        {"half an attribute", "00000012 01010001 0000000a 01000014 800e", IKEWIRE_E_TRANSFORM},
        {"Key Length as TLV", "00000016 01010001 0000000e 01000014 000e0002 0100",
         IKEWIRE_E_TRANSFORM},
        {"Key Length as TLV without a value", "00000014 01010001 0000000c 01000014 000e0000",
         IKEWIRE_E_TRANSFORM},
        {"Key Length 0", "00000014 01010001 0000000c 01000014 800e0000", IKEWIRE_E_TRANSFORM},
        {"Key Length twice", "00000018 01010001 00000010 01000014 800e0080 800e0100",
         IKEWIRE_E_TRANSFORM},
        {"attribute beyond its transform", "00000015 01010001 0000000d 01000014 00110002 ff",
         IKEWIRE_E_TRANSFORM},
        {"attribute length 65535", "00000014 01010001 0000000c 01000014 0011ffff",
         IKEWIRE_E_TRANSFORM},
    };

    malformed_check(cases, ELEMENTS(cases), decode);
}

static void no_front_of_an_offer_passes_for_the_whole(void **state)
{
    (void)state;
    truncations_check(IKE_PROPOSAL("00", "01"), decode);
    truncations_check(IKE_PROPOSAL("02", "01") IKE_PROPOSAL("00", "02"), decode);
}

/* `count` minimal proposals, numbered as they should be. */
static int decode_proposals(size_t count)
{
    uint8_t buffer[1024];
    Writer writer;
    Bytes body;

    writer_init(&writer, buffer, sizeof(buffer));
    for (size_t i = 0; i < count; i++) {
        writer_u32(&writer, (i + 1 < count ? 0x02000000U : 0U) + 16);
        writer_u32(&writer, (uint32_t)(i + 1) << 24 | 0x010001);
        writer_u64(&writer, 0x0000000804000013);
    }
    assert_int_equal(writer_finish(&writer, &body), 0);
    return decode(body);
}

/* One proposal of `count` transforms, each of the type and ID that follows on the one before. */
static int decode_steps(size_t count, uint32_t first, uint32_t step)
{
    uint8_t buffer[8 + UINT8_MAX * 8];
    Writer writer;
    Bytes body;

    writer_init(&writer, buffer, sizeof(buffer));
    writer_u32(&writer, (uint32_t)(8 + 8 * count));
    writer_u32(&writer, 0x01010000 | (uint32_t)count);
    for (size_t i = 0; i < count; i++) {
        writer_u64(&writer,
                   (i + 1 < count ? 0x03000000ULL << 32 : 0) | 8ULL << 32 | (first + i * step));
    }
    assert_int_equal(writer_finish(&writer, &body), 0);
    return decode(body);
}

static int decode_transforms(size_t count)
{
    return decode_steps(count, 0x04000013, 0);
}

static void bounds_are_reached_and_not_passed(void **state)
{
    (void)state;
    assert_int_equal(decode_proposals(IKE_PROPOSALS_MAX), 0);
    assert_int_equal(sa.n_proposals, IKE_PROPOSALS_MAX);
    assert_int_equal(sa.n_skipped, 0);
    assert_int_equal(decode_proposals(IKE_PROPOSALS_MAX + 1),
                     0); /* not what a peer is refused for */
    assert_int_equal(sa.n_proposals, IKE_PROPOSALS_MAX);
    assert_int_equal(sa.n_skipped, 1);
    assert_int_equal(decode_transforms(IKE_TRANSFORMS_MAX), 0);
    assert_int_equal(sa.proposals[0].n_transforms, IKE_TRANSFORMS_MAX);
    assert_int_equal(sa.proposals[0].n_skipped, 0);
}

/* A gateway may offer all that it has in one proposal, and that may be more. */
static void of_many_transforms_those_are_kept_that_can_be_chosen(void **state)
{
    const IkeProposal *proposal = &sa.proposals[0];
    (void)state;

    assert_int_equal(decode_transforms(IKE_TRANSFORMS_MAX + 1), 0);
    assert_int_equal(proposal->n_transforms, 1);
    assert_int_equal(proposal->n_skipped, IKE_TRANSFORMS_MAX);

    /* KE from the 1000th on, which nobody knows: that there are some is known. */
    assert_int_equal(decode_steps(UINT8_MAX, 0x04000000 + 1000, 1), 0);
    assert_int_equal(proposal->n_transforms, 1);
    assert_int_equal(proposal->transforms[0].id, 1000);
    assert_int_equal(proposal->n_skipped, UINT8_MAX - 1);

    /* KE from the first on: those are kept that have a name. */
    assert_int_equal(decode_steps(UINT8_MAX, 0x04000001, 1), 0);
    assert_in_range(proposal->n_transforms, 2, IKE_TRANSFORMS_MAX);
    for (size_t i = 1; i < proposal->n_transforms; i++) {
        assert_non_null(algorithm_find(IKE_TRANSFORM_KE, proposal->transforms[i].id, 0));
        assert_true(proposal->transforms[i].id > proposal->transforms[i - 1].id);
    }
    assert_int_equal(proposal->n_transforms + proposal->n_skipped, UINT8_MAX);

    /* One of each type, which are more types than anybody has. */
    assert_int_equal(decode_steps(UINT8_MAX, 0x00000001, 0x01000000), IKEWIRE_E_TOO_MANY);
}

/* 3.3.2: with AES-GCM, NONE is a choice that somebody may make, and so is either ESN. */
static void
of_many_transforms_none_and_esn_are_kept_and_an_esn_that_nobody_knows_is_not(void **state)
{
    static const uint64_t first[] = {
        0x030000080300000c, /* AUTH_HMAC_SHA2_256_128 */
        0x0300000803000000, /* NONE */
        0x0300000805000000, 0x0300000805000001, 0x0300000805000002,
    };
    enum { FIRST = ELEMENTS(first) };
    uint8_t buffer[8 + 8 * (FIRST + IKE_TRANSFORMS_MAX)];
    const IkeProposal *proposal = &sa.proposals[0];
    Writer writer;
    Bytes body;
    (void)state;

    writer_init(&writer, buffer, sizeof(buffer));
    writer_u32(&writer, sizeof(buffer));
    writer_u32(&writer, 0x01010000 | (FIRST + IKE_TRANSFORMS_MAX));
    for (size_t i = 0; i < FIRST; i++)
        writer_u64(&writer, first[i]);
    for (uint64_t i = 0; i < IKE_TRANSFORMS_MAX; i++)
        writer_u64(&writer, i + 1 < IKE_TRANSFORMS_MAX ? 0x0300000802000005 : 0x0000000802000005);
    assert_int_equal(writer_finish(&writer, &body), 0);
    assert_int_equal(decode(body), 0);
    assert_int_equal(proposal->n_transforms, FIRST - 1 + 1);
    assert_int_equal(proposal->transforms[1].type, IKE_TRANSFORM_INTEG);
    assert_int_equal(proposal->transforms[1].id, IKE_INTEG_NONE);
    assert_int_equal(proposal->transforms[3].type, IKE_TRANSFORM_ESN);
    assert_int_equal(proposal->transforms[3].id, IKE_ESN_YES);
    assert_int_equal(proposal->transforms[4].type, IKE_TRANSFORM_PRF);
}

/* 3.3.6: a transform with an attribute that nobody knows can't be chosen, and the same without can.
 */
static void of_many_transforms_the_one_without_an_unknown_attribute_is_kept(void **state)
{
    enum { UNKNOWNS = IKE_TRANSFORMS_MAX };
    uint8_t buffer[8 + 16 + 12 + 8 * UNKNOWNS];
    const IkeProposal *proposal = &sa.proposals[0];
    bool is_there = false;
    Writer writer;
    Bytes body;
    (void)state;

    writer_init(&writer, buffer, sizeof(buffer));
    writer_u32(&writer, sizeof(buffer));
    writer_u32(&writer, 0x01010000 | (2 + UNKNOWNS));
    writer_u64(&writer, 0x0300001001000014); /* ENCR_AES_GCM_16 */
    writer_u64(&writer, 0x800e008080630001); /* of 128 bits, and another attribute */
    writer_u64(&writer, 0x0300000c01000014);
    writer_u32(&writer, 0x800e0080);
    for (uint64_t i = 0; i < UNKNOWNS; i++)
        writer_u64(&writer, (i + 1 < UNKNOWNS ? 0x0300000801000400 : 0x0000000801000400) + i);
    assert_int_equal(writer_finish(&writer, &body), 0);
    assert_int_equal(decode(body), 0);
    for (size_t i = 0; i < proposal->n_transforms; i++) {
        const IkeTransform *transform = &proposal->transforms[i];

        is_there = is_there || (transform->id == 20 && transform->key_length == 128 &&
                                !transform->unknown_attribute);
    }
    assert_true(is_there);
    assert_int_equal(proposal->n_skipped, UNKNOWNS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_offer_is_read_transform_by_transform),
        cmocka_unit_test(offers_are_numbered_from_1_without_gaps),
        cmocka_unit_test(an_answer_may_carry_any_number_but_0),
        cmocka_unit_test(an_esp_spi_has_4_octets_and_a_new_ike_spi_8),
        cmocka_unit_test(an_unknown_attribute_marks_its_transform),
        cmocka_unit_test(reserved_octets_are_ignored),
        cmocka_unit_test(proposals_of_unknown_protocols_are_read),
        cmocka_unit_test(malformed_offers_are_refused),
        cmocka_unit_test(no_front_of_an_offer_passes_for_the_whole),
        cmocka_unit_test(bounds_are_reached_and_not_passed),
        cmocka_unit_test(of_many_transforms_those_are_kept_that_can_be_chosen),
        cmocka_unit_test(
            of_many_transforms_none_and_esn_are_kept_and_an_esn_that_nobody_knows_is_not),
        cmocka_unit_test(of_many_transforms_the_one_without_an_unknown_attribute_is_kept),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
