/* One process tred-verify: started, asked, and handed what it judges by. And verifiers in the
 * making: they read profile, anchors and the device's chain, one after another. */
#include "tred/verifier_internal.h"

#include "base/file.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

enum {
    ANSWER_DEADLINE_MS = 5000, /* for one request: what it does takes milliseconds */
    START_DEADLINE_MS = 20000, /* a slow machine that boots reads program and libraries first */
    PROFILE_FILE_SIZE_MAX = 64 * 1024,
    USEC_PER_MSEC = 1000,
};

/* ---- a process ---- */

/* Why there was no good answer. */
int verifier_process_failed(const Verifier *verifier, int r, Reason *reason)
{
    const char *what = strerror(-r);

    switch (r) {
    case -EPIPE:
    case -ECONNRESET:
        what = "it ended, or was stopped at a limit";
        break;
    case -ETIMEDOUT:
        what = "it did not answer in time";
        break;
    case -EBADMSG:
    case -EMSGSIZE:
        what = "it answered what is no answer";
        break;
    default:
        break;
    }
    return reason_set(reason, VERIFIER_E_FAILED,
                      "The verifier %.200s failed: %s. Another is started; see tred's log",
                      verifier->options.program, what);
}

void verifier_process_free(VerifierProcess *process)
{
    if (!process)
        return;
    sd_event_source_disable_unref(process->io);
    sd_event_source_disable_unref(process->deadline);
    helper_process_end(&process->helper);
    crl_files_deinit(&process->crls);
    free(process);
}

/* posix_spawn()'s words for a program that can't be executed, whenever it is tried. */
static int start_error(int r)
{
    return r == -ENOENT || r == -EACCES || r == -ENOEXEC ? VERIFIER_E_NO_PROGRAM
                                                         : VERIFIER_E_FAILED;
}

int verifier_process_start(const Verifier *verifier, VerifierProcess **ret, Reason *reason)
{
    _cleanup_(verifier_process_freep) VerifierProcess *process = calloc(1, sizeof(*process));

    if (!process)
        return -ENOMEM;
    int r = helper_process_start(verifier->options.program, NULL, &process->helper);
    if (r < 0) {
        return reason_set(
            reason, start_error(r),
            "The verifier %.200s can't be started: %s. Install tred-verify, or correct "
            "[segw] verifier",
            verifier->options.program, strerror(-r));
    }
    *ret = steal_pointer(process);
    return 0;
}

/* Names are for messages: cut, and without what could forge a line. */
static void name_set(char *ret, const char *name)
{
    (void)snprintf(ret, FRAME_NAME_SIZE, "%s", name);
    for (; *ret; ret++) {
        if ((unsigned char)*ret < ' ' || *ret == 0x7f)
            *ret = '?';
    }
}

/* Sends a request, whose answer is due then. 0 or -errno. */
static int request_send(Verifier *verifier, VerifierProcess *process, const VerifyRequest *request,
                        int fd)
{
    Writer writer;
    Bytes frame;

    writer_init(&writer, verifier->frame, sizeof(verifier->frame));
    verify_request_encode(&writer, request);
    int r = writer_finish(&writer, &frame);
    if (r == 0)
        r = helper_send(process->helper.channel, frame, fd);
    if (r == 0)
        process->awaited = request->type;
    return r;
}

/* The answer that is due, into verifier->answer. */
int verifier_answer_receive(Verifier *verifier, VerifierProcess *process)
{
    _cleanup_(close_fdp) int fd = -1; /* it has no business to send one */
    int r = helper_receive(process->helper.channel, verifier->frame, sizeof(verifier->frame), &fd);

    if (r <= 0)
        return r == 0 ? -EPIPE : r;
    r = verify_answer_decode((Bytes){verifier->frame, (size_t)r}, &verifier->answer);
    if (r == 0 && (process->awaited == 0 || verifier->answer.type != process->awaited || fd >= 0))
        r = -EBADMSG;
    process->awaited = 0;
    return r;
}

int verifier_answer_error(const Verifier *verifier, Reason *reason)
{
    if (verifier->answer.error < 0)
        reason_set(reason, 0, "%s", verifier->answer.reason.text);
    return verifier->answer.error;
}

static void handed_deinit(Handed *handed)
{
    close_fdp(&handed->fd);
    *handed = (Handed){.fd = -1};
}

