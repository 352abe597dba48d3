/* trectl status and trectl watch. */
#pragma once

#include "trectl/snapshot.h"
#include "trectl/terminal.h"

#include <stdbool.h>

/* Writes a snapshot as one screen. */
void status_print(const Paper *paper, json_object *snapshot);

/* True if it has a tunnel: established, with a Child SA. */
bool status_is_up(json_object *snapshot);

/* Each returns the exit status: 0 the tunnel is up, 1 it is not. */
int status_main(int argc, char **argv);
int watch_main(int argc, char **argv);
