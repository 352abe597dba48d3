/* trectl check-peer. */
#pragma once

#include "base/reason.h"
#include "verify/peer.h"

#include <stdbool.h>

/* Each check in order, then the verdict. 0, or -ENOMEM. */
int check_peer_print(const PeerReport *report, bool json);

/* As JSON, why there is no judgement: {"error": …}. */
void check_peer_print_problem(const Reason *reason);
