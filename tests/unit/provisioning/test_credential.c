/* Does a credential made in software open in the TPM and for the key that it names, and in no other
 * case? The TPM's own TPM2_MakeCredential is the measure. */
#include "base/reason.h"
#include "free_watch.h"
#include "key_bench.h"
#include "provisioning/credential.h"
#include "tpm/open.h"
#include "tpm/publickey.h"

#include <errno.h>
#include <openssl/rand.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static TPM2B_PUBLIC device_public;
static TpmObject device;

static TpmObject device_load(TPM2B_PUBLIC *ret_public)
{
    Reason reason = {0};
    TpmObject srk = {0}, object = {0};
    Tss2Key key;

    assert_int_equal(device_key_create(bench.tpm, TPM_KEY_ECDSA_P256, NULL, &key, &reason), 0);
    assert_int_equal(tpm_srk_open(bench.tpm, false, &srk, &reason), 0);
    assert_int_equal(tpm2_load(bench.tpm, &srk, NULL, &key.private, &key.public, &object),
                     TSS2_RC_SUCCESS);
    tpm_object_release(bench.tpm, &srk);
    *ret_public = key.public;
    tpm_hold(bench.tpm, object.handle);
    return object;
}

static int group_init(void **state)
{
    if (bench_init(state) < 0)
        return -1;
    device = device_load(&device_public);
    return 0;
}

static int group_deinit(void **state)
{
    tpm_object_release(bench.tpm, &device);
    return bench_deinit(state);
}

/* The TPM has three transient slots: one EK at a time. */
static Endorsement ek_make(unsigned template)
{
    Endorsement ek = {.tpm = bench.tpm, .template = (EndorsementTemplate) template};
    Reason reason = {0};

    if (endorsement_key_make(bench.tpm, ek.template, &ek.object, &ek.public, &reason) < 0)
        fail_msg("%s", reason.text);
    return ek;
}

static void ek_release(Endorsement *ek)
{
    tpm_object_release(ek->tpm, &ek->object);
}

static Secret *secret_random(void)
{
    Secret *secret = NULL;

    assert_int_equal(secret_new(CREDENTIAL_SECRET_SIZE, &secret), 0);
    assert_int_equal(RAND_bytes(secret->data, (int)secret->size), 1);
    return secret;
}

static void assert_opens(const Endorsement *ek, const Credential *credential, const Secret *secret)
{
    _cleanup_(secret_freep) Secret *found = NULL;
    Reason reason = {0};

    if (credential_activate(ek, &device, credential, &found, &reason) < 0)
        fail_msg("%s", reason.text);
    assert_int_equal(found->size, secret->size);
    assert_memory_equal(found->data, secret->data, secret->size);
}

static void assert_stays_shut(const Endorsement *ek, const Credential *credential)
{
    Reason reason = {0};
    Secret *found = NULL;

    if (credential_activate(ek, &device, credential, &found, &reason) != -EKEYREJECTED)
        fail_msg("%s", reason.text);
    assert_non_null(strstr(reason.text, "made for another TPM, or for another device key"));
    assert_null(found);
    assert_int_equal(handle_count(TPM2_LOADED_SESSION_FIRST), 0);
}

static void a_credential_made_in_software_opens_in_the_tpm(void **state)
{
    TPM2B_NAME name;

    (void)state;
    assert_int_equal(tpm_object_name(&device_public, &name), 0);
    for (unsigned i = 0; i < ENDORSEMENT_TEMPLATES; i++) {
        _cleanup_(ek_release) Endorsement ek = ek_make(i);
        for (int round = 0; round < 20; round++) {
            _cleanup_(secret_freep) Secret *secret = secret_random();
            Credential credential;

            assert_int_equal(credential_make(&ek.public, &name, secret, &credential), 0);
            assert_opens(&ek, &credential, secret);
        }
    }
    assert_int_equal(handle_count(TPM2_LOADED_SESSION_FIRST), 0);
    assert_int_equal(handle_count(TPM2_TRANSIENT_FIRST), 1); /* the device key */
}

