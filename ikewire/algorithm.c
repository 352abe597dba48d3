/* Looks algorithms up in the one table of them. */
#include "ikewire/algorithm.h"

#include "base/cleanup.h"

/* The rows as each reader wants them. Rows outside the profile keep their place in ALGORITHMS, so
 * that they can be named; the other tables are asked through Row.in_profile. */
#define CIPHER_ROW(row, number, bits, text, library, is_aead, key, salt, iv, icv, block, role, in) \
    {{number, bits, #row, library, is_aead, key, salt, iv, icv, block}, in},
#define PRF_ROW(row, number, text, hash, octets, role, in) {{number, #row, hash, octets}, in},
#define INTEG_ROW(row, number, text, hash, key, icv, prf, role, in)                                \
    {{number, #row, hash, key, icv}, in},
#define GROUP_ROW(row, number, text, kind, library, public, secret, role, in)                      \
    {{number, #row, kind, library, public, secret}, in},

static const struct {
    Cipher cipher;
    bool in_profile;
} CIPHERS[] = {IKE_CIPHERS(CIPHER_ROW)};

static const struct {
    Prf prf;
    bool in_profile;
} PRFS[] = {IKE_PRFS(PRF_ROW)};

static const struct {
    Integ integ;
    bool in_profile;
} INTEGS[] = {IKE_INTEGS(INTEG_ROW)};

static const struct {
    Group group;
    bool in_profile;
} GROUPS[] = {IKE_GROUPS(GROUP_ROW)};

#define CIPHER_HEAD(row, number, bits, text, library, is_aead, key, salt, iv, icv, block, role,    \
                    in)                                                                            \
    {IKE_TRANSFORM_ENCR, number, bits, #row, text, role, in, is_aead, 0},
#define PRF_HEAD(row, number, text, hash, octets, role, in)                                        \
    {IKE_TRANSFORM_PRF, number, 0, #row, text, role, in, false, 0},
#define INTEG_HEAD(row, number, text, hash, key, icv, prf, role, in)                               \
    {IKE_TRANSFORM_INTEG, number, 0, #row, text, role, in, false, prf},
#define GROUP_HEAD(row, number, text, kind, library, public, secret, role, in)                     \
    {IKE_TRANSFORM_KE, number, 0, #row, text, role, in, false, 0},
#define ESN_HEAD(row, number, text, role, in)                                                      \
    {IKE_TRANSFORM_ESN, number, 0, #row, text, role, in, false, 0},

static const Algorithm ALGORITHMS[] = {IKE_CIPHERS(CIPHER_HEAD) IKE_INTEGS(INTEG_HEAD) IKE_PRFS(
    PRF_HEAD) IKE_GROUPS(GROUP_HEAD) IKE_ESNS(ESN_HEAD)};

#define GROUP_TEXT(row, number, ...) ", " #number " (" #row ")"
static const char group_text[] = IKE_GROUPS(GROUP_TEXT);

const Cipher *cipher_find(uint16_t id, uint16_t key_bits)
{
    for (size_t i = 0; i < ELEMENTS(CIPHERS); i++) {
        const Cipher *cipher = &CIPHERS[i].cipher;

        if (CIPHERS[i].in_profile && cipher->id == id && cipher->key_bits == key_bits)
            return cipher;
    }
    return NULL;
}

const Prf *prf_find(uint16_t id)
{
    for (size_t i = 0; i < ELEMENTS(PRFS); i++) {
        if (PRFS[i].in_profile && PRFS[i].prf.id == id)
            return &PRFS[i].prf;
    }
    return NULL;
}

const Integ *integ_find(uint16_t id)
{
    for (size_t i = 0; i < ELEMENTS(INTEGS); i++) {
        if (INTEGS[i].in_profile && INTEGS[i].integ.id == id)
            return &INTEGS[i].integ;
    }
    return NULL;
}

const Group *group_find(uint16_t id)
{
    for (size_t i = 0; i < ELEMENTS(GROUPS); i++) {
        if (GROUPS[i].in_profile && GROUPS[i].group.id == id)
            return &GROUPS[i].group;
    }
    return NULL;
}

const Algorithm *algorithm_at(size_t index)
{
    return index < ELEMENTS(ALGORITHMS) ? &ALGORITHMS[index] : NULL;
}

const Algorithm *algorithm_find(uint8_t type, uint16_t id, uint16_t key_bits)
{
    for (size_t i = 0; i < ELEMENTS(ALGORITHMS); i++) {
        const Algorithm *row = &ALGORITHMS[i];

        if (row->type == type && row->id == id && row->key_bits == key_bits)
            return row;
    }
    return NULL;
}

const char *algorithm_name(uint8_t type, uint16_t id, uint16_t key_bits)
{
    const Algorithm *row = algorithm_find(type, id, key_bits);

    return row ? row->name : "unknown";
}

const char *group_list(void)
{
    return group_text + 2; /* without the first comma */
}
