/* Does each step know when its work is done, and take up what a killed run has left? */
#include "provision_fixture.h"

#include "base/file_write.h"
#include "base/reason.h"
#include "free_watch.h"
#include "pki_fixture.h"
#include "provisioning/devicetpm.h"
#include "provisioning/pcrsignature_file.h"
#include "provisioning/step.h"
#include "tpm/open.h"
#include "tpm_commands.h"

#include <errno.h>
#include <openssl/pem.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

typedef struct Outcomes {
    unsigned count;
    StepReport reports[STEPS_MAX];
} Outcomes;

typedef struct Line {
    ProvisionBench *device;
    ProvisionProfile profile;
    char anchors[96], policy_key[96], states[96];
    Outcomes outcomes;
} Line;

static int line_init(void **state)
{
    Line *line = calloc(1, sizeof(*line));
    void *device = NULL;
    Pki root = pki_root("Operator root");
    FILE *file;

    *state = line;
    if (!line || bench_init(&device) < 0)
        return -1;
    line->device = device;
    (void)snprintf(line->anchors, sizeof(line->anchors), "%.40s/ca.pem",
                   line->device->swtpm.folder);
    (void)snprintf(line->policy_key, sizeof(line->policy_key), "%.40s/vendor.pem",
                   line->device->swtpm.folder);
    (void)snprintf(line->states, sizeof(line->states), "%.40s/states.json",
                   line->device->swtpm.folder);
    file = fopen(line->anchors, "we");
    (void)PEM_write_X509(file, root.certificate);
    (void)fclose(file);
    pki_deinit(&root);
    line->profile = (ProvisionProfile){.anchors = line->anchors, .owner_auth = OWNER_AUTH_DISCARD};
    line->device->options.profile = &line->profile;
    return 0;
}

static int line_deinit(void **state)
{
    Line *line = *state;
    void *device = line->device;

    (void)bench_deinit(&device);
    free(line);
    return 0;
}

static void take(const StepReport *report, void *user)
{
    Outcomes *outcomes = user;

    outcomes->reports[outcomes->count++] = *report;
}

static int run(Line *line)
{
    Provision provision;
    int r = provision_open(&provision, &line->device->options, NULL);

    line->outcomes.count = 0;
    if (r == 0)
        r = provision_do_all(&provision, take, &line->outcomes);
    provision_close(&provision);
    return r;
}

static StepOutcome outcome(const Line *line, const char *name)
{
    for (unsigned i = 0; i < line->outcomes.count; i++) {
        if (strcmp(line->outcomes.reports[i].name, name) == 0)
            return line->outcomes.reports[i].outcome;
    }
    fail_msg("the step %s was not run", name);
    return STEP_FAILED;
}

static void a_second_run_skips_what_the_first_has_done(void **state)
{
    Line *line = *state;
    _cleanup_(free_charp) char *before = NULL;
    _cleanup_(free_charp) char *after = NULL;

    assert_int_equal(run(line), 0);
    assert_int_equal(line->outcomes.count, 6);
    for (unsigned i = 0; i < line->outcomes.count; i++)
        assert_int_equal(line->outcomes.reports[i].outcome, STEP_DONE);
    before = state_text(line->device, STATE_KEY);
    assert_int_equal(run(line), 0);
    assert_int_equal(line->outcomes.count, 6);
    for (unsigned i = 1; i < line->outcomes.count; i++)
        assert_int_equal(line->outcomes.reports[i].outcome, STEP_SKIPPED);
    after = state_text(line->device, STATE_KEY);
    assert_string_equal(before, after);
    assert_int_equal(state_count(line->device), 4);
}

static void a_step_whose_result_is_gone_is_done_again_and_no_other(void **state)
{
    Line *line = *state;
    char path[128];

    assert_int_equal(run(line), 0);
    (void)snprintf(path, sizeof(path), "%.64s/" STATE_CSR, line->device->state_dir);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(run(line), 0);
    assert_int_equal(outcome(line, "csr"), STEP_DONE);
    assert_int_equal(outcome(line, "device-key"), STEP_SKIPPED);
    assert_int_equal(outcome(line, "anchors"), STEP_SKIPPED);
}

