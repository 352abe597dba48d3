/* Writes the messages of the proof as JSON. */
#include "provisioning/proofjson.h"

#include "crypto/openssl.h"
#include "policy/encoding.h"
#include "provisioning/json.h"

#include <errno.h>
#include <string.h>
#include <tss2/tss2_mu.h>

static bool add_string(struct json_object *object, const char *name, const char *text)
{
    struct json_object *string = json_object_new_string(text);

    return string && json_object_object_add(object, name, string) == 0;
}

static bool add_octets(struct json_object *object, const char *name, Bytes octets)
{
    _cleanup_(free_charp) char *text = NULL;

    return base64_encode(octets, &text) == 0 && add_string(object, name, text);
}

static bool add_digest(struct json_object *object, const char *name, const ProofDigest *digest)
{
    char text[2 * PROOF_DIGEST_SIZE + 1];

    hex_encode(BYTES_OF(digest->octets), text);
    return add_string(object, name, text);
}

static bool add_public(struct json_object *object, const char *name, const TPM2B_PUBLIC *public)
{
    uint8_t octets[sizeof(TPM2B_PUBLIC)];
    size_t size = 0;

    return Tss2_MU_TPM2B_PUBLIC_Marshal(public, octets, sizeof(octets), &size) == TSS2_RC_SUCCESS &&
           add_octets(object, name, (Bytes){octets, size});
}

static bool add_certificate(struct json_object *object, const char *name, const X509 *certificate)
{
    _cleanup_(openssl_free_bytesp) unsigned char *der = NULL;
    const int size = i2d_X509(certificate, &der);

    return size > 0 && add_octets(object, name, (Bytes){der, (size_t)size});
}

static bool add_csr(struct json_object *object, const char *name, const X509_REQ *csr)
{
    _cleanup_(openssl_free_bytesp) unsigned char *der = NULL;
    const int size = i2d_X509_REQ(csr, &der);

    return size > 0 && add_octets(object, name, (Bytes){der, (size_t)size});
}

static struct json_object *message_new(const char *type)
{
    struct json_object *root = json_object_new_object();
    struct json_object *version = json_object_new_int(PROOF_JSON_VERSION);

    if (root && version && add_string(root, "type", type) &&
        json_object_object_add(root, "version", version) == 0)
        return root;
    (void)json_object_put(root);
    return NULL;
}

static int message_print(struct json_object *root, bool good, char **ret)
{
    const char *text = root && good
                           ? json_object_to_json_string_ext(
                                 root, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_NOSLASHESCAPE)
                           : NULL;

    if (!text || asprintf(ret, "%s\n", text) < 0) {
        *ret = NULL;
        return -ENOMEM;
    }
    return 0;
}

int proof_request_encode(const ProofRequest *request, char **ret)
{
    _cleanup_(json_freep) struct json_object *root = message_new(PROOF_TYPE_REQUEST);

    return message_print(root,
                         root && add_string(root, "fqdn", request->fqdn) &&
                             add_string(root, "serial", request->serial) &&
                             add_certificate(root, "ek_certificate", request->ek_certificate) &&
                             add_public(root, "ek_public", &request->ek_public) &&
                             add_public(root, "device_public", &request->device_public) &&
                             add_csr(root, "csr", request->csr),
                         ret);
}

int proof_challenge_encode(const ProofChallenge *challenge, char **ret)
{
    _cleanup_(json_freep) struct json_object *root = message_new(PROOF_TYPE_CHALLENGE);
    const TPM2B_ID_OBJECT *blob = &challenge->credential.blob;
    const TPM2B_ENCRYPTED_SECRET *secret = &challenge->credential.secret;

    return message_print(
        root,
        root && add_digest(root, "request", &challenge->request) &&
            add_octets(root, "credential_blob", (Bytes){blob->credential, blob->size}) &&
            add_octets(root, "secret", (Bytes){secret->secret, secret->size}),
        ret);
}

int proof_pending_encode(const ProofPending *pending, char **ret)
{
    _cleanup_(json_freep) struct json_object *root = message_new(PROOF_TYPE_PENDING);

    return message_print(root,
                         root && add_digest(root, "request", &pending->request) &&
                             add_digest(root, "secret_sha256", &pending->secret),
                         ret);
}

int proof_response_encode(const ProofResponse *response, char **ret)
{
    _cleanup_(json_freep) struct json_object *root = message_new(PROOF_TYPE_RESPONSE);

    return message_print(root,
                         root && add_digest(root, "request", &response->request) &&
                             add_octets(root, "secret", secret_bytes(response->secret)),
                         ret);
}
