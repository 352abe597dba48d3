/* What a SeGW can answer to IKE_SA_INIT before it goes on with it. A word of parts, with a comma
 * between, is one message with a notify for each:
 *   cookie            COOKIE, another one each time (RFC 7296 2.6), of 20 octets
 *   cookie=SIZE       one of another size
 *   group             INVALID_KE_PAYLOAD, as it wants ECP-256 (1.2)
 *   group=NUMBER      or another one
 *   critical          a payload that nobody knows and that is critical (2.5)
 *   redirect=IPV4     REDIRECT to there (RFC 5685 3), with the request's nonce
 *   stale=IPV4        the same with another nonce
 *   spi               nothing, and the responder's SPI is not zero (RFC 7296 2.6) */
#include "responder.h"

#include <arpa/inet.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    COOKIE_SIZE = 20,
    GATEWAY_IPV4 = 1, /* RFC 5685 11 */
    GATEWAY_FRONT = 2,
    WORD_MAX = 64,
    RESPONDER_SPI = 0x5e60,
    UNKNOWN_PAYLOAD = 201,
};

static void add_redirect(const char *address, Bytes nonce, bool stale, IkeChain *chain)
{
    uint8_t data[GATEWAY_FRONT + sizeof(struct in_addr) + IKE_NONCE_MAX] = {GATEWAY_IPV4, 4};
    uint8_t *end = data + GATEWAY_FRONT + sizeof(struct in_addr);

    if (inet_pton(AF_INET, address, data + GATEWAY_FRONT) != 1)
        return;
    memcpy(end, nonce.data, nonce.size);
    if (stale)
        *end ^= 1;
    ike_chain_add_notify(chain, IKE_NOTIFY_REDIRECT,
                         (Bytes){data, (size_t)(end - data) + nonce.size});
}

static void add_part(const char *part, Bytes nonce, IkeChain *chain)
{
    uint8_t group[] = {0, IKE_GROUP_ECP_256};
    uint8_t cookie[2 * IKE_COOKIE_MAX];

    if (strncmp(part, "cookie", 6) == 0 && RAND_bytes(cookie, sizeof(cookie)) == 1) {
        const size_t size = part[6] == '=' ? strtoul(part + 7, NULL, 10) : COOKIE_SIZE;
        ike_chain_add_notify(chain, IKE_NOTIFY_COOKIE, bytes_slice(BYTES_OF(cookie), 0, size));
    } else if (strcmp(part, "critical") == 0) {
        ike_chain_open(chain, UNKNOWN_PAYLOAD, true);
        ike_chain_close(chain);
    } else if (strncmp(part, "group", 5) == 0) {
        if (part[5] == '=')
            group[1] = (uint8_t)strtoul(part + 6, NULL, 10);
        ike_chain_add_notify(chain, IKE_NOTIFY_INVALID_KE_PAYLOAD, BYTES_OF(group));
    } else if (strncmp(part, "redirect=", 9) == 0) {
        add_redirect(part + 9, nonce, false, chain);
    } else if (strncmp(part, "stale=", 6) == 0) {
        add_redirect(part + 6, nonce, true, chain);
    }
}

void detour_write(const char *word, const IkeMessage *request, Writer *writer)
{
    const IkeHeader header = {.spi_i = request->header.spi_i,
                              .spi_r = strstr(word, ",spi") ? RESPONDER_SPI : 0,
                              .exchange_type = IKE_SA_INIT,
                              .flags = IKE_FLAG_RESPONSE};
    const IkePayload *nonce = ike_payloads_find(&request->payloads, IKE_PAYLOAD_NONCE);
    char parts[WORD_MAX] = "", *state = NULL;
    IkeChain chain;

    if (!nonce || strlen(word) >= sizeof(parts))
        return;
    (void)snprintf(parts, sizeof(parts), "%s", word);
    ike_message_begin(writer, &header, &chain);
    for (char *part = strtok_r(parts, ",", &state); part; part = strtok_r(NULL, ",", &state))
        add_part(part, nonce->body, &chain);
    ike_message_end(&chain);
}
