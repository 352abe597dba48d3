/* What becomes of State, of the identity and of who waits for it, however a load ends? Device,
 * verifier, bus and event loop are played: the linker puts these functions in the place of the real
 * ones (ld --wrap). */
#include "event_fixture.h"
#include "tred/daemon_identity.h"
#include "tred/daemon_state.h"

#include "base/log.h"
#include "base/messages.h"
#include "base/program.h"
#include "tred/bus.h"
#include "tred/callers.h"
#include "tred/clock.h"
#include "tred/device.h"
#include "tred/key_care.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-daemon.h>

#include <cmocka.h>

#define SECOND UINT64_C(1000000)
enum { MILLISECOND = 1000, HOUR = 3600 };

typedef struct Bench {
    Daemon daemon;
    SigningKey key;
    DeviceMismatch mismatch;
    bool broken;
    int load_result, chain_result, anchors_result, key_result, attach_result;
    int begin_results[IDENTITY_READINGS], profile_result, ready_result;
    unsigned begun[IDENTITY_READINGS];
    bool lost;  /* tred-tpm, after it has answered */
    bool waits; /* for a verifier's answer */
    VerifierReady ready;
    void *ready_userdata;
    bool has_chain;       /* what was read names certificates */
    Verifier *anchors_in; /* who holds the anchors once they were read */
    DeviceDone loaded;
    void *loaded_userdata;
    unsigned pause_ms;
    unsigned loads, closed_unsigned, closed_signed, forgot, key_wanted, key_released, announced,
        prepared_forgotten, rests, answered, keys_freed, chains_read, anchors_read, times_taken;
    time_t clock_taken;
    char closed_reason[96];
    char notified[128];
    unsigned notifications, ready_notifications, extensions;
    unsigned n_warnings; /* and the last one */
    char warning[256];
    unsigned said_ready, said_development, said_invalid, said_failed; /* in the journal */
} Bench;

static Bench bench;
static char verifier; /* known by its place */
static char segw_name[] = "segw.example.org";

static sd_bus_message *call_number(uintptr_t number)
{
    return (sd_bus_message *)number; /* NOLINT(performance-no-int-to-ptr): nobody looks into it */
}

void __wrap_log_fields(int level, const LogFields *fields, const char *format, ...);
void __wrap_log_line(int level, const char *format, ...) __attribute__((format(printf, 2, 3)));
void __wrap_verifier_unref(Verifier *unwanted);
Verifier *__wrap_verifier_ref(Verifier *wanted);
int __wrap_verifier_attach(Verifier *attached, sd_event *event, CrlsInForce *crls);
const AnchorFacts *__wrap_verifier_anchors(const Verifier *of);
int __wrap_identity_read_begin(const TredConfig *config, Identity *identity, IdentityReading what,
                               Bytes file, Reason *reason);
int __wrap_identity_read_end(const TredConfig *config, Identity *identity, IdentityReading what,
                             Bytes file, Reason *reason);
int __wrap_verifier_when_ready(Verifier *of, sd_event *event, VerifierReady ready, void *userdata);
void __wrap_identity_time_take(const TredConfig *config, Identity *identity);
int __wrap_device_key_new(Device *device, const DeviceFacts *facts, SigningKey **ret);
int __wrap_device_load(Device *device, unsigned pause_ms, DeviceDone done, void *userdata);
void __wrap_device_forget(Device *device);
void __wrap_device_give_up(Device *device);
bool __wrap_device_is_broken(const Device *device);
const char *__wrap_device_problem(const Device *device);
const DeviceMismatch *__wrap_device_mismatch(const Device *device);
void __wrap_callers_close_unsigned(Daemon *daemon, const char *reason);
void __wrap_callers_close_signed(Daemon *daemon, const char *reason);
void __wrap_daemon_key_wanted(Daemon *daemon);
void __wrap_daemon_key_released(Daemon *daemon);
void __wrap_bus_manager_changed(Daemon *daemon);
void __wrap_clock_take(Daemon *daemon, time_t last_known, unsigned correction_days);
void __wrap_exchange_forget_prepared(ExchangeContext *context);
void __wrap_rest_after(sd_event_source *rest);
int __wrap_sd_notify(int unset, const char *state);
int __wrap_sd_notifyf(int unset, const char *format, ...) __attribute__((format(printf, 2, 3)));
sd_bus_message *__wrap_sd_bus_message_ref(sd_bus_message *call);
sd_bus_message *__wrap_sd_bus_message_unref(sd_bus_message *call);
const char *__wrap_call_sender(sd_bus_message *call);

