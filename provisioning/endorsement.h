/* The endorsement key (EK) of this TPM and its vendor's certificate for it: what tells one TPM from
 * another (TCG EK Credential Profile). */
#pragma once

#include "base/bytes.h"
#include "base/reason.h"
#include "tpm/tpm.h"

#include <openssl/x509.h>

/* The templates of the low range (TCG EK Credential Profile, B.3.3 and B.3.4). */
typedef enum EndorsementTemplate {
    ENDORSEMENT_ECC_P256, /* L-2 */
    ENDORSEMENT_RSA_2048, /* L-1 */
    ENDORSEMENT_TEMPLATES
} EndorsementTemplate;

typedef struct Endorsement {
    Tpm *tpm;
    TpmObject object; /* the one transient slot that the EK takes */
    EndorsementTemplate template;
    TPM2B_PUBLIC public;
    X509 *certificate;
} Endorsement;

/* Reads the EK certificate from NV (ECC P-256's at 0x01c0000a if there is one, else RSA-2048's at
 * 0x01c00002), makes the EK from the template, and checks that the two are one. The EK takes a slot
 * until endorsement_free(); `tpm` must outlive it. Returns 0, -ENOENT if the TPM holds neither
 * certificate, -EINVAL for one that can't be read, -EKEYREJECTED for one that is for another key,
 * -ENOMEM, or -EIO, with `reason` filled. */
int endorsement_open(Tpm *tpm, Endorsement **ret, Reason *reason);
void endorsement_free(Endorsement *endorsement);
DEFINE_POINTER_CLEANUP(Endorsement, endorsement_free);

/* The EK alone, made from the template, whatever certificate there is. *ret is for
 * tpm_object_release(). 0 or -EIO (reason filled). */
int endorsement_key_make(Tpm *tpm, EndorsementTemplate template, TpmObject *ret,
                         TPM2B_PUBLIC *ret_public, Reason *reason);

/* Reads the EK certificate alone, without making the EK: who needs to know that they are one opens
 * both. *ret is the caller's to X509_free(). Returns as endorsement_open() does. */
int endorsement_certificate_read(Tpm *tpm, X509 **ret, Reason *reason);

/* Without a TPM: which template is this public area made from, all but `unique` being equal to it?
 * 0, or -EINVAL if it is none of them: then the key is not one that a TPM vendor vouches for. */
int endorsement_template_of(const TPM2B_PUBLIC *public, EndorsementTemplate *ret);

/* ---- judges whether an EK certificate is a TPM vendor's and for this EK. The authority asks; no
 * TPM is needed ---- */

enum { ENDORSEMENT_CERTIFICATE_MAX = 4096 }; /* octets of DER */

/* One DER certificate with nothing after it. *ret is the caller's to X509_free(). 0, -EINVAL for
 * other octets or more than ENDORSEMENT_CERTIFICATE_MAX, or -ENOMEM. */
int endorsement_certificate_decode(Bytes der, X509 **ret);

/* True if `certificate` is for the key in `public`. */
bool endorsement_certificate_fits(const X509 *certificate, const TPM2B_PUBLIC *public);

/* Judges the certificate of an EK: for that key, an EK's by its extensions (TCG EK Credential
 * Profile 3.2), valid now, and with a chain to one of `anchors`: the self-signed ones of them are
 * the TPM vendors' roots, the others may stand between. Returns 0, -EKEYREJECTED with `reason`
 * saying what was found and what to do, or -ENOMEM. */
int endorsement_certificate_check(X509 *certificate, const TPM2B_PUBLIC *public,
                                  const STACK_OF(X509) *anchors, Reason *reason);
