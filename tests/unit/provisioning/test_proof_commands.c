/* Do the four commands pass a device's proof from file to file, and end with a sentence where they
 * can't? The program's path is the first argument. */
#include "pki_fixture.h"
#include "swtpm_fixture.h"

#include "base/cleanup.h"
#include "base/file.h"

#include <openssl/pem.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cmocka.h>

static const char *program;
static Swtpm swtpm;
static Swtpm other;

/* Runs the program in the TPM's folder; all that it prints goes to `ret_output`. */
static int run(const Swtpm *tpm, const char *arguments, char *ret_output, size_t size)
{
    char command[1024];
    size_t length;
    FILE *output;

    (void)snprintf(command, sizeof(command),
                   "cd '%s' && exec 2>&1 && '%s' --tcti %s --state-dir state %s", tpm->folder,
                   program, tpm->tcti, arguments);
    output = popen(command, "r");
    assert_non_null(output);
    length = fread(ret_output, 1, size - 1, output);
    ret_output[length] = '\0';
    return WEXITSTATUS(pclose(output));
}

static void assert_prints(const Swtpm *tpm, const char *arguments, int status, const char *text)
{
    char output[8192];
    int found = run(tpm, arguments, output, sizeof(output));

    if (found != status || !strstr(output, text))
        fail_msg("'%s' ends with %d and prints '%s', without '%s'", arguments, found, output, text);
}

static void file_make(const char *name, void (*write)(FILE *file, const void *data),
                      const void *data)
{
    char path[128];
    FILE *file;

    (void)snprintf(path, sizeof(path), "%s/%s", swtpm.folder, name);
    file = fopen(path, "we");
    assert_non_null(file);
    write(file, data);
    assert_int_equal(fclose(file), 0);
}

static void certificate_write(FILE *file, const void *data)
{
    const Pki *pki = data;

    assert_int_equal(PEM_write_X509(file, pki->certificate), 1);
}

static void key_write(FILE *file, const void *data)
{
    const Pki *pki = data;

    assert_int_equal(PEM_write_PrivateKey(file, pki->key, NULL, NULL, 0, NULL, NULL), 1);
}

static void public_write(FILE *file, const void *data)
{
    const Pki *pki = data;

    assert_int_equal(PEM_write_PUBKEY(file, pki->key), 1);
}

static void text_write(FILE *file, const void *data)
{
    assert_true(fputs(data, file) >= 0);
}

static int group_init(void **state)
{
    char command[512];
    Pki pki;

    (void)state;
    if (swtpm_start_certified(&swtpm) < 0 || swtpm_start_certified(&other) < 0)
        return -1;
    pki = pki_root("Devices");
    file_make("ca.pem", certificate_write, &pki);
    file_make("ca-key.pem", key_write, &pki);
    file_make("policy-key.pem", public_write, &pki);
    pki_deinit(&pki);
    (void)snprintf(command, sizeof(command),
                   "cd '%s' && cat " SWTPM_CA_ROOT " " SWTPM_CA ".pem > ek-anchors.pem",
                   swtpm.folder);
    return system(command); /* NOLINT(cert-env33-c): the folder is our own */
}

static int group_deinit(void **state)
{
    (void)state;
    swtpm_stop(&other);
    swtpm_stop(&swtpm);
    return 0;
}

static void a_device_is_certified_by_four_commands(void **state)
{
    char path[128];
    struct stat status;

    (void)state;
    assert_prints(&swtpm, "request", 1, "there is no device key; run 'tre-provision init'");
    assert_prints(&swtpm, "init --fqdn henb-1.example", 0, "henb-1.example");
    assert_prints(&swtpm, "--serial SN-1 request > request.json", 0, "");
    assert_prints(&swtpm, "challenge request.json --ek-anchors ek-anchors.pem > challenge.json", 0,
                  "warning: no policy was asked for");
    (void)snprintf(path, sizeof(path), "%s/request.json.pending", swtpm.folder);
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0600);
    assert_prints(&swtpm, "activate challenge.json > response.json", 0, "");
    assert_prints(&swtpm,
                  "issue request.json response.json --ca-certificate ca.pem --ca-key ca-key.pem "
                  "--days 30 > device.pem",
                  0, "");
    assert_prints(&swtpm, "install-cert device.pem", 0, "identity           henb-1.example");
    /* A challenge is answered once. */
    assert_prints(&swtpm,
                  "issue request.json response.json --ca-certificate ca.pem --ca-key ca-key.pem", 1,
                  "request.json.pending can't be read");
}

