/* One TPM command: the octets, the authorization area, the way to the TPM and back. */
#include "tpm/command.h"

#include "tpm/transport.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <string.h>
#include <tss2/tss2_mu.h>

#define MAILBOX_MAGIC UINT64_C(0x7472656d61696c62)

/* tss2-sys writes a command to a TCTI and reads the answer from it. This one only keeps the octets:
 * they go to the TPM in between, when it is their turn. */
struct TpmCommand {
    TSS2_TCTI_CONTEXT_COMMON_V1 tcti; /* first, as the TSS takes the one for the other */
    Tpm *tpm;
    TSS2_SYS_CONTEXT *sys;
    size_t sys_size;
    TpmExchange exchange;
};

static TpmCommand *command_of(TSS2_TCTI_CONTEXT *tcti)
{
    return (TpmCommand *)(void *)tcti;
}

static TSS2_RC mailbox_transmit(TSS2_TCTI_CONTEXT *tcti, size_t size, const uint8_t *octets)
{
    TpmExchange *exchange = &command_of(tcti)->exchange;
    Writer writer;

    writer_init(&writer, exchange->request, sizeof(exchange->request));
    writer_bytes(&writer, (Bytes){octets, size});
    exchange->request_size = writer.size;
    return writer.overflow ? TSS2_TCTI_RC_INSUFFICIENT_BUFFER : TSS2_RC_SUCCESS;
}

static TSS2_RC mailbox_receive(TSS2_TCTI_CONTEXT *tcti, size_t *size, uint8_t *octets,
                               int32_t timeout)
{
    const TpmExchange *exchange = &command_of(tcti)->exchange;
    Writer writer;

    (void)timeout;
    if (!octets) {
        *size = exchange->response_size;
        return TSS2_RC_SUCCESS;
    }
    writer_init(&writer, octets, *size);
    writer_bytes(&writer, (Bytes){exchange->response, exchange->response_size});
    *size = writer.size;
    return writer.overflow ? TSS2_TCTI_RC_INSUFFICIENT_BUFFER : TSS2_RC_SUCCESS;
}

TpmCommand *tpm_command_new(Tpm *tpm)
{
    TpmCommand *command = calloc(1, sizeof(*command));

    if (!command)
        return NULL;
    command->tpm = tpm;
    command->tcti = (TSS2_TCTI_CONTEXT_COMMON_V1){
        .magic = MAILBOX_MAGIC,
        .version = 1,
        .transmit = mailbox_transmit,
        .receive = mailbox_receive,
    };
    command->sys_size = Tss2_Sys_GetContextSize(TPM_COMMAND_SIZE);
    command->sys = calloc(1, command->sys_size);
    if (!command->sys ||
        Tss2_Sys_Initialize(command->sys, command->sys_size,
                            (TSS2_TCTI_CONTEXT *)(void *)&command->tcti,
                            &(TSS2_ABI_VERSION)TSS2_ABI_VERSION_CURRENT) != TSS2_RC_SUCCESS) {
        tpm_command_free(command);
        return NULL;
    }
    return command;
}

TSS2_SYS_CONTEXT *tpm_command_sys(TpmCommand *command)
{
    return command ? command->sys : NULL;
}

Tpm *tpm_command_tpm(TpmCommand *command)
{
    return command->tpm;
}

void tpm_command_free(TpmCommand *command)
{
    if (!command)
        return;
    if (command->sys) {
        Tss2_Sys_Finalize(command->sys);
        OPENSSL_cleanse(command->sys, command->sys_size);
        free(command->sys);
    }
    OPENSSL_cleanse(&command->exchange, sizeof(command->exchange));
    free(command);
}

/* ---- The authorization area. */

/* One session's part in one command. */
typedef struct Use {
    TpmSession *session; /* NULL: an empty password */
    bool authorizes;
    TPMA_SESSION attributes;
    TPM2B_NONCE nonce_caller;
    TPM2B_NONCE nonce_tpm; /* the newest, of the command and then of the answer */
} Use;

typedef struct Uses {
    Use use[TPM_SESSIONS_MAX];
    size_t count;
    Use *decrypts; /* whose the first parameter of the command is encrypted with; NULL: nobody's */
    Use *encrypts; /* likewise for the answer */
} Uses;

static Bytes nonce_bytes(const TPM2B_NONCE *nonce)
{
    return (Bytes){nonce->buffer, nonce->size};
}

static Bytes session_key(const TpmSession *session)
{
    return session->key ? secret_bytes(session->key) : (Bytes){0};
}

