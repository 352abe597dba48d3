/* New anchors: is the TPM told of those alone that can be read, who is answered what, and what is
 * in force then? Verifier, device, work and bus are played: the linker puts these functions in the
 * place of the real ones (ld --wrap). */
#include "tred/anchor_install.h"

#include "tred/bus.h"
#include "tred/bus_call.h"
#include "tred/device.h"
#include "tred/work.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

typedef struct Bench {
    Daemon daemon;
    Identity identity;
    int new_result, ready_result, profile_result, hand_result, read_result, correction_result,
        install_result, attach_result, add_result, wait_result;
    unsigned correction_days; /* that the bundle has */
    const char *fqdn;         /* that it was looked for */
    const WorkClass *class;
    void *data;
    WorkAnswer answer;
    DeviceDone done;
    void *userdata;
    char asked[64];
    bool in_loop;
    unsigned made, taken, attached, begun, ended, loads, changed, closed_unverified, replies,
        errors, references;
    int verifiers; /* references that somebody holds */
    uint64_t replied;
    int errno_;
    char name[96], reason[256];
} Bench;

static Bench bench;

int __wrap_verifier_begin(const VerifierOptions *options, Verifier **ret, Reason *reason);
int __wrap_verifier_hand(Verifier *verifier, FrameType type, Bytes octets, const char *name,
                         Bytes public_key, Reason *reason);
int __wrap_verifier_take(Verifier *verifier, Reason *reason);
int __wrap_verifier_when_ready(Verifier *verifier, sd_event *event, VerifierReady ready,
                               void *userdata);
int __wrap_verifier_attach(Verifier *verifier, sd_event *event, CrlsInForce *crls);
Verifier *__wrap_verifier_ref(Verifier *verifier);
void __wrap_verifier_unref(Verifier *verifier);
int __wrap_time_correction_read(Bytes bundle, const char *fqdn, unsigned *ret, Reason *reason);
int __wrap_device_install(Device *device, Bytes bundle, Bytes approval, DeviceDone done,
                          void *userdata);
int __wrap_work_add(Daemon *daemon, const WorkClass *class, void *data, Work **ret);
int __wrap_work_wait(Work *work, sd_bus_message *call, WorkAnswer answer);
void __wrap_work_begin(Daemon *daemon);
void __wrap_work_ended(Work *work);
Daemon *__wrap_work_daemon(const Work *work);
void *__wrap_work_data(const Work *work);
void __wrap_daemon_load_identity_after(Daemon *daemon, Work *work);
void __wrap_bus_manager_changed(Daemon *daemon);
void __wrap_callers_close_unverified(Daemon *daemon, const char *reason);
void __wrap_bus_answer_error(sd_bus_message *call, int r, const sd_bus_error *error);
const char *__wrap_call_sender(sd_bus_message *call);
sd_bus_message *__wrap_sd_bus_message_ref(sd_bus_message *message);
sd_bus_message *__wrap_sd_bus_message_unref(sd_bus_message *message);
int __wrap_sd_bus_reply_method_return(sd_bus_message *call, const char *types, ...);

static Verifier *new_verifier(void)
{
    return (Verifier *)(void *)&bench.made;
}

int __wrap_verifier_begin(const VerifierOptions *options, Verifier **ret, Reason *reason)
{
    (void)options;
    bench.made++;
    if (bench.new_result != 0)
        return reason_set(reason, bench.new_result, "no verifier");
    bench.verifiers++;
    *ret = new_verifier();
    return 0;
}

int __wrap_verifier_hand(Verifier *verifier, FrameType type, Bytes octets, const char *name,
                         Bytes public_key, Reason *reason)
{
    (void)name, (void)public_key, (void)reason;
    assert_ptr_equal(verifier, new_verifier());
    assert_int_equal(type, FRAME_ANCHORS);
    assert_int_equal(bench.taken, 1); /* the profile's answer */
    assert_true(octets.size > 0);
    return bench.hand_result == 0 ? 0 : reason_set(reason, bench.hand_result, "no room");
}

