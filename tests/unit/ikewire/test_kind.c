/* Are the payloads that may repeat those that RFC 7296 lets repeat, and is each one checked? */
#include "ikewire/message.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static bool may_repeat(uint8_t type)
{
    return type == IKE_PAYLOAD_CERT || type == IKE_PAYLOAD_CERTREQ || type == IKE_PAYLOAD_NOTIFY ||
           type == IKE_PAYLOAD_DELETE || type == IKE_PAYLOAD_VENDOR_ID;
}

static bool is_opaque(uint8_t type)
{
    return type == IKE_PAYLOAD_VENDOR_ID || type == IKE_PAYLOAD_SK || type == IKE_PAYLOAD_EAP ||
           type == IKE_PAYLOAD_CERT || type == IKE_PAYLOAD_CERTREQ;
}

static void types_33_to_48_and_53_are_known(void **state)
{
    (void)state;
    for (unsigned type = 0; type <= UINT8_MAX; type++) {
        const IkePayloadKind *kind = ike_payload_kind((uint8_t)type);
        assert_int_equal(kind != NULL, (type >= 33 && type <= 48) || type == 53);
        if (kind)
            assert_int_equal(kind->type, type);
    }
}

static void only_certificates_notifies_deletes_and_vendor_ids_may_repeat(void **state)
{
    (void)state;
    for (unsigned type = 0; type <= UINT8_MAX; type++) {
        const IkePayloadKind *kind = ike_payload_kind((uint8_t)type);
        if (kind)
            assert_int_equal(kind->may_repeat, may_repeat((uint8_t)type));
    }
}

static void an_empty_body_passes_only_where_any_octets_will_do(void **state)
{
    (void)state;
    for (unsigned type = 0; type <= UINT8_MAX; type++) {
        const IkePayloadKind *kind = ike_payload_kind((uint8_t)type);
        if (!kind)
            continue;
        assert_int_equal(kind->validate == NULL, is_opaque((uint8_t)type));
        if (kind->validate)
            assert_int_not_equal(kind->validate((Bytes){NULL, 0}), 0);
    }
}

/* A chain that has the most of every type fits IkePayloads; SK and SKF can't both be in it. */
static void all_that_is_kept_has_room(void **state)
{
    (void)state;
    size_t room = IKE_UNKNOWNS_MAX, singles = 0;
    for (unsigned type = 0; type <= UINT8_MAX; type++) {
        const IkePayloadKind *kind = ike_payload_kind((uint8_t)type);
        if (!kind)
            continue;
        assert_true(kind->may_repeat ? kind->most > 1 : kind->most == 1);
        singles += !kind->may_repeat;
        room += kind->most;
    }
    assert_int_equal(singles, IKE_SINGLES_MAX);
    assert_int_equal(room, IKE_PAYLOADS_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(types_33_to_48_and_53_are_known),
        cmocka_unit_test(only_certificates_notifies_deletes_and_vendor_ids_may_repeat),
        cmocka_unit_test(an_empty_body_passes_only_where_any_octets_will_do),
        cmocka_unit_test(all_that_is_kept_has_room),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
