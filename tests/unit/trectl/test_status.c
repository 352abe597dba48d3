/* The screen of trectl status. */
#include "trectl/status.h"

#include "base/cleanup.h"
#include "trectl/busjson.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static const char up[] =
    "{\"Time\": 1795714765,"
    " \"TrE\": {\"State\": \"ready\", \"StateReason\": \"\", \"Identity\": \"henb.example\","
    "   \"SegwIdentity\": \"segw.example\", \"CertificateExpires\": 1798306765,"
    "   \"AnchorsGuarded\": true, \"AnchorsVersion\": 7, \"KeyAlgorithm\": \"ecdsa-p256\","
    "   \"KeyPolicy\": \"signed\", \"DataPlane\": \"kernel\", \"CrlProblem\": \"\","
    "   \"CrlIssuers\": [[\"CN=Operator\", 1795707565, 1795714764], [\"CN=Other\", 1795628365, "
    "1798306765]],"
    "   \"Protection\": \"strict\", \"CleartextDropsIn\": 1, \"CleartextDropsOut\": 23,"
    "   \"Totals\": {\"PacketsIn\": 5, \"BytesIn\": 1500, \"PacketsOut\": 6, \"BytesOut\": 420,"
    "     \"Replays\": 2, \"Malformed\": 1, \"UnknownSpiDropsIn\": 3, \"DeliveryDropsIn\": 0,"
    "     \"NoSaDropsOut\": 4, \"SendDropsOut\": 5}},"
    " \"IkeClient\": {\"State\": \"established\", \"LastError\": \"\", \"SegwIdentity\": "
    "\"segw.example\","
    "   \"SegwAddress\": \"192.0.2.1:4500\", \"Suite\": \"AES/PRF/ECP\", \"NatDetected\": true,"
    "   \"Addresses\": [\"10.0.0.2/32\", \"fd00::2/128\"], \"DnsServers\": [],"
    "   \"Interface\": \"core0\","
    "   \"EstablishedSince\": 1795707265, \"NextAttempt\": 0},"
    " \"Exchange\": {\"SpiI\": \"0000000000000001\", \"SpiR\": \"0000000000000002\","
    "   \"PeerIdentity\": \"segw.example\", \"PeerCertificateExpires\": 1795714000,"
    "   \"Children\": [{\"SpiIn\": \"c0000001\", \"SpiOut\": \"c0000002\", \"Suite\": \"AES_GCM\","
    "     \"Since\": 1795714165, \"SoftLifetimeSeconds\": 3600, \"PacketsIn\": 1, \"BytesIn\": 84,"
    "     \"PacketsOut\": 2, \"BytesOut\": 168, \"Dscps\": 0}]}}";

static const char failing[] =
    "{\"Time\": 1795714765,"
    " \"TrE\": {\"State\": \"integrity-failed\", \"StateReason\": \"PCR 7 differs. Update the "
    "states\","
    "   \"Identity\": \"henb.example\", \"SegwIdentity\": \"segw.example\", \"AnchorsGuarded\": "
    "false, \"Protection\": \"no\", \"CleartextDropsIn\": 0, \"CleartextDropsOut\": 0,"
    "   \"PcrMismatch\": [[7, \"aa\", \"bb\"]], \"CrlIssuers\": [], \"CrlProblem\": \"a.crl: it is "
    "empty\"},"
    " \"IkeClient\": {\"State\": \"waiting\", \"LastError\": \"no answer: check the network\","
    "   \"NextAttempt\": 1795714777, \"EstablishedSince\": 0, \"SegwIdentity\": \"\", "
    "\"SegwAddress\": \"\"},"
    " \"Exchange\": null}";

static char *screen(const char *json, bool colours)
{
    _cleanup_(json_object_putp) json_object *snapshot = json_tokener_parse(json);
    char *text = NULL;
    size_t size = 0;
    FILE *stream = open_memstream(&text, &size);

    assert_non_null(stream);
    status_print(&(Paper){stream, colours}, snapshot);
    assert_int_equal(fclose(stream), 0);
    return text;
}

static void a_tunnel_is_shown_with_all_that_it_rests_on(void **state)
{
    _cleanup_(free_charp) char *text = screen(up, false);
    (void)state;

    assert_string_equal(
        text, "Connection   established for 2 h 5 min, since 2026-11-26 15:34:25 UTC\n"
              "SeGW         segw.example at 192.0.2.1:4500, a NAT between\n"
              "IKE SA       AES/PRF/ECP\n"
              "             SPI_i 0000000000000001, SPI_r 0000000000000002\n"
              "Addresses    10.0.0.2/32, fd00::2/128\n"
              "Interface    core0\n"
              "Child SA     c0000001 in, c0000002 out, AES_GCM\n"
              "             for 10 min, rekey due in 50 min\n"
              "             in 1 packets, 84 B; out 2 packets, 168 B\n"
              "TrE          ready, key ecdsa-p256 in the TPM under policy signed\n"
              "Identity     henb.example\n"
              "Certificate  30 days left, until 2026-12-26 17:39:25 UTC\n"
              "             expired 2026-11-26 17:26:40 UTC, have it renewed (segw.example)\n"
              "Anchors      version 7, guarded by the TPM\n"
              "CRLs         CN=Operator: 2 h 0 min old, overdue since 2026-11-26 17:39:24 UTC\n"
              "             CN=Other: 24 h 0 min old, next in 30 days\n"
              "All so far   in 5 packets, 1.5 kB; out 6 packets, 420 B; dropped 2 replayed, 1 "
              "malformed, 3 of no Child SA, 4 that no Child SA takes, 5 not sent\n"
              "Data plane   kernel\n"
              "Protection   strict, dropped in clear: 1 on the way in, 23 on the way out\n");
}