/* The first session with the attribute takes the parameter; it stays set in no other. */
static Use *attribute_settle(Uses *uses, TPMA_SESSION attribute, bool possible)
{
    Use *taker = NULL;

    for (size_t i = 0; i < uses->count; i++) {
        if (taker || !possible) {
            uses->use[i].attributes &= ~attribute;
        } else if (uses->use[i].attributes & attribute) {
            taker = &uses->use[i];
        }
    }
    return taker;
}

/* A TPM refuses a session that neither authorizes nor encrypts, unless it audits (TPM 2.0 Part 3,
 * 5.5). Nobody reads the audit: the HMAC is what such a session is for. */
static void audit_settle(Use *use)
{
    if (!(use->attributes & (TPMA_SESSION_DECRYPT | TPMA_SESSION_ENCRYPT)))
        use->attributes |= TPMA_SESSION_AUDIT;
}

static TSS2_RC uses_init(TpmCommand *command, const TpmFrame *frame, Uses *ret)
{
    const uint8_t *parameter;
    size_t size;
    bool sized;

    *ret = (Uses){0};
    for (size_t i = 0; i < TPM_SESSIONS_MAX && (i < frame->n_authorized || frame->sessions[i]);
         i++) {
        TpmSession *session = frame->sessions[i];
        Use *use;

        /* One without a key protects nothing. */
        if (i >= frame->n_authorized && !session->key)
            continue;
        use = &ret->use[ret->count++];
        use->session = session;
        use->authorizes = i < frame->n_authorized;
        use->attributes = session ? session->attributes : TPMA_SESSION_CONTINUESESSION;
        if (!session)
            continue;
        /* A new one for each command (TPM 2.0 Part 1, 17.6.3). */
        use->nonce_caller.size = TPM_HASH_SIZE;
        use->nonce_tpm = session->nonce_tpm;
        if (RAND_bytes(use->nonce_caller.buffer, TPM_HASH_SIZE) != 1)
            return TPM_RC_NO_CRYPTO;
    }
    sized = Tss2_Sys_GetDecryptParam(command->sys, &size, &parameter) == TSS2_RC_SUCCESS;
    ret->decrypts = attribute_settle(ret, TPMA_SESSION_DECRYPT, sized);
    ret->encrypts = attribute_settle(ret, TPMA_SESSION_ENCRYPT, frame->sized_answer);
    for (size_t i = frame->n_authorized; i < ret->count; i++)
        audit_settle(&ret->use[i]);
    return TSS2_RC_SUCCESS;
}

/* TPM 2.0 Part 1, 21.3: key and IV come from the sessionKey, the newer nonce and the older one. The
 * authValue of what the session authorizes would follow the sessionKey; ours are empty. */
static TSS2_RC parameter_cipher(TpmCommand *command, const Use *use, bool encrypt, uint8_t *data,
                                size_t size)
{
    const Bytes caller = nonce_bytes(&use->nonce_caller), tpm = nonce_bytes(&use->nonce_tpm);
    _cleanup_(secret_freep) Secret *material = NULL;
    TpmCrypto *crypto = command->tpm->crypto;

    if (tpm_kdfa(crypto, session_key(use->session), "CFB", encrypt ? caller : tpm,
                 encrypt ? tpm : caller, TPM_CIPHER_KEY_SIZE + TPM_CIPHER_BLOCK_SIZE,
                 &material) < 0 ||
        tpm_cfb(crypto, encrypt, material->data, material->data + TPM_CIPHER_KEY_SIZE, data, size) <
            0)
        return TPM_RC_NO_CRYPTO;
    return TSS2_RC_SUCCESS;
}

/* Encrypts the first parameter of the command, or decrypts that of the answer. tss2-sys names them
 * after what the TPM does. */
static TSS2_RC parameter_convert(TpmCommand *command, const Use *use, bool encrypt)
{
    uint8_t parameter[TPM_COMMAND_SIZE];
    const uint8_t *found;
    size_t size = 0;
    TSS2_RC rc = encrypt ? Tss2_Sys_GetDecryptParam(command->sys, &size, &found)
                         : Tss2_Sys_GetEncryptParam(command->sys, &size, &found);

    if (rc != TSS2_RC_SUCCESS || size == 0) /* tss2-sys takes no empty one back */
        return rc;
    if (size > sizeof(parameter))
        return TPM_RC_NO_MEMORY;
    memcpy(parameter, found, size);
    rc = parameter_cipher(command, use, encrypt, parameter, size);
    if (rc == TSS2_RC_SUCCESS) {
        rc = encrypt ? Tss2_Sys_SetDecryptParam(command->sys, size, parameter)
                     : Tss2_Sys_SetEncryptParam(command->sys, size, parameter);
    }
    OPENSSL_cleanse(parameter, size);
    return rc;
}

