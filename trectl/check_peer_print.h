/* The result of trectl check-peer, for people or as JSON. */
#pragma once

#include "verify/peer.h"

#include <stdbool.h>

/* Each check in order, then the verdict. 0, or -ENOMEM. */
int check_peer_print(const PeerReport *report, bool json);
