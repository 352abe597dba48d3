/* A key that signs for the device without this process ever holding it, as tred sees it: the TPM's
 * is the one that ships. Nothing here waits: what takes time is done in the loop, and told. */
#pragma once

#include "base/bytes.h"
#include "base/cleanup.h"

#include <openssl/evp.h>
#include <stdbool.h>

typedef struct SigningKey SigningKey;
typedef struct SigningRequest SigningRequest;

enum { SIGNATURE_SIZE_MAX = 512 };

/* How a request ended: 0 and the signature (ECDSA: r | s, each as long as the curve's order);
 * -EKEYREJECTED (the platform is in no state that the key's policy allows), -EINVAL (the key does
 * not sign such a digest) or -EIO, with a sentence. Valid during the call only. */
typedef void (*SigningDone)(int r, Bytes signature, const char *reason, void *userdata);

/* Getting ready failed while nobody was waiting for a signature: as above. */
typedef void (*SigningFailed)(int r, const char *reason, void *userdata);

typedef struct SigningKeyClass {
    void (*prepare)(SigningKey *key);
    int (*sign)(SigningKey *key, const char *digest_name, bool pss, Bytes digest, SigningDone done,
                void *userdata, SigningRequest **ret);
    void (*cancel)(SigningRequest *request);
    void (*rest)(SigningKey *key);
    void (*free)(SigningKey *key);
} SigningKeyClass;

struct SigningKey {
    const SigningKeyClass *class;
    EVP_PKEY *public;
    const char *algorithm;   /* "ecdsa-p256", … */
    int pss_salt;            /* octets; 0 for ECDSA */
    unsigned ready_seconds;  /* what was prepared is to be renewed so soon; 0: it keeps */
    SigningFailed on_failed; /* NULL: nobody is told */
    void *failed_userdata;
};

/* Gets ready to sign once, if it is not yet. */
static inline void signing_key_prepare(SigningKey *key)
{
    key->class->prepare(key);
}

/* Signs `digest`, made with `digest_name` ("SHA256", "SHA384"), with PSS padding if so wanted.
 * Requests are served in order. `done` is called once, perhaps before this returns, unless the
 * request (*ret, which is NULL if it ended in here) is cancelled before. 0 or -ENOMEM. */
static inline int signing_key_sign(SigningKey *key, const char *digest_name, bool pss, Bytes digest,
                                   SigningDone done, void *userdata, SigningRequest **ret)
{
    return key->class->sign(key, digest_name, pss, digest, done, userdata, ret);
}

/* Takes a request back; `done` is not called. */
static inline void signing_key_cancel(SigningKey *key, SigningRequest *request)
{
    key->class->cancel(request);
}

/* Gives back what being ready takes of the TPM. */
static inline void signing_key_rest(SigningKey *key)
{
    key->class->rest(key);
}

/* Lets go of the key once its requests have ended, which are served still. NULL is fine. */
static inline void signing_key_free(SigningKey *key)
{
    if (key)
        key->class->free(key);
}