void __wrap_log_fields(int level, const LogFields *fields, const char *format, ...)
{
    const char *id = fields->message_id;

    (void)format;
    bench.said_ready += strcmp(id, MESSAGE_READY) == 0;
    bench.said_development += strcmp(id, MESSAGE_DEVELOPMENT) == 0;
    bench.said_invalid += strcmp(id, MESSAGE_CERTIFICATE_INVALID) == 0;
    bench.said_failed += level == LOG_ERR;
}

void __wrap_log_line(int level, const char *format, ...)
{
    va_list values;

    if (level != LOG_WARNING)
        return;
    bench.n_warnings++;
    va_start(values, format);
    (void)vsnprintf(bench.warning, sizeof(bench.warning), format, values);
    va_end(values);
}

void __wrap_verifier_unref(Verifier *unwanted)
{
    (void)unwanted;
}

Verifier *__wrap_verifier_ref(Verifier *wanted)
{
    return wanted;
}

int __wrap_verifier_attach(Verifier *attached, sd_event *event, CrlsInForce *crls)
{
    (void)event;
    assert_ptr_equal(attached, &verifier);
    assert_ptr_equal(crls, &bench.daemon.crls);
    return bench.attach_result;
}

const AnchorFacts *__wrap_verifier_anchors(const Verifier *of)
{
    static const AnchorFacts facts = {
        .n_certificates = 1, .n_hashes = 1, .certificates = {{{7}, 0}}};

    (void)of;
    return &facts;
}

int __wrap_identity_read_begin(const TredConfig *config, Identity *identity, IdentityReading what,
                               Bytes file, Reason *reason)
{
    (void)config;
    assert_int_equal(file.size > 0, what != IDENTITY_READS_PROFILE);
    bench.begun[what]++;
    if (what == IDENTITY_READS_PROFILE)
        identity->verifier = (Verifier *)&verifier;
    return reason_set(reason, bench.begin_results[what], "of what is handed over");
}

static int chain_read(Identity *identity, Reason *reason)
{
    bench.chains_read++;
    if (bench.has_chain) {
        identity->n_certificates = 1;
        identity->certificates[0].data = malloc(1);
    }
    return reason_set(reason, bench.chain_result, "of the chain");
}

static int anchors_read(Identity *identity, Reason *reason)
{
    bench.anchors_read++;
    identity->verifier = bench.anchors_in;
    identity->last_known = 77;
    identity->correction_days = 3;
    return reason_set(reason, bench.anchors_result, "of the anchors");
}

int __wrap_identity_read_end(const TredConfig *config, Identity *identity, IdentityReading what,
                             Bytes file, Reason *reason)
{
    (void)config, (void)file;
    if (what == IDENTITY_READS_PROFILE)
        return reason_set(reason, bench.profile_result, "of the profile");
    return what == IDENTITY_READS_CHAIN ? chain_read(identity, reason)
                                        : anchors_read(identity, reason);
}

/* What is waited for in the loop is there at once, unless `waits`. */
int __wrap_verifier_when_ready(Verifier *of, sd_event *event, VerifierReady ready, void *userdata)
{
    (void)of, (void)event;
    if (bench.ready_result < 0)
        return bench.ready_result;
    bench.ready = ready;
    bench.ready_userdata = userdata;
    if (!bench.waits)
        ready(userdata);
    return 0;
}

void __wrap_identity_time_take(const TredConfig *config, Identity *identity)
{
    (void)config, (void)identity;
    bench.times_taken++;
}

static void key_gone(SigningKey *key)
{
    assert_ptr_equal(key, &bench.key);
    bench.keys_freed++;
}

static const SigningKeyClass class = {.free = key_gone};

int __wrap_device_key_new(Device *device, const DeviceFacts *facts, SigningKey **ret)
{
    (void)device;
    assert_int_equal(facts->anchors_version, 9); /* as the device has them */
    if (bench.key_result == 0)
        *ret = &bench.key;
    return bench.key_result;
}

int __wrap_device_load(Device *device, unsigned pause_ms, DeviceDone done, void *userdata)
{
    (void)device;
    if (bench.load_result < 0)
        return bench.load_result;
    bench.loads++;
    bench.pause_ms = pause_ms;
    bench.loaded = done;
    bench.loaded_userdata = userdata;
    return 0;
}

void __wrap_device_forget(Device *device)
{
    (void)device;
    bench.forgot++;
}

void __wrap_device_give_up(Device *device)
{
    (void)device;
}

bool __wrap_device_is_broken(const Device *device)
{
    (void)device;
    return bench.broken;
}

const char *__wrap_device_problem(const Device *device)
{
    (void)device;
    return bench.load_result < 0 || bench.lost ? "tred-tpm is not there" : "";
}