static void a_csr_for_another_key_is_made_again(void **state)
{
    Line *line = *state;

    assert_int_equal(run(line), 0);
    line->device->options.force = true; /* another key */
    assert_int_equal(run(line), 0);
    assert_int_equal(outcome(line, "csr"), STEP_DONE);
}

/* As a process leaves them that is killed between two commands. */
static void leave_object_and_session(const char *tcti)
{
    static const TPM2B_NONCE nonce = {.size = TPM_HASH_SIZE};
    static const TPM2B_ENCRYPTED_SECRET no_salt = {0};
    const TPM2B_PUBLIC template = {
        .publicArea = {.type = TPM2_ALG_KEYEDHASH,
                       .nameAlg = TPM2_ALG_SHA256,
                       .objectAttributes = TPMA_OBJECT_SIGN_ENCRYPT | TPMA_OBJECT_USERWITHAUTH |
                                           TPMA_OBJECT_SENSITIVEDATAORIGIN,
                       .parameters.keyedHashDetail.scheme = {TPM2_ALG_HMAC,
                                                             {.hmac.hashAlg = TPM2_ALG_SHA256}}},
    };
    _cleanup_(tpm_closep) Tpm *tpm = NULL;
    Reason reason = {0};
    TPM2B_NONCE nonce_tpm = {0};
    TPM2B_PUBLIC public = {0};
    TpmObject object = {0};
    TPM2_HANDLE session;

    assert_int_equal(tpm_open(tcti, &tpm, &reason), 0);
    assert_int_equal(tpm2_create_primary(tpm, TPM2_RH_NULL, NULL, &template, &public, &object), 0);
    assert_int_equal(
        tpm2_start_auth_session(tpm, NULL, &nonce, &no_salt, TPM2_SE_POLICY, &session, &nonce_tpm),
        0);
    assert_int_equal(tpm_handle_count(tpm, TPM2_TRANSIENT_FIRST), 1);
    assert_int_equal(tpm_handle_count(tpm, TPM2_LOADED_SESSION_FIRST), 1);
}

static void what_a_killed_run_left_is_taken_away(void **state)
{
    static const uint8_t half[] = {'-', '-', '-'};
    Line *line = *state;
    const ProvisionOptions *options = &line->device->options;
    Provision provision;
    char path[128];

    assert_int_equal(run(line), 0);
    (void)snprintf(path, sizeof(path), "%.64s/" STATE_KEY STATE_BESIDE, line->device->state_dir);
    assert_int_equal(file_write_atomic(path, BYTES_OF(half), 0600), 0);
    leave_object_and_session(options->tcti);
    assert_int_equal(provision_open(&provision, options, NULL), 0);
    assert_int_equal(tpm_handle_count(provision.tpm, TPM2_TRANSIENT_FIRST), 0);
    assert_int_equal(tpm_handle_count(provision.tpm, TPM2_LOADED_SESSION_FIRST), 0);
    provision_close(&provision);
    assert_int_equal(state_count(line->device), 4);
}

static void only_one_at_a_time_works_in_a_state_folder(void **state)
{
    Line *line = *state;
    const ProvisionOptions *options = &line->device->options;
    int first = -1, second = -1;

    assert_int_equal(state_dir_make(options), 0);
    assert_int_equal(state_lock(options, &first), 0);
    assert_int_equal(state_lock(options, &second), -EBUSY);
    assert_int_equal(close(first), 0);
    assert_int_equal(state_lock(options, &second), 0);
    assert_int_equal(close(second), 0);
}

