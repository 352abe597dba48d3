/* Has a process read what it is to judge by: which CRLs there are, which of them it can't use, and
 * what comes into force. */
#include "tred/verifier_internal.h"

#include "base/log.h"
#include "base/messages.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

enum {
    LOADING_DEADLINE_MS = 15000, /* for one file of CRLs, of which the largest take a second */
    USEC_PER_MSEC = 1000,
    FLAW_USEC = 60 * 1000 * USEC_PER_MSEC, /* a file that a process ended at is tried again then */
};

/* A process that is not to judge: what was in force stays, or nobody is judged. `reason` says why,
 * or is empty: then -errno does. */
static void next_fail(Verifier *verifier, int r, Reason *reason)
{
    if (reason->text[0] == '\0')
        (void)verifier_process_failed(verifier, r, reason);
    const LogFields fields = {.message_id = MESSAGE_VERIFIER_FAILED, .error = reason->text};
    verifier_process_free(steal_pointer(verifier->next));
    if (verifier->current) {
        log_fields(LOG_ERR, &fields, "%s. SeGWs are judged by what was in force before",
                   reason->text);
    } else {
        log_fields(LOG_ERR, &fields, "%s. No SeGW is taken until that is mended", reason->text);
        verifier_waiting_fail(verifier, reason->text);
    }
}

/* The same for CRLs, where none was ever in force: a list that can't be read may be the one that
 * revokes. */
static void next_fail_for_crls(Verifier *verifier, const Reason *problem)
{
    verifier_process_free(steal_pointer(verifier->next));
    crls_in_force_set_problem(verifier->crls, problem);
    verifier_waiting_fail(verifier, problem->text);
}

/* What is wrong with the CRLs as `files` has them, beside what could not be read. */
void verifier_problem_tell(Verifier *verifier, const CrlFiles *files, const Reason *problem)
{
    const CrlFile *flawed = crl_files_flawed(files);

    if (problem->text[0] == '\0' && flawed)
        problem = &flawed->flaw;
    crls_in_force_set_problem(verifier->crls, problem);
}

static void next_take_over(Verifier *verifier)
{
    CrlsInForce *crls = verifier->crls;
    const CrlsFacts *facts = &verifier->answer.crls;

    verifier_process_free(verifier->current);
    verifier->current = steal_pointer(verifier->next);
    verifier->is_resting = false;
    if (!verifier->options.crl_directory)
        return;
    log_info("%zu CRL file(s) from %s", verifier->current->n_handed,
             verifier->options.crl_directory);
    if (!crl_files_equal(&crls->files, &verifier->current->crls))
        crls->version++;
    crl_files_replace(&crls->files, &verifier->current->crls);
    crls->is_complete = true;
    crls->n_issuers = facts->n_issuers;
    memcpy(crls->issuers, facts->issuers, sizeof(crls->issuers));
    verifier_problem_tell(verifier, &crls->files, &verifier->read_problem);
    if (crls->on_changed)
        crls->on_changed(crls->userdata);
}

static void next_step(Verifier *verifier)
{
    Reason reason = {0};
    int r = verifier_load_step(verifier, verifier->next);

    if (r == 0)
        r = verifier_deadline_set(verifier->next, LOADING_DEADLINE_MS);
    if (r < 0)
        next_fail(verifier, r, &reason);
}

static uint64_t now_usec(const Verifier *verifier)
{
    uint64_t now = 0;

    (void)sd_event_now(verifier->event, CLOCK_MONOTONIC, &now);
    return now;
}

/* The CRLs that are to be in force. 0 or -ENOMEM. */
int verifier_crls_look(const Verifier *verifier, bool again, CrlFiles *ret, Reason *problem)
{
    *ret = (CrlFiles){0};
    *problem = (Reason){0};
    if (!verifier->options.crl_directory)
        return 0;
    return crl_files_read(verifier->options.crl_directory, &verifier->crls->files, again,
                          now_usec(verifier), ret, problem);
}

