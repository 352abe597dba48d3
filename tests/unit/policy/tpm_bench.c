/* How does a test get a device key in a TPM of its own? */
#include "tpm_bench.h"

#include "policy/signature.h"

#include <openssl/rand.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

TpmBench bench;

int bench_init(void **state)
{
    char error[TPM_ERROR_SIZE] = "";
    ESYS_TR srk = ESYS_TR_NONE;

    *state = &bench;
    if (swtpm_start(&bench.swtpm) < 0 || tpm_open(bench.swtpm.tcti, &bench.tpm, error) < 0 ||
        tpm_srk_open(bench.tpm, true, &srk, error) < 0) {
        print_error("%s\n", error);
        return -1;
    }
    tpm_object_release(bench.tpm, srk);
    return 0;
}

int bench_deinit(void **state)
{
    (void)state;
    tpm_close(bench.tpm);
    swtpm_stop(&bench.swtpm);
    return 0;
}

void bench_reconnect(void)
{
    char error[TPM_ERROR_SIZE] = "";

    if (bench.tpm)
        tpm_close(bench.tpm);
    if (tpm_open(bench.swtpm.tcti, &bench.tpm, error) < 0)
        fail_msg("%s", error);
}

unsigned handle_count(TPM2_HANDLE first)
{
    TPMS_CAPABILITY_DATA *data = NULL;
    TPMI_YES_NO more;
    unsigned count;

    assert_int_equal(Esys_GetCapability(bench.tpm->esys, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE,
                                        TPM2_CAP_HANDLES, first, 64, &more, &data),
                     TSS2_RC_SUCCESS);
    count = data->data.handles.count;
    Esys_Free(data);
    return count;
}

DeviceKey *key_new(TpmKeyAlgorithm algorithm)
{
    char error[TPM_ERROR_SIZE] = "";
    DeviceKey *key = NULL;
    Tss2Key file;

    if (device_key_create(bench.tpm, algorithm, NULL, &file, error) < 0 ||
        device_key_load(bench.tpm, &file, NULL, &key, error) < 0)
        fail_msg("%s", error);
    assert_int_equal(device_key_algorithm(key), algorithm);
    return key;
}

void assert_signs(DeviceKey *key, const char *digest_name, size_t digest_size, bool pss)
{
    uint8_t digest_data[64];
    const Bytes digest = {digest_data, digest_size};
    uint8_t signature[DEVICE_KEY_SIGNATURE_MAX];
    char error[TPM_ERROR_SIZE] = "";
    size_t size = 0;

    assert_int_equal(RAND_bytes(digest_data, (int)digest_size), 1);
    if (device_key_sign(key, digest_name, pss, digest, signature, &size, error) < 0)
        fail_msg("%s", error);
    assert_true(signature_is_good(device_key_public(key), digest_name, digest,
                                  (Bytes){signature, size}, pss ? device_key_pss_salt(key) : -1));
    digest_data[0] ^= 1;
    assert_false(signature_is_good(device_key_public(key), digest_name, digest,
                                   (Bytes){signature, size}, pss ? device_key_pss_salt(key) : -1));
}
