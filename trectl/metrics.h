/* trectl metrics: what monitoring systems read. */
#pragma once

#include <json-c/json.h>
#include <stdio.h>

/* A snapshot as text in the form of OpenMetrics 1.0, of which only what Prometheus' older text form
 * has, too, is used: counters and gauges. */
void metrics_print(FILE *stream, json_object *snapshot);