/* Octets as a file of their own; sealed, so that what was checked is what is read. 0 or -errno. */
static int handed_init(Bytes octets, const char *name, Handed *ret)
{
    Handed handed = {.fd = -1};
    int r = file_seal(octets, "tred-verify", &handed.fd);

    if (r < 0)
        return r;
    name_set(handed.name, name);
    *ret = handed;
    return 0;
}

/* A request of that type about a file of that name, which fits. */
static VerifyRequest request_of(FrameType type, const char *name)
{
    VerifyRequest request = {.type = type};

    (void)snprintf(request.name, sizeof(request.name), "%s", name);
    return request;
}

/* The next without a flaw; NULL: there is none. */
static CrlFile *crl_next(VerifierProcess *process)
{
    while (process->next_crl < process->crls.count) {
        CrlFile *file = process->crls.files[process->next_crl++];

        if (file->flaw.text[0] == '\0')
            return file;
    }
    return NULL;
}

static int crl_hand(Verifier *verifier, VerifierProcess *process, CrlFile *file)
{
    Handed handed = {.fd = -1};
    int r = handed_init((Bytes){file->data, file->size}, file->path, &handed);

    if (r < 0)
        return r;
    const VerifyRequest request = request_of(FRAME_CRL, handed.name);
    process->reading = file;
    process->handed[process->n_handed++] = file;
    r = request_send(verifier, process, &request, handed.fd);
    handed_deinit(&handed);
    return r;
}

int verifier_load_step(Verifier *verifier, VerifierProcess *process)
{
    VerifyRequest request;
    CrlFile *file;

    switch (process->step) {
    case LOAD_PROFILE:
        request = request_of(FRAME_PROFILE, verifier->profile.name);
        return request_send(verifier, process, &request, verifier->profile.fd);
    case LOAD_ANCHORS:
        request = request_of(FRAME_ANCHORS, verifier->anchors.name);
        return request_send(verifier, process, &request, verifier->anchors.fd);
    case LOAD_CRLS:
        file = crl_next(process);
        if (file)
            return crl_hand(verifier, process, file);
        process->reading = NULL;
        process->step = LOAD_COMPLETE;
        __attribute__((fallthrough));
    case LOAD_COMPLETE:
        request = (VerifyRequest){.type = FRAME_COMPLETE};
        return request_send(verifier, process, &request, -1);
    }
    return -EPROTO;
}

int verifier_process_watch(Verifier *verifier, VerifierProcess *process, sd_event *event,
                           sd_event_io_handler_t on_answer, sd_event_time_handler_t on_deadline)
{
    int r =
        sd_event_add_io(event, &process->io, process->helper.channel, EPOLLIN, on_answer, verifier);

    if (r >= 0) {
        r = sd_event_add_time_relative(event, &process->deadline, CLOCK_MONOTONIC, 0, 0,
                                       on_deadline, verifier);
    }
    return r < 0 ? r : sd_event_source_set_enabled(process->deadline, SD_EVENT_OFF);
}

int verifier_deadline_set(const VerifierProcess *process, uint64_t milliseconds)
{
    int r = sd_event_source_set_time_relative(process->deadline, milliseconds * USEC_PER_MSEC);

    return r < 0 ? r : sd_event_source_set_enabled(process->deadline, SD_EVENT_ONESHOT);
}

/* ---- a verifier in the making ---- */

static int profile_hold(Verifier *verifier, Reason *reason)
{
    const char *path = verifier->options.profile;
    _cleanup_(free_bytesp) uint8_t *text = NULL;
    size_t size = 0;

    if (strcmp(path, SEGW_PROFILE_3GPP) == 0)
        return 0;
    int r = file_read(path, PROFILE_FILE_SIZE_MAX, &text, &size);
    if (r < 0)
        return reason_set(reason, r, "%.300s: can't be read: %s", path, strerror(-r));
    return handed_init((Bytes){text, size}, path, &verifier->profile);
}

/* Ends the process, which gave no good answer. */
static int next_failed(Verifier *verifier, int r, Reason *reason)
{
    verifier_process_free(steal_pointer(verifier->next));
    return verifier_process_failed(verifier, r, reason);
}

static int profile_hand(Verifier *verifier, Reason *reason)
{
    int r = verifier_process_start(verifier, &verifier->next, reason);

    if (r != 0)
        return r;
    assert(verifier->next);
    r = verifier_load_step(verifier, verifier->next);
    return r < 0 ? next_failed(verifier, r, reason) : 0;
}

