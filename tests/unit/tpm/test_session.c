/* What somebody can do who sits between us and the TPM: make commands fail, and nothing else. One
 * thing is changed at a time. */
#include "tpm/open.h"
#include "tpm/session.h"

#include "free_watch.h"
#include "no_random.h"
#include "probe.h"
#include "tpm/nv.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/varying.h"

/* The end of an answer with one session: nonceTPM (2 + 32), attributes, HMAC (2 + 32). */
enum {
    ANSWER_HMAC_END = 1,
    ANSWER_ATTRIBUTES = 34 + 1,
    ANSWER_NONCE_END = 36,
    ANSWER_NONCE_SIZE = 69, /* the more significant octet of it */
    ANSWER_DATA_END = 70
};

/* TPM2_Sign ends in digest (2 + 32), scheme (2 + 2) and ticket (2 + 4 + 2). */
enum { SIGN_DIGEST_END = 8 + 4 + 1 };

/* Where a command's first session has its attributes: after the header (10), the handles, the
 * area's size (4), the session's handle (4), and nonceCaller (2 + 32). */
enum { ATTRIBUTES_1_HANDLE = 10 + 4 + 4 + 4 + 34, ATTRIBUTES_2_HANDLES = ATTRIBUTES_1_HANDLE + 4 };

enum { NV_INDEX = 0x01801110 };

static const TPM2B_DIGEST first_digest = {.size = TPM_HASH_SIZE, .buffer = {1}};
static const TPM2B_DIGEST second_digest = {.size = TPM_HASH_SIZE, .buffer = {2}};

static TpmObject key;

/* What becomes of the secret that a session is salted with; 0: the real one. */
static int share_fails_with;

int __real_tpm_secret_share(TpmCrypto *crypto, EVP_PKEY *pkey, const char *label, Secret **ret,
                            TPM2B_ENCRYPTED_SECRET *ret_encrypted);
int __wrap_tpm_secret_share(TpmCrypto *crypto, EVP_PKEY *pkey, const char *label, Secret **ret,
                            TPM2B_ENCRYPTED_SECRET *ret_encrypted);

int __wrap_tpm_secret_share(TpmCrypto *crypto, EVP_PKEY *pkey, const char *label, Secret **ret,
                            TPM2B_ENCRYPTED_SECRET *ret_encrypted)
{
    return share_fails_with < 0 ? share_fails_with
                                : __real_tpm_secret_share(crypto, pkey, label, ret, ret_encrypted);
}

static int group_init(void **state)
{
    TPM2B_PUBLIC public;

    if (bench_init(state) < 0)
        return -1;
    key = signing_key_new(&public);
    return 0;
}

static int group_deinit(void **state)
{
    tpm_object_release(bench.tpm, &key);
    return bench_deinit(state);
}

static TSS2_RC sign(TpmSession *session, const TPM2B_DIGEST *digest)
{
    TPMT_SIGNATURE signature = {0};

    return signing_key_sign(&key, session, digest, &signature);
}

/* Nonces, and the salt of a session for an RSA key, are drawn: each is what an attacker would have
 * to guess. */
static void without_random_numbers_there_is_no_session_and_no_command_in_one(void **state)
{
    TpmSession *session = session_new(TPM2_SE_HMAC), *none = NULL;

    (void)state;
    for (int says = 0; says >= -1; says--) {
        const unsigned sessions = handle_count(TPM2_LOADED_SESSION_FIRST);
        Reason reason = {0};

        no_random_begin(1, says);
        assert_true(tpm_session_start(bench.tpm, TPM2_SE_HMAC, &none, &reason) < 0);
        assert_true(no_random_end());
        assert_null(none);
        assert_int_equal(handle_count(TPM2_LOADED_SESSION_FIRST), sessions);
        no_random_begin(1, says);
        assert_int_not_equal(sign(session, &first_digest), TSS2_RC_SUCCESS);
        assert_true(no_random_end());
        assert_int_equal(sign(session, &first_digest), TSS2_RC_SUCCESS);
    }
    tpm_session_flush(bench.tpm, session);
}

/* A command that is changed on its way is refused by the TPM, and its session is not harmed. */
static void assert_changed_command_is_refused(ProbeEdit edit)
{
    Probe probe = {.command = TPM2_CC_Sign, .sent = edit};
    TpmSession *session = session_new(TPM2_SE_HMAC);

    probe_attach(&probe);
    assert_int_equal(tpm_rc_base(sign(session, &first_digest)), TPM2_RC_BAD_AUTH);
    probe_detach();
    assert_int_equal(sign(session, &first_digest), TSS2_RC_SUCCESS);
    tpm_session_flush(bench.tpm, session);
}

/* An answer that is changed on its way is refused by us; a new session works. */
static void assert_changed_answer_is_refused(ProbeEdit edit)
{
    Probe probe = {.command = TPM2_CC_Sign, .answer = edit};
    TpmSession *session = session_new(TPM2_SE_HMAC);

    probe_attach(&probe);
    assert_int_equal(sign(session, &first_digest), TPM_RC_ANSWER_REFUSED);
    probe_detach();
    tpm_session_flush(bench.tpm, session);
    assert_signs_in_a_session(&key);
}

static void a_digest_changed_on_the_way_is_not_signed(void **state)
{
    (void)state;
    assert_changed_command_is_refused((ProbeEdit){-SIGN_DIGEST_END, 1});
}

