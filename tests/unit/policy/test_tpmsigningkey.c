/* In what order is a key asked to sign, to get ready and to rest, and who is told? The key is
 * played, and so are the TPM's tasks: the linker puts these functions in the place of policy/'s and
 * tpm/'s own (ld --wrap). */
#include "policy/tpmsigningkey.h"

#include "policy/devicekey_internal.h"
#include "tpm/tpm.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { DIGEST_SIZE = 32, SAID_SIZE = 256 };

static struct {
    Tpm tpm;
    EVP_PKEY *pkey;
    bool no_memory;
    void (*work)(void *userdata);
    void (*done)(void *userdata);
    void *userdata;
    unsigned cancelled, closed;
    int result;           /* of what the key does */
    char said[SAID_SIZE]; /* what was done, and told, in order */
} bench;

static void say(const char *word)
{
    const size_t used = strlen(bench.said);

    (void)snprintf(bench.said + used, sizeof(bench.said) - used, "%s%s", used ? " " : "", word);
}

static int act(const char *word, Reason *reason)
{
    say(word);
    return bench.result < 0 ? reason_set(reason, bench.result, "no %s", word) : bench.result;
}

EVP_PKEY *__wrap_device_key_public(const DeviceKey *key);
TpmKeyAlgorithm __wrap_device_key_algorithm(const DeviceKey *key);
int __wrap_device_key_pss_salt(const DeviceKey *key);
int __wrap_device_key_prepare(DeviceKey *key, Reason *reason);
void __wrap_device_key_rest(DeviceKey *key);
void __wrap_device_key_free(DeviceKey *key);
int __wrap_device_key_sign(DeviceKey *key, const char *digest_name, bool pss, Bytes digest,
                           uint8_t *ret, size_t *ret_size, Reason *reason);
int __wrap_tpm_task_start(TpmLoop *loop, TpmPriority priority, void (*work)(void *userdata),
                          void (*done)(void *userdata), void *userdata, TpmTask **ret);
void __wrap_tpm_task_cancel(TpmTask *task);
Tpm *__wrap_tpm_ref(Tpm *tpm);
void __wrap_tpm_close(Tpm *tpm);

EVP_PKEY *__wrap_device_key_public(const DeviceKey *key)
{
    (void)key;
    return bench.pkey;
}

TpmKeyAlgorithm __wrap_device_key_algorithm(const DeviceKey *key)
{
    (void)key;
    return TPM_KEY_ECDSA_P256;
}

int __wrap_device_key_pss_salt(const DeviceKey *key)
{
    (void)key;
    return 0;
}

int __wrap_device_key_prepare(DeviceKey *key, Reason *reason)
{
    (void)key;
    return act("prepare", reason);
}

void __wrap_device_key_rest(DeviceKey *key)
{
    (void)key;
    say("rest");
}

void __wrap_device_key_free(DeviceKey *key)
{
    (void)key;
    say("free");
}

/* The signature is the digest. */
int __wrap_device_key_sign(DeviceKey *key, const char *digest_name, bool pss, Bytes digest,
                           uint8_t *ret, size_t *ret_size, Reason *reason)
{
    (void)key;
    assert_string_equal(digest_name, "SHA256");
    assert_false(pss);
    memcpy(ret, digest.data, digest.size);
    *ret_size = digest.size;
    return act("sign", reason);
}

int __wrap_tpm_task_start(TpmLoop *loop, TpmPriority priority, void (*work)(void *userdata),
                          void (*done)(void *userdata), void *userdata, TpmTask **ret)
{
    (void)loop;
    assert_int_equal(priority, TPM_URGENT);
    if (bench.no_memory)
        return -ENOMEM;
    assert_null(bench.done); /* one deed at a time */
    bench.work = work;
    bench.done = done;
    bench.userdata = userdata;
    *ret = (TpmTask *)(void *)&bench;
    return 0;
}

void __wrap_tpm_task_cancel(TpmTask *task)
{
    assert_ptr_equal(task, &bench);
    bench.cancelled++;
}

Tpm *__wrap_tpm_ref(Tpm *tpm)
{
    return tpm;
}

