/* The devices of a line: read one by one, and told apart. */
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

typedef struct RosterEntry {
    char *serial;
    char *fqdn;
    unsigned line; /* of the input that brought it; 0: it was done in an earlier run */
} RosterEntry;

/* Whose a TPM is: by the SHA-256 of its EK certificate, in hexadecimal. */
typedef struct RosterTpm {
    char *hash;
    char *serial;
} RosterTpm;

typedef struct Roster {
    void *by_serial; /* trees of tsearch(3), of the same entries */
    void *by_fqdn;
    void *by_tpm; /* of RosterTpm */
} Roster;

void roster_deinit(Roster *roster);

/* Enters a device. 0; -EEXIST if the serial number or the FQDN is another's (*ret_conflict is who
 * has it, and stays the roster's); -ENOMEM. The same device done in an earlier run may come again,
 * but not twice in one. */
int roster_claim(Roster *roster, const char *serial, const char *fqdn, unsigned line,
                 const RosterEntry **ret_conflict);

/* Strikes a device out, whose provisioning failed: it may come again. */
void roster_release(Roster *roster, const char *serial);

/* Remembers that a TPM is that of the device `serial`. 0 or -ENOMEM. */
int roster_tpm_set(Roster *roster, const char *hash, const char *serial);

/* The serial number of the device that has it, or NULL. */
const char *roster_tpm_owner(const Roster *roster, const char *hash);
