/* Which device comes next on the line, and whether its name was given away before. */
#include "provisioning/lineinput.h"

#include "base/cleanup.h"
#include "base/fqdn.h"
#include "provisioning/profile.h"

#include <errno.h>
#include <search.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

static bool is_blank(uint8_t octet)
{
    return octet == ' ' || octet == '\t' || octet == '\r';
}

/* White space, with at most one comma in it. */
static void separator_skip(Bytes *rest)
{
    bool comma = false;

    while (rest->size > 0 && (is_blank(rest->data[0]) || (!comma && rest->data[0] == ','))) {
        comma = comma || rest->data[0] == ',';
        *rest = bytes_slice(*rest, 1, rest->size);
    }
}

/* Takes the next word, up to white space or a comma, into `ret` of `size` octets. False if it does
 * not fit. */
static bool word_take(Bytes *rest, char *ret, size_t size)
{
    size_t length = 0;

    while (length < rest->size && !is_blank(rest->data[length]) && rest->data[length] != ',')
        length++;
    if (length >= size)
        return false;
    if (length > 0) /* of nothing, there may be no address */
        memcpy(ret, rest->data, length);
    ret[length] = '\0';
    *rest = bytes_slice(*rest, length, rest->size);
    return true;
}

/* What is left, without blanks at its end. */
static bool rest_take(Bytes rest, char *ret, size_t size)
{
    while (rest.size > 0 && is_blank(rest.data[rest.size - 1]))
        rest.size--;
    if (rest.size >= size)
        return false;
    if (rest.size > 0)
        memcpy(ret, rest.data, rest.size);
    ret[rest.size] = '\0';
    return true;
}

/* Printable ASCII only: what is here goes into messages, paths and JSON. */
static bool is_printable(Bytes bytes)
{
    for (size_t i = 0; i < bytes.size; i++) {
        if (bytes.data[i] != '\t' && bytes.data[i] != '\r' &&
            (bytes.data[i] < ' ' || bytes.data[i] > '~'))
            return false;
    }
    return true;
}

int device_line_parse(Bytes line, DeviceLine *ret, Reason *reason)
{
    Bytes rest = line;

    while (rest.size > 0 && is_blank(rest.data[0]))
        rest = bytes_slice(rest, 1, rest.size);
    if (rest.size == 0 || rest.data[0] == '#')
        return 0;
    if (!is_printable(rest))
        return reason_set(reason, -EINVAL, "it has octets that are not printable ASCII");
    if (!word_take(&rest, ret->serial, sizeof(ret->serial)) || !serial_is_valid(ret->serial)) {
        return reason_set(reason, -EINVAL,
                          "the serial number is not 1 to 63 letters, digits, '.', '-' and '_', "
                          "a letter or digit first");
    }
    separator_skip(&rest);
    if (!word_take(&rest, ret->fqdn, sizeof(ret->fqdn)) ||
        !fqdn_is_valid(ret->fqdn, strlen(ret->fqdn)))
        return reason_set(reason, -EINVAL, "what follows the serial number is not an FQDN");
    separator_skip(&rest);
    if (!rest_take(rest, ret->tcti, sizeof(ret->tcti)))
        return reason_set(reason, -EINVAL, "the TCTI is longer than 255 octets");
    if (ret->tcti[0] == '\0')
        return reason_set(reason, -EINVAL, "there is no TCTI after the FQDN");
    return 1;
}

int line_reader_fill(LineReader *reader)
{
    ssize_t n;

    if (reader->size == sizeof(reader->data)) {
        reader->too_long = true;
        reader->size = 0;
    }
    do {
        n = read(reader->fd, reader->data + reader->size, sizeof(reader->data) - reader->size);
    } while (n < 0 && errno == EINTR);
    if (n < 0)
        return -errno;
    reader->size += (size_t)n;
    reader->ended = n == 0;
    return 0;
}

/* Forgets the first `size` octets. */
static void reader_drop(LineReader *reader, size_t size)
{
    reader->size -= size;
    memmove(reader->data, reader->data + size, reader->size);
}

int line_reader_next(LineReader *reader, DeviceLine *ret, Reason *reason)
{
    for (;;) {
        const uint8_t *end = memchr(reader->data, '\n', reader->size);
        const size_t size = end ? (size_t)(end - reader->data) : reader->size;
        const bool too_long = reader->too_long;
        int r;

        if (!end && !(reader->ended && (size > 0 || too_long)))
            return 0;
        reader->too_long = false;
        ret->number = ++reader->number;
        r = too_long ? reason_set(reason, -EINVAL, "it is longer than a line can be")
                     : device_line_parse((Bytes){reader->data, size}, ret, reason);
        reader_drop(reader, end ? size + 1 : size);
        if (r != 0)
            return r;
    }
}

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
