/* What can somebody do who sits between us and the TPM? */
#include "policy/session.h"

#include "policy/nv.h"
#include "vendor_fixture.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

/* A probe on the wire: it changes one octet of a command or an answer, and looks for octets. */
static struct {
    TSS2_TCTI_TRANSMIT_FCN transmit;
    TSS2_TCTI_RECEIVE_FCN receive;
    TPM2_CC command;      /* that it waits for */
    TPM2_CC last;         /* that went by */
    size_t change_sent;   /* counted from the end; 0: nothing is changed */
    size_t change_answer; /* likewise */
    size_t put_at;        /* of the answer, counted from its beginning; 0: nothing is put there */
    Bytes put;
    Bytes wanted;
    bool seen;
} probe;

static void look(Bytes octets)
{
    for (size_t i = 0; probe.wanted.size > 0 && i + probe.wanted.size <= octets.size; i++) {
        if (bytes_equal(bytes_slice(octets, i, probe.wanted.size), probe.wanted))
            probe.seen = true;
    }
}

static TSS2_RC probe_transmit(TSS2_TCTI_CONTEXT *tcti, size_t size, const uint8_t *command)
{
    enum { CODE_OFFSET = 6 };
    uint8_t copy[4096];
    Reader reader;

    reader_init(&reader, (Bytes){command, size});
    assert_int_equal(reader_skip(&reader, CODE_OFFSET), 0);
    assert_int_equal(reader_u32(&reader, &probe.last), 0);
    look((Bytes){command, size});
    assert_true(size <= sizeof(copy));
    memcpy(copy, command, size);
    if (probe.last == probe.command && probe.change_sent > 0)
        copy[size - probe.change_sent] ^= 1;
    return probe.transmit(tcti, size, copy);
}

static TSS2_RC probe_receive(TSS2_TCTI_CONTEXT *tcti, size_t *size, uint8_t *answer,
                             int32_t timeout)
{
    TSS2_RC rc = probe.receive(tcti, size, answer, timeout);

    if (rc != TSS2_RC_SUCCESS || !answer)
        return rc;
    look((Bytes){answer, *size});
    if (probe.last == probe.command && probe.change_answer > 0)
        answer[*size - probe.change_answer] ^= 1;
    if (probe.last == probe.command && probe.put_at > 0) {
        assert_true(probe.put_at + probe.put.size <= *size);
        memcpy(answer + probe.put_at, probe.put.data, probe.put.size);
    }
    return rc;
}

static void probe_attach(TPM2_CC command, size_t change_sent, size_t change_answer)
{
    memset(&probe, 0, sizeof(probe));
    probe.transmit = TSS2_TCTI_TRANSMIT(bench.tpm->tcti);
    probe.receive = TSS2_TCTI_RECEIVE(bench.tpm->tcti);
    probe.command = command;
    probe.change_sent = change_sent;
    probe.change_answer = change_answer;
    TSS2_TCTI_TRANSMIT(bench.tpm->tcti) = probe_transmit;
    TSS2_TCTI_RECEIVE(bench.tpm->tcti) = probe_receive;
}

static void probe_detach(void)
{
    TSS2_TCTI_TRANSMIT(bench.tpm->tcti) = probe.transmit;
    TSS2_TCTI_RECEIVE(bench.tpm->tcti) = probe.receive;
}

static int sign(DeviceKey *key, char *error)
{
    const uint8_t digest[32] = {1};
    uint8_t signature[DEVICE_KEY_SIGNATURE_MAX];
    size_t size;

    return device_key_sign(key, "SHA256", false, BYTES_OF(digest), signature, &size, error);
}

static void a_digest_changed_on_the_way_is_not_signed(void **state)
{
    /* The command ends in digest (2 + 32), scheme (2 + 2) and ticket (2 + 4 + 2). */
    enum { FROM_END_TO_DIGEST = 8 + 4 + 32 };
    _cleanup_(device_key_freep) DeviceKey *key = key_new(TPM_KEY_ECDSA_P256);
    char error[TPM_ERROR_SIZE] = "";

    (void)state;
    probe_attach(TPM2_CC_Sign, FROM_END_TO_DIGEST, 0);
    assert_int_equal(sign(key, error), -EIO);
    probe_detach();
    if (sign(key, error) < 0)
        fail_msg("%s", error);
}

static void an_answer_changed_on_the_way_is_not_believed(void **state)
{
    DeviceKey *key = key_new(TPM_KEY_ECDSA_P256);
    char error[TPM_ERROR_SIZE] = "";

    (void)state;
    /* Before the authorization (2 + 32 nonce, 1, 2 + 32 HMAC) stands the end of s. */
    probe_attach(TPM2_CC_Sign, 0, 69 + 1);
    assert_int_equal(sign(key, error), -EIO);
    probe_detach();
    device_key_free(key);
    /* ESYS takes no more commands then; a new connection does. */
    bench_reconnect();
    key = key_new(TPM_KEY_ECDSA_P256);
    if (sign(key, error) < 0)
        fail_msg("%s", error);
    device_key_free(key);
}

