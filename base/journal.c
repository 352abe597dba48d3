/* Hands lines to the journal. libsystemd's sd_journal_send() would wait where the journal does not
 * read, and whoever serves others must not: the datagram is sent without waiting, and what does not
 * get through goes to standard error. */
#include "base/journal.h"

#include "base/log.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>

#define JOURNAL_SOCKET "/run/systemd/journal/socket"

enum { ENTRY_SIZE = 8192, NUMBER_SIZE = 24 }; /* MESSAGE and TRE_ERROR are 2 KiB at most, each */

typedef struct Entry {
    char text[ENTRY_SIZE];
    size_t size;
} Entry;

/* One for the process, as with the level; opened with the first line. */
static int journal_fd = -1;

/* "NAME=value\n" (systemd.journal-fields(7)), unless the value is empty. A control character could
 * begin another field. */
static void field_add(Entry *entry, const char *name, const char *value)
{
    const size_t room = sizeof(entry->text) - entry->size;
    const int size = snprintf(entry->text + entry->size, room, "%s=%s", name, value);

    if (value[0] == '\0' || size < 0 || (size_t)size + 1 >= room)
        return; /* without it */
    for (char *c = entry->text + entry->size; *c != '\0'; c++) {
        if ((unsigned char)*c < ' ' || *c == '\x7f')
            *c = '?';
    }
    entry->size += (size_t)size;
    entry->text[entry->size++] = '\n';
}

static void fields_add(Entry *entry, const LogFields *fields)
{
    char spi[NUMBER_SIZE] = "", step[NUMBER_SIZE] = "";

    if (fields->spi != 0)
        (void)snprintf(spi, sizeof(spi), "%016" PRIx64, fields->spi);
    if (fields->step != 0)
        (void)snprintf(step, sizeof(step), "%u", fields->step);
    field_add(entry, "MESSAGE_ID", fields->message_id ? fields->message_id : "");
    field_add(entry, "TRE_PEER", fields->peer ? fields->peer : "");
    field_add(entry, "TRE_SPI", spi);
    field_add(entry, "TRE_STEP", step);
    field_add(entry, "TRE_ERROR", fields->error ? fields->error : "");
}

static int entry_send(const Entry *entry)
{
    static const struct sockaddr_un address = {AF_UNIX, JOURNAL_SOCKET};

    if (journal_fd < 0) {
        journal_fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (journal_fd < 0)
            return -errno;
    }
    return sendto(journal_fd, entry->text, entry->size, MSG_NOSIGNAL,
                  (const struct sockaddr *)&address, sizeof(address)) < 0
               ? -errno
               : 0;
}

static int sink(int level, const char *text, const LogFields *fields)
{
    char priority[NUMBER_SIZE];
    Entry entry;

    entry.size = 0;
    (void)snprintf(priority, sizeof(priority), "%d", level & LOG_PRIMASK);
    field_add(&entry, "MESSAGE", text);
    field_add(&entry, "PRIORITY", priority);
    field_add(&entry, "SYSLOG_IDENTIFIER", program_invocation_short_name);
    if (fields)
        fields_add(&entry, fields);
    return entry_send(&entry);
}

void journal_begin(void)
{
    log_set_sink(sink);
}
