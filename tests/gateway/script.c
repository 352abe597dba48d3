/* What the SeGW is told to do, a line each; it says "done" after each. SA is an IKE SA's number,
 * SPI (hexadecimal) what we receive a Child SA's packets by, GROUP a number of a DH group.
 *
 *   hold                        requests wait,
 *   release                     and are answered
 *   keep                        a request of ours is made, and waits,
 *   send SA                     and is sent; or sent again
 *   refuse TYPE [DATA]          the answer to the next CREATE_CHILD_SA request is that notify
 *   object TYPE                 the answer to the next INFORMATIONAL request has that notify
 *   also TYPE...                our messages about Child SAs have those notifies
 *   add PAYLOAD...              our next answer has those payloads, too, as in 43=0102
 *   from PORT                   all of our datagrams leave by that port
 *   cut SA PIECES [COUNT]       our last request leaves again, in so many fragments; the last COUNT
 *                               of them
 *   style WORD                  one word more of how messages are written (style.c)
 *   key-length BITS             of the cipher of IKE SAs that a rekeying makes
 *   remote RANGE...             our selectors are those, as in 10.200.0.1-10.200.0.6, or
 *                               10.200.0.1-10.200.0.6/17/2152-2153 for a protocol and ports
 *   nonce HEX                   all octets of our nonces, from now on
 *   rekey-child SA SPI [GROUP]...
 *   create-child SA [GROUP]...
 *   rekey-ike SA GROUP...
 *   delete-child SA SPI...
 *   delete-each SA SPI...       with a Delete payload for each
 *   delete-ike SA
 *   forget SPI                  of a Child SA nothing is left with us
 *   forget-ike SA               nor of an IKE SA
 *   inform SA [TYPE[=HEX]]...   an INFORMATIONAL request with those notifies
 *   critical SA                 one with a critical payload that nobody knows
 *   ask SA EXCHANGE [PAYLOAD]... a request of that exchange type with those payloads
 *   ping SPI COUNT
 *   keepalive SA                one octet for a NAT (RFC 3948 2.3)
 *   assign IPV4                 the inner address of who authenticates from now on (main.c)
 *   show                        says "left", the numbers and SPIs of IKE SAs, and the SPIs of Child
 *                               SAs */
#include "gateway.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { GROUPS_MAX = 8, WORDS_MAX = 3 + GROUPS_MAX, NOTIFY_DATA_MAX = 64, UNKNOWN_PAYLOAD = 201 };

static void show(const Gateway *gateway)
{
    (void)printf("left");
    for (size_t i = 0; i < GATEWAY_SAS_MAX; i++) {
        const GatewaySa *sa = &gateway->sas[i];

        if (sa->number != 0)
            (void)printf(" ike=%u:%" PRIx64 ":%" PRIx64, sa->number, sa->spi_i, sa->spi_r);
    }
    for (size_t i = 0; i < gateway->n_children; i++) {
        const GatewayChild *child = &gateway->children[i];

        (void)printf(" child=%08x:%08x", child->spi_in, child->spi_out);
    }
    (void)putchar('\n');
}

/* As many octets as fit; how many. */
static size_t hex_read(const char *hex, uint8_t *octets, size_t max)
{
    size_t size = 0;

    for (; size < max && hex[2 * size] != 0 && hex[2 * size + 1] != 0; size++) {
        const char digits[] = {hex[2 * size], hex[2 * size + 1], 0};

        octets[size] = (uint8_t)strtoul(digits, NULL, 16);
    }
    return size;
}

static void refuse(Gateway *gateway, const char *type, const char *data)
{
    gateway->refusal = (uint16_t)strtoul(type, NULL, 10);
    gateway->refusal_size = hex_read(data, gateway->refusal_data, sizeof(gateway->refusal_data));
}

/* What is there up to the next dash or slash, where *text is then. */
static bool address_read(const char **text, uint8_t *ret)
{
    char address[INET_ADDRSTRLEN] = "";
    const size_t size = strcspn(*text, "-/");

    if (size >= sizeof(address))
        return false;
    memcpy(address, *text, size);
    *text += size;
    return inet_pton(AF_INET, address, ret) == 1;
}

/* A number behind that character. */
static bool number_read(const char **text, char before, uint16_t *ret)
{
    char *end = NULL;

    if (**text != before)
        return false;
    *ret = (uint16_t)strtoul(*text + 1, &end, 10);
    *text = end;
    return true;
}

bool range_read(const char *text, IkeTs *ts)
{
    IkeSelector selector = {.type = IKE_TS_IPV4_ADDR_RANGE, .end_port = UINT16_MAX};
    uint16_t protocol = 0;

    if (ts->n_selectors == IKE_SELECTORS_MAX || !address_read(&text, selector.start) ||
        *text++ != '-' || !address_read(&text, selector.end))
        return false;
    if (*text != 0 &&
        (!number_read(&text, '/', &protocol) || !number_read(&text, '/', &selector.start_port) ||
         !number_read(&text, '-', &selector.end_port)))
        return false;
    selector.protocol = (uint8_t)protocol;
    ts->selectors[ts->n_selectors++] = selector;
    return true;
}

