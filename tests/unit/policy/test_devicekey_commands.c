/* Which commands does the device key cost the TPM, and what is left when one fails? */
#include "key_bench.h"

#include "base/reason.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* What goes over the wire to the TPM, and a command that is to fail there. */
static struct {
    TSS2_TCTI_TRANSMIT_FCN transmit;
    TPM2_CC commands[32];
    size_t count;
    TPM2_CC failing;
} wire;

/* Commands have a tag, a size and a code (TPM 2.0 Part 1, 18.1). One that is to fail goes out with
 * a code that no TPM knows. */
static TSS2_RC wire_transmit(TSS2_TCTI_CONTEXT *tcti, size_t size, const uint8_t *command)
{
    enum { CODE_OFFSET = 6 };
    uint8_t copy[4096];
    Reader reader;
    Writer writer;
    uint32_t code = 0;

    reader_init(&reader, (Bytes){command, size});
    assert_int_equal(reader_skip(&reader, CODE_OFFSET), 0);
    assert_int_equal(reader_u32(&reader, &code), 0);
    assert_true(wire.count < ELEMENTS(wire.commands));
    wire.commands[wire.count++] = code;
    writer_init(&writer, copy, sizeof(copy));
    writer_bytes(&writer, (Bytes){command, size});
    if (code == wire.failing)
        writer_patch_u32(&writer, CODE_OFFSET, 0x0fff);
    return wire.transmit(tcti, size, copy);
}

static void wire_tap(TPM2_CC failing)
{
    wire.transmit = TSS2_TCTI_TRANSMIT(bench.tpm->tcti);
    wire.count = 0;
    wire.failing = failing;
    TSS2_TCTI_TRANSMIT(bench.tpm->tcti) = wire_transmit;
}

static void wire_untap(void)
{
    TSS2_TCTI_TRANSMIT(bench.tpm->tcti) = wire.transmit;
}

static void a_signature_is_one_tpm_command_once_prepared(void **state)
{
    (void)state;
    for (unsigned i = 0; i < TPM_KEY_ALGORITHMS; i++) {
        _cleanup_(device_key_freep) DeviceKey *key = key_new((TpmKeyAlgorithm)i);
        Reason reason = {0};

        assert_int_equal(device_key_prepare(key, &reason), 0);
        wire_tap(0);
        assert_signs(key, "SHA256", 32, false);
        wire_untap();
        assert_int_equal(wire.count, 1);
        assert_int_equal(wire.commands[0], TPM2_CC_Sign);
    }
}

static void a_key_that_fails_on_the_way_leaves_no_handle(void **state)
{
    static const TPM2_CC commands[] = {TPM2_CC_ReadPublic, TPM2_CC_CreatePrimary,
                                       TPM2_CC_StartAuthSession, TPM2_CC_Load, TPM2_CC_Sign};
    const TPM2_HANDLE parents[] = {TPM_SRK_HANDLE, TPM2_RH_OWNER};
    Tss2Key file;
    Reason reason = {0};

    (void)state;
    assert_int_equal(device_key_create(bench.tpm, TPM_KEY_ECDSA_P256, NULL, &file, &reason), 0);
    for (size_t i = 0; i < ELEMENTS(commands); i++) {
        for (size_t j = 0; j < ELEMENTS(parents); j++) {
            DeviceKey *key = NULL;
            int r;

            file.parent = parents[j];
            bench_reconnect();
            wire_tap(commands[i]);
            r = device_key_load(bench.tpm, &file, NULL, &key, &reason);
            wire_untap();
            device_key_free(key);
            /* Only the one parent is read, only the other is made. */
            if (i < 2 && i != j)
                continue;
            assert_int_equal(r, -EIO);
            assert_int_equal(handle_count(TPM2_TRANSIENT_FIRST), 0);
            assert_int_equal(handle_count(TPM2_LOADED_SESSION_FIRST), 0);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_signature_is_one_tpm_command_once_prepared),
        cmocka_unit_test(a_key_that_fails_on_the_way_leaves_no_handle),
    };

    return cmocka_run_group_tests(tests, bench_init, bench_deinit);
}