static void a_child_sa_that_sends_some_dscps_says_which(void **state)
{
    _cleanup_(free_charp) char *text =
        screen("{\"Time\": 1, \"TrE\": null, \"IkeClient\": {\"State\": \"established\"},"
               " \"Exchange\": {\"Children\": [{\"SpiIn\": \"c0000001\", \"SpiOut\": \"c0000002\","
               " \"Suite\": \"AES_GCM\", \"Dscps\": 9223442422778822657},"
               " {\"SpiIn\": \"c0000003\", \"SpiOut\": \"c0000004\", \"Suite\": \"AES_GCM\"}]}}",
               false);
    (void)state;

    assert_non_null(
        strstr(text, "c0000001 in, c0000002 out, AES_GCM, sends DSCP CS0, AF41, EF, 63\n"));
    assert_non_null(strstr(text, "c0000003 in, c0000004 out, AES_GCM\n"));
}

static void of_a_device_that_is_not_provisioned_no_key_and_no_identity_is_shown(void **state)
{
    _cleanup_(free_charp) char *text =
        screen("{\"Time\": 1, \"TrE\": {\"State\": \"unprovisioned\", \"StateReason\": \"no key\","
               " \"Identity\": \"\", \"KeyAlgorithm\": \"\", \"KeyPolicy\": \"\"},"
               " \"IkeClient\": null, \"Exchange\": null}",
               false);
    (void)state;

    assert_non_null(strstr(text, "TrE          unprovisioned\n             no key\n"));
    assert_null(strstr(text, "Identity"));
}

static void what_stands_in_the_way_is_shown_with_the_next_attempt(void **state)
{
    _cleanup_(free_charp) char *text = screen(failing, false);
    (void)state;

    assert_non_null(strstr(text, "Connection   waiting, next attempt in 12 s\n"));
    assert_non_null(strstr(text, "SeGW         segw.example\n"));
    assert_non_null(strstr(text, "Last error   no answer: check the network\n"));
    assert_non_null(strstr(text, "TrE          integrity-failed"));
    assert_non_null(strstr(text, "             PCR 7 differs. Update the states\n"));
    assert_non_null(strstr(text, "PCR 7 is bb\n             and not aa\n"));
    assert_non_null(strstr(text, "Anchors      not guarded by the TPM\n"));
    assert_non_null(strstr(text, "             a.crl: it is empty\n"));
    assert_non_null(strstr(text, "Protection   no: packets may go past the tunnel, in clear\n"));
}

static void services_that_do_not_run_are_named_with_what_to_do(void **state)
{
    _cleanup_(free_charp) char *text =
        screen("{\"Time\": 1, \"TrE\": null, \"IkeClient\": null}", false);
    (void)state;

    assert_non_null(strstr(text, "ikeclient does not run. Start it: systemctl start ikeclient\n"));
    assert_non_null(strstr(text, "tred does not run"));
}

static void colours_are_there_only_where_they_are_wanted(void **state)
{
    _cleanup_(free_charp) char *plain = screen(up, false), *painted = screen(up, true);
    (void)state;

    assert_null(strchr(plain, '\033'));
    assert_non_null(strstr(painted, "\033[32mestablished\033[0m"));
    assert_non_null(strstr(painted, "\033[31mexpired"));
}

static void only_an_established_tunnel_counts_as_up(void **state)
{
    static const struct {
        const char *json;
        bool up;
    } cases[] = {
        {up, true},
        {failing, false},
        {"{\"IkeClient\": {\"State\": \"established-no-child\"}}", false},
        {"{\"IkeClient\": null}", false},
        {"{}", false},
    };
    (void)state;

    for (size_t i = 0; i < ELEMENTS(cases); i++) {
        _cleanup_(json_object_putp) json_object *snapshot = json_tokener_parse(cases[i].json);

        assert_int_equal(status_is_up(snapshot), cases[i].up);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_tunnel_is_shown_with_all_that_it_rests_on),
        cmocka_unit_test(a_child_sa_that_sends_some_dscps_says_which),
        cmocka_unit_test(of_a_device_that_is_not_provisioned_no_key_and_no_identity_is_shown),
        cmocka_unit_test(what_stands_in_the_way_is_shown_with_the_next_attempt),
        cmocka_unit_test(services_that_do_not_run_are_named_with_what_to_do),
        cmocka_unit_test(colours_are_there_only_where_they_are_wanted),
        cmocka_unit_test(only_an_established_tunnel_counts_as_up),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
