/* What is asked of the TPM, in what order it is done, and what is told. Tasks, key and TPM are
 * played: the linker puts these functions in the place of the device's, policy's and tpm's own (ld
 * --wrap). */
#include "device/service.h"

#include "base/file.h"
#include "base/file_write.h"
#include "device/identity.h"
#include "policy/anchorinstall.h"
#include "policy/keypolicy.h"
#include "policy/lastknowntime.h"
#include "tpm/commands.h"
#include "tpm/open.h"
#include "tpm/tpm.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

enum { SAID_SIZE = 512, LOOP_PATIENCE_MS = 100 };

static const time_t DAY = LAST_KNOWN_DAY;

static struct {
    DeviceService *service;
    bool waits;         /* tasks do, until task_run() */
    bool is_stuck;      /* the TPM's thread is, and the loop does not end */
    bool seals_nothing; /* no file can be sealed */
    bool has_certificates;
    size_t bundle_size; /* that is to be installed; what follows is its approval */
    time_t boottime;
    void (*work)(void *userdata);
    void (*done)(void *userdata);
    void *userdata;
    unsigned cancelled;
    Tpm tpms[4];
    size_t n_tpms;
    int spki_size; /* of the public key; 0: none was read */
    int load_result, open_result, install_result, sign_result;
    bool sleep_cancelled;
    time_t last_known, advanced_to;
    uint64_t clock_ms;
    SigningRequest *request; /* under way in the key; NULL: none */
    SigningDone signed_done;
    void *signed_userdata;
    bool signs_later;
    DeviceAnswer answer; /* the last one */
    char said[SAID_SIZE];
} bench;

static void say(const char *word)
{
    const size_t used = strlen(bench.said);

    (void)snprintf(bench.said + used, sizeof(bench.said) - used, "%s%s", used ? " " : "", word);
}

static void assert_said(const char *words)
{
    assert_string_equal(bench.said, words);
    bench.said[0] = '\0';
}

/* ---- the key ---- */

static void key_prepare(SigningKey *key)
{
    (void)key;
    say("prepare");
}

static int key_sign(SigningKey *key, const char *digest_name, bool pss, Bytes digest,
                    SigningDone done, void *userdata, SigningRequest **ret)
{
    (void)key, (void)pss;
    say(digest_name);
    *ret = NULL;
    if (bench.sign_result == -ENOMEM)
        return -ENOMEM;
    if (bench.signs_later) {
        bench.request = *ret = (SigningRequest *)(void *)&bench;
        bench.signed_done = done;
        bench.signed_userdata = userdata;
    } else {
        done(bench.sign_result, bench.sign_result == 0 ? digest : (Bytes){0},
             bench.sign_result == 0 ? "" : "no signature", userdata);
    }
    return 0;
}

static void key_cancel(SigningRequest *request)
{
    assert_ptr_equal(request, bench.request);
    bench.request = NULL;
    say("cancel");
}

static void key_rest(SigningKey *key)
{
    (void)key;
    say("rest");
}

static const SigningKeyClass key_class = {
    .prepare = key_prepare, .sign = key_sign, .cancel = key_cancel, .rest = key_rest};
static SigningKey key = {.class = &key_class, .algorithm = "ecdsa-p256"};
static KeyPolicy policy;

/* ---- the TPM and its tasks ---- */

int __wrap_tpm_loop_new(sd_event *event, TpmLoop **ret);
bool __wrap_tpm_loop_free(TpmLoop *loop, unsigned milliseconds);
int __wrap_tpm_loop_sleep(TpmLoop *loop, unsigned milliseconds);
int __wrap_tpm_task_start(TpmLoop *loop, TpmPriority priority, void (*work)(void *userdata),
                          void (*done)(void *userdata), void *userdata, TpmTask **ret);
