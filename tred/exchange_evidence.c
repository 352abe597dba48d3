/* What a SeGW shows of itself in IKE_AUTH: read for the verifier, and kept, so that the SeGW can be
 * judged again when what it is judged by has changed. */
#include "base/reason.h"
#include "ikewire/message.h"
#include "tred/exchange_internal.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

int evidence_new(const KeptMessage *response, Evidence **ret)
{
    Evidence *evidence = calloc(1, sizeof(*evidence));

    if (!evidence)
        return -ENOMEM;
    evidence->n_references = 1;
    if (exchange_keep(&evidence->response, response->first, kept_payloads(response)) < 0) {
        free(evidence);
        return -ENOMEM;
    }
    *ret = evidence;
    return 0;
}

Evidence *evidence_ref(Evidence *evidence)
{
    if (evidence)
        evidence->n_references++;
    return evidence;
}

void evidence_unref(Evidence *evidence)
{
    if (!evidence || --evidence->n_references > 0)
        return;
    free(evidence->response.payloads.data);
    free(evidence);
}

void verify_request_init(const Exchange *exchange, time_t now, VerifyRequest *ret)
{
    *ret = (VerifyRequest){
        .type = FRAME_PEER,
        .now = now,
        .revocation = exchange->context->revocation,
        .anchors = exchange->segw->anchors,
    };
    (void)snprintf(ret->segw_name, sizeof(ret->segw_name), "%s", exchange->segw->name);
}

/* TS 33.310 6.2.1: X.509 certificates, and RFC 4806's OCSP responses, each as many as are judged.
 * What else a SeGW sends (hash-and-URL among it) is passed over, also what does not decode (RFC
 * 4945 3.3.10). False for what is passed over. */
static bool cert_sort(const IkeCert *cert, VerifyRequest *ret)
{
    if (cert->encoding == IKE_CERT_X509_SIGNATURE && ret->n_certificates < PEER_CERTIFICATES_MAX) {
        ret->certificates[ret->n_certificates++] = cert->data;
        return true;
    }
    if (cert->encoding == IKE_CERT_OCSP_CONTENT && ret->n_ocsp < PEER_OCSP_MAX) {
        ret->ocsp[ret->n_ocsp++] = cert->data;
        return true;
    }
    return false;
}

/* What is kept of one message, whole as it is, fits into a frame to the verifier. */
static_assert((int)IKE_MESSAGE_MAX <= (int)PEER_EVIDENCE_SIZE_MAX, "evidence fits into a frame");

/* RFC 7296 3.6: what a SeGW may send to who has said HTTP_CERT_LOOKUP_SUPPORTED. */
static bool is_url(uint8_t encoding)
{
    return encoding == IKE_CERT_HASH_AND_URL || encoding == IKE_CERT_HASH_AND_URL_BUNDLE;
}

static int certificates_read(const IkePayloads *payloads, VerifyRequest *ret, Reason *reason)
{
    size_t position = 0;
    const IkePayload *payload;
    uint8_t passed_over = 0; /* the encoding of the last such payload that has one */

    while ((payload = ike_payloads_next(payloads, IKE_PAYLOAD_CERT, &position))) {
        IkeCert cert = {0};

        const bool is_taken = ike_cert_decode(payload->body, &cert) == 0 && cert_sort(&cert, ret);
        if (!is_taken && cert.encoding != 0)
            passed_over = cert.encoding;
    }
    if (ret->n_certificates == 0 && passed_over != 0) {
        return reason_set(reason, EXCHANGE_E_PEER_CERTIFICATE_UNFIT,
                          "The SeGW sent no X.509 certificate (CERT encoding 4), but one of "
                          "encoding %u%s. Let it send its chain as X.509 certificates",
                          passed_over,
                          is_url(passed_over) ? " (hash and URL), which nobody asked for" : "");
    }
    return 0;
}

/* IDr is kept as it came: AUTH covers its RESERVED octets, too. */
static int identity_read(const IkePayloads *payloads, VerifyRequest *ret, Bytes *ret_body,
                         Reason *reason)
{
    const IkePayload *payload = ike_payloads_find(payloads, IKE_PAYLOAD_IDR);
    IkeId id;

    if (!payload || ike_id_decode(payload->body, &id) != 0) {
        return reason_set(reason, EXCHANGE_E_PEER_IDENTITY_MISMATCH,
                          "The SeGW's IKE_AUTH response has no IDr that can be read");
    }
    if (id.data.size >= FQDN_SIZE_MAX) {
        return reason_set(reason, EXCHANGE_E_PEER_IDENTITY_MISMATCH,
                          "The SeGW's IDr is of type %u (%s), and longer than any FQDN. Correct "
                          "the SeGW's identity: its FQDN (ID type 2) is expected",
                          id.type, ike_id_type_name(id.type));
    }
    ret->idr_type = id.type;
    ret->idr = id.data;
    *ret_body = payload->body;
    return 0;
}

int evidence_read(const IkePayloads *payloads, VerifyRequest *ret, Bytes *ret_id_body,
                  Reason *reason)
{
    int r = identity_read(payloads, ret, ret_id_body, reason);

    return r != 0 ? r : certificates_read(payloads, ret, reason);
}

bool exchange_verify_again(const Exchange *exchange, time_t now, VerifyRequest *ret)
{
    const Evidence *evidence = exchange->evidence;
    IkePayloads payloads;
    Reason reason;
    Bytes id_body;

    if (exchange->state != EXCHANGE_VERIFIED || !evidence)
        return false;
    verify_request_init(exchange, now, ret);
    ret->path = exchange->peer_path;
    /* It was read once. */
    return ike_payloads_decode(evidence->response.first, kept_payloads(&evidence->response),
                               &payloads, NULL) == 0 &&
           evidence_read(&payloads, ret, &id_body, &reason) == 0;
}

/* Its OCSP responses have grown old since, and a SeGW whose word for itself has is none that was
 * revoked: its next IKE_AUTH has other ones. That is so of the path that it was taken by: another
 * one bears the SA if it is fit, and not for want of a word against it. */
bool exchange_verdict_ends(Exchange *exchange, const Verdict *verdict, Reason *ret)
{
    Reason sentence;

    if (verdict->taken && strcmp(verdict->identity, exchange->segw->name) != 0) {
        reason_set(ret, 0, "The verifier's verdict is about nobody. See tred's log");
        return true;
    }
    if (verdict->taken && exchange->peer_rsa_pkcs1 && !verdict->rsa_pkcs1) {
        reason_set(ret, 0,
                   "The SeGW signed with RSA and PKCS#1 v1.5 padding, which the profile does not "
                   "have any more. Let it use RFC 7427 signatures");
        return true;
    }
    if (verdict->taken) {
        exchange->peer_expires = verdict->expires;
        exchange->peer_path = verdict->path;
        return false;
    }
    if (verdict->refusal.error == PEER_E_REVOCATION_UNKNOWN &&
        verify_path_equal(&verdict->path, &exchange->peer_path))
        return false;
    peer_check_sentence(&verdict->refusal, &sentence);
    reason_set(ret, 0, "The SeGW would not be taken any more. %s", sentence.text);
    return true;
}