static void once_locked_the_owner_can_do_nothing_and_the_key_still_signs(void **state)
{
    Line *line = *state;
    _cleanup_(tpm_closep) Tpm *tpm = NULL;
    Reason reason = {0};
    TpmFacts facts;
    TPM2B_AUTH empty = {0};

    assert_int_equal(run(line), 0);
    assert_int_equal(tpm_open(line->device->options.tcti, &tpm, &reason), 0);
    assert_int_equal(tpm_facts_read(tpm, &facts, &reason), 0);
    assert_true(facts.owner_auth_set);
    assert_int_equal(tpm_rc_base(tpm2_hierarchy_change_auth(tpm, TPM2_RH_OWNER, NULL, &empty)),
                     TPM2_RC_BAD_AUTH);
    tpm_close(steal_pointer(tpm));
    assert_int_equal(run(line), 0); /* loads the key and signs with it */
}

static Bytes drawn; /* what comes of the next RAND_priv_bytes(); empty: chance */
static bool no_random;

int __real_RAND_priv_bytes(unsigned char *ret, int size);
int __wrap_RAND_priv_bytes(unsigned char *ret, int size);

int __wrap_RAND_priv_bytes(unsigned char *ret, int size)
{
    if (no_random)
        return 0;
    if ((size_t)size != drawn.size)
        return __real_RAND_priv_bytes(ret, size);
    memcpy(ret, drawn.data, drawn.size);
    drawn = (Bytes){0};
    return 1;
}

/* Where it was drawn, and where it was part of the key of the answer's HMAC. */
static void the_owners_authvalue_is_wiped_wherever_it_came_by(void **state)
{
    static const uint8_t value[] = "an authValue of thirty-two octet";
    Line *line = *state;
    Provision provision;
    char note[STEP_NOTE_SIZE];

    assert_int_equal(provision_open(&provision, &line->device->options, NULL), 0);
    assert_int_equal(step_srk_make(&provision, note), 0);
    drawn = (Bytes){value, sizeof(value) - 1};
    assert_int_equal(drawn.size, 32);
    free_watch_begin(drawn);
    assert_int_equal(step_lock_do(&provision, note), 0);
    assert_int_equal(free_watch_wiped(), 2);
    assert_false(free_watch_end());
    provision_close(&provision);
}

/* Or it would be one that anybody knows. */
static void without_random_numbers_the_owners_authvalue_stays(void **state)
{
    Line *line = *state;
    Provision provision;
    char note[STEP_NOTE_SIZE];

    assert_int_equal(provision_open(&provision, &line->device->options, NULL), 0);
    assert_int_equal(step_srk_make(&provision, note), 0);
    no_random = true;
    const int r = step_lock_do(&provision, note);
    no_random = false;
    assert_int_equal(r, -EIO);
    assert_int_equal(step_lock_check(&provision, note), 0);
    provision_close(&provision);
}

/* Without a storage root key there is nothing to encrypt it with. */
static void no_authvalue_goes_to_the_tpm_in_clear(void **state)
{
    Line *line = *state;
    Provision provision;
    char note[STEP_NOTE_SIZE];

    assert_int_equal(provision_open(&provision, &line->device->options, NULL), 0);
    assert_int_equal(step_lock_do(&provision, note), -ENOKEY);
    assert_int_equal(step_lock_check(&provision, note), 0);
    assert_int_equal(step_srk_make(&provision, note), 0);
    assert_int_equal(step_lock_do(&provision, note), 0);
    assert_int_equal(step_lock_check(&provision, note), 1);
    provision_close(&provision);
}

static bool bus_lies; /* sets OWNERAUTHSET in an answer that no session's HMAC covers */

TSS2_RC __real_tpm2_get_capability(Tpm *tpm, TpmSession *session, TPM2_CAP capability,
                                   uint32_t property, uint32_t count, TPMS_CAPABILITY_DATA *ret);
TSS2_RC __wrap_tpm2_get_capability(Tpm *tpm, TpmSession *session, TPM2_CAP capability,
                                   uint32_t property, uint32_t count, TPMS_CAPABILITY_DATA *ret);