void __wrap_tpm_close(Tpm *tpm)
{
    assert_ptr_equal(tpm, &bench.tpm);
    bench.closed++;
}

static bool is_shared; /* the TPM is, by a resource manager */

/* What the TPM says of its properties. */
static struct {
    TSS2_RC rc;
    TPML_TAGGED_TPM_PROPERTY list;
    unsigned asked;
} properties;

TSS2_RC __wrap_tpm2_get_capability(Tpm *tpm, TpmSession *session, TPM2_CAP capability,
                                   uint32_t property, uint32_t count, TPMS_CAPABILITY_DATA *ret);
TSS2_RC __wrap_tpm2_get_capability(Tpm *tpm, TpmSession *session, TPM2_CAP capability,
                                   uint32_t property, uint32_t count, TPMS_CAPABILITY_DATA *ret)
{
    assert_ptr_equal(tpm, &bench.tpm);
    assert_null(session);
    assert_int_equal(capability, TPM2_CAP_TPM_PROPERTIES);
    assert_int_equal(property, TPM2_PT_CONTEXT_GAP_MAX);
    assert_int_equal(count, 1);
    properties.asked++;
    ret->data.tpmProperties = properties.list;
    return properties.rc;
}

/* Carries out what waits; false where nothing does. */
static bool task_run(void)
{
    void (*const done)(void *userdata) = bench.done;

    if (!done)
        return false;
    bench.work(bench.userdata);
    bench.done = NULL;
    done(bench.userdata);
    return true;
}

static void tasks_run(void)
{
    while (task_run())
        continue;
}

static void on_signed(int r, Bytes signature, const char *reason, void *userdata)
{
    char text[64];

    assert_int_equal(signature.size, r == 0 ? DIGEST_SIZE : 0);
    (void)snprintf(text, sizeof(text), "%s:%d(%s)", (const char *)userdata, r, reason);
    say(text);
}

static void on_failed(int r, const char *reason, void *userdata)
{
    char text[64];

    (void)snprintf(text, sizeof(text), "%s:%d(%s)", (const char *)userdata, r, reason);
    say(text);
}

static char one[] = "one", two[] = "two", three[] = "three";

static DeviceKey device;

/* With a loop, whose tasks wait for task_run(), or with none. */
static SigningKey *key_new(bool waits)
{
    static char failed[] = "failed";
    EVP_PKEY *const pkey = bench.pkey ? bench.pkey : EVP_PKEY_new();
    SigningKey *key = NULL;
    Reason reason = {0};

    memset(&bench, 0, sizeof(bench));
    device = (DeviceKey){.tpm = &bench.tpm};
    bench.pkey = pkey;
    bench.tpm.exclusive = !is_shared;
    bench.tpm.loop = waits ? (TpmLoop *)(void *)&bench : NULL;
    assert_int_equal(tpm_signing_key_new(&device, NULL, &key, &reason), 0);
    key->on_failed = on_failed;
    key->failed_userdata = failed;
    return key;
}

static SigningRequest *sign(SigningKey *key, char *who)
{
    static const uint8_t digest[DIGEST_SIZE] = {1};
    SigningRequest *request = NULL;

    assert_int_equal(
        signing_key_sign(key, "SHA256", false, BYTES_OF(digest), on_signed, who, &request), 0);
    return request;
}

static void assert_said(const char *words)
{
    assert_string_equal(bench.said, words);
    bench.said[0] = '\0';
}

static void key_end(SigningKey *key)
{
    signing_key_free(key);
    tasks_run();
    assert_said("free");
    assert_int_equal(bench.closed, 1);
}

static void without_a_loop_each_call_is_done_when_it_returns(void **state)
{
    SigningKey *key = key_new(false);

    (void)state;
    signing_key_prepare(key);
    assert_said("prepare");
    assert_null(sign(key, one));
    assert_said("sign one:0()");
    signing_key_rest(key);
    assert_said("rest");
    key_end(key);
}

static void what_is_ready_gets_no_task(void **state)
{
    SigningKey *key = key_new(true);

    (void)state;
    device.ready = true;
    signing_key_prepare(key);
    assert_false(task_run());
    device.ready = false; /* it was spent meanwhile */
    signing_key_prepare(key);
    assert_true(task_run());
    assert_said("prepare");
    key_end(key);
}

