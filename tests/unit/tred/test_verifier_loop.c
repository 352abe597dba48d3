/* By which process and by which CRLs are SeGWs judged, and what becomes of those that wait when one
 * fails? The processes' ends of their channels are the test's; processes and the event loop are
 * played (ld --wrap). */
#include "tred/verifier_internal.h"

#include "base/cleanup.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

enum { PROCESSES_MAX = 8, FILES = 3, MSEC = 1000, SOURCES = 32 };

typedef struct Process {
    int end;
    bool is_there;
    sd_event_source *io, *deadline;
    uint64_t deadline_usec;
} Process;

static struct {
    Verifier *verifier;
    CrlsInForce crls;
    CrlFile files[FILES];
    bool is_in_folder[FILES];
    char problem[64];
    int look_result, start_result;
    bool looked_again;
    uint64_t now;
    size_t n_processes, watched;
    Process processes[PROCESSES_MAX];
    char sources[SOURCES];
    size_t n_sources;
    sd_event_handler_t on_soon;
    bool is_soon;
    sd_event_time_handler_t on_rest;
    sd_event_source *rest;
    uint64_t rest_usec;
    bool will_rest;
    unsigned failing, step; /* of what attaching needs of the loop */
    unsigned changed;
    /* who was told */
    unsigned n_told, n_taken;
    char why[600];
} bench;

int __wrap_helper_process_start(const char *path, const char *argument, HelperProcess *ret);
void __wrap_helper_process_end(HelperProcess *process);
int __wrap_crl_files_read(const char *directory, const CrlFiles *held, bool again, uint64_t now,
                          CrlFiles *ret, Reason *problem);
sd_event *__wrap_sd_event_ref(sd_event *event);
sd_event *__wrap_sd_event_unref(sd_event *event);
int __wrap_sd_event_now(sd_event *event, clockid_t clock, uint64_t *ret);
int __wrap_sd_event_add_defer(sd_event *event, sd_event_source **ret, sd_event_handler_t handler,
                              void *userdata);
int __wrap_sd_event_add_io(sd_event *event, sd_event_source **ret, int fd, uint32_t events,
                           sd_event_io_handler_t handler, void *userdata);
int __wrap_sd_event_add_time_relative(sd_event *event, sd_event_source **ret, clockid_t clock,
                                      uint64_t usec, uint64_t accuracy,
                                      sd_event_time_handler_t handler, void *userdata);
int __wrap_sd_event_source_set_time_relative(sd_event_source *source, uint64_t usec);
int __wrap_sd_event_source_set_enabled(sd_event_source *source, int enabled);
sd_event_source *__wrap_sd_event_source_disable_unref(sd_event_source *source);

int __wrap_helper_process_start(const char *path, const char *argument, HelperProcess *ret)
{
    int ends[2];

    assert_string_equal(path, "/tred-verify");
    assert_null(argument);
    if (bench.start_result < 0)
        return bench.start_result;
    assert_true(bench.n_processes < PROCESSES_MAX);
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends),
                     0);
    *ret = (HelperProcess){.pid = 1 + (pid_t)bench.n_processes, .channel = ends[0]};
    bench.processes[bench.n_processes++] = (Process){.end = ends[1], .is_there = true};
    return 0;
}

void __wrap_helper_process_end(HelperProcess *process)
{
    if (process->pid == 0)
        return;
    Process *ended = &bench.processes[process->pid - 1];
    assert_true(ended->is_there);
    ended->is_there = false;
    (void)close(process->channel);
    if (ended->end >= 0)
        (void)close(ended->end);
}

int __wrap_crl_files_read(const char *directory, const CrlFiles *held, bool again, uint64_t now,
                          CrlFiles *ret, Reason *problem)
{
    (void)held, (void)now;
    assert_string_equal(directory, "/crls");
    bench.looked_again = again;
    for (size_t i = 0; i < FILES; i++) {
        if (bench.is_in_folder[i])
            assert_true(crl_files_add(ret, &bench.files[i]));
    }
    (void)snprintf(problem->text, sizeof(problem->text), "%s", bench.problem);
    return bench.look_result;
}

