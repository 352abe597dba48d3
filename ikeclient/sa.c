/* How an IKE SA ends, and what is said of that. */
#include "ikeclient/sa.h"

#include "base/log.h"

#include <string.h>

void ike_sa_explain_silence(IkeSa *sa, const char *missing)
{
    RetransmitSchedule schedule = {sa->config->retransmit_timeout,
                                   (unsigned)sa->config->retransmit_tries};
    char segw[ENDPOINT_TEXT_SIZE];

    reason_set(
        &sa->reason, 0, "no %s from the SeGW at %s within %.1f s%s%s: %s", missing,
        endpoint_text(transport_remote(sa->transport), segw),
        (double)retransmit_total_ms(&schedule) / 1000, sa->hint.text[0] != 0 ? "; " : "",
        sa->hint.text,
        sa->hint_error != 0
            ? advice_for(sa->hint_error)
            : "check [segw] address, and that UDP ports 500 and 4500 pass the networks between");
}

void ike_sa_close_exchange(const IkeSa *sa)
{
    TreCall call = {.method = TRE_CLOSE, .exchange = sa->exchange};

    if (sa->exchange[0] != 0)
        (void)tre_call(sa->tre, &call, NULL, NULL);
}

void ike_sa_end(IkeSa *sa, IkeSaEnd end)
{
    if (sa->closed)
        return;
    sa->closed = true;
    retransmit_stop(&sa->tasks.retransmit); /* nothing is sent any more */
    sa->tasks.open = false;
    ike_sa_close_exchange(sa);
    sa->handlers->closed(sa->userdata, sa, end, sa->reason.text);
}

void ike_sa_fail(IkeSa *sa, int error)
{
    reason_set(&sa->reason, 0, "the IKE client failed: %s", strerror(-error));
    ike_sa_end(sa, IKE_SA_FAILED);
}

void ike_sa_drop(IkeSa *sa, const char *why)
{
    unsigned suppressed = 0;
    uint64_t now = 0;

    (void)sd_event_now(sa->event, CLOCK_MONOTONIC, &now);
    if (ratelimit_allows(&sa->drops, now, &suppressed))
        log_debug("dropped a datagram: %s (%u more before it)", why, suppressed);
}