void __wrap_tpm_task_cancel(TpmTask *task);
Tpm *__wrap_tpm_ref(Tpm *tpm);
void __wrap_tpm_close(Tpm *tpm);
int __wrap_tpm_open_in_loop(const char *conf, TpmLoop *loop, Tpm **ret, Reason *reason);
TSS2_RC __wrap_tpm2_read_clock(Tpm *tpm, TPMS_TIME_INFO *ret);

int __wrap_tpm_loop_new(sd_event *event, TpmLoop **ret)
{
    (void)event;
    *ret = (TpmLoop *)(void *)&bench;
    return 0;
}

bool __wrap_tpm_loop_free(TpmLoop *loop, unsigned milliseconds)
{
    (void)loop;
    assert_int_equal(milliseconds, LOOP_PATIENCE_MS);
    return !bench.is_stuck;
}

int __wrap_tpm_loop_sleep(TpmLoop *loop, unsigned milliseconds)
{
    (void)loop, (void)milliseconds;
    return bench.sleep_cancelled ? -ECANCELED : 0;
}

int __wrap_tpm_task_start(TpmLoop *loop, TpmPriority priority, void (*work)(void *userdata),
                          void (*done)(void *userdata), void *userdata, TpmTask **ret)
{
    (void)loop;
    assert_int_equal(priority, TPM_BACKGROUND);
    *ret = (TpmTask *)(void *)&bench;
    if (!bench.waits) {
        work(userdata);
        done(userdata);
        return 0;
    }
    bench.work = work;
    bench.done = done;
    bench.userdata = userdata;
    return 0;
}

void __wrap_tpm_task_cancel(TpmTask *task)
{
    assert_ptr_equal(task, &bench);
    bench.cancelled++;
}

static void task_run(void)
{
    bench.work(bench.userdata);
    bench.done(bench.userdata);
}

Tpm *__wrap_tpm_ref(Tpm *tpm)
{
    tpm->n_references++;
    return tpm;
}

void __wrap_tpm_close(Tpm *tpm)
{
    if (!tpm)
        return;
    assert_true(tpm->n_references > 0);
    tpm->n_references--;
}

static Tpm *tpm_new(void)
{
    Tpm *tpm = &bench.tpms[bench.n_tpms++];

    assert_true(bench.n_tpms <= ELEMENTS(bench.tpms));
    tpm->n_references = 1;
    return tpm;
}

int __wrap_tpm_open_in_loop(const char *conf, TpmLoop *loop, Tpm **ret, Reason *reason)
{
    (void)conf, (void)loop;
    say("open");
    if (bench.open_result < 0)
        return reason_set(reason, bench.open_result, "there is no TPM");
    *ret = tpm_new();
    return 0;
}

TSS2_RC __wrap_tpm2_read_clock(Tpm *tpm, TPMS_TIME_INFO *ret)
{
    (void)tpm;
    *ret = (TPMS_TIME_INFO){.time = bench.clock_ms};
    return TSS2_RC_SUCCESS;
}

int __wrap_clock_gettime(clockid_t clock, struct timespec *ret);
int __wrap_clock_gettime(clockid_t clock, struct timespec *ret)
{
    assert_int_equal(clock, CLOCK_BOOTTIME);
    *ret = (struct timespec){.tv_sec = bench.boottime};
    return 0;
}

int __real_file_seal(Bytes octets, const char *name, int *ret);
int __wrap_file_seal(Bytes octets, const char *name, int *ret);
int __wrap_file_seal(Bytes octets, const char *name, int *ret)
{
    return bench.seals_nothing ? -EMFILE : __real_file_seal(octets, name, ret);
}

/* ---- what is loaded, installed and counted ---- */

int __wrap_spki_encode(const EVP_PKEY *public, unsigned char **ret);
int __wrap_device_identity_load(const DeviceFiles *files, DeviceIdentity *identity, Reason *reason);
void __wrap_device_identity_free(DeviceIdentity *identity);
const char *__wrap_device_identity_development(const DeviceIdentity *identity);
int __wrap_anchors_install(Tpm *tpm, const char *path, Bytes bundle, Bytes approval,
                           FileOwner owner, AnchorRecord *ret, Reason *reason);
