/* Is a device's record one line of JSON that is read again as it was meant, and does nothing else
 * pass for one? */
#include "base/reason.h"
#include "provisioning/devicelist.h"
#include "provisioning/record.h"

#include "base/cleanup.h"
#include "base/file.h"
#include "base/file_write.h"
#include "tests/unit/temporary.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

static const DeviceLine device = {
    .serial = "0017",
    .fqdn = "henb-17.example",
    .tcti = "swtpm:host=127.0.0.1,port=2321",
};

static DeviceOutcome outcome_new(void)
{
    DeviceOutcome outcome = {
        .device = &device,
        .good = true,
        .key_name = "000b11",
        .certificate_serial = "7f01",
        .begun = {.tv_sec = 1700000000, .tv_nsec = 250 * 1000 * 1000},
        .nanoseconds = 12500000,
        .n_steps = 1,
        .steps = {{.name = "csr", .outcome = STEP_SKIPPED, .nanoseconds = 1500000}},
    };

    outcome.meter.used = 1;
    outcome.meter.entries[0] = (TpmMeterEntry){TPM2_CC_Sign, 2, 8000000};
    return outcome;
}

static int decode(const char *text, DeviceRecord *ret)
{
    Reason reason = {0};
    int r = device_record_decode((Bytes){(const uint8_t *)text, strlen(text)}, ret, &reason);

    assert_true((r == 0) == (reason.text[0] == '\0'));
    return r;
}

static void a_record_is_one_line_with_all_that_it_has_to_say(void **state)
{
    const DeviceOutcome outcome = outcome_new();
    _cleanup_(free_charp) char *line = NULL;

    (void)state;
    assert_int_equal(device_outcome_encode(&outcome, &line), 0);
    assert_string_equal(
        line,
        "{\"serial\":\"0017\",\"fqdn\":\"henb-17.example\",\"result\":\"good\",\"error\":null,"
        "\"ek_certificate_sha256\":null,\"key_name\":\"000b11\",\"certificate_serial\":\"7f01\","
        "\"tcti\":\"swtpm:host=127.0.0.1,port=2321\",\"start\":\"2023-11-14T22:13:20.250Z\","
        "\"end\":\"1970-01-01T00:00:00.000Z\",\"milliseconds\":12.500,"
        "\"steps\":[{\"name\":\"csr\",\"outcome\":\"skipped\",\"milliseconds\":1.500}],"
        "\"tpm_milliseconds\":8.000,"
        "\"tpm_commands\":{\"TPM2_Sign\":{\"count\":2,\"milliseconds\":8.000}}}\n");
}

static void a_record_is_read_as_it_was_written(void **state)
{
    DeviceOutcome outcome = outcome_new();
    _cleanup_(free_charp) char *line = NULL;
    DeviceRecord record;

    (void)state;
    outcome.good = false;
    reason_set(&outcome.reason, 0, "it said \"no\"\nand\\more");
    assert_int_equal(device_outcome_encode(&outcome, &line), 0);
    assert_ptr_equal(strchr(line, '\n'), line + strlen(line) - 1);
    line[strlen(line) - 1] = '\0';
    assert_int_equal(decode(line, &record), 0);
    assert_string_equal(record.serial, "0017");
    assert_string_equal(record.fqdn, "henb-17.example");
    assert_string_equal(record.reason.text, outcome.reason.text);
    assert_false(record.good);
    assert_true(record.milliseconds == 12.5);
    assert_int_equal(record.n_commands, 1);
    assert_string_equal(record.commands[0].name, "TPM2_Sign");
    assert_int_equal(record.commands[0].count, 2);
}

static void what_is_no_record_is_refused(void **state)
{
    static const char *const lines[] = {
        "",
        "[]",
        "7",
        "{",
        "{}",
        "{\"serial\":\"1\",\"fqdn\":\"a.example\"}",
        "{\"serial\":\"1\",\"fqdn\":\"a.example\",\"result\":\"so so\"}",
        "{\"serial\":\"../1\",\"fqdn\":\"a.example\",\"result\":\"good\"}",
        "{\"serial\":\"1\",\"fqdn\":\"a }\\n b { x.example\",\"result\":\"good\"}",
        "{\"serial\":1,\"fqdn\":\"a.example\",\"result\":\"good\"}",
        "{\"serial\":\"1\",\"fqdn\":\"a.example\",\"result\":\"good\"} x",
    };

    (void)state;
    for (size_t i = 0; i < ELEMENTS(lines); i++) {
        DeviceRecord record;

        if (decode(lines[i], &record) != -EINVAL)
            fail_msg("'%s' passes for a record", lines[i]);
    }
}

static void a_number_that_is_beyond_its_type_counts_as_none(void **state)
{
    static const char *const counts[] = {"9999999991", "1e300", "-1", "-1e300"};

    (void)state;
    for (size_t i = 0; i < ELEMENTS(counts); i++) {
        DeviceRecord record;
        char line[256];

        (void)snprintf(line, sizeof(line),
                       "{\"serial\":\"1\",\"fqdn\":\"a.example\",\"result\":\"good\","
                       "\"tpm_commands\":{\"TPM2_Sign\":{\"count\":%s,\"milliseconds\":%s}}}",
                       counts[i], counts[i]);
        assert_int_equal(decode(line, &record), 0);
        assert_int_equal(record.n_commands, 1);
        assert_int_equal(record.commands[0].count, 0);
    }
}

