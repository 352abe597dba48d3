/* A snapshot as metrics. */
#include "trectl/metrics.h"

#include "base/cleanup.h"
#include "trectl/busjson.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static const char snapshot[] =
    "{\"TrE\": {\"State\": \"ready\", \"AnchorsGuarded\": true, \"AnchorsVersion\": 7,"
    "   \"CertificateExpires\": 1798306765, \"CrlProblem\": \"\","
    "   \"CrlIssuers\": [[\"O=\\\"Op\\\\\\\"\", 1, 1795714764]],"
    "   \"Totals\": {\"Exchanges\": 3, \"PacketsIn\": 5, \"BytesIn\": 1500, \"PacketsOut\": 6,"
    "     \"BytesOut\": 18446744073709551615, \"Replays\": 2, \"AuthenticationFailures\": 0,"
    "     \"UnknownSpiDropsIn\": 7, \"DeliveryDropsIn\": 8, \"NoSaDropsOut\": 9,"
    "     \"SendDropsOut\": 10}, \"CleartextDropsIn\": 11, \"CleartextDropsOut\": 12},"
    " \"IkeClient\": {\"State\": \"established-no-child\", \"EstablishedSince\": 1795707265,"
    "   \"Totals\": {\"Attempts\": 4, \"Established\": 3, \"Failures\": 1, \"Losses\": 2}},"
    " \"Exchange\": {\"PeerCertificateExpires\": 1795714000}}";

static char *written(const char *json)
{
    _cleanup_(json_object_putp) json_object *read = json_tokener_parse(json);
    char *text = NULL;
    size_t size = 0;
    FILE *stream = open_memstream(&text, &size);

    assert_non_null(stream);
    metrics_print(stream, read);
    assert_int_equal(fclose(stream), 0);
    return text;
}

static void assert_line(const char *text, const char *line)
{
    const char *found = strstr(text, line);

    if (!found || (found != text && found[-1] != '\n') || found[strlen(line)] != '\n')
        fail_msg("no line '%s' in\n%s", line, text);
}

static void assert_lines(const char *text, const char *const *lines, size_t count)
{
    for (size_t i = 0; i < count; i++)
        assert_line(text, lines[i]);
}

static void what_a_snapshot_has_is_written(void **state)
{
    static const char *const lines[] = {
        "henb_service_up{service=\"tred\"} 1",
        "henb_service_up{service=\"ikeclient\"} 1",
        "henb_tre_state{state=\"ready\"} 1",
        "henb_tre_state{state=\"integrity-failed\"} 0",
        "henb_anchors_version 7",
        "henb_certificate_expiry_timestamp_seconds{chain=\"device\"} 1798306765",
        "henb_certificate_expiry_timestamp_seconds{chain=\"segw\"} 1795714000",
        "henb_crl_usable 1",
        "henb_esp_packets_total{direction=\"in\"} 5",
        "henb_esp_bytes_total{direction=\"out\"} 18446744073709551615",
        "henb_esp_dropped_packets_total{reason=\"replayed\"} 2",
        "henb_esp_dropped_packets_total{reason=\"not_authentic\"} 0",
        "henb_esp_dropped_packets_total{reason=\"unknown_spi\"} 7",
        "henb_esp_dropped_packets_total{reason=\"not_delivered\"} 8",
        "# TYPE henb_esp_dropped_outbound_packets counter",
        "henb_esp_dropped_outbound_packets_total{reason=\"no_sa\"} 9",
        "henb_esp_dropped_outbound_packets_total{reason=\"not_sent\"} 10",
        "henb_cleartext_dropped_packets_total{direction=\"in\"} 11",
        "henb_cleartext_dropped_packets_total{direction=\"out\"} 12",
        "henb_exchanges_total 3",
        "henb_connection_state{state=\"established\"} 0",
        "henb_connection_state{state=\"established-no-child\"} 1",
        "henb_connection_established_timestamp_seconds 1795707265",
        "henb_ike_attempts_total 4",
        "henb_ike_losses_total 2",
        "# TYPE henb_ike_losses counter",
    };
    _cleanup_(free_charp) char *text = written(snapshot);
    (void)state;

    assert_lines(text, lines, ELEMENTS(lines));
    assert_string_equal(text + strlen(text) - strlen("\n# EOF\n"), "\n# EOF\n");
}

