/* The kernel's word that addresses, links or routes of this host have changed. */
#pragma once

#include "base/cleanup.h"

#include <systemd/sd-event.h>

typedef struct Netwatch Netwatch;

/* Something has changed, and since a fifth of a second nothing else has to be waited for. What it
 * is, is for who is told to look at: a lost message costs nothing. */
typedef void (*NetwatchHandler)(void *userdata);

/* 0 or a negative errno. */
int netwatch_new(sd_event *event, NetwatchHandler handler, void *userdata, Netwatch **ret);
void netwatch_free(Netwatch *watch);
DEFINE_POINTER_CLEANUP(Netwatch, netwatch_free);
