/* Can a list of certificates and OCSP responses, as it comes in IKE_AUTH, or a CRL make their judge
 * misbehave? Input: any number of (encoding as in a CERT payload, u16 size, octets). The last
 * certificate is the anchor, so that chains are found, too. */
#include "base/cleanup.h"
#include "base/reason.h"
#include "crypto/memory.h"
#include "verify/peer.h"

#include <stdlib.h>
#include <string.h>

/* NOW: while the seeds' certificates are valid. */
enum { CRL_ENCODING = 7, OCSP_ENCODING = 14, ITEMS_MAX = 20, NOW = 1795480000 };

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc, (void)argv;
    return memory_watch();
}

static void anchor_set(AnchorStore *anchors, Bytes der)
{
    const unsigned char *cursor = der.data;
    X509 *certificate = d2i_X509(NULL, &cursor, (long)der.size);

    if (certificate && sk_X509_push(anchors->certificates, certificate) == 0)
        abort();
}

/* What is refused has a sentence; what is taken has a key. */
static void report_check(const PeerReport *report)
{
    Reason sentence = {0};

    if (!report->refusal != !!report->key)
        abort();
    for (size_t i = 0; i < report->n_checks; i++) {
        const PeerCheck *check = &report->checks[i];

        if (check->state != PEER_CHECK_FAILED)
            continue;
        peer_check_sentence(check, &sentence);
        if (check->error <= 0 || check->field[0] == '\0' || check->found[0] == '\0' ||
            check->expected[0] == '\0' || strlen(sentence.text) < 20)
            abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    Bytes certificates[ITEMS_MAX], ocsp[ITEMS_MAX], item;
    AnchorStore anchors = {.certificates = sk_X509_new_null()};
    const PeerProfile profile = peer_profile_3gpp();
    CrlStore crls;
    const PeerPolicy policy = {.anchors = &anchors,
                               .profile = &profile,
                               .crls = &crls,
                               .revocation = REVOCATION_REQUIRE,
                               .segw_name = "segw.example"};
    PeerEvidence evidence = {.certificates = certificates, .ocsp = ocsp, .now = NOW};
    Reason reason;
    PeerReport report;
    uint8_t encoding;
    uint16_t item_size;
    Reader reader;

    if (crl_store_init(&crls) < 0)
        abort();
    reader_init(&reader, (Bytes){data, size});
    while (evidence.n_certificates + evidence.n_ocsp < ITEMS_MAX &&
           reader_u8(&reader, &encoding) == 0 && reader_u16(&reader, &item_size) == 0 &&
           reader_take(&reader, item_size, &item) == 0) {
        if (encoding == CRL_ENCODING)
            (void)crl_store_decode(&crls, item, "x", &reason);
        else if (encoding == OCSP_ENCODING)
            ocsp[evidence.n_ocsp++] = item;
        else
            certificates[evidence.n_certificates++] = item;
    }
    if (evidence.n_certificates > 0)
        anchor_set(&anchors, certificates[evidence.n_certificates - 1]);
    if (peer_judge(&policy, &evidence, &report) == 0) {
        report_check(&report);
        peer_report_deinit(&report);
    }
    crl_store_deinit(&crls);
    sk_X509_pop_free(anchors.certificates, X509_free);
    return 0;
}
