/* Does tred.conf say what tred.conf(5) says it does? */
#include "tred/config.h"

#include "base/bytes.h"
#include "base/cleanup.h"
#include "base/file_write.h"
#include "base/log.h"
#include "tests/unit/shipped.h"
#include "tests/unit/temporary.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

typedef struct Result {
    int r;
    TredConfig config;
    Reason reason;
} Result;

/* Reads `text` as a file. */
static Result read_text(const char *text)
{
    char path[TEMPORARY_PATH_SIZE];
    _cleanup_(close_fdp) int fd = -1;
    Result result = {0};

    temporary_path("test_config", path);
    fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(file_write_atomic(path, (Bytes){(const uint8_t *)text, strlen(text)}, 0600),
                     0);
    result.r = tred_config_read(path, &result.config, &result.reason);
    (void)unlink(path);
    return result;
}

static void assert_refused(const char *text, const char *in_error)
{
    const Result result = read_text(text);

    assert_int_equal(result.r, -EINVAL);
    if (!strstr(result.reason.text, in_error))
        fail_msg("\"%s\" does not name \"%s\"", result.reason.text, in_error);
}

static void a_segw_name_is_enough(void **state)
{
    Result result = read_text("[segw]\nname = segw.example.org\n");

    (void)state;
    assert_int_equal(result.r, 0);
    assert_string_equal(result.config.segw_name, "segw.example.org");
    assert_string_equal(result.config.tcti, "device:/dev/tpmrm0");
    assert_string_equal(result.config.key, "/var/lib/tred/device.pem");
    assert_string_equal(result.config.certificates, "/var/lib/tred/device.crt");
    assert_string_equal(result.config.anchors, "/var/lib/tred/segw-anchors.pem");
    assert_int_equal(result.config.max_exchanges, 16);
    assert_int_equal(result.config.verify_seconds, 60);
    assert_int_equal(result.config.data_plane, DATAPLANE_AUTO);
    assert_string_equal(result.config.interface, "segw0");
    assert_int_equal(result.config.allowed_remote.n_selectors, 2);
    assert_int_equal(result.config.soft.seconds, 3600);
    assert_int_equal(result.config.hard.seconds, 3960);
    assert_int_equal(result.config.hard.bytes, 0);
    assert_int_equal(result.config.hard.packets, 0);
    assert_int_equal(result.config.log_level, LOG_INFO);
    tred_config_deinit(&result.config);
}

static void every_key_is_taken(void **state)
{
    Result result = read_text("[tpm]\ntcti = swtpm:path=/x\n"
                              "[identity]\nkey = /k\ncertificates = /c\n"
                              "[segw]\nname = a.example\nanchors = /a\n"
                              "[exchanges]\nmax-exchanges = 1024\n"
                              "[data-plane]\nmode = none\ninterface = tun7\nesp-helper = /e\n"
                              "allowed-local = 10.0.0.0/8\n"
                              "allowed-remote = 192.0.2.0/24, 2001:db8::/32\n"
                              "soft-lifetime-seconds = 1\nsoft-lifetime-bytes = 2\n"
                              "hard-lifetime-seconds = 3\nhard-lifetime-bytes = 4\n"
                              "soft-lifetime-packets = 5\nhard-lifetime-packets = 6\n"
                              "[log]\nlevel = debug\n");

    (void)state;
    assert_int_equal(result.r, 0);
    assert_string_equal(result.config.tcti, "swtpm:path=/x");
    assert_string_equal(result.config.key, "/k");
    assert_string_equal(result.config.certificates, "/c");
    assert_string_equal(result.config.segw_name, "a.example");
    assert_string_equal(result.config.anchors, "/a");
    assert_int_equal(result.config.max_exchanges, 1024);
    assert_int_equal(result.config.data_plane, DATAPLANE_NONE);
    assert_string_equal(result.config.interface, "tun7");
    assert_string_equal(result.config.esp_helper, "/e");
    assert_int_equal(result.config.allowed_local.n_selectors, 1);
    assert_int_equal(result.config.allowed_remote.n_selectors, 2);
    assert_int_equal(result.config.soft.seconds, 1);
    assert_int_equal(result.config.soft.bytes, 2);
    assert_int_equal(result.config.hard.seconds, 3);
    assert_int_equal(result.config.hard.bytes, 4);
    assert_int_equal(result.config.soft.packets, 5);
    assert_int_equal(result.config.hard.packets, 6);
    assert_int_equal(result.config.log_level, LOG_DEBUG);
    tred_config_deinit(&result.config);
}

