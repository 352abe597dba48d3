/* A configuration is read whole, with its defaults, and refused where it is wrong. */
#include "ikeclient/config.h"

#include "base/cleanup.h"
#include "ikeclient/selectors.h"
#include "tests/unit/shipped.h"
#include "tests/unit/temporary.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>

#include <cmocka.h>

static Reason reason;

static int load_all(Configs *configs, const char *text)
{
    char path[TEMPORARY_PATH_SIZE];
    int fd;

    temporary_path("ikeclient-conf", path);
    fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    (void)close(fd);
    int r = configs_load(path, configs, &reason);
    (void)unlink(path);
    return r;
}

static int log_level; /* of the file that was loaded last */

/* The one connection of a file. */
static int load(Config *config, const char *text)
{
    Configs configs;

    int r = load_all(&configs, text);
    log_level = configs_log_level(&configs);
    if (configs.count > 0) {
        assert_int_equal(configs.count, 1);
        assert_string_equal(configs.list[0]->name, "default");
        *config = *configs.list[0];
        *configs.list[0] = (Config){0};
    }
    configs_deinit(&configs);
    return r;
}

static void an_address_alone_is_enough(void **state)
{
    _cleanup_(config_deinit) Config config = {0};
    (void)state;

    assert_int_equal(load(&config, "[segw]\naddress = segw.operator.example\n"), 0);
    assert_string_equal(config.segw_address, "segw.operator.example");
    assert_int_equal(config.port, 500);
    assert_int_equal(config.nat_t_port, 4500);
    assert_int_equal(config.liveness, 30);
    assert_int_equal(config.retry_max, 300);
    assert_int_equal(config.keepalive, 20);
    assert_int_equal(config.fragment_size, 1280);
    assert_int_equal(config.request_address, REQUEST_IPV4);
    assert_true(config.reconnect);
    assert_true(config.initial_contact);
    assert_true(config.ike_offer.n_proposals > 1);
    assert_true(config.esp_offer.n_proposals > 1);
    assert_int_equal(config.remote_ts.n_selectors, 0);
    assert_int_equal(log_level, LOG_INFO);
}

#define SEGW "[segw]\naddress = 192.0.2.1\n"

static void other_children_have_names_and_selectors_of_their_own(void **state)
{
    _cleanup_(config_deinit) Config config = {0};
    char text[SELECTORS_TEXT_SIZE];
    (void)state;

    assert_int_equal(load(&config, "[child core]\nremote-ts = 10.201.0.0/16\n" SEGW
                                   "[child]\nremote-ts = 10.200.0.0/16\n"
                                   "[child oam]\nremote-ts = 10.202.0.0/16, 10.203.0.0/16\n"
                                   "local-ts = 10.0.0.0/8\n"),
                     0);
    assert_string_equal(selectors_text(&config.remote_ts, text), "10.200.0.0/16");
    assert_int_equal(config.n_children, 2);
    assert_string_equal(config.children[0].name, "core");
    assert_string_equal(selectors_text(&config.children[0].remote_ts, text), "10.201.0.0/16");
    assert_int_equal(config.children[0].local_ts.n_selectors, 0);
    assert_string_equal(config.children[1].name, "oam");
    assert_string_equal(selectors_text(&config.children[1].remote_ts, text),
                        "10.202.0.0/16, 10.203.0.0/16");
    assert_string_equal(selectors_text(&config.children[1].local_ts, text), "10.0.0.0/8");
}

static void refused_children(const char *text, const char *expected)
{
    _cleanup_(config_deinit) Config config = {0};

    assert_int_equal(load(&config, text), -EINVAL);
    if (!strstr(reason.text, expected))
        fail_msg("%s", reason.text);
}

