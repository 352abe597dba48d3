/* A kernel that is played at the level of netlink messages: it keeps what it is asked, and answers
 * what the test has prepared. */
#pragma once

#include "net/netlink.h"

#include <stddef.h>
#include <stdint.h>

enum { PLAYED_REQUESTS_MAX = 800, PLAYED_ANSWERS_MAX = 300, PLAYED_MESSAGE_MAX = 512 };

typedef struct PlayedMessage {
    _Alignas(max_align_t) uint8_t octets[PLAYED_MESSAGE_MAX];
} PlayedMessage;

typedef struct Played {
    size_t n_requests;
    PlayedMessage requests[PLAYED_REQUESTS_MAX];
    size_t n_answers; /* to each dump of what they are: NEWSA to GETSA */
    PlayedMessage answers[PLAYED_ANSWERS_MAX];
    size_t fails_at;                                /* 1: the next request; 0: none */
    int fails_with;                                 /* errno; 0: PLAYED_ERROR */
    void (*on_call)(const struct nlmsghdr *header); /* as a request has succeeded; may be NULL */
} Played;

enum { PLAYED_ERROR = 5 }; /* EIO: what a request fails with */

extern Played played;
extern Netlink *played_netlink;

/* Forgets everything. For cmocka's setup. */
int played_begin(void **state);

/* The request of that number, from 0; the test fails if it is none of `type`. */
const struct nlmsghdr *played_request(size_t number, uint16_t type);

/* Adds an answer with `size` octets of family header, zeroed, which *ret_extra points to. */
struct nlmsghdr *played_answer(uint16_t type, size_t size, void *ret_extra);

/* The payload of an attribute behind `head` octets of family header, NULL if there is none of that
 * type. The test fails if it has another size than `size`. */
const void *played_attribute(const struct nlmsghdr *header, size_t head, uint16_t type,
                             size_t size);
