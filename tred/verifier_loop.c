/* Has tred-verify judge, from the event loop: one process that judges, and one that is about to
 * take its place. */
#include "tred/verifier_internal.h"

#include "base/log.h"
#include "base/messages.h"

#include <errno.h>
#include <string.h>

enum {
    VERDICT_DEADLINE_MS = 5000, /* the worst shapes take 20 ms on a PC */
    USEC_PER_MSEC = 1000,
    /* Longer than the pause between an attempt to connect and the next; far shorter than a tunnel
     * is up. */
    REST_USEC = 3000 * USEC_PER_MSEC,
};

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
void verifier_waiting_fail(Verifier *verifier, const char *reason)
{
    for (size_t n = verifier->n_waiting; n > 0; n--)
        verification_end(verifier, NULL, reason);
}

/* Copies that were kept in the place of a file are let go once later lists do for them. */
static void obsolete_drop(Verifier *verifier)
{
    VerifierProcess *process = verifier->current;
    const ObsoleteFiles *obsolete = &verifier->answer.obsolete;

    for (size_t i = 0; i < obsolete->count; i++) {
        const size_t number = obsolete->numbers[i];
        CrlFile *file = number < process->n_handed ? process->handed[number] : NULL;

        if (!file || !file->is_kept)
            continue;
        log_info("What %s held before is let go: there is a later list of each issuer", file->path);
        process->handed[number] = NULL;
        crl_files_remove(&verifier->crls->files, file);
        crl_files_remove(&process->crls, file);
    }
}

/* `current` has judged. A verdict that it could not come to is the verifier's failure: memory ran
 * out, for one, and what it has left can't be known. */
static int current_answered(Verifier *verifier)
{
    if (verifier->answer.error < 0)
        return verifier->answer.error;
    verifier->current->has_judged = true;
    obsolete_drop(verifier);
    verification_end(verifier, &verifier->answer.verdict, "");
    return 0;
}

/* Who was being judged is refused, and another process is started at once; not so in place of one
 * that has never judged and was not asked, as the next may end in the same way. */
static void current_fail(Verifier *verifier, int r, bool was_asked)
{
    const bool is_replaced = was_asked || verifier->current->has_judged;
    Reason reason;

    (void)verifier_process_failed(verifier, r, &reason);
    const LogFields fields = {.message_id = MESSAGE_VERIFIER_FAILED, .error = reason.text};
    log_fields(LOG_ERR, &fields, "%s", reason.text);
    verifier_process_free(steal_pointer(verifier->current));
    if (was_asked && verifier->waiting)
        verification_end(verifier, NULL, reason.text);
    if (is_replaced && !verifier->next)
        verifier_next_start(verifier);
}

/* What has come of a process: an answer (0), or -errno. */
static void received(Verifier *verifier, bool is_next, int r, bool was_asked)
{
    if (is_next) {
        verifier_next_received(verifier, r);
    } else {
        if (r == 0)
            r = current_answered(verifier);
        if (r < 0)
            current_fail(verifier, r, was_asked);
    }
    go_on(verifier);
}

int verifier_on_answer(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
    _cleanup_(verifier_unrefp) Verifier *verifier = verifier_ref(userdata);
    const bool is_next = verifier->next && source == verifier->next->io;
    VerifierProcess *process = is_next ? verifier->next : verifier->current;
    const bool was_asked = process->awaited != 0;

    (void)fd, (void)events;
    (void)sd_event_source_set_enabled(process->deadline, SD_EVENT_OFF);
    int r = verifier_answer_receive(verifier, process);
    received(verifier, is_next, r, was_asked);
    return 0;
}

int verifier_on_deadline(sd_event_source *source, uint64_t usec, void *userdata)
{
    _cleanup_(verifier_unrefp) Verifier *verifier = verifier_ref(userdata);

    (void)usec;
    received(verifier, verifier->next && source == verifier->next->deadline, -ETIMEDOUT, true);
    return 0;
}

/* True if `current` was handed the CRLs as they are now; else another is started, or nobody can be
 * judged. */
