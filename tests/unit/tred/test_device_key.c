/* Is the device key that tred-tpm tells of taken as a key, or not at all? */
#include "tred/device.h"

#include "pki_fixture.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static DeviceFacts facts_of(const Pki *pki)
{
    DeviceFacts facts = {.algorithm = "rsassa", .pss_salt = 32, .ready_seconds = 7};
    unsigned char *der = NULL;
    const int size = i2d_PUBKEY(pki->key, &der);

    assert_in_range(size, 1, sizeof(facts.key));
    facts.key_size = (size_t)size;
    memcpy(facts.key, der, facts.key_size);
    OPENSSL_free(der);
    return facts;
}

static void the_key_and_what_goes_with_it_are_as_they_were_told(void **state)
{
    Pki pki = pki_root("Device");
    const DeviceFacts facts = facts_of(&pki);
    SigningKey *key = NULL;

    (void)state;
    assert_int_equal(device_key_new(NULL, &facts, &key), 0);
    assert_int_equal(EVP_PKEY_eq(key->public, pki.key), 1);
    assert_string_equal(key->algorithm, "rsassa");
    assert_int_equal(key->pss_salt, 32);
    assert_int_equal(key->ready_seconds, 7);
    key->class->free(key);
    pki_deinit(&pki);
}

static void octets_that_are_no_key_make_none(void **state)
{
    Pki pki = pki_root("Device");
    const DeviceFacts sound = facts_of(&pki);

    (void)state;
    for (size_t size = 0; size < sound.key_size; size++) {
        DeviceFacts facts = sound;
        SigningKey *key = NULL;

        facts.key_size = size;
        assert_int_equal(device_key_new(NULL, &facts, &key), -EBADMSG);
        assert_null(key);
    }
    pki_deinit(&pki);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_key_and_what_goes_with_it_are_as_they_were_told),
        cmocka_unit_test(octets_that_are_no_key_make_none),
    };

    return cmocka_run_group_tests_name("device key", tests, NULL, NULL);
}