const DeviceMismatch *__wrap_device_mismatch(const Device *device)
{
    (void)device;
    return &bench.mismatch;
}

void __wrap_callers_close_unsigned(Daemon *daemon, const char *reason)
{
    (void)daemon;
    bench.closed_unsigned++;
    (void)snprintf(bench.closed_reason, sizeof(bench.closed_reason), "%s", reason);
}

void __wrap_callers_close_signed(Daemon *daemon, const char *reason)
{
    (void)daemon;
    bench.closed_signed++;
    assert_non_null(strstr(reason, "is not what was approved of any more: "));
}

void __wrap_daemon_key_wanted(Daemon *daemon)
{
    assert_non_null(daemon->identity);
    bench.key_wanted++;
}

void __wrap_daemon_key_released(Daemon *daemon)
{
    (void)daemon;
    bench.key_released++;
}

void __wrap_bus_manager_changed(Daemon *daemon)
{
    (void)daemon;
    bench.announced++;
}

void __wrap_clock_take(Daemon *daemon, time_t last_known, unsigned correction_days)
{
    (void)daemon;
    assert_int_equal(correction_days, 3);
    bench.clock_taken = last_known;
}

void __wrap_exchange_forget_prepared(ExchangeContext *context)
{
    (void)context;
    bench.prepared_forgotten++;
}

void __wrap_rest_after(sd_event_source *rest)
{
    assert_ptr_equal(rest, bench.daemon.rest);
    bench.rests++;
}

int __wrap_sd_notify(int unset, const char *state)
{
    (void)unset;
    bench.ready_notifications += strcmp(state, "READY=1") == 0;
    bench.extensions += strncmp(state, "EXTEND_TIMEOUT_USEC=", 20) == 0;
    return 0;
}

int __wrap_sd_notifyf(int unset, const char *format, ...)
{
    va_list values;

    (void)unset;
    va_start(values, format);
    (void)vsnprintf(bench.notified, sizeof(bench.notified), format, values);
    va_end(values);
    bench.notifications++;
    return 0;
}

sd_bus_message *__wrap_sd_bus_message_ref(sd_bus_message *call)
{
    return call;
}

sd_bus_message *__wrap_sd_bus_message_unref(sd_bus_message *call)
{
    (void)call;
    return NULL;
}

const char *__wrap_call_sender(sd_bus_message *call)
{
    (void)call;
    return ":1.1";
}

static const uint8_t octets[] = "octets";

static int bench_init(void **state)
{
    (void)state;
    static Segw segw = {.label = SEGW_DEFAULT, .name = segw_name};
    static Segw *list[] = {&segw};
    memset(&bench, 0, sizeof(bench));
    events = (EventFixture){0};
    bench.daemon.config.segw_name = segw_name;
    bench.daemon.config.segws = (Segws){ELEMENTS(list), list};
    bench.key.class = &class;
    bench.key.algorithm = "ecdsa-p256";
    bench.has_chain = true;
    bench.anchors_in = (Verifier *)&verifier;
    events.now = HOUR * SECOND;
    return 0;
}

static int bench_deinit(void **state)
{
    (void)state;
    daemon_drop_identity(&bench.daemon);
    work_drop_all(&bench.daemon);
    return 0;
}

/* The device's answer to the load that is under way, as tred-tpm would give it. */
static void device_answers(int result, const char *reason, bool files)
{
    DeviceAnswer answer = {.result = result, .facts = {.anchors_version = 9}};
    DeviceDone done = bench.loaded;

    reason_set(&answer.reason, 0, "%s", reason);
    assert_non_null(done);
    bench.loaded = NULL;
    done(&answer, files ? BYTES_OF(octets) : (Bytes){0}, files ? BYTES_OF(octets) : (Bytes){0},
         bench.loaded_userdata);
}

static void loads_well(void)
{
    daemon_load_identity(&bench.daemon);
    device_answers(0, "", true);
    assert_int_equal(bench.daemon.state, IDENTITY_READY);
    assert_non_null(bench.daemon.identity);
}

static void assert_state(IdentityState wanted, const char *words)
{
    assert_int_equal(bench.daemon.state, wanted);
    if (!strstr(bench.daemon.state_reason.text, words))
        fail_msg("'%s' lacks '%s'", bench.daemon.state_reason.text, words);
    if (!identity_state_serves(wanted)) {
        assert_null(bench.daemon.identity);
        assert_null(bench.daemon.exchange_context.signing_key);
        assert_null(bench.daemon.exchange_context.identity);
        assert_null(bench.daemon.exchange_context.verifier);
    }
}

static void answer(Work *work, sd_bus_message *call)
{
    (void)work, (void)call;
    bench.answered++;
}

