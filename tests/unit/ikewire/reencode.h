/* Writes what was decoded anew, each payload through its struct and its own encoder. */
#pragma once

#include "ikewire/message.h"

/* Appends `payloads` to `chain`: those with an encoder through it, the others as the octets they
 * are. Only well-formed payloads, as the decoder leaves them, may come in. */
void payloads_reencode(IkeChain *chain, const IkePayloads *payloads);

/* A whole message, with the header that it had. */
void message_reencode(Writer *writer, const IkeMessage *message);