static void another_child_without_a_network_or_one_too_many_is_refused(void **state)
{
    (void)state;
    refused_children(SEGW "[child core]\n", "[child core] has neither \"remote-ts\" nor \"dscp\"");
    refused_children(SEGW "[child core]\nproposals = aes128gcm16\n", "remote-ts");
    refused_children(SEGW "[child a]\nremote-ts = 10.1.0.0/16\n[child a]\n", "two sections");
    refused_children(SEGW
                     "[child a]\nremote-ts = 10.1.0.0/16\n[child b]\nremote-ts = 10.2.0.0/16\n"
                     "[child c]\nremote-ts = 10.3.0.0/16\n[child d]\nremote-ts = 10.4.0.0/16\n",
                     "at most 3");
}

static void a_child_is_for_dscps_of_the_same_networks_or_of_its_own(void **state)
{
    _cleanup_(config_deinit) Config config = {0};
    (void)state;

    assert_int_equal(load(&config, SEGW "[child voice]\ndscp = EF, voice-admit, 47\n"
                                        "[child video]\ndscp = af41\nremote-ts = 10.2.0.0/16\n"
                                        "[child core]\nremote-ts = 10.3.0.0/16\n"),
                     0);
    assert_int_equal(config.children[0].dscps,
                     UINT64_C(1) << 46 | UINT64_C(1) << 44 | UINT64_C(1) << 47);
    assert_int_equal(config.children[0].remote_ts.n_selectors, 0);
    assert_int_equal(config.children[1].dscps, UINT64_C(1) << 34);
    assert_int_equal(config.children[1].remote_ts.n_selectors, 1);
    assert_int_equal(config.children[2].dscps, 0);
}

static void what_is_no_dscp_or_of_two_children_is_refused_with_its_name(void **state)
{
    (void)state;
    refused_children(SEGW "[child voice]\ndscp = ef, af55\n", "numbers from 0 to 63");
    refused_children(SEGW "[child voice]\ndscp = 64\n", "dscp");
    refused_children(SEGW "[child]\ndscp = ef\n", "dscp");
    refused_children(SEGW "[child a]\ndscp = cs6\n[child b]\nremote-ts = 10.2.0.0/16\n"
                          "dscp = af41, ef, cs5\n[child c]\nremote-ts = 10.3.0.0/16\n"
                          "dscp = 46, cs5, 1\n",
                     "[child b] and [child c] both have \"dscp\" CS5, EF");
    refused_children(SEGW "[child a]\ndscp = 0, cs6\n[child b]\ndscp = ef\n[child c]\n"
                          "dscp = cs0\n",
                     "[child a] and [child c] both have \"dscp\" CS0");
}

static void every_key_reaches_its_place(void **state)
{
    _cleanup_(config_deinit) Config config = {0};
    char text[SELECTORS_TEXT_SIZE];
    (void)state;

    assert_int_equal(load(&config,
                          "[segw]\naddress = 192.0.2.1\nport = 1500\nnat-t-port = 1501\n"
                          "plmn = 262-01\nreturn-after = 5\n"
                          "[ike]\nproposals = aes256gcm16-prfsha384-ecp384\n"
                          "[child]\nproposals = aes256-sha256-esn\nrequest-address = both\n"
                          "remote-ts = 10.0.0.0/8\n"
                          "[connection]\nreconnect = no\ninitial-contact = no\n"
                          "retransmit-timeout = 250\nretransmit-tries = 3\n"
                          "liveness = 9\nretry-max = 77\nkeepalive = 0\nfragment-size = 576\n"
                          "[log]\nlevel = debug\n"),
                     0);
    assert_int_equal(config.port, 1500);
    assert_string_equal(config.plmn, "262-01");
    assert_int_equal(config.return_after, 5);
    assert_int_equal(config.nat_t_port, 1501);
    assert_int_equal(config.ike_offer.n_proposals, 1);
    assert_int_equal(config.esp_offer.proposals[0].transforms[0].key_length, 256);
    assert_int_equal(config.request_address, REQUEST_BOTH);
    assert_string_equal(selectors_text(&config.remote_ts, text), "10.0.0.0/8");
    assert_false(config.reconnect);
    assert_false(config.initial_contact);
    assert_int_equal(config.retransmit_timeout, 250);
    assert_int_equal(config.retransmit_tries, 3);
    assert_int_equal(config.liveness, 9);
    assert_int_equal(config.retry_max, 77);
    assert_int_equal(config.keepalive, 0);
    assert_int_equal(config.fragment_size, 576);
    assert_int_equal(log_level, LOG_DEBUG);
}

