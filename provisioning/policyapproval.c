/* Approves of policies with a private key, the vendor's or the operator's. */
#include "provisioning/policyapproval.h"

#include "crypto/openssl.h"

#include <errno.h>
#include <openssl/err.h>
#include <string.h>

int policy_key_approve(const PolicyKey *key, const PolicyDigest *approved, Bytes policy_ref,
                       uint8_t *ret, size_t *ret_size)
{
    _cleanup_(EVP_MD_CTX_freep) EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    uint8_t buffer[POLICY_APPROVAL_MESSAGE_MAX];
    Bytes message;

    *ret_size = POLICY_SIGNATURE_MAX;
    if (policy_approval_message(approved, policy_ref, buffer, &message) < 0)
        return -EINVAL;
    if (!ctx || EVP_DigestSignInit_ex(ctx, NULL, "SHA256", NULL, NULL, key->pkey, NULL) != 1 ||
        EVP_DigestSign(ctx, ret, ret_size, message.data, message.size) != 1) {
        ERR_clear_error();
        return -EIO;
    }
    return 0;
}

int anchor_guard_approve(const PolicyKey *operator_key, AnchorWrite write,
                         const AnchorRecord *record, AnchorSignature *ret)
{
    PolicyDigest policy;
    int r = anchor_guard_policy(operator_key, write, record, &policy);

    return r < 0 ? r
                 : policy_key_approve(
                       operator_key, &policy,
                       (Bytes){(const uint8_t *)ANCHOR_POLICY_REF, strlen(ANCHOR_POLICY_REF)},
                       ret->octets, &ret->size);
}
