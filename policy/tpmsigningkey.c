/* The device key in the TPM, which signs, prepares and rests in tasks of its own, one at a time. */
#include "policy/tpmsigningkey.h"

#include "policy/devicekey_internal.h"
#include "tpm/commands.h"

#include <errno.h>
#include <string.h>

enum { DIGEST_NAME_SIZE = 32 };

/* A session that a resource manager has saved stands in the way of everybody's once the TPM has
 * saved TPM_PT_CONTEXT_GAP_MAX others since (TPM_RC_CONTEXT_GAP; TPM 2.0 Part 1, 30.5). No TPM
 * saves one in less than this; a simulator takes so long. */
enum { CONTEXT_SAVE_MICROSECONDS = 150, GAP_MAX_LEAST = 255 };

typedef struct TpmSigningKey TpmSigningKey;

struct SigningRequest {
    TpmSigningKey *owner;
    SigningRequest *next;
    char digest_name[DIGEST_NAME_SIZE];
    bool pss;
    uint8_t digest[EVP_MAX_MD_SIZE];
    size_t digest_size;
    SigningDone done; /* NULL: it was cancelled */
    void *userdata;
};

/* What the task is doing. */
typedef enum Deed {
    DEED_NONE,
    DEED_SIGN, /* the first request */
    DEED_PREPARE,
    DEED_REST,
    DEED_END,
} Deed;

struct TpmSigningKey {
    SigningKey key;
    Tpm *tpm;
    DeviceKey *device;
    KeyPolicy *policy;
    SigningRequest *requests;
    bool wants_ready, wants_rest, wants_end;
    Deed deed;
    TpmTask *task; /* NULL: none, or one that has not waited yet */
    int result;
    uint8_t signature[DEVICE_KEY_SIGNATURE_MAX];
    size_t signature_size;
    Reason reason;
};

_Static_assert((int)SIGNATURE_SIZE_MAX >= (int)DEVICE_KEY_SIGNATURE_MAX,
               "what the TPM says has its place");

static TpmSigningKey *of(SigningKey *key)
{
    return (TpmSigningKey *)(void *)key;
}

static void deed_work(void *userdata)
{
    TpmSigningKey *key = userdata;
    const SigningRequest *request = key->requests;

    key->reason.text[0] = '\0';
    key->result = 0;
    switch (key->deed) {
    case DEED_SIGN:
        key->result = device_key_sign(key->device, request->digest_name, request->pss,
                                      (Bytes){request->digest, request->digest_size},
                                      key->signature, &key->signature_size, &key->reason);
        break;
    case DEED_PREPARE:
        key->result = device_key_prepare(key->device, &key->reason);
        break;
    case DEED_REST:
        device_key_rest(key->device);
        break;
    case DEED_END:
        device_key_free(steal_pointer(key->device));
        break;
    case DEED_NONE:
        break;
    }
}

static void end(TpmSigningKey *key)
{
    key_policy_free(key->policy);
    tpm_close(key->tpm);
    EVP_PKEY_free(key->key.public);
    free(key);
}

static void request_end(TpmSigningKey *key)
{
    SigningRequest *request = key->requests;
    const Bytes signature = {key->signature, key->result == 0 ? key->signature_size : 0};

    key->requests = request->next;
    if (request->done)
        request->done(key->result, signature, key->reason.text, request->userdata);
    free(request);
}

/* A failure that a signature will meet again is told then. */
static void prepare_end(TpmSigningKey *key)
{
    if (key->result < 0 && !key->requests && !key->wants_end && key->key.on_failed)
        key->key.on_failed(key->result, key->reason.text, key->key.failed_userdata);
}

/* What is to be done next. A request waits for nothing but those before it; what is given back to
 * the TPM goes before what is taken of it. */
static Deed deed_next(TpmSigningKey *key)
{
    if (key->requests)
        return DEED_SIGN;
    if (key->wants_end)
        return DEED_END;
    if (key->wants_rest) {
        key->wants_rest = false;
        return DEED_REST;
    }
    if (key->wants_ready) {
        key->wants_ready = false;
        return key->device->ready ? DEED_NONE : DEED_PREPARE; /* no task for nothing */
    }
    return DEED_NONE;
}

static void go_on(TpmSigningKey *key);

static void deed_done(void *userdata)
{
    TpmSigningKey *key = userdata;
    const Deed deed = key->deed;

    key->task = NULL;
    if (deed == DEED_END) {
        end(key);
        return;
    }
    /* The deed stays until its end is told, so that nothing begins from within that. */
    if (deed == DEED_SIGN)
        request_end(key);
    if (deed == DEED_PREPARE)
        prepare_end(key);
    key->deed = DEED_NONE;
    go_on(key);
}