static void a_missing_segw_name_is_named(void **state)
{
    (void)state;
    assert_refused("", "[segw] name");
    assert_refused("[segw]\nanchors = /a\n", "[segw] name");
}

static void a_segw_name_that_is_no_fqdn_is_refused(void **state)
{
    (void)state;
    assert_refused("[segw]\nname = segw example\n", "name");
    assert_refused("[segw]\nname = *.example.org\n", "name");
    assert_refused("[segw]\nname = 192.0.2.1\n", "and no address");
    assert_refused("[segw]\nname = 2001:db8::1\n", "and no address");
}

static void limits_of_exchanges_are_kept(void **state)
{
    (void)state;
    assert_refused("[segw]\nname = a.example\n[exchanges]\nmax-exchanges = 0\n", "1024");
    assert_refused("[segw]\nname = a.example\n[exchanges]\nmax-exchanges = 1025\n", "1024");
    assert_refused("[segw]\nname = a.example\n[exchanges]\nverify-seconds = 0\n", "3600");
    assert_refused("[segw]\nname = a.example\n[exchanges]\nverify-seconds = 3601\n", "3600");
}

static void a_soft_lifetime_that_is_not_below_the_hard_one_is_refused(void **state)
{
    static const char *const kinds[] = {"seconds", "bytes", "packets"};

    (void)state;
    for (size_t i = 0; i < ELEMENTS(kinds); i++) {
        char text[256], key[64];
        Result result;

        (void)snprintf(key, sizeof(key), "soft-lifetime-%s", kinds[i]);
        (void)snprintf(text, sizeof(text),
                       "[segw]\nname = a.example\n[data-plane]\n%s = 20\nhard-lifetime-%s = 20\n",
                       key, kinds[i]);
        assert_refused(text, key);
        text[strlen(text) - 2] = '1';
        result = read_text(text);
        assert_int_equal(result.r, 0);
        tred_config_deinit(&result.config);
    }
    /* 0 is no limit. */
    static const char *const unlimited[] = {
        "soft-lifetime-bytes = 20\n", "hard-lifetime-bytes = 20\n", "hard-lifetime-seconds = 0\n"};
    for (size_t i = 0; i < ELEMENTS(unlimited); i++) {
        char text[256];

        (void)snprintf(text, sizeof(text), "[segw]\nname = a.example\n[data-plane]\n%s",
                       unlimited[i]);
        Result result = read_text(text);
        assert_int_equal(result.r, 0);
        tred_config_deinit(&result.config);
    }
    /* Below the default one. */
    assert_refused("[segw]\nname = a.example\n[data-plane]\nhard-lifetime-seconds = 60\n",
                   "soft-lifetime-seconds is 3600");
}

/* ---- several SeGWs ---- */

#define FINGERPRINT_REST "0112233445566778899aabbccddeeff00112233445566778899AABBCCDDEEFF"
#define FINGERPRINT "0" FINGERPRINT_REST
#define PLAIN "[segw]\nname = a.example\nallowed-remote = 10.1.0.0/16\n"

static void one_segw_is_the_default_with_all_that_is_allowed(void **state)
{
    Result result =
        read_text("[segw]\nname = a.example\n[data-plane]\nallowed-remote = 10.0.0.0/8\n");
    const Segw *segw;

    (void)state;
    assert_int_equal(result.r, 0);
    assert_int_equal(result.config.segws.count, 1);
    segw = segws_find(&result.config.segws, "default");
    assert_non_null(segw);
    assert_string_equal(segw->name, "a.example");
    assert_int_equal(segw->anchors.count, 0);
    assert_true(ike_ts_is_subset(&segw->allowed_local, &result.config.allowed_local));
    assert_int_equal(segw->allowed_remote.n_selectors, 1);
    assert_null(segws_find(&result.config.segws, "core"));
    tred_config_deinit(&result.config);
}