/* cpHash (TPM 2.0 Part 1, 16.7): the command's code, the Names of its handles, its parameters. */
static int cp_hash(TpmCommand *command, const TpmFrame *frame, uint8_t *ret)
{
    Bytes pieces[1 + TPM_HANDLES_MAX + 1];
    size_t count = 0, size = 0;
    const uint8_t *parameters;
    uint8_t code[sizeof(TPM2_CC)];

    if (Tss2_Sys_GetCommandCode(command->sys, code) != TSS2_RC_SUCCESS ||
        Tss2_Sys_GetCpBuffer(command->sys, &size, &parameters) != TSS2_RC_SUCCESS)
        return -EIO;
    pieces[count++] = BYTES_OF(code);
    for (size_t i = 0; i < TPM_HANDLES_MAX && frame->handles[i]; i++)
        pieces[count++] = (Bytes){frame->handles[i]->name.name, frame->handles[i]->name.size};
    pieces[count++] = (Bytes){parameters, size};
    return tpm_hash(command->tpm->crypto, pieces, count, ret);
}

/* rpHash (16.8): the response code, which is zero, the command's code, the answer's parameters. */
static int rp_hash(TpmCommand *command, uint8_t *ret)
{
    static const uint8_t success[sizeof(TPM2_RC)];
    uint8_t code[sizeof(TPM2_CC)];
    const uint8_t *parameters;
    size_t size = 0;

    if (Tss2_Sys_GetCommandCode(command->sys, code) != TSS2_RC_SUCCESS ||
        Tss2_Sys_GetRpBuffer(command->sys, &size, &parameters) != TSS2_RC_SUCCESS)
        return -EIO;
    return tpm_hash(command->tpm->crypto,
                    (Bytes[]){BYTES_OF(success), BYTES_OF(code), {parameters, size}}, 3, ret);
}

/* TPM 2.0 Part 1, 19.6.5: HMAC(sessionKey | authValue, pHash | nonceNewer | nonceOlder |
 * nonceTPM_decrypt | nonceTPM_encrypt | sessionAttributes). The two nonces of other sessions stand
 * in the first session's HMAC of a command only. */
static int session_hmac(TpmCommand *command, const Use *use, const TPM2B_AUTH *auth,
                        const uint8_t *p_hash, const TPM2B_NONCE *newer, const TPM2B_NONCE *older,
                        const Bytes others[2], uint8_t *ret)
{
    const Bytes key = session_key(use->session);
    uint8_t value[TPM_HASH_SIZE + sizeof(auth->buffer)];
    const uint8_t attributes = (uint8_t)use->attributes;
    Writer writer;
    int r;

    writer_init(&writer, value, sizeof(value));
    writer_bytes(&writer, key);
    if (auth)
        writer_bytes(&writer, (Bytes){auth->buffer, auth->size});
    r = writer.overflow ? -EIO
                        : tpm_hmac(command->tpm->crypto, (Bytes){value, writer.size},
                                   (Bytes[]){{p_hash, TPM_HASH_SIZE},
                                             nonce_bytes(newer),
                                             nonce_bytes(older),
                                             others[0],
                                             others[1],
                                             {&attributes, 1}},
                                   6, ret);
    OPENSSL_cleanse(value, sizeof(value));
    return r;
}

/* A policy session without a key, and without TPM2_PolicyAuthValue, has an empty HMAC (19.6.12). */
static bool has_hmac(const Use *use)
{
    return use->session && (use->session->type == TPM2_SE_HMAC || use->session->key);
}

static TSS2_RC auths_set(TpmCommand *command, const TpmFrame *frame, const Uses *uses)
{
    TSS2L_SYS_AUTH_COMMAND area = {.count = (uint16_t)uses->count};
    uint8_t hash[TPM_HASH_SIZE];

    if (uses->count == 0)
        return TSS2_RC_SUCCESS;
    if (cp_hash(command, frame, hash) < 0)
        return TPM_RC_NO_CRYPTO;
    for (size_t i = 0; i < uses->count; i++) {
        const Use *use = &uses->use[i];
        TPMS_AUTH_COMMAND *auth = &area.auths[i];
        Bytes others[2] = {{0}, {0}};

        if (i == 0 && uses->decrypts && uses->decrypts != use)
            others[0] = nonce_bytes(&uses->decrypts->nonce_tpm);
        if (i == 0 && uses->encrypts && uses->encrypts != use && uses->encrypts != uses->decrypts)
            others[1] = nonce_bytes(&uses->encrypts->nonce_tpm);
        auth->sessionHandle = use->session ? use->session->object.handle : TPM2_RS_PW;
        auth->sessionAttributes = use->attributes;
        auth->nonce = use->nonce_caller;
        if (!has_hmac(use))
            continue;
        auth->hmac.size = TPM_HASH_SIZE;
        if (session_hmac(command, use, NULL, hash, &use->nonce_caller, &use->nonce_tpm, others,
                         auth->hmac.buffer) < 0)
            return TPM_RC_NO_CRYPTO;
    }
    return Tss2_Sys_SetCmdAuths(command->sys, &area);
}

