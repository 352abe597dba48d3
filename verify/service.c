/* Takes in profile, anchors and CRLs, reads the device's chain, and judges peers. */
#include "verify/service.h"

#include "base/file.h"
#include "base/reason.h"
#include "crypto/memory.h"
#include "crypto/openssl.h"
#include "crypto/spki.h"
#include "verify/certificates.h"
#include "verify/crls.h"

#include <errno.h>
#include <openssl/err.h>
#include <string.h>

enum { PROFILE_FILE_SIZE_MAX = 64 * 1024 };

int service_init(Service *service)
{
    *service = (Service){0};
    return crl_store_init(&service->crls);
}

static void chain_free(Service *service)
{
    for (size_t i = 0; i < FRAME_CHAIN_MAX; i++) {
        union {
            const uint8_t *read;
            void *base;
        } der = {.read = service->chain_der[i].data};

        OPENSSL_free(der.base);
        service->chain_der[i] = (Bytes){0};
    }
}

void service_deinit(Service *service)
{
    anchor_store_unref(service->anchors);
    crl_store_deinit(&service->crls);
    chain_free(service);
    peer_seen_deinit(&service->seen);
}

/* What was handed over as a descriptor; -errno with a reason. */
static int content_read(const VerifyRequest *request, int fd, size_t limit, uint8_t **ret,
                        size_t *ret_size, Reason *reason)
{
    int r = fd < 0 ? -EBADF : file_read_descriptor(fd, limit, ret, ret_size);

    if (r == -EFBIG) {
        reason_set(reason, 0, "%.300s is larger than %zu octets", request->name, limit);
    } else if (r < 0) {
        reason_set(reason, 0, "%.300s can't be read: %s", request->name, strerror(-r));
    }
    return r;
}

static int profile_take(Service *service, const VerifyRequest *request, int fd, Reason *reason)
{
    _cleanup_(free_bytesp) uint8_t *data = NULL;
    size_t size = 0;
    int r = 0;

    if (fd < 0) {
        service->profile = peer_profile_3gpp();
    } else {
        r = content_read(request, fd, PROFILE_FILE_SIZE_MAX, &data, &size, reason);
        if (r == 0)
            r = peer_profile_parse(request->name, (Bytes){data, size}, &service->profile, reason);
    }
    service->has_profile = r == 0;
    return r;
}

/* What tred knows them by. */
static int anchors_tell(const AnchorStore *anchors, AnchorFacts *ret)
{
    _Static_assert((int)ANCHORS_MAX == (int)FRAME_HASHES_MAX &&
                       (int)ANCHOR_HASH_SIZE == (int)FRAME_HASH_SIZE &&
                       (int)ANCHOR_FINGERPRINT_SIZE == (int)VERIFY_FINGERPRINT_SIZE,
                   "every anchor's hash has its place");
    ret->n_certificates = (size_t)sk_X509_num(anchors->certificates);
    ret->n_hashes = anchors->count;
    memcpy(ret->hashes, anchors->hashes, sizeof(ret->hashes));
    for (size_t i = 0; i < ret->n_certificates; i++) {
        ret->certificates[i].hash = anchors->hash_of[i];
        if (X509_digest(sk_X509_value(anchors->certificates, (int)i), EVP_sha256(),
                        ret->certificates[i].fingerprint, NULL) != 1)
            return -EIO;
    }
    return 0;
}

/* Once they are told, and not before: tred and this process know the same, or those of before. */
static int anchors_take(Service *service, const VerifyRequest *request, int fd, VerifyAnswer *ret)
{
    _cleanup_(anchor_store_unrefp) AnchorStore *anchors = NULL;
    _cleanup_(free_bytesp) uint8_t *data = NULL;
    size_t size = 0;

    int r = content_read(request, fd, ANCHORS_FILE_SIZE_MAX, &data, &size, &ret->reason);
    if (r == 0)
        r = anchor_store_decode((Bytes){data, size}, request->name, &anchors, &ret->reason);
    if (r < 0 || !anchors)
        return r;
    r = anchors_tell(anchors, &ret->anchors);
    if (r < 0)
        return r;
    if (memory_ran_out())
        return -ENOMEM;
    anchor_store_unref(service->anchors);
    service->anchors = steal_pointer(anchors);
    return 0;
}

static int crl_take(Service *service, const VerifyRequest *request, int fd, Reason *reason)
{
    _cleanup_(free_bytesp) uint8_t *data = NULL;
    const int n_crls = sk_X509_CRL_num(service->crls.crls);
    size_t size = 0;

    if (service->n_crl_files == FRAME_CRL_FILES_MAX)
        return -E2BIG;
    ServiceCrls *place = &service->crl_files[service->n_crl_files++];
    int r = content_read(request, fd, CRL_FILE_SIZE_MAX, &data, &size, reason);
    if (r == 0)
        r = crl_store_decode(&service->crls, (Bytes){data, size}, request->name, reason);
    *place = (ServiceCrls){n_crls, sk_X509_CRL_num(service->crls.crls) - n_crls};
    return r;
}

static CrlSigners signers_of(const Service *service)
{
    return (CrlSigners){service->anchors, &service->crls, &service->seen};
}

/* Told with the first verdict, and with the first on a SeGW that is taken: its intermediates are
 * known then, and may have signed lists. */
