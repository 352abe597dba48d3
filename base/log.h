/* One line for each thing a person should know, on standard error, as systemd's journal reads it:
 * "<6>text" where standard error is the journal's ($JOURNAL_STREAM names it), "text" otherwise. */
#pragma once

#include <stdarg.h>
#include <stdbool.h>
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

#define log_error(...) log_line(LOG_ERR, __VA_ARGS__)
#define log_warning(...) log_line(LOG_WARNING, __VA_ARGS__)
#define log_notice(...) log_line(LOG_NOTICE, __VA_ARGS__)
#define log_info(...) log_line(LOG_INFO, __VA_ARGS__)
#define log_debug(...) log_line(LOG_DEBUG, __VA_ARGS__)
