/* Do all in-profile cases of NIST's CAVS 17.3 vectors for the IKEv2 key schedule hold? The file is
 * not ours to ship: where it is absent the test says so, and skips. */
#include "octets_fixture.h"

#include "tred/keyschedule.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

enum { EXIT_SKIP = 77, CASES_EACH = 200, LINE_MAX_SIZE = 4096 };

/* One case: every value of it, as read. */
typedef struct Case {
    Octets nonce_i, nonce_r, dh_secret, new_dh_secret, spi_i, spi_r;
    Octets skeyseed, dkm, child, child_dh, rekeyed;
} Case;

typedef struct Column {
    const char *name;
    size_t offset;
} Column;

static const Column columns[] = {
    {"Ni", offsetof(Case, nonce_i)},
    {"Nr", offsetof(Case, nonce_r)},
    {"g^ir", offsetof(Case, dh_secret)},
    {"g^ir (new)", offsetof(Case, new_dh_secret)},
    {"SPIi", offsetof(Case, spi_i)},
    {"SPIr", offsetof(Case, spi_r)},
    {"SKEYSEED", offsetof(Case, skeyseed)},
    {"DKM", offsetof(Case, dkm)},
    {"DKM(Child SA)", offsetof(Case, child)},
    {"DKM(Child SA D-H)", offsetof(Case, child_dh)},
    {"SKEYSEED(Rekey)", offsetof(Case, rekeyed)}, /* the last line of a case */
};

typedef struct Vectors {
    const char *path;
    const char *section; /* "[SHA-256]" */
    uint16_t prf;
} Vectors;

static Secret *secret_from(const Octets *octets, size_t size)
{
    Secret *secret = NULL;

    assert_int_equal(secret_new(size, &secret), 0);
    memcpy(secret->data, octets->data, size);
    return secret;
}

static uint64_t spi_from(const Octets *octets)
{
    Reader reader;
    uint64_t spi = 0;

    reader_init(&reader, octets_bytes(octets));
    assert_int_equal(reader_u64(&reader, &spi), 0);
    return spi;
}

static void assert_secret(const Secret *found, const Octets *expected)
{
    assert_int_equal(found->size, expected->size);
    assert_memory_equal(found->data, expected->data, expected->size);
}

static void case_check(const Case *c, const Prf *prf)
{
    _cleanup_(secret_freep) Secret *dh = secret_from(&c->dh_secret, c->dh_secret.size);
    _cleanup_(secret_freep) Secret *new_dh = secret_from(&c->new_dh_secret, c->new_dh_secret.size);
    _cleanup_(secret_freep) Secret *sk_d = secret_from(&c->dkm, prf->size);
    _cleanup_(secret_freep) Secret *skeyseed = NULL, *dkm = NULL, *child = NULL, *child_dh = NULL;
    _cleanup_(secret_freep) Secret *rekeyed = NULL;
    Bytes ni = octets_bytes(&c->nonce_i), nr = octets_bytes(&c->nonce_r);

    assert_int_equal(skeyseed_compute(prf, ni, nr, dh, &skeyseed), 0);
    assert_secret(skeyseed, &c->skeyseed);
    assert_int_equal(ike_keymat(prf, skeyseed, ni, nr, spi_from(&c->spi_i), spi_from(&c->spi_r),
                                c->dkm.size, &dkm),
                     0);
    assert_secret(dkm, &c->dkm);
    assert_int_equal(child_keymat(prf, sk_d, NULL, ni, nr, c->child.size, &child), 0);
    assert_secret(child, &c->child);
    assert_int_equal(child_keymat(prf, sk_d, new_dh, ni, nr, c->child_dh.size, &child_dh), 0);
    assert_secret(child_dh, &c->child_dh);
    assert_int_equal(skeyseed_rekey(prf, sk_d, new_dh, ni, nr, &rekeyed), 0);
    assert_secret(rekeyed, &c->rekeyed);
}

/* "name = value" into its place; the column's index, or -1 for a line that is no value. */
static int line_read(char *line, Case *ret)
{
    char *equals = strstr(line, " = ");

    if (!equals)
        return -1;
    *equals = '\0';
    for (size_t i = 0; i < ELEMENTS(columns); i++) {
        if (strcmp(columns[i].name, line) == 0) {
            *(Octets *)(void *)((char *)ret + columns[i].offset) = octets_from_hex(equals + 3);
            return (int)i;
        }
    }
    return -1;
}

static void all_cases_of_the_section_hold(void **state)
{
    const Vectors *vectors = *state;
    _cleanup_(close_filep) FILE *file = fopen(vectors->path, "re");
    char line[LINE_MAX_SIZE];
    bool inside = false;
    unsigned n_cases = 0;
    Case c = {0};

    assert_non_null(file);
    while (fgets(line, sizeof(line), file)) {
        line[strcspn(line, "\r\n")] = '\0';
        if (strncmp(line, "[SHA-", 5) == 0)
            inside = strcmp(line, vectors->section) == 0;
        if (inside && line_read(line, &c) == (int)ELEMENTS(columns) - 1) {
            case_check(&c, prf_find(vectors->prf));
            n_cases++;
        }
    }
    print_message("%s: %u cases, all columns\n", vectors->section, n_cases);
    assert_int_equal(n_cases, CASES_EACH);
}

int main(int argc, char **argv)
{
    const char *path = argc == 2 ? argv[1] : "";
    Vectors sha256 = {path, "[SHA-256]", IKE_PRF_HMAC_SHA2_256};
    Vectors sha384 = {path, "[SHA-384]", IKE_PRF_HMAC_SHA2_384};
    Vectors sha512 = {path, "[SHA-512]", IKE_PRF_HMAC_SHA2_512};
    const struct CMUnitTest tests[] = {
        {"the_sha256_cases_hold", all_cases_of_the_section_hold, NULL, NULL, &sha256},
        {"the_sha384_cases_hold", all_cases_of_the_section_hold, NULL, NULL, &sha384},
        {"the_sha512_cases_hold", all_cases_of_the_section_hold, NULL, NULL, &sha512},
    };

    if (access(path, R_OK) < 0) {
        printf("SKIP keyschedule vectors: %s is not there (meson configure -Dvectors=DIR)\n", path);
        return EXIT_SKIP;
    }
    if (secrets_init() < 0)
        return 1;
    return cmocka_run_group_tests_name("keyschedule vectors", tests, NULL, NULL);
}
