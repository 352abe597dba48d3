/* What can somebody do who sits between us and the TPM? */
#include "policy/session.h"

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_digest_changed_on_the_way_is_not_signed),
        cmocka_unit_test(an_answer_changed_on_the_way_is_not_believed),
        cmocka_unit_test(what_goes_as_a_first_parameter_is_not_to_be_read),
        cmocka_unit_test(another_storage_root_key_is_not_trusted_with_a_salt),
    };

    return cmocka_run_group_tests(tests, bench_init, bench_deinit);
}
