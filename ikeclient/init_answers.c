/* What comes in answer to IKE_SA_INIT: kept, or why it is of no use, and what to do about that. */
#include "ikeclient/init_answers.h"

#include "ikeclient/ike_sa_internal.h"
#include "ikeclient/proposals.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- kept ---- */

void init_state_free(InitState *init)
{
    if (!init)
        return;
    for (size_t i = 0; i < init->n_answers; i++)
        free(init->answers[i].octets);
    free(init->request);
    free(init);
}

/* Keeps a copy. 0 or -ENOMEM. */
static int keep(Bytes octets, uint8_t **ret, size_t *ret_size)
{
    uint8_t *copy = malloc(octets.size);

    if (!copy)
        return -ENOMEM;
    memcpy(copy, octets.data, octets.size);
    free(*ret);
    *ret = copy;
    *ret_size = octets.size;
    return 0;
}

int init_keep_request(InitState *init, Bytes request)
{
    return keep(request, &init->request, &init->request_size);
}

/* NULL, and the answer is the last one of those that are kept; or why it is not. */
static const char *answer_keep(InitState *init, Bytes datagram, const InitResponse *judged)
{
    InitAnswer *answer = &init->answers[init->n_answers];

    for (size_t i = 0; i < init->n_answers; i++) {
        if (bytes_equal(datagram, (Bytes){init->answers[i].octets, init->answers[i].size}))
            return "an answer to IKE_SA_INIT that we have";
    }
    if (init->n_answers == INIT_ANSWERS_MAX)
        return "one more answer to IKE_SA_INIT after several";
    *answer = (InitAnswer){.judged = *judged};
    if (keep(datagram, &answer->octets, &answer->size) < 0)
        return "no memory for it";
    init->n_answers++;
    return NULL;
}

void init_answer_drop(InitState *init, size_t index)
{
    free(init->answers[index].octets);
    memmove(&init->answers[index], &init->answers[index + 1],
            (--init->n_answers - index) * sizeof(init->answers[0]));
}

InitState *init_state_for_rival(IkeSa *sa)
{
    InitState *init = sa->init, *ret = NULL;
    size_t i = 0;

    while (init && i < init->n_answers && init->answers[i].taken)
        i++;
    if (!init || i == init->n_answers || !(ret = calloc(1, sizeof(*ret))))
        return NULL;
    init->answers[i].taken = true;
    const Bytes request = {init->request, init->request_size};
    const Bytes octets = {init->answers[i].octets, init->answers[i].size};
    if (init_keep_request(ret, request) < 0 ||
        answer_keep(ret, octets, &init->answers[i].judged) != NULL) {
        init_state_free(ret);
        return NULL;
    }
    return ret;
}

/* ---- judged by what tred and its data plane can do ---- */

bool init_answer_is_from_peer(IkeSa *sa, const Endpoint *sender)
{
    const Endpoint *remote = transport_remote(sa->transport);
    char text[ENDPOINT_TEXT_SIZE];

    if (endpoint_same_address(sender, remote)) {
        if (endpoint_port(sender) != endpoint_port(remote)) {
            report_line(sa->config, LOG_INFO,
                        "the SeGW answers from %s, and not from the port that it was asked at",
                        endpoint_text(sender, text));
        }
        return true;
    }
    ike_sa_drop(sa, "an answer to IKE_SA_INIT from another address");
    return false;
}

/* True if tred's data plane can carry ESP to who sent that answer. */
static bool has_udp(IkeSa *sa, const NatFinding *nat)
{
    if (!sa->identity.needs_udp || nat->supported)
        return true;
    (void)ike_sa_hint(
        sa, "somebody there answered IKE_SA_INIT without NAT detection, and so can't do ESP in UDP "
            "(RFC 7296 2.23), without which tred's "
            "data plane \"user\" can't do: switch it on there, or use a kernel with ESP");
    return false;
}

const char *init_answer_take(IkeSa *sa, Bytes datagram, const InitResponse *judged)
{
    return has_udp(sa, &judged->nat) ? answer_keep(sa->init, datagram, judged)
                                     : "an answer of somebody who does not know ESP in UDP";
}

void init_answer_hint(IkeSa *sa, const InitResponse *judged)
{
    const IkeFault *fault = &judged->fault;

    if (judged->verdict == INIT_HINT) {
        (void)ike_sa_hint(sa, "somebody there answered IKE_SA_INIT with %s (%u): %s",
                          ike_notify_name(judged->error), judged->error, advice_for(judged->error));
    } else if (judged->group != IKE_GROUP_NONE) {
        (void)ike_sa_hint(
            sa,
            "somebody there answered IKE_SA_INIT with INVALID_KE_PAYLOAD, as it wants "
            "group %u (%s), which [ike] proposals do not have: give both sides a group "
            "in common",
            judged->group, proposals_group_name(judged->group));
    } else if (fault->code == IKEWIRE_E_VERSION || fault->code == IKEWIRE_E_MAJOR_VERSION) {
        (void)ike_sa_hint(sa, "somebody there answered IKE_SA_INIT with what is not IKEv2 (%s): %s",
                          judged->why, advice_for(IKE_NOTIFY_INVALID_MAJOR_VERSION));
    } else if (fault->code != 0) {
        (void)ike_sa_hint(
            sa,
            "somebody there answered IKE_SA_INIT with what can't be read (%s: payload "
            "type %u, %s): see the SeGW's log",
            judged->why, fault->payload_type, ike_payload_name(fault->payload_type));
    } else {
        (void)ike_sa_hint(sa, "somebody there answered IKE_SA_INIT with %s: see the SeGW's log",
                          judged->why);
    }
}