static void each_segw_has_what_its_section_says(void **state)
{
    Result result = read_text("[segw management]\nname = b.example\nallowed-remote = 10.2.0.0/16, "
                              "2001:db8:2::/48\nallowed-local = 10.9.0.0/24\n"
                              "only-anchors = " FINGERPRINT ", " FINGERPRINT "\n" PLAIN
                              "only-anchors = " FINGERPRINT "\nallowed-local = 10.8.0.0/24\n"
                              "[data-plane]\nallowed-local = 10.8.0.0/15\n"
                              "[segw third]\nname = b.example\nallowed-remote = 10.3.0.0/16\n");
    const Segw *segw;

    (void)state;
    assert_int_equal(result.r, 0);
    assert_int_equal(result.config.segws.count, 3);
    segw = segws_find(&result.config.segws, "default");
    assert_ptr_equal(segw, result.config.segws.list[0]);
    assert_string_equal(segw->name, "a.example");
    assert_int_equal(segw->anchors.count, 1);
    assert_int_equal(segw->allowed_local.selectors[0].start[1], 8);
    segw = segws_find(&result.config.segws, "management");
    assert_string_equal(segw->name, "b.example");
    assert_int_equal(segw->anchors.count, 2);
    assert_int_equal(segw->anchors.fingerprints[1][1], 0x11);
    assert_int_equal(segw->anchors.fingerprints[1][31], 0xff);
    assert_int_equal(segw->allowed_remote.n_selectors, 2);
    assert_int_equal(segw->allowed_local.selectors[0].start[1], 9);
    segw = segws_find(&result.config.segws, "third");
    assert_int_equal(segw->allowed_local.selectors[0].end[1], 9); /* as the device */
    tred_config_deinit(&result.config);
}

/* Of three certificates the first and the last have one key. */
static void a_segw_is_asked_for_certificates_of_the_anchors_that_count_for_it(void **state)
{
    const AnchorFacts facts = {.n_certificates = 3,
                               .n_hashes = 2,
                               .hashes = {{1}, {2}},
                               .certificates = {{{10}, 0}, {{20}, 1}, {{30}, 0}}};
    Segw segw = {.anchors = {.count = 0}};
    Bytes hashes[FRAME_HASHES_MAX];
    (void)state;

    assert_int_equal(segw_anchor_hashes(&segw, &facts, hashes), 2);
    assert_ptr_equal(hashes[0].data, facts.hashes[0]);
    assert_ptr_equal(hashes[1].data, facts.hashes[1]);
    segw.anchors = (VerifyAnchors){1, {{20}}};
    assert_int_equal(segw_anchor_hashes(&segw, &facts, hashes), 1);
    assert_ptr_equal(hashes[0].data, facts.hashes[1]);
    assert_int_equal(hashes[0].size, FRAME_HASH_SIZE);
    segw.anchors = (VerifyAnchors){2, {{30}, {10}}};
    assert_int_equal(segw_anchor_hashes(&segw, &facts, hashes), 1);
    assert_ptr_equal(hashes[0].data, facts.hashes[0]);
    segw.anchors = (VerifyAnchors){1, {{10, [31] = 1}}}; /* none of them */
    assert_int_equal(segw_anchor_hashes(&segw, &facts, hashes), 0);
}

static void segws_that_could_carry_one_packet_are_refused(void **state)
{
    (void)state;
    assert_refused("[segw]\nname = a.example\n[segw b]\nname = b.example\n"
                   "allowed-remote = 10.2.0.0/16\n",
                   "allowed-remote of [segw] and of [segw b] both have addresses of 0.0.0.0-");
    assert_refused(PLAIN "[segw b]\nname = b.example\nallowed-remote = 10.1.255.0/24\n",
                   "allowed-remote of [segw] and of [segw b] both have addresses of 10.1.0.0-");
    assert_refused(PLAIN "[segw b]\nname = b.example\nallowed-remote = 10.2.0.0/16\n"
                         "[segw c]\nname = c.example\nallowed-remote = 10.3.0.0/16, 10.2.1.0/24\n",
                   "of [segw b] and of [segw c] both");
}

