/* Whose serial number, whose FQDN, whose TPM is it? Each belongs to one device. */
#pragma once

#include <stdbool.h>

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
