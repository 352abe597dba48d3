/* Platform states from a file: as tred reads them, JSON as systemd-measure writes it, and what
 * tpm2_pcrread prints. */
#include "provisioning/pcrsignature_file.h"
#include "provisioning/policyfile.h"

#include <assert.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What was read is written and read again: the same. */
static void again(const PcrSignatures *signatures)
{
    Reason reason;
    PcrSignatures *read_again = NULL;
    char *json = NULL, *flat = NULL, *flat_again = NULL;

    assert(pcr_signatures_json_encode(signatures, &json) == 0);
    assert(pcr_signatures_json_decode((Bytes){(const uint8_t *)json, strlen(json)}, "again",
                                      &read_again, &reason) == 0);
    assert(read_again->count == signatures->count);
    free(read_again);
    free(json);
    assert(pcr_signatures_encode(signatures, &flat) == 0);
    assert(pcr_signatures_decode((Bytes){(const uint8_t *)flat, strlen(flat)}, "again", &read_again,
                                 &reason) == 0);
    assert(read_again->count == signatures->count);
    assert(pcr_signatures_encode(read_again, &flat_again) == 0);
    assert(strcmp(flat, flat_again) == 0);
    free(flat_again);
    free(read_again);
    free(flat);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    Reason reason;
    PcrSignatures *signatures = NULL;
    PcrState state;

    if (pcr_signatures_decode((Bytes){data, size}, "fuzz", &signatures, &reason) == 0 ||
        pcr_signatures_json_decode((Bytes){data, size}, "fuzz", &signatures, &reason) == 0)
        again(signatures);
    free(signatures);
    (void)pcr_text_parse((Bytes){data, size}, "fuzz", &state, &reason);
    return 0;
}
