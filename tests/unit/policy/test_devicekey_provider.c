/* Do our key files and those of OpenSSL's provider tpm2-openssl mean the same? */
#include "key_bench.h"

#include "base/file_write.h"
#include "base/reason.h"
#include "tpm/open.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* Runs openssl with the provider; only one program at a time can talk to a bare swtpm. */
static void openssl_run(const char *command)
{
    Reason reason = {0};

    tpm_close(bench.tpm);
    bench.tpm = NULL;
    assert_int_equal(setenv("TPM2OPENSSL_TCTI", bench.swtpm.tcti, 1), 0);
    if (system(command) != 0)
        fail_msg("failed: %s", command);
    if (tpm_open(bench.swtpm.tcti, &bench.tpm, &reason) < 0)
        fail_msg("%s", reason.text);
}

static void keys_made_by_the_openssl_provider_load_and_sign(void **state)
{
    static const struct {
        const char *options;
        TpmKeyAlgorithm algorithm;
    } cases[] = {
        {"-algorithm EC -pkeyopt group:P-256", TPM_KEY_ECDSA_P256},
        {"-algorithm EC -pkeyopt group:P-384", TPM_KEY_ECDSA_P384},
        {"-algorithm RSA -pkeyopt bits:2048", TPM_KEY_RSA_2048},
        {"-algorithm EC -pkeyopt group:P-256 -pkeyopt parent:0x81000001", TPM_KEY_ECDSA_P256},
    };
    Reason reason = {0};
    char path[128];

    (void)state;
    (void)snprintf(path, sizeof(path), "%s/provider.pem", bench.swtpm.folder);
    for (size_t i = 0; i < ELEMENTS(cases); i++) {
        _cleanup_(device_key_freep) DeviceKey *key = NULL;
        char command[512];
        Tss2Key file;

        (void)snprintf(command, sizeof(command),
                       "openssl genpkey -provider tpm2 -provider default %s -out %s 2>/dev/null",
                       cases[i].options, path);
        openssl_run(command);
        if (tss2key_read(path, &file, &reason) < 0 ||
            device_key_load(bench.tpm, &file, NULL, &key, &reason) < 0)
            fail_msg("%s: %s", cases[i].options, reason.text);
        assert_int_equal(device_key_algorithm(key), cases[i].algorithm);
        assert_int_equal(handle_count(TPM2_TRANSIENT_FIRST), 1);
        assert_signs(key, "SHA256", 32, false);
    }
}

/* A new key as ours.pem in the bench's folder. */
static void key_put(TpmKeyAlgorithm algorithm, const PolicyDigest *policy)
{
    _cleanup_(free_charp) char *pem = NULL;
    Reason reason = {0};
    char path[128];
    Tss2Key file;

    (void)snprintf(path, sizeof(path), "%s/ours.pem", bench.swtpm.folder);
    assert_int_equal(device_key_create(bench.tpm, algorithm, policy, &file, &reason), 0);
    assert_int_equal(tss2key_encode(&file, &pem), 0);
    assert_int_equal(file_write_atomic(path, (Bytes){(const uint8_t *)pem, strlen(pem)}, 0600), 0);
}

/* The same, in the bench's folder. */
static void openssl_run_there(const char *commands)
{
    char command[1024];

    (void)snprintf(command, sizeof(command), "cd %s && %s", bench.swtpm.folder, commands);
    openssl_run(command);
}

static void keys_made_here_open_with_the_openssl_provider(void **state)
{
    (void)state;
    for (unsigned i = 0; i < TPM_KEY_ALGORITHMS; i++) {
        key_put((TpmKeyAlgorithm)i, NULL);
        openssl_run_there("echo signed > data && openssl pkey -provider tpm2 -provider base "
                          "-in ours.pem -pubout -out public.pem && openssl pkeyutl -provider tpm2 "
                          "-provider base -sign -rawin -digest sha256 -inkey ours.pem -in data "
                          "-out signature && openssl dgst -sha256 -verify public.pem -signature "
                          "signature data >/dev/null");
    }
}

static void keys_made_here_make_a_csr_with_the_openssl_provider(void **state)
{
    (void)state;
    for (unsigned i = 0; i < TPM_KEY_ALGORITHMS; i++) {
        key_put((TpmKeyAlgorithm)i, NULL);
        openssl_run_there(
            "openssl req -provider tpm2 -provider default -propquery '?provider=tpm2' "
            "-new -key ours.pem -subj /CN=henb-1.example -out ours.csr && "
            "openssl req -in ours.csr -verify -noout 2>/dev/null");
    }
}

static void a_key_under_a_policy_opens_with_the_openssl_provider_and_does_not_sign(void **state)
{
    const PolicyDigest policy = {.octets = {1}};

    (void)state;
    key_put(TPM_KEY_ECDSA_P256, &policy);
    openssl_run_there("openssl pkey -provider tpm2 -provider base -in ours.pem -pubout -out "
                      "public.pem && ! openssl req -provider tpm2 -provider default -propquery "
                      "'?provider=tpm2' -new -key ours.pem -subj /CN=henb-1.example -out ours.csr "
                      "2>/dev/null");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_made_by_the_openssl_provider_load_and_sign),
        cmocka_unit_test(keys_made_here_open_with_the_openssl_provider),
        cmocka_unit_test(keys_made_here_make_a_csr_with_the_openssl_provider),
        cmocka_unit_test(a_key_under_a_policy_opens_with_the_openssl_provider_and_does_not_sign),
    };

    return cmocka_run_group_tests(tests, bench_init, bench_deinit);
}
