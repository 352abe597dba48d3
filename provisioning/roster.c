/* Has this name been given away already? */
#include "provisioning/roster.h"

#include "base/cleanup.h"

#include <errno.h>
#include <search.h>
#include <string.h>
#include <strings.h>

static int serial_compare(const void *a, const void *b)
{
    return strcmp(((const RosterEntry *)a)->serial, ((const RosterEntry *)b)->serial);
}

/* Domain names do not tell case apart (RFC 4343). */
static int fqdn_compare(const void *a, const void *b)
{
    return strcasecmp(((const RosterEntry *)a)->fqdn, ((const RosterEntry *)b)->fqdn);
}

static void entry_free(RosterEntry *entry)
{
    free(entry->serial);
    free(entry->fqdn);
    free(entry);
}
DEFINE_POINTER_CLEANUP(RosterEntry, entry_free);

static RosterEntry *entry_find(void *const *tree, const RosterEntry *key,
                               int (*compare)(const void *a, const void *b))
{
    RosterEntry *const *found = tfind(key, tree, compare);

    return found ? *found : NULL;
}

static int tpm_compare(const void *a, const void *b)
{
    return strcmp(((const RosterTpm *)a)->hash, ((const RosterTpm *)b)->hash);
}

static void tpm_free(RosterTpm *tpm)
{
    free(tpm->hash);
    free(tpm->serial);
    free(tpm);
}
DEFINE_POINTER_CLEANUP(RosterTpm, tpm_free);

static void tpm_destroy(void *tpm)
{
    tpm_free(tpm);
}

static void forget_nothing(void *entry)
{
    (void)entry;
}

static void entry_destroy(void *entry)
{
    entry_free(entry);
}

void roster_deinit(Roster *roster)
{
    tdestroy(roster->by_fqdn, forget_nothing);
    tdestroy(roster->by_serial, entry_destroy);
    tdestroy(roster->by_tpm, tpm_destroy);
    *roster = (Roster){0};
}

static int entry_add(Roster *roster, const RosterEntry *key)
{
    _cleanup_(entry_freep) RosterEntry *entry = calloc(1, sizeof(*entry));

    if (!entry)
        return -ENOMEM;
    entry->serial = strdup(key->serial);
    entry->fqdn = strdup(key->fqdn);
    entry->line = key->line;
    if (!entry->serial || !entry->fqdn || !tsearch(entry, &roster->by_serial, serial_compare))
        return -ENOMEM;
    if (!tsearch(entry, &roster->by_fqdn, fqdn_compare)) {
        (void)tdelete(entry, &roster->by_serial, serial_compare);
        return -ENOMEM;
    }
    (void)steal_pointer(entry);
    return 0;
}

int roster_claim(Roster *roster, const char *serial, const char *fqdn, unsigned line,
                 const RosterEntry **ret_conflict)
{
    const RosterEntry key = {.serial = strdupa(serial), .fqdn = strdupa(fqdn), .line = line};
    RosterEntry *same_serial = entry_find(&roster->by_serial, &key, serial_compare);
    RosterEntry *same_fqdn = entry_find(&roster->by_fqdn, &key, fqdn_compare);

    if (!same_serial && !same_fqdn)
        return entry_add(roster, &key);
    if (same_serial == same_fqdn && same_serial->line == 0) {
        same_serial->line = line;
        return 0;
    }
    *ret_conflict = same_serial ? same_serial : same_fqdn;
    return -EEXIST;
}

void roster_release(Roster *roster, const char *serial)
{
    const RosterEntry key = {.serial = strdupa(serial)};
    RosterEntry *entry = entry_find(&roster->by_serial, &key, serial_compare);

    if (!entry)
        return;
    (void)tdelete(entry, &roster->by_fqdn, fqdn_compare);
    (void)tdelete(entry, &roster->by_serial, serial_compare);
    entry_free(entry);
}

const char *roster_tpm_owner(const Roster *roster, const char *hash)
{
    const RosterTpm key = {.hash = strdupa(hash)};
    RosterTpm *const *found = tfind(&key, &roster->by_tpm, tpm_compare);

    return found ? (*found)->serial : NULL;
}

int roster_tpm_set(Roster *roster, const char *hash, const char *serial)
{
    _cleanup_(tpm_freep) RosterTpm *tpm = NULL;

    if (roster_tpm_owner(roster, hash))
        return 0;
    tpm = calloc(1, sizeof(*tpm));
    if (!tpm)
        return -ENOMEM;
    tpm->hash = strdup(hash);
    tpm->serial = strdup(serial);
    if (!tpm->hash || !tpm->serial || !tsearch(tpm, &roster->by_tpm, tpm_compare))
        return -ENOMEM;
    (void)steal_pointer(tpm);
    return 0;
}