int __wrap_last_known_time_advance(Tpm *tpm, time_t reached, unsigned days_max, time_t *ret,
                                   Reason *reason);

int __wrap_spki_encode(const EVP_PKEY *public, unsigned char **ret)
{
    assert_ptr_equal(public, &bench);
    *ret = OPENSSL_malloc((size_t)bench.spki_size);
    assert_non_null(*ret);
    memset(*ret, 0x30, (size_t)bench.spki_size);
    return bench.spki_size;
}

int __wrap_device_identity_load(const DeviceFiles *files, DeviceIdentity *identity, Reason *reason)
{
    (void)files;
    say(identity->tpm ? "load" : "connect");
    if (!identity->tpm)
        identity->tpm = tpm_new();
    if (bench.load_result == -EKEYREJECTED)
        identity->policy = &policy; /* as far as it came */
    if (bench.load_result != 0)
        return reason_set(reason, bench.load_result, "it can't be loaded");
    if (bench.spki_size > 0)
        identity->public_key = (EVP_PKEY *)(void *)&bench;
    if (bench.has_certificates) {
        identity->certificates.data = calloc(1, 1);
        identity->certificates.size = 1;
    }
    identity->key = &key;
    identity->policy = &policy;
    identity->last_known = bench.last_known;
    return 0;
}

void __wrap_device_identity_free(DeviceIdentity *identity)
{
    if (!identity)
        return;
    __wrap_tpm_close(identity->tpm);
    free(identity->certificates.data);
    free(identity->anchors.data);
    free(identity);
    say("forget");
}

const char *__wrap_device_identity_development(const DeviceIdentity *identity)
{
    (void)identity;
    return NULL;
}

/* Of a new version, or as `install_result` says. */
int __wrap_anchors_install(Tpm *tpm, const char *path, Bytes bundle, Bytes approval,
                           FileOwner owner, AnchorRecord *ret, Reason *reason)
{
    static const char both[] = "bundleapproval";

    (void)path, (void)owner;
    assert_true(tpm->n_references > 0);
    assert_false(tpm->broken);
    assert_int_equal(bundle.size, bench.bundle_size);
    assert_memory_equal(bundle.data, both, bundle.size);
    assert_int_equal(approval.size, strlen(both) - bundle.size);
    assert_memory_equal(approval.data, both + bundle.size, approval.size);
    say("install");
    if (bench.install_result != 0)
        return reason_set(reason, bench.install_result, "not these");
    *ret = (AnchorRecord){.version = 7};
    return 0;
}

int __wrap_last_known_time_advance(Tpm *tpm, time_t reached, unsigned days_max, time_t *ret,
                                   Reason *reason)
{
    (void)tpm, (void)reason;
    assert_true(days_max > 0);
    say("advance");
    bench.advanced_to = *ret = reached / DAY * DAY;
    return 0;
}

/* ---- the service ---- */

static void on_answer(const DeviceAnswer *answer, int fd, void *userdata)
{
    static const char *const words[DEVICE_ANSWER_TYPES] = {
        [DEVICE_CERTIFICATES] = "certificates",
        [DEVICE_ANCHORS] = "anchors",
        [DEVICE_LOADED] = "loaded",
        [DEVICE_INSTALLED] = "installed",
        [DEVICE_ADVANCED] = "advanced",
        [DEVICE_SIGNED] = "signed",
        [DEVICE_FAILED] = "failed",
    };
    char text[64];

    assert_ptr_equal(userdata, &bench);
    assert_int_equal(fd >= 0,
                     answer->type == DEVICE_CERTIFICATES || answer->type == DEVICE_ANCHORS);
    bench.answer = *answer;
    (void)snprintf(text, sizeof(text), "%s:%d", words[answer->type], answer->result);
    say(text);
}