static void another_device_can_not_answer(void **state)
{
    char arguments[256];

    (void)state;
    assert_prints(&other, "init --fqdn henb-2.example", 0, "henb-2.example");
    assert_prints(&swtpm, "challenge request.json --ek-anchors ek-anchors.pem > challenge.json", 0,
                  "");
    (void)snprintf(arguments, sizeof(arguments), "activate %s/challenge.json", swtpm.folder);
    assert_prints(&other, arguments, 1, "made for another TPM, or for another device key");
}

static void a_device_of_a_vendor_that_is_not_trusted_gets_no_challenge(void **state)
{
    char arguments[256];

    (void)state;
    assert_prints(&other, "request > request.json", 0, "");
    (void)snprintf(arguments, sizeof(arguments),
                   "challenge %s/request.json --ek-anchors ek-anchors.pem", other.folder);
    assert_prints(&swtpm, arguments, 1, "has no chain to a root of the TPM vendors");
}

static void a_key_without_the_policy_asked_for_gets_no_challenge(void **state)
{
    (void)state;
    assert_prints(&swtpm,
                  "challenge request.json --ek-anchors ek-anchors.pem --policy-key policy-key.pem",
                  1, "the device key can be used without its policy (userWithAuth is set)");
    assert_prints(&swtpm,
                  "challenge request.json --ek-anchors ek-anchors.pem --policy-digest "
                  "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff",
                  1, "the device key can be used without its policy (userWithAuth is set)");
    assert_prints(&swtpm, "challenge request.json --ek-anchors ek-anchors.pem --policy-digest 0011",
                  1, "'0011' is not a policy digest: 64 hexadecimal digits");
    assert_prints(&swtpm,
                  "challenge request.json --ek-anchors ek-anchors.pem --policy-digest 0011 "
                  "--policy-key policy-key.pem",
                  1, "give one of them");
}

static void files_that_are_no_message_are_refused_by_name(void **state)
{
    static const char *const texts[] = {"", "junk", "{}", "[]",
                                        "{\"type\":\"tred-proof-pending\"}"};

    (void)state;
    for (size_t i = 0; i < ELEMENTS(texts); i++) {
        file_make("bad.json", text_write, texts[i]);
        assert_prints(&swtpm, "challenge bad.json --ek-anchors ek-anchors.pem", 1, "bad.json: ");
        assert_prints(&swtpm, "activate bad.json", 1, "bad.json: ");
        assert_prints(&swtpm, "issue bad.json bad.json --ca-certificate ca.pem --ca-key ca-key.pem",
                      1, "bad.json: ");
    }
    assert_prints(&swtpm, "challenge /dev/zero --ek-anchors ek-anchors.pem", 1, "/dev/zero");
    assert_prints(&swtpm, "challenge none.json --ek-anchors ek-anchors.pem", 1,
                  "none.json can't be read: No such file or directory");
    assert_prints(&swtpm, "challenge request.json --ek-anchors none.pem", 1, "none.pem");
    assert_prints(&swtpm,
                  "issue request.json response.json --ca-certificate ca.pem --ca-key ca.pem", 1,
                  "ca.pem holds no private key in PEM");
}

static void a_command_line_that_does_not_fit_is_refused(void **state)
{
    (void)state;
    assert_prints(&swtpm, "challenge request.json", 64, "--ek-anchors is missing");
    assert_prints(&swtpm, "issue a b --ca-key x", 64, "--ca-certificate is missing");
    assert_prints(&swtpm, "issue a --ca-key x --ca-certificate y", 64,
                  "a request and its response");
    assert_prints(&swtpm, "issue a b c --ca-key x --ca-certificate y", 64, "a request and its");
    assert_prints(&swtpm, "issue a b --ca-key x --ca-certificate y --days 0", 64, "'0'");
    assert_prints(&swtpm, "request --ek-anchors x", 64, "--ek-anchors is no option");
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_device_is_certified_by_four_commands),
        cmocka_unit_test(another_device_can_not_answer),
        cmocka_unit_test(a_device_of_a_vendor_that_is_not_trusted_gets_no_challenge),
        cmocka_unit_test(a_key_without_the_policy_asked_for_gets_no_challenge),
        cmocka_unit_test(files_that_are_no_message_are_refused_by_name),
        cmocka_unit_test(a_command_line_that_does_not_fit_is_refused),
    };

    if (argc != 2)
        return 1;
    program = realpath(argv[1], NULL); /* the commands run in another folder */
    if (!program)
        return 1;
    return cmocka_run_group_tests(tests, group_init, group_deinit);
}
