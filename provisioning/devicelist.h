/* The file of the line's records, and the list of devices for the SeGW. */
#pragma once

#include "provisioning/lineinput.h"
#include "provisioning/record.h"

#include <stdio.h>

typedef struct DeviceListEntry {
    char *serial, *fqdn;
    char ek_hash[SHA256_HEX_SIZE]; /* of its EK certificate; "" if not known */
} DeviceListEntry;

typedef struct DeviceList {
    size_t count, capacity;
    DeviceListEntry *entries; /* in the order in which they were first provisioned */
} DeviceList;

typedef enum DeviceListFormat {
    DEVICE_LIST_FQDNS,   /* "fqdn-list": one a line */
    DEVICE_LIST_SWANCTL, /* "swanctl": strongSwan's swanctl.conf, a connection for each device */
    DEVICE_LIST_FORMATS
} DeviceListFormat;

/* The format of that name; -EINVAL for another. */
int device_list_format_from_name(const char *name, DeviceListFormat *ret);

/* Takes a record in: a good one adds its device, or changes its name and its TPM if it is there. 0
 * or -ENOMEM. */
int device_list_take(DeviceList *list, const DeviceRecord *record);

/* The list as text; *ret is the caller's to free(). 0 or -ENOMEM. */
int device_list_print(const DeviceList *list, DeviceListFormat format, char **ret);
void device_list_deinit(DeviceList *list);

/* The list into a file, whole or not at all, or to standard output where `path` is NULL. 0, or
 * -errno after a complaint. */
int device_list_write(const DeviceList *list, DeviceListFormat format, const char *path);

/* Opens `path` to add to it (NULL: standard output) and takes in what is there: good devices into
 * the roster and the list. A last line that is not whole was being written when the station lost
 * power; it is cut off. The file is locked for as long as *ret is open here or in a device's
 * process. 0, or -errno after a complaint: -EBUSY if another line has it, -EBADMSG if it holds
 * something else. */
int record_file_open(const char *path, Roster *roster, DeviceList *list, int *ret);

/* Adds one line, whole or not at all, and has it on disk. 0, or -errno after a complaint. */
int record_file_add(int fd, const char *line);