static int setup(void **state)
{
    static const DeviceFiles files = {.tcti = "none", .srk_name = "/nonexistent"};

    (void)state;
    memset(&bench, 0, sizeof(bench));
    return device_service_new(&files, NULL, on_answer, &bench, &bench.service);
}

/* Every reference on a TPM is given back. */
static int teardown(void **state)
{
    (void)state;
    device_service_free(bench.service, LOOP_PATIENCE_MS);
    for (size_t i = 0; i < bench.n_tpms; i++)
        assert_int_equal(bench.tpms[i].n_references, 0);
    return 0;
}

static int ask(DeviceRequestType type)
{
    const DeviceRequest request = {.type = type, .number = 5};

    return device_service_take(bench.service, &request, -1);
}

static int ask_to_sign(uint32_t number)
{
    static const uint8_t digest[32] = {1};
    const DeviceRequest request = {
        .type = DEVICE_SIGN, .number = number, .digest_name = "SHA256", .digest = BYTES_OF(digest)};

    return device_service_take(bench.service, &request, -1);
}

static int install(uint32_t bundle_size)
{
    const DeviceRequest request = {.type = DEVICE_INSTALL, .bundle_size = bundle_size};
    const int fd = memfd_create("anchors", MFD_CLOEXEC);

    bench.bundle_size = bundle_size;
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "bundleapproval", 14), 14);
    const int r = device_service_take(bench.service, &request, fd);
    (void)close(fd);
    return r;
}

static int advance(time_t reached, uint32_t correction_days)
{
    const DeviceRequest request = {
        .type = DEVICE_ADVANCE, .reached = reached, .correction_days = correction_days};

    return device_service_take(bench.service, &request, -1);
}

static void a_connection_is_kept_for_the_next_load(void **state)
{
    (void)state;
    bench.load_result = IDENTITY_UNPROVISIONED;
    assert_int_equal(ask(DEVICE_LOAD), 0);
    assert_said("connect loaded:3 forget");
    assert_int_equal(bench.answer.number, 5);
    assert_string_equal(bench.answer.reason.text, "it can't be loaded");
    bench.load_result = 0;
    assert_int_equal(ask(DEVICE_LOAD), 0);
    assert_int_equal(ask(DEVICE_LOAD), 0);
    assert_said("load loaded:0 load forget loaded:0");
    assert_string_equal(bench.answer.facts.algorithm, "ecdsa-p256");
    assert_int_equal(bench.n_tpms, 1);
}

static void a_connection_that_broke_is_dropped_before_the_next_load(void **state)
{
    (void)state;
    assert_int_equal(ask(DEVICE_LOAD), 0);
    assert_false(bench.answer.broken);
    bench.tpms[0].broken = true;
    assert_int_equal(ask_to_sign(1), 0);
    assert_true(bench.answer.broken);
    bench.said[0] = '\0';
    bench.waits = true;
    assert_int_equal(ask(DEVICE_LOAD), 0);
    assert_said("forget");
    assert_int_equal(bench.tpms[0].n_references, 0);
    task_run();
    assert_said("connect loaded:0");
    assert_false(bench.answer.broken);
}

static void anchors_go_to_the_connection_that_there_is_or_to_one_of_their_own(void **state)
{
    (void)state;
    assert_int_equal(install(6), 0);
    assert_said("open install installed:0");
    assert_true(bench.answer.told);
    assert_int_equal(bench.answer.version, 7);
    assert_int_equal(bench.tpms[0].n_references, 0);
    assert_int_equal(ask(DEVICE_LOAD), 0);
    assert_int_equal(install(6), 0);
    assert_said("connect loaded:0 install installed:0");
    bench.tpms[1].broken = true;
    assert_int_equal(install(6), 0);
    assert_said("open install installed:0");
    assert_int_equal(bench.n_tpms, 3);
}

static void without_a_tpm_no_anchors_are_told(void **state)
{
    (void)state;
    bench.open_result = -EIO;
    assert_int_equal(install(6), 0);
    assert_said("open installed:-5");
    assert_false(bench.answer.told);
    assert_string_equal(bench.answer.reason.text, "there is no TPM");
}

