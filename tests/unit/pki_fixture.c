/* How does a test get certificates with just the flaw that it is about? */
#include "pki_fixture.h"

#include <openssl/conf.h>
#include <openssl/err.h>
#include <openssl/ocsp.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void must(int good, const char *what)
{
    if (good)
        return;
    (void)fprintf(stderr, "pki fixture: %s failed\n", what);
    ERR_print_errors_fp(stderr);
    abort();
}

static EVP_PKEY *key_new(const char *type)
{
    EVP_PKEY *key;

    if (!type)
        type = "P-256";
    if (strncmp(type, "RSA-", 4) == 0) {
        key = EVP_RSA_gen((unsigned)strtoul(type + 4, NULL, 10));
    } else if (strcmp(type, "ED25519") == 0) {
        key = EVP_PKEY_Q_keygen(NULL, NULL, type);
    } else {
        key = EVP_EC_gen(type);
    }
    must(key != NULL, type);
    return key;
}

static void extension_add(X509 *certificate, const Pki *issuer, const PkiSpec *spec, int nid,
                          const char *value)
{
    CONF *sections = NCONF_new(NULL);
    X509_EXTENSION *extension;
    X509V3_CTX context;

    if (value && spec->sections) {
        BIO *bio = BIO_new_mem_buf(spec->sections, -1);
        must(sections && bio && NCONF_load_bio(sections, bio, NULL) == 1, spec->sections);
        BIO_free(bio);
    }
    if (value) {
        X509V3_set_ctx(&context, issuer->certificate, certificate, NULL, NULL, 0);
        X509V3_set_nconf(&context, sections);
        extension = X509V3_EXT_nconf_nid(sections, &context, nid, value);
        must(extension && X509_add_ext(certificate, extension, -1) == 1, value);
        X509_EXTENSION_free(extension);
    }
    NCONF_free(sections);
}

static void name_set(X509_NAME *name, const char *common_name)
{
    must(X509_NAME_add_entry_by_txt(name, "O", MBSTRING_UTF8, (const unsigned char *)"Test", -1, -1,
                                    0),
         "O");
    must(X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, (const unsigned char *)common_name,
                                    -1, -1, 0),
         "CN");
}

Pki pki_issue(const PkiSpec *spec, const Pki *issuer)
{
    static long serial = 1;
    const EVP_MD *digest = EVP_get_digestbyname(spec->digest ? spec->digest : "SHA256");
    Pki pki = {.certificate = X509_new()};
    X509 *certificate = pki.certificate;

    if (spec->public_key) {
        must(EVP_PKEY_up_ref(spec->public_key), "key");
        pki.key = spec->public_key;
    } else {
        pki.key = key_new(spec->key);
    }
    if (!issuer)
        issuer = &pki;
    must(certificate != NULL && X509_set_version(certificate, X509_VERSION_3), "version");
    must(ASN1_INTEGER_set(X509_get_serialNumber(certificate), serial++), "serial");
    name_set(X509_get_subject_name(certificate), spec->common_name);
    must(X509_set_issuer_name(certificate, X509_get_subject_name(issuer->certificate)), "issuer");
    must(X509_gmtime_adj(X509_getm_notBefore(certificate),
                         spec->valid_from ? spec->valid_from : -PKI_DAY) != NULL,
         "notBefore");
    must(X509_gmtime_adj(X509_getm_notAfter(certificate),
                         spec->valid_until ? spec->valid_until : PKI_DAY) != NULL,
         "notAfter");
    must(X509_set_pubkey(certificate, pki.key), "public key");
    extension_add(certificate, issuer, spec, NID_subject_key_identifier, "hash");
    if (issuer != &pki)
        extension_add(certificate, issuer, spec, NID_authority_key_identifier, "keyid:always");
    extension_add(certificate, issuer, spec, NID_basic_constraints, spec->basic_constraints);
    extension_add(certificate, issuer, spec, NID_key_usage, spec->key_usage);
    extension_add(certificate, issuer, spec, NID_ext_key_usage, spec->extended_usage);
    extension_add(certificate, issuer, spec, NID_subject_alt_name, spec->subject_alt_name);
    if (EVP_PKEY_is_a(issuer->key, "ED25519"))
        digest = NULL;
    must(X509_sign(certificate, issuer->key, digest) > 0, "signature");
    return pki;
}

