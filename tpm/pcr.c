/* Selections of PCRs, and their values. */
#include "tpm/pcr.h"

#include "tpm/commands.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { READ_ATTEMPTS = 8, PCR_SELECT_OCTETS = 3 };

static const struct {
    TPM2_ALG_ID bank;
    const char *name;
    size_t value_size;
} banks[] = {
    {TPM2_ALG_SHA256, "sha256", 32},
    {TPM2_ALG_SHA384, "sha384", 48},
};

const char *pcr_bank_name(TPM2_ALG_ID bank)
{
    for (size_t i = 0; i < ELEMENTS(banks); i++) {
        if (banks[i].bank == bank)
            return banks[i].name;
    }
    return NULL;
}

int pcr_bank_from_name(const char *name, TPM2_ALG_ID *ret)
{
    for (size_t i = 0; i < ELEMENTS(banks); i++) {
        if (strcmp(banks[i].name, name) == 0) {
            *ret = banks[i].bank;
            return 0;
        }
    }
    return -EINVAL;
}

size_t pcr_value_size(TPM2_ALG_ID bank)
{
    for (size_t i = 0; i < ELEMENTS(banks); i++) {
        if (banks[i].bank == bank)
            return banks[i].value_size;
    }
    return 0;
}

/* A decimal number below PCR_COUNT; moves *text behind it. */
static int index_parse(const char **text, unsigned *ret)
{
    char *end = NULL;
    unsigned long value;

    if (**text < '0' || **text > '9')
        return -EINVAL;
    value = strtoul(*text, &end, 10);
    if (value >= PCR_COUNT)
        return -EINVAL;
    *text = end;
    *ret = (unsigned)value;
    return 0;
}

int pcr_mask_parse(const char *text, uint32_t *ret)
{
    uint32_t mask = 0;

    for (;;) {
        unsigned first, last;

        if (index_parse(&text, &first) < 0)
            return -EINVAL;
        last = first;
        if (*text == '-') {
            text++;
            if (index_parse(&text, &last) < 0 || last < first)
                return -EINVAL;
        }
        for (unsigned i = first; i <= last; i++)
            mask |= UINT32_C(1) << i;
        if (*text == '\0')
            break;
        if (*text != ',' && *text != '+')
            return -EINVAL;
        text++;
    }
    *ret = mask;
    return 0;
}

void pcr_mask_print(uint32_t mask, char *ret)
{
    size_t size = 0;

    ret[0] = '\0';
    for (unsigned i = 0; i < PCR_COUNT; i++) {
        unsigned last = i;

        if (!(mask >> i & 1))
            continue;
        while (last + 1 < PCR_COUNT && mask >> (last + 1) & 1)
            last++;
        size += (size_t)snprintf(ret + size, PCR_SELECTION_TEXT_SIZE - size,
                                 last > i ? "%s%u-%u" : "%s%u", size > 0 ? "," : "", i, last);
        i = last;
    }
}

TPML_PCR_SELECTION pcr_selection(TPM2_ALG_ID bank, uint32_t mask)
{
    TPML_PCR_SELECTION selection = {
        .count = 1,
        .pcrSelections[0] = {.hash = bank, .sizeofSelect = PCR_SELECT_OCTETS},
    };

    for (unsigned i = 0; i < PCR_SELECT_OCTETS; i++)
        selection.pcrSelections[0].pcrSelect[i] = (BYTE)(mask >> (8 * i));
    return selection;
}

static uint32_t selection_mask(const TPML_PCR_SELECTION *selection)
{
    uint32_t mask = 0;

    if (selection->count != 1)
        return 0;
    for (unsigned i = 0; i < selection->pcrSelections[0].sizeofSelect && i < PCR_SELECT_OCTETS; i++)
        mask |= (uint32_t)selection->pcrSelections[0].pcrSelect[i] << (8 * i);
    return mask;
}

/* Puts the values of one answer where they belong. The answer says which PCRs they are of. */
static int values_take(PcrState *state, uint32_t mask, const TPML_DIGEST *digests)
{
    const size_t size = pcr_value_size(state->bank);
    UINT32 next = 0;

    for (unsigned i = 0; i < PCR_COUNT; i++) {
        if (!(mask >> i & 1))
            continue;
        if (next == digests->count || digests->digests[next].size != size)
            return -EIO;
        memcpy(state->values[i], digests->digests[next].buffer, size);
        next++;
    }
    return 0;
}

static int absent(const PcrState *state, uint32_t mask, Reason *reason)
{
    char list[PCR_SELECTION_TEXT_SIZE];

    pcr_mask_print(mask, list);
    return reason_set(
        reason, -EOPNOTSUPP,
        "this TPM has no PCR %s in its %s bank; choose a policy over PCRs that it has "
        "('tpm2_getcap pcrs' lists them)",
        list, pcr_bank_name(state->bank));
}

/* One pass over all PCRs. *ret_same is false if one changed between two answers. */
static int pass(Tpm *tpm, PcrState *state, bool *ret_same, Reason *reason)
{
    uint32_t left = state->mask;
    UINT32 first_counter = 0;

    *ret_same = true;
    while (left != 0) {
        const TPML_PCR_SELECTION wanted = pcr_selection(state->bank, left);
        TPML_PCR_SELECTION got = {0};
        TPML_DIGEST digests = {0};
        UINT32 counter = 0;
        uint32_t mask;
        TSS2_RC rc = tpm2_pcr_read(tpm, &wanted, &counter, &got, &digests);

        if (tpm_rc_base(rc) == TPM2_RC_HASH) /* it does not even know the algorithm */
            return absent(state, left, reason);
        if (rc != TSS2_RC_SUCCESS) {
            tpm_error(reason, "TPM2_PCR_Read", rc);
            return -EIO;
        }
        mask = selection_mask(&got) & left;
        if (values_take(state, mask, &digests) < 0 || mask == 0)
            return absent(state, left, reason);
        if (left == state->mask)
            first_counter = counter;
        *ret_same = *ret_same && counter == first_counter;
        left &= ~mask;
    }
    return 0;
}

int pcr_read(Tpm *tpm, PcrState *ret, Reason *reason)
{
    for (int i = 0; i < READ_ATTEMPTS; i++) {
        bool same;
        int r = pass(tpm, ret, &same, reason);

        if (r < 0 || same)
            return r;
    }
    return reason_set(reason, -EIO,
                      "the PCRs change faster than they can be read; wait until the system has "
                      "started, and try again");
}

uint32_t pcr_difference(const PcrState *a, const PcrState *b)
{
    const size_t size = pcr_value_size(a->bank);
    uint32_t mask = 0;

    for (unsigned i = 0; i < PCR_COUNT; i++) {
        if (a->mask >> i & 1 && memcmp(a->values[i], b->values[i], size) != 0)
            mask |= UINT32_C(1) << i;
    }
    return mask;
}