static void the_list_has_the_good_devices_with_their_last_names(void **state)
{
    static const char *const lines[] = {
        "{\"serial\":\"1\",\"fqdn\":\"a.example\",\"result\":\"good\"}",
        "{\"serial\":\"2\",\"fqdn\":\"b.example\",\"result\":\"failed\"}",
        "{\"serial\":\"3.x\",\"fqdn\":\"c.example\",\"result\":\"good\"}",
        "{\"serial\":\"1\",\"fqdn\":\"d.example\",\"result\":\"good\"}",
    };
    _cleanup_(device_list_deinit) DeviceList list = {0};
    _cleanup_(free_charp) char *fqdns = NULL;
    _cleanup_(free_charp) char *swanctl = NULL;

    (void)state;
    for (size_t i = 0; i < ELEMENTS(lines); i++) {
        DeviceRecord record;

        assert_int_equal(decode(lines[i], &record), 0);
        assert_int_equal(device_list_take(&list, &record), 0);
    }
    assert_int_equal(device_list_print(&list, DEVICE_LIST_FQDNS, &fqdns), 0);
    assert_string_equal(fqdns, "d.example\nc.example\n");
    assert_int_equal(device_list_print(&list, DEVICE_LIST_SWANCTL, &swanctl), 0);
    assert_non_null(strstr(swanctl, "henb-2-3_x : henb {"));
    assert_non_null(strstr(swanctl, "id = fqdn:d.example\n"));
    assert_null(strstr(swanctl, "a.example"));
}

static void a_torn_last_line_is_cut_off_and_the_rest_taken_in(void **state)
{
    static const char whole[] = "{\"serial\":\"1\",\"fqdn\":\"a.example\",\"result\":\"good\"}\n";
    char path[TEMPORARY_PATH_SIZE];
    char text[256];
    _cleanup_(roster_deinit) Roster roster = {0};
    _cleanup_(device_list_deinit) DeviceList list = {0};
    _cleanup_(free_bytesp) uint8_t *after = NULL;
    const RosterEntry *conflict = NULL;
    size_t size = 0;
    int fd = -1;

    (void)state;
    temporary_path("test_record", path);
    assert_int_equal(close(mkstemp(path)), 0);
    (void)snprintf(text, sizeof(text), "%s{\"serial\":\"2\",", whole);
    assert_int_equal(file_write_atomic(path, (Bytes){(const uint8_t *)text, strlen(text)}, 0600),
                     0);
    assert_int_equal(record_file_open(path, &roster, &list, &fd), 0);
    assert_int_equal(list.count, 1);
    assert_int_equal(roster_claim(&roster, "9", "a.example", 1, &conflict), -EEXIST);
    assert_int_equal(record_file_add(fd, whole), 0);
    assert_int_equal(close(fd), 0);
    assert_int_equal(file_read(path, sizeof(text), &after, &size), 0);
    (void)snprintf(text, sizeof(text), "%s%s", whole, whole);
    assert_string_equal((const char *)after, text);
    assert_int_equal(unlink(path), 0);
}

static const char whole_line[] = "{\"serial\":\"1\",\"fqdn\":\"a.example\",\"result\":\"good\"}\n";

/* A file of records with that in it, and what a line knows once it has opened it. */
typedef struct Records {
    char path[TEMPORARY_PATH_SIZE];
    Roster roster;
    DeviceList list;
    int fd;
} Records;

static void records_write(Records *records, const char *text)
{
    *records = (Records){.fd = -1};
    temporary_path("test_record", records->path);
    assert_int_equal(close(mkstemp(records->path)), 0);
    assert_int_equal(
        file_write_atomic(records->path, (Bytes){(const uint8_t *)text, strlen(text)}, 0600), 0);
}

static int records_open(Records *records)
{
    return record_file_open(records->path, &records->roster, &records->list, &records->fd);
}

static void records_assert(const Records *records, const char *text)
{
    _cleanup_(free_bytesp) uint8_t *found = NULL;
    size_t size = 0;

    assert_int_equal(file_read(records->path, 1024, &found, &size), 0);
    assert_string_equal((const char *)found, text);
}

static void records_remove(Records *records)
{
    roster_deinit(&records->roster);
    device_list_deinit(&records->list);
    if (records->fd >= 0)
        assert_int_equal(close(records->fd), 0);
    assert_int_equal(unlink(records->path), 0);
}