static void a_segw_is_within_what_the_device_allows(void **state)
{
    (void)state;
    assert_refused(PLAIN "[data-plane]\nallowed-remote = 10.2.0.0/16\n",
                   "[segw] allowed-remote has 10.1.0.0-10.1.255.255, which is not within "
                   "allowed-remote of [data-plane]");
    assert_refused(PLAIN "allowed-local = 10.9.0.0/16\n[data-plane]\nallowed-local = 10.8.0.0/16\n",
                   "[segw] allowed-local has 10.9.0.0-");
}

static void a_segw_that_lacks_something_is_refused(void **state)
{
    (void)state;
    assert_refused(PLAIN "[segw b]\nallowed-remote = 10.2.0.0/16\n", "[segw b] name is missing");
    assert_refused(PLAIN "[segw b]\nname = b.example\n", "[segw b] allowed-remote is missing");
    assert_refused(PLAIN "[segw b]\n", "[segw b] name is missing");
    assert_refused(PLAIN "[segw default]\nname = b.example\nallowed-remote = 10.2.0.0/16\n",
                   "[segw] itself has that name");
    assert_refused(PLAIN "[segw b]\n[segw b]\n", "there are two sections [segw b]");
    assert_refused(PLAIN "only-anchors = 0011\n", "in 64 hexadecimal digits");
    assert_refused(PLAIN "only-anchors = ,\n", "in 64 hexadecimal digits");
    assert_refused(PLAIN "only-anchors = " FINGERPRINT "0\n", "in 64 hexadecimal digits");
    assert_refused(PLAIN "only-anchors = g" FINGERPRINT_REST "\n", "in 64 hexadecimal digits");
    assert_refused(PLAIN "[segw b]\nprofile = 3gpp\n",
                   "its keys are: name, only-anchors, allowed-local, allowed-remote, interface");
}

static void each_segw_has_the_interface_that_its_section_names_or_the_data_planes(void **state)
{
    Result result = read_text(PLAIN "interface = core0\n"
                                    "[segw b]\nname = b.example\nallowed-remote = 10.2.0.0/16\n"
                                    "[segw c]\nname = c.example\nallowed-remote = 10.3.0.0/16\n"
                                    "interface = fifteen-octets-\n"
                                    "[segw d]\nname = d.example\nallowed-remote = 10.4.0.0/16\n"
                                    "interface = core0\n"
                                    "[data-plane]\ninterface = tun7\n");
    static const char *const names[] = {"core0", "tun7", "fifteen-octets-"};
    static const uint8_t places[] = {0, 1, 2, 0};

    (void)state;
    assert_int_equal(result.r, 0);
    assert_int_equal(result.config.interfaces.n, ELEMENTS(names));
    for (size_t i = 0; i < ELEMENTS(names); i++)
        assert_string_equal(result.config.interfaces.names[i], names[i]);
    for (size_t i = 0; i < ELEMENTS(places); i++)
        assert_int_equal(result.config.segws.list[i]->interface_place, places[i]);
    tred_config_deinit(&result.config);
}

static void segws_that_name_no_interface_share_the_one_of_before(void **state)
{
    Result result = read_text(PLAIN "[segw b]\nname = b.example\nallowed-remote = 10.2.0.0/16\n");

    (void)state;
    assert_int_equal(result.r, 0);
    assert_int_equal(result.config.interfaces.n, 1);
    assert_string_equal(result.config.interfaces.names[0], "segw0");
    assert_int_equal(result.config.segws.list[1]->interface_place, 0);
    tred_config_deinit(&result.config);
}

static void a_name_that_no_interface_can_have_is_refused(void **state)
{
    static const char *const names[] = {"sixteen-octets-0", "a/b",  "a b", "a:1", "a%d", ".a",
                                        "\xc3\xa4",         "a\x1b"};
    static const char rule[] = "of 1 to 15 characters of printable ASCII other than space, slash, "
                               "colon and percent sign, the first of them no dot";
    char text[256];

    (void)state;
    for (size_t i = 0; i < ELEMENTS(names); i++) {
        (void)snprintf(text, sizeof(text), PLAIN "interface = %s\n", names[i]);
        assert_refused(text, "[segw] interface is '");
        assert_refused(text, rule);
        (void)snprintf(text, sizeof(text),
                       PLAIN "[segw b]\nname = b.example\ninterface = %s\n"
                             "allowed-remote = 10.2.0.0/16\n",
                       names[i]);
        assert_refused(text, "[segw b] interface is '");
        (void)snprintf(text, sizeof(text), PLAIN "[data-plane]\ninterface = %s\n", names[i]);
        assert_refused(text, "[data-plane] interface is '");
    }
}

