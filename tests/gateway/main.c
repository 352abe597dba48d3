/* responder: a SeGW by hand on UDP 500 and 4500.
 *
 *   responder --address IPV4 --identity FQDN --key FILE --certificates FILE [--ocsp FILE]...
 *             [--spoil-auth] [--assign IPV4] [--crowd] [--forge] [--script FIFO]
 *             [--notify TYPE[=HEX]]... [--attribute TYPE[=HEX]]... [--childless] [--style WORD]...
 *             [--detour WORD]... [--remote RANGE]... [--id TYPE=HEX] [--urls COUNT]
 *             [--init TYPE=HEX]... [--from PORT]
 *
 * --id is another IDr, --urls sends so many certificates, the last ones, by hash and URL, --init is
 * one more payload in IKE_SA_INIT, and --from a port that all leaves by.
 * With --forge somebody who knows no more than what is in clear answers IKE_SA_INIT first.
 * Key and certificates are PEM, the end entity's first; OCSP responses are DER. It says "ready",
 * and then what responder.h has it say, until it is killed. What it is to do of its own accord it
 * reads from the FIFO, line by line (script.c). */
#include "responder.h"

#include "base/file.h"
#include "crypto/openssl.h"
#include "crypto/secret.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <openssl/pem.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { PORT = 500, NAT_PORT = 4500, MARKER_SIZE = 4, OCSP_SIZE_MAX = 65536 };

/* Where all of our datagrams leave, where that is not where their requests came; -1: it is. */
static int source = -1;
static uint16_t source_port;
static const char *own_address;

static int socket_open(const char *address, uint16_t port)
{
    struct sockaddr_in name = {.sin_family = AF_INET, .sin_port = htons(port)};
    const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    if (inet_pton(AF_INET, address, &name.sin_addr) == 1 &&
        bind(fd, (const struct sockaddr *)&name, sizeof(name)) == 0)
        return fd;
    (void)fprintf(stderr, "responder: %s, port %u: %s\n", address, port, strerror(errno));
    return -1;
}

static bool key_read(const char *path, ResponderOptions *options)
{
    _cleanup_(close_filep) FILE *file = fopen(path, "re");

    options->key = file ? PEM_read_PrivateKey(file, NULL, NULL, NULL) : NULL;
    return options->key != NULL;
}

static bool certificates_read(const char *path, ResponderOptions *options)
{
    _cleanup_(close_filep) FILE *file = fopen(path, "re");
    X509 *certificate;

    while (file && options->n_certificates < RESPONDER_LIST_MAX &&
           (certificate = PEM_read_X509(file, NULL, NULL, NULL))) {
        unsigned char *der = NULL;
        const int size = i2d_X509(certificate, &der);

        X509_free(certificate);
        if (size <= 0)
            return false;
        options->certificates[options->n_certificates++] = (Bytes){der, (size_t)size};
    }
    return options->n_certificates > 0;
}

static bool ocsp_read(const char *path, ResponderOptions *options)
{
    uint8_t *der = NULL;
    size_t size = 0;

    if (options->n_ocsp == RESPONDER_LIST_MAX || file_read(path, OCSP_SIZE_MAX, &der, &size) < 0)
        return false;
    options->ocsp[options->n_ocsp++] = (Bytes){der, size};
    return true;
}

/* "23=c63364023039": a type, and the octets that it comes with. */
static bool extra_read(const char *text, struct ResponderExtra *list, size_t *count)
{
    char *end = NULL;
    const unsigned long type = strtoul(text, &end, 10);
    const size_t size = *end == '=' ? strlen(end + 1) / 2 : 0;
    uint8_t *octets = calloc(size + 1, 1);

    if (*count == RESPONDER_LIST_MAX || type > UINT16_MAX || !octets)
        return false;
    for (size_t i = 0; i < size; i++) {
        const char digits[] = {end[1 + 2 * i], end[2 + 2 * i], 0};
        octets[i] = (uint8_t)strtoul(digits, NULL, 16);
    }
    list[(*count)++] = (struct ResponderExtra){(uint16_t)type, {octets, size}};
    return true;
}

