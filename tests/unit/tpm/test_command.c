/* Commands and their sessions are those of TPM 2.0, as the TPM and another implementation of them
 * see it: Names, parameter encryption, and several sessions in one command. */
#include "tpm/command.h"

#include "base/reason.h"
#include "probe.h"
#include "tpm/nv.h"
#include "tpm/session.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <tss2/tss2_esys.h>

#include <cmocka.h>

enum { NV_INDEX = 0x01801120, NV_SIZE = 48 };

static const TPMS_NV_PUBLIC nv_public = {
    .nvIndex = NV_INDEX,
    .nameAlg = TPM2_ALG_SHA256,
    .attributes = TPMA_NV_AUTHWRITE | TPMA_NV_AUTHREAD | TPMA_NV_NO_DA,
    .dataSize = NV_SIZE,
};

static Reason reason;

static void must(int r)
{
    if (r < 0)
        fail_msg("%s", reason.text);
}

static int index_define(void **state)
{
    (void)state;
    return nv_define(bench.tpm, &nv_public, &reason);
}

static int index_undefine(void **state)
{
    (void)probe_remove(state);
    return nv_undefine(bench.tpm, NV_INDEX, &reason);
}

/* Another implementation on the same way to the TPM. */
static ESYS_CONTEXT *esys_new(void)
{
    ESYS_CONTEXT *esys = NULL;

    assert_int_equal(Esys_Initialize(&esys, bench.tpm->tcti, NULL), TSS2_RC_SUCCESS);
    return esys;
}

static void assert_name(const TPM2B_NAME *computed, const TPM2B_NAME *told)
{
    assert_int_equal(computed->size, told->size);
    assert_memory_equal(computed->name, told->name, told->size);
}

/* The Name of an object as the TPM tells it, by somebody else's command. */
static void assert_object_name(ESYS_CONTEXT *esys, const TpmObject *object)
{
    ESYS_TR resource = ESYS_TR_NONE;
    TPM2B_PUBLIC *public = NULL;
    TPM2B_NAME *name = NULL, *qualified = NULL;
    TPM2B_NAME computed = {0};

    assert_int_equal(Esys_TR_FromTPMPublic(esys, object->handle, ESYS_TR_NONE, ESYS_TR_NONE,
                                           ESYS_TR_NONE, &resource),
                     TSS2_RC_SUCCESS);
    assert_int_equal(Esys_ReadPublic(esys, resource, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE,
                                     &public, &name, &qualified),
                     TSS2_RC_SUCCESS);
    assert_int_equal(tpm_object_name(public, &computed), 0);
    assert_name(&computed, name);
    assert_name(&object->name, name);
    Esys_Free(public);
    Esys_Free(name);
    Esys_Free(qualified);
}

static void the_names_of_objects_are_those_that_the_tpm_computes(void **state)
{
    ESYS_CONTEXT *esys = esys_new();
    TPM2B_PUBLIC public = {0};
    TpmObject object = {0};

    (void)state;
    must(tpm_srk_open(bench.tpm, false, &object, &reason));
    assert_object_name(esys, &object);
    object = signing_key_new(&public);
    assert_object_name(esys, &object);
    tpm_object_release(bench.tpm, &object);
    must(tpm_parent_open(bench.tpm, TPM2_RH_OWNER, &object, &reason));
    assert_object_name(esys, &object);
    tpm_object_release(bench.tpm, &object);
    Esys_Finalize(&esys);
}

/* It changes as the index is written. */
static void the_names_of_nv_indices_are_those_that_the_tpm_computes(void **state)
{
    static const uint8_t octets[NV_SIZE] = {1};

    (void)state;
    for (int written = 0; written < 2; written++) {
        TPMS_NV_PUBLIC public = {0};
        TPM2B_NAME told = {0};
        NvIndex index;

        must(nv_open(bench.tpm, NV_INDEX, &index, &reason));
        assert_int_equal(tpm2_nv_read_public(bench.tpm, NV_INDEX, &public, &told), TSS2_RC_SUCCESS);
        assert_name(&index.object.name, &told);
        assert_int_equal((public.attributes & TPMA_NV_WRITTEN) != 0, written);
        if (!written)
            must(nv_write(bench.tpm, &index, NULL, BYTES_OF(octets), &reason));
    }
}

