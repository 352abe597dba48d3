/* One end of a tunnel with keys that both ends know: the data plane alone, for measuring and for
 * tests of packets.
 *
 *   static_tunnel NET HELPER|kernel a|b SUITE LOCAL REMOTE PORT INNER FAR
 *
 * NET is tred-net's path, which it starts; HELPER is tred-esp's, for the user-space plane; "kernel"
 * stands for the kernel's ESP.
 * a and b are the two ends; SUITE is aes128gcm16, aes256gcm16, chacha20poly1305, aes128-sha256 or
 * aes256-sha256. LOCAL and REMOTE are outer IPv4 addresses, INNER and FAR inner ones. It says
 * "ready", moves packets until SIGTERM, and then says what it counted. Not for use: its keys are no
 * secret. */
#include "dataplane/dataplane.h"

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <openssl/evp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

enum { KEY_SIZE_MAX = 64, SPI_A = 0x0a0a0a0a, SPI_B = 0x0b0b0b0b };

typedef struct Arguments {
    const char *net;
    const char *helper;
    bool is_a;
    EspSuite suite;
    struct sockaddr_storage local;
    struct sockaddr_storage remote;
    InnerAddress inner;
    IkeTs ts_local;
    IkeTs ts_remote;
} Arguments;

static bool parse_suite(const char *name, EspSuite *ret)
{
    static const struct {
        const char *name;
        uint16_t encr, key_bits, integ;
    } suites[] = {
        {"aes128gcm16", IKE_ENCR_AES_GCM_16, 128, IKE_INTEG_NONE},
        {"aes256gcm16", IKE_ENCR_AES_GCM_16, 256, IKE_INTEG_NONE},
        {"chacha20poly1305", IKE_ENCR_CHACHA20_POLY1305, 0, IKE_INTEG_NONE},
        {"aes128-sha256", IKE_ENCR_AES_CBC, 128, IKE_INTEG_HMAC_SHA2_256_128},
        {"aes256-sha256", IKE_ENCR_AES_CBC, 256, IKE_INTEG_HMAC_SHA2_256_128},
    };
    for (size_t i = 0; i < ELEMENTS(suites); i++) {
        if (strcmp(suites[i].name, name) == 0)
            return esp_suite_from_ids(suites[i].encr, suites[i].key_bits, suites[i].integ,
                                      IKE_GROUP_NONE, true, ret) == 0;
    }
    return false;
}

static bool parse_outer(const char *text, const char *port, struct sockaddr_storage *ret)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    address.sin_port = htons((uint16_t)strtoul(port, NULL, 10));
    if (inet_pton(AF_INET, text, &address.sin_addr) != 1)
        return false;
    memcpy(ret, &address, sizeof(address));
    return true;
}

static bool parse_host_selector(const char *text, IkeTs *ret)
{
    IkeSelector *selector = &ret->selectors[0];
    ret->n_selectors = 1;
    *selector = (IkeSelector){.type = IKE_TS_IPV4_ADDR_RANGE, .end_port = UINT16_MAX};
    return inet_pton(AF_INET, text, selector->start) == 1 &&
           inet_pton(AF_INET, text, selector->end) == 1;
}

static bool parse_arguments(char **argv, Arguments *ret)
{
    ret->net = *argv++;
    ret->helper = argv[0];
    ret->is_a = strcmp(argv[1], "a") == 0;
    ret->inner = (InnerAddress){.size = 4, .prefix_length = 32};
    return parse_suite(argv[2], &ret->suite) && parse_outer(argv[3], argv[5], &ret->local) &&
           parse_outer(argv[4], argv[5], &ret->remote) &&
           inet_pton(AF_INET, argv[6], ret->inner.octets) == 1 &&
           parse_host_selector(argv[6], &ret->ts_local) &&
           parse_host_selector(argv[7], &ret->ts_remote);
}

/* A key that both ends can make: the SHA-512 of what it is for. NULL where the suite has none. */
static int make_key(const char *label, size_t size, Secret **ret)
{
    uint8_t digest[KEY_SIZE_MAX];
    if (size == 0)
        return 0;
    if (EVP_Digest(label, strlen(label), digest, NULL, EVP_sha512(), NULL) != 1)
        return -EIO;
    int r = secret_new(size, ret);
    if (r >= 0)
        memcpy((*ret)->data, digest, size);
    return r;
}

static void sa_added(int error, const char *why, void *userdata)
{
    if (error < 0) {
        (void)fprintf(stderr, "the SA: %s (%s)\n", strerror(-error), why);
        (void)sd_event_exit(userdata, EXIT_FAILURE);
        return;
    }
    puts("ready");
    (void)fflush(stdout);
}

static int make_keys(const EspSuite *suite, const char *from, Secret **encr, Secret **integ)
{
    char label[32];
    (void)snprintf(label, sizeof(label), "encryption from %s", from);
    int r = make_key(label, suite->cipher->key_size + suite->cipher->salt_size, encr);
    (void)snprintf(label, sizeof(label), "integrity from %s", from);
    return r < 0 ? r : make_key(label, suite->integ ? suite->integ->key_size : 0, integ);
}