static void obsolete_find(Service *service, time_t now, bool is_taken, ObsoleteFiles *ret)
{
    const CrlSigners signers = signers_of(service);
    const time_t latest = now + (time_t)service->profile.skew_seconds;

    if (is_taken ? service->has_told_with_seen : service->has_told_obsolete)
        return;
    service->has_told_obsolete = true;
    service->has_told_with_seen = is_taken;
    for (size_t i = 0; i < service->n_crl_files; i++) {
        const ServiceCrls *file = &service->crl_files[i];

        if (crl_lists_are_obsolete(&signers, file->first, file->count, latest))
            ret->numbers[ret->count++] = (uint16_t)i;
    }
}

/* A date that does not parse ends what it is about at once. */
static time_t asn1_time(const ASN1_TIME *date)
{
    time_t time;

    return date_read(date, &time) && time > 0 ? time : 1;
}

static int chain_tell(Service *service, const STACK_OF(X509) *chain, ChainFacts *ret)
{
    const X509 *own = sk_X509_value(chain, 0);
    size_t total = 0;

    ret->not_before = asn1_time(X509_get0_notBefore(own));
    ret->not_after = asn1_time(X509_get0_notAfter(own));
    for (int i = 0; i < sk_X509_num(chain); i++) {
        const time_t ends = asn1_time(X509_get0_notAfter(sk_X509_value(chain, i)));
        unsigned char *der = NULL;
        int size;

        if (i == FRAME_CHAIN_MAX)
            return -E2BIG;
        size = i2d_X509(sk_X509_value(chain, i), &der);
        if (size <= 0)
            return -ENOMEM;
        service->chain_der[i] = (Bytes){der, (size_t)size};
        total += (size_t)size;
        ret->certificates[ret->n_certificates++] = service->chain_der[i];
        if (ret->expires == 0 || ends < ret->expires)
            ret->expires = ends;
    }
    return total > PEER_EVIDENCE_SIZE_MAX ? -E2BIG : 0;
}

/* -ENOKEY: none of the certificates is for the key; -ENOENT: it has no FQDN; -E2BIG: a longer chain
 * than fits an answer. */
static int chain_read(Service *service, const VerifyRequest *request, int fd, VerifyAnswer *ret)
{
    _cleanup_(certificates_freep) STACK_OF(X509) *certificates = NULL, *chain = NULL;
    _cleanup_(EVP_PKEY_freep) EVP_PKEY *key = NULL;
    _cleanup_(free_bytesp) uint8_t *data = NULL;
    size_t size = 0;

    chain_free(service);
    int r = content_read(request, fd, ANCHORS_FILE_SIZE_MAX, &data, &size, &ret->reason);
    if (r == 0)
        r = certificates_decode((Bytes){data, size}, request->name, &certificates, &ret->reason);
    if (r < 0)
        return r;
    r = spki_decode(request->public_key, &key);
    if (r < 0)
        return r;
    r = certificates_order(certificates, key, &chain);
    if (r < 0)
        return r;
    r = certificate_fqdn(sk_X509_value(chain, 0), ret->chain.fqdn);
    return r < 0 ? r : chain_tell(service, chain, &ret->chain);
}

static int peer_verify(Service *service, const VerifyRequest *request, Verdict *ret)
{
    _cleanup_(anchor_store_unrefp) AnchorStore *anchors = NULL;

    if (!service->complete)
        return -EPROTO;
    int r = anchor_store_choose(service->anchors, request->anchors.fingerprints,
                                request->anchors.count, &anchors);
    if (r < 0)
        return r;
    const PeerPolicy policy = {
        .anchors = anchors,
        .profile = &service->profile,
        .crls = &service->crls,
        .revocation = request->revocation,
        .seen = &service->seen,
        .segw_name = request->segw_name,
    };
    const PeerEvidence evidence = {
        .certificates = request->certificates,
        .n_certificates = request->n_certificates,
        .ocsp = request->ocsp,
        .n_ocsp = request->n_ocsp,
        .has_idr = true,
        .idr_type = request->idr_type,
        .idr = request->idr,
        .now = request->now,
        .path = request->path,
    };
    PeerReport report;

    r = peer_judge(&policy, &evidence, &report);
    if (r == 0)
        r = peer_verdict(&report, &policy, ret);
    peer_report_deinit(&report);
    return r;
}

static int complete(Service *service, CrlsFacts *ret)
{
    const CrlSigners signers = signers_of(service);

    if (!service->has_profile || !service->anchors)
        return -EPROTO;
    crl_facts_find(&signers, ret);
    service->complete = true;
    return 0;
}

void service_answer(Service *service, const VerifyRequest *request, int fd, VerifyAnswer *ret)
{
    *ret = (VerifyAnswer){.type = request->type};
    memory_watch_begin();
    switch (request->type) {
    case FRAME_PROFILE:
        ret->error = profile_take(service, request, fd, &ret->reason);
        break;
    case FRAME_ANCHORS:
        ret->error = anchors_take(service, request, fd, ret);
        break;
    case FRAME_CRL:
        ret->error = crl_take(service, request, fd, &ret->reason);
        break;
    case FRAME_COMPLETE:
        ret->error = complete(service, &ret->crls);
        break;
    case FRAME_CHAIN:
        ret->error = chain_read(service, request, fd, ret);
        break;
    case FRAME_PEER:
        ret->error = peer_verify(service, request, &ret->verdict);
        if (ret->error == 0)
            obsolete_find(service, request->now, ret->verdict.taken, &ret->obsolete);
        break;
    case FRAME_TYPES:
        ret->error = -EPROTO;
    }
    /* Whatever was found then, it may have been found for want of memory. That is no reason that
     * has to do with what was handed over: tred would leave it out until it changes. */
    if (memory_ran_out())
        ret->error = -ENOMEM;
    if (ret->error == -ENOMEM)
        ret->reason = (Reason){0};
    ERR_clear_error();
}
