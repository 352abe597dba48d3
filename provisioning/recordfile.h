/* The file to which the line adds a record for each device, and which a later run goes on with. */
#pragma once

#include "provisioning/devicelist.h"
#include "provisioning/roster.h"

/* Opens `path` to add to it (NULL: standard output) and takes in what is there: good devices into
 * the roster and the list. A last line that is not whole was being written when the station lost
 * power; it is cut off. 0, or -errno after a complaint. */
int record_file_open(const char *path, Roster *roster, DeviceList *list, int *ret);

/* Adds one line, and has it on disk. 0, or -errno after a complaint. */
int record_file_add(int fd, const char *line);
