/* How does a test show a SeGW to peer_judge()? */
#include "peer_fixture.h"

#include "crypto/memory.h"
#include "ikewire/registry.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

Pki root, other_root, intermediate;
AnchorStore anchors = {.n_references = 1};
VerifyPath judged_path;
PeerCheck judged_last;
time_t judged_expires, judged_vouched;

int pki_init(void **state)
{
    (void)state;
    if (memory_watch() < 0)
        return -1;
    root = pki_root("Root");
    other_root = pki_root("Other Root");
    intermediate = pki_intermediate("Intermediate", &root);
    anchors.certificates = sk_X509_new_null();
    return sk_X509_push(anchors.certificates, root.certificate) > 0 ? 0 : -1;
}

int pki_end(void **state)
{
    (void)state;
    sk_X509_free(anchors.certificates);
    pki_deinit(&root);
    pki_deinit(&other_root);
    pki_deinit(&intermediate);
    return 0;
}

int judge(const Presentation *presentation, EVP_PKEY **ret, Reason *reason)
{
    const char *idr = presentation->idr ? presentation->idr : SEGW;
    unsigned char *ders[PEER_CERTIFICATES_MAX + 1] = {NULL};
    Bytes certificates[PEER_CERTIFICATES_MAX + 1];
    const PeerProfile profile = peer_profile_3gpp();
    const PeerPolicy policy = {
        .anchors = &anchors,
        .profile = presentation->profile ? presentation->profile : &profile,
        .crls = presentation->crls,
        .revocation = presentation->revocation,
        .segw_name = SEGW,
    };
    PeerEvidence evidence = {
        .n_certificates = presentation->count,
        .ocsp = &presentation->ocsp,
        .n_ocsp = presentation->ocsp.size > 0,
        .has_idr = true,
        .idr_type = presentation->idr_type ? presentation->idr_type : IKE_ID_FQDN,
        .now = presentation->now ? presentation->now : time(NULL),
        .path = presentation->path,
    };
    PeerReport report;
    int r;

    for (size_t i = 0; i < presentation->count; i++) {
        const int size = i2d_X509(presentation->sent[i]->certificate, &ders[i]);

        assert_true(size > 0);
        certificates[i] = (Bytes){ders[i], (size_t)size};
    }
    evidence.certificates = certificates;
    evidence.idr = (Bytes){(const uint8_t *)idr, strlen(idr)};
    if (presentation->begin)
        presentation->begin();
    r = peer_judge(&policy, &evidence, &report);
    judged_path = report.path;
    judged_expires = report.expires;
    judged_vouched = report.vouched;
    judged_last = report.n_checks > 0 ? report.checks[report.n_checks - 1] : (PeerCheck){0};
    if (r == 0 && report.refusal) {
        peer_check_sentence(report.refusal, reason);
        r = report.refusal->error;
    } else if (r == 0) {
        *ret = steal_pointer(report.key);
    }
    peer_report_deinit(&report);
    for (size_t i = 0; i < presentation->count; i++)
        OPENSSL_free(ders[i]);
    return r;
}

void assert_refused(const Presentation *presentation, int expected, const char *why)
{
    Reason reason = {0};
    EVP_PKEY *key = NULL;
    const int r = judge(presentation, &key, &reason);

    assert_null(key);
    if (r != expected || !strstr(reason.text, why))
        fail_msg("expected %d with '%s', got %d with '%s'", expected, why, r, reason.text);
}

void assert_accepted(const Presentation *presentation, const Pki *leaf)
{
    Reason reason = {0};
    EVP_PKEY *key = NULL;

    if (judge(presentation, &key, &reason) != 0)
        fail_msg("%s", reason.text);
    assert_int_equal(EVP_PKEY_eq(key, leaf->key), 1);
    EVP_PKEY_free(key);
}

void assert_leaf_refused(const PkiSpec *spec, const Pki *issuer, int expected, const char *why)
{
    Pki leaf = pki_issue(spec, issuer);
    const Presentation presentation = {.sent = {&leaf}, .count = 1};

    assert_refused(&presentation, expected, why);
    pki_deinit(&leaf);
}