sd_event *__wrap_sd_event_ref(sd_event *event)
{
    return event;
}

sd_event *__wrap_sd_event_unref(sd_event *event)
{
    (void)event;
    return NULL;
}

int __wrap_sd_event_now(sd_event *event, clockid_t clock, uint64_t *ret)
{
    (void)event, (void)clock;
    *ret = bench.now;
    return 0;
}

static sd_event_source *source_new(void)
{
    assert_true(bench.n_sources < SOURCES);
    return (sd_event_source *)(void *)&bench.sources[bench.n_sources++];
}

int __wrap_sd_event_add_defer(sd_event *event, sd_event_source **ret, sd_event_handler_t handler,
                              void *userdata)
{
    (void)event, (void)userdata;
    bench.on_soon = handler;
    bench.is_soon = true; /* as sd-event has it */
    *ret = source_new();
    return ++bench.step == bench.failing ? -ENOMEM : 0;
}

int __wrap_sd_event_add_io(sd_event *event, sd_event_source **ret, int fd, uint32_t events,
                           sd_event_io_handler_t handler, void *userdata)
{
    (void)event, (void)fd, (void)events, (void)userdata;
    assert_ptr_equal(handler, verifier_on_answer);
    bench.watched = bench.n_processes - 1; /* the newest */
    bench.processes[bench.watched].io = *ret = source_new();
    return 0;
}

int __wrap_sd_event_add_time_relative(sd_event *event, sd_event_source **ret, clockid_t clock,
                                      uint64_t usec, uint64_t accuracy,
                                      sd_event_time_handler_t handler, void *userdata)
{
    (void)event, (void)clock, (void)usec, (void)accuracy, (void)userdata;
    *ret = source_new();
    if (handler == verifier_on_deadline) {
        bench.processes[bench.watched].deadline = *ret;
    } else {
        bench.on_rest = handler;
        bench.rest = *ret;
        return ++bench.step == bench.failing ? -ENOMEM : 0;
    }
    return 0;
}

int __wrap_sd_event_source_set_time_relative(sd_event_source *source, uint64_t usec)
{
    assert_non_null(source);
    if (source == bench.rest)
        bench.rest_usec = usec;
    for (size_t i = 0; i < bench.n_processes; i++) {
        if (bench.processes[i].deadline == source)
            bench.processes[i].deadline_usec = usec;
    }
    return 0;
}

int __wrap_sd_event_source_set_enabled(sd_event_source *source, int enabled)
{
    for (size_t i = 0; i < bench.n_processes; i++) {
        if (bench.processes[i].deadline == source && enabled == SD_EVENT_OFF)
            bench.processes[i].deadline_usec = 0;
    }
    if (bench.rest && source == bench.rest)
        bench.will_rest = enabled == SD_EVENT_ONESHOT;
    if (bench.verifier && source == bench.verifier->soon) {
        bench.is_soon = enabled != SD_EVENT_OFF;
        return ++bench.step == bench.failing ? -ENOMEM : 0;
    }
    return 0;
}

sd_event_source *__wrap_sd_event_source_disable_unref(sd_event_source *source)
{
    (void)source;
    return NULL;
}

/* ---- the processes' side ---- */

/* What that process was asked last: of that type, and about that file. */
static void heard(size_t process, FrameType type, const char *name)
{
    static uint8_t frame[FRAME_SIZE_MAX];
    static VerifyRequest request;
    _cleanup_(close_fdp) int fd = -1;
    const int size = helper_receive(bench.processes[process].end, frame, sizeof(frame), &fd);

    assert_true(size > 0);
    assert_int_equal(verify_request_decode((Bytes){frame, (size_t)size}, &request), 0);
    assert_int_equal(request.type, type);
    if (name)
        assert_string_equal(request.name, name);
    assert_int_equal(fd >= 0, type == FRAME_CRL || type == FRAME_ANCHORS);
}

static void assert_nothing_heard(size_t process)
{
    uint8_t octet;

    assert_int_equal(recv(bench.processes[process].end, &octet, 1, MSG_DONTWAIT), -1);
}