static void a_file_without_an_address_says_what_is_missing(void **state)
{
    _cleanup_(config_deinit) Config config = {0};
    (void)state;

    assert_int_equal(load(&config, "[log]\nlevel = info\n"), -EINVAL);
    assert_non_null(strstr(reason.text, "address"));
}

static void a_bad_value_is_named_with_what_would_be_good(void **state)
{
    static const struct {
        const char *text;
        const char *expected;
    } wrong[] = {
        {"[ike]\nproposals = aes128gcm16-ecp256\n", "PRF"},
        {"[ike]\nproposals = rot13\n", "rot13"},
        {"[child]\nproposals = aes128\n", "integrity"},
        {"[child]\nremote-ts = 10.0.0.0/40\n", "prefixes"},
        {"[child]\nrequest-address = ipv5\n", "ipv4"},
        {"[connection]\nfragment-size = 100\n", "576"},
        {"[segw]\nports = 500\n", "ports"},
    };
    (void)state;

    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        _cleanup_(config_deinit) Config config = {0};
        assert_int_equal(load(&config, wrong[i].text), -EINVAL);
        assert_non_null(strstr(reason.text, wrong[i].expected));
        assert_non_null(strstr(reason.text, ":2:"));
    }
}

static void an_address_that_is_none_is_refused_with_what_to_write_instead(void **state)
{
    static const struct {
        const char *value, *expected;
    } wrong[] = {
        {"\"192.0.2.1\"", "write 192.0.2.1, without quotation marks"},
        {"\"segw.example\"", "write segw.example, without quotation marks"},
        {"'192.0.2.1'", "write 192.0.2.1, without quotation marks"},
        {"[2001:db8::1]", "write 2001:db8::1, without brackets"},
        {"[2001:db8::1]:4500", "write 2001:db8::1, without brackets, and \"port = 4500\""},
        {"192.0.2.1:500", "write 192.0.2.1, and \"port = 500\" in a line of its own"},
        {"segw.example:500", "write segw.example, and \"port = 500\""},
        {"192.0.2.256", "an IPv4 or IPv6 address, or a host name"},
        {"192.0.2.1/24", "an IPv4 or IPv6 address, or a host name"},
        {"segw example", "an IPv4 or IPv6 address, or a host name"},
        {"\"", "an IPv4 or IPv6 address, or a host name"},
        {"[", "an IPv4 or IPv6 address, or a host name"},
        {":", "an IPv4 or IPv6 address, or a host name"},
    };
    (void)state;

    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        _cleanup_(config_deinit) Config config = {0};
        char text[128];
        (void)snprintf(text, sizeof(text), "[segw]\naddress = %s\n", wrong[i].value);
        assert_int_equal(load(&config, text), -EINVAL);
        if (!strstr(reason.text, wrong[i].expected))
            fail_msg("%s: %s", wrong[i].value, reason.text);
    }
}

static void addresses_and_names_are_taken_as_they_stand(void **state)
{
    static const char *const good[] = {"192.0.2.1",
                                       "2001:db8::1",
                                       "fe80::1%eth0",
                                       "localhost",
                                       "segw.example.",
                                       "segw_1.example",
                                       "192.0.2.1, segw.example ,2001:db8::1",
                                       "segw",
                                       "1.segw.example.org"};
    (void)state;

    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        _cleanup_(config_deinit) Config config = {0};
        char text[128];
        (void)snprintf(text, sizeof(text), "[segw]\naddress = %s\n", good[i]);
        assert_int_equal(load(&config, text), 0);
        assert_string_equal(config.segw_address, good[i]);
    }
}

