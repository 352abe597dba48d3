/* Can any answer of a TPM, or of who stands in its place, make its reader misbehave, and is any
 * believed in a session that did not come from the TPM? The input is which command is given, and
 * then answers, each with two octets of length before it. */
#include "base/bytes.h"
#include "base/reason.h"
#include "tpm/commands.h"
#include "tpm/nv.h"
#include "tpm/open.h"
#include "tpm/pcr.h"
#include "tpm/storagekey.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { TAG_SIZE = 2, HEADER_SIZE = 10, MENDS_SIZES = 0x80 };

/* The TPM: it says what the input says, until that ends. */
typedef struct FakeTcti {
    TSS2_TCTI_CONTEXT_COMMON_V1 common; /* first */
    Reader answers;
    bool mends_sizes; /* the answers' headers tell their size, whatever the input says */
} FakeTcti;

static void check(bool right)
{
    if (!right)
        abort();
}

static TSS2_RC fake_transmit(TSS2_TCTI_CONTEXT *tcti, size_t size, const uint8_t *command)
{
    (void)tcti, (void)command;
    check(size >= HEADER_SIZE);
    return TSS2_RC_SUCCESS;
}

static TSS2_RC fake_receive(TSS2_TCTI_CONTEXT *tcti, size_t *size, uint8_t *response,
                            int32_t timeout)
{
    FakeTcti *fake = (FakeTcti *)(void *)tcti;
    uint16_t length = 0;
    Bytes answer;
    Writer writer;

    (void)timeout;
    if (reader_u16(&fake->answers, &length) < 0 ||
        reader_take(&fake->answers, length, &answer) < 0 || length > *size)
        return TSS2_TCTI_RC_IO_ERROR;
    if (length > 0)
        memcpy(response, answer.data, length);
    *size = length;
    if (fake->mends_sizes && length >= HEADER_SIZE) {
        writer_init(&writer, response + TAG_SIZE, sizeof(uint32_t));
        writer_u32(&writer, length);
    }
    return TSS2_RC_SUCCESS;
}

/* In place of the real one: what the TPM puts off is asked for again at once. */
int __wrap_tpm_loop_sleep(TpmLoop *loop, unsigned milliseconds);

int __wrap_tpm_loop_sleep(TpmLoop *loop, unsigned milliseconds)
{
    (void)loop, (void)milliseconds;
    return 0;
}

/* A session of a program that has spoken with its TPM before. */
static TpmSession session_with_key(TPM2_SE type)
{
    TpmSession session = {
        .object.handle = TPM2_HMAC_SESSION_FIRST,
        .type = type,
        .attributes = TPMA_SESSION_CONTINUESESSION | TPMA_SESSION_DECRYPT | TPMA_SESSION_ENCRYPT,
        .nonce_tpm.size = TPM_HASH_SIZE,
    };

    tpm_handle_name(session.object.handle, &session.object.name);
    check(secret_new(TPM_HASH_SIZE, &session.key) == 0);
    return session;
}

static void ask_public(Tpm *tpm)
{
    TPM2B_PUBLIC public = {0};
    TPM2B_NAME computed = {0};
    TpmObject object = {0};

    if (tpm2_read_public(tpm, TPM_SRK_HANDLE, &public, &object) != TSS2_RC_SUCCESS)
        return;
    check(tpm_object_name(&public, &computed) == 0);
    check(computed.size == object.name.size &&
          memcmp(computed.name, object.name.name, computed.size) == 0);
}

static void ask_index(Tpm *tpm)
{
    Reason reason = {0};
    TPM2B_NAME computed = {0};
    NvIndex index;

    if (nv_open(tpm, 0x01801101, &index, &reason) < 0) {
        check(reason.text[0] != '\0');
        return;
    }
    check(index.public.nameAlg != TPM2_ALG_SHA256 ||
          (tpm_nv_name(&index.public, &computed) == 0 && computed.size == index.object.name.size &&
           memcmp(computed.name, index.object.name.name, computed.size) == 0));
}

static void ask_pcrs(Tpm *tpm)
{
    PcrState state = {.bank = TPM2_ALG_SHA256, .mask = 0xffffff};
    Reason reason = {0};

    check(pcr_read(tpm, &state, &reason) == 0 || reason.text[0] != '\0');
}

