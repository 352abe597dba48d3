/* A SeGW that this device may be connected to: [segw] or [segw NAME] of tred.conf. Whom an exchange
 * is with, and what may pass, is said here, whatever its caller says. */
#pragma once

#include "base/config.h"
#include "ikewire/payload.h"
#include "verify/frames.h"

#define SEGW_DEFAULT "default" /* the label of [segw] */

typedef struct Segw {
    char label[CONFIG_NAME_SIZE]; /* NAME */
    uint32_t number;              /* of the section: 0 is [segw]'s */
    char *name;                   /* the FQDN that it must prove */
    VerifyAnchors anchors;        /* those of the anchors that count for it; none: all */
    IkeTs allowed_local;          /* no Child SA's selectors go beyond these */
    IkeTs allowed_remote;         /* of no two SeGWs do these overlap */
    char *interface;              /* of its tunnel; NULL until all is read: [data-plane]'s */
    uint8_t interface_place;      /* in TredConfig's `interfaces`; SeGWs may share one */
} Segw;
