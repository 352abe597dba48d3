/* A TPM with a storage root key, and device keys made and used on it. */
#pragma once

#include "policy/devicekey.h"
#include "policy/storagekey.h"
#include "swtpm_fixture.h"

typedef struct TpmBench {
    Swtpm swtpm;
    Tpm *tpm;
} TpmBench;

/* The one of this test program; cmocka's group setup and teardown make and end it. */
extern TpmBench bench;
int bench_init(void **state);
int bench_deinit(void **state);

/* Ends the connection to the TPM, if there is one, and makes another. */
void bench_reconnect(void);

/* Handles in the TPM from `first` on: TPM2_TRANSIENT_FIRST, TPM2_LOADED_SESSION_FIRST. */
unsigned handle_count(TPM2_HANDLE first);

/* A new device key, loaded; the test fails if it can't be had. */
DeviceKey *key_new(TpmKeyAlgorithm algorithm);

/* Signs a random digest, and has OpenSSL judge it, and the same over another digest. */
void assert_signs(DeviceKey *key, const char *digest_name, size_t digest_size, bool pss);