static void answer(size_t process, const VerifyAnswer *answer)
{
    static uint8_t frame[FRAME_SIZE_MAX];
    Writer writer;
    Bytes message;

    writer_init(&writer, frame, sizeof(frame));
    verify_answer_encode(&writer, answer);
    assert_int_equal(writer_finish(&writer, &message), 0);
    assert_int_equal(helper_send(bench.processes[process].end, message, -1), 0);
}

static void readable(size_t process)
{
    assert_int_equal(verifier_on_answer(bench.processes[process].io, -1, 0, bench.verifier), 0);
}

static void say(size_t process, FrameType type)
{
    static VerifyAnswer said;

    said = (VerifyAnswer){
        .type = type, .anchors = {.n_certificates = 1, .n_hashes = 1}, .verdict = {.taken = true}};
    said.verdict.public_key_size = 1;
    said.verdict.expires = 1;
    (void)snprintf(said.verdict.identity, sizeof(said.verdict.identity), "segw.example");
    answer(process, &said);
    readable(process);
}

/* It hears that, and does it. */
static void serve(size_t process, FrameType type)
{
    heard(process, type, NULL);
    say(process, type);
}

static void refuse(size_t process, FrameType type, int error, const char *why)
{
    static VerifyAnswer said;

    said = (VerifyAnswer){.type = type, .error = error};
    (void)snprintf(said.reason.text, sizeof(said.reason.text), "%s", why);
    answer(process, &said);
    readable(process);
}

static void die(size_t process)
{
    (void)close(bench.processes[process].end);
    bench.processes[process].end = -1;
    readable(process);
}

static void on_changed(void *userdata)
{
    assert_ptr_equal(userdata, &bench);
    bench.changed++;
}

/* Its owner hands it profile and anchors; then it goes on by itself. */
static int setup_with(const char *problem, char *folder)
{
    const VerifierOptions options = {
        .program = "/tred-verify", .profile = SEGW_PROFILE_3GPP, .crl_directory = folder};
    static char names[FILES][2] = {"a", "b", "c"};
    static uint8_t octets[] = {1};
    static VerifyAnswer anchors;
    Reason reason;

    memset(&bench, 0, sizeof(bench));
    (void)snprintf(bench.problem, sizeof(bench.problem), "%s", problem);
    bench.crls.on_changed = on_changed;
    bench.crls.userdata = &bench;
    for (size_t i = 0; i < FILES; i++) {
        bench.files[i] =
            (CrlFile){.n_references = 1, .path = names[i], .data = octets, .size = sizeof(octets)};
        bench.is_in_folder[i] = i < 2;
    }
    assert_int_equal(verifier_begin(&options, &bench.verifier, &reason), 0);
    heard(0, FRAME_PROFILE, NULL);
    answer(0, &(VerifyAnswer){.type = FRAME_PROFILE});
    /* Not before it has read them. */
    assert_int_equal(verifier_attach(bench.verifier, (sd_event *)(void *)&bench.now, &bench.crls),
                     -EPROTO);
    verifier_want(bench.verifier);
    assert_int_equal(verifier_take(bench.verifier, &reason), 0);
    anchors =
        (VerifyAnswer){.type = FRAME_ANCHORS, .anchors = {.n_certificates = 1, .n_hashes = 1}};
    answer(0, &anchors);
    assert_int_equal(verifier_hand(bench.verifier, FRAME_ANCHORS, BYTES_OF(octets), "roots",
                                   (Bytes){0}, &reason),
                     0);
    heard(0, FRAME_ANCHORS, "roots");
    assert_int_equal(verifier_take(bench.verifier, &reason), 0);
    for (bench.failing = 1; bench.failing <= 3; bench.failing++) {
        bench.step = 0;
        assert_int_equal(
            verifier_attach(bench.verifier, (sd_event *)(void *)&bench.now, &bench.crls), -ENOMEM);
        assert_int_equal(bench.step, bench.failing);
        assert_false(bench.looked_again);
    }
    bench.failing = 0;
    assert_int_equal(verifier_attach(bench.verifier, (sd_event *)(void *)&bench.now, &bench.crls),
                     0);
    assert_int_equal(bench.looked_again, folder != NULL);
    assert_false(bench.is_soon); /* nobody waits */
    return 0;
}