static void the_shipped_file_lacks_nothing_but_the_address(void **state)
{
    _cleanup_(configs_deinit) Configs configs = {0};

    assert_int_equal(configs_load(*state, &configs, &reason), -EINVAL);
    assert_non_null(strstr(reason.text, "address"));
}

static void what_the_shipped_file_has_commented_out_is_the_default(void **state)
{
    char *text = shipped_in_force(*state);
    _cleanup_(config_deinit) Config a = {0};
    _cleanup_(config_deinit) Config b = {0};

    assert_int_equal(load(&a, text), 0);
    free(text);
    assert_int_equal(load(&b, "[segw]\naddress = segw.operator.example\n"), 0);
    assert_string_equal(a.segw_address, b.segw_address);
    assert_int_equal(a.port, b.port);
    assert_int_equal(a.nat_t_port, b.nat_t_port);
    assert_memory_equal(&a.ike_offer, &b.ike_offer, sizeof(a.ike_offer));
    assert_memory_equal(&a.esp_offer, &b.esp_offer, sizeof(a.esp_offer));
    assert_int_equal(a.ike_lifetime, b.ike_lifetime);
    assert_int_equal(a.pfs, b.pfs);
    assert_int_equal(a.request_address, b.request_address);
    /* With request-address = ipv4, everything is what none asks for, too. */
    assert_int_equal(a.remote_ts.n_selectors, 1);
    assert_int_equal(b.remote_ts.n_selectors, 0);
    assert_int_equal(a.reconnect, b.reconnect);
    assert_int_equal(a.initial_contact, b.initial_contact);
    assert_int_equal(a.retransmit_timeout, b.retransmit_timeout);
    assert_int_equal(a.retransmit_tries, b.retransmit_tries);
    assert_int_equal(a.liveness, b.liveness);
    assert_int_equal(a.keepalive, b.keepalive);
    assert_int_equal(a.fragment_size, b.fragment_size);
    assert_int_equal(a.log_level, b.log_level);
}

/* ---- several connections ---- */

static void each_connection_has_what_its_section_says_and_else_what_is_for_all(void **state)
{
    _cleanup_(configs_deinit) Configs configs = {0};
    char text[SELECTORS_TEXT_SIZE];
    (void)state;

    assert_int_equal(load_all(&configs, "[connection core]\n"
                                        "[connection management]\n"
                                        "address = segw.management.example, plmn:segw\n"
                                        "plmn = 262-02\nport = 1500\n"
                                        "ike-proposals = aes256gcm16-prfsha384-ecp384\n"
                                        "ike-lifetime = 600\nchild-proposals = aes256gcm16\n"
                                        "remote-ts = 10.9.0.0/16\nretry-max = 7\n"
                                        "[segw]\naddress = 192.0.2.1\nplmn = 262-01\n"
                                        "[connection]\nretry-max = 9\nliveness = 12\n"
                                        "[child]\nremote-ts = 10.0.0.0/8\n[log]\nlevel = debug\n"),
                     0);
    assert_int_equal(configs_log_level(&configs), LOG_DEBUG);
    assert_int_equal(configs.count, 2);
    const Config *core = configs.list[0], *management = configs.list[1];
    assert_string_equal(core->name, "core");
    assert_string_equal(core->segw_address, "192.0.2.1");
    assert_string_equal(core->plmn, "262-01");
    assert_int_equal(core->retry_max, 9);
    assert_int_equal(core->liveness, 12);
    assert_true(core->ike_offer.n_proposals > 1);
    assert_string_equal(selectors_text(&core->remote_ts, text), "10.0.0.0/8");
    assert_string_equal(management->name, "management");
    assert_string_equal(management->segw_address, "segw.management.example, plmn:segw");
    assert_string_equal(management->plmn, "262-02");
    assert_int_equal(management->port, 1500);
    assert_int_equal(management->retry_max, 7);
    assert_int_equal(management->liveness, 12);
    assert_int_equal(management->ike_lifetime, 600);
    assert_int_equal(management->ike_offer.n_proposals, 1);
    assert_int_equal(management->esp_offer.n_proposals, 1);
    assert_string_equal(selectors_text(&management->remote_ts, text), "10.9.0.0/16");
}