static void anchors_that_are_refused_are_told_apart_from_those_that_are_old(void **state)
{
    static const struct {
        int found, said;
    } cases[] = {{ANCHOR_E_OUTDATED, DEVICE_E_OUTDATED},
                 {ANCHOR_E_OUTDATED + 1, DEVICE_E_REFUSED},
                 {-EIO, -EIO}};

    (void)state;
    for (size_t i = 0; i < ELEMENTS(cases); i++) {
        bench.install_result = cases[i].found;
        assert_int_equal(install(6), 0);
        assert_int_equal(bench.answer.result, cases[i].said);
        assert_true(bench.answer.told);
        assert_int_equal(bench.answer.version, 0);
    }
}

static void what_nobody_may_ask_is_refused(void **state)
{
    (void)state;
    assert_int_equal(ask(DEVICE_INSTALL), -EPROTO); /* without a descriptor */
    assert_int_equal(install(15), -EPROTO);         /* more than there is */
    assert_int_equal(ask(DEVICE_REQUEST_TYPES), -EPROTO);
    assert_int_equal(ask((DeviceRequestType)0), -EPROTO);
    assert_said("");
    bench.waits = true;
    assert_int_equal(ask(DEVICE_LOAD), 0);
    assert_int_equal(ask(DEVICE_LOAD), -EPROTO); /* two at a time */
    assert_int_equal(install(6), -EPROTO);
    assert_int_equal(advance(DAY, 0), -EPROTO);
    task_run();
    assert_said("connect loaded:0");
}

static void a_bundle_may_come_without_an_approval(void **state)
{
    (void)state;
    assert_int_equal(install(14), 0);
    assert_said("open install installed:0");
    assert_int_equal(install(0), 0);
    assert_said("open install installed:0");
}

static void what_cannot_be_handed_over_is_not_loaded(void **state)
{
    (void)state;
    bench.has_certificates = true;
    assert_int_equal(ask(DEVICE_LOAD), 0);
    assert_said("connect certificates:0 loaded:0");
    bench.seals_nothing = true;
    assert_int_equal(ask(DEVICE_LOAD), 0);
    assert_int_equal(bench.answer.result, -EMFILE);
    assert_said("load forget loaded:-24 forget");
    assert_int_equal(ask_to_sign(1), 0);
    assert_said("signed:-5");
}

/* Its thread still uses the connection: neither that nor the service is taken from under it. */
static void a_service_whose_tpm_is_stuck_is_left_as_it_is(void **state)
{
    static DeviceService *left;

    (void)state;
    assert_int_equal(ask(DEVICE_LOAD), 0);
    assert_int_equal(bench.tpms[0].n_references, 2);
    left = bench.service;
    bench.is_stuck = true;
    device_service_free(left, LOOP_PATIENCE_MS);
    assert_int_equal(bench.tpms[0].n_references, 1);
    bench.is_stuck = false; /* the teardown ends it */
}

static void a_load_is_given_up_and_answered_still(void **state)
{
    (void)state;
    assert_int_equal(ask(DEVICE_GIVE_UP), 0);
    bench.waits = true;
    assert_int_equal(ask(DEVICE_LOAD), 0);
    assert_int_equal(ask(DEVICE_GIVE_UP), 0);
    assert_int_equal(bench.cancelled, 1);
    task_run();
    assert_said("connect loaded:-125 forget");
    assert_int_equal(ask_to_sign(1), 0);
    assert_said("signed:-5");
    /* Nothing else is. */
    assert_int_equal(install(6), 0);
    assert_int_equal(ask(DEVICE_GIVE_UP), 0);
    assert_int_equal(bench.cancelled, 1);
    task_run();
    assert_said("install installed:0");
}

static void a_pause_that_is_given_up_asks_nothing_of_the_tpm(void **state)
{
    (void)state;
    bench.sleep_cancelled = true;
    assert_int_equal(ask(DEVICE_LOAD), 0);
    assert_int_equal(bench.answer.result, -ECANCELED);
    assert_int_equal(bench.n_tpms, 0);
}