static void the_name_of_a_permanent_handle_is_the_handle(void **state)
{
    static const uint8_t owner[] = {0x40, 0, 0, 1};
    const TpmObject object = tpm_permanent(TPM2_RH_OWNER);

    (void)state;
    assert_int_equal(object.handle, TPM2_RH_OWNER);
    assert_int_equal(object.name.size, sizeof(owner));
    assert_memory_equal(object.name.name, owner, sizeof(owner));
}

static void another_name_algorithm_has_no_name_here(void **state)
{
    TPM2B_PUBLIC public = {.publicArea = {.type = TPM2_ALG_ECC, .nameAlg = TPM2_ALG_SHA384}};
    TPMS_NV_PUBLIC index = nv_public;
    TPM2B_NAME name;

    (void)state;
    index.nameAlg = TPM2_ALG_SHA384;
    assert_true(tpm_nv_name(&index, &name) < 0);
    assert_true(tpm_object_name(&public, &name) < 0);
}

/* ESYS's own session on the same storage root key, which encrypts both ways. */
static ESYS_TR esys_session(ESYS_CONTEXT *esys)
{
    static const TPMT_SYM_DEF cipher = {
        .algorithm = TPM2_ALG_AES,
        .keyBits.aes = 128,
        .mode.aes = TPM2_ALG_CFB,
    };
    const TPMA_SESSION attributes =
        TPMA_SESSION_CONTINUESESSION | TPMA_SESSION_DECRYPT | TPMA_SESSION_ENCRYPT;
    ESYS_TR srk = ESYS_TR_NONE, session = ESYS_TR_NONE;

    assert_int_equal(
        Esys_TR_FromTPMPublic(esys, TPM_SRK_HANDLE, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, &srk),
        TSS2_RC_SUCCESS);
    assert_int_equal(Esys_StartAuthSession(esys, srk, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE,
                                           ESYS_TR_NONE, NULL, TPM2_SE_HMAC, &cipher,
                                           TPM2_ALG_SHA256, &session),
                     TSS2_RC_SUCCESS);
    assert_int_equal(Esys_TRSess_SetAttributes(esys, session, attributes, 0xff), TSS2_RC_SUCCESS);
    return session;
}

static void what_one_implementation_writes_encrypted_the_other_reads(void **state)
{
    static const uint8_t ours[NV_SIZE] = "written in a session of our own, read by ESYS";
    TPM2B_MAX_NV_BUFFER theirs = {.size = NV_SIZE, .buffer = "written by ESYS, read by us"};
    Probe probe = {.wanted = {ours, 16}};
    ESYS_CONTEXT *esys = esys_new();
    const ESYS_TR session = esys_session(esys);
    TPM2B_MAX_NV_BUFFER *read = NULL;
    ESYS_TR resource = ESYS_TR_NONE;
    uint8_t found[NV_SIZE];
    NvIndex index;

    (void)state;
    must(nv_open(bench.tpm, NV_INDEX, &index, &reason));
    probe_attach(&probe);
    must(nv_write(bench.tpm, &index, NULL, BYTES_OF(ours), &reason));
    assert_int_equal(
        Esys_TR_FromTPMPublic(esys, NV_INDEX, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, &resource),
        TSS2_RC_SUCCESS);
    assert_int_equal(Esys_NV_Read(esys, resource, resource, session, ESYS_TR_NONE, ESYS_TR_NONE,
                                  NV_SIZE, 0, &read),
                     TSS2_RC_SUCCESS);
    probe_detach();
    assert_false(probe.seen);
    assert_int_equal(read->size, NV_SIZE);
    assert_memory_equal(read->buffer, ours, NV_SIZE);
    Esys_Free(read);

    probe = (Probe){.wanted = {theirs.buffer, 16}};
    probe_attach(&probe);
    assert_int_equal(
        Esys_NV_Write(esys, resource, resource, session, ESYS_TR_NONE, ESYS_TR_NONE, &theirs, 0),
        TSS2_RC_SUCCESS);
    must(nv_open(bench.tpm, NV_INDEX, &index, &reason)); /* written, it has another Name */
    must(nv_read(bench.tpm, &index, found, NV_SIZE, &reason));
    probe_detach();
    assert_false(probe.seen);
    assert_memory_equal(found, theirs.buffer, NV_SIZE);
    assert_int_equal(Esys_FlushContext(esys, session), TSS2_RC_SUCCESS);
    Esys_Finalize(&esys);
}

/* TPM2_Create, whose first parameters can be encrypted both ways, of a sealed object in sessions of
 * one's choice: the first authorizes. */