static void go_on(TpmSigningKey *key)
{
    if (key->deed != DEED_NONE)
        return;
    key->deed = deed_next(key);
    if (key->deed == DEED_NONE)
        return;
    if (key->tpm->loop &&
        tpm_task_start(key->tpm->loop, TPM_URGENT, deed_work, deed_done, key, &key->task) == 0)
        return;
    if (key->tpm->loop && key->deed != DEED_END) {
        key->result = -EIO;
        reason_set(&key->reason, 0, "out of memory");
    } else {
        deed_work(key);
    }
    deed_done(key);
}

static void key_prepare(SigningKey *key)
{
    of(key)->wants_ready = true;
    go_on(of(key));
}

static int key_sign(SigningKey *key, const char *digest_name, bool pss, Bytes digest,
                    SigningDone done, void *userdata, SigningRequest **ret)
{
    SigningRequest *request = calloc(1, sizeof(*request));
    SigningRequest **last = &of(key)->requests;

    *ret = NULL;
    if (!request || digest.size > sizeof(request->digest) ||
        strlen(digest_name) >= sizeof(request->digest_name)) {
        free(request);
        return -ENOMEM;
    }
    request->owner = of(key);
    memcpy(request->digest_name, digest_name, strlen(digest_name) + 1);
    request->pss = pss;
    memcpy(request->digest, digest.data, digest.size);
    request->digest_size = digest.size;
    request->done = done;
    request->userdata = userdata;
    while (*last)
        last = &(*last)->next;
    *last = request;
    go_on(of(key));
    for (SigningRequest *left = of(key)->requests; left; left = left->next) {
        if (left == request)
            *ret = request;
    }
    return 0;
}

static void key_cancel(SigningRequest *request)
{
    TpmSigningKey *key = request->owner;
    SigningRequest **link = &key->requests;

    request->done = NULL;
    if (request == key->requests && key->deed == DEED_SIGN) {
        if (key->task)
            tpm_task_cancel(key->task);
        return;
    }
    while (*link != request)
        link = &(*link)->next;
    *link = request->next;
    free(request);
}

static void key_rest(SigningKey *key)
{
    of(key)->wants_ready = false;
    of(key)->wants_rest = true;
    go_on(of(key));
}

static void key_free(SigningKey *key)
{
    key->on_failed = NULL;
    of(key)->wants_end = true;
    go_on(of(key));
}

static const SigningKeyClass class = {
    .prepare = key_prepare,
    .sign = key_sign,
    .cancel = key_cancel,
    .rest = key_rest,
    .free = key_free,
};

/* Without a resource manager nobody saves sessions, and what is ready stays so. */
static unsigned ready_seconds(Tpm *tpm)
{
    TPMS_CAPABILITY_DATA data = {0};
    const TPML_TAGGED_TPM_PROPERTY *found = &data.data.tpmProperties;
    uint32_t gap = GAP_MAX_LEAST;

    if (tpm->exclusive)
        return 0;
    if (tpm2_get_capability(tpm, NULL, TPM2_CAP_TPM_PROPERTIES, TPM2_PT_CONTEXT_GAP_MAX, 1,
                            &data) == TSS2_RC_SUCCESS &&
        found->count == 1 && found->tpmProperty[0].property == TPM2_PT_CONTEXT_GAP_MAX)
        gap = found->tpmProperty[0].value;
    return 1 + (unsigned)((uint64_t)gap * CONTEXT_SAVE_MICROSECONDS / 1000000);
}

int tpm_signing_key_new(DeviceKey *device, KeyPolicy *policy, SigningKey **ret, Reason *reason)
{
    TpmSigningKey *key = calloc(1, sizeof(*key));

    if (!key || EVP_PKEY_up_ref(device_key_public(device)) != 1) {
        reason_set(reason, 0, "out of memory");
        free(key);
        return -ENOMEM;
    }
    key->key = (SigningKey){
        .class = &class,
        .public = device_key_public(device),
        .algorithm = tpm_key_algorithm_name(device_key_algorithm(device)),
        .pss_salt = device_key_pss_salt(device),
        .ready_seconds = ready_seconds(device->tpm),
    };
    key->tpm = tpm_ref(device->tpm);
    key->device = device;
    key->policy = policy;
    *ret = &key->key;
    return 0;
}
