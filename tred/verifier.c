/* Runs tred-verify: one process that judges, and one that is about to take its place. */
#include "tred/verifier.h"

#include "base/file.h"
#include "base/helper.h"
#include "base/log.h"
#include "tred/crl_files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <string.h>
#include <sys/mman.h>

enum {
    ANSWER_DEADLINE_MS = 5000,   /* for one request: what it does takes milliseconds */
    LOADING_DEADLINE_MS = 15000, /* for one file of CRLs, of which the largest take a second */
    USEC_PER_MSEC = 1000,
    PROFILE_FILE_SIZE_MAX = 64 * 1024,
};

/* Octets that every process of a verifier is handed, in memory that nobody changes. */
typedef struct Handed {
    char name[FRAME_NAME_SIZE];
    int fd; /* -1: none */
} Handed;

/* What is handed over next, or what is answered; the CRLs follow one by one. */
typedef enum LoadStep {
    LOAD_PROFILE,
    LOAD_ANCHORS,
    LOAD_CRLS,
    LOAD_COMPLETE,
    LOADED,
} LoadStep;

typedef struct Process {
    HelperProcess helper;
    LoadStep step;
    CrlFiles crls;
    size_t n_crls; /* handed over */
    sd_event_source *io, *deadline;
    FrameType awaited; /* the answer that is due; 0: none */
    bool has_judged;
} Process;

struct Verification {
    Verifier *verifier;
    Verification *next;
    VerificationCallback callback; /* NULL: cancelled while it was asked */
    void *userdata;
    size_t size;
    uint8_t frame[];
};

struct Verifier {
    unsigned n_references;
    VerifierOptions options;
    sd_event *event;       /* from verifier_attach() on */
    sd_event_source *soon; /* has the loop look at who waits */
    Handed profile, anchors;
    AnchorFacts facts;
    Process *current;      /* judges */
    Process *next;         /* reads what it is handed, to take over */
    uint64_t refused_mark; /* of CRLs that could not be read, while `current` goes on without */
    bool has_refused;
    Verification *waiting; /* the first is asked when `current` has an answer due */
    size_t n_waiting;
    VerifyAnswer answer;
    uint8_t frame[FRAME_SIZE_MAX];
};

__attribute__((format(printf, 3, 4))) static int refuse(int r, char *error, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    (void)vsnprintf(error, VERIFIER_ERROR_SIZE, format, arguments);
    va_end(arguments);
    return r;
}

/* Why there was no good answer. */
static int process_failed(const Verifier *verifier, int r, char *error)
{
    const char *what = strerror(-r);

    if (r == -EPIPE || r == -ECONNRESET)
        what = "it ended, or was stopped at a limit";
    else if (r == -ETIMEDOUT)
        what = "it did not answer in time";
    else if (r == -EBADMSG || r == -EMSGSIZE)
        what = "it answered what is no answer";
    return refuse(VERIFIER_E_FAILED, error,
                  "The verifier %.200s failed: %s. Another is started; see tred's log",
                  verifier->options.program, what);
}

static void process_free(Process *process)
{
    if (!process)
        return;
    sd_event_source_disable_unref(process->io);
    sd_event_source_disable_unref(process->deadline);
    helper_process_end(&process->helper);
    crl_files_deinit(&process->crls);
    free(process);
}

DEFINE_POINTER_CLEANUP(Process, process_free);

