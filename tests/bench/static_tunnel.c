/* One end of a tunnel with keys that both ends know: the data plane alone, for measuring and for
 * tests of packets.
 *
 *   static_tunnel NET HELPER|kernel a|b SUITE LOCAL REMOTE PORT INNER FAR [COMMANDS]
 *
 * NET is tred-net's path, which it starts; HELPER is tred-esp's, for the user-space plane; "kernel"
 * stands for the kernel's ESP.
 * a and b are the two ends; SUITE is aes128gcm16, aes256gcm16, chacha20poly1305, aes128-sha256 or
 * aes256-sha256. LOCAL and REMOTE are outer IPv4 addresses, INNER and FAR inner ones, and FAR "any"
 * is all of them. It says "ready", moves packets until SIGTERM, and then says what it counted. Not
 * for use: its keys are no secret.
 *
 * COMMANDS is a FIFO, for playing rekeys and MOBIKE; each line in it is carried out in turn and
 * answered by "LINE: done", or by an error. Pairs of SAs are numbered, the first is 1:
 *
 *   add N | standby N | use N
 *   remove N                        once nothing goes by it any more, so that all is counted
 *   drop N                          at once; what it has counted is lost
 *   move LOCAL PORT REMOTE PORT     all pairs, to these outer addresses
 */
#include "dataplane/dataplane.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <openssl/evp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

enum {
    KEY_SIZE_MAX = 64,
    SPI_A = 0x0a0a0a00,
    SPI_B = 0x0b0b0b00,
    PAIRS_MAX = 255,
    LINE_SIZE = 128,
    LINES_SIZE = 4096,
    STILL_US = 20 * 1000,
};

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
    const char *commands; /* or NULL */
} Arguments;

typedef struct Tunnel {
    const Arguments *arguments;
    sd_event *event;
    DataPlane *plane;
    Transport transports[2]; /* the one in use, and the one before it */
    unsigned current;
    struct sockaddr_storage remote;
    SaCounters last;      /* of the pair that is to be removed */
    SaCounters removed;   /* what pairs that are not there any more have counted */
    bool busy;            /* a command is being carried out */
    char line[LINE_SIZE]; /* which */
    unsigned number;      /* of its pair */
    int fifo;
    size_t n_waiting;
    char waiting[LINES_SIZE];
} Tunnel;

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
    if (strcmp(text, "any") == 0) {
        memset(selector->end, 0xff, sizeof(struct in_addr));
        return true;
    }
    return inet_pton(AF_INET, text, selector->start) == 1 &&
           inet_pton(AF_INET, text, selector->end) == 1;
}