static void getting_ready_that_fails_is_told_while_nobody_waits_for_a_signature(void **state)
{
    (void)state;
    for (int waits = 0; waits < 2; waits++) {
        SigningKey *key = key_new(waits);

        bench.result = -EKEYREJECTED;
        signing_key_prepare(key);
        tasks_run();
        char words[64];
        (void)snprintf(words, sizeof(words), "prepare failed:%d(no prepare)", -EKEYREJECTED);
        assert_said(words);
        key_end(key);
    }
}

static void getting_ready_that_fails_before_a_signature_is_told_with_that(void **state)
{
    SigningKey *key = key_new(true);
    char words[64];

    (void)state;
    bench.result = -EIO;
    signing_key_prepare(key);
    assert_non_null(sign(key, one));
    tasks_run();
    (void)snprintf(words, sizeof(words), "prepare sign one:%d(no sign)", -EIO);
    assert_said(words);
    key_end(key);
}

/* What failed once is not told of what was done next. */
static void a_rest_or_a_signature_tells_of_no_failure_to_get_ready(void **state)
{
    SigningKey *key = key_new(false);
    char words[64];

    (void)state;
    bench.result = -EIO;
    assert_null(sign(key, one));
    (void)snprintf(words, sizeof(words), "sign one:%d(no sign)", -EIO);
    assert_said(words);
    signing_key_rest(key);
    assert_said("rest");
    key_end(key);
}

static void requests_are_served_in_order_and_before_all_else(void **state)
{
    SigningKey *key = key_new(true);

    (void)state;
    signing_key_prepare(key);
    assert_non_null(sign(key, one));
    assert_non_null(sign(key, two));
    signing_key_rest(key);
    assert_true(task_run());
    signing_key_prepare(key);
    tasks_run();
    assert_said("prepare sign one:0() sign two:0() rest prepare");
    key_end(key);
}

static void a_rest_takes_back_that_it_is_to_get_ready(void **state)
{
    SigningKey *key = key_new(true);

    (void)state;
    assert_non_null(sign(key, one));
    signing_key_prepare(key);
    signing_key_rest(key);
    tasks_run();
    assert_said("sign one:0() rest");
    key_end(key);
}

static void a_request_that_waits_is_taken_back_and_no_other(void **state)
{
    SigningKey *key = key_new(true);

    (void)state;
    assert_non_null(sign(key, one));
    SigningRequest *second = sign(key, two);
    assert_non_null(sign(key, three));
    signing_key_cancel(key, second);
    assert_int_equal(bench.cancelled, 0);
    tasks_run();
    assert_said("sign one:0() sign three:0()");
    key_end(key);
}

static void a_request_that_is_under_way_is_cancelled_and_not_told(void **state)
{
    SigningKey *key = key_new(true);

    (void)state;
    SigningRequest *first = sign(key, one);
    assert_non_null(sign(key, two));
    signing_key_cancel(key, first);
    assert_int_equal(bench.cancelled, 1);
    tasks_run();
    assert_said("sign sign two:0()");
    key_end(key);
}

static void the_key_goes_once_its_requests_have_ended(void **state)
{
    SigningKey *key = key_new(true);

    (void)state;
    assert_non_null(sign(key, one));
    signing_key_prepare(key);
    signing_key_free(key);
    assert_int_equal(bench.closed, 0);
    tasks_run();
    assert_said("sign one:0() free");
    assert_int_equal(bench.closed, 1);
}

static void who_lets_go_of_a_key_is_told_of_no_failure(void **state)
{
    SigningKey *key = key_new(true);

    (void)state;
    bench.result = -EIO;
    signing_key_prepare(key);
    signing_key_free(key);
    tasks_run();
    assert_said("prepare free");
    assert_int_equal(bench.closed, 1);
}

static void without_memory_for_a_task_a_signature_fails_and_the_key_goes(void **state)
{
    SigningKey *key = key_new(true);
    char words[64];

    (void)state;
    bench.no_memory = true;
    assert_null(sign(key, one));
    (void)snprintf(words, sizeof(words), "one:%d(out of memory)", -EIO);
    assert_said(words);
    key_end(key);
}