static void ask_profile(Tpm *tpm)
{
    Reason reason = {0};

    check(tpm_profile_check(tpm, TPM_KEY_RSA_2048, &reason) == 0 || reason.text[0] != '\0');
}

/* The storage root key is read, a session salted with whatever it is, and an index written. */
static void ask_session(Tpm *tpm)
{
    NvIndex index = {.object.handle = 0x01801101};
    static const uint8_t octets[NV_NUMBER_SIZE];
    Reason reason = {0};

    index.public.nameAlg = TPM2_ALG_SHA256;
    check(nv_write(tpm, &index, NULL, BYTES_OF(octets), &reason) == 0 || reason.text[0] != '\0');
}

static void ask_create(Tpm *tpm)
{
    static const TPM2B_SENSITIVE_CREATE sensitive = {0};
    static const TPM2B_PUBLIC template = {
        .publicArea = {.type = TPM2_ALG_KEYEDHASH,
                       .nameAlg = TPM2_ALG_SHA256,
                       .objectAttributes = TPMA_OBJECT_SIGN_ENCRYPT | TPMA_OBJECT_USERWITHAUTH |
                                           TPMA_OBJECT_SENSITIVEDATAORIGIN,
                       .parameters.keyedHashDetail.scheme = {TPM2_ALG_HMAC,
                                                             {.hmac.hashAlg = TPM2_ALG_SHA256}}}};
    const TpmObject parent = tpm_permanent(TPM_SRK_HANDLE);
    TPM2B_PRIVATE private = {0};
    TPM2B_PUBLIC public = {0};
    TpmObject object = {0};

    (void)tpm2_create(tpm, &parent, NULL, &sensitive, &template, &private, &public);
    (void)tpm2_create_primary(tpm, TPM2_RH_OWNER, NULL, &template, &public, &object);
}

/* Without the session's key nobody makes an answer that is believed in it. */
static void ask_in_a_session(Tpm *tpm)
{
    static const TPMT_SIG_SCHEME scheme = {
        .scheme = TPM2_ALG_ECDSA,
        .details.ecdsa.hashAlg = TPM2_ALG_SHA256,
    };
    static const TPM2B_DIGEST digest = {.size = TPM_HASH_SIZE};
    TpmSession session = session_with_key(TPM2_SE_HMAC);
    const TpmObject object = tpm_permanent(TPM2_TRANSIENT_FIRST);
    TPMT_SIGNATURE signature = {0};

    check(tpm2_sign(tpm, &object, &session, &digest, &scheme, &signature) != TSS2_RC_SUCCESS);
    secret_free(session.key);
}

static void read_in_a_session(Tpm *tpm)
{
    TpmSession session = session_with_key(TPM2_SE_POLICY);
    const TpmObject object = tpm_permanent(0x01801101);
    TPM2B_MAX_NV_BUFFER data = {0};

    check(tpm2_nv_read(tpm, &object, &object, &session, NV_NUMBER_SIZE, 0, &data) !=
          TSS2_RC_SUCCESS);
    check(data.size == 0);
    secret_free(session.key);
}

static void (*const asks[])(Tpm *tpm) = {
    ask_public,  ask_index,  ask_pcrs,         ask_profile,
    ask_session, ask_create, ask_in_a_session, read_in_a_session,
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static TpmCrypto *crypto;
    FakeTcti fake = {
        .common = {.magic = 0x66757a7a00000000,
                   .version = 1,
                   .transmit = fake_transmit,
                   .receive = fake_receive},
    };
    uint8_t first;
    Tpm tpm = {.tcti = (TSS2_TCTI_CONTEXT *)(void *)&fake, .exclusive = true};

    if (!crypto) {
        check(setenv("TSS2_LOG", "all+NONE", 0) == 0);
        check(secrets_init() == 0 && tpm_crypto_new(&crypto) == 0);
    }
    reader_init(&fake.answers, (Bytes){data, size});
    if (reader_u8(&fake.answers, &first) < 0)
        return 0;
    tpm.crypto = crypto;
    fake.mends_sizes = first & MENDS_SIZES;
    asks[(first & ~(unsigned)MENDS_SIZES) % ELEMENTS(asks)](&tpm);
    EVP_PKEY_free(tpm.salt_pkey);
    return 0;
}
