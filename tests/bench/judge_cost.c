/* How much CPU does one judgement of a SeGW take? Prints the median of many, in microseconds:
 *
 *     judge_cost ANCHORS CERTIFICATES CRL|- [OCSP…] */
#include "base/cleanup.h"
#include "base/file.h"
#include "verify/certificates.h"
#include "verify/peer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { RUNS = 21, SHOWN_MAX = 32, NSEC_PER_USEC = 1000, USEC_PER_SEC = 1000000 };

static long cpu_microseconds(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return now.tv_sec * USEC_PER_SEC + now.tv_nsec / NSEC_PER_USEC;
}

static int compare(const void *a, const void *b)
{
    const long x = *(const long *)a, y = *(const long *)b;

    return (x > y) - (x < y);
}

static int judge_once(const PeerPolicy *policy, const PeerEvidence *evidence, long *ret,
                      const char **ret_refusal)
{
    static char name[64];
    const long before = cpu_microseconds();
    PeerReport report;

    if (peer_judge(policy, evidence, &report) < 0)
        return -1;
    *ret = cpu_microseconds() - before;
    (void)snprintf(name, sizeof(name), "%s", report.refusal ? report.refusal->name : "accepted");
    *ret_refusal = name;
    peer_report_deinit(&report);
    return 0;
}

static int measure(const PeerPolicy *policy, const PeerEvidence *evidence)
{
    const char *refusal = "";
    long times[RUNS];

    for (size_t i = 0; i < RUNS; i++) {
        if (judge_once(policy, evidence, &times[i], &refusal) < 0)
            return 2;
    }
    qsort(times, RUNS, sizeof(times[0]), compare);
    (void)printf("%ld %s\n", times[RUNS / 2], refusal);
    return 0;
}

static size_t certificates_encode(const STACK_OF(X509) *certificates, Bytes *ret)
{
    size_t count = 0;

    for (; count < (size_t)sk_X509_num(certificates) && count < SHOWN_MAX; count++) {
        unsigned char *der = NULL;
        const int size = i2d_X509(sk_X509_value(certificates, (int)count), &der);

        ret[count] = (Bytes){der, size > 0 ? (size_t)size : 0};
    }
    return count;
}

int main(int argc, char **argv)
{
    _cleanup_(certificates_freep) STACK_OF(X509) *shown = NULL;
    _cleanup_(anchor_store_unrefp) AnchorStore *anchors = NULL;
    const PeerProfile profile = peer_profile_3gpp();
    char error[1024] = "";
    Bytes certificates[SHOWN_MAX], ocsp[SHOWN_MAX];
    PeerEvidence evidence = {.certificates = certificates, .ocsp = ocsp, .now = time(NULL)};
    PeerPolicy policy = {.profile = &profile, .revocation = REVOCATION_IF_AVAILABLE};
    CrlStore crls;

    if (argc < 4 || crl_store_init(&crls) < 0 || anchor_store_read(argv[1], &anchors, error) < 0 ||
        certificates_read(argv[2], &shown, error) < 0 ||
        (strcmp(argv[3], "-") != 0 && crl_store_read(&crls, argv[3], error) < 0)) {
        (void)fprintf(stderr, "judge_cost ANCHORS CERTIFICATES CRL|- [OCSP…]: %s\n", error);
        return 2;
    }
    policy.anchors = anchors;
    policy.crls = &crls;
    evidence.n_certificates = certificates_encode(shown, certificates);
    for (int i = 4; i < argc && evidence.n_ocsp < SHOWN_MAX; i++) {
        uint8_t *der = NULL;
        size_t size = 0;

        if (file_read(argv[i], PEER_EVIDENCE_SIZE_MAX, &der, &size) < 0)
            return 2;
        ocsp[evidence.n_ocsp++] = (Bytes){der, size};
    }
    return measure(&policy, &evidence);
}
