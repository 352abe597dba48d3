/* A SeGW by hand, for what no real one can be made to do: it shows any certificate, signs with any
 * key, and sends OCSP responses in IKE (RFC 4806). Its messages are ikewire's, its keys tred's. It
 * speaks one suite, AES-GCM-16-128 with HMAC-SHA2-256 and, but for rekeyings, ECP-256. */
#pragma once

#include "gateway.h"

#include <openssl/evp.h>
#include <stdbool.h>

enum { RESPONDER_LIST_MAX = 16 };

/* What it is to show and do; all borrowed. */
typedef struct ResponderOptions {
    const char *identity; /* the FQDN in IDr … */
    RawPayloads id;       /* … or this one's type and octets, where there is one */
    EVP_PKEY *key;        /* ECDSA P-256; signs AUTH, whatever the certificate says */
    Bytes certificates[RESPONDER_LIST_MAX]; /* DER, the end entity's first */
    size_t n_certificates;
    size_t n_urls; /* so many of the last ones are sent by hash and URL (RFC 7296 3.6) */
    Bytes ocsp[RESPONDER_LIST_MAX]; /* DER OCSPResponses */
    size_t n_ocsp;
    bool spoil_auth;    /* one bit of the AUTH payload is wrong */
    uint8_t address[4]; /* that it assigns */
    bool crowd;         /* more of everything than anybody needs */
    bool forge;         /* for main.c */
    bool childless;     /* its IKE_AUTH response has no Child SA, nor a reason for that */
    Style style;        /* how its messages are written */
    IkeTs remote;       /* its selectors; none: as they were asked for */
    RawPayloads init;   /* what its IKE_SA_INIT response has, too */
    /* What it answers IKE_SA_INIT requests before it answers one rightly (detour.c). */
    const char *detours[RESPONDER_LIST_MAX];
    size_t n_detours;
    /* What its IKE_AUTH response has, too: notifies, and attributes of its CFG_REPLY. */
    struct ResponderExtra {
        uint16_t type;
        Bytes data;
    } notifies[RESPONDER_LIST_MAX], attributes[RESPONDER_LIST_MAX];
    size_t n_notifies, n_attributes;
} ResponderOptions;

typedef struct Responder Responder;

/* ---- detour.c ---- */

/* What a word of ResponderOptions.detours stands for is the whole answer to that request. */
void detour_write(const char *word, const IkeMessage *request, Writer *writer);

/* ---- crowd.c ---- */

/* Payloads that nobody needs. */
void crowd_write(IkeChain *chain);

/* CP, TSi and TSr with more than anybody needs; `first` is the first of the addresses. */
void crowded_child_write(const uint8_t first[4], IkeChain *chain);

/* ---- responder.c ---- */

/* NULL without memory. To be released with responder_free(). */
Responder *responder_new(const ResponderOptions *options);
void responder_free(Responder *responder);

/* What has its IKE SAs: it takes messages (gateway_receive()), and says on standard output what the
 * initiator asked for in IKE_AUTH ("CERTREQ 14", "ATTRIBUTE 1 value=0ad20001") besides what say.c
 * says. */
Gateway *responder_gateway(Responder *responder);
