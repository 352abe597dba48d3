/* The SeGW's own requests once the SA is up (RFC 7296 1.4): what we answer, and what has happened.
 */
#pragma once

#include "ikewire/message.h"

/* The SPIs of our Child SA; has_child false: there is none. */
typedef struct ChildSpis {
    bool exists;
    uint32_t spi_in;
    uint32_t spi_out;
} ChildSpis;

typedef struct PeerRequest {
    bool deletes_ike;   /* the IKE SA is gone once our answer is sent (step 7) */
    bool deletes_child; /* our Child SA is gone */
    bool auth_failed;   /* N(AUTHENTICATION_FAILED): the SeGW has thrown us out (2.21.2) */
    const char *what;   /* for a log line: a static phrase */
} PeerRequest;

/* Reads the opened request and writes the payload chain of the answer (often empty); *ret_first is
 * its first payload's type. Every request gets an answer, also one that we can't read. */
void peer_request_answer(uint8_t exchange_type, uint8_t first, Bytes payloads,
                         const ChildSpis *child, Writer *writer, uint8_t *ret_first,
                         PeerRequest *ret);