static void two_credentials_of_one_secret_have_nothing_in_common(void **state)
{
    TPM2B_NAME name;

    (void)state;
    assert_int_equal(tpm_object_name(&device_public, &name), 0);
    for (unsigned i = 0; i < ENDORSEMENT_TEMPLATES; i++) {
        _cleanup_(ek_release) Endorsement ek = ek_make(i);
        _cleanup_(secret_freep) Secret *secret = secret_random();
        Credential one, other;

        assert_int_equal(credential_make(&ek.public, &name, secret, &one), 0);
        assert_int_equal(credential_make(&ek.public, &name, secret, &other), 0);
        /* The seed: in OAEP, or as an ephemeral point, whose y may be the same but not its x. */
        assert_memory_not_equal(one.secret.secret, other.secret.secret, one.secret.size);
        /* Behind its size, the HMAC; and what it is over. */
        assert_memory_not_equal(one.blob.credential + 2, other.blob.credential + 2, TPM_HASH_SIZE);
        assert_memory_not_equal(one.blob.credential + 2 + TPM_HASH_SIZE,
                                other.blob.credential + 2 + TPM_HASH_SIZE,
                                one.blob.size - 2 - TPM_HASH_SIZE);
    }
}

static void a_credential_of_the_tpms_own_making_has_the_same_form_and_opens_too(void **state)
{
    TPM2B_NAME name;

    (void)state;
    assert_int_equal(tpm_object_name(&device_public, &name), 0);
    for (unsigned i = 0; i < ENDORSEMENT_TEMPLATES; i++) {
        _cleanup_(ek_release) Endorsement ek = ek_make(i);
        _cleanup_(secret_freep) Secret *secret = secret_random();
        TPM2B_DIGEST plain = {.size = CREDENTIAL_SECRET_SIZE};
        Credential theirs = {0}, ours;

        memcpy(plain.buffer, secret->data, secret->size);
        assert_int_equal(tpm2_make_credential(bench.tpm, &ek.object, &plain, &name, &theirs.blob,
                                              &theirs.secret),
                         TSS2_RC_SUCCESS);
        assert_opens(&ek, &theirs, secret);
        assert_int_equal(credential_make(&ek.public, &name, secret, &ours), 0);
        assert_int_equal(ours.blob.size, theirs.blob.size);
        assert_int_equal(ours.secret.size, theirs.secret.size);
    }
}

/* What the TPM answered on the bus while the tap was open. */
static struct {
    TSS2_TCTI_RECEIVE_FCN receive;
    uint8_t octets[16384];
    size_t size;
} wire;

static TSS2_RC wire_receive(TSS2_TCTI_CONTEXT *tcti, size_t *size, uint8_t *response,
                            int32_t timeout)
{
    TSS2_RC rc = wire.receive(tcti, size, response, timeout);

    if (rc == TSS2_RC_SUCCESS && response) {
        assert_true(wire.size + *size <= sizeof(wire.octets));
        memcpy(wire.octets + wire.size, response, *size);
        wire.size += *size;
    }
    return rc;
}

static void the_secret_crosses_the_bus_of_the_tpm_only_encrypted(void **state)
{
    _cleanup_(secret_freep) Secret *secret = secret_random();
    TPM2B_NAME name;

    (void)state;
    assert_int_equal(tpm_object_name(&device_public, &name), 0);
    for (unsigned i = 0; i < ENDORSEMENT_TEMPLATES; i++) {
        _cleanup_(ek_release) Endorsement ek = ek_make(i);
        Credential credential;

        assert_int_equal(credential_make(&ek.public, &name, secret, &credential), 0);
        wire.size = 0;
        wire.receive = TSS2_TCTI_RECEIVE(bench.tpm->tcti);
        TSS2_TCTI_RECEIVE(bench.tpm->tcti) = wire_receive;
        assert_opens(&ek, &credential, secret);
        TSS2_TCTI_RECEIVE(bench.tpm->tcti) = wire.receive;
        /* The response is there: it is as long as the secret, and more. */
        assert_true(wire.size > 10 + CREDENTIAL_SECRET_SIZE);
        assert_null(memmem(wire.octets, wire.size, secret->data, secret->size));
    }
}

/* The blocks of the command that brought it, the parameter that was decrypted, and the copy of its
 * answer. */
static void the_secret_is_wiped_wherever_it_came_by(void **state)
{
    _cleanup_(secret_freep) Secret *secret = secret_random(), *found = NULL;
    _cleanup_(ek_release) Endorsement ek = ek_make(ENDORSEMENT_ECC_P256);
    Credential credential;
    Reason reason = {0};
    TPM2B_NAME name;

    (void)state;
    assert_int_equal(tpm_object_name(&device_public, &name), 0);
    assert_int_equal(credential_make(&ek.public, &name, secret, &credential), 0);
    free_watch_begin(secret_bytes(secret));
    assert_int_equal(credential_activate(&ek, &device, &credential, &found, &reason), 0);
    assert_int_equal(free_watch_wiped(), 3);
    assert_false(free_watch_end());
}