static char crls[] = "/crls";

static int setup(void **state)
{
    (void)state;
    return setup_with("", crls);
}

static int setup_without_folder(void **state)
{
    (void)state;
    return setup_with("/crls can't be read", crls);
}

static int setup_without_crls(void **state)
{
    (void)state;
    return setup_with("", NULL);
}

static int teardown(void **state)
{
    (void)state;
    verifier_unref(bench.verifier);
    crls_in_force_deinit(&bench.crls);
    for (size_t i = 0; i < bench.n_processes; i++)
        assert_false(bench.processes[i].is_there);
    for (size_t i = 0; i < FILES; i++)
        assert_int_equal(bench.files[i].n_references, 1);
    return 0;
}

/* A process that is there for it reads both CRLs, and takes over. */
static void read_crls(size_t process)
{
    heard(process, FRAME_CRL, "a");
    say(process, FRAME_CRL);
    heard(process, FRAME_CRL, "b");
    say(process, FRAME_CRL);
    heard(process, FRAME_COMPLETE, NULL);
    say(process, FRAME_COMPLETE);
}

/* One that was started in the place of another is handed all of it. */
static void read_all(size_t process)
{
    heard(process, FRAME_PROFILE, NULL);
    say(process, FRAME_PROFILE);
    heard(process, FRAME_ANCHORS, "roots");
    say(process, FRAME_ANCHORS);
    read_crls(process);
}

static void told(const Verdict *verdict, const char *reason, void *userdata)
{
    assert_ptr_equal(userdata, &bench);
    bench.n_told++;
    bench.n_taken += verdict && verdict->taken;
    (void)snprintf(bench.why, sizeof(bench.why), "%s", reason);
}

static Verification *ask(void)
{
    static const VerifyRequest request = {.type = FRAME_PEER, .segw_name = "segw.example"};
    Verification *verification = NULL;

    assert_int_equal(verifier_ask(bench.verifier, &request, told, &bench, &verification), 0);
    assert_true(bench.is_soon);
    assert_int_equal(bench.n_told, 0); /* not from within */
    return verification;
}

static void soon(void)
{
    bench.is_soon = false;
    assert_int_equal(bench.on_soon(NULL, bench.verifier), 0);
}

/* ---- the tests ---- */

static void nobody_is_judged_before_all_crls_are_read(void **state)
{
    (void)state;
    (void)ask();
    soon();
    heard(0, FRAME_CRL, "a");
    assert_true(bench.processes[0].deadline_usec > 0);
    say(0, FRAME_CRL);
    heard(0, FRAME_CRL, "b");
    assert_false(bench.crls.is_complete);
    say(0, FRAME_CRL);
    heard(0, FRAME_COMPLETE, NULL);
    assert_nothing_heard(0);
    say(0, FRAME_COMPLETE);
    assert_true(bench.crls.is_complete);
    assert_int_equal(bench.crls.files.count, 2);
    assert_int_equal(bench.changed, 1);
    heard(0, FRAME_PEER, NULL);
    assert_int_equal(bench.processes[0].deadline_usec, 5000 * MSEC);
    say(0, FRAME_PEER);
    assert_int_equal(bench.n_told, 1);
    assert_int_equal(bench.n_taken, 1);
    assert_int_equal(bench.processes[0].deadline_usec, 0);
}

/* It may be the one that revokes. */
static void without_a_list_that_was_never_read_nobody_is_judged(void **state)
{
    (void)state;
    (void)ask();
    soon();
    heard(0, FRAME_CRL, "a");
    refuse(0, FRAME_CRL, -EINVAL, "a is damaged");
    assert_int_equal(bench.n_told, 1);
    assert_int_equal(bench.n_taken, 0);
    assert_string_equal(bench.why, "a is damaged");
    assert_string_equal(bench.crls.problem.text, "a is damaged");
    assert_false(bench.crls.is_complete);
    assert_false(bench.processes[0].is_there);
}