static TSS2_RC seal_in(TpmSession *const *sessions, const TPM2B_SENSITIVE_DATA *secret,
                       TPM2B_PRIVATE *ret_private, TPM2B_PUBLIC *ret_public)
{
    static const TPM2B_PUBLIC template = {
        .publicArea = {.type = TPM2_ALG_KEYEDHASH,
                       .nameAlg = TPM2_ALG_SHA256,
                       .objectAttributes = TPMA_OBJECT_FIXEDTPM | TPMA_OBJECT_FIXEDPARENT |
                                           TPMA_OBJECT_USERWITHAUTH,
                       .parameters.keyedHashDetail.scheme.scheme = TPM2_ALG_NULL}};
    static const TPM2B_DATA outside_info = {0};
    static const TPML_PCR_SELECTION creation_pcr = {0};
    _cleanup_(tpm_command_freep) TpmCommand *command = tpm_command_new(bench.tpm);
    const TPM2B_SENSITIVE_CREATE sensitive = {.sensitive.data = *secret};
    TPM2B_CREATION_DATA data = {0};
    TPM2B_DIGEST hash = {0};
    TPMT_TK_CREATION ticket = {0};
    TpmObject srk = {0};
    TpmFrame frame = {.handles = {&srk}, .n_authorized = 1, .sized_answer = true};
    TSS2_RC rc;

    assert_non_null(command);
    must(tpm_srk_open(bench.tpm, false, &srk, &reason));
    memcpy(frame.sessions, sessions, sizeof(frame.sessions));
    assert_int_equal(Tss2_Sys_Create_Prepare(tpm_command_sys(command), srk.handle, &sensitive,
                                             &template, &outside_info, &creation_pcr),
                     TSS2_RC_SUCCESS);
    rc = tpm_command_run(command, &frame);
    if (rc == TSS2_RC_SUCCESS) {
        rc = Tss2_Sys_Create_Complete(tpm_command_sys(command), ret_private, ret_public, &data,
                                      &hash, &ticket);
    }
    return rc;
}

static TPM2B_SENSITIVE_DATA unseal(const TPM2B_PRIVATE *private, const TPM2B_PUBLIC *public)
{
    TPM2B_SENSITIVE_DATA found = {0};
    TpmObject srk = {0}, sealed = {0};

    must(tpm_srk_open(bench.tpm, false, &srk, &reason));
    assert_int_equal(tpm2_load(bench.tpm, &srk, NULL, private, public, &sealed), TSS2_RC_SUCCESS);
    tpm_hold(bench.tpm, sealed.handle);
    assert_int_equal(tpm2_unseal(bench.tpm, &sealed, NULL, &found), TSS2_RC_SUCCESS);
    tpm_object_release(bench.tpm, &sealed);
    return found;
}

/* What stands at a place of a command: an empty password, or a session with these attributes. */
typedef enum Place {
    NOTHING,
    PASSWORD,
    PLAIN,
    DECRYPTS,
    ENCRYPTS,
    BOTH,
} Place;

static void places_fill(const Place *places, TpmSession **ret)
{
    static const TPMA_SESSION attributes[] = {
        [PLAIN] = 0,
        [DECRYPTS] = TPMA_SESSION_DECRYPT,
        [ENCRYPTS] = TPMA_SESSION_ENCRYPT,
        [BOTH] = TPMA_SESSION_DECRYPT | TPMA_SESSION_ENCRYPT,
    };

    for (size_t i = 0; i < TPM_SESSIONS_MAX; i++) {
        ret[i] = places[i] >= PLAIN ? session_new(TPM2_SE_HMAC) : NULL;
        if (ret[i])
            ret[i]->attributes = TPMA_SESSION_CONTINUESESSION | attributes[places[i]];
    }
}

/* The nonces of those that encrypt stand in the first one's HMAC (TPM 2.0 Part 1, 19.6.5), else
 * the TPM would refuse it; and what the TPM gives would be no object that it loads again. */
