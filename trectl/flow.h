/* trectl flow: the last exchange as a ladder, or as a sequence diagram. */
#pragma once

#include "trectl/busjson.h"

#include <stdio.h>

/* Steps, as org.tred.IkeClient1 has them (an array of [realtime µs, µs, number, name, from, to,
 * details]), as a ladder of text. */
void flow_print(FILE *stream, json_object *steps);

/* The same as an SVG document. */
void flow_svg(FILE *stream, json_object *steps);

/* Returns the exit status: 0, 1 there is no exchange yet, 69 ikeclient does not run, 73 the file
 * can't be written. */
int flow_main(int argc, char **argv);