static int process_start(const Verifier *verifier, Process **ret, char *error)
{
    _cleanup_(process_freep) Process *process = calloc(1, sizeof(*process));

    if (!process)
        return -ENOMEM;
    int r = helper_process_start(verifier->options.program, &process->helper);
    if (r < 0) {
        return refuse(VERIFIER_E_FAILED, error,
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

static int request_send(Verifier *verifier, Process *process, const VerifyRequest *request, int fd)
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
static int answer_receive(Verifier *verifier, Process *process)
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

/* Waits for the answer. 0 with verifier->answer, whatever it is, or VERIFIER_E_FAILED. */
static int call(Verifier *verifier, const VerifyRequest *request, int fd, char *error)
{
    Process *process = verifier->next;
    int r = process ? request_send(verifier, process, request, fd) : -EPIPE;

    if (r == 0)
        r = helper_wait(process->helper.channel, ANSWER_DEADLINE_MS);
    if (r == 0)
        r = answer_receive(verifier, process);
    if (r == 0)
        return 0;
    process_free(steal_pointer(verifier->next));
    return process_failed(verifier, r, error);
}

static int answer_error(const Verifier *verifier, char *error)
{
    if (verifier->answer.error < 0)
        (void)snprintf(error, VERIFIER_ERROR_SIZE, "%s", verifier->answer.reason);
    return verifier->answer.error;
}

static void handed_deinit(Handed *handed)
{
    close_fdp(&handed->fd);
    *handed = (Handed){.fd = -1};
}

/* Octets as a file of their own; sealed, so that what was checked is what is read. */
static int handed_init(Bytes octets, const char *name, Handed *ret)
{
    _cleanup_(close_fdp) int fd = memfd_create("tred-verify", MFD_CLOEXEC | MFD_ALLOW_SEALING);

    if (fd < 0)
        return -errno;
    for (size_t done = 0; done < octets.size;) {
        const Bytes rest = bytes_slice(octets, done, octets.size);
        ssize_t n = write(fd, rest.data, rest.size);

        if (n < 0 && errno != EINTR)
            return -errno;
        done += n > 0 ? (size_t)n : 0;
    }
    if (fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) < 0)
        return -errno;
    *ret = (Handed){.fd = steal_fd(&fd)};
    name_set(ret->name, name);
    return 0;
}

static int profile_hold(Verifier *verifier, char *error)
{
    const char *path = verifier->options.profile;
    _cleanup_(free_bytesp) uint8_t *text = NULL;
    size_t size = 0;

    if (strcmp(path, SEGW_PROFILE_3GPP) == 0)
        return 0;
    int r = file_read(path, PROFILE_FILE_SIZE_MAX, &text, &size);
    if (r < 0)
        return refuse(r, error, "%.300s: can't be read: %s", path, strerror(-r));
    return handed_init((Bytes){text, size}, path, &verifier->profile);
}

static VerifyRequest request_of(FrameType type, const char *name)
{
    VerifyRequest request = {.type = type};

    (void)snprintf(request.name, sizeof(request.name), "%s", name);
    return request;
}

static int profile_hand(Verifier *verifier, char *error)
{
    const VerifyRequest request = request_of(FRAME_PROFILE, verifier->profile.name);
    int r = process_start(verifier, &verifier->next, error);

    if (r == 0)
        r = call(verifier, &request, verifier->profile.fd, error);
    if (r == 0)
        r = answer_error(verifier, error);
    if (r == 0)
        verifier->next->step = LOAD_ANCHORS;
    return r;
}

int verifier_new(const VerifierOptions *options, Verifier **ret, char *error)
{
    _cleanup_(verifier_unrefp) Verifier *verifier = calloc(1, sizeof(*verifier));

    if (!verifier)
        return -ENOMEM;
    verifier->n_references = 1;
    verifier->options = *options;
    verifier->profile.fd = verifier->anchors.fd = -1;
    int r = profile_hold(verifier, error);
    if (r == 0)
        r = profile_hand(verifier, error);
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
    process_free(verifier->current);
    process_free(verifier->next);
    handed_deinit(&verifier->profile);
    handed_deinit(&verifier->anchors);
    while (verifier->waiting) { /* all of them cancelled: each who waits holds a reference */
        Verification *first = verifier->waiting;

        verifier->waiting = first->next;
        free(first);
    }
    sd_event_source_disable_unref(verifier->soon);
    sd_event_unref(verifier->event);
    free(verifier);
}

int verifier_read_anchors(Verifier *verifier, Bytes bundle, const char *name, char *error)
{
    Handed handed = {.fd = -1};
    int r = handed_init(bundle, name, &handed);

    if (r < 0)
        return r;
    const VerifyRequest request = request_of(FRAME_ANCHORS, handed.name);
    r = call(verifier, &request, handed.fd, error);
    if (r == 0)
        r = answer_error(verifier, error);
    if (r != 0) {
        handed_deinit(&handed);
        return r;
    }
    handed_deinit(&verifier->anchors);
    verifier->anchors = handed;
    verifier->facts = verifier->answer.anchors;
    verifier->next->step = LOAD_CRLS;
    return 0;
}

const AnchorFacts *verifier_anchors(const Verifier *verifier)
{
    return &verifier->facts;
}

int verifier_read_chain(Verifier *verifier, Bytes certificates, const char *name, Bytes public_key,
                        ChainFacts *ret, char *error)
{
    Handed handed = {.fd = -1};
    int r = handed_init(certificates, name, &handed);

    if (r < 0)
        return r;
    VerifyRequest request = request_of(FRAME_CHAIN, handed.name);
    request.public_key = public_key;
    r = call(verifier, &request, handed.fd, error);
    if (r == 0)
        r = answer_error(verifier, error);
    if (r == 0)
        *ret = verifier->answer.chain;
    handed_deinit(&handed);
    return r;
}

static void go_on(Verifier *verifier);

/* Takes the first of those that wait out, and tells who asked. */
static void verification_end(Verifier *verifier, const Verdict *verdict, const char *reason)
{
    Verification *first = verifier->waiting;

    verifier->waiting = first->next;
    verifier->n_waiting--;
    if (first->callback)
        first->callback(verdict, reason, first->userdata);
    free(first);
}

/* Only as many as wait now: who is told may ask again. */
static void verifications_fail(Verifier *verifier, const char *reason)
{
    for (size_t n = verifier->n_waiting; n > 0; n--)
        verification_end(verifier, NULL, reason);
}

/* A process that is not to judge: what was in force stays, or nobody is judged. */
static void next_fail(Verifier *verifier, const char *reason)
{
    verifier->refused_mark = verifier->next ? verifier->next->crls.mark : 0;
    verifier->has_refused = verifier->current != NULL;
    process_free(steal_pointer(verifier->next));
    if (verifier->current) {
        log_error("%s. SeGWs are judged by what was in force before.", reason);
    } else {
        log_error("%s. No SeGW is taken until that is mended.", reason);
        verifications_fail(verifier, reason);
    }
}

static void next_take_over(Verifier *verifier)
{
    process_free(verifier->current);
    verifier->current = steal_pointer(verifier->next);
    verifier->has_refused = false;
    if (verifier->options.crl_directory) {
        log_info("%zu CRL file(s) from %s.", verifier->current->crls.count,
                 verifier->options.crl_directory);
    }
}

static int on_answer(sd_event_source *source, int fd, uint32_t events, void *userdata);
static int on_deadline(sd_event_source *source, uint64_t usec, void *userdata);

static int process_watch(Verifier *verifier, Process *process)
{
    int r = sd_event_add_io(verifier->event, &process->io, process->helper.channel, EPOLLIN,
                            on_answer, verifier);

    if (r >= 0) {
        r = sd_event_add_time_relative(verifier->event, &process->deadline, CLOCK_MONOTONIC, 0, 0,
                                       on_deadline, verifier);
    }
    return r < 0 ? r : sd_event_source_set_enabled(process->deadline, SD_EVENT_OFF);
}

static int deadline_set(const Process *process, uint64_t milliseconds)
{
    int r = sd_event_source_set_time_relative(process->deadline, milliseconds * USEC_PER_MSEC);

    return r < 0 ? r : sd_event_source_set_enabled(process->deadline, SD_EVENT_ONESHOT);
}

static int crl_hand(Verifier *verifier, Process *process, char *error)
{
    const char *path = process->crls.paths[process->n_crls];
    _cleanup_(close_fdp) int fd = crl_file_open(path);
    VerifyRequest request = {.type = FRAME_CRL};

    if (fd < 0)
        return refuse(fd, error, "%.300s: can't be read: %s", path, strerror(-fd));
    name_set(request.name, path);
    process->n_crls++;
    return request_send(verifier, process, &request, fd);
}

/* Hands over what comes next. 0, or -errno with or without `error`. */
static int load_step(Verifier *verifier, Process *process, char *error)
{
    VerifyRequest request;

    switch (process->step) {
    case LOAD_PROFILE:
        request = request_of(FRAME_PROFILE, verifier->profile.name);
        return request_send(verifier, process, &request, verifier->profile.fd);
    case LOAD_ANCHORS:
        request = request_of(FRAME_ANCHORS, verifier->anchors.name);
        return request_send(verifier, process, &request, verifier->anchors.fd);
    case LOAD_CRLS:
        if (process->n_crls < process->crls.count)
            return crl_hand(verifier, process, error);
        process->step = LOAD_COMPLETE;
        __attribute__((fallthrough));
    case LOAD_COMPLETE:
        request = (VerifyRequest){.type = FRAME_COMPLETE};
        return request_send(verifier, process, &request, -1);
    case LOADED:
        break;
    }
    return -EPROTO;
}

static void next_step(Verifier *verifier)
{
    char error[VERIFIER_ERROR_SIZE] = "";
    int r = load_step(verifier, verifier->next, error);

    if (r == 0)
        r = deadline_set(verifier->next, LOADING_DEADLINE_MS);
    if (r < 0 && error[0] == '\0')
        (void)process_failed(verifier, r, error);
    if (r < 0)
        next_fail(verifier, error);
}

/* Lists the CRLs, and goes on from where the process is. */
static void next_begin(Verifier *verifier)
{
    char error[VERIFIER_ERROR_SIZE] = "";
    int r = 0;

    _Static_assert((int)VERIFIER_ERROR_SIZE >= (int)CRL_FILES_ERROR_SIZE, "the sentence fits");
    if (verifier->options.crl_directory)
        r = crl_files_list(verifier->options.crl_directory, &verifier->next->crls, error);
    if (r == 0)
        r = process_watch(verifier, verifier->next);
    if (r == 0) {
        next_step(verifier);
        return;
    }
    if (error[0] == '\0')
        (void)process_failed(verifier, r, error);
    next_fail(verifier, error);
}

static void next_start(Verifier *verifier)
{
    char error[VERIFIER_ERROR_SIZE] = "";
    int r = process_start(verifier, &verifier->next, error);

    if (r == 0) {
        next_begin(verifier);
        return;
    }
    if (r < 0)
        (void)process_failed(verifier, r, error);
    next_fail(verifier, error);
}

/* `next` has answered what it was handed last. */
static void next_answered(Verifier *verifier)
{
    Process *process = verifier->next;
    char error[VERIFIER_ERROR_SIZE] = "";

    if (verifier->answer.error < 0) {
        (void)answer_error(verifier, error);
        if (error[0] == '\0')
            (void)process_failed(verifier, verifier->answer.error, error);
        next_fail(verifier, error);
        return;
    }
    if (process->step != LOAD_CRLS)
        process->step++;
    if (process->step == LOADED)
        next_take_over(verifier);
    else
        next_step(verifier);
}

/* `current` has judged. A verdict that it could not come to is the verifier's failure: memory ran
 * out, for one, and what it has left can't be known. */
static int current_answered(Verifier *verifier)
{
    if (verifier->answer.error < 0)
        return verifier->answer.error;
    verifier->current->has_judged = true;
    verification_end(verifier, &verifier->answer.verdict, "");
    return 0;
}

/* Who was being judged is refused, and another process is started at once; not so in place of one
 * that has never judged and was not asked, as the next may end in the same way. */
static void current_fail(Verifier *verifier, int r, bool was_asked)
{
    const bool is_replaced = was_asked || verifier->current->has_judged;
    char error[VERIFIER_ERROR_SIZE];

    (void)process_failed(verifier, r, error);
    log_error("%s.", error);
    process_free(steal_pointer(verifier->current));
    verifier->has_refused = false;
    if (was_asked && verifier->waiting)
        verification_end(verifier, NULL, error);
    if (is_replaced && !verifier->next)
        next_start(verifier);
}

static void next_received(Verifier *verifier, int r)
{
    char error[VERIFIER_ERROR_SIZE];

    if (r == 0) {
        next_answered(verifier);
        return;
    }
    (void)process_failed(verifier, r, error);
    next_fail(verifier, error);
}

static void current_received(Verifier *verifier, int r, bool was_asked)
{
    if (r == 0)
        r = current_answered(verifier);
    if (r < 0)
        current_fail(verifier, r, was_asked);
}

static int on_answer(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
    _cleanup_(verifier_unrefp) Verifier *verifier = verifier_ref(userdata);
    const bool is_next = verifier->next && source == verifier->next->io;
    Process *process = is_next ? verifier->next : verifier->current;
    const bool was_asked = process->awaited != 0;

    (void)fd, (void)events;
    (void)sd_event_source_set_enabled(process->deadline, SD_EVENT_OFF);
    int r = answer_receive(verifier, process);
    if (is_next)
        next_received(verifier, r);
    else
        current_received(verifier, r, was_asked);
    go_on(verifier);
    return 0;
}

static int on_deadline(sd_event_source *source, uint64_t usec, void *userdata)
{
    _cleanup_(verifier_unrefp) Verifier *verifier = verifier_ref(userdata);

    (void)usec;
    if (verifier->next && source == verifier->next->deadline)
        next_received(verifier, -ETIMEDOUT);
    else
        current_fail(verifier, -ETIMEDOUT, true);
    go_on(verifier);
    return 0;
}

/* True if `current` was handed the CRLs that are there now, or can't be succeeded by one that was.
 */
static bool is_current(const Verifier *verifier)
{
    char error[CRL_FILES_ERROR_SIZE] = "";
    CrlFiles now;
    bool is;

    if (!verifier->current)
        return false;
    if (!verifier->options.crl_directory)
        return true;
    if (crl_files_list(verifier->options.crl_directory, &now, error) < 0) {
        log_error("%s SeGWs are judged by what was in force before.", error);
        is = true;
    } else {
        is = now.mark == verifier->current->crls.mark ||
             (verifier->has_refused && now.mark == verifier->refused_mark);
    }
    crl_files_deinit(&now);
    return is;
}

/* Derived from what there is: has the first who waits judged by what is in force, or a process
 * started that can. One thing at a time. */
static void go_on(Verifier *verifier)
{
    if (verifier->next || (verifier->current && verifier->current->awaited != 0))
        return;
    while (verifier->waiting && !verifier->waiting->callback)
        verification_end(verifier, NULL, "");
    if (!verifier->waiting)
        return;
    if (!is_current(verifier)) {
        next_start(verifier);
        if (verifier->next || !verifier->waiting || !verifier->current)
            return;
    }
    const Verification *first = verifier->waiting;
    int r = helper_send(verifier->current->helper.channel, (Bytes){first->frame, first->size}, -1);
    if (r == 0) {
        verifier->current->awaited = FRAME_PEER;
        r = deadline_set(verifier->current, ANSWER_DEADLINE_MS);
    }
    if (r < 0)
        current_fail(verifier, r, true);
}

/* From the loop, so that no callback comes before verifier_ask() has returned. */
static int on_soon(sd_event_source *source, void *userdata)
{
    _cleanup_(verifier_unrefp) Verifier *verifier = verifier_ref(userdata);

    (void)source;
    go_on(verifier);
    return 0;
}

int verifier_attach(Verifier *verifier, sd_event *event)
{
    if (!verifier->next || verifier->next->step != LOAD_CRLS)
        return -EPROTO;
    verifier->event = sd_event_ref(event);
    int r = sd_event_add_defer(event, &verifier->soon, on_soon, verifier);
    if (r >= 0)
        r = sd_event_source_set_enabled(verifier->soon, SD_EVENT_OFF);
    if (r < 0)
        return r;
    next_begin(verifier);
    return 0;
}

static int verification_new(Verifier *verifier, const VerifyRequest *request, Verification **ret)
{
    Writer writer;
    Bytes frame;

    writer_init(&writer, verifier->frame, sizeof(verifier->frame));
    verify_request_encode(&writer, request);
    int r = writer_finish(&writer, &frame);
    if (r < 0)
        return r;
    *ret = calloc(1, sizeof(**ret) + frame.size);
    if (!*ret)
        return -ENOMEM;
    memcpy((*ret)->frame, frame.data, frame.size);
    (*ret)->size = frame.size;
    (*ret)->verifier = verifier;
    return 0;
}

int verifier_ask(Verifier *verifier, const VerifyRequest *request, VerificationCallback callback,
                 void *userdata, Verification **ret)
{
    Verification *verification = NULL, **end = &verifier->waiting;

    if (!verifier->event)
        return -EPROTO;
    if (verifier->n_waiting >= VERIFIER_WAITING_MAX)
        return -EBUSY;
    int r = verification_new(verifier, request, &verification);
    if (r == 0)
        r = sd_event_source_set_enabled(verifier->soon, SD_EVENT_ONESHOT);
    if (r < 0) {
        free(verification);
        return r;
    }
    verification->callback = callback;
    verification->userdata = userdata;
    while (*end)
        end = &(*end)->next;
    *end = verification;
    verifier->n_waiting++;
    *ret = verification;
    return 0;
}

/* One that is being asked stays in its place until the answer is there, and is told to nobody. */
void verification_cancel(Verification *verification)
{
    if (verification)
        verification->callback = NULL;
}