/* ---- The answer. */

/* The TPM repeats the attributes, and says of an audit whether it is exclusive (TPM 2.0 Part 2,
 * 8.4). What a session was to do and did not is refused, and named by nobody but us. */
static TSS2_RC answer_judge(TpmCommand *command, const TpmFrame *frame, Use *use,
                            const TPMS_AUTH_RESPONSE *auth, const uint8_t *hash)
{
    static const Bytes no_others[2];
    const TPM2B_AUTH *value = use->authorizes ? frame->new_auth : NULL;
    uint8_t expected[TPM_HASH_SIZE];

    if (use->attributes & TPMA_SESSION_AUDIT)
        use->attributes |= auth->sessionAttributes & TPMA_SESSION_AUDITEXCLUSIVE;
    if (auth->sessionAttributes != use->attributes)
        return TPM_RC_ANSWER_REFUSED;
    if (!has_hmac(use))
        return auth->hmac.size == 0 ? TSS2_RC_SUCCESS : TPM_RC_ANSWER_REFUSED;
    if (session_hmac(command, use, value, hash, &auth->nonce, &use->nonce_caller, no_others,
                     expected) < 0)
        return TPM_RC_NO_CRYPTO;
    if (auth->hmac.size != TPM_HASH_SIZE ||
        CRYPTO_memcmp(auth->hmac.buffer, expected, TPM_HASH_SIZE) != 0)
        return TPM_RC_ANSWER_REFUSED;
    return TSS2_RC_SUCCESS;
}

/* A session that was not to continue has ended with the success of its command. */
static void session_roll(Tpm *tpm, Use *use, const TPMS_AUTH_RESPONSE *auth)
{
    use->nonce_tpm = auth->nonce;
    use->session->nonce_tpm = auth->nonce;
    if (!(use->attributes & TPMA_SESSION_CONTINUESESSION)) {
        tpm_unhold(tpm, use->session->object.handle);
        use->session->object.handle = TPM_NO_HANDLE;
    }
}

static TSS2_RC answer_take(TpmCommand *command, const TpmFrame *frame, Uses *uses)
{
    TSS2L_SYS_AUTH_RESPONSE area = {0};
    uint8_t hash[TPM_HASH_SIZE];
    TSS2_RC rc;

    if (uses->count == 0)
        return TSS2_RC_SUCCESS;
    rc = Tss2_Sys_GetRspAuths(command->sys, &area);
    if (rc == TSS2_SYS_RC_BAD_SEQUENCE) /* it says that it has none: TPM_ST_NO_SESSIONS */
        return TPM_RC_ANSWER_REFUSED;
    if (rc != TSS2_RC_SUCCESS)
        return rc;
    if (area.count != uses->count)
        return TPM_RC_ANSWER_REFUSED;
    if (rp_hash(command, hash) < 0)
        return TPM_RC_NO_CRYPTO;
    for (size_t i = 0; i < uses->count; i++) {
        if (!uses->use[i].session) /* nothing authenticates the answer to a password */
            continue;
        rc = answer_judge(command, frame, &uses->use[i], &area.auths[i], hash);
        if (rc != TSS2_RC_SUCCESS)
            return rc;
    }
    for (size_t i = 0; i < uses->count; i++) {
        if (uses->use[i].session)
            session_roll(command->tpm, &uses->use[i], &area.auths[i]);
    }
    return uses->encrypts ? parameter_convert(command, uses->encrypts, false) : TSS2_RC_SUCCESS;
}

TSS2_RC tpm_command_run(TpmCommand *command, const TpmFrame *frame)
{
    Uses uses;
    TSS2_RC rc = uses_init(command, frame, &uses);

    /* Encrypted before it is hashed (TPM 2.0 Part 1, 21.2). */
    if (rc == TSS2_RC_SUCCESS && uses.decrypts)
        rc = parameter_convert(command, uses.decrypts, true);
    if (rc == TSS2_RC_SUCCESS)
        rc = auths_set(command, frame, &uses);
    if (rc == TSS2_RC_SUCCESS)
        rc = Tss2_Sys_ExecuteAsync(command->sys);
    if (rc == TSS2_RC_SUCCESS)
        rc = tpm_transport(command->tpm, &command->exchange);
    if (rc == TSS2_RC_SUCCESS)
        rc = Tss2_Sys_ExecuteFinish(command->sys, TSS2_TCTI_TIMEOUT_BLOCK);
    return rc == TSS2_RC_SUCCESS ? answer_take(command, frame, &uses) : rc;
}