TSS2_RC __wrap_tpm2_get_capability(Tpm *tpm, TpmSession *session, TPM2_CAP capability,
                                   uint32_t property, uint32_t count, TPMS_CAPABILITY_DATA *ret)
{
    TSS2_RC rc = __real_tpm2_get_capability(tpm, session, capability, property, count, ret);
    TPML_TAGGED_TPM_PROPERTY *found = &ret->data.tpmProperties;

    if (rc != TSS2_RC_SUCCESS || !bus_lies || capability != TPM2_CAP_TPM_PROPERTIES ||
        (session && session->key))
        return rc;
    for (uint32_t i = 0; i < found->count; i++) {
        if (found->tpmProperty[i].property == TPM2_PT_PERMANENT)
            found->tpmProperty[i].value |= TPMA_PERMANENT_OWNERAUTHSET;
    }
    return rc;
}

static void who_sits_on_the_bus_cannot_have_an_open_tpm_pass_for_a_locked_one(void **state)
{
    Line *line = *state;
    Provision provision;
    char note[STEP_NOTE_SIZE];

    assert_int_equal(provision_open(&provision, &line->device->options, NULL), 0);
    assert_int_equal(step_srk_make(&provision, note), 0);
    bus_lies = true;
    const int before = step_lock_check(&provision, note);
    bus_lies = false;
    assert_int_equal(before, 0);
    assert_int_equal(step_lock_do(&provision, note), 0);
    assert_int_equal(step_lock_check(&provision, note), 1);
    provision_close(&provision);
}

static void a_profile_that_keeps_the_owner_auth_has_no_such_step(void **state)
{
    Line *line = *state;

    line->profile.owner_auth = OWNER_AUTH_KEEP;
    assert_int_equal(run(line), 0);
    assert_int_equal(line->outcomes.count, 5);
}

/* The vendor's policy key, and its approval of the state that a simulator starts in. */
static void policy_write(Line *line)
{
    _cleanup_(free_charp) char *json = NULL;
    PcrState expected = {.bank = TPM2_ALG_SHA256, .mask = 1U << 7};
    PcrSignatures *states = calloc(1, sizeof(*states));
    EVP_PKEY *pkey = EVP_EC_gen("P-256");
    Reason reason = {0};
    char private_path[112];
    PolicyKey key = {0};
    PcrSignature entry;
    FILE *file;

    (void)snprintf(private_path, sizeof(private_path), "%s.private", line->policy_key);
    file = fopen(private_path, "we");
    assert_int_equal(PEM_write_PrivateKey(file, pkey, NULL, NULL, 0, NULL, NULL), 1);
    (void)fclose(file);
    file = fopen(line->policy_key, "we");
    assert_int_equal(PEM_write_PUBKEY(file, pkey), 1);
    (void)fclose(file);
    EVP_PKEY_free(pkey);
    assert_int_equal(policy_key_read(private_path, true, &key, &reason), 0);
    assert_int_equal(pcr_signature_make(&expected, &key, &entry), 0);
    assert_int_equal(pcr_signatures_add(states, &entry), 0);
    assert_int_equal(pcr_signatures_json_encode(states, &json), 0);
    assert_int_equal(
        file_write_atomic(line->states, (Bytes){(const uint8_t *)json, strlen(json)}, 0644), 0);
    policy_key_deinit(&key);
    free(states);
}

static void the_key_is_made_under_the_policy_that_the_profile_names(void **state)
{
    static const KeyPolicyKind kinds[] = {KEY_POLICY_SIGNED, KEY_POLICY_PCR};
    Line *line = *state;

    policy_write(line);
    line->profile.policy_key = line->policy_key;
    line->profile.pcr_signature = line->states;
    for (size_t i = 0; i < ELEMENTS(kinds); i++) {
        line->profile.key_policy = kinds[i];
        line->device->options.force = true;
        assert_int_equal(run(line), 0);
        line->device->options.force = false;
        assert_int_equal(run(line), 0);
        assert_int_equal(outcome(line, "platform-policy"), STEP_SKIPPED);
        assert_int_equal(outcome(line, "device-key"), STEP_SKIPPED);
    }
    line->profile.key_policy = KEY_POLICY_NONE;
    assert_int_equal(run(line), -EEXIST);
    assert_int_equal(outcome(line, "device-key"), STEP_FAILED);
}

