/* How does an IKE SA come to be? Steps 1 to 6 of the call flow, as actions of the table. */
#include "ikeclient/association_internal.h"

#include "base/log.h"
#include "ikeclient/report.h"
#include "ikeclient/selectors.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

int action_describe(Association *a, const AssociationInput *input)
{
    TreCall call = {.method = TRE_DESCRIBE};
    (void)input;

    steps_start(&a->steps);
    return association_call(a, &call);
}

int action_begin(Association *a, const AssociationInput *input)
{
    TreCall call = {.method = TRE_BEGIN, .group = proposals_first_group(&a->config->ike_offer)};

    int r = tre_identity_init(&a->identity, &input->reply->description);
    if (r < 0)
        return r;
    steps_name(&a->steps, a->identity.identity, a->identity.segw_identity);
    return association_call(a, &call);
}

/* Sends the request as it is now; RFC 7296 2.15 signs the last one sent. */
static int send_init(Association *a)
{
    char segw[ENDPOINT_TEXT_SIZE];
    Writer writer;
    Bytes request;

    writer_init(&writer, a->scratch, sizeof(a->scratch));
    init_request_encode(&a->init, transport_local(a->transport), transport_remote(a->transport),
                        &writer);
    int r = writer_finish(&writer, &request);
    if (r == 0)
        r = datagrams_set(&a->request, &request, 1);
    if (r == 0)
        r = association_await(a, 0, UINT_MAX);
    if (r < 0)
        return r;
    association_send_request(a);
    steps_log(&a->steps, 1, "IKE_SA_INIT request", STEP_HENB_TO_SEGW,
              "%zu proposals, KE %s%s, to %s", a->init.offer->n_proposals,
              proposals_group_name(a->init.group), a->init.cookie_size > 0 ? ", COOKIE" : "",
              endpoint_text(transport_remote(a->transport), segw));
    return 0;
}

int action_send_init(Association *a, const AssociationInput *input)
{
    const TreReply *reply = input->reply;

    (void)snprintf(a->exchange, sizeof(a->exchange), "%s", reply->begun.exchange);
    int r =
        init_begin(&a->init, &a->config->ike_offer, proposals_first_group(&a->config->ike_offer),
                   reply->begun.spi_i, reply->begun.nonce_i, reply->begun.ke_i);
    a->init.feign_nat = a->identity.needs_udp;
    return r < 0 ? r : send_init(a);
}

int action_send_init_again(Association *a, const AssociationInput *input)
{
    (void)input;
    steps_log(&a->steps, 2, "IKE_SA_INIT response", STEP_SEGW_TO_HENB, "COOKIE asked for");
    return send_init(a);
}

int action_choose_group(Association *a, const AssociationInput *input)
{
    TreCall call = {.method = TRE_CHOOSE_GROUP, .group = input->init->group};

    steps_log(&a->steps, 2, "IKE_SA_INIT response", STEP_SEGW_TO_HENB,
              "INVALID_KE_PAYLOAD, %s wanted", proposals_group_name(input->init->group));
    a->candidate = *input->init;
    return association_call(a, &call);
}

int action_take_group(Association *a, const AssociationInput *input)
{
    int r = init_change_group(&a->init, a->candidate.group, input->reply->ke_i);
    return r < 0 ? r : send_init(a);
}

int action_agree(Association *a, const AssociationInput *input)
{
    TreCall call = {.method = TRE_AGREE,
                    .agree = {.request = {a->request.items[0].data, a->request.items[0].size},
                              .response = input->datagram}};

    a->candidate = *input->init;
    return association_call(a, &call);
}

int action_keep_waiting(Association *a, const AssociationInput *input)
{
    a->hint_error = 0;
    (void)snprintf(a->hint, sizeof(a->hint), "tred refused an IKE_SA_INIT response (%s): %s",
                   input->reply->error, input->reply->text);
    log_debug("%s", a->hint);
    return 0;
}