/* Has `next` go on from where it is, to be handed these CRLs. */
void verifier_next_begin(Verifier *verifier, const CrlFiles *files, const Reason *problem)
{
    Reason reason = {0};

    assert(verifier->next);
    if (problem->text[0] != '\0' && !verifier->crls->is_complete) {
        next_fail_for_crls(verifier, problem);
        return;
    }
    verifier->read_problem = *problem;
    crl_files_replace(&verifier->next->crls, files);
    int r = verifier_process_watch(verifier, verifier->next, verifier->event, verifier_on_answer,
                                   verifier_on_deadline);
    if (r == 0) {
        next_step(verifier);
    } else {
        next_fail(verifier, r, &reason);
    }
}

void verifier_next_start_with(Verifier *verifier, const CrlFiles *files, const Reason *problem)
{
    Reason reason = {0};
    int r = verifier_process_start(verifier, &verifier->next, &reason);

    if (r == 0) {
        verifier_next_begin(verifier, files, problem);
    } else {
        next_fail(verifier, r, &reason);
    }
}

void verifier_next_start(Verifier *verifier)
{
    Reason problem, reason = {0};
    CrlFiles files;
    int r = verifier_crls_look(verifier, false, &files, &problem);

    if (r == 0) {
        verifier_next_start_with(verifier, &files, &problem);
    } else {
        next_fail(verifier, r, &reason);
    }
    crl_files_deinit(&files);
}

/* True if what `next` was handed last may be left out. At the first time it may not: it may be the
 * one that revokes. Nor may a copy that is in force: it was good, so that the fault is elsewhere.
 */
static bool can_leave_out(const Verifier *verifier)
{
    const CrlFile *file = verifier->next->reading;

    return file && verifier->crls->is_complete && !crl_files_has(&verifier->crls->files, file);
}

/* It is left out until it changes, or where it may be no fault of the file's, for a while. */
static void crl_leave_out(Verifier *verifier, const Reason *reason, uint64_t until)
{
    CrlFile *file = verifier->next->reading;

    file->flaw = *reason;
    file->flaw_until = until;
    if (!crl_files_add(&verifier->crls->files, file))
        log_warning("%s is looked at again and again: too many CRLs are held", file->path);
}

/* `next` has ended, or could not say what it was asked for. Where that was a CRL, the next process
 * is to do without it. */
static void next_lost(Verifier *verifier, int r)
{
    const Reason nothing = {0};
    Reason reason = {0};

    (void)verifier_process_failed(verifier, r, &reason);
    if (!can_leave_out(verifier)) {
        next_fail(verifier, r, &reason);
        return;
    }
    reason_set(&reason, 0, "%.300s can't be read: %s", verifier->next->reading->path, reason.text);
    crl_leave_out(verifier, &reason, now_usec(verifier) + FLAW_USEC);
    verifier_problem_tell(verifier, &verifier->crls->files, &nothing);
    verifier_process_free(steal_pointer(verifier->next));
}

/* `next` can't use what it was handed last, for that reason. Of a CRL, the rest stays or comes into
 * force. */
static void next_refused(Verifier *verifier, Reason *reason)
{
    if (can_leave_out(verifier)) {
        crl_leave_out(verifier, reason, 0);
        next_step(verifier);
    } else if (verifier->next->reading && !verifier->crls->is_complete) {
        next_fail_for_crls(verifier, reason);
    } else {
        next_fail(verifier, 0, reason);
    }
}

void verifier_next_received(Verifier *verifier, int r)
{
    VerifierProcess *process = verifier->next;
    Reason reason = {0};

    if (r == 0)
        r = verifier_answer_error(verifier, &reason);
    if (r < 0 && reason.text[0] == '\0') {
        next_lost(verifier, r);
    } else if (r < 0) {
        next_refused(verifier, &reason);
    } else if (process->step == LOAD_COMPLETE) {
        next_take_over(verifier);
    } else {
        if (process->step != LOAD_CRLS)
            process->step++;
        next_step(verifier);
    }
}