int __wrap_verifier_take(Verifier *verifier, Reason *reason)
{
    const int r = bench.taken++ == 0 ? bench.profile_result : bench.read_result;

    assert_ptr_equal(verifier, new_verifier());
    assert_true(bench.in_loop); /* or it would wait */
    return r == 0 ? 0 : reason_set(reason, r, "no anchors");
}

/* It is there at once. */
int __wrap_verifier_when_ready(Verifier *verifier, sd_event *event, VerifierReady ready,
                               void *userdata)
{
    (void)event;
    assert_ptr_equal(verifier, new_verifier());
    if (bench.ready_result < 0)
        return bench.ready_result;
    const bool before = bench.in_loop;
    bench.in_loop = true;
    ready(userdata);
    bench.in_loop = before;
    return 0;
}

int __wrap_verifier_attach(Verifier *verifier, sd_event *event, CrlsInForce *crls)
{
    (void)event;
    assert_ptr_equal(verifier, new_verifier());
    assert_ptr_equal(crls, &bench.daemon.crls);
    bench.attached++;
    return bench.attach_result;
}

Verifier *__wrap_verifier_ref(Verifier *verifier)
{
    bench.verifiers++;
    return verifier;
}

void __wrap_verifier_unref(Verifier *verifier)
{
    bench.verifiers -= verifier != NULL;
}

int __wrap_time_correction_read(Bytes bundle, const char *fqdn, unsigned *ret, Reason *reason)
{
    (void)bundle;
    bench.fqdn = fqdn;
    *ret = bench.correction_days;
    return bench.correction_result == 0
               ? 0
               : reason_set(reason, bench.correction_result, "no correction");
}

int __wrap_device_install(Device *device, Bytes bundle, Bytes approval, DeviceDone done,
                          void *userdata)
{
    (void)device;
    (void)snprintf(bench.asked, sizeof(bench.asked), "%.6s %.8s", (const char *)bundle.data,
                   (const char *)approval.data);
    bench.done = done;
    bench.userdata = userdata;
    return bench.install_result;
}

static Work *the_work(void)
{
    return (Work *)(void *)&bench;
}

int __wrap_work_add(Daemon *daemon, const WorkClass *class, void *data, Work **ret)
{
    (void)daemon;
    bench.class = class;
    if (bench.add_result < 0) {
        class->free(data);
        return bench.add_result;
    }
    bench.data = data;
    *ret = the_work();
    return 0;
}

int __wrap_work_wait(Work *work, sd_bus_message *call, WorkAnswer answer)
{
    (void)work, (void)call;
    bench.answer = answer;
    return bench.wait_result;
}

void __wrap_work_begin(Daemon *daemon)
{
    (void)daemon;
    bench.begun++;
}

void __wrap_work_ended(Work *work)
{
    assert_ptr_equal(work, the_work());
    bench.ended++;
}

Daemon *__wrap_work_daemon(const Work *work)
{
    (void)work;
    return &bench.daemon;
}

void *__wrap_work_data(const Work *work)
{
    (void)work;
    return bench.data;
}

void __wrap_daemon_load_identity_after(Daemon *daemon, Work *work)
{
    (void)daemon;
    assert_ptr_equal(work, the_work());
    bench.loads++;
}

void __wrap_callers_close_unverified(Daemon *daemon, const char *reason)
{
    (void)daemon, (void)reason;
    bench.closed_unverified++;
}

void __wrap_bus_manager_changed(Daemon *daemon)
{
    (void)daemon;
    bench.changed++;
}

void __wrap_bus_answer_error(sd_bus_message *call, int r, const sd_bus_error *error)
{
    (void)call;
    bench.errors++;
    bench.errno_ = r;
    (void)snprintf(bench.name, sizeof(bench.name), "%s", error->name ? error->name : "");
    (void)snprintf(bench.reason, sizeof(bench.reason), "%s", error->message ? error->message : "");
}