static const char *nat_text(const NatFinding *nat)
{
    if (!nat->supported)
        return "no NAT detection";
    if (nat->here)
        return nat->there ? "NAT at both ends" : "NAT on our side";
    return nat->there ? "NAT on the SeGW's side" : "no NAT";
}

/* tred has the keys: from here on the peer's SPI is fixed. */
static void take_candidate(Association *a, const char *suite)
{
    retransmit_stop(&a->retransmit);
    a->request_open = false;
    a->spi_r = a->candidate.spi_r;
    a->nat = a->candidate.nat;
    (void)snprintf(a->suite, sizeof(a->suite), "%s", suite);
}

/* RFC 7296 2.23 allows port 4500 without a NAT, too; so it goes one way always. tred opens it, as
 * ESP comes in on the same port and is none of our business. */
static int open_transport(Association *a)
{
    const Endpoint *remote = transport_remote(a->transport);
    TreCall call = {.method = TRE_OPEN_TRANSPORT,
                    .remote = {endpoint_address(remote), (uint16_t)a->config->nat_t_port}};

    return a->nat.supported ? association_call(a, &call) : 0;
}

int action_sign(Association *a, const AssociationInput *input)
{
    TreCall allocate = {.method = TRE_ALLOCATE_SPI};
    TreCall sign = {.method = TRE_SIGN_AUTH};

    take_candidate(a, input->reply->suite);
    steps_log(&a->steps, 2, "IKE_SA_INIT response", STEP_SEGW_TO_HENB, "%s, %s%s, %s", a->suite,
              a->candidate.certreq ? "CERTREQ" : "no CERTREQ",
              a->candidate.fragmentation ? ", fragmentation" : "", nat_text(&a->nat));
    if (a->identity.needs_udp && !a->nat.supported) {
        association_explain(a, "the SeGW does not know ESP in UDP (RFC 7296 2.23), without which "
                               "tred's data plane \"user\" can't do: switch it on there, or use "
                               "a kernel with ESP");
        return association_end(a, ASSOCIATION_FAILED);
    }
    /* All at once: tred answers one caller's calls in their order. */
    int r = open_transport(a);
    if (r == 0)
        r = association_call(a, &allocate);
    return r < 0 ? r : association_call(a, &sign);
}

int action_float(Association *a, const AssociationInput *input)
{
    int r = transport_float(a->transport, input->reply->socket, (uint16_t)a->config->nat_t_port);

    /* Where encapsulation was feigned there may be a NAT that we do not know of. */
    if (r == 0 && (a->nat.here || a->init.feign_nat))
        r = transport_keep_alive(a->transport, a->config->keepalive);
    return r < 0 ? r : 0;
}

int action_take_spi(Association *a, const AssociationInput *input)
{
    child_offer_init(&a->child_offer, a->config, input->reply->spi_in);
    return 0;
}

int action_seal_auth(Association *a, const AssociationInput *input)
{
    const TreReply *reply = input->reply;
    AuthRequest request = {
        .id_type = reply->signed_.id_type,
        .id_data = reply->signed_.id_data,
        .auth_method = reply->signed_.auth_method,
        .auth_data = reply->signed_.auth_data,
        .certificates = a->identity.certificates,
        .n_certificates = a->identity.n_certificates,
        .anchor_hashes = a->identity.anchor_hashes,
        .ocsp_wanted = a->identity.ocsp_wanted,
        .segw_identity = a->identity.segw_identity,
        .initial_contact = a->initial_contact,
        .child = &a->child_offer,
    };
    TreCall call = {
        .method = TRE_PROTECT,
        .protect = {.exchange_type = IKE_AUTH,
                    .max_datagram = transport_max_message(a->transport, a->config->fragment_size)}};
    Writer writer;

    if (a->child_offer.spi_in == 0)
        return -EPROTO; /* tred did not keep the order */
    a->auth_scheme = auth_scheme_name(request.auth_method, request.auth_data);
    writer_init(&writer, a->scratch, sizeof(a->scratch));
    auth_request_encode(&request, &writer, &call.protect.first);
    int r = writer_finish(&writer, &call.protect.payloads);
    return r < 0 ? r : association_call(a, &call);
}