void pki_deinit(Pki *pki)
{
    EVP_PKEY_free(pki->key);
    X509_free(pki->certificate);
    *pki = (Pki){0};
}

Pki pki_root(const char *common_name)
{
    const PkiSpec spec = {
        .common_name = common_name,
        .basic_constraints = "critical,CA:TRUE",
        .key_usage = "critical,keyCertSign,cRLSign",
    };

    return pki_issue(&spec, NULL);
}

Pki pki_intermediate(const char *common_name, const Pki *issuer)
{
    const PkiSpec spec = {
        .common_name = common_name,
        .basic_constraints = "critical,CA:TRUE",
        .key_usage = "critical,keyCertSign,cRLSign",
    };

    return pki_issue(&spec, issuer);
}

/* A SeGW's certificate as TS 33.310 6.1.3 wants it. */
PkiSpec pki_segw_spec(const char *fqdn)
{
    static char subject_alt_name[300];

    (void)snprintf(subject_alt_name, sizeof(subject_alt_name), "DNS:%s", fqdn);
    return (PkiSpec){
        .common_name = "SeGW",
        .subject_alt_name = subject_alt_name,
        .key_usage = "critical,digitalSignature",
    };
}

X509_CRL *pki_crl(const Pki *issuer, const X509 *revoked, long this_update, long next_update)
{
    X509_CRL *crl = X509_CRL_new();
    ASN1_TIME *date = ASN1_TIME_new();

    must(crl && date && X509_CRL_set_version(crl, X509_CRL_VERSION_2), "CRL");
    must(X509_CRL_set_issuer_name(crl, X509_get_subject_name(issuer->certificate)), "issuer");
    must(X509_gmtime_adj(date, this_update) && X509_CRL_set1_lastUpdate(crl, date), "thisUpdate");
    must(X509_gmtime_adj(date, next_update) && X509_CRL_set1_nextUpdate(crl, date), "nextUpdate");
    if (revoked) {
        X509_REVOKED *entry = X509_REVOKED_new();
        ASN1_INTEGER *serial = ASN1_INTEGER_dup(X509_get0_serialNumber(revoked));

        must(entry && serial && X509_REVOKED_set_serialNumber(entry, serial), "serial");
        must(X509_gmtime_adj(date, -PKI_HOUR) && X509_REVOKED_set_revocationDate(entry, date),
             "revocationDate");
        must(X509_CRL_add0_revoked(crl, entry), "entry");
        ASN1_INTEGER_free(serial);
    }
    must(X509_CRL_sort(crl) && X509_CRL_sign(crl, issuer->key, EVP_sha256()) > 0, "signature");
    ASN1_TIME_free(date);
    return crl;
}

unsigned char *pki_ocsp(const Pki *issuer, const X509 *certificate, int is_revoked,
                        size_t *ret_size)
{
    OCSP_BASICRESP *basic = OCSP_BASICRESP_new();
    OCSP_CERTID *id = OCSP_cert_to_id(EVP_sha1(), certificate, issuer->certificate);
    ASN1_TIME *now = X509_gmtime_adj(NULL, 0), *then = X509_gmtime_adj(NULL, PKI_HOUR);
    OCSP_RESPONSE *response;
    unsigned char *der = NULL;
    int size;

    must(basic && id && now && then, "OCSP");
    must(OCSP_basic_add1_status(
             basic, id, is_revoked ? V_OCSP_CERTSTATUS_REVOKED : V_OCSP_CERTSTATUS_GOOD,
             OCSP_REVOKED_STATUS_NOSTATUS, is_revoked ? now : NULL, now, then) != NULL,
         "status");
    must(OCSP_basic_sign(basic, issuer->certificate, issuer->key, EVP_sha256(), NULL,
                         OCSP_NOCERTS) == 1,
         "signature");
    response = OCSP_response_create(OCSP_RESPONSE_STATUS_SUCCESSFUL, basic);
    size = response ? i2d_OCSP_RESPONSE(response, &der) : -1;
    must(size > 0, "encoding");
    OCSP_RESPONSE_free(response);
    OCSP_BASICRESP_free(basic);
    OCSP_CERTID_free(id);
    ASN1_TIME_free(now);
    ASN1_TIME_free(then);
    *ret_size = (size_t)size;
    return der;
}