static void more_interfaces_than_there_may_be_are_refused(void **state)
{
    static const char *const names[] = {"b", "c", "d", "e"};
    char text[1024] = PLAIN;

    (void)state;
    for (unsigned i = 0; i < ELEMENTS(names); i++) {
        const size_t size = strlen(text);
        (void)snprintf(text + size, sizeof(text) - size,
                       "[segw %s]\nname = %s.example\nallowed-remote = 10.%u.0.0/16\n"
                       "interface = %s0\n",
                       names[i], names[i], 2 + i, names[i]);
        if (i < 3) {
            Result result = read_text(text);
            assert_int_equal(result.r, 0);
            assert_int_equal(result.config.interfaces.n, 2 + i);
            tred_config_deinit(&result.config);
        }
    }
    assert_refused(text, "[segw e] interface is e0, and 4 other interfaces stand before it");
}

static void unknown_keys_and_values_are_refused(void **state)
{
    (void)state;
    assert_refused("[segw]\nnames = a.example\n", "names");
    assert_refused("[segw]\nname = a.example\n[data-plane]\nmode = fast\n", "none");
    assert_refused("[segw]\nname = a.example\n[log]\nlevel = loud\n", "debug");
    assert_refused("[segw]\nname = a.example\n[identity]\nkey = device.pem\n", "absolute");
}

/* ---- memory: the linker puts these in the place of the real ones (--wrap) ---- */

static unsigned allocations_left; /* until the one that fails; 0: none does */
static bool has_failed;