/* That is no fault of a list's. */
static void one_that_can_not_go_on_without_a_list_is_no_problem_of_the_lists(void **state)
{
    (void)state;
    (void)ask();
    soon();
    heard(0, FRAME_CRL, "a");
    say(0, FRAME_CRL);
    heard(0, FRAME_CRL, "b");
    say(0, FRAME_CRL);
    heard(0, FRAME_COMPLETE, NULL);
    refuse(0, FRAME_COMPLETE, -ENOMEM, "no memory");
    assert_int_equal(bench.n_told, 1);
    assert_int_equal(bench.n_taken, 0);
    assert_string_equal(bench.why, "no memory");
    assert_string_equal(bench.crls.problem.text, "");
}

static void without_a_folder_of_lists_none_is_read_and_nothing_is_in_force(void **state)
{
    (void)state;
    (void)ask();
    soon();
    heard(0, FRAME_COMPLETE, NULL);
    say(0, FRAME_COMPLETE);
    heard(0, FRAME_PEER, NULL);
    say(0, FRAME_PEER);
    assert_int_equal(bench.n_taken, 1);
    bench.n_told = 0;
    (void)ask(); /* nor are there others by now */
    soon();
    serve(0, FRAME_PEER);
    assert_int_equal(bench.n_taken, 2);
    assert_int_equal(bench.changed, 0);
    assert_int_equal(bench.crls.version, 0);
    assert_false(bench.crls.is_complete);
}

static void a_folder_that_could_never_be_read_lets_nobody_be_judged(void **state)
{
    (void)state;
    assert_false(bench.processes[0].is_there);
    assert_string_equal(bench.crls.problem.text, "/crls can't be read");
    (void)ask();
    soon();
    assert_int_equal(bench.n_told, 1);
    assert_int_equal(bench.n_taken, 0);
    assert_string_equal(bench.why, "/crls can't be read");
    /* Until it can be. */
    bench.problem[0] = '\0';
    bench.n_told = 0;
    (void)ask();
    soon();
    read_all(bench.n_processes - 1);
    heard(bench.n_processes - 1, FRAME_PEER, NULL);
    say(bench.n_processes - 1, FRAME_PEER);
    assert_int_equal(bench.n_taken, 1);
}

static void peers_are_judged_one_after_the_other_by_what_is_in_force(void **state)
{
    (void)state;
    read_crls(0);
    (void)ask();
    (void)ask();
    soon();
    heard(0, FRAME_PEER, NULL);
    soon(); /* one at a time */
    assert_nothing_heard(0);
    say(0, FRAME_PEER);
    assert_int_equal(bench.n_taken, 1);
    serve(0, FRAME_PEER);
    assert_int_equal(bench.n_taken, 2);
    assert_int_equal(bench.n_processes, 1);
}

static void lists_that_have_changed_are_read_by_another_process_before_the_verdict(void **state)
{
    (void)state;
    read_crls(0);
    bench.is_in_folder[0] = false;
    bench.is_in_folder[2] = true;
    (void)ask();
    soon();
    assert_nothing_heard(0);
    serve(1, FRAME_PROFILE);
    heard(1, FRAME_ANCHORS, "roots");
    say(1, FRAME_ANCHORS);
    heard(1, FRAME_CRL, "b");
    say(1, FRAME_CRL);
    heard(1, FRAME_CRL, "c");
    say(1, FRAME_CRL);
    heard(1, FRAME_COMPLETE, NULL);
    assert_true(bench.processes[0].is_there);
    say(1, FRAME_COMPLETE);
    assert_false(bench.processes[0].is_there);
    serve(1, FRAME_PEER);
    assert_int_equal(bench.n_taken, 1);
    assert_int_equal(bench.changed, 2);
}