static void what_the_data_plane_does_not_count_is_not_written_as_nothing(void **state)
{
    _cleanup_(free_charp) char *text =
        written("{\"TrE\": {\"State\": \"ready\", \"Totals\": {\"Replays\": 2}}}");
    (void)state;

    assert_line(text, "henb_esp_dropped_packets_total{reason=\"replayed\"} 2");
    assert_null(strstr(text, "unknown_spi"));
    assert_null(strstr(text, "outbound"));
}

static const char several[] =
    "{\"TrE\": {\"State\": \"ready\", \"CertificateExpires\": 1798306765},"
    " \"IkeClient\": {\"Name\": \"management\", \"State\": \"idle\"}, \"Exchange\": null,"
    " \"Connections\": [{\"Name\": \"default\", \"State\": \"established\","
    "   \"EstablishedSince\": 1795707265, \"Totals\": {\"Attempts\": 4, \"Losses\": 1}},"
    "   {\"Name\": \"management\", \"State\": \"idle\", \"Totals\": {\"Attempts\": 2}}],"
    " \"Exchanges\": {\"default\": {\"PeerCertificateExpires\": 1795714000}, \"management\": "
    "null}}";

static size_t occurrences(const char *text, const char *part)
{
    size_t count = 0;

    for (text = strstr(text, part); text; text = strstr(text + 1, part))
        count++;
    return count;
}

static void each_of_several_connections_has_its_name_as_a_label(void **state)
{
    static const char *const lines[] = {
        "henb_certificate_expiry_timestamp_seconds{chain=\"device\"} 1798306765",
        "henb_connection_state{connection=\"default\",state=\"established\"} 1",
        "henb_connection_state{connection=\"default\",state=\"idle\"} 0",
        "henb_connection_state{connection=\"management\",state=\"established\"} 0",
        "henb_connection_state{connection=\"management\",state=\"idle\"} 1",
        "henb_connection_established_timestamp_seconds{connection=\"default\"} 1795707265",
        "henb_connection_established_timestamp_seconds{connection=\"management\"} 0",
        "henb_ike_attempts_total{connection=\"default\"} 4",
        "henb_ike_attempts_total{connection=\"management\"} 2",
        "henb_ike_losses_total{connection=\"default\"} 1",
        "henb_ike_losses_total{connection=\"management\"} 0",
    };
    _cleanup_(free_charp) char *text = written(several);
    (void)state;

    assert_lines(text, lines, ELEMENTS(lines));
    assert_line(text, "henb_certificate_expiry_timestamp_seconds{connection=\"default\","
                      "chain=\"segw\"} 1795714000");
    /* A family is described once, and a connection is there once, whichever was asked for. */
    assert_int_equal(occurrences(text, "# TYPE henb_connection_state "), 1);
    assert_int_equal(occurrences(text, "# TYPE henb_certificate_expiry_timestamp_seconds "), 1);
    assert_int_equal(occurrences(text, "\nhenb_ike_attempts_total{"), 2);
    assert_int_equal(occurrences(text, "chain=\"segw\""), 1);
}

/* An issuer's name may have quotation marks in it. */
static void a_label_can_not_be_broken_out_of(void **state)
{
    _cleanup_(free_charp) char *text = written(snapshot);
    (void)state;

    assert_line(text,
                "henb_crl_next_update_timestamp_seconds{issuer=\"O=\\\"Op\\\\\\\"\"} 1795714764");
}

static void of_a_service_that_does_not_run_only_that_is_written(void **state)
{
    _cleanup_(free_charp) char *text = written("{\"TrE\": null, \"IkeClient\": null}");
    (void)state;

    assert_string_equal(text, "# HELP henb_service_up Whether the service is on the bus.\n"
                              "# TYPE henb_service_up gauge\n"
                              "henb_service_up{service=\"tred\"} 0\n"
                              "henb_service_up{service=\"ikeclient\"} 0\n"
                              "# EOF\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_a_snapshot_has_is_written),
        cmocka_unit_test(what_the_data_plane_does_not_count_is_not_written_as_nothing),
        cmocka_unit_test(each_of_several_connections_has_its_name_as_a_label),
        cmocka_unit_test(a_label_can_not_be_broken_out_of),
        cmocka_unit_test(of_a_service_that_does_not_run_only_that_is_written),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