static int add_sa(DataPlane *plane, const Transport *transport, const Arguments *arguments,
                  sd_event *event)
{
    _cleanup_(order_deinit) Order order = {.sa = calloc(1, sizeof(*order.sa))};
    SaOrder *sa = order.sa;
    if (!sa)
        return -ENOMEM;
    sa->spi_in = arguments->is_a ? SPI_A : SPI_B;
    sa->spi_out = arguments->is_a ? SPI_B : SPI_A;
    sa->suite = arguments->suite;
    sa->ts_local = arguments->ts_local;
    sa->ts_remote = arguments->ts_remote;
    sa->local = arguments->local;
    sa->remote = arguments->remote;
    sa->udp_encapsulated = true;
    sa->n_addresses = 1;
    sa->addresses[0] = arguments->inner;
    int r = make_keys(&sa->suite, arguments->is_a ? "b" : "a", &sa->encr_in, &sa->integ_in);
    if (r >= 0)
        r = make_keys(&sa->suite, arguments->is_a ? "a" : "b", &sa->encr_out, &sa->integ_out);
    return r < 0 ? r : dataplane_add_sa(plane, sa, transport, sa_added, event);
}

static void print_counters(const DataPlane *plane, uint32_t spi_in)
{
    SaCounters sa;
    DataPlaneCounters whole;
    if (dataplane_sa_counters(plane, spi_in, &sa) < 0)
        return;
    dataplane_counters(plane, &whole);
    printf("packets in %" PRIu64 " out %" PRIu64 ", bytes in %" PRIu64 " out %" PRIu64
           ", replays %" PRIu64 ", not authentic %" PRIu64 ", malformed %" PRIu64
           ", outside of selectors in %" PRIu64 " out %" PRIu64 ", unknown SPI %" PRIu64
           ", not sent %" PRIu64 ", not delivered %" PRIu64 "\n",
           sa.packets_in, sa.packets_out, sa.bytes_in, sa.bytes_out, sa.replays,
           sa.authentication_failures, sa.malformed, sa.selector_drops_in, whole.no_sa_out,
           whole.unknown_spi, whole.send_failures, whole.delivery_failures);
}

static void handle_lost(const char *reason, void *userdata)
{
    (void)fprintf(stderr, "%s\n", reason);
    (void)sd_event_exit(userdata, EXIT_FAILURE);
}

/* After it has counted: SIGTERM asks for that first. */
static void handle_counted(void *userdata)
{
    (void)sd_event_exit(userdata, EXIT_SUCCESS);
}

static int handle_sigterm(sd_event_source *source, const struct signalfd_siginfo *info,
                          void *userdata)
{
    (void)info;
    if (dataplane_count(userdata, handle_counted, sd_event_source_get_event(source)) < 0)
        (void)sd_event_exit(sd_event_source_get_event(source), EXIT_FAILURE);
    return 0;
}

static void event_unrefp(sd_event **event)
{
    sd_event_unref(*event);
}

static int run(const Arguments *arguments, sd_event *event)
{
    Reason reason = {0};
    DataPlaneOptions options = {
        .mode = strcmp(arguments->helper, "kernel") == 0 ? DATAPLANE_KERNEL : DATAPLANE_USER,
        .interface = "segw0",
        .net_program = arguments->net,
        .esp_program = arguments->helper,
        .event = event,
        .callbacks = {.lost = handle_lost, .userdata = event},
    };
    _cleanup_(transport_deinit) Transport transport;
    int r = transport_init(&transport, &arguments->local);
    if (r < 0)
        return r;
    _cleanup_(dataplane_closep) DataPlane *plane = NULL;
    r = dataplane_open(&options, &plane, &reason);
    if (r < 0) {
        (void)fprintf(stderr, "%s\n", reason.text);
        return r;
    }
    r = sd_event_add_signal(event, NULL, SIGTERM, handle_sigterm, plane);
    if (r >= 0)
        r = add_sa(plane, &transport, arguments, event);
    if (r < 0)
        return r;
    r = sd_event_loop(event);
    print_counters(plane, arguments->is_a ? SPI_A : SPI_B);
    return r;
}

static int main_loop(const Arguments *arguments)
{
    sigset_t signals;
    (void)sigemptyset(&signals);
    (void)sigaddset(&signals, SIGTERM);
    (void)sigprocmask(SIG_BLOCK, &signals, NULL);
    _cleanup_(event_unrefp) sd_event *event = NULL;
    int r = sd_event_new(&event);
    if (r >= 0)
        r = secrets_init();
    return r < 0 ? r : run(arguments, event);
}

int main(int argc, char **argv)
{
    Arguments arguments = {};
    if (argc != 10 || !parse_arguments(argv + 1, &arguments)) {
        (void)fprintf(stderr, "usage: %s NET HELPER|kernel a|b SUITE LOCAL REMOTE PORT INNER FAR\n",
                      argv[0]);
        return 2;
    }
    int r = main_loop(&arguments);
    if (r < 0)
        (void)fprintf(stderr, "%s: %s\n", argv[0], strerror(-r));
    return r == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
