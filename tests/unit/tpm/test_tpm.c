/* The TPM is reached, and a person learns what stands between where it is not. */
#include "tpm/open.h"
#include "tpm/tpm.h"

#include "base/bytes.h"
#include "base/cleanup.h"
#include "swtpm_fixture.h"
#include "tests/unit/temporary.h"
#include "tpm_commands.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

static void assert_not_opened(const char *tcti, int expected, const char *why)
{
    Reason reason = {0};
    Tpm *tpm = NULL;

    assert_int_equal(tpm_open(tcti, &tpm, &reason), expected);
    assert_null(tpm);
    if (!strstr(reason.text, why))
        fail_msg("'%s' does not say '%s'", reason.text, why);
}

static void a_tpm_opens_again_and_again(void **state)
{
    Reason reason = {0};
    Swtpm swtpm;

    (void)state;
    assert_int_equal(swtpm_start(&swtpm), 0);
    for (int i = 0; i < 20; i++) {
        Tpm *tpm = NULL;

        assert_int_equal(tpm_open(swtpm.tcti, &tpm, &reason), 0);
        tpm_close(tpm);
    }
    swtpm_stop(&swtpm);
}

static void an_absent_device_is_named(void **state)
{
    (void)state;
    assert_not_opened("device:/dev/no-such-tpm", -ENODEV, "no TPM at /dev/no-such-tpm");
}

/* The device TCTI would open it and write TPM commands into it. */
static void a_regular_file_in_place_of_the_device_is_left_alone(void **state)
{
    char path[TEMPORARY_PATH_SIZE];
    char tcti[96];
    struct stat status;
    int fd;

    (void)state;
    temporary_path("test_tpm", path);
    fd = mkstemp(path);
    assert_true(fd >= 0);
    (void)close(fd);
    (void)snprintf(tcti, sizeof(tcti), "device:%s", path);
    assert_not_opened(tcti, -ENODEV, "is not a TPM device");
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_size, 0);
    (void)unlink(path);
}

static void a_device_that_is_no_tpm_is_refused(void **state)
{
    (void)state;
    assert_not_opened("device:/dev/null", -ENODEV, "");
}

static void a_device_without_permission_tells_the_group(void **state)
{
    char path[TEMPORARY_PATH_SIZE];
    char device[TEMPORARY_PATH_SIZE + 8];
    char tcti[96];

    (void)state;
    if (geteuid() != 0)
        skip(); /* making a device file takes root */
    temporary_path("test_tpm", path);
    assert_non_null(mkdtemp(path));
    assert_int_equal(chmod(path, 0755), 0);
    (void)snprintf(device, sizeof(device), "%s/tpm", path);
    (void)snprintf(tcti, sizeof(tcti), "device:%s", device);
    if (mknod(device, S_IFCHR | 0600, 0x103) < 0) { /* 1:3, as /dev/null */
        (void)rmdir(path);
        skip(); /* a container without CAP_MKNOD */
    }
    assert_int_equal(seteuid(65534), 0);
    assert_not_opened(tcti, -EACCES, "group (usually tss)");
    assert_int_equal(seteuid(0), 0);
    (void)unlink(device);
    (void)rmdir(path);
}

static void a_tcti_that_leads_nowhere_is_quoted(void **state)
{
    (void)state;
    assert_not_opened("swtpm:path=/nowhere/tpm", -ENODEV, "'swtpm:path=/nowhere/tpm'");
    assert_not_opened("no-such-tcti:x", -ENODEV, "'no-such-tcti:x'");
    assert_not_opened("swtpm:port=none", -ENODEV, "'swtpm:port=none'");
}

static void a_tpm_that_has_gone_away_is_an_error_not_a_crash(void **state)
{
    Reason reason = {0};
    Swtpm swtpm;
    Tpm *tpm = NULL;
    TPM2B_DIGEST random = {0};
    TSS2_RC rc;

    (void)state;
    assert_int_equal(swtpm_start(&swtpm), 0);
    assert_int_equal(tpm_open(swtpm.tcti, &tpm, &reason), 0);
    swtpm_stop(&swtpm);
    rc = tpm2_get_random(tpm, 8, &random);
    assert_int_not_equal(rc, TSS2_RC_SUCCESS);
    tpm_error(&reason, "TPM2_GetRandom", rc);
    assert_non_null(strstr(reason.text, "TPM2_GetRandom: "));
    tpm_close(tpm);
}