char *__real_strdup(const char *text);
char *__wrap_strdup(const char *text);
void *__real_calloc(size_t count, size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__real_reallocarray(void *old, size_t count, size_t size);
void *__wrap_reallocarray(void *old, size_t count, size_t size);

static bool is_to_fail(void)
{
    if (allocations_left == 0 || --allocations_left > 0)
        return false;
    has_failed = true;
    return true;
}

char *__wrap_strdup(const char *text)
{
    return is_to_fail() ? NULL : __real_strdup(text);
}

void *__wrap_calloc(size_t count, size_t size)
{
    return is_to_fail() ? NULL : __real_calloc(count, size);
}

void *__wrap_reallocarray(void *old, size_t count, size_t size)
{
    return is_to_fail() ? NULL : __real_reallocarray(old, count, size);
}

static void without_memory_for_each_default_key_and_segw_nothing_is_read(void **state)
{
    static const char *const texts[] = {
        "[segw]\nname = a.example\n",
        PLAIN "interface = core0\nonly-anchors = " FINGERPRINT "\n"
              "[segw b]\nname = b.example\nallowed-remote = 10.2.0.0/16\n",
    };

    (void)state;
    for (size_t i = 0; i < ELEMENTS(texts); i++) {
        unsigned nth = 0;

        do {
            has_failed = false;
            allocations_left = ++nth;
            Result result = read_text(texts[i]);
            allocations_left = 0;
            assert_int_equal(result.r, has_failed ? -ENOMEM : 0);
            tred_config_deinit(&result.config);
        } while (has_failed);
        assert_true(nth > 16); /* the defaults, and a SeGW */
    }
}

static void a_missing_file_is_an_error(void **state)
{
    Reason reason = {0};
    TredConfig config;

    (void)state;
    assert_int_equal(tred_config_read("/nonexistent/tred.conf", &config, &reason), -ENOENT);
    assert_non_null(strstr(reason.text, "/nonexistent/tred.conf"));
}

/* With ikeclient's address, its name is all that nobody can ship. */
static void the_shipped_file_lacks_nothing_but_the_name(void **state)
{
    Reason reason = {0};
    TredConfig config;

    assert_int_equal(tred_config_read(*state, &config, &reason), -EINVAL);
    assert_non_null(strstr(reason.text, "[segw] name"));
}

static void what_the_shipped_file_has_commented_out_is_the_default(void **state)
{
    char *text = shipped_in_force(*state);
    Result shipped = read_text(text);
    Result standard = read_text("[segw]\nname = segw.operator.example\n");
    const TredConfig *a = &shipped.config, *b = &standard.config;

    assert_string_equal(shipped.reason.text, "");
    assert_int_equal(shipped.r, 0);
    assert_int_equal(standard.r, 0);
    assert_string_equal(a->tcti, b->tcti);
    assert_string_equal(a->srk_name, b->srk_name);
    assert_string_equal(a->key, b->key);
    assert_string_equal(a->policy_key, b->policy_key);
    assert_string_equal(a->pcr_signatures, b->pcr_signatures);
    assert_string_equal(a->certificates, b->certificates);
    assert_string_equal(a->segw_name, b->segw_name);
    assert_string_equal(a->anchors, b->anchors);
    assert_string_equal(a->segw_profile, b->segw_profile);
    assert_int_equal(a->revocation, b->revocation);
    assert_string_equal(a->crl_directory, b->crl_directory);
    assert_string_equal(a->verifier, b->verifier);
    assert_int_equal(a->max_exchanges, b->max_exchanges);
    assert_int_equal(a->verify_seconds, b->verify_seconds);
    assert_int_equal(a->data_plane, b->data_plane);
    assert_string_equal(a->interface, b->interface);
    assert_string_equal(a->net_socket, b->net_socket);
    assert_string_equal(a->esp_helper, b->esp_helper);
    assert_string_equal(a->tpm_socket, b->tpm_socket);
    assert_true(ike_ts_is_subset(&a->allowed_local, &b->allowed_local));
    assert_true(ike_ts_is_subset(&b->allowed_local, &a->allowed_local));
    assert_true(ike_ts_is_subset(&a->allowed_remote, &b->allowed_remote));
    assert_true(ike_ts_is_subset(&b->allowed_remote, &a->allowed_remote));
    assert_int_equal(a->stronger_child, b->stronger_child);
    assert_int_equal(a->soft.seconds, b->soft.seconds);
    assert_int_equal(a->soft.bytes, b->soft.bytes);
    assert_int_equal(a->soft.packets, b->soft.packets);
    assert_int_equal(a->hard.seconds, b->hard.seconds);
    assert_int_equal(a->hard.bytes, b->hard.bytes);
    assert_int_equal(a->hard.packets, b->hard.packets);
    assert_int_equal(a->clock_record, b->clock_record);
    assert_int_equal(a->log_level, b->log_level);
    tred_config_deinit(&shipped.config);
    tred_config_deinit(&standard.config);
    free(text);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_segw_name_is_enough),
        cmocka_unit_test(every_key_is_taken),
        cmocka_unit_test(a_missing_segw_name_is_named),
        cmocka_unit_test(a_segw_name_that_is_no_fqdn_is_refused),
        cmocka_unit_test(one_segw_is_the_default_with_all_that_is_allowed),
        cmocka_unit_test(each_segw_has_what_its_section_says),
        cmocka_unit_test(a_segw_is_asked_for_certificates_of_the_anchors_that_count_for_it),
        cmocka_unit_test(segws_that_could_carry_one_packet_are_refused),
        cmocka_unit_test(a_segw_is_within_what_the_device_allows),
        cmocka_unit_test(a_segw_that_lacks_something_is_refused),
        cmocka_unit_test(limits_of_exchanges_are_kept),
        cmocka_unit_test(a_soft_lifetime_that_is_not_below_the_hard_one_is_refused),
        cmocka_unit_test(each_segw_has_the_interface_that_its_section_names_or_the_data_planes),
        cmocka_unit_test(segws_that_name_no_interface_share_the_one_of_before),
        cmocka_unit_test(a_name_that_no_interface_can_have_is_refused),
        cmocka_unit_test(more_interfaces_than_there_may_be_are_refused),
        cmocka_unit_test(unknown_keys_and_values_are_refused),
        cmocka_unit_test(without_memory_for_each_default_key_and_segw_nothing_is_read),
        cmocka_unit_test(a_missing_file_is_an_error),
        cmocka_unit_test_prestate(the_shipped_file_lacks_nothing_but_the_name, argv[1]),
        cmocka_unit_test_prestate(what_the_shipped_file_has_commented_out_is_the_default, argv[1]),
    };

    if (argc != 2)
        return 2;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