/* Those that differ, by their numbers, with what was expected of them and what was found. */
static void the_pcrs_that_differ_are_told_and_no_others(void **state)
{
    const DeviceMismatch *told = &bench.answer.mismatch;

    (void)state;
    policy.mismatch = (PcrMismatch){
        .mask = UINT32_C(1) << 3 | UINT32_C(1) << 23,
        .expected = {.bank = TPM2_ALG_SHA256},
        .found = {.bank = TPM2_ALG_SHA256},
    };
    for (unsigned i = 0; i < PCR_COUNT; i++) {
        memset(policy.mismatch.expected.values[i], (int)i, PCR_VALUE_MAX);
        memset(policy.mismatch.found.values[i], (int)(0x40 + i), PCR_VALUE_MAX);
    }
    bench.load_result = -EKEYREJECTED;
    assert_int_equal(ask(DEVICE_LOAD), 0);
    assert_string_equal(told->bank, "sha256");
    assert_int_equal(told->count, 2);
    assert_int_equal(told->pcrs[0].number, 3);
    assert_int_equal(strlen(told->pcrs[0].expected), 64);
    assert_memory_equal(told->pcrs[0].expected, "0303", 4);
    assert_memory_equal(told->pcrs[0].found, "4343", 4);
    assert_int_equal(told->pcrs[1].number, 23);
    assert_memory_equal(told->pcrs[1].expected, "1717", 4);
    assert_memory_equal(told->pcrs[1].found, "5757", 4);
    /* Where none differs, and where it is loaded, there is nothing to tell. */
    policy.mismatch.mask = 0;
    assert_int_equal(ask(DEVICE_LOAD), 0);
    assert_int_equal(told->count, 0);
    assert_string_equal(told->bank, "");
    policy.mismatch.mask = 1;
    bench.load_result = 0;
    assert_int_equal(ask(DEVICE_LOAD), 0);
    assert_int_equal(told->count, 0);
    policy.mismatch = (PcrMismatch){0};
}

static void a_public_key_is_told_up_to_its_largest_size(void **state)
{
    (void)state;
    assert_int_equal(ask(DEVICE_LOAD), 0);
    assert_int_equal(bench.answer.facts.key_size, 0); /* none was read */
    bench.spki_size = DEVICE_KEY_SIZE_MAX;
    assert_int_equal(ask(DEVICE_LOAD), 0);
    assert_int_equal(bench.answer.result, 0);
    assert_int_equal(bench.answer.facts.key_size, DEVICE_KEY_SIZE_MAX);
    assert_int_equal(bench.answer.facts.key[DEVICE_KEY_SIZE_MAX - 1], 0x30);
    bench.spki_size++;
    assert_int_equal(ask(DEVICE_LOAD), 0);
    assert_int_equal(bench.answer.result, -EIO);
}

static void a_digest_is_signed_by_the_key_that_was_loaded_last_or_refused(void **state)
{
    (void)state;
    assert_int_equal(ask_to_sign(9), 0);
    assert_said("signed:-5");
    assert_int_equal(bench.answer.number, 9);
    assert_string_equal(bench.answer.reason.text, "the device key is not loaded");
    assert_int_equal(ask(DEVICE_LOAD), 0);
    assert_int_equal(ask_to_sign(10), 0);
    assert_said("connect loaded:0 SHA256 signed:0");
    assert_int_equal(bench.answer.number, 10);
    assert_int_equal(bench.answer.signature.size, 32);
    bench.sign_result = -EKEYREJECTED;
    assert_int_equal(ask_to_sign(11), 0);
    assert_int_equal(bench.answer.result, -EKEYREJECTED);
    assert_string_equal(bench.answer.reason.text, "no signature");
    bench.sign_result = -ENOMEM;
    bench.said[0] = '\0';
    assert_int_equal(ask_to_sign(12), -ENOMEM);
    assert_said("SHA256");
    assert_int_equal(ask(DEVICE_FORGET), 0);
    assert_int_equal(ask_to_sign(13), 0);
    assert_said("forget signed:-5");
}