/* What verify prints. */
static void verify_print(const Line *line, char *ret, size_t size)
{
    const int file = memfd_create("verify", MFD_CLOEXEC), output = dup(STDOUT_FILENO);
    ssize_t n;

    (void)fflush(stdout);
    assert_true(file >= 0 && output >= 0 && dup2(file, STDOUT_FILENO) >= 0);
    (void)provision_verify(&line->device->options);
    (void)fflush(stdout);
    assert_true(dup2(output, STDOUT_FILENO) >= 0);
    n = pread(file, ret, size - 1, 0);
    assert_true(n > 0);
    ret[n] = '\0';
    (void)close(output);
    (void)close(file);
}

static void verify_takes_no_storage_root_key_that_tred_would_not_trust(void **state)
{
    static const char other[] =
        "000b00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff\n";
    static const char fits[] = "storage-root-key   fits", wrong[] = "storage-root-key   WRONG";
    Line *line = *state;
    _cleanup_(free_charp) char *path = NULL;
    char text[8192];

    assert_int_equal(state_path(&line->device->options, STATE_SRK_NAME, &path), 0);
    policy_write(line);
    line->profile.policy_key = line->policy_key;
    line->profile.pcr_signature = line->states;
    line->profile.key_policy = KEY_POLICY_SIGNED;
    assert_int_equal(run(line), 0);
    verify_print(line, text, sizeof(text));
    assert_non_null(strstr(text, fits));
    assert_int_equal(unlink(path), 0);
    verify_print(line, text, sizeof(text));
    assert_non_null(strstr(text, wrong));
    assert_non_null(strstr(text, "any storage root key would be trusted"));
    assert_int_equal(file_write_atomic(path, (Bytes){(const uint8_t *)other, strlen(other)}, 0644),
                     0);
    verify_print(line, text, sizeof(text));
    assert_non_null(strstr(text, wrong));
    assert_non_null(strstr(text, "not the one that this device was provisioned with"));
    assert_int_equal(run(line), 0); /* makes it anew */
    verify_print(line, text, sizeof(text));
    assert_non_null(strstr(text, fits));
}

static void a_key_without_a_policy_does_not_pass_for_one_with_it(void **state)
{
    Line *line = *state;

    assert_int_equal(run(line), 0);
    policy_write(line);
    line->profile.policy_key = line->policy_key;
    line->profile.pcr_signature = line->states;
    line->profile.key_policy = KEY_POLICY_SIGNED;
    assert_int_equal(run(line), -EEXIST);
    assert_int_equal(outcome(line, "device-key"), STEP_FAILED);
}

#define LINE_TEST(name) cmocka_unit_test_setup_teardown(name, line_init, line_deinit)

int main(void)
{
    const struct CMUnitTest tests[] = {
        LINE_TEST(a_second_run_skips_what_the_first_has_done),
        LINE_TEST(a_step_whose_result_is_gone_is_done_again_and_no_other),
        LINE_TEST(a_csr_for_another_key_is_made_again),
        LINE_TEST(what_a_killed_run_left_is_taken_away),
        LINE_TEST(only_one_at_a_time_works_in_a_state_folder),
        LINE_TEST(the_owners_authvalue_is_wiped_wherever_it_came_by),
        LINE_TEST(without_random_numbers_the_owners_authvalue_stays),
        LINE_TEST(no_authvalue_goes_to_the_tpm_in_clear),
        LINE_TEST(once_locked_the_owner_can_do_nothing_and_the_key_still_signs),
        LINE_TEST(who_sits_on_the_bus_cannot_have_an_open_tpm_pass_for_a_locked_one),
        LINE_TEST(a_profile_that_keeps_the_owner_auth_has_no_such_step),
        LINE_TEST(the_key_is_made_under_the_policy_that_the_profile_names),
        LINE_TEST(verify_takes_no_storage_root_key_that_tred_would_not_trust),
        LINE_TEST(a_key_without_a_policy_does_not_pass_for_one_with_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