static void an_error_has_the_command_the_tpms_words_and_the_remedy(void **state)
{
    Reason reason = {0};

    (void)state;
    tpm_error(&reason, "TPM2_Load", 0x902);
    assert_non_null(strstr(reason.text, "TPM2_Load: tpm:warn"));
    assert_non_null(strstr(reason.text, "0x00000902"));
    assert_non_null(strstr(reason.text, "tpm2_flushcontext -t"));
    tpm_error(&reason, "TPM2_Load", 0x1df); /* TPM_RC_INTEGRITY, parameter 1 */
    assert_non_null(strstr(reason.text, "another TPM"));
    tpm_error(&reason, "TPM2_CreatePrimary", 0x9a2); /* TPM_RC_BAD_AUTH, session 1 */
    assert_non_null(strstr(reason.text, "password"));
    tpm_error(&reason, "TPM2_PolicyPCR", 0x1); /* TPM 1.2's */
    assert_non_null(strstr(reason.text, "no TPM 2.0's answer"));
    tpm_error(&reason, "TPM2_Sign", TSS2_SYS_RC_MALFORMED_RESPONSE);
    assert_non_null(strstr(reason.text, "no TPM 2.0's answer"));
    tpm_error(&reason, "TPM2_Sign", 0x2d5); /* nothing known to do about it */
    assert_null(strchr(reason.text, ';'));
}

static void each_key_algorithm_has_its_name(void **state)
{
    TpmKeyAlgorithm algorithm;

    (void)state;
    for (unsigned i = 0; i < TPM_KEY_ALGORITHMS; i++) {
        assert_int_equal(
            tpm_key_algorithm_from_name(tpm_key_algorithm_name((TpmKeyAlgorithm)i), &algorithm), 0);
        assert_int_equal(algorithm, i);
    }
    assert_string_equal(tpm_key_algorithm_name(TPM_KEY_ECDSA_P384), "ecdsa-p384");
    assert_string_equal(tpm_key_algorithm_name(TPM_KEY_ALGORITHMS), "unknown");
    assert_int_equal(tpm_key_algorithm_from_name("ecdsa-p521", &algorithm), -EINVAL);
}

static void the_device_without_a_name_is_the_first_one(void **state)
{
    struct stat status;

    (void)state;
    if (stat("/dev/tpm0", &status) == 0)
        skip(); /* it would be opened */
    assert_not_opened("device", -ENODEV, "no TPM at /dev/tpm0");
}

/* What is loaded for good (ld --wrap). */
static char loaded[96];
void *__wrap_dlopen(const char *name, int flags);

void *__wrap_dlopen(const char *name, int flags)
{
    (void)flags;
    (void)strncat(loaded, name, sizeof(loaded) - strlen(loaded) - 1);
    return NULL;
}

static void the_library_of_the_configured_tcti_is_loaded_and_no_other(void **state)
{
    static const struct {
        const char *tcti, *library;
    } cases[] = {
        {"device", "libtss2-tcti-device.so.0"},
        {"device:/dev/tpmrm0", "libtss2-tcti-device.so.0"},
        {"swtpm:port=2321", "libtss2-tcti-swtpm.so.0"},
        {"mssim", "libtss2-tcti-mssim.so.0"},
        {"libtss2-tcti-swtpm.so.0:port=2321", "libtss2-tcti-swtpm.so.0"},
        {"", ""},
        {"dev", ""},
        {"other:x", ""},
    };

    (void)state;
    for (size_t i = 0; i < ELEMENTS(cases); i++) {
        loaded[0] = '\0';
        tpm_tcti_warm(cases[i].tcti);
        assert_string_equal(loaded, cases[i].library);
    }
}

/* A TCTI of this test's own in the place of any other, and the device that it would be behind. */
static struct {
    bool is_on;
    TPM2_RC answer;      /* to the one question that is asked */
    TSS2_RC transmit_rc; /* of its way there */
    int loop_r;          /* of running a job in the loop */
    unsigned no_memory;  /* which allocation to come fails, counted from 1; 0: none */
    unsigned closed;     /* how often the TCTI was */
} fake;

