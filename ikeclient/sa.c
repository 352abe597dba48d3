/* How an IKE SA ends, and what is said of that. */
#include "ikeclient/sa.h"

#include "ikeclient/pacing.h"

#include <inttypes.h>
#include <string.h>
#include <sys/random.h>

enum {
    USEC_PER_MS = 1000,
    USEC_PER_SEC = 1000000,
    MS_PER_SEC = 1000,
};

double ike_sa_patience(const IkeSa *sa)
{
    RetransmitSchedule schedule = {.timeout_ms = sa->config->retransmit_timeout,
                                   .tries = (unsigned)sa->config->retransmit_tries};

    return (double)retransmit_total_ms(&schedule) / 1000;
}

uint64_t ike_sa_request_limit_ms(const IkeSa *sa)
{
    uint64_t half = sa->config->liveness * MS_PER_SEC / 2, now = 0;

    if (!sa->established || half == 0)
        return 0;
    (void)sd_event_now(sa->event, CLOCK_MONOTONIC, &now);
    uint64_t silent = (now - sa->last_heard) / USEC_PER_MS;
    return silent < half ? 2 * half - silent : half;
}

/* Where the kernel has no random number to spare, the later moment is as good as any. */
void ike_sa_limit(IkeSa *sa, IkeSaLimit by, uint64_t seconds)
{
    uint32_t random = 0;
    uint64_t now = 0;

    (void)sd_event_now(sa->event, CLOCK_MONOTONIC, &now);
    if (getrandom(&random, sizeof(random), GRND_NONBLOCK) < 0)
        random = 0;
    sa->renew_at[by] = lifetime_renew_at(now, now + seconds * USEC_PER_SEC, random);
    if (sa->renew_at[by] == LIFETIME_NEVER) {
        report_line(sa->config, LOG_INFO,
                    "this authentication ends in %" PRIu64
                    " s, which is too soon for a new one before",
                    seconds);
    } else {
        report_line(sa->config, LOG_INFO,
                    "this authentication ends in %" PRIu64 " s%s; a new one is made in %.1f s",
                    seconds, by == IKE_SA_LIMIT_SEGW ? ", as the SeGW says" : " with a certificate",
                    (double)(sa->renew_at[by] - now) / (double)USEC_PER_SEC);
    }
    if (sa->established)
        sa->handlers->due(sa->userdata, sa, IKE_SA_DUE_LIFETIME);
}

bool ike_sa_follow(IkeSa *sa, const Redirect *redirect)
{
    const bool follows = sa->handlers->redirected(sa->userdata, sa, redirect);

    if (follows) {
        reason_set(&sa->reason, 0, "the SeGW redirects to %s", redirect->name);
    } else {
        reason_set(&sa->reason, 0,
                   "the SeGW redirects to %s, after %d redirections within %d s (RFC 5685 3): have "
                   "the SeGWs agree on who serves this device",
                   redirect->name, REDIRECTS_MAX, REDIRECT_PERIOD_S);
    }
    return follows;
}

/* What was there of an answer says more than that no other came. */
void ike_sa_explain_silence_to_init(IkeSa *sa)
{
    const Endpoint *remote = transport_remote(sa->transport);
    char segw[ENDPOINT_TEXT_SIZE];

    (void)endpoint_text(remote, segw);
    if (sa->hint.text[0] == '\0') {
        reason_set(
            &sa->reason, 0,
            "no answer to IKE_SA_INIT from the SeGW at %s within %.1f s: check [segw] address, "
            "and that UDP port %u passes the networks between",
            segw, ike_sa_patience(sa), endpoint_port(remote));
    } else {
        reason_set(
            &sa->reason, 0,
            "no answer to IKE_SA_INIT that could be used from the SeGW at %s within %.1f s; %s",
            segw, ike_sa_patience(sa), sa->hint.text);
    }
}

void ike_sa_explain_silence_to_auth(IkeSa *sa)
{
    const size_t count = sa->tasks.request.count;
    char segw[ENDPOINT_TEXT_SIZE];

    (void)endpoint_text(transport_remote(sa->transport), segw);
    if (sa->hint.text[0] == '\0') {
        reason_set(&sa->reason, 0,
                   "the SeGW answered IKE_SA_INIT, but not IKE_AUTH at %s within %.1f s (sent in "
                   "%zu datagram%s): check its log, that UDP port %" PRIu64
                   " passes the networks between, and [connection] fragment-size",
                   segw, ike_sa_patience(sa), count, count == 1 ? "" : "s", sa->config->nat_t_port);
    } else {
        reason_set(&sa->reason, 0,
                   "the SeGW answered IKE_SA_INIT, but not IKE_AUTH at %s within %.1f s (sent in "
                   "%zu datagram%s); %s",
                   segw, ike_sa_patience(sa), count, count == 1 ? "" : "s", sa->hint.text);
    }
}

void ike_sa_close_exchange(const IkeSa *sa)
{
    const char *const exchanges[] = {sa->exchange, sa->made_by_us.exchange,
                                     sa->made_by_peer.exchange};

    for (size_t i = 0; i < ELEMENTS(exchanges); i++) {
        const TreCall call = {.method = TRE_CLOSE, .exchange = exchanges[i]};
        if (exchanges[i][0] != 0)
            (void)tre_call(sa->tre, &call, NULL, NULL);
    }
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
    if (ratelimit_allows(&sa->drops, now, &suppressed)) {
        report_line(sa->config, LOG_DEBUG, "dropped a datagram: %s (%u more before it)", why,
                    suppressed);
    }
}
