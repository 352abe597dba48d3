/* Stands before the sd-bus of a channel, whose caller no bus daemon has looked at. By itself sd-bus
 * takes in whatever descriptors come along, also with a message that never ends, and reads messages
 * of up to 128 MiB. */
#pragma once

#include <systemd/sd-event.h>

/* The largest call is Agree's, with two UDP datagrams. */
enum { CHANNEL_MESSAGE_MAX = 256 * 1024 };

typedef struct ChannelGate ChannelGate;

/* Reads `fd` (taken over), and hands on octets alone, in messages of no more than
 * CHANNEL_MESSAGE_MAX: what comes after anything else is a closed connection. *ret_input is to be
 * read in the place of `fd`, as that of a caller who authenticates itself as anonymous; `name` is
 * what the caller is called in the log. 0 or -errno (`fd` stays open). */
int channel_gate_open(sd_event *event, int fd, const char *name, ChannelGate **ret, int *ret_input);
void channel_gate_free(ChannelGate *gate);