static void a_digest_that_is_longer_than_any_is_refused(void **state)
{
    static const uint8_t digest[1024];
    SigningKey *key = key_new(false);
    SigningRequest *request = (SigningRequest *)(void *)&bench;

    (void)state;
    assert_int_equal(
        signing_key_sign(key, "SHA256", false, BYTES_OF(digest), on_signed, one, &request),
        -ENOMEM);
    assert_null(request);
    assert_said("");
    key_end(key);
}

static int bench_deinit(void **state)
{
    (void)state;
    EVP_PKEY_free(bench.pkey);
    return 0;
}

/* By a resource manager, which may save sessions, a session lasts as many saved ones as the TPM can
 * tell apart, at the least 255 of 150 microseconds each; a second is added. */
static void how_long_a_session_stays_ready_is_what_the_tpm_says_of_its_gap(void **state)
{
    static const struct {
        bool exclusive;
        TSS2_RC rc;
        UINT32 count, property, gap;
        unsigned seconds;
    } cases[] = {
        {true, TSS2_RC_SUCCESS, 1, TPM2_PT_CONTEXT_GAP_MAX, 65535, 0},
        {false, TSS2_RC_SUCCESS, 1, TPM2_PT_CONTEXT_GAP_MAX, 65535, 1 + 9},
        {false, TSS2_RC_SUCCESS, 1, TPM2_PT_CONTEXT_GAP_MAX, UINT32_MAX, 1 + 644245},
        {false, TSS2_RC_SUCCESS, 1, TPM2_PT_CONTEXT_GAP_MAX, 20000, 1 + 3},
        {false, TSS2_RC_SUCCESS, 1, TPM2_PT_CONTEXT_GAP_MAX + 1, 65535, 1},
        {false, TSS2_RC_SUCCESS, 0, TPM2_PT_CONTEXT_GAP_MAX, 65535, 1},
        {false, TPM2_RC_FAILURE, 1, TPM2_PT_CONTEXT_GAP_MAX, 65535, 1},
    };

    (void)state;
    for (size_t i = 0; i < ELEMENTS(cases); i++) {
        SigningKey *key;

        is_shared = !cases[i].exclusive;
        properties.rc = cases[i].rc;
        properties.asked = 0;
        properties.list.count = cases[i].count;
        properties.list.tpmProperty[0] = (TPMS_TAGGED_PROPERTY){cases[i].property, cases[i].gap};
        key = key_new(false);
        assert_int_equal(key->ready_seconds, cases[i].seconds);
        assert_int_equal(properties.asked, is_shared);
        key_end(key);
    }
    is_shared = false;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_a_loop_each_call_is_done_when_it_returns),
        cmocka_unit_test(what_is_ready_gets_no_task),
        cmocka_unit_test(how_long_a_session_stays_ready_is_what_the_tpm_says_of_its_gap),
        cmocka_unit_test(getting_ready_that_fails_is_told_while_nobody_waits_for_a_signature),
        cmocka_unit_test(getting_ready_that_fails_before_a_signature_is_told_with_that),
        cmocka_unit_test(a_rest_or_a_signature_tells_of_no_failure_to_get_ready),
        cmocka_unit_test(requests_are_served_in_order_and_before_all_else),
        cmocka_unit_test(a_rest_takes_back_that_it_is_to_get_ready),
        cmocka_unit_test(a_request_that_waits_is_taken_back_and_no_other),
        cmocka_unit_test(a_request_that_is_under_way_is_cancelled_and_not_told),
        cmocka_unit_test(the_key_goes_once_its_requests_have_ended),
        cmocka_unit_test(who_lets_go_of_a_key_is_told_of_no_failure),
        cmocka_unit_test(without_memory_for_a_task_a_signature_fails_and_the_key_goes),
        cmocka_unit_test(a_digest_that_is_longer_than_any_is_refused),
    };

    return cmocka_run_group_tests_name("tpmsigningkey", tests, NULL, bench_deinit);
}