static TSS2_RC fake_transmit(TSS2_TCTI_CONTEXT *tcti, size_t size, const uint8_t *request)
{
    (void)tcti, (void)size, (void)request;
    return fake.transmit_rc;
}

static TSS2_RC fake_receive(TSS2_TCTI_CONTEXT *tcti, size_t *size, uint8_t *response,
                            int32_t timeout)
{
    Writer writer;

    (void)tcti, (void)timeout;
    writer_init(&writer, response, *size);
    writer_u16(&writer, TPM2_ST_NO_SESSIONS);
    writer_u32(&writer, 0);
    writer_u32(&writer, fake.answer);
    if (fake.answer == TPM2_RC_SUCCESS) {
        writer_u8(&writer, TPM2_NO);
        writer_u32(&writer, TPM2_CAP_TPM_PROPERTIES);
        writer_u32(&writer, 0);
    }
    writer_patch_u32(&writer, sizeof(uint16_t), (uint32_t)writer.size);
    *size = writer.size;
    return TSS2_RC_SUCCESS;
}

static TSS2_TCTI_CONTEXT_COMMON_V1 fake_tcti = {
    .magic = 0x7465737400000000, .version = 1, .transmit = fake_transmit, .receive = fake_receive};

TSS2_RC __real_Tss2_TctiLdr_Initialize(const char *name, TSS2_TCTI_CONTEXT **ret);
TSS2_RC __wrap_Tss2_TctiLdr_Initialize(const char *name, TSS2_TCTI_CONTEXT **ret);
TSS2_RC __wrap_Tss2_TctiLdr_Initialize(const char *name, TSS2_TCTI_CONTEXT **ret)
{
    if (!fake.is_on)
        return __real_Tss2_TctiLdr_Initialize(name, ret);
    *ret = (TSS2_TCTI_CONTEXT *)(void *)&fake_tcti;
    return TSS2_RC_SUCCESS;
}

void __real_Tss2_TctiLdr_Finalize(TSS2_TCTI_CONTEXT **tcti);
void __wrap_Tss2_TctiLdr_Finalize(TSS2_TCTI_CONTEXT **tcti);
void __wrap_Tss2_TctiLdr_Finalize(TSS2_TCTI_CONTEXT **tcti)
{
    fake.closed++;
    if (fake.is_on) {
        *tcti = NULL;
    } else {
        __real_Tss2_TctiLdr_Finalize(tcti);
    }
}

int __real_stat64(const char *path, struct stat *ret);
int __wrap_stat64(const char *path, struct stat *ret);
int __wrap_stat64(const char *path, struct stat *ret)
{
    return __real_stat64(fake.is_on ? "/dev/null" : path, ret);
}

int __real_open64(const char *path, int flags, ...);
int __wrap_open64(const char *path, int flags, ...);
int __wrap_open64(const char *path, int flags, ...)
{
    return __real_open64(fake.is_on ? "/dev/null" : path, flags);
}

int __real_tpm_loop_run(TpmLoop *loop, void (*work)(void *job), void *job, bool stays);
int __wrap_tpm_loop_run(TpmLoop *loop, void (*work)(void *job), void *job, bool stays);
int __wrap_tpm_loop_run(TpmLoop *loop, void (*work)(void *job), void *job, bool stays)
{
    return fake.loop_r < 0 ? fake.loop_r : __real_tpm_loop_run(loop, work, job, stays);
}

/* Behind a resource manager the slots of others are not for us to flush. */
static void whether_a_resource_manager_is_between_is_known_by_the_tcti(void **state)
{
    static const struct {
        const char *tcti;
        bool exclusive;
    } cases[] = {
        {"device", true},
        {"device:/dev/tpm0", true},
        {"device:/dev/tpm9", true},
        {"device:/dev/tpmrm0", false},
        {"device:/dev/tpm", false},
        {"device:/dev/tpm/", false}, /* the characters before 0 and behind 9 */
        {"device:/dev/tpm:", false},
        {"device:/dev/tqm0", false},
        {"swtpm", true},
        {"swtpm:port=2321", true},
        {"mssim:port=2321", true},
        {"tabrmd:bus_name=com.intel.tss2.Tabrmd", false},
        {"other:0", false},
    };

    (void)state;
    fake.is_on = true;
    for (size_t i = 0; i < ELEMENTS(cases); i++) {
        Reason reason = {0};
        Tpm *tpm = NULL;

        if (tpm_open(cases[i].tcti, &tpm, &reason) < 0)
            fail_msg("%s: %s", cases[i].tcti, reason.text);
        if (tpm->exclusive != cases[i].exclusive)
            fail_msg("%s is taken for %s", cases[i].tcti, tpm->exclusive ? "ours alone" : "shared");
        tpm_close(tpm);
    }
    fake.is_on = false;
}

