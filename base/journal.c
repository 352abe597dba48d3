/* Hands lines to the journal. libsystemd's sd_journal_send() would wait where the journal does not
 * read, and whoever serves others must not: the datagram is sent without waiting, and what does not
 * get through goes to standard error. */
#include "base/journal.h"

#include "base/log.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>

#define JOURNAL_SOCKET "/run/systemd/journal/socket"

enum { ENTRY_SIZE = 8192 }; /* MESSAGE and TRE_ERROR are 2 KiB at most, each */

typedef struct Entry {
    char text[ENTRY_SIZE];
    size_t size;
} Entry;

/* One for the process, as with the level; opened with the first line. */
static int journal_fd = -1;

/* "NAME=value\n" (systemd.journal-fields(7)). A control character could begin another field. */
static void field_add(Entry *entry, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void field_add(Entry *entry, const char *format, ...)
{
    const size_t room = sizeof(entry->text) - entry->size;
    va_list arguments;

    va_start(arguments, format);
    const int size = vsnprintf(entry->text + entry->size, room, format, arguments);
    va_end(arguments);
    if (size < 0 || (size_t)size + 1 >= room)
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
    if (fields->message_id)
        field_add(entry, "MESSAGE_ID=%s", fields->message_id);
    if (fields->peer && fields->peer[0] != '\0')
        field_add(entry, "TRE_PEER=%s", fields->peer);
    if (fields->spi != 0)
        field_add(entry, "TRE_SPI=%016" PRIx64, fields->spi);
    if (fields->step != 0)
        field_add(entry, "TRE_STEP=%u", fields->step);
    if (fields->error && fields->error[0] != '\0')
        field_add(entry, "TRE_ERROR=%s", fields->error);
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
    Entry entry;

    entry.size = 0;
    field_add(&entry, "MESSAGE=%s", text);
    field_add(&entry, "PRIORITY=%d", level & LOG_PRIMASK);
    field_add(&entry, "SYSLOG_IDENTIFIER=%s", program_invocation_short_name);
    if (fields)
        fields_add(&entry, fields);
    return entry_send(&entry);
}

void journal_begin(void)
{
    log_set_sink(sink);
}
