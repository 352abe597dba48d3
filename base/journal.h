/* Lines with fields, by the journal's native protocol (systemd.journal-fields(7)). For tred and
 * ikeclient: the helpers' system call filters leave no room for it. */
#pragma once

/* From now on lines go to the journal where standard error is connected to it (log_set_sink()), if
 * it takes them at once. */
void journal_begin(void);
