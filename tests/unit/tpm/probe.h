/* Somebody between us and the bench's TPM: who listens, changes octets, and gives old answers. */
#pragma once

#include "base/bytes.h"
#include "tpm_bench.h"

/* What is done to one octet of a message: `at` is counted from its beginning, or if negative from
 * its end; the bits of `mask` are flipped. A mask of 0: nothing. */
typedef struct ProbeEdit {
    long at;
    uint8_t mask;
} ProbeEdit;

typedef struct Probe {
    TPM2_CC command; /* that it waits for */
    ProbeEdit sent, answer;
    size_t put_at; /* of the answer, counted from its beginning; 0: nothing is put there */
    Bytes put;
    bool strip;        /* the answer loses its authorizations, and says that it has none */
    bool replay;       /* the first such command's answer is given for all that follow */
    size_t taken_at;   /* of the command sent, counted from its beginning */
    uint8_t taken[32]; /* what stood there when it was sent last */
    Bytes wanted;
    bool seen; /* `wanted` went by, in a command or an answer */
} Probe;

/* Stands there until probe_detach(). `probe` must live until then. */
void probe_attach(Probe *probe);
void probe_detach(void);

/* A teardown, for where a test failed before probe_detach(). */
int probe_remove(void **state);