const char *__wrap_call_sender(sd_bus_message *call)
{
    (void)call;
    return ":1.1";
}

sd_bus_message *__wrap_sd_bus_message_ref(sd_bus_message *message)
{
    bench.references++;
    return message;
}

sd_bus_message *__wrap_sd_bus_message_unref(sd_bus_message *message)
{
    if (message)
        bench.references--;
    return NULL;
}

int __wrap_sd_bus_reply_method_return(sd_bus_message *call, const char *types, ...)
{
    va_list values;

    (void)call;
    assert_string_equal(types, "t");
    va_start(values, types);
    bench.replied = va_arg(values, uint64_t);
    va_end(values);
    bench.replies++;
    return 1;
}

static sd_bus_message *the_call(void)
{
    return (sd_bus_message *)(void *)&bench.replies;
}

static int setup(void **state)
{
    (void)state;
    memset(&bench, 0, sizeof(bench));
    bench.daemon.identity = &bench.identity;
    (void)snprintf(bench.identity.fqdn, sizeof(bench.identity.fqdn), "henb.example");
    bench.identity.verifier = (Verifier *)(void *)&bench.identity;
    bench.verifiers = 1;
    return 0;
}

#define TEXT(literal) ((Bytes){(const uint8_t *)(literal), sizeof(literal) - 1})

static int install(void)
{
    return anchor_install(&bench.daemon, TEXT("bundle"), TEXT("approval"), the_call());
}

static void begin(void)
{
    assert_int_equal(install(), 0);
    assert_int_equal(bench.references, 1);
    assert_int_equal(bench.begun, 1);
    assert_int_equal(bench.class->begin(the_work()), 0);
}

/* The device has answered, or was not asked; the work ends, and whoever waits is answered. */
static void end(void)
{
    assert_int_equal(bench.ended, 1);
    bench.class->end(the_work());
    bench.answer(the_work(), the_call());
    assert_int_equal(bench.replies + bench.errors, 1);
    bench.class->free(bench.data);
    assert_int_equal(bench.references, 0);
}

static void answer(int result, bool told)
{
    DeviceAnswer said = {.result = result, .told = told, .version = 7};

    if (result != 0)
        reason_set(&said.reason, 0, "not these");
    assert_string_equal(bench.asked, "bundle approval");
    assert_int_equal(bench.ended, 0);
    bench.done(&said, (Bytes){0}, (Bytes){0}, bench.userdata);
}

static void assert_unchanged(void)
{
    assert_int_equal(bench.attached + bench.changed + bench.loads + bench.closed_unverified, 0);
    assert_ptr_equal(bench.identity.verifier, (Verifier *)(void *)&bench.identity);
    assert_null(bench.daemon.exchange_context.verifier);
    assert_int_equal(bench.verifiers, 1);
}

static void what_the_tpm_has_taken_is_in_force_as_it_was_looked_at(void **state)
{
    (void)state;
    begin();
    assert_string_equal(bench.fqdn, "henb.example");
    answer(0, true);
    end();
    assert_int_equal(bench.replied, 7);
    assert_int_equal(bench.loads, 0);
    assert_int_equal(bench.changed, 1);
    assert_int_equal(bench.closed_unverified, 1); /* they were to be judged by the ones before */
    assert_ptr_equal(bench.identity.verifier, new_verifier());
    assert_ptr_equal(bench.daemon.exchange_context.verifier, new_verifier());
    assert_true(bench.identity.facts.anchors_guarded);
    assert_int_equal(bench.identity.facts.anchors_version, 7);
    assert_int_equal(bench.verifiers, 1); /* the one before is let go */
}