static void sessions_beside_the_one_that_authorizes_encrypt(void **state)
{
    const TPM2B_SENSITIVE_DATA secret = {.size = 24, .buffer = "not to be seen on a bus"};
    static const Place sets[][TPM_SESSIONS_MAX] = {
        {BOTH},
        {PASSWORD, BOTH},
        {PLAIN, BOTH},
        {DECRYPTS, ENCRYPTS},
        {ENCRYPTS, DECRYPTS},
        {PASSWORD, DECRYPTS, ENCRYPTS},
        {PLAIN, DECRYPTS, ENCRYPTS},
        {PLAIN, ENCRYPTS, DECRYPTS},
    };

    (void)state;
    for (size_t i = 0; i < ELEMENTS(sets); i++) {
        Probe probe = {.wanted = {secret.buffer, secret.size}};
        TpmSession *sessions[TPM_SESSIONS_MAX];
        TPM2B_SENSITIVE_DATA found;
        TPM2B_PRIVATE private = {0};
        TPM2B_PUBLIC public = {0};

        places_fill(sets[i], sessions);
        probe_attach(&probe);
        assert_int_equal(seal_in(sessions, &secret, &private, &public), TSS2_RC_SUCCESS);
        probe_detach();
        assert_false(probe.seen);
        for (size_t j = 0; j < TPM_SESSIONS_MAX; j++)
            tpm_session_flush(bench.tpm, sessions[j]);
        found = unseal(&private, &public);
        assert_int_equal(found.size, secret.size);
        assert_memory_equal(found.buffer, secret.buffer, secret.size);
    }
}

/* The answer to TPM2_HierarchyChangeAuth is authenticated with the new value (TPM 2.0 Part 3,
 * 24.8). */
static void a_new_auth_value_counts_in_the_answer_already(void **state)
{
    const TPM2B_AUTH new = {.size = 4, .buffer = {1, 2, 3, 4}}, none = {0};
    TpmSession *session = session_new(TPM2_SE_HMAC);

    (void)state;
    assert_int_equal(tpm2_hierarchy_change_auth(bench.tpm, TPM2_RH_OWNER, session, &new),
                     TSS2_RC_SUCCESS);
    tpm_session_flush(bench.tpm, session);
    assert_int_equal(tpm2_owner_change_auth(bench.tpm, &new, &none), TSS2_RC_SUCCESS);
}

static void an_error_comes_back_as_the_tpm_says_it_and_harms_no_session(void **state)
{
    static const TPM2B_MAX_NV_BUFFER data = {.size = NV_SIZE};
    TpmSession *session = session_new(TPM2_SE_HMAC);
    TPM2B_MAX_NV_BUFFER found = {0};
    TPM2B_PUBLIC public = {0};
    TpmObject object = {0};
    NvIndex index;

    (void)state;
    assert_int_equal(tpm2_read_public(bench.tpm, 0x81000055, &public, &object),
                     TPM2_RC_HANDLE | TPM2_RC_1);
    must(nv_open(bench.tpm, NV_INDEX, &index, &reason));
    assert_int_equal(
        tpm2_nv_read(bench.tpm, &index.object, &index.object, session, NV_SIZE, 0, &found),
        TPM2_RC_NV_UNINITIALIZED);
    assert_int_equal(tpm2_nv_write(bench.tpm, &index.object, session, &data), TSS2_RC_SUCCESS);
    tpm_session_flush(bench.tpm, session);
}

/* Of a command with a password nothing is authenticated, yet it was answered or it was not. The
 * session's attributes stand before the size of its HMAC, which is empty. */
static void the_answer_to_a_password_has_an_authorization_of_any_attributes(void **state)
{
    static const TPM2B_MAX_NV_BUFFER data = {.size = NV_SIZE};
    Probe stripped = {.command = TPM2_CC_NV_Write, .strip = true};
    Probe changed = {.command = TPM2_CC_NV_Write, .answer = {-3, TPMA_SESSION_CONTINUESESSION}};
    NvIndex index;

    (void)state;
    must(nv_open(bench.tpm, NV_INDEX, &index, &reason));
    probe_attach(&stripped);
    assert_int_equal(tpm2_nv_write(bench.tpm, &index.object, NULL, &data), TPM_RC_ANSWER_REFUSED);
    probe_detach();
    must(nv_open(bench.tpm, NV_INDEX, &index, &reason));
    probe_attach(&changed);
    assert_int_equal(tpm2_nv_write(bench.tpm, &index.object, NULL, &data), TSS2_RC_SUCCESS);
    probe_detach();
}

/* A list of algorithms is none of handles, however much of it there is. */
static void an_answer_about_another_capability_is_refused(void **state)
{
    enum { CAPABILITY_END = 10 + 1 + 4 - 1 }; /* the header, moreData, and the capability */
    Probe probe = {
        .command = TPM2_CC_GetCapability,
        .answer = {CAPABILITY_END, TPM2_CAP_ALGS ^ TPM2_CAP_HANDLES},
    };
    TPMS_CAPABILITY_DATA data = {0};

    (void)state;
    probe_attach(&probe);
    assert_int_equal(
        tpm2_get_capability(bench.tpm, NULL, TPM2_CAP_HANDLES, TPM2_PERSISTENT_FIRST, 8, &data),
        TSS2_SYS_RC_MALFORMED_RESPONSE);
    probe_detach();
    assert_int_equal(
        tpm2_get_capability(bench.tpm, NULL, TPM2_CAP_HANDLES, TPM2_PERSISTENT_FIRST, 8, &data),
        TSS2_RC_SUCCESS);
    assert_int_equal(data.data.handles.count, 1);
}

