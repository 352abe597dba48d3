/* trectl status and trectl watch. */
#pragma once

#include "trectl/words.h"

#include <json-c/json.h>
#include <stdbool.h>

/* Writes a snapshot as one screen. */
void status_print(const Paper *paper, json_object *snapshot);

/* True if it has a tunnel: established, with a Child SA. */
bool status_is_up(json_object *snapshot);