int action_send_auth(Association *a, const AssociationInput *input)
{
    static const char *const requests[] = {[REQUEST_IPV4] = ", CFG_REQUEST IPv4",
                                           [REQUEST_IPV6] = ", CFG_REQUEST IPv6",
                                           [REQUEST_BOTH] = ", CFG_REQUEST IPv4 and IPv6",
                                           [REQUEST_NONE] = ""};
    const TreReply *reply = input->reply;

    int r = datagrams_set(&a->request, reply->sealed.datagrams, reply->sealed.count);
    if (r == 0)
        r = association_await(a, reply->sealed.message_id, UINT_MAX);
    if (r < 0)
        return r;
    association_send_request(a);
    steps_log(&a->steps, 3, "IKE_AUTH request", STEP_HENB_TO_SEGW,
              "%s, CERT x%zu, CERTREQ x%zu%s%s, %zu datagram%s", a->auth_scheme,
              a->identity.n_certificates, a->identity.n_anchors,
              requests[a->config->request_address], a->initial_contact ? ", INITIAL_CONTACT" : "",
              a->request.count, a->request.count == 1 ? "" : "s");
    return 0;
}

/* "10.0.0.2/32, 2001:db8::2/128" of a list. */
static const char *addresses_text(const InnerAddress *addresses, size_t count, bool prefix,
                                  char *text, size_t size)
{
    int n = 0;

    text[0] = 0;
    for (size_t i = 0; i < count && n >= 0 && (size_t)n < size; i++) {
        char address[CHILD_ADDRESS_TEXT_SIZE];
        n += snprintf(text + n, size - (size_t)n, "%s%s", i > 0 ? ", " : "",
                      inner_address_text(&addresses[i], prefix, address));
    }
    return text;
}

enum { ADDRESSES_TEXT_SIZE = CHILD_DNS_MAX * CHILD_ADDRESS_TEXT_SIZE };

static void log_response(Association *a, const AuthResponse *response)
{
    const ChildAnswer *child = &a->child;
    char esp[ESP_SUITE_NAME_SIZE], addresses[ADDRESSES_TEXT_SIZE];

    steps_log(&a->steps, 4, "SeGW's check of us", STEP_AT_SEGW, "AUTH and CERT of %s accepted",
              a->steps.henb);
    if (child->verdict != CHILD_GRANTED) {
        steps_log(
            &a->steps, 5, "IKE_AUTH response", STEP_SEGW_TO_HENB, "%s, CERT x%zu, no Child SA: %s",
            auth_scheme_name(response->auth.method, response->auth.data), response->n_certificates,
            child->verdict == CHILD_REFUSED ? ike_notify_name(child->error) : child->why);
        return;
    }
    esp_choice_name(&child->esp, esp);
    steps_log(
        &a->steps, 5, "IKE_AUTH response", STEP_SEGW_TO_HENB, "%s, CERT x%zu, ESP %s, CFG_REPLY %s",
        auth_scheme_name(response->auth.method, response->auth.data), response->n_certificates, esp,
        child->n_addresses == 0 ? "none"
                                : addresses_text(child->addresses, child->n_addresses, true,
                                                 addresses, sizeof(addresses)));
}