static void a_scheme_changed_on_the_way_is_not_signed_with(void **state)
{
    (void)state;
    /* The hash of ECDSA: SHA-384 for SHA-256 would take another digest. */
    assert_changed_command_is_refused((ProbeEdit){-(8 + 1), TPM2_ALG_SHA256 ^ TPM2_ALG_SHA384});
}

static void a_nonce_changed_on_the_way_is_refused(void **state)
{
    (void)state;
    assert_changed_command_is_refused((ProbeEdit){ATTRIBUTES_1_HANDLE - 1, 1});
}

static void a_signature_changed_on_the_way_is_not_believed(void **state)
{
    (void)state;
    assert_changed_answer_is_refused((ProbeEdit){-ANSWER_DATA_END, 1});
}

static void an_answer_with_another_nonce_or_hmac_is_not_believed(void **state)
{
    (void)state;
    assert_changed_answer_is_refused((ProbeEdit){-ANSWER_NONCE_END, 1});
    assert_changed_answer_is_refused((ProbeEdit){-ANSWER_HMAC_END, 1});
}

static void an_attribute_cleared_in_the_command_is_refused(void **state)
{
    static const uint8_t attributes[] = {TPMA_SESSION_CONTINUESESSION, TPMA_SESSION_DECRYPT};

    (void)state;
    for (size_t i = 0; i < ELEMENTS(attributes); i++) {
        assert_changed_command_is_refused((ProbeEdit){ATTRIBUTES_1_HANDLE, attributes[i]});
    }
}

static void an_attribute_cleared_in_the_answer_is_refused(void **state)
{
    static const uint8_t attributes[] = {TPMA_SESSION_CONTINUESESSION, TPMA_SESSION_DECRYPT};

    (void)state;
    for (size_t i = 0; i < ELEMENTS(attributes); i++)
        assert_changed_answer_is_refused((ProbeEdit){-ANSWER_ATTRIBUTES, attributes[i]});
}

/* Without its sessions an answer would be anybody's. */
static void an_answer_without_an_authorization_is_refused(void **state)
{
    Probe probe = {.command = TPM2_CC_Sign, .strip = true};
    TpmSession *session = session_new(TPM2_SE_HMAC);

    (void)state;
    probe_attach(&probe);
    assert_int_not_equal(sign(session, &first_digest), TSS2_RC_SUCCESS);
    probe_detach();
    tpm_session_flush(bench.tpm, session);
    assert_signs_in_a_session(&key);
}

/* An authorization area that ends before its nonce does is no TPM 2.0's answer: nobody's HMAC was
 * wrong, and whoever looks for the fault looks at the TPM and its driver. */
static void an_answer_whose_authorization_is_cut_short_is_no_tpms(void **state)
{
    Probe probe = {.command = TPM2_CC_Sign, .answer = {-ANSWER_NONCE_SIZE, 0x01}};
    TpmSession *session = session_new(TPM2_SE_HMAC);
    Reason reason = {0};
    TSS2_RC rc;

    (void)state;
    probe_attach(&probe);
    rc = sign(session, &first_digest);
    probe_detach();
    tpm_error(&reason, "TPM2_Sign", rc);
    assert_non_null(strstr(reason.text, "no TPM 2.0's answer"));
    tpm_session_flush(bench.tpm, session);
    assert_signs_in_a_session(&key);
}

static void the_answer_to_the_command_before_is_refused(void **state)
{
    Probe probe = {.command = TPM2_CC_Sign, .replay = true};
    TpmSession *session = session_new(TPM2_SE_HMAC);

    (void)state;
    probe_attach(&probe);
    assert_int_equal(sign(session, &first_digest), TSS2_RC_SUCCESS);
    assert_int_equal(sign(session, &second_digest), TPM_RC_ANSWER_REFUSED);
    probe_detach();
    tpm_session_flush(bench.tpm, session);
    assert_signs_in_a_session(&key);
}

/* A policy session with a salt has an HMAC, too. */
static void a_policy_sessions_answer_is_authenticated_as_well(void **state)
{
    Probe probe = {.command = TPM2_CC_NV_Write, .answer = {-ANSWER_HMAC_END, 1}};
    static const TPM2B_MAX_NV_BUFFER data = {.size = NV_NUMBER_SIZE};
    TPMS_NV_PUBLIC public = {
        .nvIndex = NV_INDEX,
        .nameAlg = TPM2_ALG_SHA256,
        .attributes = TPMA_NV_POLICYWRITE | TPMA_NV_AUTHREAD | TPMA_NV_NO_DA,
        .dataSize = NV_NUMBER_SIZE,
    };
    Reason reason = {0};
    TpmSession *session;
    TPM2B_DIGEST digest = {0};
    NvIndex index;

    (void)state;
    session = session_new(TPM2_SE_TRIAL);
    assert_int_equal(tpm2_policy_nv_written(bench.tpm, session, false), TSS2_RC_SUCCESS);
    assert_int_equal(tpm2_policy_get_digest(bench.tpm, session, &digest), TSS2_RC_SUCCESS);
    tpm_session_flush(bench.tpm, session);
    public.authPolicy = digest;
    if (nv_define(bench.tpm, &public, &reason) < 0 ||
        nv_open(bench.tpm, NV_INDEX, &index, &reason) < 0)
        fail_msg("%s", reason.text);
    session = session_new(TPM2_SE_POLICY);
    assert_int_equal(tpm2_policy_nv_written(bench.tpm, session, false), TSS2_RC_SUCCESS);
    probe_attach(&probe);
    assert_int_equal(tpm2_nv_write(bench.tpm, &index.object, session, &data),
                     TPM_RC_ANSWER_REFUSED);
    probe_detach();
    tpm_session_flush(bench.tpm, session);
    assert_int_equal(nv_undefine(bench.tpm, NV_INDEX, &reason), 0);
    assert_int_equal(handle_count(TPM2_LOADED_SESSION_FIRST), 0);
}