/* And the device is not asked. */
static void anchors_that_can_not_be_read_never_reach_the_tpm(void **state)
{
    static const struct {
        int made, profile, handed, read, correction, error;
        const char *reason;
    } cases[] = {
        {VERIFIER_E_FAILED, 0, 0, 0, 0, EXCHANGE_E_VERIFIER_FAILED, "no verifier"},
        {VERIFIER_E_NO_PROGRAM, 0, 0, 0, 0, EXCHANGE_E_VERIFIER_FAILED, "no verifier"},
        {-ENOMEM, 0, 0, 0, 0, -ENOMEM, "no verifier"},
        {0, VERIFIER_E_FAILED, 0, 0, 0, EXCHANGE_E_VERIFIER_FAILED, "no anchors"},
        {0, 0, VERIFIER_E_FAILED, 0, 0, EXCHANGE_E_VERIFIER_FAILED, "no room"},
        {0, 0, -EMFILE, 0, 0, -EMFILE, "no room"},
        {0, 0, 0, VERIFIER_E_FAILED, 0, EXCHANGE_E_VERIFIER_FAILED, "no anchors"},
        {0, 0, 0, -EINVAL, 0, BUS_E_ANCHORS_REFUSED, "no anchors"},
        {0, 0, 0, -EMFILE, 0, -EMFILE, "no anchors"},
        {0, 0, 0, -EMFILE, -EINVAL, -EMFILE, "no anchors"}, /* the first reason counts */
        {0, 0, 0, 0, -EINVAL, BUS_E_ANCHORS_REFUSED, "no correction"},
    };

    for (size_t i = 0; i < ELEMENTS(cases); i++) {
        (void)setup(state);
        bench.new_result = cases[i].made;
        bench.profile_result = cases[i].profile;
        bench.hand_result = cases[i].handed;
        bench.read_result = cases[i].read;
        bench.correction_result = cases[i].correction;
        begin();
        assert_string_equal(bench.asked, "");
        end();
        assert_int_equal(bench.errors, 1);
        assert_string_equal(bench.name, cases[i].error > 0 ? bus_error_name(cases[i].error)
                                                           : SD_BUS_ERROR_FAILED);
        assert_string_equal(bench.reason, cases[i].reason);
        assert_unchanged();
    }
}

static void what_the_device_refuses_is_told_by_its_own_name(void **state)
{
    static const struct {
        int result, error;
        bool told;
    } cases[] = {
        {DEVICE_E_OUTDATED, BUS_E_ANCHORS_OUTDATED, true},
        {DEVICE_E_REFUSED, BUS_E_ANCHORS_REFUSED, true},
        {-EIO, BUS_E_TPM_UNAVAILABLE, false},
        {-ENOSPC, -ENOSPC, false},
    };

    for (size_t i = 0; i < ELEMENTS(cases); i++) {
        (void)setup(state);
        begin();
        answer(cases[i].result, cases[i].told);
        end();
        assert_string_equal(bench.name, cases[i].error > 0 ? bus_error_name(cases[i].error)
                                                           : SD_BUS_ERROR_FAILED);
        assert_string_equal(bench.reason, "not these");
        assert_unchanged();
    }
}

/* With no identity, too: else the anchors of the last one went on judging whoever was verified. */
static void where_the_tpm_may_have_taken_them_all_is_read_anew(void **state)
{
    for (int is_lost = 0; is_lost < 2; is_lost++) {
        (void)setup(state);
        if (is_lost) {
            bench.daemon.last_verifier = bench.identity.verifier;
            bench.daemon.identity = NULL;
        }
        begin();
        assert_int_equal(!bench.fqdn, is_lost);
        answer(-EIO, true);
        end();
        assert_int_equal(bench.errors, 1);
        assert_int_equal(bench.loads, 1);
        assert_int_equal(bench.attached, 0); /* the TPM may have refused them */
    }
}

/* Another correction makes another last-known time, while the anchors are in force at once: what is
 * read anew may fail. */