static void what_was_loaded_is_what_exchanges_are_made_with(void **state)
{
    (void)state;
    loads_well();
    assert_ptr_equal(bench.daemon.exchange_context.signing_key, &bench.key);
    assert_ptr_equal(bench.daemon.exchange_context.identity, bench.daemon.identity->fqdn);
    assert_ptr_equal(bench.daemon.exchange_context.verifier, &verifier);
    assert_int_equal(bench.clock_taken, 77);
    assert_int_equal(bench.times_taken, 1);
    assert_int_equal(bench.closed_unsigned, 1);
    assert_int_equal(bench.key_wanted, 1);
    assert_int_equal(bench.key_released, 1);
    assert_int_equal(bench.announced, 1);
    assert_string_equal(bench.notified, "STATUS=ready");
    assert_int_equal(bench.forgot, 0);
    assert_int_equal(bench.rests, 1); /* what that needed of memory is given back */
    loads_well();
    assert_int_equal(bench.keys_freed, 1); /* the one before */
}

/* Profile, certificates, anchors: after each of them the loop has its turn. */
static void while_the_verifier_reads_the_loop_goes_on(void **state)
{
    (void)state;
    bench.waits = true;
    daemon_load_identity(&bench.daemon);
    device_answers(0, "", true);
    for (size_t what = 0; what < IDENTITY_READINGS; what++) {
        const VerifierReady ready = bench.ready;

        assert_int_equal(bench.begun[what], 1);
        assert_int_equal(bench.daemon.state, IDENTITY_LOADING);
        assert_null(bench.daemon.identity);
        assert_non_null(ready);
        bench.ready = NULL;
        ready(bench.ready_userdata);
    }
    assert_null(bench.ready);
    assert_int_equal(bench.daemon.state, IDENTITY_READY);
}

/* tred stops: who frees the verifier is called back no more. */
static void a_load_that_is_dropped_while_the_verifier_reads_leaves_nothing(void **state)
{
    (void)state;
    bench.waits = true;
    daemon_load_identity(&bench.daemon);
    device_answers(0, "", true);
    work_drop_all(&bench.daemon);
    assert_null(bench.daemon.works);
    assert_null(bench.daemon.identity);
}

static void an_identity_for_development_serves_and_is_marked(void **state)
{
    DeviceAnswer played = {.facts = {.anchors_version = 9, .anchors_guarded = true}};

    (void)state;
    daemon_load_identity(&bench.daemon);
    bench.loaded(&played, BYTES_OF(octets), BYTES_OF(octets), bench.loaded_userdata);
    assert_int_equal(bench.said_development, 0);
    reason_set(&played.facts.development, 0, "no policy");
    daemon_load_identity(&bench.daemon);
    bench.loaded(&played, BYTES_OF(octets), BYTES_OF(octets), bench.loaded_userdata);
    assert_state(IDENTITY_DEVELOPMENT, "no policy");
    assert_string_equal(bench.notified, "STATUS=development: no policy");
    assert_int_equal(bench.said_development, 1);
    assert_int_equal(bench.said_ready, 2);
    /* Whoever is root can exchange anchors that the TPM does not guard. */
    played.facts.anchors_guarded = false;
    daemon_load_identity(&bench.daemon);
    bench.loaded(&played, BYTES_OF(octets), BYTES_OF(octets), bench.loaded_userdata);
    assert_int_equal(bench.said_development, 3);
    assert_int_equal(bench.said_invalid, 0);
    assert_int_equal(bench.said_failed, 0);
}

