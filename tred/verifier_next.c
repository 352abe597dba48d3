/* The process that is to judge next: started, handed everything, and put in force, or not. */
#include "tred/verifier_internal.h"

#include "base/log.h"

#include <assert.h>
#include <errno.h>

enum { LOADING_DEADLINE_MS = 15000 }; /* for one file of CRLs, of which the largest take a second */

static void start_without_crls(Verifier *verifier);

void verifier_next_fail(Verifier *verifier, const char *reason)
{
    const bool can_do_without =
        verifier->is_resting && verifier->next && !verifier->next->is_without_crls;

    verifier->refused_mark = verifier->next ? verifier->next->crls.mark : 0;
    verifier->has_refused = verifier->current || can_do_without;
    verifier_process_free(steal_pointer(verifier->next));
    if (verifier->has_refused) {
        log_error("%s. SeGWs are judged by what was in force before", reason);
        if (can_do_without)
            start_without_crls(verifier);
    } else {
        log_error("%s. No SeGW is taken until that is mended", reason);
        verifier_waiting_fail(verifier, reason);
    }
}

static void take_over(Verifier *verifier)
{
    verifier_process_free(verifier->current);
    verifier->current = steal_pointer(verifier->next);
    verifier->has_refused = verifier->current->is_without_crls;
    verifier->is_resting = false;
    if (verifier->options.crl_directory) {
        log_info("%zu CRL file(s) from %s", verifier->current->crls.count,
                 verifier->options.crl_directory);
    }
}

static void step(Verifier *verifier)
{
    Reason reason = {0};
    int r = verifier_load_step(verifier, verifier->next, &reason);

    if (r == 0)
        r = verifier_deadline_set(verifier->next, LOADING_DEADLINE_MS);
    if (r < 0 && reason.text[0] == '\0')
        (void)verifier_process_failed(verifier, r, &reason);
    if (r < 0)
        verifier_next_fail(verifier, reason.text);
}

void verifier_next_begin(Verifier *verifier)
{
    Reason reason = {0};
    int r = 0;

    assert(verifier->next);
    if (verifier->options.crl_directory && !verifier->next->is_without_crls)
        r = crl_files_list(verifier->options.crl_directory, &verifier->next->crls, &reason);
    if (r == 0)
        r = verifier_process_watch(verifier, verifier->next);
    if (r == 0) {
        step(verifier);
        return;
    }
    if (reason.text[0] == '\0')
        (void)verifier_process_failed(verifier, r, &reason);
    verifier_next_fail(verifier, reason.text);
}

static void start_with(Verifier *verifier, bool is_without_crls)
{
    Reason reason = {0};
    int r = verifier_process_start(verifier, &verifier->next, &reason);

    if (r == 0) {
        verifier->next->is_without_crls = is_without_crls;
        verifier_next_begin(verifier);
        return;
    }
    if (r < 0)
        (void)verifier_process_failed(verifier, r, &reason);
    verifier_next_fail(verifier, reason.text);
}

void verifier_next_start(Verifier *verifier)
{
    start_with(verifier, false);
}

/* Where `current` was ended for want of work, having had no CRL: what was in force goes on, as it
 * would if that had not been ended. */
static void start_without_crls(Verifier *verifier)
{
    start_with(verifier, true);
}

void verifier_next_answered(Verifier *verifier)
{
    VerifierProcess *process = verifier->next;
    Reason reason = {0};

    if (verifier->answer.error < 0) {
        (void)verifier_answer_error(verifier, &reason);
        if (reason.text[0] == '\0')
            (void)verifier_process_failed(verifier, verifier->answer.error, &reason);
        verifier_next_fail(verifier, reason.text);
        return;
    }
    if (process->step != LOAD_CRLS)
        process->step++;
    if (process->step == LOADED) {
        take_over(verifier);
    } else {
        step(verifier);
    }
}