static void log_lines_name_a_connection_where_there_are_several(void **state)
{
    _cleanup_(configs_deinit) Configs two = {0}, one = {0};
    (void)state;

    assert_int_equal(load_all(&two, "[segw]\naddress = 192.0.2.1\n[connection core]\n"
                                    "[connection management]\n"),
                     0);
    assert_string_equal(two.list[0]->label, "core: ");
    assert_string_equal(two.list[1]->label, "management: ");
    assert_int_equal(load_all(&one, "[segw]\naddress = 192.0.2.1\n[connection core]\n"), 0);
    assert_string_equal(one.list[0]->label, "");
}

static void mistakes_of_a_connection_are_named_with_it(void **state)
{
    static const struct {
        const char *text, *sentence;
    } files[] = {
        {"[segw]\naddress = a.example\n[connection b]\n[connection b]\n",
         "there are two sections [connection b]"},
        {"[connection b]\nport = 500\n", "[connection b] has no \"address\""},
        {"[connection b]\naddress = plmn:segw\n", "[connection b] has no \"plmn\""},
        {"[connection b]\nproposals = aes128gcm16\n",
         "section [connection b] has no key \"proposals\""},
        {"[connection b]\nlevel = debug\n", "section [connection b] has no key \"level\""},
        {"[connection b]\naddress = a.example\nport = 0\n", "\"port = 0\" in [connection b]"},
        {"[connection b]\naddress = a.example\n[child c]\nremote-ts = 10.0.0.0/8\n",
         "there are [connection b] and [child c]"},
        {"[connection B]\naddress = a.example\n", "\"B\" in [connection B] can't be a name"},
    };
    (void)state;

    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        _cleanup_(configs_deinit) Configs configs = {0};
        assert_int_equal(load_all(&configs, files[i].text), -EINVAL);
        if (!strstr(reason.text, files[i].sentence))
            fail_msg("\"%s\" does not say \"%s\"", reason.text, files[i].sentence);
    }
}

int main(int argc, char **argv)
{
    assert_true(argc == 2);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_address_alone_is_enough),
        cmocka_unit_test(every_key_reaches_its_place),
        cmocka_unit_test(other_children_have_names_and_selectors_of_their_own),
        cmocka_unit_test(another_child_without_a_network_or_one_too_many_is_refused),
        cmocka_unit_test(a_child_is_for_dscps_of_the_same_networks_or_of_its_own),
        cmocka_unit_test(what_is_no_dscp_or_of_two_children_is_refused_with_its_name),
        cmocka_unit_test(a_file_without_an_address_says_what_is_missing),
        cmocka_unit_test(a_bad_value_is_named_with_what_would_be_good),
        cmocka_unit_test(an_address_that_is_none_is_refused_with_what_to_write_instead),
        cmocka_unit_test(addresses_and_names_are_taken_as_they_stand),
        cmocka_unit_test(each_connection_has_what_its_section_says_and_else_what_is_for_all),
        cmocka_unit_test(log_lines_name_a_connection_where_there_are_several),
        cmocka_unit_test(mistakes_of_a_connection_are_named_with_it),
        cmocka_unit_test_prestate(the_shipped_file_lacks_nothing_but_the_address, argv[1]),
        cmocka_unit_test_prestate(what_the_shipped_file_has_commented_out_is_the_default, argv[1]),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