static void however_a_load_fails_there_is_no_identity_left(void **state)
{
    static const struct {
        int device, profile, chain, anchors, key, attach, ready;
        int begun[IDENTITY_READINGS];
        bool no_chain, no_anchors, lost;
        IdentityState state;
        const char *words;
    } cases[] = {
        {.device = IDENTITY_INTEGRITY_FAILED, .state = IDENTITY_INTEGRITY_FAILED, .words = "said"},
        {.device = IDENTITY_UNPROVISIONED, .state = IDENTITY_UNPROVISIONED, .words = "said"},
        {.device = -EPIPE, .state = IDENTITY_TPM_UNAVAILABLE, .words = "Broken pipe"},
        /* Of what is wrong with files is said first: they come before the TPM. */
        {.device = IDENTITY_TPM_UNAVAILABLE,
         .chain = IDENTITY_UNPROVISIONED,
         .state = IDENTITY_UNPROVISIONED,
         .words = "of the chain"},
        {.profile = IDENTITY_UNPROVISIONED,
         .chain = IDENTITY_INTEGRITY_FAILED,
         .state = IDENTITY_UNPROVISIONED,
         .words = "of the profile"},
        {.begun = {IDENTITY_UNPROVISIONED, 0, 0},
         .state = IDENTITY_UNPROVISIONED,
         .words = "of what is handed over"},
        {.begun = {0, 0, IDENTITY_UNPROVISIONED},
         .state = IDENTITY_UNPROVISIONED,
         .words = "of what is handed over"},
        {.ready = -ENOMEM, .state = IDENTITY_TPM_UNAVAILABLE, .words = "Cannot allocate"},
        {.chain = IDENTITY_UNPROVISIONED,
         .anchors = IDENTITY_INTEGRITY_FAILED,
         .state = IDENTITY_UNPROVISIONED,
         .words = "of the chain"},
        {.anchors = IDENTITY_UNPROVISIONED,
         .state = IDENTITY_UNPROVISIONED,
         .words = "of the anchors"},
        {.anchors = -ENOMEM, .state = IDENTITY_TPM_UNAVAILABLE, .words = "Cannot allocate"},
        {.lost = true, .state = IDENTITY_TPM_UNAVAILABLE, .words = "tred-tpm is not there"},
        {.no_chain = true, .state = IDENTITY_TPM_UNAVAILABLE, .words = "Protocol error"},
        {.no_anchors = true, .state = IDENTITY_TPM_UNAVAILABLE, .words = "Protocol error"},
        {.key = -EBADMSG, .state = IDENTITY_TPM_UNAVAILABLE, .words = "Bad message"},
        {.attach = -EMFILE, .state = IDENTITY_TPM_UNAVAILABLE, .words = "Too many open files"},
    };

    for (size_t i = 0; i < ELEMENTS(cases); i++) {
        (void)bench_init(state);
        loads_well();
        bench.profile_result = cases[i].profile;
        bench.ready_result = cases[i].ready;
        memcpy(bench.begin_results, cases[i].begun, sizeof(bench.begin_results));
        bench.chain_result = cases[i].chain;
        bench.anchors_result = cases[i].anchors;
        bench.key_result = cases[i].key;
        bench.attach_result = cases[i].attach;
        bench.has_chain = !cases[i].no_chain;
        bench.lost = cases[i].lost;
        bench.anchors_in = cases[i].no_anchors ? NULL : (Verifier *)&verifier;
        daemon_load_identity(&bench.daemon);
        device_answers(cases[i].device, "said", true);
        assert_state(cases[i].state, cases[i].words);
        assert_int_equal(bench.forgot, 1);
        assert_int_equal(bench.closed_unsigned, 2);
        assert_int_equal(bench.key_wanted, 1);
        (void)bench_deinit(state);
    }
}

static void files_that_were_not_handed_over_are_not_read(void **state)
{
    (void)state;
    daemon_load_identity(&bench.daemon);
    device_answers(IDENTITY_UNPROVISIONED, "no such file", false);
    assert_state(IDENTITY_UNPROVISIONED, "no such file");
    assert_int_equal(bench.begun[IDENTITY_READS_PROFILE], 0); /* for nobody */
    assert_int_equal(bench.chains_read, 0);
    assert_int_equal(bench.anchors_read, 0);
    assert_int_equal(bench.times_taken, 0);
}

static void a_load_that_is_given_up_changes_nothing(void **state)
{
    (void)state;
    loads_well();
    daemon_load_identity(&bench.daemon);
    device_answers(-ECANCELED, "", true);
    assert_state(IDENTITY_READY, "");
    assert_non_null(bench.daemon.identity);
    assert_int_equal(bench.closed_unsigned, 1);
    assert_int_equal(bench.chains_read, 1);
}

static void without_tred_tpm_the_reason_is_its_own(void **state)
{
    (void)state;
    bench.load_result = -ENOTCONN;
    daemon_load_identity(&bench.daemon);
    assert_state(IDENTITY_TPM_UNAVAILABLE, "tred-tpm is not there");
    assert_null(bench.daemon.works);
}

static void a_failure_is_said_once_and_a_success_each_time(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        daemon_load_identity(&bench.daemon);
        device_answers(IDENTITY_UNPROVISIONED, "the same", false);
    }
    assert_int_equal(bench.notifications, 1);
    daemon_load_identity(&bench.daemon);
    device_answers(IDENTITY_UNPROVISIONED, "another", false);
    assert_int_equal(bench.notifications, 2);
    daemon_load_identity(&bench.daemon);
    device_answers(IDENTITY_INTEGRITY_FAILED, "another", false);
    assert_int_equal(bench.notifications, 3);
    loads_well();
    loads_well();
    assert_int_equal(bench.notifications, 5);
}