static void a_credential_for_another_key_stays_shut(void **state)
{
    _cleanup_(secret_freep) Secret *secret = secret_random();
    TPM2B_PUBLIC other = device_public;
    Credential credential;
    TPM2B_NAME name;

    (void)state;
    /* The same key with one attribute more: another Name. */
    other.publicArea.objectAttributes ^= TPMA_OBJECT_NODA;
    assert_int_equal(tpm_object_name(&other, &name), 0);
    for (unsigned i = 0; i < ENDORSEMENT_TEMPLATES; i++) {
        _cleanup_(ek_release) Endorsement ek = ek_make(i);
        assert_int_equal(credential_make(&ek.public, &name, secret, &credential), 0);
        assert_stays_shut(&ek, &credential);
    }
}

static void a_credential_for_another_tpm_stays_shut(void **state)
{
    _cleanup_(secret_freep) Secret *secret = secret_random();
    Reason reason = {0};
    Credential credential;
    TPM2B_PUBLIC public;
    TPM2B_NAME name;
    TpmObject object = {0};
    Swtpm swtpm;
    Tpm *other = NULL;

    (void)state;
    assert_int_equal(tpm_object_name(&device_public, &name), 0);
    assert_int_equal(swtpm_start(&swtpm), 0);
    assert_int_equal(tpm_open(swtpm.tcti, &other, &reason), 0);
    for (unsigned i = 0; i < ENDORSEMENT_TEMPLATES; i++) {
        _cleanup_(ek_release) Endorsement ek = ek_make(i);
        assert_int_equal(
            endorsement_key_make(other, (EndorsementTemplate)i, &object, &public, &reason), 0);
        tpm_object_release(other, &object);
        assert_int_equal(credential_make(&public, &name, secret, &credential), 0);
        assert_stays_shut(&ek, &credential);
    }
    tpm_close(other);
    swtpm_stop(&swtpm);
}

static void a_credential_damaged_in_any_part_stays_shut(void **state)
{
    _cleanup_(secret_freep) Secret *secret = secret_random();
    TPM2B_NAME name;

    (void)state;
    assert_int_equal(tpm_object_name(&device_public, &name), 0);
    for (unsigned i = 0; i < ENDORSEMENT_TEMPLATES; i++) {
        _cleanup_(ek_release) Endorsement ek = ek_make(i);
        Credential good;
        Credential bad;

        assert_int_equal(credential_make(&ek.public, &name, secret, &good), 0);
        bad = good;
        bad.blob.credential[5] ^= 1; /* outerHMAC */
        assert_stays_shut(&ek, &bad);
        bad = good;
        bad.blob.credential[40] ^= 1; /* encIdentity */
        assert_stays_shut(&ek, &bad);
        bad = good;
        bad.secret.secret[10] ^= 1;
        assert_stays_shut(&ek, &bad);
        bad = good;
        bad.blob.size = 1;
        assert_stays_shut(&ek, &bad);
        assert_opens(&ek, &good, secret);
    }
}

static void what_is_no_ek_or_no_full_secret_gets_no_credential(void **state)
{
    _cleanup_(secret_freep) Secret *secret = secret_random();
    _cleanup_(secret_freep) Secret *brief = NULL;
    _cleanup_(ek_release) Endorsement ek = ek_make(ENDORSEMENT_ECC_P256);
    TPM2B_PUBLIC off_curve = ek.public;
    Credential credential;
    TPM2B_NAME name;

    (void)state;
    assert_int_equal(tpm_object_name(&device_public, &name), 0);
    assert_int_equal(secret_new(CREDENTIAL_SECRET_SIZE - 1, &brief), 0);
    assert_int_equal(credential_make(&ek.public, &name, brief, &credential), -EINVAL);
    assert_int_equal(credential_make(&device_public, &name, secret, &credential), -EINVAL);
    off_curve.publicArea.unique.ecc.y.buffer[5] ^= 1;
    assert_int_equal(credential_make(&off_curve, &name, secret, &credential), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_credential_made_in_software_opens_in_the_tpm),
        cmocka_unit_test(two_credentials_of_one_secret_have_nothing_in_common),
        cmocka_unit_test(a_credential_of_the_tpms_own_making_has_the_same_form_and_opens_too),
        cmocka_unit_test(the_secret_crosses_the_bus_of_the_tpm_only_encrypted),
        cmocka_unit_test(the_secret_is_wiped_wherever_it_came_by),
        cmocka_unit_test(a_credential_for_another_key_stays_shut),
        cmocka_unit_test(a_credential_for_another_tpm_stays_shut),
        cmocka_unit_test(a_credential_damaged_in_any_part_stays_shut),
        cmocka_unit_test(what_is_no_ek_or_no_full_secret_gets_no_credential),
    };

    return cmocka_run_group_tests(tests, group_init, group_deinit);
}
