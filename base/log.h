/* One line for each thing a person should know, on standard error, as systemd's journal reads it:
 * "<6>text" where standard error is the journal's ($JOURNAL_STREAM names it), "text" otherwise. */
#pragma once

#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <syslog.h>

/* Lines less urgent than `level` (LOG_ERR … LOG_DEBUG of syslog.h) are dropped. LOG_INFO at start.
 */
void log_set_level(int level);

/* `level` by its name in configuration ("error", "warning", "notice", "info", "debug");
 * -EINVAL for another. */
int log_level_from_name(const char *name);

/* True if a line of that level is written: to spare the work of making one that is not. */
bool log_is_on(int level);

void log_line(int level, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* What goes with a line into the journal, beside its text (tred-journal(7)); elsewhere the text is
 * all. What is NULL or 0 is left out. */
typedef struct LogFields {
    const char *message_id; /* of base/messages.h */
    const char *peer;       /* FQDN */
    uint64_t spi;           /* SPI_i */
    unsigned step;
    const char *error;
} LogFields;

/* `fields`: NULL for none. */
void log_fields(int level, const LogFields *fields, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* From now on lines go to the journal with their fields, by its native protocol
 * (systemd.journal-fields(7)), while standard error is the journal's and it takes them at once;
 * what it does not take goes to standard error as ever. For tred and ikeclient: the helpers' system
 * call filters leave no room for it. */
void log_to_journal(void);

#define log_error(...) log_line(LOG_ERR, __VA_ARGS__)
#define log_warning(...) log_line(LOG_WARNING, __VA_ARGS__)
#define log_notice(...) log_line(LOG_NOTICE, __VA_ARGS__)
#define log_info(...) log_line(LOG_INFO, __VA_ARGS__)
#define log_debug(...) log_line(LOG_DEBUG, __VA_ARGS__)