static void a_new_list_that_can_not_be_used_leaves_the_rest_in_force(void **state)
{
    (void)state;
    read_crls(0);
    bench.is_in_folder[2] = true;
    (void)ask();
    soon();
    serve(1, FRAME_PROFILE);
    heard(1, FRAME_ANCHORS, "roots");
    say(1, FRAME_ANCHORS);
    heard(1, FRAME_CRL, "a");
    say(1, FRAME_CRL);
    heard(1, FRAME_CRL, "b");
    say(1, FRAME_CRL);
    heard(1, FRAME_CRL, "c");
    refuse(1, FRAME_CRL, -EINVAL, "c is damaged");
    assert_string_equal(bench.files[2].flaw.text, "c is damaged");
    assert_int_equal(bench.files[2].flaw_until, 0); /* until it changes */
    serve(1, FRAME_COMPLETE);
    assert_string_equal(bench.crls.problem.text, "c is damaged");
    serve(1, FRAME_PEER);
    assert_int_equal(bench.n_taken, 1);
    /* It is not tried again as it is. */
    bench.n_told = 0;
    (void)ask();
    soon();
    serve(1, FRAME_PEER);
    assert_int_equal(bench.n_processes, 2);
}

/* That may be no fault of the file's: it is tried again after a while. */
static void a_new_list_at_which_a_process_ends_is_left_out_for_a_while(void **state)
{
    (void)state;
    read_crls(0);
    bench.is_in_folder[2] = true;
    bench.now = 1000;
    (void)ask();
    soon();
    serve(1, FRAME_PROFILE);
    heard(1, FRAME_ANCHORS, "roots");
    say(1, FRAME_ANCHORS);
    heard(1, FRAME_CRL, "a");
    say(1, FRAME_CRL);
    heard(1, FRAME_CRL, "b");
    say(1, FRAME_CRL);
    heard(1, FRAME_CRL, "c");
    die(1);
    assert_int_equal(bench.files[2].flaw_until, 1000 + 60 * 1000 * MSEC);
    assert_non_null(strstr(bench.files[2].flaw.text, "c can't be read"));
    assert_false(bench.processes[1].is_there);
    heard(0, FRAME_PEER, NULL); /* by what is in force without it */
    say(0, FRAME_PEER);
    assert_int_equal(bench.n_taken, 1);
}

static void whoever_is_being_judged_when_it_fails_is_refused_and_another_is_started(void **state)
{
    for (int how = 0; how < 3; how++) {
        assert_int_equal(how == 0 ? 0 : setup(state), 0);
        read_crls(0);
        (void)ask();
        (void)ask();
        soon();
        heard(0, FRAME_PEER, NULL);
        if (how == 0)
            die(0);
        if (how == 1)
            verifier_on_deadline(bench.processes[0].deadline, 0, bench.verifier);
        if (how == 2)
            refuse(0, FRAME_PEER, -ENOMEM, "no memory");
        assert_int_equal(bench.n_told, 1);
        assert_int_equal(bench.n_taken, 0);
        assert_false(bench.processes[0].is_there);
        read_all(1);
        heard(1, FRAME_PEER, NULL); /* who comes after is judged */
        say(1, FRAME_PEER);
        assert_int_equal(bench.n_taken, 1);
        if (how < 2)
            (void)teardown(state);
    }
}

/* It had not been asked yet: that it fails says nothing of who waits. */
static void whoever_waits_when_an_idle_one_fails_is_judged_by_the_next(void **state)
{
    (void)state;
    read_crls(0);
    (void)ask();
    die(0);
    assert_int_equal(bench.n_told, 0);
    read_all(1);
    serve(1, FRAME_PEER);
    assert_int_equal(bench.n_taken, 1);
}

static void what_no_frame_has_room_for_is_not_asked(void **state)
{
    static const uint8_t octets[FRAME_SIZE_MAX];
    static VerifyRequest request = {.type = FRAME_PEER, .segw_name = "segw.example"};
    Verification *verification = NULL;

    (void)state;
    request.n_certificates = 1;
    request.certificates[0] = BYTES_OF(octets);
    assert_int_equal(verifier_ask(bench.verifier, &request, told, &bench, &verification), -ENOBUFS);
    assert_null(verification);
    assert_false(bench.is_soon);
    assert_int_equal(bench.verifier->n_waiting, 0);
}

/* Once it has begun, and when all was read: what it was handed is not handed over twice. */
static void a_verifier_is_attached_once(void **state)
{
    (void)state;
    read_crls(0);
    assert_int_equal(verifier_attach(bench.verifier, (sd_event *)(void *)&bench.now, &bench.crls),
                     -EPROTO);
}