static bool is_current(Verifier *verifier)
{
    Reason problem;
    bool is = false;
    CrlFiles files;

    if (!verifier->current) {
        verifier_next_start(verifier);
        return false;
    }
    int r = verifier_crls_look(verifier, false, &files, &problem);
    if (r < 0) {
        log_error("The CRLs can't be looked at: %s. SeGWs are judged by what was in force before",
                  strerror(-r));
        is = true;
    } else if (crl_files_equal(&files, &verifier->current->crls)) {
        verifier_problem_tell(verifier, &files, &problem);
        is = true;
    } else {
        verifier_next_start_with(verifier, &files, &problem);
        is = !verifier->next && verifier->current;
    }
    crl_files_deinit(&files);
    return is;
}

static bool is_idle(const Verifier *verifier)
{
    return verifier->current && verifier->current->awaited == 0 && !verifier->next &&
           !verifier->waiting;
}

/* What it judges by is held here, so that another can be handed the same. */
static int on_rest(sd_event_source *source, uint64_t usec, void *userdata)
{
    Verifier *verifier = userdata;

    (void)source, (void)usec;
    if (is_idle(verifier)) {
        verifier_process_free(steal_pointer(verifier->current));
        verifier->is_resting = true;
    }
    return 0;
}

/* Without that timer it would only not rest. */
static void rest_later(Verifier *verifier)
{
    int r = sd_event_source_set_time_relative(verifier->rest, REST_USEC);

    if (r >= 0)
        r = sd_event_source_set_enabled(verifier->rest, SD_EVENT_ONESHOT);
    if (r < 0)
        log_warning("The verifier is kept while nobody needs it: %s", strerror(-r));
}

/* Derived from what there is: has the first who waits judged by what is in force, or a process
 * started that can. One thing at a time. */
static void go_on(Verifier *verifier)
{
    if (verifier->next || (verifier->current && verifier->current->awaited != 0))
        return;
    while (verifier->waiting && !verifier->waiting->callback)
        verification_end(verifier, NULL, "");
    if (!verifier->waiting) {
        rest_later(verifier);
        return;
    }
    if (!is_current(verifier))
        return;
    const Verification *first = verifier->waiting;
    int r = helper_send(verifier->current->helper.channel, (Bytes){first->frame, first->size}, -1);
    if (r == 0) {
        verifier->current->awaited = FRAME_PEER;
        r = verifier_deadline_set(verifier->current, VERDICT_DEADLINE_MS);
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

void verifier_want(Verifier *verifier)
{
    if (!verifier->event)
        return;
    rest_later(verifier);
    if (!verifier->current && !verifier->next && verifier->is_resting)
        verifier_next_start(verifier);
}

void verifier_look(Verifier *verifier)
{
    Reason problem;
    CrlFiles files;

    if (!verifier->event || verifier->next || verifier->waiting ||
        (verifier->current && verifier->current->awaited != 0))
        return;
    int r = verifier_crls_look(verifier, false, &files, &problem);
    if (r < 0) {
        log_error("The CRLs can't be looked at: %s", strerror(-r));
    } else if (crl_files_equal(&files, &verifier->crls->files)) {
        verifier_problem_tell(verifier, &files, &problem);
    } else {
        verifier_next_start_with(verifier, &files, &problem);
    }
    crl_files_deinit(&files);
}

int verifier_attach(Verifier *verifier, sd_event *event, CrlsInForce *crls)
{
    Reason problem;
    CrlFiles files;

    if (!verifier->next || verifier->next->step != LOAD_CRLS)
        return -EPROTO;
    verifier->event = sd_event_ref(event);
    verifier->crls = crls;
    int r = sd_event_add_defer(event, &verifier->soon, on_soon, verifier);
    if (r >= 0)
        r = sd_event_source_set_enabled(verifier->soon, SD_EVENT_OFF);
    if (r >= 0) {
        r = sd_event_add_time_relative(event, &verifier->rest, CLOCK_MONOTONIC, REST_USEC, 0,
                                       on_rest, verifier);
    }
    if (r < 0)
        return r;
    r = verifier_crls_look(verifier, true, &files, &problem);
    if (r == 0)
        verifier_next_begin(verifier, &files, &problem);
    crl_files_deinit(&files);
    return r;
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
