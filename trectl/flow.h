/* trectl flow: the last exchange as a ladder, or as a sequence diagram. */
#pragma once

#include <json-c/json.h>
#include <stdio.h>

/* Steps, as org.tred.IkeClient1 has them (an array of [realtime µs, µs, number, name, from, to,
 * details]), as a ladder of text. */
void flow_print(FILE *stream, json_object *steps);

/* The same as a JSON array of an object for each step. */
void flow_json(FILE *stream, json_object *steps);

/* The same as an SVG document. */
void flow_svg(FILE *stream, json_object *steps);