/* A secret sealed under the storage root key, in `session` (NULL: none), with `wanted` looked for
 * on the wire. True if it was seen there. */
static bool sealing_shows(TpmSession *session, Bytes secret, TpmObject *ret)
{
    const TPM2B_PUBLIC template = {
        .publicArea = {.type = TPM2_ALG_KEYEDHASH,
                       .nameAlg = TPM2_ALG_SHA256,
                       .objectAttributes = TPMA_OBJECT_FIXEDTPM | TPMA_OBJECT_FIXEDPARENT |
                                           TPMA_OBJECT_USERWITHAUTH,
                       .parameters.keyedHashDetail.scheme.scheme = TPM2_ALG_NULL}};
    TPM2B_SENSITIVE_CREATE filled = {.sensitive.data.size = (UINT16)secret.size};
    Probe probe = {.wanted = secret};
    Reason reason = {0};
    TPM2B_PRIVATE private = {0};
    TPM2B_PUBLIC public = {0};
    TpmObject srk = {0};

    memcpy(filled.sensitive.data.buffer, secret.data, secret.size);
    assert_int_equal(tpm_srk_open(bench.tpm, false, &srk, &reason), 0);
    probe_attach(&probe);
    assert_int_equal(tpm2_create(bench.tpm, &srk, session, &filled, &template, &private, &public),
                     TSS2_RC_SUCCESS);
    probe_detach();
    assert_int_equal(tpm2_load(bench.tpm, &srk, session, &private, &public, ret), TSS2_RC_SUCCESS);
    tpm_hold(bench.tpm, ret->handle);
    return probe.seen;
}

static bool unsealing_shows(TpmSession *session, const TpmObject *sealed, Bytes secret)
{
    Probe probe = {.wanted = secret};
    TPM2B_SENSITIVE_DATA data = {0};

    probe_attach(&probe);
    assert_int_equal(tpm2_unseal(bench.tpm, sealed, session, &data), TSS2_RC_SUCCESS);
    probe_detach();
    assert_int_equal(data.size, secret.size);
    assert_memory_equal(data.buffer, secret.data, secret.size);
    return probe.seen;
}

static void assert_what_is_secret_is_seen_only_without_a_session(void)
{
    static const uint8_t secret[] = "a secret that is to be sealed";

    for (int protected = 0; protected < 2; protected ++) {
        TpmSession *session = protected ? session_new(TPM2_SE_HMAC) : NULL;
        TpmObject sealed = {0};

        /* Without a session it is seen, so that the probe is known to work. */
        assert_int_equal(sealing_shows(session, BYTES_OF(secret), &sealed), !protected);
        assert_int_equal(unsealing_shows(session, &sealed, BYTES_OF(secret)), !protected);
        tpm_object_release(bench.tpm, &sealed);
        tpm_session_flush(bench.tpm, session);
    }
}

static void what_goes_or_comes_as_a_first_parameter_is_not_to_be_read(void **state)
{
    (void)state;
    assert_what_is_secret_is_seen_only_without_a_session();
}

/* With a session, and in the clear, where more of a command has it. */
static void what_is_secret_goes_with_the_command_that_had_it(void **state)
{
    static const uint8_t secret[] = "a secret that is to be sealed";

    (void)state;
    for (int protected = 0; protected < 2; protected ++) {
        TpmSession *session = protected ? session_new(TPM2_SE_HMAC) : NULL;
        TpmObject sealed = {0};

        free_watch_begin(BYTES_OF(secret));
        (void)sealing_shows(session, BYTES_OF(secret), &sealed);
        (void)unsealing_shows(session, &sealed, BYTES_OF(secret));
        if (protected) /* what was deciphered, and the context of tss2-sys that it was put into */
            assert_true(free_watch_wiped() >= 2);
        assert_false(free_watch_end());
        tpm_object_release(bench.tpm, &sealed);
        tpm_session_flush(bench.tpm, session);
    }
}

static void a_sessions_key_does_not_stay_on_the_stack(void **state)
{
    TpmSession *session = session_new(TPM2_SE_HMAC);
    TPM2B_PUBLIC public;

    (void)state;
    key = signing_key_new(&public);
    free_watch_begin(secret_bytes(session->key));
    assert_int_equal(sign(session, &first_digest), TSS2_RC_SUCCESS);
    assert_true(free_watch_wiped() >= 2); /* for the command's HMAC, and for the answer's */
    assert_false(free_watch_end());
    tpm_session_flush(bench.tpm, session);
}