static void a_request_to_sign_is_taken_back_by_its_number(void **state)
{
    DeviceRequest back = {.type = DEVICE_CANCEL, .number = 2};

    (void)state;
    assert_int_equal(ask(DEVICE_LOAD), 0);
    bench.signs_later = true;
    assert_int_equal(ask_to_sign(1), 0);
    assert_said("connect loaded:0 SHA256");
    assert_int_equal(device_service_take(bench.service, &back, -1), 0);
    assert_said("");
    back.number = 1;
    assert_int_equal(device_service_take(bench.service, &back, -1), 0);
    assert_said("cancel");
    assert_int_equal(device_service_take(bench.service, &back, -1), 0);
    assert_said("");
    /* One that was answered is none any more. */
    assert_int_equal(ask_to_sign(1), 0);
    bench.signed_done(0, (Bytes){0}, "", bench.signed_userdata);
    assert_int_equal(device_service_take(bench.service, &back, -1), 0);
    assert_said("SHA256 signed:0");
}

static void without_a_key_there_is_nothing_to_prepare_or_to_rest(void **state)
{
    (void)state;
    assert_int_equal(ask(DEVICE_PREPARE), 0);
    assert_int_equal(ask(DEVICE_REST), 0);
    assert_said("");
    assert_int_equal(ask(DEVICE_LOAD), 0);
    assert_int_equal(ask(DEVICE_PREPARE), 0);
    assert_int_equal(ask(DEVICE_REST), 0);
    assert_said("connect loaded:0 prepare rest");
    policy.mismatch = (PcrMismatch){
        .mask = 2, .expected = {.bank = TPM2_ALG_SHA256}, .found = {.bank = TPM2_ALG_SHA256}};
    key.on_failed(-EIO, "not ready", key.failed_userdata);
    assert_said("failed:-5");
    assert_string_equal(bench.answer.reason.text, "not ready");
    assert_int_equal(bench.answer.mismatch.count, 0);
    key.on_failed(-EKEYREJECTED, "another state", key.failed_userdata);
    assert_int_equal(bench.answer.mismatch.count, 1);
    assert_int_equal(bench.answer.mismatch.pcrs[0].number, 1);
    policy.mismatch = (PcrMismatch){0};
}

static void a_load_that_fails_lets_go_of_the_key_before(void **state)
{
    (void)state;
    assert_int_equal(ask(DEVICE_LOAD), 0);
    bench.load_result = IDENTITY_INTEGRITY_FAILED;
    assert_int_equal(ask(DEVICE_LOAD), 0);
    assert_int_equal(ask_to_sign(1), 0);
    assert_said("connect loaded:0 load forget loaded:4 forget signed:-5");
}

static void where_the_tpm_keeps_no_time_none_moves(void **state)
{
    (void)state;
    assert_int_equal(advance(9 * DAY, 0), 0);
    assert_int_equal(bench.answer.result, -ENODEV);
    assert_int_equal(ask(DEVICE_LOAD), 0);
    assert_int_equal(advance(9 * DAY, 0), 0);
    assert_int_equal(bench.answer.result, -ENODEV);
    assert_said("advanced:-19 connect loaded:0 advanced:-19");
    /* Nor where there is a TPM, and nothing was loaded. */
    bench.load_result = IDENTITY_UNPROVISIONED;
    assert_int_equal(ask(DEVICE_LOAD), 0);
    assert_int_equal(advance(9 * DAY, 0), 0);
    assert_int_equal(bench.answer.result, -ENODEV);
}