int action_verify(Association *a, const AssociationInput *input)
{
    const TreReply *reply = input->reply;
    AuthResponse response;
    IkePayloads payloads;
    IkeFault fault = {0};

    retransmit_stop(&a->retransmit);
    a->request_open = false;
    if (ike_payloads_decode(reply->opened.first, reply->opened.payloads, &payloads, &fault) != 0) {
        association_explain(a,
                            "the SeGW's IKE_AUTH response does not parse (%s in %s): see its log",
                            ike_fault_text(fault.code), ike_payload_name(fault.payload_type));
        return association_end(a, ASSOCIATION_FAILED);
    }
    auth_response_judge(&payloads, &response);
    if (response.verdict == AUTH_REFUSED) {
        association_explain(a, "the SeGW refused IKE_AUTH with %s (%u): %s",
                            ike_notify_name(response.error), response.error,
                            advice_for(response.error));
        return association_end(a, ASSOCIATION_FAILED);
    }
    if (response.verdict == AUTH_MALFORMED) {
        association_explain(a, "the SeGW's IKE_AUTH response has %s: see its log", response.why);
        return association_end(a, ASSOCIATION_FAILED);
    }

    /* What it grants is read now, and believed once the peer is verified. */
    child_answer_judge(&a->child_offer, &payloads, &a->child);
    log_response(a, &response);
    TreCall call = {.method = TRE_VERIFY_PEER, .peer = &response};
    return association_call(a, &call);
}

static int establish(Association *a)
{
    const ChildAnswer *child = &a->child;
    char esp[ESP_SUITE_NAME_SIZE], addresses[ADDRESSES_TEXT_SIZE], dns[ADDRESSES_TEXT_SIZE];
    char ts[SELECTORS_TEXT_SIZE];

    a->state = STATE_ESTABLISHED;
    a->established_ms = steps_elapsed_ms(&a->steps);
    int r = association_watch(a);
    if (r < 0)
        return r;
    if (a->has_child) {
        esp_choice_name(&child->esp, esp);
        log_notice("established  %s <-> %s  IKE %s, ESP %s, address %s, DNS %s, to %s  (%.1f ms)",
                   a->steps.henb, a->steps.segw, a->suite, esp,
                   addresses_text(child->addresses, child->n_addresses, true, addresses,
                                  sizeof(addresses)),
                   addresses_text(child->dns, child->n_dns, false, dns, sizeof(dns)),
                   selectors_text(&child->ts_r, ts), a->established_ms);
    } else {
        log_notice("established  %s <-> %s  IKE %s, no Child SA  (%.1f ms)", a->steps.henb,
                   a->steps.segw, a->suite, a->established_ms);
        log_warning("the SeGW refused the Child SA with %s (%u), so no traffic can pass: %s",
                    ike_notify_name(child->error), child->error, advice_for(child->error));
    }
    a->handlers->established(a->userdata, a);
    if (a->stopping)
        return action_delete(a, NULL);
    return ASSOCIATION_STATE_SET;
}

int action_add_child(Association *a, const AssociationInput *input)
{
    TreCall call = {.method = TRE_ADD_CHILD,
                    .child = {.spi_in = a->child_offer.spi_in,
                              .udp_encapsulated = a->nat.here || a->nat.there || a->init.feign_nat,
                              .answer = &a->child}};

    (void)snprintf(a->peer_identity, sizeof(a->peer_identity), "%s", input->reply->peer_identity);
    steps_log(&a->steps, 6, "TrE's check of the SeGW", STEP_AT_HENB,
              "CERT and AUTH of %s verified with the stored root", a->peer_identity);
    switch (a->child.verdict) {
    case CHILD_REFUSED:
        return establish(a);
    case CHILD_INVALID: /* RFC 7296 2.7, 2.9: nothing but to take leave */
        association_explain(a, "the SeGW's IKE_AUTH response has %s: see its configuration",
                            a->child.why);
        return association_delete(a, ASSOCIATION_FAILED);
    case CHILD_GRANTED:
    default:
        return association_call(a, &call);
    }
}

int action_establish(Association *a, const AssociationInput *input)
{
    a->has_child = true;
    if (input->reply->interface[0] != 0)
        log_info("traffic goes through %s", input->reply->interface);
    return establish(a);
}