/* A bit of what is encrypted, flipped on its way, would be flipped in the plain text as well. */
/* In the secure heap, which is wiped as it is given back. */
static void a_session_that_has_ended_leaves_no_secret_in_memory(void **state)
{
    const size_t before = CRYPTO_secure_used();

    (void)state;
    TpmSession *session = session_new(TPM2_SE_HMAC);
    assert_true(CRYPTO_secure_used() > before);
    assert_int_equal(sign(session, &first_digest), TSS2_RC_SUCCESS);
    tpm_session_flush(bench.tpm, session);
    assert_int_equal(CRYPTO_secure_used(), before);
}

static void an_encrypted_answer_changed_on_the_way_is_refused(void **state)
{
    static const uint8_t secret[] = "a secret that is to be sealed";
    static const ProbeEdit edits[] = {
        {-ANSWER_DATA_END, 1},
        {-ANSWER_ATTRIBUTES, TPMA_SESSION_ENCRYPT},
    };
    TpmObject sealed = {0};

    (void)state;
    (void)sealing_shows(NULL, BYTES_OF(secret), &sealed);
    for (size_t i = 0; i < ELEMENTS(edits); i++) {
        Probe probe = {.command = TPM2_CC_Unseal, .answer = edits[i]};
        TpmSession *session = session_new(TPM2_SE_HMAC);
        TPM2B_SENSITIVE_DATA data = {0};

        probe_attach(&probe);
        assert_int_equal(tpm2_unseal(bench.tpm, &sealed, session, &data), TPM_RC_ANSWER_REFUSED);
        probe_detach();
        tpm_session_flush(bench.tpm, session);
    }
    tpm_object_release(bench.tpm, &sealed);
}

/* Whoever clears `encrypt` in the command wants to read the answer. */
static void an_answer_that_was_to_be_encrypted_does_not_come_in_the_clear(void **state)
{
    static const uint8_t secret[] = "a secret that is to be sealed";
    Probe probe = {
        .command = TPM2_CC_Unseal,
        .sent = {ATTRIBUTES_1_HANDLE, TPMA_SESSION_ENCRYPT},
        .wanted = BYTES_OF(secret),
    };
    TpmSession *session = session_new(TPM2_SE_HMAC);
    TPM2B_SENSITIVE_DATA data = {0};
    TpmObject sealed = {0};

    (void)state;
    (void)sealing_shows(NULL, BYTES_OF(secret), &sealed);
    probe_attach(&probe);
    assert_int_not_equal(tpm2_unseal(bench.tpm, &sealed, session, &data), TSS2_RC_SUCCESS);
    probe_detach();
    assert_false(probe.seen);
    tpm_session_flush(bench.tpm, session);
    tpm_object_release(bench.tpm, &sealed);
}

static void another_storage_root_key_is_not_trusted_with_a_salt(void **state)
{
    Reason reason = {0};
    TpmSession *session = NULL;
    Tpm *tpm = NULL;

    (void)state;
    tpm_object_release(bench.tpm, &key);
    tpm_close(bench.tpm);
    assert_int_equal(tpm_open(bench.swtpm.tcti, &tpm, &reason), 0);
    assert_int_equal(tpm_srk_name(tpm, &tpm->srk_name, &reason), 0);
    assert_int_equal(tpm_session_start(tpm, TPM2_SE_HMAC, &session, &reason), 0);
    tpm_session_flush(tpm, session);
    tpm_close(tpm);

    assert_int_equal(tpm_open(bench.swtpm.tcti, &tpm, &reason), 0);
    assert_int_equal(tpm_srk_name(tpm, &tpm->srk_name, &reason), 0);
    tpm->srk_name.name[5] ^= 1;
    assert_int_equal(tpm_session_start(tpm, TPM2_SE_HMAC, &session, &reason), -EIO);
    assert_non_null(strstr(reason.text, "storage root key"));
    tpm_close(tpm);
    bench.tpm = NULL;
    bench_reconnect();
}

/* The point G of P-256: a public key whose private key, 1, everybody knows. With its size before
 * y, as TPMS_ECC_POINT has it. */
static const uint8_t known_key[] = {
    0x6b, 0x17, 0xd1, 0xf2, 0xe1, 0x2c, 0x42, 0x47, 0xf8, 0xbc, 0xe6, 0xe5, 0x63, 0xa4,
    0x40, 0xf2, 0x77, 0x03, 0x7d, 0x81, 0x2d, 0xeb, 0x33, 0xa0, 0xf4, 0xa1, 0x39, 0x45,
    0xd8, 0x98, 0xc2, 0x96, 0x00, 0x20, 0x4f, 0xe3, 0x42, 0xe2, 0xfe, 0x1a, 0x7f, 0x9b,
    0x8e, 0xe7, 0xeb, 0x4a, 0x7c, 0x0f, 0x9e, 0x16, 0x2b, 0xce, 0x33, 0x57, 0x6b, 0x31,
    0x5e, 0xce, 0xcb, 0xb6, 0x40, 0x68, 0x37, 0xbf, 0x51, 0xf5,
};

static void point_g_set(TPMS_ECC_POINT *ret)
{
    enum { SIZE = 32 };

    ret->x.size = ret->y.size = SIZE;
    memcpy(ret->x.buffer, known_key, SIZE);
    memcpy(ret->y.buffer, known_key + SIZE + 2, SIZE);
}