static TSS2_RC permanent_read(TpmSession *session, uint32_t *ret)
{
    TPMS_CAPABILITY_DATA data = {0};
    const TSS2_RC rc = tpm2_get_capability(bench.tpm, session, TPM2_CAP_TPM_PROPERTIES,
                                           TPM2_PT_PERMANENT, 1, &data);

    *ret = data.data.tpmProperties.tpmProperty[0].value;
    return rc;
}

/* Nothing of such an answer is encrypted: the session audits (TPM 2.0 Part 3, 5.5), alone in the
 * TPM's eyes, or after another command no longer. */
static void a_capability_read_in_a_session_is_the_one_that_the_tpm_gave(void **state)
{
    enum { VALUE_END = 10 + 4 + 1 + 4 + 4 + 4 + 4 - 1, HMAC_AND_SIZE = 2 + TPM_HASH_SIZE };
    static const ProbeEdit edits[] = {
        {VALUE_END, TPMA_PERMANENT_OWNERAUTHSET},
        {-1, 1},                                           /* the HMAC */
        {-HMAC_AND_SIZE - 1, TPMA_SESSION_AUDITEXCLUSIVE}, /* said, and not meant */
        {-HMAC_AND_SIZE - 1, TPMA_SESSION_AUDIT},
    };
    TpmSession *session = session_new(TPM2_SE_HMAC);
    uint32_t plain, audited;

    (void)state;
    assert_int_equal(permanent_read(NULL, &plain), TSS2_RC_SUCCESS);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(permanent_read(session, &audited), TSS2_RC_SUCCESS);
        assert_int_equal(audited, plain);
        if (i == 1)
            assert_int_equal(permanent_read(NULL, &plain), TSS2_RC_SUCCESS);
    }
    tpm_session_flush(bench.tpm, session);
    for (size_t i = 0; i < ELEMENTS(edits); i++) {
        Probe probe = {.command = TPM2_CC_GetCapability, .answer = edits[i]};

        session = session_new(TPM2_SE_HMAC);
        probe_attach(&probe);
        assert_int_equal(permanent_read(session, &audited), TPM_RC_ANSWER_REFUSED);
        probe_detach();
        tpm_session_flush(bench.tpm, session);
    }
}

static void more_octets_than_the_tpm_takes_at_once_are_not_written(void **state)
{
    static const uint8_t octets[sizeof(((TPM2B_MAX_NV_BUFFER *)NULL)->buffer) + 1];
    NvIndex index = {0};
    Reason why = {0};

    (void)state;
    assert_int_equal(nv_write(bench.tpm, &index, NULL, BYTES_OF(octets), &why), -EIO);
    assert_non_null(strstr(why.text, "do not fit into an NV index"));
}

#define NV_TEST(name) cmocka_unit_test_setup_teardown(name, index_define, index_undefine)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_names_of_objects_are_those_that_the_tpm_computes),
        NV_TEST(the_names_of_nv_indices_are_those_that_the_tpm_computes),
        cmocka_unit_test(the_name_of_a_permanent_handle_is_the_handle),
        cmocka_unit_test(another_name_algorithm_has_no_name_here),
        cmocka_unit_test(more_octets_than_the_tpm_takes_at_once_are_not_written),
        NV_TEST(what_one_implementation_writes_encrypted_the_other_reads),
        cmocka_unit_test_teardown(sessions_beside_the_one_that_authorizes_encrypt, probe_remove),
        cmocka_unit_test(a_new_auth_value_counts_in_the_answer_already),
        NV_TEST(an_error_comes_back_as_the_tpm_says_it_and_harms_no_session),
        NV_TEST(the_answer_to_a_password_has_an_authorization_of_any_attributes),
        cmocka_unit_test_teardown(an_answer_about_another_capability_is_refused, probe_remove),
        cmocka_unit_test_teardown(a_capability_read_in_a_session_is_the_one_that_the_tpm_gave,
                                  probe_remove),
    };

    return cmocka_run_group_tests(tests, bench_init, bench_deinit);
}