static bool parse_arguments(char **argv, Arguments *ret)
{
    ret->net = *argv++;
    ret->helper = argv[0];
    ret->is_a = strcmp(argv[1], "a") == 0;
    ret->commands = argv[8];
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

static int make_keys(const EspSuite *suite, const char *from, unsigned number, Secret **encr,
                     Secret **integ)
{
    char label[48];
    (void)snprintf(label, sizeof(label), "encryption from %s, %u", from, number);
    int r = make_key(label, suite->cipher->key_size + suite->cipher->salt_size, encr);
    (void)snprintf(label, sizeof(label), "integrity from %s, %u", from, number);
    return r < 0 ? r : make_key(label, suite->integ ? suite->integ->key_size : 0, integ);
}

static uint32_t spi_of(const Tunnel *tunnel, unsigned number, bool inbound)
{
    return (tunnel->arguments->is_a == inbound ? (uint32_t)SPI_A : (uint32_t)SPI_B) + number;
}

static void say(const char *what)
{
    puts(what);
    (void)fflush(stdout);
}

static void next_command(Tunnel *tunnel);

static void answer(Tunnel *tunnel, int error, const char *why)
{
    char text[2 * LINE_SIZE + sizeof(Reason)];
    (void)snprintf(text, sizeof(text), "%s: %s%s%s", tunnel->line,
                   error < 0 ? strerror(-error) : "done", why[0] ? ": " : "", why);
    say(text);
    tunnel->busy = false;
    next_command(tunnel);
}

static void handle_added(int error, const char *why, void *userdata)
{
    Tunnel *tunnel = userdata;
    answer(tunnel, error, why);
}

static int add_pair(Tunnel *tunnel, unsigned number, bool standby, SaAdded added)
{
    const Arguments *arguments = tunnel->arguments;
    _cleanup_(order_deinit) Order order = {.sa = calloc(1, sizeof(*order.sa))};
    SaOrder *sa = order.sa;
    if (!sa)
        return -ENOMEM;
    sa->spi_in = spi_of(tunnel, number, true);
    sa->spi_out = spi_of(tunnel, number, false);
    sa->suite = arguments->suite;
    sa->ts_local = arguments->ts_local;
    sa->ts_remote = arguments->ts_remote;
    sa->local = tunnel->transports[tunnel->current].local;
    sa->remote = tunnel->remote;
    sa->udp_encapsulated = true;
    sa->standby = standby;
    sa->n_addresses = 1;
    sa->addresses[0] = arguments->inner;
    int r = make_keys(&sa->suite, arguments->is_a ? "b" : "a", number, &sa->encr_in, &sa->integ_in);
    if (r >= 0) {
        r = make_keys(&sa->suite, arguments->is_a ? "a" : "b", number, &sa->encr_out,
                      &sa->integ_out);
    }
    return r < 0 ? r
                 : dataplane_add_sa(tunnel->plane, sa, &tunnel->transports[tunnel->current], added,
                                    tunnel);
}

static void first_added(int error, const char *why, void *userdata)
{
    Tunnel *tunnel = userdata;
    if (error < 0) {
        (void)fprintf(stderr, "the SA: %s (%s)\n", strerror(-error), why);
        (void)sd_event_exit(tunnel->event, EXIT_FAILURE);
        return;
    }
    say("ready");
}

static void add_up(SaCounters *sum, const SaCounters *sa)
{
    sum->packets_in += sa->packets_in;
    sum->packets_out += sa->packets_out;
    sum->bytes_in += sa->bytes_in;
    sum->bytes_out += sa->bytes_out;
    sum->replays += sa->replays;
    sum->authentication_failures += sa->authentication_failures;
    sum->malformed += sa->malformed;
    sum->selector_drops_in += sa->selector_drops_in;
}

static void count_pair(const Tunnel *tunnel, unsigned number, SaCounters *sum)
{
    SaCounters sa;
    if (dataplane_sa_counters(tunnel->plane, spi_of(tunnel, number, true), &sa) == 0)
        add_up(sum, &sa);
}

static void handle_counted_to_remove(void *userdata);

/* Once it has counted nothing for a while: what it counts between here and its end nobody hears. */
static int handle_still(sd_event_source *source, uint64_t usec, void *userdata)
{
    (void)source, (void)usec;
    Tunnel *tunnel = userdata;
    int r = dataplane_count(tunnel->plane, handle_counted_to_remove, tunnel);
    if (r < 0)
        answer(tunnel, r, "");
    return 0;
}

static void handle_counted_to_remove(void *userdata)
{
    Tunnel *tunnel = userdata;
    SaCounters now = {0};
    count_pair(tunnel, tunnel->number, &now);
    bool still =
        now.packets_in == tunnel->last.packets_in && now.packets_out == tunnel->last.packets_out;
    tunnel->last = now;
    if (!still) {
        if (sd_event_add_time_relative(tunnel->event, NULL, CLOCK_MONOTONIC, STILL_US, 1,
                                       handle_still, tunnel) < 0)
            answer(tunnel, -ENOMEM, "");
        return;
    }
    count_pair(tunnel, tunnel->number, &tunnel->removed);
    answer(tunnel, dataplane_remove_sa(tunnel->plane, spi_of(tunnel, tunnel->number, true)), "");
}

static void handle_done(int error, const char *why, void *userdata)
{
    Tunnel *tunnel = userdata;
    answer(tunnel, error, why);
}

/* The transport before the one before is closed here, as ikeclient's end would be. */
static int move(Tunnel *tunnel, const struct sockaddr_storage *local,
                const struct sockaddr_storage *remote)
{
    Transport *from = &tunnel->transports[tunnel->current], *to = from;
    if (memcmp(local, &from->local, sizeof(*local)) != 0) {
        to = &tunnel->transports[!tunnel->current];
        transport_deinit(to);
        int r = transport_init(to, local);
        if (r < 0)
            return r;
    }
    tunnel->current = (unsigned)(to - tunnel->transports);
    tunnel->remote = *remote;
    return dataplane_move_sas(tunnel->plane, from, to, remote, true, handle_done, tunnel);
}

static int move_by(Tunnel *tunnel)
{
    char local[64], local_port[16], remote[64], remote_port[16];
    struct sockaddr_storage from = {0}, to = {0};
    if (sscanf(tunnel->line, "move %63s %15s %63s %15s", local, local_port, remote, remote_port) !=
            4 ||
        !parse_outer(local, local_port, &from) || !parse_outer(remote, remote_port, &to))
        return -EINVAL;
    return move(tunnel, &from, &to);
}

static int drop_pair(Tunnel *tunnel)
{
    int r = dataplane_remove_sa(tunnel->plane, spi_of(tunnel, tunnel->number, true));
    if (r >= 0)
        answer(tunnel, 0, "");
    return r;
}

static int command(Tunnel *tunnel)
{
    char word[16];
    if (sscanf(tunnel->line, "%15s %u", word, &tunnel->number) < 1)
        return -EINVAL;
    if (strcmp(word, "move") == 0)
        return move_by(tunnel);
    if (tunnel->number < 1 || tunnel->number > PAIRS_MAX)
        return -EINVAL;
    if (strcmp(word, "add") == 0 || strcmp(word, "standby") == 0)
        return add_pair(tunnel, tunnel->number, word[0] == 's', handle_added);
    tunnel->last = (SaCounters){.packets_in = UINT64_MAX};
    if (strcmp(word, "remove") == 0)
        return dataplane_count(tunnel->plane, handle_counted_to_remove, tunnel);
    if (strcmp(word, "drop") == 0)
        return drop_pair(tunnel);
    if (strcmp(word, "use") != 0)
        return -EINVAL;
    return dataplane_use_sa(tunnel->plane, spi_of(tunnel, tunnel->number, true), handle_done,
                            tunnel);
}

/* One line at a time: the next one when the data plane has done the last. */
static void next_command(Tunnel *tunnel)
{
    char *end = memchr(tunnel->waiting, '\n', tunnel->n_waiting);
    if (!end || tunnel->busy)
        return;
    size_t size = (size_t)(end - tunnel->waiting);
    (void)snprintf(tunnel->line, sizeof(tunnel->line), "%.*s", (int)size, tunnel->waiting);
    tunnel->n_waiting -= size + 1;
    memmove(tunnel->waiting, end + 1, tunnel->n_waiting);
    tunnel->busy = true;
    int r = command(tunnel);
    if (r < 0)
        answer(tunnel, r, "");
}

static int handle_commands(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
    (void)source, (void)revents;
    Tunnel *tunnel = userdata;
    ssize_t size =
        read(fd, tunnel->waiting + tunnel->n_waiting, sizeof(tunnel->waiting) - tunnel->n_waiting);
    if (size > 0)
        tunnel->n_waiting += (size_t)size;
    next_command(tunnel);
    return 0;
}

static void print_counters(const Tunnel *tunnel)
{
    SaCounters sa = tunnel->removed;
    DataPlaneCounters whole = {0};
    for (unsigned number = 1; number <= PAIRS_MAX; number++)
        count_pair(tunnel, number, &sa);
    (void)dataplane_counters(tunnel->plane, &whole);
    printf("packets in %" PRIu64 " out %" PRIu64 ", bytes in %" PRIu64 " out %" PRIu64
           ", replays %" PRIu64 ", not authentic %" PRIu64 ", malformed %" PRIu64
           ", outside of selectors in %" PRIu64 " out %" PRIu64 ", unknown SPI %" PRIu64
           ", not sent %" PRIu64 ", not delivered %" PRIu64 "\n",
           sa.packets_in, sa.packets_out, sa.bytes_in, sa.bytes_out, sa.replays,
           sa.authentication_failures, sa.malformed, sa.selector_drops_in, whole.no_sa_out,
           whole.unknown_spi, whole.send_failures, whole.delivery_failures);
}

static void handle_event(const DataPlaneEvent *event, void *userdata)
{
    (void)userdata;
    (void)fprintf(stderr, "event %d of %08" PRIx32 "\n", (int)event->type, event->spi_in);
}

static void handle_lost(const char *reason, void *userdata)
{
    Tunnel *tunnel = userdata;
    (void)fprintf(stderr, "%s\n", reason);
    (void)sd_event_exit(tunnel->event, EXIT_FAILURE);
}

/* After it has counted: SIGTERM asks for that first. */
static void handle_counted(void *userdata)
{
    (void)sd_event_exit(((Tunnel *)userdata)->event, EXIT_SUCCESS);
}

static int handle_sigterm(sd_event_source *source, const struct signalfd_siginfo *info,
                          void *userdata)
{
    (void)source, (void)info;
    Tunnel *tunnel = userdata;
    if (dataplane_count(tunnel->plane, handle_counted, tunnel) < 0)
        (void)sd_event_exit(tunnel->event, EXIT_FAILURE);
    return 0;
}

static void event_unrefp(sd_event **event)
{
    sd_event_unref(*event);
}

/* Open for writing, too: then no writer that leaves is its end. */
static int open_commands(Tunnel *tunnel)
{
    if (!tunnel->arguments->commands)
        return 0;
    tunnel->fifo = open(tunnel->arguments->commands, O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (tunnel->fifo < 0)
        return -errno;
    return sd_event_add_io(tunnel->event, NULL, tunnel->fifo, EPOLLIN, handle_commands, tunnel);
}

static int run_tunnel(Tunnel *tunnel, const DataPlaneOptions *options)
{
    Reason reason = {0};
    _cleanup_(dataplane_closep) DataPlane *plane = NULL;
    int r = dataplane_open(options, &plane, &reason);
    if (r < 0) {
        (void)fprintf(stderr, "%s\n", reason.text);
        return r;
    }
    tunnel->plane = plane;
    r = sd_event_add_signal(tunnel->event, NULL, SIGTERM, handle_sigterm, tunnel);
    if (r >= 0)
        r = open_commands(tunnel);
    if (r >= 0)
        r = add_pair(tunnel, 1, false, first_added);
    if (r < 0)
        return r;
    r = sd_event_loop(tunnel->event);
    print_counters(tunnel);
    return r;
}

static int run(const Arguments *arguments, sd_event *event)
{
    Tunnel tunnel = {
        .arguments = arguments,
        .event = event,
        .transports = {{.ike_fd = -1, .esp_fd = -1}, {.ike_fd = -1, .esp_fd = -1}},
        .remote = arguments->remote,
        .fifo = -1,
    };
    DataPlaneOptions options = {
        .mode = strcmp(arguments->helper, "kernel") == 0 ? DATAPLANE_KERNEL : DATAPLANE_USER,
        .interfaces = {1, {"segw0"}},
        .net_program = arguments->net,
        .esp_program = arguments->helper,
        .event = event,
        .callbacks = {.event = handle_event, .lost = handle_lost, .userdata = &tunnel},
    };
    int r = transport_init(&tunnel.transports[0], &arguments->local);
    if (r >= 0)
        r = run_tunnel(&tunnel, &options);
    transport_deinit(&tunnel.transports[0]);
    transport_deinit(&tunnel.transports[1]);
    close_fdp(&tunnel.fifo);
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
    if ((argc != 10 && argc != 11) || !parse_arguments(argv + 1, &arguments)) {
        (void)fprintf(
            stderr,
            "usage: %s NET HELPER|kernel a|b SUITE LOCAL REMOTE PORT INNER FAR [COMMANDS]\n",
            argv[0]);
        return 2;
    }
    int r = main_loop(&arguments);
    if (r < 0)
        (void)fprintf(stderr, "%s: %s\n", argv[0], strerror(-r));
    return r == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