static void what_goes_as_a_first_parameter_is_not_to_be_read(void **state)
{
    static const uint8_t secret[] = "a secret that is to be sealed";
    const TPM2B_SENSITIVE_CREATE sensitive = {.sensitive.data.size = sizeof(secret)};
    const TPM2B_PUBLIC template = {
        .publicArea = {.type = TPM2_ALG_KEYEDHASH,
                       .nameAlg = TPM2_ALG_SHA256,
                       .objectAttributes = TPMA_OBJECT_FIXEDTPM | TPMA_OBJECT_FIXEDPARENT |
                                           TPMA_OBJECT_USERWITHAUTH,
                       .parameters.keyedHashDetail.scheme.scheme = TPM2_ALG_NULL}};
    TPM2B_SENSITIVE_CREATE filled = sensitive;
    char error[TPM_ERROR_SIZE] = "";
    ESYS_TR srk = ESYS_TR_NONE, session = ESYS_TR_NONE;

    (void)state;
    memcpy(filled.sensitive.data.buffer, secret, sizeof(secret));
    assert_int_equal(tpm_srk_open(bench.tpm, false, &srk, error), 0);
    for (int protected = 0; protected < 2; protected ++) {
        TPM2B_PRIVATE *private = NULL;
        TPM2B_PUBLIC *public = NULL;

        session = ESYS_TR_PASSWORD;
        if (protected)
            assert_int_equal(tpm_session_start(bench.tpm, TPM2_SE_HMAC, &session, error), 0);
        probe_attach(0, 0, 0);
        probe.wanted = BYTES_OF(secret);
        assert_int_equal(Esys_Create(bench.tpm->esys, srk, session, ESYS_TR_NONE, ESYS_TR_NONE,
                                     &filled, &template, NULL, &(TPML_PCR_SELECTION){0}, &private,
                                     &public, NULL, NULL, NULL),
                         TSS2_RC_SUCCESS);
        probe_detach();
        assert_int_equal(probe.seen, !protected); /* so that the probe is known to work */
        Esys_Free(private);
        Esys_Free(public);
    }
    tpm_session_flush(bench.tpm, session);
    tpm_object_release(bench.tpm, srk);
}

static void another_storage_root_key_is_not_trusted_with_a_salt(void **state)
{
    char error[TPM_ERROR_SIZE] = "";
    ESYS_TR session = ESYS_TR_NONE;
    Tpm *tpm = NULL;

    (void)state;
    tpm_close(bench.tpm);
    assert_int_equal(tpm_open(bench.swtpm.tcti, &tpm, error), 0);
    assert_int_equal(tpm_srk_name(tpm, &tpm->srk_name, error), 0);
    assert_int_equal(tpm_session_start(tpm, TPM2_SE_HMAC, &session, error), 0);
    tpm_session_flush(tpm, session);
    tpm_close(tpm);

    assert_int_equal(tpm_open(bench.swtpm.tcti, &tpm, error), 0);
    assert_int_equal(tpm_srk_name(tpm, &tpm->srk_name, error), 0);
    tpm->srk_name.name[5] ^= 1;
    assert_int_equal(tpm_session_start(tpm, TPM2_SE_HMAC, &session, error), -EIO);
    assert_non_null(strstr(error, "storage root key"));
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

static void another_public_area_under_the_expected_name_gets_no_salt(void **state)
{
    /* The header (10), outPublic's size (2), type, nameAlg (2 each), attributes (4), no authPolicy
     * (2), AES-128-CFB (6), no scheme (2), curve (2), no KDF (2), and the size of x (2). */
    enum { X_OFFSET = 10 + 2 + 2 + 2 + 4 + 2 + 6 + 2 + 2 + 2 + 2 };
    char error[TPM_ERROR_SIZE] = "";
    ESYS_TR session = ESYS_TR_NONE;
    TPM2B_NAME name;

    (void)state;
    assert_int_equal(tpm_srk_name(bench.tpm, &name, error), 0);
    bench_reconnect();
    bench.tpm->srk_name = name;
    probe_attach(TPM2_CC_ReadPublic, 0, 0);
    probe.put_at = X_OFFSET;
    probe.put = BYTES_OF(known_key);
    assert_int_equal(tpm_session_start(bench.tpm, TPM2_SE_HMAC, &session, error), -EIO);
    probe_detach();
    assert_non_null(strstr(error, "storage root key"));
    assert_int_equal(tpm_session_start(bench.tpm, TPM2_SE_HMAC, &session, error), 0);
    tpm_session_flush(bench.tpm, session);
}

/* The Name, which stands for the index in what is authorized, is that of another index. */
static void an_nv_index_whose_name_is_anothers_is_not_opened(void **state)
{
    const TPMS_NV_PUBLIC public = {
        .nvIndex = 0x01801110,
        .nameAlg = TPM2_ALG_SHA256,
        .attributes = TPMA_NV_AUTHWRITE | TPMA_NV_AUTHREAD | TPMA_NV_NO_DA,
        .dataSize = NV_NUMBER_SIZE,
    };
    char error[TPM_ERROR_SIZE] = "";
    NvIndex index;

    (void)state;
    if (nv_define(bench.tpm, &public, error) < 0)
        fail_msg("%s", error);
    probe_attach(TPM2_CC_NV_ReadPublic, 0, 1); /* the answer ends in the Name */
    assert_int_equal(nv_open(bench.tpm, public.nvIndex, &index, error), -EIO);
    probe_detach();
    assert_non_null(strstr(error, "public area"));
    assert_int_equal(nv_open(bench.tpm, public.nvIndex, &index, error), 0);
    nv_release(bench.tpm, &index);
    assert_int_equal(nv_undefine(bench.tpm, public.nvIndex, error), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_digest_changed_on_the_way_is_not_signed),
        cmocka_unit_test(an_answer_changed_on_the_way_is_not_believed),
        cmocka_unit_test(what_goes_as_a_first_parameter_is_not_to_be_read),
        cmocka_unit_test(another_storage_root_key_is_not_trusted_with_a_salt),
        cmocka_unit_test(another_public_area_under_the_expected_name_gets_no_salt),
        cmocka_unit_test(an_nv_index_whose_name_is_anothers_is_not_opened),
    };

    return cmocka_run_group_tests(tests, bench_init, bench_deinit);
}