static void another_public_area_under_the_expected_name_gets_no_salt(void **state)
{
    /* The header (10), outPublic's size (2), type, nameAlg (2 each), attributes (4), no authPolicy
     * (2), AES-128-CFB (6), no scheme (2), curve (2), no KDF (2), and the size of x (2). */
    enum { X_OFFSET = 10 + 2 + 2 + 2 + 4 + 2 + 6 + 2 + 2 + 2 + 2 };
    Probe probe = {
        .command = TPM2_CC_ReadPublic,
        .put_at = X_OFFSET,
        .put = BYTES_OF(known_key),
    };
    Reason reason = {0};
    TpmSession *session = NULL;
    TPM2B_NAME name;

    (void)state;
    assert_int_equal(tpm_srk_name(bench.tpm, &name, &reason), 0);
    bench_reconnect();
    bench.tpm->srk_name = name;
    probe_attach(&probe);
    assert_int_equal(tpm_session_start(bench.tpm, TPM2_SE_HMAC, &session, &reason), -EIO);
    probe_detach();
    assert_non_null(strstr(reason.text, "storage root key"));
    assert_int_equal(tpm_session_start(bench.tpm, TPM2_SE_HMAC, &session, &reason), 0);
    tpm_session_flush(bench.tpm, session);
}

/* The Name, which stands for the index in what is authorized, is that of another index. */
static void an_nv_index_whose_name_is_anothers_is_not_opened(void **state)
{
    const TPMS_NV_PUBLIC public = {
        .nvIndex = NV_INDEX,
        .nameAlg = TPM2_ALG_SHA256,
        .attributes = TPMA_NV_AUTHWRITE | TPMA_NV_AUTHREAD | TPMA_NV_NO_DA,
        .dataSize = NV_NUMBER_SIZE,
    };
    Probe probe = {.command = TPM2_CC_NV_ReadPublic, .answer = {-1, 1}}; /* it ends in the Name */
    Reason reason = {0};
    NvIndex index;

    (void)state;
    if (nv_define(bench.tpm, &public, &reason) < 0)
        fail_msg("%s", reason.text);
    probe_attach(&probe);
    assert_int_equal(nv_open(bench.tpm, public.nvIndex, &index, &reason), -EIO);
    probe_detach();
    assert_non_null(strstr(reason.text, "public area"));
    assert_int_equal(nv_open(bench.tpm, public.nvIndex, &index, &reason), 0);
    assert_int_equal(nv_undefine(bench.tpm, public.nvIndex, &reason), 0);
}

/* Another key each time. */
static TPM2B_PUBLIC storage_template(TPM2_ALG_ID type)
{
    static uint8_t number;
    static const TPMT_SYM_DEF_OBJECT cipher = {
        .algorithm = TPM2_ALG_AES,
        .keyBits.aes = 128,
        .mode.aes = TPM2_ALG_CFB,
    };
    TPM2B_PUBLIC template = {
        .publicArea = {.type = type,
                       .nameAlg = TPM2_ALG_SHA256,
                       .objectAttributes = TPMA_OBJECT_FIXEDTPM | TPMA_OBJECT_FIXEDPARENT |
                                           TPMA_OBJECT_SENSITIVEDATAORIGIN |
                                           TPMA_OBJECT_USERWITHAUTH | TPMA_OBJECT_RESTRICTED |
                                           TPMA_OBJECT_DECRYPT | TPMA_OBJECT_NODA}};

    if (type == TPM2_ALG_RSA) {
        template.publicArea.parameters.rsaDetail =
            (TPMS_RSA_PARMS){.symmetric = cipher, .scheme.scheme = TPM2_ALG_NULL, .keyBits = 2048};
    } else {
        template.publicArea.parameters.eccDetail = (TPMS_ECC_PARMS){.symmetric = cipher,
                                                                    .scheme.scheme = TPM2_ALG_NULL,
                                                                    .curveID = TPM2_ECC_NIST_P256,
                                                                    .kdf.scheme = TPM2_ALG_NULL};
        template.publicArea.unique.ecc.x = (TPM2B_ECC_PARAMETER){.size = 1, .buffer = {++number}};
    }
    return template;
}

/* Puts a storage key of that type, which is none of the product's making, in the place of the
 * storage root key. */
static void storage_root_key_replace(TPM2_ALG_ID type)
{
    const TPM2B_PUBLIC template = storage_template(type);
    Reason reason = {0};
    TpmObject old = {0}, primary = {0};
    TPM2B_PUBLIC public = {0};

    assert_int_equal(tpm_srk_open(bench.tpm, false, &old, &reason), 0);
    assert_int_equal(tpm2_evict_control(bench.tpm, &old, NULL, TPM_SRK_HANDLE), TSS2_RC_SUCCESS);
    assert_int_equal(
        tpm2_create_primary(bench.tpm, TPM2_RH_OWNER, NULL, &template, &public, &primary),
        TSS2_RC_SUCCESS);
    assert_int_equal(tpm2_evict_control(bench.tpm, &primary, NULL, TPM_SRK_HANDLE),
                     TSS2_RC_SUCCESS);
    tpm_object_release(bench.tpm, &primary);
}

