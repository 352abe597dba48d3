/* The devices that come down a manufacturing line, one a line of text: serial number, FQDN and the
 * TCTI by which its TPM is reached, with commas or white space between. What follows the FQDN is
 * the TCTI, commas and all ("swtpm:host=127.0.0.1,port=2321"). */
#pragma once

#include "base/bytes.h"
#include "base/reason.h"
#include "verify/certificates.h"

#include <stdbool.h>

enum {
    LINE_SERIAL_SIZE = 64,
    LINE_TCTI_SIZE = 256,
    LINE_SIZE_MAX = 1024,
};

typedef struct DeviceLine {
    unsigned number; /* of the line, from 1 */
    char serial[LINE_SERIAL_SIZE];
    char fqdn[FQDN_SIZE_MAX];
    char tcti[LINE_TCTI_SIZE];
} DeviceLine;

/* Reads one line, without its newline. 1 for a device; 0 for an empty line or a comment ('#');
 * -EINVAL with `reason` saying what is wrong with it. `ret->number` is left
 * alone. */
int device_line_parse(Bytes line, DeviceLine *ret, Reason *reason);

/* Takes lines out of what a file descriptor yields, a piece at a time. */
typedef struct LineReader {
    int fd;
    bool ended;    /* nothing more will come */
    bool too_long; /* the line that is being read; its rest is skipped */
    unsigned number;
    size_t size;
    uint8_t data[LINE_SIZE_MAX];
} LineReader;

/* Reads once, which blocks if nothing has come. 0, or -errno. */
int line_reader_fill(LineReader *reader);

/* The next whole line as a device. 1 for a device; 0 if there is no whole line yet (at the end: no
 * line any more); -EINVAL for a bad line, with `reason` and ret->number filled. */
int line_reader_next(LineReader *reader, DeviceLine *ret, Reason *reason);
