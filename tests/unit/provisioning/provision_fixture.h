/* A device on the bench: a TPM, an empty state folder, and the options that name them. */
#pragma once

#include "provisioning/command.h"
#include "swtpm_fixture.h"

typedef struct ProvisionBench {
    Swtpm swtpm;
    char state_dir[64];
    ProvisionOptions options;
} ProvisionBench;

/* cmocka's setup and teardown: *state is the ProvisionBench. */
int bench_init(void **state);
int bench_deinit(void **state);

/* The content of a file of the state folder as a string for free(), or NULL if there is none. */
char *state_text(const ProvisionBench *bench, const char *name);

/* Permission bits of a file of the state folder. */
unsigned state_mode(const ProvisionBench *bench, const char *name);

/* A number of files in the state folder: none may be left over. */
unsigned state_count(const ProvisionBench *bench);
