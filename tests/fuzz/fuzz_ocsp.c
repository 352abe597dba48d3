/* Can an OCSP response make its reader misbehave, or be believed without a signature? The question
 * is about a certificate that the seeds' CertIDs name, of a CA whose private key nobody has any
 * more: the seeds say "good" and "revoked" in its name, with a forged signature. */
#include "verify/ocsp.h"

#include <openssl/pem.h>
#include <stdlib.h>

enum { NOW = 1795480000, SIGNATURES = 8 }; /* NOW: while the seeds are of today */

static const char AUTHORITY[] = "-----BEGIN CERTIFICATE-----\n"
                                "MIIBoTCCAUegAwIBAgIUdSgCi9TeEYCAQ06nTPzMm9ZXcVIwCgYIKoZIzj0EAwIw\n"
                                "HjEPMA0GA1UECgwGTWF0cml4MQswCQYDVQQDDAJDQTAeFw0yNjExMjEwMDI2NDBa\n"
                                "Fw00NjExMTkwMDI2NDBaMB4xDzANBgNVBAoMBk1hdHJpeDELMAkGA1UEAwwCQ0Ew\n"
                                "WTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAARHJ1WWPRrLUvLe9MIgZA5PH1H/E8dZ\n"
                                "GbHbrT0RJ+9UXIWwlqu/GucIPc1N3WMK8kboWzLIZC86wyhx98/4d51To2MwYTAd\n"
                                "BgNVHQ4EFgQU+oFWtTC5An7vBQlZqUkZsul4zVcwHwYDVR0jBBgwFoAU+oFWtTC5\n"
                                "An7vBQlZqUkZsul4zVcwDwYDVR0TAQH/BAUwAwEB/zAOBgNVHQ8BAf8EBAMCAQYw\n"
                                "CgYIKoZIzj0EAwIDSAAwRQIgMIJAXWQB/DWNLlONoThQ5TTGRQ5/N9AeRTSLiBRE\n"
                                "z+MCIQD9CK1p/HaidW/TBl5ky56k7M+7klOz8WBlwvL0/hf0JQ==\n"
                                "-----END CERTIFICATE-----\n";

static const char CERTIFICATE[] =
    "-----BEGIN CERTIFICATE-----\n"
    "MIIBxDCCAWqgAwIBAgIUHLoRDgum7RGloBXhWKlZT9YSf4wwCgYIKoZIzj0EAwIw\n"
    "HjEPMA0GA1UECgwGTWF0cml4MQswCQYDVQQDDAJDQTAeFw0yNjExMjEwMDI2NDBa\n"
    "Fw00NjExMTkwMDI2NDBaMCAxDzANBgNVBAoMBk1hdHJpeDENMAsGA1UEAwwEU2VH\n"
    "VzBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABM+dVt0eFEP80iaIg+jfHvwGSlDZ\n"
    "P1CvbP4HY8B8yvkdAYfz27TRmnKQCHmDaNSrjHRoicyIGrFTO5j8vnWi3cSjgYMw\n"
    "gYAwHQYDVR0OBBYEFAeHeAZycBUYYHi4jyASG42l6SGpMB8GA1UdIwQYMBaAFPqB\n"
    "VrUwuQJ+7wUJWalJGbLpeM1XMAwGA1UdEwEB/wQCMAAwDgYDVR0PAQH/BAQDAgeA\n"
    "MCAGA1UdEQQZMBeCFXNlZ3cub3BlcmF0b3IuZXhhbXBsZTAKBggqhkjOPQQDAgNI\n"
    "ADBFAiEA72v6Qbj/0q7GGjV/qsj8TjybjZVgwURGeSnq9JjMAmMCIHdDi9yjRc+L\n"
    "kWdsjVr+3U4S4PDFnTLhMZI0sDRIONGm\n"
    "-----END CERTIFICATE-----\n";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static X509 *certificate_read(const char *pem)
{
    BIO *bio = BIO_new_mem_buf(pem, -1);
    X509 *certificate = PEM_read_bio_X509(bio, NULL, NULL, NULL);

    if (!certificate)
        abort();
    BIO_free_all(bio);
    return certificate;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static X509 *authority, *certificate;
    const PeerProfile profile = peer_profile_3gpp();
    Reason detail = {0};
    unsigned signatures = SIGNATURES;
    OCSP_BASICRESP *response;
    OcspWord word;

    if (!authority) {
        authority = certificate_read(AUTHORITY);
        certificate = certificate_read(CERTIFICATE);
    }
    response = ocsp_decode((Bytes){data, size}, &detail);
    if (!response) {
        if (detail.text[0] == '\0')
            abort();
        return 0;
    }
    word = ocsp_answer(response,
                       &(OcspQuestion){.certificate = certificate,
                                       .issuer = authority,
                                       .profile = &profile,
                                       .now = NOW,
                                       .signatures_left = &signatures},
                       &detail);
    if (word == OCSP_GOOD || word == OCSP_REVOKED || signatures > SIGNATURES)
        abort();
    OCSP_BASICRESP_free(response);
    return 0;
}