static void a_storage_root_key_put_in_its_place_is_refused(void **state)
{
    static const TPM2_ALG_ID types[] = {TPM2_ALG_RSA, TPM2_ALG_ECC};

    (void)state;
    for (size_t i = 0; i < ELEMENTS(types); i++) {
        Reason reason = {0};
        TpmSession *session = NULL;
        TPM2B_NAME name;

        assert_int_equal(tpm_srk_name(bench.tpm, &name, &reason), 0);
        storage_root_key_replace(types[i]);
        bench_reconnect();
        bench.tpm->srk_name = name;
        assert_int_equal(tpm_session_start(bench.tpm, TPM2_SE_HMAC, &session, &reason), -EIO);
        assert_non_null(strstr(reason.text, "not the one that this device was provisioned with"));
        assert_int_equal(handle_count(TPM2_LOADED_SESSION_FIRST), 0);
        bench_reconnect();
    }
}

/* One that the TPM has exchanged since we read it: the salt is for a key that it no longer has. */
static void a_session_salted_for_a_key_that_has_gone_authorizes_nothing(void **state)
{
    const TPM2B_MAX_NV_BUFFER data = {.size = NV_NUMBER_SIZE};
    const TPMS_NV_PUBLIC public = {
        .nvIndex = NV_INDEX,
        .nameAlg = TPM2_ALG_SHA256,
        .attributes = TPMA_NV_AUTHWRITE | TPMA_NV_AUTHREAD | TPMA_NV_NO_DA,
        .dataSize = NV_NUMBER_SIZE,
    };
    Reason reason = {0};
    TpmSession *session = NULL;
    NvIndex index;
    TpmObject old;

    (void)state;
    if (nv_define(bench.tpm, &public, &reason) < 0 ||
        nv_open(bench.tpm, NV_INDEX, &index, &reason) < 0)
        fail_msg("%s", reason.text);
    old = bench.tpm->salt_key;
    assert_int_not_equal(old.handle, TPM_NO_HANDLE);
    storage_root_key_replace(TPM2_ALG_ECC);
    if (tpm_session_start(bench.tpm, TPM2_SE_HMAC, &session, &reason) == 0) {
        assert_int_equal(tpm_rc_base(tpm2_nv_write(bench.tpm, &index.object, session, &data)),
                         TPM2_RC_BAD_AUTH);
        tpm_session_flush(bench.tpm, session);
    }
    bench_reconnect();
    assert_int_equal(nv_undefine(bench.tpm, NV_INDEX, &reason), 0);
}

static void sessions_are_salted_with_rsa_and_with_elliptic_curves(void **state)
{
    static const TPM2_ALG_ID types[] = {TPM2_ALG_RSA, TPM2_ALG_ECC};

    (void)state;
    for (size_t i = 0; i < ELEMENTS(types); i++) {
        TpmSession *session;

        storage_root_key_replace(types[i]);
        bench_reconnect();
        session = session_new(TPM2_SE_HMAC);
        assert_non_null(session->key);
        assert_true(session->attributes & TPMA_SESSION_DECRYPT);
        assert_true(session->attributes & TPMA_SESSION_ENCRYPT);
        tpm_session_flush(bench.tpm, session);
        for (int round = 0; round < 20; round++)
            assert_what_is_secret_is_seen_only_without_a_session();
    }
}

/* In a factory, where the key is yet to be made. */
/* An index that is written under TPM2_PolicyNvWritten(no). */
static void assert_unsalted_sessions_authorize(Tpm *tpm)
{
    static const TPM2B_MAX_NV_BUFFER data = {.size = 8};
    TPMS_NV_PUBLIC public = {
        .nvIndex = 0x01800123,
        .nameAlg = TPM2_ALG_SHA256,
        .attributes = TPMA_NV_POLICYWRITE | TPMA_NV_AUTHREAD | TPMA_NV_NO_DA,
        .dataSize = 8,
    };
    const TPM2B_AUTH new = {.size = 8, .buffer = "password"}, none = {0};
    TpmSession *session = NULL;
    Reason reason = {0};
    NvIndex index;

    assert_int_equal(tpm_session_start(tpm, TPM2_SE_TRIAL, &session, &reason), 0);
    assert_int_equal(tpm2_policy_nv_written(tpm, session, false), TSS2_RC_SUCCESS);
    assert_int_equal(tpm2_policy_get_digest(tpm, session, &public.authPolicy), TSS2_RC_SUCCESS);
    tpm_session_flush(tpm, session);
    assert_int_equal(nv_define(tpm, &public, &reason), 0);
    assert_int_equal(nv_open(tpm, public.nvIndex, &index, &reason), 0);
    assert_int_equal(tpm_session_start(tpm, TPM2_SE_POLICY, &session, &reason), 0);
    assert_null(session->key);
    assert_int_equal(tpm2_policy_nv_written(tpm, session, false), TSS2_RC_SUCCESS);
    assert_int_equal(tpm2_nv_write(tpm, &index.object, session, &data), TSS2_RC_SUCCESS);
    tpm_session_flush(tpm, session);
    /* The answer's HMAC has a key: the new authValue. */
    assert_int_equal(tpm_session_start(tpm, TPM2_SE_HMAC, &session, &reason), 0);
    assert_int_equal(tpm2_hierarchy_change_auth(tpm, TPM2_RH_OWNER, session, &new),
                     TSS2_RC_SUCCESS);
    tpm_session_flush(tpm, session);
    assert_int_equal(tpm2_owner_change_auth(tpm, &new, &none), TSS2_RC_SUCCESS);
}