static void remote(Gateway *gateway, char *const *words, size_t n)
{
    gateway->ts_segw = (IkeTs){0};
    for (size_t i = 0; i < n; i++)
        (void)range_read(words[i], &gateway->ts_segw);
}

static void inform(Gateway *gateway, GatewaySa *sa, char *const *words, size_t n)
{
    uint8_t data[NOTIFY_DATA_MAX];
    IkeChain chain;
    Writer inner;

    writer_init(&inner, gateway->inner, sizeof(gateway->inner));
    ike_chain_init(&chain, &inner);
    for (size_t i = 0; i < n; i++) {
        char *hex = NULL;
        const uint16_t type = (uint16_t)strtoul(words[i], &hex, 10);
        const size_t size = *hex == '=' ? hex_read(hex + 1, data, sizeof(data)) : 0;

        ike_chain_add_notify(&chain, type, (Bytes){data, size});
    }
    gateway_request(gateway, sa, IKE_INFORMATIONAL, &chain);
}

bool payload_read(const char *text, RawPayloads *ret)
{
    RawPayload *payload = &ret->items[ret->count];
    char *hex = NULL;

    if (ret->count == GATEWAY_PAYLOADS_MAX)
        return false;
    payload->type = (uint8_t)strtoul(text, &hex, 10);
    payload->size = *hex == '=' ? hex_read(hex + 1, payload->body, sizeof(payload->body)) : 0;
    ret->count++;
    return true;
}

void payloads_add(const RawPayloads *payloads, IkeChain *chain)
{
    for (size_t i = 0; i < payloads->count; i++) {
        const RawPayload *payload = &payloads->items[i];

        ike_chain_add(chain, payload->type, (Bytes){payload->body, payload->size});
    }
}

static RawPayloads read_payloads(char *const *words, size_t n)
{
    RawPayloads payloads = {0};

    for (size_t i = 0; i < n; i++)
        (void)payload_read(words[i], &payloads);
    return payloads;
}

static void ask(Gateway *gateway, GatewaySa *sa, uint8_t exchange_type, const RawPayloads *payloads)
{
    IkeChain chain;
    Writer inner;

    writer_init(&inner, gateway->inner, sizeof(gateway->inner));
    ike_chain_init(&chain, &inner);
    payloads_add(payloads, &chain);
    gateway_request(gateway, sa, exchange_type, &chain);
}

/* RFC 7296 2.5: what is not understood has to be. */
static void ask_critical(Gateway *gateway, GatewaySa *sa)
{
    IkeChain chain;
    Writer inner;

    writer_init(&inner, gateway->inner, sizeof(gateway->inner));
    ike_chain_init(&chain, &inner);
    ike_chain_open(&chain, UNKNOWN_PAYLOAD, true);
    ike_chain_close(&chain);
    gateway_request(gateway, sa, IKE_INFORMATIONAL, &chain);
}

static void cut(Gateway *gateway, GatewaySa *sa, const char *pieces, const char *count)
{
    gateway_cut(gateway, sa, strtoul(pieces, NULL, 10),
                *count ? strtoul(count, NULL, 10) : GATEWAY_FRAGMENTS_MAX);
}

static void delete_children(Gateway *gateway, GatewaySa *sa, char *const *words, size_t n,
                            bool each)
{
    uint32_t spis[WORDS_MAX];

    for (size_t i = 0; i < n; i++)
        spis[i] = (uint32_t)strtoul(words[i], NULL, 16);
    child_ask_delete(gateway, sa, spis, n, each);
}

static void delete_ike(Gateway *gateway, GatewaySa *sa)
{
    const IkeDelete delete_ = {.protocol = IKE_PROTOCOL_IKE};
    IkeChain chain;
    Writer inner;

    writer_init(&inner, gateway->inner, sizeof(gateway->inner));
    ike_chain_init(&chain, &inner);
    ike_chain_add_delete(&chain, &delete_);
    sa->leaving = true;
    gateway_request(gateway, sa, IKE_INFORMATIONAL, &chain);
}

static void send_kept(Gateway *gateway, const GatewaySa *sa)
{
    gateway->keeps = false;
    gateway_send(sa, &sa->request);
}