/* It is said once, and what has signed since the last time is closed each time. */
static void whenever_integrity_is_found_lost_what_has_signed_is_closed(void **state)
{
    (void)state;
    loads_well();
    for (unsigned i = 1; i <= 2; i++) {
        daemon_integrity_failed(&bench.daemon, "PCR 7");
        assert_int_equal(bench.closed_signed, i);
        assert_int_equal(bench.said_failed, 1);
    }
    daemon_load_identity(&bench.daemon);
    device_answers(IDENTITY_INTEGRITY_FAILED, "PCR 7", false);
    assert_int_equal(bench.closed_signed, 3);
    daemon_tpm_failed(&bench.daemon, "it ended");
    assert_int_equal(bench.closed_signed, 3);
}

/* Who is verified is judged again by it. */
static void the_verifier_outlives_an_identity_until_there_is_another(void **state)
{
    (void)state;
    loads_well();
    assert_null(bench.daemon.last_verifier);
    for (int i = 0; i < 2; i++) {
        daemon_load_identity(&bench.daemon);
        device_answers(IDENTITY_TPM_UNAVAILABLE, "no TPM", false);
        assert_null(bench.daemon.identity);
        assert_ptr_equal(bench.daemon.last_verifier, (Verifier *)&verifier);
    }
    loads_well();
    assert_null(bench.daemon.last_verifier);
}

static void a_device_that_fails_later_takes_state_along(void **state)
{
    (void)state;
    loads_well();
    daemon_device_failed(-EKEYREJECTED, "PCR 7", &bench.daemon);
    assert_int_equal(bench.daemon.state, IDENTITY_INTEGRITY_FAILED);
    assert_int_equal(bench.said_failed, 1);
    assert_int_equal(bench.said_ready, 1);
    assert_int_equal(bench.said_invalid, 0);
    daemon_drop_identity(&bench.daemon);
    daemon_device_failed(-EPIPE, "it ended", &bench.daemon);
    assert_state(IDENTITY_TPM_UNAVAILABLE, "it ended");
    daemon_device_revived(&bench.daemon);
    assert_int_equal(bench.loads, 2);
    device_answers(0, "", true);
    assert_state(IDENTITY_READY, "");
    /* A certificate that the SeGW may refuse is no reason not to try. */
    reason_set(&bench.daemon.identity->validity_problem, 0, "it has expired");
    daemon_tpm_failed(&bench.daemon, "it ended");
    assert_int_equal(bench.said_invalid, 1);
}

static void a_connection_that_broke_takes_the_identity_along_before_it_is_made_anew(void **state)
{
    (void)state;
    loads_well();
    bench.broken = true;
    daemon_load_identity(&bench.daemon);
    assert_null(bench.daemon.identity);
    assert_int_equal(bench.closed_unsigned, 2);
    assert_non_null(strstr(bench.closed_reason, "broke"));
    assert_state(IDENTITY_TPM_UNAVAILABLE, "broke");
    assert_int_equal(bench.announced, 2);
    device_answers(0, "", true);
    assert_state(IDENTITY_READY, "");
    (void)bench_deinit(state);
    /* What is known better is not said again. */
    (void)bench_init(state);
    loads_well();
    daemon_tpm_failed(&bench.daemon, "the TPM fell off");
    bench.broken = true;
    daemon_load_identity(&bench.daemon);
    assert_state(IDENTITY_TPM_UNAVAILABLE, "the TPM fell off");
    (void)bench_deinit(state);
    /* And nothing else does so. */
    (void)bench_init(state);
    loads_well();
    daemon_load_identity(&bench.daemon);
    assert_non_null(bench.daemon.identity);
    device_answers(0, "", true);
}

static void who_asks_for_a_load_that_is_yet_to_begin_shares_it(void **state)
{
    (void)state;
    daemon_load_identity(&bench.daemon);
    assert_int_equal(daemon_load_identity_for(&bench.daemon, call_number(1), answer), 0);
    assert_int_equal(daemon_load_identity_for(&bench.daemon, call_number(2), answer), 0);
    assert_int_equal(bench.loads, 1);
    device_answers(0, "", true);
    assert_int_equal(bench.answered, 0); /* the one that had begun may not have seen all */
    assert_int_equal(bench.loads, 2);
    device_answers(0, "", true);
    assert_int_equal(bench.answered, 2);
    assert_null(bench.daemon.works);
}