static void a_device_with_another_tpm_has_that_one_and_no_longer_the_one_before(void **state)
{
    static const char lines[] = "{\"serial\":\"1\",\"fqdn\":\"a.example\",\"result\":\"good\","
                                "\"ek_certificate_sha256\":\"0a\"}\n"
                                "{\"serial\":\"1\",\"fqdn\":\"a.example\",\"result\":\"good\","
                                "\"ek_certificate_sha256\":\"0b\"}\n"
                                "{\"serial\":\"1\",\"fqdn\":\"a.example\",\"result\":\"good\","
                                "\"ek_certificate_sha256\":null}\n";
    Records records;

    (void)state;
    records_write(&records, lines);
    assert_int_equal(records_open(&records), 0);
    assert_non_null(roster_tpm_owner(&records.roster, "0b"));
    assert_string_equal(roster_tpm_owner(&records.roster, "0b"), "1");
    assert_null(roster_tpm_owner(&records.roster, "0a"));
    records_remove(&records);
}

/* The limit stands for a disk that is full and has room again. */
static void assert_taken_back(bool appended)
{
    struct rlimit before, full;
    Records records;
    char text[256];
    int r;

    records_write(&records, whole_line);
    assert_int_equal(records_open(&records), 0);
    if (!appended) {
        assert_int_equal(close(records.fd), 0);
        records.fd = open(records.path, O_WRONLY | O_CLOEXEC);
        assert_int_equal(lseek(records.fd, 0, SEEK_END), strlen(whole_line));
    }
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    full = before;
    full.rlim_cur = strlen(whole_line) + 9;
    (void)signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &full), 0);
    r = record_file_add(records.fd, whole_line);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_int_equal(r, -EFBIG);
    assert_int_equal(record_file_add(records.fd, whole_line), 0);
    (void)snprintf(text, sizeof(text), "%s%s", whole_line, whole_line);
    records_assert(&records, text);
    records_remove(&records);
}

static void a_record_that_did_not_fit_on_the_disk_leaves_nothing_for_the_next_one(void **state)
{
    (void)state;
    assert_taken_back(true);
    assert_taken_back(false); /* as standard output is */
}

static void two_lines_never_have_one_file_of_records(void **state)
{
    Records records;
    Roster roster = {0};
    DeviceList list = {0};
    int second = -1;

    (void)state;
    records_write(&records, whole_line);
    assert_int_equal(records_open(&records), 0);
    assert_int_equal(record_file_open(records.path, &roster, &list, &second), -EBUSY);
    assert_int_equal(close(records.fd), 0);
    records.fd = -1;
    assert_int_equal(record_file_open(records.path, &roster, &list, &second), 0);
    assert_int_equal(close(second), 0);
    roster_deinit(&roster);
    device_list_deinit(&list);
    records_remove(&records);
}

static void a_file_that_holds_no_records_keeps_its_last_line(void **state)
{
    static const char *const texts[] = {
        "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----",
        "{\"sha256\":[]}",
        "x",
    };

    (void)state;
    for (size_t i = 0; i < ELEMENTS(texts); i++) {
        Records records;

        records_write(&records, texts[i]);
        assert_int_equal(records_open(&records), -EBADMSG);
        records_assert(&records, texts[i]);
        records_remove(&records);
    }
}

static void the_tally_adds_up_good_devices_by_command(void **state)
{
    static const char good[] =
        "{\"serial\":\"1\",\"fqdn\":\"a.example\",\"result\":\"good\",\"milliseconds\":10,"
        "\"tpm_milliseconds\":4,\"tpm_commands\":{\"TPM2_Sign\":{\"count\":2,\"milliseconds\":4}}}";
    static const char failed[] =
        "{\"serial\":\"1\",\"fqdn\":\"a.example\",\"result\":\"failed\",\"milliseconds\":90}";
    DeviceRecord record;
    Tally tally = {0};

    (void)state;
    assert_int_equal(decode(good, &record), 0);
    tally_add(&tally, &record);
    tally_add(&tally, &record);
    assert_int_equal(decode(failed, &record), 0);
    tally_add(&tally, &record);
    assert_int_equal(tally.good, 2);
    assert_int_equal(tally.failed, 1);
    assert_true(tally.milliseconds == 20 && tally.tpm_milliseconds == 8);
    assert_int_equal(tally.n_commands, 1);
    assert_int_equal(tally.commands[0].count, 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_record_is_one_line_with_all_that_it_has_to_say),
        cmocka_unit_test(a_record_is_read_as_it_was_written),
        cmocka_unit_test(what_is_no_record_is_refused),
        cmocka_unit_test(a_number_that_is_beyond_its_type_counts_as_none),
        cmocka_unit_test(the_list_has_the_good_devices_with_their_last_names),
        cmocka_unit_test(a_torn_last_line_is_cut_off_and_the_rest_taken_in),
        cmocka_unit_test(a_device_with_another_tpm_has_that_one_and_no_longer_the_one_before),
        cmocka_unit_test(a_record_that_did_not_fit_on_the_disk_leaves_nothing_for_the_next_one),
        cmocka_unit_test(two_lines_never_have_one_file_of_records),
        cmocka_unit_test(a_file_that_holds_no_records_keeps_its_last_line),
        cmocka_unit_test(the_tally_adds_up_good_devices_by_command),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