static void what_can_not_be_exchanged_in_place_is_read_anew(void **state)
{
    for (int i = 0; i < 3; i++) {
        (void)setup(state);
        bench.correction_days = i == 0 ? 2 : 0;
        bench.attach_result = i == 1 ? -ENOMEM : 0;
        begin();
        if (i == 2)
            bench.daemon.identity = NULL;
        answer(0, true);
        end();
        assert_int_equal(bench.replied, 7);
        assert_int_equal(bench.loads, 1);
        assert_int_equal(bench.closed_unverified, 1);
        assert_int_equal(bench.attached, i < 2);
        assert_int_equal(bench.changed, i == 0);
        assert_int_equal(bench.identity.facts.anchors_guarded, i == 0);
        assert_ptr_equal(bench.identity.verifier,
                         i == 0 ? new_verifier() : (Verifier *)(void *)&bench.identity);
        assert_int_equal(bench.verifiers, 1);
    }
}

/* Whoever was verified before it was lost is judged by them though it can't be read. */
static void while_there_is_no_identity_the_new_ones_judge(void **state)
{
    (void)state;
    bench.daemon.last_verifier = bench.identity.verifier;
    bench.daemon.identity = NULL;
    begin();
    answer(0, true);
    end();
    assert_int_equal(bench.replied, 7);
    assert_ptr_equal(bench.daemon.last_verifier, new_verifier());
    assert_null(bench.daemon.exchange_context.verifier); /* nobody connects */
    assert_int_equal(bench.attached, 1);
    assert_int_equal(bench.daemon.judge_round, 1);
    assert_int_equal(bench.loads, 1);
    assert_int_equal(bench.changed, 0);
    assert_int_equal(bench.verifiers, 1);
}

/* What is too large is for the device to refuse, and nothing that is to be looked at. */
static void a_bundle_beyond_the_limit_is_not_looked_at(void **state)
{
    static uint8_t large[DEVICE_ANCHORS_SIZE_MAX + 1];

    for (size_t extra = 0; extra < 2; extra++) {
        (void)setup(state);
        memset(large, 'a', sizeof(large));
        assert_int_equal(anchor_install(&bench.daemon, (Bytes){large, sizeof(large) - 1 + extra},
                                        TEXT("approval"), the_call()),
                         0);
        assert_int_equal(bench.class->begin(the_work()), 0);
        assert_int_equal(bench.made, 1 - extra);
        assert_string_equal(bench.asked, "aaaaaa approval");
        bench.class->free(bench.data);
    }
}

static void what_can_not_be_asked_at_all_is_answered_with_why(void **state)
{
    (void)state;
    bench.install_result = -EPIPE;
    begin();
    end();
    assert_string_equal(bench.name, "System.Error.EPIPE");
    assert_unchanged();
    (void)setup(state);
    bench.add_result = -ENOMEM;
    assert_int_equal(install(), -ENOMEM);
    assert_int_equal(bench.references, 0);
    (void)setup(state);
    bench.wait_result = -EBUSY;
    assert_int_equal(install(), -EBUSY);
    assert_int_equal(bench.begun, 1); /* those before it go on */
    assert_false(bench.class->can_be_given_up);
    bench.class->free(bench.data);
}

#define INSTALL(test) cmocka_unit_test_setup(test, setup)

int main(void)
{
    const struct CMUnitTest tests[] = {
        INSTALL(what_the_tpm_has_taken_is_in_force_as_it_was_looked_at),
        INSTALL(anchors_that_can_not_be_read_never_reach_the_tpm),
        INSTALL(what_the_device_refuses_is_told_by_its_own_name),
        INSTALL(where_the_tpm_may_have_taken_them_all_is_read_anew),
        INSTALL(what_can_not_be_exchanged_in_place_is_read_anew),
        INSTALL(while_there_is_no_identity_the_new_ones_judge),
        INSTALL(a_bundle_beyond_the_limit_is_not_looked_at),
        INSTALL(what_can_not_be_asked_at_all_is_answered_with_why),
    };

    return cmocka_run_group_tests_name("anchor install", tests, NULL, NULL);
}