static void without_a_storage_root_key_a_session_is_not_said_to_encrypt(void **state)
{
    /* G is as good a public key as any; the signature is nobody's. */
    TPM2B_PUBLIC public = {
        .publicArea = {.type = TPM2_ALG_ECC,
                       .nameAlg = TPM2_ALG_SHA256,
                       .objectAttributes = TPMA_OBJECT_SIGN_ENCRYPT | TPMA_OBJECT_USERWITHAUTH,
                       .parameters.eccDetail = {.symmetric.algorithm = TPM2_ALG_NULL,
                                                .scheme.scheme = TPM2_ALG_NULL,
                                                .curveID = TPM2_ECC_NIST_P256,
                                                .kdf.scheme = TPM2_ALG_NULL}}};
    const TPMT_SIGNATURE signature = {
        .sigAlg = TPM2_ALG_ECDSA,
        .signature.ecdsa = {.hash = TPM2_ALG_SHA256,
                            .signatureR = {.size = 1, .buffer = {1}},
                            .signatureS = {.size = 1, .buffer = {1}}}};
    TPMT_TK_VERIFIED ticket = {0};
    TpmObject object = {0};
    Reason reason = {0};
    TpmSession *session = NULL;
    Tpm *tpm = NULL;
    Swtpm swtpm;

    (void)state;
    point_g_set(&public.publicArea.unique.ecc);
    assert_int_equal(swtpm_start(&swtpm), 0);
    assert_int_equal(tpm_open(swtpm.tcti, &tpm, &reason), 0);
    assert_int_equal(tpm_session_start(tpm, TPM2_SE_HMAC, &session, &reason), 0);
    assert_null(session->key);
    assert_int_equal(session->attributes, TPMA_SESSION_CONTINUESESSION);
    /* It may stand where it would only protect, and protects nothing. */
    assert_int_equal(tpm2_load_external(tpm, &public, TPM2_RH_OWNER, &object), TSS2_RC_SUCCESS);
    assert_int_equal(tpm_rc_base(tpm2_verify_signature(tpm, &object, session, &first_digest,
                                                       &signature, &ticket)),
                     TPM2_RC_SIGNATURE);
    tpm_session_flush(tpm, session);
    /* It authorizes all the same: with an HMAC, which a policy session has none of. */
    assert_unsalted_sessions_authorize(tpm);
    /* But one that was provisioned with a key is not taken without it. */
    tpm->srk_name = (TPM2B_NAME){.size = 34};
    assert_int_equal(tpm_session_start(tpm, TPM2_SE_HMAC, &session, &reason), -ESTALE);
    tpm_close(tpm);
    swtpm_stop(&swtpm);
}

static void a_session_that_ends_with_its_command_is_known_to_have_ended(void **state)
{
    const TPM2B_NONCE *nonce;
    TPM2B_NONCE before;
    TpmSession *session = session_new(TPM2_SE_HMAC);
    TPM2B_PUBLIC public;

    (void)state;
    key = signing_key_new(&public);
    nonce = &session->nonce_tpm;
    before = *nonce;
    assert_int_equal(sign(session, &first_digest), TSS2_RC_SUCCESS);
    assert_memory_not_equal(nonce->buffer, before.buffer, TPM_HASH_SIZE);
    assert_int_equal(handle_count(TPM2_LOADED_SESSION_FIRST), 1);
    session->attributes = 0; /* it ends with the next command that it authorizes */
    assert_int_equal(sign(session, &first_digest), TSS2_RC_SUCCESS);
    assert_int_equal(session->object.handle, TPM_NO_HANDLE);
    assert_int_equal(handle_count(TPM2_LOADED_SESSION_FIRST), 0);
    tpm_session_flush(bench.tpm, session);
}

/* nonceCaller: after the header (10), the handle, the area's size, the session's handle and the
 * nonce's size. */
static void each_command_in_a_session_has_a_nonce_of_its_own(void **state)
{
    Probe probe = {.command = TPM2_CC_Sign, .taken_at = 10 + 4 + 4 + 4 + 2};
    TpmSession *session = session_new(TPM2_SE_HMAC);
    uint8_t nonces[VARYING_DRAWS][sizeof(probe.taken)];

    (void)state;
    probe_attach(&probe);
    for (size_t i = 0; i < VARYING_DRAWS; i++) {
        assert_int_equal(sign(session, &first_digest), TSS2_RC_SUCCESS);
        memcpy(nonces[i], probe.taken, sizeof(nonces[i]));
    }
    probe_detach();
    assert_each_octet_varies(nonces, sizeof(nonces[0]));
    tpm_session_flush(bench.tpm, session);
}

/* TPM2_StartAuthSession: the header (10), two handles, nonceCaller (2 + 32), encryptedSalt, of
 * which the first octets of the ephemeral point's x coordinate are taken (2 + 2). */
static void each_session_begins_with_a_nonce_and_a_salt_of_its_own(void **state)
{
    static const size_t at[] = {10 + 4 + 4 + 2, 10 + 4 + 4 + 2 + 32 + 2 + 2};

    (void)state;
    for (size_t i = 0; i < ELEMENTS(at); i++) {
        Probe probe = {.command = TPM2_CC_StartAuthSession, .taken_at = at[i]};
        uint8_t draws[VARYING_DRAWS][sizeof(probe.taken)];

        probe_attach(&probe);
        for (size_t j = 0; j < VARYING_DRAWS; j++) {
            tpm_session_flush(bench.tpm, session_new(TPM2_SE_HMAC));
            memcpy(draws[j], probe.taken, sizeof(draws[j]));
        }
        probe_detach();
        assert_each_octet_varies(draws, sizeof(draws[0]));
    }
}