int verifier_begin(const VerifierOptions *options, Verifier **ret, Reason *reason)
{
    _cleanup_(verifier_unrefp) Verifier *verifier = calloc(1, sizeof(*verifier));

    if (!verifier)
        return -ENOMEM;
    verifier->n_references = 1;
    verifier->options = *options;
    verifier->profile.fd = verifier->anchors.fd = -1;
    int r = profile_hold(verifier, reason);
    if (r == 0)
        r = profile_hand(verifier, reason);
    if (r == 0)
        *ret = steal_pointer(verifier);
    return r;
}

Verifier *verifier_ref(Verifier *verifier)
{
    verifier->n_references++;
    return verifier;
}

void verifier_unref(Verifier *verifier)
{
    if (!verifier || --verifier->n_references > 0)
        return;
    verifier_process_free(verifier->current);
    verifier_process_free(verifier->next);
    handed_deinit(&verifier->profile);
    handed_deinit(&verifier->anchors);
    while (verifier->waiting) { /* all of them cancelled: each who waits holds a reference */
        Verification *first = verifier->waiting;

        verifier->waiting = first->next;
        free(first);
    }
    sd_event_source_disable_unref(verifier->soon);
    sd_event_source_disable_unref(verifier->rest);
    sd_event_unref(verifier->event);
    free(verifier);
}

int verifier_hand(Verifier *verifier, FrameType type, Bytes octets, const char *name,
                  Bytes public_key, Reason *reason)
{
    Handed handed = {.fd = -1};
    int r = handed_init(octets, name, &handed);

    if (r < 0)
        return r;
    VerifyRequest request = request_of(type, handed.name);
    request.public_key = public_key;
    r = verifier->next ? request_send(verifier, verifier->next, &request, handed.fd) : -EPIPE;
    if (r < 0) {
        r = next_failed(verifier, r, reason);
    } else if (type == FRAME_ANCHORS) { /* for processes to come, too */
        handed_deinit(&verifier->anchors);
        verifier->anchors = handed;
        return 0;
    }
    handed_deinit(&handed);
    return r;
}

int verifier_take(Verifier *verifier, Reason *reason)
{
    VerifierProcess *process = verifier->next;
    const FrameType awaited = process->awaited;
    const int deadline = awaited == FRAME_PROFILE ? START_DEADLINE_MS : ANSWER_DEADLINE_MS;
    int r = helper_wait(process->helper.channel, verifier->has_waited ? 0 : deadline);

    verifier->has_waited = false;
    if (r == 0)
        r = verifier_answer_receive(verifier, process);
    if (r < 0)
        return next_failed(verifier, r, reason);
    r = verifier_answer_error(verifier, reason);
    if (r == 0 && awaited == FRAME_PROFILE)
        process->step = LOAD_ANCHORS;
    if (r == 0 && awaited == FRAME_ANCHORS) {
        verifier->facts = verifier->answer.anchors;
        process->step = LOAD_CRLS;
    }
    return r;
}

/* What is waited for is there, or will not come in time. */
static int next_ready(Verifier *verifier)
{
    VerifierProcess *process = verifier->next;

    process->io = sd_event_source_disable_unref(process->io);
    process->deadline = sd_event_source_disable_unref(process->deadline);
    verifier->has_waited = true;
    verifier->ready(verifier->ready_userdata);
    return 0;
}

static int on_next_answer(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
    (void)source, (void)fd, (void)events;
    return next_ready(userdata);
}

static int on_next_deadline(sd_event_source *source, uint64_t usec, void *userdata)
{
    (void)source, (void)usec;
    return next_ready(userdata);
}

int verifier_when_ready(Verifier *verifier, sd_event *event, VerifierReady ready, void *userdata)
{
    VerifierProcess *process = verifier->next;

    verifier->ready = ready;
    verifier->ready_userdata = userdata;
    int r = verifier_process_watch(verifier, process, event, on_next_answer, on_next_deadline);
    return r < 0 ? r : verifier_deadline_set(process, ANSWER_DEADLINE_MS);
}

const AnchorFacts *verifier_anchors(const Verifier *verifier)
{
    return &verifier->facts;
}

const ChainFacts *verifier_chain(const Verifier *verifier)
{
    return &verifier->answer.chain;
}