static void a_tpm_that_is_there_and_does_not_answer_is_told_from_none(void **state)
{
    (void)state;
    fake.is_on = true;
    fake.answer = TPM2_RC_FAILURE;
    assert_not_opened("swtpm", -EIO, "TPM2_GetCapability");
    fake.answer = TPM2_RC_CANCELED;
    assert_not_opened("swtpm", -ECANCELED, "TPM2_GetCapability");
    fake.transmit_rc = TSS2_TCTI_RC_IO_ERROR;
    assert_not_opened("swtpm", -ENODEV, "TPM2_GetCapability");
    memset(&fake, 0, sizeof(fake));
}

void *__real_calloc(size_t count, size_t size); /* NOLINT(bugprone-reserved-identifier) */
void *__wrap_calloc(size_t count, size_t size); /* NOLINT(bugprone-reserved-identifier) */
void *__wrap_calloc(size_t count, size_t size)
{
    if (fake.no_memory > 0 && --fake.no_memory == 0)
        return NULL;
    return __real_calloc(count, size);
}

/* For the connection, and for what computes in its sessions. */
static void without_memory_no_tpm_is_opened(void **state)
{
    (void)state;
    fake.is_on = true;
    for (unsigned i = 1; i <= 2; i++) {
        fake.no_memory = i;
        assert_not_opened("swtpm", -ENOMEM, "out of memory");
    }
    memset(&fake, 0, sizeof(fake));
}

static void a_connection_ends_with_its_last_reference(void **state)
{
    Reason reason = {0};
    Tpm *tpm = NULL;

    (void)state;
    fake.is_on = true;
    assert_int_equal(tpm_open("swtpm", &tpm, &reason), 0);
    fake.closed = 0;
    assert_ptr_equal(tpm_ref(tpm), tpm);
    tpm_close(tpm);
    assert_int_equal(fake.closed, 0);
    tpm_close(tpm);
    assert_int_equal(fake.closed, 1);
    tpm_close(NULL);
    assert_int_equal(fake.closed, 1);
    memset(&fake, 0, sizeof(fake));
}

static void a_tpm_that_was_not_even_asked_is_not_said_to_be_absent(void **state)
{
    (void)state;
    fake.is_on = true;
    fake.loop_r = -ECANCELED;
    assert_not_opened("swtpm", -ECANCELED, "the TPM was not asked");
    memset(&fake, 0, sizeof(fake));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_tpm_opens_again_and_again),
        cmocka_unit_test(an_absent_device_is_named),
        cmocka_unit_test(a_regular_file_in_place_of_the_device_is_left_alone),
        cmocka_unit_test(a_device_that_is_no_tpm_is_refused),
        cmocka_unit_test(a_device_without_permission_tells_the_group),
        cmocka_unit_test(a_tcti_that_leads_nowhere_is_quoted),
        cmocka_unit_test(a_tpm_that_has_gone_away_is_an_error_not_a_crash),
        cmocka_unit_test(an_error_has_the_command_the_tpms_words_and_the_remedy),
        cmocka_unit_test(each_key_algorithm_has_its_name),
        cmocka_unit_test(the_device_without_a_name_is_the_first_one),
        cmocka_unit_test(the_library_of_the_configured_tcti_is_loaded_and_no_other),
        cmocka_unit_test(whether_a_resource_manager_is_between_is_known_by_the_tcti),
        cmocka_unit_test(a_tpm_that_is_there_and_does_not_answer_is_told_from_none),
        cmocka_unit_test(without_memory_no_tpm_is_opened),
        cmocka_unit_test(a_connection_ends_with_its_last_reference),
        cmocka_unit_test(a_tpm_that_was_not_even_asked_is_not_said_to_be_absent),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
