/* A SeGW by hand, for what no real one can be made to do: it shows any certificate, signs with any
 * key, and sends OCSP responses in IKE (RFC 4806). Its messages are ikewire's, its keys tred's. It
 * speaks one suite, AES-GCM-16-128 with HMAC-SHA2-256 and ECP-256, and holds one IKE SA at a time.
 */
#pragma once

#include "base/bytes.h"

#include <openssl/evp.h>
#include <stdbool.h>

enum { RESPONDER_MESSAGE_MAX = 65536, RESPONDER_LIST_MAX = 16 };

/* What it is to show and do; all borrowed. */
typedef struct ResponderOptions {
    const char *identity; /* the FQDN in IDr */
    EVP_PKEY *key;        /* ECDSA P-256; signs AUTH, whatever the certificate says */
    Bytes certificates[RESPONDER_LIST_MAX]; /* DER, the end entity's first */
    size_t n_certificates;
    Bytes ocsp[RESPONDER_LIST_MAX]; /* DER OCSPResponses */
    size_t n_ocsp;
    bool spoil_auth;    /* one bit of the AUTH payload is wrong */
    uint8_t address[4]; /* that it assigns */
    bool crowd;         /* more of everything than anybody needs */
    bool forge;         /* for main.c */
    /* What its IKE_AUTH response has, too: notifies, and attributes of its CFG_REPLY. */
    struct ResponderExtra {
        uint16_t type;
        Bytes data;
    } notifies[RESPONDER_LIST_MAX], attributes[RESPONDER_LIST_MAX];
    size_t n_notifies, n_attributes;
} ResponderOptions;

typedef struct Responder Responder;

/* NULL without memory. To be released with responder_free(). */
Responder *responder_new(const ResponderOptions *options);
void responder_free(Responder *responder);

/* Answers a request (without non-ESP marker) into `ret`, which has RESPONDER_MESSAGE_MAX octets,
 * and says on standard output what the initiator asked for ("CERTREQ 14", "ATTRIBUTE 23") and
 * told it ("NOTIFY 24"). Returns 0 with *ret_size set, or a negative errno: then there is nothing
 * to send. */
int responder_answer(Responder *responder, Bytes request, uint8_t *ret, size_t *ret_size);