/* The next may end in the same way, and so on for ever. */
static void one_that_ends_without_having_judged_anybody_is_not_replaced_at_once(void **state)
{
    (void)state;
    read_crls(0);
    die(0);
    verifier_want(bench.verifier);
    assert_int_equal(bench.n_processes, 1);
    (void)ask(); /* but for somebody */
    soon();
    read_all(1);
    serve(1, FRAME_PEER);
    die(1); /* it has judged */
    assert_int_equal(bench.n_processes, 3);
}

static void one_that_does_not_read_in_time_is_given_up_and_nobody_is_judged(void **state)
{
    (void)state;
    (void)ask();
    soon();
    verifier_on_deadline(bench.processes[0].deadline, 0, bench.verifier);
    assert_int_equal(bench.n_told, 1);
    assert_non_null(strstr(bench.why, "it did not answer in time"));
    assert_false(bench.processes[0].is_there);
}

static void where_none_can_be_started_whoever_waits_is_told(void **state)
{
    (void)state;
    read_crls(0);
    die(0);
    bench.start_result = -ENOENT;
    (void)ask();
    soon();
    assert_int_equal(bench.n_told, 1);
    assert_non_null(strstr(bench.why, "can't be started"));
}

static void crls_that_can_not_be_looked_at_leave_those_before_in_force(void **state)
{
    (void)state;
    read_crls(0);
    bench.look_result = -ENOMEM;
    (void)ask();
    soon();
    serve(0, FRAME_PEER);
    assert_int_equal(bench.n_taken, 1);
}

static void whoever_has_gone_is_not_judged_and_not_told(void **state)
{
    (void)state;
    read_crls(0);
    verification_cancel(ask());
    soon();
    assert_nothing_heard(0);
    Verification *verification = ask();
    soon();
    heard(0, FRAME_PEER, NULL);
    verification_cancel(verification); /* while it is judged */
    say(0, FRAME_PEER);
    assert_int_equal(bench.n_told, 0);
    assert_int_equal(bench.verifier->n_waiting, 0);
}

static void one_that_nobody_wants_is_ended_and_started_for_the_next(void **state)
{
    (void)state;
    verifier_want(bench.verifier); /* it is being started already */
    assert_int_equal(bench.n_processes, 1);
    (void)bench.on_rest(NULL, 0, bench.verifier);
    assert_true(bench.processes[0].is_there);
    read_crls(0);
    assert_int_equal(bench.rest_usec, 3000 * MSEC);
    assert_true(bench.will_rest);
    (void)ask();
    (void)bench.on_rest(NULL, 0, bench.verifier); /* somebody waits */
    assert_true(bench.processes[0].is_there);
    soon();
    heard(0, FRAME_PEER, NULL);
    (void)bench.on_rest(NULL, 0, bench.verifier); /* and is being judged */
    assert_true(bench.processes[0].is_there);
    say(0, FRAME_PEER);
    (void)bench.on_rest(NULL, 0, bench.verifier);
    assert_false(bench.processes[0].is_there);
    assert_int_equal(bench.n_processes, 1);
    verifier_want(bench.verifier);
    assert_int_equal(bench.n_processes, 2);
    verifier_want(bench.verifier);
    assert_int_equal(bench.n_processes, 2);
    read_all(1);
    die(1); /* it was not ended for want of work */
    verifier_want(bench.verifier);
    assert_int_equal(bench.n_processes, 2);
}

/* By the number in which it was handed over, and only what has no file any more. */
static void a_copy_that_was_kept_is_let_go_once_a_later_list_does_for_it(void **state)
{
    static VerifyAnswer said;

    (void)state;
    read_crls(0);
    bench.files[1].is_kept = true;
    (void)ask();
    soon();
    heard(0, FRAME_PEER, NULL);
    said = (VerifyAnswer){.type = FRAME_PEER, .verdict = {.taken = true}};
    said.verdict.public_key_size = 1;
    said.verdict.expires = 1;
    (void)snprintf(said.verdict.identity, sizeof(said.verdict.identity), "segw.example");
    said.obsolete = (ObsoleteFiles){.count = 3, .numbers = {0, 1, 2}};
    answer(0, &said);
    readable(0);
    assert_int_equal(bench.n_taken, 1);
    assert_int_equal(bench.crls.files.count, 1);
    assert_ptr_equal(bench.crls.files.files[0], &bench.files[0]);
}