/* words[0] is the command, words[1] an IKE SA's number. False: it is none of these. */
static bool run_with_sa(Gateway *gateway, char *const *words, size_t n)
{
    GatewaySa *sa = gateway_find_sa(gateway, (unsigned)strtoul(words[1], NULL, 10));
    const uint32_t spi = (uint32_t)strtoul(words[2], NULL, 16);
    const bool with_spi = strcmp(words[0], "rekey-child") == 0;
    uint16_t groups[GROUPS_MAX];
    size_t n_groups = 0;

    for (size_t i = with_spi ? 3 : 2; i < n; i++)
        groups[n_groups++] = (uint16_t)strtoul(words[i], NULL, 10);
    if (!sa || n < 2)
        return false;
    if (with_spi) {
        create_ask(gateway, sa, CREATE_REKEYED_CHILD, spi, groups, n_groups);
    } else if (strcmp(words[0], "create-child") == 0) {
        create_ask(gateway, sa, CREATE_CHILD, 0, groups, n_groups);
    } else if (strcmp(words[0], "rekey-ike") == 0) {
        create_ask(gateway, sa, CREATE_REKEYED_IKE, 0, groups, n_groups);
    } else if (strcmp(words[0], "delete-child") == 0 || strcmp(words[0], "delete-each") == 0) {
        delete_children(gateway, sa, words + 2, n - 2, strcmp(words[0], "delete-each") == 0);
    } else if (strcmp(words[0], "critical") == 0) {
        ask_critical(gateway, sa);
    } else if (strcmp(words[0], "ask") == 0) {
        const RawPayloads payloads = read_payloads(words + 3, n > 3 ? n - 3 : 0);

        ask(gateway, sa, (uint8_t)strtoul(words[2], NULL, 10), &payloads);
    } else if (strcmp(words[0], "cut") == 0) {
        cut(gateway, sa, words[2], words[3]);
    } else if (strcmp(words[0], "delete-ike") == 0) {
        delete_ike(gateway, sa);
    } else if (strcmp(words[0], "inform") == 0) {
        inform(gateway, sa, words + 2, n - 2);
    } else if (strcmp(words[0], "forget-ike") == 0) {
        gateway_drop_sa(sa);
    } else if (strcmp(words[0], "keepalive") == 0) {
        static const uint8_t octet[] = {UINT8_MAX};

        wire_send(&sa->wire, BYTES_OF(octet), false);
    } else if (strcmp(words[0], "send") == 0) {
        send_kept(gateway, sa);
    } else {
        return false;
    }
    return true;
}

void script_run(Gateway *gateway, char *line, const uint8_t address[4])
{
    char *words[WORDS_MAX], *state = NULL, empty[] = "";
    size_t n = 0;

    for (char *word = strtok_r(line, " \n", &state); word && n < WORDS_MAX;
         word = strtok_r(NULL, " \n", &state))
        words[n++] = word;
    for (size_t i = n; i < WORDS_MAX; i++)
        words[i] = empty;
    if (strcmp(words[0], "hold") == 0) {
        gateway->holds = true;
    } else if (strcmp(words[0], "release") == 0) {
        gateway_release(gateway);
    } else if (strcmp(words[0], "keep") == 0) {
        gateway->keeps = true;
    } else if (strcmp(words[0], "refuse") == 0) {
        refuse(gateway, words[1], words[2]);
    } else if (strcmp(words[0], "object") == 0) {
        gateway->objection = (uint16_t)strtoul(words[1], NULL, 10);
    } else if (strcmp(words[0], "style") == 0 && style_read(&gateway->style, words[1])) {
        return;
    } else if (strcmp(words[0], "key-length") == 0) {
        gateway->key_length = (uint16_t)strtoul(words[1], NULL, 10);
    } else if (strcmp(words[0], "also") == 0) {
        gateway->n_also = 0;
        for (size_t i = 1; i < n && gateway->n_also < GATEWAY_ALSO_MAX; i++)
            gateway->also[gateway->n_also++] = (uint16_t)strtoul(words[i], NULL, 10);
    } else if (strcmp(words[0], "add") == 0) {
        gateway->extras = read_payloads(words + 1, n - 1);
    } else if (strcmp(words[0], "from") == 0) {
        (void)wire_leave_by((uint16_t)strtoul(words[1], NULL, 10));
    } else if (strcmp(words[0], "remote") == 0) {
        remote(gateway, words + 1, n - 1);
    } else if (strcmp(words[0], "nonce") == 0) {
        gateway->nonce_octet = (int)strtoul(words[1], NULL, 16);
    } else if (strcmp(words[0], "forget") == 0) {
        child_forget(gateway, (uint32_t)strtoul(words[1], NULL, 16));
    } else if (strcmp(words[0], "ping") == 0) {
        child_ping(gateway, (uint32_t)strtoul(words[1], NULL, 16), address,
                   (unsigned)strtoul(words[2], NULL, 10));
    } else if (strcmp(words[0], "show") == 0) {
        show(gateway);
    } else if (!run_with_sa(gateway, words, n)) {
        (void)printf("unknown %s\n", words[0]);
    }
}