static bool arguments_parse(int argc, char **argv, ResponderOptions *options, const char **address,
                            int *script)
{
    static const struct option known[] = {
        {"address", required_argument, NULL, 'a'},
        {"identity", required_argument, NULL, 'i'},
        {"key", required_argument, NULL, 'k'},
        {"certificates", required_argument, NULL, 'c'},
        {"ocsp", required_argument, NULL, 'o'},
        {"spoil-auth", no_argument, NULL, 's'},
        {"assign", required_argument, NULL, 'A'},
        {"crowd", no_argument, NULL, 'C'},
        {"forge", no_argument, NULL, 'F'},
        {"notify", required_argument, NULL, 'N'},
        {"attribute", required_argument, NULL, 'T'},
        {"script", required_argument, NULL, 'S'},
        {"childless", no_argument, NULL, 'L'},
        {"style", required_argument, NULL, 'Y'},
        {"detour", required_argument, NULL, 'D'},
        {"remote", required_argument, NULL, 'R'},
        {"id", required_argument, NULL, 'I'},
        {"urls", required_argument, NULL, 'U'},
        {"init", required_argument, NULL, 'P'},
        {"from", required_argument, NULL, 'f'},
        {0},
    };
    bool good = true;
    int option;

    while (good && (option = getopt_long(argc, argv, "", known, NULL)) >= 0) {
        switch (option) {
        case 'a':
            *address = optarg;
            break;
        case 'i':
            options->identity = optarg;
            break;
        case 'k':
            good = key_read(optarg, options);
            break;
        case 'c':
            good = certificates_read(optarg, options);
            break;
        case 'o':
            good = ocsp_read(optarg, options);
            break;
        case 's':
            options->spoil_auth = true;
            break;
        case 'F':
            options->forge = true;
            break;
        case 'C':
            options->crowd = true;
            break;
        case 'N':
            good = extra_read(optarg, options->notifies, &options->n_notifies);
            break;
        case 'T':
            good = extra_read(optarg, options->attributes, &options->n_attributes);
            break;
        case 'S': /* that it is open for writing, too, keeps it from ending with each writer */
            *script = open(optarg, O_RDWR | O_CLOEXEC | O_NONBLOCK);
            good = *script >= 0;
            break;
        case 'L':
            options->childless = true;
            break;
        case 'Y':
            good = style_read(&options->style, optarg);
            break;
        case 'D':
            good = options->n_detours < RESPONDER_LIST_MAX;
            if (good)
                options->detours[options->n_detours++] = optarg;
            break;
        case 'R':
            good = range_read(optarg, &options->remote);
            break;
        case 'I':
            good = payload_read(optarg, &options->id);
            break;
        case 'U':
            options->n_urls = strtoul(optarg, NULL, 10);
            break;
        case 'P':
            good = payload_read(optarg, &options->init);
            break;
        case 'f':
            source_port = (uint16_t)strtoul(optarg, NULL, 10);
            break;
        case 'A':
            good = inet_pton(AF_INET, optarg, options->address) == 1;
            break;
        default:
            good = false;
        }
    }
    return good && *address && options->identity && options->key && options->n_certificates > 0;
}

void wire_send(const Wire *wire, Bytes message, bool ike)
{
    static uint8_t datagram[MARKER_SIZE + GATEWAY_MESSAGE_MAX];
    const size_t marker = ike ? wire->marker : 0;

    memset(datagram, 0, marker);
    memcpy(datagram + marker, message.data, message.size);
    (void)sendto(source >= 0 ? source : wire->fd, datagram, marker + message.size, 0,
                 (const struct sockaddr *)&wire->peer, sizeof(wire->peer));
}

bool wire_leave_by(uint16_t port)
{
    const int fd = socket_open(own_address, port);

    if (fd < 0)
        return false;
    if (source >= 0)
        (void)close(source);
    source = fd;
    return true;
}

/* Takes one datagram. A forger answers IKE_SA_INIT alone. */
static void serve(Responder *responder, Responder *forger, int fd, size_t marker)
{
    static uint8_t datagram[GATEWAY_MESSAGE_MAX];
    Wire wire = {.fd = fd, .marker = marker};
    socklen_t peer_size = sizeof(wire.peer);
    const ssize_t size =
        recvfrom(fd, datagram, sizeof(datagram), 0, (struct sockaddr *)&wire.peer, &peer_size);

    if (size < (ssize_t)marker)
        return;
    if (memcmp(datagram, (uint8_t[MARKER_SIZE]){0}, marker) != 0) {
        child_receive(responder_gateway(responder), (Bytes){datagram, (size_t)size});
        return;
    }
    const Bytes message = {datagram + marker, (size_t)size - marker};
    if (forger && marker == 0)
        gateway_receive(responder_gateway(forger), &wire, message);
    gateway_receive(responder_gateway(responder), &wire, message);
}

/* Lines come whole: each is written by one call. */
static void obey(Responder *responder, ResponderOptions *options, int script)
{
    char lines[4096], *state = NULL;
    const ssize_t size = read(script, lines, sizeof(lines) - 1);

    if (size <= 0)
        return;
    lines[size] = 0;
    for (char *line = strtok_r(lines, "\n", &state); line; line = strtok_r(NULL, "\n", &state)) {
        if (strncmp(line, "assign ", 7) == 0) {
            (void)inet_pton(AF_INET, line + 7, options->address);
        } else {
            script_run(responder_gateway(responder), line, options->address);
        }
        (void)puts("done");
    }
}

int main(int argc, char **argv)
{
    ResponderOptions options = {.address = {10, 210, 0, 1}};
    const char *address = NULL;
    Responder *responder, *forger;
    struct pollfd fds[] = {
        {.events = POLLIN}, {.events = POLLIN}, {-1, .events = POLLIN}, {-1, .events = POLLIN}};

    (void)setvbuf(stdout, NULL, _IOLBF, 0);
    if (!arguments_parse(argc, argv, &options, &address, &fds[2].fd)) {
        (void)fprintf(stderr, "responder: wrong usage, or a file that can't be used; see main.c\n");
        return 2;
    }
    responder = responder_new(&options);
    forger = options.forge ? responder_new(&options) : NULL;
    fds[0].fd = socket_open(address, PORT);
    fds[1].fd = socket_open(address, NAT_PORT);
    if (!responder || secrets_init() < 0 || fds[0].fd < 0 || fds[1].fd < 0)
        return 1;
    own_address = address;
    if (source_port != 0 && !wire_leave_by(source_port))
        return 1;
    (void)puts("ready");
    while (fds[3].fd = source, poll(fds, sizeof(fds) / sizeof(fds[0]), -1) > 0) {
        if (fds[0].revents & POLLIN)
            serve(responder, forger, fds[0].fd, 0);
        if (fds[1].revents & POLLIN)
            serve(responder, forger, fds[1].fd, MARKER_SIZE);
        if (fds[3].revents & POLLIN)
            serve(responder, forger, source, MARKER_SIZE);
        if (fds[2].revents & POLLIN)
            obey(responder, &options, fds[2].fd);
    }
    responder_free(responder);
    return 1;
}