/* As where an SA is up: whoever it is with may have been revoked. */
static void lists_are_looked_at_though_nobody_is_to_be_judged(void **state)
{
    (void)state;
    verifier_look(bench.verifier); /* they are being read */
    read_crls(0);
    assert_int_equal(bench.crls.version, 1);
    verifier_look(bench.verifier);
    assert_int_equal(bench.n_processes, 1);
    bench.is_in_folder[2] = true;
    verification_cancel(ask()); /* who waits has them looked at */
    verifier_look(bench.verifier);
    assert_int_equal(bench.n_processes, 1);
    bench.is_in_folder[2] = false;
    soon();
    bench.is_in_folder[2] = true;
    verifier_look(bench.verifier);
    assert_int_equal(bench.n_processes, 2);
    verifier_look(bench.verifier);
    assert_int_equal(bench.n_processes, 2);
    serve(1, FRAME_PROFILE);
    heard(1, FRAME_ANCHORS, "roots");
    say(1, FRAME_ANCHORS);
    for (const char *name = "abc"; *name; name++) {
        heard(1, FRAME_CRL, (char[]){*name, '\0'});
        say(1, FRAME_CRL);
    }
    assert_int_equal(bench.crls.version, 1);
    serve(1, FRAME_COMPLETE);
    assert_int_equal(bench.crls.version, 2);
    verifier_look(bench.verifier);
    assert_int_equal(bench.n_processes, 2);
}

static void another_process_that_reads_the_same_lists_changes_nothing(void **state)
{
    (void)state;
    read_crls(0);
    (void)ask();
    soon();
    heard(0, FRAME_PEER, NULL);
    die(0);
    read_all(1);
    assert_int_equal(bench.crls.version, 1);
}

#define LOOP(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        LOOP(nobody_is_judged_before_all_crls_are_read),
        LOOP(without_a_list_that_was_never_read_nobody_is_judged),
        LOOP(one_that_can_not_go_on_without_a_list_is_no_problem_of_the_lists),
        cmocka_unit_test_setup_teardown(
            without_a_folder_of_lists_none_is_read_and_nothing_is_in_force, setup_without_crls,
            teardown),
        cmocka_unit_test_setup_teardown(a_folder_that_could_never_be_read_lets_nobody_be_judged,
                                        setup_without_folder, teardown),
        LOOP(peers_are_judged_one_after_the_other_by_what_is_in_force),
        LOOP(lists_that_have_changed_are_read_by_another_process_before_the_verdict),
        LOOP(a_new_list_that_can_not_be_used_leaves_the_rest_in_force),
        LOOP(a_new_list_at_which_a_process_ends_is_left_out_for_a_while),
        LOOP(whoever_is_being_judged_when_it_fails_is_refused_and_another_is_started),
        LOOP(whoever_waits_when_an_idle_one_fails_is_judged_by_the_next),
        LOOP(what_no_frame_has_room_for_is_not_asked),
        LOOP(a_verifier_is_attached_once),
        LOOP(one_that_ends_without_having_judged_anybody_is_not_replaced_at_once),
        LOOP(one_that_does_not_read_in_time_is_given_up_and_nobody_is_judged),
        LOOP(where_none_can_be_started_whoever_waits_is_told),
        LOOP(crls_that_can_not_be_looked_at_leave_those_before_in_force),
        LOOP(whoever_has_gone_is_not_judged_and_not_told),
        LOOP(one_that_nobody_wants_is_ended_and_started_for_the_next),
        LOOP(lists_are_looked_at_though_nobody_is_to_be_judged),
        LOOP(another_process_that_reads_the_same_lists_changes_nothing),
        LOOP(a_copy_that_was_kept_is_let_go_once_a_later_list_does_for_it),
    };

    return cmocka_run_group_tests_name("verifier loop", tests, NULL, NULL);
}
