/* The SeGW's own requests once the SA is up (RFC 7296 1.4): what we answer, and what has happened.
 */
#pragma once

#include "ikeclient/child.h"
#include "ikewire/message.h"

typedef struct PeerRequest {
    bool deletes_ike;   /* the IKE SA is gone once our answer is sent (step 7) */
    bool deletes_child; /* some of our Child SAs are gone: those of … */
    size_t n_deleted;
    uint32_t deleted[IKE_SPIS_MAX]; /* … these inbound SPIs of ours */
    bool auth_failed; /* N(AUTHENTICATION_FAILED): the SeGW has thrown us out (2.21.2) */
    const char *what; /* for a log line: a static phrase */
} PeerRequest;

/* Reads the opened request, `children` being our Child SAs, and writes the payload chain of the
 * answer (often empty); *ret_first is its first payload's type. Every request gets an answer, also
 * one that we can't read. */
void peer_request_answer(uint8_t exchange_type, uint8_t first, Bytes payloads,
                         const ChildSa *children, Writer *writer, uint8_t *ret_first,
                         PeerRequest *ret);