static void the_time_moves_forward_by_whole_days_and_once_an_hour(void **state)
{
    (void)state;
    bench.last_known = 5 * DAY;
    assert_int_equal(ask(DEVICE_LOAD), 0);
    assert_int_equal(advance(4 * DAY, 0), 0);     /* before it */
    assert_int_equal(advance(6 * DAY - 1, 0), 0); /* the same day */
    assert_said("connect loaded:0 advanced:0 advanced:0");
    assert_false(bench.answer.moved);
    assert_int_equal(advance(6 * DAY, 0), 0);
    assert_said("advance advanced:0");
    assert_true(bench.answer.moved);
    assert_int_equal(bench.answer.last_known, 6 * DAY);
    assert_int_equal(advance(8 * DAY, 0), 0); /* too soon after */
    assert_said("advanced:0");
    assert_false(bench.answer.moved);
    bench.boottime = 59L * 60 - 1;
    assert_int_equal(advance(8 * DAY, 0), 0);
    assert_said("advanced:0");
    bench.boottime++;
    assert_int_equal(advance(8 * DAY, 0), 0);
    assert_said("advance advanced:0");
    assert_true(bench.answer.moved);
}

static void the_operators_correction_is_put_back_on(void **state)
{
    (void)state;
    bench.last_known = 5 * DAY;
    assert_int_equal(ask(DEVICE_LOAD), 0);
    assert_int_equal(advance(6 * DAY, 2), 0); /* the TPM counts two days more */
    assert_int_equal(bench.advanced_to, 8 * DAY);
}

static void what_was_reached_under_another_correction_does_not_count(void **state)
{
    (void)state;
    bench.last_known = 5 * DAY;
    assert_int_equal(ask(DEVICE_LOAD), 0);
    bench.last_known = 90 * DAY;
    assert_int_equal(ask(DEVICE_LOAD), 0);
    assert_int_equal(advance(80 * DAY, 0), 0);
    bench.said[0] = '\0';
    bench.last_known = 5 * DAY;
    assert_int_equal(ask(DEVICE_LOAD), 0);
    assert_int_equal(advance(0, 1), 0); /* 4 days, and the correction: no more than before */
    assert_said("load forget loaded:0 advanced:0");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_public_key_is_told_up_to_its_largest_size, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(the_pcrs_that_differ_are_told_and_no_others, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_connection_is_kept_for_the_next_load, setup, teardown),
        cmocka_unit_test_setup_teardown(a_connection_that_broke_is_dropped_before_the_next_load,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(
            anchors_go_to_the_connection_that_there_is_or_to_one_of_their_own, setup, teardown),
        cmocka_unit_test_setup_teardown(without_a_tpm_no_anchors_are_told, setup, teardown),
        cmocka_unit_test_setup_teardown(
            anchors_that_are_refused_are_told_apart_from_those_that_are_old, setup, teardown),
        cmocka_unit_test_setup_teardown(what_nobody_may_ask_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(a_bundle_may_come_without_an_approval, setup, teardown),
        cmocka_unit_test_setup_teardown(what_cannot_be_handed_over_is_not_loaded, setup, teardown),
        cmocka_unit_test_setup_teardown(a_service_whose_tpm_is_stuck_is_left_as_it_is, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_load_is_given_up_and_answered_still, setup, teardown),
        cmocka_unit_test_setup_teardown(a_pause_that_is_given_up_asks_nothing_of_the_tpm, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(
            a_digest_is_signed_by_the_key_that_was_loaded_last_or_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(a_request_to_sign_is_taken_back_by_its_number, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(without_a_key_there_is_nothing_to_prepare_or_to_rest, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_load_that_fails_lets_go_of_the_key_before, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(where_the_tpm_keeps_no_time_none_moves, setup, teardown),
        cmocka_unit_test_setup_teardown(the_time_moves_forward_by_whole_days_and_once_an_hour,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(the_operators_correction_is_put_back_on, setup, teardown),
        cmocka_unit_test_setup_teardown(what_was_reached_under_another_correction_does_not_count,
                                        setup, teardown),
    };

    return cmocka_run_group_tests_name("device service", tests, NULL, NULL);
}
