/* Platform states from a file: JSON as systemd-measure writes it, and what tpm2_pcrread prints. */
#include "policy/pcrsignature.h"
#include "policy/pcrtext.h"

#include <assert.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What was read is written and read again: the same. */
static void again(const PcrSignatures *signatures)
{
    char error[PCR_SIGNATURES_ERROR_SIZE];
    PcrSignatures *read_again = NULL;
    char *json = NULL;

    assert(pcr_signatures_encode(signatures, &json) == 0);
    assert(pcr_signatures_decode((Bytes){(const uint8_t *)json, strlen(json)}, "again", &read_again,
                                 error) == 0);
    assert(read_again->count == signatures->count);
    free(read_again);
    free(json);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char error[PCR_SIGNATURES_ERROR_SIZE];
    PcrSignatures *signatures = NULL;
    PcrState state;

    if (pcr_signatures_decode((Bytes){data, size}, "fuzz", &signatures, error) == 0)
        again(signatures);
    free(signatures);
    (void)pcr_text_parse((Bytes){data, size}, "fuzz", &state, error);
    return 0;
}