static void who_comes_while_it_is_loaded_for_the_first_time_waits_for_that(void **state)
{
    (void)state;
    assert_int_equal(daemon_await_identity(&bench.daemon, call_number(1), answer), 0);
    assert_int_equal(bench.loads, 1); /* nobody else had begun */
    assert_int_equal(daemon_await_identity(&bench.daemon, call_number(2), answer), 0);
    device_answers(IDENTITY_UNPROVISIONED, "no key", false);
    assert_int_equal(bench.answered, 2);
    assert_int_equal(bench.loads, 1);
    /* A later one may have begun before what was missing came. */
    daemon_load_identity(&bench.daemon);
    assert_int_equal(daemon_await_identity(&bench.daemon, call_number(3), answer), 0);
    device_answers(IDENTITY_UNPROVISIONED, "no key", false);
    assert_int_equal(bench.answered, 2);
    assert_int_equal(bench.loads, 3);
    device_answers(0, "", true);
    assert_int_equal(bench.answered, 3);
}

static void who_comes_later_has_it_tried_anew_and_never_more_than_half_of_the_time(void **state)
{
    static const struct {
        uint64_t took, since;
        unsigned pause_ms;
    } cases[] = {{2 * SECOND, 0, 2000},       {2 * SECOND, SECOND, 1000},
                 {2 * SECOND, 2 * SECOND, 0}, {2 * SECOND, 3 * SECOND, 0},
                 {5 * SECOND, 0, 5000},       {60 * SECOND, 0, 5000}};

    for (size_t i = 0; i < ELEMENTS(cases); i++) {
        (void)bench_init(state);
        daemon_load_identity(&bench.daemon);
        events.now += cases[i].took;
        device_answers(IDENTITY_UNPROVISIONED, "not yet", false);
        events.now += cases[i].since;
        assert_int_equal(daemon_await_identity(&bench.daemon, call_number(1), answer), 0);
        assert_int_equal(bench.loads, 2);
        assert_int_equal(bench.pause_ms, cases[i].pause_ms);
        /* What was given up while it paused has cost nothing. */
        device_answers(-ECANCELED, "", false);
        assert_true(bench.daemon.load_begun <= bench.daemon.load_ended);
        (void)bench_deinit(state);
    }
}

static int install_begin(Work *work)
{
    (void)work;
    return 0;
}

static void install_end(Work *work)
{
    daemon_load_identity_after(work_daemon(work), work);
    assert_int_equal(bench.answered, 0); /* it would be freed by then, and is still to be ended */
}

static Work *install_under_way(void)
{
    static const WorkClass install = {.begin = install_begin, .end = install_end};
    Work *work = NULL;

    assert_int_equal(work_add(&bench.daemon, &install, NULL, &work), 0);
    assert_int_equal(work_wait(work, call_number(1), answer), 0);
    work_begin(&bench.daemon);
    return work;
}

static void who_waits_is_answered_after_the_load_that_follows_other_work(void **state)
{
    Work *first = install_under_way();

    (void)state;
    work_ended(first);
    assert_int_equal(bench.answered, 0);
    assert_int_equal(bench.loads, 1);
    device_answers(0, "", true);
    assert_int_equal(bench.answered, 1);
}

/* As after tred-tpm has ended while it installed anchors. */
static void other_work_outlives_a_load_after_it_that_fails_at_once(void **state)
{
    Work *first = install_under_way();

    (void)state;
    bench.load_result = -EPIPE;
    work_ended(first);
    assert_state(IDENTITY_TPM_UNAVAILABLE, "tred-tpm is not there");
    assert_int_equal(bench.answered, 1);
    assert_null(bench.daemon.works);
}

static void systemd_is_told_once_calls_are_answered_and_state_is_known(void **state)
{
    (void)state;
    events.add_result = -ENOMEM;
    daemon_ready_tell(&bench.daemon);
    assert_false(events.time_on);
    events.add_result = 0;
    daemon_ready_tell(&bench.daemon);
    assert_int_equal(bench.extensions, 2);
    assert_true(events.time_on);
    time_fires(&bench.daemon);
    assert_int_equal(events.usec, 10 * SECOND);
    assert_int_equal(bench.extensions, 3);
    assert_true(events.time_on);
    /* Either alone is not enough. */
    bench.daemon.serves = true;
    daemon_ready_tell(&bench.daemon);
    bench.daemon.serves = false;
    bench.daemon.state = IDENTITY_UNPROVISIONED;
    daemon_ready_tell(&bench.daemon);
    assert_int_equal(bench.ready_notifications, 0);
    bench.daemon.serves = true;
    daemon_ready_tell(&bench.daemon);
    assert_int_equal(bench.ready_notifications, 1);
    assert_false(events.time_on);
}

