/* Does the Manager say what there is, and nothing where it can't say all of it? Bus, device and
 * data plane are played (ld --wrap). */
#include "bus_message_fixture.h"
#include "tred/bus.h"
#include "tred/bus_call.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

typedef struct Bench {
    Daemon daemon;
    Segw segw;
    Segw *segws[1];
    DeviceMismatch mismatch;
    int counters_result;
} Bench;

static Bench bench;

void __wrap_dataplane_totals(const DataPlane *plane, SaCounters *ret);
int __wrap_dataplane_counters(const DataPlane *plane, DataPlaneCounters *ret);
void __wrap_dataplane_protection_counters(const DataPlane *plane, ProtectionCounters *ret);
const char *__wrap_dataplane_name(const DataPlane *plane);
const DeviceMismatch *__wrap_device_mismatch(const Device *device);
void __wrap_daemon_state_reason(const Daemon *daemon, Reason *ret);

void __wrap_dataplane_totals(const DataPlane *plane, SaCounters *ret)
{
    (void)plane;
    *ret = (SaCounters){.packets_in = 1001, .replays = 1002};
}

int __wrap_dataplane_counters(const DataPlane *plane, DataPlaneCounters *ret)
{
    (void)plane;
    *ret = (DataPlaneCounters){2001, 2002, 2003, 2004};
    return bench.counters_result;
}

void __wrap_dataplane_protection_counters(const DataPlane *plane, ProtectionCounters *ret)
{
    (void)plane;
    *ret = (ProtectionCounters){3001, 3002};
}

const char *__wrap_dataplane_name(const DataPlane *plane)
{
    (void)plane;
    return "user";
}

const DeviceMismatch *__wrap_device_mismatch(const Device *device)
{
    (void)device;
    return &bench.mismatch;
}

void __wrap_daemon_state_reason(const Daemon *daemon, Reason *ret)
{
    (void)daemon;
    reason_set(ret, 0, "a reason");
}

static int setup(void **state)
{
    (void)state;
    bench = (Bench){.mismatch = {"sha256", 2, {{3, "aa", "bb"}, {7, "cc", "dd"}}}};
    bench.segws[0] = &bench.segw;
    bench.daemon.config.segws = (Segws){.list = bench.segws, .count = 1};
    bench.daemon.last_exchange = 77;
    bench.daemon.last_known = 88;
    bench.daemon.crls.n_issuers = 2;
    (void)snprintf(bench.daemon.crls.issuers[0].issuer, sizeof(bench.daemon.crls.issuers[0].issuer),
                   "CN=A");
    (void)snprintf(bench.daemon.crls.issuers[1].issuer, sizeof(bench.daemon.crls.issuers[1].issuer),
                   "CN=B");
    bus_messages_reset(0);
    return 0;
}

static int get(const char *property)
{
    bus_messages_reset(bus_messages.failing);
    return bus_manager_get(NULL, BUS_MANAGER_PATH, BUS_MANAGER_INTERFACE, property,
                           bus_message_number(1), &bench.daemon, NULL);
}

static void assert_says(const char *property, const char *text)
{
    assert_true(get(property) >= 0);
    assert_string_equal(bus_messages.text, text);
    assert_int_equal(bus_messages.depth, 0);
}

static void the_totals_are_those_of_exchanges_of_their_sas_and_of_the_plane(void **state)
{
    (void)state;
    assert_true(get("Totals") >= 0);
    assert_int_equal(strncmp(bus_messages.text, "a{st}[Exchanges 77 PacketsIn 1001 ", 34), 0);
    assert_non_null(strstr(bus_messages.text, " Replays 1002 "));
    assert_null(strstr(bus_messages.text, "Idle"));
    assert_non_null(strstr(bus_messages.text, "UnknownSpiDropsIn 2001 DeliveryDropsIn 2004 "
                                              "NoSaDropsOut 2002 SendDropsOut 2003 ]"));
}

static void where_the_kernel_counts_for_the_whole_host_that_is_left_out(void **state)
{
    (void)state;
    bench.counters_result = -ENODATA;
    assert_true(get("Totals") >= 0);
    assert_non_null(strstr(bus_messages.text, " Replays 1002 "));
    assert_null(strstr(bus_messages.text, "Drops 2"));
    assert_null(strstr(bus_messages.text, "UnknownSpi"));
    assert_int_equal(bus_messages.depth, 0);
}

static void each_mismatch_and_each_issuer_is_told(void **state)
{
    (void)state;
    assert_says("PcrMismatch", "a(uss)[3 aa bb 7 cc dd ]");
    assert_says("CrlIssuers", "a(stt)[CN=A 0 0 CN=B 0 0 ]");
}

/* Half of it would pass for all. */
static void whatever_step_fails_no_property_is_told(void **state)
{
    static const char *const properties[] = {"Totals", "PcrMismatch", "CrlIssuers",
                                             "CertificateChain", "State"};
    (void)state;
    for (size_t i = 0; i < ELEMENTS(properties); i++) {
        assert_true(get(properties[i]) >= 0);
        const unsigned steps = bus_messages.step;
        for (unsigned failing = 1; failing <= steps; failing++) {
            bus_messages.failing = failing;
            assert_int_equal(get(properties[i]), -EIO);
            assert_int_equal(bus_messages.step, failing);
        }
        bus_messages.failing = 0;
    }
}

static void ocsp_is_wanted_unless_revocation_is_not_looked_at(void **state)
{
    static const struct {
        unsigned revocation;
        const char *text;
    } cases[] = {
        {REVOCATION_OFF, "0 "}, {REVOCATION_IF_AVAILABLE, "1 "}, {REVOCATION_REQUIRE, "1 "}};

    (void)state;
    for (size_t i = 0; i < ELEMENTS(cases); i++) {
        bench.daemon.config.revocation = cases[i].revocation;
        assert_says("OcspWanted", cases[i].text);
    }
}

static void without_a_data_plane_nothing_is_protected(void **state)
{
    (void)state;
    bench.daemon.config.protect = PROTECT_YES;
    bench.daemon.config.data_plane = DATAPLANE_AUTO;
    assert_says("Protection", "yes ");
    bench.daemon.config.data_plane = DATAPLANE_NONE;
    assert_says("Protection", "no ");
    assert_says("DataPlane", "user ");
    assert_says("CleartextDropsIn", "3001 ");
    assert_says("CleartextDropsOut", "3002 ");
}

/* What it would say of one, and no more than that. */
static void without_an_identity_there_is_nothing_of_it(void **state)
{
    (void)state;
    assert_says("Identity", " ");
    assert_says("CertificateChain", "aay[]");
    assert_says("CertificateExpires", "0 ");
    assert_says("AnchorsGuarded", "0 ");
    assert_says("AnchorsVersion", "0 ");
    assert_says("KeyAlgorithm", " ");
    assert_says("KeyPolicy", " ");
    assert_says("LastKnownTime", "88 ");
    assert_says("StateReason", "a reason ");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup(name, setup)
    const struct CMUnitTest tests[] = {
        TEST(the_totals_are_those_of_exchanges_of_their_sas_and_of_the_plane),
        TEST(where_the_kernel_counts_for_the_whole_host_that_is_left_out),
        TEST(each_mismatch_and_each_issuer_is_told),
        TEST(whatever_step_fails_no_property_is_told),
        TEST(ocsp_is_wanted_unless_revocation_is_not_looked_at),
        TEST(without_a_data_plane_nothing_is_protected),
        TEST(without_an_identity_there_is_nothing_of_it),
    };

    return cmocka_run_group_tests_name("bus manager properties", tests, NULL, NULL);
}
