/* The messages of the proof as JSON: writes them, reads them, and takes nothing else for one. */
#include "provisioning/proofjson.h"

#include "crypto/openssl.h"
#include "policy/encoding.h"
#include "provisioning/endorsement.h"
#include "provisioning/json.h"

#include <errno.h>
#include <openssl/err.h>
#include <stdio.h>
#include <string.h>
#include <tss2/tss2_mu.h>

static bool add_octets(struct json_object *object, const char *name, Bytes octets)
{
    _cleanup_(free_charp) char *text = NULL;

    return base64_encode(octets, &text) == 0 && json_add_string(object, name, text);
}

static bool add_digest(struct json_object *object, const char *name, const ProofDigest *digest)
{
    char text[2 * PROOF_DIGEST_SIZE + 1];

    hex_encode(BYTES_OF(digest->octets), text);
    return json_add_string(object, name, text);
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

    if (root && json_add_string(root, "type", type) &&
        json_add(root, "version", json_object_new_int(PROOF_JSON_VERSION)))
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
                         root && json_add_string(root, "fqdn", request->fqdn) &&
                             json_add_string(root, "serial", request->serial) &&
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

enum { JSON_DEPTH_MAX = 4, CSR_MAX = 8192 };

/* A message being read: its members are counted, so that one too many shows. */
typedef struct Message {
    struct json_object *root;
    int taken;
    Reason *reason;
} Message;

static void message_deinit(Message *message)
{
    (void)json_object_put(message->root);
}

static int message_string(Message *message, const char *name, const char **ret)
{
    struct json_object *member = NULL;
    const char *text;

    if (!json_object_object_get_ex(message->root, name, &member))
        return reason_set(message->reason, -EINVAL, "the member \"%s\" is missing", name);
    text = json_object_is_type(member, json_type_string) ? json_object_get_string(member) : NULL;
    if (!text)
        return reason_set(message->reason, -EINVAL, "\"%s\" is not a string", name);
    if (strlen(text) != (size_t)json_object_get_string_len(member))
        return reason_set(message->reason, -EINVAL, "\"%s\" has a zero octet in it", name);
    *ret = text;
    message->taken++;
    return 0;
}

static int message_begin(Bytes text, const char *type, Message *ret)
{
    struct json_object *version = NULL;
    const char *found = "";
    int r;

    if (text.size > PROOF_JSON_MAX)
        return reason_set(ret->reason, -EINVAL, "it is larger than %d octets", PROOF_JSON_MAX);
    ret->root = json_text_parse(text, PROOF_JSON_MAX, JSON_DEPTH_MAX);
    if (!ret->root)
        return reason_set(ret->reason, -EINVAL, "it is not a JSON object");
    r = message_string(ret, "type", &found);
    if (r < 0)
        return r;
    if (strcmp(found, type) != 0) {
        return reason_set(ret->reason, -EINVAL, "it is a '%.60s', where a '%s' is needed", found,
                          type);
    }
    if (!json_object_object_get_ex(ret->root, "version", &version) ||
        !json_object_is_type(version, json_type_int) ||
        json_object_get_int64(version) != PROOF_JSON_VERSION)
        return reason_set(ret->reason, -EINVAL, "its \"version\" is not %d", PROOF_JSON_VERSION);
    ret->taken++;
    return 0;
}

/* What nobody reads, somebody may have believed in. */
static int message_end(const Message *message)
{
    if (json_object_object_length(message->root) == message->taken)
        return 0;
    return reason_set(message->reason, -EINVAL, "it has a member that does not belong into it");
}

/* 1 to `capacity` octets. */
static int message_octets(Message *message, const char *name, uint8_t *ret, size_t capacity,
                          size_t *ret_size)
{
    const char *text = "";
    int r = message_string(message, name, &text);

    if (r < 0)
        return r;
    if (base64_decode(text, ret, capacity, ret_size) < 0 || *ret_size == 0) {
        return reason_set(message->reason, -EINVAL, "\"%s\" is not base64 of 1 to %zu octets", name,
                          capacity);
    }
    return 0;
}

static int message_digest(Message *message, const char *name, ProofDigest *ret)
{
    const char *text = "";
    int r = message_string(message, name, &text);

    if (r < 0)
        return r;
    if (hex_decode(text, ret->octets, sizeof(ret->octets)) < 0) {
        return reason_set(message->reason, -EINVAL, "\"%s\" is not a SHA-256 digest in hexadecimal",
                          name);
    }
    return 0;
}

static int message_public(Message *message, const char *name, TPM2B_PUBLIC *ret)
{
    uint8_t octets[sizeof(TPM2B_PUBLIC)];
    size_t offset = 0;
    size_t size = 0;
    int r = message_octets(message, name, octets, sizeof(octets), &size);

    if (r < 0)
        return r;
    *ret = (TPM2B_PUBLIC){0};
    if (Tss2_MU_TPM2B_PUBLIC_Unmarshal(octets, size, &offset, ret) != TSS2_RC_SUCCESS ||
        offset != size)
        return reason_set(message->reason, -EINVAL, "\"%s\" is not a TPM2B_PUBLIC", name);
    return 0;
}

static int message_certificate(Message *message, const char *name, X509 **ret)
{
    uint8_t octets[ENDORSEMENT_CERTIFICATE_MAX];
    size_t size = 0;
    int r = message_octets(message, name, octets, sizeof(octets), &size);

    if (r < 0)
        return r;
    r = endorsement_certificate_decode((Bytes){octets, size}, ret);
    return r == -EINVAL
               ? reason_set(message->reason, -EINVAL, "\"%s\" is not an X.509 certificate", name)
               : r;
}

static int message_csr(Message *message, const char *name, X509_REQ **ret)
{
    uint8_t octets[CSR_MAX];
    const unsigned char *position = octets;
    size_t size = 0;
    int r = message_octets(message, name, octets, sizeof(octets), &size);

    if (r < 0)
        return r;
    *ret = d2i_X509_REQ(NULL, &position, (long)size);
    if (*ret && position == octets + size)
        return 0;
    return reason_set(message->reason, -EINVAL, "\"%s\" is not a PKCS #10 request", name);
}

static int message_names(Message *message, ProofRequest *request)
{
    const char *fqdn = "";
    const char *serial = "";
    int r;

    r = message_string(message, "fqdn", &fqdn);
    if (r == 0)
        r = message_string(message, "serial", &serial);
    if (r < 0)
        return r;
    if (!fqdn_is_valid(fqdn, strlen(fqdn)))
        return reason_set(message->reason, -EINVAL, "\"fqdn\" is not an FQDN");
    if (!proof_serial_is_valid(serial)) {
        return reason_set(message->reason, -EINVAL,
                          "\"serial\" is longer than %d characters, or has one that a "
                          "certificate can't",
                          PROOF_DEVICE_SERIAL_MAX);
    }
    (void)snprintf(request->fqdn, sizeof(request->fqdn), "%s", fqdn);
    (void)snprintf(request->serial, sizeof(request->serial), "%s", serial);
    return 0;
}

int proof_request_decode(Bytes text, ProofRequest **ret, Reason *reason)
{
    _cleanup_(proof_request_freep) ProofRequest *request = calloc(1, sizeof(*request));
    _cleanup_(message_deinit) Message message = {.reason = reason};
    int r;

    if (!request)
        return -ENOMEM;
    r = message_begin(text, PROOF_TYPE_REQUEST, &message);
    if (r == 0)
        r = message_names(&message, request);
    if (r == 0)
        r = message_certificate(&message, "ek_certificate", &request->ek_certificate);
    if (r == 0)
        r = message_public(&message, "ek_public", &request->ek_public);
    if (r == 0)
        r = message_public(&message, "device_public", &request->device_public);
    if (r == 0)
        r = message_csr(&message, "csr", &request->csr);
    if (r == 0)
        r = message_end(&message);
    if (r == 0)
        *ret = steal_pointer(request);
    return r;
}

static int message_credential(Message *message, Credential *ret)
{
    size_t size = 0;
    int r;

    *ret = (Credential){0};
    r = message_octets(message, "credential_blob", ret->blob.credential,
                       sizeof(ret->blob.credential), &size);
    if (r < 0)
        return r;
    ret->blob.size = (UINT16)size;
    r = message_octets(message, "secret", ret->secret.secret, sizeof(ret->secret.secret), &size);
    ret->secret.size = (UINT16)size;
    return r;
}

int proof_challenge_decode(Bytes text, ProofChallenge *ret, Reason *reason)
{
    _cleanup_(message_deinit) Message message = {.reason = reason};
    ProofChallenge challenge;
    int r;

    r = message_begin(text, PROOF_TYPE_CHALLENGE, &message);
    if (r == 0)
        r = message_digest(&message, "request", &challenge.request);
    if (r == 0)
        r = message_credential(&message, &challenge.credential);
    if (r == 0)
        r = message_end(&message);
    if (r == 0)
        *ret = challenge;
    return r;
}

int proof_pending_decode(Bytes text, ProofPending *ret, Reason *reason)
{
    _cleanup_(message_deinit) Message message = {.reason = reason};
    ProofPending pending;
    int r;

    r = message_begin(text, PROOF_TYPE_PENDING, &message);
    if (r == 0)
        r = message_digest(&message, "request", &pending.request);
    if (r == 0)
        r = message_digest(&message, "secret_sha256", &pending.secret);
    if (r == 0)
        r = message_end(&message);
    if (r == 0)
        *ret = pending;
    return r;
}

static int message_secret(Message *message, Secret **ret)
{
    uint8_t octets[CREDENTIAL_SECRET_SIZE];
    size_t size = 0;
    int r;

    r = message_octets(message, "secret", octets, sizeof(octets), &size);
    if (r == 0 && size != sizeof(octets)) {
        r = reason_set(message->reason, -EINVAL, "\"secret\" is not %zu octets in base64",
                       sizeof(octets));
    }
    if (r == 0)
        r = secret_new(size, ret);
    if (r == 0)
        memcpy((*ret)->data, octets, size);
    OPENSSL_cleanse(octets, sizeof(octets));
    return r;
}

int proof_response_decode(Bytes text, ProofResponse *ret, Reason *reason)
{
    _cleanup_(proof_response_deinit) ProofResponse response = {0};
    _cleanup_(message_deinit) Message message = {.reason = reason};
    int r;

    r = message_begin(text, PROOF_TYPE_RESPONSE, &message);
    if (r == 0)
        r = message_digest(&message, "request", &response.request);
    if (r == 0)
        r = message_secret(&message, &response.secret);
    if (r == 0)
        r = message_end(&message);
    if (r == 0) {
        *ret = response;
        response.secret = NULL;
    }
    return r;
}