static void a_crl_that_can_not_be_read_is_told_where_somebody_could_be_judged(void **state)
{
    Reason reason;

    (void)state;
    reason_set(&bench.daemon.crls.problem, 0, "a.crl");
    daemon_crls_changed(&bench.daemon);
    assert_int_equal(bench.announced, 0); /* nothing is known yet */
    daemon_state_reason(&bench.daemon, &reason);
    assert_string_equal(reason.text, "");
    bench.daemon.state = IDENTITY_UNPROVISIONED;
    reason_set(&bench.daemon.state_reason, 0, "no key");
    daemon_crls_changed(&bench.daemon);
    assert_int_equal(bench.announced, 1);
    daemon_state_reason(&bench.daemon, &reason);
    assert_string_equal(reason.text, "no key");
    loads_well();
    daemon_state_reason(&bench.daemon, &reason);
    assert_string_equal(reason.text, "a.crl");
    bench.daemon.state = IDENTITY_DEVELOPMENT;
    reason_set(&bench.daemon.state_reason, 0, "root can sign");
    daemon_state_reason(&bench.daemon, &reason);
    assert_string_equal(reason.text, "root can sign. a.crl");
    bench.daemon.crls.problem.text[0] = '\0';
    daemon_state_reason(&bench.daemon, &reason);
    assert_string_equal(reason.text, "root can sign");
}

static void each_lot_of_crls_is_judged_by_once(void **state)
{
    (void)state;
    bench.daemon.crls.version = 7;
    daemon_crls_changed(&bench.daemon);
    assert_int_equal(bench.daemon.crls_judged, 7);
    daemon_crls_changed(&bench.daemon); /* of a problem alone */
    assert_int_equal(bench.daemon.crls_judged, 7);
}

/* It can't be taken, and nothing else would say why. */
static void a_segw_that_no_anchor_counts_for_is_named(void **state)
{
    static Segw segws[] = {{.label = SEGW_DEFAULT, .name = segw_name},
                           {.label = "core", .number = 1, .name = segw_name}};
    Segw *list[] = {&segws[0], &segws[1]};
    const VerifyAnchors found = {1, {{7}}}, other = {1, {{8}}};
    static Identity identity;

    (void)state;
    bench.daemon.config.segws = (Segws){ELEMENTS(list), list};
    bench.daemon.config.anchors = (char[]){"/anchors.pem"};
    bench.daemon.identity = &identity;
    for (size_t i = 0; i <= ELEMENTS(segws); i++) {
        bench.n_warnings = 0;
        segws[0].anchors = i == 0 ? other : found;
        segws[1].anchors = i == 1 ? other : found;
        daemon_anchors_missing_log(&bench.daemon);
        assert_int_equal(bench.n_warnings, i < ELEMENTS(segws));
        if (i < ELEMENTS(segws))
            assert_non_null(
                strstr(bench.warning, i == 0 ? "of [segw] names" : "[segw core] names"));
    }
    bench.daemon.identity = NULL;
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, bench_init, bench_deinit)
    const struct CMUnitTest tests[] = {
        TEST(what_was_loaded_is_what_exchanges_are_made_with),
        TEST(while_the_verifier_reads_the_loop_goes_on),
        TEST(a_load_that_is_dropped_while_the_verifier_reads_leaves_nothing),
        TEST(an_identity_for_development_serves_and_is_marked),
        TEST(however_a_load_fails_there_is_no_identity_left),
        TEST(files_that_were_not_handed_over_are_not_read),
        TEST(a_load_that_is_given_up_changes_nothing),
        TEST(without_tred_tpm_the_reason_is_its_own),
        TEST(a_failure_is_said_once_and_a_success_each_time),
        TEST(whenever_integrity_is_found_lost_what_has_signed_is_closed),
        TEST(the_verifier_outlives_an_identity_until_there_is_another),
        TEST(a_device_that_fails_later_takes_state_along),
        TEST(a_connection_that_broke_takes_the_identity_along_before_it_is_made_anew),
        TEST(who_asks_for_a_load_that_is_yet_to_begin_shares_it),
        TEST(who_comes_while_it_is_loaded_for_the_first_time_waits_for_that),
        TEST(who_comes_later_has_it_tried_anew_and_never_more_than_half_of_the_time),
        TEST(who_waits_is_answered_after_the_load_that_follows_other_work),
        TEST(other_work_outlives_a_load_after_it_that_fails_at_once),
        TEST(systemd_is_told_once_calls_are_answered_and_state_is_known),
        TEST(a_crl_that_can_not_be_read_is_told_where_somebody_could_be_judged),
        TEST(each_lot_of_crls_is_judged_by_once),
        TEST(a_segw_that_no_anchor_counts_for_is_named),
    };

    return cmocka_run_group_tests_name("daemon identity", tests, NULL, NULL);
}