/* The attributes in an answer of TPM2_ReadPublic: after the header (10), the size (2), type (2) and
 * nameAlg (2). The storage root key is right but for one of them. */
static void a_parent_that_is_wrong_in_one_attribute_is_no_parent(void **state)
{
    static const struct {
        long octet;
        uint32_t attribute;
    } wrong[] = {
        {3, TPMA_OBJECT_FIXEDTPM},
        {3, TPMA_OBJECT_FIXEDPARENT},
        {3, TPMA_OBJECT_SENSITIVEDATAORIGIN},
        {3, TPMA_OBJECT_USERWITHAUTH},
        {1, TPMA_OBJECT_RESTRICTED},
        {1, TPMA_OBJECT_DECRYPT},
        {1, TPMA_OBJECT_SIGN_ENCRYPT},
    };
    enum { ATTRIBUTES = 10 + 2 + 2 + 2 };
    Reason reason = {0};
    TpmObject parent = {0};

    (void)state;
    for (size_t i = 0; i < ELEMENTS(wrong); i++) {
        Probe probe = {
            .command = TPM2_CC_ReadPublic,
            .answer = {.at = ATTRIBUTES + wrong[i].octet,
                       .mask = (uint8_t)(wrong[i].attribute >> 8 * (3 - wrong[i].octet))},
        };

        bench_reconnect();
        probe_attach(&probe);
        assert_int_equal(tpm_srk_open(bench.tpm, false, &parent, &reason), -EIO);
        assert_non_null(strstr(reason.text, "is not a storage key that only this TPM can use"));
        probe_detach();
        assert_int_equal(tpm_srk_open(bench.tpm, false, &parent, &reason), 0);
        tpm_object_release(bench.tpm, &parent);
    }
}

static void a_session_without_a_salt_is_none_and_says_whether_memory_was_lacking(void **state)
{
    static const int errors[] = {-ENOMEM, -EIO};

    (void)state;
    for (size_t i = 0; i < ELEMENTS(errors); i++) {
        TpmSession *session = NULL;
        Reason reason = {0};

        share_fails_with = errors[i];
        assert_int_equal(tpm_session_start(bench.tpm, TPM2_SE_HMAC, &session, &reason), -EIO);
        share_fails_with = 0;
        assert_null(session);
        assert_int_equal(strstr(reason.text, "no memory left") != NULL, errors[i] == -ENOMEM);
    }
}

#define SESSION_TEST(name) cmocka_unit_test_teardown(name, probe_remove)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SESSION_TEST(a_session_without_a_salt_is_none_and_says_whether_memory_was_lacking),
        SESSION_TEST(without_random_numbers_there_is_no_session_and_no_command_in_one),
        SESSION_TEST(each_command_in_a_session_has_a_nonce_of_its_own),
        SESSION_TEST(each_session_begins_with_a_nonce_and_a_salt_of_its_own),
        SESSION_TEST(a_digest_changed_on_the_way_is_not_signed),
        SESSION_TEST(a_scheme_changed_on_the_way_is_not_signed_with),
        SESSION_TEST(a_nonce_changed_on_the_way_is_refused),
        SESSION_TEST(a_signature_changed_on_the_way_is_not_believed),
        SESSION_TEST(an_answer_with_another_nonce_or_hmac_is_not_believed),
        SESSION_TEST(an_attribute_cleared_in_the_command_is_refused),
        SESSION_TEST(an_attribute_cleared_in_the_answer_is_refused),
        SESSION_TEST(an_answer_without_an_authorization_is_refused),
        SESSION_TEST(an_answer_whose_authorization_is_cut_short_is_no_tpms),
        SESSION_TEST(the_answer_to_the_command_before_is_refused),
        SESSION_TEST(a_policy_sessions_answer_is_authenticated_as_well),
        SESSION_TEST(what_goes_or_comes_as_a_first_parameter_is_not_to_be_read),
        SESSION_TEST(a_session_that_has_ended_leaves_no_secret_in_memory),
        SESSION_TEST(an_encrypted_answer_changed_on_the_way_is_refused),
        SESSION_TEST(an_answer_that_was_to_be_encrypted_does_not_come_in_the_clear),
        SESSION_TEST(another_storage_root_key_is_not_trusted_with_a_salt),
        SESSION_TEST(another_public_area_under_the_expected_name_gets_no_salt),
        SESSION_TEST(an_nv_index_whose_name_is_anothers_is_not_opened),
        SESSION_TEST(a_storage_root_key_put_in_its_place_is_refused),
        SESSION_TEST(a_session_salted_for_a_key_that_has_gone_authorizes_nothing),
        SESSION_TEST(sessions_are_salted_with_rsa_and_with_elliptic_curves),
        SESSION_TEST(without_a_storage_root_key_a_session_is_not_said_to_encrypt),
        SESSION_TEST(a_sessions_key_does_not_stay_on_the_stack),
        SESSION_TEST(what_is_secret_goes_with_the_command_that_had_it),
        SESSION_TEST(a_parent_that_is_wrong_in_one_attribute_is_no_parent),
        SESSION_TEST(a_session_that_ends_with_its_command_is_known_to_have_ended),
    };

    return cmocka_run_group_tests(tests, group_init, group_deinit);
}
